"""What the door answers to messages that are wrong, and that it goes on serving afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed

from engine.core.errors import BrokerRejected, InvalidInput, RateLimited, Refused, SetupError, WorkstationError
from engine.server import protocol
from engine.server.limits import SessionLimits
from engine.server.link import Link
from engine.server.local_door import LocalDoor
from engine.server.remote_client import RemoteClient
from tests.kit.local_door import RawClient, chain_name, opened_door, until
from tests.kit.plain_engine import LOT_SIZE, PlainEngine


def order(engine: PlainEngine, **request: Any) -> dict[str, Any]:
    """A ``place_order`` command as JSON, with fields of its request replaced."""
    instrument = {"exchange": "NFO", "tradingsymbol": engine.instruments[0].tradingsymbol}
    basic = {"instrument": instrument, "side": "BUY", "quantity": LOT_SIZE, "price": "100.05"}
    return {"type": "place_order", "request": {**basic, **request}}


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ("what?", protocol.PARSE_ERROR, "Not JSON"),
        ('{"jsonrpc":"2.0","id":1,"method":"funds"', protocol.PARSE_ERROR, "Not JSON"),
        ('{"jsonrpc":"1.0","id":1,"method":"funds"}', protocol.INVALID_REQUEST, '"2.0"'),
        ('{"id":1,"method":"funds"}', protocol.INVALID_REQUEST, "jsonrpc"),
        ('{"jsonrpc":"2.0","id":1}', protocol.INVALID_REQUEST, "method"),
        ('{"jsonrpc":"2.0","id":1.5,"method":"funds"}', protocol.INVALID_REQUEST, "id"),
        ('{"jsonrpc":"2.0","id":null,"method":"funds"}', protocol.INVALID_REQUEST, "no id"),
        ('{"jsonrpc":"2.0","id":99999999999999999999,"method":"funds"}', protocol.INVALID_REQUEST, "64 characters"),
        ('{"jsonrpc":"2.0","id":1,"method":"funds","parms":{}}', protocol.INVALID_REQUEST, "parms"),
        ('[{"jsonrpc":"2.0","id":1,"method":"funds"}]', protocol.INVALID_REQUEST, "Batches"),
        ('"funds"', protocol.INVALID_REQUEST, "object"),
        (b'{"jsonrpc":"2.0","id":1,"method":"funds"}', protocol.INVALID_REQUEST, "text frames"),
        ('{"jsonrpc":"2.0","id":1,"method":"funds","params":[]}', protocol.INVALID_PARAMS, "object"),
        ('{"jsonrpc":"2.0","id":1,"method":"funds","params":{"all":true}}', protocol.INVALID_PARAMS, "all"),
        ('{"jsonrpc":"2.0","id":1,"method":"shutdown"}', protocol.METHOD_NOT_FOUND, "there are"),
        ('{"jsonrpc":"2.0","id":1,"method":"close"}', protocol.METHOD_NOT_FOUND, "there are"),
        ('{"jsonrpc":"2.0","id":1,"method":"watch_chain","params":{}}', protocol.METHOD_NOT_FOUND, "there are"),
        ('{"jsonrpc":"2.0","id":1,"method":"__init__"}', protocol.METHOD_NOT_FOUND, "there are"),
    ],
)
async def test_a_wrong_message_is_answered_in_words(
    raw: RawClient, message: str | bytes, code: int, words: str
) -> None:
    """The code is the standard's, the sentence names the fault, and the next call works."""
    answer = await raw.say(message)
    assert answer["error"]["code"] == code
    assert words in answer["error"]["message"]
    assert "result" in await raw.call("funds")


