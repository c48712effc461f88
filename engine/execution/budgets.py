"""The order budget of one account: never more requests in a second, a minute or a day than the broker allows.

The broker counts a request at the moment it arrives, in calendar seconds of its own clock. We know that moment only
within a guard: a request released at ``t`` is counted somewhere in ``[t - guard, t + guard]``. It is therefore charged
to every calendar second that this interval touches, and the sliding minute is made longer by twice the guard; a
sliding minute that never overflows keeps every calendar minute, however the broker cuts them. As long as arrivals
keep within the guard no second, minute or day at the broker can exceed its limit, whatever the jitter. The guard is
wider by as much as the broker's clock is uncertain.

The second counts every request. The minute and the day count placements: refused ones too, those of every other
program of the account too, cancellations and modifications never, and a request that provably never arrived not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from math import floor

from engine.core.views import BudgetGauge
from engine.execution.lanes import Lane
from engine.execution.settings import BudgetLimits

MINUTE_S = 60.0
DAY_S = 86_400
IST_OFFSET_S = 19_800
"""The exchange's day begins at midnight IST, 5 h 30 min ahead of UTC."""
KEPT_SECONDS = 4
"""Charged seconds older than this can never be asked about again."""
LEAST_WAIT_S = 0.001
"""So that a caller who waits as told always makes progress, floats or not."""
DOUBT_MAX_S = 1.0
"""A broker's clock that is less certain than this is of no use: then the guard alone holds."""


