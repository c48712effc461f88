"""Route of historical candles. They are made in a thread: a request for months does not hold up the market."""

from __future__ import annotations

import asyncio

from aiohttp import web

from engine.practice.calendar_facts import TradingCalendar
from engine.practice.history import MadeUpHistory, read_request
from engine.practice.http_common import answer, services
from engine.practice.market import Market
from engine.practice.wire import input_error


class HistoryDesk:
    """The history of the exchange's market, for one request at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._history: MadeUpHistory | None = None
        self._of: Market | None = None

    async def candles(self, request: web.Request) -> list[list[object]]:
        """Return the rows that a request asks for.

        Raises:
            KiteError: HTTP 400: an ill-formed request, or a market that keeps no history.
        """
        exchange = services(request).exchange
        day = exchange.floor.day
        token, interval = request.match_info["token"], request.match_info["interval"]
        asked = read_request(token, interval, request.query, day.universe.by_token)
        if not isinstance(exchange.market, Market):
            raise input_error("A market that is fed by a recording or by another feed has no historical candles here.")
        async with self._turn:
            if self._history is None or self._of is not exchange.market:
                self._of, self._history = exchange.market, MadeUpHistory(exchange.market, TradingCalendar.load())
            history = self._history
            sessions = history.sessions(asked, day.session)
            # No further than the quotes have come: a candle never shows a trade that no quote has shown.
            now = exchange.floor.quotes.moment

            def make() -> list[list[object]]:
                return [row.to_wire(interest=asked.interest) for row in history.candles(asked, sessions, day, now)]

            return await asyncio.to_thread(make)


HISTORY: web.AppKey[HistoryDesk] = web.AppKey("history", HistoryDesk)


async def historical(request: web.Request) -> web.Response:
    """``GET /instruments/historical/{token}/{interval}``."""
    return answer({"candles": await request.app[HISTORY].candles(request)})


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get("/instruments/historical/{token}/{interval}", historical)
