"""What a strategy would gain or lose against now: moves of the forward across, shifts of volatility down.

Each cell is the engine's figure, shortened; its sign is its tone as well. A cell that is not known is the unknown sign.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.analysis import ScenarioView
from workstation.formatting import Glyphs, decimal_text, known
from workstation.presenters.lines import EMPTY, Line, Span, filled, right, wrapped
from workstation.presenters.money_axis import CELL_WIDTH, short_money, tone_of
from workstation.presenters.payoff import moment_words

COLUMN = CELL_WIDTH + 1
SHIFT_WIDTH = 6
HEADINGS = 2
PERCENT = 100.0
COLUMN_MOST = 10
"""A wide pane spreads its columns up to this."""
MOVE_STEPS = ((13, 0.005), (11, 0.005), (7, 0.01), (5, 0.01), (3, 0.01))
"""How many columns, and how far apart, widest grid first."""
SHIFT_STEPS = ((13, 0.01), (9, 0.01), (7, 0.02), (5, 0.02), (3, 0.02))
"""The same for rows, in annual volatility."""


def grid_moves(width: int) -> tuple[float, ...]:
    """The moves that fit into ``width`` cells, the present in the middle."""
    return _axis((width - SHIFT_WIDTH) // COLUMN, MOVE_STEPS)


def grid_shifts(height: int) -> tuple[float, ...]:
    """The shifts that fit into ``height`` lines, highest first, the present in the middle."""
    return tuple(reversed(_axis(height - HEADINGS - 1, SHIFT_STEPS)))


def scenario_title(view: ScenarioView | None) -> list[Line]:
    """What the cells are."""
    if view is None:
        return []
    ahead = moment_words(view.days_ahead, 0.0)
    words: Line = (("money against now, gross", "muted"),)
    return [((ahead, "attention"),), words] if ahead else [words]


def scenario_lines(view: ScenarioView | None, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """The grid in exactly ``height`` lines."""
    if view is None:
        return [EMPTY] * height
    if not len(view.moves) or not len(view.shifts):
        words = view.reason or "no move was asked for"
        lines: list[Line] = [((f"  {part}", "muted"),) for part in wrapped(words, max(1, width - 2))]
        return [*lines, *[EMPTY] * height][:height]
    across = min(max((width - SHIFT_WIDTH) // len(view.moves), COLUMN), COLUMN_MOST)
    lines = [_moves_line(view, across, glyphs), _forwards_line(view, across, glyphs)]
    middle = _nearest_zero(view.moves.tolist())
    for row, shift in enumerate(view.shifts.tolist()):
        here = row == _nearest_zero(view.shifts.tolist())
        spans: list[Span] = [(right(decimal_text(shift * PERCENT, 1, sign=True), SHIFT_WIDTH), "bold" if here else "")]
        for column, value in enumerate(view.profit[row].tolist()):
            tone = tone_of(value)
            text = short_money(value, glyphs).rjust(across)
            spans.append((text, f"atm {tone}".strip() if here or column == middle else tone))
        lines.append(tuple(spans))
    if view.reason and len(lines) < height:
        lines += [((f"  {part}", "attention"),) for part in wrapped(view.reason, max(1, width - 2))]
    return [filled(line, width) if line else line for line in [*lines, *[EMPTY] * height][:height]]


def scenario_reasons(view: ScenarioView | None) -> list[str]:
    """Why cells are missing."""
    return [f"Scenario: {view.reason}"] if view is not None and view.reason else []


def _moves_line(view: ScenarioView, across: int, glyphs: Glyphs) -> Line:
    spans: list[Span] = [(right("vol", SHIFT_WIDTH), "header")]
    middle = _nearest_zero(view.moves.tolist())
    for column, move in enumerate(view.moves.tolist()):
        text = f"{decimal_text(move * PERCENT, 1, sign=True)}%" if known(move) else glyphs.unknown
        spans.append((text.rjust(across), "header bold" if column == middle else "header"))
    return tuple(spans)


def _forwards_line(view: ScenarioView, across: int, glyphs: Glyphs) -> Line:
    spans: list[Span] = [(right("fwd", SHIFT_WIDTH), "header")]
    for move in view.moves.tolist():
        forward = None if view.forward is None else view.forward * (1 + move)
        text = glyphs.unknown
        if forward is not None and known(forward):
            text = decimal_text(forward, 0)
            text = text if len(text) < across else decimal_text(forward, 0, group=False)
        spans.append((text.rjust(across), "muted"))
    return tuple(spans)


def _axis(room: int, steps: Sequence[tuple[int, float]]) -> tuple[float, ...]:
    for count, step in steps:
        if count <= room:
            half = count // 2
            return tuple(round(place * step, 6) for place in range(-half, half + 1))
    return (0.0,)


def _nearest_zero(values: Sequence[float]) -> int:
    return min(range(len(values)), key=lambda place: abs(values[place]))
