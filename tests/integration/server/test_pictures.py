"""Topics over the wire: the newest value to everybody at their own pace, and nothing old that looks alive."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from engine.core.errors import Refused
from engine.server import protocol
from engine.server.local_door import LocalDoor
from engine.server.remote_client import RemoteClient
from engine.server.session import SessionLimits
from engine.server.topics import chain_topic, quote_topic
from tests.kit.local_door import RawClient, opened_door, until
from tests.kit.plain_engine import STRIKES, PlainEngine


async def read_to_the_end(client: RawClient) -> ConnectionClosed:
    """Read what is left, and how it ended."""
    try:
        while True:
            await client.connection.recv()
    except ConnectionClosed as closed:
        return closed


async def send_for_ever(client: RawClient, message: str) -> None:
    """Ask again and again and never read an answer."""
    while True:
        await client.connection.send(message)


async def test_follow_answers_with_the_first_picture(engine: PlainEngine, raw: RawClient) -> None:
    """A follower has something to draw at once."""
    answer = await raw.call("follow", topic="desk")
    assert answer["result"]["topic"] == "desk"
    assert answer["result"]["value"]["revision"] == engine.desk().revision


async def test_a_value_comes_once_per_change(engine: PlainEngine, raw: RawClient) -> None:
    """Nothing is sent while nothing changes, then the newest value with a greater sequence."""
    first = (await raw.call("follow", topic="desk"))["result"]["sequence"]
    for _ in range(20):
        await raw.call("funds")
    assert not raw.topics
    engine.touch_desk()
    update = await raw.next_topic()
    assert update["sequence"] > first
    assert update["value"]["revision"] == engine.desk().revision


async def test_following_twice_is_following_once(engine: PlainEngine, raw: RawClient) -> None:
    """Even when both are asked in one breath the engine watches once, and one unfollow ends it."""
    topic = chain_topic(engine.keys[0])
    await raw.connection.send(raw.request("follow", topic=topic))
    await raw.connection.send(raw.request("follow", topic=topic))
    await raw.answer()
    await raw.answer()
    assert engine.chain_watches[engine.keys[0]] == 1
    await raw.call("unfollow", topic=topic)
    assert engine.live_watches == 0


async def test_follow_and_unfollow_in_one_breath_leave_nothing(engine: PlainEngine, raw: RawClient) -> None:
    """They take effect in the order they were sent."""
    topic = chain_topic(engine.keys[0])
    for _ in range(5):
        await raw.connection.send(raw.request("follow", topic=topic))
        await raw.connection.send(raw.request("unfollow", topic=topic))
    for _ in range(10):
        await raw.answer()
    assert engine.live_watches == 0


async def test_a_lost_client_gives_up_all_it_watched(engine: PlainEngine, door: LocalDoor) -> None:
    """Whatever it followed, however it went, the engine watches nothing for it any more."""
    client = await RemoteClient.attach(door.path)
    await client.watch_chain(engine.keys[0])
    await client.watch([engine.instruments[0].token, engine.instruments[1].token])
    assert engine.live_watches == 3
    client._connection.transport.abort()
    await until(lambda: engine.live_watches == 0, "no watch left")
    await client.close()


async def test_a_client_lost_while_following_gives_up_too(engine: PlainEngine, door: LocalDoor) -> None:
    """A follow that was under way when its client went is not left behind."""
    for _ in range(20):
        client = await RawClient.attach(door.path)
        for key in engine.keys:
            await client.connection.send(client.request("follow", topic=chain_topic(key)))
        client.connection.transport.abort()
        await client.connection.wait_closed()
    await until(lambda: door.clients == 0, "nobody attached")
    await until(lambda: engine.live_watches == 0, "no watch left")


async def test_one_that_cannot_be_given_up_does_not_keep_the_others(
    engine: PlainEngine, door: LocalDoor, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect while giving up one topic is logged, and the rest is given up."""
    client = await RemoteClient.attach(door.path)
    await client.watch_chain(engine.keys[0])
    await client.watch([engine.instruments[0].token])
    engine.failures["unwatch_chain"] = RuntimeError("cannot let go")
    await client.close()
    await until(lambda: engine.live_watches == 0, "no watch left")
    assert "cannot let go" in caplog.text


