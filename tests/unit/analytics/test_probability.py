"""Probability of profit and expected value: closed forms, simulation, smiles with and without arbitrage, reasons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.legs import LegKind, Legs, make_legs, net_greeks
from engine.analytics.payoff import payoff, profit
from engine.analytics.probability import (
    Distribution,
    Outlook,
    OutlookReason,
    PriceDistribution,
    SmileCurve,
    outlook,
    price_distribution,
    probability_above,
)
from engine.analytics.smile_fit import SmileQuotes, fit_smile
from tests.unit.analytics.plain_kernels import no_legs

RATE = 0.065
FORWARD, VOLATILITY = 24_400.0, 0.13
NEAR, FAR = 6 / 365, 34 / 365
CALL, PUT = LegKind.CALL, LegKind.PUT


class Skew:
    """A smile without arbitrage: total variance as a hyperbola in log-moneyness, higher below the money."""

    def __init__(self, slope: float = 0.004, tilt: float = -0.5) -> None:
        self.slope = slope
        self.tilt = tilt

    def volatility(self, strikes: FloatArray, /, *, forward: float) -> FloatArray:
        """The square root of total variance over the years of the near expiry."""
        k = np.log(strikes / forward)
        variance = VOLATILITY**2 * NEAR + self.slope * (self.tilt * k + np.sqrt(k * k + 9e-4) - 0.03)
        return np.asarray(np.sqrt(variance / NEAR))


class Kinked:
    """A smile with a hump that no arbitrage-free market could show."""

    def volatility(self, strikes: FloatArray, /, *, forward: float) -> FloatArray:
        """A narrow hump just above the money."""
        k = np.log(strikes / forward)
        return np.asarray(VOLATILITY + 0.05 * np.exp(-(((k - 0.01) / 0.002) ** 2)))


class Broken:
    """A smile that ends."""

    def volatility(self, strikes: FloatArray, /, *, forward: float) -> FloatArray:
        """Known near the money only."""
        return np.where(np.abs(strikes / forward - 1.0) < 0.02, VOLATILITY, np.nan)


def above(level: float, volatility: float = VOLATILITY, years: float = NEAR) -> float:
    """The closed form of the lognormal."""
    deviation = volatility * math.sqrt(years)
    return float(ndtr(math.log(FORWARD / level) / deviation - 0.5 * deviation))


def options(kind: list[LegKind], quantity: list[float], strike: list[float], entry: list[float]) -> Legs:
    """Legs of one expiry."""
    return make_legs(
        kind, quantity, strike=strike, entry_price=entry, years=NEAR, forward=FORWARD, volatility=VOLATILITY
    )


def condor() -> Legs:
    """A short iron condor."""
    return options([PUT, PUT, CALL, CALL], [75, -75, -75, 75], [23_500, 23_800, 24_900, 25_200], [12, 40, 45, 13])


def look(legs: Legs, smile: SmileCurve | None = None, volatility: float = math.nan, charges: float = 0.0) -> Outlook:
    """The outlook of the legs' own picture."""
    picture = payoff(legs, [FORWARD], rate=RATE, charges=charges)
    return outlook(legs, picture, rate=RATE, charges=charges, smile=smile, volatility=volatility)


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        pytest.param(options([CALL], [75], [24_500], [90.0]), above(24_590), id="long call"),
        pytest.param(options([PUT], [-75], [24_200], [80.0]), above(24_120), id="short put"),
        pytest.param(
            options([CALL, PUT], [75, 75], [24_400] * 2, [150] * 2), 1 - above(24_100) + above(24_700), id="straddle"
        ),
        pytest.param(condor(), above(23_740) - above(24_960), id="condor"),
        pytest.param(options([CALL, CALL], [75, -150], [24_400, 24_700], [150, 80]), 1 - above(25_010), id="ratio"),
        pytest.param(
            make_legs(LegKind.FUTURE, [1.0], entry_price=24_300.0, forward=FORWARD, years=NEAR),
            above(24_300),
            id="future",
        ),
    ],
)
def test_probability_of_profit_is_the_closed_form_of_the_lognormal(legs: Legs, expected: float) -> None:
    """Without a smile the probability between the break-evens is the difference of two normal distributions."""
    result = look(legs, volatility=VOLATILITY)
    assert result.distribution is Distribution.LOGNORMAL
    assert result.reason is OutlookReason.NO_SMILE
    assert result.probability_of_profit == pytest.approx(expected, abs=1e-8)


