"""What one client follows, and how far it has been shown each topic.

Pictures conflate: at the client's own pace each is sent what it lacks by then. Logs never leave anything out: each item
is sent as it happens, and a client that does not take it is closed by the session, never skipped. What was followed is
given up when the client goes, however it goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from engine.client import EngineClient
from engine.core.errors import InvalidInput, WorkstationError
from engine.core.events import EngineEvent
from engine.core.orders import OrderRecord
from engine.server import protocol, wire
from engine.server.limits import SessionLimits
from engine.server.pictures import Pictures
from engine.server.topics import QUOTES, Topic, TopicKind, parse_topic

logger = logging.getLogger(__name__)

NOTHING: Final = b"null"

Send = Callable[[bytes, TopicKind], Awaitable[None]]
"""Sends a notification of a topic of this kind; waits until the client has taken it, or closes the connection."""
Fail = Callable[[str], Awaitable[None]]
"""Closes the connection because of a defect of ours."""


class Reply(NamedTuple):
    """The answer to ``follow``, and what to do once it has been sent: only then may updates follow it."""

    data: bytes
    shown: Callable[[], None]


class Follower:
    """The interest of one client."""

    def __init__(
        self, engine: EngineClient, pictures: Pictures, *, limits: SessionLimits, name: str, send: Send, fail: Fail
    ) -> None:
        """Nothing is followed yet; ``name`` is for the log."""
        self._engine = engine
        self._pictures = pictures
        self._limits = limits
        self._name = name
        self._send = send
        self._fail = fail
        self._shown: dict[Topic, int] = {}
        """Followed topics with the sequence that the client has; -1 until the answer to ``follow`` has been sent."""
        self._tokens: frozenset[int] = frozenset()
        self._new_tokens: frozenset[int] = frozenset()
        """Asked for, and the answer has not been sent."""
        self._owed: frozenset[int] = frozenset()
        """To be shown beside the sequence."""
        self._pumps: dict[Topic, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        """Following and unfollowing happen one after the other, in the order they were asked."""
        self._ended = False
        self.pace_hz = limits.pace_hz

    # -- wishes --------------------------------------------------------------------------------------------------

    async def follow(self, name: str, tokens: Sequence[int] | None) -> Reply:
        """Follow a topic, or be given a fresh snapshot of one that is followed.

        Raises:
            InvalidInput: no such topic, tokens that do not belong there, or more than one client may follow.
            WorkstationError: the engine refuses to watch it.
        """
        topic = parse_topic(name)
        if (tokens is not None) != (topic == QUOTES):
            words = "quotes needs its tokens" if tokens is None else f"{name} takes no tokens, only quotes does"
            raise InvalidInput(f"{words}.", field="tokens")
        async with self._turn:
            if self._ended:
                return Reply(NOTHING, lambda: None)
            if topic not in self._shown and len(self._shown) >= self._limits.topics_max:
                words = f"One client may follow {self._limits.topics_max} topics; unfollow one first."
                raise InvalidInput(words, field="topic")
            if topic.kind.is_log:
                return await self._follow_log(topic)
            if tokens is not None:
                return await self._follow_quotes(frozenset(tokens))
            return await self._follow_picture(topic)

    async def unfollow(self, name: str, tokens: Sequence[int] | None) -> bool:
        """Follow a topic no longer, or, of ``quotes``, some instruments; whether it was followed."""
        topic = parse_topic(name)
        async with self._turn:
            if topic == QUOTES:
                lost = self._tokens if tokens is None else self._tokens & frozenset(tokens)
                self._tokens -= lost
                self._new_tokens -= lost
                if not self._tokens:
                    self._shown.pop(QUOTES, None)
                if lost:
                    await self._pictures.quotes.unfollow(tuple(lost))
                return bool(lost)
            return await self._give_up(topic)

    async def give_up_everything(self) -> None:
        """The client has gone."""
        async with self._turn:
            self._ended = True
            for topic in tuple(self._shown):
                try:
                    if topic == QUOTES:
                        tokens, self._tokens = self._tokens, frozenset()
                        await self._pictures.quotes.unfollow(tuple(tokens))
                    else:
                        await self._give_up(topic)
                except Exception:
                    # One topic that cannot be given up must not keep the others watched for ever.
                    logger.exception("could not give up %s of %s", topic.name, self._name)
            self._shown.clear()

    async def _give_up(self, topic: Topic) -> bool:
        if self._shown.pop(topic, None) is None:
            return False
        pump = self._pumps.pop(topic, None)
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        if not topic.kind.is_log:
            await self._pictures.unfollow(topic)
        return True

    async def _follow_picture(self, topic: Topic) -> Reply:
        if topic not in self._shown:
            await self._pictures.follow(topic)
        self._shown[topic] = -1
        try:
            found = self._pictures.message(topic, 0)
        except WorkstationError as error:
            logger.debug("%s cannot be shown yet: %s", topic.name, error)
            found = None
        sequence, data = found or (0, NOTHING)
        return Reply(data, lambda: self._begin(topic, sequence))

    async def _follow_quotes(self, tokens: frozenset[int]) -> Reply:
        quotes = self._pictures.quotes
        fresh = tuple(tokens - self._tokens)
        if len(self._tokens) + len(fresh) > self._limits.tokens_max:
            words = f"One client may follow the quotes of {self._limits.tokens_max} instruments; unfollow some first."
            raise InvalidInput(words, field="tokens")
        if fresh:
            await quotes.follow(fresh)
        self._tokens |= tokens
        self._new_tokens |= tokens
        if self._shown.setdefault(QUOTES, -1) >= 0:
            return Reply(quotes.beside(tokens), lambda: self._join(tokens))
        sequence = quotes.sequence

        def begin() -> None:
            self._new_tokens -= tokens
            self._begin(QUOTES, sequence)

        return Reply(quotes.snapshot(self._tokens, sequence), begin)

    def _join(self, tokens: frozenset[int]) -> None:
        """Instruments that joined others have been shown: from here on they go with them.

        What changed of them meanwhile may lie behind what the client has been sent of the others: they are owed once
        more, or an old price would stand until the next change.
        """
        self._new_tokens -= tokens
        self._owed |= tokens & self._tokens

    async def _follow_log(self, topic: Topic) -> Reply:
        pump = self._pumps.pop(topic, None)
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        self._shown[topic] = -1
        sequence, data = await self._next(topic, None)
        return Reply(data, lambda: self._begin(topic, sequence))

    def _begin(self, topic: Topic, sequence: int) -> None:
        """The answer to ``follow`` has been sent: from here on updates may."""
        if self._shown.get(topic) != -1:
            return  # given up meanwhile, or begun before
        self._shown[topic] = sequence
        if topic.kind.is_log:
            self._pumps[topic] = asyncio.create_task(self._pump(topic, sequence), name=f"{topic.name} of {self._name}")

    # -- sending -------------------------------------------------------------------------------------------------

    async def publish(self) -> None:
        """Send pictures at the client's pace until cancelled."""
        try:
            while True:
                for topic in tuple(self._shown):
                    await self._show(topic)
                await asyncio.sleep(1.0 / self.pace_hz)
        except Exception:
            # A defect of ours. Going on without pictures would leave old prices on a screen: the client is told.
            logger.exception("the pictures of %s failed", self._name)
            await self._fail("the engine could not show a picture; its log says why")

    async def _show(self, topic: Topic) -> None:
        base = self._shown.get(topic, -1)
        if base < 0 or topic.kind.is_log:
            return
        if topic == QUOTES:
            self._pictures.look_at_quotes()
            quotes = self._pictures.quotes
            owed, self._owed = self._owed & self._tokens, frozenset()
            if owed:
                await self._send(protocol.notification(quotes.beside(owed)), topic.kind)
            data = quotes.message(self._tokens - self._new_tokens if self._new_tokens else self._tokens, base)
            found = None if data is None else (quotes.sequence, data)
        else:
            try:
                found = self._pictures.message(topic, base)
            except WorkstationError as error:
                logger.debug("%s cannot be shown now: %s", topic.name, error)
                return
        if found is None:
            return
        sequence, data = found
        if len(data) > protocol.ANSWER_BYTES_MAX:
            logger.error("the picture %s takes %d bytes and is not sent", topic.name, len(data))
            await self._fail(f"{topic.name} takes more than {protocol.ANSWER_BYTES_MAX} bytes")
            return
        self._shown[topic] = sequence
        await self._send(protocol.notification(data), topic.kind)

    async def _pump(self, topic: Topic, sequence: int) -> None:
        """Send every item of a log from ``sequence`` on."""
        try:
            while True:
                sequence, data = await self._next(topic, sequence)
                await self._send(protocol.notification(data), topic.kind)
        except Exception:
            # A defect of ours, as with pictures: a log that silently stopped would read as "nothing happened".
            logger.exception("the log %s of %s failed", topic.name, self._name)
            await self._fail(f"the engine could not show its {topic.name}; its log says why")

    async def _next(self, topic: Topic, after: int | None) -> tuple[int, bytes]:
        """What comes after a place in a log: the new place, and the encoded update."""
        items: Sequence[OrderRecord] | Sequence[EngineEvent]
        if topic.kind is TopicKind.ORDERS:
            orders = await self._engine.next_orders(after)
            sequence, base, items = orders.sequence, orders.base, orders.orders
        else:
            events = await self._engine.next_events(after)
            sequence, base, items = events.sequence, events.base, events.events
        return sequence, protocol.log_update(topic.name, sequence, base, [wire.encode(item) for item in items])