async def test_two_followers_share_a_chain_and_learn_of_all_rows(engine: PlainEngine, door: LocalDoor) -> None:
    """One that skipped pictures is told of every row, as is one that saw each."""
    key = engine.keys[0]
    first, second = await RemoteClient.attach(door.path), await RemoteClient.attach(door.path)
    await first.watch_chain(key)
    await second.watch_chain(key)
    assert engine.chain_watches[key] == 2
    begin = engine.chain(key)
    assert begin is not None
    newest = begin.sequence
    for row in (1, 3, 4):
        engine.set_price(key, row, 90.0 + row)
        newest = engine.chain(key).sequence  # type: ignore[union-attr]

        def arrived(wanted: int = newest) -> bool:
            view = first.chain(key)
            return view is not None and view.sequence == wanted

        await until(arrived, "the picture")
    for client in (first, second):

        def complete(client: RemoteClient = client) -> bool:
            view = client.chain(key)
            return view is not None and view.sequence == newest

        await until(complete, "the newest picture")
        view = client.chain(key, begin.sequence)
        assert view is not None
        assert view.changed.tolist() == [1, 3, 4]
        await client.close()


async def test_a_chain_is_the_same_object_while_nothing_changes(engine: PlainEngine, remote: RemoteClient) -> None:
    """A screen that asks on every frame pays nothing."""
    await remote.watch_chain(engine.keys[0])
    first = remote.chain(engine.keys[0])
    assert first is not None
    assert remote.chain(engine.keys[0]) is first
    newest = remote.chain(engine.keys[0], first.sequence)
    assert remote.chain(engine.keys[0], first.sequence) is newest


async def test_a_missing_bid_travels_as_nan(engine: PlainEngine, remote: RemoteClient) -> None:
    """Unknown stays unknown and its neighbours keep their prices."""
    await remote.watch_chain(engine.keys[0])
    engine.set_price(engine.keys[0], 2, math.nan)

    def gone() -> bool:
        view = remote.chain(engine.keys[0])
        return view is not None and math.isnan(view.calls.bid[2])

    await until(gone, "the bid gone")
    view = remote.chain(engine.keys[0])
    assert view is not None
    assert view.calls.bid[1] == 100.0


async def test_a_chain_the_engine_shows_no_more_disappears(engine: PlainEngine, remote: RemoteClient) -> None:
    """Its last prices do not stay on the screen as if they lived."""
    key = engine.keys[0]
    await remote.watch_chain(key)
    assert remote.chain(key) is not None
    engine.hide(key)
    await until(lambda: remote.chain(key) is None, "the chain gone")


async def test_a_picture_that_is_refused_is_not_sent(engine: PlainEngine, remote: RemoteClient) -> None:
    """One of our errors in one topic leaves the session and the other topics alone, and heals."""
    await remote.watch_chain(engine.keys[0])
    engine.failures["chain"] = Refused("not now")
    engine.set_price(engine.keys[0], 0, 42.0)
    before = remote.desk()
    engine.touch_desk()
    await until(lambda: remote.desk() is not before, "the desk goes on")
    del engine.failures["chain"]

    def healed() -> bool:
        view = remote.chain(engine.keys[0])
        return view is not None and view.calls.bid[0] == 42.0

    await until(healed, "the chain goes on")


