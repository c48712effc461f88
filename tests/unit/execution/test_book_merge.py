"""Rows of the book against records: late, repeated, out of order."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.commands import OrderChange
from engine.core.orders import OrderState, OrderTrigger
from engine.core.vocabulary import OrderType
from engine.execution.book_merge import Merge, merge_row, shows_change
from tests.unit.execution.desk import OPENING, buy
from tests.unit.execution.rows import BROKER_ID, record, row


def test_a_row_that_says_nothing_new_changes_nothing() -> None:
    """The same OPEN row again is no news."""
    assert merge_row(record(), row(), OPENING) == Merge()


def test_a_fill_grows_and_never_shrinks() -> None:
    """A partial fill is taken with its price; an older row with less is not."""
    before = record(request=buy(130))
    partial = merge_row(before, row(quantity=130, filled_quantity=65, average_price=Decimal("104.90")), OPENING)
    after = partial.steps[-1].record
    assert partial.grew_by == 65
    assert (after.state, after.filled_quantity, after.average_price) == (OrderState.OPEN, 65, Decimal("104.90"))
    assert merge_row(after, row(quantity=130, filled_quantity=0), OPENING) == Merge()


def test_a_step_with_less_filled_than_known_keeps_the_fill() -> None:
    """A final row that lost count does not take a fill away."""
    before = record(request=buy(130), filled_quantity=65, average_price=Decimal(105))
    after = merge_row(before, row("CANCELLED", quantity=130, filled_quantity=0), OPENING).steps[-1].record
    assert (after.state, after.filled_quantity, after.average_price) == (OrderState.CANCELLED, 65, Decimal(105))


def test_partial_after_complete_is_recorded_and_not_applied() -> None:
    """A late OPEN row of a completed order is illegal and shrinks nothing."""
    done = record(state=OrderState.COMPLETE, filled_quantity=65, average_price=Decimal(105))
    merged = merge_row(done, row(filled_quantity=10), OPENING)
    assert merged.illegal is OrderTrigger.BOOK_OPEN
    assert merged.steps == ()


def test_a_fill_that_beat_its_cancellation_wins() -> None:
    """CANCELLED here, COMPLETE in the book: the table lets the fill win."""
    merged = merge_row(
        record(state=OrderState.CANCELLED), row("COMPLETE", filled_quantity=65, average_price=Decimal(105)), OPENING
    )
    assert merged.steps[-1].record.state is OrderState.COMPLETE
    assert merged.grew_by == 65


def test_a_cancelled_order_keeps_what_was_filled() -> None:
    """The rest of an IOC order is cancelled, its fill counts."""
    merged = merge_row(record(), row("CANCELLED", filled_quantity=40, average_price=Decimal(105)), OPENING)
    after = merged.steps[-1].record
    assert (after.state, after.filled_quantity, after.remaining_quantity) == (OrderState.CANCELLED, 40, 0)


def test_a_late_fill_of_a_cancelled_order_counts() -> None:
    """A CANCELLED row with more filled than known grows the fill without a step of the table."""
    merged = merge_row(
        record(state=OrderState.CANCELLED),
        row("CANCELLED", filled_quantity=40, average_price=Decimal(105)),
        OPENING,
    )
    assert merged.grew_by == 40
    assert merged.steps[-1].record.filled_quantity == 40
    assert not merged.steps[-1].event.applied


@pytest.mark.parametrize("state", [OrderState.SENDING, OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT])
def test_our_tag_in_the_book_is_the_answer(state: OrderState) -> None:
    """An order that is searched for takes the broker's id and the book's state in one go."""
    merged = merge_row(record(state=state, broker_order_id=None), row(), OPENING)
    assert merged.found
    assert [taken.event.trigger for taken in merged.steps] == [OrderTrigger.ANSWERED, OrderTrigger.BOOK_OPEN]
    assert merged.steps[-1].record.broker_order_id == BROKER_ID
    assert merged.steps[-1].record.state is OrderState.OPEN


@pytest.mark.parametrize("status", ["VALIDATION PENDING", "PUT ORDER REQ RECEIVED", "SOMETHING NEW"])
def test_an_interim_word_does_not_unrest_an_order(status: str) -> None:
    """Interim and unknown words leave an OPEN order open."""
    assert merge_row(record(), row(status), OPENING) == Merge()


@pytest.mark.parametrize("state", [OrderState.MODIFYING, OrderState.CANCELLING])
def test_resting_rows_are_no_answer_to_a_command(state: OrderState) -> None:
    """While a command is out, an OPEN row changes neither the state nor the fields."""
    before = record(state=state)
    assert merge_row(before, row(price=Decimal(106)), OPENING) == Merge()


@pytest.mark.parametrize("state", [OrderState.MODIFYING, OrderState.CANCELLING])
def test_a_fill_during_a_command_counts(state: OrderState) -> None:
    """A partial fill is applied while the command stays in flight."""
    merged = merge_row(
        record(state=state, request=buy(130)),
        row(quantity=130, filled_quantity=65, average_price=Decimal(105)),
        OPENING,
    )
    assert merged.steps[-1].record.state is state
    assert merged.steps[-1].record.filled_quantity == 65


def test_a_terminal_row_has_the_last_word_on_the_fields() -> None:
    """A modification that took effect and was filled at once is seen in the final row."""
    merged = merge_row(
        record(state=OrderState.MODIFYING),
        row("COMPLETE", quantity=130, filled_quantity=130, price=Decimal(106), average_price=Decimal(106)),
        OPENING,
    )
    after = merged.steps[-1].record
    assert (after.request.quantity, after.request.price, after.filled_quantity) == (130, Decimal(106), 130)


def test_a_market_order_rests_as_the_limit_the_broker_made_of_it() -> None:
    """The record follows the book: LIMIT at the protected price."""
    market = buy(order_type=OrderType.MARKET, price=None, market_protection=Decimal(-1))
    merged = merge_row(record(request=market, state=OrderState.ACCEPTED), row(price=Decimal("108.15")), OPENING)
    rested = merged.steps[-1].record.request
    assert (rested.order_type, rested.price) == (OrderType.LIMIT, Decimal("108.15"))


def test_a_change_made_elsewhere_is_told_in_words() -> None:
    """A price changed on the phone is taken and described."""
    merged = merge_row(record(), row(price=Decimal("104.5")), OPENING)
    assert merged.changed == "price 105 > 104.5"
    assert merged.steps[-1].record.request.price == Decimal("104.5")


def test_a_change_is_shown_only_when_every_field_is() -> None:
    """Quantity, price and trigger must all stand as asked."""
    change = OrderChange(quantity=130, price=Decimal(106))
    assert shows_change(row(quantity=130, price=Decimal("106.00")), change)
    assert not shows_change(row(quantity=130, price=Decimal(105)), change)
    assert not shows_change(row(quantity=65, price=Decimal(106)), change)
