"""Pictures made of characters: what stands where, gaps, round values."""

from __future__ import annotations

import numpy as np
import pytest

from workstation.formatting import ASCII, UNICODE
from workstation.presenters.lines import text_of, width_of
from workstation.presenters.text_plot import Canvas, Span, framed, nice_values, span_of, tick_texts, x_line, y_labels

UNIT = Span(0.0, 10.0)


def drawn(canvas: Canvas) -> list[str]:
    """The rows as text."""
    return [text_of(line) for line in canvas.lines()]


def test_a_point_stands_at_its_place() -> None:
    """The lowest value is on the lowest row, the highest on the highest, and nothing else is drawn."""
    canvas = Canvas(10, 5, UNIT, UNIT, ASCII)
    canvas.points(np.array([0.0, 10.0]), np.array([0.0, 10.0]), "bold", "o")
    assert drawn(canvas) == ["         o", " " * 10, " " * 10, " " * 10, "o         "]


def test_values_outside_or_unknown_are_not_drawn() -> None:
    """NaN, infinity and what lies beyond the axes leave no sign."""
    canvas = Canvas(10, 5, UNIT, UNIT, ASCII)
    canvas.points(np.array([np.nan, 5.0, 5.0, 11.0]), np.array([5.0, np.nan, np.inf, 5.0]), "", "o")
    canvas.curve(np.array([-1.0, 12.0]), np.array([5.0, 5.0]), "", "*")
    assert "".join(drawn(canvas)).strip() == ""


def test_a_curve_joins_neighbours_and_breaks_at_a_gap() -> None:
    """Between two known points every column has a sign; across an unknown one none has."""
    canvas = Canvas(11, 1, Span(0.0, 10.999), Span(0.0, 1.0), ASCII)
    canvas.curve(np.array([0.0, 4.0, 5.0, 6.0, 10.0]), np.array([0.5, 0.5, np.nan, 0.5, 0.5]), "", "*")
    assert drawn(canvas) == ["***** *****"]


def test_braille_dots_are_finer_than_cells() -> None:
    """Eight dots share a cell; a diagonal over two cells uses both columns and all rows of each."""
    canvas = Canvas(2, 1, Span(0.0, 4.0), Span(0.0, 4.0), UNICODE)
    canvas.curve(np.array([0.5, 1.5, 2.5, 3.5]), np.array([0.5, 1.5, 2.5, 3.5]), "key", "*")
    assert drawn(canvas) == ["\u2860\u280a"]
    assert all(width_of(line) == 2 for line in canvas.lines())


def test_later_layers_lie_above_earlier_ones() -> None:
    """A point covers the line under it and brings its own tone."""
    canvas = Canvas(3, 3, UNIT, UNIT, ASCII)
    canvas.vertical(5.0, "muted")
    canvas.horizontal(5.0, "rule")
    canvas.points(np.array([5.0]), np.array([5.0]), "bold", "o")
    assert drawn(canvas) == [" | ", "-o-", " | "]
    assert ("o", "bold") in canvas.lines()[1]


@pytest.mark.parametrize(
    ("span", "most", "values"),
    [
        (Span(0.0, 10.0), 6, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
        (Span(11.9, 12.8), 3, [12.0, 12.5]),
        (Span(23_400.0, 25_400.0), 5, [23_500.0, 24_000.0, 24_500.0, 25_000.0]),
        (Span(0.1, 0.9), 0, []),
    ],
)
def test_values_at_the_axes_are_round(span: Span, most: int, values: list[float]) -> None:
    """Evenly spaced, inside, never more than asked for."""
    assert nice_values(span, most) == pytest.approx(values)


@pytest.mark.parametrize("most", range(1, 12))
@pytest.mark.parametrize("span", [Span(-3.7, 91.2), Span(1e-4, 3e-4), Span(-5e6, -1e6), Span(24_399.5, 24_400.5)])
def test_round_values_keep_to_their_number(span: Span, most: int) -> None:
    """Whatever the range: no more than asked for, and all inside."""
    values = nice_values(span, most)
    assert len(values) <= most
    assert all(span.low <= value <= span.high for value in values)


def test_texts_tell_neighbours_apart() -> None:
    """As many decimals as the step has; a single value has two."""
    assert tick_texts([12.0, 12.5, 13.0]) == ["12.0", "12.5", "13.0"]
    assert tick_texts([12.25, 12.5]) == ["12.25", "12.50"]
    assert tick_texts([24_000.0, 24_500.0]) == ["24,000", "24,500"]
    assert tick_texts([1.5]) == ["1.50"]


def test_a_span_of_nothing_is_none() -> None:
    """No known value, no picture; one value alone still has room around it."""
    assert span_of() is None
    assert span_of(np.array([np.nan])) is None
    lone = span_of(np.array([5.0]))
    assert lone is not None
    assert lone.low < 5.0 < lone.high
    flat = span_of(np.array([0.0, 0.0]))
    assert flat is not None
    assert flat.low < 0.0 < flat.high


def test_labels_stand_at_their_rows_and_columns() -> None:
    """A value's text is beside the row its point is on, and below the column its point is on."""
    labels = y_labels(Span(0.0, 10.0), 11)
    assert {row: float(words) for row, words in labels.items()} == {
        10 - int(float(v)): float(v) for v in labels.values()
    }
    rows = framed([((" ", ""),)] * 11, labels, 5, ASCII)
    assert text_of(rows[0]).startswith("   10|")
    line = text_of(x_line(Span(0.0, 100.0), 20, [0.0, 50.0, 55.0, 100.0], ["0", "50", "55", "100"], 4))
    assert line == "    0        50      100"
