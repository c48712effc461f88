"""No second, minute or day at the broker exceeds its limit, whatever the load and the jitter within the guard."""

from __future__ import annotations

import random
from collections import Counter
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.execution.budgets import DAY_S, IST_OFFSET_S, MINUTE_S, OrderBudget
from engine.execution.lanes import Lane
from engine.execution.settings import BudgetLimits

GUARD_S = 0.1
SHARP = 1e-6
"""Floats of the epoch's size resolve a quarter of a microsecond."""
MIDNIGHT = 20_000 * DAY_S - IST_OFFSET_S
EARLIEST_AND_LATEST = st.sampled_from([-GUARD_S + SHARP, GUARD_S - SHARP])
JITTER = st.one_of(EARLIEST_AND_LATEST, st.floats(-GUARD_S + SHARP, GUARD_S - SHARP))
PAUSES = st.one_of(st.just(0.0), st.floats(0, 0.02), st.floats(0, 3), st.sampled_from([0.999, 1.0, 59.9, 60.0, 61.0]))


@st.composite
def traffic(draw: st.DrawFn) -> list[tuple[float, Lane, bool, float]]:
    """Pauses before requests, their lane and kind, and how their arrival differs from our estimate."""
    return draw(
        st.lists(st.tuples(PAUSES, st.sampled_from(list(Lane)), st.booleans(), JITTER), min_size=1, max_size=150)
    )


@given(
    requests=traffic(),
    start=st.one_of(st.floats(1_700_000_000, 1_700_086_400), st.floats(MIDNIGHT - 60, MIDNIGHT + 1)),
    per_second=st.integers(1, 10),
    per_minute=st.integers(3, 30),
    per_day=st.integers(5, 60),
    doubt_s=st.sampled_from([0.0, 0.05, 0.45, 0.8]),
    obeys_waits=st.booleans(),
)
@settings(max_examples=250, deadline=None)
def test_no_window_at_the_broker_overflows(  # noqa: PLR0917 - drawn by name
    requests: list[tuple[float, Lane, bool, float]],
    start: float,
    per_second: int,
    per_minute: int,
    per_day: int,
    doubt_s: float,
    obeys_waits: bool,
) -> None:
    """Count arrivals in calendar seconds, minutes and days and in every sliding minute of the broker's clock."""
    now = start
    budget = OrderBudget(
        BudgetLimits(
            per_second=per_second,
            per_minute=per_minute,
            per_day=per_day,
            reserve_per_second=min(2, per_second - 1),
            reserve_per_minute=1,
            reserve_per_day=2,
            guard_s=GUARD_S,
        ),
        lambda: now,
    )
    budget.widen(doubt_s)
    spread = (GUARD_S + doubt_s) / GUARD_S
    arrivals: list[tuple[float, bool]] = []
    for pause, lane, placement, jitter in requests:
        now += pause
        if obeys_waits:
            while (wait := budget.wait(lane, placement=placement)) > 0:
                now += wait
        if budget.take(lane, placement=placement) is not None:
            arrivals.append((now + jitter * spread, placement))
        elif obeys_waits:
            raise AssertionError("a caller that waited as told may take")
    seconds = Counter(floor(moment) for moment, _ in arrivals)
    assert max(seconds.values(), default=0) <= per_second
    placements = sorted(moment for moment, placement in arrivals if placement)
    for first, last in zip(placements, placements[per_minute:], strict=False):
        assert last - first >= MINUTE_S - SHARP * 2 * spread
    minutes = Counter(floor(moment // MINUTE_S) for moment in placements)
    assert max(minutes.values(), default=0) <= per_minute
    days = Counter(floor((moment + IST_OFFSET_S) / DAY_S) for moment in placements)
    assert max(days.values(), default=0) <= per_day


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("count", [10, 399, 401, 1_999])
def test_a_burst_leaves_as_fast_as_the_guarded_windows_allow(fraction: float, count: int) -> None:
    """Against the ideal (ten in each second that is not shared, 400 in 60.2 s) no more than two percent are lost."""
    now = start = 1_800_000_000 + fraction
    budget = OrderBudget(BudgetLimits(reserve_per_second=0, reserve_per_minute=0, reserve_per_day=0), lambda: now)
    chance = random.Random(count)  # noqa: S311 - jitter, repeatable
    arrivals = []
    for _ in range(count):
        while (wait := budget.wait(Lane.ENTRY, placement=True)) > 0:
            now += wait
        assert budget.take(Lane.ENTRY, placement=True) is not None
        arrivals.append(now + chance.choice((-1, 1)) * (GUARD_S - SHARP))
    assert max(Counter(floor(moment) for moment in arrivals).values()) <= 10
    arrivals.sort()
    assert all(last - first >= MINUTE_S - SHARP for first, last in zip(arrivals, arrivals[400:], strict=False))
    batches, rest = divmod(count - 1, 400)
    ideal = batches * (MINUTE_S + 2 * GUARD_S) + rest // 10
    # A burst that begins beside a boundary of a second has to share the first two.
    assert now - start <= ideal * 1.02 + 1 + 2 * GUARD_S


@given(starts=st.floats(1_700_000_000, 1_700_000_001), entries=st.integers(0, 30), hedges=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_an_exit_always_finds_its_reserve(starts: float, entries: int, hedges: int) -> None:
    """However many entries, hedges and stops have just left, two exits may leave in the same moment."""
    budget = OrderBudget(BudgetLimits(), lambda: starts)
    for lane, count in ((Lane.ENTRY, entries), (Lane.HEDGE, hedges), (Lane.STOP, 10), (Lane.MODIFY, 10)):
        for _ in range(count):
            budget.take(lane, placement=lane is not Lane.MODIFY)
    assert budget.take(Lane.EXIT, placement=True)
    assert budget.take(Lane.CANCEL, placement=False)


@given(
    waiting=st.lists(st.tuples(st.sampled_from(list(Lane)), st.booleans(), st.integers(1, 3)), max_size=60),
    before=st.integers(0, 30),
    start=st.floats(1_700_000_000, 1_700_000_060),
)
@settings(max_examples=80, deadline=None)
def test_a_forecast_is_what_then_happens(waiting: list[tuple[Lane, bool, int]], before: int, start: float) -> None:
    """Played for real in the same order each request leaves when it was foretold, and asking changed nothing."""
    now = start
    budget = OrderBudget(BudgetLimits(per_minute=40, reserve_per_minute=4), lambda: now)
    for _ in range(before):
        budget.take(Lane.ENTRY, placement=True)
    gauge = budget.gauge()
    foretold = budget.forecast(waiting)
    assert budget.gauge() == gauge
    left = {lane: [place for place, item in enumerate(waiting) if item[0] is lane] for lane in Lane}
    while any(left.values()):
        waits = []
        for lane in Lane:
            if not left[lane]:
                continue
            place = left[lane][0]
            _, placement, orders = waiting[place]
            wait = budget.wait(lane, placement=placement, orders=orders)
            if not wait:
                assert budget.take(lane, placement=placement, orders=orders)
                assert now - start == pytest.approx(foretold[place], abs=1e-5)
                left[lane].pop(0)
                break
            waits.append(wait)
        else:
            now += min(waits)
