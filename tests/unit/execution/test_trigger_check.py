"""Triggers against the broker's list: what is adopted, what is a difference until it is explained, what has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import DeleteGtt, ModifyGtt, PlaceGtt
from engine.core.errors import BrokerUnavailable, StorageUnavailable
from engine.core.identifiers import BrokerOrderId
from engine.core.instructions import Instruction, InstructionKind
from engine.core.reconciling import Mismatch, MismatchKind, MismatchState
from engine.core.standing_triggers import GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import Severity, Side
from engine.execution.reconciliation import Comparison, Reconciliation
from engine.execution.trigger_check import COMPARED, TriggerCheck
from tests.kit.fake_broker import Call, Fault, option
from tests.unit.execution.desk import Desk, settle

OPEN, EXPLAINED, GONE = MismatchState.OPEN, MismatchState.EXPLAINED, MismatchState.GONE


def stop(trigger: str = "60", *, quantity: int = 65) -> GttRequest:
    """A stop below the market."""
    order = GttOrder(trigger_price=Decimal(trigger), side=Side.SELL, quantity=quantity, price=Decimal(trigger) - 2)
    return GttRequest(instrument=option().key, kind=GttKind.SINGLE, orders=(order,))


class Watch:
    """The check of a desk whose engines come and go."""

    def __init__(self) -> None:
        self.desk = Desk(checks=(self.compare,))

    async def compare(self) -> Comparison:
        """Compare with the executor that is there; while one starts there is none yet."""
        executor = getattr(self.desk, "executor", None)
        side = None if executor is None else executor.instructions
        if executor is None or side is None:
            return Comparison(kinds=COMPARED, found=None)
        items = executor.mismatches
        check = TriggerCheck(side.triggers, side.book, lambda name: items.explained(MismatchKind.TRIGGER, name))
        return await check.compare()

    async def place(self, request: GttRequest | None = None) -> int:
        """Leave a trigger; its id."""
        assert self.desk.executor.instructions is not None
        receipt = await self.desk.executor.instructions.triggers.place(PlaceGtt(request=request or stop()))
        await settle()
        assert receipt.trigger_id is not None, receipt.message
        return receipt.trigger_id

    async def reconcile(self, times: int = 2) -> Reconciliation:
        """Compare so often, a second apart."""
        for _ in range(times):
            result = await self.desk.executor.reconcile()
            await self.desk.clock.advance(1)
        return result

    def end(self, trigger_id: int, status: GttStatus, *, order: str | None = None, words: str = "") -> None:
        """Something happens to a trigger at the broker."""
        row = self.desk.broker.triggers[trigger_id]
        became = msgspec.structs.replace(
            row.request.orders[0],
            result_order_id=None if order is None else BrokerOrderId(order),
            result_words=words,
        )
        request = msgspec.structs.replace(row.request, orders=(became,))
        self.desk.broker.triggers[trigger_id] = msgspec.structs.replace(row, status=status, request=request)

    async def explain(self, item: Mismatch, words: str = "on the phone") -> None:
        """A person says why."""
        assert await self.desk.executor.mismatches.explain(item.mismatch_id, words, seat="one") is not None

    @property
    def items(self) -> tuple[Mismatch, ...]:
        """What is listed of triggers."""
        return tuple(item for item in self.desk.executor.mismatches.items if item.kind is MismatchKind.TRIGGER)

    def written(self) -> list[Instruction]:
        """What the journal has of what was done outside."""
        return [item for item in self.desk.store.instructions.values() if item.baseline.outside]


@asynccontextmanager
async def watching() -> AsyncIterator[Watch]:
    """A desk with the check."""
    watch = Watch()
    async with watch.desk:
        yield watch


async def test_what_agrees_is_no_news() -> None:
    """Ours, as it was left, changed and taken back here: nothing is listed, said or written."""
    async with watching() as watch:
        kept, gone = await watch.place(), await watch.place(stop("55"))
        triggers = watch.desk.executor.instructions
        assert triggers is not None
        await triggers.triggers.modify(ModifyGtt(trigger_id=kept, request=stop("62")))
        await triggers.triggers.delete(DeleteGtt(trigger_id=gone))
        said = len(watch.desk.ear.notices)
        result = await watch.reconcile()
        assert (watch.items, watch.written(), result.not_compared) == ((), [], ())
        assert len(watch.desk.ear.notices) == said


async def test_what_was_taken_back_without_the_journal_is_no_difference() -> None:
    """The journal has given the deletion no number yet, and gives one later: all the while it is the newer of both."""
    async with watching() as watch:
        desk, gone = watch.desk, await watch.place()
        desk.instructions.down = StorageUnavailable("the database is gone")
        await desk.clock.advance(1)
        assert desk.executor.instructions is not None
        receipt = await desk.executor.instructions.triggers.delete(DeleteGtt(trigger_id=gone))
        assert receipt.accepted, receipt.message
        assert [item.trigger_id for item in desk.executor.instructions.book.all()] == [gone, gone]
        await watch.reconcile()
        assert watch.items == ()
        desk.instructions.down = None
        await desk.clock.advance(5)
        result = await watch.reconcile()
        assert (watch.items, result.not_compared) == ((), ())
        await desk.restart()
        await watch.reconcile()
        assert watch.items == ()


async def test_one_from_outside_is_adopted_and_follows_the_list() -> None:
    """Named once, shown as outside, over a restart too; changed and deleted there it follows, without a mismatch."""
    async with watching() as watch:
        desk, ours = watch.desk, await watch.place()
        theirs = desk.broker.leave_trigger(stop("50"))
        await watch.reconcile()
        assert len(desk.ear.heard(f"Trigger {theirs} was left outside this desk", Severity.ATTENTION)) == 1
        assert desk.executor.instructions is not None
        shown = {row.trigger_id: row.is_outside for row in await desk.executor.instructions.triggers.triggers()}
        assert shown == {ours: False, theirs: True}
        await desk.restart()
        row = desk.broker.triggers[theirs]
        desk.broker.triggers[theirs] = msgspec.structs.replace(row, request=stop("48"))
        await watch.reconcile()
        assert len(desk.ear.heard("was changed outside to at 48", Severity.ATTENTION)) == 1
        watch.end(theirs, GttStatus.DELETED)
        await watch.reconcile()
        assert len(desk.ear.heard("was taken back outside", Severity.ATTENTION)) == 1
        assert [item.kind for item in watch.written()] == [
            InstructionKind.PLACE_GTT,
            InstructionKind.MODIFY_GTT,
            InstructionKind.DELETE_GTT,
        ]
        assert watch.items == ()


@pytest.mark.parametrize("is_listed", [True, False])
async def test_one_of_ours_deleted_outside_is_a_mismatch_until_it_is_explained(is_listed: bool) -> None:
    """Whether the broker still lists it as deleted or not at all; two readings show it, an explanation ends it."""
    async with watching() as watch:
        desk, trigger_id = watch.desk, await watch.place()
        if is_listed:
            watch.end(trigger_id, GttStatus.DELETED)
        else:
            del desk.broker.triggers[trigger_id]
        await desk.executor.reconcile()
        assert not watch.items
        await watch.reconcile(3)
        (item,) = watch.items
        assert (item.state, item.subject, item.theirs) == (
            OPEN,
            f"trigger {trigger_id}",
            "deleted" if is_listed else "none",
        )
        assert "nobody here took it back" in item.words
        await desk.restart()
        await watch.reconcile()
        assert [item.state for item in watch.items] == [OPEN]
        await watch.explain(item)
        await watch.reconcile(1)
        assert [item.state for item in watch.items] == [GONE]
        (written,) = watch.written()
        assert "explained by one: on the phone" in written.message
        await desk.restart()
        await watch.reconcile()
        assert len(watch.written()) == 1
        assert {item.state for item in watch.items} <= {GONE}


async def test_other_fields_are_a_mismatch_until_they_agree_or_are_explained() -> None:
    """Changed outside: listed with both; changed back it is gone; changed again and explained it is taken as it is."""
    async with watching() as watch:
        desk, trigger_id = watch.desk, await watch.place()
        before = desk.broker.triggers[trigger_id]
        changed = msgspec.structs.replace(before, request=stop("60", quantity=130))
        desk.broker.triggers[trigger_id] = changed
        await watch.reconcile()
        (item,) = watch.items
        assert (item.state, "SELL 130" in item.theirs, "SELL 65" in item.ours) == (OPEN, True, True)
        desk.broker.triggers[trigger_id] = before
        await watch.reconcile(1)
        assert [item.state for item in watch.items] == [GONE]
        desk.broker.triggers[trigger_id] = changed
        await watch.reconcile()
        await watch.explain(watch.items[0])
        await watch.reconcile(1)
        assert [item.state for item in watch.items] == [GONE]
        assert [(item.kind, item.gtt) for item in watch.written()] == [(InstructionKind.MODIFY_GTT, changed.request)]
        watch.end(trigger_id, GttStatus.CANCELLED)
        await watch.reconcile()
        assert [item.state for item in watch.items] == [OPEN], "it is still ours: that it went is a difference again"


@pytest.mark.parametrize(
    ("order", "words", "severity"),
    [("26112300001", "", Severity.ATTENTION), (None, "margin", Severity.DANGER)],
)
async def test_one_that_fired_has_ended_and_is_told(order: str | None, words: str, severity: Severity) -> None:
    """With its order; one whose order was not taken protects nothing, and that is a danger."""
    async with watching() as watch:
        trigger_id = await watch.place()
        watch.end(trigger_id, GttStatus.TRIGGERED, order=order, words=words)
        await watch.reconcile(3)
        (notice,) = watch.desk.ear.heard(f"Trigger {trigger_id} (", severity)
        assert "fired" in notice.text
        assert (order or words) in notice.text
        assert [item.kind for item in watch.written()] == [InstructionKind.DELETE_GTT]
        assert watch.items == ()


async def test_nothing_is_judged_while_something_has_no_answer() -> None:
    """An unknown one is looked for by its own desk: the check neither adopts it nor misses it."""
    async with watching() as watch:
        desk = watch.desk
        desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_ANSWER)
        assert desk.executor.instructions is not None
        await desk.executor.instructions.triggers.place(PlaceGtt(request=stop()))
        result = await desk.executor.reconcile()
        assert result.not_compared == (MismatchKind.TRIGGER,)
        await desk.clock.advance(3)
        result = await watch.reconcile()
        assert (result.not_compared, watch.written(), watch.items) == ((), [], ())


async def test_one_presumed_absent_that_appears_is_not_adopted_as_another_ones() -> None:
    """Its desk finds it, with its own alarm."""
    async with watching() as watch:
        desk = watch.desk
        desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_REQUEST)
        assert desk.executor.instructions is not None
        await desk.executor.instructions.triggers.place(PlaceGtt(request=stop()))
        await desk.clock.advance(33)
        desk.broker.leave_trigger(stop())
        await watch.reconcile()
        assert watch.written() == []
        await desk.clock.advance(61)
        assert desk.ear.heard("presumed absent: look at both", Severity.DANGER)


async def test_what_cannot_be_read_or_written_leaves_everything_as_it_is() -> None:
    """A list that cannot be read, and a journal that takes nothing: not compared, and made up for later."""
    async with watching() as watch:
        desk, trigger_id = watch.desk, await watch.place()
        theirs = desk.broker.leave_trigger(stop("50"))
        del desk.broker.triggers[trigger_id]
        await watch.reconcile()
        assert [item.state for item in watch.items] == [OPEN]
        other = desk.broker.leave_trigger(stop("45"))
        desk.broker.break_reads(BrokerUnavailable("no connection"), Call.GTTS)
        assert (await desk.executor.reconcile()).not_compared == (MismatchKind.TRIGGER,)
        desk.broker.heal()
        desk.instructions.down = StorageUnavailable("the database is gone")
        assert (await desk.executor.reconcile()).not_compared == (MismatchKind.TRIGGER,)
        assert [item.state for item in watch.items] == [OPEN]
        desk.instructions.down = None
        await watch.reconcile()
        assert {item.trigger_id for item in watch.written()} == {theirs, other}


async def test_triggers_outlive_the_days_that_are_loaded() -> None:
    """Left long ago, it is still ours after a restart: its loss is a mismatch, its presence no adoption."""
    async with watching() as watch:
        desk, trigger_id = watch.desk, await watch.place()
        desk.clock.elapsed += timedelta(days=30).total_seconds()
        await desk.restart()
        await watch.reconcile()
        assert (watch.items, watch.written()) == ((), [])
        del desk.broker.triggers[trigger_id]
        await watch.reconcile()
        assert [item.state for item in watch.items] == [OPEN]
