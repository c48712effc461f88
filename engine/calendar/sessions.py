"""When the exchanges trade, and when a contract stops.

Invariant: an answer follows from a published fact or is not given. Outside the years whose holiday list is known a day
is :class:`UnknownDay` and a moment's state is ``unknown``; no weekday rule stands in. The same holds for a day on which
a session is held at hours that nobody has published. The hours of a *listed* expiry
are another matter: its date is the exchange's own, and the hours are those of the newest regime published for it;
:meth:`SessionCalendar.covers` says whether the day itself lies in the known years.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from engine.calendar.session_table import SessionRegime, SessionTable, SpecialSession
from engine.core.errors import InvalidInput

SECONDS_PER_YEAR: Final = 365 * 86_400
"""Time to expiry is counted in seconds of calendar time, ACT/365."""

_SATURDAY: Final = 5
_ONE_DAY: Final = timedelta(days=1)


class UnknownDay(InvalidInput):
    """The calendar has no holiday list for this day's year, or no hours for the session of this day."""


class MarketState(StrEnum):
    """What the exchange's clock says."""

    PRE_OPEN = "pre-open"
    OPEN = "open"
    CLOSED = "closed"
    HOLIDAY = "holiday"
    """No session on this day: weekends too."""
    UNKNOWN = "unknown"
    """No holiday list is known for this day, or a session is held at unknown hours."""


class TradingSession(msgspec.Struct, frozen=True, kw_only=True):
    """One day's session of derivatives; instants are aware UTC."""

    day: date
    """Trading date in the exchange's zone."""
    pre_open: datetime | None
    """``None`` where none is published."""
    open: datetime
    close: datetime
    index_expiry_close: datetime
    """When index contracts that expire on this day stop."""
    cash_continuous_close: datetime
    """When the index stops moving continuously."""
    special: str = ""
    """Why a special session is held; empty for a usual one."""
    pause: tuple[datetime, datetime] | None = None
    """A break in the middle, in which nothing trades: its first moment, and when trading goes on."""


class NextEvent(NamedTuple):
    """What comes next in the exchange's day."""

    words: str
    """``opens``, ``pauses``, ``spot freezes``, ``expiring index contracts stop``, ``closes``, with commas where several
    coincide; or why it is unknown."""
    at: datetime | None
    """Aware UTC; ``None`` when it is unknown."""


class TimeToExpiry(NamedTuple):
    """Time left, ACT/365."""

    years: float
    """0 when the instant has been reached; then ``expired`` is true."""
    expired: bool


