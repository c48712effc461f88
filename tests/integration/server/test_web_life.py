"""The web door's life: it opens, serves the protocol of the local door, and closes leaving nobody in doubt."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from docs import make_openrpc
from engine.core.commands import PlaceOrder
from engine.core.errors import EngineGone, Forbidden, Refused, SetupError, Unauthorized
from engine.server import protocol
from engine.server.access import Grant, Scope
from engine.server.remote_client import RemoteClient
from engine.server.web_gate import Tokens
from tests.kit.local_door import LIMITS, opened_door, short_folder, until
from tests.kit.plain_engine import PlainEngine
from tests.kit.web_door import SETTINGS, Site, ended, opened_site


def order(engine: PlainEngine, key: str | None = None) -> PlaceOrder:
    """One lot."""
    return PlaceOrder(request=engine.request(engine.instruments[0].tradingsymbol), idempotency_key=key)


async def test_the_whole_client_through_the_web(tmp_path: Path) -> None:
    """The terminal's own client works through the web door: pictures, calls, orders."""
    engine = PlainEngine()
    async with opened_site(engine, tmp_path) as site:
        client = await RemoteClient.connect(site.door.url, token=site.token(Scope.TRADE))
        assert client.desk().status.account
        await client.watch_chain(engine.keys[0])
        chain = client.chain(engine.keys[0])
        assert chain is not None
        receipt = await client.submit(order(engine))
        assert receipt.accepted
        assert len(await client.orders()) == 1
        await client.close()
        await until(lambda: site.door.clients == 0, "gone")
        await until(lambda: engine.live_watches == 0, "nothing watched")


async def test_refusals_reach_the_client_as_errors(tmp_path: Path) -> None:
    """A bad token and a missing scope are the errors that they are in process, with words."""
    engine = PlainEngine()
    async with opened_site(engine, tmp_path) as site:
        with pytest.raises(Unauthorized):
            await RemoteClient.connect(site.door.url, token="bad")
        client = await RemoteClient.connect(site.door.url, token=site.token(Scope.READ))
        with pytest.raises(Forbidden, match="needs the scope trade"):
            await client.submit(order(engine))
        await client.close()
    assert not engine.submitted


async def test_discovery_is_the_pinned_document(tmp_path: Path) -> None:
    """What a client is told of the protocol is what stands in the documentation."""
    async with opened_site(PlainEngine(), tmp_path) as site, await site.attach(site.token()) as client:
        described = (await client.call("rpc.discover"))["result"]
    assert described == msgspec.json.decode(make_openrpc.PINNED.read_bytes())


async def test_both_doors_serve_one_engine(tmp_path: Path) -> None:
    """What is done at one door is seen at the other, at once."""
    engine = PlainEngine()
    with short_folder() as folder:
        async with opened_site(engine, tmp_path) as site, opened_door(engine, folder / "e.sock", limits=LIMITS) as door:
            near = await RemoteClient.attach(door.path)
            afar = await RemoteClient.connect(site.door.url, token=site.token(Scope.TRADE))
            place = (await near.next_orders()).sequence
            receipt = await afar.submit(order(engine))
            changes = await asyncio.wait_for(near.next_orders(place), 5)
            assert changes.orders[0].number == receipt.orders[0].number
            await near.close()
            await afar.close()


async def test_closing_lets_calls_finish_and_answers_them(tmp_path: Path) -> None:
    """A command under way when the door closes still gets its answer; one that comes later is refused."""
    engine = PlainEngine()
    engine.submit_gate.clear()
    async with opened_site(engine, tmp_path) as site:
        client = await RemoteClient.connect(site.door.url, token=site.token(Scope.TRADE))
        submitting = asyncio.create_task(client.submit(order(engine)))
        await asyncio.wait_for(engine.submit_reached.wait(), 5)
        closing = asyncio.create_task(site.door.close())
        await until(lambda: site.door._ending, "the ending")
        with pytest.raises(Refused, match="ending"):
            await client.submit(order(engine))
        engine.submit_gate.set()
        assert (await submitting).accepted
        await closing
        assert len(engine.finished) == 1
        with pytest.raises(EngineGone, match="the engine has ended"):
            await client.orders()
        await client.close()


