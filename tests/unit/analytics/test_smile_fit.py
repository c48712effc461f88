"""The fitted smile: truth recovered, every strike judged by the others alone, grades, and refusals with reasons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from engine.analytics.arrays import FloatArray
from engine.analytics.chain import mark_chain
from engine.analytics.chain_extras import fit_marked
from engine.analytics.smile import Smile, SmileGrade
from engine.analytics.smile_fit import MINIMUM_STRIKES, MODEL_ERROR, SmileQuotes, fit_smile, smile_quotes
from engine.analytics.svi import SviParameters
from engine.analytics.svi_fit import HUBER_ERRORS
from tests.unit.analytics.smile_kit import (
    FORWARD,
    RATE,
    STRIKES,
    YEARS,
    exact_quotes,
    needs_snapshot,
    noisy_quotes,
    real_chain,
    true_volatility,
)

K = np.log(STRIKES / FORWARD)
MIDDLE = 30


def fit(quotes: SmileQuotes, strikes: FloatArray = STRIKES, previous: Smile | None = None) -> Smile:
    """A smile of the made-up expiry."""
    return fit_smile(strikes, quotes, forward=FORWARD, years=YEARS, previous=previous)


def changed(quotes: SmileQuotes, place: int, value: float) -> SmileQuotes:
    """The quotes with one volatility replaced."""
    volatility = quotes.volatility.copy()
    volatility[place] = value
    return SmileQuotes(volatility, quotes.uncertainty)


def test_quotes_on_a_curve_give_the_curve() -> None:
    """Without noise the smile is the truth, graded A, and every residual is nil."""
    smile = fit(exact_quotes())
    assert smile.grade is SmileGrade.A
    assert smile.reason == ""
    assert smile.strikes_used == STRIKES.size
    np.testing.assert_allclose(smile.volatility(STRIKES), true_volatility(STRIKES), atol=1e-7)
    np.testing.assert_allclose(smile.residual, 0.0, atol=1e-7)
    assert smile.rms_residual < 1e-7
    assert smile.within == 1.0
    assert (smile.lowest_strike, smile.highest_strike) == (STRIKES[0], STRIKES[-1])


def test_theoretical_of_a_strike_is_recovered_without_it() -> None:
    """On exact quotes the curve of all others passes through each left-out strike."""
    theoretical = fit(exact_quotes()).theoretical_volatility(STRIKES, FORWARD)
    np.testing.assert_allclose(theoretical, true_volatility(STRIKES), atol=1e-6)


@pytest.mark.parametrize("place", [0, 1, 13, MIDDLE, 47, STRIKES.size - 1])
@pytest.mark.parametrize("value", [0.001, 0.11, 0.5, 9.0, 500.0, math.nan, math.inf, -1.0])
@pytest.mark.parametrize("warm", [False, True])
def test_a_strikes_own_quote_never_moves_its_theoretical_value(place: int, value: float, *, warm: bool) -> None:
    """Whatever is quoted at a strike, or nothing, its own theoretical volatility is the same to the last bit."""
    quotes = noisy_quotes(11)
    previous = fit(noisy_quotes(12)) if warm else None
    before = fit(quotes, previous=previous).theoretical_volatility(STRIKES, FORWARD)[place]
    after = fit(changed(quotes, place, value), previous=previous).theoretical_volatility(STRIKES, FORWARD)[place]
    assert math.isfinite(before)
    assert after == before


@pytest.mark.parametrize("value", [0.0, 0.03, math.nan])
def test_a_strikes_own_spread_never_moves_its_theoretical_value(value: float) -> None:
    """Nor does how uncertain its quote is."""
    quotes = noisy_quotes(11)
    uncertainty = quotes.uncertainty.copy()
    uncertainty[MIDDLE] = value
    before = fit(quotes).theoretical_volatility(STRIKES, FORWARD)[MIDDLE]
    other = fit(SmileQuotes(quotes.volatility, uncertainty)).theoretical_volatility(STRIKES, FORWARD)
    assert other[MIDDLE] == before


def test_a_quote_does_move_the_other_strikes() -> None:
    """The independence is of the own quote only: a neighbour's theoretical value learns of it."""
    quotes = noisy_quotes(11)
    before = fit(quotes).theoretical_volatility(STRIKES, FORWARD)
    after = fit(changed(quotes, MIDDLE, 0.5)).theoretical_volatility(STRIKES, FORWARD)
    others = np.delete(np.arange(STRIKES.size), MIDDLE)
    assert (after[others] != before[others]).all()


