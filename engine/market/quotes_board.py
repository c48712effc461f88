"""The latest of every instrument, in columns addressed by slot.

A decoded frame is written by a handful of array operations; no object is made for a tick. Consumers pull at their own
pace: each remembers the board's ``sequence`` it has seen and asks what changed since, so the dirty set of every
reader is the same column and a slow one delays nobody. Those that need every packet (candles, recorder) register a
hook.

Invariants: all columns of a slot that its last packet did not carry are zero, so a narrower mode never leaves old
depth beside a new price; ``sequence`` grows with every applied frame, and a slot's own sequence is that of its last
change, removal included; slots stay valid as long as ``layout`` does not change.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from engine.brokers.kite.codec import Frame, Kinds, Words
from engine.brokers.kite.packets import (
    ASKS,
    BIDS,
    CARRIES,
    CLOSE,
    EXCHANGE_TIME,
    LAST,
    LEVEL_WORDS,
    LEVELS,
    OPEN_INTEREST,
    ORDERS_SHIFT,
    PRICE_WORDS,
    TOKEN,
    VOLUME,
    WORDS,
    PacketKind,
    price_decimals,
    price_of,
)
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import QuoteState
from engine.market.token_map import ABSENT, Slots, TokenMap

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
_Item = TypeVar("_Item", bound=np.generic)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000
_NS_PER_S = 1e9
_FEW = 4
"""Up to this many packets a loop over them is cheaper than the fixed cost of whole-array operations."""
_FIRST_CAPACITY = 512
# One row of stamps per slot.
_SEQUENCE, _RECEIVED, _MARKET, _KIND, _PATH = range(5)
_STAMPS = 5
_STAMP = struct.Struct("=5q")
_ROW_BYTES = WORDS * 4
_IS_PRICE = np.isin(np.arange(WORDS), PRICE_WORDS)


class Applied(NamedTuple):
    """What a hook is told: packets just written, in the order they came; repeated instruments included."""

    slots: Slots
    words: Words
    """Shape (packets, 46), common layout of ``engine.brokers.kite.packets``."""
    kinds: Kinds
    """``PacketKind`` of each packet."""
    received_ns: int
    market_ns: int
    sequence: int


class StateSource(Protocol):
    """Who judges how far a quote may be trusted; see ``engine.market.staleness``."""

    def state(self, board: QuotesBoard, slot: int, now_ns: int) -> QuoteState:
        """The state of one slot at ``now_ns`` (monotonic)."""
        ...


class QuotesBoard:
    """The board of one feed.

    Args:
        limit: Most slots ever. Instruments beyond it are refused, and named to the caller.
    """

    def __init__(self, *, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a board needs at least one slot, the limit is {limit}")
        self._limit = limit
        self._capacity = min(limit, _FIRST_CAPACITY)
        self._words: Words = np.zeros((self._capacity, WORDS), np.uint32)
        self._stamps: Integers = np.zeros((self._capacity, _STAMPS), np.int64)
        self._scale: Floats = np.ones(self._capacity, np.float64)
        self._token_at: npt.NDArray[np.uint32] = np.zeros(self._capacity, np.uint32)
        self._generation: Integers = np.zeros(self._capacity, np.int64)
        self._slot_of: dict[int, int] = {}
        self._free: list[int] = []
        self._used = 0
        self._map: TokenMap | None = None
        self._hooks: tuple[Callable[[Applied], None], ...] = ()
        self._sequence = 0
        self._layout = 0
        self._unknown = 0
        self._stamp = bytearray(_STAMP.size)
        self._bind()

    # ------------------------------------------------------------------ slots

    @property
    def sequence(self) -> int:
        """Number of the last change; 0 before any."""
        return self._sequence

    @property
    def layout(self) -> int:
        """Changes when a slot is given or freed: slots kept from before must be looked up again."""
        return self._layout

    @property
    def unknown_packets(self) -> int:
        """Packets about instruments without a slot, dropped so far (they trail behind an unsubscription)."""
        return self._unknown

    def __len__(self) -> int:
        """Instruments on the board."""
        return len(self._slot_of)

    def __contains__(self, token: int) -> bool:
        return token in self._slot_of

    def add(self, tokens: Iterable[int]) -> tuple[int, ...]:
        """Give each token a slot if it has none; returns the tokens refused because the board is full."""
        refused = []
        for token in tokens:
            if token in self._slot_of:
                continue
            if not 0 < token < 1 << 32:
                raise ValueError(f"{token} is not an instrument token: 1 to 2**32 - 1")
            if self._free:
                slot = self._free.pop()
            elif self._used < self._limit:
                if self._used == self._capacity:
                    self._grow()
                slot = self._used
                self._used += 1
            else:
                refused.append(token)
                continue
            self._slot_of[token] = slot
            self._token_at[slot] = token
            self._scale[slot] = 10.0 ** price_decimals(token)
            self._layout += 1
            self._map = None
        return tuple(refused)

    def remove(self, tokens: Iterable[int]) -> None:
        """Free the slots of tokens; what was known of them is forgotten at once."""
        removed = [slot for token in tokens if (slot := self._slot_of.pop(token, None)) is not None]
        if not removed:
            return
        self._sequence += 1
        self._layout += 1
        self._map = None
        self._words[removed] = 0
        self._stamps[removed] = 0
        self._stamps[removed, _SEQUENCE] = self._sequence
        self._token_at[removed] = 0
        self._scale[removed] = 1.0
        self._generation[removed] += 1
        self._free.extend(removed)

    def slot_of(self, token: int) -> int | None:
        """The slot of a token."""
        return self._slot_of.get(token)

    def slots_of(self, tokens: Iterable[int]) -> Slots:
        """The slot of each token; -1 where there is none."""
        get = self._slot_of.get
        return np.fromiter((get(token, ABSENT) for token in tokens), np.intp)

    def _grow(self) -> None:
        self._capacity = min(self._limit, self._capacity * 2)
        for name in ("_words", "_stamps", "_token_at", "_generation"):
            old = getattr(self, name)
            new = np.zeros((self._capacity, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        scale = np.ones(self._capacity, np.float64)
        scale[: len(self._scale)] = self._scale
        self._scale = scale
        self._bind()

    def _bind(self) -> None:
        """Views that the write path uses: rows as single items, which numpy copies whole."""
        self._rows = self._words.view(f"V{self._words.strides[0]}").reshape(-1)
        self._stamp_rows = self._stamps.view(f"V{self._stamps.strides[0]}").reshape(-1)
        self._stamp_item = np.frombuffer(self._stamp, self._stamp_rows.dtype)
        self._words_memory = self._words.data.cast("B")
        self._stamps_memory = self._stamps.data.cast("B")

    # ------------------------------------------------------------------ writing

    def add_hook(self, hook: Callable[[Applied], None]) -> Callable[[], None]:
        """Call ``hook`` with every frame right after it was written; returns what ends it.

        The hook runs inside the feed: it copies what it needs into a bounded queue of its own and returns.
        """
        self._hooks = (*self._hooks, hook)

        def end() -> None:
            self._hooks = tuple(other for other in self._hooks if other is not hook)

        return end

    def apply(self, frame: Frame, *, received_ns: int, market_ns: int, path: int = 0) -> int:
        """Write a decoded frame; returns the packets written (those about instruments on the board).

        Args:
            frame: What the codec made of the bytes.
            received_ns: Monotonic clock at receipt.
            market_ns: Market clock at receipt, nanoseconds since the epoch.
            path: Which connection, in which of its lives, brought it; see ``staleness.FeedHealth``.
        """
        count = len(frame.words)
        if not count:
            return 0
        self._sequence += 1
        write = self._write_few if count <= _FEW else self._write_many
        slots, words, kinds = write(frame, received_ns, market_ns, path)
        if self._hooks and len(slots):
            applied = Applied(np.asarray(slots, np.intp), words, kinds, received_ns, market_ns, self._sequence)
            for hook in self._hooks:
                hook(applied)
        return len(slots)

    def _write_few(
        self, frame: Frame, received_ns: int, market_ns: int, path: int
    ) -> tuple[list[int] | Slots, Words, Kinds]:
        """Write packet by packet, straight into the columns' memory; returns what was written."""
        words, kinds = frame.words, frame.kinds
        slots: list[int] = []
        kept: list[int] = []
        for index in range(len(words)):
            slot = self._slot_of.get(words.item(index, TOKEN))
            if slot is None:
                self._unknown += 1
                continue
            start = slot * _ROW_BYTES
            self._words_memory[start : start + _ROW_BYTES] = words[index].tobytes()
            _STAMP.pack_into(
                self._stamps_memory,
                slot * _STAMP.size,
                self._sequence,
                received_ns,
                market_ns,
                kinds.item(index),
                path,
            )
            slots.append(slot)
            kept.append(index)
        if len(kept) == len(words):
            return slots, words, kinds
        return slots, words[kept], kinds[kept]

    def _write_many(
        self, frame: Frame, received_ns: int, market_ns: int, path: int
    ) -> tuple[list[int] | Slots, Words, Kinds]:
        """Write all packets at once; returns as ``_write_few``."""
        if self._map is None:
            self._map = TokenMap(self._slot_of, self._token_at)
        words, kinds = frame.words, frame.kinds
        slots, complete = self._map.slots(words[:, TOKEN])
        if not complete:
            known = slots != ABSENT
            self._unknown += len(slots) - int(known.sum())
            slots, words, kinds = slots[known], words[known], kinds[known]
        self._rows[slots] = words.view(self._rows.dtype).reshape(-1)
        _STAMP.pack_into(self._stamp, 0, self._sequence, received_ns, market_ns, PacketKind.FULL, path)
        if frame.is_full:
            self._stamp_rows[slots] = self._stamp_item
        else:
            stamps = np.empty((len(slots), _STAMPS), np.int64)
            stamps[:] = np.frombuffer(self._stamp, np.int64)
            stamps[:, _KIND] = kinds
            self._stamp_rows[slots] = stamps.view(self._stamp_rows.dtype).reshape(-1)
        return slots, words, kinds

    # ------------------------------------------------------------------ reading

    def changed_since(self, sequence: int) -> Slots:
        """Slots written, given up or freed after ``sequence``, ascending."""
        return np.flatnonzero(self._stamps[: self._used, _SEQUENCE] > sequence)

    @property
    def tokens(self) -> npt.NDArray[np.uint32]:
        """Token of each slot, 0 where free; a read-only view, valid until the next ``add``. So are all columns."""
        return _read_only(self._token_at[: self._used])

    @property
    def generations(self) -> Integers:
        """How often each slot was freed: a kept slot whose generation differs belongs to another instrument."""
        return _read_only(self._generation[: self._used])

    @property
    def sequences(self) -> Integers:
        """Sequence of each slot's last change."""
        return _read_only(self._stamps[: self._used, _SEQUENCE])

    @property
    def received_ns(self) -> Integers:
        """Monotonic time of each slot's last packet, 0 before any."""
        return _read_only(self._stamps[: self._used, _RECEIVED])

    @property
    def market_ns(self) -> Integers:
        """Market time of receipt of each slot's last packet, nanoseconds since the epoch, 0 before any."""
        return _read_only(self._stamps[: self._used, _MARKET])

    @property
    def kinds(self) -> Integers:
        """``PacketKind`` of each slot's last packet; 0 before any."""
        return _read_only(self._stamps[: self._used, _KIND])

    @property
    def paths(self) -> Integers:
        """The path that brought each slot's last packet."""
        return _read_only(self._stamps[: self._used, _PATH])

    @property
    def words(self) -> Words:
        """The packets themselves, shape (slots, 46), in the layout of ``engine.brokers.kite.packets``."""
        return _read_only(self._words[: self._used])

    def values(self, word: int, slots: Slots) -> Floats:
        """One column at ``slots`` as float64: rupees for prices, units, epoch seconds for times.

        NaN where it is not known: no such slot (-1), a packet kind without it, or a price of 0 (Kite's word for none).
        """
        if not self._used:
            return np.full(len(slots), np.nan)
        raw = self._words[:, word].take(slots, mode="clip")
        kinds = self._stamps[:, _KIND].take(slots, mode="clip")
        known = CARRIES[kinds, word] & (slots >= 0)
        values = raw.astype(np.float64)
        if _IS_PRICE[word]:
            known &= raw != 0
            values /= self._scale.take(slots, mode="clip")
        values[~known] = np.nan
        return values

    def last(self, slots: Slots) -> Floats:
        """Last price, rupees."""
        return self.values(LAST, slots)

    def bid(self, slots: Slots) -> Floats:
        """Best bid, rupees."""
        return self.values(BIDS + 1, slots)

    def ask(self, slots: Slots) -> Floats:
        """Best ask, rupees."""
        return self.values(ASKS + 1, slots)

    def volume(self, slots: Slots) -> Floats:
        """Units traded today."""
        return self.values(VOLUME, slots)

    def open_interest(self, slots: Slots) -> Floats:
        """Open interest, units."""
        return self.values(OPEN_INTEREST, slots)

    def previous_close(self, slots: Slots) -> Floats:
        """Close of the day before, rupees."""
        return self.values(CLOSE, slots)

    def age_s(self, slots: Slots, now_ns: int) -> Floats:
        """Seconds since the last packet about each slot; NaN before any."""
        if not self._used:
            return np.full(len(slots), np.nan)
        received = self._stamps[:, _RECEIVED].take(slots, mode="clip")
        known = (self._stamps[:, _KIND].take(slots, mode="clip") != PacketKind.NONE) & (slots >= 0)
        return np.where(known, (now_ns - received) / _NS_PER_S, np.nan)

    def quote(self, token: int, *, now_ns: int, states: StateSource) -> Quote | None:
        """What is known of one instrument, as an object with exact prices; ``None`` if it is not on the board."""
        slot = self._slot_of.get(token)
        if slot is None:
            return None
        state = states.state(self, slot, now_ns)
        _, received, market, kind, _ = self._stamps[slot].tolist()
        if kind == PacketKind.NONE:
            return Quote(token=token, state=state)
        words: list[int] = self._words[slot].tolist()
        carries = CARRIES[kind]
        decimals = price_decimals(token)

        def price(word: int) -> Decimal | None:
            return price_of(words[word], decimals) if words[word] else None

        seconds = words[EXCHANGE_TIME]
        return Quote(
            token=token,
            state=state,
            last=price(LAST),
            bids=_levels(words, BIDS, decimals),
            asks=_levels(words, ASKS, decimals),
            volume=words[VOLUME] if carries[VOLUME] else None,
            open_interest=words[OPEN_INTEREST] if carries[OPEN_INTEREST] else None,
            previous_close=price(CLOSE),
            exchange_time=_EPOCH + timedelta(seconds=seconds) if seconds else None,
            received_time=_EPOCH + timedelta(microseconds=market // _NS_PER_US),
            age_s=(now_ns - received) / _NS_PER_S,
        )


def _levels(words: list[int], first: int, decimals: int) -> tuple[DepthLevel, ...]:
    """The levels of one side that have a price."""
    return tuple(
        DepthLevel(price_of(words[word + 1], decimals), words[word], words[word + 2] >> ORDERS_SHIFT)
        for word in range(first, first + LEVELS * LEVEL_WORDS, LEVEL_WORDS)
        if words[word + 1]
    )


def _read_only(column: npt.NDArray[_Item]) -> npt.NDArray[_Item]:
    view = column.view()
    view.flags.writeable = False
    return view
