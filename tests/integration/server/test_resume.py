"""Links that come back: all is followed again from a snapshot, nothing is sent again, and only to the same engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.core.commands import PlaceOrder
from engine.core.errors import EngineGone
from engine.core.vocabulary import QuoteState
from engine.server.link import Link
from engine.server.local_door import LocalDoor
from engine.server.remote_client import RemoteClient
from engine.server.served import EngineIdentity
from tests.kit.local_door import IDENTITY, drop, opened_door, until
from tests.kit.plain_engine import PlainEngine


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that resumes tries again at once."""
    monkeypatch.setattr("engine.server.link.RESUME_PAUSES_S", (0.0,))


@pytest.fixture
async def steady(door: LocalDoor) -> AsyncIterator[RemoteClient]:
    """A client whose link is kept up."""
    client = await RemoteClient.attach(door.path, resume=True)
    yield client
    await client.close()


async def test_a_lost_link_comes_back_with_everything_that_was_watched(
    engine: PlainEngine, steady: RemoteClient
) -> None:
    """Chains, quotes and the desk move again, from a snapshot of what happened meanwhile."""
    key, token = engine.keys[0], engine.instruments[0].token
    await steady.watch_chain(key)
    await steady.watch([token])
    drop(steady)
    engine.add_event("while nobody looked")
    engine.set_price(key, 0, 88.0)

    def is_back() -> bool:
        view, quote = steady.chain(key), steady.quote(token)
        return (
            not steady.link_lost
            and view is not None
            and view.calls.bid[0] == 88.0
            and view.calls.state[0] == QuoteState.LIVE
            and quote is not None
            and str(quote.bid) == "88.0"
            and quote.state is QuoteState.LIVE
        )

    await until(is_back, "the pictures")
    await until(lambda: steady.desk().events[-1].text == "while nobody looked", "the desk")
    assert steady.desk().status.feed.state is not QuoteState.STALE
    assert engine.chain_watches[key] == 1
    assert engine.token_watches[token] == 1
    engine.set_price(key, 1, 77.0)
    await until(lambda: (view := steady.chain(key)) is not None and view.calls.bid[1] == 77.0, "it moves again")


async def test_while_it_is_down_it_says_so(engine: PlainEngine, folder: Path) -> None:
    """Calls fail in words, no price looks alive, and the desk says that it is trying."""
    async with opened_door(engine, folder / "e.sock") as door:
        client = await RemoteClient.attach(door.path, resume=True)
        await client.watch_chain(engine.keys[0])
    await until(lambda: client.link_lost, "the link down")
    with pytest.raises(EngineGone, match="the engine has ended"):
        await client.funds()
    view = client.chain(engine.keys[0])
    assert view is not None
    assert set(view.calls.state.tolist()) <= {QuoteState.STALE, QuoteState.UNKNOWN}
    assert "Trying to come back" in client.desk().status.degraded[0]
    async with opened_door(engine, folder / "e.sock"):
        await until(lambda: not client.link_lost, "the link up")
        assert (await client.funds()).net > 0
        await client.close()


async def test_a_command_whose_answer_was_lost_is_never_sent_again(engine: PlainEngine, steady: RemoteClient) -> None:
    """The caller is told that it may have been done; its key finds out after the link came back."""
    command = PlaceOrder(request=engine.request(engine.instruments[0].tradingsymbol), idempotency_key="resume-1")
    engine.submit_gate.clear()
    submitting = asyncio.create_task(steady.submit(command))
    await asyncio.wait_for(engine.submit_reached.wait(), 5)
    drop(steady)
    with pytest.raises(EngineGone):
        await submitting
    engine.submit_gate.set()
    await until(lambda: not steady.link_lost, "the link up")
    await until(lambda: engine.finished, "the command done")
    assert len(engine.submitted) == 1
    assert (await steady.submit(command)).repeated
    assert len(await steady.orders()) == 1


async def test_no_event_is_missed_by_a_reader(engine: PlainEngine, steady: RemoteClient) -> None:
    """What happened while the link was down is in the snapshot that the reader gets next."""
    engine.add_event("before")
    place = (await steady.next_events()).sequence
    drop(steady)
    engine.add_event("meanwhile")
    changes = await asyncio.wait_for(steady.next_events(place), 10)
    assert changes.base == 0
    assert [event.text for event in changes.events][-2:] == ["before", "meanwhile"]


async def test_another_engine_is_not_taken_for_the_same(
    engine: PlainEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another market at the same address must not slip under a screen: the link ends in words."""
    async with opened_door(engine, folder / "e.sock") as door:
        client = await RemoteClient.attach(door.path, resume=True)
    monkeypatch.setattr("tests.kit.local_door.IDENTITY", EngineIdentity(IDENTITY.engine_id, "elsewhere"))
    async with opened_door(PlainEngine(), folder / "e.sock"):
        assert "Another engine answers" in await asyncio.wait_for(client.gone(), 10)
        assert "elsewhere" in client.link_lost
    await client.close()


async def test_a_restarted_engine_is_the_same(
    engine: PlainEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its market and account are; the client goes on with what it shows now."""
    async with opened_door(engine, folder / "e.sock") as door:
        client = await RemoteClient.attach(door.path, resume=True)
        await client.watch_chain(engine.keys[0])
    monkeypatch.setattr("tests.kit.local_door.IDENTITY", EngineIdentity("another start", IDENTITY.venue))
    fresh = PlainEngine()
    fresh.add_event("fresh")
    async with opened_door(fresh, folder / "e.sock"):
        await until(lambda: not client.link_lost and client.desk().events, "the new engine's desk")
        assert [event.text for event in client.desk().events] == ["fresh"]
        await until(lambda: fresh.chain_watches[fresh.keys[0]] == 1, "the chain watched again")
        await client.close()


async def test_closing_ends_a_link_that_is_trying(engine: PlainEngine, folder: Path) -> None:
    """Leaving while the engine is away does not wait for it."""
    async with opened_door(engine, folder / "e.sock") as door:
        client = await RemoteClient.attach(door.path, resume=True)
    await until(lambda: client.link_lost, "the link down")
    async with asyncio.timeout(5):
        await client.close()
        await client.gone()


async def test_a_gap_asks_for_a_snapshot(
    engine: PlainEngine, steady: RemoteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that went missing on the way is noticed by the next one, and the picture is whole again."""
    key = engine.keys[0]
    await steady.watch_chain(key)
    swallowed: list[object] = []
    original = Link._take

    def swallow(link: Link, message: str | bytes) -> None:
        if not swallowed and b'"chain/' in bytes(str(message), "utf-8"):
            swallowed.append(message)
            return
        original(link, message)

    monkeypatch.setattr(Link, "_take", swallow)
    engine.set_price(key, 0, 51.0)
    await until(lambda: swallowed, "an update lost")
    engine.set_price(key, 1, 52.0)

    def whole() -> bool:
        view = steady.chain(key)
        return view is not None and view.calls.bid[:2].tolist() == [51.0, 52.0]

    await until(whole, "both prices")
