"""Starting from the last volatilities: fewer steps, the same answers, and no trust in what they were."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.analytics import implied_volatility as module
from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.implied_volatility import IvReason, implied_volatility
from engine.analytics.option_marks import mark_options
from engine.analytics.volatility_step import TRUSTED_STEP, step
from engine.analytics.workspace import BLOCK, Workspace

FORWARD, YEARS, RATE = 24_200.0, 4.25 / 365, 0.065
STRIKES = np.arange(22_500.0, 26_000.0, 50.0)
CALLS = STRIKES >= FORWARD
SMILE = 0.11 + 0.9 * np.abs(np.log(STRIKES / FORWARD))
PREMIUM = price(FORWARD, STRIKES, YEARS, RATE, SMILE, is_call=CALLS)
MINUTE = 1 / 525_600


def solve(last: FloatArray | None, premium: FloatArray = PREMIUM) -> FloatArray:
    """Volatilities of the chain, all of them found."""
    found, reason = implied_volatility(premium, FORWARD, STRIKES, YEARS, RATE, is_call=CALLS, last=last)
    assert (reason == IvReason.OK).all()
    return found


class StepCounter:
    """Lets steps through and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(
        self, ratio: FloatArray, half: FloatArray, deviation: FloatArray, workspace: Workspace, *, upper: bool
    ) -> FloatArray:
        self.count += 1
        return step(ratio, half, deviation, workspace, upper=upper)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> StepCounter:
    """Counts the solver's steps from here on."""
    counter = StepCounter()
    monkeypatch.setattr(module, "step", counter)
    return counter


@pytest.mark.parametrize(("moved", "expected"), [(0.0, 1), (0.001, 1), (0.0025, 1), (0.01, 2), (0.1, 2)])
def test_a_small_move_takes_one_step_and_a_larger_one_two(steps: StepCounter, moved: float, expected: int) -> None:
    """The work of a live chain: one pass while volatilities move by a quarter of a percent, two up to ten percent."""
    found = solve(SMILE * (1 + moved))
    assert steps.count == expected
    np.testing.assert_allclose(found, SMILE, rtol=1e-12)


def test_a_cold_chain_takes_two_or_three_steps(steps: StepCounter) -> None:
    """From the guess alone two steps for all, at most one more for the few that are left."""
    np.testing.assert_allclose(solve(None), SMILE, rtol=1e-12)
    assert steps.count in {2, 3}


def test_only_what_moved_takes_more_steps(steps: StepCounter) -> None:
    """One option that jumped does not make the whole chain iterate: its further steps are its own."""
    last = SMILE.copy()
    last[5] *= 1.5
    np.testing.assert_allclose(solve(last), SMILE, rtol=1e-12)
    assert 2 <= steps.count <= 4


@pytest.mark.parametrize("last", [math.nan, 0.0, -0.2, math.inf, -math.inf, 1e-300, 1e-6, 1e-3, 3.0, 1e3, 1e9, 1e300])
def test_any_last_volatility_leads_to_the_same_answer(last: float) -> None:
    """However wrong the start is, the answer is the cold one; a start that leads nowhere is forgotten."""
    np.testing.assert_allclose(solve(np.full(STRIKES.size, last)), solve(None), rtol=1e-12)
    mixed = SMILE.copy()
    mixed[::3] = last
    np.testing.assert_allclose(solve(mixed), solve(None), rtol=1e-12)


@settings(deadline=None, max_examples=300)
@given(
    st.floats(-1.2, 1.2),
    st.floats(MINUTE, 10.0),
    st.floats(0.005, 5.0),
    st.booleans(),
    st.one_of(st.floats(1e-4, 20.0), st.floats(allow_nan=True, allow_infinity=True)),
)
def test_never_an_unconverged_number(
    moneyness: float, years: float, volatility: float, call: bool, last: float
) -> None:
    """Warm and cold agree for every option and every start: the same reason, and the same volatility to rounding."""
    strike = FORWARD * math.exp(moneyness)
    premium = float(price(FORWARD, strike, years, RATE, volatility, is_call=call))
    intrinsic = math.exp(-RATE * years) * max(FORWARD - strike if call else strike - FORWARD, 0.0)
    # Where the price holds nothing but the rounding of its intrinsic value even the reason is a matter of rounding.
    assume(premium == 0.0 or premium - intrinsic > 1e-12 * premium)
    columns = np.full(3, premium)
    cold, why = implied_volatility(columns, FORWARD, strike, years, RATE, is_call=call)
    warm, reason = implied_volatility(columns, FORWARD, strike, years, RATE, is_call=call, last=last)
    single, one = implied_volatility(premium, FORWARD, strike, years, RATE, is_call=call, last=last)
    np.testing.assert_array_equal(reason, why)
    assert one == why[0]
    if why[0] == IvReason.OK and premium > 1e-290:
        back = price(FORWARD, strike, years, RATE, np.append(warm, single), is_call=call)
        np.testing.assert_allclose(back, premium, rtol=2e-12)
        out_of_money = call == (strike >= FORWARD)
        if out_of_money and premium < 0.4 * min(FORWARD, strike):
            np.testing.assert_allclose(np.append(warm, single), cold[0], rtol=1e-12)


