"""An engine's answers about volatility and history on a market desk, with a pen for what is stored."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np

from engine.analysis.market_analysis import MarketAnalysis
from engine.core.series import ChainMinute, StrikeColumns
from engine.core.views import ChainKey
from engine.settings import SeriesSettings, VolatilitySettings
from tests.unit.engine.market_desk import MarketDesk
from tests.unit.market.chain_kit import FORWARD, RATE, SPOT

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
IST = timezone(timedelta(hours=5, minutes=30))
OPEN = datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
"""09:15 in India."""


class Analysis:
    """The answers of a desk, and a pen for its history."""

    def __init__(self) -> None:
        self.desk = MarketDesk()
        self.market = self.desk.market
        self.series = self.desk.repositories.chain_series
        self.answers = MarketAnalysis(
            self.desk.day,
            self.desk.chains,
            self.series,
            rate=RATE,
            series_settings=SeriesSettings(),
            volatility_settings=VolatilitySettings(),
        )

    def go_live(self) -> None:
        """Watch and quote the nearest chain, the index and the futures."""
        self.desk.chains.watch(self.desk.key)
        self.market.quote_all()

    def quote_future(self, expiry: date, price: float, *, open_interest: int, close: float = 0.0) -> None:
        """Quote a NIFTY future."""
        token = self.market.instruments.future("NIFTY", expiry).token
        self.market.feed.full(
            token,
            bids=[(price - 0.5, 65)],
            asks=[(price + 0.5, 65)],
            last=price,
            open_interest=open_interest,
            close=close,
        )

    async def store(
        self,
        at: datetime,
        *,
        key: ChainKey | None = None,
        forward: float = FORWARD,
        volatility: float | None = 0.13,
        call: float = 120.0,
        put: float = 110.0,
        volume: float = 0.0,
    ) -> None:
        """Keep one minute with the strike 24,000."""
        ones = np.ones(1)
        strikes = StrikeColumns(
            strike=24_000.0 * ones,
            call_price=call * ones,
            put_price=put * ones,
            call_input=np.ones(1, np.uint8),
            put_input=np.ones(1, np.uint8),
            call_volatility=0.13 * ones,
            put_volatility=0.131 * ones,
            call_open_interest=6_500.0 * ones,
            put_open_interest=13_000.0 * ones,
            call_volume=volume * ones,
            put_volume=volume * ones,
        )
        row = ChainMinute(
            key=key or self.desk.key,
            minute=at,
            day=at.astimezone(IST).date(),
            spot=SPOT,
            forward=forward,
            atm_strike=24_000.0,
            atm_volatility=volatility,
            straddle=call + put,
            pcr_open_interest=2.0,
            pcr_volume=1.0,
            max_pain=24_000.0,
            call_open_interest=6_500.0,
            put_open_interest=13_000.0,
            contracts=2,
            strikes=strikes,
        )
        await self.series.save((row,))
