"""Every limit and interval of the executor as data; the values here are the defaults of the configuration."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class BudgetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many order requests an account may send, and what is kept back for exits and cancels."""

    per_second: int = 10
    """Requests of any kind in one calendar second of the broker's clock."""
    per_minute: int = 400
    """New orders in any 60 seconds."""
    per_day: int = 5000
    """New orders in one exchange day (midnight to midnight IST), refused ones included."""
    reserve_per_second: int = 2
    """Of those, only exits and cancels may use the last so many."""
    reserve_per_minute: int = 20
    reserve_per_day: int = 250
    guard_s: float = 0.1
    """How far a request's arrival at the broker may lie from our estimate of it, either way."""
    rate_limited_pause_s: float = 1.0
    """Silence after a refusal for speed that names no waiting time."""
    recovery_s: float = 30.0
    """After a refusal for speed one request per second less is sent; one comes back after this long."""
    near_share: float = 0.8
    """Part of the minute's or the day's orders after which an event says how much is left."""


class BreakerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When an endpoint that cannot be reached is left alone, and for how long."""

    failures: int = 3
    """Requests in a row that did not reach the broker; refusals of any kind are no failures."""
    open_s: float = 2.0
    """First pause; it doubles while the broker cannot be reached, up to ``open_max_s``."""
    open_max_s: float = 10.0
    urgent_s: float = 1.0
    """Exits and cancels are tried again after so long at the latest, whatever the pause."""


class CheckLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the checks before an order is journalled."""

    price_distance_percent: Decimal = Decimal(25)
    """How far a limit may lie through the market: a buy above the ask, a sell below the bid."""
    price_distance_floor: Decimal = Decimal(2)
    """Rupees; a distance up to this is never too far (a 0.40 rupee option moves by half at once)."""
    order_value_max: Decimal | None = Decimal(50_00_000)
    """Rupees of one order, quantity × price; ``None`` for no cap."""
    market_protection_max: Decimal = Decimal(100)
    """Percent; the broker's own bound."""
    duplicate_window_s: float = 2.0
    """A second order equal in every field within this many seconds is a duplicate; 0 switches the check off."""
    duplicate_refuses: bool = False
    """Whether a duplicate is refused; otherwise it is a note."""
    modifications_max: int = 25
    """Accepted modifications the broker allows for one order."""


class ExecutionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The executor's settings; durations in seconds of this machine."""

    budget: BudgetLimits = BudgetLimits()
    checks: CheckLimits = CheckLimits()
    breaker: BreakerLimits = BreakerLimits()
    queue_capacity: int = 500
    """Errands that may wait; more entries, hedges and modifications are refused."""
    queue_reserve: int = 500
    """Further places for exits, cancels and stops."""
    queue_expiry_s: float = 15.0
    """An entry, a hedge or a modification that has waited longer is not sent."""
    in_flight_max: int = 24
    """Requests on the wire at one time."""
    in_flight_reserve: int = 8
    """Of those, kept for exits and cancels."""
    rate_limited_attempts: int = 5
    """How often an order refused for speed is tried in all."""
    urgent_retry_s: float = 60.0
    """How long an exit, a stop or a cancellation that did not reach the broker is tried again; others are not."""
    unknown_window_s: float = 30.0
    """How long an order without an answer is looked for before it is presumed absent."""
    unknown_reads_min: int = 3
    """Good reads of the book, spread over that window, that must not show it."""
    settle_window_s: float = 5.0
    """How long the book may take to show an answered modification or any cancellation."""
    book_fast_s: float = 1.0
    """Interval of book reads while something is in flight or unknown."""
    book_working_s: float = 3.0
    """Interval while orders rest."""
    book_idle_s: float = 15.0
    book_spacing_s: float = 1.0
    """Least time between two book reads, whatever asks for them."""
    reconcile_s: float = 60.0
    """Interval of whole reconciliations."""
    missing_reads_max: int = 3
    """Good reads without an order that we know to be there, before that is a mismatch."""
    journal_retry_s: float = 0.5
    """Pause between attempts of a write that failed."""
    stop_timeout_s: float = 20.0
    """How long stopping waits for answers that are still out."""
    history_s: float = 172_800.0
    """How far back orders are loaded at start (two days: a book is never older)."""
    idempotency_key_length_max: int = 128
    dead_letters_max: int = 200
    """Newest dead letters that are listed and can be replayed or closed."""
