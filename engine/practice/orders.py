"""Orders and trades as the exchange keeps them, and as the wire shows them.

Invariant: ``filled + cancelled + open_quantity == quantity``; prices are integers of paise; a terminal order never
changes again.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from engine.practice.calendar_facts import stamp
from engine.practice.wire import REGULAR, TERMINAL, Status

_PAISE = 100.0
_MINUTE = 60.0


class Iceberg(msgspec.Struct, frozen=True):
    """Which leg of an iceberg an order is; quantities in units, protection as the owner asked for it (0: none)."""

    leg: int
    legs: int
    leg_quantity: int
    total_quantity: int
    market_protection: float = 0.0

    @property
    def remaining(self) -> int:
        """Units of the legs that come after this one."""
        return max(self.total_quantity - self.leg * self.leg_quantity, 0) if self.leg < self.legs else 0


class OrderChange(msgspec.Struct, frozen=True):
    """What a modification asks for (paise, units); None leaves a value as it is."""

    order_type: str | None = None
    quantity: int | None = None
    price: int | None = None
    trigger: int | None = None
    validity: str | None = None
    market_protection: float | None = None
    validity_ttl: int | None = None


class Order(msgspec.Struct):
    """One order; the fields a trader sees plus what matching needs.

    Matching needs ``resting`` (it is in the market), ``ahead`` (units before it at its price; None while that price is
    beyond the display), ``line`` (its turn among orders of the same price) and ``triggered``.
    """

    order_id: str
    account: str
    exchange: str
    symbol: str
    token: int
    side: str
    order_type: str
    product: str
    validity: str
    quantity: int
    price: int
    trigger: int
    market_protection: float
    tag: str | None
    placed_at: float
    tags: list[str] = []
    variety: str = REGULAR
    status: str = Status.RECEIVED
    status_message: str | None = None
    status_message_raw: str | None = None
    exchange_order_id: str | None = None
    updated_at: float | None = None
    exchange_at: float | None = None
    modified: bool = False
    modifications: int = 0
    filled: int = 0
    filled_value: int = 0
    cancelled: int = 0
    triggered: bool = False
    resting: bool = False
    ahead: int | None = None
    change: OrderChange | None = None
    placed_by: str = ""
    validity_ttl: int = 0
    line: int = 0
    iceberg: Iceberg | None = None
    """Set for a leg of an iceberg; the next leg follows when this one is complete."""
    origin: str = ""
    """What made the order, when it was not the owner's own request (a leg, a slice, a trigger, a square-off)."""

    @property
    def open_quantity(self) -> int:
        """Units that can still be filled."""
        return self.quantity - self.filled - self.cancelled

    @property
    def is_terminal(self) -> bool:
        """True when nothing can happen to the order any more."""
        return self.status in TERMINAL

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self.side == "BUY" else -1

    @property
    def expires_at(self) -> float | None:
        """Market time (epoch seconds) at which an order with a time to live lapses, else None."""
        return self.placed_at + self.validity_ttl * _MINUTE if self.validity_ttl else None

    @property
    def pending_quantity(self) -> int:
        """What the wire calls pending: of some cancelled orders it repeats the cancelled quantity, as the broker's
        does.
        """
        if self.status == Status.CANCELLED and zlib.crc32(self.order_id.encode()) & 1:
            return self.cancelled
        return 0 if self.is_terminal else self.open_quantity

    @property
    def meta(self) -> dict[str, Any]:
        """The ``meta`` object of the wire."""
        leg = self.iceberg
        if leg is None:
            return {}
        return {
            "iceberg": {
                "leg": leg.leg,
                "legs": leg.legs,
                "leg_quantity": leg.leg_quantity,
                "total_quantity": leg.total_quantity,
                "remaining_quantity": leg.remaining,
            }
        }

    @property
    def average(self) -> float:
        """Average fill price in rupees, 0 when nothing is filled."""
        return round(self.filled_value / self.filled / _PAISE, 4) if self.filled else 0.0

    def to_wire(self) -> dict[str, Any]:
        """Return the order as ``GET /orders`` shows it."""
        return {
            "account_id": self.account,
            "placed_by": self.placed_by or self.account,
            "order_id": self.order_id,
            "exchange_order_id": self.exchange_order_id,
            "parent_order_id": None,
            "status": str(self.status),
            "status_message": self.status_message,
            "status_message_raw": self.status_message_raw,
            "order_timestamp": stamp(self.placed_at),
            "exchange_update_timestamp": None
            if self.exchange_at is None
            else stamp(self.updated_at or self.exchange_at),
            "exchange_timestamp": None if self.exchange_at is None else stamp(self.exchange_at),
            "variety": self.variety,
            "modified": self.modified,
            "exchange": self.exchange,
            "tradingsymbol": self.symbol,
            "instrument_token": self.token,
            "order_type": self.order_type,
            "transaction_type": self.side,
            "validity": self.validity,
            "validity_ttl": self.validity_ttl,
            "product": self.product,
            "quantity": self.quantity,
            "disclosed_quantity": 0,
            "price": self.price / _PAISE,
            "trigger_price": self.trigger / _PAISE,
            "average_price": self.average,
            "filled_quantity": self.filled,
            "pending_quantity": self.pending_quantity,
            "cancelled_quantity": self.cancelled,
            "market_protection": self.market_protection,
            "meta": self.meta,
            "tag": self.tag,
            "tags": list(self.tags),
            "guid": f"practice-{self.order_id}",
        }

    def to_update(self, user: str, status: str) -> dict[str, Any]:
        """Return the order as an order update shows it (partial fills say UPDATE)."""
        data = self.to_wire()
        data |= {
            "status": status,
            "user_id": user,
            "unfilled_quantity": self.open_quantity,
            "app_id": 0,
            "checksum": "",
        }
        return data


class Trade(msgspec.Struct, frozen=True):
    """One fill; price in paise, quantity in units."""

    trade_id: str
    order_id: str
    exchange_order_id: str
    exchange: str
    symbol: str
    token: int
    product: str
    side: str
    quantity: int
    price: int
    moment: float

    def to_wire(self) -> dict[str, Any]:
        """Return the trade as ``GET /trades`` shows it."""
        text = stamp(self.moment)
        return {
            "trade_id": self.trade_id,
            "order_id": self.order_id,
            "exchange": self.exchange,
            "tradingsymbol": self.symbol,
            "instrument_token": self.token,
            "product": self.product,
            "average_price": self.price / _PAISE,
            "quantity": self.quantity,
            "exchange_order_id": self.exchange_order_id,
            "transaction_type": self.side,
            "fill_timestamp": text,
            "order_timestamp": text[11:],
            "exchange_timestamp": text,
        }
