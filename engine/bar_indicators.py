"""Indicators beside price candles, asked for by name.

A name is ``INDICATOR[_PERIOD][_PART]``: ``ema``, ``ema_20``, ``rsi_14``, ``bollinger_upper``, ``supertrend``. Periods
are candles. Without a part it gives all its parts; every answer stands under its whole name. The indicators and their
defaults are those of stored chain minutes; here each candle has its own high, low and volume.

Invariant: a name that is not understood is refused with what there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from engine.analysis.series_indicators import DEFAULT_PERIODS, NAMES, PARTS
from engine.analytics import indicators
from engine.core.errors import InvalidInput
from engine.core.views import Floats, Integers

_NAME: Final = re.compile(rf"(?P<name>{'|'.join(NAMES)})(?:_(?P<period>\d{{1,6}}))?(?:_(?P<part>[a-z]+))?")


class PriceColumns(NamedTuple):
    """Candles that indicators are computed on, oldest first, shape (n,); NaN where a figure is not known."""

    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    session: Integers
    """The same number within a session, growing from one to the next."""


class WantedIndicator(NamedTuple):
    """One indicator that was asked for."""

    word: str
    """Name of the answer's columns, without the part."""
    name: str
    period: int
    """0 where it takes none."""
    part: str
    """The only part that is wanted; empty for all."""


def wanted_indicator(word: str) -> WantedIndicator:
    """Understand a name.

    Raises:
        InvalidInput: it names no indicator, or a period or part that the indicator has not.
    """
    found = _NAME.fullmatch(word)
    if found is None:
        raise _refusal(f'There is no indicator "{word}"')
    name, part = found["name"], found["part"] or ""
    if found["period"] and name not in DEFAULT_PERIODS:
        raise _refusal(f'"{word}": {name} takes no period')
    if part and part not in PARTS[name]:
        raise _refusal(f'"{word}": {name} has no part "{part}", only {", ".join(PARTS[name]) or "itself"}')
    rest = name + (f"_{found['period']}" if found["period"] else "")
    return WantedIndicator(rest, name, int(found["period"] or DEFAULT_PERIODS.get(name, 0)), part)


def indicator_columns(indicator: WantedIndicator, bars: PriceColumns) -> dict[str, Floats]:
    """Compute an indicator; returns its columns by their whole names, NaN where it is not defined.

    Raises:
        InvalidInput: the period is out of its range.
    """
    try:
        results = _COMPUTE[indicator.name](bars, indicator.period)
    except ValueError as error:
        raise InvalidInput(f'"{indicator.word}": {error}.', field="indicators") from error
    parts = PARTS[indicator.name]
    if not parts:
        return {indicator.word: results[0]}
    named = dict(zip(parts, results, strict=True))
    return {f"{indicator.word}_{part}": named[part] for part in parts if indicator.part in {"", part}}


def _refusal(words: str) -> InvalidInput:
    return InvalidInput(
        f"{words}. Indicators: {', '.join(NAMES)}; a name is INDICATOR[_PERIOD][_PART].", field="indicators"
    )


_Results = tuple[Floats, ...]


def _ema(bars: PriceColumns, period: int) -> _Results:
    return (indicators.exponential_average(bars.close, period=period),)


def _rsi(bars: PriceColumns, period: int) -> _Results:
    return (indicators.relative_strength(bars.close, period=period),)


def _bollinger(bars: PriceColumns, period: int) -> _Results:
    return tuple(indicators.bollinger(bars.close, period=period))


def _supertrend(bars: PriceColumns, period: int) -> _Results:
    trend = indicators.supertrend(bars.high, bars.low, bars.close, period=period)
    return trend.line, np.where(trend.direction == 0, np.nan, trend.direction.astype(np.float64))


def _atr(bars: PriceColumns, period: int) -> _Results:
    return (indicators.average_true_range(bars.high, bars.low, bars.close, period=period),)


def _cpr(bars: PriceColumns, _: int) -> _Results:
    return tuple(indicators.session_pivots(bars.high, bars.low, bars.close, session=bars.session))


def _vwap(bars: PriceColumns, _: int) -> _Results:
    average = indicators.volume_weighted_price(bars.high, bars.low, bars.close, bars.volume, session=bars.session)
    return (average,)


_COMPUTE: Final[dict[str, Callable[[PriceColumns, int], _Results]]] = {
    "ema": _ema,
    "rsi": _rsi,
    "bollinger": _bollinger,
    "supertrend": _supertrend,
    "vwap": _vwap,
    "atr": _atr,
    "cpr": _cpr,
}
