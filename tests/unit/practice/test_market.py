"""The made-up market: a pure function of seed and instant, with believable and consistent quotes."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime

import numpy as np
import pytest

from engine.practice.calendar_facts import TradingCalendar
from engine.practice.market import Market
from engine.practice.session_market import Quotes
from engine.practice.settings import DEFAULT_PROFILES, MarketSettings
from tests.unit.practice.conftest import SEED, market_day

YEAR = 365.0 * 86_400.0


def same(one: Quotes, other: Quotes) -> bool:
    """Tell whether two instants show the same in every column."""
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Quotes))


def at(text: str) -> float:
    """Return the epoch seconds of an Indian wall-clock time."""
    return datetime.fromisoformat(f"{text}+05:30").timestamp()


def test_two_markets_agree_at_every_instant(calendar: TradingCalendar) -> None:
    """Two processes with one seed show the same quotes, whatever they were asked before."""
    stepped, fresh = market_day(calendar), market_day(calendar)
    opens = stepped.session.opens
    for offset in (0.0, 0.5, 61.25, 599.5, 600.0, 1800.0, 5000.0):
        last = stepped.market.at(opens + offset)
    assert same(last, fresh.market.at(opens + 5000.0))
    assert same(stepped.market.at(opens + 61.25), fresh.market.at(opens + 61.25))


def test_another_seed_is_another_market(calendar: TradingCalendar) -> None:
    """The seed matters."""
    one, other = market_day(calendar), market_day(calendar, seed=SEED + 1)
    moment = one.session.opens + 3600.0
    assert not np.array_equal(one.market.at(moment).index_last, other.market.at(moment).index_last)


def test_a_later_session_does_not_depend_on_how_it_was_reached(calendar: TradingCalendar) -> None:
    """A session reached day by day equals the same session built at once."""
    settings = MarketSettings(profiles=DEFAULT_PROFILES[:1])
    first = calendar.session_at_or_after(at("2026-11-16T09:15:00"))
    walked, jumped = (Market(calendar, settings, seed=SEED, first=first) for _ in range(2))
    session = first
    for _ in range(3):
        walked.day(session).market.at(session.closes)
        session = walked.session_after(session)
    moment = session.opens + 1000.0
    assert same(walked.day(session).market.at(moment), jumped.day(jumped.session_at(moment)).market.at(moment))


def test_each_session_opens_from_the_close_before(calendar: TradingCalendar) -> None:
    """The previous close of a day is the level the day before ended at."""
    settings = MarketSettings(profiles=DEFAULT_PROFILES[:1])
    market = Market(calendar, settings, seed=SEED, first=calendar.session_at_or_after(at("2026-07-06T09:15:00")))
    first = market.day(market.first_session)
    second = market.day(market.session_after(first.session))
    ended = first.market.at(first.session.closes)
    assert second.market.at(second.session.opens).index_close[0] == ended.index_last[0]
    common = [row for row in second.universe.priced if row.token in first.universe.row_of]
    assert len(common) > 1000
    for row in common[:: len(common) // 50]:
        old, new = first.universe.row_of[row.token], second.universe.row_of[row.token]
        fair, close = ended.fair[old], second.market.close[new]
        assert abs(int(fair) - int(close)) <= max(20, 0.02 * fair)


def test_listed_contracts_of_a_day(calendar: TradingCalendar) -> None:
    """Weekly and monthly expiries, futures and index rows are there, with lots and a Monday expiry before a holiday."""
    day = market_day(calendar)
    nifty = [row for row in day.universe.priced if row.name == "NIFTY"]
    expiries = sorted({row.expiry for row in nifty if row.expiry})
    assert expiries[0] == date(2026, 11, 23)
    assert len(expiries) == 6
    assert {row.lot for row in nifty} == {65}
    assert sum(row.kind == "FUT" for row in nifty) == 3
    strikes = {row.strike for row in nifty if row.expiry == expiries[0] and row.kind == "CE"}
    assert 95 <= len(strikes) <= 105
    assert {"NSE:NIFTY 50", "NSE:NIFTY BANK", "BSE:SENSEX", "NSE:INDIA VIX"} <= day.universe.by_key.keys()
    assert 3000 <= len(day.universe.table) <= 5000


@pytest.mark.parametrize("start", ["2026-11-19T11:00:00+05:30", "2026-11-23T11:00:00+05:30"])
def test_quotes_are_consistent_all_day(calendar: TradingCalendar, start: str) -> None:
    """Bid below ask, last within the day's range, volume and open interest sane, at any time, on expiry day too."""
    day = market_day(calendar, start)
    table, volume, high, low = day.universe.table, None, None, None
    for moment in np.linspace(day.session.opens, day.session.closes, 24):
        quotes = day.market.at(float(moment))
        both = (quotes.bid_price[:, 0] > 0) & (quotes.ask_price[:, 0] > 0)
        assert both.mean() > 0.9
        assert (quotes.bid_price[both, 0] < quotes.ask_price[both, 0]).all()
        for price in (quotes.bid_price, quotes.ask_price):
            assert (price % table.tick[:, None] == 0).all()
        for size in (quotes.bid_quantity, quotes.ask_quantity):
            assert (size % table.lot[:, None] == 0).all()
        descending = np.diff(quotes.bid_price, axis=1)
        assert ((descending < 0) | (quotes.bid_price[:, 1:] == 0)).all()
        traded = quotes.open > 0
        assert (quotes.low[traded] <= quotes.last[traded]).all()
        assert (quotes.last[traded] <= quotes.high[traded]).all()
        assert (quotes.low[traded] <= quotes.open[traded]).all()
        assert (quotes.open_interest % table.lot == 0).all()
        assert (quotes.total_buy >= quotes.bid_quantity.sum(axis=1)).all()
        assert (quotes.last_time <= moment).all()
        assert quotes.volume.max() < 2**32
        if volume is not None and high is not None and low is not None:
            assert (quotes.volume >= volume).all()
            assert (quotes.high >= high).all()
            assert ((quotes.low <= low) | (low == 0)).all()
        volume, high, low = quotes.volume, quotes.high, quotes.low


