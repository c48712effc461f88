"""Finds the whole blocks of one segment file from their headers alone, past any damage.

Invariant: a block that is listed has a header whose checksum is right and all its bytes in the file; whether its
payload is whole is seen when it is read.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from engine.tape.layout import (
    BLOCK_HEADER_BYTES,
    BLOCK_MAGIC,
    RAW_BYTES_MAX,
    SEGMENT_HEADER_BYTES,
    BlockHeader,
    unpack_block_header,
    unpack_segment_header,
)
from engine.tape.records import FORMAT

SEARCH_BYTES: Final = 1 << 20


class BlockPlace(NamedTuple):
    """Where a block of records lies."""

    segment: int
    offset: int
    """Of its payload, bytes from the start of the file."""
    header: BlockHeader


class SegmentScan:
    """What is known of a segment; ``advance`` reads on where the last look ended.

    Attributes:
        blocks: Blocks of records found so far, in order; a caller may take them out.
        ended: The mark of a good end was found.
        damage: What was passed over, in words, without the segment's name.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.blocks: list[BlockPlace] = []
        self.ended = False
        self.damage: list[str] = []
        self.size = 0
        self._offset = 0
        self._sequence = 0
        self._is_readable = True

    @property
    def unread(self) -> int:
        """Bytes at the end that are no whole block (yet)."""
        return self.size - self._offset if self._is_readable else 0

    @property
    def is_readable(self) -> bool:
        """It is in this version's format, and the segment its name says."""
        return self._is_readable

    @property
    def is_begun(self) -> bool:
        """Its header was found whole."""
        return self._offset >= SEGMENT_HEADER_BYTES

    @property
    def next_sequence(self) -> int:
        """Of the block that would follow."""
        return self._sequence

    def advance(self, descriptor: int) -> None:
        """Look at what has come since the last look.

        Raises:
            OSError: the file cannot be read.
        """
        self.size = os.fstat(descriptor).st_size
        if not self._is_readable or (not self.is_begun and not self._begin(descriptor)):
            return
        while self._offset < self.size and not self.ended:
            header = unpack_block_header(os.pread(descriptor, BLOCK_HEADER_BYTES, self._offset))
            if header is None:
                found = self._search(descriptor)
                if found is None:
                    return  # a block that is being written, or a torn one
                self._say_passed(found - self._offset)
                self._offset = found
                continue
            payload = self._offset + BLOCK_HEADER_BYTES
            if payload + header.stored > self.size:
                return
            self._take(header, payload)
            self._offset = payload + header.stored
        if self.ended and self._offset < self.size:
            self._say_passed(self.size - self._offset)
            self._offset = self.size

    def _begin(self, descriptor: int) -> bool:
        head = unpack_segment_header(os.pread(descriptor, SEGMENT_HEADER_BYTES, 0))
        if head is None:
            if self.size < SEGMENT_HEADER_BYTES:
                return False
            self.damage.append("its header is damaged")
        elif head.format != FORMAT:
            self.damage.append(f"it is in format {head.format}, and this version reads {FORMAT}")
            self._is_readable = False
            return False
        elif head.number != self.number:
            self.damage.append(f"it says that it is segment {head.number}")
            self._is_readable = False
            return False
        self._offset = SEGMENT_HEADER_BYTES
        return True

    def _take(self, header: BlockHeader, payload: int) -> None:
        if header.sequence != self._sequence:
            self.damage.append(f"block {header.sequence} stands where block {self._sequence} should")
        self._sequence = header.sequence + 1
        if header.is_end:
            self.ended = True
        elif header.raw > RAW_BYTES_MAX:
            self.damage.append(f"block {header.sequence} says that it unpacks to {header.raw} bytes")
        elif header.records:
            self.blocks.append(BlockPlace(self.number, payload, header))

    def _search(self, descriptor: int) -> int | None:
        """The next whole block header after the place that should have one."""
        begin = self._offset + 1
        while begin + BLOCK_HEADER_BYTES <= self.size:
            chunk = os.pread(descriptor, SEARCH_BYTES, begin)
            at = chunk.find(BLOCK_MAGIC)
            while at >= 0:
                if unpack_block_header(os.pread(descriptor, BLOCK_HEADER_BYTES, begin + at)) is not None:
                    return begin + at
                at = chunk.find(BLOCK_MAGIC, at + 1)
            if len(chunk) < SEARCH_BYTES:
                return None
            begin += SEARCH_BYTES - len(BLOCK_MAGIC) + 1
        return None

    def _say_passed(self, size: int) -> None:
        self.damage.append(f"{size} bytes at {self._offset} are no block")
