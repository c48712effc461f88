"""The parity forward: exact on clean prices, unmoved by broken quotes, graded, and absent rather than invented."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.forward import (
    NO_FORWARD,
    ForwardEstimate,
    ForwardGrade,
    ForwardSource,
    SpotSource,
    carry,
    choose_forward,
    current_spot,
    from_future,
    from_parity,
)

TRUE_FORWARD, RATE, YEARS = 24_216.5, 0.065, 6 / 365
STRIKES = np.arange(22_000.0, 26_550.0, 50.0)


def mids(strikes: FloatArray = STRIKES) -> tuple[FloatArray, FloatArray]:
    """Call and put prices that obey parity at the true forward."""
    call, put = price(TRUE_FORWARD, strikes, YEARS, RATE, 0.13, is_call=[[True], [False]])
    return call, put


def test_clean_prices_give_the_exact_forward() -> None:
    """Prices made on a forward give that forward back, with no dispersion and the best grade."""
    estimate = from_parity(STRIKES, *mids(), YEARS, RATE)
    assert estimate.forward == pytest.approx(TRUE_FORWARD, abs=1e-8)
    assert estimate.source is ForwardSource.PARITY
    assert estimate.grade is ForwardGrade.A
    assert estimate.strikes_used == 8
    assert estimate.strikes_rejected == 0
    assert estimate.dispersion == pytest.approx(0.0, abs=1e-8)


@settings(deadline=None, max_examples=50)
@given(st.permutations(range(STRIKES.size)))
def test_the_order_of_strikes_does_not_matter(permutation: list[int]) -> None:
    """Shuffled rows give the same forward."""
    order = np.array(permutation)
    call, put = mids()
    estimate = from_parity(STRIKES[order], call[order], put[order], YEARS, RATE)
    assert estimate.forward == pytest.approx(TRUE_FORWARD, abs=1e-8)


@pytest.mark.parametrize("error", [-100.0, -20.0, 20.0, 200.0, 5_000.0])
def test_a_broken_quote_near_the_money_does_not_move_it(error: float) -> None:
    """One wrong call next to the money is rejected and counted, and the forward stays."""
    call, put = mids()
    call[np.searchsorted(STRIKES, TRUE_FORWARD)] += error
    estimate = from_parity(STRIKES, call, put, YEARS, RATE, hint=24_206.9)
    assert estimate.forward == pytest.approx(TRUE_FORWARD, abs=1e-8)
    assert estimate.strikes_rejected == 1
    assert estimate.strikes_used == 7


def test_wings_are_not_asked() -> None:
    """Nonsense far from the money changes nothing, with or without a hint."""
    call, put = mids()
    call[np.abs(STRIKES - TRUE_FORWARD) > 1_500] = 9_999.0
    for hint in (None, 24_206.9):
        estimate = from_parity(STRIKES, call, put, YEARS, RATE, hint=hint)
        assert estimate.forward == pytest.approx(TRUE_FORWARD, abs=1e-8)


def test_tick_noise_keeps_the_best_grade() -> None:
    """Rounding to ticks, and half a point of spread noise, is still a good forward."""
    rng = np.random.default_rng(3)
    call, put = (np.round((mid + rng.normal(0, 0.5, mid.size)) * 20) / 20 for mid in mids())
    estimate = from_parity(STRIKES, call, put, YEARS, RATE)
    assert estimate.grade is ForwardGrade.A
    assert estimate.forward == pytest.approx(TRUE_FORWARD, abs=2.0)
    assert 0.0 < estimate.dispersion < 3.0


def test_scattered_answers_lower_the_grade() -> None:
    """Quotes that disagree by tens of points are graded down, and the dispersion says by how much."""
    call, put = mids()
    alternating = np.where(np.arange(STRIKES.size) % 2, 1.0, -1.0)
    medium = from_parity(STRIKES, call + 12 * alternating, put, YEARS, RATE, hint=24_200)
    poor = from_parity(STRIKES, call + 60 * alternating, put, YEARS, RATE, hint=24_200)
    assert medium.grade is ForwardGrade.B
    assert poor.grade is ForwardGrade.C
    assert poor.dispersion > medium.dispersion > 2e-4 * TRUE_FORWARD


@pytest.mark.parametrize(
    ("count", "grade"), [(1, ForwardGrade.C), (2, ForwardGrade.C), (3, ForwardGrade.B), (5, ForwardGrade.A)]
)
def test_few_strikes_lower_the_grade(count: int, grade: ForwardGrade) -> None:
    """Even perfect prices are graded by how many strikes confirm each other."""
    strikes = np.linspace(TRUE_FORWARD, TRUE_FORWARD + 50.0 * (count - 1), count)
    estimate = from_parity(strikes, *mids(strikes), YEARS, RATE)
    assert estimate.forward == pytest.approx(TRUE_FORWARD, abs=1e-8)
    assert (estimate.strikes_used, estimate.grade) == (count, grade)
    assert math.isnan(estimate.dispersion) == (count == 1)


def test_duplicate_rows_are_not_confirmation() -> None:
    """A strike listed five times is one strike."""
    strikes = np.full(5, 24_200.0)
    estimate = from_parity(strikes, *mids(strikes), YEARS, RATE)
    assert estimate.strikes_used == 1
    assert estimate.grade is ForwardGrade.C


def test_strikes_without_both_mids_are_skipped() -> None:
    """One-sided strikes (NaN), zeros and infinities take no part."""
    call, put = mids()
    call[::2] = math.nan
    put[1::4] = 0.0
    put[3::8] = math.inf
    estimate = from_parity(STRIKES, call, put, YEARS, RATE)
    assert estimate.forward == pytest.approx(TRUE_FORWARD, abs=1e-8)


@pytest.mark.parametrize(
    ("strikes", "call", "put"),
    [
        ([], [], []),
        ([24_000.0], [math.nan], [10.0]),
        ([24_000.0, 24_050.0], [100.0, math.nan], [math.nan, 100.0]),
        ([math.nan], [100.0], [100.0]),
        ([-24_000.0], [100.0], [100.0]),
        ([100.0], [1.0], [500.0]),
    ],
)
def test_no_usable_strike_means_no_forward(strikes: list[float], call: list[float], put: list[float]) -> None:
    """Without one strike with two prices (or with a negative answer) there is none, not a guess from the hint."""
    assert from_parity(strikes, call, put, YEARS, RATE, hint=24_200.0) == NO_FORWARD
    assert math.isnan(NO_FORWARD.forward)
    assert NO_FORWARD.grade is ForwardGrade.NONE


@pytest.mark.parametrize(
    ("years", "rate"), [(math.nan, 0.065), (-0.1, 0.065), (math.inf, 0.065), (0.1, math.nan), (9.0, 999.0)]
)
def test_impossible_time_or_rate_means_no_forward(years: float, rate: float) -> None:
    """The discount factor must exist."""
    assert from_parity(STRIKES, *mids(), years, rate) == NO_FORWARD


def test_a_far_hint_caps_the_grade() -> None:
    """When spot is nowhere near, one of the two is wrong; the answer stays and is no longer called good."""
    estimate = from_parity(STRIKES, *mids(), YEARS, RATE, hint=23_000.0)
    assert estimate.forward == pytest.approx(TRUE_FORWARD, abs=1e-8)
    assert estimate.grade is ForwardGrade.C


@pytest.mark.parametrize("hint", [math.nan, 0.0, -1.0, math.inf])
def test_an_impossible_hint_is_ignored(hint: float) -> None:
    """A hint that is no price changes nothing."""
    estimate = from_parity(STRIKES, *mids(), YEARS, RATE, hint=hint)
    assert estimate.grade is ForwardGrade.A
    assert estimate.forward == pytest.approx(TRUE_FORWARD, abs=1e-8)


def test_columns_of_different_length_are_refused() -> None:
    """A column that does not belong to the strikes is the caller's mistake, named in words."""
    with pytest.raises(ValueError, match="one element per strike"):
        from_parity([1.0, 2.0], [1.0], [1.0, 2.0], YEARS, RATE)


