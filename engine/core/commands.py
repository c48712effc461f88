"""Everything a person or a script can ask the engine to do, as typed values.

Keys, sentences and sockets all end here.
"""

from __future__ import annotations

from datetime import time
from decimal import Decimal

import msgspec

from engine.core.bars import BarInterval
from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber, StrategyNumber
from engine.core.instructions import InstructionNumber, InstructionState
from engine.core.margin import MarginPaths
from engine.core.orders import OrderRecord, OrderRequest
from engine.core.plans import (
    ExitManner,
    ExitTarget,
    Floors,
    LegPlan,
    LegPreview,
    Manner,
    PlanNumber,
    PlanTurn,
    Trigger,
)
from engine.core.quotes import DepthWalk, Quote
from engine.core.standing_triggers import GttRequest
from engine.core.vocabulary import Mark, Mode, OrderType, Product, Side, Validity


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True, tag="place_order"):
    """Send one order."""

    request: OrderRequest
    idempotency_key: str | None = None
    """Two commands with one key make one order, across restarts too. Without a key each command is its own order."""
    account: AccountId | None = None
    """``None``: the account of its strategy, or the first one."""
    manner: Manner | None = None
    """How a large order is worked; ``None`` sends it as one."""
    stroke: bool = False
    """Sent by one key that nobody reviewed: taken from a seat in HOT alone, as a limit, within its lots."""


class PlaceBasket(msgspec.Struct, frozen=True, kw_only=True, tag="place_basket"):
    """Send several orders that belong together, by a plan for their legs."""

    legs: tuple[OrderRequest, ...]
    leg_plan: LegPlan = LegPlan()
    idempotency_key: str | None = None
    account: AccountId | None = None


class ExitPositions(msgspec.Struct, frozen=True, kw_only=True, tag="exit_positions"):
    """Bring a leg, a strategy, the account, or (``everything``) all accounts to nothing."""

    target: ExitTarget
    percent: int = 100
    manner: ExitManner = ExitManner.NORMAL
    flat_by: time | None = None
    """Indian clock time of today; naive."""
    everything: bool = False
    """Every account of the engine, or all of the one that is named; ``target`` is then each account's."""
    allow_net_increase: bool = False
    """A person has read that a broker's net would open or grow, and wants it so."""
    slippage_max: Decimal | None = None
    """Rupees against the decided prices; beyond it the exit asks before it pays more. ``None``: no cap."""
    idempotency_key: str | None = None
    account: AccountId | None = None


class MakePlan(msgspec.Struct, frozen=True, kw_only=True, tag="make_plan"):
    """Do what a sentence says at a time or on a condition."""

    trigger: Trigger
    sentence: str
    window_s: float = 30.0
    floors: Floors = Floors()
    idempotency_key: str | None = None
    account: AccountId | None = None


class CancelPlan(msgspec.Struct, frozen=True, kw_only=True, tag="cancel_plan"):
    """End a plan: nothing new is sent, its resting entries are cancelled; positions stay."""

    number: PlanNumber


class SteerPlan(msgspec.Struct, frozen=True, kw_only=True, tag="steer_plan"):
    """Pause, resume, hurry or slow a plan that runs."""

    number: PlanNumber
    turn: PlanTurn


class OrderChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a modification changes; ``None`` leaves a field as it is."""

    quantity: int | None = None
    """The new total, filled part included."""
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    order_type: OrderType | None = None
    """Another way of pricing; to MARKET or SL-M it needs ``market_protection``."""
    validity: Validity | None = None
    validity_ttl: int | None = None
    """Minutes; with TTL."""
    disclosed_quantity: int | None = None
    market_protection: Decimal | None = None


class ModifyOrder(msgspec.Struct, frozen=True, kw_only=True, tag="modify_order"):
    """Change a resting order."""

    number: OrderNumber
    change: OrderChange


class CancelOrders(msgspec.Struct, frozen=True, kw_only=True, tag="cancel_orders"):
    """Cancel the named orders, whosever they are, or every working one."""

    numbers: tuple[OrderNumber, ...] = ()
    everything: bool = False
    account: AccountId | None = None
    """With ``everything``: of this account alone; ``None``: of all accounts."""


class CreateStrategy(msgspec.Struct, frozen=True, kw_only=True, tag="create_strategy"):
    """Open a strategy. Names are unique among active strategies of an account and contain a hyphen."""

    name: str
    account: AccountId | None = None
    """``None``: the first one."""


class ArchiveStrategy(msgspec.Struct, frozen=True, kw_only=True, tag="archive_strategy"):
    """Hide a strategy that holds nothing. Archiving never closes a position."""

    number: StrategyNumber


class MoveQuantity(msgspec.Struct, frozen=True, kw_only=True, tag="move_quantity"):
    """Hand quantity of a leg to another strategy; the broker's net does not change, and nothing is sent."""

    strategy: StrategyNumber
    leg: int
    to_strategy: StrategyNumber
    quantity: int | None = None
    """Units, > 0; ``None`` for all."""
    mark: Mark | None = None
    """The price it changes hands at: mid or last of now, which the giving strategy realises and the other begins with;
    ``None``: the leg's average price, so that nothing is realised."""


class SetMode(msgspec.Struct, frozen=True, kw_only=True, tag="set_mode"):
    """Arm or disarm the seat that asks; other seats stay as they are."""

    mode: Mode
    lots: int | None = None
    """The most lots of one stroke; HOT needs it, nothing else has it."""


class TouchSeat(msgspec.Struct, frozen=True, kw_only=True, tag="touch_seat"):
    """A key was pressed at the seat that asks: HOT ends without keys. Every few seconds is often enough."""

    leaves: bool = False
    """It goes away instead: what it had armed is over."""


class ResolveUnknown(msgspec.Struct, frozen=True, kw_only=True, tag="resolve_unknown"):
    """Look an order with unknown outcome up now."""

    number: OrderNumber


class ReplayDeadLetter(msgspec.Struct, frozen=True, kw_only=True, tag="replay_dead_letter"):
    """Send orders that were given up again, each as a new order with a new tag. Twice makes no second order."""

    numbers: tuple[OrderNumber, ...]


class CloseDeadLetter(msgspec.Struct, frozen=True, kw_only=True, tag="close_dead_letter"):
    """Want nothing more of orders that were given up."""

    numbers: tuple[OrderNumber, ...]
    reason: str = ""
    """For the record."""


class HoldRisk(msgspec.Struct, frozen=True, kw_only=True, tag="hold_risk"):
    """The panic key: no new risk on any seat, unsent entries dropped, resting entries cancelled.

    Nothing else is touched. Again is no error.
    """

    account: AccountId | None = None
    """This one alone, and no terminal is disarmed: there are others to trade. ``None``: all accounts."""


class ReleaseHold(msgspec.Struct, frozen=True, kw_only=True, tag="release_hold"):
    """End the hold; the mode stays READ until somebody arms."""

    account: AccountId | None = None
    """``None``: of all accounts."""


class KillSwitch(msgspec.Struct, frozen=True, kw_only=True, tag="kill_switch"):
    """Block new risk, cancel entries, and flatten what is named."""

    strategy: StrategyNumber | None = None
    """Flatten this one only; ``None``: everything of the account, or of all accounts."""
    lock: bool = False
    """Stay locked, over restarts, until it is unlocked deliberately."""
    account: AccountId | None = None
    """This one alone: others are neither held nor flattened. ``None``: all accounts."""


class Unlock(msgspec.Struct, frozen=True, kw_only=True, tag="unlock"):
    """End a lock that a person must end."""

    phrase: str
    """Typed: ``unlock AB1234``; the refusal of a wrong one says what it is."""
    account: AccountId | None = None


class PlaceGtt(msgspec.Struct, frozen=True, kw_only=True, tag="place_gtt"):
    """Leave a trigger at the broker."""

    request: GttRequest
    idempotency_key: str | None = None
    account: AccountId | None = None


