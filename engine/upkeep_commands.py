"""Brings what looks after accounts to the one it concerns: reconciling, explaining, housekeeping, the handover."""

from __future__ import annotations

import asyncio

from engine.account_desks import AccountDesks
from engine.account_receipts import refused
from engine.core.commands import ExplainMismatch, Receipt, Reconcile, SetHousekeeping, Violation
from engine.core.errors import InvalidInput
from engine.core.handover import Handover
from engine.core.reconciling import Mismatch

UpkeepCommand = Reconcile | ExplainMismatch | SetHousekeeping


class UpkeepCommands:
    """Over all accounts of an engine.

    Args:
        desks: The accounts.
    """

    def __init__(self, desks: AccountDesks) -> None:
        self._desks = desks

    async def mismatches(self) -> tuple[Mismatch, ...]:
        """Of all accounts, in their order.

        Raises:
            StorageError: those of an account that this engine only looks at cannot be read.
        """
        return tuple([item for desk in self._desks for item in await desk.upkeep.mismatches()])

    async def handover(self) -> tuple[Handover, ...]:
        """Of all accounts, in their order; they are asked side by side."""
        return tuple(
            await asyncio.gather(
                *(
                    desk.upkeep.handover(
                        desk.profile, tuple(order for order in desk.orders() if order.state.is_working)
                    )
                    for desk in self._desks
                )
            )
        )

    async def do(self, command: UpkeepCommand, seat: str) -> Receipt:
        """Do it at the account that it concerns."""
        match command:
            case Reconcile():
                try:
                    desks = self._desks.chosen(command.account)
                except InvalidInput as error:
                    return refused(Violation(check="account", message=str(error)))
                receipts = await asyncio.gather(*(desk.upkeep.reconcile() for desk in desks))
                return Receipt(
                    accepted=all(receipt.accepted for receipt in receipts),
                    message=" ".join(receipt.message for receipt in receipts),
                    violations=tuple(found for receipt in receipts for found in receipt.violations),
                )
            case ExplainMismatch():
                owner = next((desk for desk in self._desks if desk.upkeep.has_mismatch(command.mismatch)), None)
                return await (owner or self._desks.default).upkeep.explain(command, seat=seat)
            case SetHousekeeping():
                owner = self._desks.of_strategy(command.strategy)
                if owner is None:
                    return refused(Violation(check="strategy", message=f"There is no strategy #{command.strategy}."))
                return await owner.upkeep.set_tidied(command.strategy, command.on, seat=seat)
