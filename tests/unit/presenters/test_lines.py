"""Lines as data: widths, cuts, titles, and text from outside."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from workstation.formatting import ASCII, UNICODE
from workstation.presenters import lines as ln

WORDS = st.text(max_size=40)


@given(WORDS, st.integers(min_value=0, max_value=50))
def test_left_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    """Whatever the text, also with wide signs."""
    assert cell_len(ln.left(ln.clean(text), width, UNICODE)) == width


@given(st.lists(st.tuples(WORDS.map(ln.clean), st.sampled_from(["", "gain"])), max_size=6), st.integers(0, 60))
def test_filled_is_exactly_as_wide_as_asked(spans: list[ln.Span], width: int) -> None:
    """Cut or filled, never a cell more or less."""
    assert ln.width_of(ln.filled(spans, width)) == width


@given(st.text(max_size=60))
def test_clean_text_has_no_control_characters(text: str) -> None:
    """Nothing that could move the terminal's cursor comes through."""
    cleaned = ln.clean(text)
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in cleaned)
    assert len(cleaned) == len(text)


def test_an_escape_sequence_becomes_harmless() -> None:
    """The escape is a blank; the rest is readable."""
    assert ln.clean("\x1b[31mred\n\u202eback\u2028") == " [31mred  back "


def test_a_figure_too_long_is_hidden_not_cut() -> None:
    """A wrong figure is worse than none."""
    assert ln.right("12345", 4) == "####"
    assert ln.right("123", 4) == " 123"


def test_clipping_marks_what_was_cut() -> None:
    """An ellipsis stands for the rest."""
    assert ln.clip("margin is short", 8, UNICODE) == "margin…"
    assert ln.clip("margin is short", 8, ASCII) == "margin.."
    assert ln.clip("margin", 8, UNICODE) == "margin"
    assert ln.clip("margin", 0, UNICODE) == ""


def test_merging_joins_neighbours_of_one_tone() -> None:
    """Fewer pieces, the same text."""
    assert ln.merged((("a", "x"), ("", "y"), ("b", "x"), ("c", "z"))) == (("ab", "x"), ("c", "z"))


def test_a_tone_lies_below_those_of_the_cell() -> None:
    """The row's tone comes first, so that the cell's own wins."""
    assert ln.toned((("a", "cursor"), ("b", "")), "atm") == (("a", "atm cursor"), ("b", "atm"))


def test_spread_keeps_the_end() -> None:
    """The start gives way to the end."""
    assert ln.text_of(ln.spread((("left side", ""),), (("right", ""),), 10)) == "left right"


def test_rules() -> None:
    """A title is as wide as its pane; simulated venues have dotted rules; joints stand only on bare rule."""
    parts = [((("1 Chain"), "title"),), (("NIFTY", ""),)]
    line = ln.text_of(ln.rule(parts, 30, UNICODE, simulated=False, joints={25: "┴", 3: "┴"}))
    assert line == "─ 1 Chain ─ NIFTY ───────┴────"
    assert "┄" in ln.text_of(ln.rule(parts, 30, UNICODE, simulated=True))
    assert ln.text_of(ln.rule(parts, 30, ASCII, simulated=False)).isascii()
    assert ln.width_of(ln.rule(parts, 12, UNICODE, simulated=False)) == 12


@given(st.text(max_size=120), st.integers(min_value=1, max_value=40))
def test_wrapped_words_fit_and_none_is_lost(text: str, width: int) -> None:
    """Every line fits; with room for each sign, all letters are still there."""
    lines = ln.wrapped(text, max(2, width))
    assert lines
    assert all(cell_len(line) <= max(2, width) for line in lines)
    kept = "".join(lines).replace(" ", "")
    assert kept == "".join(ln.clean(text).split())
