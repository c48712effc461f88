"""The fence in front of every write: whoever is not the newest writer of an account changes nothing."""

from __future__ import annotations

from typing import NoReturn

from engine.core.errors import WriterLost
from engine.core.identifiers import AccountId
from storage.session import Session

LOCK_EPOCH = "SELECT 1 FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE"
"""Finds a row for the newest epoch only, and keeps a new writer waiting until this transaction has ended."""
NEWEST_EPOCH = "SELECT epoch FROM writer_epochs WHERE account_id = $1"


async def require_newest_epoch(session: Session, account: AccountId, epoch: int) -> None:
    """Refuse an old writer. Call it first in a transaction: the answer holds until its end.

    Raises:
        WriterLost: another engine has become the writer since ``epoch`` was given out.
    """
    if await session.fetchval(LOCK_EPOCH, account, epoch) is None:
        refuse_writer(account)


def refuse_writer(account: AccountId) -> NoReturn:
    """Raise the error of a writer that is not the newest."""
    raise WriterLost(
        f"Another engine is the writer of account {account} now; nothing was written. This one may only read. "
        "Close one of the two, or attach to the running one."
    )
