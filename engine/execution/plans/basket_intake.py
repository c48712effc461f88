"""From several orders that belong together to a plan: every leg is checked, all refusals come at once.

Each leg is judged as if those before it were filled, by the same checks as a single order.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from engine.core.commands import PlaceBasket, Preview, Receipt, Violation
from engine.core.decisions import PERSON
from engine.core.errors import BrokerError, RateLimited
from engine.core.funds_margin import BasketMargin
from engine.core.instruments import Instrument
from engine.core.margin import MarginPaths
from engine.core.money import ZERO
from engine.core.orders import OrderRequest
from engine.core.plans import BasketPlan, LegFailure, LegPlan, LegPreview, LegRole
from engine.core.ports import Clock
from engine.core.vocabulary import InstrumentKind, OrderType, Side, Validity, Variety
from engine.execution.checks import check_order
from engine.execution.facts import CheckContext, HeldPosition, MarketFacts
from engine.execution.plans.basket_cover import covers
from engine.execution.plans.basket_legs import naked_by_design
from engine.execution.plans.exit_intake import PlanTaker, made_before
from engine.execution.plans.margin_path import MarginWalk
from engine.execution.words import grouped, grouped_decimal

LEGS_MAX = 20
"""More than any spread has; the broker's own basket takes as many."""
ENTRY_TYPES = frozenset({OrderType.LIMIT, OrderType.MARKET})
MARGIN_PAUSE_S = 0.15
"""Between two questions about margins."""
MARGIN_FRESH_S = 5.0
"""A younger answer is not asked for again."""
MARGINS_KEPT_MAX = 64
"""Answers kept; the oldest leave first."""
LIMITED_PAUSE_S = 1.0
"""After a refusal for speed, before the one repetition."""
LEFT_TO_SENDING = frozenset({"freeze", "margin"})
"""Checks of a single order that do not hold for a leg: it is sent in pieces, and its margin counts beside its cover."""


class LegJudge(Protocol):
    """The checks of the account's executor."""

    def check(
        self, request: OrderRequest, *, seat: str = "", by: str = PERSON
    ) -> tuple[tuple[Violation, ...], tuple[str, ...], bool]:
        """What forbids an order now, what is worth knowing, and whether it adds risk."""
        ...

    def context(self, request: OrderRequest, *, seat: str = "", by: str = PERSON) -> CheckContext:
        """The figures it is judged by."""
        ...


class MarginReads(Protocol):
    """The broker's own calculator."""

    async def basket_margins(
        self, requests: Sequence[OrderRequest], *, consider_positions: bool = True
    ) -> BasketMargin:
        """What orders would block together."""
        ...


