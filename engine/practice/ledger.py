"""What the exchange knows of its account today: orders with their histories, trades, positions, cash.

Built by replaying the book, and changed only by the records that are also written to it: memory and file cannot
disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.practice.book import (
    BookError,
    Carried,
    ClockRecord,
    ConversionRecord,
    DayRecord,
    OrderRecord,
    PostRecord,
    Record,
    TradeRecord,
    VenueRecord,
)
from engine.practice.calendar_facts import stamp
from engine.practice.orders import Order, Trade
from engine.practice.positions import Position
from engine.practice.standing import AlertRecord, HoldingsRecord, Standing, TriggerRecord

_FIRST_TRADE = 10_000_001


class Ledger:
    """The state of one account on one trading day."""

    def __init__(self, opening_cash: float) -> None:
        self.venue: VenueRecord | None = None
        self.moment = 0.0
        self.day = ""
        self.opening_cash = opening_cash
        self.carried: tuple[Carried, ...] = ()
        self.orders: dict[str, Order] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}
        self.trades: list[Trade] = []
        self.positions: dict[tuple[str, str, str], Position] = {}
        self.standing = Standing()
        self.posts = 0
        self.tags: Counter[str] = Counter()
        self.next_order = 1
        self.next_trade = _FIRST_TRADE

    def replay(self, records: Iterable[Record]) -> None:
        """Apply a book's records in order."""
        for record in records:
            self.apply(record)

    def apply(self, record: Record) -> None:
        """Apply one record."""
        match record:
            case VenueRecord():
                self.venue = record
                self.moment = max(self.moment, record.start)
            case ClockRecord(moment):
                # Exact, not the maximum: a clean end takes back what was reserved ahead for a kill.
                self.moment = moment
            case OrderRecord(moment, order):
                self._apply_order(moment, order)
            case TradeRecord(trade):
                self._apply_trade(trade)
            case ConversionRecord():
                self._apply_conversion(record)
            case TriggerRecord() | AlertRecord() | HoldingsRecord():
                self.standing.apply(record)
            case PostRecord(count, tag):
                self.posts += count
                self.tags[tag] += count
            case DayRecord():
                self._open_day(record)

    def open_orders(self) -> list[Order]:
        """Return the orders that are not terminal, oldest first."""
        return [order for order in self.orders.values() if not order.is_terminal]

    def day_record(self, day: str, moment: float, cash: float, carried: tuple[Carried, ...]) -> DayRecord:
        """Return the record that opens a day with the counters as they stand."""
        return DayRecord(day, moment, cash, carried, self.next_order, self.next_trade, self.posts, dict(self.tags))

    def _apply_order(self, moment: float, order: Order) -> None:
        self.moment = max(self.moment, moment)
        own = self.orders.get(order.order_id)
        if own is None:
            own = msgspec.structs.replace(order, tags=list(order.tags))
            self.orders[order.order_id] = own
            self.next_order += 1
        elif own is not order:
            if own.is_terminal:
                raise BookError(f"order {order.order_id} is {own.status} and cannot become {order.status}")
            for name in order.__struct_fields__:
                setattr(own, name, getattr(order, name))
        state = own.to_wire() | {"order_timestamp": stamp(moment)}
        self.histories.setdefault(order.order_id, []).append(state)

    def _apply_trade(self, trade: Trade) -> None:
        self.moment = max(self.moment, trade.moment)
        self.trades.append(trade)
        self.next_trade += 1
        self._position(trade.exchange, trade.symbol, trade.token, trade.product).add(trade)

    def _apply_conversion(self, record: ConversionRecord) -> None:
        self.moment = max(self.moment, record.moment)
        source, target = (
            self._position(record.exchange, record.symbol, record.token, product)
            for product in (record.old_product, record.new_product)
        )
        source.convert(target, record.quantity, carried=record.carried)

    def _position(self, exchange: str, symbol: str, token: int, product: str) -> Position:
        key = (exchange, symbol, product)
        position = self.positions.get(key)
        if position is None:
            position = self.positions[key] = Position(exchange, symbol, token, product)
        return position

    def _open_day(self, record: DayRecord) -> None:
        self.day, self.moment = record.day, max(self.moment, record.moment)
        self.opening_cash = record.opening_cash
        self.carried = record.carried
        self.orders.clear()
        self.histories.clear()
        self.trades.clear()
        self.positions = {(row.exchange, row.symbol, row.product): Position.from_carried(row) for row in record.carried}
        self.next_order, self.next_trade = record.next_order, record.next_trade
        self.posts, self.tags = record.posts, Counter(record.tags)
