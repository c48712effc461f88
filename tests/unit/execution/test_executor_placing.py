"""Placing: the journal comes before the wire, one key makes one order, and the queue keeps its promises."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from engine.core.commands import PlaceOrder
from engine.core.errors import InvariantBroken
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.orders import OrderState, OrderTrigger
from engine.core.vocabulary import Mode, Severity
from engine.execution.settings import BudgetLimits, ExecutionSettings
from tests.kit.fake_broker import Call, Fault, option
from tests.unit.execution.desk import Desk, buy, sell, settle


async def test_an_order_goes_from_queue_to_fill() -> None:
    """It is journalled, sent once, follows the book, and its fill is handed over with its strategy."""
    async with Desk() as desk:
        receipt = await desk.place(buy(strategy=desk.strategy))
        assert receipt.accepted
        assert receipt.message == "o1: BUY 65 NIFTY26D0124000CE at 105."
        assert receipt.orders[0].state is OrderState.SENDING  # nothing kept it from leaving at once
        await desk.clock.advance(2)
        assert desk.state(1) is OrderState.OPEN
        order = desk.broker.of_tag(desk.order(1).tag)
        desk.broker.fill(order.order_id)
        await desk.clock.advance(4)
        assert desk.state(1) is OrderState.COMPLETE
        assert desk.journalled(1) == desk.order(1)
        assert list(desk.broker.posts.values()) == [1]
        assert [(trade.quantity, trade.strategy) for trade in desk.fills.trades] == [(65, desk.strategy)]
        assert [event.trigger for event in desk.history(1)] == [
            OrderTrigger.SEND,
            OrderTrigger.ANSWERED,
            OrderTrigger.BOOK_OPEN,
            OrderTrigger.BOOK_COMPLETE,
        ]


async def test_the_journal_says_sending_before_the_first_byte() -> None:
    """When the request reaches the broker, the journal has the intent and SENDING already."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE)
        await desk.place()
        assert desk.broker.waiting_at(Call.PLACE) == 1
        assert desk.journalled(1).state is OrderState.SENDING
        assert desk.journalled(1).broker_order_id is None


async def test_nothing_leaves_while_the_journal_has_not_committed() -> None:
    """A commit that hangs holds the order back."""
    async with Desk() as desk:
        desk.journal.gate = asyncio.Event()
        placing = asyncio.ensure_future(desk.executor.place(PlaceOrder(request=buy())))
        await desk.clock.advance(3)
        assert not placing.done()
        assert not desk.broker.posts
        desk.journal.gate.set()
        await placing
        await desk.clock.advance(1)
        assert sum(desk.broker.posts.values()) == 1


async def test_a_caller_that_goes_away_does_not_stop_its_order() -> None:
    """Cancelling the task that placed an order neither loses it nor leaves it half journalled."""
    async with Desk() as desk:
        desk.journal.gate = asyncio.Event()
        placing = asyncio.ensure_future(desk.executor.place(PlaceOrder(request=buy())))
        await settle()
        placing.cancel()
        await asyncio.gather(placing, return_exceptions=True)
        desk.journal.gate.set()
        await desk.clock.advance(2)
        assert desk.state(1) is OrderState.OPEN
        assert sum(desk.broker.posts.values()) == 1


async def test_every_order_has_a_tag_of_its_own() -> None:
    """Equal orders are different intents."""
    async with Desk() as desk:
        for _ in range(3):
            await desk.place()
        tags = {desk.order(number).tag for number in (1, 2, 3)}
        assert len(tags) == 3
        assert all(tag is not None and len(tag) == 18 and tag.isalnum() for tag in tags)
        assert desk.broker.accepted == dict.fromkeys(tags, 1)


async def test_the_same_key_makes_one_order() -> None:
    """The second command is answered with the first one's order, even when it would be refused now."""
    async with Desk() as desk:
        first = await desk.place(key="morning-1")
        desk.facts.current_mode = Mode.READ
        second = await desk.place(key="morning-1")
        assert second.accepted
        assert second.repeated
        assert second.orders[0].number == first.orders[0].number
        assert sum(desk.broker.posts.values()) == 1


async def test_two_commands_with_one_key_at_once_make_one_order() -> None:
    """A double press is one order."""
    async with Desk() as desk:
        command = PlaceOrder(request=buy(), idempotency_key="double")
        receipts = await asyncio.gather(*(desk.executor.place(command) for _ in range(5)))
        await desk.clock.advance(2)
        assert sorted(receipt.repeated for receipt in receipts) == [False, True, True, True, True]
        assert sum(desk.broker.posts.values()) == 1


async def test_a_key_is_known_over_a_restart_and_beyond_memory() -> None:
    """The journal knows the keys of all times, not only those that were loaded."""
    async with Desk(ExecutionSettings(history_s=60.0)) as desk:
        await desk.place(key="yesterday")
        await desk.clock.advance(2)
        desk.broker.fill(desk.broker.of_tag(desk.order(1).tag).order_id)
        await desk.clock.advance(300)
        await desk.crash()
        desk.broker.orders_by_id.clear()
        desk.broker.fills.clear()
        await desk.open()
        assert desk.executor.orders() == ()
        again = await desk.place(key="yesterday")
        assert again.repeated
        assert again.orders[0].state is OrderState.COMPLETE
        assert sum(desk.broker.posts.values()) == 1


