"""Topics over the wire: the newest value to everybody at their own pace, and nothing old that looks alive."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from engine.core.commands import PlaceOrder
from engine.core.errors import Refused
from engine.server import protocol
from engine.server.limits import SessionLimits
from engine.server.local_door import LocalDoor
from engine.server.remote_client import RemoteClient
from tests.kit.local_door import RawClient, chain_name, drop, opened_door, until
from tests.kit.plain_engine import LOT_SIZE, STRIKES, PlainEngine


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
    assert answer["result"]["base"] == 0
    assert answer["result"]["parts"]["status"]["account"] == engine.desk().status.account


async def test_a_change_comes_once_and_continues_what_was_sent(engine: PlainEngine, raw: RawClient) -> None:
    """Nothing is sent while nothing changes, then only what did, upon the sequence that the client has."""
    first = (await raw.call("follow", topic="desk"))["result"]["sequence"]
    for _ in range(20):
        await raw.call("funds")
    assert not raw.topics
    engine.add_event("something")
    update = await raw.next_topic()
    assert update["base"] == first
    assert update["sequence"] > first
    assert set(update["parts"]) == {"events", "status"}


async def test_following_twice_is_following_once(engine: PlainEngine, raw: RawClient) -> None:
    """Even when both are asked in one breath the engine watches once, and one unfollow ends it."""
    topic = chain_name(engine.keys[0])
    await raw.connection.send(raw.request("follow", topic=topic))
    await raw.connection.send(raw.request("follow", topic=topic))
    await raw.answer()
    await raw.answer()
    assert engine.chain_watches[engine.keys[0]] == 1
    await raw.call("unfollow", topic=topic)
    assert engine.live_watches == 0


async def test_follow_and_unfollow_in_one_breath_leave_nothing(engine: PlainEngine, raw: RawClient) -> None:
    """They take effect in the order they were sent."""
    topic = chain_name(engine.keys[0])
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
    drop(client)
    await until(lambda: engine.live_watches == 0, "no watch left")
    await client.close()


async def test_a_client_lost_while_following_gives_up_too(engine: PlainEngine, door: LocalDoor) -> None:
    """A follow that was under way when its client went is not left behind."""
    for _ in range(20):
        client = await RawClient.attach(door.path)
        for key in engine.keys:
            await client.connection.send(client.request("follow", topic=chain_name(key)))
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
    begun = {client: view.sequence for client in (first, second) if (view := client.chain(key)) is not None}
    for row in (1, 3, 4):
        engine.set_price(key, row, 90.0 + row)

        def arrived(client: RemoteClient = first, row: int = row) -> bool:
            view = client.chain(key)
            return view is not None and view.calls.bid[row] == 90.0 + row

        await until(arrived, "the picture")
    for client, begin in begun.items():
        await until(lambda client=client: arrived(client), "the newest picture")  # type: ignore[misc]
        view = client.chain(key, begin)
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
    engine.add_event("meanwhile")
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
    limits = SessionLimits(pace_hz=500.0, send_timeout_s=0.3, calls_per_s=5000.0)
    async with opened_door(engine, folder / "e.sock", limits=limits) as door:
        frozen = await RawClient.attach(door.path)
        await frozen.call("follow", topic="desk")
        for key in engine.keys:
            await frozen.call("follow", topic=chain_name(key))
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
            piles.add(door._served.calls_under_way)
            await asyncio.sleep(0)
        assert max(piles) <= 4
        assert isinstance(sending.exception(), ConnectionClosed)
        await until(lambda: door.clients == 0, "closed")


async def test_quotes_are_followed_by_token(engine: PlainEngine, raw: RawClient) -> None:
    """A program by hand gets exact decimals as texts, and afterwards only the instruments that changed."""
    tokens = [engine.instruments[0].token, engine.instruments[1].token]
    answer = await raw.call("follow", topic="quotes", tokens=tokens)
    assert answer["result"]["parts"][str(tokens[0])]["bids"][0]["price"] == "100.0"
    assert set(answer["result"]["parts"]) == {str(token) for token in tokens}
    engine.set_price(engine.keys[0], 0, 99.05)
    update = await raw.next_topic()
    assert update["base"] == answer["result"]["sequence"]
    assert list(update["parts"]) == [str(tokens[0])]
    assert update["parts"][str(tokens[0])]["bids"][0]["price"] == "99.05"


async def test_more_quotes_join_those_that_are_followed(engine: PlainEngine, raw: RawClient) -> None:
    """The second wish shows its own instruments at once, and both go on in one sequence without a gap."""
    first, second = engine.instruments[0].token, engine.instruments[1].token
    have = (await raw.call("follow", topic="quotes", tokens=[first]))["result"]["sequence"]
    answer = await raw.call("follow", topic="quotes", tokens=[second])
    assert list(answer["result"]["parts"]) == [str(second)]
    assert answer["result"]["sequence"] == protocol.BESIDE
    again = await raw.next_topic()
    assert (again["sequence"], list(again["parts"])) == (protocol.BESIDE, [str(second)])
    for row, price in ((0, 98.0), (0, 97.0)):
        engine.set_price(engine.keys[0], row, price)
        update = await raw.next_topic()
        assert update["base"] == have
        have = update["sequence"]
    await raw.call("unfollow", topic="quotes", tokens=[first])
    assert engine.live_watches == 1
    await raw.call("unfollow", topic="quotes")
    assert engine.live_watches == 0


async def test_what_changes_while_quotes_join_is_not_lost(engine: PlainEngine, folder: Path) -> None:
    """A price that moves between the answer's making and its arrival reaches the client, however the others moved."""
    limits = SessionLimits(pace_hz=1000.0)
    async with opened_door(engine, folder / "e.sock", limits=limits) as door:
        for turn in range(40):
            client = await RemoteClient.attach(door.path)
            first, second = engine.token(engine.keys[0], 0), engine.token(engine.keys[0], 1)
            await client.watch([first])
            joining = asyncio.create_task(client.watch([second]))
            for step in range(8):
                engine.set_price(engine.keys[0], 0, 50.0 + turn + step / 10)
                engine.set_price(engine.keys[0], 1, 60.0 + turn + step / 10)
                await asyncio.sleep(0)
            await joining
            wanted = str(60.0 + turn + 7 / 10)

            def arrived(client: RemoteClient = client, token: int = second, wanted: str = wanted) -> bool:
                quote = client.quote(token)
                return quote is not None and str(quote.bid) == wanted

            await until(arrived, f"the price of turn {turn}")
            await client.close()


