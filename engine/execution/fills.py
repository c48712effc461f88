"""Fills: read when quantities have grown, handed to whoever books them, and handed over again until that succeeds."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import NamedTuple

import msgspec

from engine.core.errors import BrokerError, StorageError, StorageTimeout
from engine.core.events import EventKind
from engine.core.identifiers import BrokerOrderId, OrderNumber
from engine.core.ledger import trade_reference
from engine.core.orders import OrderRecord, Trade
from engine.core.ports import BrokerReads, Clock
from engine.core.vocabulary import Severity
from engine.execution.breaker import CircuitBreaker, Reach
from engine.execution.days import exchange_day
from engine.execution.notices import FillListener, Health
from engine.execution.patience import Patience
from engine.execution.standings import Standings
from engine.execution.wire import reach_of

TRADES = "trades"
BOOKING = "fills"
ATTEMPTS_MAX = 10
"""Fast reads for fills that the book counts and the trades do not show; afterwards only with reconciliations."""


class Shortfall(NamedTuple):
    """An order whose filled quantity and trades differ; units."""

    number: OrderNumber
    filled: int
    trades: int

    @property
    def words(self) -> str:
        """Both figures."""
        return f"o{self.number} is filled {self.filled}, its trades add up to {self.trades}"


class FillCollector:
    """Brings the broker's trades to their listener, each with the strategy of its order.

    Args:
        reads: The broker's reading endpoints.
        standings: Whose fills are whose.
        listener: Books them.
        health: Where unreadable trades and a failing listener are declared.
        clock: The day.
        breaker: Of the reading endpoints.
        patience: How long the listener is waited for; reading the book never waits for a database that hangs.
    """

    def __init__(
        self,
        *,
        reads: BrokerReads,
        standings: Standings,
        listener: FillListener,
        health: Health,
        clock: Clock,
        breaker: CircuitBreaker,
        patience: Patience,
    ) -> None:
        self._breaker = breaker
        self._patience = patience
        self._reads = reads
        self._standings = standings
        self._listener = listener
        self._health = health
        self._clock = clock
        self._delivered: set[str] = set()
        self._day = 0
        self._attempts = 0
        self._due = True
        self._in_book: frozenset[BrokerOrderId] = frozenset()
        self._booked: Counter[BrokerOrderId] = Counter()
        self._handed: dict[str, Trade] = {}
        """By reference: handed over, and not yet seen in the listener's figures."""
        self.trades: tuple[Trade, ...] = ()
        """As last read: all fills of the day."""

    @property
    def is_due(self) -> bool:
        """Fills are known or likely that have not been handed over."""
        return self._due

    def want(self, order_id: BrokerOrderId) -> None:
        """The fills of an order have grown."""
        self._in_book |= {order_id}
        self._due = True
        self._attempts = 0

    async def collect(self, in_book: frozenset[BrokerOrderId]) -> bool:
        """Read the trades and hand the new ones over; whether the trades could be read.

        Args:
            in_book: Orders in the book just read: their fills are all of today, so that sums can be compared.
        """
        self._breaker.begin()
        try:
            trades = await self._reads.trades()
        except BrokerError as error:
            self._breaker.end(reach_of(error), str(error))
            self._health.declare(
                TRADES, f"The broker's trades cannot be read ({error}).", EventKind.SESSION, Severity.ATTENTION
            )
            return False
        self._breaker.end(Reach.ANSWERED, "")
        self._health.clear(TRADES, "The broker's trades are read again.", EventKind.SESSION)
        self._new_day(self._clock.market_now())
        self.trades, self._in_book = trades, in_book
        fresh = [trade for trade in trades if trade_reference(trade) not in self._delivered]
        # A fill whose order we do not know yet waits for the book: it may be the answer to an unknown order.
        ready = tuple(known for known in map(self._with_strategy, fresh) if known is not None)
        if ready:
            # Also when handing over fails: a call whose answer was lost may have booked them.
            self._handed |= {trade_reference(trade): trade for trade in ready}
            try:
                await self._hand_over(ready)
            except StorageError as error:
                self._due = True
                self._health.declare(
                    BOOKING,
                    f"{len(ready)} fills could not be booked ({error}): they wait for the journal and are tried again; "
                    "positions are compared with the broker's when they are in it.",
                    EventKind.STORAGE,
                )
                return True
            self._delivered |= {trade_reference(trade) for trade in ready}
        # Also when there was nothing to hand over: the call that came too late for us may have booked them since.
        self._health.clear(BOOKING, "All fills are booked.", EventKind.STORAGE)
        self._attempts += 1
        complete = len(ready) == len(fresh) and not self.shortfalls(in_book)
        self._due = not complete and self._attempts < ATTEMPTS_MAX
        return True

    async def end(self) -> None:
        """Give up a booking that is still out; the ledger takes each fill once, whoever brings it again."""
        await self._patience.end()

    async def _hand_over(self, trades: tuple[Trade, ...]) -> None:
        if self._patience.has_late:
            raise StorageTimeout("the database has not answered since they were first tried")
        await self._patience.ask(self._listener.on_trades(trades))

    def unbooked(self) -> tuple[tuple[OrderRecord, int], ...]:
        """Orders with fills that the listener's figures do not hold at this moment, and how many signed units.

        The listener takes fills while its database is away and books them later, by itself: whether one is in its
        figures is asked of it, fill by fill, so that none is missed and none counts twice.
        """
        if not self._handed and not self._due:
            return ()
        self._settle()
        missing: Counter[BrokerOrderId] = Counter()
        for trade in self._handed.values():
            missing[trade.broker_order_id] += trade.quantity
        for order_id in self._in_book if self._due else ():
            standing = self._standings.by_broker_id(order_id)
            if standing is not None:
                missing[order_id] = standing.record.filled_quantity - self._booked[order_id]
        found = []
        for order_id, units in missing.items():
            standing = self._standings.by_broker_id(order_id) if units > 0 else None
            if standing is not None:
                found.append((standing.record, standing.record.request.side.sign * units))
        return tuple(found)

    def _settle(self) -> None:
        """Count what was handed over and has arrived in the listener's figures."""
        for reference in [known for known in self._handed if self._listener.is_booked(known)]:
            trade = self._handed.pop(reference)
            self._booked[trade.broker_order_id] += trade.quantity
            self._delivered.add(reference)  # it need not be offered again, and would count twice if it were

    def shortfalls(self, in_book: frozenset[BrokerOrderId]) -> dict[BrokerOrderId, Shortfall]:
        """Orders whose filled quantity and trades differ."""
        sums: Counter[BrokerOrderId] = Counter()
        for trade in self.trades:
            sums[trade.broker_order_id] += trade.quantity
        found = {}
        for order_id in in_book:
            standing = self._standings.by_broker_id(order_id)
            if standing is not None and standing.record.filled_quantity != sums[order_id]:
                record = standing.record
                found[order_id] = Shortfall(record.number, record.filled_quantity, sums[order_id])
        return found

    def _with_strategy(self, trade: Trade) -> Trade | None:
        standing = self._standings.by_broker_id(trade.broker_order_id)
        if standing is None:
            return None
        return msgspec.structs.replace(trade, strategy=standing.record.request.strategy)

    def _new_day(self, now: datetime) -> None:
        day = exchange_day(now)
        if day != self._day:
            self._day = day
            self._delivered.clear()
            self._booked.clear()
