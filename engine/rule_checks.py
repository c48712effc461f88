"""Lines of the preflight about instruments, calendar and rules: pure functions of what is in force."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final

from engine.calendar.sessions import SessionCalendar
from engine.core.rulebook import Contradiction
from engine.core.views import Check
from engine.instrument_service import LoadedInstruments
from engine.market.instrument_index import InstrumentIndex
from engine.rule_book import RuleBook

OK, NOTE, BLOCK = "ok", "note", "block"
NAMES_SAID: Final = 6
SENTENCES_SAID: Final = 2


def calendar_check(calendar: SessionCalendar, now: datetime) -> Check:
    """What the calendar says of an aware instant; a day it does not know is a note with what to do."""
    day = calendar.day_of(now)
    local = f"{now.astimezone(calendar.zone):%a %d %b %H:%M:%S} IST"
    if not calendar.covers(day):
        return Check(name="calendar", outcome=NOTE, message=f"{local}; {calendar.why_unknown(day)}")
    words, at = calendar.next_event(now)
    when = f" {at.astimezone(calendar.zone):%a %d %b %H:%M}" if at is not None else ""
    session = calendar.session(day)
    special = f" ({session.special})" if session is not None and session.special else ""
    clearing = "; clearing and banks rest today" if calendar.is_clearing_holiday(day) else ""
    message = f"{local}, {calendar.state_at(now)}{special}; {words}{when}{clearing}"
    return Check(name="calendar", outcome=OK if at is not None else NOTE, message=message)


def instruments_check(loaded: LoadedInstruments, today: date) -> Check:
    """Whether the dump in use is of today, and what is not as it should be."""
    message = f"{loaded.rows:,} rows of {loaded.day:%d %b %Y}, {len(loaded.index.names)} underlyings"
    if loaded.index.rejected:
        message += f", {loaded.index.rejected} rows that cannot be used"
    if loaded.day != today or loaded.note:
        return Check(name="instruments", outcome=NOTE, message=f"{message}; {loaded.note or 'not of today'}")
    return Check(name="instruments", outcome=OK, message=message)


def expiries_check(index: InstrumentIndex, calendar: SessionCalendar, today: date) -> Check:
    """Which underlyings' contracts expire today, and when they stop; the dump's own dates."""
    ending: dict[str, list[str]] = {}
    for name in index.names:
        if any(group.expiry == today for group in index.all_contracts(name)[:1]):
            ends = calendar.expiry_instant(today, is_index=index.rules.is_index(name)).astimezone(calendar.zone)
            ending.setdefault(f"{ends:%H:%M}", []).append(name)
    if not ending:
        return Check(name="expiries", outcome=OK, message="nothing expires today")
    words = "; ".join(f"{_some(names)} until {ends}" for ends, names in ending.items())
    return Check(name="expiries", outcome=OK, message=f"expiring today: {words}")


def ban_check(book: RuleBook, today: date, held: Iterable[str]) -> Check:
    """The day's ban list against the underlyings in which something is held."""
    banned = book.rules.ban_list(today)
    if banned is None:
        words = (
            f"no ban list of {today:%d %b} is loaded; stocks are not checked. Load one: workstation rules --load FILE"
        )
        return Check(name="ban list", outcome=NOTE, message=words)
    mine = sorted(banned & set(held))
    if mine:
        words = f"{_some(mine)} held and banned: positions may only be reduced"
        return Check(name="ban list", outcome=NOTE, message=words)
    return Check(name="ban list", outcome=OK, message=f"{len(banned)} stocks banned, none held")


def rules_check(book: RuleBook, contradictions: tuple[Contradiction, ...]) -> Check:
    """Contradictions of the facts in force with the day's dump, and loaded files that are not used."""
    sentences = [*book.problems, *(item.message for item in contradictions)]
    if not sentences:
        return Check(name="rules", outcome=OK, message="the rule pack agrees with the dump")
    more = f" … {len(sentences) - SENTENCES_SAID} more: workstation rules" if len(sentences) > SENTENCES_SAID else ""
    words = f"{len(contradictions)} contradictions with the dump: {' '.join(sentences[:SENTENCES_SAID])}{more}"
    return Check(name="rules", outcome=NOTE, message=words)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SAID} more" if len(names) > NAMES_SAID else ""
    return ", ".join(names[:NAMES_SAID]) + more
