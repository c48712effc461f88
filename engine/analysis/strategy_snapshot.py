"""One strategy at one moment, with all that a picture of it is computed from; made on the loop, read in a thread."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

import msgspec
import numpy as np

from engine.analysis.strategy_legs import LegInputs, LegLayout, LegReader, chain_key
from engine.analytics.arrays import DAYS_PER_YEAR, FloatArray
from engine.analytics.legs import FOREVER, LegKind, Legs, make_legs, nearest_expiry
from engine.analytics.smile import Smile, SmileGrade
from engine.core.identifiers import StrategyNumber
from engine.core.instruments import Instrument
from engine.core.strategies import StrategyValue
from engine.core.views import ChainKey


class StrategySnapshot(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a strategy holds, what the market says of it, and what it has made and paid."""

    number: StrategyNumber
    at: datetime
    underlyings: tuple[str, ...]
    """Of the open legs."""
    chain: ChainKey | None
    """Of the nearest option expiry."""
    expiry: date | None
    """The nearest of the options, else of the futures."""
    legs: Legs
    """Open legs, and the realised money as cash."""
    rate: float
    charges: Decimal | None
    """Paid and to be paid to leave now."""
    smile: Smile | None
    atm_volatility: float
    """Of the nearest option expiry; NaN when unknown."""
    reasons: tuple[str, ...]

    @property
    def has_open_legs(self) -> bool:
        """Whether anything is held."""
        return bool((self.legs.kind != LegKind.CASH).any())

    @property
    def days_left(self) -> float:
        """Calendar days to the nearest expiry; infinite for what never expires."""
        held = self.legs.kind <= LegKind.FUTURE
        if not held.any() or not np.isfinite(self.legs.years[held]).any():
            return math.inf
        return nearest_expiry(self.legs) * DAYS_PER_YEAR


def snapshot(
    value: StrategyValue, reader: LegReader, *, rate: float, smile_of: Callable[[ChainKey], Smile | None]
) -> StrategySnapshot:
    """Read a strategy off the market.

    Args:
        value: the strategy valued now.
        reader: the market's inputs of legs.
        rate: continuously compounded, 0.065 is 6.5 %.
        smile_of: the last fit of a chain, if there is one.
    """
    layout = reader.layout([one.leg for one in value.legs if one.leg.holding.signed_quantity])
    inputs = reader.read(layout)
    nearest = _nearest(layout)
    chain = chain_key(nearest) if nearest is not None else None
    view = inputs.views.get(chain) if chain is not None else None
    smile = smile_of(chain) if chain is not None else None
    at_the_money = view.header.atm_volatility if view is not None else None
    charges = None
    if value.charges_paid is not None and value.exit_charges is not None:
        charges = value.charges_paid + value.exit_charges
    reasons = list(reader.reasons(layout, inputs))
    if charges is None:
        reasons.append("Charges are not taken off: " + " ".join(value.charge_notes))
    return StrategySnapshot(
        number=value.strategy.number,
        at=inputs.at,
        underlyings=tuple(sorted({one.name for one in layout.instruments if one is not None})),
        chain=chain,
        expiry=nearest.expiry if nearest is not None else None,
        legs=_legs(layout, inputs, float(value.realised)),
        rate=rate,
        charges=charges,
        smile=smile if smile is not None and smile.grade is not SmileGrade.NONE else None,
        atm_volatility=math.nan if at_the_money is None else at_the_money,
        reasons=tuple(reasons),
    )


def _nearest(layout: LegLayout) -> Instrument | None:
    """The option that expires first, else the future."""
    dated = [one for one in layout.instruments if one is not None and one.expiry is not None]
    options = [one for one in dated if one.kind.is_option]
    return min(options or dated, key=lambda one: one.expiry or date.max, default=None)


def _legs(layout: LegLayout, inputs: LegInputs, realised: float) -> Legs:
    """The columns of the analytics: what is held at its average price, and what has been realised as cash."""

    def column(values: FloatArray, cash: float) -> FloatArray:
        return np.append(values, cash)

    return make_legs(
        np.append(layout.kind, np.uint8(LegKind.CASH)),
        column(layout.signed_quantity.astype(np.float64), realised),
        strike=column(layout.strike, math.nan),
        entry_price=column(np.array([float(leg.holding.average_price) for leg in layout.legs]), 0.0),
        years=column(inputs.years, FOREVER),
        forward=column(inputs.forward, math.nan),
        volatility=column(inputs.volatility, math.nan),
        multiplier=column(layout.multiplier, 1.0),
    )
