"""What became of an account that was brought to nothing: leg by leg, time and slippage by the broker's own fills."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey
from engine.core.money import ZERO
from engine.core.orders import Trade, average_fill
from engine.execution.kill_round import LegKey


class LegReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one leg."""

    instrument: InstrumentKey
    product: str
    signed_quantity: int
    """As found."""
    left: int
    orders: int
    average_price: Decimal | None
    decided_price: Decimal | None
    slippage: Decimal | None
    """Rupees against the touch when it was decided; + is better."""
    flat_s: float | None
    """Seconds from the beginning until its position was seen to be nothing; ``None``: it is not."""


class KillReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an account."""

    account: AccountId
    is_done: bool
    """Flat and nothing rests, by the broker's own books; without flattening: no entry rests."""
    is_sure: bool
    """Nothing is unknown or was only presumed."""
    cancelled: int
    asked: int
    legs: tuple[LegReport, ...]
    kept: int
    """Orders that rest: stops of what is held."""
    triggers: int
    """Standing triggers (GTT) that are still there."""
    elapsed_s: float
    words: str = ""
    """What is wrong, in one or more sentences; empty when nothing is."""


def leg_report(
    leg: LegKey,
    *,
    held: int,
    left: int,
    ids: frozenset[BrokerOrderId],
    trades: tuple[Trade, ...],
    decided: Decimal | None,
    flat_s: float | None,
) -> LegReport:
    """One leg: ``ids`` are the orders that were sent for it, ``trades`` all fills of the day."""
    fills = tuple(trade for trade in trades if trade.broker_order_id in ids)
    average = average_fill(fills)
    slippage: Decimal | None = None
    if average is not None and decided is not None:
        slippage = sum(((decided - trade.price) * trade.signed_quantity for trade in fills), ZERO)
    return LegReport(
        instrument=leg[0],
        product=leg[1].value,
        signed_quantity=held,
        left=left,
        orders=len(ids),
        average_price=average,
        decided_price=decided,
        slippage=slippage,
        flat_s=flat_s,
    )


def end_words(report: KillReport) -> str:
    """How it ended, for the journal."""
    if not report.is_done:
        return report.words
    return f"done after {report.elapsed_s:.1f} s" + (f"; {report.words}" if report.words else "")
