"""A tape written and read: whole, in segments, from a moment on, by more than one sitting, while it grows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.core.errors import InvalidInput, Refused
from engine.tape.reader import TapeReader, to_moment, to_ns
from engine.tape.records import RECORDER, RecordKind, TapeRecord
from engine.tape.writer import NO_NOTICE, TapeWriter
from tests.kit.tapes import (
    SECOND_NS,
    SETTINGS,
    START,
    START_NS,
    begin,
    header,
    make_tape,
    seeded,
    session,
    write_blocks,
)


def test_a_tape_comes_back_as_it_went(tmp_path: Path) -> None:
    """Every record, in order, byte for byte, with the header and the instruments; and nothing is damaged."""
    records = session(1, 200)
    with TapeReader(make_tape(tmp_path, records)) as tape:
        assert list(tape.records()) == records
        assert tape.header == header()
        assert tape.instruments_csv().startswith(b"instrument_token,exchange_token,tradingsymbol")
        assert (tape.start_ns, tape.end_ns) == (records[0].market_ns, records[-1].market_ns)
        assert tape.records_total == len(records)
        assert tape.check() == ""
        assert tape.is_closed
        assert not tape.is_being_written


def test_any_file_of_a_tape_names_it(tmp_path: Path) -> None:
    """The folder, a segment and the header open the same tape."""
    path = make_tape(tmp_path, session(1, 5))
    for place in (path, path / "000001.tape", path / "header.json"):
        with TapeReader(place) as tape:
            assert tape.path == path
            assert tape.records_total == 5


def test_no_tape_is_said(tmp_path: Path) -> None:
    """A folder without a tape, a missing one and another file are refused with words."""
    (tmp_path / "notes").mkdir()
    for place in (tmp_path / "notes", tmp_path / "nowhere"):
        with pytest.raises(InvalidInput, match="no tape at"):
            TapeReader(place)


@pytest.mark.parametrize("seed", range(5))
def test_reading_begins_at_a_moment(tmp_path: Path, seed: int) -> None:
    """From any moment on, also between records, before the first and after the last, exactly the later ones come."""
    records = session(seed, 120)
    randomness = seeded(seed)
    first, last = records[0].market_ns, records[-1].market_ns
    moments = [0, first, first + 1, last, last + 1, *(randomness.randint(first, last) for _ in range(20))]
    with TapeReader(make_tape(tmp_path, records, each=7)) as tape:
        for moment in moments:
            assert list(tape.records(moment)) == [record for record in records if record.market_ns >= moment]


def test_only_the_needed_blocks_are_unpacked(tmp_path: Path) -> None:
    """A seek to the last block does not touch the damaged first one, which a read from the start leaves out."""
    records = session(3, 100)
    path = make_tape(tmp_path, records)
    segment = path / "000001.tape"
    data = bytearray(segment.read_bytes())
    data[100] ^= 1
    segment.write_bytes(data)
    with TapeReader(path) as tape:
        assert list(tape.records(records[90].market_ns)) == records[90:]
        assert tape.damage == ""
        assert list(tape.records()) == records[10:]
        assert "000001.tape, block 0: its checksum is wrong; 10 records from 03:45:00 UTC are left out." in tape.damage


def test_records_of_one_instant_stay_together(tmp_path: Path) -> None:
    """Many records of one market time over several blocks are all found from that time on."""
    records = [record._replace(market_ns=START_NS + (n > 5) + (n > 35)) for n, record in enumerate(session(1, 50))]
    with TapeReader(make_tape(tmp_path, records, each=10)) as tape:
        assert list(tape.records(START_NS + 1)) == records[6:]
        assert list(tape.records(START_NS + 2)) == records[36:]


def test_time_stands_still_when_the_clock_goes_back(tmp_path: Path) -> None:
    """A market time before the last one is kept as the last one; the time of receipt stays."""
    early = TapeRecord(RecordKind.TEXT, 0, START_NS - SECOND_NS, 7, b"late")
    records = [*session(1, 3), early]
    with TapeReader(make_tape(tmp_path, records)) as tape:
        assert list(tape.records()) == [*records[:3], early._replace(market_ns=records[2].market_ns)]


def test_segments_follow_each_other_by_size(tmp_path: Path) -> None:
    """A segment that has its size is closed and followed, and together they hold all."""
    settings = msgspec.structs.replace(SETTINGS, segment_mb=1, compression=0)
    records = [
        TapeRecord(RecordKind.TEXT, 0, START_NS + n, START_NS + n, seeded(n).randbytes(50_000)) for n in range(60)
    ]
    path = make_tape(tmp_path, records, settings=settings, each=3)
    sizes = [file.stat().st_size for file in sorted(path.glob("*.tape"))]
    assert len(sizes) == 3
    assert all(1 << 20 <= size < (1 << 20) + 200_000 for size in sizes[:-1])
    with TapeReader(path) as tape:
        assert list(tape.records()) == records
        assert tape.damage == ""


def test_segments_follow_each_other_by_time(tmp_path: Path) -> None:
    """A segment that has its minutes is followed by another."""
    settings = msgspec.structs.replace(SETTINGS, segment_minutes=1)
    records = session(1, 150, step_ns=SECOND_NS)
    path = make_tape(tmp_path, records, settings=settings, each=5)
    assert len(list(path.glob("*.tape"))) == 3
    with TapeReader(path) as tape:
        assert tape.segments == 3
        assert list(tape.records(records[70].market_ns)) == records[70:]


def test_a_large_block_is_closed_before_its_time(tmp_path: Path) -> None:
    """Without any flush, what has the size of a block is written: memory is bounded."""
    settings = msgspec.structs.replace(SETTINGS, block_kb=16)
    writer = begin(tmp_path, settings=settings)
    writer.write(session(1, 200))
    assert writer.records > 100
    assert writer.waiting < 60
    writer.close()


def test_a_further_sitting_is_a_further_segment(tmp_path: Path) -> None:
    """A tape that was closed is continued without a word of a crash; all of both sittings is there."""
    records = session(1, 60)
    path = make_tape(tmp_path, records[:30])
    writer = TapeWriter.resume(path, SETTINGS, wall_ns=START_NS)
    assert (writer.records, writer.segments, writer.last_ns) == (30, 1, records[29].market_ns)
    write_blocks(writer, records[30:])
    writer.close()
    assert (path / "000002.tape").exists()
    with TapeReader(path) as tape:
        assert list(tape.records()) == records
        assert tape.damage == ""


def test_a_sitting_after_a_crash_says_so_on_the_tape(tmp_path: Path) -> None:
    """After a segment that was not closed the tape goes on with a DOWN of the recorder at its last moment."""
    records = session(1, 40)
    path = make_tape(tmp_path, records[:20])
    segment = path / "000001.tape"
    segment.write_bytes(segment.read_bytes()[:-60])
    writer = TapeWriter.resume(path, SETTINGS, wall_ns=99)
    write_blocks(writer, records[20:])
    writer.close()
    with TapeReader(path) as tape:
        found = list(tape.records())
        assert found[:10] == records[:10]
        assert found[10] == TapeRecord(RecordKind.DOWN, RECORDER, records[9].market_ns, 99, NO_NOTICE)
        assert found[11:] == records[20:]
        assert "000001.tape was not closed and its last" in tape.damage


def test_a_tape_has_one_writer(tmp_path: Path) -> None:
    """A second writer is refused while the first is at it."""
    writer = begin(tmp_path)
    with pytest.raises(Refused, match="Another program writes the tape"):
        TapeWriter.resume(writer.path, SETTINGS, wall_ns=0)
    writer.close()
    TapeWriter.resume(writer.path, SETTINGS, wall_ns=0).close()


def test_a_tape_that_grows_is_read_as_far_as_it_is(tmp_path: Path) -> None:
    """What is written while somebody reads comes too, and a half written block is no damage."""
    records = session(1, 60)
    writer = begin(tmp_path)
    write_blocks(writer, records[:20])
    with TapeReader(writer.path) as tape:
        assert tape.is_being_written
        assert list(tape.records()) == records[:20]
        reading = tape.records()
        assert next(reading) == records[0]
        write_blocks(writer, records[20:40])
        with (writer.path / "000001.tape").open("ab") as file:
            file.write(b"\xabBLK begun")
        assert [records[0], *reading] == records[:40]
        assert tape.damage == ""
        assert tape.end_ns == records[39].market_ns
    writer.close()


def test_a_reader_can_follow(tmp_path: Path) -> None:
    """With ``follow`` the reader asks at the end whether to look again, over segments and to the end of the writer."""
    settings = msgspec.structs.replace(SETTINGS, segment_minutes=1)
    records = session(1, 90, step_ns=SECOND_NS)
    writer = begin(tmp_path, settings=settings)
    left = list(records)
    asked = []

    def write_more() -> bool:
        asked.append(len(left))
        if not left:
            return False
        writer.write(left[:10])
        writer.flush()
        del left[:10]
        if not left:
            writer.close()
        return True

    with TapeReader(writer.path) as tape:
        assert list(tape.records(follow=write_more)) == records
        assert tape.damage == ""
    assert asked == [*range(90, -1, -10)]


def test_a_tape_is_private(tmp_path: Path) -> None:
    """Order updates are on it: the folder and its files are closed to everybody else."""
    path = make_tape(tmp_path / "tapes", session(1, 20))
    assert path.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in path.iterdir()} == dict.fromkeys(
        ["000001.tape", "header.json", "instruments.csv.gz", "writer.lock"], 0o600
    )


def test_a_tape_begins_as_a_whole(tmp_path: Path) -> None:
    """What a crash left of a tape that was being begun is cleared, and two tapes of one name are kept apart."""
    (tmp_path / ".new-one").mkdir()
    (tmp_path / ".new-one" / "header.json").write_text("half")
    first, second = begin(tmp_path), begin(tmp_path)
    assert [first.path.name, second.path.name] == ["one", "one-2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "one-2"]
    first.close()
    second.close()


def test_times_are_exact() -> None:
    """Nanoseconds and moments turn into each other without a float between."""
    assert to_moment(to_ns(START)) == START
    assert to_ns(START.replace(microsecond=999_999)) == START_NS + 999_999_000
    assert to_moment(START_NS + 1_999) == START.replace(microsecond=1)
