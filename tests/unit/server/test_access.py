"""Scopes and ownership: who may call what, follow what and touch whose, and that nothing was forgotten."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import combinations
from typing import Any

import msgspec
import pytest

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
from engine.core.errors import Forbidden, WorkstationError
from engine.core.identifiers import AccountId, OrderNumber, StrategyNumber
from engine.core.orders import OrderEvent, OrderRecord, OrderState, OrderTrigger
from engine.core.plans import AtTime, ExitScope, ExitTarget, PlanNumber, PlanTurn
from engine.core.standing_triggers import GttKind, GttRequest
from engine.core.vocabulary import Mode, OrderType, Product, Side
from engine.server.access import (
    COMMANDS,
    METHODS,
    STRICTEST,
    TOPICS,
    Access,
    Grant,
    Scope,
    is_exit,
    local_grant,
    method_rule,
)
from engine.server.methods import wire_methods
from engine.server.session import OWN_METHODS
from engine.server.topics import TopicKind
from tests.kit.plain_engine import ACCOUNT, MARKET_TIME, PlainEngine
from tests.kit.two_accounts import SECOND, TwoAccountEngine

OTHER = SECOND
OWN = OrderNumber(1)
FOREIGN = OrderNumber(2)
NOWHERE = OrderNumber(77)
EARLIER = OrderNumber(500)
"""An order of another day: not listed any more."""
EARLIER_FOREIGN = OrderNumber(501)
SCOPE_SETS = [frozenset(some) for size in range(5) for some in combinations(Scope, size)]
MARKET_METHODS = (
    *("hello", "follow", "unfollow", "rpc.discover", "search", "underlyings", "expiries"),
    *("smile", "volatility", "series", "bars", "rules"),
)
ACCOUNT_METHODS = (
    *(
        "interpret",
        "preview",
        "orders",
        "order_history",
        "why",
        "trades",
        "positions",
        "strategies",
        "candles",
        "funds",
        "gtts",
        "basket_margin",
    ),
    *("payoff", "scenario", "attribution", "operations", "funds"),
    *("events", "doctor", "dead_letters", "execution_health"),
    *("mismatches", "handover", "gtts", "basket_margin", "plans"),
)
ACTING_METHODS = ("replay",)
"""Market time is everybody's: whoever may not act may not move it."""
OPERATING_METHODS = ("record", "renew_session")
"""For an administrator alone."""
ACCOUNT_TOPICS = ("desk", "chain/NIFTY/2026-11-24", "orders", "positions", "strategies", "events")


