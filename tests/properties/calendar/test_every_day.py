"""Every day of the known years: sessions that hang together, and expiries where the exchanges moved them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from engine.calendar.rules import read_sessions
from engine.calendar.sessions import MarketState, SessionCalendar, UnknownDay

DAYS = tuple(date(2024, 1, 1) + timedelta(days=number) for number in range(3 * 365 + 1))
MOMENT = timedelta(microseconds=1)
TUESDAY, THURSDAY = 1, 3
TUESDAYS_MOVED_2026 = {
    date(2026, 3, 3): date(2026, 3, 2),
    date(2026, 3, 31): date(2026, 3, 30),
    date(2026, 4, 14): date(2026, 4, 13),
    date(2026, 10, 20): date(2026, 10, 19),
    date(2026, 11, 10): date(2026, 11, 9),
    date(2026, 11, 24): date(2026, 11, 23),
}
THURSDAYS_MOVED_2026 = {
    date(2026, 1, 15): date(2026, 1, 14),
    date(2026, 3, 26): date(2026, 3, 25),
    date(2026, 5, 28): date(2026, 5, 27),
}
WEEKEND_SESSIONS = (
    date(2024, 1, 20),
    date(2024, 3, 2),
    date(2024, 5, 18),
    date(2025, 2, 1),
    date(2026, 2, 1),
    date(2026, 11, 8),
)
TRADING_DAYS = {2024: 249, 2025: 249, 2026: 247}
"""Weekdays less weekday holidays, and the sessions on weekends and holidays."""


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    """The calendar of the shipped facts."""
    return SessionCalendar(read_sessions())


def test_sessions_hang_together(calendar: SessionCalendar) -> None:
    """On each day opening, freeze, stop and close follow each other on that day, and the states agree with them."""
    assert DAYS[-1] == date(2026, 12, 31)
    for day in DAYS:
        if not calendar.covers(day):
            assert calendar.is_trading_day(day), day
            continue
        session = calendar.session(day)
        assert calendar.is_trading_day(day) == (session is not None), day
        noon = datetime(day.year, day.month, day.day, 6, 30, tzinfo=UTC)
        if session is None:
            assert calendar.state_at(noon) is MarketState.HOLIDAY, day
            continue
        assert session.day == day == calendar.day_of(session.open) == calendar.day_of(session.close), day
        assert session.open < session.cash_continuous_close <= session.close, day
        assert session.open < session.index_expiry_close <= session.close, day
        assert session.pre_open is None or session.pre_open < session.open, day
        assert calendar.state_at(session.open) is MarketState.OPEN, day
        assert calendar.state_at(session.close - MOMENT) is MarketState.OPEN, day
        assert calendar.state_at(session.close) is MarketState.CLOSED, day
        assert calendar.state_at(session.open - MOMENT) is not MarketState.OPEN, day


def test_an_expiry_on_a_trading_day_ends_within_its_session(calendar: SessionCalendar) -> None:
    """Contracts stop after the opening, at the close or before it; stock contracts never before index contracts."""
    for day in DAYS:
        if not calendar.covers(day):
            with pytest.raises(UnknownDay):
                calendar.expiry_instant(day, is_index=True)
            continue
        index, stock = (calendar.expiry_instant(day, is_index=is_index) for is_index in (True, False))
        assert index <= stock, day
        session = calendar.session(day)
        if session is not None:
            assert index == session.index_expiry_close, day
            assert stock == session.close, day


def test_neighbours_agree(calendar: SessionCalendar) -> None:
    """The session after a day is the first later one, and the session before that one is the one before it."""
    previous = None
    for day in DAYS:
        session = calendar.session(day) if calendar.covers(day) else None
        if session is None:
            previous = previous if calendar.covers(day) else None
            continue
        if previous is not None:
            assert calendar.session_after(previous) == session, day
            before = calendar.session_before(day)
            assert before is not None, day
            assert before.day == previous, day
        previous = day


@pytest.mark.parametrize(("weekday", "moved"), [(TUESDAY, TUESDAYS_MOVED_2026), (THURSDAY, THURSDAYS_MOVED_2026)])
def test_expiry_days_that_holidays_move(calendar: SessionCalendar, weekday: int, moved: dict[date, date]) -> None:
    """Of all such days of 2026 exactly the known ones are closed, and the session before each is the known day."""
    found = {}
    for day in DAYS:
        if day.year == 2026 and day.weekday() == weekday and not calendar.is_trading_day(day):
            before = calendar.session_before(day)
            assert before is not None
            found[day] = before.day
    assert found == moved


def test_weekends_trade_on_the_listed_days_only(calendar: SessionCalendar) -> None:
    """Saturdays and Sundays with a session are the special ones, and no other."""
    assert tuple(day for day in DAYS if day.weekday() >= 5 and calendar.is_trading_day(day)) == WEEKEND_SESSIONS


def test_the_number_of_trading_days_of_each_year(calendar: SessionCalendar) -> None:
    """Counted over the year: a holiday lost or won by a slip of the pen shows."""
    counted = {year: sum(calendar.is_trading_day(day) for day in DAYS if day.year == year) for year in TRADING_DAYS}
    assert counted == TRADING_DAYS
