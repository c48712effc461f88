"""Makes the two great parts of an account's desk out of what the engine and the account are made of. Starts nothing."""

from __future__ import annotations

from typing import Protocol

from engine.account_locks import AccountLocks
from engine.account_upkeep import AccountUpkeep
from engine.board_marks import BoardMarks
from engine.event_log import AccountEvents
from engine.execution.conversion_desk import Convert
from engine.execution.executor import OrderExecutor
from engine.execution.notices import ExecutionListener, FillListener
from engine.execution.spool import make_spool
from engine.market_day import MarketDay
from engine.order_facts import EngineFacts
from engine.parts import AccountParts, EngineParts
from engine.portfolio.charges_book import ChargesBook
from engine.portfolio.service import PortfolioService

REFERENCE_BYTES = 12


class AccountListener(ExecutionListener, FillListener, Protocol):
    """Hears of orders, notices and fills."""


def make_executor(
    own: AccountParts,
    parts: EngineParts,
    *,
    facts: EngineFacts,
    upkeep: AccountUpkeep,
    locks: AccountLocks,
    listener: AccountListener,
    on_converted: Convert,
    epoch: int,
) -> OrderExecutor:
    """The only way orders of an account leave.

    Args:
        own: What belongs to the account.
        parts: What the engine is made of.
        facts: What orders are checked against.
        upkeep: What reconciliations compare, and what strategies hold.
        locks: What keeps new risk out.
        listener: Told of orders and notices; books fills.
        on_converted: Books conversions.
        epoch: The writer epoch.
    """
    return OrderExecutor(
        own.account,
        road=own.road,
        reads=own.reads,
        journal=parts.repositories.journal,
        facts=facts,
        clock=parts.clock,
        random_bytes=parts.random_bytes,
        settings=parts.execution,
        listener=listener,
        fills=listener,
        epoch=epoch,
        allocated=upkeep.allocated,
        checks=upkeep.checks,
        upkeep=parts.repositories.upkeep,
        server_offset_s=own.server_offset_s,
        server_uncertainty_s=own.server_uncertainty_s,
        locks=locks.book,
        spool=None if parts.spools is None else make_spool(parts.spools, own.account, parts.execution.spool),
        writer_lock=parts.repositories.writer_lock,
        instructions=parts.repositories.instructions,
        on_converted=on_converted,
    )


def make_portfolio(
    own: AccountParts,
    parts: EngineParts,
    *,
    day: MarketDay,
    marks: BoardMarks,
    events: AccountEvents,
    facts: EngineFacts,
    epoch: int,
) -> PortfolioService:
    """The ledger of an account with its strategies, money and charges.

    Args:
        own: What belongs to the account.
        parts: What the engine is made of.
        day: The exchange's day.
        marks: What things are worth now.
        events: Where it says what it does.
        facts: The most units one order of an instrument takes.
        epoch: The writer epoch; 0 for who only looks.
    """
    return PortfolioService(
        own.account,
        ledger=parts.repositories.ledger,
        strategies=parts.repositories.strategies,
        candles=parts.repositories.candles,
        clock=parts.clock,
        marks=marks,
        on_event=events.add,
        settings=parts.portfolio,
        epoch=epoch,
        new_reference=lambda: parts.random_bytes(REFERENCE_BYTES).hex(),
        is_session_open=day.is_open_at,
        charges=ChargesBook(parts.charge_rates, zone=parts.portfolio.zone, order_quantity_max=facts.order_quantity_max),
    )
