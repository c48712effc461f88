"""The layout of Kite's binary packets, as data.

Every packet kind is brought to one common layout of 46 unsigned 32-bit words, the layout of a full packet, so that
whoever stores or reads packets needs one set of column numbers. Kinds that carry less fill a prefix of it; index
packets, whose prices arrive in another order (high, low, open, close), are put in the common order by the codec.

Invariant: a word's number means the same for every kind; ``CARRIES`` says which words a kind has at all.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt


class PacketKind(IntEnum):
    """What a packet says, least first. ``NONE``: nothing was received."""

    NONE = 0
    LTP = 1
    INDEX_QUOTE = 2
    INDEX_FULL = 3
    QUOTE = 4
    FULL = 5


BODY_BYTES = {
    8: PacketKind.LTP,
    28: PacketKind.INDEX_QUOTE,
    32: PacketKind.INDEX_FULL,
    44: PacketKind.QUOTE,
    184: PacketKind.FULL,
}
"""Length of a packet's body, bytes: the only thing on the wire that tells its kind."""

TOKEN = 0
LAST = 1
LAST_QUANTITY = 2
AVERAGE = 3
VOLUME = 4
BUY_QUANTITY = 5
SELL_QUANTITY = 6
OPEN = 7
HIGH = 8
LOW = 9
CLOSE = 10
"""Previous day's close."""
LAST_TRADE_TIME = 11
"""Epoch seconds; 0 is never."""
OPEN_INTEREST = 12
OPEN_INTEREST_HIGH = 13
OPEN_INTEREST_LOW = 14
EXCHANGE_TIME = 15
"""Epoch seconds of the exchange's stamp; 0 is never."""
BIDS = 16
"""First word of the bids, best first: quantity, price, orders in the high 16 bits."""
ASKS = 31
"""First word of the asks, best first."""
LEVEL_WORDS = 3
LEVELS = 5
WORDS = 46
ORDERS_SHIFT = 16
PRICE_WORDS = (
    LAST,
    AVERAGE,
    OPEN,
    HIGH,
    LOW,
    CLOSE,
    *range(BIDS + 1, ASKS, LEVEL_WORDS),
    *range(ASKS + 1, WORDS, LEVEL_WORDS),
)

WIDTH = {
    PacketKind.LTP: LAST + 1,
    PacketKind.INDEX_QUOTE: EXCHANGE_TIME + 1,
    PacketKind.INDEX_FULL: EXCHANGE_TIME + 1,
    PacketKind.QUOTE: CLOSE + 1,
    PacketKind.FULL: WORDS,
}
"""Words of the common layout that a block of a kind fills, from the first."""

INDEX_WORDS = (TOKEN, LAST, HIGH, LOW, OPEN, CLOSE)
"""Common word of each word of an index packet, in the packet's order. The price change behind them is not kept: it
follows from last and close."""
INDEX_TIME_WORD = 7


def _carries() -> npt.NDArray[np.bool_]:
    table = np.zeros((len(PacketKind), WORDS), np.bool_)
    table[PacketKind.LTP, [TOKEN, LAST]] = True
    table[PacketKind.INDEX_QUOTE, list(INDEX_WORDS)] = True
    table[PacketKind.INDEX_FULL, [*INDEX_WORDS, EXCHANGE_TIME]] = True
    table[PacketKind.QUOTE, : CLOSE + 1] = True
    table[PacketKind.FULL] = True
    table.flags.writeable = False
    return table


CARRIES = _carries()
"""Shape (kinds, words): whether a kind has a word."""

SEGMENT_MASK = 0xFF
"""The low byte of a token is its segment."""
SEGMENTS = SEGMENT_MASK + 1
SEGMENT_INDICES = 9
_CURRENCY_DECIMALS = {3: 7, 6: 4, 12: 4}
_DEFAULT_DECIMALS = 2
PRICES_KEPT = 16_384
"""Prices that need not be made again; the oldest unused goes first."""


def _fits() -> npt.NDArray[np.bool_]:
    table = np.ones((len(PacketKind), SEGMENTS), np.bool_)
    table[[PacketKind.QUOTE, PacketKind.FULL], SEGMENT_INDICES] = False
    table[[PacketKind.INDEX_QUOTE, PacketKind.INDEX_FULL], :] = np.arange(SEGMENTS) == SEGMENT_INDICES
    table.flags.writeable = False
    return table


FITS = _fits()
"""Shape (kinds, segments): whether instruments of a segment come in packets of a kind. Index packets say their prices
in another order, so a token and a length that contradict each other cannot both be read."""


def price_decimals(token: int) -> int:
    """Decimal places of the wire integers of a token's prices: 7 for CDS, 4 for BCD and NCO, 2 for all others."""
    return _CURRENCY_DECIMALS.get(token & SEGMENT_MASK, _DEFAULT_DECIMALS)


# A market repeats its prices, and an order waits for a dozen of them.
@lru_cache(maxsize=PRICES_KEPT)
def price_of(word: int, decimals: int) -> Decimal:
    """The price a wire integer stands for; exact."""
    return Decimal(word).scaleb(-decimals)
