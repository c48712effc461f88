"""The instrument dump: columns, kinds, odd rows, and the real one when it is here."""

from __future__ import annotations

import gzip
import time
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from engine.brokers.kite.instruments import REASONS_KEPT, DumpUnreadable, parse_instruments
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange, InstrumentKind

HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
CALL = "3840002,15000,NIFTY26DEC24000CE,NIFTY,0.0,2026-12-29,24000.0,0.05,65,CE,NFO-OPT,NFO"
FUTURE = "3840258,15001,NIFTY26DECFUT,NIFTY,0.0,2026-12-29,0.0,0.1,65,FUT,NFO-FUT,NFO"
INDEX = "256265,1001,NIFTY 50,NIFTY 50,0.0,,0.0,0.0,0,EQ,INDICES,NSE"
SHARE = '408065,1594,INFY,"INFOSYS, LTD",0.0,,0.0,0.05,1,EQ,NSE,NSE'
REAL = Path(__file__).parents[4] / "shared" / "samples" / "kite_instruments_nfo_bfo_2026-08-18.csv.gz"
REAL_ROWS = 39_941
SECONDS_ALLOWED = 5.0
"""Ten times the goal: this machine's cores are shared."""


def dump(*rows: str) -> str:
    """A dump of rows."""
    return "\n".join((HEADER, *rows)) + "\n"


def test_each_kind_of_row_is_read() -> None:
    """Option, future, index and share, with what each has and has not."""
    call, future, index, share = parse_instruments(dump(CALL, FUTURE, INDEX, SHARE)).instruments
    assert call.key == InstrumentKey(Exchange.NFO, "NIFTY26DEC24000CE")
    assert (call.token, call.exchange_token, call.name) == (3840002, 15000, "NIFTY")
    assert (call.kind, call.expiry, call.strike) == (InstrumentKind.CALL, date(2026, 12, 29), Decimal(24000))
    assert (call.tick_size, call.lot_size, call.segment) == (Decimal("0.05"), 65, "NFO-OPT")
    assert (future.kind, future.strike, future.tick_size) == (InstrumentKind.FUTURE, None, Decimal("0.1"))
    assert (index.kind, index.expiry, index.lot_size) == (InstrumentKind.INDEX, None, 1)
    assert index.tick_size > 0
    assert (share.kind, share.name, share.strike) == (InstrumentKind.EQUITY, "INFOSYS, LTD", None)


def test_columns_are_found_by_name() -> None:
    """Another order of columns, or more of them, changes nothing."""
    names, values = HEADER.split(","), CALL.split(",")
    turned = ",".join(["novelty", *reversed(names)]) + "\n" + ",".join(["x", *reversed(values)]) + "\n"
    assert parse_instruments(turned).instruments == parse_instruments(dump(CALL)).instruments


@pytest.mark.parametrize(
    "row",
    [
        CALL.replace("3840002", "many"),
        CALL.replace("2026-12-29", "29-Dec-2026"),
        CALL.replace("24000.0", "0.0"),
        CALL.replace("24000.0", "NaN"),
        CALL.replace(",65,", ",0,"),
        CALL.replace("0.05", "0"),
        CALL.replace(",NFO-OPT,NFO", ",MOON-OPT,MOON"),
        CALL.replace(",CE,", ",XX,"),
        "3840002,15000",
    ],
)
def test_a_broken_or_foreign_row_is_counted_and_its_neighbours_stay(row: str) -> None:
    """A row that cannot be right is left out with its line and reason."""
    read = parse_instruments(dump(FUTURE, row, SHARE))
    assert len(read.instruments) == 2
    assert read.skipped == 1
    assert "line 3" in read.reasons[0]


def test_reasons_are_bounded() -> None:
    """A wholly broken dump does not make a list as long as itself."""
    read = parse_instruments(dump(*["1,2"] * 500))
    assert (len(read.instruments), read.skipped, len(read.reasons)) == (0, 500, REASONS_KEPT)


@pytest.mark.parametrize("text", ["", "<html>", "a,b,c\n1,2,3\n", HEADER.replace("strike,", "")])
def test_what_is_no_dump_is_refused(text: str) -> None:
    """Without its columns a text is not a dump, and the missing ones are named."""
    with pytest.raises(DumpUnreadable, match="no column"):
        parse_instruments(text)


@pytest.mark.skipif(not REAL.exists(), reason="the real dump is not here")
def test_the_real_dump_is_read_whole_and_fast() -> None:
    """Every row of a real day's dump is understood, tokens tell their segment, and it takes no longer than it may."""
    with gzip.open(REAL, "rt", encoding="utf-8") as file:
        text = file.read()
    started = time.perf_counter()
    read = parse_instruments(text)
    seconds = time.perf_counter() - started
    assert (len(read.instruments), read.skipped) == (REAL_ROWS, 0)
    assert all(
        item.token == item.exchange_token * 256 + (2 if item.exchange is Exchange.NFO else 5)
        for item in read.instruments
    )
    assert seconds < SECONDS_ALLOWED
