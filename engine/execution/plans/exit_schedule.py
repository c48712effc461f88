"""When an exit acts and how far its prices go by then: the written schedule of its manner, or backwards from a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.plans import ExitManner, ExitPlan
from engine.execution.plans.bounds import Seconds, Step, check_protection
from engine.execution.plans.exit_prices import PriceReach, PriceStep


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a manner begins and how long each step lasts."""

    first: Step = int(PriceStep.MID)
    """First step of its prices: 1 rests at its own side, 2 half way, 3 meets the other side, 4 a little through it,
    5 through the visible book, 6 at the edge of what is taken."""
    step_s: Seconds = 1.5
    """Seconds of market time."""
    blind_s: Seconds = 4.0
    """How long a quote that cannot be trusted is waited for before the broker's own protection prices the order."""


class PatientPace(Pace, frozen=True, kw_only=True):
    """An exit that rests first."""

    first: Step = int(PriceStep.JOIN)
    step_s: Seconds = 6.0
    blind_s: Seconds = 8.0


class NormalPace(Pace, frozen=True, kw_only=True):
    """An exit for which no manner is said."""


class UrgentPace(Pace, frozen=True, kw_only=True):
    """An exit that crosses at once."""

    first: Step = int(PriceStep.SWEEP)
    step_s: Seconds = 0.75
    blind_s: Seconds = 1.0


class ExitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How exits work; durations in seconds of market time."""

    patient: PatientPace = PatientPace()
    normal: NormalPace = NormalPace()
    now: UrgentPace = UrgentPace()
    flat_by_span_s: Seconds = 240.0
    """An exit with a time to be flat by begins so long before it, or at once when that has passed."""
    flat_by_reserve_s: Seconds = 10.0
    """Its prices have reached the edge so long before that time."""
    step_least_s: Seconds = 0.5
    reprice_s: Seconds = 0.5
    """Least time between two changes of one order."""
    retry_s: Seconds = 0.5
    """Pause after an order that came to nothing; it doubles with each further one up to ``retry_max_s``."""
    retry_max_s: Seconds = 8.0
    refused_s: Seconds = 1.0
    """Pause before an order that was refused is tried again."""
    trades_wait_s: Seconds = 5.0
    """How long, once flat, the broker's trades are waited for before the report is made of the orders' averages."""
    protection: Decimal = Decimal(-1)
    """Percent of market protection; −1 leaves it to the broker."""
    reach: PriceReach = PriceReach()

    def __post_init__(self) -> None:
        """Refuse settings that cannot hold together.

        Raises:
            ValueError: an exit by a time would begin after its prices have reached the edge, pauses shrink, or the
                protection is none.
        """
        if self.flat_by_reserve_s >= self.flat_by_span_s:
            raise ValueError(
                f"flat_by_reserve_s ({self.flat_by_reserve_s:g}) is less than flat_by_span_s ({self.flat_by_span_s:g})"
            )
        if self.retry_max_s < self.retry_s:
            raise ValueError(f"retry_max_s ({self.retry_max_s:g}) is at least retry_s ({self.retry_s:g})")
        check_protection(self.protection)

    def pace(self, manner: ExitManner) -> Pace:
        """Of a manner."""
        match manner:
            case ExitManner.PATIENT:
                return self.patient
            case ExitManner.NORMAL:
                return self.normal
            case ExitManner.NOW:
                return self.now


def starts_at(spec: ExitPlan, created_at: datetime, settings: ExitSettings) -> datetime:
    """When the plan begins to act (aware UTC)."""
    if spec.flat_by is None or spec.manner is ExitManner.NOW:
        return created_at
    return max(created_at, spec.flat_by - timedelta(seconds=settings.flat_by_span_s))


class StepNow(msgspec.Struct, frozen=True):
    """The step of a goal's price, and when the next one is due."""

    step: PriceStep
    next_at: datetime | None
    """``None`` at the last one."""


def step_now(
    spec: ExitPlan, *, now: datetime, since: datetime, shift: int, others_follow: bool, settings: ExitSettings
) -> StepNow:
    """How far a goal's price goes now.

    Args:
        spec: The exit.
        now: Market time.
        since: When this goal began to be worked.
        shift: Steps that a person has gone ahead (+) or stayed behind (−).
        others_follow: Other goals wait for this one, and need their part of the time.
        settings: Of exits.
    """
    pace = settings.pace(spec.manner)
    step_s = pace.step_s
    if spec.flat_by is not None and spec.manner is not ExitManner.NOW:
        time_left = (spec.flat_by - since).total_seconds() - settings.flat_by_reserve_s
        share = time_left / 2 if others_follow else time_left
        step_s = max(settings.step_least_s, share / max(1, PriceStep.EDGE - pace.first))
    steps = int(max(0.0, (now - since).total_seconds()) / step_s)
    reached = min(PriceStep.EDGE, max(PriceStep.JOIN, pace.first + steps + shift))
    if reached >= PriceStep.EDGE:
        return StepNow(PriceStep.EDGE, None)
    return StepNow(PriceStep(reached), since + timedelta(seconds=step_s * (steps + 1)))
