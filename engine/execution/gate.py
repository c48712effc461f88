"""The gate every order passes: one gathering of figures for previews and for the real thing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from engine.core.commands import ModifyOrder, OrderChange, Violation
from engine.core.decisions import PERSON, OrderDecision, QuoteSeen, Reason
from engine.core.identifiers import InstrumentKey, OrderNumber
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.ports import Clock
from engine.core.quotes import Quote
from engine.execution import checks_account
from engine.execution.answers import NO_SESSION
from engine.execution.breaker import CircuitBreaker
from engine.execution.budgets import OrderBudget
from engine.execution.check_words import TRIGGERED
from engine.execution.checks import CHECKS_VERSION, changed_request, check_change, check_order, notes_on
from engine.execution.coming import ComingOrders
from engine.execution.facts import ENGINE_SEAT, CheckContext, HeldPosition, MarketFacts, SessionState
from engine.execution.journal_writer import JournalWriter
from engine.execution.lanes import Lane
from engine.execution.locks import is_exit, is_resting_entry
from engine.execution.locks_book import LockBook
from engine.execution.notices import Health
from engine.execution.risk import adds_risk, basket_adds_risk
from engine.execution.settings import CheckLimits
from engine.execution.standings import Standings
from engine.execution.words import grouped

RECENT_MAX = 64
"""Own orders the duplicate check looks back at."""
RESTING = frozenset({OrderState.ACCEPTED, OrderState.OPEN, OrderState.TRIGGER_PENDING})
_UNKNOWN_SESSION = SessionState(is_open=False, words="unknown")


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one order, and what it was judged on."""

    violations: tuple[Violation, ...]
    notes: tuple[str, ...]
    adds_risk: bool
    quote: Quote | None
    is_entry: bool = True
    """Locks keep it from going."""
    epoch: int = 0
    """That of the kill switch when it was judged."""
    positions: tuple[HeldPosition, ...] | None = None
    """What was held then; ``None`` while it was not known."""


