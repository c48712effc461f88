"""Which minutes are missing, and which only saw no trade."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from engine.core.bars import BarSource
from engine.market.bar_gaps import MINUTE_S, Spans, expected_minutes, joined_spans, missing_minutes, spans_of
from engine.market.bar_sessions import SessionHours

OPEN_S = 1_795_059_900
HOURS = SessionHours(739_209, OPEN_S - 33_300, OPEN_S, OPEN_S + 385 * 60, OPEN_S + 360 * 60)
P, T, H = BarSource.PARTIAL, BarSource.TICKS, BarSource.HISTORY


def minutes(*numbers: int) -> list[int]:
    """Starts of minutes by their number from the open."""
    return [OPEN_S + 60 * number for number in numbers]


def missing(
    sources: Mapping[int, BarSource],
    *,
    until: int = 10,
    sound_from: int | None = None,
    answered: Spans = (),
) -> list[int]:
    """Numbers of the missing minutes of the first ``until``."""
    start = np.array(minutes(*sorted(sources)), np.int64)
    source = np.array([sources[number] for number in sorted(sources)], np.uint8)
    expected = np.array(minutes(*range(until)), np.int64)
    found = missing_minutes(expected, start, source, sound_from=sound_from, answered=answered)
    return [(second - OPEN_S) // 60 for second in found.tolist()]


def test_every_minute_of_the_session_is_expected_until_it_runs() -> None:
    """From the open to the close, an index until it freezes, and never one that has not ended."""
    assert len(expected_minutes(HOURS, OPEN_S + 10**6, is_index=False)) == 385
    assert len(expected_minutes(HOURS, OPEN_S + 10**6, is_index=True)) == 360
    assert expected_minutes(HOURS, OPEN_S + 179, is_index=False).tolist() == minutes(0, 1)
    assert expected_minutes(HOURS, OPEN_S + 180, is_index=False).tolist() == minutes(0, 1, 2)
    assert expected_minutes(HOURS, OPEN_S, is_index=False).tolist() == []


def test_nothing_is_expected_in_a_break() -> None:
    """A special session may rest in the middle."""
    special = HOURS._replace(pause_s=(OPEN_S + 180, OPEN_S + 360))
    assert expected_minutes(special, OPEN_S + 480, is_index=False).tolist() == minutes(0, 1, 2, 6, 7)


def test_a_minute_nobody_saw_is_missing() -> None:
    """Between candles of the feed, before the first and after the last."""
    assert missing({2: T, 5: T}) == [0, 1, 3, 4, 6, 7, 8, 9]
    assert missing({}) == list(range(10))


def test_a_partial_minute_is_missing() -> None:
    """The broker may have the whole one."""
    assert missing({number: P if number == 4 else T for number in range(10)}) == [4]


def test_what_was_watched_is_not_missing() -> None:
    """From the first whole minute of a sound path on, traded or not."""
    assert missing({0: T, 7: T}, sound_from=OPEN_S + 180) == [1, 2]
    assert missing({0: T}, sound_from=OPEN_S + 185) == [1, 2, 3]


def test_what_the_broker_answered_is_not_missing() -> None:
    """Whatever it had."""
    assert missing({0: T}, answered=((OPEN_S + 120, OPEN_S + 300), (OPEN_S + 420, OPEN_S + 480))) == [1, 5, 6, 8, 9]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({2: H, 5: H}, [6, 7, 8, 9]),  # between them, and before the first: nothing traded
        ({2: H, 5: T}, [3, 4, 6, 7, 8, 9]),  # the other side was the feed's
        ({2: T, 5: H}, [0, 1, 3, 4, 6, 7, 8, 9]),
        ({0: H, 1: H, 9: H}, []),
        ({3: P, 5: H}, [0, 1, 2, 4, 6, 7, 8, 9]),  # whoever got minute 5 asked for minute 3 too
        ({3: H, 4: P, 5: H}, [6, 7, 8, 9]),  # the broker was asked and has no candle for it
    ],
)
def test_the_brokers_own_holes_are_not_asked_for_again(sources: dict[int, BarSource], expected: list[int]) -> None:
    """What is stored tells, after a restart too."""
    assert missing(sources) == expected


def test_candles_of_other_days_tell_nothing() -> None:
    """Yesterday's history does not settle this morning."""
    yesterday = np.array(minutes(-1_400, -1_399), np.int64)
    found = missing_minutes(np.array(minutes(0, 1), np.int64), yesterday, np.array([H, H], np.uint8))
    assert found.tolist() == minutes(0, 1)


def test_minutes_become_spans() -> None:
    """Those that follow each other are one."""
    assert spans_of(np.array(minutes(0, 1, 2, 5, 7, 8), np.int64)) == (
        (OPEN_S, OPEN_S + 180),
        (OPEN_S + 300, OPEN_S + 360),
        (OPEN_S + 420, OPEN_S + 540),
    )
    assert spans_of(np.zeros(0, np.int64)) == ()
    assert MINUTE_S == 60


def test_spans_grow_together() -> None:
    """Those that touch are one; the oldest are forgotten beyond the bound."""
    spans = joined_spans(((0, 10), (20, 30), (50, 60)), (10, 20), most=4)
    assert spans == ((0, 30), (50, 60))
    assert joined_spans(spans, (70, 80), most=2) == ((50, 60), (70, 80))