class SharedEngine(PlainEngine):
    """An engine that for once knows orders of two accounts, today's and older ones."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_for_orders = 0
        request = self.request(self.instruments[0].tradingsymbol)
        resting = msgspec.structs.replace(request, order_type=OrderType.SL, trigger_price=Decimal("100.00"))
        self.records = tuple(
            OrderRecord(
                number=number,
                intent_id=None,
                account=account,
                tag=None,
                request=resting,
                state=OrderState.OPEN,
                created_at=MARKET_TIME,
                updated_at=MARKET_TIME,
            )
            for number, account in ((OWN, ACCOUNT), (FOREIGN, OTHER))
        )

    async def orders(self) -> tuple[OrderRecord, ...]:
        """Of both accounts."""
        self.asked_for_orders += 1
        return self.records

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """Older orders have one event each."""
        owners = {EARLIER: ACCOUNT, EARLIER_FOREIGN: OTHER}
        if number not in owners:
            return await super().order_history(number)
        return (
            OrderEvent(
                number=number,
                account=owners[number],
                trigger=OrderTrigger.SEND,
                from_state=OrderState.QUEUED,
                to_state=OrderState.SENDING,
                applied=True,
                at=MARKET_TIME,
            ),
        )


def grant(*scopes: Scope, accounts: Iterable[AccountId] | None = None) -> Grant:
    """A client with these scopes."""
    return Grant(
        name="test",
        token_id="id",
        scopes=frozenset(scopes),
        accounts=None if accounts is None else tuple(accounts),
    )


@pytest.fixture
def engine() -> SharedEngine:
    """An engine of ``ACCOUNT``."""
    return SharedEngine()


@pytest.fixture
def access(engine: SharedEngine) -> Access:
    """What judges the calls to it."""
    return Access(engine)


def place(account: AccountId | None = None) -> PlaceOrder:
    """An order."""
    plain = PlainEngine()
    return PlaceOrder(request=plain.request(plain.instruments[0].tradingsymbol), account=account)


def modify(number: OrderNumber) -> ModifyOrder:
    """A modification."""
    return ModifyOrder(number=number, change=OrderChange(price=Decimal("101.00")))


ACCOUNTS_NET = ExitTarget(scope=ExitScope.ACCOUNT)
TRIGGER = GttRequest(instrument=place().request.instrument, kind=GttKind.SINGLE, orders=())
LOOKS: tuple[Command, ...] = (Reconcile(),)
"""Commands that change nothing at the broker."""
ACTS: tuple[Command, ...] = (
    place(),
    modify(OWN),
    CreateStrategy(name="iron-1"),
    ArchiveStrategy(number=StrategyNumber(1)),
    MoveQuantity(strategy=StrategyNumber(1), leg=1, to_strategy=StrategyNumber(2)),
    SetMode(mode=Mode.CONFIRM),
    SetMode(mode=Mode.HOT, lots=1),
    TouchSeat(),
    ResolveUnknown(number=OWN),
    ReplayDeadLetter(numbers=(OWN,)),
    CloseDeadLetter(numbers=(OWN,)),
    AcknowledgeEvent(sequence=1),
    PlaceBasket(legs=(place().request,)),
    ExitPositions(target=ACCOUNTS_NET, allow_net_increase=True),
    MakePlan(trigger=AtTime(at=MARKET_TIME), sentence="cancel all"),
    SteerPlan(number=PlanNumber(1), turn=PlanTurn.PAUSE),
    ReleaseHold(),
    Unlock(phrase="unlock"),
    PlaceGtt(request=TRIGGER),
    ModifyGtt(trigger_id=1, request=TRIGGER),
    DeleteGtt(trigger_id=1),
    ConvertPosition(
        instrument=TRIGGER.instrument, side=Side.BUY, quantity=65, from_product=Product.NRML, to_product=Product.MIS
    ),
    ExplainMismatch(mismatch="m1", words="mine"),
    SetHousekeeping(strategy=StrategyNumber(1), on=False),
)
EXITS: tuple[Command, ...] = (
    CancelOrders(numbers=(OWN,)),
    CancelOrders(everything=True),
    ExitPositions(target=ACCOUNTS_NET),
    CancelPlan(number=PlanNumber(1)),
    HoldRisk(),
    KillSwitch(),
    SetMode(mode=Mode.READ),
)


async def passes(access: Access, client: Grant, method: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a call is let through."""
    try:
        await access.check_call(client, method, arguments)
    except Forbidden:
        return False
    return True


def arguments_of(method: str) -> dict[str, Any]:
    """Harmless arguments."""
    some: dict[str, dict[str, Any]] = {
        "order_history": {"number": OWN},
        "why": {"number": OWN},
        "preview": {"command": place()},
        "submit": {"command": place()},
    }
    return some.get(method, {})


# -- nothing was forgotten -------------------------------------------------------------------------------------------


def test_every_method_of_the_wire_has_a_rule() -> None:
    """A method added to the client or to the session fails here until somebody has thought about who may call it."""
    known = set(METHODS) | {"submit"}
    assert known == set(wire_methods()) | set(OWN_METHODS)


def test_every_command_has_a_rule() -> None:
    """A command added to the union fails here until somebody has thought about who may give it."""
    assert set(COMMANDS) == set(typing.get_args(Command))


def test_every_topic_has_a_rule() -> None:
    """A topic added to the list fails here until somebody has thought about who may follow it."""
    assert set(TOPICS) == {kind.value for kind in TopicKind}


def test_the_cases_of_these_tests_are_all_there_are() -> None:
    """The matrices below leave no command and no method out."""
    assert {type(command) for command in (*LOOKS, *ACTS, *EXITS)} == set(typing.get_args(Command))
    assert {*MARKET_METHODS, *ACCOUNT_METHODS, *ACTING_METHODS, *OPERATING_METHODS} == set(METHODS)


class Unheard(msgspec.Struct, frozen=True, tag="unheard"):
    """A command of tomorrow."""


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("withdraw_money", {}),
        ("", {}),
        ("submit", {}),
        ("submit", {"command": None}),
        ("submit", {"command": "cancel_orders"}),
        ("submit", {"command": Unheard()}),
    ],
)
async def test_what_is_not_known_needs_an_administrator(
    access: Access, method: str, arguments: Mapping[str, Any]
) -> None:
    """Methods and commands without a rule are refused to all other scopes together, and say what they need."""
    client = grant(Scope.READ, Scope.TRADE, Scope.KILL)
    with pytest.raises(Forbidden, match="needs the scope admin; this token has kill, read, trade"):
        await access.check_call(client, method, arguments)
    assert await passes(access, grant(Scope.ADMIN), method, arguments)
    assert not await passes(access, grant(Scope.ADMIN, accounts=[OTHER]), method, arguments)


