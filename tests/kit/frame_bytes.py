"""Frames of a feed, put together by hand."""

from __future__ import annotations

import struct

TRADABLE, OTHER, INDEX = 12_000_002, 12_000_258, 256_265
BOOK = b"".join(struct.pack(">IIHH", 100 + level, 5_000 + level, level, 0) for level in range(10))


def packet(token: int, length: int, last: int = 5_000) -> bytes:
    """A packet of a length: token, last price, then as many numbers as fit, then the order book."""
    numbers = struct.pack(">14I", *range(1, 15))
    return (struct.pack(">II", token, last) + numbers + BOOK)[:length]


def frame(*packets: bytes) -> bytes:
    """A frame of some packets."""
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">H", len(body)) + body for body in packets)
