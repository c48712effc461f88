"""Chains that are kept although nobody looks: subscribed in a window, recorded, moved, and given up."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal

import numpy as np
import pytest

from engine.chain_desk import BACKGROUND_PRIORITY
from engine.core.errors import InvalidInput
from engine.core.views import ChainKey
from engine.market.strike_window import WindowSettings
from engine.strike_windows import StrikeWindows
from tests.unit.engine.market_desk import MarketDesk, settle
from tests.unit.market.chain_kit import NIFTY_INDEX
from tests.unit.market.market_kit import M0, M1, W0, W1

SETTINGS = WindowSettings(underlyings=("nifty 50",), expiries=2, strikes_each_side=4, recentre_after=2, look_s=1.0)
OTHER = ChainKey("NIFTY", W1)


@pytest.fixture
def desk() -> MarketDesk:
    """A desk that watches nothing yet, its index at 23,990."""
    return MarketDesk()


def windows_of(desk: MarketDesk, settings: WindowSettings = SETTINGS) -> StrikeWindows:
    """The service under test."""
    return StrikeWindows(desk.day, desk.chains, settings)


def strikes(desk: MarketDesk, key: ChainKey) -> set[int]:
    """Strikes of a chain of which both sides are subscribed."""
    contracts = desk.market.instruments.contracts(key.underlying, key.expiry)
    desired = desk.subscriptions.desired
    return {
        int(strike)
        for strike in contracts.strikes
        if all(side[strike].token in desired for side in (contracts.calls, contracts.puts) if strike in side)
    }


def test_first_the_index_then_the_strikes_around_it(desk: MarketDesk) -> None:
    """Before there is a price only index and futures are asked for; then a window of each near expiry, put last."""
    windows = windows_of(desk)
    windows.look()
    instruments = desk.market.instruments
    futures = {instruments.future("NIFTY", expiry).token for expiry in (M0, M1)}
    assert set(desk.subscriptions.desired) == {NIFTY_INDEX, *futures}
    assert windows.windows == {}
    desk.feed.index(NIFTY_INDEX, 23_990.0)
    windows.look()
    assert strikes(desk, desk.key) == set(range(23_800, 24_201, 50))
    assert {key.expiry for key in windows.windows} == {W0, W1}
    assert all(desk.subscriptions.priority_of(token) == BACKGROUND_PRIORITY for token in desk.subscriptions.desired)


def test_it_follows_the_money_and_drops_what_it_leaves(desk: MarketDesk) -> None:
    """Within the inner band nothing changes; beyond it the window moves and the strikes behind are unsubscribed."""
    windows = windows_of(desk)
    windows.look()
    desk.feed.index(NIFTY_INDEX, 23_990.0)
    windows.look()
    desk.feed.index(NIFTY_INDEX, 24_110.0)
    version = desk.subscriptions.version
    windows.look()
    assert desk.subscriptions.version == version
    desk.feed.index(NIFTY_INDEX, 24_260.0)
    windows.look()
    assert strikes(desk, desk.key) == set(range(24_050, 24_451, 50))


def test_the_forward_decides_once_it_is_known(desk: MarketDesk) -> None:
    """With options quoted the chain's own money counts, not the index, which is off by the carry."""
    windows = windows_of(desk)
    windows.look()
    desk.feed.index(NIFTY_INDEX, 23_700.0)
    windows.look()
    assert windows.windows[desk.key].centre == 23_700
    desk.market.quote_all()
    windows.look()
    assert windows.windows[desk.key].centre == Decimal(24_000)


async def test_kept_chains_are_recorded_and_have_no_extras(desk: MarketDesk) -> None:
    """They are among the pictures of the minute, known where they are subscribed and unknown elsewhere."""
    desk.feed.board.remove(desk.market.model.tokens)
    windows = windows_of(desk)
    running = asyncio.create_task(windows.run())
    await settle()
    desk.feed.index(NIFTY_INDEX, 23_990.0)
    await desk.clock.advance(1.0)
    desk.market.quote_all()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    pictures = {view.key: view for view in desk.chains.pictures()}
    assert set(pictures) == {desk.key, OTHER}
    view = pictures[desk.key]
    inside = (view.strikes >= 23_800) & (view.strikes <= 24_200)
    assert np.isfinite(view.calls.last[inside]).all()
    assert not np.isfinite(view.calls.last[~inside]).any()
    assert not np.isfinite(view.calls.theoretical).any()
    assert view.header.forward is not None
    assert math.isclose(view.header.forward, 24_012.5, abs_tol=1.0)


def test_who_looks_gets_the_whole_chain_and_leaves_the_window(desk: MarketDesk) -> None:
    """Watching subscribes every strike; when the last one leaves, the window is what remains, and it is still kept."""
    windows = windows_of(desk)
    windows.look()
    desk.feed.index(NIFTY_INDEX, 23_990.0)
    windows.look()
    window = strikes(desk, desk.key)
    desk.chains.watch(desk.key)
    assert strikes(desk, desk.key) > window
    desk.chains.hold(frozenset({desk.key}))
    desk.chains.unwatch(desk.key)
    assert strikes(desk, desk.key) > window
    desk.chains.hold(frozenset())
    assert strikes(desk, desk.key) == window
    assert desk.chains.view(desk.key) is not None
    desk.chains.keep({})
    assert dict(desk.subscriptions.desired) == {}
    assert desk.chains.view(desk.key) is None
    assert desk.chains.futures("NIFTY") is None


def test_a_new_day_begins_windows_anew(desk: MarketDesk) -> None:
    """Yesterday's tokens are given up at the roll; the next look keeps today's."""
    windows = windows_of(desk)
    desk.feed.board.add([NIFTY_INDEX])
    desk.feed.index(NIFTY_INDEX, 23_990.0)
    windows.look()
    kept = dict(desk.subscriptions.desired)
    desk.chains.watch(desk.key)
    desk.chains.roll()
    assert OTHER not in {view.key for view in desk.chains.pictures()}
    desk.chains.unwatch(desk.key)
    assert dict(desk.subscriptions.desired) == {}
    windows.look()
    assert dict(desk.subscriptions.desired) == kept


async def test_without_underlyings_there_is_nothing_to_do(desk: MarketDesk) -> None:
    """It ends at once; a name that the dump lacks is listed and keeps nothing."""
    await windows_of(desk, WindowSettings()).run()
    windows = windows_of(desk, WindowSettings(underlyings=("NOSUCH",)))
    windows.look()
    assert windows.unlisted == ("NOSUCH",)
    assert dict(desk.subscriptions.desired) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        WindowSettings(strikes_each_side=3, recentre_after=3),
        WindowSettings(recentre_after=-1),
        WindowSettings(expiries=0),
        WindowSettings(look_s=0.0),
    ],
)
def test_settings_that_make_no_window_are_refused(desk: MarketDesk, wrong: WindowSettings) -> None:
    """The sentence names the setting."""
    with pytest.raises(InvalidInput, match=r"engine\.window"):
        windows_of(desk, wrong)