class SessionCalendar:
    """Answers about days and moments from a table of published facts.

    Args:
        table: the facts, see :func:`engine.calendar.session_table.read_sessions`.
    """

    def __init__(self, table: SessionTable) -> None:
        self.take(table)

    def take(self, table: SessionTable) -> None:
        """Go by another table from now on: a person has loaded a file with further years or sessions."""
        self._table = table
        self._zone = ZoneInfo(table.zone)
        self._holidays = frozenset(day for year in table.holidays for day in year.days)
        self._special = {session.day: session for session in table.special_sessions}
        self._unknown = {session.day: session for session in table.unknown_sessions}
        self._clearing = frozenset(row.day for row in table.clearing_holidays)
        # One entry per known day at most: bounded by the table itself.
        self._sessions: dict[date, TradingSession | None] = {}

    @property
    def table(self) -> SessionTable:
        """The facts this calendar answers from."""
        return self._table

    @property
    def zone(self) -> ZoneInfo:
        """The exchange's wall clock."""
        return self._zone

    @property
    def first_day(self) -> date:
        """First day with a known holiday list."""
        return self._table.first_day

    @property
    def last_day(self) -> date:
        """Last day with a known holiday list."""
        return self._table.last_day

    def covers(self, day: date) -> bool:
        """Whether the session of ``day``, or that there is none, is known."""
        return self._table.first_day <= day <= self._table.last_day and day not in self._unknown

    def is_clearing_holiday(self, day: date) -> bool:
        """Whether banks and clearing rest on a day on which the exchange trades."""
        return day in self._clearing

    def day_of(self, moment: datetime) -> date:
        """The exchange's date at an aware instant.

        Raises:
            ValueError: ``moment`` is naive.
        """
        return self._local(moment).date()

    def is_trading_day(self, day: date) -> bool:
        """Whether a session is held, special ones and those of unknown hours included.

        Raises:
            UnknownDay: no holiday list is known for the day.
        """
        return day in self._unknown or self.session(day) is not None

    def session(self, day: date) -> TradingSession | None:
        """The session of a day; ``None`` on a holiday or a weekend without a special session.

        Raises:
            UnknownDay: no holiday list is known for the day, or no hours for its session.
        """
        if not self.covers(day):
            raise UnknownDay(self.why_unknown(day), field="day")
        if day not in self._sessions:
            self._sessions[day] = self._built(day)
        return self._sessions[day]

    def why_unknown(self, day: date) -> str:
        """What is not known of a day that :meth:`covers` denies, and what to do about it."""
        unknown = self._unknown.get(day)
        if unknown is not None:
            return (
                f"A session is held on {day} ({unknown.why}), its hours are not known. "
                "Load a rule file with the day in special_sessions."
            )
        return (
            f"Whether {day} is a trading day is unknown: holiday lists are known from {self.first_day} to "
            f"{self.last_day}. Load a rule file with the year's list."
        )

    def session_after(self, day: date) -> TradingSession | None:
        """The first session on a later day; ``None`` when an unknown day comes before it."""
        return self._nearest(day, _ONE_DAY)

    def session_before(self, day: date) -> TradingSession | None:
        """The last session on an earlier day; ``None`` when an unknown day comes before it."""
        return self._nearest(day, -_ONE_DAY)

    def state_at(self, moment: datetime) -> MarketState:
        """What the exchange's clock says at an aware instant; the close itself belongs to ``closed``."""
        day = self.day_of(moment)
        if not self.covers(day):
            return MarketState.UNKNOWN
        session = self.session(day)
        if session is None:
            return MarketState.HOLIDAY
        if session.open <= moment < session.close:
            return MarketState.CLOSED if _paused(session, moment) else MarketState.OPEN
        if session.pre_open is not None and session.pre_open <= moment < session.open:
            return MarketState.PRE_OPEN
        return MarketState.CLOSED

    def spot_moves_at(self, moment: datetime) -> bool | None:
        """Whether indices move continuously at an aware instant; ``None`` when the day is unknown."""
        day = self.day_of(moment)
        if not self.covers(day):
            return None
        session = self.session(day)
        return (
            session is not None
            and session.open <= moment < session.cash_continuous_close
            and not _paused(session, moment)
        )

    def next_event(self, moment: datetime, *, index_expiry_today: bool = False) -> NextEvent:
        """What comes next after an aware instant.

        Args:
            moment: aware instant.
            index_expiry_today: whether index contracts expire on this day (the dump knows).
        """
        day = self.day_of(moment)
        session = self.session(day) if self.covers(day) else None
        if session is not None:
            events = [("opens", session.open)]
            if session.pause is not None:
                events += [("pauses", session.pause[0]), ("opens", session.pause[1])]
            if session.cash_continuous_close < session.close:
                events.append(("spot freezes", session.cash_continuous_close))
            if index_expiry_today and session.index_expiry_close < session.close:
                events.append(("expiring index contracts stop", session.index_expiry_close))
            events.append(("closes", session.close))
            ahead = [instant for _, instant in events if moment < instant]
            if ahead:
                instant = min(ahead)
                return NextEvent(", ".join(words for words, at in events if at == instant), instant)
        following = self.session_after(day)
        if following is None:
            return NextEvent(f"unknown: {self._why_next_unknown(day)}", None)
        return NextEvent("opens", following.open)

    def expiry_instant(self, expiry: date, *, is_index: bool) -> datetime:
        """When trading in contracts of a listed expiry ends, aware UTC.

        Args:
            expiry: the date as the dump lists it.
            is_index: index contracts may stop earlier than stock contracts on their last day.

        Raises:
            UnknownDay: no hours are known for so early a date, or for the special session of that day.
        """
        special = self._special.get(expiry)
        if special is not None:
            return self._instant(expiry, special.close)
        if expiry in self._unknown:
            raise UnknownDay(self.why_unknown(expiry), field="expiry")
        regime = self._regime(expiry)
        return self._instant(expiry, regime.index_expiry_close if is_index else regime.close)

    def _built(self, day: date) -> TradingSession | None:
        special = self._special.get(day)
        if special is not None:
            return self._special_session(special)
        if day.weekday() >= _SATURDAY or day in self._holidays:
            return None
        regime = self._regime(day)
        return TradingSession(
            day=day,
            pre_open=self._instant(day, regime.pre_open) if regime.pre_open is not None else None,
            open=self._instant(day, regime.open),
            close=self._instant(day, regime.close),
            index_expiry_close=self._instant(day, regime.index_expiry_close),
            cash_continuous_close=self._instant(day, regime.cash_continuous_close),
        )

    def _special_session(self, special: SpecialSession) -> TradingSession:
        close = self._instant(special.day, special.close)
        return TradingSession(
            day=special.day,
            pre_open=self._instant(special.day, special.pre_open) if special.pre_open is not None else None,
            open=self._instant(special.day, special.open),
            close=close,
            index_expiry_close=close,
            cash_continuous_close=close,
            special=special.why,
            pause=(
                None
                if special.pause is None
                else (self._instant(special.day, special.pause[0]), self._instant(special.day, special.pause[1]))
            ),
        )

    def _nearest(self, day: date, step: timedelta) -> TradingSession | None:
        # From outside the known days nothing is said: sessions may lie between.
        candidate = day + step
        while self.covers(candidate):
            session = self.session(candidate)
            if session is not None:
                return session
            candidate += step
        return None

    def _why_next_unknown(self, day: date) -> str:
        following = min((other for other in self._unknown if other > day), default=None)
        if following is not None and self.covers(day):
            unknown = self._unknown[following]
            return f"a session is held on {following:%a %d %b} ({unknown.why}), its hours are not known"
        return f"holiday lists cover {self.first_day} to {self.last_day}"

    def _regime(self, day: date) -> SessionRegime:
        in_force = None
        for regime in self._table.derivatives:
            if regime.since <= day:
                in_force = regime
        if in_force is None:
            raise UnknownDay(
                f"No session hours are known for {day}; the table begins on {self._table.derivatives[0].since}.",
                field="day",
            )
        return in_force

    def _instant(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, tzinfo=self._zone).astimezone(UTC)

    def _local(self, moment: datetime) -> datetime:
        if moment.tzinfo is None:
            raise ValueError(f"{moment} is naive: give an aware instant")
        return moment.astimezone(self._zone)


def _paused(session: TradingSession, moment: datetime) -> bool:
    return session.pause is not None and session.pause[0] <= moment < session.pause[1]


def years_to_expiry(now: datetime, instant: datetime) -> TimeToExpiry:
    """Seconds from ``now`` to ``instant`` (both aware) over 365 x 86,400; at or after the instant 0 and ``expired``."""
    seconds = (instant - now).total_seconds()
    return TimeToExpiry(seconds / SECONDS_PER_YEAR, False) if seconds > 0 else TimeToExpiry(0.0, True)