def test_an_unknown_topic_needs_an_administrator(access: Access) -> None:
    """A topic without a rule is not followed by chance."""
    with pytest.raises(Forbidden, match="needs the scope admin"):
        access.check_topic(grant(Scope.READ, Scope.TRADE, Scope.KILL), "secrets")
    access.check_topic(grant(Scope.ADMIN), "secrets")


# -- scopes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scopes", SCOPE_SETS, ids=lambda scopes: "+".join(sorted(scopes)) or "none")
async def test_the_matrix_of_scopes(access: Access, scopes: frozenset[Scope]) -> None:
    """For every set of scopes: exactly the right methods, topics, acts and exits pass."""
    client = grant(*scopes)
    looks, admin = bool(scopes), Scope.ADMIN in scopes
    trades = admin or Scope.TRADE in scopes
    leaves = trades or Scope.KILL in scopes
    for method in (*MARKET_METHODS, *ACCOUNT_METHODS):
        assert await passes(access, client, method, arguments_of(method)) is looks, method
    for method in ACTING_METHODS:
        assert await passes(access, client, method, arguments_of(method)) is trades, method
    for method in OPERATING_METHODS:
        assert await passes(access, client, method, arguments_of(method)) is admin, method
    for look in LOOKS:
        assert await passes(access, client, "submit", {"command": look}) is looks, look
    for act in ACTS:
        assert await passes(access, client, "submit", {"command": act}) is trades, act
    for leave in EXITS:
        assert await passes(access, client, "submit", {"command": leave}) is leaves, leave
    for topic in (*ACCOUNT_TOPICS, "quotes"):
        if looks:
            access.check_topic(client, topic)
        else:
            with pytest.raises(Forbidden):
                access.check_topic(client, topic)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (Scope.READ, {Scope.READ}),
        (Scope.TRADE, {Scope.READ, Scope.TRADE}),
        (Scope.KILL, {Scope.READ, Scope.KILL}),
        (Scope.ADMIN, set(Scope)),
    ],
)
def test_what_a_scope_includes(scope: Scope, allowed: set[Scope]) -> None:
    """Trade and kill imply read, but not each other; admin implies all."""
    assert {wanted for wanted in Scope if grant(scope).allows(wanted)} == allowed


async def test_a_refusal_says_what_is_missing_and_what_is_there(access: Access) -> None:
    """A person can act on the words."""
    with pytest.raises(Forbidden, match=r"^submit place_order needs the scope trade; this token has read\. Nothing"):
        await access.check_call(grant(Scope.READ), "submit", {"command": place()})
    with pytest.raises(Forbidden, match="submit cancel_orders needs the scope kill or trade; this token has read"):
        await access.check_call(grant(Scope.READ), "submit", {"command": CancelOrders(everything=True)})
    with pytest.raises(Forbidden, match="submit set_mode HOT needs the scope trade; this token has kill"):
        await access.check_call(grant(Scope.KILL), "submit", {"command": SetMode(mode=Mode.HOT)})


async def test_words_of_a_caller_are_cut(access: Access) -> None:
    """A megabyte in a method's name does not come back in the words."""
    with pytest.raises(Forbidden) as caught:
        await access.check_call(grant(Scope.READ), "m" * 1_000_000, {})
    assert len(str(caught.value)) < 300


async def test_a_preview_is_looking(access: Access) -> None:
    """Nothing is sent by a preview: a reader may see what an order would do."""
    assert await passes(access, grant(Scope.READ), "preview", {"command": place()})


async def test_the_local_socket_may_do_everything(access: Access, engine: SharedEngine) -> None:
    """This user's own processes are held back by nothing here, and cost the engine nothing."""
    client = local_grant()
    assert client.name == "local"
    assert client.token_id == ""
    assert client.expires_at is None
    for method in METHODS:
        assert await passes(access, client, method, arguments_of(method))
    for command in (*ACTS, *EXITS, CancelOrders(numbers=(FOREIGN, NOWHERE)), place(OTHER)):
        assert await passes(access, client, "submit", {"command": command})
    for topic in (*ACCOUNT_TOPICS, "quotes"):
        access.check_topic(client, topic)
    assert engine.asked_for_orders == 0


