"""One supervised connection to Kite's ticker.

``run`` keeps it up for as long as it is not cancelled: it connects, tells what is desired, hands bytes on, replaces a
connection that has died without saying so, and waits longer after each failure. A refused session stops it until
``renew``.

Two watchdogs look at a connection while the market is open, both by the monotonic clock alone. *Silence*: the broker
beats every couple of seconds, so a connection without a byte for ``silence_limit_s`` is dead, however the socket looks.
*Starvation*: it beats, it was told instruments, and no data comes. A row of far strikes may rightly be quiet, so the
limit stretches with the longest pause this life has shown; a life that brought nothing at all is judged by the plain
limit, because a subscription is answered with a snapshot. Each such replacement in a row doubles the limit up to
``data_limit_max_s`` until data has flowed again for a while: in a halt of the market, which looks the same from here,
the connection is replaced a few times an hour, not every few seconds.

Invariants: after each (re)connection the whole desired state is told; between connections nothing is remembered but the
wait; the token is never logged nor part of an error; when ``run`` ends nothing of it is left, neither task nor socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from engine.brokers.feed import FeedChange, FeedListener, FeedMode, FeedStats, feed_change
from engine.brokers.kite.feed_messages import subscription_messages
from engine.brokers.kite.pulse import Pulse
from engine.brokers.kite.session import API_VERSION, KiteCredentials
from engine.core.errors import InvalidInput, SessionExpired

_FORBIDDEN = 403
_HEARTBEAT_BYTES = 1
_LOOKS_PER_LIMIT = 4
"""The watchdog looks at least so often within the silence limit, and just when the limit is reached."""
_LOOK_MIN_PART = 0.02
"""Of the silence limit: it never looks more often."""
_LOOP_TURNS = 3
"""Turns of the event loop in which bytes that wait in the socket reach us."""
_DOUBLINGS_MAX = 30
_NS_PER_S = 1e9
_RENEWED = "the session was renewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TickerSettings:
    """How one connection is kept (durations in seconds)."""

    silence_limit_s: float = 4.0
    """A connection without a byte for longer, while the market is open, is replaced: with the handshake, in 5 s."""
    data_limit_s: float = 15.0
    """A connection that beats but brings no data for longer, while the market is open, is replaced."""
    data_limit_max_s: float = 600.0
    """What doubling makes of ``data_limit_s`` at most."""
    quiet_factor: float = 5.0
    """Data may be missing for so many times the longest pause this life has shown."""
    tell_interval_s: float = 0.05
    """Changes of what is desired are told at most so often, together."""
    open_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    backoff_initial_s: float = 0.5
    backoff_max_s: float = 30.0
    refused_retry_s: float = 30.0
    """A refused session is tried again so often though nobody has logged in: a good one may be refused for a moment."""
    stable_after_s: float = 10.0
    """A connection that lasted this long ends the row of failures."""
    subscription_chunk: int = 500
    """Most tokens in one message."""
    frame_bytes_max: int = 1 << 20
    """A larger frame closes the connection; 3,000 full packets are 558,002 bytes."""


class KiteTicker:
    """One connection; make several for a pool.

    Args:
        root: ``ws://`` or ``wss://`` address of the ticker, without query.
        credentials: Key and token.
        desired: Gives what this connection should carry (token → mode), whenever asked.
        listener: Hears everything.
        is_open: Whether the market is open, so that silence means trouble.
        random: Jitter of the waits.
        settings: How the connection is kept.
        monotonic_ns: The clock of receipt and of silence.
    """

    def __init__(
        self,
        root: str,
        credentials: KiteCredentials,
        *,
        desired: Callable[[], Mapping[int, FeedMode]],
        listener: FeedListener,
        is_open: Callable[[], bool],
        random: Random,
        settings: TickerSettings | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if urlsplit(root).scheme not in {"ws", "wss"}:
            raise InvalidInput(f'"{root}" is not a ticker address; it begins with ws:// or wss://.', field="root")
        self._root = root.rstrip("/")
        self._credentials = credentials
        self._desired = desired
        self._listener = listener
        self._is_open = is_open
        self._random = random
        self._settings = settings or TickerSettings()
        self._monotonic_ns = monotonic_ns
        self._changed = asyncio.Event()
        self._again: set[int] = set()
        self._renewed = asyncio.Event()
        self._connection: ClientConnection | None = None
        self._given_up = ""
        self.stats = FeedStats()
        self._pulse = Pulse()
        self._starved_in_row = 0
        # The library writes the request line, token and all, to its logger at DEBUG: it gets one that never will.
        self._wire_logger = logging.Logger(f"{__name__}.wire", logging.WARNING)  # noqa: LOG001 - deliberately unregistered
        self._wire_logger.parent = logging.getLogger(__name__)

    @property
    def is_connected(self) -> bool:
        """Whether a connection is up."""
        return self._connection is not None

    def ask_again(self, tokens: Iterable[int]) -> None:
        """Subscribe these anew, soon, as far as this connection has been told of them already."""
        self._again.update(tokens)
        self._changed.set()

    def subscriptions_changed(self) -> None:
        """Tell the connection what changed in ``desired``, soon; many calls at once cost one round of messages."""
        self._changed.set()

    def renew(self, access_token: str) -> None:
        """Take a new token: a refused ticker goes on, a running one is replaced by a connection with the new token."""
        if access_token != self._credentials.access_token:
            self._credentials.renew(access_token)
        self._renewed.set()
        self._give_up(_RENEWED)

    async def run(self) -> None:
        """Keep the connection up until cancelled; may be run again afterwards."""
        failures = 0
        is_refused = False
        while True:
            self._renewed.clear()
            self._given_up = ""
            started = self._monotonic_ns()
            try:
                await self._serve()
            except InvalidStatus as error:
                status = error.response.status_code
                if status == _FORBIDDEN:
                    await self._wait_for_login(is_told=is_refused)
                    is_refused, failures = True, 0
                    continue
                self.stats.last_failure = f"the ticker answered HTTP {status}"
            except (OSError, WebSocketException) as error:
                self.stats.last_failure = f"could not connect: {type(error).__name__}"
            is_refused = False
            if (self._monotonic_ns() - started) / _NS_PER_S >= self._settings.stable_after_s:
                failures = 0
                if self._given_up:
                    continue  # it was good and died unseen: the time for that is used up, the next one is made at once
            if not self._renewed.is_set():
                await asyncio.sleep(self._wait_s(failures))
            failures += 1

    async def _serve(self) -> None:
        """Make one connection and live with it until it ends."""
        settings = self._settings
        query = urlencode({"api_key": self._credentials.api_key, "access_token": self._credentials.access_token})
        async with connect(
            f"{self._root}/?{query}",
            additional_headers={"X-Kite-Version": API_VERSION},
            compression=None,
            proxy=None,
            ping_interval=None,  # the broker beats its own heart; silence is judged by the watchdog below
            open_timeout=settings.open_timeout_s,
            close_timeout=settings.close_timeout_s,
            max_size=settings.frame_bytes_max,
            logger=self._wire_logger,
        ) as connection:
            reason = "the ticker was stopped"
            self._begin(connection)
            try:
                async with asyncio.TaskGroup() as group:
                    helpers = (group.create_task(self._tell(connection)), group.create_task(self._watch()))
                    reason = await self._receive(connection)
                    for helper in helpers:
                        helper.cancel()
            finally:
                self._connection = None
                self.stats.last_failure = reason
                self._listener.disconnected(reason)

    def _begin(self, connection: ClientConnection) -> None:
        now = self._monotonic_ns()
        self._connection = connection
        self._pulse = Pulse()
        self._changed.set()
        self.stats.connections += 1
        self.stats.last_byte_ns = now
        self._listener.connected(now)
        if self._renewed.is_set():  # while this connection was being made, with the old token
            self._give_up(_RENEWED)

    async def _receive(self, connection: ClientConnection) -> str:
        """Hand on what comes; returns why it ended."""
        stats, listener, clock = self.stats, self._listener, self._monotonic_ns
        try:
            while True:
                message = await connection.recv()
                now = clock()
                stats.last_byte_ns = now
                stats.bytes += len(message)
                listener.heard(now)
                if isinstance(message, str):
                    stats.text_frames += 1
                    listener.text(message)
                elif len(message) > _HEARTBEAT_BYTES:
                    stats.binary_frames += 1
                    self._pulse.beat(now)
                    listener.frame(message, now)
                else:
                    stats.heartbeats += 1
        except ConnectionClosed as closed:
            return self._given_up or _words(closed)

    async def _tell(self, connection: ClientConnection) -> None:
        """Tell this connection what is desired: all of it first, then what changes."""
        applied: dict[int, FeedMode] = {}
        self.stats.told = 0
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                desired = dict(self._desired())
                again = [token for token in self._again if token in applied and token in desired]
                self._again.clear()
                for message in subscription_messages(
                    FeedChange(unsubscribe=tuple(again)), chunk=self._settings.subscription_chunk
                ):
                    await connection.send(message)
                for token in again:
                    del applied[token]
                change = feed_change(applied, desired)
                for message in subscription_messages(change, chunk=self._settings.subscription_chunk):
                    await connection.send(message)
                applied = desired
                self.stats.told = len(desired)
                self._pulse.told(bool(desired), self._monotonic_ns())
                if not change.is_empty:
                    await asyncio.sleep(self._settings.tell_interval_s)
        except ConnectionClosed:
            return  # the receiving side sees it too, and says why

    async def _watch(self) -> None:
        """Give a connection up that is dead while the market is open."""
        while True:
            await asyncio.sleep(self._look_in_s())
            if not (self._silence() or self._starvation()):
                continue
            # After a stall of our own loop, bytes may be waiting to be read: let them in before judging.
            for _ in range(_LOOP_TURNS):
                await asyncio.sleep(0)
            if silence := self._silence():
                self.stats.silent_replaced += 1
                self._give_up(silence)
                return
            if starvation := self._starvation():
                self.stats.starved_replaced += 1
                self._starved_in_row += 1
                self._give_up(starvation)
                return

    def _look_in_s(self) -> float:
        """Until the silence limit could be reached, but no longer than a part of it: the session may open meanwhile."""
        limit = self._settings.silence_limit_s
        left = limit - (self.stats.last_byte_age_s(self._monotonic_ns()) or 0.0)
        return min(max(left, limit * _LOOK_MIN_PART), limit / _LOOKS_PER_LIMIT)

    def _silence(self) -> str:
        """That not a byte has come for too long, in words; empty when it is not so."""
        limit = self._settings.silence_limit_s
        age_s = self.stats.last_byte_age_s(self._monotonic_ns())
        if age_s is None or age_s < limit or not self._is_open():
            return ""
        return f"nothing was heard for {limit:g} s"

    def _starvation(self) -> str:
        """That it beats but data that should come does not, in words; empty when it is not so."""
        now, settings, pulse = self._monotonic_ns(), self._settings, self._pulse
        if not self._is_open():
            pulse.closed(now)
            return ""
        if pulse.flowed_s >= settings.data_limit_s:
            self._starved_in_row = 0
        doubled = settings.data_limit_s * 2.0 ** min(self._starved_in_row, _DOUBLINGS_MAX)
        limit = max(min(doubled, settings.data_limit_max_s), settings.quiet_factor * pulse.longest_pause_s)
        if pulse.starved_s(now) < limit:
            return ""
        return f"it beats, but no data came for {limit:.3g} s"

    def _give_up(self, reason: str) -> None:
        """End the connection at once, without asking a peer that may be gone."""
        if self._connection is not None:
            self._given_up = reason
            self._connection.transport.abort()

    async def _wait_for_login(self, *, is_told: bool) -> None:
        error = SessionExpired("The ticker refused the session: log in again.", code=_FORBIDDEN, kind="TokenException")
        self.stats.last_failure = str(error)
        if not self._renewed.is_set():
            if not is_told:
                self._listener.session_expired(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.refused_retry_s):
                    await self._renewed.wait()

    def _wait_s(self, failures: int) -> float:
        """Twice as long after each failure, with jitter so that many clients do not return together."""
        settings = self._settings
        full = min(settings.backoff_max_s, settings.backoff_initial_s * 2.0 ** min(failures, _DOUBLINGS_MAX))
        return full * (0.5 + 0.5 * self._random.random())


def _words(closed: ConnectionClosed) -> str:
    received = closed.rcvd
    if received is None:
        return "the connection broke"
    return f"the ticker closed the connection ({received.code}{f' {received.reason}' if received.reason else ''})"
