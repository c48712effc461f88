"""From the wish to leave to a plan: what is held is frozen into goals, looked at, and handed to the desk of plans.

An exit whose own strategy holds the other side of another one's position would open or enlarge what the broker holds:
it is refused before anything is sent, with the words that hand the quantity over instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, time
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from engine.core.commands import ExitPositions, Preview, Receipt, Violation
from engine.core.errors import StorageError, UnknownStrategy
from engine.core.identifiers import InstrumentKey, OrderNumber, StrategyNumber
from engine.core.orders import OrderRecord, OrderRequest
from engine.core.plans import (
    ExitGoal,
    ExitManner,
    ExitPlan,
    ExitScope,
    ExitTarget,
    PlanNumber,
    PlanRecord,
    PlanSpec,
    PlanTurn,
    PlanView,
)
from engine.core.ports import Clock
from engine.core.strategies import Leg, Strategy
from engine.core.vocabulary import OrderType, Product
from engine.execution.facts import HeldPosition, MarketFacts
from engine.execution.plans.exit_costs import exit_costs
from engine.execution.plans.exit_goals import closing_side, merge_goals, part_of
from engine.execution.plans.exit_schedule import ExitSettings, starts_at
from engine.execution.words import grouped, grouped_decimal

PERCENT_MAX = 100
HARD_CHECKS = frozenset({"instrument", "session", "writer", "engine", "account"})
"""Checks that keep an exit from beginning; the others are of single orders, and are met again when those are sent."""


class ExitBook(Protocol):
    """What strategies hold, by the ledger."""

    def strategy(self, number: StrategyNumber) -> Strategy:
        """A strategy, archived ones too; raises ``UnknownStrategy``."""
        ...

    def strategies(self, *, archived: bool = False) -> tuple[Strategy, ...]:
        """By number."""
        ...

    def open_legs(self, strategy: StrategyNumber) -> tuple[Leg, ...]:
        """Legs with a quantity."""
        ...

    def leg(self, strategy: StrategyNumber, number: int) -> Leg | None:
        """One leg, closed ones too."""
        ...


class PlanTaker(Protocol):
    """The desk of plans of the account."""

    async def submit(
        self, spec: PlanSpec, *, sentence: str, key: str | None = None, seat: str = "", by: str = "person"
    ) -> Receipt:
        """Journal a plan and begin it."""
        ...

    async def steer(self, number: PlanNumber, turn: PlanTurn, *, seat: str = "") -> Receipt:
        """Hurry a plan that runs."""
        ...

    def views(self) -> tuple[PlanView, ...]:
        """Plans that run, and the newest that are over."""
        ...

    async def made_by(self, key: str) -> PlanRecord | None:
        """The plan that a key has made, at any time; raises ``StorageError`` when nobody can tell."""
        ...


class OrderJudge(Protocol):
    """The checks of the account's executor."""

    def check(self, request: OrderRequest) -> tuple[tuple[Violation, ...], tuple[str, ...], bool]:
        """What forbids an order now, what is worth knowing, and whether it adds risk."""
        ...