class BasketIntake:
    """Takes baskets of one account.

    Args:
        facts: Instruments and quotes.
        judge: The executor's checks.
        plans: The desk of plans.
        margins: The broker's calculator.
        available: Rupees free at the broker; ``None`` while they are not known.
        clock: Ages of the calculator's answers, and the pauses between two questions to it.
    """

    def __init__(
        self,
        *,
        facts: MarketFacts,
        judge: LegJudge,
        plans: PlanTaker,
        margins: MarginReads,
        available: Callable[[], Decimal | None],
        clock: Clock,
    ) -> None:
        self._facts = facts
        self._judge = judge
        self._plans = plans
        self._margins = margins
        self._available = available
        self._clock = clock
        self._asking = asyncio.Lock()
        self._said: OrderedDict[tuple[OrderRequest, ...], tuple[Decimal, float]] = OrderedDict()

    async def submit(self, command: PlaceBasket, *, seat: str = "", by: str = PERSON) -> Receipt:
        """Check every leg and begin; the same key never begins a second basket."""
        spec = BasketPlan(legs=command.legs, leg_plan=command.leg_plan)
        known = None if command.idempotency_key is None else await self._plans.made_by(command.idempotency_key)
        if known is not None:
            return made_before(known, is_same=known.spec == spec)
        violations = self._violations(command, seat, by)
        if violations:
            return Receipt(accepted=False, message=" ".join(v.message for v in violations), violations=violations)
        return await self._plans.submit(
            spec,
            sentence=self._sentence(command),
            key=command.idempotency_key,
            seat=seat,
            by=by,
        )

    async def preview(self, command: PlaceBasket, *, seat: str = "") -> Preview:
        """What it would do, every refusal, and the margin after each step; the broker's calculator is asked."""
        violations = self._violations(command, seat)
        instruments = [self._facts.instrument(leg.instrument) for leg in command.legs]
        notes = [*plan_words(command.leg_plan)]
        if command.legs and (naked := naked_by_design(command.legs, instruments)):
            notes.append(f"{grouped(naked)} units stay uncovered when every leg is filled.")
        paths, said = await self._paths(command, instruments)
        notes += said
        available = self._available()
        if paths is not None and available is not None and paths.chosen.peak > available:
            notes.append(
                f"The margin peaks at {grouped_decimal(paths.chosen.peak)}, {grouped_decimal(available)} are free."
            )
        cash = self._cash(command.legs, instruments)
        money = ""
        if cash is not None:
            verb = "Receives" if cash > 0 else "Pays"
            money = f" {verb} {grouped_decimal(abs(cash))} before charges."
        return Preview(
            sentence=f"{self._sentence(command)}.{money}",
            violations=violations,
            notes=tuple(notes),
            cash=cash,
            margin=None if paths is None else paths.chosen.final,
            margin_paths=paths,
            legs=self._preview_legs(command),
        )

    def _preview_legs(self, command: PlaceBasket) -> tuple[LegPreview, ...]:
        """The rows of a review, in the order in which they are sent."""
        sold = [self._facts.instrument(leg.instrument) for leg in command.legs if leg.side is Side.SELL]
        rows = []
        for index, leg in self._in_turn(command):
            instrument = self._facts.instrument(leg.instrument)
            is_hedge = any(covers(instrument, other) for other in sold)
            role = LegRole.SHORT if leg.side is Side.SELL else LegRole.HEDGE if is_hedge else LegRole.LONG
            row = LegPreview(index=index, role=role, request=leg)
            if instrument is not None:
                row = msgspec.structs.replace(
                    row,
                    token=instrument.token,
                    lot_size=instrument.lot_size,
                    tick_size=instrument.tick_size,
                    quote=self._facts.quote(instrument),
                )
            rows.append(row)
        return tuple(rows)

    # ---- checks

    def _violations(self, command: PlaceBasket, seat: str, by: str = PERSON) -> tuple[Violation, ...]:
        legs = command.legs
        if not legs:
            return (Violation(check="legs", message="A basket has at least one leg."),)
        if len(legs) > LEGS_MAX:
            return (Violation(check="legs", message=f"A basket has at most {LEGS_MAX} legs, this has {len(legs)}."),)
        found = list(_plan_violations(command.leg_plan))
        filled: list[HeldPosition] = []
        for index, leg in self._in_turn(command):
            found += [_of_leg(index, violation) for violation in self._leg(leg, tuple(filled), seat, by)]
            instrument = self._facts.instrument(leg.instrument)
            if instrument is not None:
                signed = leg.side.sign * leg.quantity
                filled.append(HeldPosition(instrument=instrument, product=leg.product, signed_quantity=signed))
        return tuple(found)

    def _in_turn(self, command: PlaceBasket) -> list[tuple[int, OrderRequest]]:
        rows = list(enumerate(command.legs))
        if command.leg_plan.hedge_first:
            rows.sort(key=lambda row: (row[1].side is Side.SELL, row[0]))
        return rows

    def _leg(self, leg: OrderRequest, filled: tuple[HeldPosition, ...], seat: str, by: str) -> list[Violation]:
        found = []
        if leg.order_type not in ENTRY_TYPES or leg.variety is not Variety.REGULAR or leg.validity is not Validity.DAY:
            message = (
                f"A leg is LIMIT or MARKET, regular and DAY; this one is {leg.order_type} {leg.variety} {leg.validity}."
            )
            found.append(Violation(check="type", message=message))
        context = self._judge.context(leg, seat=seat, by=by)
        alone = check_order(leg, context)
        # What holds for any order (the journal, the login, a lock) is what the executor adds to the order's own checks.
        own = {(violation.check, violation.message) for violation in alone}
        found += [v for v in self._judge.check(leg, seat=seat, by=by)[0] if (v.check, v.message) not in own]
        after = context
        if context.positions is not None:
            after = msgspec.structs.replace(context, positions=(*context.positions, *filled))
        found += [violation for violation in check_order(leg, after) if violation.check not in LEFT_TO_SENDING]
        return found

    # ---- money

    async def _paths(
        self, command: PlaceBasket, instruments: Sequence[Instrument | None]
    ) -> tuple[MarginPaths | None, list[str]]:
        if not command.legs or len(command.legs) > LEGS_MAX:
            return None, []

        walk = MarginWalk(command.legs, instruments, self._margin, hedge_first=command.leg_plan.hedge_first)
        try:
            paths = await walk.paths()
        except BrokerError as error:
            return None, [f"The margin on the way is not known: {error}"]
        return paths, []

    async def _margin(self, requests: tuple[OrderRequest, ...]) -> Decimal:
        """What the broker's calculator says of these orders, or has said a moment ago: a sentence that is still being
        typed is looked at many times. One question at a time: the limit on reads is shared with the order book, and a
        margin may come late, the book may not.
        """
        # Where its fills belong is nothing to the broker.
        key = tuple(msgspec.structs.replace(request, strategy=None) for request in requests)
        async with self._asking:
            kept = self._said.get(key)
            if kept is not None and self._clock.monotonic() - kept[1] < MARGIN_FRESH_S:
                return kept[0]
            await self._clock.sleep(MARGIN_PAUSE_S)
            try:
                found = await self._margins.basket_margins(requests, consider_positions=True)
            except RateLimited:
                await self._clock.sleep(LIMITED_PAUSE_S)
                found = await self._margins.basket_margins(requests, consider_positions=True)
            self._said[key] = found.final, self._clock.monotonic()
            self._said.move_to_end(key)
            while len(self._said) > MARGINS_KEPT_MAX:
                self._said.popitem(last=False)
            return found.final

    def _cash(self, legs: Sequence[OrderRequest], instruments: Sequence[Instrument | None]) -> Decimal | None:
        """Premium received less paid at the limits, or at the touch where a leg has none; ``None`` when not known."""
        total = ZERO
        for leg, instrument in zip(legs, instruments, strict=True):
            if instrument is None:
                return None
            if instrument.kind is InstrumentKind.FUTURE:
                continue
            quote = self._facts.quote(instrument)
            price = leg.price if leg.price is not None else None if quote is None else quote.touch(leg.side)
            if price is None:
                return None
            total -= leg.side.sign * leg.quantity * price
        return total if legs else None

    def _sentence(self, command: PlaceBasket) -> str:
        sold = sum(leg.quantity for leg in command.legs if leg.side is Side.SELL)
        bought = sum(leg.quantity for leg in command.legs if leg.side is Side.BUY)
        instruments = [self._facts.instrument(leg.instrument) for leg in command.legs]
        cover = sum(
            leg.quantity
            for leg, instrument in zip(command.legs, instruments, strict=True)
            if leg.side is Side.BUY
            and any(
                covers(instrument, other)
                for sale, other in zip(command.legs, instruments, strict=True)
                if sale.side is Side.SELL
            )
        )
        covering = f", {grouped(cover)} of them as cover" if cover else ""
        return f"Sells {grouped(sold)} and buys {grouped(bought)} units in {len(command.legs)} legs{covering}"


