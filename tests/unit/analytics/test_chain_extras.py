"""The one call for a whole expiry: each column against its own function or definition, and against broken chains."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.arrays import BoolArray, FloatArray
from engine.analytics.black import price
from engine.analytics.chain import ChainMarks, SideQuotes, mark_chain
from engine.analytics.chain_extras import (
    ChainExtras,
    ExtrasSettings,
    SideActivity,
    SideExtras,
    annotate_chain,
    fit_marked,
)
from engine.analytics.forward import ForwardSource
from engine.analytics.open_interest import BuildUp
from engine.analytics.smile import Smile, SmileGrade
from tests.unit.analytics.plain_kernels import no_activity
from tests.unit.analytics.smile_kit import (
    FORWARD,
    LOT,
    RATE,
    STRIKES,
    TICK,
    YEARS,
    RealChain,
    needs_snapshot,
    real_chain,
    side_quotes,
    true_volatility,
)

MIDDLE = 30
Quotes = tuple[SideQuotes, SideQuotes]


def made_up() -> Quotes:
    """Calls and puts on the curve."""
    put = side_quotes(is_call=False)
    return side_quotes(is_call=True), put._replace(open_interest=2.0 * put.open_interest)


def mark(
    quotes: Quotes, *, strikes: FloatArray = STRIKES, years: float = YEARS, future: float | None = None
) -> ChainMarks:
    """The marks of quotes."""
    return mark_chain(strikes, *quotes, years=years, rate=RATE, spot=24_150.0, future=future)


def annotate(
    quotes: Quotes,
    *,
    years: float = YEARS,
    future: float | None = FORWARD,
    smile: Smile | None = None,
    refit: bool = True,
    activity: tuple[SideActivity, SideActivity] | None = None,
    settings: ExtrasSettings | None = None,
) -> ChainExtras:
    """The answer for quotes of the made-up expiry."""
    nothing = no_activity(STRIKES.size)
    return annotate_chain(
        mark(quotes, years=years, future=future),
        *quotes,
        *(activity or (nothing, nothing)),
        years=years,
        rate=RATE,
        lot_size=LOT,
        tick=TICK,
        smile=smile,
        refit=refit,
        settings=settings or ExtrasSettings(),
    )


def test_theoretical_values_are_those_of_the_curve() -> None:
    """On quotes about a known curve the theoretical prices are its prices, and nothing is mispriced."""
    quotes = made_up()
    extras = annotate(quotes)
    assert extras.smile.grade is SmileGrade.A
    for side, is_call, market in ((extras.call, True, quotes[0]), (extras.put, False, quotes[1])):
        fair = price(FORWARD, STRIKES, YEARS, RATE, true_volatility(STRIKES), is_call=is_call)
        np.testing.assert_allclose(side.theoretical, fair, atol=0.02)
        mid = 0.5 * (market.bid + market.ask)
        np.testing.assert_allclose(side.mispricing, mid - side.theoretical, atol=1e-9)
        np.testing.assert_allclose(side.mispricing_volatility[np.abs(STRIKES - FORWARD) < 600.0], 0.0, atol=1e-4)


def raised(quotes: SideQuotes, place: int, amount: float) -> SideQuotes:
    """Quotes of which one strike's are dearer."""
    bid, ask = quotes.bid.copy(), quotes.ask.copy()
    bid[place] += amount
    ask[place] += amount
    return quotes._replace(bid=bid, ask=ask)


@pytest.mark.parametrize("place", [5, MIDDLE, 44])
def test_a_dear_option_is_shown_dear_and_does_not_judge_itself(place: int) -> None:
    """With calls and puts of one strike 10 points dearer its theoretical values stay to the last bit; it is 10 dear."""
    quotes = made_up()
    dear = (raised(quotes[0], place, 10.0), raised(quotes[1], place, 10.0))
    before, after = annotate(quotes), annotate(dear)
    assert after.call.theoretical[place] == before.call.theoretical[place]
    assert after.put.theoretical[place] == before.put.theoretical[place]
    assert after.call.mispricing[place] == pytest.approx(10.0, abs=0.05)
    assert after.put.mispricing[place] == pytest.approx(10.0, abs=0.05)
    assert after.call.mispricing_volatility[place] > 0.0


def test_a_kept_smile_moves_with_the_forward_and_is_not_fitted() -> None:
    """Without a refit the same smile comes back, and theoretical prices are read off it at the present forward."""
    first = annotate(made_up())
    moved = annotate(made_up(), future=FORWARD + 10.0, smile=first.smile, refit=False)
    assert moved.smile is first.smile
    expected = price(
        FORWARD + 10.0,
        STRIKES,
        YEARS,
        RATE,
        first.smile.theoretical_volatility(STRIKES, FORWARD + 10.0),
        is_call=True,
    )
    np.testing.assert_allclose(moved.call.theoretical, expected, rtol=1e-12)


