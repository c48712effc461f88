"""The instruments of a tape in the dump's own spelling: the engine's reader and the exchange's read it."""

from __future__ import annotations

import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from engine.brokers.kite.instruments import parse_instruments
from engine.core.instruments import Instrument
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.practice.contracts import read_dump
from engine.tape.instruments_csv import instruments_csv
from tests.kit.tapes import NIFTY

SAMPLE = Path(__file__).parents[4] / "shared" / "samples" / "kite_instruments_nfo_bfo_2026-08-18.csv.gz"
CALL = Instrument(
    token=12345602,
    exchange_token=48225,
    tradingsymbol="NIFTY26NOV24000CE",
    exchange=Exchange.NFO,
    name="NIFTY",
    kind=InstrumentKind.CALL,
    segment="NFO-OPT",
    expiry=date(2026, 11, 24),
    strike=Decimal(24000),
    tick_size=Decimal("0.05"),
    lot_size=65,
)
FUTURE = Instrument(
    token=14866434,
    exchange_token=58072,
    tradingsymbol="M&M26NOVFUT",
    exchange=Exchange.NFO,
    name="M&M",
    kind=InstrumentKind.FUTURE,
    segment="NFO-FUT",
    expiry=date(2026, 11, 24),
    tick_size=Decimal("0.1"),
    lot_size=200,
)
EQUITY = Instrument(
    token=408065,
    exchange_token=1594,
    tradingsymbol="ODD",
    exchange=Exchange.NSE,
    name='ODD "QUOTED", LIMITED',
    kind=InstrumentKind.EQUITY,
    segment="NSE",
    tick_size=Decimal("0.01"),
    lot_size=1,
)
FINE = Instrument(
    token=1035266,
    exchange_token=4044,
    tradingsymbol="USDINR26NOV83.25PE",
    exchange=Exchange.CDS,
    name="USDINR",
    kind=InstrumentKind.PUT,
    segment="CDS-OPT",
    expiry=date(2026, 11, 26),
    strike=Decimal("83.25"),
    tick_size=Decimal("0.0025"),
    lot_size=1000,
)
ROWS = (NIFTY, CALL, FUTURE, EQUITY, FINE)


def test_the_engine_reads_back_the_same_instruments() -> None:
    """Indices, options, futures and shares, names with quotes and commas, fine ticks: all are the same again."""
    dump = parse_instruments(instruments_csv(ROWS).decode())
    assert dump.instruments == ROWS
    assert dump.skipped == 0


def test_the_exchange_reads_the_same_contracts(tmp_path: Path) -> None:
    """The practice exchange's own reader finds tokens, strikes and ticks in paise, lots, kinds and segments."""
    path = tmp_path / "instruments.csv.gz"
    path.write_bytes(gzip.compress(instruments_csv((NIFTY, CALL, FUTURE, EQUITY))))
    index, call, future, equity = read_dump(path)
    assert (index.symbol, index.segment, index.kind, index.token, index.is_index) == (
        "NIFTY 50",
        "INDICES",
        "EQ",
        256265,
        True,
    )
    assert (call.strike, call.tick, call.lot, call.expiry, call.kind) == (24000_00, 5, 65, date(2026, 11, 24), "CE")
    assert (future.name, future.strike, future.tick, future.segment) == ("M&M", 0, 10, "NFO-FUT")
    assert (equity.name, equity.lot) == ('ODD "QUOTED", LIMITED', 1)


def test_no_instruments_are_a_header() -> None:
    """A tape without instruments has a dump that can be read still."""
    assert parse_instruments(instruments_csv(()).decode()).instruments == ()


@pytest.mark.skipif(not SAMPLE.exists(), reason="no real dump on this machine")
def test_a_real_dump_comes_back(tmp_path: Path) -> None:
    """Every row of a real day is the same for both readers after it was on a tape."""
    text = gzip.decompress(SAMPLE.read_bytes()).decode()
    real = parse_instruments(text).instruments
    assert len(real) > 10_000
    written = instruments_csv(real)
    assert parse_instruments(written.decode()).instruments == real
    again, original = tmp_path / "again.csv", tmp_path / "original.csv"
    again.write_bytes(written)
    original.write_text(text)
    assert [(c.token, c.strike, c.tick, c.lot, c.kind, c.segment, c.key) for c in read_dump(again)] == [
        (c.token, c.strike, c.tick, c.lot, c.kind, c.segment, c.key) for c in read_dump(original)
    ]
