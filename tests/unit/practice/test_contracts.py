"""Symbols, tokens, ladders and the dump."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pytest

from engine.practice.calendar_facts import TradingCalendar
from engine.practice.contracts import (
    CSV_HEADER,
    Contract,
    InstrumentsFileError,
    TokenMint,
    future_symbol,
    generated_contracts,
    index_contracts,
    ladder,
    option_symbol,
    read_dump,
    token_order,
)


@pytest.mark.parametrize(
    ("expiry", "monthly", "symbol"),
    [
        (date(2026, 8, 18), False, "NIFTY2681824350CE"),
        (date(2026, 8, 25), True, "NIFTY26AUG24350CE"),
        (date(2026, 10, 6), False, "NIFTY26O0624350CE"),
        (date(2026, 11, 9), False, "NIFTY26N0924350CE"),
        (date(2026, 12, 1), False, "NIFTY26D0124350CE"),
        (date(2026, 11, 23), True, "NIFTY26NOV24350CE"),
    ],
)
def test_option_symbols_follow_kites_grammar(expiry: date, monthly: bool, symbol: str) -> None:
    """Weekly symbols carry year, month code and day; monthly ones year and month name."""
    assert option_symbol("NIFTY", expiry, 2_435_000, "CE", monthly=monthly) == symbol


def test_future_symbol() -> None:
    """A future is named by root, year and month."""
    assert future_symbol("BANKNIFTY", date(2026, 12, 29)) == "BANKNIFTY26DECFUT"


def test_ladder_is_rounded_outwards() -> None:
    """The ladder covers both ends and lies on the step."""
    assert ladder(24_010.0, 24_140.0, 50) == [2_400_000, 2_405_000, 2_410_000, 2_415_000]


def listed(
    calendar: TradingCalendar, name: str, day: date, low: float = 24_000.0, high: float = 24_400.0
) -> list[Contract]:
    """Return the generated contracts of an underlying on a day."""
    mint = TokenMint(token_order(calendar.underlyings))
    return generated_contracts(
        calendar, calendar.underlyings[name], day, low=low, high=high, weeklies=4, monthlies=3, mint=mint
    )


def test_tokens_are_exchange_token_and_segment(calendar: TradingCalendar) -> None:
    """NFO tokens end in segment 2, BFO tokens in 5, and all are distinct and fit 31 bits."""
    rows = listed(calendar, "NIFTY", date(2026, 11, 19)) + listed(calendar, "BANKNIFTY", date(2026, 11, 19), 56e3, 58e3)
    rows += listed(calendar, "SENSEX", date(2026, 11, 19), 78e3, 80e3)
    for row in rows:
        assert row.token == row.exchange_token * 256 + (2 if row.exchange == "NFO" else 5)
        assert row.token < 2**31
    assert len({row.token for row in rows}) == len(rows)
    assert len({row.key for row in rows}) == len(rows)


def test_a_contract_keeps_its_token_on_later_days(calendar: TradingCalendar) -> None:
    """A contract that is listed on two days has the same token on both, even when the ladder has grown."""
    first = {row.symbol: row.token for row in listed(calendar, "NIFTY", date(2026, 11, 19))}
    later = {row.symbol: row.token for row in listed(calendar, "NIFTY", date(2026, 11, 25), 23_800.0, 24_600.0)}
    common = first.keys() & later.keys()
    assert common
    assert all(first[symbol] == later[symbol] for symbol in common)


def test_index_rows() -> None:
    """Index rows have their published tokens, segment INDICES, and the volatility index is among them."""
    rows = {row.key: row for row in index_contracts([TradingCalendar.load().underlyings["NIFTY"]])}
    assert rows["NSE:NIFTY 50"].token == 256265
    assert rows["NSE:INDIA VIX"].token == 264969
    assert all(row.segment == "INDICES" and row.token & 0xFF == 9 for row in rows.values())


@pytest.mark.parametrize("compressed", [False, True])
def test_dump_round_trip(calendar: TradingCalendar, tmp_path: Path, compressed: bool) -> None:
    """What the exchange writes as a dump it reads back equal, plain or gzip."""
    rows = listed(calendar, "NIFTY", date(2026, 11, 19))
    text = "\n".join([CSV_HEADER, *(row.csv_row() for row in rows)])
    path = tmp_path / "instruments.csv"
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    assert read_dump(path) == rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "is not a Kite instruments dump"),
        (f"{CSV_HEADER}\n", "holds no instruments"),
        (f"{CSV_HEADER}\nx,1,S,N,0,,0,0.05,1,EQ,NSE,NSE\n", "line 2"),
    ],
)
def test_unusable_dumps_are_named(tmp_path: Path, text: str, words: str) -> None:
    """A wrong file is refused with the file and what is wrong in it."""
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(InstrumentsFileError, match=words):
        read_dump(path)


def test_a_missing_dump_is_named(tmp_path: Path) -> None:
    """A file that is not there is refused by name."""
    with pytest.raises(InstrumentsFileError, match=r"nowhere\.csv"):
        read_dump(tmp_path / "nowhere.csv")
