"""Where everything of the Strategy screen goes, for a size of the terminal. One pure function."""

from __future__ import annotations

import msgspec

from workstation.presenters.layout import (
    MINIMUM_HEIGHT,
    MINIMUM_WIDTH,
    ROOMY_FROM_HEIGHT,
    SIDE_FROM_WIDTH,
    STATUS_HEIGHT,
    TALL_FROM_HEIGHT,
)

HEAD_HEIGHT = 2
"""Title and money of the strategy."""
BOTTOM_HEIGHT = 2
"""Message and keys."""
LEGS_FRAME = 2
"""Title and headings of the legs."""
LEGS_LEAST = 3
LEGS_MOST = 5
LEGS_MOST_TALL = 6
LEGS_MOST_ROOMY = 14
LEFT_SHARE = 0.53
"""Payoff and candles; the grid and the parts need less."""
UPPER_SHARE = 0.57


class StrategyLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Heights and widths in cells."""

    width: int
    height: int
    small: bool
    """The screen does not fit."""
    split: bool
    """Four panes at once; otherwise one of them, chosen by Tab."""
    legs_height: int
    left_width: int
    upper_height: int
    lower_height: int


def strategy_layout(width: int, height: int, leg_rows: int) -> StrategyLayout:
    """Lay the screen out; ``leg_rows`` is how many rows the legs would like, their total included."""
    tall = height >= TALL_FROM_HEIGHT
    roomy = height >= ROOMY_FROM_HEIGHT
    most = LEGS_MOST_ROOMY if roomy else LEGS_MOST_TALL if tall else LEGS_MOST
    legs_height = LEGS_FRAME + min(max(leg_rows, LEGS_LEAST), most)
    left = max(0, height - STATUS_HEIGHT - HEAD_HEIGHT - legs_height - BOTTOM_HEIGHT)
    split = width >= SIDE_FROM_WIDTH and tall
    upper = round(left * UPPER_SHARE) if split else left
    return StrategyLayout(
        width=width,
        height=height,
        small=width < MINIMUM_WIDTH or height < MINIMUM_HEIGHT,
        split=split,
        legs_height=legs_height,
        left_width=int(width * LEFT_SHARE) if split else width,
        upper_height=upper,
        lower_height=left - upper if split else left,
    )
