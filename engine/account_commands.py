"""Brings a command about orders or strategies to the account that it concerns, or its parts to several.

Invariant: an order goes to the account it names, or to the account of the strategy it names, never to another; a
command on an order or a strategy goes to the account that has it. Accounts are told side by side: one that is slow
holds none of the others up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from engine.account_desk import AccountDesk
from engine.account_desks import AccountDesks
from engine.account_receipts import merged, refused
from engine.core.commands import (
    ArchiveStrategy,
    CancelOrders,
    CloseDeadLetter,
    CreateStrategy,
    ModifyOrder,
    MoveQuantity,
    PlaceOrder,
    Receipt,
    ReplayDeadLetter,
    ResolveUnknown,
    Violation,
)
from engine.core.errors import InvalidInput, StorageError, WorkstationError
from engine.core.identifiers import AccountId, OrderNumber, StrategyNumber
from engine.execution.executor import OrderExecutor

OrderCommand = PlaceOrder | ModifyOrder | CancelOrders | ResolveUnknown | ReplayDeadLetter | CloseDeadLetter
StrategyCommand = CreateStrategy | ArchiveStrategy | MoveQuantity


class AccountCommands:
    """Commands over all accounts of an engine.

    Args:
        desks: The accounts.
    """

    def __init__(self, desks: AccountDesks) -> None:
        self._desks = desks

    async def order(self, command: OrderCommand, seat: str) -> Receipt:
        """Do what concerns orders."""
        match command:
            case PlaceOrder():
                return await self._place(command, seat)
            case ModifyOrder():
                return await self._one(command.number, lambda executor: executor.modify(command, seat=seat))
            case ResolveUnknown():
                return await self._one(command.number, lambda executor: executor.resolve(command.number))
            case CancelOrders(everything=True):
                return await self._cancel_everything(command, seat)
            case CancelOrders():
                return await self._several(
                    command.numbers,
                    lambda executor, numbers: executor.cancel(CancelOrders(numbers=numbers), seat=seat),
                )
            case ReplayDeadLetter():
                return await self._several(
                    command.numbers,
                    lambda executor, numbers: executor.replay(ReplayDeadLetter(numbers=numbers), seat=seat),
                )
            case CloseDeadLetter():
                return await self._several(
                    command.numbers,
                    lambda executor, numbers: executor.close_letters(
                        msgspec.structs.replace(command, numbers=numbers), seat=seat
                    ),
                )

    async def strategy(self, command: StrategyCommand) -> Receipt:
        """Do what concerns strategies."""
        try:
            match command:
                case CreateStrategy():
                    desk = self._desks.named(command.account)
                case ArchiveStrategy():
                    desk = self._of_strategy(command.number)
                case MoveQuantity():
                    desk = self._of_strategy(command.strategy)
                    self._check_same(desk, command.to_strategy)
            if desk.portfolio is None or not desk.writer:
                return refused(desk.refusal())
            return await _kept(desk, command)
        except WorkstationError as error:
            kind = "database" if isinstance(error, StorageError) else "strategy"
            return refused(Violation(check=kind, message=str(error)))

    async def _place(self, command: PlaceOrder, seat: str) -> Receipt:
        try:
            desk = self._desks.of_request(command.account, command.request.strategy)
        except InvalidInput as error:
            return refused(Violation(check=error.field or "account", message=str(error)))
        if desk.executor is None:
            return refused(desk.refusal())
        return await desk.plans.place(command, seat=seat)

    async def _one(self, number: OrderNumber, act: Callable[[OrderExecutor], Awaitable[Receipt]]) -> Receipt:
        """Do something with one order; an unknown one is refused in the words of the first account."""
        desk = self._desks.of_order(number) or self._first_at_work()
        if desk is None or desk.executor is None:
            return refused(self._desks.default.refusal())
        return await act(desk.executor)

    async def _several(
        self,
        numbers: Sequence[OrderNumber],
        act: Callable[[OrderExecutor, tuple[OrderNumber, ...]], Awaitable[Receipt]],
    ) -> Receipt:
        """Do something with orders, each at its account; when one is nobody's, nothing is done."""
        found = {number: self._desks.of_order(number) for number in numbers}
        missing = tuple(number for number, desk in found.items() if desk is None)
        if missing or not found:
            desk = self._first_at_work()
            if desk is None or desk.executor is None:
                return refused(self._desks.default.refusal())
            return await act(desk.executor, missing)  # which says that there is none
        by_account: dict[AccountId, list[OrderNumber]] = {}
        for number, desk in found.items():
            if desk is not None:
                by_account.setdefault(desk.account, []).append(number)

        def own(numbers: tuple[OrderNumber, ...]) -> Callable[[OrderExecutor], Awaitable[Receipt]]:
            return lambda executor: act(executor, numbers)

        return await self._side_by_side({account: own(tuple(some)) for account, some in by_account.items()})

    async def _cancel_everything(self, command: CancelOrders, seat: str) -> Receipt:
        try:
            desks = self._desks.chosen(command.account)
        except InvalidInput as error:
            return refused(Violation(check="account", message=str(error)))
        if not any(desk.executor is not None for desk in desks):
            return refused(desks[0].refusal())
        return await self._side_by_side(
            {desk.account: lambda executor: executor.cancel(command, seat=seat) for desk in desks}
        )

    async def _side_by_side(self, acts: dict[AccountId, Callable[[OrderExecutor], Awaitable[Receipt]]]) -> Receipt:
        """Do it at each account; what fails at one is that account's answer, and stops no other.

        Raises:
            WorkstationError: it failed at the only one.
        """

        async def one(account: AccountId, act: Callable[[OrderExecutor], Awaitable[Receipt]]) -> Receipt:
            desk = self._desks.named(account)
            if desk.executor is None:
                return refused(desk.refusal())
            try:
                return await act(desk.executor)
            except WorkstationError as error:
                if len(acts) == 1:
                    raise
                return refused(Violation(check="account", message=str(error)))

        receipts = await asyncio.gather(*(one(account, act) for account, act in acts.items()))
        return merged(dict(zip(acts, receipts, strict=True)))

    def _first_at_work(self) -> AccountDesk | None:
        return next((desk for desk in self._desks if desk.executor is not None), None)

    def _of_strategy(self, number: StrategyNumber) -> AccountDesk:
        """Whose strategy it is; of one that is nobody's the first account says so."""
        return self._desks.of_strategy(number) or self._desks.default

    def _check_same(self, desk: AccountDesk, other: StrategyNumber) -> None:
        owner = self._desks.of_strategy(other)
        if owner is not None and owner is not desk:
            raise InvalidInput(
                f"Strategy #{other} is one of {owner.account}, not of {desk.account}: "
                "quantity does not move between accounts.",
                field="strategy",
            )


async def _kept(desk: AccountDesk, command: StrategyCommand) -> Receipt:
    portfolio = desk.portfolio
    if portfolio is None:
        return refused(desk.refusal())
    match command:
        case CreateStrategy():
            strategy = await portfolio.create(command.name)
            message = f"Strategy #{strategy.number} {strategy.name} is open."
            return Receipt(accepted=True, message=message, strategy=strategy.number)
        case ArchiveStrategy():
            strategy = await portfolio.archive(command.number)
            message = f"Strategy #{strategy.number} {strategy.name} is archived; no position was touched."
            return Receipt(accepted=True, message=message, strategy=strategy.number)
        case MoveQuantity():
            entries = await portfolio.move(command)
            target = next(entry for entry in entries if entry.strategy == command.to_strategy)
            message = f"Moved {abs(target.signed_quantity)} units to {target.strategy}.{target.leg}."
            return Receipt(accepted=True, message=message, strategy=command.to_strategy)
