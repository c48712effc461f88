"""What a strategy may make, how it stands under other markets, and why its money moved.

Inputs are read on the engine's loop; what takes time is computed in a thread, one picture at a time, so that analysis
never holds back quotes or orders and never takes more than one core.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from typing import Final, TypeVar

import numpy as np

from engine.analysis.strategy_attribution import StrategyAttribution
from engine.analysis.strategy_legs import LegReader
from engine.analysis.strategy_pictures import payoff_view, scenario_view
from engine.analysis.strategy_snapshot import StrategySnapshot, snapshot
from engine.analytics.arrays import FloatArray
from engine.analytics.smile import Smile
from engine.core.analysis import POINTS_MAX, AttributionView, PayoffView, ScenarioView
from engine.core.errors import InvalidInput, UnknownStrategy
from engine.core.identifiers import StrategyNumber
from engine.core.ledger import LedgerEntry
from engine.core.ports import Clock
from engine.core.views import ChainKey
from engine.portfolio.service import PortfolioService

POINTS_MIN: Final = 2
SHIFT_MAX: Final = 1.0
"""Largest shift of volatility either way: 100 points."""
MOVE_MIN: Final = -0.9
MOVE_MAX: Final = 2.0
"""Relative moves of the forward."""
DEFAULT_MOVE: Final = 0.05
DEFAULT_MOVES: Final = 21
DEFAULT_SHIFT: Final = 0.05
DEFAULT_SHIFTS: Final = 11
DAYS_AHEAD_MAX: Final = 3650.0
"""Where nothing that is held expires."""

View = TypeVar("View")


class StrategyAnalysis:
    """Pictures of the strategies of one engine.

    Args:
        reader: the market's inputs of legs.
        portfolio: the strategies; ``None`` while they are not loaded.
        clock: market time and waits.
        rate: continuously compounded, 0.065 is 6.5 %.
        day_of: the exchange's date of a moment.
        smile_of: the last fit of a chain, if there is one.
    """

    def __init__(
        self,
        reader: LegReader,
        *,
        portfolio: Callable[[], PortfolioService | None],
        clock: Clock,
        rate: float,
        day_of: Callable[[datetime], date],
        smile_of: Callable[[ChainKey], Smile | None],
    ) -> None:
        self._reader = reader
        self._portfolio = portfolio
        self._rate = rate
        self._smile_of = smile_of
        self._attribution = StrategyAttribution(reader, portfolio=portfolio, clock=clock, rate=rate, day_of=day_of)
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Watch why money moves, until cancelled."""
        await self._attribution.run()

    def on_entries(self, entries: Sequence[LedgerEntry]) -> None:
        """Entries that the book has just taken in."""
        self._attribution.on_entries(entries)

    async def payoff(
        self, strategy: StrategyNumber, *, days_ahead: float = 0.0, volatility_shift: float = 0.0, points: int = 161
    ) -> PayoffView:
        """See ``EngineClient``."""
        if not POINTS_MIN <= points <= POINTS_MAX:
            raise InvalidInput(f"points is {points}; it must be {POINTS_MIN} to {POINTS_MAX}.", field="points")
        _check_range("volatility_shift", volatility_shift, -SHIFT_MAX, SHIFT_MAX)
        one = self._snapshot(strategy, days_ahead)
        return await self._computed(
            partial(payoff_view, one, days_ahead=days_ahead, volatility_shift=volatility_shift, points=points)
        )

    async def scenario(
        self,
        strategy: StrategyNumber,
        *,
        days_ahead: float = 0.0,
        moves: Sequence[float] = (),
        shifts: Sequence[float] = (),
    ) -> ScenarioView:
        """See ``EngineClient``."""
        columns = _axis("moves", moves, MOVE_MIN, MOVE_MAX, default=(DEFAULT_MOVE, DEFAULT_MOVES))
        rows = _axis("shifts", shifts, -SHIFT_MAX, SHIFT_MAX, default=(DEFAULT_SHIFT, DEFAULT_SHIFTS))
        one = self._snapshot(strategy, days_ahead)
        return await self._computed(partial(scenario_view, one, days_ahead=days_ahead, moves=columns, shifts=rows))

    def restart(self) -> None:
        """Market time has gone back: what moved since is forgotten."""
        self._attribution.restart()

    async def attribution(self, strategy: StrategyNumber) -> AttributionView:
        """See ``EngineClient``."""
        return self._attribution.report(self._loaded(strategy), strategy)

    def _loaded(self, strategy: StrategyNumber) -> PortfolioService:
        portfolio = self._portfolio()
        if portfolio is None:
            raise UnknownStrategy(f"There is no strategy {strategy}: none are loaded.", field="strategy")
        return portfolio

    def _snapshot(self, strategy: StrategyNumber, days_ahead: float) -> StrategySnapshot:
        value = self._loaded(strategy).value(strategy)
        one = snapshot(value, self._reader, rate=self._rate, smile_of=self._smile_of)
        most = min(one.days_left, DAYS_AHEAD_MAX)
        words = ", the calendar days to its nearest expiry" if math.isfinite(one.days_left) else ""
        _check_range("days_ahead", days_ahead, 0.0, most, words)
        return one

    async def _computed(self, work: Callable[[], View]) -> View:
        async with self._one_at_a_time:
            return await asyncio.to_thread(work)


def _check_range(field: str, value: float, least: float, most: float, words: str = "") -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise InvalidInput(f"{field} is {value:g}; it must be {least:g} to {most:g}{words}.", field=field)


def _axis(field: str, values: Sequence[float], least: float, most: float, *, default: tuple[float, int]) -> FloatArray:
    if not len(values):
        reach, count = default
        return np.linspace(-reach, reach, count)
    if len(values) > POINTS_MAX:
        raise InvalidInput(f"{field} has {len(values)} values; it must have 1 to {POINTS_MAX}, or none.", field=field)
    for value in values:
        _check_range(field, value, least, most)
    return np.array(values, dtype=np.float64)
