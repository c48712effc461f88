"""One attached client: answers its calls, and shows it what it follows.

Calls run side by side up to a limit and at a rate; cancels have a reserve of both, so that a client that has used up
its share can still get out. A command that has been handed to the engine is never cancelled because its client went
away. A client that takes nothing for ``send_timeout_s`` is closed with a reason, and finds a snapshot when it comes
back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

from engine.core.commands import SetMode, TouchSeat
from engine.core.errors import EngineGone, Forbidden, InvalidInput, WorkstationError
from engine.server import protocol, wire
from engine.server.access import COMMAND, Grant, is_exit
from engine.server.audit import AuditKind
from engine.server.follower import Follower
from engine.server.limits import Allowance, SessionLimits
from engine.server.methods import SEAT, WireMethod
from engine.server.protocol import BadRequest, ErrorBody, Greeting, Request
from engine.server.strictness import Bounds
from engine.server.topics import TopicKind

if TYPE_CHECKING:
    from engine.server.served import ServedEngine

logger = logging.getLogger(__name__)

Token = Annotated[int, msgspec.Meta(ge=0)]


class HelloParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All may be left out."""

    pace_hz: Annotated[float, msgspec.Meta(gt=0, le=100)] | None = None
    """How often this client wants to be shown pictures; the engine may grant less."""


class TopicParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A topic; ``quotes`` also needs the tokens."""

    topic: str
    tokens: tuple[Token, ...] | None = None


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


HELLO = WireMethod("hello", HelloParameters, Greeting, "Who answers, and in which revision of the protocol.")
FOLLOW = WireMethod(
    "follow", TopicParameters, protocol.TopicUpdate | None, "Be shown a topic, beginning with a snapshot of it now."
)
UNFOLLOW = WireMethod("unfollow", TopicParameters, bool, "Be shown a topic no longer.")
DISCOVER = WireMethod("rpc.discover", NoParameters, dict[str, Any], "The OpenRPC document of this door.")
OWN_METHODS = {method.name: method for method in (HELLO, FOLLOW, UNFOLLOW, DISCOVER)}
"""What a session answers itself; the rest are methods of ``EngineClient``."""


def _nothing_more() -> None:
    """Most answers have no consequence when they have been sent."""


class Session:
    """One connection from accept to close. Made by ``ServedEngine.session``."""

    def __init__(
        self, connection: ServerConnection, served: ServedEngine, *, grant: Grant, seat: str, limits: SessionLimits
    ) -> None:
        """``grant`` is what this client may do, ``seat`` how events and logs name it."""
        self._connection = connection
        self._served = served
        self._limits = limits
        self._bounds = Bounds(text_max=limits.text_max, items_max=limits.items_max)
        self.grant = grant
        self.seat = seat
        engine, pictures = served.seen_by(grant)
        self._follower = Follower(engine, pictures, limits=limits, name=seat, send=self._notify, fail=self._fail)
        self._sending = asyncio.Lock()
        """One message at a time, so that a slow reader holds back at most two beyond the buffers."""
        monotonic = served.monotonic
        self._calls_left = Allowance(per_s=limits.calls_per_s, burst=limits.calls_burst, monotonic=monotonic)
        self._exits_left = Allowance(per_s=limits.exits_per_s, burst=limits.exits_max, monotonic=monotonic)
        self._calls = 0
        self._exits = 0
        self._ending = ""
        self._limit_noted = False
        self._may_be_armed = False

    async def run(self) -> None:
        """Serve until the client leaves."""
        publisher = asyncio.create_task(self._follower.publish(), name=f"publisher of {self.seat}")
        try:
            async for message in self._connection:
                await self._take(message)
        except ConnectionClosed as error:
            logger.info("%s left: %s", self.seat, error)
        finally:
            self._ending = self._ending or "This client has gone."
            publisher.cancel()
            await asyncio.gather(publisher, return_exceptions=True)
            await self._disarm()
            await self._follower.give_up_everything()

    async def _disarm(self) -> None:
        """What this client had armed is over: nobody sits there any more."""
        if not self._may_be_armed:
            return
        try:
            await self._served.engine.submit(TouchSeat(leaves=True), seat=self.seat)
        except WorkstationError as error:
            logger.warning("%s could not be disarmed: %s", self.seat, error)

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
            # Also what is no call counts, or garbage would be free.
            await self._send(protocol.failure(error.identifier, self._refusal_of_rate() or error.body))
            return
        if self._ending:
            await self._send(protocol.failure(identifier, protocol.refused(f"{self._ending} Nothing was done.")))
            return
        method = OWN_METHODS.get(request.method) or self._served.methods.get(request.method)
        leaving = method is not None and self._is_exit(method, request)
        refusal = self._refusal_of_exit() if leaving else (self._refusal_of_number() or self._refusal_of_rate())
        if refusal is not None:
            self._note_limit(refusal.message)
            await self._send(protocol.failure(identifier, refusal))
            return
        self._calls += not leaving
        self._exits += leaving
        self._served.spawn(self._answer(identifier, request, method, leaving=leaving))

    def _is_exit(self, method: WireMethod, request: Request) -> bool:
        """Whether a call only takes risk away; looked at before any limit is."""
        if not method.may_be_exit:
            return False
        try:
            return is_exit(method.name, method.read_parameters(request.params, self._bounds))
        except BadRequest:
            return False

    def _refusal_of_number(self) -> ErrorBody | None:
        if self._calls < self._limits.calls_max:
            return None
        words = f"{self._calls} calls are under way already, the limit of one client; nothing was done."
        return protocol.too_many(words)

    def _refusal_of_rate(self) -> ErrorBody | None:
        if self._calls_left.take():
            return None
        words = f"More than {self._limits.calls_per_s:g} calls a second; again in {self._calls_left.wait_s:.2f} s."
        return protocol.too_many(f"{words} Nothing was done.")

    def _refusal_of_exit(self) -> ErrorBody | None:
        """Cancels go with all other calls while there is room, and by their own reserve when there is none."""
        if self._calls < self._limits.calls_max and self._calls_left.take():
            return None
        if self._exits < self._limits.exits_max and self._exits_left.take():
            return None
        words = f"More than {self._limits.exits_per_s:g} cancels a second beside all other calls; nothing was done."
        return protocol.too_many(words)

    def _note_limit(self, words: str) -> None:
        """Once per client: a flood must not fill the log that tells of it."""
        if not self._limit_noted:
            self._limit_noted = True
            self._served.note(AuditKind.LIMIT, self, detail=words)

    async def _answer(
        self, identifier: int | str, request: Request, method: WireMethod | None, *, leaving: bool
    ) -> None:
        began = self._served.monotonic()
        name = method.name if method is not None else "unknown"
        try:
            # The call counts until its answer has left: a client that never reads cannot pile answers up.
            data, outcome, sent = await self._call(identifier, request, method)
            self._served.meters.called(name, outcome, self._served.monotonic() - began)
            if len(data) > protocol.ANSWER_BYTES_MAX:
                words = f"The answer to {request.method} takes {len(data)} bytes, {protocol.ANSWER_BYTES_MAX} at most."
                data = protocol.failure(identifier, protocol.refused(f"{words} Ask for less."))
            await self._send(data)
            self._served.meters.sent("answer", len(data))
            sent()
        finally:
            self._calls -= not leaving
            self._exits -= leaving

    async def _call(
        self, identifier: int | str, request: Request, method: WireMethod | None
    ) -> tuple[bytes, str, Callable[[], None]]:
        """The encoded answer, how it went in a word, and what to do when it has been sent."""
        if method is None:
            known = ", ".join(sorted([*self._served.methods, *OWN_METHODS]))
            words = f'There is no method "{request.method[: self._limits.text_max]}"; there are {known}.'
            body = ErrorBody(protocol.METHOD_NOT_FOUND, words)
            return protocol.failure(identifier, body), "invalid", _nothing_more
        try:
            arguments = method.read_parameters(request.params, self._bounds)
        except BadRequest as error:
            return protocol.failure(identifier, error.body), "invalid", _nothing_more
        try:
            result, sent = await self._result(method, arguments)
            return protocol.answer(identifier, result), "ok", sent
        except Forbidden as error:
            self._served.note(AuditKind.FORBIDDEN, self, detail=str(error))
            return protocol.failure(identifier, protocol.error_body(error)), "forbidden", _nothing_more
        except WorkstationError as error:
            outcome = "invalid" if isinstance(error, InvalidInput) else "refused"
            return protocol.failure(identifier, protocol.error_body(error)), outcome, _nothing_more
        except Exception:
            # A defect of ours in one call: the caller gets a plain word, the log the whole story, others go on.
            logger.exception("the call %s of %s failed", method.name, self.seat)
            return protocol.failure(identifier, protocol.failed_inside()), "failed", _nothing_more

    async def _result(self, method: WireMethod, arguments: dict[str, Any]) -> tuple[bytes, Callable[[], None]]:
        access, grant = self._served.access, self.grant
        await access.check_call(grant, method.name, arguments)
        match method.name:
            case HELLO.name:
                return wire.encode(self._greeting(arguments["pace_hz"])), _nothing_more
            case FOLLOW.name:
                access.check_topic(grant, arguments["topic"])
                reply = await self._follower.follow(arguments["topic"], arguments["tokens"])
                return reply.data, reply.shown
            case UNFOLLOW.name:
                known = await self._follower.unfollow(arguments["topic"], arguments["tokens"])
                return wire.encode(known), _nothing_more
            case DISCOVER.name:
                return self._served.document, _nothing_more
        if SEAT in arguments:
            # Nobody acts under another's name: what one seat has armed, no other has.
            arguments[SEAT] = self.seat
            if isinstance(arguments.get(COMMAND), SetMode):
                if self._ending:
                    raise EngineGone(f"{self._ending} Nothing was armed.")
                self._may_be_armed = True
        result = await getattr(self._served.seen_by(grant)[0], method.name)(**arguments)
        self._served.note_result(self, method.name, arguments)
        return wire.encode(result), _nothing_more

    def _greeting(self, wanted_hz: float | None) -> Greeting:
        self._follower.pace_hz = min(wanted_hz or self._limits.pace_hz, self._limits.pace_hz)
        identity = self._served.identity
        account = self._served.account_of(self.grant)
        return Greeting(
            revision=protocol.PROTOCOL_REVISION,
            seat=self.seat,
            engine_id=identity.engine_id,
            venue=identity.venue,
            account=account or "",
            scopes=tuple(sorted(self.grant.scopes)),
            pace_hz=self._follower.pace_hz,
        )

    # -- sending -------------------------------------------------------------------------------------------------

    async def _notify(self, data: bytes, kind: TopicKind) -> None:
        await self._send(data)
        self._served.meters.sent(kind.value, len(data))

    async def _fail(self, words: str) -> None:
        await self.close(protocol.CLOSE_INTERNAL, words)

    async def _send(self, data: bytes) -> None:
        if not self._sending.locked() and not self._connection.transport.get_write_buffer_size():
            # Everything before has left: this one fits into the buffers, and nobody has to wait to put it there.
            broadcast([self._connection], data, text=True)
            return
        async with self._sending:
            try:
                async with asyncio.timeout(self._limits.send_timeout_s):
                    await self._connection.send(data, text=True)
            except TimeoutError:
                logger.warning("closing %s: it took nothing for %g s", self.seat, self._limits.send_timeout_s)
                self._served.meters.slow_client_closed()
                await self.close(protocol.CLOSE_TRY_LATER, "too slow: attach again for a fresh snapshot")
            except ConnectionClosed:
                return
