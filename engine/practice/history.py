"""Historical candles of the made-up market: the same path that quotes and ticks show, summed up after the fact.

Minute and longer candles are made of the trades themselves (an index's of its published path), so a candle holds every
price that was shown as traded in it; minutes without a trade have none. A day's candle is what the quotes said of
the day. Invariant: a candle that has ended never changes, and depends on (source, seed, instrument, time) alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from engine.practice.calendar_facts import IST, Session, TradingCalendar, indian
from engine.practice.contracts import FUTURE, Contract
from engine.practice.market import Market, MarketDay
from engine.practice.session_market import SessionMarket
from engine.practice.wire import input_error

_PAISE = 100.0
_DAY = "day"
_DAY_SECONDS, _MINUTE = 86_400, 60
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d")
_KEPT_DAYS = 4
MINUTES = {
    "minute": 1,
    "3minute": 3,
    "5minute": 5,
    "10minute": 10,
    "15minute": 15,
    "30minute": 30,
    "60minute": 60,
}
"""Candle lengths within a day."""
LONGEST_DAYS = {
    "minute": 60,
    "3minute": 100,
    "5minute": 100,
    "10minute": 100,
    "15minute": 200,
    "30minute": 200,
    "60minute": 400,
    "day": 2000,
}
"""Days that one request may span, per candle length."""


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle: prices in paise, quantities in units, ``begins`` in epoch seconds."""

    begins: float
    open: int
    high: int
    low: int
    close: int
    volume: int
    open_interest: int

    def to_wire(self, *, interest: bool) -> list[object]:
        """Return the row as ``GET /instruments/historical`` shows it."""
        prices = [value / _PAISE for value in (self.open, self.high, self.low, self.close)]
        row: list[object] = [indian(self.begins).strftime("%Y-%m-%dT%H:%M:%S%z"), *prices, self.volume]
        return [*row, self.open_interest] if interest else row


@dataclass(frozen=True, slots=True)
class CandleRequest:
    """A well-formed request; ``first`` and ``last`` are epoch seconds, both included."""

    contract: Contract
    interval: str
    first: float
    last: float
    continuous: bool
    interest: bool


def read_request(
    token: str, interval: str, query: Mapping[str, str], contracts: Mapping[int, Contract]
) -> CandleRequest:
    """Check a request for candles.

    Raises:
        KiteError: HTTP 400 with the reason in words.
    """
    contract = contracts.get(int(token)) if token.isdecimal() else None
    if contract is None:
        raise input_error(f"Invalid `instrument_token`: {token}. It is not in today's list of instruments.")
    if interval not in LONGEST_DAYS:
        raise input_error(f"Invalid `interval`: {interval}. Allowed are {', '.join(LONGEST_DAYS)}.")
    first, last = _instant(query, "from"), _instant(query, "to")
    if first > last:
        raise input_error("Invalid `from` date: it lies after `to`.")
    longest = LONGEST_DAYS[interval]
    if last - first > longest * _DAY_SECONDS:
        raise input_error(f"Interval exceeds max limit: {longest} days for `{interval}` candles.")
    continuous = query.get("continuous") == "1"
    if continuous and (interval != _DAY or contract.kind != FUTURE):
        raise input_error("`continuous` data are for `day` candles of futures.")
    return CandleRequest(contract, interval, first, last, continuous, query.get("oi") == "1")


