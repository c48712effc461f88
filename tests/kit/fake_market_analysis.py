"""Smile, volatilities and stored minutes of the fake engine, from its own chains, by formulas a test can repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import numpy as np

from engine.analytics import indicators
from engine.core.analysis import ConeBand, ExpiryVolatility, RealisedVolatility, SeriesView, SmileView, VolatilityView
from engine.core.errors import InvalidInput, UnknownInstrument, WorkstationError
from engine.core.views import ChainKey, ChainView, Floats
from tests.kit.fake_market import UNDERLYINGS, labels_of
from tests.kit.fake_state import FakeEngineState

SESSION_START = timedelta(hours=3, minutes=45)
"""After midnight UTC: 09:15 in India."""
MINUTE = timedelta(minutes=1)
SECONDS_PER_DAY = 86_400.0
WIGGLE = 0.0012
"""How far a quote lies from the curve at most, volatility."""
ESTIMATORS = (
    ("close", 0.1041),
    ("parkinson", 0.0987),
    ("garman-klass", 0.0993),
    ("rogers-satchell", 0.1002),
)
CONVENTION_STEP = 0.003
"""How far the other conventions lie from the desk's figure here, volatility."""
CONE = (("1 hour", 0.094, 0.05), ("2 hours", 0.097, 0.04), ("1 session", 0.101, 0.024), ("2 sessions", 0.103, 0.018))
"""Length, median, and half the width of the widest spread."""
CONE_DAYS = 4
"""Stored days without which there is no spread."""
KNOWN_INDICATORS = ("ema_20", "bollinger_20", "rsi_14")


