"""What the owner of some of an engine's accounts sees and may do: its own, and the market; nothing was forgotten."""

from __future__ import annotations

import asyncio
import typing
from datetime import timedelta
from decimal import Decimal
from typing import Any

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
from engine.core.errors import Forbidden, Refused
from engine.core.events import EngineEvent
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderState
from engine.core.plans import ExitScope, ExitTarget
from engine.core.views import AccountView, DeskView, StatusView
from engine.core.vocabulary import OrderType
from engine.server import wire
from engine.server.access import Grant, Scope
from engine.server.methods import wire_methods
from engine.server.own_engine import ROWS, SHARED, OwnEngine
from tests.kit.local_door import served
from tests.kit.plain_engine import ACCOUNT, MARKET_TIME
from tests.kit.two_accounts import FIRST_MAIN, SECOND, SECOND_MAIN, TwoAccountEngine

FOR_ALL = frozenset({"record", "replay", "close"})
"""What concerns every account: refused to the owner of some."""
UNASKED = frozenset({"submit", "preview", "renew_session", "basket_margin"})
"""Acts, and what the small engine refuses to everybody."""
DESK_FIELDS = {"revision", "status", "strip", "strategies", "orders", "positions", "events", "locks"}
STATUS_FIELDS = {
    *(
        "venue",
        "venue_note",
        "mode",
        "hot_left_s",
        "hot_lots",
        "start_mode",
        "seats",
        "session",
        "halts",
        "feed",
        "replay",
    ),
    *("account", "account_name", "accounts", "writer", "budget", "day_profit", "day_profit_partial", "day_net"),
    *("margin_utilisation", "unknown_orders", "unread_events", "degraded"),
}
FOR_OWN = {
    *(PlaceOrder, ModifyOrder, CancelOrders, CreateStrategy, ArchiveStrategy, MoveQuantity),
    *(ResolveUnknown, ReplayDeadLetter, CloseDeadLetter, PlaceBasket, ExitPositions, CancelPlan, SteerPlan, Unlock),
    *(PlaceGtt, ModifyGtt, DeleteGtt, ConvertPosition, ExplainMismatch, SetHousekeeping, MakePlan),
    *(AcknowledgeEvent, HoldRisk, ReleaseHold, KillSwitch, Reconcile),
}
"""Commands that concern one account each, or each account by itself."""
OF_THE_SEAT = {SetMode, TouchSeat}
"""Commands about the seat that asks; they reach no account."""


@pytest.fixture
def engine() -> TwoAccountEngine:
    """An engine of two accounts."""
    return TwoAccountEngine()


@pytest.fixture
def own(engine: TwoAccountEngine) -> OwnEngine:
    """What the owner of the second account sees."""
    return OwnEngine(typing.cast("EngineClient", engine), frozenset({SECOND}))


def order(engine: TwoAccountEngine, account: AccountId | None, *, rests: bool = True) -> PlaceOrder:
    """One lot; market orders rest in the small engine."""
    request = engine.request(engine.instruments[0].tradingsymbol)
    if rests:
        request = msgspec.structs.replace(request, order_type=OrderType.MARKET, price=None)
    return PlaceOrder(request=request, account=account)


async def placed(engine: TwoAccountEngine, account: AccountId, *, rests: bool = True) -> OrderNumber:
    """Place one and return its number."""
    return (await engine.submit(order(engine, account, rests=rests))).orders[0].number


# -- nothing was forgotten -------------------------------------------------------------------------------------------


def test_every_method_has_been_thought_about() -> None:
    """A method added to the client is written in ``OwnEngine``, the same for everybody, or for all accounts alone."""
    written = {name for name in vars(OwnEngine) if not name.startswith("_")}
    methods = {*wire_methods(), "desk", "chain", "quote", "quote_marks", "next_orders", "next_events", "close"}
    assert methods - written - SHARED - ROWS - FOR_ALL == set()
    assert not written & (SHARED | ROWS | FOR_ALL)


