"""One attached client: answers its calls, and shows it the topics it follows at its own pace.

Pictures conflate: each send takes the newest value, so a slow client skips. A client that takes nothing for
``send_timeout_s`` is closed with a reason. Calls run side by side up to ``calls_max``; more are refused. A command that
has been handed to the engine is never cancelled because its client went away. What a client followed is given up when
it goes, however it goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from engine.client import EngineClient
from engine.core.errors import InvalidInput, WorkstationError
from engine.server import protocol, wire
from engine.server.methods import SEAT, WireMethod
from engine.server.protocol import BadRequest, ErrorBody, Greeting, Request
from engine.server.strictness import Bounds
from engine.server.topics import NOTHING, TopicSource

logger = logging.getLogger(__name__)

Positive = Annotated[int, msgspec.Meta(ge=1)]


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one attached client."""

    topics_max: Positive = 64
    """Topics one client may follow; one more is refused."""
    calls_max: Positive = 32
    """Calls under way at once; one more is refused."""
    pace_hz: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    """How often pictures are looked at for a client."""
    send_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """A client that takes nothing for this long is closed."""
    text_max: Positive = 4096
    """Characters of one text in a call."""
    items_max: Positive = 1000
    """Items of one list in a call."""


class _TopicParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    topic: str


class _NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


HELLO = WireMethod("hello", _NoParameters, Greeting, "Who answers, and in which revision of the protocol.")
FOLLOW = WireMethod("follow", _TopicParameters, None, "Be shown a topic, beginning with its value now.")
UNFOLLOW = WireMethod("unfollow", _TopicParameters, bool, "Be shown a topic no longer.")


