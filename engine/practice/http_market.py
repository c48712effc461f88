"""Routes of instruments and quotes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

from aiohttp import web

from engine.practice.calendar_facts import stamp
from engine.practice.http_common import answer, services
from engine.practice.noise import IntArray
from engine.practice.session_market import Quotes
from engine.practice.universe import Universe
from engine.practice.wire import input_error

_PAISE = 100.0
_GZIP_LEVEL = 3
_CSV_TYPE = "text/csv"
_STAMP = "timestamp"

Render = Callable[[Quotes, int, int | None, int | None], dict[str, Any]]
"""(quotes, token, row of a contract, column of an index) to the object on the wire."""


class InstrumentFiles:
    """The day's dump per exchange, encoded once a day and only when asked for."""

    def __init__(self) -> None:
        self._universe: Universe | None = None
        self._files: dict[tuple[str | None, bool], bytes] = {}

    def get(self, universe: Universe, exchange: str | None, *, compressed: bool) -> bytes:
        """Return the dump of an exchange (or of all), plain or gzip."""
        if self._universe is not universe:
            self._universe = universe
            self._files.clear()
        content = self._files.get((exchange, compressed))
        if content is None:
            content = universe.csv(exchange)
            if compressed:
                content = gzip.compress(content, _GZIP_LEVEL, mtime=0)
            self._files[exchange, compressed] = content
        return content


FILES: web.AppKey[InstrumentFiles] = web.AppKey("instrument_files", InstrumentFiles)


async def instruments(request: web.Request) -> web.Response:
    """``GET /instruments`` and ``GET /instruments/{exchange}``."""
    universe = services(request).exchange.floor.day.universe
    exchange = request.match_info.get("exchange")
    if exchange is not None and exchange not in universe.exchanges():
        raise input_error(f"Invalid `exchange`: {exchange}. Allowed are {', '.join(sorted(universe.exchanges()))}.")
    compressed = "gzip" in request.headers.get("Accept-Encoding", "")
    content = request.app[FILES].get(universe, exchange, compressed=compressed)
    headers = {"Content-Encoding": "gzip"} if compressed else {}
    return web.Response(body=content, content_type=_CSV_TYPE, headers=headers)


async def quote(request: web.Request) -> web.Response:
    """``GET /quote``."""
    return answer(_collect(request, services(request).settings.service.quote_limit, _full))


async def ohlc(request: web.Request) -> web.Response:
    """``GET /quote/ohlc``."""
    return answer(_collect(request, services(request).settings.service.ltp_limit, _ohlc))


async def ltp(request: web.Request) -> web.Response:
    """``GET /quote/ltp``."""
    return answer(_collect(request, services(request).settings.service.ltp_limit, _ltp))


def _collect(request: web.Request, limit: int, render: Render) -> dict[str, Any]:
    names = request.query.getall("i", [])
    if not names:
        raise input_error("Missing or empty field `i`")
    if len(names) > limit:
        raise input_error(f"Too many instruments: {len(names)} were asked for, {limit} are allowed in one request.")
    own = services(request)
    exchange = own.exchange
    columns = {token: column for column, token in enumerate(exchange.index_tokens)}
    result: dict[str, Any] = {}
    for name in names:
        contract = exchange.floor.day.universe.by_key.get(name)
        if contract is None and name.isdigit():
            contract = exchange.floor.day.universe.by_token.get(int(name))
        if contract is None:
            continue
        column = columns.get(contract.token)
        row = exchange.floor.day.universe.row_of.get(contract.token)
        if column is not None or row is not None:
            result[name] = render(exchange.floor.quotes, contract.token, row, column)
            told = exchange.market.told_at(row, column)
            if told and _STAMP in result[name]:
                result[name][_STAMP] = stamp(told)
    return result


def _ohlc_values(quotes: Quotes, row: int | None, column: int | None) -> dict[str, float]:
    prefix, at = ("index_", column) if column is not None else ("", row)
    return {name: int(getattr(quotes, prefix + name)[at]) / _PAISE for name in ("open", "high", "low", "close")}


