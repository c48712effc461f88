"""ORD-7 and the triggers and conversions of ORD-1, on the practice exchange: kinds, modifications, GTT, products."""

from __future__ import annotations

import argparse
import contextlib
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from engine.core.commands import ConvertPosition, DeleteGtt, ModifyGtt, ModifyOrder, OrderChange, PlaceGtt, PlaceOrder
from engine.core.errors import RateLimited
from engine.core.funds_margin import MarginAnswer
from engine.core.instructions import InstructionState
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest, OrderState
from engine.core.positions import BrokerPosition
from engine.core.standing_triggers import Gtt, GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import OrderType, Product, Side, Validity, Variety
from tests.kit.desk_host import (
    TICK,
    Exchange,
    Option,
    booked,
    comes_to,
    eventually,
    filled,
    live_chain,
    main_strategy,
    preview_with_margin,
)
from workstation.assembly import Host
from workstation.cli.exit_codes import ExitCode
from workstation.cli.gtt import convert, gtt

pytestmark = pytest.mark.asyncio(loop_scope="module")

BROKER_POLL_S = 0.3


class Ladder:
    """Options of one chain, counted from the strike that was at the money when the first test looked.

    Tests take a contract each and count what stands in it; the market moves, and with it the money.
    """

    def __init__(self, host: Host) -> None:
        """``host`` is the module's."""
        self._host = host
        self._middle: float | None = None

    async def option(self, kind: str, rows_out: int) -> tuple[Option, Instrument]:
        """An option so many strikes out of what was the money, with its prices now, and its row of the dump."""
        view = await live_chain(self._host.client)
        if self._middle is None:
            self._middle = view.header.atm_strike
        header = msgspec.structs.replace(view.header, atm_strike=self._middle)
        option = Option(msgspec.structs.replace(view, header=header), kind, rows_out)
        return option, self._host.engine.day.index.by_token(option.token)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ladder(shared_host: Host) -> Ladder:
    """The module's."""
    return Ladder(shared_host)


def limit(instrument: Instrument, side: Side, quantity: int, price: Decimal, **fields: Any) -> OrderRequest:
    """A limit order."""
    base = OrderRequest(instrument=instrument.key, side=side, quantity=quantity, price=price)
    return msgspec.structs.replace(base, **fields)


async def test_every_kind_the_exchange_takes_is_taken(shared_host: Host, ladder: Ladder) -> None:
    """IOC, a time to live, a protected market order and a stop go the whole way, with their terms at the exchange."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    option, instrument = await ladder.option("ce", 2)
    lot = option.lot
    kinds = {
        "ioc": (limit(instrument, Side.BUY, lot, option.low, validity=Validity.IOC), OrderState.CANCELLED),
        "ttl": (
            limit(instrument, Side.BUY, lot, option.low, validity=Validity.TTL, validity_ttl=3),
            OrderState.OPEN,
        ),
        "market": (
            msgspec.structs.replace(
                limit(instrument, Side.BUY, lot, option.ask),
                order_type=OrderType.MARKET,
                price=None,
                market_protection=Decimal(5),
            ),
            OrderState.COMPLETE,
        ),
    }
    for name, (request, state) in kinds.items():
        receipt = await client.submit(PlaceOrder(request=request))
        assert receipt.accepted, (name, receipt.message)
        record = await comes_to(client, receipt.orders[0].number, state)
        (row,) = [item for item in await exchange.orders() if item["order_id"] == record.broker_order_id]
        assert row["validity"] == request.validity, name
        assert row["validity_ttl"] == (request.validity_ttl or 0), name


async def test_an_iceberg_comes_leg_by_leg_and_all_of_it_is_ours(shared_host: Host, ladder: Ladder) -> None:
    """Two legs of a lot: the fills of both are of the strategy, and what is to come counts while the first rests."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    option, instrument = await ladder.option("ce", 3)
    request = limit(
        instrument,
        Side.BUY,
        2 * option.lot,
        option.ask + 20 * TICK,
        variety=Variety.ICEBERG,
        iceberg_legs=2,
        iceberg_quantity=option.lot,
    )
    receipt = await client.submit(PlaceOrder(request=request))
    assert receipt.accepted, receipt.message

    async def held() -> bool:
        rows = [row for row in await client.positions() if row.instrument == instrument.key]
        return sum(row.signed_quantity for row in rows) == 2 * option.lot

    await eventually(held, "both legs", poll_s=BROKER_POLL_S)
    legs = [row for row in await exchange.orders() if row["tradingsymbol"] == instrument.tradingsymbol]
    assert [(row["variety"], row["quantity"], row["status"]) for row in legs] == [
        ("iceberg", option.lot, "COMPLETE")
    ] * 2

    async def in_strategy() -> int:
        value = await main_strategy(client)
        return sum(leg.leg.holding.signed_quantity for leg in value.legs if leg.leg.instrument == instrument.key)

    async def all_booked() -> bool:
        return await in_strategy() == 2 * option.lot

    await eventually(all_booked, "both legs in the ledger")


