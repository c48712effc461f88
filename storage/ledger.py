"""Fills, and the movements of quantity into and out of the legs of strategies.

A fill enters once, whoever brings it how often: its identity is (account, exchange, broker order, trade id), and its
movement is written in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from engine.core.errors import InvalidInput
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, StrategyNumber, TradeId
from engine.core.ledger import LedgerEntry, LedgerSource
from engine.core.orders import Trade
from engine.core.vocabulary import Exchange, Product, Side
from storage.boundary import aware, one_account
from storage.pool import Database
from storage.refusals import refusals_in_words
from storage.session import Row, Session
from storage.writer_epoch import require_newest_epoch

# A fill that is there already is passed over; only new ones come back.
INSERT_TRADES = """
INSERT INTO trades (
    account_id, epoch, exchange, broker_order_id, trade_id, tradingsymbol, token, side, product, quantity, price,
    filled_at, strategy
)
SELECT
    $1::text, $2::bigint, exchange, broker_order_id, trade_id, tradingsymbol, token, side, product, quantity, price,
    filled_at, strategy
FROM unnest(
    $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::bigint[],
    $11::numeric[], $12::timestamptz[], $13::bigint[]
) WITH ORDINALITY AS given (
    exchange, broker_order_id, trade_id, tradingsymbol, token, side, product, quantity, price, filled_at, strategy,
    place
)
ORDER BY place
ON CONFLICT (account_id, exchange, broker_order_id, trade_id) DO NOTHING
RETURNING exchange, broker_order_id, trade_id
"""
# A leg is made by its first movement; a later one that names another instrument breaks the reference below.
INSERT_LEGS = """
INSERT INTO legs (strategy, leg, exchange, tradingsymbol, product, token)
SELECT DISTINCT ON (strategy, leg) strategy, leg, exchange, tradingsymbol, product, token
FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[]) WITH ORDINALITY
    AS given (strategy, leg, exchange, tradingsymbol, product, token, place)
ORDER BY strategy, leg, place
ON CONFLICT (strategy, leg) DO NOTHING
"""
INSERT_ENTRIES = """
INSERT INTO ledger_entries (
    account_id, epoch, strategy, leg, exchange, tradingsymbol, product, token, signed_quantity, price, at, source,
    reference
)
SELECT
    $1::text, $2::bigint, strategy, leg, exchange, tradingsymbol, product, token, signed_quantity, price, at, source,
    reference
FROM unnest(
    $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::numeric[],
    $11::timestamptz[], $12::text[], $13::text[]
) WITH ORDINALITY AS given (
    strategy, leg, exchange, tradingsymbol, product, token, signed_quantity, price, at, source, reference, place
)
ORDER BY place
RETURNING sequence, strategy, leg, reference
"""
READ_ENTRIES = """
SELECT
    sequence, account_id, strategy, leg, exchange, tradingsymbol, product, token, signed_quantity, price, at, source,
    reference
FROM ledger_entries
WHERE account_id = $1
ORDER BY sequence
"""
READ_TRADES = """
SELECT
    account_id, exchange, broker_order_id, trade_id, tradingsymbol, token, side, product, quantity, price, filled_at,
    strategy
FROM trades
WHERE account_id = $1 AND ($2::timestamptz IS NULL OR filled_at >= $2)
ORDER BY filled_at, sequence
"""


class PostgresLedger:
    """Implements ``LedgerRepository``.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def book(
        self, fills: Sequence[tuple[Trade, LedgerEntry]], *, epoch: int
    ) -> tuple[tuple[Trade, LedgerEntry], ...]:
        """Write fills of one account that are not yet known, with their entries, all or none; returns the new ones.

        The trades come back with the strategy of their entry, the entries with their sequence.

        Raises:
            WriterLost: ``epoch`` is not the newest.
            StorageConflict: a movement with this reference is in the leg already.
            RowRefused: a leg was made for another instrument or product.
            InvalidInput, UnknownStrategy: the account, a strategy is not known.
        """
        if not fills:
            return ()
        account = account_of_fills(fills)
        with refusals_in_words():
            async with self._database.transaction() as session:
                await require_newest_epoch(session, account, epoch)
                rows = await session.fetch(
                    INSERT_TRADES, account, epoch, *_columns(_trade_row(*fill) for fill in fills)
                )
                new = {(row["exchange"], row["broker_order_id"], row["trade_id"]) for row in rows}
                booked: list[tuple[Trade, LedgerEntry]] = []
                for trade, entry in fills:
                    if trade_key(trade) in new:  # the first of two equal fills in one batch
                        new.remove(trade_key(trade))
                        booked.append((msgspec.structs.replace(trade, strategy=entry.strategy), entry))
                if not booked:
                    return ()
                entries = await _write_entries(session, account, [entry for _, entry in booked], epoch)
        return tuple((trade, entry) for (trade, _), entry in zip(booked, entries, strict=True))

    async def transfer(self, entries: Sequence[LedgerEntry], *, epoch: int) -> tuple[LedgerEntry, ...]:
        """Write the sides of a transfer (or settlements) of one account, all or none; they come back with a sequence.

        Raises:
            InvalidInput: the sides of a transfer do not cancel, so the ledger would leave the broker's net.
            WriterLost, StorageConflict, RowRefused, UnknownStrategy: as for ``book``.
        """
        if not entries:
            return ()
        account = one_account(entry.account for entry in entries)
        refuse_lopsided(entries)
        with refusals_in_words():
            async with self._database.transaction() as session:
                await require_newest_epoch(session, account, epoch)
                return await _write_entries(session, account, entries, epoch)

    async def entries(self, account: AccountId) -> tuple[LedgerEntry, ...]:
        """All movements, in order of their sequence."""
        async with self._database.acquire() as session:
            return tuple(_entry(row) for row in await session.fetch(READ_ENTRIES, account))

    async def trades(self, account: AccountId, since: datetime | None = None) -> tuple[Trade, ...]:
        """Fills (with their strategy), oldest first."""
        moment = None if since is None else aware(since)
        async with self._database.acquire() as session:
            return tuple(_trade(row) for row in await session.fetch(READ_TRADES, account, moment))


