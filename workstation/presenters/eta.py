"""When an order could leave, in words; said only when a person would notice the wait."""

from __future__ import annotations

from workstation.formatting import SECONDS_PER_HOUR, SECONDS_PER_MINUTE

TOLD_FROM_S = 1.0
MINUTES_FROM_S = 120.0


def leaves_in(eta_s: float | None, *, waited_s: float = 0.0) -> str:
    """``leaves in ~3 s``, the time ``waited_s`` since it was worked out taken off; empty when it goes at once or it is
    not known. What was due is due now: the words end, the order is not said to be late.
    """
    if eta_s is None or eta_s - waited_s < TOLD_FROM_S:
        return ""
    left = eta_s - waited_s
    if left < MINUTES_FROM_S:
        return f"leaves in ~{left:.0f} s"
    if left < SECONDS_PER_HOUR:
        return f"leaves in ~{left / SECONDS_PER_MINUTE:.0f} min"
    return f"leaves in ~{left / SECONDS_PER_HOUR:.1f} h"
