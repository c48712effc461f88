"""The order budget at its edges."""

from __future__ import annotations

import pytest

from engine.execution.budgets import DAY_S, IST_OFFSET_S, Lane, OrderBudget
from engine.execution.settings import BudgetLimits

START = 1_700_000_000.5
"""Half past a second."""


class Time:
    """The broker's clock in a test's hand."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def budget(time: Time, **limits: float) -> OrderBudget:
    """A budget with these limits, others generous."""
    generous = BudgetLimits(per_second=100, per_minute=1000, per_day=10_000)
    fields = {name: getattr(generous, name) for name in generous.__struct_fields__} | limits
    return OrderBudget(BudgetLimits(**fields), time)


def taken(subject: OrderBudget, lane: Lane, *, placement: bool = False) -> int:
    """How many requests of a lane leave at this moment."""
    count = 0
    while subject.take(lane, placement=placement):
        count += 1
    return count


def test_entries_leave_the_reserve_of_the_second_to_exits() -> None:
    """Ten a second with two kept back: eight entries, then two exits, then nothing."""
    subject = budget(Time(), per_second=10, reserve_per_second=2)
    assert taken(subject, Lane.ENTRY) == 8
    assert taken(subject, Lane.MODIFY) == 0
    assert taken(subject, Lane.CANCEL) == 2
    assert taken(subject, Lane.EXIT) == 0


def test_the_next_second_begins_after_the_guard() -> None:
    """A full second is over for us when no arrival can fall into it any more."""
    time = Time()
    subject = budget(time, per_second=10, reserve_per_second=0, guard_s=0.1)
    assert taken(subject, Lane.EXIT) == 10
    assert subject.wait(Lane.EXIT, placement=False) == pytest.approx(0.6)
    time.now += 0.59
    assert not subject.take(Lane.EXIT, placement=False)
    time.now += 0.02
    assert taken(subject, Lane.EXIT) == 10


def test_requests_near_the_edge_are_charged_to_both_seconds() -> None:
    """What leaves within the guard of a boundary may be counted on either side of it."""
    time = Time(1_700_000_000.95)
    subject = budget(time, per_second=10, reserve_per_second=0, guard_s=0.1)
    assert taken(subject, Lane.EXIT) == 10
    time.now += 0.5  # the next second
    assert taken(subject, Lane.EXIT) == 0


def test_the_minute_counts_orders_only_and_slides() -> None:
    """The 401st order waits until the first is a minute old; a cancel does not wait."""
    time = Time()
    subject = budget(time, per_minute=400, reserve_per_minute=0, per_second=1000, guard_s=0.1)
    assert taken(subject, Lane.EXIT, placement=True) == 400
    assert subject.wait(Lane.EXIT, placement=True) == pytest.approx(60.2)
    assert subject.take(Lane.CANCEL, placement=False)
    time.now += 60.21
    assert subject.take(Lane.EXIT, placement=True)


def test_the_day_ends_at_midnight_in_india() -> None:
    """The day's orders are forgotten at 00:00 IST, those of the last moment are kept."""
    midnight = 20_000 * DAY_S - IST_OFFSET_S
    time = Time(midnight - 10.5)
    subject = budget(time, per_day=5, reserve_per_day=0)
    assert taken(subject, Lane.EXIT, placement=True) == 5
    assert subject.wait(Lane.EXIT, placement=True) == pytest.approx(10.6)
    time.now = midnight + 0.2
    assert taken(subject, Lane.EXIT, placement=True) == 5


def test_orders_around_midnight_count_for_both_days() -> None:
    """An order released within the guard of midnight is charged to the new day too."""
    midnight = 20_000 * DAY_S - IST_OFFSET_S
    time = Time(midnight - 0.05)
    subject = budget(time, per_day=5, reserve_per_day=0, guard_s=0.1)
    assert taken(subject, Lane.EXIT, placement=True) == 5
    time.now = midnight + 3
    assert taken(subject, Lane.EXIT, placement=True) == 0


def test_the_day_keeps_a_reserve_for_exits() -> None:
    """Entries end before the day's limit, exits at it."""
    subject = budget(Time(), per_day=20, reserve_per_day=5)
    assert taken(subject, Lane.ENTRY, placement=True) == 15
    assert taken(subject, Lane.EXIT, placement=True) == 5


def test_a_refusal_for_speed_is_obeyed_and_lowers_the_rate() -> None:
    """Silence for as long as the broker asks, one request a second less afterwards, and full speed later."""
    time = Time()
    subject = budget(time, per_second=10, reserve_per_second=0, recovery_s=30.0)
    subject.obey(2.0)
    assert subject.wait(Lane.EXIT, placement=False) == pytest.approx(2.0)
    time.now += 2.01
    assert taken(subject, Lane.EXIT) == 9
    assert subject.rate_limited == 1
    time.now += 30
    assert taken(subject, Lane.EXIT) == 10


def test_refusals_without_a_time_pause_for_the_setting() -> None:
    """No Retry-After: the configured pause."""
    subject = budget(Time(), rate_limited_pause_s=1.5)
    subject.obey(None)
    assert subject.wait(Lane.ENTRY, placement=True) == pytest.approx(1.5)


def test_many_refusals_never_silence_the_account_for_good() -> None:
    """However often it was refused, one request a second remains."""
    time = Time()
    subject = budget(time, per_second=5, reserve_per_second=2)
    for _ in range(50):
        subject.obey(0.1)
    time.now += 1
    assert taken(subject, Lane.ENTRY) == 1


def test_what_was_sent_before_the_start_counts() -> None:
    """Orders of the day and of the last minute that the book shows are charged."""
    time = Time()
    subject = budget(time, per_minute=10, reserve_per_minute=0, per_day=100, reserve_per_day=0)
    subject.count_earlier(today=40, last_minute=4)
    assert taken(subject, Lane.EXIT, placement=True) == 6
    gauge = subject.gauge()
    assert (gauge.day_used, gauge.day_limit, gauge.minute_used, gauge.minute_limit) == (46, 100, 10, 10)


def test_the_gauge_shows_this_second() -> None:
    """Used and limit of the second, as charged."""
    time = Time()
    subject = budget(time, per_second=10)
    subject.take(Lane.ENTRY, placement=True)
    assert (subject.gauge().second_used, subject.gauge().second_limit) == (1, 10)
    time.now += 1
    assert subject.gauge().second_used == 0


def test_the_first_second_of_an_engine_is_not_used() -> None:
    """An engine that was killed may have used this second up: the next one begins with the next."""
    time = Time()
    subject = budget(time, guard_s=0.1)
    subject.skip_this_second()
    assert subject.wait(Lane.EXIT, placement=False) == pytest.approx(0.6)