def plan_words(plan: LegPlan) -> tuple[str, ...]:
    """The leg-risk plan as a person reads it."""
    first = "hedges first; each short waits for its hedge to fill" if plan.hedge_first else "legs in the order given"
    failure = {
        LegFailure.UNWIND: "take back what is filled, shorts first",
        LegFailure.HOLD: "keep what is covered, send nothing more, ask",
        LegFailure.CHASE: f"chase {plan.chase_ticks} ticks, then keep what is covered and ask",
    }[plan.on_failure]
    return (
        f"plan: {first}, {plan.fill_timeout_s:g} s at most",
        f"naked at most {grouped(plan.naked_quantity_max)} units for {plan.naked_s_max:g} s; if a leg fails: {failure}",
    )


def _plan_violations(plan: LegPlan) -> list[Violation]:
    found = []
    if plan.fill_timeout_s <= 0:
        found.append(Violation(check="plan", message=f"A leg rests for more than 0 s, not {plan.fill_timeout_s:g}."))
    if plan.naked_s_max <= 0 or plan.naked_quantity_max < 0 or plan.chase_ticks < 0:
        found.append(
            Violation(check="plan", message="The time without cover is above 0 s, its units and the ticks 0 or more.")
        )
    return found


def _of_leg(index: int, violation: Violation) -> Violation:
    return Violation(check=f"leg {index + 1} {violation.check}", message=f"Leg {index + 1}: {violation.message}")
