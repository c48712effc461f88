"""The web door: WebSocket and HTTP on one TCP port, for terminals and programs that bring a token.

Nobody is let in before host, path, origin and token have been checked. A token that is revoked or expires ends its
sessions within a second. Overload policy: clients beyond the limit are answered 503; of connections that have not
been let in the oldest is dropped for a new one; attempts that fail too often are told only to wait. The door never
writes a header, an address line or a token into a log.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from engine.core.errors import SetupError, WorkstationError
from engine.server import protocol, web_answers, web_gate
from engine.server.access import Grant, Scope
from engine.server.attempts import Attempts
from engine.server.audit import AuditKind
from engine.server.metrics import CONTENT_TYPE, Departure, Door, RefusalWord
from engine.server.readiness import ENDING, Readiness
from engine.server.served import ServedEngine
from engine.server.session import Session
from engine.server.tls import is_loopback, refuse_open_bind, tls_context
from engine.server.web_connection import QuietLogger, WebConnection, address_of, departure_of
from engine.server.web_gate import Gate, Tokens, TurnedAway
from engine.server.web_listener import WebListener
from engine.server.web_settings import ServerSettings

logger = logging.getLogger(__name__)

BACKLOG: Final = 128
"""Connections that the kernel keeps, and that are taken in one turn of the loop."""
QUEUED_MAX: Final = 4
"""Messages of one client that have been read and not looked at; beyond it reading pauses."""
RETRY_AFTER_S: Final = 5
ENDED: Final = "the engine has ended"
ENDING_WORDS: Final = "The engine is ending."
NOT_IN_ORDER: Final = "The WebSocket handshake is not in order."
FAILED_WORDS: Final = "The engine failed inside; its log says where."
FULL_NOTED_S: Final = 60.0
"""That the door is full is written down so often at most."""


class WebPlace(NamedTuple):
    """A port that has been taken and its TLS, before there is anything to serve: clients that come early wait."""

    listener: WebListener
    context: ssl.SSLContext | None


def take_place(settings: ServerSettings) -> WebPlace:
    """Take the port first: an engine that could not open its door need not be started.

    Raises:
        SetupError: the port is taken, the TLS files are of no use, or other machines would reach it without TLS.
    """
    context = tls_context(settings.tls_certificate, settings.tls_key)
    listener = WebListener.bound(
        settings.host,
        settings.port,
        backlog=BACKLOG,
        waiting_max=settings.handshakes_max,
        allow=lambda address: refuse_open_bind(address, has_tls=context is not None),
    )
    return WebPlace(listener, context)


class WebDoor:
    """Listens on a TCP port and serves one engine to whoever brings a token."""

    def __init__(
        self,
        served: ServedEngine,
        settings: ServerSettings,
        *,
        tokens: Tokens,
        readiness: Readiness,
        now: Callable[[], datetime],
    ) -> None:
        """Serve an engine; nothing is touched before ``open``.

        Args:
            served: What is served, shared with other doors.
            settings: Where it listens, and its bounds.
            tokens: The book of tokens of this venue.
            readiness: What ``/ready`` answers.
            now: Aware UTC, wall clock; tokens expire by it.
        """
        self._served = served
        self._settings = settings
        self._tokens = tokens
        self._readiness = readiness
        self._now = now
        self._attempts = Attempts(
            failed_max=settings.failed_max,
            window_s=settings.failed_window_s,
            addresses_max=settings.failed_addresses_max,
            monotonic=served.monotonic,
        )
        self._gate: Gate | None = None
        self._listener: WebListener | None = None
        self._server: Server | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._admitted: set[WebConnection] = set()
        self._sessions: dict[Session, Departure | None] = {}
        """Attached clients, with the reason of those that were told to go."""
        self._numbers = itertools.count(1)
        self._full_noted_at: float | None = None
        self._ending = False
        self._scheme = "ws"

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens.

        Raises:
            SetupError: it is not open.
        """
        if self._listener is None:
            raise SetupError("The web door is not open.")
        return self._listener.address

    @property
    def url(self) -> str:
        """What a client connects to."""
        host, port = self.address
        shown = f"[{host}]" if ":" in host else host
        return f"{self._scheme}://{shown}:{port}{web_gate.RPC_PATH}"

    @property
    def clients(self) -> int:
        """Attached clients."""
        return len(self._sessions)

    @property
    def waiting(self) -> int:
        """Connections that have not been let in."""
        return self._listener.waiting if self._listener is not None else 0

    # -- life ------------------------------------------------------------------------------------------------------

    async def open(self, place: WebPlace | None = None) -> None:
        """Start to serve.

        Args:
            place: Where, when it was taken before; it belongs to the door from now on.

        Raises:
            SetupError: as ``take_place``.
        """
        if self._server is not None:
            raise SetupError(f"This engine listens at {self.url} already.")
        settings = self._settings
        if place is None:
            place = take_place(settings)
        listener = self._listener = place.listener
        listener.on_dropped = lambda: self._served.meters.refused(Door.WEB, RefusalWord.CROWDED)
        self._scheme = "ws" if place.context is None else "wss"
        self._gate = Gate(
            self._tokens,
            origins=frozenset(settings.origins),
            loopback_host=settings.host.lower() if is_loopback(listener.address[0]) else None,
        )
        try:
            self._server = await serve(
                self._serve,
                sock=listener,
                backlog=BACKLOG,
                ssl=place.context,
                process_request=self._answer,
                process_response=self._in_our_form,
                create_connection=WebConnection,
                server_header=None,
                compression=None,
                open_timeout=settings.open_timeout_s,
                close_timeout=protocol.CLOSE_TIMEOUT_S,
                ping_interval=settings.ping_s,
                ping_timeout=settings.silence_s,
                max_size=settings.limits.request_bytes_max,
                max_queue=QUEUED_MAX,
                logger=QuietLogger(logger.getChild("websockets"), {}),
            )
        except BaseException:
            # Nobody else knows of the socket that listens already.
            listener.close()
            raise
        self._watcher = asyncio.create_task(self._watch(), name="web door watcher")
        logger.info("the web door listens at %s", self.url)
        self._note(AuditKind.DOOR_OPENED, detail=self.url)

    async def close(self) -> None:
        """Stop listening, let calls under way finish, say good-bye to each client; nobody can hold it up."""
        server, listener, watcher = self._server, self._listener, self._watcher
        if server is None or listener is None or watcher is None:
            return
        self._server = self._watcher = None
        self._ending = True
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        try:
            for session in self._sessions:
                session.refuse_calls(ENDING_WORDS)
            await self._served.drain(self._settings.drain_s)
        finally:
            farewells = [
                self._send_away(item, protocol.CLOSE_GOING_AWAY, ENDED, Departure.ENDING) for item in self._sessions
            ]
            await asyncio.gather(*farewells, return_exceptions=True)
            server.close(code=protocol.CLOSE_GOING_AWAY, reason=ENDED)
            listener.drop_waiting()
            try:
                async with asyncio.timeout(protocol.CLOSE_TIMEOUT_S):
                    await server.wait_closed()
            except TimeoutError:
                logger.error("%d web clients could not be closed in time", len(self._sessions))  # noqa: TRY400 - no trace
            finally:
                self._note(AuditKind.DOOR_CLOSED)

    # -- before anybody is let in ----------------------------------------------------------------------------------

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request over HTTP, or let a client in: ``None``."""
        try:
            return await self._routed(connection, request)
        except TurnedAway as turned:
            return self._turned_away(turned, address_of(connection))

    async def _routed(self, connection: ServerConnection, request: Request) -> Response | None:
        gate = self._gate
        if gate is None or not isinstance(connection, WebConnection):
            raise SetupError("The web door is not open.")
        gate.check_host(request)
        match gate.path_of(request):
            case web_gate.HEALTH_PATH:
                # Answering at all is the answer: the process lives and its loop turns.
                return web_answers.document(HTTPStatus.OK, {"status": "ending" if self._ending else "ok"})
            case web_gate.READY_PATH:
                return await self._ready()
            case web_gate.METRICS_PATH:
                gate.check_origin(request)
                return self._metrics(gate.grant_of(request.headers))
        gate.check_origin(request)
        gate.check_upgrade(request)
        if self._ending:
            raise _later(RefusalWord.ENDING, ENDING_WORDS)
        self._let_in(connection, gate.grant_of(request.headers))
        return None

    def _let_in(self, connection: WebConnection, grant: Grant) -> None:
        if len(self._admitted) >= self._settings.connections_max:
            words = f"{self._settings.connections_max} clients are attached already, the limit"
            now = self._served.monotonic()
            if self._full_noted_at is None or now - self._full_noted_at >= FULL_NOTED_S:
                self._full_noted_at = now
                self._note(AuditKind.LIMIT, grant=grant, address=address_of(connection), detail=words)
            raise _later(RefusalWord.FULL, f"{words}.")
        connection.grant = grant
        connection.on_lost = self._admitted.discard
        self._admitted.add(connection)
        if self._listener is not None:
            self._listener.admitted(connection.transport.get_extra_info("socket").fileno())

    async def _ready(self) -> Response:
        view = await self._readiness.look()
        if self._ending:
            return web_answers.document(HTTPStatus.SERVICE_UNAVAILABLE, {"ready": False, "reasons": [ENDING]})
        return web_answers.document(HTTPStatus.OK if view.ready else HTTPStatus.SERVICE_UNAVAILABLE, view)

    def _metrics(self, grant: Grant) -> Response:
        if not grant.allows(Scope.READ):
            words = f"{web_gate.METRICS_PATH} needs the scope {Scope.READ}."
            raise TurnedAway(HTTPStatus.FORBIDDEN, RefusalWord.FORBIDDEN, words)
        meters = self._served.meters
        try:
            meters.observe_engine(self._served.engine.desk())
        except WorkstationError as error:
            logger.warning("the engine's gauges keep their last values: %s", error)
        return web_answers.response(HTTPStatus.OK, meters.text(), CONTENT_TYPE)

    def _turned_away(self, turned: TurnedAway, address: str) -> Response:
        """The answer to whoever is not let in; failed attempts are counted, and told nothing when there are many."""
        if turned.audit is None:
            self._served.meters.refused(Door.WEB, turned.word)
            return web_answers.problem(turned.status, turned.detail, turned.headers)
        failures = self._attempts.failed(address)
        if not self._attempts.is_too_many(failures):
            self._served.meters.refused(Door.WEB, turned.word)
            self._note(turned.audit, address=address, detail=turned.note)
            return web_answers.problem(turned.status, turned.detail, turned.headers)
        self._served.meters.refused(Door.WEB, RefusalWord.BLOCKED)
        wait_s = self._attempts.wait_s(address)
        if self._attempts.is_first_too_many(failures):
            # The one line that stands for all that follow: a flood must not fill the log that tells of it.
            self._note(AuditKind.LIMIT, address=address, detail=f"too many failed attempts; silent for {wait_s} s")
        words = f"Too many attempts have failed; wait {wait_s} s. A good token is let in at any time."
        return web_answers.problem(HTTPStatus.TOO_MANY_REQUESTS, words, (("Retry-After", str(wait_s)),))

    def _in_our_form(self, connection: ServerConnection, _request: Request, response: Response) -> Response | None:
        """Give a refusal of the library's own, of a handshake out of order, the form of all others."""
        if response.status_code < HTTPStatus.BAD_REQUEST or "X-Content-Type-Options" in response.headers:
            return None
        if isinstance(connection, WebConnection):
            self._admitted.discard(connection)
        self._served.meters.refused(Door.WEB, RefusalWord.BAD_REQUEST)
        failed = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        return web_answers.problem(HTTPStatus(response.status_code), FAILED_WORDS if failed else NOT_IN_ORDER)

    # -- those who were let in -------------------------------------------------------------------------------------

    async def _serve(self, connection: ServerConnection) -> None:
        if not isinstance(connection, WebConnection) or connection.grant is None:
            await connection.close(protocol.CLOSE_POLICY, "not let in")
            return
        grant, address = connection.grant, address_of(connection)
        seat = f"web-{next(self._numbers)}"
        session = self._served.session(connection, grant=grant, seat=seat, limits=self._settings.limits)
        self._sessions[session] = None
        self._served.meters.connected(Door.WEB)
        self._note(AuditKind.ATTACHED, seat=seat, grant=grant, address=address)
        try:
            if self._ending:
                await self._say_goodbye(session)
            else:
                await session.run()
        finally:
            departure = self._sessions.pop(session) or departure_of(connection)
            self._served.meters.disconnected(Door.WEB, departure)
            if departure is Departure.TOO_BIG:
                words = f"a message of more than {self._settings.limits.request_bytes_max} bytes"
                self._note(AuditKind.LIMIT, seat=seat, grant=grant, address=address, detail=words)
            self._note(AuditKind.DETACHED, seat=seat, grant=grant, address=address, detail=departure.value)

    async def _send_away(self, session: Session, code: int, reason: str, departure: Departure) -> None:
        self._sessions[session] = departure
        await session.close(code, reason)

    async def _say_goodbye(self, session: Session) -> None:
        await self._send_away(session, protocol.CLOSE_GOING_AWAY, ENDED, Departure.ENDING)

    # -- once a second ---------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """End the sessions whose tokens have ended, and see how late the loop is, until cancelled."""
        pause = self._settings.watch_s
        monotonic = self._served.monotonic
        while True:
            asked_at = monotonic()
            await asyncio.sleep(pause)
            self._served.meters.loop_was_late(monotonic() - asked_at - pause)
            try:
                await self._end_outdated()
            except Exception:
                # A defect of ours in one look must not be the end of all looking: revoking has to go on working.
                logger.exception("the tokens of attached clients could not be looked at")

    async def _end_outdated(self) -> None:
        now = self._now()
        revoked = {
            token_id: self._tokens.is_revoked(token_id)
            for token_id in {session.grant.token_id for session in self._sessions}
        }
        leaving = []
        for session, departure in self._sessions.items():
            if departure is not None:
                continue
            grant = session.grant
            if revoked[grant.token_id]:
                why, words = Departure.REVOKED, "this token was revoked"
            elif grant.expires_at is not None and grant.expires_at <= now:
                why, words = Departure.EXPIRED, "this token has expired"
            else:
                continue
            session.refuse_calls(f"Refused: {words}.")
            self._note(AuditKind.ENDED, seat=session.seat, grant=grant, detail=why.value)
            leaving.append(self._send_away(session, protocol.CLOSE_POLICY, words, why))
        await asyncio.gather(*leaving)

    def _note(self, kind: AuditKind, **words: Any) -> None:  # noqa: ANN401 - those of the audit log
        if self._served.audit is not None:
            self._served.audit.note(kind, **words)


def _later(word: RefusalWord, detail: str) -> TurnedAway:
    return TurnedAway(HTTPStatus.SERVICE_UNAVAILABLE, word, detail, headers=(("Retry-After", str(RETRY_AFTER_S)),))
