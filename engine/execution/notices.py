"""What the executor tells its owner: notices for the event list, changed orders, fills, and its own health."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from engine.core.events import EventKind
from engine.core.orders import OrderEvent, OrderRecord, Trade
from engine.core.vocabulary import Severity


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One line for the event list, before the engine numbers and dates it."""

    kind: EventKind
    severity: Severity
    text: str
    subject: str = ""
    """``o40``, or empty."""
    seat: str = ""
    """Which attached terminal or script caused it; empty for the engine itself."""


class ExecutionListener(Protocol):
    """Told of everything that changes; called on the event loop, must return at once and must not raise."""

    def on_order(self, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        """An order stands differently now; it has been journalled, or the health says that the journal is behind."""
        ...

    def on_notice(self, notice: Notice) -> None:
        """Something a person should read has happened."""
        ...


class FillListener(Protocol):
    """Books fills. Every fill is handed over at least once; booking it exactly once is the listener's part."""

    def on_trades(self, trades: tuple[Trade, ...]) -> Coroutine[Any, Any, None]:
        """Book these fills; ``strategy`` is the order's own, ``None`` for orders from outside or without one.

        Those that cannot be booked now may be kept and booked later, or refused.

        Raises:
            StorageError: they are handed over again later.
        """
        ...

    def is_booked(self, reference: str) -> bool:
        """Whether a fill (``trade_reference``) is in the figures of holdings at this moment; answered at once."""
        ...


class Health:
    """Named conditions that keep the executor from working as it should, each one sentence for the status line.

    Declaring or clearing one makes a notice; declaring the same words again makes none.
    """

    def __init__(self, notify: Callable[[Notice], None]) -> None:
        self._notify = notify
        self._conditions: dict[str, str] = {}

    @property
    def sentences(self) -> tuple[str, ...]:
        """What does not work, in the order in which it was noticed."""
        return tuple(self._conditions.values())

    def has(self, name: str) -> bool:
        """Whether the condition holds."""
        return name in self._conditions

    def say(self, sentence: str, kind: EventKind, severity: Severity = Severity.DANGER) -> None:
        """Make a notice of something that is no condition."""
        self._notify(Notice(kind=kind, severity=severity, text=sentence))

    def declare(self, name: str, sentence: str, kind: EventKind, severity: Severity = Severity.DANGER) -> None:
        """A condition holds from now on."""
        known = self._conditions.get(name)
        self._conditions[name] = sentence
        if known is None:
            self._notify(Notice(kind=kind, severity=severity, text=sentence))

    def clear(self, name: str, sentence: str, kind: EventKind) -> None:
        """A condition is over; nothing happens when it did not hold."""
        if self._conditions.pop(name, None) is not None:
            self._notify(Notice(kind=kind, severity=Severity.INFO, text=sentence))
