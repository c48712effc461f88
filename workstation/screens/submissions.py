"""Commands on their way to the engine. They belong to nobody's worker: no key, dialog or screen can cancel one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from engine.client import EngineClient
from engine.core.commands import Command, Receipt
from engine.core.errors import WorkstationError

log = logging.getLogger(__name__)

IN_FLIGHT_MAX = 64
"""Commands waiting for their receipt; more are refused in words rather than queued."""


class Submissions:
    """Hands commands over and gives receipts back."""

    def __init__(self, engine: EngineClient, *, seat: str) -> None:
        """``seat`` names this terminal in the engine's events."""
        self._engine = engine
        self._seat = seat
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Commands without a receipt yet."""
        return len(self._tasks)

    def submit(self, command: Command, answer: Callable[[Receipt], None]) -> None:
        """Hand ``command`` over now; ``answer`` is called with the receipt, or with a refusal that says what failed."""
        if len(self._tasks) >= IN_FLIGHT_MAX:
            answer(
                Receipt(accepted=False, message=f"{IN_FLIGHT_MAX} commands wait for their receipt; nothing was done.")
            )
            return
        task = asyncio.get_running_loop().create_task(
            self._carry(command, answer), name=f"submit {type(command).__name__}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def drain(self, timeout_s: float) -> int:
        """Wait for receipts, ``timeout_s`` at most; how many are still open then. They are not cancelled."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_s)
        return len(self._tasks)

    async def _carry(self, command: Command, answer: Callable[[Receipt], None]) -> None:
        try:
            receipt = await self._engine.submit(command, seat=self._seat)
        except WorkstationError as error:
            receipt = Receipt(accepted=False, message=str(error))
        answer(receipt)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a command ended without a receipt; the order list says what became of it", exc_info=error)
