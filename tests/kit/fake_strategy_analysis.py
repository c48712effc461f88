"""Payoff, scenario, attribution and candles of the fake engine's strategies, from its own legs and made-up prices.

The formulas are those of the made-up market: an option is worth its intrinsic value plus a bump around the money that
shrinks with the root of time and grows with volatility. A test can repeat each figure from the legs alone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np

from engine.core.analysis import AttributionView, PayoffView, PositionSensitivities, ScenarioView
from engine.core.errors import InvalidInput, UnknownStrategy, WorkstationError
from engine.core.identifiers import StrategyNumber
from engine.core.strategies import Leg, M2mCandle
from engine.core.views import Floats
from engine.core.vocabulary import InstrumentKind, QuoteState
from tests.kit.fake_checks import CHARGE
from tests.kit.fake_market import FakeChain
from tests.kit.fake_state import FakeEngineState

BUMP = 155.0
BUMP_VOLATILITY = 0.122
"""At this volatility the bump is as high as the market's."""
EXPIRY_HOUR = 10
"""UTC."""
SECONDS_PER_DAY = 86_400.0
AXIS_HALF = 0.03
"""Of the forward, to each side."""
SIGMA = 320.0
"""Of the bell that probabilities are taken from, index points."""
MOVES = (-0.02, -0.01, 0.0, 0.01, 0.02)
SHIFTS = (0.02, 0.0, -0.02)
OPENED_MINUTES_AGO = 102
GAP_MINUTES_AGO = range(41, 47)
"""Minutes in which nothing was sampled."""
SHARES = {"delta": "-0.31", "gamma": "-0.04", "theta": "0.52", "vega": "0.71", "vanna": "0.015", "vomma": "-0.02"}
"""Of the total; the rest is what no Greek explains."""


class Priced(msgspec.Struct, frozen=True):
    """A leg with what its formula needs."""

    leg: Leg
    chain: FakeChain
    row: int
    kind: InstrumentKind
    days: float

    @property
    def units(self) -> int:
        """Signed."""
        return self.leg.holding.signed_quantity

    @property
    def strike(self) -> float:
        """Index points."""
        return float(self.chain.strikes[self.row])

    def value(self, forwards: Floats, days_ahead: float, shift: float) -> Floats:
        """Of one unit, when the forward of its own expiry is there."""
        away = self.strike - forwards
        left = max(0.0, self.days - days_ahead) / self.days
        height = BUMP * math.sqrt(left) * max(0.0, 1.0 + shift / BUMP_VOLATILITY)
        bump = height * np.exp(-((away / self.chain.underlying.width) ** 2) / 2)
        intrinsic = np.maximum(-away if self.kind is InstrumentKind.CALL else away, 0.0)
        return np.asarray(intrinsic + bump, dtype=np.float64)


