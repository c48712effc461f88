"""The asynchronous half of ``EngineClient``: questions and commands, the same answers and errors over every road."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import (
    AcknowledgeEvent,
    CloseDeadLetter,
    CreateStrategy,
    PlaceOrder,
    ReplayDeadLetter,
    SetMode,
)
from engine.core.errors import UnknownInstrument, UnknownOrder
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord, OrderState
from engine.core.plans import BasketPlan, ExitPlan, OrderPlan, PlanView, TimedPlan
from engine.core.vocabulary import Mode
from tests.contract.client.harness import ClientHarness, within_limits
from tests.kit.local_door import until


async def on_its_way(harness: ClientHarness, number: OrderNumber) -> None:
    """Wait until an order has left the queue."""
    await until(
        lambda: any(
            order.number == number and order.state is not OrderState.QUEUED for order in harness.client.desk().orders
        ),
        "the order on its way",
    )


async def test_expiries_understand_aliases(harness: ClientHarness) -> None:
    """An alias lists the same labelled days."""
    labels = await harness.client.expiries(harness.alias)
    assert labels == await harness.client.expiries(harness.chain_key.underlying)
    assert labels[0].labels[0] == "w0"
    assert harness.chain_key.expiry in {label.expiry for label in labels}


async def test_an_unknown_underlying_is_refused_in_words(harness: ClientHarness) -> None:
    """The error keeps its kind and names what was asked."""
    with pytest.raises(UnknownInstrument, match="NOSUCH"):
        await harness.client.expiries("NOSUCH")


async def test_underlyings_carry_their_lot(harness: ClientHarness) -> None:
    """The underlying of the chain is listed."""
    views = {view.name: view for view in await harness.client.underlyings()}
    assert views[harness.chain_key.underlying].lot_size > 0


async def test_search_is_bounded(harness: ClientHarness) -> None:
    """No more than was asked for comes back."""
    assert len(await harness.client.search(harness.chain_key.underlying, limit=3)) == 3


async def test_a_sentence_becomes_a_command(harness: ClientHarness) -> None:
    """The command's request has exact prices."""
    interpretation = await harness.client.interpret(harness.sentence)
    assert isinstance(interpretation.command, PlaceOrder)
    assert interpretation.error is None


async def test_a_wrong_sentence_is_an_answer_with_a_place(harness: ClientHarness) -> None:
    """A slip of the tongue raises nothing."""
    interpretation = await harness.client.interpret("frobnicate everything")
    assert interpretation.command is None
    assert interpretation.error is not None
    assert interpretation.error.place == 0


async def test_a_preview_changes_nothing(harness: ClientHarness) -> None:
    """Looking at an order does not make one."""
    before = await harness.client.orders()
    preview = await harness.client.preview(PlaceOrder(request=harness.request))
    assert preview.sentence
    assert await harness.client.orders() == before


async def test_a_preview_shows_broken_checks(harness: ClientHarness) -> None:
    """An odd quantity is named by its check."""
    odd = msgspec.structs.replace(harness.request, quantity=harness.request.quantity + 1)
    preview = await harness.client.preview(PlaceOrder(request=odd))
    assert "lot" in {violation.check for violation in preview.violations}


async def test_a_submitted_order_is_in_the_list(harness: ClientHarness) -> None:
    """The receipt and the list name the same order."""
    receipt = await harness.client.submit(PlaceOrder(request=harness.request))
    assert receipt.accepted
    numbers = {record.number for record in await harness.client.orders()}
    assert receipt.orders[0].number in numbers


async def test_the_same_key_never_makes_a_second_order(harness: ClientHarness) -> None:
    """Repeating a command with its key gives the first order again."""
    command = PlaceOrder(request=harness.request, idempotency_key=f"contract-{uuid.uuid4()}")
    before = len(await harness.client.orders())
    first = await harness.client.submit(command)
    again = await harness.client.submit(command)
    assert again.repeated
    assert again.orders[0].number == first.orders[0].number
    assert len(await harness.client.orders()) == before + 1


async def test_a_refusal_is_an_answer(harness: ClientHarness) -> None:
    """All reasons come in the receipt, none as an exception."""
    odd = msgspec.structs.replace(harness.request, quantity=harness.request.quantity + 1)
    receipt = await harness.client.submit(PlaceOrder(request=odd))
    assert not receipt.accepted
    assert "lot" in {violation.check for violation in receipt.violations}


async def test_an_order_has_a_history_of_its_own(harness: ClientHarness) -> None:
    """Only events of that order, with aware times."""
    receipt = await harness.client.submit(PlaceOrder(request=harness.request))
    number = receipt.orders[0].number
    await on_its_way(harness, number)
    history = await harness.client.order_history(number)
    assert {event.number for event in history} == {number}
    assert all(event.at.tzinfo is not None for event in history)


async def test_an_unknown_order_has_no_history(harness: ClientHarness) -> None:
    """The error keeps its kind."""
    with pytest.raises(UnknownOrder, match="o987654"):
        await harness.client.order_history(OrderNumber(987_654))


async def test_why_an_order_happened_can_be_asked(harness: ClientHarness) -> None:
    """Its record, its history and its times; of an unknown order the error keeps its kind."""
    receipt = await harness.client.submit(PlaceOrder(request=harness.request))
    number = receipt.orders[0].number
    await on_its_way(harness, number)
    why = await harness.client.why(number)
    assert why.order.number == number
    assert {event.number for event in why.history} == {number}
    assert why.order.request.price == harness.request.price
    with pytest.raises(UnknownOrder, match="o987654"):
        await harness.client.why(OrderNumber(987_654))


