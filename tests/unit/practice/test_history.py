"""Historical candles against what the quotes of the same market showed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from engine.practice.calendar_facts import TradingCalendar, indian
from engine.practice.history import LONGEST_DAYS, MINUTES, Candle, CandleRequest, MadeUpHistory, read_request
from engine.practice.market import Market, MarketDay
from engine.practice.session_market import SessionMarket
from engine.practice.settings import DEFAULT_PROFILES, MarketSettings
from engine.practice.wire import KiteError
from tests.unit.practice.conftest import SEED, START, Venue, market_day

NIFTY = 256265
MINUTE = 60.0


def make_market(calendar: TradingCalendar, seed: int = SEED) -> Market:
    """Return a NIFTY-only market of a seed."""
    first = market_day(calendar, START, seed).session
    return Market(calendar, MarketSettings(profiles=DEFAULT_PROFILES[:1]), seed=seed, first=first)


def ask(day: MarketDay, token: int, interval: str = "minute", first: float | None = None) -> CandleRequest:
    """Return a request from an instant (the opening) on, for as long as is allowed."""
    begins = day.session.opens if first is None else first
    last = begins + LONGEST_DAYS[interval] * 86_400
    return CandleRequest(day.universe.by_token[token], interval, begins, last, continuous=False, interest=True)


def candles(
    market: Market, calendar: TradingCalendar, day: MarketDay, asked: CandleRequest, now: float
) -> list[Candle]:
    """Return the candles of a request as a fresh process would make them."""
    history = MadeUpHistory(market, calendar)
    return list(history.candles(asked, history.sessions(asked, day.session), day, now))


def near_the_money(day: MarketDay, kind: str) -> int:
    """Return the token of the nearest expiry's contract of a kind closest to the money."""
    rows = [row for row in day.universe.priced if row.kind == kind]
    nearest = min(row.expiry for row in rows if row.expiry)
    spot = int(day.market.at(day.session.opens).index_last[0])
    return min((row for row in rows if row.expiry == nearest), key=lambda row: abs(row.strike - spot)).token


@pytest.mark.parametrize("kind", ["CE", "PE", "FUT"])
def test_a_candle_holds_every_price_that_was_shown_as_traded_in_it(calendar: TradingCalendar, kind: str) -> None:
    """Half-second ticks of five minutes: each traded price lies within its minute, and volume adds up."""
    market = make_market(calendar)
    day = market.day(market.first_session)
    token = near_the_money(day, kind)
    row = day.universe.row_of[token]
    end = day.session.opens + 300.0
    made = {candle.begins: candle for candle in candles(market, calendar, day, ask(day, token), end)}
    seen: dict[float, list[int]] = {}
    for step in range(1, 601):
        quotes = day.market.at(day.session.opens + step * 0.5)
        if int(quotes.volume[row]):
            minute = int(quotes.last_time[row]) // MINUTE * MINUTE
            seen.setdefault(minute, []).append(int(quotes.last[row]))
    for minute, prices in seen.items():
        assert made[minute].low <= min(prices) <= max(prices) <= made[minute].high
        assert made[minute].close == prices[-1]
    assert sum(candle.volume for candle in made.values()) == int(quotes.volume[row])
    assert max(candle.high for candle in made.values()) <= int(quotes.high[row])
    assert min(candle.low for candle in made.values()) >= int(quotes.low[row])


