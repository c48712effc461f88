"""The smile of one expiry: its picture, its figures, and the strikes that are dear or cheap against it.

Volatilities are shown in percent, differences in percentage points. Dear and cheap are judged by the
out-of-the-money side, whose quotes say most; the curve a strike is held against is fitted without that strike.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from engine.core.analysis import SmileView
from engine.core.views import Floats
from workstation.formatting import Glyphs, decimal_text, known, signed_price, strike, volatility, volatility_points
from workstation.presenters.lines import EMPTY, Line, Span, filled, right, wrapped
from workstation.presenters.text_plot import (
    HEIGHT_LEAST,
    WIDTH_LEAST,
    Canvas,
    framed,
    nice_values,
    span_of,
    tick_texts,
    x_line,
    y_labels,
)

PERCENT = 100.0
QUOTED_SIGN = "o"
CURVE_SIGN = "*"
LABEL_WIDTH = 5
BELOW_PICTURE = 2
"""Lines under the picture: strikes and legend."""
CELLS_PER_STRIKE_LABEL = 12
GRADE_WORDS = {"A": "good", "B": "fair", "C": "poor", "none": "no fit"}
WING_SHARE = 2.0
"""Strikes whose volatility is this many times that at the money are left to the table of the chain."""
CLOSE_STRIKES = 5
"""So many strikes to each side of the forward are drawn whatever their volatility."""
TAG_WIDTH = 6
STRIKE_WIDTH = 9
VOLATILITY_WIDTH = 6
POINTS_WIDTH = 9


class Mispriced(msgspec.Struct, frozen=True, kw_only=True):
    """One strike that differs from the curve of all others."""

    row: int
    strike: float
    by: float
    """Quoted mid minus theoretical price of the out-of-the-money side, index points."""


def smile_plot(view: SmileView, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Quotes, fitted curve and forward in exactly ``height`` lines.

    No more strikes than there are cells, and no far wings: they would press the middle flat.
    """
    across, down = width - LABEL_WIDTH - 1, height - BELOW_PICTURE
    rows = _around(view, across)
    quoted, fitted = view.quoted[rows] * PERCENT, view.fitted[rows] * PERCENT
    y = span_of(quoted, fitted)
    x = span_of(view.strikes[rows], margin=0.01)
    if x is None or y is None or across < WIDTH_LEAST or down < HEIGHT_LEAST:
        words = "no strike has a volatility" if y is None else "no room for the picture"
        reason = f"{words}: {view.reason}" if y is None and view.reason else words
        lines: list[Line] = [((f" {part}", "muted"),) for part in wrapped(reason, max(1, width - 2))]
        return [*lines, *[EMPTY] * height][:height]
    canvas = Canvas(across, down, x, y, glyphs)
    if view.forward is not None:
        canvas.vertical(view.forward, "muted")
    canvas.curve(view.strikes[rows], fitted, "key", CURVE_SIGN)
    canvas.points(view.strikes[rows], quoted, "bold", QUOTED_SIGN)
    values = nice_values(x, max(2, across // CELLS_PER_STRIKE_LABEL))
    legend: list[Span] = [
        (" " * (LABEL_WIDTH + 1), ""),
        (QUOTED_SIGN, "bold"),
        (" quoted  ", "muted"),
        (_curve_legend(glyphs), "key"),
        (" fitted  " if np.isfinite(fitted).any() else " no fit  ", "muted"),
        (glyphs.bar, "muted"),
        (f" forward {decimal_text(view.forward, 1) if view.forward is not None else glyphs.unknown}", "muted"),
    ]
    return [
        *framed(canvas.lines(), y_labels(y, down, tick_texts), LABEL_WIDTH, glyphs),
        x_line(x, across, values, [strike(value) for value in values], LABEL_WIDTH + 1),
        filled(legend, width),
    ]


def smile_figures(view: SmileView | None, glyphs: Glyphs) -> list[tuple[str, str]]:
    """Names and texts of what the fit says."""
    grade = view.grade if view is not None else ""
    words = f"{grade} {GRADE_WORDS.get(grade, '')}".strip() if grade not in {"", "none"} else GRADE_WORDS["none"]
    return [
        ("smile", words if view is not None else glyphs.unknown),
        ("ATM", volatility(view.atm_volatility if view is not None else None, glyphs)),
        ("residual", _unsigned(view.rms_residual if view is not None else None, glyphs)),
        ("RR 25", volatility_points(view.risk_reversal if view is not None else None, glyphs)),
        ("fly 25", volatility_points(view.butterfly if view is not None else None, glyphs)),
    ]


def mispriced(view: SmileView, most: int) -> tuple[list[Mispriced], list[Mispriced]]:
    """The strikes furthest above and furthest below the curve, ``most`` of each at most, furthest first."""
    by = out_of_the_money(view)
    order = [int(row) for row in np.argsort(-np.abs(by), kind="stable") if math.isfinite(by[row]) and by[row] != 0]
    found = [Mispriced(row=row, strike=float(view.strikes[row]), by=float(by[row])) for row in order]
    return [item for item in found if item.by > 0][:most], [item for item in found if item.by < 0][:most]


def out_of_the_money(view: SmileView) -> Floats:
    """Mispricing of the put below the forward and of the call from it on; NaN without a forward."""
    if view.forward is None:
        return np.full(len(view.strikes), np.nan)
    return np.where(view.strikes < view.forward, view.put_mispricing, view.call_mispricing)


def mispricing_lines(view: SmileView | None, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Headings, the richest and the cheapest strikes, in exactly ``height`` lines."""
    lines = [_headings(width)]
    if view is None:
        return [*lines, filled(((f" {glyphs.unknown}", "muted"),), width), *[EMPTY] * height][:height]
    room = max(2, height - 1)
    rich, cheap = mispriced(view, room)
    of_rich = min(len(rich), max(room - len(cheap), room // 2))
    for tag, items in (("rich", rich[:of_rich]), ("cheap", cheap[: room - of_rich])):
        lines += [_row(view, item, tag if not place else "", width, glyphs) for place, item in enumerate(items)]
    if not rich and not cheap:
        words = f"{glyphs.unknown} {view.reason or 'no strike differs from the curve of the others'}"
        lines += [((f" {part}", "muted"),) for part in wrapped(words, max(1, width - 2))]
    return [*lines, *[EMPTY] * height][:height]


def _headings(width: int) -> Line:
    text = (
        f" {'':<{TAG_WIDTH}}{'strike':>{STRIKE_WIDTH}}{'IV':>{VOLATILITY_WIDTH}}{'theor':>{VOLATILITY_WIDTH}}"
        f"{'CE pts':>{POINTS_WIDTH}}{'PE pts':>{POINTS_WIDTH}}"
    )
    return filled(((text, "header"),), width, "header")


def _row(view: SmileView, item: Mispriced, tag: str, width: int, glyphs: Glyphs) -> Line:
    call = view.forward is not None and item.strike >= view.forward
    cells = (float(view.call_mispricing[item.row]), float(view.put_mispricing[item.row]))
    spans: list[Span] = [
        (f" {tag:<{TAG_WIDTH}}", "muted"),
        (right(strike(item.strike), STRIKE_WIDTH), "bold"),
        (right(volatility(float(view.quoted[item.row]), glyphs), VOLATILITY_WIDTH), ""),
        (right(volatility(float(view.theoretical[item.row]), glyphs), VOLATILITY_WIDTH), "muted"),
        (right(signed_price(cells[0], glyphs), POINTS_WIDTH), "bold" if call else "muted"),
        (right(signed_price(cells[1], glyphs), POINTS_WIDTH), "muted" if call else "bold"),
    ]
    return filled(spans, width)


def _around(view: SmileView, most: int) -> slice:
    """The strikes to draw: at most ``most`` next to the forward, as far out as volatility has not doubled."""
    shown = np.where(np.isfinite(view.fitted), view.fitted, view.quoted)
    seen = np.isfinite(view.quoted) | np.isfinite(view.fitted)
    if not seen.any():
        return slice(0, 0)
    first, after = int(np.flatnonzero(seen)[0]), int(np.flatnonzero(seen)[-1]) + 1
    if view.forward is None:
        return slice(first, min(after, first + max(most, 1)))
    middle = int(np.argmin(np.abs(view.strikes - view.forward)))
    if view.atm_volatility is not None:
        wings = np.flatnonzero(shown > WING_SHARE * view.atm_volatility)
        low, high = wings[wings < middle - CLOSE_STRIKES], wings[wings > middle + CLOSE_STRIKES]
        first = max(first, int(low[-1]) + 1) if low.size else first
        after = min(after, int(high[0])) if high.size else after
    if after - first <= most:
        return slice(first, after)
    start = min(max(middle - most // 2, first), after - most)
    return slice(start, start + most)


def _unsigned(value: float | None, glyphs: Glyphs) -> str:
    return decimal_text(value * PERCENT, 2) if value is not None and known(value) else glyphs.unknown


def _curve_legend(glyphs: Glyphs) -> str:
    return "\u2812\u2812" if glyphs.dots else CURVE_SIGN
