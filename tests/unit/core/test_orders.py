"""The table of order states, and small figures of orders and fills."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import product

import msgspec
import pytest

from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, OrderNumber, TradeId
from engine.core.orders import (
    TERMINAL,
    TRANSITIONS,
    OrderRecord,
    OrderRequest,
    OrderState,
    OrderTrigger,
    Trade,
    average_fill,
    next_state,
)
from engine.core.vocabulary import Exchange, Product, Side

KEY = InstrumentKey(Exchange.NFO, "NIFTY26DEC24000CE")
NOW = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
FROM_THE_BROKER = {trigger for trigger in OrderTrigger if trigger.startswith("BOOK_")} | {OrderTrigger.ANSWERED}
FINAL_WORDS = (OrderTrigger.BOOK_COMPLETE, OrderTrigger.BOOK_REJECTED, OrderTrigger.BOOK_CANCELLED)


def fill(quantity: int, price: str, side: Side = Side.BUY) -> Trade:
    """One fill."""
    return Trade(
        account=AccountId("AB1234"),
        instrument=KEY,
        token=1,
        broker_order_id=BrokerOrderId("1"),
        trade_id=TradeId("1"),
        side=side,
        product=Product.NRML,
        quantity=quantity,
        price=Decimal(price),
        filled_at=NOW,
    )


def record(state: OrderState, filled: int = 0) -> OrderRecord:
    """An order of 130 units in a state."""
    return OrderRecord(
        number=OrderNumber(1),
        intent_id=None,
        account=AccountId("AB1234"),
        tag=None,
        request=OrderRequest(instrument=KEY, side=Side.BUY, quantity=130, price=Decimal(100)),
        state=state,
        filled_quantity=filled,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(("state", "trigger"), list(product(OrderState, OrderTrigger)))
def test_every_pair_is_listed_or_illegal(state: OrderState, trigger: OrderTrigger) -> None:
    """The table answers every pair, and the answer is a state or nothing."""
    answer = next_state(state, trigger)
    assert answer is TRANSITIONS.get((state, trigger))
    assert answer is None or answer in OrderState


@pytest.mark.parametrize("trigger", list(OrderTrigger))
def test_a_finished_order_stays_finished(trigger: OrderTrigger) -> None:
    """Complete, rejected and unsent orders go nowhere any more; a dead letter is closed where it lies."""
    for state in (OrderState.COMPLETE, OrderState.REJECTED, OrderState.NOT_SENT):
        assert next_state(state, trigger) in {None, state}


def test_a_cancelled_order_can_only_turn_out_filled() -> None:
    """The fill that raced the cancellation is the only way out of CANCELLED."""
    ways = {trigger: next_state(OrderState.CANCELLED, trigger) for trigger in OrderTrigger}
    assert {trigger: state for trigger, state in ways.items() if state} == {
        OrderTrigger.BOOK_COMPLETE: OrderState.COMPLETE
    }


def test_nothing_is_ever_sent_twice() -> None:
    """Only a queued order can be sent."""
    assert [state for state in OrderState if next_state(state, OrderTrigger.SEND)] == [OrderState.QUEUED]


def test_an_unknown_order_is_resolved_by_the_broker_or_presumed_absent() -> None:
    """UNKNOWN never goes back to the queue, and never becomes unsent or rejected by our own word."""
    for trigger in OrderTrigger:
        answer = next_state(OrderState.UNKNOWN, trigger)
        if answer is not None:
            assert trigger in FROM_THE_BROKER | {OrderTrigger.PRESUME_ABSENT}
            assert answer not in {OrderState.QUEUED, OrderState.SENDING, OrderState.NOT_SENT}


def test_a_late_appearance_is_adopted() -> None:
    """An order given up takes every word of the broker's book."""
    for trigger in FROM_THE_BROKER:
        assert next_state(OrderState.PRESUMED_ABSENT, trigger) is not None


def test_the_book_has_the_last_word_on_everything_at_the_broker() -> None:
    """From every state in which the broker may hold the order its final word is taken."""
    at_broker = [state for state in OrderState if state not in TERMINAL and state is not OrderState.QUEUED]
    for state in [*at_broker, OrderState.PRESUMED_ABSENT]:
        for word in FINAL_WORDS:
            answer = next_state(state, word)
            assert answer is not None
            assert answer.is_terminal


def test_a_stale_book_does_not_answer_a_command_in_flight() -> None:
    """While a modification or cancellation is out, a resting state of the book changes nothing."""
    for state in (OrderState.MODIFYING, OrderState.CANCELLING):
        for word in (OrderTrigger.BOOK_OPEN, OrderTrigger.BOOK_TRIGGER_PENDING, OrderTrigger.BOOK_INTERIM):
            assert next_state(state, word) is state


def test_every_state_can_be_reached_and_can_end() -> None:
    """Walking the table from QUEUED meets every state, and from each a terminal one can be reached."""

    def reachable(start: OrderState) -> set[OrderState]:
        seen, todo = {start}, [start]
        while todo:
            here = todo.pop()
            for (source, _), target in TRANSITIONS.items():
                if source is here and target not in seen:
                    seen.add(target)
                    todo.append(target)
        return seen

    assert reachable(OrderState.QUEUED) == set(OrderState)
    assert all(reachable(state) & TERMINAL for state in OrderState)


def test_terminal_and_working_are_opposites() -> None:
    """Each state is exactly one of the two."""
    assert {state for state in OrderState if state.is_terminal} == TERMINAL
    assert all(state.is_working is not state.is_terminal for state in OrderState)


def test_remaining_quantity() -> None:
    """What may still trade: all but the filled part, nothing once terminal."""
    assert record(OrderState.OPEN, 65).remaining_quantity == 65
    assert record(OrderState.UNKNOWN).remaining_quantity == 130
    assert record(OrderState.CANCELLED, 65).remaining_quantity == 0


def test_average_fill_is_weighted_by_quantity() -> None:
    """65 @100 and 130 @106 average 104; no fills have no average."""
    assert average_fill((fill(65, "100"), fill(130, "106"))) == Decimal(104)
    assert average_fill(()) is None


def test_a_fill_has_signed_quantity_and_cash() -> None:
    """A buy adds units and pays; a sell takes units and receives."""
    bought, sold = fill(65, "100"), fill(65, "100", Side.SELL)
    assert (bought.signed_quantity, bought.value) == (65, Decimal(-6500))
    assert (sold.signed_quantity, sold.value) == (-65, Decimal(6500))


def test_orders_are_values() -> None:
    """A record survives the wire unchanged, Decimals included."""
    before = record(OrderState.OPEN, 65)
    assert msgspec.json.decode(msgspec.json.encode(before), type=OrderRecord) == before