async def test_what_the_exchange_does_not_take_is_refused_in_words(shared_host: Host, ladder: Ladder) -> None:
    """A cover and an auction order are sent, and its no stands on the order."""
    client = shared_host.client
    option, instrument = await ladder.option("ce", 2)
    plain = limit(instrument, Side.BUY, option.lot, option.low)
    for request, words in (
        (msgspec.structs.replace(plain, variety=Variety.CO, trigger_price=TICK * 20), "Cover orders"),
        (msgspec.structs.replace(plain, variety=Variety.AUCTION, auction_number="22"), "Auction orders"),
    ):
        receipt = await client.submit(PlaceOrder(request=request))
        assert receipt.accepted, receipt.message
        record = await comes_to(client, receipt.orders[0].number, OrderState.REJECTED)
        assert words in record.message


async def test_a_resting_limit_becomes_a_protected_market_order(shared_host: Host, ladder: Ladder) -> None:
    """A modification changes the type with its protection; the book shows the limit that it makes, and it fills."""
    client = shared_host.client
    option, instrument = await ladder.option("pe", 4)
    receipt = await client.submit(PlaceOrder(request=limit(instrument, Side.BUY, option.lot, option.low)))
    number = receipt.orders[0].number
    await comes_to(client, number, OrderState.OPEN)
    bare = await client.submit(ModifyOrder(number=number, change=OrderChange(order_type=OrderType.MARKET)))
    assert [violation.check for violation in bare.violations] == ["protection"]
    change = OrderChange(order_type=OrderType.MARKET, market_protection=Decimal(-1))
    receipt = await client.submit(ModifyOrder(number=number, change=change))
    assert receipt.accepted, receipt.message
    await comes_to(client, number, OrderState.COMPLETE)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def triggers_are_reached(shared_host: Host, ladder: Ladder) -> None:
    """Answers that a test before this one has lost count towards the breaker of one host: one that comes ends that."""
    client = shared_host.client

    async def failures() -> int:
        (health,) = await client.execution_health()
        return next(breaker.failures for breaker in health.breakers if breaker.endpoint == "triggers")

    async def reached() -> bool:
        if not await failures():
            return True
        option, instrument = await ladder.option("pe", 8)
        made = await client.submit(PlaceGtt(request=stops(option, instrument)))
        if made.trigger_id is not None:
            await client.submit(DeleteGtt(trigger_id=made.trigger_id))
        return not await failures()

    await eventually(reached, "the broker's triggers", poll_s=BROKER_POLL_S)


async def triggers_of(host: Host, instrument: Instrument) -> list[Gtt]:
    """Triggers of a contract; none while the broker refuses for speed, whose limit the test shares with the engine."""
    try:
        return [row for row in await host.client.gtts() if row.request.instrument == instrument.key]
    except RateLimited:
        return []


def stops(option: Option, instrument: Instrument, *, units: int = 1) -> GttRequest:
    """Two triggers around the market, on the tick."""
    low, high = option.last / 2 // TICK * TICK, option.last * 2 // TICK * TICK
    orders = [
        GttOrder(trigger_price=price, side=Side.SELL, quantity=units * option.lot, price=price - TICK)
        for price in (low, high)
    ]
    return GttRequest(instrument=instrument.key, kind=GttKind.OCO, orders=tuple(orders))