async def test_the_door_says_good_bye_with_a_reason(tmp_path: Path) -> None:
    """A client by hand reads the standard's code for going away and the words; the audit log has both ends."""
    async with opened_site(PlainEngine(), tmp_path) as site:
        client = await site.attach(site.token())
        await until(lambda: site.door.clients == 1, "attached")
        closing = asyncio.create_task(site.door.close())
        end = await ended(client)
        await closing
        assert end.rcvd is not None
        assert (end.rcvd.code, end.rcvd.reason) == (protocol.CLOSE_GOING_AWAY, "the engine has ended")
        assert site.audited_kinds() == ["door_opened", "attached", "detached", "door_closed"]
        assert site.figure("disconnections_total", door="web", reason="ending") == 1


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Another door at the same port is refused in words; the first goes on, and the second may open when it is free."""
    async with opened_site(PlainEngine(), tmp_path / "first") as first:
        settings = msgspec.structs.replace(SETTINGS, port=first.port)
        second = Site(PlainEngine(), tmp_path / "second", settings)
        with pytest.raises(SetupError, match="--port"):
            await second.door.open()
        assert (await first.get("/health")).status == 200
    await second.door.open()
    assert (await second.get("/health")).status == 200
    await second.door.close()
    second.audit.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "\x00", "x" * 300])
async def test_a_host_that_is_not_this_machine(tmp_path: Path, host: str) -> None:
    """An address that is not ours is refused in words before anything listens."""
    site = Site(PlainEngine(), tmp_path, msgspec.structs.replace(SETTINGS, host=host))
    with pytest.raises(SetupError):
        await site.door.open()
    site.audit.close()


async def test_opening_twice_and_closing_twice(tmp_path: Path) -> None:
    """A second opening is refused, a second closing does nothing."""
    async with opened_site(PlainEngine(), tmp_path) as site:
        with pytest.raises(SetupError, match="already"):
            await site.door.open()
        await site.door.close()
        await site.door.close()


async def test_a_closed_door_has_no_address(tmp_path: Path) -> None:
    """Before it opens the door says so instead of guessing."""
    site = Site(PlainEngine(), tmp_path, SETTINGS)
    with pytest.raises(SetupError, match="not open"):
        _ = site.door.url
    site.audit.close()


async def test_version_six_of_the_internet(tmp_path: Path) -> None:
    """A door at ::1 gives a URL that a client can use."""
    settings = msgspec.structs.replace(SETTINGS, host="::1")
    site = Site(PlainEngine(), tmp_path, settings)
    try:
        await site.door.open()
    except SetupError:
        site.audit.close()
        pytest.skip("this machine has no version six")
    assert site.door.url.startswith("ws://[::1]:")
    async with await site.attach(site.token()) as client:
        assert "result" in await client.call("hello")
    await site.door.close()
    site.audit.close()


async def test_a_defect_at_the_gate_lets_nobody_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When checking itself fails nobody is let in, the answer gives nothing away, and the log has the story."""

    class Broken:
        def verify(self, token: str) -> Grant:
            raise RuntimeError("a defect of ours")

        def is_revoked(self, token_id: str) -> bool:
            return False

    async with opened_site(PlainEngine(), tmp_path) as site:
        assert site.door._gate is not None
        site.door._gate._tokens = Broken()
        response = await site.refusal(site.token())
        assert response.status_code == 500
        assert b"defect" not in bytes(response.body)
        assert "a defect of ours" in caplog.text
        assert (await site.get("/health")).status == 200
        assert site.door.clients == 0


async def test_a_defect_while_watching_does_not_end_the_watch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One look at the tokens that fails is logged; the next still finds what was revoked."""

    class OnceBroken:
        def __init__(self, tokens: Tokens) -> None:
            self.tokens = tokens
            self.failed = False

        def verify(self, token: str) -> Grant:
            return self.tokens.verify(token)

        def is_revoked(self, token_id: str) -> bool:
            if not self.failed:
                self.failed = True
                raise RuntimeError("a defect of ours")
            return self.tokens.is_revoked(token_id)

    async with opened_site(PlainEngine(), tmp_path) as site:
        broken = OnceBroken(site.tokens)
        async with await site.attach(site.token(name="lost")) as client:
            site.door._tokens = broken
            await until(lambda: broken.failed, "the defect")
            site.tokens.revoke(site.token_id("lost"))
            end = await ended(client)
        assert end.rcvd is not None
        assert end.rcvd.code == protocol.CLOSE_POLICY
    assert "could not be looked at" in caplog.text
