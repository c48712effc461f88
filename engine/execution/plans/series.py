"""The orders that one part of a plan has made: ``leg2/0``, ``leg2/1`` … read off the orders that carry the keys.

What may still trade counts as traded until it is known to be dead, so that adding up a series never finds room twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from engine.core.money import ZERO
from engine.core.orders import OrderRecord, OrderState
from engine.core.vocabulary import OrderType

RESTING = frozenset({OrderState.ACCEPTED, OrderState.OPEN})
"""It can be modified now."""
FAILED = frozenset({OrderState.REJECTED, OrderState.NOT_SENT, OrderState.PRESUMED_ABSENT})
UNCERTAIN = frozenset({OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT})


class Series(msgspec.Struct, frozen=True):
    """Orders of one prefix, in the order of their index."""

    prefix: str
    orders: tuple[OrderRecord, ...]
    next_index: int

    @property
    def next_key(self) -> str:
        """The key of the next order: one that has never been used."""
        return f"{self.prefix}/{self.next_index}"

    def key_after(self, more: int) -> str:
        """The key of the order after ``more`` further ones."""
        return f"{self.prefix}/{self.next_index + more}"

    @property
    def filled(self) -> int:
        """Units known to be filled."""
        return sum(order.filled_quantity for order in self.orders)

    @property
    def may_fill(self) -> int:
        """Units that may still fill: working, on the wire, or unknown."""
        return sum(order.remaining_quantity for order in self.orders)

    @property
    def doubtful(self) -> int:
        """Units of orders with unknown outcome."""
        return sum(order.remaining_quantity for order in self.orders if order.state is OrderState.UNKNOWN)

    @property
    def committed(self) -> int:
        """Filled, or perhaps filled."""
        return self.filled + self.may_fill

    @property
    def working(self) -> tuple[OrderRecord, ...]:
        """Orders that may still trade."""
        return tuple(order for order in self.orders if order.state.is_working)

    @property
    def last(self) -> OrderRecord | None:
        """The newest order."""
        return self.orders[-1] if self.orders else None

    @property
    def average(self) -> Decimal | None:
        """Average price of what is filled; ``None`` before the first fill or when a price is missing."""
        value, quantity = ZERO, 0
        for order in self.orders:
            if order.filled_quantity:
                if order.average_price is None:
                    return None
                value += order.average_price * order.filled_quantity
                quantity += order.filled_quantity
        return value / quantity if quantity else None

    @property
    def failures(self) -> int:
        """How many orders at the end of the series, one after the other, came to nothing."""
        count = 0
        for order in reversed(self.orders):
            if order.state not in FAILED or order.filled_quantity:
                break
            count += 1
        return count


def series(orders: Mapping[str, OrderRecord], prefix: str) -> Series:
    """The series of a prefix: keys ``prefix/N``."""
    head = f"{prefix}/"
    found = sorted((int(key[len(head) :]), record) for key, record in _indexed(orders, head))
    last = found[-1][0] if found else -1
    return Series(prefix, tuple(record for _, record in found), last + 1)


def _indexed(orders: Mapping[str, OrderRecord], head: str) -> list[tuple[str, OrderRecord]]:
    return [(key, record) for key, record in orders.items() if key.startswith(head) and key[len(head) :].isdigit()]


def is_stop(record: OrderRecord) -> bool:
    """Whether it waits for a trigger (or may): a protective order rather than one at work."""
    return record.request.order_type in {OrderType.SL, OrderType.SL_M} and record.state is not OrderState.OPEN
