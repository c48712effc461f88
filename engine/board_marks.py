"""Prices that legs are valued at, off the board; Greeks from the chains."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.chain_desk import ChainDesk
from engine.core.money import decimal_from_float
from engine.core.views import Integers
from engine.core.vocabulary import InstrumentKind, QuoteState
from engine.market.m2m_marks import MarkReader
from engine.market_day import NS_PER_S, MarketDay
from engine.portfolio.marks import LegMarks, MarkColumns

TRUSTED = frozenset({QuoteState.LIVE, QuoteState.CROSSED, QuoteState.ONE_SIDED, QuoteState.FROZEN})
"""States whose last price may become history: the path is alive and the session is open."""


class BoardMarks:
    """Implements ``engine.portfolio.marks.Marks``."""

    def __init__(self, day: MarketDay, chains: ChainDesk) -> None:
        """Prices come from the day's board, Greeks from the chains that are kept."""
        self._day = day
        self._chains = chains
        self._reader = MarkReader(day.board, day.states)

    def _now_ns(self) -> int:
        return int(self._day.clock.monotonic() * NS_PER_S)

    def marks(self, held: Sequence[tuple[int, int]]) -> tuple[LegMarks, ...]:
        """Exact marks of each (token, signed units)."""
        found = self._reader.marks(held, self._now_ns())
        closes = self._day.board.previous_close(self._day.board.slots_of(token for token, _ in held))
        legs = []
        for (token, _), marks, close in zip(held, found, closes.tolist(), strict=True):
            delta, theta = self._greeks(token)
            legs.append(
                LegMarks(
                    last=marks.last,
                    mid=marks.mid,
                    exit=marks.exit,
                    previous_close=None if math.isnan(close) else decimal_from_float(close),
                    reason="; ".join(f"{mark}: {words}" for mark, words in marks.reasons.items()),
                    delta=delta,
                    theta=theta,
                )
            )
        return tuple(legs)

    def columns(self, tokens: Integers, signed_quantities: Integers) -> MarkColumns:
        """Marks of many legs; NaN where one cannot be had."""
        found = self._reader.columns(tokens, signed_quantities, self._now_ns())
        return MarkColumns(
            last=found.last, mid=found.mid, exit=found.exit, trusted=np.isin(found.states, sorted(TRUSTED))
        )

    def _greeks(self, token: int) -> tuple[float | None, float | None]:
        instrument = self._day.index.get(token)
        if instrument is None:
            return None, None
        if instrument.kind.is_option:
            return self._chains.greeks(token)
        if instrument.kind in {InstrumentKind.FUTURE, InstrumentKind.EQUITY}:
            return 1.0, 0.0
        return None, None
