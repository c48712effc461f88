"""A made-up expiry on a known SVI curve, and the real snapshot where the machine has it."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.chain import SideQuotes
from engine.analytics.smile_fit import SmileQuotes
from engine.analytics.svi import SviParameters, total_variance
from tests.unit.analytics.plain_kernels import from_raw

FORWARD, YEARS, RATE = 24_216.5, 9.25 / 365, 0.065
STRIKES = np.arange(22_700.0, 25_750.0, 50.0)
TRUTH = SviParameters(a=-2.0e-4, b=0.02, rho=-0.25, m=0.004, sigma=0.03)
TICK = 0.05
LOT = 65

SNAPSHOT = Path(__file__).resolve().parents[3].parent / "shared" / "samples" / "nse_chain_NIFTY_2026-07.json.gz"
needs_snapshot = pytest.mark.skipif(not SNAPSHOT.exists(), reason="the real chain snapshot is not on this machine")


class RealChain(NamedTuple):
    """The exchange's chain at one close; open interest and volume in units."""

    strikes: FloatArray
    call: SideQuotes
    put: SideQuotes
    spot: float
    years: float


def true_volatility(strikes: FloatArray, parameters: SviParameters = TRUTH) -> FloatArray:
    """The curve the made-up quotes lie on."""
    return np.sqrt(total_variance(from_raw(parameters), np.log(strikes / FORWARD)) / YEARS)


def exact_quotes(strikes: FloatArray = STRIKES, uncertainty: float = 0.0005) -> SmileQuotes:
    """Quotes on the curve, all equally certain."""
    return SmileQuotes(true_volatility(strikes), np.full(strikes.shape, uncertainty))


def noisy_quotes(seed: int, size: float = 0.002, strikes: FloatArray = STRIKES) -> SmileQuotes:
    """Quotes scattered about the curve, absolute volatility."""
    noise = np.random.default_rng(seed).normal(0.0, size, strikes.size)
    return SmileQuotes(true_volatility(strikes) + noise, np.full(strikes.shape, size))


def side_quotes(is_call: bool, *, strikes: FloatArray = STRIKES, half_spread: float = 0.25) -> SideQuotes:
    """Two-sided quotes about the prices of the curve, never below a tick."""
    fair = price(FORWARD, strikes, YEARS, RATE, true_volatility(strikes), is_call=is_call)
    bid, ask = np.maximum(fair - half_spread, 0.5 * fair), fair + np.minimum(half_spread, 0.5 * fair)
    distance = np.abs(strikes - FORWARD)
    interest = np.round(20_000.0 * np.exp(-distance / 400.0)) * LOT
    ones = np.ones(strikes.shape, dtype=np.bool_)
    return SideQuotes(bid, ask, fair, ones, interest, 3.0 * interest)


def real_chain() -> RealChain:
    """Read the snapshot: four days to the expiry."""
    with gzip.open(SNAPSHOT, "rt", encoding="utf-8") as file:
        chain: dict[str, Any] = json.load(file)
    rows = [row for row in chain["data"] if "CE" in row and "PE" in row]

    def column(side: str, field: str) -> FloatArray:
        return np.array([float(row[side][field]) for row in rows])

    def side(name: str) -> SideQuotes:
        return SideQuotes(
            column(name, "buyPrice1"),
            column(name, "sellPrice1"),
            column(name, "lastPrice"),
            np.zeros(len(rows), dtype=np.bool_),
            column(name, "openInterest") * LOT,
            column(name, "totalTradedVolume") * LOT,
        )

    strikes = np.array([float(row["strikePrice"]) for row in rows])
    return RealChain(strikes, side("CE"), side("PE"), float(chain["underlyingValue"]), 4 / 365)


def points(volatility: float) -> float:
    """A volatility in percentage points."""
    return 100.0 * volatility if math.isfinite(volatility) else math.nan
