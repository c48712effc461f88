"""Many clients, one engine: what is shown to all is made once, and one that does not read costs the others nothing.

Work is counted, not timed: encodings of quotes, messages put together, messages that arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.core.quotes import DepthLevel, Quote
from engine.core.views import Integers
from engine.core.vocabulary import QuoteState
from engine.server import protocol, wire
from engine.server.access import Scope
from tests.kit.local_door import RawClient, until
from tests.kit.plain_engine import MARKET_TIME, PlainEngine
from tests.kit.web_door import LIMITS, SETTINGS, Site, ended, opened_site

CLIENTS = 20
TOKENS = tuple(2_000_002 + 256 * number for number in range(50))
FEW = 7
SETTINGS_OF_MANY = msgspec.structs.replace(SETTINGS, connections_max=CLIENTS + 2)
FROZEN_BUFFER_BYTES = 4096
WITH_FROZEN = msgspec.structs.replace(SETTINGS_OF_MANY, limits=msgspec.structs.replace(LIMITS, send_timeout_s=1.0))
LEVELS_OF_A_LONG_BOOK = 2000
"""So long a message does not fit into what the kernel keeps for somebody who does not read."""


class WideEngine(PlainEngine):
    """Shows fifty instruments that a test moves one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.bids: dict[int, tuple[DepthLevel, ...]] = {}
        self.move(TOKENS, 100)
        self.reads = 0
        """How often quotes were looked at."""

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """See ``EngineClient``."""
        self.reads += 1
        return super().quote_marks(tokens)

    def quote(self, token: int) -> Quote | None:
        """See ``EngineClient``; always a fresh object, as old as it is."""
        return Quote(
            token=token, state=QuoteState.LIVE, bids=self.bids[token], received_time=MARKET_TIME, age_s=self.reads * 0.1
        )

    async def watch(self, tokens: Sequence[int]) -> None:
        """See ``EngineClient``."""
        await asyncio.sleep(0)
        self.token_watches.update(tokens)

    def move(self, tokens: Sequence[int], price: int, *, levels: int = 1) -> None:
        """Let these have another bid."""
        for token in tokens:
            self.bids[token] = (DepthLevel(Decimal(price), 65, 1),) * levels
        self._quote_changes.update(tokens)


class Tally:
    """What was made since it was last asked."""

    def __init__(self) -> None:
        self.quotes: list[int] = []
        """Tokens of quotes that were encoded."""
        self.messages = 0
        """Messages put together."""

    def forget(self) -> None:
        """Begin anew."""
        self.quotes.clear()
        self.messages = 0


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    """Counts, and lets everything happen as it would."""
    counted, encode, put_together = Tally(), wire.encode, protocol.picture_update

    def counting_encode(value: object) -> bytes:
        if isinstance(value, Quote):
            counted.quotes.append(value.token)
        return encode(value)

    def counting_update(*arguments: Any) -> bytes:
        counted.messages += 1
        return put_together(*arguments)

    monkeypatch.setattr(wire, "encode", counting_encode)
    monkeypatch.setattr(protocol, "picture_update", counting_update)
    return counted


@contextlib.asynccontextmanager
async def followers(site: Site, sets: Sequence[Sequence[int]]) -> AsyncIterator[list[RawClient]]:
    """Clients that have been answered, each to its own tokens."""
    token = site.token(Scope.READ, name="many")
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await site.attach(token)) for _ in sets]
        for client, tokens in zip(clients, sets, strict=True):
            answer = await client.call("follow", topic="quotes", tokens=list(tokens))
            assert len(answer["result"]["parts"]) == len(tokens)
        yield clients


def is_stalled(site: Site) -> bool:
    """Whether somebody has not taken all that it was sent."""
    return any(session._connection.transport.get_write_buffer_size() for session in site.door._sessions)


def names(update: dict[str, Any]) -> set[int]:
    """The tokens that an update tells of."""
    return {int(name) for name in update["parts"]}


async def test_a_changed_quote_is_encoded_once_and_one_message_goes_to_all(tmp_path: Path, tally: Tally) -> None:
    """Twenty clients with the same fifty instruments cost one encoding for each change, and share one message."""
    engine = WideEngine()
    async with opened_site(engine, tmp_path, SETTINGS_OF_MANY) as site, followers(site, [TOKENS] * CLIENTS) as clients:
        assert Counter(tally.quotes) == Counter(TOKENS), "for the snapshots too"
        for turn in range(1, 6):
            changed = TOKENS[turn : turn + FEW]
            tally.forget()
            engine.move(changed, 100 + turn)
            updates = [await client.next_topic() for client in clients]
            assert all(names(update) == set(changed) for update in updates)
            assert Counter(tally.quotes) == Counter(changed)
            assert tally.messages == 1


