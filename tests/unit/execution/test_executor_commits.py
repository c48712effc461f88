"""How often the journal is written before an order leaves, and that writing together never mixes orders up."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from engine.core.commands import PlaceOrder, Receipt
from engine.core.errors import StorageError, StorageUnavailable
from engine.core.identifiers import TAG_RANDOM_BYTES, OrderNumber, StrategyNumber
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest, OrderState, OrderTrigger
from engine.execution.intent_batches import IntentBatches, NewOrder
from engine.execution.latch import LatchFolder
from engine.execution.settings import CheckLimits, ExecutionSettings
from tests.kit.fake_broker import Call, option
from tests.unit.execution.desk import ACCOUNT, Desk, Ear, RandomBytes, buy, sell, settle
from tests.unit.execution.test_spool_file import intent

BURST = 8
"""The second's ten less the two that are kept for exits."""
HELD = 6500


class BurstDesk(Desk):
    """A desk at which many orders arrive in one moment."""

    async def burst(self, requests: Sequence[OrderRequest]) -> list[Receipt]:
        """Place them all at once."""
        receipts = await asyncio.gather(*(self.executor.place(PlaceOrder(request=request)) for request in requests))
        await settle()
        return list(receipts)


class RepeatsATag(RandomBytes):
    """Draws its first tag once more when that is due."""

    def __init__(self) -> None:
        super().__init__()
        self.is_due = False
        self._first: bytes | None = None

    def __call__(self, length: int) -> bytes:
        drawn = super().__call__(length)
        if length != TAG_RANDOM_BYTES:
            return drawn
        self._first = self._first or drawn
        if self.is_due:
            self.is_due = False
            return self._first
        return drawn


def different(count: int) -> list[OrderRequest]:
    """Orders that are no duplicates."""
    return [buy(price=str(100 + place)) for place in range(count)]


async def test_one_order_is_one_commit_before_its_first_byte() -> None:
    """Intent and SENDING are written together: when the request reaches the broker there has been one write."""
    async with BurstDesk() as desk:
        desk.broker.close_gate(Call.PLACE)
        await desk.place()
        assert desk.broker.waiting_at(Call.PLACE) == 1
        assert desk.journal.commits == [(OrderState.SENDING,)]
        assert desk.journalled(1) == desk.order(1)
        (line,) = desk.history(1)
        assert (line.trigger, line.from_state, line.to_state) == (
            OrderTrigger.SEND,
            OrderState.QUEUED,
            OrderState.SENDING,
        )
        assert [(record.state, [event.trigger for event in events]) for record, events in desk.ear.changes] == [
            (OrderState.SENDING, [OrderTrigger.SEND])
        ]
        desk.broker.open_gate(Call.PLACE)


