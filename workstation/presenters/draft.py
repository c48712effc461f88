"""A draft: the order that Enter would open for review. It keeps the quote of the moment the key was pressed."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.commands import ModifyOrder, OrderChange, PlaceOrder
from engine.core.instruments import Instrument
from engine.core.money import nearest_ticks
from engine.core.orders import OrderRecord, OrderRequest
from engine.core.quotes import Quote
from engine.core.vocabulary import OrderType, Product, Side


class PricePolicy(StrEnum):
    """Where a draft's price comes from; ``FIXED`` was typed or is the order's own."""

    BID = "bid"
    MID = "mid"
    ASK = "ask"
    TOUCH = "touch"
    FIXED = "fixed"


CYCLE = (PricePolicy.BID, PricePolicy.MID, PricePolicy.ASK, PricePolicy.TOUCH)
"""The order in which ``p`` goes round."""


def policy_price(policy: PricePolicy, quote: Quote | None, side: Side, tick: Decimal) -> Decimal | None:
    """The price a policy gives on a quote, a multiple of ``tick``; ``None`` when the quote lacks that side.

    A mid between two ticks is rounded to the passive one: down for a buy, up for a sell.
    """
    if quote is None:
        return None
    if policy is PricePolicy.BID:
        return quote.bid
    if policy is PricePolicy.ASK:
        return quote.ask
    if policy is PricePolicy.TOUCH:
        return quote.touch(side)
    if policy is PricePolicy.MID:
        if quote.mid is None:
            return None
        below, above = nearest_ticks(quote.mid, tick)
        return below if side is Side.BUY else above
    return None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One order being prepared, or one change of a resting order when ``order`` is given."""

    instrument: Instrument
    side: Side
    quantity: int
    """Units, > 0."""
    policy: PricePolicy
    price: Decimal | None
    """The limit; ``None`` when the policy finds no price on the quote."""
    offset: Decimal = Decimal(0)
    """Ticks added by hand, in rupees."""
    quote: Quote | None
    """As it was when the key was pressed."""
    product: Product
    order: OrderRecord | None = None

    @property
    def source(self) -> str:
        """Where the price comes from, in words: ``bid``, ``touch+0.10``, ``fixed``."""
        if not self.offset:
            return self.policy.value
        return f"{self.policy.value}{self.offset:+.2f}"

    def drift(self, now: Quote | None) -> Decimal | None:
        """How far the touch has moved since the key; + is against the order. ``None`` when one side is unknown."""
        if self.quote is None or now is None:
            return None
        return adverse_move(self.quote, now, self.side)

    def command(self, idempotency_key: str | None) -> PlaceOrder | ModifyOrder:
        """What is to be reviewed. ``idempotency_key`` makes the order once, however often it is sent."""
        if self.order is not None:
            change = OrderChange(price=None if self.price == self.order.request.price else self.price)
            return ModifyOrder(number=self.order.number, change=change)
        request = OrderRequest(
            instrument=self.instrument.key,
            side=self.side,
            quantity=self.quantity,
            order_type=OrderType.LIMIT,
            product=self.product,
            price=self.price,
        )
        return PlaceOrder(request=request, idempotency_key=idempotency_key)

    def stepped(self, ticks: int) -> Draft:
        """The price moved by hand; a price is never moved to zero or below."""
        if self.price is None:
            return self
        step = self.instrument.tick_size * ticks
        if self.price + step <= 0:
            return self
        return msgspec.structs.replace(self, price=self.price + step, offset=self.offset + step)

    def priced(self, policy: PricePolicy, quote: Quote | None) -> Draft:
        """Priced anew on ``quote`` by ``policy``, without the offset made by hand."""
        price = policy_price(policy, quote, self.side, self.instrument.tick_size)
        return msgspec.structs.replace(self, policy=policy, price=price, offset=Decimal(0), quote=quote)

    def cycled(self, quote: Quote | None) -> Draft:
        """The next policy round the cycle."""
        place = CYCLE.index(self.policy) if self.policy in CYCLE else -1
        return self.priced(CYCLE[(place + 1) % len(CYCLE)], quote)


def adverse_move(before: Quote, now: Quote, side: Side) -> Decimal | None:
    """How far the price an order of ``side`` would meet has moved against it; negative is in its favour."""
    first, second = before.touch(side), now.touch(side)
    if first is None or second is None:
        return None
    return (second - first) * side.sign


def new_draft(instrument: Instrument, side: Side, lots: int, quote: Quote | None, *, product: Product) -> Draft:
    """Draft ``lots`` lots at the touch."""
    price = policy_price(PricePolicy.TOUCH, quote, side, instrument.tick_size)
    return Draft(
        instrument=instrument,
        side=side,
        quantity=lots * instrument.lot_size,
        policy=PricePolicy.TOUCH,
        price=price,
        quote=quote,
        product=product,
    )


def modification(order: OrderRecord, instrument: Instrument, quote: Quote | None) -> Draft:
    """Draft a change of a resting order, starting from its own price."""
    return Draft(
        instrument=instrument,
        side=order.request.side,
        quantity=order.request.quantity,
        policy=PricePolicy.FIXED,
        price=order.request.price,
        quote=quote,
        product=order.request.product,
        order=order,
    )
