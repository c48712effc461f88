"""Who may do what: scopes and account ownership, in one table each for methods, commands and topics.

What is not in a table is refused to everybody but an administrator. A grant that names accounts is held against the
accounts of the engine and of every order that a call names, on every call; the words of a refusal are the same whether
an order belongs to somebody else or does not exist. Who owns some of the engine's accounts and not all is answered by
``own_engine.OwnEngine``, which shows and touches nothing of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from engine.client import EngineClient
from engine.core.commands import (
    AcknowledgeEvent,
    ArchiveStrategy,
    CancelOrders,
    CancelPlan,
    CloseDeadLetter,
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
from engine.core.errors import Forbidden, UnknownOrder
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.vocabulary import Mode
from engine.server.topics import TopicKind

LOCAL_NAME = "local"
"""Who comes through the Unix socket, which only this user may open."""
SUBMIT = "submit"
PREVIEW = "preview"
ORDER_HISTORY = "order_history"
WHY = "why"
HISTORIES = frozenset({ORDER_HISTORY, WHY})
"""What may be asked of closed orders of earlier days too."""
COMMAND = "command"
NUMBER = "number"
ACCOUNT = "account"
"""The argument of calls, and the field of commands, that are for one account."""
WORD_LENGTH_MAX = 64
"""Characters of a caller's own word that are repeated to it."""


class Scope(StrEnum):
    """What a token is for. Trade and kill include read; admin includes all."""

    READ = "read"
    """Look at everything of the token's accounts; change nothing."""
    TRADE = "trade"
    """Send, change and cancel orders, arm and disarm, keep strategies."""
    KILL = "kill"
    """Cancel orders and disarm; nothing that adds risk."""
    ADMIN = "admin"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is and what they may do."""

    name: str
    """The token's name, ``local`` for the Unix socket."""
    token_id: str = ""
    """Empty for the local socket."""
    scopes: frozenset[Scope]
    accounts: tuple[AccountId, ...] | None = None
    """``None``: every account of this engine."""
    expires_at: datetime | None = None
    """Aware UTC; ``None``: never."""

    def allows(self, scope: Scope) -> bool:
        """Whether what needs ``scope`` may be done."""
        if scope is Scope.READ:
            return bool(self.scopes)
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def owns(self, account: AccountId) -> bool:
        """Whether what belongs to ``account`` may be seen and touched."""
        return self.accounts is None or account in self.accounts


def local_grant() -> Grant:
    """What this user's own processes may do at the Unix socket: everything."""
    return Grant(name=LOCAL_NAME, scopes=frozenset({Scope.ADMIN}))


class Rule(msgspec.Struct, frozen=True):
    """What something needs."""

    scopes: tuple[Scope, ...]
    """One of these is enough."""
    account: bool
    """It shows or touches what belongs to an account of the engine."""


MARKET = Rule((Scope.READ,), account=False)
"""The exchange's figures and this door's own: the same for everybody."""
LOOK = Rule((Scope.READ,), account=True)
ACT = Rule((Scope.TRADE,), account=True)
LEAVE = Rule((Scope.KILL, Scope.TRADE), account=True)
"""What only ever takes risk away."""
OPERATE = Rule((Scope.ADMIN,), account=True)
"""What changes how the engine itself runs."""
STRICTEST = Rule((Scope.ADMIN,), account=True)
"""What nobody has thought about yet."""

METHODS: Mapping[str, Rule] = {
    "hello": MARKET,
    "follow": MARKET,  # the topic has a rule of its own
    "unfollow": MARKET,
    "rpc.discover": MARKET,
    "search": MARKET,
    "underlyings": MARKET,
    "expiries": MARKET,
    "interpret": LOOK,
    PREVIEW: LOOK,
    "orders": LOOK,
    ORDER_HISTORY: LOOK,
    WHY: LOOK,
    "dead_letters": LOOK,
    "execution_health": LOOK,
    "mismatches": LOOK,
    "plans": LOOK,
    "handover": LOOK,
    "trades": LOOK,
    "positions": LOOK,
    "strategies": LOOK,
    "candles": LOOK,
    "funds": LOOK,
    "gtts": LOOK,
    "basket_margin": LOOK,
    "payoff": LOOK,
    "scenario": LOOK,
    "attribution": LOOK,
    "smile": MARKET,
    "volatility": MARKET,
    "series": MARKET,
    "bars": MARKET,
    "rules": MARKET,
    "operations": LOOK,
    "record": OPERATE,
    "replay": ACT,
    "renew_session": OPERATE,
    "events": LOOK,
    "doctor": LOOK,
}
"""Every method but ``submit``, which is judged by its command."""

