"""The exchange's own routes under ``/practice``: status, log, clock, faults, stop.

Loopback only, like everything here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from engine.practice.calendar_facts import indian
from engine.practice.faults import SOCKET_KINDS, FaultKind
from engine.practice.http_common import Services, answer, json_body, services
from engine.practice.wire import input_error


def status_data(own: Services) -> dict[str, Any]:
    """Return what ``GET /practice/status`` says."""
    exchange = own.exchange
    session = exchange.floor.day.session
    return {
        "market_time": exchange.describe_now(),
        "market_epoch": exchange.floor.now(),
        "speed": exchange.floor.clock.speed,
        "seed": own.settings.seed,
        "source": exchange.market.source,
        "session": {
            "state": "closed" if exchange.floor.closed else "extended" if session.extended else "open",
            "day": session.day.isoformat(),
            "opens": indian(session.opens).isoformat(),
            "closes": indian(session.closes).isoformat(),
            "extended": session.extended,
        },
        "connections": own.hub.connections,
        "orders": len(exchange.ledger.orders),
        "trades": len(exchange.ledger.trades),
        "instruments": len(exchange.floor.day.universe.contracts),
        "priced_instruments": len(exchange.floor.day.universe.table),
    }


async def status(request: web.Request) -> web.Response:
    """``GET /practice/status``."""
    return answer(status_data(services(request)))


async def log(request: web.Request) -> web.Response:
    """``GET /practice/log``: order placements that reached the exchange, in all and per tag, whatever became of
    them.
    """
    ledger = services(request).exchange.ledger
    return answer({"order_posts": ledger.posts, "by_tag": {tag: count for tag, count in ledger.tags.items() if tag}})


async def clock(request: web.Request) -> web.Response:
    """``POST /practice/clock`` with ``speed`` or ``advance_seconds``."""
    body = await json_body(request)
    own = services(request)
    speed, advance = _number(body, "speed"), _number(body, "advance_seconds")
    if speed is None and advance is None:
        raise input_error("Give `speed` or `advance_seconds`.")
    if speed is not None:
        own.exchange.set_speed(speed)
    if advance is not None:
        own.exchange.advance(advance)
    return answer(status_data(own))


async def add_fault(request: web.Request) -> web.Response:
    """``POST /practice/faults``."""
    own = services(request)
    fault = own.faults.read(await json_body(request))
    if fault.kind == FaultKind.CLOSE_SOCKETS:
        await own.hub.close_all()
    elif fault.kind == FaultKind.SILENT_SOCKET:
        own.hub.silent = True
        if fault.seconds:
            asyncio.get_running_loop().call_later(fault.seconds, own.hub.speak)
    if fault.kind not in SOCKET_KINDS:
        own.faults.add(fault)
    return answer(own.faults.listed())


async def list_faults(request: web.Request) -> web.Response:
    """``GET /practice/faults``."""
    return answer(services(request).faults.listed())


async def clear_faults(request: web.Request) -> web.Response:
    """``DELETE /practice/faults``."""
    own = services(request)
    own.faults.clear()
    own.hub.speak()
    return answer([])


async def stop(request: web.Request) -> web.Response:
    """``POST /practice/stop``."""
    services(request).stop()
    return answer(True)


def _number(body: object, name: str) -> float | None:
    value = body.get(name) if isinstance(body, dict) else None
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 <= value < float("inf"):
        raise input_error(f"`{name}` must be a number of at least 0.")
    return float(value)


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get("/practice/status", status)
    router.add_get("/practice/log", log)
    router.add_post("/practice/clock", clock)
    router.add_post("/practice/faults", add_fault)
    router.add_get("/practice/faults", list_faults)
    router.add_delete("/practice/faults", clear_faults)
    router.add_post("/practice/stop", stop)
