"""The accounts of one engine: which one a command, an order or a strategy concerns.

Invariant: an order and a strategy belong to one account for good; nothing chooses an account by what is at hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from typing import TypeVar

from engine.account_desk import AccountDesk
from engine.core.errors import InvalidInput
from engine.core.identifiers import AccountId, OrderNumber, StrategyNumber
from engine.core.orders import OrderRecord
from engine.core.strategies import StrategyValue

T = TypeVar("T")


async def gathered(reads: Iterable[Awaitable[T]]) -> tuple[T, ...]:
    """Wait for all of them, side by side.

    Raises:
        Exception: the first one's that failed; the others have ended too.
    """
    answers = await asyncio.gather(*reads, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return tuple(answer for answer in answers if not isinstance(answer, BaseException))


def by_number(records: Iterable[OrderRecord]) -> tuple[OrderRecord, ...]:
    """Oldest first: numbers are the same over all accounts."""
    return tuple(sorted(records, key=lambda record: record.number))


class AccountDesks:
    """Account → desk, in the configured order; iterates over the desks.

    Args:
        desks: At least one; the first is meant where no account is named.
    """

    def __init__(self, desks: Sequence[AccountDesk]) -> None:
        self._desks = {desk.account: desk for desk in desks}
        self.default = desks[0]

    def __iter__(self) -> Iterator[AccountDesk]:
        """In the configured order."""
        return iter(self._desks.values())

    def __len__(self) -> int:
        """How many accounts."""
        return len(self._desks)

    @property
    def accounts(self) -> tuple[AccountId, ...]:
        """Their names, in order."""
        return tuple(self._desks)

    def get(self, account: AccountId) -> AccountDesk | None:
        """The desk of an account, if it is one of ours."""
        return self._desks.get(account)

    def named(self, account: AccountId | None) -> AccountDesk:
        """The desk of the account that a command names; the default one when it names none.

        Raises:
            InvalidInput: it is no account of this engine; the sentence lists those there are.
        """
        if account is None:
            return self.default
        desk = self._desks.get(account)
        if desk is None:
            names = ", ".join(self._desks)
            raise InvalidInput(f"{account[:40]} is no account of this engine; it has {names}.", field="account")
        return desk

    def chosen(self, account: AccountId | None) -> tuple[AccountDesk, ...]:
        """The named one, or all of them when none is named.

        Raises:
            InvalidInput: as ``named``.
        """
        return tuple(self) if account is None else (self.named(account),)

    def of_order(self, number: OrderNumber) -> AccountDesk | None:
        """Whose order this is, of those in memory."""
        for desk in self:
            if desk.executor is not None and desk.executor.order(number) is not None:
                return desk
        return None

    def of_strategy(self, number: StrategyNumber) -> AccountDesk | None:
        """Whose strategy this is, archived ones too."""
        for desk in self:
            book = desk.book()
            if book is not None and any(one.number == number for one in book.strategies(archived=True)):
                return desk
        return None

    def of_request(self, account: AccountId | None, strategy: StrategyNumber | None) -> AccountDesk:
        """The desk of a new order: of the account it names, else of its strategy, else the first.

        Raises:
            InvalidInput: the account is none of ours, or the strategy is another account's.
        """
        owner = None if strategy is None else self.of_strategy(strategy)
        if account is None:
            return owner or self.default
        desk = self.named(account)
        if owner is not None and owner is not desk:
            raise InvalidInput(
                f"Strategy #{strategy} is one of {owner.account}, not of {account}: name a strategy of {account}.",
                field="strategy",
            )
        return desk

    def orders(self) -> tuple[OrderRecord, ...]:
        """Orders in memory of all accounts, oldest first."""
        if len(self) == 1:
            return self.default.orders()
        return by_number(record for desk in self for record in desk.orders())

    def values(self) -> tuple[StrategyValue, ...]:
        """Active strategies of all accounts, valued now, account by account."""
        return tuple(value for desk in self if desk.portfolio is not None for value in desk.portfolio.values())
