"""The candles that the Charts screen reads: all of them seldom, the newest ones once a second.

What is asked for belongs to one instrument and one length of candle: the answer to another question is never drawn. A
question that differs only in how far back it goes, or in its studies, leaves the last answer in sight until its own is
there.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from engine.core.bars import BarInterval, BarsView
from engine.core.identifiers import InstrumentKey
from workstation.formatting import india
from workstation.presenters.chart_choice import LOADS, ChartChoice
from workstation.presenters.chart_slots import Slot, joined, slots_of
from workstation.presenters.seen import Seen
from workstation.screens.context import DeskContext, Run
from workstation.screens.reading import Reading

TAIL_REFRESH_S = 1.0
WHOLE_REFRESH_S = 30.0
"""Candles that are finished change only where gaps are filled."""
WHOLE_AGAIN_S = 5.0
"""While the answer says that something may still come."""
TAIL_CANDLES = 12
"""How many of the newest candles are read each second."""
TAIL_SPARE = 2
"""So many of these before the last whole answer reaches no farther, all are asked for again."""


class BarsWish(msgspec.Struct, frozen=True, kw_only=True):
    """Which candles."""

    key: InstrumentKey
    interval: BarInterval
    days: int
    """Before today."""
    words: tuple[str, ...]


class ChartBars:
    """What is known of the candles of one instrument."""

    def __init__(self, context: DeskContext, run: Run) -> None:
        """Ask in the background by ``run``."""
        self._context = context
        self._stage = 0
        self._wish: BarsWish | None = None
        self._asked_at = 0.0
        self._reaches = context.clock.market_now()
        self._whole_view: BarsView | None = None
        self._parts: tuple[BarsView | None, BarsView | None] = (None, None)
        self._view: BarsView | None = None
        self.slots: tuple[Slot, ...] = ()
        """Of the candles that were seen last."""
        self._whole: Reading[BarsWish, BarsView] = Reading(
            "candles", self._ask_whole, run, context.clock, every_s=TAIL_REFRESH_S
        )
        self._tail: Reading[BarsWish, BarsView] = Reading(
            "newest candles", self._ask_tail, run, context.clock, every_s=TAIL_REFRESH_S
        )

    def look(self, key: InstrumentKey | None, choice: ChartChoice) -> Seen[BarsView]:
        """Ask for what is old; what is known now."""
        if key is None:
            self._wish = self._whole_view = None
            return self._seen(Seen(), None)
        if self._wish is None or (self._wish.key, self._wish.interval) != (key, choice.interval):
            self._stage = 0
            self._whole_view = None
        wish = BarsWish(key=key, interval=choice.interval, days=self.days(choice.interval), words=choice.words())
        rests = self._context.clock.monotonic() - self._asked_at < TAIL_REFRESH_S
        if wish != self._wish or (self._is_due(choice.interval) and not rests):
            self._wish = wish
            self._asked_at, self._reaches = self._context.clock.monotonic(), self._context.clock.market_now()
            self._whole.want(wish)
        self._tail.want(wish)
        whole, tail = self._whole.seen(wish), self._tail.seen(wish)
        if whole.value is not None:
            self._whole_view = whole.value
            if not len(whole.value.start) and self.go_farther(choice.interval):
                return self._seen(Seen(), None)
        trouble = whole.trouble or tail.trouble
        age = tail.age_s if tail.value is not None else whole.age_s
        return self._seen(Seen(value=self._whole_view, age_s=age, trouble=trouble), tail.value)

    def days(self, interval: BarInterval) -> int:
        """How many days before today are asked for."""
        return LOADS[interval][min(self._stage, len(LOADS[interval]) - 1)]

    def go_farther(self, interval: BarInterval) -> bool:
        """Ask for earlier days; whether there are any left to ask for."""
        if self._stage + 1 >= len(LOADS[interval]):
            return False
        self._stage += 1
        return True

    # --- inside ------------------------------------------------------------------------------------------------------

    def _seen(self, whole: Seen[BarsView], tail: BarsView | None) -> Seen[BarsView]:
        """The two answers as one; put together once."""
        if (whole.value, tail) != self._parts or self._view is None:
            self._parts = (whole.value, tail)
            self._view = joined(whole.value, tail) if whole.value is not None else None
            self.slots = slots_of(self._view) if self._view is not None else ()
        return Seen(value=self._view, age_s=whole.age_s, trouble=whole.trouble)

    def _is_due(self, interval: BarInterval) -> bool:
        """Whether all candles are to be asked for again: the newest ones must not run ahead of them."""
        clock, view = self._context.clock, self._whole_view
        moved = clock.market_now() - self._reaches
        reach = timedelta(minutes=interval.minutes * (TAIL_CANDLES - TAIL_SPARE))
        patience = WHOLE_AGAIN_S if view is None or (view.note and view.gaps) else WHOLE_REFRESH_S
        return moved < timedelta(0) or moved >= reach or clock.monotonic() - self._asked_at >= patience

    async def _ask_whole(self, wish: BarsWish) -> BarsView:
        now = self._context.clock.market_now()
        midnight = india(now).replace(hour=0, minute=0, second=0, microsecond=0)
        start = midnight - timedelta(days=wish.days)
        end = now + timedelta(minutes=1)
        return await self._context.engine.bars(wish.key, wish.interval, start, end, indicators=wish.words)

    async def _ask_tail(self, wish: BarsWish) -> BarsView:
        now = self._context.clock.market_now()
        start = now - timedelta(minutes=wish.interval.minutes * TAIL_CANDLES)
        end = now + timedelta(minutes=1)
        return await self._context.engine.bars(wish.key, wish.interval, start, end, indicators=wish.words)
