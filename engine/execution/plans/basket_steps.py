"""What a basket says of itself: a row a leg, and one sentence."""

from __future__ import annotations

from engine.core.plans import PlanStep
from engine.execution.plans.algorithm import PlanPicture
from engine.execution.plans.basket_legs import BasketLeg, BasketStanding, slippage
from engine.execution.plans.plan_facts import Facts
from engine.execution.words import grouped, grouped_decimal

FIRST_PRICE, LONGEST_NAKED = "d", "naked_s"
"""Facts: ``d0`` the first price of leg 0; the longest time anything stood uncovered."""


def basket_steps(picture: PlanPicture, basket: BasketStanding, facts: Facts) -> tuple[PlanStep, ...]:
    """The rows."""
    rows = [_leg(picture, basket, leg, facts) for leg in basket.legs]
    for leg in basket.legs:
        if not leg.undo.orders:
            continue
        rows.append(
            PlanStep(
                words=f"back {leg.request.side.opposite} {leg.request.instrument.tradingsymbol}",
                state="WORKS" if leg.undo.working or leg.on else "DONE",
                filled=leg.undo.filled,
                quantity=leg.orders.filled,
                orders=tuple(order.number for order in leg.undo.orders),
                average_price=leg.undo.average,
                decided_price=leg.orders.average,
            )
        )
    return tuple(rows)


def _leg(picture: PlanPicture, basket: BasketStanding, leg: BasketLeg, facts: Facts) -> PlanStep:
    role = "short" if leg.is_sold else "hedge" if any(leg is hedge for hedge in basket.hedges) else "long"
    if leg.is_on:
        state = "DONE"
    elif leg.orders.working:
        state = "WORKS"
    elif leg.undo.orders or picture.plan.state.is_over:
        state = "FAILED"
    else:
        state = "WAITS"
    return PlanStep(
        words=f"{role} {leg.request.side} {grouped(leg.request.quantity)} {leg.request.instrument.tradingsymbol}",
        state=state,
        filled=leg.orders.filled,
        quantity=leg.request.quantity,
        orders=tuple(order.number for order in leg.orders.orders),
        average_price=leg.orders.average,
        decided_price=facts.price(f"{FIRST_PRICE}{leg.index}"),
    )


def so_far(picture: PlanPicture, basket: BasketStanding, facts: Facts) -> str:
    """``On: 650 of …CE, 0 of …PE; slippage -12.50; uncovered at most 0.0 s.``."""
    on = ", ".join(f"{grouped(leg.on)} of {leg.request.instrument.tradingsymbol}" for leg in basket.legs)
    decided = {
        leg.index: price for leg in basket.legs if (price := facts.price(f"{FIRST_PRICE}{leg.index}")) is not None
    }
    rupees = slippage(basket.legs, decided)
    said = "" if rupees is None else f"; slippage {'+' if rupees > 0 else ''}{grouped_decimal(rupees)}"
    longest = facts.text.get(LONGEST_NAKED)
    uncovered = "nothing stood uncovered" if longest is None else f"uncovered for {longest} s at most"
    return f"On: {on}{said}; {uncovered}."
