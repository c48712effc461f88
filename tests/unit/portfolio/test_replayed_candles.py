"""Money on a grid of market time: the same frames give the same candles, however they are spread over real time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.identifiers import StrategyNumber
from engine.core.strategies import M2mCandle
from tests.unit.portfolio.fakes import OPENING, UNAVAILABLE, Desk, fill

ONE = StrategyNumber(1)
MINUTES = 2
MS = timedelta(milliseconds=1)
SPAN_MS = MINUTES * 60_000


async def played(frames: list[tuple[int, int]], looks: list[int]) -> tuple[M2mCandle, ...]:
    """Candles of frames (millisecond of receipt, price in paise) with a timer that looks at these milliseconds.

    Before each frame the service is told its time, as the feed does it.
    """
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.marks.put(1, "106")
    desk.service.sample_to(OPENING)
    happenings = sorted([(at, 1, price) for at, price in frames] + [(at, 0, 0) for at in looks])
    for at, kind, price in happenings:
        moment = OPENING + at * MS
        desk.clock.set(moment)
        desk.service.sample_to(moment)
        if kind:
            desk.marks.put(1, str(Decimal(price) / 100))
    end = OPENING + SPAN_MS * MS
    desk.clock.set(end)
    desk.service.sample_to(end)
    return await desk.service.candles(ONE, OPENING, end)


@given(
    gaps=st.lists(st.tuples(st.integers(1, 1500), st.integers(9_000, 12_000)), min_size=60, max_size=120),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=8, deadline=None)
async def test_a_timer_changes_nothing(gaps: list[tuple[int, int]], seed: int) -> None:
    """Fast, slow, early or late: what the timer adds, the frames would have added. Gaps stay below the catching up."""
    frames, at = [], 0
    while at < SPAN_MS:
        for gap, price in gaps:
            at += gap
            frames.append((at, price))
    frames = [(at, price) for at, price in frames if at < SPAN_MS]
    random = Random(seed)  # noqa: S311 - a test's own draw
    alone = await played(frames, [])
    timed = await played(frames, sorted(random.sample(range(SPAN_MS), 400)))
    assert alone == timed
    assert sum(candle.samples for candle in alone) == SPAN_MS // 100


async def test_what_is_valued_at_a_grid_point_saw_only_earlier_frames() -> None:
    """A frame received at the very grid point, or later, is not in it; one a millisecond before is."""
    looks = list(range(1_000, SPAN_MS, 1_000))
    before, *_ = await played([(99, 10_700), (201, 10_600)], looks)
    assert (before.open, before.high, before.close) == (Decimal(390), Decimal(455), Decimal(390))
    at, *_ = await played([(100, 10_700), (200, 10_600)], looks)
    assert (at.open, at.high, at.close) == (Decimal(390), Decimal(455), Decimal(390))
    between, *_ = await played([(100, 10_700), (199, 10_600)], looks)
    assert between.high == Decimal(390), "the price stood at no grid point"


async def test_far_behind_only_the_newest_point_is_taken() -> None:
    """What nobody watched stays a gap: nothing is filled in over a hole of minutes."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.marks.put(1, "106")
    desk.service.sample_to(OPENING)
    desk.service.sample_to(OPENING + timedelta(minutes=3))
    candles = await desk.service.candles(ONE, OPENING, OPENING + timedelta(minutes=4))
    assert [(candle.minute, candle.samples) for candle in candles] == [
        (OPENING, 1),
        (OPENING + timedelta(minutes=3), 1),
    ]


