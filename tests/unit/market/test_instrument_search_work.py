"""How much a search does among forty thousand rows: as much as among few, whatever is typed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from types import FrameType

import pytest

from engine.calendar.rules import read_rules
from engine.core.vocabulary import Exchange
from engine.market.instrument_index import InstrumentIndex
from tests.unit.market.market_kit import Dump

DAY = date(2026, 11, 19)
WEEKLIES = (date(2026, 11, 23), date(2026, 12, 1), date(2026, 12, 8), date(2026, 12, 15), date(2026, 12, 22))
MONTHLIES = (date(2026, 12, 29), date(2027, 1, 26), date(2027, 3, 30), date(2027, 6, 29))
STOCKS = 205
CALLS_MOST = 20_000
"""Function calls of one search, about two milliseconds; half a call for each row of the dump."""
TYPED = (
    "nifty 24000 ce w",
    "nifty 24000 ce w0",
    "NIFTY 50",
    "nifty bank",
    "nifty dec",
    "nifty 240",
    "banknifty fut",
    "stock117 1000 pe",
    "stock1",
    "n",
    "s",
    "24000 ce",
    "NIFTY261201",
    "nifty foo",
)


def indices(dump: Dump) -> None:
    """The two best known, with weekly and monthly ladders."""
    dump.index("NIFTY 50", 256_265)
    dump.index("NIFTY BANK", 260_105)
    for expiry in (*WEEKLIES, *MONTHLIES):
        dump.ladder("NIFTY", expiry, range(21_500, 26_550, 50), 65)
    for expiry in MONTHLIES:
        dump.ladder("BANKNIFTY", expiry, range(50_000, 62_100, 100), 30)
    for name in ("NIFTY", "BANKNIFTY"):
        for expiry in MONTHLIES[:3]:
            dump.future(name, expiry, 65)


@pytest.fixture(scope="module")
def small() -> InstrumentIndex:
    """The indices alone."""
    dump = Dump()
    indices(dump)
    return InstrumentIndex(dump.rows, read_rules(), day=DAY)


@pytest.fixture(scope="module")
def large() -> InstrumentIndex:
    """The indices among two hundred stocks: forty thousand rows, as on a real day."""
    dump = Dump()
    indices(dump)
    for number in range(100, 100 + STOCKS):
        for expiry in MONTHLIES[:3]:
            dump.ladder(f"STOCK{number}", expiry, range(700, 1_300, 10), 500, Exchange.NFO)
            dump.future(f"STOCK{number}", expiry, 500)
    index = InstrumentIndex(dump.rows, read_rules(), day=DAY)
    assert len(index) > 39_000
    return index


def calls_of(work: Callable[[], object]) -> int:
    """Python and C functions called while ``work`` is done."""
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("text", TYPED)
def test_a_search_does_little(large: InstrumentIndex, text: str) -> None:
    """Whatever is typed among forty thousand rows, the work is bounded far below looking at each row once."""
    assert calls_of(lambda: large.search(text)) < CALLS_MOST < len(large)


@pytest.mark.parametrize("text", ["nifty 24000 ce w", "nifty bank", "banknifty fut", "nifty dec", "nifty 240"])
def test_other_underlyings_cost_nothing(small: InstrumentIndex, large: InstrumentIndex, text: str) -> None:
    """A search that names its underlying does the same work, and finds the same, among few rows and among many."""
    assert [each.tradingsymbol for each in large.search(text)] == [each.tradingsymbol for each in small.search(text)]
    assert calls_of(lambda: large.search(text)) <= calls_of(lambda: small.search(text)) * 1.1


def test_stock_options_and_partial_names(large: InstrumentIndex) -> None:
    """A stock's option by name and strike, and a beginning that several stocks share, nearest expiry first."""
    found = large.search("stock117 1000 pe")
    assert [each.expiry for each in found] == list(MONTHLIES[:3])
    assert {each.name for each in found} == {"STOCK117"}
    names = {each.name for each in large.search("stock1", limit=40)}
    assert len(names) > 10
    assert all(name.startswith("STOCK1") for name in names)
