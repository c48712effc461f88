"""The local door: a Unix socket of mode 0600 that only this user may use, speaking the protocol of ``session``.

The kernel says who is at the other end (peer credentials); nobody else is let in, whatever the file mode became. The
socket of a dead engine is taken over; the socket of a living one is never touched.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from pathlib import Path

from websockets.asyncio.server import Server, ServerConnection, unix_serve

from engine.core.errors import SetupError
from engine.server import protocol
from engine.server.access import local_grant
from engine.server.limits import SessionLimits
from engine.server.served import ServedEngine
from engine.server.session import Session
from engine.server.socket_file import SocketFile, is_alive, peer_user

__all__ = ["LocalDoor", "is_alive"]

logger = logging.getLogger(__name__)

SUPERUSER = 0
DOOR = "local"
BACKLOG = 512
"""Clients that knock at the same moment and have not been looked at yet."""
ENDED = "the engine has ended"
OPEN_TIMEOUT_S = 5.0
"""A client is given this long to begin a conversation."""


class LocalDoor:
    """Listens on a Unix socket and serves one engine to this user's processes."""

    def __init__(
        self, served: ServedEngine, path: Path, *, limits: SessionLimits, connections_max: int, drain_s: float = 3.0
    ) -> None:
        """Serve an engine at ``path``; nothing is touched before ``open``.

        Args:
            served: What is served, shared with other doors.
            path: Where the socket lies.
            limits: Bounds of each client.
            connections_max: Clients at once; one more is turned away with a reason.
            drain_s: How long calls under way may take when the door closes.
        """
        self._served = served
        self._socket = SocketFile(path)
        self._limits = limits
        self._connections_max = connections_max
        self._drain_s = drain_s
        self._sessions: set[Session] = set()
        self._server: Server | None = None
        self._ending = False
        self._numbers = itertools.count(1)

    @property
    def path(self) -> Path:
        """Where it listens."""
        return self._socket.path

    @property
    def clients(self) -> int:
        """Attached clients."""
        return len(self._sessions)

    async def open(self) -> None:
        """Start to listen.

        Raises:
            SetupError: another engine listens there, or the path is too long or cannot be written.
        """
        if self._server is not None:
            raise SetupError(f"This engine listens at {self.path} already.")
        listener = self._socket.listen()
        try:
            self._server = await unix_serve(
                self._serve,
                sock=listener,
                backlog=BACKLOG,
                max_size=self._limits.request_bytes_max,
                compression=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=protocol.CLOSE_TIMEOUT_S,
                logger=logger.getChild("websockets"),
            )
        except BaseException:
            # A socket that nobody answers would look like an engine that hangs.
            listener.close()
            self._socket.remove()
            raise

    async def close(self) -> None:
        """Stop listening, let calls under way finish, say good-bye to each client, and leave no socket behind."""
        if self._server is None:
            return
        server, self._server = self._server, None
        self._ending = True
        try:
            for session in self._sessions:
                session.refuse_calls("The engine is ending.")
            await self._served.drain(self._drain_s)
        finally:
            farewells = [session.close(protocol.CLOSE_GOING_AWAY, ENDED) for session in self._sessions]
            await asyncio.gather(*farewells, return_exceptions=True)
            server.close(code=protocol.CLOSE_GOING_AWAY, reason=ENDED)
            try:
                async with asyncio.timeout(protocol.CLOSE_TIMEOUT_S + self._drain_s):
                    await server.wait_closed()
            except TimeoutError:
                logger.error("%d clients could not be closed in time", len(self._sessions))  # noqa: TRY400 - no trace
            finally:
                self._socket.remove()

    async def _serve(self, connection: ServerConnection) -> None:
        user = peer_user(connection.transport.get_extra_info("socket"))
        if user is not None and user not in {os.geteuid(), SUPERUSER}:
            logger.warning("turned away user %s at the local door", user)
            await connection.close(protocol.CLOSE_POLICY, "this engine belongs to another user")
            return
        if self._ending:
            await connection.close(protocol.CLOSE_GOING_AWAY, ENDED)
            return
        if len(self._sessions) >= self._connections_max:
            words = f"{self._connections_max} clients are attached already, the limit"
            await connection.close(protocol.CLOSE_TRY_LATER, words)
            return
        seat = f"local-{next(self._numbers)}"
        session = self._served.session(connection, grant=local_grant(), seat=seat, limits=self._limits)
        self._sessions.add(session)
        self._served.meters.connected(DOOR)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            self._served.meters.disconnected(DOOR, "left")
