"""What all doors to one engine share: its methods, its pictures, who may do what, and the calls under way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any, cast

import msgspec
from websockets.asyncio.server import ServerConnection

from engine.client import EngineClient
from engine.core.commands import SetMode
from engine.core.errors import WorkstationError
from engine.core.identifiers import AccountId
from engine.core.vocabulary import Mode
from engine.server import openrpc
from engine.server.access import Access, Grant
from engine.server.audit import Audit, AuditKind
from engine.server.limits import SessionLimits
from engine.server.methods import wire_methods
from engine.server.metrics import ServerMetrics
from engine.server.own_engine import OwnEngine
from engine.server.pictures import Pictures
from engine.server.session import OWN_METHODS, Session

logger = logging.getLogger(__name__)

LOOK_S = 0.05
"""A picture is looked at so often at most, whoever asks."""


class EngineIdentity(msgspec.Struct, frozen=True):
    """Which engine answers."""

    engine_id: str
    """Another one after every start."""
    venue: str
    """Which market and account book."""


class ServedEngine:
    """One engine behind its doors.

    Args:
        engine: What is served.
        identity: Which one it is.
        monotonic: The machine's clock, seconds.
        meters: What is counted.
        audit: The log of security events; ``None`` keeps none.
        look_s: Least time between two looks at one picture.
    """

    def __init__(
        self,
        engine: EngineClient,
        *,
        identity: EngineIdentity,
        monotonic: Callable[[], float],
        meters: ServerMetrics,
        audit: Audit | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        self.engine = engine
        self.identity = identity
        self.monotonic = monotonic
        self.meters = meters
        self.audit = audit
        self.methods = wire_methods()
        self.access = Access(engine)
        self.pictures = Pictures(engine, monotonic=monotonic, look_s=look_s)
        self._own: dict[frozenset[AccountId], tuple[EngineClient, Pictures]] = {}
        """What those see who own some accounts; one for each set of accounts that a token names."""
        self._look_s = look_s
        self._calls: set[asyncio.Task[None]] = set()

    @cached_property
    def document(self) -> bytes:
        """The OpenRPC document, as JSON."""
        return openrpc.document_bytes([*self.methods.values(), *OWN_METHODS.values()])

    def seen_by(self, grant: Grant) -> tuple[EngineClient, Pictures]:
        """The engine and its pictures as a client sees them: the whole one, or its own accounts of several."""
        try:
            own = self.access.owned(grant)
        except WorkstationError:
            own = frozenset(grant.accounts or ())  # in doubt those that are named, whatever there is
        if not own:  # all are its own; or none is, and every call about one is refused before
            return self.engine, self.pictures
        if own not in self._own:
            engine = cast("EngineClient", OwnEngine(self.engine, own))
            self._own[own] = engine, Pictures(engine, monotonic=self.monotonic, look_s=self._look_s)
        return self._own[own]

    def account_of(self, grant: Grant) -> AccountId | None:
        """The account that a client sees first; ``None`` when it owns none, or while the engine cannot tell."""
        try:
            account = self.seen_by(grant)[0].desk().status.account
        except WorkstationError:
            return None
        return account if grant.owns(account) else None

    @property
    def calls_under_way(self) -> int:
        """Calls that have not been answered."""
        return len(self._calls)

    def session(self, connection: ServerConnection, *, grant: Grant, seat: str, limits: SessionLimits) -> Session:
        """A session for a client that was let in."""
        return Session(connection, self, grant=grant, seat=seat, limits=limits)

    def spawn(self, call: Coroutine[Any, Any, None]) -> None:
        """Run a call in a task that outlives its client."""
        task = asyncio.create_task(call, name="a call at a door")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def drain(self, timeout_s: float) -> None:
        """Let calls under way finish; give up those that do not within ``timeout_s``."""
        if not self._calls:  # asyncio.wait takes no empty set
            return
        _, late = await asyncio.wait(set(self._calls), timeout=timeout_s)
        for call in late:
            logger.warning("%s did not end within %g s", call.get_name(), timeout_s)
            call.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def note(self, kind: AuditKind, session: Session, *, detail: str) -> None:
        """Write a line about a client into the audit log."""
        if self.audit is not None:
            self.audit.note(kind, seat=session.seat, grant=session.grant, detail=detail)

    def note_result(self, session: Session, method: str, arguments: dict[str, Any]) -> None:
        """Write down what was done that the log must know: arming."""
        command = arguments.get("command")
        if method == "submit" and isinstance(command, SetMode) and command.mode is not Mode.READ:
            self.note(AuditKind.ARMED, session, detail=f"mode {command.mode}")