def _last(quotes: Quotes, row: int | None, column: int | None) -> float:
    return int(quotes.index_last[column] if column is not None else quotes.last[row]) / _PAISE


def _ltp(quotes: Quotes, token: int, row: int | None, column: int | None) -> dict[str, Any]:
    return {"instrument_token": token, "last_price": _last(quotes, row, column)}


def _ohlc(quotes: Quotes, token: int, row: int | None, column: int | None) -> dict[str, Any]:
    return _ltp(quotes, token, row, column) | {"ohlc": _ohlc_values(quotes, row, column)}


def _full(quotes: Quotes, token: int, row: int | None, column: int | None) -> dict[str, Any]:
    values = _ohlc_values(quotes, row, column)
    base = {
        "instrument_token": token,
        "timestamp": stamp(quotes.moment),
        "last_price": _last(quotes, row, column),
        "net_change": 0,
        "ohlc": values,
    }
    if row is None:
        return base | {"last_trade_time": None, "oi": 0, "volume": 0, "buy_quantity": 0, "sell_quantity": 0}
    last_time = int(quotes.last_time[row])
    return base | {
        "last_trade_time": stamp(last_time) if last_time else None,
        "last_quantity": int(quotes.last_quantity[row]),
        "buy_quantity": int(quotes.total_buy[row]),
        "sell_quantity": int(quotes.total_sell[row]),
        "volume": int(quotes.volume[row]),
        "average_price": int(quotes.average[row]) / _PAISE,
        "oi": int(quotes.open_interest[row]),
        "oi_day_high": int(quotes.open_interest_high[row]),
        "oi_day_low": int(quotes.open_interest_low[row]),
        "lower_circuit_limit": int(quotes.lower_circuit[row]) / _PAISE,
        "upper_circuit_limit": int(quotes.upper_circuit[row]) / _PAISE,
        "depth": {
            "buy": _levels(quotes.bid_price[row], quotes.bid_quantity[row], quotes.bid_orders[row]),
            "sell": _levels(quotes.ask_price[row], quotes.ask_quantity[row], quotes.ask_orders[row]),
        },
    }


def _levels(prices: IntArray, quantities: IntArray, orders: IntArray) -> list[dict[str, Any]]:
    return [
        {"price": int(price) / _PAISE, "quantity": int(quantity), "orders": int(count)}
        for price, quantity, count in zip(prices, quantities, orders, strict=True)
    ]


async def trigger_range(request: web.Request) -> web.Response:
    """``GET /instruments/trigger_range/{side}``: between which prices the stop of a cover order may lie."""
    side = request.match_info["side"].lower()
    if side not in {"buy", "sell"}:
        raise input_error(f"Invalid `transaction_type`: {side}. Allowed are buy, sell.")
    names = request.query.getall("i", [])
    if not names:
        raise input_error("Missing or empty field `i`")
    floor = services(request).exchange.floor
    ranges: dict[str, Any] = {}
    for name in names:
        contract = floor.day.universe.by_key.get(name)
        row = None if contract is None else floor.day.universe.row_of.get(contract.token)
        if contract is None or row is None:
            continue
        last = int(floor.quotes.last[row])
        # A bought position's stop sells below the last price, a sold one's buys above it, both within the day's band.
        low, high = int(floor.quotes.lower_circuit[row]), int(floor.quotes.upper_circuit[row])
        low, high = (low, last) if side == "buy" else (last, high)
        ranges[name] = {"instrument_token": contract.token, "lower": low / _PAISE, "upper": high / _PAISE}
    return answer(ranges)


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get("/instruments", instruments)
    router.add_get("/instruments/{exchange}", instruments)
    router.add_get("/instruments/trigger_range/{side}", trigger_range)
    router.add_get("/quote", quote)
    router.add_get("/quote/ohlc", ohlc)
    router.add_get("/quote/ltp", ltp)
