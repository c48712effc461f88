"""Places of candles: gaps, quiet times and days between them, and the part that is looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bars import BarInterval
from tests.unit.presenters.chart_kit import DAY_S, OPEN, Prices, steps, view_of
from workstation.presenters.chart_slots import (
    GAP_MOST,
    QUIET_MOST,
    Sight,
    Slot,
    SlotKind,
    is_at_oldest,
    joined,
    missing_minutes,
    moved,
    moved_by_day,
    slots_of,
    window_of,
)

PRICES: Prices = (100.0, 102.0, 99.0, 101.0)
FIVE = 300


def at(*minutes: int, day: int = 0) -> list[tuple[int, Prices]]:
    """Candles at minutes after the open."""
    return [(OPEN + day * DAY_S + minute * 60, PRICES) for minute in minutes]


def kinds(slots: tuple[Slot, ...]) -> str:
    """One letter a place: candle, quiet, gap, day."""
    return "".join(slot.kind.value[0] for slot in slots)


def test_a_quiet_time_is_blank_and_a_missing_one_is_a_gap() -> None:
    """Nobody traded at 09:25; the minutes from 09:35 to 09:45 are missing; each stands where it belongs."""
    view = view_of(at(0, 5, 15, 30), gaps=((OPEN + 20 * 60, OPEN + 30 * 60),))
    slots = slots_of(view)
    assert kinds(slots) == "ccqcggc"
    assert [slot.start - OPEN for slot in slots] == [0, 300, 600, 900, 1200, 1500, 1800]
    assert [slot.row for slot in slots] == [0, 1, -1, 2, -1, -1, 3]
    assert missing_minutes(view) == 10


def test_a_gap_within_a_candle_that_is_there_takes_no_place() -> None:
    """Two missing minutes of a five-minute candle: the candle stands, the minutes are counted."""
    view = view_of(at(0, 5, 10), gaps=((OPEN + 6 * 60, OPEN + 8 * 60),))
    assert kinds(slots_of(view)) == "ccc"
    assert missing_minutes(view) == 2


def test_a_gap_before_the_first_and_after_the_last_candle_is_drawn() -> None:
    """A feed that came late and went early leaves dots at both ends, on the grid of the candles."""
    view = view_of(at(10), gaps=((OPEN + 60, OPEN + 600), (OPEN + 900, OPEN + 1200)))
    slots = slots_of(view)
    assert kinds(slots) == "ggcg"
    assert [slot.start - OPEN for slot in slots] == [0, 300, 600, 900]


def test_days_are_parted_by_a_line_and_the_night_takes_no_room() -> None:
    """One place between the last candle of a day and the first of the next, whatever lies between."""
    view = view_of([*at(365, 370), *at(0, 5, day=1)])
    assert kinds(slots_of(view)) == "ccdcc"


def test_long_runs_are_shortened() -> None:
    """A contract that trades once an hour and a morning without a feed do not push the candles out."""
    quiet = slots_of(view_of(at(0, 180)))
    assert kinds(quiet) == "c" + "q" * QUIET_MOST + "c"
    morning = slots_of(view_of(at(0, 180), gaps=((OPEN + 300, OPEN + 180 * 60),)))
    assert kinds(morning) == "c" + "g" * GAP_MOST + "c"


def test_nothing_has_no_places() -> None:
    """Without candles and gaps there is nothing; with a gap alone there are its dots."""
    assert slots_of(view_of([])) == ()
    assert kinds(slots_of(view_of([], gaps=((OPEN, OPEN + 600),)))) == "gg"
    assert window_of((), 10, Sight()).cursor == -1


@given(
    st.sets(st.integers(0, 374), max_size=60),
    st.lists(st.tuples(st.integers(0, 370), st.integers(1, 40)), max_size=4),
    st.sampled_from(list(BarInterval)),
)
def test_every_candle_has_exactly_one_place_in_time_order(
    minutes: set[int], spans: list[tuple[int, int]], interval: BarInterval
) -> None:
    """Whatever is missing: rows come once each, in order, and no place but a candle has a row."""
    length = interval.minutes
    starts = sorted({minute // length * length for minute in minutes})
    gaps = tuple((OPEN + first * 60, OPEN + (first + count) * 60) for first, count in spans)
    slots = slots_of(view_of(at(*starts), interval=interval, gaps=gaps))
    assert [slot.row for slot in slots if slot.kind is SlotKind.CANDLE] == list(range(len(starts)))
    assert all((slot.row >= 0) == (slot.kind is SlotKind.CANDLE) for slot in slots)
    assert [slot.start for slot in slots] == sorted(slot.start for slot in slots)


# --- two answers as one --------------------------------------------------------------------------------------------


def test_the_newest_candles_replace_the_older_answer() -> None:
    """What both have is taken from the newer one; studies are joined, and unknown where it lacks them."""
    rows = steps(6)
    whole = view_of(rows, columns={"ema_20": np.arange(6.0)}, gaps=((OPEN + 2400, OPEN + 2460),), note="old")
    fresh = [(start, (50.0, 51.0, 49.0, 50.5)) for start, _ in steps(8)[4:]]
    tail = view_of(fresh, columns={"ema_20": np.arange(4.0, 8.0)}, running=True)
    view = joined(whole, tail)
    assert list(view.start) == [start for start, _ in steps(8)]
    assert list(view.close) == [*whole.close[:4], 50.5, 50.5, 50.5, 50.5]
    assert list(view.columns["ema_20"]) == list(range(8))
    assert view.running
    assert view.gaps == ()
    bare = joined(whole, view_of(fresh))
    assert np.isnan(bare.columns["ema_20"][4:]).all()
    assert list(bare.columns["ema_20"][:4]) == [0, 1, 2, 3]


def test_gaps_are_cut_where_the_newer_answer_begins() -> None:
    """Each minute is counted once."""
    whole = view_of(steps(6), gaps=((OPEN + 600, OPEN + 2000),))
    tail = view_of(steps(8)[4:], gaps=((OPEN + 900, OPEN + 1500),))
    assert joined(whole, tail).gaps == ((OPEN + 600, OPEN + 1200), (OPEN + 1200, OPEN + 1500))


def test_a_market_set_back_shows_no_future() -> None:
    """After a replay went back, candles later than the newest answer are gone."""
    view = joined(view_of(steps(20)), view_of(steps(8)[4:]))
    assert list(view.start) == [start for start, _ in steps(8)]


def test_an_answer_about_something_else_is_not_joined() -> None:
    """Another length of candle, and an empty answer, change nothing."""
    whole = view_of(steps(6))
    assert joined(whole, view_of(steps(3), interval=BarInterval.MINUTE)) is whole
    assert joined(whole, view_of([])) is whole
    assert joined(whole, None) is whole


# --- what is looked at ---------------------------------------------------------------------------------------------


def two_days() -> tuple[Slot, ...]:
    """Ten candles, a line, ten candles."""
    return slots_of(view_of([*steps(10), *steps(10, first=OPEN + DAY_S)]))


def test_the_newest_candle_is_followed_until_the_cursor_moves() -> None:
    """Without a choice the picture ends with the newest one; the cursor then stays on its candle when others come."""
    slots = two_days()
    window = window_of(slots, 8, Sight())
    assert (window.first, window.end, window.cursor) == (13, 21, 20)
    sight = moved(slots, 8, Sight(), -2)
    more = slots_of(view_of([*steps(10), *steps(13, first=OPEN + DAY_S)]))
    before, after = window_of(slots, 8, sight), window_of(more, 8, sight)
    assert slots[before.cursor].start == more[after.cursor].start
    assert moved(slots, 8, sight, 99) == Sight()


def test_the_picture_moves_only_when_the_cursor_would_leave_it() -> None:
    """Inside the picture the cursor moves alone; at its left edge the picture goes along, over the line too."""
    slots = two_days()
    sight = Sight()
    windows = []
    for _ in range(12):
        sight = moved(slots, 8, sight, -1)
        windows.append(window_of(slots, 8, sight))
    assert [window.first for window in windows[:7]] == [13] * 7
    assert [window.first for window in windows[7:]] == [12, 11, 9, 8, 7]
    assert [window.cursor for window in windows[7:]] == [12, 11, 9, 8, 7]


@given(st.lists(st.integers(-25, 25), max_size=12), st.integers(1, 40))
def test_the_cursor_is_always_on_a_candle_in_sight(moves: list[int], room: int) -> None:
    """Whatever is pressed at whatever width."""
    slots = two_days()
    sight = Sight()
    for move in moves:
        sight = moved(slots, room, sight, move)
        window = window_of(slots, room, sight)
        assert window.first <= window.cursor < window.end
        assert slots[window.cursor].kind is SlotKind.CANDLE
        assert window.first >= 0
        assert window.end <= len(slots)
        assert window.end - window.first == min(room, len(slots))


@pytest.mark.parametrize(
    ("back", "on", "expected"), [(1, 0, 11), (2, 0, 0), (3, 0, 0), (2, 1, 11), (1, 1, 20), (2, 2, 20)]
)
def test_days_are_stepped_by_their_open(back: int, on: int, expected: int) -> None:
    """Back to the own open, then to the open of the day before; on to the next open, then to the newest."""
    slots, sight = two_days(), Sight()
    for step in (*[-1] * back, *[1] * on):
        sight = moved_by_day(slots, 8, sight, step)
    assert window_of(slots, 8, sight).cursor == expected


def test_only_the_oldest_place_in_sight_is_the_end() -> None:
    """There more has to be loaded; before it nothing has."""
    slots = two_days()
    assert not is_at_oldest(slots, 8, Sight())
    assert is_at_oldest(slots, 8, moved(slots, 8, Sight(), -99))
    assert is_at_oldest(slots, 80, Sight())
