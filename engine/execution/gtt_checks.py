"""What a trigger must fulfil before it is journalled: pure, all violations at once, with their numbers and limits."""

from __future__ import annotations

from decimal import Decimal

from engine.core.commands import Violation
from engine.core.orders import OrderRequest
from engine.core.standing_triggers import GttKind, GttRequest
from engine.core.vocabulary import InstrumentKind, OrderType, Product
from engine.execution import checks_order
from engine.execution.facts import CheckContext
from engine.execution.settings import InstructionLimits

ORDERS = {GttKind.SINGLE: 1, GttKind.OCO: 2}
FORM = (
    checks_order.instrument,
    checks_order.quantity,
    checks_order.lot,
    checks_order.freeze,
    checks_order.price,
    checks_order.tick,
)


def orders_of(request: GttRequest) -> tuple[OrderRequest, ...]:
    """The limits it would send."""
    return tuple(
        OrderRequest(
            instrument=request.instrument,
            side=order.side,
            quantity=order.quantity,
            order_type=OrderType.LIMIT,
            product=order.product,
            price=order.price,
        )
        for order in request.orders
    )


def check_gtt(
    request: GttRequest, context: CheckContext, limits: InstructionLimits, *, last: Decimal | None
) -> tuple[Violation, ...]:
    """Everything that forbids this trigger now; ``last`` is the price from which its sides are told."""
    found: list[Violation] = []
    wanted = ORDERS[request.kind]
    if len(request.orders) != wanted:
        message = f"A {request.kind} trigger has {wanted} orders, this one {len(request.orders)}."
        found.append(Violation(check="kind", message=message))
    for order in orders_of(request):
        found += [violation for check in FORM if (violation := check(order, context)) is not None]
    instrument = context.instrument
    if instrument is not None and instrument.kind is not InstrumentKind.EQUITY:
        found += [
            Violation(check="product", message=f"{order.product} cannot stand as a trigger; NRML can.")
            for order in request.orders
            if order.product is not Product.NRML
        ]
    if last is None:
        message = f"The last price of {request.instrument} is not known; a trigger is told from it."
        found.append(Violation(check="quote", message=message))
    else:
        found += _levels(request, context, limits, last)
    # The same order stands in both places of an OCO: say it once.
    return tuple(dict.fromkeys(found))


def _levels(request: GttRequest, context: CheckContext, limits: InstructionLimits, last: Decimal) -> list[Violation]:
    found = []
    values = [order.trigger_price for order in request.orders]
    tick = context.instrument.tick_size if context.instrument is not None else None
    for value in values:
        if value <= 0:
            found.append(Violation(check="trigger", message=f"A trigger is above 0, not {value}."))
        elif tick is not None and value % tick:
            found.append(Violation(check="tick", message=f"The trigger tick is {tick}: {value} is off it."))
        away = abs(value - last) * 100 / last
        if away < limits.trigger_distance_percent:
            found.append(
                Violation(
                    check="trigger",
                    message=f"The trigger {value} is {away:.2f} percent from the last price, {last}; at least "
                    f"{limits.trigger_distance_percent} percent is needed.",
                )
            )
    if request.kind is GttKind.OCO and len(values) == ORDERS[GttKind.OCO] and not values[0] < last < values[1]:
        found.append(
            Violation(
                check="trigger",
                message=f"Of two triggers the first lies below the last price, {last}, and the second above; these are "
                f"{values[0]} and {values[1]}.",
            )
        )
    return found
