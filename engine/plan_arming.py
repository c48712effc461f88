"""Whether a seat may set a plan up or let one go on. Pure.

A plan's own steps are confirmed by whoever made it: they are held back by locks, a hold and the kill switch, not by the
mode of a seat. So nobody sets one up from a seat in READ unless it can only take risk away.
"""

from __future__ import annotations

from engine.core.commands import CancelOrders, Command, ExitPositions, Violation
from engine.core.plans import ExitPlan, PlanSpec, PlanTurn
from engine.core.vocabulary import Mode

MODE = "mode"
GOING_ON = frozenset({PlanTurn.RESUME, PlanTurn.HURRY})
"""Turns by which a plan sends what it would not have sent."""


def waiting_refusal(mode: Mode, action: Command | None) -> Violation | None:
    """Why a seat may not leave a command to a later moment; ``action`` is ``None`` when it cannot be read now.

    What an order does to the risk is not known before its moment, so all of them count as adding.
    """
    if mode is not Mode.READ or isinstance(action, CancelOrders):
        return None
    if isinstance(action, ExitPositions) and not action.allow_net_increase:
        return None
    return Violation(
        check=MODE,
        message="Mode is READ, and what an order will add when its moment comes is not known. Arm CONFIRM first; "
        "exits and cancels that wait need no arming.",
    )


def steering_refusal(mode: Mode, turn: PlanTurn, spec: PlanSpec | None) -> Violation | None:
    """Why a seat may not turn a plan so; an exit may always go on."""
    if mode is not Mode.READ or turn not in GOING_ON or isinstance(spec, ExitPlan):
        return None
    return Violation(
        check=MODE,
        message="Mode is READ and the plan may add risk as it goes on. Arm CONFIRM first; pausing and cancelling it "
        "need no arming.",
    )
