"""Routes of the portfolio: positions and their conversion, holdings. Holdings are empty unless some are put in."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from aiohttp import web

from engine.practice.conversion import read_conversion
from engine.practice.http_common import answer, form, json_body, services
from engine.practice.standing import Holding, HoldingsRecord
from engine.practice.wire import input_error

_PAISE = 100.0
_MOST_HOLDINGS = 500
_REQUEST_BYTES = 16
_TRANSFERS = ("", "pre", "post", "off", "gift")
_KINDS = ("", "equity", "mf")


async def positions(request: web.Request) -> web.Response:
    """``GET /portfolio/positions``."""
    exchange = services(request).exchange
    rows = [
        (position, exchange.floor.last_price(position.token, position.close_paise) / _PAISE)
        for position in exchange.ledger.positions.values()
    ]
    return answer(
        {
            "net": [position.to_wire(last, day_only=False) for position, last in rows],
            "day": [position.to_wire(last, day_only=True) for position, last in rows if position.traded_today],
        }
    )


async def convert(request: web.Request) -> web.Response:
    """``PUT /portfolio/positions``."""
    exchange = services(request).exchange
    exchange.changes.record(read_conversion(await form(request), exchange.ledger, exchange.floor))
    exchange.changes.commit()
    return answer(True)


async def holdings(request: web.Request) -> web.Response:
    """``GET /portfolio/holdings``."""
    return answer([_wire(holding) for holding in _held(request)])


async def summary(request: web.Request) -> web.Response:
    """``GET /portfolio/holdings/summary``."""
    held = _held(request)
    invested = sum(row.average_price * row.quantity for row in held)
    current = sum(row.last_price * row.quantity for row in held)
    before = sum(row.close_price * row.quantity for row in held)
    return answer(
        {
            "total_pnl": current - invested,
            "total_pnl_percent": _percent(current - invested, invested),
            "today_pnl": current - before,
            "today_pnl_percent": _percent(current - before, before),
            "invested_amount": invested,
            "current_value": current,
        }
    )


async def compact(request: web.Request) -> web.Response:
    """``GET /portfolio/holdings/compact``."""
    keys = ("exchange", "tradingsymbol", "instrument_token", "isin", "quantity")
    return answer([{key: getattr(row, key) for key in keys} for row in _held(request)])


async def auctions(request: web.Request) -> web.Response:
    """``GET /portfolio/holdings/auctions``: no auction session is held here."""
    del request
    return answer([])


async def authorise(request: web.Request) -> web.Response:
    """``POST /portfolio/holdings/authorise``: begin an authorisation at the depository.

    The page it would lead to is not served: shares are not sold here.
    """
    fields = await request.post()
    isins, quantities = ([str(text) for text in fields.getall(name, [])] for name in ("isin", "quantity"))
    if fields.get("type", "") not in _KINDS or fields.get("transfer_type", "") not in _TRANSFERS:
        raise input_error("Invalid `type` or `transfer_type`. Allowed are equity, mf; pre, post, off, gift.")
    held = {row.isin: row.quantity for row in _held(request)}
    if not held:
        raise input_error("There are no holdings to authorise.")
    if quantities and len(quantities) != len(isins):
        raise input_error("Give one `quantity` for each `isin`.")
    for place, isin in enumerate(isins):
        if isin not in held:
            raise input_error(f"Invalid `isin`: {isin}. It is not among the holdings.")
        wanted = quantities[place] if quantities else "1"
        if not wanted.isdecimal() or not 0 < int(wanted) <= held[isin]:
            raise input_error(f"Invalid `quantity`: {wanted}. {held[isin]} of {isin} are held.")
    return answer({"request_id": secrets.token_hex(_REQUEST_BYTES)})


async def put_holdings(request: web.Request) -> web.Response:
    """``PUT /practice/holdings``: replace the account's holdings; they stay until they are replaced again."""
    exchange = services(request).exchange
    try:
        rows = msgspec.convert(await json_body(request), tuple[Holding, ...])
    except msgspec.ValidationError as error:
        raise input_error(f"A list of holdings is expected: {error}.") from error
    if len(rows) > _MOST_HOLDINGS:
        raise input_error(f"Too many holdings: {len(rows)}; {_MOST_HOLDINGS} are allowed.")
    exchange.changes.record(HoldingsRecord(rows))
    exchange.changes.commit()
    return answer([_wire(row) for row in rows])


def _held(request: web.Request) -> tuple[Holding, ...]:
    return services(request).exchange.ledger.standing.holdings


def _wire(row: Holding) -> dict[str, Any]:
    change = row.last_price - row.close_price
    return {
        "tradingsymbol": row.tradingsymbol,
        "exchange": row.exchange,
        "instrument_token": row.instrument_token,
        "isin": row.isin,
        "product": row.product,
        "price": 0,
        "quantity": row.quantity,
        "used_quantity": 0,
        "t1_quantity": row.t1_quantity,
        "realised_quantity": row.quantity,
        "authorised_quantity": 0,
        "authorised_date": "0001-01-01 00:00:00",
        "authorisation": {},
        "opening_quantity": row.quantity,
        "short_quantity": 0,
        "collateral_quantity": 0,
        "collateral_type": "",
        "discrepancy": False,
        "average_price": row.average_price,
        "last_price": row.last_price,
        "close_price": row.close_price,
        "pnl": (row.last_price - row.average_price) * row.quantity,
        "day_change": change,
        "day_change_percentage": _percent(change, row.close_price),
        "mtf": {"quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0},
    }


def _percent(part: float, whole: float) -> float:
    return part / whole * 100.0 if whole else 0.0


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get("/portfolio/positions", positions)
    router.add_put("/portfolio/positions", convert)
    router.add_get("/portfolio/holdings", holdings)
    router.add_get("/portfolio/holdings/summary", summary)
    router.add_get("/portfolio/holdings/compact", compact)
    router.add_get("/portfolio/holdings/auctions", auctions)
    router.add_post("/portfolio/holdings/authorise", authorise)
    router.add_put("/practice/holdings", put_holdings)
