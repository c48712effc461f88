"""The book: hints, polls, orders from outside, late and repeated rows, fills, mismatches."""

from __future__ import annotations

import msgspec

from engine.core.errors import BrokerUnavailable, SessionExpired
from engine.core.identifiers import OrderTag
from engine.core.orders import OrderState, OrderTrigger
from engine.core.reconciling import MismatchKind
from engine.core.vocabulary import Mode, OrderType, Severity
from engine.execution.mismatches import Finding
from engine.execution.reconciliation import Comparison
from tests.kit.fake_broker import Call, Fault, option
from tests.unit.execution.desk import Desk, buy, sell


async def test_hints_bring_the_next_read_forward_and_no_more_than_one_a_second() -> None:
    """A hundred hints in two seconds make two or three reads; none of them is applied by itself."""
    async with Desk() as desk:
        await desk.clock.advance(5)
        before = desk.broker.reads
        for _ in range(100):
            desk.executor.on_order_update('{"type":"order","data":{"status":"COMPLETE"}}')
            await desk.clock.advance(0.02)
        assert 1 <= desk.broker.reads - before <= 3


async def test_an_idle_book_is_read_rarely_and_a_working_one_often() -> None:
    """Intervals by what is open."""
    async with Desk() as desk:
        await desk.clock.advance(30)
        before = desk.broker.reads
        await desk.clock.advance(60)
        idle = desk.broker.reads - before
        await desk.resting()
        await desk.clock.advance(3)
        before = desk.broker.reads
        await desk.clock.advance(60)
        working = desk.broker.reads - before
        desk.broker.arm(Call.PLACE, Fault.LOSE_REQUEST)
        await desk.place()
        before = desk.broker.reads
        await desk.clock.advance(20)
        assert 4 <= idle <= 6
        assert 19 <= working <= 22
        assert desk.broker.reads - before >= 19


async def test_a_hint_during_a_read_brings_another_one() -> None:
    """What happened while the book was being read may not be in it: it is read again, not after the idle interval."""
    async with Desk() as desk:
        await desk.clock.advance(30)
        desk.broker.close_gate(Call.ORDERS, "after")
        desk.executor.on_order_update()
        await desk.clock.advance(1)
        before = desk.broker.reads
        desk.executor.on_order_update()
        desk.broker.open_gate(Call.ORDERS, "after")
        await desk.clock.advance(2)
        assert desk.broker.reads == before + 1


async def test_what_a_comparison_on_demand_shows_is_looked_at_soon() -> None:
    """Found in the middle of the idle interval: an order that is not settled yet is read again within two seconds."""
    async with Desk() as desk:
        await desk.clock.advance(35)
        desk.broker.place_outside(sell())
        (row,) = desk.broker.book()
        desk.broker.books.append((msgspec.structs.replace(row, trigger=OrderTrigger.BOOK_INTERIM),))
        await desk.executor.reconcile()
        (record,) = desk.executor.working()
        assert record.state is OrderState.ACCEPTED
        await desk.clock.advance(2)
        assert desk.state(record.number) is OrderState.OPEN


async def test_an_order_from_the_phone_is_adopted_once() -> None:
    """It gets a number, can be followed and cancelled, and is not adopted again, not even by the next engine."""
    async with Desk() as desk:
        outside = desk.broker.place_outside(sell(price="110"), OrderTag("phone"))
        await desk.clock.advance(16)
        assert len(desk.executor.orders()) == 1
        adopted = desk.order(1)
        assert (adopted.intent_id, adopted.broker_order_id) == (None, outside.order_id)
        assert adopted.request.price == outside.price
        assert desk.ear.heard("o1 was placed elsewhere and is adopted", Severity.ATTENTION)
        await desk.restart()
        await desk.clock.advance(20)
        assert len(desk.executor.orders()) == 1
        await desk.cancel(adopted.number)
        await desk.clock.advance(3)
        assert desk.state(1) is OrderState.CANCELLED