async def test_endless_nesting_is_refused(raw: RawClient) -> None:
    """A message that only opens brackets costs its sender an error, not the engine its stack."""
    answer = await raw.say('{"jsonrpc":"2.0","id":1,"method":"funds","params":' + '{"a":' * 100_000)
    assert answer["error"]["code"] == protocol.PARSE_ERROR
    assert "result" in await raw.call("funds")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"quantity": "65"}, "command.request.quantity", "int"),
        ({"quantity": 65.5}, "command.request.quantity", "int"),
        ({"quantity": 10**17}, "command.request.quantity", "9007199254740991"),
        ({"side": "HOLD"}, "command.request.side", "HOLD"),
        ({"price": 100.05}, "command.request.price", "text"),
        ({"price": "NaN"}, "command.request.price", "finite"),
        ({"price": "-Infinity"}, "command.request.price", "finite"),
        ({"price": "1E+999999999"}, "command.request.price", "10^±18"),
        ({"price": "1." + "0" * 40}, "command.request.price", "28 digits"),
        ({"strategi": 3}, "command.request.strategi", "no such field"),
        ({"instrument": {"exchange": "LSE", "tradingsymbol": "X"}}, "command.request.instrument.exchange", "LSE"),
        ({"instrument": {"exchange": "NFO", "tradingsymbol": "X" * 5000}}, None, "4096 at most"),
    ],
)
async def test_a_wrong_field_is_named_with_its_bound(
    engine: PlainEngine, raw: RawClient, change: dict[str, Any], field: str | None, words: str
) -> None:
    """The path of the field and what is allowed; nothing reaches the engine."""
    answer = await raw.call("submit", command=order(engine, **change))
    assert answer["error"]["code"] == protocol.INVALID_PARAMS
    assert words in answer["error"]["message"]
    assert answer["error"]["data"]["kind"] == "InvalidInput"
    if field is not None:
        assert answer["error"]["data"]["field"] == field
    assert not engine.submitted


async def test_a_misspelt_idempotency_key_is_not_dropped(engine: PlainEngine, raw: RawClient) -> None:
    """A command whose key would be ignored is refused: it could be done twice."""
    answer = await raw.call("submit", command={**order(engine), "idempotency_kye": "k1"})
    assert "idempotency_kye" in answer["error"]["message"]
    assert not engine.submitted


async def test_an_unknown_command_is_refused(engine: PlainEngine, raw: RawClient) -> None:
    """Commands are a closed list."""
    answer = await raw.call("submit", command={"type": "sell_everything"})
    assert answer["error"]["code"] == protocol.INVALID_PARAMS
    assert "sell_everything" in answer["error"]["message"]
    assert not engine.submitted


async def test_long_lists_are_refused(engine: PlainEngine, raw: RawClient) -> None:
    """A command names a bounded number of orders."""
    answer = await raw.call("submit", command={"type": "cancel_orders", "numbers": list(range(3001))})
    assert "3000 at most" in answer["error"]["message"]
    assert not engine.submitted


async def test_a_time_without_a_zone_is_refused(raw: RawClient) -> None:
    """Nobody guesses a zone."""
    answer = await raw.call("candles", strategy=1, start="2026-11-19T09:15:00", end="2026-11-19T10:15:00+05:30")
    assert answer["error"]["data"]["field"] == "start"
    assert "zone" in answer["error"]["message"]


async def test_a_command_without_an_id_is_not_done(engine: PlainEngine, raw: RawClient) -> None:
    """Its answer could not be given, so it is refused, and said so."""
    call = {"jsonrpc": "2.0", "method": "submit", "params": {"command": order(engine)}}
    answer = await raw.say(msgspec.json.encode(call).decode())
    assert answer["id"] is None
    assert "Nothing was done" in answer["error"]["message"]
    await raw.call("funds")
    assert not engine.submitted


async def test_a_good_command_by_hand_is_done_with_a_seat(engine: PlainEngine, raw: RawClient) -> None:
    """A program in another language can send an order; the engine knows from which seat."""
    answer = await raw.call("submit", command=order(engine))
    assert answer["result"]["accepted"] is True
    assert answer["result"]["orders"][0]["request"]["price"] == "100.05"
    assert engine.submitted[0][1].startswith("local-")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "desks",
        "chain/NIFTY",
        "chain//2026-11-24",
        "chain/NIFTY/20261124",
        "chain/NIFTY/2026-11-24/",
        "quote/",
        "quote/-1",
        "quote/007",
        "quote/²",
        "quote/4294967296",
        "quote/" + "9" * 5000,
    ],
)
async def test_an_unknown_topic_is_refused(engine: PlainEngine, raw: RawClient, topic: str) -> None:
    """There is one spelling for each topic, and the refusal lists them."""
    answer = await raw.call("follow", topic=topic)
    assert answer["error"]["data"]["kind"] == "InvalidInput"
    assert len(answer["error"]["message"]) < 300
    assert engine.live_watches == 0


