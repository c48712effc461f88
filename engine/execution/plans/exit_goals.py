"""How far an exit's goals are: what is still to go, what may be at work, and what elsewhere has taken away.

Units of orders that may still fill count as gone until they are known to be dead; fills from anywhere make a goal
smaller at once, nothing makes it larger, and what is sent can never bring the broker's net through zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from engine.core.identifiers import InstrumentKey, OrderNumber
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord
from engine.core.plans import ExitGoal, ExitPlan, ExitScope
from engine.core.vocabulary import Product, Side
from engine.execution.plans.algorithm import PlanPicture
from engine.execution.plans.basket_cover import Units, needs_cover, spare
from engine.execution.plans.keys import read_plan_key
from engine.execution.plans.series import Series, is_stop, series

GOAL, BACK = "x", "b"
"""Prefixes of the orders: ``x0/0`` takes goal 0 off, ``b0/0`` reverses what was taken off too much."""


class GoalStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One goal as the picture shows it."""

    index: int
    goal: ExitGoal
    instrument: Instrument | None
    orders: Series
    back: Series
    known: bool
    """What is held is known now."""
    left: int
    """Units still to be filled, ≥ 0; what is at work is part of it."""
    overshoot: int
    """Units by which the position stands beyond zero, ≥ 0."""
    rivals: tuple[OrderRecord, ...]
    """Plain orders of others in this contract on the same side: they may take the same units."""
    own_rivals: tuple[OrderRecord, ...]
    """Of those, what belongs to what is being left and is no other plan's: withdrawn."""
    openers: tuple[OrderRecord, ...]
    """Orders of what is being left that would open it again: withdrawn when nothing is to stay."""
    guards: tuple[OrderRecord, ...]
    """Protective orders of what is being left that wait for their trigger."""

    @property
    def sign(self) -> int:
        """+1 for a long position."""
        return 1 if self.goal.signed_quantity > 0 else -1

    @property
    def side(self) -> Side:
        """Of the orders that take it off."""
        return Side.SELL if self.sign > 0 else Side.BUY

    @property
    def quantity(self) -> int:
        """Units that were to go when it began."""
        return abs(self.goal.signed_quantity)

    @property
    def stays(self) -> int:
        """Units that are to stay."""
        return 0 if self.goal.held is None else max(0, abs(self.goal.held) - self.quantity)

    @property
    def at_work_max(self) -> int:
        """Units of our own that may be at work: what is left, less what others may still take."""
        return max(0, self.left - sum(order.remaining_quantity for order in self.rivals))

    @property
    def is_quiet(self) -> bool:
        """Nothing of it works any more."""
        return not self.orders.working and not self.back.working

    @property
    def is_flat(self) -> bool:
        """It is where it was to be, and nothing works any more."""
        guarded = sum(order.remaining_quantity for order in self.guards)
        return self.known and not self.left and not self.overshoot and self.is_quiet and guarded <= self.stays

    @property
    def closed_elsewhere(self) -> int:
        """Units that went otherwise than by this plan's orders."""
        return max(0, self.quantity - self.left - self.orders.filled)


def standings(picture: PlanPicture, spec: ExitPlan, guard_units: Sequence[int]) -> list[GoalStanding]:
    """All goals of a plan.

    Args:
        picture: As it is.
        spec: The plan.
        guard_units: Per goal the units of protective orders that once waited beside it and wait no more.
    """
    rows = [_standing(picture, spec, index, goal, guard_units[index]) for index, goal in enumerate(spec.goals)]
    return rows if spec.allow_net_increase else _within_net(picture, rows)


def heard(picture: PlanPicture) -> dict[str, OrderRecord]:
    """The plan's orders with every fill known to anyone: trades may tell of one before the order's own row does.

    What is held has these fills already; without them an order would seem to have more at work than is left to go.
    """
    return {key: _heard(picture, order) for key, order in picture.orders.items()}


def heard_of(picture: PlanPicture, number: OrderNumber) -> OrderRecord | None:
    """Any order of the account with every fill known to anyone; ``None`` when it is in memory no more."""
    order = picture.order(number)
    return None if order is None else _heard(picture, order)


def _heard(picture: PlanPicture, order: OrderRecord) -> OrderRecord:
    units = sum(trade.quantity for trade in picture.fills(order))
    grown = min(units, order.request.quantity) > order.filled_quantity
    return msgspec.structs.replace(order, filled_quantity=units) if grown else order


def _within_net(picture: PlanPicture, rows: list[GoalStanding]) -> list[GoalStanding]:
    """Goals of one contract share its net: together they take no more than there is."""
    room: dict[tuple[InstrumentKey, Product, int], int] = {}
    found = []
    for row in rows:
        key = (row.goal.instrument, row.goal.product, row.sign)
        net = picture.net(row.goal.instrument, row.goal.product)
        if net is None:
            found.append(row)
            continue
        free = room.setdefault(key, max(0, row.sign * net))
        room[key] = free - min(row.left, free)
        found.append(row if row.left <= free else msgspec.structs.replace(row, left=free))
    return found


