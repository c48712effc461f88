"""Taking a position off with a series of orders: never more on the way than is to go, at the price of the moment.

Used by exits for their goals and by baskets for the legs they give back. Pure: the same picture gives the same moves.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.commands import OrderChange
from engine.core.decisions import QuoteSeen
from engine.core.identifiers import StrategyNumber
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.quotes import Quote
from engine.core.vocabulary import OrderType, Product, Side
from engine.execution.gate import quote_seen
from engine.execution.lanes import Lane
from engine.execution.plans.algorithm import Change, Move, Place, Withdraw
from engine.execution.plans.series import RESTING, Series

MODIFICATIONS_MAX = 24
"""One fewer than the broker allows: at the next one the order is replaced instead, after its cancellation is known."""


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """A price with what it was made of."""

    price: Decimal | None
    """``None``: at market, protected."""
    words: str
    follows: bool = False
    """Whether a resting order also goes back to a less eager price."""
    quotes: tuple[QuoteSeen, ...] = ()


class TakeOff(msgspec.Struct, frozen=True, kw_only=True):
    """One contract and product that is being taken off."""

    series: Series
    instrument: Instrument
    product: Product
    side: Side
    """Of the orders: BUY for a short position."""
    strategy: StrategyNumber | None
    at_work: int
    """Units that may be at work now, ≥ 0: no more than is still to go."""
    piece_max: int | None
    """The freeze quantity."""
    protection: Decimal
    """Percent of market protection; −1 leaves it to the broker."""
    may_place: bool = True
    """Whether a new order may be sent now."""
    calm_since: datetime
    """An order that has changed after this moment is not re-priced yet."""


def seen(instrument: Instrument, quote: Quote | None) -> tuple[QuoteSeen, ...]:
    """What is kept of a quote that a price was made of."""
    return () if quote is None else (quote_seen(instrument.key, quote),)


def take_off(wanted: TakeOff, priced: Priced | None) -> list[Move]:
    """The moves that bring what is at work to ``at_work`` at the price; without one, only what is too much goes."""
    working = wanted.series.working
    excess = wanted.series.may_fill - wanted.at_work
    if excess > 0:
        return _shrink(working, excess)
    moves: list[Move] = []
    if priced is not None:
        moves += _reprice(working, priced, wanted)
        if wanted.may_place and excess < 0:
            moves += _place(wanted, priced, -excess)
    return moves


def pieces(quantity: int, lot: int, most: int | None) -> list[int]:
    """Cut whole lots into pieces that the exchange takes."""
    size = quantity if most is None else max(lot, most // lot * lot)
    found = []
    while quantity > 0:
        found.append(min(size, quantity))
        quantity -= found[-1]
    return found


def _shrink(working: tuple[OrderRecord, ...], excess: int) -> list[Move]:
    """Newest first: whole orders are cancelled, the last one is made smaller if it can be."""
    moves: list[Move] = []
    words = f"{excess} units fewer are to go"
    for order in reversed(working):
        if excess <= 0:
            break
        if order.state is OrderState.CANCELLING:
            excess -= order.remaining_quantity
            continue
        if order.remaining_quantity > excess and order.state in RESTING and order.modifications < MODIFICATIONS_MAX:
            smaller = order.request.quantity - excess
            moves.append(Change(number=order.number, change=OrderChange(quantity=smaller), words=words))
        elif order.state is not OrderState.MODIFYING or order.remaining_quantity <= excess:
            moves.append(Withdraw(number=order.number, words=words))
        excess -= order.remaining_quantity
    return moves


def _reprice(working: tuple[OrderRecord, ...], priced: Priced, wanted: TakeOff) -> list[Move]:
    moves: list[Move] = []
    for order in working:
        own = order.request.price
        if priced.price is None or own is None or order.state not in RESTING or own == priced.price:
            continue
        if (priced.price - own) * wanted.side.sign < 0 and not priced.follows:
            continue
        if order.updated_at > wanted.calm_since:
            continue
        if order.modifications >= MODIFICATIONS_MAX:
            words = f"modified {order.modifications} times: replaced once its cancellation is confirmed"
            moves.append(Withdraw(number=order.number, words=words))
            continue
        change = OrderChange(price=priced.price)
        moves.append(Change(number=order.number, change=change, words=priced.words, quotes=priced.quotes))
    return moves


def _place(wanted: TakeOff, priced: Priced, quantity: int) -> list[Move]:
    lot = wanted.instrument.lot_size
    moves: list[Move] = []
    for more, piece in enumerate(pieces(quantity // lot * lot, lot, wanted.piece_max)):
        at_market = priced.price is None
        request = OrderRequest(
            instrument=wanted.instrument.key,
            side=wanted.side,
            quantity=piece,
            order_type=OrderType.MARKET if at_market else OrderType.LIMIT,
            product=wanted.product,
            price=priced.price,
            market_protection=wanted.protection if at_market else None,
            strategy=wanted.strategy,
        )
        moves.append(
            Place(
                key=wanted.series.key_after(more),
                request=request,
                words=priced.words,
                quotes=priced.quotes,
                lane=Lane.EXIT,
            )
        )
    return moves
