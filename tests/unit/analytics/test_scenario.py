"""Scenario grids: each cell is the legs priced one by one, in every layout, with buffers, and with gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.greeks import greeks
from engine.analytics.legs import LegKind, Legs, make_legs
from engine.analytics.payoff import profit
from engine.analytics.scenario import BLOCK_CELLS, SHORT_ROW, ScenarioGrid, scenario_grid
from tests.unit.analytics.plain_kernels import no_legs

RATE = 0.065
NEAR, FAR = 6 / 365, 34 / 365


def book() -> Legs:
    """Puts, calls, a future and cash of two expiries."""
    return make_legs(
        [LegKind.CALL, LegKind.PUT, LegKind.CALL, LegKind.FUTURE, LegKind.CASH],
        [-75.0, -75.0, 150.0, 25.0, 1_200.0],
        strike=[24_500.0, 24_300.0, 24_800.0, math.nan, math.nan],
        entry_price=[80.0, 90.0, 210.0, 24_490.0, 0.0],
        years=[NEAR, NEAR, FAR, FAR, math.inf],
        forward=[24_400.0, 24_400.0, 24_500.0, 24_500.0, math.nan],
        volatility=[0.12, 0.13, 0.125, math.nan, math.nan],
    )


def pointwise(legs: Legs, shift: float, volatility: float, elapsed: float, charges: float) -> list[float]:
    """One cell, leg by leg, through the accurate kernel."""
    total = np.zeros(6)
    for index in range(legs.kind.size):
        weight = legs.weight[index]
        forward = legs.forward[index] * (1.0 + shift)
        if legs.kind[index] <= LegKind.PUT:
            years = max(legs.years[index] - elapsed, 0.0)
            own = greeks(
                forward,
                legs.strike[index],
                years,
                RATE,
                legs.volatility[index] + volatility if years > 0.0 else 0.0,
                is_call=legs.kind[index] == LegKind.CALL,
            )
            leg = np.array([float(field) for field in own])
        elif legs.kind[index] == LegKind.FUTURE:
            leg = np.array([forward, 1.0, 0.0, 0.0, 0.0, 0.0])
        else:
            leg = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        leg[0] -= legs.entry_price[index]
        total += weight * leg
    total[0] -= charges
    return total.tolist()


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((5, 4, 3), id="few of each"),
        pytest.param((300, 2, 2), id="forwards inside"),
        pytest.param((3, SHORT_ROW, 2), id="volatility and date inside"),
        pytest.param((BLOCK_CELLS + 5, 1, 1), id="several blocks of forwards"),
        pytest.param((2, BLOCK_CELLS + 3, 1), id="several blocks of volatilities"),
        pytest.param((1, 1, 1), id="one cell"),
    ],
)
def test_every_cell_is_its_legs_priced_one_by_one(shape: tuple[int, int, int]) -> None:
    """All six figures agree with the accurate kernel at the corners, the middle and random cells of every layout."""
    legs = book()
    shifts = np.linspace(-0.08, 0.07, shape[0])
    volatilities = np.linspace(-0.04, 0.2, shape[1])
    dates = np.linspace(0.0, FAR - 0.001, shape[2])
    grid = scenario_grid(
        legs, rate=RATE, forward_shifts=shifts, volatility_shifts=volatilities, elapsed=dates, charges=312.5
    )
    assert grid.profit.shape == shape
    random = np.random.default_rng(7)
    cells = {tuple(int(random.integers(0, size)) for size in shape) for _ in range(30)}
    cells |= {(0, 0, 0), (shape[0] - 1, shape[1] - 1, shape[2] - 1), (shape[0] // 2, shape[1] // 2, shape[2] // 2)}
    for cell in cells:
        expected = pointwise(legs, shifts[cell[0]], volatilities[cell[1]], dates[cell[2]], 312.5)
        found = [field[cell] for field in grid]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-7), cell


def test_the_profit_is_that_of_the_payoff() -> None:
    """A row of the grid is the payoff's curve at that volatility and date."""
    legs = book()
    shifts = np.linspace(-0.05, 0.05, 41)
    grid = scenario_grid(
        legs, rate=RATE, forward_shifts=shifts, volatility_shifts=[0.02], elapsed=[3 / 365], charges=40.0
    )
    curve = profit(legs, 24_400.0 * (1.0 + shifts), rate=RATE, elapsed=3 / 365, volatility_shift=0.02, charges=40.0)
    np.testing.assert_allclose(grid.profit[:, 0, 0], curve, atol=1e-6)


def test_delta_gamma_vega_theta_are_slopes_of_the_grid() -> None:
    """Greeks agree with differences between neighbouring cells of one expiry."""
    legs = make_legs(
        [0, 1],
        [75.0, -150.0],
        strike=[24_500.0, 24_000.0],
        entry_price=0.0,
        years=FAR,
        forward=24_400.0,
        volatility=0.13,
    )
    points, pp, day = 1.0 / 24_400.0, 1e-4, 1e-3 / 365
    grid = scenario_grid(
        legs, rate=RATE, forward_shifts=[-points, 0.0, points], volatility_shifts=[-pp, 0.0, pp], elapsed=[0.0, day]
    )
    value = grid.profit
    assert grid.delta[1, 1, 0] == pytest.approx((value[2, 1, 0] - value[0, 1, 0]) / 2, rel=1e-6)
    assert grid.gamma[1, 1, 0] == pytest.approx(value[2, 1, 0] - 2 * value[1, 1, 0] + value[0, 1, 0], rel=1e-4)
    assert grid.vega[1, 1, 0] == pytest.approx((value[1, 2, 0] - value[1, 0, 0]) / (2 * pp) * 0.01, rel=1e-5)
    assert grid.theta[1, 1, 0] == pytest.approx((value[1, 1, 1] - value[1, 1, 0]) / 1e-3, rel=1e-4)