async def test_the_executors_health_is_a_picture(harness: ClientHarness) -> None:
    """Budget, all breakers closed, four latencies, no dead letters."""
    (health,) = await harness.client.execution_health()
    assert health.account == harness.client.desk().status.account
    assert health.budget.day_limit == harness.client.desk().status.budget.day_limit
    states = {breaker.endpoint: breaker.state for breaker in health.breakers}
    assert states == dict.fromkeys(("orders", "book", "triggers"), "closed")
    assert [latency.step for latency in health.latencies] == ["queue", "send", "acknowledge", "fill"]
    assert health.dead_letters == 0
    assert await harness.client.dead_letters() == ()


async def test_a_letter_that_is_none_is_refused_in_words(harness: ClientHarness) -> None:
    """Replaying and closing reach the executor over every road."""
    for command in (
        ReplayDeadLetter(numbers=(OrderNumber(987_654),)),
        CloseDeadLetter(numbers=(OrderNumber(987_654),)),
    ):
        receipt = await harness.client.submit(command)
        assert not receipt.accepted
        assert receipt.violations


async def test_records_keep_exact_prices_and_aware_times(harness: ClientHarness) -> None:
    """What was asked for is what is recorded, digit by digit."""
    receipt = await harness.client.submit(PlaceOrder(request=harness.request))
    record = receipt.orders[0]
    assert isinstance(record, OrderRecord)
    assert record.request.price == harness.request.price
    assert isinstance(record.request.price, Decimal)
    assert record.created_at.utcoffset() == timedelta(0)


async def test_plans_are_listed_whole(harness: ClientHarness) -> None:
    """A plan arrives with what it is to do, where it stands and aware times; its specification is of its own kind."""
    assert all(view.record.state.is_over for view in await harness.client.plans())
    number = await harness.make_plan()
    (view,) = [view for view in await harness.client.plans() if view.record.number == number]
    assert isinstance(view, PlanView)
    assert not view.record.state.is_over
    assert isinstance(view.record.spec, OrderPlan | BasketPlan | ExitPlan | TimedPlan)
    assert view.record.account == harness.client.desk().status.account
    assert view.record.sentence
    assert view.record.created_at.utcoffset() == timedelta(0)
    assert view.slippage is None or isinstance(view.slippage, Decimal)
    assert all(0 <= step.filled <= step.quantity for step in view.steps)


async def test_a_strategy_can_be_opened_and_is_listed(harness: ClientHarness) -> None:
    """Its number and name come back, with no legs it is worth nothing or its legs are valued."""
    name = f"short-week-{uuid.uuid4().hex[:6]}"
    receipt = await harness.client.submit(CreateStrategy(name=name))
    assert receipt.strategy is not None
    names = {value.strategy.number: value.strategy.name for value in await harness.client.strategies()}
    assert names[receipt.strategy] == name


async def test_the_mode_is_set_for_everybody(harness: ClientHarness) -> None:
    """The desk shows the mode that was set."""
    await harness.client.submit(SetMode(mode=Mode.READ))
    await until(lambda: harness.client.desk().status.mode is Mode.READ, "the mode on the desk")


async def test_events_after_a_number_are_the_newer_ones(harness: ClientHarness) -> None:
    """Sequences grow without holes, and what was read is not told again."""
    await harness.change_desk()
    events = await harness.client.events()
    await harness.change_desk()
    newer = await harness.client.events(after=events[-1].sequence)
    assert [event.sequence for event in newer] == [events[-1].sequence + 1 + place for place in range(len(newer))]
    assert newer


async def test_acknowledged_events_are_read(harness: ClientHarness) -> None:
    """Acknowledging all clears the count of unread ones."""
    await harness.change_desk()
    newest = (await harness.client.events())[-1].sequence
    await harness.client.submit(AcknowledgeEvent(sequence=newest))
    await until(lambda: harness.client.desk().status.unread_events == 0, "no unread events")


async def test_money_is_decimal(harness: ClientHarness) -> None:
    """Funds and positions arrive as exact amounts."""
    funds = await within_limits(harness.client.funds)
    assert isinstance(funds.net, Decimal)
    await harness.client.submit(PlaceOrder(request=harness.request))
    for position in await within_limits(harness.client.positions):
        assert isinstance(position.average_price, Decimal)
        assert isinstance(position.signed_quantity, int)


async def test_trades_are_a_list_of_fills(harness: ClientHarness) -> None:
    """Each fill has its identity and an exact price."""
    await harness.client.submit(PlaceOrder(request=harness.request))
    for trade in await harness.client.trades():
        assert trade.quantity > 0
        assert isinstance(trade.price, Decimal)


async def test_candles_lie_in_the_asked_range(harness: ClientHarness) -> None:
    """Start is in, end is out."""
    start = datetime(2026, 11, 19, 5, 0, tzinfo=UTC)
    strategies = await harness.client.strategies()
    end = start + timedelta(minutes=2)
    for candle in await harness.client.candles(strategies[0].strategy.number, start, end):
        assert start <= candle.minute < end


async def test_the_preflight_reports_each_check(harness: ClientHarness) -> None:
    """Outcomes are of the three words."""
    view = await harness.client.doctor()
    assert {check.outcome for check in view.checks} <= {"ok", "note", "block"}
    assert view.checks
