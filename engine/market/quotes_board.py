"""The latest of every instrument, in columns addressed by slot.

A decoded frame is written by a handful of array operations; no object is made for a tick. Consumers pull at their own
pace: each remembers the board's ``sequence`` it has seen and asks what changed since, so the dirty set of every
reader is the same column and a slow one delays nobody. Those that need every packet (candles, recorder) register a
hook.

A packet older than what is held (a frame twice, or out of order after a reconnection) is not written and reaches no
hook; see ``packet_order``. Within one frame the later packet is the newer: its sender put them so.

Invariants: all columns of a slot that its last packet did not carry are zero, so a narrower mode never leaves old
depth beside a new price; ``sequence`` grows with every applied frame, and a slot's own sequence is that of its last
change, removal included; slots stay valid as long as ``layout`` does not change.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from engine.brokers.kite.codec import Frame, Words
from engine.brokers.kite.frame_layout import Kinds
from engine.brokers.kite.packets import (
    ASKS,
    BIDS,
    CARRIES,
    CLOSE,
    EXCHANGE_TIME,
    LAST,
    LAST_TRADE_TIME,
    OPEN_INTEREST,
    PRICE_WORDS,
    TOKEN,
    VOLUME,
    WORDS,
    PacketKind,
    price_decimals,
)
from engine.core.quotes import Quote
from engine.core.vocabulary import QuoteState
from engine.market.packet_order import STAMP_SHIFT, Keys, is_late, order_keys
from engine.market.packet_quote import NS_PER_S, TIME_AHEAD_MAX_S, packet_quote
from engine.market.token_map import ABSENT, Slots, TokenMap

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
_Item = TypeVar("_Item", bound=np.generic)

_FEW = 4
"""Up to this many packets a loop over them is cheaper than the fixed cost of whole-array operations."""
_FIRST_CAPACITY = 512
_TRUE = b"\x01"
_FULL = int(PacketKind.FULL)
# One row of stamps per slot.
_SEQUENCE, _RECEIVED, _MARKET, _KIND, _PATH = range(5)
_STAMPS = 5
_STAMP = struct.Struct("=5q")
_ROW_BYTES = WORDS * 4
_IS_PRICE = np.isin(np.arange(WORDS), PRICE_WORDS)
_IS_TIME = np.isin(np.arange(WORDS), (LAST_TRADE_TIME, EXCHANGE_TIME))
ANY_CONNECTION = -1


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
        self._assigned: Integers = np.full(self._capacity, ANY_CONNECTION, np.int64)
        self._keys: Keys = np.zeros(self._capacity, np.uint64)
        self._slot_of: dict[int, int] = {}
        self._free: list[int] = []
        self._used = 0
        self._map: TokenMap | None = None
        self._hooks: tuple[Callable[[Applied], None], ...] = ()
        self._sequence = 0
        self._layout = 0
        self._unknown = 0
        self._out_of_order = 0
        self._disowned_stamps = 0
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

    @property
    def out_of_order(self) -> int:
        """Packets older than what was held about their instrument, refused so far."""
        return self._out_of_order

    @property
    def disowned_stamps(self) -> int:
        """Packets older than what was held, taken all the same because the held stamp lay ahead of the market clock.

        More than a few say that the clock is behind, and that the order of packets cannot be judged.
        """
        return self._disowned_stamps

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
        self._forget(np.array(removed, np.intp))
        self._assigned[removed] = ANY_CONNECTION
        self._token_at[removed] = 0
        self._scale[removed] = 1.0
        self._generation[removed] += 1
        self._free.extend(removed)

    def forget(self, tokens: Iterable[int] | None = None) -> None:
        """Forget what was received about some instruments and keep their slots; tokens without a slot are passed over.

        Args:
            tokens: ``None`` for all: time itself has begun anew, as when a replay goes back.
        """
        slots = np.flatnonzero(self._token_at[: self._used]) if tokens is None else self.slots_of(tokens)
        self._sequence += 1
        self._forget(slots[slots != ABSENT])

    def _forget(self, slots: Slots) -> None:
        self._words[slots] = 0
        self._keys[slots] = 0
        self._stamps[slots] = 0
        self._stamps[slots, _SEQUENCE] = self._sequence

    def assign(self, tokens: Iterable[int], connection: int) -> None:
        """Say which connection is to bring these instruments from now on.

        What another one brought is suspect until this one has brought the instrument itself. ``ANY_CONNECTION``, which
        holds before any call, trusts whichever brought it last. Tokens without a slot are passed over.
        """
        slots = self.slots_of(tokens)
        self._assigned[slots[slots != ABSENT]] = connection

    def slot_of(self, token: int) -> int | None:
        """The slot of a token."""
        return self._slot_of.get(token)

    def slots_of(self, tokens: Iterable[int]) -> Slots:
        """The slot of each token; -1 where there is none."""
        get = self._slot_of.get
        return np.fromiter((get(token, ABSENT) for token in tokens), np.intp)

    def _grow(self) -> None:
        self._capacity = min(self._limit, self._capacity * 2)
        for name in ("_words", "_stamps", "_token_at", "_generation", "_keys"):
            old = getattr(self, name)
            new = np.zeros((self._capacity, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        scale = np.ones(self._capacity, np.float64)
        scale[: len(self._scale)] = self._scale
        self._scale = scale
        assigned = np.full(self._capacity, ANY_CONNECTION, np.int64)
        assigned[: len(self._assigned)] = self._assigned
        self._assigned = assigned
        self._bind()

    def _bind(self) -> None:
        """Views that the write path uses: rows as single items, which numpy copies whole."""
        self._rows = self._words.view(f"V{self._words.strides[0]}").reshape(-1)
        self._stamp_rows = self._stamps.view(f"V{self._stamps.strides[0]}").reshape(-1)
        self._stamp_item = np.frombuffer(self._stamp, self._stamp_rows.dtype)
        self._stamp_kinds = self._stamps.reshape(-1)[_KIND:]
        self._words_memory = self._words.data.cast("B")
        self._keys_memory = self._keys.data
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
            key = words.item(index, EXCHANGE_TIME) << STAMP_SHIFT | words.item(index, VOLUME)
            if key < self._keys_memory[slot] and slot not in slots:
                one, ones = np.array([slot], np.intp), np.array([key], np.uint64)
                if self._late(one, ones, kinds[index : index + 1], received_ns, market_ns)[0]:
                    self._refuse(one, path)
                    continue
            self._keys_memory[slot] = key
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
        keys = order_keys(words)
        smaller = keys < self._keys.take(slots)
        if _TRUE in smaller.tobytes():
            late = smaller
            late[smaller] = self._late(slots[smaller], keys[smaller], kinds[smaller], received_ns, market_ns)
            self._refuse(slots[late], path)
            slots, words, kinds, keys = slots[~late], words[~late], kinds[~late], keys[~late]
        self._keys[slots] = keys
        self._rows[slots] = words.view(self._rows.dtype).reshape(-1)
        _STAMP.pack_into(self._stamp, 0, self._sequence, received_ns, market_ns, _FULL, path)
        self._stamp_rows.put(slots, self._stamp_item)
        if not frame.is_full:
            self._stamp_kinds.put(slots * _STAMPS, kinds)
        return slots, words, kinds

    def _late(self, slots: Slots, keys: Keys, kinds: Kinds, received_ns: int, market_ns: int) -> npt.NDArray[np.bool_]:
        """Which of packets with a smaller key than the held one are older than it."""
        late, disowned = is_late(
            keys,
            kinds,
            self._keys[slots],
            self._stamps[slots, _KIND],
            waited_ns=received_ns - self._stamps[slots, _RECEIVED],
            market_ns=market_ns,
        )
        self._disowned_stamps += disowned
        return late

    def _refuse(self, slots: Slots, path: int) -> None:
        """Count packets that came too late. The path is proved all the same: what is held is newer than what it has."""
        self._out_of_order += len(slots)
        self._stamps[slots, _PATH] = path

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
    def assigned(self) -> Integers:
        """The connection that is to bring each slot; ``ANY_CONNECTION`` where it does not matter."""
        return _read_only(self._assigned[: self._used])

    @property
    def words(self) -> Words:
        """The packets themselves, shape (slots, 46), in the layout of ``engine.brokers.kite.packets``."""
        return _read_only(self._words[: self._used])

    def values(self, word: int, slots: Slots) -> Floats:
        """One column at ``slots`` as float64: rupees for prices, units, epoch seconds for times.

        NaN where it is not known: no such slot (-1), a packet kind without it, a price of 0 (Kite's word for none), or
        a time more than a day after its receipt. A time of 0 is Kite's word for never.
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
        if _IS_TIME[word]:
            received_s = self._stamps[:, _MARKET].take(slots, mode="clip") / NS_PER_S
            known &= values <= received_s + TIME_AHEAD_MAX_S
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
        return np.where(known, np.maximum(now_ns - received, 0) / NS_PER_S, np.nan)

    def quote(self, token: int, *, now_ns: int, states: StateSource) -> Quote | None:
        """What is known of one instrument, as an object with exact prices; ``None`` if it is not on the board."""
        slot = self._slot_of.get(token)
        if slot is None:
            return None
        state = states.state(self, slot, now_ns)
        _, received, market, kind, _ = self._stamps[slot].tolist()
        if kind == PacketKind.NONE:
            return Quote(token=token, state=state)
        return packet_quote(
            self._words[slot].tolist(),
            PacketKind(kind),
            state=state,
            market_ns=market,
            age_s=max(0, now_ns - received) / NS_PER_S,
        )


def _read_only(column: npt.NDArray[_Item]) -> npt.NDArray[_Item]:
    view = column.view()
    view.flags.writeable = False
    return view
