"""What is common to the ways of working one large order: how much is asked, used and left, and what needs a person.

An order counts as using its whole quantity as long as it may still trade: while it is on its way, while its outcome is
not known, and for ever when it was never found. So the sum of what is sent can never exceed what was asked, whatever
becomes of the pieces.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.decisions import LetterState, QuoteSeen
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.plans import OrderPlan, PlanProgress, PlanRecord, PlanState, PlanStep
from engine.core.vocabulary import Validity
from engine.execution.gate import quote_seen
from engine.execution.intake import TOO_LATE
from engine.execution.plans.algorithm import Advance, Move, PlanPicture, Withdraw
from engine.execution.sender import STOPPED
from engine.execution.words import grouped

ASKED, TRIES, RETRY_AT = "asked", "tries", "retry_at"
"""Facts: order numbers that a person has been asked about and has answered with resume; refusals in a row; when the
next attempt is due."""
RESUME = "resume"
TRIES_MAX = 4
"""Refusals in a row of what is to be sent next, before a person is asked."""
RETRY_S = 2.0
"""Pause before the first repetition of what was refused; each further one takes so much longer."""
HANDED_OVER = frozenset({LetterState.OPEN, LetterState.REPLAYED})
"""Unsent orders whose quantity may still be sent by somebody else."""
CLOSED_BY_US = (STOPPED, TOO_LATE)
"""Why an order was closed unsent without anybody having wished it: the plan may send that quantity again."""


def used_quantity(order: OrderRecord) -> int:
    """Units of an order that the plan must not send again: filled, or perhaps filled, or given up by their validity."""
    whole = max(order.request.quantity, order.filled_quantity)
    if order.state.is_working or order.state is OrderState.PRESUMED_ABSENT:
        return whole
    if order.state is OrderState.NOT_SENT and order.letter in HANDED_OVER:
        return whole
    if order.state is OrderState.CANCELLED and order.request.validity is Validity.IOC:
        return whole
    return order.filled_quantity


def needs_a_person(order: OrderRecord) -> bool:
    """Whether it ended in a way that the plan did not want and may not repeat by itself."""
    match order.state:
        case OrderState.REJECTED | OrderState.PRESUMED_ABSENT:
            return True
        case OrderState.CANCELLED:
            return order.filled_quantity < order.request.quantity and order.request.validity is not Validity.IOC
        case OrderState.NOT_SENT:
            return order.letter is LetterState.NONE and not any(words in order.message for words in CLOSED_BY_US)
        case _:
            return False


class PieceWork:
    """One large order and its pieces, as a picture shows them.

    Args:
        picture: Of a plan whose specification is an ``OrderPlan``.
        own_cancels: Orders that the plan itself has cancelled: no question to a person.
    """

    def __init__(self, picture: PlanPicture, own_cancels: Iterable[int] = ()) -> None:
        self.picture = picture
        self.spec = order_plan(picture.plan)
        self.request: OrderRequest = self.spec.request
        self.facts = dict(picture.plan.progress.facts)
        self.instrument: Instrument | None = picture.instrument(self.request.instrument)
        orders = sorted(picture.orders.values(), key=lambda order: order.number)
        self.orders: tuple[OrderRecord, ...] = tuple(orders)
        self.working = tuple(order for order in orders if order.state.is_working)
        self.asked = self.request.quantity
        self.filled = sum(order.filled_quantity for order in orders)
        self.left = max(0, self.asked - sum(used_quantity(order) for order in orders))
        """Units that may be sent now without any risk of sending too much."""
        own = set(own_cancels)
        answered = {int(word) for word in self.facts.get(ASKED, "").split()}
        self._questions = [
            order
            for order in orders
            if needs_a_person(order)
            and order.number not in answered
            and not (order.state is OrderState.CANCELLED and order.number in own)
        ]
        if RESUME in picture.turns:
            if self._questions:
                answered |= {order.number for order in self._questions}
                self.facts[ASKED] = " ".join(str(number) for number in sorted(answered))
                self._questions = []
            self.facts.pop(TRIES, None)
            self.facts.pop(RETRY_AT, None)

    @property
    def is_new(self) -> bool:
        """Nothing was sent so far."""
        return not self.orders

    def question(self) -> Advance | None:
        """Pause and ask a person about pieces that ended otherwise than by their fill; ``None`` when none did."""
        if self.instrument is None:
            return self.paused(f"{self.request.instrument} is not in today's instruments; nothing more is sent.")
        if not self._questions:
            return None
        said = "; ".join(f"o{order.number} is {_end(order)}" for order in self._questions)
        again = "Resume sends the rest again" if self.left else "Resume goes on without it"
        return self.paused(f"{said}. {self.so_far()}. {again}, cancel ends the plan.")

    def end(self) -> Advance | None:
        """The end, when nothing is left to send and nothing works any more."""
        if self.left or self.working:
            return None
        if self.filled >= self.asked:
            return self.over(PlanState.DONE, f"{self.so_far()}.")
        if all(order.request.validity is Validity.IOC for order in self.orders):
            return self.over(PlanState.DONE, f"{self.so_far()}; the rest was not taken at once.")
        missing = [order for order in self.orders if used_quantity(order) > order.filled_quantity]
        said = "; ".join(f"o{order.number} is {_end(order)}" for order in missing)
        return self.over(PlanState.FAILED, f"{self.so_far()}; {said}: the plan does not send that again.", alarm=True)

    def refusal(self, keys: Iterable[str]) -> Advance | None:
        """Wait, or ask a person, after what is to be sent now was refused; ``None`` when it is to be tried (again)."""
        refused = [self.picture.refusals[key] for key in keys if key in self.picture.refusals]
        if not refused:
            self.facts.pop(TRIES, None)
            self.facts.pop(RETRY_AT, None)
            return None
        now, due = self.picture.now, self.moment(RETRY_AT)
        tries = int(self.facts.get(TRIES, "0"))
        if due is not None and now < due:
            return self.running(f"Refused: {refused[0]}", look_again=due)
        if tries >= TRIES_MAX:
            return self.paused(f"Refused {tries} times: {refused[0]} {self.so_far()}. Resume tries again.")
        self.facts[TRIES] = str(tries + 1)
        self.facts[RETRY_AT] = (now + timedelta(seconds=RETRY_S * (tries + 1))).isoformat()
        if due is None:
            return self.running(f"Refused: {refused[0]}", look_again=self.moment(RETRY_AT))
        return None

    def running(
        self, note: str, moves: tuple[Move, ...] = (), *, look_again: datetime | None = None, step: int | None = None,
        alarm: str = "",
    ) -> Advance:  # fmt: skip
        """Go on."""
        if look_again is None:
            look_again = self.moment(RETRY_AT)
        return Advance(moves=moves, progress=self.progress(note, step), look_again=look_again, alarm=alarm)

    def paused(self, words: str) -> Advance:
        """Ask a person."""
        return Advance(progress=self.progress(words), state=PlanState.PAUSED, alarm=words)

    def over(self, state: PlanState, words: str, *, alarm: bool = False) -> Advance:
        """End."""
        return Advance(progress=self.progress(words), state=state, alarm=words if alarm else "")

    def progress(self, note: str, step: int | None = None) -> PlanProgress:
        """What is kept, with a note."""
        kept = self.picture.plan.progress.step if step is None else step
        return PlanProgress(step=kept, note=note, facts=self.facts)

    def so_far(self) -> str:
        """``1,800 of 5,400 are filled``."""
        return f"{grouped(self.filled)} of {grouped(self.asked)} are filled"

    def moment(self, fact: str) -> datetime | None:
        """A fact that is a moment."""
        text = self.facts.get(fact)
        return None if text is None else datetime.fromisoformat(text)

    def piece(self, quantity: int, *, price: Decimal | None = None) -> OrderRequest:
        """A part of the order."""
        if price is None:
            return msgspec.structs.replace(self.request, quantity=quantity)
        return msgspec.structs.replace(self.request, quantity=quantity, price=price)

    def quotes(self) -> tuple[QuoteSeen, ...]:
        """The instrument's quote now, for the record."""
        quote = None if self.instrument is None else self.picture.quote(self.instrument)
        return () if quote is None else (quote_seen(self.request.instrument, quote),)

    def piece_max(self) -> int:
        """The most units of one order: whole lots within the freeze quantity; all of them when no rule is known."""
        if self.instrument is None:
            return 0
        freeze = self.picture.freeze_quantity(self.instrument)
        return self.asked if freeze is None else order_quantity_max(freeze, self.instrument.lot_size)

    @property
    def is_open(self) -> bool:
        """Whether its session is open."""
        return self.instrument is not None and self.picture.is_open(self.instrument)