def test_index_candles_follow_the_published_path(calendar: TradingCalendar) -> None:
    """Every level shown within a minute lies in its candle; candles join; the frozen level is flat."""
    market = make_market(calendar)
    day = market.day(market.first_session)
    made = candles(market, calendar, day, ask(day, NIFTY), day.session.closes)
    by_minute = {candle.begins: candle for candle in made}
    for step in range(0, day.session.seconds, 53):
        moment = day.session.opens + step + 0.25
        level = int(day.market.at(moment).index_last[0])
        candle = by_minute[moment // MINUTE * MINUTE]
        assert candle.low <= level <= candle.high
    assert all(earlier.close == later.open for earlier, later in pairwise(made))
    assert {candle.volume for candle in made} == {0}
    frozen = by_minute[day.session.cash_stops + MINUTE]
    assert frozen.low == frozen.high


def test_a_candle_under_way_ends_at_the_present(calendar: TradingCalendar) -> None:
    """The last candle grows and is never ahead of the market; those before it stay as they are."""
    market = make_market(calendar)
    day = market.day(market.first_session)
    token, now = near_the_money(day, "CE"), day.session.opens + 330.0
    asked = ask(day, token)
    early, late = (candles(market, calendar, day, asked, moment) for moment in (now, now + 20.0))
    assert early[:-1] == late[:-1]
    assert early[-1].begins == late[-1].begins == day.session.opens + 300.0
    assert early[-1].volume < late[-1].volume
    assert early[-1].open == late[-1].open


def test_history_is_a_function_of_source_seed_and_time(calendar: TradingCalendar) -> None:
    """Two fresh markets of a seed agree candle by candle, another seed does not; longer candles are sums of minutes."""
    runs = []
    for seed in (SEED, SEED, SEED + 1):
        market = make_market(calendar, seed)
        day = market.day(market.first_session)
        token = day.universe.by_key["NFO:NIFTY26NOVFUT"].token
        runs.append(candles(market, calendar, day, ask(day, token), day.session.closes))
    assert runs[0] == runs[1] != runs[2]
    for interval, length in MINUTES.items():
        rows = candles(market, calendar, day, ask(day, token, interval), day.session.closes)
        assert all((row.begins - day.session.opens) % (length * MINUTE) == 0 for row in rows)
        assert sum(row.volume for row in rows) == sum(row.volume for row in runs[2])
        assert max(row.high for row in rows) == max(row.high for row in runs[2])


def test_several_sessions(calendar: TradingCalendar) -> None:
    """A request over days has each session's candles; the day's candle says what the quotes said at its end."""
    market = make_market(calendar)
    first = market.day(market.first_session)
    today = market.day(market.session_after(market.first_session))
    token = near_the_money(today, "PE")
    now = today.session.opens + 3600.0
    days = candles(market, calendar, today, ask(today, token, "day", first.session.opens - 86_400), now)
    assert [indian(row.begins).date() for row in days] == [first.session.day, today.session.day]
    quotes, row = first.market.at(first.session.closes), first.universe.row_of[token]
    assert (days[0].open, days[0].high, days[0].low, days[0].close, days[0].volume) == tuple(
        int(column[row]) for column in (quotes.open, quotes.high, quotes.low, quotes.last, quotes.volume)
    )
    asked = replace(ask(today, token, "60minute", first.session.opens), last=now)
    hours = candles(market, calendar, today, asked, now)
    assert {indian(row.begins).date() for row in hours} == {first.session.day, today.session.day}
    assert all(row.begins <= now for row in hours)


def test_live_extremes_are_left_alone(venue: Venue, calendar: TradingCalendar) -> None:
    """Asking for today's day candle and minutes does not touch the session that is being traded."""
    market, day = venue.exchange.market, venue.exchange.floor.day
    assert isinstance(market, Market)
    assert isinstance(day.market, SessionMarket)
    venue.advance(1.0)
    before = day.market._blocks_done
    for interval in ("day", "minute"):
        asked = ask(day, NIFTY, interval, day.session.opens - 86_400 if interval == "day" else None)
        assert candles(market, calendar, day, asked, venue.exchange.floor.now())
    assert day.market._blocks_done == before > 0


@pytest.mark.parametrize(
    ("token", "interval", "query", "words"),
    [
        ("1", "minute", {}, "instrument_token"),
        ("x", "minute", {}, "instrument_token"),
        (str(NIFTY), "7minute", {}, "interval"),
        (str(NIFTY), "minute", {"from": ""}, "Missing or empty field `from`"),
        (str(NIFTY), "minute", {"from": "19-11-2026"}, "Invalid `from`"),
        (str(NIFTY), "minute", {"from": "2026-11-21 09:15:00"}, "after `to`"),
        (str(NIFTY), "minute", {"from": "2026-09-01 09:15:00"}, "60 days"),
        (str(NIFTY), "day", {"from": "2020-09-01 09:15:00"}, "2000 days"),
        (str(NIFTY), "day", {"continuous": "1"}, "futures"),
    ],
)
def test_ill_formed_requests(venue: Venue, token: str, interval: str, query: dict[str, str], words: str) -> None:
    """A wrong token, interval or range is refused in words that name it."""
    form = {"from": "2026-11-19 09:15:00", "to": "2026-11-20 15:30:00"} | query
    with pytest.raises(KiteError, match=words) as refused:
        read_request(token, interval, form, venue.exchange.floor.day.universe.by_token)
    assert refused.value.status == 400


def test_candles_of_a_continuous_future_take_the_front_month(calendar: TradingCalendar) -> None:
    """A later month's future asked for continuously shows the nearest month's prices."""
    market = make_market(calendar)
    day = market.day(market.first_session)
    futures = sorted((row for row in day.universe.priced if row.kind == "FUT"), key=lambda row: str(row.expiry))
    far = ask(day, futures[-1].token, "day", day.session.opens - 86_400)
    front = candles(market, calendar, day, ask(day, futures[0].token, "day", far.first), day.session.closes)
    assert candles(market, calendar, day, replace(far, continuous=True), day.session.closes) == front
    assert candles(market, calendar, day, far, day.session.closes) != front


def test_a_snapshots_session_counts_candles_from_the_regular_opening(calendar: TradingCalendar) -> None:
    """A session that opens in the middle of the day keeps the regular grid of candles."""
    regular = market_day(calendar).session
    session = calendar.snapshot_session(regular.opens + 4321.0, 22_500)
    market = Market(calendar, MarketSettings(profiles=DEFAULT_PROFILES[:1]), seed=SEED, first=session)
    day = market.day(session)
    for token in (NIFTY, near_the_money(day, "CE")):
        asked = ask(day, token, "15minute", regular.opens)
        rows = candles(market, calendar, day, asked, session.opens + 3600.0)
        assert rows[0].begins <= session.opens < rows[0].begins + 15 * MINUTE
        assert all((row.begins - regular.opens) % (15 * MINUTE) == 0 for row in rows)
