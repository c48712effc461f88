"""Faults on their way out: order updates that are doubled, late, lost or out of order, and damaged market frames.

Invariant: without a fault everything passes unchanged and in order. What is withheld is bounded: one update and, per
socket, one frame.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from engine.practice.events import Events, Gates
from engine.practice.faults import FRAME_KINDS, UPDATE_KINDS, FaultKind, Faults, Point

Later = Callable[[float, Callable[[], None]], object]
_COUNT: Final = struct.Struct(">H")
_UNKNOWN_BYTES: Final = 12
"""A packet length that no kind of packet has."""
_SMALLEST_FRAME: Final = 5
_HEARTBEAT: Final = b"\x00"


class UpdateChannel:
    """Passes order updates to the sockets.

    Args:
        faults: What goes wrong.
        events: Where sent and withheld updates are noted.
        gates: Pauses at ``filled``.
        send: Sends an update to the sockets of its account.
        later: Calls something after some seconds.
    """

    def __init__(
        self, faults: Faults, events: Events, gates: Gates, *, send: Callable[[dict[str, Any]], None], later: Later
    ) -> None:
        self._faults = faults
        self._events = events
        self._gates = gates
        self._send_on = send
        self._later = later
        self._held: dict[str, Any] | None = None

    def tell(self, data: dict[str, Any]) -> None:
        """Pass an update on, or let a fault have it."""
        tag, account = str(data.get("tag") or ""), str(data.get("user_id") or "")
        order_id = str(data["order_id"])
        if self._gates.defer(Point.FILLED, tag, account, order_id, lambda: self._send(data)):
            return
        fault = self._faults.take("", "", tag, account, kinds=UPDATE_KINDS)
        match fault.kind if fault is not None else None:
            case FaultKind.DROP_UPDATE:
                self._note("update_dropped", data)
                return
            case FaultKind.DUPLICATE_UPDATE:
                self._send(data)
                self._send(data)
            case FaultKind.DELAY_UPDATE if fault is not None:
                self._note("update_held", data)
                self._later(fault.seconds, lambda: self._send(data))
                return
            case FaultKind.REORDER_UPDATE if fault is not None and self._held is None:
                self._held = data
                self._note("update_held", data)
                self._later(fault.seconds, self._send_held)
                return
            case _:
                self._send(data)
        self._send_held()

    def _send_held(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._send(held)

    def _send(self, data: dict[str, Any]) -> None:
        self._send_on(data)
        self._note("update_sent", data)

    def _note(self, what: str, data: dict[str, Any]) -> None:
        self._events.add(
            what,
            account=str(data.get("user_id") or ""),
            tag=str(data.get("tag") or ""),
            order_id=str(data["order_id"]),
            detail=str(data.get("status") or ""),
        )


class FrameFaults:
    """What happens to binary frames, over all sockets.

    Args:
        faults: What goes wrong.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.half_dead = False
        """Sockets send heartbeats only."""

    def passed(self, frame: bytes, held: bytes | None) -> tuple[list[bytes], bytes | None]:
        """Return (frames to send instead of this one, frame withheld from now on)."""
        if len(frame) <= len(_HEARTBEAT):
            return [frame], held
        if self.half_dead:
            return [_HEARTBEAT], held
        fault = self._faults.take("", "", kinds=FRAME_KINDS)
        match fault.kind if fault is not None else None:
            case FaultKind.REORDER_FRAME if held is None:
                return [], frame
            case FaultKind.DUPLICATE_FRAME:
                frames = [frame, frame]
            case FaultKind.TRUNCATE_FRAME if len(frame) >= _SMALLEST_FRAME:
                frames = [frame[: self._faults.random.randrange(_SMALLEST_FRAME - 1, len(frame))]]
            case FaultKind.UNKNOWN_PACKET:
                frames = [with_unknown_packet(frame, self._faults.random)]
            case _:
                frames = [frame]
        return [*frames, *([held] if held is not None else [])], None


def with_unknown_packet(frame: bytes, chance: random.Random) -> bytes:
    """Return a frame with one more packet of an unknown length, before the others."""
    (count,) = _COUNT.unpack_from(frame)
    body = chance.randbytes(_UNKNOWN_BYTES)
    return _COUNT.pack(count + 1) + _COUNT.pack(_UNKNOWN_BYTES) + body + frame[_COUNT.size :]


class FaultySocket(web.WebSocketResponse):
    """A ticker socket whose binary frames faults can reach.

    Args:
        frames: What happens to them; None lets everything pass.
        close_seconds: How long the client may take to answer a close.
    """

    def __init__(self, frames: FrameFaults | None, close_seconds: float) -> None:
        super().__init__(timeout=close_seconds, compress=False)
        self._frames = frames
        self._held: bytes | None = None

    async def send_bytes(self, data: bytes, compress: int | None = None) -> None:
        """Send a frame, or what a fault makes of it."""
        if self._frames is None:
            await super().send_bytes(data, compress)
            return
        frames, self._held = self._frames.passed(data, self._held)
        for frame in frames:
            await super().send_bytes(frame, compress)

    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send a text, unless the socket is half dead: then it is lost."""
        if self._frames is None or not self._frames.half_dead:
            await super().send_str(data, compress)


FRAMES: web.AppKey[FrameFaults] = web.AppKey("frame_faults", FrameFaults)


def ticker_socket(request: web.Request, close_seconds: float) -> FaultySocket:
    """Return the socket for a ticker connection."""
    return FaultySocket(request.app.get(FRAMES), close_seconds)
