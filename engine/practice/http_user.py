"""Routes of login, profile, funds and portfolio."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from engine.practice import accounts
from engine.practice.calendar_facts import stamp
from engine.practice.funds import empty_segment
from engine.practice.http_common import answer, form, services
from engine.practice.wire import ErrorType, KiteError, input_error

_PAISE = 100.0
_DEFAULT_REDIRECT = "/connect/finish"
_LOOPBACK = ("http://127.0.0.1", "http://localhost")


async def login_page(request: web.Request) -> web.StreamResponse:
    """``GET /connect/login``: no password here; redirect at once with a request token."""
    if request.query.get("api_key") != accounts.API_KEY:
        raise KiteError(400, ErrorType.INPUT, "Invalid `api_key`.")
    target = request.query.get("redirect_url", _DEFAULT_REDIRECT)
    if target != _DEFAULT_REDIRECT and not target.startswith(_LOOPBACK):
        raise input_error("`redirect_url` must be a loopback address.")
    parameters = [
        ("action", "login"),
        ("type", "login"),
        ("status", "success"),
        ("request_token", services(request).accounts.new_request_token()),
        *parse_qsl(request.query.get("redirect_params", "")),
    ]
    joint = "&" if "?" in target else "?"
    raise web.HTTPFound(f"{target}{joint}{urlencode(parameters)}")


async def login_finished(request: web.Request) -> web.Response:
    """``GET /connect/finish``: where a login without a redirect address ends; shows the request token."""
    return answer({"request_token": request.query.get("request_token", ""), "status": request.query.get("status", "")})


async def create_session(request: web.Request) -> web.Response:
    """``POST /session/token``."""
    fields = await form(request)
    own = services(request)
    token = own.accounts.exchange_token(
        fields.get("api_key", ""), fields.get("request_token", ""), fields.get("checksum", "")
    )
    return answer(accounts.session_data(token, stamp(own.exchange.floor.now())))


async def delete_session(request: web.Request) -> web.Response:
    """``DELETE /session/token``."""
    services(request).accounts.delete_token(request.query.get("api_key", ""), request.query.get("access_token", ""))
    return answer(True)


async def profile(request: web.Request) -> web.Response:
    """``GET /user/profile``."""
    del request
    return answer(accounts.profile())


async def margins(request: web.Request) -> web.Response:
    """``GET /user/margins`` and ``GET /user/margins/{segment}``."""
    exchange = services(request).exchange
    segments = {
        "equity": exchange.funds.view(exchange.floor.day, exchange.floor.quotes).to_wire(),
        "commodity": empty_segment(),
    }
    name = request.match_info.get("segment")
    if name is None:
        return answer(segments)
    if name not in segments:
        raise input_error(f"Invalid `segment`: {name}. Allowed are equity, commodity.")
    return answer(segments[name])


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


async def holdings(request: web.Request) -> web.Response:
    """``GET /portfolio/holdings``: the practice account holds no shares."""
    del request
    return answer([])


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get("/connect/login", login_page)
    router.add_get("/connect/finish", login_finished)
    router.add_post("/session/token", create_session)
    router.add_delete("/session/token", delete_session)
    router.add_get("/user/profile", profile)
    router.add_get("/user/margins", margins)
    router.add_get("/user/margins/{segment}", margins)
    router.add_get("/portfolio/positions", positions)
    router.add_get("/portfolio/holdings", holdings)
