"""The ticker against a real WebSocket server: subscriptions, reconnection, watchdog, refused sessions, no leaks."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.brokers.feed import FeedMode
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.ticker import KiteTicker, TickerSettings
from engine.core.errors import InvalidInput, SessionExpired
from tests.kit.scripted_kite import WAIT_SECONDS, ScriptedFeed, closed_port_root

FULL, LTP = FeedMode.FULL, FeedMode.LTP
TOKEN = "secret-token-of-the-day"
FAST = TickerSettings(backoff_initial_s=0.01, backoff_max_s=0.02, close_timeout_s=0.1)


class Heard:
    """A listener that keeps everything and can be waited on."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def _note(self, name: str, value: object) -> None:
        self.events.append((name, value))
        task = asyncio.get_running_loop().create_task(self._wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def connected(self, at_ns: int) -> None:
        self._note("connected", at_ns)

    def disconnected(self, reason: str) -> None:
        self._note("disconnected", reason)

    def heard(self, at_ns: int) -> None:
        self._note("heard", at_ns)

    def frame(self, payload: bytes, received_ns: int) -> None:
        self._note("frame", payload)

    def text(self, payload: str) -> None:
        self._note("text", payload)

    def session_expired(self, error: SessionExpired) -> None:
        self._note("expired", error)

    def of(self, name: str) -> list[object]:
        """Values of one kind of event."""
        return [value for kind, value in self.events if kind == name]

    async def until(self, name: str, count: int = 1) -> list[object]:
        """Wait until an event came so often."""
        async with asyncio.timeout(WAIT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.of(name)) >= count)
        return self.of(name)


class Desk:
    """A ticker under test with what it desires."""

    def __init__(self, root: str, settings: TickerSettings = FAST) -> None:
        self.heard = Heard()
        self.desired: dict[int, FeedMode] = {1: FULL, 2: FULL, 3: LTP}
        self.open = True
        self.ticker = KiteTicker(
            root,
            KiteCredentials("key", TOKEN),
            desired=self._desired,
            listener=self.heard,
            is_open=lambda: self.open,
            random=Random(1),  # noqa: S311 - jitter
            settings=settings,
        )

    def _desired(self) -> Mapping[int, FeedMode]:
        return self.desired


@asynccontextmanager
async def running(feed: ScriptedFeed, settings: TickerSettings = FAST) -> AsyncIterator[Desk]:
    """A ticker that runs against ``feed`` and is cancelled at the end."""
    desk = Desk(feed.root, settings)
    task = asyncio.create_task(desk.ticker.run())
    try:
        yield desk
    finally:
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert not desk.ticker.is_connected


@pytest.fixture
async def feed() -> AsyncIterator[ScriptedFeed]:
    """A ticker server."""
    async with ScriptedFeed() as server:
        yield server


EVERYTHING = [
    {"a": "subscribe", "v": [1, 2, 3]},
    {"a": "mode", "v": ["ltp", [3]]},
    {"a": "mode", "v": ["full", [1, 2]]},
]


async def test_it_connects_as_the_protocol_says_and_tells_everything_desired(feed: ScriptedFeed) -> None:
    """Key, token and version are sent; every instrument is subscribed with an explicit mode."""
    async with running(feed):
        client = await feed.client()
        query = parse_qs(urlsplit(client.path).query)
        assert query == {"api_key": ["key"], "access_token": [TOKEN]}
        assert client.version == "3"
        assert await client.told(3) == EVERYTHING


async def test_changes_are_told_incrementally(feed: ScriptedFeed) -> None:
    """A changed wish sends the difference only: removals, additions, and modes."""
    async with running(feed) as desk:
        client = await feed.client()
        await client.told(3)
        desk.desired = {1: FULL, 3: FULL, 4: LTP}
        desk.ticker.subscriptions_changed()
        desk.ticker.subscriptions_changed()
        assert await client.told(4) == [
            {"a": "unsubscribe", "v": [2]},
            {"a": "subscribe", "v": [4]},
            {"a": "mode", "v": ["ltp", [4]]},
            {"a": "mode", "v": ["full", [3]]},
        ]


async def test_what_nothing_is_known_of_is_subscribed_anew(feed: ScriptedFeed) -> None:
    """Given up and taken back with its mode, although the wish is what it was; what was never told is no matter."""
    async with running(feed) as desk:
        client = await feed.client()
        await client.told(3)
        desk.ticker.ask_again([2, 77])
        assert await client.told(3) == [
            {"a": "unsubscribe", "v": [2]},
            {"a": "subscribe", "v": [2]},
            {"a": "mode", "v": ["full", [2]]},
        ]


