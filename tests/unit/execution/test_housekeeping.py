"""Stops and targets after their position has become smaller or is gone: what is done, and what is left alone."""

from __future__ import annotations

import msgspec
import pytest

from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord, OrderState
from engine.core.vocabulary import OrderType, Side
from engine.execution.housekeeping import STAND_IN_PREFIX, Ask, Drop, Replace, Role, Shrink, tidy
from tests.kit.fake_broker import LOT
from tests.unit.execution.protections import OTHER, held, order, picture

LIMIT, OPEN = OrderType.LIMIT, OrderState.OPEN


@pytest.mark.parametrize(
    ("side", "kind", "state"),
    [
        (Side.BUY, OrderType.SL, OrderState.TRIGGER_PENDING),
        (Side.SELL, OrderType.SL, OrderState.TRIGGER_PENDING),
        (Side.BUY, LIMIT, OPEN),
        (Side.SELL, LIMIT, OPEN),
    ],
)
def test_an_orphan_goes_and_a_larger_one_shrinks(side: Side, kind: OrderType, state: OrderState) -> None:
    """Short and long, stop and target: gone with the position, modified down with a part of it, kept with all."""
    resting = order(7, side, 2 * LOT, kind=kind, state=state)
    (dropped,) = tidy(picture(held(0), resting))
    assert isinstance(dropped, Drop)
    assert dropped.number == 7
    (shrunk,) = tidy(picture(held(-side.sign * LOT), resting))
    assert isinstance(shrunk, Shrink)
    assert shrunk.quantity == LOT
    assert tidy(picture(held(-side.sign * 2 * LOT), resting)) == ()


def test_the_filled_part_stays_in_the_new_total() -> None:
    """A modification names the total: 65 of 195 are filled, 65 are left to protect, so 130 in all."""
    resting = order(7, quantity=3 * LOT, filled=LOT)
    (shrunk,) = tidy(picture(held(-LOT), resting))
    assert isinstance(shrunk, Shrink)
    assert shrunk.quantity == 2 * LOT


def test_a_position_on_the_other_side_protects_nothing() -> None:
    """The short was turned into a long: its buy stop goes."""
    (dropped,) = tidy(picture(held(LOT), order(7)))
    assert isinstance(dropped, Drop)


def test_a_stop_and_a_target_of_one_position_stand_for_each_other() -> None:
    """Both may be as large as the position; with half of it gone both shrink."""
    stop, target = order(7, quantity=2 * LOT), order(8, quantity=2 * LOT, kind=LIMIT, state=OPEN)
    assert tidy(picture(held(-2 * LOT), stop, target)) == ()
    actions = tidy(picture(held(-LOT), stop, target))
    assert [(type(action), getattr(action, "quantity", 0)) for action in actions] == [(Shrink, LOT), (Shrink, LOT)]


def test_of_several_orders_the_newest_give_way_first() -> None:
    """Three lots of stops for one lot held: the newest goes, the next one shrinks, the oldest stays."""
    orders = (order(5), order(6), order(9))
    actions = tidy(picture(held(-LOT), *orders))
    assert [(type(action), action.number) for action in actions if not isinstance(action, Ask)] == [
        (Drop, 9),
        (Drop, 6),
    ]


def test_the_strategy_that_left_gives_its_orders_up_first() -> None:
    """The newer stop belongs to the strategy that still holds: the older one of the other goes."""
    actions = tidy(picture(held(-LOT, main=0, other=-LOT), order(5), order(9, strategy=OTHER)))
    assert [action.number for action in actions] == [5]


def test_an_order_that_still_protects_another_strategy_is_only_asked_about() -> None:
    """Its own strategy is flat, the account is not: nothing is cancelled, a person is told."""
    (asked,) = tidy(picture(held(-LOT, main=0, other=-LOT), order(5)))
    assert isinstance(asked, Ask)
    assert "#1" in asked.words


@pytest.mark.parametrize(
    ("ledger", "broker", "own"),
    [(0, -LOT, 0), (-LOT, 0, -LOT), (0, 0, -LOT)],
    ids=["the broker holds it", "the ledger holds it", "a strategy holds it"],
)
def test_whoever_says_most_is_believed(ledger: int, broker: int, own: int) -> None:
    """As long as anybody says that it is held, its stop stays."""
    actions = tidy(picture(held(ledger, broker=broker, main=own, other=ledger - own), order(7)))
    assert not [action for action in actions if not isinstance(action, Ask)]


@pytest.mark.parametrize(
    "state",
    [
        OrderState.QUEUED,
        OrderState.SENDING,
        OrderState.ACCEPTED,
        OrderState.MODIFYING,
        OrderState.CANCELLING,
        OrderState.UNKNOWN,
    ],
)
def test_nothing_is_touched_while_an_order_of_the_contract_is_in_flight(state: OrderState) -> None:
    """It settles first; about an unknown one a person is told once."""
    actions = tidy(picture(held(0), order(7), entries=(order(8, Side.BUY, state=state, kind=LIMIT),)))
    assert not [action for action in actions if not isinstance(action, Ask)]
    assert bool(actions) is (state is OrderState.UNKNOWN)


