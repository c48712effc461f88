"""Orders of others beside an exit: protective stops that shrink with it, and orders that would undo it.

A stop is never cancelled first: it gets smaller as the exit's fills are known and goes when the leg is flat. Meanwhile
it may fill too; what both have then taken too much is taken back at once.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.core.commands import OrderChange
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord, OrderState
from engine.execution.plans.algorithm import Change, Move, Withdraw, no_order
from engine.execution.plans.exit_goals import GoalStanding
from engine.execution.plans.plan_facts import Facts
from engine.execution.plans.unwind import MODIFICATIONS_MAX

GUARDS = "g"
"""Fact ``g0``: ``41:650 42:325``, the protective orders seen beside goal 0 and the units they had."""

ENDED = frozenset({OrderState.COMPLETE, OrderState.CANCELLED, OrderState.REJECTED, OrderState.NOT_SENT})
"""A record in one of these says for good how much was filled."""


def remembered(facts: Facts, index: int) -> dict[int, int]:
    """Protective orders seen beside a goal: their numbers and units."""
    words = facts.text.get(f"{GUARDS}{index}", "").split()
    return {int(number): int(units) for number, _, units in (word.partition(":") for word in words)}


def gone_units(
    facts: Facts,
    index: int,
    still_there: frozenset[int],
    order: Callable[[OrderNumber], OrderRecord | None] = no_order,
) -> int:
    """Units that protective orders may have filled which once waited beside a goal and do so no more.

    One whose end is known has filled what its record says: a cancelled one nothing. Of any other all may have filled.
    """
    found = 0
    for number, units in remembered(facts, index).items():
        if number in still_there:
            continue
        record = order(OrderNumber(number))
        is_known = record is not None and record.state in ENDED
        found += min(units, record.filled_quantity) if is_known and record is not None else units
    return found


def remember(facts: Facts, row: GoalStanding) -> None:
    """Keep the protective orders that wait beside a goal now."""
    known = remembered(facts, row.index)
    for order in row.guards:
        known[order.number] = max(known.get(order.number, 0), order.remaining_quantity)
    if known:
        facts.text[f"{GUARDS}{row.index}"] = " ".join(f"{number}:{units}" for number, units in sorted(known.items()))


def guard_moves(row: GoalStanding) -> list[Move]:
    """Bring protective orders down to what is still held; cancel them once nothing is."""
    if not row.known:
        return []
    held = row.left + row.stays
    moves: list[Move] = []
    for order in row.guards:
        if not held:
            moves.append(Withdraw(number=order.number, words="its leg is flat"))
            continue
        if (
            order.remaining_quantity > held
            and order.state in {OrderState.TRIGGER_PENDING, OrderState.ACCEPTED}
            and order.modifications < MODIFICATIONS_MAX
        ):
            change = OrderChange(quantity=order.filled_quantity + held)
            moves.append(Change(number=order.number, change=change, words=f"shrinks with its leg, {held} units left"))
        held = max(0, held - order.remaining_quantity)
    return moves


def clearing_moves(row: GoalStanding) -> list[Move]:
    """Cancel plain orders of what is being left: those that would take the same units, or open it again."""
    moves: list[Move] = [
        Withdraw(number=order.number, words="the exit takes these units off itself")
        for order in row.own_rivals
        if row.left
    ]
    if not row.stays:
        moves += [
            Withdraw(number=order.number, words="it would open again what is being left") for order in row.openers
        ]
    return moves
