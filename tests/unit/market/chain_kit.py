"""A made-up NIFTY market on a real board: prices off one known smile."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import numpy as np

from engine.analytics.black import price
from engine.calendar.rules import read_rules, read_sessions
from engine.calendar.sessions import SessionCalendar, years_to_expiry
from engine.core.views import ChainKey, ChainView
from engine.market.chain import ChainBuilder, ChainModel
from engine.market.chain_changes import OpenInterestBaseline
from engine.market.chain_inputs import ChainSettings, ForwardChoice
from engine.market.instrument_index import InstrumentIndex
from tests.unit.market.feed_kit import Feed
from tests.unit.market.market_kit import W0, desk_dump

MORNING = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)
FORWARD = 24_012.5
SPOT = 23_990.0
RATE = 0.065
TICK = 0.05
NIFTY_INDEX = 256_265
RECENT_S = 60.0
LOT = 65


def smile(strike: float) -> float:
    """The volatility of a strike: a put skew around 13 %."""
    moneyness = strike / FORWARD - 1
    return 0.13 - 0.4 * moneyness + 2.0 * moneyness**2


class Market:
    """One chain with its board, its builder, and a pen to write quotes with."""

    def __init__(
        self,
        expiry: date = W0,
        now: datetime = MORNING,
        *,
        forward: ForwardChoice = ForwardChoice.PARITY,
        underlying: str = "NIFTY",
    ) -> None:
        self.instruments = InstrumentIndex(desk_dump().rows, read_rules())
        self.calendar = SessionCalendar(read_sessions())
        self.feed = Feed((), now)
        self.baseline = OpenInterestBaseline()
        self.builder = ChainBuilder(
            index=self.instruments,
            board=self.feed.board,
            states=self.feed.states,
            calendar=self.calendar,
            settings=ChainSettings(rate=RATE, last_recent_s=RECENT_S, forward=forward),
            baseline=self.baseline,
        )
        self.key = ChainKey(underlying, expiry)
        self.model: ChainModel = self.builder.build(self.key)
        self.feed.board.add(self.model.tokens)
        self.contracts = self.instruments.contracts(underlying, expiry)

    @property
    def years(self) -> float:
        """Time to expiry now."""
        return years_to_expiry(self.feed.market, self.model.expiry_instant).years

    def view(self, since: int = 0) -> ChainView:
        """The chain now."""
        return self.model.refresh(self.feed.market, self.feed.monotonic, since)

    def token(self, strike: int, side: str) -> int:
        """The token of a call (``CE``) or put (``PE``)."""
        return next(
            row.token
            for row in (*self.contracts.calls.values(), *self.contracts.puts.values())
            if row.strike == strike and row.kind.value == side
        )

    def fair(self, strike: float, side: str) -> float:
        """The price off the smile."""
        return float(price(FORWARD, strike, self.years, RATE, smile(strike), is_call=side == "CE"))

    def quote(
        self,
        strike: int,
        side: str,
        *,
        middle: float | None = None,
        open_interest: int = 6_500,
        volume: int = 650,
        close: float = 0.0,
    ) -> None:
        """A two-sided quote of one tick each side of the price, on the tick."""
        value = self.fair(strike, side) if middle is None else middle
        centre = max(round(value / TICK), 2) * TICK
        self.feed.full(
            self.token(strike, side),
            bids=[(centre - TICK, LOT)],
            asks=[(centre + TICK, LOT)],
            last=centre,
            volume=volume,
            open_interest=open_interest,
            close=close,
        )

    def quote_all(self, interest: Mapping[tuple[int, str], int] | None = None) -> None:
        """The index and every contract."""
        self.feed.index(NIFTY_INDEX, SPOT)
        known = interest or {}
        for side, contracts in (("CE", self.contracts.calls), ("PE", self.contracts.puts)):
            for strike in contracts:
                self.quote(int(strike), side, open_interest=known.get((int(strike), side), 6_500))


def row_of(view: ChainView, strike: float) -> int:
    """The row of a strike."""
    (row,) = np.flatnonzero(view.strikes == strike)
    return int(row)
