"""Routes of login, profile and funds."""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from engine.practice import accounts
from engine.practice.calendar_facts import stamp
from engine.practice.funds import empty_segment
from engine.practice.http_common import answer, form, services
from engine.practice.quirks import Quirks
from engine.practice.wire import ErrorType, KiteError, input_error

_DEFAULT_REDIRECT = "/connect/finish"
_NO_REFRESH = (
    (403, ErrorType.TOKEN, "Token is invalid or has expired."),
    (403, ErrorType.PERMISSION, "That API call is not allowed for the authenticated user"),
)
_LOOPBACK = ("http://127.0.0.1", "http://localhost")


async def login_page(request: web.Request) -> web.StreamResponse:
    """``GET /connect/login``: no password here; redirect at once with a request token."""
    own, api_key = services(request), request.query.get("api_key", "")
    if own.accounts.row(api_key) is None:
        raise KiteError(400, ErrorType.INPUT, "Invalid `api_key`.")
    target = request.query.get("redirect_url", _DEFAULT_REDIRECT)
    if target != _DEFAULT_REDIRECT and not target.startswith(_LOOPBACK):
        raise input_error("`redirect_url` must be a loopback address.")
    parameters = [
        ("action", "login"),
        ("type", "login"),
        ("status", "success"),
        ("request_token", own.accounts.new_request_token(api_key)),
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
    own, api_key = services(request), fields.get("api_key", "")
    token = own.accounts.exchange_token(api_key, fields.get("request_token", ""), fields.get("checksum", ""))
    row = own.accounts.row(api_key) or accounts.FIRST
    return answer(accounts.session_data(token, stamp(own.exchange.floor.now()), row))


async def renew_session(request: web.Request) -> NoReturn:
    """``POST /session/refresh_token``: the account's app gets no refresh tokens, so there is none to renew with.

    Raises:
        KiteError: Always; which refusal it is, is not documented.
    """
    fields = await form(request)
    if not fields.get("refresh_token"):
        raise input_error("Missing or empty field `refresh_token`")
    status, kind, words = Quirks(services(request).settings.seed).pick("no refresh token", _NO_REFRESH)
    raise KiteError(status, kind, words)


async def delete_session(request: web.Request) -> web.Response:
    """``DELETE /session/token``, by access token or by refresh token (of which there are none)."""
    api_key, query = request.query.get("api_key", ""), request.query
    if "refresh_token" in query and "access_token" not in query:
        raise accounts.token_error()
    services(request).accounts.delete_token(api_key, query.get("access_token", ""))
    return answer(True)


async def profile(request: web.Request) -> web.Response:
    """``GET /user/profile``."""
    return answer(accounts.profile(_row(request)))


async def full_profile(request: web.Request) -> web.Response:
    """``GET /user/profile/full``: the same with what a depository account has; the practice account has none."""
    data = accounts.profile(_row(request))
    nothing: dict[str, Any] = {"phone": "", "pan": "", "twofa_type": "", "dp_ids": [], "bank_accounts": [], "tags": []}
    return answer(data | nothing | {"password_timestamp": None, "twofa_timestamp": None})


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


def _row(request: web.Request) -> accounts.AccountRow:
    """Return the account that a request is authorised for."""
    own = services(request)
    return own.accounts.row(own.accounts.authorise(request.headers.get("Authorization"))) or accounts.FIRST


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get("/connect/login", login_page)
    router.add_get("/connect/finish", login_finished)
    router.add_post("/session/token", create_session)
    router.add_delete("/session/token", delete_session)
    router.add_post("/session/refresh_token", renew_session)
    router.add_get("/user/profile", profile)
    router.add_get("/user/profile/full", full_profile)
    router.add_get("/user/margins", margins)
    router.add_get("/user/margins/{segment}", margins)
