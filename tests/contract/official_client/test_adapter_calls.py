"""Our own adapter beside the official client: the same requests on the wire, and the same answers read from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from engine.brokers.kite.rest import KiteOrderRoad, KiteReads
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.transport import KiteTransport
from engine.clocks import SystemClock
from engine.core.commands import OrderChange
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, OrderTag
from engine.core.instructions import Conversion
from engine.core.orders import OrderRequest
from engine.core.standing_triggers import Gtt, GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import Exchange, OrderType, Product, Side, Validity, Variety
from tests.contract.official_client.conftest import Build, Trader
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, PracticeProcess
from tests.kit.scripted_kite import Received, ScriptedKite, success

KEY = InstrumentKey(Exchange.NFO, "NIFTY26NOV24000CE")
TAG = OrderTag("WSABCDEFGHIJKLMNOP")
ORDER_ID = BrokerOrderId("261119000000001")
SYMBOL = {"exchange": "NFO", "tradingsymbol": "NIFTY26NOV24000CE"}
OCO = GttRequest(
    instrument=KEY,
    kind=GttKind.OCO,
    orders=(
        GttOrder(trigger_price=Decimal("60.05"), side=Side.SELL, quantity=65, price=Decimal("58.35")),
        GttOrder(trigger_price=Decimal(180), side=Side.SELL, quantity=65, price=Decimal("179.95")),
    ),
)
OCO_WORDS: dict[str, Any] = {
    **SYMBOL,
    "trigger_type": "two-leg",
    "trigger_values": [60.05, 180.0],
    "last_price": 105.25,
    "orders": [
        {"transaction_type": "SELL", "quantity": 65, "order_type": "LIMIT", "product": "NRML", "price": price}
        for price in (58.35, 179.95)
    ],
}
LAST = Decimal("105.25")
Ours = Callable[[KiteOrderRoad], Awaitable[object]]
Theirs = Callable[[Any], object]


def order(**fields: Any) -> OrderRequest:
    """A buy of two lots."""
    base = OrderRequest(instrument=KEY, side=Side.BUY, quantity=130, price=Decimal("105.35"))
    return msgspec.structs.replace(base, **fields)


PLAIN: dict[str, Any] = {**SYMBOL, "transaction_type": "BUY", "quantity": 130, "product": "NRML", "tag": TAG}
CALLS: dict[str, tuple[Ours, Theirs]] = {
    "time to live": (
        lambda road: road.place_order(order(validity=Validity.TTL, validity_ttl=5), TAG),
        lambda kite: kite.place_order(
            "regular", order_type="LIMIT", price=105.35, validity="TTL", validity_ttl=5, **PLAIN
        ),
    ),
    "iceberg": (
        lambda road: road.place_order(order(variety=Variety.ICEBERG, iceberg_legs=2, iceberg_quantity=65), TAG),
        lambda kite: kite.place_order(
            "iceberg", order_type="LIMIT", price=105.35, validity="DAY", iceberg_legs=2, iceberg_quantity=65, **PLAIN
        ),
    ),
    "after hours": (
        lambda road: road.place_order(order(variety=Variety.AMO, product=Product.MIS), TAG),
        lambda kite: kite.place_order(
            "amo", order_type="LIMIT", price=105.35, validity="DAY", **(PLAIN | {"product": "MIS"})
        ),
    ),
    "auction": (
        lambda road: road.place_order(order(variety=Variety.AUCTION, auction_number="22"), TAG),
        lambda kite: kite.place_order(
            "auction", order_type="LIMIT", price=105.35, validity="DAY", auction_number="22", **PLAIN
        ),
    ),
    "disclosed": (
        lambda road: road.place_order(order(disclosed_quantity=13), TAG),
        lambda kite: kite.place_order(
            "regular", order_type="LIMIT", price=105.35, validity="DAY", disclosed_quantity=13, **PLAIN
        ),
    ),
    "cover with protection": (
        lambda road: road.place_order(
            order(
                variety=Variety.CO,
                order_type=OrderType.MARKET,
                price=None,
                trigger_price=Decimal(90),
                market_protection=Decimal(-1),
            ),
            TAG,
        ),
        lambda kite: kite.place_order(
            "co", order_type="MARKET", validity="DAY", trigger_price=90, market_protection=-1, **PLAIN
        ),
    ),
    "to market": (
        lambda road: road.modify_order(
            ORDER_ID,
            Variety.REGULAR,
            order(),
            OrderChange(order_type=OrderType.MARKET, market_protection=Decimal("2.5")),
        ),
        # The client cannot say a protection in a modification; it is sent as the protocol has it.
        lambda kite: kite._put(
            "order.modify",
            url_args={"variety": "regular", "order_id": ORDER_ID},
            params={
                "variety": "regular",
                "order_id": ORDER_ID,
                "order_type": "MARKET",
                "market_protection": "2.5",
            },
        ),
    ),
    "validity": (
        lambda road: road.modify_order(
            ORDER_ID, Variety.REGULAR, order(), OrderChange(validity=Validity.IOC, disclosed_quantity=13)
        ),
        lambda kite: kite.modify_order("regular", ORDER_ID, validity="IOC", disclosed_quantity=13),
    ),
    "place trigger": (
        lambda road: road.place_gtt(OCO, LAST),
        lambda kite: kite.place_gtt(**OCO_WORDS),
    ),
    "modify trigger": (
        lambda road: road.modify_gtt(123, OCO, LAST),
        lambda kite: kite.modify_gtt(123, **OCO_WORDS),
    ),
    "delete trigger": (lambda road: road.delete_gtt(123), lambda kite: kite.delete_gtt(123)),
    "convert": (
        lambda road: road.convert_position(
            Conversion(
                instrument=KEY,
                side=Side.SELL,
                quantity=65,
                from_product=Product.NRML,
                to_product=Product.MIS,
                overnight=True,
            )
        ),
        lambda kite: kite.convert_position(
            **SYMBOL,
            transaction_type="SELL",
            position_type="overnight",
            quantity=65,
            old_product="NRML",
            new_product="MIS",
        ),
    ),
}


def told(request: Received) -> dict[str, Any]:
    """What a request says: fields of JSON are read, numbers compared as numbers."""
    fields: dict[str, Any] = {}
    for name, text in request.form.items() if request.body else ():
        fields[name] = json.loads(text) if name in {"condition", "orders"} else text
    for name in ("price", "trigger_price", "market_protection"):
        if name in fields:
            fields[name] = Decimal(fields[name])
    return fields


@pytest.mark.parametrize("name", CALLS)
async def test_ours_says_what_the_official_client_says(name: str, official: Callable[..., Any]) -> None:
    """Method, path and every field are equal; only the order of fields may differ."""
    ours, theirs = CALLS[name]
    answer = True if name == "convert" else {"order_id": ORDER_ID, "trigger_id": 123}
    async with ScriptedKite() as server:
        server.script(success(answer))
        transport = KiteTransport(server.root, KiteCredentials(API_KEY, ACCESS_TOKEN))
        try:
            await ours(KiteOrderRoad(transport))
            await asyncio.to_thread(theirs, official(server))
        finally:
            await transport.aclose()
        mine, yours = server.received
    assert (mine.method, mine.path) == (yours.method, yours.path)
    assert told(mine) == told(yours)


async def adapter(process: PracticeProcess) -> tuple[KiteTransport, KiteReads, KiteOrderRoad]:
    """Our adapter on the practice exchange."""
    transport = KiteTransport(process.root, KiteCredentials(API_KEY, ACCESS_TOKEN))
    clock = SystemClock()
    reads = KiteReads(transport, account=AccountId("PRACTICE"), clock=clock, random=Random(1))  # noqa: S311 - jitter
    return transport, reads, KiteOrderRoad(transport, reads.others)


async def test_a_trigger_of_ours_reads_the_same_in_both(exchange: PracticeProcess, official: Build) -> None:
    """Placed by our adapter, listed by the official client, read back by ours: exact, with its times in UTC."""
    kite = official(exchange)
    trader = Trader(kite, exchange)
    option = await asyncio.to_thread(trader.option, 7)
    last = Decimal(str((await asyncio.to_thread(trader.quote, option))["last_price"]))
    tick = Decimal("0.05")
    request = GttRequest(
        instrument=InstrumentKey(Exchange.NFO, option["tradingsymbol"]),
        kind=GttKind.SINGLE,
        orders=(
            GttOrder(
                trigger_price=last * 3 // tick * tick,
                side=Side.SELL,
                quantity=option["lot_size"],
                price=last * 2 // tick * tick + tick,
            ),
        ),
    )
    transport, reads, road = await adapter(exchange)
    try:
        trigger_id = await road.place_gtt(request, last)
        theirs = await asyncio.to_thread(kite.get_gtt, trigger_id)
        (mine,) = [row for row in await reads.gtts() if row.trigger_id == trigger_id]
        assert mine == Gtt(
            trigger_id=trigger_id,
            account=AccountId("PRACTICE"),
            request=request,
            status=GttStatus.ACTIVE,
            created_at=mine.created_at,
            updated_at=mine.updated_at,
            expires_at=mine.expires_at,
            last_price=last,
        )
        assert Decimal(str(theirs["condition"]["trigger_values"][0])) == request.orders[0].trigger_price
        assert Decimal(str(theirs["orders"][0]["price"])) == request.orders[0].price
        assert mine.created_at is not None
        local = datetime.fromisoformat(f"{theirs['created_at']}+05:30")
        assert mine.created_at == local.astimezone(UTC)
        assert await road.delete_gtt(trigger_id) == trigger_id
        (gone,) = [row for row in await reads.gtts() if row.trigger_id == trigger_id]
        assert gone.status is GttStatus.DELETED
    finally:
        await transport.aclose()


async def test_margins_of_a_basket_are_those_the_official_client_is_told(
    exchange: PracticeProcess, official: Build
) -> None:
    """Initial, final and each leg, to the paisa; the final never more than the initial."""
    kite = official(exchange)
    trader = Trader(kite, exchange)
    near, far = [await asyncio.to_thread(trader.option, steps, "CE", "BANKNIFTY") for steps in (2, 6)]
    legs = [
        OrderRequest(
            instrument=InstrumentKey(Exchange.NFO, row["tradingsymbol"]),
            side=side,
            quantity=row["lot_size"],
            price=Decimal(100),
        )
        for row, side in ((near, Side.SELL), (far, Side.BUY))
    ]
    words = [
        {
            "exchange": "NFO",
            "tradingsymbol": leg.instrument.tradingsymbol,
            "transaction_type": leg.side,
            "variety": "regular",
            "product": "NRML",
            "order_type": "LIMIT",
            "quantity": leg.quantity,
            "price": 100.0,
            "trigger_price": 0,
        }
        for leg in legs
    ]
    transport, reads, _ = await adapter(exchange)
    try:
        await asyncio.to_thread(exchange.request, "POST", "/practice/clock", {"speed": 0.0})
        mine = await reads.basket_margins(legs)
        theirs = await asyncio.to_thread(kite.basket_order_margins, words, consider_positions=True)
    finally:
        await asyncio.to_thread(exchange.request, "POST", "/practice/clock", {"speed": 1.0})
        await transport.aclose()
    assert float(mine.initial) == pytest.approx(theirs["initial"]["total"], abs=0.01)
    assert float(mine.final) == pytest.approx(theirs["final"]["total"], abs=0.01)
    assert [float(each) for each in mine.orders] == pytest.approx([row["total"] for row in theirs["orders"]], abs=0.01)
    assert float(mine.final_parts.span) == pytest.approx(theirs["final"]["span"], abs=0.01)
    assert mine.final <= mine.initial
