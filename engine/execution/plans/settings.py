"""Limits and intervals of the plans of one account as data; the values here are the defaults of the configuration."""

from __future__ import annotations

import msgspec

from engine.execution.plans.basket import BasketSettings
from engine.execution.plans.bounds import Positive, Seconds
from engine.execution.plans.exit_schedule import ExitSettings


class PlanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many plans may run, and how often they look; durations in seconds of this machine."""

    running_max: Positive = 64
    """Plans that are not over; one more is refused."""
    poll_s: Seconds = 0.2
    """How often quotes, market time and what others did are looked at, while a plan waits for them."""
    look_max_s: Seconds = 5.0
    """Longest time without a look at a plan that runs."""
    withdraw_again_s: Seconds = 2.0
    """Pause before an order that still works is asked to be cancelled again."""
    kept_max: Positive = 200
    """Plans that are over and are still shown; the oldest leave first."""
    begin_s: Seconds = 30.0
    """Market time after which entries that were never begun, because the engine stopped, are not begun any more."""
    key_length_max: Positive = 100
    """Characters of an idempotency key."""
    baskets: BasketSettings = BasketSettings()
    exits: ExitSettings = ExitSettings()
