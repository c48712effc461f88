"""Records to the bytes of a block and back, for any bytes."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tape.blocks import DamagedBlock, end_block, pack_block, unpack_block
from engine.tape.layout import BLOCK_HEADER_BYTES, CODEC_STORED, CODEC_ZLIB, BlockHeader, unpack_block_header
from engine.tape.records import RecordKind, TapeRecord
from tests.kit.tapes import START_NS, seeded, session

TIMES = st.integers(min_value=0, max_value=2**62)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame as a feed sends it, sometimes with a count or a length that lies, sometimes cut."""
    packets = draw(st.lists(st.binary(max_size=40), max_size=8))
    count = draw(st.sampled_from([len(packets), 0, 65535]))
    body = b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)
    whole = count.to_bytes(2, "big") + body
    return whole[: len(whole) - draw(st.integers(0, min(3, len(whole))))]


@st.composite
def blocks(draw: st.DrawFn) -> list[TapeRecord]:
    """At least one record; times of receipt may go back, market times do not."""
    sizes = draw(st.integers(1, 12))
    market = sorted(draw(st.lists(TIMES, min_size=sizes, max_size=sizes)))
    return [
        TapeRecord(
            draw(st.sampled_from(RecordKind)),
            draw(st.integers(0, 0xFFFF)),
            at,
            draw(TIMES),
            draw(st.one_of(frames(), st.binary(max_size=80), st.binary(min_size=1, max_size=1).map(lambda b: b * 600))),
        )
        for at in market
    ]


def split(block: bytes) -> tuple[BlockHeader, bytes]:
    """Header and payload of a block."""
    header = unpack_block_header(block)
    assert header is not None
    return header, block[BLOCK_HEADER_BYTES:]


@given(records=blocks(), level=st.integers(0, 9), sequence=st.integers(0, 2**32 - 1))
def test_what_is_packed_comes_back(records: list[TapeRecord], level: int, sequence: int) -> None:
    """Any records in any order of kinds, with any bytes, are the same after a block, and its header has their times."""
    header, payload = split(pack_block(records, sequence=sequence, level=level))
    assert unpack_block(header, payload) == records
    assert header.sequence == sequence
    assert header.records == len(records)
    assert (header.first_ns, header.last_ns) == (records[0].market_ns, records[-1].market_ns)


def test_equal_packets_are_laid_in_columns() -> None:
    """Frames of prices near each other pack to far less than what zlib makes of them as they come."""
    randomness = seeded(1)

    def packet(token: int) -> bytes:
        fields = (randomness.randint(2_400_000, 2_400_250) for _ in range(45))
        return (184).to_bytes(2, "big") + token.to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in fields)

    records = [
        TapeRecord(RecordKind.FRAME, 0, START_NS, START_NS, (40).to_bytes(2, "big") + b"".join(map(packet, range(40))))
        for _ in range(20)
    ]
    plain = zlib.compress(b"".join(record.payload for record in records), 1)
    header, payload = split(pack_block(records, sequence=0, level=1))
    assert header.codec == CODEC_ZLIB
    assert len(payload) < len(plain) * 0.7
    assert unpack_block(header, payload) == records


def test_what_does_not_pack_is_stored() -> None:
    """Random bytes are not made larger by a codec that does not help."""
    records = [record._replace(kind=RecordKind.TEXT) for record in session(1, 3)]
    header, payload = split(pack_block(records, sequence=0, level=1))
    assert header.codec == CODEC_STORED
    assert header.stored == header.raw
    assert unpack_block(header, payload) == records


@given(data=st.data())
def test_a_changed_payload_is_refused(data: st.DataObject) -> None:
    """One flipped bit, or bytes that are missing, and the block gives nothing."""
    header, payload = split(pack_block(session(2, 6), sequence=0, level=1))
    bit = data.draw(st.integers(0, len(payload) * 8 - 1))
    changed = bytearray(payload)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedBlock, match="checksum"):
        unpack_block(header, bytes(changed))
    with pytest.raises(DamagedBlock, match="bytes are there"):
        unpack_block(header, payload[: data.draw(st.integers(0, len(payload) - 1))])


@given(
    payload=st.binary(max_size=200), records=st.integers(0, 50), codec=st.integers(0, 3), raw=st.integers(0, 1 << 30)
)
def test_a_block_that_never_was_one_raises_nothing_else(payload: bytes, records: int, codec: int, raw: int) -> None:
    """Bytes with a right checksum that are no block (another program's, a hostile one's) are refused in good order."""
    honest = raw if raw % 2 else len(payload)
    header = BlockHeader(0, len(payload), honest, codec, 0, records, 0, 0, zlib.crc32(payload))
    try:
        found = unpack_block(header, payload)
    except DamagedBlock:
        return
    assert len(found) == records


def test_a_bomb_is_not_unpacked() -> None:
    """A payload that unpacks to more than its header says is refused before it has done so."""
    bomb = zlib.compress(bytes(50_000_000), 9)
    header = BlockHeader(0, len(bomb), 1000, CODEC_ZLIB, 0, 1, 0, 0, zlib.crc32(bomb))
    with pytest.raises(DamagedBlock, match="1000 bytes"):
        unpack_block(header, bomb)


def test_the_end_is_a_block_without_records() -> None:
    """The mark of a good end is a whole block header."""
    header, payload = split(end_block(sequence=9, at_ns=START_NS))
    assert header.is_end
    assert (header.sequence, header.records, payload) == (9, 0, b"")
