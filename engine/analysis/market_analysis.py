"""What an engine knows of volatility and of a chain's past: fitted smiles, where volatility stands, stored minutes.

Invariant: nothing is subscribed or fitted anew for an answer beyond the pace of the chains themselves, and what is not
known is NaN or ``None`` with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from engine.analysis.series_indicators import Minutes, indicator_columns, wanted
from engine.analysis.smile_conventions import conventional_volatility
from engine.analysis.volatility_standing import VolatilityReader
from engine.analytics.black import price
from engine.analytics.chain import PriceInput
from engine.analytics.historical_greeks import OptionCandles, UnderlyingCandles, historical_greeks
from engine.analytics.skew import skew_on_smile
from engine.analytics.smile import SmileGrade, StickyMode
from engine.calendar.sessions import SECONDS_PER_YEAR
from engine.chain_desk import ChainDesk
from engine.core.analysis import SeriesView, SmileView, VolatilityView
from engine.core.errors import InvalidInput, UnknownInstrument
from engine.core.repositories import ChainSeriesRepository
from engine.core.series import ChainSeries, StrikeSeries, epoch_seconds
from engine.core.views import ChainColumns, ChainKey, ChainView, Floats, Integers
from engine.market.chain_inputs import known
from engine.market_day import MarketDay
from engine.settings import SeriesSettings, VolatilitySettings

_Item = TypeVar("_Item", bound=np.generic)

MINUTE_S = 60
EXPIRY_COLUMNS = (
    "spot",
    "forward",
    "atm_volatility",
    "straddle",
    "pcr_open_interest",
    "pcr_volume",
    "max_pain",
    "call_open_interest",
    "put_open_interest",
)
STORED_OF_STRIKE = ("price", "volatility", "open_interest", "volume")
GREEKS = ("delta", "gamma", "theta", "vega")
SIDES = ("call", "put")
STRIKE_COLUMNS = tuple(f"{side}_{name}" for side in SIDES for name in (*STORED_OF_STRIKE, *GREEKS))


class MarketAnalysis:
    """Answers of one engine.

    Args:
        day: today's market.
        chains: watched and held chains.
        series: stored minutes.
        rate: continuously compounded, 0.065 is 6.5 %.
        series_settings: how much one question may ask for.
        volatility_settings: how far back volatility is looked at.
    """

    def __init__(
        self,
        day: MarketDay,
        chains: ChainDesk,
        series: ChainSeriesRepository,
        *,
        rate: float,
        series_settings: SeriesSettings,
        volatility_settings: VolatilitySettings,
    ) -> None:
        self._day = day
        self._chains = chains
        self._series = series
        self._rate = rate
        self._settings = series_settings
        self._volatility = VolatilityReader(day, chains, series, volatility_settings)

    async def smile(self, key: ChainKey) -> SmileView:
        """The last fitted smile of an expiry, beside its quotes.

        Raises:
            UnknownInstrument: no such underlying or expiry today, or it has no options.
        """
        contracts = self._day.index.contracts(key.underlying, key.expiry)
        key = ChainKey(self._day.index.resolve_underlying(key.underlying), key.expiry)
        if not contracts.strikes:
            raise UnknownInstrument(f"{key.underlying} has no options of {key.expiry}, only a future.", field="expiry")
        at = self._day.clock.market_now()
        smile, view = self._chains.smile(key), self._chains.view(key)
        if smile is None or view is None:
            return _unknown_smile(key, at, np.array([float(strike) for strike in contracts.strikes]))
        header, strikes = view.header, view.strikes
        forward = math.nan if header.forward is None else header.forward
        years = header.seconds_to_expiry / SECONDS_PER_YEAR
        fair = smile.theoretical_volatility(strikes, forward)
        mispricing = [
            _input_price(side) - price(forward, strikes, years, self._rate, fair, is_call=side is view.calls)
            for side in (view.calls, view.puts)
        ]
        is_call = strikes >= forward
        is_index = self._day.index.rules.is_index(key.underlying)
        conventions = conventional_volatility(
            view,
            _otm(view, forward, _input_price(view.calls), _input_price(view.puts)),
            is_call,
            futures=self._chains.futures(key.underlying),
            calendar=self._day.calendar,
            now=at,
            ends_at=self._day.calendar.expiry_instant(key.expiry, is_index=is_index),
        )
        skew = (header.risk_reversal, header.butterfly)
        if smile.grade in {SmileGrade.A, SmileGrade.B}:
            fitted = skew_on_smile(smile, rate=self._rate, forward=forward)
            skew = known(fitted.risk_reversal), known(fitted.butterfly)
        return SmileView(
            key=key,
            at=at,
            forward=header.forward,
            atm_volatility=header.atm_volatility,
            strikes=strikes,
            quoted=_read_only(_otm(view, forward, view.calls.implied_volatility, view.puts.implied_volatility)),
            nse=_read_only(conventions.nse),
            kite=_read_only(conventions.kite),
            fitted=_read_only(smile.volatility(strikes, forward=forward, mode=StickyMode.DELTA)),
            theoretical=_read_only(fair),
            call_mispricing=_read_only(mispricing[0]),
            put_mispricing=_read_only(mispricing[1]),
            grade=smile.grade.value,
            rms_residual=known(smile.rms_residual),
            risk_reversal=skew[0],
            butterfly=skew[1],
            reason="; ".join(filter(None, (smile.reason, header.reason, *conventions.reasons))),
        )

    async def volatility(self, underlying: str) -> VolatilityView:
        """Where an underlying's volatility stands.

        Raises:
            UnknownInstrument: no such underlying; aliases are understood.
        """
        return await self._volatility.view(underlying)

    async def series(
        self,
        key: ChainKey,
        start: datetime,
        end: datetime,
        *,
        strike: float | None = None,
        indicators: Sequence[str] = (),
    ) -> SeriesView:
        """Stored minutes in [start, end) of an expiry, or of one strike of it; an expired one too.

        Raises:
            UnknownInstrument: no such underlying.
            InvalidInput: a moment without a zone, a span that is empty or too long, a strike that is none, or an
                indicator that is not understood.
            StorageError: the database cannot be read.
        """
        key = ChainKey(self._day.index.resolve_underlying(key.underlying), key.expiry)
        self._check(start, end, strike, indicators)
        columns = EXPIRY_COLUMNS if strike is None else STRIKE_COLUMNS
        asked = [item for word in indicators for item in wanted(word, columns)]
        first = start - timedelta(days=self._settings.indicator_history_days) if asked else start
        chain = await self._series.between(key, first, end)
        if strike is None:
            minute, figures = chain.minute, {name: getattr(chain, name) for name in EXPIRY_COLUMNS}
        else:
            stored = await self._series.strikes_between(key, first, end, strike=strike)
            minute, figures = stored.minute, self._of_strike(key, stored, chain)
        whole = Minutes(minute, self._sessions(minute) if asked else minute, figures)
        for item in asked:
            figures = figures | indicator_columns(item, whole)
        shown = minute >= epoch_seconds(start)
        return SeriesView(
            key=key,
            strike=strike,
            minute=_read_only(minute[shown]),
            columns={name: _read_only(values[shown]) for name, values in figures.items()},
        )

    def _check(self, start: datetime, end: datetime, strike: float | None, indicators: Sequence[str]) -> None:
        settings = self._settings
        for name, moment in (("start", start), ("end", end)):
            if moment.tzinfo is None:
                raise InvalidInput(f"{name} {moment} has no zone: give one, for example +05:30.", field=name)
        if not start < end:
            raise InvalidInput(f"The minutes end ({end}) before they start ({start}).", field="end")
        if end - start > timedelta(days=settings.span_days_max):
            raise InvalidInput(f"Ask for at most {settings.span_days_max} days of minutes at once.", field="start")
        if strike is not None and not (math.isfinite(strike) and strike > 0):
            raise InvalidInput(f"{strike} is no strike: give index points above 0.", field="strike")
        if len(indicators) > settings.indicators_max:
            raise InvalidInput(f"Ask for at most {settings.indicators_max} indicators at once.", field="indicators")

    def _of_strike(self, key: ChainKey, stored: StrikeSeries, chain: ChainSeries) -> dict[str, Floats]:
        """Stored figures of a strike, and Greeks of its price and the expiry's forward at each minute's end."""
        is_index = self._day.index.rules.is_index(key.underlying)
        expiry = self._day.calendar.expiry_instant(key.expiry, is_index=is_index).timestamp()
        figures: dict[str, Floats] = {}
        # The stored forward is that of this expiry already: it needs no carry.
        forward = UnderlyingCandles(time=chain.minute, close=chain.forward, delivery=expiry)
        for side in SIDES:
            values = {name: getattr(stored.columns, f"{side}_{name}") for name in STORED_OF_STRIKE}
            option = OptionCandles(
                time=stored.minute,
                close=values["price"],
                strike=stored.columns.strike,
                expiry=expiry,
                is_call=side == "call",
            )
            past = historical_greeks(option, forward, candle_s=MINUTE_S, rate=self._rate)
            rows = np.searchsorted(past.time, stored.minute)
            values |= {name: getattr(past.greeks, name)[rows] for name in GREEKS}
            figures |= {f"{side}_{name}": column for name, column in values.items()}
        return figures

    def _sessions(self, minute: Integers) -> Integers:
        """The exchange's date of each minute, as a number."""
        day_of = self._day.calendar.day_of
        days = [day_of(datetime.fromtimestamp(second, UTC)).toordinal() for second in minute.tolist()]
        return np.array(days, np.int64)


