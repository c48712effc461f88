"""Smile and volatility as an engine answers them: from live chains and stored minutes, unknown with reasons."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from engine.core.errors import StorageUnavailable, UnknownInstrument
from engine.core.views import ChainKey
from tests.unit.engine.analysis_kit import HOUR, IST, MINUTE, OPEN, Analysis
from tests.unit.market.chain_kit import FORWARD, MORNING, NIFTY_INDEX, SPOT, row_of, smile
from tests.unit.market.market_kit import M0, M1, NIFTY_STRIKES, W0, W1


@pytest.fixture
def analysis() -> Analysis:
    """A desk that watches nothing yet."""
    return Analysis()


# -- smile ---------------------------------------------------------------------------------------------------------


async def test_the_smile_is_the_live_chains(analysis: Analysis) -> None:
    """The curve that made the prices comes back, with the same mispricing as the chain's columns."""
    analysis.go_live()
    found = await analysis.answers.smile(ChainKey("nifty 50", W0))
    view = analysis.desk.chains.view(analysis.desk.key)
    assert view is not None
    rows = [row_of(view, strike) for strike in NIFTY_STRIKES]
    expected = [smile(strike) for strike in NIFTY_STRIKES]
    np.testing.assert_allclose(found.fitted[rows], expected, atol=2e-3)
    np.testing.assert_allclose(found.quoted[rows], expected, atol=2e-3)
    np.testing.assert_allclose(found.call_mispricing[rows], view.calls.mispricing[rows], atol=1e-9)
    np.testing.assert_allclose(found.put_mispricing[rows], view.puts.mispricing[rows], atol=1e-9)
    assert found.key == analysis.desk.key
    assert found.grade == view.header.smile_grade
    assert found.rms_residual is not None
    assert found.rms_residual < 2e-3
    assert found.risk_reversal == pytest.approx(view.header.risk_reversal)
    assert not found.fitted.flags.writeable


async def test_a_held_chains_smile_can_be_asked_for(analysis: Analysis) -> None:
    """Held for its Greeks and watched by nobody, its curve is fitted for the answer."""
    analysis.desk.chains.hold(frozenset({analysis.desk.key}))
    analysis.market.quote_all()
    view = analysis.desk.chains.view(analysis.desk.key)
    assert view is not None
    assert view.header.smile_grade == "none"
    found = await analysis.answers.smile(analysis.desk.key)
    assert found.grade in {"A", "B"}
    assert found.risk_reversal is not None


async def test_the_smile_of_a_chain_nobody_watches_is_unknown(analysis: Analysis) -> None:
    """Strikes are listed, figures unknown, and what to do is said; a chain that does not exist is refused."""
    found = await analysis.answers.smile(analysis.desk.key)
    assert found.strikes.size > len(NIFTY_STRIKES)
    assert np.isnan(found.fitted).all()
    assert (found.grade, found.forward) == ("none", None)
    assert "watch it" in found.reason
    with pytest.raises(UnknownInstrument, match="no expiry"):
        await analysis.answers.smile(ChainKey("NIFTY", date(2026, 12, 2)))
    with pytest.raises(UnknownInstrument, match="no options"):
        await analysis.answers.smile(ChainKey("BANKNIFTY", M1))


async def test_the_smile_of_a_silent_market_is_unknown(analysis: Analysis) -> None:
    """After silence there is no forward and no curve: none is shown from before."""
    analysis.go_live()
    assert (await analysis.answers.smile(analysis.desk.key)).grade != "none"
    analysis.market.feed.pass_time(10.0, heartbeat=False)
    found = await analysis.answers.smile(analysis.desk.key)
    assert (found.grade, found.forward) == ("none", None)
    assert np.isnan(found.fitted).all()
    assert "stale" in found.reason


# -- volatility ----------------------------------------------------------------------------------------------------


