"""The middlewares: envelopes, faults, credentials, limits; and what every route imports.

The order of a request: fault that refuses it, credentials, limits, the route itself, fault that withholds the answer.
"""

from __future__ import annotations

from aiohttp import web

from engine.practice.accounts import token_error
from engine.practice.faults import FaultKind
from engine.practice.http_base import (
    SERVICES,
    Services,
    answer,
    form,
    json_body,
    refusal,
    refused,
    seat_at,
    services,
)
from engine.practice.http_faults import Handler, is_order_request, is_told, read_request, told_request
from engine.practice.wire import ErrorType, KiteError

__all__ = [
    "SERVICES",
    "Handler",
    "Services",
    "answer",
    "envelope",
    "faulty",
    "form",
    "guarded",
    "json_body",
    "refusal",
    "services",
]

_OPEN_PATHS = ("/session/", "/connect/login", "/connect/finish", "/practice/")
_QUOTE_PATHS = ("/quote", "/quote/ohlc", "/quote/ltp")
_CANDLE_PATH = "/instruments/historical/"


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals into envelopes, and anything unexpected into the broker's general error."""
    try:
        return await handler(request)
    except KiteError as error:
        return refused(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        words = {404: "Route not found", 405: "Method not allowed"}.get(error.status, error.reason)
        return refusal(KiteError(error.status, ErrorType.GENERAL, words))


@web.middleware
async def faulty(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Apply a fault that waits for this request; log and announce requests of orders."""
    if request.path.startswith("/practice/"):
        return await handler(request)
    if request.path == "/":
        faults = request.app[SERVICES].bench.faults
        if faults.take("", "", kinds=(FaultKind.REFUSE_HANDSHAKE,)) is not None:
            raise token_error()
        return await handler(request)
    return await (told_request if is_told(request) else read_request)(request, handler)


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check credentials and count the request against its limit."""
    path = request.path
    if path == "/" or path.startswith(_OPEN_PATHS):
        return await handler(request)
    own = seat_at(request, request.app[SERVICES].accounts.authorise(request.headers.get("Authorization")))
    if is_order_request(request):
        if request.method == "POST":
            fields = await form(request)
            own.exchange.count_post(fields.get("tag"))
        own.limits.order(placement=request.method == "POST")
    elif path in _QUOTE_PATHS:
        own.limits.quote()
    elif path.startswith(_CANDLE_PATH):
        own.limits.candles()
    else:
        own.limits.other()
    return await handler(request)