def test_rows_of_one_strike_are_left_out_together() -> None:
    """A strike listed twice is one strike: neither row's quote judges the other's."""
    strikes = np.append(STRIKES, STRIKES[MIDDLE])
    quotes = SmileQuotes(*(np.append(column, column[MIDDLE]) for column in noisy_quotes(11)))
    before = fit(quotes, strikes).theoretical_volatility(strikes, FORWARD)
    after = fit(changed(quotes, strikes.size - 1, 0.6), strikes).theoretical_volatility(strikes, FORWARD)
    assert after[MIDDLE] == before[MIDDLE] == after[-1]


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 8])
def test_independence_holds_where_only_some_strikes_are_quoted(step: int) -> None:
    """Also when a regular part of the strikes is quoted, or so few that no fold is left to start from."""
    quotes = noisy_quotes(5)
    volatility = np.full(STRIKES.size, math.nan)
    volatility[::step] = quotes.volatility[::step]
    sparse = SmileQuotes(volatility, quotes.uncertainty)
    before = fit(sparse).theoretical_volatility(STRIKES, FORWARD)
    assert np.isfinite(before).all()
    for place in range(0, STRIKES.size, 2 * step):
        after = fit(changed(sparse, place, 0.3)).theoretical_volatility(STRIKES, FORWARD)
        assert after[place] == before[place]


@pytest.mark.parametrize("place", [0, MIDDLE, STRIKES.size - 2])
def test_leaving_out_agrees_with_a_general_solver(place: int) -> None:
    """The theoretical volatility is what scipy fits to the other strikes, to a hundredth of a vol point."""
    quotes = noisy_quotes(2)
    keep = np.delete(np.arange(STRIKES.size), place)
    volatility = quotes.volatility[keep]
    error = np.hypot(quotes.uncertainty[keep], MODEL_ERROR * volatility)

    def curve(x: FloatArray, k: FloatArray) -> FloatArray:
        a, b, tilt, m, log_sigma = x
        return np.asarray(a + b * (math.tanh(tilt) * (k - m) + np.sqrt((k - m) ** 2 + math.exp(2 * log_sigma))))

    def residual(x: FloatArray) -> FloatArray:
        return np.asarray((curve(x, K[keep]) - volatility**2 * YEARS) / (2.0 * volatility * YEARS * error))

    found = least_squares(
        residual,
        [1e-4, 0.02, 0.0, 0.0, math.log(0.03)],
        loss="soft_l1",
        f_scale=HUBER_ERRORS,
        x_scale=[1e-4, 0.01, 0.5, 0.01, 1.0],
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
        max_nfev=5_000,
    )
    expected = math.sqrt(float(curve(found.x, K[place : place + 1])[0]) / YEARS)
    assert fit(quotes).theoretical_volatility(STRIKES, FORWARD)[place] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("place", [3, MIDDLE, 55])
def test_a_broken_quote_hardly_moves_the_smile(place: int) -> None:
    """A volatility three times too high moves no other strike's value by a quarter of a vol point."""
    quotes = exact_quotes()
    smile = fit(changed(quotes, place, 3.0 * quotes.volatility[place]))
    others = np.delete(np.arange(STRIKES.size), place)
    np.testing.assert_allclose(smile.volatility(STRIKES)[others], quotes.volatility[others], atol=0.0025)
    assert smile.residual[place] == pytest.approx(2.0 * quotes.volatility[place], abs=0.0025)


def test_a_warm_fit_is_the_cold_fit() -> None:
    """Starting from another day's smile changes nothing that can be seen: 0.01 vol points."""
    quotes = noisy_quotes(6)
    cold, warm = fit(quotes), fit(quotes, previous=fit(noisy_quotes(7, 0.004)))
    np.testing.assert_allclose(warm.volatility(STRIKES), cold.volatility(STRIKES), atol=1e-4)
    cold_left, warm_left = (smile.theoretical_volatility(STRIKES, FORWARD) for smile in (cold, warm))
    np.testing.assert_allclose(warm_left, cold_left, atol=1e-4)


def test_a_warm_fit_survives_a_jump_of_the_market() -> None:
    """After volatility doubles and the forward moves, the old smile is still a start that finds the new one."""
    old = fit(exact_quotes())
    moved = SmileQuotes(2.0 * exact_quotes().volatility, exact_quotes().uncertainty)
    warm = fit_smile(STRIKES, moved, forward=1.01 * FORWARD, years=YEARS, previous=old)
    cold = fit_smile(STRIKES, moved, forward=1.01 * FORWARD, years=YEARS)
    np.testing.assert_allclose(warm.volatility(STRIKES), cold.volatility(STRIKES), atol=2e-4)


