"""A whole engine's order, journal commits included, against the official client's bare ``place_order``: P5, P6 as sent.

One practice exchange, a process of its own; one engine with its own durable database, in this process; the official
client in a third process, on another account of the same exchange, so that neither uses the other's limits. Rounds
alternate. An order of ours counts from the command to the broker's parsed answer: checks, the durable intent with its
SENDING, the wire. The last look before a request's bytes says when a burst was written; the exchange's own log when it
was read, one after the other. Nothing passes or fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import multiprocessing
import shutil
import statistics
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from engine.brokers.kite.transport import KiteTransport
from engine.client import EngineClient
from engine.core.commands import PlaceOrder, Receipt
from engine.core.errors import RateLimited
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord, OrderRequest, OrderState, OrderTrigger
from engine.core.vocabulary import Exchange, Side
from engine.execution.settings import CheckLimits, ExecutionSettings
from tests.kit.practice_process import PracticeProcess
from workstation.assembly import Host, open_host
from workstation.locations import Locations
from workstation.practice_venue import venue_id
from workstation.settings import Configuration, VenueSettings

START = "2026-11-19T11:00:00+05:30"
SEED = 11
ROUNDS = 12
CALLS = 10
PACE_S = 0.17
"""Below 400 a minute, so that no order waits for its budget."""
BURST = 8
"""The second's ten less the two that are kept for exits."""
BURSTS = 6
BACKLOG = 48
SECOND_KEY = "practice2"
AWAY = Decimal("0.8")
TICK = Decimal("0.05")
PATIENCE_S = 20.0
LOOK_S = 0.001
ANSWER_LOOK_S = 0.005
"""The time of an answer is read from the order's history; looking for it more often would only slow it down."""
GUARD_S = 0.1
DOUBT_S = GUARD_S / 2
"""The most that the broker's clock is in doubt when the rounds begin."""
LINES = 2
"""Of an order's history, once it was answered: SEND and ANSWERED."""
INDEX = "NSE:NIFTY 50"
STRIKES = 100
MS = 1e3


