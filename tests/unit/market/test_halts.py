"""A lively segment that stands still on a living path is suspected of a halt, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.market.halts import HaltSettings, HaltWatch, Sight, Suspicion

START = datetime(2026, 11, 23, 8, 12, tzinfo=UTC)
NFO = 2


class Watched:
    """One segment, looked at once a second of market time."""

    def __init__(self, *, instruments: int = 50, settings: HaltSettings | None = None) -> None:
        self.watch = HaltWatch(settings or HaltSettings(), {NFO: "NSE F&O"}, ZoneInfo("Asia/Kolkata"))
        self.instruments = instruments
        self.second = 0.0
        self.figure = 0

    def look(self, *, moves: bool, passes: float = 1.0) -> tuple[Suspicion, ...]:
        """One look, at which the quotes have changed or not."""
        self.second += passes
        self.figure += moves
        sight = Sight(instruments=self.instruments, fingerprint=self.figure)
        return self.watch.observe(START + timedelta(seconds=self.second), {NFO: sight})

    def lively(self, seconds: int = 60) -> None:
        """It moves every second."""
        for _ in range(seconds):
            assert self.look(moves=True) == ()


def test_a_lively_segment_that_stands_still_is_suspected_until_it_moves() -> None:
    """After twenty seconds, with what speaks for it; the first quote that changes ends it."""
    segment = Watched()
    segment.lively()
    assert not any(segment.look(moves=False) for _ in range(19))
    (suspicion,) = segment.look(moves=False)
    assert suspicion.segment == NFO
    assert "NSE F&O may be HALTED: none of 50 quotes has changed since 13:43:00" in suspicion.words
    assert segment.look(moves=False) == (suspicion,)
    assert segment.look(moves=True) == ()
    assert segment.look(moves=False) == ()


def test_a_sleepy_segment_is_not_suspected() -> None:
    """It changed in every third second only: twenty still ones are nothing new."""
    segment = Watched()
    for second in range(90):
        assert segment.look(moves=second % 3 == 0) == ()
    assert not any(segment.look(moves=False) for _ in range(60))


def test_nothing_is_said_of_a_few_instruments_or_of_a_clock_that_stands_still() -> None:
    """Three quotes prove nothing; without market time passing there is no stillness."""
    few = Watched(instruments=3)
    few.lively()
    assert not any(few.look(moves=False) for _ in range(60))
    paused = Watched()
    paused.lively()
    assert not any(paused.look(moves=False, passes=0.0) for _ in range(60))


def test_what_was_forgotten_begins_anew() -> None:
    """It was closed: what stands still since then has not been lively."""
    segment = Watched()
    segment.lively()
    segment.watch.forget(NFO)
    assert not any(segment.look(moves=False) for _ in range(60))


def test_an_interruption_delays_the_word_about_a_halt_and_does_not_hide_it() -> None:
    """A path that was silent for a moment: twenty seconds on a living one are needed all the same, and are enough."""
    segment = Watched()
    segment.lively()
    assert not any(segment.look(moves=False) for _ in range(15))
    segment.watch.interrupt(NFO)
    assert not any(segment.look(moves=False, passes=passes) for passes in (30.0, *[1.0] * 19))
    assert segment.look(moves=False)


def test_a_halt_goes_on_after_an_interruption_in_which_nothing_changed() -> None:
    """A connection is made anew and brings the very same figures: the market has stood still since it was seen to."""
    segment = Watched()
    segment.lively()
    (before,) = [found for _ in range(20) for found in segment.look(moves=False)]
    segment.watch.interrupt(NFO)
    assert segment.look(moves=False, passes=40.0) == (before,)
    segment.watch.interrupt(NFO)
    assert segment.look(moves=True) == ()
    assert not any(segment.look(moves=False) for _ in range(19))
    assert segment.look(moves=False)


def test_a_clock_that_leaps_makes_no_halt() -> None:
    """A minute of market time between two looks, as at sixty times the speed: two quiet looks prove nothing."""
    segment = Watched()
    for _ in range(60):
        segment.look(moves=True, passes=60.0)
    assert not any(segment.look(moves=False, passes=60.0) for _ in range(9))
    assert segment.look(moves=False, passes=60.0)


def test_a_stillness_longer_than_what_is_remembered_is_told() -> None:
    """How lively it was is what was seen before it stood still, however long that lasts."""
    segment = Watched(settings=HaltSettings(still_s=90.0))
    segment.lively()
    assert not any(segment.look(moves=False) for _ in range(89))
    assert segment.look(moves=False)


def test_a_quiet_second_now_and_then_does_not_hide_a_halt() -> None:
    """Nine of ten seconds moved before it stood still."""
    segment = Watched()
    for second in range(100):
        segment.look(moves=second % 10 != 0)
    assert any(segment.look(moves=False) for _ in range(25))
