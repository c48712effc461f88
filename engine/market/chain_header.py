"""The figures above a chain, and the spot behind it while the exchange does not move the index.

In the closing auction the index stands still while options trade on. The spot shown then is the synthetic one: the
forward less the carry that was measured on the same day while the index still moved. It is never stored and never
named "index".

Invariant: what is not known is ``None``, and the reason says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import msgspec

from engine.analytics.forward import ForwardEstimate, ForwardGrade, ForwardSource, SpotSource, carry, current_spot
from engine.analytics.open_interest import Wall
from engine.analytics.smile import SmileGrade
from engine.core.views import ChainHeader, Codes
from engine.core.vocabulary import Exchange, QuoteState
from engine.market.chain_inputs import ChainQuotes, known
from engine.market.chain_marker import MarkedChain

NOBODY_LOOKS = "nobody watches this chain"


class ChainFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same above a chain for the whole day."""

    underlying: str
    expiry: date
    labels: tuple[str, ...]
    lot_size: int
    exchange: Exchange
    has_index: bool
    """Whether today's instruments have the underlying's index."""


class Spot(NamedTuple):
    """The underlying's value with its pedigree."""

    value: float | None
    source: SpotSource
    state: QuoteState
    """Of the index."""
    carry: float | None
    """Annualised; measured now while the index moves, else when it last did today."""
    reason: str
    """Why a synthetic one that is needed cannot be had."""


class SpotWatch:
    """Measures the carry while the index moves, and uses it when it stands still. One per chain."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._carry = math.nan

    def spot(self, index: float, state: QuoteState, forward: ForwardEstimate, years: float, day: date) -> Spot:
        """The spot now.

        Args:
            index: as last heard, NaN when never.
            state: of the index.
            forward: of this chain.
            years: ACT/365 to its expiry.
            day: the exchange's date; a carry is not kept over night.
        """
        if day != self._day:
            self._day, self._carry = day, math.nan
        if state is QuoteState.FROZEN:
            estimate = current_spot(
                index, is_moving=False, forward=forward.forward, years=years, last_carry=self._carry
            )
            if estimate.source is SpotSource.SYNTHETIC:
                return Spot(known(estimate.spot), estimate.source, state, known(self._carry), "")
            return _index(index, state, self._carry, f"no synthetic spot: {estimate.reason}")
        if state is QuoteState.LIVE:
            now = carry(forward.forward, index, years)
            # A forward of strikes that disagree says what it can now, but is no measure for later.
            if forward.grade is not ForwardGrade.C and math.isfinite(now):
                self._carry = now
            return _index(index, state, now, "")
        return _index(index, state, self._carry, "")


def _index(index: float, state: QuoteState, measured: float, reason: str) -> Spot:
    value = known(index)
    return Spot(value, SpotSource.NONE if value is None else SpotSource.INDEX, state, known(measured), reason)


def chain_header(
    facts: ChainFacts, quotes: ChainQuotes, marked: MarkedChain, spot: Spot, seconds: float, *, halt: str = ""
) -> ChainHeader:
    """Put the figures together.

    Args:
        facts: of the day.
        quotes: of options, index and future, for the reasons.
        marked: the marks; without extras what comes from them is unknown.
        spot: of :class:`SpotWatch`.
        seconds: to the expiry instant, negative when it has passed.
        halt: why the market may be halted; empty when it is not.
    """
    marks, extras = marked.quotes.marks, marked.extras
    forward, statistics = marks.forward, marks.statistics
    options = quotes.state[: 2 * marks.strikes.size]
    return ChainHeader(
        underlying=facts.underlying,
        expiry=facts.expiry,
        labels=facts.labels,
        lot_size=facts.lot_size,
        exchange=facts.exchange,
        seconds_to_expiry=max(seconds, 0.0),
        spot=spot.value,
        spot_state=spot.state,
        spot_source=spot.source.value,
        forward=known(forward.forward),
        forward_source=forward.source.value,
        forward_grade="" if forward.grade is ForwardGrade.NONE else forward.grade.value,
        atm_strike=statistics.atm_strike,
        atm_volatility=known(statistics.atm_volatility),
        straddle=known(statistics.straddle),
        pcr_open_interest=known(statistics.pcr_open_interest),
        pcr_volume=known(statistics.pcr_volume),
        max_pain=statistics.max_pain,
        carry=spot.carry,
        expected_move=known(statistics.expected_move),
        one_sigma_move=known(statistics.one_sigma_move),
        smile_grade=(extras.smile.grade if extras is not None else SmileGrade.NONE).value,
        smile_reason=extras.smile.reason if extras is not None else NOBODY_LOOKS,
        risk_reversal=known(extras.skew.risk_reversal) if extras is not None else None,
        butterfly=known(extras.skew.butterfly) if extras is not None else None,
        call_walls=_strikes(extras.walls.calls) if extras is not None else (),
        put_walls=_strikes(extras.walls.puts) if extras is not None else (),
        gamma_exposure=known(extras.gamma_exposure.total) if extras is not None else None,
        gamma_unknown=extras.gamma_exposure.unknown if extras is not None else 0,
        reason="; ".join(_reasons(facts, options, marked, spot, seconds)),
        halt=halt,
    )


def _strikes(walls: tuple[Wall, ...]) -> tuple[float, ...]:
    return tuple(wall.strike for wall in walls)


def _reasons(facts: ChainFacts, states: Codes, marked: MarkedChain, spot: Spot, seconds: float) -> Iterator[str]:
    """Why figures are missing or second best, most fundamental first."""
    if seconds <= 0:
        yield "expired"
    source = marked.quotes.marks.forward.source
    if source is ForwardSource.NONE:
        heard = states[states != QuoteState.UNKNOWN]
        if not heard.size:
            yield "no forward: no option quote has been received"
        elif (heard == QuoteState.STALE).all():
            yield "no forward: all quotes are stale"
        else:
            yield f"no forward: {marked.quotes.forward_reason}"
    elif marked.quotes.forward_reason:
        yield f"forward from {source.value}: {marked.quotes.forward_reason}"
    if spot.reason:
        yield spot.reason
    if spot.value is None:
        yield "no spot: " + ("none received" if facts.has_index else "today's instruments have no index of it")
