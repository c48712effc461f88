"""The conversation with an engine behind a door: calls and answers, and what it says unasked. Kept up when wished.

Nothing is ever sent again by itself: a call whose answer was lost may have been done, and its caller is told so. A link
that is kept up is made anew with growing pauses until it is closed, or until the engine there says that it is another
one, speaks another revision, or does not take the token any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from engine.core.errors import EngineGone, Forbidden, InvalidInput, SetupError, Unauthorized
from engine.server import protocol, wire
from engine.server.endpoints import Endpoint
from engine.server.protocol import Answer, Greeting, TopicUpdate

logger = logging.getLogger(__name__)

CLOSED_HERE = "This client was closed."
UNANSWERED = "keepalive ping timeout"
"""The reason the WebSocket library gives when pings stay unanswered."""
RESUME_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses before the link is tried again; the last one repeats."""
JITTER = 0.3
"""So much of a pause is random: many clients do not come back at the same moment."""

Sleep = Callable[[float], Awaitable[None]]


class LinkListener:
    """What a link tells its owner; the methods do nothing here."""

    def updated(self, update: TopicUpdate) -> None:
        """A notification arrived.

        Raises:
            msgspec.DecodeError: it cannot be read; the link ends.
        """

    def lost(self, reason: str) -> None:
        """The connection ended; whether it comes back is not known."""

    async def found(self) -> None:
        """The connection is there again, with the same engine or a new start of it. What it raises is logged."""


