"""Taking entries back: what waits is dropped, what rests is cancelled; stops, exits and guards are never touched."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import msgspec

from engine.core.decisions import Reason
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord, OrderState
from engine.execution.gate import OrderGate
from engine.execution.queue import Errand, QueuedCommand
from engine.execution.sender import OrderSender
from engine.execution.standings import Standing, Standings

HELD = "new risk is held back"


class CancelOne(Protocol):
    """Cancels one order in the way its state allows."""

    def __call__(self, standing: Standing, *, seat: str, reason: Reason = ...) -> Awaitable[str]: ...  # noqa: D102


class WithdrawnEntries(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the entries."""

    dropped: tuple[OrderNumber, ...]
    """They waited, and were never sent."""
    cancelling: tuple[OrderRecord, ...]
    """They rest, or may rest, and their cancellation is under way; those not found yet are cancelled when they are."""
    failed: tuple[str, ...] = ()
    """Why one could not be asked for, in words."""
    kept: int = 0
    """Stops, exits and guards that stay."""


class EntryDesk:
    """Finds entries and takes them back.

    Args:
        gate: Says what is an entry.
        standings: Working orders.
        sender: Holds what waits.
        cancel_one: Cancels an order.
    """

    def __init__(
        self,
        *,
        gate: OrderGate,
        standings: Standings,
        sender: OrderSender,
        cancel_one: CancelOne,
    ) -> None:
        self._gate = gate
        self._standings = standings
        self._sender = sender
        self._cancel_one = cancel_one

    async def withdraw(self, *, seat: str, reason: Reason) -> WithdrawnEntries:
        """Drop first, so that nothing leaves while the others are being asked for."""
        dropped = await self._sender.drop(_is_waiting_entry, HELD)
        resting = [standing for standing in self._standings.active() if self._gate.is_resting_entry(standing.record)]
        kept = len(self._standings.active()) - len(resting)
        failed: list[str] = []
        cancelling: list[OrderRecord] = []
        for standing in resting:
            words = await self._cancel_one(standing, seat=seat, reason=reason)
            state = standing.record.state
            if state is OrderState.NOT_SENT:
                dropped = (*dropped, standing.record.number)
            elif state is OrderState.CANCELLING or standing.cancel_wished:
                cancelling.append(standing.record)
            elif not state.is_terminal:
                failed.append(words)
        return WithdrawnEntries(dropped=dropped, cancelling=tuple(cancelling), failed=tuple(failed), kept=kept)


def _is_waiting_entry(command: QueuedCommand) -> bool:
    return command.errand is Errand.PLACE and command.is_entry
