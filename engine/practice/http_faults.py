"""One request on its way through the exchange, with whatever a fault does to it.

The order of things: the request is read, logged durably and announced; a gate may stop it; a fault that refuses it
does so; it is carried out; a gate may stop its answer; a fault that withholds or alters the answer does so; the
answer leaves and is announced. Only what changes orders, triggers or positions is logged, announced and stopped.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

from engine.practice.bench import Bench
from engine.practice.faults import ORDER_METHODS, Fault, FaultKind, Point, Then
from engine.practice.http_base import SERVICES, form, refused
from engine.practice.limits import too_many
from engine.practice.request_log import RequestRow
from engine.practice.wire import ErrorType, KiteError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ORDER_ID: web.RequestKey[str] = web.RequestKey("order_id", str)
CHILDREN: web.RequestKey[tuple[str, ...]] = web.RequestKey("children", tuple)
"""What a route of orders accepted, for the log."""

_BAD_GATEWAY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_ORDERS = "/orders"
_TOLD = (_ORDERS, "/gtt/", "/portfolio/positions")
_NO_LINGER = struct.pack("ii", 1, 0)
_FIRST_ERROR = 400
_TOO_MANY = 429
_SERVER_ERROR = KiteError(500, ErrorType.GENERAL, "Something unexpected happened. Please try again.")
_ERRORS = {
    FaultKind.ERROR_500: _SERVER_ERROR,
    FaultKind.ERROR_502: KiteError(502, ErrorType.DATA, "Bad response from the order management system."),
    FaultKind.ERROR_503: KiteError(503, ErrorType.NETWORK, "The order management system is unreachable."),
    FaultKind.ERROR_504: KiteError(504, ErrorType.DATA, "The order management system did not answer in time."),
    FaultKind.TIMEOUT_400: KiteError(400, ErrorType.ORDER, "Order request timed out. Please check the order book."),
    FaultKind.ERROR_429: too_many(),
}
_ACCEPTED_ERRORS = {
    FaultKind.ACCEPTED_500: FaultKind.ERROR_500,
    FaultKind.ACCEPTED_502: FaultKind.ERROR_502,
    FaultKind.ACCEPTED_503: FaultKind.ERROR_503,
    FaultKind.ACCEPTED_504: FaultKind.ERROR_504,
    FaultKind.ACCEPTED_TIMEOUT_400: FaultKind.TIMEOUT_400,
}
_DROPPING = frozenset({FaultKind.DROP_ANSWER, FaultKind.RESET_AFTER})


def is_order_request(request: web.Request) -> bool:
    """Tell whether a request is one to an order endpoint."""
    return request.method in ORDER_METHODS and request.path.startswith(_ORDERS)


def is_told(request: web.Request) -> bool:
    """Tell whether a request is logged, announced and stopped at gates: one of orders, triggers or conversions."""
    return request.method in ORDER_METHODS and request.path.startswith(_TOLD)


async def read_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve a request that changes nothing, with the fault that waits for it."""
    own = request.app[SERVICES]
    account = own.accounts.claimed(request.headers.get("Authorization"))
    fault = own.bench.faults.take(request.method, request.path, account=account)
    return await Handling(request, handler, own.bench, account=account).serve(fault)