async def test_a_trigger_whose_answer_is_lost_is_found_and_not_doubled(shared_host: Host, ladder: Ladder) -> None:
    """Accepted and the connection dropped: one trigger stands, ours, found without a tag; changed and deleted then."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    option, instrument = await ladder.option("ce", 5)
    request = stops(option, instrument)
    await exchange.fault("drop_answer", method="POST", path="/gtt/")
    command = PlaceGtt(request=request, idempotency_key="stops")
    assert (await client.preview(command)).violations == ()
    receipt = await client.submit(command, seat="test")
    assert (receipt.accepted, receipt.instruction_state) == (True, InstructionState.UNKNOWN), receipt.message

    async def found() -> Gtt | None:
        rows = await triggers_of(shared_host, instrument)
        return rows[0] if len(rows) == 1 and rows[0].status is GttStatus.ACTIVE else None

    trigger = await eventually(found, "the trigger", poll_s=BROKER_POLL_S)
    again = await client.submit(command)
    assert (again.repeated, again.trigger_id, again.instruction_state) == (
        True,
        trigger.trigger_id,
        InstructionState.DONE,
    )
    theirs = [
        row
        for row in await exchange.ask("GET", "/gtt/triggers")
        if row["condition"]["tradingsymbol"] == instrument.tradingsymbol
    ]
    assert [row["id"] for row in theirs] == [trigger.trigger_id]
    other = msgspec.structs.replace(
        request, orders=(msgspec.structs.replace(request.orders[0], price=TICK * 2), request.orders[1])
    )
    await exchange.fault("drop_answer", method="PUT", path="/gtt/")
    changed = await client.submit(ModifyGtt(trigger_id=trigger.trigger_id, request=other))
    assert changed.accepted, changed.message

    async def as_changed() -> bool:
        return any(row.request == other for row in await triggers_of(shared_host, instrument))

    await eventually(as_changed, "the change", poll_s=BROKER_POLL_S)
    gone = await client.submit(DeleteGtt(trigger_id=trigger.trigger_id))
    assert gone.instruction_state is InstructionState.DONE

    async def deleted() -> bool:
        return [row.status for row in await triggers_of(shared_host, instrument)] == [GttStatus.DELETED]

    await eventually(deleted, "the end of the trigger", poll_s=BROKER_POLL_S)


async def test_a_trigger_that_never_arrived_is_given_up_and_never_sent_again(shared_host: Host, ladder: Ladder) -> None:
    """The connection is reset before it is carried out: after the window it is presumed absent, and none stands."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    option, instrument = await ladder.option("pe", 5)
    await exchange.fault("reset_before", method="POST", path="/gtt/")
    receipt = await client.submit(PlaceGtt(request=stops(option, instrument)))
    assert receipt.instruction_state is InstructionState.UNKNOWN

    async def given_up() -> bool:
        rows = await triggers_of(shared_host, instrument)
        return [row.status for row in rows] == [GttStatus.PRESUMED_ABSENT]

    await eventually(given_up, "the end of the search", poll_s=BROKER_POLL_S)
    texts = [event.text for event in await client.events()]
    assert any("PRESUMED ABSENT" in text and instrument.tradingsymbol in text for text in texts)


async def products(host: Host, instrument: Instrument) -> dict[Product, int]:
    """What the broker holds of a contract, by product."""
    rows: list[BrokerPosition] = [row for row in await host.client.positions() if row.instrument == instrument.key]
    return {row.product: row.signed_quantity for row in rows if row.signed_quantity}