def test_the_future_is_its_own_forward() -> None:
    """A listed future is taken as it is; no price is no forward."""
    estimate = from_future(24_300.0)
    assert (estimate.forward, estimate.source) == (24_300.0, ForwardSource.FUTURE)
    for bad in (0.0, -1.0, math.nan, math.inf):
        assert from_future(bad) == NO_FORWARD


def test_carry_is_annualised() -> None:
    """Four days at 9.6 points on 24,206.9 are 3.6 % a year; impossible inputs have no carry."""
    assert carry(24_216.5, 24_206.9, 4 / 365) == pytest.approx(0.0362, abs=5e-5)
    assert carry(100 * math.exp(0.065 * 0.25), 100, 0.25) == pytest.approx(0.065)
    for bad in ((math.nan, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0), (-1.0, 1.0, 1.0)):
        assert math.isnan(carry(*bad))


def test_standard_error_shrinks_with_the_strikes() -> None:
    """The forward is as uncertain as the dispersion over the root of the strikes; unknown with one."""
    estimate = ForwardEstimate(24_200.0, ForwardSource.PARITY, ForwardGrade.A, 4, 3.0, 0)
    assert estimate.standard_error == pytest.approx(1.5)
    assert math.isnan(estimate._replace(strikes_used=1, dispersion=math.nan).standard_error)
    assert math.isnan(from_future(24_300.0).standard_error)


def parity(grade: ForwardGrade) -> ForwardEstimate:
    """A parity forward of that grade."""
    return ForwardEstimate(24_210.0, ForwardSource.PARITY, grade, 2, 1.0, 0)


