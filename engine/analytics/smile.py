"""The fitted volatility smile of one expiry, as payoffs, scenarios and screens read it.

A smile is one SVI curve through all strikes, and per strike a second one through all the *others*. The second alone
may say whether the strike's own quote is dear or cheap: whatever is quoted there, its theoretical value does not move.

Invariant: a smile never raises because of a value, and gives NaN where it knows nothing.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import FloatArray, as_floats
from engine.analytics.smile_arbitrage import UNCHECKED, ButterflyCheck, Expiry
from engine.analytics.svi import COORDINATES, SviParameters, to_raw, total_variance


class StickyMode(StrEnum):
    """What stays when the forward moves."""

    STRIKE = "sticky strike"
    """Every strike keeps its volatility."""
    DELTA = "sticky delta"
    """Every moneyness ``K / F``, and with it every delta, keeps its volatility: the smile moves with the forward."""


class SmileGrade(StrEnum):
    """How far a smile may be trusted; thresholds in :mod:`engine.analytics.smile_fit`."""

    A = "A"
    B = "B"
    C = "C"
    NONE = "none"


class Smile(NamedTuple):
    """A fitted smile. Made by :func:`engine.analytics.smile_fit.fit_smile`."""

    row: FloatArray
    """SVI coordinates of the curve through all strikes, shape ``(5,)``; NaN without a fit."""
    forward: float
    """Forward it was fitted at, index points."""
    years: float
    """ACT/365 it was fitted at."""
    grade: SmileGrade
    reason: str
    """Why the grade is not A; empty when it is."""
    strikes_used: int
    lowest_strike: float
    """Quoted range, index points; beyond it the curve is extrapolated."""
    highest_strike: float
    rms_residual: float
    """Root mean square of the residuals of the strikes used, 0.01 = one vol point."""
    within: float
    """Share of the strikes used that the curve meets within two errors, 0 to 1."""
    butterfly: ButterflyCheck
    strikes: FloatArray
    """All strikes of the chain, shape ``(n,)``."""
    residual: FloatArray
    """Quoted less fitted volatility per strike, shape ``(n,)``; NaN where the strike was not used."""
    left_out: FloatArray
    """Per strike the coordinates of the curve fitted without it, shape ``(n, 5)``; NaN where there is none."""

    @property
    def parameters(self) -> SviParameters:
        """The raw SVI parameters; NaN without a fit."""
        return to_raw(self.row)

    @property
    def expiry(self) -> Expiry:
        """What the calendar check of several smiles needs."""
        with np.errstate(all="ignore"):
            low, high = np.log(np.array([self.lowest_strike, self.highest_strike]) / self.forward).tolist()
        return Expiry(self.row, self.years, low, high)

    def volatility(
        self, strikes: ArrayLike, *, forward: ArrayLike | None = None, mode: StickyMode = StickyMode.STRIKE
    ) -> FloatArray:
        """Read the curve through all strikes, also for a market that has moved.

        Args:
            strikes: index points.
            forward: of the moved market, index points, broadcastable with ``strikes``; default: unmoved.
            mode: what stays when the forward moves. With sticky strike the forward makes no difference.

        Returns:
            Annual volatility in the broadcast shape. Time that passes changes nothing: a strike (or a moneyness) keeps
            its volatility, not its total variance. NaN without a fit or where a strike or forward is none.
        """
        k, f = as_floats(strikes), as_floats(self.forward if forward is None else forward)
        shape = np.broadcast_shapes(np.shape(strikes), () if forward is None else np.shape(forward))
        with np.errstate(all="ignore"):
            moved = np.log(k / (f if mode is StickyMode.DELTA else self.forward))
            moved = np.where((k > 0.0) & (f > 0.0), moved, np.nan)
        return self._volatility(self.row, moved).reshape(shape)

    def theoretical_volatility(self, strikes: FloatArray, forward: float) -> FloatArray:
        """Return the volatility each strike should have by all the *other* strikes' quotes.

        Args:
            strikes: index points, shape ``(n,)``. One that was not in the chain when the smile was fitted was not
                fitted to either, and is read from the curve through all.
            forward: the present one; the curves move with it (sticky delta) until the next fit.

        Returns:
            Annual volatility, shape ``(n,)``; NaN without a fit.
        """
        with np.errstate(all="ignore"):
            k = np.where(strikes > 0.0, np.log(strikes / forward), np.nan)
        return self._volatility(self.rows_without(strikes), k)

    def rows_without(self, strikes: FloatArray) -> FloatArray:
        """Return for each strike the coordinates of the curve that was fitted without it, shape ``(n, 5)``."""
        if strikes is self.strikes or np.array_equal(strikes, self.strikes):
            return self.left_out
        rows = np.tile(self.row, (strikes.size, 1))
        known = {strike: place for place, strike in enumerate(self.strikes.tolist())}
        for place, strike in enumerate(strikes.tolist()):
            if strike in known:
                rows[place] = self.left_out[known[strike]]
        return rows

    def _volatility(self, rows: FloatArray, log_moneyness: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            value: FloatArray = np.sqrt(total_variance(rows, log_moneyness) / self.years)
        return value


def no_smile(strikes: FloatArray, forward: float, years: float, reason: str) -> Smile:
    """A smile that knows nothing, and why."""
    return Smile(
        row=np.full(COORDINATES, np.nan),
        forward=forward,
        years=years,
        grade=SmileGrade.NONE,
        reason=reason,
        strikes_used=0,
        lowest_strike=math.nan,
        highest_strike=math.nan,
        rms_residual=math.nan,
        within=math.nan,
        butterfly=UNCHECKED,
        strikes=strikes,
        residual=np.full(strikes.shape, np.nan),
        left_out=np.full((strikes.size, COORDINATES), np.nan),
    )
