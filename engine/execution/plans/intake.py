"""The one road for orders, plain or worked by a plan: which of the two it is, its checks as a whole, and its key.

A key never makes a second thing: not an order where it made a plan, nor a plan where it made an order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Protocol

import msgspec

from engine.core.commands import MakePlan, PlaceOrder, Receipt, Violation
from engine.core.decisions import PERSON, Reason
from engine.core.errors import StorageError
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderRequest
from engine.core.plans import AtTime, Chase, Iceberg, Manner, OrderPlan, Slice, TimedPlan, Twap
from engine.core.ports import Clock
from engine.core.repositories import OrderJournal
from engine.core.vocabulary import OrderType, Validity, Variety
from engine.execution.intake import PERSONAL, refused
from engine.execution.lanes import Lane
from engine.execution.plans.desk import PlanDesk
from engine.execution.plans.iceberg import iceberg_size
from engine.execution.plans.keys import is_plan_key
from engine.execution.plans.pieces import order_quantity_max
from engine.execution.plans.timed import trigger_words
from engine.execution.plans.twap import twap_pieces
from engine.execution.words import grouped

FREEZE = "freeze"
"""The check that a plan answers by cutting the order."""
PIECES_MIN = 2
DURATION_MAX_S = 8 * 3600.0
WINDOW_MAX_S = 3600.0
DAY_END = "a plan lasts one day"
INDIA = timezone(timedelta(hours=5, minutes=30))
"""A person reads Indian clock time."""

Check = Callable[[OrderRequest], tuple[tuple[Violation, ...], tuple[str, ...], bool]]
"""What forbids an order, what is worth knowing about it, and whether it adds risk."""


class Placing(Protocol):
    """What the road needs of the executor."""

    async def place(
        self, command: PlaceOrder, *, seat: str = "", reason: Reason = ..., lane: Lane | None = None
    ) -> Receipt:
        """Journal one order and queue it."""
        ...

    def check(
        self, request: OrderRequest, *, seat: str = "", by: str = PERSON
    ) -> tuple[tuple[Violation, ...], tuple[str, ...], bool]:
        """Judge an order of a seat."""
        ...


class WorkedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a plan works."""

    spec: OrderPlan
    sentence: str
    """What the plan does, without a full stop."""
    manner: str
    """How, in words."""
    violations: tuple[Violation, ...]
    """What is wrong with the manner."""


def plan_for(command: PlaceOrder, instrument: Instrument | None, freeze_quantity: int | None) -> WorkedOrder | None:
    """The plan that works an order; ``None`` for an order that is sent as one."""
    request, manner = command.request, command.manner
    if manner is None:
        if freeze_quantity is None or request.quantity <= freeze_quantity:
            return None
        manner = Slice()
    lot = 1 if instrument is None else instrument.lot_size
    most = request.quantity if freeze_quantity is None else order_quantity_max(freeze_quantity, lot)
    words = manner_words(manner, request.quantity, lot, most)
    return WorkedOrder(
        spec=OrderPlan(request=request, manner=manner),
        sentence=f"{_order_words(request)} {words}",
        manner=words,
        violations=tuple(_faults(request, manner, lot, most)),
    )


def whole_order_violations(violations: Sequence[Violation]) -> tuple[Violation, ...]:
    """What forbids the whole order when it is cut: everything but its being too large for one."""
    return tuple(violation for violation in violations if violation.check != FREEZE)


