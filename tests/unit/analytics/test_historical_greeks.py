"""Volatility and Greeks of the past: prices made from a known market give that market back, gaps stay gaps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.greeks import greeks
from engine.analytics.historical_greeks import (
    SECONDS_PER_YEAR,
    HistoricalGreeks,
    OptionCandles,
    UnderlyingCandles,
    historical_greeks,
)
from engine.analytics.implied_volatility import IvReason

START = 1_795_405_500
"""An opening of the exchange, epoch seconds."""
MINUTE = 60
RATE = 0.065
STRIKE = 24_000.0
EXPIRY = START + 3 * 86_400 + 22_500
TIMES = START + MINUTE * np.arange(6)
FORWARDS = np.array([24_010.0, 24_022.5, 23_990.0, 23_975.25, 24_003.0, 24_040.0])
VOLATILITIES = np.array([0.12, 0.121, 0.125, 0.128, 0.124, 0.119])
YEARS = (EXPIRY - TIMES - MINUTE) / SECONDS_PER_YEAR


def premiums(is_call: bool = True) -> FloatArray:
    """The option's closes in the known market."""
    return price(FORWARDS, STRIKE, YEARS, RATE, VOLATILITIES, is_call=is_call)


def option(**changes: Any) -> OptionCandles:
    """The call's candles."""
    candles = OptionCandles(time=TIMES, close=premiums(), strike=STRIKE, expiry=EXPIRY, is_call=True)
    return candles._replace(**changes)


def future(**changes: Any) -> UnderlyingCandles:
    """Candles of the future that ends with the option."""
    return UnderlyingCandles(time=TIMES, close=FORWARDS, delivery=EXPIRY)._replace(**changes)


def history(option_candles: OptionCandles, underlying: UnderlyingCandles) -> HistoricalGreeks:
    """The figures of minute candles."""
    return historical_greeks(option_candles, underlying, candle_s=MINUTE, rate=RATE)


@pytest.mark.parametrize("is_call", [True, False])
def test_the_market_that_made_the_prices_is_found(is_call: bool) -> None:
    """Volatility to twelve digits, and every Greek as the kernel gives it at each candle's end."""
    result = history(option(close=premiums(is_call), is_call=is_call), future())
    np.testing.assert_array_equal(result.time, TIMES)
    np.testing.assert_allclose(result.volatility, VOLATILITIES, rtol=1e-11)
    np.testing.assert_allclose(result.years, YEARS, rtol=1e-15)
    np.testing.assert_array_equal(result.forward, FORWARDS)
    expected = greeks(FORWARDS, STRIKE, YEARS, RATE, VOLATILITIES, is_call=is_call)
    for name, found, wanted in zip(expected._fields, result.greeks, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, err_msg=name)
    assert (result.reason == IvReason.OK).all()


def test_the_instant_is_the_candles_end() -> None:
    """A close is a price of the end: counting from the start would give another volatility."""
    late = historical_greeks(option(), future(), candle_s=3_600, rate=RATE)
    np.testing.assert_allclose(late.years - YEARS, -(3_600 - MINUTE) / SECONDS_PER_YEAR, rtol=1e-9)
    assert (late.volatility > VOLATILITIES).all()


def test_a_spot_is_carried_to_the_expiry() -> None:
    """From the spot and its carry come the forwards, at each instant's own distance."""
    carry = np.full(6, 0.06)
    spot = FORWARDS * np.exp(-carry * YEARS)
    result = history(option(), UnderlyingCandles(TIMES, spot, delivery=None, carry=carry))
    np.testing.assert_allclose(result.forward, FORWARDS, rtol=1e-14)
    np.testing.assert_allclose(result.volatility, VOLATILITIES, rtol=1e-9)


def test_a_later_future_is_carried_back() -> None:
    """A weekly option priced off the monthly future: the carry between the two dates is taken off."""
    monthly = EXPIRY + 21 * 86_400
    carry = 0.062
    closes = FORWARDS * math.exp(carry * 21 * 86_400 / SECONDS_PER_YEAR)
    result = history(option(), UnderlyingCandles(TIMES, closes, delivery=monthly, carry=carry))
    np.testing.assert_allclose(result.forward, FORWARDS, rtol=1e-14)


def test_no_carry_is_invented() -> None:
    """Without a carry a spot, or a future of another date, gives no forward and says so."""
    for delivery in (None, float(EXPIRY + 86_400)):
        result = history(option(), future(delivery=delivery))
        assert (result.reason == IvReason.NO_FORWARD).all()
        assert np.isnan(result.forward).all()
        assert np.isnan(result.greeks.delta).all()


def test_candles_are_matched_by_time_and_gaps_stay_gaps() -> None:
    """Every candle of either side has its row; what one lacks is unknown there and nowhere else."""
    have_option, have_future = [0, 2, 3, 5], [0, 1, 3, 4, 5]
    result = history(
        option(time=TIMES[have_option], close=premiums()[have_option]),
        future(time=TIMES[have_future], close=FORWARDS[have_future]),
    )
    np.testing.assert_array_equal(result.time, TIMES)
    expected = [IvReason.OK, IvReason.NO_PRICE, IvReason.NO_FORWARD, IvReason.OK, IvReason.NO_PRICE, IvReason.OK]
    assert result.reason.tolist() == expected
    known = np.array(expected) == IvReason.OK
    np.testing.assert_allclose(result.volatility[known], VOLATILITIES[known], rtol=1e-11)
    for field in (result.volatility, *result.greeks):
        assert np.isnan(field[~known]).all()
    np.testing.assert_array_equal(result.forward[1], FORWARDS[1])
    assert np.isnan(result.price[1])


