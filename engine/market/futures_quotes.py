"""The futures of one underlying off the board: prices, changes of the day, and the index they are measured against.

Invariant: a figure of a future that is not on the board, was never heard of or whose path is suspect is NaN; the index
counts only while the exchange moves it.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Final, NamedTuple

import numpy as np

from engine.core.views import Codes, Floats, Integers
from engine.core.vocabulary import QuoteState
from engine.market.chain_changes import OpenInterestBaseline, OpenInterestChange
from engine.market.chain_inputs import is_trusted, read_quotes
from engine.market.instrument_index import InstrumentIndex
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import Staleness

_PERCENT: Final = 100.0
_NO_TOKEN: Final = 0


class FuturesQuotes(NamedTuple):
    """Futures at one moment, nearest expiry first; arrays of shape (n,)."""

    expiries: tuple[date, ...]
    price: Floats
    """The mid, else a recent last trade."""
    price_change: Floats
    """Last against the previous close, percent."""
    open_interest: Floats
    """Units."""
    open_interest_change: Floats
    """Percent against the day's first reading."""
    state: Codes
    """``QuoteState``."""
    spot: float
    """The index while it moves, else NaN."""


class FuturesModel:
    """The futures of an underlying.

    Args:
        underlying: as the index of instruments spells it.
        index: the day's instruments.
        board: where quotes arrive.
        states: the judge of quotes.
        baseline: first open interest of the day.
        last_recent_s: a last trade not older than this may stand in for a missing mid, seconds.
    """

    def __init__(
        self,
        underlying: str,
        *,
        index: InstrumentIndex,
        board: QuotesBoard,
        states: Staleness,
        baseline: OpenInterestBaseline,
        last_recent_s: float,
    ) -> None:
        futures = [item.future for item in index.all_contracts(underlying) if item.future is not None]
        row = index.index_instrument(underlying)
        self._board = board
        self._states = states
        self._last_recent_s = last_recent_s
        self._expiries = tuple(future.expiry for future in futures if future.expiry is not None)
        self._tokens: Integers = np.array([future.token for future in futures], np.int64)
        self._index_token = row.token if row is not None else _NO_TOKEN
        self._interest = OpenInterestChange(self._tokens, baseline)

    @property
    def tokens(self) -> tuple[int, ...]:
        """What must be on the board for it, beside the index: the futures."""
        return tuple(self._tokens.tolist())

    def read(self, day: date, now_ns: int) -> FuturesQuotes:
        """The futures now.

        Args:
            day: trading date, for the change of open interest.
            now_ns: of the monotonic clock.
        """
        count = self._tokens.size
        slots = self._board.slots_of((*self._tokens.tolist(), self._index_token))
        quotes = read_quotes(self._board, self._states, slots, now_ns)
        trusted = is_trusted(quotes.state)
        with np.errstate(all="ignore"):
            mid = np.where(trusted & (quotes.bid < quotes.ask), 0.5 * (quotes.bid + quotes.ask), np.nan)
            newest = float(np.fmax.reduce(quotes.exchange_time, initial=0.0))
            recent = trusted & (quotes.trade_time > 0) & (newest - quotes.trade_time <= self._last_recent_s)
            price = np.where(np.isnan(mid) & recent, quotes.last, mid)
            change = np.where(trusted, _PERCENT * (quotes.last / quotes.previous_close - 1.0), np.nan)
        interest = self._interest.percent(day, quotes.open_interest[:count], quotes.sequence[:count])
        moving = quotes.state[count] == QuoteState.LIVE
        return FuturesQuotes(
            expiries=self._expiries,
            price=price[:count],
            price_change=change[:count],
            open_interest=np.where(trusted, quotes.open_interest, np.nan)[:count],
            open_interest_change=np.where(trusted[:count], interest, np.nan),
            state=quotes.state[:count],
            spot=float(quotes.last[count]) if moving else math.nan,
        )
