"""The market of ``feed_soak``: options whose every packet differs from the one before, as it would on a busy day.

The last price walks on its tick, volume and open interest go on from packet to packet, the book has five levels on each
side, and the exchange's stamps are of market time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import msgspec
import numpy as np
import numpy.typing as npt

from engine.brokers.feed import FeedMode
from engine.brokers.kite.codec import Words
from engine.brokers.kite.packets import (
    ASKS,
    AVERAGE,
    BIDS,
    BODY_BYTES,
    BUY_QUANTITY,
    CLOSE,
    EXCHANGE_TIME,
    HIGH,
    LAST,
    LAST_QUANTITY,
    LAST_TRADE_TIME,
    LEVEL_WORDS,
    LEVELS,
    LOW,
    OPEN,
    OPEN_INTEREST,
    OPEN_INTEREST_HIGH,
    OPEN_INTEREST_LOW,
    ORDERS_SHIFT,
    SELL_QUANTITY,
    TOKEN,
    VOLUME,
    WORDS,
    PacketKind,
)
from engine.core.instruments import Instrument
from engine.core.vocabulary import Exchange, InstrumentKind

SEGMENT = 2
"""Low byte of a token: derivatives of NSE."""
FIRST_NUMBER = 40_000
EXPIRY = date(2026, 11, 24)
FIRST_STRIKE = 10_000
STRIKE_STEP = 50
LOT = 65
TICK = 5
"""Paise."""
LOWEST, HIGHEST = 500, 100_000
"""Paise: five levels of bids always fit below the last price."""
TRADED_PART = 0.6
"""Of the packets that tell a trade; the others tell a change of the book."""
SEED = 20261119
NS_PER_US = 1_000
STAMP_BITS = 32
KINDS = {FeedMode.LTP: PacketKind.LTP, FeedMode.QUOTE: PacketKind.QUOTE, FeedMode.FULL: PacketKind.FULL}
BODIES = {kind: length for length, kind in BODY_BYTES.items()}


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the exchange."""

    instruments: int = 9_000
    connections: int = 3
    rate: float = 3.0
    """Updates of every instrument in a second."""
    frames_per_s: float = 30.0
    """Frames on each connection, as nearly as the rate allows."""
    market_start: float
    """Market time at ``monotonic_start``, epoch seconds."""
    monotonic_start: float
    """Of the clock that all processes of this machine share."""
    paced: bool = True
    """``False``: frames are sent as fast as they are taken, whatever the rate."""

    @property
    def capacity(self) -> int:
        """Instruments of one connection."""
        return -(-self.instruments // self.connections)

    @property
    def packets_per_s(self) -> float:
        """Over all connections."""
        return self.instruments * self.rate

    @property
    def frames_in_round(self) -> int:
        """Frames in which every instrument of a connection comes once."""
        return max(1, round(self.frames_per_s / self.rate))


def token_of(number: int) -> int:
    """The token of the instrument of a number, from 0."""
    return (FIRST_NUMBER + number) << 8 | SEGMENT


def numbers_of(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """The other way round, for many."""
    return (tokens >> 8) - FIRST_NUMBER


def instruments(count: int) -> tuple[Instrument, ...]:
    """The dump: calls and puts of one expiry, by number."""
    made = []
    for number in range(count):
        kind = (InstrumentKind.CALL, InstrumentKind.PUT)[number % 2]
        strike = FIRST_STRIKE + number // 2 * STRIKE_STEP
        made.append(
            Instrument(
                token=token_of(number),
                exchange_token=FIRST_NUMBER + number,
                tradingsymbol=f"NIFTY26N24{strike}{'CP'[number % 2]}E",
                exchange=Exchange.NFO,
                name="NIFTY",
                kind=kind,
                segment="NFO-OPT",
                expiry=EXPIRY,
                strike=Decimal(strike),
                lot_size=LOT,
            )
        )
    return tuple(made)


class Market:
    """Packets of every instrument as they stand, in the layout of a full packet."""

    def __init__(self, load: Load) -> None:
        """Open the day."""
        self._load = load
        self._random = random = np.random.default_rng(SEED)
        count = load.instruments
        last = random.integers(LOWEST // TICK + 100, 10_000, count) * TICK
        self.words: Words = np.zeros((count, WORDS), np.uint32)
        self.words[:, TOKEN] = [token_of(number) for number in range(count)]
        self.words[:, LAST] = self.words[:, AVERAGE] = last
        for word in (OPEN, HIGH, LOW, CLOSE):
            self.words[:, word] = last
        self.words[:, VOLUME] = random.integers(1_000, 200_000, count) * LOT
        self.words[:, LAST_QUANTITY] = LOT
        self.words[:, LAST_TRADE_TIME] = int(load.market_start)
        for word in (OPEN_INTEREST, OPEN_INTEREST_HIGH, OPEN_INTEREST_LOW):
            self.words[:, word] = random.integers(1_000, 100_000, count) * LOT
        self._turnover = self.words[:, LAST].astype(np.float64) * self.words[:, VOLUME]

    def _second(self) -> int:
        return int(self._load.market_start + time.monotonic() - self._load.monotonic_start)

    def move(self, numbers: npt.NDArray[np.intp]) -> Words:
        """Let something happen in each of some instruments; returns their packets. None may be named twice."""
        random, count = self._random, len(numbers)
        words = self.words[numbers]
        has_traded = random.random(count) < TRADED_PART
        step = random.integers(-2, 3, count) * TICK * has_traded
        last = np.clip(words[:, LAST].astype(np.int64) + step, LOWEST, HIGHEST)
        quantity = random.integers(1, 21, count) * LOT * has_traded
        self._turnover[numbers] += quantity * last
        words[:, LAST] = last
        words[:, VOLUME] += quantity.astype(np.uint32)
        words[:, AVERAGE] = np.round(self._turnover[numbers] / words[:, VOLUME])
        words[:, HIGH] = np.maximum(words[:, HIGH], words[:, LAST])
        words[:, LOW] = np.minimum(words[:, LOW], words[:, LAST])
        interest = np.maximum(words[:, OPEN_INTEREST] + random.integers(-3, 4, count) * LOT * has_traded, LOT)
        words[:, OPEN_INTEREST] = interest
        words[:, OPEN_INTEREST_HIGH] = np.maximum(words[:, OPEN_INTEREST_HIGH], words[:, OPEN_INTEREST])
        words[:, OPEN_INTEREST_LOW] = np.minimum(words[:, OPEN_INTEREST_LOW], words[:, OPEN_INTEREST])
        second = self._second()
        words[has_traded, LAST_QUANTITY] = quantity[has_traded]
        words[has_traded, LAST_TRADE_TIME] = second
        words[:, EXCHANGE_TIME] = second
        sizes = random.integers(1, 60, (count, 2 * LEVELS), dtype=np.uint32) * LOT
        orders = random.integers(1, 40, (count, 2 * LEVELS), dtype=np.uint32) << ORDERS_SHIFT
        away = (1 + np.arange(LEVELS)) * TICK
        for side, first, prices in ((0, BIDS, last[:, None] - away), (1, ASKS, last[:, None] + away)):
            levels = slice(side * LEVELS, (side + 1) * LEVELS)
            end = first + LEVELS * LEVEL_WORDS
            words[:, first:end:LEVEL_WORDS] = sizes[:, levels]
            words[:, first + 1 : end : LEVEL_WORDS] = prices
            words[:, first + 2 : end : LEVEL_WORDS] = orders[:, levels]
        words[:, BUY_QUANTITY] = sizes[:, :LEVELS].sum(axis=1)
        words[:, SELL_QUANTITY] = sizes[:, LEVELS:].sum(axis=1)
        # The first packet of a frame carries its moment where others have the quantity offered: the other end
        # measures by it how long a frame took to the board.
        words[0, SELL_QUANTITY] = stamp_us()
        self.words[numbers] = words
        return words


def stamp_us() -> int:
    """This moment, microseconds of the monotonic clock, as much as fits a word."""
    return time.monotonic_ns() // NS_PER_US & (1 << STAMP_BITS) - 1


def frame_of(parts: Sequence[tuple[PacketKind, Words]]) -> bytes:
    """A frame of packets, kind after kind, from words in the layout of a full packet."""
    pieces = [sum(len(words) for _, words in parts).to_bytes(2, "big")]
    for kind, words in parts:
        length = BODIES[kind]
        packets = np.empty(len(words), np.dtype([("length", ">u2"), ("body", ">u4", length // 4)]))
        packets["length"] = length
        packets["body"] = words[:, : length // 4]
        pieces.append(packets.tobytes())
    return b"".join(pieces)
