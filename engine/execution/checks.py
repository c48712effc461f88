"""What an order must fulfil before it is journalled: pure functions of a request and a context.

All violations come at once, each with its number and its limit. Previews and the real thing use the same functions.
An order that only reduces risk is never refused for the mode, its value or an old quote.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import msgspec

from engine.core.commands import OrderChange, Violation
from engine.core.instruments import Instrument
from engine.core.money import ZERO, is_multiple, nearest_ticks
from engine.core.orders import OrderRecord, OrderRequest
from engine.core.vocabulary import (
    Exchange,
    InstrumentKind,
    Mode,
    OrderType,
    Product,
    QuoteState,
    Side,
    Validity,
    Variety,
)
from engine.execution.facts import CheckContext
from engine.execution.risk import adds_risk
from engine.execution.words import counted_lots, grouped, grouped_decimal, in_lots

CHECKS_VERSION = "1"
"""Kept with every order: change it whenever a check comes, goes, or judges otherwise."""
BROKER_CHOOSES_BAND = Decimal(-1)
"""The market protection that leaves the band to the broker."""
UNTRUSTED_QUOTES = frozenset({QuoteState.UNKNOWN, QuoteState.STALE, QuoteState.CROSSED})
SUPPORTED_VARIETIES = frozenset({Variety.REGULAR, Variety.AMO})
SUPPORTED_VALIDITIES = frozenset({Validity.DAY, Validity.IOC})
DERIVATIVE_PRODUCTS = frozenset({Product.NRML, Product.MIS})
PRICED = frozenset({OrderType.LIMIT, OrderType.SL})
TRIGGERED = frozenset({OrderType.SL, OrderType.SL_M})
PROTECTED = frozenset({OrderType.MARKET, OrderType.SL_M})

Check = Callable[[OrderRequest, CheckContext], Violation | None]


def check_order(request: OrderRequest, context: CheckContext) -> tuple[Violation, ...]:
    """Everything that forbids this order now; empty when nothing does."""
    found = [check(request, context) for check in _CHECKS]
    if context.limits.duplicate_refuses:
        found.append(_duplicate(request, context))
    return tuple(violation for violation in found if violation is not None)


def notes_on(request: OrderRequest, context: CheckContext) -> tuple[str, ...]:
    """What a person should know before sending, though nothing forbids it."""
    notes = []
    duplicate = _duplicate(request, context)
    if duplicate is not None and not context.limits.duplicate_refuses:
        notes.append(duplicate.message)
    quote = context.quote
    if quote is not None and request.price is not None and request.order_type is OrderType.LIMIT:
        away = _distance_through(request.side.opposite, request.price, quote.touch(request.side) or quote.last)
        if away is not None and away > _allowed_distance(request.price, context):
            notes.append(f"{request.price} is {grouped_decimal(away)} away from the market; it will rest.")
    return tuple(notes)


def check_change(record: OrderRecord, change: OrderChange, context: CheckContext) -> tuple[Violation, ...]:
    """Everything that forbids this modification of a resting order now.

    ``context.working`` leaves the order itself out. An order that only gets smaller is judged by its quantity alone.
    """
    violations = []
    if change.quantity is None and change.price is None and change.trigger_price is None:
        violations.append(
            Violation(check="change", message="Nothing to change: give a quantity, a price or a trigger.")
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
    shrinks_only = (
        change.price is None and change.trigger_price is None and modified.quantity <= record.request.quantity
    )
    checks = (_quantity, _lot) if shrinks_only else _CHECKS
    remaining = msgspec.structs.replace(modified, quantity=max(0, modified.quantity - record.filled_quantity))
    for check in checks:
        # The part that is filled is in the position already: risk and value are judged on the rest.
        subject = remaining if check in {_mode, _value, _quote} else modified
        violation = check(subject, context)
        if violation is not None:
            violations.append(violation)
    return tuple(violations)


def changed_request(request: OrderRequest, change: OrderChange) -> OrderRequest:
    """The order as it will stand when the change is accepted."""
    return msgspec.structs.replace(
        request,
        quantity=request.quantity if change.quantity is None else change.quantity,
        price=request.price if change.price is None else change.price,
        trigger_price=request.trigger_price if change.trigger_price is None else change.trigger_price,
    )


def _an(order_type: OrderType) -> str:
    return f"An {order_type}" if order_type in {OrderType.SL, OrderType.SL_M} else f"A {order_type}"


def _instrument(request: OrderRequest, context: CheckContext) -> Violation | None:
    instrument = context.instrument
    if instrument is None:
        message = f"{request.instrument} is not in today's instrument dump; look it up by its underlying and strike."
    elif instrument.kind is InstrumentKind.INDEX:
        message = f"{instrument.tradingsymbol} is an index and cannot be traded; trade its future or an option."
    else:
        return None
    return Violation(check="instrument", message=message)


def _session(request: OrderRequest, context: CheckContext) -> Violation | None:
    if context.session.is_open or request.variety is Variety.AMO or context.instrument is None:
        return None
    return Violation(
        check="session", message=f"The market is {context.session.words}; orders are taken while it is open."
    )


def _variety(request: OrderRequest, _: CheckContext) -> Violation | None:
    if request.variety in SUPPORTED_VARIETIES:
        return None
    return Violation(check="variety", message=f'Variety "{request.variety}" cannot be sent; regular and amo can.')


def _validity(request: OrderRequest, _: CheckContext) -> Violation | None:
    if request.validity in SUPPORTED_VALIDITIES:
        return None
    return Violation(check="validity", message=f"Validity {request.validity} cannot be sent; DAY and IOC can.")


def _product(request: OrderRequest, context: CheckContext) -> Violation | None:
    instrument = context.instrument
    if instrument is None or instrument.kind is InstrumentKind.EQUITY or request.product in DERIVATIVE_PRODUCTS:
        return None
    return Violation(check="product", message=f"{request.product} is not for futures and options; NRML or MIS is.")


def _quantity(request: OrderRequest, _: CheckContext) -> Violation | None:
    if request.quantity > 0:
        return None
    return Violation(check="quantity", message=f"A quantity is at least 1 unit, not {grouped(request.quantity)}.")


def _lot(request: OrderRequest, context: CheckContext) -> Violation | None:
    if context.instrument is None or request.quantity <= 0:
        return None
    lot, quantity = context.instrument.lot_size, request.quantity
    if quantity % lot == 0:
        return None
    if quantity < lot:
        hint = f"{counted_lots(quantity)} {in_lots(quantity * lot, lot)}."
    else:
        below = quantity // lot * lot
        hint = f"Nearest: {in_lots(below, lot)} or {in_lots(below + lot, lot)}."
    units = "1 unit" if quantity == 1 else f"{grouped(quantity)} units"
    return Violation(check="lot", message=f"{units} is not a multiple of the lot, {grouped(lot)}. {hint}")


def _freeze(request: OrderRequest, context: CheckContext) -> Violation | None:
    instrument, freeze = context.instrument, context.freeze_quantity
    if instrument is None or freeze is None or request.quantity <= freeze:
        return None
    most = freeze // instrument.lot_size * instrument.lot_size
    return Violation(
        check="freeze",
        message=f"{grouped(request.quantity)} units is above the freeze quantity, {grouped(freeze)}. "
        f"At most {in_lots(most, instrument.lot_size)} in one order.",
    )


def _order_type(request: OrderRequest, context: CheckContext) -> Violation | None:
    instrument = context.instrument
    if request.order_type is not OrderType.SL_M or instrument is None:
        return None
    if not instrument.kind.is_option and instrument.exchange not in {Exchange.BSE, Exchange.BFO}:
        return None
    return Violation(check="type", message="SL-M is not taken for options or on BSE; use SL with a limit price.")


def _price(request: OrderRequest, context: CheckContext) -> Violation | None:
    if request.order_type not in PRICED:
        if request.price is None:
            return None
        return Violation(
            check="price", message=f"{_an(request.order_type)} order has no price of its own; leave it out."
        )
    if request.price is None:
        return Violation(check="price", message=f"{_an(request.order_type)} order needs a price.")
    if request.price <= 0 and not _may_be_negative(context.instrument):
        return Violation(check="price", message=f"A price is above 0, not {request.price}.")
    return None


def _may_be_negative(instrument: Instrument | None) -> bool:
    return instrument is not None and instrument.exchange in {Exchange.MCX, Exchange.NCO}


def _tick(request: OrderRequest, context: CheckContext) -> Violation | None:
    instrument = context.instrument
    if instrument is None:
        return None
    for name, value in (("", request.price), ("trigger ", request.trigger_price)):
        if value is not None and not is_multiple(value, instrument.tick_size):
            below, above = nearest_ticks(value, instrument.tick_size)
            choices = f"{above}" if below <= 0 else f"{below} or {above}"
            return Violation(check="tick", message=f"The {name}tick is {instrument.tick_size}: {choices}.")
    return None


def _trigger(request: OrderRequest, context: CheckContext) -> Violation | None:
    trigger, price = request.trigger_price, request.price
    if request.order_type not in TRIGGERED:
        if trigger is None:
            return None
        return Violation(check="trigger", message=f"{_an(request.order_type)} order has no trigger; SL has.")
    if trigger is None or trigger <= 0:
        return Violation(check="trigger", message=f"{_an(request.order_type)} order needs a trigger price above 0.")
    if request.order_type is OrderType.SL and price is not None:
        if request.side is Side.BUY and trigger > price:
            return Violation(
                check="trigger", message=f"A buy stop's trigger, {trigger}, is at most its price, {price}."
            )
        if request.side is Side.SELL and trigger < price:
            return Violation(
                check="trigger", message=f"A sell stop's trigger, {trigger}, is at least its price, {price}."
            )
    last = context.quote.last if context.quote is not None else None
    if last is None:
        return None
    if request.side is Side.BUY and trigger <= last:
        return Violation(
            check="trigger", message=f"A buy stop's trigger, {trigger}, must be above the last price, {last}."
        )
    if request.side is Side.SELL and trigger >= last:
        return Violation(
            check="trigger", message=f"A sell stop's trigger, {trigger}, must be below the last price, {last}."
        )
    return None


def _protection(request: OrderRequest, context: CheckContext) -> Violation | None:
    protection, most = request.market_protection, context.limits.market_protection_max
    if request.order_type not in PROTECTED:
        return None
    if protection == BROKER_CHOOSES_BAND or (protection is not None and 0 < protection <= most):
        return None
    was = "has none" if protection is None else f"has {protection}"
    return Violation(
        check="protection",
        message=f"{_an(request.order_type)} order needs a market protection of more than 0 up to {most} percent, "
        f"or -1 for the broker's own band; this one {was}.",
    )


def _distance_through(side: Side, price: Decimal, reference: Decimal | None) -> Decimal | None:
    """Rupees by which ``price`` lies through ``reference`` for an order of ``side``; ``None`` without a reference."""
    if reference is None or reference <= 0:
        return None
    return max(ZERO, (price - reference) * side.sign)


def _allowed_distance(reference: Decimal, context: CheckContext) -> Decimal:
    return max(reference * context.limits.price_distance_percent / 100, context.limits.price_distance_floor)


def _distance(request: OrderRequest, context: CheckContext) -> Violation | None:
    if context.quote is None or request.price is None or request.order_type is not OrderType.LIMIT:
        return None
    if context.quote.state in UNTRUSTED_QUOTES:
        return None  # an old price says nothing; entries are refused for the quote itself
    reference = context.quote.touch(request.side) or context.quote.last
    through = _distance_through(request.side, request.price, reference)
    if reference is None or through is None or through <= _allowed_distance(reference, context):
        return None
    edge = "above the market" if request.side is Side.BUY else "below the market"
    return Violation(
        check="distance",
        message=f"{request.price} is {grouped_decimal(through)} {edge}, {reference}; at most "
        f"{context.limits.price_distance_percent} percent or {context.limits.price_distance_floor} is allowed.",
    )


def _quote(request: OrderRequest, context: CheckContext) -> Violation | None:
    if context.instrument is None or request.variety is Variety.AMO:
        return None
    state = QuoteState.UNKNOWN if context.quote is None else context.quote.state
    if state not in UNTRUSTED_QUOTES or not adds_risk(request, context):
        return None
    age = context.quote.age_s if context.quote is not None else None
    aged = "" if age is None else f", {age:.1f} s old"
    return Violation(
        check="quote",
        message=f"The quote of {request.instrument} is {state.name}{aged}; an entry waits for a LIVE one.",
    )


def _mode(request: OrderRequest, context: CheckContext) -> Violation | None:
    if context.mode is not Mode.READ or not adds_risk(request, context):
        return None
    return Violation(
        check="mode", message="Mode is READ and this adds risk. Arm CONFIRM first; exits and cancels need no arming."
    )


def _value(request: OrderRequest, context: CheckContext) -> Violation | None:
    cap, quote = context.limits.order_value_max, context.quote
    price = request.price or request.trigger_price
    if price is None and quote is not None:
        price = quote.touch(request.side) or quote.last
    if cap is None or price is None or abs(price * request.quantity) <= cap or not adds_risk(request, context):
        return None
    value = abs(price * request.quantity)
    return Violation(
        check="value",
        message=f"{grouped(request.quantity)} units at {price} is {grouped_decimal(value)}, "
        f"your cap for one order is {grouped_decimal(cap)}.",
    )


def _duplicate(request: OrderRequest, context: CheckContext) -> Violation | None:
    window = context.limits.duplicate_window_s
    oldest = context.now - timedelta(seconds=window)
    for order in context.recent:
        if window > 0 and order.created_at >= oldest and order.request == request:
            return Violation(
                check="duplicate",
                message=f"o{order.number} is the same order, made less than {window:g} s ago.",
            )
    return None


_CHECKS: tuple[Check, ...] = (
    _instrument,
    _session,
    _variety,
    _validity,
    _product,
    _quantity,
    _lot,
    _freeze,
    _order_type,
    _price,
    _tick,
    _trigger,
    _protection,
    _distance,
    _quote,
    _mode,
    _value,
)
