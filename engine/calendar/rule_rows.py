"""The rows of a rule file: one kind per topic, each dated, with its source, its certainty and the day it was checked.

Invariant: a row says of itself what it is about (:attr:`topic`, :attr:`subject`) and says its fact in words
(:attr:`words`); two rows with the same topic, subject and first day are the same fact, and the later told one counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import ClassVar, Final, Literal

import msgspec

from engine.calendar.session_table import (
    ClearingHoliday,
    HolidayYear,
    SessionRegime,
    SessionRows,
    SpecialSession,
    UnknownSession,
)
from engine.core.rulebook import Certainty
from engine.core.vocabulary import Exchange

Contracts = Literal["index option", "index future", "stock option", "stock future"]
Cycle = Literal["weekly", "monthly"]
Weekday = Literal["none", "MON", "TUE", "WED", "THU", "FRI"]
WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI")
"""By number, Monday is 0."""
FactTopic = Literal[
    "session", "hours", "halt", "budget", "protection", "order", "margin", "settlement", "band", "expiry"
]


class RuleFact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """What every row has."""

    since: date
    """First day in force; the last row of its topic and subject whose day is not later applies."""
    about: bool = False
    """The first day is not exactly known."""
    until: date | None = None
    """Last day in force; afterwards nothing is known until the next row begins."""
    source: str
    certainty: Certainty = Certainty.HIGH
    checked: date | None = None
    """``None``: the file's own."""
    remark: str = ""

    topic: ClassVar[str] = ""

    @property
    def subject(self) -> str:
        """What the row is about within its topic."""
        return ""

    @property
    def words(self) -> str:
        """The fact in words and numbers, without its dates."""
        return ""


class LotRow(RuleFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units in one lot of contracts that expire from about the day on. A dump's own rows win."""

    underlying: str
    units: int
    topic: ClassVar[str] = "lot"

    @property
    def subject(self) -> str:
        """The underlying."""
        return self.underlying

    @property
    def words(self) -> str:
        """The lot."""
        return f"{self.units:,} units"


class FreezeRow(RuleFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most units one order may have."""

    underlying: str
    units: int
    topic: ClassVar[str] = "freeze"

    @property
    def subject(self) -> str:
        """The underlying."""
        return self.underlying

    @property
    def words(self) -> str:
        """The quantity."""
        return f"{self.units:,} units in one order"


class StepRow(RuleFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points between strikes near the money of the nearest expiry. A dump's own strikes win."""

    underlying: str
    points: Decimal
    topic: ClassVar[str] = "step"

    @property
    def subject(self) -> str:
        """The underlying."""
        return self.underlying

    @property
    def words(self) -> str:
        """The distance."""
        return f"{self.points} points between strikes near the money"


class TickRow(RuleFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Smallest price steps that contracts may have, rupees. A dump's own rows win."""

    exchange: Exchange
    contracts: Contracts
    underlying: str = ""
    """Only this one; empty: all that have no row of their own."""
    ticks: tuple[Decimal, ...]
    topic: ClassVar[str] = "tick"

    @property
    def subject(self) -> str:
        """Whose ticks."""
        return contracts_words(self.exchange, self.contracts, self.underlying)

    @property
    def words(self) -> str:
        """The ticks."""
        return " or ".join(str(tick) for tick in self.ticks)


class ExpiryRow(RuleFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The weekday on which contracts expire; a holiday moves it to the trading day before. Dates come from the dump."""

    underlying: str
    cycle: Cycle
    weekday: Weekday
    """``none``: no such contracts are listed."""
    topic: ClassVar[str] = "expiry"

    @property
    def subject(self) -> str:
        """The underlying and the cycle."""
        return f"{self.underlying} {self.cycle}"

    @property
    def words(self) -> str:
        """The weekday."""
        if self.weekday == "none":
            return f"no {self.cycle} contracts"
        last = "last " if self.cycle == "monthly" else ""
        return f"{last}{self.weekday}, on a holiday the trading day before"


class BandRow(RuleFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limit-price protection: how far a limit may lie from the exchange's reference price, either way."""

    exchange: Exchange
    contracts: Contracts
    underlying: str = ""
    points: Decimal
    """Rupees; the band is never narrower."""
    percent: Decimal
    """Of the reference price; the wider of the two counts."""
    topic: ClassVar[str] = "band"

    @property
    def subject(self) -> str:
        """Whose orders."""
        return contracts_words(self.exchange, self.contracts, self.underlying)

    @property
    def words(self) -> str:
        """Both distances and where they meet."""
        meet = self.points * 100 / self.percent
        return f"±{self.points} up to {meet.normalize():f}, ±{self.percent} % of the reference price above"


class BanRow(RuleFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stocks in which no new positions may be opened on one day; an empty list is a known empty one."""

    symbols: tuple[str, ...]
    topic: ClassVar[str] = "ban"

    @property
    def subject(self) -> str:
        """Everybody."""
        return "stocks"

    @property
    def words(self) -> str:
        """The names."""
        return ", ".join(self.symbols) or "none"


class FactRow(RuleFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact in words, for people."""

    of: FactTopic
    about_what: str
    says: str

    @property
    def subject(self) -> str:
        """What it is about."""
        return self.about_what

    @property
    def words(self) -> str:
        """The fact."""
        return self.says


class RuleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole rule file: the shipped one, or one that a person loads. Sessions may stand in loaded ones."""

    checked: date
    """When a person last compared the facts with their sources."""
    review_days: dict[str, int] = {}
    """By topic: after how many days a fact should be looked at again."""
    lot: tuple[LotRow, ...] = ()
    freeze: tuple[FreezeRow, ...] = ()
    step: tuple[StepRow, ...] = ()
    tick: tuple[TickRow, ...] = ()
    expiry: tuple[ExpiryRow, ...] = ()
    band: tuple[BandRow, ...] = ()
    ban: tuple[BanRow, ...] = ()
    fact: tuple[FactRow, ...] = ()
    derivatives: tuple[SessionRegime, ...] = ()
    holidays: tuple[HolidayYear, ...] = ()
    special_sessions: tuple[SpecialSession, ...] = ()
    unknown_sessions: tuple[UnknownSession, ...] = ()
    clearing_holidays: tuple[ClearingHoliday, ...] = ()

    def facts(self) -> Iterator[tuple[str, int, RuleFact]]:
        """Every dated fact with its table's name and its place there."""
        for name in ("lot", "freeze", "step", "tick", "expiry", "band", "ban", "fact"):
            for number, row in enumerate(getattr(self, name)):
                yield name, number, row

    def sessions(self) -> SessionRows | None:
        """The rows about sessions; ``None`` when the file has none."""
        rows = SessionRows(
            checked=self.checked,
            derivatives=self.derivatives,
            holidays=self.holidays,
            special_sessions=self.special_sessions,
            unknown_sessions=self.unknown_sessions,
            clearing_holidays=self.clearing_holidays,
        )
        return None if rows == SessionRows(checked=self.checked) else rows


def topic_of(row: RuleFact) -> str:
    """The topic of a row; a fact in words names its own."""
    return row.of if isinstance(row, FactRow) else row.topic


def contracts_words(exchange: Exchange, contracts: str, underlying: str) -> str:
    """Whose contracts: of one underlying, or of a whole kind on an exchange."""
    kind = contracts.rpartition(" ")[2]
    return f"{exchange} {underlying} {kind}s" if underlying else f"{exchange} {contracts}s"
