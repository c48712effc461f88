"""The session table as rows for a person: the hours in force, and the special days of a year."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, time, timedelta

from engine.calendar.session_table import (
    ClearingHoliday,
    SessionRegime,
    SessionTable,
    SpecialSession,
    UnknownSession,
)
from engine.core.rulebook import RuleRow

_ONE_DAY = timedelta(days=1)

Origin = Callable[[str, date], str]
"""Where the row of a table (by its name) and day came from."""


def session_rows(table: SessionTable, on: date, origin: Origin) -> Iterator[RuleRow]:
    """The regime in force on a day, and the holidays and special days of its year; holiday lists are of 1 January."""
    yield from _regime(table, on, origin)
    for year in table.holidays:
        if year.year == on.year:
            first = date(year.year, 1, 1)
            yield RuleRow(
                topic="holiday",
                subject=str(year.year),
                value=", ".join(f"{day:%a %d %b}" for day in sorted(year.days)),
                since=first,
                until=date(year.year, 12, 31),
                source=year.source,
                certainty=year.certainty,
                checked=year.checked or table.checked,
                origin=origin("holidays", first),
            )
    days: list[tuple[str, SpecialSession | UnknownSession | ClearingHoliday, str]] = [
        *(("special_sessions", row, _special_words(row)) for row in table.special_sessions),
        *(("unknown_sessions", row, f"{row.why}: held, hours not known") for row in table.unknown_sessions),
        *(("clearing_holidays", row, "trading as usual, clearing and banks rest") for row in table.clearing_holidays),
    ]
    for name, row, words in sorted(days, key=lambda item: item[1].day):
        if row.day.year == on.year:
            yield RuleRow(
                topic="session",
                subject=f"{row.day:%a %d %b %Y}",
                value=words,
                since=row.day,
                until=row.day,
                source=row.source,
                certainty=row.certainty,
                checked=row.checked or table.checked,
                origin=origin(name, row.day),
            )


def _regime(table: SessionTable, on: date, origin: Origin) -> Iterator[RuleRow]:
    begun = [regime for regime in table.derivatives if regime.since <= on]
    if not begun:
        return
    regime = begun[-1]
    later = table.derivatives[len(begun) :]
    yield RuleRow(
        topic="session",
        subject="derivatives",
        value=_regime_words(regime),
        since=regime.since,
        until=later[0].since - _ONE_DAY if later else None,
        source=regime.source,
        certainty=regime.certainty,
        checked=regime.checked or table.checked,
        origin=origin("derivatives", regime.since),
    )


def _regime_words(regime: SessionRegime) -> str:
    words = f"{_clock(regime.open)} to {_clock(regime.close)}"
    if regime.cash_continuous_close < regime.close:
        words += f"; the index freezes at {_clock(regime.cash_continuous_close)}"
    if regime.index_expiry_close < regime.close:
        words += f"; expiring index contracts stop at {_clock(regime.index_expiry_close)}"
    return words


def _special_words(row: SpecialSession) -> str:
    hours = f"{_clock(row.open)} to {_clock(row.close)}"
    if row.pause is not None:
        hours = f"{_clock(row.open)} to {_clock(row.pause[0])} and {_clock(row.pause[1])} to {_clock(row.close)}"
    return f"{row.why}: {hours}"


def _clock(moment: time) -> str:
    return f"{moment:%H:%M}"
