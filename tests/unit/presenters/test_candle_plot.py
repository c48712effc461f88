"""Signs of one candle: each level that its prices span is drawn, and no other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.formatting import ASCII, UNICODE
from workstation.presenters.candle_plot import BODY, NONE, WICK, Candle, bar_cells, candle_cells, levels_of
from workstation.presenters.text_plot import Span

BOTH, UPPER, LOWER = (True, True), (True, False), (False, True)
INK = {
    "█": BOTH,
    "▀": UPPER,
    "▄": LOWER,
    "┃": BOTH,
    "╹": UPPER,
    "╻": LOWER,
    "╿": BOTH,
    "╽": BOTH,
    "│": BOTH,
    "╵": UPPER,
    "╷": LOWER,
    "┼": BOTH,
    "─": BOTH,
}
"""Which half of its cell each sign fills."""
ROSE, FELL = set("█▀▄"), set("┃╹╻╿╽")
SPAN = Span(0.0, 10.0)


def column(candle: Candle, rows: int = 5, pitch: int = 1) -> list[str]:
    """The middle column from the top."""
    cells = candle_cells(candle, SPAN, rows, pitch, UNICODE)
    return [cells.get((0, row), (" ", ""))[0] for row in range(rows)]


def test_a_candle_that_rose_is_full() -> None:
    """Open 2, high 9, low 1, close 6 in five rows of two levels each: wick, body, wick by half cells."""
    assert levels_of(Candle(2.0, 9.0, 1.0, 6.0), SPAN, 10) == (1, 2, 6, 9)
    assert column(Candle(2.0, 9.0, 1.0, 6.0)) == ["│", "▄", "█", "█", "╵"]


def test_a_candle_that_fell_is_hollow() -> None:
    """The same prices the other way round: heavy lines with light wicks, in the same cells."""
    assert column(Candle(6.0, 9.0, 1.0, 2.0)) == ["│", "╽", "┃", "┃", "╵"]


def test_an_unchanged_candle_is_a_cross_or_a_dash() -> None:
    """A wick through the price makes a cross; without any wick it is a dash."""
    assert column(Candle(5.0, 8.0, 3.0, 5.0)) == ["╷", "│", "┼", "╵", " "]
    assert column(Candle(5.0, 5.0, 5.0, 5.0)) == [" ", " ", "─", " ", " "]


def test_wide_candles_have_an_outline() -> None:
    """Three cells: full ones are solid, hollow ones have a frame and nothing inside."""
    rose = candle_cells(Candle(2.0, 9.0, 1.0, 6.0), SPAN, 5, 4, UNICODE)
    fell = candle_cells(Candle(8.0, 9.0, 1.0, 2.0), SPAN, 5, 4, UNICODE)

    def text(cells: dict[tuple[int, int], tuple[str, str]]) -> list[str]:
        return ["".join(cells.get((across, row), (" ", ""))[0] for across in (-1, 0, 1)) for row in range(5)]

    assert text(rose) == [" │ ", "▄▄▄", "███", "███", " ╵ "]
    assert text(fell) == ["┏━┓", "┃ ┃", "┃ ┃", "┗━┛", " ╵ "]


def test_a_plain_terminal_has_one_level_a_row() -> None:
    """# rose, x fell, - stayed."""
    for candle, expected in (
        (Candle(2.0, 9.0, 1.0, 6.0), "|###|"),
        (Candle(6.0, 9.0, 1.0, 2.0), "|xxx|"),
        (Candle(5.0, 9.0, 1.0, 5.0), "||-||"),
    ):
        cells = candle_cells(candle, SPAN, 5, 1, ASCII)
        drawn = "".join(cells.get((0, row), (" ", ""))[0] for row in range(5))
        assert drawn.isascii()
        assert drawn == expected


prices = st.floats(min_value=0.05, max_value=100_000.0, allow_nan=False)


@given(st.tuples(prices, prices, prices, prices), st.integers(1, 40), st.sampled_from([1, 2, 4]))
def test_exactly_the_levels_of_the_prices_are_drawn(
    four: tuple[float, float, float, float], rows: int, pitch: int
) -> None:
    """For any candle: halves with ink are those between low and high; the body's sign tells which way it went."""
    low, opened, close, high = min(four), four[1], four[2], max(four)
    candle = Candle(opened, high, low, close)
    span = Span(low * 0.98 - 0.01, high * 1.02 + 0.01)
    levels = levels_of(candle, span, 2 * rows)
    assert levels is not None
    scale = (span.high - span.low) / (2 * rows)
    for level, price in ((levels.low, low), (levels.high, high), (levels.bottom, min(opened, close))):
        assert span.low + level * scale <= price * (1 + 1e-9) + 1e-9
        assert price <= span.low + (level + 1) * scale * (1 + 1e-9) + 1e-6
    cells = candle_cells(candle, span, rows, pitch, UNICODE)
    assert {row for across, row in cells if across == 0} == {
        rows - 1 - level // 2 for level in range(levels.low, levels.high + 1)
    }
    for (across, row), (sign, tone) in cells.items():
        parts = tuple(levels.at(2 * (rows - 1 - row) + half) for half in (1, 0))
        assert tone == ("gain" if close > opened else "loss" if close < opened else "")
        if across or pitch == 4:
            continue
        if BODY not in parts:
            assert INK[sign] == (parts[0] == WICK, parts[1] == WICK)
            assert sign in "│╵╷"
        elif opened != close:
            assert sign in (ROSE if close > opened else FELL)
            # A full half block hides the wick beside it in its own cell, and never anything of the body.
            assert all(ink for part, ink in zip(parts, INK[sign], strict=True) if part == BODY)
            assert not any(ink for part, ink in zip(parts, INK[sign], strict=True) if part == NONE)
        else:
            assert sign in "┼─"


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["blocks", "plain"])
def test_what_is_not_known_is_never_drawn(place: int, value: float, glyphs: object) -> None:
    """One price that is no number: no candle at all."""
    figures = [2.0, 9.0, 1.0, 6.0]
    figures[place] = value
    chosen = ASCII if glyphs is ASCII else UNICODE
    assert candle_cells(Candle(*figures), SPAN, 5, 1, chosen) == {}


@pytest.mark.parametrize(
    ("value", "signs"),
    [(8.0, ["█", "█"]), (4.0, [" ", "█"]), (6.0, ["▄", "█"]), (0.01, [" ", "▁"]), (0.0, [" ", " "])],
)
def test_a_bar_is_as_high_as_its_value(value: float, signs: list[str]) -> None:
    """In eighths of a row; what is not zero is seen, what is not known has no bar."""
    cells = bar_cells(value, 8.0, 2, 1, UNICODE)
    assert [cells.get((0, row), (" ", ""))[0] for row in range(2)] == signs
    assert bar_cells(math.nan, 8.0, 2, 1, UNICODE) == {}
    assert bar_cells(value, 0.0, 2, 1, UNICODE) == {}
