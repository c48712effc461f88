"""What may knock at the web door: everything but a proper request is refused as the standards say, or hung up on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import msgspec
import pytest

from tests.kit.local_door import PATIENCE_S, until
from tests.kit.plain_engine import PlainEngine
from tests.kit.web_door import SETTINGS, Site, opened_site, read_answer, unharmed

pytestmark = pytest.mark.usefixtures("bystander")

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost", "https://good.example.evil.example", "file://"]
)
async def test_an_origin_that_is_not_listed(site: Site, origin: str) -> None:
    """A page of another origin is refused even with a good token, and it is written down."""
    response = await site.refusal(site.token(), headers={"Origin": origin})
    assert response.status_code == 403
    line = [line for line in site.audited() if line["kind"] == "origin_refused"][-1]
    assert origin in line["detail"]
    assert site.figure("refusals_total", door="web", reason="origin") == 1


async def test_an_origin_that_is_listed(site: Site, tmp_path: Path) -> None:
    """The white list lets exactly its origins through; a program without an Origin always passes."""
    settings = msgspec.structs.replace(SETTINGS, origins=("https://good.example",))
    async with opened_site(PlainEngine(), tmp_path / "listed", settings) as listed:
        for headers in ({"Origin": "https://good.example"}, {}):
            async with await listed.attach(listed.token(), headers=headers) as client:
                assert "result" in await client.call("hello")
        for origin in ("https://good.example:8443", "http://good.example", "https://GOOD.example"):
            assert (await listed.refusal(listed.token(), headers={"Origin": origin})).status_code == 403
        request = f"GET /v1 HTTP/1.1\r\nHost: localhost\r\nOrigin: https://good.example\r\nOrigin: x\r\n{UPGRADE}\r\n"
        assert read_answer(await listed.raw(request.encode())).status == 403
    assert site.door.clients == 1


async def test_a_listed_origin_is_no_token(site: Site, tmp_path: Path) -> None:
    """Being on the white list opens nothing by itself."""
    settings = msgspec.structs.replace(SETTINGS, origins=("https://good.example",))
    async with opened_site(PlainEngine(), tmp_path / "listed", settings) as listed:
        assert (await listed.refusal(None, headers={"Origin": "https://good.example"})).status_code == 401
    assert site.door.clients == 1


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", ""]
)
@pytest.mark.parametrize("path", ["/v1", "/health", "/ready", "/metrics"])
async def test_a_host_that_was_rebound(site: Site, host: str, path: str) -> None:
    """On loopback a page whose name was pointed at this machine is refused on every path, token or not."""
    answer = await site.get(path, token=site.token(), headers={"Host": host})
    assert answer.status == 421
    assert "localhost" in answer.data["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9999", "127.0.0.1", "127.0.0.1:22", "[::1]", "[::1]:8642"])
async def test_hosts_that_are_this_machine(site: Site, host: str) -> None:
    """A tunnel may end at another port: the name decides, not the port."""
    assert (await site.get("/health", headers={"Host": host})).status == 200


@pytest.mark.parametrize("hosts", ["", "Host: localhost\r\nHost: localhost\r\n"], ids=["none", "two"])
async def test_not_exactly_one_host(site: Site, hosts: str) -> None:
    """None or two Hosts is no proper request."""
    answer = read_answer(await site.raw(f"GET /health HTTP/1.1\r\n{hosts}\r\n".encode()))
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/", "/v2", "/v1/", "/V1", "/v1/../health", "//v1", "/metrics/", "/.env", "*"])
async def test_an_unknown_path(site: Site, path: str) -> None:
    """Every other path is not found, and the answer repeats nothing of it."""
    answer = await site.get(path, token=site.token())
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.data["detail"] == "There are /v1 (WebSocket), /health, /ready and /metrics."


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get"])
@pytest.mark.parametrize("path", ["/v1", "/health"])
async def test_another_method(site: Site, method: str, path: str) -> None:
    """Only GET is served; the answer says so."""
    answer = read_answer(await site.raw(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()))
    assert answer.status == 405
    assert answer.headers["allow"] == "GET"


async def test_a_browser_that_looks(site: Site) -> None:
    """A plain GET of the WebSocket's path is told what to use; without a token that is all it learns."""
    answer = await site.get("/v1")
    assert answer.status == 426
    assert answer.headers["upgrade"] == "websocket"
    assert answer.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("upgrade", ["h2c", "websocket, h2c", "websockets"])
async def test_another_upgrade(site: Site, upgrade: str) -> None:
    """Only a WebSocket is spoken."""
    answer = await site.get("/v1", token=site.token(), headers={"Upgrade": upgrade, "Connection": "Upgrade"})
    assert answer.status == 426


