"""TLS at the web door: without it nobody beyond this machine is served; with it nothing older than 1.2 is spoken."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.core.errors import SetupError
from engine.server.tls import is_loopback
from engine.server.web_settings import ServerSettings
from tests.kit.local_door import until
from tests.kit.plain_engine import PlainEngine
from tests.kit.web_door import SETTINGS, Site, opened_site, read_answer, unharmed
from tests.security.certificates import Pair, make_pair


def altered(pair: Pair | None = None, **fields: Any) -> ServerSettings:
    """The settings of the tests with some of their own."""
    if pair is not None:
        fields = {"tls_certificate": str(pair.certificate), "tls_key": str(pair.key)} | fields
    return msgspec.structs.replace(SETTINGS, **fields)


async def refused(folder: Path, settings: ServerSettings) -> str:
    """Why a door with these settings does not open."""
    site = Site(PlainEngine(), folder / "site", settings)
    try:
        with pytest.raises(SetupError) as caught:
            await site.door.open()
    finally:
        site.audit.close()
    return str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::"])  # noqa: S104 - what must be refused
async def test_a_wide_bind_without_tls(tmp_path: Path, host: str) -> None:
    """A door that other machines could reach does not open without TLS; the words say what to do."""
    words = await refused(tmp_path, altered(host=host))
    assert "--tls-certificate" in words
    assert "ssh -L" in words


@pytest.mark.parametrize(
    ("address", "inside"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("192.0.2.1", False)],  # noqa: S104
)
def test_what_is_loopback(address: str, inside: bool) -> None:
    """Only addresses of the machine itself count; the one that means all does not."""
    assert is_loopback(address) is inside


async def test_half_a_pair(tmp_path: Path) -> None:
    """A certificate without a key, or a key without a certificate, is named."""
    pair = make_pair(tmp_path)
    assert "tls_key is not set" in await refused(tmp_path, altered(tls_certificate=str(pair.certificate)))
    assert "tls_certificate is not set" in await refused(tmp_path, altered(tls_key=str(pair.key)))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
async def test_a_key_that_others_may_read(tmp_path: Path, mode: int) -> None:
    """Such a key is refused with the command that closes it."""
    pair = make_pair(tmp_path)
    pair.key.chmod(mode)
    assert f"chmod 600 {pair.key}" in await refused(tmp_path, altered(pair))


async def test_files_of_no_use(tmp_path: Path) -> None:
    """Missing, mixed up, foreign and locked files are each told in words, and nothing asks at the terminal."""
    pair, other = make_pair(tmp_path), make_pair(tmp_path, "other")
    locked = make_pair(tmp_path, "locked", passphrase=b"secret")
    assert "No such file" in await refused(tmp_path, altered(Pair(pair.certificate, tmp_path / "nothing.pem")))
    assert "No such file" in await refused(tmp_path, altered(Pair(tmp_path / "nothing.pem", pair.key)))
    assert "belong together" in await refused(tmp_path, altered(Pair(pair.certificate, other.key)))
    assert "no passphrase" in await refused(tmp_path, altered(locked))
    junk = tmp_path / "junk.pem"
    junk.write_text("not a certificate")
    assert "must be PEM" in await refused(tmp_path, altered(Pair(junk, pair.key)))


async def test_tls_works(tmp_path: Path) -> None:
    """A client that trusts the certificate is served over wss, and so is plain HTTP over TLS."""
    pair = make_pair(tmp_path)
    async with opened_site(PlainEngine(), tmp_path, altered(pair)) as site:
        assert site.door.url.startswith("wss://127.0.0.1:")
        async with await site.attach(site.token(), ssl=pair.trusting()) as client:
            assert "result" in await client.call("funds")
            transport = client.connection.transport.get_extra_info("ssl_object")
            assert transport.version() in {"TLSv1.2", "TLSv1.3"}
        request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert read_answer(await site.raw(request, context=pair.trusting())).status == 200


async def test_a_wide_bind_with_tls(tmp_path: Path) -> None:
    """With TLS the door opens to all, and the Host check, which the certificate replaces, lets other names through."""
    pair = make_pair(tmp_path)
    everywhere = "0.0.0.0"  # noqa: S104 - with TLS it is allowed
    async with opened_site(PlainEngine(), tmp_path, altered(pair, host=everywhere)) as site:
        request = b"GET /health HTTP/1.1\r\nHost: desk.example\r\n\r\n"
        assert read_answer(await site.raw(request, context=pair.trusting())).status == 200
        refusal = read_answer(await site.raw(request.replace(b"health", b"metrics"), context=pair.trusting()))
        assert refusal.status == 401


async def test_a_client_that_does_not_trust_the_certificate(tmp_path: Path) -> None:
    """The client ends the handshake; the door goes on."""
    pair = make_pair(tmp_path)
    async with opened_site(PlainEngine(), tmp_path, altered(pair)) as site:
        for _ in range(5):
            with pytest.raises(ssl.SSLCertVerificationError):
                await site.attach(site.token(), ssl=ssl.create_default_context())
        async with await site.attach(site.token(), ssl=pair.trusting()) as client:
            assert "result" in await client.call("hello")


async def test_an_old_tls(tmp_path: Path) -> None:
    """TLS 1.1 is not spoken: the client hears an alert, or the connection is cut before it does; newer ones get in."""
    pair = make_pair(tmp_path)
    old = pair.trusting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with opened_site(PlainEngine(), tmp_path, altered(pair)) as site:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await site.attach(site.token(), ssl=old)
        async with await site.attach(site.token(), ssl=pair.trusting()) as client:
            assert "result" in await client.call("hello")


async def test_plain_words_at_a_tls_port(tmp_path: Path) -> None:
    """Plain HTTP and plain WebSocket at a TLS port are hung up on."""
    pair = make_pair(tmp_path)
    async with opened_site(PlainEngine(), tmp_path, altered(pair)) as site:
        assert await site.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") in {b"", ALERT}
        async with await site.attach(site.token(), ssl=pair.trusting()) as client:
            assert "result" in await client.call("hello")


ALERT = b"\x15\x03\x01\x00\x02\x02\x46"


async def test_tls_handshakes_that_never_begin(tmp_path: Path) -> None:
    """Connections that do not even begin with TLS are bounded as others are, and dropped when their time is over."""
    pair = make_pair(tmp_path)
    settings = altered(pair, handshakes_max=5, open_timeout_s=0.3)
    async with opened_site(PlainEngine(), tmp_path, settings) as site:
        crowd = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(30)]
        await until(lambda: site.figure("refusals_total", door="web", reason="crowded") >= 25, "the bound")
        async with await site.attach(site.token(), ssl=pair.trusting()) as client:
            assert "result" in await client.call("hello")
            await until(lambda: site.door.waiting == 0, "their time")
            assert "result" in await client.call("hello")
        for _, writer in crowd:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in crowd), return_exceptions=True)


async def test_closing_with_tls(tmp_path: Path) -> None:
    """A door with TLS closes in time too, with a client that stopped reading in the middle."""
    pair = make_pair(tmp_path)
    loop = asyncio.get_running_loop()
    async with opened_site(PlainEngine(), tmp_path, altered(pair)) as site:
        client = await site.attach(site.token(), ssl=pair.trusting())
        client.connection.transport.pause_reading()
        idle = await asyncio.open_connection("127.0.0.1", site.port)
        before = loop.time()
        await site.door.close()
        assert loop.time() - before < 5.0
        client.connection.transport.abort()
        await client.connection.wait_closed()
        idle[1].close()
        await asyncio.gather(idle[1].wait_closed(), return_exceptions=True)


async def test_a_bystander_over_plain_loopback_is_not_touched(tmp_path: Path) -> None:
    """Two doors of one process do not disturb each other."""
    pair = make_pair(tmp_path)
    async with (
        opened_site(PlainEngine(), tmp_path / "plain") as plain,
        unharmed(plain),
        opened_site(PlainEngine(), tmp_path / "tls", altered(pair)) as site,
        await site.attach(site.token(), ssl=pair.trusting()) as client,
    ):
        assert "result" in await client.call("hello")
