"""Volatilities on the exchange's and the broker's conventions: what goes in, and why there is none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from engine.analysis.smile_conventions import conventional_volatility, sessions_left
from engine.analytics.kite_style import kite_implied_volatility
from engine.analytics.nse_style import nse_implied_volatility
from engine.calendar.rules import read_sessions
from engine.calendar.sessions import SessionCalendar
from engine.core.views import ChainKey, Floats
from tests.unit.engine.analysis_kit import Analysis
from tests.unit.market.chain_kit import FORWARD, MORNING, NIFTY_INDEX, SPOT
from tests.unit.market.market_kit import M0, NIFTY_STRIKES, W0

DAYS = (W0 - MORNING.date()).days


@pytest.fixture
def analysis() -> Analysis:
    """A desk that watches its nearest chain."""
    made = Analysis()
    made.go_live()
    return made


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    """The sessions shipped."""
    return SessionCalendar(read_sessions())


def quoted_prices(analysis: Analysis, strikes: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The mid of each strike's out-of-the-money side, and which that is."""
    view = analysis.desk.chains.view(analysis.desk.key)
    assert view is not None
    assert view.header.forward is not None
    is_call = strikes >= view.header.forward
    mids = [0.5 * (side.bid + side.ask) for side in (view.calls, view.puts)]
    return np.where(is_call, mids[0], mids[1]), is_call


async def test_the_website_counts_whole_days_on_the_index(analysis: Analysis) -> None:
    """Each strike's figure is the kernel's on the moving index and the days between the dates."""
    found = await analysis.answers.smile(analysis.desk.key)
    price, is_call = quoted_prices(analysis, found.strikes)
    expected = nse_implied_volatility(price, SPOT, found.strikes, DAYS, is_call=is_call).volatility / 100
    np.testing.assert_allclose(found.nse, expected, atol=1e-12)
    known = np.isfinite(found.nse) & np.isfinite(found.quoted)
    assert known.sum() > len(NIFTY_STRIKES) // 2
    above, below = known & is_call, known & ~is_call
    # Ten percent of carry makes a call look cheaper and a put dearer than the real forward does.
    assert (found.nse[above] < found.quoted[above]).all()
    assert (found.nse[below] > found.quoted[below]).all()
    assert not found.nse.flags.writeable


async def test_the_broker_counts_trading_days_on_the_forward(analysis: Analysis) -> None:
    """A weekly has no future: the parity forward, no interest, and sessions left of 252."""
    found = await analysis.answers.smile(analysis.desk.key)
    price, is_call = quoted_prices(analysis, found.strikes)
    calendar = analysis.desk.day.calendar
    left = sessions_left(calendar, MORNING, calendar.expiry_instant(W0, is_index=True))
    assert left is not None
    assert found.forward is not None
    expected = kite_implied_volatility(price, found.forward, found.strikes, left, is_call=is_call).volatility / 100
    np.testing.assert_allclose(found.kite, expected, atol=1e-12)
    assert np.isfinite(found.kite).sum() > len(NIFTY_STRIKES) // 2


async def test_a_frozen_index_leaves_the_website_without_a_figure(analysis: Analysis) -> None:
    """NaN and the reason; the broker's convention needs no index and stands."""
    analysis.market.feed.states.set_frozen([NIFTY_INDEX])
    found = await analysis.answers.smile(analysis.desk.key)
    assert np.isnan(found.nse).all()
    assert "no volatility on the exchange's convention: the index does not move" in found.reason
    assert np.isfinite(found.kite).any()


async def test_silence_leaves_neither(analysis: Analysis) -> None:
    """After silence no price is one of now."""
    analysis.market.feed.pass_time(10.0, heartbeat=False)
    found = await analysis.answers.smile(analysis.desk.key)
    assert np.isnan(found.nse).all()
    assert np.isnan(found.kite).all()
    assert "on the exchange's convention" in found.reason
    assert "no volatility on the broker's convention: there is no forward" in found.reason


async def test_nobody_watching_leaves_neither() -> None:
    """All strikes, nothing known."""
    idle = Analysis()
    found = await idle.answers.smile(idle.desk.key)
    assert found.nse.shape == found.kite.shape == found.strikes.shape
    assert np.isnan(found.nse).all()
    assert np.isnan(found.kite).all()


