"""Kite's historical candles: what is asked, and what the answer means. Pure.

An answer is rows of time, open, high, low, close, volume and, where asked for, open interest. Prices arrive as binary
fractions, and those of old days adjusted for corporate actions: they are rounded to the wire's decimal places. The last
row of a running market is a candle in progress and is left out. Invariant: a row is either right in every figure, or
left out and named; rows leave in the order of time, each minute once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

import msgspec

from engine.brokers.kite.messages import Parsed, UnreadableAnswer
from engine.brokers.kite.values import INDIA, moment, whole
from engine.core.bars import BarInterval, BarSource, PriceBar
from engine.core.errors import InvalidInput

DAYS_MAX: Final = {
    BarInterval.MINUTE: 60,
    BarInterval.MINUTES_3: 100,
    BarInterval.MINUTES_5: 100,
    BarInterval.MINUTES_15: 200,
    BarInterval.MINUTES_60: 400,
}
"""Days that one request may span; the broker refuses longer ones."""
TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
_ROW_SHOWN_BYTES: Final = 120


class _Candles(msgspec.Struct):
    candles: list[msgspec.Raw]


class _Row(msgspec.Struct, array_like=True):
    time: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    open_interest: Decimal | None = None


class _Envelope(msgspec.Struct):
    status: str
    data: _Candles


def history_query(interval: BarInterval, start: datetime, end: datetime) -> list[tuple[str, str]]:
    """The query of a request for candles that begin in [start, end], with open interest.

    Raises:
        InvalidInput: a time without a zone, an end before the start, or a span longer than one request may be.
    """
    for name, value in (("start", start), ("end", end)):
        if value.tzinfo is None:
            raise InvalidInput(f"{name} {value} has no zone: give one, for example +05:30.", field=name)
    if end < start:
        raise InvalidInput(f"The candles end ({end}) before they start ({start}).", field="end")
    longest = DAYS_MAX[interval]
    if end - start > timedelta(days=longest):
        raise InvalidInput(
            f"One request for candles of {interval.minutes} minutes may span {longest} days; this one spans "
            f"{(end - start).days}. Ask in parts.",
            field="start",
        )
    return [
        ("from", start.astimezone(INDIA).strftime(TIME_FORMAT)),
        ("to", end.astimezone(INDIA).strftime(TIME_FORMAT)),
        ("continuous", "0"),
        ("oi", "1"),
    ]


def parse_history(body: bytes, interval: BarInterval, *, decimals: int, now: datetime) -> Parsed[PriceBar]:
    """The finished candles of an answer, oldest first.

    Args:
        body: the answer.
        interval: what was asked.
        decimals: decimal places of the instrument's prices.
        now: market time; a candle that has not ended by then is in progress.

    Raises:
        UnreadableAnswer: it is no list of rows in an envelope of success.
    """
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableAnswer(f"the answer is not what was asked for: {error}") from None
    if envelope.status != "success":
        raise UnreadableAnswer(f'the status is "{envelope.status}" in an answer of success')
    step = Decimal(1).scaleb(-decimals)
    length = timedelta(minutes=interval.minutes)
    found: dict[datetime, PriceBar] = {}
    unread: list[str] = []
    for row in envelope.data.candles:
        try:
            bar = _bar(msgspec.json.decode(row, type=_Row), step)
            if bar.start in found:
                raise ValueError(f"{bar.start} is there twice")  # noqa: TRY301 - one road for all that is wrong
        except (ValueError, msgspec.DecodeError) as error:
            shown = bytes(row)[:_ROW_SHOWN_BYTES].decode("utf-8", errors="replace")
            unread.append(f"{error}: {shown}")
            continue
        found[bar.start] = bar
    return Parsed(
        tuple(found[start] for start in sorted(found) if start + length <= now.astimezone(UTC)), tuple(unread)
    )


def _bar(row: _Row, step: Decimal) -> PriceBar:
    """One row.

    Raises:
        ValueError: it is no candle.
    """
    start = moment(row.time, "time")
    if start is None or start.second or start.microsecond:
        raise ValueError(f'the time "{row.time}" is no whole minute')
    opened, high, low, close = (_price(value, step) for value in (row.open, row.high, row.low, row.close))
    if not low <= min(opened, close) <= max(opened, close) <= high:
        raise ValueError("open and close do not lie between low and high")
    return PriceBar(
        start=start,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=_units(row.volume, "volume"),
        open_interest=None if row.open_interest is None else _units(row.open_interest, "oi"),
        source=BarSource.HISTORY,
    )


def _price(value: Decimal, step: Decimal) -> Decimal:
    try:
        price = value.quantize(step, rounding=ROUND_HALF_UP)
    except InvalidOperation:
        raise ValueError(f"{value} is no price") from None
    if not price.is_finite() or price <= 0:
        raise ValueError(f"{value} is no price")
    return price


def _units(value: Decimal | None, field: str) -> int:
    if value is not None and not (value.is_finite() and value >= 0):
        raise ValueError(f"{field} is {value}, which is no number of units")
    return whole(value, field)
