"""The exchange: one venue with one account, one session after another.

Everything here is synchronous and runs on one thread. Invariant: after a kill at any moment the same book gives the
same state, and requests that were accepted but not yet acted on are acted on.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.practice.bands import ReferencePrices
from engine.practice.book import Book, Carried, ClockRecord, DayRecord, PostRecord
from engine.practice.calendar_facts import TradingCalendar, indian
from engine.practice.changes import ACCOUNT, Changes, Notify
from engine.practice.floor import Floor
from engine.practice.funds import Funds
from engine.practice.ledger import Ledger
from engine.practice.market import MarketDay
from engine.practice.market_source import MarketSource
from engine.practice.matching import Matcher
from engine.practice.order_desk import OrderDesk, step_desks
from engine.practice.settings import ServiceSettings
from engine.practice.settlement import settle
from engine.practice.waiting import Waiting

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
        floor: Today's session of that market.
        book: The durable memory, already replayed into the ledger.
        ledger: The account's state.
        notify: Called with the data of each order update, after the change is durable.
        wall: A monotonic clock, for pacing the clock's records.
        leader: The venue's first account, for a further one: it shares the floor and what orders meet there, and is
            stepped, closed and opened by the leader.
        account: User id.
        seat: Number of the account in its venue.
    """

    def __init__(
        self,
        *,
        settings: ServiceSettings,
        calendar: TradingCalendar,
        market: MarketSource,
        floor: Floor,
        book: Book,
        ledger: Ledger,
        notify: Notify,
        wall: Callable[[], float],
        leader: Exchange | None = None,
        account: str = ACCOUNT,
        seat: int = 0,
    ) -> None:
        self._book = book
        self._wall = wall
        self._clock_written = wall()
        self.market = market
        self.ledger = ledger
        self.floor = floor
        self.changes = Changes(book, ledger, notify, self.floor.now, account)
        self.funds = Funds(ledger, market.settings.discount_rate)
        self._members: list[Exchange] = []
        own_matcher = Matcher(settings.liquidity_recovery_seconds)
        self.matcher: Matcher = leader.matcher if leader is not None else own_matcher
        self.references: ReferencePrices = leader.references if leader is not None else ReferencePrices()
        if leader is not None:
            leader._members.append(self)
        self.desk = OrderDesk(
            settings=settings,
            calendar=calendar,
            floor=self.floor,
            ledger=ledger,
            changes=self.changes,
            funds=self.funds,
            matcher=self.matcher,
            references=self.references,
            seat=seat,
        )
        self.waiting = Waiting(
            settings=settings,
            floor=self.floor,
            ledger=ledger,
            changes=self.changes,
            orders=self.desk,
            index_tokens=market.index_tokens,
        )
        if not ledger.day:
            self.changes.record(self._day_record(ledger.opening_cash))
            self.changes.commit()

    @property
    def index_tokens(self) -> list[int]:
        """Tokens of the indices, in the order of the quotes' index columns."""
        return list(self.market.index_tokens())

    @property
    def session_is_over(self) -> bool:
        """True when market time has reached the close."""
        return self.floor.now() >= self.floor.day.session.closes

    def resume(self) -> None:
        """Act on what was accepted before a restart; called once, when the market is there."""
        self.desk.resume()
        self.waiting.resume()

    def step(self) -> None:
        """Move the market to the present instant and let waiting orders meet it."""
        before = self.floor.quotes
        self.floor.quotes = self.floor.present()
        step_desks([exchange.desk for exchange in self._accounts()], before)
        for exchange in self._accounts():
            exchange.waiting.step()
        if self._wall() - self._clock_written >= _CLOCK_SECONDS:
            self._reserve()
        for exchange in self._accounts():
            if exchange.changes.pending:
                exchange.changes.commit()

    def set_speed(self, speed: float) -> None:
        """Let market time run at another speed (market seconds per wall second)."""
        self.floor.clock.set_speed(speed)
        self._reserve()

    def advance(self, seconds: float) -> None:
        """Jump market time forward."""
        self.floor.clock.advance(seconds)
        self._reserve()
        self.step()

    def halt(self, on: bool) -> None:
        """Halt derivatives, or let them go on: orders are taken and cancelled, nothing trades, no quote changes."""
        self.floor.halt(on)
        self.matcher.is_halted = on
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
        for exchange in self._accounts():
            exchange.desk.end_day()
            exchange.changes.record(ClockRecord(self.floor.day.session.closes))
            exchange.changes.commit()

    def open_next_session(self) -> None:
        """Settle what expired, carry the rest, and open the next session with an empty order book."""
        ended = self.floor.day
        following = self.market.day(self.market.session_after(ended.session))
        self.floor.enter(following)
        self.matcher.is_halted = False
        # The first account last: a process that dies in between does all of this again.
        for exchange in reversed(self._accounts()):
            exchange.begin_day(ended, following)

    def begin_day(self, ended: MarketDay, following: MarketDay) -> None:
        """Carry the account from one session into the next; nothing to do when it is there already."""
        if self.ledger.day == following.session.day.isoformat():
            return
        cash, carried = settle(self.ledger.opening_cash, self.ledger.positions.values(), ended, following)
        opened = following.session
        record = self.ledger.day_record(opened.day.isoformat(), opened.opens, cash, carried)
        venue = self.ledger.venue
        after_hours = self.desk.after_hours_orders()
        # One file per day is enough: earlier orders are no longer asked for, and counters are in the record.
        standing = self.ledger.standing.records(self.floor.now())
        self._book.compact([*([venue] if venue else []), *standing, record, *after_hours])
        self.ledger.apply(record)
        self.ledger.replay(after_hours)

    def _accounts(self) -> list[Exchange]:
        return [self, *self._members]

    def describe_now(self) -> str:
        """Return market time as ISO text with its offset."""
        return indian(self.floor.now()).isoformat()

    def _reserve(self) -> None:
        """Write how far market time may have come before it is written again."""
        self._clock_written = self._wall()
        record = ClockRecord(self._reserved())
        self.ledger.apply(record)
        self._book.append([record], durable=False)

    def _reserved(self) -> float:
        ahead = self.floor.now() + self.floor.clock.speed * _RESERVED_SECONDS
        return min(ahead, self.floor.day.session.closes)

    def _day_record(self, cash: float, carried: tuple[Carried, ...] = ()) -> DayRecord:
        day = self.floor.day.session.day.isoformat()
        return self.ledger.day_record(day, self.floor.now(), cash, carried)
