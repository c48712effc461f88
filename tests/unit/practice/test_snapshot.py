"""Option-chain snapshots of the website in both shapes, and a market that begins with one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.practice.calendar_facts import TradingCalendar
from engine.practice.contracts import CSV_HEADER, InstrumentsFileError
from engine.practice.market import Market, MarketDay
from engine.practice.nse_snapshot import Snapshot, SnapshotError, read_snapshot
from engine.practice.settings import MarketSettings
from tests.unit.practice.conftest import SEED, Venue

SPOT = 24_010.0
LOT = 65
ROWS = [
    # strike, call (bid, ask, last, change, oi, volume), put (the same); lots, rupees
    (23_900, (150.0, 151.0, 150.55, 10.0, 900, 4000), (31.05, 31.3, 31.2, -9.0, 1200, 9000)),
    (24_000, (86.1, 86.6, 86.35, 4.5, 2500, 12_000), (67.0, 67.4, 67.2, -5.5, 2600, 15_000)),
    (24_100, (43.5, 43.8, 43.6, 1.0, 1800, 11_000), (124.0, 124.9, 124.6, -2.0, 700, 5000)),
    (24_900, (0.0, 0.1, 0.05, 0.0, 40, 10), (0.0, 0.0, 0.0, 0.0, 0, 0)),
]


def new_shape() -> dict[str, Any]:
    """Return a small chain in the newer layout."""

    def side(values: tuple[float, float, float, float, int, int]) -> dict[str, Any]:
        bid, ask, last, change, interest, volume = values
        return {
            "underlying": "NIFTY",
            "buyPrice1": bid,
            "sellPrice1": ask,
            "buyQuantity1": 3 * LOT if bid else 0,
            "sellQuantity1": 2 * LOT if ask else 0,
            "lastPrice": last,
            "change": change,
            "openInterest": interest,
            "changeinOpenInterest": 5,
            "totalTradedVolume": volume,
            "totalBuyQuantity": 40 * LOT,
            "totalSellQuantity": 30 * LOT,
            "impliedVolatility": 9.5,
            "optionType": None,
        }

    data = [
        {"strikePrice": strike, "expiryDates": "14-07-2026", "CE": side(call), "PE": side(put)}
        for strike, call, put in ROWS
    ]
    return {"data": data, "timestamp": "10-Jul-2026 15:30:00", "underlyingValue": SPOT}


def old_shape() -> dict[str, Any]:
    """Return the same chain in the older layout."""

    def side(values: tuple[float, float, float, float, int, int]) -> dict[str, Any]:
        bid, ask, last, change, interest, volume = values
        return {
            "underlying": "NIFTY",
            "bidprice": bid,
            "askPrice": ask,
            "bidQty": 3 * LOT if bid else 0,
            "askQty": 2 * LOT if ask else 0,
            "lastPrice": last,
            "change": change,
            "openInterest": interest,
            "changeinOpenInterest": 5,
            "totalTradedVolume": volume,
            "totalBuyQuantity": 40 * LOT,
            "totalSellQuantity": 30 * LOT,
            "impliedVolatility": 9.5,
        }

    data = [
        {"strikePrice": strike, "expiryDate": "14-Jul-2026", "CE": side(call), "PE": side(put)}
        for strike, call, put in ROWS
    ]
    records = {
        "data": data,
        "timestamp": "10-Jul-2026 15:30:00",
        "underlyingValue": SPOT,
        "expiryDates": ["14-Jul-2026"],
    }
    return {"records": records, "filtered": {"data": []}}


def write(path: Path, document: object) -> Path:
    """Write a document and return its path."""
    path.write_text(json.dumps(document))
    return path


def market_of(calendar: TradingCalendar, snapshot: Snapshot) -> tuple[Market, MarketDay]:
    """Return the market that begins with a snapshot, and its first day."""
    first = calendar.snapshot_session(snapshot.moment, 3600)
    market = Market(calendar, MarketSettings(), seed=SEED, first=first, snapshot=snapshot)
    return market, market.day(first)


def test_both_shapes_say_the_same(tmp_path: Path) -> None:
    """The older and the newer layout of one chain read as the same quotes."""
    new = read_snapshot(write(tmp_path / "new.json", new_shape()))
    old = read_snapshot(write(tmp_path / "old.json", old_shape()))
    assert new.quotes == old.quotes
    assert (new.moment, new.spot, new.underlying) == (old.moment, old.spot, "NIFTY")
    assert new.moment == datetime.fromisoformat("2026-07-10T15:30:00+05:30").timestamp()


def test_a_compressed_snapshot_is_read(tmp_path: Path) -> None:
    """Gzip is recognised by its content."""
    path = tmp_path / "chain.json.gz"
    path.write_bytes(gzip.compress(json.dumps(new_shape()).encode()))
    assert len(read_snapshot(path).quotes) == 8


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "neither"),
        ([], "neither"),
        ({"data": [], "timestamp": "10-Jul-2026 15:30:00", "underlyingValue": 1.0}, "no option"),
        ({"data": [], "timestamp": "yesterday", "underlyingValue": 1.0}, "unreadable"),
        ({"data": [{"strikePrice": 1, "CE": {"underlying": "NIFTY"}}], "timestamp": "10-Jul-2026 15:30:00"}, "missing"),
    ],
)
def test_unusable_snapshots_are_named(tmp_path: Path, document: object, words: str) -> None:
    """A file that is no option chain is refused with its name and the reason."""
    path = write(tmp_path / "chain.json", document)
    with pytest.raises(SnapshotError, match=words):
        read_snapshot(path)


def test_what_is_not_json_is_named(tmp_path: Path) -> None:
    """Text that is no JSON, and a file that is not there, are refused by name."""
    path = tmp_path / "chain.json"
    path.write_text("<html>")
    with pytest.raises(SnapshotError, match="not JSON"):
        read_snapshot(path)
    with pytest.raises(InstrumentsFileError, match="missing"):
        read_snapshot(tmp_path / "missing.json")


def test_the_first_instant_is_the_snapshot(calendar: TradingCalendar, tmp_path: Path) -> None:
    """Bid, ask, last and sizes equal the snapshot's; open interest and volume are its lots times the lot size."""
    snapshot = read_snapshot(write(tmp_path / "chain.json", new_shape()))
    _, day = market_of(calendar, snapshot)
    assert day.session.extended
    quotes = day.market.at(day.session.opens)
    seen = 0
    for quote in snapshot.quotes:
        (row,) = [
            row
            for row, contract in enumerate(day.universe.priced)
            if (contract.expiry, contract.strike, contract.kind) == (quote.expiry, quote.strike, quote.kind)
        ]
        seen += 1
        assert (quotes.bid_price[row, 0], quotes.ask_price[row, 0]) == (quote.bid, quote.ask)
        assert (quotes.bid_quantity[row, 0], quotes.ask_quantity[row, 0]) == (quote.bid_size, quote.ask_size)
        assert quotes.last[row] == quote.last
        assert quotes.close[row] == quote.last - quote.change
        assert quotes.open_interest[row] == quote.open_interest_lots * LOT
        assert quotes.volume[row] == quote.volume_lots * LOT
    assert seen == len(snapshot.quotes)
    assert quotes.index_last[0] == round(SPOT * 100)


