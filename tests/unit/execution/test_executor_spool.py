"""The journal is away: entries are refused, exits and cancels go through the spool, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from engine.core.commands import PlaceOrder
from engine.core.errors import BrokerUnavailable, StorageError
from engine.core.identifiers import OrderNumber, StrategyNumber
from engine.core.orders import OrderState, OrderTrigger
from engine.core.vocabulary import Severity
from engine.execution.lanes import Lane
from engine.execution.settings import BudgetLimits, ExecutionSettings, SpoolSettings
from engine.execution.spool_records import SpoolHeader, SpoolMerged, decode
from storage.memory import MemoryRepositories
from tests.kit.fake_broker import Call, Fault, option
from tests.unit.execution.desk import ACCOUNT, Desk, buy, sell, settle

HELD = 650
MERGED = "SpoolMerged"


def desk_with_spool(folder: Path, settings: ExecutionSettings | None = None) -> Desk:
    """A desk that holds ten lots and has a spool."""
    made = Desk(settings, spool=folder / "AB1234.spool")
    made.facts.held = {option().key: HELD}
    return made


def in_spool(desk: Desk) -> list[str]:
    """What the file holds besides its header, one word for each line."""
    assert desk.spool is not None
    found = decode(desk.spool.read_bytes())
    return [type(record).__name__ for record in found.records if not isinstance(record, SpoolHeader)]


def agree(desk: Desk) -> None:
    """Journal and memory say the same of every order, and no line of history is there twice."""
    for record in desk.executor.orders():
        assert desk.store.orders[record.number] == record
    lines = Counter(msgspec.json.encode(msgspec.structs.replace(event, sequence=0)) for event in desk.store.events)
    assert set(lines.values()) <= {1}


async def back(desk: Desk) -> None:
    """The database is back, and so is the desk."""
    desk.journal.heal()
    await desk.clock.advance(3)


async def test_an_exit_goes_out_without_the_journal_and_is_in_it_afterwards(tmp_path: Path) -> None:
    """Its number stays, its history is whole, it was sent once; entries wait until all is merged and compared."""
    async with desk_with_spool(tmp_path) as desk:
        entry = await desk.resting(buy())
        desk.journal.fail()
        refused = await desk.place(buy(price="104.90"))
        assert not refused.accepted
        assert "journal" in refused.message
        receipt = await desk.place(sell())
        assert receipt.accepted, receipt.message
        assert "the spool keeps it" in receipt.message
        number = receipt.orders[0].number
        assert number > entry
        assert number not in desk.store.orders
        await desk.clock.advance(2)
        assert desk.state(number) is OrderState.OPEN
        assert desk.executor.health().spooled == 1
        assert any("go through the spool, which holds 1" in words for words in desk.executor.snapshot().degraded)
        assert not (await desk.place(buy(price="104.85"))).accepted
        await back(desk)
        agree(desk)
        assert desk.state(number) is OrderState.OPEN
        triggers = [event.trigger for event in desk.history(number) if event.applied]
        assert triggers[:2] == [OrderTrigger.SEND, OrderTrigger.ANSWERED]
        assert set(desk.broker.posts.values()) == {1}
        assert in_spool(desk) == []
        assert desk.executor.health().spooled == 0
        assert desk.executor.snapshot().degraded == ()
        assert (await desk.place(buy(price="104.80"))).accepted


async def test_a_journal_that_hangs_is_away_after_half_a_second(tmp_path: Path) -> None:
    """An entry is refused and an exit is sent within the limit, whichever finds out first."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.stop()
        placing = asyncio.ensure_future(desk.executor.place(PlaceOrder(request=sell())))
        await desk.clock.advance(0.4)
        assert not placing.done()
        await desk.clock.advance(0.15)
        receipt = await placing
        assert receipt.accepted
        assert desk.broker.accepted.total() == 1
        entry = await desk.place(buy())
        assert "journal" in {violation.check for violation in entry.violations}
        await desk.clock.advance(5)
        assert desk.state(receipt.orders[0].number) is OrderState.OPEN
        await back(desk)
        agree(desk)
        assert set(desk.broker.posts.values()) == {1}


