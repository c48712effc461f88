"""The daily login: the person goes to the broker's own page; what comes back is caught on loopback, or pasted.

No password or one-time code ever passes here. The address leads back with a word of ours; an answer without it belongs
to another login and is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from engine.brokers.kite.session import API_VERSION
from engine.core.errors import InvalidInput, SetupError

HOST = "127.0.0.1"
STATE = "state"
REQUEST_TOKEN = re.compile(r"[A-Za-z0-9]{16,128}", re.ASCII)
STOP_S = 0.5
DONE_PAGE = "<!doctype html><title>workstation</title><p>Logged in. Close this page and go back to the terminal."
WRONG_PAGE = (
    "<!doctype html><title>workstation</title><p>This login was not started by the terminal; nothing was taken."
)
FAILED_PAGE = "<!doctype html><title>workstation</title><p>The broker did not confirm the login; try again."


class LoginPage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person logs in."""

    url: str
    state: str
    """The word that the broker sends back."""


def login_page(root: str, api_key: str, state: str) -> LoginPage:
    """The broker's page for a key, with a word to be sent back."""
    query = {"v": API_VERSION, "api_key": api_key, "redirect_params": urlencode({STATE: state})}
    return LoginPage(url=f"{root}?{urlencode(query)}", state=state)


def request_token_of(text: str, state: str) -> str:
    """The request token in a pasted address, or the pasted token itself.

    Raises:
        InvalidInput: it is neither, the broker said that the login failed, or it belongs to another login.
    """
    text = text.strip()
    if REQUEST_TOKEN.fullmatch(text):
        return text
    fields = parse_qs(urlsplit(text).query)
    token = fields.get("request_token", [""])[0]
    if fields.get("status", ["success"])[0] != "success":
        raise InvalidInput("The broker did not confirm this login; open the page and log in again.", field="address")
    if not REQUEST_TOKEN.fullmatch(token):
        raise InvalidInput(
            "Paste the whole address the browser was sent to; it contains request_token=.", field="address"
        )
    if STATE in fields and not hmac.compare_digest(fields[STATE][0].encode(), state.encode()):
        raise InvalidInput("This address belongs to another login; use the page shown here.", field="address")
    return token


@contextlib.asynccontextmanager
async def callback(state: str, port: int) -> AsyncIterator[asyncio.Future[str]]:
    """Listen on loopback for the browser that comes back; the future gets its request token.

    Only an answer with our own word counts; anything else gets a page that says so and changes nothing.

    Raises:
        SetupError: the port is taken.
    """
    from aiohttp import web  # noqa: PLC0415 - only the login listens

    caught: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def arrive(request: web.Request) -> web.Response:
        query = request.query
        if not hmac.compare_digest(query.get(STATE, "").encode(), state.encode()):
            return web.Response(text=WRONG_PAGE, content_type="text/html", status=400)
        token = query.get("request_token", "")
        if query.get("status") != "success" or not REQUEST_TOKEN.fullmatch(token):
            return web.Response(text=FAILED_PAGE, content_type="text/html", status=400)
        if not caught.done():
            caught.set_result(token)
        return web.Response(text=DONE_PAGE, content_type="text/html")

    application = web.Application()
    application.router.add_get("/", arrive)
    application.router.add_get("/{path:.*}", arrive)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            raise SetupError(
                f"The login cannot listen on {HOST}:{port} ({error.strerror}); set [live] callback_port to the port of "
                "your registered redirect address, or paste the address with --paste."
            ) from error
        yield caught
    finally:
        caught.cancel()
        await runner.cleanup()


async def first_of(caught: Awaitable[str] | None, pasted: Callable[[], Awaitable[str]] | None, *, wait_s: float) -> str:
    """The request token that comes first, from the browser or from the person.

    Raises:
        SetupError: neither came in time.
        InvalidInput: what was pasted is no answer of the broker.
    """
    tasks = [
        asyncio.ensure_future(way) for way in (caught, pasted() if pasted is not None else None) if way is not None
    ]
    try:
        done, _ = await asyncio.wait(tasks, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise SetupError(f"No login came back within {wait_s:g} s; start it again when you are ready.")
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
