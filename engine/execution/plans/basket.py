"""A basket brought on leg by leg so that no sold leg ever stands longer or larger without cover than its plan says.

Bought legs first; a sold leg is sent only up to the quantity whose cover is known to be filled, so whatever fails or is
killed at any moment finds what is on covered. On failure what was chosen before the first leg is done. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.commands import OrderChange
from engine.core.identifiers import InstrumentKey
from engine.core.money import ZERO
from engine.core.orders import OrderRequest
from engine.core.plans import BasketPlan, LegFailure, PlanProgress, PlanRecord, PlanState, PlanStep, PlanTurn
from engine.execution.lanes import Lane
from engine.execution.plans.algorithm import Advance, Change, Move, Place, PlanPicture, Withdraw
from engine.execution.plans.basket_legs import (
    BasketLeg,
    BasketStanding,
    end_words,
    ended_short,
    per_unit,
    slippage,
)
from engine.execution.plans.basket_steps import basket_steps, so_far
from engine.execution.plans.basket_unwind import TAKING_BACK, UnwindSettings, trim, unwind
from engine.execution.plans.bounds import Seconds
from engine.execution.plans.exit_prices import mark_of, trusted
from engine.execution.plans.plan_facts import Facts
from engine.execution.plans.plan_views import NAKED_QUANTITY, NAKED_SINCE
from engine.execution.plans.series import RESTING
from engine.execution.plans.unwind import MODIFICATIONS_MAX, pieces, seen
from engine.execution.words import grouped, grouped_decimal

BEGAN, MODE, WHY, DECIDED, EXCUSED, RESUMED, REFUSED, TRIED, CAP_LIFTED = (
    "began", "mode", "why", "d", "e", "resumed", "r", "a", "cap_lifted",
)  # fmt: skip
"""Facts: when it began; ``unwind`` or ``trim``; for what; ``d0`` first price of leg 0; ``e0`` its orders that a person
has looked at; when somebody resumed; ``r0`` since when it is refused and ``a0`` when it was last tried."""
NAKED_S, LOOKED = "naked_s", "looked"
"""Facts: longest time uncovered so far; the last look that found nothing uncovered."""
MODE_UNWIND, MODE_TRIM = "unwind", "trim"


class BasketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How baskets work; durations in seconds of market time."""

    look_s: Seconds = 0.5
    """The longest time without a look while it works."""
    refused_s: Seconds = 10.0
    """How long a leg may be refused before it counts as failed: after a restart quotes and book come back in seconds.
    Nothing stands uncovered meanwhile, or the limit on that ends it sooner."""
    retry_s: Seconds = 1.0
    """Pause before a refused leg is tried again."""
    remedy_s: Seconds = 1.5
    """What stands uncovered is bought back so long before its time is over (at most half of it): buying takes time."""
    chase_every_s: Seconds = 0.5
    """Least time between two changes of a chased price."""
    unwinding: UnwindSettings = UnwindSettings()


