"""Indicators by name on stored minutes: what is understood, what is refused, what comes out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analysis.market_analysis import EXPIRY_COLUMNS, STRIKE_COLUMNS
from engine.analysis.series_indicators import NAMES, PARTS, Minutes, indicator_columns, traded_units, wanted
from engine.analytics import indicators
from engine.core.errors import InvalidInput
from engine.core.views import Floats

COUNT = 120
MINUTE = 1_795_060_020 + 60 * np.arange(COUNT, dtype=np.int64)
SESSION = np.repeat(np.array([1, 2], dtype=np.int64), COUNT // 2)


def price(seed: int = 5) -> Floats:
    """A price that wanders."""
    steps: Floats = np.random.default_rng(seed).normal(0.0, 1.0, COUNT)
    return 200.0 + np.cumsum(steps)


def of_expiry(**changes: Floats) -> Minutes:
    """Minutes of an expiry."""
    columns = {name: price(place) for place, name in enumerate(EXPIRY_COLUMNS)}
    return Minutes(MINUTE, SESSION, columns | changes)


def of_strike(**changes: Floats) -> Minutes:
    """Minutes of a strike; volumes grow by 65 a minute."""
    columns = {name: price(place) for place, name in enumerate(STRIKE_COLUMNS)}
    counter: Floats = 65.0 * np.tile(np.arange(1.0, COUNT // 2 + 1), 2)
    return Minutes(MINUTE, SESSION, columns | {"call_volume": counter, "put_volume": counter} | changes)


def computed(word: str, minutes: Minutes) -> dict[str, Floats]:
    """All columns of a name."""
    found: dict[str, Floats] = {}
    for item in wanted(word, tuple(minutes.columns)):
        found |= indicator_columns(item, minutes)
    return found


def test_a_bare_name_is_of_the_forward() -> None:
    """Without a column the forward is meant, and the answer has the name that was asked."""
    minutes = of_expiry()
    found = computed("ema", minutes)
    np.testing.assert_array_equal(found["ema"], indicators.exponential_average(minutes.columns["forward"], period=20))


def test_column_and_period_are_part_of_the_name() -> None:
    """Any stored column can be asked of, with a period of one's own."""
    minutes = of_expiry()
    found = computed("atm_volatility_rsi_7", minutes)
    np.testing.assert_array_equal(
        found["atm_volatility_rsi_7"],
        indicators.relative_strength(minutes.columns["atm_volatility"], period=7),
    )


def test_a_bare_name_of_a_strike_is_of_both_prices() -> None:
    """Calls and puts each have their own column."""
    assert set(computed("ema_9", of_strike())) == {"call_price_ema_9", "put_price_ema_9"}


def test_parts_have_names_and_can_be_asked_alone() -> None:
    """Bollinger gives three columns, or the one that was named."""
    minutes = of_expiry()
    assert set(computed("straddle_bollinger_30", minutes)) == {
        "straddle_bollinger_30_upper",
        "straddle_bollinger_30_middle",
        "straddle_bollinger_30_lower",
    }
    assert list(computed("bollinger_upper", minutes)) == ["bollinger_upper"]


@pytest.mark.parametrize("name", NAMES)
def test_every_indicator_answers_with_a_figure(name: str) -> None:
    """Each of the list computes on a strike's prices: one column a part, as long as the minutes, not all unknown."""
    found = computed(f"call_price_{name}", of_strike())
    assert len(found) == max(len(PARTS[name]), 1)
    for column in found.values():
        assert column.shape == (COUNT,)
        assert np.isfinite(column).any()


def test_pivots_are_those_of_the_session_before() -> None:
    """The first session has none; the second has those of the first one's prices."""
    minutes = of_expiry()
    found = computed("forward_cpr", minutes)
    first = minutes.columns["forward"][: COUNT // 2]
    assert np.isnan(found["forward_cpr_pivot"][: COUNT // 2]).all()
    assert found["forward_cpr_pivot"][-1] == pytest.approx((first.max() + first.min() + first[-1]) / 3)


def test_volume_weighted_price_of_equal_volumes_is_the_mean() -> None:
    """Per session; the first minute has no volume of its own, because nothing was seen before it."""
    minutes = of_strike()
    found = computed("call_price_vwap", minutes)["call_price_vwap"]
    prices = minutes.columns["call_price"]
    assert math.isnan(found[0])
    assert found[COUNT // 2 - 1] == pytest.approx(prices[1 : COUNT // 2].mean())
    assert math.isnan(found[COUNT // 2])
    assert found[-1] == pytest.approx(prices[COUNT // 2 + 1 :].mean())


def test_volume_across_a_gap_belongs_to_no_minute() -> None:
    """The counter's step over minutes nobody saw, or backwards, is unknown; other steps are the units traded."""
    minute = np.array([0, 60, 240, 300, 360], dtype=np.int64)
    counter = np.array([100.0, 165.0, 900.0, 965.0, 10.0])
    found = traded_units(counter, minute, np.ones(5, dtype=np.int64))
    np.testing.assert_array_equal(found, [np.nan, 65.0, np.nan, 65.0, np.nan])


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("macd", 'no indicator "macd"'),
        ("", 'no indicator ""'),
        ("EMA", 'no indicator "EMA"'),
        ("vega_ema", 'no column "vega"'),
        ("cpr_20", "takes no period"),
        ("ema_20_upper", 'no part "upper"'),
        ("forward_vwap", "forward has no volume"),
        ("vwap", "forward has no volume"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_there_is(word: str, words: str) -> None:
    """The sentence names the trouble and lists the indicators and columns."""
    with pytest.raises(InvalidInput, match=words) as caught:
        wanted(word, EXPIRY_COLUMNS)
    assert "ema, rsi, bollinger, supertrend, vwap, atr, cpr" in str(caught.value)
    assert "straddle" in str(caught.value)


@pytest.mark.parametrize("word", ["ema_1", "rsi_1000000"])
def test_a_period_out_of_range_is_refused(word: str) -> None:
    """The library's own bounds come back in words."""
    (item,) = wanted(word, EXPIRY_COLUMNS)
    with pytest.raises(InvalidInput, match="period"):
        indicator_columns(item, of_expiry())
