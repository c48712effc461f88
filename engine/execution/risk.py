"""Whether an order adds risk: decided conservatively, from the net position and everything that may still trade.

An order reduces only if it works against the net position of its contract, is not larger than what other working
orders leave of it, and the position it takes away does not cover another one. Anything not known counts as adding.
Buying back a short option always reduces; selling a long that may be some short option's cover does not.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.vocabulary import InstrumentKind, Side
from engine.execution.facts import CheckContext


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
        )
        left = max(0, abs(net) - spoken_for)
        smallest = left if smallest is None else min(smallest, left)
    return smallest or 0


def adds_risk(request: OrderRequest, context: CheckContext) -> bool:
    """Whether the order could raise the worst case; ``True`` whenever that cannot be told."""
    if request.quantity > reducible_quantity(request, context):
        return True
    instrument = context.instrument
    if instrument is None:
        return True
    if instrument.kind.is_option and request.side is Side.BUY:
        return False
    return any(_may_need_cover(other, side) for other, side in _others(request, context, instrument))


def _may_need_cover(instrument: Instrument | None, side: Side) -> bool:
    """Whether a position (or working order) of this side could be made naked: short options, and futures."""
    if instrument is None or instrument.kind is InstrumentKind.FUTURE:
        return True
    return instrument.kind.is_option and side is Side.SELL


def _others(
    request: OrderRequest, context: CheckContext, instrument: Instrument
) -> Iterator[tuple[Instrument | None, Side]]:
    """Other contracts of the same underlying that are held or may come to be."""
    for position in context.positions or ():
        if position.instrument.name == instrument.name and position.instrument.key != request.instrument:
            yield position.instrument, Side.BUY if position.signed_quantity > 0 else Side.SELL
    for order in context.working:
        if order.request.instrument == request.instrument:
            continue
        other = context.working_instruments.get(order.request.instrument)
        if other is None or other.name == instrument.name:
            yield other, order.request.side