async def test_what_the_broker_makes_of_an_order_of_ours_is_a_part_and_no_twin() -> None:
    """The second leg of an iceberg carries our tag: adopted in the order's strategy, its fills booked, no alarm."""
    async with Desk() as desk:
        request = msgspec.structs.replace(buy(130), strategy=desk.strategy)
        number = await desk.resting(request)
        leg = desk.broker.place_outside(request, desk.order(number).tag)
        leg.part = "leg 2 of 2"
        await desk.clock.advance(4)
        assert desk.ear.heard("o2 is leg 2 of 2 of o1, made by the broker", Severity.INFO)
        assert not [notice for notice in desk.ear.notices if notice.severity is Severity.DANGER]
        assert desk.order(2).request.strategy == desk.strategy
        desk.broker.fill(leg.order_id)
        await desk.clock.advance(4)
        assert [trade.strategy for trade in desk.fills.trades] == [desk.strategy]
        assert (await desk.executor.reconcile()).mismatches == ()


async def test_a_part_is_never_the_answer_to_an_unknown_order() -> None:
    """While the order itself is looked for, a later leg with its tag neither answers for it nor is adopted."""
    async with Desk() as desk:
        await desk.clock.advance(2)
        desk.broker.arm(Call.PLACE, Fault.LOSE_ANSWER)
        desk.broker.close_gate(Call.ORDERS)
        receipt = await desk.place()
        number = receipt.orders[0].number
        whole = desk.broker.of_tag(desk.order(number).tag)
        leg = desk.broker.place_outside(whole.request, whole.tag)
        leg.part = "leg 2 of 2"
        desk.broker.books.append((leg.row(),))
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(0.5)
        assert not desk.broker.books
        assert desk.state(number) is OrderState.UNKNOWN
        await desk.clock.advance(4)
        assert desk.order(number).broker_order_id == whole.order_id
        assert len(desk.executor.orders()) == 2


async def test_many_orders_from_outside_make_one_notice() -> None:
    """A day that began elsewhere is told in one line; tags of others may repeat."""
    async with Desk() as desk:
        for _ in range(5):
            desk.broker.place_outside(buy(), OrderTag("same"))
        await desk.clock.advance(16)
        assert len(desk.executor.orders()) == 5
        assert [notice.text for notice in desk.ear.notices if "adopted" in notice.text] == [
            "5 orders were placed elsewhere and are adopted: o1 to o5."
        ]


async def test_an_adoption_that_cannot_be_written_is_tried_again() -> None:
    """The journal is down for a while: the order is adopted once it is back."""
    async with Desk() as desk:
        desk.broker.place_outside(buy())
        desk.journal.fail()
        await desk.clock.advance(16)
        assert desk.executor.orders() == ()
        desk.journal.down = None
        await desk.clock.advance(16)
        assert len(desk.executor.orders()) == 1
        assert desk.executor.snapshot().degraded == ()


async def test_a_book_that_goes_back_in_time_changes_nothing_and_is_recorded_once() -> None:
    """An old OPEN row of a completed order, read ten times, is one line of history."""
    async with Desk() as desk:
        number = await desk.resting()
        old_book = desk.broker.book()
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(4)
        assert desk.state(number) is OrderState.COMPLETE
        fresh = desk.broker.book()
        desk.broker.books.extend([old_book, fresh] * 5)
        await desk.clock.advance(200)
        assert desk.state(number) is OrderState.COMPLETE
        assert desk.order(number).filled_quantity == 65
        refused = [event for event in desk.history(number) if not event.applied]
        assert len(refused) == 1
        assert len(desk.ear.heard("it is left as it is", Severity.ATTENTION)) == 1


