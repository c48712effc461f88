"""The list of differences from the broker's books: listed, changed, explained, gone, and kept over restarts."""

from __future__ import annotations

from engine.core.errors import StorageUnavailable
from engine.core.reconciling import Mismatch, MismatchKind, MismatchState
from engine.core.vocabulary import Severity
from engine.execution.mismatches import Finding, MismatchList, mismatch_id
from engine.execution.notices import Notice
from engine.execution.reconciliation import Comparison
from storage.memory import MemoryRepositories
from tests.unit.execution.desk import ACCOUNT, Desk, ManualClock

KINDS = frozenset({MismatchKind.POSITION})
SUBJECT = "NFO:X NRML"
NAME = mismatch_id(ACCOUNT, MismatchKind.POSITION, SUBJECT)


def finding(theirs: int = 130, *, ours: int = 65, settled: bool = False) -> Finding:
    """One position on which the books differ."""
    return Finding(
        kind=MismatchKind.POSITION,
        subject=SUBJECT,
        words=f"the broker has {theirs}, we {ours}",
        ours=str(ours),
        theirs=str(theirs),
        difference=f"{theirs - ours:+d}",
        is_settled=settled,
    )


class Listed:
    """A list with its notices and a clock that a test moves."""

    def __init__(self, repositories: MemoryRepositories | None = None, epoch: int = 0) -> None:
        self.clock = ManualClock()
        self.notices: list[Notice] = []
        self.list = MismatchList(
            ACCOUNT,
            self.notices.append,
            self.clock,
            settle_s=1.0,
            kept_s=100.0,
            repository=None if repositories is None else repositories.upkeep,
            epoch=epoch,
        )

    async def see(self, *found: Finding, after_s: float = 2.0) -> None:
        """One reading, later."""
        self.clock.elapsed += after_s
        await self.list.update(found, KINDS)

    def items(self) -> tuple[Mismatch, ...]:
        """What is listed now."""
        return self.list.items

    def heard(self, words: str) -> list[Severity]:
        """How loudly something was said."""
        return [notice.severity for notice in self.notices if words in notice.text]


async def test_one_reading_is_not_enough_and_readings_in_a_burst_count_once() -> None:
    """A fill between two reads is no item; the same difference again after the time to settle is one."""
    desk = Listed()
    await desk.see(finding())
    await desk.see(finding(), after_s=0.2)
    assert desk.items() == ()
    assert desk.list.has_doubts
    await desk.see(finding())
    (item,) = desk.items()
    assert (item.mismatch_id, item.state, item.ours, item.theirs) == (NAME, MismatchState.OPEN, "65", "130")
    assert desk.heard("Mismatch: the broker has 130") == [Severity.DANGER]
    assert not desk.list.has_doubts


async def test_a_difference_that_moves_with_the_fills_is_never_listed() -> None:
    """Each reading shows another one, because trades go on: none of them is confirmed."""
    desk = Listed()
    for theirs in (130, 195, 260, 130):
        await desk.see(finding(theirs))
    assert desk.items() == ()
    await desk.see()
    assert not desk.list.has_doubts


async def test_what_has_been_looked_at_often_enough_is_listed_at_once() -> None:
    """The watcher has missed an order in several good reads before it says so."""
    desk = Listed()
    await desk.see(finding(settled=True))
    assert len(desk.items()) == 1


async def test_repeats_move_the_last_sight_and_keep_the_first() -> None:
    """One event when it opens, none for repeats; the figures may move together without a word."""
    desk = Listed()
    await desk.see(finding())
    await desk.see(finding())
    first = desk.items()[0]
    await desk.see(finding(195, ours=130))
    (item,) = desk.items()
    assert item.first_seen == first.first_seen
    assert item.last_seen > first.last_seen
    assert item.words == "the broker has 195, we 130"
    assert len(desk.notices) == 1