async def test_of_ten_thousand_quotes_none_is_followed(engine: PlainEngine, folder: Path) -> None:
    """More than one client may have is refused whole, in one call or in many."""
    limits = SessionLimits(tokens_max=2)
    async with opened_door(engine, folder / "e.sock", limits=limits) as door:
        client = await RawClient.attach(door.path)
        answer = await client.call("follow", topic="quotes", tokens=list(range(10_000)))
        assert "3000 at most" in answer["error"]["message"]
        answer = await client.call("follow", topic="quotes", tokens=[row.token for row in engine.instruments[:3]])
        assert "2 instruments" in answer["error"]["message"]
        assert answer["error"]["data"]["field"] == "tokens"
        assert engine.live_watches == 0
        await client.connection.close()


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"topic": "quotes"}, "tokens"),
        ({"topic": "desk", "tokens": [1]}, "tokens"),
        ({"topic": "quotes", "tokens": [-1]}, "tokens[0]"),
        ({"topic": "quotes", "tokens": ["1"]}, "tokens[0]"),
        ({"topic": "chain/NIFTY"}, "topic"),
        ({"topic": "chain//2026-11-26"}, "topic"),
        ({"topic": "chain/NIFTY/2026-11-31"}, "topic"),
        ({"topic": "desk/"}, "topic"),
        ({"topic": "DESK"}, "topic"),
        ({"topic": "positions/all"}, "topic"),
        ({"topic": "x" * 4000}, "topic"),
    ],
)
async def test_a_wrong_topic_is_refused_by_field(raw: RawClient, parameters: dict[str, object], field: str) -> None:
    """The sentence names the field; the session goes on."""
    answer = await raw.call("follow", **parameters)
    assert answer["error"]["data"]["field"] == field
    assert "result" in await raw.call("funds")


