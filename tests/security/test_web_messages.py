"""What a client may say at the web door: everything else is refused as the protocol says, and harms nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from engine.core.commands import CancelOrders
from engine.server import protocol
from engine.server.access import Scope
from tests.kit.local_door import until
from tests.kit.plain_engine import PlainEngine
from tests.kit.web_door import LIMITS, SETTINGS, Site, ended, opened_site, unharmed
from tests.security.test_web_scopes import submit

pytestmark = pytest.mark.usefixtures("bystander")

MEGABYTE = 2**20


async def test_a_message_of_ten_megabytes(site: Site) -> None:
    """It closes its sender with the standard's code, whatever it is about, and is written down."""
    async with await site.attach(site.token(name="big")) as client:
        sending = asyncio.create_task(client.connection.send("x" * 10 * MEGABYTE))
        end = await ended(client)
        await asyncio.gather(sending, return_exceptions=True)
    assert end.rcvd is not None
    assert end.rcvd.code == 1009
    await until(lambda: site.figure("disconnections_total", door="web", reason="too_big") == 1, "the end")
    assert any(line["kind"] == "limit" and line["name"] == "big" for line in site.audited())


async def test_a_message_at_the_limit(site: Site) -> None:
    """A message of exactly the longest length is read; one more byte is not."""
    longest = LIMITS.request_bytes_max
    async with await site.attach(site.token()) as client:
        call = client.request("hello")
        assert "result" in await client.say(call + " " * (longest - len(call)))
        await client.connection.send(call + " " * (longest - len(call) + 1))
        end = await ended(client)
    assert end.rcvd is not None
    assert end.rcvd.code == 1009


async def test_a_long_message_in_pieces(site: Site) -> None:
    """Cutting a message up does not get around its limit."""
    async with await site.attach(site.token()) as client:
        pieces = ["x" * MEGABYTE] * 3
        sending = asyncio.create_task(client.connection.send(pieces))
        end = await ended(client)
        await asyncio.gather(sending, return_exceptions=True)
    assert end.rcvd is not None
    assert end.rcvd.code == 1009


@pytest.mark.parametrize("text", ["hello", "{", '{"jsonrpc":', "\x00\x01", "", "NaN", "'single'", "{1"])
async def test_text_that_is_not_json(site: Site, text: str) -> None:
    """It is answered with the protocol's parse error, and the client may go on."""
    async with await site.attach(site.token()) as client:
        answer = await client.say(text)
        assert answer["error"]["code"] == protocol.PARSE_ERROR
        assert answer["id"] is None
        assert "result" in await client.call("hello")


@pytest.mark.parametrize(
    "value",
    [
        1,
        "text",
        {},
        {"jsonrpc": "2.0"},
        {"jsonrpc": "1.0", "method": "hello", "id": 1},
        {"jsonrpc": "2.0", "method": 5, "id": 1},
        {"jsonrpc": "2.0", "method": "hello", "id": 1.5},
        {"jsonrpc": "2.0", "method": "hello", "id": 2**60},
        {"jsonrpc": "2.0", "method": "hello", "id": "x" * 65},
        {"jsonrpc": "2.0", "method": "hello", "id": {}},
        {"jsonrpc": "2.0", "method": "hello", "id": 1, "more": 1},
        [{"jsonrpc": "2.0", "method": "hello", "id": 1}],
    ],
    ids=repr,
)
async def test_json_that_is_no_request(site: Site, value: object) -> None:
    """It is answered with the protocol's own code, and nothing is done."""
    async with await site.attach(site.token()) as client:
        answer = await client.say(msgspec.json.encode(value).decode())
        assert answer["error"]["code"] == protocol.INVALID_REQUEST
        assert "result" in await client.call("hello")


async def test_a_call_without_an_id_does_nothing(site: Site, engine: PlainEngine) -> None:
    """An order that could never be answered is not placed."""
    async with await site.attach(site.token(Scope.TRADE)) as client:
        command = {"type": "cancel_orders", "everything": True}
        text = msgspec.json.encode({"jsonrpc": "2.0", "method": "submit", "params": {"command": command}})
        answer = await client.say(text.decode())
        assert "Nothing was done" in answer["error"]["message"]
    assert not engine.submitted


async def test_a_binary_frame(site: Site) -> None:
    """Requests come in text frames; a binary one is told so."""
    async with await site.attach(site.token()) as client:
        answer = await client.say(client.request("hello").encode())
        assert answer["error"]["code"] == protocol.INVALID_REQUEST
        assert "text frames" in answer["error"]["message"]
        assert "result" in await client.call("hello")


