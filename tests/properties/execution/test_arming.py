"""Any sequence of arming, keys, ends and panics: nobody is armed who did not arm, and at most one seat is HOT."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.arming import Arming, ArmingSettings
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState
from engine.core.vocabulary import Mode, Severity

SEATS = ("one", "two", "three")
LIMITS = ArmingSettings(hot_minutes=15, idle_minutes=3, hot_lots_max=5)
seats = st.sampled_from(SEATS)


class HandClock:
    """Time by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def market_now(self) -> datetime:
        """Aware UTC."""
        return datetime(2026, 11, 19, 5, tzinfo=UTC) + timedelta(seconds=self.now)

    def wall_now(self) -> datetime:
        """Aware UTC."""
        return self.market_now()

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Nobody sleeps here."""
        raise NotImplementedError(seconds)


class ArmingMachine(RuleBasedStateMachine):
    """Keeps who asked to be armed since they were last disarmed, and since when they have been HOT."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.day = date(2026, 11, 19)
        self.is_open = True
        self.why = ""
        self.armed: set[str] = set()
        self.hot_since: dict[str, float] = {}
        self.key_at: dict[str, float] = {}
        self.arming = Arming(
            LIMITS,
            self.clock,
            start=Mode.READ,
            today=lambda: self.day,
            is_open=lambda: self.is_open,
            blocked=lambda: self.why,
            tell=self._told,
        )

    def _told(self, words: str, seat: str, severity: Severity) -> None:
        assert words
        assert seat in SEATS
        assert severity is not Severity.DANGER

    @rule(seat=seats)
    def confirm(self, seat: str) -> None:
        """A seat arms CONFIRM, which is never refused."""
        assert self.arming.arm(seat, Mode.CONFIRM) == ""
        self.armed.add(seat)
        self.hot_since.pop(seat, None)

    @rule(seat=seats, lots=st.integers(min_value=-1, max_value=7))
    def heat(self, seat: str, lots: int) -> None:
        """A seat arms HOT, which is taken exactly when the lots are within bounds and nothing is in the way."""
        refusal = self.arming.arm(seat, Mode.HOT, lots)
        assert bool(refusal) == (not 1 <= lots <= LIMITS.hot_lots_max or bool(self.why))
        if not refusal:
            self.armed.add(seat)
            self.hot_since = {seat: self.clock.now}
            self.key_at[seat] = self.clock.now

    @rule(seat=seats)
    def disarm(self, seat: str) -> None:
        """A seat steps down, which always works at once."""
        assert self.arming.arm(seat, Mode.READ) == ""
        assert self.arming.mode(seat) is Mode.READ
        self.armed.discard(seat)
        self.hot_since.pop(seat, None)

    @rule(seat=seats)
    def leave(self, seat: str) -> None:
        """A seat goes away."""
        self.arming.leave(seat)
        self.armed.discard(seat)
        self.hot_since.pop(seat, None)

    @rule(seat=seats)
    def panic(self, seat: str) -> None:
        """Somebody panics for all."""
        self.arming.panic(seat)
        self.armed.clear()
        self.hot_since.clear()

    @rule(seat=seats)
    def touch(self, seat: str) -> None:
        """A key."""
        self.arming.touch(seat)
        self.key_at[seat] = self.clock.now

    @rule(seconds=st.floats(min_value=0.1, max_value=400))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds

    @rule(why=st.sampled_from(["", "the feed is STALE"]))
    def block(self, why: str) -> None:
        """Something comes into the way, or leaves it."""
        self.why = why
        if why:
            self.hot_since.clear()

    @rule(is_open=st.booleans())
    def session(self, is_open: bool) -> None:
        """The market opens or closes."""
        self.is_open = is_open

    @rule()
    def next_day(self) -> None:
        """Another trading day begins: everybody who was not HOT starts anew."""
        self.day += timedelta(days=1)

    @rule(seat=seats, state=st.sampled_from([OrderState.REJECTED, OrderState.OPEN]), number=st.integers(1, 5))
    def order(self, seat: str, state: OrderState, number: int) -> None:
        """An order of a seat, and what the broker made of it."""
        self.arming.taken_in(seat, [OrderNumber(number)])
        self.arming.settled(OrderNumber(number), state)

    @invariant()
    def nobody_is_armed_who_did_not_arm(self) -> None:
        """READ for everybody else; and never beyond its time."""
        modes = {seat: self.arming.mode(seat) for seat in SEATS}
        assert {seat for seat, mode in modes.items() if mode is not Mode.READ} <= self.armed
        hot = [seat for seat, mode in modes.items() if mode is Mode.HOT]
        assert len(hot) <= 1
        for seat in hot:
            assert not self.why
            assert self.clock.now - self.hot_since[seat] < LIMITS.hot_minutes * 60
            assert self.clock.now - self.key_at[seat] < LIMITS.idle_minutes * 60
            assert self.arming.stroke_refusal(seat, 1) == ""
        for seat in set(SEATS) - set(hot):
            assert self.arming.stroke_refusal(seat, 1)


TestArming = ArmingMachine.TestCase
TestArming.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