async def test_an_entry_that_hung_is_refused_and_closed_when_it_lands_late(tmp_path: Path) -> None:
    """The database takes the refused intent after all: it is never sent, and its key makes no second order."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.stop()
        placing = asyncio.ensure_future(desk.executor.place(PlaceOrder(request=buy(), idempotency_key=None)))
        await desk.clock.advance(0.6)
        refused = await placing
        assert not refused.accepted
        assert "not sent" in refused.message
        await back(desk)
        await desk.clock.advance(20)
        assert [record.state for record in desk.store.orders.values()] == [OrderState.NOT_SENT]
        assert not desk.broker.posts


async def test_a_cancellation_goes_out_at_once(tmp_path: Path) -> None:
    """Of an entry too; it is in the journal afterwards."""
    async with desk_with_spool(tmp_path) as desk:
        number = await desk.resting(buy())
        desk.journal.stop()
        cancelling = asyncio.ensure_future(desk.cancel(number))
        await desk.clock.advance(0.6)
        await cancelling
        assert desk.broker.of_tag(desk.order(number).tag).status == "CANCELLED"
        await desk.clock.advance(2)
        assert desk.state(number) is OrderState.CANCELLED
        assert desk.journalled(number).state is OrderState.OPEN
        await back(desk)
        agree(desk)
        assert [call for call, _ in desk.broker.sequence].count(Call.CANCEL) == 1


async def test_only_an_exit_may_be_changed(tmp_path: Path) -> None:
    """Its price follows the market; an entry's change, and one that makes an exit too large, wait for the journal."""
    async with desk_with_spool(tmp_path) as desk:
        entry, leaving = await desk.resting(buy(price="104.90")), await desk.resting(sell())
        desk.journal.fail()
        refused = await desk.modify(entry, price="104.85")
        assert "could not be journalled" in refused.message
        assert not (await desk.modify(leaving, quantity=HELD + 65)).accepted
        taken = await desk.modify(leaving, price="104.95")
        assert taken.accepted, taken.message
        await desk.clock.advance(2)
        await back(desk)
        agree(desk)
        assert [call for call, _ in desk.broker.sequence].count(Call.MODIFY) == 1
        assert desk.order(leaving).request.price == sell(price="104.95").price
        assert desk.order(entry).request.price == buy(price="104.90").price


async def test_a_key_makes_one_exit_with_the_journal_away_too(tmp_path: Path) -> None:
    """During it, and after it."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        first = await desk.place(sell(), key="p12/exit")
        again = await desk.place(sell(), key="p12/exit")
        assert first.accepted
        assert again.repeated
        await back(desk)
        assert (await desk.place(sell(), key="p12/exit")).repeated
        await desk.restart()
        assert (await desk.place(sell(), key="p12/exit")).repeated
        assert list(desk.broker.posts.values()) == [1]


async def test_an_entry_with_a_key_is_refused_when_the_key_cannot_be_looked_up(tmp_path: Path) -> None:
    """A lane that may not use the spool needs the journal's word, whatever the order does to the risk."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        leaving = await desk.executor.place(PlaceOrder(request=sell(), idempotency_key="k"), lane=Lane.HEDGE)
        assert "whether this key is known" in leaving.message
        assert not desk.broker.posts


