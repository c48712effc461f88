"""The road of exits and cancellations while the journal is away: an append-only file, read back when it returns.

What is kept here is on the disk before the first byte leaves for the broker, so exactly-once holds as it does with the
journal: what was kept and not marked as being sent never left; what was marked may have, and is looked up by its tag.

Only the loss of the database opens this road, and it is asked for the writer epoch again before anything is merged.
While it cannot be reached from this machine, another engine could act for the account only where the same database can
be reached: of this machine none can (the file is held by one process), and an engine elsewhere shows itself by its
epoch at the first contact, upon which this one sends nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord
from engine.execution.settings import SpoolSettings
from engine.execution.spool_file import SpoolFile, spool_path
from engine.execution.spool_records import SpoolContents, SpooledChange, SpooledIntent, SpoolMerged, SpoolRecord


class Spool:
    """The file, for tasks.

    Args:
        file: It.
        offload: Runs what waits for the disk without holding up the event loop.
    """

    def __init__(
        self, file: SpoolFile, *, offload: Callable[[Callable[[], None]], Awaitable[None]] = asyncio.to_thread
    ) -> None:
        self._file = file
        self._offload = offload
        # A step that nobody waits for any more still ends before the next one begins.
        self._turn = asyncio.Lock()
        self._numbers: set[OrderNumber] = set()

    @property
    def orders(self) -> int:
        """Orders it holds something of."""
        return len(self._numbers)

    async def open(self) -> SpoolContents:
        """Take the file and read what is left in it.

        Raises:
            SpoolUnusable: see ``SpoolFile.open``.
        """
        contents: list[SpoolContents] = []
        await self._do(lambda: contents.append(self._file.open()))
        return contents[0]

    async def begin(self, intents: Sequence[tuple[OrderNumber, OrderIntent]]) -> None:
        """Keep new orders, all or none.

        Raises:
            SpoolUnusable: they are not kept.
        """
        records = [SpooledIntent(number=number, intent=intent) for number, intent in intents]
        await self._do(lambda: self._file.append(records, begins_orders=True))
        self._numbers.update(number for number, _ in intents)

    async def add(self, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        """Keep how an order stands, and what has happened to it.

        Raises:
            SpoolUnusable: it is not kept.
        """
        records: list[SpoolRecord] = [SpooledChange(record=record, events=tuple(events))]
        await self._do(lambda: self._file.append(records))
        self._numbers.add(record.number)

    async def mark_merged(self) -> None:
        """All that it holds is in the journal.

        Raises:
            SpoolUnusable: that could not be written down.
        """
        await self._do(lambda: self._file.append([SpoolMerged()]))

    async def clear(self) -> None:
        """Begin again with an empty file.

        Raises:
            SpoolUnusable: the old one is still there.
        """
        await self._do(self._file.clear)
        self._numbers.clear()

    async def close(self) -> None:
        """Let go of the file; what it holds stays."""
        await self._do(self._file.close)

    async def _do(self, work: Callable[[], None]) -> None:
        async with self._turn:
            await self._offload(work)


def make_spool(folder: Path, account: AccountId, settings: SpoolSettings) -> Spool:
    """The spool of an account in its venue's folder; nothing is opened yet."""
    return Spool(SpoolFile(spool_path(folder, account), account, bytes_max=settings.bytes_max))
