"""Commands and answers of several accounts, taken apart and put together. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.core.commands import Command, Preview, Receipt, Violation
from engine.core.identifiers import AccountId

ACCOUNT = "account"
"""The field of commands that are for one account."""


def for_account(command: Command, account: AccountId) -> Command:
    """The command for an account, if it is one that names an account and does not yet."""
    if ACCOUNT not in command.__struct_fields__ or getattr(command, ACCOUNT) is not None:
        return command
    return msgspec.structs.replace(command, account=account)


def refused(violation: Violation) -> Receipt:
    """The receipt of a command that was not taken, for one reason."""
    return Receipt(accepted=False, message=violation.message, violations=(violation,))


def merged(receipts: dict[AccountId, Receipt]) -> Receipt:
    """One receipt of those of several accounts: accepted when all were; each one's words name it."""
    if len(receipts) == 1:
        return next(iter(receipts.values()))
    parts = receipts.values()
    etas = [receipt.eta_s for receipt in parts if receipt.eta_s is not None]
    return Receipt(
        accepted=all(receipt.accepted for receipt in parts),
        message=" ".join(
            receipt.message if account in receipt.message else f"{account}: {receipt.message}"
            for account, receipt in receipts.items()
        ),
        orders=tuple(order for receipt in parts for order in receipt.orders),
        violations=tuple(violation for receipt in parts for violation in receipt.violations),
        repeated=all(receipt.repeated for receipt in parts),
        eta_s=max(etas, default=None),
    )


def joined(previews: Sequence[Preview]) -> Preview:
    """One preview of those of several accounts; figures stand there for a single one."""
    if len(previews) == 1:
        return previews[0]
    return Preview(
        sentence=" ".join(preview.sentence for preview in previews),
        violations=tuple(violation for preview in previews for violation in preview.violations),
        notes=tuple(note for preview in previews for note in preview.notes),
    )
