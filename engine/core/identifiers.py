"""Names of things. Small types, so that an order's tag can never be taken for its broker id."""

from __future__ import annotations

import base64
from typing import NewType

import msgspec

from engine.core.errors import InvalidInput
from engine.core.vocabulary import Exchange

AccountId = NewType("AccountId", str)
"""The broker's client id, for example ``AB1234``."""
IntentId = NewType("IntentId", str)
"""Our own id of an order intent: 32 hex digits."""
OrderTag = NewType("OrderTag", str)
"""The code an order carries at the broker: unique, letters and digits, at most 20 characters."""
BrokerOrderId = NewType("BrokerOrderId", str)
"""The broker's order id: a string of digits, up to 19, never a float."""
TradeId = NewType("TradeId", str)
"""The exchange's fill id; unique only together with exchange and order id."""
OrderNumber = NewType("OrderNumber", int)
"""What a person types: ``o40``. An identity for good, never a place in a list."""
StrategyNumber = NewType("StrategyNumber", int)
"""What a person types: ``3`` or ``#3``. An identity for good."""

TAG_LENGTH_MAX = 20
"""Kite refuses (does not cut) a longer tag."""
TAG_RANDOM_BYTES = 10
"""80 random bits, 16 characters of base 32: no two tags of one account will ever meet."""
TAG_PREFIX = "WS"
"""Marks an order as ours in the broker's book."""


def order_tag(random_bytes: bytes) -> OrderTag:
    """Make a tag of ``TAG_RANDOM_BYTES`` random bytes: 18 letters and digits.

    Raises:
        ValueError: the number of bytes is another one.
    """
    if len(random_bytes) != TAG_RANDOM_BYTES:
        raise ValueError(f"a tag is made of {TAG_RANDOM_BYTES} random bytes, these are {len(random_bytes)}")
    return OrderTag(TAG_PREFIX + base64.b32encode(random_bytes).decode("ascii"))


class InstrumentKey(msgspec.Struct, frozen=True, order=True):
    """Exchange and trading symbol: the name of an instrument that lasts (tokens are used again after expiry)."""

    exchange: Exchange
    tradingsymbol: str

    def __str__(self) -> str:
        """``NFO:NIFTY26DEC24000CE``, as Kite's quote calls spell it."""
        return f"{self.exchange}:{self.tradingsymbol}"

    @classmethod
    def parse(cls, text: str) -> InstrumentKey:
        """Read ``EXCHANGE:SYMBOL``.

        Raises:
            InvalidInput: no colon, an unknown exchange, or no symbol.
        """
        exchange, colon, symbol = text.partition(":")
        if not colon or not symbol or exchange not in Exchange.__members__:
            allowed = ", ".join(Exchange)
            raise InvalidInput(f'"{text}" is not EXCHANGE:SYMBOL; exchanges are {allowed}.', field="instrument")
        return cls(Exchange(exchange), symbol)
