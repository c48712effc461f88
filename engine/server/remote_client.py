"""``EngineClient`` over the wire: calls become requests, pictures and logs are followed topics mirrored here.

When the link is lost every call raises ``EngineGone``; the pictures keep their last figures, all marked STALE, and
``link_lost`` says why. A link that resumes is made anew and every topic followed again, from a snapshot. Nothing is
sent again by itself: a command whose answer was lost may have been done; its idempotency key tells.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.core.errors import EngineGone, Forbidden, WorkstationError
from engine.core.quotes import Quote
from engine.core.views import (
    ChainKey,
    ChainView,
    DeskView,
    EventChanges,
    Integers,
    OrderChanges,
)
from engine.server import wire
from engine.server.endpoints import Endpoint, SocketEndpoint, UrlEndpoint
from engine.server.link import Link, LinkListener
from engine.server.mirror import Mirror
from engine.server.protocol import TopicUpdate
from engine.server.remote_calls import RemoteCalls
from engine.server.topics import DESK, EVENTS, ORDERS, QUOTES, Topic, chain_topic

logger = logging.getLogger(__name__)

NOTHING = b"null"
TIMEOUT_S = 10.0
SILENCE_S = 5.0


class RemoteClient(RemoteCalls, LinkListener):
    """An engine in another process, seen through its door. Make one with ``attach`` or ``connect``."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout_s: float,
        resume: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is connected before ``open``."""
        super().__init__()
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        generator = random.Random(secrets.token_bytes(8))  # noqa: S311 - jitter of pauses, not a secret
        self._link = Link(endpoint, self, timeout_s=timeout_s, resume=resume, generator=generator)
        self._mirror = Mirror(monotonic)
        self._watches: dict[Topic | int, int] = {}
        """What is watched here, topics and tokens, with how often."""
        self._followed: set[Topic | int] = set()
        """What the engine may believe that we follow; it is asked to stop when nobody here watches it."""
        self._shown: set[Topic | int] = set()
        """What is followed for certain, with its first picture here."""
        self._interest = asyncio.Lock()
        self._desk_arrived = asyncio.Event()
        self._seen: tuple[DeskView, str, DeskView] | None = None
        """A desk as it was received, and as the seat of this client sees it."""
        self._no_desk = ""
        """Why this client is not shown the desk."""
        self._snapshots: set[asyncio.Task[None]] = set()

    @classmethod
    async def attach(
        cls, path: Path, *, timeout_s: float = TIMEOUT_S, silence_s: float = SILENCE_S, resume: bool = False
    ) -> RemoteClient:
        """Attach to the engine that listens at the Unix socket ``path``.

        Args:
            path: Its socket.
            timeout_s: Longest wait for the engine to answer a call.
            silence_s: An engine that does not even answer a ping for so long is taken as lost: its pictures are old.
            resume: Make a lost link anew.

        Raises:
            EngineGone: nobody listens there, or it would not let us in.
            SetupError: it speaks another revision of the protocol.
        """
        endpoint = SocketEndpoint(path, timeout_s=timeout_s, silence_s=silence_s)
        return await cls(endpoint, timeout_s=timeout_s, resume=resume).open()

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        token: str,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
        silence_s: float = SILENCE_S,
        resume: bool = True,
    ) -> RemoteClient:
        """Connect to the engine at a WebSocket URL; see ``UrlEndpoint`` for ``url``, ``token`` and ``tls``.

        Raises:
            InvalidInput: the URL cannot be used.
            EngineGone: nobody answers there, or it would not let us in now.
            Unauthorized: it does not take the token.
            SetupError: it speaks another revision of the protocol.
        """
        endpoint = UrlEndpoint(url, token=token, tls=tls, timeout_s=timeout_s, silence_s=silence_s)
        return await cls(endpoint, timeout_s=timeout_s, resume=resume).open()

    async def open(self) -> RemoteClient:
        """Connect, and wait for the first picture of the desk when this client may see it."""
        await self._link.open()
        try:
            try:
                await self._watch(DESK)
            except Forbidden as error:
                self._no_desk = str(error)
                return self
            async with asyncio.timeout(self._timeout_s):
                await self._desk_or_end()
        except TimeoutError:
            await self.close()
            words = f"The engine at {self._endpoint.name} did not show its desk within {self._timeout_s:g} s."
            raise EngineGone(words) from None
        except BaseException:
            # Whoever opened it never got it, so nobody else would close it.
            await self.close()
            raise
        return self

    @property
    def seat(self) -> str:
        """How the engine names this client."""
        return self._link.greeting.seat if self._link.greeting is not None else ""

    @property
    def link_lost(self) -> str:
        """Why the link is down; empty while it is up."""
        return self._link.reason

    async def gone(self) -> str:
        """Wait until the link is down for good; why."""
        return await self._link.gone()

    # -- pictures ------------------------------------------------------------------------------------------------

    def desk(self) -> DeskView:
        """The newest desk received, with this seat's mode; the same object until another arrives.

        Raises:
            Forbidden: this token does not own the engine's account.
        """
        if self._no_desk:
            raise Forbidden(self._no_desk)
        desk = self._mirror.desk
        if desk is None:
            raise EngineGone("The engine has not shown its desk yet.")
        if self._seen is None or self._seen[0] is not desk or self._seen[1] != self.seat:
            own = msgspec.structs.replace(desk, status=desk.status.seen_from(self.seat))
            self._seen = desk, self.seat, own
        return self._seen[2]

    def chain(self, key: ChainKey, since: int = 0) -> ChainView | None:
        """The newest picture of a watched chain, with the rows that changed after ``since``."""
        return self._mirror.chain(key, since)

    def quote(self, token: int) -> Quote | None:
        """The newest picture of a watched instrument."""
        return self._mirror.quote(token)

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """See ``EngineClient``."""
        return self._mirror.quote_marks(tokens)

    async def next_orders(self, after: int | None = None) -> OrderChanges:
        """See ``EngineClient``."""
        await self._follow_log(ORDERS)
        return await self._mirror.orders.next(after)

    async def next_events(self, after: int | None = None) -> EventChanges:
        """See ``EngineClient``."""
        await self._follow_log(EVENTS)
        return await self._mirror.events.next(after)

    # -- interest ------------------------------------------------------------------------------------------------

    async def watch_chain(self, key: ChainKey) -> None:
        """Follow a chain; counted here, followed once. Its first picture is here when this returns."""
        await self._watch(chain_topic(key))

    async def unwatch_chain(self, key: ChainKey) -> None:
        """Give up one watch."""
        await self._unwatch((chain_topic(key),))

    async def watch(self, tokens: Sequence[int]) -> None:
        """Follow instruments: all of them, or none when one is refused."""
        await self._watch(*tokens)

    async def unwatch(self, tokens: Sequence[int]) -> None:
        """Give up one watch of each."""
        await self._unwatch(tokens)

    async def close(self) -> None:
        """Leave; the engine goes on."""
        for task in self._snapshots:
            task.cancel()
        await asyncio.gather(*self._snapshots, return_exceptions=True)
        await self._link.close()

    # -- what the link tells -----------------------------------------------------------------------------------------

    def updated(self, update: TopicUpdate) -> None:
        """A notification arrived; one that does not continue what is here is answered by asking for a snapshot."""
        if not self._take(update):
            logger.warning("an update of %s is missing; asking for a snapshot", update.topic)
            task = asyncio.create_task(self._ask_again(update.topic), name=f"snapshot of {update.topic}")
            self._snapshots.add(task)
            task.add_done_callback(self._snapshots.discard)

    def lost(self, reason: str) -> None:
        """The connection ended."""
        self._mirror.lose(f"{reason} Trying to come back." if self._link.resumes else reason)
        if self._link.is_over:
            self._mirror.orders.end(reason)
            self._mirror.events.end(reason)
            self._desk_arrived.set()

    async def found(self) -> None:
        """The connection is there again: follow everything anew, each from a snapshot."""
        async with self._interest:
            self._followed.clear()
            self._shown.clear()
            await self._follow(*self._watches)

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _desk_or_end(self) -> None:
        await self._desk_arrived.wait()
        if self._mirror.desk is None:
            raise EngineGone(self.link_lost)

    async def _follow_log(self, topic: Topic) -> None:
        if topic not in self._watches or topic not in self._shown:
            await self._watch(topic, once=True)

    async def _watch(self, *wanted: Topic | int, once: bool = False) -> None:
        for item in wanted:
            self._watches[item] = 1 if once else self._watches.get(item, 0) + 1
            # At once: whoever gives it up and wants it again meanwhile must not lose the picture that is on its way.
            self._mirror.expect(item.name if isinstance(item, Topic) else QUOTES.name)
        try:
            async with self._interest:
                await self._settle()
                await self._follow(*(item for item in wanted if item not in self._shown))
        except BaseException:
            # A wish that did not come about, cancelled or refused, must not keep a topic followed.
            self._count_down(wanted)
            raise

    async def _unwatch(self, given_up: Sequence[Topic | int]) -> None:
        self._count_down(given_up)
        if self.link_lost:
            return
        try:
            async with self._interest:
                await self._settle()
        except EngineGone:
            return  # with the link the engine gave up everything for us

    def _count_down(self, given_up: Sequence[Topic | int]) -> None:
        for item in given_up:
            count = self._watches.get(item, 0)
            if count > 1:
                self._watches[item] = count - 1
            elif count == 1:
                del self._watches[item]
                self._shown.discard(item)
                if isinstance(item, Topic):
                    self._mirror.forget(item.name)
                else:
                    self._mirror.forget_quote(item)

    async def _follow(self, *wanted: Topic | int) -> None:
        """Ask for topics, each with its first picture, and for all tokens in one call."""
        tokens = sorted({item for item in wanted if isinstance(item, int)})
        for item in (item for item in wanted if isinstance(item, Topic)):
            await self._ask(item, (item,), {"topic": item.name})
        if tokens:
            await self._ask(QUOTES, tokens, {"topic": QUOTES.name, "tokens": tokens})

    async def _ask(self, topic: Topic, items: Sequence[Topic | int], parameters: dict[str, Any]) -> None:
        self._mirror.expect(topic.name)
        self._followed.update(items)  # from here on they may be, whatever becomes of the answer
        try:
            raw = await self._link.call("follow", **parameters)
            if bytes(raw) != NOTHING:
                self._take(wire.decode(raw, TopicUpdate))
        except EngineGone:
            raise
        except WorkstationError:
            self._followed.difference_update(items)  # a definite no
            raise
        except msgspec.DecodeError as error:
            raise EngineGone(f"The engine's picture of {topic.name} cannot be read: {error}.") from error
        self._shown.update(item for item in items if item in self._watches)

    async def _ask_again(self, name: str) -> None:
        """A snapshot of one topic, of what is watched of it."""
        tokens = sorted(item for item in self._watches if isinstance(item, int))
        parameters: dict[str, Any] = {"topic": name}
        if name == QUOTES.name:
            await self._quietly("unfollow", topic=name)
            parameters["tokens"] = tokens
        raw = await self._quietly("follow", **parameters)
        if raw is not None and bytes(raw) != NOTHING:
            self._take(wire.decode(raw, TopicUpdate))

    async def _quietly(self, method: str, **parameters: Any) -> msgspec.Raw | None:  # noqa: ANN401
        """A call whose failure only means that the picture stays as it is until the link says more."""
        try:
            return await self._link.call(method, **parameters)
        except WorkstationError as error:
            logger.warning("%s failed: %s", method, error)
            return None

    async def _settle(self) -> None:
        """Give up at the engine what nobody here watches any more."""
        lost = self._followed - self._watches.keys()
        tokens = sorted(item for item in lost if isinstance(item, int))
        for item in (item for item in lost if isinstance(item, Topic)):
            await self._link.call("unfollow", topic=item.name)
            self._followed.discard(item)
        if tokens:
            await self._link.call("unfollow", topic=QUOTES.name, tokens=tokens)
            self._followed.difference_update(tokens)

    def _take(self, update: TopicUpdate) -> bool:
        taken = self._mirror.take(update)
        if self._mirror.desk is not None:
            self._desk_arrived.set()
        return taken
