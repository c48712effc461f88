"""One step towards the deviation at which a normalised option has a given price; the heart of implied volatility.

With ``k`` the log-moneyness (>= 0, out-of-the-money side), ``s`` the total deviation and ``b`` the price, the equation
``ln b(s) = ln target`` is solved for ``ln s``. In these variables the equation is nearly straight everywhere (exactly
so at the money close to expiry), which is why one rational step of fifth order suffices from a volatility that is a
third of a percent off. With ``h = k / s``, ``t = s / 2``, ``w = d ln b / d ln s``, ``alpha = h^2 - t^2`` and
``gamma = h^2 + t^2``, the higher derivatives divided by ``w`` follow in closed form:

    h2 = 1 + alpha - w
    h3 = h2^2 + h2',           h2' = -2 gamma - w h2
    h4 = h2 h3 + 2 h2 h2' + d,   d = 4 alpha - w h3

and the step is Householder's: ``nu (24 + 24 h2 nu + 4 h3 nu^2) / (24 + 36 h2 nu + (6 h2^2 + 8 h3) nu^2 + h4 nu^3)``
where ``nu`` is Newton's step in ``ln s``.

Above half of its maximum the price is flat; there the same is done for what is *missing* to the maximum.

Invariant: ``nu`` says how far the deviation given was from the solution, relatively. The step is trusted by its caller
only where ``|nu|`` was at most ``TRUSTED_STEP``: a step that is small only because its numerator vanishes has a large
``nu`` and is not mistaken for convergence.

References: Householder (1970); Jäckel, "Let's be rational" (2015).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from scipy.special import erfcx

from engine.analytics.arrays import FloatArray, constant
from engine.analytics.normalised import SERIES_DEVIATION, SERIES_SCRATCH, SQRT_HALF, erfcx_difference_series
from engine.analytics.workspace import Workspace

TRUSTED_STEP: Final = 3e-3
"""Newton step from which the step taken leaves a relative error under 5e-14: it is of fifth order, and its constant is
at most 0.14 between one minute and ten years, 0.5 % and 500 %."""

SERIES_LIMIT: Final = SERIES_DEVIATION / (0.5 * SQRT_HALF)
"""Total deviation below which the difference of the two scaled error functions is summed as a series."""

FIRST_FREE_ROW: Final = 19
"""Rows of a workspace below this one belong to the step."""

_ROOT_HALF: Final = constant(SQRT_HALF)
_HALF_ROOT_HALF: Final = constant(0.5 * SQRT_HALF)
_DEVIATION_TO_SLOPE: Final = constant(math.sqrt(2.0 / math.pi))
_NEGATIVE_DEVIATION_TO_SLOPE: Final = constant(-math.sqrt(2.0 / math.pi))
_ONE: Final = constant(1.0)
_FOUR: Final = constant(4.0)

_RATIONAL: Final = np.array([[24.0, 24.0, 4.0, 0.0, 0.0], [24.0, 36.0, 8.0, 1.0, 6.0]])
"""Numerator and denominator of the step over 1, ``h2 nu``, ``h3 nu^2``, ``h4 nu^3`` and ``(h2 nu)^2``."""
_RATIONAL.flags.writeable = False


def step(
    ratio: FloatArray, half_inverse_part: FloatArray, deviation: FloatArray, workspace: Workspace, *, upper: bool
) -> FloatArray:
    """Move every deviation towards its solution, in place. The caller silences floating-point warnings.

    Args:
        ratio: ``k >= 0``, shape ``(n,)``.
        half_inverse_part: ``0.5 * min(F, K) / value`` where the value is the out-of-the-money price, or what is
            missing from it to its maximum when ``upper``; shape ``(n,)``.
        deviation: ``s > 0``, shape ``(n,)``; becomes the better one, NaN where there is none.
        workspace: rows 0 to ``FIRST_FREE_ROW - 1`` are overwritten; the arguments must not lie there.
        upper: whether the values are missing parts.

    Returns:
        ``nu``, one of the workspace's rows.
    """
    size = deviation.size
    table = workspace.table(size)
    rows = workspace.rows(size)
    arguments, scaled, basis, rational = table[0:2], table[2:4], table[4:9], table[9:11]
    near, far = rows[0], rows[1]
    difference, slope, square, alpha, second, change, third, nu = rows[11:19]

    # In these rows, until they are needed: h / sqrt 2 and t / sqrt 2.
    np.multiply(ratio, _ROOT_HALF, out=second)
    np.divide(second, deviation, out=second)
    np.multiply(deviation, _HALF_ROOT_HALF, out=third)
    np.subtract(second, third, out=near)
    np.add(second, third, out=far)
    if upper:
        np.negative(near, out=near)
        erfcx(arguments, scaled)
        np.add(rows[2], rows[3], out=difference)
        np.divide(deviation, difference, out=slope)
        np.multiply(slope, _NEGATIVE_DEVIATION_TO_SLOPE, out=slope)
    else:
        _difference(second, third, deviation, table, difference)
        np.divide(deviation, difference, out=slope)
        np.multiply(slope, _DEVIATION_TO_SLOPE, out=slope)
    np.multiply(difference, half_inverse_part, out=difference)
    np.log(difference, out=difference)
    np.multiply(near, near, out=square)
    np.subtract(square, difference, out=nu)
    np.divide(nu, slope, out=nu)

    # alpha = 2 * near * far, and 2 gamma = 4 * near^2 + 2 k; when upper, near has the other sign.
    np.multiply(near, far, out=alpha)
    np.add(alpha, alpha, out=alpha)
    if upper:
        np.negative(alpha, out=alpha)
    # second = h2, change = -h2', third = h3, alpha = d and then h3' = d - 2 h2 change, change = h4.
    np.add(alpha, _ONE, out=second)
    np.subtract(second, slope, out=second)
    np.multiply(square, _FOUR, out=square)
    np.add(square, ratio, out=square)
    np.add(square, ratio, out=square)
    np.multiply(slope, second, out=change)
    np.add(change, square, out=change)
    np.multiply(second, second, out=third)
    np.subtract(third, change, out=third)
    np.multiply(slope, third, out=slope)
    np.multiply(alpha, _FOUR, out=alpha)
    np.subtract(alpha, slope, out=alpha)
    np.multiply(second, change, out=change)
    np.add(change, change, out=change)
    np.subtract(alpha, change, out=alpha)
    np.multiply(second, third, out=change)
    np.add(change, alpha, out=change)

    # The rows of the basis: 1, h2 nu, h3 nu^2, h4 nu^3, (h2 nu)^2; one product gives numerator and denominator.
    rows[4].fill(1.0)
    np.multiply(second, nu, out=rows[5])
    np.multiply(nu, nu, out=square)
    np.multiply(third, square, out=rows[6])
    np.multiply(square, nu, out=square)
    np.multiply(change, square, out=rows[7])
    np.multiply(rows[5], rows[5], out=rows[8])
    np.dot(_RATIONAL, basis, out=rational)
    np.divide(rows[9], rows[10], out=square)
    np.multiply(square, nu, out=square)
    np.exp(square, out=square)
    np.multiply(deviation, square, out=deviation)
    return nu


def _difference(
    centre: FloatArray, half: FloatArray, deviation: FloatArray, table: FloatArray, out: FloatArray
) -> None:
    """Write ``erfcx(centre - half) - erfcx(centre + half)``; rows 0 and 1 of the table hold the arguments."""
    if np.fmax.reduce(deviation) < SERIES_LIMIT:
        erfcx_difference_series(centre, half, out, table[2 : 2 + SERIES_SCRATCH])
        return
    erfcx(table[0:2], table[2:4])
    np.subtract(table[2], table[3], out=out)
    small = deviation < SERIES_LIMIT
    if np.count_nonzero(small):
        chosen = np.flatnonzero(small)
        part = np.empty(chosen.size)
        erfcx_difference_series(centre[chosen], half[chosen], part, np.empty((SERIES_SCRATCH, chosen.size)))
        out[chosen] = part
