"""What is read of the broker's book: orders, fills and differences, put together for one account."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.core.identifiers import AccountId
from engine.core.ports import BrokerReads, Clock
from engine.core.repositories import UpkeepRepository
from engine.execution.book_notices import BookNotices
from engine.execution.book_schedule import BookSchedule
from engine.execution.book_watcher import BookWatcher
from engine.execution.breaker import Endpoint
from engine.execution.fills import FillCollector
from engine.execution.mismatches import MismatchList
from engine.execution.notices import FillListener, Health, Notice
from engine.execution.patience import Patience
from engine.execution.patient_upkeep import PatientUpkeep
from engine.execution.reconciliation import Compare, Reconciler
from engine.execution.sending import SendingSide
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import Standing, Standings


class BookSide:
    """Makes the parts that read, and joins them.

    Args:
        account: Whose book.
        reads: The broker's reading endpoints.
        standings: How orders stand.
        sending: Its breakers and its clock learn from every read.
        settings: Limits and intervals.
        clock: Time.
        health: Where what cannot be read is declared.
        notify: For what a person should read.
        fills: Books fills.
        on_known: Told when the broker's id of an order is known.
        checks: Further comparisons of a reconciliation.
        upkeep: Where differences are kept; ``None``: nowhere.
        epoch: The writer epoch.
        limit_s: How long a write of what was read may take; ``None``: as long as it takes.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        reads: BrokerReads,
        standings: Standings,
        sending: SendingSide,
        settings: ExecutionSettings,
        clock: Clock,
        health: Health,
        notify: Callable[[Notice], None],
        fills: FillListener,
        on_known: Callable[[Standing], None],
        checks: Sequence[Compare],
        upkeep: UpkeepRepository | None,
        epoch: int,
        limit_s: float | None,
    ) -> None:
        breaker = sending.breakers[Endpoint.BOOK]
        self.upkeep_patience = Patience(clock, limit_s)
        self.fills = FillCollector(
            reads=reads,
            standings=standings,
            listener=fills,
            health=health,
            clock=clock,
            breaker=breaker,
            patience=Patience(clock, limit_s),
        )
        self.watcher = BookWatcher(
            reads=reads,
            standings=standings,
            account=account,
            settings=settings,
            clock=clock,
            health=health,
            breaker=breaker,
            notices=BookNotices(notify),
            on_known=on_known,
            on_growth=self.fills.want,
            on_outside=sending.count_outside,
        )
        self.mismatches = MismatchList(
            account,
            notify,
            clock,
            settle_s=settings.mismatch_settle_s,
            kept_s=settings.mismatch_kept_s,
            repository=None if upkeep is None else PatientUpkeep(upkeep, self.upkeep_patience),
            epoch=epoch,
        )
        self.reconciler = Reconciler(
            watcher=self.watcher, fills=self.fills, clock=clock, mismatches=self.mismatches, checks=checks
        )
        self.schedule = BookSchedule(
            watcher=self.watcher,
            fills=self.fills,
            reconciler=self.reconciler,
            standings=standings,
            breaker=breaker,
            settings=settings,
            clock=clock,
            after_read=sending.learn_clock,
        )