def test_prices_leave_no_arbitrage_between_strikes(calendar: TradingCalendar) -> None:
    """Fair call prices fall and put prices rise with the strike, and both are convex within tick rounding."""
    day = market_day(calendar)
    quotes = day.market.at(day.session.opens + 5000.0)
    for kind, sign in (("CE", -1), ("PE", 1)):
        for group in range(len(day.universe.table.groups)):
            rows = [
                row
                for row, contract in enumerate(day.universe.priced)
                if contract.kind == kind and day.universe.table.expiry_group[row] == group
            ]
            rows.sort(key=lambda row: day.universe.priced[row].strike)
            fair = quotes.fair[rows].astype(float)
            assert (sign * np.diff(fair) >= -10.0).all()


def test_the_smile_is_put_skewed_and_near_the_measured_level(calendar: TradingCalendar) -> None:
    """At-the-money volatility is about 9.5 %, wings are higher, and the put wing is the dearer one."""
    day = market_day(calendar)
    moment = day.session.opens
    table = day.universe.table
    volatility, forward = day.market.volatilities(moment), day.market.forwards(moment)
    rows = (
        (table.underlying == 0)
        & table.is_call
        & (table.expiry_group == table.expiry_group[np.flatnonzero(table.is_call)[0]])
    )
    relative = table.strike / forward - 1.0

    def near(distance: float) -> float:
        return float(volatility[rows][np.argmin(np.abs(relative[rows] - distance))])

    assert 0.07 < near(0.0) < 0.13
    assert near(-0.04) > near(0.04) > near(0.0)


def test_futures_carry(calendar: TradingCalendar) -> None:
    """Futures lie above the index by 5.5 to 7 % a year."""
    day = market_day(calendar)
    moment = day.session.opens + 100.0
    quotes, table = day.market.at(moment), day.universe.table
    for row in np.flatnonzero(table.is_future & (table.underlying == 0)):
        years = (table.expires[row] - moment) / YEAR
        carry = np.log(quotes.fair[row] / quotes.index_last[0]) / years
        assert 0.05 < carry < 0.075


def test_the_index_freezes_for_the_closing_auction(calendar: TradingCalendar) -> None:
    """From 15:15 the index stands still while futures move; near 15:27 it prints once; from December it does not
    stop.
    """
    day = market_day(calendar)
    frozen = [day.market.at(at(f"2026-11-19T15:{minute}:00")) for minute in (15, 20, 26)]
    printed = [day.market.at(at(f"2026-11-19T15:{minute}:30")) for minute in (27, 35)]
    future = int(np.flatnonzero(day.universe.table.is_future)[0])
    assert len({int(quotes.index_last[0]) for quotes in frozen}) == 1
    assert len({int(quotes.fair[future]) for quotes in frozen}) == 3
    assert printed[0].index_last[0] == printed[1].index_last[0] != frozen[0].index_last[0]
    later = market_day(calendar, "2026-12-07T10:00:00+05:30")
    moving = {int(later.market.at(at(f"2026-12-07T15:{minute}:00")).index_last[0]) for minute in (16, 20, 26)}
    assert len(moving) == 3


def test_expired_contracts_are_gone_and_new_ones_listed(calendar: TradingCalendar) -> None:
    """After an expiry day its contracts are no longer listed, and another expiry has come in."""
    settings = MarketSettings(profiles=DEFAULT_PROFILES[:1])
    market = Market(calendar, settings, seed=SEED, first=calendar.session_at_or_after(at("2026-11-23T10:00:00")))
    first = market.day(market.first_session)
    second = market.day(market.session_after(first.session))
    before, after = ({row.expiry for row in day.universe.priced} for day in (first, second))
    assert date(2026, 11, 23) in before
    assert date(2026, 11, 23) not in after
    assert after - before


def test_open_interest_gathers_at_round_strikes(calendar: TradingCalendar) -> None:
    """A strike that is a multiple of 500 holds more than the odd fifties around it."""
    day = market_day(calendar)
    quotes, table = day.market.at(day.session.opens), day.universe.table
    first = table.expiry_group[np.flatnonzero(table.is_call)[0]]
    rows = np.flatnonzero(table.is_call & (table.expiry_group == first) & (table.strike > 24_200))
    by_strike = {int(table.strike[row]): int(quotes.open_interest[row]) // int(table.lot[row]) for row in rows}
    assert by_strike[24_500] > 1.5 * by_strike[24_450]
    assert by_strike[24_500] > 20_000
