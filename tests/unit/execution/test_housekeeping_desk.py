"""Housekeeping at work on one account: asked once, decided twice, left alone where anything is not known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.errors import BrokerUnavailable
from engine.core.identifiers import InstrumentKey, OrderNumber
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.positions import BrokerPosition
from engine.core.vocabulary import Mode, OrderType, Product, Severity
from engine.execution.housekeeping import HOUSEKEEPING, HOUSEKEEPING_VERSION, STAND_IN_PREFIX, PositionKey
from engine.execution.housekeeping_desk import Allocations, HousekeepingDesk
from engine.execution.order_roles import OrderRoles
from engine.execution.settings import CheckLimits, ExecutionSettings, HousekeepingSettings
from storage.memory import MemoryRepositories
from tests.kit.fake_broker import LOT, TOKEN, Call, Fault, option
from tests.unit.execution.desk import ACCOUNT, Desk, buy, sell, settle

CALL = option().key
RESTING = {OrderState.OPEN, OrderState.TRIGGER_PENDING}
GOING = {OrderState.CANCELLING, OrderState.CANCELLED}
KEY = PositionKey(CALL, Product.NRML)


class House:
    """Housekeeping over a desk whose holdings a test sets."""

    def __init__(
        self, desk: Desk, settings: HousekeepingSettings | None = None, *, modifications_max: int = 25
    ) -> None:
        self.desk = desk
        self.broker: int | None = None
        """What the broker says; ``None``: what the ledger does."""
        self.down = False
        self.reads = 0
        self.flattening = False
        self.plans: set[OrderNumber] = set()
        self.ended: datetime | None = None
        self.square_off: datetime | None = None
        own = HousekeepingSettings() if settings is None else settings
        self.keeping = HousekeepingDesk(
            ACCOUNT,
            executor=desk.executor,
            roles=OrderRoles(desk.journal, lambda: desk.strategy),
            facts=desk.facts,
            read_positions=self._positions,
            allocations=self._allocations,
            is_flattening=lambda: self.flattening,
            of_plan=lambda record: record.number in self.plans,
            ended_at=self._ended_at,
            square_off_at=lambda: self.square_off,
            order_quantity_max=lambda _: None,
            repository=MemoryRepositories(desk.store).upkeep,
            epoch=desk.store.epochs[ACCOUNT],
            clock=desk.clock,
            settings=msgspec.structs.replace(
                ExecutionSettings(), housekeeping=own, checks=CheckLimits(modifications_max=modifications_max)
            ),
            notify=desk.ear.on_notice,
        )

    def _ended_at(self, key: InstrumentKey) -> datetime | None:
        return self.ended if key == CALL else None

    def _allocations(self) -> Allocations | None:
        held = self.desk.facts.held
        return None if held is None else {(self.desk.strategy, KEY): held.get(CALL, 0)}

    async def _positions(self) -> tuple[BrokerPosition, ...]:
        self.reads += 1
        if self.down:
            raise BrokerUnavailable("no connection")
        ours = (self.desk.facts.held or {}).get(CALL, 0)
        return (
            BrokerPosition(
                instrument=CALL,
                token=TOKEN,
                product=Product.NRML,
                signed_quantity=ours if self.broker is None else self.broker,
                average_price=Decimal(100),
                overnight_quantity=0,
                multiplier=Decimal(1),
                value=Decimal(0),
            ),
        )

    async def protected(self, held: int, request: OrderRequest) -> OrderNumber:
        """Hold so many units and let an order rest that takes them away."""
        self.desk.facts.held = {CALL: held}
        return await self.desk.resting(request)

    async def look(self) -> None:
        """Look once and let everything follow."""
        await self.keeping.look()
        await settle()

    def state(self, number: OrderNumber) -> OrderState:
        """How an order stands."""
        return self.desk.order(number).state

    def order(self, number: OrderNumber) -> OrderRecord:
        """An order."""
        return self.desk.order(number)

    def said(self, words: str) -> int:
        """How often something was said."""
        return len(self.desk.ear.heard(words))


@asynccontextmanager
async def house(settings: HousekeepingSettings | None = None, *, modifications_max: int = 25) -> AsyncIterator[House]:
    """Housekeeping over a new desk."""
    async with Desk() as desk:
        yield House(desk, settings, modifications_max=modifications_max)


async def test_an_orphan_is_cancelled_once_with_its_reason() -> None:
    """Looks that follow each other while the cancellation is under way ask nothing more; the reason is kept."""
    async with house() as home:
        number = await home.protected(LOT, sell(LOT, price="120"))
        home.desk.facts.held = {}
        home.desk.broker.close_gate(Call.CANCEL)
        for _ in range(3):
            await home.look()
        assert home.state(number) is OrderState.CANCELLING
        home.desk.broker.open_gate(Call.CANCEL)
        await home.desk.clock.advance(4)
        assert home.state(number) is OrderState.CANCELLED
        assert [call for call, _ in home.desk.broker.sequence].count(Call.CANCEL) == 1
        decisions = [event.facts.decision for event in home.desk.history(number) if event.facts.decision is not None]
        assert [(decision.by, decision.version) for decision in decisions] == [(HOUSEKEEPING, HOUSEKEEPING_VERSION)]
        assert decisions[0].quotes
        assert home.reads == 1


async def test_a_smaller_position_shrinks_its_order_at_the_broker() -> None:
    """To what is left, in one modification."""
    async with house() as home:
        number = await home.protected(3 * LOT, sell(3 * LOT, price="120"))
        home.desk.facts.held = {CALL: LOT}
        await home.look()
        await home.desk.clock.advance(4)
        assert home.order(number).request.quantity == LOT
        await home.look()
        assert home.order(number).modifications == 1


async def test_the_broker_is_asked_before_anything_is_done() -> None:
    """It still has the position, or cannot be asked: the order stays."""
    async with house() as home:
        number = await home.protected(LOT, sell(LOT, price="120"))
        home.desk.facts.held = {}
        home.broker = LOT
        await home.look()
        home.broker, home.down = None, True
        await home.look()
        assert home.state(number) is OrderState.OPEN
        assert home.reads == 2
        home.down = False
        await home.look()
        assert home.state(number) in GOING


def stand_ins(home: House) -> list[OrderRecord]:
    """Orders that were made in the place of others, oldest first."""
    orders = home.desk.executor.orders()
    return [order for order in orders if (order.idempotency_key or "").startswith(STAND_IN_PREFIX)]


async def used_up(home: House, request: OrderRequest) -> OrderNumber:
    """A guard of three lots that was modified as often as it may be, with one lot left to protect."""
    number = await home.protected(3 * LOT, request)
    await home.desk.modify(number, price=request.price)
    await home.desk.clock.advance(4)
    assert home.order(number).modifications == 1
    home.desk.facts.held = {CALL: LOT}
    return number


@pytest.mark.parametrize(
    "request_",
    [
        sell(3 * LOT, price="120"),
        sell(3 * LOT, price="85", order_type=OrderType.SL, trigger_price=Decimal(90)),
    ],
)
async def test_a_used_up_guard_goes_only_when_the_smaller_one_in_its_place_rests(request_: OrderRequest) -> None:
    """Placed first; while it is on the wire both stand; then the old one is cancelled, with the reason; no second."""
    async with house(modifications_max=1) as home:
        desk, old = home.desk, await used_up(home, request_)
        desk.broker.close_gate(Call.PLACE)
        await home.look()
        (new,) = stand_ins(home)
        assert new.state is OrderState.SENDING
        for _ in range(2):
            await home.look()
        assert home.state(old) in RESTING
        desk.broker.open_gate(Call.PLACE)
        await desk.clock.advance(4)
        assert {home.state(new.number), home.state(old)} <= RESTING
        shown = {record.number: record.remaining_quantity for record in desk.executor.working()}
        assert shown == {old: 3 * LOT, new.number: LOT}, "the account is guarded twice meanwhile"
        await home.look()
        await desk.clock.advance(4)
        assert home.state(old) is OrderState.CANCELLED
        kept = home.order(new.number)
        assert kept.request == msgspec.structs.replace(home.order(old).request, quantity=LOT)
        decisions = [event.facts.decision for event in desk.history(old) if event.facts.decision is not None]
        assert f"o{new.number} rests in its place" in decisions[-1].words
        calls = [call for call, _ in desk.broker.sequence]
        assert calls.index(Call.CANCEL) > max(place for place, call in enumerate(calls) if call is Call.PLACE)
        for _ in range(3):
            await home.look()
            await desk.clock.advance(4)
        assert (home.state(new.number) in RESTING, len(stand_ins(home))) == (True, 1)


async def test_the_one_in_its_place_counts_after_a_restart() -> None:
    """Killed between placing it and cancelling the old one: the next engine cancels, and places no second one."""
    async with house(modifications_max=1) as home:
        old = await used_up(home, sell(3 * LOT, price="120"))
        await home.look()
        await home.desk.clock.advance(4)
        (new,) = stand_ins(home)
        assert home.state(old) is OrderState.OPEN
        await home.desk.restart()
        again = House(home.desk, modifications_max=1)
        await again.look()
        await home.desk.clock.advance(4)
        assert (home.state(old), home.state(new.number)) == (OrderState.CANCELLED, OrderState.OPEN)
        assert len(stand_ins(home)) == 1


async def test_one_that_never_comes_to_rest_leaves_the_old_guard_and_asks() -> None:
    """The broker refuses three: the old guard was never touched, and a person is asked once."""
    async with house(modifications_max=1) as home:
        old = await used_up(home, sell(3 * LOT, price="120"))
        for _ in range(6):
            home.desk.broker.arm(Call.PLACE, Fault.REFUSE)
            await home.look()
            await home.desk.clock.advance(4)
        assert len(stand_ins(home)) == 3
        assert home.state(old) is OrderState.OPEN
        assert home.said("place a smaller one (3 were placed and do not rest), then cancel it") == 1


async def test_in_read_mode_a_guard_is_replaced_all_the_same() -> None:
    """It takes away what the old one took away: no arming is needed for it."""
    async with house(modifications_max=1) as home:
        await used_up(home, sell(3 * LOT, price="120"))
        home.desk.facts.current_mode = Mode.READ
        await home.look()
        await home.desk.clock.advance(4)
        assert [order.state for order in stand_ins(home)] == [OrderState.OPEN]


async def test_a_stop_of_the_phone_with_nothing_to_take_away_is_asked_about_once() -> None:
    """Not tidied: named once, with what to say; not while the broker still shows a position, nor one that protects."""
    async with house() as home:
        desk = home.desk
        row = desk.broker.place_outside(sell(LOT, price="85", order_type=OrderType.SL, trigger_price=Decimal(90)))
        await desk.clock.advance(16)
        (record,) = desk.executor.working()
        assert (record.intent_id, record.state) == (None, OrderState.TRIGGER_PENDING)
        desk.facts.held = {CALL: LOT}
        await home.look()
        desk.facts.held = {}
        home.broker = LOT
        await home.look()
        assert home.said("stop of nothing") == 0
        home.broker = None
        for _ in range(3):
            await home.look()
        (notice,) = desk.ear.heard("stop of nothing")
        assert f"Say: cancel o{record.number}" in notice.text
        assert (notice.severity, notice.subject) == (Severity.ATTENTION, f"o{record.number}")
        assert desk.order(record.number).state is OrderState.TRIGGER_PENDING
        assert row.order_id == record.broker_order_id


async def test_unknown_positions_are_said_once_and_nothing_is_done() -> None:
    """As long as it lasts it is one line."""
    async with house() as home:
        number = await home.protected(LOT, sell(LOT, price="120"))
        home.desk.facts.held = None
        for _ in range(3):
            await home.look()
        assert home.state(number) is OrderState.OPEN
        assert home.said("Positions are not known") == 1


async def test_what_the_broker_refuses_is_asked_three_times_and_then_a_person() -> None:
    """A modification that is refused again and again does not use up the order's modifications."""
    async with house() as home:
        number = await home.protected(2 * LOT, sell(2 * LOT, price="120"))
        home.desk.facts.held = {CALL: LOT}
        for _ in range(5):
            home.desk.broker.arm(Call.MODIFY, Fault.REFUSE)
            await home.look()
            await home.desk.clock.advance(8)
        assert [call for call, _ in home.desk.broker.sequence].count(Call.MODIFY) == 3
        assert home.order(number).request.quantity == 2 * LOT
        assert home.said("asked for 3 times") == 1


