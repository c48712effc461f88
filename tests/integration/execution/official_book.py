"""What the official client reads of a practice exchange, and an engine on it that a test may kill."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from kiteconnect import KiteConnect
from kiteconnect.exceptions import DataException, KiteException

from engine.core.instruments import Instrument
from engine.execution.plans.basket_cover import Units, uncovered
from engine.server.remote_client import RemoteClient
from tests.integration.commands.console import Console
from tests.kit.desk_host import Exchange

PATIENCE_S = 10.0
PAUSE_S = 0.3
INDIA = ZoneInfo("Asia/Kolkata")


def official(root: str) -> Any:
    """The broker's own client for Python."""
    kite = KiteConnect(api_key="practice", root=root)
    kite.set_access_token("practice")
    return kite


def within_limits(read: Callable[[], Any]) -> Any:
    """Read; the limit on reads is shared with the engine, so a refusal for speed is waited out."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return read()
        except KiteException as refusal:
            # The refusal is of one kind or another, with a body of JSON or plain text, as with the broker.
            too_fast = isinstance(refusal, DataException) or refusal.code == HTTPStatus.TOO_MANY_REQUESTS
            if not too_fast or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)


def fills(root: str) -> list[dict[str, Any]]:
    """All fills of the day as the exchange has them, in the order in which they happened."""
    return sorted(
        within_limits(official(root).trades), key=lambda trade: (trade["exchange_timestamp"], int(trade["trade_id"]))
    )


def filled_at(trade: dict[str, Any]) -> datetime:
    """When it happened; the client gives the exchange's wall clock without a zone."""
    moment: datetime = trade["fill_timestamp"]
    return moment.replace(tzinfo=INDIA)


def net(root: str) -> dict[str, int]:
    """Symbol → signed units held at the exchange."""
    rows = within_limits(official(root).positions)["net"]
    return {row["tradingsymbol"]: row["quantity"] for row in rows if row["quantity"]}


def most_naked(trades: list[dict[str, Any]], rows: dict[str, Instrument]) -> int:
    """The most units sold without cover after any fill of these contracts."""
    held: dict[str, int] = {}
    worst = 0
    for trade in trades:
        symbol = trade["tradingsymbol"]
        if symbol not in rows:
            continue
        sign = 1 if trade["transaction_type"] == "BUY" else -1
        held[symbol] = held.get(symbol, 0) + sign * int(trade["quantity"])
        sold = [Units(rows[name], -units) for name, units in held.items() if units < 0]
        bought = [Units(rows[name], units) for name, units in held.items() if units > 0]
        worst = max(worst, uncovered(sold, bought))
    return worst


def slippage(trades: list[dict[str, Any]], decided: dict[str, Decimal]) -> Decimal:
    """Rupees of fills against decided prices by symbol, + is better."""
    total = Decimal(0)
    for trade in trades:
        sign = 1 if trade["transaction_type"] == "BUY" else -1
        price = Decimal(str(trade["average_price"]))
        total += (decided[trade["tradingsymbol"]] - price) * sign * int(trade["quantity"])
    return total


class Running:
    """A headless engine that a test may kill and start again on the same folder and exchange."""

    def __init__(self, console: Console) -> None:
        """Start the first one."""
        self.console = console
        self.engine = console.headless()
        self.root = str(self.engine.ready["exchange_root"])

    async def client(self) -> RemoteClient:
        """A client of the engine that runs."""
        return await RemoteClient.attach(Path(self.engine.ready["socket"]))

    async def killed_and_back(self) -> None:
        """Kill -9, and the next engine."""
        os.kill(self.engine.process.pid, signal.SIGKILL)
        await asyncio.to_thread(self.engine.process.communicate)
        self.engine = await asyncio.to_thread(self.console.headless)

    async def end(self) -> None:
        """Stop engine and exchange."""
        self.engine.process.kill()
        await asyncio.to_thread(self.engine.process.communicate)
        await Exchange(self.root).ask("POST", "/practice/stop")
