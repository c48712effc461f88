"""The data of one life of a connection."""

from __future__ import annotations

from engine.brokers.kite.pulse import Pulse

SECOND = 1_000_000_000


def test_nothing_is_awaited_before_something_is_carried() -> None:
    """Waiting begins when the connection was told something, and ends when it carries nothing."""
    pulse = Pulse()
    assert pulse.starved_s(100 * SECOND) == 0.0
    pulse.told(True, 10 * SECOND)
    pulse.told(True, 14 * SECOND)
    assert pulse.starved_s(15 * SECOND) == 5.0
    pulse.told(False, 15 * SECOND)
    assert pulse.starved_s(20 * SECOND) == 0.0


def test_data_ends_the_waiting_and_shows_the_pauses() -> None:
    """The longest pause and how long data has flowed come from the frames themselves."""
    pulse = Pulse()
    pulse.told(True, SECOND)
    for at in (2, 3, 7, 8):
        pulse.beat(at * SECOND)
    assert pulse.starved_s(10 * SECOND) == 2.0
    assert pulse.longest_pause_s == 4.0
    assert pulse.flowed_s == 6.0


def test_time_out_of_session_counts_for_nothing() -> None:
    """A night is no pause and no waiting; data flows anew from the opening on."""
    pulse = Pulse()
    pulse.told(True, 0)
    pulse.beat(SECOND)
    pulse.beat(2 * SECOND)
    pulse.closed(1000 * SECOND)
    assert pulse.starved_s(1003 * SECOND) == 3.0
    pulse.beat(1004 * SECOND)
    pulse.beat(1005 * SECOND)
    assert pulse.longest_pause_s == 1.0
    assert pulse.flowed_s == 1.0