def manner_words(manner: Manner, quantity: int, lot: int, most: int) -> str:
    """How an order is worked: ``in 3 pieces of at most 1,800``."""
    match manner:
        case Slice(size=size):
            piece = most if size is None else min(size, most)
            return f"at once in {-(-quantity // max(1, piece))} pieces of at most {grouped(piece)}"
        case Iceberg(pieces=pieces):
            piece = iceberg_size(quantity, lot, max(1, pieces))
            return f"in {-(-quantity // piece)} pieces of {grouped(piece)}, one after the other"
        case Twap(duration_s=duration_s):
            pieces = twap_pieces(manner, quantity // lot)
            return f"in {pieces} pieces over {duration_words(duration_s)}"
        case Chase(ticks=ticks):
            return f"following the touch by at most {ticks} ticks"


def duration_words(seconds: float) -> str:
    """``90s``, ``5m``, ``1h``: as the language writes it."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:g}s"


class OrderRoadIn:
    """Takes orders in, plain or worked, and plans that wait.

    Args:
        account: Whose.
        orders: The executor.
        journal: Knows the keys of all orders.
        plans: The plan desk.
        instrument: The row of today's dump.
        freeze_quantity: Largest quantity of one order.
        clock: Market time.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        orders: Placing,
        journal: OrderJournal,
        plans: PlanDesk,
        instrument: Callable[[InstrumentKey], Instrument | None],
        freeze_quantity: Callable[[Instrument], int | None],
        clock: Clock,
    ) -> None:
        self._account = account
        self._orders = orders
        self._journal = journal
        self._plans = plans
        self._instrument = instrument
        self._freeze_quantity = freeze_quantity
        self._clock = clock
        self._turn = asyncio.Lock()

    def worked(self, command: PlaceOrder) -> WorkedOrder | None:
        """The plan that would work an order now; ``None`` for a plain one."""
        instrument = self._instrument(command.request.instrument)
        freeze = None if instrument is None else self._freeze_quantity(instrument)
        return plan_for(command, instrument, freeze)

    def check(
        self, command: PlaceOrder, *, seat: str = "", by: str = PERSON
    ) -> tuple[tuple[Violation, ...], tuple[str, ...]]:
        """What forbids an order of a seat, judged as a whole, and what is worth knowing about it."""
        violations, notes, _ = self._orders.check(command.request, seat=seat, by=by)
        worked = self.worked(command)
        if worked is None:
            return violations, notes
        return (*whole_order_violations(violations), *worked.violations), (*notes, f"{worked.sentence}.")

    async def place(
        self, command: PlaceOrder, *, seat: str = "", reason: Reason = PERSONAL, is_own: bool = False
    ) -> Receipt:
        """Send an order, by a plan if it needs one.

        Args:
            command: The order.
            seat: Who asked.
            reason: What decided it, when no person did.
            is_own: A plan asks for it: its key is a plan's.
        """
        key = command.idempotency_key
        if command.account not in {None, self._account}:
            return refused("account", f"{command.account} is not the account of this desk, {self._account}.")
        if key is None:
            return await self._send(command, seat, reason)
        if is_plan_key(key) and not is_own:
            return refused("key", f'"{key}" is a key of a plan; choose another one.')
        async with self._turn:
            try:
                made = await self._plans.made_by(key)
                order = None if self.worked(command) is None else await self._order_by(key)
            except StorageError as error:
                if self.worked(command) is not None:
                    return refused("journal", f"The journal cannot tell whether this key is known ({error}); not sent.")
                made = order = None  # the executor asks the journal itself
            if made is not None:
                if not isinstance(made.spec, OrderPlan) or made.spec.request != command.request:
                    message = f"This key made {made.name}: {made.sentence}. Use a new key for a new order."
                    return msgspec.structs.replace(refused("key", message), plan=made.number, repeated=True)
                message = f"This key made {made.name} before, which is {made.state}; nothing new was sent."
                return Receipt(accepted=True, message=message, plan=made.number, repeated=True)
            if order is not None:
                message = f"This key made o{order.number} before; nothing new was sent. Use a new key for a new order."
                return msgspec.structs.replace(refused("key", message), orders=(order,), repeated=True)
            return await self._send(command, seat, reason)

    async def make(self, command: MakePlan, *, seat: str = "", by: str = PERSON) -> Receipt:
        """Take in a plan that waits."""
        faults = self.waiting_faults(command)
        if faults:
            return Receipt(accepted=False, message=" ".join(fault.message for fault in faults), violations=faults)
        spec = TimedPlan(
            trigger=command.trigger, sentence=command.sentence, window_s=command.window_s, floors=command.floors
        )
        return await self._plans.submit(
            spec, sentence=waiting_words(command), key=command.idempotency_key, seat=seat, by=by
        )

    def waiting_faults(self, command: MakePlan) -> tuple[Violation, ...]:
        """Why a plan cannot wait for this."""
        return _waiting_faults(command, self._clock.market_now())

    async def _send(self, command: PlaceOrder, seat: str, reason: Reason) -> Receipt:
        worked = self.worked(command)
        if worked is None:
            return await self._orders.place(command, seat=seat, reason=reason)
        violations = self.check(command, seat=seat, by=reason.by)[0]
        if violations:
            message = " ".join(violation.message for violation in violations)
            return Receipt(accepted=False, message=message, violations=violations)
        return await self._plans.submit(
            worked.spec, sentence=worked.sentence, key=command.idempotency_key, seat=seat, by=reason.by
        )

    async def _order_by(self, key: str) -> OrderRecord | None:
        return await self._journal.by_idempotency_key(self._account, key)