def _unknown_smile(key: ChainKey, at: datetime, strikes: Floats) -> SmileView:
    nothing = _read_only(np.full(strikes.size, np.nan))
    return SmileView(
        key=key,
        at=at,
        forward=None,
        atm_volatility=None,
        strikes=_read_only(strikes),
        quoted=nothing,
        nse=nothing,
        kite=nothing,
        fitted=nothing,
        theoretical=nothing,
        call_mispricing=nothing,
        put_mispricing=nothing,
        grade=SmileGrade.NONE.value,
        rms_residual=None,
        risk_reversal=None,
        butterfly=None,
        reason="nobody watches this chain: watch it, and ask again",
    )


def _otm(view: ChainView, forward: float, of_calls: Floats, of_puts: Floats) -> Floats:
    """A figure of each strike's call at or above the forward, of its put below; NaN without a forward."""
    chosen = np.where(view.strikes >= forward, of_calls, of_puts)
    return chosen if math.isfinite(forward) else np.full(view.strikes.size, np.nan)


def _input_price(side: ChainColumns) -> Floats:
    """The price each volatility was taken from."""
    mid = np.where(side.iv_input == PriceInput.MID, 0.5 * (side.bid + side.ask), np.nan)
    return np.where(side.iv_input == PriceInput.LAST, side.last, mid)


def _read_only(values: npt.NDArray[_Item]) -> npt.NDArray[_Item]:
    view = values.view()
    view.flags.writeable = False
    return view
