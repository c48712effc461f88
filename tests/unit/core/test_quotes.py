"""A quote's prices and the cost of walking its depth."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.quotes import DepthLevel, Quote, walk_depth
from engine.core.vocabulary import QuoteState, Side


def levels(*pairs: tuple[str, int]) -> tuple[DepthLevel, ...]:
    """A side of the book, best first."""
    return tuple(DepthLevel(Decimal(price), quantity, 1) for price, quantity in pairs)


def quote(bid: str | None, ask: str | None) -> Quote:
    """A quote with one level a side."""
    return Quote(
        token=1,
        state=QuoteState.LIVE,
        bids=levels((bid, 65)) if bid else (),
        asks=levels((ask, 65)) if ask else (),
    )


def test_touch_is_the_price_an_order_meets() -> None:
    """A buy meets the ask, a sell the bid."""
    both = quote("151.20", "151.60")
    assert (both.touch(Side.BUY), both.touch(Side.SELL)) == (Decimal("151.60"), Decimal("151.20"))


def test_mid_is_half_way_and_exact() -> None:
    """151.20 and 151.65 have the mid 151.425."""
    assert quote("151.20", "151.65").mid == Decimal("151.425")


@pytest.mark.parametrize(("bid", "ask"), [(None, "1"), ("1", None), (None, None), ("2", "1"), ("1", "1")])
def test_there_is_no_mid_of_a_broken_book(bid: str | None, ask: str | None) -> None:
    """One-sided, empty, crossed and locked books have no mid."""
    assert quote(bid, ask).mid is None


@pytest.mark.parametrize(
    ("quantity", "filled", "average", "worst", "used"),
    [
        (65, 65, "100", "100", 1),
        (130, 130, "100", "100", 1),
        (195, 195, "100.5", "101.5", 2),
        (260, 260, "100.75", "101.5", 2),
        (500, 325, "101", "102", 3),
    ],
)
def test_walking_the_depth(quantity: int, filled: int, average: str, worst: str, used: int) -> None:
    """Each level gives what it has, best first; a thin book fills a part."""
    walk = walk_depth(levels(("100", 130), ("101.5", 130), ("102", 65)), quantity)
    assert (walk.filled, walk.average_price, walk.worst_price, walk.levels) == (
        filled,
        Decimal(average),
        Decimal(worst),
        used,
    )


def test_an_empty_book_gives_nothing() -> None:
    """No levels: no price, not zero."""
    walk = walk_depth((), 65)
    assert (walk.filled, walk.average_price, walk.worst_price, walk.levels) == (0, None, None, 0)


def test_levels_without_quantity_are_passed_over() -> None:
    """An empty level in the middle neither counts nor stops the walk."""
    walk = walk_depth(levels(("100", 65), ("101", 0), ("102", 65)), 130)
    assert (walk.filled, walk.average_price, walk.levels) == (130, Decimal(101), 2)