def waiting_words(command: MakePlan) -> str:
    """What a plan that waits does, without a full stop."""
    trigger = command.trigger
    when = f"at {_clock(trigger.at)}" if isinstance(trigger, AtTime) else f"when {trigger_words(trigger)}"
    words = [f"{when}, within {command.window_s:g} s: {command.sentence}"]
    if command.floors.credit_min is not None:
        words.append(f"credit at least {command.floors.credit_min}")
    if command.floors.spread_percent_max is not None:
        words.append(f"spread at most {command.floors.spread_percent_max} %")
    return ", ".join(words)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(INDIA):%H:%M:%S}"


def _order_words(request: OrderRequest) -> str:
    price = request.order_type if request.price is None else f"at {request.price}"
    return f"{request.side} {grouped(request.quantity)} {request.instrument.tradingsymbol} {price}"


def _faults(request: OrderRequest, manner: Manner, lot: int, most: int) -> list[Violation]:
    """What is wrong with working an order in this manner."""
    found: list[str] = []
    if most <= 0:
        found.append("One lot is above the exchange's largest order.")
    if request.variety is not Variety.REGULAR:
        found.append(f"A {request.variety} order is sent as one; leave the manner out.")
    match manner:
        case Slice(size=size):
            if size is not None and (size <= 0 or size % lot):
                found.append(f"A piece is a multiple of the lot, {lot}, not {size}.")
        case Iceberg(pieces=pieces):
            found += _iceberg_faults(request, pieces, lot, most)
        case Twap():
            found += _twap_faults(request, manner, lot, most)
        case Chase():
            found += _chase_faults(request, manner, most)
    if not isinstance(manner, Slice) and request.trigger_price is not None:
        found.append("An order that waits for its trigger is sent as one, or in pieces at once.")
    return [Violation(check="manner", message=message) for message in found]


def _iceberg_faults(request: OrderRequest, pieces: int, lot: int, most: int) -> list[str]:
    if pieces < PIECES_MIN:
        return [f"An iceberg has at least {PIECES_MIN} pieces, not {pieces}."]
    if pieces > request.quantity // lot:
        return [f"{request.quantity // lot} lots cannot be cut into {pieces} pieces."]
    if 0 < most < iceberg_size(request.quantity, lot, pieces):
        return [f"A piece would be above the largest order, {grouped(most)}; cut it into more than {pieces}."]
    return []


def _twap_faults(request: OrderRequest, manner: Twap, lot: int, most: int) -> list[str]:
    if not 0 < manner.duration_s <= DURATION_MAX_S:
        return [f"A time is above 0 and at most {duration_words(DURATION_MAX_S)}."]
    if manner.pieces is not None and manner.pieces < 1:
        return [f"There is at least one piece, not {manner.pieces}."]
    pieces = twap_pieces(manner, request.quantity // lot)
    if 0 < most < -(-request.quantity // lot // pieces) * lot:
        return [f"A piece would be above the largest order, {grouped(most)}; take a longer time or more pieces."]
    return []


def _chase_faults(request: OrderRequest, manner: Chase, most: int) -> list[str]:
    found = []
    if request.order_type is not OrderType.LIMIT or request.validity is not Validity.DAY:
        found.append("An order that follows the touch is a DAY LIMIT order.")
    if manner.ticks < 1 or manner.every_s <= 0:
        found.append("It follows by at least one tick, at most once in a time above 0.")
    if 0 < most < request.quantity:
        found.append(f"One order that follows is at most {grouped(most)} units; make several.")
    return found


def _waiting_faults(command: MakePlan, now: datetime) -> tuple[Violation, ...]:
    found = []
    if not command.sentence.strip():
        found.append("A plan needs a sentence that says what to do.")
    if not 0 < command.window_s <= WINDOW_MAX_S:
        found.append(f"A window is above 0 and at most {WINDOW_MAX_S:g} s.")
    trigger = command.trigger
    if isinstance(trigger, AtTime):
        if trigger.at + timedelta(seconds=command.window_s) < now:
            found.append(f"{_clock(trigger.at)} is over; a plan waits for a time of today that is to come.")
        elif trigger.at - now > timedelta(days=1):
            found.append(f"A plan waits for a time of today; {DAY_END}.")
    elif any(test.level <= Decimal(0) or not 0 <= test.for_s <= WINDOW_MAX_S for test in trigger.tests):
        found.append(f"A level is above 0, and it holds for at most {WINDOW_MAX_S:g} s.")
    if command.floors.spread_percent_max is not None and command.floors.spread_percent_max <= 0:
        found.append("A spread is above 0 percent.")
    return tuple(Violation(check="plan", message=message) for message in found)