def order_quantity_max(freeze: int, lot_size: int) -> int:
    """The most units of one order: whole lots within the freeze quantity."""
    return freeze // lot_size * lot_size


def order_plan(plan: PlanRecord) -> OrderPlan:
    """The specification of a plan that works one order.

    Raises:
        TypeError: it is another kind of plan.
    """
    if not isinstance(plan.spec, OrderPlan):
        raise TypeError(f"{plan.name} does not work one order: {type(plan.spec).__name__}")
    return plan.spec


def stop_pieces(picture: PlanPicture) -> Advance:
    """Withdraw what works; the end once nothing does."""
    work = PieceWork(picture)
    if not work.working:
        if work.filled >= work.asked:
            return work.over(PlanState.DONE, f"It was filled before it could be cancelled: {work.so_far()}.")
        absent = [f"o{order.number}" for order in work.orders if order.state is OrderState.PRESUMED_ABSENT]
        doubt = f"; {', '.join(absent)} never answered and may still turn up" if absent else ""
        return work.over(PlanState.CANCELLED, f"Cancelled; {work.so_far()}{doubt}.")
    moves = tuple(Withdraw(number=order.number, words="the plan is being cancelled") for order in work.working)
    waits = ", ".join(f"o{order.number}" for order in work.working)
    return work.running(f"Being cancelled: {waits}.", moves)


