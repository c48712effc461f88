"""Indicators: each against the formula of the textbooks, written out candle by candle; gaps, sessions, limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from engine.analytics.arrays import FloatArray
from engine.analytics.indicators import (
    average_true_range,
    bollinger,
    central_pivot_range,
    exponential_average,
    relative_strength,
    session_pivots,
    supertrend,
    volume_weighted_price,
)

pytest.importorskip("talib")

PERIOD = 5
Market = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def market(count: int = 120, seed: int = 1) -> Market:
    """High, low, close and volume of an index-like walk."""
    random = np.random.default_rng(seed)
    close = 24_000.0 + random.normal(0.0, 12.0, count).cumsum()
    opens = np.concatenate(([24_000.0], close[:-1]))
    high = np.maximum(opens, close) + random.exponential(4.0, count)
    low = np.minimum(opens, close) - random.exponential(4.0, count)
    volume: FloatArray = random.integers(1, 500, count).astype(np.float64) * 65.0
    return high, low, close, volume


def smoothed(values: list[float], period: int) -> list[float]:
    """Wilder's smoothing, from the plain average of the first ``period`` values on."""
    average = sum(values[:period]) / period
    result = [average]
    for value in values[period:]:
        average = (average * (period - 1) + value) / period
        result.append(average)
    return result


def true_ranges(high: FloatArray, low: FloatArray, close: FloatArray) -> list[float]:
    """From the second candle on."""
    return [
        max(high[place] - low[place], abs(high[place] - close[place - 1]), abs(low[place] - close[place - 1]))
        for place in range(1, len(close))
    ]


def plain_supertrend(
    high: FloatArray, low: FloatArray, close: FloatArray, period: int, multiplier: float
) -> tuple[list[float], list[int]]:
    """The textbook's two bands and the turns between them; the first trend is up."""
    ranges = smoothed(true_ranges(high, low, close), period)
    lines: list[float] = []
    trends: list[int] = []
    upper = lower = math.nan
    for offset, average in enumerate(ranges):
        place = offset + period
        middle = (high[place] + low[place]) / 2
        above, below = middle + multiplier * average, middle - multiplier * average
        if not trends:
            upper, lower, trend = above, below, 1
        else:
            upper = above if above < upper or close[place - 1] > upper else upper
            lower = below if below > lower or close[place - 1] < lower else lower
            trend = trends[-1]
            if trend == 1 and close[place] < lower:
                trend = -1
            elif trend == -1 and close[place] > upper:
                trend = 1
        trends.append(trend)
        lines.append(lower if trend == 1 else upper)
    return lines, trends


def test_exponential_average_by_formula() -> None:
    """Seeded by the average of the first five, then two sixths of the way to each close."""
    close = market()[2]
    expected = [sum(close[:PERIOD]) / PERIOD]
    for value in close[PERIOD:]:
        expected.append(expected[-1] + 2 / 6 * (value - expected[-1]))
    found = exponential_average(close, period=PERIOD)
    np.testing.assert_allclose(found[PERIOD - 1 :], expected, rtol=1e-13)
    assert np.isnan(found[: PERIOD - 1]).all()


def test_exponential_average_by_hand() -> None:
    """1, 2, 3 average to 2; then half of the way to 6 and to 8."""
    assert exponential_average([1.0, 2.0, 3.0, 6.0, 8.0], period=3)[2:].tolist() == [2.0, 4.0, 6.0]


def test_relative_strength_by_formula() -> None:
    """Wilder's average gain against average loss."""
    close = market()[2]
    changes = [after - before for before, after in pairwise(close)]
    gains = smoothed([max(change, 0.0) for change in changes], 14)
    losses = smoothed([max(-change, 0.0) for change in changes], 14)
    expected = [100 * gain / (gain + loss) for gain, loss in zip(gains, losses, strict=True)]
    found = relative_strength(close)
    np.testing.assert_allclose(found[14:], expected, rtol=1e-11)
    assert np.isnan(found[:14]).all()


def test_relative_strength_at_its_ends() -> None:
    """Only gains are 100, only losses 0; a price that never moved has no strength, not 0."""
    assert relative_strength(np.arange(1.0, 9.0), period=3)[3:].tolist() == [100.0] * 5
    assert relative_strength(np.arange(9.0, 1.0, -1.0), period=3)[3:].tolist() == [0.0] * 5
    assert np.isnan(relative_strength(np.full(9, 24_000.0), period=3)).all()
    moved = relative_strength([*np.full(6, 100.0), 101.0], period=3)
    assert np.isnan(moved[:6]).all()
    assert moved[6] == 100.0


