"""Orders on ended contracts, stale ones, and the warnings before the broker squares MIS positions off."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.identifiers import InstrumentKey
from engine.core.orders import OrderState
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import OrderType, Product, QuoteState
from engine.execution.facts import HeldPosition
from engine.execution.lingering import SquareOffWarning, expired_orders, square_off_warning, stale_orders
from tests.kit.fake_broker import LOT, TOKEN, option
from tests.unit.execution.protections import NOW, order

HOURS = timedelta(hours=4)
STEPS = [timedelta(minutes=30), timedelta(minutes=10), timedelta(minutes=3)]
AT = NOW + timedelta(hours=1)


def quote(bid: str = "99", ask: str = "101", state: QuoteState = QuoteState.LIVE) -> Quote:
    """A quote of the call."""
    return Quote(
        token=TOKEN,
        state=state,
        bids=(DepthLevel(Decimal(bid), 650, 3),),
        asks=(DepthLevel(Decimal(ask), 650, 3),),
    )


def test_orders_on_contracts_that_have_ended_are_named() -> None:
    """Only resting ones, only after the last moment, and not where that is not known."""
    resting = order(7, kind=OrderType.LIMIT, state=OrderState.OPEN)
    flying = order(8, kind=OrderType.LIMIT, state=OrderState.CANCELLING)
    assert [item.number for item in expired_orders((resting, flying), NOW, lambda _: NOW)] == [7]
    assert expired_orders((resting,), NOW, lambda _: NOW + timedelta(seconds=1)) == ()
    assert expired_orders((resting,), NOW, lambda _: None) == ()


@pytest.mark.parametrize(
    ("bid", "ask", "hours", "state", "expected"),
    [
        ("299", "301", 4, QuoteState.LIVE, [7]),
        ("299", "301", 1, QuoteState.LIVE, []),
        ("139", "141", 4, QuoteState.LIVE, []),
        ("299", "301", 4, QuoteState.STALE, []),
    ],
    ids=["old and far", "young", "near", "an old quote"],
)
def test_a_limit_order_is_stale_when_it_is_old_and_far(
    bid: str, ask: str, hours: float, state: QuoteState, expected: list[int]
) -> None:
    """A buy at 130 while the market is at 301; never judged by a quote that may be wrong."""
    resting = msgspec.structs.replace(
        order(7, kind=OrderType.LIMIT, state=OrderState.OPEN), updated_at=NOW - timedelta(hours=hours)
    )
    found = stale_orders(
        (resting, order(8)),
        NOW,
        lambda _: quote(bid, ask, state),
        after_s=3 * 3600,
        distance_percent=Decimal(40),
    )
    assert [item.number for item in found] == expected


def warned(
    left: timedelta, said: frozenset[timedelta] = frozenset(), *, product: Product = Product.MIS, units: int = -LOT
) -> SquareOffWarning | None:
    """The warning that is due so long before the square-off."""
    quotes: dict[InstrumentKey, Quote | None] = {option().key: quote()}
    return square_off_warning(
        AT - left,
        AT,
        STEPS,
        said,
        positions=[HeldPosition(instrument=option(), product=product, signed_quantity=units)],
        quotes=quotes,
        fee=Decimal(59),
    )


def test_each_warning_is_said_once_with_what_is_held_and_what_it_costs() -> None:
    """At thirty, ten and three minutes; a desk that comes late says the one that is due."""
    assert warned(timedelta(minutes=31)) is None
    first = warned(timedelta(minutes=30))
    assert first is not None
    assert first.step == STEPS[0]
    assert f"-{LOT} {option().tradingsymbol}" in first.words
    assert "in about 30 min" in first.words
    assert "65.00 of spread" in first.words
    assert "59" in first.words
    assert warned(timedelta(minutes=20), frozenset({STEPS[0]})) is None
    late = warned(timedelta(minutes=2))
    assert late is not None
    assert late.step == STEPS[2]
    assert warned(timedelta(0)) is None


def test_what_is_carried_overnight_is_not_warned_about() -> None:
    """NRML stays; nothing held is no warning."""
    assert warned(timedelta(minutes=5), product=Product.NRML) is None
