"""Kite's instrument dump (CSV) to instruments, purely and fast: forty thousand rows in a fraction of a second.

Invariant: columns are found by their names; a row that cannot be read is counted with its reason, never guessed at.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from engine.core.instruments import SEGMENT_INDICES, Instrument
from engine.core.money import PAISA
from engine.core.vocabulary import Exchange, InstrumentKind

COLUMNS = (
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
)
REASONS_KEPT = 20
_KINDS = {
    "EQ": InstrumentKind.EQUITY,
    "FUT": InstrumentKind.FUTURE,
    "CE": InstrumentKind.CALL,
    "PE": InstrumentKind.PUT,
}
_EXCHANGES = {str(exchange): exchange for exchange in Exchange}
_Value = TypeVar("_Value")


class DumpUnreadable(ValueError):
    """The text is not an instrument dump."""


class InstrumentDump(msgspec.Struct, frozen=True):
    """What a dump holds."""

    instruments: tuple[Instrument, ...]
    skipped: int
    """Rows left out: exchanges this program does not know, and broken rows."""
    reasons: tuple[str, ...]
    """Why, for the first ``REASONS_KEPT`` of them."""


def parse_instruments(text: str) -> InstrumentDump:
    """Read a dump.

    Index rows carry no tick and no lot; they cannot be traded, and get one paisa and one unit.

    Raises:
        DumpUnreadable: no header with the columns of a dump.
    """
    reader = csv.reader(text.splitlines())
    header = next(reader, [])
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise DumpUnreadable(f"This is not an instrument dump: it has no column {', '.join(missing)}.")
    places = [header.index(column) for column in COLUMNS]
    # The same few expiries, strikes, ticks and lots come thousands of times: each spelling is read once.
    expiries, strikes, ticks, lots = _Once(_expiry), _Once(_strike), _Once(_tick), _Once(_lot)
    instruments: list[Instrument] = []
    reasons: list[str] = []
    skipped = 0
    for row in reader:
        try:
            token, exchange_token, symbol, name, expiry, strike, tick, lot, kind, segment, exchange = [
                row[place] for place in places
            ]
            is_index = segment == SEGMENT_INDICES
            of_kind = InstrumentKind.INDEX if is_index else _KINDS[kind]
            instruments.append(
                Instrument(
                    token=int(token),
                    exchange_token=int(exchange_token),
                    tradingsymbol=symbol,
                    exchange=_EXCHANGES[exchange],
                    name=name or symbol,
                    kind=of_kind,
                    segment=segment,
                    expiry=expiries[expiry],
                    strike=strikes[strike] if of_kind.is_option else None,
                    tick_size=PAISA if is_index else ticks[tick],
                    lot_size=1 if is_index else lots[lot],
                )
            )
        except (ValueError, LookupError, InvalidOperation) as error:
            skipped += 1
            if len(reasons) < REASONS_KEPT:
                reasons.append(f"line {reader.line_num}: {type(error).__name__} {error}")
    return InstrumentDump(tuple(instruments), skipped, tuple(reasons))


class _Once(dict[str, _Value]):
    """A table that reads a spelling the first time it is asked for."""

    def __init__(self, read: Callable[[str], _Value]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> _Value:
        value = self[text] = self._read(text)
        return value


def _expiry(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _strike(text: str) -> Decimal:
    value = Decimal(text.removesuffix(".0"))
    if not value.is_finite() or value <= 0:
        raise ValueError(f"an option's strike is {text}")
    return value


def _tick(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite() or value <= 0:
        raise ValueError(f"the tick is {text}")
    return value


def _lot(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError(f"the lot is {text}")
    return value