async def test_a_conversion_whose_answer_is_lost_is_found_by_comparing_products(
    shared_host: Host, ladder: Ladder
) -> None:
    """Done and the connection dropped: done once, the ledger follows it; one that never arrived changes nothing."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    option, instrument = await ladder.option("pe", 3)
    record = await filled(client, f"buy 2L {option.words} @ ask+4")
    await booked(client, record)
    command = ConvertPosition(
        instrument=instrument.key,
        side=Side.BUY,
        quantity=option.lot,
        from_product=Product.NRML,
        to_product=Product.MIS,
        idempotency_key="lost conversion",
    )
    await exchange.fault("drop_answer", method="PUT", path="/portfolio/positions")
    receipt = await client.submit(command)
    assert (receipt.accepted, receipt.instruction_state) == (True, InstructionState.UNKNOWN), receipt.message

    async def in_ledger() -> bool:
        legs = [leg.leg for leg in (await main_strategy(client)).legs if leg.leg.instrument == instrument.key]
        return {leg.product: leg.holding.signed_quantity for leg in legs} == {
            Product.NRML: option.lot,
            Product.MIS: option.lot,
        }

    await eventually(in_ledger, "the ledger's own conversion")
    assert await products(shared_host, instrument) == {Product.NRML: option.lot, Product.MIS: option.lot}
    again = await client.submit(command)
    assert (again.repeated, again.instruction_state) == (True, InstructionState.DONE)
    assert await products(shared_host, instrument) == {Product.NRML: option.lot, Product.MIS: option.lot}
    await exchange.fault("reset_before", method="PUT", path="/portfolio/positions")
    lost = await client.submit(msgspec.structs.replace(command, idempotency_key="never arrived"))
    assert lost.instruction_state is InstructionState.UNKNOWN

    async def given_up() -> bool:
        told = await client.submit(msgspec.structs.replace(command, idempotency_key="never arrived"))
        return told.instruction_state is InstructionState.PRESUMED_ABSENT

    await eventually(given_up, "the end of the search", poll_s=BROKER_POLL_S)
    assert await products(shared_host, instrument) == {Product.NRML: option.lot, Product.MIS: option.lot}


async def test_margins_of_one_order_and_of_a_basket(shared_host: Host, ladder: Ladder) -> None:
    """A spread needs less once both legs are there than while they come; a preview names the margin of its order."""
    client = shared_host.client
    near, sold = await ladder.option("ce", 1)
    far, wing = await ladder.option("ce", 6)
    legs = (
        limit(sold, Side.SELL, near.lot, near.bid),
        limit(wing, Side.BUY, far.lot, far.ask),
    )

    async def asked() -> MarginAnswer | None:
        with contextlib.suppress(RateLimited):  # the exchange's limits are shared with the tests before this one
            return await client.basket_margin(legs)
        return None

    answer = await eventually(asked, "the margin of a basket", poll_s=BROKER_POLL_S)
    assert answer.margin.final < answer.margin.initial
    assert len(answer.margin.orders) == 2
    assert answer.available is not None
    assert answer.available > 0
    preview = await preview_with_margin(client, PlaceOrder(request=legs[0]))
    assert preview.margin is not None
    assert preview.margin > 0
    assert not [note for note in preview.notes if "margin" in note]


def words(**fields: Any) -> argparse.Namespace:
    """Words of a command line."""
    base = {"account": None, "dry_run": False, "yes": True, "json": True, "key": None}
    return argparse.Namespace(**(base | fields))


async def test_the_commands_do_the_same(shared_host: Host, ladder: Ladder, capsys: pytest.CaptureFixture[str]) -> None:
    """``gtt place``, ``list``, ``delete`` and ``convert`` in JSON; a dry run sends nothing."""
    client = shared_host.client
    option, instrument = await ladder.option("ce", 4)
    await filled(client, f"buy 1L {option.words} @ ask+4")
    request = stops(option, instrument)
    placing = {
        "step": "place",
        "sentence": f"sell 1L {option.words} @ {request.orders[0].price}",
        "trigger": str(request.orders[0].trigger_price),
        "target_trigger": str(request.orders[1].trigger_price),
        "target_price": str(request.orders[1].price),
    }
    assert await gtt(client, words(**placing, dry_run=True)) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["sent"] is False
    assert await gtt(client, words(**placing)) is ExitCode.DONE
    placed = json.loads(capsys.readouterr().out)["receipt"]
    assert await gtt(client, words(step="list")) is ExitCode.DONE
    (row,) = [item for item in json.loads(capsys.readouterr().out) if item["trigger_id"] == placed["trigger_id"]]
    assert (row["status"], row["request"]["kind"], len(row["request"]["orders"])) == ("active", "two-leg", 2)
    assert await gtt(client, words(step="delete", id=placed["trigger_id"])) is ExitCode.DONE
    capsys.readouterr()
    turned = words(quantity="1L", contract=option.words, to="mis", product=None)
    assert await convert(client, turned) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["sent"] is True
    assert await products(shared_host, instrument) == {Product.MIS: option.lot}