class BasketAlgorithm:
    """Implements ``Algorithm`` for ``BasketPlan``."""

    def __init__(self, settings: BasketSettings) -> None:
        """``settings``: pauses and patience."""
        self._settings = settings

    def advance(self, picture: PlanPicture) -> Advance:
        """What follows now."""
        spec, facts = basket_plan(picture.plan), Facts(picture.plan.progress.facts)
        basket = BasketStanding(picture, spec)
        self._resume(picture, basket, facts)
        facts.begin(BEGAN, picture.now)
        decided = _decide(picture, basket, facts)
        overdue = self._watch_naked(picture, basket, facts)
        if facts.text.get(MODE) == MODE_UNWIND:
            return self._unwind(picture, basket, facts)
        if facts.text.get(MODE) == MODE_TRIM:
            return self._trim(picture, basket, facts)
        if all(leg.is_on for leg in basket.legs):
            words = f"All {len(basket.legs)} legs are filled. {so_far(picture, basket, facts)}"
            return Advance(progress=_progress(picture, facts, words), state=PlanState.DONE)
        failed, chasing = self._failures(picture, basket, facts)
        if overdue:
            naked, longest = grouped(basket.naked), basket.plan.naked_s_max
            failed.insert(0, f"{naked} units stand uncovered and {longest:g} s are all they may")
        if failed:
            return self._fail(picture, basket, facts, "; ".join(failed))
        capped = self._over_cap(picture, basket, facts, decided)
        if capped:
            return Advance(progress=_progress(picture, facts, capped), state=PlanState.PAUSED, alarm=capped)
        moves = [*chasing, *self._sends(picture, basket, facts)]
        note = so_far(picture, basket, facts)
        return Advance(moves=tuple(moves), progress=_progress(picture, facts, note), look_again=self._soon(picture))

    def stop(self, picture: PlanPicture) -> Advance:
        """Withdraw what works; what is on stays."""
        facts = Facts(picture.plan.progress.facts)
        basket = BasketStanding(picture, basket_plan(picture.plan))
        working = [order for leg in basket.legs for order in (*leg.orders.working, *leg.undo.working)]
        if working:
            # Sold legs first: none of them may fill while its cover is being looked after.
            working.sort(key=lambda order: (order.request.side.sign, order.number))
            moves = tuple(Withdraw(number=order.number, words="the basket is being cancelled") for order in working)
            note = f"Being cancelled: {', '.join(f'o{order.number}' for order in working)}."
            return Advance(moves=moves, progress=_progress(picture, facts, note), state=PlanState.CANCELLING)
        words = f"Cancelled. {so_far(picture, basket, facts)}"
        if all(leg.is_on for leg in basket.legs):
            return Advance(progress=_progress(picture, facts, words), state=PlanState.DONE)
        alarm = f"{grouped(basket.naked)} units stand uncovered. {words}" if basket.naked else ""
        return Advance(progress=_progress(picture, facts, words), state=PlanState.CANCELLED, alarm=alarm)

    def watched(self, plan: PlanRecord) -> tuple[InstrumentKey, ...]:
        """Every leg's contract."""
        return tuple(dict.fromkeys(leg.instrument for leg in basket_plan(plan).legs))

    def steps(self, picture: PlanPicture) -> tuple[PlanStep, ...]:
        """One row a leg, and one for each that is taken off again."""
        facts = Facts(picture.plan.progress.facts)
        return basket_steps(picture, BasketStanding(picture, basket_plan(picture.plan)), facts)

    # ---- what a person said

    def _resume(self, picture: PlanPicture, basket: BasketStanding, facts: Facts) -> None:
        if PlanTurn.RESUME not in picture.turns or facts.text.get(MODE) == MODE_UNWIND:
            return
        facts.set_moment(RESUMED, picture.now)
        facts.text[CAP_LIFTED] = "yes"
        facts.drop(MODE, WHY)
        for leg in basket.legs:
            facts.set_count(f"{EXCUSED}{leg.index}", leg.orders.next_index)
            facts.drop(f"{REFUSED}{leg.index}", f"{TRIED}{leg.index}")

    # ---- time without cover

    def _watch_naked(self, picture: PlanPicture, basket: BasketStanding, facts: Facts) -> bool:
        """Keep since when something stands uncovered; whether that has to end now."""
        naked = basket.naked
        facts.set_count(NAKED_QUANTITY, naked)
        if not naked:
            facts.drop(NAKED_SINCE)
            # What fills later, over a restart too, came after this look.
            if basket.exposed or basket.plan.naked_quantity_max:
                facts.set_moment(LOOKED, picture.now)
            return False
        since = facts.moment(NAKED_SINCE)
        if since is None:
            since = facts.moment(LOOKED) or picture.now
            facts.set_moment(NAKED_SINCE, since)
        seconds = (picture.now - since).total_seconds()
        if seconds > float(facts.text.get(NAKED_S, "0")):
            facts.text[NAKED_S] = f"{seconds:.1f}"
        most = basket.plan.naked_s_max
        return seconds >= most - min(self._settings.remedy_s, most / 2)

    # ---- failures

    def _failures(self, picture: PlanPicture, basket: BasketStanding, facts: Facts) -> tuple[list[str], list[Move]]:
        """Legs that cannot be filled, in words; and the changes of those that are chased instead."""
        failed: list[str] = []
        chasing: list[Move] = []
        for leg in basket.legs:
            if leg.is_on:
                continue
            looked_at = facts.count(f"{EXCUSED}{leg.index}")
            ended = [order for order in leg.orders.orders[looked_at:] if ended_short(order)]
            failed += [f"{leg.name}: {end_words(order)}" for order in ended]
            refused = self._refused_too_long(picture, leg, facts)
            if refused:
                failed.append(f"{leg.name} was refused: {refused}")
            for order in leg.orders.working:
                begun = max(filter(None, (order.sent_at, facts.moment(RESUMED))), default=None)
                if order.sent_at is None or begun is None:
                    continue
                rested = (picture.now - begun).total_seconds()
                if rested < basket.plan.fill_timeout_s:
                    continue
                if basket.plan.on_failure is LegFailure.CHASE:
                    change, gives_up = self._chase(picture, basket, leg, order.number)
                    chasing += change
                    if not gives_up:
                        continue
                filled = f"{grouped(order.filled_quantity)} of {grouped(order.request.quantity)} filled"
                failed.append(f"{leg.name}: o{order.number} has rested {rested:.1f} s, {filled}")
        return failed, chasing

    def _refused_too_long(self, picture: PlanPicture, leg: BasketLeg, facts: Facts) -> str:
        words = picture.refusals.get(leg.orders.next_key)
        name = f"{REFUSED}{leg.index}"
        if words is None or not leg.unsent:
            facts.drop(name, f"{TRIED}{leg.index}")
            return ""
        since = facts.begin(name, picture.now)
        return words if (picture.now - since).total_seconds() >= self._settings.refused_s else ""

    def _chase(
        self, picture: PlanPicture, basket: BasketStanding, leg: BasketLeg, number: int
    ) -> tuple[list[Move], bool]:
        """Follow the touch within the plan's ticks; whether there is no further to go."""
        order = next(order for order in leg.orders.working if order.number == number)
        quote = None if leg.instrument is None else trusted(picture.quote(leg.instrument))
        first, own = leg.request.price, order.request.price
        if leg.instrument is None or first is None or own is None:
            return [], True
        side = leg.request.side
        furthest = first + side.sign * basket.plan.chase_ticks * leg.instrument.tick_size
        touch = None if quote is None else quote.touch(side)
        waited = (picture.now - order.updated_at).total_seconds()
        if touch is None or order.state not in RESTING or order.modifications >= MODIFICATIONS_MAX:
            return [], waited >= basket.plan.fill_timeout_s and order.state in RESTING
        price = max(furthest, touch) if side.sign < 0 else min(furthest, touch)
        if (price - own) * side.sign <= 0:
            return [], own == furthest and waited >= basket.plan.fill_timeout_s
        if waited < self._settings.chase_every_s:
            return [], False
        words = f"chases the touch, at most {basket.plan.chase_ticks} ticks from {first}"
        change = OrderChange(price=price)
        return [Change(number=order.number, change=change, words=words, quotes=seen(leg.instrument, quote))], False

    def _fail(self, picture: PlanPicture, basket: BasketStanding, facts: Facts, why: str) -> Advance:
        facts.text[WHY] = why
        if basket.plan.on_failure is LegFailure.UNWIND:
            facts.text[MODE] = MODE_UNWIND
            facts.begin(TAKING_BACK, picture.now)
            return self._unwind(picture, basket, facts)
        facts.text[MODE] = MODE_TRIM
        return self._trim(picture, basket, facts)

    def _unwind(self, picture: PlanPicture, basket: BasketStanding, facts: Facts) -> Advance:
        why = facts.text.get(WHY, "a leg failed")
        moves = unwind(picture, basket, facts, self._settings.unwinding)
        left = [leg for leg in basket.legs if leg.on]
        working = any(leg.orders.working or leg.undo.working for leg in basket.legs)
        if not left and not working:
            words = f"Taken back, because {why}. {so_far(picture, basket, facts)}"
            return Advance(progress=_progress(picture, facts, words), state=PlanState.FAILED, alarm=words)
        rows = [leg.instrument for leg in left]
        if not working and left and not any(row is not None and picture.is_open(row) for row in rows):
            words = f"The market is closed and {_on(left)} are still on. {why}."
            return Advance(progress=_progress(picture, facts, words), state=PlanState.FAILED, alarm=words)
        note = f"Takes back what is on, shorts first: {_on(left) or 'nothing left, orders end'}. {why}."
        return Advance(
            moves=tuple(moves), progress=_progress(picture, facts, note), look_again=self._soon(picture), alarm=note
        )

    def _trim(self, picture: PlanPicture, basket: BasketStanding, facts: Facts) -> Advance:
        """Keep what is covered, take back what is not, then ask."""
        why = facts.text.get(WHY, "a leg failed")
        taking_back = [leg for leg in basket.sold if leg.undo.working]
        if not basket.exposed and not taking_back:
            facts.drop(TAKING_BACK)
            words = f"{why}. {so_far(picture, basket, facts)} Resume goes on, cancel ends it."
            return Advance(progress=_progress(picture, facts, words), state=PlanState.PAUSED, alarm=words)
        facts.begin(TAKING_BACK, picture.now)
        moves = trim(picture, basket, facts, self._settings.unwinding)
        note = f"Takes back what stands uncovered. {why}."
        return Advance(
            moves=tuple(moves), progress=_progress(picture, facts, note), look_again=self._soon(picture), alarm=note
        )

    # ---- going on

    def _sends(self, picture: PlanPicture, basket: BasketStanding, facts: Facts) -> list[Move]:
        moves: list[Move] = []
        promised: dict[int, int] = {}
        legs = [*basket.bought, *basket.sold] if basket.plan.hedge_first else list(basket.legs)
        for leg in legs:
            quantity = basket.sendable(leg, promised) if leg.is_sold else leg.unsent
            if quantity <= 0 or leg.instrument is None or not self._may_try(picture, leg, facts):
                continue
            promised[leg.index] = quantity
            hedges = any(leg is hedge for hedge in basket.hedges)
            moves += _orders(picture, leg, quantity, Lane.HEDGE if hedges else None)
        return moves

    def _may_try(self, picture: PlanPicture, leg: BasketLeg, facts: Facts) -> bool:
        """At once, and after a refusal only now and then."""
        if leg.orders.next_key not in picture.refusals:
            return True
        name = f"{TRIED}{leg.index}"
        tried = facts.moment(name)
        if tried is not None and picture.now < tried + timedelta(seconds=self._settings.retry_s):
            return False
        facts.set_moment(name, picture.now)
        return True

    def _over_cap(self, picture: PlanPicture, basket: BasketStanding, facts: Facts, decided: dict[int, Decimal]) -> str:
        """The question, when going on could cost more than the plan allows."""
        most = basket.plan.slippage_max
        if most is None or facts.has(CAP_LIFTED):
            return ""
        rupees = slippage(basket.legs, decided) or ZERO
        for leg in basket.legs:
            # A limit cannot fill worse than it says; what is sent at market can.
            if leg.request.price is not None or not leg.unsent or leg.instrument is None:
                continue
            quote, first = trusted(picture.quote(leg.instrument)), decided.get(leg.index)
            touch = None if quote is None else quote.touch(leg.request.side)
            if touch is not None and first is not None:
                rupees += min(ZERO, (first - touch) * leg.request.side.sign * leg.unsent)
        paid = per_unit(basket.legs, -rupees)
        if paid <= most:
            return ""
        return (
            f"Going on would cost {grouped_decimal(paid.quantize(Decimal('0.01')))} a unit against the first prices, "
            f"{grouped_decimal(most)} are allowed. {so_far(picture, basket, facts)} Resume goes on, cancel ends it."
        )

    def _soon(self, picture: PlanPicture) -> datetime:
        return picture.now + timedelta(seconds=self._settings.look_s)


