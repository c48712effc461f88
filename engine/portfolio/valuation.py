"""Money as a person sees it: exact Decimal, leg by leg. Made only for what is shown; ``columns`` is the fast twin.

A leg without a mark is left out of that mark's total and named: the total is partial, never quietly complete. A leg
that is flat needs no mark. An empty strategy is worth 0. Sums are gross; ``with_charges`` puts the net beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from engine.charges.strategy_costs import Costs, StrategyCosts
from engine.core.money import ZERO
from engine.core.positions import Holding
from engine.core.strategies import Leg, LegValue, Strategy, StrategyValue
from engine.core.vocabulary import Mark
from engine.portfolio.book import LegStanding
from engine.portfolio.marks import LegMarks, Marks

MARKS = tuple(Mark)
CHARGE_NOTES_MAX = 5
"""Sentences about charges that are not known, in one picture of a strategy; the rest is counted."""
_NO_MARKS: LegMarks = LegMarks(reason="flat")


class MoneyView(msgspec.Struct, frozen=True, kw_only=True):
    """A sum of money on each mark, with the legs (``3.2``) that each sum leaves out."""

    profit: dict[Mark, Decimal]
    partial: dict[Mark, tuple[str, ...]]


class ValuedLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A leg's value with what the sums above it need."""

    value: LegValue
    marks: LegMarks
    day_profit: dict[Mark, Decimal | None]
    """Since the exchange's day began, from the previous close for what was held then."""


def leg_name(leg: Leg) -> str:
    """``3.2``."""
    return f"{leg.strategy}.{leg.number}"


def value_legs(standings: Sequence[LegStanding], marks: Marks) -> list[ValuedLeg]:
    """Value legs now, with one question to the market for all of them."""
    asked = [(standing.leg.token, _asked_units(standing)) for standing in standings]
    answers = iter(marks.marks([held for held in asked if held[1]]))
    return [
        _value_leg(standing, next(answers) if units else _NO_MARKS)
        for standing, (_, units) in zip(standings, asked, strict=True)
    ]


def _asked_units(standing: LegStanding) -> int:
    """Units to ask marks for: a leg that was closed today still needs its previous close for the day's figure."""
    return standing.leg.holding.signed_quantity or standing.day_start.signed_quantity


def _value_leg(standing: LegStanding, prices: LegMarks) -> ValuedLeg:
    leg, holding = standing.leg, standing.leg.holding
    quantity = holding.signed_quantity
    profit: dict[Mark, Decimal | None] = {}
    shown: dict[Mark, Decimal | None] = {}
    for mark in MARKS:
        price = prices.of(mark) if quantity else None
        shown[mark] = price
        profit[mark] = _profit(holding, price, leg.multiplier)
    base = _profit(standing.day_start, prices.previous_close, leg.multiplier)
    day = {mark: None if value is None or base is None else value - base for mark, value in profit.items()}
    value = LegValue(leg=leg, marks=shown, profit=profit, reason=prices.reason if quantity else "")
    return ValuedLeg(value=value, marks=prices, day_profit=day)


def _profit(holding: Holding, price: Decimal | None, multiplier: Decimal) -> Decimal | None:
    """Realised plus unrealised; what is flat needs no price."""
    if not holding.signed_quantity:
        return holding.realised
    return None if price is None else holding.profit(price, multiplier)


def value_strategy(strategy: Strategy, legs: Iterable[ValuedLeg]) -> StrategyValue:
    """Sum valued legs up."""
    valued = tuple(legs)
    money = sum_money((leg.value.leg, leg.value.profit) for leg in valued)
    return StrategyValue(
        strategy=strategy,
        legs=tuple(leg.value for leg in valued),
        profit=money.profit,
        realised=sum((leg.value.leg.holding.realised for leg in valued), ZERO),
        partial=money.partial,
        delta=_greek([(leg.value.leg, leg.marks.delta) for leg in valued]),
        theta=_greek([(leg.value.leg, leg.marks.theta) for leg in valued]),
    )


def with_charges(value: StrategyValue, paid: Costs, leaving: Costs) -> StrategyValue:
    """The value with its charges and what they leave of it; what needs an unknown charge is ``None``."""
    costs = StrategyCosts(paid=paid, exit=leaving)
    return msgspec.structs.replace(
        value,
        charges_paid=paid.total,
        exit_charges=leaving.total,
        charge_notes=charge_notes(paid, leaving),
        net={mark: costs.net(money) for mark, money in value.profit.items()},
        net_at_exit=costs.net_at_exit(value.profit[Mark.EXIT]),
    )


def charge_notes(*costs: Costs) -> tuple[str, ...]:
    """Why charges are not known, each reason once, as many as a picture carries."""
    sentences = tuple(dict.fromkeys(text for cost in costs for text in cost.unknown))
    if len(sentences) <= CHARGE_NOTES_MAX:
        return sentences
    return *sentences[:CHARGE_NOTES_MAX], f"{len(sentences) - CHARGE_NOTES_MAX} more charges are not known."


def net_of(money: MoneyView, paid: Costs) -> dict[Mark, Decimal | None]:
    """Money less what was paid, on each mark; ``None`` while a charge is not known."""
    total = paid.total
    return {mark: None if total is None else gross - total for mark, gross in money.profit.items()}


def _greek(parts: list[tuple[Leg, float | None]]) -> float | None:
    """Σ signed quantity × multiplier × Greek over open legs; ``None`` when one of them has none."""
    total = 0.0
    for leg, greek in parts:
        if not leg.holding.signed_quantity:
            continue
        if greek is None:
            return None
        total += leg.holding.signed_quantity * float(leg.multiplier) * greek
    return total


def sum_money(parts: Iterable[tuple[Leg, dict[Mark, Decimal | None]]]) -> MoneyView:
    """Sum legs' figures on each mark and name the legs that lack it."""
    profit = dict.fromkeys(MARKS, ZERO)
    left_out: dict[Mark, list[str]] = {mark: [] for mark in MARKS}
    for leg, figures in parts:
        for mark in MARKS:
            figure = figures[mark]
            if figure is None:
                left_out[mark].append(leg_name(leg))
            else:
                profit[mark] += figure
    return MoneyView(profit=profit, partial={mark: tuple(names) for mark, names in left_out.items()})
