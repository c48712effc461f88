"""Routes of mutual funds: the account is not enabled for them. Reads are empty, writes refused."""

from __future__ import annotations

from typing import NoReturn

from aiohttp import web

from engine.practice.http_common import answer, services
from engine.practice.quirks import Quirks
from engine.practice.wire import ErrorType, KiteError, input_error

_CSV_HEADER = (
    "tradingsymbol,amc,name,purchase_allowed,redemption_allowed,minimum_purchase_amount,purchase_amount_multiplier,"
    "minimum_additional_purchase_amount,minimum_redemption_quantity,redemption_quantity_multiplier,dividend_type,"
    "scheme_type,plan,settlement_type,last_price,last_price_date\n"
)
_NOT_PERMITTED = (
    "That API call is not allowed for the authenticated user",
    "Insufficient permission for that call.",
)


async def nothing(request: web.Request) -> web.Response:
    """Answer a list of what the account has: nothing."""
    del request
    return answer([])


async def unknown(request: web.Request) -> NoReturn:
    """Refuse to show one order, SIP or holding: there is none.

    Raises:
        KiteError: Always.
    """
    raise input_error(f"Couldn't find that id: {request.match_info['id']}.")


async def refused(request: web.Request) -> NoReturn:
    """Refuse to do anything.

    Raises:
        KiteError: Always.
    """
    words = Quirks(services(request).settings.seed).pick("not permitted", _NOT_PERMITTED)
    raise KiteError(403, ErrorType.PERMISSION, words)


async def instruments(request: web.Request) -> web.Response:
    """``GET /mf/instruments``: the header of an empty list."""
    del request
    return web.Response(text=_CSV_HEADER, content_type="text/csv")


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get("/mf/instruments", instruments)
    router.add_get("/mf/allotments", nothing)
    for thing in ("orders", "sips", "holdings"):
        router.add_get(f"/mf/{thing}", nothing)
        router.add_get(f"/mf/{thing}/{{id}}", unknown)
    for thing in ("orders", "sips"):
        router.add_post(f"/mf/{thing}", refused)
        router.add_put(f"/mf/{thing}/{{id}}", refused)
        router.add_delete(f"/mf/{thing}/{{id}}", refused)
