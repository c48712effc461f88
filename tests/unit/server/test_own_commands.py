"""Every command there is, from somebody who owns one of two accounts: the other is never touched, by any of them."""

from __future__ import annotations

import typing
from decimal import Decimal

import msgspec
import pytest

from engine.client import EngineClient
from engine.core.commands import (
    AcknowledgeEvent,
    ArchiveStrategy,
    CancelOrders,
    CancelPlan,
    CloseDeadLetter,
    Command,
    ConvertPosition,
    CreateStrategy,
    DeleteGtt,
    ExitPositions,
    ExplainMismatch,
    HoldRisk,
    KillSwitch,
    MakePlan,
    ModifyGtt,
    ModifyOrder,
    MoveQuantity,
    OrderChange,
    PlaceBasket,
    PlaceGtt,
    PlaceOrder,
    Reconcile,
    ReleaseHold,
    ReplayDeadLetter,
    ResolveUnknown,
    SetHousekeeping,
    SetMode,
    SteerPlan,
    TouchSeat,
    Unlock,
)
from engine.core.errors import Forbidden
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderRequest
from engine.core.plans import AtTime, ExitScope, ExitTarget, PlanNumber, PlanTurn
from engine.core.standing_triggers import GttKind, GttRequest
from engine.core.vocabulary import Mode, Product, Side
from engine.server.own_engine import OwnEngine
from tests.kit.plain_engine import ACCOUNT, MARKET_TIME
from tests.kit.two_accounts import FIRST_MAIN, SECOND, SECOND_MAIN, TwoAccountEngine

THEIRS, MINE = OrderNumber(1), OrderNumber(2)
"""The first two orders of the engine: one of each account."""
NET = ExitTarget(scope=ExitScope.ACCOUNT)
LONELY = TwoAccountEngine()
REQUEST: OrderRequest = LONELY.request(LONELY.instruments[0].tradingsymbol)
OF_THEIRS = msgspec.structs.replace(REQUEST, strategy=FIRST_MAIN)
TRIGGER = GttRequest(instrument=REQUEST.instrument, kind=GttKind.SINGLE, orders=())
CONVERSION = ConvertPosition(
    instrument=REQUEST.instrument, side=Side.BUY, quantity=65, from_product=Product.NRML, to_product=Product.MIS
)
PLAN = MakePlan(trigger=AtTime(at=MARKET_TIME), sentence="cancel all")


def for_them(command: Command) -> Command:
    """The same, naming the other account."""
    return msgspec.structs.replace(command, account=ACCOUNT)


FOREIGN: dict[type[msgspec.Struct], tuple[Command, ...]] = {
    PlaceOrder: (
        PlaceOrder(request=REQUEST, account=ACCOUNT),
        PlaceOrder(request=OF_THEIRS),
        PlaceOrder(request=OF_THEIRS, account=SECOND),
    ),
    PlaceBasket: (PlaceBasket(legs=(REQUEST,), account=ACCOUNT), PlaceBasket(legs=(REQUEST, OF_THEIRS))),
    ExitPositions: (
        ExitPositions(target=NET, account=ACCOUNT),
        ExitPositions(target=NET, everything=True, account=ACCOUNT),
        ExitPositions(target=ExitTarget(scope=ExitScope.STRATEGY, strategy=FIRST_MAIN)),
    ),
    MakePlan: (for_them(PLAN),),
    CancelPlan: (CancelPlan(number=PlanNumber(1)),),
    SteerPlan: (SteerPlan(number=PlanNumber(1), turn=PlanTurn.PAUSE),),
    ModifyOrder: (ModifyOrder(number=THEIRS, change=OrderChange(price=Decimal(1))),),
    CancelOrders: (
        CancelOrders(numbers=(THEIRS,)),
        CancelOrders(numbers=(MINE, THEIRS)),
        CancelOrders(everything=True, account=ACCOUNT),
    ),
    CreateStrategy: (CreateStrategy(name="fly-1", account=ACCOUNT),),
    ArchiveStrategy: (ArchiveStrategy(number=FIRST_MAIN),),
    MoveQuantity: (
        MoveQuantity(strategy=FIRST_MAIN, leg=1, to_strategy=SECOND_MAIN),
        MoveQuantity(strategy=SECOND_MAIN, leg=1, to_strategy=FIRST_MAIN),
    ),
    ResolveUnknown: (ResolveUnknown(number=THEIRS),),
    ReplayDeadLetter: (ReplayDeadLetter(numbers=(THEIRS,)),),
    CloseDeadLetter: (CloseDeadLetter(numbers=(THEIRS,)),),
    HoldRisk: (HoldRisk(account=ACCOUNT),),
    ReleaseHold: (ReleaseHold(account=ACCOUNT),),
    KillSwitch: (
        KillSwitch(account=ACCOUNT),
        KillSwitch(strategy=FIRST_MAIN),
        KillSwitch(strategy=FIRST_MAIN, account=SECOND),
        KillSwitch(strategy=SECOND_MAIN, account=ACCOUNT),
    ),
    Unlock: (Unlock(phrase=f"unlock {ACCOUNT}", account=ACCOUNT),),
    PlaceGtt: (PlaceGtt(request=TRIGGER, account=ACCOUNT),),
    ModifyGtt: (ModifyGtt(trigger_id=1, request=TRIGGER, account=ACCOUNT),),
    DeleteGtt: (DeleteGtt(trigger_id=1, account=ACCOUNT),),
    ConvertPosition: (for_them(CONVERSION),),
    Reconcile: (Reconcile(account=ACCOUNT),),
    ExplainMismatch: (ExplainMismatch(mismatch="m1", words="mine"),),
    SetHousekeeping: (SetHousekeeping(strategy=FIRST_MAIN, on=False),),
    AcknowledgeEvent: (
        AcknowledgeEvent(sequence=1, accounts=(ACCOUNT,)),
        AcknowledgeEvent(sequence=1, accounts=(SECOND, ACCOUNT)),
    ),
}
"""Every way of every command to reach what is another's."""
OF_THE_SEAT: tuple[Command, ...] = (SetMode(mode=Mode.CONFIRM), SetMode(mode=Mode.READ), TouchSeat())
"""Commands about the seat that asks; they reach no account."""

