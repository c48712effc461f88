"""The ticker's binary format read as slowly and plainly as its description: the judge of the fast decoder.

Nothing of the program is used here, not even its constants.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

COLUMNS = 46
INDICES = 9
LTP, INDEX_QUOTE, INDEX_FULL, QUOTE, FULL = range(1, 6)
KIND_OF_LENGTH = {8: LTP, 28: INDEX_QUOTE, 32: INDEX_FULL, 44: QUOTE, 184: FULL}


class PlainFrame(NamedTuple):
    """What a frame holds."""

    rows: list[list[int]]
    """Of each packet that can be read, 46 words: those of a full packet, 0 where the packet has none."""
    kinds: list[int]
    unknown: int
    missing: int
    excess: int
    implausible: int


def read_frame(payload: bytes) -> PlainFrame:
    """Read a frame, packet after packet."""
    rows: list[list[int]] = []
    kinds: list[int] = []
    unknown = implausible = 0
    if len(payload) < 2:
        return PlainFrame(rows, kinds, 0, 0, 0, 0)
    (count,) = struct.unpack_from(">H", payload)
    offset = 2
    for number in range(count):
        head = payload[offset : offset + 2]
        if len(head) < 2:
            return PlainFrame(rows, kinds, unknown, count - number, 0, implausible)
        (length,) = struct.unpack(">H", head)
        body = payload[offset + 2 : offset + 2 + length]
        if len(body) < length:
            return PlainFrame(rows, kinds, unknown, count - number, 0, implausible)
        offset += 2 + length
        if length not in KIND_OF_LENGTH:
            unknown += 1
        elif not fits(length, body[3]):
            implausible += 1
        else:
            rows.append(read_body(body))
            kinds.append(KIND_OF_LENGTH[length])
    return PlainFrame(rows, kinds, unknown, 0, len(payload) - offset, implausible)


def fits(length: int, segment: int) -> bool:
    """Whether an instrument of a segment comes in packets of a length."""
    if length == 8:
        return True
    return (length in {28, 32}) == (segment == INDICES)


def read_body(body: bytes) -> list[int]:
    """The words of one packet of a known length, in the order of a full packet."""
    row = [0] * COLUMNS
    if len(body) in {28, 32}:
        row[0], row[1], row[8], row[9], row[7], row[10] = struct.unpack_from(">6I", body)
        if len(body) == 32:
            (row[15],) = struct.unpack_from(">I", body, 28)
        return row
    words = struct.unpack(f">{len(body) // 4}I", body)
    row[: len(words)] = words
    return row
