"""The dated facts of the market as shown to a person: what is in force, since when, on whose word."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec


class Certainty(StrEnum):
    """How sure a fact is."""

    HIGH = "high"
    """A circular, or measured on a real dump."""
    MEDIUM = "medium"
    """One decent source."""
    LOW = "low"
    """Memory, a forum, or derived."""


class RuleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One fact as it is in force on a day."""

    topic: str
    """``session``, ``holiday``, ``lot``, ``freeze``, ``tick``, ``band``, ``charges``, ``budget``, ``protection``,
    ``expiry``, ``ban`` …"""
    subject: str
    """What it is about: an underlying, an exchange, a charge; empty for everybody."""
    value: str
    """The fact in words and numbers."""
    since: date | None
    """First day in force; ``None``: not known."""
    until: date | None = None
    """Last day in force, where the next row is known already."""
    source: str
    certainty: Certainty
    checked: date
    """When a person last compared it with its source."""
    origin: str = "shipped"
    """``shipped``, the name of a file, or ``database``."""


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fact and the day's dump say different things; the dump wins for lots and ticks."""

    topic: str
    subject: str
    rule: str
    dump: str
    message: str


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """The rule pack on one day."""

    on: date
    rows: tuple[RuleRow, ...]
    contradictions: tuple[Contradiction, ...]
    unknown: tuple[str, ...]
    """What is not known for that day, one sentence each: a year without a holiday list …"""
    at: datetime
