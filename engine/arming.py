"""Who may send orders that add risk by a key, and how: one standing for each seat.

A seat is an attached terminal or script. What one arms, another has not armed; a seat that was never heard of stands
as the venue starts. CONFIRM lasts until the trading day closes, HOT some minutes at most and no longer than everything
that it rests on is sound; at most one seat is HOT. Nothing here sends, and going down never asks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import date
from math import ceil
from typing import Annotated

import msgspec

from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState
from engine.core.ports import Clock
from engine.core.views import BudgetGauge, SeatView
from engine.core.vocabulary import Mode, Severity
from engine.execution.facts import ENGINE_SEAT

SECONDS_PER_MINUTE = 60.0
SEATS_MAX = 256
"""Seats that stand differently from the start; a further one cannot arm, and disarms everybody when it disarms."""
ORDERS_MAX = 256
"""Orders of HOT seats whose end is still waited for; the oldest is forgotten beyond."""
TAKEN = frozenset({OrderState.ACCEPTED, OrderState.OPEN, OrderState.TRIGGER_PENDING, OrderState.COMPLETE})
"""The broker has taken the order: a run of refusals is over."""

Tell = Callable[[str, str, Severity], None]
"""Hears what a person should read: the words, the seat, how grave."""


class ArmingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long keys may send at once (HOT), and what ends it. One terminal or script at a time is HOT."""

    hot_minutes: Annotated[float, msgspec.Meta(gt=0, le=60)] = 15.0
    """Longest HOT, minutes of this machine; then CONFIRM."""
    idle_minutes: Annotated[float, msgspec.Meta(gt=0, le=60)] = 3.0
    """HOT ends after so many minutes without a key."""
    hot_lots_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    """Most lots of one stroke that may be armed."""
    budget_share_min: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.2
    """HOT ends when less of the orders of a second, a minute or a day is left than this share, 0.2 is 20 %."""
    refusals_max: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    """So many orders of the seat refused in a row end HOT."""
    look_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.0
    """How often it is seen whether something has ended; an order looks by itself."""


class _Standing(msgspec.Struct):
    """How one seat stands when it does not stand as all do at the start."""

    mode: Mode
    day: date
    """The exchange's day it was armed on."""
    seen_open: bool = False
    """Derivatives traded while it was armed: when they do not any more, the day has closed."""
    ends_at: float = 0.0
    key_at: float = 0.0
    """Monotonic: the last key."""
    lots: int = 0
    refusals: int = 0


