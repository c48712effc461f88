"""Minute candles as rows: one per instrument and minute, checked, and in PostgreSQL's binary COPY format and back.

The stream is built from columns and read into columns: every row has the same length, because what is not known is -1
on the way (the table has NULL), so numpy sees an array of records and no object is made for a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.core.bars import BarSource, MinuteBars
from engine.core.identifiers import InstrumentKey
from engine.core.views import Integers
from storage.chain_rows import read_only
from storage.errors import RowRefused

MINUTE_S: Final = 60
UNKNOWN: Final = -1
PRICE_MAX: Final = 2**31 - 1
"""A price column of the table; at two decimal places 21 million rupees."""
DECIMALS_MAX: Final = 9
FIGURES: Final = ("start", "open", "high", "low", "close", "volume", "open_interest", "source")

COLUMNS: Final = ("instrument_id", "start", "open", "high", "low", "close", "volume", "open_interest", "source")
_TYPES: Final = (">i4", ">i8", ">i4", ">i4", ">i4", ">i4", ">i8", ">i8", ">i2")
_RECORD: Final = np.dtype(
    [("fields", ">i2")]
    + [part for name, kind in zip(COLUMNS, _TYPES, strict=True) for part in ((f"{name}_bytes", ">i4"), (name, kind))]
)
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_POSTGRES_EPOCH_S: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
_MICROSECONDS: Final = 1_000_000


class BarColumns(NamedTuple):
    """Candles under the numbers of their instruments, shape (n,)."""

    instrument_id: Integers
    start: Integers
    """Epoch seconds."""
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers
    """-1 where it is not known."""
    open_interest: Integers
    source: Integers


def checked(bars: MinuteBars) -> MinuteBars:
    """One candle per instrument and minute, by both: of several the one with the greatest source, then the last.

    Raises:
        ValueError: columns of different lengths.
        RowRefused: a candle that cannot be: see the rules of the table ``price_bars``.
    """
    count = len(bars.place)
    if {len(getattr(bars, name)) for name in FIGURES} != {count} or len(bars.decimals) != len(bars.instruments):
        raise ValueError("the columns of a batch of candles differ in length")
    names = set(bars.instruments)
    _require(len(names) == len(bars.instruments) and all(key.tradingsymbol for key in names), "tradingsymbol", 0)
    _require_all(bars.decimals <= DECIMALS_MAX, "decimals")
    _require_all((bars.place >= 0) & (bars.place < len(bars.instruments)), "instrument")
    _require_all(bars.start % MINUTE_S == 0, "start")
    inside = (bars.low <= np.minimum(bars.open, bars.close)) & (np.maximum(bars.open, bars.close) <= bars.high)
    _require_all((bars.low > 0) & (bars.high <= PRICE_MAX) & inside, "price")
    _require_all(bars.volume >= UNKNOWN, "volume")
    _require_all(bars.open_interest >= UNKNOWN, "open_interest")
    _require_all(bars.source <= max(BarSource), "source")
    order = np.lexsort((np.arange(count), bars.source, bars.start, bars.place))
    changes = (np.diff(bars.place[order]) != 0) | (np.diff(bars.start[order]) != 0)
    rows = order[np.append(changes, np.ones(min(count, 1), np.bool_))]
    return minute_bars(
        bars.instruments, bars.decimals, bars.place[rows], [getattr(bars, name)[rows] for name in FIGURES]
    )


def minute_bars(
    instruments: Sequence[InstrumentKey],
    decimals: npt.NDArray[np.uint8],
    place: Integers,
    figures: Sequence[npt.NDArray[np.generic]],
) -> MinuteBars:
    """A batch of read-only columns; ``figures`` are those of ``FIGURES``."""
    columns = [column.astype(np.int64) for column in figures]
    start, opened, high, low, close, volume, interest = (read_only(column) for column in columns[:-1])
    return MinuteBars(
        instruments=tuple(instruments),
        place=read_only(place.astype(np.int64)),
        start=start,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
        open_interest=interest,
        source=read_only(columns[-1].astype(np.uint8)),
        decimals=read_only(decimals.astype(np.uint8)),
    )


def copy_stream(ids: Integers, bars: MinuteBars) -> bytes:
    """Candles in the binary COPY format; ``ids`` are the numbers of the batch's instruments."""
    records = np.empty(len(bars.place), _RECORD)
    records["fields"] = len(COLUMNS)
    for name, kind in zip(COLUMNS, _TYPES, strict=True):
        records[f"{name}_bytes"] = np.dtype(kind).itemsize
    records["instrument_id"] = ids[bars.place]
    records["start"] = (bars.start - _POSTGRES_EPOCH_S) * _MICROSECONDS
    for name in FIGURES[1:]:
        records[name] = getattr(bars, name)
    return b"".join((_HEADER, records.tobytes(), _TRAILER))


def read_stream(stream: bytes) -> BarColumns:
    """The candles of a stream of the query that asks for ``COLUMNS`` without NULL.

    Raises:
        ValueError: it is not what such a query answers.
    """
    size = len(stream) - len(_HEADER) - len(_TRAILER)
    if size < 0 or size % _RECORD.itemsize or not stream.startswith(_HEADER) or not stream.endswith(_TRAILER):
        raise ValueError(f"{len(stream)} bytes are no binary COPY of candles")
    records = np.frombuffer(stream, _RECORD, size // _RECORD.itemsize, len(_HEADER))
    if (records["fields"] != len(COLUMNS)).any():
        raise ValueError("a row of the binary COPY has another number of columns")
    columns = {name: records[name].astype(np.int64) for name in COLUMNS}
    columns["start"] = columns["start"] // _MICROSECONDS + _POSTGRES_EPOCH_S
    return BarColumns(**columns)


def _require_all(kept: npt.NDArray[np.bool_], rule: str) -> None:
    broken = np.flatnonzero(~kept)
    if len(broken):
        _require(False, rule, int(broken[0]))


def _require(kept: bool, rule: str, row: int) -> None:
    if not kept:
        raise RowRefused(
            f"The candle in place {row} of the batch was refused: its {rule} cannot be.", f"price_bars_{rule}_check"
        )
