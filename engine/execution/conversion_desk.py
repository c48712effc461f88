"""Changing the product of a position, asked for once.

What the broker holds in both products is read before, with the day's fills: an answer that is lost is made up for by
comparing them afterwards. Fills in between are taken out of the comparison, so that they are not taken for a
conversion, and so is what other conversions of the contract have moved: a movement answers one request. While one of an
instrument is unknown no other one of it is sent, and while one is on the wire no earlier one is judged: nobody could
tell the two apart. Figures that contradict each other (the broker's books lag behind one another) prove nothing either.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from engine.core.commands import ConvertPosition, Receipt, Violation
from engine.core.errors import BrokerError, StorageError
from engine.core.identifiers import InstrumentKey
from engine.core.instructions import (
    Baseline,
    Conversion,
    Instruction,
    InstructionKind,
    InstructionNumber,
    InstructionState,
)
from engine.core.ports import BrokerReads, OrderRoad
from engine.core.vocabulary import InstrumentKind, Product, Severity
from engine.execution.conversion_sums import explained
from engine.execution.days import exchange_day
from engine.execution.facts import HeldPosition, MarketFacts
from engine.execution.gate import OrderGate
from engine.execution.instruction_book import name_of
from engine.execution.instruction_desk import InstructionDesk
from engine.execution.intake import refused
from engine.execution.words import grouped

READS_MAX = 3
"""Times the figures are read until no fill came in between, and what is held is what was traded."""
NOT_NUMBERED = InstructionNumber(0)
OPEN = frozenset({InstructionState.SENDING, InstructionState.UNKNOWN})
SOUGHT = frozenset({InstructionState.UNKNOWN, InstructionState.PRESUMED_ABSENT})
DERIVATIVES = frozenset({Product.NRML, Product.MIS})

Convert = Callable[[Instruction], Awaitable[None]]


class ContractFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker tells of one contract at one moment."""

    held: Counter[Product]
    """Signed units, by product."""
    traded: Counter[Product]
    """Signed units of the day's fills, by product."""
    carried: int
    """Signed units held since before the day, of all products."""

    @property
    def contradiction(self) -> str:
        """What these figures cannot both be: a conversion changes no sum over products; empty when they agree."""
        held, traded = sum(self.held.values()), sum(self.traded.values())
        if held == self.carried + traded:
            return ""
        return f"{held:,} held, {self.carried:,} carried over and {traded:,} traded today"

    def of(self, wanted: Conversion) -> Baseline:
        """In the products of one conversion."""
        return Baseline(
            from_quantity=self.held[wanted.from_product],
            to_quantity=self.held[wanted.to_product],
            from_traded=self.traded[wanted.from_product],
            to_traded=self.traded[wanted.to_product],
        )