async def test_text_that_is_no_text(site: Site) -> None:
    """A text frame that is not UTF-8 closes its sender with the standard's code."""
    async with await site.attach(site.token()) as client:
        await client.connection.send(b'"\xff\xfe"', text=True)
        end = await ended(client)
    assert end.rcvd is not None
    assert end.rcvd.code == 1007
    await until(lambda: site.figure("disconnections_total", door="web", reason="protocol") == 1, "the end")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"jsonrpc":"2.0","method":"search","id":1,"params":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"jsonrpc":"2.0","method":"submit","id":1,"params":{"command":' + '{"x":' * 50_000 + "1" + "}" * 50_000 + "}}",
    ],
    ids=["arrays", "objects", "parameters", "command"],
)
async def test_deep_nesting(site: Site, text: str) -> None:
    """However deep a message is nested, its sender gets an error and the process goes on."""
    async with await site.attach(site.token(Scope.TRADE)) as client:
        assert "error" in await client.say(text)
        assert "result" in await client.call("hello")


@pytest.mark.parametrize("method", ["", "nothing", "Submit", "__class__", "rpc.nothing", "x" * 100_000])
async def test_an_unknown_method(site: Site, method: str) -> None:
    """It is answered with the protocol's code and the names there are; what was asked is cut short in the answer."""
    async with await site.attach(site.token(Scope.ADMIN)) as client:
        answer = await client.call(method)
        assert answer["error"]["code"] == protocol.METHOD_NOT_FOUND
        assert "submit" in answer["error"]["message"]
        assert len(answer["error"]["message"]) < 10_000
    assert not site.figure("calls_total", method=method, outcome="invalid")


REQUEST = {"instrument": {"exchange": "NFO", "tradingsymbol": "X"}, "side": "BUY", "quantity": 65, "price": "100.05"}
ORDER = {"type": "place_order", "request": REQUEST}


