"""The lasting list of what happened: numbered without holes, bounded, acknowledged by a person.

Overload policy: the oldest events leave the list when it is full; their numbers stay used.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from engine.core.events import EngineEvent, EventKind
from engine.core.identifiers import AccountId
from engine.core.ports import Clock
from engine.core.views import EventChanges
from engine.core.vocabulary import Severity
from engine.order_log import Bell

logger = logging.getLogger(__name__)

_LOG_LEVELS = {Severity.INFO: logging.INFO, Severity.ATTENTION: logging.WARNING, Severity.DANGER: logging.ERROR}


class EventWriter(Protocol):
    """Where somebody says what happened."""

    def add(
        self, kind: EventKind, text: str, *, severity: Severity = ..., subject: str = ..., seat: str = ...
    ) -> EngineEvent:
        """Write down that something happened."""
        ...


class EventLog:
    """Events of one engine, newest last."""

    def __init__(self, clock: Clock, *, kept_max: int) -> None:
        """Keep the newest ``kept_max`` events."""
        self._clock = clock
        self._events: deque[EngineEvent] = deque(maxlen=kept_max)
        self._sequence = 0
        self._acknowledged: dict[AccountId | None, int] = {}
        """Read up to here, by the account that events are of; ``None`` for those of none."""
        self._all_acknowledged = 0
        self._bell = Bell()
        self._listeners: list[Callable[[EngineEvent], None]] = []

    @property
    def sequence(self) -> int:
        """Number of the newest event; 0 before the first."""
        return self._sequence

    @property
    def unread(self) -> int:
        """Events that ask for attention and have not been acknowledged."""
        return sum(1 for event in self._events if self.is_unread(event))

    def add(
        self,
        kind: EventKind,
        text: str,
        *,
        severity: Severity = Severity.INFO,
        subject: str = "",
        seat: str = "",
        account: AccountId | None = None,
    ) -> EngineEvent:
        """Write down that something happened, to one account or to all."""
        self._sequence += 1
        event = EngineEvent(
            sequence=self._sequence,
            at=self._clock.market_now(),
            kind=kind,
            severity=severity,
            text=text,
            subject=subject,
            seat=seat,
            account=account,
        )
        self._events.append(event)
        self._bell.ring()
        logger.log(_LOG_LEVELS[severity], "%s %s %s", kind, subject, text)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                # Whoever writes an event may be in the middle of an exit: nobody who only listens may stop them.
                logger.exception("a listener failed on event %d", event.sequence)
        return event

    async def next(self, after: int | None) -> EventChanges:
        """What came after ``after``, at once when there is something; see ``EngineClient.next_events``."""
        while after is not None and after == self._place:
            await self._bell.heard()
        missing = self._place - after if after is not None else 0
        if after is None or not 0 < missing <= len(self._events):
            return EventChanges(sequence=self._place, base=0, events=tuple(self._events))
        return EventChanges(sequence=self._place, base=after, events=tuple(self._events)[-missing:])

    @property
    def _place(self) -> int:
        """The place after the newest event: one more than its number, because 0 stands for a snapshot."""
        return self._sequence + 1

    def listen(self, listener: Callable[[EngineEvent], None]) -> None:
        """Call ``listener`` with each event from now on; it must not wait, and what it raises is only logged."""
        self._listeners.append(listener)

    def acknowledge(self, sequence: int, accounts: Sequence[AccountId] | None = None) -> None:
        """A person has read everything up to ``sequence``, of ``accounts`` and of none, or of all there are."""
        place = min(sequence, self._sequence)
        if accounts is None:
            self._all_acknowledged = max(self._all_acknowledged, place)
            return
        for account in (None, *accounts):
            self._acknowledged[account] = max(self._acknowledged.get(account, 0), place)

    def is_unread(self, event: EngineEvent) -> bool:
        """Whether an event asks for attention and has not been acknowledged."""
        read = max(self._all_acknowledged, self._acknowledged.get(event.account, 0))
        return event.sequence > read and event.severity is not Severity.INFO

    def unread_of(self, account: AccountId) -> int:
        """Events of one account that ask for attention and have not been acknowledged."""
        return sum(1 for event in self._events if event.account == account and self.is_unread(event))

    def after(self, sequence: int) -> tuple[EngineEvent, ...]:
        """Events newer than ``sequence``, oldest first."""
        return tuple(event for event in self._events if event.sequence > sequence)


class AccountEvents:
    """Implements ``EventWriter`` for what concerns one account.

    Args:
        log: Where events are kept.
        account: Whose they are.
        is_named: Every line names the account, because there are others beside it.
    """

    def __init__(self, log: EventLog, account: AccountId, *, is_named: bool) -> None:
        self._log = log
        self._account = account
        self._is_named = is_named

    def add(
        self, kind: EventKind, text: str, *, severity: Severity = Severity.INFO, subject: str = "", seat: str = ""
    ) -> EngineEvent:
        """Write down that something happened to the account."""
        words = f"{self._account}: {text}" if self._is_named and self._account not in text else text
        return self._log.add(kind, words, severity=severity, subject=subject, seat=seat, account=self._account)
