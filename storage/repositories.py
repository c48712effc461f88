"""All repositories over one PostgreSQL database."""

from __future__ import annotations

from storage.accounts import PostgresAccounts
from storage.bars import PostgresBars
from storage.candles import PostgresCandles
from storage.chain_series import PostgresChainSeries
from storage.instructions import PostgresInstructions
from storage.instruments import PostgresInstruments
from storage.ledger import PostgresLedger
from storage.order_journal import PostgresOrderJournal
from storage.plans import PostgresPlans
from storage.pool import Database
from storage.rules import PostgresRules
from storage.strategies import PostgresStrategies
from storage.upkeep import PostgresUpkeep
from storage.writer_lock import PostgresWriterLock


class PostgresRepositories:
    """Implements ``Repositories``. Open and close the database and close the writer lock around its use.

    Args:
        database: The open pool.
        writer_lock: Holds its locks on connections of its own.
    """

    def __init__(self, database: Database, writer_lock: PostgresWriterLock) -> None:
        self._instruments = PostgresInstruments(database)
        self._accounts = PostgresAccounts(database)
        self._journal = PostgresOrderJournal(database)
        self._plans = PostgresPlans(database)
        self._instructions = PostgresInstructions(database)
        self._ledger = PostgresLedger(database)
        self._strategies = PostgresStrategies(database)
        self._candles = PostgresCandles(database)
        self._chain_series = PostgresChainSeries(database)
        self._bars = PostgresBars(database)
        self._rules = PostgresRules(database)
        self._upkeep = PostgresUpkeep(database)
        self._writer_lock = writer_lock

    @property
    def instruments(self) -> PostgresInstruments:
        """The day's dumps."""
        return self._instruments

    @property
    def accounts(self) -> PostgresAccounts:
        """Accounts known here."""
        return self._accounts

    @property
    def journal(self) -> PostgresOrderJournal:
        """Orders."""
        return self._journal

    @property
    def plans(self) -> PostgresPlans:
        """Plans."""
        return self._plans

    @property
    def instructions(self) -> PostgresInstructions:
        """Triggers and conversions that were asked for."""
        return self._instructions

    @property
    def ledger(self) -> PostgresLedger:
        """Fills and movements."""
        return self._ledger

    @property
    def strategies(self) -> PostgresStrategies:
        """Strategies."""
        return self._strategies

    @property
    def candles(self) -> PostgresCandles:
        """Minute candles of strategy money."""
        return self._candles

    @property
    def chain_series(self) -> PostgresChainSeries:
        """Option chains by the minute."""
        return self._chain_series

    @property
    def bars(self) -> PostgresBars:
        """Minute candles of prices."""
        return self._bars

    @property
    def rules(self) -> PostgresRules:
        """Rule files that were loaded."""
        return self._rules

    @property
    def upkeep(self) -> PostgresUpkeep:
        """Differences from the broker, and whose orders are left alone."""
        return self._upkeep

    @property
    def writer_lock(self) -> PostgresWriterLock:
        """Who may write."""
        return self._writer_lock
