"""Order sentences: what they become, to the last field."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import CancelOrders, ModifyOrder, OrderChange, PlaceOrder
from engine.core.identifiers import OrderNumber, StrategyNumber
from engine.core.orders import OrderRequest
from engine.core.vocabulary import InstrumentKind, OrderType, Product, QuoteState, Side, Validity
from engine.language.parser import interpret
from engine.language.resolver import OrderDefaults
from tests.unit.language.world import DEC_WEEKLIES, MARCH, NEXT_DECEMBER, World, quote


def request_of(text: str, world: World) -> OrderRequest:
    """The order a sentence asks for."""
    meaning = interpret(text, world)
    assert meaning.error is None, meaning.error
    assert isinstance(meaning.command, PlaceOrder)
    return meaning.command.request


def symbol(world: World, underlying: str, expiry: date, strike: int | None, kind: InstrumentKind) -> str:
    """The trading symbol of a contract."""
    row = world._find(underlying, expiry, None if strike is None else Decimal(strike), kind)
    assert row is not None
    return row.tradingsymbol


CALL, PUT, FUTURE = InstrumentKind.CALL, InstrumentKind.PUT, InstrumentKind.FUTURE


def test_the_first_example_to_the_last_field(world: World) -> None:
    """``buy 2L nifty 24000 ce w0 @ 105``: 130 units, limit 105, NRML, DAY, default strategy."""
    meaning = interpret("buy 2L nifty 24000 ce w0 @ 105", world)
    assert meaning.text == "buy 2L nifty 24000 ce w0 @ 105"
    instrument = world.option("NIFTY", DEC_WEEKLIES[0], Decimal(24_000), CALL)
    assert instrument is not None
    assert meaning.command == PlaceOrder(
        request=OrderRequest(
            instrument=instrument.key,
            side=Side.BUY,
            quantity=130,
            order_type=OrderType.LIMIT,
            product=Product.NRML,
            price=Decimal(105),
            validity=Validity.DAY,
        )
    )


@pytest.mark.parametrize(
    ("words", "contract"),
    [
        ("nifty 24000 ce w0", ("NIFTY", DEC_WEEKLIES[0], 24_000, CALL)),
        ("NIFTY 24,000 PE W1", ("NIFTY", DEC_WEEKLIES[1], 24_000, PUT)),
        ("nifty 24000.00 ce", ("NIFTY", DEC_WEEKLIES[0], 24_000, CALL)),
        ("nifty 24k ce 08dec", ("NIFTY", DEC_WEEKLIES[1], 24_000, CALL)),
        ("nifty 24000 ce 8dec26", ("NIFTY", DEC_WEEKLIES[1], 24_000, CALL)),
        ("nifty 24000 ce 8DEC2026", ("NIFTY", DEC_WEEKLIES[1], 24_000, CALL)),
        ("nifty 24000 ce m0", ("NIFTY", DEC_WEEKLIES[4], 24_000, CALL)),
        ("nifty 24000 ce q1", ("NIFTY", MARCH, 24_000, CALL)),
        ("nifty 24000 ce 28dec", ("NIFTY", NEXT_DECEMBER, 24_000, CALL)),
        ("nifty50 24000 ce w0", ("NIFTY", DEC_WEEKLIES[0], 24_000, CALL)),
        ("nifty atm pe w0", ("NIFTY", DEC_WEEKLIES[0], 24_400, PUT)),
        ("nifty atm+100 ce w0", ("NIFTY", DEC_WEEKLIES[0], 24_500, CALL)),
        ("nifty atm -50 pe w0", ("NIFTY", DEC_WEEKLIES[0], 24_350, PUT)),
        ("nifty atm + 50 ce w0", ("NIFTY", DEC_WEEKLIES[0], 24_450, CALL)),
        ("nifty fut", ("NIFTY", DEC_WEEKLIES[4], None, FUTURE)),
        ("nifty FUT m1", ("NIFTY", MARCH, None, FUTURE)),
        ("banknifty fut 29dec", ("BANKNIFTY", DEC_WEEKLIES[4], None, FUTURE)),
        ("sensex 80000 ce w0", ("SENSEX", date(2026, 11, 26), 80_000, CALL)),
    ],
)
def test_contracts(world: World, words: str, contract: tuple[str, date, int | None, InstrumentKind]) -> None:
    """Labels, dates, aliases, number forms and at-the-money offsets lead to one contract."""
    request = request_of(f"buy 1L {words} @ 10", world)
    assert request.instrument.tradingsymbol == symbol(world, *contract)


@pytest.mark.parametrize(
    ("quantity", "contract", "units"),
    [
        ("2L", "nifty 24000 ce w0", 130),
        ("2l", "nifty 24000 ce w0", 130),
        ("130", "nifty 24000 ce w0", 130),
        ("1,300", "nifty 24000 ce w0", 1300),
        ("2L", "nifty 24000 ce q1", 150),
        ("150", "nifty 24000 ce q1", 150),
        ("30L", "banknifty fut m0", 900),
        ("1L", "sensex 80000 pe w0", 20),
    ],
)
def test_the_lot_is_the_contracts_own(world: World, quantity: str, contract: str, units: int) -> None:
    """Lots differ between underlyings and between expiries of one underlying."""
    assert request_of(f"sell {quantity} {contract} @ 10", world).quantity == units


@pytest.mark.parametrize(
    ("side", "words", "limit"),
    [
        ("buy", "", "151.60"),
        ("sell", "", "151.20"),
        ("buy", "@ touch", "151.60"),
        ("sell", "@ touch", "151.20"),
        ("buy", "@ bid", "151.20"),
        ("sell", "@ ask", "151.60"),
        ("buy", "@ mid", "151.40"),
        ("sell", "@ MID", "151.40"),
        ("buy", "@bid+0.10", "151.30"),
        ("buy", "@ bid + .10", "151.30"),
        ("sell", "@ ask -0.05", "151.55"),
        ("buy", "@105.05", "105.05"),
        ("buy", "@ 1,005.50", "1005.50"),
    ],
)
def test_limit_prices(world: World, side: str, words: str, limit: str) -> None:
    """Numbers, and the quote's prices at this moment; without a price the touch."""
    request = request_of(f"{side} 1L nifty 24000 ce w0 {words}", world)
    assert (request.order_type, request.price) == (OrderType.LIMIT, Decimal(limit))
    assert request.market_protection is None


