"""The order budget of one account: never more requests in a second, a minute or a day than the broker allows.

The broker counts a request at the moment it arrives, in calendar seconds of its own clock. We know that moment only
within a guard: a request released at ``t`` is counted somewhere in ``[t - guard, t + guard]``. It is therefore charged
to every calendar second that this interval touches, and the sliding minute is made longer by twice the guard. As long
as arrivals keep within the guard no second, minute or day at the broker can exceed its limit, whatever the jitter.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from enum import IntEnum
from math import floor

from engine.core.views import BudgetGauge
from engine.execution.settings import BudgetLimits

MINUTE_S = 60.0
DAY_S = 86_400
IST_OFFSET_S = 19_800
"""The exchange's day begins at midnight IST, 5 h 30 min ahead of UTC."""
KEPT_SECONDS = 3
"""Charged seconds older than this can never be asked about again."""
LEAST_WAIT_S = 0.001
"""So that a caller who waits as told always makes progress, floats or not."""


class Lane(IntEnum):
    """Who goes first. Lower is faster; the first two may use the reserve."""

    EXIT = 0
    CANCEL = 1
    MODIFY = 2
    ENTRY = 3

    @property
    def may_use_reserve(self) -> bool:
        """Whether the reserve is meant for it."""
        return self <= Lane.CANCEL


class OrderBudget:
    """Exact logs of what was released.

    Args:
        limits: The broker's limits and our reserves.
        server_now: Seconds since the epoch on the broker's clock, as well as we know it.
    """

    def __init__(self, limits: BudgetLimits, server_now: Callable[[], float]) -> None:
        self._limits = limits
        self._now = server_now
        self._seconds: Counter[int] = Counter()
        self._minute: deque[float] = deque()
        self._day = 0
        self._day_used = 0
        self._paused_until = 0.0
        self._strikes: deque[float] = deque()
        self.rate_limited = 0
        """Refusals for speed so far."""

    def wait(self, lane: Lane, *, placement: bool) -> float:
        """Seconds until a request of ``lane`` may leave as far as is known now; 0 when it may leave at once."""
        now = self._now()
        self._forget(now)
        waits = [self._paused_until - now, self._second_wait(lane, now)]
        if placement:
            waits += [self._minute_wait(lane, now), self._day_wait(lane, now)]
        longest = max(waits)
        return 0.0 if longest <= 0 else max(longest, LEAST_WAIT_S)

    def take(self, lane: Lane, *, placement: bool) -> bool:
        """Charge one request that leaves now; ``False``, and nothing is charged, when it may not."""
        if self.wait(lane, placement=placement) > 0:
            return False
        now = self._now()
        for second in self._touched(now):
            self._seconds[second] += 1
        if placement:
            self._minute.append(now)
            self._day_used += 1
        return True

    def count_earlier(self, *, today: int, last_minute: int) -> None:
        """Learn at start what the account has sent already (the broker counts every program of the account)."""
        now = self._now()
        self._forget(now)
        self._day_used = max(self._day_used, today)
        missing = min(last_minute, self._limits.per_minute) - len(self._minute)
        self._minute.extend([now] * max(0, missing))

    def skip_this_second(self) -> None:
        """Somebody else may have used this second up, and an earlier engine of ours may have: begin with the next."""
        guard = self._limits.guard_s
        self._paused_until = max(self._paused_until, floor(self._now() + guard) + 1 + guard)

    def obey(self, retry_after_s: float | None) -> None:
        """The broker refused for speed: be silent as long as it asks, and send less for a while."""
        now = self._now()
        self.rate_limited += 1
        pause = self._limits.rate_limited_pause_s if retry_after_s is None else retry_after_s
        self._paused_until = max(self._paused_until, now + pause)
        if len(self._strikes) < self._limits.per_second - 1:
            self._strikes.append(now + self._limits.recovery_s * (len(self._strikes) + 1))

    def gauge(self) -> BudgetGauge:
        """What is used of what is allowed now."""
        now = self._now()
        self._forget(now)
        return BudgetGauge(
            second_used=self._seconds[floor(now)],
            second_limit=self._per_second(),
            minute_used=len(self._minute),
            minute_limit=self._limits.per_minute,
            day_used=self._day_used,
            day_limit=self._limits.per_day,
        )

    def _touched(self, now: float) -> range:
        guard = self._limits.guard_s
        return range(floor(now - guard), floor(now + guard) + 1)

    def _per_second(self) -> int:
        return self._limits.per_second - len(self._strikes)

    def _forget(self, now: float) -> None:
        for second in [second for second in self._seconds if second < floor(now) - KEPT_SECONDS]:
            del self._seconds[second]
        # A request near midnight may be counted on either side of it, so it is charged to both days.
        day = floor((now - self._limits.guard_s + IST_OFFSET_S) / DAY_S)
        if day > self._day:
            midnight = day * DAY_S - IST_OFFSET_S
            self._day = day
            self._day_used = sum(1 for released in self._minute if released + self._limits.guard_s >= midnight)
        window = MINUTE_S + 2 * self._limits.guard_s
        while self._minute and self._minute[0] <= now - window:
            self._minute.popleft()
        while self._strikes and self._strikes[0] <= now:
            self._strikes.popleft()

    def _second_wait(self, lane: Lane, now: float) -> float:
        limit = max(1, self._per_second() - (0 if lane.may_use_reserve else self._limits.reserve_per_second))
        full = [second for second in self._touched(now) if self._seconds[second] >= limit]
        if not full:
            return 0.0
        # Free again when the last full second can no longer be touched.
        return max(full) + 1 + self._limits.guard_s - now

    def _minute_wait(self, lane: Lane, now: float) -> float:
        limit = max(1, self._limits.per_minute - (0 if lane.may_use_reserve else self._limits.reserve_per_minute))
        if len(self._minute) < limit:
            return 0.0
        window = MINUTE_S + 2 * self._limits.guard_s
        return self._minute[len(self._minute) - limit] + window - now

    def _day_wait(self, lane: Lane, now: float) -> float:
        limit = self._limits.per_day - (0 if lane.may_use_reserve else self._limits.reserve_per_day)
        if self._day_used < limit:
            return 0.0
        return (self._day + 1) * DAY_S - IST_OFFSET_S + self._limits.guard_s - now