async def test_large_wishes_are_told_in_chunks(feed: ScriptedFeed) -> None:
    """No message names more than 500 instruments, and together they name all."""
    async with running(feed) as desk:
        client = await feed.client()
        await client.told(3)
        desk.desired = dict.fromkeys(range(100, 1300), FULL)
        desk.ticker.subscriptions_changed()
        messages = await client.told(1 + 3 + 3)
        assert [message["a"] for message in messages] == ["unsubscribe"] + ["subscribe"] * 3 + ["mode"] * 3
        subscribed = [message["v"] for message in messages[1:4]]
        assert [len(tokens) for tokens in subscribed] == [500, 500, 200]
        assert sorted(token for tokens in subscribed for token in tokens) == list(range(100, 1300))


async def test_frames_texts_and_heartbeats_go_their_ways(feed: ScriptedFeed) -> None:
    """Binary frames and texts are handed on whole; a heartbeat only says that the path lives; all are counted."""
    frame = struct.pack(">HHII", 1, 8, 3_840_002, 12_350)
    async with running(feed) as desk:
        client = await feed.client()
        await client.send(b"\x00")
        await client.send('{"type":"message","data":"hello"}')
        await client.send(frame)
        assert await desk.heard.until("frame") == [frame]
        assert desk.heard.of("text") == ['{"type":"message","data":"hello"}']
        assert len(desk.heard.of("heard")) == 3
        stats = desk.ticker.stats
        assert (stats.heartbeats, stats.text_frames, stats.binary_frames) == (1, 1, 1)
        assert stats.bytes == 1 + 33 + len(frame)
        age = stats.last_byte_age_s(time.monotonic_ns())
        assert age is not None
        assert 0 <= age < WAIT_SECONDS


async def test_after_a_loss_it_comes_back_and_tells_everything_again(feed: ScriptedFeed) -> None:
    """A closed connection is replaced, and the desired state of that moment is told whole."""
    async with running(feed) as desk:
        first = await feed.client()
        await first.told(3)
        await first.close()
        second = await feed.client()
        assert await second.told(3) == EVERYTHING
        assert [name for name, _ in desk.heard.events] == ["connected", "disconnected", "connected"]
        assert desk.ticker.stats.reconnects == 1


async def test_a_silent_connection_is_replaced_while_the_market_is_open(feed: ScriptedFeed) -> None:
    """Without a byte for the limit the watchdog ends the connection and another is made."""
    settings = TickerSettings(silence_limit_s=0.1, backoff_initial_s=0.01, close_timeout_s=0.1)
    async with running(feed, settings) as desk:
        silent = await feed.client()
        await silent.gone()
        await feed.client()
        reasons = await desk.heard.until("disconnected")
        assert reasons == ["nothing was heard for 0.1 s"]
        assert desk.ticker.stats.silent_replaced == 1


