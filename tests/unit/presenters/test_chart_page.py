"""The chart as lines: what stands where is what the numbers say, at every size and scale."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from engine.core.bars import BarInterval, BarsView
from engine.core.vocabulary import QuoteState
from tests.unit.presenters.chart_kit import DAY_S, NAN, OPEN, Prices, picture_of, steps, view_of
from workstation.formatting import ASCII, UNICODE, Glyphs
from workstation.presenters.candle_plot import Candle, candle_cells
from workstation.presenters.chart_axis import price_labels, price_places, price_span, time_line
from workstation.presenters.chart_choice import BELOW, OVER, ChartChoice
from workstation.presenters.chart_drawing import ChartPicture
from workstation.presenters.chart_page import chart_page, label_width, why_sentences
from workstation.presenters.chart_slots import Sight, slots_of
from workstation.presenters.lines import TONES, text_of, width_of
from workstation.presenters.seen import Seen
from workstation.presenters.text_plot import Span

PLAIN = ChartChoice(letters=frozenset())
SIZES = [(80, 20), (120, 32), (200, 56)]


def drawn(
    picture: ChartPicture,
    choice: ChartChoice = PLAIN,
    size: tuple[int, int] = (80, 20),
    glyphs: Glyphs = UNICODE,
    sight: Sight = Sight(),  # noqa: B008 - frozen
) -> list[str]:
    """The page as text; its lines are exactly as wide as asked for and name known tones only."""
    lines = chart_page(picture, choice, sight, size, glyphs, simulated=False)
    assert len(lines) == size[1]
    assert all(width_of(line) == size[0] for line in lines)
    assert {word for line in lines for _, tone in line for word in tone.split()} <= TONES
    return [text_of(line) for line in lines]


def price_rows(lines: list[str], label: int = 6) -> list[str]:
    """The rows of the candles: those with an axis ``label`` and one cells from the right, above the first rule."""
    end = next(place for place, line in enumerate(lines) if place and line.startswith("─"))
    return [line for line in lines[1:end] if line[-label - 1] in "│<"]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("scale", "tick"), [(1.0, 0.05), (0.05, 0.05), (24_000.0, 0.05), (0.0025, 0.0025)])
def test_every_candle_stands_in_the_rows_of_its_prices(size: tuple[int, int], scale: float, tick: float) -> None:
    """For an option of 0.05 a tick, an index of 24,000 points and a currency: column by column, row by row."""
    count = 40
    prices = np.random.default_rng(5).integers(20, 80, (count, 2)).astype(float)
    rows: list[tuple[int, Prices]] = []
    for place, (opened, closed) in enumerate(prices):
        low, high = min(opened, closed) - place % 3, max(opened, closed) + place % 4
        four = (opened * scale, high * scale, low * scale, closed * scale)
        rows.append((OPEN + place * 300, four))
    view = view_of(rows)
    picture = picture_of(view, tick=tick)
    lines = price_rows(drawn(picture, size=size), label_width(picture))
    span = price_span(view.low, view.high, (), tick)
    assert span is not None
    last_row = len(lines) - 1 - (span.place(float(view.close[-1]), len(lines)) or 0)
    across = size[0] - label_width(picture) - 2
    for place, (_, four) in enumerate(rows):
        cells = candle_cells(Candle(*four), span, len(lines), 1, UNICODE)
        shown = {row: line[place] for row, line in enumerate(lines) if line[place] not in " ╌"}
        assert shown == {row: sign for (_, row), (sign, _) in cells.items()}
    blank = {line[column] for line in lines for column in range(count, across)}
    assert blank <= {" ", "╌"}
    assert lines[last_row].count("╌") >= across - count
    assert lines[last_row].endswith(f"<{f'{view.close[-1]:,.{price_places(tick)}f}':>{label_width(picture)}}") or (
        scale == 24_000.0
    )


def test_labels_are_where_their_prices_are() -> None:
    """Each label's row is the row of its price; prices have two decimals, and no label lies between ticks."""
    for span, tick in ((Span(23_990.0, 24_410.0), 0.05), (Span(0.0, 0.25), 0.05), (Span(118.0, 152.0), 0.05)):
        labels = price_labels(span, 20, tick)
        assert len(labels) >= 2
        for row, text in labels.items():
            value = float(text.replace(",", ""))
            assert span.place(value, 20) == 19 - row
            assert abs(value / tick - round(value / tick)) < 1e-6
            assert text.split(".")[1].__len__() == 2


