"""What an order must fulfil before it is journalled: pure functions of a request and a context.

All violations come at once, each with its number and its limit. Previews and the real thing use the same functions.
An order that only reduces risk is never refused for the mode, its value or an old quote.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from engine.core.commands import OrderChange, Violation
from engine.core.orders import OrderRecord, OrderRequest
from engine.core.vocabulary import Variety
from engine.execution import checks_account, checks_market, checks_order
from engine.execution.check_words import BROKER_CHOOSES_BAND, PRICED, PROTECTED, TRIGGERED
from engine.execution.facts import CheckContext
from engine.execution.words import grouped

__all__ = [
    "BROKER_CHOOSES_BAND",
    "CHECKS_VERSION",
    "PRICED",
    "PROTECTED",
    "TRIGGERED",
    "changed_request",
    "check_change",
    "check_order",
    "notes_on",
]

CHECKS_VERSION = "2"
"""Kept with every order: change it whenever a check comes, goes, or judges otherwise."""

Check = Callable[[OrderRequest, CheckContext], Violation | None]
Note = Callable[[OrderRequest, CheckContext], str]


def check_order(request: OrderRequest, context: CheckContext) -> tuple[Violation, ...]:
    """Everything that forbids this order now; empty when nothing does."""
    found = [check(request, context) for check in _CHECKS]
    if context.limits.duplicate_refuses:
        found.append(checks_account.duplicate(request, context))
    return tuple(violation for violation in found if violation is not None)


def notes_on(request: OrderRequest, context: CheckContext) -> tuple[str, ...]:
    """What a person should know before sending, though nothing forbids it."""
    notes = []
    if not context.limits.duplicate_refuses:
        duplicate = checks_account.duplicate(request, context)
        if duplicate is not None:
            notes.append(duplicate.message)
    return (*notes, *(words for note in _NOTES if (words := note(request, context))))


def check_change(record: OrderRecord, change: OrderChange, context: CheckContext) -> tuple[Violation, ...]:
    """Everything that forbids this modification of a resting order now.

    ``context.working`` leaves the order itself out. An order that only gets smaller is judged by its quantity alone.
    """
    violations = []
    if change == OrderChange():
        violations.append(
            Violation(check="change", message="Nothing to change: give a quantity, a price or a trigger.")
        )
    if record.request.variety is Variety.ICEBERG and change.quantity is not None:
        violations.append(
            Violation(check="quantity", message="An iceberg keeps its quantity: cancel it and place a new one.")
        )
    if record.modifications >= context.limits.modifications_max:
        violations.append(
            Violation(
                check="modifications",
                message=f"o{record.number} was modified {record.modifications} times, the broker allows "
                f"{context.limits.modifications_max}: cancel it and place a new one.",
            )
        )
    if change.quantity is not None and change.quantity <= record.filled_quantity:
        violations.append(
            Violation(
                check="quantity",
                message=f"{grouped(record.filled_quantity)} units are filled already; the new total must be more. "
                "To stop here, cancel the rest.",
            )
        )
    modified = changed_request(record.request, change)
    shrinks_only = change == OrderChange(quantity=change.quantity) and modified.quantity <= record.request.quantity
    checks = (checks_order.quantity, checks_order.lot) if shrinks_only else _CHANGE_CHECKS
    remaining = msgspec.structs.replace(modified, quantity=max(0, modified.quantity - record.filled_quantity))
    for check in checks:
        # The part that is filled is in the position already: risk and value are judged on the rest.
        subject = remaining if check in _JUDGED_ON_REST else modified
        violation = check(subject, context)
        if violation is not None:
            violations.append(violation)
    return tuple(violations)


def changed_request(request: OrderRequest, change: OrderChange) -> OrderRequest:
    """The order as it will stand when the change is accepted."""
    order_type = change.order_type or request.order_type
    validity = change.validity or request.validity
    price = request.price if change.price is None else change.price
    trigger = request.trigger_price if change.trigger_price is None else change.trigger_price
    # Another way of pricing takes what does not belong to it away.
    return msgspec.structs.replace(
        request,
        quantity=request.quantity if change.quantity is None else change.quantity,
        order_type=order_type,
        price=price if change.order_type is None or order_type in PRICED else change.price,
        trigger_price=(
            trigger if change.order_type is None or order_type in TRIGGERED or request.variety is Variety.CO else None
        ),
        validity=validity,
        validity_ttl=(
            (request.validity_ttl if change.validity is None else None)
            if change.validity_ttl is None
            else change.validity_ttl
        ),
        disclosed_quantity=(
            request.disclosed_quantity if change.disclosed_quantity is None else change.disclosed_quantity
        ),
        market_protection=(request.market_protection if change.market_protection is None else change.market_protection),
    )


_CHECKS: tuple[Check, ...] = (
    checks_order.instrument,
    checks_order.session,
    checks_order.variety,
    checks_order.validity,
    checks_order.disclosed,
    checks_order.product,
    checks_order.quantity,
    checks_order.lot,
    checks_order.freeze,
    checks_order.order_type,
    checks_order.price,
    checks_order.tick,
    checks_order.trigger,
    checks_order.protection,
    checks_market.price_range,
    checks_market.distance,
    checks_market.quote,
    checks_market.spread,
    checks_market.impact,
    checks_account.mode,
    checks_account.ban,
    checks_account.value,
    checks_account.lots,
    checks_account.open_orders,
    checks_account.position,
    checks_account.margin,
)
_ONLY_NEW = frozenset({checks_account.open_orders, checks_account.margin})
"""A change makes no further order, and its margin is blocked already."""
_CHANGE_CHECKS: tuple[Check, ...] = tuple(check for check in _CHECKS if check not in _ONLY_NEW)
_JUDGED_ON_REST = frozenset(
    {
        checks_market.price_range,
        checks_market.quote,
        checks_market.spread,
        checks_market.impact,
        checks_account.mode,
        checks_account.ban,
        checks_account.value,
        checks_account.lots,
        checks_account.position,
    }
)
_NOTES: tuple[Note, ...] = (
    checks_market.range_note,
    checks_market.resting_note,
    checks_market.impact_note,
    checks_account.ban_note,
    checks_account.margin_note,
)
