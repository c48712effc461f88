"""ORD-11 on the practice exchange: the phone is adopted, and a difference is an item until it is explained."""

from __future__ import annotations

from engine.core.commands import ExplainMismatch, Reconcile
from engine.core.identifiers import InstrumentKey
from engine.core.orders import OrderRecord, OrderState
from engine.core.reconciling import Mismatch, MismatchKind, MismatchState
from engine.core.vocabulary import Product, Side
from tests.integration.execution.phone import Phone
from tests.kit.desk_host import BROKER_POLL_S, Desk, Option, attached, booked, eventually, filled, live_chain, say
from workstation.assembly import Host

NRML, MIS = Product.NRML, Product.MIS
SETTLE_S = 0.3


async def compared(host: Host) -> tuple[Mismatch, ...]:
    """What is listed about positions after a comparison on demand."""
    receipt = await host.client.submit(Reconcile())
    assert receipt.accepted, receipt.message
    return tuple(item for item in await host.client.mismatches() if item.kind is MismatchKind.POSITION)


async def adopted(host: Host, order_id: str, state: OrderState) -> OrderRecord:
    """An order of the phone, once the desk has it in a state."""

    async def found() -> OrderRecord | None:
        rows = await host.client.orders()
        return next((row for row in rows if row.broker_order_id == order_id and row.state is state), None)

    return await eventually(found, f"the phone's order {order_id} {state}")


async def converted(host: Host, lots: int = 3) -> tuple[InstrumentKey, int]:
    """Buy some lots and let the phone turn one of them into another product; the contract and its lot."""
    option = Option(await live_chain(host.client), "ce", 1)
    bought = await filled(host.client, f"buy {lots}L {option.words} @ ask+2")
    key = bought.request.instrument
    await Phone(host).convert(key.tradingsymbol, Side.BUY, option.lot, NRML, MIS)
    return key, option.lot


async def explained(host: Host, items: tuple[Mismatch, ...]) -> Mismatch:
    """Explain the one about the carried product."""
    first = next(item for item in items if str(NRML) in item.subject)
    words = "converted on the phone"
    told = await host.client.submit(ExplainMismatch(mismatch=first.mismatch_id, words=words), seat="seat-7")
    assert told.accepted, told.message
    return first


async def test_ord_11_a_conversion_on_the_phone_is_an_item_that_outlives_the_engine(desk: Desk) -> None:
    """Both products differ; one is explained; the next engine lists both as they were, over its door too."""
    desk.changed(orders={"mismatch_settle_s": SETTLE_S})
    async with desk.opened() as host:
        key, lot = await converted(host)
        items = await compared(host)
        assert {(item.subject, item.difference, item.state) for item in items} == {
            (f"{key} {NRML}", f"{-lot:+d}", MismatchState.OPEN),
            (f"{key} {MIS}", f"{lot:+d}", MismatchState.OPEN),
        }
        assert all(str(lot) in item.words for item in items)
        assert sum("Mismatch: " in sentence for sentence in host.engine.degraded) == 2
        refused = await host.client.submit(ExplainMismatch(mismatch=items[0].mismatch_id, words=" "))
        assert not refused.accepted
        first = await explained(host, items)
    async with desk.opened(with_door=True) as host:
        async with attached(host) as remote:
            kept = {item.mismatch_id: item for item in await remote.mismatches()}
        again = kept[first.mismatch_id]
        assert len(kept) == 2
        assert (again.state, again.explanation, again.explained_by, again.first_seen) == (
            MismatchState.EXPLAINED,
            "converted on the phone",
            "seat-7",
            first.first_seen,
        )


async def test_ord_11_another_figure_opens_an_explained_item_and_agreement_ends_it(desk: Desk) -> None:
    """A second lot converted: what was explained is open again; all turned back: both items are gone."""
    desk.changed(orders={"mismatch_settle_s": SETTLE_S})
    async with desk.opened() as host:
        phone = Phone(host)
        key, lot = await converted(host)
        first = await explained(host, await compared(host))
        await phone.convert(key.tradingsymbol, Side.BUY, lot, NRML, MIS)
        states = {item.mismatch_id: (item.state, item.difference) for item in await compared(host)}
        assert states[first.mismatch_id] == (MismatchState.OPEN, f"{-2 * lot:+d}")
        await phone.convert(key.tradingsymbol, Side.BUY, 2 * lot, MIS, NRML)
        assert {item.state for item in await compared(host)} == {MismatchState.GONE}
        assert not any("Mismatch" in sentence for sentence in host.engine.degraded)
        texts = [event.text for event in await host.client.events()]
        assert sum(text.startswith("Mismatch gone") for text in texts) == 2


async def test_ord_11_orders_and_slices_of_the_phone_are_adopted_with_their_fills(desk: Desk) -> None:
    """A filled one is booked; of a large one every slice is adopted; nothing is left to explain."""
    async with desk.opened() as host:
        option = Option(await live_chain(host.client), "pe", 1)
        row = host.engine.day.index.get(option.token)
        assert row is not None
        phone = Phone(host)
        order_id = await phone.place(row.tradingsymbol, Side.BUY, option.lot)
        await host.client.submit(Reconcile())
        record = await adopted(host, order_id, OrderState.COMPLETE)
        assert record.intent_id is None
        assert sum(fill.quantity for fill in await booked(host.client, record)) == option.lot
        freeze = host.engine.day.rules.freeze_quantity(row.name, host.engine.day.today())
        assert freeze is not None
        lots = 2 * (freeze // option.lot)
        before = {order.number for order in await host.client.orders()}
        await phone.place(row.tradingsymbol, Side.BUY, lots * option.lot, price=option.low, autoslice="true")

        await host.client.submit(Reconcile())

        async def slices() -> list[OrderRecord] | None:
            fresh = [order for order in await host.client.orders() if order.number not in before]
            rests = [order for order in fresh if order.state is OrderState.OPEN]
            return rests if sum(order.request.quantity for order in rests) == lots * option.lot else None

        found = await eventually(slices, "every slice", poll_s=BROKER_POLL_S)
        assert len(found) >= 2
        receipt = await host.client.submit(Reconcile())
        assert "no open mismatch" in receipt.message
        assert (await say(host.client, "cancel all")).accepted
