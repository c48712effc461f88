"""The analysis half of the small engine: one short call per strategy, valued at its intrinsic value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from engine.core.analysis import (
    AttributionView,
    ExpiryVolatility,
    PayoffView,
    PositionSensitivities,
    ScenarioView,
    SeriesView,
    SmileView,
    VolatilityView,
)
from engine.core.errors import InvalidInput, UnknownInstrument, UnknownStrategy
from engine.core.identifiers import StrategyNumber
from engine.core.views import ChainKey, Floats
from tests.kit.plain_pictures import EXPIRIES, LOT_SIZE, MARKET_TIME, STRIKES, UNDERLYING

FORWARD = 24_000.0
PREMIUM = 120.10
VOLATILITY = 0.14
KNOWN_INDICATORS = ("ema",)
DEFAULT_MOVES = (-0.01, 0.0, 0.01)
DEFAULT_SHIFTS = (0.0,)


def _floats(values: Sequence[float] | Floats) -> Floats:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


class PlainAnalysis:
    """Answers from closed forms that a test can repeat by hand."""

    analysed: frozenset[StrategyNumber] = frozenset({StrategyNumber(1)})

    async def payoff(
        self, strategy: StrategyNumber, *, days_ahead: float = 0.0, volatility_shift: float = 0.0, points: int = 161
    ) -> PayoffView:
        """See ``EngineClient``."""
        self._check(strategy)
        prices = np.linspace(FORWARD - 500, FORWARD + 500, points)
        money = LOT_SIZE * (PREMIUM - np.maximum(prices - STRIKES[0], 0.0))
        return PayoffView(
            strategy=strategy,
            at=MARKET_TIME,
            underlying=UNDERLYING,
            expiry=EXPIRIES[0],
            forward=FORWARD,
            prices=_floats(prices),
            at_expiry=_floats(money),
            now=_floats(np.full(points, np.nan)),
            days_ahead=days_ahead,
            volatility_shift=volatility_shift,
            break_evens=(float(STRIKES[0]) + PREMIUM,),
            max_profit=LOT_SIZE * PREMIUM,
            max_loss=None,
            profit_unlimited=False,
            loss_unlimited=True,
            reward_to_risk=None,
            probability_of_profit=None,
            expected_value=None,
            distribution="none",
            sensitivities=PositionSensitivities(delta=-33.5),
            charges=None,
            reason="This engine has no model.",
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
        self._check(strategy)
        columns, rows = _floats(moves or DEFAULT_MOVES), _floats(shifts or DEFAULT_SHIFTS)
        profit = tuple(_floats(-LOT_SIZE * FORWARD * columns) for _ in rows)
        return ScenarioView(
            strategy=strategy,
            at=MARKET_TIME,
            days_ahead=days_ahead,
            forward=FORWARD,
            moves=columns,
            shifts=rows,
            profit=profit,
            delta=tuple(_floats(np.full(columns.size, -float(LOT_SIZE))) for _ in rows),
        )

    async def attribution(self, strategy: StrategyNumber) -> AttributionView:
        """See ``EngineClient``."""
        self._check(strategy)
        nothing = Decimal(0)
        return AttributionView(
            strategy=strategy,
            since=MARKET_TIME - timedelta(hours=1),
            at=MARKET_TIME,
            total=Decimal("12.35"),
            delta=Decimal("10.30"),
            gamma=nothing,
            theta=Decimal("2.00"),
            vega=nothing,
            vanna=nothing,
            vomma=nothing,
            rate=nothing,
            spread=nothing,
            charges=nothing,
            unexplained=nothing,
            residual=Decimal("0.05"),
        )

    async def smile(self, key: ChainKey) -> SmileView:
        """See ``EngineClient``."""
        if key.underlying != UNDERLYING or key.expiry not in EXPIRIES:
            raise UnknownInstrument(f"There is no chain of {key.underlying} {key.expiry}.", field="key")
        strikes = _floats([float(strike) for strike in STRIKES])
        flat, unknown = _floats(np.full(strikes.size, VOLATILITY)), _floats(np.full(strikes.size, np.nan))
        return SmileView(
            key=key,
            at=MARKET_TIME,
            forward=FORWARD,
            atm_volatility=VOLATILITY,
            strikes=strikes,
            quoted=flat,
            nse=unknown,
            kite=flat,
            fitted=flat,
            theoretical=unknown,
            call_mispricing=unknown,
            put_mispricing=unknown,
            grade="none",
            rms_residual=None,
            risk_reversal=0.0,
            butterfly=0.0,
            reason="This engine fits nothing.",
        )

    async def volatility(self, underlying: str) -> VolatilityView:
        """See ``EngineClient``."""
        if underlying.upper() not in {UNDERLYING, "NIFTY 50"}:
            raise UnknownInstrument(f'"{underlying}" has no options today. Nearest: {UNDERLYING}.', field="underlying")
        terms = tuple(
            ExpiryVolatility(
                expiry=expiry, labels=("w0",), days=7.0, atm_volatility=VOLATILITY, forward_volatility=None
            )
            for expiry in EXPIRIES
        )
        return VolatilityView(
            underlying=UNDERLYING,
            at=MARKET_TIME,
            terms=terms,
            calendar_breaches=(),
            current=VOLATILITY,
            rank=None,
            percentile=None,
            days=0,
            realised=(),
            cone=(),
            spread=None,
            basis=None,
            basis_annual=None,
            build_up="",
            rollover=None,
            reason="No day is stored.",
        )

    async def series(
        self,
        key: ChainKey,
        start: datetime,
        end: datetime,
        *,
        strike: float | None = None,
        indicators: Sequence[str] = (),
    ) -> SeriesView:
        """See ``EngineClient``. Two minutes of the asked range, with a gap between them."""
        if key.underlying != UNDERLYING:
            raise UnknownInstrument(f"There is no chain of {key.underlying}.", field="key")
        unknown = [name for name in indicators if name not in KNOWN_INDICATORS]
        if unknown:
            raise InvalidInput(f'There is no indicator "{unknown[0]}"; there are ema.', field="indicators")
        minutes = [at for at in (start, start + timedelta(minutes=2)) if at < end]
        column = "forward" if strike is None else "call_price"
        columns = {column: _floats([FORWARD + step for step in range(len(minutes))])}
        columns |= {name: _floats([np.nan] * len(minutes)) for name in indicators}
        seconds = np.array([int(at.timestamp()) for at in minutes], dtype=np.int64)
        seconds.flags.writeable = False
        return SeriesView(key=key, strike=strike, minute=seconds, columns=columns)

    def _check(self, strategy: StrategyNumber) -> None:
        if strategy not in self.analysed:
            raise UnknownStrategy(f"There is no strategy #{strategy}.", field="strategy")
