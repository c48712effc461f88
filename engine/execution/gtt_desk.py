"""Triggers that stand at the broker: placed, changed and taken back, each asked for once.

One without an answer is looked for among the broker's by its condition, its orders and the time it was made; those that
stood before it was sent, and those that belong to another request, are not it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import msgspec

from engine.core.commands import DeleteGtt, ModifyGtt, PlaceGtt, Receipt, Violation
from engine.core.errors import BrokerError
from engine.core.instructions import Baseline, Instruction, InstructionKind, InstructionNumber, InstructionState
from engine.core.ports import BrokerReads, LastLook, OrderRoad
from engine.core.standing_triggers import Gtt, GttKind, GttRequest, GttStatus
from engine.execution.facts import MarketFacts
from engine.execution.gate import OrderGate
from engine.execution.gtt_checks import check_gtt, orders_of
from engine.execution.instruction_desk import InstructionDesk
from engine.execution.intake import refused
from engine.execution.words import grouped

KINDS = frozenset({InstructionKind.PLACE_GTT, InstructionKind.MODIFY_GTT, InstructionKind.DELETE_GTT})
GONE = frozenset({GttStatus.DELETED, GttStatus.CANCELLED})
NOT_NUMBERED = InstructionNumber(0)


class GttDesk:
    """The triggers of one account.

    Args:
        desk: Journals, sends, looks.
        road: Where they are sent.
        reads: Where they are listed.
        gate: What keeps risk out.
        facts: Quotes.
        last_look: Makes what is asked directly before the first byte, for what adds risk or not.
    """

    def __init__(
        self,
        desk: InstructionDesk,
        *,
        road: OrderRoad,
        reads: BrokerReads,
        gate: OrderGate,
        facts: MarketFacts,
        last_look: Callable[[bool], LastLook | None] = lambda _: None,
    ) -> None:
        self._desk = desk
        self._road = road
        self._reads = reads
        self._gate = gate
        self._facts = facts
        self._last_look = last_look
        self._limits = desk.settings.instructions
        self._turn = asyncio.Lock()
        desk.serve(self)

    # -- commands ------------------------------------------------------------------------------------------------------

    def check(self, request: GttRequest, *, seat: str = "") -> tuple[tuple[Violation, ...], bool, Decimal | None]:
        """What forbids a trigger of a seat now, whether it adds risk, and the last price it is told from."""
        violations: list[Violation] = []
        is_risky = False
        last: Decimal | None = None
        for order in orders_of(request) or ():
            standing = self._gate.judge_standing(order, seat=seat)
            violations += standing.violations
            is_risky = is_risky or standing.adds_risk
        instrument = self._facts.instrument(request.instrument)
        quote = None if instrument is None else self._facts.quote(instrument)
        if quote is not None:
            last = quote.last
        context = self._gate.context(orders_of(request)[0]) if request.orders else None
        if context is None:
            message = f"A {request.kind} trigger has orders, this one none."
            violations.append(Violation(check="kind", message=message))
        else:
            violations += check_gtt(request, context, self._limits, last=last)
        return tuple(dict.fromkeys(violations)), is_risky, last

    async def place(self, command: PlaceGtt, *, seat: str = "") -> Receipt:
        """Leave a trigger at the broker; the same key never leaves two."""
        return await self._desk.own(self._place(command, seat))

    async def modify(self, command: ModifyGtt, *, seat: str = "") -> Receipt:
        """Replace what a trigger says."""
        return await self._desk.own(self._modify(command, seat))

    async def delete(self, command: DeleteGtt, *, seat: str = "") -> Receipt:
        """Take a trigger back; no lock, no breaker and no journal keeps that from going."""
        return await self._desk.own(self._delete(command, seat))

    async def _place(self, command: PlaceGtt, seat: str) -> Receipt:
        request = plain(command.request)
        known = await self._desk.known(command.idempotency_key)
        if known is not None:
            return known
        violations, is_risky, last = self.check(request, seat=seat)
        if violations or last is None:
            return _refusal(violations)
        blocked = self._desk.breaker.refuses()
        if blocked:
            return refused("breaker", blocked)
        price = last
        async with self._turn:
            listed, trouble = await self._listed()
            active = [row for row in listed if row.status is GttStatus.ACTIVE]
            if len(active) >= self._limits.triggers_max:
                most = grouped(self._limits.triggers_max)
                return refused("triggers", f"{most} triggers stand already, the most the broker keeps; delete some.")
            baseline = Baseline(triggers=tuple(row.trigger_id for row in listed), has_triggers=not trouble)
            instruction = self._instruction(
                InstructionKind.PLACE_GTT, command.idempotency_key, seat, gtt=request, baseline=baseline
            )
        look = self._last_look(is_risky)
        return await self._desk.send(instruction, lambda: self._road.place_gtt(request, price, last_look=look))

    async def _modify(self, command: ModifyGtt, seat: str) -> Receipt:
        request, trigger_id = plain(command.request), command.trigger_id
        violations, is_risky, last = self.check(request, seat=seat)
        if violations or last is None:
            return _refusal(violations)
        blocked = self._desk.breaker.refuses() or await self._not_active(trigger_id)
        if blocked:
            return refused("trigger", blocked)
        price, look = last, self._last_look(is_risky)
        instruction = self._instruction(InstructionKind.MODIFY_GTT, None, seat, gtt=request, trigger_id=trigger_id)
        return await self._desk.send(
            instruction, lambda: self._road.modify_gtt(trigger_id, request, price, last_look=look)
        )

    async def _delete(self, command: DeleteGtt, seat: str) -> Receipt:
        trigger_id = command.trigger_id
        holds = self._gate.holds(risky=False)
        if holds:
            return _refusal(holds)
        blocked = await self._not_active(trigger_id)
        if blocked:
            return refused("trigger", blocked)
        instruction = self._instruction(InstructionKind.DELETE_GTT, None, seat, trigger_id=trigger_id)
        return await self._desk.send(instruction, lambda: self._road.delete_gtt(trigger_id), is_harmless=True)

    # -- pictures ------------------------------------------------------------------------------------------------------

    async def triggers(self) -> tuple[Gtt, ...]:
        """The broker's list, asked now, and those of ours whose outcome is not known.

        Raises:
            BrokerError: it cannot be read.
        """
        rows = await self._reads.gtts()
        ours = {
            item.trigger_id
            for item in self._desk.book.all()
            if item.kind is InstructionKind.PLACE_GTT and not item.baseline.outside
        }
        shown = tuple(
            msgspec.structs.replace(
                row, is_outside=row.status is GttStatus.ACTIVE and row.trigger_id not in ours and not self._open()
            )
            for row in rows
        )
        return (*shown, *self._open())

    async def listed(self) -> tuple[Gtt, ...]:
        """The broker's list, asked now.

        Raises:
            BrokerError: it cannot be read.
        """
        return await self._reads.gtts()

    def _open(self) -> tuple[Gtt, ...]:
        states = {
            InstructionState.SENDING: GttStatus.UNKNOWN,
            InstructionState.UNKNOWN: GttStatus.UNKNOWN,
            InstructionState.PRESUMED_ABSENT: GttStatus.PRESUMED_ABSENT,
        }
        return tuple(
            Gtt(
                trigger_id=item.trigger_id or 0,
                account=item.account,
                request=item.gtt,
                status=states[item.state],
                created_at=item.created_at,
                updated_at=item.updated_at,
                message=item.message,
            )
            for item in self._desk.book.all()
            if item.kind is InstructionKind.PLACE_GTT and item.gtt is not None and item.state in states
        )

    # -- looking for ---------------------------------------------------------------------------------------------------

    def wants(self, instruction: Instruction) -> bool:
        """Whether it is about a trigger."""
        return instruction.kind in KINDS

    async def look(self, questions: tuple[Instruction, ...]) -> None:
        """Read the list once and settle what it shows."""
        started_at = self._desk.clock.monotonic()
        rows = {row.trigger_id: row for row in await self._reads.gtts()}
        for question in questions:
            if not self._desk.may_judge(question, started_at):
                continue
            match question.kind:
                case InstructionKind.PLACE_GTT:
                    await self._look_for_placed(question, rows, started_at)
                case InstructionKind.MODIFY_GTT:
                    await self._look_for_change(question, rows, started_at)
                case _:
                    await self._look_for_deletion(question, rows, started_at)

    async def _look_for_placed(self, question: Instruction, rows: dict[int, Gtt], started_at: float) -> None:
        others = [item for item in self._desk.book.all() if item.number != question.number]
        twins = [item for item in others if item.kind is InstructionKind.PLACE_GTT and item.gtt == question.gtt]
        if any(item.state is InstructionState.SENDING for item in twins):
            return  # whose a new one is will be known when that has its answer
        for trigger_id, row in sorted(rows.items()):
            if self._may_be(question, row):
                words = f"it stands at the broker as {trigger_id}, {row.status}"
                await self._desk.found(question, words, trigger_id=trigger_id)
                return
        await self._desk.missed(question, started_at)

    def is_awaited(self, row: Gtt) -> bool:
        """Whether one of the list may be ours that was given up too early: looking on adopts it, with an alarm."""
        return any(
            item.state is InstructionState.PRESUMED_ABSENT and self._may_be(item, row) for item in self._desk.book.all()
        )

    def _may_be(self, question: Instruction, row: Gtt) -> bool:
        """Whether a trigger of the list can be what a request without an answer has left there."""
        if question.kind is not InstructionKind.PLACE_GTT or question.gtt is None:
            return False
        if plain(row.request) != question.gtt or row.trigger_id in question.baseline.triggers:
            return False
        oldest = question.created_at - timedelta(seconds=self._limits.clock_slack_s)
        if row.created_at is not None and row.created_at < oldest:
            return False
        # Another request made it, or it was changed or taken back before this one was asked. What was done with it
        # since says nothing: a person may see it in the list, and delete it, before it is found here.
        return not any(
            item.trigger_id == row.trigger_id
            and (item.kind is InstructionKind.PLACE_GTT or item.created_at < question.created_at)
            for item in self._desk.book.all()
            if item.number != question.number
        )

    async def _look_for_change(self, question: Instruction, rows: dict[int, Gtt], started_at: float) -> None:
        row = rows.get(question.trigger_id or 0)
        if row is not None and question.gtt is not None and plain(row.request) == question.gtt:
            await self._desk.found(question, "the broker lists it as it was to be")
        elif row is not None and row.status is not GttStatus.ACTIVE:
            await self._desk.give_up(question, f"The trigger is {row.status} and stands as it was.")
        else:
            await self._desk.missed(question, started_at)

    async def _look_for_deletion(self, question: Instruction, rows: dict[int, Gtt], started_at: float) -> None:
        row = rows.get(question.trigger_id or 0)
        if row is None or row.status in GONE:
            await self._desk.found(question, "the broker does not list it as active any more")
        elif row.status is not GttStatus.ACTIVE:
            await self._desk.give_up(question, f"The trigger is {row.status}; it was not taken back.")
        else:
            await self._desk.missed(question, started_at)

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _listed(self) -> tuple[tuple[Gtt, ...], str]:
        """All triggers the broker lists; none, and why, when it cannot say: then its time alone tells a new one."""
        try:
            return await self._reads.gtts(), ""
        except BrokerError as error:
            return (), str(error)

    async def _not_active(self, trigger_id: int) -> str:
        """Why a trigger cannot be changed; empty when it can, or when nobody can tell."""
        listed, trouble = await self._listed()
        if trouble:
            return ""
        row = next((row for row in listed if row.trigger_id == trigger_id), None)
        if row is None:
            return f"There is no trigger {trigger_id} at the broker."
        if row.status is not GttStatus.ACTIVE:
            return f"Trigger {trigger_id} is {row.status}; only an active one can be changed or deleted."
        return ""

    def instruction(
        self, kind: InstructionKind, *, trigger_id: int, gtt: GttRequest | None, baseline: Baseline, done_words: str
    ) -> Instruction:
        """The record of what was done outside, not journalled yet."""
        made = self._instruction(kind, None, "", gtt=gtt, trigger_id=trigger_id, baseline=baseline)
        return msgspec.structs.replace(made, state=InstructionState.DONE, message=done_words)

    def _instruction(
        self,
        kind: InstructionKind,
        key: str | None,
        seat: str,
        *,
        gtt: GttRequest | None = None,
        trigger_id: int | None = None,
        baseline: Baseline = Baseline(),  # noqa: B008 - frozen
    ) -> Instruction:
        now = self._desk.clock.market_now()
        return Instruction(
            number=NOT_NUMBERED,
            account=self._desk.book.account,
            kind=kind,
            idempotency_key=self._desk.key(key),
            gtt=gtt,
            trigger_id=trigger_id,
            baseline=baseline,
            seat=seat,
            created_at=now,
            updated_at=now,
        )


def plain(request: GttRequest) -> GttRequest:
    """What is asked, without what became of it; of two orders the lower trigger first."""
    orders = [msgspec.structs.replace(order, result_order_id=None, result_words="") for order in request.orders]
    if request.kind is GttKind.OCO:
        orders.sort(key=lambda order: order.trigger_price)
    return msgspec.structs.replace(request, orders=tuple(orders))


def _refusal(violations: tuple[Violation, ...]) -> Receipt:
    return Receipt(accepted=False, message=" ".join(v.message for v in violations), violations=violations)
