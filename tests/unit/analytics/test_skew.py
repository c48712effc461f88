"""Skew and term structure against deltas priced independently, closed forms, and absent figures."""

from __future__ import annotations

import math
from functools import partial

import mpmath
import numpy as np
import pytest

from engine.analytics.arrays import FloatArray
from engine.analytics.greeks import greeks
from engine.analytics.skew import Skew, skew_on_quotes, skew_on_smile, term_structure
from engine.analytics.smile import Smile, no_smile
from engine.analytics.smile_fit import SmileQuotes, fit_smile
from tests.unit.analytics.smile_kit import FORWARD, RATE, STRIKES, YEARS, exact_quotes, true_volatility


@pytest.fixture(scope="module")
def smile() -> Smile:
    """A smile of the made-up expiry."""
    return fit_smile(STRIKES, exact_quotes(), forward=FORWARD, years=YEARS)


@pytest.mark.parametrize("delta", [0.1, 0.25, 0.4])
def test_the_wings_have_the_delta_asked_for(smile: Smile, delta: float) -> None:
    """Priced at the strikes and volatilities found, call and put have that delta."""
    skew = skew_on_smile(smile, rate=RATE, delta=delta)
    call = greeks(FORWARD, skew.call_strike, YEARS, RATE, skew.call_volatility, is_call=True).delta
    put = greeks(FORWARD, skew.put_strike, YEARS, RATE, skew.put_volatility, is_call=False).delta
    assert float(call) == pytest.approx(delta, abs=1e-9)
    assert float(put) == pytest.approx(-delta, abs=1e-9)
    assert skew.reason == ""
    for strike, volatility in ((skew.call_strike, skew.call_volatility), (skew.put_strike, skew.put_volatility)):
        assert volatility == pytest.approx(float(true_volatility(np.array([strike]))[0]), abs=1e-6)


def test_risk_reversal_and_butterfly_are_their_definitions(smile: Smile) -> None:
    """Call less put, and the wings' mean less the money, with high-precision roots of the true curve."""
    skew = skew_on_smile(smile, rate=RATE)

    def excess(k: mpmath.mpf, sign: int) -> mpmath.mpf:
        deviation = true_volatility(np.array([FORWARD * math.exp(float(k))]))[0] * math.sqrt(YEARS)
        d1 = -float(k) / deviation + 0.5 * deviation
        return math.exp(-RATE * YEARS) * float(mpmath.ncdf(sign * d1)) - 0.25

    places = []
    for sign in (1, -1):
        bracket = (0.001 * sign, 0.05 * sign)
        places.append(float(mpmath.findroot(partial(excess, sign=sign), bracket, solver="anderson", tol=1e-12)))
    call, put, atm = true_volatility(FORWARD * np.exp(np.array([*places, 0.0])))
    assert skew.risk_reversal == pytest.approx(call - put, abs=1e-6)
    assert skew.butterfly == pytest.approx(0.5 * (call + put) - atm, abs=1e-6)
    assert skew.atm_volatility == pytest.approx(atm, abs=1e-6)
    assert skew.risk_reversal < 0.0 < skew.butterfly


def test_the_skew_moves_with_the_forward(smile: Smile) -> None:
    """Under a later forward the strikes move and the volatilities stay."""
    at_home, moved = skew_on_smile(smile, rate=RATE), skew_on_smile(smile, rate=RATE, forward=1.01 * FORWARD)
    assert moved.call_strike == pytest.approx(1.01 * at_home.call_strike)
    assert moved.risk_reversal == pytest.approx(at_home.risk_reversal)


def quoted(strikes: FloatArray) -> Skew:
    """The skew between quotes of the true curve."""
    volatility = true_volatility(strikes)
    deltas = [greeks(FORWARD, strikes, YEARS, RATE, volatility, is_call=call).delta for call in (True, False)]
    return skew_on_quotes(
        strikes,
        FORWARD,
        call_delta=deltas[0],
        call_volatility=volatility,
        put_delta=deltas[1],
        put_volatility=volatility,
        atm_volatility=float(true_volatility(np.array([FORWARD]))[0]),
    )