def test_a_mid_between_ticks_goes_to_the_side_that_pays_less(world: World) -> None:
    """Mid 151.425: a buy bids 151.40, a sell asks 151.45."""
    world.default_quote = ("151.20", "151.65")
    assert request_of("buy 1L nifty 24000 ce @ mid", world).price == Decimal("151.40")
    assert request_of("sell 1L nifty 24000 ce @ mid", world).price == Decimal("151.45")


@pytest.mark.parametrize(
    ("words", "protection"), [("@ mkt 1%", "1"), ("@ mkt", "-1"), ("@ mkt 0.5%", "0.5"), ("@ mkt auto", "-1")]
)
def test_market_orders_are_protected(world: World, words: str, protection: str) -> None:
    """The stated percentage, or the setting's; never an unprotected order."""
    request = request_of(f"buy 30L banknifty fut m0 {words}", world)
    assert (request.order_type, request.price) == (OrderType.MARKET, None)
    assert request.market_protection == Decimal(protection)


@pytest.mark.parametrize(
    ("words", "kind", "price", "protection"),
    [
        ("stop 222.75 @ 229.40", OrderType.SL, "229.40", None),
        ("@ 229.40 stop 222.75", OrderType.SL, "229.40", None),
        ("stop 222.75 @ mkt 2%", OrderType.SL_M, None, "2"),
    ],
)
def test_stops(world: World, words: str, kind: OrderType, price: str | None, protection: str | None) -> None:
    """With a limit SL, with a protected market price SL-M; the trigger is the stop."""
    request = request_of(f"buy 10L nifty 24350 ce w0 {words}", world)
    assert (request.order_type, request.trigger_price) == (kind, Decimal("222.75"))
    assert request.price == (None if price is None else Decimal(price))
    assert request.market_protection == (None if protection is None else Decimal(protection))