class OrderBudget:
    """Exact logs of what was released.

    Args:
        limits: The broker's limits and our reserves.
        server_now: Seconds since the epoch on the broker's clock, as well as we know it.
    """

    def __init__(self, limits: BudgetLimits, server_now: Callable[[], float]) -> None:
        self._limits = limits
        self._now = server_now
        self._guard = limits.guard_s
        self._window = MINUTE_S + 2 * self._guard
        self._second_limits = _per_lane(limits.per_second, limits.reserve_per_second)
        self._minute_limits = _per_lane(limits.per_minute, limits.reserve_per_minute)
        self._day_limits = tuple(
            limits.per_day - (0 if lane.may_use_day_reserve else limits.reserve_per_day) for lane in Lane
        )
        self._seconds: dict[int, int] = {}
        self._newest_second = 0
        # As long as the limit itself: what falls out could not be asked about any more.
        self._minute: deque[float] = deque(maxlen=limits.per_minute)
        self._day_used = 0
        self._outside = 0
        self._carried = 0
        self._midnight = 0.0
        self._day_ends = 0.0
        self._paused_until = 0.0
        self._strikes: deque[float] = deque()
        self._lowered = 0
        self.rate_limited = 0
        """Refusals for speed so far."""
        self.surprises = 0
        """How often something has happened that no forecast from before it knows of."""

    def widen(self, doubt_s: float) -> None:
        """The broker's clock is known only within ``doubt_s`` either way."""
        self._guard = self._limits.guard_s + (doubt_s if 0 < doubt_s <= DOUBT_MAX_S else 0.0)
        self._window = MINUTE_S + 2 * self._guard

    def now(self) -> float:
        """Seconds on the broker's clock, as well as we know it."""
        return self._now()

    def wait(self, lane: Lane, *, placement: bool, orders: int = 1) -> float:
        """Seconds until a request of ``lane`` may leave as far as is known now; 0 when it may leave at once."""
        now = self._now()
        longest = self._paused_until - now
        if (wait := self._second_wait(lane, now)) > longest:
            longest = wait
        if placement:
            if (wait := self._minute_wait(lane, now)) > longest:
                longest = wait
            if (wait := self._day_wait(lane, now, orders)) > longest:
                longest = wait
        if longest <= 0:
            return 0.0
        return max(LEAST_WAIT_S, longest)

    def take(self, lane: Lane, *, placement: bool, orders: int = 1) -> float | None:
        """Charge one request that leaves now; ``None``, and nothing is charged, when it may not.

        Args:
            lane: Its priority.
            placement: Whether it counts against the minute and the day.
            orders: What it counts for in the day: the broker counts every leg of an iceberg.

        Returns:
            The moment it is charged to, for ``give_back``.
        """
        # ``wait`` says the same in words of its own; this is the path of every order, so nothing is called here.
        now = self._now()
        if now < self._paused_until:
            return None
        if self._strikes:
            self._recover(now)
        seconds, guard = self._seconds, self._guard
        first, last = int(now - guard), int(now + guard)
        if last != self._newest_second:
            self._forget_seconds(first, last)
        limit = self._second_limits[lane] - self._lowered
        if limit < 1:  # noqa: PLR1730 - a call costs more than all of it
            limit = 1
        second = first
        while second <= last:
            if seconds.get(second, 0) >= limit:
                return None
            second += 1
        if placement:
            minute, limit = self._minute, self._minute_limits[lane]
            if len(minute) >= limit and minute[-limit] + self._window - now > 0:
                return None
            if now >= self._day_ends:
                self._roll(now)
            if self._day_used + orders > self._day_limits[lane]:
                return None
            minute.append(now)
            self._day_used += orders
            if now + guard >= self._midnight:
                # It may be counted on either side of midnight, so it is charged to both days.
                self._carried += orders
        while first <= last:
            seconds[first] = seconds.get(first, 0) + 1
            first += 1
        return now

    def give_back(self, released: float, *, orders: int = 1) -> None:
        """The placement charged at ``released`` provably never arrived: it counts for no minute and no day.

        Its seconds stay charged: by the time this is known they are over.
        """
        self.surprises += 1
        self._roll(self._now())
        if released in self._minute:
            self._minute.remove(released)
        if released >= self._midnight - DAY_S - self._guard:
            self._day_used = max(0, self._day_used - orders)
        if released + self._guard >= self._midnight:
            self._carried = max(0, self._carried - orders)

    def forecast(self, requests: Sequence[tuple[Lane, bool, int]]) -> tuple[float, ...]:
        """Seconds from now at which each of these would leave, if they were all that waits.

        Args:
            requests: Lane, whether it is a placement, and what it counts for in the day; each lane in its order.
        """
        play = BudgetPlay(self)
        return tuple(moment - play.began for moment in play.play(requests))

    def fork(self, now: Callable[[], float]) -> OrderBudget:
        """A budget of its own that has released what this one has, on another clock."""
        forked = copy(self)
        forked._now = now
        forked._seconds = self._seconds.copy()
        forked._minute = self._minute.copy()
        forked._strikes = self._strikes.copy()
        return forked

    def restore(self, arrivals: Iterable[float]) -> None:
        """Learn at start when our earlier placements had arrived, seconds on the broker's clock, in any order."""
        self.surprises += 1
        now = self._now()
        self._roll(now)
        earlier = sorted(min(arrival, now) for arrival in arrivals)
        began = self._midnight - DAY_S - self._guard
        self._day_used += sum(1 for arrival in earlier if arrival >= began)
        kept = [*self._minute, *(arrival for arrival in earlier if arrival > now - self._window)]
        self._minute.clear()
        self._minute.extend(sorted(kept))

    def count_outside(self, *, today: int, recent: int) -> None:
        """Learn how many orders of today others have placed, and how many of those may be of the last minute.

        The number only grows during a day: a book that lacks rows takes nothing back.
        """
        now = self._now()
        self._roll(now)
        more = today - self._outside
        if more > 0:
            self.surprises += 1
            self._outside = today
            self._day_used += more
            self._minute.extend([now] * min(more, recent, self._limits.per_minute))

    def exhaust_day(self) -> None:
        """The broker says that the day's orders are used up: entries end; exits are still tried."""
        self.surprises += 1
        self._roll(self._now())
        self._day_used = max(self._day_used, self._day_limits[Lane.ENTRY])

    def skip_this_second(self) -> None:
        """Somebody else may have used this second up, and an earlier engine of ours may have: begin with the next."""
        self.surprises += 1
        self._paused_until = max(self._paused_until, floor(self._now() + self._guard) + 1 + self._guard)

    def obey(self, retry_after_s: float | None) -> None:
        """The broker refused for speed: be silent as long as it asks, and send less for a while.

        Refusals that come while it is silent already belong to the same mistake, and lower the rate once.
        """
        self.surprises += 1
        now = self._now()
        self.rate_limited += 1
        is_new = now >= self._paused_until
        pause = self._limits.rate_limited_pause_s if retry_after_s is None else retry_after_s
        self._paused_until = max(self._paused_until, now + pause)
        self._recover(now)
        if is_new and self._lowered < self._limits.per_second - 1:
            last = self._strikes[-1] if self._strikes else now
            self._strikes.append(last + self._limits.recovery_s)
            self._lowered += 1

    def is_day_over(self, lane: Lane) -> bool:
        """Whether no order of this lane may leave before midnight."""
        return self._day_wait(lane, self._now()) > 0

    def gauge(self) -> BudgetGauge:
        """What is used of what is allowed now."""
        now = self._now()
        self._roll(now)
        self._recover(now)
        limits = self._limits
        edge = now - self._window
        while self._minute and self._minute[0] <= edge:
            self._minute.popleft()
        return BudgetGauge(
            second_used=self._seconds.get(int(now), 0),
            second_limit=limits.per_second - self._lowered,
            second_entries=self._second_limit(Lane.ENTRY),
            minute_used=len(self._minute),
            minute_limit=limits.per_minute,
            minute_entries=self._minute_limits[Lane.ENTRY],
            day_used=self._day_used,
            day_limit=limits.per_day,
            day_entries=self._day_limits[Lane.ENTRY],
            paused_s=max(0.0, self._paused_until - now),
            lowered_by=self._lowered,
        )

    def _recover(self, now: float) -> None:
        while self._strikes and self._strikes[0] <= now:
            self._strikes.popleft()
            self._lowered -= 1

    def _roll(self, now: float) -> None:
        if now < self._day_ends:
            return
        self._day_used, self._outside, self._carried = self._carried, 0, 0
        day = floor((now - self._guard + IST_OFFSET_S) / DAY_S)
        self._midnight = float((day + 1) * DAY_S - IST_OFFSET_S)
        self._day_ends = self._midnight + self._guard

    def _forget_seconds(self, first: int, last: int) -> None:
        self._newest_second = last
        if len(self._seconds) > KEPT_SECONDS:
            for second in [second for second in self._seconds if second < first - 1]:
                del self._seconds[second]

    def _second_limit(self, lane: Lane) -> int:
        return max(1, self._second_limits[lane] - self._lowered)

    def _second_wait(self, lane: Lane, now: float) -> float:
        self._recover(now)
        limit = self._second_limit(lane)
        first, last = int(now - self._guard), int(now + self._guard)
        for second in range(last, first - 1, -1):
            if self._seconds.get(second, 0) >= limit:
                # Free again when this second, the last full one, can no longer be touched.
                return second + 1 + self._guard - now
        return 0.0

    def _minute_wait(self, lane: Lane, now: float) -> float:
        limit = self._minute_limits[lane]
        if len(self._minute) < limit:
            return 0.0
        return self._minute[-limit] + self._window - now

    def _day_wait(self, lane: Lane, now: float, orders: int = 1) -> float:
        if now >= self._day_ends:
            self._roll(now)
        if self._day_used + orders <= self._day_limits[lane]:
            return 0.0
        return self._day_ends - now


