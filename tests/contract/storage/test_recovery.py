"""What an engine finds in the journal after a kill: a change that is out counts before any book is read."""

from __future__ import annotations

import msgspec
import pytest

from engine.core.decisions import EventFacts
from engine.core.identifiers import BrokerOrderId
from engine.core.orders import OrderRecord, OrderState, OrderTrigger
from engine.core.repositories import Repositories
from engine.execution.journal_writer import JournalWriter
from engine.execution.notices import Health
from engine.execution.recovery import recover
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import Standings
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import ACCOUNT, event, intent
from tests.unit.execution.desk import ManualClock

ASKED = 195


async def killed_in_a_change(store: Repositories, epoch: int, *, is_cancelled: bool) -> OrderRecord:
    """The journal of an engine that died while a larger change, perhaps overtaken by a cancellation, was out."""
    journal = store.journal
    (record,) = await journal.record_intents([intent(1)], epoch=epoch)
    resting = msgspec.structs.replace(record, state=OrderState.OPEN, broker_order_id=BrokerOrderId("261120000000007"))
    await journal.record_change(resting, [], epoch=epoch)
    sent = event(resting, OrderTrigger.MODIFY_SENT, OrderState.MODIFYING)
    changing = msgspec.structs.replace(resting, state=OrderState.MODIFYING)
    await journal.record_change(changing, [msgspec.structs.replace(sent, facts=EventFacts(asked=ASKED))], epoch=epoch)
    if not is_cancelled:
        return changing
    leaving = msgspec.structs.replace(changing, state=OrderState.CANCELLING)
    asked = event(changing, OrderTrigger.CANCEL_SENT, OrderState.CANCELLING)
    await journal.record_change(leaving, [asked], epoch=epoch)
    return leaving


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_larger_change_in_flight_counts_at_once(engines: TwoEngines, is_cancelled: bool) -> None:
    """Written by one engine, read by the next: the worst case has the larger size, the record the confirmed one."""
    before = await killed_in_a_change(engines.first, engines.epoch, is_cancelled=is_cancelled)
    clock, settings = ManualClock(), ExecutionSettings()
    journal = engines.second.journal
    writer = JournalWriter(
        journal,
        account=ACCOUNT,
        epoch=engines.epoch,
        health=Health(lambda _: None),
        clock=clock,
        retry_s=settings.journal_retry_s,
        on_lost=lambda: None,
        spool=None,
        settings=settings.spool,
        lock=None,
        owner=Nobody(),
    )
    standings = Standings(writer, journal, clock, lambda *_: None)
    for record in await journal.working(ACCOUNT):
        standings.insert(record)
    await recover(standings, journal, settings, clock)
    (worst,) = standings.worst()
    assert (worst.number, worst.request.quantity) == (before.number, ASKED)
    (record,) = standings.records()
    assert (record.state, record.request.quantity) == (before.state, before.request.quantity)


class Nobody:
    """Is asked only when a journal comes back, which never goes away here."""

    async def compare_with_broker(self, numbers: frozenset[object]) -> bool:
        """Nothing to compare."""
        raise AssertionError(numbers)

    async def put_right(self, record: OrderRecord) -> None:
        """Nothing to put right."""
        raise AssertionError(record.number)