async def test_an_exit_does_not_wait_for_an_entry_that_is_held_back(tmp_path: Path) -> None:
    """The entry was journalled before; its send cannot be, so it waits and gets too old. The exit overtakes it."""
    settings = ExecutionSettings(budget=BudgetLimits(per_second=3), queue_expiry_s=4.0)
    async with desk_with_spool(tmp_path, settings) as desk:
        await desk.place(buy())  # all that entries may use of this second
        entry = await desk.place(buy())
        assert entry.accepted
        desk.journal.fail_changes()
        await desk.clock.advance(1.2)
        leaving = await desk.place(sell())
        assert leaving.accepted
        assert desk.broker.of_tag(leaving.orders[0].tag).status == "OPEN"
        await desk.clock.advance(5)
        number = entry.orders[0].number
        assert desk.state(number) is OrderState.NOT_SENT
        await back(desk)
        agree(desk)
        assert len([event for event in desk.history(number) if "journal failed" in event.detail]) == 1
        assert desk.broker.posts.total() == 2


async def test_answers_and_fills_of_earlier_orders_are_kept_in_the_spool(tmp_path: Path) -> None:
    """An entry was on its way when the database stopped; killed before it is back, nothing of it is forgotten."""
    async with desk_with_spool(tmp_path) as desk:
        desk.broker.close_gate(Call.PLACE, "after")
        number = (await desk.place(buy())).orders[0].number
        desk.journal.fail()
        desk.broker.open_gate(Call.PLACE, "after")
        await settle()
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.COMPLETE
        assert desk.journalled(number).state is OrderState.SENDING
        await desk.crash()
        desk.broker.orders_by_id.clear()  # another day: its book tells nothing any more
        await desk.open()
        assert desk.state(number) is OrderState.COMPLETE
        assert desk.order(number).filled_quantity == 65
        agree(desk)


@pytest.mark.parametrize(("point", "state"), [("before", OrderState.PRESUMED_ABSENT), ("after", OrderState.OPEN)])
async def test_killed_while_a_spooled_exit_is_on_its_way(tmp_path: Path, point: str, state: OrderState) -> None:
    """It may have left: looked up by its tag as any other, never sent again."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        desk.broker.close_gate(Call.PLACE, point)
        number = (await desk.place(sell())).orders[0].number
        assert in_spool(desk) == ["SpooledIntent", "SpooledChange"]
        await desk.crash()
        desk.broker.open_gate(Call.PLACE, point)
        await desk.open()
        assert in_spool(desk) == []
        await desk.clock.advance(40)
        assert desk.state(number) is state
        assert desk.broker.posts.total() == (1 if point == "after" else 0)
        agree(desk)


async def test_killed_before_a_spooled_exit_was_sent(tmp_path: Path) -> None:
    """No line says that it was being sent, so it never left: closed, with its number, as a letter for a person."""
    short = BudgetLimits(per_minute=1, reserve_per_minute=0)
    async with desk_with_spool(tmp_path, ExecutionSettings(budget=short)) as desk:
        await desk.resting(sell(price="105.50"))
        desk.journal.fail()
        number = (await desk.place(sell())).orders[0].number
        assert in_spool(desk) == ["SpooledIntent"]
        await desk.restart()
        assert desk.state(number) is OrderState.NOT_SENT
        await desk.clock.advance(120)
        assert desk.broker.posts.total() == 1
        agree(desk)


async def test_killed_after_the_answer(tmp_path: Path) -> None:
    """The broker's id comes from the spool."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        number = (await desk.place(sell())).orders[0].number
        order_id = desk.order(number).broker_order_id
        assert order_id is not None
        await desk.restart()
        assert desk.order(number).broker_order_id == order_id
        assert desk.state(number) is OrderState.OPEN
        assert desk.broker.posts.total() == 1
        agree(desk)


