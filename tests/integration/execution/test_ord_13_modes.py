"""ORD-13 over the socket: modes belong to seats. What one terminal arms, no other has armed, and it goes with it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from engine.client import EngineClient
from engine.core.commands import MakePlan, PlaceOrder, Receipt, SetMode, TouchSeat
from engine.core.orders import OrderState
from engine.core.plans import AtTime
from engine.core.vocabulary import Mode, OrderType
from engine.server.remote_client import RemoteClient
from tests.kit.desk_host import Option, attached, comes_to, live_chain, say, until
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextlib.asynccontextmanager
async def two_seats(host: Host) -> AsyncIterator[tuple[RemoteClient, RemoteClient]]:
    """Two terminals at one engine."""
    async with attached(host) as one, attached(host) as two:
        yield one, two


async def arm(client: RemoteClient, mode: Mode, lots: int | None = None) -> None:
    """Arm a seat and wait until its own picture says so."""
    receipt = await client.submit(SetMode(mode=mode, lots=lots))
    assert receipt.accepted, receipt.message
    await until(lambda: client.desk().status.mode is mode, f"{mode} on the desk of {client.seat}")


async def stroke(client: EngineClient, option: Option, lots: int = 1) -> Receipt:
    """What one key sends."""
    meaning = await client.interpret(f"buy {lots}L {option.words} @ ask+2")
    assert isinstance(meaning.command, PlaceOrder)
    return await client.submit(msgspec.structs.replace(meaning.command, stroke=True))


async def test_hot_of_one_seat_arms_no_other(shared_host: Host) -> None:
    """One terminal sends by one key within its lots; the other and the engine's own are as before, and say so."""
    option = Option(await live_chain(shared_host.client), "ce", 4)
    async with two_seats(shared_host) as (one, two):
        assert one.seat != two.seat
        await arm(one, Mode.HOT, 1)
        status = one.desk().status
        assert status.hot_lots == 1
        assert status.hot_left_s is not None
        assert 0 < status.hot_left_s <= 180
        await until(lambda: two.desk().status.seats, "the armed seat on the other desk")
        assert two.desk().status.mode is Mode.CONFIRM
        assert shared_host.client.desk().status.mode is Mode.CONFIRM
        for other in (two, shared_host.client):
            refused = await stroke(other, option)
            assert [violation.check for violation in refused.violations] == ["mode"], refused.message
        assert "2 lots in one stroke" in (await stroke(one, option, 2)).message
        sent = await stroke(one, option)
        assert sent.accepted, sent.message
        record = await comes_to(one, sent.orders[0].number, OrderState.COMPLETE)
        assert record.request.order_type is OrderType.LIMIT
        assert record.request.quantity == option.lot


async def test_a_seat_in_read_adds_no_risk_while_another_is_armed(shared_host: Host) -> None:
    """By the dry run and by the real thing, in words that say what to do; nobody acts under another's name."""
    option = Option(await live_chain(shared_host.client), "pe", 4)
    async with two_seats(shared_host) as (one, two):
        await arm(two, Mode.READ)
        meaning = await two.interpret(f"buy 1L {option.words} @ ask+2")
        assert isinstance(meaning.command, PlaceOrder)
        previewed = await two.preview(meaning.command, seat=one.seat)
        refused = await two.submit(meaning.command, seat=one.seat)
        assert [violation.check for violation in previewed.violations] == ["mode"]
        assert refused.violations == previewed.violations
        assert "Arm CONFIRM first" in refused.message
        at = shared_host.engine.clock.market_now() + timedelta(hours=1)
        waiting = await two.submit(MakePlan(trigger=AtTime(at=at), sentence=meaning.text))
        assert [violation.check for violation in waiting.violations] == ["mode"], waiting.message
        taken = await one.submit(meaning.command)
        assert taken.accepted, taken.message
        await comes_to(one, taken.orders[0].number, OrderState.COMPLETE)
        out = await say(two, f"sell 1L {option.words} @ bid-2")
        assert out.accepted, out.message
        await comes_to(two, out.orders[0].number, OrderState.COMPLETE)


async def test_a_seat_that_goes_away_is_disarmed(shared_host: Host) -> None:
    """Its HOT ends with the link; whoever comes back has another seat that starts anew."""
    arming = shared_host.engine.arming
    async with attached(shared_host) as one:
        name = one.seat
        await arm(one, Mode.HOT, 1)
        assert arming.mode(name) is Mode.HOT
        assert (await one.submit(TouchSeat())).accepted
    await until(lambda: arming.mode(name) is Mode.CONFIRM, "the end of HOT")
    assert name not in {view.seat for view in arming.views()}
    events = await shared_host.client.events()
    assert any(event.seat == name and "HOT ended: the seat went away" in event.text for event in events)
    async with attached(shared_host) as again:
        assert again.seat != name
        assert again.desk().status.mode is Mode.CONFIRM


async def test_one_seat_is_hot_at_a_time_and_refusals_end_it(shared_host: Host) -> None:
    """Another seat going HOT ends the first one's; three refusals in a row end the second's."""
    option = Option(await live_chain(shared_host.client), "ce", 5)
    async with two_seats(shared_host) as (one, two):
        await arm(one, Mode.HOT, 1)
        await arm(two, Mode.HOT, 1)
        await until(lambda: one.desk().status.mode is Mode.CONFIRM, "the end of the first one's HOT")
        instrument = shared_host.engine.day.index.by_token(option.token)
        odd = await two.interpret(f"buy 1L {option.words} @ ask")
        assert isinstance(odd.command, PlaceOrder)
        wrong = msgspec.structs.replace(odd.command.request, quantity=instrument.lot_size + 1)
        for _ in range(3):
            assert not (await two.submit(PlaceOrder(request=wrong))).accepted
        await until(lambda: two.desk().status.mode is Mode.CONFIRM, "the end of the second one's HOT")
        events = await shared_host.client.events()
        assert any(event.seat == two.seat and "3 orders in a row were refused" in event.text for event in events)
