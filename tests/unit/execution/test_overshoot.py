"""An exit and its guard both filled: how much is too much, and the one order that takes it off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord, OrderState, Trade
from engine.core.vocabulary import OrderType, Side
from engine.execution.housekeeping import Ask, Holdings
from engine.execution.overshoot import (
    REVERSAL_PREFIX,
    FilledBy,
    Overshoot,
    OvershootLimits,
    Reverse,
    overshoots,
    reversals,
)
from tests.kit.fake_broker import LOT
from tests.unit.execution.protections import CALL, MAIN, NOW, fill, held, order

LIMITS = OvershootLimits(window=timedelta(seconds=60), attempts_max=3)
ENTRY, EXIT, GUARD, REVERSAL, PHONE = 1, 2, 3, 4, 5


def whose(trade: Trade) -> FilledBy | None:
    """Who filled, by the number in the broker's order id."""
    number = int(trade.broker_order_id[2:])
    if number == PHONE:
        return None
    return FilledBy(
        number=OrderNumber(number),
        strategy=MAIN,
        takes_away=number in {EXIT, GUARD, REVERSAL},
        is_reversal=number == REVERSAL,
    )


def later(seconds: float, trade_number: int, side: Side, quantity: int = LOT) -> Trade:
    """A fill so many seconds after the first."""
    return fill(trade_number, side, quantity, NOW + timedelta(seconds=seconds))


SHORT = [later(0, ENTRY, Side.SELL)]
BOTH = [*SHORT, later(10, EXIT, Side.BUY), later(11, GUARD, Side.BUY)]


def over(fills: Sequence[Trade], *, carried: int = 0) -> list[tuple[int, Side, int]]:
    """Number of the order, side and units of each overshoot."""
    net = carried + sum(item.signed_quantity for item in fills)
    return [(item.number, item.side, item.quantity) for item in overshoots(carried, net, fills, whose)]


def due(
    found: tuple[Overshoot, ...],
    holdings: Holdings,
    *,
    working: Sequence[OrderRecord] = (),
    earlier: dict[str, OrderRecord] | None = None,
    after_s: float = 12,
    quantity_max: int | None = None,
) -> tuple[Reverse | Ask, ...]:
    """What follows of it."""
    return reversals(
        CALL,
        found,
        holdings,
        working,
        earlier or {},
        now=NOW + timedelta(seconds=after_s),
        limits=LIMITS,
        quantity_max=quantity_max,
    )


def test_the_second_of_two_fills_has_overshot() -> None:
    """The exit brings the short to nothing, the guard buys a lot more; of a carried short it is the same."""
    assert over(BOTH) == [(GUARD, Side.BUY, LOT)]
    assert over(BOTH[1:], carried=-LOT) == [(GUARD, Side.BUY, LOT)]


def test_only_the_part_beyond_nothing_counts() -> None:
    """Two lots short, one left by the exit, a guard of two fills: one lot too many."""
    fills = [later(0, ENTRY, Side.SELL, 2 * LOT), later(5, EXIT, Side.BUY), later(6, GUARD, Side.BUY, 2 * LOT)]
    assert over(fills) == [(GUARD, Side.BUY, LOT)]


def test_a_long_position_overshoots_by_selling() -> None:
    """The same the other way round."""
    fills = [later(0, ENTRY, Side.BUY), later(5, EXIT, Side.SELL), later(6, GUARD, Side.SELL)]
    assert over(fills) == [(GUARD, Side.SELL, LOT)]


def test_what_was_taken_off_since_is_gone() -> None:
    """By a reversal, by hand, from the phone: it counts no more."""
    for number in (REVERSAL, ENTRY, PHONE):
        assert over([*BOTH, later(12, number, Side.SELL)]) == []


def test_a_reversal_never_counts_as_having_overshot() -> None:
    """Even if it went too far itself: no order of this kind ever causes another."""
    assert over([*BOTH, later(12, REVERSAL, Side.SELL), later(13, REVERSAL, Side.SELL)]) == []


def test_entries_and_orders_from_outside_never_overshoot() -> None:
    """A person who turns a position does it on purpose."""
    assert over([*SHORT, later(5, ENTRY, Side.BUY, 2 * LOT)]) == []
    assert over([*SHORT, later(5, EXIT, Side.BUY), later(6, PHONE, Side.BUY)]) == []


def test_within_one_second_what_takes_away_is_taken_to_be_first() -> None:
    """An exit and a new entry of one stamp are no overshoot."""
    assert over([*SHORT, later(5, ENTRY, Side.BUY), later(5, EXIT, Side.BUY)]) == []


def test_fills_that_do_not_add_up_say_nothing() -> None:
    """One is missing, or units were converted into another product: nothing may be concluded."""
    assert overshoots(0, 2 * LOT, BOTH, whose) == ()


def test_the_reversal_is_bounded_by_everybodys_figures() -> None:
    """By the overshoot, the ledger, the broker's net, the exchange's largest order, and what leaves already."""
    found = overshoots(0, LOT, BOTH, whose)
    (step,) = due(found, held(LOT))
    assert isinstance(step, Reverse)
    assert (step.side, step.quantity, step.strategy) == (Side.SELL, LOT, MAIN)
    assert step.idempotency_key.startswith(REVERSAL_PREFIX)
    assert due(found, held(LOT)) == (step,)
    (more,) = due(found, held(3 * LOT))
    assert isinstance(more, Reverse)
    assert more.quantity == LOT
    assert due(found, held(LOT, broker=0)) == ()
    assert due(found, held(0, broker=LOT)) == ()
    leaving = order(9, Side.SELL, kind=OrderType.LIMIT, state=OrderState.OPEN)
    assert due(found, held(LOT), working=(leaving,)) == ()
    (small,) = due(found, held(LOT), quantity_max=20)
    assert isinstance(small, Reverse)
    assert small.quantity == 20


def test_it_waits_while_anything_of_the_contract_is_in_flight() -> None:
    """An order whose outcome is not known may make it larger or take it off; so may a reversal that rests."""
    found = overshoots(0, LOT, BOTH, whose)
    for state in (OrderState.UNKNOWN, OrderState.SENDING, OrderState.CANCELLING, OrderState.QUEUED):
        assert due(found, held(LOT), working=(order(9, state=state),)) == ()
    resting = order(9, Side.SELL, 20, kind=OrderType.LIMIT, state=OrderState.OPEN, key=f"{REVERSAL_PREFIX}x/1")
    assert due(found, held(LOT), working=(resting,)) == ()


def test_attempts_end() -> None:
    """Refused reversals are tried with a new key each, three times; then a person is asked."""
    found = overshoots(0, LOT, BOTH, whose)
    earlier: dict[str, OrderRecord] = {}
    keys = []
    for number in range(3):
        (step,) = due(found, held(LOT), earlier=earlier)
        assert isinstance(step, Reverse)
        keys.append(step.idempotency_key)
        earlier[step.idempotency_key] = order(20 + number, Side.SELL, state=OrderState.REJECTED)
    assert len(set(keys)) == 3
    (asked,) = due(found, held(LOT), earlier=earlier)
    assert isinstance(asked, Ask)


def test_old_ones_and_those_another_strategy_holds_are_asked_about() -> None:
    """Somebody may have seen it and want to keep it; a strategy that does not hold it is not sold out of it."""
    found = overshoots(0, LOT, BOTH, whose)
    (old,) = due(found, held(LOT), after_s=120)
    (strange,) = due(found, held(LOT, main=0, other=LOT))
    assert isinstance(old, Ask)
    assert isinstance(strange, Ask)
