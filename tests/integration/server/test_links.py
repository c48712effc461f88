"""Links that break and doors that close: commands are done exactly once, and nobody is left guessing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from engine.core.commands import PlaceOrder
from engine.core.errors import EngineGone, Refused, SetupError
from engine.core.vocabulary import QuoteState
from engine.server import protocol
from engine.server.local_door import LocalDoor, is_alive
from engine.server.remote_client import RemoteClient
from tests.kit.local_door import LIMITS, RawClient, connection, drop, opened_door, served, until
from tests.kit.plain_engine import PlainEngine

FROZEN_LISTENER = """
import socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
time.sleep(600)
"""


ENGINE_WITH_A_DOOR = """
import asyncio, sys
from pathlib import Path
from tests.kit.local_door import LIMITS, served
from tests.kit.plain_engine import PlainEngine
from engine.server.local_door import LocalDoor

async def main():
    await LocalDoor(served(PlainEngine()), Path(sys.argv[1]), limits=LIMITS, connections_max=4).open()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
REPOSITORY = Path(__file__).resolve().parents[3]


def start_program(program: str, path: Path) -> subprocess.Popen[bytes]:
    """Start a program that gets ``path`` as its argument, and wait until it says that it is ready."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    words = [sys.executable, "-c", program, str(path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=REPOSITORY, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def command(engine: PlainEngine, key: str | None = "link-1") -> PlaceOrder:
    """An order."""
    return PlaceOrder(request=engine.request(engine.instruments[0].tradingsymbol), idempotency_key=key)


async def test_a_command_outlives_its_client(engine: PlainEngine, door: LocalDoor) -> None:
    """The client goes in the middle; the command is done once, and asking again with its key finds it."""
    engine.submit_gate.clear()
    client = await RemoteClient.attach(door.path)
    submitting = asyncio.create_task(client.submit(command(engine)))
    await asyncio.wait_for(engine.submit_reached.wait(), 5)
    drop(client)
    with pytest.raises(EngineGone):
        await submitting
    await client.close()
    await until(lambda: door.clients == 0, "the client gone")
    engine.submit_gate.set()
    await until(lambda: engine.finished, "the command done")
    again = await RemoteClient.attach(door.path)
    receipt = await again.submit(command(engine))
    assert receipt.repeated
    assert len(await again.orders()) == 1
    await again.close()


async def test_a_caller_that_gives_up_does_not_cancel_the_command(engine: PlainEngine, remote: RemoteClient) -> None:
    """Cancelling the wait is not cancelling the order."""
    engine.submit_gate.clear()
    submitting = asyncio.create_task(remote.submit(command(engine)))
    await asyncio.wait_for(engine.submit_reached.wait(), 5)
    submitting.cancel()
    await asyncio.gather(submitting, return_exceptions=True)
    engine.submit_gate.set()
    await until(lambda: engine.finished, "the command done")
    assert len(await remote.orders()) == 1


async def test_an_answer_that_does_not_come_is_an_unknown_outcome(engine: PlainEngine, door: LocalDoor) -> None:
    """After the time is over the caller is told that it may still be done; the link stays."""
    engine.submit_gate.clear()
    client = await RemoteClient.attach(door.path, timeout_s=0.2)
    with pytest.raises(EngineGone, match="may still do"):
        await client.submit(command(engine))
    assert not client.link_lost
    engine.submit_gate.set()
    await until(lambda: engine.finished, "the command done")
    assert (await client.submit(command(engine))).repeated
    await client.close()


async def test_a_lost_link_fails_calls_and_keeps_pictures(engine: PlainEngine, folder: Path) -> None:
    """Every call says why; the last figures can still be looked at, and none of them looks alive."""
    path = folder / "engine.sock"
    async with opened_door(engine, path):
        client = await RemoteClient.attach(path)
        await client.watch_chain(engine.keys[0])
        desk, chain = client.desk(), client.chain(engine.keys[0])
    assert "the engine has ended" in await asyncio.wait_for(client.gone(), 5)
    with pytest.raises(EngineGone, match="the engine has ended"):
        await client.submit(command(engine))
    with pytest.raises(EngineGone):
        await client.watch_chain(engine.keys[1])
    lost = client.desk()
    assert lost.strategies == desk.strategies
    assert lost.status.feed.state is QuoteState.STALE
    assert "the engine has ended" in lost.status.degraded[0]
    assert not lost.status.writer
    assert all(item.state is QuoteState.STALE for item in lost.strip)
    last = client.chain(engine.keys[0])
    assert chain is not None
    assert last is not None
    assert last.sequence > chain.sequence
    assert last.calls.bid.tolist() == chain.calls.bid.tolist()
    assert QuoteState.LIVE in chain.calls.state
    assert set(last.calls.state.tolist()) <= {QuoteState.STALE, QuoteState.UNKNOWN}
    await client.unwatch_chain(engine.keys[0])
    await client.close()


async def test_a_client_attaches_again_and_sees_the_present(engine: PlainEngine, folder: Path) -> None:
    """A new attachment after the engine came back begins with a fresh snapshot."""
    path = folder / "engine.sock"
    async with opened_door(engine, path):
        first = await RemoteClient.attach(path)
        await first.close()
    with pytest.raises(EngineGone, match="No engine answers"):
        await RemoteClient.attach(path)
    engine.add_event("while nobody looked")
    async with opened_door(engine, path):
        second = await RemoteClient.attach(path)
        assert second.desk().events[-1].text == "while nobody looked"
        assert second.seat != ""
        await second.close()


async def test_closing_lets_calls_finish_and_answers_them(engine: PlainEngine, folder: Path) -> None:
    """A command under way when the engine ends still gets its answer; one that comes later is refused."""
    engine.submit_gate.clear()
    door = LocalDoor(served(engine), folder / "e.sock", limits=LIMITS, connections_max=4)
    await door.open()
    client = await RemoteClient.attach(door.path)
    submitting = asyncio.create_task(client.submit(command(engine)))
    await asyncio.wait_for(engine.submit_reached.wait(), 5)
    closing = asyncio.create_task(door.close())
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="ending"):
        await client.submit(command(engine, "link-2"))
    engine.submit_gate.set()
    assert (await submitting).accepted
    await closing
    assert len(engine.finished) == 1
    assert not door.path.exists()
    await client.close()


async def test_closing_does_not_wait_for_ever(
    engine: PlainEngine, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that does not end in time is left with a word in the log."""
    engine.submit_gate.clear()
    async with opened_door(engine, folder / "e.sock", drain_s=0.05) as door:
        client = await RemoteClient.attach(door.path)
        submitting = asyncio.create_task(client.submit(command(engine)))
        await asyncio.wait_for(engine.submit_reached.wait(), 5)
    with pytest.raises(EngineGone):
        await submitting
    assert "did not end within" in caplog.text
    await client.close()