class WireEar(Ear):
    """Notes how many requests were under way whenever an order changed."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.seen: list[int] = []

    def on_order(self, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        super().on_order(record, events)
        self.seen.append(self._desk.executor.snapshot().on_wire)


async def test_an_order_is_under_way_before_anybody_hears_of_it() -> None:
    """What nothing keeps leaves in the step in which it is known to be written; listeners come behind it."""
    desk = BurstDesk()
    ear = WireEar(desk)
    desk.ear = ear
    async with desk:
        desk.broker.close_gate(Call.PLACE)
        receipt = await desk.executor.place(PlaceOrder(request=buy()))
        assert receipt.accepted
        assert receipt.eta_s == 0.0
        assert ear.seen[:1] == [1]
        desk.broker.open_gate(Call.PLACE)
        await settle()
        assert desk.state(1) is OrderState.OPEN


async def test_a_modification_that_leaves_at_once_tells_no_waiting() -> None:
    """A change that nothing keeps is under way when its receipt is made, and is made once."""
    async with BurstDesk() as desk:
        number = await desk.resting()
        receipt = await desk.modify(number, price=Decimal(99))
        assert receipt.accepted, receipt.message
        assert receipt.eta_s == 0.0
        await settle()
        assert desk.state(number) is OrderState.OPEN
        assert [order.modifications for order in desk.executor.orders()] == [1]


async def test_a_burst_leaves_after_very_few_commits() -> None:
    """Eight orders of one moment share a write, and all are on the wire."""
    async with BurstDesk() as desk:
        desk.broker.close_gate(Call.PLACE)
        receipts = await desk.burst(different(BURST))
        assert all(receipt.accepted and receipt.eta_s == 0.0 for receipt in receipts)
        assert desk.broker.waiting_at(Call.PLACE) == BURST
        assert len(desk.journal.commits) <= 3
        assert len({receipt.orders[0].number for receipt in receipts}) == BURST
        desk.broker.open_gate(Call.PLACE)
        await desk.clock.advance(2)
        assert set(desk.broker.posts.values()) == {1}


async def test_what_cannot_leave_at_once_is_not_marked_as_leaving() -> None:
    """Of twelve orders of one moment eight may leave; the others are QUEUED until it is their turn."""
    async with BurstDesk() as desk:
        await desk.burst(different(BURST + 4))
        states = [desk.journalled(number).state for number in range(1, BURST + 5)]
        assert states.count(OrderState.QUEUED) == 4
        assert states[BURST:] == [OrderState.QUEUED] * 4
        await desk.clock.advance(3)
        assert {desk.state(number) for number in range(1, BURST + 5)} == {OrderState.OPEN}
        assert set(desk.broker.posts.values()) == {1}


async def test_the_second_order_of_a_burst_is_judged_with_the_first() -> None:
    """A cap of three open orders lets three of eight pass, though none of them is written when they are judged."""
    limits = CheckLimits(open_orders_max=3)
    async with BurstDesk(ExecutionSettings(checks=limits)) as desk:
        receipts = await desk.burst(different(BURST))
        assert [receipt.accepted for receipt in receipts] == [True] * 3 + [False] * 5
        assert {violation.check for receipt in receipts for violation in receipt.violations} == {"orders"}
        assert desk.broker.posts.total() == 3


async def test_two_exits_of_one_moment_do_not_both_count_as_exits() -> None:
    """What is held can be taken away once: the second one would open the other side."""
    async with BurstDesk() as desk:
        desk.facts.held = {option().key: 65}
        desk.facts.money = None
        await desk.burst([sell(price="106"), sell(price="107")])
        lanes = [
            made.decision.lane
            for number in (1, 2)
            if (made := await desk.journal.intent(OrderNumber(number))) is not None and made.decision is not None
        ]
        assert lanes == ["EXIT", "ENTRY"]


async def test_the_same_request_given_twice_is_two_orders_to_the_books() -> None:
    """One object placed twice at once: what the first is to take away is not there for the second."""
    async with BurstDesk() as desk:
        desk.facts.held = {option().key: 130}
        request = sell(price="106")
        await desk.burst([request, request])
        held = [
            made.decision.held_before
            for number in (1, 2)
            if (made := await desk.journal.intent(OrderNumber(number))) is not None and made.decision is not None
        ]
        assert held == [130, 65]


async def test_the_same_order_twice_in_one_moment_is_a_duplicate() -> None:
    """The one that is being written is looked at too."""
    async with BurstDesk(ExecutionSettings(checks=CheckLimits(duplicate_refuses=True))) as desk:
        receipts = await desk.burst([buy(), buy()])
        assert [receipt.accepted for receipt in receipts] == [True, False]
        assert receipts[1].violations[0].check == "duplicate"
        assert "o0" not in receipts[1].message


async def test_one_key_from_two_seats_at_once_makes_one_order() -> None:
    """The second call waits for the first one's commit and is told of its order."""
    async with BurstDesk() as desk:
        desk.journal.gate = asyncio.Event()
        commands = [PlaceOrder(request=buy(), idempotency_key="same")] * 3
        calls = [
            asyncio.ensure_future(desk.executor.place(command, seat=f"seat {place}"))
            for place, command in enumerate(commands)
        ]
        await settle()
        assert not any(call.done() for call in calls)
        desk.journal.gate.set()
        desk.journal.gate = None
        receipts = await asyncio.gather(*calls)
        await settle()
        assert [(receipt.accepted, receipt.repeated) for receipt in receipts] == [
            (True, False),
            (True, True),
            (True, True),
        ]
        assert {receipt.orders[0].number for receipt in receipts} == {1}
        assert desk.broker.posts.total() == 1


async def test_a_key_is_free_again_when_its_first_call_was_refused() -> None:
    """What was refused made no order: the call that waited is judged itself."""
    async with BurstDesk(ExecutionSettings(checks=CheckLimits(order_value_max=None))) as desk:
        commands = [
            PlaceOrder(request=buy(quantity=64), idempotency_key="k"),  # no whole lot
            PlaceOrder(request=buy(), idempotency_key="k"),
        ]
        first, second = await asyncio.gather(*(desk.executor.place(command) for command in commands))
        assert not first.accepted
        assert second.accepted
        assert not second.repeated