def watched_instrument(plan: PlanRecord) -> tuple[InstrumentKey, ...]:
    """The instrument of the order."""
    return (order_plan(plan).request.instrument,)


def piece_steps(picture: PlanPicture) -> tuple[PlanStep, ...]:
    """One row for each piece, and one for what has not been sent."""
    work = PieceWork(picture)
    request = work.request
    rows = [
        PlanStep(
            words=f"{request.side} {grouped(order.request.quantity)} {request.instrument.tradingsymbol}",
            state="WORKS" if order.state.is_working else str(order.state),
            filled=order.filled_quantity,
            quantity=order.request.quantity,
            orders=(order.number,),
            average_price=order.average_price,
            decided_price=request.price,
        )
        for order in work.orders
    ]
    if work.left and not picture.plan.state.is_over:
        words = f"{request.side} {grouped(work.left)} {request.instrument.tradingsymbol}"
        rows.append(PlanStep(words=words, state="WAITS", filled=0, quantity=work.left, decided_price=request.price))
    return tuple(rows)


def _end(order: OrderRecord) -> str:
    """How an order ended, with the reason."""
    if order.state is OrderState.PRESUMED_ABSENT:
        return "presumed absent: it may still turn up"
    if order.state is OrderState.NOT_SENT and order.letter is LetterState.REPLAYED:
        return "sent again by a person"
    missing = order.request.quantity - order.filled_quantity
    words = str(order.state).replace("_", " ").casefold()
    part = f" with {grouped(missing)} left" if order.filled_quantity else ""
    because = f" ({order.message.rstrip('.')})" if order.message else ""
    return f"{words}{part}{because}"
