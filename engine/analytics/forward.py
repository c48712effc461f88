"""The forward of one expiry: from put-call parity near the money, or from the listed future.

Every strike with a live call and put says what the forward is: ``K + (C - P) * exp(r T)``. The strikes nearest
the money say it best (their spreads are smallest), a single broken quote must not move the answer, and the reader must
be able to see how good it is; hence the median-based rejection, the dispersion and the grade.

Grades of a parity forward (``dispersion`` is the standard deviation of the strikes used):

* ``A``: at least 5 strikes, dispersion at most 2 basis points of the forward;
* ``B``: at least 3 strikes, dispersion at most 10 basis points;
* ``C``: anything less, one strike included, or an answer implausibly far from the hint;
* ``none``: no strike with both prices. Then the forward is NaN, and nothing is put in its place.

In the closing auction the index stands still for minutes while futures and options trade on: the *spot* then is the
synthetic one, the forward discounted by the carry measured while the index still moved (:func:`current_spot`).
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import FloatArray, as_floats

NEAR_STRIKES: Final = 8
"""How many strikes nearest the money are asked."""

GRADE_A_STRIKES: Final = 5
GRADE_A_DISPERSION: Final = 2e-4
GRADE_B_STRIKES: Final = 3
GRADE_B_DISPERSION: Final = 10e-4

OUTLIER_DEVIATIONS: Final = 3.0
"""Robust standard deviations from the median beyond which a strike is left out."""

OUTLIER_FLOOR: Final = 1e-4
"""Part of the forward a strike may always differ by: half spreads are this large on good days."""

_MEDIAN_DEVIATION_TO_SIGMA: Final = 1.4826
"""For a normal distribution the standard deviation is this many median absolute deviations."""

HINT_TOLERANCE: Final = 0.02
HINT_TOLERANCE_PER_YEAR: Final = 0.20
"""Relative distance from the hint, plus so much per year of carry, beyond which the grade is capped at C."""

LARGEST_CARRY: Final = 1.0
"""A forward that is e times the spot, or a part of it, is a broken number."""


class ForwardSource(StrEnum):
    """Where a forward came from; always shown beside it."""

    PARITY = "parity"
    FUTURE = "future"
    NONE = "none"


class ForwardGrade(StrEnum):
    """How far a forward may be trusted; thresholds in the module's description. A future has no grade."""

    A = "A"
    B = "B"
    C = "C"
    NONE = "none"


class SpotSource(StrEnum):
    """Where a spot came from; always shown beside it."""

    INDEX = "index"
    SYNTHETIC = "synthetic"
    NONE = "none"


class ForwardEstimate(NamedTuple):
    """A forward with its pedigree."""

    forward: float
    """Index points; NaN when there is none."""
    source: ForwardSource
    grade: ForwardGrade
    strikes_used: int
    """Distinct strikes behind a parity forward after rejection; 0 for a future."""
    dispersion: float
    """Standard deviation of those strikes' answers, index points; NaN with fewer than two."""
    strikes_rejected: int
    """Strikes near the money that were left out as outliers."""

    @property
    def standard_error(self) -> float:
        """How far a parity forward itself may be off, index points: the dispersion over the root of its strikes."""
        return self.dispersion / math.sqrt(self.strikes_used) if self.strikes_used > 1 else math.nan


class ChosenForward(NamedTuple):
    """The forward to use, and what spoke for it."""

    estimate: ForwardEstimate
    reason: str
    """Why it is not the one that is taken first; empty when it is."""
    disagreement: float
    """Parity forward less future, index points; NaN unless there are both. More than a few spreads of it means that
    one of the two is old."""


class SpotEstimate(NamedTuple):
    """The value of the underlying now, with its pedigree."""

    spot: float
    """Index points; NaN when there is none."""
    source: SpotSource
    reason: str
    """Why it is not the index itself; empty when it is."""


NO_FORWARD: Final = ForwardEstimate(math.nan, ForwardSource.NONE, ForwardGrade.NONE, 0, math.nan, 0)