async def test_a_repeat_that_is_being_written_is_not_closed_as_the_one_that_failed() -> None:
    """Its first call was refused for the journal; the tidying up of that leaves the second one's order alone."""
    async with BurstDesk() as desk:
        command = PlaceOrder(request=buy(), idempotency_key="again")
        desk.journal.intents_down = StorageUnavailable("the database is gone")
        assert not (await desk.executor.place(command)).accepted
        desk.journal.intents_down = None
        desk.journal.gate = asyncio.Event()
        placing = asyncio.ensure_future(desk.executor.place(command))
        await desk.clock.advance(40)
        assert not placing.done()
        assert desk.journalled(1).state is OrderState.SENDING
        desk.journal.gate.set()
        desk.journal.gate = None
        assert (await placing).accepted
        await desk.clock.advance(2)
        assert desk.state(1) is OrderState.OPEN
        assert desk.broker.posts.total() == 1


async def test_a_refused_row_does_not_fail_its_neighbours() -> None:
    """One of a burst names a strategy that the journal does not know: it alone is refused, in words."""
    async with BurstDesk() as desk:
        requests = different(4)
        requests[2] = buy(price="102", strategy=StrategyNumber(77))
        receipts = await desk.burst(requests)
        assert [receipt.accepted for receipt in receipts] == [True, True, False, True]
        assert receipts[2].violations[0].check == "strategy"
        assert desk.broker.posts.total() == 3
        assert len(desk.store.orders) == 3


async def test_a_taken_tag_is_drawn_again_without_failing_its_neighbours() -> None:
    """The source repeats itself once within a burst: every order is made, with a tag of its own."""
    desk = BurstDesk()
    random = RepeatsATag()
    desk.random = random
    async with desk:
        await desk.place(buy(price="99"))
        random.is_due = True
        receipts = await desk.burst(different(4))
        assert not random.is_due
        assert all(receipt.accepted for receipt in receipts)
        assert len({record.tag for record in desk.store.orders.values()}) == 5
        assert desk.broker.posts.total() == 5


async def test_a_database_that_hangs_refuses_the_entries_of_a_burst_and_spools_its_exits(tmp_path: Path) -> None:
    """Every order of the commit is answered as its lane says; what lands late is closed and never sent."""
    async with BurstDesk(spool=tmp_path / "AB1234.spool") as desk:
        desk.facts.held = {option().key: HELD}
        desk.journal.stop()
        requests = [buy(price="100"), sell(price="106"), buy(price="101"), sell(price="107")]
        calls = [asyncio.ensure_future(desk.executor.place(PlaceOrder(request=request))) for request in requests]
        await desk.clock.advance(0.8)
        receipts = [await call for call in calls]
        assert [receipt.accepted for receipt in receipts] == [False, True, False, True]
        assert all("not sent" in receipt.message for receipt in receipts[::2])
        await desk.clock.advance(1)
        assert desk.broker.posts.total() == 2
        desk.journal.heal()
        await desk.clock.advance(25)
        states = sorted(record.state for record in desk.store.orders.values())
        assert states == [OrderState.NOT_SENT, OrderState.NOT_SENT, OrderState.OPEN, OrderState.OPEN]
        assert set(desk.broker.posts.values()) == {1}
        for receipt in receipts[1::2]:
            sends = [event for event in desk.history(receipt.orders[0].number) if event.trigger is OrderTrigger.SEND]
            assert len(sends) == 1


@pytest.mark.parametrize("lies", [True, False])
async def test_a_burst_whose_commit_fails_sends_nothing(lies: bool) -> None:
    """Whether it was made or not: every caller is told that it was not sent, and it never is."""
    async with BurstDesk() as desk:
        if lies:
            desk.journal.lie_once = True
        else:
            desk.journal.fail()
        receipts = await desk.burst(different(4))
        assert not any(receipt.accepted for receipt in receipts)
        desk.journal.heal()
        await desk.clock.advance(25)
        assert {record.state for record in desk.store.orders.values()} <= {OrderState.NOT_SENT}
        assert len(desk.store.orders) == (4 if lies else 0)
        assert not desk.broker.posts
        assert (await desk.place()).accepted


async def test_a_kill_between_the_commit_and_the_wire_never_sends() -> None:
    """A burst is written as SENDING and the engine dies: looked for, found absent, and closed; no request is made."""
    async with BurstDesk() as desk:
        desk.journal.gate = asyncio.Event()
        calls = [asyncio.ensure_future(desk.executor.place(PlaceOrder(request=request))) for request in different(4)]
        await settle()
        assert {record.state for record in desk.store.orders.values()} == {OrderState.SENDING}
        await desk.restart()
        await asyncio.gather(*calls, return_exceptions=True)
        desk.journal.gate = None
        assert {desk.state(number) for number in range(1, 5)} == {OrderState.UNKNOWN}
        await desk.clock.advance(45)
        assert {desk.state(number) for number in range(1, 5)} == {OrderState.PRESUMED_ABSENT}
        assert not desk.broker.posts


