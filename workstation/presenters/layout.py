"""Where everything of the Desk goes, for a size of the terminal. One pure function: no resize can surprise."""

from __future__ import annotations

import msgspec

MINIMUM_WIDTH = 80
MINIMUM_HEIGHT = 24
SIDE_FROM_WIDTH = 120
"""From here ticket and depth stand beside the chain, and events beside the orders."""
SIDE_WIDTH = 33
"""Ticket and depth, their rule included."""
TALL_FROM_HEIGHT = 30
"""From here the strip, the chain's figures and a second ghost line have room."""
ROOMY_FROM_HEIGHT = 44
SMALL_ORDERS_HEIGHT = 1
TICKET_LEAST = 11
TICKET_MOST = 14
DEPTH_HEIGHT = 6
"""Title and five levels."""
STATUS_HEIGHT = 2
BOTTOM_HEIGHT = 2
"""Command bar and key line."""
EVENTS_SHARE = 0.40
STRATEGY_FRAME = 3
"""Title, header and total of the strategies."""
STRATEGIES_LEAST = 3
STRATEGIES_MOST = 4
STRATEGIES_MOST_ROOMY = 10
ORDERS_TALL = 5
ORDERS_ROOMY = 9


class DeskLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Heights and widths in cells. ``small`` means the Desk does not fit and only the essentials are drawn."""

    width: int
    height: int
    small: bool
    strip: bool
    statistics: bool
    side: bool
    chain_width: int
    ticket_height: int
    depth: bool
    """Whether the depth has a pane below the ticket."""
    strategies_height: int
    orders_height: int
    orders_width: int
    orders_framed: bool
    """False when the orders pane is one row, the most urgent one, without a title."""
    ghost_height: int


def desk_layout(width: int, height: int, strategy_rows: int) -> DeskLayout:
    """Lay the Desk out; ``strategy_rows`` is how many rows the strategies would like."""
    side = width >= SIDE_FROM_WIDTH
    tall = height >= TALL_FROM_HEIGHT
    roomy = height >= ROOMY_FROM_HEIGHT
    most = STRATEGIES_MOST_ROOMY if roomy else STRATEGIES_MOST if tall else STRATEGIES_LEAST
    rows = min(max(strategy_rows, STRATEGIES_LEAST), most)
    events_width = int(width * EVENTS_SHARE) if side else 0
    strategies_height = STRATEGY_FRAME + rows
    orders_height = ORDERS_ROOMY if roomy else ORDERS_TALL if tall else SMALL_ORDERS_HEIGHT
    ghost_height = 2 if tall else 1
    below = strategies_height + orders_height + ghost_height + BOTTOM_HEIGHT
    middle = max(1, height - STATUS_HEIGHT - int(tall) - below)
    depth = side and middle >= TICKET_LEAST + DEPTH_HEIGHT
    return DeskLayout(
        width=width,
        height=height,
        small=width < MINIMUM_WIDTH or height < MINIMUM_HEIGHT,
        strip=tall,
        statistics=tall,
        side=side,
        chain_width=width - SIDE_WIDTH if side else width,
        ticket_height=min(TICKET_MOST, middle - DEPTH_HEIGHT) if depth else middle,
        depth=depth,
        strategies_height=strategies_height,
        orders_height=orders_height,
        orders_width=width - events_width,
        orders_framed=tall,
        ghost_height=ghost_height,
    )