class OrderGate:
    """Judges orders and changes.

    Args:
        facts: Market, positions and mode.
        standings: Working orders.
        limits: Limits of the checks.
        writer: Whether anything can be journalled.
        health: Whether the session is over.
        clock: Market time.
        is_reconciled: Whether the broker's book has been read since the start.
        is_closed: Whether nothing more is taken.
        unbooked: Fills that the positions do not contain yet: an order and its signed units.
        budget: Whether the day has orders left for entries.
        breaker: Whether the broker's order endpoints can be reached.
        allocated: Signed units that an order's strategy holds of its contract and product; ``None`` while not known.
        locks: What keeps new risk out; ``None``: nothing does.
        coming: Orders that are being written; they count like those that work.
    """

    def __init__(
        self,
        *,
        facts: MarketFacts,
        standings: Standings,
        limits: CheckLimits,
        writer: JournalWriter,
        health: Health,
        clock: Clock,
        is_reconciled: Callable[[], bool],
        is_closed: Callable[[], bool],
        unbooked: Callable[[], tuple[tuple[OrderRecord, int], ...]],
        budget: OrderBudget,
        breaker: CircuitBreaker,
        allocated: Callable[[OrderRequest], int | None] = lambda _: None,
        locks: LockBook | None = None,
        coming: ComingOrders,
    ) -> None:
        self._facts = facts
        self._coming = coming
        self._allocated = allocated
        self._standings = standings
        self._limits = limits
        self._writer = writer
        self._health = health
        self._clock = clock
        self._is_reconciled = is_reconciled
        self._is_closed = is_closed
        self._unbooked = unbooked
        self._budget = budget
        self._breaker = breaker
        self._locks = locks
        self._recent: deque[OrderNumber] = deque(maxlen=RECENT_MAX)

    def remember(self, number: OrderNumber) -> None:
        """An order was made: the duplicate check looks at it."""
        self._recent.append(number)

    def judge(
        self, request: OrderRequest, *, seat: str = "", by: str = PERSON, without: OrderNumber | None = None
    ) -> Judgement:
        """What forbids an order now, what is worth knowing about it, whether it adds risk, and on which quote.

        Args:
            request: The order.
            seat: Whose mode counts.
            by: What decided it. What a plan or housekeeping does was confirmed when it was set up: no seat's mode keeps
                it back, the locks, a hold and the kill switch do.
            without: The working order that it is to stand in for, which is left out.
        """
        epoch, is_on = (0, False) if self._locks is None else self._locks.look()
        context = self.context(request, without=without, seat=seat if by == PERSON else ENGINE_SEAT)
        risky = adds_risk(request, context)
        context = msgspec.structs.replace(context, adds_risk=risky)
        is_entry = risky and not is_exit(request, context)
        return Judgement(
            violations=(
                *self.holds(risky=risky),
                *(self._locked(is_entry=is_entry) if is_on else ()),
                *_halted(context, is_entry=is_entry),
                *check_order(request, context),
            ),
            notes=(*notes_on(request, context), *_waits(context)),
            adds_risk=risky,
            quote=context.quote,
            is_entry=is_entry,
            epoch=epoch,
            positions=context.positions,
        )

    def judge_standing(self, request: OrderRequest, *, seat: str = "") -> Judgement:
        """What keeps an order from being left at the broker for later, whatever it says; its form is not judged."""
        context = self.context(request, seat=seat)
        risky = adds_risk(request, context)
        is_entry = risky and not is_exit(request, context)
        armed = checks_account.mode(request, msgspec.structs.replace(context, adds_risk=risky))
        return Judgement(
            violations=(
                *self.holds(risky=risky),
                *self._locked(is_entry=is_entry),
                *(() if armed is None else (armed,)),
            ),
            notes=(),
            adds_risk=risky,
            quote=context.quote,
            is_entry=is_entry,
        )

    def basket_adds_risk(self, requests: Sequence[OrderRequest]) -> bool:
        """Whether orders that are filled one after the other add risk at any step."""
        return basket_adds_risk(requests, [self.context(request) for request in requests])

    def is_resting_entry(self, record: OrderRecord) -> bool:
        """Whether a hold cancels this order, by what is held now."""
        left = msgspec.structs.replace(record.request, quantity=max(1, record.remaining_quantity))
        return is_resting_entry(left, self.context(left, without=record.number))

    def _locked(self, *, is_entry: bool) -> tuple[Violation, ...]:
        """What the locks keep from going."""
        if self._locks is None or not self._locks.blocks_risk:
            return ()
        refusals = self._locks.placement_refusals()
        return (*refusals, *(self._locks.entry_refusals() if is_entry else ()))

    def decided(
        self,
        request: OrderRequest,
        reason: Reason,
        *,
        seat: str,
        lane: str,
        judgement: Judgement | None = None,
        without: OrderNumber | None = None,
    ) -> OrderDecision:
        """What is kept of the decision to place, change or cancel an order; ``without`` as in ``judge``."""
        quote = judgement.quote if judgement is not None else self._quote(request)
        seen = () if quote is None else (quote_seen(request.instrument, quote),)
        return OrderDecision(
            by=reason.by,
            version=reason.version,
            words=reason.words,
            quotes=(*reason.quotes, *seen),
            seat=seat,
            lane=lane,
            adds_risk=None if judgement is None else judgement.adds_risk,
            held_before=self._held(
                request, self.positions() if judgement is None else judgement.positions, without=without
            ),
            checks="" if judgement is None else CHECKS_VERSION,
            notes=() if judgement is None else judgement.notes,
        )

    def held(self, request: OrderRequest, *, without: OrderNumber | None = None) -> int | None:
        """Signed units of an order's contract and product that its strategy and the account both hold now, as far as no
        other working order of its side and kind is to take them away.

        ``None`` while either is not known; 0 when one of them holds nothing, or the two lie on different sides. A stop
        and a target stand for each other, so one does not count against the other; a second target does: it would open.
        """
        return self._held(request, self.positions(), without=without)

    def _held(
        self, request: OrderRequest, positions: tuple[HeldPosition, ...] | None, *, without: OrderNumber | None = None
    ) -> int | None:
        allocated = self._allocated(request)
        if positions is None or allocated is None:
            return None
        net = sum(
            position.signed_quantity
            for position in positions
            if position.instrument.key == request.instrument and position.product is request.product
        )
        if net * allocated <= 0:
            return 0
        units = min(net, allocated, key=abs)
        spoken_for = sum(
            order.remaining_quantity
            for order in (*self._standings.working(), *self._coming.records())
            if order.number != without and _is_alike(order.request, request)
        )
        return max(0, abs(units) - spoken_for) * (1 if units > 0 else -1)

    def _quote(self, request: OrderRequest) -> Quote | None:
        instrument = self._facts.instrument(request.instrument)
        return None if instrument is None else self._facts.quote(instrument)

    def check_modification(self, command: ModifyOrder, *, seat: str = "", by: str = PERSON) -> tuple[Violation, ...]:
        """What forbids a modification now; ``seat`` and ``by`` as in ``judge``."""
        standing = self._standings.by_number(command.number)
        if standing is None:
            return (Violation(check="order", message=f"There is no o{command.number}."),)
        record = standing.record
        if record.state not in RESTING:
            message = f"o{record.number} is {record.state}; only a resting order can be modified."
            return (Violation(check="state", message=message),)
        own = seat if by == PERSON else ENGINE_SEAT
        context = self.context(record.request, without=record.number, seat=own)
        shrinks = command.change.price is None and command.change.trigger_price is None
        shrinks = shrinks and (command.change.quantity or record.request.quantity) <= record.request.quantity
        after = changed_request(record.request, command.change)
        left = msgspec.structs.replace(after, quantity=max(1, after.quantity - record.filled_quantity))
        is_entry = not shrinks and is_resting_entry(left, context)
        return (*self._locked(is_entry=is_entry), *check_change(record, command.change, context))

    def adds_risk(self, record: OrderRecord, change: OrderChange) -> bool:
        """Whether a resting order could raise the worst case when it stands as ``change`` says."""
        quantity = record.request.quantity if change.quantity is None else change.quantity
        after = msgspec.structs.replace(record.request, quantity=max(1, quantity - record.filled_quantity))
        return adds_risk(after, self.context(after, without=record.number))

    def context(self, request: OrderRequest, *, without: OrderNumber | None = None, seat: str = "") -> CheckContext:
        """The figures an order of a seat is judged by now; ``without`` leaves one working order out."""
        instrument = self._facts.instrument(request.instrument)
        quote = None if instrument is None else self._facts.quote(instrument)
        working = (*self._standings.worst(without=without), *self._coming.records())
        own = request.instrument
        # Most of them are of the very contract: comparing costs less than gathering, and many may work.
        others = {key for order in working if (key := order.request.instrument) is not own and key != own}
        rows = [(key, self._facts.instrument(key)) for key in others]
        now = self._clock.market_now()
        return CheckContext(
            instrument=instrument,
            quote=quote,
            freeze_quantity=None if instrument is None else self._facts.freeze_quantity(instrument),
            positions=self.positions(),
            working=working,
            recent=self._made_lately(now),
            working_instruments={key: row for key, row in rows if row is not None},
            price_range=None if instrument is None else self._facts.price_range(instrument, quote),
            is_banned=False if instrument is None else self._facts.is_banned(instrument),
            funds=self._facts.funds(),
            margin=None if instrument is None else self._facts.margin(request),
            session=_UNKNOWN_SESSION if instrument is None else self._facts.session(instrument),
            mode=self._facts.mode(seat),
            limits=self._limits,
            now=now,
        )

    def _made_lately(self, now: datetime) -> tuple[OrderRecord, ...]:
        """Orders made within the duplicate window, or somewhat before: nobody looks at older ones."""
        oldest = now - timedelta(seconds=self._limits.duplicate_window_s)
        while self._recent:
            first = self._standings.by_number(self._recent[0])
            if first is not None and first.record.created_at >= oldest:
                break
            self._recent.popleft()
        made = (self._standings.by_number(number) for number in self._recent)
        return (*(standing.record for standing in made if standing is not None), *self._coming.alone())

    def holds(self, *, risky: bool) -> tuple[Violation, ...]:
        """What keeps any order, or any entry, from being taken, whatever it says."""
        if self._writer.lost:
            return (Violation(check="writer", message="Another engine is the writer of this account; act there."),)
        if self._is_closed():
            return (Violation(check="engine", message="The engine is stopping; nothing more is taken."),)
        if not risky:
            return ()
        holds = []
        if not self._is_reconciled():
            holds.append(
                Violation(check="book", message="The broker's book has not been read yet; entries wait until it has.")
            )
        if self._writer.is_behind:
            holds.append(
                Violation(check="journal", message="The order journal cannot be written; entries wait until it can.")
            )
        if self._health.has(NO_SESSION):
            holds.append(Violation(check="login", message="The broker's session is over; log in again."))
        unreachable = self._breaker.refuses()
        if unreachable:
            holds.append(Violation(check="breaker", message=unreachable))
        if self._budget.is_day_over(Lane.ENTRY):
            gauge = self._budget.gauge()
            holds.append(
                Violation(
                    check="budget",
                    message=f"{grouped(gauge.day_used)} of the day's {grouped(gauge.day_limit)} orders are used; the "
                    f"last {grouped(gauge.day_limit - gauge.day_entries)} are kept for exits until midnight.",
                )
            )
        return tuple(holds)

    def awaits_fills(self, contract: InstrumentKey) -> bool:
        """Whether fills of a contract are known that the ledger's figures do not contain yet."""
        return any(record.request.instrument == contract for record, _ in self._unbooked())

    def positions(self) -> tuple[HeldPosition, ...] | None:
        """Positions with every fill known to anyone: the same exit must not seem possible twice."""
        positions = self._facts.positions()
        if positions is None:
            return None
        held = list(positions)
        for record, signed_quantity in self._unbooked():
            instrument = self._facts.instrument(record.request.instrument)
            if instrument is None:
                return None
            held.append(
                HeldPosition(instrument=instrument, product=record.request.product, signed_quantity=signed_quantity)
            )
        return tuple(held)


def _is_alike(one: OrderRequest, other: OrderRequest) -> bool:
    """Whether two orders take the same units of the same position in the same manner."""
    return (one.instrument, one.product, one.side, one.order_type in TRIGGERED) == (
        other.instrument,
        other.product,
        other.side,
        other.order_type in TRIGGERED,
    )


def _halted(context: CheckContext, *, is_entry: bool) -> tuple[Violation, ...]:
    """An entry waits while the market may be halted."""
    if not context.session.halt or not is_entry:
        return ()
    return (Violation(check="halt", message=f"{context.session.halt}; entries wait until it moves."),)


def _waits(context: CheckContext) -> tuple[str, ...]:
    """What an exit is told then: it is sent, and may have to wait at the exchange."""
    halt = context.session.halt
    return (f"{halt}; what only takes away is sent, and trades when the market moves.",) if halt else ()


def quote_seen(instrument: InstrumentKey, quote: Quote) -> QuoteSeen:
    """What is kept of a quote that something was decided on."""
    return QuoteSeen(
        instrument=instrument,
        state=quote.state,
        bid=quote.bids[0].price if quote.bids else None,
        ask=quote.asks[0].price if quote.asks else None,
        last=quote.last,
        age_s=quote.age_s,
    )
