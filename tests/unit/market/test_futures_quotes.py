"""The futures of an underlying off the board: prices, changes, and what is unknown."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import numpy as np
import pytest

from engine.calendar.rules import read_rules
from engine.core.vocabulary import QuoteState
from engine.market.chain_changes import OpenInterestBaseline
from engine.market.futures_quotes import FuturesModel, FuturesQuotes
from engine.market.instrument_index import InstrumentIndex
from tests.unit.market.feed_kit import Feed
from tests.unit.market.market_kit import M0, M1, desk_dump

MORNING = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)
DAY = date(2026, 11, 23)
NIFTY_INDEX = 256_265
SPOT = 24_000.0
RECENT_S = 60.0


class Futures:
    """Both NIFTY futures on a board."""

    def __init__(self) -> None:
        index = InstrumentIndex(desk_dump().rows, read_rules())
        self.feed = Feed((), MORNING)
        self.model = FuturesModel(
            "NIFTY",
            index=index,
            board=self.feed.board,
            states=self.feed.states,
            baseline=OpenInterestBaseline(),
            last_recent_s=RECENT_S,
        )
        self.feed.board.add((*self.model.tokens, NIFTY_INDEX))

    def quote(self, place: int, price: float, *, open_interest: int = 65_000, close: float = 0.0) -> None:
        """A quote of one point around a price."""
        bids, asks = [(price - 0.5, 65)], [(price + 0.5, 65)]
        token = self.model.tokens[place]
        self.feed.full(token, bids=bids, asks=asks, last=price, open_interest=open_interest, close=close)

    def read(self) -> FuturesQuotes:
        """The futures now."""
        return self.model.read(DAY, self.feed.now_ns)


def test_futures_stand_by_expiry_with_their_changes() -> None:
    """Mids, changes against close and morning, and the moving index."""
    futures = Futures()
    futures.feed.index(NIFTY_INDEX, SPOT)
    futures.quote(0, 24_100.0, close=24_000.0)
    futures.quote(1, 24_200.0)
    assert np.isnan(futures.read().open_interest_change).all()
    futures.quote(0, 24_120.0, open_interest=71_500, close=24_000.0)
    found = futures.read()
    assert found.expiries == (M0, M1)
    assert found.price.tolist() == [24_120.0, 24_200.0]
    assert found.price_change[0] == pytest.approx(0.5)
    assert math.isnan(found.price_change[1])
    assert found.open_interest_change[0] == pytest.approx(10.0)
    assert found.spot == SPOT


def test_what_is_not_heard_or_suspect_is_unknown() -> None:
    """A future without a packet is NaN; after silence all of them are, and a frozen index is no spot."""
    futures = Futures()
    futures.quote(0, 24_100.0)
    found = futures.read()
    assert math.isnan(found.price[1])
    assert math.isnan(found.open_interest[1])
    assert math.isnan(found.spot)
    futures.feed.index(NIFTY_INDEX, SPOT)
    futures.feed.states.set_frozen([NIFTY_INDEX])
    assert math.isnan(futures.read().spot)
    futures.feed.pass_time(10.0, heartbeat=False)
    found = futures.read()
    assert found.state[0] == QuoteState.STALE
    assert np.isnan(found.price).all()
    assert np.isnan(found.open_interest).all()


@pytest.mark.parametrize(("ago_s", "expected"), [(10.0, 24_100.0), (90.0, math.nan)])
def test_a_recent_trade_stands_in_for_the_mid(ago_s: float, expected: float) -> None:
    """With one side only the last trade is the price, if it is recent."""
    futures = Futures()
    futures.feed.full(futures.model.tokens[0], bids=[(24_090.0, 65)], last=24_100.0, traded_ago_s=ago_s)
    assert futures.read().price[0] == pytest.approx(expected, nan_ok=True)
