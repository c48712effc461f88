"""Whether the engine can be relied on now, in words that tell nothing of an account: for ``/ready``.

Anybody may ask, so an answer is kept for a moment: however often it is asked, the database is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from engine.client import EngineClient
from engine.core.errors import WorkstationError
from engine.core.vocabulary import QuoteState

logger = logging.getLogger(__name__)

KEPT_S = 1.0
"""How long an answer is given again."""
DATABASE_TIMEOUT_S = 2.0
NO_ENGINE = "the engine cannot show its desk"
NOT_WRITER = "another engine is the writer of the account: this one can only look"
NO_DATABASE = "the database does not answer"
ENDING = "the engine is ending"
FEED_WORDS = {
    QuoteState.UNKNOWN: "no market data has arrived yet",
    QuoteState.STALE: "market data does not arrive",
}


class ReadinessView(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered."""

    ready: bool
    read_only: bool
    """This engine was told never to send; it is ready to be looked at."""
    writer: bool
    feed: str
    degraded: int
    """Services that do not run as they should; the desk of whoever has a token says which."""
    reasons: tuple[str, ...]
    """Why it is not ready; empty when it is."""


class Readiness:
    """Looks at an engine and its database."""

    def __init__(
        self,
        engine: EngineClient,
        *,
        read_only: bool,
        ping: Callable[[], Awaitable[object]],
        monotonic: Callable[[], float],
    ) -> None:
        """Ask ``engine`` and its database.

        Args:
            engine: Its desk is looked at.
            read_only: The engine was told never to become the writer.
            ping: Waits for the shortest answer of the database; raises when there is none.
            monotonic: Seconds of this machine.
        """
        self._engine = engine
        self._read_only = read_only
        self._ping = ping
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._known: ReadinessView | None = None
        self._known_at = 0.0

    async def look(self) -> ReadinessView:
        """How it stands, as of a second ago at most."""
        async with self._turn:
            if self._known is None or self._monotonic() - self._known_at >= KEPT_S:
                self._known = await self._looked()
                self._known_at = self._monotonic()
            return self._known

    async def _looked(self) -> ReadinessView:
        database = await self._database_answers()
        try:
            status = self._engine.desk().status
        except WorkstationError as error:
            logger.warning("not ready: %s", error)
            return ReadinessView(
                ready=False, read_only=self._read_only, writer=False, feed="", degraded=0, reasons=(NO_ENGINE,)
            )
        found = (
            NOT_WRITER if not status.writer and not self._read_only else "",
            FEED_WORDS.get(status.feed.state, ""),
            "" if database else NO_DATABASE,
        )
        reasons = tuple(filter(None, found))
        return ReadinessView(
            ready=not reasons,
            read_only=self._read_only,
            writer=status.writer,
            feed=status.feed.state.name.lower(),
            degraded=len(status.degraded),
            reasons=reasons,
        )

    async def _database_answers(self) -> bool:
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S):
                await self._ping()
        except (TimeoutError, OSError, WorkstationError) as error:
            logger.warning("the database does not answer: %s", error)
            return False
        return True
