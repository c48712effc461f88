"""Which columns a chain has at a width, and the text of each cell.

Calls read from the outside in, puts from the inside out, except that bid always stands left of ask. Columns come by
importance as width allows: 80 cells hold open interest and delta, wider ones the rest. Widths of prices, strikes and
own lots follow the data, so that no figure is ever cut.
"""

from __future__ import annotations

from collections.abc import Callable

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


class Figure(msgspec.Struct, frozen=True):
    """An optional column: its name, heading, width, and how to make the text of a row."""

    name: str
    heading: str
    width: int
    text: Callable[[ChainColumns, int, Glyphs], str]


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
    return compact(float(columns.gamma[row]), 6, glyphs, places=4).replace("0.", ".", 1)


def _volume(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return lakh_units(float(columns.volume[row]), glyphs)


def _spread(columns: ChainColumns, row: int, glyphs: Glyphs) -> str:
    return compact(float(columns.ask[row] - columns.bid[row]), 5, glyphs, places=2)


def figures(glyphs: Glyphs, last_width: int) -> dict[str, Figure]:
    """The optional columns by name."""
    return {
        "volume": Figure("volume", "Vol lk", 6, _volume),
        "open_interest": Figure("open_interest", "OI lk", 5, _open_interest),
        "change": Figure("change", "chg%", 4, _interest_change),
        "gamma": Figure("gamma", glyphs.gamma, 6, _gamma),
        "vega": Figure("vega", "vega", 5, _vega),
        "theta": Figure("theta", glyphs.theta, 5, _theta),
        "delta": Figure("delta", glyphs.delta, 4, _delta),
        "spread": Figure("spread", "sprd", 5, _spread),
        "last": Figure("last", "Last", last_width, _last),
    }


OUTSIDE_IN = ("volume", "open_interest", "change", "gamma", "vega", "theta", "delta", "spread", "last")
"""Order on the call side."""
IMPORTANCE = ("delta", "open_interest", "change", "last", "theta", "vega", "volume", "spread", "gamma")
"""Order of arrival as the pane grows."""


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

    @property
    def side_width(self) -> int:
        """Cells of one side."""
        return sum(figure.width + 1 for figure in self.outer) + 2 * self.widths.price + 2 + self.widths.position

    @property
    def middle_start(self) -> int:
        """Column of ``<``."""
        return 1 + self.side_width

    @property
    def middle_end(self) -> int:
        """Column after ``>``."""
        return self.middle_start + MIDDLE_SIGNS + self.widths.strike + IV_WIDTH


def chain_layout(width: int, widths: ColumnWidths, glyphs: Glyphs) -> ChainLayout:
    """Choose the columns that fit into ``width`` cells, most important first."""
    known_figures = figures(glyphs, widths.price)
    inner = 2 * widths.price + 2 + widths.position
    room = (width - EDGES - MIDDLE_SIGNS - widths.strike - IV_WIDTH) // 2 - inner
    chosen: set[str] = set()
    for name in IMPORTANCE:
        size = known_figures[name].width + 1
        if size > room:
            break
        chosen.add(name)
        room -= size
    outer = tuple(known_figures[name] for name in OUTSIDE_IN if name in chosen)
    layout = ChainLayout(widths=widths, outer=outer, width=width, margin=0)
    margin = max(0, width - layout.middle_end - layout.side_width - 1)
    return msgspec.structs.replace(layout, margin=margin)
