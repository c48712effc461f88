"""Watched and held chains: what is subscribed for them, what is computed, and what a new day keeps."""

from __future__ import annotations

import numpy as np
import pytest

from engine.core.views import ChainKey
from tests.unit.engine.market_desk import MarketDesk
from tests.unit.market.market_kit import M0, M1, W1


@pytest.fixture
def desk() -> MarketDesk:
    """A desk that watches nothing yet."""
    return MarketDesk()


def futures_of(desk: MarketDesk) -> set[int]:
    """Tokens of both NIFTY futures."""
    return {desk.market.instruments.future("NIFTY", expiry).token for expiry in (M0, M1)}


def test_the_futures_come_and_go_with_the_chains(desk: MarketDesk) -> None:
    """One chain brings all futures of its underlying; they stay until its last chain has gone."""
    assert desk.chains.futures("NIFTY") is None
    other = ChainKey("NIFTY", W1)
    desk.chains.watch(desk.key)
    desk.chains.watch(other)
    assert futures_of(desk) <= set(desk.subscriptions.desired)
    desk.chains.unwatch(desk.key)
    assert futures_of(desk) <= set(desk.subscriptions.desired)
    found = desk.chains.futures("nifty 50")
    assert found is not None
    assert found.expiries == (M0, M1)
    desk.chains.unwatch(other)
    assert not futures_of(desk) & set(desk.subscriptions.desired)
    assert desk.chains.futures("NIFTY") is None


def test_extras_are_for_who_watches(desk: MarketDesk) -> None:
    """Held only, a chain has Greeks and no theoretical values; watching brings them, leaving takes them."""
    desk.chains.hold(frozenset({desk.key}))
    desk.market.quote_all()

    def theoretical() -> bool:
        view = desk.chains.view(desk.key)
        assert view is not None
        assert np.isfinite(view.calls.delta).any()
        return bool(np.isfinite(view.calls.theoretical).any())

    assert not theoretical()
    desk.chains.watch(desk.key)
    assert theoretical()
    desk.chains.watch(desk.key)
    desk.chains.unwatch(desk.key)
    assert theoretical()
    desk.chains.unwatch(desk.key)
    assert not theoretical()
    assert desk.chains.smile(desk.key) is not None


def test_pictures_are_of_all_chains(desk: MarketDesk) -> None:
    """Watched and held ones, each once; a chain of neither has no smile and no picture."""
    other = ChainKey("NIFTY", W1)
    desk.chains.watch(desk.key)
    desk.chains.hold(frozenset({desk.key, other}))
    assert {view.key for view in desk.chains.pictures()} == {desk.key, other}
    assert len(desk.chains.pictures()) == 2
    assert desk.chains.smile(ChainKey("NIFTY", M0)) is None


def test_a_new_day_keeps_what_is_watched(desk: MarketDesk) -> None:
    """After the roll the models are new ones, watched as before, with their futures."""
    desk.chains.watch(desk.key)
    desk.market.quote_all()
    desk.chains.roll()
    view = desk.chains.view(desk.key)
    assert view is not None
    assert np.isfinite(view.calls.theoretical).any()
    assert desk.chains.futures("NIFTY") is not None
    assert futures_of(desk) <= set(desk.subscriptions.desired)