class ConversionDesk:
    """The conversions of one account.

    Args:
        desk: Journals, sends, looks.
        road: Where they are sent.
        reads: What the broker holds.
        gate: What keeps anything from being taken.
        facts: The dump and the session.
        on_converted: Books a conversion that is done, once however often it is told.
    """

    def __init__(
        self,
        desk: InstructionDesk,
        *,
        road: OrderRoad,
        reads: BrokerReads,
        gate: OrderGate,
        facts: MarketFacts,
        on_converted: Convert,
    ) -> None:
        self._desk = desk
        self._road = road
        self._reads = reads
        self._gate = gate
        self._facts = facts
        self._on_converted = on_converted
        self._turn = asyncio.Lock()
        self._judging = asyncio.Lock()
        """From reading figures to having settled what they show: nothing is judged twice on the same movement."""
        self._unbooked: dict[InstructionNumber, Instruction] = {}
        desk.serve(self)
        desk.pay_too(self._book_again)

    async def convert(self, command: ConvertPosition, *, seat: str = "") -> Receipt:
        """Ask for a conversion; the same key never asks twice."""
        return await self._desk.own(self._convert(command, seat))

    def check(self, wanted: Conversion) -> tuple[Violation, ...]:
        """What forbids a conversion now, all at once."""
        found = list(self._gate.holds(risky=False))
        instrument = self._facts.instrument(wanted.instrument)
        if instrument is None:
            message = f"{wanted.instrument} is not in today's instrument dump."
            return (*found, Violation(check="instrument", message=message))
        session = self._facts.session(instrument)
        if not session.is_open:
            message = f"The market is {session.words}; positions are converted while it is open."
            found.append(Violation(check="session", message=message))
        if wanted.from_product is wanted.to_product:
            message = f"The position is {wanted.from_product} already; name another product."
            found.append(Violation(check="product", message=message))
        if instrument.kind is not InstrumentKind.EQUITY and not {wanted.from_product, wanted.to_product} <= DERIVATIVES:
            found.append(Violation(check="product", message="Futures and options are NRML or MIS."))
        if wanted.quantity <= 0 or wanted.quantity % instrument.lot_size:
            message = f"{grouped(wanted.quantity)} units is not a multiple of the lot, {grouped(instrument.lot_size)}."
            found.append(Violation(check="lot", message=message))
        held = self._held(wanted)
        if held is not None and held * wanted.side.sign < wanted.quantity:
            message = (
                f"{grouped(wanted.quantity)} units cannot be converted: {grouped(held)} are held as "
                f"{wanted.from_product}."
            )
            found.append(Violation(check="position", message=message))
        for other in self._desk.book.all():
            if (
                other.state in OPEN
                and other.conversion is not None
                and other.conversion.instrument == wanted.instrument
            ):
                message = f"{name_of(other)} is {other.state}: wait until it is known."
                found.append(Violation(check="unknown", message=message))
        return tuple(found)

    def _held(self, wanted: Conversion) -> int | None:
        positions: tuple[HeldPosition, ...] | None = self._gate.positions()
        if positions is None:
            return None
        return sum(
            item.signed_quantity
            for item in positions
            if item.instrument.key == wanted.instrument and item.product is wanted.from_product
        )

    async def _convert(self, command: ConvertPosition, seat: str) -> Receipt:
        wanted = conversion_of(command)
        known = await self._desk.known(command.idempotency_key)
        if known is not None:
            return known
        async with self._turn:
            violations = self.check(wanted)
            if violations:
                message = " ".join(violation.message for violation in violations)
                return Receipt(accepted=False, message=message, violations=violations)
            blocked = self._desk.breaker.refuses()
            if blocked:
                return refused("breaker", blocked)
            try:
                instruction = await self._prepared(wanted, command.idempotency_key, seat)
            except BrokerError as error:
                return refused("positions", f"What is held cannot be read now ({error}); nothing was sent.")
            if isinstance(instruction, str):
                return refused("positions", f"{instruction}; nothing was sent. Ask again in a few seconds.")

            async def request() -> None:
                await self._road.convert_position(wanted)

            receipt = await self._desk.send(instruction, request)
        if receipt.instruction is not None:
            await self._booked(self._desk.book.get(receipt.instruction))
        return receipt

    async def _prepared(self, wanted: Conversion, key: str | None, seat: str) -> Instruction | str:
        """A new one with the figures before it, or why there are none.

        An earlier one that was given up and shows in these figures is found now: later nobody could tell whether it was
        done before or after them.
        """
        async with self._judging:
            others = self._of_contract(wanted.instrument)
            figures = await self._figures(wanted.instrument)
            if isinstance(figures, str):
                return figures
            if self._of_contract(wanted.instrument) == others:
                await self._find(others, figures)
            now = self._desk.clock.market_now()
            return Instruction(
                number=NOT_NUMBERED,
                account=self._desk.book.account,
                kind=InstructionKind.CONVERT,
                idempotency_key=self._desk.key(key),
                conversion=wanted,
                baseline=figures.of(wanted),
                seat=seat,
                created_at=now,
                updated_at=now,
            )

    # -- looking for ---------------------------------------------------------------------------------------------------

    async def rebook(self) -> None:
        """Tell everything that was done lately again: an engine may have ended before it was booked."""
        for instruction in self._desk.book.all():
            await self._booked(instruction)

    def wants(self, instruction: Instruction) -> bool:
        """Whether it is a conversion."""
        return instruction.kind is InstructionKind.CONVERT

    async def look(self, questions: tuple[Instruction, ...]) -> None:
        """Compare what is held now with what was held before, contract by contract."""
        contracts: dict[InstrumentKey, None] = {}
        for question in questions:
            if question.conversion is None:
                continue
            if self._is_of_today(question):
                contracts[question.conversion.instrument] = None
            else:
                await self._desk.give_up(question, "A day has passed since: compare the positions yourself.")
        for contract in contracts:
            async with self._judging:
                await self._look_at(contract)

    async def _look_at(self, contract: InstrumentKey) -> None:
        known = self._of_contract(contract)
        started_at = self._desk.clock.monotonic()
        if any(item.state is InstructionState.SENDING or not self._desk.may_judge(item, started_at) for item in known):
            return  # what is held may show that one or this one
        figures = await self._figures(contract)
        if isinstance(figures, str) or self._of_contract(contract) != known:
            return
        found = await self._find(known, figures)
        for question in self._questions(known):
            if question not in found:
                await self._desk.missed(question, started_at)

    async def _find(self, known: tuple[Instruction, ...], figures: ContractFigures) -> tuple[Instruction, ...]:
        """Settle those of a contract that these figures show to be done; which were."""
        questions = self._questions(known)
        now = {item.number: figures.of(item.conversion) for item in questions if item.conversion is not None}
        found = explained(questions, (item for item in known if item not in questions), now)
        for question in found:
            await self._booked(await self._desk.found(question, "the broker holds it in the new product"))
        return found

    def _of_contract(self, contract: InstrumentKey) -> tuple[Instruction, ...]:
        """All conversions of a contract that are known, oldest first."""
        return tuple(
            item
            for item in self._desk.book.all()
            if item.conversion is not None and item.conversion.instrument == contract
        )

    def _questions(self, known: Iterable[Instruction]) -> tuple[Instruction, ...]:
        return tuple(item for item in known if item.state in SOUGHT and self._is_of_today(item))

    def _is_of_today(self, instruction: Instruction) -> bool:
        return exchange_day(instruction.created_at) == exchange_day(self._desk.clock.market_now())

    async def _booked(self, instruction: Instruction) -> None:
        """Let the ledger follow a conversion that is done."""
        if instruction.kind is not InstructionKind.CONVERT or instruction.state is not InstructionState.DONE:
            return
        if instruction.conversion is not None and self._gate.awaits_fills(instruction.conversion.instrument):
            # The ledger may not hold yet what is to move there: it would move what it has, and never the rest.
            if instruction.number not in self._unbooked:
                self._unbooked[instruction.number] = instruction
                self._desk.wake()
            return
        try:
            await self._on_converted(instruction)
        except StorageError as error:
            if instruction.number not in self._unbooked:
                self._unbooked[instruction.number] = instruction
                self._desk.book.tell(
                    Severity.ATTENTION, f"{name_of(instruction)} could not be booked ({error}); it is tried again."
                )
                self._desk.wake()
        else:
            self._unbooked.pop(instruction.number, None)

    async def _book_again(self) -> bool:
        """Tell the ledger of what it has not taken; whether it has everything."""
        for instruction in tuple(self._unbooked.values()):
            await self._booked(instruction)
        return not self._unbooked

    async def _figures(self, contract: InstrumentKey) -> ContractFigures | str:
        """What is held and traded of a contract at one moment, or why that cannot be said."""
        why = ""
        for _ in range(READS_MAX):
            before = await self._traded(contract)
            positions = [item for item in await self._reads.positions() if item.instrument == contract]
            if await self._traded(contract) != before:
                why = "Fills come in faster than positions can be read"
                continue
            held: Counter[Product] = Counter()
            for item in positions:
                held[item.product] += item.signed_quantity
            carried = sum(item.overnight_quantity for item in positions)
            figures = ContractFigures(held=held, traded=before, carried=carried)
            if not figures.contradiction:
                return figures
            why = f"The broker's positions and trades contradict each other ({figures.contradiction})"
        return why

    async def _traded(self, contract: InstrumentKey) -> Counter[Product]:
        """Signed units of the day's fills, by product."""
        found: Counter[Product] = Counter()
        for trade in await self._reads.trades():
            if trade.instrument == contract:
                found[trade.product] += trade.signed_quantity
        return found


def conversion_of(command: ConvertPosition) -> Conversion:
    """What a command asks for."""
    return Conversion(
        instrument=command.instrument,
        side=command.side,
        quantity=command.quantity,
        from_product=command.from_product,
        to_product=command.to_product,
        overnight=command.overnight,
    )
