"""Routes of orders and trades. A placement is durable before it is answered; it is acted on shortly after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from engine.practice.http_common import answer, form, services
from engine.practice.wire import input_error


def _later(request: web.Request, action: Callable[[str], None], order_id: str) -> None:
    delay = services(request).settings.service.order_latency_seconds
    asyncio.get_running_loop().call_later(delay, action, order_id)


async def place(request: web.Request) -> web.Response:
    """``POST /orders/{variety}``."""
    desk = services(request).exchange.desk
    order_id = desk.place(request.match_info["variety"], await form(request))
    _later(request, desk.process, order_id)
    return answer({"order_id": order_id})


async def modify(request: web.Request) -> web.Response:
    """``PUT /orders/{variety}/{order_id}``."""
    desk = services(request).exchange.desk
    order_id = desk.modify(request.match_info["variety"], request.match_info["order_id"], await form(request))
    _later(request, desk.finish_change, order_id)
    return answer({"order_id": order_id})


async def cancel(request: web.Request) -> web.Response:
    """``DELETE /orders/{variety}/{order_id}``."""
    desk = services(request).exchange.desk
    order_id = desk.cancel(request.match_info["variety"], request.match_info["order_id"])
    _later(request, desk.finish_cancel, order_id)
    return answer({"order_id": order_id})


async def orders(request: web.Request) -> web.Response:
    """``GET /orders``."""
    return answer([order.to_wire() for order in services(request).exchange.ledger.orders.values()])


async def history(request: web.Request) -> web.Response:
    """``GET /orders/{order_id}``: every state the order was in, oldest first."""
    return answer(services(request).exchange.ledger.histories[_known(request)])


async def trades(request: web.Request) -> web.Response:
    """``GET /trades``."""
    return answer([trade.to_wire() for trade in services(request).exchange.ledger.trades])


async def order_trades(request: web.Request) -> web.Response:
    """``GET /orders/{order_id}/trades``."""
    order_id = _known(request)
    every = services(request).exchange.ledger.trades
    return answer([trade.to_wire() for trade in every if trade.order_id == order_id])


def _known(request: web.Request) -> str:
    order_id = request.match_info["order_id"]
    if order_id not in services(request).exchange.ledger.histories:
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
