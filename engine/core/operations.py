"""What the engine room shows: each data connection, what it carries, what was refused, damaged, dropped or missed."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from engine.core.execution import JournalView
from engine.core.identifiers import AccountId
from engine.core.vocabulary import QuoteState


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """One socket of the feed."""

    number: int
    """From 0; an identity while the engine runs."""
    account: str
    """Whose key it uses."""
    state: QuoteState
    """LIVE, STALE (silent or gone), CLOSED (up, market closed) or UNKNOWN (never up)."""
    up: bool
    subscribed: int
    capacity: int
    byte_age_s: float | None
    """Since the last byte, a heartbeat too."""
    packet_age_s: float | None
    """Since the last data packet."""
    packets: int
    packets_per_s: float
    bytes: int
    bad_frames: int
    unknown_packets: int
    reconnects: int
    silent_replaced: int
    """Times the watchdog gave up a connection that was up and said nothing."""
    message: str
    """Why it is not as it should be, in words; empty when it is."""


class RefusedView(msgspec.Struct, frozen=True, kw_only=True):
    """Instruments of one consumer that the feed has no room for."""

    consumer: str
    priority: int
    instruments: tuple[str, ...]
    """Their names, bounded; ``count`` is the whole."""
    count: int


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """A bounded queue and its overload policy."""

    name: str
    waiting: int
    limit: int
    dropped: int
    policy: str
    """What happens beyond the limit, in words."""
    message: str = ""


class RecorderView(msgspec.Struct, frozen=True, kw_only=True):
    """The tape."""

    recording: bool
    path: str
    segments: int
    bytes: int
    frames: int
    since: datetime | None
    lag_s: float
    """How long the oldest frame waits to be on disk."""
    dropped: int
    message: str = ""


class GapView(msgspec.Struct, frozen=True, kw_only=True):
    """Minutes that are missing, and what is done about them."""

    instruments: int
    minutes: int
    filled: int
    waiting: int
    """Requests still to be made of the broker's history."""
    eta_s: float | None
    message: str = ""


class AccountHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One broker account as the engine knows it."""

    account: AccountId
    name: str
    roles: tuple[str, ...]
    """``data``, ``orders``, ``reads``."""
    state: str
    """``ok``, ``login needed``, ``limited`` or ``failing``."""
    token_until: datetime | None
    """When its session ends at the latest; ``None`` where it does not."""
    reads: int
    failures: int
    limited: int
    last_error: str


class OperationsView(msgspec.Struct, frozen=True, kw_only=True):
    """The engine room's picture of the market data."""

    at: datetime
    connections: tuple[ConnectionView, ...]
    capacity: int
    subscribed: int
    consumers: tuple[tuple[str, int], ...]
    """Who wants how many instruments, greatest priority first."""
    refused: tuple[RefusedView, ...]
    out_of_order: int = 0
    """Packets that were not taken because newer ones had come before."""
    disowned_stamps: int = 0
    """Packets taken although an exchange time ahead of market time stood against them; many mean a slow clock."""
    states: dict[str, int]
    """Subscribed instruments by the name of their quote state."""
    queues: tuple[QueueView, ...]
    recorder: RecorderView | None
    gaps: GapView
    accounts: tuple[AccountHealth, ...]
    instruments_day: date
    instruments_rows: int
    instruments_note: str
    loop_lag_ms: float | None
    """Worst delay of the event loop in the last seconds."""
    degraded: tuple[str, ...]
    journals: tuple[JournalView, ...] = ()
    """Of the accounts that this engine may send for."""
