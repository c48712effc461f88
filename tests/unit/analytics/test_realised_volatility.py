"""Realised volatility: hand computations, closed forms, simulated markets of known volatility, gaps, cones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.arrays import FloatArray
from engine.analytics.realised_volatility import (
    Candles,
    Estimator,
    VolatilityReason,
    candles_per_year,
    realised_volatility,
    volatility_cone,
    volatility_spread,
)

DAYS = 252.0
OK, TOO_FEW, GAP = VolatilityReason.OK, VolatilityReason.TOO_FEW, VolatilityReason.GAP
INSIDE = (Estimator.PARKINSON, Estimator.GARMAN_KLASS, Estimator.ROGERS_SATCHELL)
"""Estimators that see nothing of the night and need no candle before the window."""

HAND = Candles(
    open=[100.0, 102.0, 101.0, 103.0],
    high=[103.0, 104.0, 104.0, 105.0],
    low=[99.0, 100.0, 100.0, 101.0],
    close=[102.0, 101.0, 103.0, 104.0],
)


def simulated(
    days: int, *, volatility: float = 0.2, drift: float = 0.0, night: float = 0.0, steps: int = 400, seed: int = 11
) -> Candles:
    """Days of a geometric Brownian motion with ``night`` (a share of the day's variance) between them."""
    random = np.random.default_rng(seed)
    daily = volatility / math.sqrt(DAYS)
    inside = random.normal(0.0, daily * math.sqrt((1.0 - night) / steps), (days, steps)) + drift / DAYS / steps
    jumps = random.normal(0.0, daily * math.sqrt(night), days)
    path = np.concatenate((np.zeros((days, 1)), inside.cumsum(axis=1)), axis=1)
    opens = np.concatenate(([0.0], (path[:, -1] + jumps).cumsum()[:-1]))
    prices = 24_000.0 * np.exp(opens[:, None] + path)
    return Candles(prices[:, 0], prices.max(axis=1), prices.min(axis=1), prices[:, -1])


def annual(estimator: Estimator, candles: Candles, window: int) -> FloatArray:
    """Volatility of daily candles."""
    return realised_volatility(estimator, candles, window=window, periods_per_year=DAYS).volatility


def independent(estimator: Estimator, candles: Candles, window: int) -> FloatArray:
    """Variances of windows that share no candle."""
    variance: FloatArray = annual(estimator, candles, window)[window :: window + 1] ** 2
    return variance


def test_close_to_close_by_hand() -> None:
    """Three returns of four closes: their sample standard deviation, times the root of 252."""
    returns = [math.log(101 / 102), math.log(103 / 101), math.log(104 / 103)]
    mean = sum(returns) / 3
    expected = math.sqrt(sum((value - mean) ** 2 for value in returns) / 2 * 252)
    result = realised_volatility(Estimator.CLOSE, HAND, window=3, periods_per_year=DAYS)
    assert result.volatility[3] == pytest.approx(expected, rel=1e-14)
    assert result.reason.tolist() == [TOO_FEW, TOO_FEW, TOO_FEW, OK]


def test_parkinson_by_hand() -> None:
    """Two ranges: the mean of their squared logarithms over 4 ln 2."""
    expected = math.sqrt((math.log(103 / 99) ** 2 + math.log(104 / 100) ** 2) / 2 / (4 * math.log(2)) * 252)
    result = realised_volatility(Estimator.PARKINSON, HAND, window=2, periods_per_year=DAYS)
    assert result.volatility[1] == pytest.approx(expected, rel=1e-14)
    assert result.reason.tolist() == [TOO_FEW, OK, OK, OK]


def test_garman_klass_by_hand() -> None:
    """Half the squared range less 0.386 times the squared body."""
    parts = [
        0.5 * math.log(103 / 99) ** 2 - (2 * math.log(2) - 1) * math.log(102 / 100) ** 2,
        0.5 * math.log(104 / 100) ** 2 - (2 * math.log(2) - 1) * math.log(101 / 102) ** 2,
    ]
    assert annual(Estimator.GARMAN_KLASS, HAND, 2)[1] == pytest.approx(math.sqrt(sum(parts) / 2 * 252), rel=1e-14)


def test_rogers_satchell_by_hand() -> None:
    """The products of both shadows with their distance from the open."""
    parts = [
        math.log(103 / 102) * math.log(103 / 100) + math.log(99 / 102) * math.log(99 / 100),
        math.log(104 / 101) * math.log(104 / 102) + math.log(100 / 101) * math.log(100 / 102),
    ]
    assert annual(Estimator.ROGERS_SATCHELL, HAND, 2)[1] == pytest.approx(math.sqrt(sum(parts) / 2 * 252), rel=1e-14)


def test_yang_zhang_by_hand() -> None:
    """Variance of the jumps, of the bodies, and Rogers-Satchell, in the published proportions."""
    jumps = [math.log(102 / 102), math.log(101 / 101), math.log(103 / 103)]
    assert jumps == [0.0, 0.0, 0.0]
    bodies = [math.log(101 / 102), math.log(103 / 101), math.log(104 / 103)]
    mean = sum(bodies) / 3
    body_variance = sum((value - mean) ** 2 for value in bodies) / 2
    inside = annual(Estimator.ROGERS_SATCHELL, HAND, 3)[3] ** 2 / 252
    share = 0.34 / (1.34 + 4 / 2)
    expected = math.sqrt((share * body_variance + (1 - share) * inside) * 252)
    result = realised_volatility(Estimator.YANG_ZHANG, HAND, window=3, periods_per_year=DAYS)
    assert result.volatility[3] == pytest.approx(expected, rel=1e-13)
    assert result.reason.tolist() == [TOO_FEW, TOO_FEW, TOO_FEW, OK]


def test_yang_zhang_counts_the_jumps_whole() -> None:
    """Candles without any range: what is left is the variance of the moves between them."""
    prices = np.array([100.0, 102.0, 99.0, 101.0, 101.0])
    flat = Candles(prices, prices, prices, prices)
    np.testing.assert_allclose(annual(Estimator.YANG_ZHANG, flat, 3)[3:], annual(Estimator.CLOSE, flat, 3)[3:])


@pytest.mark.parametrize("estimator", Estimator)
def test_a_market_that_does_not_move_has_no_volatility(estimator: Estimator) -> None:
    """A price that stands still gives exactly 0, not a rounding error and not NaN."""
    still = np.full(8, 24_017.35)
    result = realised_volatility(estimator, Candles(still, still, still, still), window=5, periods_per_year=DAYS)
    assert result.volatility[5:].tolist() == [0.0, 0.0, 0.0]
    assert (result.reason[5:] == OK).all()


def test_a_steady_growth_is_no_volatility() -> None:
    """Close-to-close takes the mean away: growth by the same factor is no noise, however strong."""
    growth = 100.0 * 1.05 ** np.arange(30)
    assert annual(Estimator.CLOSE, Candles(growth, growth, growth, growth), 20)[-1] == pytest.approx(0.0, abs=1e-13)


def test_alternating_returns_have_their_closed_form() -> None:
    """Returns of +a and -a in turn: a sqrt(n / (n - 1)), annualised."""
    size = 0.01
    closes = 100.0 * np.exp(np.concatenate(([0.0], np.where(np.arange(20) % 2 == 0, size, -size).cumsum())))
    expected = size * math.sqrt(20 / 19) * math.sqrt(DAYS)
    assert annual(Estimator.CLOSE, Candles(closes, closes, closes, closes), 20)[-1] == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("estimator", Estimator)
def test_every_estimator_finds_the_volatility_of_a_simulated_market(estimator: Estimator) -> None:
    """Without drift and nights the mean variance is that of the market, but for the range missed between the steps."""
    variance = independent(estimator, simulated(4_000), 20).mean()
    assert math.sqrt(variance) == pytest.approx(0.2, rel=0.06)


def test_estimators_are_as_efficient_as_published() -> None:
    """The scatter falls from close over Parkinson to Garman-Klass, near the published 5.2 and 7.4 times."""
    market = simulated(8_000, steps=800, seed=3)
    scatter = {
        item: (values := independent(item, market, 10)).var() / values.mean() ** 2
        for item in (Estimator.CLOSE, Estimator.PARKINSON, Estimator.GARMAN_KLASS, Estimator.YANG_ZHANG)
    }
    assert scatter[Estimator.CLOSE] / scatter[Estimator.PARKINSON] == pytest.approx(5.2 * 10 / 9, rel=0.25)
    assert scatter[Estimator.CLOSE] / scatter[Estimator.GARMAN_KLASS] == pytest.approx(7.4 * 10 / 9, rel=0.25)
    assert scatter[Estimator.CLOSE] > 4 * scatter[Estimator.YANG_ZHANG]


def test_a_drift_deceives_only_those_who_assume_none() -> None:
    """With a violent drift Rogers-Satchell and Yang-Zhang stay right while Parkinson and Garman-Klass read too much."""
    market = simulated(2_000, drift=4.0)
    calm = simulated(2_000)
    moved = {item: annual(item, market, 20)[25:].mean() / annual(item, calm, 20)[25:].mean() for item in Estimator}
    assert moved[Estimator.ROGERS_SATCHELL] == pytest.approx(1.0, abs=0.02)
    assert moved[Estimator.YANG_ZHANG] == pytest.approx(1.0, abs=0.02)
    assert moved[Estimator.CLOSE] == pytest.approx(1.0, abs=0.02)
    assert moved[Estimator.PARKINSON] > 1.15
    assert moved[Estimator.GARMAN_KLASS] > 1.1


def test_the_night_is_seen_by_close_and_yang_zhang_alone() -> None:
    """With 40 % of the variance at night the others find the remaining 60 %."""
    market = simulated(4_000, night=0.4)
    variance = {item: independent(item, market, 20).mean() / 0.04 for item in Estimator}
    assert variance[Estimator.CLOSE] == pytest.approx(1.0, abs=0.1)
    assert variance[Estimator.YANG_ZHANG] == pytest.approx(1.0, abs=0.1)
    for estimator in INSIDE:
        assert variance[estimator] == pytest.approx(0.6, abs=0.08)


@pytest.mark.parametrize("estimator", Estimator)
def test_rolling_is_the_same_as_one_window_at_a_time(estimator: Estimator) -> None:
    """Each row is what the window alone gives, across the blocks in which long histories are worked through."""
    market = simulated(60, steps=20)
    rolled = annual(estimator, market, 12)
    for end in (13, 30, 60):
        alone = Candles(*(np.asarray(column)[end - 13 : end] for column in market))
        assert rolled[end - 1] == pytest.approx(annual(estimator, alone, 12)[-1], rel=1e-12)


def test_a_long_history_is_worked_in_blocks() -> None:
    """More windows than one block holds: the seams show nowhere."""
    returns = np.random.default_rng(5).normal(0.0, 0.001, 6_000)
    closes = 100.0 * np.exp(returns.cumsum())
    window = 1_000
    rolled = annual(Estimator.CLOSE, Candles(closes, closes, closes, closes), window)
    moves = np.diff(np.log(closes))
    expected = [moves[end - window : end].std(ddof=1) * math.sqrt(DAYS) for end in range(window, 6_000)]
    np.testing.assert_allclose(rolled[window:], expected, rtol=1e-11)
    assert np.isnan(rolled[:window]).all()


@pytest.mark.parametrize("estimator", Estimator)
@pytest.mark.parametrize("broken", [math.nan, 0.0, -5.0, math.inf], ids=str)
def test_a_missing_candle_makes_its_windows_unknown_and_no_others(estimator: Estimator, broken: float) -> None:
    """Every window that needs the candle is a gap; before and after there are volatilities."""
    columns = [np.array(column) for column in simulated(30, steps=20)]
    for column in columns:
        column[15] = broken
    result = realised_volatility(estimator, Candles(*columns), window=5, periods_per_year=DAYS)
    last = 19 if estimator in INSIDE else 20
    assert (result.reason[15 : last + 1] == GAP).all()
    assert (result.reason[6:15] == OK).all()
    assert (result.reason[last + 1 :] == OK).all()
    assert np.isnan(result.volatility[15 : last + 1]).all()
    assert np.isfinite(result.volatility[last + 1 :]).all()


@pytest.mark.parametrize("estimator", [item for item in Estimator if item is not Estimator.CLOSE])
def test_an_impossible_candle_is_a_gap(estimator: Estimator) -> None:
    """A high below the low is not a price range."""
    columns = [np.array(column) for column in HAND]
    columns[1][2], columns[2][2] = 99.0, 104.5
    result = realised_volatility(estimator, Candles(*columns), window=2, periods_per_year=DAYS)
    assert result.reason[2] == GAP
    assert np.isnan(result.volatility[2])


def test_a_body_outside_the_range_is_a_gap() -> None:
    """A close above the high is refused by those who read closes and highs."""
    outside = HAND._replace(close=[102.0, 101.0, 104.5, 104.0])
    for estimator in (Estimator.GARMAN_KLASS, Estimator.ROGERS_SATCHELL, Estimator.YANG_ZHANG):
        assert realised_volatility(estimator, outside, window=2, periods_per_year=DAYS).reason[2] == GAP
    assert realised_volatility(Estimator.PARKINSON, outside, window=2, periods_per_year=DAYS).reason[2] == OK


def test_close_reads_closes_alone() -> None:
    """Missing opens, highs and lows do not matter to it."""
    unknown = [math.nan] * 4
    assert annual(Estimator.CLOSE, Candles(unknown, unknown, unknown, HAND.close), 3)[3] == pytest.approx(
        annual(Estimator.CLOSE, HAND, 3)[3], rel=1e-15
    )


def test_the_night_is_left_out_of_minutes() -> None:
    """With session starts marked the move over the night is not a minute's return, and the rest is as before."""
    first, second = np.array([100.0, 100.2, 100.1, 100.3]), np.array([110.0, 110.3, 110.1, 110.2])
    closes = np.concatenate((first, second))
    starts = np.arange(8) == 4
    candles = Candles(closes, closes, closes, closes)
    inside = realised_volatility(Estimator.CLOSE, candles, window=7, periods_per_year=DAYS, session_start=starts)
    moves = np.concatenate((np.diff(np.log(first)), np.diff(np.log(second))))
    assert inside.volatility[7] == pytest.approx(moves.std(ddof=1) * math.sqrt(DAYS), rel=1e-12)
    assert annual(Estimator.CLOSE, candles, 7)[7] > 10 * inside.volatility[7]


def test_a_window_of_nights_alone_says_too_few() -> None:
    """One return is left of two: no variance can be had, and none is given."""
    closes = np.array([100.0, 101.0, 102.0, 103.0])
    result = realised_volatility(
        Estimator.CLOSE,
        Candles(closes, closes, closes, closes),
        window=2,
        periods_per_year=DAYS,
        session_start=[True, False, True, False],
    )
    assert result.reason.tolist() == [TOO_FEW] * 4
    assert np.isnan(result.volatility).all()


def test_a_session_that_begins_with_a_missing_candle_is_a_gap() -> None:
    """A marked start does not excuse a candle that is not there."""
    closes = np.array([100.0, 101.0, 102.0, math.nan, 103.0, 102.0])
    result = realised_volatility(
        Estimator.CLOSE,
        Candles(closes, closes, closes, closes),
        window=3,
        periods_per_year=DAYS,
        session_start=[True, False, False, True, False, False],
    )
    assert result.reason.tolist() == [TOO_FEW, TOO_FEW, TOO_FEW, GAP, GAP, GAP]


def test_the_year_is_the_callers() -> None:
    """The volatility grows with the root of the candles in a year; minutes of a session make 94,500 of them."""
    minutes = candles_per_year(1.0, 375.0)
    assert minutes == 252 * 375
    assert candles_per_year(5.0, 375.0, trading_days=250) == 250 * 75
    by_minutes = realised_volatility(Estimator.PARKINSON, HAND, window=2, periods_per_year=minutes).volatility[1]
    assert by_minutes == pytest.approx(annual(Estimator.PARKINSON, HAND, 2)[1] * math.sqrt(375), rel=1e-14)


@pytest.mark.parametrize(("minutes", "session", "days"), [(0, 375, 252), (1, -1, 252), (1, 375, math.nan)])
def test_an_impossible_year_is_refused(minutes: float, session: float, days: float) -> None:
    """Each of the three must be positive."""
    with pytest.raises(ValueError, match="above 0"):
        candles_per_year(minutes, session, trading_days=days)


def test_a_history_shorter_than_the_window_is_too_few() -> None:
    """No row has a volatility, none raises; an empty history gives empty columns."""
    for estimator in Estimator:
        result = realised_volatility(estimator, HAND, window=20, periods_per_year=DAYS)
        assert (result.reason == TOO_FEW).all()
        assert np.isnan(result.volatility).all()
        assert realised_volatility(
            estimator, Candles([], [], [], []), window=20, periods_per_year=DAYS
        ).reason.shape == (0,)


def test_arguments_that_cannot_be_used_are_named() -> None:
    """Shapes, windows and years: the sentence says what is wrong."""
    with pytest.raises(ValueError, match="one shape"):
        realised_volatility(Estimator.CLOSE, HAND._replace(high=[1.0]), window=2, periods_per_year=DAYS)
    with pytest.raises(ValueError, match="window of 1"):
        realised_volatility(Estimator.CLOSE, HAND, window=1, periods_per_year=DAYS)
    with pytest.raises(ValueError, match="periods_per_year"):
        realised_volatility(Estimator.CLOSE, HAND, window=2, periods_per_year=0.0)
    with pytest.raises(ValueError, match="one flag each"):
        realised_volatility(Estimator.CLOSE, HAND, window=2, periods_per_year=DAYS, session_start=[True])


def test_inputs_are_left_as_they_were() -> None:
    """No column is changed in place."""
    columns = [np.array(column) for column in simulated(20, steps=10)]
    before = [column.copy() for column in columns]
    for estimator in Estimator:
        annual(estimator, Candles(*columns), 5)
    for column, kept in zip(columns, before, strict=True):
        np.testing.assert_array_equal(column, kept)


@settings(deadline=None, max_examples=40)
@given(
    bodies=st.lists(st.tuples(*[st.floats(0.5, 2.0)] * 4), min_size=8, max_size=20),
    factor=st.floats(1e-3, 1e3),
)
def test_the_level_of_the_price_does_not_matter(bodies: list[tuple[float, ...]], factor: float) -> None:
    """Any candles, multiplied by any factor, have the same volatility, and it is never negative."""
    corners = np.array(bodies)
    candles = Candles(corners[:, 0], corners.max(axis=1), corners.min(axis=1), corners[:, 1])
    scaled = Candles(*(np.asarray(column) * factor for column in candles))
    for estimator in Estimator:
        one, other = annual(estimator, candles, 5), annual(estimator, scaled, 5)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-7)
        assert (one[5:] >= 0.0).all()


