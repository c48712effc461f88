"""The website's volatility convention, on made-up prices and, where present, on a real snapshot of the website."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.analytics.forward import ForwardGrade, from_parity
from engine.analytics.implied_volatility import IvReason
from engine.analytics.nse_style import NSE_RATE, nse_implied_volatility
from tests.unit.analytics.plain_kernels import price_on_spot

SNAPSHOT = Path(__file__).resolve().parents[3].parent / "shared" / "samples" / "nse_chain_NIFTY_2026-07.json.gz"
needs_snapshot = pytest.mark.skipif(not SNAPSHOT.exists(), reason="the real chain snapshot is not on this machine")
DAYS_TO_EXPIRY = 4
PRINTED_WITHIN = 0.006


def snapshot() -> dict[str, Any]:
    """Read the website's chain."""
    with gzip.open(SNAPSHOT, "rt", encoding="utf-8") as file:
        chain: dict[str, Any] = json.load(file)
    return chain


def test_convention_is_spot_ten_per_cent_whole_days() -> None:
    """A Black-Scholes price on spot at 10 % and days over 365 gives its volatility back, in percent."""
    last = price_on_spot(24_200, [24_000, 24_400], 4 / 365, NSE_RATE, 0.135, is_call=[True, False])
    found, reason = nse_implied_volatility(last, 24_200, [24_000, 24_400], 4, is_call=[True, False])
    assert (reason == IvReason.OK).all()
    np.testing.assert_allclose(found, 13.5, rtol=1e-11)


def test_fractions_of_a_day_do_not_count() -> None:
    """The convention knows whole days only."""
    whole = nse_implied_volatility(100.0, 24_200, 24_300, 4, is_call=True).volatility
    assert nse_implied_volatility(100.0, 24_200, 24_300, 4.9, is_call=True).volatility == whole


@pytest.mark.parametrize("days", [0, 0.7, -3])
def test_expiry_day_has_none(days: float) -> None:
    """On the expiry day its time is zero: no value, because of the time."""
    found, reason = nse_implied_volatility(100.0, 24_200, 24_300, days, is_call=True)
    assert np.isnan(found)
    assert reason == IvReason.NO_TIME


def test_below_its_own_intrinsic_value_is_none() -> None:
    """A deep call fair on the forward is below spot less the strike discounted at 10 %: no value, and why."""
    found, reason = nse_implied_volatility([700.4, 0.0, math.nan], 25_200, 24_500, 14, is_call=True)
    assert np.isnan(found).all()
    assert reason.tolist() == [IvReason.BELOW_INTRINSIC, IvReason.NO_PRICE, IvReason.NO_PRICE]


@pytest.mark.parametrize("spot", [0.0, -1.0, math.nan])
def test_without_a_spot_there_is_none(spot: float) -> None:
    """No index value, no volatility."""
    found, reason = nse_implied_volatility(100.0, spot, 24_300, 4, is_call=True)
    assert np.isnan(found)
    assert reason == IvReason.BAD_INPUT


@needs_snapshot
def test_real_snapshot_agrees_with_what_was_printed() -> None:
    """All printed volatilities agree within 0.006 points, except two prices below intrinsic and one odd print."""
    chain = snapshot()
    printed = [
        (int(row["strikePrice"]), side, row[side]["lastPrice"], row[side]["impliedVolatility"])
        for row in chain["data"]
        for side in ("CE", "PE")
        if side in row and row[side]["impliedVolatility"] > 0
    ]
    strikes, sides, last, expected = (np.array(column) for column in zip(*printed, strict=True))
    found, reason = nse_implied_volatility(
        last, chain["underlyingValue"], strikes, DAYS_TO_EXPIRY, is_call=sides == "CE"
    )
    agrees = np.abs(found - expected) <= PRINTED_WITHIN
    assert agrees.sum() >= 140
    exceptions = {
        (int(strikes[i]), str(sides[i])): (IvReason(int(reason[i])), round(float(found[i]), 2), float(expected[i]))
        for i in np.flatnonzero(~agrees)
    }
    assert exceptions.keys() == {(21_900, "CE"), (22_650, "CE"), (25_950, "PE")}
    assert exceptions[21_900, "CE"][0] is exceptions[22_650, "CE"][0] is IvReason.BELOW_INTRINSIC
    assert exceptions[25_950, "PE"] == (IvReason.OK, 84.18, 48.17)


@needs_snapshot
def test_real_snapshot_parity_forward() -> None:
    """The real quotes of that close give the measured forward, 9.6 points over spot, with the best grade."""
    chain = snapshot()
    rows = [row for row in chain["data"] if "CE" in row and "PE" in row]

    def mid(side: str) -> list[float]:
        quotes = [(row[side]["buyPrice1"], row[side]["sellPrice1"]) for row in rows]
        return [0.5 * (bid + ask) if 0 < bid <= ask else math.nan for bid, ask in quotes]

    estimate = from_parity(
        [row["strikePrice"] for row in rows], mid("CE"), mid("PE"), 4 / 365, 0.065, hint=chain["underlyingValue"]
    )
    assert estimate.forward == pytest.approx(24_216.5, abs=0.5)
    assert estimate.grade is ForwardGrade.A
