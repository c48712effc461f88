"""Look-ups in the day's instruments: exact answers, or errors with the nearest choices."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from engine.calendar.rules import read_rules
from engine.core.errors import InvalidInput, UnknownInstrument
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.market.instrument_index import InstrumentIndex
from tests.unit.market.market_kit import M0, M1, NIFTY_STRIKES, Q1, W0, W1, Dump, desk_dump

CALL, PUT = InstrumentKind.CALL, InstrumentKind.PUT


@pytest.fixture(scope="module")
def index() -> InstrumentIndex:
    """An index of made-up instruments."""
    return InstrumentIndex(desk_dump().rows, read_rules())


def test_by_token_and_key_agree(index: InstrumentIndex) -> None:
    """Every row is found by its token and by its key, and it is the same row."""
    rows = desk_dump().rows
    assert len(index) == len(rows)
    assert all(index.by_token(row.token) == row == index.by_key(row.key) for row in rows)


def test_unknown_token(index: InstrumentIndex) -> None:
    """A token of yesterday is refused by number; ``get`` says None."""
    assert index.get(1) is None
    with pytest.raises(UnknownInstrument, match="token 1 today"):
        index.by_token(1)


def test_unknown_key_names_neighbours(index: InstrumentIndex) -> None:
    """A misspelt symbol is answered with symbols that begin alike."""
    with pytest.raises(UnknownInstrument, match=r"Nearest: NIFTY261201240"):
        index.by_key(InstrumentKey(Exchange.NFO, "NIFTY26120124010CE"))
    with pytest.raises(UnknownInstrument, match="No instruments of MCX are loaded"):
        index.by_key(InstrumentKey(Exchange.MCX, "GOLD26DECFUT"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NIFTY 50", "NIFTY"),
        ("nifty", "NIFTY"),
        ("bank nifty", "BANKNIFTY"),
        ("Nifty Bank", "BANKNIFTY"),
        ("bankbaroda", "BANKBARODA"),
    ],
)
def test_resolve_underlying(index: InstrumentIndex, text: str, name: str) -> None:
    """Names and aliases are understood in any case."""
    assert index.resolve_underlying(text) == name


def test_unknown_underlying_names_the_nearest(index: InstrumentIndex) -> None:
    """A typing error is answered, not corrected."""
    with pytest.raises(UnknownInstrument, match=r'"nifti" .*Nearest: NIFTY'):
        index.resolve_underlying("nifti")


def test_alias_of_an_underlying_without_contracts_is_unknown(index: InstrumentIndex) -> None:
    """The rules know FINNIFTY, today's dump does not: it cannot be traded."""
    with pytest.raises(UnknownInstrument):
        index.resolve_underlying("NIFTY FIN SERVICE")


def test_labels_come_from_the_dump(index: InstrumentIndex) -> None:
    """The last listed expiry of a month is the monthly, of March, June, September, December the quarterly."""
    labels = {item.expiry: item.labels for item in index.expiries("NIFTY")}
    assert labels == {
        W0: ("w0",),
        W1: ("w1",),
        M0: ("w2", "m0", "q0"),
        M1: ("w3", "m1"),
        Q1: ("w4", "m2", "q1"),
    }


def test_futures_do_not_make_option_expiries(index: InstrumentIndex) -> None:
    """BANKNIFTY has a January future without options: January is no chain."""
    assert [item.expiry for item in index.expiries("BANKNIFTY")] == [M0]
    assert [group.expiry for group in index.all_contracts("BANKNIFTY")] == [M0, M1]


@pytest.mark.parametrize(
    ("text", "expiry"),
    [
        (None, W0),
        ("w0", W0),
        ("W1", W1),
        ("m0", M0),
        ("q1", Q1),
        ("01dec", W0),
        ("1dec", W0),
        ("8DEC26", W1),
        ("29dec2026", M0),
        ("2027-01-26", M1),
    ],
)
def test_resolve_expiry(index: InstrumentIndex, text: str | None, expiry: date) -> None:
    """Labels and dates in every spelling name the expiry."""
    assert index.resolve_expiry("nifty", text) == expiry


@pytest.mark.parametrize("text", ["w7", "02dec", "1dec27", "31foo", "xyz"])
def test_absent_expiries_are_refused_with_the_list(index: InstrumentIndex, text: str) -> None:
    """An expiry that is not listed is answered with those that are, never with the nearest one."""
    with pytest.raises(InvalidInput, match=r"NIFTY has no .*Listed: w0 01DEC, w1 08DEC"):
        index.resolve_expiry("NIFTY", text)


def test_expired_rows_of_an_old_dump_are_no_chain() -> None:
    """With yesterday's dump the expiry of yesterday is not w0, and its contracts are found by no name at all."""
    dump = desk_dump()
    aged = InstrumentIndex(dump.rows, read_rules(), day=date(2026, 12, 2))
    assert aged.resolve_expiry("NIFTY", "w0") == W1
    gone = [row for row in dump.rows if row.expiry == W0]
    assert aged.expired == len(gone) > 0
    assert len(aged) == len(dump.rows) - len(gone)
    assert all(aged.get(row.token) is None for row in gone)
    assert not set(gone) & set(aged.search("NIFTY261201", limit=200))
    with pytest.raises(UnknownInstrument, match=r"NFO:NIFTY26120124000CE expired on 01DEC26\."):
        aged.by_key(InstrumentKey(Exchange.NFO, "NIFTY26120124000CE"))
    with pytest.raises(UnknownInstrument, match="no expiry 01DEC"):
        aged.contracts("NIFTY", W0)
    on_the_day = InstrumentIndex(dump.rows, read_rules(), day=W0)
    assert on_the_day.resolve_expiry("NIFTY", "w0") == W0


