"""Watches for orders that rest where nothing will come of them, and for the broker's square-off of MIS positions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from engine.core.commands import CancelOrders
from engine.core.decisions import Reason
from engine.core.errors import StorageError
from engine.core.events import EventKind
from engine.core.identifiers import InstrumentKey, OrderNumber
from engine.core.orders import OrderRecord
from engine.core.ports import Clock
from engine.core.quotes import Quote
from engine.core.vocabulary import Severity
from engine.execution.days import exchange_day
from engine.execution.executor import OrderExecutor
from engine.execution.facts import MarketFacts
from engine.execution.housekeeping import HOUSEKEEPING, HOUSEKEEPING_VERSION, RESTING
from engine.execution.lingering import Lingering, expired_orders, square_off_warning, stale_orders
from engine.execution.notices import Notice
from engine.execution.order_roles import OrderRoles
from engine.execution.settings import HousekeepingSettings

logger = logging.getLogger(__name__)


class LingeringWatch:
    """Says each thing once.

    Args:
        executor: Cancels, where that is switched on.
        roles: What orders were made for.
        facts: Instruments and quotes.
        ended_at: A contract's last moment; ``None`` when it is not known.
        square_off_at: When the broker begins to square MIS positions off today; ``None`` on a day without a session.
        clock: Market time.
        settings: What is done by itself.
        notify: For what a person should read.
    """

    def __init__(
        self,
        *,
        executor: OrderExecutor,
        roles: OrderRoles,
        facts: MarketFacts,
        ended_at: Callable[[InstrumentKey], datetime | None],
        square_off_at: Callable[[], datetime | None],
        clock: Clock,
        settings: HousekeepingSettings,
        notify: Callable[[Notice], None],
    ) -> None:
        self._executor = executor
        self._roles = roles
        self._facts = facts
        self._ended_at = ended_at
        self._square_off_at = square_off_at
        self._clock = clock
        self._settings = settings
        self._notify = notify
        self._known: set[OrderNumber] = set()
        self._warned: tuple[date | None, frozenset[timedelta]] = (None, frozenset())

    async def look(self, orders: Sequence[OrderRecord]) -> None:
        """Look at resting orders that are nobody else's to look after, and at the time."""
        self._warn()
        try:
            protections = await self._roles.protections(record for record in orders if record.state in RESTING)
        except StorageError as error:
            logger.warning("old orders could not be looked for: %s", error)
            return
        now = self._clock.market_now()
        found = [
            *expired_orders(orders, now, self._ended_at),
            *stale_orders(
                [record for record in orders if record.number not in protections],
                now,
                self._quote,
                after_s=self._settings.stale_after_s,
                distance_percent=self._settings.stale_distance_percent,
            ),
        ]
        for item in found:
            if item.number not in self._known:
                await self._settle(item)
        self._known = {item.number for item in found}

    async def _settle(self, item: Lingering) -> None:
        if not (self._settings.cancel_expired if item.has_expired else self._settings.cancel_stale):
            self._tell(Severity.ATTENTION, f"Housekeeping: {item.words}; cancel it if nobody wants it.", item)
            return
        reason = Reason(by=HOUSEKEEPING, version=HOUSEKEEPING_VERSION, words=item.words)
        receipt = await self._executor.cancel(CancelOrders(numbers=(item.number,)), reason=reason)
        self._tell(Severity.INFO, f"Housekeeping: {receipt.message} {item.words}.", item)

    def _tell(self, severity: Severity, text: str, item: Lingering) -> None:
        self._notify(Notice(kind=EventKind.ORDER, severity=severity, text=text, subject=f"o{item.number}"))

    def _quote(self, key: InstrumentKey) -> Quote | None:
        instrument = self._facts.instrument(key)
        return None if instrument is None else self._facts.quote(instrument)

    def _warn(self) -> None:
        at, held = self._square_off_at(), self._executor.positions()
        if at is None or not held:
            return
        day = date.fromordinal(exchange_day(at))
        said = self._warned[1] if self._warned[0] == day else frozenset()
        warning = square_off_warning(
            self._clock.market_now(),
            at,
            [timedelta(seconds=seconds) for seconds in self._settings.square_off_warnings_s],
            said,
            positions=held,
            quotes={position.instrument.key: self._facts.quote(position.instrument) for position in held},
            fee=self._settings.square_off_fee,
        )
        if warning is not None:
            self._warned = (day, said | {warning.step})
            notice = Notice(kind=EventKind.SESSION, severity=Severity.ATTENTION, text=warning.words, subject="MIS")
            self._notify(notice)
