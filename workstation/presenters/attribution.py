"""Why the money moved: the parts the engine found, with their signs, and their sum.

The parts shown add up to the sum shown; what no Greek explains has a line of its own and is never hidden in another.
"""

from __future__ import annotations

from decimal import Decimal

from engine.core.analysis import AttributionView
from workstation.formatting import Glyphs, clock_time, full_time, india, money, round_parts
from workstation.presenters.lines import EMPTY, Line, Span, filled, left, right, wrapped
from workstation.presenters.money_axis import tone_of

MONEY_WIDTH = 12
NAME_WIDTH = 13
GAP = 3
TWO_COLUMNS_FROM = 2 * (MONEY_WIDTH + NAME_WIDTH + 1) + GAP
"""Cells from which a low pane shows two columns."""
BAR_LEAST = 8
BAR_MOST = 40
BLOCK, PLAIN = "▪", "="
NAMES = (
    ("delta", "{delta} delta"),
    ("gamma", "½{gamma} gamma"),
    ("theta", "{theta} theta"),
    ("vega", "vega"),
    ("vanna", "vanna"),
    ("vomma", "vomma"),
    ("rate", "rate"),
    ("spread", "spread paid"),
    ("charges", "charges"),
    ("unexplained", "no mark"),
    ("residual", "residual"),
)
"""Each part of the view and its words; ``½`` is written ``1/2`` where there are only plain signs."""


def attribution_title(view: AttributionView | None, glyphs: Glyphs) -> list[Line]:
    """Since when."""
    if view is None:
        return []
    same_day = india(view.since).date() == india(view.at).date()
    since = clock_time(view.since) if same_day else full_time(view.since).removesuffix(" IST")
    kind = "net" if view.charges is not None else f"charges {glyphs.unknown}, gross"
    return [((f"since {since}", "muted"),), ((f"at mid, {kind}", "muted"),)]


def attribution_parts(view: AttributionView) -> tuple[list[tuple[str, Decimal | None]], Decimal]:
    """Every part with the name of its field, rounded so that those known add up to the rounded total beside them."""
    found: list[tuple[str, Decimal | None]] = [(name, getattr(view, name)) for name, _ in NAMES]
    rounded_parts, total = round_parts([part for _, part in found if part is not None])
    shown = iter(rounded_parts)
    return [(name, None if part is None else next(shown)) for name, part in found], total


def attribution_lines(view: AttributionView | None, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """The parts and their sum in exactly ``height`` lines, in two columns where the pane is low."""
    if view is None:
        return [EMPTY] * height
    parts, total = attribution_parts(view)
    words = dict(NAMES)
    cells = [_cell(_words(words[name], glyphs), value, glyphs) for name, value in parts]
    cells.append(_cell("sum", total, glyphs, tone="bold"))
    if len(cells) > height and width >= TWO_COLUMNS_FROM:
        half = -(-len(cells) // 2)
        lines: list[Line] = [
            (*first, (" " * GAP, ""), *(cells[half + place] if half + place < len(cells) else EMPTY))
            for place, first in enumerate(cells[:half])
        ]
    elif len(cells) > height:
        # Where there is no room for all, the sum stays and the smallest parts go: they are said to be left out.
        ranked = sorted(range(len(parts)), key=lambda place: -abs(parts[place][1] or Decimal(0)))
        kept = sorted(ranked[: max(0, height - 2)])
        rest = sum((parts[place][1] or Decimal(0) for place in ranked[max(0, height - 2) :]), Decimal(0))
        lines = [*(cells[place] for place in kept), _cell("smaller ones", rest, glyphs), cells[-1]]
    else:
        most = max((abs(value) for _, value in parts if value is not None), default=Decimal(0))
        room = min(width - MONEY_WIDTH - NAME_WIDTH - GAP, BAR_MOST)
        lines = [(*cell, *_bar(value, most, room, glyphs)) for cell, (_, value) in zip(cells, parts, strict=False)]
        lines.append(cells[-1])
    if view.reason and len(lines) < height:
        lines += [((f" {part}", "attention"),) for part in wrapped(view.reason, max(1, width - 2))]
    return [filled(line, width) if line else line for line in [*lines, *[EMPTY] * height][:height]]


def attribution_reasons(view: AttributionView | None) -> list[str]:
    """What is not explained, and why."""
    if view is None:
        return []
    reasons = [f"Why the money moved: {view.reason}"] if view.reason else []
    if view.charges is None:
        reasons.append("Why the money moved: the charges are not known, so the sum is without them.")
    if view.unexplained:
        reasons.append("Why the money moved: a leg had no mark for a time; its change then is the line no mark.")
    return reasons


def _cell(name: str, value: Decimal | None, glyphs: Glyphs, *, tone: str = "") -> Line:
    figure: Span = (right(money(value, glyphs), MONEY_WIDTH), f"{tone} {tone_of(value)}".strip())
    return ((f" {left(name, NAME_WIDTH, glyphs)}", tone or "muted"), figure)


def _bar(value: Decimal | None, most: Decimal, room: int, glyphs: Glyphs) -> Line:
    """How much of the largest part; its tone and the figure's sign say which way."""
    if value is None or not most or room < BAR_LEAST:
        return EMPTY
    sign = BLOCK if glyphs.dots else PLAIN
    return (("  ", ""), (sign * int((abs(value) * room / most).to_integral_value()), tone_of(value)))


def _words(template: str, glyphs: Glyphs) -> str:
    text = template.format(delta=glyphs.delta, gamma=glyphs.gamma, theta=glyphs.theta)
    return text if glyphs.delta == "Δ" else text.replace("½", "1/2 ")
