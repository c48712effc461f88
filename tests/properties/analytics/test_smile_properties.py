"""Any chain whatever: a smile or a reason, own quotes that never judge themselves, and no exception."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.smile import SmileGrade, StickyMode
from engine.analytics.smile_fit import MODEL_ERROR, SmileQuotes, fit_smile
from engine.analytics.svi import LEFT, RIGHT, STEEPEST_WING, SviParameters, total_variance
from tests.unit.analytics.plain_kernels import from_raw, least_variance

FORWARD = 20_000.0
ANY = st.floats(allow_nan=True, allow_infinity=True)
STRIKE = st.one_of(st.integers(150, 260).map(lambda step: 100.0 * step), ANY)
VOLATILITY = st.one_of(st.floats(0.01, 3.0), st.sampled_from([math.nan, 0.0, -1.0, math.inf, 1e-300, 1e300]))
UNCERTAINTY = st.one_of(st.floats(0.0, 0.1), ANY)
ROWS = st.lists(st.tuples(STRIKE, VOLATILITY, UNCERTAINTY), max_size=25)


@settings(deadline=None, max_examples=150)
@given(ROWS, st.one_of(st.floats(1e-6, 5.0), ANY), st.one_of(st.floats(10_000.0, 30_000.0), ANY))
def test_any_chain_gives_a_smile_or_a_reason(
    rows: list[tuple[float, float, float]], years: float, forward: float
) -> None:
    """Never an exception or a warning; a fitted curve is positive, within Lee's bound, and finite where it is read."""
    strikes, volatility, uncertainty = np.array(rows, dtype=float).reshape(-1, 3).T
    smile = fit_smile(strikes, SmileQuotes(volatility, uncertainty), forward=forward, years=years)
    assert (smile.grade is SmileGrade.A) == (smile.reason == "")
    if smile.grade is SmileGrade.NONE:
        assert np.isnan(smile.row).all()
        assert np.isnan(smile.left_out).all()
        return
    curves = np.vstack((smile.left_out, smile.row))
    assert np.isfinite(curves).all()
    assert (least_variance(curves) > 0.0).all()
    assert curves[:, LEFT : RIGHT + 1].min() >= 0.0
    assert curves[:, LEFT : RIGHT + 1].max() <= STEEPEST_WING
    for mode in StickyMode:
        assert np.isfinite(smile.volatility([15_000.0, 25_000.0], forward=19_000.0, mode=mode)).all()
    assert 0.0 <= smile.within <= 1.0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0.05, 0.6), min_size=9, max_size=30),
    st.data(),
    st.one_of(st.floats(0.001, 5.0), st.sampled_from([math.nan, math.inf, -1.0])),
)
def test_no_quote_judges_itself(volatilities: list[float], data: st.DataObject, other: float) -> None:
    """For any volatilities, replacing one never changes that strike's theoretical volatility by a bit."""
    half = len(volatilities) // 2
    strikes = np.linspace(FORWARD - 100.0 * half, FORWARD + 100.0 * half, len(volatilities))
    volatility = np.array(volatilities)
    uncertainty = np.full(strikes.size, 0.002)
    place = data.draw(st.integers(0, strikes.size - 1))
    changed = volatility.copy()
    changed[place] = other
    before, after = (
        fit_smile(strikes, SmileQuotes(column, uncertainty), forward=FORWARD, years=0.05)
        for column in (volatility, changed)
    )
    own = before.theoretical_volatility(strikes, FORWARD)[place]
    assert math.isfinite(own)
    assert after.theoretical_volatility(strikes, FORWARD)[place] == own


CURVES = st.builds(
    SviParameters,
    a=st.just(0.0),
    b=st.floats(0.005, 0.2),
    rho=st.floats(-0.8, 0.8),
    m=st.floats(-0.03, 0.03),
    sigma=st.floats(0.02, 0.2),
)


@settings(deadline=None, max_examples=80)
@given(CURVES, st.floats(0.003, 1.0), st.floats(0.05, 0.3))
def test_any_svi_curve_is_recovered(curve: SviParameters, years: float, width: float) -> None:
    """Quotes on a curve are met within a twentieth of what the fit takes for the model's own error."""
    k = np.linspace(-width, width, 41)
    volatility = np.sqrt(total_variance(from_raw(curve), k) / years)
    strikes = FORWARD * np.exp(k)
    quotes = SmileQuotes(volatility, np.zeros_like(volatility))
    smile = fit_smile(strikes, quotes, forward=FORWARD, years=years)
    if (volatility > 20.0).any():
        return
    np.testing.assert_allclose(smile.volatility(strikes), volatility, rtol=0.05 * MODEL_ERROR)
