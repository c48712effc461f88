"""Whether an order adds risk: it does unless it raises neither the worst loss nor the margin, and that is certain.

All that is open or unknown counts as filled wherever that is worse. Invariants:

- buying back a short option, no larger than the short, never adds;
- an order that is larger than the position it works against adds: it would open the other side;
- opening a short option or a future adds: it needs a margin. Opening a long option adds unless it covers shorts of its
  own expiry and product and no more than these, for less than it takes off the worst loss;
- selling what may cover something else adds. Within one expiry that is reckoned exactly; over several expiries anything
  that may need cover counts as covered by it;
- what is not known adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from engine.core.instruments import Instrument
from engine.core.money import ZERO
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.vocabulary import InstrumentKind, OrderType, Product, Side
from engine.execution.facts import CheckContext, HeldPosition
from engine.execution.worst_case import Exposure, raises_worst_case

STOPS = frozenset({OrderType.SL, OrderType.SL_M})


class _Part(NamedTuple):
    """Units of a contract that are held, or may come to be."""

    instrument: Instrument
    product: Product
    signed_quantity: int
    price: Decimal | None
    """At which it may come to be; ``None`` of what is held, and of an order without one."""


class _Account(NamedTuple):
    """What is held of one underlying, and what working orders may still make of it."""

    held: list[_Part]
    may_come: list[_Part]


def net_position(request: OrderRequest, context: CheckContext, *, this_product: bool) -> int | None:
    """Signed units held of the contract, in the order's product or in all; ``None`` while positions are unknown."""
    if context.positions is None:
        return None
    return sum(
        position.signed_quantity
        for position in context.positions
        if position.instrument.key == request.instrument and (not this_product or position.product is request.product)
    )


def reducible_quantity(request: OrderRequest, context: CheckContext) -> int:
    """Units by which an order of this side and product may still reduce the position; 0 when it cannot."""
    smallest: int | None = None
    for this_product in (True, False):
        net = net_position(request, context, this_product=this_product)
        if net is None or net * request.side.sign >= 0:
            return 0
        spoken_for = sum(
            order.remaining_quantity
            for order in context.working
            if order.request.instrument == request.instrument
            and order.request.side is request.side
            and (not this_product or order.request.product is request.product)
            and not (_waits_for_trigger(order) and request.order_type not in STOPS)
        )
        left = max(0, abs(net) - spoken_for)
        smallest = left if smallest is None else min(smallest, left)
    return smallest or 0


def _waits_for_trigger(order: OrderRecord) -> bool:
    """Whether it is a stop that has not fired: it protects the position and must not keep anybody from leaving it.

    It is made smaller as the position gets smaller; should both fill, the rest is taken back at once.
    """
    return order.request.order_type in STOPS and order.state is not OrderState.OPEN and not order.filled_quantity


def adds_risk(request: OrderRequest, context: CheckContext) -> bool:
    """Whether the order could raise the worst loss or the margin; ``True`` whenever that cannot be told."""
    instrument = context.instrument
    if instrument is None or context.positions is None or request.quantity <= 0:
        return True
    is_buy = request.side is Side.BUY
    if request.quantity > reducible_quantity(request, context):
        works_against = any(
            (net_position(request, context, this_product=this_product) or 0) * request.side.sign < 0
            for this_product in (True, False)
        )
        if works_against or not is_buy or not instrument.kind.is_option:
            return True
        return _margin_raised(context) or not _covers(request, context, instrument)
    if instrument.kind.is_option and is_buy:
        return False
    return _margin_raised(context) or _uncovers(request, context, instrument)


def is_risky(request: OrderRequest, context: CheckContext) -> bool:
    """The same, taken from the context where it has been judged already."""
    return adds_risk(request, context) if context.adds_risk is None else context.adds_risk


def basket_adds_risk(requests: Sequence[OrderRequest], contexts: Sequence[CheckContext]) -> bool:
    """Whether orders that are filled one after the other could raise the worst loss at any step.

    Args:
        requests: In the order in which they will be filled.
        contexts: The figures each would be judged by alone, of one moment.
    """
    filled: list[HeldPosition] = []
    for request, context in zip(requests, contexts, strict=True):
        if context.positions is None or context.instrument is None:
            return True
        # What the broker has said of a leg alone, it has said of the account as it is now.
        margin = None if filled else context.margin
        if adds_risk(request, msgspec.structs.replace(context, positions=(*context.positions, *filled), margin=margin)):
            return True
        signed = request.side.sign * request.quantity
        filled.append(HeldPosition(instrument=context.instrument, product=request.product, signed_quantity=signed))
    return False


def _margin_raised(context: CheckContext) -> bool:
    """Whether the broker has said that more must be kept; unknown leaves it to the worst loss."""
    return context.margin is not None and context.margin.raises