class Link:
    """One link. ``open`` it, ``call``, ``close`` it.

    Args:
        endpoint: Where the engine is.
        listener: Who is told.
        timeout_s: Longest wait for an answer.
        resume: Keep it up when it is lost.
        generator: Randomness of the pauses.
        sleep: Waits between tries.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        listener: LinkListener,
        *,
        timeout_s: float,
        resume: bool,
        generator: random.Random,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._listener = listener
        self._timeout_s = timeout_s
        self._resume = resume
        self._random = generator
        self._sleep = sleep
        self._identifiers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer | None]] = {}
        """Calls under way; ``None`` for one whose link was lost."""
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[str] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._closed = False
        self.greeting: Greeting | None = None
        """What the engine said of itself."""
        self.reason = ""
        """Why the link is down; empty while it is up."""

    @property
    def is_over(self) -> bool:
        """Whether it will not come back."""
        return self._gone.is_set()

    @property
    def resumes(self) -> bool:
        """Whether a lost link is made anew."""
        return self._resume and not self.is_over

    async def open(self) -> None:
        """Connect and be greeted.

        Raises:
            EngineGone: nobody answers, or it would not let us in now.
            Unauthorized: it does not take the token.
            Forbidden: it does not let this program in.
            SetupError: it speaks another revision of the protocol.
        """
        await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name=f"link to {self._endpoint.name}")

    async def gone(self) -> str:
        """Wait until the link is down for good; why."""
        await self._gone.wait()
        return self.reason

    async def close(self) -> None:
        """Leave; harmless when repeated."""
        self._closed = True
        self.reason = self.reason or CLOSED_HERE
        keeper, self._keeper = self._keeper, None
        await self._hang_up()
        if keeper is not None:
            if self._reader is None or self._reader.done():
                keeper.cancel()  # it may be in the middle of a pause
            await asyncio.gather(keeper, return_exceptions=True)
        self._gone.set()

    async def call(self, method: str, **parameters: Any) -> msgspec.Raw:  # noqa: ANN401 - of any kind
        """Call a method and return its encoded result.

        Raises:
            EngineGone: the link is down or was lost, or no answer came in time; it may have been done.
            InvalidInput: the call is too long; nothing was sent.
            WorkstationError: what the engine answered.
        """
        if self.reason or self._connection is None:
            raise EngineGone(self.reason or "The link is not open.")
        identifier = next(self._identifiers)
        data = protocol.request(identifier, method, parameters, wire.encode)
        if len(data) > protocol.REQUEST_BYTES_MAX:
            raise InvalidInput(
                f"{method}: the call takes {len(data)} bytes, {protocol.REQUEST_BYTES_MAX} at most; nothing was sent."
            )
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting[identifier] = future
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connection.send(data, text=True)
                answer = await future
        except TimeoutError:
            raise EngineGone(
                f"The engine did not answer {method} within {self._timeout_s:g} s; it may still do what was asked."
            ) from None
        except ConnectionClosed as error:
            raise EngineGone(_closed_words(error)) from error
        finally:
            self._waiting.pop(identifier, None)
        if answer is None:
            raise EngineGone(self.reason)
        if answer.error is not None:
            raise protocol.error_from_body(answer.error)
        return answer.result

    # -- the connection --------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        connection = await self._endpoint.connect()
        self._connection = connection
        self._reader = asyncio.create_task(self._read(connection), name=f"reader of {self._endpoint.name}")
        self.reason = ""
        try:
            greeting = _read_greeting(await self.call("hello"))
            self._check(greeting)
        except BaseException:
            # A caller that gives up leaves no line open, and no task that reads from it.
            await self._hang_up()
            await asyncio.gather(self._reader, return_exceptions=True)
            raise
        self.greeting = greeting

    def _check(self, greeting: Greeting) -> None:
        before = self.greeting
        if before is not None and (before.venue, before.account) != (greeting.venue, greeting.account):
            raise SetupError(
                f"Another engine answers at {self._endpoint.name} now: {greeting.venue} {greeting.account} instead of "
                f"{before.venue} {before.account}. Attach again to look at that one."
            )

    async def _keep(self) -> None:
        """Watch over the connection until it is down for good."""
        while self._reader is not None:
            reason = await self._reader
            self.reason = CLOSED_HERE if self._closed else reason
            self._listener.lost(self.reason)
            self._answer_nothing()
            if self._closed or not self._resume or not await self._made_anew():
                break
            try:
                await self._listener.found()
            except EngineGone as error:
                logger.info("the link came back and went again: %s", error)
        self._gone.set()
        self._listener.lost(self.reason)

    async def _made_anew(self) -> bool:
        for attempt in itertools.count():
            pause = RESUME_PAUSES_S[min(attempt, len(RESUME_PAUSES_S) - 1)]
            await self._sleep(pause * (1.0 - JITTER * self._random.random()))
            lost = self.reason
            try:
                await self._connect()
            except EngineGone:
                self.reason = CLOSED_HERE if self._closed else lost
            except (Unauthorized, Forbidden, SetupError) as error:
                self.reason = str(error)
                return False
            else:
                return True
            if self._closed:
                return False
        return False

    async def _read(self, connection: ClientConnection) -> str:
        """Hand on what arrives; returns why it ended."""
        reason = "The engine's door closed."
        try:
            async for message in connection:
                self._take(message)
            reason = _closed_words(None, connection.close_reason)
        except ConnectionClosed as error:
            reason = _closed_words(error)
        except (msgspec.DecodeError, InvalidInput) as error:
            reason = f"The engine speaks another revision of the protocol: {error}."
        finally:
            self.reason = self.reason or reason
            self._answer_nothing()
            await self._hang_up()
        return reason

    def _take(self, message: str | bytes) -> None:
        answer = wire.decode(message, Answer)
        if answer.method == "topic":
            self._listener.updated(wire.decode(answer.params, TopicUpdate))
        elif isinstance(answer.id, int):
            future = self._waiting.get(answer.id)
            if future is not None and not future.done():
                future.set_result(answer)
        elif answer.error is not None:
            logger.error("the engine could not read a message of ours: %s", answer.error.message)

    def _answer_nothing(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_result(None)

    async def _hang_up(self) -> None:
        connection = self._connection
        if connection is None:
            return
        # A transport that ended by itself with bytes unsent has no loop any more, and aborting it again stumbles there.
        with contextlib.suppress(AttributeError):
            try:
                async with asyncio.timeout(protocol.CLOSE_TIMEOUT_S):
                    await connection.close()
            except TimeoutError:
                connection.transport.abort()  # it takes nothing any more, not even a good-bye


class _Revision(msgspec.Struct):
    """What every revision's greeting has."""

    revision: int


def _read_greeting(raw: msgspec.Raw) -> Greeting:
    """Read what an engine says of itself.

    Raises:
        SetupError: it speaks another revision, whose greeting need not have the same fields.
    """
    revision = wire.decode(raw, _Revision).revision
    if revision != protocol.PROTOCOL_REVISION:
        raise SetupError(
            f"The running engine speaks revision {revision} of the protocol and this program "
            f"{protocol.PROTOCOL_REVISION}; start the engine again with this version."
        )
    return wire.decode(raw, Greeting)


def _closed_words(error: ConnectionClosed | None, reason: str | None = None) -> str:
    """Why a connection ended, in a sentence."""
    if error is not None and error.rcvd is not None:
        reason = error.rcvd.reason
    elif error is not None and error.sent is not None:
        reason = error.sent.reason
    if reason == UNANSWERED:
        return "The engine does not answer any more, not even a ping."
    return f"The engine's door closed: {reason}." if reason else "The engine's door closed without a word."