# -- accounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accounts", [(OTHER,), ()], ids=["another", "none"])
@pytest.mark.parametrize("scope", Scope)
async def test_without_the_engines_account_only_the_market_is_open(
    access: Access, scope: Scope, accounts: tuple[AccountId, ...]
) -> None:
    """Not even an administrator of another account sees or touches anything of this one."""
    client = grant(scope, accounts=accounts)
    for method in MARKET_METHODS:
        assert await passes(access, client, method, arguments_of(method)), method
    for method in ACCOUNT_METHODS:
        assert not await passes(access, client, method, arguments_of(method)), method
    for command in (*ACTS, *EXITS):
        assert not await passes(access, client, "submit", {"command": command}), command
    access.check_topic(client, "quotes")
    for topic in ACCOUNT_TOPICS:
        with pytest.raises(Forbidden):
            access.check_topic(client, topic)


async def test_with_the_engines_account_its_own_is_open(access: Access) -> None:
    """A token of this account does with it all that its scope allows."""
    client = grant(Scope.TRADE, Scope.ADMIN, accounts=[OTHER, ACCOUNT])
    for method in METHODS:
        assert await passes(access, client, method, arguments_of(method)), method
    for command in (*ACTS, *EXITS, place(ACCOUNT)):
        assert await passes(access, client, "submit", {"command": command}), command
    for topic in (*ACCOUNT_TOPICS, "quotes"):
        access.check_topic(client, topic)


@pytest.mark.parametrize("method", ["submit", "preview"])
async def test_an_order_for_another_account_is_refused(access: Access, method: str) -> None:
    """The account of a new order must be the token's; the words name both."""
    client = grant(Scope.TRADE, accounts=[ACCOUNT])
    with pytest.raises(Forbidden, match=f"{OTHER} is not an account of this token \\({ACCOUNT}\\)"):
        await access.check_call(client, method, {"command": place(OTHER)})


@pytest.mark.parametrize("number", [FOREIGN, NOWHERE])
@pytest.mark.parametrize(
    ("method", "command"),
    [
        ("submit", modify),
        ("preview", modify),
        ("submit", lambda number: CancelOrders(numbers=(number,))),
        ("submit", lambda number: CancelOrders(numbers=(OWN, number))),
        ("preview", lambda number: CancelOrders(numbers=(OWN, number))),
        ("submit", lambda number: ResolveUnknown(number=number)),
        ("submit", lambda number: ReplayDeadLetter(numbers=(OWN, number))),
        ("preview", lambda number: ReplayDeadLetter(numbers=(number,))),
        ("submit", lambda number: CloseDeadLetter(numbers=(OWN, number))),
    ],
)
async def test_a_foreign_order_is_refused_like_one_that_does_not_exist(
    access: Access, method: str, command: Any, number: OrderNumber
) -> None:
    """One foreign number among own ones refuses the whole call, in words that do not tell whether it exists."""
    client = grant(Scope.TRADE, accounts=[ACCOUNT])
    with pytest.raises(Forbidden) as caught:
        await access.check_call(client, method, {"command": command(number)})
    assert str(caught.value) == f"There is no o{number} among the orders of this token's accounts. Nothing was done."


@pytest.mark.parametrize(
    ("number", "open_to_it"),
    [(OWN, True), (EARLIER, True), (FOREIGN, False), (EARLIER_FOREIGN, False), (NOWHERE, False)],
)
@pytest.mark.parametrize("method", ["order_history", "why"])
async def test_a_history_is_its_owners(access: Access, method: str, number: OrderNumber, open_to_it: bool) -> None:
    """Today's and older orders of the token's account; of others and of what never was the words are the same."""
    client = grant(Scope.READ, accounts=[ACCOUNT])
    if open_to_it:
        await access.check_call(client, method, {"number": number})
        return
    with pytest.raises(Forbidden) as caught:
        await access.check_call(client, method, {"number": number})
    assert str(caught.value) == f"There is no o{number} among the orders of this token's accounts. Nothing was done."


async def test_the_engines_account_is_not_told_to_a_stranger(access: Access) -> None:
    """A refusal for the account names the token's accounts, never the engine's."""
    for method in ACCOUNT_METHODS:
        with pytest.raises(Forbidden) as caught:
            await access.check_call(grant(Scope.READ, accounts=[OTHER]), method, arguments_of(method))
        assert ACCOUNT not in str(caught.value)
        assert OTHER in str(caught.value)


