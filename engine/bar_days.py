"""The sessions in which candles are made and expected: the calendar's, and what a practice venue holds open beside it.

Candles begin at the session's open; a practice session that is held open after the close of its day, or on a day on
which the exchanges rest, is as long as the venue says. A day that the calendar does not know has no session here unless
the venue trades.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from engine.calendar.sessions import SessionCalendar, TradingSession
from engine.market.bar_sessions import SessionHours
from engine.venue import VenueReading

_DAY = timedelta(days=1)


class BarDays:
    """Sessions by moment.

    Args:
        calendar: days and their hours.
        reading: the venue's last word, now.
    """

    def __init__(self, calendar: SessionCalendar, reading: Callable[[], VenueReading]) -> None:
        self._calendar = calendar
        self._reading = reading

    def hours(self, second: int) -> SessionHours | None:
        """The session of the exchange's date at an epoch second; ``None`` when none is held or known."""
        return self._of_day(self._day(second))

    def between(self, start: int, end: int) -> tuple[SessionHours, ...]:
        """The sessions of the days that [start, end) touches, oldest first; epoch seconds."""
        if end <= start:
            return ()
        first, last = self._day(start), self._day(end - 1)
        days = (self._of_day(first + number * _DAY) for number in range((last - first).days + 1))
        return tuple(hours for hours in days if hours is not None)

    def newest(self, count: int, second: int) -> tuple[SessionHours, ...]:
        """The session of the date at ``second``, if one is held, and so many before it, oldest first."""
        day = self._day(second)
        own = self._of_day(day)
        found = [] if own is None else [own]
        for _ in range(count):
            session = self._calendar.session_before(day)
            if session is None:
                break
            day = session.day
            found.append(self._hours(session))
        return tuple(reversed(found))

    def day_of(self, second: int) -> int:
        """The exchange's date at an epoch second, as an ordinal."""
        return self._day(second).toordinal()

    def _day(self, second: int) -> date:
        return self._calendar.day_of(datetime.fromtimestamp(second, UTC))

    def _of_day(self, day: date) -> SessionHours | None:
        session = self._calendar.session(day) if self._calendar.covers(day) else None
        hours = None if session is None else self._hours(session)
        reading = self._reading()
        if not self._is_held(reading, day):
            return hours
        if hours is not None and not reading.extended:
            return hours
        midnight = self._midnight(day)
        close = _seconds(reading.closes_at or self._midnight(day + _DAY))
        if hours is not None:
            return hours._replace(close_s=max(close, hours.close_s), index_close_s=max(close, hours.close_s))
        opens = _seconds(midnight)
        return SessionHours(day.toordinal(), opens, opens, close, close)

    def _is_held(self, reading: VenueReading, day: date) -> bool:
        """Whether the venue's session is one of a day.

        A venue that says when it opens and closes is held to that: the answer is then the same whenever it was asked.
        """
        if reading.opens_at is not None and reading.closes_at is not None and reading.opens_at < reading.closes_at:
            return self._calendar.day_of(reading.opens_at) == day
        return bool(reading.is_open) and self._calendar.day_of(reading.market_time) == day

    def _hours(self, session: TradingSession) -> SessionHours:
        return SessionHours(
            day=session.day.toordinal(),
            day_start_s=_seconds(self._midnight(session.day)),
            open_s=_seconds(session.open),
            close_s=_seconds(session.close),
            index_close_s=_seconds(session.cash_continuous_close),
            pause_s=None if session.pause is None else (_seconds(session.pause[0]), _seconds(session.pause[1])),
        )

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), tzinfo=self._calendar.zone)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
