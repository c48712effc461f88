"""An order that rests where the book's own side is and follows it, never further from its first price than allowed.

The distance to the touch is that of the first price: an order placed two ticks behind stays two ticks behind. Only a
LIVE quote with both sides moves it. When the broker takes no more changes the order is cancelled, and what is left is
placed anew, but only once the cancellation is confirmed: until then it may still fill.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from engine.core.commands import OrderChange
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.money import nearest_ticks
from engine.core.orders import OrderRecord, OrderState
from engine.core.plans import Chase, PlanRecord, PlanState, PlanStep, PlanTurn
from engine.core.quotes import Quote
from engine.core.vocabulary import QuoteState, Side
from engine.execution.plans.algorithm import Advance, Change, Place, PlanPicture, Withdraw
from engine.execution.plans.pieces import PieceWork, piece_steps, stop_pieces, watched_instrument
from engine.execution.words import grouped

FIRST, OFFSET, CHANGED_AT, ASKED_FOR, REPLACED = "first", "offset", "changed_at", "changes", "replaced"
"""Facts: the first price; its distance from the touch; when a price was last asked for; how often of which order; the
orders that the plan itself has cancelled."""
CHANGES_MAX = 25
"""Modifications the broker takes of one order; refused ones are counted by us as well."""
REPLACEMENTS_MAX = 20
"""Orders after the first one, before a person is asked."""
PATIENT_STEPS = 5
"""How many times the usual pause ``patient`` waits."""
KEY = "rest"
RESTING = frozenset({OrderState.ACCEPTED, OrderState.OPEN})


class ChaseAlgorithm:
    """Implements ``Algorithm`` for ``Chase``."""

    def advance(self, picture: PlanPicture) -> Advance:
        """Place it, follow the touch, or take it back to place it anew."""
        replaced = [int(word) for word in picture.plan.progress.facts.get(REPLACED, "").split()]
        work = PieceWork(picture, own_cancels=replaced)
        found = work.question() or work.end()
        if found is not None:
            return found
        manner, instrument = work.spec.manner, work.instrument
        if not isinstance(manner, Chase) or instrument is None or work.request.price is None:
            return work.paused("This is no order that can follow the touch.")
        _steer(work, manner, picture.turns)
        quote = picture.quote(instrument)
        resting = _resting(work)
        if not is_trusted(quote):
            state = QuoteState.UNKNOWN if quote is None else quote.state
            does = f"o{resting.number} rests and is not moved" if resting is not None else "nothing is sent"
            words = f"The quote of {instrument.tradingsymbol} is {state}; {does} until it is LIVE with both sides"
            return work.running(f"{words}.", alarm=f"{words}." if resting is not None else "")
        target = _target(work, manner, instrument, quote, None if resting is None else resting.request.price)
        if work.working:
            return self._follow(work, manner, resting, target, replaced)
        return self._place(work, target)

    def stop(self, picture: PlanPicture) -> Advance:
        """Withdraw what rests."""
        return stop_pieces(picture)

    def watched(self, plan: PlanRecord) -> tuple[InstrumentKey, ...]:
        """The instrument that is followed."""
        return watched_instrument(plan)

    def steps(self, picture: PlanPicture) -> tuple[PlanStep, ...]:
        """One row an order."""
        return piece_steps(picture)

    def _place(self, work: PieceWork, target: Decimal) -> Advance:
        attempt = len([key for key in work.picture.orders if key.startswith(KEY)])
        if attempt > REPLACEMENTS_MAX:
            return work.paused(f"It was placed {attempt} times. {work.so_far()}; cancel ends the plan.")
        key = f"{KEY}{attempt}"
        refused = work.refusal((key,))
        if refused is not None:
            return refused
        quantity = min(work.left, work.piece_max())
        if quantity < work.left and work.is_new:
            most = grouped(quantity)
            return work.over(
                PlanState.FAILED, f"One order takes {most} units at most; an order that follows is not cut.", alarm=True
            )
        work.facts[CHANGED_AT] = work.picture.now.isoformat()
        words = f"rests at {target}, follows the touch" if work.is_new else f"what is left, anew at {target}"
        move = Place(key=key, request=work.piece(quantity, price=target), words=words, quotes=work.quotes())
        return work.running(f"{work.so_far()}; {words}.", (move,))

    def _follow(
        self, work: PieceWork, manner: Chase, order: OrderRecord | None, target: Decimal, replaced: list[int]
    ) -> Advance:
        if order is None or order.request.price is None:
            states = ", ".join(f"o{item.number} is {item.state}" for item in work.working)
            return work.running(f"{work.so_far()}; {states}.")
        price, due = order.request.price, _due(work, manner)
        if target == price:
            return work.running(f"{work.so_far()}; o{order.number} rests at {price}.")
        if work.picture.now < due:
            return work.running(f"{work.so_far()}; o{order.number} rests at {price}.", look_again=due)
        if max(order.modifications, _changes(work, order)) >= CHANGES_MAX:
            work.facts[REPLACED] = " ".join(str(number) for number in dict.fromkeys([*replaced, order.number]))
            words = f"o{order.number} was changed as often as the broker takes; it is cancelled and placed anew"
            return work.running(f"{words}.", (Withdraw(number=order.number, words=words),))
        work.facts[CHANGED_AT] = work.picture.now.isoformat()
        work.facts[ASKED_FOR] = f"{order.number} {_changes(work, order) + 1}"
        words = f"follows the touch from {price} to {target}"
        move = Change(number=order.number, change=OrderChange(price=target), words=words, quotes=work.quotes())
        return work.running(f"{work.so_far()}; o{order.number} {words}.", (move,))


def is_trusted(quote: Quote | None) -> bool:
    """Whether a price may be moved by it: LIVE, with both sides, not crossed."""
    return quote is not None and quote.state is QuoteState.LIVE and quote.mid is not None


def near_touch(side: Side, quote: Quote | None) -> Decimal | None:
    """Where an order of a side would rest: the bid for a buy, the ask for a sell."""
    return None if quote is None else quote.touch(side.opposite)


def _target(
    work: PieceWork, manner: Chase, instrument: Instrument, quote: Quote | None, own: Decimal | None
) -> Decimal:
    """The price it should have now; its own when it is the touch itself: it never follows itself."""
    first = work.request.price
    touch = near_touch(work.request.side, quote)
    if first is None or touch is None:
        raise ValueError("a price to follow needs a first price and a touch")
    if OFFSET not in work.facts:
        work.facts[FIRST], work.facts[OFFSET] = str(first), str(first - touch)
    if own is not None and own == touch:
        return own
    room = manner.ticks * instrument.tick_size
    low, high = nearest_ticks(touch + Decimal(work.facts[OFFSET]), instrument.tick_size)
    wanted = low if work.request.side is Side.BUY else high
    return max(first - room, min(first + room, wanted), instrument.tick_size)


def _resting(work: PieceWork) -> OrderRecord | None:
    """The order that can be changed now; ``None`` while there is none, or anything else may still trade."""
    if len(work.working) != 1 or work.working[0].state not in RESTING:
        return None
    return work.working[0]


def _due(work: PieceWork, manner: Chase) -> datetime:
    changed = work.moment(CHANGED_AT)
    return work.picture.now if changed is None else changed + timedelta(seconds=manner.every_s)


def _changes(work: PieceWork, order: OrderRecord) -> int:
    """Changes asked for of an order."""
    number, _, count = work.facts.get(ASKED_FOR, "0 0").partition(" ")
    return int(count) if int(number) == order.number else 0


def _steer(work: PieceWork, manner: Chase, turns: tuple[str, ...]) -> None:
    for turn in turns:
        if turn == PlanTurn.HURRY:
            work.facts.pop(CHANGED_AT, None)
        elif turn == PlanTurn.PATIENT:
            later = work.picture.now + timedelta(seconds=(PATIENT_STEPS - 1) * manner.every_s)
            work.facts[CHANGED_AT] = later.isoformat()
