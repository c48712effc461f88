"""Faults on demand and by chance: what a test asks the exchange to do wrong, to whom, and how often.

A registered fault waits for what it matches (a request's method, path prefix and tag prefix, an account, an order
update, a frame) and is used up after ``count`` of them, in the order of registration. A plan draws faults at random
with a rate for each kind from a seed, so that a chaos run can be repeated. Bounded: more than the set number of
waiting faults are refused.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from engine.practice.wire import input_error

ORDER_METHODS: Final = frozenset({"POST", "PUT", "DELETE"})
_ORDERS = "/orders"


class FaultKind(StrEnum):
    """What goes wrong."""

    DROP_ANSWER = "drop_answer"
    """The request is carried out; the connection closes without an answer."""
    HOLD = "hold"
    """The request waits for ``seconds`` and is then carried out, whether or not the client still listens."""
    DELAY = "delay"
    """The request is carried out at once; the answer waits for ``seconds``."""
    ERROR_429 = "error_429"
    ERROR_500 = "error_500"
    ERROR_502 = "error_502"
    ERROR_503 = "error_503"
    ERROR_504 = "error_504"
    """The request is not carried out; an error comes back in the broker's envelope."""
    HTML_502 = "html_502"
    """The request is not carried out; a proxy's web page comes back."""
    TIMEOUT_400 = "timeout_400"
    """The request is not carried out; 400 says that the order request timed out."""
    ACCEPTED_500 = "accepted_500"
    ACCEPTED_502 = "accepted_502"
    ACCEPTED_503 = "accepted_503"
    ACCEPTED_504 = "accepted_504"
    """The request is carried out, and an error comes back all the same."""
    ACCEPTED_HTML_502 = "accepted_html_502"
    ACCEPTED_TIMEOUT_400 = "accepted_timeout_400"
    RESET_BEFORE = "reset_before"
    """The connection is reset; the request is not carried out."""
    RESET_AFTER = "reset_after"
    """The request is carried out; the connection is reset."""
    RESTART_BEFORE = "restart_before"
    """The process ends at once; the request is not carried out."""
    RESTART_AFTER = "restart_after"
    """The request is carried out; the process ends before it is answered."""
    STALE_BOOK = "stale_book"
    """For ``seconds`` orders and trades are read as they are now; with a tag, its orders are missing instead."""
    EXPIRE_TOKENS = "expire_tokens"
    """Every token is refused until a new login (or for ``seconds``); ticker sockets are closed."""
    PAUSE_AT = "pause_at"
    """Handling stops at ``point`` until it is released, for ``seconds`` at most; ``then`` says how it goes on."""
    REJECT = "reject"
    """An accepted order is rejected in the book."""
    SLICE_FAILURE = "slice_failure"
    """A slice of a sliced order is refused (never the first)."""
    DUPLICATE_UPDATE = "duplicate_update"
    REORDER_UPDATE = "reorder_update"
    """An order update is sent after the next one (after ``seconds`` when none comes)."""
    DROP_UPDATE = "drop_update"
    DELAY_UPDATE = "delay_update"
    DUPLICATE_FRAME = "duplicate_frame"
    REORDER_FRAME = "reorder_frame"
    TRUNCATE_FRAME = "truncate_frame"
    UNKNOWN_PACKET = "unknown_packet"
    """A frame carries one more packet, of a length nobody knows."""
    SILENT_SOCKET = "silent_socket"
    """Ticker sockets stay open and send nothing for ``seconds``."""
    HALF_DEAD_SOCKET = "half_dead_socket"
    """Ticker sockets send heartbeats and nothing else for ``seconds``."""
    CLOSE_SOCKETS = "close_sockets"
    """Ticker sockets are closed once."""
    REFUSE_HANDSHAKE = "refuse_handshake"
    """A ticker handshake is refused with 403."""


