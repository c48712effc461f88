"""Which columns a chain has at a width, and the text of each cell.

Calls read from the outside in, puts from the inside out, except that bid always stands left of ask. Columns belong to
sets that are switched by a key; within a set they come by importance as width allows. Bid and ask give way to their mid
only in the sets that are for reading, and only where the set's own columns would have no room beside both. Widths of
prices, strikes and own lots follow the data, so that no figure is ever cut.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from engine.core.views import ChainColumns
from workstation.formatting import (
    Glyphs,
    compact,
    decimal_text,
    known,
    lakh_units,
    option_delta,
    price_cell,
)

PRICE_WIDTH_LEAST = 7
POSITION_WIDTH_LEAST = 4
STRIKE_WIDTH_LEAST = 6
IV_WIDTH = 4
EDGES = 2
"""The ATM row's marks at both edges."""
MIDDLE_SIGNS = 3
"""``<``, the blank between strike and volatility, and ``>``."""
BUILD_UPS = ("", "N", "LB", "SB", "LU", "SC")
"""By the code of ``ChainColumns.build_up``; nothing for unknown."""
BUILD_UP_WORDS = ("unknown", "neutral", "long build-up", "short build-up", "long unwinding", "short covering")


class ColumnSet(StrEnum):
    """What the columns of the chain are for."""

    TRADE = "trade"
    GREEKS = "greeks"
    INTEREST = "open interest"
    VALUE = "value"

    def after(self, steps: int = 1) -> ColumnSet:
        """The set so many places further, round the list."""
        every = list(ColumnSet)
        return every[(every.index(self) + steps) % len(every)]


class Figure(msgspec.Struct, frozen=True):
    """An optional column: its name, heading, width, and how to make the text of a row."""

    name: str
    heading: str
    width: int
    text: Callable[[ChainColumns, int, Glyphs], str]


def build_up_sign(code: int, glyphs: Glyphs) -> str:
    """``LB``, ``SB``, ``LU``, ``SC``, ``N`` for neutral; a code of no class is unknown."""
    return (BUILD_UPS[code] if 0 <= code < len(BUILD_UPS) else "") or glyphs.unknown