def test_every_part_of_the_picture_has_been_thought_about() -> None:
    """A part added to the desk or its status fails here until somebody has thought about whose it is."""
    assert {field.name for field in msgspec.structs.fields(DeskView)} == DESK_FIELDS
    assert {field.name for field in msgspec.structs.fields(StatusView)} == STATUS_FIELDS


# -- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*wire_methods()} - SHARED - FOR_ALL - UNASKED))
async def test_no_answer_names_the_other_account(engine: TwoAccountEngine, own: OwnEngine, name: str) -> None:
    """Whatever is asked, the other account's name, order and strategy are in no byte of the answer."""
    await placed(engine, ACCOUNT)
    mine = await placed(engine, SECOND, rests=False)
    engine.add_event(f"LOGIN NEEDED: the session of {ACCOUNT} is over")
    arguments: dict[str, dict[str, Any]] = {
        "interpret": {"text": "buy"},
        "order_history": {"number": mine},
        "why": {"number": mine},
        "candles": {"strategy": SECOND_MAIN, "start": MARKET_TIME, "end": MARKET_TIME + timedelta(minutes=2)},
        **{name: {"strategy": SECOND_MAIN} for name in ("payoff", "scenario", "attribution")},
    }
    answer = wire.encode(await getattr(own, name)(**arguments.get(name, {}))).decode()
    assert ACCOUNT not in answer
    for picture in (own.desk(), await own.next_orders(), await own.next_events()):
        assert ACCOUNT not in wire.encode(picture).decode()


async def test_its_own_rows_are_there(engine: TwoAccountEngine, own: OwnEngine) -> None:
    """Order, fill, strategy, position, money, health, event and words of its own are shown as they are."""
    theirs, mine = await placed(engine, ACCOUNT, rests=False), await placed(engine, SECOND, rests=False)
    assert [record.number for record in await own.orders()] == [mine]
    assert [fill.account for fill in await own.trades()] == [SECOND]
    assert [value.strategy.number for value in await own.strategies()] == [SECOND_MAIN]
    assert [row.account for row in await own.positions()] == [SECOND]
    assert [row.account for row in await own.positions(SECOND)] == [SECOND]
    assert (await own.funds()).account == SECOND
    assert [health.account for health in await own.execution_health()] == [SECOND]
    assert [event.account for event in await own.events()] == [SECOND]
    assert [check.name for check in (await own.doctor()).checks] == ["clock", "funds"]
    assert [one.account for one in (await own.operations()).accounts] == [SECOND]
    desk = own.desk()
    assert desk.status.account == SECOND
    assert desk.status.account_name == f"Holder of {SECOND}"
    assert desk.status.unknown_orders == 1
    assert desk.status.degraded == ("The feed is late.", f"{SECOND}: funds could not be read.")
    assert [record.number for record in desk.orders] == [mine]
    assert desk.strip == engine.desk().strip
    with pytest.raises(Forbidden):
        await own.why(theirs)
    with pytest.raises(Forbidden):
        await own.order_history(theirs)


async def test_a_login_of_another_account_is_not_renewed(own: OwnEngine) -> None:
    """Its own goes through to the engine, which needs none here."""
    with pytest.raises(Forbidden, match="not one of this token's"):
        await own.renew_session(ACCOUNT)
    with pytest.raises(Refused, match="needs no login"):
        await own.renew_session(SECOND)


@pytest.mark.parametrize("name", ["positions", "funds"])
async def test_the_money_of_another_account_is_not_asked(own: OwnEngine, name: str) -> None:
    """Naming it is refused."""
    with pytest.raises(Forbidden, match="not one of this token's"):
        await getattr(own, name)(ACCOUNT)


@pytest.mark.parametrize("name", ["payoff", "scenario", "attribution"])
@pytest.mark.parametrize("number", [FIRST_MAIN, 77])
async def test_another_accounts_strategy_is_refused_like_none(own: OwnEngine, name: str, number: int) -> None:
    """The words do not tell whether it exists."""
    with pytest.raises(Forbidden) as caught:
        await getattr(own, name)(number)
    assert str(caught.value) == f"There is no strategy {number} of this token's accounts. Nothing was done."


