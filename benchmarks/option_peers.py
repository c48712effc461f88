"""Other ways to get implied volatilities and five Greeks of a chain, for comparison; used by ``benchmarks.analytics``.

Libraries are optional: one that is not installed is reported as such. Newton's method on numpy and a bracketed root
search per option are always there.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from engine.analytics.arrays import BoolArray, FloatArray
from engine.analytics.greeks import greeks

NEWTON_STEPS: Final = 8

Library = Any
"""A module that may not be installed."""


class Problem(NamedTuple):
    """A chain of one expiry with exact premiums."""

    forward: float
    years: float
    rate: float
    strike: FloatArray
    is_call: BoolArray
    volatility: FloatArray
    premium: FloatArray


class Peer(NamedTuple):
    """A way to solve the problem; ``prepare`` returns what is timed, which returns the volatilities."""

    name: str
    prepare: Callable[[Problem], Callable[[], FloatArray]]
    largest: int
    """More options than this take too long to wait for."""


class Absent(NamedTuple):
    """A library that is not installed."""

    name: str


def plain_price(
    problem: Problem, volatility: FloatArray, sign: FloatArray, strike: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The textbook formula and its vega, as one would write it first."""
    deviation = volatility * math.sqrt(problem.years)
    d1 = np.log(problem.forward / strike) / deviation + 0.5 * deviation
    discount = math.exp(-problem.rate * problem.years)
    value = discount * sign * (problem.forward * ndtr(sign * d1) - strike * ndtr(sign * (d1 - deviation)))
    vega = discount * problem.forward * np.exp(-0.5 * d1 * d1) * math.sqrt(problem.years / (2 * math.pi))
    return value, vega


def _newton(problem: Problem) -> Callable[[], FloatArray]:
    sign = np.where(problem.is_call, 1.0, -1.0)

    def run() -> FloatArray:
        volatility = np.full(problem.strike.shape, 0.3)
        for _ in range(NEWTON_STEPS):
            value, vega = plain_price(problem, volatility, sign, problem.strike)
            volatility = np.clip(volatility - (value - problem.premium) / np.maximum(vega, 1e-8), 0.01, 5.0)
        _our_greeks(problem, volatility)
        return volatility

    return run


def _our_greeks(problem: Problem, volatility: FloatArray) -> None:
    greeks(problem.forward, problem.strike, problem.years, problem.rate, volatility, is_call=problem.is_call)


def _brent(problem: Problem) -> Callable[[], FloatArray]:
    root_of_time, discount = math.sqrt(problem.years), math.exp(-problem.rate * problem.years)

    def error(volatility: float, strike: float, sign: float, premium: float) -> float:
        deviation = volatility * root_of_time
        d1 = math.log(problem.forward / strike) / deviation + 0.5 * deviation
        upper = 0.5 * math.erfc(-sign * d1 / math.sqrt(2))
        lower = 0.5 * math.erfc(-sign * (d1 - deviation) / math.sqrt(2))
        return discount * sign * (problem.forward * upper - strike * lower) - premium

    sign = np.where(problem.is_call, 1.0, -1.0)
    rows = list(zip(problem.strike.tolist(), sign.tolist(), problem.premium.tolist(), strict=True))

    def run() -> FloatArray:
        volatility = np.array([brentq(error, 1e-3, 5.0, args=row, xtol=1e-12) for row in rows])
        _our_greeks(problem, volatility)
        return volatility

    return run


def _pyvolr(library: Library) -> Callable[[Problem], Callable[[], FloatArray]]:
    """Its array interface, with numeric flags, which it takes fastest."""
    model = library.black76

    def prepare(problem: Problem) -> Callable[[], FloatArray]:
        flag = np.where(problem.is_call, 1, -1).astype(np.int8)
        f, k, t, r = problem.forward, problem.strike, problem.years, problem.rate

        def run() -> FloatArray:
            found: FloatArray = model.implied_vol(problem.premium, flag, f, k, t, r, on_error="ignore")
            model.greeks(flag, f, k, t, r, found)
            return found

        return run

    return prepare


def _pyvolr_scalar(library: Library) -> Callable[[Problem], Callable[[], FloatArray]]:
    """Its interface for one option, in a loop."""
    model = library.black76

    def prepare(problem: Problem) -> Callable[[], FloatArray]:
        rows = _rows(problem)
        f, t, r = problem.forward, problem.years, problem.rate

        def run() -> FloatArray:
            found = []
            for flag, k, premium in rows:
                volatility = model.implied_vol(premium, flag, f, k, t, r)
                model.greeks(flag, f, k, t, r, volatility)
                found.append(volatility)
            return np.array(found)

        return run

    return prepare


def _iv_engine(library: Library) -> Callable[[Problem], Callable[[], FloatArray]]:
    """It takes calls and puts apart, and has no theta and no rho for arrays; delta, gamma and vega only."""

    def prepare(problem: Problem) -> Callable[[], FloatArray]:
        discount = math.exp(-problem.rate * problem.years)
        sides = []
        for is_call in (True, False):
            chosen = np.flatnonzero(problem.is_call == is_call)
            fill = np.ones(chosen.size)
            sides.append((
                is_call, chosen, problem.premium[chosen] / discount, problem.forward * fill, problem.strike[chosen],
                problem.years * fill,
            ))  # fmt: skip
        found = np.empty(problem.strike.size)

        def run() -> FloatArray:
            for is_call, chosen, premium, f, k, t in sides:
                volatility = library.implied_volatilities(premium, f, k, t, is_call, parallel=False)
                library.deltas(f, k, t, volatility, is_call, parallel=False)
                library.gammas(f, k, t, volatility, parallel=False)
                library.vegas(f, k, t, volatility, parallel=False)
                found[chosen] = volatility
            return found

        return run

    return prepare


