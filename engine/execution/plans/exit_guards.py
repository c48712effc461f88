"""Orders of others beside an exit: protective stops that shrink with it, and orders that would undo it.

A stop is never cancelled first: it gets smaller as the exit's fills are known and goes when the leg is flat. Meanwhile
it may fill too; what both have then taken too much is taken back at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from engine.core.commands import OrderChange
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord, OrderState
from engine.execution.plans.algorithm import Change, Move, Withdraw, no_order
from engine.execution.plans.exit_goals import GoalStanding
from engine.execution.plans.plan_facts import Facts
from engine.execution.plans.unwind import MODIFICATIONS_MAX

GUARDS = "g"
"""Fact ``g0``: ``41:650 42:325:65``, the protective orders seen beside goal 0, the most units they had left, and what
they had filled when they were first seen, if anything."""


class Seen(NamedTuple):
    """A protective order as it was seen beside a goal."""

    units: int
    """The most it had left."""
    filled: int = 0
    """What it had filled when it was first seen: what is held then knows of that."""


def remembered(facts: Facts, index: int) -> dict[int, Seen]:
    """Protective orders seen beside a goal, by their numbers."""
    found = {}
    for word in facts.text.get(f"{GUARDS}{index}", "").split():
        number, units, *filled = (int(part) for part in word.split(":"))
        found[number] = Seen(units, *filled)
    return found


def gone_units(
    facts: Facts,
    index: int,
    order: Callable[[OrderNumber], OrderRecord | None] = no_order,
) -> int:
    """Units that protective orders seen beside a goal are known to have filled since.

    The position that an overshoot is measured by has known fills alone. So what a stop may fill yet, or has filled
    unheard, is not in it: counting that would take back what somebody else has bought meanwhile. The broker's later
    word changes the record, and the count with it. Of a stop nobody knows any more all that was left counts.

    Args:
        facts: Of the plan.
        index: The goal.
        order: The record of one, with every fill known to anyone.
    """
    found = 0
    for number, seen in remembered(facts, index).items():
        record = order(OrderNumber(number))
        found += seen.units if record is None else max(0, record.filled_quantity - seen.filled)
    return found


def remember(facts: Facts, row: GoalStanding) -> None:
    """Keep the protective orders that wait beside a goal now."""
    known = remembered(facts, row.index)
    for order in row.guards:
        before = known.get(order.number, Seen(0, order.filled_quantity))
        known[order.number] = before._replace(units=max(before.units, order.remaining_quantity))
    if known:
        words = (
            f"{number}:{seen.units}{f':{seen.filled}' * bool(seen.filled)}" for number, seen in sorted(known.items())
        )
        facts.text[f"{GUARDS}{row.index}"] = " ".join(words)


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
        # The broker takes whole lots, though it may have filled a part of one.
        lot = 1 if row.instrument is None else row.instrument.lot_size
        quantity = -(-(order.filled_quantity + held) // lot) * lot
        if (
            quantity < order.request.quantity
            and order.state in {OrderState.TRIGGER_PENDING, OrderState.ACCEPTED}
            and order.modifications < MODIFICATIONS_MAX
        ):
            change = OrderChange(quantity=quantity)
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