COMMANDS: Mapping[type, Rule] = {
    PlaceOrder: ACT,
    PlaceBasket: ACT,
    ExitPositions: ACT,  # unless a net would open by it, it is an exit
    MakePlan: ACT,
    CancelPlan: LEAVE,
    SteerPlan: ACT,
    HoldRisk: LEAVE,
    ReleaseHold: ACT,
    KillSwitch: LEAVE,
    Unlock: ACT,
    ModifyOrder: ACT,
    CancelOrders: LEAVE,
    CreateStrategy: ACT,
    ArchiveStrategy: ACT,
    MoveQuantity: ACT,
    SetMode: ACT,  # to READ it is an exit
    TouchSeat: ACT,
    ResolveUnknown: ACT,
    ReplayDeadLetter: ACT,
    CloseDeadLetter: ACT,
    Reconcile: LOOK,
    ExplainMismatch: ACT,
    SetHousekeeping: ACT,
    PlaceGtt: ACT,
    ModifyGtt: ACT,
    DeleteGtt: ACT,
    ConvertPosition: ACT,
    AcknowledgeEvent: ACT,
}

TOPICS: Mapping[str, Rule] = {
    "quotes": MARKET,
    "desk": LOOK,
    "chain": LOOK,  # it shows own positions and working orders
    "orders": LOOK,
    "positions": LOOK,
    "strategies": LOOK,
    "events": LOOK,
}
"""By the first word of a topic."""


