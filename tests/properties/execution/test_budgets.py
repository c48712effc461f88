"""No second, minute or day at the broker exceeds its limit, whatever the jitter within the guard."""

from __future__ import annotations

from collections import Counter
from math import floor

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.execution.budgets import Lane, OrderBudget
from engine.execution.settings import BudgetLimits

GUARD_S = 0.1
SHARP = 1e-6
"""Floats of the epoch's size resolve a quarter of a microsecond."""


@st.composite
def traffic(draw: st.DrawFn) -> list[tuple[float, Lane, bool, float]]:
    """Pauses before requests, their lane and kind, and how their arrival differs from our estimate."""
    return draw(
        st.lists(
            st.tuples(
                st.one_of(st.just(0.0), st.floats(0, 0.02), st.floats(0, 3), st.sampled_from([0.999, 1.0, 59.9, 60.0])),
                st.sampled_from(list(Lane)),
                st.booleans(),
                st.floats(-GUARD_S + SHARP, GUARD_S - SHARP),
            ),
            min_size=1,
            max_size=150,
        )
    )


@given(
    requests=traffic(),
    start=st.floats(1_700_000_000, 1_700_086_400),
    per_second=st.integers(1, 10),
    per_minute=st.integers(3, 30),
    obeys_waits=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_no_window_at_the_broker_overflows(
    requests: list[tuple[float, Lane, bool, float]], start: float, per_second: int, per_minute: int, obeys_waits: bool
) -> None:
    """Count arrivals in calendar seconds and in every sliding minute of the broker's clock."""
    now = start
    budget = OrderBudget(
        BudgetLimits(
            per_second=per_second,
            per_minute=per_minute,
            reserve_per_second=min(2, per_second - 1),
            reserve_per_minute=1,
            guard_s=GUARD_S,
        ),
        lambda: now,
    )
    arrivals: list[tuple[float, bool]] = []
    for pause, lane, placement, jitter in requests:
        now += pause
        if obeys_waits:
            while (wait := budget.wait(lane, placement=placement)) > 0:
                now += wait
        if budget.take(lane, placement=placement):
            arrivals.append((now + jitter, placement))
        elif obeys_waits:
            raise AssertionError("a caller that waited as told may take")
    seconds = Counter(floor(moment) for moment, _ in arrivals)
    assert max(seconds.values(), default=0) <= per_second
    placements = sorted(moment for moment, placement in arrivals if placement)
    for first, last in zip(placements, placements[per_minute:], strict=False):
        assert last - first >= 60.0 - SHARP


@given(
    starts=st.floats(1_700_000_000, 1_700_000_001),
    entries=st.integers(0, 30),
)
@settings(max_examples=60, deadline=None)
def test_an_exit_always_finds_its_reserve(starts: float, entries: int) -> None:
    """However many entries have just left, two exits may leave in the same moment."""
    budget = OrderBudget(BudgetLimits(), lambda: starts)
    for _ in range(entries):
        budget.take(Lane.ENTRY, placement=True)
    assert budget.take(Lane.EXIT, placement=True)
    assert budget.take(Lane.CANCEL, placement=False)
