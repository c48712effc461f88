"""What a new executor does with orders an earlier one left behind. It assumes that the other died at any moment."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.decisions import EventFacts, LetterState, UnsentCause
from engine.core.orders import OrderEvent, OrderState, OrderTrigger
from engine.core.ports import Clock
from engine.core.repositories import OrderJournal
from engine.execution.queue import Errand
from engine.execution.resolution import Lookup
from engine.execution.sender import STOPPED
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import CommandInFlight, Standing, Standings


async def recover(standings: Standings, journal: OrderJournal, settings: ExecutionSettings, clock: Clock) -> None:
    """Close what never left, and begin the search for everything that may have.

    Raises:
        StorageError: a history cannot be read.
    """
    for record in standings.records():
        standing = standings.by_number(record.number)
        if standing is not None and (record.state.is_working or record.state is OrderState.PRESUMED_ABSENT):
            async with standing.lock:
                await _recover_one(standing, standings, journal, settings, clock)


async def _recover_one(
    standing: Standing, standings: Standings, journal: OrderJournal, settings: ExecutionSettings, clock: Clock
) -> None:
    def search(window_s: float) -> Lookup:
        # Whatever was on the wire ended with the process that sent it, at the latest now.
        return Lookup(ended_at=clock.monotonic(), window_s=window_s, reads_min=settings.unknown_reads_min)

    record = standing.record
    if record.state is OrderState.QUEUED:
        # An entry is never sent late: the price was meant for another moment.
        await standings.settle(
            standing,
            OrderTrigger.DROP,
            STOPPED,
            facts=EventFacts(cause=UnsentCause.STOPPED),
            message=f"Not sent: {STOPPED}.",
            letter=LetterState.OPEN,
        )
    elif record.state is OrderState.SENDING:
        words = "The engine stopped while it was being sent; it is being looked for."
        await standings.settle(standing, OrderTrigger.LOST, words, message=words)
    elif record.state in {OrderState.MODIFYING, OrderState.CANCELLING}:
        is_modify = record.state is OrderState.MODIFYING
        asked = units_asked(await journal.history(record.number))
        standing.command = CommandInFlight(Errand.MODIFY if is_modify else Errand.CANCEL, quantity=asked)
        standing.command.lookup = search(settings.unknown_window_s if is_modify else settings.settle_window_s)
    if standing.record.state in {OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT}:
        if standing.record.state is OrderState.UNKNOWN:
            standing.lookup = search(settings.unknown_window_s)
        history = await journal.history(record.number)
        standing.cancel_wished = any(
            event.trigger is OrderTrigger.CANCEL_SENT and not event.applied for event in history
        )


def units_asked(history: Sequence[OrderEvent]) -> int | None:
    """Units in all that a change still in flight asks for: the order may have them by now.

    Args:
        history: All lines of one order, oldest first.
    """
    asked: int | None = None
    for event in history:
        if event.applied and event.trigger is OrderTrigger.MODIFY_SENT:
            asked = event.facts.asked
        elif event.to_state not in {OrderState.MODIFYING, OrderState.CANCELLING}:
            asked = None
    return asked
