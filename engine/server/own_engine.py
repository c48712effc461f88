"""An engine of several accounts as somebody sees it who owns some of them.

Invariant: nothing of the other accounts is shown, counted or touched, and what has not been thought about is refused.
Market data is the same for everybody. A command that names no account is for one of the owner's own, or is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from engine.account_receipts import for_account, joined, merged
from engine.client import EngineClient
from engine.core.analysis import AttributionView, PayoffView, ScenarioView
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
    Interpretation,
    KillSwitch,
    MakePlan,
    ModifyGtt,
    ModifyOrder,
    MoveQuantity,
    PlaceBasket,
    PlaceGtt,
    PlaceOrder,
    Preview,
    Receipt,
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
from engine.core.events import EngineEvent
from engine.core.execution import DeadLetter, ExecutionHealth, OrderWhy
from engine.core.funds_margin import MarginAnswer
from engine.core.handover import Handover
from engine.core.identifiers import AccountId, OrderNumber, StrategyNumber
from engine.core.operations import OperationsView
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.reconciling import Mismatch
from engine.core.strategies import M2mCandle, StrategyValue
from engine.core.views import AccountView, DeskView, DoctorView, EventChanges, OrderChanges, StatusView
from engine.core.vocabulary import Severity

T = TypeVar("T")

SHARED = frozenset(
    {
        *("chain", "quote", "quote_marks", "watch_chain", "unwatch_chain", "watch", "unwatch"),
        *("underlyings", "expiries", "search", "smile", "volatility", "series", "bars", "rules"),
    }
)
"""What is the same for everybody. A chain's own columns are of the account in view: the doors ask for that one."""
ROWS = frozenset({"plans", "gtts"})
"""Lists without arguments whose rows say whose they are; rows that do not are left out."""
NOT_FOR_SOME = "{what} concerns all accounts of this engine, and this token is for some of them. Nothing was done."