def test_the_lognormal_agrees_with_a_simulation() -> None:
    """Probability and expected value lie within three standard errors of a million simulated expiries."""
    deviation = VOLATILITY * math.sqrt(NEAR)
    random = np.random.default_rng(20_240_101)
    ends = FORWARD * np.exp(deviation * random.standard_normal(1_000_000) - 0.5 * deviation**2)
    for legs in (condor(), options([CALL, CALL], [75, -150], [24_400, 24_700], [150, 80])):
        gains = profit(legs, ends, rate=RATE, elapsed=NEAR, charges=200.0)
        result = look(legs, volatility=VOLATILITY, charges=200.0)
        share = float((gains > 0.0).mean())
        assert abs(result.probability_of_profit - share) < 3 * math.sqrt(share * (1 - share) / gains.size)
        assert abs(result.expected_value - gains.mean()) < 3 * gains.std() / math.sqrt(gains.size)


def test_a_simulation_of_mixed_expiries_agrees_too() -> None:
    """A calendar spread's value at the near expiry is a curve; its expectation is still that of the simulation."""
    legs = make_legs(
        [CALL, CALL], [-75, 75], strike=24_400.0, entry_price=[160.0, 420.0], years=[NEAR, FAR],
        forward=[FORWARD, 24_500.0], volatility=VOLATILITY,
    )  # fmt: skip
    deviation = VOLATILITY * math.sqrt(NEAR)
    random = np.random.default_rng(77)
    ends = FORWARD * np.exp(deviation * random.standard_normal(400_000) - 0.5 * deviation**2)
    gains = profit(legs, ends, rate=RATE, elapsed=NEAR)
    result = look(legs, volatility=VOLATILITY)
    share = float((gains > 0.0).mean())
    assert abs(result.probability_of_profit - share) < 3 * math.sqrt(share * (1 - share) / gains.size)
    assert abs(result.expected_value - gains.mean()) < 3 * gains.std() / math.sqrt(gains.size)


def test_bought_at_the_model_a_strategy_expects_the_interest_on_its_premium() -> None:
    """The expected value at expiry is the undiscounted model value less what was paid, to rounding."""
    legs = condor()
    undiscounted = net_greeks(legs, rate=0.0).value
    result = look(legs, volatility=VOLATILITY, charges=100.0)
    paid = float(legs.weight @ legs.entry_price)
    assert result.expected_value == pytest.approx(undiscounted - paid - 100.0, abs=1e-6)


def test_under_a_smile_the_expected_value_is_the_smile_s_own_price() -> None:
    """Each leg is expected to end at what the smile says it is worth, undiscounted: strikes are integrated exactly."""
    smile = Skew()
    for strike in (23_700.0, 24_400.0, 24_650.0):
        for kind in (CALL, PUT):
            result = look(options([kind], [1.0], [strike], [0.05]), smile)
            volatility = smile.volatility(np.array([strike]), forward=FORWARD)
            fair = price(FORWARD, strike, NEAR, 0.0, volatility, is_call=kind == CALL)
            assert result.distribution is Distribution.SMILE
            assert result.reason is OutlookReason.OK
            assert result.expected_value == pytest.approx(float(fair[0]) - 0.05, abs=1e-6)
            assert result.repair < 1e-8


