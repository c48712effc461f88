"""Which tapes there are, and which go when room or time is up."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from engine.core.errors import InvalidInput
from engine.tape.catalogue import find_tapes, retire, tape_summary
from engine.tape.reader import TapeReader, to_moment
from engine.tape.records import RecordKind, TapeRecord
from tests.kit.tapes import SETTINGS, START, START_NS, begin, make_tape, session, write_blocks

NOW = datetime(2026, 12, 1, tzinfo=UTC)
GB = 1 << 30


def aged(path: Path, days: float) -> Path:
    """Make a tape look as if it had been written last so many days before ``NOW``."""
    at = (NOW - timedelta(days=days)).timestamp()
    for file in path.iterdir():
        os.utime(file, (at, at))
    return path


def sized(path: Path, size: int) -> Path:
    """Make a tape so large without filling the disk."""
    with (path / "000001.tape").open("r+b") as file:
        file.truncate(size)
    return path


def names(folder: Path) -> list[str]:
    """Tapes of all venues, newest first."""
    return [f"{path.parent.name}/{path.name}" for path in find_tapes(folder)]


@pytest.fixture
def tapes(tmp_path: Path) -> Path:
    """Four tapes of two venues, the last of a minute ago."""
    for number, (venue, days) in enumerate([("live", 40), ("practice", 20), ("live", 3), ("live", 0.001)]):
        writer = begin(tmp_path / venue, name=f"t{number}")
        write_blocks(writer, session(number, 10))
        writer.close()
        aged(writer.path, days)
    return tmp_path


def test_tapes_are_found_newest_first(tapes: Path) -> None:
    """In all venues or in one; other folders and half made tapes are none."""
    (tapes / "live" / ".new-x").mkdir()
    (tapes / "live" / ".new-x" / "header.json").write_text("{}")
    (tapes / "live" / "empty").mkdir()
    (tapes / "notes.txt").write_text("x")
    assert names(tapes) == ["live/t3", "live/t2", "practice/t1", "live/t0"]
    assert [path.name for path in find_tapes(tapes / "live")] == ["t3", "t2", "t0"]
    assert find_tapes(tapes / "nowhere") == []


def test_old_tapes_go(tapes: Path) -> None:
    """What was not written to for longer than the policy keeps is deleted."""
    total = retire(tapes, SETTINGS, now=NOW)
    assert names(tapes) == ["live/t3", "live/t2", "practice/t1"]
    assert total == sum(tape_summary(path).bytes for path in find_tapes(tapes))


def test_the_oldest_go_when_room_is_short(tapes: Path) -> None:
    """Beyond the bytes of the policy the oldest are deleted first, and no more than needed."""
    for path in find_tapes(tapes):
        changed = (path / "header.json").stat().st_mtime
        sized(path, GB)
        os.utime(path / "000001.tape", (changed, changed))
    policy = msgspec.structs.replace(SETTINGS, keep_days=3650, keep_gb=3)
    total = retire(tapes, policy, now=NOW)
    assert names(tapes) == ["live/t3", "live/t2"]
    assert 2 * GB < total <= 3 * GB


def test_a_tape_in_use_stays(tapes: Path) -> None:
    """A tape that is written, read or named is kept, however old."""
    policy = msgspec.structs.replace(SETTINGS, keep_days=1)
    writer = begin(tapes / "practice", name="running")
    write_blocks(writer, session(1, 5))
    aged(writer.path, 90)
    with TapeReader(tapes / "live" / "t0"):
        retire(tapes, policy, now=NOW, keep=tapes / "live" / "t2")
        assert sorted(names(tapes)) == ["live/t0", "live/t2", "live/t3", "practice/running"]
    writer.close()
    retire(tapes, policy, now=NOW)
    assert names(tapes) == ["live/t3"]


def test_what_cannot_be_deleted_is_no_error(tapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tape that the disk does not let go stays, is counted, and the others go."""

    def refuse(path: Path) -> None:
        raise PermissionError(13, "not yours", str(path))

    monkeypatch.setattr("engine.tape.catalogue.shutil.rmtree", refuse)
    assert retire(tapes, SETTINGS, now=NOW) > 0
    assert len(find_tapes(tapes)) == 4


def test_a_summary_tells_what_is_on_a_tape(tmp_path: Path) -> None:
    """Times, counts and size from the blocks' headers; with a check also damage inside them."""
    records = session(1, 50)
    path = make_tape(tmp_path, records)
    summary = tape_summary(path)
    assert (summary.venue, summary.account, summary.wall_start) == ("practice", "AB1234", START)
    assert (summary.start, summary.end) == (to_moment(records[0].market_ns), to_moment(records[-1].market_ns))
    assert summary.duration_s == pytest.approx(4.9)
    assert (summary.segments, summary.records, summary.damage) == (1, 50, "")
    assert summary.bytes == sum(file.stat().st_size for file in path.iterdir())
    assert not summary.is_being_written
    segment = path / "000001.tape"
    data = bytearray(segment.read_bytes())
    data[200] ^= 4
    segment.write_bytes(data)
    assert tape_summary(path).damage == ""
    assert "its checksum is wrong" in tape_summary(path, check=True).damage
    with pytest.raises(InvalidInput):
        tape_summary(tmp_path / "nowhere")


def test_a_tape_that_is_being_written_says_so(tmp_path: Path) -> None:
    """Somebody who lists tapes sees which one grows."""
    writer = begin(tmp_path)
    writer.write([TapeRecord(RecordKind.TEXT, 0, START_NS, START_NS, b"x")])
    assert tape_summary(writer.path).is_being_written
    writer.close()
    assert not tape_summary(writer.path).is_being_written