async def test_orders_of_plans_and_of_strategies_left_alone_stay() -> None:
    """Until they are looked after again."""
    async with house() as home:
        number = await home.protected(LOT, sell(LOT, price="120", strategy=home.desk.strategy))
        home.desk.facts.held = {}
        home.plans = {number}
        await home.look()
        home.plans = set()
        await home.keeping.set_tidied(home.desk.strategy, False, seat="seat-1")
        await home.look()
        assert home.state(number) is OrderState.OPEN
        again = House(home.desk)
        await again.keeping.start()
        assert again.keeping.untidied == (home.desk.strategy,)
        await home.keeping.set_tidied(home.desk.strategy, True, seat="seat-1")
        await home.look()
        assert home.state(number) in GOING


async def test_while_the_kill_switch_flattens_it_does_nothing() -> None:
    """Afterwards it goes on."""
    async with house() as home:
        number = await home.protected(LOT, sell(LOT, price="120"))
        home.desk.facts.held = {}
        home.flattening = True
        await home.look()
        assert home.state(number) is OrderState.OPEN
        home.flattening = False
        await home.look()
        assert home.state(number) in GOING


async def test_switched_off_it_does_nothing() -> None:
    """Globally."""
    async with house(HousekeepingSettings(enabled=False)) as home:
        number = await home.protected(LOT, sell(LOT, price="120"))
        home.desk.facts.held = {}
        await home.look()
        assert home.state(number) is OrderState.OPEN
        assert home.reads == 0