@pytest.mark.parametrize("merged", [0, 1, 2])
async def test_killed_in_the_middle_of_the_merge(tmp_path: Path, merged: int) -> None:
    """Whatever of it was made is made again without a trace."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        numbers = [(await desk.place(sell(price=price))).orders[0].number for price in ("105", "105.50", "106")]
        await desk.clock.advance(2)
        desk.journal.heal()
        journal = desk.journal
        original, done = journal.merge, asyncio.Event()

        async def merge(*arguments: object, **named: object) -> None:
            if len(journal.merges) == merged:
                done.set()
                await asyncio.Event().wait()
            await original(*arguments, **named)  # type: ignore[arg-type]

        journal.merge = merge  # type: ignore[method-assign]
        await desk.clock.advance(1)
        assert done.is_set()
        await desk.restart()
        agree(desk)
        assert [desk.state(number) for number in numbers] == [OrderState.OPEN] * 3
        assert set(desk.broker.posts.values()) == {1}
        assert in_spool(desk) == []


async def test_a_merge_that_fails_is_made_again(tmp_path: Path) -> None:
    """The database goes once more; exits go on meanwhile, and come after what waits."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        first = (await desk.place(sell())).orders[0].number
        desk.journal.merge_failures = 2
        desk.journal.heal()
        await desk.clock.advance(0.6)
        second = await desk.place(sell(price="105.50"))
        assert second.accepted
        await desk.clock.advance(4)
        agree(desk)
        assert desk.journal.merges.index(first) < desk.journal.merges.index(second.orders[0].number)
        assert set(desk.broker.posts.values()) == {1}


async def test_what_was_merged_is_never_merged_over_newer_standings(tmp_path: Path) -> None:
    """The broker cannot be read, so the spool is not emptied; an order goes on in the journal; the engine dies."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        number = (await desk.place(sell())).orders[0].number
        desk.broker.break_reads(BrokerUnavailable("no connection"))
        await back(desk)
        assert in_spool(desk)[-1] == MERGED
        assert SpoolMerged.__name__ == MERGED
        assert not (await desk.place(buy())).accepted  # not compared yet
        later = await desk.place(sell(price="105.50"))
        assert later.accepted
        assert "spool" not in later.message
        await desk.cancel(number)
        assert desk.journalled(number).state is OrderState.CANCELLING
        await desk.crash()
        opening = asyncio.ensure_future(desk.open(settle_second=False))
        await settle()
        await opening
        assert desk.state(number) is OrderState.CANCELLING
        desk.broker.heal()
        await desk.clock.advance(5)
        assert desk.state(number) is OrderState.CANCELLED
        agree(desk)


async def test_entries_wait_for_the_broker_to_be_compared(tmp_path: Path) -> None:
    """Merged is not enough: what happened meanwhile is looked at first."""
    async with desk_with_spool(tmp_path) as desk:
        await desk.resting(sell())
        desk.journal.fail()
        await desk.cancel()
        await desk.clock.advance(2)
        desk.broker.break_reads(BrokerUnavailable("no connection"))
        await back(desk)
        refused = await desk.place(buy())
        assert "journal" in {violation.check for violation in refused.violations}
        desk.broker.heal()
        await desk.clock.advance(20)
        assert (await desk.place(buy())).accepted
        assert in_spool(desk) == []


async def test_another_writer_ends_it(tmp_path: Path) -> None:
    """Another engine reached the database meanwhile: at the first contact this one neither sends nor merges more."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        assert (await desk.place(sell())).accepted
        desk.store.writers.clear()
        assert await MemoryRepositories(desk.store).writer_lock.acquire(ACCOUNT) is not None
        await back(desk)
        assert not desk.executor.snapshot().is_writer
        assert "writer" in {violation.check for violation in (await desk.place(sell())).violations}
        await desk.clock.advance(5)
        assert desk.store.orders == {}
        assert desk.broker.posts.total() == 1
        assert "SpooledIntent" in in_spool(desk)


async def test_a_lock_that_was_lost_is_taken_again(tmp_path: Path) -> None:
    """The database was restarted and nobody else came: the same epoch, the same writer, no second one."""
    async with desk_with_spool(tmp_path) as desk:
        desk.store.writers.clear()
        await desk.clock.advance(6)
        rival = MemoryRepositories(desk.store).writer_lock
        assert await rival.acquire(ACCOUNT) is None
        assert (await desk.place(buy())).accepted
        desk.store.epochs[ACCOUNT] += 1
        await desk.clock.advance(6)
        assert not desk.executor.snapshot().is_writer
        assert desk.ear.heard("Another engine is the writer", Severity.DANGER)


