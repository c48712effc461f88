"""The rule pack: what is in force and why, loaded files over shipped ones, what is unknown, what the dump says."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.core.errors import SetupError
from engine.core.instruments import Instrument
from engine.core.rulebook import Certainty, RuleRow
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.market.instrument_index import InstrumentIndex
from engine.rule_book import RuleBook, read_rule_book
from storage.memory.rules import MemoryRules
from storage.memory.store import MemoryStore
from tests.unit.market.market_kit import Dump, desk_dump

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLE = REPOSITORY.parent / "shared" / "samples" / "kite_instruments_nfo_bfo_2026-08-18.csv.gz"
TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
CALL, PUT = InstrumentKind.CALL, InstrumentKind.PUT
FREEZE = 'checked = 2026-11-19\n[[freeze]]\nunderlying = "NIFTY"\nfrom = 2026-11-20\nunits = {}\nsource = "circular"\n'
YEAR = 'checked = 2026-11-19\n[[holidays]]\nyear = {}\ndays = []\nsource = "circular"\n'


@pytest.fixture
def book() -> RuleBook:
    """The shipped facts."""
    return read_rule_book()


def loaded(*files: tuple[str, str]) -> tuple[tuple[str, str, datetime], ...]:
    """Stored files, the last given the newest, newest first."""
    return tuple((name, text, NOW + timedelta(minutes=number)) for number, (name, text) in enumerate(files))[::-1]


def row(book: RuleBook, topic: str, subject: str, on: date = TODAY) -> RuleRow:
    """The one row of a topic and subject."""
    (found,) = [each for each in book.view(on, now=NOW).rows if (each.topic, each.subject) == (topic, subject)]
    return found


def index_of(dump: Dump, book: RuleBook, day: date | None = None) -> InstrumentIndex:
    """An index built with the book's rules."""
    return InstrumentIndex(dump.rows, book.rules, day=day)


def messages(book: RuleBook, dump: Dump, on: date = TODAY) -> list[str]:
    """What the dump objects to, as topic and subject."""
    return [f"{item.topic} {item.subject}" for item in book.contradictions(index_of(dump, book), on)]


def test_the_day_in_one_view(book: RuleBook) -> None:
    """Hours, holidays, lots, freeze quantities and charges of one day, each with its source and certainty."""
    view = book.view(TODAY, now=NOW)
    assert (view.on, view.at) == (TODAY, NOW)
    topics = {each.topic for each in view.rows}
    assert {
        "session",
        "holiday",
        "lot",
        "freeze",
        "tick",
        "band",
        "charges",
        "budget",
        "protection",
        "expiry",
    } <= topics
    assert len({(each.topic, each.subject) for each in view.rows}) == len(view.rows)
    assert row(book, "session", "derivatives").value == "09:15 to 15:40; the index freezes at 15:15"
    assert row(book, "session", "Sun 08 Nov 2026").value == "Muhurat, Sunday: held, hours not known"
    assert row(book, "freeze", "SENSEX").certainty is Certainty.LOW
    assert "0.15 % of the premium" in row(book, "charges", "securities transaction tax").value


def test_the_rows_follow_the_day(book: RuleBook) -> None:
    """Another day has other hours, lots and taxes, and the list of its own year, with what is less certain marked."""
    assert row(book, "session", "derivatives", date(2026, 12, 7)).value == (
        "09:15 to 15:45; the index freezes at 15:30; expiring index contracts stop at 15:30"
    )
    before = row(book, "session", "derivatives", date(2026, 7, 31))
    assert before.until == date(2026, 8, 2)
    assert row(book, "lot", "NIFTY", date(2025, 7, 17)).value.startswith("75 units")
    assert "0.1 % of the premium" in row(book, "charges", "securities transaction tax", date(2025, 7, 17)).value
    assert row(book, "holiday", "2024", date(2024, 6, 3)).certainty is Certainty.MEDIUM
    assert row(book, "session", "Sat 02 Mar 2024", date(2024, 6, 3)).value.endswith("09:15 to 10:00 and 11:30 to 12:30")