def test_afterwards_the_market_moves_with_each_options_own_volatility(
    calendar: TradingCalendar, tmp_path: Path
) -> None:
    """Minutes later prices have moved, stay near the snapshot, and a side that had no quote still has none."""
    snapshot = read_snapshot(write(tmp_path / "chain.json", new_shape()))
    _, day = market_of(calendar, snapshot)
    start, later = day.market.at(day.session.opens), day.market.at(day.session.opens + 900.0)
    rows = {contract.symbol: row for row, contract in enumerate(day.universe.priced)}
    call = rows["NIFTY2671424000CE"]
    assert later.bid_price[call, 0] != start.bid_price[call, 0]
    assert abs(int(later.fair[call]) - int(start.fair[call])) < 4000
    assert later.volume[call] > start.volume[call]
    wing = rows["NIFTY2671424900CE"]
    assert later.bid_price[wing, 0] == 0 < later.ask_price[wing, 0]


def test_volatilities_reproduce_the_snapshots_mids(calendar: TradingCalendar, tmp_path: Path) -> None:
    """Call and put at the money have one volatility on the parity forward, near 9 to 10 %."""
    snapshot = read_snapshot(write(tmp_path / "chain.json", new_shape()))
    _, day = market_of(calendar, snapshot)
    rows = {contract.symbol: row for row, contract in enumerate(day.universe.priced)}
    volatility = day.market.volatilities(day.session.opens)
    call, put = volatility[rows["NIFTY2671424000CE"]], volatility[rows["NIFTY2671424000PE"]]
    assert 0.05 < call < 0.15
    assert call == pytest.approx(put, abs=0.004)


