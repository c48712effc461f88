"""What the exchange and the broker ask of an order's form: contract, session, units, prices, terms. Pure."""

from __future__ import annotations

from engine.core.commands import Violation
from engine.core.instruments import Instrument
from engine.core.money import is_multiple, nearest_ticks
from engine.core.orders import OrderRequest
from engine.core.vocabulary import Exchange, InstrumentKind, OrderType, Product, Side, Validity, Variety
from engine.execution.check_words import BROKER_CHOOSES_BAND, PRICED, PROTECTED, TRIGGERED, an
from engine.execution.facts import CheckContext
from engine.execution.words import counted_lots, grouped, in_lots

DERIVATIVE_PRODUCTS = frozenset({Product.NRML, Product.MIS})
ICEBERG_LEGS_MIN = 2


def instrument(request: OrderRequest, context: CheckContext) -> Violation | None:
    """It is in today's dump and can be traded."""
    found = context.instrument
    if found is None:
        message = f"{request.instrument} is not in today's instrument dump; look it up by its underlying and strike."
    elif found.kind is InstrumentKind.INDEX:
        message = f"{found.tradingsymbol} is an index and cannot be traded; trade its future or an option."
    else:
        return None
    return Violation(check="instrument", message=message)


def session(request: OrderRequest, context: CheckContext) -> Violation | None:
    """The segment trades, or it is an order for after hours and does not."""
    if context.instrument is None:
        return None
    is_amo = request.variety is Variety.AMO
    if context.session.is_open and is_amo:
        return Violation(
            check="session", message="The market is open; an after-market order (amo) is taken while it is closed."
        )
    if context.session.is_open or is_amo:
        return None
    return Violation(
        check="session", message=f"The market is {context.session.words}; orders are taken while it is open."
    )


