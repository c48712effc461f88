"""One HTTP connection of the order lane: it writes a request once and reads that one answer.

Invariants: a request leaves in one write, with nothing between the last look and its first byte; a failure before that
write is told apart from one after it; a byte that nobody asked for ends the connection.
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable

import httpx

from engine.brokers.kite.answer_reader import Answer, AnswerReader


class OrderConnection(asyncio.Protocol):
    """A connection that stands, or stood; at most one request is under way on it.

    Args:
        answer_max_bytes: Of an answer, its head included; a longer one is cut off and counts as none.
        when_lost: Told once, when the connection has ended.
    """

    def __init__(self, *, answer_max_bytes: int, when_lost: Callable[[OrderConnection], None]) -> None:
        self._answer_max_bytes = answer_max_bytes
        self._when_lost = when_lost
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._asked: _Asked | None = None
        self._may_keep = True
        self.gone = asyncio.Event()
        """Set when the connection has ended and its socket is closed."""

    @property
    def is_kept(self) -> bool:
        """Whether it stands, idle, and the server means to keep it."""
        transport = self._transport
        return self._may_keep and self._asked is None and transport is not None and not transport.is_closing()

    def has_news(self) -> bool:
        """Whether an idle connection has bytes or an end to tell: the event loop hears of a hang-up at its next turn,
        the operating system knows it now.
        """
        if sys.platform == "win32":
            return bool(select.select([self._descriptor], [], [], 0)[0])
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    async def ask(self, request: bytes, *, silence_s: float, last_look: Callable[[], None] | None = None) -> Answer:
        """Write a whole request and read its answer.

        Args:
            request: Head and body.
            silence_s: Seconds that may pass without a byte of the answer.
            last_look: Called right before the first byte; what it raises leaves the connection as it was.

        Raises:
            httpx.ConnectError: the connection had ended before anything was written.
            httpx.HTTPError: of any other kind: the request was written, and no whole answer came.
        """
        if self._transport is None or not self.is_kept:
            raise httpx.ConnectError("the connection ended before anything was sent")
        if last_look is not None:
            last_look()
        loop = asyncio.get_running_loop()
        asked = self._asked = _Asked(AnswerReader(self._answer_max_bytes), loop.create_future(), silence_s)
        self._transport.write(request)
        try:
            async with asyncio.timeout(silence_s) as asked.silence:
                return await asked.answer
        except TimeoutError:
            raise httpx.ReadTimeout(f"no byte of an answer for {silence_s:g} s") from None
        finally:
            self._asked = None
            if not asked.answer.done() or asked.answer.cancelled():
                self.abort()  # what still comes belongs to nobody

    def abort(self) -> None:
        """End the connection at once; what is under way fails."""
        self._may_keep = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._descriptor = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        asked = self._asked
        if asked is None or asked.answer.done():
            self.abort()
            return
        if asked.silence is not None:
            asked.silence.reschedule(asyncio.get_running_loop().time() + asked.silence_s)
        try:
            asked.reader.feed(data)
            if asked.reader.is_complete:
                asked.answer.set_result(asked.reader.answer())
                self._may_keep = self._may_keep and asked.reader.may_keep
        except httpx.HTTPError as failure:
            asked.answer.set_exception(failure)
            self._may_keep = False
        if not self._may_keep:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        self._may_keep = False
        asked = self._asked
        if asked is not None and not asked.answer.done():
            try:
                if exc is not None:
                    raise httpx.ReadError(str(exc) or type(exc).__name__) from exc
                asked.reader.end()
                asked.answer.set_result(asked.reader.answer())
            except httpx.HTTPError as failure:
                asked.answer.set_exception(failure)
        self.gone.set()
        self._when_lost(self)


class _Asked:
    """A request under way."""

    __slots__ = ("answer", "reader", "silence", "silence_s")

    def __init__(self, reader: AnswerReader, answer: asyncio.Future[Answer], silence_s: float) -> None:
        self.reader = reader
        self.answer = answer
        self.silence: asyncio.Timeout | None = None
        self.silence_s = silence_s