FUTURE = from_future(24_216.0)


@pytest.mark.parametrize(
    ("first", "second", "prefer", "source", "reason"),
    [
        (parity(ForwardGrade.A), FUTURE, ForwardSource.PARITY, ForwardSource.PARITY, ""),
        (parity(ForwardGrade.B), FUTURE, ForwardSource.PARITY, ForwardSource.PARITY, ""),
        (
            parity(ForwardGrade.C),
            FUTURE,
            ForwardSource.PARITY,
            ForwardSource.FUTURE,
            "parity is of grade C (2 strikes)",
        ),
        (parity(ForwardGrade.C), NO_FORWARD, ForwardSource.PARITY, ForwardSource.PARITY, ""),
        (
            NO_FORWARD,
            FUTURE,
            ForwardSource.PARITY,
            ForwardSource.FUTURE,
            "no strike has both a live call and a live put",
        ),
        (parity(ForwardGrade.A), FUTURE, ForwardSource.FUTURE, ForwardSource.FUTURE, ""),
        (
            parity(ForwardGrade.C),
            NO_FORWARD,
            ForwardSource.FUTURE,
            ForwardSource.PARITY,
            "no future of this expiry has a price",
        ),
    ],
)
def test_the_choice_of_the_forward_and_why(
    first: ForwardEstimate, second: ForwardEstimate, prefer: ForwardSource, source: ForwardSource, reason: str
) -> None:
    """The preferred one if it is there, a poor parity forward giving way to a future; anything else is explained."""
    chosen = choose_forward(first, second, prefer=prefer)
    assert chosen.estimate is (first if source is ForwardSource.PARITY else second)
    assert chosen.reason == reason


def test_the_two_forwards_are_compared() -> None:
    """Their disagreement is parity less future, known only when both are."""
    assert choose_forward(parity(ForwardGrade.A), FUTURE).disagreement == pytest.approx(-6.0)
    assert math.isnan(choose_forward(parity(ForwardGrade.A), NO_FORWARD).disagreement)


@pytest.mark.parametrize("prefer", [ForwardSource.PARITY, ForwardSource.FUTURE])
def test_without_either_there_is_no_forward(prefer: ForwardSource) -> None:
    """Nothing to choose from is nothing, with a reason."""
    chosen = choose_forward(NO_FORWARD, NO_FORWARD, prefer=prefer)
    assert chosen.estimate == NO_FORWARD
    assert "no future a price" in chosen.reason


def test_a_moving_index_is_the_spot() -> None:
    """While the exchange moves it, it is believed."""
    spot = current_spot(24_206.9, is_moving=True, forward=24_216.5, years=4 / 365, last_carry=0.036)
    assert spot == (24_206.9, SpotSource.INDEX, "")


def test_a_frozen_index_gives_way_to_the_synthetic_spot() -> None:
    """In the closing auction the forward, less the carry measured before, says where the market is."""
    years = 4 / 365
    before = carry(24_216.5, 24_206.9, years)
    frozen = current_spot(24_206.9, is_moving=False, forward=24_216.5 + 150.0, years=years, last_carry=before)
    assert frozen.source is SpotSource.SYNTHETIC
    assert frozen.spot == pytest.approx((24_216.5 + 150.0) * 24_206.9 / 24_216.5)
    assert frozen.reason == "the index does not move"
    unmoved = current_spot(24_206.9, is_moving=False, forward=24_216.5, years=years, last_carry=before)
    assert unmoved.spot == pytest.approx(24_206.9)


@pytest.mark.parametrize("index", [math.nan, 0.0, -1.0, math.inf])
def test_an_unknown_index_gives_way_too(index: float) -> None:
    """What is no index value is not a spot, although nobody froze it."""
    spot = current_spot(index, is_moving=True, forward=24_216.5, years=0.0, last_carry=0.05)
    assert spot == (24_216.5, SpotSource.SYNTHETIC, "the index is not known")


@pytest.mark.parametrize(
    ("forward", "years", "last_carry", "reason"),
    [
        (math.nan, 0.1, 0.05, "there is no forward"),
        (0.0, 0.1, 0.05, "there is no forward"),
        (24_216.5, math.nan, 0.05, "there is no forward"),
        (24_216.5, -0.1, 0.05, "there is no forward"),
        (24_216.5, 0.1, math.nan, "its carry was not measured before"),
        (24_216.5, 0.1, 99.0, "the carry measured before is impossible"),
    ],
)
def test_no_synthetic_spot_is_invented(forward: float, years: float, last_carry: float, reason: str) -> None:
    """Without a forward or its carry there is no spot, and the frozen one is not shown as if it were."""
    spot = current_spot(24_206.9, is_moving=False, forward=forward, years=years, last_carry=last_carry)
    assert math.isnan(spot.spot)
    assert spot.source is SpotSource.NONE
    assert reason in spot.reason