def test_bollinger_by_formula() -> None:
    """The window's mean and two of its whole standard deviations, at the level of an index."""
    close = market()[2]
    windows = np.lib.stride_tricks.sliding_window_view(close, 20)
    found = bollinger(close)
    np.testing.assert_allclose(found.middle[19:], windows.mean(axis=1), rtol=1e-13)
    np.testing.assert_allclose((found.upper - found.middle)[19:], 2 * windows.std(axis=1), rtol=1e-8)
    np.testing.assert_allclose(found.upper - found.middle, found.middle - found.lower, rtol=1e-8)
    wide = bollinger(close, deviations=3.0)
    np.testing.assert_allclose(wide.upper - wide.middle, 1.5 * (found.upper - found.middle), rtol=1e-8)


def test_average_true_range_by_formula() -> None:
    """Wilder's smoothing of the true ranges, the first of which is the second candle's."""
    high, low, close, _ = market()
    found = average_true_range(high, low, close)
    np.testing.assert_allclose(found[14:], smoothed(true_ranges(high, low, close), 14), rtol=1e-12)
    assert np.isnan(found[:14]).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("multiplier", [1.0, 3.0])
def test_supertrend_by_formula(seed: int, multiplier: float) -> None:
    """Bands that only tighten while the trend lasts, and turns where a close breaks them."""
    high, low, close, _ = market(300, seed)
    lines, trends = plain_supertrend(high, low, close, 10, multiplier)
    found = supertrend(high, low, close, multiplier=multiplier)
    np.testing.assert_array_equal(found.direction, [*[0] * 10, *trends])
    np.testing.assert_allclose(found.line[10:], lines, rtol=1e-12)
    assert np.isnan(found.line[:10]).all()
    assert set(trends) == {1, -1}


def test_supertrend_forgets_its_start_at_the_first_turn() -> None:
    """A history that starts later gives the same line once both have turned and their ranges have met."""
    high, low, close, _ = market(800, 4)
    whole = supertrend(high, low, close)
    later = supertrend(high[200:], low[200:], close[200:])
    np.testing.assert_array_equal(whole.direction[500:], later.direction[300:])
    np.testing.assert_allclose(whole.line[500:], later.line[300:], rtol=1e-6)


def test_volume_weighted_price_begins_anew_with_each_session() -> None:
    """Traded value over volume since the session's own start."""
    high, low, close, volume = market(60)
    session = np.repeat([738_000, 738_001, 738_004], 20)
    found = volume_weighted_price(high, low, close, volume, session=session)
    typical = (high + low + close) / 3
    for start in (0, 20, 40):
        part = slice(start, start + 20)
        expected = (typical[part] * volume[part]).cumsum() / volume[part].cumsum()
        np.testing.assert_allclose(found[part], expected, rtol=1e-13)
    assert found[20] == pytest.approx(typical[20], rel=1e-14)


def test_no_volume_is_no_price() -> None:
    """Until something has traded the average is unknown, not 0; an index, which has no volume, never has one."""
    prices = np.array([10.0, 11.0, 12.0])
    found = volume_weighted_price(prices, prices, prices, [0.0, 5.0, 0.0], session=[1, 1, 1])
    assert math.isnan(found[0])
    assert found[1:].tolist() == [11.0, 11.0]
    assert np.isnan(volume_weighted_price(prices, prices, prices, np.zeros(3), session=[1, 1, 2])).all()


def test_central_pivot_range_by_hand() -> None:
    """High 24,200, low 24,000, close 24,150: pivot 24,116.67, middle 24,100, opposite 24,133.33; and upside down."""
    found = central_pivot_range([24_200.0, 24_200.0, math.nan], [24_000.0] * 3, [24_150.0, 24_050.0, 24_100.0])
    np.testing.assert_allclose(found.pivot[:2], [72_350 / 3, 72_250 / 3])
    np.testing.assert_allclose(found.bottom[:2], [24_100.0, 2 * 72_250 / 3 - 24_100])
    np.testing.assert_allclose(found.top[:2], [2 * 72_350 / 3 - 24_100, 24_100.0])
    assert np.isnan([found.pivot[2], found.bottom[2], found.top[2]]).all()


def test_a_close_in_the_middle_makes_a_range_of_nothing() -> None:
    """Pivot, bottom and top coincide, never crossed."""
    found = central_pivot_range(24_200.0, 24_000.0, 24_100.0)
    assert found.pivot[0] == found.bottom[0] == found.top[0] == 24_100.0


