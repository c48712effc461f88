"""The test bench of a running exchange: faults, events, gates, the log of requests, and what reads are shown.

One object, so that routes and the server hold on to one thing. Invariant: with no fault registered and no plan, the
exchange behaves as if the bench were not there; only the log and the events are written.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, Final

from aiohttp import web

from engine.practice.accounts import Accounts
from engine.practice.bands import Refusal
from engine.practice.book import OrderRecord, Record, TradeRecord
from engine.practice.book_lag import BookLag
from engine.practice.events import Events, Gates
from engine.practice.exchange import Exchange
from engine.practice.faults import SOCKET_KINDS, Fault, FaultKind, FaultPlan, Faults
from engine.practice.orders import Order
from engine.practice.quirks import Quirks
from engine.practice.request_log import RequestLog
from engine.practice.settings import ExchangeSettings
from engine.practice.ticker_hub import TickerHub
from engine.practice.wire import ErrorType, KiteError, Status
from engine.practice.wire_faults import FrameFaults, UpdateChannel

REQUEST_LOG_NAME: Final = "requests.jsonl"
EXIT_RESTART: Final = 5
"""Exit code of a process that a fault ended; whoever keeps the exchange up starts it again."""
_WHATS: Final = {
    Status.RECEIVED: "accepted",
    Status.AMO_RECEIVED: "accepted",
    Status.MODIFY_VALIDATION_PENDING: "modify_accepted",
    Status.MODIFY_AMO_RECEIVED: "modify_accepted",
    Status.CANCEL_PENDING: "cancel_accepted",
    Status.COMPLETE: "completed",
    Status.REJECTED: "rejected",
    Status.CANCELLED: "cancelled",
}


class Bench:
    """The bench of one process.

    Args:
        settings: What the process was started with.
        plan: Faults by chance, if any.
        clock: Wall time in epoch seconds.
        monotonic: A monotonic clock in seconds.
        crash: Ends the process with an exit code, at once.
    """

    def __init__(
        self,
        settings: ExchangeSettings,
        plan: FaultPlan | None = None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        crash: Callable[[int], object] = os._exit,
    ) -> None:
        service = settings.service
        self._step_seconds = service.step_seconds
        self._crash = crash
        self.faults = Faults(service.max_faults, plan)
        self.events = Events(service.max_events, clock)
        self.gates = Gates(self.faults, self.events, service.max_gate_seconds)
        self.requests = RequestLog(settings.state / REQUEST_LOG_NAME, clock, service.max_events)
        self.frames = FrameFaults(self.faults)
        self.lag = BookLag(monotonic)
        self.quirks = Quirks(settings.seed)
        self._hub: TickerHub | None = None
        self._accounts: Accounts | None = None
        self._exchanges: list[Exchange] = []
        self.updates = UpdateChannel(
            self.faults, self.events, self.gates, send=self._send_update, later=self._call_later
        )

    def crash(self) -> None:
        """End the process as a crash does."""
        self._crash(EXIT_RESTART)

    def attach(self, exchanges: Iterable[Exchange], accounts: Accounts, hub: TickerHub) -> None:
        """Stand between the exchange and its sockets from now on."""
        self._hub, self._accounts = hub, accounts
        self._exchanges = list(exchanges)
        for exchange in self._exchanges:
            exchange.changes.redirect(self.updates.tell)
            exchange.changes.watch(partial(self._note, exchange))
            exchange.desk.rejection = self._rejection
            exchange.desk.slice_failure = self._slice_failure

    async def running(self, app: web.Application) -> AsyncIterator[None]:
        """Draw the faults of sockets while the application runs (a cleanup context)."""
        del app
        task = asyncio.create_task(self._strike_sockets(), name="practice-socket-faults")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.gates.release()
            self.requests.close()

    async def strike(self, fault: Fault) -> None:
        """Let a fault that waits for no request happen now."""
        hub, accounts = self._hub, self._accounts
        if hub is None or accounts is None:
            return
        self.events.add("fault", account=fault.account, tag=fault.tag, detail=fault.kind)
        match fault.kind:
            case FaultKind.CLOSE_SOCKETS:
                await hub.close_all()
            case FaultKind.SILENT_SOCKET:
                hub.silent = True
                self._after(fault.seconds, hub.speak)
            case FaultKind.HALF_DEAD_SOCKET:
                self.frames.half_dead = True
                self._after(fault.seconds, self._whole_again)
            case FaultKind.EXPIRE_TOKENS:
                accounts.expire(fault.account)
                self._after(fault.seconds, accounts.revive)
                await hub.close_all()
            case FaultKind.STALE_BOOK:
                self.make_stale(fault)
            case _:
                raise ValueError(f"{fault.kind} waits for a request; it cannot strike by itself")

    def make_stale(self, fault: Fault) -> None:
        """Let reads of the book lag from now on."""
        if fault.tag:
            self.lag.hide(fault.account, fault.tag, fault.seconds)
            return
        for exchange in self._exchanges:
            ledger, account = exchange.ledger, exchange.changes.account
            if fault.account in {"", account}:
                rows = {
                    "orders": [order.to_wire() for order in ledger.orders.values()],
                    "trades": [trade.to_wire() for trade in ledger.trades],
                }
                self.lag.freeze(account, rows, fault.seconds)

    def clear(self) -> None:
        """End every fault: waiting ones, drawn ones, lasting ones; what is stopped goes on."""
        self.faults.clear()
        self.faults.plan(FaultPlan())
        self.gates.release()
        self.lag.clear()
        self._whole_again()
        if self._accounts is not None:
            self._accounts.revive()
        if self._hub is not None:
            self._hub.speak()

    def retry_after(self) -> dict[str, str]:
        """Return the headers of a 429: what the broker sends with it is unknown, so each seed has its own way."""
        return self.quirks.pick("headers of a 429", ({}, {"Retry-After": "1"}))

    def _whole_again(self) -> None:
        self.frames.half_dead = False

    def _send_update(self, data: dict[str, Any]) -> None:
        if self._hub is not None:
            self._hub.order_update(data)

    def _call_later(self, seconds: float, action: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, action)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        if seconds:
            self._call_later(seconds, action)

    def _note(self, exchange: Exchange, record: Record) -> None:
        account = exchange.changes.account
        if isinstance(record, TradeRecord):
            order = exchange.ledger.orders.get(record.trade.order_id)
            tag = (order.tag or "") if order is not None else ""
            trade = record.trade
            self.events.add("filled", account=account, tag=tag, order_id=trade.order_id, detail=trade.trade_id)
        elif isinstance(record, OrderRecord):
            order, status = record.order, Status(record.order.status)
            what = _WHATS.get(status, "order")
            self.events.add(what, account=account, tag=order.tag or "", order_id=order.order_id, detail=status)

    def _rejection(self, order: Order) -> Refusal | None:
        fault = self.faults.take("", "", order.tag or "", order.account, kinds=(FaultKind.REJECT,))
        if fault is None:
            return None
        return ("The order was rejected by the exchange.", "16387 : Security is not available for trading")

    def _slice_failure(self, tag: str) -> KiteError | None:
        fault = self.faults.take("", "", tag, kinds=(FaultKind.SLICE_FAILURE,))
        if fault is None:
            return None
        return KiteError(
            400, ErrorType.MARGIN, "Insufficient funds. Required margin is 1000000.00 but available margin is 0.00."
        )

    async def _strike_sockets(self) -> None:
        while True:
            await asyncio.sleep(self._step_seconds)
            fault = self.faults.take("", "", kinds=SOCKET_KINDS)
            if fault is not None:
                await self.strike(fault)