class Session:
    """One connection from accept to close."""

    def __init__(
        self,
        connection: ServerConnection,
        engine: EngineClient,
        *,
        methods: dict[str, WireMethod],
        topics: TopicSource,
        limits: SessionLimits,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        seat: str,
    ) -> None:
        """``spawn`` makes a task that the door owns, so that a call outlives its client."""
        self._connection = connection
        self._engine = engine
        self._methods = methods
        self._topics = topics
        self._limits = limits
        self._bounds = Bounds(text_max=limits.text_max, items_max=limits.items_max)
        self._spawn = spawn
        self._seat = seat
        self._followed: dict[str, int] = {}
        self._interest = asyncio.Lock()
        """Following and unfollowing happen one after the other, in the order they were asked."""
        self._sending = asyncio.Lock()
        """One message at a time, so that a slow reader holds back at most one beyond the buffers."""
        self._calls = 0
        self._ending = ""

    async def run(self) -> None:
        """Serve until the client leaves."""
        publisher = asyncio.create_task(self._publish(), name=f"publisher of {self._seat}")
        try:
            async for message in self._connection:
                await self._take(message)
        except ConnectionClosed as error:
            logger.info("%s left: %s", self._seat, error)
        finally:
            self._ending = self._ending or "This client has gone."
            publisher.cancel()
            await asyncio.gather(publisher, return_exceptions=True)
            await self._give_up_everything()

    def refuse_calls(self, words: str) -> None:
        """Take no more calls; those under way go on."""
        self._ending = words

    async def close(self, code: int, reason: str) -> None:
        """Say good-bye to the client, with the reason; hang up on one that does not even take that."""
        try:
            async with asyncio.timeout(protocol.CLOSE_TIMEOUT_S):
                await self._connection.close(code, reason)
        except TimeoutError:
            self._connection.transport.abort()

    # -- calls ---------------------------------------------------------------------------------------------------

    async def _take(self, message: str | bytes) -> None:
        try:
            identifier, request = protocol.read_request(message)
        except BadRequest as error:
            await self._send(protocol.failure(error.identifier, error.body))
            return
        if self._ending:
            await self._send(protocol.failure(identifier, protocol.refused(f"{self._ending} Nothing was done.")))
            return
        if self._calls >= self._limits.calls_max:
            words = f"{self._calls} calls are under way already, the limit of one client; nothing was done."
            await self._send(protocol.failure(identifier, protocol.refused(words)))
            return
        self._calls += 1
        self._spawn(self._answer(identifier, request))

    async def _answer(self, identifier: int | str, request: Request) -> None:
        try:
            # The call counts until its answer has left: a client that never reads cannot pile answers up.
            data = await self._call(identifier, request)
            if len(data) > protocol.ANSWER_BYTES_MAX:
                words = f"The answer to {request.method} takes {len(data)} bytes, {protocol.ANSWER_BYTES_MAX} at most."
                data = protocol.failure(identifier, protocol.refused(f"{words} Ask for less."))
            await self._send(data)
        finally:
            self._calls -= 1

    async def _call(self, identifier: int | str, request: Request) -> bytes:
        method = {method.name: method for method in (HELLO, FOLLOW, UNFOLLOW)}.get(request.method)
        method = method or self._methods.get(request.method)
        if method is None:
            known = ", ".join(sorted([*self._methods, HELLO.name, FOLLOW.name, UNFOLLOW.name]))
            words = f'There is no method "{request.method[: self._limits.text_max]}"; there are {known}.'
            return protocol.failure(identifier, ErrorBody(protocol.METHOD_NOT_FOUND, words))
        try:
            arguments = method.read_parameters(request.params, self._bounds)
        except BadRequest as error:
            return protocol.failure(identifier, error.body)
        try:
            return protocol.answer(identifier, await self._result(method, arguments))
        except WorkstationError as error:
            return protocol.failure(identifier, protocol.error_body(error))
        except Exception:
            # A defect of ours in one call: the caller gets a plain word, the log the whole story, others go on.
            logger.exception("the call %s of %s failed", method.name, self._seat)
            return protocol.failure(identifier, protocol.failed_inside())

    async def _result(self, method: WireMethod, arguments: dict[str, Any]) -> bytes:
        if method is HELLO:
            return wire.encode(Greeting(protocol.PROTOCOL_REVISION, self._seat))
        if method is FOLLOW:
            return await self._follow(arguments["topic"])
        if method is UNFOLLOW:
            return wire.encode(await self._unfollow(arguments["topic"]))
        if not arguments.get(SEAT, self._seat):
            arguments[SEAT] = self._seat
        return wire.encode(await getattr(self._engine, method.name)(**arguments))

    # -- interest ------------------------------------------------------------------------------------------------

    async def _follow(self, topic: str) -> bytes:
        """Follow a topic; the first picture, or null when there is none yet."""
        async with self._interest:
            if self._ending:
                return NOTHING
            if topic not in self._followed:
                if len(self._followed) >= self._limits.topics_max:
                    words = f"One client may follow {self._limits.topics_max} topics; unfollow one first."
                    raise InvalidInput(words, field="topic")
                await self._topics.follow(topic)
                self._followed[topic] = 0
            try:
                value = self._topics.value(topic)
            except WorkstationError as error:
                logger.debug("%s cannot be shown yet: %s", topic, error)
                value = None
            if value is None:
                return NOTHING
            self._followed[topic] = value.sequence
            return value.update

    async def _unfollow(self, topic: str) -> bool:
        async with self._interest:
            if self._followed.pop(topic, None) is None:
                return False
            await self._topics.unfollow(topic)
            return True

    async def _give_up_everything(self) -> None:
        async with self._interest:
            while self._followed:
                topic, _ = self._followed.popitem()
                try:
                    await self._topics.unfollow(topic)
                except Exception:
                    # One topic that cannot be given up must not keep the others watched for ever.
                    logger.exception("could not give up %s of %s", topic, self._seat)

    # -- pictures ------------------------------------------------------------------------------------------------

    async def _publish(self) -> None:
        pause = 1.0 / self._limits.pace_hz
        try:
            while True:
                for topic in list(self._followed):
                    await self._show(topic)
                await asyncio.sleep(pause)
        except Exception:
            # A defect of ours. Going on without pictures would leave old prices on a screen: the client is told.
            logger.exception("the pictures of %s failed", self._seat)
            await self.close(protocol.CLOSE_INTERNAL, "the engine could not show a picture; its log says why")

    async def _show(self, topic: str) -> None:
        if topic not in self._followed:
            return
        try:
            value = self._topics.value(topic)
        except WorkstationError as error:
            logger.debug("%s cannot be shown now: %s", topic, error)
            return
        if value is None or value.sequence == self._followed[topic]:
            return
        if len(value.update) > protocol.ANSWER_BYTES_MAX:
            logger.error("the picture %s takes %d bytes and is not sent", topic, len(value.update))
            await self.close(protocol.CLOSE_INTERNAL, f"{topic} takes more than {protocol.ANSWER_BYTES_MAX} bytes")
            return
        self._followed[topic] = value.sequence
        await self._send(protocol.notification(value.update))

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            try:
                async with asyncio.timeout(self._limits.send_timeout_s):
                    await self._connection.send(data, text=True)
            except TimeoutError:
                logger.warning("closing %s: it took nothing for %g s", self._seat, self._limits.send_timeout_s)
                await self.close(protocol.CLOSE_TRY_LATER, "too slow: attach again for a fresh snapshot")
            except ConnectionClosed:
                return