def test_session_pivots_come_from_the_session_before() -> None:
    """Each candle has the range of the last session's extremes and close; the first session has none."""
    high, low, close, _ = market(9)
    session = np.array([1, 1, 1, 2, 2, 2, 7, 7, 7])
    found = session_pivots(high, low, close, session=session)
    assert np.isnan(found.pivot[:3]).all()
    for start in (3, 6):
        before = slice(start - 3, start)
        levels = central_pivot_range(high[before].max(), low[before].min(), close[start - 1])
        for column, level in zip(found, levels, strict=True):
            assert (column[start : start + 3] == level[0]).all()


def test_session_pivots_of_one_or_no_session_are_unknown() -> None:
    """There is no session before."""
    high, low, close, _ = market(4)
    assert np.isnan(session_pivots(high, low, close, session=[3, 3, 3, 3]).top).all()
    assert session_pivots([], [], [], session=np.zeros(0, np.int64)).top.shape == (0,)


ON_CLOSES: dict[str, Callable[[Market], FloatArray]] = {
    "ema": lambda given: exponential_average(given[2], period=PERIOD),
    "rsi": lambda given: relative_strength(given[2], period=PERIOD),
    "bollinger": lambda given: bollinger(given[2], period=PERIOD).upper,
    "atr": lambda given: average_true_range(*given[:3], period=PERIOD),
    "supertrend": lambda given: supertrend(*given[:3], period=PERIOD).line,
    "vwap": lambda given: volume_weighted_price(*given, session=np.zeros(given[2].shape, np.int64)),
}


@pytest.mark.parametrize("indicator", ON_CLOSES.values(), ids=ON_CLOSES)
def test_a_missing_candle_is_no_candle(indicator: Callable[[Market], FloatArray]) -> None:
    """Its own figure is unknown, the others are those of the history without it."""
    given = market(60)
    missing = np.isin(np.arange(60), [0, 7, 30, 31])
    holed = tuple(np.where(missing, math.nan, column) for column in given)
    found = indicator(holed)  # type: ignore[arg-type]
    whole = indicator(tuple(column[~missing] for column in given))  # type: ignore[arg-type]
    np.testing.assert_array_equal(found[~missing], whole)
    assert np.isnan(found[missing]).all()
    assert np.isfinite(found[-20:]).all()


@pytest.mark.parametrize("indicator", ON_CLOSES.values(), ids=ON_CLOSES)
def test_too_short_a_history_is_unknown(indicator: Callable[[Market], FloatArray]) -> None:
    """Nothing, or fewer candles than the period: NaN in every place, never an error."""
    for count in (0, 1, 3):
        columns = tuple(column[:count] for column in market(20))
        found = indicator(columns)  # type: ignore[arg-type]
        assert found.shape == (count,)
        if indicator is not ON_CLOSES["vwap"]:
            assert np.isnan(found).all()


def test_supertrend_of_nothing_has_no_direction() -> None:
    """Neither line nor direction, also where all candles are missing."""
    unknown = np.full(3, math.nan)
    found = supertrend(unknown, unknown, unknown)
    assert found.direction.tolist() == [0, 0, 0]
    assert np.isnan(found.line).all()


def test_arguments_that_cannot_be_used_are_named() -> None:
    """Periods, factors, shapes, sessions and volumes: the sentence says what is allowed."""
    high, low, close, volume = market(10)
    session = np.zeros(10, np.int64)
    for period in (1, 0, 100_001):
        with pytest.raises(ValueError, match="give 2 to 100,000"):
            exponential_average(close, period=period)
    with pytest.raises(ValueError, match="deviations is 0"):
        bollinger(close, deviations=0.0)
    with pytest.raises(ValueError, match="multiplier is nan"):
        supertrend(high, low, close, multiplier=math.nan)
    with pytest.raises(ValueError, match="one shape"):
        average_true_range(high, low[:3], close)
    with pytest.raises(ValueError, match="negative"):
        volume_weighted_price(high, low, close, -volume, session=session)
    with pytest.raises(ValueError, match="whole number"):
        volume_weighted_price(high, low, close, volume, session=session + 0.5)
    with pytest.raises(ValueError, match="whole number"):
        session_pivots(high, low, close, session=session[:3])
    with pytest.raises(ValueError, match="sort the candles"):
        session_pivots(high, low, close, session=session[::-1] - np.arange(10))


def test_inputs_are_left_as_they_were() -> None:
    """No column is changed in place."""
    given = market(40)
    before = [column.copy() for column in given]
    for indicator in ON_CLOSES.values():
        indicator(given)
    for column, kept in zip(given, before, strict=True):
        np.testing.assert_array_equal(column, kept)
