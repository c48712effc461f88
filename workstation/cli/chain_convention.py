"""Which convention the volatilities of a printed chain are on: the desk's own, or another one for comparison.

Invariant: figures of another convention are never printed without its name; a side that has none is unknown.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from engine.client import EngineClient
from engine.core.analysis import SmileView
from engine.core.views import ChainView, Floats


class Convention(StrEnum):
    """How a price becomes a volatility."""

    FORWARD = "forward"
    """Black-76 on the expiry's forward, as everywhere in the desk."""
    NSE = "nse"
    KITE = "kite"


CONVENTION_WORDS: Final = {
    Convention.NSE: "As the exchange's website counts: Black-Scholes on the index, 10 %, whole calendar days.",
    Convention.KITE: "As the broker's screens count: Black-76 on the expiry's future, no interest, 252 trading days.",
}
_BESIDE: Final = "Out-of-the-money sides only; all other figures stay on the forward."


class ConventionalColumn(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Volatilities on another convention, one per strike."""

    name: Convention
    words: str
    volatility: Floats
    """Annual, 0.14 is 14 %, of the out-of-the-money side; NaN where unknown."""
    is_call: tuple[bool, ...]
    """Which side that is."""
    reason: str
    """Why it is unknown; empty when any of it is known."""

    def of_side(self, *, calls: bool) -> Floats:
        """What stands in the column of calls, or of puts: NaN on the side that is in the money."""
        return np.where(np.array(self.is_call, np.bool_) == calls, self.volatility, np.nan)


class ConventionalChain(ChainView, frozen=True, kw_only=True, eq=False):
    """What ``--convention`` prints with ``--json``: the chain as ever, and the volatilities beside it."""

    convention: ConventionalColumn


async def conventional(engine: EngineClient, view: ChainView, convention: Convention) -> ConventionalColumn:
    """The volatilities of a watched chain's strikes on a convention that is not the desk's own.

    Raises:
        UnknownInstrument: the chain is gone.
    """
    smile = await engine.smile(view.key)
    asked = smile.nse if convention is Convention.NSE else smile.kite
    at_strike = dict(zip(smile.strikes.tolist(), asked.tolist(), strict=True))
    volatility = np.array([at_strike.get(strike, np.nan) for strike in view.strikes.tolist()])
    forward = np.inf if smile.forward is None else smile.forward
    return ConventionalColumn(
        name=convention,
        words=f"{CONVENTION_WORDS[convention]} {_BESIDE}",
        volatility=volatility,
        is_call=tuple((view.strikes >= forward).tolist()),
        reason="" if np.isfinite(volatility).any() else _why(smile),
    )


def with_convention(view: ChainView, column: ConventionalColumn) -> ConventionalChain:
    """The chain and the column in one document."""
    return ConventionalChain(**msgspec.structs.asdict(view), convention=column)


def _why(smile: SmileView) -> str:
    return smile.reason or "no option of it has a price"
