"""The day's instruments: from the database when they are today's, else from the broker, else yesterday's with an age.

A segment that cannot be fetched keeps what is stored. The dump is regenerated once a day, so it is asked for once per
exchange and day.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import date

import msgspec

from engine.calendar.rules import MarketRules
from engine.core.errors import BrokerError, SetupError, StorageError
from engine.core.instruments import Instrument
from engine.core.ports import BrokerReads, InstrumentRepository
from engine.core.vocabulary import Exchange
from engine.market.instrument_index import InstrumentIndex

logger = logging.getLogger(__name__)


class LoadedInstruments(msgspec.Struct, frozen=True, kw_only=True):
    """An index and how it came about."""

    index: InstrumentIndex
    rows: int
    day: date
    """The oldest day among the segments."""
    from_broker: bool
    note: str = ""
    """What is not as it should be, in words; empty when all is of today."""


class InstrumentService:
    """Loads the index of a day."""

    def __init__(
        self,
        reads: BrokerReads,
        repository: InstrumentRepository,
        rules: MarketRules,
        *,
        exchanges: Sequence[Exchange],
    ) -> None:
        """``exchanges`` are the segments the desk works with."""
        self._reads = reads
        self._repository = repository
        self._rules = rules
        self._exchanges = tuple(exchanges)

    async def load(self, today: date, *, read_only: bool, refresh: bool = False) -> LoadedInstruments:
        """The instruments of ``today`` (the exchange's date).

        Args:
            today: The exchange's date.
            read_only: Do not write what the broker gave to the database.
            refresh: Ask the broker even when the stored dump is of today.

        Raises:
            SetupError: neither the broker nor the database has any.
        """
        stored = dict(zip(self._exchanges, await asyncio.gather(*map(self._stored, self._exchanges)), strict=True))
        chosen: dict[Exchange, tuple[date, tuple[Instrument, ...]]] = {}
        missing = []
        for exchange in self._exchanges:
            kept = stored[exchange]
            if kept is not None and kept[0] == today and not refresh:
                chosen[exchange] = kept
            else:
                missing.append(exchange)
        notes: list[str] = []
        fetched = await self._fetched(missing, notes)
        from_broker = False
        for exchange in missing:
            kept = stored[exchange]
            rows = tuple(row for row in fetched if row.exchange is exchange)
            if rows:
                from_broker = True
                chosen[exchange] = (today, rows)
                if not read_only:
                    await self._keep(exchange, today, rows, notes)
            elif kept is not None:
                chosen[exchange] = kept
                if kept[0] != today:
                    notes.append(f"{exchange} is of {kept[0]:%d %b}")
            elif not fetched:
                notes.append(f"there are no instruments of {exchange}")
        if not chosen:
            raise SetupError(f"There are no instruments: the broker gave none and none are stored. {_joined(notes)}.")
        everything = [row for _, rows in chosen.values() for row in rows]
        index = await asyncio.to_thread(InstrumentIndex, everything, self._rules, day=today)
        return LoadedInstruments(
            index=index,
            rows=len(everything),
            day=min(day for day, _ in chosen.values()),
            from_broker=from_broker,
            note=_joined(notes),
        )

    async def _fetched(self, missing: Sequence[Exchange], notes: list[str]) -> tuple[Instrument, ...]:
        if not missing:
            return ()
        try:
            return await self._reads.instruments()
        except BrokerError as error:
            notes.append(f"the broker's instruments could not be read ({error})")
            return ()

    async def _stored(self, exchange: Exchange) -> tuple[date, tuple[Instrument, ...]] | None:
        """What the database has of an exchange; ``None`` for nothing, an empty dump included."""
        try:
            kept = await self._repository.load(exchange)
            return kept if kept is not None and kept[1] else None
        except StorageError as error:
            logger.warning("stored instruments of %s could not be read: %s", exchange, error)
            return None

    async def _keep(self, exchange: Exchange, day: date, rows: tuple[Instrument, ...], notes: list[str]) -> None:
        try:
            await self._repository.replace(exchange, day, rows)
        except StorageError as error:
            notes.append(f"{exchange} could not be stored ({error})")


def _joined(notes: Sequence[str]) -> str:
    """Notes as one sentence without its full stop."""
    text = "; ".join(notes)
    return text[:1].upper() + text[1:]
