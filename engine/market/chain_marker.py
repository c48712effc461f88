"""Marks one expiry again and again: volatilities from the last ones, the smile fitted now and then, the extras on top.

A smile costs as much as several markings, so it is fitted only after new packets and at most every ``smile_refit_s``
(``smile_refit_poor_s`` while it is no good start for the next one); in between it moves with the forward. A chain that
nobody looks at is marked without extras; its smile is fitted when somebody asks for it, at the same pace.

Invariant: the memory changes how fast an answer comes, never the answer; without a forward there is no smile.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import NamedTuple

from engine.analytics.chain_extras import ChainExtras, annotate_chain, fit_marked
from engine.analytics.chain_memory import ChainMemory
from engine.analytics.smile import Smile, SmileGrade
from engine.core.views import Floats
from engine.market.chain_inputs import ChainQuotes, ChainSettings, MarkedQuotes, mark_quotes, side_activity


class MarkedChain(NamedTuple):
    """An expiry at one moment."""

    quotes: MarkedQuotes
    extras: ChainExtras | None
    """``None`` where they were not asked for."""


class ChainMarker:
    """The marks of one expiry. Belongs to one chain model.

    Args:
        strikes: index points, shape (n,).
        settings: rate, recency, forward, pace of the smile.
        lot_size: units; liquidity is measured in lots.
        tick: index points.
    """

    def __init__(self, strikes: Floats, settings: ChainSettings, *, lot_size: int, tick: float) -> None:
        self._strikes = strikes
        self._settings = settings
        self._lot_size = lot_size
        self._tick = tick
        self._memory = ChainMemory()
        self._marked: MarkedQuotes | None = None
        self._heard = 0
        self._smile: Smile | None = None
        self._fitted_at = -math.inf
        self._fitted_heard = 0

    def mark(
        self,
        quotes: ChainQuotes,
        open_interest_change: Floats,
        *,
        years: float,
        now_market: datetime,
        now_monotonic: float,
        with_extras: bool,
    ) -> MarkedChain:
        """Mark the expiry.

        Args:
            quotes: of calls, puts, index and future.
            open_interest_change: of calls and puts, percent, shape (2 n,).
            years: ACT/365 to the expiry instant.
            now_market: aware.
            now_monotonic: seconds.
            with_extras: whether somebody looks at more than the marks.
        """
        marked = mark_quotes(self._strikes, quotes, self._settings, years=years, now=now_market, memory=self._memory)
        self._marked = marked
        self._heard = int(quotes.sequence.max()) if quotes.sequence.size else 0
        if not with_extras:
            return MarkedChain(marked, None)
        count = self._strikes.size
        extras = annotate_chain(
            marked.marks,
            marked.call,
            marked.put,
            side_activity(quotes, open_interest_change, slice(0, count)),
            side_activity(quotes, open_interest_change, slice(count, 2 * count)),
            years=years,
            rate=self._settings.rate,
            lot_size=self._lot_size,
            tick=self._tick,
            smile=self._fitted(marked, now_monotonic),
            refit=False,
        )
        return MarkedChain(marked, extras)

    def smile(self, now_monotonic: float) -> Smile | None:
        """The smile of the last marking, fitted now if it is due; ``None`` before the first."""
        return self._fitted(self._marked, now_monotonic) if self._marked is not None else None

    def _fitted(self, marked: MarkedQuotes, now: float) -> Smile:
        smile = self._smile
        if smile is None or self._is_due(smile, now) or math.isnan(marked.marks.forward.forward):
            smile = fit_marked(marked.marks, marked.call, marked.put, years=marked.years, previous=smile)
            self._smile, self._fitted_at, self._fitted_heard = smile, now, self._heard
        return smile

    def _is_due(self, smile: Smile, now: float) -> bool:
        if self._heard == self._fitted_heard:
            return False
        if smile.grade is SmileGrade.NONE:
            return True  # said in microseconds, until there is something to fit
        is_good = smile.grade is SmileGrade.A
        pause = self._settings.smile_refit_s if is_good else self._settings.smile_refit_poor_s
        return not 0 <= now - self._fitted_at < pause