class Arming:
    """The standings of all seats.

    Args:
        settings: How long, how much.
        clock: The machine's monotonic time.
        start: The mode of a seat that nobody has armed or disarmed.
        today: The exchange's date.
        is_open: Whether derivatives trade now.
        blocked: Why nothing may be HOT now (the feed, a budget), without a full stop; empty when nothing is in the way.
        tell: Hears every change.
    """

    def __init__(
        self,
        settings: ArmingSettings,
        clock: Clock,
        *,
        start: Mode,
        today: Callable[[], date],
        is_open: Callable[[], bool],
        blocked: Callable[[], str],
        tell: Tell,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._today = today
        self._is_open = is_open
        self._blocked = blocked
        self._tell = tell
        self._standings: dict[str, _Standing] = {}
        self._waited_for: OrderedDict[OrderNumber, str] = OrderedDict()
        self._panicked = False
        # HOT is armed by a person, for a time and so many lots.
        self.start = Mode.CONFIRM if start is Mode.HOT else start
        """The mode of every seat that is not among ``views``."""

    # -- looking -------------------------------------------------------------------------------------------------------

    def mode(self, seat: str) -> Mode:
        """The mode of a seat now. What has ended has ended, whether or not anybody has looked since."""
        if seat == ENGINE_SEAT:
            # What a plan does was confirmed when it was made; after a panic somebody has to arm before it goes on.
            return Mode.READ if self._panicked else Mode.CONFIRM
        standing = self._judged(seat)
        return self.start if standing is None else standing.mode

    def views(self) -> tuple[SeatView, ...]:
        """Every seat that stands differently from the start, by name."""
        self.look()
        now = self._clock.monotonic()
        return tuple(
            SeatView(
                seat=seat,
                mode=standing.mode,
                hot_left_s=max(0, ceil(self._ends_at(standing) - now)) if standing.mode is Mode.HOT else None,
                hot_lots=standing.lots if standing.mode is Mode.HOT else None,
            )
            for seat, standing in sorted(self._standings.items())
        )

    def look(self) -> None:
        """End what is over. Call it every second or so, so that its end is told when it comes."""
        for seat in tuple(self._standings):
            self._judged(seat)

    def stroke_refusal(self, seat: str, lots: int) -> str:
        """Why a seat may not send ``lots`` by one key without a review; empty when it may."""
        standing = self._judged(seat)
        if standing is None or standing.mode is not Mode.HOT:
            return f"This seat is not HOT but {self.mode(seat)}: nothing was sent without a review. Arm with A h."
        if lots > standing.lots:
            return f"{lots} lots in one stroke, and HOT is armed for {standing.lots}: nothing was sent."
        return ""

    # -- arming --------------------------------------------------------------------------------------------------------

    def arm(self, seat: str, mode: Mode, lots: int | None = None) -> str:
        """Set the mode of a seat; returns why that cannot be, empty when it is done. Going down is always done.

        Args:
            seat: Whose.
            mode: Which.
            lots: The most of one stroke, for HOT.
        """
        before = self.mode(seat)
        if mode is Mode.READ:
            self._disarm(seat, before)
            return ""
        if seat not in self._standings and len(self._standings) >= SEATS_MAX:
            return f"{SEATS_MAX} seats are armed or disarmed by themselves already; end some first."
        if mode is Mode.CONFIRM:
            self._confirm(seat, before)
        else:
            refusal = self._hot_refusal(lots)
            if refusal or lots is None:
                return refusal
            self._heat(seat, lots)
        self._panicked = False
        return ""

    def touch(self, seat: str) -> None:
        """A key was pressed at a seat."""
        standing = self._judged(seat)
        if standing is not None:
            standing.key_at = self._clock.monotonic()

    def leave(self, seat: str) -> None:
        """A seat went away: what it had armed is over, and it stands as at the start should it come back."""
        standing = self._judged(seat)
        if standing is None:
            return
        del self._standings[seat]
        if standing.mode is not Mode.READ:
            words = f"{standing.mode} ended: the seat went away."
            severity = Severity.ATTENTION if standing.mode is Mode.HOT else Severity.INFO
            self._tell(words, seat, severity)

    def panic(self, seat: str) -> None:
        """Nobody is armed any more, whoever comes later neither; ``seat`` asked, empty for the engine itself."""
        armed = self.start is not Mode.READ or any(one.mode is not Mode.READ for one in self._standings.values())
        self._standings.clear()
        self._waited_for.clear()
        self.start = Mode.READ
        self._panicked = True
        if armed:
            self._tell(f"The mode is {Mode.READ}.", seat, Severity.INFO)

    # -- what becomes of orders ----------------------------------------------------------------------------------------

    def refused(self, seat: str) -> None:
        """An order of a seat was refused."""
        standing = self._judged(seat)
        if standing is not None and standing.mode is Mode.HOT:
            standing.refusals += 1
            self._judged(seat)

    def taken_in(self, seat: str, numbers: Iterable[OrderNumber]) -> None:
        """Orders of a seat were taken in; the broker has not spoken yet."""
        if self.mode(seat) is not Mode.HOT:
            return
        for number in numbers:
            self._waited_for[number] = seat
        while len(self._waited_for) > ORDERS_MAX:
            self._waited_for.popitem(last=False)

    def settled(self, number: OrderNumber, state: OrderState) -> None:
        """An order stands differently."""
        if number not in self._waited_for:
            return
        if state is OrderState.REJECTED:
            self.refused(self._waited_for.pop(number))
        elif state in TAKEN:
            standing = self._standings.get(self._waited_for.pop(number))
            if standing is not None:
                standing.refusals = 0
        elif state.is_terminal:
            del self._waited_for[number]

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _judged(self, seat: str) -> _Standing | None:
        """The standing of a seat after everything that is over has been ended."""
        standing = self._standings.get(seat)
        if standing is None:
            return None
        if standing.mode is Mode.HOT:
            why = self._why_over(standing)
            if why:
                self._cool(seat, standing, why)
                standing = self._standings.get(seat)
        if standing is not None and standing.mode is Mode.CONFIRM:
            is_open = self._is_open()
            if (standing.seen_open and not is_open) or standing.day != self._today():
                del self._standings[seat]
                self._tell(f"CONFIRM ended: the trading day is over. The mode is {self.start}.", seat, Severity.INFO)
                return None
            standing.seen_open = standing.seen_open or is_open
        return standing

    def _ends_at(self, standing: _Standing) -> float:
        """When HOT ends if no key is pressed any more."""
        return min(standing.ends_at, standing.key_at + self._settings.idle_minutes * SECONDS_PER_MINUTE)

    def _why_over(self, standing: _Standing) -> str:
        settings, now = self._settings, self._clock.monotonic()
        if now >= standing.ends_at:
            return f"{settings.hot_minutes:g} minutes are over"
        if now - standing.key_at >= settings.idle_minutes * SECONDS_PER_MINUTE:
            return f"no key for {settings.idle_minutes:g} minutes"
        if standing.refusals >= settings.refusals_max:
            return f"{standing.refusals} orders in a row were refused"
        return self._blocked()

    def _hot_refusal(self, lots: int | None) -> str:
        most = self._settings.hot_lots_max
        if lots is None:
            return "HOT needs the lots of one stroke, such as: arm hot 2."
        if not 1 <= lots <= most:
            return f"HOT takes 1 to {most} lots a stroke, not {lots}."
        why = self._blocked()
        return f"HOT is not possible now: {why}." if why else ""

    def _disarm(self, seat: str, before: Mode) -> None:
        if seat not in self._standings and len(self._standings) >= SEATS_MAX and self.start is not Mode.READ:
            self.panic(seat)
            return
        if self.start is Mode.READ:
            self._standings.pop(seat, None)
        else:
            self._standings[seat] = _Standing(mode=Mode.READ, day=self._today())
        if before is not Mode.READ:
            self._tell(f"The mode is {Mode.READ}.", seat, Severity.INFO)

    def _confirm(self, seat: str, before: Mode) -> None:
        if self.start is Mode.CONFIRM:
            self._standings.pop(seat, None)  # as all stand: nothing to end at the close
        else:
            self._standings[seat] = _Standing(mode=Mode.CONFIRM, day=self._today(), seen_open=self._is_open())
        if before is not Mode.CONFIRM:
            self._tell(f"The mode is {Mode.CONFIRM}.", seat, Severity.INFO)

    def _heat(self, seat: str, lots: int) -> None:
        for other, standing in tuple(self._standings.items()):
            if other != seat and standing.mode is Mode.HOT:
                self._cool(other, standing, f"{seat or 'another seat'} went HOT")
        now = self._clock.monotonic()
        self._standings[seat] = _Standing(
            mode=Mode.HOT,
            day=self._today(),
            seen_open=self._is_open(),
            ends_at=now + self._settings.hot_minutes * SECONDS_PER_MINUTE,
            key_at=now,
            lots=lots,
        )
        stroke = "1 lot" if lots == 1 else f"{lots} lots"
        words = f"The mode is {Mode.HOT}: {stroke} a stroke for {self._settings.hot_minutes:g} minutes."
        self._tell(words, seat, Severity.ATTENTION)

    def _cool(self, seat: str, standing: _Standing, why: str) -> None:
        """HOT becomes CONFIRM."""
        if self.start is Mode.CONFIRM:
            del self._standings[seat]
        else:
            self._standings[seat] = _Standing(mode=Mode.CONFIRM, day=standing.day, seen_open=standing.seen_open)
        self._tell(f"HOT ended: {why}. The mode is {Mode.CONFIRM}.", seat, Severity.ATTENTION)


def short_budget(gauge: BudgetGauge, share_min: float) -> str:
    """The window of an order budget of which less than ``share_min`` is left, in words; empty when there is none."""
    windows = (
        ("second", gauge.second_used, gauge.second_limit),
        ("minute", gauge.minute_used, gauge.minute_limit),
        ("day", gauge.day_used, gauge.day_limit),
    )
    for name, used, limit in windows:
        if limit and limit - used < share_min * limit:
            return f"{max(0, limit - used)} of {limit} orders of the {name} are left"
    return ""
