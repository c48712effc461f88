"""The sentence about candles: ``chart nifty``, ``chart nifty 24000 ce w0 5m``, ``chart banknifty fut 15m``."""

from __future__ import annotations

import re
from typing import Final

from engine.core.bars import BarInterval
from engine.core.commands import ShowChart
from engine.core.errors import InvalidInput
from engine.core.instruments import Instrument
from engine.language.contracts import read_contract_of, read_underlying
from engine.language.cursor import Cursor
from engine.language.resolver import Resolver

INTERVAL_CHOICES: Final = tuple(f"{item.minutes}m" for item in BarInterval)

_INTERVAL = re.compile(r"\d{1,4}(m|h|min|minute)", re.ASCII | re.IGNORECASE)


def read_chart(cursor: Cursor, resolver: Resolver) -> ShowChart:
    """Read what follows ``chart``: an underlying for its index, or a contract; then perhaps a candle length."""
    underlying = read_underlying(cursor, resolver)
    token = cursor.peek()
    if token is None or _INTERVAL.fullmatch(token.text):
        instrument = resolver.index(underlying) or _nearest_future(resolver, underlying)
        if instrument is None:
            raise cursor.missing(f"{underlying} has neither an index nor a future today. Name a contract: 24000 ce w0.")
    else:
        instrument = read_contract_of(cursor, resolver, underlying)
    interval = _read_interval(cursor)
    cursor.finish("After the instrument: a candle length such as 5m.", INTERVAL_CHOICES)
    return ShowChart(instrument=instrument.key, interval=interval)


def _nearest_future(resolver: Resolver, underlying: str) -> Instrument | None:
    found = (resolver.future(underlying, item.expiry) for item in resolver.expiries(underlying))
    return next((future for future in found if future is not None), None)


def _read_interval(cursor: Cursor) -> BarInterval | None:
    token = cursor.peek()
    if token is None or not _INTERVAL.fullmatch(token.text):
        return None
    cursor.skip()
    try:
        return BarInterval.parse(token.text)
    except InvalidInput as error:
        raise cursor.wrong(str(error), token, INTERVAL_CHOICES) from error