@pytest.mark.parametrize("name", sorted(FOR_ALL))
def test_what_concerns_all_accounts_is_refused(own: OwnEngine, name: str) -> None:
    """Recording, a replay's time and the engine itself are everybody's."""
    with pytest.raises(Forbidden, match="concerns all accounts"):
        getattr(own, name)


async def test_the_logs_pass_over_what_happens_to_others(engine: TwoAccountEngine, own: OwnEngine) -> None:
    """Changes of the other account wake nobody; its own comes with a place that continues the one before."""
    orders, events = await own.next_orders(), await own.next_events()
    assert (orders.base, orders.orders) == (0, ())
    waiting = asyncio.create_task(own.next_orders(orders.sequence))
    listening = asyncio.create_task(own.next_events(events.sequence))
    await placed(engine, ACCOUNT)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert not listening.done()
    mine = await placed(engine, SECOND)
    changes, news = await waiting, await listening
    assert (changes.base, [record.number for record in changes.orders]) == (orders.sequence, [mine])
    assert (news.base, [event.account for event in news.events]) == (events.sequence, [SECOND])
    later = asyncio.create_task(own.next_orders(changes.sequence))
    await placed(engine, ACCOUNT)
    again = await placed(engine, SECOND)
    assert [record.number for record in (await later).orders] == [again]


# -- acting ----------------------------------------------------------------------------------------------------------


async def test_an_order_without_an_account_is_for_its_own(engine: TwoAccountEngine, own: OwnEngine) -> None:
    """It never goes to the account that others mean when they name none."""
    receipt = await own.submit(order(engine, None), seat="far")
    assert [record.account for record in receipt.orders] == [SECOND]
    ((command, seat),) = engine.submitted
    assert isinstance(command, PlaceOrder)
    assert (command.account, seat) == (SECOND, "far")
    by_strategy = order(engine, None)
    by_strategy = msgspec.structs.replace(
        by_strategy, request=msgspec.structs.replace(by_strategy.request, strategy=SECOND_MAIN)
    )
    assert [record.account for record in (await own.submit(by_strategy)).orders] == [SECOND]


async def test_the_owner_of_two_of_three_names_which(engine: TwoAccountEngine) -> None:
    """With several accounts of its own none is guessed."""
    third = AccountId("CC3333")
    before = engine.desk

    def three() -> DeskView:
        desk = before()
        accounts = (*desk.status.accounts, msgspec.structs.replace(desk.status.accounts[1], account=third))
        return msgspec.structs.replace(desk, status=msgspec.structs.replace(desk.status, accounts=accounts))

    engine.desk = three  # type: ignore[method-assign]
    own = OwnEngine(typing.cast("EngineClient", engine), frozenset({SECOND, third}))
    with pytest.raises(Forbidden, match=f"Name the account: {SECOND} or {third}"):
        await own.submit(order(engine, None))
    assert (await own.submit(order(engine, SECOND))).accepted


