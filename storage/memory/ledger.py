"""Fills and movements in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from engine.core.identifiers import AccountId
from engine.core.ledger import LedgerEntry
from engine.core.orders import Trade
from engine.core.vocabulary import Exchange
from storage.boundary import aware, one_account
from storage.ledger import account_of_fills, refuse_lopsided, trade_key
from storage.memory.store import TOKEN_MAX, MemoryStore, require, require_finite
from storage.refusals import conflict


class MemoryLedger:
    """Implements ``LedgerRepository``.

    Args:
        store: Where it is kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def book(
        self, fills: Sequence[tuple[Trade, LedgerEntry]], *, epoch: int
    ) -> tuple[tuple[Trade, LedgerEntry], ...]:
        """Write fills of one account that are not yet known, with their entries, all or none; returns the new ones."""
        if not fills:
            return ()
        account = account_of_fills(fills)
        for trade, entry in fills:
            aware(trade.filled_at)
            aware(entry.at)
        self._store.require_writer(account, epoch)
        self._store.require_account(account)
        new: dict[tuple[AccountId, Exchange, str, str], tuple[Trade, LedgerEntry]] = {}
        for trade, entry in fills:
            key = (account, *trade_key(trade))
            if key in self._store.trades or key in new:
                continue
            require(trade.quantity > 0, "trades_quantity_check")
            require(trade.price >= 0, "trades_price_check")
            require(trade.broker_order_id != "", "trades_broker_order_id_check")
            require(trade.trade_id != "", "trades_trade_id_check")
            require_finite(trade.price)
            new[key] = (msgspec.structs.replace(trade, strategy=entry.strategy), entry)
        written = self._write([entry for _, entry in new.values()])
        booked = tuple((trade, entry) for (trade, _), entry in zip(new.values(), written, strict=True))
        self._store.trades.update(zip(new, (trade for trade, _ in booked), strict=True))
        return booked

    async def transfer(self, entries: Sequence[LedgerEntry], *, epoch: int) -> tuple[LedgerEntry, ...]:
        """Write the sides of a transfer (or settlements) of one account, all or none, and give them sequences."""
        if not entries:
            return ()
        account = one_account(entry.account for entry in entries)
        refuse_lopsided(entries)
        for entry in entries:
            aware(entry.at)
        self._store.require_writer(account, epoch)
        self._store.require_account(account)
        return self._write(entries)

    async def entries(self, account: AccountId) -> tuple[LedgerEntry, ...]:
        """All movements, in order of their sequence."""
        self._store.require_running()
        return tuple(entry for entry in self._store.entries if entry.account == account)

    async def trades(self, account: AccountId, since: datetime | None = None) -> tuple[Trade, ...]:
        """Fills (with their strategy), oldest first."""
        self._store.require_running()
        first = None if since is None else aware(since)
        found = (
            trade
            for trade in self._store.trades.values()
            if trade.account == account and (first is None or trade.filled_at >= first)
        )
        return tuple(sorted(found, key=lambda trade: trade.filled_at))  # a stable sort: equal times as written

    def _write(self, entries: Sequence[LedgerEntry]) -> tuple[LedgerEntry, ...]:
        """Check all, then keep all."""
        legs = dict(self._store.legs)
        references = {(entry.strategy, entry.leg, entry.reference) for entry in self._store.entries}
        for entry in entries:
            self._store.require_strategy(entry.strategy)
            require(entry.leg > 0, "legs_leg_check")
            require(entry.signed_quantity != 0, "ledger_entries_signed_quantity_check")
            require(entry.reference != "", "ledger_entries_reference_check")
            require(0 <= entry.token <= TOKEN_MAX, "ledger_entries_token_check")
            require_finite(entry.price)
            require(entry.price >= 0, "ledger_entries_price_check")
            meaning = (entry.instrument, entry.product)
            require(legs.setdefault((entry.strategy, entry.leg), meaning) == meaning, "ledger_entries_leg_fkey")
            reference = (entry.strategy, entry.leg, entry.reference)
            if reference in references:
                raise conflict("ledger_entries_reference_key")
            references.add(reference)
        first = len(self._store.entries) + 1
        written = [
            msgspec.structs.replace(entry, sequence=sequence) for sequence, entry in enumerate(entries, start=first)
        ]
        self._store.legs = legs
        self._store.entries += written
        return tuple(written)