@pytest.mark.parametrize(("tick", "places"), [(0.05, 2), (0.01, 2), (0.0025, 4), (1.0, 2)])
def test_decimals_follow_the_tick(tick: float, places: int) -> None:
    """Currencies have four."""
    assert price_places(tick) == places


def test_flat_prices_have_a_scale_that_is_not_negative() -> None:
    """An option that stood at 0.05 all day is drawn between zero and some ticks above it."""
    flat = np.full(5, 0.05)
    span = price_span(flat, flat, (), 0.05)
    assert span is not None
    assert span.low == 0.0
    assert span.high == pytest.approx(0.25)
    assert price_span(np.array([NAN]), np.array([NAN]), (), 0.05) is None


def test_a_study_widens_the_scale_a_little_at_most() -> None:
    """A Supertrend far away does not press the candles flat."""
    span = price_span(np.array([100.0]), np.array([110.0]), (np.array([500.0, NAN]),), 0.05)
    assert span is not None
    assert 110.0 < span.high < 114.0


# --- words ---------------------------------------------------------------------------------------------------------


def test_the_candle_under_the_cursor_is_told_in_figures() -> None:
    """Open, high, low, close, change from the close before, volume and interest in lakh units."""
    rows = [(OPEN, (100.0, 104.0, 99.0, 100.0)), (OPEN + 300, (100.0, 106.5, 99.5, 102.5))]
    view = view_of(rows, volume=[650.0, 130_000.0], running=True, partial=[0])
    lines = drawn(picture_of(view), size=(120, 32))
    assert (
        " ".join(lines[1].split())
        == "25 Nov 09:20 O 100.00 H 106.50 L 99.50 C 102.50 +2.50 +2.50% vol 1.3 lk OI 0.13 lk RUNNING"
    )
    lines = drawn(picture_of(view), size=(120, 32), sight=Sight(cursor=OPEN))
    assert (
        " ".join(lines[1].split()) == "25 Nov 09:15 O 100.00 H 104.00 L 99.00 C 100.00 — vol 0.01 lk OI 0.13 lk PARTIAL"
    )


def test_partial_running_and_cursor_are_marked_below() -> None:
    """By letters, on a plain terminal too; the cursor's own marks are words above."""
    view = view_of(steps(6), partial=[1, 4], running=True)
    for glyphs in (UNICODE, ASCII):
        lines = drawn(picture_of(view), glyphs=glyphs, sight=Sight(cursor=OPEN + 600))
        assert lines[-2].startswith(" p^ pr ")


def test_gaps_are_dotted_and_counted() -> None:
    """Ten missing minutes are two dotted columns, through the volume too, and a number in the title."""
    view = view_of([*steps(3), *steps(3, first=OPEN + 1500)], gaps=((OPEN + 900, OPEN + 1500),))
    lines = drawn(picture_of(view))
    assert "10 min missing" in lines[0]
    assert all(line[3:5] == "··" for line in price_rows(lines))
    assert lines[-3][3:5] == "··"
    assert "10 minutes of what is loaded are missing; they are dotted." in why_sentences(picture_of(view), PLAIN)


def test_a_line_parts_two_days_and_the_times_say_so() -> None:
    """A column of bars between them, the date below it."""
    view = view_of([*steps(20), *steps(20, first=OPEN + DAY_S)])
    lines = drawn(picture_of(view))
    assert all(line[20] == "│" for line in price_rows(lines))
    assert lines[-1].index("26 Nov") == 20
    assert lines[-1].rstrip().endswith("IST")


