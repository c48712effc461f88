"""What the repositories in memory keep, and the rules that a database's schema would enforce.

One ``MemoryStore`` stands for one database: several ``MemoryRepositories`` over it are several engines on it.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal

from engine.core.accounts import Account
from engine.core.errors import InvalidInput, StorageUnavailable, UnknownStrategy
from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber, StrategyNumber
from engine.core.instructions import Instruction, InstructionEvent, InstructionNumber
from engine.core.instruments import Instrument
from engine.core.ledger import LedgerEntry
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord, OrderRequest, Trade
from engine.core.plans import PlanNumber, PlanRecord
from engine.core.reconciling import Mismatch
from engine.core.strategies import M2mCandle, Strategy
from engine.core.vocabulary import Exchange, Product
from storage.chain_rows import ChainRows
from storage.errors import RowRefused
from storage.memory.bar_table import BarTable
from storage.refusals import NO_ACCOUNT, NO_STRATEGY
from storage.writer_epoch import refuse_writer

TAG = re.compile(r"[A-Za-z0-9]{1,20}")
TOKEN_MAX = 2**32 - 1


class MemoryStore:
    """The rows of one database, gone with the object."""

    def __init__(self) -> None:
        self.accounts: dict[AccountId, Account] = {}
        self.epochs: dict[AccountId, int] = {}
        self.writers: dict[AccountId, object] = {}
        """Which engine's lock holds an account."""
        self.dumps: dict[Exchange, tuple[date, tuple[Instrument, ...]]] = {}
        self.strategies: dict[StrategyNumber, Strategy] = {}
        self.intents: dict[str, OrderIntent] = {}
        self.orders: dict[OrderNumber, OrderRecord] = {}
        self.last_number = 0
        """The newest order number that was given out."""
        self.spare_numbers: set[OrderNumber] = set()
        """Order numbers that were given back."""
        self.events: list[OrderEvent] = []
        self.trades: dict[tuple[AccountId, Exchange, str, str], Trade] = {}
        self.legs: dict[tuple[StrategyNumber, int], tuple[InstrumentKey, Product]] = {}
        self.entries: list[LedgerEntry] = []
        self.candles: dict[tuple[StrategyNumber, object], M2mCandle] = {}
        self.chains = ChainRows({}, {}, {})
        self.bars = BarTable()
        self.plans: dict[PlanNumber, PlanRecord] = {}
        self.mismatches: dict[tuple[AccountId, str], Mismatch] = {}
        self.untidied: set[StrategyNumber] = set()
        self.instructions: dict[InstructionNumber, Instruction] = {}
        self.instruction_events: list[InstructionEvent] = []
        self.rule_files: dict[str, tuple[str, datetime]] = {}
        self._stopped: str | None = None

    def stop(self, message: str = "The database is stopped.") -> None:
        """From now on every call is answered as by a database that is gone."""
        self._stopped = message

    def start(self) -> None:
        """Be there again, with all that was kept."""
        self._stopped = None

    def require_running(self) -> None:
        """Refuse a call while stopped.

        Raises:
            StorageUnavailable: ``stop`` was called.
        """
        if self._stopped is not None:
            raise StorageUnavailable(self._stopped)

    def require_writer(self, account: AccountId, epoch: int) -> None:
        """Refuse a call while stopped, and a writer that is not the newest.

        Raises:
            StorageUnavailable, WriterLost: see above.
        """
        self.require_running()
        if self.epochs.get(account) != epoch:
            refuse_writer(account)

    def require_account(self, account: AccountId) -> None:
        """Refuse an account that was never saved.

        Raises:
            InvalidInput: it is not known.
        """
        if account not in self.accounts:
            raise InvalidInput(NO_ACCOUNT, field="account")

    def require_strategy(self, number: StrategyNumber) -> None:
        """Refuse a strategy that was never made.

        Raises:
            UnknownStrategy: it is not known.
        """
        if number not in self.strategies:
            raise UnknownStrategy(NO_STRATEGY, field="strategy")


def require(rule: bool, constraint: str) -> None:
    """Refuse a row that breaks a rule of the schema.

    Raises:
        RowRefused: ``rule`` is false.
    """
    if not rule:
        raise RowRefused(f"The database refused a row: it breaks {constraint}", constraint)


def require_finite(*values: Decimal | None) -> None:
    """Refuse NaN and infinity.

    Raises:
        RowRefused: one of ``values`` is not a finite number.
    """
    require(all(value is None or value.is_finite() for value in values), "finite_check")


def require_valid_request(store: MemoryStore, request: OrderRequest) -> None:
    """Refuse an order request that the schema would refuse.

    Raises:
        RowRefused, UnknownStrategy: it breaks a rule.
    """
    require(request.quantity > 0, "orders_values_check")
    require(request.instrument.tradingsymbol != "", "orders_values_check")
    require_finite(request.price, request.trigger_price, request.market_protection)
    if request.strategy is not None:
        store.require_strategy(request.strategy)


def require_valid_standing(record: OrderRecord) -> None:
    """Refuse figures of an order that the schema would refuse.

    Raises:
        RowRefused: one breaks a rule.
    """
    require(record.filled_quantity >= 0, "orders_values_check")
    require(record.modifications >= 0, "orders_values_check")
    require(record.broker_order_id != "", "orders_values_check")
    require_finite(record.average_price)
