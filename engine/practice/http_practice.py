"""The exchange's own routes under ``/practice``: status, log, events, clock, faults, stop.

Loopback only, like everything here.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from engine.practice.calendar_facts import indian
from engine.practice.faults import SOCKET_KINDS, Fault, FaultKind, FaultPlan
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
        "halted": exchange.floor.is_halted,
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
        "accounts": len(own.exchanges()),
        "orders": sum(len(account.ledger.orders) for account in own.exchanges()),
        "trades": sum(len(account.ledger.trades) for account in own.exchanges()),
        "instruments": len(exchange.floor.day.universe.contracts),
        "priced_instruments": len(exchange.floor.day.universe.table),
    } | own.drive_status()


async def status(request: web.Request) -> web.Response:
    """``GET /practice/status``."""
    return answer(status_data(services(request)))


async def log(request: web.Request) -> web.Response:
    """``GET /practice/log``: requests of orders.

    ``order_posts`` counts the placements that came as far as the limits of an account; ``by_tag`` counts every
    placement that arrived, whatever became of it; with ``after=N`` the rows after that number come along.
    """
    own = services(request)
    requests = own.bench.requests
    data: dict[str, Any] = {
        "order_posts": sum(exchange.ledger.posts for exchange in own.exchanges()),
        "by_tag": {tag: count for tag, count in requests.posts.items() if tag},
        "requests": requests.count,
        "file": str(requests.path),
    }
    if "after" in request.query:
        data["rows"] = requests.after(int(_query(request, "after")))
    return answer(data)


async def events(request: web.Request) -> web.Response:
    """``GET /practice/events?after=N&wait=S``: what happened after that number, at once or when something does."""
    own = services(request)
    wait = min(_query(request, "wait"), own.settings.service.max_event_wait_seconds)
    return answer(await own.bench.events.wait(int(_query(request, "after")), wait))


async def release(request: web.Request) -> web.Response:
    """``POST /practice/release`` (``tag``: only what begins so): let what gates stopped go on; how many there were."""
    body = await json_body(request)
    tag = body.get("tag", "") if isinstance(body, dict) else ""
    return answer(services(request).bench.gates.release(str(tag)))


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


async def halt(request: web.Request) -> web.Response:
    """``POST /practice/halt`` with ``on``: halt derivatives while feed, indices and clock go on, or end it."""
    body = await json_body(request)
    own = services(request)
    on = body.get("on") if isinstance(body, dict) else None
    if not isinstance(on, bool):
        raise input_error("Give `on`: true or false.")
    own.exchange.halt(on)
    return answer(status_data(own))


async def add_fault(request: web.Request) -> web.Response:
    """``POST /practice/faults``: register a fault; one that waits for no request happens at once."""
    own = services(request)
    fault = own.faults.read(await json_body(request))
    if _strikes_now(fault):
        await own.bench.strike(fault)
    else:
        own.faults.add(fault)
    return answer(own.faults.listed())


def _strikes_now(fault: Fault) -> bool:
    if fault.kind == FaultKind.STALE_BOOK:
        return not fault.path and not fault.method
    return fault.kind in SOCKET_KINDS or fault.kind == FaultKind.EXPIRE_TOKENS


async def list_faults(request: web.Request) -> web.Response:
    """``GET /practice/faults``."""
    return answer(services(request).faults.listed())


async def faults_met(request: web.Request) -> web.Response:
    """``GET /practice/faults/met``: how often each kind has struck since the start."""
    return answer(dict(services(request).faults.met))


async def plan_faults(request: web.Request) -> web.Response:
    """``POST /practice/faults/plan``: draw faults by chance from now on (``seed``, ``rates``)."""
    try:
        plan = FaultPlan.convert(await json_body(request))
    except ValueError as error:
        raise input_error(f"Not a plan of faults: {error}") from error
    services(request).faults.plan(plan)
    return answer(sorted(plan.rates))


async def clear_faults(request: web.Request) -> web.Response:
    """``DELETE /practice/faults``: everything is well again, drawn faults and gates included."""
    services(request).bench.clear()
    return answer([])


async def crash(request: web.Request) -> web.Response:
    """``POST /practice/crash``: end the process as a crash does, without an answer; somebody must start it again."""
    services(request).bench.crash()
    return answer(True)


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


def _query(request: web.Request, name: str) -> float:
    text = request.query.get(name, "0")
    try:
        value = float(text)
    except ValueError as error:
        raise input_error(f"`{name}` must be a number of at least 0.") from error
    if not 0.0 <= value < float("inf"):
        raise input_error(f"`{name}` must be a number of at least 0.")
    return value


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get("/practice/status", status)
    router.add_get("/practice/log", log)
    router.add_get("/practice/events", events)
    router.add_post("/practice/release", release)
    router.add_post("/practice/clock", clock)
    router.add_post("/practice/halt", halt)
    router.add_post("/practice/faults", add_fault)
    router.add_get("/practice/faults", list_faults)
    router.add_delete("/practice/faults", clear_faults)
    router.add_get("/practice/faults/met", faults_met)
    router.add_post("/practice/faults/plan", plan_faults)
    router.add_post("/practice/crash", crash)
    router.add_post("/practice/stop", stop)
