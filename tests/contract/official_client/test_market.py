"""Instruments, quotes, candles, trigger ranges."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.contract.official_client.conftest import Trader
from tests.contract.official_client.driven import drives
from tests.contract.official_client.shapes import CANDLE, INSTRUMENT, QUOTE, has
from tests.kit.practice_process import PracticeProcess

OPENING = "2026-11-19 09:15:00"
CLOSING = "2026-11-19 15:40:00"


@drives("instruments")
def test_instruments(kite: Any) -> None:
    """The dump parses: types, expiries as dates, tokens whose low byte is the segment."""
    rows = kite.instruments()
    for row in rows:
        has(row, INSTRUMENT)
    options = [row for row in rows if row["instrument_type"] in {"CE", "PE"}]
    assert all(isinstance(row["expiry"], date) for row in options)
    assert {row["instrument_token"] & 0xFF for row in rows if row["segment"] == "INDICES"} == {9}
    assert {row["exchange"] for row in kite.instruments("BFO")} == {"BFO"}


@drives("quote", "ohlc", "ltp")
def test_quotes(trader: Trader) -> None:
    """Full quotes have the protocol's fields and five levels a side; short forms agree; unknown keys are missing."""
    kite, option = trader.kite, trader.option()
    key = f"NFO:{option['tradingsymbol']}"
    quote = trader.quote(option)
    has(quote, QUOTE)
    assert all(len(quote["depth"][side]) == 5 for side in ("buy", "sell"))
    assert all(set(level) == {"price", "quantity", "orders"} for level in quote["depth"]["buy"])
    assert isinstance(quote["timestamp"], datetime)
    ohlc = kite.ohlc(key, "NSE:NIFTY 50")
    assert set(ohlc[key]) == {"instrument_token", "last_price", "ohlc"}
    assert ohlc[key]["ohlc"]["close"] == quote["ohlc"]["close"]
    assert set(kite.ltp([key, "NFO:NOTHING"])) == {key}


@drives("historical_data")
def test_candles_of_an_index(trader: Trader) -> None:
    """Minutes follow each other without a gap, hold together, carry no volume, and end with the running minute."""
    kite = trader.kite
    rows = kite.historical_data(256265, OPENING, datetime.fromisoformat(CLOSING), "minute")
    for row in rows:
        has(row, CANDLE)
        assert row["low"] <= min(row["open"], row["close"]) <= max(row["open"], row["close"]) <= row["high"]
        assert row["volume"] == 0
    starts = [row["date"] for row in rows]
    assert all(later - earlier == timedelta(minutes=1) for earlier, later in pairwise(starts))
    assert starts[0].strftime("%H:%M%z") == "09:15+0530"
    now = datetime.fromisoformat(trader.exchange.status()["market_time"])
    assert timedelta(0) <= now - starts[-1] < timedelta(minutes=2)


@drives("historical_data")
def test_candles_add_up(trader: Trader) -> None:
    """Longer candles are the sums of the minutes; the day's volume is the quote's; open interest comes when asked."""
    kite, option = trader.kite, trader.option(1)
    token = option["instrument_token"]

    def candles(interval: str, **more: Any) -> list[dict[str, Any]]:
        return list(kite.historical_data(token, OPENING, "2026-11-19 10:44:59", interval, **more))

    minutes, quarters = candles("minute", oi=True), candles("15minute", oi=True)
    assert len(quarters) == 6
    for quarter in quarters:
        end = quarter["date"] + timedelta(minutes=15)
        inside = [row for row in minutes if quarter["date"] <= row["date"] < end]
        assert quarter["open"] == inside[0]["open"]
        assert quarter["close"] == inside[-1]["close"]
        assert quarter["high"] == max(row["high"] for row in inside)
        assert quarter["low"] == min(row["low"] for row in inside)
        assert quarter["volume"] == sum(row["volume"] for row in inside)
        assert quarter["oi"] == inside[-1]["oi"] > 0
    for interval in ("3minute", "5minute", "10minute", "30minute"):
        assert sum(row["volume"] for row in candles(interval)) == sum(row["volume"] for row in minutes)
    hour = candles("60minute")[0]
    assert hour["high"] == max(row["high"] for row in quarters[:4])
    before = trader.quote(option)["volume"]
    (day,) = kite.historical_data(token, "2026-11-19", "2026-11-19", "day")
    assert before <= day["volume"] <= trader.quote(option)["volume"]


@drives("historical_data")
def test_ill_formed_requests_for_candles(trader: Trader) -> None:
    """Unknown tokens and intervals, ranges backwards or too long, and continuous minutes raise InputException."""
    from kiteconnect import exceptions

    kite = trader.kite
    token = trader.option()["instrument_token"]
    future = next(row for row in trader.rows() if row["instrument_type"] == "FUT" and row["name"] == "NIFTY")
    for arguments in (
        (1, OPENING, CLOSING, "minute"),
        (token, OPENING, CLOSING, "2minute"),
        (token, CLOSING, OPENING, "minute"),
        (token, "yesterday", CLOSING, "minute"),
        (token, "2026-09-01 09:15:00", CLOSING, "minute"),
        (token, "2020-01-01 09:15:00", CLOSING, "day"),
        (future["instrument_token"], OPENING, CLOSING, "minute", True),
        (token, OPENING, CLOSING, "day", True),
    ):
        with pytest.raises(exceptions.InputException):
            kite.historical_data(*arguments)
    (day,) = kite.historical_data(future["instrument_token"], "2026-11-01", CLOSING, "day", continuous=True)
    assert day["volume"] > 0


@drives("trigger_range")
def test_trigger_range(trader: Trader, exchange: PracticeProcess) -> None:
    """A cover order's stop lies on the losing side of the last price, within the day's band."""
    del exchange
    option = trader.option()
    key = f"NFO:{option['tradingsymbol']}"
    quote = trader.quote(option)
    buy, sell = (trader.kite.trigger_range(side, key, "NFO:NOTHING") for side in ("BUY", "SELL"))
    assert set(buy) == set(sell) == {key}
    assert set(buy[key]) == {"instrument_token", "lower", "upper"}
    assert buy[key]["lower"] == quote["lower_circuit_limit"] < buy[key]["upper"]
    assert sell[key]["lower"] < sell[key]["upper"] == quote["upper_circuit_limit"]