def _open_interest(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return lakh_units(float(columns.open_interest[row]), glyphs)


def _interest_change(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    value = float(columns.open_interest_change[row])
    return decimal_text(value, 0, sign=True, group=False) if known(value) else glyphs.unknown


def _delta(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return option_delta(float(columns.delta[row]), glyphs)


def _last(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return price_cell(float(columns.last[row]), 0, glyphs)


def _theta(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return compact(float(columns.theta[row]), 5, glyphs, places=1, sign=True)


def _vega(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return compact(float(columns.vega[row]), 5, glyphs, places=2)


def _gamma(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    value = float(columns.gamma[row])
    if not known(value) or abs(value) >= 1:
        return compact(value, 5, glyphs, places=4)
    return decimal_text(value, 4).replace("0.", ".", 1)


def _volume(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return lakh_units(float(columns.volume[row]), glyphs)


def _spread(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return compact(float(columns.ask[row] - columns.bid[row]), 5, glyphs, places=2)


def _build_up(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return build_up_sign(int(columns.build_up[row]), glyphs)


def _theoretical(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return price_cell(float(columns.theoretical[row]), 0, glyphs)


def _mispricing(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return compact(float(columns.mispricing[row]), 5, glyphs, places=2, sign=True)


def _extrinsic(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return price_cell(float(columns.extrinsic[row]), 0, glyphs)


def _spread_percent(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return compact(float(columns.spread_percent[row]), 4, glyphs, places=2)


def _liquidity(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return compact(float(columns.liquidity[row]), 3, glyphs, places=0)


def figures(glyphs: Glyphs, price_width: int) -> dict[str, Figure]:
    """The optional columns by name; columns of prices are ``price_width`` wide."""
    return {
        "volume": Figure("volume", "Vol lk", 6, _volume),
        "open_interest": Figure("open_interest", "OI lk", 5, _open_interest),
        "change": Figure("change", "chg%", 4, _interest_change),
        "build_up": Figure("build_up", "bu", 3, _build_up),
        "gamma": Figure("gamma", glyphs.gamma, 5, _gamma),
        "vega": Figure("vega", "vega", 5, _vega),
        "theta": Figure("theta", glyphs.theta, 5, _theta),
        "delta": Figure("delta", glyphs.delta, 4, _delta),
        "spread": Figure("spread", "sprd", 5, _spread),
        "last": Figure("last", "Last", price_width, _last),
        "theoretical": Figure("theoretical", "theor", price_width, _theoretical),
        "mispricing": Figure("mispricing", "misp", 5, _mispricing),
        "extrinsic": Figure("extrinsic", "extr", price_width, _extrinsic),
        "spread_percent": Figure("spread_percent", "spr%", 4, _spread_percent),
        "liquidity": Figure("liquidity", "liq", 3, _liquidity),
    }


class SetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a set."""

    outside_in: tuple[str, ...]
    """Order on the call side."""
    importance: tuple[str, ...]
    """Order of arrival as the pane grows."""
    core: int = 0
    """So many of ``importance`` must be there; for them bid and ask give way to their mid."""
    walls: bool = False
    """Whether the strikes with the most open interest are marked in place of the volatility."""


PLANS = {
    ColumnSet.TRADE: SetPlan(
        outside_in=("volume", "open_interest", "change", "gamma", "vega", "theta", "delta", "spread", "last"),
        importance=("delta", "open_interest", "change", "last", "theta", "vega", "volume", "spread", "gamma"),
    ),
    ColumnSet.GREEKS: SetPlan(
        outside_in=("open_interest", "gamma", "theta", "vega", "delta", "last"),
        importance=("theta", "vega", "gamma", "delta", "last", "open_interest"),
        core=3,
    ),
    ColumnSet.INTEREST: SetPlan(
        outside_in=("volume", "open_interest", "change", "build_up", "delta", "last"),
        importance=("open_interest", "change", "build_up", "volume", "delta", "last"),
        core=3,
        walls=True,
    ),
    ColumnSet.VALUE: SetPlan(
        outside_in=("liquidity", "spread_percent", "extrinsic", "mispricing", "theoretical", "last"),
        importance=("theoretical", "mispricing", "liquidity", "spread_percent", "extrinsic", "last"),
        core=3,
    ),
}


class ColumnWidths(msgspec.Struct, frozen=True, kw_only=True):
    """Widths that follow the data."""

    price: int = PRICE_WIDTH_LEAST
    strike: int = STRIKE_WIDTH_LEAST
    position: int = POSITION_WIDTH_LEAST


class ChainLayout(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of one side from the outside in, and the cells both sides start at."""

    widths: ColumnWidths
    outer: tuple[Figure, ...]
    width: int
    margin: int
    """Blank cells at the right so that the pane is filled."""
    mid: bool = False
    """Whether one column, the mid, stands in place of bid and ask."""
    walls: bool = False
    """Whether walls stand in place of the volatility."""

    @property
    def side_width(self) -> int:
        """Cells of one side."""
        return sum(figure.width + 1 for figure in self.outer) + _inner(self.widths, mid=self.mid)

    @property
    def middle_start(self) -> int:
        """Column of ``<``."""
        return 1 + self.side_width

    @property
    def middle_end(self) -> int:
        """Column after ``>``."""
        return self.middle_start + MIDDLE_SIGNS + self.widths.strike + IV_WIDTH


def chain_layout(width: int, widths: ColumnWidths, glyphs: Glyphs, columns: ColumnSet = ColumnSet.TRADE) -> ChainLayout:
    """Choose the columns of a set that fit into ``width`` cells, most important first."""
    plan = PLANS[columns]
    known_figures = figures(glyphs, widths.price)
    side = (width - EDGES - MIDDLE_SIGNS - widths.strike - IV_WIDTH) // 2
    core = sum(known_figures[name].width + 1 for name in plan.importance[: plan.core])
    mid = plan.core > 0 and core > side - _inner(widths, mid=False)
    room = side - _inner(widths, mid=mid)
    chosen: set[str] = set()
    for name in plan.importance:
        size = known_figures[name].width + 1
        if size > room:
            break
        chosen.add(name)
        room -= size
    outer = tuple(known_figures[name] for name in plan.outside_in if name in chosen)
    layout = ChainLayout(widths=widths, outer=outer, width=width, margin=0, mid=mid, walls=plan.walls)
    margin = max(0, width - layout.middle_end - layout.side_width - 1)
    return msgspec.structs.replace(layout, margin=margin)


def _inner(widths: ColumnWidths, *, mid: bool) -> int:
    """Cells of the columns every side has: prices, the mark of the quote's state, own lots."""
    prices = widths.price + 1 if mid else 2 * widths.price + 1
    return prices + 1 + widths.position