def test_a_fitted_smile_serves_as_the_curve() -> None:
    """The desk's own fitted smile gives the distribution, and the price it would give the option is expected."""
    strikes = np.arange(23_000.0, 26_000.0, 50.0)
    quotes = SmileQuotes(Skew().volatility(strikes, forward=FORWARD), np.full(strikes.shape, 0.001))
    smile = fit_smile(strikes, quotes, forward=FORWARD, years=NEAR)
    result = look(options([CALL], [1.0], [24_600.0], [50.0]), smile)
    fair = price(FORWARD, 24_600.0, NEAR, 0.0, smile.volatility(np.array([24_600.0])), is_call=True)
    assert result.distribution is Distribution.SMILE
    assert result.expected_value == pytest.approx(float(fair[0]) - 50.0, abs=1e-6)


def test_under_a_smile_the_probability_is_the_price_of_a_digital() -> None:
    """It contains the skew term: minus the slope of the call price, found by differences of the pricing function."""
    smile = Skew()
    level, step = 24_590.0, 0.5
    strikes = np.array([level - step, level + step])
    calls = price(FORWARD, strikes, NEAR, 0.0, smile.volatility(strikes, forward=FORWARD), is_call=True)
    digital = float(calls[0] - calls[1]) / (2 * step)
    result = look(options([CALL], [75], [24_500], [90.0]), smile)
    assert result.probability_of_profit == pytest.approx(digital, abs=1e-6)
    assert abs(result.probability_of_profit - above(level)) > 0.005


@pytest.mark.parametrize(
    "smile", [None, Skew(), Skew(0.006, -0.7), Kinked()], ids=["flat", "skew", "steep", "arbitrage"]
)
@pytest.mark.parametrize("years", [5 / 525_600, NEAR, 1.0, 5.0])
def test_a_distribution_is_one(smile: SmileCurve | None, years: float) -> None:
    """Masses are not negative and sum to one, the mean is the forward, tails never rise: whatever the smile."""
    spread = price_distribution(
        FORWARD, years, smile=smile, volatility=VOLATILITY, strikes=np.array([24_000.0]), levels=np.array([24_321.0])
    )
    assert (spread.masses >= 0.0).all()
    assert spread.masses.sum() == pytest.approx(1.0, abs=1e-12)
    assert spread.masses @ spread.prices == pytest.approx(FORWARD, rel=1e-9)
    assert (np.diff(spread.above) <= 0.0).all()
    assert (np.diff(spread.prices) > 0.0).all()


def test_arbitrage_is_repaired_and_told() -> None:
    """A humped smile would give negative probabilities; the answer has none and says how much was changed."""
    spread = price_distribution(FORWARD, NEAR, smile=Kinked())
    assert spread.kind is Distribution.SMILE
    assert spread.repair > 0.01
    assert price_distribution(FORWARD, NEAR, smile=Skew()).repair < 1e-8
    result = look(condor(), Kinked())
    assert 0.0 < result.probability_of_profit < 1.0
    assert result.repair > 0.01


def test_a_steep_wing_moves_the_ends_outwards() -> None:
    """Where the smile's wings are fat the range is widened until nothing is left outside."""

    class Fat:
        """Volatility that grows with distance."""

        def volatility(self, strikes: FloatArray, /, *, forward: float) -> FloatArray:
            """Square root growth of the total variance, the most a market can show being twice that."""
            k = np.abs(np.log(strikes / forward))
            return np.asarray(np.sqrt((VOLATILITY**2 * NEAR + k) / NEAR))

    narrow = price_distribution(FORWARD, NEAR, volatility=VOLATILITY)
    wide = price_distribution(FORWARD, NEAR, smile=Fat())
    assert wide.prices[-1] > 2 * narrow.prices[-1]
    assert wide.masses @ wide.prices == pytest.approx(FORWARD, rel=1e-9)


def test_an_incomplete_smile_falls_back_and_says_so() -> None:
    """A smile without wings is not extrapolated: lognormal, by name, or nothing without a volatility."""
    result = look(condor(), Broken(), VOLATILITY)
    assert result.distribution is Distribution.LOGNORMAL
    assert result.reason is OutlookReason.SMILE_INCOMPLETE
    assert result.probability_of_profit == look(condor(), volatility=VOLATILITY).probability_of_profit
    missing = look(condor(), Broken())
    assert missing.distribution is Distribution.NONE
    assert missing.reason is OutlookReason.NO_VOLATILITY
    assert math.isnan(missing.probability_of_profit)
    assert math.isnan(missing.expected_value)


