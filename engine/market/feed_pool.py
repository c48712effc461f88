"""Which connection carries which instrument, over several connections of several keys.

Instruments are placed one by one: on a connection that is up and has room, else on one that is being made, else on one
not opened yet, always the first of its kind; so connections fill one after the other and no more are opened than are
needed. An instrument stays where it is for as long as its connection lives: it moves only off one that is *out* (down
for long while others are up, or its key's session was refused), and only to one that is up.

Pure: no socket, no clock. Connections are numbered from 0, key by key; a number means the same connection for good.

Invariants: an instrument is on one connection at most; no connection carries more than its capacity; what is carried is
what was put and not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType

import msgspec

from engine.brokers.feed import FeedMode
from engine.market.subscriptions import KITE_CONNECTION_CAPACITY

KITE_CONNECTIONS_PER_KEY = 3


class FeedKey(msgspec.Struct, frozen=True, kw_only=True):
    """One login whose data may be used."""

    account: str
    """Whose it is; also its name for a person."""
    connections_max: int = KITE_CONNECTIONS_PER_KEY
    """Connections that the broker allows at once."""
    connection_capacity: int = KITE_CONNECTION_CAPACITY
    """Instruments that one connection carries; 0 for a key that is kept for its order updates alone."""
    hears_orders: bool = False
    """Orders of the account are sent here: its first connection is kept, for its order updates."""


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the connections of a feed are kept; durations in seconds of this machine."""

    lost_after_s: float = 10.0
    """A connection that is down for longer while another is up gives its instruments to those with room."""
    close_empty_after_s: float = 30.0
    """A connection beyond the first that has carried nothing for so long is closed."""
    upkeep_s: float = 0.5
    """How often connections are looked after when nothing else asks for it."""
    restart_pauses_s: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 15.0)
    """Pauses before a connection whose program failed is started again; the last one repeats."""
    refused_names_max: int = 20
    """Instruments named of each consumer that has no room."""
    rate_window_s: int = 5
    """Packets per second are over so many seconds."""


class LineState(IntEnum):
    """Where a connection stands, best first."""

    UP = 0
    OPENING = 1
    """Wanted, and not up: being made for the first time, or again."""
    IDLE = 2
    """Not opened, because nothing needs it."""
    OUT = 3
    """Not to be counted on: down for long, or its key was refused."""


class Line:
    """One connection's load."""

    def __init__(self, number: int, key: FeedKey, *, is_kept: bool) -> None:
        self.number = number
        self.key = key
        self.is_kept = is_kept
        """It is wanted whether it carries anything or not."""
        self.state = LineState.IDLE
        self.tokens: dict[int, FeedMode] = {}
        self.carried: Mapping[int, FeedMode] = MappingProxyType(self.tokens)
        """Token → mode; a read-only view that follows every change."""

    @property
    def room(self) -> int:
        """Instruments that still fit."""
        return self.key.connection_capacity - len(self.tokens)


class FeedPool:
    """The load of all connections.

    Args:
        keys: Logins, best first.

    Raises:
        ValueError: there is none, one is named twice, or one is of no use.
    """

    def __init__(self, keys: Sequence[FeedKey]) -> None:
        if not keys:
            raise ValueError("a feed needs at least one key")
        if len({key.account for key in keys}) < len(keys):
            raise ValueError(f"a feed's keys are of different accounts, not {[key.account for key in keys]}")
        for key in keys:
            if key.connections_max < 1 or key.connection_capacity < (0 if key.hears_orders else 1):
                raise ValueError(f"the feed's key of {key.account} needs a connection with room for an instrument")
        owners = [(key, place) for key in keys for place in range(key.connections_max)]
        self.lines = tuple(
            Line(number, key, is_kept=number == 0 or (key.hears_orders and place == 0))
            for number, (key, place) in enumerate(owners)
        )
        self._line_of: dict[int, Line] = {}

    @property
    def capacity(self) -> int:
        """Instruments that all connections together carry."""
        return sum(line.key.connection_capacity for line in self.lines)

    @property
    def room(self) -> int:
        """Instruments that can be carried now: without the connections that are out, unless all are."""
        counted = sum(line.key.connection_capacity for line in self.lines if line.state is not LineState.OUT)
        return counted or self.capacity

    def line_of(self, token: int) -> Line | None:
        """The connection that carries an instrument."""
        return self._line_of.get(token)

    def put(self, token: int, mode: FeedMode) -> Line | None:
        """Place an instrument, or change its mode where it is; ``None`` when no connection has room."""
        line = self._line_of.get(token)
        if line is None:
            free = (line for line in self.lines if line.room > 0)
            line = min(free, key=lambda one: (one.state, one.number), default=None)
            if line is None:
                return None
            self._line_of[token] = line
            if line.state is LineState.IDLE:
                line.state = LineState.OPENING
        line.tokens[token] = mode
        return line

    def take(self, token: int) -> Line | None:
        """Carry an instrument no longer; returns the connection that did."""
        line = self._line_of.pop(token, None)
        if line is not None:
            del line.tokens[token]
        return line

    def stranded(self) -> list[int]:
        """Instruments on connections that are out."""
        return [token for line in self.lines if line.state is LineState.OUT for token in line.tokens]

    def rescue(self, priority_of: Callable[[int], int]) -> set[Line]:
        """Move instruments off connections that are out to those that are up, as far as there is room.

        Args:
            priority_of: Greater goes first.

        Returns:
            The connections whose load changed.
        """
        touched: set[Line] = set()
        up = [line for line in self.lines if line.state is LineState.UP and line.room > 0]
        if not up:
            return touched
        for token in sorted(self.stranded(), key=lambda token: -priority_of(token)):
            while up and up[0].room <= 0:
                up.pop(0)
            if not up:
                break
            source, target = self._line_of[token], up[0]
            target.tokens[token] = source.tokens.pop(token)
            self._line_of[token] = target
            touched |= {source, target}
        return touched

    def spare(self) -> Line | None:
        """A connection worth opening because instruments are stranded and nothing that is up can take them."""
        takes = (LineState.UP, LineState.OPENING)
        if not self.stranded() or any(line.room > 0 for line in self.lines if line.state in takes):
            return None
        return next((line for line in self.lines if line.state is LineState.IDLE and line.room > 0), None)