def from_parity(
    strikes: ArrayLike,
    call_mid: ArrayLike,
    put_mid: ArrayLike,
    years: float,
    rate: float,
    *,
    hint: float | None = None,
    near_strikes: int = NEAR_STRIKES,
) -> ForwardEstimate:
    """Return the forward that put-call parity implies near the money.

    Args:
        strikes: index points, shape ``(n,)``, any order.
        call_mid: mid of live two-sided call quotes, shape ``(n,)``; NaN where there is none.
        put_mid: the same for puts.
        years: ACT/365 to the expiry instant, >= 0.
        rate: continuously compounded.
        hint: spot or future, index points. Used only to find the money, and to distrust an answer far from it;
            without it the money is at the median of all strikes' answers.
        near_strikes: how many strikes to ask.

    Returns:
        The estimate; ``NO_FORWARD`` when nothing can be said.

    Raises:
        ValueError: the three arrays differ in shape.
    """
    k, call, put = as_floats(strikes), as_floats(call_mid), as_floats(put_mid)
    if not k.shape == call.shape == put.shape:
        raise ValueError(
            f"strikes {k.shape}, call_mid {call.shape} and put_mid {put.shape} must have one shape: "
            "give one element per strike"
        )
    if not (math.isfinite(years) and years >= 0.0 and math.isfinite(rate)):
        return NO_FORWARD
    with np.errstate(all="ignore"):
        implied = k + (call - put) * np.exp(rate * years)
        usable = np.isfinite(implied) & (k > 0.0) & (call > 0.0) & (put > 0.0) & (implied > 0.0)
    k, implied = k[usable], implied[usable]
    if not k.size:
        return NO_FORWARD
    with np.errstate(all="ignore"):
        return _from_answers(k, implied, years, hint, near_strikes)


def _from_answers(
    k: FloatArray, implied: FloatArray, years: float, hint: float | None, near_strikes: int
) -> ForwardEstimate:
    """Choose among the strikes' answers; at least one, all positive and finite."""
    known_hint = hint is not None and math.isfinite(hint) and hint > 0.0
    centre = hint if hint is not None and known_hint and k.min() <= hint <= k.max() else _median(implied)
    near = np.argsort(np.abs(k - centre), kind="stable")[:near_strikes]
    k, implied = k[near], implied[near]
    middle = _median(implied)
    away = np.abs(implied - middle)
    allowed = max(OUTLIER_DEVIATIONS * _MEDIAN_DEVIATION_TO_SIGMA * _median(away), OUTLIER_FLOOR * middle)
    kept = away <= allowed
    used = implied[kept]
    forward = float(used.mean())
    if not math.isfinite(forward):
        return NO_FORWARD
    dispersion = float(used.std(ddof=1)) if used.size > 1 else math.nan
    strikes_used = len(set(k[kept].tolist()))
    grade = _grade(forward, dispersion, strikes_used)
    if hint is not None and known_hint and _far_from_hint(forward, hint, years):
        grade = ForwardGrade.C
    return ForwardEstimate(forward, ForwardSource.PARITY, grade, strikes_used, dispersion, int(k.size - used.size))


def from_future(price: float) -> ForwardEstimate:
    """Return the listed future of the same expiry as the forward; ``NO_FORWARD`` when its price is no price."""
    if not (math.isfinite(price) and price > 0.0):
        return NO_FORWARD
    return ForwardEstimate(float(price), ForwardSource.FUTURE, ForwardGrade.NONE, 0, math.nan, 0)


def carry(forward: float, spot: float, years: float) -> float:
    """Return the annualised carry ``ln(F / S) / T`` (continuous; 0.065 = 6.5 %), NaN where it is undefined."""
    values = (forward, spot, years)
    if not all(math.isfinite(value) and value > 0.0 for value in values):
        return math.nan
    return (math.log(forward) - math.log(spot)) / years


