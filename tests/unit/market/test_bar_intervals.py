"""Longer candles out of minutes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bars import BarInterval, BarSource
from engine.market.bar_intervals import Bars, longer_bars

OPEN_S = 1_795_059_900
"""19 Nov 2026, 09:15 of India."""
SESSION_MINUTES = 385
DAY_S = 86_400
LONGER = [interval for interval in BarInterval if interval is not BarInterval.MINUTE]
Row = tuple[int, int, int, int, int, int, int, int]


def bars(rows: Sequence[Row]) -> Bars:
    """Columns of rows."""
    columns = np.array(rows, np.int64).reshape(-1, 8).T
    start, opened, high, low, close, volume, interest, source = columns
    return Bars(start, opened, high, low, close, volume, interest, source.astype(np.uint8))


def rows_of(found: Bars) -> list[tuple[int, ...]]:
    """Rows of columns."""
    return list(zip(*(column.tolist() for column in found), strict=True))


def minute(number: int, price: int = 100, volume: int = 1, source: BarSource = BarSource.TICKS, day: int = 0) -> Row:
    """A minute of a session, by its number from the open."""
    return (OPEN_S + day * DAY_S + 60 * number, price, price + 2, price - 3, price + 1, volume, price * 2, source)


def opens(found: Bars) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The open of each minute's session."""
    days: np.ndarray[tuple[int], np.dtype[np.int64]] = OPEN_S + (found.start - OPEN_S) // DAY_S * DAY_S
    return days


def test_an_hour_begins_with_the_session() -> None:
    """09:15, 10:15 … and a shorter last one; open is the first minute's, close and open interest the last one's."""
    minutes = bars([minute(number, price=100 + number) for number in range(SESSION_MINUTES)])
    found = longer_bars(minutes, opens(minutes), BarInterval.MINUTES_60)
    assert ((found.start - OPEN_S) // 60).tolist() == [0, 60, 120, 180, 240, 300, 360]
    assert rows_of(found)[0] == (OPEN_S, 100, 161, 97, 160, 60, 318, BarSource.TICKS)
    assert found.volume.tolist() == [60] * 6 + [25]


def test_unknown_volume_makes_the_sum_unknown() -> None:
    """Zero is a volume, -1 is none."""
    minutes = bars([minute(0, volume=5), minute(1, volume=-1), minute(3, volume=0), minute(4, volume=7)])
    found = longer_bars(minutes, opens(minutes), BarInterval.MINUTES_3)
    assert found.volume.tolist() == [-1, 7]


def test_the_source_is_that_of_the_least_certain_minute() -> None:
    """One partial minute makes a partial candle; history and ticks give ticks."""
    minutes = bars(
        [
            minute(0, source=BarSource.HISTORY),
            minute(1, source=BarSource.TICKS),
            minute(5, source=BarSource.HISTORY),
            minute(6, source=BarSource.PARTIAL),
            minute(10, source=BarSource.HISTORY),
        ]
    )
    found = longer_bars(minutes, opens(minutes), BarInterval.MINUTES_5)
    assert found.source.tolist() == [BarSource.TICKS, BarSource.PARTIAL, BarSource.HISTORY]


def test_a_gap_makes_the_candles_it_touches_partial() -> None:
    """Their volume is unknown; minutes that are only missing because nothing traded change nothing."""
    minutes = bars([minute(0), minute(6), minute(10), minute(16)])
    gap = (OPEN_S + 7 * 60, OPEN_S + 11 * 60)
    found = longer_bars(minutes, opens(minutes), BarInterval.MINUTES_5, gaps=[gap])
    assert found.source.tolist() == [1, 0, 0, 1]
    assert found.volume.tolist() == [1, -1, -1, 1]


def test_minutes_are_left_as_they_are_and_nothing_gives_nothing() -> None:
    """The shortest interval, and no minutes."""
    minutes = bars([minute(0), minute(1)])
    assert longer_bars(minutes, opens(minutes), BarInterval.MINUTE) is minutes
    nothing = bars([])
    assert len(longer_bars(nothing, opens(nothing), BarInterval.MINUTES_15).start) == 0


@pytest.mark.parametrize("interval", LONGER)
@given(
    numbers=st.sets(st.integers(0, SESSION_MINUTES * 3 - 1), min_size=1, max_size=80),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_minute_is_in_exactly_one_candle(interval: BarInterval, numbers: set[int], seed: int) -> None:
    """Against a plain reference, over three sessions with holes."""
    random = np.random.default_rng(seed)
    made = []
    for number in sorted(numbers):
        day, place = divmod(number, SESSION_MINUTES)
        price, volume, source = (int(random.integers(*bounds)) for bounds in ((10, 500), (-1, 50), (0, 3)))
        made.append(minute(place, price, volume, BarSource(source), day))
    minutes = bars(made)
    wanted: dict[int, list[Row]] = {}
    for row in made:
        session = OPEN_S + (row[0] - OPEN_S) // DAY_S * DAY_S
        wanted.setdefault(session + (row[0] - session) // (60 * interval.minutes) * 60 * interval.minutes, []).append(
            row
        )
    expected = [
        (
            start,
            group[0][1],
            max(row[2] for row in group),
            min(row[3] for row in group),
            group[-1][4],
            -1 if any(row[5] < 0 for row in group) else sum(row[5] for row in group),
            group[-1][6],
            min(row[7] for row in group),
        )
        for start, group in sorted(wanted.items())
    ]
    assert rows_of(longer_bars(minutes, opens(minutes), interval)) == expected
