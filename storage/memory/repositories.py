"""All repositories over one store in memory."""

from __future__ import annotations

from storage.memory.bars import MemoryBars
from storage.memory.catalogue import MemoryAccounts, MemoryInstruments
from storage.memory.chain_series import MemoryChainSeries
from storage.memory.instructions import MemoryInstructions
from storage.memory.ledger import MemoryLedger
from storage.memory.order_journal import MemoryOrderJournal
from storage.memory.plans import MemoryPlans
from storage.memory.rules import MemoryRules
from storage.memory.store import MemoryStore
from storage.memory.strategies import MemoryCandles, MemoryStrategies
from storage.memory.upkeep import MemoryUpkeep
from storage.memory.writer_lock import MemoryWriterLock


class MemoryRepositories:
    """Implements ``Repositories``; each object is one engine on the store.

    Args:
        store: The rows; ``None`` makes a new, empty store.
    """

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = MemoryStore() if store is None else store
        self._instruments = MemoryInstruments(self.store)
        self._accounts = MemoryAccounts(self.store)
        self._journal = MemoryOrderJournal(self.store)
        self._plans = MemoryPlans(self.store)
        self._instructions = MemoryInstructions(self.store)
        self._ledger = MemoryLedger(self.store)
        self._strategies = MemoryStrategies(self.store)
        self._candles = MemoryCandles(self.store)
        self._chain_series = MemoryChainSeries(self.store, self.store.chains)
        self._bars = MemoryBars(self.store, self.store.bars)
        self._rules = MemoryRules(self.store, self.store.rule_files)
        self._upkeep = MemoryUpkeep(self.store)
        self._writer_lock = MemoryWriterLock(self.store)

    @property
    def instruments(self) -> MemoryInstruments:
        """The day's dumps."""
        return self._instruments

    @property
    def accounts(self) -> MemoryAccounts:
        """Accounts known here."""
        return self._accounts

    @property
    def journal(self) -> MemoryOrderJournal:
        """Orders."""
        return self._journal

    @property
    def plans(self) -> MemoryPlans:
        """Plans."""
        return self._plans

    @property
    def instructions(self) -> MemoryInstructions:
        """Triggers and conversions that were asked for."""
        return self._instructions

    @property
    def ledger(self) -> MemoryLedger:
        """Fills and movements."""
        return self._ledger

    @property
    def strategies(self) -> MemoryStrategies:
        """Strategies."""
        return self._strategies

    @property
    def candles(self) -> MemoryCandles:
        """Minute candles of strategy money."""
        return self._candles

    @property
    def chain_series(self) -> MemoryChainSeries:
        """Option chains by the minute."""
        return self._chain_series

    @property
    def bars(self) -> MemoryBars:
        """Minute candles of prices."""
        return self._bars

    @property
    def rules(self) -> MemoryRules:
        """Rule files that were loaded."""
        return self._rules

    @property
    def upkeep(self) -> MemoryUpkeep:
        """Differences from the broker, and whose orders are left alone."""
        return self._upkeep

    @property
    def writer_lock(self) -> MemoryWriterLock:
        """Who may write."""
        return self._writer_lock