async def test_one_topic_too_many_is_refused(engine: PlainEngine, folder: Any) -> None:
    """The bound is named, and what was followed before goes on."""
    async with (
        opened_door(engine, folder / "e.sock", limits=SessionLimits(topics_max=2)) as door,
        await RawClient.attach(door.path) as client,
    ):
        topics = [chain_name(key) for key in engine.keys]
        for topic in topics:
            await client.call("follow", topic=topic)
        answer = await client.call("follow", topic="desk")
        assert "2 topics" in answer["error"]["message"]
        assert engine.live_watches == 2
        await client.call("unfollow", topic=topics[0])
        assert "result" in await client.call("follow", topic="desk")


async def test_one_call_too_many_is_refused(engine: PlainEngine, folder: Any) -> None:
    """More calls side by side than allowed are refused at once, and none of those is done."""
    engine.submit_gate.clear()
    async with (
        opened_door(engine, folder / "e.sock", limits=SessionLimits(calls_max=3)) as door,
        await RawClient.attach(door.path) as client,
    ):
        for _ in range(5):
            await client.connection.send(client.request("submit", command=order(engine)))
        refusals = [await client.answer(), await client.answer()]
        assert {refusal["id"] for refusal in refusals} == {4, 5}
        assert all("limit of one client" in refusal["error"]["message"] for refusal in refusals)
        engine.submit_gate.set()
        assert {(await client.answer())["id"] for _ in range(3)} == {1, 2, 3}
        assert len(engine.finished) == 3


async def test_a_message_that_is_too_long_closes_only_its_sender(
    door: LocalDoor, raw: RawClient, remote: RemoteClient
) -> None:
    """Five megabytes end the conversation with the standard's code; another client notices nothing."""
    await raw.connection.send("x" * 5_000_000)
    with pytest.raises(ConnectionClosed) as caught:
        await raw.answer()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009
    assert (await remote.funds()).net > 0
    await until(lambda: door.clients == 1, "one client left")


async def test_our_own_client_does_not_send_what_is_too_long(engine: PlainEngine, remote: RemoteClient) -> None:
    """It says so beforehand, and its link stays."""
    with pytest.raises(InvalidInput, match="nothing was sent"):
        await remote.search("x" * 5_000_000)
    assert (await remote.funds()).net > 0
    assert not engine.submitted


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("The third word is wrong.", field="text", place=7),
        BrokerRejected("Margin is short.", code=400, kind="MarginException"),
        RateLimited("Too fast.", retry_after_s=1.5),
        Refused("The mode is READ."),
        WorkstationError("Something."),
    ],
)
async def test_an_error_arrives_as_it_was_raised(
    engine: PlainEngine, remote: RemoteClient, error: WorkstationError
) -> None:
    """Kind, words and everything it carries are the same over the socket."""
    engine.failures["positions"] = error
    with pytest.raises(type(error)) as caught:
        await remote.positions()
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert vars(caught.value) == vars(error)


async def test_a_defect_in_one_call_is_not_the_end(
    engine: PlainEngine, remote: RemoteClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller learns that it may have been done, the log has the story, and the link goes on."""
    engine.failures["submit"] = ZeroDivisionError("secret detail")
    command = (await remote.interpret(f"buy {engine.instruments[0].tradingsymbol}")).command
    assert command is not None
    with pytest.raises(WorkstationError, match="may have been done") as caught:
        await remote.submit(command)
    assert "secret" not in str(caught.value)
    assert "secret detail" in caplog.text
    assert (await remote.funds()).net > 0


async def test_another_revision_of_the_protocol_is_told_at_once(
    door: LocalDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of another version does not guess; it says which side to renew."""
    greeting = b'{"jsonrpc":"2.0","id":1,"result":{"revision":99,"seat":"local-9"}}'

    async def greet_strangely(self: Link, method: str, **parameters: Any) -> msgspec.Raw:
        del self, method, parameters
        return msgspec.json.decode(greeting, type=protocol.Answer).result

    monkeypatch.setattr(Link, "call", greet_strangely)
    with pytest.raises(SetupError, match="revision 99"):
        await RemoteClient.attach(door.path)
    await until(lambda: door.clients == 0, "nobody attached")


async def test_answers_come_in_any_order(engine: PlainEngine, raw: RawClient) -> None:
    """A call that waits does not hold up the next one."""
    engine.submit_gate.clear()
    await raw.connection.send(raw.request("submit", command=order(engine)))
    await asyncio.wait_for(engine.submit_reached.wait(), 5)
    assert (await raw.call("funds"))["id"] == 2
    engine.submit_gate.set()
    assert (await raw.answer())["id"] == 1