UNNAMED: tuple[Command, ...] = (
    PlaceOrder(request=REQUEST),
    PlaceBasket(legs=(REQUEST,)),
    ExitPositions(target=NET),
    ExitPositions(target=NET, everything=True),
    PLAN,
    CancelOrders(everything=True),
    CreateStrategy(name="fly-1"),
    HoldRisk(),
    ReleaseHold(),
    KillSwitch(),
    KillSwitch(lock=True),
    Unlock(phrase=f"unlock {SECOND}"),
    PlaceGtt(request=TRIGGER),
    ModifyGtt(trigger_id=1, request=TRIGGER),
    DeleteGtt(trigger_id=1),
    CONVERSION,
    Reconcile(),
)
"""Commands that may name an account and name none."""


@pytest.fixture
async def engine() -> TwoAccountEngine:
    """An engine with an order of each account."""
    made = TwoAccountEngine()
    for number, account in ((THEIRS, ACCOUNT), (MINE, SECOND)):
        receipt = await made.submit(PlaceOrder(request=REQUEST, account=account))
        assert [record.number for record in receipt.orders] == [number]
    made.submitted.clear()
    return made


@pytest.fixture
def own(engine: TwoAccountEngine) -> OwnEngine:
    """What the owner of the second account sees."""
    return OwnEngine(typing.cast("EngineClient", engine), frozenset({SECOND}))


def test_every_command_has_a_foreign_case() -> None:
    """A command added to the union fails here until somebody has said how it could reach another's account."""
    assert set(FOREIGN) | {type(command) for command in OF_THE_SEAT} == set(typing.get_args(Command))
    assert all(FOREIGN.values())
    named = {kind for kind in typing.get_args(Command) if "account" in kind.__struct_fields__}
    assert {type(command) for command in UNNAMED} == named


@pytest.mark.parametrize("kind", list(FOREIGN), ids=[kind.__name__ for kind in FOREIGN])
async def test_no_command_reaches_the_other_account(
    engine: TwoAccountEngine, own: OwnEngine, kind: type[msgspec.Struct]
) -> None:
    """Refused before the engine hears of it, its preview too."""
    for command in FOREIGN[kind]:
        with pytest.raises(Forbidden):
            await own.submit(command)
        with pytest.raises(Forbidden):
            await own.preview(command)
    assert not engine.submitted


@pytest.mark.parametrize("command", UNNAMED, ids=lambda command: type(command).__name__)
async def test_without_an_account_it_is_its_own_and_named(
    engine: TwoAccountEngine, own: OwnEngine, command: Command
) -> None:
    """The engine is told the account, so that it cannot take the first one's, or all."""
    await own.preview(command)
    await own.submit(command, seat="far")
    assert [(getattr(sent, "account", None), seat) for sent, seat in engine.submitted] == [(SECOND, "far")]
    assert not any(getattr(sent, "everything", False) for sent, _ in engine.submitted if type(sent) is ExitPositions)


@pytest.mark.parametrize("command", OF_THE_SEAT, ids=lambda command: type(command).__name__)
async def test_its_own_seat_is_armed_and_disarmed(engine: TwoAccountEngine, own: OwnEngine, command: Command) -> None:
    """What concerns the seat goes through as it is, under the seat's own name."""
    await own.submit(command, seat="far")
    assert engine.submitted == [(command, "far")]


async def test_killing_one_strategy_holds_only_its_own_accounts(engine: TwoAccountEngine) -> None:
    """Of three accounts, with two of its own: the strategy's is flattened, the other own one held, the third is not."""
    third = AccountId("CC3333")
    desk = engine.desk()
    accounts = (*desk.status.accounts, msgspec.structs.replace(desk.status.accounts[1], account=third))
    status = msgspec.structs.replace(desk.status, accounts=accounts)
    engine.desk = lambda: msgspec.structs.replace(desk, status=status)  # type: ignore[method-assign]
    own = OwnEngine(typing.cast("EngineClient", engine), frozenset({SECOND, third}))
    await own.submit(KillSwitch(strategy=SECOND_MAIN, lock=True))
    assert [command for command, _ in engine.submitted] == [
        KillSwitch(strategy=SECOND_MAIN, lock=True, account=SECOND),
        HoldRisk(account=third),
    ]
    engine.submitted.clear()
    await own.submit(KillSwitch(strategy=SECOND_MAIN, account=SECOND))
    await own.submit(HoldRisk())
    assert [command for command, _ in engine.submitted] == [
        KillSwitch(strategy=SECOND_MAIN, account=SECOND),
        HoldRisk(account=SECOND),
        HoldRisk(account=third),
    ]


async def test_its_own_events_and_those_of_nobody_are_acknowledged(engine: TwoAccountEngine, own: OwnEngine) -> None:
    """The command that reaches the engine names its accounts; the other's events stay unread."""
    await own.submit(AcknowledgeEvent(sequence=7))
    await own.submit(AcknowledgeEvent(sequence=8, accounts=(SECOND,)))
    assert [command for command, _ in engine.submitted] == [
        AcknowledgeEvent(sequence=7, accounts=(SECOND,)),
        AcknowledgeEvent(sequence=8, accounts=(SECOND,)),
    ]
