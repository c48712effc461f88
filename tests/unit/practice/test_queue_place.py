"""A resting order's place in the queue: what brings it forward, what loses it, and who is served first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.practice.matching import Fill, Matcher, in_turn
from engine.practice.orders import Order
from tests.unit.practice.conftest import Venue
from tests.unit.practice.test_matching import RECOVERY, order, quotes

BIDS = ((9990, 130), (9985, 260))


def test_a_trade_through_the_price_leaves_nobody_before_the_order() -> None:
    """When the market trades below a resting buy, everybody at its price has been served before."""
    resting = order(quantity=130, price=9990, ahead=5_000, resting=True)
    now = quotes(101.0, last=9985, volume=200)
    assert Matcher(RECOVERY).wait(quotes(), now, 0, resting) == [Fill(9990, 100)]
    assert resting.ahead == 0


def test_a_smaller_displayed_size_brings_the_order_forward() -> None:
    """Fewer units shown at the price than were before the order: the others have left, without a fill."""
    resting = order(quantity=65, price=9990, ahead=130, resting=True)
    matcher = Matcher(RECOVERY)
    assert matcher.wait(quotes(), quotes(101.0, bids=((9990, 65), (9985, 260))), 0, resting) == []
    assert resting.ahead == 65
    assert matcher.wait(quotes(), quotes(102.0, bids=((9990, 650), (9985, 260))), 0, resting) == []
    assert resting.ahead == 65, "who joins later stands behind"


def test_a_price_that_left_the_display_keeps_the_place() -> None:
    """Beyond the five levels nothing is known: the place stays what it was."""
    resting = order(quantity=65, price=9985, ahead=260, resting=True)
    deep = tuple((9990 - 0 + 5 * step, 65) for step in range(5, 0, -1))
    Matcher(RECOVERY).wait(quotes(), quotes(101.0, bids=deep), 0, resting)
    assert resting.ahead == 260


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_the_better_price_is_served_first_and_then_the_earlier_order(side: str) -> None:
    """Price, then time: whatever order the book lists them in."""
    better = 9995 if side == "BUY" else 9985
    late, early, best = order(side, price=9990, line=7), order(side, price=9990, line=3), order(side, price=better)
    best.line = 9
    assert in_turn([late, early, best]) == [best, early, late]


def rest(venue: Venue) -> Order:
    """Place a buy at the best bid, behind what is displayed there."""
    call = venue.contract()
    return venue.place(call, "BUY", 130, venue.depth(call, "SELL")[0][0] / 100)


@pytest.mark.parametrize(
    ("change", "keeps"),
    [
        (lambda resting: {"quantity": "65"}, True),
        (lambda resting: {"quantity": "195"}, False),
        (lambda resting: {"price": f"{resting.price / 100 - 0.05:.2f}"}, False),
        (lambda resting: {}, True),
    ],
)
def test_a_modification_to_another_price_or_more_units_loses_the_place(
    venue: Venue, change: Callable[[Order], dict[str, str]], keeps: bool
) -> None:
    """A lower quantity keeps its place in the queue; another price or a higher quantity goes to the end."""
    resting = rest(venue)
    resting.ahead = 1
    before = resting.line
    venue.exchange.desk.modify("regular", resting.order_id, change(resting))
    venue.exchange.desk.finish_change(resting.order_id)
    assert (resting.line == before) is keeps
    assert (resting.ahead == 1) is keeps


def test_the_place_survives_a_restart(venue: Venue) -> None:
    """An order that joined before a restart stays before one that joins after it."""
    first = rest(venue)
    venue.restart()
    second = rest(venue)
    known = venue.exchange.ledger.orders[first.order_id]
    assert in_turn([second, known]) == [known, second]


def test_two_accounts_do_not_get_the_same_units() -> None:
    """One matcher serves all accounts: what the first took off the display is not there for the second."""
    matcher, now = Matcher(RECOVERY), quotes()
    first, second = order(account="A"), order(account="B")
    assert matcher.take(now, 0, first) == [Fill(10010, 65)]
    assert matcher.take(now, 0, second) == []
    assert np.array_equal(now.ask_price[0], [10015, 10030, 0, 0, 0])