def variety(request: OrderRequest, context: CheckContext) -> Violation | None:
    """What the variety needs is there, and nothing that belongs to another one."""
    limits = context.limits
    legs, each, auction = request.iceberg_legs, request.iceberg_quantity, request.auction_number
    is_iceberg, is_auction = request.variety is Variety.ICEBERG, request.variety is Variety.AUCTION
    message = ""
    if is_iceberg and (legs is None or each is None):
        message = "An iceberg needs its number of legs and the units of each."
    elif is_iceberg and legs is not None and not ICEBERG_LEGS_MIN <= legs <= limits.iceberg_legs_max:
        message = f"An iceberg has {ICEBERG_LEGS_MIN} to {limits.iceberg_legs_max} legs, not {legs}."
    elif is_iceberg and legs is not None and each is not None and (each <= 0 or -(-request.quantity // each) != legs):
        message = f"{legs} legs of {grouped(each)} do not make {grouped(request.quantity)} units."
    elif is_iceberg and each is not None and context.instrument is not None and each % context.instrument.lot_size:
        message = f"A leg of {grouped(each)} units is not a multiple of the lot, {context.instrument.lot_size}."
    elif not is_iceberg and (legs is not None or each is not None):
        message = f'Legs belong to variety "iceberg", this order is "{request.variety}"; leave them out.'
    elif is_auction and not auction:
        message = "An auction order needs the number of its auction."
    elif not is_auction and auction is not None:
        message = f'An auction number belongs to variety "auction", this order is "{request.variety}"; leave it out.'
    return Violation(check="variety", message=message) if message else None


def validity(request: OrderRequest, _: CheckContext) -> Violation | None:
    """Minutes go with TTL, and TTL with minutes."""
    minutes = request.validity_ttl
    if request.validity is Validity.TTL and (minutes is None or minutes < 1):
        was = "has none" if minutes is None else f"has {minutes}"
        return Violation(check="validity", message=f"Validity TTL needs its minutes, at least 1; this order {was}.")
    if request.validity is not Validity.TTL and minutes is not None:
        return Violation(
            check="validity",
            message=f"Minutes belong to validity TTL, this order is {request.validity}; leave them out.",
        )
    return None


def disclosed(request: OrderRequest, context: CheckContext) -> Violation | None:
    """Only orders for shares may show less than they are."""
    units, found = request.disclosed_quantity, context.instrument
    if units is None or found is None:
        return None
    if found.kind is not InstrumentKind.EQUITY:
        return Violation(
            check="disclosed", message="A disclosed quantity is for shares only; for futures and options leave it out."
        )
    if not 0 < units <= request.quantity:
        return Violation(
            check="disclosed",
            message=f"A disclosed quantity lies above 0 and up to {grouped(request.quantity)}, not at {units}.",
        )
    return None


def product(request: OrderRequest, context: CheckContext) -> Violation | None:
    """NRML or MIS for futures and options."""
    found = context.instrument
    if found is None or found.kind is InstrumentKind.EQUITY or request.product in DERIVATIVE_PRODUCTS:
        return None
    return Violation(check="product", message=f"{request.product} is not for futures and options; NRML or MIS is.")


def quantity(request: OrderRequest, _: CheckContext) -> Violation | None:
    """At least one unit."""
    if request.quantity > 0:
        return None
    return Violation(check="quantity", message=f"A quantity is at least 1 unit, not {grouped(request.quantity)}.")


def lot(request: OrderRequest, context: CheckContext) -> Violation | None:
    """Whole lots."""
    if context.instrument is None or request.quantity <= 0:
        return None
    size, units = context.instrument.lot_size, request.quantity
    if units % size == 0:
        return None
    if units < size:
        hint = f"{counted_lots(units)} {in_lots(units * size, size)}."
    else:
        below = units // size * size
        hint = f"Nearest: {in_lots(below, size)} or {in_lots(below + size, size)}."
    named = "1 unit" if units == 1 else f"{grouped(units)} units"
    return Violation(check="lot", message=f"{named} is not a multiple of the lot, {grouped(size)}. {hint}")


def freeze(request: OrderRequest, context: CheckContext) -> Violation | None:
    """Within what the exchange takes at once; of an iceberg each leg."""
    found, most_units = context.instrument, context.freeze_quantity
    units = request.quantity
    if request.variety is Variety.ICEBERG and request.iceberg_quantity is not None:
        units = request.iceberg_quantity
    if found is None or most_units is None or units <= most_units:
        return None
    most = most_units // found.lot_size * found.lot_size
    return Violation(
        check="freeze",
        message=f"{grouped(units)} units is above the freeze quantity, {grouped(most_units)}. "
        f"At most {in_lots(most, found.lot_size)} in one order.",
    )


def order_type(request: OrderRequest, context: CheckContext) -> Violation | None:
    """Stop-market where it is taken."""
    found = context.instrument
    if request.order_type is not OrderType.SL_M or found is None:
        return None
    if not found.kind.is_option and found.exchange not in {Exchange.BSE, Exchange.BFO}:
        return None
    return Violation(check="type", message="SL-M is not taken for options or on BSE; use SL with a limit price.")


def price(request: OrderRequest, context: CheckContext) -> Violation | None:
    """A price where the type has one, and only there."""
    if request.order_type not in PRICED:
        if request.price is None:
            return None
        return Violation(
            check="price", message=f"{an(request.order_type)} order has no price of its own; leave it out."
        )
    if request.price is None:
        return Violation(check="price", message=f"{an(request.order_type)} order needs a price.")
    if request.price <= 0 and not _may_be_negative(context.instrument):
        return Violation(check="price", message=f"A price is above 0, not {request.price}.")
    return None


def _may_be_negative(found: Instrument | None) -> bool:
    return found is not None and found.exchange in {Exchange.MCX, Exchange.NCO}


def tick(request: OrderRequest, context: CheckContext) -> Violation | None:
    """Prices on the tick."""
    found = context.instrument
    if found is None:
        return None
    for name, value in (("", request.price), ("trigger ", request.trigger_price)):
        if value is not None and not is_multiple(value, found.tick_size):
            below, above = nearest_ticks(value, found.tick_size)
            choices = f"{above}" if below <= 0 else f"{below} or {above}"
            return Violation(check="tick", message=f"The {name}tick is {found.tick_size}: {choices}.")
    return None


def trigger(request: OrderRequest, context: CheckContext) -> Violation | None:
    """A trigger where the type, or a cover order, has one; on the right side of its price and of the market."""
    level, limit = request.trigger_price, request.price
    if request.variety is Variety.CO:
        if level is None or level <= 0:
            return Violation(check="trigger", message="A cover order needs the trigger of its stop, above 0.")
        return None
    if request.order_type not in TRIGGERED:
        if level is None:
            return None
        return Violation(check="trigger", message=f"{an(request.order_type)} order has no trigger; SL has.")
    if level is None or level <= 0:
        return Violation(check="trigger", message=f"{an(request.order_type)} order needs a trigger price above 0.")
    message = _wrong_side(request, context)
    if request.order_type is OrderType.SL and limit is not None:
        if request.side is Side.BUY and level > limit:
            message = f"A buy stop's trigger, {level}, is at most its price, {limit}."
        if request.side is Side.SELL and level < limit:
            message = f"A sell stop's trigger, {level}, is at least its price, {limit}."
    return Violation(check="trigger", message=message) if message else None


def _wrong_side(request: OrderRequest, context: CheckContext) -> str:
    level = request.trigger_price
    last = context.quote.last if context.quote is not None else None
    if last is None or level is None:
        return ""
    if request.side is Side.BUY and level <= last:
        return f"A buy stop's trigger, {level}, must be above the last price, {last}."
    if request.side is Side.SELL and level >= last:
        return f"A sell stop's trigger, {level}, must be below the last price, {last}."
    return ""


def protection(request: OrderRequest, context: CheckContext) -> Violation | None:
    """Whatever trades at market is protected."""
    given, most = request.market_protection, context.limits.market_protection_max
    if request.order_type not in PROTECTED:
        return None
    if given == BROKER_CHOOSES_BAND or (given is not None and 0 < given <= most):
        return None
    was = "has none" if given is None else f"has {given}"
    return Violation(
        check="protection",
        message=f"{an(request.order_type)} order needs a market protection of more than 0 up to {most} percent, "
        f"or -1 for the broker's own band; this one {was}.",
    )
