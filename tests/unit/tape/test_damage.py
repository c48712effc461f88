"""Damaged tapes: what is whole is given, what is not is said, nothing raises, and nothing false is given."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.tape.blocks import end_block, pack_block
from engine.tape.layout import BLOCK_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, pack_segment_header
from engine.tape.reader import TapeReader
from engine.tape.records import RecordKind, TapeRecord
from tests.kit.tapes import SECOND_NS, SETTINGS, header, is_subsequence, make_tape, session

RECORDS = session(5, 40, step_ns=SECOND_NS)
EACH = 4


def read(path: Path) -> tuple[list[TapeRecord], str]:
    """Everything a tape gives, and what it says of itself afterwards."""
    with TapeReader(path) as tape:
        return list(tape.records()), tape.damage


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A tape of one segment with ten blocks."""
    return make_tape(tmp_path, RECORDS, each=EACH)


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    """A tape of four segments."""
    by_minute = msgspec.structs.replace(SETTINGS, segment_minutes=1)
    path = make_tape(tmp_path, session(5, 240, step_ns=SECOND_NS), each=EACH, settings=by_minute)
    assert len(list(path.glob("*.tape"))) == 4
    return path


def test_a_tail_cut_anywhere_gives_the_blocks_before_it(tmp_path: Path) -> None:
    """Cut at every single byte after the first block: the whole blocks before come, and the cut is said."""
    records = [record for record in session(5, 400) if record.kind is RecordKind.TEXT][:15]
    path = make_tape(tmp_path, records, each=3)
    file = path / "000001.tape"
    ends = [SEGMENT_HEADER_BYTES]
    for at in range(0, len(records), 3):
        ends.append(ends[-1] + len(pack_block(records[at : at + 3], sequence=0, level=SETTINGS.compression)))
    size = file.stat().st_size
    assert ends[-1] + BLOCK_HEADER_BYTES == size
    with file.open("r+b") as opened:
        while size > ends[1]:
            size -= 1
            opened.truncate(size)
            found, damage = read(path)
            blocks = sum(end <= size for end in ends[1:])
            assert found == records[: blocks * 3], size
            torn = size - ends[blocks]
            words = f" and its last {torn} bytes are torn" if torn else ""
            assert damage == f"000001.tape was not closed{words}: what came in its last second may be missing."


