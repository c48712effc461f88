"""One connection of a feed as the feed service keeps it: its load, its listener, its program, and how it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from engine.brokers.feed import FeedStats, Ticker
from engine.core.operations import ConnectionView
from engine.core.vocabulary import QuoteState
from engine.market.board_feed import BoardFeed
from engine.market.feed_pool import Line
from engine.market.staleness import FeedHealth

_NS_PER_S = 1e9
MUTE = "connected again; no data has come yet"


class FeedConnection:
    """A numbered place for a connection; its ticker is made when it is first needed, and kept."""

    def __init__(
        self,
        line: Line,
        feed: BoardFeed,
        health: FeedHealth,
        make_ticker: Callable[[], Ticker],
        *,
        silence_limit_s: float,
    ) -> None:
        """``make_ticker`` is called once, before the first opening."""
        self.line = line
        self.feed = feed
        self.lives = 0
        """How often it came up."""
        self.is_refused = False
        """The broker refused its session, and no new token has come since."""
        self.message = ""
        """Why it is not up, in words."""
        self.is_closing = False
        self.down_since: float | None = None
        """Monotonic seconds since when it should be up and is not."""
        self.empty_since: float | None = None
        self._health = health
        self._make_ticker = make_ticker
        self._silence_limit_s = silence_limit_s
        self._ticker: Ticker | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int:
        """Its number in pool and health."""
        return self.line.number

    @property
    def ticker(self) -> Ticker:
        """Its program."""
        if self._ticker is None:
            self._ticker = self._make_ticker()
        return self._ticker

    @property
    def is_up(self) -> bool:
        """Whether it is connected."""
        return self._health.is_up(self.number)

    @property
    def is_running(self) -> bool:
        """Whether somebody keeps it up."""
        return self._task is not None and not self._task.done()

    @property
    def matters(self) -> bool:
        """Whether it should be up: it carries something, or it is one that is always kept."""
        return bool(self.line.tokens) or self.line.is_kept

    def start(self, task: asyncio.Task[None], now: float) -> None:
        """``task`` keeps it up from now on."""
        self._task = task
        self.is_closing = False
        self.down_since = now

    def close(self) -> None:
        """End it: nothing needs it."""
        self.is_closing = True
        self.down_since = self.empty_since = None
        self.message = ""
        if self._task is not None:
            self._task.cancel()

    def told(self, again: Iterable[int] = ()) -> None:
        """Its load has changed; of ``again`` nothing is known any more."""
        if self._ticker is not None:
            if again:
                self._ticker.ask_again(again)
            self._ticker.subscriptions_changed()

    def renew(self, access_token: str) -> None:
        """Go on with a new token."""
        self.is_refused = False
        if self._ticker is not None:
            self._ticker.renew(access_token)

    # -- how it stands ---------------------------------------------------------------------------------------------

    def silence_s(self, now_ns: int) -> float | None:
        """Seconds since its last byte; ``None`` when it is not up."""
        return self._health.silence_s(self.number, now_ns)

    def state(self, now_ns: int, *, session_open: bool) -> QuoteState:
        """LIVE, CLOSED (up, market closed), STALE (silent, gone, or replaced and mute since) or UNKNOWN (never up)."""
        silence = self.silence_s(now_ns)
        if silence is None:
            return QuoteState.STALE if self.lives else QuoteState.UNKNOWN
        if silence > self._silence_limit_s:
            return QuoteState.STALE
        if not session_open:
            return QuoteState.CLOSED
        return QuoteState.STALE if self.is_mute else QuoteState.LIVE

    @property
    def is_mute(self) -> bool:
        """Whether it is up again, should carry something, and has not brought a packet yet."""
        return self.is_up and self.lives > 1 and bool(self.line.tokens) and not self.feed.has_brought

    def view(self, now_ns: int, *, session_open: bool) -> ConnectionView:
        """For the engine room."""
        feed, stats = self.feed, self._ticker.stats if self._ticker is not None else FeedStats()
        silence = self.silence_s(now_ns)
        message = self.message
        if not message and silence is not None and silence > self._silence_limit_s:
            message = f"nothing was heard for {silence:.0f} s"
        if not message and session_open and self.is_mute:
            message = MUTE
        return ConnectionView(
            number=self.number,
            account=self.line.key.account,
            state=self.state(now_ns, session_open=session_open),
            up=self.is_up,
            subscribed=len(self.line.tokens),
            capacity=self.line.key.connection_capacity,
            byte_age_s=silence,
            packet_age_s=None if feed.last_packet_ns is None else (now_ns - feed.last_packet_ns) / _NS_PER_S,
            packets=feed.packets,
            packets_per_s=feed.packets_per_s(now_ns),
            bytes=stats.bytes,
            bad_frames=feed.bad_frames,
            unknown_packets=feed.unknown_packets,
            reconnects=max(0, self.lives - 1),
            silent_replaced=stats.silent_replaced + stats.starved_replaced,
            message=message,
        )
