"""The analysis services of an engine, made and joined: each account's strategies, volatility, and the minutes kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from engine.analysis.market_analysis import MarketAnalysis
from engine.analysis.series_service import SeriesService
from engine.analysis.strategy_analysis import StrategyAnalysis
from engine.analysis.strategy_legs import LegReader
from engine.board_marks import BoardMarks
from engine.chain_desk import ChainDesk
from engine.core.instruments import Instrument
from engine.market_day import MarketDay
from engine.parts import EngineParts
from engine.portfolio.service import PortfolioService


class DeskAnalysis:
    """What looks at a running desk and changes nothing of it.

    Args:
        parts: What the engine is made of.
        day: The exchange's day.
        chains: The chains that are watched or held.
        may_write: Whether this engine writes what belongs to no account.
        declare: Says a degraded service and why; an empty reason says that it is well.
    """

    def __init__(
        self,
        parts: EngineParts,
        day: MarketDay,
        chains: ChainDesk,
        *,
        may_write: Callable[[], bool],
        declare: Callable[[str, str], None],
    ) -> None:
        def ends_at(instrument: Instrument, expiry: date) -> datetime:
            return day.calendar.expiry_instant(expiry, is_index=day.rules.is_index(instrument.name))

        self._parts = parts
        self._day = day
        self._chains = chains
        self._reader = LegReader(
            instrument_of=day.instrument,
            ends_at=ends_at,
            chain=chains.view,
            marks=BoardMarks(day, chains),
            clock=parts.clock,
            smile_of=chains.smile,
        )
        self.market = MarketAnalysis(
            day,
            chains,
            parts.repositories.chain_series,
            rate=parts.chain.rate,
            series_settings=parts.settings.series,
            volatility_settings=parts.settings.volatility,
        )
        self.series = SeriesService(
            chains.pictures,
            parts.repositories.chain_series,
            clock=parts.clock,
            day_of=day.calendar.day_of,
            speed=lambda: day.reading.speed,
            may_write=may_write,
            declare=declare,
            settings=parts.settings.series,
        )

    def of_strategies(self, portfolio: Callable[[], PortfolioService | None]) -> StrategyAnalysis:
        """The pictures of one account's strategies; ``portfolio`` gives ``None`` while they are not loaded."""
        return StrategyAnalysis(
            self._reader,
            portfolio=portfolio,
            clock=self._parts.clock,
            rate=self._parts.chain.rate,
            day_of=self._day.calendar.day_of,
            smile_of=self._chains.smile,
        )