class FakeStrategyAnalysis(FakeEngineState):
    """The analysis half of the fake engine. ``analysis_trouble`` makes every answer an error with these words;
    ``analysis_gate`` makes every answer wait for the event.
    """

    analysis_trouble = ""
    analysis_gate: asyncio.Event | None = None
    analysis_asked: int = 0
    analysis_abandoned: int = 0
    """Questions whose asker left while they waited."""

    async def payoff(
        self, strategy: StrategyNumber, *, days_ahead: float = 0.0, volatility_shift: float = 0.0, points: int = 161
    ) -> PayoffView:
        legs = await self._analysed(strategy)
        if not legs:
            return self._no_payoff(strategy, "nothing is open", points)
        first = min(legs, key=lambda leg: leg.days)
        if not 0.0 <= days_ahead <= first.days:
            raise InvalidInput(f"days_ahead is 0 to {first.days:.2f}, this is {days_ahead:.2f}.", field="days_ahead")
        if unknown := self._unknown(legs):
            return self._no_payoff(strategy, unknown, points)
        forward = first.chain.forward
        prices = np.linspace(forward * (1 - AXIS_HALF), forward * (1 + AXIS_HALF), points)
        charges = CHARGE * (len(self.legs[int(strategy)]) + len(legs))
        at_expiry = self._profit(strategy, legs, prices, first.days, 0.0) - float(charges)
        chance = np.exp(-(((prices - forward) / SIGMA) ** 2) / 2)
        chance /= chance.sum()
        calls = sum(leg.units for leg in legs if leg.kind is InstrumentKind.CALL)
        puts = sum(leg.units for leg in legs if leg.kind is InstrumentKind.PUT)
        profit_unlimited, loss_unlimited = calls > 0 or puts > 0, calls < 0 or puts < 0
        best, worst = float(at_expiry.max()), float(at_expiry.min())
        bounded = not profit_unlimited and not loss_unlimited and worst < 0 < best
        return PayoffView(
            strategy=strategy,
            at=self.clock.market_now(),
            underlying=first.chain.key.underlying,
            expiry=first.chain.key.expiry,
            forward=forward,
            prices=prices,
            at_expiry=at_expiry,
            now=self._profit(strategy, legs, prices, days_ahead, volatility_shift) - float(charges),
            days_ahead=days_ahead,
            volatility_shift=volatility_shift,
            break_evens=_crossings(prices, at_expiry),
            max_profit=None if profit_unlimited else best,
            max_loss=None if loss_unlimited else worst,
            profit_unlimited=profit_unlimited,
            loss_unlimited=loss_unlimited,
            reward_to_risk=-best / worst if bounded else None,
            probability_of_profit=float(chance[at_expiry > 0].sum()),
            expected_value=float(chance @ at_expiry),
            distribution="smile",
            sensitivities=self._sensitivities(legs),
            charges=charges,
        )

    async def scenario(
        self,
        strategy: StrategyNumber,
        *,
        days_ahead: float = 0.0,
        moves: Sequence[float] = (),
        shifts: Sequence[float] = (),
    ) -> ScenarioView:
        legs = await self._analysed(strategy)
        columns = np.array(moves or MOVES, dtype=np.float64)
        rows = np.array(shifts or SHIFTS, dtype=np.float64)
        forward = min(legs, key=lambda leg: leg.days).chain.forward if legs else None
        unknown = self._unknown(legs)
        profit, delta = [], []
        for shift in rows.tolist():
            if forward is None or unknown:
                profit.append(np.full(len(columns), np.nan))
                delta.append(np.full(len(columns), np.nan))
                continue
            at = forward * (1 + columns)
            start = self._worth(legs, np.array([forward]), 0.0, 0.0)[0]
            profit.append(self._worth(legs, at, days_ahead, shift) - start)
            up, down = (self._worth(legs, at + step, days_ahead, shift) for step in (0.5, -0.5))
            delta.append(up - down)
        return ScenarioView(
            strategy=strategy,
            at=self.clock.market_now(),
            days_ahead=days_ahead,
            forward=forward,
            moves=columns,
            shifts=rows,
            profit=tuple(profit),
            delta=tuple(delta),
            reason=unknown if legs else "nothing is open",
        )

    async def attribution(self, strategy: StrategyNumber) -> AttributionView:
        legs = await self._analysed(strategy)
        charges = -CHARGE * len(self.legs[int(strategy)])
        spread = -Decimal("0.05") * sum(abs(leg.units) for leg in legs)
        total = self._gross(strategy) + charges + spread
        parts = {name: (total * Decimal(share)).quantize(Decimal("0.01")) for name, share in SHARES.items()}
        rate = unexplained = Decimal(0)
        residual = total - sum(parts.values(), Decimal(0)) - rate - unexplained - spread - charges
        now = self.clock.market_now()
        return AttributionView(
            strategy=strategy,
            since=now - timedelta(minutes=OPENED_MINUTES_AGO),
            at=now,
            total=total,
            rate=rate,
            spread=spread,
            charges=charges,
            unexplained=unexplained,
            residual=residual,
            delta=parts["delta"],
            gamma=parts["gamma"],
            theta=parts["theta"],
            vega=parts["vega"],
            vanna=parts["vanna"],
            vomma=parts["vomma"],
        )

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        await self._analysed(strategy)
        gross = self._gross(strategy)
        minute = self.clock.market_now().replace(second=0, microsecond=0)
        found = []
        for ago in range(OPENED_MINUTES_AGO, -1, -1):
            at = minute - timedelta(minutes=ago)
            if ago in GAP_MINUTES_AGO or not start <= at < end:
                continue
            opened, closed = _path(gross, ago + 1), gross if ago == 0 else _path(gross, ago)
            away = abs(gross) * Decimal("0.02") * (1 + ago % 3)
            found.append(
                M2mCandle(
                    strategy=strategy,
                    minute=at,
                    open=opened,
                    high=max(opened, closed) + away,
                    low=min(opened, closed) - away,
                    close=closed,
                    samples=60,
                )
            )
        return tuple(found)

    # --- inside --------------------------------------------------------------------------------------------------

    async def _analysed(self, strategy: StrategyNumber) -> list[Priced]:
        """The open legs, once the gate is open."""
        self.analysis_asked += 1
        if self.analysis_gate is not None:
            try:
                await self.analysis_gate.wait()
            except asyncio.CancelledError:
                self.analysis_abandoned += 1
                raise
        if self.analysis_trouble:
            raise WorkstationError(self.analysis_trouble)
        if int(strategy) not in self.legs:
            raise UnknownStrategy(f"There is no strategy #{strategy}.", field="strategy")
        return [self._priced(leg) for leg in self.legs[int(strategy)] if leg.holding.signed_quantity]

    def _priced(self, leg: Leg) -> Priced:
        place = self._place_of(leg.token)
        assert place is not None
        key, row, kind = place
        day = key.expiry
        expires = datetime(day.year, day.month, day.day, EXPIRY_HOUR, tzinfo=UTC)
        days = (expires - self.clock.market_now()).total_seconds() / SECONDS_PER_DAY
        return Priced(leg, self.chains[key], row, kind, days)

    @staticmethod
    def _unknown(legs: list[Priced]) -> str:
        """Which legs have no price; empty when all have."""
        names = [
            f"{leg.leg.strategy}.{leg.leg.number}"
            for leg in legs
            if leg.chain.state_of(leg.row, leg.kind) is QuoteState.UNKNOWN
        ]
        return f"no price and no volatility: {', '.join(names)}" if names else ""

    def _gross(self, strategy: StrategyNumber) -> Decimal:
        """Realised and open money at the last prices; a leg without one is left out."""
        total = Decimal(0)
        for leg in self.legs[int(strategy)]:
            place = self._place_of(leg.token)
            last = self.chains[place[0]].quote(place[1], place[2], self.age_s).last if place is not None else None
            if last is not None:
                total += leg.holding.profit(last)
        return total

    def _profit(
        self, strategy: StrategyNumber, legs: list[Priced], prices: Floats, days_ahead: float, shift: float
    ) -> Floats:
        paid = sum(leg.units * float(leg.leg.holding.average_price) for leg in legs)
        realised = sum(float(leg.holding.realised) for leg in self.legs[int(strategy)])
        return self._worth(legs, prices, days_ahead, shift) - paid + realised

    def _worth(self, legs: list[Priced], prices: Floats, days_ahead: float, shift: float) -> Floats:
        reference = min(legs, key=lambda leg: leg.days).chain.forward
        total = np.zeros(len(prices))
        for leg in legs:
            total += leg.units * leg.value(prices * leg.chain.forward / reference, days_ahead, shift)
        return total

    def _sensitivities(self, legs: list[Priced]) -> PositionSensitivities:
        sums = dict.fromkeys(("delta", "gamma", "theta", "vega"), 0.0)
        for leg in legs:
            columns = leg.chain.columns(leg.kind, self.age_s, {}, {})
            for name in sums:
                sums[name] += leg.units * float(getattr(columns, name)[leg.row])
        return PositionSensitivities(**sums)

    def _no_payoff(self, strategy: StrategyNumber, reason: str, points: int) -> PayoffView:
        nothing = np.full(points, np.nan)
        return PayoffView(
            strategy=strategy,
            at=self.clock.market_now(),
            underlying="",
            expiry=None,
            forward=None,
            prices=nothing,
            at_expiry=nothing,
            now=nothing,
            days_ahead=0.0,
            volatility_shift=0.0,
            break_evens=(),
            max_profit=None,
            max_loss=None,
            profit_unlimited=False,
            loss_unlimited=False,
            reward_to_risk=None,
            probability_of_profit=None,
            expected_value=None,
            distribution="none",
            sensitivities=PositionSensitivities(),
            charges=None,
            reason=reason,
        )


def _path(gross: Decimal, minutes_ago: int) -> Decimal:
    """Where the money stood: it grew from nothing, in waves."""
    share = 1 - minutes_ago / (OPENED_MINUTES_AGO + 1)
    wave = 0.35 * math.sin(minutes_ago / 6.0) * (1 - share) - 0.25 * math.exp(-(((minutes_ago - 80) / 9) ** 2))
    return (gross * Decimal(repr(round(share + wave, 4)))).quantize(Decimal("0.01"))


def _crossings(prices: Floats, money: Floats) -> tuple[float, ...]:
    places = np.flatnonzero(np.diff(np.sign(money)) != 0)
    found = []
    for place in places.tolist():
        share = money[place] / (money[place] - money[place + 1])
        found.append(float(prices[place] + share * (prices[place + 1] - prices[place])))
    return tuple(found)