async def test_a_latch_between_the_commit_and_the_wire_sends_nothing(tmp_path: Path) -> None:
    """It falls while the commit runs: the order is closed as known not to be sent, and is no open question."""
    folder = LatchFolder(tmp_path / "latches", secrets.token_bytes)
    desk = Desk(latches=folder)
    async with desk:
        desk.journal.gate = asyncio.Event()
        placing = asyncio.ensure_future(desk.executor.place(PlaceOrder(request=buy())))
        await settle()
        assert desk.journalled(1).state is OrderState.SENDING
        folder.set(ACCOUNT, by="workstation kill", words="flattens")
        desk.journal.gate.set()
        desk.journal.gate = None
        await placing
        await settle()
        assert desk.state(1) is OrderState.NOT_SENT
        assert desk.history(1)[-1].trigger is OrderTrigger.UNSENT
        assert not desk.broker.posts
        assert desk.executor.snapshot().budget.day_used == 0


async def test_an_engine_that_stops_during_a_commit_closes_what_it_wrote() -> None:
    """Its caller is told, the order is NOT_SENT, nothing is looked for."""
    async with BurstDesk() as desk:
        desk.journal.gate = asyncio.Event()
        placing = asyncio.ensure_future(desk.executor.place(PlaceOrder(request=buy())))
        await settle()
        stopping = asyncio.ensure_future(desk.executor.stop())
        await settle()
        desk.journal.gate.set()
        desk.journal.gate = None
        receipt = await placing
        await stopping
        assert not receipt.accepted
        assert desk.journalled(1).state is OrderState.NOT_SENT
        assert not desk.broker.posts


# ---- the batches alone


class Pen:
    """Writes when told to, and remembers what came together."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.error: StorageError | None = None

    async def write(self, orders: Sequence[NewOrder]) -> tuple[OrderRecord, ...]:
        self.batches.append(len(orders))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return tuple(record_of(order) for order in orders)


def record_of(order: NewOrder) -> OrderRecord:
    """Any record that names its order."""
    return OrderRecord(
        number=OrderNumber(int(order.intent.idempotency_key.removeprefix("key "))),
        intent_id=order.intent.intent_id,
        account=order.intent.account,
        tag=order.intent.tag,
        request=order.intent.request,
        state=OrderState.QUEUED,
        idempotency_key=order.intent.idempotency_key,
        created_at=order.intent.created_at,
        updated_at=order.intent.created_at,
    )


def new_order(number: int) -> NewOrder:
    """The order with this number."""
    return NewOrder(intent(number), urgent=False, leaves=False)


async def test_what_comes_while_a_commit_runs_shares_the_next_in_its_order() -> None:
    """Three, then five that came meanwhile, no more than four at once; each caller gets its own order."""
    pen = Pen()
    batches = IntentBatches(pen.write, most=4)
    orders = [new_order(number) for number in range(1, 9)]
    first = [asyncio.ensure_future(batches.add(order)) for order in orders[:3]]
    await settle()
    later = [asyncio.ensure_future(batches.add(order)) for order in orders[3:]]
    await settle()
    assert pen.batches == [3]
    pen.gate.set()
    records = await asyncio.gather(*first, *later)
    assert pen.batches == [3, 4, 1]
    assert [record.intent_id for record in records] == [order.intent.intent_id for order in orders]


async def test_a_caller_that_is_cut_off_takes_nobody_with_it_before_its_turn() -> None:
    """Whoever waits behind it is written; whoever was in its own commit is told that it failed."""
    pen = Pen()
    batches = IntentBatches(pen.write)
    leading = [asyncio.ensure_future(batches.add(new_order(number))) for number in (1, 2)]
    await settle()
    waiting = [asyncio.ensure_future(batches.add(new_order(number))) for number in (3, 4)]
    await settle()
    waiting[0].cancel()
    leading[0].cancel()
    await settle()
    pen.gate.set()
    results = await asyncio.gather(*leading, *waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert isinstance(results[1], StorageUnavailable)
    assert isinstance(results[2], asyncio.CancelledError)
    assert isinstance(results[3], OrderRecord)
    assert (await batches.add(new_order(5))).number == 5


async def test_a_commit_that_fails_fails_for_all_of_it_and_for_nobody_else() -> None:
    """The next one is a new try."""
    pen = Pen()
    batches = IntentBatches(pen.write)
    pen.error = StorageUnavailable("gone")
    failing = [asyncio.ensure_future(batches.add(new_order(number))) for number in (1, 2)]
    await settle()
    pen.gate.set()
    assert all(
        isinstance(result, StorageUnavailable) for result in await asyncio.gather(*failing, return_exceptions=True)
    )
    pen.error = None
    assert (await batches.add(new_order(3))).number == 3