async def test_a_key_is_not_reused_for_another_order() -> None:
    """The same key with another contract or side is refused and shows what the key made."""
    async with Desk() as desk:
        await desk.place(key="k")
        other = await desk.place(sell(), key="k")
        assert not other.accepted
        assert other.repeated
        assert other.violations[0].check == "key"
        assert sum(desk.broker.posts.values()) == 1


@pytest.mark.parametrize("key", ["", "x" * 129])
async def test_a_key_has_a_sensible_length(key: str) -> None:
    """Empty and endless keys are refused."""
    async with Desk() as desk:
        receipt = await desk.place(key=key)
        assert [violation.check for violation in receipt.violations] == ["key"]


async def test_refusals_are_answers_with_every_reason() -> None:
    """A wrong order is not journalled and not sent."""
    async with Desk() as desk:
        receipt = await desk.place(buy(2, "105.03"))
        assert not receipt.accepted
        assert [violation.check for violation in receipt.violations] == ["lot", "tick"]
        assert desk.store.orders == {}
        assert not desk.broker.posts


async def test_another_account_is_refused() -> None:
    """An executor serves one account."""
    async with Desk() as desk:
        receipt = await desk.executor.place(PlaceOrder(request=buy(), account=AccountId("ZZ9999")))
        assert [violation.check for violation in receipt.violations] == ["account"]


async def test_an_unknown_strategy_is_refused_in_words() -> None:
    """The journal's own refusal is an answer, not an exception."""
    async with Desk() as desk:
        receipt = await desk.place(buy(strategy=StrategyNumber(99)))
        assert [violation.check for violation in receipt.violations] == ["strategy"]
        assert not desk.broker.posts


async def test_preview_and_the_real_thing_say_the_same() -> None:
    """One gate for both."""
    async with Desk() as desk:
        desk.facts.current_mode = Mode.READ
        request = buy(2)
        previewed, _, risky = desk.executor.check(request)
        assert (await desk.place(request)).violations == previewed
        assert risky


async def test_a_definite_no_ends_the_order() -> None:
    """The broker's words stand on the record; it is not tried again."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.REFUSE)
        await desk.place()
        await desk.clock.advance(40)
        assert desk.state(1) is OrderState.REJECTED
        assert desk.order(1).message == "Insufficient funds."
        assert sum(desk.broker.posts.values()) == 1
        assert desk.ear.heard("o1 was refused", Severity.ATTENTION)


async def test_an_unreachable_broker_means_not_sent() -> None:
    """Nothing left: the order is closed with the reason, and never sent later."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.UNAVAILABLE)
        await desk.place()
        await desk.clock.advance(40)
        assert desk.state(1) is OrderState.NOT_SENT
        assert "no connection could be made" in desk.order(1).message
        assert not desk.broker.posts


async def test_an_ended_session_closes_the_order_and_holds_entries() -> None:
    """Entries wait for a login; the next good read of the book shows that it was made."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.NO_SESSION)
        desk.broker.close_gate(Call.ORDERS)
        await desk.place()
        assert desk.state(1) is OrderState.NOT_SENT
        assert desk.ear.heard("session is over", Severity.DANGER)
        refused = await desk.place()
        assert [violation.check for violation in refused.violations] == ["login"]
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(4)
        assert (await desk.place()).accepted


async def test_a_refusal_for_speed_is_obeyed_and_tried_again() -> None:
    """Nothing was done: the order keeps its place, waits as asked, and is made once."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.TOO_FAST)
        await desk.place()
        await desk.clock.advance(0.5)
        assert desk.state(1) is OrderState.SENDING
        assert not desk.broker.accepted
        await desk.clock.advance(3)
        assert desk.state(1) is OrderState.OPEN
        assert list(desk.broker.accepted.values()) == [1]
        assert desk.executor.snapshot().rate_limited == 1


async def test_refusals_for_speed_come_to_an_end() -> None:
    """After the set number of attempts the order is closed as not sent."""
    async with Desk(ExecutionSettings(rate_limited_attempts=3, queue_expiry_s=100.0)) as desk:
        desk.broker.arm(Call.PLACE, *[Fault.TOO_FAST] * 10)
        await desk.place()
        await desk.clock.advance(30)
        assert desk.state(1) is OrderState.NOT_SENT
        assert not desk.broker.accepted
        assert sum(1 for call, _ in desk.broker.sequence if call is Call.PLACE) == 3