async def test_orders_come_as_a_snapshot_and_then_every_change(engine: PlainEngine, raw: RawClient) -> None:
    """Not one is left out or merged, in the order they happened, each upon the one before."""
    await engine.submit(PlaceOrder(request=engine.request(engine.instruments[0].tradingsymbol)))
    snapshot = (await raw.call("follow", topic="orders"))["result"]
    assert [item["number"] for item in snapshot["items"]] == [1]
    assert snapshot["base"] == 0
    have = snapshot["sequence"]
    seen: list[int] = []
    for _ in range(5):
        await engine.submit(PlaceOrder(request=engine.request(engine.instruments[0].tradingsymbol)))
    while len(seen) < 5:
        update = await raw.next_topic()
        assert update["base"] == have
        assert update["sequence"] == have + len(update["items"])
        have = update["sequence"]
        seen += [item["number"] for item in update["items"]]
    assert seen == [2, 3, 4, 5, 6]


async def test_events_come_at_once_and_not_at_the_pace_of_pictures(engine: PlainEngine, folder: Path) -> None:
    """A client that wants a picture a minute hears of an event when it happens."""
    limits = SessionLimits(pace_hz=1 / 60)
    async with opened_door(engine, folder / "e.sock", limits=limits) as door, await RawClient.attach(door.path) as raw:
        await raw.call("follow", topic="events")
        engine.add_event("now")
        update = await raw.next_topic()
        assert [item["text"] for item in update["items"]] == ["now"]


async def test_strategies_and_positions_are_topics_of_their_own(engine: PlainEngine, raw: RawClient) -> None:
    """A script that only wants its money need not take the whole desk."""
    strategies = (await raw.call("follow", topic="strategies"))["result"]
    assert strategies["parts"]["1"]["strategy"]["name"] == "main"
    assert (await raw.call("follow", topic="positions"))["result"]["parts"] == {}
    await engine.submit(PlaceOrder(request=engine.request(engine.instruments[0].tradingsymbol)))
    held = await raw.next_topic()
    while held["topic"] != "positions":
        held = await raw.next_topic()
    (row,) = held["parts"].values()
    assert row["signed_quantity"] == LOT_SIZE


async def test_a_client_chooses_a_slower_pace(engine: PlainEngine, folder: Path) -> None:
    """It is granted what it asks for, never more than the door gives."""
    async with opened_door(engine, folder / "e.sock") as door, await RawClient.attach(door.path) as raw:
        assert (await raw.call("hello", pace_hz=3))["result"]["pace_hz"] == 3
        assert (await raw.call("hello", pace_hz=100))["result"]["pace_hz"] == 100
        assert (await raw.call("hello"))["result"]["pace_hz"] == 200
        answer = await raw.call("hello", pace_hz=0)
        assert answer["error"]["data"]["field"] == "pace_hz"


async def test_following_again_gives_a_snapshot(engine: PlainEngine, raw: RawClient) -> None:
    """What a client does that has missed something."""
    topic = chain_name(engine.keys[0])
    await raw.call("follow", topic=topic)
    engine.set_price(engine.keys[0], 2, 55.0)
    again = (await raw.call("follow", topic=topic))["result"]
    assert again["base"] == 0
    assert set(again["parts"]) == {"header", "strikes", "ages", *map(str, range(len(STRIKES)))}


async def test_a_slow_client_that_wakes_up_reads_why(
    engine: PlainEngine, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason waits behind the pictures it did not take."""
    async with opened_door(engine, folder / "e.sock", limits=SessionLimits(pace_hz=500.0, send_timeout_s=0.1)) as door:
        slow = await RawClient.attach(door.path)
        await slow.call("follow", topic=chain_name(engine.keys[0]))
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
        await frozen.call("follow", topic=chain_name(engine.keys[0]))
        for number in range(500):
            engine.set_price(engine.keys[0], number % len(STRIKES), float(number))
            await asyncio.sleep(0.001)
    assert door.clients == 0
    await read_to_the_end(frozen)