async def test_an_explanation_holds_until_the_difference_is_another_one() -> None:
    """Explained it is not open; with another difference, seen twice, it is open again and says what it was."""
    desk = Listed()
    await desk.see(finding(settled=True))
    explained = await desk.list.explain(NAME, "bought on the phone", seat="seat-1")
    assert explained is not None
    assert (explained.explained_by, explained.explanation) == ("seat-1", "bought on the phone")
    await desk.see(finding())
    assert desk.items()[0].state is MismatchState.EXPLAINED
    assert desk.list.sentences == ()
    await desk.see(finding(195))
    assert desk.items()[0].state is MismatchState.EXPLAINED
    await desk.see(finding(195))
    assert desk.items()[0].state is MismatchState.OPEN
    assert desk.heard("Mismatch changed: the broker has 195") == [Severity.DANGER]


async def test_it_goes_by_itself_and_comes_back_as_the_same_item() -> None:
    """Gone with one reading without it, an event each way; the id is the same the next time; old ones are forgotten."""
    desk = Listed()
    await desk.see(finding(settled=True))
    await desk.see()
    assert [item.state for item in desk.items()] == [MismatchState.GONE]
    assert desk.heard("Mismatch gone: the broker has 130") == [Severity.INFO]
    assert await desk.list.explain(NAME, "too late", seat="") is None
    await desk.see(finding(settled=True))
    assert [(item.mismatch_id, item.state) for item in desk.items()] == [(NAME, MismatchState.OPEN)]
    await desk.see()
    await desk.see(after_s=101)
    assert desk.items() == ()


async def test_what_was_not_compared_neither_opens_nor_goes() -> None:
    """Positions could not be read: their items stay as they are."""
    desk = Listed()
    await desk.see(finding(settled=True))
    desk.clock.elapsed += 5
    await desk.list.update((), frozenset({MismatchKind.FILLS}))
    assert [item.state for item in desk.items()] == [MismatchState.OPEN]


async def test_items_outlive_the_engine_and_a_database_that_is_down() -> None:
    """While nothing can be written the list stands in memory; later it is written, and the next engine has it."""
    async with Desk() as desk:
        await desk.crash()
        repositories = MemoryRepositories(desk.store)
        desk.store.writers.clear()
        epoch = await repositories.writer_lock.acquire(ACCOUNT)
        assert epoch is not None
        one = Listed(repositories, epoch)
        desk.store.stop()
        await one.see(finding(settled=True))
        assert len(one.items()) == 1
        desk.store.start()
        await one.see(finding())
        await one.list.explain(NAME, "known", seat="seat-1")
        other = Listed(repositories, epoch)
        await other.list.load()
        (item,) = other.items()
        assert (item.state, item.explanation, item.first_seen) == (
            MismatchState.EXPLAINED,
            "known",
            one.items()[0].first_seen,
        )
        await other.see(finding())
        assert other.notices == []
        await desk.open()


async def test_fills_that_wait_for_the_journal_are_no_difference_of_the_positions() -> None:
    """While the ledger cannot take them nothing is listed, and it is said why; after it the positions are compared."""
    theirs = 0

    async def positions() -> Comparison:
        ours = sum(trade.quantity for trade in desk.fills.trades)
        found = () if ours == theirs else (finding(theirs, ours=ours),)
        return Comparison(kinds=KINDS, found=found)

    desk = Desk(checks=(positions,))
    async with desk:
        number = await desk.resting()
        desk.fills.error = StorageUnavailable("the database is gone")
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        theirs = 65
        await desk.clock.advance(5)
        for _ in range(3):
            result = await desk.executor.reconcile()
            await desk.clock.advance(2)
            assert result.not_compared == (MismatchKind.POSITION,)
            assert not result.is_settled
        assert desk.executor.snapshot().mismatches == ()
        assert any("wait for the journal" in words for words in desk.executor.snapshot().degraded)
        desk.fills.error = None
        await desk.clock.advance(5)
        assert desk.executor.snapshot().degraded == ()
        result = await desk.executor.reconcile()
        assert (result.not_compared, result.mismatches) == ((), ())
        theirs = 130
        await desk.clock.advance(90)
        assert desk.executor.snapshot().mismatches == ("the broker has 130, we 65",)
