"""Minute candles of everything on the board, made in columns as packets come; no object per tick.

A minute belongs to the market time of receipt, so the same tape gives the same bits however fast it plays. Which
packets make a candle:

* **Indices** have no volume: every packet counts, until the index stops moving (``SessionHours.index_close_s``).
* **Everything else**: a packet repeats the last price although nothing traded, so it counts only when the day's counter
  grew or the price changed. The first packet of an instrument (subscribed, path replaced, new day) counts only when its
  last-trade time lies in the minute. A minute in which nothing counted has no candle.
* Packets **before the open, at or after the close, or in a break** make none; they tell where counter and price stand.
* Packets that came **out of order** never get here: the board refuses them.

Volume is the difference of the day's counter at the minute's end and at its start, never negative:

* The **opening minute** starts from 0, as the counter does, whether or not the auction before it was watched: with a
  trade in it, it holds what the auction matched too. A full packet whose last trade is not of today carries an earlier
  day's counter, which is 0 for today; a quote packet cannot tell, and its counter is used from the open on only.
* A **first packet in the middle of a minute** leaves that minute's volume unknown (-1), and so does a counter that ran
  **backwards** (a correction; counted), a mode without counter, and a path that was broken across the minute's start.

A minute is ``PARTIAL`` when its path was not sound for the whole of it: first packet or replaced connection in it, path
suspect at its end, or given up before its end. Open interest is that of the minute's last packet.

Invariants: finished minutes come out once, in order of time and token; a slot that was given to another instrument
never mixes the two; ``open <= high``, ``low <= close`` and so on hold because all four are of the same packets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.brokers.kite.packets import (
    LAST,
    LAST_TRADE_TIME,
    OPEN_INTEREST,
    SEGMENT_INDICES,
    SEGMENT_MASK,
    VOLUME,
    PacketKind,
    price_decimals,
)
from engine.core.bars import BarSource, MinuteBars
from engine.core.identifiers import InstrumentKey
from engine.core.views import Integers
from engine.market.bar_batches import joined, read_only
from engine.market.bar_sessions import SessionHours
from engine.market.minute_columns import NEVER, NO_PATH, UNKNOWN, Flags, Packets, SlotColumns
from engine.market.quotes_board import Applied, QuotesBoard
from engine.market.token_map import Slots

MINUTE_NS: Final = 60_000_000_000
MINUTE_S: Final = 60
NS_PER_S: Final = 1_000_000_000
QUEUE_PACKETS_MAX: Final = 4096
"""Packets that wait to be worked on together: a few large array operations cost less than many small ones."""

_TAKEN = np.array([LAST, VOLUME, LAST_TRADE_TIME, OPEN_INTEREST])


class RunningMinute(NamedTuple):
    """A candle that is not finished, in wire integers; -1 where volume or open interest is not known."""

    start: int
    """Epoch seconds."""
    open: int
    high: int
    low: int
    close: int
    volume: int
    open_interest: int
    source: BarSource
    decimals: int


class _Queued(NamedTuple):
    slots: Slots
    figures: npt.NDArray[np.uint32]
    """Shape (packets, 4): the words of ``_TAKEN``."""
    kinds: npt.NDArray[np.uint8]
    market_ns: int
    path: int


class MinuteBarMaker:
    """Makes minute candles of a board. Register ``apply`` with ``QuotesBoard.add_hook``.

    Args:
        board: whose packets they are.
        hours: the session of the exchange's date at an epoch second, ``None`` when none is held.
        key_of: the lasting name of a token today; candles of a token without one are left out and counted.
        suspect: which of the paths it is given cannot be trusted now, see ``staleness.FeedHealth.suspect``; asked once
            at the end of each minute. In a replay it must follow the tape's time alone, or be ``None``.
    """

    def __init__(
        self,
        board: QuotesBoard,
        *,
        hours: Callable[[int], SessionHours | None],
        key_of: Callable[[int], InstrumentKey | None],
        suspect: Callable[[Integers], Flags] | None = None,
    ) -> None:
        self._board = board
        self._hours_of = hours
        self._key_of = key_of
        self._suspect = suspect
        self._columns = SlotColumns()
        self._begin()

    def _begin(self) -> None:
        self._columns.clear(slice(None))
        self._layout = UNKNOWN
        self._minute = UNKNOWN
        self._day = UNKNOWN
        self._hours: SessionHours | None = None
        self._queue: list[_Queued] = []
        self._waiting = 0
        self._finished: list[MinuteBars] = []
        self.backwards = 0
        """Packets whose counter was below the one before it."""
        self.nameless = 0
        """Candles left out because their token has no name today."""

    def restart(self) -> None:
        """Forget everything: a tape goes back."""
        self._begin()

    # -- packets -----------------------------------------------------------------------------------------------------

    def apply(self, applied: Applied) -> None:
        """Take the packets of a frame; what is needed of them is copied."""
        self._follow_board()
        minute = applied.market_ns // MINUTE_NS
        if minute > self._minute:
            self._roll(minute)
        slots = applied.slots.copy()
        path = int(self._board.paths[slots[0]])
        taken = applied.words[:, _TAKEN]
        self._queue.append(_Queued(slots, taken, applied.kinds.astype(np.uint8), applied.market_ns, path))
        self._waiting += len(slots)
        if self._waiting >= QUEUE_PACKETS_MAX:
            self._work()

    def close_until(self, market_ns: int) -> None:
        """End the minute that runs if it is over by ``market_ns``; call it before what is received then is applied."""
        minute = market_ns // MINUTE_NS
        if self._minute != UNKNOWN and minute > self._minute:
            self._follow_board()
            self._roll(minute)

    def take(self) -> MinuteBars | None:
        """Minutes that have ended and were not taken yet, in order of time and token; ``None`` when there are none."""
        finished, self._finished = self._finished, []
        return joined(finished) if finished else None

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def minute_s(self) -> int | None:
        """Start of the minute that runs, epoch seconds; ``None`` before the first packet."""
        return None if self._minute == UNKNOWN else self._minute * MINUTE_S

    def running(self, token: int) -> RunningMinute | None:
        """The candle of an instrument that runs; ``None`` when nothing counted in it yet."""
        slot = self._slot(token)
        if slot is None or not self._columns.has[slot]:
            return None
        columns = self._columns
        one = np.array([slot])
        return RunningMinute(
            start=self._minute * MINUTE_S,
            open=int(columns.open[slot]),
            high=int(columns.high[slot]),
            low=int(columns.low[slot]),
            close=int(columns.close[slot]),
            volume=int(self._volume(one)[0]),
            open_interest=int(columns.open_interest[slot]),
            source=BarSource.TICKS if self._whole(one)[0] else BarSource.PARTIAL,
            decimals=price_decimals(token),
        )

    def sound_since(self, token: int) -> int | None:
        """Market time in nanoseconds since which an instrument has been watched without a break; ``None`` when not."""
        slot = self._slot(token)
        if slot is None or self._columns.live_ns[slot] == NEVER:
            return None
        return int(self._columns.live_ns[slot])

    def _slot(self, token: int) -> int | None:
        self._follow_board()
        self._work()
        slot = self._board.slot_of(token)
        return slot if slot is not None and slot < self._columns.size else None

    # -- the board's slots -------------------------------------------------------------------------------------------

    def _follow_board(self) -> None:
        """Let go of slots that were freed or given to another instrument, and take in new ones."""
        board, columns = self._board, self._columns
        if board.layout == self._layout:
            return
        self._work()  # what waits is about the instruments that had the slots until now
        tokens, generations = board.tokens.astype(np.int64), board.generations
        columns.grow(len(tokens))
        size = columns.size
        changed = np.flatnonzero((columns.token[:size] != tokens) | (columns.generation[:size] != generations))
        left = changed[columns.has[changed]]
        if len(left):
            self._finish(left, np.zeros(len(left), np.bool_))
        columns.clear(changed)
        columns.token[changed] = tokens[changed]
        columns.generation[changed] = generations[changed]
        columns.is_index[changed] = (tokens[changed] & SEGMENT_MASK) == SEGMENT_INDICES
        self._layout = board.layout

    # -- work on what waits ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Bring the packets that wait into the columns, each instrument's in their order."""
        if not self._queue:
            return
        queue, self._queue, self._waiting = self._queue, [], 0
        counts = [len(item.slots) for item in queue]
        figures = np.concatenate([item.figures for item in queue]).astype(np.int64)
        packets = Packets(
            slots=np.concatenate([item.slots for item in queue]),
            price=figures[:, 0],
            counter=figures[:, 1],
            traded_s=figures[:, 2],
            open_interest=figures[:, 3],
            kinds=np.concatenate([item.kinds for item in queue]),
            market_ns=np.repeat([item.market_ns for item in queue], counts),
            path=np.repeat([item.path for item in queue], counts),
        )
        # The first packet of every slot, then the second of those that have one, and so on: within a round no slot
        # comes twice, so whole columns can be worked on, and each slot still sees its packets one after the other.
        order = np.argsort(packets.slots, kind="stable")
        ordered = packets.slots[order]
        begins = np.flatnonzero(np.diff(ordered, prepend=UNKNOWN))
        turn = np.arange(len(ordered)) - np.repeat(begins, np.diff(np.append(begins, len(ordered))))
        by_turn = order[np.argsort(turn, kind="stable")]
        ends = np.cumsum(np.bincount(turn))
        for first, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            self._round(packets.where(by_turn[first:end]))

    def _round(self, packets: Packets) -> None:
        """One packet of each of some slots."""
        columns = self._columns
        slots = packets.slots
        is_index = columns.is_index[slots]
        hours = self._hours
        inside = np.zeros(len(slots), np.bool_)
        if hours is not None:
            closes = np.where(is_index, hours.index_close_s, hours.close_s) * NS_PER_S
            inside = (packets.market_ns >= hours.open_s * NS_PER_S) & (packets.market_ns < closes)
            if hours.pause_s is not None:
                rests, goes_on = (second * NS_PER_S for second in hours.pause_s)
                inside &= (packets.market_ns < rests) | (packets.market_ns >= goes_on)
        fresh = packets.path != columns.path[slots]
        grew = self._count(packets, fresh=fresh, inside=inside)
        is_full = packets.kinds == PacketKind.FULL
        is_first = fresh | (columns.last[slots] == 0)
        in_minute = is_full & (packets.traded_s >= self._minute * MINUTE_S)
        counts = is_index | np.where(is_first, in_minute, grew | (packets.price != columns.last[slots]))
        counts &= inside & (packets.price > 0)
        self._widen(slots[counts], packets.price[counts])
        has_price = packets.price > 0
        columns.last[slots[has_price]] = packets.price[has_price]
        columns.open_interest[slots] = np.where(is_full, packets.open_interest, UNKNOWN)
        columns.last_ns[slots] = packets.market_ns
        columns.path[slots] = packets.path
        columns.live_ns[slots] = np.where(fresh, packets.market_ns, columns.live_ns[slots])

    def _count(self, packets: Packets, *, fresh: Flags, inside: Flags) -> Flags:
        """Take the day's counters; returns where one grew."""
        columns, hours = self._columns, self._hours
        slots = packets.slots
        before = columns.counter[slots]
        is_full = packets.kinds == PacketKind.FULL
        tells = is_full | ((packets.kinds == PacketKind.QUOTE) & inside)
        of_today = packets.traded_s >= (hours.day_start_s if hours is not None else 0)
        counter = np.where(is_full & ~of_today, 0, packets.counter)
        counter = np.where(tells, counter, UNKNOWN)
        known = (before >= 0) & (counter >= 0)
        fell = known & (counter < before)
        self.backwards += int(fell.sum())
        broken = fresh & (columns.last_ns[slots] < self._minute * MINUTE_NS)
        base = np.where(broken | fell | (counter < 0), UNKNOWN, columns.base[slots])
        base = np.where(is_full & ((counter == 0) | self._is_opening()), 0, base)
        columns.base[slots] = base
        columns.counter[slots] = counter
        grew: Flags = known & (counter > before)
        return grew

    def _widen(self, slots: Slots, price: Integers) -> None:
        columns = self._columns
        going_on = columns.has[slots]
        columns.open[slots] = np.where(going_on, columns.open[slots], price)
        columns.high[slots] = np.where(going_on, np.maximum(columns.high[slots], price), price)
        columns.low[slots] = np.where(going_on, np.minimum(columns.low[slots], price), price)
        columns.close[slots] = price
        columns.has[slots] = True

    # -- from minute to minute ---------------------------------------------------------------------------------------

    def _is_opening(self) -> bool:
        """Whether the minute that runs is the session's first."""
        return self._hours is not None and self._minute == self._hours.open_s // MINUTE_S

    def _roll(self, minute: int) -> None:
        """End the minute that runs, if one does, and begin ``minute``."""
        self._work()
        columns, size = self._columns, self._columns.size
        if self._minute != UNKNOWN:
            sound = self._sound()
            ended = np.flatnonzero(columns.has[:size])
            if len(ended):
                self._finish(ended, sound[ended])
            lost = np.flatnonzero(~sound)
            columns.path[lost] = NO_PATH
            columns.live_ns[lost] = NEVER
            columns.counter[lost] = UNKNOWN
        self._minute = minute
        self._hours = self._hours_of(minute * MINUTE_S)
        if self._hours is not None and self._hours.day != self._day:
            self._day = self._hours.day
            columns.forget_day(slice(0, size))
        counter = columns.counter[:size]
        columns.base[:size] = np.where((counter >= 0) & self._is_opening(), 0, counter)

    def _sound(self) -> Flags:
        """Slots whose path can be trusted now."""
        size = self._columns.size
        if self._suspect is None or not size:
            return np.ones(size, np.bool_)
        paths = self._columns.path[:size]
        known = paths != NO_PATH
        sound: Flags = ~known
        sound[known] = ~self._suspect(paths[known])
        return sound

    def _volume(self, slots: Slots) -> Integers:
        base, counter = self._columns.base[slots], self._columns.counter[slots]
        volume: Integers = np.where((base >= 0) & (counter >= 0), counter - base, UNKNOWN)
        return volume

    def _whole(self, slots: Slots) -> Flags:
        """Whether the path was sound since the minute, or the session in it, began."""
        begins = self._minute * MINUTE_S
        if self._hours is not None and self._is_opening():
            begins = self._hours.open_s
        whole: Flags = self._columns.live_ns[slots] <= begins * NS_PER_S
        return whole

    def _finish(self, slots: Slots, sound: Flags) -> None:
        """Give out the candles of ``slots``; of those that are not ``sound`` as partial ones."""
        columns = self._columns
        order = np.argsort(columns.token[slots], kind="stable")
        slots, sound = slots[order], sound[order]
        whole = self._whole(slots) & sound
        columns.has[slots] = False
        tokens = columns.token[slots].tolist()
        keys = [self._key_of(token) for token in tokens]
        named = np.array([key is not None for key in keys], np.bool_)
        if not named.all():
            self.nameless += int((~named).sum())
            slots, whole = slots[named], whole[named]
            tokens = [token for token, key in zip(tokens, keys, strict=True) if key is not None]
        count = len(slots)
        if not count:
            return
        self._finished.append(
            MinuteBars(
                instruments=tuple(key for key in keys if key is not None),
                place=read_only(np.arange(count)),
                start=read_only(np.full(count, self._minute * MINUTE_S)),
                open=read_only(columns.open[slots]),
                high=read_only(columns.high[slots]),
                low=read_only(columns.low[slots]),
                close=read_only(columns.close[slots]),
                volume=read_only(self._volume(slots)),
                open_interest=read_only(columns.open_interest[slots]),
                source=read_only(np.where(whole, BarSource.TICKS, BarSource.PARTIAL).astype(np.uint8)),
                decimals=read_only(np.array([price_decimals(token) for token in tokens], np.uint8)),
            )
        )
