"""Sentences about orders: ``buy``, ``sell``, ``modify`` and ``cancel``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from engine.core.commands import CancelOrders, CancelPlan, ModifyOrder, OrderChange, PlaceOrder
from engine.core.identifiers import OrderNumber, StrategyNumber
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderRequest
from engine.core.plans import Chase, Manner
from engine.core.vocabulary import OrderType, Product, Side, Validity
from engine.language.contracts import QUANTITY_CHOICES, quantity_of, read_contract, read_quantity, units_of
from engine.language.cursor import Cursor, SentenceInvalid
from engine.language.numbers import NUMBER_LENGTH_MAX, read_number
from engine.language.plans import MANNERS, is_plan, read_cancel_plan, read_manner
from engine.language.prices import Price, default_limit, price_of_quote, read_number_price, read_price
from engine.language.resolver import Resolver
from engine.language.targets import read_strategy
from engine.language.tokens import Token

PRODUCTS: Final = {"mis": Product.MIS, "nrml": Product.NRML}
VALIDITIES: Final = {"day": Validity.DAY, "ioc": Validity.IOC}
OPTION_WORDS: Final = ("@", "stop", *PRODUCTS, *VALIDITIES, *MANNERS, "into")
AFTER_CONTRACT: Final = "After the contract: @ price, stop, mis, nrml, day, ioc, chase, twap, iceberg, into."
CHANGE_WORDS: Final = ("@", "stop")

_ORDER = re.compile(rf"o(?P<number>\d{{1,{NUMBER_LENGTH_MAX - 2}}})", re.ASCII)


class _Options:
    """What has been said after the contract; each thing once."""

    def __init__(self) -> None:
        self.price: Price | None = None
        self.stop: Decimal | None = None
        self.stop_token: Token | None = None
        self.product: tuple[Token, Product] | None = None
        self.validity: tuple[Token, Validity] | None = None
        self.strategy: StrategyNumber | None = None
        self.manner: tuple[Token, Manner] | None = None


def read_order(cursor: Cursor, resolver: Resolver, side: Side) -> PlaceOrder:
    """Read what follows ``buy`` or ``sell``. Without a price it is a limit at the touch of this moment, or
    in the middle of an option's wide spread.
    """
    quantity = read_quantity(cursor)
    instrument = read_contract(cursor, resolver)
    units = units_of(cursor, quantity, instrument.lot_size)
    options = _read_options(cursor, resolver, instrument, side)
    price = options.price
    if price is None:
        if options.stop is not None:
            raise cursor.missing("A stop needs its price: @ 229.40 for a limit, or @ mkt 1%.", ("@",))
        price = Price(limit=_usual_limit(cursor, resolver, instrument, side, options))
    defaults = resolver.defaults
    return PlaceOrder(
        request=OrderRequest(
            instrument=instrument.key,
            side=side,
            quantity=units,
            order_type=_order_type(price, options.stop),
            product=options.product[1] if options.product else defaults.product,
            price=price.limit,
            trigger_price=options.stop,
            validity=options.validity[1] if options.validity else defaults.validity,
            market_protection=price.market_protection,
            strategy=options.strategy,
        ),
        manner=options.manner[1] if options.manner else None,
    )


def _usual_limit(cursor: Cursor, resolver: Resolver, instrument: Instrument, side: Side, options: _Options) -> Decimal:
    """The limit of an order without a price; one that follows the touch begins where it would rest."""
    if options.manner is not None and isinstance(options.manner[1], Chase):
        word = "bid" if side is Side.BUY else "ask"
        return price_of_quote(cursor, resolver, instrument, side, word=word, place=None)
    return default_limit(cursor, resolver, instrument, side)


def _order_type(price: Price, stop: Decimal | None) -> OrderType:
    if price.limit is None:
        return OrderType.MARKET if stop is None else OrderType.SL_M
    return OrderType.LIMIT if stop is None else OrderType.SL


def _read_options(cursor: Cursor, resolver: Resolver, instrument: Instrument, side: Side) -> _Options:
    options = _Options()
    while (token := cursor.peek()) is not None:
        word = token.word
        if word == "@":
            if options.price is not None:
                raise cursor.wrong("The price is said already; one price only.", token)
            cursor.skip()
            options.price = read_price(cursor, resolver, instrument, side)
        elif word == "stop":
            if options.stop is not None:
                raise cursor.wrong("The stop is said already; one stop only.", token)
            cursor.skip()
            stop = cursor.take("Needs the stop's trigger price, such as stop 222.75.")
            options.stop = read_number_price(cursor, stop, instrument.tick_size)
        elif word in PRODUCTS:
            if options.product is not None:
                raise cursor.wrong(f'"{token.text}" after "{options.product[0].text}": one product only.', token)
            cursor.skip()
            options.product = (token, PRODUCTS[word])
        elif word in VALIDITIES:
            if options.validity is not None:
                raise cursor.wrong(f'"{token.text}" after "{options.validity[0].text}": one validity only.', token)
            cursor.skip()
            options.validity = (token, VALIDITIES[word])
        elif word in MANNERS:
            if options.manner is not None:
                raise cursor.wrong(f'"{token.text}" after "{options.manner[0].text}": one manner only.', token)
            options.manner = (token, read_manner(cursor))
        elif word == "into":
            cursor.skip()
            options.strategy = read_strategy(cursor, resolver).number
            cursor.finish("Nothing follows the strategy.")
            return options
        else:
            raise _option_refused(cursor, token)
    cursor.finish(AFTER_CONTRACT, OPTION_WORDS)
    return options


def _option_refused(cursor: Cursor, token: Token) -> SentenceInvalid:
    if read_number(token.text) is not None:
        return cursor.wrong(f'A price is written after "@": @ {token.text}.', token, ("@",))
    return cursor.wrong(f'"{token.text}" does not fit here. {AFTER_CONTRACT}', token, (*OPTION_WORDS, *cursor.ends))


def order_choices(resolver: Resolver) -> tuple[str, ...]:
    """Orders that can still be changed, as words."""
    return tuple(f"o{number}" for number in resolver.working_orders())


def read_order_record(cursor: Cursor, resolver: Resolver, choices: Iterable[str]) -> OrderRecord:
    """Read ``o40`` and find the order."""
    fitting = tuple(choices)
    token = cursor.take("Needs an order, such as o40.", fitting)
    match = _ORDER.fullmatch(token.word)
    if match is None:
        raise cursor.wrong(f'"{token.text}" is not an order. Orders are written o40.', token, fitting)
    record = resolver.order(OrderNumber(int(match["number"])))
    if record is None:
        working = f" Working: {', '.join(order_choices(resolver))}." if resolver.working_orders() else ""
        raise cursor.wrong(f"There is no order {token.word}.{working}", token, fitting)
    return record


def read_modify(cursor: Cursor, resolver: Resolver) -> ModifyOrder:
    """Read what follows ``modify``: the order, then a new quantity, price or stop; at least one."""
    record = read_order_record(cursor, resolver, order_choices(resolver))
    instrument = resolver.instrument(record.request.instrument)
    place = cursor.peek()
    if instrument is None:
        message = f"{record.request.instrument} is not in today's instruments, so its lot and tick are not known."
        if place is None:
            raise cursor.missing(message)
        raise cursor.wrong(message, place)
    quantity: int | None = None
    price: Decimal | None = None
    stop: Decimal | None = None
    if place is not None and place.word not in CHANGE_WORDS:
        cursor.skip()
        quantity = units_of(cursor, quantity_of(cursor, place), instrument.lot_size)
    while (token := cursor.peek()) is not None and token.word in CHANGE_WORDS:
        cursor.skip()
        if token.word == "stop":
            if stop is not None:
                raise cursor.wrong("The stop is said already; one stop only.", token)
            trigger = cursor.take("Needs the stop's trigger price, such as stop 222.75.")
            stop = read_number_price(cursor, trigger, instrument.tick_size)
            continue
        if price is not None:
            raise cursor.wrong("The price is said already; one price only.", token)
        words = cursor.peek()
        new = read_price(cursor, resolver, instrument, record.request.side)
        if new.limit is None:
            raise cursor.wrong(
                "A resting order is not turned into a market order. Write a price: @ ask.", words or token
            )
        price = new.limit
    cursor.finish("After the order: a quantity, @ price, stop.", CHANGE_WORDS)
    if quantity is None and price is None and stop is None:
        raise cursor.missing(
            "Needs what to change: a quantity (2L), @ price or stop.", (*CHANGE_WORDS, *QUANTITY_CHOICES)
        )
    return ModifyOrder(number=record.number, change=OrderChange(quantity=quantity, price=price, trigger_price=stop))


def read_cancel(cursor: Cursor, resolver: Resolver) -> CancelOrders | CancelPlan:
    """Read what follows ``cancel``: orders, a plan, or ``all``."""
    if is_plan(cursor.peek()):
        return read_cancel_plan(cursor)
    choices = (*order_choices(resolver), "all")
    if cursor.accept("all"):
        cursor.finish("Nothing follows all.")
        return CancelOrders(everything=True)
    token = cursor.peek()
    if token is not None and not _ORDER.fullmatch(token.word) and not token.word.startswith("o"):
        raise cursor.wrong(
            f'"{token.text}" is not an order. Write cancel o40 o41, cancel p1, or cancel all.',
            token,
            choices,
        )
    numbers = [read_order_record(cursor, resolver, choices).number]
    while (token := cursor.peek()) is not None:
        if not _ORDER.fullmatch(token.word):
            cursor.finish("More orders may follow: cancel o40 o41.", order_choices(resolver))
        number = read_order_record(cursor, resolver, choices).number
        if number in numbers:
            raise cursor.wrong(f"{token.word} is named twice.", token)
        numbers.append(number)
    cursor.finish("More orders may follow: cancel o40 o41.", order_choices(resolver))
    return CancelOrders(numbers=tuple(numbers))