async def test_partial_fills_add_up_and_are_handed_over_once_each() -> None:
    """Three fills, three trades, the order's average from the book."""
    async with Desk() as desk:
        number = await desk.resting(buy(195))
        order_id = desk.broker.of_tag(desk.order(number).tag).order_id
        for _ in range(3):
            desk.broker.fill(order_id, 65)
            await desk.clock.advance(4)
        assert desk.state(number) is OrderState.COMPLETE
        assert [trade.quantity for trade in desk.fills.trades] == [65, 65, 65]
        assert len({trade.trade_id for trade in desk.fills.trades}) == 3


async def test_trades_that_lag_behind_the_book_are_asked_for_until_they_come() -> None:
    """The book counts a fill that the trades do not show yet."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.fills_hidden = True
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(5)
        assert desk.fills.trades == []
        desk.broker.fills_hidden = False
        await desk.clock.advance(2)
        assert len(desk.fills.trades) == 1


async def test_trades_that_never_come_are_a_mismatch() -> None:
    """Asked for quickly for a while, then shown as an item until explained."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.fills_hidden = True
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(130)
        assert desk.executor.snapshot().mismatches == ("o1 is filled 65, its trades add up to 0",)
        desk.broker.fills_hidden = False
        await desk.clock.advance(130)
        assert desk.executor.snapshot().mismatches == ()
        assert desk.ear.heard("Mismatch gone: o1 is filled 65")
        assert len(desk.fills.trades) == 1


async def test_an_exit_is_not_possible_twice_while_its_fill_is_not_booked() -> None:
    """The position still shows the lot, the book has the exit's fill: a second exit would open a short."""
    async with Desk() as desk:
        desk.facts.held = {option().key: 65}
        desk.facts.current_mode = Mode.READ
        receipt = await desk.place(sell())
        assert receipt.accepted
        await desk.clock.advance(2)
        desk.broker.fills_hidden = True
        desk.broker.fill(desk.broker.of_tag(receipt.orders[0].tag).order_id)
        await desk.clock.advance(4)
        assert desk.state(1) is OrderState.COMPLETE
        refused = await desk.place(sell())
        assert [violation.check for violation in refused.violations] == ["mode"]


async def test_a_rejection_in_the_book_is_told_with_the_brokers_words() -> None:
    """A 200 with an id, then REJECTED: the usual way of the broker."""
    async with Desk() as desk:
        number = await desk.resting()
        order_id = desk.broker.of_tag(desk.order(number).tag).order_id
        desk.broker.set_status(order_id, "REJECTED", "Price exceeds circuit limits.")
        await desk.clock.advance(4)
        assert desk.state(number) is OrderState.REJECTED
        assert desk.ear.heard("o1 was rejected: Price exceeds circuit limits.", Severity.ATTENTION)


async def test_an_order_that_vanishes_from_the_book_is_a_mismatch() -> None:
    """It stays as it is, and stands in the list until the book has it again."""
    async with Desk() as desk:
        number = await desk.resting()
        record = desk.order(number)
        assert record.broker_order_id is not None
        vanished = desk.broker.orders_by_id.pop(record.broker_order_id)
        vanished.placed_at = record.created_at
        await desk.crash()
        await desk.open()
        await desk.clock.advance(130)
        assert desk.state(number) is OrderState.OPEN
        assert "not in the broker's book" in desk.executor.snapshot().mismatches[0]
        desk.broker.orders_by_id[record.broker_order_id] = vanished
        await desk.clock.advance(130)
        assert desk.executor.snapshot().mismatches == ()


def position_finding(words: str) -> Finding:
    """The ledger says one lot, the broker two."""
    return Finding(kind=MismatchKind.POSITION, subject="NFO:X NRML", words=words, ours="+65", theirs="+130")


