"""Routes of what waits for a price: good-till-triggered orders and alerts."""

from __future__ import annotations

from aiohttp import web

from engine.practice.http_common import answer, form, services
from engine.practice.quirks import Quirks
from engine.practice.standing import Trigger
from engine.practice.wire import ErrorType, KiteError, input_error

_PAGE, _LONGEST_PAGE = 50, 500


async def triggers(request: web.Request) -> web.Response:
    """``GET /gtt/triggers``: the active ones and those that ended in the last week."""
    exchange = services(request).exchange
    rows = exchange.ledger.standing.shown_triggers(exchange.floor.now())
    return answer([row.to_wire(exchange.changes.account) for row in rows])


async def trigger(request: web.Request) -> web.Response:
    """``GET /gtt/triggers/{id}``."""
    return answer(_known(request).to_wire(services(request).exchange.changes.account))


async def place_trigger(request: web.Request) -> web.Response:
    """``POST /gtt/triggers``."""
    return answer({"trigger_id": services(request).exchange.waiting.triggers.place(await form(request))})


async def modify_trigger(request: web.Request) -> web.Response:
    """``PUT /gtt/triggers/{id}``."""
    number = _known(request).number
    services(request).exchange.waiting.triggers.modify(number, await form(request))
    return answer({"trigger_id": number})


async def delete_trigger(request: web.Request) -> web.Response:
    """``DELETE /gtt/triggers/{id}``."""
    number = _known(request).number
    services(request).exchange.waiting.triggers.delete(number)
    return answer({"trigger_id": number})


async def create_alert(request: web.Request) -> web.Response:
    """``POST /alerts``."""
    exchange = services(request).exchange
    alert = exchange.waiting.alerts.create(await form(request))
    return answer(exchange.waiting.alerts.to_wire(alert, exchange.changes.account))


async def alerts(request: web.Request) -> web.Response:
    """``GET /alerts``, filtered by status and paged."""
    exchange, query = services(request).exchange, request.query
    page, size = _count(query.get("page", "1"), "page"), _count(query.get("page_size", str(_PAGE)), "page_size")
    if size > _LONGEST_PAGE:
        raise input_error(f"Invalid `page_size`: {size}. It should be at most {_LONGEST_PAGE}.")
    status = query.get("status", "")
    rows = [row for row in exchange.ledger.standing.alerts.values() if status in {"", row.status}]
    shown = rows[(page - 1) * size : page * size]
    return answer([exchange.waiting.alerts.to_wire(row, exchange.changes.account) for row in shown])


async def alert(request: web.Request) -> web.Response:
    """``GET /alerts/{uuid}``."""
    exchange = services(request).exchange
    row = exchange.waiting.alerts.get(request.match_info["uuid"])
    return answer(exchange.waiting.alerts.to_wire(row, exchange.changes.account))


async def modify_alert(request: web.Request) -> web.Response:
    """``PUT /alerts/{uuid}``."""
    exchange = services(request).exchange
    row = exchange.waiting.alerts.modify(request.match_info["uuid"], await form(request))
    return answer(exchange.waiting.alerts.to_wire(row, exchange.changes.account))


async def delete_alerts(request: web.Request) -> web.Response:
    """``DELETE /alerts?uuid=a&uuid=b``."""
    uuids = request.query.getall("uuid", [])
    if not uuids:
        raise input_error("Missing or empty field `uuid`")
    services(request).exchange.waiting.alerts.delete(uuids)
    return answer(None)


async def alert_history(request: web.Request) -> web.Response:
    """``GET /alerts/{uuid}/history``."""
    desk = services(request).exchange.waiting.alerts
    return answer(desk.history(desk.get(request.match_info["uuid"])))


def _known(request: web.Request) -> Trigger:
    own = services(request)
    text = request.match_info["id"]
    found = own.exchange.ledger.standing.triggers.get(int(text)) if text.isdecimal() else None
    if found is None:
        status, kind = Quirks(own.settings.seed).pick("unknown trigger", _UNKNOWN)
        raise KiteError(status, kind, f"Trigger not found: {text}.")
    return found


_UNKNOWN = ((404, ErrorType.GENERAL), (400, ErrorType.INPUT))
"""How an unknown trigger is refused is not documented."""


def _count(text: str, name: str) -> int:
    if not text.isdecimal() or not int(text):
        raise input_error(f"Invalid `{name}`: {text}. It should be a whole number greater than 0.")
    return int(text)


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get("/gtt/triggers", triggers)
    router.add_post("/gtt/triggers", place_trigger)
    router.add_get("/gtt/triggers/{id}", trigger)
    router.add_put("/gtt/triggers/{id}", modify_trigger)
    router.add_delete("/gtt/triggers/{id}", delete_trigger)
    router.add_get("/alerts", alerts)
    router.add_post("/alerts", create_alert)
    router.add_delete("/alerts", delete_alerts)
    router.add_get("/alerts/{uuid}", alert)
    router.add_put("/alerts/{uuid}", modify_alert)
    router.add_get("/alerts/{uuid}/history", alert_history)