def test_quotes_and_smile_agree(smile: Smile) -> None:
    """Interpolated between strikes 50 points apart the figures are those of the curve, to 0.02 vol points."""
    fitted, between = skew_on_smile(smile, rate=RATE), quoted(STRIKES)
    assert between.risk_reversal == pytest.approx(fitted.risk_reversal, abs=2e-4)
    assert between.butterfly == pytest.approx(fitted.butterfly, abs=2e-4)
    assert between.call_strike == pytest.approx(fitted.call_strike, abs=5.0)
    assert quoted(STRIKES[::-1]) == pytest.approx(between)


def test_nothing_is_extrapolated(smile: Smile) -> None:
    """A delta beyond the quoted strikes is none, on quotes and on the smile, and the side is named."""
    near = STRIKES[np.abs(STRIKES - FORWARD) < 120.0]
    skew = quoted(near)
    assert math.isnan(skew.risk_reversal)
    assert skew.reason == "25-delta call lies beyond the quoted strikes; 25-delta put lies beyond the quoted strikes"
    narrow = smile._replace(highest_strike=FORWARD + 60.0)
    one_sided = skew_on_smile(narrow, rate=RATE)
    assert one_sided.reason == "25-delta call lies beyond the quoted strikes"
    assert math.isfinite(one_sided.put_volatility)
    assert math.isnan(one_sided.risk_reversal)
    assert math.isnan(one_sided.butterfly)


def test_a_range_off_the_money_has_no_skew() -> None:
    """Where all quotes lie above the forward there is no put wing to read."""
    strikes = STRIKES[STRIKES > FORWARD]
    volatility = true_volatility(strikes)
    above = fit_smile(strikes, SmileQuotes(volatility, 0.001 + 0 * volatility), forward=FORWARD, years=YEARS)
    assert "put lies beyond" in skew_on_smile(above, rate=RATE).reason


def test_why_there_is_no_skew(smile: Smile) -> None:
    """No smile, no forward, no such delta, no quotes: the reason says which."""
    none = no_smile(STRIKES, FORWARD, YEARS, "no quotes")
    assert skew_on_smile(none, rate=RATE).reason == "no smile: no quotes"
    assert skew_on_smile(smile, rate=RATE, forward=math.nan).reason == "no forward"
    assert skew_on_smile(smile, rate=RATE, delta=0.5).reason == "a delta of 0.5 is not out of the money"
    nothing = np.full(3, math.nan)

    def unquoted(forward: float) -> Skew:
        return skew_on_quotes(
            [1.0, 2.0, 3.0],
            forward,
            call_delta=nothing,
            call_volatility=nothing,
            put_delta=nothing,
            put_volatility=nothing,
            atm_volatility=math.nan,
        )

    assert unquoted(2.0).reason.endswith("no at-the-money volatility")
    assert unquoted(math.nan).reason == "no forward"


def test_forward_volatility_adds_up() -> None:
    """The variances between expiries sum to the last one's, and the first is that from now."""
    structure = term_structure([1.0, 0.25, 0.5], [0.20, 0.16, 0.18])
    assert structure.years.tolist() == [0.25, 0.5, 1.0]
    assert structure.volatility.tolist() == [0.16, 0.18, 0.20]
    assert structure.forward_volatility[0] == pytest.approx(0.16)
    assert structure.forward_volatility[1] == pytest.approx(math.sqrt((0.18**2 * 0.5 - 0.16**2 * 0.25) / 0.25))
    gained = structure.forward_volatility**2 * np.diff(structure.years, prepend=0.0)
    assert gained.sum() == pytest.approx(0.20**2)


def test_falling_total_variance_has_no_forward_volatility() -> None:
    """No volatility of the time between explains it: NaN, and the later ones stand."""
    structure = term_structure([0.1, 0.2, 0.3], [0.30, 0.20, 0.25])
    assert np.isnan(structure.forward_volatility).tolist() == [False, True, False]


def test_expiries_without_a_figure_are_left_out() -> None:
    """Unknown volatilities and past expiries take no part; two of one instant have nothing between them."""
    structure = term_structure([0.1, 0.2, 0.0, 0.4, 0.4], [0.2, math.nan, 0.2, 0.2, 0.25])
    assert structure.years.tolist() == [0.1, 0.4, 0.4]
    assert np.isnan(structure.forward_volatility).tolist() == [False, False, True]
    assert term_structure([], []).years.size == 0
    with pytest.raises(ValueError, match="an element per expiry"):
        term_structure([0.1], [0.2, 0.3])
