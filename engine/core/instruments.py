"""Instruments as the day's dump lists them, and the names of their expiries."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import msgspec

from engine.core.errors import InvalidInput
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange, InstrumentKind

SEGMENT_INDICES = "INDICES"


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the dump. ``lot_size``, ``tick_size`` and ``expiry`` are authoritative here and nowhere else."""

    token: int
    """Kite's instrument token: unsigned, up to 32 bits; low byte is the segment. Used again after expiry."""
    exchange_token: int
    tradingsymbol: str
    exchange: Exchange
    name: str
    """The underlying for futures and options (``NIFTY``), the instrument's own name otherwise."""
    kind: InstrumentKind
    segment: str
    expiry: date | None = None
    strike: Decimal | None = None
    tick_size: Decimal = Decimal("0.05")
    lot_size: int = 1
    """Units in one lot; quantities everywhere are units."""

    @property
    def key(self) -> InstrumentKey:
        """The lasting name."""
        return InstrumentKey(self.exchange, self.tradingsymbol)


class ExpiryLabel(msgspec.Struct, frozen=True):
    """One expiry of an underlying with its names, for example ``w0`` and ``m0`` for a monthly that is the nearest."""

    expiry: date
    labels: tuple[str, ...]
    """``w0`` nearest of any kind, ``m0`` nearest monthly, ``q0`` nearest quarterly (monthly of Mar, Jun, Sep, Dec)."""
    is_monthly: bool


QUARTER_MONTHS = frozenset({3, 6, 9, 12})


def label_expiries(expiries: Iterable[date]) -> tuple[ExpiryLabel, ...]:
    """Name the listed expiries from the dump alone: a monthly is the last one listed in its month.

    No weekday is assumed: exchanges have moved expiry days several times, and holidays move them too.
    """
    days = sorted(set(expiries))
    last_of_month = {(day.year, day.month): day for day in days}
    labelled = []
    months = quarters = 0
    for week, day in enumerate(days):
        names = [f"w{week}"]
        monthly = last_of_month[day.year, day.month] == day
        if monthly:
            names.append(f"m{months}")
            months += 1
            if day.month in QUARTER_MONTHS:
                names.append(f"q{quarters}")
                quarters += 1
        labelled.append(ExpiryLabel(day, tuple(names), monthly))
    return tuple(labelled)


def expiry_of_label(label: str, expiries: Iterable[date], *, underlying: str) -> date:
    """Find the expiry a label names.

    Raises:
        InvalidInput: the underlying lacks it; the sentence lists what there is.
    """
    labelled = label_expiries(expiries)
    for item in labelled:
        if label in item.labels:
            return item.expiry
    listed = ", ".join(f"{'/'.join(item.labels)} {f'{item.expiry:%d%b}'.upper()}" for item in labelled)
    raise InvalidInput(f"{underlying} has no {label}. Listed: {listed or 'none'}.", field="expiry")
