"""Rule files laid over each other, and what they say on a day.

Invariant: a file is taken whole or refused whole. Of two rows with one topic, subject and first day the one of the
later layer counts; a row is in force from its day until the next one begins, or until its own end, and outside of that
nothing is known: no neighbour stands in.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

from engine.calendar.data_files import DataFile, converted, parsed, refusal, shipped, text_of
from engine.calendar.rule_rows import (
    BandRow,
    BanRow,
    Contracts,
    Cycle,
    ExpiryRow,
    FreezeRow,
    LotRow,
    RuleFact,
    RuleFile,
    StepRow,
    TickRow,
    contracts_words,
    topic_of,
)
from engine.core.rulebook import RuleRow
from engine.core.vocabulary import Exchange

RULES_FILE: Final = "rules.toml"
SHIPPED: Final = "shipped"
_ONE_DAY: Final = timedelta(days=1)
_PERCENT: Final = 100
_PERCENT_MOST: Final = 100
_KEPT_MAX: Final = 4096
"""Rows of contracts that are remembered; the oldest goes first. A day of all underlyings has a fraction of it."""


class RuleLayer(NamedTuple):
    """A rule file and where it came from."""

    origin: str
    """``shipped``, or the name under which it was loaded."""
    file: RuleFile


class PriceBand(NamedTuple):
    """Between which limits the exchange takes an order, rupees."""

    low: Decimal
    high: Decimal


class _Placed(NamedTuple):
    row: RuleFact
    origin: str
    checked: date


class DatedRules:
    """What is in force on a day.

    Args:
        layers: rule files, the shipped one first; later ones count where they say the same thing.
    """

    def __init__(self, layers: Iterable[RuleLayer]) -> None:
        placed: dict[tuple[str, str], dict[date, _Placed]] = {}
        review: dict[str, int] = {}
        for origin, file in layers:
            review |= file.review_days
            for _, _, row in file.facts():
                days = placed.setdefault((topic_of(row), row.subject), {})
                days[row.since] = _Placed(row, origin, row.checked or file.checked)
        self._review: Mapping[str, int] = MappingProxyType(review)
        self._series = {key: [days[day] for day in sorted(days)] for key, days in placed.items()}
        self._kept: dict[tuple[str, Exchange, Contracts, str, date], RuleFact | None] = {}

    @property
    def review_days(self) -> Mapping[str, int]:
        """By topic: after how many days a fact should be looked at again."""
        return self._review

    def rows(self, on: date) -> Iterator[RuleRow]:
        """Every fact in force on a day, in the order of the files."""
        for topic, subject in self._series:
            found = self._on(topic, subject, on)
            if found is None:
                continue
            place, (row, origin, checked) = found
            series = self._series[topic, subject]
            until = row.until
            if until is None and place + 1 < len(series):
                until = series[place + 1].row.since - _ONE_DAY
            notes = [note for note in ("first day not exact" if row.about else "", row.remark) if note]
            yield RuleRow(
                topic=topic,
                subject=subject,
                value=row.words + (f" ({'; '.join(notes)})" if notes else ""),
                since=row.since,
                until=until,
                source=row.source,
                certainty=row.certainty,
                checked=checked,
                origin=origin,
            )

    def lot_size(self, underlying: str, on: date) -> int | None:
        """Units in one lot; the dump's rows win wherever there are some. ``None`` when it is not known."""
        row = self._row("lot", underlying, on)
        return row.units if isinstance(row, LotRow) else None

    def freeze_quantity(self, underlying: str, on: date | None) -> int | None:
        """The most units one order may have; of the newest row without a day. ``None`` when it is not known."""
        if on is None:
            series = self._series.get((FreezeRow.topic, underlying), [])
            row: RuleFact | None = series[-1].row if series else None
        else:
            row = self._row(FreezeRow.topic, underlying, on)
        return row.units if isinstance(row, FreezeRow) else None

    def strike_step(self, underlying: str, on: date) -> Decimal | None:
        """Points between strikes near the money of the nearest expiry; ``None`` when it is not known."""
        row = self._row("step", underlying, on)
        return row.points if isinstance(row, StepRow) else None

    def ticks(self, exchange: Exchange, contracts: Contracts, underlying: str, on: date) -> tuple[Decimal, ...]:
        """Price steps that the contracts may have; empty when they are not known."""
        row = self._for_contracts("tick", exchange, contracts, underlying, on)
        return row.ticks if isinstance(row, TickRow) else ()

    def expiry(self, underlying: str, cycle: Cycle, on: date) -> ExpiryRow | None:
        """The weekday of expiries; ``None`` when it is not known."""
        row = self._row("expiry", f"{underlying} {cycle}", on)
        return row if isinstance(row, ExpiryRow) else None

    def price_band(
        self, exchange: Exchange, contracts: Contracts, underlying: str, reference: Decimal, on: date
    ) -> PriceBand | None:
        """The limit-price protection around a reference price; ``None`` when none is known for the contracts."""
        row = self._for_contracts("band", exchange, contracts, underlying, on)
        if not isinstance(row, BandRow):
            return None
        width = max(row.points, reference * row.percent / _PERCENT)
        return PriceBand(max(reference - width, Decimal(0)), reference + width)

    def ban_list(self, on: date) -> frozenset[str] | None:
        """Stocks in which no new positions may be opened on a day; ``None`` when no list of that day is loaded."""
        row = self._row("ban", "stocks", on)
        return frozenset(row.symbols) if isinstance(row, BanRow) and row.since == on else None

    def _for_contracts(
        self, topic: str, exchange: Exchange, contracts: Contracts, underlying: str, on: date
    ) -> RuleFact | None:
        """The row of the very underlying, else that of its kind. Every order asks for the same few."""
        key = (topic, exchange, contracts, underlying, on)
        if key in self._kept:
            return self._kept[key]
        row = self._row(topic, contracts_words(exchange, contracts, underlying), on)
        if row is None:
            row = self._row(topic, contracts_words(exchange, contracts, ""), on)
        while len(self._kept) >= _KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = row
        return row

    def _row(self, topic: str, subject: str, on: date) -> RuleFact | None:
        found = self._on(topic, subject, on)
        return found[1].row if found is not None else None

    def _on(self, topic: str, subject: str, on: date) -> tuple[int, _Placed] | None:
        series = self._series.get((topic, subject), [])
        place = bisect_right(series, on, key=lambda placed: placed.row.since) - 1
        if place < 0:
            return None
        row = series[place].row
        ended = row.until is not None and row.until < on
        # A ban list is of its own day alone.
        return None if ended or (isinstance(row, BanRow) and row.since != on) else (place, series[place])


