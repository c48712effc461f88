"""A maker of minute candles on a board, packets for it, and a slow reference in plain Python."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.brokers.kite.codec import decode_frame
from engine.brokers.kite.packets import (
    EXCHANGE_TIME,
    LAST,
    LAST_TRADE_TIME,
    OPEN_INTEREST,
    TOKEN,
    VOLUME,
    PacketKind,
)
from engine.core.bars import BarSource, MinuteBars
from engine.core.identifiers import InstrumentKey
from engine.core.views import Integers
from engine.core.vocabulary import Exchange
from engine.market.bar_batches import FIGURES
from engine.market.bar_sessions import SessionHours
from engine.market.minute_bars import MinuteBarMaker
from engine.market.minute_columns import Flags
from engine.market.quotes_board import Applied, QuotesBoard

NS = 1_000_000_000
MIDNIGHT_S = 1_795_026_600
"""19 Nov 2026, 00:00 of India."""
OPEN_S = MIDNIGHT_S + (9 * 60 + 15) * 60
CLOSE_S = MIDNIGHT_S + (15 * 60 + 40) * 60
INDEX_CLOSE_S = MIDNIGHT_S + (15 * 60 + 15) * 60
DAY_S = 86_400
OPTION, FUTURE, OTHER, INDEX, CURRENCY = (100 << 8) + 2, (101 << 8) + 2, (102 << 8) + 5, (103 << 8) + 9, (104 << 8) + 3
TOKENS = (OPTION, FUTURE, OTHER, INDEX, CURRENCY)
YESTERDAY_S = MIDNIGHT_S - 30_000


def hours(second: int) -> SessionHours | None:
    """Sessions on every day but the one two days after the first."""
    day = (second - MIDNIGHT_S) // DAY_S
    if day == 2:
        return None
    shift = day * DAY_S
    return SessionHours(day, MIDNIGHT_S + shift, OPEN_S + shift, CLOSE_S + shift, INDEX_CLOSE_S + shift)


def key_of(token: int) -> InstrumentKey | None:
    """Every token has a name but 0."""
    return InstrumentKey(Exchange.NFO, f"T{token}")


class Packet(NamedTuple):
    """One packet as the exchange would send it."""

    token: int
    price: int
    counter: int = 0
    kind: PacketKind = PacketKind.FULL
    traded_s: int = 0
    stamp_s: int = 0
    open_interest: int = 0

    def body(self) -> bytes:
        """The broker's bytes."""
        if self.kind is PacketKind.LTP:
            return struct.pack(">2I", self.token, self.price)
        if self.kind is PacketKind.INDEX_FULL:
            return struct.pack(">8I", self.token, *[self.price] * 5, 0, self.stamp_s)
        figures = [self.token, self.price, 0, 0, self.counter, 0, 0, 0, 0, 0, 0]
        if self.kind is PacketKind.QUOTE:
            return struct.pack(">11I", *figures)
        tail = [self.traded_s, self.open_interest, 0, 0, self.stamp_s, *[0] * 30]
        return struct.pack(">46I", *figures, *tail)


class Desk:
    """A board, a maker on it, and a clock."""

    def __init__(self, tokens: Sequence[int] = TOKENS, *, watch_paths: bool = True) -> None:
        self.board = QuotesBoard(limit=64)
        self.board.add(tokens)
        self.suspect_paths: set[int] = set()
        self.maker = MinuteBarMaker(
            self.board, hours=hours, key_of=key_of, suspect=self._suspect if watch_paths else None
        )
        self.board.add_hook(self.maker.apply)
        self.board.add_hook(self._keep)
        self.applied: list[Packet] = []
        """Packets of the last frame that the board took, in its order."""
        self.taken: list[MinuteBars] = []

    def _suspect(self, paths: Integers) -> Flags:
        return np.isin(paths, sorted(self.suspect_paths))

    def _keep(self, applied: Applied) -> None:
        words = applied.words.astype(np.int64)
        self.applied = [
            Packet(
                int(row[TOKEN]),
                int(row[LAST]),
                int(row[VOLUME]),
                PacketKind(int(kind)),
                int(row[LAST_TRADE_TIME]),
                int(row[EXCHANGE_TIME]),
                int(row[OPEN_INTEREST]),
            )
            for row, kind in zip(words, applied.kinds, strict=True)
        ]

    def frame(self, at_ns: int, *packets: Packet, path: int = 1) -> None:
        """One frame received at market time ``at_ns``."""
        self.applied = []
        bodies = [packet.body() for packet in packets]
        data = struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)
        self.board.apply(decode_frame(data), received_ns=at_ns, market_ns=at_ns, path=path)
        self.drain()

    def drain(self) -> None:
        """Take what has ended."""
        bars = self.maker.take()
        if bars is not None:
            self.taken.append(bars)

    def end(self, second: int) -> None:
        """Close what has ended by ``second``."""
        self.maker.close_until(second * NS)
        self.drain()

    def bars(self, token: int) -> list[tuple[int, ...]]:
        """(start, open, high, low, close, volume, open interest, source) of each minute of a token, as they came."""
        rows: list[tuple[int, ...]] = []
        for batch in self.taken:
            if key_of(token) in batch.instruments:
                mine = batch.place == batch.instruments.index(InstrumentKey(Exchange.NFO, f"T{token}"))
                rows += zip(*(getattr(batch, name)[mine].tolist() for name in FIGURES), strict=True)
        return rows


