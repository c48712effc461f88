"""Commands about plans over the accounts of an engine: each goes to the account that it names, or whose plan it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec

from engine.account_desk import AccountDesk
from engine.account_desks import AccountDesks
from engine.account_plans import PlanCommand
from engine.account_receipts import joined, merged, refused
from engine.core.commands import CancelPlan, ExitPositions, PlaceBasket, Preview, Receipt, SteerPlan, Violation
from engine.core.errors import InvalidInput
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.plans import PlanNumber, PlanView
from engine.core.repositories import PlanRepository
from engine.execution.plans.plan_views import kept_view


class PlanCommands:
    """Takes the commands.

    Args:
        desks: The accounts.
    """

    def __init__(self, desks: AccountDesks) -> None:
        self._desks = desks

    async def do(self, command: PlanCommand, seat: str) -> Receipt:
        """Do it at the account that it concerns; an exit of everything at all of them, or at the one it names."""
        try:
            if isinstance(command, ExitPositions) and command.everything:
                desks = self._desks.chosen(command.account)
                receipts = await asyncio.gather(*(self._at(desk, command, seat) for desk in desks))
                return merged(dict(zip((desk.account for desk in desks), receipts, strict=True)))
            desk = self._of(command)
        except InvalidInput as error:
            return refused(Violation(check=error.field or "account", message=str(error)))
        if desk is None:
            number = command.number if isinstance(command, CancelPlan | SteerPlan) else 0
            return refused(Violation(check="plan", message=f"There is no plan p{number} that is not over."))
        return await self._at(desk, command, seat)

    async def preview(self, command: PlanCommand, seat: str) -> Preview:
        """What it would do for a seat, by the same checks as the real thing; nothing is sent."""
        try:
            if isinstance(command, ExitPositions) and command.everything:
                desks = self._desks.chosen(command.account)
                return joined([await self._preview_at(desk, command, seat) for desk in desks])
            desk = self._of(command)
        except InvalidInput as error:
            said = Violation(check=error.field or "account", message=str(error))
            return Preview(sentence=str(error), violations=(said,))
        if desk is None:
            words = "There is no such plan that is not over."
            return Preview(sentence=words, violations=(Violation(check="plan", message=words),))
        return await self._preview_at(desk, command, seat)

    async def _preview_at(self, desk: AccountDesk, command: PlanCommand, seat: str) -> Preview:
        if desk.plans.desk is None:
            refusal = desk.refusal()
            return Preview(sentence=refusal.message, violations=(refusal,))
        preview = await desk.plans.preview(command, seat=seat)
        named = preview.sentence if len(self._desks) == 1 else f"{desk.account}: {preview.sentence}"
        return msgspec.structs.replace(preview, sentence=named, account=desk.account)

    async def _at(self, desk: AccountDesk, command: PlanCommand, seat: str) -> Receipt:
        if desk.plans.desk is None:
            return refused(desk.refusal())
        return await desk.plans.do(command, seat=seat)

    def _of(self, command: PlanCommand) -> AccountDesk | None:
        match command:
            case CancelPlan(number=number) | SteerPlan(number=number):
                return self._of_plan(number)
            case PlaceBasket(legs=legs, account=account):
                return self._of_strategies(account, [leg.strategy for leg in legs])
            case ExitPositions(target=target, account=account):
                return self._of_strategies(account, [target.strategy])
            case _:
                return self._desks.named(command.account)

    def _of_strategies(self, account: AccountId | None, strategies: Sequence[StrategyNumber | None]) -> AccountDesk:
        """The account of all these strategies.

        Raises:
            InvalidInput: they are of different ones.
        """
        found = [self._desks.of_request(account, strategy) for strategy in strategies or (None,)]
        named = {
            desk.account for desk, strategy in zip(found, strategies or (None,), strict=True) if strategy is not None
        }
        if len(named) > 1:
            raise InvalidInput(f"The legs are of different accounts: {', '.join(sorted(named))}.", field="account")
        return next((desk for desk in found if desk.account in named), found[0])

    def _of_plan(self, number: PlanNumber) -> AccountDesk | None:
        for desk in self._desks:
            if desk.plans.desk is not None and desk.plans.desk.view(number) is not None:
                return desk
        if len(self._desks) == 1:
            return self._desks.default
        return None


async def kept_plans(plans: PlanRepository, account: AccountId, since: datetime) -> tuple[PlanView, ...]:
    """Plans as the database has them, for an engine that only looks.

    Raises:
        StorageError: they cannot be read.
    """
    return tuple(kept_view(record) for record in await plans.since(account, since))
