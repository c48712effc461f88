"""Faults on demand: what a test asks the exchange to do wrong, and how often.

A fault waits for requests that match its method and path prefix, and is used up after ``count`` of them. Order of
use is order of registration. Bounded: more than the set number of waiting faults are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from engine.practice.wire import input_error


class FaultKind(StrEnum):
    """What goes wrong."""

    DROP_ANSWER = "drop_answer"
    """The request is carried out; the connection closes without an answer."""
    HOLD = "hold"
    """The request waits for ``seconds`` and is then carried out, whether or not the client still listens."""
    DELAY = "delay"
    """The request is carried out at once; the answer waits for ``seconds``."""
    ERROR_500 = "error_500"
    ERROR_503 = "error_503"
    ERROR_429 = "error_429"
    HTML_502 = "html_502"
    """The request is not carried out; a proxy's web page comes back."""
    SILENT_SOCKET = "silent_socket"
    """Ticker sockets stay open and send nothing for ``seconds``."""
    CLOSE_SOCKETS = "close_sockets"
    """Ticker sockets are closed once."""


SOCKET_KINDS = frozenset({FaultKind.SILENT_SOCKET, FaultKind.CLOSE_SOCKETS})


class Fault(msgspec.Struct):
    """One registered fault."""

    kind: FaultKind
    method: str = ""
    path: str = ""
    count: int = 1
    seconds: float = 0.0


class Faults:
    """The faults that are waiting for a request.

    Args:
        limit: How many may wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[Fault] = []

    def read(self, body: object) -> Fault:
        """Turn a request body into a fault.

        Raises:
            KiteError: HTTP 400, with what is allowed.
        """
        try:
            fault = msgspec.convert(body, Fault, strict=False)
        except msgspec.ValidationError as error:
            allowed = ", ".join(FaultKind)
            raise input_error(
                f"Not a fault: {error}. kind is one of {allowed}; count and seconds are numbers."
            ) from error
        if fault.count < 1 or fault.seconds < 0.0:
            raise input_error("Not a fault: count is at least 1 and seconds at least 0.")
        return fault

    def add(self, fault: Fault) -> None:
        """Register a fault.

        Raises:
            KiteError: HTTP 400, too many are waiting.
        """
        if len(self._waiting) >= self._limit:
            raise input_error(f"{self._limit} faults are waiting already; DELETE /practice/faults clears them.")
        self._waiting.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that a request meets, used up by one."""
        for fault in self._waiting:
            if fault.method.upper() in {"", method} and path.startswith(fault.path):
                fault.count -= 1
                if fault.count == 0:
                    self._waiting.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        """Forget all faults."""
        self._waiting.clear()

    def listed(self) -> list[Mapping[str, Any]]:
        """Return the waiting faults."""
        return [msgspec.to_builtins(fault) for fault in self._waiting]