def read_rule_file(file: DataFile | None = None) -> RuleFile:
    """Read a rule file, ``file`` or the one shipped.

    Raises:
        SetupError: it cannot be read, is not TOML, or a key is missing, unknown, ill-typed or contradicts others.
    """
    source = file if file is not None else shipped(RULES_FILE)
    return parse_rule_file(text_of(source), str(source))


def parse_rule_file(text: str, name: str) -> RuleFile:
    """Read the text of a rule file that is called ``name``.

    Raises:
        SetupError: it is not TOML, or a key is missing, unknown, ill-typed or contradicts others; the sentence names
            file, key and what is allowed.
    """
    file = converted(parsed(text, name), RuleFile, name)
    seen: set[tuple[str, str, date]] = set()
    for table, number, row in file.facts():
        where = f"{table}[{number}]"
        _check(row, where, name)
        key = (topic_of(row), row.subject, row.since)
        if key in seen:
            raise refusal(name, where, f"is the second row of {row.subject} with `from` {row.since}; one is allowed")
        seen.add(key)
    for topic, days in file.review_days.items():
        if days < 1:
            raise refusal(name, f"review_days.{topic}", f"is {days}; it must be at least 1")
    return file


def _check(row: RuleFact, where: str, name: str) -> None:
    if not row.source.strip():
        raise refusal(name, f"{where}.source", "is empty; it must say where the fact is from")
    if not row.subject.strip():
        raise refusal(name, where, "has an empty subject; it must say what it is about")
    if row.until is not None and row.until < row.since:
        raise refusal(name, f"{where}.until", f"is {row.until}; it must not lie before `from`, {row.since}")
    match row:
        case LotRow() | FreezeRow():
            _check_positive(Decimal(row.units), f"{where}.units", name)
        case StepRow():
            _check_positive(row.points, f"{where}.points", name)
        case TickRow():
            if not row.ticks:
                raise refusal(name, f"{where}.ticks", "is empty; at least one is needed")
            for number, tick in enumerate(row.ticks):
                _check_positive(tick, f"{where}.ticks[{number}]", name)
        case BandRow():
            _check_positive(row.points, f"{where}.points", name)
            _check_positive(row.percent, f"{where}.percent", name)
            if row.percent > _PERCENT_MOST:
                raise refusal(name, f"{where}.percent", f"is {row.percent}; it must be at most {_PERCENT_MOST}")
        case BanRow():
            strange = next((symbol for symbol in row.symbols if symbol != symbol.strip().upper() or not symbol), None)
            if strange is not None:
                raise refusal(
                    name, f"{where}.symbols", f"holds {strange!r}; names are in capitals, as the dump has them"
                )
        case _:
            pass


def _check_positive(value: Decimal, key: str, name: str) -> None:
    if not (value.is_finite() and value > 0):
        raise refusal(name, key, f"is {value}; it must be greater than 0")