def test_a_smile_that_knows_nothing_is_fitted_anew() -> None:
    """Keeping no smile would keep the chain blind: it is fitted although no refit was asked."""
    none = annotate(made_up())._replace().smile._replace(grade=SmileGrade.NONE)
    assert annotate(made_up(), smile=none, refit=False).smile.grade is SmileGrade.A


def test_a_refit_starts_from_the_smile_given() -> None:
    """Warm and cold give the same chain to a hundredth of a point."""
    cold = annotate(made_up())
    warm = annotate(made_up(), smile=cold.smile)
    assert warm.smile is not cold.smile
    np.testing.assert_allclose(warm.call.theoretical, cold.call.theoretical, atol=0.01)


def test_build_up_per_side_with_thresholds() -> None:
    """Each option has the class of its own changes, past the thresholds set."""
    size = STRIKES.size
    nan = np.full(size, math.nan)
    up, down = np.full(size, 5.0), np.full(size, -5.0)
    up[0] = 0.5
    extras = annotate(
        made_up(),
        activity=(SideActivity(up, down, nan, nan), SideActivity(down, up * 2, nan, nan)),
        settings=ExtrasSettings(price_threshold=1.0, open_interest_threshold=2.0),
    )
    assert extras.call.build_up[0] == BuildUp.NEUTRAL
    assert (extras.call.build_up[1:] == BuildUp.SHORT_COVERING).all()
    assert (extras.put.build_up[1:] == BuildUp.SHORT_BUILD_UP).all()
    assert (annotate(made_up()).call.build_up == BuildUp.UNKNOWN).all()


def test_prices_spreads_and_liquidity() -> None:
    """Parts add up to the mid, the spread is the quote's, and depth makes the score."""
    quotes = made_up()
    thin, thick = np.full(STRIKES.size, 1.0), np.full(STRIKES.size, 100.0 * LOT)
    nan = np.full(STRIKES.size, math.nan)
    extras = annotate(quotes, activity=(SideActivity(nan, nan, thick, thick), SideActivity(nan, nan, thin, thin)))
    call = extras.call
    np.testing.assert_allclose(call.intrinsic + call.extrinsic, 0.5 * (quotes[0].bid + quotes[0].ask))
    np.testing.assert_allclose(call.spread, quotes[0].ask - quotes[0].bid)
    np.testing.assert_allclose(call.spread_percent, 200.0 * call.spread / (quotes[0].bid + quotes[0].ask))
    assert call.liquidity[MIDDLE] > extras.put.liquidity[MIDDLE] + 20.0
    assert ((call.liquidity >= 0.0) & (call.liquidity <= 100.0)).all()


def test_the_expiry_has_walls_exposure_and_skew() -> None:
    """The header's figures are there; the open interest peaks at the money, puts are dearer than calls."""
    extras = annotate(made_up(), settings=ExtrasSettings(walls=2))
    assert [wall.strike for wall in extras.walls.calls] == [24_250.0, 24_300.0]
    assert [wall.strike for wall in extras.walls.puts] == [24_200.0, 24_150.0]
    assert extras.gamma_exposure.total == pytest.approx(np.nansum(extras.gamma_exposure.net))
    assert extras.gamma_exposure.total < 0.0
    assert extras.skew_is_fitted
    assert extras.skew.risk_reversal < 0.0


def test_a_poor_smile_leaves_the_skew_to_the_quotes() -> None:
    """Where the curve is graded C the skew is interpolated, and said to be."""
    quotes = made_up()
    jumpy = np.where(np.arange(STRIKES.size) % 2, 1.3, 1.0)
    bad: Quotes = (
        quotes[0]._replace(bid=quotes[0].bid * jumpy, ask=quotes[0].ask * jumpy),
        quotes[1]._replace(bid=quotes[1].bid * jumpy, ask=quotes[1].ask * jumpy),
    )
    extras = annotate(bad)
    assert extras.smile.grade is SmileGrade.C
    assert not extras.skew_is_fitted
    assert math.isfinite(extras.skew.risk_reversal)


