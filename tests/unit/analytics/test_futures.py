"""Futures: basis, its annual rate, build-up and rollover, by hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.forward import carry
from engine.analytics.futures import FutureMarks, mark_futures, rollover_percent
from engine.analytics.open_interest import BuildUp

NAN = math.nan
SPOT = 24_206.9


def marks(
    price: list[float], years: list[float], *, spot: float = SPOT, open_interest: list[float] | None = None
) -> FutureMarks:
    """Marks of futures whose price and open interest rise."""
    ones = [1.0] * len(price)
    return mark_futures(
        price,
        years,
        spot=spot,
        price_change=ones,
        open_interest=ones if open_interest is None else open_interest,
        open_interest_change=ones,
    )


def test_basis_and_what_it_is_a_year() -> None:
    """9.6 points over four days are 3.6 % a year, as the carry of the forward is."""
    found = marks([24_216.5], [4 / 365])
    assert found.basis[0] == pytest.approx(9.6)
    assert found.basis_percent[0] == pytest.approx(0.03966, abs=1e-5)
    assert found.annualised_basis[0] == pytest.approx(0.0362, abs=5e-5)
    assert found.annualised_basis[0] == pytest.approx(carry(24_216.5, SPOT, 4 / 365))


def test_a_discount_is_negative() -> None:
    """A future below spot has a negative basis and rate."""
    found = marks([24_100.0], [0.1])
    assert found.basis[0] < 0.0
    assert found.annualised_basis[0] < 0.0


def test_each_future_has_its_build_up() -> None:
    """Classes come from each one's own changes, past their thresholds."""
    found = mark_futures(
        [1.0, 1.0, 1.0, 1.0],
        [0.1, 0.2, 0.3, 0.4],
        spot=1.0,
        price_change=[2.0, -2.0, -2.0, 0.5],
        open_interest=[1.0] * 4,
        open_interest_change=[5.0, 5.0, -5.0, -5.0],
        price_threshold=1.0,
        open_interest_threshold=1.0,
    )
    assert found.build_up.tolist() == [
        BuildUp.LONG_BUILD_UP,
        BuildUp.SHORT_BUILD_UP,
        BuildUp.LONG_UNWINDING,
        BuildUp.NEUTRAL,
    ]


def test_roll_cost_is_to_the_next_expiry() -> None:
    """In any order of rows the difference to the next later one; the last has none."""
    found = marks([24_500.0, 24_300.0, 24_620.0], [0.15, 0.07, 0.23])
    np.testing.assert_allclose(found.roll_cost, [120.0, 200.0, NAN])
    assert found.annualised_roll_cost[1] == pytest.approx(math.log(24_500.0 / 24_300.0) / 0.08)
    assert math.isnan(found.annualised_roll_cost[2])


def test_rollover_is_what_lies_beyond_the_nearest() -> None:
    """60 in the near month of 100 in all: 40 per cent have rolled, whatever the order."""
    assert rollover_percent([60.0, 30.0, 10.0], [0.02, 0.1, 0.18]) == pytest.approx(40.0)
    assert rollover_percent([10.0, 60.0, 30.0], [0.18, 0.02, 0.1]) == pytest.approx(40.0)
    assert marks([1.0, 1.0], [0.1, 0.2], open_interest=[25.0, 75.0]).rollover_percent == pytest.approx(75.0)


@pytest.mark.parametrize(
    ("interest", "years"),
    [
        ([60.0], [0.1]),
        ([60.0, NAN], [0.1, 0.2]),
        ([60.0, -1.0], [0.1, 0.2]),
        ([0.0, 0.0], [0.1, 0.2]),
        ([60.0, 10.0], [0.1, NAN]),
        ([], []),
    ],
)
def test_an_unknown_part_makes_the_rollover_unknown(interest: list[float], years: list[float]) -> None:
    """A share of a whole that is not known is not known."""
    assert math.isnan(rollover_percent(interest, years))


@pytest.mark.parametrize("spot", [NAN, 0.0, -1.0, math.inf])
def test_without_a_spot_there_is_no_basis(spot: float) -> None:
    """A frozen or unknown spot gives no basis; roll cost does not need it."""
    found = marks([24_300.0, 24_500.0], [0.07, 0.15], spot=spot)
    for column in (found.basis, found.basis_percent, found.annualised_basis):
        assert np.isnan(column).all()
    assert found.roll_cost[0] == pytest.approx(200.0)


def test_no_price_and_no_time_are_nan() -> None:
    """A future without a price has nothing; at its expiry a basis has no annual rate."""
    found = marks([0.0, NAN, 24_300.0, -5.0], [0.1, 0.2, 0.0, 0.3])
    assert np.isnan(found.basis).tolist() == [True, True, False, True]
    assert np.isnan(found.annualised_basis).all()
    assert marks([], []).basis.size == 0


def test_foreign_columns_are_refused() -> None:
    """Columns of another length are refused in words."""
    with pytest.raises(ValueError, match="an element per future"):
        marks([1.0, 2.0], [0.1])