class Watched:
    """A monotonic clock that a test moves, and that tells how often it was looked at."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000
        self._looks = 0
        self._awaited = 0
        self._reached = asyncio.Event()

    def __call__(self) -> int:
        self._looks += 1
        if self._looks >= self._awaited:
            self._reached.set()
        return self.now_ns

    async def looked(self, times: int) -> None:
        """Wait until it was looked at so often more."""
        self._awaited = self._looks + times
        self._reached.clear()
        async with asyncio.timeout(WAIT_SECONDS):
            await self._reached.wait()


async def test_heartbeats_keep_a_connection(feed: ScriptedFeed) -> None:
    """A connection that only beats is never replaced, though its beats span many limits; without them it is."""
    settings = TickerSettings(silence_limit_s=0.04, backoff_initial_s=0.01, close_timeout_s=0.1)
    desk, clock = Desk(feed.root, settings), Watched()
    desk.ticker._monotonic_ns = clock
    task = asyncio.create_task(desk.ticker.run())
    try:
        client = await feed.client()
        await desk.heard.until("connected")
        for beat in range(1, 6):
            clock.now_ns += 39_000_000
            await clock.looked(2)
            await client.send(b"\x00")
            await desk.heard.until("heard", beat)
        assert desk.heard.of("disconnected") == []
        clock.now_ns += 41_000_000
        await desk.heard.until("disconnected")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_silence_is_no_fault_while_the_market_is_closed(feed: ScriptedFeed) -> None:
    """Out of session a silent connection stays; when the session opens it is judged."""
    settings = TickerSettings(silence_limit_s=0.05, backoff_initial_s=0.01, close_timeout_s=0.1)
    desk = Desk(feed.root, settings)
    looked = asyncio.Event()
    looks = 0

    def is_open() -> bool:
        nonlocal looks
        looks += 1
        if looks >= 3:
            looked.set()
        return desk.open

    desk.open = False
    desk.ticker._is_open = is_open
    task = asyncio.create_task(desk.ticker.run())
    try:
        await feed.client()
        async with asyncio.timeout(WAIT_SECONDS):
            await looked.wait()
        assert desk.heard.of("disconnected") == []
        desk.open = True
        await desk.heard.until("disconnected")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_refused_session_stops_it_until_a_new_token(feed: ScriptedFeed) -> None:
    """HTTP 403 is told once and not tried again; renewing goes on with the new token."""
    feed.statuses = [403]
    async with running(feed) as desk:
        expired = await desk.heard.until("expired")
        assert isinstance(expired[0], SessionExpired)
        assert TOKEN not in str(expired[0])
        assert len(feed.attempts) == 1
        desk.ticker.renew("another-token")
        client = await feed.client()
        assert parse_qs(urlsplit(client.path).query)["access_token"] == ["another-token"]
        assert len(feed.attempts) == 2
        assert len(desk.heard.of("expired")) == 1


async def test_a_session_refused_for_a_moment_goes_on_without_a_login(feed: ScriptedFeed) -> None:
    """The broker refuses twice and then lets us in: told once, tried again with the same token, connected."""
    feed.statuses = [403, 403]
    async with running(feed, replace(FAST, refused_retry_s=0.05)) as desk:
        client = await feed.client()
        assert parse_qs(urlsplit(client.path).query)["access_token"] == [TOKEN]
        assert len(feed.attempts) == 3
        assert len(desk.heard.of("expired")) == 1
        assert await client.told(3) == EVERYTHING


async def test_renewing_replaces_a_running_connection(feed: ScriptedFeed) -> None:
    """A new token reaches a connected ticker without a restart."""
    async with running(feed) as desk:
        first = await feed.client()
        await first.told(3)
        desk.ticker.renew("another-token")
        second = await feed.client()
        assert "another-token" in second.path
        assert await second.told(3) == EVERYTHING
        assert desk.heard.of("disconnected") == ["the session was renewed"]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_other_refusals_are_tried_again(feed: ScriptedFeed, status: int) -> None:
    """A busy or broken server is tried again until it lets us in."""
    feed.statuses = [status] * 3
    async with running(feed) as desk:
        await feed.client()
        assert len(feed.attempts) == 4
        assert desk.heard.of("expired") == []


async def test_an_absent_server_is_tried_again_and_again() -> None:
    """Where nothing listens the ticker keeps trying, says why, and ends when cancelled."""
    desk = Desk(closed_port_root().replace("http", "ws"))
    tries = 0
    again = asyncio.Event()

    def wait_s(failures: int) -> float:
        nonlocal tries
        assert failures == tries
        tries += 1
        if tries == 3:
            again.set()
        return 0.0

    desk.ticker._wait_s = wait_s  # type: ignore[method-assign]
    task = asyncio.create_task(desk.ticker.run())
    async with asyncio.timeout(WAIT_SECONDS):
        await again.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "could not connect" in desk.ticker.stats.last_failure
    assert desk.heard.events == []


async def test_a_connection_that_lasted_ends_the_row_of_failures(feed: ScriptedFeed) -> None:
    """After failures a stable connection's loss is waited for like a first one, a short-lived one's is not."""
    for stable_after_s, expected in ((0.0, [0, 0, 0]), (3600.0, [0, 1, 2])):
        desk = Desk(feed.root, TickerSettings(stable_after_s=stable_after_s, close_timeout_s=0.1))
        waits: list[int] = []

        def wait_s(failures: int, waits: list[int] = waits) -> float:
            waits.append(failures)
            return 0.0

        desk.ticker._wait_s = wait_s  # type: ignore[method-assign]
        task = asyncio.create_task(desk.ticker.run())
        for _ in range(3):
            await (await feed.client()).close()
        await feed.client()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert waits == expected


async def test_an_oversized_frame_ends_the_connection_not_the_ticker(feed: ScriptedFeed) -> None:
    """A frame beyond the bound is not taken in; the ticker comes back."""
    async with running(feed, TickerSettings(frame_bytes_max=1000, backoff_initial_s=0.01, close_timeout_s=0.1)) as desk:
        client = await feed.client()
        await client.send(bytes(2000))
        await feed.client()
        assert desk.heard.of("frame") == []
        assert len(desk.heard.of("disconnected")) == 1


async def test_waits_double_up_to_the_limit_with_jitter() -> None:
    """The wait grows from the first to the greatest, always between half and the whole of it."""
    desk = Desk("ws://127.0.0.1:1", TickerSettings(backoff_initial_s=1.0, backoff_max_s=8.0))
    waits = [desk.ticker._wait_s(failures) for failures in (0, 1, 2, 3, 4, 50, 5000)]
    for wait, full in zip(waits, (1, 2, 4, 8, 8, 8, 8), strict=True):
        assert full / 2 <= wait <= full


async def test_the_token_is_never_logged(feed: ScriptedFeed, caplog: pytest.LogCaptureFixture) -> None:
    """Even with every logger at DEBUG no line carries the token: not when connecting, refused, or lost."""
    caplog.set_level(logging.DEBUG)
    feed.statuses = [500, 403]
    async with running(feed) as desk:
        await desk.heard.until("expired")
        desk.ticker.renew(f"{TOKEN}-2")
        client = await feed.client()
        await client.close()
        await feed.client()
    assert TOKEN not in "".join(
        record.getMessage() for record in caplog.records if "websockets.server" not in record.name
    )
    assert TOKEN not in repr(desk.ticker._credentials)


async def test_a_failing_wish_ends_the_ticker_visibly(feed: ScriptedFeed) -> None:
    """A defect in who tells the desired state is not swallowed: the supervisor above sees it."""
    desk = Desk(feed.root)

    def broken() -> Mapping[int, FeedMode]:
        raise KeyError("defect")

    desk.ticker._desired = broken
    with pytest.raises(ExceptionGroup) as caught:
        await desk.ticker.run()
    assert caught.group_contains(KeyError)
    assert desk.heard.of("disconnected") == ["the ticker was stopped"]


async def test_several_tickers_live_side_by_side(feed: ScriptedFeed) -> None:
    """Two instances share nothing."""
    async with running(feed) as one, running(feed) as two:
        clients = [await feed.client(), await feed.client()]
        two.desired = {}
        await clients[0].send(b"\x00")
        await asyncio.wait(
            [asyncio.ensure_future(desk.heard.until("heard")) for desk in (one, two)],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=WAIT_SECONDS,
        )
        assert sorted(len(desk.heard.of("heard")) for desk in (one, two)) == [0, 1]
        await clients[1].send(b"\x00")
        await asyncio.gather(one.heard.until("heard"), two.heard.until("heard"))


def test_an_address_that_is_no_ticker_is_refused() -> None:
    """The sentence says what an address begins with."""
    with pytest.raises(InvalidInput, match="ws://"):
        Desk("https://127.0.0.1")


def test_the_watchdog_looks_when_the_limit_is_reached() -> None:
    """However the age falls between two looks, the next one is no later than the limit, and that is below 5 s."""
    settings = TickerSettings()
    desk = Desk("ws://127.0.0.1:1", settings)
    now_ns = 100_000_000_000
    desk.ticker._monotonic_ns = lambda: now_ns
    for age_s in (0.0, 0.5, 1.7, 3.2, 3.5, 3.95, 4.0):
        desk.ticker.stats.last_byte_ns = now_ns - int(age_s * 1e9)
        assert 0 < age_s + desk.ticker._look_in_s() < 4.1
    assert settings.silence_limit_s < 4.5


async def test_a_good_connection_that_dies_unseen_is_replaced_without_a_wait(feed: ScriptedFeed) -> None:
    """The silence has cost seconds already: after a connection that lasted, the next one is made at once."""
    desk = Desk(feed.root, TickerSettings(silence_limit_s=0.05, stable_after_s=0.0, close_timeout_s=0.1))
    waits: list[int] = []

    def wait_s(failures: int) -> float:
        waits.append(failures)
        return 3600.0

    desk.ticker._wait_s = wait_s  # type: ignore[method-assign]
    task = asyncio.create_task(desk.ticker.run())
    try:
        for _ in range(3):
            await feed.client()
        assert waits == []
        assert desk.ticker.stats.silent_replaced >= 2
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_many_changes_are_told_together(feed: ScriptedFeed) -> None:
    """A hundred changes within the interval cost one round of messages."""
    async with running(feed, TickerSettings(tell_interval_s=0.05, close_timeout_s=0.1)) as desk:
        client = await feed.client()
        await client.told(3)
        for number in range(100):
            desk.desired = {1: FULL, 2: FULL, 3: LTP, 10 + number: FULL}
            desk.ticker.subscriptions_changed()
            await asyncio.sleep(0)
        assert await client.told(2) == [{"a": "subscribe", "v": [109]}, {"a": "mode", "v": ["full", [109]]}]