def test_a_head_cut_anywhere_gives_nothing_false(whole: Path) -> None:
    """Cut within the first bytes, to the empty file: no record, no error, and it is said."""
    file = whole / "000001.tape"
    with file.open("r+b") as opened:
        for size in range(SEGMENT_HEADER_BYTES + BLOCK_HEADER_BYTES + 5, -1, -1):
            opened.truncate(size)
            records, damage = read(whole)
            assert records == []
            assert "was not closed" in damage


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_flipped_bits_cost_their_blocks_alone(whole: Path, data: st.DataObject) -> None:
    """A few flipped bits anywhere: what is given is true, at most their blocks are gone, and it is said."""
    file = whole / "000001.tape"
    good = file.read_bytes()
    bits = data.draw(st.lists(st.integers(0, len(good) * 8 - 1), min_size=1, max_size=4, unique=True))
    changed = bytearray(good)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    file.write_bytes(changed)
    try:
        records, damage = read(whole)
    finally:
        file.write_bytes(good)
    assert is_subsequence(records, RECORDS)
    assert len(records) >= len(RECORDS) - EACH * len(bits)
    assert damage


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_hole_costs_its_blocks_alone(whole: Path, data: st.DataObject) -> None:
    """Zeros or noise over any stretch (a disk that lost power): the blocks outside the stretch are given."""
    file = whole / "000001.tape"
    good = file.read_bytes()
    begin = data.draw(st.integers(0, len(good) - 1))
    size = data.draw(st.integers(1, min(4000, len(good) - begin)))
    filler = data.draw(st.sampled_from([b"\0", b"\xff", b"\xabBLK"]))
    hole = (filler * size)[:size]
    file.write_bytes(good[:begin] + hole + good[begin + size :])
    try:
        records, damage = read(whole)
    finally:
        file.write_bytes(good)
    assert is_subsequence(records, RECORDS)
    if good[begin : begin + size] != hole:
        assert damage
    at, kept = SEGMENT_HEADER_BYTES, []
    for first in range(0, len(RECORDS), EACH):
        block = RECORDS[first : first + EACH]
        end = at + len(pack_block(block, sequence=first // EACH, level=SETTINGS.compression))
        if end <= begin or at >= begin + size:
            kept += block
        at = end
    assert is_subsequence(kept, records)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_is_no_tape(whole: Path, noise: bytes) -> None:
    """Any bytes in place of a segment give no record and no error."""
    (whole / "000001.tape").write_bytes(noise)
    records, damage = read(whole)
    assert records == []
    assert damage


def test_a_missing_segment_is_said(segments: Path) -> None:
    """Without a segment in the middle the others are given, in order."""
    with TapeReader(segments) as tape:
        everything = list(tape.records())
    (segments / "000002.tape").unlink()
    records, damage = read(segments)
    assert is_subsequence(records, everything)
    assert 0 < len(records) < len(everything)
    assert records[-1] == everything[-1]
    assert damage == "000002.tape is missing."


def test_an_empty_segment_is_said(segments: Path) -> None:
    """A segment of no bytes gives nothing; the others are given."""
    (segments / "000003.tape").write_bytes(b"")
    records, damage = read(segments)
    assert records
    assert damage == "000003.tape was not closed: what came in its last second may be missing."


def test_a_segment_of_another_place_is_not_taken(segments: Path) -> None:
    """A segment under another number's name is left out: its records would stand at the wrong place."""
    (segments / "000004.tape").rename(segments / "000009.tape")
    (segments / "000001.tape").rename(segments / "000004.tape")
    records, damage = read(segments)
    assert [record.market_ns for record in records] == sorted(record.market_ns for record in records)
    assert "000004.tape: it says that it is segment 1." in damage
    assert "000009.tape: it says that it is segment 4." in damage


def test_another_format_is_said_and_not_guessed(whole: Path) -> None:
    """A later version's segment, or header, gives no records and says which format it has."""
    file = whole / "000001.tape"
    data = file.read_bytes()
    file.write_bytes(pack_segment_header(SegmentHeader(2, 1, 0)) + data[SEGMENT_HEADER_BYTES:])
    assert read(whole) == ([], "000001.tape: it is in format 2, and this version reads 1.")
    file.write_bytes(data)
    (whole / "header.json").write_bytes(msgspec.json.encode(header(format=7)))
    assert read(whole) == ([], "The tape is in format 7, and this version reads 1.")


@pytest.mark.parametrize("words", [b"", b"{", b"[]", b'{"format":1}', b"\xff\xfe"])
def test_a_damaged_header_leaves_the_records(whole: Path, words: bytes) -> None:
    """Without a readable header the records are given still."""
    (whole / "header.json").write_bytes(words)
    records, damage = read(whole)
    assert records == RECORDS
    assert damage.startswith("header.json cannot be read")
    with TapeReader(whole) as tape:
        assert tape.header.market_start.tzinfo is not None
        assert tape.start_ns == RECORDS[0].market_ns


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "emptied"])
def test_damaged_instruments_are_said(whole: Path, damage: str) -> None:
    """A dump that is not whole is empty, and said."""
    file = whole / "instruments.csv.gz"
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        data[-6] ^= 1  # in its checksum
        file.write_bytes(bytes({"cut": data[:-20], "changed": data, "emptied": b""}[damage]))
    with TapeReader(whole) as tape:
        assert tape.damage == ""
        assert tape.instruments_csv() == b""
        assert "instruments.csv.gz " in tape.damage


def test_blocks_that_go_back_in_time_are_left_out(whole: Path) -> None:
    """A block twice, or blocks the wrong way round, never make market time decrease."""
    file = whole / "000001.tape"
    packed = [
        pack_block(RECORDS[at : at + EACH], sequence=at // EACH, level=SETTINGS.compression)
        for at in range(0, len(RECORDS), EACH)
    ]
    packed[4], packed[5] = packed[5], packed[4]
    end = end_block(sequence=10, at_ns=RECORDS[-1].market_ns)
    file.write_bytes(file.read_bytes()[:SEGMENT_HEADER_BYTES] + b"".join(packed) + end)
    records, damage = read(whole)
    assert records == RECORDS[:16] + RECORDS[20:]
    assert "block 5 stands where block 4 should" in damage
    assert "block 4: its times go back; 4 records" in damage


def test_a_tape_that_goes_away_under_a_reader_does_not_raise(segments: Path) -> None:
    """Segments deleted by hand while they are read end the reading with words."""
    with TapeReader(segments) as tape:
        reading = tape.records()
        next(reading)
        for file in segments.glob("*.tape"):
            file.unlink()
        list(reading)
        assert "000004.tape cannot be read (No such file or directory)." in tape.damage


def test_much_damage_is_said_in_few_words(segments: Path) -> None:
    """However many blocks are damaged, the sentence stays short and counts the rest."""
    for file in segments.glob("*.tape"):
        data = bytearray(file.read_bytes())
        at = SEGMENT_HEADER_BYTES
        while at + BLOCK_HEADER_BYTES < len(data):
            stored = int.from_bytes(data[at + 8 : at + 12], "little")
            if stored:
                data[at + BLOCK_HEADER_BYTES] ^= 1
            at += BLOCK_HEADER_BYTES + stored
        file.write_bytes(data)
    with TapeReader(segments) as tape:
        damage = tape.check()
        assert damage.count("its checksum is wrong") == 20
        assert damage.endswith("And 40 more.")
        assert list(tape.records()) == []