class ModifyGtt(msgspec.Struct, frozen=True, kw_only=True, tag="modify_gtt"):
    """Replace what a trigger says."""

    trigger_id: int
    request: GttRequest
    account: AccountId | None = None


class DeleteGtt(msgspec.Struct, frozen=True, kw_only=True, tag="delete_gtt"):
    """Take a trigger back."""

    trigger_id: int
    account: AccountId | None = None


class ConvertPosition(msgspec.Struct, frozen=True, kw_only=True, tag="convert_position"):
    """Turn quantity of a position from one product into another; nothing is bought or sold."""

    instrument: InstrumentKey
    side: Side
    """Of the position: BUY for a long one."""
    quantity: int
    """Units, > 0."""
    from_product: Product
    to_product: Product
    overnight: bool = False
    """Carried from an earlier day, rather than of today."""
    idempotency_key: str | None = None
    account: AccountId | None = None


class Reconcile(msgspec.Struct, frozen=True, kw_only=True, tag="reconcile"):
    """Compare orders, fills, positions and triggers with the broker now."""

    account: AccountId | None = None
    """``None``: of all accounts."""


class ExplainMismatch(msgspec.Struct, frozen=True, kw_only=True, tag="explain_mismatch"):
    """A person has looked at a difference and knows why; it is no longer shown as open unless it changes."""

    mismatch: str
    """Its id."""
    words: str
    """For the record; not empty."""


class SetHousekeeping(msgspec.Struct, frozen=True, kw_only=True, tag="set_housekeeping"):
    """Look after the orders of a strategy by itself, or leave them alone; kept until it is said otherwise."""

    strategy: StrategyNumber
    on: bool


class AcknowledgeEvent(msgspec.Struct, frozen=True, kw_only=True, tag="acknowledge_event"):
    """Mark events up to this sequence as read."""

    sequence: int
    accounts: tuple[AccountId, ...] | None = None
    """Those of these accounts, and those of none; ``None``: all there are."""


Command = (
    PlaceOrder
    | PlaceBasket
    | ExitPositions
    | MakePlan
    | CancelPlan
    | SteerPlan
    | ModifyOrder
    | CancelOrders
    | CreateStrategy
    | ArchiveStrategy
    | MoveQuantity
    | SetMode
    | TouchSeat
    | ResolveUnknown
    | ReplayDeadLetter
    | CloseDeadLetter
    | HoldRisk
    | ReleaseHold
    | KillSwitch
    | Unlock
    | PlaceGtt
    | ModifyGtt
    | DeleteGtt
    | ConvertPosition
    | Reconcile
    | ExplainMismatch
    | SetHousekeeping
    | AcknowledgeEvent
)
"""The union of all commands; on the wire the field ``type`` tells which."""


class ShowChain(msgspec.Struct, frozen=True, kw_only=True, tag="show_chain"):
    """Look at another chain: a wish of one screen, the engine does nothing."""

    underlying: str
    expiry_label: str | None = None


class ShowChart(msgspec.Struct, frozen=True, kw_only=True, tag="show_chart"):
    """Look at the candles of an instrument: a wish of one screen, the engine does nothing."""

    instrument: InstrumentKey
    interval: BarInterval | None = None
    """``None`` leaves the length of a candle as it is."""


class GoTo(msgspec.Struct, frozen=True, kw_only=True, tag="go_to"):
    """Open a screen or pane by name."""

    place: str


class SetMark(msgspec.Struct, frozen=True, kw_only=True, tag="set_mark"):
    """Value money at another mark on this screen."""

    mark: Mark


class ShowAccount(msgspec.Struct, frozen=True, kw_only=True, tag="show_account"):
    """Look at one account alone, and draft for it: a wish of one screen, the engine does nothing."""

    account: AccountId | None
    """``None``: at all accounts again. Whether there is such an account the screen knows."""


class Quit(msgspec.Struct, frozen=True, kw_only=True, tag="quit"):
    """Leave the terminal."""