class _Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A command looked at."""

    spec: ExitPlan
    sentence: str
    violations: tuple[Violation, ...]
    running: tuple[PlanView, ...]
    """Exits that reach some of the goals anyway."""


class ExitIntake:
    """Takes exits of one account.

    Args:
        book: The ledger's book; ``None`` while there is none.
        positions: Net positions with every fill known to anyone; ``None`` while they are not known.
        facts: Instruments, quotes, sessions.
        judge: The executor's checks.
        plans: The desk of plans.
        clock: Market time.
        zone: Of the exchange.
        settings: Of exits.
        coming: Fills that are known and not in the ledger yet: an order and its signed units.
    """

    def __init__(
        self,
        *,
        book: Callable[[], ExitBook | None],
        positions: Callable[[], tuple[HeldPosition, ...] | None],
        facts: MarketFacts,
        judge: OrderJudge,
        plans: PlanTaker,
        clock: Clock,
        zone: ZoneInfo,
        settings: ExitSettings,
        coming: Callable[[], Sequence[tuple[OrderRecord, int]]] = tuple,
    ) -> None:
        self._book = book
        self._coming = coming
        self._positions = positions
        self._facts = facts
        self._judge = judge
        self._plans = plans
        self._clock = clock
        self._zone = zone
        self._settings = settings

    async def submit(self, command: ExitPositions, *, seat: str = "", by: str = "person") -> Receipt:
        """Freeze the goals and begin; all refusals at once. What runs already is said, and hurried when asked now."""
        known = await self._made_before(command)
        if known is not None:
            return known
        wish = self._look(command)
        if wish.violations:
            return Receipt(
                accepted=False, message=" ".join(v.message for v in wish.violations), violations=wish.violations
            )
        if not wish.spec.goals and not wish.running:
            return Receipt(accepted=True, message="Nothing is held; nothing was sent.")
        if not wish.spec.goals:
            return await self._runs_already(wish, command, seat)
        return await self._plans.submit(
            wish.spec, sentence=wish.sentence, key=command.idempotency_key, seat=seat, by=by
        )

    def preview(self, command: ExitPositions) -> Preview:
        """What would be bought and sold, in which order, and what it may cost at the book of now."""
        wish = self._look(command)
        rows, cost, notes = exit_costs(self._facts, wish.spec.goals)
        if not wish.spec.goals and not wish.violations and not wish.running:
            return Preview(sentence="Nothing is held; nothing would be sent.")
        if not wish.spec.goals and not wish.violations:
            names = ", ".join(view.record.name for view in wish.running)
            return Preview(sentence=f"{names} does that already; nothing more is sent.")
        first = f"Exits {wish.sentence.removeprefix('exit ')}: {'; '.join(rows) or 'nothing'}."
        money = "" if cost is None else f" At the depth shown it costs {grouped_decimal(cost)} against the mid."
        start = starts_at(wish.spec, self._clock.market_now(), self._settings)
        when = ""
        if wish.spec.flat_by is not None and start > self._clock.market_now():
            when = f" Begins at {start.astimezone(self._zone):%H:%M:%S}."
        return Preview(sentence=f"{first}{money}{when}", violations=wish.violations, notes=tuple(notes))

    async def _made_before(self, command: ExitPositions) -> Receipt | None:
        """The plan of a key that is known. Without the database an exit does not wait to hear it."""
        if command.idempotency_key is None:
            return None
        try:
            known = await self._plans.made_by(command.idempotency_key)
        except StorageError:
            return None
        if known is None:
            return None
        same = isinstance(known.spec, ExitPlan) and (known.spec.target, known.spec.percent) == (
            command.target,
            command.percent,
        )
        return made_before(known, is_same=same)

    # ---- looking

    def _look(self, command: ExitPositions) -> _Wish:
        violations: list[Violation] = []
        if not 1 <= command.percent <= PERCENT_MAX:
            violations.append(_no("percent", f"A part is 1 to 100 percent, not {command.percent}."))
        flat_by = self._moment(command.flat_by, violations)
        positions, book = self._positions(), self._book()
        goals: tuple[ExitGoal, ...] = ()
        names = "all"
        if positions is None or book is None:
            violations.append(_no("positions", "What is held is not known yet; try again in a moment."))
        elif not violations:
            try:
                goals, names = self._goals(command, book, positions)
            except UnknownStrategy as error:
                violations.append(_no("strategy", str(error)))
            else:
                violations += self._refusals(command, goals, names, book, positions)
        merged = merge_goals(goals, [goal for _, goal in self._running()])
        covered = {(goal.instrument, goal.product, goal.strategy) for goal in merged.covered}
        running = {
            view.record.number: view
            for view, goal in self._running()
            if (goal.instrument, goal.product, goal.strategy) in covered
        }
        spec = ExitPlan(
            target=command.target,
            percent=command.percent,
            manner=command.manner,
            flat_by=flat_by,
            goals=merged.goals,
            allow_net_increase=command.allow_net_increase,
            slippage_max=command.slippage_max,
        )
        return _Wish(
            spec=spec,
            sentence=_sentence(command, names),
            violations=tuple(violations),
            running=tuple(running.values()),
        )

    def _moment(self, at: time | None, violations: list[Violation]) -> datetime | None:
        if at is None:
            return None
        now = self._clock.market_now().astimezone(self._zone)
        moment = datetime.combine(now.date(), at, tzinfo=self._zone)
        if moment <= now:
            violations.append(
                _no("time", f"{at:%H:%M} has passed, it is {now:%H:%M:%S}; exit now, or name a later time.")
            )
        return moment

    def _goals(
        self, command: ExitPositions, book: ExitBook, positions: Sequence[HeldPosition]
    ) -> tuple[tuple[ExitGoal, ...], str]:
        target = command.target
        if target.scope is ExitScope.ACCOUNT:
            return self._of_account(command.percent, book, positions), "all"
        if target.strategy is None:
            raise UnknownStrategy("An exit of a strategy or a leg names the strategy.", field="strategy")
        strategy = book.strategy(target.strategy)
        legs, name = book.open_legs(strategy.number), f"#{strategy.number} ({strategy.name})"
        if target.scope is ExitScope.LEG:
            wanted = target.legs or (() if target.leg is None else (target.leg,))
            for number in wanted:
                if book.leg(strategy.number, number) is None:
                    raise UnknownStrategy(f"Strategy {name} has no leg {number}.", field="leg")
            legs = tuple(leg for leg in legs if leg.number in wanted)
            name = ", ".join(f"{strategy.number}.{number}" for number in wanted)
        goals = [
            goal
            for leg in legs
            if (goal := self._goal(strategy, leg, leg.holding.signed_quantity, command.percent)) is not None
        ]
        return tuple(goals), name

    def _of_account(self, percent: int, book: ExitBook, positions: Sequence[HeldPosition]) -> tuple[ExitGoal, ...]:
        """The broker's net, each part on the strategy that holds it, so that the fills find their place."""
        goals: list[ExitGoal] = []
        for key, net in _net(positions).items():
            left = net
            sign = 1 if net > 0 else -1
            for strategy in book.strategies(archived=True):
                for leg in book.open_legs(strategy.number):
                    units = leg.holding.signed_quantity
                    if (leg.instrument, leg.product) != key or units * sign <= 0 or not left:
                        continue
                    share = sign * min(abs(units), abs(left))
                    left -= share
                    wanted = part_of(share, percent, self._lot(leg.instrument))
                    goals.append(
                        ExitGoal(
                            instrument=key[0],
                            product=key[1],
                            signed_quantity=wanted,
                            strategy=strategy.number,
                            held=units,
                            is_default=strategy.is_default,
                        )
                    )
            if left:
                wanted = part_of(left, percent, self._lot(key[0]))
                goals.append(ExitGoal(instrument=key[0], product=key[1], signed_quantity=wanted, held=left))
        return tuple(goals)

    def _goal(self, strategy: Strategy, leg: Leg, held: int, percent: int) -> ExitGoal | None:
        wanted = part_of(held, percent, self._lot(leg.instrument))
        if not wanted:
            return None
        return ExitGoal(
            instrument=leg.instrument,
            product=leg.product,
            signed_quantity=wanted,
            strategy=strategy.number,
            held=held,
            is_default=strategy.is_default,
        )

    def _lot(self, key: InstrumentKey) -> int:
        instrument = self._facts.instrument(key)
        return 1 if instrument is None else instrument.lot_size

    # ---- refusals

    def _refusals(
        self,
        command: ExitPositions,
        goals: Sequence[ExitGoal],
        names: str,
        book: ExitBook,
        positions: Sequence[HeldPosition],
    ) -> list[Violation]:
        if not goals and command.everything:
            return []  # the other accounts may hold something
        if not goals:
            who = "The account" if names == "all" else names
            on_way = ", ".join(f"o{number}" for number in self._on_way(command.target, book))
            if on_way:
                message = f"What {on_way} traded is on its way into the ledger of {who}; exit again in a moment."
                return [_no("position", message)]
            return [_no("position", f"{who} holds nothing to exit.")]
        found: list[Violation] = []
        net = _net(positions)
        for goal in goals:
            if command.target.scope is not ExitScope.ACCOUNT and not command.allow_net_increase:
                found += self._net_refusal(goal, net.get((goal.instrument, goal.product), 0), book)
            found += [
                violation
                for violation in self._judge.check(self._closing(goal))[0]
                if violation.check in HARD_CHECKS and violation not in found
            ]
        return found

    def _on_way(self, target: ExitTarget, book: ExitBook) -> tuple[OrderNumber, ...]:
        """Orders of a strategy with fills that its ledger does not hold yet."""
        default = next((one.number for one in book.strategies() if one.is_default), None)
        return tuple(
            record.number for record, _ in self._coming() if (record.request.strategy or default) == target.strategy
        )

    def _net_refusal(self, goal: ExitGoal, net: int, book: ExitBook) -> list[Violation]:
        after = net - goal.signed_quantity
        sign = 1 if goal.signed_quantity > 0 else -1
        if after * sign >= 0 and abs(after) <= abs(net):
            return []
        short_by = min(abs(goal.signed_quantity), abs(goal.signed_quantity) - max(0, sign * net))
        other = next(
            (
                (strategy, leg)
                for strategy in book.strategies()
                if strategy.number != goal.strategy
                for leg in book.open_legs(strategy.number)
                if (leg.instrument, leg.product) == (goal.instrument, goal.product)
                and leg.holding.signed_quantity * sign < 0
            ),
            None,
        )
        verb = "selling" if sign > 0 else "buying"
        words = (
            f"#{goal.strategy} holds {_signed(goal.signed_quantity)} of {goal.instrument.tradingsymbol}, the account "
            f"{_signed(net)}: {verb} {grouped(abs(goal.signed_quantity))} would bring the broker's net to "
            f"{_signed(after)}."
        )
        if other is not None and goal.strategy is not None:
            own = next(
                (
                    leg.number
                    for leg in book.open_legs(goal.strategy)
                    if (leg.instrument, leg.product) == (goal.instrument, goal.product)
                ),
                None,
            )
            theirs = other[1].holding.signed_quantity
            lots = Decimal(min(short_by, abs(theirs))) / self._lot(goal.instrument)
            words += (
                f" #{other[0].number} ({other[0].name}) holds {_signed(theirs)}: hand it over with "
                f'"move {goal.strategy}.{own} {lots.normalize():f}L to {other[0].number} at mark" (without "at mark": '
                "at its average price), or allow the larger net."
            )
        return [_no("net", words)]

    def _closing(self, goal: ExitGoal) -> OrderRequest:
        return OrderRequest(
            instrument=goal.instrument,
            side=closing_side(goal),
            quantity=abs(goal.signed_quantity),
            order_type=OrderType.MARKET,
            product=goal.product,
            market_protection=self._settings.protection,
            strategy=goal.strategy,
        )

    # ---- what runs

    def _running(self) -> list[tuple[PlanView, ExitGoal]]:
        return [
            (view, goal)
            for view in self._plans.views()
            if isinstance(view.record.spec, ExitPlan) and not view.record.state.is_over
            for goal in view.record.spec.goals
        ]

    async def _runs_already(self, wish: _Wish, command: ExitPositions, seat: str) -> Receipt:
        first = wish.running[0].record
        message = f"{', '.join(view.record.name for view in wish.running)} does that already."
        for view in wish.running:
            spec = view.record.spec
            slower = isinstance(spec, ExitPlan) and spec.manner is not ExitManner.NOW
            if command.manner is ExitManner.NOW and slower:
                message += " " + (await self._plans.steer(view.record.number, PlanTurn.HURRY, seat=seat)).message
        return Receipt(accepted=True, message=message, plan=first.number, repeated=True)


