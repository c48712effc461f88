"""Triggers and conversions of one account, put together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from engine.core.identifiers import AccountId
from engine.core.instructions import Instruction
from engine.core.ports import BrokerReads, Clock, LastLook, OrderRoad
from engine.core.repositories import InstructionJournal
from engine.execution.breaker import CircuitBreaker
from engine.execution.conversion_desk import ConversionDesk, Convert
from engine.execution.facts import MarketFacts
from engine.execution.gate import OrderGate
from engine.execution.gtt_desk import GttDesk
from engine.execution.instruction_book import InstructionBook
from engine.execution.instruction_desk import InstructionDesk
from engine.execution.notices import Health, Notice
from engine.execution.patience import Patience
from engine.execution.settings import ExecutionSettings


async def not_booked(_: Instruction) -> None:
    """Where there is no ledger, nothing follows a conversion."""


class InstructionSide:
    """Makes the desks, and keeps them in step with the executor's life.

    Args:
        account: Whose.
        journal: The durable record.
        epoch: The writer epoch.
        road: The broker's order endpoints.
        reads: The broker's reading endpoints.
        gate: What keeps risk out.
        facts: Quotes, the dump, the session.
        breaker: Of these endpoints.
        health: Where falling behind is declared.
        notify: For what a person should read.
        clock: Time.
        settings: Limits, windows, intervals.
        random_bytes: Source of keys.
        is_closed: Whether nothing more is taken.
        on_converted: Books a conversion; see ``ConversionDesk``.
        last_look: Makes what is asked directly before the first byte.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        journal: InstructionJournal,
        epoch: int,
        road: OrderRoad,
        reads: BrokerReads,
        gate: OrderGate,
        facts: MarketFacts,
        breaker: CircuitBreaker,
        health: Health,
        notify: Callable[[Notice], None],
        clock: Clock,
        settings: ExecutionSettings,
        random_bytes: Callable[[int], bytes],
        is_closed: Callable[[], bool],
        on_converted: Convert = not_booked,
        last_look: Callable[[bool], LastLook | None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._patience = Patience(clock, settings.spool.after_s)
        self.book = InstructionBook(
            account, journal, epoch=epoch, clock=clock, health=health, notify=notify, patience=self._patience
        )
        self._desk = InstructionDesk(
            book=self.book,
            breaker=breaker,
            clock=clock,
            settings=settings,
            random_bytes=random_bytes,
            is_closed=is_closed,
        )
        self.triggers = GttDesk(self._desk, road=road, reads=reads, gate=gate, facts=facts, last_look=last_look)
        self.conversions = ConversionDesk(
            self._desk, road=road, reads=reads, gate=gate, facts=facts, on_converted=on_converted
        )

    @property
    def is_open(self) -> bool:
        """Whether something is on its way, or has no answer and is looked for."""
        return any(not instruction.state.is_over for instruction in self.book.all())

    async def load(self) -> None:
        """Take in what earlier engines asked for, and begin to look for what has no answer.

        Raises:
            StorageError: the journal cannot be read.
        """
        await self.book.load(self._clock.market_now() - timedelta(seconds=self._settings.history_s))
        await self._desk.recover()
        await self.conversions.rebook()

    async def run(self) -> None:
        """Look for what has no answer, for ever."""
        await self._desk.run()

    async def look(self) -> None:
        """Look once, now."""
        await self._desk.look()

    async def stop(self) -> None:
        """Wait for the answers that are out."""
        await self._desk.stop()
        await self._patience.end()
