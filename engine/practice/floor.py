"""The trading floor of one session: today's instruments, the quotes of this instant, and whether orders are taken."""

from __future__ import annotations

from dataclasses import fields, replace

from engine.practice.contracts import Contract
from engine.practice.market import MarketDay
from engine.practice.session_clock import MarketClock
from engine.practice.session_market import Quotes

INDEX_COLUMNS = tuple(field.name for field in fields(Quotes) if field.name.startswith("index_"))
"""What quotes say of indices."""


class Floor:
    """What order handling needs to know about the market now.

    Args:
        day: Today's session.
        clock: Market time.
    """

    def __init__(self, day: MarketDay, clock: MarketClock) -> None:
        self.day = day
        self.clock = clock
        # A process that was ended between two sessions comes back into a closed market.
        self.closed = self.now() >= day.session.closes
        self._halted_at: float | None = None
        self.quotes = day.market.at(self.now())

    @property
    def is_halted(self) -> bool:
        """True while derivatives are halted: their quotes stay as they were; indices and market time go on."""
        return self._halted_at is not None

    def halt(self, on: bool) -> None:
        """Halt derivatives from this instant, or let them go on as if they had gone on all the time."""
        self._halted_at = self.now() if on else None

    def present(self) -> Quotes:
        """Return the quotes of this instant; while there is a halt, the contracts' are those of its first instant."""
        now = self.day.market.at(self.now())
        if self._halted_at is None:
            return now
        indices = {name: getattr(now, name) for name in INDEX_COLUMNS}
        return replace(self.day.market.at(self._halted_at), moment=now.moment, **indices)

    def now(self) -> float:
        """Return market time, held within the session (epoch seconds)."""
        session = self.day.session
        return min(max(self.clock.now(), session.opens), session.closes)

    def enter(self, day: MarketDay) -> None:
        """Begin a session at its opening."""
        self.day, self.closed, self._halted_at = day, False, None
        self.clock.start_at(day.session.opens)
        self.quotes = day.market.at(day.session.opens)

    def leave(self) -> None:
        """End the session: quotes stay as they were at the close and time stands still."""
        self.closed = True
        self.clock.hold(self.day.session.closes)
        self.quotes = self.day.market.at(self.day.session.closes)

    def is_over(self, contract: Contract) -> bool:
        """Tell whether a contract has stopped trading for good."""
        session = self.day.session
        return contract.expiry is not None and (
            contract.expiry < session.day
            or (contract.expiry == session.day and self.now() >= min(session.expiring_closes, session.closes))
        )

    def row(self, token: int) -> int | None:
        """Return a contract's row in the quotes, or None when it has no price."""
        return self.day.universe.row_of.get(token)

    def contract(self, token: int) -> Contract:
        """Return a listed contract."""
        return self.day.universe.by_token[token]

    def last_price(self, token: int, otherwise: int) -> int:
        """Return a contract's last price in paise, or what it closed at when it has none now."""
        row = self.row(token)
        return int(self.quotes.last[row]) if row is not None else otherwise
