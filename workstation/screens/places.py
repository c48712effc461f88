"""The screens that lie over the Desk, by the letter after ``g``. What opens them is ``DeskContext.open_place``."""

from __future__ import annotations

from typing import Final

DESK: Final = "desk"
STRATEGY: Final = "strategy"
VOLATILITY: Final = "volatility"
REPLAY: Final = "replay"
ENGINE: Final = "engine"
DOCTOR: Final = "doctor"
RULES: Final = "rules"
CHARTS: Final = "charts"
ORDERS: Final = "orders"
PLACE_OF_LETTER: Final = {
    "s": STRATEGY,
    "v": VOLATILITY,
    "r": REPLAY,
    "n": ENGINE,
    "h": DOCTOR,
    "u": RULES,
    "t": CHARTS,
    "o": ORDERS,
}
