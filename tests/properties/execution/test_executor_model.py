"""The executor against a model, over any sequence of orders, faults, fills, crashes and time.

The model knows only what was asked and what the broker did. After any history, once every fault is gone and the
window is over, executor and broker must agree on every order, and no tag may have made two.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.core.commands import OrderChange, PlaceOrder
from engine.core.errors import BrokerUnavailable
from engine.core.identifiers import OrderNumber, OrderTag
from engine.core.ledger import trade_reference
from engine.core.orders import OrderState, next_state
from engine.execution.settings import BudgetLimits, ExecutionSettings
from tests.kit.fake_broker import FINAL, Call, Fault, RestingOrder
from tests.unit.execution.desk import Desk, buy, sell

T = TypeVar("T")

STATES_OF_STATUS = {
    "OPEN": OrderState.OPEN,
    "TRIGGER PENDING": OrderState.TRIGGER_PENDING,
    "COMPLETE": OrderState.COMPLETE,
    "CANCELLED": OrderState.CANCELLED,
    "REJECTED": OrderState.REJECTED,
}
NEVER_AT_BROKER = {OrderState.NOT_SENT, OrderState.REJECTED, OrderState.PRESUMED_ABSENT}
SETTINGS = ExecutionSettings(
    unknown_window_s=6.0,
    settle_window_s=3.0,
    queue_expiry_s=5.0,
    reconcile_s=20.0,
    stop_timeout_s=3.0,
    budget=BudgetLimits(per_minute=30, reserve_per_minute=5),
)
PICK = st.integers(0, 1000)
PRICES = st.sampled_from(["104.95", "105", "105.05", "105.5"])


class ExecutorMachine(RuleBasedStateMachine):
    """One desk, driven at random."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.desk: Desk
        self.keys: Counter[str] = Counter()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until the work is done; other tasks stand still in between."""
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        """Open the desk."""

        async def opened() -> None:
            self.desk = Desk(SETTINGS)
            await self.desk.__aenter__()

        self.do(opened())

    # ---- what people do

    @rule(price=PRICES, lots=st.integers(1, 3), is_buy=st.booleans())
    def place(self, price: str, lots: int, is_buy: bool) -> None:
        """An order without a key."""
        self.do(self.desk.place(buy(65 * lots, price) if is_buy else sell(65 * lots, price)))

    @rule(key=st.sampled_from(["a", "b", "c"]), at_once=st.integers(1, 3))
    def place_with_key(self, key: str, at_once: int) -> None:
        """The same command, perhaps several times at once."""

        async def place_all() -> None:
            command = PlaceOrder(request=buy(), idempotency_key=key)
            await asyncio.gather(*(self.desk.executor.place(command) for _ in range(at_once)))

        self.do(place_all())

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        """Cancel any order."""
        records = self.desk.executor.orders()
        if records:
            self.do(self.desk.cancel(records[pick % len(records)].number))

    @rule()
    def cancel_everything(self) -> None:
        """The panic key's first press."""
        self.do(self.desk.cancel())

    @rule(pick=PICK, price=PRICES)
    def modify(self, pick: int, price: str) -> None:
        """Change a price."""
        records = self.desk.executor.orders()
        if records:
            self.do(self.desk.modify(OrderNumber(records[pick % len(records)].number), price=price))

    # ---- what the broker does

    def resting(self) -> list[RestingOrder]:
        """Orders that may still trade."""
        return [order for order in self.desk.broker.orders_by_id.values() if order.status not in FINAL]

    @rule(pick=PICK, lots=st.integers(1, 3))
    def fill(self, pick: int, lots: int) -> None:
        """Trade some of an order."""
        if resting := self.resting():
            self.desk.broker.fill(resting[pick % len(resting)].order_id, 65 * lots)

    @rule(pick=PICK, status=st.sampled_from(["CANCELLED", "REJECTED"]))
    def end_at_broker(self, pick: int, status: str) -> None:
        """Cancelled on the phone, or rejected by the exchange."""
        untraded = [order for order in self.resting() if status == "CANCELLED" or not order.filled]
        if untraded:
            self.desk.broker.set_status(untraded[pick % len(untraded)].order_id, status)

    @rule(pick=PICK, price=PRICES)
    def change_at_broker(self, pick: int, price: str) -> None:
        """Modified on the phone."""
        if resting := self.resting():
            change = OrderChange(price=buy(price=price).price)
            self.desk.broker.change_outside(resting[pick % len(resting)].order_id, change)

    @rule(tag=st.sampled_from([None, "phone"]))
    def place_outside(self, tag: str | None) -> None:
        """Placed on the phone."""
        self.desk.broker.place_outside(buy(), None if tag is None else OrderTag(tag))

    # ---- what goes wrong

    @rule(call=st.sampled_from([Call.PLACE, Call.MODIFY, Call.CANCEL]), fault=st.sampled_from(list(Fault)))
    def arm(self, call: Call, fault: Fault) -> None:
        """The next request meets a fault."""
        self.desk.broker.arm(call, fault)

    @rule()
    def release_held(self) -> None:
        """What was held past its window is accepted now."""
        self.desk.broker.release_held()

    @rule(
        call=st.sampled_from([Call.PLACE, Call.MODIFY, Call.CANCEL, Call.ORDERS]),
        point=st.sampled_from(["before", "after"]),
    )
    def close_gate(self, call: Call, point: str) -> None:
        """Requests hang."""
        self.desk.broker.close_gate(call, point)

    @rule()
    def break_reads(self) -> None:
        """The book and the trades cannot be read."""
        self.desk.broker.break_reads(BrokerUnavailable("no connection"))

    @rule()
    def show_an_old_book(self) -> None:
        """The next read shows the present book; whatever happens until then is missing in it."""
        self.desk.broker.books.append(self.desk.broker.book())

    @rule()
    def heal_broker(self) -> None:
        """All of that is over."""
        self.desk.broker.heal()

    @rule(partly=st.booleans())
    def break_journal(self, partly: bool) -> None:
        """The database goes away, for changes or for everything."""
        if partly:
            self.desk.journal.fail_changes()
        else:
            self.desk.journal.fail()

    @rule()
    def lie_once(self) -> None:
        """One commit is made and reported as timed out."""
        self.desk.journal.lie_once = True

    @rule()
    def heal_journal(self) -> None:
        """The database is back."""
        self.desk.journal.heal()

    @rule(seconds=st.sampled_from([0.05, 0.4, 1.0, 2.5, 7.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.do(self.desk.clock.advance(seconds))

    @precondition(lambda self: hasattr(self, "desk"))
    @rule()
    def crash_and_restart(self) -> None:
        """Kill -9, and a new engine on the same journal. The broker's requests die with their connections."""

        async def reborn() -> None:
            await self.desk.crash()
            self.desk.broker.open_gate(Call.ORDERS, "before")
            self.desk.broker.open_gate(Call.ORDERS, "after")
            await self.desk.open()

        self.do(reborn())

    @rule()
    def stop_and_start(self) -> None:
        """An orderly end, and a new engine."""

        async def reborn() -> None:
            self.desk.journal.heal()
            for point in ("before", "after"):
                self.desk.broker.open_gate(Call.ORDERS, point)
            await self.desk.close()
            await self.desk.open()

        self.do(reborn())

    # ---- what always holds

    @invariant()
    def nothing_is_doubled(self) -> None:
        """One request and one order at the broker for a tag of ours; one order for a key."""
        if not hasattr(self, "desk"):
            return
        ours = {tag: count for tag, count in self.desk.broker.accepted.items() if tag != "phone"}
        assert set(ours.values()) <= {1}, ours
        assert set(self.desk.broker.posts.values()) <= {1}
        keys = Counter(record.idempotency_key for record in self.desk.store.orders.values())
        keys.pop(None, None)
        assert set(keys.values()) <= {1}

    @invariant()
    def what_was_posted_was_journalled(self) -> None:
        """Every tag the broker has ever seen from us belongs to an order whose journal left QUEUED before."""
        if not hasattr(self, "desk"):
            return
        by_tag = {record.tag: record for record in self.desk.store.orders.values()}
        for tag in self.desk.broker.posts:
            assert by_tag[tag].state is not OrderState.QUEUED

    def teardown(self) -> None:
        """Let everything heal and settle, then compare."""
        try:
            if hasattr(self, "desk"):
                try:
                    self.do(self.settle_and_compare())
                finally:
                    self.do(self.desk.__aexit__())
        finally:
            self.runner.close()

    async def settle_and_compare(self) -> None:
        """After all faults: executor, journal and broker agree."""
        desk, broker = self.desk, self.desk.broker
        broker.heal()
        desk.journal.heal()
        desk.journal.lie_once = False
        await desk.clock.advance(20)
        broker.release_held()
        await desk.clock.advance(60)
        records = desk.executor.orders()
        by_broker_id = {record.broker_order_id: record for record in records if record.broker_order_id}
        assert set(by_broker_id) == set(broker.orders_by_id)
        for order_id, order in broker.orders_by_id.items():
            record = by_broker_id[order_id]
            assert record.state is STATES_OF_STATUS[order.status], (record, order.status)
            assert record.filled_quantity == order.filled
            if order.status not in FINAL:
                assert record.request.price == order.price
                assert record.request.quantity == order.quantity
        for record in records:
            if record.broker_order_id is None:
                assert record.state in NEVER_AT_BROKER, record
            assert desk.store.orders[record.number] == record
        handed = {trade_reference(trade) for trade in desk.fills.trades}
        assert handed == {trade_reference(trade) for trade in broker.fills}
        for event in desk.store.events:
            if event.applied and event.detail.startswith("placed outside") is False:
                adopted = desk.store.orders[event.number].intent_id is None
                assert adopted or next_state(event.from_state, event.trigger) is event.to_state
        assert desk.executor.snapshot().mismatches == ()
        assert desk.executor.snapshot().queued == 0


ExecutorMachine.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestExecutorAgainstModel = ExecutorMachine.TestCase
