"""Binary packets, read back field by field at the documented offsets."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from engine.practice.calendar_facts import TradingCalendar
from engine.practice.market import MarketDay
from engine.practice.packets import PacketTable, count_prefix
from engine.practice.session_market import Quotes
from engine.practice.settings import DEFAULT_PROFILES
from tests.unit.practice.conftest import market_day

INDEX_TOKENS = [256265, 264969]


def built(calendar: TradingCalendar) -> tuple[MarketDay, Quotes, PacketTable]:
    """Return a day, its quotes at an instant, and their packets."""
    day = market_day(calendar, profiles=DEFAULT_PROFILES[:1])
    quotes = day.market.at(day.session.opens + 1234.5)
    table = PacketTable(day.universe, INDEX_TOKENS)
    table.update(quotes)
    return day, quotes, table


def body(table: PacketTable, row: int, mode: str) -> bytes:
    """Return one packet without its length, which is checked."""
    (packet,) = table.frame(np.array([row]), mode)
    assert struct.unpack_from(">H", packet)[0] == len(packet) - 2
    return packet[2:]


def test_full_packet_fields(calendar: TradingCalendar) -> None:
    """Every field of a full packet lies where the protocol says, open before high and low, bids before asks."""
    day, quotes, table = built(calendar)
    row = 200
    packet = body(table, row, "full")
    assert len(packet) == 184
    names = ("last", "last_quantity", "average", "volume", "total_buy", "total_sell", "open", "high", "low", "close")
    values = struct.unpack_from(">16I", packet)
    assert values[0] == day.universe.priced[row].token
    assert list(values[1:11]) == [int(getattr(quotes, name)[row]) for name in names]
    tail = ("last_time", "open_interest", "open_interest_high", "open_interest_low")
    assert list(values[11:15]) == [int(getattr(quotes, name)[row]) for name in tail]
    assert values[15] == int(quotes.moment)
    for level in range(10):
        quantity, price, orders, pad = struct.unpack_from(">IIHH", packet, 64 + 12 * level)
        side, at = ("bid", level) if level < 5 else ("ask", level - 5)
        assert quantity == getattr(quotes, f"{side}_quantity")[row, at]
        assert price == getattr(quotes, f"{side}_price")[row, at]
        assert orders == getattr(quotes, f"{side}_orders")[row, at]
        assert pad == 0


def test_shorter_modes_are_prefixes(calendar: TradingCalendar) -> None:
    """Quote and ltp packets are the first 44 and 8 bytes of the full one."""
    _, _, table = built(calendar)
    full = body(table, 3, "full")
    assert body(table, 3, "quote") == full[:44]
    assert body(table, 3, "ltp") == full[:8]


def test_index_packet_fields(calendar: TradingCalendar) -> None:
    """Index packets order high, low, open, close, carry a signed change, and the time in full mode only."""
    day, quotes, table = built(calendar)
    packet = body(table, len(day.universe.table), "full")
    assert len(packet) == 32
    token, last, high, low, opened, close, change, stamp = struct.unpack(">6IiI", packet)
    assert (token, last) == (256265, quotes.index_last[0])
    assert (high, low, opened, close) == (
        quotes.index_high[0],
        quotes.index_low[0],
        quotes.index_open[0],
        quotes.index_close[0],
    )
    assert change == int(quotes.index_last[0]) - int(quotes.index_close[0])
    assert stamp == int(quotes.moment)
    assert len(body(table, len(day.universe.table), "quote")) == 28


def test_versions_grow_with_content_alone(calendar: TradingCalendar) -> None:
    """The same quotes at a later time change nothing; another last price changes every mode; depth only the full
    one.
    """
    day, quotes, table = built(calendar)
    before = {mode: versions.copy() for mode, versions in table.versions.items()}
    table.update(replace(quotes, moment=quotes.moment + 5.0))
    assert all(np.array_equal(before[mode], table.versions[mode]) for mode in before)
    last = quotes.last.copy()
    last[7] += 5
    depth = quotes.bid_quantity.copy()
    depth[9, 4] += 65
    table.update(replace(quotes, last=last, bid_quantity=depth))
    changed = {mode: np.flatnonzero(table.versions[mode] != before[mode]).tolist() for mode in before}
    assert changed == {"ltp": [7], "quote": [7], "full": [7, 9]}
    assert len(day.universe.table) > 9


def test_frame_head() -> None:
    """A frame begins with the number of packets, big-endian."""
    assert count_prefix(3000) == b"\x0b\xb8"
