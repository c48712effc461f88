"""Sessions and expiry dates as the exchange reads them from the data files."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest

from engine.practice.calendar_facts import TradingCalendar, common_lot, epoch, indian, stamp


def at(text: str) -> float:
    """Return the epoch seconds of an Indian wall-clock time."""
    return datetime.fromisoformat(f"{text}+05:30").timestamp()


@pytest.mark.parametrize(
    ("day", "closes", "cash", "expiring"),
    [
        (date(2026, 7, 10), time(15, 30), time(15, 30), time(15, 30)),
        (date(2026, 8, 3), time(15, 40), time(15, 15), time(15, 40)),
        (date(2026, 12, 4), time(15, 40), time(15, 15), time(15, 40)),
        (date(2026, 12, 7), time(15, 45), time(15, 30), time(15, 30)),
    ],
)
def test_session_times_follow_the_regime(
    calendar: TradingCalendar, day: date, closes: time, cash: time, expiring: time
) -> None:
    """Each dated regime gives its own close, cash close and close of expiring contracts."""
    session = calendar.session(day)
    assert session is not None
    assert indian(session.opens).time() == time(9, 15)
    assert indian(session.closes).time() == closes
    assert indian(session.cash_stops).time() == cash
    assert indian(session.expiring_closes).time() == expiring


def test_no_session_on_holidays_and_weekends(calendar: TradingCalendar) -> None:
    """A listed holiday and a Saturday have no session; a special Sunday has one."""
    assert calendar.session(date(2026, 11, 24)) is None
    assert calendar.session(date(2026, 11, 21)) is None
    assert calendar.session(date(2026, 2, 1)) is not None


def test_next_session_skips_weekend_and_holiday(calendar: TradingCalendar) -> None:
    """After Monday 23 November 2026 comes Wednesday, because Tuesday is a holiday."""
    assert calendar.session_after(date(2026, 11, 23)).day == date(2026, 11, 25)
    assert calendar.session_after(date(2026, 11, 20)).day == date(2026, 11, 23)


def test_session_at_or_after_a_closed_instant(calendar: TradingCalendar) -> None:
    """An instant after the close belongs to the next session, one within to the running one."""
    assert calendar.session_at_or_after(at("2026-11-19T16:00:00")).day == date(2026, 11, 20)
    assert calendar.session_at_or_after(at("2026-11-19T12:00:00")).day == date(2026, 11, 19)


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (date(2026, 2, 26), date(2026, 3, 2)),
        (date(2026, 3, 26), date(2026, 3, 30)),
        (date(2026, 4, 9), date(2026, 4, 13)),
        (date(2026, 10, 15), date(2026, 10, 19)),
        (date(2026, 11, 5), date(2026, 11, 9)),
        (date(2026, 11, 19), date(2026, 11, 23)),
    ],
)
def test_nifty_expiries_move_before_holidays(calendar: TradingCalendar, around: date, expected: date) -> None:
    """A Tuesday holiday moves NIFTY's expiry to the previous trading day."""
    facts = calendar.underlyings["NIFTY"]
    assert calendar.weekly_expiries(facts.expiry_weekday, around, 1) == [expected]


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (date(2026, 1, 12), date(2026, 1, 14)),
        (date(2026, 3, 23), date(2026, 3, 25)),
        (date(2026, 5, 25), date(2026, 5, 27)),
    ],
)
def test_sensex_expiries_move_before_holidays(calendar: TradingCalendar, around: date, expected: date) -> None:
    """A Thursday holiday moves SENSEX's expiry to Wednesday."""
    facts = calendar.underlyings["SENSEX"]
    assert calendar.weekly_expiries(facts.expiry_weekday, around, 1) == [expected]


def test_listed_ladder_of_a_real_day(calendar: TradingCalendar) -> None:
    """On 18 August 2026 the nearest NIFTY expiries are those of the real list of that day."""
    expiries, monthly = calendar.listed_expiries(calendar.underlyings["NIFTY"], date(2026, 8, 18), 4, 3)
    assert expiries == [
        date(2026, 8, 18),
        date(2026, 8, 25),
        date(2026, 9, 1),
        date(2026, 9, 8),
        date(2026, 9, 29),
        date(2026, 10, 27),
    ]
    assert monthly == [date(2026, 8, 25), date(2026, 9, 29), date(2026, 10, 27)]


def test_banknifty_has_monthlies_only(calendar: TradingCalendar) -> None:
    """An underlying without weekly contracts lists its monthly ones alone."""
    expiries, monthly = calendar.listed_expiries(calendar.underlyings["BANKNIFTY"], date(2026, 11, 24), 3, 3)
    assert expiries == monthly == [date(2026, 12, 29), date(2027, 1, 26), date(2027, 2, 23)]


def test_expiry_instant_depends_on_the_date(calendar: TradingCalendar) -> None:
    """Contracts stop at 15:30, 15:40 and again 15:30 in the three regimes."""
    assert stamp(calendar.expiry_instant(date(2026, 7, 14))).endswith("15:30:00")
    assert stamp(calendar.expiry_instant(date(2026, 11, 23))).endswith("15:40:00")
    assert stamp(calendar.expiry_instant(date(2026, 12, 8))).endswith("15:30:00")


def test_snapshot_at_the_close_opens_an_extended_session(calendar: TradingCalendar) -> None:
    """A snapshot taken at the close begins a session that the real market did not hold, and says so."""
    session = calendar.snapshot_session(at("2026-07-10T15:30:00"), 3600)
    assert session.extended
    assert session.opens == at("2026-07-10T15:30:00")
    assert session.closes == session.opens + 3600


def test_snapshot_within_a_session_keeps_its_close(calendar: TradingCalendar) -> None:
    """A snapshot taken at noon begins there and ends at the real close."""
    session = calendar.snapshot_session(at("2026-07-10T12:00:00"), 3600)
    assert not session.extended
    assert session.closes == epoch(date(2026, 7, 10), time(15, 30))


def test_lot_size_read_off_displayed_sizes() -> None:
    """Many sizes tell their common lot; a few do not outvote the listed one."""
    assert common_lot([75 * number for number in range(1, 30)], 65) == 75
    assert common_lot([130, 260], 65) == 65
    assert common_lot([], 65) == 65