@pytest.mark.parametrize("garbage", [math.nan, 0.0, -5.0, math.inf])
def test_a_chain_of_garbage_has_reasons_not_errors(garbage: float) -> None:
    """Impossible quotes everywhere: no smile with a reason, no theoretical value, no score, and no exception."""
    column = np.full(STRIKES.size, garbage)
    side = SideQuotes(column, column, column, np.ones(STRIKES.size, dtype=np.bool_), column, column)
    extras = annotate((side, side), future=None)
    assert extras.smile.grade is SmileGrade.NONE
    assert extras.smile.reason == "no forward"
    for columns in (extras.call, extras.put):
        for name in ("theoretical", "mispricing", "extrinsic", "intrinsic", "liquidity", "spread"):
            assert np.isnan(getattr(columns, name)).all(), name
    assert extras.walls.calls == ()
    assert math.isnan(extras.skew.risk_reversal)
    assert extras.skew.reason != ""


def test_an_empty_chain_is_empty() -> None:
    """No strikes: empty columns."""
    empty = np.empty(0)
    side = SideQuotes(empty, empty, empty, np.empty(0, dtype=np.bool_), empty, empty)
    marks = mark_chain(empty, side, side, years=YEARS, rate=RATE)
    nothing = no_activity(0)
    extras = annotate_chain(marks, side, side, nothing, nothing, years=YEARS, rate=RATE, lot_size=LOT, tick=TICK)
    assert all(column.shape == (0,) for column in extras.call)
    assert math.isnan(extras.gamma_exposure.total)


def test_after_the_expiry_there_is_no_smile() -> None:
    """At the last instant prices have parts and spreads, and no volatility."""
    extras = annotate(made_up(), years=0.0)
    assert extras.smile.reason == "no time left to the expiry"
    assert np.isnan(extras.call.theoretical).all()
    assert math.isfinite(extras.call.intrinsic[0])
    assert math.isfinite(extras.call.spread[0])


def test_last_trades_are_not_taken_for_quotes() -> None:
    """Where a side has no two-sided quote its last trade enters with the uncertainty of one."""
    call, put = made_up()
    unquoted = np.full(STRIKES.size, math.nan)
    quotes = (call._replace(bid=unquoted), put._replace(bid=unquoted))
    smile = fit_marked(mark(quotes, future=FORWARD), *quotes, years=YEARS)
    assert smile.grade is SmileGrade.B
    assert smile.reason.startswith("0% of the strikes have a two-sided quote")


def test_no_input_is_changed() -> None:
    """Read-only quotes are enough."""
    call, put = made_up()
    for column in (*call, *put):
        column.flags.writeable = False
    assert annotate((call, put)).smile.grade is SmileGrade.A


def annotate_real(chain: RealChain) -> tuple[ChainMarks, ChainExtras]:
    """The real close, marked and annotated."""
    marks = mark_chain(chain.strikes, chain.call, chain.put, years=chain.years, rate=RATE, spot=chain.spot)
    nothing = no_activity(chain.strikes.size)
    extras = annotate_chain(
        marks, chain.call, chain.put, nothing, nothing, years=chain.years, rate=RATE, lot_size=LOT, tick=TICK
    )
    return marks, extras


@needs_snapshot
def test_real_snapshot_is_priced_by_its_own_smile() -> None:
    """Within 500 points of the forward every theoretical value is within 2 points of the mid, and the grade is A."""
    chain = real_chain()
    marks, extras = annotate_real(chain)
    assert marks.forward.source is ForwardSource.PARITY
    assert extras.smile.grade is SmileGrade.A
    near = np.abs(chain.strikes - marks.forward.forward) <= 500.0
    sides: tuple[tuple[SideExtras, BoolArray], ...] = (
        (extras.call, chain.strikes >= marks.forward.forward),
        (extras.put, chain.strikes < marks.forward.forward),
    )
    for side, out_of_money in sides:
        assert np.abs(side.mispricing[near & out_of_money]).max() < 2.0
        assert np.isfinite(side.theoretical).all()


@needs_snapshot
def test_real_snapshot_header() -> None:
    """The close's measured shape: puts dearer by about a point, round strikes for walls, a tight market near it."""
    chain = real_chain()
    marks, extras = annotate_real(chain)
    assert extras.skew.risk_reversal == pytest.approx(-0.0109, abs=0.001)
    assert extras.skew.butterfly == pytest.approx(0.0034, abs=0.001)
    assert extras.walls.calls[0].strike == 24_500.0
    assert extras.walls.puts[0].strike == 23_000.0
    assert extras.gamma_exposure.unknown == 0
    at_the_money = int(np.argmin(np.abs(chain.strikes - marks.forward.forward)))
    assert extras.call.liquidity[at_the_money] > 75.0
    assert extras.call.liquidity[0] < 20.0