def _fast_vollib(library: Library) -> Callable[[Problem], Callable[[], FloatArray]]:
    """The successor of py_vollib_vectorized, on its fastest backend that is there."""

    def prepare(problem: Problem) -> Callable[[], FloatArray]:
        flag = np.where(problem.is_call, "c", "p")
        f, k, t, r = problem.forward, problem.strike, problem.years, problem.rate

        def run() -> FloatArray:
            found: FloatArray = np.asarray(
                library.fast_implied_volatility_black(problem.premium, f, k, r, t, flag, return_as="numpy")
            ).reshape(-1)
            library.get_all_greeks(flag, f, k, t, r, found, model="black", return_as="dict")
            return found

        return run

    return prepare


def _vollib(library: Library) -> Callable[[Problem], Callable[[], FloatArray]]:
    solve = importlib.import_module(f"{library.__name__}.black.implied_volatility").implied_volatility
    analytical = importlib.import_module(f"{library.__name__}.black.greeks.analytical")
    derivatives = [getattr(analytical, name) for name in ("delta", "gamma", "theta", "vega", "rho")]

    def prepare(problem: Problem) -> Callable[[], FloatArray]:
        rows = _rows(problem)
        f, t, r = problem.forward, problem.years, problem.rate

        def run() -> FloatArray:
            found = []
            for flag, k, premium in rows:
                volatility = solve(premium, f, k, r, t, flag)
                for derivative in derivatives:
                    derivative(flag, f, k, t, r, volatility)
                found.append(volatility)
            return np.array(found)

        return run

    return prepare


def _lets_be_rational(library: Library) -> Callable[[Problem], Callable[[], FloatArray]]:
    """Volatilities only; it has no Greeks."""
    solve = library.implied_volatility_from_a_transformed_rational_guess

    def prepare(problem: Problem) -> Callable[[], FloatArray]:
        growth = math.exp(problem.rate * problem.years)
        rows = [(p * growth, k, 1.0 if flag == "c" else -1.0) for flag, k, p in _rows(problem)]
        return lambda: np.array([solve(p, problem.forward, k, problem.years, sign) for p, k, sign in rows])

    return prepare


def _quantlib(library: Library) -> Callable[[Problem], Callable[[], FloatArray]]:
    """Its formula for one option in a loop: deviation by Newton's method, then its calculator's Greeks."""

    def prepare(problem: Problem) -> Callable[[], FloatArray]:
        kinds = {"c": library.Option.Call, "p": library.Option.Put}
        rows = [(kinds[flag], k, premium) for flag, k, premium in _rows(problem)]
        f, t, discount = problem.forward, problem.years, math.exp(-problem.rate * problem.years)
        root = math.sqrt(t)

        def run() -> FloatArray:
            found = []
            for kind, k, premium in rows:
                deviation = library.blackFormulaImpliedStdDev(kind, k, f, premium, discount)
                at = library.BlackCalculator(library.PlainVanillaPayoff(kind, k), f, deviation, discount)
                at.deltaForward(), at.gammaForward(), at.vega(t), at.theta(f, t), at.rho(t)
                found.append(deviation / root)
            return np.array(found)

        return run

    return prepare


def _rows(problem: Problem) -> list[tuple[str, float, float]]:
    flags = ["c" if call else "p" for call in problem.is_call]
    return list(zip(flags, problem.strike.tolist(), problem.premium.tolist(), strict=True))


_LIBRARIES: Final = (
    ("pyvolr, arrays", "pyvolr", "pyvolr", _pyvolr, 1_000_000),
    ("pyvolr, one by one", "pyvolr", "pyvolr", _pyvolr_scalar, 2_000),
    ("iv-engine (no theta, rho)", "iv_engine", "iv-engine", _iv_engine, 1_000_000),
    ("fast-vollib", "fast_vollib", "fast-vollib", _fast_vollib, 20_000),
    ("vollib", "vollib", "vollib", _vollib, 200),
    ("py_lets_be_rational (IV only)", "py_lets_be_rational", "py_lets_be_rational", _lets_be_rational, 200),
    ("QuantLib, one by one", "QuantLib", "QuantLib", _quantlib, 2_000),
)


def peers() -> list[Peer | Absent]:
    """Every peer, in the order of the table; the first that is there is what ratios are taken of."""
    found: list[Peer | Absent] = []
    for name, module, distribution, make, largest in _LIBRARIES:
        try:
            library = importlib.import_module(module)
        except ImportError:
            found.append(Absent(name))
            continue
        version = importlib.metadata.version(distribution)
        found.append(Peer(name.replace(module, f"{module} {version}"), make(library), largest))
    found.append(Peer("newton on numpy", _newton, 1_000_000))
    found.append(Peer("brentq, one by one", _brent, 2_000))
    return found
