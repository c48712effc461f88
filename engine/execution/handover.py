"""Open positions and working orders as sentences for the broker's dealing desk: a pure function of what is known here.

It needs neither the order road nor the broker: what the broker last said is given with its age, and where that is
missing our own ledger speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.accounts import Profile
from engine.core.handover import Handover, HandoverKind, HandoverLine
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.vocabulary import Exchange, InstrumentKind, OrderType, Side
from engine.execution.days import IST
from engine.execution.housekeeping import PositionKey
from engine.execution.words import grouped, grouped_decimal

SEGMENTS = {
    Exchange.NFO: "NSE futures and options",
    Exchange.BFO: "BSE futures and options",
    Exchange.NSE: "NSE shares",
    Exchange.BSE: "BSE shares",
}
KINDS = {InstrumentKind.CALL: "call option", InstrumentKind.PUT: "put option"}
PRODUCTS = {"NRML": "NRML, that is carried overnight", "MIS": "MIS, that is intraday"}


class KnownPositions(msgspec.Struct, frozen=True, kw_only=True):
    """What is held, signed units."""

    ledger: Mapping[PositionKey, int] | None
    """Ours, with every fill known; ``None`` while there is no ledger."""
    broker: Mapping[PositionKey, int] | None
    """As the broker last said; ``None`` when it never has."""
    broker_age_s: float | None
    legs: Mapping[PositionKey, tuple[str, ...]]
    """Names of the strategies' legs in it: ``3.2 -65``."""


def handover(
    account: Profile,
    known: KnownPositions,
    working: Sequence[OrderRecord],
    instrument: Callable[[InstrumentKey], Instrument | None],
    now: datetime,
) -> Handover:
    """Make the sentences.

    Args:
        account: Whose.
        known: What is held.
        working: Orders that may still trade.
        instrument: The row of the dump; ``None`` when it has none.
        now: Market time, aware.
    """
    keys = sorted({*(known.ledger or {}), *(known.broker or {})})
    lines = [
        line for key in keys if (line := _position_line(account, key, known, instrument(key.instrument))) is not None
    ]
    ordered = sorted(working, key=lambda record: record.number)
    lines += [_order_line(account, record, instrument(record.request.instrument)) for record in ordered]
    notes = []
    if known.broker is None:
        notes.append("The broker has not said what it holds: the sentences are from our own ledger.")
    if known.ledger is None:
        notes.append("Our own ledger is not there: the sentences are from the broker's last word.")
    if ordered:
        notes.append("Ask for the cancellations first: an order that is left may open what has just been closed.")
    return Handover(account=account.account_id, name=account.name, at=now, lines=tuple(lines), notes=tuple(notes))


def _position_line(
    account: Profile, key: PositionKey, known: KnownPositions, instrument: Instrument | None
) -> HandoverLine | None:
    ledger = None if known.ledger is None else known.ledger.get(key, 0)
    broker = None if known.broker is None else known.broker.get(key, 0)
    units = ledger if broker is None else broker
    if not units:
        if not ledger:
            return None
        units = ledger
    side = Side.SELL if units > 0 else Side.BUY
    held = "long" if units > 0 else "short"
    sentence = (
        f"Client {_spelled(account.account_id)}. Please {side.value.lower()} {_amount(abs(units), instrument)} of "
        f"{_contract(key.instrument, instrument)}; product {PRODUCTS.get(key.product, key.product)}; at market, to "
        f"close a {held} position."
    )
    said = [f"legs {', '.join(known.legs[key])}"] if known.legs.get(key) else []
    if broker is not None and ledger is not None and broker != ledger:
        said.append(f"the broker has {broker:+d}, our ledger {ledger:+d}: ask the desk for its net first")
    return HandoverLine(
        kind=HandoverKind.POSITION,
        subject=str(key),
        sentence=sentence,
        note="; ".join(said),
        age_s=None if broker is None else known.broker_age_s,
    )


def _order_line(account: Profile, record: OrderRecord, instrument: Instrument | None) -> HandoverLine:
    request = record.request
    what = (
        f"{request.side.value.lower()} {_amount(request.quantity, instrument)} of "
        f"{_contract(request.instrument, instrument)}, {_price(request)}; product "
        f"{PRODUCTS.get(request.product, request.product)}"
    )
    client = f"Client {_spelled(account.account_id)}."
    filled = f"{grouped(record.filled_quantity)} of {grouped(request.quantity)} filled"
    if record.broker_order_id is None:
        sent = record.sent_at or record.created_at
        sentence = (
            f"{client} An order may have reached you about {sent.astimezone(IST):%H:%M:%S}: {what}. Please look "
            "whether you have it, and cancel it if you do."
        )
        note = f"o{record.number} is {record.state}; it carries the tag {record.tag}"
    else:
        sentence = f"{client} Please cancel the order with the number {record.broker_order_id}: {what}."
        note = f"o{record.number} is {record.state}, {filled} by the last reading"
    if record.state in {OrderState.CANCELLING, OrderState.MODIFYING}:
        note += "; we have asked for a change whose effect is not known"
    return HandoverLine(kind=HandoverKind.ORDER, subject=f"o{record.number}", sentence=sentence, note=note)


def _amount(units: int, instrument: Instrument | None) -> str:
    """``650 units, 10 lots of 65``."""
    lot = 0 if instrument is None else instrument.lot_size
    if lot <= 1 or units % lot:
        return f"{grouped(units)} units"
    lots = units // lot
    return f"{grouped(units)} units, {grouped(lots)} {'lot' if lots == 1 else 'lots'} of {grouped(lot)},"


def _contract(key: InstrumentKey, instrument: Instrument | None) -> str:
    """``NIFTY 24,350 call option of 1 December 2026, NSE futures and options``."""
    if instrument is None or instrument.expiry is None:
        return f"{key.tradingsymbol}, {SEGMENTS.get(key.exchange, key.exchange)}"
    expiry = f"{instrument.expiry.day} {instrument.expiry:%B %Y}"
    strike = "" if instrument.strike is None else f" {_plain(instrument.strike)}"
    kind = KINDS.get(instrument.kind, "future")
    where = SEGMENTS.get(instrument.exchange, instrument.exchange)
    return f"{instrument.name}{strike} {kind} of {expiry} ({key.tradingsymbol}), {where}"


def _price(request: OrderRequest) -> str:
    match request.order_type:
        case OrderType.LIMIT:
            return f"limit {_plain(request.price)}"
        case OrderType.SL:
            return f"stop with trigger {_plain(request.trigger_price)} and limit {_plain(request.price)}"
        case OrderType.SL_M:
            return f"stop with trigger {_plain(request.trigger_price)} at market"
        case OrderType.MARKET:
            return "at market"


def _plain(price: Decimal | None) -> str:
    if price is None:
        return "unknown"
    whole = price.to_integral_value()
    return grouped(int(whole)) if whole == price else grouped_decimal(price)


def _spelled(account: str) -> str:
    """Letter by letter: it is heard through a telephone."""
    return " ".join(account)
