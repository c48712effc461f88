"""The login's loopback page: what counts as the broker's answer."""

from __future__ import annotations

import asyncio
import secrets
import socket
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from engine.core.errors import InvalidInput, SetupError
from workstation.login import HOST, callback, first_of, login_page, request_token_of

STATE = "the-word-of-this-login"


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def test_the_page_carries_the_key_and_the_word() -> None:
    """As the broker wants them: version 3, the key, and parameters to send back."""
    page = login_page("https://broker.invalid/connect/login", "key123", STATE)
    query = parse_qs(urlsplit(page.url).query)
    assert query == {"v": ["3"], "api_key": ["key123"], "redirect_params": [f"state={STATE}"]}


def test_a_pasted_address_gives_its_token() -> None:
    """The whole address, or the token alone, with blanks around it."""
    token = secrets.token_hex(16)
    address = f"http://127.0.0.1:8765/?action=login&status=success&request_token={token}&state={STATE}"
    assert request_token_of(f"  {address}\n", STATE) == token
    assert request_token_of(token, STATE) == token


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "whole address"),
        ("http://127.0.0.1:8765/", "whole address"),
        ("http://127.0.0.1:8765/?status=success&request_token=../../etc", "whole address"),
        ("http://127.0.0.1:8765/?status=failure&request_token=aaaaaaaaaaaaaaaaaaaaaaaa", "did not confirm"),
        ("http://127.0.0.1:8765/?status=success&request_token=aaaaaaaaaaaaaaaaaaaaaaaa&state=other", "another login"),
    ],
)
def test_what_is_no_answer_of_this_login_is_refused(text: str, words: str) -> None:
    """In words that say what to do."""
    with pytest.raises(InvalidInput, match=words):
        request_token_of(text, STATE)


async def test_the_browser_that_comes_back_is_caught_once() -> None:
    """Strangers, failures and repetitions change nothing; the first good answer counts."""
    port, token = free_port(), secrets.token_hex(16)
    async with callback(STATE, port) as caught, httpx.AsyncClient(base_url=f"http://{HOST}:{port}") as browser:
        stranger = await browser.get("/", params={"status": "success", "request_token": "b" * 32})
        forged = await browser.get("/", params={"status": "success", "request_token": "b" * 32, "state": "x"})
        failed = await browser.get("/", params={"status": "failure", "request_token": "b" * 32, "state": STATE})
        assert [answer.status_code for answer in (stranger, forged, failed)] == [400, 400, 400]
        assert not caught.done()
        good = await browser.get("/any", params={"status": "success", "request_token": token, "state": STATE})
        again = await browser.get("/", params={"status": "success", "request_token": "c" * 32, "state": STATE})
        assert (good.status_code, again.status_code) == (200, 200)
        assert token not in good.text
        assert await first_of(caught, None, wait_s=5.0) == token


async def test_a_taken_port_is_said_with_the_way_out() -> None:
    """Paste the address, or set the port."""
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        with pytest.raises(SetupError, match="--paste"):
            async with callback(STATE, int(holder.getsockname()[1])):
                pass


async def test_whoever_is_first_ends_the_wait() -> None:
    """A pasted address wins over a browser that never comes; nobody at all ends in words."""
    never: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def pasted() -> str:
        return "pasted"

    assert await first_of(never, pasted, wait_s=5.0) == "pasted"
    silent: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with pytest.raises(SetupError, match="No login came back"):
        await first_of(silent, None, wait_s=0.01)