def test_the_cone_lists_what_each_window_saw() -> None:
    """Percentiles, extremes and the place of the latest value are those of the rolling series."""
    market = simulated(300, steps=20)
    cone = volatility_cone(
        Estimator.YANG_ZHANG, market, windows=[5, 20, 60], percentiles=[0, 25, 50, 75, 100], periods_per_year=DAYS
    )
    for row, window in enumerate((5, 20, 60)):
        series = annual(Estimator.YANG_ZHANG, market, window)
        known = series[np.isfinite(series)]
        assert cone.samples[row] == known.size == 300 - window
        np.testing.assert_allclose(cone.levels[row], np.quantile(known, [0, 0.25, 0.5, 0.75, 1]))
        assert (cone.lowest[row], cone.highest[row]) == (known.min(), known.max())
        assert cone.latest[row] == series[-1]
        assert cone.latest_rank[row] == pytest.approx(100 * (known <= series[-1]).mean())
    assert cone.highest[0] - cone.lowest[0] > cone.highest[2] - cone.lowest[2]


def test_the_cone_says_what_it_does_not_know() -> None:
    """A window longer than the history has no samples and no figures; a last candle that is missing has no latest."""
    closes = np.array([*np.linspace(100, 110, 12), math.nan])
    cone = volatility_cone(
        Estimator.CLOSE,
        Candles(closes, closes, closes, closes),
        windows=[5, 50],
        percentiles=[50],
        periods_per_year=DAYS,
    )
    assert cone.samples.tolist() == [7, 0]
    assert np.isnan(cone.latest).all()
    assert np.isnan(cone.latest_rank).all()
    assert np.isfinite(cone.levels[0]).all()
    assert np.isnan(cone.levels[1]).all()
    assert np.isnan([cone.lowest[1], cone.highest[1]]).all()


def test_a_percentile_above_hundred_is_refused() -> None:
    """Percentiles are percent, not parts."""
    with pytest.raises(ValueError, match="between 0 and 100"):
        volatility_cone(Estimator.CLOSE, HAND, windows=[2], percentiles=[50, 101], periods_per_year=DAYS)


def test_the_spread_is_implied_minus_realised() -> None:
    """Positive when options are dear; unknown on either side stays unknown; no ratio to a market that stood still."""
    spread = volatility_spread([0.15, 0.10, math.nan, 0.12], [0.12, 0.125, 0.1, 0.0])
    np.testing.assert_allclose(spread.difference, [0.03, -0.025, math.nan, 0.12])
    np.testing.assert_allclose(spread.ratio, [1.25, 0.8, math.nan, math.nan])