def test_options_in_any_order_and_case(world: World) -> None:
    """Product, validity, price and strategy are each said once, in any order before ``into``."""
    first = request_of("sell 1L nifty 24400 pe w0 MIS ioc @ 151.20 into 3", world)
    second = request_of("SELL 1L NIFTY 24400 PE W0 @151.2 IOC mis INTO #3", world)
    third = request_of("sell 1L nifty 24400 pe w0 @ 151.20 mis ioc into FLY-0920", world)
    assert first == second == third
    assert (first.product, first.validity, first.strategy) == (Product.MIS, Validity.IOC, StrategyNumber(3))


def test_settings_fill_in_what_is_not_said(world: World) -> None:
    """Product, validity and protection come from the user's settings."""
    world.defaults = OrderDefaults(product=Product.MIS, validity=Validity.IOC, market_protection=Decimal(3))
    request = request_of("buy 1L nifty 24000 ce @ mkt", world)
    assert (request.product, request.validity, request.market_protection) == (Product.MIS, Validity.IOC, Decimal(3))


def test_the_default_strategy_is_a_name_too(world: World) -> None:
    """``main`` has no hyphen and is still the name of a strategy."""
    assert request_of("buy 1L nifty 24000 ce @ 105 into main", world).strategy == StrategyNumber(1)


def test_a_one_sided_quote_gives_the_side_it_has(world: World) -> None:
    """Without a bid a buy still meets the ask."""
    world.default_quote = (None, "0.10")
    world.set_state(QuoteState.ONE_SIDED)
    assert request_of("buy 1L nifty 24000 ce", world).price == Decimal("0.10")


def test_reading_does_not_ask_for_a_quote_when_the_price_is_a_number(world: World) -> None:
    """A written price needs no quote."""
    world.quotes = dict.fromkeys((row.token for row in world.rows), None)
    assert request_of("buy 1L nifty 24000 ce @ 105", world).price == Decimal(105)


def test_the_price_is_that_of_the_moment(world: World) -> None:
    """The same words give another price when the quote has moved."""
    before = request_of("buy 1L nifty 24000 ce w0", world)
    token = next(row.token for row in world.rows if row.key == before.instrument)
    world.quotes[token] = quote(token, "160.00", "160.50")
    assert request_of("buy 1L nifty 24000 ce w0", world) == msgspec.structs.replace(before, price=Decimal("160.50"))


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("4L", OrderChange(quantity=260)),
        ("65", OrderChange(quantity=65)),
        ("@ 53.05", OrderChange(price=Decimal("53.05"))),
        ("@ touch", OrderChange(price=Decimal("151.20"))),
        ("1L @ 53 stop 52.50", OrderChange(quantity=65, price=Decimal(53), trigger_price=Decimal("52.50"))),
        ("stop 52.5", OrderChange(trigger_price=Decimal("52.5"))),
    ],
)
def test_modifications(world: World, words: str, change: OrderChange) -> None:
    """Quantity, price and stop of a resting order; its own side decides the touch."""
    assert interpret(f"modify o38 {words}", world).command == ModifyOrder(number=OrderNumber(38), change=change)


def test_cancellations(world: World) -> None:
    """Named orders, or everything."""
    assert interpret("cancel o38", world).command == CancelOrders(numbers=(OrderNumber(38),))
    assert interpret("CANCEL O38 o40", world).command == CancelOrders(numbers=(OrderNumber(38), OrderNumber(40)))
    assert interpret("cancel all", world).command == CancelOrders(everything=True)