def _standing(picture: PlanPicture, spec: ExitPlan, index: int, goal: ExitGoal, guard_units: int) -> GoalStanding:
    known_orders = heard(picture)
    orders, back = series(known_orders, f"{GOAL}{index}"), series(known_orders, f"{BACK}{index}")
    sign = 1 if goal.signed_quantity > 0 else -1
    quantity = abs(goal.signed_quantity)
    stays = 0 if goal.held is None else max(0, abs(goal.held) - quantity)
    net = picture.net(goal.instrument, goal.product)
    allocation = None if goal.strategy is None else picture.allocation(goal.strategy, goal.instrument, goal.product)
    known = net is not None and (goal.strategy is None or allocation is not None)
    left = max(0, quantity - orders.filled)
    overshoot = 0
    if known and net is not None:
        if allocation is not None:
            left = min(left, max(0, sign * allocation - stays))
        if allocation is None:
            left = min(left, max(0, sign * net - stays))
        elif not spec.allow_net_increase:
            left = min(left, max(0, sign * net))
        measured = allocation if allocation is not None and spec.allow_net_increase else net
        # Only what this plan or a guard beside it can have taken too much is taken back.
        caused = max(0, orders.filled - quantity) + (guard_units if orders.filled else 0) - back.filled
        overshoot = max(0, min(-sign * measured, caused))
    is_account = spec.target.scope is ExitScope.ACCOUNT
    rivals, own_rivals, openers, guards = _others(picture, goal, sign, is_account=is_account)
    return GoalStanding(
        index=index,
        goal=goal,
        instrument=picture.instrument(goal.instrument),
        orders=orders,
        back=back,
        known=known,
        left=left,
        overshoot=overshoot,
        rivals=rivals,
        own_rivals=own_rivals,
        openers=openers,
        guards=guards,
    )


def _others(
    picture: PlanPicture, goal: ExitGoal, sign: int, *, is_account: bool
) -> tuple[tuple[OrderRecord, ...], tuple[OrderRecord, ...], tuple[OrderRecord, ...], tuple[OrderRecord, ...]]:
    own = {order.number for order in picture.orders.values()}
    side = Side.SELL if sign > 0 else Side.BUY
    rivals, own_rivals, openers, guards = [], [], [], []
    for order in picture.working(goal.instrument):
        if order.number in own or order.request.product is not goal.product:
            continue
        is_ours = is_account or belongs(order, goal)
        is_planned = read_plan_key(order.idempotency_key) is not None
        if order.request.side is not side:
            if is_ours and not is_planned:
                openers.append(order)
        elif is_stop(order):
            if is_ours:
                guards.append(order)
        else:
            rivals.append(order)
            if is_ours and not is_planned:
                own_rivals.append(order)
    return tuple(rivals), tuple(own_rivals), tuple(openers), tuple(guards)


def belongs(order: OrderRecord, goal: ExitGoal) -> bool:
    """Whether an order is of what is being left: of the strategy, or of the account when that is left."""
    if goal.strategy is None:
        return True
    named = order.request.strategy
    return named == goal.strategy or (named is None and goal.is_default)


def allowances(goals: Iterable[GoalStanding]) -> dict[int, int]:
    """Units of each goal that may be at work now: shorts all they have left, longs what no short of the plan needs.

    A short needs its cover until its fill is known; so the bought legs follow the sold ones unit by unit.
    """
    rows = list(goals)
    sold = [row for row in rows if row.sign < 0 and needs_cover(row.instrument)]
    bought = [row for row in rows if row not in sold]
    shorts = [Units(row.instrument, row.left) for row in sold]
    longs = [Units(row.instrument, row.left) for row in bought]
    found = {row.index: row.at_work_max for row in sold}
    for at, row in enumerate(bought):
        free = spare(shorts, longs, at)
        found[row.index] = min(row.at_work_max, free)
        # What goes from this one is not there to cover the next.
        longs[at] = Units(row.instrument, longs[at].quantity - free)
    return found


def closing_side(goal: ExitGoal) -> Side:
    """Of the orders that take a goal off."""
    return Side.SELL if goal.signed_quantity > 0 else Side.BUY


class MergedGoals(msgspec.Struct, frozen=True, kw_only=True):
    """What is left to do of an exit beside the exits that run already."""

    goals: tuple[ExitGoal, ...]
    covered: tuple[ExitGoal, ...]
    """Goals that a running exit reaches anyway."""


def remainder_of(goal: ExitGoal) -> int:
    """Units that stay when the goal is reached."""
    return 0 if goal.held is None else max(0, abs(goal.held) - abs(goal.signed_quantity))


def merge_goals(wanted: Sequence[ExitGoal], running: Sequence[ExitGoal]) -> MergedGoals:
    """Two exits of one leg are one goal: the one with the smaller remainder.

    A goal that a running one reaches anyway is left out. One that goes further is kept whole: both look at what is
    held now and at each other's orders, so together they take the larger part off and never the sum.
    """
    least: dict[tuple[InstrumentKey, Product, object, bool], int] = {}
    for goal in running:
        key = _same_leg(goal)
        least[key] = min(remainder_of(goal), least.get(key, remainder_of(goal)))
    kept: list[ExitGoal] = []
    covered: list[ExitGoal] = []
    for goal in wanted:
        found = least.get(_same_leg(goal))
        (kept if found is None or remainder_of(goal) < found else covered).append(goal)
    return MergedGoals(goals=tuple(kept), covered=tuple(covered))


def _same_leg(goal: ExitGoal) -> tuple[InstrumentKey, Product, object, bool]:
    return goal.instrument, goal.product, goal.strategy, goal.signed_quantity > 0


def part_of(held: int, percent: int, lot: int) -> int:
    """Signed units that are to go: whole lots, rounded up, never more than is held.

    An odd remainder of a lot goes with the last of it.
    """
    size = abs(held)
    wanted = -(-size * percent // 100)
    whole = min(size, -(-wanted // lot) * lot)
    return whole if held > 0 else -whole