async def test_nothing_is_made_while_nothing_changes(tmp_path: Path, tally: Tally) -> None:
    """Looking goes on, and quotes grow older: neither is a message."""
    engine = WideEngine()
    async with opened_site(engine, tmp_path, SETTINGS_OF_MANY) as site, followers(site, [TOKENS] * CLIENTS) as clients:
        tally.forget()
        looks = engine.reads
        await until(lambda: engine.reads > looks + 20 * len(TOKENS), "twenty looks")
        assert (tally.quotes, tally.messages) == ([], 0)
        assert "result" in await clients[0].call("funds")
        assert not clients[0].topics


async def test_clients_with_their_own_sets_share_the_encodings(tmp_path: Path, tally: Tally) -> None:
    """Sets that overlap are still one encoding a change; each client is told of its own instruments alone."""
    engine = WideEngine()
    sets = [TOKENS[number : number + 30] for number in range(CLIENTS)]
    changed = TOKENS[15 : 15 + FEW]
    async with opened_site(engine, tmp_path, SETTINGS_OF_MANY) as site, followers(site, sets) as clients:
        assert Counter(tally.quotes) == Counter(TOKENS[: CLIENTS - 1 + 30])
        tally.forget()
        engine.move(changed, 101)
        for client, tokens in zip(clients, sets, strict=True):
            expected = set(tokens) & set(changed)
            if expected:
                assert names(await client.next_topic()) == expected
        assert Counter(tally.quotes) == Counter(changed)
        assert tally.messages <= CLIENTS


async def test_a_client_alone_with_an_instrument_is_told_of_it_alone(tmp_path: Path, tally: Tally) -> None:
    """What one follows is no message to another, however often it changes, and leaves no gap for it either."""
    engine = WideEngine()
    async with (
        opened_site(engine, tmp_path, SETTINGS_OF_MANY) as site,
        followers(site, [TOKENS[:1], TOKENS[1:2]]) as (mine, other),
    ):
        for turn in range(1, 4):
            engine.move(TOKENS[:1], 100 + turn)
            assert names(await mine.next_topic()) == {TOKENS[0]}
        assert tally.quotes.count(TOKENS[0]) == 4
        engine.move(TOKENS[1:2], 200)
        update = await other.next_topic()
        assert names(update) == {TOKENS[1]}
        assert not other.topics


async def test_a_frozen_client_leaves_the_counts_of_the_others_whole(tmp_path: Path, tally: Tally) -> None:
    """While one takes nothing, until it is closed as too slow, all others are sent every change, encoded once."""
    engine = WideEngine()
    async with opened_site(engine, tmp_path, WITH_FROZEN) as site, followers(site, [TOKENS] * 5) as clients:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FROZEN_BUFFER_BYTES)
        narrow.connect(site.door.address)
        frozen = await site.attach(site.token(Scope.READ, name="frozen"), sock=narrow)
        await frozen.call("follow", topic="quotes", tokens=list(TOKENS[:1]))
        frozen.connection.transport.pause_reading()
        tally.forget()
        turns = stalled = 0
        while not site.figure("slow_clients_closed_total"):
            turns += 1
            assert turns < 500, "the frozen client was not closed"
            engine.move(TOKENS[:1], 100 + turns, levels=LEVELS_OF_A_LONG_BOOK)
            for client in clients:
                update = await client.next_topic()
                assert names(update) == {TOKENS[0]}
                assert update["parts"][str(TOKENS[0])]["bids"][0]["price"] == str(100 + turns)
            stalled += is_stalled(site)
        assert stalled > 2, "the others waited for the frozen one"
        assert tally.quotes == [TOKENS[0]] * turns
        assert site.figure("messages_sent_total", kind="quotes") >= turns * len(clients)
        await until(lambda: site.door.clients == len(clients), "the frozen one closed")
        assert site.figure("disconnections_total", door="web", reason="slow") == 1
        frozen.connection.transport.resume_reading()
        closed = await ended(frozen)
        assert closed.rcvd is None or closed.rcvd.code == protocol.CLOSE_TRY_LATER
        for client in clients:
            assert "result" in await client.call("funds")
