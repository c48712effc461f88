"""The words of the protocol: enumerations, statuses, and refusals in the broker's shape."""

from __future__ import annotations

from enum import StrEnum


class ErrorType(StrEnum):
    """Kinds of refusal, as the broker names them."""

    TOKEN = "TokenException"  # noqa: S105 - the name of a kind of error
    USER = "UserException"
    ORDER = "OrderException"
    INPUT = "InputException"
    MARGIN = "MarginException"
    NETWORK = "NetworkException"
    DATA = "DataException"
    GENERAL = "GeneralException"
    PERMISSION = "PermissionException"


class KiteError(Exception):
    """A request that is answered with an error envelope.

    Args:
        status: HTTP status.
        kind: The broker's name of the error.
        message: Words for the user.
    """

    def __init__(self, status: int, kind: ErrorType, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message

    @property
    def envelope(self) -> dict[str, object]:
        """The body of the answer."""
        return {"status": "error", "message": self.message, "data": None, "error_type": str(self.kind)}


def input_error(message: str) -> KiteError:
    """Return a refusal of an ill-formed request."""
    return KiteError(400, ErrorType.INPUT, message)


class Status(StrEnum):
    """Order statuses as the book and the history show them."""

    RECEIVED = "PUT ORDER REQ RECEIVED"
    VALIDATION_PENDING = "VALIDATION PENDING"
    OPEN_PENDING = "OPEN PENDING"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER PENDING"
    MODIFY_VALIDATION_PENDING = "MODIFY VALIDATION PENDING"
    MODIFY_PENDING = "MODIFY PENDING"
    MODIFIED = "MODIFIED"
    CANCEL_PENDING = "CANCEL PENDING"
    AMO_RECEIVED = "AMO REQ RECEIVED"
    MODIFY_AMO_RECEIVED = "MODIFY AMO REQ RECEIVED"
    COMPLETE = "COMPLETE"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    UPDATE = "UPDATE"
    """Only in order updates: a partial fill of an order whose book status stays OPEN."""


TERMINAL = frozenset({Status.COMPLETE, Status.REJECTED, Status.CANCELLED})

BUY, SELL = "BUY", "SELL"
MARKET, LIMIT, STOP_LIMIT, STOP_MARKET = "MARKET", "LIMIT", "SL", "SL-M"
NRML, MIS = "NRML", "MIS"
DAY, IOC, TTL = "DAY", "IOC", "TTL"
REGULAR, AMO, COVER, ICEBERG, AUCTION = "regular", "amo", "co", "iceberg", "auction"
VARIETIES = (REGULAR, AMO, COVER, ICEBERG, AUCTION)
TRADED_EXCHANGES = ("NFO", "BFO")
