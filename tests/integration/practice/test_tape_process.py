"""A tape played by the exchange's own process: over its ticker, its REST interface, and over a kill."""

from __future__ import annotations

import asyncio
import json
import urllib.error
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.practice.conftest import DEADLINE_SECONDS, eventually
from tests.kit.practice_process import PracticeProcess
from tests.kit.practice_tapes import RecordedMarket
from tests.kit.tape_desk import expected

QUERY = "/?api_key=practice&access_token=practice"
SECONDS = 30
PLAYBACK = "/practice/playback"


@pytest.fixture(scope="module")
def recorded() -> RecordedMarket:
    """The market that was recorded."""
    return RecordedMarket(strikes=24)


@pytest.fixture(scope="module")
def tape(recorded: RecordedMarket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute of it with an outage."""
    return recorded.write(tmp_path_factory.mktemp("tapes"), recorded.records(SECONDS, gap=(10, 14)))


@pytest.fixture
def process(tape: Path, tmp_path: Path) -> Any:
    """The exchange with the tape, paused at its beginning."""
    with PracticeProcess(tmp_path / "state", speed=60.0, arguments=["--tape", str(tape)]) as running:
        yield running


def act(process: PracticeProcess, **asked: Any) -> dict[str, Any]:
    """Ask the player."""
    return dict(process.request("POST", PLAYBACK, asked))


def view(process: PracticeProcess) -> dict[str, Any]:
    """Where the tape stands."""
    return dict(process.request("GET", PLAYBACK))


def at(recorded: RecordedMarket, seconds: float) -> str:
    """An ISO moment of the tape."""
    return (recorded.start + timedelta(seconds=seconds)).isoformat()


class Client:
    """A ticker client that takes down what it is sent, heartbeats and its greeting left out."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[tuple[str, Any]] = []

    async def subscribe(self, tokens: list[int], mode: str = "full") -> None:
        """Subscribe in a mode."""
        await self.socket.send_str(json.dumps({"a": "subscribe", "v": tokens}))
        await self.socket.send_str(json.dumps({"a": "mode", "v": [mode, tokens]}))

    async def greeted(self) -> int:
        """Wait for the clock that every connection is told first."""
        return int((await self._next())[1])

    async def until(self, met: Callable[[tuple[str, Any]], bool]) -> None:
        """Listen until something is heard."""
        while True:
            said = await self._next()
            self.heard.append(said)
            if met(said):
                return

    async def _next(self) -> tuple[str, Any]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.BINARY and len(message.data) > 1:
                    return "frame", message.data
                if message.type is aiohttp.WSMsgType.TEXT:
                    body = json.loads(message.data)
                    if body["type"] == "practice_clock":
                        return body["data"]["event"], body["data"]["ns"]
                    return body["type"], body["data"]
                assert message.type is aiohttp.WSMsgType.BINARY, message


async def heard_by(process: PracticeProcess, tokens: list[int], moves: Callable[[], Any], mode: str = "full") -> Any:
    """What a client hears that subscribed before the tape was moved, until the tape ends."""
    async with aiohttp.ClientSession() as session, session.ws_connect(process.websocket + QUERY) as socket:
        client = Client(socket)
        await client.subscribe(tokens, mode)
        await client.greeted()
        await asyncio.to_thread(eventually, lambda: process.status()["connections"] == 1, "the connection")
        # A request that is refused is answered in its order: what was subscribed before is subscribed now.
        await socket.send_str('{"a": "ready?"}')
        await client.until(lambda said: said[0] == "error")
        client.heard.clear()
        await asyncio.to_thread(moves)
        await client.until(lambda said: said[0] == "end")
        return client.heard


async def test_two_runs_are_the_same_to_the_byte(tape: Path, recorded: RecordedMarket, tmp_path: Path) -> None:
    """One straight through, one with pauses, jumps and steps: clock by clock, frame by frame."""
    heard = []
    for name in ("straight", "in-pieces"):
        arguments = ["--tape", str(tape)]
        async with PracticeProcess(tmp_path / name, speed=60.0, arguments=arguments) as process:

            def moves(process: PracticeProcess = process, name: str = name) -> None:
                if name == "in-pieces":
                    act(process, step_frames=3)
                    eventually(lambda: view(process)["frames"] == 3, "three frames")
                    act(process, seek=at(recorded, 11.2))
                    eventually(lambda: view(process)["state"] == "paused", "the jump")
                    act(process, play=True, speed=20.0)
                    eventually(lambda: view(process)["now"] > "2026-11-19T05:30:15", "some play")
                    act(process, play=False)
                    act(process, seek=at(recorded, 25.0), play=True, speed=60.0)
                else:
                    act(process, play=True)

            heard.append(await heard_by(process, recorded.tokens, moves))
    assert heard[0] == heard[1] == expected(tape)


async def test_a_client_gets_what_it_subscribed_in_the_width_it_asked_for(
    process: PracticeProcess, recorded: RecordedMarket
) -> None:
    """Packets of one contract, cut to the quote mode, in the order of the tape."""
    token = recorded.tokens[0]
    heard = await heard_by(process, [token], lambda: act(process, play=True), "quote")
    frames = [said for kind, said in heard if kind == "frame"]
    assert frames
    assert all(frame[:4] == b"\x00\x01\x00\x2c" and int.from_bytes(frame[4:8], "big") == token for frame in frames)
    assert len(frames) == (SECONDS - 4) * 2


async def test_a_later_subscription_is_answered_with_the_newest_packet(
    process: PracticeProcess, recorded: RecordedMarket
) -> None:
    """As the real exchange does; at the beginning there is none."""
    act(process, seek=at(recorded, 5.0))
    await asyncio.to_thread(eventually, lambda: view(process)["state"] == "paused", "the jump")
    async with aiohttp.ClientSession() as session, session.ws_connect(process.websocket + QUERY) as socket:
        client = Client(socket)
        assert await client.greeted() == recorded.start_ns + 5_000_000_000
        await client.subscribe(recorded.tokens)
        await client.until(lambda said: said[0] == "frame" and len(said[1]) > 184 * 20)
        packets = int.from_bytes(client.heard[-1][1][:2], "big")
        assert packets == len(recorded.tokens)


def test_the_official_client_trades_against_the_tape_over_a_kill(
    process: PracticeProcess, recorded: RecordedMarket, official: Callable[..., Any]
) -> None:
    """Instruments, quotes, an order at the touch, positions; killed, the exchange stands where it stood."""
    act(process, seek=at(recorded, 20.0))
    eventually(lambda: view(process)["state"] == "paused", "the jump")
    kite = official(process)
    rows = {row["instrument_token"]: row for row in kite.instruments("NFO")}
    row = rows[next(token for token in recorded.tokens if rows.get(token, {}).get("instrument_type") == "CE")]
    name = f"NFO:{row['tradingsymbol']}"
    ask = kite.quote(name)[name]["depth"]["sell"][0]["price"]
    order_id = kite.place_order(
        "regular",
        exchange="NFO",
        tradingsymbol=row["tradingsymbol"],
        transaction_type="BUY",
        quantity=row["lot_size"],
        order_type="LIMIT",
        product="NRML",
        price=ask,
    )
    eventually(lambda: kite.order_history(order_id)[-1]["status"] == "COMPLETE", "the fill")
    assert kite.trades()[0]["average_price"] == ask
    assert str(kite.trades()[0]["fill_timestamp"]) == "2026-11-19 11:00:20"
    assert kite.margins("equity")["utilised"]["option_premium"] == pytest.approx(ask * row["lot_size"])
    stood, traded = view(process), [trade["trade_id"] for trade in kite.trades()]
    process.kill()
    process.start()
    eventually(lambda: view(process)["state"] == "paused", "the place before the kill")
    assert view(process) == stood
    again = official(process)
    assert [trade["trade_id"] for trade in again.trades()] == traded
    assert again.positions()["net"][0]["quantity"] == row["lot_size"]
    assert process.status()["market_time"] == "2026-11-19T11:00:20+05:30"


def test_the_status_says_what_plays(process: PracticeProcess) -> None:
    """Source, session, and a speed that is zero while it is paused."""
    status = process.status()
    assert (status["source"], status["speed"], status["playback"]) == ("tape", 0.0, "paused")
    assert status["session"]["state"] == "open"
    assert status["session"]["opens"] == "2026-11-19T11:00:00+05:30"
    act(process, play=True, speed=0.25)
    assert process.status()["speed"] == 0.25


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Give one or more of"),
        ({"jump": 1}, "Unknown field `jump`"),
        ({"speed": 99}, "between 0.25 and 60"),
        ({"seek": "11:00"}, "ISO time with its offset"),
        ({"seek": "2026-11-19T09:15:00+05:30"}, "is not on the tape"),
        ({"step_frames": 1.5}, "whole number"),
        ({"play": "yes"}, "true or false"),
    ],
)
def test_a_wrong_request_is_refused_in_the_brokers_shape(
    process: PracticeProcess, body: dict[str, Any], words: str
) -> None:
    """With a sentence that says what is allowed."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        process.request("POST", PLAYBACK, body)
    with refused.value as error:
        told = json.loads(error.read())
    assert (error.code, told["status"], told["error_type"]) == (400, "error", "InputException")
    assert words in told["message"]


def test_market_time_cannot_be_set(process: PracticeProcess) -> None:
    """It is the tape's."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        process.request("POST", "/practice/clock", {"advance_seconds": 5})
    with refused.value as error:
        assert "/practice/playback" in json.loads(error.read())["message"]


def test_a_folder_without_a_tape_is_refused(tmp_path: Path) -> None:
    """In words, before anything listens."""
    process = PracticeProcess(tmp_path / "state", arguments=["--tape", str(tmp_path / "none")])
    with pytest.raises(RuntimeError, match="There is no tape at"):
        process.start()
