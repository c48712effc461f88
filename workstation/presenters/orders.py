"""Orders: unknown on top, then working, then the recent ones. An order of unknown outcome never reads as failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderState
from engine.core.vocabulary import OrderType
from workstation.formatting import Glyphs, age, clock_time, decimal_text, price, quantity
from workstation.presenters.lines import Line, Span, clean, clip, filled, width_of
from workstation.presenters.names import contract_name

NAME_WIDTH_MAX = 24

STATE_TONES = {
    OrderState.UNKNOWN: "attention bold",
    OrderState.PRESUMED_ABSENT: "attention",
    OrderState.REJECTED: "attention",
    OrderState.NOT_SENT: "attention",
    OrderState.COMPLETE: "",
    OrderState.CANCELLED: "muted",
}
STATE_SHORT = {
    OrderState.TRIGGER_PENDING: "TRIGGER",
    OrderState.PRESUMED_ABSENT: "ABSENT?",
    OrderState.CANCELLING: "CANCELLING",
    OrderState.MODIFYING: "MODIFYING",
}


class OrderRow(msgspec.Struct, frozen=True):
    """One line and the number of its order."""

    row_id: int
    line: Line


def urgency(order: OrderRecord) -> int:
    """Sort key: unknown, working, and what is over."""
    if order.state in {OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT}:
        return 0
    return 1 if order.state.is_working else 2


def sorted_orders(orders: Sequence[OrderRecord]) -> list[OrderRecord]:
    """Unknown first, then working, then the rest, each newest first."""
    return sorted(orders, key=lambda order: (urgency(order), -order.number))


def orders_title(orders: Sequence[OrderRecord]) -> list[Line]:
    """Counts of working and unknown orders."""
    unknown = sum(1 for order in orders if order.state is OrderState.UNKNOWN)
    working = sum(1 for order in orders if order.state.is_working)
    parts: list[Line] = [((f"working {working}", ""),)]
    if unknown:
        parts.append(((f"unknown {unknown}", "attention"),))
    return parts


def order_rows(
    orders: Sequence[OrderRecord],
    width: int,
    now: datetime,
    glyphs: Glyphs,
    *,
    as_units: bool,
    find: Callable[[InstrumentKey], Instrument | None],
) -> list[OrderRow]:
    """A row per order; columns are as wide as their widest cell."""
    chosen = sorted_orders(orders)
    cells = [_cells(order, glyphs, as_units=as_units, find=find) for order in chosen]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))] if cells else []
    return [
        OrderRow(int(order.number), _row(order, row, widths, width, now, glyphs))
        for order, row in zip(chosen, cells, strict=True)
    ]


def price_words(order: OrderRecord, glyphs: Glyphs) -> str:
    """``151.20``, ``T222.75`` for a trigger, ``market``."""
    request = order.request
    if request.order_type in {OrderType.SL, OrderType.SL_M}:
        return f"T{price(request.trigger_price, glyphs)}"
    if request.order_type is OrderType.MARKET:
        return "market"
    return price(request.price, glyphs)


def order_details(order: OrderRecord, glyphs: Glyphs) -> list[str]:
    """Everything known of one order, one sentence a line."""
    request = order.request
    strategy = f"#{request.strategy}" if request.strategy is not None else "the default strategy"
    average = f" at {price(order.average_price, glyphs)}" if order.average_price is not None else ""
    return [
        f"{request.side.value} {decimal_text(request.quantity, 0)} units {request.instrument}",
        f"{request.order_type.value} {price_words(order, glyphs)} {request.product.value} {request.validity.value}",
        f"{order.state.value}, filled {decimal_text(order.filled_quantity, 0)}{average}",
        f"for {strategy}, {order.modifications} modifications",
        f"broker id {order.broker_order_id or glyphs.unknown}, tag {order.tag or glyphs.unknown}",
        f"made {clock_time(order.created_at)}, changed {clock_time(order.updated_at)}",
        *([clean(order.message)] if order.message else []),
    ]


def _cells(
    order: OrderRecord, glyphs: Glyphs, *, as_units: bool, find: Callable[[InstrumentKey], Instrument | None]
) -> tuple[str, str, str, str, str, str, str]:
    """Number, side, size, contract, price, fill and state as texts."""
    request = order.request
    instrument = find(request.instrument)
    size = quantity(request.quantity, instrument.lot_size if instrument else None, as_units=as_units)
    done = "?" if order.state is OrderState.UNKNOWN else decimal_text(order.filled_quantity, 0)
    return (
        f"o{order.number}",
        request.side.value,
        size,
        clip(clean(contract_name(instrument, request.instrument)), NAME_WIDTH_MAX, glyphs),
        price_words(order, glyphs),
        f"{done}/{decimal_text(request.quantity, 0)}",
        STATE_SHORT.get(order.state, order.state.value),
    )


def _row(  # noqa: PLR0917 - the parts of one line
    order: OrderRecord, cells: Sequence[str], widths: Sequence[int], width: int, now: datetime, glyphs: Glyphs
) -> Line:
    number, side, size, name, figure, fill, state = cells
    unknown = order.state is OrderState.UNKNOWN
    spans: list[Span] = [
        (f" {number:<{widths[0]}} ", "bold" if unknown else ""),
        (f"{side:<{widths[1]}} {size:>{widths[2]}} {name:<{widths[3]}} {figure:>{widths[4]}} {fill:>{widths[5]}} ", ""),
        (f"{state:<{widths[6]}}", STATE_TONES.get(order.state, "bold")),
    ]
    room = width - width_of(spans) - 1
    if room > 0:
        spans.append((f" {clip(_tail(order, now, glyphs), room, glyphs)}", "attention" if unknown else "muted"))
    return filled(spans, width)


def _tail(order: OrderRecord, now: datetime, glyphs: Glyphs) -> str:
    strategy = f"#{order.request.strategy} " if order.request.strategy is not None else ""
    message = f" {clean(order.message)}" if order.message else ""
    if order.state is OrderState.UNKNOWN:
        return f"{strategy}{age((now - order.updated_at).total_seconds(), glyphs)}, asking{message}"
    average = f" avg {price(order.average_price, glyphs)}" if order.average_price is not None else ""
    return f"{strategy}{clock_time(order.updated_at)}{average}{message}"