def test_reasons_do_not_depend_on_the_start() -> None:
    """Prices that have no volatility have their reasons and NaN, although a last volatility is at hand."""
    premium = np.array([math.nan, 0.0, -1.0, math.inf, 1.0, 150.0, 15.0, 15.0])
    years = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    expected = [
        IvReason.NO_PRICE, IvReason.NO_PRICE, IvReason.BAD_INPUT, IvReason.BAD_INPUT, IvReason.BELOW_INTRINSIC,
        IvReason.ABOVE_MAXIMUM, IvReason.NO_TIME, IvReason.OK,
    ]  # fmt: skip
    found, reason = implied_volatility(premium, 110, 100, years, 0.0, is_call=True, last=0.3)
    assert reason.tolist() == expected
    np.testing.assert_array_equal(np.isnan(found), reason != IvReason.OK)


def test_a_small_step_far_from_the_solution_is_not_convergence() -> None:
    """The step reports how far the start was, not how far it went: the two part company far from the solution."""
    space = Workspace()
    deviation = np.geomspace(1e-4, 30.0, 400)
    start = deviation.copy()
    ratio, part = np.full(400, 0.05), np.full(400, 0.004)
    with np.errstate(all="ignore"):
        newton = step(ratio, 0.5 / part, deviation, space, upper=False).copy()
        close = np.abs(newton) <= TRUSTED_STEP
        for _ in range(8):
            step(ratio, 0.5 / part, deviation, space, upper=False)
    solution = np.nanmedian(deviation)
    assert close.sum() >= 1
    np.testing.assert_allclose(start[close], solution, rtol=1.1 * TRUSTED_STEP)


@pytest.mark.parametrize("size", [1, 2, 3, 500, BLOCK, BLOCK + 1, 2 * BLOCK + 333])
def test_size_and_workspace_do_not_change_the_answer(size: int) -> None:
    """Few options, one block or several, own or shared scratch memory: the volatilities come back to twelve digits."""
    rng = np.random.default_rng(size)
    strikes = rng.uniform(22_000.0, 26_500.0, size)
    volatility = rng.uniform(0.08, 0.5, size)
    calls = strikes >= FORWARD
    premium = price(FORWARD, strikes, 30 / 365, RATE, volatility, is_call=calls)
    space = Workspace()
    for last in (None, volatility * 1.001, volatility * rng.uniform(0.5, 2.0, size)):
        for workspace in (None, space, space):
            found, reason = implied_volatility(
                premium, FORWARD, strikes, 30 / 365, RATE, is_call=calls, last=last, workspace=workspace
            )
            assert (reason == IvReason.OK).all()
            np.testing.assert_allclose(found, volatility, rtol=1e-12)


def test_answers_do_not_lie_in_the_workspace() -> None:
    """A second call with the same workspace leaves the first one's results alone."""
    space = Workspace()
    first = mark_options(PREMIUM, FORWARD, STRIKES, YEARS, RATE, is_call=CALLS, workspace=space)
    kept = [first.volatility.copy(), *(field.copy() for field in first.greeks)]
    mark_options(PREMIUM * 1.1, FORWARD, STRIKES, YEARS, RATE, is_call=CALLS, workspace=space)
    for now, before in zip((first.volatility, *first.greeks), kept, strict=True):
        np.testing.assert_array_equal(now, before)


def test_the_steady_state_allocates_little_but_its_answer() -> None:
    """Warm and with a workspace, the memory of a call is its answer and about as many flags and constants."""
    count = 2_000
    strikes = np.linspace(23_000.0, 25_500.0, count)
    volatility = 0.11 + 0.9 * np.abs(np.log(strikes / FORWARD))
    calls = strikes >= FORWARD
    premium = price(FORWARD, strikes, YEARS, RATE, volatility, is_call=calls)
    space = Workspace()

    def mark() -> object:
        return mark_options(
            premium, FORWARD, strikes, YEARS, RATE, is_call=calls, last=volatility * 1.001, workspace=space
        )

    assert allocated(mark) < 1.6 * 7 * 8 * count


def allocated(action: Callable[[], object]) -> int:
    """Most bytes that a call holds at once, after it has been called before."""
    action()
    tracemalloc.start()
    try:
        action()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