def made_before(known: PlanRecord, *, is_same: bool) -> Receipt:
    """The answer to a key that has made a plan before."""
    if is_same:
        message = f"This key made {known.name} before, which is {known.state}; nothing new was begun."
        return Receipt(accepted=True, message=message, plan=known.number, repeated=True)
    message = f"This key made another plan, {known.name}: {known.sentence}. Use a new key for a new plan."
    refusal = (_no("key", message),)
    return Receipt(accepted=False, message=message, plan=known.number, violations=refusal, repeated=True)


def _sentence(command: ExitPositions, names: str) -> str:
    words = f"exit {names}"
    if command.percent != PERCENT_MAX:
        words += f" {command.percent}%"
    if command.flat_by is not None:
        words += f" flat by {command.flat_by:%H:%M}"
    elif command.manner is not ExitManner.NORMAL:
        words += f" {command.manner}"
    return words


def _net(positions: Sequence[HeldPosition]) -> dict[tuple[InstrumentKey, Product], int]:
    found: dict[tuple[InstrumentKey, Product], int] = {}
    for held in positions:
        key = (held.instrument.key, held.product)
        found[key] = found.get(key, 0) + held.signed_quantity
    return {key: units for key, units in found.items() if units}


def _signed(units: int) -> str:
    return "0" if not units else ("+" if units > 0 else "") + grouped(units)


def _no(check: str, message: str) -> Violation:
    return Violation(check=check, message=message)
