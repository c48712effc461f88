"""Whether the journal is there: asked with a limit, away from its first failure until everything is in it again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

from engine.core.errors import StorageConflict, StorageError, StorageUnavailable, WriterLost
from engine.core.events import EventKind
from engine.core.identifiers import AccountId
from engine.core.ports import Clock
from engine.execution.notices import Health
from engine.execution.patience import Patience
from engine.execution.spool import Spool
from engine.execution.waiting import Wakeup

logger = logging.getLogger(__name__)

T = TypeVar("T")

BEHIND = "journal"
LOST = "writer"


class JournalAway(StorageUnavailable):
    """Nothing was tried: the journal has not answered a while ago and is not back yet."""


class JournalAccess:
    """What the writer and the way back share.

    Args:
        account: Whose journal.
        clock: Seconds of the limit.
        health: Where being away and losing the account are declared.
        spool: What is written to meanwhile; ``None``: the journal is never away, each call fails by itself.
        limit_s: How long a call is waited for when there is a spool.
        on_lost: Called once when another engine has become the writer.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        clock: Clock,
        health: Health,
        spool: Spool | None,
        limit_s: float,
        on_lost: Callable[[], None],
    ) -> None:
        self.account = account
        self.patience = Patience(clock, None if spool is None else limit_s, self.lose)
        self.wakeup = Wakeup(clock)
        self.spooling = asyncio.Lock()
        """Held while something is kept in the spool, and while it is settled that the journal is back."""
        self.is_unproved = False
        """Everything is in the journal again, and the broker's book has not been compared since."""
        self.lost = False
        """Another engine is the writer; nothing is written any more."""
        self._spool = spool
        self._health = health
        self._on_lost = on_lost
        self._clock = clock
        self._away: StorageError | None = None
        self.away_since: datetime | None = None
        """When it went away, market clock."""

    def why_away(self) -> StorageError | None:
        """Why the journal is away; ``None`` when it is there."""
        return self._away

    def must_be_there(self) -> None:
        """Refuse what only the journal could keep.

        Raises:
            JournalAway: it is away.
        """
        if self._away is not None:
            raise JournalAway(f"the journal is away: {str(self._away).rstrip('.')}")

    def must_be_writer(self) -> None:
        """Refuse an engine that is not the writer any more.

        Raises:
            WriterLost: it is not.
        """
        if self.lost:
            raise WriterLost("another engine is the writer of this account; this one may only read")

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it within the limit; a journal that fails or does not answer is away from then on.

        Raises:
            StorageConflict, InvalidInput: it was refused; the journal is there.
            WriterLost: another engine is the writer.
            StorageError: it is away.
        """
        try:
            return await self.patience.ask(work)
        except WriterLost:
            self.lose()
            raise
        except StorageConflict:
            raise
        except StorageError as error:
            self.go_away(error)
            raise

    def go_away(self, error: StorageError) -> None:
        """It does not take what it is given: from now on it is only asked whether it is back."""
        if self._spool is None or self.lost:
            return
        if self._away is None:
            self.away_since = self._clock.market_now()
            logger.warning("the journal of %s is away: %s", self.account, error)
        self._away = error
        self.declare()

    def come_back(self) -> None:
        """Everything is in it again; entries wait until the broker's book has been compared."""
        self._away, self.away_since, self.is_unproved = None, None, True

    def declare(self, error: StorageError | None = None) -> None:
        """Say that it is behind, and how much the spool holds."""
        error = error or self._away
        if error is None:
            return
        words = f"The order journal cannot be written ({str(error).rstrip('.')}); entries are refused, "
        if self._spool is None:
            words += "nothing is forgotten."
        else:
            words += f"exits and cancellations go through the spool, which holds {self._spool.orders} orders."
        self._health.declare(BEHIND, words, EventKind.STORAGE)
        self.wakeup.set()

    def proved(self) -> None:
        """All is as it should be."""
        self.is_unproved = False
        self._health.clear(BEHIND, "The order journal is written again; nothing was lost.", EventKind.STORAGE)

    def lose(self) -> None:
        """Another engine is the writer."""
        if self.lost:
            return
        self.lost = True
        self.wakeup.set()
        self._health.declare(
            LOST, "Another engine is the writer of this account now; this one sends nothing more.", EventKind.STORAGE
        )
        self._on_lost()