def test_the_next_session_is_a_normal_one(calendar: TradingCalendar, tmp_path: Path) -> None:
    """After the extended session comes Monday at 09:15, at the level the snapshot's session ended at."""
    snapshot = read_snapshot(write(tmp_path / "chain.json", new_shape()))
    market, day = market_of(calendar, snapshot)
    following = market.day(market.session_after(day.session))
    assert following.session.day.isoformat() == "2026-07-13"
    assert not following.session.extended
    ended = day.market.at(day.session.closes)
    assert following.market.at(following.session.opens).index_close[0] == ended.index_last[0]
    assert "NSE:NIFTY 50" in following.universe.by_key


def test_dump_and_snapshot_together(make_venue: Callable[..., Venue], tmp_path: Path) -> None:
    """The dump's own contract is used where it has one; others of the snapshot are made; the dump's rest stays,
    unpriced.
    """
    dump = tmp_path / "instruments.csv"
    dump.write_text(
        f"{CSV_HEADER}\n"
        "11111170,43402,NIFTY2671424000CE,NIFTY,0.0,2026-07-14,24000.0,0.05,75,CE,NFO-OPT,NFO\n"
        "22222082,86805,RELIANCE26JUL3000CE,RELIANCE,0.0,2026-07-28,3000.0,0.05,500,CE,NFO-OPT,NFO\n"
    )
    chain = write(tmp_path / "chain.json", new_shape())
    venue = make_venue(instruments=dump, snapshot=chain, start="auto")
    universe = venue.exchange.floor.day.universe
    own = universe.by_key["NFO:NIFTY2671424000CE"]
    assert (own.token, own.lot) == (11111170, 75)
    made = universe.by_key["NFO:NIFTY2671424000PE"]
    assert made.lot == LOT
    quotes = venue.exchange.floor.quotes
    assert quotes.open_interest[universe.row_of[own.token]] == 2500 * 75
    assert universe.by_key["NFO:RELIANCE26JUL3000CE"].token not in universe.row_of
    assert venue.exchange.market.source == "instruments+snapshot"


def test_a_dump_alone_is_priced_near_its_ladder(make_venue: Callable[..., Venue], tmp_path: Path) -> None:
    """Without a snapshot the index level is the middle of the nearest ladder, and the start lies on a day the dump
    lives.
    """
    lines = []
    for number, strike in enumerate(range(23_000, 25_050, 50)):
        for offset, kind in enumerate(("CE", "PE")):
            token = 43_000 + 2 * number + offset
            lines.append(
                f"{token * 256 + 2},{token},NIFTY26818{strike}{kind},NIFTY,0.0,2026-08-18,{strike}.0,0.05,65,{kind},"
                "NFO-OPT,NFO"
            )
    dump = tmp_path / "instruments.csv"
    dump.write_text("\n".join([CSV_HEADER, *lines]))
    venue = make_venue(instruments=dump, start="2026-08-18T10:00:00+05:30")
    quotes = venue.exchange.floor.quotes
    assert abs(int(quotes.index_last[0]) / 100 - 24_000) < 24_000 * 0.03
    assert (quotes.ask_price[:, 0] > 0).sum() == len(lines)
    assert np.all(venue.exchange.floor.day.universe.table.lot == 65)


def test_a_snapshot_of_an_underlying_without_a_profile(calendar: TradingCalendar, tmp_path: Path) -> None:
    """A chain of another known index gets its own row, level and expiries; an unknown underlying is refused by name."""
    text = json.dumps(new_shape()).replace("NIFTY", "MIDCPNIFTY").replace("14-07-2026", "28-07-2026")
    path = tmp_path / "chain.json"
    path.write_text(text)
    market, day = market_of(calendar, read_snapshot(path))
    assert market.names[-1] == "MIDCPNIFTY"
    assert "NFO:MIDCPNIFTY26JUL24000CE" in day.universe.by_key
    assert day.market.at(day.session.opens).index_last[3] == round(SPOT * 100)
    path.write_text(text.replace("MIDCPNIFTY", "NOINDEX"))
    with pytest.raises(ValueError, match="NOINDEX"):
        market_of(calendar, read_snapshot(path))
