"""Legs of strategies as the analytics take them: each with the forward, the volatility and the time of its own expiry.

Market inputs come from the chains that are kept for what is held. A leg's volatility is its own; where its own quotes
give none, that of the other side at the same strike (parity says it is the same one), and then the fitted smile's.

Invariant: an input that cannot be had is NaN, and ``LegInputs.reasons`` names the leg and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.analytics.arrays import CodeArray, FloatArray
from engine.analytics.implied_volatility import IvReason
from engine.analytics.legs import FOREVER, LegKind
from engine.analytics.smile import Smile
from engine.calendar.sessions import SECONDS_PER_YEAR, years_to_expiry
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.ports import Clock
from engine.core.strategies import Leg
from engine.core.views import ChainKey, ChainView, Integers
from engine.core.vocabulary import InstrumentKind
from engine.portfolio.marks import Marks
from engine.portfolio.valuation import leg_name

Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

KINDS: Final = {
    InstrumentKind.CALL: LegKind.CALL,
    InstrumentKind.PUT: LegKind.PUT,
    InstrumentKind.FUTURE: LegKind.FUTURE,
    InstrumentKind.EQUITY: LegKind.FUTURE,
}

IV_WORDS: Final = {
    IvReason.NO_PRICE: "it has no price",
    IvReason.BELOW_INTRINSIC: "its price holds no time value",
    IvReason.ABOVE_MAXIMUM: "its price is above the most it can be worth",
    IvReason.NO_TIME: "its expiry is reached",
    IvReason.STALE: "its price is too old",
    IvReason.NO_FORWARD: "its expiry has no forward",
}
"""Why a contract has no volatility of its own; any other code is an impossible price."""


class ChainLegs(msgspec.Struct, frozen=True, eq=False):
    """Legs that are options of one chain: their places among all, and which of them are calls."""

    key: ChainKey
    places: Places
    is_call: Flags


class LegLayout(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What stays the same while time and prices move; arrays of one element per leg, in the order of ``legs``."""

    legs: tuple[Leg, ...]
    instruments: tuple[Instrument | None, ...]
    """``None`` where today's dump does not have it."""
    kind: CodeArray
    """Members of ``LegKind``; 255 where the instrument is unknown."""
    strike: FloatArray
    token: Integers
    signed_quantity: Integers
    multiplier: FloatArray
    chains: tuple[ChainLegs, ...]
    instants: tuple[datetime | None, ...]
    """When each contract ends; ``None`` for what never does, or is unknown."""


