"""The executor's picture of itself for screens and scripts."""

from __future__ import annotations

from datetime import datetime

from engine.core.decisions import LetterState
from engine.core.execution import ExecutionHealth, JournalView, QueuedView
from engine.core.identifiers import AccountId
from engine.execution.sending import SendingSide
from engine.execution.standings import Standings
from engine.execution.views import ExecutionView


def execution_health(
    *,
    account: AccountId,
    at: datetime,
    monotonic: float,
    view: ExecutionView,
    sending: SendingSide,
    standings: Standings,
    journal: JournalView,
) -> ExecutionHealth:
    """Put it together; what waits is played through the budget, so ask for it at the pace of a screen, not of ticks."""
    queue = sending.queue
    leaves = sending.budget.forecast(queue.weights())
    return ExecutionHealth(
        account=account,
        at=at,
        budget=view.budget,
        queue=tuple(
            QueuedView(
                number=command.number,
                errand=command.errand,
                lane=command.lane.name,
                waited_s=monotonic - command.queued_at,
                eta_s=eta_s,
            )
            for command, eta_s in zip(queue, leaves, strict=True)
        ),
        on_wire=view.on_wire,
        working=view.working,
        unknown=view.unknown,
        rate_limited=view.rate_limited,
        breakers=tuple(breaker.view() for breaker in sending.breakers.values()),
        latencies=sending.latencies.views(),
        dead_letters=sum(record.letter is LetterState.OPEN for record in standings.records()),
        is_writer=view.is_writer,
        is_reconciled=view.is_reconciled,
        mismatches=view.mismatches,
        degraded=view.degraded,
        spooled=journal.spooled,
        journal=journal,
    )