class Reference:
    """One instrument's candles, packet by packet in plain Python."""

    def __init__(self, token: int) -> None:
        self.is_index = token & 0xFF == 9
        self.rows: list[tuple[int, ...]] = []
        self.backwards = 0
        self.forget()
        self.minute: int | None = None
        self.day: int | None = None

    def forget(self) -> None:
        """A slot of its own, not heard of yet."""
        self.path: int | None = None
        self.live: int | None = None
        self.bar: list[int] | None = None
        self.forget_day()

    def forget_day(self) -> None:
        """Neither price nor counter."""
        self.last = 0
        self.counter: int | None = None
        self.base: int | None = None
        self.oi = -1
        self.heard = 0

    def roll(self, minute: int, suspect: set[int]) -> None:
        """End the running minute and begin another."""
        session = hours(minute * 60)
        if self.minute is not None:
            suspected = self.path in suspect
            self.finish(sound=not suspected)
            if suspected:
                self.path = self.live = self.counter = None
        self.minute = minute
        if session is not None and session.day != self.day:
            self.day = session.day
            self.forget_day()
        self.base = self.counter
        if self.counter is not None and self.opening:
            self.base = 0

    @property
    def session(self) -> SessionHours | None:
        """Today's."""
        assert self.minute is not None
        return hours(self.minute * 60)

    @property
    def opening(self) -> bool:
        """Whether the running minute opens the session."""
        return self.session is not None and self.minute == self.session.open_s // 60

    def finish(self, *, sound: bool) -> None:
        """Write the candle down."""
        assert self.minute is not None
        if self.bar is not None:
            volume = -1 if self.base is None or self.counter is None else self.counter - self.base
            whole = sound and self.live is not None and self.live <= self.minute * 60 * NS
            source = BarSource.TICKS if whole else BarSource.PARTIAL
            self.rows.append((self.minute * 60, *self.bar, volume, self.oi, source))
        self.bar = None

    def packet(self, at_ns: int, packet: Packet, path: int) -> None:
        """Take one packet."""
        kind = packet.kind
        assert self.minute is not None
        session = self.session
        inside = session is not None and (
            session.open_s * NS <= at_ns < (session.index_close_s if self.is_index else session.close_s) * NS
        )
        fresh = path != self.path
        counter: int | None = None
        if kind is PacketKind.FULL:
            midnight = session.day_start_s if session is not None else 0
            counter = packet.counter if packet.traded_s >= midnight else 0
        elif kind is PacketKind.QUOTE and inside:
            counter = packet.counter
        grew = self.counter is not None and counter is not None and counter > self.counter
        fell = self.counter is not None and counter is not None and counter < self.counter
        self.backwards += fell
        if fell or counter is None or (fresh and self.heard < self.minute * 60 * NS):
            self.base = None
        if kind is PacketKind.FULL and (counter == 0 or self.opening):
            self.base = 0
        self.counter = counter
        if fresh:
            self.live = at_ns
        if self.is_index:
            counts = True
        elif fresh or self.last == 0:
            counts = kind is PacketKind.FULL and packet.traded_s >= self.minute * 60
        else:
            counts = grew or packet.price != self.last
        if counts and inside and packet.price:
            price = packet.price
            bar = self.bar or [price, price, price, price]
            self.bar = [bar[0], max(bar[1], price), min(bar[2], price), price]
        self.last = packet.price or self.last
        self.oi = packet.open_interest if kind is PacketKind.FULL else -1
        self.heard = at_ns
        self.path = path
