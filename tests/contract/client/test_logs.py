"""What never conflates: orders and events, each change in its order, at the reader's own pace."""

from __future__ import annotations

import asyncio

from engine.core.commands import PlaceOrder
from engine.core.orders import OrderState
from engine.following import follow_events, follow_orders
from tests.contract.client.harness import ClientHarness

PATIENCE_S = 10.0


async def test_orders_begin_with_a_snapshot(harness: ClientHarness) -> None:
    """Whoever begins to read is given every order as it stands, at once."""
    receipt = await harness.client.submit(PlaceOrder(request=harness.request))
    async with asyncio.timeout(PATIENCE_S):
        changes = await harness.client.next_orders()
    assert changes.base == 0
    assert receipt.orders[0].number in {record.number for record in changes.orders}


async def test_every_change_of_an_order_is_read_in_order(harness: ClientHarness) -> None:
    """From the place after the snapshot on nothing is left out: places and changes count the same."""
    place = (await harness.client.next_orders()).sequence
    receipt = await harness.client.submit(PlaceOrder(request=harness.request))
    number = receipt.orders[0].number
    states: list[OrderState] = []
    async with asyncio.timeout(PATIENCE_S):
        while not states or states[-1].is_working:
            changes = await harness.client.next_orders(place)
            assert changes.base == place
            assert changes.sequence == place + len(changes.orders)
            place = changes.sequence
            states += [record.state for record in changes.orders if record.number == number]
    assert states[-1] is OrderState.COMPLETE


async def test_a_reader_with_nothing_new_waits(harness: ClientHarness) -> None:
    """And is woken by what happens, without asking again and again."""
    place = (await harness.client.next_events()).sequence
    waiting = asyncio.create_task(harness.client.next_events(place))
    await harness.change_desk()
    async with asyncio.timeout(PATIENCE_S):
        changes = await waiting
    assert changes.base == place
    assert changes.events


async def test_a_reader_that_gives_up_leaves_nothing_behind(harness: ClientHarness) -> None:
    """Cancelled while waiting, it can begin again at its place."""
    place = (await harness.client.next_events()).sequence
    waiting = asyncio.create_task(harness.client.next_events(place))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await harness.change_desk()
    async with asyncio.timeout(PATIENCE_S):
        assert (await harness.client.next_events(place)).events


async def test_a_place_that_never_was_gives_a_snapshot(harness: ClientHarness) -> None:
    """Of another engine's numbers, say: everything anew instead of a wait for ever."""
    async with asyncio.timeout(PATIENCE_S):
        assert (await harness.client.next_orders(10**9)).base == 0
        assert (await harness.client.next_events(10**9)).base == 0


async def test_two_readers_read_the_same(harness: ClientHarness) -> None:
    """Neither takes anything away from the other."""
    places = [(await harness.client.next_events()).sequence for _ in range(2)]
    await harness.change_desk()
    async with asyncio.timeout(PATIENCE_S):
        first, second = [await harness.client.next_events(place) for place in places]
    assert first.events[0] == second.events[0]


async def test_following_orders_is_a_plain_loop(harness: ClientHarness) -> None:
    """A script places an order and reads until it is done."""
    receipt = await harness.client.submit(PlaceOrder(request=harness.request))
    number = receipt.orders[0].number
    async with asyncio.timeout(PATIENCE_S):
        async for record in follow_orders(harness.client):
            if record.number == number and not record.state.is_working:
                break
    assert record.state is OrderState.COMPLETE


async def test_following_events_is_a_plain_loop(harness: ClientHarness) -> None:
    """Events come with sequences that grow, none twice."""
    seen: list[int] = []
    await harness.change_desk()
    async with asyncio.timeout(PATIENCE_S):
        async for event in follow_events(harness.client):
            seen.append(event.sequence)
            if len(seen) == 1:
                await harness.change_desk()
            if len(seen) >= 2:
                break
    assert seen == sorted(set(seen))
