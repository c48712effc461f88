"""Volatility across expiries: a row for each, a bar where there is room, and in words what cannot be."""

from __future__ import annotations

from engine.core.analysis import ExpiryVolatility, VolatilityView
from workstation.formatting import Glyphs, decimal_text, expiry_day, known, volatility
from workstation.presenters.lines import EMPTY, Line, Span, filled, left, right, wrapped

DAY_WIDTH = 7
LABEL_WIDTH = 6
DAYS_WIDTH = 6
FIGURE_WIDTH = 7
BAR_FROM_WIDTH = 14
"""Cells left over from which a bar is drawn."""
BAR_MOST = 40
BAR_SIGN = "="
COMPARED_LEAST = 2
"""Expiries with a volatility without which nothing can be compared."""
NOT_COMPARED = "calendar not checked: fewer than two expiries have a volatility"
NO_BREACH = "no calendar breach between these expiries"


def term_lines(view: VolatilityView | None, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Headings, expiries and breaches in exactly ``height`` lines; breaches are never what gives way."""
    lines = [_headings(width)]
    if view is None:
        return [*lines, filled(((f" {glyphs.unknown}", "muted"),), width), *[EMPTY] * height][:height]
    breaches = _breach_lines(view, width)
    room = max(1, height - 1 - len(breaches))
    volatilities = [term.atm_volatility for term in view.terms if term.atm_volatility is not None]
    highest = max((value for value in volatilities if known(value)), default=None)
    rows = [_row(term, highest, width, glyphs) for term in view.terms]
    if len(rows) > room:
        rows = [*rows[: room - 1], filled(((f" {len(view.terms) - room + 1} more expiries", "muted"),), width)]
    if not rows:
        rows = [filled(((f" {glyphs.unknown}  no expiry is listed", "muted"),), width)]
    return [*lines, *rows, *breaches, *[EMPTY] * height][:height]


def _breach_lines(view: VolatilityView, width: int) -> list[Line]:
    if view.calendar_breaches:
        return [
            ((f" {part}", "attention"),)
            for words in view.calendar_breaches
            for part in wrapped(words, max(1, width - 2))
        ]
    compared = sum(1 for term in view.terms if known(term.atm_volatility))
    words = NO_BREACH if compared >= COMPARED_LEAST else NOT_COMPARED
    return [((f" {part}", "muted"),) for part in wrapped(words, max(1, width - 2))]


def _headings(width: int) -> Line:
    names = f" {'expiry':<{DAY_WIDTH}}{'':<{LABEL_WIDTH}}{'days':>{DAYS_WIDTH}}"
    text = f"{names}{'ATM':>{FIGURE_WIDTH}}{'fwd':>{FIGURE_WIDTH}}"
    return filled(((text, "header"),), width, "header")


def _row(term: ExpiryVolatility, highest: float | None, width: int, glyphs: Glyphs) -> Line:
    spans: list[Span] = [
        (f" {expiry_day(term.expiry):<{DAY_WIDTH}}", ""),
        (left(term.labels[0] if term.labels else "", LABEL_WIDTH, glyphs), "muted"),
        (right(decimal_text(term.days, 1), DAYS_WIDTH), "muted"),
        (right(volatility(term.atm_volatility, glyphs), FIGURE_WIDTH), "bold"),
        (right(volatility(term.forward_volatility, glyphs), FIGURE_WIDTH), ""),
    ]
    room = min(width - 1 - sum(len(text) for text, _ in spans) - 2, BAR_MOST)
    if room >= BAR_FROM_WIDTH and highest and term.atm_volatility is not None and known(term.atm_volatility):
        spans += [("  ", ""), (BAR_SIGN * max(1, round(room * term.atm_volatility / highest)), "key")]
    return filled(spans, width)
