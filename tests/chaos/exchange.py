"""The practice exchange through the official Kite client, and its own log of what reached it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

FIRST_KEY = "practice"
TIMEOUT_S = 20.0
INDEX = "NSE:NIFTY 50"
UNDERLYING = "NIFTY"
READS_MAX = 12
PAUSE_S = 0.7
TICK = 0.05
CENTRE_STRIKES = 5
"""How many strikes around the money are traded."""
INFO = "exchange.json"
LOG = "requests.jsonl"
TOO_MANY = 429
BACK_S = 60.0
BACK_POLL_S = 0.1

Row = dict[str, Any]


class Contract:
    """One option with the prices of its last quote."""

    def __init__(self, row: Row) -> None:
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
    """Reads of the exchange, its faults and gates, and its kill.

    Args:
        root: Its address; it keeps its port over restarts.
        folder: The program's data folder, in which its book and log lie.
        accounts: How many accounts it has.
    """

    def __init__(self, root: str, folder: Path, accounts: int) -> None:
        # The client costs half a second to import and is needed here only.
        from kiteconnect import KiteConnect
        from kiteconnect.exceptions import KiteException
        from requests.exceptions import RequestException

        # Refused for speed, its token expired by a fault, or the exchange being started again: asked again.
        self.passing: tuple[type[Exception], ...] = (KiteException, RequestException, OSError)
        """What passes by itself."""
        self._root = root
        self._folder = next(folder.glob(f"venues/*/{LOG}")).parent
        keys = [FIRST_KEY if seat == 0 else f"{FIRST_KEY}{seat + 1}" for seat in range(accounts)]
        self._kites = [KiteConnect(api_key=key, access_token=key, root=root, timeout=TIMEOUT_S) for key in keys]
        self.accounts: list[str] = []
        """User ids, in the order of the keys."""

    async def open(self) -> None:
        """Learn who the accounts are."""
        self.accounts = [str((await self._ask(kite.profile))["user_id"]) for kite in self._kites]

    async def _ask(self, read: Callable[..., T], *arguments: Any) -> T:
        """Read, as often as it takes to get past what passes: the engine reads with the same key."""
        for _ in range(READS_MAX):
            try:
                return await asyncio.to_thread(read, *arguments)
            except self.passing:
                await asyncio.sleep(PAUSE_S)
        return await asyncio.to_thread(read, *arguments)

    async def contracts(self) -> list[Contract]:
        """Options of the nearest expiry around the money."""
        kite = self._kites[0]
        rows = await self._ask(kite.instruments, "NFO")
        spot = (await self._ask(kite.ltp, [INDEX]))[INDEX]["last_price"]
        options = [row for row in rows if row["name"] == UNDERLYING and row["instrument_type"] in {"CE", "PE"}]
        nearest = min(row["expiry"] for row in options)
        listed = [row for row in options if row["expiry"] == nearest]
        strikes = sorted({row["strike"] for row in listed}, key=lambda strike: abs(strike - spot))[:CENTRE_STRIKES]
        return [Contract(row) for row in listed if row["strike"] in strikes]

    async def refresh(self, contracts: list[Contract]) -> None:
        """Take new quotes."""
        quotes = await self._ask(self._kites[-1].quote, [contract.key for contract in contracts])
        for contract in contracts:
            depth = quotes.get(contract.key, {}).get("depth", {})
            bids, asks = depth.get("buy") or [{}], depth.get("sell") or [{}]
            contract.bid = float(bids[0].get("price") or 0)
            contract.ask = float(asks[0].get("price") or 0)

    async def orders(self) -> list[Row]:
        """The books of all accounts, each row with its ``account``."""
        return await self._rows(lambda kite: kite.orders())

    async def trades(self) -> list[Row]:
        """All fills, each with its ``account``."""
        return await self._rows(lambda kite: kite.trades())

    async def net_positions(self) -> list[Row]:
        """Net positions, each with its ``account``."""
        return await self._rows(lambda kite: kite.positions()["net"])

    async def triggers(self) -> list[Row]:
        """Triggers that stand or have stood, each with its ``account``."""
        return await self._rows(lambda kite: kite.get_gtts())

    async def place_from_outside(self, account: str, request: Row, tag: str) -> bool:
        """Place an order as another program does, sliced by the broker: asked once; whether it said yes."""
        kite = self._kites[self.accounts.index(account)]
        instrument = request["instrument"]
        try:
            await asyncio.to_thread(
                kite.place_autoslice_order,
                variety="regular",
                exchange=instrument["exchange"],
                tradingsymbol=instrument["tradingsymbol"],
                transaction_type=request["side"],
                quantity=request["quantity"],
                product=request["product"],
                order_type=request["order_type"],
                price=float(request["price"]),
                tag=tag,
            )
        except self.passing:
            return False
        return True

    async def market_now(self) -> float:
        """Its time, in epoch seconds."""
        return float((await self._own("GET", "/practice/status"))["market_epoch"])

    async def _rows(self, read: Callable[[Any], list[Row]]) -> list[Row]:
        found: list[Row] = []
        for account, kite in zip(self.accounts, self._kites, strict=True):
            found += [{**row, "account": account} for row in await self._ask(read, kite)]
        return found

    # ---- its log

    def requests(self) -> list[Row]:
        """Every order request that arrived, as the log's file has it: the newest line of each."""
        rows: dict[int, Row] = {}
        for line in (self._folder / LOG).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows[row["seq"]] = row
        return list(rows.values())

    # ---- its bench

    async def events(self, after: int, wait: float) -> Row:
        """What has happened after a number."""
        return dict(await self._own("GET", f"/practice/events?after={after}&wait={wait}"))

    async def arm(self, kind: str, **fields: Any) -> None:
        """Register a fault."""
        await self._own("POST", "/practice/faults", {"kind": kind, **fields})

    async def plan_faults(self, seed: int, rates: Row) -> None:
        """Draw faults by chance from now on."""
        await self._own("POST", "/practice/faults/plan", {"seed": seed, "rates": rates})

    async def faults_met(self) -> dict[str, int]:
        """How often each kind has struck since the process started."""
        return dict(await self._own("GET", "/practice/faults/met"))

    async def release(self, tag: str) -> None:
        """Open the gate at which an order is stopped."""
        await self._own("POST", "/practice/release", {"tag": tag})

    async def posted(self, tag: str) -> bool:
        """Whether a placement of this tag has arrived."""
        return tag in (await self._own("GET", "/practice/log"))["by_tag"]

    async def clear_faults(self) -> None:
        """No more faults; what a gate stopped goes on."""
        await self._own("DELETE", "/practice/faults")

    async def stop(self) -> None:
        """End the exchange."""
        await self._own("POST", "/practice/stop")

    def process(self) -> int:
        """Its process id.

        Raises:
            OSError: it does not run.
        """
        return int(json.loads((self._folder / INFO).read_text(encoding="utf-8"))["pid"])

    def kill(self) -> None:
        """``kill -9``."""
        os.kill(self.process(), signal.SIGKILL)

    async def back(self, instead_of: int) -> None:
        """Wait until another process than this one answers.

        Raises:
            TimeoutError: nobody has started it again.
        """
        deadline = time.monotonic() + BACK_S
        while True:
            try:
                await self._own("GET", "/practice/status")
                if self.process() != instead_of:
                    return
            except (OSError, ValueError):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody started the exchange again within {BACK_S:g} s")
            await asyncio.sleep(BACK_POLL_S)

    async def _own(self, method: str, path: str, body: Row | None = None) -> Any:
        def call() -> Any:
            request = urllib.request.Request(  # noqa: S310 - the address is the exchange on loopback
                f"{self._root}{path}",
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", "Authorization": f"token {FIRST_KEY}:{FIRST_KEY}"},
            )
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
                return json.loads(answer.read())["data"]

        return await asyncio.to_thread(call)


def effective_posts(requests: list[Row]) -> dict[str, int]:
    """Placements by tag that may have made an order: all that arrived but those that were answered "too many"."""
    counts: Counter[str] = Counter()
    for row in requests:
        if row["method"] == "POST" and row.get("tag"):
            refused = row.get("outcome") == "refused" and row.get("status") == TOO_MANY
            counts[row["tag"]] += not refused
    return dict(counts)


def effective_requests(requests: list[Row], method: str, path: str) -> dict[str, int]:
    """Requests of a kind by account that may have been carried out: all but those that were answered "too many"."""
    counts: Counter[str] = Counter()
    for row in requests:
        if row["method"] == method and row["path"].startswith(path):
            refused = row.get("outcome") == "refused" and row.get("status") == TOO_MANY
            counts[row.get("account", "")] += not refused
    return dict(counts)