class FakeMarketAnalysis(FakeEngineState):
    """The market half of the analysis. Attributes are its state."""

    stored_days = 84
    missing_minutes: frozenset[int] = frozenset(range(41, 46))
    """Minutes after the session's start that nobody saw."""
    first_minute = 0
    """Minutes after the session's start at which somebody began to look."""
    breaches: tuple[str, ...] = ()
    analysis_failing = ""
    """While set, analysis raises with this sentence."""
    analysis_hangs = False
    """While true, analysis never answers."""
    analysis_calls = 0
    analysis_cancelled = 0

    async def smile(self, key: ChainKey) -> SmileView:
        """Quotes around the formula's curve, dear and cheap by turns."""
        await self._may_answer()
        view = self._view(key)
        forward = view.header.forward
        above = view.strikes >= (forward if forward is not None else np.inf)
        quoted = np.where(above, view.calls.implied_volatility, view.puts.implied_volatility)
        unknown = np.full(len(view.strikes), np.nan)
        curve = quoted - WIGGLE * np.sin(np.arange(len(view.strikes)))
        return SmileView(
            key=key,
            at=self.clock.market_now(),
            forward=forward,
            atm_volatility=view.header.atm_volatility,
            strikes=view.strikes,
            quoted=quoted,
            nse=quoted + CONVENTION_STEP,
            kite=quoted - CONVENTION_STEP,
            fitted=curve,
            theoretical=curve if forward is not None else unknown,
            call_mispricing=view.calls.mispricing,
            put_mispricing=view.puts.mispricing,
            grade=view.header.smile_grade,
            rms_residual=0.0009 if forward is not None else None,
            risk_reversal=view.header.risk_reversal,
            butterfly=view.header.butterfly,
            reason=view.header.smile_reason,
        )

    async def volatility(self, underlying: str) -> VolatilityView:
        """A term structure that rises slowly, and a history of ``stored_days``."""
        await self._may_answer()
        found = next((item for item in UNDERLYINGS if item.name == underlying), None)
        if found is None:
            raise UnknownInstrument(f"There is no underlying {underlying}.", field="underlying")
        views = [self._view(ChainKey(found.name, day)) for day in found.expiries]
        now = self.clock.market_now()
        known = views[0].header.forward is not None
        labels = labels_of(found)
        terms = tuple(
            ExpiryVolatility(
                expiry=view.key.expiry,
                labels=labels[view.key.expiry],
                days=view.header.seconds_to_expiry / SECONDS_PER_DAY,
                atm_volatility=view.header.atm_volatility + 0.004 * place
                if view.header.atm_volatility is not None
                else None,
                forward_volatility=None if place == 0 or not known else 0.126 + 0.005 * place,
            )
            for place, view in enumerate(views)
        )
        enough = self.stored_days >= 20 and known
        current = terms[0].atm_volatility
        return VolatilityView(
            underlying=found.name,
            at=now,
            terms=terms,
            calendar_breaches=self.breaches,
            current=current,
            rank=31.0 if enough else None,
            percentile=28.4 if enough else None,
            days=self.stored_days,
            realised=(
                *(
                    RealisedVolatility(estimator=name, window="today, minutes", volatility=value if known else None)
                    for name, value in ESTIMATORS
                ),
                RealisedVolatility(
                    estimator="yang-zhang", window="20 sessions", volatility=None, reason="it needs 20 stored sessions"
                ),
            ),
            cone=tuple(
                _band(words, middle, half, now.date(), is_spread=known and self.stored_days >= CONE_DAYS)
                for words, middle, half in (CONE if known else ())
            ),
            spread=current - ESTIMATORS[0][1] if current is not None else None,
            basis=140.35 if known else None,
            basis_annual=0.0652 if known else None,
            build_up="long build-up" if known else "",
            rollover=34.2 if known else None,
            reason="" if enough else f"rank and percentile need 20 stored days, {self.stored_days} are there",
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
        """A minute for each that passed since the session's start, but those that nobody saw."""
        await self._may_answer()
        if strike is not None:
            raise InvalidInput("This engine keeps no strikes.", field="strike")
        if key not in self.chains:
            raise UnknownInstrument(f"There is no chain of {key.underlying} {key.expiry}.", field="key")
        now = self.clock.market_now()
        opened = now.replace(hour=0, minute=0, second=0, microsecond=0) + SESSION_START
        places = [
            place
            for place in range(self.first_minute, max(0, (now - opened) // MINUTE))
            if place not in self.missing_minutes and start <= opened + place * MINUTE < end
        ]
        columns = self._minute_columns(key, np.array(places, dtype=np.float64))
        for word in indicators:
            columns |= _indicator(word, columns)
        minute = np.array([int((opened + place * MINUTE).timestamp()) for place in places], dtype=np.int64)
        return SeriesView(key=key, strike=None, minute=minute, columns=columns)

    def _minute_columns(self, key: ChainKey, place: Floats) -> dict[str, Floats]:
        chain = self.chains[key]
        return {
            "spot": chain.spot + 30 * np.sin(place / 19),
            "forward": chain.forward + 30 * np.sin(place / 19),
            "atm_volatility": 0.122 + 0.004 * np.sin(place / 13) + 0.00002 * place,
            "straddle": 317.45 - 0.2 * place + 5 * np.sin(place / 7),
            "pcr_open_interest": 0.94 + 0.05 * np.sin(place / 23),
            "pcr_volume": 1.07 + 0.2 * np.sin(place / 9),
            "max_pain": np.full(place.size, 24_350.0),
            "call_open_interest": 81_20_000 + 12_000 * place,
            "put_open_interest": 76_40_000 + 9_000 * place + 60_000 * np.sin(place / 11),
        }

    async def _may_answer(self) -> None:
        self.analysis_calls += 1
        if self.analysis_hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.analysis_cancelled += 1
                raise
        if self.analysis_failing:
            raise WorkstationError(self.analysis_failing)

    def _view(self, key: ChainKey) -> ChainView:
        chain = self.chains.get(key)
        if chain is None:
            raise UnknownInstrument(f"There is no chain of {key.underlying} {key.expiry}.", field="key")
        return chain.view(
            0,
            now=self.clock.market_now(),
            age_s=self.age_s,
            positions={},
            working={},
            labels=labels_of(chain.underlying)[key.expiry],
        )


def _indicator(word: str, columns: dict[str, Floats]) -> dict[str, Floats]:
    """An indicator of a column, named as the engine names it: ``straddle_ema_20``."""
    for name in KNOWN_INDICATORS:
        column = word.removesuffix(f"_{name}")
        if column != word and column in columns:
            values = columns[column]
            if name == "ema_20":
                return {word: indicators.exponential_average(values, period=20)}
            if name == "rsi_14":
                return {word: indicators.relative_strength(values, period=14)}
            bands = indicators.bollinger(values, period=20)
            return {f"{word}_{part}": getattr(bands, part) for part in ("upper", "middle", "lower")}
    raise InvalidInput(f'There is no indicator "{word}"; there are {", ".join(KNOWN_INDICATORS)}.', field="indicators")


def _band(words: str, middle: float, half: float, day: date, *, is_spread: bool) -> ConeBand:
    """A spread around ``middle``; the last window lies a little above it."""
    return ConeBand(
        window=words,
        lowest=middle - half if is_spread else None,
        lower_quartile=middle - half / 2 if is_spread else None,
        median=middle if is_spread else None,
        upper_quartile=middle + half / 2 if is_spread else None,
        highest=middle + half if is_spread else None,
        current=middle + half / 4,
        until=day,
        reason="" if is_spread else f"{CONE_DAYS} stored days are needed",
    )