class Point(StrEnum):
    """Where ``pause_at`` stops."""

    RECEIVED = "received"
    """The request was read; nothing has happened."""
    ACCEPTED = "accepted"
    """The request is durable; the answer has not left."""
    ANSWERED = "answered"
    """The answer has left; the exchange has not acted on the request."""
    FILLED = "filled"
    """The order's updates are withheld from the socket; the book tells already."""


class Then(StrEnum):
    """How a released request goes on."""

    GO_ON = "go_on"
    DISCARD = "discard"
    """At ``received`` only: the request is never carried out, and never answered."""


UPDATE_KINDS: Final = frozenset(
    {FaultKind.DUPLICATE_UPDATE, FaultKind.REORDER_UPDATE, FaultKind.DROP_UPDATE, FaultKind.DELAY_UPDATE}
)
FRAME_KINDS: Final = frozenset(
    {FaultKind.DUPLICATE_FRAME, FaultKind.REORDER_FRAME, FaultKind.TRUNCATE_FRAME, FaultKind.UNKNOWN_PACKET}
)
SOCKET_KINDS: Final = frozenset({FaultKind.SILENT_SOCKET, FaultKind.HALF_DEAD_SOCKET, FaultKind.CLOSE_SOCKETS})
_APART: Final = frozenset({FaultKind.PAUSE_AT, FaultKind.REJECT, FaultKind.SLICE_FAILURE, FaultKind.REFUSE_HANDSHAKE})
REQUEST_KINDS: Final = frozenset(FaultKind) - UPDATE_KINDS - FRAME_KINDS - SOCKET_KINDS - _APART

_DRAWN_SECONDS: Final[Mapping[FaultKind, float]] = {
    FaultKind.HOLD: 8.0,
    FaultKind.DELAY: 1.0,
    FaultKind.STALE_BOOK: 2.0,
    FaultKind.EXPIRE_TOKENS: 3.0,
    FaultKind.DELAY_UPDATE: 1.0,
    FaultKind.REORDER_UPDATE: 1.0,
    FaultKind.SILENT_SOCKET: 6.0,
    FaultKind.HALF_DEAD_SOCKET: 6.0,
}
"""What a drawn fault lasts when the plan does not say (``hold``: past the official client's window of 7 s)."""


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One fault: what, for whom (empty: anybody), how often, how long."""

    kind: FaultKind
    method: str = ""
    path: str = ""
    tag: str = ""
    account: str = ""
    count: int = 1
    seconds: float = 0.0
    point: Point = Point.ACCEPTED
    then: Then = Then.GO_ON

    def meets(self, method: str, path: str, tag: str, account: str) -> bool:
        """Tell whether this fault is for a request (or an update, or a frame: without method and path)."""
        return (
            self.method.upper() in {"", method}
            and path.startswith(self.path)
            and tag.startswith(self.tag)
            and self.account in {"", account}
        )


class DrawnFault(msgspec.Struct, forbid_unknown_fields=True):
    """A fault that is drawn: its rate per occasion (0 to 1), and for what."""

    rate: float
    method: str = ""
    path: str = ""
    tag: str = ""
    account: str = ""
    seconds: float | None = None


class FaultPlan(msgspec.Struct, forbid_unknown_fields=True):
    """Faults by chance: ``{"seed": 7, "rates": {"drop_answer": 0.02, "hold": {"rate": 0.01, "seconds": 9}}}``.

    An occasion is, for kinds of requests, a request to an order endpoint (``stale_book``: a read of the book) unless
    ``method`` and ``path`` say otherwise; for updates and frames each one; for sockets each step of the market.
    """

    seed: int = 0
    rates: dict[FaultKind, float | DrawnFault] = {}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a plan from a JSON file.

        Raises:
            ValueError: The file cannot be read or is no plan; the message says why.
        """
        try:
            return cls.convert(msgspec.json.decode(path.read_bytes()))
        except (OSError, msgspec.DecodeError, ValueError) as error:
            raise ValueError(f"{path} is no plan of faults: {error}") from error

    @classmethod
    def convert(cls, body: object) -> Self:
        """Turn a decoded body into a plan.

        Raises:
            ValueError: It is no plan.
        """
        plan = msgspec.convert(body, cls, strict=False)
        for kind, row in plan.rates.items():
            rate = row.rate if isinstance(row, DrawnFault) else row
            if not 0.0 <= rate <= 1.0:
                raise ValueError(f"the rate of {kind} is {rate}; it lies between 0 and 1")
            if kind == FaultKind.PAUSE_AT:
                raise ValueError("pause_at is registered, never drawn: nobody would release it")
        return plan

    def drawn(self) -> dict[FaultKind, DrawnFault]:
        """Return the rows with what was left to the kind filled in."""
        rows = {}
        for kind, row in self.rates.items():
            full = row if isinstance(row, DrawnFault) else DrawnFault(row)
            seconds = full.seconds if full.seconds is not None else _DRAWN_SECONDS.get(kind, 0.0)
            method, path = full.method, full.path
            if kind == FaultKind.STALE_BOOK and not path:
                method, path = "GET", _ORDERS
            rows[kind] = msgspec.structs.replace(full, method=method, path=path, seconds=seconds)
        return rows


