"""What every route shares: the application's services, envelopes, errors, credentials, limits, faults.

The order of a request: fault that refuses it, credentials, limits, the route itself, fault that withholds the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
from aiohttp import web

from engine.practice.accounts import Accounts
from engine.practice.exchange import Exchange
from engine.practice.faults import FaultKind, Faults
from engine.practice.limits import Limits, too_many
from engine.practice.settings import ExchangeSettings
from engine.practice.stream import StreamHub
from engine.practice.wire import ErrorType, KiteError

_log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OPEN_PATHS = ("/session/token", "/connect/login", "/connect/finish", "/practice/")
_QUOTE_PATHS = ("/quote", "/quote/ohlc", "/quote/ltp")
_ORDER_METHODS = ("POST", "PUT", "DELETE")
_BAD_GATEWAY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the routes need."""

    settings: ExchangeSettings
    exchange: Exchange
    accounts: Accounts
    limits: Limits
    faults: Faults
    hub: StreamHub
    stop: Callable[[], None]


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """Return the application's services."""
    return request.app[SERVICES]


def answer(data: object) -> web.Response:
    """Return a success envelope."""
    return web.Response(
        body=msgspec.json.encode({"status": "success", "data": data}), content_type="application/json", charset="utf-8"
    )


def refusal(error: KiteError) -> web.Response:
    """Return an error envelope."""
    return web.Response(
        body=msgspec.json.encode(error.envelope),
        status=error.status,
        content_type="application/json",
        charset="utf-8",
    )


async def form(request: web.Request) -> Mapping[str, str]:
    """Return the fields of a form-urlencoded body."""
    fields = await request.post()
    return {name: value for name, value in fields.items() if isinstance(value, str)}


async def json_body(request: web.Request) -> object:
    """Return a JSON body, or an empty object when there is none.

    Raises:
        KiteError: HTTP 400, the body is not JSON.
    """
    body = await request.read()
    try:
        return msgspec.json.decode(body) if body else {}
    except msgspec.DecodeError as error:
        raise KiteError(400, ErrorType.INPUT, f"The body is not JSON: {error}") from error


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals into envelopes, and anything unexpected into the broker's general error."""
    try:
        return await handler(request)
    except KiteError as error:
        return refusal(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        words = {404: "Route not found", 405: "Method not allowed"}.get(error.status, error.reason)
        return refusal(KiteError(error.status, ErrorType.GENERAL, words))


@web.middleware
async def faulty(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Apply a fault that waits for this request."""
    if request.path.startswith("/practice/") or request.path == "/":
        return await handler(request)
    fault = services(request).faults.take(request.method, request.path)
    if fault is None:
        return await handler(request)
    match fault.kind:
        case FaultKind.ERROR_500:
            raise KiteError(500, ErrorType.GENERAL, "Something unexpected happened. Please try again.")
        case FaultKind.ERROR_503:
            raise KiteError(503, ErrorType.NETWORK, "The order management system is unreachable.")
        case FaultKind.ERROR_429:
            raise too_many()
        case FaultKind.HTML_502:
            return web.Response(text=_BAD_GATEWAY_PAGE, status=502, content_type="text/html")
        case FaultKind.HOLD:
            await request.read()
            await asyncio.sleep(fault.seconds)
            return await handler(request)
        case FaultKind.DELAY:
            response = await handler(request)
            await asyncio.sleep(fault.seconds)
            return response
        case FaultKind.DROP_ANSWER:
            response = await handler(request)
            if request.transport is not None:
                request.transport.abort()
            return response
        case _:
            return await handler(request)


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check credentials and count the request against its limit."""
    path = request.path
    if path == "/" or path.startswith(_OPEN_PATHS):
        return await handler(request)
    own = services(request)
    own.accounts.authorise(request.headers.get("Authorization"))
    if path.startswith("/orders") and request.method in _ORDER_METHODS:
        if request.method == "POST":
            fields = await form(request)
            own.exchange.count_post(fields.get("tag"))
        own.limits.order(placement=request.method == "POST")
    elif path in _QUOTE_PATHS:
        own.limits.quote()
    else:
        own.limits.other()
    return await handler(request)
