"""Takes commands in: checks them, journals them, and queues them. A refusal is an answer, not an exception.

An order is journalled before its receipt is given. What is judged in one moment is written in one commit, and as
SENDING when nothing keeps it from leaving; the sender alone decides whether it does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from engine.core.commands import CancelOrders, ModifyOrder, PlaceOrder, Receipt, Violation
from engine.core.decisions import EventFacts, OrderDecision, Reason
from engine.core.errors import InvalidInput, InvariantBroken, StorageConflict, StorageError, WriterLost
from engine.core.identifiers import TAG_RANDOM_BYTES, AccountId, IntentId, OrderNumber, order_tag
from engine.core.orders import OrderIntent, OrderRecord, OrderRequest, OrderState, OrderTrigger
from engine.core.ports import Clock
from engine.execution.book_merge import describe_change
from engine.execution.budgets import OrderBudget
from engine.execution.checks import TRIGGERED
from engine.execution.coming import ComingOrders
from engine.execution.forecast import QueueForecast
from engine.execution.gate import Judgement, OrderGate
from engine.execution.intent_batches import NewOrder
from engine.execution.journal_writer import JournalWriter
from engine.execution.lanes import Lane
from engine.execution.plans.keys import is_plan_key
from engine.execution.queue import Errand, OrderQueue, QueuedCommand
from engine.execution.sender import STOPPED, OrderSender
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import CommandInFlight, Standing, Standings
from engine.execution.words import grouped

INTENT_RANDOM_BYTES = 16
TOO_LATE = "the database took it too late"
"""Why an intent is closed that was reported as not written and was found to be."""
MADE_KEY_PREFIX = "made-"
"""Keys the executor makes for callers that give none."""
TAG_ATTEMPTS = 3
UNCERTAIN_MAX = 1000
"""Intents the database may have taken without saying so; what exceeds this is left to the next start."""
TOLD_ETA_S = 1.0
"""A wait shorter than this is not worth a word."""
BEING_SENT = frozenset({OrderState.QUEUED, OrderState.SENDING})


PERSONAL = Reason()
"""A person asked."""


class _Wanted(NamedTuple):
    """What ``OrderIntake.place`` was asked."""

    request: OrderRequest
    key: str | None
    seat: str
    reason: Reason
    lane: Lane | None
    replays: OrderNumber | None
    instead_of: OrderNumber | None


class OrderIntake:
    """The commands of one account.

    Args:
        account: Whose orders.
        gate: Judges them.
        writer: The pen; its journal knows the keys of all times.
        standings: How orders stand.
        coming: Where an order counts while it is written.
        queue: Whether there is room.
        budget: When an order may leave.
        sender: Takes what is journalled.
        settings: Limits.
        clock: Time.
        random_bytes: Source of tags and ids.
        is_closed: Whether nothing more is taken.
    """

    def __init__(
        self,
        *,
        account: AccountId,
        gate: OrderGate,
        writer: JournalWriter,
        standings: Standings,
        coming: ComingOrders,
        queue: OrderQueue,
        budget: OrderBudget,
        sender: OrderSender,
        settings: ExecutionSettings,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        is_closed: Callable[[], bool],
    ) -> None:
        self._account = account
        self._gate = gate
        self._writer = writer
        self._standings = standings
        self._coming = coming
        self._queue = queue
        self._forecast = QueueForecast(queue, budget)
        self._sender = sender
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._is_closed = is_closed
        self._turn = asyncio.Lock()
        self._asked: dict[str, asyncio.Event] = {}
        self._uncertain: deque[str] = deque(maxlen=UNCERTAIN_MAX)

    async def place(
        self,
        command: PlaceOrder,
        *,
        seat: str,
        reason: Reason = PERSONAL,
        lane: Lane | None = None,
        replays: OrderNumber | None = None,
        instead_of: OrderNumber | None = None,
    ) -> Receipt:
        """Journal one order and queue it; the same idempotency key never makes a second order.

        Args:
            command: The order.
            seat: Who asked.
            reason: What decided it, when no person did.
            lane: A priority lower than the order could have, or HEDGE for one that adds risk.
            replays: The dead letter it is sent again for.
            instead_of: The working order it is to stand in for, which is cancelled once this one rests: judged as if
                that one were gone.
        """
        key = command.idempotency_key
        if command.account not in {None, self._account}:
            return refused("account", f"{command.account} is not the account of this executor, {self._account}.")
        if key is not None and not 0 < len(key) <= self._settings.idempotency_key_length_max:
            most = self._settings.idempotency_key_length_max
            return refused("key", f"An idempotency key has 1 to {most} characters, not {len(key)}.")
        wanted = _Wanted(command.request, key, seat, reason, lane, replays, instead_of)
        if key is None:
            return await self._place(wanted)
        while (asked := self._asked.get(key)) is not None:
            await asked.wait()  # what the same key makes is not known before
        answered = self._asked[key] = asyncio.Event()
        try:
            return await self._place(wanted)
        finally:
            del self._asked[key]
            answered.set()

    async def _place(self, wanted: _Wanted) -> Receipt:
        request, key, seat, reason = wanted.request, wanted.key, wanted.seat, wanted.reason
        unread: StorageError | None = None
        try:
            known = None if key is None else await self._known(key)
        except StorageError as error:
            known, unread = None, error
        if known is not None:
            return _repeated(known.record, request)
        if unread is not None and not self._writer.is_away():
            return _unknown_key(unread)
        # Nothing is waited for between the judgement and the place among the coming: the next order is judged with it.
        async with self._turn:
            judgement = self._gate.judge(request, seat=seat, by=reason.by, without=wanted.instead_of)
            violations = judgement.violations
            if violations:
                return Receipt(accepted=False, message=" ".join(v.message for v in violations), violations=violations)
            lane = lane_of(request, adds_risk=judgement.adds_risk, asked=wanted.lane)
            if unread is not None and lane.expires:
                return _unknown_key(unread)  # keys of the last days are in memory, which is enough for an exit
            if not self._queue.has_room(lane, coming=len(self._coming)):
                waiting = len(self._queue) + len(self._coming)
                return refused("queue", f"{waiting} errands wait already, the most there may be; try later.")
            decision = self._gate.decided(
                request, reason, seat=seat, lane=lane.name, judgement=judgement, without=wanted.instead_of
            )
            decision = msgspec.structs.replace(decision, replays=wanted.replays)
            order = self._new_order(request, key, lane, decision)
        return await self._journal_and_queue(order, key, lane, judgement)

    def _new_order(self, request: OrderRequest, key: str | None, lane: Lane, decision: OrderDecision) -> NewOrder:
        """The order as it will be written, counted from now on."""
        leaves = self._sender.leaves_at_once(lane, self._coming.leaving(), orders=request.iceberg_legs or 1)
        order = NewOrder(self._intent(request, key, decision), urgent=not lane.expires, leaves=leaves)
        self._coming.add(order.intent, lane, leaves=leaves, is_alone=not is_plan_key(key))
        return order

    async def _journal_and_queue(self, order: NewOrder, key: str | None, lane: Lane, judgement: Judgement) -> Receipt:
        for _ in range(TAG_ATTEMPTS):
            intent = order.intent
            try:
                record = await self._writer.begin(order)
            except StorageConflict:
                if order.may_be_written:
                    self._uncertain.append(intent.idempotency_key)
                try:
                    known = None if key is None else await self._known(key)
                except StorageError as error:
                    return refused(
                        "journal", f"This key is taken and its order cannot be read ({error}); nothing sent."
                    )
                if known is not None:
                    return _repeated(known.record, intent.request)
                # The tag or the made key is taken: draw again.
                decision = intent.decision
                if decision is None:
                    raise InvariantBroken("an order was made without what decided it") from None
                self._coming.remove(intent.intent_id)
                order = self._new_order(intent.request, key, lane, decision)
                continue
            except WriterLost as error:
                return refused("writer", str(error))
            except InvalidInput as error:
                return refused(error.field or "order", str(error))
            except StorageError as error:
                self._uncertain.append(intent.idempotency_key)
                return refused("journal", f"The order could not be journalled ({error}); it was not sent.")
            finally:
                self._coming.remove(intent.intent_id)
            return await self._enqueue(record, intent, key, lane, judgement)
        raise InvariantBroken(f"{TAG_ATTEMPTS} new tags were all taken: the source of randomness repeats itself")

    async def _enqueue(
        self, record: OrderRecord, intent: OrderIntent, key: str | None, lane: Lane, judgement: Judgement
    ) -> Receipt:
        request, seat = record.request, "" if intent.decision is None else intent.decision.seat
        is_new = self._standings.by_number(record.number) is None
        standing = self._standings.insert(record)
        if not is_plan_key(key):  # the pieces of a plan are equal by intention
            self._gate.remember(record.number)
        is_prepared = record.state is OrderState.SENDING
        if is_new:
            self._standings.made(record, intent.wall_at)
        if self._is_closed():
            # Its caller is told at once, so it is no dead letter.
            trigger = OrderTrigger.UNSENT if is_prepared else OrderTrigger.DROP
            await self._standings.settle(standing, trigger, STOPPED, message=f"Not sent: {STOPPED}.")
            return Receipt(accepted=False, message=f"Not sent: {STOPPED}.", orders=(standing.record,))
        queued = QueuedCommand(
            Errand.PLACE,
            record.number,
            lane,
            self._clock.monotonic(),
            seat=seat,
            orders=request.iceberg_legs or 1,
            is_entry=judgement.is_entry,
            epoch=judgement.epoch,
            prepared=is_prepared,
        )
        try:
            if self._sender.put(queued):
                await asyncio.sleep(0)  # its bytes go first; who is told of it, and what is said, comes behind them
        finally:
            self._standings.tell_made(record.number)
        eta_s = 0.0 if is_prepared else self._forecast.eta_s(queued)
        message = f"o{record.number}: {_in_words(request)}{self._eta_words(eta_s, lane)}{self._road_words()}."
        return Receipt(accepted=True, message=message, orders=(record,), eta_s=eta_s)

    def _eta_words(self, eta_s: float, lane: Lane) -> str:
        if eta_s < TOLD_ETA_S:
            return ""
        words = f"; it leaves in about {eta_s:.0f} s"
        if lane.expires and eta_s > self._settings.queue_expiry_s:
            words += f", unless others are cancelled it is then too old ({self._settings.queue_expiry_s:g} s)"
        return words

    def _road_words(self) -> str:
        return "; the journal is away, the spool keeps it" if self._writer.is_away() else ""

    def _intent(self, request: OrderRequest, key: str | None, decision: OrderDecision) -> OrderIntent:
        intent_id = self._random_bytes(INTENT_RANDOM_BYTES).hex()
        return OrderIntent(
            intent_id=IntentId(intent_id),
            account=self._account,
            tag=order_tag(self._random_bytes(TAG_RANDOM_BYTES)),
            idempotency_key=f"{MADE_KEY_PREFIX}{intent_id}" if key is None else key,
            request=request,
            created_at=self._clock.market_now(),
            wall_at=self._clock.wall_now(),
            decision=decision,
        )

    async def _known(self, key: str) -> Standing | None:
        """The order a key made. One that only the journal knows, as waiting or about to leave, is closed: nobody
        sends it.
        """
        standing = self._standings.by_key(key)
        if standing is not None:
            return standing
        record = await self._writer.by_key(key)
        if record is None:
            return None
        standing = self._standings.insert(record)
        # What this engine has sent or been left by an earlier one, it has in memory.
        trigger = {OrderState.QUEUED: OrderTrigger.DROP, OrderState.SENDING: OrderTrigger.UNSENT}.get(record.state)
        if trigger is not None:
            await self._standings.settle(standing, trigger, TOO_LATE, message=f"Not sent: {TOO_LATE}.")
        return standing

    async def modify(
        self, command: ModifyOrder, *, seat: str, reason: Reason = PERSONAL, lane: Lane = Lane.MODIFY
    ) -> Receipt:
        """Journal a change of a resting order and queue it; ``lane`` is that of its purpose, an exit's or a stop's."""
        async with self._turn:
            refusals = self._gate.check_modification(command, seat=seat, by=reason.by)
            violations = (*self._gate.holds(risky=False), *refusals)
            standing = self._standings.by_number(command.number)
            if standing is None or violations:
                return Receipt(accepted=False, message=" ".join(v.message for v in violations), violations=violations)
            if not self._queue.has_room(lane):
                return refused("queue", f"{len(self._queue)} errands wait already, the most there may be; try later.")
            words = describe_change(command.change)
            decision = self._gate.decided(
                standing.record.request, reason, seat=seat, lane=lane.name, without=command.number
            )
            urgent = not lane.expires or not self._gate.adds_risk(standing.record, command.change)
            async with standing.lock:
                facts = EventFacts(decision=decision, asked=command.change.quantity)
                try:
                    taken = await self._standings.commit(
                        standing, OrderTrigger.MODIFY_SENT, words, urgent=urgent, facts=facts
                    )
                except StorageError as error:
                    return refused("journal", f"The change could not be journalled ({error}); it was not sent.")
                if not taken:
                    return refused("state", f"o{command.number} is {standing.record.state} by now.")
                standing.command = CommandInFlight(Errand.MODIFY, command.change)
                now = self._clock.monotonic()
                queued = QueuedCommand(Errand.MODIFY, command.number, lane, now, change=command.change, seat=seat)
                self._sender.put(queued)
            eta_s = self._forecast.eta_s(queued)
            message = f"o{command.number}: {words}{self._eta_words(eta_s, lane)}."
            return Receipt(accepted=True, message=message, orders=(standing.record,), eta_s=eta_s)

    async def cancel(self, command: CancelOrders, *, seat: str, reason: Reason = PERSONAL) -> Receipt:
        """Withdraw what waits, ask for what rests, and note the wish for what is not found yet."""
        holds = self._gate.holds(risky=False)
        if holds:
            return Receipt(accepted=False, message=holds[0].message, violations=holds)
        if command.everything:
            standings = list(self._standings.active())
        else:
            found = {number: self._standings.by_number(number) for number in command.numbers}
            standings = [standing for standing in found.values() if standing is not None]
            unknown = [f"o{number}" for number, standing in found.items() if standing is None]
            if unknown or not found:
                return refused("order", f"There is no {', '.join(unknown) or 'order named'}; nothing was cancelled.")
        # What waits is withdrawn first: none of it may leave while the others are being asked for.
        standings.sort(key=lambda standing: standing.record.state not in BEING_SENT)
        said = [await self.cancel_one(standing, seat=seat, reason=reason) for standing in standings]
        return Receipt(
            accepted=not self._writer.lost,
            message=" ".join(said) or "No order is working.",
            orders=tuple(standing.record for standing in standings),
        )

    async def cancel_one(self, standing: Standing, *, seat: str, reason: Reason = PERSONAL) -> str:
        """Cancel one order in the way its state allows; says what was done."""
        number = standing.record.number
        decision = self._gate.decided(standing.record.request, reason, seat=seat, lane=Lane.CANCEL.name, without=number)
        facts = EventFacts(decision=decision)
        if await self._sender.withdraw(standing, "withdrawn before it was sent"):
            return f"o{number} was withdrawn before it was sent."
        async with standing.lock:
            state = standing.record.state
            if state in BEING_SENT or state in {OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT}:
                standing.cancel_wished = True
                wish = "to be cancelled as soon as the broker's id is known"
                await self._standings.record_said(standing, OrderTrigger.CANCEL_SENT, wish)
                return f"o{number} is {state}: it is cancelled as soon as it is found."
            if state.is_terminal:
                return f"o{number} is {state} already."
            if state is OrderState.CANCELLING:
                return f"o{number} is being cancelled already."
            withdrawn = self._queue.withdraw(number, Errand.MODIFY)
            # A change that has left may still take effect: until the book tells, the order counts at its size.
            overtaken = None if withdrawn is not None or standing.command is None else standing.command.quantity
            try:
                # A cancellation can be asked twice without harm, so it does not wait for the journal.
                await self._standings.commit_or_owe(standing, OrderTrigger.CANCEL_SENT, facts=facts)
            except WriterLost as error:
                return f"o{number} was not cancelled: {error}."
            standing.command = CommandInFlight(Errand.CANCEL, quantity=overtaken)
            standing.cancel_wished = False
            self._sender.put(QueuedCommand(Errand.CANCEL, number, Lane.CANCEL, self._clock.monotonic(), seat=seat))
            return f"o{number} is being cancelled."

    async def close_uncertain(self) -> None:
        """Find intents that were refused because the database did not answer, and close those it took after all."""
        while self._uncertain and not self._writer.lost and not self._writer.may_be_late:
            key = self._uncertain[0]
            if key in self._asked:
                return  # somebody asks for it again, and may have written it without being told so yet
            answered = self._asked[key] = asyncio.Event()
            try:
                await self._known(key)
            except StorageError:
                return
            finally:
                del self._asked[key]
                answered.set()
            if key in self._uncertain:
                self._uncertain.remove(key)


def refused(check: str, message: str) -> Receipt:
    """The receipt of a command that was not taken, for one reason."""
    return Receipt(accepted=False, message=message, violations=(Violation(check=check, message=message),))


def lane_of(request: OrderRequest, *, adds_risk: bool, asked: Lane | None) -> Lane:
    """The priority of an order: what it may have by what it does to the risk, or the lower one that was asked for."""
    if adds_risk:
        return Lane.ENTRY if asked is None else max(Lane.HEDGE, asked)
    best = Lane.STOP if request.order_type in TRIGGERED else Lane.EXIT
    return best if asked is None else max(best, asked)


def _unknown_key(error: StorageError) -> Receipt:
    return refused("journal", f"The journal cannot tell whether this key is known ({error}); nothing sent.")


def _repeated(record: OrderRecord, request: OrderRequest) -> Receipt:
    made = record.request
    if (made.instrument, made.side, made.product) != (request.instrument, request.side, request.product):
        message = f"This key made another order, o{record.number}: {_in_words(made)}. Use a new key for a new order."
        violation = Violation(check="key", message=message)
        return Receipt(accepted=False, message=message, orders=(record,), violations=(violation,), repeated=True)
    message = f"This key made o{record.number} before; nothing new was sent."
    return Receipt(accepted=True, message=message, orders=(record,), repeated=True)


def _in_words(request: OrderRequest) -> str:
    price = request.order_type if request.price is None else f"at {request.price}"
    return f"{request.side} {grouped(request.quantity)} {request.instrument.tradingsymbol} {price}"
