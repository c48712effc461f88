"""Quotes for matching out of the newest packets: two sets of columns that take turns.

Matching needs the quotes of this step and of the one before, and takes what it fills off the displayed sizes. Writing
only the rows that changed into the older of two sets gives both without copying a whole market per step. Invariant:
after ``refresh`` every row of ``now`` says what its newest packet says, whatever matching did to it before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from engine.practice.frame_packets import PacketBoard
from engine.practice.noise import IntArray
from engine.practice.packets import QUOTE, TRADABLE_LENGTHS
from engine.practice.session_market import Quotes
from engine.practice.universe import Universe

_LEVELS = 5
_NO_ROW = -1
_ROW_COLUMNS = (
    "last",
    "last_quantity",
    "last_time",
    "average",
    "volume",
    "total_buy",
    "total_sell",
    "open",
    "high",
    "low",
    "close",
    "open_interest",
    "open_interest_high",
    "open_interest_low",
)
_INDEX_COLUMNS = ("last", "open", "high", "low", "close")
_DEPTH = "bid_", "ask_"


class FrameQuotes:
    """Turns packets into quotes.

    Args:
        board: The newest packets.
        universe: The day's instruments; only its priced contracts have rows.
        index_tokens: Tokens of the index columns.
    """

    def __init__(self, board: PacketBoard, universe: Universe, index_tokens: Sequence[int]) -> None:
        self._board = board
        self._row_of = {int(token): row for row, token in enumerate(universe.table.token)}
        self._column_of = {token: column for column, token in enumerate(index_tokens)}
        self._ticks = np.maximum(universe.table.tick, 1)
        self._row_of_slot: IntArray = np.zeros(0, dtype=np.int64)
        self._column_of_slot: IntArray = np.zeros(0, dtype=np.int64)
        self._slot_of_row: IntArray = np.full(len(self._ticks), _NO_ROW, dtype=np.int64)
        self._index_tokens = list(index_tokens)
        self._stamps: IntArray = np.zeros(len(self._ticks), dtype=np.int64)
        self._index_stamps: IntArray = np.zeros(len(index_tokens), dtype=np.int64)
        self._counted = np.zeros(len(self._ticks), dtype=np.bool_)
        self.now = _empty(len(self._ticks), len(index_tokens))
        self._other = _empty(len(self._ticks), len(index_tokens))
        self._behind: IntArray = np.zeros(0, dtype=np.int64)
        self._columns_behind: IntArray = np.zeros(0, dtype=np.int64)
        self._mask = np.zeros(len(self._ticks), dtype=np.bool_)
        self.touched: set[int] = set()
        """Rows whose displayed sizes matching may change; they are read from the packets again at every refresh."""
        self.generation = 0
        """Grows with every refresh that brought something."""

    @property
    def all_index_tokens(self) -> Sequence[int]:
        """Tokens of the index columns, told of or not."""
        return self._index_tokens

    @property
    def index_tokens(self) -> Sequence[int]:
        """Tokens of the index columns; -1 for an index that no packet has told of."""
        known = (self.now.index_last > 0).tolist()
        return [token if is_known else -1 for token, is_known in zip(self._index_tokens, known, strict=True)]

    def stamp_of(self, row: int | None, column: int | None) -> int:
        """Return the exchange's own time (epoch seconds) in the newest packet of an index column, else of a row."""
        if column is not None:
            return int(self._index_stamps[column])
        return 0 if row is None else int(self._stamps[row])

    def is_known(self, column: int) -> bool:
        """Tell whether an index has a level."""
        return bool(self.now.index_last[column] > 0)

    def refresh(self, moment: float) -> IntArray:
        """Bring in every packet since the last refresh; return the rows that got one."""
        changed = self._board.take_changed()
        self._grow()
        rows: IntArray = self._row_of_slot[changed]
        rows = rows[rows != _NO_ROW]
        columns = self._column_of_slot[changed]
        columns = columns[columns != _NO_ROW]
        fresh = self._together(rows, np.fromiter(self.touched, dtype=np.int64))
        if not fresh.size and not columns.size and not self._behind.size and not self._columns_behind.size:
            self.now = replace(self.now, moment=moment)
            return rows
        self._write(self._other, self._together(fresh, self._behind))
        self._write_indices(self._other, np.union1d(columns, self._columns_behind))
        self._count_from_here(rows)
        self.now, self._other = replace(self._other, moment=moment), self.now
        self._behind, self._columns_behind = fresh, columns
        self.generation += 1
        return rows

    def forget(self) -> None:
        """Begin again with nothing known."""
        rows, columns = len(self._ticks), len(self._index_tokens)
        self.now, self._other = _empty(rows, columns), _empty(rows, columns)
        self._behind = self._columns_behind = np.zeros(0, dtype=np.int64)
        self._stamps[:], self._index_stamps[:], self._counted[:] = 0, 0, False
        self.touched.clear()
        self.generation += 1

    def set_band(self, token: int, lower: int, upper: int) -> None:
        """Note the price band of the day (paise) that somebody who knows it has told."""
        row = self._row_of.get(token)
        if row is not None:
            for quotes in (self.now, self._other):
                quotes.lower_circuit[row], quotes.upper_circuit[row] = lower, upper

    def tell_close(self, token: int, close: int) -> int | None:
        """Set a contract's previous close (paise) and return its row."""
        row = self._row_of.get(token)
        if row is not None:
            for quotes in (self.now, self._other):
                quotes.close[row] = close
        return row

    def _together(self, some: IntArray, others: IntArray) -> IntArray:
        """Return the rows of both, each once."""
        mask = self._mask
        mask[some] = mask[others] = True
        rows = np.flatnonzero(mask)
        mask[rows] = False
        return rows

    def _write(self, target: Quotes, rows: IntArray) -> None:
        slots = self._slot_of_row[rows]
        rows, slots = rows[slots != _NO_ROW], slots[slots != _NO_ROW]
        if not rows.size:
            return
        packets = self._board.tradable_rows(slots)
        for name in _ROW_COLUMNS:
            getattr(target, name)[rows] = packets[name]
        depth = packets["depth"]
        for number, side in enumerate(_DEPTH):
            levels = depth[:, number * _LEVELS : (number + 1) * _LEVELS]
            getattr(target, f"{side}price")[rows] = levels["price"]
            getattr(target, f"{side}quantity")[rows] = levels["quantity"]
            getattr(target, f"{side}orders")[rows] = levels["orders"]
        self._stamps[rows] = packets["stamp"]
        bid, ask = target.bid_price[rows, 0], target.ask_price[rows, 0]
        tick = self._ticks[rows]
        middle = (bid + ask) // 2 // tick * tick
        target.fair[rows] = np.where((bid > 0) & (ask >= bid), middle, target.last[rows])

    def _write_indices(self, target: Quotes, columns: IntArray) -> None:
        if not columns.size:
            return
        packets = self._board.index_rows(self._board.slots(self._index_tokens[column] for column in columns.tolist()))
        for name in _INDEX_COLUMNS:
            getattr(target, f"index_{name}")[columns] = packets[name]
        self._index_stamps[columns] = packets["stamp"]

    def _count_from_here(self, rows: IntArray) -> None:
        """Let the first cumulative volume of a row be no trade of this step: it is the day's so far."""
        with_volume = self._board.lengths(self._slot_of_row[rows]) >= TRADABLE_LENGTHS[QUOTE]
        first = rows[with_volume & ~self._counted[rows]]
        self._counted[first] = True
        self.now.volume[first] = self._other.volume[first]

    def _grow(self) -> None:
        """Learn where the slots that are new on the board belong."""
        known, tokens = self._row_of_slot.size, self._board.tokens
        if known == tokens.size:
            return
        new = tokens[known:].tolist()
        rows = np.array([self._row_of.get(token, _NO_ROW) for token in new], dtype=np.int64)
        columns = np.array([self._column_of.get(token, _NO_ROW) for token in new], dtype=np.int64)
        self._row_of_slot = np.concatenate([self._row_of_slot, rows])
        self._column_of_slot = np.concatenate([self._column_of_slot, columns])
        slots = np.arange(known, tokens.size)
        self._slot_of_row[rows[rows != _NO_ROW]] = slots[rows != _NO_ROW]


def _empty(rows: int, columns: int) -> Quotes:
    made: dict[str, IntArray] = {}
    for field in fields(Quotes):
        if field.name == "moment":
            continue
        side = field.name.startswith(_DEPTH)
        count = columns if field.name.startswith("index_") else rows
        made[field.name] = np.zeros((count, _LEVELS) if side else count, dtype=np.int64)
    return Quotes(moment=0.0, **made)