async def test_a_picture_that_breaks_ends_the_session_with_a_reason(
    engine: PlainEngine, remote: RemoteClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect must not leave a client with pictures that never move again and no word about it."""
    await remote.watch_chain(engine.keys[0])
    engine.failures["chain"] = ZeroDivisionError("broken picture")
    async with asyncio.timeout(10):
        reason = await remote.gone()
    assert "could not show a picture" in reason
    assert "broken picture" in caplog.text


async def test_an_engine_without_a_desk_yet_is_waited_for(engine: PlainEngine, door: LocalDoor) -> None:
    """Attaching early succeeds as soon as there is something to see."""
    engine.failures["desk"] = Refused("starting")
    attaching = asyncio.create_task(RemoteClient.attach(door.path))
    await until(lambda: door.clients == 1, "attached")
    del engine.failures["desk"]
    client = await attaching
    assert client.desk().revision == engine.desk().revision
    await client.close()


async def test_all_or_none_of_a_list_is_watched(engine: PlainEngine, remote: RemoteClient) -> None:
    """A list with one wrong token leaves nothing watched."""
    tokens = [engine.instruments[0].token, 7, engine.instruments[1].token]
    with pytest.raises(Exception, match="token 7"):
        await remote.watch(tokens)
    await remote.unwatch([])
    await until(lambda: engine.live_watches == 0, "no watch left")
    assert remote.quote(tokens[0]) is None


async def test_a_cancelled_watch_leaves_nothing_for_long(engine: PlainEngine, remote: RemoteClient) -> None:
    """Giving up while the engine is being asked is cleaned away by the next wish, and shows nothing meanwhile."""
    for turns in range(6):
        task = asyncio.create_task(remote.watch_chain(engine.keys[0]))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert remote.chain(engine.keys[0]) is None
    await remote.watch_chain(engine.keys[1])
    await until(lambda: engine.chain_watches[engine.keys[0]] == 0, "nothing left of the first")
    await remote.watch_chain(engine.keys[0])
    assert remote.chain(engine.keys[0]) is not None


async def test_a_quick_change_of_mind_ends_watching(engine: PlainEngine, remote: RemoteClient) -> None:
    """Watch, unwatch and watch again at once leaves one watch and a picture."""
    key = engine.keys[0]
    await asyncio.gather(remote.watch_chain(key), remote.unwatch_chain(key), remote.watch_chain(key))
    assert engine.chain_watches[key] == 1
    assert remote.chain(key) is not None


async def test_a_frozen_client_is_closed_and_nobody_else_notices(engine: PlainEngine, folder: Path) -> None:
    """It is told why; meanwhile another client keeps its pace."""
    limits = SessionLimits(pace_hz=500.0, send_timeout_s=0.3)
    async with opened_door(engine, folder / "e.sock", limits=limits) as door:
        frozen = await RawClient.attach(door.path)
        await frozen.call("follow", topic="desk")
        for key in engine.keys:
            await frozen.call("follow", topic=chain_topic(key))
        lively = await RemoteClient.attach(door.path)
        await lively.watch_chain(engine.keys[0])
        slowest, number = 0.0, 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 20
        while door.clients > 1:
            assert loop.time() < deadline, "the frozen client was not closed"
            number += 1
            engine.set_price(engine.keys[0], number % len(STRIKES), float(number))
            engine.touch_desk()
            began = loop.time()
            await lively.funds()
            slowest = max(slowest, loop.time() - began)
            await asyncio.sleep(0.001)
        assert slowest < 1.5, "the other client had to wait"
        assert not lively.link_lost
        closed = await read_to_the_end(frozen)
        assert closed.rcvd is None or closed.rcvd.code == protocol.CLOSE_TRY_LATER
        await lively.close()


async def test_a_client_that_never_reads_cannot_pile_up_answers(engine: PlainEngine, folder: Path) -> None:
    """Calls count until their answers have left, so the pile is bounded by the limit of calls."""
    limits = SessionLimits(calls_max=4, send_timeout_s=0.5)
    async with opened_door(engine, folder / "e.sock", limits=limits) as door:
        client = await RawClient.attach(door.path)
        message = client.request("search", text="NIFTY", limit=20)
        sending = asyncio.create_task(send_for_ever(client, message))
        piles = set()
        while not sending.done():
            piles.add(len(door._calls))
            await asyncio.sleep(0)
        assert max(piles) <= 4
        assert isinstance(sending.exception(), ConnectionClosed)
        await until(lambda: door.clients == 0, "closed")


async def test_quotes_are_followed_by_token(engine: PlainEngine, raw: RawClient) -> None:
    """A program by hand gets exact decimals as texts."""
    token = engine.instruments[0].token
    answer = await raw.call("follow", topic=quote_topic(token))
    assert answer["result"]["value"]["bids"][0]["price"] == "100.0"
    engine.set_price(engine.keys[0], 0, 99.05)
    update = await raw.next_topic()
    assert update["value"]["bids"][0]["price"] == "99.05"


async def test_a_slow_client_that_wakes_up_reads_why(
    engine: PlainEngine, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason waits behind the pictures it did not take."""
    async with opened_door(engine, folder / "e.sock", limits=SessionLimits(pace_hz=500.0, send_timeout_s=0.1)) as door:
        slow = await RawClient.attach(door.path)
        await slow.call("follow", topic=chain_topic(engine.keys[0]))
        number = 0
        while "it took nothing" not in caplog.text:
            number += 1
            engine.set_price(engine.keys[0], number % len(STRIKES), float(number))
            await asyncio.sleep(0.001)
        closed = await read_to_the_end(slow)
        assert closed.rcvd is not None
        assert closed.rcvd.code == protocol.CLOSE_TRY_LATER
        assert "too slow" in closed.rcvd.reason


async def test_closing_hangs_up_on_a_frozen_client(engine: PlainEngine, folder: Path) -> None:
    """An engine that ends does not wait for somebody who takes nothing."""
    async with opened_door(engine, folder / "e.sock", limits=SessionLimits(pace_hz=500.0)) as door:
        frozen = await RawClient.attach(door.path)
        await frozen.call("follow", topic=chain_topic(engine.keys[0]))
        for number in range(500):
            engine.set_price(engine.keys[0], number % len(STRIKES), float(number))
            await asyncio.sleep(0.001)
    assert door.clients == 0
    await read_to_the_end(frozen)
