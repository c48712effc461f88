"""Routes of orders and trades. A placement is durable before it is answered; it is acted on shortly after."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from aiohttp import web

from engine.practice.faults import Point
from engine.practice.http_common import Services, answer, form, services
from engine.practice.http_faults import CHILDREN, ORDER_ID
from engine.practice.order_desk import Placement
from engine.practice.settings import ExchangeSettings
from engine.practice.wire import KiteError, input_error

_SLICED_SHAPES = ("object with children", "object alone", "list")


def draw_latency(settings: ExchangeSettings, order_id: str, action: str) -> float:
    """Return how long (seconds) a request takes to the exchange: drawn for the seed, the order and the action.

    The latencies are log-normal around the middle that is set.
    """
    service = settings.service
    chance = random.Random(f"{settings.seed}/{order_id}/{action}")  # noqa: S311 - chance that can be repeated
    return service.order_latency_seconds * chance.lognormvariate(0.0, service.order_latency_spread)


def _later(request: web.Request, action: Callable[[str], None], order_id: str) -> None:
    """Let the exchange act on an accepted request after its latency, or when a gate lets it."""
    own = services(request)
    order = own.exchange.ledger.orders.get(order_id)
    tag, account = (order.tag or "" if order is not None else ""), own.exchange.changes.account

    def act() -> None:
        action(order_id)

    def arrive() -> None:
        if not own.bench.gates.defer(Point.ANSWERED, tag, account, order_id, act):
            act()

    step = f"{action.__name__}/{order.modifications if order is not None else 0}"
    delay = draw_latency(own.settings, order_id, step)
    asyncio.get_running_loop().call_later(delay, arrive)


async def place(request: web.Request) -> web.Response:
    """``POST /orders/{variety}``."""
    desk = services(request).exchange.desk
    placement = desk.submit(await form(request), variety=request.match_info["variety"])
    request[ORDER_ID], request[CHILDREN] = placement.order_id, placement.accepted if placement.children else ()
    for order_id in placement.accepted:
        _later(request, desk.process, order_id)
    return answer(_placed(placement, services(request).bench.quirks.pick("answer to autoslice", _SLICED_SHAPES)))


def _placed(placement: Placement, shape: str) -> dict[str, Any] | list[dict[str, Any]]:
    """Return the answer to a placement; of a sliced order the broker's documents and mocks show different shapes."""
    if not placement.children or shape == "object alone":
        return {"order_id": placement.order_id}
    children = [_child(child) for child in placement.children]
    return children if shape == "list" else {"order_id": placement.order_id, "children": children}


def _child(child: str | KiteError) -> dict[str, Any]:
    if isinstance(child, str):
        return {"order_id": child}
    words = {"code": child.status, "error_type": str(child.kind), "message": child.message, "data": None}
    return {"error": words}


async def modify(request: web.Request) -> web.Response:
    """``PUT /orders/{variety}/{order_id}``."""
    desk = services(request).exchange.desk
    order_id = desk.modify(request.match_info["variety"], request.match_info["order_id"], await form(request))
    request[ORDER_ID] = order_id
    _later(request, desk.finish_change, order_id)
    return answer({"order_id": order_id})


async def cancel(request: web.Request) -> web.Response:
    """``DELETE /orders/{variety}/{order_id}``."""
    desk = services(request).exchange.desk
    order_id = desk.cancel(request.match_info["variety"], request.match_info["order_id"])
    request[ORDER_ID] = order_id
    _later(request, desk.finish_cancel, order_id)
    return answer({"order_id": order_id})


async def orders(request: web.Request) -> web.Response:
    """``GET /orders``."""
    exchange = services(request).exchange
    rows = [order.to_wire() for order in exchange.ledger.orders.values()]
    return answer(_shown(request, "orders", rows))


async def history(request: web.Request) -> web.Response:
    """``GET /orders/{order_id}``: every state the order was in, oldest first."""
    return answer(services(request).exchange.ledger.histories[_known(request)])


async def trades(request: web.Request) -> web.Response:
    """``GET /trades``."""
    return answer(_shown(request, "trades", _trade_rows(request)))


async def order_trades(request: web.Request) -> web.Response:
    """``GET /orders/{order_id}/trades``."""
    order_id = _known(request)
    rows = _shown(request, "trades", _trade_rows(request))
    return answer([row for row in rows if row["order_id"] == order_id])


def _trade_rows(request: web.Request) -> list[dict[str, Any]]:
    return [trade.to_wire() for trade in services(request).exchange.ledger.trades]


def _shown(request: web.Request, kind: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a read shows: the rows, or what a lagging book still shows instead."""
    own = services(request)
    return own.bench.lag.shown(own.exchange.changes.account, kind, rows, lambda row: _tag(own, row["order_id"]))


def _tag(own: Services, order_id: str) -> str:
    order = own.exchange.ledger.orders.get(order_id)
    return order.tag or "" if order is not None else ""


def _known(request: web.Request) -> str:
    own, order_id = services(request), request.match_info["order_id"]
    hidden = own.bench.lag.hides(own.exchange.changes.account, _tag(own, order_id))
    if order_id not in own.exchange.ledger.histories or hidden:
        raise input_error(f"Couldn't find that `order_id`: {order_id}.")
    return order_id


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_post("/orders/{variety}", place)
    router.add_put("/orders/{variety}/{order_id}", modify)
    router.add_delete("/orders/{variety}/{order_id}", cancel)
    router.add_get("/orders", orders)
    router.add_get("/orders/{order_id}", history)
    router.add_get("/orders/{order_id}/trades", order_trades)
    router.add_get("/trades", trades)