async def test_a_full_spool_refuses_exits_and_lets_cancellations_go(tmp_path: Path) -> None:
    """A cancellation can be asked for twice without harm; an order cannot, so it is refused in words."""
    async with desk_with_spool(tmp_path, ExecutionSettings(spool=SpoolSettings(bytes_max=300))) as desk:
        number = await desk.resting(buy())
        desk.journal.fail()
        refused = await desk.place(sell())
        assert not refused.accepted
        assert "spool is full" in refused.message
        await desk.cancel(number)
        await desk.clock.advance(2)
        assert desk.state(number) is OrderState.CANCELLED
        assert desk.ear.heard("The spool takes nothing more", Severity.DANGER)
        await back(desk)
        agree(desk)
        assert desk.executor.snapshot().degraded == ()
        assert desk.broker.posts.total() == 1


async def test_an_exit_without_a_number_left_is_refused(tmp_path: Path) -> None:
    """So many orders as numbers were reserved go through the spool; afterwards the stock is filled again."""
    async with desk_with_spool(tmp_path, ExecutionSettings(spool=SpoolSettings(numbers_kept=2))) as desk:
        desk.journal.fail()
        taken = [(await desk.place(sell(price=price))).accepted for price in ("105", "105.50")]
        refused = await desk.place(sell(price="106"))
        assert taken == [True, True]
        assert "no reserved order number" in refused.message
        await back(desk)
        desk.journal.fail()
        assert (await desk.place(sell(price="106"))).accepted
        numbers = [record.number for record in desk.executor.orders()]
        assert len(set(numbers)) == 3


async def test_numbers_go_on_in_their_order(tmp_path: Path) -> None:
    """Own orders, adopted ones and spooled ones are numbered as they come."""
    async with desk_with_spool(tmp_path) as desk:
        first = await desk.resting(buy())
        desk.broker.place_outside(buy(price="104.90"))
        await desk.clock.advance(16)
        desk.journal.fail()
        await desk.place(sell())
        await back(desk)
        assert [record.number for record in desk.executor.orders()] == [first, first + 1, first + 2]
        assert desk.order(first + 1).intent_id is None


async def test_what_stands_in_the_way_of_a_merge_is_put_right_and_said(tmp_path: Path) -> None:
    """A strategy nobody knows, and a key that had made an order long ago: both orders come into the journal."""
    async with desk_with_spool(tmp_path) as desk:
        old = await desk.resting(buy())
        known = desk.store.orders[old]
        await desk.cancel(old)
        await desk.clock.advance(3)
        desk.store.orders[old] = msgspec.structs.replace(desk.store.orders[old], idempotency_key="long ago")
        intent = desk.store.intents[known.intent_id or ""]
        desk.store.intents[intent.intent_id] = msgspec.structs.replace(intent, idempotency_key="long ago")
        desk.journal.fail()
        lost = (await desk.place(sell(strategy=StrategyNumber(99)))).orders[0].number
        twice = (await desk.place(sell(price="106"), key="long ago")).orders[0].number
        await back(desk)
        assert desk.journalled(lost).request.strategy is None
        assert desk.journalled(twice).idempotency_key != "long ago"
        assert desk.ear.heard("strategy 99, which is not known", Severity.DANGER)
        assert desk.ear.heard(f"under a key that had made o{old}", Severity.DANGER)
        assert desk.executor.snapshot().degraded == ()
        assert (await desk.place(buy(price="104.90"))).accepted