@pytest.mark.parametrize(
    ("interval", "pitch", "expected"),
    [
        (BarInterval.MINUTE, 1, ["09:20", "09:30"]),
        (BarInterval.MINUTES_3, 2, ["09:15", "09:30", "09:45"]),
        (BarInterval.MINUTES_5, 1, ["10:00", "11:00"]),
        (BarInterval.MINUTES_15, 4, ["10:00", "11:00"]),
    ],
)
def test_times_are_round_and_stand_under_their_candles(interval: BarInterval, pitch: int, expected: list[str]) -> None:
    """Every text is the start of the candle that its third sign stands under."""
    minutes = interval.minutes
    slots = slots_of(view_of(steps(25, minutes=minutes), interval=interval))
    line = time_line(slots, minutes, pitch, 25 * pitch)
    assert len(line) == 25 * pitch
    words = line.split()
    assert words[: len(expected)] == expected
    for word in words:
        hours, rest = map(int, word.split(":"))
        place = (hours * 60 + rest - 9 * 60 - 15) // minutes
        assert line.index(word) == max(0, place * pitch - 2)


def test_hours_are_labelled_by_their_candles() -> None:
    """Candles of an hour begin at a quarter past: the one that noon falls into is named by its start."""
    slots = slots_of(view_of(steps(6, minutes=60), interval=BarInterval.MINUTES_60))
    assert time_line(slots, 60, 4, 24).split() == ["11:15"]


# --- studies and strips ----------------------------------------------------------------------------------------------


def studied(letters: str, count: int = 40) -> tuple[BarsView, ChartChoice]:
    """Candles with every column that the chosen studies draw."""
    choice = ChartChoice(letters=frozenset(letters))
    columns = {}
    for study in (*OVER, *BELOW):
        for _, name in study.columns():
            if name:
                columns[name] = np.linspace(101.0, 106.0, count) if study in OVER else np.linspace(20.0, 80.0, count)
    return view_of(steps(count), columns=columns), choice


def test_studies_never_hide_a_candle_and_have_their_letter_at_the_edge() -> None:
    """Each cell of a candle is the same with a line through it; the letter stands at the row of the last figure."""
    view, choice = studied("e")
    bare, full = drawn(picture_of(view), PLAIN, (120, 32)), drawn(picture_of(view), choice, (120, 32))
    before, after = price_rows(bare), price_rows(full)
    signs = set("█▀▄┃╹╻╿╽│╵╷┼")
    assert len(before) == len(after)
    candles = 0
    for row, line in enumerate(before):
        for column, sign in enumerate(line[:40]):
            if sign in signs:
                candles += 1
                assert after[row][column] == sign
    assert candles > 40
    span = price_span(view.low, view.high, (view.columns["ema_20"],), 0.05)
    assert span is not None
    rows = [row for row, line in enumerate(after) if line[-label_width(picture_of(view)) - 2] == "e"]
    assert rows == [len(after) - 1 - (span.place(106.0, len(after)) or 0)]


def test_every_study_is_told_with_its_letter_and_drawn() -> None:
    """All over the candles at once: five letters before their names, and dots in cells of no candle."""
    view, choice = studied("evbsc")
    lines = drawn(picture_of(view), choice, (200, 56))
    head = " ".join(" ".join(lines[1:3]).split())
    for words in ("e EMA 20 106.00", "v VWAP 106.00", "b upper 106.00 lower 106.00", "s Supertrend 106.00", "c top"):
        assert words in head
    assert any("⠀" < sign <= "⣿" for line in price_rows(lines) for sign in line)
    plain = drawn(picture_of(view), choice, (200, 56), ASCII)
    assert any("e" in line[:40] for line in plain[4:30])


