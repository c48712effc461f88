"""Indicators beside stored minutes, asked for by name.

A name is ``[COLUMN_]INDICATOR[_PERIOD][_PART]``: ``ema``, ``straddle_ema_20``, ``atm_volatility_rsi``,
``bollinger_upper``, ``call_price_vwap``. Without a column it is of the forward, of a strike of both prices; without a
part it gives all its parts. Every answer stands under its whole name.

A stored minute is one price, that of its end: where an indicator wants a high and a low, both are that price, so ranges
are those between minutes. A gap is stepped over as on every chart. The volume of a minute is the difference of the
day's counter between two neighbouring minutes; after a gap, and in the first minute seen of a day, it is unknown and
the minute takes no part in a volume-weighted price.

Invariant: a name that is not understood is refused with what there is; nothing is left out silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np

from engine.analytics import indicators
from engine.core.errors import InvalidInput
from engine.core.views import Floats, Integers

DEFAULT_PERIODS: Final[dict[str, int]] = {"ema": 20, "rsi": 14, "bollinger": 20, "supertrend": 10, "atr": 14}
"""Indicators that take a period, in minutes."""

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "ema": (),
    "rsi": (),
    "bollinger": ("upper", "middle", "lower"),
    "supertrend": ("line", "direction"),
    "vwap": (),
    "atr": (),
    "cpr": ("pivot", "bottom", "top"),
}
NAMES: Final = tuple(PARTS)

FORWARD: Final = "forward"
PRICES: Final = ("call_price", "put_price")
VOLUMES: Final = {"call_price": "call_volume", "put_price": "put_volume"}
"""The day's counter beside a price."""

_MINUTE_S: Final = 60
_NAME: Final = re.compile(
    rf"(?:(?P<column>[a-z_]+)_)?(?P<name>{'|'.join(NAMES)})(?:_(?P<period>\d+))?(?:_(?P<part>[a-z]+))?"
)


class Wanted(NamedTuple):
    """One indicator of one column."""

    word: str
    """Name of the answer's columns, without the part."""
    column: str
    name: str
    period: int | None
    part: str
    """The only part that is wanted; empty for all."""


class Minutes(NamedTuple):
    """Minutes that indicators are computed on, oldest first, shape (n,)."""

    minute: Integers
    """Start of each, epoch seconds."""
    session: Integers
    """The same number within a session, growing from one to the next."""
    columns: Mapping[str, Floats]


def wanted(word: str, columns: tuple[str, ...]) -> tuple[Wanted, ...]:
    """Understand a name.

    Args:
        word: as asked.
        columns: that there are; with ``call_price`` among them they are those of a strike.

    Raises:
        InvalidInput: it names no indicator, no column of these, or a period or part that the indicator has not.
    """
    found = _NAME.fullmatch(word)
    if found is None:
        raise _refusal(f'there is no indicator "{word}"', columns)
    name, part = found["name"], found["part"] or ""
    period = int(found["period"]) if found["period"] else DEFAULT_PERIODS.get(name)
    if found["period"] and name not in DEFAULT_PERIODS:
        raise _refusal(f'"{word}": {name} takes no period', columns)
    if part and part not in PARTS[name]:
        raise _refusal(f'"{word}": {name} has no part "{part}", only {", ".join(PARTS[name]) or "itself"}', columns)
    own = PRICES if PRICES[0] in columns else (FORWARD,)
    asked = (found["column"],) if found["column"] else own
    for column in asked:
        if column not in columns:
            raise _refusal(f'"{word}": there is no column "{column}"', columns)
        if name == "vwap" and column not in VOLUMES:
            raise _refusal(f'"{word}": {column} has no volume; ask of {" or ".join(VOLUMES)} of a strike', columns)
    rest = found["name"] + (f"_{found['period']}" if found["period"] else "")
    prefix = bool(found["column"]) or len(asked) > 1
    return tuple(Wanted(f"{column}_{rest}" if prefix else rest, column, name, period, part) for column in asked)


def indicator_columns(indicator: Wanted, minutes: Minutes) -> dict[str, Floats]:
    """Compute an indicator; returns its columns by their whole names, NaN where it is not defined.

    Raises:
        InvalidInput: the period is out of its range.
    """
    values = minutes.columns[indicator.column]
    try:
        results = _COMPUTE[indicator.name](values, indicator, minutes)
    except ValueError as error:
        raise InvalidInput(f'"{indicator.word}": {error}.', field="indicators") from error
    parts = PARTS[indicator.name]
    if not parts:
        return {indicator.word: results[0]}
    named = dict(zip(parts, results, strict=True))
    return {f"{indicator.word}_{part}": named[part] for part in parts if indicator.part in {"", part}}


def _refusal(words: str, columns: tuple[str, ...]) -> InvalidInput:
    return InvalidInput(
        f"{words[0].upper()}{words[1:]}. Indicators: {', '.join(NAMES)}; a name is [COLUMN_]INDICATOR[_PERIOD][_PART], "
        f"columns: {', '.join(columns)}.",
        field="indicators",
    )


_Results = tuple[Floats, ...]


def _period(indicator: Wanted) -> int:
    return indicator.period or DEFAULT_PERIODS[indicator.name]


def _ema(values: Floats, indicator: Wanted, _: Minutes) -> _Results:
    return (indicators.exponential_average(values, period=_period(indicator)),)


def _rsi(values: Floats, indicator: Wanted, _: Minutes) -> _Results:
    return (indicators.relative_strength(values, period=_period(indicator)),)


def _bollinger(values: Floats, indicator: Wanted, _: Minutes) -> _Results:
    return tuple(indicators.bollinger(values, period=_period(indicator)))


def _supertrend(values: Floats, indicator: Wanted, _: Minutes) -> _Results:
    trend = indicators.supertrend(values, values, values, period=_period(indicator))
    return trend.line, np.where(trend.direction == 0, np.nan, trend.direction.astype(np.float64))


def _atr(values: Floats, indicator: Wanted, _: Minutes) -> _Results:
    return (indicators.average_true_range(values, values, values, period=_period(indicator)),)


def _cpr(values: Floats, _: Wanted, minutes: Minutes) -> _Results:
    return tuple(indicators.session_pivots(values, values, values, session=minutes.session))


def _vwap(values: Floats, indicator: Wanted, minutes: Minutes) -> _Results:
    traded = traded_units(minutes.columns[VOLUMES[indicator.column]], minutes.minute, minutes.session)
    return (indicators.volume_weighted_price(values, values, values, traded, session=minutes.session),)


def traded_units(counter: Floats, minute: Integers, session: Integers) -> Floats:
    """Units traded in each minute, from the day's counter at the minutes' ends; NaN where that cannot be told."""
    traded = np.full(counter.shape, np.nan)
    if counter.size:
        follows = (np.diff(minute) == _MINUTE_S) & (np.diff(session) == 0)
        difference = np.diff(counter)
        traded[1:] = np.where(follows & (difference >= 0), difference, np.nan)
    return traded


_COMPUTE: Final[dict[str, Callable[[Floats, Wanted, Minutes], _Results]]] = {
    "ema": _ema,
    "rsi": _rsi,
    "bollinger": _bollinger,
    "supertrend": _supertrend,
    "vwap": _vwap,
    "atr": _atr,
    "cpr": _cpr,
}
