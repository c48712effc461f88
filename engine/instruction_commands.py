"""Brings triggers, conversions and questions about margin to the account they concern."""

from __future__ import annotations

from collections.abc import Sequence

from engine.account_desk import AccountDesk
from engine.account_desks import AccountDesks
from engine.account_receipts import refused
from engine.core.commands import ConvertPosition, DeleteGtt, ModifyGtt, PlaceGtt, Preview, Receipt, Violation
from engine.core.errors import InvalidInput
from engine.core.funds_margin import MarginAnswer
from engine.core.identifiers import AccountId
from engine.core.orders import OrderRequest
from engine.core.ports import Clock
from engine.core.standing_triggers import Gtt
from engine.execution.conversion_desk import conversion_of
from engine.execution.gtt_words import trigger_words
from engine.execution.words import grouped

InstructionCommand = PlaceGtt | ModifyGtt | DeleteGtt | ConvertPosition
LEGS_MAX = 50
"""Orders of one question about margin."""


class InstructionCommands:
    """Over all accounts of an engine.

    Args:
        desks: The accounts.
        clock: Market time.
    """

    def __init__(self, desks: AccountDesks, clock: Clock) -> None:
        self._desks = desks
        self._clock = clock

    async def gtts(self) -> tuple[Gtt, ...]:
        """Triggers of all accounts, asked now."""
        found: list[Gtt] = []
        for desk in self._desks:
            side = desk.executor.instructions if desk.executor is not None else None
            found += await (side.triggers.triggers() if side is not None else desk.parts.reads.gtts())
        return tuple(found)

    async def basket_margin(self, legs: Sequence[OrderRequest], account: AccountId | None) -> MarginAnswer:
        """What orders would block together, asked now.

        Raises:
            InvalidInput: no leg, or too many.
        """
        if not 0 < len(legs) <= LEGS_MAX:
            raise InvalidInput(f"Margin is asked for 1 to {LEGS_MAX} orders, not {len(legs)}.", field="legs")
        desk = self._desks.named(account)
        margin = await desk.parts.reads.basket_margins(tuple(legs))
        funds = desk.funds
        return MarginAnswer(margin=margin, available=None if funds is None else funds.net, at=self._clock.market_now())

    async def do(self, command: InstructionCommand, seat: str) -> Receipt:
        """Do it at the account it names, or the default one."""
        desk = self._desks.named(command.account)
        side = desk.executor.instructions if desk.executor is not None else None
        if side is None:
            return refused(desk.refusal())
        match command:
            case PlaceGtt():
                return await side.triggers.place(command, seat=seat)
            case ModifyGtt():
                return await side.triggers.modify(command, seat=seat)
            case DeleteGtt():
                return await side.triggers.delete(command, seat=seat)
            case ConvertPosition():
                return await side.conversions.convert(command, seat=seat)


def preview_instruction(desk: AccountDesk, command: InstructionCommand, *, seat: str) -> Preview:
    """What it would do for a seat, by the same checks as the real thing."""
    side = desk.executor.instructions if desk.executor is not None else None
    sentence = _sentence(command)
    if side is None:
        return Preview(sentence=sentence, violations=(desk.refusal(),))
    violations: tuple[Violation, ...] = ()
    match command:
        case PlaceGtt() | ModifyGtt():
            violations, _, _ = side.triggers.check(command.request, seat=seat)
        case ConvertPosition():
            violations = side.conversions.check(conversion_of(command))
        case DeleteGtt():
            pass
    return Preview(sentence=sentence, violations=violations)


def _sentence(command: InstructionCommand) -> str:
    match command:
        case PlaceGtt():
            return f"Leaves a trigger at the broker: {trigger_words(command.request)}."
        case ModifyGtt():
            return f"Changes trigger {command.trigger_id} to: {trigger_words(command.request)}."
        case DeleteGtt():
            return f"Takes trigger {command.trigger_id} back; nothing protects what it protected."
        case ConvertPosition():
            kind = "carried" if command.overnight else "today's"
            return (
                f"Converts {grouped(command.quantity)} {kind} units of {command.instrument.tradingsymbol} from "
                f"{command.from_product} to {command.to_product}; nothing is bought or sold."
            )