def test_a_study_is_broken_where_it_is_not_known() -> None:
    """Its first candles have no figure: nothing is drawn there, and what is missing is said."""
    view, choice = studied("e")
    values = view.columns["ema_20"].copy()
    values[:20] = NAN
    view = msgspec.structs.replace(view, columns={**view.columns, "ema_20": values})
    rows = drawn(picture_of(view), choice, (120, 32))[2:20]
    braille = {place for line in rows for place, sign in enumerate(line[:100]) if "⠀" < sign <= "⣿"}
    assert braille
    assert min(braille) >= 19
    nothing = msgspec.structs.replace(view, columns={})
    assert "EMA 20 has no figure" in " ".join(why_sentences(picture_of(nothing), choice))
    assert "e EMA 20 —" in " ".join(drawn(picture_of(nothing), choice, (120, 32))[1].split())


def test_strips_have_their_own_scale_and_say_when_there_is_no_room() -> None:
    """RSI between its guides; at a low picture what does not fit is named in the title."""
    view, choice = studied("rao")
    lines = drawn(picture_of(view), choice, (120, 40))
    text = "\n".join(lines)
    assert "─ RSI 14 80.00 ─" in text
    assert "─ OI lakh 0.13 ─" in text
    assert text.count("   70") == 1
    low = drawn(picture_of(view), choice, (80, 16))
    assert "no room for RSI 14, ATR 14, OI lakh" in low[0]


def test_an_index_has_no_volume_and_no_strip_for_it() -> None:
    """Nothing stands in for what is not there."""
    lines = drawn(picture_of(view_of(steps(9), volume=[NAN] * 9)))
    assert not any("volume" in line for line in lines)
    assert "vol" not in lines[1]


def test_a_candle_with_an_unknown_price_is_left_out() -> None:
    """Its column is blank, its figures are unknown, and the others stand where they stood."""
    view = view_of([*steps(3), (OPEN + 900, (100.0, NAN, 99.0, 101.0)), *steps(2, first=OPEN + 1200)])
    lines = drawn(picture_of(view), sight=Sight(cursor=OPEN + 900))
    assert {line[3] for line in price_rows(lines)} <= {" ", "╌"}
    assert "H —" in lines[1]


# --- nothing, old, and small ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (picture_of(None, reason="No instrument is chosen."), "No instrument is chosen."),
        (picture_of(None, trouble="There is no instrument X today."), "There is no instrument X today."),
        (picture_of(None), "Asked; waiting for the candles."),
        (picture_of(view_of([], note="The broker has none.")), "in the days that were asked for. The broker has none."),
    ],
)
def test_an_empty_chart_says_why(picture: ChartPicture, words: str) -> None:
    """Not chosen, refused, waiting, or nothing there: each in its own words, and no axis."""
    lines = drawn(picture)
    assert words in " ".join(" ".join(lines[1:]).split())
    assert "IST" not in "".join(lines)


def test_old_answers_and_dead_prices_are_marked_in_words() -> None:
    """An answer that could not be renewed has its age and the reason; prices that do not live say so."""
    view = view_of(steps(9))
    old = ChartPicture(
        name="X",
        tick=0.05,
        bars=Seen(value=view, age_s=7.0, trouble="The engine has gone."),
        slots=slots_of(view),
        feed=QuoteState.STALE,
    )
    lines = drawn(old, size=(120, 32))
    assert "~ 7.0s old" in lines[0]
    assert "prices STALE" in lines[0]
    assert "The engine has gone." in lines[0]
    assert "The engine has gone." in why_sentences(old, PLAIN)


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (20, 8), (40, 10), (300, 90), (80, 5)])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["blocks", "plain"])
@pytest.mark.parametrize("pitch", [1, 2, 4])
def test_any_size_is_filled_exactly(size: tuple[int, int], glyphs: Any, pitch: int) -> None:
    """Down to one cell; a plain terminal gets plain signs only."""
    view, choice = studied("evbscrao")
    choice = msgspec.structs.replace(choice, pitch=pitch)
    lines = drawn(picture_of(view), choice, size, glyphs)
    if glyphs is ASCII:
        assert "".join(lines).isascii()
