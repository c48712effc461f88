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
    order_lots_max: int | None = None
    """Lots of one order; ``None`` for no cap."""
    open_orders_max: int | None = 200
    """Orders that may work at one time, this one included; ``None`` for no cap."""
    position_lots_max: int | None = None
    """Lots of one contract that may be held, long or short, with every working order of that side filled; ``None`` for
    no cap."""
    spread_percent_max: Decimal | None = Decimal(40)
    """Widest spread that an entry crosses, percent of the mid; ``None`` switches the check off."""
    spread_ticks_min: int = 8
    """A spread of at most so many ticks is never too wide."""
    quote_age_s_max: float | None = None
    """Oldest quote that an entry goes by, seconds; ``None``: any age on a living path."""
    impact_percent_max: Decimal | None = None
    """How far the last unit may trade from the mid, percent, before an entry that crosses is refused; ``None``: it is
    a note."""
    impact_percent_note: Decimal = Decimal(2)
    """From which distance of the average from the touch, percent of it, the depth is worth a word."""
    checks_margin: bool = True
    """Whether an entry is refused when the broker says that the money for it is not there."""
    margin_age_s_max: float = 20.0
    """Older answers about margin count as not known."""
    funds_age_s_more: float = 40.0
    """Funds may be older by so much: they are read now and then, an answer about margin is asked for."""
    iceberg_legs_max: int = 50
    """Legs the broker divides an iceberg into."""


class LockLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When the day's locks fall, for each account; what has no figure is off. A lock keeps new risk out and lets exits,
    cancellations and stops through.
    """

    daily_loss: Decimal | None = None
    """Rupees > 0: a day's net money, left now at what the book gives, of minus so much or less locks until the day is
    over."""
    daily_profit: Decimal | None = None
    """Rupees > 0: so much or more locks until the day is over."""
    trades_per_day: int | None = None
    """Orders that opened or enlarged a leg today; so many lock until the day is over."""
    losing_exits: int | None = None
    """So many exits in a row that lost money, before charges, begin a cool-down."""
    losing_exit: Decimal | None = None
    """Rupees > 0: one exit that lost so much begins a cool-down."""
    cool_down_s: float = 900.0
    """Market seconds from that exit on."""
    judge_s: float = 1.0
    """How often the day is judged."""
    unlock_wait_s: float = 30.0
    """From asking to unlock a kill until the phrase counts."""
    unlock_window_s: float = 300.0
    """How long the phrase counts then."""


class KillSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How `workstation kill` brings an account to nothing."""

    per_second: int = 8
    """Order requests of one account; the engine may have sent some of its own in the same second."""
    settle_s: float = 0.25
    """From a request until the book is read for its effect."""
    reprice_s: float = 1.5
    """How long an order may rest before it follows the market."""
    protection_percent: Decimal = Decimal(3)
    """How far beyond the touch an order may trade at first; it doubles with each new price."""
    protection_percent_max: Decimal = Decimal(25)
    modifications_max: int = 20
    """New prices of one order before it is replaced; the broker takes 25."""
    cancel_wait_s: float = 5.0
    """How long the cancellations of one round are waited for before they are asked again."""
    unknown_window_s: float = 30.0
    """How long an order without an answer counts as filled before it is presumed absent."""
    unknown_reads_min: int = 3
    give_up_s: float = 300.0
    """After so long it ends and says what is left; the latch stays."""


class HousekeepingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is done by itself with orders that have outlived their position; single strategies can be left alone."""

    enabled: bool = True
    """Stops and targets shrink with their position and go with it."""
    reverse_overshoot: bool = True
    """When an exit and its stop have both filled, what is held too much is taken off at once."""
    cancel_expired: bool = False
    """Cancel orders on contracts that have ended; otherwise they are named in an event."""
    cancel_stale: bool = False
    """Cancel limit orders that are old and far from the market; otherwise they are named in an event."""
    stale_after_s: float = 10_800.0
    """Market seconds without a change after which a limit order may be stale."""
    stale_distance_percent: Decimal = Decimal(40)
    """How far from the touch it lies then, percent of the touch."""
    settle_s: float = 0.3
    """Wait after a change before it is looked at, so that what belongs together is seen together."""
    look_s: float = 5.0
    """How often all is looked at when nothing changes."""
    attempts_max: int = 3
    """How often the same change of an order is asked for, or one overshoot taken off."""
    overshoot_window_s: float = 60.0
    """Market seconds after a fill within which an overshoot is taken off; an older one is asked about."""
    reversal_protection: Decimal = Decimal(-1)
    """Market protection of that order, percent; -1 leaves the band to the broker."""
    square_off_before_close_s: float = 900.0
    """How long before the close of derivatives the broker may begin to square MIS positions off. Before August 2026
    that was 300 s; what it has been since is not published, so the warnings come early."""
    square_off_warnings_s: tuple[float, ...] = (1800.0, 600.0, 180.0)
    """How long before that moment it is said what is held as MIS."""
    square_off_fee: Decimal = Decimal(59)
    """Rupees that the broker takes for each position it squares off, tax included."""


class InstructionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Triggers that stand at the broker, and conversions."""

    triggers_max: int = 250
    """Active triggers the broker keeps for an account."""
    trigger_distance_percent: Decimal = Decimal("0.25")
    """Least distance of a trigger from the last price."""
    clock_slack_s: float = 5.0
    """How far the broker's time of making may lie before ours."""
    attempts: int = 3
    """How often one that was refused for speed is tried in all; nothing was done then."""
    poll_s: float = 1.0
    """Interval of looking for one without an answer."""
    list_s: float = 60.0
    """Interval of reading the list of triggers while nothing is looked for."""


class SpoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When and how exits and cancellations go on without the order journal."""

    after_s: float = 0.5
    """A write not answered for so long has failed: entries are refused, exits and cancellations go through
    the spool. Time in which this program itself stood still does not count, and a refused connection does not wait. A
    commit takes a few milliseconds, on a disk that is busy a few hundred; this is also how long an exit is held up
    by a database that hangs."""
    bytes_max: int = 16 * 1024 * 1024
    """Bound of the spool's file; new orders are refused when it is three quarters full, everything when it is full."""
    numbers_kept: int = 64
    """Order numbers in stock: so many orders can be made without the journal. Those left are given back at an orderly
    end, and lost with a kill."""
    lock_watch_s: float = 5.0
    """How often the writer lock is looked after."""


class ExecutionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The executor's settings; durations in seconds of this machine."""

    budget: BudgetLimits = BudgetLimits()
    checks: CheckLimits = CheckLimits()
    breaker: BreakerLimits = BreakerLimits()
    spool: SpoolSettings = SpoolSettings()
    instructions: InstructionLimits = InstructionLimits()
    housekeeping: HousekeepingSettings = HousekeepingSettings()
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
    mismatch_settle_s: float = 0.8
    """Two readings that show the same difference from the broker's books lie at least so far apart before it is
    listed: what one of them shows may be a fill between two reads."""
    mismatch_kept_s: float = 86_400.0
    """How long a difference that is gone stays in the list."""
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