async def test_entries_keep_to_the_second_and_exits_pass_them() -> None:
    """Twenty entries spread over seconds; an exit queued last leaves before those that wait."""
    async with Desk() as desk:
        desk.facts.held = {option().key: 65}
        for _ in range(20):
            assert (await desk.place(settle_after=False)).accepted
        await settle()
        assert sum(desk.broker.posts.values()) == 8
        exit_receipt = await desk.place(sell(price="104.95"))
        tag = exit_receipt.orders[0].tag
        assert tag is not None
        assert desk.broker.posts[tag] == 1
        assert sum(desk.broker.posts.values()) == 9
        await desk.clock.advance(3)
        assert sum(desk.broker.posts.values()) == 21


async def test_an_entry_that_waited_too_long_is_not_sent() -> None:
    """Its price was meant for another moment; the reason is on the record and in the events."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=2, reserve_per_minute=0), queue_expiry_s=5.0)
    async with Desk(settings) as desk:
        for _ in range(3):
            await desk.place()
        await desk.clock.advance(7)
        assert [desk.state(number) for number in (1, 2, 3)] == [OrderState.OPEN, OrderState.OPEN, OrderState.NOT_SENT]
        assert "waited more than 5 s" in desk.order(3).message
        assert desk.ear.heard("o3 was not sent", Severity.ATTENTION)
        await desk.clock.advance(120)
        assert sum(desk.broker.posts.values()) == 2


async def test_a_full_queue_refuses_entries_and_takes_exits() -> None:
    """The bound is named in the refusal."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0), queue_capacity=2)
    async with Desk(settings) as desk:
        for _ in range(3):
            assert (await desk.place()).accepted
        refused = await desk.place()
        assert [violation.check for violation in refused.violations] == ["queue"]
        desk.facts.held = {option().key: 65}
        assert (await desk.place(sell())).accepted


async def test_wire_requests_are_bounded_and_exits_have_their_own() -> None:
    """A broker that does not answer holds up so many entries and still gets exits."""
    settings = ExecutionSettings(in_flight_max=4, in_flight_reserve=2, queue_expiry_s=100.0)
    async with Desk(settings) as desk:
        desk.facts.held = {option().key: 65}
        desk.broker.close_gate(Call.PLACE)
        for _ in range(4):
            await desk.place()
        await desk.clock.advance(3)
        assert desk.broker.waiting_at(Call.PLACE) == 2
        await desk.place(sell())
        assert desk.broker.waiting_at(Call.PLACE) == 3
        desk.broker.open_gate(Call.PLACE)
        await desk.clock.advance(3)
        assert sum(desk.broker.posts.values()) == 5


async def test_two_exits_of_one_position_are_not_both_exits() -> None:
    """The second is judged with the first one working: in READ it is refused."""
    async with Desk() as desk:
        desk.facts.held = {option().key: 65}
        desk.facts.current_mode = Mode.READ
        receipts = await asyncio.gather(*(desk.executor.place(PlaceOrder(request=sell())) for _ in range(2)))
        assert sorted(receipt.accepted for receipt in receipts) == [False, True]


async def test_a_source_of_randomness_that_repeats_itself_breaks_an_invariant() -> None:
    """Two orders never share a tag: no third attempt makes a duplicate, it stops."""
    async with Desk() as desk:
        desk.random.repeat = b"same bytes for ever"
        await desk.place(key="a")
        with pytest.raises(InvariantBroken):
            await desk.place(key="b")
        assert sum(desk.broker.posts.values()) == 1


async def test_a_stopped_executor_takes_nothing() -> None:
    """After stop every command is refused, and what waited is closed as not sent."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0))
    async with Desk(settings) as desk:
        await desk.place()
        await desk.place()
        await desk.close()
        assert desk.journalled(2).state is OrderState.NOT_SENT
        assert desk.journalled(2).message == "Not sent: the engine stopped before it was sent."
        refused = await desk.executor.place(PlaceOrder(request=buy()))
        assert [violation.check for violation in refused.violations] == ["engine"]


async def test_stopping_waits_for_an_answer_that_is_out() -> None:
    """A send in progress is finished and journalled."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE, "after")
        await desk.place()
        stopping = asyncio.ensure_future(desk.executor.stop())
        await desk.clock.advance(1)
        assert not stopping.done()
        desk.broker.open_gate(Call.PLACE, "after")
        await settle()
        assert stopping.done()
        assert desk.journalled(1).state is OrderState.ACCEPTED
        assert desk.journalled(1).broker_order_id is not None


async def test_the_snapshot_puts_the_unknown_first() -> None:
    """Unknown, then working, then the rest."""
    async with Desk() as desk:
        await desk.resting()
        desk.broker.arm(Call.PLACE, Fault.LOSE_REQUEST)
        await desk.place()
        desk.broker.arm(Call.PLACE, Fault.REFUSE)
        await desk.place()
        view = desk.executor.snapshot()
        assert [order.number for order in view.orders] == [2, 1, 3]
        assert (view.unknown, view.working, view.queued, view.on_wire) == (1, 2, 0, 0)
        assert view.is_writer
        assert view.is_reconciled
        assert view.budget.minute_used == 3
        assert msgspec.json.decode(msgspec.json.encode(view), type=type(view)) == view
