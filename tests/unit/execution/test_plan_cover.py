"""What covers what, against every matching by hand, and the margin on the way."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.vocabulary import InstrumentKind, Side
from engine.execution.plans.basket_cover import Units, addable, covered, covers, spare, uncovered
from engine.execution.plans.margin_path import MarginWalk
from tests.kit.model_plans import FAR, LOT, NEAR, contract, limit

CALL, PUT, FUTURE = InstrumentKind.CALL, InstrumentKind.PUT, InstrumentKind.FUTURE
SHORT_CALL, SHORT_PUT = contract(24000, CALL), contract(24000, PUT)
WING_CALL, WING_PUT = contract(24500, CALL), contract(23500, PUT)


@pytest.mark.parametrize(
    ("bought", "sold", "expected"),
    [
        (WING_CALL, SHORT_CALL, True),
        (contract(24500, CALL, expiry=FAR), SHORT_CALL, True),
        (WING_CALL, contract(24000, CALL, expiry=FAR), False),
        (WING_PUT, SHORT_CALL, False),
        (contract(0, FUTURE), SHORT_CALL, True),
        (contract(0, FUTURE), SHORT_PUT, False),
        (WING_CALL, contract(0, FUTURE), True),
        (contract(24500, CALL, name="BANKNIFTY"), SHORT_CALL, False),
        (None, SHORT_CALL, False),
        (WING_CALL, None, False),
    ],
)
def test_what_stands_behind_what(bought: Instrument | None, sold: Instrument | None, expected: bool) -> None:
    """Same underlying and kind, living at least as long; what is not known covers nothing."""
    assert covers(bought, sold) is expected


@given(
    st.lists(st.tuples(st.sampled_from([NEAR, FAR]), st.integers(0, 3)), max_size=3),
    st.lists(st.tuples(st.sampled_from([NEAR, FAR]), st.integers(0, 3)), max_size=3),
)
def test_the_matching_is_the_largest(sold: list[tuple[object, int]], bought: list[tuple[object, int]]) -> None:
    """As many units are covered as by the best of all orders of giving them out one by one."""
    short = [Units(contract(24000 + at, CALL, expiry=expiry), units) for at, (expiry, units) in enumerate(sold)]  # type: ignore[arg-type]
    long = [Units(contract(25000 + at, CALL, expiry=expiry), units) for at, (expiry, units) in enumerate(bought)]  # type: ignore[arg-type]
    singles = [units.instrument for units in short for _ in range(units.quantity)]
    orders = permutations(range(len(singles)))
    best = max(_one_by_one([singles[at] for at in order], long) for order in list(orders)[:720])
    assert covered(short, long) == best or len(singles) > 6


def _one_by_one(sold: list[Instrument | None], bought: list[Units]) -> int:
    """Give each sold unit the first bought one that lives long enough, the shortest-lived first."""
    left = {at: units.quantity for at, units in enumerate(bought)}
    by_expiry = sorted(left, key=lambda at: str(_expiry(bought[at])))
    count = 0
    for one in sold:
        at = next((at for at in by_expiry if left[at] and covers(bought[at].instrument, one)), None)
        if at is not None:
            left[at] -= 1
            count += 1
    return count


def _expiry(units: Units) -> object:
    return None if units.instrument is None else units.instrument.expiry


def test_a_hedge_is_spare_only_as_far_as_nothing_needs_it() -> None:
    """Two lots bought behind one sold: one may go; with another expiry behind it, both of the nearer."""
    sold = [Units(SHORT_CALL, LOT)]
    assert spare(sold, [Units(WING_CALL, 2 * LOT)], 0) == LOT
    assert spare(sold, [Units(WING_CALL, LOT), Units(contract(24600, CALL, expiry=FAR), LOT)], 0) == LOT
    assert spare(sold, [Units(WING_CALL, LOT)], 0) == 0


def test_only_what_is_covered_can_be_added() -> None:
    """With one lot bought, one lot may be sold; with one lot allowed naked, two."""
    bought = [Units(WING_CALL, LOT)]
    assert addable([Units(SHORT_CALL, 0)], bought, 0, most=5 * LOT, allowed=0) == LOT
    assert addable([Units(SHORT_CALL, 0)], bought, 0, most=5 * LOT, allowed=LOT) == 2 * LOT
    assert uncovered([Units(SHORT_CALL, 3 * LOT)], bought) == 2 * LOT


SPAN = {SHORT_CALL.key: Decimal(200), SHORT_PUT.key: Decimal(150)}


async def _margin(requests: tuple[OrderRequest, ...]) -> Decimal:
    """A made-up rule: a naked short blocks its span, a covered one a fifth of it, a bought one 10."""
    bought = {leg.instrument.tradingsymbol[-2:] for leg in requests if leg.side is Side.BUY}
    total = Decimal(0)
    for leg in requests:
        if leg.side is Side.BUY:
            total += 10
        else:
            naked = SPAN[leg.instrument]
            total += naked / 5 if leg.instrument.tradingsymbol[-2:] in bought else naked
    return total


async def test_the_margin_on_the_way_and_the_cheapest_safe_order() -> None:
    """A condor's steps with hedges first, the peak with shorts first, and no safe order below the chosen one."""
    legs = [
        limit(WING_CALL, Side.BUY, LOT),
        limit(WING_PUT, Side.BUY, LOT),
        limit(SHORT_CALL, Side.SELL, LOT),
        limit(SHORT_PUT, Side.SELL, LOT),
    ]
    rows = [WING_CALL, WING_PUT, SHORT_CALL, SHORT_PUT]
    asked: list[frozenset[str]] = []

    async def ask(requests: tuple[OrderRequest, ...]) -> Decimal:
        asked.append(frozenset(leg.instrument.tradingsymbol for leg in requests))
        return await _margin(requests)

    paths = await MarginWalk(legs, rows, ask, hedge_first=True).paths()
    assert paths.chosen.after == tuple(map(Decimal, (10, 20, 60, 90)))
    assert paths.chosen.peak == paths.chosen.final == 90
    assert paths.shorts_first is not None
    assert paths.shorts_first.peak == 350
    assert paths.cheapest is None
    assert len(asked) == len(set(asked)), "the broker was asked twice for the same legs"


async def test_a_cheaper_safe_order_is_found() -> None:
    """Legs given shorts first and sent so have a cheaper safe order: each short behind its own hedge."""
    legs = [limit(SHORT_CALL, Side.SELL, LOT), limit(WING_CALL, Side.BUY, LOT)]
    walk = MarginWalk(legs, [SHORT_CALL, WING_CALL], _margin, hedge_first=False)
    paths = await walk.paths()
    assert paths.chosen.after == (Decimal(200), Decimal(50))
    assert paths.cheapest is not None
    assert paths.cheapest.order == (1, 0)
    assert paths.cheapest.after == (Decimal(10), Decimal(50))