async def test_one_client_too_many_is_turned_away_in_words(engine: PlainEngine, folder: Path) -> None:
    """Two hundred more than the limit are refused each with the reason, and those inside go on."""
    async with opened_door(engine, folder / "e.sock", connections_max=2) as door:
        inside = [await RemoteClient.attach(door.path) for _ in range(2)]
        knocking = [RemoteClient.attach(door.path) for _ in range(200)]
        for outcome in await asyncio.gather(*knocking, return_exceptions=True):
            assert isinstance(outcome, EngineGone)
            assert "2 clients are attached already" in str(outcome)
        assert door.clients == 2
        await inside[0].close()
        await until(lambda: door.clients == 1, "a free place")
        late = await RemoteClient.attach(door.path)
        for client in (inside[1], late):
            assert (await client.funds()).net > 0
            await client.close()


async def test_a_silent_engine_is_taken_as_lost(engine: PlainEngine, folder: Path) -> None:
    """A listener whose process hangs does not hold its clients for ever."""
    path = folder / "engine.sock"
    process = await asyncio.to_thread(start_program, FROZEN_LISTENER, path)
    try:
        with pytest.raises(EngineGone, match="No engine answers"):
            await RemoteClient.attach(path, timeout_s=0.3)
    finally:
        process.kill()
        process.communicate()