@pytest.mark.parametrize("hole", [(0.0, 0.9), (1.005, 1.006)], ids=["wing", "middle"])
def test_a_hole_anywhere_in_the_smile_is_noticed(hole: tuple[float, float]) -> None:
    """One missing stretch is enough to distrust the smile."""

    class Holed:
        """Flat, with a stretch missing."""

        def volatility(self, strikes: FloatArray, /, *, forward: float) -> FloatArray:
            """NaN inside the hole."""
            inside = (strikes / forward > hole[0]) & (strikes / forward < hole[1])
            return np.where(inside, np.nan, VOLATILITY)

    assert price_distribution(FORWARD, NEAR, smile=Holed()).reason is OutlookReason.NO_VOLATILITY


@pytest.mark.parametrize(
    ("forward", "years", "volatility", "reason"),
    [
        (math.nan, NEAR, 0.1, OutlookReason.NO_FORWARD),
        (0.0, NEAR, 0.1, OutlookReason.NO_FORWARD),
        (math.inf, NEAR, 0.1, OutlookReason.NO_FORWARD),
        (FORWARD, 0.0, 0.1, OutlookReason.NO_TIME),
        (FORWARD, math.nan, 0.1, OutlookReason.NO_TIME),
        (FORWARD, NEAR, math.nan, OutlookReason.NO_VOLATILITY),
        (FORWARD, NEAR, 0.0, OutlookReason.NO_VOLATILITY),
        (FORWARD, NEAR, -0.1, OutlookReason.NO_VOLATILITY),
        (FORWARD, NEAR, math.inf, OutlookReason.NO_VOLATILITY),
    ],
)
def test_without_a_distribution_there_is_a_reason(
    forward: float, years: float, volatility: float, reason: OutlookReason
) -> None:
    """Garbage in: a reason, no exception, no probability."""
    spread: PriceDistribution = price_distribution(forward, years, volatility=volatility)
    assert spread.kind is Distribution.NONE
    assert spread.reason is reason
    assert np.isnan(probability_above(spread, np.array([FORWARD]))).all()


def test_unknown_payoffs_and_reached_expiries_have_no_outlook() -> None:
    """A leg without entry price, unknown charges, or an expiry that has come give NaN and a reason."""
    unpriced = condor()._replace(entry_price=np.array([12, 40, math.nan, 13]))
    assert look(unpriced, volatility=VOLATILITY).reason is OutlookReason.NO_PAYOFF
    assert look(condor(), volatility=VOLATILITY, charges=math.nan).reason is OutlookReason.NO_PAYOFF
    over = condor()._replace(years=np.zeros(4))
    result = look(over, volatility=VOLATILITY)
    assert result.reason is OutlookReason.NO_TIME
    assert math.isnan(result.probability_of_profit)


def test_without_market_legs_the_outcome_is_certain() -> None:
    """Cash alone, or nothing at all, has a sure result."""
    cash = look(make_legs(LegKind.CASH, [250.0], entry_price=0.0))
    assert (cash.probability_of_profit, cash.expected_value, cash.reason) == (1.0, 250.0, OutlookReason.OK)
    nothing = look(no_legs(), charges=10.0)
    assert (nothing.probability_of_profit, nothing.expected_value) == (0.0, -10.0)


def test_a_zero_plateau_is_no_profit() -> None:
    """Where a strategy ends exactly even it has not made a profit."""
    legs = options([CALL], [-75], [24_400], [0.0])
    result = look(legs, volatility=VOLATILITY)
    assert result.probability_of_profit == 0.0
    never = options([CALL, CALL], [75, -75], [24_400, 24_400], [1.0, 0.0])
    assert look(never, volatility=VOLATILITY).probability_of_profit == 0.0
    always = options([CALL, CALL], [75, -75], [24_400, 24_400], [0.0, 1.0])
    assert look(always, volatility=VOLATILITY).probability_of_profit == pytest.approx(1.0, abs=1e-12)
