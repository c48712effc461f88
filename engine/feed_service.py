"""Keeps a feed to what is wanted, says what happens to it, and shows the data path; the bytes go to ``BoardFeed``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from engine.brokers.feed import FeedMode
from engine.core.errors import SessionExpired
from engine.core.events import EventKind
from engine.core.ports import Clock
from engine.core.views import FeedView
from engine.core.vocabulary import QuoteState, Severity
from engine.event_log import EventLog
from engine.market.board_feed import BoardFeed
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth
from engine.market.subscriptions import Subscriptions
from engine.market_day import NS_PER_S

CONNECTION = 0


class Ticker(Protocol):
    """What this service needs of a broker's feed."""

    async def run(self) -> None:
        """Stay connected until cancelled."""
        ...

    def subscriptions_changed(self) -> None:
        """Tell the connection what changed in what is desired, soon."""
        ...


class FeedService:
    """The feed of one engine: one connection, its wishes and its health.

    ``listener`` is what the ticker talks to.
    """

    def __init__(
        self,
        *,
        board: QuotesBoard,
        health: FeedHealth,
        subscriptions: Subscriptions,
        clock: Clock,
        events: EventLog,
        on_text: Callable[[str], None],
        on_reconnect: Callable[[], None],
        silence_limit_s: float,
    ) -> None:
        """``on_text`` takes text frames (order updates); ``on_reconnect`` hears that some may be missing."""
        self._board = board
        self._health = health
        self._subscriptions = subscriptions
        self._clock = clock
        self._events = events
        self._on_reconnect = on_reconnect
        self._silence_limit_s = silence_limit_s
        self._ticker: Ticker | None = None
        self._connections = 0
        self._message = "not connected yet"
        self._refused = 0
        self._is_stopping = False
        self.listener = BoardFeed(
            board,
            health,
            clock,
            connection=CONNECTION,
            on_text=on_text,
            on_state=self._path_changed,
            on_session_expired=self._session_expired,
        )

    def desired(self) -> Mapping[int, FeedMode]:
        """What the connection should carry: token → mode."""
        return self._subscriptions.desired

    def attach(self, ticker: Ticker) -> None:
        """The feed to keep to what is wanted."""
        self._ticker = ticker
        self.sync()

    def sync(self) -> None:
        """Bring board and feed to the wishes as they stand."""
        desired = self._subscriptions.desired
        gone = [int(token) for token in self._board.tokens.tolist() if token and int(token) not in desired]
        self._board.remove(gone)
        self._board.add(desired)
        refused = len(self._subscriptions.refused)
        if refused != self._refused:
            self._refused = refused
            if refused:
                text = f"{refused} instruments do not fit into the feed; close a chain to make room."
                self._events.add(EventKind.FEED, text, severity=Severity.ATTENTION, subject="feed")
        if self._ticker is not None:
            self._ticker.subscriptions_changed()

    # -- what happens to the path ----------------------------------------------------------------------------------

    def stopping(self) -> None:
        """The engine ends: losing the connection is no news from now on."""
        self._is_stopping = True

    def _path_changed(self, sentence: str) -> None:
        if self._is_stopping:
            return
        if not self._health.is_up(CONNECTION):
            self._message = sentence
            self._events.add(EventKind.FEED, sentence, severity=Severity.ATTENTION, subject="feed")
            return
        self._message = ""
        self._connections += 1
        self._events.add(EventKind.FEED, sentence, subject="feed")
        if self._connections > 1:
            self._on_reconnect()

    def _session_expired(self, error: SessionExpired) -> None:
        self._message = str(error)
        self._events.add(EventKind.SESSION, str(error), severity=Severity.DANGER, subject="feed")

    # -- view ------------------------------------------------------------------------------------------------------

    def view(self, *, session_open: bool) -> FeedView:
        """The data path for the status line."""
        now_ns = int(self._clock.monotonic() * NS_PER_S)
        silence = self._health.silence_s(CONNECTION, now_ns)
        if silence is None:
            state = QuoteState.UNKNOWN if not self._connections else QuoteState.STALE
        elif silence > self._silence_limit_s:
            state = QuoteState.STALE
        else:
            state = QuoteState.LIVE if session_open else QuoteState.CLOSED
        return FeedView(
            state=state,
            age_s=silence,
            connections=int(self._health.is_up(CONNECTION)),
            subscribed=len(self._subscriptions.desired),
            packets=self.listener.packets,
            bad_frames=self.listener.bad_frames,
            reconnects=max(0, self._connections - 1),
            message=self._message,
        )