def trade_key(trade: Trade) -> tuple[Exchange, BrokerOrderId, TradeId]:
    """The identity of a fill inside its account."""
    return trade.instrument.exchange, trade.broker_order_id, trade.trade_id


def account_of_fills(fills: Sequence[tuple[Trade, LedgerEntry]]) -> AccountId:
    """The account of a batch of fills.

    Raises:
        ValueError: they are of several accounts, or an entry moves something else than its fill.
    """
    for trade, entry in fills:
        same = (
            trade.account == entry.account
            and trade.instrument == entry.instrument
            and trade.product == entry.product
            and trade.signed_quantity == entry.signed_quantity
        )
        if not same:
            raise ValueError(f"the entry {entry.reference} does not move what the fill {trade.trade_id} filled")
    return one_account(trade.account for trade, _ in fills)


def refuse_lopsided(entries: Sequence[LedgerEntry]) -> None:
    """Check that a transfer takes from one strategy what it gives to another, a conversion from one product what it
    gives to another.

    Raises:
        InvalidInput: for some instrument (of a transfer: and product) the quantities do not add up to 0.
    """
    totals: dict[tuple[str, InstrumentKey, Product | None], int] = {}
    for entry in entries:
        if entry.source in {LedgerSource.TRANSFER, LedgerSource.CONVERSION}:
            product = entry.product if entry.source is LedgerSource.TRANSFER else None
            key = (entry.reference, entry.instrument, product)
            totals[key] = totals.get(key, 0) + entry.signed_quantity
    for (reference, instrument, _), total in totals.items():
        if total:
            raise InvalidInput(
                f"The sides of {reference} of {instrument} must cancel; they add up to {total:+}.",
                field="quantity",
            )


async def _write_entries(
    session: Session, account: AccountId, entries: Sequence[LedgerEntry], epoch: int
) -> tuple[LedgerEntry, ...]:
    await session.execute(INSERT_LEGS, *_columns(_leg_row(entry) for entry in entries))
    rows = await session.fetch(INSERT_ENTRIES, account, epoch, *_columns(_entry_row(entry) for entry in entries))
    sequences = {(row["strategy"], row["leg"], row["reference"]): row["sequence"] for row in rows}
    return tuple(
        msgspec.structs.replace(entry, sequence=sequences[entry.strategy, entry.leg, entry.reference])
        for entry in entries
    )


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _trade_row(trade: Trade, entry: LedgerEntry) -> tuple[object, ...]:
    return (
        trade.instrument.exchange,
        trade.broker_order_id,
        trade.trade_id,
        trade.instrument.tradingsymbol,
        trade.token,
        trade.side,
        trade.product,
        trade.quantity,
        trade.price,
        aware(trade.filled_at),
        entry.strategy,
    )


def _leg_row(entry: LedgerEntry) -> tuple[object, ...]:
    return (
        entry.strategy,
        entry.leg,
        entry.instrument.exchange,
        entry.instrument.tradingsymbol,
        entry.product,
        entry.token,
    )


def _entry_row(entry: LedgerEntry) -> tuple[object, ...]:
    return (
        *_leg_row(entry),
        entry.signed_quantity,
        entry.price,
        aware(entry.at),
        entry.source,
        entry.reference,
    )


def _trade(row: Row) -> Trade:
    return Trade(
        account=AccountId(row["account_id"]),
        instrument=InstrumentKey(Exchange(row["exchange"]), row["tradingsymbol"]),
        token=row["token"],
        broker_order_id=BrokerOrderId(row["broker_order_id"]),
        trade_id=TradeId(row["trade_id"]),
        side=Side(row["side"]),
        product=Product(row["product"]),
        quantity=row["quantity"],
        price=row["price"],
        filled_at=row["filled_at"],
        strategy=StrategyNumber(row["strategy"]),
    )


def _entry(row: Row) -> LedgerEntry:
    return LedgerEntry(
        account=AccountId(row["account_id"]),
        strategy=StrategyNumber(row["strategy"]),
        leg=row["leg"],
        instrument=InstrumentKey(Exchange(row["exchange"]), row["tradingsymbol"]),
        token=row["token"],
        product=Product(row["product"]),
        signed_quantity=row["signed_quantity"],
        price=row["price"],
        at=row["at"],
        source=LedgerSource(row["source"]),
        reference=row["reference"],
        sequence=row["sequence"],
    )