async def test_an_order_another_engine_has_adopted_is_not_followed_twice(tmp_path: Path) -> None:
    """It worked for the account meanwhile, found our exit in the book and gave it a number: ours says so and ends."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        number = (await desk.place(sell())).orders[0].number
        await desk.crash()
        folder, desk.spool = desk.spool, None
        await desk.open()  # without our spool
        (adopted,) = desk.executor.orders()
        assert adopted.number != number
        await desk.crash()
        desk.spool = folder
        await desk.open()
        assert desk.state(number) is OrderState.PRESUMED_ABSENT
        assert f"is o{adopted.number}" in desk.order(number).message
        assert desk.state(adopted.number) is OrderState.OPEN
        assert desk.broker.posts.total() == 1


async def test_a_number_that_is_taken_in_another_database_is_replaced(tmp_path: Path) -> None:
    """The database was replaced by an older copy while the spool was not."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        number = (await desk.place(sell())).orders[0].number
        tag = desk.order(number).tag
        await desk.crash()
        folder, desk.spool = desk.spool, None
        desk.store.last_number = number - 1
        outside = desk.broker.place_outside(buy(price="104.90"))
        kept = dict(desk.broker.orders_by_id)
        desk.broker.orders_by_id = {outside.order_id: outside}
        await desk.open()
        assert desk.order(number).intent_id is None
        await desk.crash()
        desk.broker.orders_by_id = kept
        desk.spool = folder
        await desk.open()
        (ours,) = (record for record in desk.executor.orders() if record.tag == tag)
        assert ours.number not in {0, number}
        assert ours.state is OrderState.OPEN
        assert desk.ear.heard(f"The number o{number} is another order's", Severity.DANGER)
        agree(desk)


async def test_what_only_seems_unsent_in_a_damaged_spool_is_looked_for(tmp_path: Path) -> None:
    """The line that said SENDING cannot be read: the worst case counts, and the book tells."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        desk.broker.close_gate(Call.PLACE, "after")
        number = (await desk.place(sell())).orders[0].number
        await desk.crash()
        assert desk.spool is not None
        desk.spool.write_bytes(desk.spool.read_bytes().replace(b'"SENDING"', b'"sending"'))
        desk.broker.open_gate(Call.PLACE, "after")
        await desk.open()
        assert desk.state(number) is OrderState.OPEN
        assert desk.ear.heard("cannot be read", Severity.DANGER)
        assert desk.broker.posts.total() == 1


async def test_a_start_without_the_database_leaves_the_spool(tmp_path: Path) -> None:
    """The engine does not start, says why, and the next start has everything."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        number = (await desk.place(sell())).orders[0].number
        await desk.crash()
        desk.store.stop()
        before = in_spool(desk)
        with pytest.raises(StorageError):
            await desk.open()
        assert in_spool(desk) == before
        desk.store.start()
        await desk.open()
        assert desk.state(number) is OrderState.OPEN
        assert desk.broker.posts.total() == 1


async def test_stopping_in_order_without_the_journal_keeps_everything(tmp_path: Path) -> None:
    """What is owed at the end is in the spool and not only in memory."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        desk.broker.arm(Call.PLACE, Fault.LOSE_ANSWER)
        number = (await desk.place(sell())).orders[0].number
        await desk.clock.advance(2)
        await desk.close()
        assert "SpooledIntent" in in_spool(desk)
        await desk.open()
        assert desk.state(number) is OrderState.OPEN
        assert in_spool(desk) == []
        assert desk.broker.posts.total() == 1


async def test_the_stock_of_numbers_is_filled_while_orders_come(tmp_path: Path) -> None:
    """A burst that empties it gets its numbers from the journal, and no number is given twice."""
    async with desk_with_spool(tmp_path, ExecutionSettings(spool=SpoolSettings(numbers_kept=2))) as desk:
        for price in ("105", "105.05", "105.10", "105.15", "105.20", "105.25"):
            assert (await desk.place(sell(price=price), settle_after=False)).accepted
        await desk.clock.advance(3)
        assert len({record.number for record in desk.executor.orders()}) == 6
        desk.journal.fail()
        assert (await desk.place(sell(price="105.30"))).accepted
        assert OrderNumber(0) not in {record.number for record in desk.executor.orders()}
