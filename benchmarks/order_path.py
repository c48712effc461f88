"""Placing one order, against the official client on the same local server in the same run.

The server is its own process and answers at once. Both sides are measured in alternating rounds, sequentially; the
median (p50), the 99th percentile and the ratio are printed; nothing passes or fails. Run ``python
benchmarks/order_path.py``.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable
from decimal import Decimal
from multiprocessing.connection import Connection

from aiohttp import web
from kiteconnect import KiteConnect

from engine.brokers.kite.rest import KiteOrderRoad
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.transport import KiteTransport
from engine.core.identifiers import InstrumentKey, OrderTag
from engine.core.orders import OrderRequest
from engine.core.vocabulary import Exchange, Side

ROUNDS = 12
CALLS = 100
BURST = 9
TAG = OrderTag("WSBENCHMARK")
REQUEST = OrderRequest(
    instrument=InstrumentKey(Exchange.NFO, "NIFTY26DEC24000CE"), side=Side.BUY, quantity=65, price=Decimal("105.5")
)


def serve(ready: Connection) -> None:
    """Answer every placement at once; tells its port."""

    async def place(request: web.Request) -> web.Response:
        await request.post()
        return web.json_response({"status": "success", "data": {"order_id": "1914227164488687616"}})

    async def run() -> None:
        application = web.Application()
        application.router.add_post("/orders/{variety}", place)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.send(runner.addresses[0][1])
        await asyncio.get_running_loop().run_in_executor(None, ready.recv)
        await runner.cleanup()

    asyncio.run(run())


def official_round(client: KiteConnect) -> list[float]:
    """Microseconds of each call of the official client."""
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        client.place_order(
            "regular", "NFO", "NIFTY26DEC24000CE", "BUY", 65, "NRML", "LIMIT", price=105.5, validity="DAY", tag=TAG
        )
        times.append((time.perf_counter() - started) * 1e6)
    return times


async def own_round(road: KiteOrderRoad) -> list[float]:
    """Microseconds of each call of ours."""
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        await road.place_order(REQUEST, TAG)
        times.append((time.perf_counter() - started) * 1e6)
    return times


async def burst(road: KiteOrderRoad) -> float:
    """Milliseconds until a burst of orders is answered."""
    started = time.perf_counter()
    await asyncio.gather(*(road.place_order(REQUEST, TAG) for _ in range(BURST)))
    return (time.perf_counter() - started) * 1e3


async def measure(port: int) -> None:
    """Run the rounds and print the table."""
    root = f"http://127.0.0.1:{port}"
    client = KiteConnect("key", "token", root=root)
    transport = KiteTransport(root, KiteCredentials("key", "token"))
    road = KiteOrderRoad(transport)
    official_round(client)
    await own_round(road)
    gc.collect()
    theirs: list[float] = []
    ours: list[float] = []
    for _ in range(ROUNDS):
        theirs += official_round(client)
        ours += await own_round(road)
    bursts = [await burst(road) for _ in range(ROUNDS)]
    await transport.aclose()
    client.reqsession.close()
    show: Callable[[list[float]], str] = lambda times: (  # noqa: E731 - one line of the table
        f"p50 {statistics.median(times):7.0f} us   p99 {sorted(times)[int(len(times) * 0.99)]:7.0f} us"
    )
    print(f"official client  {show(theirs)}")
    print(f"ours             {show(ours)}   ratio of p50 {statistics.median(ours) / statistics.median(theirs):.2f}")
    print(f"burst of {BURST}: all answered after {statistics.median(bursts):.1f} ms (median)")


def main() -> None:
    """Start the server, measure, stop it."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        asyncio.run(measure(here.recv()))
    finally:
        here.send(None)
        server.join(5)
        if server.is_alive():
            server.terminate()


if __name__ == "__main__":
    main()
