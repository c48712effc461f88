"""The day's instruments: from the database when they are today's, else from the broker, else yesterday's with an age.

A segment that cannot be fetched, or whose dump has shrunk beyond belief, keeps what is stored. The broker makes the
dump anew once a day in the morning: what is fetched before that hour is the dump of the day before, is kept as such,
and is asked for again later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, tzinfo

import msgspec

from engine.calendar.rules import MarketRules
from engine.core.errors import BrokerError, SetupError, StorageError
from engine.core.instruments import Instrument
from engine.core.ports import BrokerReads
from engine.core.repositories import InstrumentRepository
from engine.core.vocabulary import Exchange
from engine.market.instrument_index import InstrumentIndex

logger = logging.getLogger(__name__)

_ONE_DAY = timedelta(days=1)


class SegmentDump(msgspec.Struct, frozen=True, kw_only=True):
    """The dump of one exchange that is in use."""

    exchange: Exchange
    day: date
    rows: int


class LoadedInstruments(msgspec.Struct, frozen=True, kw_only=True):
    """An index and how it came about."""

    index: InstrumentIndex
    rows: int
    day: date
    """The oldest day among the segments."""
    from_broker: bool
    note: str = ""
    """What is not as it should be, in words; empty when all is of today."""
    segments: tuple[SegmentDump, ...] = ()


class InstrumentService:
    """Loads the index of a day.

    Args:
        reads: the broker.
        repository: where dumps are kept.
        rules: what the index is built with.
        exchanges: the segments the desk works with.
        made_at: wall-clock time in ``zone`` before which the broker still gives the dump of the day before; ``None``
            where every dump is of its own day.
        zone: the exchange's wall clock.
        rows_kept_min: a segment's dump with less than this share of the rows of the stored one is not taken.
        retry_s: how long after an attempt the next one is due while the dump is not of today, seconds of market time.
    """

    def __init__(
        self,
        reads: BrokerReads,
        repository: InstrumentRepository,
        rules: MarketRules,
        *,
        exchanges: Sequence[Exchange],
        made_at: time | None = None,
        zone: tzinfo | None = None,
        rows_kept_min: float = 0.5,
        retry_s: float = 300.0,
    ) -> None:
        if made_at is not None and zone is None:
            raise ValueError("made_at is a wall-clock time: zone must say whose")
        self._reads = reads
        self._repository = repository
        self._rules = rules
        self._exchanges = tuple(exchanges)
        self._made_at = made_at
        self._zone = zone
        self._rows_kept_min = rows_kept_min
        self._retry = timedelta(seconds=retry_s)
        self._tried_at: datetime | None = None

    def dump_day(self, today: date, now: datetime | None) -> date:
        """The day whose dump the broker gives at ``now``, an aware instant of ``today``; ``today`` without one."""
        if now is None or self._made_at is None:
            return today
        early = now.astimezone(self._zone).time() < self._made_at
        return today - _ONE_DAY if early else today

    def is_due(self, loaded: LoadedInstruments, today: date, now: datetime) -> bool:
        """Whether a newer dump than the one in use should be there, and the last attempt is long enough ago."""
        if loaded.day >= self.dump_day(today, now):
            return False
        return self._tried_at is None or now - self._tried_at >= self._retry or now < self._tried_at

    async def load(
        self, today: date, *, read_only: bool, refresh: bool = False, now: datetime | None = None
    ) -> LoadedInstruments:
        """The instruments of ``today`` (the exchange's date).

        Args:
            today: The exchange's date.
            read_only: Do not write what the broker gave to the database.
            refresh: Ask the broker even when the stored dump is of today, and take a dump that has shrunk: a person
                wants it so.
            now: Aware market time; says whether the broker has made today's dump yet.

        Raises:
            SetupError: neither the broker nor the database has any.
        """
        self._tried_at = now
        newest = self.dump_day(today, now)
        stored = dict(zip(self._exchanges, await asyncio.gather(*map(self._stored, self._exchanges)), strict=True))
        chosen: dict[Exchange, tuple[date, tuple[Instrument, ...]]] = {}
        missing = []
        for exchange in self._exchanges:
            kept = stored[exchange]
            if kept is not None and newest <= kept[0] <= today and not refresh:
                chosen[exchange] = kept
            else:
                missing.append(exchange)
        notes: list[str] = []
        fetched = await self._fetched(missing, notes)
        from_broker = False
        for exchange in missing:
            kept = stored[exchange]
            rows = tuple(row for row in fetched if row.exchange is exchange)
            if rows and kept is not None and self._has_shrunk(exchange, rows, kept, notes, taken=refresh):
                rows = ()
            if rows:
                from_broker = True
                chosen[exchange] = (newest, rows)
                if not read_only:
                    await self._keep(exchange, newest, rows, notes)
            elif kept is not None:
                chosen[exchange] = kept
            elif not fetched:
                notes.append(f"there are no instruments of {exchange}")
        if not chosen:
            raise SetupError(f"There are no instruments: the broker gave none and none are stored. {_joined(notes)}.")
        chosen = {exchange: chosen[exchange] for exchange in self._exchanges if exchange in chosen}
        notes += [f"{exchange} is of {day:%d %b}" for exchange, (day, _) in chosen.items() if day != today]
        everything = [row for _, rows in chosen.values() for row in rows]
        index = await asyncio.to_thread(InstrumentIndex, everything, self._rules, day=today)
        return LoadedInstruments(
            index=index,
            rows=len(everything),
            day=min(day for day, _ in chosen.values()),
            from_broker=from_broker,
            note=_joined(notes),
            segments=tuple(
                SegmentDump(exchange=exchange, day=day, rows=len(rows)) for exchange, (day, rows) in chosen.items()
            ),
        )

    async def _fetched(self, missing: Sequence[Exchange], notes: list[str]) -> tuple[Instrument, ...]:
        if not missing:
            return ()
        try:
            return await self._reads.instruments()
        except BrokerError as error:
            notes.append(f"the broker's instruments could not be read ({error})")
            return ()

    def _has_shrunk(
        self,
        exchange: Exchange,
        rows: Sequence[Instrument],
        kept: tuple[date, Sequence[Instrument]],
        notes: list[str],
        *,
        taken: bool,
    ) -> bool:
        """Whether a dump is too small to be believed; said either way, and believed when a person wants it."""
        day, before = kept
        if len(rows) >= self._rows_kept_min * len(before):
            return False
        words = "taken as asked" if taken else "not taken"
        notes.append(f"{exchange} has {len(rows):,} rows now and had {len(before):,} on {day:%d %b}: {words}")
        logger.warning("the dump of %s has shrunk from %d to %d rows: %s", exchange, len(before), len(rows), words)
        return not taken

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
