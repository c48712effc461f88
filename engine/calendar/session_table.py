"""The published facts about sessions: hours by regime, holidays, special sessions. Read from ``sessions.toml``.

Invariant: a table is taken whole or refused whole, with the file, the key and what is allowed there; nothing here has a
fallback value for a fact that a file lacks. A loaded file may add years and sessions (:func:`overlaid`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import date, time
from itertools import pairwise
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from engine.calendar.data_files import DataFile, converted, parsed, refusal, shipped, text_of
from engine.core.rulebook import Certainty

SESSIONS_FILE: Final = "sessions.toml"


class SessionRegime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """Hours of index and stock derivatives from a day on, Indian wall-clock times."""

    since: date
    """First day in force; the last row whose day is not later than the session applies."""
    pre_open: time | None = None
    open: time
    close: time
    index_expiry_close: time
    """When index contracts stop on their expiry day."""
    cash_continuous_close: time
    """From here the index no longer moves continuously."""
    source: str
    certainty: Certainty = Certainty.HIGH
    checked: date | None = None
    """``None``: the file's own."""


class HolidayYear(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The holiday list of one year."""

    year: int
    days: tuple[date, ...]
    source: str
    certainty: Certainty = Certainty.HIGH
    checked: date | None = None


class SpecialSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session on a day, or at an hour, that the rule does not give."""

    day: date
    pre_open: time | None = None
    open: time
    pause: tuple[time, time] | None = None
    """A break in the middle: its first moment, and when trading goes on."""
    close: time
    why: str
    source: str
    certainty: Certainty = Certainty.HIGH
    checked: date | None = None


class UnknownSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session is held on a day, and its hours are not known."""

    day: date
    why: str
    source: str
    certainty: Certainty = Certainty.HIGH
    checked: date | None = None


class ClearingHoliday(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trading day on which banks and clearing rest."""

    day: date
    source: str
    certainty: Certainty = Certainty.HIGH
    checked: date | None = None


_Row = TypeVar("_Row", SessionRegime, HolidayYear, SpecialSession, UnknownSession, ClearingHoliday)


class SessionTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of ``sessions.toml``; regimes in order of their day."""

    checked: date
    """When a person last compared the facts with their sources."""
    zone: str
    first_day: date
    last_day: date
    """Days outside [first_day, last_day] have no holiday list: whether the market opens is unknown."""
    derivatives: tuple[SessionRegime, ...]
    holidays: tuple[HolidayYear, ...]
    special_sessions: tuple[SpecialSession, ...] = ()
    unknown_sessions: tuple[UnknownSession, ...] = ()
    clearing_holidays: tuple[ClearingHoliday, ...] = ()


class SessionRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows about sessions that a loaded file brings."""

    checked: date
    derivatives: tuple[SessionRegime, ...] = ()
    holidays: tuple[HolidayYear, ...] = ()
    special_sessions: tuple[SpecialSession, ...] = ()
    unknown_sessions: tuple[UnknownSession, ...] = ()
    clearing_holidays: tuple[ClearingHoliday, ...] = ()


def read_sessions(file: DataFile | None = None) -> SessionTable:
    """Read the session table, from ``file`` or the one shipped.

    Raises:
        SetupError: the file cannot be read, is not TOML, or a key is missing, unknown, ill-typed or contradicts others.
    """
    source = file if file is not None else shipped(SESSIONS_FILE)
    table = converted(parsed(text_of(source), str(source)), SessionTable, str(source))
    return checked_table(table, str(source))


def overlaid(table: SessionTable, rows: SessionRows, name: str) -> SessionTable:
    """``table`` with the rows of a loaded file in place of its own of the same day or year.

    A holiday list of a further year makes that year known. Rows keep the day on which their own file was checked.

    Raises:
        SetupError: the outcome contradicts itself, or leaves a year without a list between known ones; ``name`` and the
            key are named.
    """
    years = [row.year for row in rows.holidays]
    known = sorted({row.year for row in (*table.holidays, *rows.holidays)})
    gap = next((earlier + 1 for earlier, later in pairwise(known) if later != earlier + 1), None)
    if gap is not None:
        raise refusal(name, "holidays", f"leaves {gap} without a list; years must follow each other")
    settled = {row.day for row in rows.special_sessions}
    unknown = [row for row in table.unknown_sessions if row.day not in settled]
    joined = msgspec.structs.replace(
        table,
        first_day=min([table.first_day, *(date(year, 1, 1) for year in years)]),
        last_day=max([table.last_day, *(date(year, 12, 31) for year in years)]),
        derivatives=_joined(table.derivatives, rows.derivatives, rows.checked, lambda row: row.since),
        holidays=_joined(table.holidays, rows.holidays, rows.checked, lambda row: row.year),
        special_sessions=_joined(table.special_sessions, rows.special_sessions, rows.checked, lambda row: row.day),
        unknown_sessions=_joined(unknown, rows.unknown_sessions, rows.checked, lambda row: row.day),
        clearing_holidays=_joined(table.clearing_holidays, rows.clearing_holidays, rows.checked, lambda row: row.day),
    )
    return checked_table(joined, name)


def checked_table(table: SessionTable, name: str) -> SessionTable:
    """The table with its regimes in order of their day.

    Raises:
        SetupError: facts contradict each other.
    """
    _check_range(table, name)
    _check_regimes(table.derivatives, name)
    for number, holidays in enumerate(table.holidays):
        strange = [day for day in holidays.days if day.year != holidays.year]
        if strange:
            raise refusal(name, f"holidays[{number}].days", f"holds {strange[0]}, which is not in {holidays.year}")
    for number, special in enumerate(table.special_sessions):
        where = f"special_sessions[{number}]"
        _check_hours(name, where, special.pre_open, special.open, special.close)
        if special.pause is not None and not special.open < special.pause[0] < special.pause[1] < special.close:
            raise refusal(
                name,
                f"{where}.pause",
                f"is {special.pause[0]} to {special.pause[1]}; it must lie between {special.open} and {special.close}",
            )
    _check_once(name, "holidays", [row.year for row in table.holidays])
    _check_once(name, "special_sessions", [row.day for row in table.special_sessions])
    both = {row.day for row in table.special_sessions} & {row.day for row in table.unknown_sessions}
    if both:
        raise refusal(name, "unknown_sessions", f"holds {min(both)}, whose hours special_sessions gives")
    return msgspec.structs.replace(table, derivatives=tuple(sorted(table.derivatives, key=lambda regime: regime.since)))


def _joined(
    own: Iterable[_Row], loaded: Iterable[_Row], checked: date, key: Callable[[_Row], Hashable]
) -> tuple[_Row, ...]:
    """Own rows with the loaded ones in place of those with the same key."""
    kept = {key(row): row for row in own}
    for row in loaded:
        kept[key(row)] = row if row.checked is not None else msgspec.structs.replace(row, checked=checked)
    return tuple(kept.values())


def _check_range(table: SessionTable, name: str) -> None:
    try:
        ZoneInfo(table.zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise refusal(name, "zone", f"is {table.zone!r}, which is no time zone (Asia/Kolkata is one)") from error
    if table.first_day > table.last_day:
        raise refusal(name, "last_day", f"{table.last_day} lies before first_day {table.first_day}")
    if not any(regime.since <= table.first_day for regime in table.derivatives):
        raise refusal(name, "derivatives", f"has no row in force on first_day {table.first_day}")
    listed = {holidays.year for holidays in table.holidays}
    missing = [year for year in range(table.first_day.year, table.last_day.year + 1) if year not in listed]
    if missing:
        raise refusal(name, "holidays", f"has no list for {missing[0]}, which lies in [first_day, last_day]")


def _check_regimes(regimes: Sequence[SessionRegime], name: str) -> None:
    if len({regime.since for regime in regimes}) != len(regimes):
        raise refusal(name, "derivatives", "has two rows with one `from`; each day begins one regime at most")
    for number, regime in enumerate(regimes):
        where = f"derivatives[{number}]"
        _check_hours(name, where, regime.pre_open, regime.open, regime.close)
        for key in ("index_expiry_close", "cash_continuous_close"):
            moment = getattr(regime, key)
            if not regime.open < moment <= regime.close:
                raise refusal(
                    name,
                    f"{where}.{key}",
                    f"is {moment}; it must lie after {regime.open} and not after {regime.close}",
                )


def _check_hours(name: str, where: str, pre_open: time | None, opens: time, closes: time) -> None:
    if not opens < closes:
        raise refusal(name, f"{where}.close", f"is {closes}; it must lie after open, {opens}")
    if pre_open is not None and not pre_open < opens:
        raise refusal(name, f"{where}.pre_open", f"is {pre_open}; it must lie before open, {opens}")


def _check_once(name: str, key: str, values: Sequence[date | int]) -> None:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise refusal(name, key, f"has {twice} twice; once is allowed")
