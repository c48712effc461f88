"""Accounts and instruments in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from engine.core.accounts import Account
from engine.core.instruments import Instrument
from engine.core.vocabulary import Exchange
from storage.boundary import aware
from storage.instruments import refuse_strangers
from storage.memory.store import TOKEN_MAX, MemoryStore, require, require_finite
from storage.refusals import conflict

ACCOUNT_ID_LENGTH_MAX = 64


class MemoryAccounts:
    """Implements ``AccountRepository``.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def save(self, account: Account) -> None:
        """Insert, or update the name."""
        self._store.require_running()
        aware(account.created_at)
        require(0 < len(account.account_id) <= ACCOUNT_ID_LENGTH_MAX, "accounts_account_id_check")
        known = self._store.accounts.get(account.account_id)
        self._store.accounts[account.account_id] = (
            account if known is None else msgspec.structs.replace(known, name=account.name)
        )

    async def all(self) -> tuple[Account, ...]:
        """Every account, by id."""
        self._store.require_running()
        return tuple(self._store.accounts[key] for key in sorted(self._store.accounts))


class MemoryInstruments:
    """Implements ``InstrumentRepository``.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def replace(self, exchange: Exchange, day: date, instruments: Sequence[Instrument]) -> int:
        """Store the dump of one exchange and day in place of what was stored for it; returns the rows."""
        refuse_strangers(exchange, instruments)
        self._store.require_running()
        for instrument in instruments:
            require(0 <= instrument.token <= TOKEN_MAX, "instruments_token_check")
            require(instrument.tradingsymbol != "", "instruments_tradingsymbol_check")
            require_finite(instrument.strike, instrument.tick_size)
            require(instrument.tick_size >= 0, "instruments_tick_size_check")
            require(instrument.lot_size >= 0, "instruments_lot_size_check")
        if len({instrument.tradingsymbol for instrument in instruments}) < len(instruments):
            raise conflict("instruments_pkey")
        self._store.dumps[exchange] = (day, tuple(instruments))
        return len(instruments)

    async def load(self, exchange: Exchange) -> tuple[date, tuple[Instrument, ...]] | None:
        """The stored dump and its day, rows as the dump had them; ``None`` when there is none."""
        self._store.require_running()
        return self._store.dumps.get(exchange)