@pytest.mark.parametrize("shape", [(400, 2, 1), (2, 400, 1)])
def test_buffers_are_written_and_returned(shape: tuple[int, int, int]) -> None:
    """With out= the caller's own arrays hold the answer, equal to a fresh one."""
    shifts, volatilities = np.linspace(-0.03, 0.03, shape[0]), np.linspace(0.0, 0.1, shape[1])

    def grid(out: ScenarioGrid | None) -> ScenarioGrid:
        return scenario_grid(book(), rate=RATE, forward_shifts=shifts, volatility_shifts=volatilities, out=out)

    buffers = ScenarioGrid(*(np.full(shape, -1.0) for _ in range(6)))
    result, fresh = grid(buffers), grid(None)
    for buffer, returned, expected in zip(buffers, result, fresh, strict=True):
        assert returned is buffer
        np.testing.assert_array_equal(buffer, expected)


@pytest.mark.parametrize(
    "buffer",
    [np.empty((3, 1)), np.empty((3, 1, 1), dtype=np.float32), np.empty((6, 1, 1))[::2]],
    ids=["shape", "type", "layout"],
)
def test_unfit_buffers_are_refused(buffer: np.ndarray) -> None:
    """A buffer that could only be written through a copy is refused by name."""
    good = [np.empty((3, 1, 1)) for _ in range(5)]
    with pytest.raises(ValueError, match=r"out\.rho"):
        scenario_grid(book(), rate=RATE, forward_shifts=np.zeros(3), out=ScenarioGrid._make([*good, buffer]))


def test_axes_have_one_dimension() -> None:
    """A table is no axis."""
    with pytest.raises(ValueError, match="elapsed"):
        scenario_grid(book(), rate=RATE, forward_shifts=0.0, elapsed=np.zeros((2, 2)))


def test_no_legs_give_zero_less_charges() -> None:
    """An empty strategy is worth nothing, not unknown; its charges are still due."""
    grid = scenario_grid(no_legs(), rate=RATE, forward_shifts=[0.0, 0.01], charges=20.0)
    np.testing.assert_array_equal(grid.profit.ravel(), [-20.0, -20.0])
    assert all((field == 0.0).all() for field in grid[1:])


def test_missing_values_are_nan_and_only_where_they_matter() -> None:
    """A leg without volatility is unknown until it has expired; one without entry price has Greeks but no profit."""
    legs = make_legs(0, [75.0], strike=24_000.0, entry_price=10.0, years=NEAR, forward=24_400.0, volatility=math.nan)
    grid = scenario_grid(legs, rate=RATE, forward_shifts=0.0, elapsed=[0.0, NEAR])
    assert all(math.isnan(field[0, 0, 0]) for field in grid)
    assert grid.profit[0, 0, 1] == pytest.approx(75 * 390.0)
    unpriced = legs._replace(volatility=np.array([0.12]), entry_price=np.array([math.nan]))
    grid = scenario_grid(unpriced, rate=RATE, forward_shifts=0.0)
    assert math.isnan(grid.profit[0, 0, 0])
    assert all(math.isfinite(field[0, 0, 0]) for field in grid[1:])


@pytest.mark.parametrize(
    ("column", "value"),
    [("strike", 0.0), ("strike", math.nan), ("forward", -1.0), ("years", math.nan), ("quantity", math.inf)],
)
def test_garbage_in_a_leg_makes_every_cell_unknown(column: str, value: float) -> None:
    """No exception, no warning, no zero."""
    legs = make_legs(0, [75.0], strike=24_000.0, entry_price=10.0, years=NEAR, forward=24_400.0, volatility=0.12)
    grid = scenario_grid(legs._replace(**{column: np.array([value])}), rate=RATE, forward_shifts=[0.0, 0.01])
    assert all(np.isnan(field).all() for field in grid)


def test_impossible_cells_are_unknown() -> None:
    """A forward at or below zero and a negative volatility spoil their own cells alone; an unknown kind all."""
    legs = book()
    grid = scenario_grid(legs, rate=RATE, forward_shifts=[-1.0, 0.0], volatility_shifts=[-0.13, 0.0])
    assert np.isnan(grid.profit[0]).all()
    assert math.isnan(grid.profit[1, 0, 0])
    assert math.isfinite(grid.profit[1, 1, 0])
    odd = make_legs([9], [1.0], entry_price=0.0)
    assert np.isnan(scenario_grid(odd, rate=RATE, forward_shifts=0.0).delta).all()


def test_at_the_money_at_the_expiry_instant_gamma_and_theta_have_no_value() -> None:
    """The cell where they are unbounded is NaN; its neighbours and its price are not."""
    legs = make_legs(0, [1.0], strike=100.0, entry_price=0.0, years=NEAR, forward=100.0, volatility=0.12)
    grid = scenario_grid(legs, rate=RATE, forward_shifts=[-0.01, 0.0, 0.01], elapsed=[NEAR])
    np.testing.assert_allclose(grid.profit[:, 0, 0], [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_array_equal(np.isnan(grid.gamma[:, 0, 0]), [False, True, False])
    np.testing.assert_array_equal(np.isnan(grid.theta[:, 0, 0]), [False, True, False])