def test_an_order_in_flight_is_not_asked_again() -> None:
    """A cancellation under way is the reason to wait, so nothing is asked twice."""
    assert tidy(picture(held(0), order(7, state=OrderState.CANCELLING))) == ()


def test_a_resting_entry_that_would_add_counts_as_held() -> None:
    """A sell limit that rests may open the short again: the stop placed for it stays."""
    entry = order(8, Side.SELL, kind=LIMIT, state=OPEN)
    assert tidy(picture(held(0), order(7), entries=(entry,))) == ()


def test_orphans_of_both_sides_do_not_keep_each_other() -> None:
    """A buy stop and a sell stop with nothing held: both go."""
    actions = tidy(picture(held(0), order(7), order(8, Side.SELL)))
    assert sorted(action.number for action in actions if isinstance(action, Drop)) == [7, 8]


def test_what_is_no_whole_number_of_lots_or_used_up_is_asked_about() -> None:
    """No order the exchange would refuse is sent, and none that has triggered is replaced on the wrong side."""
    (lots,) = tidy(picture(held(-10), order(7)))
    (used,) = tidy(picture(held(-LOT), order(7, quantity=2 * LOT, state=OPEN, modifications=25)))
    (no_lot,) = tidy(picture(held(-LOT), order(7, quantity=2 * LOT), lot=None))
    assert isinstance(lots, Ask)
    assert isinstance(no_lot, Ask)
    assert isinstance(used, Ask)
    assert "25 times" in used.words


def test_unknown_positions_and_doubtful_ones_change_nothing() -> None:
    """Nothing is done, and it is said."""
    (unknown,) = tidy(picture(None, order(7)))
    (doubtful,) = tidy(picture(held(0), order(7), doubtful=True))
    assert isinstance(unknown, Ask)
    assert isinstance(doubtful, Ask)
    assert tidy(picture(None)) == ()


def test_orders_that_are_somebody_elses_neither_go_nor_count() -> None:
    """An order of a plan is not touched, and a stop beside it is not cut because of it."""
    plans, own = order(7), order(8)
    untouchable = frozenset({OrderNumber(7)})
    assert tidy(picture(held(-LOT), plans, own, untouchable=untouchable)) == ()
    (dropped,) = tidy(picture(held(0), plans, own, untouchable=untouchable))
    assert isinstance(dropped, Drop)
    assert dropped.number == 8


def test_entries_are_never_touched() -> None:
    """An order that is not known to be protective stays, whatever is held."""
    assert tidy(picture(held(0), entries=(order(7), order(8, kind=LIMIT, state=OPEN)))) == ()


def test_a_role_is_what_the_order_was_made_as() -> None:
    """A stop and a market stop protect; a limit and a market order leave with a gain."""
    assert Role.of(OrderType.SL_M) is Role.STOP
    assert Role.of(OrderType.MARKET) is Role.TARGET


def test_a_used_up_guard_is_replaced_and_never_cancelled_first() -> None:
    """Nothing rests in its place: a smaller one is placed; one that rests there: the old one goes, and only it."""
    old = order(7, quantity=2 * LOT, modifications=25)
    new = order(9, key=f"{STAND_IN_PREFIX}o7/1")
    (placed,) = tidy(picture(held(-LOT), old))
    assert isinstance(placed, Replace)
    assert (placed.number, placed.quantity, placed.idempotency_key) == (7, LOT, new.idempotency_key)
    (dropped,) = tidy(picture(held(-LOT), old, new, stand_ins=(new,)))
    assert (type(dropped), dropped.number) == (Drop, 7)
    both = tidy(picture(held(0), old, new, stand_ins=(new,)))
    assert {(type(action), action.number) for action in both} == {(Drop, 7), (Drop, 9)}


def test_the_old_guard_stays_where_the_smaller_one_is_not_enough() -> None:
    """The position has grown again meanwhile: the small one gives way, and what is held stays protected."""
    old = order(7, quantity=2 * LOT, modifications=25)
    new = order(9, key=f"{STAND_IN_PREFIX}o7/1")
    (dropped,) = tidy(picture(held(-2 * LOT), old, new, stand_ins=(new,)))
    assert (type(dropped), dropped.number) == (Drop, 9)


def test_one_on_its_way_in_its_place_holds_everything_back() -> None:
    """Until it rests nothing is placed, changed or cancelled."""
    old = order(7, quantity=2 * LOT, modifications=25)
    new = order(9, key=f"{STAND_IN_PREFIX}o7/1", state=OrderState.SENDING)
    assert tidy(picture(held(-LOT), old, entries=(new,), stand_ins=(new,))) == ()


@pytest.mark.parametrize(("net", "entries"), [(-LOT, ()), (0, (order(8, Side.SELL, kind=LIMIT, state=OPEN),))])
def test_a_stop_from_outside_that_has_or_may_get_something_is_left_alone(
    net: int, entries: tuple[OrderRecord, ...]
) -> None:
    """What is held, or an order that may open it, is what it is for; without either it is asked about."""
    stop = msgspec.structs.replace(order(7), intent_id=None)
    assert tidy(picture(held(net), entries=(stop, *entries))) == ()
    (asked,) = tidy(picture(held(0), entries=(stop,)))
    assert isinstance(asked, Ask)
    assert asked.needs_broker