async def test_the_last_day_has_no_whole_day_left() -> None:
    """On the expiry day the website's clock stands at zero; the broker's still runs."""
    desk = Analysis()
    desk.desk.feed.market = datetime(2026, 12, 1, 5, 30, tzinfo=UTC)
    desk.go_live()
    found = await desk.answers.smile(ChainKey("NIFTY", W0))
    assert np.isnan(found.nse).all()
    assert "counts whole days, and this is the last one" in found.reason
    assert np.isfinite(found.kite).any()


async def test_a_monthly_is_measured_on_its_future(analysis: Analysis) -> None:
    """Where a future of the expiry is listed it counts, not the parity forward; silent, it leaves nothing."""
    view = analysis.desk.chains.view(analysis.desk.key)
    assert view is not None
    analysis.quote_future(M0, FORWARD + 80.0, open_interest=60_000)
    monthly = ChainKey("NIFTY", M0)
    futures = analysis.desk.chains.futures("NIFTY")
    assert futures is not None
    price, is_call = quoted_prices(analysis, view.strikes)
    calendar = analysis.desk.day.calendar
    ends_at = calendar.expiry_instant(M0, is_index=True)
    found = conventional_volatility(
        msgspec.structs.replace(view, key=monthly),
        price,
        is_call,
        futures=futures,
        calendar=calendar,
        now=MORNING,
        ends_at=ends_at,
    )
    left = sessions_left(calendar, MORNING, ends_at)
    assert left is not None
    expected = kite_implied_volatility(price, FORWARD + 80.0, view.strikes, left, is_call=is_call).volatility / 100
    np.testing.assert_allclose(found.kite, expected, atol=1e-12)
    silent = futures._replace(price=np.full(len(futures.expiries), np.nan))
    nothing = conventional_volatility(
        msgspec.structs.replace(view, key=monthly),
        price,
        is_call,
        futures=silent,
        calendar=calendar,
        now=MORNING,
        ends_at=ends_at,
    )
    assert np.isnan(nothing.kite).all()
    assert f"the future of {M0:%d %b} has no price that can be trusted" in nothing.reasons[0]


def test_sessions_are_counted_by_the_part_that_is_left(calendar: SessionCalendar) -> None:
    """Middle of a session with more to come, a weekend, the last day, and after the end."""
    ends_at = calendar.expiry_instant(date(2026, 12, 1), is_index=True)
    monday = calendar.session(date(2026, 11, 30))
    tuesday = calendar.session(date(2026, 12, 1))
    assert monday is not None
    assert tuesday is not None
    middle = monday.open + (monday.close - monday.open) / 2
    assert sessions_left(calendar, middle, ends_at) == pytest.approx(1.5)
    assert sessions_left(calendar, monday.open - timedelta(hours=30), ends_at) == pytest.approx(2.0)
    assert sessions_left(calendar, tuesday.open + (ends_at - tuesday.open) * 0.75, ends_at) == pytest.approx(0.25)
    assert sessions_left(calendar, ends_at, ends_at) == 0.0


def test_beyond_the_known_holidays_nothing_is_counted(calendar: SessionCalendar) -> None:
    """An expiry of a year whose holidays are not published: unknown, not a guess."""
    ends_at = datetime(2031, 6, 24, 10, 0, tzinfo=UTC)
    assert sessions_left(calendar, MORNING, ends_at) is None


async def test_an_expiry_beyond_the_known_holidays_is_named(analysis: Analysis) -> None:
    """The reason says how far holidays are known."""
    view = analysis.desk.chains.view(analysis.desk.key)
    assert view is not None
    price, is_call = quoted_prices(analysis, view.strikes)
    found = conventional_volatility(
        msgspec.structs.replace(view, key=ChainKey("NIFTY", date(2031, 6, 24))),
        price,
        is_call,
        futures=None,
        calendar=analysis.desk.day.calendar,
        now=MORNING,
        ends_at=datetime(2031, 6, 24, 10, 0, tzinfo=UTC),
    )
    assert np.isnan(found.kite).all()
    assert np.isfinite(found.nse).any()
    assert "it counts trading days to 2031-06-24" in found.reasons[0]
