"""The calendar's answers, against facts published by the exchanges."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendar.rules import read_sessions
from engine.calendar.sessions import (
    SECONDS_PER_YEAR,
    MarketState,
    SessionCalendar,
    UnknownDay,
    years_to_expiry,
)

IST = timezone(timedelta(hours=5, minutes=30))
BEFORE_AUGUST = date(2026, 7, 31)
AUGUST = date(2026, 8, 3)
LAST_OF_AUGUST_REGIME = date(2026, 12, 4)
DECEMBER = date(2026, 12, 7)
MUHURAT = date(2025, 10, 21)
SWITCH_SATURDAY = date(2024, 3, 2)
UNKNOWN_MUHURAT = date(2026, 11, 8)
BUDGET_SATURDAY = date(2025, 2, 1)
BUDGET_SUNDAY = date(2026, 2, 1)


def at(day: date, clock: str) -> datetime:
    """An Indian wall-clock time, as aware UTC."""
    return datetime.combine(day, time.fromisoformat(clock), tzinfo=IST).astimezone(UTC)


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    """The calendar of the shipped facts."""
    return SessionCalendar(read_sessions())


@pytest.mark.parametrize(
    ("day", "close", "freeze"),
    [
        (BEFORE_AUGUST, "15:30", "15:30"),
        (AUGUST, "15:40", "15:15"),
        (LAST_OF_AUGUST_REGIME, "15:40", "15:15"),
        (DECEMBER, "15:45", "15:30"),
    ],
)
def test_hours_change_on_the_published_days(calendar: SessionCalendar, day: date, close: str, freeze: str) -> None:
    """Close and freeze of the index follow the regime in force on the day, to the day."""
    session = calendar.session(day)
    assert session is not None
    assert session.open == at(day, "09:15")
    assert session.close == at(day, close)
    assert session.cash_continuous_close == at(day, freeze)


@pytest.mark.parametrize(
    ("expiry", "index_stop", "stock_stop"),
    [
        (date(2026, 7, 28), "15:30", "15:30"),
        (date(2026, 8, 4), "15:40", "15:40"),
        (date(2026, 12, 1), "15:40", "15:40"),
        (date(2026, 12, 8), "15:30", "15:45"),
        (date(2026, 12, 29), "15:30", "15:45"),
    ],
)
def test_expiry_instant_by_regime(calendar: SessionCalendar, expiry: date, index_stop: str, stock_stop: str) -> None:
    """Index contracts stop when their regime says, stock contracts when the session closes."""
    assert calendar.expiry_instant(expiry, is_index=True) == at(expiry, index_stop)
    assert calendar.expiry_instant(expiry, is_index=False) == at(expiry, stock_stop)


def test_contracts_of_a_special_session_stop_with_it(calendar: SessionCalendar) -> None:
    """On a day with a special session there is no later hour to trade in."""
    assert calendar.expiry_instant(MUHURAT, is_index=True) == at(MUHURAT, "14:45")


def test_instants_are_utc(calendar: SessionCalendar) -> None:
    """What leaves the calendar is aware UTC, not Indian time."""
    instant = calendar.expiry_instant(date(2026, 12, 1), is_index=True)
    assert instant.tzinfo is UTC
    assert instant == datetime(2026, 12, 1, 10, 10, tzinfo=UTC)


def test_expiry_beyond_the_holiday_lists_has_hours_but_no_day_type(calendar: SessionCalendar) -> None:
    """A listed expiry of 2031 has the newest published hours, while its day stays unknown."""
    far = date(2031, 6, 24)
    assert calendar.expiry_instant(far, is_index=True) == at(far, "15:30")
    assert not calendar.covers(far)
    with pytest.raises(UnknownDay, match="2024-01-01 to 2026-12-31"):
        calendar.is_trading_day(far)


def test_expiry_before_any_regime_is_refused(calendar: SessionCalendar) -> None:
    """Hours of a day before the table begins are not made up."""
    with pytest.raises(UnknownDay, match="2000-01-01"):
        calendar.expiry_instant(date(1999, 12, 30), is_index=True)


@pytest.mark.parametrize(
    ("holiday", "moved_to"),
    [
        (date(2026, 3, 3), date(2026, 3, 2)),
        (date(2026, 3, 31), date(2026, 3, 30)),
        (date(2026, 4, 14), date(2026, 4, 13)),
        (date(2026, 10, 20), date(2026, 10, 19)),
        (date(2026, 11, 10), date(2026, 11, 9)),
        (date(2026, 11, 24), date(2026, 11, 23)),
        (date(2026, 1, 15), date(2026, 1, 14)),
        (date(2026, 3, 26), date(2026, 3, 25)),
        (date(2026, 5, 28), date(2026, 5, 27)),
    ],
)
def test_holidays_that_moved_expiries(calendar: SessionCalendar, holiday: date, moved_to: date) -> None:
    """Each holiday that moved an index expiry in 2026 is closed, and the day it moved to is the session before."""
    assert not calendar.is_trading_day(holiday)
    before = calendar.session_before(holiday)
    assert before is not None
    assert before.day == moved_to


def test_weekends_are_closed(calendar: SessionCalendar) -> None:
    """An ordinary Saturday and Sunday hold no session."""
    assert not calendar.is_trading_day(date(2026, 11, 21))
    assert not calendar.is_trading_day(date(2026, 11, 22))


@pytest.mark.parametrize("day", [BUDGET_SATURDAY, BUDGET_SUNDAY])
def test_budget_sessions_on_weekends(calendar: SessionCalendar, day: date) -> None:
    """The market is open on a budget weekend, and says why."""
    session = calendar.session(day)
    assert session is not None
    assert "Budget" in session.special
    assert calendar.state_at(at(day, "12:00")) is MarketState.OPEN


def test_muhurat_session_on_a_holiday(calendar: SessionCalendar) -> None:
    """On a listed holiday with a special session only that hour is open."""
    assert calendar.state_at(at(MUHURAT, "10:00")) is MarketState.CLOSED
    assert calendar.state_at(at(MUHURAT, "13:45")) is MarketState.OPEN
    assert calendar.state_at(at(MUHURAT, "14:45")) is MarketState.CLOSED
    assert calendar.next_event(at(MUHURAT, "10:00")) == ("opens", at(MUHURAT, "13:45"))
    assert calendar.next_event(at(MUHURAT, "14:00")) == ("closes", at(MUHURAT, "14:45"))


@pytest.mark.parametrize(
    ("clock", "state"),
    [
        ("08:59:59", MarketState.CLOSED),
        ("09:00", MarketState.PRE_OPEN),
        ("09:14:59", MarketState.PRE_OPEN),
        ("09:15", MarketState.OPEN),
        ("15:39:59", MarketState.OPEN),
        ("15:40", MarketState.CLOSED),
    ],
)
def test_states_of_a_day(calendar: SessionCalendar, clock: str, state: MarketState) -> None:
    """Each boundary instant belongs to the state that begins there."""
    assert calendar.state_at(at(date(2026, 11, 23), clock)) is state


def test_state_follows_the_indian_date(calendar: SessionCalendar) -> None:
    """Late evening UTC is the next day in India: Friday 20:00 UTC is a Saturday there."""
    assert calendar.state_at(datetime(2026, 11, 20, 20, 0, tzinfo=UTC)) is MarketState.HOLIDAY


def test_unknown_year_is_a_state(calendar: SessionCalendar) -> None:
    """A weekday of a year without holiday list is neither open nor a holiday."""
    moment = at(date(2027, 1, 5), "12:00")
    assert calendar.state_at(moment) is MarketState.UNKNOWN
    assert calendar.spot_moves_at(moment) is None
    words, instant = calendar.next_event(moment)
    assert words.startswith("unknown")
    assert instant is None


def test_after_the_last_known_close_the_next_opening_is_unknown(calendar: SessionCalendar) -> None:
    """The evening of the last known day promises no opening on the first unknown one."""
    assert calendar.next_event(at(date(2026, 12, 31), "18:00")).at is None
    assert calendar.session_after(date(2026, 12, 31)) is None


def test_sessions_before_the_table_are_not_skipped_over(calendar: SessionCalendar) -> None:
    """From a day long before the table nothing is promised either."""
    assert calendar.session_after(date(2020, 1, 1)) is None
    assert calendar.session_before(date(2030, 1, 1)) is None


def test_events_of_a_day_in_order(calendar: SessionCalendar) -> None:
    """In the August regime the index freezes before the close; after the close comes the next trading day."""
    day = date(2026, 11, 23)
    assert calendar.next_event(at(day, "08:00")) == ("opens", at(day, "09:15"))
    assert calendar.next_event(at(day, "11:00")) == ("spot freezes", at(day, "15:15"))
    assert calendar.next_event(at(day, "15:15")) == ("closes", at(day, "15:40"))
    # The 24th is a holiday.
    assert calendar.next_event(at(day, "15:40")) == ("opens", at(date(2026, 11, 25), "09:15"))


def test_expiring_contracts_stop_before_the_close_in_december(calendar: SessionCalendar) -> None:
    """On an index expiry day from December on, the stop of the expiring contracts is an event of its own."""
    expiry = date(2026, 12, 8)
    event = calendar.next_event(at(expiry, "15:00"), index_expiry_today=True)
    assert event == ("spot freezes, expiring index contracts stop", at(expiry, "15:30"))
    assert calendar.next_event(at(expiry, "15:00")).words == "spot freezes"
    assert calendar.next_event(at(expiry, "15:30"), index_expiry_today=True) == ("closes", at(expiry, "15:45"))


def test_spot_freezes_while_options_trade(calendar: SessionCalendar) -> None:
    """Between 15:15 and 15:40 of the August regime the market is open and the index does not move."""
    moment = at(date(2026, 11, 23), "15:20")
    assert calendar.state_at(moment) is MarketState.OPEN
    assert calendar.spot_moves_at(moment) is False
    assert calendar.spot_moves_at(at(date(2026, 11, 23), "15:14:59")) is True
    assert calendar.spot_moves_at(at(date(2026, 11, 22), "12:00")) is False


def test_naive_moments_are_refused(calendar: SessionCalendar) -> None:
    """A moment without zone is a programming error, never taken for Indian or UTC time."""
    with pytest.raises(ValueError, match="naive"):
        calendar.state_at(datetime(2026, 11, 23, 10, 0))  # noqa: DTZ001


def test_years_to_expiry_counts_seconds() -> None:
    """One minute is 60 / (365 x 86,400) of a year, not rounded to days."""
    now = at(date(2026, 12, 1), "15:39")
    left = years_to_expiry(now, at(date(2026, 12, 1), "15:40"))
    assert left == (60 / SECONDS_PER_YEAR, False)
    assert years_to_expiry(now, now + timedelta(days=365)).years == pytest.approx(1.0)


def test_reached_expiry_is_told() -> None:
    """At and after the instant the time is 0 and the caller is told, not left to read a small number."""
    instant = at(date(2026, 12, 1), "15:40")
    assert years_to_expiry(instant, instant) == (0.0, True)
    assert years_to_expiry(instant + timedelta(seconds=1), instant) == (0.0, True)


def test_a_session_of_unknown_hours_is_not_guessed(calendar: SessionCalendar) -> None:
    """A session is held, nobody knows when: trading day, but no hours, no state, and no promise over its head."""
    assert calendar.is_trading_day(UNKNOWN_MUHURAT)
    assert not calendar.covers(UNKNOWN_MUHURAT)
    with pytest.raises(UnknownDay, match=r"2026-11-08 \(Muhurat.*hours are not known.*special_sessions"):
        calendar.session(UNKNOWN_MUHURAT)
    with pytest.raises(UnknownDay, match="hours are not known"):
        calendar.expiry_instant(UNKNOWN_MUHURAT, is_index=True)
    for clock in ("10:00", "18:30"):
        assert calendar.state_at(at(UNKNOWN_MUHURAT, clock)) is MarketState.UNKNOWN
        assert calendar.spot_moves_at(at(UNKNOWN_MUHURAT, clock)) is None
    words, instant = calendar.next_event(at(date(2026, 11, 6), "18:00"))
    assert (words, instant) == (
        "unknown: a session is held on Sun 08 Nov (Muhurat, Sunday), its hours are not known",
        None,
    )
    assert calendar.session_before(date(2026, 11, 9)) is None
    assert calendar.next_event(at(date(2026, 11, 9), "08:00")) == ("opens", at(date(2026, 11, 9), "09:15"))


def test_a_pause_in_the_middle_is_closed(calendar: SessionCalendar) -> None:
    """On the Saturdays of the switch to the other site nothing trades between the two parts."""
    expected = {
        "09:14": MarketState.PRE_OPEN,
        "09:15": MarketState.OPEN,
        "09:59": MarketState.OPEN,
        "10:00": MarketState.CLOSED,
        "11:29": MarketState.CLOSED,
        "11:30": MarketState.OPEN,
        "12:30": MarketState.CLOSED,
    }
    for clock, state in expected.items():
        moment = at(SWITCH_SATURDAY, clock)
        assert calendar.state_at(moment) is state, clock
        assert calendar.spot_moves_at(moment) is (state is MarketState.OPEN)
    assert calendar.next_event(at(SWITCH_SATURDAY, "09:30")) == ("pauses", at(SWITCH_SATURDAY, "10:00"))
    assert calendar.next_event(at(SWITCH_SATURDAY, "10:30")) == ("opens", at(SWITCH_SATURDAY, "11:30"))
    assert calendar.next_event(at(SWITCH_SATURDAY, "12:00")) == ("closes", at(SWITCH_SATURDAY, "12:30"))


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (date(2024, 1, 20), "09:15", "15:30"),
        (date(2024, 5, 18), "09:15", "12:30"),
        (date(2024, 11, 1), "18:00", "19:00"),
    ],
)
def test_special_sessions_of_2024(calendar: SessionCalendar, day: date, opens: str, closes: str) -> None:
    """The Saturdays and the evening that calendar packages lack are there; the Monday of January is closed."""
    session = calendar.session(day)
    assert session is not None
    assert (session.open, session.close) == (at(day, opens), at(day, closes))
    assert not calendar.is_trading_day(date(2024, 1, 22))


def test_a_clearing_holiday_is_a_trading_day(calendar: SessionCalendar) -> None:
    """Banks rest, the exchange trades."""
    assert calendar.is_clearing_holiday(date(2026, 8, 26))
    assert calendar.is_trading_day(date(2026, 8, 26))
    assert not calendar.is_clearing_holiday(date(2026, 8, 25))


@given(moment=st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_events_lie_ahead_and_bound_the_state(moment: datetime) -> None:
    """At any moment the next event is in the future, and nothing but the pre-open begins before it."""
    calendar = SessionCalendar(read_sessions())
    words, instant = calendar.next_event(moment)
    if instant is None:
        # Friday evening to Sunday night around the session of unknown hours, and nowhere else.
        assert at(date(2026, 11, 6), "15:40") <= moment < at(date(2026, 11, 9), "00:00")
        return
    assert moment < instant
    is_open = calendar.state_at(moment) is MarketState.OPEN
    assert is_open == (words in {"spot freezes", "closes", "pauses"})
    just_before = instant - timedelta(microseconds=1)
    assert (calendar.state_at(just_before) is MarketState.OPEN) == is_open
    assert calendar.next_event(just_before) == (words, instant)
