"""Historical candles: what is asked, and what an answer means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from engine.brokers.kite.history import DAYS_MAX, history_query, parse_history
from engine.brokers.kite.messages import UnreadableAnswer
from engine.core.bars import BarInterval, BarSource, PriceBar
from engine.core.errors import InvalidInput

OPEN = datetime(2026, 11, 19, 3, 45, tzinfo=UTC)
EVENING = datetime(2026, 11, 19, 12, 0, tzinfo=UTC)
GOOD = ["2026-11-19T09:15:00+0530", 105.05, 107.1, 104.95, 106, 6500, 1_250_000]


def answer(*rows: Any) -> bytes:
    """A success with these rows."""
    return json.dumps({"status": "success", "data": {"candles": rows}}).encode()


def read(*rows: Any, decimals: int = 2, now: datetime = EVENING, interval: BarInterval = BarInterval.MINUTE) -> Any:
    """What the rows mean."""
    return parse_history(answer(*rows), interval, decimals=decimals, now=now)


def test_a_request_names_indias_clock() -> None:
    """Whatever zone the caller's times have; open interest is always asked for."""
    start = OPEN.astimezone(timezone(timedelta(hours=-5)))
    assert history_query(BarInterval.MINUTE, start, OPEN + timedelta(minutes=5)) == [
        ("from", "2026-11-19 09:15:00"),
        ("to", "2026-11-19 09:20:00"),
        ("continuous", "0"),
        ("oi", "1"),
    ]


@pytest.mark.parametrize("interval", BarInterval)
def test_a_longer_span_than_the_broker_gives_is_not_asked(interval: BarInterval) -> None:
    """The longest span is; the error says how long it is."""
    longest = timedelta(days=DAYS_MAX[interval])
    assert history_query(interval, OPEN - longest, OPEN)
    with pytest.raises(InvalidInput, match=f"may span {longest.days} days"):
        history_query(interval, OPEN - longest - timedelta(seconds=1), OPEN)


def test_times_that_are_no_span_are_refused() -> None:
    """Without a zone, and backwards."""
    with pytest.raises(InvalidInput, match="no zone"):
        history_query(BarInterval.MINUTE, OPEN.replace(tzinfo=None), OPEN)
    with pytest.raises(InvalidInput, match="before they start"):
        history_query(BarInterval.MINUTE, OPEN, OPEN - timedelta(seconds=1))


def test_a_row_is_a_candle() -> None:
    """Exact prices, UTC, units; without open interest it is unknown, not 0."""
    parsed = read(GOOD, ["2026-11-19T09:16:00+05:30", 106, 106, 106, 106, 0])
    assert parsed.rows == (
        PriceBar(
            start=OPEN,
            open=Decimal("105.05"),
            high=Decimal("107.10"),
            low=Decimal("104.95"),
            close=Decimal("106.00"),
            volume=6500,
            open_interest=1_250_000,
            source=BarSource.HISTORY,
        ),
        PriceBar(
            start=OPEN + timedelta(minutes=1),
            open=Decimal(106),
            high=Decimal(106),
            low=Decimal(106),
            close=Decimal(106),
            volume=0,
            open_interest=None,
            source=BarSource.HISTORY,
        ),
    )
    assert parsed.unread == ()


@pytest.mark.parametrize(
    ("decimals", "number", "price"),
    [
        (2, 24_000.049999999999, "24000.05"),
        (2, 0.15000000000000002, "0.15"),
        (2, 101.3749, "101.37"),
        (4, 83.12345, "83.1235"),
        (7, 83.1234567, "83.1234567"),
    ],
)
def test_prices_are_of_the_wires_places(decimals: int, number: float, price: str) -> None:
    """Binary noise and adjusted prices are rounded to what a wire integer can hold."""
    parsed = read([GOOD[0], number, number, number, number, 1], decimals=decimals)
    assert parsed.rows[0].close == Decimal(price)
    assert parsed.rows[0].close.as_tuple().exponent == -decimals


@pytest.mark.parametrize("interval", BarInterval)
def test_the_candle_in_progress_is_left_out(interval: BarInterval) -> None:
    """One that ends at this very moment is finished."""
    now = OPEN + timedelta(minutes=2 * interval.minutes)
    starts = [OPEN + timedelta(minutes=interval.minutes * number) for number in range(3)]
    rows = [[start.isoformat(), *GOOD[1:]] for start in starts]
    assert [bar.start for bar in read(*rows, now=now, interval=interval).rows] == starts[:2]
    assert [bar.start for bar in read(*rows, now=now - timedelta(seconds=1), interval=interval).rows] == starts[:1]


def test_rows_leave_in_the_order_of_time_each_once() -> None:
    """Whatever order they came in; the second of two is named."""
    later = ["2026-11-19T09:16:00+0530", *GOOD[1:]]
    parsed = read(later, GOOD, later)
    assert [bar.start.minute for bar in parsed.rows] == [45, 46]
    assert len(parsed.unread) == 1
    assert "twice" in parsed.unread[0]


BROKEN: list[Any] = [
    [],
    GOOD[:5],
    "row",
    {"time": 1},
    [None, *GOOD[1:]],
    ["yesterday", *GOOD[1:]],
    ["2026-11-19T09:15:30+0530", *GOOD[1:]],
    [GOOD[0], None, *GOOD[2:]],
    [GOOD[0], "NaN", *GOOD[2:]],
    [GOOD[0], 0, 1, 0, 1, 5],
    [GOOD[0], -1, -1, -1, -1, 5],
    [GOOD[0], 105, 104, 103, 104, 5],
    [GOOD[0], 105, 106, 105.5, 106, 5],
    [GOOD[0], 1e300, 1e300, 1e300, 1e300, 5],
    [*GOOD[:5], -5, 1],
    [*GOOD[:5], 5.5, 1],
    [*GOOD[:5], "Infinity", 1],
    [*GOOD[:6], -1],
]


@pytest.mark.parametrize("row", BROKEN, ids=range(len(BROKEN)))
def test_a_row_that_is_no_candle_is_named_and_hides_no_other(row: Any) -> None:
    """The sound row beside it is read."""
    parsed = read(row, GOOD)
    assert len(parsed.rows) == 1
    assert len(parsed.unread) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"status":"success","data":{}}',
        b'{"status":"success","data":{"candles":{}}}',
        b'{"status":"error","data":{"candles":[]}}',
        b'{"status":"success","data":null}',
    ],
)
def test_an_answer_that_is_no_list_is_not_empty(body: bytes) -> None:
    """Nonsense never reads as "there are no candles"."""
    with pytest.raises(UnreadableAnswer):
        parse_history(body, BarInterval.MINUTE, decimals=2, now=EVENING)


def test_no_candles_are_no_candles() -> None:
    """A holiday."""
    assert read().rows == ()