class BudgetPlay:
    """Plays what waits through a budget: when each request would leave, if nothing else happened. More can be added.

    Args:
        budget: As it stands now; it is left alone.
    """

    def __init__(self, budget: OrderBudget) -> None:
        self.began = self._moment = budget.now()
        """Seconds on the broker's clock."""
        self._budget = budget.fork(lambda: self._moment)

    def play(self, requests: Sequence[tuple[Lane, bool, int]]) -> tuple[float, ...]:
        """The moments, seconds on the broker's clock, at which these leave behind all that was played before.

        Args:
            requests: As for ``OrderBudget.forecast``.
        """
        lanes = [deque(place for place, item in enumerate(requests) if item[0] is lane) for lane in Lane]
        leaves = [0.0] * len(requests)
        while heads := [lane[0] for lane in lanes if lane]:
            soonest = float("inf")
            for place in heads:
                lane, placement, orders = requests[place]
                wait = self._budget.wait(lane, placement=placement, orders=orders)
                if wait <= 0 and self._budget.take(lane, placement=placement, orders=orders) is not None:
                    leaves[place] = self._moment
                    lanes[lane].popleft()
                    break
                soonest = min(soonest, max(wait, LEAST_WAIT_S))
            else:
                self._moment += soonest
        return tuple(leaves)


def _per_lane(limit: int, reserve: int) -> tuple[int, ...]:
    """What each lane may use of a limit; at least one, or entries would never leave."""
    return tuple(max(1, limit - (0 if lane.may_use_reserve else reserve)) for lane in Lane)