async def told_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve a request that changes something: logged, announced, stopped at gates, with the fault that waits."""
    own = request.app[SERVICES]
    account = own.accounts.claimed(request.headers.get("Authorization"))
    await request.read()  # whole before it counts as received: a client that dies later takes nothing of it along
    tag = (await form(request)).get("tag", "") if request.method == "POST" else _tag_of(request)
    row = own.bench.requests.arrive(request.method, request.path, account, tag)
    handling = Handling(request, handler, own.bench, account=account, tag=tag, row=row)
    handling.announce("request_received", f"{request.method} {request.path}")
    if await own.bench.gates.stop_at(Point.RECEIVED, tag, account) is Then.DISCARD:
        return handling.lose("discarded", reset=False)
    fault = own.bench.faults.take(request.method, request.path, tag, account)
    return await handling.serve(fault)


class Handling:
    """The handling of one request.

    Args:
        request: The request, read.
        handler: Carries it out.
        bench: Faults, events, gates, log.
        account: User id that the request claims, unchecked.
        tag: Tag of the placement, or of the order that is changed.
        row: Its row in the log; None for a request that is not one of orders.
    """

    def __init__(
        self,
        request: web.Request,
        handler: Handler,
        bench: Bench,
        *,
        account: str,
        tag: str = "",
        row: RequestRow | None = None,
    ) -> None:
        self._request = request
        self._handler = handler
        self._bench = bench
        self._account = account
        self._tag = tag
        self._row = row

    async def serve(self, fault: Fault | None) -> web.StreamResponse:
        """Serve the request as far as the fault lets it come."""
        if fault is None:
            return await self._send(await self._carry_out(), "")
        if self._row is not None:
            self._row.fault = fault.kind
        self.announce("fault", fault.kind)
        match fault.kind:
            case kind if kind in _ERRORS:
                return await self._send(self._error(_ERRORS[kind]), "refused")
            case FaultKind.HTML_502:
                return await self._send(_page(), "refused")
            case FaultKind.RESET_BEFORE:
                return self.lose("refused", reset=True)
            case FaultKind.RESTART_BEFORE:
                self._bench.crash()
            case FaultKind.HOLD:
                await self._request.read()
                await asyncio.sleep(fault.seconds)
            case FaultKind.EXPIRE_TOKENS:
                await self._bench.strike(fault)
            case FaultKind.STALE_BOOK:
                self._bench.make_stale(fault)
            case _:
                pass
        return await self._after(fault, await self._carry_out())

    def announce(self, what: str, detail: str = "") -> None:
        """Note an event of this request (of orders only)."""
        if self._row is not None:
            self._bench.events.add(
                what, account=self._account, tag=self._tag, order_id=self._row.order_id, detail=detail
            )

    def lose(self, outcome: str, *, reset: bool) -> web.Response:
        """Cut the connection, with a reset or as if the answer had been lost on the way."""
        transport = self._request.transport
        if transport is not None:
            raw = transport.get_extra_info("socket")
            if reset and raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()
        self._end(outcome, None)
        self.announce("answer_dropped", outcome)
        return web.Response()

    async def _after(self, fault: Fault, response: web.StreamResponse) -> web.StreamResponse:
        """Send, withhold or alter the answer to a request that was carried out."""
        carried_out = response.status < _FIRST_ERROR
        match fault.kind:
            case FaultKind.DELAY:
                await asyncio.sleep(fault.seconds)
            case kind if kind in _DROPPING and response.status == _TOO_MANY:
                self._bench.faults.again(fault)  # refused for speed: nothing was carried out whose answer could be lost
            case kind if kind in _DROPPING:
                return self.lose("answer_dropped", reset=kind == FaultKind.RESET_AFTER)
            case FaultKind.RESTART_AFTER:
                self._bench.crash()
            case kind if kind in _ACCEPTED_ERRORS and carried_out:
                return await self._send(self._error(_ERRORS[_ACCEPTED_ERRORS[kind]]), "answer_altered")
            case FaultKind.ACCEPTED_HTML_502 if carried_out:
                return await self._send(_page(), "answer_altered")
            case _:
                pass
        return await self._send(response, "")

    async def _carry_out(self) -> web.StreamResponse:
        try:
            response = await self._handler(self._request)
        except KiteError as error:
            response = self._error(error)
        if self._row is not None:
            self._row.order_id = self._request.get(ORDER_ID, "")
            self._row.children = self._request.get(CHILDREN, ())
            if response.status < _FIRST_ERROR:
                await self._bench.gates.stop_at(Point.ACCEPTED, self._tag, self._account, self._row.order_id)
        return response

    async def _send(self, response: web.StreamResponse, outcome: str) -> web.StreamResponse:
        """Send the answer to a request of orders here, so that it is announced when it has left."""
        if self._row is None:
            return response
        try:
            await response.prepare(self._request)
            await response.write_eof()
        except ConnectionError:
            self._end("answer_dropped", None)
            self.announce("answer_dropped", "the client had gone")
            return response
        refused = response.status >= _FIRST_ERROR and not outcome
        self._end(outcome or ("refused" if refused else "answered"), response.status)
        self.announce("answered", str(response.status))
        return response

    def _error(self, error: KiteError) -> web.Response:
        return refused(self._request, error)

    def _end(self, outcome: str, status: int | None) -> None:
        if self._row is not None:
            self._bench.requests.end(self._row, outcome, status)


def _tag_of(request: web.Request) -> str:
    order_id = request.path.rpartition("/")[2]
    for exchange in request.app[SERVICES].exchanges():
        order = exchange.ledger.orders.get(order_id)
        if order is not None:
            return order.tag or ""
    return ""


def _page() -> web.Response:
    return web.Response(text=_BAD_GATEWAY_PAGE, status=502, content_type="text/html")