def choose_forward(
    parity: ForwardEstimate, future: ForwardEstimate, *, prefer: ForwardSource = ForwardSource.PARITY
) -> ChosenForward:
    """Choose between the parity forward and the listed future of the same expiry.

    The preferred one is taken if it is there; but a parity forward of grade C (one strike, or strikes that
    disagree) gives way to a future.

    Args:
        parity: of :func:`from_parity`, perhaps ``NO_FORWARD``.
        future: of :func:`from_future`, perhaps ``NO_FORWARD``: weekly expiries have none.
        prefer: ``PARITY`` or ``FUTURE``.
    """
    has_parity, has_future = parity.source is ForwardSource.PARITY, future.source is ForwardSource.FUTURE
    disagreement = parity.forward - future.forward if has_parity and has_future else math.nan
    if not (has_parity or has_future):
        return ChosenForward(
            NO_FORWARD, "no strike has both a live call and a live put, and no future a price", math.nan
        )
    if prefer is ForwardSource.FUTURE:
        if has_future:
            return ChosenForward(future, "", disagreement)
        return ChosenForward(parity, "no future of this expiry has a price", disagreement)
    if not has_parity:
        return ChosenForward(future, "no strike has both a live call and a live put", disagreement)
    if parity.grade is ForwardGrade.C and has_future:
        return ChosenForward(future, f"parity is of grade C ({parity.strikes_used} strikes)", disagreement)
    return ChosenForward(parity, "", disagreement)


def current_spot(
    index: float, *, is_moving: bool, forward: float, years: float, last_carry: float = math.nan
) -> SpotEstimate:
    """Return the underlying's value: the index while it moves, else the synthetic one behind the forward.

    Args:
        index: last index value, index points; NaN when unknown.
        is_moving: false while the exchange does not move it (closing auction), or its path is suspect.
        forward: of an expiry whose options or future trade, index points; NaN when unknown.
        years: ACT/365 to that expiry, >= 0.
        last_carry: annualised :func:`carry` of that expiry, measured while the index moved.

    Returns:
        The synthetic spot is ``forward * exp(-last_carry * years)``. Without a carry there is none: the forward itself
        is another figure, and an index that stands still is not the market.
    """
    if is_moving and math.isfinite(index) and index > 0.0:
        return SpotEstimate(float(index), SpotSource.INDEX, "")
    still = "the index does not move" if not is_moving else "the index is not known"
    if not (math.isfinite(forward) and forward > 0.0 and math.isfinite(years) and years >= 0.0):
        return SpotEstimate(math.nan, SpotSource.NONE, f"{still}, and there is no forward")
    if not math.isfinite(last_carry):
        return SpotEstimate(math.nan, SpotSource.NONE, f"{still}, and its carry was not measured before")
    if abs(last_carry * years) > LARGEST_CARRY:
        return SpotEstimate(math.nan, SpotSource.NONE, f"{still}, and the carry measured before is impossible")
    return SpotEstimate(forward * math.exp(-last_carry * years), SpotSource.SYNTHETIC, still)


def _median(values: FloatArray) -> float:
    """The median; several times faster than numpy's general one on a handful of values."""
    ordered = np.sort(values)
    half = ordered.size // 2
    if ordered.size % 2:
        return float(ordered[half])
    return 0.5 * float(ordered[half - 1] + ordered[half])


def _grade(forward: float, dispersion: float, strikes: int) -> ForwardGrade:
    """Apply the thresholds of the module's description."""
    if strikes >= GRADE_A_STRIKES and dispersion <= GRADE_A_DISPERSION * forward:
        return ForwardGrade.A
    if strikes >= GRADE_B_STRIKES and dispersion <= GRADE_B_DISPERSION * forward:
        return ForwardGrade.B
    return ForwardGrade.C


def _far_from_hint(forward: float, hint: float, years: float) -> bool:
    """Whether no plausible carry explains the distance."""
    return abs(forward / hint - 1.0) > HINT_TOLERANCE + HINT_TOLERANCE_PER_YEAR * years
