"""``EngineClient`` over the wire: calls become requests, pictures are followed topics mirrored here.

When the link is lost every call raises ``EngineGone``; the pictures keep their last figures, all marked STALE, and
``link_lost`` says why. Nothing is sent again by itself: a command whose answer was lost may have been done; its
idempotency key tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from engine.core.commands import Command, Interpretation, Preview, Receipt
from engine.core.errors import EngineGone, InvalidInput, SetupError, WorkstationError
from engine.core.events import EngineEvent
from engine.core.identifiers import OrderNumber, StrategyNumber
from engine.core.instruments import ExpiryLabel, Instrument
from engine.core.orders import OrderEvent, OrderRecord, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.strategies import M2mCandle, StrategyValue
from engine.core.views import ChainKey, ChainView, DeskView, DoctorView, UnderlyingView
from engine.server import protocol, wire
from engine.server.methods import WireMethod, wire_methods
from engine.server.mirror import Mirror
from engine.server.protocol import Answer, Greeting, TopicUpdate
from engine.server.topics import DESK, NOTHING, chain_topic, quote_topic

logger = logging.getLogger(__name__)

CLOSED_HERE = "This client was closed."
UNANSWERED = "keepalive ping timeout"
"""The reason the WebSocket library gives when pings stay unanswered."""
PINGS_PER_SILENCE = 2


class RemoteClient:
    """An engine in another process, seen through its door. Make one with ``RemoteClient.attach``."""

    def __init__(self, connection: ClientConnection, *, timeout_s: float) -> None:
        """Wrap an open connection; ``attach`` does the rest."""
        self._connection = connection
        self._timeout_s = timeout_s
        self._methods: dict[str, WireMethod] = wire_methods()
        self._identifiers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer | None]] = {}
        """Calls under way; ``None`` for one whose link was lost."""
        self._mirror = Mirror()
        self._watches: dict[str, int] = {}
        self._followed: set[str] = set()
        """What the engine may believe that we follow; it is asked to stop when nobody here watches it."""
        self._shown: set[str] = set()
        """What is followed for certain, with its first picture here."""
        self._interest = asyncio.Lock()
        self._desk_arrived = asyncio.Event()
        self._gone = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self.seat: str = ""
        """How the engine names this client."""
        self.link_lost: str = ""
        """Why the link is gone; empty while it is there."""

    @classmethod
    async def attach(cls, path: Path, *, timeout_s: float = 10.0, silence_s: float = 5.0) -> RemoteClient:
        """Attach to the engine that listens at ``path``.

        Args:
            path: Its socket.
            timeout_s: Longest wait for the engine to answer a call.
            silence_s: An engine that does not even answer a ping for so long is taken as lost: its pictures are old.

        Raises:
            EngineGone: nobody listens there, or it would not let us in.
            SetupError: it speaks another revision of the protocol.
        """
        try:
            connection = await unix_connect(
                str(path),
                max_size=protocol.ANSWER_BYTES_MAX,
                compression=None,
                open_timeout=timeout_s,
                close_timeout=protocol.CLOSE_TIMEOUT_S,
                ping_interval=silence_s / PINGS_PER_SILENCE,
                ping_timeout=silence_s,
                logger=logger.getChild("websockets"),
            )
        except (OSError, EOFError, InvalidHandshake) as error:
            raise EngineGone(f"No engine answers at {path}: {error}.") from error
        client = cls(connection, timeout_s=timeout_s)
        client._reader = asyncio.create_task(client._read(), name="remote engine reader")
        try:
            await client._greet()
            await client._watch_topic(DESK)
            async with asyncio.timeout(timeout_s):
                await client._desk_or_end()
        except TimeoutError:
            await client.close()
            raise EngineGone(f"The engine at {path} did not show its desk within {timeout_s:g} s.") from None
        except BaseException:
            await client.close()
            raise
        return client

    async def gone(self) -> str:
        """Wait until the link is lost or closed; why."""
        await self._gone.wait()
        return self.link_lost

    # -- pictures ------------------------------------------------------------------------------------------------

    def desk(self) -> DeskView:
        """The newest desk received; the same object until another arrives."""
        if self._mirror.desk is None:
            raise EngineGone("The engine has not shown its desk yet.")
        return self._mirror.desk

    def chain(self, key: ChainKey, since: int = 0) -> ChainView | None:
        """The newest picture of a watched chain, with the rows that changed after ``since``."""
        return self._mirror.chain(key, since)

    def quote(self, token: int) -> Quote | None:
        """The newest picture of a watched instrument."""
        return self._mirror.quote(token)

    # -- interest ------------------------------------------------------------------------------------------------

    async def watch_chain(self, key: ChainKey) -> None:
        """Follow a chain; counted here, followed once. Its first picture is here when this returns."""
        await self._watch_topic(chain_topic(key))

    async def unwatch_chain(self, key: ChainKey) -> None:
        """Give up one watch."""
        await self._unwatch_topic(chain_topic(key))

    async def watch(self, tokens: Sequence[int]) -> None:
        """Follow instruments: all of them, or none when one is refused."""
        watched: list[int] = []
        try:
            for token in tokens:
                await self._watch_topic(quote_topic(token))
                watched.append(token)
        except WorkstationError:
            await self.unwatch(watched)
            raise
        except asyncio.CancelledError:
            for token in watched:
                self._count_down(quote_topic(token))
            raise

    async def unwatch(self, tokens: Sequence[int]) -> None:
        """Give up one watch of each."""
        for token in tokens:
            await self._unwatch_topic(quote_topic(token))

    # -- calls ---------------------------------------------------------------------------------------------------

    async def underlyings(self) -> tuple[UnderlyingView, ...]:
        """See ``EngineClient``."""
        return await self._typed("underlyings")

    async def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        """See ``EngineClient``."""
        return await self._typed("expiries", underlying=underlying)

    async def search(self, text: str, limit: int = 20) -> tuple[Instrument, ...]:
        """See ``EngineClient``."""
        return await self._typed("search", text=text, limit=limit)

    async def interpret(self, text: str) -> Interpretation:
        """See ``EngineClient``."""
        return await self._typed("interpret", text=text)

    async def preview(self, command: Command) -> Preview:
        """See ``EngineClient``."""
        return await self._typed("preview", command=command)

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """See ``EngineClient``."""
        return await self._typed("submit", command=command, seat=seat)

    async def orders(self) -> tuple[OrderRecord, ...]:
        """See ``EngineClient``."""
        return await self._typed("orders")

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """See ``EngineClient``."""
        return await self._typed("order_history", number=number)

    async def trades(self) -> tuple[Trade, ...]:
        """See ``EngineClient``."""
        return await self._typed("trades")

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """See ``EngineClient``."""
        return await self._typed("positions")

    async def strategies(self) -> tuple[StrategyValue, ...]:
        """See ``EngineClient``."""
        return await self._typed("strategies")

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """See ``EngineClient``."""
        return await self._typed("candles", strategy=strategy, start=start, end=end)

    async def funds(self) -> Funds:
        """See ``EngineClient``."""
        return await self._typed("funds")

    async def events(self, after: int = 0) -> tuple[EngineEvent, ...]:
        """See ``EngineClient``."""
        return await self._typed("events", after=after)

    async def doctor(self) -> DoctorView:
        """See ``EngineClient``."""
        return await self._typed("doctor")

    async def close(self) -> None:
        """Leave; the engine goes on."""
        self.link_lost = self.link_lost or CLOSED_HERE
        await self._hang_up()
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await asyncio.gather(reader, return_exceptions=True)

    # -- the link ------------------------------------------------------------------------------------------------

    async def _greet(self) -> None:
        greeting = wire.decode(await self._call("hello"), Greeting)
        if greeting.revision != protocol.PROTOCOL_REVISION:
            raise SetupError(
                f"The running engine speaks revision {greeting.revision} of the protocol and this program "
                f"{protocol.PROTOCOL_REVISION}; start the engine again with this version."
            )
        self.seat = greeting.seat

    async def _desk_or_end(self) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._desk_arrived, self._gone)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if not self._desk_arrived.is_set():
            raise EngineGone(self.link_lost)

    async def _typed(self, method: str, **parameters: Any) -> Any:  # noqa: ANN401 - typed by the method's annotation
        raw = await self._call(method, **parameters)
        try:
            return wire.decode_as(raw, self._methods[method].result)
        except msgspec.DecodeError as error:
            raise EngineGone(
                f"The engine's answer to {method} cannot be read ({error}); what was asked may have been done."
            ) from error

    async def _call(self, method: str, **parameters: Any) -> msgspec.Raw:  # noqa: ANN401
        if self.link_lost:
            raise EngineGone(self.link_lost)
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
            del self._waiting[identifier]
        if answer is None:
            raise EngineGone(self.link_lost)
        if answer.error is not None:
            raise protocol.error_from_body(answer.error)
        return answer.result

    async def _watch_topic(self, topic: str) -> None:
        self._watches[topic] = self._watches.get(topic, 0) + 1
        self._mirror.expect(topic)
        try:
            async with self._interest:
                await self._settle()
                if topic not in self._shown:
                    await self._follow(topic)
        except BaseException:
            self._count_down(topic)
            raise

    async def _unwatch_topic(self, topic: str) -> None:
        self._count_down(topic)
        if self.link_lost:
            return
        try:
            async with self._interest:
                await self._settle()
        except EngineGone:
            return  # with the link the engine gave up everything for us

    def _count_down(self, topic: str) -> None:
        count = self._watches.get(topic, 0)
        if count > 1:
            self._watches[topic] = count - 1
        elif count == 1:
            del self._watches[topic]
            self._shown.discard(topic)
            self._mirror.forget(topic)

    async def _follow(self, topic: str) -> None:
        self._followed.add(topic)  # from here on it may be, whatever becomes of the answer
        try:
            raw = await self._call("follow", topic=topic)
            if bytes(raw) != NOTHING:
                self._take(wire.decode(raw, TopicUpdate))
        except EngineGone:
            raise
        except WorkstationError:
            self._followed.discard(topic)  # a definite no
            raise
        except msgspec.DecodeError as error:
            raise EngineGone(f"The engine's picture of {topic} cannot be read: {error}.") from error
        self._shown.add(topic)

    async def _settle(self) -> None:
        """Give up at the engine what nobody here watches any more."""
        for topic in self._followed - self._watches.keys():
            await self._call("unfollow", topic=topic)
            self._followed.discard(topic)

    async def _read(self) -> None:
        reason = "The engine's door closed."
        try:
            async for message in self._connection:
                answer = wire.decode(message, Answer)
                if answer.method == "topic":
                    self._take(wire.decode(answer.params, TopicUpdate))
                elif isinstance(answer.id, int):
                    future = self._waiting.get(answer.id)
                    if future is not None and not future.done():
                        future.set_result(answer)
                elif answer.error is not None:
                    logger.error("the engine could not read a message of ours: %s", answer.error.message)
            reason = _closed_words(None, self._connection.close_reason)
        except ConnectionClosed as error:
            reason = _closed_words(error)
        except (msgspec.DecodeError, InvalidInput) as error:
            reason = f"The engine speaks another revision of the protocol: {error}."
        finally:
            self.link_lost = self.link_lost or reason
            self._mirror.lose(self.link_lost)
            for future in self._waiting.values():
                if not future.done():
                    future.set_result(None)
            self._gone.set()
            await self._hang_up()

    async def _hang_up(self) -> None:
        # A transport that ended by itself with bytes unsent has no loop any more, and aborting it again stumbles there.
        with contextlib.suppress(AttributeError):
            try:
                async with asyncio.timeout(protocol.CLOSE_TIMEOUT_S):
                    await self._connection.close()
            except TimeoutError:
                self._connection.transport.abort()  # it takes nothing any more, not even a good-bye

    def _take(self, update: TopicUpdate) -> None:
        self._mirror.take(update)
        if self._mirror.desk is not None:
            self._desk_arrived.set()


def _closed_words(error: ConnectionClosed | None, reason: str | None = None) -> str:
    """Why a connection ended, in a sentence."""
    if error is not None and error.rcvd is not None:
        reason = error.rcvd.reason
    elif error is not None and error.sent is not None:
        reason = error.sent.reason
    if reason == UNANSWERED:
        return "The engine does not answer any more, not even a ping."
    return f"The engine's door closed: {reason}." if reason else "The engine's door closed without a word."