async def test_every_other_command_is_refused_and_nothing_happens(engine: TwoAccountEngine, own: OwnEngine) -> None:
    """What names the other account's order, strategy or account, and what concerns all accounts."""
    theirs = await placed(engine, ACCOUNT)
    engine.submitted.clear()
    request = order(engine, None).request
    refused: tuple[Command, ...] = (
        order(engine, ACCOUNT),
        PlaceOrder(request=msgspec.structs.replace(request, strategy=FIRST_MAIN)),
        PlaceOrder(request=msgspec.structs.replace(request, strategy=FIRST_MAIN), account=SECOND),
        ModifyOrder(number=theirs, change=OrderChange(price=Decimal(1))),
        CancelOrders(numbers=(theirs,)),
        CancelOrders(everything=True, account=ACCOUNT),
        ResolveUnknown(number=theirs),
        ReplayDeadLetter(numbers=(theirs,)),
        CloseDeadLetter(numbers=(theirs,)),
        CreateStrategy(name="fly-1", account=ACCOUNT),
        PlaceBasket(legs=(request, msgspec.structs.replace(request, strategy=FIRST_MAIN))),
        PlaceBasket(legs=(request,), account=ACCOUNT),
        ExitPositions(target=ExitTarget(scope=ExitScope.STRATEGY, strategy=FIRST_MAIN)),
        ExitPositions(target=ExitTarget(scope=ExitScope.ACCOUNT), account=ACCOUNT),
        ExitPositions(target=ExitTarget(scope=ExitScope.ACCOUNT), everything=True, account=ACCOUNT),
        DeleteGtt(trigger_id=1, account=ACCOUNT),
        Unlock(phrase=f"unlock {ACCOUNT}", account=ACCOUNT),
        SetHousekeeping(strategy=FIRST_MAIN, on=False),
        ExplainMismatch(mismatch="m1", words="mine"),
        ArchiveStrategy(number=FIRST_MAIN),
        MoveQuantity(strategy=FIRST_MAIN, leg=1, to_strategy=SECOND_MAIN),
        MoveQuantity(strategy=SECOND_MAIN, leg=1, to_strategy=FIRST_MAIN),
    )
    for command in refused:
        with pytest.raises(Forbidden):
            await own.submit(command)
        with pytest.raises(Forbidden):
            await own.preview(command)
    assert not engine.submitted
    assert set(typing.get_args(Command)) == FOR_OWN | OF_THE_SEAT


async def test_cancelling_everything_cancels_its_own(engine: TwoAccountEngine, own: OwnEngine) -> None:
    """The other account's orders go on resting."""
    theirs, mine = await placed(engine, ACCOUNT), await placed(engine, SECOND)
    assert "ZZ" not in (await own.preview(CancelOrders(everything=True))).sentence
    receipt = await own.submit(CancelOrders(everything=True))
    assert [record.number for record in receipt.orders] == [mine]
    states = {record.number: record.state for record in await engine.orders()}
    assert states == {theirs: OrderState.OPEN, mine: OrderState.CANCELLED}


async def test_exiting_everything_exits_its_own(engine: TwoAccountEngine, own: OwnEngine) -> None:
    """What a person says of all accounts becomes the same of each of its own, by name."""
    everything = ExitPositions(target=ExitTarget(scope=ExitScope.ACCOUNT), everything=True)
    await own.submit(everything)
    named = ExitPositions(target=ExitTarget(scope=ExitScope.STRATEGY, strategy=SECOND_MAIN))
    await own.submit(named)
    assert [command for command, _ in engine.submitted] == [
        msgspec.structs.replace(everything, everything=False, account=SECOND),
        msgspec.structs.replace(named, account=SECOND),
    ]


# -- who sees what ---------------------------------------------------------------------------------------------------


def test_only_the_owner_of_some_is_shown_a_part(engine: TwoAccountEngine) -> None:
    """All accounts or no named ones: the engine itself and its shared pictures; some: a view of its own, kept."""
    door = served(typing.cast("EngineClient", engine))

    def seen(*accounts: AccountId) -> object:
        grant = Grant(name="t", token_id="t", scopes=frozenset({Scope.READ}), accounts=accounts or None)
        return door.seen_by(grant)[0]

    assert seen() is engine
    assert seen(SECOND, ACCOUNT) is engine
    assert isinstance(seen(SECOND), OwnEngine)
    assert seen(SECOND) is seen(SECOND)
    assert seen(SECOND) is not seen(ACCOUNT)


def test_a_row_that_does_not_say_whose_it_is_is_not_shown(own: OwnEngine) -> None:
    """In doubt nothing is told: an event of an account that left has one, a row without a name has none."""
    stray = EngineEvent(sequence=1, at=MARKET_TIME, kind="order", severity="info", text="x", account=AccountId("QQ1"))  # type: ignore[arg-type]
    assert own._events((stray,)) == ()
    assert own._of((object(), AccountView)) == ()
