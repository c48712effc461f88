"""The practice exchange through the official Kite client, and its own log of what reached it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

API_KEY = "practice"
ACCESS_TOKEN = "practice"
TIMEOUT_S = 20.0
INDEX = "NSE:NIFTY 50"
UNDERLYING = "NIFTY"
READS_MAX = 8
PAUSE_S = 0.7
TICK = 0.05
CENTRE_STRIKES = 5
"""How many strikes around the money are traded."""


class Contract:
    """One option with the prices of its last quote."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.symbol = str(row["tradingsymbol"])
        self.exchange = str(row["exchange"])
        self.strike = int(row["strike"])
        self.kind = str(row["instrument_type"])
        self.lot = int(row["lot_size"])
        self.bid = self.ask = 0.0

    @property
    def key(self) -> str:
        """``NFO:…``."""
        return f"{self.exchange}:{self.symbol}"

    @property
    def is_quoted(self) -> bool:
        """Whether both sides have a price."""
        return 0 < self.bid < self.ask


def on_tick(price: float) -> str:
    """The price as text, on the tick, at least one tick."""
    return f"{max(1, round(price / TICK)) * TICK:.2f}"


class Exchange:
    """Reads of the exchange.

    Args:
        root: Its address.
    """

    def __init__(self, root: str) -> None:
        # The client costs half a second to import and is needed here only.
        from kiteconnect import KiteConnect
        from kiteconnect.exceptions import NetworkException

        self._too_fast = NetworkException
        self._root = root
        self._kite = KiteConnect(api_key=API_KEY, access_token=ACCESS_TOKEN, root=root, timeout=TIMEOUT_S)

    async def _ask(self, read: Callable[..., T], *arguments: Any) -> T:
        """Read, as often as it takes to get past a refusal for speed: the engine reads with the same key."""
        for _ in range(READS_MAX):
            try:
                return await asyncio.to_thread(read, *arguments)
            except self._too_fast:
                await asyncio.sleep(PAUSE_S)
        return await asyncio.to_thread(read, *arguments)

    async def contracts(self) -> list[Contract]:
        """Options of the nearest expiry around the money."""
        rows = await self._ask(self._kite.instruments, "NFO")
        spot = (await self._ask(self._kite.ltp, [INDEX]))[INDEX]["last_price"]
        options = [row for row in rows if row["name"] == UNDERLYING and row["instrument_type"] in {"CE", "PE"}]
        nearest = min(row["expiry"] for row in options)
        listed = [row for row in options if row["expiry"] == nearest]
        strikes = sorted({row["strike"] for row in listed}, key=lambda strike: abs(strike - spot))[:CENTRE_STRIKES]
        return [Contract(row) for row in listed if row["strike"] in strikes]

    async def refresh(self, contracts: list[Contract]) -> None:
        """Take new quotes."""
        quotes = await self._ask(self._kite.quote, [contract.key for contract in contracts])
        for contract in contracts:
            depth = quotes.get(contract.key, {}).get("depth", {})
            bids, asks = depth.get("buy") or [{}], depth.get("sell") or [{}]
            contract.bid = float(bids[0].get("price") or 0)
            contract.ask = float(asks[0].get("price") or 0)

    async def orders(self) -> list[dict[str, Any]]:
        """The book."""
        return list(await self._ask(self._kite.orders))

    async def trades(self) -> list[dict[str, Any]]:
        """The fills."""
        return list(await self._ask(self._kite.trades))

    async def net_positions(self) -> list[dict[str, Any]]:
        """Net positions."""
        return list((await self._ask(self._kite.positions))["net"])

    async def posts_by_tag(self) -> dict[str, int]:
        """Placements that reached the exchange, by tag."""
        log = await self._own("GET", "/practice/log")
        return {str(tag): int(count) for tag, count in log["by_tag"].items()}

    async def arm(self, kind: str, *, seconds: float = 0.0, method: str = "POST", path: str = "/orders") -> None:
        """The next request of this method and path meets a fault."""
        body = {"kind": kind, "method": method, "path": path, "count": 1, "seconds": seconds}
        await self._own("POST", "/practice/faults", body)

    async def clear_faults(self) -> None:
        """No more faults."""
        await self._own("DELETE", "/practice/faults")

    async def stop(self) -> None:
        """End the exchange."""
        await self._own("POST", "/practice/stop")

    async def _own(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        def call() -> Any:
            request = urllib.request.Request(  # noqa: S310 - the address is the exchange on loopback
                f"{self._root}{path}",
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", "Authorization": f"token {API_KEY}:{ACCESS_TOKEN}"},
            )
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
                return json.loads(answer.read())["data"]

        return await asyncio.to_thread(call)