class MoveTape(msgspec.Struct, frozen=True, kw_only=True, tag="move_tape"):
    """Play, pause, speed up, move or step the tape of a replay. No order, no risk: what is asked is asked at once."""

    play: bool | None = None
    """``False`` pauses."""
    speed: float | None = None
    """Market seconds per second."""
    to: time | None = None
    """Indian clock time, the first such moment on the tape; naive."""
    by_s: int | None = None
    """Market seconds from where the tape stands; negative goes back."""
    steps: int | None = None
    """So many frames on, then pause."""


ScreenWish = ShowChain | ShowChart | ShowAccount | GoTo | SetMark | MoveTape | Quit
"""Sentences that are no command: they concern the screen alone, or the tape it looks at."""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One broken check with its number and its limit; all are given at once."""

    check: str
    """Short name of the check: ``lot``, ``tick``, ``freeze``, ``quote`` …"""
    message: str
    """One sentence: what was asked, what is allowed, what to do."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a command would do, computed by the same checks as the real thing."""

    sentence: str
    """The consequence in words and numbers."""
    account: AccountId | None = None
    """Whose order it would be; ``None`` when it is no order."""
    violations: tuple[Violation, ...] = ()
    notes: tuple[str, ...] = ()
    request: OrderRequest | None = None
    lots: Decimal | None = None
    lot_size: int | None = None
    token: int | None = None
    quote: Quote | None = None
    """The quote it was computed on."""
    cash: Decimal | None = None
    """Premium: − paid, + received, at the order's price; ``None`` when it has none (futures, market)."""
    impact: DepthWalk | None = None
    margin: Decimal | None = None
    """As the broker says; ``None`` until it has."""
    margin_paths: MarginPaths | None = None
    """Of a basket: what is blocked after each step; ``None`` until the broker has said it."""
    charges: Decimal | None = None
    """What the order would pay if it filled wholly at its price (at market: at the depth's), rupees; ``None`` when it
    is no order, or when a charge is not known."""
    round_trip_charges: Decimal | None = None
    """``charges`` and those of leaving what the order opens at the present touch, today, rupees; ``None`` when it only
    leaves, changes an order, or when nobody quotes the other side now."""
    charge_notes: tuple[str, ...] = ()
    """Why the charges of an order, or of its round trip, are not known."""
    position_before: int | None = None
    position_after: int | None = None
    """Signed units of this instrument in the account, working orders not counted."""
    legs: tuple[LegPreview, ...] = ()
    """Of a basket, in the order in which they are sent."""
    eta_s: float | None = None
    """Seconds until the last of its orders could leave behind all that waits, within the broker's limits and if nothing
    more urgent comes in between; 0 at once, ``None`` when it sends no new order or the account sends nothing."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a command: journalled and under way, or refused with every reason."""

    accepted: bool
    message: str
    orders: tuple[OrderRecord, ...] = ()
    strategy: StrategyNumber | None = None
    plan: PlanNumber | None = None
    """The plan that works it, when it is more than one order."""
    instruction: InstructionNumber | None = None
    """Under which a trigger or a conversion was journalled."""
    instruction_state: InstructionState | None = None
    trigger_id: int | None = None
    """The broker's id of the trigger it is about; ``None`` while it is not known."""
    violations: tuple[Violation, ...] = ()
    repeated: bool = False
    """The idempotency key was known: this is the order it made the first time."""
    eta_s: float | None = None
    """Seconds until the last of the orders may leave within the broker's limits, if nothing more urgent comes in
    between; 0 at once, ``None`` when nothing was queued or the day's orders are used up."""


class SentenceError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a sentence cannot be acted on, and where. The text is never changed."""

    message: str
    place: int
    """Column of the first wrong character, 0 is the first."""
    length: int = 1
    incomplete: bool = False
    """More words would make it whole."""
    choices: tuple[str, ...] = ()
    """Words that would fit at ``place``."""


class Interpretation(msgspec.Struct, frozen=True, kw_only=True):
    """What a sentence means: a command, a wish of the screen, or one error with its place."""

    text: str
    command: Command | None = None
    wish: ScreenWish | None = None
    error: SentenceError | None = None