def test_a_poor_smile_is_no_start() -> None:
    """A previous smile that is not of grade A is not built upon: the answer is the cold one."""
    poor = fit(exact_quotes())._replace(grade=SmileGrade.C, row=np.full(5, math.nan))
    quotes = noisy_quotes(8)
    assert (fit(quotes, previous=poor).left_out == fit(quotes).left_out).all()


def test_the_fit_is_deterministic() -> None:
    """Twice the same is the same."""
    assert (fit(noisy_quotes(9)).left_out == fit(noisy_quotes(9)).left_out).all()


def test_the_order_of_strikes_does_not_matter() -> None:
    """Rows upside down give the same smile."""
    quotes = noisy_quotes(9)
    turned = fit(SmileQuotes(quotes.volatility[::-1], quotes.uncertainty[::-1]), STRIKES[::-1])
    np.testing.assert_allclose(turned.volatility(STRIKES), fit(quotes).volatility(STRIKES), atol=2e-5)


def test_few_strikes_lower_the_grade() -> None:
    """Seven good strikes make a B, and the reason says how many an A needs."""
    strikes = STRIKES[MIDDLE - 3 : MIDDLE + 4]
    smile = fit(exact_quotes(strikes), strikes)
    assert smile.grade is SmileGrade.B
    assert smile.reason == "7 strikes, 10 make an A"


def test_one_sided_strikes_lower_the_grade() -> None:
    """With nothing quoted above the forward the curve is half a guess: C."""
    strikes = STRIKES[STRIKES < FORWARD]
    smile = fit(exact_quotes(strikes), strikes)
    assert smile.grade is SmileGrade.C
    assert "0 strikes on one side of the forward" in smile.reason


def test_scattered_quotes_lower_the_grade() -> None:
    """Quotes no smooth curve meets within their error are not called good."""
    zigzag = np.where(np.arange(STRIKES.size) % 2, 1.15, 0.87)
    smile = fit(SmileQuotes(exact_quotes().volatility * zigzag, np.full(STRIKES.size, 0.0005)))
    assert smile.grade is SmileGrade.C
    assert "met within their error" in smile.reason
    assert smile.rms_residual > 0.005


def test_prices_without_quotes_lower_the_grade() -> None:
    """A smile from last trades alone is fitted, but is no A, and says why."""
    smile = fit(SmileQuotes(exact_quotes().volatility, np.full(STRIKES.size, math.nan)))
    assert smile.grade is SmileGrade.B
    assert smile.reason == "0% of the strikes have a two-sided quote, 50% make an A"


def test_arbitrage_lowers_the_grade() -> None:
    """Quotes on the standard example of a negative density are fitted well, and still are a C that says why."""
    vogt = SviParameters(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)
    strikes = FORWARD * np.exp(np.linspace(-1.2, 1.2, 61))
    volatility = true_volatility(strikes, vogt)
    smile = fit_smile(strikes, SmileQuotes(volatility, np.full(61, 0.0005)), forward=FORWARD, years=YEARS)
    assert smile.rms_residual < 1e-4
    assert smile.grade is SmileGrade.C
    assert smile.reason == "butterfly arbitrage between the quotes"
    assert smile.butterfly.least_density < -0.01


def test_too_few_strikes_is_no_smile() -> None:
    """Six strikes cannot judge five parameters: no numbers, and how many are needed."""
    strikes = STRIKES[: MINIMUM_STRIKES - 1]
    smile = fit(exact_quotes(strikes), strikes)
    assert smile.grade is SmileGrade.NONE
    assert smile.reason == "6 strikes have a usable volatility; 7 are needed"
    assert np.isnan(smile.volatility(strikes)).all()
    assert np.isnan(smile.theoretical_volatility(strikes, FORWARD)).all()
    assert math.isnan(smile.rms_residual)


def test_one_strike_many_times_is_one_strike() -> None:
    """Rows of one strike do not make a smile."""
    strikes = np.full(20, 24_200.0)
    assert fit(exact_quotes(strikes), strikes).reason == "1 strikes have a usable volatility; 7 are needed"


