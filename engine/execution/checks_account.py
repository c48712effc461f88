"""What the account asks of an order: mode, caps, money, bans, and that it is not sent twice. Pure.

Caps, mode, money and bans keep entries out; what only reduces is never refused for them.
"""

from __future__ import annotations

from datetime import timedelta

from engine.core.commands import Violation
from engine.core.orders import OrderRequest
from engine.core.vocabulary import Mode
from engine.execution.facts import CheckContext
from engine.execution.risk import is_risky
from engine.execution.words import grouped, grouped_decimal, in_lots, rupees


def mode(request: OrderRequest, context: CheckContext) -> Violation | None:
    """Armed for what adds risk."""
    if context.mode is not Mode.READ or not is_risky(request, context):
        return None
    return Violation(
        check="mode", message="Mode is READ and this adds risk. Arm CONFIRM first; exits and cancels need no arming."
    )


def value(request: OrderRequest, context: CheckContext) -> Violation | None:
    """The worth of one order."""
    cap, quote = context.limits.order_value_max, context.quote
    price = request.price or request.trigger_price
    if price is None and quote is not None:
        price = quote.touch(request.side) or quote.last
    if cap is None or price is None or abs(price * request.quantity) <= cap or not is_risky(request, context):
        return None
    worth = abs(price * request.quantity)
    return Violation(
        check="value",
        message=f"{grouped(request.quantity)} units at {price} is {grouped_decimal(worth)}, "
        f"your cap for one order is {grouped_decimal(cap)}.",
    )


def lots(request: OrderRequest, context: CheckContext) -> Violation | None:
    """The size of one order."""
    cap, instrument = context.limits.order_lots_max, context.instrument
    if cap is None or instrument is None or request.quantity <= cap * instrument.lot_size:
        return None
    if not is_risky(request, context):
        return None
    size = instrument.lot_size
    return Violation(
        check="lots",
        message=f"{grouped(request.quantity)} units is above your cap for one order, {in_lots(cap * size, size)}.",
    )


def open_orders(request: OrderRequest, context: CheckContext) -> Violation | None:
    """How many orders work at one time."""
    cap = context.limits.open_orders_max
    count = len(context.working)
    if cap is None or count < cap or not is_risky(request, context):
        return None
    return Violation(
        check="orders",
        message=f"{grouped(count)} order{' works' if count == 1 else 's work'} already, your cap is {grouped(cap)}. "
        "Cancel some first.",
    )


def position(request: OrderRequest, context: CheckContext) -> Violation | None:
    """How much of one contract is held when everything of this side has filled."""
    cap, instrument = context.limits.position_lots_max, context.instrument
    if cap is None or instrument is None or context.positions is None:
        return None
    held = sum(item.signed_quantity for item in context.positions if item.instrument.key == request.instrument)
    coming = sum(
        order.remaining_quantity
        for order in context.working
        if order.request.instrument == request.instrument and order.request.side is request.side
    )
    after = abs(held + request.side.sign * (coming + request.quantity))
    size = instrument.lot_size
    if after <= cap * size or not is_risky(request, context):
        return None
    return Violation(
        check="position",
        message=f"{grouped(after)} units of {instrument.tradingsymbol} would be held with what works already, your cap "
        f"is {in_lots(cap * size, size)}.",
    )


def ban(request: OrderRequest, context: CheckContext) -> Violation | None:
    """A stock on the day's ban list is only reduced."""
    if not context.is_banned or context.instrument is None or not is_risky(request, context):
        return None
    return Violation(
        check="ban",
        message=f"{context.instrument.name} is on today's ban list: positions in it may only be reduced.",
    )


def ban_note(request: OrderRequest, context: CheckContext) -> str:
    """Without a list nothing is known of bans."""
    if context.is_banned is not None or context.instrument is None or not is_risky(request, context):
        return ""
    return f"No ban list of today is loaded: whether {context.instrument.name} is on it is not known."


def margin(request: OrderRequest, context: CheckContext) -> Violation | None:
    """The money for an entry is there, as far as the broker has said."""
    known, money = context.margin, context.funds
    if known is None or money is None or margin_note(request, context) or not context.limits.checks_margin:
        return None
    free = money.funds.net
    if known.needed <= free or not is_risky(request, context):
        return None
    return Violation(
        check="margin",
        message=f"The broker asks {rupees(known.needed)} for this, {rupees(free)} is free; "
        f"{rupees(known.needed - free)} are missing.",
    )


def margin_note(request: OrderRequest, context: CheckContext) -> str:
    """Unknown margin is worth a word; it is no pass."""
    known, money, oldest = context.margin, context.funds, context.limits.margin_age_s_max
    if context.instrument is None or not context.limits.checks_margin or not is_risky(request, context):
        return ""
    if known is None or known.age_s > oldest:
        return "The margin is not known: the broker has not answered lately. Whether the money is there will show."
    if money is None or money.age_s > oldest + context.limits.funds_age_s_more:
        return "What is free at the broker is not known: whether the money is there will show."
    return ""


def duplicate(request: OrderRequest, context: CheckContext) -> Violation | None:
    """The very same order within seconds."""
    window = context.limits.duplicate_window_s
    oldest = context.now - timedelta(seconds=window)
    for order in context.recent:
        if window > 0 and order.created_at >= oldest and order.request == request:
            name = f"o{order.number}" if order.number else "One that is being written"
            return Violation(
                check="duplicate",
                message=f"{name} is the same order, made less than {window:g} s ago.",
            )
    return None
