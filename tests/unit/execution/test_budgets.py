"""The order budget at its edges."""

from __future__ import annotations

from math import floor

import pytest

from engine.core.views import BudgetGauge
from engine.core.vocabulary import Severity
from engine.execution.budget_watch import BudgetWatch
from engine.execution.budgets import DAY_S, IST_OFFSET_S, OrderBudget
from engine.execution.lanes import Lane
from engine.execution.notices import Notice
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
        time.now += 0.1
    time.now = floor(time.now) + 1.5
    assert taken(subject, Lane.ENTRY) == 1


def test_what_was_sent_before_the_start_counts() -> None:
    """Placements of the day and of the last minute that the journal knows are charged, each at its own moment."""
    time = Time()
    subject = budget(time, per_minute=10, reserve_per_minute=0, per_day=100, reserve_per_day=0)
    subject.restore([START - 100] * 36 + [START - 10, START - 20, START - 30, START - 40])
    assert taken(subject, Lane.EXIT, placement=True) == 6
    gauge = subject.gauge()
    assert (gauge.day_used, gauge.day_limit, gauge.minute_used, gauge.minute_limit) == (46, 100, 10, 10)
    assert subject.wait(Lane.EXIT, placement=True) == pytest.approx(20.2)


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


def test_entries_end_at_their_limit_and_not_one_before() -> None:
    """Nineteen of twenty with one kept back: the nineteenth leaves, the twentieth waits; in each window."""
    time = Time()
    for fields in (
        {"per_second": 20, "reserve_per_second": 1},
        {"per_minute": 20, "reserve_per_minute": 1},
        {"per_day": 20, "reserve_per_day": 1},
    ):
        subject = budget(time, **fields)
        assert taken(subject, Lane.ENTRY, placement=True) == 19, fields
        assert taken(subject, Lane.HEDGE, placement=True) == 0, fields
        assert taken(subject, Lane.EXIT, placement=True) == 1, fields


def test_stops_use_the_days_reserve_and_not_the_seconds() -> None:
    """A position that may still be held may be protected; an exit never waits for stops."""
    subject = budget(Time(), per_second=10, reserve_per_second=2)
    assert taken(subject, Lane.STOP, placement=True) == 8
    subject = budget(Time(), per_day=20, reserve_per_day=5)
    assert taken(subject, Lane.ENTRY, placement=True) == 15
    assert taken(subject, Lane.STOP, placement=True) == 5


def test_cancels_and_changes_count_for_no_minute_and_no_day() -> None:
    """The broker counts them in the second alone."""
    subject = budget(Time(), per_minute=1, reserve_per_minute=0, per_day=1, reserve_per_day=0)
    assert subject.take(Lane.EXIT, placement=True)
    assert taken(subject, Lane.MODIFY) > 5
    gauge = subject.gauge()
    assert (gauge.minute_used, gauge.day_used) == (1, 1)


def test_legs_of_an_iceberg_count_each_in_the_day() -> None:
    """Five for the day, one for the second and the minute; the day takes it only whole."""
    subject = budget(Time(), per_day=9, reserve_per_day=0)
    assert subject.take(Lane.ENTRY, placement=True, orders=5)
    assert subject.wait(Lane.ENTRY, placement=True, orders=5) > 0
    assert subject.take(Lane.ENTRY, placement=True, orders=5) is None
    assert subject.wait(Lane.ENTRY, placement=True, orders=4) == 0
    gauge = subject.gauge()
    assert (gauge.second_used, gauge.minute_used, gauge.day_used) == (1, 1, 5)


def test_a_placement_that_never_arrived_is_given_back() -> None:
    """Its own moment leaves the minute, not a later one's; its second stays charged."""
    time = Time()
    subject = budget(time, per_minute=2, reserve_per_minute=0, per_day=2, reserve_per_day=0)
    first = subject.take(Lane.EXIT, placement=True)
    time.now += 30
    assert subject.take(Lane.EXIT, placement=True)
    assert first is not None
    subject.give_back(first)
    assert (subject.gauge().minute_used, subject.gauge().day_used) == (1, 1)
    assert subject.take(Lane.EXIT, placement=True)
    assert subject.wait(Lane.EXIT, placement=False) == 0
    time.now += 30.21  # the first would be over now, had it counted; the second is not
    assert (subject.gauge().minute_used, subject.gauge().day_used) == (2, 2)


def test_what_is_given_back_after_midnight_is_yesterdays() -> None:
    """The new day never counted it; one of the last moment counted for both days, and for none now."""
    midnight = 20_000 * DAY_S - IST_OFFSET_S
    time = Time(midnight - 30)
    subject = budget(time, per_day=5, reserve_per_day=0)
    yesterday = subject.take(Lane.EXIT, placement=True)
    time.now = midnight - 0.05
    both = subject.take(Lane.EXIT, placement=True)
    time.now = midnight + 5
    assert subject.take(Lane.EXIT, placement=True)
    assert subject.gauge().day_used == 2
    assert yesterday is not None
    assert both is not None
    subject.give_back(yesterday)
    assert subject.gauge().day_used == 2
    subject.give_back(both)
    assert subject.gauge().day_used == 1


