"""Sessions of candles: the calendar's hours, and what a venue holds open beside them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from engine.bar_days import BarDays
from engine.calendar.session_table import read_sessions
from engine.calendar.sessions import SessionCalendar
from engine.market.bar_sessions import SessionHours
from engine.venue import VenueReading
from tests.unit.engine.bars_kit import DAY, ist

SUNDAY = date(2026, 11, 22)
BEFORE_AUGUST = date(2026, 7, 30)
UNKNOWN_YEAR = date(2035, 3, 7)


def seconds(moment: datetime) -> int:
    """Epoch seconds."""
    return int(moment.timestamp())


def days(reading: VenueReading | None = None) -> BarDays:
    """Sessions with a venue that says so."""
    word = reading or VenueReading(market_time=ist(10))
    return BarDays(SessionCalendar(read_sessions()), lambda: word)


def hours_of(found: SessionHours | None) -> tuple[int, int, int]:
    """Open, close and the indices' close, seconds since midnight."""
    assert found is not None
    return found.open_s - found.day_start_s, found.close_s - found.day_start_s, found.index_close_s - found.day_start_s


@pytest.mark.parametrize(
    ("day", "close", "index_close"),
    [(BEFORE_AUGUST, (15, 30), (15, 30)), (DAY, (15, 40), (15, 15)), (date(2026, 12, 10), (15, 45), (15, 30))],
)
def test_hours_are_those_of_the_day(day: date, close: tuple[int, int], index_close: tuple[int, int]) -> None:
    """Before and after each change of the closing time."""
    found = days().hours(seconds(ist(11, day=day)))
    assert found is not None
    assert found.day == day.toordinal()
    assert hours_of(found) == tuple(hour * 3600 + minute * 60 for hour, minute in ((9, 15), close, index_close))


def test_a_day_without_session_has_none() -> None:
    """A Sunday, and a year nobody has published."""
    assert days().hours(seconds(ist(11, day=SUNDAY))) is None
    assert days().hours(seconds(ist(11, day=UNKNOWN_YEAR))) is None


def test_spans_and_the_newest_sessions() -> None:
    """Every session that a span touches; today's and so many before it."""
    start, end = ist(23, day=date(2026, 11, 18)), ist(0, day=date(2026, 11, 24))
    assert [hours.day for hours in days().between(seconds(start), seconds(end))] == [
        date(2026, 11, number).toordinal() for number in (18, 19, 20, 23)
    ]
    assert days().between(seconds(end), seconds(end)) == ()
    newest = days().newest(3, seconds(ist(11)))
    assert [hours.day for hours in newest] == [date(2026, 11, number).toordinal() for number in (16, 17, 18, 19)]
    on_sunday = days().newest(1, seconds(ist(11, day=SUNDAY)))
    assert [hours.day for hours in on_sunday] == [date(2026, 11, 20).toordinal()]


def test_a_session_held_open_is_as_long_as_the_venue_says() -> None:
    """After the close of its day, and on a day of rest; other days are the calendar's."""
    evening = ist(20)
    longer = VenueReading(market_time=evening, is_open=True, extended=True, closes_at=ist(23, 30))
    assert hours_of(days(longer).hours(seconds(evening))) == (9 * 3600 + 900, 23 * 3600 + 1800, 23 * 3600 + 1800)
    assert hours_of(days(longer).hours(seconds(evening - timedelta(days=1))))[1] == 15 * 3600 + 2400
    sunday = ist(20, day=SUNDAY)
    resting = VenueReading(market_time=sunday, is_open=True, extended=True)
    assert hours_of(days(resting).hours(seconds(sunday))) == (0, 86_400, 86_400)
    closed = VenueReading(market_time=evening, is_open=False, extended=True)
    assert hours_of(days(closed).hours(seconds(evening)))[1] == 15 * 3600 + 2400


@pytest.mark.parametrize("is_open", [True, False])
def test_a_session_with_its_hours_is_the_same_whenever_the_venue_was_asked(is_open: bool) -> None:
    """A recording of an evening that begins again: its hours do not wait for the venue to say that it is open."""
    evening, end = ist(20), ist(21, 30)
    word = VenueReading(market_time=end, is_open=is_open, extended=True, opens_at=evening, closes_at=end)
    assert hours_of(days(word).hours(seconds(evening)))[1] == 21 * 3600 + 1800
    sunday = VenueReading(
        market_time=end, is_open=is_open, extended=True, opens_at=ist(20, day=SUNDAY), closes_at=ist(21, day=SUNDAY)
    )
    assert hours_of(days(sunday).hours(seconds(ist(20, 10, day=SUNDAY))))[1] == 21 * 3600
    assert days(sunday).hours(seconds(ist(20, 10, day=SUNDAY + timedelta(days=7)))) is None
