"""The panic key and the kill switch over the accounts of an engine: all of them at once, unless one is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from engine.account_desk import AccountDesk
from engine.account_desks import AccountDesks
from engine.core.commands import HoldRisk, KillSwitch, Receipt, ReleaseHold, Unlock, Violation
from engine.core.errors import InvalidInput
from engine.execution.kill import KillDesk

LockCommand = HoldRisk | ReleaseHold | KillSwitch | Unlock


class LockCommands:
    """Takes the commands.

    Args:
        desks: The accounts.
    """

    def __init__(self, desks: AccountDesks) -> None:
        self._desks = desks

    async def lock(self, command: LockCommand, seat: str) -> Receipt:
        """Do it at every account that it concerns, side by side."""
        try:
            desks = self._desks.chosen(command.account)
        except InvalidInput as error:
            return _refused(str(error), "account")
        disarms = len(desks) == len(self._desks)
        match command:
            case HoldRisk():
                return await self._each(desks, lambda desk: desk.hold(seat, disarms=disarms))
            case ReleaseHold():
                return await self._each(desks, lambda desk: desk.release(seat, disarms=disarms))
            case KillSwitch():
                return await self._kill(desks, command, seat, disarms=disarms)
            case Unlock():
                chosen = self._desks.named(command.account)
                return await self._each((chosen,), lambda desk: desk.unlock(command, seat))

    async def _kill(self, desks: Sequence[AccountDesk], command: KillSwitch, seat: str, *, disarms: bool) -> Receipt:
        if command.strategy is None:
            return await self._each(desks, lambda desk: desk.kill(command, seat, disarms=disarms))
        owner = self._desks.of_strategy(command.strategy)
        if owner is None or owner not in desks:
            whose = "" if command.account is None else f" of {command.account}"
            return _refused(f"There is no strategy #{command.strategy}{whose}; nothing was flattened.", "strategy")
        others = tuple(desk for desk in desks if desk is not owner)
        held = await self._each(others, lambda desk: desk.hold(seat, disarms=disarms)) if others else None
        killed = await self._each((owner,), lambda desk: desk.kill(command, seat, disarms=disarms))
        return killed if held is None else _together((held, killed))

    async def _each(self, desks: Sequence[AccountDesk], act: Callable[[KillDesk], Awaitable[Receipt]]) -> Receipt:
        async def one(desk: AccountDesk) -> Receipt:
            if desk.locks.desk is None:
                refusal = desk.refusal()
                return Receipt(accepted=False, message=refusal.message, violations=(refusal,))
            return await act(desk.locks.desk)

        return _together(await asyncio.gather(*(one(desk) for desk in desks)))


def lock_sentence(command: LockCommand) -> str:
    """What a command of this kind would do, for its preview."""
    whose = "all accounts" if command.account is None else str(command.account)
    match command:
        case HoldRisk():
            return (
                f"Blocks new risk of {whose}, drops unsent entries and cancels resting ones; nothing is bought or sold."
            )
        case ReleaseHold():
            return f"Ends the hold of {whose}; nothing is bought or sold."
        case KillSwitch():
            what = "everything" if command.strategy is None else f"#{command.strategy}"
            kept = ", and keeps it locked until it is unlocked" if command.lock else ""
            return f"Blocks new risk of {whose}, cancels entries and flattens {what} at once{kept}."
        case Unlock():
            return "Ends the kill switch; nothing is bought or sold."


def _together(receipts: Sequence[Receipt]) -> Receipt:
    if len(receipts) == 1:
        return receipts[0]
    etas = [receipt.eta_s for receipt in receipts if receipt.eta_s is not None]
    return Receipt(
        accepted=all(receipt.accepted for receipt in receipts),
        message=" ".join(receipt.message for receipt in receipts),
        orders=tuple(record for receipt in receipts for record in receipt.orders),
        violations=tuple(violation for receipt in receipts for violation in receipt.violations),
        eta_s=max(etas, default=None),
    )


def _refused(message: str, check: str) -> Receipt:
    return Receipt(accepted=False, message=message, violations=(Violation(check=check, message=message),))