class LegInputs(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the market says of the legs at one moment, one element per leg; NaN where it cannot be had."""

    at: datetime
    years: FloatArray
    forward: FloatArray
    """Of the leg's own expiry; a future's own price."""
    volatility: FloatArray
    mid: FloatArray
    """The mark, index points."""
    from_other_side: Flags
    """The volatility is that of the other side at the same strike."""
    from_smile: Flags
    """The volatility is the fitted smile's."""
    views: dict[ChainKey, ChainView]
    """The chains that were there."""


class LegReader:
    """Reads legs off the market of one engine.

    Args:
        instrument_of: the row of today's dump; ``None`` when it is not there.
        ends_at: when a contract that expires ends.
        chain: a kept chain now; ``None`` when it is not kept.
        marks: prices of held contracts.
        clock: market time.
        smile_of: the last fit of a chain, if there is one.
    """

    def __init__(
        self,
        *,
        instrument_of: Callable[[InstrumentKey], Instrument | None],
        ends_at: Callable[[Instrument, date], datetime],
        chain: Callable[[ChainKey], ChainView | None],
        marks: Marks,
        clock: Clock,
        smile_of: Callable[[ChainKey], Smile | None],
    ) -> None:
        self._instrument_of = instrument_of
        self._ends_at = ends_at
        self._chain = chain
        self._marks = marks
        self._clock = clock
        self._smile_of = smile_of

    def layout(self, legs: Sequence[Leg]) -> LegLayout:
        """Look legs up in today's dump; good until the legs or the day change."""
        instruments = tuple(self._instrument_of(leg.instrument) for leg in legs)
        unknown = np.iinfo(np.uint8).max
        chains: dict[ChainKey, list[int]] = {}
        for place, instrument in enumerate(instruments):
            if instrument is not None and (key := chain_key(instrument)) is not None:
                chains.setdefault(key, []).append(place)
        kind = np.array([unknown if one is None else KINDS.get(one.kind, unknown) for one in instruments], np.uint8)
        return LegLayout(
            legs=tuple(legs),
            instruments=instruments,
            kind=kind,
            strike=np.array(
                [np.nan if one is None or one.strike is None else float(one.strike) for one in instruments], np.float64
            ),
            token=np.array([leg.token for leg in legs], np.int64),
            signed_quantity=np.array([leg.holding.signed_quantity for leg in legs], np.int64),
            multiplier=np.array([float(leg.multiplier) for leg in legs], np.float64),
            chains=tuple(
                ChainLegs(key, np.array(places, np.intp), kind[places] == LegKind.CALL)
                for key, places in chains.items()
            ),
            instants=tuple(
                None if one is None or one.expiry is None else self._ends_at(one, one.expiry) for one in instruments
            ),
        )

    def read(self, layout: LegLayout) -> LegInputs:
        """The market's inputs of the legs now."""
        count, now = len(layout.legs), self._clock.market_now()
        marks = self._marks.columns(layout.token, layout.signed_quantity)
        years = np.full(count, FOREVER)
        for place, instant in enumerate(layout.instants):
            if instant is not None:
                years[place] = years_to_expiry(now, instant).years
        forward, volatility = np.full(count, np.nan), np.full(count, np.nan)
        other, fitted = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        future = layout.kind == LegKind.FUTURE
        # Without a mid a future is shown at its last price, if that may be trusted.
        last = np.where(marks.trusted, marks.last, np.nan)
        forward[future] = np.where(np.isfinite(marks.mid), marks.mid, last)[future]
        views: dict[ChainKey, ChainView] = {}
        for group in layout.chains:
            view = self._chain(group.key)
            if view is None or not view.strikes.size:
                continue
            views[group.key] = view
            places, header = group.places, view.header
            years[places] = header.seconds_to_expiry / SECONDS_PER_YEAR
            if header.forward is not None:
                forward[places] = header.forward
            rows = np.minimum(np.searchsorted(view.strikes, layout.strike[places]), view.strikes.size - 1)
            listed = view.strikes[rows] == layout.strike[places]
            call, put = view.calls.implied_volatility[rows], view.puts.implied_volatility[rows]
            own = np.where(listed, np.where(group.is_call, call, put), np.nan)
            mirrored = np.where(listed, np.where(group.is_call, put, call), np.nan)
            volatility[places] = np.where(np.isnan(own), mirrored, own)
            other[places] = np.isnan(own) & ~np.isnan(mirrored)
            bare = places[np.isnan(volatility[places])]
            smile = self._smile_of(group.key) if bare.size else None
            if smile is not None:
                volatility[bare] = smile.volatility(layout.strike[bare])
                fitted[bare] = np.isfinite(volatility[bare])
        return LegInputs(
            at=now,
            years=years,
            forward=forward,
            volatility=volatility,
            mid=marks.mid,
            from_other_side=other,
            from_smile=fitted,
            views=views,
        )

    def reasons(self, layout: LegLayout, inputs: LegInputs) -> Iterator[str]:
        """Which legs lack an input and why, and which volatilities are not a leg's own; one sentence each."""
        for place, (leg, instrument) in enumerate(zip(layout.legs, layout.instruments, strict=True)):
            if not leg.holding.signed_quantity:
                continue
            name = f"{leg_name(leg)} {leg.instrument.tradingsymbol}"
            if instrument is None:
                yield f"{name} is not among today's instruments."
            elif layout.kind[place] > LegKind.FUTURE:
                yield f"{name}: no model for {instrument.kind}."
            elif layout.kind[place] == LegKind.FUTURE:
                if np.isnan(inputs.forward[place]):
                    yield f"{name} has no price."
            else:
                yield from _option_reasons(name, instrument, place, inputs)


def chain_key(instrument: Instrument) -> ChainKey | None:
    """The chain of an option; ``None`` for anything else."""
    if not instrument.kind.is_option or instrument.expiry is None:
        return None
    return ChainKey(instrument.name, instrument.expiry)


def _option_reasons(name: str, instrument: Instrument, place: int, inputs: LegInputs) -> Iterator[str]:
    key = chain_key(instrument)
    view = inputs.views.get(key) if key is not None else None
    if view is None:
        yield f"{name}: the chain of {instrument.name} {instrument.expiry} is not marked yet."
    elif np.isnan(inputs.forward[place]):
        yield f"{name}: {view.header.reason or 'its expiry has no forward'}."
    elif np.isnan(inputs.volatility[place]):
        if inputs.years[place] > 0:
            yield f"{name} has no volatility: {_iv_words(view, instrument)}."
    elif inputs.from_other_side[place]:
        side = "put" if instrument.kind is InstrumentKind.CALL else "call"
        yield f"{name} is valued at the volatility of the {side} at its strike: {_iv_words(view, instrument)}."
    elif inputs.from_smile[place]:
        yield f"{name} is valued at the fitted smile's volatility: {_iv_words(view, instrument)}."


def _iv_words(view: ChainView, instrument: Instrument) -> str:
    side = view.calls if instrument.kind is InstrumentKind.CALL else view.puts
    found = np.flatnonzero(side.token == instrument.token)
    if not found.size:
        return "its chain does not list it"
    return IV_WORDS.get(IvReason(int(side.iv_reason[found[0]])), "its price is impossible")