async def test_terms_say_what_is_live_what_is_stored_and_what_is_missing(analysis: Analysis) -> None:
    """The watched expiry counts now, another one by its last stored minute of today, the rest is named as unknown."""
    analysis.go_live()
    at = MORNING - HOUR
    await analysis.store(at, key=ChainKey("NIFTY", W1), volatility=0.12)
    await analysis.store(at + MINUTE, key=ChainKey("NIFTY", W1), volatility=None)
    await analysis.store(MORNING - timedelta(days=1), key=ChainKey("NIFTY", M0), volatility=0.2)
    view = await analysis.answers.volatility("nifty")
    live, stored, *missing = view.terms
    assert live.atm_volatility == pytest.approx(smile(FORWARD), abs=1e-3)
    assert (live.at, live.labels) == (view.at, ("w0",))
    assert live.forward_volatility == pytest.approx(live.atm_volatility)
    assert (stored.atm_volatility, stored.at, stored.forward_volatility) == (0.12, at, None)
    assert all(term.atm_volatility is None and term.at is None for term in missing)
    assert f"08 Dec {at.astimezone(IST):%H:%M}" in view.reason
    assert "nothing known today: 29 Dec" in view.reason
    assert view.current == live.atm_volatility


async def test_rank_and_percentile_of_the_stored_days(analysis: Analysis) -> None:
    """Thirty days below and ten above: the place between the extremes and the share below; today is no past day."""
    analysis.go_live()
    for number in range(40):
        volatility = 0.08 if number < 30 else 0.18
        await analysis.store(MORNING - timedelta(days=41 - number), volatility=volatility, key=ChainKey("NIFTY", M0))
    await analysis.store(MORNING - MINUTE, volatility=0.9, key=ChainKey("NIFTY", M0))
    view = await analysis.answers.volatility("NIFTY")
    assert view.current is not None
    assert view.days == 40
    assert view.rank == pytest.approx(100 * (view.current - 0.08) / 0.1)
    assert view.percentile == pytest.approx(75.0)


async def test_a_short_history_ranks_nothing(analysis: Analysis) -> None:
    """Without a month of days there is no rank, and how many there are is said."""
    analysis.go_live()
    await analysis.store(MORNING - timedelta(days=1), key=ChainKey("NIFTY", M0))
    view = await analysis.answers.volatility("NIFTY")
    assert (view.rank, view.percentile, view.days) == (None, None, 1)
    assert "no rank: 1 past values, 20 are needed" in view.reason


async def test_an_expiry_about_to_end_is_not_the_current_one() -> None:
    """On its last day the nearest expiry says nothing; the next one does when it is known."""
    desk = Analysis()
    desk.desk.feed.market = datetime(2026, 11, 30, 5, 30, tzinfo=UTC)
    desk.go_live()
    await desk.store(desk.desk.feed.market - MINUTE, key=ChainKey("NIFTY", W1), volatility=0.117)
    view = await desk.answers.volatility("NIFTY")
    assert view.terms[0].atm_volatility is not None
    assert view.current == 0.117


async def test_realised_volatility_of_stored_forwards(analysis: Analysis) -> None:
    """Two days of a walk at 12 %: every estimator, of the latest session and of all, and the spread against implied."""
    analysis.go_live()
    sigma = 0.12 / math.sqrt(252 * 390)
    walk = np.random.default_rng(11)
    for day in (3, 0):
        path = FORWARD * np.exp(np.cumsum(walk.normal(0.0, sigma, 100)))
        for number, value in enumerate(path.tolist()):
            await analysis.store(OPEN - timedelta(days=day) + number * MINUTE, forward=value)
    view = await analysis.answers.volatility("NIFTY")
    assert {item.estimator for item in view.realised} == {
        "close",
        "parkinson",
        "garman-klass",
        "rogers-satchell",
        "yang-zhang",
    }
    assert len(view.realised) == 10
    for item in view.realised:
        assert item.volatility == pytest.approx(0.12, rel=0.5), item
    whole = view.realised[-1]
    assert (whole.estimator, whole.window.partition(",")[0]) == ("close", "2 sessions")
    assert view.current is not None
    assert whole.volatility is not None
    assert view.spread == pytest.approx(view.current - whole.volatility)
    assert [band.window for band in view.cone] == ["1 hour", "2 hours", "1 session", "2 sessions"]
    assert all(band.until == MORNING.astimezone(IST).date() for band in view.cone)
    hour, *_, longest = view.cone
    assert hour.current == pytest.approx(0.12, rel=0.6)
    assert (longest.median, longest.current) == (None, None)
    assert "are needed" in longest.reason


async def test_nothing_stored_is_said(analysis: Analysis) -> None:
    """Without a minute there is no realised volatility and no spread, with the reason."""
    analysis.go_live()
    view = await analysis.answers.volatility("NIFTY")
    assert (view.realised, view.cone, view.spread) == ((), (), None)
    assert "no realised volatility: no minute is stored" in view.reason


