"""The lot-level ledger: which strategy holds what, and by which fill it came there."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.identifiers import AccountId, InstrumentKey, StrategyNumber
from engine.core.orders import Trade
from engine.core.vocabulary import Product


class LedgerSource(StrEnum):
    """Why quantity moved."""

    TRADE = "trade"
    TRANSFER = "transfer"
    """From one strategy to another at a stated price; the broker's net does not change."""
    SETTLEMENT = "settlement"
    CONVERSION = "conversion"
    """From one product to another inside a strategy, at the leg's average price; no money moves."""


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of quantity into (+) or out of (−) a leg. Never changed after it is written."""

    account: AccountId
    strategy: StrategyNumber
    leg: int
    instrument: InstrumentKey
    token: int
    product: Product
    signed_quantity: int
    price: Decimal
    at: datetime
    """Aware UTC, market clock."""
    source: LedgerSource
    reference: str
    """The trade's identity for trades (see ``trade_reference``), the transfer's id for transfers; unique per leg."""
    sequence: int = 0
    """Given by the ledger; 0 before it is written."""


def trade_reference(trade: Trade) -> str:
    """The identity of a fill as one string."""
    return f"{trade.instrument.exchange}:{trade.broker_order_id}:{trade.trade_id}"
