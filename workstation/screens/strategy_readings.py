"""What the Strategy screen asks of the engine, once a second at most, and only what is in sight.

An answer stays until its successor is there: it says itself which day and which volatility it was given for. An answer
about another strategy is never shown.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from engine.core.analysis import AttributionView, PayoffView, ScenarioView
from engine.core.identifiers import StrategyNumber
from engine.core.strategies import M2mCandle
from workstation.formatting import india
from workstation.presenters.m2m_chart import MINUTE
from workstation.presenters.seen import Seen
from workstation.screens.context import DeskContext, Run
from workstation.screens.reading import Reading

REFRESH_S = 1.0
OVERLAP = 2 * MINUTE
"""Minutes asked for again: the last ones seen were still running."""


class PayoffQuestion(msgspec.Struct, frozen=True):
    """Which payoff."""

    strategy: StrategyNumber
    days_ahead: float
    volatility_shift: float


class ScenarioQuestion(msgspec.Struct, frozen=True):
    """Which grid."""

    strategy: StrategyNumber
    days_ahead: float
    moves: tuple[float, ...]
    shifts: tuple[float, ...]


class StrategyReadings:
    """Payoff, scenario, attribution and candles of one strategy at a time."""

    def __init__(self, context: DeskContext, run: Run) -> None:
        """``run`` runs a question in the background of the screen: what it asks ends with it."""
        self._context = context
        clock = context.clock
        self._payoff: Reading[PayoffQuestion, PayoffView] = Reading(
            "strategy payoff", self._ask_payoff, run, clock, every_s=REFRESH_S
        )
        self._scenario: Reading[ScenarioQuestion, ScenarioView] = Reading(
            "strategy scenario", self._ask_scenario, run, clock, every_s=REFRESH_S
        )
        self._attribution: Reading[StrategyNumber, AttributionView] = Reading(
            "strategy attribution", context.engine.attribution, run, clock, every_s=REFRESH_S
        )
        self._candles: Reading[StrategyNumber, tuple[M2mCandle, ...]] = Reading(
            "strategy candles", self._ask_candles, run, clock, every_s=REFRESH_S
        )
        self._last_payoff: PayoffView | None = None
        self._last_scenario: ScenarioView | None = None
        self._minutes: dict[datetime, M2mCandle] = {}
        self._minutes_of: tuple[StrategyNumber, datetime] | None = None

    def payoff(self, question: PayoffQuestion) -> Seen[PayoffView]:
        """Ask, and what is known now."""
        self._payoff.want(question)
        seen = self._payoff.seen(question)
        last = self._last_payoff = seen.value or self._last_payoff
        if seen.value is not None or last is None or last.strategy != question.strategy:
            return seen
        return Seen(value=last, age_s=self._age(last.at), trouble=seen.trouble)

    def scenario(self, question: ScenarioQuestion) -> Seen[ScenarioView]:
        """Ask, and what is known now."""
        self._scenario.want(question)
        seen = self._scenario.seen(question)
        last = self._last_scenario = seen.value or self._last_scenario
        if seen.value is not None or last is None or last.strategy != question.strategy:
            return seen
        return Seen(value=last, age_s=self._age(last.at), trouble=seen.trouble)

    def attribution(self, strategy: StrategyNumber) -> Seen[AttributionView]:
        """Ask, and what is known now."""
        self._attribution.want(strategy)
        return self._attribution.seen(strategy)

    def candles(self, strategy: StrategyNumber) -> Seen[tuple[M2mCandle, ...]]:
        """Ask, and what is known now."""
        self._candles.want(strategy)
        return self._candles.seen(strategy)

    def _age(self, moment: datetime) -> float:
        return max(0.0, (self._context.clock.market_now() - moment) / timedelta(seconds=1))

    async def _ask_payoff(self, question: PayoffQuestion) -> PayoffView:
        return await self._context.engine.payoff(
            question.strategy, days_ahead=question.days_ahead, volatility_shift=question.volatility_shift
        )

    async def _ask_scenario(self, question: ScenarioQuestion) -> ScenarioView:
        return await self._context.engine.scenario(
            question.strategy, days_ahead=question.days_ahead, moves=question.moves, shifts=question.shifts
        )

    async def _ask_candles(self, strategy: StrategyNumber) -> tuple[M2mCandle, ...]:
        """Today's minutes; once they are here, only the newest are asked for."""
        now = self._context.clock.market_now()
        midnight = india(now).replace(hour=0, minute=0, second=0, microsecond=0)
        if self._minutes_of != (strategy, midnight):
            self._minutes_of, self._minutes = (strategy, midnight), {}
        seen = self._minutes
        start = max(seen) - OVERLAP if seen else midnight
        for candle in await self._context.engine.candles(strategy, start, now + MINUTE):
            seen[candle.minute] = candle
        return tuple(seen[minute] for minute in sorted(seen))
