"""Indicators of price candles: names, and that they are computed on the right columns."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.series_indicators import NAMES, PARTS
from engine.analytics import indicators
from engine.bar_indicators import PriceColumns, indicator_columns, wanted_indicator
from engine.core.errors import InvalidInput

COUNT = 60


@pytest.fixture
def bars() -> PriceColumns:
    """Two sessions of thirty candles each."""
    random = np.random.default_rng(5)
    close = 100.0 + random.normal(0, 1, COUNT).cumsum()
    return PriceColumns(
        high=close + random.uniform(0.1, 2, COUNT),
        low=close - random.uniform(0.1, 2, COUNT),
        close=close,
        volume=random.integers(1, 500, COUNT).astype(np.float64),
        session=np.repeat([739_209, 739_210], COUNT // 2),
    )


def columns(word: str, bars: PriceColumns) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """The columns of a word."""
    found = indicator_columns(wanted_indicator(word), bars)
    return {name: np.asarray(values) for name, values in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_bare_name_gives_all_its_parts(name: str, bars: PriceColumns) -> None:
    """Each under its whole name, one value per candle, and something is known at the end."""
    found = columns(name, bars)
    assert list(found) == ([f"{name}_{part}" for part in PARTS[name]] or [name])
    for values in found.values():
        assert values.shape == (COUNT,)
        assert np.isfinite(values[-1])


def test_ranges_are_those_of_the_candles(bars: PriceColumns) -> None:
    """Average true range, Supertrend, VWAP and pivots see highs, lows and volume, not closes alone."""
    high, low, close, volume, session = bars
    expected = {
        "atr_10": indicators.average_true_range(high, low, close, period=10),
        "supertrend_7_line": indicators.supertrend(high, low, close, period=7).line,
        "vwap": indicators.volume_weighted_price(high, low, close, volume, session=session),
        "cpr_pivot": indicators.session_pivots(high, low, close, session=session).pivot,
        "ema_9": indicators.exponential_average(close, period=9),
        "rsi_5": indicators.relative_strength(close, period=5),
        "bollinger_15_upper": indicators.bollinger(close, period=15).upper,
    }
    for word, values in expected.items():
        found = columns(word, bars)
        assert list(found) == [word]
        np.testing.assert_array_equal(found[word], values)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("macd", "no indicator"),
        ("", "no indicator"),
        ("EMA", "no indicator"),
        ("close_ema", "no indicator"),
        ("vwap_20", "takes no period"),
        ("ema_upper", "no part"),
        ("bollinger_upmost", "no part"),
        ("ema_20_", "no indicator"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_there_is(word: str, words: str) -> None:
    """Nothing is left out silently."""
    with pytest.raises(InvalidInput, match=words) as caught:
        wanted_indicator(word)
    assert "bollinger" in str(caught.value)


def test_a_period_out_of_range_is_refused(bars: PriceColumns) -> None:
    """By the words of the kernel."""
    with pytest.raises(InvalidInput, match="period of 1 candles"):
        columns("ema_1", bars)