def _covers(request: OrderRequest, context: CheckContext, instrument: Instrument) -> bool:
    """Whether a long option that is bought bounds a loss by more than it costs."""
    # What is squared off at another time is no lasting cover.
    held = [part for part in _held_of(instrument, context) if part.product is request.product]
    uncovered = -sum(
        part.signed_quantity
        for part in held
        if part.instrument.expiry == instrument.expiry and _moves_with(part.instrument, instrument)
    )
    if request.price is None or request.quantity > uncovered:
        return False  # what may come only takes more away
    account = _account_of(instrument, context)
    if account is None:
        return False
    account = _Account(held, [part for part in account.may_come if part.product is request.product])
    uncovered -= sum(
        max(0, part.signed_quantity)
        for part in account.may_come
        if part.instrument.expiry == instrument.expiry and _moves_with(part.instrument, instrument)
    )
    if request.quantity > uncovered:
        return False
    return not _raises(account, request, context, instrument, paid=request.price * request.quantity)


def _uncovers(request: OrderRequest, context: CheckContext, instrument: Instrument) -> bool:
    """Whether what the order takes away could be missed."""
    account = _account_of(instrument, context)
    if account is None:
        return True
    for part in (*account.held, *account.may_come):
        is_own = part.instrument.key == instrument.key
        is_reckoned = part.instrument.expiry == instrument.expiry and _has_payoff(part.instrument)
        if not is_own and not is_reckoned and _may_need_cover(part):
            return True
    if not _has_payoff(instrument):
        return False
    return _raises(account, request, context, instrument)


def _raises(
    account: _Account, request: OrderRequest, context: CheckContext, instrument: Instrument, *, paid: Decimal = ZERO
) -> bool:
    """Whether the worst loss of the order's own expiry grows."""
    reference = _reference(request, context, instrument)
    if reference is None:
        return True
    held = [_exposure(part, reference) for part in account.held if part.instrument.expiry == instrument.expiry]
    may_come = [_exposure(part, part.price) for part in account.may_come if part.instrument.expiry == instrument.expiry]
    own = _Part(instrument, request.product, request.side.sign * request.quantity, None)
    order = _exposure(own, reference)
    known_held = [item for item in held if item is not None]
    known_come = [item for item in may_come if item is not None]
    if order is None or len(known_held) < len(held) or len(known_come) < len(may_come):
        return True
    return raises_worst_case(known_held, known_come, order, paid=paid)


def _reference(request: OrderRequest, context: CheckContext, instrument: Instrument) -> Decimal | None:
    """From which price futures are counted: that at which the order's own would be left; any will do for others."""
    if instrument.kind is not InstrumentKind.FUTURE:
        return ZERO
    quoted = context.quote.last if context.quote is not None else None
    return quoted if quoted is not None else request.price


def _account_of(instrument: Instrument, context: CheckContext) -> _Account | None:
    """Everything of the same underlying; ``None`` when a working order is for a contract the dump does not know."""
    held = _held_of(instrument, context)
    may_come = []
    for order in context.working:
        key = order.request.instrument
        found = instrument if key == instrument.key else context.working_instruments.get(key)
        if found is None:
            return None
        if found.name == instrument.name:
            signed = order.request.side.sign * order.remaining_quantity
            may_come.append(_Part(found, order.request.product, signed, order.request.price))
    return _Account(held, may_come)


def _held_of(instrument: Instrument, context: CheckContext) -> list[_Part]:
    return [
        _Part(position.instrument, position.product, position.signed_quantity, None)
        for position in context.positions or ()
        if position.instrument.name == instrument.name
    ]


def _exposure(part: _Part, reference: Decimal | None) -> Exposure | None:
    """As it is reckoned with; ``None`` for what has no payoff, or whose price is not known."""
    instrument = part.instrument
    level = reference if instrument.kind is InstrumentKind.FUTURE else instrument.strike
    if level is None or not _has_payoff(instrument):
        return None
    return Exposure(instrument.kind, level, part.signed_quantity)


def _has_payoff(instrument: Instrument) -> bool:
    return instrument.kind.is_option or instrument.kind is InstrumentKind.FUTURE


def _moves_with(other: Instrument, option: Instrument) -> bool:
    """Whether a short of ``other`` loses where ``option`` gains: calls with calls and futures, puts with puts."""
    if option.kind is InstrumentKind.PUT:
        return other.kind is InstrumentKind.PUT
    return other.kind in {InstrumentKind.CALL, InstrumentKind.FUTURE}


def _may_need_cover(part: _Part) -> bool:
    """Whether a position (or working order) could be made naked: shorts, and futures either way."""
    return part.instrument.kind is InstrumentKind.FUTURE or part.signed_quantity < 0
