"""Modes by seat: what arms, what ends it, and that one seat's arming is nobody else's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta

import pytest

from engine.arming import SEATS_MAX, Arming, ArmingSettings, short_budget
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState
from engine.core.views import BudgetGauge
from engine.core.vocabulary import Mode, Severity
from engine.execution.facts import ENGINE_SEAT
from tests.unit.engine.manual_clock import ManualClock

MINUTE = 60.0
SETTINGS = ArmingSettings(hot_minutes=15, idle_minutes=3, hot_lots_max=5, refusals_max=3)


class Rig:
    """Arming with everything that it looks at in the hands of the test."""

    def __init__(self, start: Mode = Mode.READ) -> None:
        self.clock = ManualClock()
        self.day = date(2026, 11, 19)
        self.is_open = True
        self.why = ""
        self.told: list[tuple[str, str, Severity]] = []
        self.arming = Arming(
            SETTINGS,
            self.clock,
            start=start,
            today=lambda: self.day,
            is_open=lambda: self.is_open,
            blocked=lambda: self.why,
            tell=lambda words, seat, severity: self.told.append((words, seat, severity)),
        )

    def hot(self, seat: str = "one", lots: int = 2) -> None:
        assert not self.arming.arm(seat, Mode.HOT, lots)

    def mode(self, seat: str = "one") -> Mode:
        return self.arming.mode(seat)

    def heard(self, words: str, seat: str = "one") -> bool:
        return any(words in told and whose == seat for told, whose, _ in self.told)


def refuse(rig: Rig, times: int) -> None:
    """Refuse so many orders of the first seat."""
    for _ in range(times):
        rig.arming.refused("one")


async def over(rig: Rig) -> None:
    """The longest HOT passes, with keys all the time."""
    for _ in range(8):
        rig.arming.touch("one")
        await rig.clock.advance(2 * MINUTE)


async def idle(rig: Rig) -> None:
    """Nobody presses a key."""
    await rig.clock.advance(3 * MINUTE)


async def stale(rig: Rig) -> None:
    """The feed is not trusted any more."""
    rig.why = "the feed is STALE"


async def refused(rig: Rig) -> None:
    """As many refusals as it takes."""
    refuse(rig, 3)


async def another(rig: Rig) -> None:
    """Somebody else goes HOT."""
    rig.hot("two")


async def stepped_down(rig: Rig) -> None:
    """The seat itself wants to review again."""
    rig.arming.arm("one", Mode.CONFIRM)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (over, "HOT ended: 15 minutes are over. The mode is CONFIRM."),
        (idle, "HOT ended: no key for 3 minutes. The mode is CONFIRM."),
        (stale, "HOT ended: the feed is STALE. The mode is CONFIRM."),
        (refused, "HOT ended: 3 orders in a row were refused. The mode is CONFIRM."),
        (another, "HOT ended: two went HOT. The mode is CONFIRM."),
        (stepped_down, "The mode is CONFIRM."),
    ],
)
@pytest.mark.parametrize("start", [Mode.READ, Mode.CONFIRM])
async def test_every_end_of_hot_is_confirm_and_told_once(
    end: Callable[[Rig], Awaitable[None]], words: str, start: Mode
) -> None:
    """Whatever ends HOT leaves CONFIRM, with its reason, for its own seat, wherever seats start."""
    rig = Rig(start)
    rig.hot()
    assert rig.mode() is Mode.HOT
    await end(rig)
    assert rig.mode() is Mode.CONFIRM
    rig.arming.look()
    assert [told for told, whose, _ in rig.told if whose == "one"][1:] == [words]
    assert rig.arming.stroke_refusal("one", 1)


async def test_keys_keep_hot_but_not_beyond_its_minutes() -> None:
    """A key starts the idle time again; nothing starts the fifteen minutes again but arming."""
    rig = Rig()
    rig.hot()
    for _ in range(7):
        await rig.clock.advance(2 * MINUTE)
        rig.arming.touch("one")
    assert rig.mode() is Mode.HOT
    await rig.clock.advance(MINUTE - 0.5)
    assert rig.mode() is Mode.HOT
    await rig.clock.advance(0.5)
    assert rig.mode() is Mode.CONFIRM


async def test_a_key_after_the_end_does_not_bring_hot_back() -> None:
    """Nobody looked when the idle time ran out; a late key changes nothing."""
    rig = Rig()
    rig.hot()
    await idle(rig)
    rig.arming.touch("one")
    assert rig.mode() is Mode.CONFIRM


async def test_what_is_left_is_the_shorter_of_both_ends() -> None:
    """The countdown ends when HOT does if no key is pressed any more."""
    rig = Rig()
    rig.hot(lots=4)
    await rig.clock.advance(1.5)
    (view,) = rig.arming.views()
    assert (view.seat, view.mode, view.hot_left_s, view.hot_lots) == ("one", Mode.HOT, 179, 4)
    rig.arming.arm("one", Mode.CONFIRM)
    assert [(view.mode, view.hot_left_s, view.hot_lots) for view in rig.arming.views()] == [(Mode.CONFIRM, None, None)]


def test_refusals_count_in_a_row() -> None:
    """An order that the broker takes ends the row; one that it rejects is part of it; foreign orders are neither."""
    rig = Rig()
    rig.hot()
    refuse(rig, 2)
    rig.arming.taken_in("one", [OrderNumber(7), OrderNumber(8)])
    rig.arming.settled(OrderNumber(7), OrderState.OPEN)
    refuse(rig, 2)
    rig.arming.settled(OrderNumber(99), OrderState.REJECTED)
    assert rig.mode() is Mode.HOT
    rig.arming.settled(OrderNumber(8), OrderState.REJECTED)
    assert rig.mode() is Mode.CONFIRM


def test_one_seat_is_not_another() -> None:
    """What one arms, another has not armed; disarming the one leaves the other."""
    rig = Rig()
    rig.arming.arm("one", Mode.CONFIRM)
    assert rig.mode("two") is Mode.READ
    rig.arming.arm("two", Mode.CONFIRM)
    rig.arming.arm("one", Mode.READ)
    assert (rig.mode("one"), rig.mode("two")) == (Mode.READ, Mode.CONFIRM)


@pytest.mark.parametrize(
    ("lots", "words"),
    [(None, "needs the lots"), (0, "1 to 5 lots"), (6, "not 6")],
)
def test_hot_needs_a_bounded_number_of_lots(lots: int | None, words: str) -> None:
    """Without lots, with none and with too many it is refused in words, and nothing changes."""
    rig = Rig()
    assert words in rig.arming.arm("one", Mode.HOT, lots)
    assert rig.mode() is Mode.READ


def test_hot_is_refused_while_something_is_in_the_way() -> None:
    """Old prices or no budget: not even for a moment."""
    rig = Rig()
    rig.why = "the feed is STALE"
    assert rig.arming.arm("one", Mode.HOT, 2) == "HOT is not possible now: the feed is STALE."
    assert rig.told == []


def test_a_stroke_is_within_its_lots_and_of_a_hot_seat() -> None:
    """The engine says no to a stroke of any other seat, however sure its terminal is."""
    rig = Rig()
    assert "READ" in rig.arming.stroke_refusal("one", 1)
    rig.arming.arm("one", Mode.CONFIRM)
    assert "CONFIRM" in rig.arming.stroke_refusal("one", 1)
    rig.hot(lots=2)
    assert rig.arming.stroke_refusal("one", 2) == ""
    assert "3 lots" in rig.arming.stroke_refusal("one", 3)
    assert rig.arming.stroke_refusal("two", 1)


@pytest.mark.parametrize("mode", [Mode.CONFIRM, Mode.HOT])
def test_panic_brings_every_seat_to_read(mode: Mode) -> None:
    """Also seats that come later, and what plans do, until somebody arms."""
    rig = Rig(Mode.CONFIRM)
    rig.arming.arm("one", mode, 1)
    rig.arming.panic("three")
    assert {rig.mode(seat) for seat in ("one", "two", "three", ENGINE_SEAT)} == {Mode.READ}
    assert rig.told[-1] == ("The mode is READ.", "three", Severity.INFO)
    rig.arming.panic("three")
    assert sum(told == "The mode is READ." for told, _, _ in rig.told) == 1
    rig.arming.arm("one", Mode.CONFIRM)
    assert (rig.mode("one"), rig.mode("two"), rig.mode(ENGINE_SEAT)) == (Mode.CONFIRM, Mode.READ, Mode.CONFIRM)


def test_plans_do_not_ask_for_a_seat() -> None:
    """What a plan does was confirmed when it was made: disarming keeps none of it back."""
    rig = Rig()
    rig.arming.arm("one", Mode.READ)
    assert rig.mode(ENGINE_SEAT) is Mode.CONFIRM


@pytest.mark.parametrize("mode", [Mode.CONFIRM, Mode.HOT])
def test_a_seat_that_went_away_is_as_new(mode: Mode) -> None:
    """Whoever comes back arms again."""
    rig = Rig()
    rig.arming.arm("one", mode, 1)
    rig.arming.leave("one")
    assert rig.mode() is Mode.READ
    assert rig.arming.views() == ()
    assert rig.heard(f"{mode} ended: the seat went away.")


async def test_confirm_ends_with_the_trading_day() -> None:
    """At the close, and at the latest when another day begins; armed before the opening it lasts over it."""
    rig = Rig()
    rig.is_open = False
    rig.arming.arm("one", Mode.CONFIRM)
    rig.arming.look()
    assert rig.mode() is Mode.CONFIRM
    rig.is_open = True
    assert rig.mode() is Mode.CONFIRM
    rig.is_open = False
    rig.arming.look()
    assert rig.heard("CONFIRM ended: the trading day is over. The mode is READ.")
    rig.arming.arm("one", Mode.CONFIRM)
    rig.day += timedelta(days=1)
    assert rig.mode() is Mode.READ


def test_the_start_may_be_confirm_but_never_hot() -> None:
    """HOT is armed by a person, for a time."""
    assert Rig(Mode.CONFIRM).mode() is Mode.CONFIRM
    assert Rig(Mode.HOT).mode() is Mode.CONFIRM


def test_there_is_a_bound_on_seats_and_disarming_beyond_it_disarms_all() -> None:
    """A flood of names neither fills the memory nor keeps anybody armed who wants to be in READ."""
    rig = Rig(Mode.CONFIRM)
    for number in range(SEATS_MAX):
        rig.arming.arm(f"seat {number}", Mode.READ)
    assert "already" in rig.arming.arm("late", Mode.HOT, 1)
    assert rig.arming.arm("late", Mode.READ) == ""
    assert rig.mode("late") is Mode.READ
    assert len(rig.arming.views()) <= SEATS_MAX


@pytest.mark.parametrize(
    ("used", "words"),
    [
        ((0, 0, 0), ""),
        ((8, 0, 0), ""),
        ((9, 0, 0), "1 of 10 orders of the second are left"),
        ((0, 321, 0), "79 of 400 orders of the minute are left"),
        ((0, 320, 4001), "999 of 5000 orders of the day are left"),
    ],
)
def test_a_short_budget_is_named(used: tuple[int, int, int], words: str) -> None:
    """Less than a fifth of any window; exactly a fifth is enough."""
    gauge = BudgetGauge(
        second_used=used[0], second_limit=10, minute_used=used[1], minute_limit=400, day_used=used[2], day_limit=5000
    )
    assert short_budget(gauge, 0.2) == words
