"""The feed of one engine: brings connections to what is wanted, keeps each up by itself, and shows the data path.

Wishes (``Subscriptions``) → what fits → which connection carries it (``FeedPool``) → what each connection is told. The
bytes go to ``BoardFeed``, one for each connection. ``sync`` runs after every change of a wish and costs as much as the
change is large; ``run`` opens, closes and judges connections at its own pace.

Invariants: what happens to one connection ends no other. An instrument that is on the board is wanted, and a connection
is charged with it; one that has no room is on no board and is listed. A quote whose connection is down never reads
LIVE because an earlier connection brought it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from engine.brokers.feed import FeedListener, FeedMode, Ticker
from engine.core.errors import SessionExpired
from engine.core.events import EventKind
from engine.core.operations import ConnectionView, RefusedView
from engine.core.ports import Clock
from engine.core.views import FeedView
from engine.core.vocabulary import QuoteState, Severity
from engine.event_log import EventLog
from engine.feed_connection import MUTE, FeedConnection
from engine.market.board_feed import BoardFeed, MarketTime, OnRecord
from engine.market.feed_pool import FeedKey, FeedPool, FeedSettings, Line, LineState
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth
from engine.market.subscriptions import Subscriptions
from engine.supervision import Supervisor

SUBJECT: Final = "feed"
NOTHING: Final[Mapping[Line, Sequence[int]]] = MappingProxyType({})
LOST_ON_TAPE: Final = "the recording has a gap here."
_NS_PER_S: Final = 1_000_000_000

MakeTicker = Callable[[FeedKey, FeedListener, Callable[[], Mapping[int, FeedMode]], Callable[[], bool]], Ticker]
"""Makes a connection of a key from its listener, what it should carry, and whether the session is open."""


class FeedService:
    """All connections of one engine.

    Args:
        keys: Logins whose data is used, best first. Connections are numbered key by key; the first is always kept.
        make_ticker: Makes a connection; called once for each, when it is first needed.
        board: Where quotes go; what is wanted and has room is on it.
        health: What is known of the connections; must have room for all of them (``connections_of(keys)``).
        subscriptions: What is wanted.
        clock: Market time, and monotonic time for waiting.
        events: Told what a person should know.
        quote_now_ns: The clock that ages and silence are measured by: monotonic when live, the tape's in a replay.
        on_text: Takes text frames, each with the account whose connection brought it.
        on_reconnect: Hears whose order updates may be missing.
        on_time: Told the market time of each frame before it is written.
        on_record: Told everything that arrives; ``None`` keeps no tape.
        is_open: Whether the session is open; asked from ``run`` on.
        silence_limit_s: A connection without a byte for longer reads STALE.
        settings: How connections are kept.

    Raises:
        ValueError: the keys make no feed, see ``FeedPool``.
    """

    def __init__(
        self,
        *,
        keys: Sequence[FeedKey],
        make_ticker: MakeTicker,
        board: QuotesBoard,
        health: FeedHealth,
        subscriptions: Subscriptions,
        clock: Clock,
        events: EventLog,
        quote_now_ns: Callable[[], int],
        on_text: Callable[[str, str], None],
        on_reconnect: Callable[[str], None],
        on_time: Callable[[int], None],
        on_record: OnRecord | None,
        is_open: Callable[[], bool],
        silence_limit_s: float,
        settings: FeedSettings,
    ) -> None:
        self._board = board
        self._health = health
        self._subscriptions = subscriptions
        self._clock = clock
        self._events = events
        self._quote_now_ns = quote_now_ns
        self._on_text = on_text
        self._on_reconnect = on_reconnect
        self._on_time = on_time
        self._on_record = on_record
        self._is_open = is_open
        self._silence_limit_s = silence_limit_s
        self._settings = settings
        self._make_ticker = make_ticker
        self._time = MarketTime(clock, quote_now_ns)
        self._pool = FeedPool(keys)
        self._connections = tuple(self._connection(line) for line in self._pool.lines)
        self._supervisor = Supervisor(clock, events, pauses_s=settings.restart_pauses_s)
        self._wake = asyncio.Event()
        self._refused_keys: set[str] = set()
        self._refused = 0
        self._is_stopping = False
        subscriptions.set_room(self._pool.room)

    def _connection(self, line: Line) -> FeedConnection:
        feed = BoardFeed(
            self._board,
            self._health,
            self._time,
            connection=line.number,
            on_text=lambda payload: self._on_text(line.key.account, payload),
            on_state=lambda sentence: self._path_changed(self._connections[line.number], sentence),
            on_session_expired=lambda error: self._session_expired(self._connections[line.number], error),
            on_time=self._on_time,
            on_record=self._on_record,
            rate_window_s=self._settings.rate_window_s,
        )
        return FeedConnection(
            line,
            feed,
            self._health,
            lambda: self._make_ticker(line.key, feed, lambda: line.carried, self._is_open),
            silence_limit_s=self._silence_limit_s,
        )

    # -- what is wanted --------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Bring board and connections to the wishes as they stand."""
        subscriptions, pool = self._subscriptions, self._pool
        changed, desired = subscriptions.take_changed(), subscriptions.desired
        touched: set[Line] = set()
        gone = [token for token in changed if token not in desired]
        self._board.remove(gone)
        for token in gone:
            if (line := pool.take(token)) is not None:
                touched.add(line)
        wanted = [token for token in changed if token in desired]
        wanted.sort(key=subscriptions.priority_of, reverse=True)
        full = self._board.add(wanted)
        again: dict[Line, list[int]] = {}
        for token in wanted:
            is_new = pool.line_of(token) is None
            if (line := pool.put(token, desired[token])) is not None:
                touched.add(line)
                if is_new:
                    again.setdefault(line, []).append(token)
        self._tell(touched, again)
        self._say_refused()
        if full:
            text = f"{len(full)} instruments are subscribed but cannot be shown: board_slots_max is too small."
            self._events.add(EventKind.FEED, text, severity=Severity.DANGER, subject=SUBJECT)

    def _tell(self, lines: Iterable[Line], again: Mapping[Line, Sequence[int]] = NOTHING) -> None:
        for line in lines:
            connection = self._connections[line.number]
            connection.told(again.get(line, ()))
            if line.tokens:
                connection.empty_since = None
            if not connection.is_running:
                self._wake.set()

    def _say_refused(self) -> None:
        refused = len(self._subscriptions.refused)
        if refused == self._refused:
            return
        begins, self._refused = refused and not self._refused, refused
        if begins:  # how many there are now the engine room shows; one line for the whole shortage
            text = f"{refused} instruments do not fit into the feed; close a chain to make room."
            if self._refused_keys:
                text = (
                    f"{refused} instruments do not fit into the feed without {', '.join(sorted(self._refused_keys))}."
                )
            self._events.add(EventKind.FEED, text, severity=Severity.ATTENTION, subject=SUBJECT)

    def restart(self) -> None:
        """Market time begins again, earlier (a replay plays its tape anew): what was heard has not happened."""
        self.back_on_tape()
        self._time.restart()
        self._board.forget()

    def lost_on_tape(self) -> None:
        """The feed that a replay plays was down from here on: what was heard is not trusted until it is back."""
        for connection in self._connections:
            if connection.is_up:
                connection.feed.disconnected(LOST_ON_TAPE)

    def back_on_tape(self) -> None:
        """It was up again, in a new life."""
        for connection in self._connections:
            if connection.message.endswith(LOST_ON_TAPE):
                connection.feed.connected(self._time.received_now_ns())

    # -- keeping connections ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep every connection that is needed, until cancelled."""
        self._is_stopping = False
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                self._tend(group)
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: it may take a cancellation for the end of the wait when both come at once.
                    async with asyncio.timeout(self._settings.upkeep_s):
                        await self._wake.wait()

    def renew(self, account: str, access_token: str) -> None:
        """Go on with the token of an account's new login; its connections are replaced by such with the new token."""
        self._refused_keys.discard(account)
        for connection in self._connections:
            if connection.line.key.account == account:
                connection.renew(access_token)
                if connection.line.state is LineState.OUT:
                    connection.line.state = LineState.OPENING if connection.is_running else LineState.IDLE
                    connection.down_since = self._clock.monotonic()
        self._wake.set()

    def stopping(self) -> None:
        """The engine ends: losing the connection is no news from now on."""
        self._is_stopping = True

    def _tend(self, group: asyncio.TaskGroup) -> None:
        now = self._clock.monotonic()
        for connection in self._connections:
            connection.line.state = self._judged(connection, now)
        self._subscriptions.set_room(self._pool.room)
        self.sync()
        if self._pool.stranded():
            moved = self._pool.rescue(self._subscriptions.priority_of)
            for line in moved:
                self._board.assign(line.tokens, line.number)
            self._tell(moved)
        spare = self._pool.spare()
        for connection in self._connections:
            line = connection.line
            if connection.is_running:
                self._close_if_empty(connection, now, keep=line is spare or bool(self._pool.stranded()))
            elif connection.matters or line is spare:
                if line.state is LineState.IDLE:
                    line.state = LineState.OPENING
                connection.ticker.subscriptions_changed()
                name = f"market data {self._name(connection)}"
                task = group.create_task(self._keep(connection, name), name=name)
                connection.start(task, now)

    def _judged(self, connection: FeedConnection, now: float) -> LineState:
        """Where a connection stands now."""
        line = connection.line
        if connection.is_up and not connection.is_closing:
            return LineState.UP
        if connection.is_refused or line.key.account in self._refused_keys:
            return LineState.OUT
        if not connection.is_running and not line.tokens:
            return LineState.IDLE
        if line.state is LineState.OUT:
            return LineState.OUT
        late = connection.down_since is not None and now - connection.down_since > self._settings.lost_after_s
        if late and any(other.is_up for other in self._connections):
            return LineState.OUT
        return LineState.OPENING

    def _close_if_empty(self, connection: FeedConnection, now: float, *, keep: bool) -> None:
        if connection.matters or keep:
            connection.empty_since = None
        elif connection.empty_since is None:
            connection.empty_since = now
        elif now - connection.empty_since >= self._settings.close_empty_after_s:
            connection.close()

    async def _keep(self, connection: FeedConnection, name: str) -> None:
        await self._supervisor.run(name, connection.ticker.run)

    # -- what happens to the path ----------------------------------------------------------------------------------

    def _name(self, connection: FeedConnection) -> str:
        """Of a connection, for a person; numbers begin with 1 there."""
        return f"connection {connection.number + 1} of {connection.line.key.account}"

    def _path_changed(self, connection: FeedConnection, sentence: str) -> None:
        if connection.is_up:
            connection.lives += 1
            connection.message = ""
            connection.down_since = None
            connection.is_refused = False
            self._refused_keys.discard(connection.line.key.account)
        else:
            self._distrust(connection.line)
            if not connection.is_closing:
                connection.down_since = self._clock.monotonic()
                connection.message = sentence
        connection.line.state = self._judged(connection, self._clock.monotonic())
        self._wake.set()
        if self._is_stopping or connection.is_closing:
            return
        several = sum(other.is_running for other in self._connections) > 1
        text = f"On {self._name(connection)}: {sentence}" if several else sentence
        severity = Severity.INFO if connection.is_up else Severity.ATTENTION
        self._events.add(EventKind.FEED, text, severity=severity, subject=SUBJECT)
        if connection.is_up and connection.lives > 1:
            self._on_reconnect(connection.line.key.account)

    def _distrust(self, line: Line) -> None:
        """Forget what a connection that is gone now should carry, but that another one, alive, has brought."""
        tokens = list(line.tokens)
        if not tokens:
            return
        slots = self._board.slots_of(tokens)
        here = np.flatnonzero(slots >= 0)
        paths = self._board.paths[slots[here]]
        limit_ns = int(self._silence_limit_s * _NS_PER_S)
        trusted = ~self._health.suspect(paths, self._quote_now_ns(), limit_ns)
        self._board.forget([tokens[place] for place in here[trusted].tolist()])

    def _session_expired(self, connection: FeedConnection, error: SessionExpired) -> None:
        account = connection.line.key.account
        connection.is_refused = True
        connection.message = str(error)
        self._wake.set()
        if account in self._refused_keys or self._is_stopping:
            return
        self._refused_keys.add(account)
        text = str(error) if len({line.key.account for line in self._pool.lines}) == 1 else f"{account}: {error}"
        self._events.add(EventKind.SESSION, text, severity=Severity.DANGER, subject=SUBJECT)

    # -- views -----------------------------------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        """Instruments that the feed can carry now."""
        return self._subscriptions.room

    @property
    def is_told(self) -> bool:
        """Whether every connection that should carry something is up and has been told all of it."""
        needed = [connection for connection in self._connections if connection.matters]
        return bool(needed) and all(
            connection.is_up and connection.ticker.stats.told == len(connection.line.tokens) for connection in needed
        )

    @property
    def packets(self) -> int:
        """Data packets so far, over all connections."""
        return sum(connection.feed.packets for connection in self._connections)

    def view(self, *, session_open: bool) -> FeedView:
        """The data path for the status line: as good as the worst connection that should carry something."""
        now_ns = self._quote_now_ns()
        needed = [connection for connection in self._connections if connection.matters]
        states = {connection.state(now_ns, session_open=session_open) for connection in needed}
        live = QuoteState.LIVE if session_open else QuoteState.CLOSED
        if states == {live}:
            state = live
        else:
            state = QuoteState.STALE if any(item.lives for item in self._connections) else QuoteState.UNKNOWN
        silences = [silence for connection in needed if (silence := connection.silence_s(now_ns)) is not None]
        messages = [connection.message for connection in needed if connection.message]
        messages += self._supervisor.degraded
        if not messages and state is QuoteState.STALE and any(connection.is_mute for connection in needed):
            messages = [MUTE]
        if not messages and state is QuoteState.UNKNOWN:
            messages = ["not connected yet"]
        return FeedView(
            state=state,
            age_s=max(silences, default=None),
            connections=sum(connection.is_up for connection in self._connections),
            subscribed=len(self._subscriptions.desired),
            packets=self.packets,
            bad_frames=sum(connection.feed.bad_frames for connection in self._connections),
            reconnects=sum(max(0, connection.lives - 1) for connection in self._connections),
            message=messages[0] if messages else "",
        )

    def connection_views(self, now_ns: int, *, session_open: bool) -> tuple[ConnectionView, ...]:
        """Every connection that is kept or should be; ``now_ns`` of the quotes' clock."""
        return tuple(
            connection.view(now_ns, session_open=session_open)
            for connection in self._connections
            if connection.is_running or connection.matters
        )

    def consumers(self) -> tuple[tuple[str, int], ...]:
        """Who wants how many instruments, greatest priority first."""
        return self._subscriptions.consumers()

    def refused_views(self, name_of: Callable[[int], str]) -> tuple[RefusedView, ...]:
        """What has no room, by consumer; ``name_of`` names a token."""
        shown = self._settings.refused_names_max
        return tuple(
            RefusedView(
                consumer=wish.consumer,
                priority=wish.priority,
                instruments=tuple(map(name_of, wish.tokens[:shown])),
                count=len(wish.tokens),
            )
            for wish in self._subscriptions.refused_wishes()
        )


def connections_of(keys: Sequence[FeedKey]) -> int:
    """How many connections keys allow altogether."""
    return sum(key.connections_max for key in keys)
