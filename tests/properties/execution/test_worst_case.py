"""The exact worst case against a plain search: every price of a fine grid, every subset of working orders."""

from __future__ import annotations

import itertools
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.core.vocabulary import InstrumentKind
from engine.execution.worst_case import Exposure, WorstCase, raises_worst_case, worst_case

STRIKES = (100, 110, 120, 130)
TOP = 400
"""Far above the highest strike: what falls for ever has fallen below everything by then."""
GRID = [Decimal(point) for point in range(0, TOP + 1, 5)]
KINDS = (InstrumentKind.CALL, InstrumentKind.PUT, InstrumentKind.FUTURE)

exposures = st.builds(
    Exposure,
    st.sampled_from(KINDS),
    st.sampled_from(STRIKES).map(Decimal),
    st.integers(-3, 3).filter(bool),
)
portfolios = st.lists(exposures, max_size=5)
working = st.lists(exposures, max_size=4)


def value(parts: tuple[Exposure, ...], price: Decimal) -> Decimal:
    """What all is worth, leg by leg, without any of the code that is tested."""
    total = Decimal(0)
    for kind, level, units in parts:
        if kind is InstrumentKind.CALL:
            each = price - level if price > level else Decimal(0)
        elif kind is InstrumentKind.PUT:
            each = level - price if level > price else Decimal(0)
        else:
            each = price - level
        total += each * units
    return total


def searched(held: list[Exposure], may_come: list[Exposure]) -> tuple[bool, Decimal]:
    """Whether the loss is unlimited, and the greatest up to the highest strike, by trying everything out."""
    unlimited, greatest = False, -Decimal(10**9)
    for count in range(len(may_come) + 1):
        for chosen in itertools.combinations(may_come, count):
            parts = (*held, *chosen)
            unlimited = unlimited or value(parts, Decimal(TOP)) < value(parts, Decimal(TOP - 5))
            greatest = max(greatest, *(-value(parts, point) for point in GRID if point <= max(STRIKES)))
    return unlimited, greatest


@given(portfolios, working)
def test_the_worst_case_is_what_a_search_finds(held: list[Exposure], may_come: list[Exposure]) -> None:
    """Kinks and both tails are enough: no price and no subset of orders between them is worse."""
    found = worst_case(held, may_come, levels=[Decimal(strike) for strike in STRIKES])
    unlimited, greatest = searched(held, may_come)
    assert (found.uncovered > 0) is unlimited
    assert found.loss == greatest
    if not unlimited:
        everywhere = max(-value((*held, *chosen), point) for chosen in _subsets(may_come) for point in GRID)
        assert found.loss == everywhere


@given(portfolios, working, exposures, st.integers(0, 500))
def test_an_order_that_is_let_pass_never_makes_the_worst_worse(
    held: list[Exposure], may_come: list[Exposure], order: Exposure, paid: int
) -> None:
    """Half filled or wholly, what is not said to raise the worst loss does not."""
    if raises_worst_case(held, may_come, order, paid=Decimal(paid)):
        return
    before_unlimited, before = searched(held, may_come)
    after_unlimited, after = searched([*held, order], may_come)
    assert before_unlimited or not after_unlimited
    if not before_unlimited:
        assert max(Decimal(0), after) + paid <= max(Decimal(0), before)


@given(portfolios, working, st.sampled_from((InstrumentKind.CALL, InstrumentKind.PUT)), st.sampled_from(STRIKES))
def test_buying_an_option_for_nothing_never_raises(
    held: list[Exposure], may_come: list[Exposure], kind: InstrumentKind, strike: int
) -> None:
    """A payoff that is never negative makes nothing worse, wherever it is added."""
    assert not raises_worst_case(held, may_come, Exposure(kind, Decimal(strike), 1))


@given(portfolios, working)
def test_a_naked_call_always_raises(held: list[Exposure], may_come: list[Exposure]) -> None:
    """Enough sold calls uncover any portfolio."""
    assert raises_worst_case(held, may_come, Exposure(InstrumentKind.CALL, Decimal(130), -50))


def test_the_plain_figures_of_a_spread_and_a_straddle() -> None:
    """Numbers done by hand."""
    short, wing = (Exposure(InstrumentKind.CALL, Decimal(level), units) for level, units in ((100, -65), (110, 65)))
    assert worst_case([short], []) == WorstCase(65, Decimal(0))
    assert worst_case([short, wing], []) == WorstCase(0, Decimal(650))
    put = Exposure(InstrumentKind.PUT, Decimal(100), -65)
    assert worst_case([put], []) == WorstCase(0, Decimal(6500))
    assert worst_case([wing], [short]) == WorstCase(0, Decimal(650)), "a working short counts where it is worse"
    assert worst_case([short], [wing]) == WorstCase(65, Decimal(650)), "a working hedge does not count"


def _subsets(items: list[Exposure]) -> list[tuple[Exposure, ...]]:
    return [chosen for count in range(len(items) + 1) for chosen in itertools.combinations(items, count)]
