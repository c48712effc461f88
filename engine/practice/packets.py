"""Binary packets of the whole universe, built at once and sent by selection.

One byte matrix holds every instrument's packet in the largest form, with its length in front; shorter modes are
prefixes. A step fills it by columns; a client's frame is one fancy index. Each row carries a version per mode that
grows only when what that mode shows has changed (the exchange timestamp alone is no change).
"""

from __future__ import annotations

import numpy as np

from engine.practice.noise import IntArray
from engine.practice.session_market import Quotes
from engine.practice.universe import Universe

LTP, QUOTE, FULL = "ltp", "quote", "full"
MODES = (LTP, QUOTE, FULL)
_LENGTH_BYTES = 2
_COUNT_BYTES = 2
TRADABLE_LENGTHS = {LTP: 8, QUOTE: 44, FULL: 184}
INDEX_LENGTHS = {LTP: 8, QUOTE: 28, FULL: 32}
_STAMP = slice(_LENGTH_BYTES + 60, _LENGTH_BYTES + 64)
_LEVELS = 5
_U32_MAX = 0xFFFFFFFF

_LEVEL = np.dtype([("quantity", ">u4"), ("price", ">u4"), ("orders", ">u2"), ("pad", ">u2")])
_TRADABLE = np.dtype(
    [
        ("length", ">u2"),
        *((name, ">u4") for name in ("token", "last", "last_quantity", "average", "volume")),
        *((name, ">u4") for name in ("total_buy", "total_sell", "open", "high", "low", "close")),
        *((name, ">u4") for name in ("last_time", "open_interest", "open_interest_high", "open_interest_low")),
        ("stamp", ">u4"),
        ("depth", _LEVEL, (2 * _LEVELS,)),
    ]
)
_INDEX = np.dtype(
    [
        ("length", ">u2"),
        *((name, ">u4") for name in ("token", "last", "high", "low", "open", "close")),
        ("change", ">i4"),
        ("stamp", ">u4"),
    ]
)
_COLUMNS = (
    "last",
    "last_quantity",
    "average",
    "volume",
    "total_buy",
    "total_sell",
    "open",
    "high",
    "low",
    "close",
    "last_time",
    "open_interest",
    "open_interest_high",
    "open_interest_low",
)


class PacketTable:
    """Packets of one day's universe: tradable rows first, then index rows.

    Args:
        universe: The instruments of the day.
        index_tokens: Tokens of the index rows, in the order of the quotes' index columns.
    """

    def __init__(self, universe: Universe, index_tokens: list[int]) -> None:
        tradable, indices = len(universe.table), len(index_tokens)
        self._tradable = np.zeros(tradable, dtype=_TRADABLE)
        self._tradable["token"] = universe.table.token
        self._index = np.zeros(indices, dtype=_INDEX)
        self._index["token"] = index_tokens
        self._bytes = self._tradable.view(np.uint8).reshape(tradable, _TRADABLE.itemsize)
        self._index_bytes = self._index.view(np.uint8).reshape(indices, _INDEX.itemsize)
        self._first_index = tradable
        self._before = np.zeros_like(self._bytes)
        self._index_before = np.zeros_like(self._index_bytes)
        self.row_of = {int(token): row for row, token in enumerate(universe.table.token)}
        self.row_of |= {token: tradable + number for number, token in enumerate(index_tokens)}
        self.versions = {mode: np.zeros(tradable + indices, dtype=np.int64) for mode in MODES}
        self.generation = 0

    def update(self, quotes: Quotes) -> None:
        """Fill in the quotes of an instant and raise the versions of what changed."""
        rows = self._tradable
        for name in _COLUMNS:
            rows[name] = np.clip(getattr(quotes, name), 0, _U32_MAX)
        depth = rows["depth"]
        for begin, side in ((0, "bid"), (_LEVELS, "ask")):
            part = depth[:, begin : begin + _LEVELS]
            part["quantity"] = getattr(quotes, f"{side}_quantity")
            part["price"] = getattr(quotes, f"{side}_price")
            part["orders"] = getattr(quotes, f"{side}_orders")
        rows["stamp"] = int(quotes.moment)
        index = self._index
        for name in ("last", "high", "low", "open", "close"):
            index[name] = getattr(quotes, f"index_{name}")
        index["change"] = quotes.index_last - quotes.index_close
        index["stamp"] = int(quotes.moment)
        self._raise_versions()

    def frame(self, rows: IntArray, mode: str) -> list[bytes]:
        """Return the packets of some rows in a mode: tradable ones and index ones, each as one run of bytes."""
        parts = []
        for chosen, table, lengths in (
            (rows[rows < self._first_index], self._bytes, TRADABLE_LENGTHS),
            (rows[rows >= self._first_index] - self._first_index, self._index_bytes, INDEX_LENGTHS),
        ):
            if not chosen.size:
                continue
            length = lengths[mode]
            packets = table[chosen, : _LENGTH_BYTES + length]
            packets[:, 0], packets[:, 1] = length >> 8, length & 0xFF
            parts.append(packets.tobytes())
        return parts

    def _raise_versions(self) -> None:
        self.generation += 1
        changed = self._bytes != self._before
        changed[:, _STAMP] = False
        index_changed = self._index_bytes != self._index_before
        index_changed[:, _LENGTH_BYTES + INDEX_LENGTHS[QUOTE] :] = False
        for mode in MODES:
            tradable = changed[:, : _LENGTH_BYTES + TRADABLE_LENGTHS[mode]].any(axis=1)
            index = index_changed[:, : _LENGTH_BYTES + INDEX_LENGTHS[mode]].any(axis=1)
            self.versions[mode][: self._first_index][tradable] = self.generation
            self.versions[mode][self._first_index :][index] = self.generation
        self._before[:] = self._bytes
        self._index_before[:] = self._index_bytes


def count_prefix(count: int) -> bytes:
    """Return the head of a frame of so many packets."""
    return count.to_bytes(_COUNT_BYTES, "big")
