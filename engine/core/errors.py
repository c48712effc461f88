"""Errors, drawn as a tree. A name says who must act; the sentence says what was wrong, what is allowed, what to do.

::

    WorkstationError
    ├── InvalidInput             the caller's words or values; nothing was done
    │   ├── UnknownInstrument
    │   ├── UnknownOrder
    │   └── UnknownStrategy
    ├── Refused                  understood, and not allowed now (mode, checks, locks)
    ├── Unauthorized             who is asking was not proved; nothing was done
    ├── Forbidden                known, and never allowed to ask this (scope, account); nothing was done
    ├── BrokerError              what the broker road answered, sorted by what may be done next
    │   ├── BrokerRejected       a definite no: nothing rests at the broker
    │   ├── BrokerUnavailable    nothing was sent: trying again cannot double anything
    │   ├── Withheld             nothing was sent: we stopped it ourselves before its first byte
    │   ├── OutcomeUnknown       sent, and no trustworthy answer: look it up, never send again
    │   ├── SessionExpired       the day's login is over: log in again
    │   └── RateLimited          refused for speed: nothing was done; wait
    ├── StorageError
    │   ├── StorageUnavailable   the database cannot be reached
    │   ├── StorageTimeout       it is there and did not answer in time
    │   ├── StorageConflict      a uniqueness rule refused the row
    │   └── WriterLost           another engine is the writer of this account now
    ├── EngineGone               the engine behind a door does not answer; what was asked may have been done
    ├── SetupError               the program cannot start as asked (port, folder, schema, configuration)
    └── InvariantBroken          a state that must not exist; the executor stops
"""

from __future__ import annotations


class WorkstationError(Exception):
    """Root of everything this project raises on purpose. ``str(error)`` is fit for a person's eyes."""


class InvalidInput(WorkstationError):
    """The caller's words or values are wrong; nothing was done."""

    def __init__(self, message: str, *, field: str | None = None, place: int | None = None) -> None:
        """Keep which field, or which character of a sentence (0 is the first), was wrong."""
        super().__init__(message)
        self.field = field
        self.place = place


class UnknownInstrument(InvalidInput):
    """No instrument of today's dump fits the words."""


class UnknownOrder(InvalidInput):
    """No order has this number or id."""


class UnknownStrategy(InvalidInput):
    """No strategy has this number or name."""


class Refused(WorkstationError):
    """Understood, and not allowed now."""


class Unauthorized(WorkstationError):
    """Who is asking was not proved. The sentence never says which check failed; ``reason`` does, for the log alone."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        """Keep the true reason apart from the words for the outside."""
        super().__init__(message)
        self.reason = reason


class Forbidden(WorkstationError):
    """Known, and not allowed to ask this: the scope or the account is missing. Nothing was done."""


class BrokerError(WorkstationError):
    """What the broker road answered. ``code`` is the HTTP status, ``kind`` the broker's own error type."""

    def __init__(self, message: str, *, code: int | None = None, kind: str | None = None) -> None:
        """Keep the broker's status and error type beside its words."""
        super().__init__(message)
        self.code = code
        self.kind = kind


class BrokerRejected(BrokerError):
    """A definite no that names a broken rule: nothing rests at the broker."""


class BrokerUnavailable(BrokerError):
    """Nothing was sent: the connection could not be made. Sending later cannot double anything."""


class Withheld(BrokerError):
    """Our own last look stopped a request before it left: no order of it can exist, and it is not tried again."""


class OutcomeUnknown(BrokerError):
    """Sent, and no trustworthy answer came: it may rest at the broker. Look it up by tag, never send it again."""


class SessionExpired(BrokerError):
    """The day's login is over or was ended elsewhere: log in again. Never retried by the machine."""


class RateLimited(BrokerError):
    """Refused for speed: nothing was done. Wait before the next call of the same class."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, code: int | None = 429) -> None:
        """Keep how long the broker asks to wait, when it says so."""
        super().__init__(message, code=code, kind="NetworkException")
        self.retry_after_s = retry_after_s


class StorageError(WorkstationError):
    """The database did not do what was asked."""


class StorageUnavailable(StorageError):
    """The database cannot be reached."""


class StorageTimeout(StorageError):
    """The database, or a free connection to it, was not to be had within the set time."""


class StorageConflict(StorageError):
    """A uniqueness rule refused the row: it is there already."""


class WriterLost(StorageError):
    """Another engine has become the writer of this account; this one may only read."""


class EngineGone(WorkstationError):
    """The engine behind a door does not answer. A command under way may have been done: its idempotency key tells."""


class SetupError(WorkstationError):
    """The program cannot start as asked; the sentence names what is in the way and what to do."""


class InvariantBroken(WorkstationError):
    """A state that must not exist. Raised by the executor only, and ends it: going on could cost money."""
