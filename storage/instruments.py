"""The day's instruments: one dump per exchange, replaced as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date

from engine.core.errors import InvalidInput
from engine.core.instruments import Instrument
from engine.core.vocabulary import Exchange, InstrumentKind
from storage.pool import Database
from storage.refusals import refusals_in_words
from storage.session import Row

BULK_TIMEOUT_S = 60.0
ROWS_PER_TURN = 2_000
"""After so many rows other tasks of the event loop get their turn (about 5 ms)."""
COLUMNS = (
    "exchange",
    "tradingsymbol",
    "place",
    "token",
    "exchange_token",
    "name",
    "kind",
    "segment",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
)
# The row of the dump is locked first, so that two replacements of one exchange follow each other.
SET_DAY = """
INSERT INTO instrument_dumps (exchange, day) VALUES ($1, $2)
ON CONFLICT (exchange) DO UPDATE SET day = excluded.day
"""
DELETE_ROWS = "DELETE FROM instruments WHERE exchange = $1"
READ_DAY = "SELECT day FROM instrument_dumps WHERE exchange = $1"
READ_ROWS = """
SELECT token, exchange_token, tradingsymbol, name, kind, segment, expiry, strike, tick_size, lot_size
FROM instruments
WHERE exchange = $1
ORDER BY place
"""


class PostgresInstruments:
    """Implements ``InstrumentRepository``.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace(self, exchange: Exchange, day: date, instruments: Sequence[Instrument]) -> int:
        """Store the dump of one exchange and day in place of what was stored for it; returns the rows.

        Raises:
            InvalidInput: a row is of another exchange.
            StorageConflict: an instrument is listed twice; the stored dump was left as it was.
        """
        refuse_strangers(exchange, instruments)
        with refusals_in_words():
            async with self._database.transaction() as session:
                await session.allow_until_commit(BULK_TIMEOUT_S)
                await session.execute(SET_DAY, exchange, day)
                await session.execute(DELETE_ROWS, exchange, timeout_s=BULK_TIMEOUT_S)
                await session.copy_records("instruments", COLUMNS, _records(instruments), timeout_s=BULK_TIMEOUT_S)
        return len(instruments)

    async def load(self, exchange: Exchange) -> tuple[date, tuple[Instrument, ...]] | None:
        """The stored dump and its day, rows as the dump had them; ``None`` when there is none."""
        async with self._database.transaction(isolation="repeatable_read") as session:
            await session.allow_until_commit(BULK_TIMEOUT_S)
            day = await session.fetchval(READ_DAY, exchange)
            if day is None:
                return None
            instruments: list[Instrument] = []
            pages = session.pages(READ_ROWS, exchange, rows_per_page=ROWS_PER_TURN, timeout_s=BULK_TIMEOUT_S)
            async for rows in pages:
                instruments += [_instrument(exchange, row) for row in rows]
        return day, tuple(instruments)


def refuse_strangers(exchange: Exchange, instruments: Sequence[Instrument]) -> None:
    """Check that a dump holds rows of its own exchange only.

    Raises:
        InvalidInput: it names the first row that does not fit.
    """
    for instrument in instruments:
        if instrument.exchange is not exchange:
            raise InvalidInput(f"The dump of {exchange} holds {instrument.key}.", field="exchange")


async def _records(instruments: Sequence[Instrument]) -> AsyncIterator[tuple[object, ...]]:
    for place, instrument in enumerate(instruments):
        if place % ROWS_PER_TURN == 0:
            await asyncio.sleep(0)
        yield (
            instrument.exchange,
            instrument.tradingsymbol,
            place,
            instrument.token,
            instrument.exchange_token,
            instrument.name,
            instrument.kind,
            instrument.segment,
            instrument.expiry,
            instrument.strike,
            instrument.tick_size,
            instrument.lot_size,
        )


def _instrument(exchange: Exchange, row: Row) -> Instrument:
    return Instrument(
        token=row["token"],
        exchange_token=row["exchange_token"],
        tradingsymbol=row["tradingsymbol"],
        exchange=exchange,
        name=row["name"],
        kind=InstrumentKind(row["kind"]),
        segment=row["segment"],
        expiry=row["expiry"],
        strike=row["strike"],
        tick_size=row["tick_size"],
        lot_size=row["lot_size"],
    )