def test_orders_of_others_count_once() -> None:
    """The book shows three of theirs, then five, then three again: five are charged, the new ones to this minute."""
    time = Time()
    subject = budget(time, per_minute=10, reserve_per_minute=0, per_day=10, reserve_per_day=0)
    for today in (3, 5, 3):
        subject.count_outside(today=today, recent=1)
    gauge = subject.gauge()
    assert (gauge.day_used, gauge.minute_used) == (5, 2)
    assert taken(subject, Lane.EXIT, placement=True) == 5


def test_a_day_that_the_broker_calls_over_ends_entries_and_not_exits() -> None:
    """Whatever we have counted: entries stop, exits are still tried."""
    subject = budget(Time(), per_day=100, reserve_per_day=10)
    subject.exhaust_day()
    assert subject.is_day_over(Lane.ENTRY)
    assert not subject.is_day_over(Lane.EXIT)
    assert subject.take(Lane.EXIT, placement=True)


def test_refusals_in_one_silence_lower_the_rate_once_and_come_back_one_by_one() -> None:
    """Eight answers to one mistake are one mistake; two mistakes recover one after the other."""
    time = Time()
    subject = budget(time, per_second=10, reserve_per_second=0, recovery_s=30.0)
    for _ in range(8):
        subject.obey(1.0)
    assert (subject.gauge().lowered_by, subject.rate_limited) == (1, 8)
    time.now += 1.0  # exactly when the silence ends the next refusal is a new one
    subject.obey(1.0)
    assert subject.gauge().lowered_by == 2
    assert subject.gauge().paused_s == pytest.approx(1.0)
    time.now += 29.0
    assert (subject.gauge().lowered_by, subject.gauge().second_limit) == (1, 9)
    time.now += 30.0
    assert (subject.gauge().lowered_by, subject.gauge().second_limit) == (0, 10)


def test_an_uncertain_clock_widens_the_guard() -> None:
    """Half a second of doubt: a burst in the middle of a second may have been counted in three of them."""
    time = Time()
    subject = budget(time, per_second=10, reserve_per_second=0, guard_s=0.1)
    subject.widen(0.45)
    assert taken(subject, Lane.EXIT) == 10
    time.now += 1.0
    assert taken(subject, Lane.EXIT) == 0
    subject.widen(0.0)
    time.now += 1.0
    assert taken(subject, Lane.EXIT) == 10
    subject.widen(5.0)  # of no use: the guard alone
    time.now += 1.0
    assert taken(subject, Lane.EXIT) == 10


def test_a_forecast_tells_when_each_waiting_request_leaves() -> None:
    """Twelve entries and an exit: the exit at once, eight entries with it, the rest in the next second."""
    time = Time()
    subject = budget(time, per_second=10, reserve_per_second=2)
    leaves = subject.forecast([(Lane.EXIT, True, 1), *[(Lane.ENTRY, True, 1)] * 12])
    assert leaves[:8] == (0.0,) * 8
    assert leaves[8:] == pytest.approx([0.6] * 5)
    assert subject.gauge().second_used == 0


def test_the_gauge_shows_where_entries_end() -> None:
    """Limits and the parts of them that entries may use."""
    subject = OrderBudget(BudgetLimits(), Time())
    gauge = subject.gauge()
    assert (gauge.second_entries, gauge.minute_entries, gauge.day_entries) == (8, 380, 4750)
    assert (gauge.second_limit, gauge.minute_limit, gauge.day_limit) == (10, 400, 5000)


def gauge_at(day: int, minute: int = 0) -> BudgetGauge:
    """A gauge of the usual limits."""
    return BudgetGauge(
        second_used=0,
        second_limit=10,
        minute_used=minute,
        minute_limit=400,
        day_used=day,
        day_limit=5000,
        minute_entries=380,
        day_entries=4750,
    )


def test_near_limits_are_told_once_and_again_after_there_was_room() -> None:
    """At 80 percent, not one before; at the end of entries with danger; a figure that wavers makes one notice."""
    said: list[Notice] = []
    watch = BudgetWatch(0.8, said.append)
    watch.look(gauge_at(3999))
    assert said == []
    for day in (4000, 3999, 4001, 4749):
        watch.look(gauge_at(day))
    assert [notice.text for notice in said] == ["4,000 of the day's 5,000 orders are used."]
    watch.look(gauge_at(4750))
    assert said[-1].severity is Severity.DANGER
    assert said[-1].text.endswith("entries end here, none is taken before midnight. The last 250 are kept for exits.")
    watch.look(gauge_at(0, minute=320))
    watch.look(gauge_at(0, minute=10))
    watch.look(gauge_at(4000, minute=320))
    assert [notice.text.split(" orders")[0] for notice in said[2:]] == [
        "320 of the minute's 400",
        "320 of the minute's 400",
        "4,000 of the day's 5,000",
    ]
