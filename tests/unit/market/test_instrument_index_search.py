"""Free-text search: ranking, bounds, and that nothing typed is ignored."""

from __future__ import annotations

import csv
import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from engine.calendar.rules import read_rules
from engine.core.errors import InvalidInput
from engine.core.instruments import Instrument
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.market.instrument_index import InstrumentIndex
from tests.unit.market.market_kit import M0, M1, W0, W1, desk_dump

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLE = REPOSITORY.parent / "shared" / "samples" / "kite_instruments_nfo_bfo_2026-08-18.csv.gz"
CALL, PUT = InstrumentKind.CALL, InstrumentKind.PUT


@pytest.fixture(scope="module")
def index() -> InstrumentIndex:
    """An index of made-up instruments."""
    return InstrumentIndex(desk_dump().rows, read_rules())


@pytest.mark.parametrize(
    "text",
    [
        "nifty 24000 ce w0",
        "NIFTY 24,000 CE 01DEC",
        "nifty 24000ce 1dec26",
        "nifty 50 24000 call w0",
        "24000 ce nifty w0",
        "nifty w0 ce 24000",
        "NIFTY26120124000CE",
        "nifty26120124000ce",
    ],
)
def test_one_contract_in_every_spelling(index: InstrumentIndex, text: str) -> None:
    """Words in any order, joined or apart, and the symbol itself, put the same contract first."""
    assert index.search(text)[0] == index.option("NIFTY", W0, Decimal(24_000), CALL)


@pytest.mark.parametrize("text", ["nifty 24000 ce w", "nifty 24000 ce"])
def test_nearest_expiry_first(index: InstrumentIndex, text: str) -> None:
    """Without a place among the weeklies every expiry with the strike is listed, the nearest first."""
    found = index.search(text)
    assert [each.expiry for each in found[:4]] == [W0, W1, M0, M1]
    assert {(each.strike, each.kind) for each in found[:4]} == {(Decimal(24_000), CALL)}


def test_monthly_only(index: InstrumentIndex) -> None:
    """``m`` leaves out the weeklies."""
    assert [each.expiry for each in index.search("nifty 24000 pe m")][:2] == [M0, M1]


def test_futures(index: InstrumentIndex) -> None:
    """``banknifty fut`` lists its futures only, nearest first; the alias works as well."""
    found = index.search("banknifty fut")
    assert [(each.name, each.kind, each.expiry) for each in found] == [
        ("BANKNIFTY", InstrumentKind.FUTURE, M0),
        ("BANKNIFTY", InstrumentKind.FUTURE, M1),
    ]
    assert index.search("bank nifty fut jan") == (found[1],)


def test_underlying_alone(index: InstrumentIndex) -> None:
    """A bare name gives its index, its futures, then options from the middle of the nearest ladder."""
    found = index.search("nifty", limit=5)
    assert [each.kind for each in found] == [
        InstrumentKind.INDEX,
        InstrumentKind.FUTURE,
        InstrumentKind.FUTURE,
        CALL,
        PUT,
    ]
    assert found[3].strike == found[4].strike == Decimal(24_000)
    assert found[3].expiry == W0


def test_exact_strike_before_first_digits(index: InstrumentIndex) -> None:
    """While typing, ``240`` finds 24000 and 24050; a stock's strike 240 is itself."""
    strikes = {each.strike for each in index.search("nifty 240 ce w0")}
    assert strikes == {Decimal(24_000), Decimal(24_050)}
    found = index.search("bankbaroda 240 ce")
    assert found[0].strike == Decimal(240)
    assert index.search("bankbaroda 242.5")[0].strike == Decimal("242.5")


def test_beginning_of_a_name_shares_the_list(index: InstrumentIndex) -> None:
    """``bank`` shows BANKNIFTY before BANKBARODA and leaves room for both."""
    found = index.search("bank", limit=10)
    names = [each.name for each in found if each.kind is not InstrumentKind.INDEX]
    assert names[0] == "BANKNIFTY"
    assert "BANKBARODA" in names


def test_beginning_of_a_symbol(index: InstrumentIndex) -> None:
    """A single word that is no name finds symbols that begin so."""
    found = index.search("NIFTY261208", limit=30)
    assert len(found) == 30
    assert all(each.tradingsymbol.startswith("NIFTY261208") for each in found)


def test_words_without_a_name_are_of_the_best_known(index: InstrumentIndex) -> None:
    """``24000 ce`` and ``fut jan`` are understood; a strike that no index has stays unknown."""
    assert {each.name for each in index.search("24000 ce")} == {"NIFTY"}
    assert [each.name for each in index.search("fut jan")] == ["NIFTY", "BANKNIFTY"]
    assert index.search("123456 ce") == ()