def official(root: str, symbol: str, quantity: int, price: float, pipe: Connection) -> None:
    """The official client in a process of its own: told how many orders, in threads or not, it tells their times."""
    from kiteconnect import KiteConnect  # noqa: PLC0415 - half a second that is not ours to load

    kite = KiteConnect(api_key=SECOND_KEY, access_token=SECOND_KEY, root=root)

    def place(times: list[float]) -> None:
        began = time.perf_counter()
        kite.place_order("regular", "NFO", symbol, "BUY", quantity, "NRML", "LIMIT", price=price, validity="DAY")
        times.append(time.perf_counter() - began)

    while (asked := pipe.recv()) is not None:
        count, at_once = asked
        times: list[float] = []
        if at_once:
            threads = [threading.Thread(target=place, args=(times,)) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            for _ in range(count):
                place(times)
                time.sleep(PACE_S)
        pipe.send(times)


@contextlib.contextmanager
def official_client(root: str, request: OrderRequest) -> Iterator[Connection]:
    """The official client's process."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    arguments = (root, request.instrument.tradingsymbol, request.quantity, float(request.price or 0), there)
    process = multiprocessing.get_context("spawn").Process(target=official, args=arguments, daemon=True)
    process.start()
    try:
        yield here
    finally:
        here.send(None)
        process.join(PATIENCE_S)


@contextlib.asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Host]:
    """An engine on an exchange that has one account more than it knows."""
    orders = ExecutionSettings(checks=CheckLimits(open_orders_max=None, duplicate_window_s=0.0, checks_margin=False))
    configuration = Configuration(venue=VenueSettings(seed=SEED, start=START), orders=orders)
    locations = Locations(folder)
    locations.make()
    state = locations.venue(venue_id(configuration.venue))
    state.mkdir(parents=True, exist_ok=True)
    exchange = PracticeProcess(state, seed=SEED, start=START, arguments=("--accounts", "2"), read_limits=True)
    async with exchange, open_host(configuration, locations, read_only=False, with_door=False) as host:
        yield host


async def request_of(host: Host) -> OrderRequest:
    """A buy that rests, of an option in the middle of the chain."""
    client = host.client
    spot = (await quotes(host, INDEX))["last_price"]
    found = await client.interpret(f"buy 1L nifty {round(spot / STRIKES) * STRIKES} ce w0 @ 1")
    assert isinstance(found.command, PlaceOrder), found.error
    request = found.command.request
    await asyncio.sleep(1.0)  # one request of quotes a second
    quote = await quotes(host, f"{Exchange.NFO}:{request.instrument.tradingsymbol}")
    bid = Decimal(str(quote["depth"]["buy"][0]["price"]))
    return msgspec.structs.replace(request, side=Side.BUY, price=bid * AWAY // TICK * TICK)


async def quotes(host: Host, key: str) -> dict[str, Any]:
    """The exchange's quote of an instrument."""
    rows = await ask(host, f"/quote?{urllib.parse.urlencode({'i': key})}")
    return dict(rows[key])


async def ask(host: Host, path: str) -> Any:  # noqa: ANN401 - what a route answers
    """A route of the exchange, on the account that is not the engine's."""

    def call() -> Any:  # noqa: ANN401 - as above
        headers = {"Authorization": f"token {SECOND_KEY}:{SECOND_KEY}"}
        request = urllib.request.Request(host.exchange.root + path, headers=headers)  # noqa: S310 - on loopback
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - as above
            return json.loads(answer.read())["data"]

    return await asyncio.to_thread(call)


class Measured(msgspec.Struct):
    """One order of ours; seconds from the command."""

    receipt_s: float
    """To the receipt: checked and durable."""
    answer_s: float
    """To the broker's parsed answer."""
    queue_s: float
    send_s: float
    wire_s: float


async def one(client: EngineClient, request: OrderRequest) -> Measured | None:
    """Place an order and wait for its answer; ``None`` when the book told of it before the answer did."""
    began_at, began = datetime.now(UTC), time.perf_counter()
    receipt = await client.submit(PlaceOrder(request=request))
    receipt_s = time.perf_counter() - began
    assert receipt.accepted, receipt.message
    record = receipt.orders[0]
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        await asyncio.sleep(ANSWER_LOOK_S)  # first: reading all orders would take the server's processor from it
        if (await known(client, record.number)).state not in {OrderState.QUEUED, OrderState.SENDING}:
            break
    why = await client.why(record.number)
    while len(why.history) < LINES and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_S)  # the answer stands in memory before it is in the journal
        why = await client.why(record.number)
    answers = [line.wall_at for line in why.history if line.trigger is OrderTrigger.ANSWERED]
    times = why.timings
    if not answers or answers[0] is None or None in {times.queue_s, times.send_s, times.acknowledge_s}:
        return None
    return Measured(
        receipt_s,
        (answers[0] - began_at).total_seconds(),
        times.queue_s or 0.0,
        times.send_s or 0.0,
        times.acknowledge_s or 0.0,
    )


async def known(client: EngineClient, number: OrderNumber) -> OrderRecord:
    """An order as it stands."""
    return next(record for record in reversed(await client.orders()) if record.number == number)


async def arrivals(host: Host, receipts: Sequence[Receipt]) -> list[float]:
    """When the placements of some orders arrived at the exchange, wall seconds, once all have."""
    tags = {receipt.orders[0].tag for receipt in receipts if receipt.orders}
    deadline = time.monotonic() + PATIENCE_S
    while True:
        rows = (await ask(host, "/practice/log?after=0"))["rows"]
        found = [row["at"] for row in rows if row["method"] == "POST" and row.get("tag") in tags]
        if len(found) == len(tags) or time.monotonic() > deadline:
            return sorted(found)
        await asyncio.sleep(LOOK_S)


async def fresh_second() -> None:
    """Wait until a second that nothing was sent in has just begun, past the guard and the doubt about the clock."""
    now = time.time()
    await asyncio.sleep(2.0 - now % 1.0 + GUARD_S + DOUBT_S)


@contextlib.contextmanager
def looks() -> Iterator[list[float]]:
    """When the last look before an order's request was taken, wall seconds; its bytes are written next."""
    moments: list[float] = []
    send = KiteTransport.send

    async def noted(self: KiteTransport, *request: Any, **fields: Any) -> Any:  # noqa: ANN401 - handed on as they are
        look = fields.get("last_look")
        if look is not None:

            def look_and_note() -> None:
                look()
                moments.append(time.time())

            fields["last_look"] = look_and_note
        return await send(self, *request, **fields)

    with mock.patch.object(KiteTransport, "send", noted):
        yield moments


