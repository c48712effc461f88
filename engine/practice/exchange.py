"""The exchange: one venue with one account, one session after another.

Everything here is synchronous and runs on one thread. Invariant: after a kill at any moment the same book gives the
same state, and requests that were accepted but not yet acted on are acted on.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.practice.book import Book, Carried, ClockRecord, DayRecord, PostRecord
from engine.practice.calendar_facts import TradingCalendar, indian
from engine.practice.changes import Changes, Notify
from engine.practice.contracts import VIX_TOKEN
from engine.practice.floor import Floor
from engine.practice.funds import Funds
from engine.practice.ledger import Ledger
from engine.practice.market import Market
from engine.practice.matching import Matcher
from engine.practice.order_desk import OrderDesk
from engine.practice.session_clock import MarketClock
from engine.practice.settings import ServiceSettings
from engine.practice.settlement import settle

_CLOCK_SECONDS = 0.5
"""Market time is written into the book at least this often (wall time)."""
_RESERVED_SECONDS = 1.5
"""What is written lies this much wall time ahead: after a kill, market time goes on from there and never back."""


class Exchange:
    """One venue.

    Args:
        settings: Limits and amounts.
        calendar: Facts of underlyings.
        market: Where quotes come from.
        book: The durable memory, already replayed into the ledger.
        ledger: The account's state.
        clock: Market time.
        notify: Called with the data of each order update, after the change is durable.
        wall: A monotonic clock, for pacing the clock's records.
    """

    def __init__(
        self,
        *,
        settings: ServiceSettings,
        calendar: TradingCalendar,
        market: Market,
        book: Book,
        ledger: Ledger,
        clock: MarketClock,
        notify: Notify,
        wall: Callable[[], float],
    ) -> None:
        self._calendar = calendar
        self._book = book
        self._wall = wall
        self._clock_written = wall()
        self.market = market
        self.ledger = ledger
        self.floor = Floor(market.day(market.session_at(ledger.moment)), clock)
        self.changes = Changes(book, ledger, notify, self.floor.now)
        self.funds = Funds(ledger, market.settings.discount_rate)
        self.desk = OrderDesk(
            settings=settings,
            calendar=calendar,
            floor=self.floor,
            ledger=ledger,
            changes=self.changes,
            funds=self.funds,
            matcher=Matcher(settings.liquidity_recovery_seconds),
        )
        if not ledger.day:
            self.changes.record(self._day_record(ledger.opening_cash))
            self.changes.commit()
        self.desk.resume()

    @property
    def index_tokens(self) -> list[int]:
        """Tokens of the simulated indices, in the order of the quotes' index columns (volatility index last)."""
        return [*(self._calendar.underlyings[name].index_token for name in self.market.names), VIX_TOKEN]

    @property
    def session_is_over(self) -> bool:
        """True when market time has reached the close."""
        return self.floor.now() >= self.floor.day.session.closes

    def step(self) -> None:
        """Move the market to the present instant and let waiting orders meet it."""
        before = self.floor.quotes
        self.floor.quotes = self.floor.day.market.at(self.floor.now())
        self.desk.step(before)
        if self._wall() - self._clock_written >= _CLOCK_SECONDS:
            self._reserve()
        if self.changes.pending:
            self.changes.commit()

    def set_speed(self, speed: float) -> None:
        """Let market time run at another speed (market seconds per wall second)."""
        self.floor.clock.set_speed(speed)
        self._reserve()

    def advance(self, seconds: float) -> None:
        """Jump market time forward."""
        self.floor.clock.advance(seconds)
        self._reserve()
        self.step()

    def count_post(self, tag: str | None) -> None:
        """Note an order request that reached the exchange; written with the next change."""
        self.changes.record(PostRecord(1, tag or ""))

    def write_clock(self) -> None:
        """Put the present market time into the book, durably."""
        record = ClockRecord(self.floor.now())
        self.ledger.apply(record)
        self._book.append([record], durable=True)

    def close_session(self) -> None:
        """End the session: day orders lapse, intraday positions are squared, time stands still."""
        self.floor.leave()
        self.desk.end_day()
        self.changes.record(ClockRecord(self.floor.day.session.closes))
        self.changes.commit()

    def open_next_session(self) -> None:
        """Settle what expired, carry the rest, and open the next session with an empty order book."""
        ended = self.floor.day
        following = self.market.day(self.market.session_after(ended.session))
        cash, carried = settle(self.ledger.opening_cash, self.ledger.positions.values(), ended, following)
        self.floor.enter(following)
        record = self._day_record(cash, carried)
        venue = self.ledger.venue
        # One file per day is enough: earlier orders are no longer asked for, and counters are in the record.
        self._book.compact([*([venue] if venue else []), record])
        self.ledger.apply(record)

    def describe_now(self) -> str:
        """Return market time as ISO text with its offset."""
        return indian(self.floor.now()).isoformat()

    def _reserve(self) -> None:
        """Write how far market time may have come before it is written again."""
        self._clock_written = self._wall()
        ahead = self.floor.now() + self.floor.clock.speed * _RESERVED_SECONDS
        record = ClockRecord(min(ahead, self.floor.day.session.closes))
        self.ledger.apply(record)
        self._book.append([record], durable=False)

    def _day_record(self, cash: float, carried: tuple[Carried, ...] = ()) -> DayRecord:
        day = self.floor.day.session.day.isoformat()
        return self.ledger.day_record(day, self.floor.now(), cash, carried)