class OwnEngine:
    """Answers like ``EngineClient`` for some accounts of an engine.

    Args:
        engine: The whole engine.
        own: The accounts, at least one of the engine's.
    """

    def __init__(self, engine: EngineClient, own: frozenset[AccountId]) -> None:
        self._engine = engine
        self._own = own

    def __getattr__(self, name: str) -> object:
        """What is the same for everybody; anything else that is not written here is refused."""
        if name in SHARED:
            return getattr(self._engine, name)
        if name in ROWS:
            return partial(self._rows, name)
        raise Forbidden(NOT_FOR_SOME.format(what=name))

    async def _rows(self, name: str) -> tuple[object, ...]:
        return self._of(await getattr(self._engine, name)())

    # -- pictures --------------------------------------------------------------------------------------------------

    def desk(self) -> DeskView:
        """See ``EngineClient``."""
        desk = self._engine.desk()
        positions = desk.positions
        return msgspec.structs.replace(
            desk,
            status=self._status(desk),
            strategies=self._values(desk.strategies),
            orders=self._of(desk.orders),
            positions=None if positions is None else self._of(positions),
            locks=self._of(desk.locks),
            events=self._events(desk.events),
        )

    def _status(self, desk: DeskView) -> StatusView:
        status = desk.status
        accounts = self._of(status.accounts)
        if not accounts:  # an engine that tells of one account alone
            self._owned(status.account)
            return status
        shown = accounts[0]
        others = tuple(view for view in status.accounts if view.account not in self._own)
        unread = status.unread_events - sum(view.unread_events for view in others)
        attention = sum(event.severity is not Severity.INFO for event in self._events(desk.events))
        return msgspec.structs.replace(
            status,
            account=shown.account,
            account_name=shown.name,
            accounts=accounts,
            writer=shown.writer,
            budget=shown.budget,
            day_profit=shown.day_profit,
            day_profit_partial=shown.day_profit_partial,
            day_net=shown.day_net,
            margin_utilisation=shown.margin_utilisation,
            unknown_orders=sum(view.unknown_orders for view in accounts),
            unread_events=max(0, min(unread, attention)),
            degraded=_without(status.degraded, others),
        )

    # -- reading ---------------------------------------------------------------------------------------------------

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """See ``EngineClient``; without an account it is about the first of one's own."""
        return await self._engine.interpret(text, self._owned(account) if account else self._first())

    async def preview(self, command: Command, *, seat: str = "") -> Preview:
        """See ``EngineClient``."""
        parts = await self._parts(command)
        if parts is None:
            return await self._engine.preview(await self._checked(command), seat=seat)
        return joined([await self._engine.preview(part, seat=seat) for part in parts.values()])

    async def orders(self) -> tuple[OrderRecord, ...]:
        """See ``EngineClient``."""
        return self._of(await self._engine.orders())

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """See ``EngineClient``."""
        history = await self._engine.order_history(number)
        for event in history:
            self._owned(event.account)
        return history

    async def why(self, number: OrderNumber) -> OrderWhy:
        """See ``EngineClient``."""
        why = await self._engine.why(number)
        self._owned(why.order.account)
        return why

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        """See ``EngineClient``."""
        return self._of(await self._engine.dead_letters())

    async def execution_health(self) -> tuple[ExecutionHealth, ...]:
        """See ``EngineClient``."""
        return self._of(await self._engine.execution_health())

    async def mismatches(self) -> tuple[Mismatch, ...]:
        """See ``EngineClient``."""
        return self._of(await self._engine.mismatches())

    async def handover(self) -> tuple[Handover, ...]:
        """See ``EngineClient``."""
        return self._of(await self._engine.handover())

    async def trades(self) -> tuple[Trade, ...]:
        """See ``EngineClient``."""
        return self._of(await self._engine.trades())

    async def positions(self, account: AccountId | None = None) -> tuple[BrokerPosition, ...]:
        """See ``EngineClient``; what the broker says of other accounts is not even asked."""
        asked = (self._owned(account),) if account else self._accounts()
        return tuple([position for one in asked for position in await self._engine.positions(one)])

    async def strategies(self) -> tuple[StrategyValue, ...]:
        """See ``EngineClient``."""
        return self._values(await self._engine.strategies())

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """See ``EngineClient``."""
        await self._own_strategies((strategy,))
        return await self._engine.candles(strategy, start, end)

    async def funds(self, account: AccountId | None = None) -> Funds:
        """See ``EngineClient``."""
        return await self._engine.funds(self._owned(account) if account else self._first())

    async def basket_margin(self, legs: Sequence[OrderRequest], account: AccountId | None = None) -> MarginAnswer:
        """See ``EngineClient``."""
        return await self._engine.basket_margin(legs, self._owned(account) if account else self._first())

    async def events(self, after: int = 0) -> tuple[EngineEvent, ...]:
        """See ``EngineClient``."""
        return self._events(await self._engine.events(after))

    async def payoff(
        self, strategy: StrategyNumber, *, days_ahead: float = 0.0, volatility_shift: float = 0.0, points: int = 161
    ) -> PayoffView:
        """See ``EngineClient``."""
        await self._own_strategies((strategy,))
        return await self._engine.payoff(
            strategy, days_ahead=days_ahead, volatility_shift=volatility_shift, points=points
        )

    async def scenario(
        self,
        strategy: StrategyNumber,
        *,
        days_ahead: float = 0.0,
        moves: Sequence[float] = (),
        shifts: Sequence[float] = (),
    ) -> ScenarioView:
        """See ``EngineClient``."""
        await self._own_strategies((strategy,))
        return await self._engine.scenario(strategy, days_ahead=days_ahead, moves=moves, shifts=shifts)

    async def attribution(self, strategy: StrategyNumber) -> AttributionView:
        """See ``EngineClient``."""
        await self._own_strategies((strategy,))
        return await self._engine.attribution(strategy)

    async def operations(self) -> OperationsView:
        """See ``EngineClient``."""
        return self._room(await self._engine.operations())

    async def renew_session(self, account: str = "") -> OperationsView:
        """See ``EngineClient``."""
        name = self._owned(AccountId(account)) if account else self._first()
        return self._room(await self._engine.renew_session(name))

    async def doctor(self) -> DoctorView:
        """See ``EngineClient``."""
        view = await self._engine.doctor()
        checks = tuple(check for check in view.checks if check.account is None or check.account in self._own)
        names = self._strangers()
        kept = tuple(check for check in checks if not any(name in check.message for name in names))
        return msgspec.structs.replace(view, checks=kept)

    async def next_orders(self, after: int | None = None) -> OrderChanges:
        """See ``EngineClient``; what happens to other accounts' orders passes unseen."""
        changes = await self._engine.next_orders(after)
        while changes.base and not self._of(changes.orders):
            changes = await self._engine.next_orders(changes.sequence)
        base = after if changes.base and after is not None else 0
        return OrderChanges(sequence=changes.sequence, base=base, orders=self._of(changes.orders))

    async def next_events(self, after: int | None = None) -> EventChanges:
        """As ``next_orders``."""
        changes = await self._engine.next_events(after)
        while changes.base and not self._events(changes.events):
            changes = await self._engine.next_events(changes.sequence)
        base = after if changes.base and after is not None else 0
        return EventChanges(sequence=changes.sequence, base=base, events=self._events(changes.events))

    # -- acting ----------------------------------------------------------------------------------------------------

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """See ``EngineClient``."""
        parts = await self._parts(command)
        if parts is None:
            return await self._engine.submit(await self._checked(command), seat=seat)
        receipts = await asyncio.gather(*(self._engine.submit(part, seat=seat) for part in parts.values()))
        return merged(dict(zip(parts, receipts, strict=True)))

    async def _parts(self, command: Command) -> dict[AccountId, Command] | None:
        """What is asked of everything, account by account; ``None`` when it is not asked of everything.

        Raises:
            Forbidden: it names an account, or a strategy, that is not one's own.
        """
        match command:
            case CancelOrders(everything=True) | HoldRisk() | ReleaseHold() | Reconcile():
                whole: Command = command
            case ExitPositions(everything=True):
                whole = msgspec.structs.replace(command, everything=False)
            case KillSwitch(strategy=strategy, account=account):
                if strategy is not None:
                    return await self._kill_parts(command, strategy, account)
                whole = command
            case _:
                return None
        named: AccountId | None = getattr(command, "account", None)
        accounts = (self._owned(named),) if named else self._accounts()
        return {account: msgspec.structs.replace(whole, account=account) for account in accounts}

    async def _kill_parts(
        self, command: KillSwitch, strategy: StrategyNumber, account: AccountId | None
    ) -> dict[AccountId, Command]:
        """One strategy is flattened; its owner's other accounts are held, unless one is named."""
        owner = await self._own_strategies((strategy,))
        if account is not None and self._owned(account) != owner:
            raise Forbidden(f"Strategy {strategy} is one of {owner}, not of {account}. Nothing was done.")
        held = self._accounts() if account is None else (owner,)
        return {
            one: msgspec.structs.replace(command, account=one) if one == owner else HoldRisk(account=one)
            for one in held
        }

    async def _checked(self, command: Command) -> Command:
        """The command with its account, when it concerns nothing of others.

        Raises:
            Forbidden: it does, or it concerns all accounts, or it does not say which of several it is for.
        """
        match command:
            case PlaceOrder():
                return await self._for_strategies(command, (command.request.strategy,))
            case PlaceBasket(legs=legs):
                return await self._for_strategies(command, (leg.strategy for leg in legs))
            case ExitPositions(target=target):
                return await self._for_strategies(command, (target.strategy,))
            case CancelPlan(number=plan) | SteerPlan(number=plan):
                if plan not in [_number(view) for view in await self._rows("plans")]:
                    raise Forbidden(f"There is no p{plan} of this token's accounts. Nothing was done.")
                return command
            case Unlock() | CreateStrategy() | PlaceGtt() | ModifyGtt() | DeleteGtt() | ConvertPosition() | MakePlan():
                return self._for_own(command)
            case SetMode() | TouchSeat():
                return command  # of one's own seat
            case AcknowledgeEvent(accounts=accounts):
                for account in accounts or ():
                    self._owned(account)
                return msgspec.structs.replace(command, accounts=self._accounts() if accounts is None else accounts)
            case ArchiveStrategy(number=number):
                await self._own_strategies((number,))
                return command
            case MoveQuantity(strategy=strategy, to_strategy=to_strategy):
                await self._own_strategies((strategy, to_strategy))
                return command
            case SetHousekeeping(strategy=strategy):
                await self._own_strategies((strategy,))
                return command
            case ExplainMismatch(mismatch=name):
                if not any(item.mismatch_id == name for item in await self.mismatches()):
                    raise Forbidden("There is no such mismatch of an account of this token. Nothing was done.")
                return command
            case ModifyOrder(number=number) | ResolveUnknown(number=number):
                await self._own_orders((number,))
                return command
            case CancelOrders(numbers=numbers) | ReplayDeadLetter(numbers=numbers) | CloseDeadLetter(numbers=numbers):
                await self._own_orders(numbers)
                return command
        raise Forbidden(NOT_FOR_SOME.format(what=str(command.__struct_config__.tag)))

    async def _for_strategies(self, command: Command, strategies: Iterable[StrategyNumber | None]) -> Command:
        """The command with its account: that of the strategies it names, which are one's own, else as ``_for_own``."""
        named = tuple(strategy for strategy in strategies if strategy is not None)
        if named:
            owner = await self._own_strategies(named)
            command = for_account(command, owner)
        return self._for_own(command)

    def _for_own(self, command: Command) -> Command:
        """The command with its account; the only one of one's own when it names none."""
        account: AccountId | None = getattr(command, "account", None)
        if account is not None:
            self._owned(account)
            return command
        accounts = self._accounts()
        if len(accounts) > 1:
            raise Forbidden(f"Name the account: {' or '.join(accounts)}. Nothing was done.")
        return for_account(command, accounts[0])

    # -- whose -----------------------------------------------------------------------------------------------------

    def _accounts(self) -> tuple[AccountId, ...]:
        """One's own, in the engine's order."""
        status = self._engine.desk().status
        accounts = tuple(view.account for view in status.accounts) or (status.account,)
        return tuple(account for account in accounts if account in self._own)

    def _strangers(self) -> tuple[AccountId, ...]:
        return tuple(view.account for view in self._engine.desk().status.accounts if view.account not in self._own)

    def _first(self) -> AccountId:
        return next(iter(self._accounts()), None) or self._owned(None)

    def _owned(self, account: AccountId | None) -> AccountId:
        if account is None or account not in self._own:
            raise Forbidden("That belongs to an account that is not one of this token's. Nothing was done.")
        return account

    def _of(self, rows: Iterable[T]) -> tuple[T, ...]:
        """Rows that say whose they are; one that does not is nobody's here."""
        return tuple(row for row in rows if _whose(row) in self._own)

    def _values(self, values: Iterable[StrategyValue]) -> tuple[StrategyValue, ...]:
        return tuple(value for value in values if value.strategy.account in self._own)

    def _events(self, events: Iterable[EngineEvent]) -> tuple[EngineEvent, ...]:
        """Of one's own accounts, and what concerns everybody and names no other."""
        names = self._strangers()
        return tuple(
            event
            for event in events
            if event.account in self._own
            or (event.account is None and not any(name in event.text or name in event.subject for name in names))
        )

    def _room(self, view: OperationsView) -> OperationsView:
        return msgspec.structs.replace(
            view,
            accounts=self._of(view.accounts),
            journals=self._of(view.journals),
            degraded=_without(view.degraded, tuple(self._engine.desk().status.accounts), kept=self._own),
        )

    async def _own_strategies(self, numbers: Iterable[StrategyNumber]) -> AccountId:
        """Whose strategies these are.

        Raises:
            Forbidden: one is not one's own, or there is none, in the same words.
        """
        owners = {value.strategy.number: value.strategy.account for value in await self.strategies()}
        found = None
        for number in numbers:
            found = owners.get(number)
            if found is None:
                raise Forbidden(f"There is no strategy {number} of this token's accounts. Nothing was done.")
        return self._owned(found)

    async def _own_orders(self, numbers: Iterable[OrderNumber]) -> None:
        """Let pass orders of one's own; the doors have asked the same before.

        Raises:
            Forbidden: one is not, or there is none, in the same words.
        """
        own = {record.number for record in await self.orders()}
        for number in numbers:
            if number not in own:
                raise Forbidden(f"There is no o{number} among the orders of this token's accounts. Nothing was done.")


def _whose(row: object) -> object:
    """The account that a row names, itself or in the record that it shows."""
    return getattr(row, "account", None) or getattr(getattr(row, "record", None), "account", None)


def _number(view: object) -> object:
    """The number of the plan that a view shows."""
    return getattr(getattr(view, "record", None), "number", None)


def _without(
    sentences: Iterable[str], accounts: Iterable[AccountView], *, kept: frozenset[AccountId] = frozenset()
) -> tuple[str, ...]:
    """Sentences that are not about one of the accounts, by name or because it said them."""
    others = [view for view in accounts if view.account not in kept]
    said = {sentence for view in others for sentence in view.degraded}
    return tuple(
        sentence
        for sentence in sentences
        if sentence not in said and not any(view.account in sentence for view in others)
    )