class MadeUpHistory:
    """Candles of a made-up market from its first session on.

    Not for two threads at once. It never asks the session that is being traded for another instant than its trades: the
    day's extremes that live quotes remember stay theirs.

    Args:
        market: The market.
        calendar: Where candles of a session are counted from.
    """

    def __init__(self, market: Market, calendar: TradingCalendar) -> None:
        self._market = market
        self._calendar = calendar
        self._columns = {token: column for column, token in enumerate(market.index_tokens())}
        self._days: OrderedDict[date, MarketDay] = OrderedDict()

    def sessions(self, request: CandleRequest, today: Session) -> list[Session]:
        """Return the sessions that a request touches, oldest first, up to the one that is being traded."""
        found, session = [], self._market.first_session
        while True:
            if session.closes >= request.first and _midnight(session) <= request.last:
                found.append(session)
            if session == today or session.day >= today.day:
                return found
            session = self._market.session_after(session)

    def candles(
        self, request: CandleRequest, sessions: Iterable[Session], today: MarketDay, now: float
    ) -> Iterator[Candle]:
        """Yield the candles of the given sessions within the request, oldest first, none from after ``now``."""
        for session in sessions:
            current = session == today.session
            day = today if current else self._day(session)
            contract = _front_future(day, request.contract) if request.continuous else request.contract
            until = min(now, session.closes) if current else session.closes
            if request.interval != _DAY:
                made = self._within_day(day, contract, MINUTES[request.interval] * _MINUTE, until)
            elif current:
                made = self._whole_day(self._day(session), contract, until)
            else:
                made = self._whole_day(day, contract, until)
            yield from (row for row in made if request.first <= row.begins <= request.last)

    def _day(self, session: Session) -> MarketDay:
        """Return a session built for history alone; the last few are kept."""
        day = self._days.get(session.day)
        if day is None or day.session != session:
            day = self._days[session.day] = self._market.day(session)
        self._days.move_to_end(session.day)
        while len(self._days) > _KEPT_DAYS:
            self._days.popitem(last=False)
        return day

    def _within_day(self, day: MarketDay, contract: Contract, length: int, until: float) -> Iterator[Candle]:
        """Yield the candles of a session, ``length`` seconds each, up to an instant."""
        session = day.session
        regular = self._calendar.session(session.day)
        # Candles are counted from the regular opening even when a snapshot opened the session later.
        known = regular is not None and regular.opens <= session.opens
        anchor = regular.opens if regular is not None and known else session.opens // _MINUTE * _MINUTE
        column, row = self._columns.get(contract.token), day.universe.row_of.get(contract.token)
        if column is not None:
            yield from _index_candles(_made_up(day), column, anchor, length, until)
        elif row is not None:
            yield from _contract_candles(_made_up(day), row, anchor, length, until)

    def _whole_day(self, day: MarketDay, contract: Contract, until: float) -> Iterator[Candle]:
        """Yield the day's candle as the quotes of an instant say it."""
        quotes, begins = day.market.at(until), _midnight(day.session)
        column, row = self._columns.get(contract.token), day.universe.row_of.get(contract.token)
        if column is not None:
            levels = (quotes.index_open, quotes.index_high, quotes.index_low, quotes.index_last)
            opened, high, low, last = (int(level[column]) for level in levels)
            yield Candle(begins, opened, high, low, last, 0, 0)
        elif row is not None and int(quotes.open[row]):
            values = (quotes.open, quotes.high, quotes.low, quotes.last, quotes.volume, quotes.open_interest)
            yield Candle(begins, *(int(value[row]) for value in values))


def _made_up(day: MarketDay) -> SessionMarket:
    """Return the day's market as what it is: only a made-up one knows its past."""
    if not isinstance(day.market, SessionMarket):
        raise TypeError(f"{type(day.market).__name__} keeps no past to make candles of")
    return day.market


def _index_candles(market: SessionMarket, column: int, anchor: float, length: int, until: float) -> Iterator[Candle]:
    opens = market.session.opens
    if until <= opens:
        return
    for number in range(int((opens - anchor) // length), int(np.ceil((until - anchor) / length))):
        begins = anchor + number * length
        first, last = max(begins, opens), min(begins + length, until)
        yield Candle(begins, *market.indices.span(column, first - opens, last - opens), 0, 0)


def _contract_candles(market: SessionMarket, row: int, anchor: float, length: int, until: float) -> Iterator[Candle]:
    # Up to and with the present instant: a tick of it may show a trade of it.
    trades = market.prices.trades(row, market.session.opens, float(np.nextafter(until, np.inf)))
    if not trades.moment.size:
        return
    number = np.floor((trades.moment - anchor) / length).astype(np.int64)
    starts = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    ends = np.append(starts[1:], number.size)
    before = int(market.prices.profile.base_volume[row])
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        price, volume = trades.price[start:end], int(trades.volume[end - 1])
        yield Candle(
            anchor + int(number[start]) * length,
            int(price[0]),
            int(price.max()),
            int(price.min()),
            int(price[-1]),
            volume - before,
            int(trades.open_interest[end - 1]),
        )
        before = volume


def _front_future(day: MarketDay, contract: Contract) -> Contract:
    """Return the nearest future of a contract's underlying on a day: what a continuous series is made of."""
    futures = [row for row in day.universe.priced if row.kind == FUTURE and row.name == contract.name and row.expiry]
    return min(futures, key=lambda row: row.expiry or date.max, default=contract)


def _midnight(session: Session) -> float:
    return datetime.combine(session.day, datetime.min.time(), tzinfo=IST).timestamp()


def _instant(query: Mapping[str, str], name: str) -> float:
    text = query.get(name, "").strip()
    if not text:
        raise input_error(f"Missing or empty field `{name}`")
    for pattern in _TIME_FORMATS:
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=IST).timestamp()
        except ValueError:
            continue
    raise input_error(f"Invalid `{name}` date: {text}. Expected is yyyy-mm-dd HH:MM:SS.")