def is_exit(method: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a call only takes risk away: it must pass when its client has used up its rate."""
    return method == SUBMIT and _leaves(arguments.get(COMMAND))


def _leaves(command: object) -> bool:
    """Whether a command only cancels, flattens or disarms."""
    match command:
        case CancelOrders() | CancelPlan() | HoldRisk() | KillSwitch():
            return True
        case ExitPositions(allow_net_increase=opens):
            return not opens
        case SetMode(mode=mode):
            return mode is Mode.READ
    return False


def method_rule(method: str, arguments: Mapping[str, Any]) -> Rule:
    """What a call needs; what is not known needs an administrator."""
    if method != SUBMIT:
        return METHODS.get(method, STRICTEST)
    command = arguments.get(COMMAND)
    if _leaves(command):
        return LEAVE
    return COMMANDS.get(type(command), STRICTEST)


def topic_rule(topic: str) -> Rule:
    """What following a topic needs; what is not known needs an administrator."""
    return TOPICS.get(topic.partition("/")[0], STRICTEST)


def _order_numbers(method: str, arguments: Mapping[str, Any]) -> frozenset[OrderNumber]:
    """Orders that a call names."""
    if method in HISTORIES:
        return frozenset({OrderNumber(arguments[NUMBER])})
    if method in {SUBMIT, PREVIEW}:
        match arguments.get(COMMAND):
            case ModifyOrder(number=number) | ResolveUnknown(number=number):
                return frozenset({number})
            case CancelOrders(numbers=numbers) | ReplayDeadLetter(numbers=numbers) | CloseDeadLetter(numbers=numbers):
                return frozenset(numbers)
    return frozenset()


class Access:
    """Says for every call and topic whether a grant reaches so far. Keeps nothing: it is asked every time."""

    def __init__(self, engine: EngineClient) -> None:
        """``engine`` tells which accounts it serves and whose its orders are."""
        self._engine = engine

    def owned(self, grant: Grant) -> frozenset[AccountId] | None:
        """The accounts of the engine that a grant is limited to; ``None``: to none, it owns all there are.

        Raises:
            WorkstationError: the engine cannot tell whose accounts it serves.
        """
        if grant.accounts is None:
            return None
        accounts = self._accounts()
        own = frozenset(account for account in accounts if grant.owns(account))
        return None if len(own) == len(accounts) else own

    def _accounts(self) -> tuple[AccountId, ...]:
        """Of the engine, the one in view first."""
        status = self._engine.desk().status
        return tuple(view.account for view in status.accounts) or (status.account,)

    async def check_call(self, grant: Grant, method: str, arguments: Mapping[str, Any]) -> None:
        """Let a call pass or refuse it; ``arguments`` have been decoded.

        Raises:
            Forbidden: names what is missing and what would be needed.
            WorkstationError: the engine cannot tell whose account it serves; nothing passes then.
        """
        command = arguments.get(COMMAND) if method == SUBMIT else None
        kind = getattr(getattr(command, "__struct_config__", None), "tag", None)
        what = f"{SUBMIT} {kind}" if isinstance(kind, str) else method[:WORD_LENGTH_MAX]
        if method == SUBMIT and isinstance(command, SetMode):
            what = f"{what} {command.mode}"
        rule = method_rule(method, arguments)
        _check_scope(grant, rule, what)
        if grant.accounts is None:
            return
        if rule.account:
            self._check_account(grant, what)
        command = arguments.get(COMMAND)
        account = getattr(command, ACCOUNT, None) or arguments.get(ACCOUNT)
        if account and not grant.owns(account):
            named = account[:WORD_LENGTH_MAX]
            raise Forbidden(f"{named} is not an account of this token ({_accounts(grant)}). Nothing was done.")
        await self._check_orders(grant, method, _order_numbers(method, arguments))

    def check_topic(self, grant: Grant, topic: str) -> None:
        """Let a client follow a topic or refuse it; call it when the topic is asked for.

        Raises:
            Forbidden: names what is missing and what would be needed.
            WorkstationError: the engine cannot tell whose account it serves; nothing passes then.
        """
        rule = topic_rule(topic)
        what = f"the topic {topic[:WORD_LENGTH_MAX]}"
        _check_scope(grant, rule, what)
        if not rule.account or grant.accounts is None:
            return
        self._check_account(grant, what)
        if topic.partition("/")[0] == TopicKind.CHAIN and not grant.owns(self._accounts()[0]):
            raise Forbidden(
                f"{what} shows the positions of an account that is not one of this token's ({_accounts(grant)}). "
                "Nothing was done."
            )

    def _check_account(self, grant: Grant, what: str) -> None:
        if not any(grant.owns(account) for account in self._accounts()):
            raise Forbidden(
                f"{what} concerns the account of this engine, which is not one of this token's ({_accounts(grant)}); "
                "a token made with --account for it would do. Nothing was done."
            )

    async def _check_orders(self, grant: Grant, method: str, numbers: frozenset[OrderNumber]) -> None:
        if not numbers:
            return
        owned = {record.number for record in await self._engine.orders() if grant.owns(record.account)}
        missing = numbers - owned
        if missing and method in HISTORIES:
            # A closed order of an earlier day is not listed any more, and its history is still its owner's.
            missing = frozenset([number for number in missing if not await self._owns_history(grant, number)])
        if missing:
            first = f"o{min(missing)}"
            raise Forbidden(f"There is no {first} among the orders of this token's accounts. Nothing was done.")

    async def _owns_history(self, grant: Grant, number: OrderNumber) -> bool:
        try:
            history = await self._engine.order_history(number)
        except UnknownOrder:
            return False
        return bool(history) and all(grant.owns(event.account) for event in history)


def _check_scope(grant: Grant, rule: Rule, what: str) -> None:
    if not any(grant.allows(scope) for scope in rule.scopes):
        raise Forbidden(
            f"{what} needs the scope {_either(rule.scopes)}; this token has {_held(grant)}. Nothing was done."
        )


def _either(scopes: Iterable[Scope]) -> str:
    return " or ".join(scopes)


def _held(grant: Grant) -> str:
    return ", ".join(sorted(grant.scopes)) or "none"


def _accounts(grant: Grant) -> str:
    return ", ".join(grant.accounts or ()) or "none"
