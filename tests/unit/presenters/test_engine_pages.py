"""Engine room, doctor, rules and replay as lines: exactly as large as asked, every verdict, and every cut counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.operations import ConnectionView, GapView, OperationsView, QueueView
from engine.core.rulebook import RulesView
from engine.core.views import Check, DoctorView
from engine.core.vocabulary import QuoteState
from tests.kit.fake_engine_room import CONTRADICTIONS, RULE_ROWS, account, amiss, room, socket, tape
from workstation.formatting import ASCII, UNICODE, data_size, whole
from workstation.presenters.doctor_page import doctor_page
from workstation.presenters.lines import Line, text_of, width_of
from workstation.presenters.operations_page import (
    ACCOUNTS,
    CAPACITY,
    CONNECTIONS,
    ENGINE,
    PARTS,
    QUEUES,
    QUOTES,
    TAPE,
    THREE_COLUMNS,
    TWO_COLUMNS,
    EngineChoice,
    engine_page,
    findings,
)
from workstation.presenters.operations_sections import connection_word
from workstation.presenters.replay_page import ReplayPicture, position_lines, replay_page
from workstation.presenters.rules_page import rule_rows, rules_heading
from workstation.presenters.sections import Focus, Pager, Section
from workstation.presenters.seen import Seen

NOW = datetime(2027, 1, 14, 5, 32, 41, tzinfo=UTC)
FINE, AMISS = room(NOW), amiss(NOW)
widths, heights = st.integers(1, 230), st.integers(1, 70)


def exact(lines: list[Line], width: int, height: int) -> bool:
    """Whether a page is exactly as large as asked."""
    return len(lines) == height and all(width_of(line) == width for line in lines)


@settings(max_examples=60)
@given(widths, heights, st.sampled_from([FINE, AMISS, None]), st.sampled_from(sorted(PARTS)), st.booleans())
def test_the_engine_room_is_exactly_as_large_as_asked(
    width: int, height: int, view: OperationsView | None, part: int, zoomed: bool
) -> None:
    """Whatever the size, whatever is chosen, also without an answer."""
    seen = Seen(view, 0.5 if view is not None else None, "" if view is not None else "no answer")
    choice = EngineChoice(part=part, first=3, zoomed=zoomed)
    assert exact(engine_page(seen, choice, width, height, UNICODE, simulated=False), width, height)


@settings(max_examples=60)
@given(widths, heights, st.sampled_from(["paused", "playing", "seeking", "ended"]), st.floats(-0.5, 1.5))
def test_the_replay_is_exactly_as_large_as_asked(width: int, height: int, state: str, place: float) -> None:
    """Whatever the size and wherever the tape stands, a moment beside it included."""
    view = tape(state=state)
    view = msgspec.structs.replace(view, now=view.start + place * (view.end - view.start), target=view.end)
    picture = ReplayPicture(venue="REPLAY", is_replay=True, tape=Seen(view, 0.0))
    assert exact(replay_page(picture, width, height, UNICODE, simulated=True), width, height)


@settings(max_examples=40)
@given(widths, heights, st.integers(0, 30))
def test_the_doctor_is_exactly_as_large_as_asked(width: int, height: int, first: int) -> None:
    """Whatever the size."""
    checks = tuple(Check(name="a name that is long", outcome="note", message="words " * 9) for _ in range(9))
    seen = Seen(DoctorView(at=NOW, checks=checks), 0.0)
    lines = doctor_page(seen, width, height, UNICODE, simulated=False, running=True, first=first)
    assert exact(lines, width, height)


@given(widths, st.text(max_size=8))
def test_rows_of_the_rules_are_as_wide_as_the_screen(width: int, words: str) -> None:
    """Every row, with any filter; a filter never adds one."""
    view = RulesView(on=NOW.date(), rows=RULE_ROWS, contradictions=CONTRADICTIONS, unknown=("no holidays",), at=NOW)
    everything = rule_rows(view, "", width, UNICODE)
    assert len(everything) == len(RULE_ROWS) + 2
    assert len({row.row_id for row in everything}) == len(everything)
    rows = rule_rows(view, words, width, UNICODE)
    assert {row.row_id for row in rows} <= {row.row_id for row in everything}
    assert all(width_of(row.line) <= max(width, 1) for row in rows if width >= 80)
    assert width_of(rules_heading(width)) == width


def test_plain_terminals_get_plain_signs() -> None:
    """With the ASCII set nothing else is drawn, wrong or not."""
    for size in ((80, 24), (120, 36), (200, 60)):
        lines = engine_page(Seen(AMISS, 0.0), EngineChoice(), *size, ASCII, simulated=True)
        assert all(text_of(line).isascii() for line in lines)
    picture = ReplayPicture(venue="REPLAY", is_replay=True, tape=Seen(tape(state="seeking", target=NOW), 0.0))
    assert all(text_of(line).isascii() for line in replay_page(picture, 80, 24, ASCII, simulated=True))


def test_every_part_has_a_place_at_every_size() -> None:
    """No part is forgotten where all stand beside each other."""
    for columns in (TWO_COLUMNS, THREE_COLUMNS):
        placed = [part for column in columns for part in column]
        assert sorted([*placed, CONNECTIONS]) == sorted(PARTS)


def level(part: int, **changes: object) -> str:
    """The verdict on a part of an engine room that is fine but for the changes."""
    view = msgspec.structs.replace(FINE, **changes)
    return next(item.level for item in findings(view, 0.0, UNICODE) if item.part == part)


def queue(waiting: int, dropped: int) -> QueueView:
    """A queue for a hundred."""
    return QueueView(name="q", waiting=waiting, limit=100, dropped=dropped, policy="p")


@pytest.mark.parametrize(
    ("part", "changes", "expected"),
    [
        (CONNECTIONS, {}, "ok"),
        (CONNECTIONS, {"connections": (socket(0), socket(1, state=QuoteState.CLOSED))}, "ok"),
        (CONNECTIONS, {"connections": (socket(0), socket(1, bad_frames=1))}, "note"),
        (CONNECTIONS, {"connections": (socket(0), socket(1, state=QuoteState.STALE))}, "ACT"),
        (CONNECTIONS, {"connections": (socket(0), socket(1, state=QuoteState.UNKNOWN, up=False))}, "ACT"),
        (CONNECTIONS, {"connections": (socket(0), socket(1, state=QuoteState.UNKNOWN, up=False, subscribed=0))}, "ok"),
        (CONNECTIONS, {"connections": ()}, "note"),
        (CAPACITY, {"subscribed": 8_100}, "note"),
        (CAPACITY, {"refused": AMISS.refused}, "ACT"),
        (QUOTES, {"states": {"LIVE": 5}}, "ok"),
        (QUOTES, {"states": {"LIVE": 5, "UNKNOWN": 1}}, "note"),
        (QUOTES, {"states": {"LIVE": 5, "STALE": 1}}, "ACT"),
        (QUOTES, {"states": {"LIVE": 5, "STALE": 0}}, "ok"),
        (QUOTES, {"states": {"LIVE": 5, "A_NEW_ONE": 1}}, "note"),
        (QUEUES, {"queues": (queue(49, 0),)}, "ok"),
        (QUEUES, {"queues": (queue(50, 0),)}, "note"),
        (QUEUES, {"queues": (queue(100, 0),)}, "ACT"),
        (QUEUES, {"queues": (queue(0, 1),)}, "ACT"),
        (TAPE, {"recorder": None}, "ok"),
        (TAPE, {"recorder": AMISS.recorder}, "ACT"),
        (TAPE, {"gaps": GapView(instruments=1, minutes=5, filled=5, waiting=0, eta_s=None)}, "ok"),
        (TAPE, {"gaps": GapView(instruments=1, minutes=5, filled=4, waiting=1, eta_s=1.0)}, "note"),
        (ACCOUNTS, {}, "ok"),
        (ACCOUNTS, {"accounts": (account("A", state="limited"),)}, "note"),
        (ACCOUNTS, {"accounts": (account("A", state="limited"), account("B", state="failing"))}, "ACT"),
        (ACCOUNTS, {"accounts": (account("A", state="login needed"),)}, "ACT"),
        (ENGINE, {"loop_lag_ms": 20.0}, "ok"),
        (ENGINE, {"loop_lag_ms": 20.1}, "note"),
        (ENGINE, {"loop_lag_ms": None}, "ok"),
        (ENGINE, {"instruments_note": "of yesterday"}, "note"),
        (ENGINE, {"degraded": ("a",)}, "ACT"),
    ],
)
def test_verdicts(part: int, changes: dict[str, object], expected: str) -> None:
    """Each figure that a person should look at changes the word of its part, and only those do."""
    assert level(part, **changes) == expected


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "LIVE"),
        ({"state": QuoteState.STALE}, "STALE"),
        ({"state": QuoteState.STALE, "up": False}, "DOWN"),
        ({"state": QuoteState.CLOSED}, "CLOSED"),
        ({"state": QuoteState.UNKNOWN, "up": False}, "NOT UP"),
        ({"state": QuoteState.UNKNOWN, "up": False, "subscribed": 0}, "IDLE"),
    ],
)
def test_connections_in_a_word(changes: dict[str, object], word: str) -> None:
    """Silent, gone, never there, not needed: four different things."""
    view: ConnectionView = msgspec.structs.replace(socket(0), **changes)
    assert connection_word(view) == word


def test_large_counts_shrink_and_are_never_cut() -> None:
    """A count that does not fit its column is in thousands; no column shows signs for a figure."""
    huge = socket(
        0,
        packets=9_876_543_210,
        packets_per_s=123_456.0,
        bytes=987_654_321_000_000,
        bad_frames=123_456,
        unknown_packets=98_765_432,
        reconnects=12_345,
        silent_replaced=12_345,
    )
    seen = Seen(msgspec.structs.replace(FINE, connections=(huge,)), 0.0)
    for size in ((80, 24), (120, 36), (200, 60)):
        lines = engine_page(seen, EngineChoice(part=CONNECTIONS), *size, UNICODE, simulated=False)
        text = next(text_of(line) for line in lines if text_of(line).startswith("  0 AB1234"))
        assert "#" not in text
        assert "987.7 TB" in text


def test_a_part_that_is_cut_says_how_much() -> None:
    """Ten lines in six: the sixth counts the five that are not seen; scrolled to the end nothing is left."""
    section = Section(1, "Lines", lambda _: [((f"line {place}", ""),) for place in range(10)])
    pager = Pager(Focus(1), UNICODE, simulated=False)
    lines = [text_of(line).rstrip() for line in pager.alone(section, 60, 6)]
    assert lines[:5] == [f"line {place}" for place in range(5)]
    assert lines[5].strip() == "… 5 more lines: w 1, then z and j"
    end = Pager(Focus(1, 99), UNICODE, simulated=False).alone(section, 60, 6)
    assert text_of(end[-1]).rstrip() == "line 9"


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(1, 60))
def test_a_column_is_full_and_no_section_takes_all(sizes: list[int], height: int) -> None:
    """Exactly as high as asked; a section in sight shows its title."""

    def of(size: int) -> Callable[[int], list[Line]]:
        return lambda _: [(("x", ""),)] * size

    sections = [Section(place + 1, f"part{place}", of(size)) for place, size in enumerate(sizes)]
    lines = Pager(Focus(1), UNICODE, simulated=False).column(sections, 40, height, joined=True)
    assert exact(lines, 40, height)
    text = "\n".join(text_of(line) for line in lines)
    if height >= 2 * len(sections):
        assert all(f"part{place}" in text for place in range(len(sizes)))


@given(st.floats(0, 1), st.integers(40, 220))
def test_the_mark_on_the_bar_is_where_the_tape_stands(share: float, width: int) -> None:
    """One mark, within a cell of its share of the bar, between the ends."""
    view = tape()
    view = msgspec.structs.replace(view, now=view.start + share * (view.end - view.start))
    bar = text_of(position_lines(view, (), width, UNICODE)[1])
    inside = bar[bar.index("[") + 1 : bar.index("]")]
    assert inside.count("#") == 1
    assert abs(inside.index("#") - share * len(inside)) <= 1
    assert len(bar) <= width


def test_own_fills_and_the_goal_are_marked() -> None:
    """A sign above the bar at the place of each."""
    view = tape(state="seeking", target=tape().end)
    middle = view.start + (view.end - view.start) / 2
    marks = text_of(position_lines(view, (view.start, middle), 120, UNICODE)[0])
    bar = text_of(position_lines(view, (), 120, UNICODE)[1])
    start, end = bar.index("[") + 1, bar.index("]")
    assert marks[start] == "o"
    assert marks[end - 1] == UNICODE.below
    assert marks.count("o") == 2
    assert abs(marks.rindex("o") - (start + (end - start) // 2)) <= 1


def test_a_tape_without_length_is_no_error() -> None:
    """Start and end are one moment."""
    view = tape(end=tape().start, now=tape().start)
    picture = ReplayPicture(venue="REPLAY", is_replay=True, tape=Seen(view, 0.0))
    text = " ".join(text_of(line) for line in replay_page(picture, 80, 24, UNICODE, simulated=True))
    assert "— of the tape" in text


def test_an_old_answer_of_the_tape_is_marked() -> None:
    """Where it stood so long ago, and why there is nothing newer."""
    picture = ReplayPicture(venue="REPLAY", is_replay=True, tape=Seen(tape(), 9.0, "the tape does not answer"))
    head = text_of(replay_page(picture, 200, 40, UNICODE, simulated=True)[0])
    assert "~ 9.0s old" in head
    assert "the tape does not answer" in head


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (10**15, "1000.0 TB")],
)
def test_sizes(count: int, text: str) -> None:
    """Never more than four digits before the point below a thousand terabytes; the unit is said."""
    assert data_size(count) == text


def test_sizes_and_counts_that_are_unknown() -> None:
    """The unknown sign."""
    assert data_size(None) == data_size(-1) == whole(None) == whole(float("nan")) == UNICODE.unknown


def test_ages_go_on_with_the_age_of_the_answer() -> None:
    """An answer of three seconds ago shows ages three seconds older."""
    lines = engine_page(Seen(FINE, 3.0), EngineChoice(part=CONNECTIONS), 80, 24, UNICODE, simulated=False)
    assert any(" 3.2s   3.4s" in text_of(line) for line in lines)
