"""What the exchange asks of a market, whatever feeds it: made up from a seed, played from a tape, or relayed.

Invariant: prices are integers of paise and instants epoch seconds, as everywhere in this package; rows are those of
the day's table of priced contracts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from engine.practice.calendar_facts import Session
from engine.practice.noise import FloatArray, IntArray
from engine.practice.session_market import Quotes
from engine.practice.settings import MarketSettings
from engine.practice.universe import PricedTable

if TYPE_CHECKING:
    from engine.practice.market import MarketDay


class DayMarket(Protocol):
    """The quotes of one session."""

    session: Session
    table: PricedTable
    previous_close: float
    """When the session before this one closed (epoch seconds)."""

    @property
    def close(self) -> IntArray:
        """Each contract's previous close (paise), 0 when unknown."""
        ...

    def at(self, moment: float) -> Quotes:
        """Every quote at an instant; a market that is fed by frames knows only its newest."""
        ...

    def settlement(self, underlying: int) -> int:
        """The index level (paise) at which contracts of the day settle."""
        ...

    def spots(self, moment: float) -> FloatArray:
        """Index levels (points), one per underlying."""
        ...

    def volatilities(self, moment: float) -> FloatArray:
        """Each contract's annual volatility."""
        ...

    def forwards(self, moment: float) -> FloatArray:
        """Each contract's forward (index points)."""
        ...


class MarketSource(Protocol):
    """A market, session after session."""

    settings: MarketSettings
    names: list[str]
    """Underlyings, in the order of the quotes' index columns."""

    @property
    def source(self) -> str:
        """What the market is made from, in a word or two."""
        ...

    @property
    def first_session(self) -> Session:
        """The session the market begins with."""
        ...

    def index_tokens(self) -> Sequence[int]:
        """Tokens of the quotes' index columns, in their order; a column without a quote has a token of nobody."""
        ...

    def told_at(self, row: int | None, column: int | None) -> int:
        """When the feed told the newest quote of a row or index column (epoch seconds); 0 when it is as of now."""
        ...

    def session_at(self, moment: float) -> Session:
        """The session that an instant belongs to."""
        ...

    def session_after(self, session: Session) -> Session:
        """The next session."""
        ...

    def day(self, session: Session) -> MarketDay:
        """The instruments and quotes of a session."""
        ...
