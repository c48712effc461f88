"""The bytes of a segment file: one segment header, then blocks, each with a header of its own. Little endian.

::

    segment header   magic 8 · format u16 · reserved u16 · number u32 · wall ns i64 · crc32 u32
    block header     magic 4 · sequence u32 · stored u32 · raw u32 · codec u8 · flags u8 · reserved u16 · records u32
                     first market ns i64 · last market ns i64 · crc32 of the payload u32 · crc32 of this header u32
    block payload    ``stored`` bytes

The crc32 of a header covers all before it. Sequence numbers count the blocks of a segment from 0. A segment that was
closed in good order ends with a block without records that carries ``FLAG_END``.

Invariant: a header is believed only when its checksum is right, so a length is never taken from damaged bytes.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

SEGMENT_MAGIC: Final = b"\x89WSTAPE\n"
BLOCK_MAGIC: Final = b"\xabBLK"
SEGMENT_STRUCT: Final = struct.Struct("<8sHHIq")
BLOCK_STRUCT: Final = struct.Struct("<4sIIIBBHIqqI")
CRC_STRUCT: Final = struct.Struct("<I")
SEGMENT_HEADER_BYTES: Final = SEGMENT_STRUCT.size + CRC_STRUCT.size
BLOCK_HEADER_BYTES: Final = BLOCK_STRUCT.size + CRC_STRUCT.size
CODEC_STORED: Final = 0
CODEC_ZLIB: Final = 1
FLAG_END: Final = 1
RAW_BYTES_MAX: Final = 1 << 28
"""No block unpacks to more: one frame is at most 16 MiB, and a block is closed soon after its limit."""
SEGMENT_SUFFIX: Final = ".tape"
HEADER_FILE: Final = "header.json"
INSTRUMENTS_FILE: Final = "instruments.csv.gz"
_SEGMENT_NAME: Final = re.compile(r"(\d{6})\.tape")


class SegmentHeader(NamedTuple):
    """The beginning of a segment file."""

    format: int
    number: int
    """From 1."""
    wall_ns: int
    """This machine's time when the segment was begun, ns since the epoch."""


class BlockHeader(NamedTuple):
    """What stands before a block's payload. Bytes, counts, and nanoseconds since the epoch."""

    sequence: int
    stored: int
    raw: int
    codec: int
    flags: int
    records: int
    first_ns: int
    last_ns: int
    payload_crc: int

    @property
    def is_end(self) -> bool:
        """The segment was closed in good order."""
        return bool(self.flags & FLAG_END)


def segment_name(number: int) -> str:
    """File name of a segment."""
    return f"{number:06d}{SEGMENT_SUFFIX}"


def segment_number(name: str) -> int | None:
    """Number of the segment with this file name; ``None`` for any other file."""
    match = _SEGMENT_NAME.fullmatch(name)
    return int(match.group(1)) if match else None


def segment_files(folder: Path) -> list[tuple[int, Path]]:
    """The segments in a folder, by number."""
    numbered = ((segment_number(path.name), path) for path in folder.iterdir())
    return sorted((number, path) for number, path in numbered if number is not None)


def pack_segment_header(header: SegmentHeader) -> bytes:
    """The first bytes of a segment file."""
    body = SEGMENT_STRUCT.pack(SEGMENT_MAGIC, header.format, 0, header.number, header.wall_ns)
    return body + CRC_STRUCT.pack(zlib.crc32(body))


def unpack_segment_header(data: bytes) -> SegmentHeader | None:
    """Read the first ``SEGMENT_HEADER_BYTES`` of a file; ``None`` when they are not a whole segment header."""
    if not _is_whole(data, SEGMENT_MAGIC, SEGMENT_STRUCT):
        return None
    _, version, _, number, wall_ns = SEGMENT_STRUCT.unpack_from(data)
    return SegmentHeader(version, number, wall_ns)


def pack_block_header(header: BlockHeader) -> bytes:
    """The bytes before a payload."""
    body = BLOCK_STRUCT.pack(
        BLOCK_MAGIC,
        header.sequence,
        header.stored,
        header.raw,
        header.codec,
        header.flags,
        0,
        header.records,
        header.first_ns,
        header.last_ns,
        header.payload_crc,
    )
    return body + CRC_STRUCT.pack(zlib.crc32(body))


def unpack_block_header(data: bytes) -> BlockHeader | None:
    """Read ``BLOCK_HEADER_BYTES``; ``None`` when they are not a whole block header."""
    if not _is_whole(data, BLOCK_MAGIC, BLOCK_STRUCT):
        return None
    _, sequence, stored, raw, codec, flags, _, records, first_ns, last_ns, crc = BLOCK_STRUCT.unpack_from(data)
    return BlockHeader(sequence, stored, raw, codec, flags, records, first_ns, last_ns, crc)


def _is_whole(data: bytes, magic: bytes, layout: struct.Struct) -> bool:
    if len(data) < layout.size + CRC_STRUCT.size or not data.startswith(magic):
        return False
    (crc,) = CRC_STRUCT.unpack_from(data, layout.size)
    return bool(zlib.crc32(data[: layout.size]) == crc)
