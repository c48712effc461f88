"""Payoff and scenario of a strategy, computed from its snapshot alone: pure, so that a thread may do it.

Invariant: what a leg's missing input leaves unknown is NaN or ``None`` with the leg named; nothing is filled in.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np

from engine.analysis.strategy_attribution import bounded
from engine.analysis.strategy_snapshot import StrategySnapshot
from engine.analytics.arrays import DAYS_PER_YEAR, FloatArray
from engine.analytics.legs import LegKind, Legs, active, reference_forward
from engine.analytics.payoff import Payoff, payoff, picture_axis, profit
from engine.analytics.probability import Distribution, OutlookReason, outlook
from engine.analytics.scenario import scenario_grid
from engine.analytics.second_order import all_greeks
from engine.core.analysis import PayoffView, PositionSensitivities, ScenarioView

DISTRIBUTIONS: Final = {
    Distribution.NONE: "none",
    Distribution.SMILE: "smile",
    Distribution.LOGNORMAL: "lognormal",
}
OUTLOOK_WORDS: Final = {
    OutlookReason.SMILE_INCOMPLETE: "The fitted smile does not reach far enough for probabilities: they are lognormal.",
    OutlookReason.NO_VOLATILITY: "No probabilities: there is no volatility at the money.",
    OutlookReason.NO_TIME: "No probabilities: the expiry is reached.",
    OutlookReason.NO_FORWARD: "No probabilities: there is no forward.",
}
"""What a reader has to be told; a missing payoff is told by its legs."""

NOTHING: Final = np.empty(0)


def payoff_view(one: StrategySnapshot, *, days_ahead: float, volatility_shift: float, points: int) -> PayoffView:
    """The picture of a strategy; the arguments are within bounds."""
    charges = 0.0 if one.charges is None else float(one.charges)
    reasons = list(one.reasons)
    trouble = _no_axis(one)
    reference = reference_forward(one.legs)
    drawable = not trouble and math.isfinite(reference)
    axis = picture_axis(one.legs, points=points) if drawable else NOTHING
    picture = payoff(one.legs, axis, rate=one.rate, charges=charges) if drawable else None
    now = NOTHING
    if picture is not None:
        now = profit(
            one.legs,
            axis,
            rate=one.rate,
            elapsed=days_ahead / DAYS_PER_YEAR,
            volatility_shift=volatility_shift,
            charges=charges,
            reference=reference,
        )
    view = PayoffView(
        strategy=one.number,
        at=one.at,
        underlying=", ".join(one.underlyings),
        expiry=one.expiry,
        forward=_known(reference) if not trouble else None,
        prices=_fixed(axis),
        at_expiry=_fixed(picture.at_expiry if picture is not None else NOTHING),
        now=_fixed(now),
        days_ahead=days_ahead,
        volatility_shift=volatility_shift,
        break_evens=(),
        max_profit=None,
        max_loss=None,
        profit_unlimited=False,
        loss_unlimited=False,
        reward_to_risk=None,
        probability_of_profit=None,
        expected_value=None,
        distribution=DISTRIBUTIONS[Distribution.NONE],
        sensitivities=sensitivities(one.legs, rate=one.rate) if len(one.underlyings) < 2 else PositionSensitivities(),
        charges=one.charges,
    )
    if picture is None:
        return msgspec.structs.replace(view, reason=bounded([trouble, *reasons] if trouble else reasons))
    return _with_landmarks(view, one, picture, charges, reasons)


def _with_landmarks(
    view: PayoffView, one: StrategySnapshot, picture: Payoff, charges: float, reasons: list[str]
) -> PayoffView:
    chances = outlook(one.legs, picture, rate=one.rate, charges=charges, smile=one.smile, volatility=one.atm_volatility)
    if chances.reason in OUTLOOK_WORDS:
        reasons.append(OUTLOOK_WORDS[chances.reason])
    # Falling prices end at zero: what is made or lost there is known. Only rising ones have no end.
    return msgspec.structs.replace(
        view,
        break_evens=tuple(picture.break_evens.tolist()),
        max_profit=_known(picture.best.value),
        max_loss=_known(picture.worst.value),
        profit_unlimited=picture.best.unlimited_up,
        loss_unlimited=picture.worst.unlimited_up,
        reward_to_risk=_known(picture.reward_to_risk),
        probability_of_profit=_known(chances.probability_of_profit),
        expected_value=_known(chances.expected_value),
        distribution=DISTRIBUTIONS[chances.distribution],
        reason=bounded(reasons),
    )


def scenario_view(one: StrategySnapshot, *, days_ahead: float, moves: FloatArray, shifts: FloatArray) -> ScenarioView:
    """The grid of a strategy; the arguments are within bounds."""
    trouble = _several(one)
    legs = active(one.legs)
    grid = scenario_grid(
        legs,
        rate=one.rate,
        forward_shifts=moves,
        volatility_shifts=shifts,
        elapsed=np.array([days_ahead / DAYS_PER_YEAR]),
    )
    here = scenario_grid(legs, rate=one.rate, forward_shifts=np.zeros(1), volatility_shifts=np.zeros(1), elapsed=[0.0])
    gain, delta = grid.profit[:, :, 0] - here.profit[0, 0, 0], grid.delta[:, :, 0]
    if trouble:
        gain, delta = np.full_like(gain, np.nan), np.full_like(delta, np.nan)
    reasons = [trouble, *one.reasons] if trouble else list(one.reasons)
    return ScenarioView(
        strategy=one.number,
        at=one.at,
        days_ahead=days_ahead,
        forward=None if trouble else _known(reference_forward(one.legs)),
        moves=_fixed(moves),
        shifts=_fixed(shifts),
        profit=tuple(_fixed(gain[:, row].copy()) for row in range(shifts.size)),
        delta=tuple(_fixed(delta[:, row].copy()) for row in range(shifts.size)),
        reason=bounded(reasons),
    )


@np.errstate(all="ignore")
def sensitivities(legs: Legs, *, rate: float) -> PositionSensitivities:
    """How the money moves, summed over the legs; ``None`` where one of them has no such figure."""
    held = active(legs)
    option, future = held.is_option, held.kind == LegKind.FUTURE
    expired = held.years <= 0.0
    greeks = all_greeks(
        held.forward[option],
        held.strike[option],
        np.maximum(held.years[option], 0.0),
        rate,
        np.where(expired, 0.0, held.volatility)[option],
        is_call=held.kind[option] == LegKind.CALL,
    )
    weight = held.weight
    futures = float(weight[future & (held.forward > 0.0)].sum())
    missing = bool((future & ~(held.forward > 0.0)).any() or (held.kind > LegKind.CASH).any())

    def total(field: FloatArray, plain: float = 0.0) -> float | None:
        return None if missing else _known(float(np.dot(weight[option], field)) + plain)

    return PositionSensitivities(
        delta=total(greeks.delta, futures),
        gamma=total(greeks.gamma),
        theta=total(greeks.theta),
        vega=total(greeks.vega),
        rho=total(greeks.rho),
        vanna=total(greeks.vanna),
        vomma=total(greeks.vomma),
    )


def _no_axis(one: StrategySnapshot) -> str:
    if not one.has_open_legs:
        return "Nothing is open: the money is what has been realised, whatever happens."
    return _several(one)


def _several(one: StrategySnapshot) -> str:
    """Why there is no one price to draw along; empty when there is."""
    if len(one.underlyings) < 2:
        return ""
    names = ", ".join(one.underlyings)
    return f"It holds legs of {names}: one picture has one underlying. Move the legs to strategies of their own."


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _fixed(values: FloatArray) -> FloatArray:
    """The array as it crosses the API: read only, contiguous."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    array.flags.writeable = False
    return array
