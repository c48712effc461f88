"""The feed service without a socket: connections that a test drives, and what is shown of them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

import pytest

from engine.brokers.feed import FeedListener, FeedMode, FeedStats, Ticker
from engine.core.errors import SessionExpired
from engine.core.events import EngineEvent
from engine.core.vocabulary import QuoteState, Severity
from engine.event_log import EventLog
from engine.feed_service import FeedService, connections_of
from engine.market.feed_pool import FeedKey, FeedSettings
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth, Staleness
from engine.market.subscriptions import Subscriptions
from tests.unit.engine.manual_clock import ManualClock

SECOND = 1_000_000_000
TURNS = 50
KEYS = (
    FeedKey(account="AA1", connections_max=2, connection_capacity=2),
    FeedKey(account="BB2", connections_max=1, connection_capacity=2),
)
CALLS = [number << 8 | 2 for number in range(1, 8)]


def ltp(token: int, paise: int) -> bytes:
    """A frame of one last price."""
    return struct.pack(">HHII", 1, 8, token, paise)


class DrivenTicker:
    """A ticker whose connection the test makes and breaks; keeps what it was asked."""

    def __init__(self, listener: FeedListener, desired: Callable[[], Mapping[int, FeedMode]]) -> None:
        self.listener = listener
        self.desired = desired
        self.stats = FeedStats()
        self.told = 0
        self.asked_again: list[int] = []
        self.tokens: list[str] = []
        self.runs = 0
        self.is_up = False
        self._end: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Run until cancelled or broken."""
        self.runs += 1
        self._end = asyncio.get_running_loop().create_future()
        try:
            await self._end
        finally:
            if self.is_up:
                self.drop("the ticker was stopped", 0)

    def ask_again(self, tokens: Iterable[int]) -> None:
        """Remember."""
        self.asked_again += list(tokens)

    def subscriptions_changed(self) -> None:
        """Count it."""
        self.told += 1

    def renew(self, access_token: str) -> None:
        """Keep it."""
        self.tokens.append(access_token)

    def come_up(self, at_ns: int) -> None:
        """A connection is made."""
        self.is_up = True
        self.listener.connected(at_ns)

    def drop(self, reason: str, _: int = 0) -> None:
        """It is lost."""
        self.is_up = False
        self.listener.disconnected(reason)

    def break_down(self, error: Exception) -> None:
        """The program fails."""
        assert self._end is not None
        self._end.set_exception(error)


