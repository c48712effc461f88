"""One packet as a quote object with exact prices: made only where a person or a rule looks.

Invariant: what the packet does not carry, a price of 0 (Kite's word for none) and a time that cannot be are ``None``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from engine.brokers.kite.packets import (
    ASKS,
    BIDS,
    CARRIES,
    CLOSE,
    EXCHANGE_TIME,
    LAST,
    LEVEL_WORDS,
    LEVELS,
    OPEN_INTEREST,
    ORDERS_SHIFT,
    TOKEN,
    VOLUME,
    PacketKind,
    price_decimals,
    price_of,
)
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import QuoteState

NS_PER_S = 1_000_000_000
TIME_AHEAD_MAX_S = 86_400
"""A time on the wire that is further ahead of its receipt is damage; every reader is told that it is not known."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000


def packet_quote(words: Sequence[int], kind: PacketKind, *, state: QuoteState, market_ns: int, age_s: float) -> Quote:
    """The quote that a packet makes.

    Args:
        words: The packet in the common layout.
        kind: What it is; not ``NONE``.
        state: How far it may be trusted.
        market_ns: Market time of its receipt, nanoseconds since the epoch.
        age_s: Seconds since then.
    """
    carries = CARRIES[kind]
    decimals = price_decimals(words[TOKEN])

    def price(word: int) -> Decimal | None:
        return price_of(words[word], decimals) if words[word] else None

    seconds = words[EXCHANGE_TIME]
    is_time = 0 < seconds <= market_ns // NS_PER_S + TIME_AHEAD_MAX_S
    return Quote(
        token=words[TOKEN],
        state=state,
        last=price(LAST),
        bids=_levels(words, BIDS, decimals),
        asks=_levels(words, ASKS, decimals),
        volume=words[VOLUME] if carries[VOLUME] else None,
        open_interest=words[OPEN_INTEREST] if carries[OPEN_INTEREST] else None,
        previous_close=price(CLOSE),
        exchange_time=_EPOCH + timedelta(seconds=seconds) if is_time else None,
        received_time=_EPOCH + timedelta(microseconds=market_ns // _NS_PER_US),
        age_s=age_s,
    )


def _levels(words: Sequence[int], first: int, decimals: int) -> tuple[DepthLevel, ...]:
    """The levels of one side that have a price."""
    return tuple(
        DepthLevel(price_of(words[word + 1], decimals), words[word], words[word + 2] >> ORDERS_SHIFT)
        for word in range(first, first + LEVELS * LEVEL_WORDS, LEVEL_WORDS)
        if words[word + 1]
    )