async def test_an_engine_that_stops_answering_pings_is_lost(
    engine: PlainEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pictures are old then, and the client says so instead of showing them as live for ever."""
    async with opened_door(engine, folder / "e.sock") as door:
        client = await RemoteClient.attach(door.path, silence_s=0.2)
        monkeypatch.setattr(connection(client).protocol, "receive_data", lambda data: None)
        reason = await asyncio.wait_for(client.gone(), 5)
        assert "ping" in reason
        assert client.desk().revision >= 1
        await client.close()


async def test_the_socket_of_a_dead_engine_is_taken_over(engine: PlainEngine, folder: Path) -> None:
    """A leftover of kill -9 does not keep the next engine from starting."""
    path = folder / "engine.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    assert not is_alive(path)
    async with opened_door(engine, path) as door:
        assert is_alive(path)
        client = await RemoteClient.attach(door.path)
        await client.close()


async def test_a_killed_engine_leaves_nothing_in_the_way(engine: PlainEngine, folder: Path) -> None:
    """After kill -9 of a process that held the door the next one opens it."""
    path = folder / "engine.sock"
    process = await asyncio.to_thread(start_program, ENGINE_WITH_A_DOOR, path)
    with pytest.raises(SetupError, match="Another engine"):
        await LocalDoor(served(engine), path, limits=LIMITS, connections_max=4).open()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert path.exists()
    async with opened_door(engine, path) as door:
        client = await RemoteClient.attach(door.path)
        await client.close()


async def test_a_living_socket_is_refused_in_words(engine: PlainEngine, door: LocalDoor) -> None:
    """The second engine is told, and the first one keeps its socket and its clients."""
    other = LocalDoor(served(PlainEngine()), door.path, limits=LIMITS, connections_max=4)
    with pytest.raises(SetupError, match="Another engine listens"):
        await other.open()
    await other.close()
    client = await RemoteClient.attach(door.path)
    assert client.desk().revision == engine.desk().revision
    await client.close()


async def test_of_engines_that_start_at_once_exactly_one_gets_the_socket(folder: Path) -> None:
    """A leftover that all of them see does not let two of them in."""
    path = folder / "engine.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    doors = [LocalDoor(served(PlainEngine()), path, limits=LIMITS, connections_max=4) for _ in range(8)]
    outcomes = await asyncio.gather(*(door.open() for door in doors), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(SetupError) == 7
    client = await RemoteClient.attach(path)
    await client.close()
    for door in doors:
        await door.close()
    assert not path.exists()


async def test_a_door_can_be_opened_again_after_closing(engine: PlainEngine, folder: Path) -> None:
    """The path is free as soon as the door has closed."""
    for _ in range(3):
        async with opened_door(engine, folder / "e.sock") as door:
            client = await RemoteClient.attach(door.path)
            await client.close()


async def test_what_is_no_socket_is_never_removed(engine: PlainEngine, folder: Path) -> None:
    """A file of somebody else at that place stays, and the sentence says what is in the way."""
    path = folder / "engine.sock"
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(SetupError, match="not a socket"):
        await LocalDoor(served(engine), path, limits=LIMITS, connections_max=4).open()
    assert path.read_text(encoding="utf-8") == "precious"


async def test_another_program_at_the_socket_is_left_alone(engine: PlainEngine, folder: Path) -> None:
    """A listener without our lock still counts as living."""
    path = folder / "engine.sock"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        with pytest.raises(SetupError, match="Another program"):
            await LocalDoor(served(engine), path, limits=LIMITS, connections_max=4).open()
        assert path.exists()


async def test_a_path_that_cannot_be_is_refused_in_words(engine: PlainEngine, folder: Path) -> None:
    """Too long, or in a folder that is not there."""
    with pytest.raises(SetupError, match="too long"):
        await LocalDoor(served(engine), folder / ("x" * 120), limits=LIMITS, connections_max=4).open()
    with pytest.raises(SetupError, match="Cannot listen"):
        await LocalDoor(served(engine), folder / "nowhere" / "e.sock", limits=LIMITS, connections_max=4).open()


async def test_a_client_that_leaves_politely_is_forgotten(door: LocalDoor) -> None:
    """The count of clients tells the truth."""
    async with await RawClient.attach(door.path):
        await until(lambda: door.clients == 1, "attached")
    await until(lambda: door.clients == 0, "gone")


async def test_probing_leaves_no_client(door: LocalDoor) -> None:
    """Asking whether an engine lives takes no place and breaks nothing."""
    for _ in range(20):
        assert is_alive(door.path)
    client = await RemoteClient.attach(door.path)
    assert (await client.funds()).net > 0
    await client.close()
    await until(lambda: door.clients == 0, "gone")


async def test_the_door_says_good_bye_with_a_reason(engine: PlainEngine, folder: Path) -> None:
    """A client by hand reads the standard's code for going away and the words."""
    async with opened_door(engine, folder / "e.sock") as door:
        client = await RawClient.attach(door.path)
        await until(lambda: door.clients == 1, "attached")
    with pytest.raises(ConnectionClosed) as caught:
        await client.connection.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == protocol.CLOSE_GOING_AWAY
    assert caught.value.rcvd.reason == "the engine has ended"
