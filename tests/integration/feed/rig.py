"""A whole feed, from wishes to the board, over real sockets, with a witness that its states tell the truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

from engine.brokers.feed import FeedListener, FeedMode, Ticker
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.ticker import KiteTicker, TickerSettings
from engine.clocks import SystemClock
from engine.core.events import EngineEvent
from engine.core.ports import Clock
from engine.core.quotes import Quote
from engine.core.vocabulary import QuoteState
from engine.event_log import EventLog
from engine.feed_service import FeedService, connections_of
from engine.market.feed_pool import FeedKey, FeedSettings
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth, Staleness
from engine.market.subscriptions import Subscriptions
from tests.kit.small_exchange import DEADLINE_S, POLL_S

SILENCE_S = 0.4
NFO = 2
QUICK = TickerSettings(
    silence_limit_s=SILENCE_S,
    data_limit_s=3600.0,
    data_limit_max_s=3600.0,
    tell_interval_s=0.005,
    backoff_initial_s=0.01,
    backoff_max_s=0.05,
    close_timeout_s=0.1,
)
KEEPING = FeedSettings(lost_after_s=0.2, close_empty_after_s=0.1, upkeep_s=0.02, restart_pauses_s=(0.01,))


def token_of(number: int) -> int:
    """An NFO token."""
    return number << 8 | NFO


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"this did not come about: {what}"
        await asyncio.sleep(POLL_S)


class Rig:
    """The feed under test.

    Args:
        roots: Address of each key's ticker, by account.
        keys: The logins.
        ticker: How connections are kept.
        clock: Market, wall and monotonic time.
        silence_s: After which a quote is stale.
        tokens: Access token by account; default: the account's name and ``-1``.
    """

    def __init__(
        self,
        roots: Mapping[str, str],
        keys: Sequence[FeedKey],
        *,
        ticker: TickerSettings = QUICK,
        keeping: FeedSettings = KEEPING,
        clock: Clock | None = None,
        silence_s: float = SILENCE_S,
        tokens: Mapping[str, str] | None = None,
    ) -> None:
        self._roots = roots
        self._ticker = ticker
        self.credentials = {
            key.account: KiteCredentials(key.account, (tokens or {}).get(key.account, f"{key.account}-1"))
            for key in keys
        }
        self.clock = clock or SystemClock()
        self.board = QuotesBoard(limit=20_000)
        self.health = FeedHealth(connections_of(keys))
        self.states = Staleness(self.health, silence_limit_s=silence_s)
        self.states.set_open_segments([NFO])
        self.wishes = Subscriptions(capacity=20_000)
        self.log = EventLog(self.clock, kept_max=1000)
        self.events: list[EngineEvent] = []
        self.log.listen(self.events.append)
        self.texts: list[str] = []
        self.times: list[int] = []
        self.reconnects = 0
        self.is_open = True
        self.tickers: dict[int, KiteTicker] = {}
        self.feed = FeedService(
            keys=keys,
            make_ticker=self._make_ticker,
            board=self.board,
            health=self.health,
            subscriptions=self.wishes,
            clock=self.clock,
            events=self.log,
            quote_now_ns=time.monotonic_ns,
            on_text=lambda _account, text: self.texts.append(text),
            on_reconnect=lambda _account: self._reconnected(),
            on_time=self.times.append,
            on_record=None,
            is_open=lambda: self.is_open,
            silence_limit_s=silence_s,
            settings=keeping,
        )

    def _reconnected(self) -> None:
        self.reconnects += 1

    def _make_ticker(
        self,
        key: FeedKey,
        listener: FeedListener,
        desired: Callable[[], Mapping[int, FeedMode]],
        is_open: Callable[[], bool],
    ) -> Ticker:
        ticker = KiteTicker(
            self._roots[key.account],
            self.credentials[key.account],
            desired=desired,
            listener=listener,
            is_open=is_open,
            random=Random(len(self.tickers)),  # noqa: S311 - jitter
            settings=self._ticker,
        )
        self.tickers[len(self.tickers)] = ticker
        return ticker

    def want(self, consumer: str, tokens: Sequence[int], *, priority: int = 0) -> None:
        """State a wish and bring the feed to it."""
        self.wishes.want(consumer, tokens, FeedMode.LTP, priority=priority)
        self.feed.sync()

    def quote(self, token: int) -> Quote | None:
        """The board's quote now."""
        return self.board.quote(token, now_ns=time.monotonic_ns(), states=self.states)

    def state(self, token: int) -> QuoteState:
        """Its state; UNKNOWN where it is not on the board."""
        quote = self.quote(token)
        return QuoteState.UNKNOWN if quote is None else quote.state

    def states_of(self, tokens: Sequence[int]) -> set[QuoteState]:
        """The states of many, each once."""
        codes = self.states.states(self.board, self.board.slots_of(tokens), time.monotonic_ns())
        return {QuoteState(code) for code in set(codes.tolist())}

    def words(self) -> list[str]:
        """What the events say."""
        return [event.text for event in self.events]

    async def live(self, tokens: Sequence[int]) -> None:
        """Wait until all are live."""
        await until(lambda: self.states_of(tokens) == {QuoteState.LIVE}, "all quotes are live")


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    """The rig's feed, kept up until the end."""
    task = asyncio.create_task(rig.feed.run())
    try:
        yield rig
        assert not task.done(), task.exception() if not task.cancelled() else "cancelled"
    finally:
        rig.feed.stopping()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Witness:
    """Looks at states all the time and keeps the worst lie: LIVE although its path has been dead for so long.

    ``dead_since_ns`` says for a token since when its path is truly dead (monotonic), or ``None``.
    """

    def __init__(self, rig: Rig, tokens: Sequence[int], dead_since_ns: Callable[[int], int | None]) -> None:
        self._rig = rig
        self._tokens = tokens
        self._dead_since_ns = dead_since_ns
        self._task: asyncio.Task[None] | None = None
        self.looks = 0
        self.worst_s = 0.0
        self.seen: set[QuoteState] = set()

    async def __aenter__(self) -> Witness:
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        results = await asyncio.gather(self._task, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError), results

    async def _look(self) -> None:
        while True:
            self.looks += 1
            for token in self._tokens:
                # The truth first: it may only grow between the two looks.
                dead_since = self._dead_since_ns(token)
                now = time.monotonic_ns()
                quote = self._rig.board.quote(token, now_ns=now, states=self._rig.states)
                if quote is None:
                    continue
                self.seen.add(quote.state)
                if quote.state is QuoteState.LIVE and dead_since is not None:
                    self.worst_s = max(self.worst_s, (now - dead_since) / 1e9)
            await asyncio.sleep(POLL_S)
