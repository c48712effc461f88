"""Limits and intervals of the plans of one account; durations are seconds of this machine."""

from __future__ import annotations

import msgspec


class PlanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many plans may run, and how often they look."""

    running_max: int = 64
    """Plans that are not over; one more is refused."""
    poll_s: float = 0.2
    """How often quotes, market time and what others did are looked at, while a plan waits for them."""
    look_max_s: float = 5.0
    """Longest time without a look at a plan that runs."""
    withdraw_again_s: float = 2.0
    """Pause before an order that still works is asked to be cancelled again."""
    kept_max: int = 200
    """Plans that are over and are still shown; the oldest leave first."""
    begin_s: float = 30.0
    """Market time after which entries that were never begun, because the engine stopped, are not begun any more."""
    key_length_max: int = 100
    """Characters of an idempotency key."""