def test_what_is_not_known_is_said(book: RuleBook) -> None:
    """A year without a list, charges past their last day, no ban list, no dump: one sentence each, and no guess."""
    view = book.view(date(2027, 5, 3), now=NOW)
    said = " ".join(view.unknown)
    assert (
        "Whether 2027-05-03 is a trading day is unknown: holiday lists are known from 2024-01-01 to 2026-12-31" in said
    )
    assert "Charges of 2027-05-03 are not known: rates are stated up to 2027-03-31" in said
    assert "No ban list of 2027-05-03" in said
    assert "nothing was compared" in said
    assert not [each for each in view.rows if each.topic in {"charges", "holiday"}]
    assert "Holiday lists end on 2026-12-31" in " ".join(book.view(TODAY, now=NOW).unknown)
    assert "A session is held on 2026-11-08" in " ".join(book.view(date(2026, 11, 2), now=NOW).unknown)
    assert "Some charges of 2024-03-01 are not known" in " ".join(book.view(date(2024, 3, 1), now=NOW).unknown)


def test_old_facts_are_named(book: RuleBook) -> None:
    """Facts that are due for another look are counted by topic; on the day they were checked none is."""
    said = [sentence for sentence in book.view(TODAY, now=NOW).unknown if sentence.startswith("freeze")]
    assert said == ["freeze: 8 of 8 facts were last compared with their source on 2026-08-22; every 35 days is due."]
    assert not [sentence for sentence in book.view(date(2026, 8, 22), now=NOW).unknown if "compared with" in sentence]


def test_loaded_files_are_in_force_everywhere_at_once(book: RuleBook) -> None:
    """The rules and the calendar that others hold answer by the file from then on, and no more when it is forgotten."""
    rules, calendar = book.rules, book.calendar
    book.take(loaded(("a.toml", FREEZE.format(900)), ("y.toml", YEAR.format(2027)), ("b.toml", FREEZE.format(650))))
    assert rules.freeze_quantity("NIFTY", TODAY) == 650
    assert rules.freeze_quantity("NIFTY", date(2026, 11, 19)) == 1800
    assert calendar.is_trading_day(date(2027, 3, 1))
    assert row(book, "freeze", "NIFTY").origin == "b.toml"
    assert row(book, "freeze", "NIFTY").checked == date(2026, 11, 19)
    assert row(book, "holiday", "2027", date(2027, 3, 1)).origin == "y.toml"
    book.take(())
    assert rules.freeze_quantity("NIFTY", TODAY) == 1800
    assert not calendar.covers(date(2027, 3, 1))
    assert row(book, "freeze", "NIFTY").origin == "shipped"


def test_a_file_that_cannot_be_taken_is_named_and_the_rest_stands(book: RuleBook) -> None:
    """A stored file that is not valid any more takes nothing else with it."""
    book.take(loaded(("bad.toml", "checked = 1"), ("far.toml", YEAR.format(2029)), ("good.toml", FREEZE.format(900))))
    assert book.rules.freeze_quantity("NIFTY", TODAY) == 900
    assert len(book.problems) == 2
    assert "bad.toml is not used" in book.problems[0]
    assert "leaves 2027 without a list" in book.problems[1]
    assert book.view(TODAY, now=NOW).unknown[:2] == book.problems


def test_checking_a_file_changes_nothing(book: RuleBook) -> None:
    """A file is judged on top of those taken, without being taken; replacing one is judged without its former self."""
    book.check("b.toml", FREEZE.format(650))
    assert book.rules.freeze_quantity("NIFTY", TODAY) == 1800
    with pytest.raises(SetupError, match="leaves 2027"):
        book.check("far.toml", YEAR.format(2028))
    book.take(loaded(("near.toml", YEAR.format(2027))))
    book.check("far.toml", YEAR.format(2028))
    with pytest.raises(SetupError, match="leaves 2027"):
        book.check("near.toml", YEAR.format(2028))
    assert not book.calendar.covers(date(2028, 1, 3))