def test_first_digits_from_the_middle_of_the_ladder(index: InstrumentIndex) -> None:
    """``nifty 24`` begins with the strikes around the money, not with the lowest that begins so."""
    strikes = [each.strike for each in index.search("nifty 2 ce w0", limit=3)]
    assert strikes[0] == Decimal(24_000)
    assert set(strikes) == {Decimal(23_950), Decimal(24_000), Decimal(24_050)}


@pytest.mark.parametrize("text", ["nifty m9", "sensex q1", "banknifty w1"])
def test_a_label_the_underlying_lacks_finds_nothing_and_is_refused_with_the_list(
    index: InstrumentIndex, text: str
) -> None:
    """Search gives no neighbour; whoever resolves the label is told what there is."""
    name, label = text.split()
    assert index.search(text) == ()
    with pytest.raises(InvalidInput, match=rf"{name.upper()} has no {label}\. Listed: w0"):
        index.resolve_expiry(name, label)


@pytest.mark.parametrize(
    "text", ["", "   ", "nifty foo", "foo", "nifty 24000 ce pe", "nifty w9", "nifty 99999 ce", "nifty 31foo", "a " * 50]
)
def test_nothing_typed_is_ignored(index: InstrumentIndex, text: str) -> None:
    """A word that means nothing, or contradicts another, empties the list."""
    assert index.search(text) == ()


def test_results_are_bounded_and_unique(index: InstrumentIndex) -> None:
    """Never more than asked for, never one twice, and nothing for a limit of none."""
    for limit in (1, 7, 10_000):
        found = index.search("nifty ce", limit=limit)
        assert len(found) <= min(limit, 200)
        assert len({each.token for each in found}) == len(found)
    assert index.search("nifty", limit=0) == ()


def sample_rows() -> list[Instrument]:
    """The real dump as instruments."""
    with gzip.open(SAMPLE, "rt", encoding="utf-8", newline="") as file:
        return [
            Instrument(
                token=int(row["instrument_token"]),
                exchange_token=int(row["exchange_token"]),
                tradingsymbol=row["tradingsymbol"],
                exchange=Exchange(row["exchange"]),
                name=row["name"],
                kind=InstrumentKind(row["instrument_type"]),
                segment=row["segment"],
                expiry=date.fromisoformat(row["expiry"]) if row["expiry"] else None,
                strike=Decimal(row["strike"]),
                tick_size=Decimal(row["tick_size"]),
                lot_size=int(row["lot_size"]),
            )
            for row in csv.DictReader(file)
        ]


@pytest.mark.skipif(not SAMPLE.exists(), reason="the real dump is not here")
def test_real_dump() -> None:
    """A real day of 39,941 rows: every row indexed, ladders and searches as the exchange listed them."""
    rows = sample_rows()
    index = InstrumentIndex(rows, read_rules(), day=date(2026, 8, 18))
    assert len(index) == 39_941
    assert index.rejected == 0
    nifty = index.expiries("NIFTY")
    assert [item.expiry for item in nifty[:3]] == [date(2026, 8, 18), date(2026, 8, 25), date(2026, 9, 1)]
    assert len(nifty) == 18
    assert index.resolve_expiry("NIFTY", "m0") == date(2026, 8, 25)
    assert index.resolve_expiry("SENSEX", "w0") == date(2026, 8, 20)
    found = index.search("nifty 24350 ce w0")
    assert found[0].tradingsymbol == "NIFTY2681824350CE"
    assert index.search("NIFTY26AUG24350CE")[0].expiry == date(2026, 8, 25)
    assert index.search("bank nifty fut")[0].tradingsymbol == "BANKNIFTY26AUGFUT"
    assert {each.name for each in index.search("nifty")} == {"NIFTY"}
    strikes = sum(len(group.strikes) for name in index.names for group in index.all_contracts(name))
    sides = sum(len(g.calls) + len(g.puts) for name in index.names for g in index.all_contracts(name))
    assert sides == sum(1 for row in rows if row.kind.is_option)
    # Some far strikes have only one side.
    assert sides < 2 * strikes


class CountingIndex(InstrumentIndex):
    """Counts the symbols a search asks for."""

    handed_out = 0

    def with_prefix(self, prefix: str, limit: int) -> list[Instrument]:
        """Count what is handed out."""
        found = super().with_prefix(prefix, limit)
        self.handed_out += len(found)
        return found


@pytest.mark.skipif(not SAMPLE.exists(), reason="the real dump is not here")
def test_a_search_looks_at_few_instruments() -> None:
    """Among 40,000 rows several words scan no symbols at all, and a short beginning only a bounded number."""
    index = CountingIndex(sample_rows(), read_rules())
    assert index.search("nifty 24350 ce")
    assert index.handed_out == 0
    assert len(index.search("N", limit=20)) == 20
    assert 0 < index.handed_out <= 1_000