def line(name: str, seconds: Sequence[float]) -> str:
    """One row of the table."""
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered) * MS, ordered[int(len(ordered) * 0.99)] * MS
    return f"{name:<44}{len(ordered):>6}{p50:>10.2f}{p99:>10.2f}{ordered[-1] * MS:>10.2f}"


async def measure(host: Host) -> None:
    """Run the rounds and print the tables."""
    client, request = host.client, await request_of(host)
    while (own := host.engine.parts.accounts[0].server_uncertainty_s() or 1.0) > DOUBT_S:
        with contextlib.suppress(RateLimited):
            await client.funds()
        await asyncio.sleep(max(LOOK_S, min(own, 1.0) / 10))
    with official_client(host.exchange.root, request) as pipe:

        async def theirs(count: int, *, at_once: bool) -> list[float]:
            pipe.send((count, at_once))
            return list(await asyncio.to_thread(pipe.recv))

        await theirs(3, at_once=False)
        await one(client, request)
        gc.collect()
        official_s: list[float] = []
        own_s: list[Measured] = []
        overtaken = 0
        for _ in range(ROUNDS):
            official_s += await theirs(CALLS, at_once=False)
            for _ in range(CALLS):
                found = await one(client, request)
                overtaken += found is None
                own_s += [] if found is None else [found]
                await asyncio.sleep(PACE_S)
        official_bursts, own_bursts = [], []
        for _ in range(BURSTS):
            await fresh_second()
            official_bursts.append(max(await theirs(BURST, at_once=True)))
            await fresh_second()
            began = time.time()
            with looks() as moments:
                receipts = await asyncio.gather(*(client.submit(PlaceOrder(request=request)) for _ in range(BURST)))
                arrived = await arrivals(host, receipts)
            own_bursts.append((max(moments) - began, arrived[-1] - began))
        await fresh_second()
        began = time.time()
        receipts = await asyncio.gather(*(client.submit(PlaceOrder(request=request)) for _ in range(BACKLOG)))
        taken_s = time.time() - began
        arrived = await arrivals(host, receipts)
    report(official_s, own_s, overtaken)
    burst_words = f"burst of {BURST}: "
    print(line(f"{burst_words}official client, {BURST} threads, answered", official_bursts))
    print(line(f"{burst_words}ours, command to last on the wire", [written for written, _ in own_bursts]))
    print(line(f"{burst_words}ours, command to last read by the server", [read for _, read in own_bursts]))
    seconds = Counter(int(at) for at in arrived)
    print(
        f"\nbacklog of {BACKLOG}: all journalled after {taken_s * MS:.0f} ms ({BACKLOG / taken_s:.0f} a second), "
        f"the last arrived after {arrived[-1] - began:.2f} s; in the exchange's seconds: "
        f"{', '.join(str(count) for _, count in sorted(seconds.items()))} (never more than 10)"
    )


def report(official_s: Sequence[float], own_s: Sequence[Measured], overtaken: int) -> None:
    """The table of single orders."""
    print(f"{'milliseconds':<44}{'orders':>6}{'p50':>10}{'p99':>10}{'max':>10}")
    print(line("official client, place_order", official_s))
    print(line("ours, command to answer, journal included", [row.answer_s for row in own_s]))
    print(line("  command to receipt (checks, durable SENDING)", [row.receipt_s for row in own_s]))
    print(line("  receipt to its turn", [row.queue_s for row in own_s]))
    print(line("  its turn to its request", [row.send_s for row in own_s]))
    print(line("  wire: request to parsed answer", [row.wire_s for row in own_s]))
    ratio = statistics.median(row.answer_s for row in own_s) / statistics.median(official_s)
    wire = statistics.median(row.wire_s for row in own_s) / statistics.median(official_s)
    print(f"ratio of p50: whole order {ratio:.2f}, wire alone {wire:.2f}; target 1.3")
    if overtaken:
        print(f"{overtaken} orders were seen in the book before their answer and are left out")


def main() -> None:
    """Make the desk in a folder of its own, measure, remove it."""
    folder = Path(tempfile.mkdtemp(prefix="ws-"))
    folder.chmod(0o711)

    async def run() -> None:
        async with desk(folder) as host:
            await measure(host)

    try:
        asyncio.run(run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