async def test_files_are_read_again_from_the_database(book: RuleBook) -> None:
    """What is stored is taken at the next reading; a database that is gone leaves what was taken, and that is said."""
    store = MemoryStore()
    repository = MemoryRules(store, {})
    await repository.save("b.toml", FREEZE.format(650), NOW)
    assert book.rules.freeze_quantity("NIFTY", TODAY) == 1800
    await book.refresh(repository)
    assert book.rules.freeze_quantity("NIFTY", TODAY) == 650
    store.stop("The database is gone.")
    await book.refresh(repository)
    assert book.rules.freeze_quantity("NIFTY", TODAY) == 650
    assert [*book.problems] == ["Loaded rule files could not be read again: The database is gone."]
    store.start()
    await repository.remove("b.toml")
    await book.refresh(repository)
    assert book.rules.freeze_quantity("NIFTY", TODAY) == 1800
    assert [*book.problems] == []


def test_two_lot_sizes_side_by_side_are_listed(book: RuleBook) -> None:
    """The kit's dump has NIFTY at 65 and 75: the strange size is named with its expiries, and so is the coexistence."""
    found = [item for item in book.contradictions(index_of(desk_dump(), book), TODAY) if item.topic == "lot"]
    assert [(item.subject, item.rule, item.dump) for item in found] == [
        ("NIFTY", "65", "75"),
        ("NIFTY", "one lot size", "65, 75"),
    ]
    assert found[0].message == "NIFTY 26JAN27, 30MAR27: the dump's lot is 75, the rule's 65. Orders go by the dump."
    assert "2 lot sizes side by side: 65 for 01DEC26, 08DEC26, 29DEC26; 75 for 26JAN27, 30MAR27" in found[1].message


def test_a_change_of_lots_that_the_rules_know_is_no_contradiction(book: RuleBook) -> None:
    """In December 2025 old and new lot are both right, each for its expiries; only the coexistence is listed."""
    dump = Dump()
    dump.ladder("NIFTY", date(2025, 12, 30), range(24_000, 24_500, 50), 75)
    dump.ladder("NIFTY", date(2026, 1, 6), range(24_000, 24_500, 50), 65)
    found = book.contradictions(index_of(dump, book), date(2025, 12, 22))
    assert [item.rule for item in found] == ["one lot size"]


def test_a_freeze_quantity_below_a_lot_is_shown(book: RuleBook) -> None:
    """No order could be sent at all: the figure must be wrong."""
    book.take(loaded(("b.toml", FREEZE.format(60))))
    dump = Dump()
    dump.ladder("NIFTY", date(2026, 12, 1), range(24_000, 24_500, 50), 65)
    assert messages(book, dump) == ["freeze NIFTY"]


def test_ticks_and_steps_that_differ(book: RuleBook) -> None:
    """A tick outside the allowed ones, and strikes at another distance, are shown with both numbers."""
    dump = Dump()
    dump.ladder("NIFTY", date(2026, 12, 1), range(24_000, 25_000, 100), 65)
    dump.rows = [msgspec.structs.replace(each, tick_size=Decimal("0.10")) for each in dump.rows]
    found = book.contradictions(index_of(dump, book), TODAY)
    assert [(item.topic, item.subject, item.rule, item.dump) for item in found] == [
        ("tick", "NIFTY index options", "0.05", "0.10"),
        ("step", "NIFTY", "50", "100"),
    ]