def test_a_reused_token_never_answers_for_its_former_owner() -> None:
    """A token that was another contract yesterday: in a fresh dump it is the new one alone, in yesterday's nobody's."""
    before = Dump()
    old = before.option("NIFTY", W0, 24_000, CALL, 65)
    after = Dump()
    new = msgspec.structs.replace(after.option("NIFTY", Q1, 26_000, PUT, 65), token=old.token)
    today = InstrumentIndex([new], read_rules(), day=W1)
    assert today.by_token(old.token) == new
    with pytest.raises(UnknownInstrument):
        today.by_key(old.key)
    kept = InstrumentIndex([old], read_rules(), day=W1)
    assert kept.get(old.token) is None
    both = InstrumentIndex([old, new], read_rules(), day=W1)
    assert both.by_token(old.token) == new
    assert both.rejected == 0


def test_option_and_lot_sizes_by_expiry(index: InstrumentIndex) -> None:
    """Two lot sizes live side by side; each contract and each expiry has its own."""
    assert index.option("NIFTY", W0, Decimal(24_000), CALL).lot_size == 65
    assert index.option("NIFTY", M1, Decimal(24_000), PUT).lot_size == 75
    assert index.contracts("NIFTY", W0).lot_size == 65
    assert index.contracts("NIFTY", M1).lot_size == 75


def test_missing_strike_names_both_neighbours(index: InstrumentIndex) -> None:
    """The sentence says label, date, the strike asked for, and the next ones."""
    with pytest.raises(UnknownInstrument) as refused:
        index.option("nifty", W0, Decimal(24_010), CALL)
    assert str(refused.value) == "w0 (01DEC) has no strike 24,010. Next: 24,000 and 24,050."
    assert refused.value.field == "strike"


def test_one_sided_strike_says_so(index: InstrumentIndex) -> None:
    """A put without its call is a strike of the chain, and the missing side is named."""
    strikes = index.strikes("NIFTY", W0)
    assert strikes == (Decimal(18_000), *map(Decimal, NIFTY_STRIKES), Decimal(30_000))
    assert index.option("NIFTY", W0, Decimal(30_000), PUT).kind is PUT
    with pytest.raises(UnknownInstrument) as refused:
        index.option("NIFTY", W0, Decimal(30_000), CALL)
    assert str(refused.value) == "w0 (01DEC) has no call at 30,000, only a put. Next calls: 24,500."


def test_future_of_the_same_expiry_only(index: InstrumentIndex) -> None:
    """A weekly has no matching future; the next month's is never given in its place."""
    assert index.matching_future("NIFTY", W0) is None
    assert index.future("NIFTY", M0).tradingsymbol == "NIFTY26DECFUT"
    with pytest.raises(UnknownInstrument, match=r"no future of 01DEC\. Futures: 29DEC, 26JAN"):
        index.future("NIFTY", W0)


def test_index_instrument_is_the_dump_row(index: InstrumentIndex) -> None:
    """The index comes from the dump by the rules' symbol; without a row or a rule there is none."""
    nifty = index.index_instrument("NIFTY")
    assert nifty is not None
    assert nifty.token == 256_265
    assert index.index_instrument("BANKBARODA") is None
    dump = desk_dump()
    bare = InstrumentIndex([row for row in dump.rows if row.kind is not InstrumentKind.INDEX], read_rules())
    assert bare.index_instrument("NIFTY") is None


def test_underlyings_best_known_first(index: InstrumentIndex) -> None:
    """Indices with rules come first in the rules' order, then the others by name."""
    views = index.underlyings()
    assert [view.name for view in views] == ["NIFTY", "BANKNIFTY", "SENSEX", "BANKBARODA"]
    assert views[0].index_token == 256_265
    assert views[0].expiries == 5
    assert views[2].exchange is Exchange.BFO
    assert views[3].index_token is None


def test_one_name_on_two_exchanges_stays_apart() -> None:
    """Contracts of the second exchange never mix into the chain; they stay findable by token."""
    dump = desk_dump()
    stranger = dump.option("NIFTY", W0, 24_010, CALL, 10, exchange=Exchange.BFO)
    mixed = InstrumentIndex(dump.rows, read_rules())
    assert Decimal(24_010) not in mixed.strikes("NIFTY", W0)
    assert mixed.by_token(stranger.token) == stranger


def test_broken_rows_are_counted_not_filed() -> None:
    """Options without expiry or with an impossible strike, and repeated tokens, never reach a chain."""
    dump = Dump()
    good = dump.option("NIFTY", W0, 24_000, CALL, 65)
    no_expiry = msgspec.structs.replace(good, token=1, tradingsymbol="A", expiry=None)
    no_strike = msgspec.structs.replace(good, token=2, tradingsymbol="B", strike=None)
    zero = msgspec.structs.replace(good, token=3, tradingsymbol="C", strike=Decimal(0))
    nan = msgspec.structs.replace(good, token=4, tradingsymbol="D", strike=Decimal("NaN"))
    twice = msgspec.structs.replace(good, tradingsymbol="E")
    index = InstrumentIndex([good, no_expiry, no_strike, zero, nan, twice], read_rules())
    assert index.rejected == 5
    assert index.strikes("NIFTY", W0) == (Decimal(24_000),)
    assert index.by_token(good.token) == good


def test_empty_dump() -> None:
    """No rows: no underlyings, no results, and sentences instead of failures."""
    index = InstrumentIndex([], read_rules())
    assert index.underlyings() == ()
    assert index.search("nifty 24000 ce") == ()
    with pytest.raises(UnknownInstrument):
        index.resolve_underlying("NIFTY")