@pytest.mark.parametrize(
    ("method", "parameters", "field", "words"),
    [
        ("search", {"text": 5}, "text", "Expected str, got int"),
        ("search", {}, None, "missing required field text"),
        ("search", {"text": "x" * 5000}, "text", "4096 at most"),
        ("search", {"text": "x", "limt": 5}, None, "unknown field limt"),
        ("search", {"text": "x", "limit": 2**60}, "limit", "between"),
        ("search", {"text": "x", "limit": "5"}, "limit", "Expected int, got str"),
        ("events", {"after": None}, "after", "Expected int, got null"),
        ("expiries", ["NIFTY"], None, "Expected object, got array"),
        ("candles", {"strategy": 1, "start": "2026-11-19T11:00:00", "end": "2026-11-19T11:00:00Z"}, "start", "zone"),
        ("submit", {"command": {"type": "shout"}}, "command.type", "shout"),
        ("submit", {"command": {}}, "command", "type"),
        (
            "submit",
            {"command": {"type": "cancel_orders", "numbers": list(range(1001))}},
            "command.numbers",
            "1000 at most",
        ),
        (
            "submit",
            {"command": {"type": "place_order", "request": REQUEST | {"price": 100.05}}},
            "command.request.price",
            "an amount is a text",
        ),
        (
            "submit",
            {"command": {"type": "place_order", "request": REQUEST | {"price": "NaN"}}},
            "command.request.price",
            "not a finite number",
        ),
        (
            "submit",
            {"command": {"type": "place_order", "request": REQUEST | {"side": "HOLD"}}},
            "command.request.side",
            "HOLD",
        ),
        (
            "submit",
            {"command": ORDER | {"idempotency_kye": "once"}},
            "command.idempotency_kye",
            "no such field",
        ),
        ("follow", {"topic": "quotes", "tokens": [-1]}, "tokens[0]", "0"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_wrong_types(
    site: Site, engine: PlainEngine, *, method: str, parameters: Any, field: str | None, words: str
) -> None:
    """The answer names the field, and what is allowed there; nothing is done."""
    async with await site.attach(site.token(Scope.ADMIN)) as client:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = await client.say(msgspec.json.encode(call).decode())
        assert answer["error"]["code"] == protocol.INVALID_PARAMS, answer
        assert words in answer["error"]["message"], answer
        assert answer["error"]["data"].get("field") == field, answer
        assert "result" in await client.call("hello")
    assert not engine.submitted


async def test_ten_thousand_instruments_in_one_call(site: Site, engine: PlainEngine) -> None:
    """More tokens than a list may have are refused with the bound, and none is subscribed."""
    async with await site.attach(site.token()) as client:
        answer = await client.call("follow", topic="quotes", tokens=list(range(10_000)))
        assert answer["error"]["code"] == protocol.INVALID_PARAMS
        assert "1000 at most" in answer["error"]["message"]
    assert engine.live_watches == 0


async def test_ten_thousand_subscriptions(engine: PlainEngine, site: Site) -> None:
    """Of ten thousand calls to follow those beyond the bound are refused; all is given up when the client goes."""
    names = list(engine.keys) * 5000
    async with await site.attach(site.token()) as client:

        async def ask() -> None:
            for number, key in enumerate(names):
                topic = f"chain/{key.underlying}/{key.expiry}" if number % 3 else f"chain/X{number}/{key.expiry}"
                await client.connection.send(client.request("follow", topic=topic))

        asking = asyncio.create_task(ask())
        answers = [await client.answer() for _ in names]
        await asking
        assert len(answers) == 10_000
        refused = [answer for answer in answers if "error" in answer]
        assert len(refused) > 3_000
        codes = {answer["error"]["code"] for answer in refused}
        assert codes <= {protocol.ENGINE_ERROR, protocol.TOO_MANY, protocol.INVALID_PARAMS}
        assert len(site.served.pictures.followed) <= LIMITS.topics_max
    await until(lambda: not site.served.pictures.followed, "all given up")
    await until(lambda: engine.live_watches == 0, "nothing watched")


async def test_more_instruments_than_one_client_may_follow(site: Site, tmp_path: Any) -> None:
    """Many small calls do not get around the bound of instruments."""
    engine = PlainEngine()
    limits = msgspec.structs.replace(LIMITS, tokens_max=5)
    settings = msgspec.structs.replace(SETTINGS, limits=limits)
    async with opened_site(engine, tmp_path / "small", settings) as small, unharmed(small):
        async with await small.attach(small.token()) as client:
            tokens = [instrument.token for instrument in engine.instruments[:8]]
            outcomes = ["result" in await client.call("follow", topic="quotes", tokens=[token]) for token in tokens]
            assert outcomes == [True] * 5 + [False] * 3
            assert engine.token_watches.total() == 5
        await until(lambda: engine.live_watches == 0, "nothing watched")
    assert site.door.clients == 1


async def test_the_rate_of_calls_and_its_reserve(site: Site, tmp_path: Any) -> None:
    """A client that used up its calls is refused, but its cancels still pass; others are not touched by it."""
    engine = PlainEngine()
    limits = msgspec.structs.replace(LIMITS, calls_per_s=0.01, calls_burst=20, exits_per_s=0.01, exits_max=4)
    settings = msgspec.structs.replace(SETTINGS, limits=limits)
    async with opened_site(engine, tmp_path / "small", settings) as small, unharmed(small):
        async with await small.attach(small.token(Scope.TRADE, name="eager")) as client:
            answers = [await client.call("funds") for _ in range(30)]
            assert ["result" in answer for answer in answers] == [True] * 20 + [False] * 10
            assert answers[-1]["error"]["code"] == protocol.TOO_MANY
            assert "Nothing was done" in answers[-1]["error"]["message"]
            cancels = [await submit(client, CancelOrders(everything=True)) for _ in range(6)]
            assert ["result" in answer for answer in cancels] == [True] * 4 + [False] * 2
        assert len(engine.submitted) == 4
        noted = [line for line in small.audited() if line["kind"] == "limit"]
        assert [line["name"] for line in noted] == ["eager"]
    assert site.door.clients == 1


async def test_garbage_is_not_free(site: Site, tmp_path: Any) -> None:
    """What is no call counts against the rate too."""
    limits = msgspec.structs.replace(LIMITS, calls_per_s=0.01, calls_burst=5)
    settings = msgspec.structs.replace(SETTINGS, limits=limits)
    async with opened_site(PlainEngine(), tmp_path / "small", settings) as small:
        async with await small.attach(small.token()) as client:
            codes = [(await client.say("garbage"))["error"]["code"] for _ in range(8)]
        assert codes == [protocol.PARSE_ERROR] * 5 + [protocol.TOO_MANY] * 3
    assert site.door.clients == 1