class Faults:
    """The faults that are waiting, and the plan they are drawn from.

    Args:
        limit: How many may wait.
        plan: Faults by chance, if any.
    """

    def __init__(self, limit: int, plan: FaultPlan | None = None) -> None:
        self._limit = limit
        self._waiting: list[Fault] = []
        self.met: Counter[str] = Counter()
        """How often each kind has struck."""
        self.plan(plan or FaultPlan())

    def plan(self, plan: FaultPlan) -> None:
        """Draw from another plan from now on."""
        self._drawn = plan.drawn()
        self.random = random.Random(plan.seed)  # noqa: S311 - chance that can be repeated

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

    def take(
        self,
        method: str,
        path: str,
        tag: str = "",
        account: str = "",
        *,
        kinds: Iterable[FaultKind] = REQUEST_KINDS,
    ) -> Fault | None:
        """Return the fault that a request meets, used up by one; a registered one before a drawn one."""
        for fault in self._waiting:
            if fault.kind in kinds and fault.meets(method, path, tag, account):
                return self._use(fault)
        return self._draw(method, path, tag, account, kinds)

    def take_at(self, point: Point, tag: str, account: str) -> Fault | None:
        """Return the pause that is registered for a point, used up by one."""
        for fault in self._waiting:
            if fault.kind == FaultKind.PAUSE_AT and fault.point == point and fault.meets("", "", tag, account):
                return self._use(fault)
        return None

    def clear(self) -> None:
        """Forget all waiting faults (the plan stays)."""
        self._waiting.clear()

    def listed(self) -> list[Mapping[str, Any]]:
        """Return the waiting faults."""
        return [msgspec.to_builtins(fault) for fault in self._waiting]

    def again(self, fault: Fault) -> None:
        """Let a registered fault that found nothing to spoil wait for the next request; a drawn one is gone."""
        if fault in self._waiting:
            fault.count += 1
        elif fault.count == 0:
            fault.count = 1
            self._waiting.insert(0, fault)
        else:
            return
        self.met[str(fault.kind)] -= 1

    def _use(self, fault: Fault) -> Fault:
        fault.count -= 1
        if fault.count == 0:
            self._waiting.remove(fault)
        self.met[str(fault.kind)] += 1
        return fault

    def _draw(self, method: str, path: str, tag: str, account: str, kinds: Iterable[FaultKind]) -> Fault | None:
        for kind, row in self._drawn.items():
            if kind not in kinds:
                continue
            fault = Fault(kind, row.method, row.path, row.tag, row.account, 1, row.seconds or 0.0)
            order_request = method in ORDER_METHODS and path.startswith(_ORDERS)
            if kind in REQUEST_KINDS and not row.path and not order_request:
                continue
            if fault.meets(method, path, tag, account) and self.random.random() < row.rate:
                self.met[str(kind)] += 1
                return fault
        return None
