"""The executor with a spool against the same model; the journal fails, hangs, lies and comes back at any moment.

Whatever happens, and whenever the engine is killed: no tag makes two orders, no key makes two, everything that the
broker has seen was kept before, and in the end journal, memory and broker agree under the numbers given first.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from engine.core.identifiers import OrderNumber, OrderTag
from engine.core.orders import OrderState
from engine.execution.spool_records import decode, fold
from tests.kit.fake_broker import option
from tests.properties.execution.test_executor_model import PICK, PRICES, SETTINGS, ExecutorMachine
from tests.unit.execution.desk import Desk, sell, settle

T = TypeVar("T")

COMMANDS = frozenset({"place", "place_all", "cancel", "modify"})
"""What may have to wait for a journal that hangs, so that time must pass meanwhile."""
STEP_S = 0.2
STEPS_MAX = 50


class SpoolMachine(ExecutorMachine):
    """One desk that holds something and has a spool."""

    @initialize()
    def begin(self) -> None:
        """Open the desk."""
        self.folder = tempfile.TemporaryDirectory()
        self.numbers: dict[OrderTag, OrderNumber] = {}

        async def opened() -> None:
            self.desk = Desk(SETTINGS, spool=Path(self.folder.name) / "AB1234.spool")
            self.desk.facts.held = {option().key: 1300}
            await self.desk.__aenter__()

        ExecutorMachine.do(self, opened())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until the work is done; time passes when it waits for the journal."""
        if getattr(work, "__name__", "") not in COMMANDS:
            return super().do(work)

        async def driven() -> T:
            task = asyncio.ensure_future(work)
            for _ in range(STEPS_MAX):
                await settle()
                if task.done():
                    break
                await self.desk.clock.advance(STEP_S)
            return await task

        return super().do(driven())

    @rule()
    def stop_journal(self) -> None:
        """The database answers nothing any more, and does what it was asked when it goes on."""
        if self.desk.journal.stall is None:
            self.desk.journal.stop()

    @rule(price=PRICES, hangs=st.booleans(), key=st.sampled_from([None, "a", "x"]))
    def leave_without_journal(self, price: str, hangs: bool, key: str | None) -> None:
        """An exit just when the database goes."""
        if hangs:
            self.stop_journal()
        else:
            self.desk.journal.fail()
        self.do(self.desk.place(sell(65, price), key=key))

    @rule(pick=PICK)
    def cancel_without_journal(self, pick: int) -> None:
        """A cancellation just when the database goes."""
        self.desk.journal.fail()
        self.cancel(pick)

    @rule(seconds=st.sampled_from([0.3, 0.9, 3.0]))
    def come_back(self, seconds: float) -> None:
        """The database is there again, for so long at least."""
        self.desk.journal.heal()
        self.do(self.desk.clock.advance(seconds))

    @rule()
    def break_merge(self) -> None:
        """The next merge is not made."""
        self.desk.journal.merge_failures = 1

    @invariant()
    def what_was_posted_was_journalled(self) -> None:
        """Every tag the broker has ever seen from us left QUEUED before, in the journal or in the spool."""
        if not hasattr(self, "desk"):
            return
        assert self.desk.spool is not None
        kept = {record.tag: record for record in self.desk.store.orders.values()}
        for order in fold(decode(self.desk.spool.read_bytes()).records):
            kept[order.record.tag] = order.record
        for tag in self.desk.broker.posts:
            assert kept[tag].state is not OrderState.QUEUED

    @invariant()
    def a_number_is_for_good(self) -> None:
        """An order that has been seen under a number is never seen under another one."""
        if not hasattr(self, "desk"):
            return
        for record in self.desk.executor.orders():
            if record.intent_id is not None and record.tag is not None:
                assert self.numbers.setdefault(record.tag, record.number) == record.number

    def teardown(self) -> None:
        """Compare, and let the folder go."""
        try:
            super().teardown()
        finally:
            if hasattr(self, "folder"):
                self.folder.cleanup()


SpoolMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestSpoolAgainstModel = SpoolMachine.TestCase
