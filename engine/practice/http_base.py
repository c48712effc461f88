"""What routes and middlewares stand on: the application's services, envelopes, forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from engine.practice.accounts import Accounts
from engine.practice.bench import Bench
from engine.practice.exchange import Exchange
from engine.practice.faults import Faults
from engine.practice.limits import BODIES, Limits, TooMany
from engine.practice.settings import ExchangeSettings
from engine.practice.ticker_hub import TickerHub
from engine.practice.wire import ErrorType, KiteError

_SEAT = "seat"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the routes need; ``exchange`` and ``limits`` are of one account."""

    settings: ExchangeSettings
    exchange: Exchange
    accounts: Accounts
    limits: Limits
    faults: Faults
    hub: TickerHub
    stop: Callable[[], None]
    bench: Bench
    seats: Mapping[str, Services] = field(default_factory=dict)
    """The services of every further account, by its key."""
    drive_status: Callable[[], dict[str, Any]] = dict
    """Gives what the drive of the market adds to the status."""

    def exchanges(self) -> list[Exchange]:
        """Return the exchanges of all accounts, the first one first."""
        return [self.exchange, *(seat.exchange for seat in self.seats.values())]


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """Return the services of the account that a request is authorised for (the first one's without credentials)."""
    seat = request.get(_SEAT)
    return seat if isinstance(seat, Services) else request.app[SERVICES]


def seat_at(request: web.Request, api_key: str) -> Services:
    """Let a request be served for the account of a key from now on."""
    own = request.app[SERVICES]
    seat = own.seats.get(api_key, own)
    request[_SEAT] = seat
    return seat


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


def refused(request: web.Request, error: KiteError) -> web.Response:
    """Return the answer to a refused request; how a limit is told is undocumented, so each seed has its own way."""
    if not isinstance(error, TooMany):
        return refusal(error)
    bench = request.app[SERVICES].bench
    body, kind = error.body(bench.quirks.pick("too many requests", BODIES))
    return web.Response(body=body, status=error.status, headers=bench.retry_after(), content_type=kind, charset="utf-8")


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