async def test_a_restart_forgets_what_came_after_and_gives_the_same_again() -> None:
    """Played to the end, begun again and played to the end: one time through and two are the same rows."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])

    async def once(save: bool) -> tuple[M2mCandle, ...]:
        desk.marks.put(1, "106")
        for step in range(1800):
            moment = OPENING + step * timedelta(milliseconds=100)
            desk.clock.set(moment)
            desk.service.sample_to(moment)
            desk.marks.put(1, str(Decimal(10_600 + step % 37) / 100))
            if save and step % 300 == 299:
                await desk.service.save_candles()
        return await desk.service.candles(ONE, OPENING, OPENING + timedelta(hours=1))

    first = await once(save=True)
    desk.service.restart(OPENING)
    desk.clock.set(OPENING)
    assert await desk.service.candles(ONE, OPENING, OPENING + timedelta(hours=1)) == ()
    assert await once(save=False) == first
    await desk.service.save_candles()
    assert await desk.service.candles(ONE, OPENING, OPENING + timedelta(hours=1)) == first


async def test_a_restart_survives_a_database_that_is_gone() -> None:
    """Nothing new is written before the old rows are deleted, however long that takes."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.marks.put(1, "106")
    desk.service.sample_to(OPENING)
    await desk.service.save_candles()
    desk.service.restart(OPENING)
    desk.database.fail_with = UNAVAILABLE
    desk.marks.put(1, "107")
    desk.service.sample_to(OPENING)
    await desk.service.save_candles()
    assert [candle.close for candle in desk.database.candles.values()] == [Decimal(390)]
    desk.database.fail_with = None
    await desk.service.save_candles()
    (kept,) = desk.database.candles.values()
    assert (kept.open, kept.samples) == (Decimal(455), 1)


def minute(number: int) -> datetime:
    """A minute of the session."""
    return OPENING + timedelta(minutes=number)


async def test_earlier_minutes_stay() -> None:
    """A restart in the middle keeps what lies before it."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.marks.put(1, "106")
    for number in range(4):
        desk.clock.set(minute(number))
        desk.service.sample_to(minute(number))
    await desk.service.save_candles()
    desk.service.restart(minute(2))
    candles = await desk.service.candles(ONE, OPENING, minute(9))
    assert [candle.minute for candle in candles] == [minute(0), minute(1)]


async def played_on(desk: Desk, first: int, last: int) -> None:
    """Seconds [first, last) of a tape whose price is a matter of the second alone; one sample each."""
    for second in range(first, last):
        moment = OPENING + timedelta(seconds=second)
        desk.clock.set(moment)
        desk.service.sample_to(moment)
        desk.marks.put(1, str(Decimal(10_600 + second % 37) / 100))


async def test_what_was_not_held_yet_makes_no_money_when_the_tape_begins_again() -> None:
    """A position that was opened in the middle is not in the minutes before it, however often they are played."""
    hour = timedelta(hours=1)
    bought = OPENING + timedelta(seconds=90)
    desk = await Desk().started()
    await played_on(desk, 0, 90)
    await desk.service.on_trades([fill(1, 65, "100", at=bought)])
    await played_on(desk, 90, 200)
    once = await desk.service.candles(ONE, OPENING, OPENING + hour)
    assert once[0].minute == minute(1)
    for save in (True, False):
        if save:
            await desk.service.save_candles()
        desk.service.restart(OPENING)
        await played_on(desk, 0, 200)
        assert await desk.service.candles(ONE, OPENING, OPENING + hour) == once
    # Another process does not know how the minute of the trade began: it leaves that minute as it is.
    await desk.service.save_candles()
    desk = await Desk(desk.database).started()
    desk.service.restart(OPENING)
    await played_on(desk, 0, 200)
    assert await desk.service.candles(ONE, OPENING, OPENING + hour) == once


async def test_a_save_that_fails_while_the_tape_begins_again_loses_no_earlier_minute() -> None:
    """What the restart keeps waits for the next save."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    await played_on(desk, 0, 150)
    before = await desk.service.candles(ONE, OPENING, minute(1))
    desk.database.fail_with = UNAVAILABLE
    saving = asyncio.create_task(desk.service.save_candles())
    await asyncio.sleep(0)
    desk.service.restart(minute(1))
    await saving
    desk.database.fail_with = None
    await desk.service.save_candles()
    assert await desk.service.candles(ONE, OPENING, OPENING + timedelta(hours=1)) == before