class Rig:
    """The service under test."""

    def __init__(self, *, slots: int = 100) -> None:
        self.clock = ManualClock()
        self.board = QuotesBoard(limit=slots)
        self.health = FeedHealth(connections_of(KEYS))
        self.states = Staleness(self.health, silence_limit_s=5.0)
        self.states.set_open_segments([2])
        self.wishes = Subscriptions(capacity=1000)
        self.events: list[EngineEvent] = []
        log = EventLog(self.clock, kept_max=100)
        log.listen(self.events.append)
        self.tickers: dict[str, list[DrivenTicker]] = {"AA1": [], "BB2": []}
        self.feed = FeedService(
            keys=KEYS,
            make_ticker=self._make,
            board=self.board,
            health=self.health,
            subscriptions=self.wishes,
            clock=self.clock,
            events=log,
            quote_now_ns=lambda: self.now_ns,
            on_text=lambda _account, _text: None,
            on_reconnect=lambda _account: None,
            on_time=lambda _: None,
            on_record=None,
            is_open=lambda: True,
            silence_limit_s=5.0,
            settings=FeedSettings(lost_after_s=10.0, close_empty_after_s=30.0, upkeep_s=3600.0),
        )

    @property
    def now_ns(self) -> int:
        """The quotes' clock."""
        return SECOND + int(self.clock.monotonic() * SECOND)

    def _make(
        self,
        key: FeedKey,
        listener: FeedListener,
        desired: Callable[[], Mapping[int, FeedMode]],
        _is_open: Callable[[], bool],
    ) -> Ticker:
        ticker = DrivenTicker(listener, desired)
        self.tickers[key.account].append(ticker)
        return ticker

    def want(self, consumer: str, tokens: list[int], *, priority: int = 0) -> None:
        """State a wish."""
        self.wishes.want(consumer, tokens, priority=priority)
        self.feed.sync()

    async def settle(self, seconds: float = 0.0) -> None:
        """Let time pass and the service look after its connections."""
        await self.clock.advance(seconds)
        self.feed._wake.set()
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def state(self, token: int) -> QuoteState:
        """Of a quote; UNKNOWN where it is not on the board."""
        quote = self.board.quote(token, now_ns=self.now_ns, states=self.states)
        return quote.state if quote is not None else QuoteState.UNKNOWN

    def words(self) -> list[str]:
        """What the events say."""
        return [event.text for event in self.events]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A service that runs."""
    rig = Rig()
    task = asyncio.create_task(rig.feed.run())
    await rig.settle()
    yield rig
    rig.feed.stopping()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_first_connection_is_kept_and_the_others_come_when_needed(rig: Rig) -> None:
    """Order updates come over the first, so it is always there; nothing else is opened for nothing."""
    view = rig.feed.view(session_open=True)
    assert (view.state, view.message, view.age_s) == (QuoteState.UNKNOWN, "not connected yet", None)
    assert [len(tickers) for tickers in rig.tickers.values()] == [1, 0]
    rig.want("chain", CALLS[:3])
    await rig.settle()
    assert [len(tickers) for tickers in rig.tickers.values()] == [2, 0]
    one, two = rig.tickers["AA1"]
    assert (set(one.desired()), set(two.desired())) == (set(CALLS[:2]), {CALLS[2]})
    one.come_up(rig.now_ns)
    assert rig.feed.view(session_open=True).state is QuoteState.STALE
    two.come_up(rig.now_ns)
    assert rig.feed.view(session_open=True).state is QuoteState.LIVE
    assert rig.feed.view(session_open=False).state is QuoteState.CLOSED
    rig.want("chain", CALLS[:2])
    for _ in range(4):
        await rig.settle(20.0)
        one.listener.heard(rig.now_ns)
    assert not two.is_up
    assert one.is_up
    assert rig.feed.view(session_open=True).state is QuoteState.LIVE
    assert [event.severity for event in rig.events] == [Severity.INFO] * 2


async def test_a_silent_connection_makes_the_whole_feed_stale(rig: Rig) -> None:
    """As good as the worst connection that should carry something; each says what is wrong with it."""
    rig.want("chain", CALLS[:3])
    await rig.settle()
    one, two = rig.tickers["AA1"]
    one.come_up(rig.now_ns)
    two.come_up(rig.now_ns)
    two.listener.frame(ltp(CALLS[2], 100), rig.now_ns)
    await rig.settle(6.0)
    one.listener.heard(rig.now_ns)
    view = rig.feed.view(session_open=True)
    assert (view.state, view.age_s) == (QuoteState.STALE, 6.0)
    first, second = rig.feed.connection_views(rig.now_ns, session_open=True)
    assert (first.state, first.message) == (QuoteState.LIVE, "")
    assert (second.state, second.message) == (QuoteState.STALE, "nothing was heard for 6 s")
    assert (second.packets, second.packet_age_s) == (1, 6.0)


async def test_instruments_leave_a_lost_connection_only_when_another_is_up(rig: Rig) -> None:
    """While everything is down nothing moves; when one is up and has room, it takes over after the set time."""
    rig.want("chain", CALLS[:3])
    await rig.settle()
    one, two = rig.tickers["AA1"]
    one.come_up(rig.now_ns)
    one.listener.frame(ltp(CALLS[0], 100), rig.now_ns)
    one.drop("the connection broke")
    await rig.settle(60.0)
    assert set(one.desired()) == set(CALLS[:2])
    two.come_up(rig.now_ns)
    await rig.settle()
    assert set(two.desired()) == {CALLS[2], CALLS[0]}
    assert rig.state(CALLS[0]) is QuoteState.STALE
    two.listener.frame(ltp(CALLS[0], 101), rig.now_ns)
    assert rig.state(CALLS[0]) is QuoteState.LIVE
    assert rig.tickers["BB2"], "a connection of the other key is opened for what is still stranded"
    rig.tickers["BB2"][0].come_up(rig.now_ns)
    await rig.settle()
    assert set(rig.tickers["BB2"][0].desired()) == {CALLS[1]}
    assert set(one.desired()) == set()


async def test_a_key_that_was_refused_for_a_moment_counts_again_once_it_is_up(rig: Rig) -> None:
    """Its ticker got in without a login: all the room of the key is there again, and nothing stays refused."""
    rig.want("chain", CALLS[:4])
    await rig.settle()
    before = rig.feed.capacity
    one, two = rig.tickers["AA1"]
    one.listener.session_expired(SessionExpired("The ticker refused the session: log in again."))
    two.listener.session_expired(SessionExpired("The ticker refused the session: log in again."))
    await rig.settle()
    assert rig.feed.capacity < before
    one.come_up(rig.now_ns)
    two.come_up(rig.now_ns)
    await rig.settle()
    assert rig.feed.capacity == before
    assert rig.wishes.refused_wishes() == ()


async def test_a_refused_key_is_said_once_and_opens_nothing_more(rig: Rig) -> None:
    """Its other connections live on while they live; new instruments go to the other key."""
    rig.want("chain", CALLS[:4])
    await rig.settle()
    one, two = rig.tickers["AA1"]
    one.come_up(rig.now_ns)
    error = SessionExpired("The ticker refused the session: log in again.")
    two.listener.session_expired(error)
    two.listener.session_expired(error)
    await rig.settle()
    (other,) = rig.tickers["BB2"]
    other.come_up(rig.now_ns)
    await rig.settle()
    assert set(other.desired()) == set(CALLS[2:4])
    assert rig.words().count("AA1: The ticker refused the session: log in again.") == 1
    assert rig.feed.capacity == 4
    rig.want("held", [CALLS[6]], priority=9)
    assert rig.wishes.refused_wishes()[0].tokens == (CALLS[3],)
    rig.feed.renew("AA1", "new")
    assert (one.tokens, two.tokens, other.tokens) == (["new"], ["new"], [])
    await rig.settle()
    two.come_up(rig.now_ns)
    await rig.settle()
    assert set(two.desired()) == {CALLS[3]}


async def test_a_restart_of_the_tape_forgets_what_has_not_happened(rig: Rig) -> None:
    """After going back in a replay no quote of the future stands; the same instruments are awaited."""
    rig.want("chain", CALLS[:2])
    await rig.settle()
    (one,) = rig.tickers["AA1"]
    one.come_up(rig.now_ns)
    one.listener.frame(ltp(CALLS[0], 100), rig.now_ns)
    assert rig.state(CALLS[0]) is QuoteState.LIVE
    rig.feed.restart()
    assert rig.state(CALLS[0]) is QuoteState.UNKNOWN
    assert CALLS[0] in rig.board
    one.listener.frame(ltp(CALLS[0], 90), rig.now_ns)
    assert rig.state(CALLS[0]) is QuoteState.LIVE


async def test_a_program_error_is_declared_and_tried_again(rig: Rig) -> None:
    """It reads in the status line until it runs well again; the other connection is not touched."""
    rig.want("chain", CALLS[:3])
    await rig.settle()
    one, two = rig.tickers["AA1"]
    one.come_up(rig.now_ns)
    two.break_down(KeyError("defect"))
    await rig.settle()
    assert "connection 2 of AA1 failed (KeyError" in rig.feed.view(session_open=True).message
    await rig.settle(1.0)
    assert (one.runs, two.runs) == (1, 2)
    assert one.is_up


async def test_an_end_that_is_wanted_is_no_news(rig: Rig) -> None:
    """Connections that go because the engine ends are not events."""
    (one,) = rig.tickers["AA1"]
    one.come_up(rig.now_ns)
    rig.feed.stopping()
    one.drop("the ticker was stopped")
    assert rig.words() == ["Market data connected."]


def test_a_board_that_is_too_small_is_said() -> None:
    """What cannot be shown is an error of the settings, told by name, not a silent hole."""
    rig = Rig(slots=2)
    rig.want("chain", CALLS[:3])
    assert rig.events[0].severity is Severity.DANGER
    assert "board_slots_max" in rig.words()[0]


async def test_a_wish_given_up_and_taken_back_is_asked_anew(rig: Rig) -> None:
    """The board has forgotten it meanwhile: without a new word to the broker nothing would come until the next tick."""
    rig.want("chain", CALLS[:2])
    await rig.settle()
    (one,) = rig.tickers["AA1"]
    one.come_up(rig.now_ns)
    one.asked_again.clear()
    rig.want("chain", CALLS[:1])
    rig.want("chain", CALLS[:2])
    assert one.asked_again == [CALLS[1]]
    assert set(one.desired()) == set(CALLS[:2])
