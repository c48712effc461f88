"""Records to the payload of a block and back.

A feed's frame is a two-byte count and then packets, each behind its two-byte length. Packets of one length are laid in
columns over the whole block (first all first bytes, then all second bytes, …): tokens, prices and depth of neighbours
repeat, so that zlib at its fastest packs a block to half the size, in half the time, of the same bytes as they came.
The layout looks at lengths alone and is a bijection for any bytes, frames or not.

Invariant: ``unpack(pack(records)) == records`` for every sequence of records.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.tape.layout import (
    CODEC_STORED,
    CODEC_ZLIB,
    FLAG_END,
    RAW_BYTES_MAX,
    BlockHeader,
    pack_block_header,
)
from engine.tape.records import RecordKind, TapeRecord

COUNT_BYTES: Final = 2
LENGTH_BYTES: Final = 2
RUNS_MAX: Final = 255
"""Runs of equal packets in one frame; what follows them is laid down as it is."""
RECORD_BYTES: Final = 25
"""What a record adds to its payload in a block: kind, connection, two times, length, number of runs."""
_RUN_COUNT_BYTES: Final = 4
BYTES, SHORTS, WORDS, TIMES = (np.dtype(name) for name in ("u1", "<u2", "<u4", "<i8"))
_KINDS: Final = {kind.value: kind for kind in RecordKind}


class DamagedBlock(ValueError):
    """A payload that is not what its header says; the message says how."""


class _Run(NamedTuple):
    stride: int
    """Bytes of a packet with its length before it."""
    packets: int


def pack_block(records: Sequence[TapeRecord], *, sequence: int, level: int) -> bytes:
    """A whole block, header and payload, of at least one record with times that do not decrease.

    Args:
        records: What goes into it.
        sequence: Its place in the segment, from 0.
        level: zlib's level; 0 stores.
    """
    raw = _pack_payload(records)
    stored, codec = raw, CODEC_STORED
    if level:
        squeezed = zlib.compress(raw, level)
        if len(squeezed) < len(raw):
            stored, codec = squeezed, CODEC_ZLIB
    header = BlockHeader(
        sequence=sequence,
        stored=len(stored),
        raw=len(raw),
        codec=codec,
        flags=0,
        records=len(records),
        first_ns=records[0].market_ns,
        last_ns=records[-1].market_ns,
        payload_crc=zlib.crc32(stored),
    )
    return pack_block_header(header) + stored


def end_block(*, sequence: int, at_ns: int) -> bytes:
    """The block without records that closes a segment in good order."""
    header = BlockHeader(sequence, 0, 0, CODEC_STORED, FLAG_END, 0, at_ns, at_ns, zlib.crc32(b""))
    return pack_block_header(header)


def unpack_block(header: BlockHeader, stored: bytes) -> list[TapeRecord]:
    """The records of a block.

    Raises:
        DamagedBlock: the bytes are not what the header says.
    """
    if len(stored) != header.stored:
        raise DamagedBlock(f"{len(stored)} of {header.stored} bytes are there")
    if zlib.crc32(stored) != header.payload_crc:
        raise DamagedBlock("its checksum is wrong")
    if header.raw > RAW_BYTES_MAX:
        raise DamagedBlock(f"it says that it unpacks to {header.raw} bytes")
    if header.codec == CODEC_STORED:
        raw = stored
    elif header.codec == CODEC_ZLIB:
        inflater = zlib.decompressobj()
        try:
            raw = inflater.decompress(stored, header.raw + 1)
        except zlib.error as error:
            raise DamagedBlock(f"it does not unpack ({error})") from None
    else:
        raise DamagedBlock(f"its codec {header.codec} is not known to this version")
    if len(raw) != header.raw:
        raise DamagedBlock(f"it does not unpack to its {header.raw} bytes")
    return _unpack_payload(raw, header)


# -- the layout of a payload: columns of the records, the rest of the bytes, and packets by length, in columns -------


def _pack_payload(records: Sequence[TapeRecord]) -> bytes:
    rest: list[bytes] = []
    rows: dict[int, list[bytes]] = {}
    runs: list[_Run] = []
    run_counts: list[int] = []
    for record in records:
        payload = record.payload
        found = _find_runs(payload) if record.kind == RecordKind.FRAME else ()
        run_counts.append(len(found))
        if not found:
            rest.append(payload)
            continue
        rest.append(payload[:COUNT_BYTES])
        begin = COUNT_BYTES
        for run in found:
            end = begin + run.stride * run.packets
            rows.setdefault(run.stride, []).append(payload[begin:end])
            begin = end
        rest.append(payload[begin:])
        runs.extend(found)
    count = len(records)
    market = np.fromiter((record.market_ns for record in records), TIMES, count)
    received = np.fromiter((record.received_ns for record in records), TIMES, count)
    columns: tuple[npt.NDArray[np.generic], ...] = (
        np.fromiter((record.kind for record in records), BYTES, count),
        np.fromiter((record.connection for record in records), SHORTS, count),
        np.diff(market, prepend=market[:1] * 0),
        np.diff(received, prepend=received[:1] * 0),
        np.fromiter((len(record.payload) for record in records), WORDS, count),
        np.asarray(run_counts, SHORTS),
        np.asarray([run.stride for run in runs], WORDS),
        np.asarray([run.packets for run in runs], WORDS),
    )
    parts = [len(runs).to_bytes(_RUN_COUNT_BYTES, "little")]
    parts += [column.tobytes() for column in columns]
    parts += rest
    for stride in sorted(rows):
        table = np.frombuffer(b"".join(rows[stride]), np.uint8).reshape(-1, stride)
        parts.append(table.T.tobytes())
    return b"".join(parts)


def _find_runs(payload: bytes) -> list[_Run]:
    """Neighbouring packets of one length, from the first; stops where no whole packet follows."""
    runs: list[_Run] = []
    begin, size = COUNT_BYTES, len(payload)
    while begin + LENGTH_BYTES <= size and len(runs) < RUNS_MAX:
        stride = LENGTH_BYTES + (payload[begin] << 8 | payload[begin + 1])
        whole = (size - begin) // stride
        if not whole:
            break
        count = min(whole, _leading(payload[begin::stride]), _leading(payload[begin + 1 :: stride]))
        runs.append(_Run(stride, count))
        begin += stride * count
    return runs


def _leading(values: bytes) -> int:
    """How many bytes from the first on are equal to it."""
    return len(values) - len(values.lstrip(values[:1]))


class _Cursor:
    """Takes columns off the front of a payload."""

    def __init__(self, raw: bytes) -> None:
        self._raw = memoryview(raw)
        self._begin = 0

    def take(self, size: int) -> memoryview:
        end = self._begin + size
        if not self._begin <= end <= len(self._raw):
            raise DamagedBlock("it is shorter than its own columns say")
        part = self._raw[self._begin : end]
        self._begin = end
        return part

    def integers(self, kind: np.dtype[np.generic], count: int) -> npt.NDArray[np.int64]:
        return np.frombuffer(self.take(kind.itemsize * count), kind).astype(np.int64)

    def expect_end(self) -> None:
        if self._begin != len(self._raw):
            raise DamagedBlock("it is longer than its own columns say")


def _unpack_payload(raw: bytes, header: BlockHeader) -> list[TapeRecord]:
    cursor = _Cursor(raw)
    count = header.records
    run_count = int.from_bytes(cursor.take(_RUN_COUNT_BYTES), "little")
    kinds = cursor.integers(BYTES, count).tolist()
    connections = cursor.integers(SHORTS, count).tolist()
    market = np.cumsum(cursor.integers(TIMES, count)).tolist()
    received = np.cumsum(cursor.integers(TIMES, count)).tolist()
    lengths = cursor.integers(WORDS, count)
    run_counts = cursor.integers(SHORTS, count)
    strides = cursor.integers(WORDS, run_count)
    counts = cursor.integers(WORDS, run_count)
    in_runs = int((strides * counts).sum())
    rest = bytes(cursor.take(int(lengths.sum()) - in_runs))
    if int(run_counts.sum()) != run_count:
        raise DamagedBlock("its columns contradict each other")
    tables: dict[int, bytes] = {}
    for stride in np.unique(strides).tolist():
        rows = int(counts[strides == stride].sum())
        table = np.frombuffer(cursor.take(stride * rows), np.uint8).reshape(stride, rows)
        tables[stride] = table.T.tobytes()
    cursor.expect_end()
    runs = list(zip(strides.tolist(), counts.tolist(), strict=True))
    payloads = _payloads(lengths.tolist(), run_counts.tolist(), runs, rest, tables)
    try:
        return [
            TapeRecord(_KINDS[kind], connection, market_ns, received_ns, payload)
            for kind, connection, market_ns, received_ns, payload in zip(
                kinds, connections, market, received, payloads, strict=True
            )
        ]
    except KeyError as error:
        raise DamagedBlock(f"a record's kind {error} is not known to this version") from None


def _payloads(
    lengths: list[int], run_counts: list[int], runs: list[tuple[int, int]], rest: bytes, tables: dict[int, bytes]
) -> list[bytes]:
    payloads: list[bytes] = []
    places = dict.fromkeys(tables, 0)
    at = next_run = 0
    for length, run_total in zip(lengths, run_counts, strict=True):
        if not run_total:
            payloads.append(rest[at : at + length])
            at += length
            continue
        parts = [rest[at : at + COUNT_BYTES]]
        at += COUNT_BYTES
        left = length - COUNT_BYTES
        for stride, count in runs[next_run : next_run + run_total]:
            place = places[stride]
            size = stride * count
            parts.append(tables[stride][place : place + size])
            places[stride] = place + size
            left -= size
        next_run += run_total
        if left < 0:
            raise DamagedBlock("a frame is shorter than its packets")
        parts.append(rest[at : at + left])
        at += left
        payloads.append(b"".join(parts))
    return payloads