async def test_orders_on_ended_contracts_are_named_or_cancelled_as_it_is_set() -> None:
    """Named once by default; cancelled, with the reason, where that is switched on."""
    async with house() as home:
        number = await home.desk.resting(buy(price="104"))
        home.ended = home.desk.clock.market_now()
        for _ in range(2):
            await home.look()
        assert home.state(number) is OrderState.OPEN
        assert home.said("which has ended; cancel it") == 1
    async with house(HousekeepingSettings(cancel_expired=True)) as home:
        number = await home.desk.resting(buy(price="104"))
        home.ended = home.desk.clock.market_now()
        await home.look()
        assert home.state(number) in GOING


async def test_an_overshoot_that_is_refused_is_told_and_not_tried_for_ever() -> None:
    """Both fill; the reversal is rejected by the broker each time: three orders, then a person is asked."""
    async with house() as home:
        desk = home.desk
        numbers = [await home.protected(-LOT, buy(LOT, price=price)) for price in ("90", "91")]
        before = desk.broker.of_tag(desk.order(numbers[0]).tag)
        opening = desk.broker.place_outside(sell(LOT))
        desk.broker.fill(opening.order_id)
        desk.facts.held = {CALL: -LOT}
        await desk.clock.advance(4)
        for number in reversed(numbers):
            desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
            await desk.clock.advance(1)
        desk.facts.held = {CALL: LOT}
        await desk.clock.advance(4)
        for _ in range(6):
            desk.broker.arm(Call.PLACE, Fault.REFUSE)
            await home.look()
            await desk.clock.advance(3)
        sent = [order for order in desk.executor.orders() if (order.idempotency_key or "").startswith("hk/")]
        assert len(sent) == 3
        assert {order.state for order in sent} == {OrderState.REJECTED}
        assert {order.request.quantity for order in sent} == {LOT}
        assert home.said("take it off by hand") == 1
        assert desk.ear.heard("Overshoot taken off", Severity.DANGER)
        assert before.filled == LOT


async def test_mis_positions_are_warned_about_before_the_square_off() -> None:
    """Once at each step."""
    async with house() as home:
        home.square_off = home.desk.clock.market_now() + timedelta(minutes=9)
        home.desk.facts.held = {CALL: -LOT}
        home.desk.facts.product = Product.MIS
        for _ in range(3):
            await home.look()
        assert home.said("The broker squares MIS positions off in about 9 min") == 1
        await home.desk.clock.advance(7 * 60)
        await home.look()
        assert home.said("in about 2 min") == 1
