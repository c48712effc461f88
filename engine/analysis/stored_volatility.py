"""What the database knows of an underlying's volatility: days, sessions, and today's last minute of each expiry.

Minutes come once a minute, so what was read is given again for a while; sessions that are over are read once.
Bound: so many underlyings and so many sessions are remembered, the longest unused leave first.

Invariant: a database that cannot be read gives nothing and the reason, and is asked again the next time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple, TypeVar

import numpy as np

from engine.analysis.forward_bars import Bars, bars_of
from engine.calendar.sessions import SessionCalendar
from engine.core.errors import StorageError
from engine.core.ports import Clock
from engine.core.repositories import ChainSeriesRepository
from engine.core.series import ChainSeries
from engine.core.views import ChainKey, Floats
from engine.settings import VolatilitySettings

UNDERLYINGS_MAX: Final = 16
SESSIONS_MAX: Final = 256
_DAY: Final = timedelta(days=1)
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Known(NamedTuple):
    """A volatility and its moment."""

    volatility: float
    at: datetime
    """Start of its minute, aware UTC."""


class Stored(NamedTuple):
    """Of one underlying."""

    history: Floats
    """The last ATM volatility of each day before today, oldest first."""
    sessions: tuple[tuple[date, Bars], ...]
    """Bars of the newest days that have minutes, oldest first; today's too."""
    latest: Mapping[date, Known]
    """By expiry: the last minute of today that has an ATM volatility."""
    trouble: str = ""
    """Why nothing could be read."""


class StoredVolatility:
    """Reads and remembers.

    Args:
        series: stored minutes and days.
        calendar: days and their zone.
        clock: how old an answer is.
        settings: how far back is looked, and how often.
    """

    def __init__(
        self, series: ChainSeriesRepository, calendar: SessionCalendar, clock: Clock, settings: VolatilitySettings
    ) -> None:
        self._series = series
        self._calendar = calendar
        self._clock = clock
        self._settings = settings
        self._reading = asyncio.Lock()
        self._answers: OrderedDict[str, tuple[float, date, Stored]] = OrderedDict()
        self._past: OrderedDict[tuple[str, date], Bars] = OrderedDict()

    async def of(self, name: str, expiries: Sequence[date], today: date) -> Stored:
        """What is stored of an underlying.

        Args:
            name: as the instruments spell it.
            expiries: whose last minute is wanted.
            today: the exchange's date.
        """
        async with self._reading:
            now = self._clock.monotonic()
            if name in self._answers:
                read_at, day, answer = self._answers[name]
                if day == today and 0 <= now - read_at < self._settings.reread_s:
                    return answer
            try:
                answer = await self._read(name, expiries, today)
            except StorageError as error:
                return Stored(np.empty(0), (), {}, f"stored minutes cannot be read: {error}")
            _remember(self._answers, name, (now, today, answer), UNDERLYINGS_MAX)
            return answer

    async def _read(self, name: str, expiries: Sequence[date], today: date) -> Stored:
        settings = self._settings
        daily = await self._series.daily_atm_volatility(
            name, settings.rank_days + 1, days_to_expiry_min=settings.days_to_expiry_min
        )
        earlier = daily.atm_volatility[daily.day < np.datetime64(today, "D")]
        latest = {}
        for expiry in expiries:
            found = _last_known(await self._of_day(ChainKey(name, expiry), today))
            if found is not None:
                latest[expiry] = found
        return Stored(earlier[-settings.rank_days :], await self._sessions(name, today), latest)

    async def _sessions(self, name: str, today: date) -> tuple[tuple[date, Bars], ...]:
        """Bars of the newest stored days, each of the expiry that was nearest then: one carry within a day."""
        days = await self._series.daily_atm_volatility(name, self._settings.realised_sessions)
        sessions = []
        for day, expiry in zip(days.day.tolist(), days.expiry.tolist(), strict=True):
            bars = self._past.get((name, day))
            if bars is None:
                minutes = await self._of_day(ChainKey(name, expiry), day)
                bars = bars_of(minutes.minute, minutes.forward)
            if day != today:
                _remember(self._past, (name, day), bars, SESSIONS_MAX)
            if bars.close.size:
                sessions.append((day, bars))
        return tuple(sessions)

    async def _of_day(self, key: ChainKey, day: date) -> ChainSeries:
        start = datetime.combine(day, time(), tzinfo=self._calendar.zone)
        return await self._series.between(key, start, start + _DAY)


def _last_known(minutes: ChainSeries) -> Known | None:
    seen = np.flatnonzero(np.isfinite(minutes.atm_volatility))
    if not seen.size:
        return None
    last = int(seen[-1])
    return Known(float(minutes.atm_volatility[last]), datetime.fromtimestamp(int(minutes.minute[last]), UTC))


def _remember(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
