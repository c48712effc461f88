"""The venue's clock: it follows its readings, never backwards, and does not run away from a dead venue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from engine.clocks import QuoteClock, StreamClock, SystemClock, VenueClock

START = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)


class HandClock(VenueClock):
    """A venue clock whose machine time the test moves."""

    machine = 100.0

    def monotonic(self) -> float:
        """Seconds of the test."""
        return self.machine


@pytest.fixture
def clock() -> HandClock:
    """Ten market seconds a second, three seconds of running on."""
    return HandClock(START, speed=10.0, run_on_s=3.0)


def test_it_runs_at_the_speed_of_the_venue(clock: HandClock) -> None:
    """Two seconds are twenty."""
    clock.machine += 2
    assert clock.market_now() == START + timedelta(seconds=20)


def test_without_a_reading_it_stops_after_a_while(clock: HandClock) -> None:
    """A dead venue's market does not go on for ever."""
    clock.machine += 1000
    assert clock.market_now() == START + timedelta(seconds=30)


def test_it_never_runs_backwards(clock: HandClock) -> None:
    """A venue that was down comes back at an earlier time than we ran on to: we wait for it."""
    clock.machine += 3
    reached = clock.market_now()
    clock.set_reading(START + timedelta(seconds=5), speed=10.0)
    assert clock.market_now() == reached
    clock.machine += 3
    assert clock.market_now() == START + timedelta(seconds=35)


def test_it_follows_a_jump_ahead_and_a_change_of_speed(clock: HandClock) -> None:
    """The test of the venue's owner, who may move time."""
    clock.set_reading(START + timedelta(hours=1), speed=0.0)
    clock.machine += 2
    assert clock.market_now() == START + timedelta(hours=1)
    assert clock.speed == 0.0


def test_every_zone_becomes_utc() -> None:
    """A reading in Indian time is the same moment."""
    india = timezone(timedelta(hours=5, minutes=30))
    clock = HandClock(START.astimezone(india), speed=1.0, run_on_s=1.0)
    assert clock.market_now() == START
    assert clock.market_now().utcoffset() == timedelta(0)


def test_a_time_without_a_zone_or_a_negative_speed_is_refused(clock: HandClock) -> None:
    """Neither can be guessed."""
    with pytest.raises(ValueError, match="zone"):
        clock.set_reading(START.replace(tzinfo=None), speed=1.0)
    with pytest.raises(ValueError, match="speed"):
        clock.set_reading(START, speed=-1.0)
    with pytest.raises(ValueError, match="speed"):
        VenueClock(START, speed=float("nan"), run_on_s=1.0)


async def test_the_system_clock_is_aware_and_waits() -> None:
    """Market time is the wall's when live."""
    clock = SystemClock()
    assert clock.market_now().utcoffset() == timedelta(0)
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009


def test_a_tape_s_clock_stands_still_between_two_words() -> None:
    """Real time moves it by nothing; an earlier word is not taken; a restart is."""
    stream = StreamClock(START)
    told = START + timedelta(seconds=5, microseconds=250)
    stream.tell(nanoseconds(told))
    assert stream.market_now() == told
    stream.tell(nanoseconds(START))
    assert stream.market_now() == told
    stream.restart(nanoseconds(START))
    assert stream.market_now() == START


def test_quotes_of_a_tape_age_with_the_tape() -> None:
    """A minute of the tape is a minute of age, exactly, and stamps are never zero or less."""
    stream = StreamClock(START)
    clock = QuoteClock(stream)
    before = clock.now_ns()
    stream.tell(nanoseconds(START + timedelta(minutes=1)))
    assert clock.now_ns() - before == 60 * 10**9
    assert clock.monotonic() * 10**9 == clock.now_ns()
    assert clock.market_now() == stream.market_now()
    stream.restart(nanoseconds(START - timedelta(hours=2)))
    assert clock.now_ns() > 0


def nanoseconds(moment: datetime) -> int:
    """Since the epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