async def test_ownership_is_asked_anew_each_time(access: Access, engine: SharedEngine) -> None:
    """An order that is its own now and somebody else's later is judged by what is true at each call."""
    client = grant(Scope.TRADE, accounts=[ACCOUNT])
    cancel = {"command": CancelOrders(numbers=(OWN,))}
    await access.check_call(client, "submit", cancel)
    engine.records = engine.records[1:]
    with pytest.raises(Forbidden):
        await access.check_call(client, "submit", cancel)


async def test_an_engine_that_cannot_say_whose_it_is_lets_nothing_pass(access: Access, engine: SharedEngine) -> None:
    """In doubt a client with named accounts is refused; one with every account is not held up on its way out."""
    engine.failures["desk"] = WorkstationError("no picture yet")
    with pytest.raises(WorkstationError, match="no picture yet"):
        await access.check_call(grant(Scope.TRADE, accounts=[ACCOUNT]), "orders", {})
    with pytest.raises(WorkstationError, match="no picture yet"):
        access.check_topic(grant(Scope.TRADE, accounts=[ACCOUNT]), "desk")
    await access.check_call(grant(Scope.KILL), "submit", {"command": CancelOrders(everything=True)})


@pytest.mark.parametrize(
    ("accounts", "expected"),
    [
        (None, None),
        ((ACCOUNT, OTHER), None),
        ((ACCOUNT,), {ACCOUNT}),
        ((OTHER, "QQ0000"), {OTHER}),
        (("QQ0000",), set()),
        ((), set()),
    ],
)
def test_what_a_grant_owns_of_an_engine_of_several(accounts: Any, expected: set[str] | None) -> None:
    """All of them, some, or none; accounts of other engines do not count."""
    assert Access(TwoAccountEngine()).owned(grant(Scope.READ, accounts=accounts)) == expected


async def test_the_owner_of_the_second_account_passes() -> None:
    """It is let through to its view of the engine; the first account by name is refused, and its chain columns."""
    several, client = Access(TwoAccountEngine()), grant(Scope.TRADE, accounts=[OTHER])
    for method in ("orders", "positions", "funds", "strategies", "doctor"):
        assert await passes(several, client, method, {}), method
    assert await passes(several, client, "funds", {"account": OTHER})
    assert not await passes(several, client, "funds", {"account": ACCOUNT})
    assert not await passes(several, client, "interpret", {"text": "buy", "account": ACCOUNT})
    assert await passes(several, client, "submit", {"command": place(OTHER)})
    assert not await passes(several, client, "submit", {"command": place(ACCOUNT)})
    assert not await passes(several, client, "submit", {"command": CancelOrders(everything=True, account=ACCOUNT)})
    for topic in ("desk", "orders", "positions", "strategies", "events", "quotes"):
        several.check_topic(client, topic)
    with pytest.raises(Forbidden, match="shows the positions of an account"):
        several.check_topic(client, "chain/NIFTY/2026-11-24")
    several.check_topic(grant(Scope.READ, accounts=[ACCOUNT]), "chain/NIFTY/2026-11-24")


# -- exits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", EXITS, ids=str)
def test_cancels_and_disarming_are_exits(command: Command) -> None:
    """They pass a client's limit on speed."""
    assert is_exit("submit", {"command": command})


@pytest.mark.parametrize("command", ACTS, ids=lambda command: type(command).__name__)
def test_nothing_else_is_an_exit(command: Command) -> None:
    """What may add risk waits like everything else, and a preview of an exit is only a question."""
    assert not is_exit("submit", {"command": command})
    assert not is_exit("preview", {"command": EXITS[0]})
    assert not is_exit("orders", {})
    assert not is_exit("submit", {})


def test_a_grant_is_a_value_with_its_end() -> None:
    """It is compared by what it says, cannot be changed, and the strictest rule is the default."""
    end = datetime(2026, 12, 1, tzinfo=MARKET_TIME.tzinfo)
    one = Grant(name="a", token_id="b", scopes=frozenset({Scope.READ}), expires_at=end)
    assert one == Grant(name="a", token_id="b", scopes=frozenset({Scope.READ}), expires_at=end)
    with pytest.raises(AttributeError):
        one.scopes = frozenset({Scope.ADMIN})  # type: ignore[misc]
    assert method_rule("anything new", {}) == STRICTEST