async def test_the_ledger_is_compared_in_reconciliations() -> None:
    """What the portfolio does not agree with is listed after a second reading, and gone with the first that agrees."""
    said: list[Finding] = [position_finding("the broker has +130, the strategies +65")]
    readings: list[float] = []
    async with Desk() as desk:

        async def compare() -> Comparison:
            readings.append(desk.clock.monotonic())
            return Comparison(kinds=frozenset({MismatchKind.POSITION}), found=tuple(said))

        desk.checks = (compare,)
        await desk.restart()
        assert desk.ear.heard("Mismatch: the broker has +130", Severity.DANGER)
        assert len(readings) == 2
        assert readings[1] - readings[0] >= desk.settings.mismatch_settle_s
        said.clear()
        report = await desk.executor.reconcile()
        assert report.complete
        assert report.mismatches == ()
        assert desk.ear.heard("Mismatch gone: the broker has +130")


async def test_what_could_not_be_compared_stays_as_it_was() -> None:
    """A check that cannot read closes nothing, and the report names what it did not look at."""
    can_read = True
    async with Desk() as desk:

        async def compare() -> Comparison:
            found = (position_finding("the broker has +130, the strategies +65"),) if can_read else None
            return Comparison(kinds=frozenset({MismatchKind.POSITION}), found=found)

        desk.checks = (compare,)
        await desk.restart()
        assert len(desk.executor.snapshot().mismatches) == 1
        can_read = False
        report = await desk.executor.reconcile()
        assert report.not_compared == (MismatchKind.POSITION,)
        assert len(report.mismatches) == 1


async def test_a_reconnect_reconciles_at_once() -> None:
    """The path was interrupted: book and trades are compared without waiting for the schedule."""
    async with Desk() as desk:
        await desk.clock.advance(20)
        counted: list[int] = []

        async def compare() -> Comparison:
            counted.append(1)
            return Comparison(kinds=frozenset(), found=())

        desk.checks = (compare,)
        await desk.restart()
        before = len(counted)
        desk.executor.on_reconnect()
        await desk.clock.advance(1.5)
        assert len(counted) == before + 1


async def test_a_failed_reconciliation_keeps_the_open_items() -> None:
    """What cannot be compared is not explained."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.place_outside(desk.order(number).request, desk.order(number).tag)
        await desk.clock.advance(4)
        assert (await desk.executor.reconcile()).mismatches
        desk.broker.break_reads(BrokerUnavailable("no connection"))
        report = await desk.executor.reconcile()
        assert not report.complete
        assert report.mismatches


async def test_an_ended_session_is_told_once_and_survived() -> None:
    """Reads fail for an hour with the same words: one notice; the login is noticed by the first good read."""
    async with Desk() as desk:
        desk.broker.break_reads(SessionExpired("Incorrect `api_key` or `access_token`."), Call.ORDERS)
        await desk.clock.advance(600)
        assert len(desk.ear.heard("session is over", Severity.DANGER)) == 1
        desk.broker.heal()
        await desk.clock.advance(20)
        assert desk.ear.heard("session is alive", Severity.INFO)
        assert desk.executor.snapshot().degraded == ()


async def test_a_fill_of_an_order_from_outside_has_no_strategy() -> None:
    """It is handed over without one: the ledger's default takes it."""
    async with Desk() as desk:
        outside = desk.broker.place_outside(buy())
        desk.broker.fill(outside.order_id)
        await desk.clock.advance(20)
        assert [trade.strategy for trade in desk.fills.trades] == [None]


async def test_a_stop_order_waits_for_its_trigger() -> None:
    """TRIGGER PENDING, then OPEN, then COMPLETE."""
    async with Desk() as desk:
        number = await desk.resting(buy(price="112", order_type=OrderType.SL, trigger_price=buy(price="110").price))
        assert desk.state(number) is OrderState.TRIGGER_PENDING
        order_id = desk.broker.of_tag(desk.order(number).tag).order_id
        desk.broker.set_status(order_id, "OPEN")
        await desk.clock.advance(4)
        assert desk.state(number) is OrderState.OPEN
        desk.broker.fill(order_id)
        await desk.clock.advance(4)
        assert desk.state(number) is OrderState.COMPLETE