@pytest.mark.parametrize(
    ("forward", "years", "reason"),
    [
        (FORWARD, 0.0, "no time left to the expiry"),
        (FORWARD, -0.1, "no time left to the expiry"),
        (FORWARD, math.nan, "no time left to the expiry"),
        (math.nan, YEARS, "no forward"),
        (0.0, YEARS, "no forward"),
        (math.inf, YEARS, "no forward"),
    ],
)
def test_without_time_or_forward_there_is_no_smile(forward: float, years: float, reason: str) -> None:
    """What is missing is named."""
    smile = fit_smile(STRIKES, exact_quotes(), forward=forward, years=years)
    assert (smile.grade, smile.reason) == (SmileGrade.NONE, reason)


def test_an_empty_chain_has_no_smile() -> None:
    """No strikes, no smile, no exception."""
    empty = np.empty(0)
    smile = fit(SmileQuotes(empty, empty), empty)
    assert smile.grade is SmileGrade.NONE
    assert smile.theoretical_volatility(empty, FORWARD).shape == (0,)


def test_very_uncertain_quotes_take_no_part() -> None:
    """A volatility uncertain by more than half of itself is not used, and is not counted."""
    quotes = exact_quotes()
    uncertainty = quotes.uncertainty.copy()
    uncertainty[:5] = 1.0
    smile = fit(SmileQuotes(quotes.volatility, uncertainty))
    assert smile.strikes_used == STRIKES.size - 5
    assert np.isnan(smile.residual[:5]).all()
    assert smile.lowest_strike == STRIKES[5]


def test_foreign_columns_are_refused() -> None:
    """Columns of another length are refused in words."""
    with pytest.raises(ValueError, match="an element per strike"):
        fit(SmileQuotes(np.ones(3), np.ones(3)))


def test_the_out_of_the_money_side_is_taken() -> None:
    """Below the forward the put speaks, at and above it the call; uncertainty is half the spread over vega."""
    one, nan = np.ones(3), math.nan
    quotes = smile_quotes(
        np.array([90.0, 100.0, 110.0]),
        100.0,
        call_volatility=0.1 * one,
        put_volatility=0.2 * one,
        call_vega=np.array([1.0, 0.5, 0.25]),
        put_vega=np.array([0.2, 1.0, 1.0]),
        call_spread=np.array([9.0, 1.0, nan]),
        put_spread=np.array([0.4, 9.0, 9.0]),
    )
    assert quotes.volatility.tolist() == [0.2, 0.1, 0.1]
    np.testing.assert_allclose(quotes.uncertainty, [0.01, 0.01, nan])


@needs_snapshot
def test_real_snapshot_is_fitted_with_the_best_grade() -> None:
    """Ninety-nine real strikes from 12 % below to 9 % above: one curve, 0.2 vol points apart, free of arbitrage."""
    chain = real_chain()
    marks = mark_chain(chain.strikes, chain.call, chain.put, years=chain.years, rate=RATE, spot=chain.spot)
    smile = fit_marked(marks, chain.call, chain.put, years=chain.years)
    assert smile.grade is SmileGrade.A, smile.reason
    assert smile.strikes_used >= 95
    assert smile.rms_residual < 0.002
    assert smile.butterfly.free_everywhere
    near = np.abs(chain.strikes - marks.forward.forward) < 500.0
    assert np.abs(smile.residual[near]).max() < 0.004
    left_out = smile.theoretical_volatility(chain.strikes, marks.forward.forward)
    np.testing.assert_allclose(left_out[near], smile.volatility(chain.strikes)[near], atol=5e-4)
    assert float(smile.volatility(marks.forward.forward)) == pytest.approx(marks.statistics.atm_volatility, abs=0.001)


@needs_snapshot
def test_real_snapshot_call_and_put_agree_on_the_parity_forward() -> None:
    """At one strike the volatilities of call and put differ by no more than their spreads make them uncertain."""
    chain = real_chain()
    marks = mark_chain(chain.strikes, chain.call, chain.put, years=chain.years, rate=RATE, spot=chain.spot)
    gap = np.abs(marks.call.volatility - marks.put.volatility)
    widths = [
        0.01 * (side.ask - side.bid) / mark.greeks.vega
        for side, mark in ((chain.call, marks.call), (chain.put, marks.put))
    ]
    near = np.abs(chain.strikes - marks.forward.forward) <= 250.0
    assert np.isfinite(gap[near]).all()
    assert near.sum() >= 9
    # Half of either spread, and what the forward itself may be off.
    forward_error = 0.01 * 2.0 * marks.forward.dispersion / marks.call.greeks.vega
    assert (gap[near] <= 0.5 * (widths[0] + widths[1])[near] + forward_error[near]).all()
