"""The preflight's lines about calendar, instruments, expiries, ban list and rules."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from engine.instrument_service import LoadedInstruments
from engine.market.instrument_index import InstrumentIndex
from engine.rule_book import RuleBook, read_rule_book
from engine.rule_checks import ban_check, calendar_check, expiries_check, instruments_check, rules_check
from tests.unit.market.market_kit import W0, desk_dump

TODAY = date(2026, 11, 20)
BAN = 'checked = 2026-11-20\n[[ban]]\nfrom = 2026-11-20\nsymbols = {}\nsource = "NSE"\n'


@pytest.fixture
def book() -> RuleBook:
    """The shipped facts."""
    return read_rule_book()


@pytest.fixture
def index(book: RuleBook) -> InstrumentIndex:
    """Made-up instruments."""
    return InstrumentIndex(desk_dump().rows, book.rules, day=TODAY)


@pytest.mark.parametrize(
    ("moment", "outcome", "words"),
    [
        (
            datetime(2026, 11, 20, 5, 0, tzinfo=UTC),
            "ok",
            "Fri 20 Nov 10:30:00 IST, open; spot freezes Fri 20 Nov 15:15",
        ),
        (datetime(2026, 11, 21, 5, 0, tzinfo=UTC), "ok", "holiday; opens Mon 23 Nov 09:15"),
        (datetime(2026, 2, 1, 5, 0, tzinfo=UTC), "ok", "open (Union Budget, Sunday)"),
        (datetime(2026, 8, 26, 5, 0, tzinfo=UTC), "ok", "clearing and banks rest today"),
        (datetime(2026, 11, 8, 5, 0, tzinfo=UTC), "note", "hours are not known"),
        (datetime(2027, 1, 5, 5, 0, tzinfo=UTC), "note", "Load a rule file with the year's list"),
        (datetime(2026, 12, 31, 12, 0, tzinfo=UTC), "note", "closed; unknown: holiday lists cover"),
    ],
)
def test_the_calendar_says_what_it_knows(book: RuleBook, moment: datetime, outcome: str, words: str) -> None:
    """Open, closed, special or unknown, with the next event or what to do."""
    check = calendar_check(book.calendar, moment)
    assert check.outcome == outcome
    assert words in check.message


def test_instruments_of_today_are_fresh_and_others_are_not(index: InstrumentIndex) -> None:
    """A dump of another day, or one with a note, is a note."""
    fresh = LoadedInstruments(index=index, rows=295, day=TODAY, from_broker=True)
    assert instruments_check(fresh, TODAY).outcome == "ok"
    assert instruments_check(fresh, TODAY).message == "295 rows of 20 Nov 2026, 4 underlyings"
    stale = instruments_check(fresh, date(2026, 11, 23))
    assert (stale.outcome, "not of today" in stale.message) == ("note", True)
    noted = LoadedInstruments(index=index, rows=295, day=TODAY, from_broker=True, note="NFO could not be stored")
    assert "NFO could not be stored" in instruments_check(noted, TODAY).message


def test_expiries_of_today_with_their_hour(book: RuleBook, index: InstrumentIndex) -> None:
    """What ends today comes from the dump, when it ends from the calendar."""
    assert expiries_check(index, book.calendar, TODAY).message == "nothing expires today"
    assert expiries_check(index, book.calendar, W0).message == "expiring today: NIFTY until 15:40"
    december = InstrumentIndex(desk_dump().rows, book.rules, day=date(2026, 12, 29))
    said = expiries_check(december, book.calendar, date(2026, 12, 29)).message
    assert said == "expiring today: NIFTY, BANKNIFTY until 15:30; BANKBARODA until 15:45"


def test_the_ban_list_is_unknown_or_held_against_what_is_held(book: RuleBook) -> None:
    """No list is a note with what to do; a banned stock that is held is named."""
    unknown = ban_check(book, TODAY, ["SAIL"])
    assert (unknown.outcome, "workstation rules --load" in unknown.message) == ("note", True)
    book.take((("ban.toml", BAN.format('["SAIL", "RBLBANK"]'), datetime(2026, 11, 20, tzinfo=UTC)),))
    held = ban_check(book, TODAY, ["SAIL", "NIFTY"])
    assert (held.outcome, held.message) == ("note", "SAIL held and banned: positions may only be reduced")
    assert ban_check(book, TODAY, ["NIFTY"]).outcome == "ok"


def test_contradictions_are_counted(book: RuleBook, index: InstrumentIndex) -> None:
    """Agreement is one line; contradictions and files that are not used are counted and told."""
    assert rules_check(book, ()).outcome == "ok"
    found = book.contradictions(index, TODAY)
    said = rules_check(book, found)
    assert said.outcome == "note"
    assert said.message.startswith(f"{len(found)} contradictions with the dump: NIFTY 26JAN27")
    book.take((("bad.toml", "checked = 1", datetime(2026, 11, 20, tzinfo=UTC)),))
    assert "bad.toml is not used" in rules_check(book, ()).message