async def test_futures_of_a_watched_underlying(analysis: Analysis) -> None:
    """With a chain its underlying's futures are subscribed: basis, build-up of the nearest, and the rollover."""
    analysis.go_live()
    analysis.quote_future(M0, 24_100.0, open_interest=60_000, close=24_000.0)
    analysis.quote_future(M1, 24_200.0, open_interest=40_000)
    analysis.desk.chains.pictures()
    analysis.quote_future(M0, 24_110.0, open_interest=66_000, close=24_000.0)
    view = await analysis.answers.volatility("NIFTY")
    assert view.basis == pytest.approx(24_110.0 - SPOT)
    years = (datetime(2026, 12, 29, 10, 0, tzinfo=UTC) - MORNING).total_seconds() / (365 * 86_400)
    assert view.basis_annual == pytest.approx(math.log(24_110.0 / SPOT) / years)
    assert view.build_up == "long build-up"
    assert view.rollover == pytest.approx(100 * 40_000 / 106_000)


async def test_a_frozen_index_gives_no_basis(analysis: Analysis) -> None:
    """Against an index that does not move a basis would be a figure of two different moments."""
    analysis.go_live()
    analysis.quote_future(M0, 24_100.0, open_interest=60_000)
    analysis.market.feed.states.set_frozen([NIFTY_INDEX])
    view = await analysis.answers.volatility("NIFTY")
    assert (view.basis, view.basis_annual, view.rollover) == (None, None, None)
    assert "the index does not move" in view.reason
    assert "no rollover" in view.reason


async def test_calendar_breaches_are_named(analysis: Analysis) -> None:
    """A later expiry quoted at half the volatility stands under the nearer one: both are named."""
    analysis.go_live()
    later = ChainKey("NIFTY", W1)
    analysis.desk.chains.watch(later)
    contracts = analysis.market.instruments.contracts("NIFTY", W1)
    near = analysis.market.contracts
    for side, there, here in (("CE", contracts.calls, near.calls), ("PE", contracts.puts, near.puts)):
        for strike, instrument in there.items():
            if strike not in here:
                continue
            # Cheaper than the nearer expiry's own price: no volatility of the week between explains it.
            middle = max(round(analysis.market.fair(float(strike), side) * 0.9 / 0.05) * 0.05, 0.1)
            analysis.market.feed.full(
                instrument.token, bids=[(middle - 0.05, 65)], asks=[(middle + 0.05, 65)], last=middle
            )
    view = await analysis.answers.volatility("NIFTY")
    assert any(words.startswith("01 Dec stands") and "above 08 Dec" in words for words in view.calendar_breaches)


async def test_unknown_underlyings_are_refused(analysis: Analysis) -> None:
    """By name, with the nearest ones."""
    with pytest.raises(UnknownInstrument, match="NIFTX"):
        await analysis.answers.volatility("NIFTX")


async def test_without_a_database_the_live_figures_stand(analysis: Analysis) -> None:
    """History is missing and said to be; the live term is there."""
    analysis.go_live()
    analysis.desk.store.stop("no database")
    view = await analysis.answers.volatility("NIFTY")
    assert view.terms[0].atm_volatility is not None
    assert view.realised == ()
    assert "no database" in view.reason
    with pytest.raises(StorageUnavailable):
        await analysis.answers.series(analysis.desk.key, MORNING - HOUR, MORNING)


async def test_what_was_read_is_given_again_for_a_while(analysis: Analysis) -> None:
    """Asked every second the database is read now and then; a live term is never an old one."""
    analysis.go_live()
    await analysis.store(MORNING - MINUTE, key=ChainKey("NIFTY", W1), volatility=0.12)
    first = await analysis.answers.volatility("NIFTY")
    analysis.desk.store.stop("no database")
    analysis.market.feed.pass_time(5.0)
    second = await analysis.answers.volatility("NIFTY")
    assert (second.terms[1].atm_volatility, second.terms[1].at) == (0.12, first.terms[1].at)
    assert second.terms[0].at == second.at > first.at
    analysis.market.feed.pass_time(30.0)
    third = await analysis.answers.volatility("NIFTY")
    assert third.terms[1].atm_volatility is None
    assert "no database" in third.reason
