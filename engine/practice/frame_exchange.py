"""The exchange on a market that frames drive: time comes from the frames, and orders meet the newest quotes.

Invariant: nothing is filled against quotes that are not there or whose feed is silent; market time is never set by a
trader.
"""

from __future__ import annotations

from typing import Any

from engine.practice.calendar_facts import indian
from engine.practice.exchange import Exchange
from engine.practice.floor import Floor
from engine.practice.frame_market import FrameMarket
from engine.practice.market import MarketDay
from engine.practice.session_clock import MarketClock
from engine.practice.wire import KiteError, input_error


class FrameFloor(Floor):
    """The floor of a session whose quotes frames bring.

    Args:
        market: What the frames feed.
        clock: Market time.
    """

    def __init__(self, market: FrameMarket, clock: MarketClock) -> None:
        self._market = market
        super().__init__(market.day(market.frames.session), clock)
        self.look()

    def now(self) -> float:
        """Return market time, also outside the session (epoch seconds)."""
        return self.clock.now()

    def look(self) -> None:
        """See whether the session is open at this instant."""
        self.closed = not self.day.session.opens <= self.now() < self.day.session.closes

    def enter(self, day: MarketDay) -> None:
        """Begin a session; market time is what it is."""
        self._market.enter(day)
        self.day, self.quotes = day, day.market.at(self.now())
        self.look()

    def leave(self) -> None:
        """End the session; market time and quotes go on."""
        self.closed = True

    def row(self, token: int) -> int | None:
        """Return a contract's row, or None when it has no price that may be traded against now."""
        row = super().row(token)
        frames = self._market.frames
        if row is None or not self._market.is_fed or not frames.can_trade(row):
            return None
        frames.frame_quotes.touched.add(row)
        return row

    def last_price(self, token: int, otherwise: int) -> int:
        """Return a contract's newest price in paise, fed or not."""
        row = self.day.universe.row_of.get(token)
        return int(self.quotes.last[row]) if row is not None else otherwise


class FrameExchange(Exchange):
    """An exchange whose market is a ``FrameMarket``.

    Args:
        fixed_clock: Why market time cannot be set here, in words.
        parts: What any exchange is made of.
    """

    floor: FrameFloor
    market: FrameMarket

    def __init__(self, *, fixed_clock: str, **parts: Any) -> None:  # noqa: ANN401 - the parts of any exchange
        super().__init__(**parts)
        self._fixed_clock = fixed_clock
        self._has_ended = False

    def step(self) -> None:
        """Bring in the newest frames and let waiting orders meet them; the day ends for orders at its close."""
        self.floor.look()
        self.market.frames.refresh(self.floor.now())
        super().step()
        if self.session_is_over:
            if not self._has_ended:
                self._has_ended = True
                self.close_session()
        else:
            self._has_ended = False

    def look_again(self) -> None:
        """Take the quotes as they are after a jump of market time; no order meets what lies between."""
        self.floor.look()
        self.matcher.forget()
        self.references.forget()
        self.market.frames.refresh(self.floor.now())
        self.floor.quotes = self.market.frames.at(self.floor.now())
        self._has_ended = self.session_is_over

    def end(self) -> None:
        """Close the market because its feed has ended."""
        if not self._has_ended:
            self._has_ended = True
            self.close_session()

    @property
    def has_ended(self) -> bool:
        """True when the day has ended for orders."""
        return self._has_ended

    def held_tokens(self) -> list[int]:
        """Return the instruments that any account has a position in, each once."""
        books = [exchange.ledger for exchange in self._accounts()]
        return list(dict.fromkeys(row.token for book in books for row in book.positions.values()))

    def needed_tokens(self) -> list[int]:
        """Return the instruments that positions, open orders and triggers depend on, each once."""
        books = [exchange.ledger for exchange in self._accounts()]
        orders = [order.token for book in books for order in book.open_orders()]
        triggers = [trigger.token for book in books for trigger in book.standing.active_triggers()]
        return list(dict.fromkeys([*self.held_tokens(), *orders, *triggers]))

    def deed_after(self, moment: float) -> str | None:
        """Return in words what the book holds from after an instant that cannot be undone, or None."""
        for exchange in self._accounts():
            late = [trade.moment for trade in exchange.ledger.trades if trade.moment > moment]
            if late:
                return f"an order traded at {indian(min(late)):%H:%M:%S}"
            for order in exchange.ledger.open_orders():
                changed = max(order.placed_at, order.updated_at or order.placed_at)
                if changed > moment:
                    return f"an open order was placed or changed at {indian(changed):%H:%M:%S}"
        return None

    def set_speed(self, speed: float) -> None:
        """Refuse.

        Raises:
            KiteError: Always.
        """
        del speed
        raise self._refusal()

    def advance(self, seconds: float) -> None:
        """Refuse.

        Raises:
            KiteError: Always.
        """
        del seconds
        raise self._refusal()

    def halt(self, on: bool) -> None:
        """Refuse: what stands still here is what the frames say.

        Raises:
            KiteError: Always.
        """
        del on
        raise self._refusal()

    def _refusal(self) -> KiteError:
        return input_error(self._fixed_clock)

    def _reserved(self) -> float:
        return self.floor.now()