def test_a_candle_without_a_trade_is_not_used() -> None:
    """Zero or unknown volume: the close is an older candle's, and stale."""
    result = history(option(volume=[65, 0, 130, math.nan, 65, 65]), future())
    assert result.reason.tolist() == [0, IvReason.STALE, 0, IvReason.STALE, 0, 0]
    assert np.isnan(result.price[[1, 3]]).all()
    assert np.isnan(result.greeks.vega[[1, 3]]).all()


def test_the_last_candle_before_the_expiry_has_no_time_left() -> None:
    """A candle that ends with the contract: no volatility, and the reason is time, whatever else is missing."""
    times = np.array([EXPIRY - 2 * MINUTE, EXPIRY - MINUTE, EXPIRY])
    closes = np.array([12.0, 11.0, math.nan])
    result = history(
        option(time=times, close=closes), UnderlyingCandles(times, np.full(3, 24_008.0), delivery=float(EXPIRY))
    )
    assert result.reason.tolist() == [IvReason.OK, IvReason.NO_TIME, IvReason.NO_TIME]
    assert np.isfinite(result.volatility[0])
    assert np.isnan(result.volatility[1:]).all()
    assert result.years[1] == 0.0


def test_a_series_of_options_has_a_strike_and_an_expiry_per_candle() -> None:
    """The at-the-money option of each minute, across a roll to the next expiry."""
    strikes = np.array([24_000.0, 24_000.0, 24_000.0, 23_950.0, 24_000.0, 24_050.0])
    expiries = np.array([EXPIRY, EXPIRY, EXPIRY, EXPIRY + 604_800, EXPIRY + 604_800, EXPIRY + 604_800])
    years = (expiries - TIMES - MINUTE) / SECONDS_PER_YEAR
    sides = np.array([True, False, True, False, True, False])
    spot = 24_000.0 + np.arange(6.0)
    forwards = spot * np.exp(0.065 * years)
    closes = price(forwards, strikes, years, RATE, VOLATILITIES, is_call=sides)
    result = history(
        OptionCandles(TIMES, closes, strikes, expiries, sides), UnderlyingCandles(TIMES, spot, None, carry=0.065)
    )
    np.testing.assert_allclose(result.volatility, VOLATILITIES, rtol=1e-9)
    np.testing.assert_allclose(
        result.greeks.delta, greeks(forwards, strikes, years, RATE, VOLATILITIES, is_call=sides).delta, rtol=1e-8
    )


def test_prices_outside_the_possible_keep_the_kernels_reasons() -> None:
    """Below intrinsic, above the most, no price, impossible price: as the solver says."""
    closes = [1.0, 30_000.0, 0.0, -3.0, math.nan, premiums()[5]]
    result = history(option(strike=23_500.0, close=closes), future())
    assert result.reason[:5].tolist() == [
        IvReason.BELOW_INTRINSIC,
        IvReason.ABOVE_MAXIMUM,
        IvReason.NO_PRICE,
        IvReason.BAD_INPUT,
        IvReason.NO_PRICE,
    ]
    assert np.isnan(result.volatility[:5]).all()


@pytest.mark.parametrize("broken", [math.nan, 0.0, -1.0, math.inf], ids=str)
def test_an_impossible_underlying_is_no_forward(broken: float) -> None:
    """The row says that the forward is missing, not that the option is wrong."""
    closes = FORWARDS.copy()
    closes[2] = broken
    result = history(option(), future(close=closes))
    assert result.reason.tolist() == [0, 0, IvReason.NO_FORWARD, 0, 0, 0]
    assert np.isnan(result.forward[2])


def test_nothing_gives_nothing() -> None:
    """No candles on either side: empty columns."""
    none = np.zeros(0, np.int64)
    result = history(option(time=none, close=[]), future(time=none, close=[]))
    assert result.time.shape == result.volatility.shape == result.greeks.gamma.shape == (0,)
    only_future = history(option(time=none, close=[]), future())
    assert (only_future.reason == IvReason.NO_PRICE).all()
    np.testing.assert_array_equal(only_future.forward, FORWARDS)


def test_a_single_candle_is_not_spread_over_all_rows() -> None:
    """One option candle beside six of the future is one price."""
    result = history(option(time=TIMES[:1], close=premiums()[:1]), future())
    assert np.count_nonzero(np.isfinite(result.price)) == 1
    assert result.reason.tolist() == [IvReason.OK, *[IvReason.NO_PRICE] * 5]


def test_candles_that_cannot_be_matched_are_refused() -> None:
    """Unsorted or doubled times, fractions of seconds, columns of another length, no length of a candle."""
    with pytest.raises(ValueError, match=r"option\.time must grow"):
        history(option(time=TIMES[::-1]), future())
    with pytest.raises(ValueError, match=r"underlying\.time must grow"):
        history(option(), future(time=np.full(6, START)))
    with pytest.raises(ValueError, match="whole epoch seconds"):
        history(option(time=TIMES + 0.5), future())
    with pytest.raises(ValueError, match=r"option\.close has shape"):
        history(option(close=[1.0]), future())
    with pytest.raises(ValueError, match=r"option\.strike has shape"):
        history(option(strike=[1.0, 2.0]), future())
    with pytest.raises(ValueError, match="candle_s is 0"):
        historical_greeks(option(), future(), candle_s=0, rate=RATE)


def test_inputs_are_left_as_they_were() -> None:
    """A price that is not used is not erased from the caller's column."""
    closes = premiums()
    kept = closes.copy()
    history(option(close=closes, volume=np.zeros(6)), future())
    np.testing.assert_array_equal(closes, kept)