def basket_plan(plan: PlanRecord) -> BasketPlan:
    """The specification of a basket.

    Raises:
        ValueError: it is another kind of plan.
    """
    if not isinstance(plan.spec, BasketPlan):
        raise ValueError(f"{plan.name} is no basket: {type(plan.spec).__name__}")  # noqa: TRY004 - the caller chose it
    return plan.spec


def _decide(picture: PlanPicture, basket: BasketStanding, facts: Facts) -> dict[int, Decimal]:
    """The first price of each leg: its limit, or where it has none the touch when it began."""
    found = {}
    for leg in basket.legs:
        name = f"{DECIDED}{leg.index}"
        price = facts.price(name)
        if price is None:
            price = leg.request.price
            if price is None and leg.instrument is not None:
                quote = trusted(picture.quote(leg.instrument))
                price = mark_of(quote) if quote is None else quote.touch(leg.request.side) or mark_of(quote)
            if price is not None:
                facts.set_price(name, price)
        if price is not None:
            found[leg.index] = price
    return found


def _orders(picture: PlanPicture, leg: BasketLeg, quantity: int, lane: Lane | None) -> list[Move]:
    assert leg.instrument is not None  # noqa: S101 - the caller looked
    quote = picture.quote(leg.instrument)
    cut = pieces(quantity, leg.instrument.lot_size, picture.freeze_quantity(leg.instrument))
    words = "its cover is filled" if leg.is_sold else "others wait for it" if lane is Lane.HEDGE else "a leg of its own"
    return [
        Place(
            key=leg.orders.key_after(more),
            request=_piece(leg.request, piece),
            words=words,
            quotes=seen(leg.instrument, quote),
            lane=lane,
        )
        for more, piece in enumerate(cut)
    ]


def _piece(request: OrderRequest, quantity: int) -> OrderRequest:
    return msgspec.structs.replace(request, quantity=quantity)


def _on(legs: list[BasketLeg]) -> str:
    return ", ".join(f"{grouped(leg.on)} of {leg.request.instrument.tradingsymbol}" for leg in legs)


def _progress(picture: PlanPicture, facts: Facts, note: str) -> PlanProgress:
    return PlanProgress(step=picture.plan.progress.step, note=note, facts=facts.text)