async def test_another_version(site: Site) -> None:
    """A WebSocket of another version is told which one there is."""
    request = f"GET /v1 HTTP/1.1\r\nHost: localhost\r\n{UPGRADE.replace('13', '8')}\r\n"
    assert read_answer(await site.raw(request.encode())).status == 426


@pytest.mark.parametrize(
    "fields",
    [
        UPGRADE.replace(KEY, "short"),
        UPGRADE.replace(KEY, "not base 64 at all!!!!!!"),
        UPGRADE.replace(f"Sec-WebSocket-Key: {KEY}\r\n", ""),
        UPGRADE.replace("Sec-WebSocket-Version: 13\r\n", ""),
        UPGRADE + f"Sec-WebSocket-Key: {KEY}\r\n",
    ],
    ids=["short key", "odd key", "no key", "no version", "two keys"],
)
async def test_a_handshake_out_of_order(site: Site, fields: str) -> None:
    """A good token does not help a handshake that is wrong; the place it would have had is free again."""
    token = site.token()
    request = f"GET /v1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{fields}\r\n"
    answer = read_answer(await site.raw(request.encode()))
    assert answer.status == 400
    assert answer.data["detail"] == "The WebSocket handshake is not in order."
    assert site.door.clients == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"GET\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/3.0\r\n\r\n",
        b"\x00" * 4096,
        b"GET /h\xc3\xa9alth HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nBad Header: 1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n folded: 1\r\n\r\n",
        b"GET /health HTTP/1.1\nHost: localhost\n\n",
        b"POST /v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /v1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda data: repr(data[:24]),
)
async def test_what_is_no_request(site: Site, data: bytes) -> None:
    """Garbage is hung up on without a word, and at once: no half request waits for its timeout."""
    before = asyncio.get_running_loop().time()
    assert await site.raw(data + b"\r\n\r\n") == b""
    assert asyncio.get_running_loop().time() - before < SETTINGS.open_timeout_s / 2


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (f"GET /{'x' * 10_000} HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (f"GET /health HTTP/1.1\r\nHost: localhost\r\nX: {'x' * 10_000}\r\n\r\n", 431),
        ("GET /health HTTP/1.1\r\nHost: localhost\r\n" + "X: 1\r\n" * 200 + "\r\n", 431),
    ],
    ids=["address", "one header", "many headers"],
)
async def test_oversized_headers(site: Site, data: str, status: int) -> None:
    """An address or headers beyond the bound are refused with the standard's own status."""
    assert read_answer(await site.raw(data.encode())).status == status


async def test_an_endless_header(site: Site, tmp_path: Path) -> None:
    """A line that never ends is refused once it is too long, and its sender hung up on, however much it sends."""
    settings = msgspec.structs.replace(SETTINGS, open_timeout_s=0.5)
    async with opened_site(PlainEngine(), tmp_path / "impatient", settings) as impatient, unharmed(impatient):
        _, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
        writer.write(b"GET /health HTTP/1.1\r\nX: ")
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"x" * 65_536)
                    await writer.drain()
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await until(lambda: impatient.door.waiting == 0, "nobody waits")
    assert site.door.clients == 1


async def test_a_handshake_that_never_ends(site: Site, tmp_path: Path) -> None:
    """A client that says its request letter by letter is hung up on when its time is over."""
    settings = msgspec.structs.replace(SETTINGS, open_timeout_s=0.2)
    async with opened_site(PlainEngine(), tmp_path / "impatient", settings) as impatient, unharmed(impatient):
        reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
        writer.write(b"GET /v1 HTTP/1.1\r\nHost: loc")
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read(-1) == b""
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await until(lambda: impatient.door.waiting == 0, "nobody waits")
    assert site.door.clients == 1


async def test_nothing_tells_what_runs_here(site: Site) -> None:
    """Answers name no program and no version."""
    for answer in (await site.get("/health"), await site.get("/nothing"), await site.get("/metrics")):
        assert "server" not in answer.headers
    async with await site.attach(site.token()) as client:
        response = client.connection.response
        assert response is not None
        assert "Server" not in response.headers


async def test_no_compression(site: Site) -> None:
    """Compression is not agreed to: little text could become much memory, and secrets could be guessed by length."""
    async with await site.attach(site.token(), compression="deflate") as client:
        response = client.connection.response
        assert response is not None
        assert "Sec-WebSocket-Extensions" not in response.headers
        assert "result" in await client.call("hello")


async def test_every_refusal_has_one_form(site: Site) -> None:
    """Whatever is refused before it is let in is answered as a problem document that nobody may keep."""
    for path in ("/nothing", "/v1", "/v1?token=x", "/metrics"):
        answer = await site.get(path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["connection"] == "close"
        assert set(json.loads(answer.body)) == {"status", "title", "detail", "type"}
        assert answer.data["status"] == answer.status
