"""What numbers of the settings of plans may be; a value outside is refused when the settings are read."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
"""Above 0, a day at most."""
Step = Annotated[int, msgspec.Meta(ge=1, le=6)]
"""A step of the price schedule, see ``PriceStep``."""
PERCENT_MAX = Decimal(100)
BROKERS_OWN = Decimal(-1)
"""Market protection is left to the broker."""


def check_protection(protection: Decimal) -> None:
    """Refuse a protection that no order may carry.

    Raises:
        ValueError: it is neither -1 nor above 0 and at most 100.
    """
    is_band = protection.is_finite() and 0 < protection <= PERCENT_MAX
    if protection != BROKERS_OWN and not is_band:
        raise ValueError(f"protection is -1 (the broker's own) or above 0 and at most 100 percent, not {protection}")