@pytest.mark.parametrize(
    ("name", "expiries", "expected"),
    [
        ("NIFTY", [date(2026, 11, 23), date(2026, 12, 1), date(2026, 12, 29)], []),
        ("NIFTY", [date(2026, 11, 30), date(2026, 12, 29)], ["expiry NIFTY"]),
        ("NIFTY", [date(2026, 11, 24), date(2026, 12, 29)], ["expiry NIFTY"]),
        ("NIFTY", [date(2026, 12, 3), date(2026, 12, 29)], ["expiry NIFTY"]),
        ("NIFTY", [date(2029, 12, 24)], []),
        ("BANKNIFTY", [date(2026, 12, 29)], []),
        ("BANKNIFTY", [date(2026, 12, 22), date(2026, 12, 29)], ["expiry BANKNIFTY"]),
        ("SENSEX", [date(2026, 12, 3), date(2026, 12, 31)], []),
        ("SENSEX", [date(2026, 12, 1), date(2026, 12, 31)], ["expiry SENSEX"]),
    ],
    ids=[
        "a holiday moved it",
        "a Monday without a holiday",
        "on a holiday",
        "a Thursday",
        "a year nobody knows",
        "monthly only",
        "a weekly that should not be",
        "Thursdays",
        "a Tuesday of BSE",
    ],
)
def test_expiries_against_the_rule(book: RuleBook, name: str, expiries: list[date], expected: list[str]) -> None:
    """An expiry off its weekday needs a holiday that moved it; what cannot be judged is no contradiction."""
    step, lot = (50, 65) if name == "NIFTY" else (100, 30) if name == "BANKNIFTY" else (100, 20)
    exchange = Exchange.BFO if name == "SENSEX" else Exchange.NFO
    dump = Dump()
    for expiry in expiries:
        dump.ladder(name, expiry, range(24_000, 24_000 + 10 * step, step), lot, exchange)
    assert messages(book, dump) == expected


def test_the_dump_is_compared_on_its_own_day_only(book: RuleBook) -> None:
    """Asked for another day, today's dump says nothing about it."""
    index = index_of(desk_dump(), book)
    assert book.view(TODAY, now=NOW, index=index).contradictions
    other = book.view(date(2025, 7, 17), now=NOW, index=index)
    assert other.contradictions == ()
    assert "nothing was compared" in " ".join(other.unknown)
    without = [sentence for sentence in book.view(TODAY, now=NOW, index=index).unknown if "freeze quantity" in sentence]
    assert without == ["The freeze quantity is not known, and not checked, for BANKBARODA."]


def test_contradictions_are_found_once_per_dump_and_rules(book: RuleBook) -> None:
    """Asked again the same tuple is given; another rule file has the dump looked at anew."""
    index = index_of(desk_dump(), book)
    first = book.contradictions(index, TODAY)
    assert book.contradictions(index, TODAY) is first
    lots = FREEZE.format(75).replace("freeze", "lot").replace("2026-11-20", "2027-01-01")
    book.take(loaded(("lots.toml", lots)))
    assert [item.rule for item in book.contradictions(index, TODAY) if item.topic == "lot"] == ["one lot size"]


@pytest.mark.skipif(not SAMPLE.exists(), reason="the real dump is not here")
def test_the_shipped_rules_agree_with_a_real_dump(book: RuleBook) -> None:
    """On its day no lot, tick, step or expiry of 39,941 real rows contradicts the shipped facts; a twisted lot does."""
    with gzip.open(SAMPLE, "rt", encoding="utf-8", newline="") as file:
        rows = [
            Instrument(
                token=int(line["instrument_token"]),
                exchange_token=int(line["exchange_token"]),
                tradingsymbol=line["tradingsymbol"],
                exchange=Exchange(line["exchange"]),
                name=line["name"],
                kind=InstrumentKind(line["instrument_type"]),
                segment=line["segment"],
                expiry=date.fromisoformat(line["expiry"]),
                strike=Decimal(line["strike"]),
                tick_size=Decimal(line["tick_size"]),
                lot_size=int(line["lot_size"]),
            )
            for line in csv.DictReader(file)
        ]
    day = date(2026, 8, 18)
    index = InstrumentIndex(rows, book.rules, day=day)
    view = book.view(day, now=datetime(2026, 8, 18, 5, 0, tzinfo=UTC), index=index)
    assert view.contradictions == ()
    assert not [sentence for sentence in view.unknown if "compared" in sentence]
    twisted = [
        msgspec.structs.replace(each, lot_size=70) if each.tradingsymbol.startswith("NIFTY26SEP") else each
        for each in rows
    ]
    found = book.contradictions(InstrumentIndex(twisted, book.rules, day=day), day)
    assert {(item.topic, item.subject) for item in found} == {("lot", "NIFTY")}
