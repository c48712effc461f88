"""What any broker's tick feed and its user agree on: modes, changes of subscription, and who listens.

Invariant: pure values and one Protocol; what a feed should carry is desired state, and a change is always the
difference between what is desired and what was last told to one connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import msgspec

from engine.core.errors import SessionExpired

_NS_PER_S = 1e9


class FeedMode(IntEnum):
    """How much is wanted of an instrument, least first; the greatest wish of all consumers wins."""

    LTP = 1
    QUOTE = 2
    FULL = 3


class FeedChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell a connection."""

    unsubscribe: tuple[int, ...] = ()
    subscribe: tuple[int, ...] = ()
    """Tokens not yet subscribed; each is also in ``modes``, because a bare subscription has no certain mode."""
    modes: tuple[tuple[FeedMode, tuple[int, ...]], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing to tell."""
        return not (self.unsubscribe or self.subscribe or self.modes)


def feed_change(applied: Mapping[int, FeedMode], desired: Mapping[int, FeedMode]) -> FeedChange:
    """The change that makes a connection carry ``desired`` (token → mode) after it was told ``applied``."""
    modes = tuple(
        (mode, tokens)
        for mode in FeedMode
        if (tokens := tuple(t for t, wanted in desired.items() if wanted is mode and applied.get(t) is not mode))
    )
    return FeedChange(
        unsubscribe=tuple(token for token in applied if token not in desired),
        subscribe=tuple(token for token in desired if token not in applied),
        modes=modes,
    )


class FeedListener(Protocol):
    """Who hears one connection. Called on the event loop; must not block and must not raise.

    ``connected`` and ``disconnected`` alternate; nothing else is called while disconnected but ``session_expired``.
    """

    def connected(self, at_ns: int) -> None:
        """A new connection is up; nothing about any instrument has come over it yet (monotonic ns)."""
        ...

    def disconnected(self, reason: str) -> None:
        """The connection is gone; the reason is fit for a person's eyes."""
        ...

    def heard(self, at_ns: int) -> None:
        """Something arrived, a heartbeat too (monotonic ns). Comes before ``frame`` and ``text`` of the same bytes."""
        ...

    def frame(self, payload: bytes, received_ns: int) -> None:
        """A binary data frame (monotonic ns of receipt)."""
        ...

    def text(self, payload: str) -> None:
        """A text frame as it came: order updates, errors, messages."""
        ...

    def session_expired(self, error: SessionExpired) -> None:
        """The broker refused the session; the feed waits for a new token."""
        ...


@dataclass(slots=True)
class FeedStats:
    """What one connection has seen since it was made, over all its lives."""

    connections: int = 0
    bytes: int = 0
    binary_frames: int = 0
    heartbeats: int = 0
    text_frames: int = 0
    silent_replaced: int = 0
    """Connections given up by the watchdog because not a byte came."""
    starved_replaced: int = 0
    """Connections given up by the watchdog because they beat but brought no data."""
    told: int = 0
    """Instruments that the present connection has been told."""
    last_byte_ns: int | None = None
    """Monotonic; ``None`` before the first byte."""
    last_failure: str = ""

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connections - 1)

    def last_byte_age_s(self, now_ns: int) -> float | None:
        """Seconds since the last byte; ``None`` before the first."""
        return None if self.last_byte_ns is None else (now_ns - self.last_byte_ns) / _NS_PER_S


class Ticker(Protocol):
    """One supervised connection of a broker's feed."""

    @property
    def stats(self) -> FeedStats:
        """What it has seen."""
        ...

    async def run(self) -> None:
        """Stay connected until cancelled; may be run again afterwards."""
        ...

    def subscriptions_changed(self) -> None:
        """Tell the connection what changed in what is desired, soon."""
        ...

    def ask_again(self, tokens: Iterable[int]) -> None:
        """Of these nothing is known any more: what the connection has been told of them, it is told anew, soon.

        A wish given up and taken back before it was told would else be no change, and bring nothing until a next tick.
        """
        ...

    def renew(self, access_token: str) -> None:
        """Go on with the token of a new login."""
        ...
