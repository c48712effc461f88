"""The append-only file: whole frames or none, torn tails, compaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.practice.book import Book, BookError, ClockRecord, PostRecord, Record, TradeRecord, VenueRecord
from engine.practice.orders import Trade

FIRST: list[Record] = [VenueRecord(7, "generated", 100.0)]
SECOND: list[Record] = [
    TradeRecord(Trade("1", "2", "3", "NFO", "X", 4, "NRML", "BUY", 65, 10_000, 101.0)),
    ClockRecord(101.0),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the book lies."""
    return tmp_path / "book.journal"


@pytest.fixture
def written(path: Path) -> Path:
    """A closed book of two frames."""
    book = Book(path)
    book.append(FIRST, durable=True)
    book.append(SECOND, durable=True)
    book.close()
    return path


def replayed(path: Path) -> tuple[list[Record], int]:
    """Return the records of a book and how many bytes were cut off."""
    book = Book(path)
    try:
        return book.replay(), book.truncated
    finally:
        book.close()


def test_records_come_back_in_order(written: Path) -> None:
    """What was appended is replayed, oldest first."""
    assert replayed(written) == ([*FIRST, *SECOND], 0)


def test_a_torn_tail_is_cut_at_every_byte(written: Path) -> None:
    """However much of the last frame is missing, it is dropped as a whole and everything before it is kept."""
    whole = written.read_bytes()
    book = Book(written.with_name("one"))
    book.append(FIRST, durable=True)
    book.close()
    first = len(written.with_name("one").read_bytes())
    for length in range(first + 1, len(whole)):
        written.write_bytes(whole[:length])
        assert replayed(written) == (FIRST, length - first)
        assert len(written.read_bytes()) == first
    written.write_bytes(whole)


def test_a_flipped_bit_ends_the_replay_there(written: Path) -> None:
    """A frame whose checksum is wrong is not believed."""
    content = bytearray(written.read_bytes())
    content[-3] ^= 1
    written.write_bytes(bytes(content))
    records, truncated = replayed(written)
    assert records == FIRST
    assert truncated > 0


def test_writing_goes_on_after_a_cut(written: Path) -> None:
    """New records follow the last whole frame."""
    written.write_bytes(written.read_bytes()[:-1])
    book = Book(written)
    book.replay()
    book.append([PostRecord(1, "t")], durable=True)
    book.close()
    assert replayed(written)[0] == [*FIRST, PostRecord(1, "t")]


def test_compaction_replaces_the_content(written: Path) -> None:
    """After compaction only the given records are there, and appending goes on in the new file."""
    book = Book(written)
    book.replay()
    book.compact(FIRST)
    book.append([ClockRecord(5.0)], durable=False)
    book.close()
    assert replayed(written)[0] == [*FIRST, ClockRecord(5.0)]


def test_a_frame_of_another_version_is_named(path: Path) -> None:
    """A whole frame that cannot be understood stops the start with a sentence, not with a lost order."""
    book = Book(path)
    book.append(FIRST, durable=True)
    book.close()
    content = path.read_bytes().replace(b'"venue"', b'"vanue"')
    import zlib

    payload = content[8:]
    path.write_bytes(content[:4] + zlib.crc32(payload).to_bytes(4, "big") + payload)
    with pytest.raises(BookError, match="Move it away"):
        replayed(path)


def test_an_empty_folder_makes_an_empty_book(tmp_path: Path) -> None:
    """The file and its folder are made when they are not there, readable by the owner alone."""
    path = tmp_path / "deep" / "book.journal"
    assert replayed(path) == ([], 0)
    assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_or_foreign_file_is_refused_and_kept(tmp_path: Path) -> None:
    """Bytes that no dying process can have left are never cut away."""
    foreign = tmp_path / "book.journal"
    foreign.write_bytes(b"this is somebody's diary, not a book of orders")
    book = Book(foreign)
    with pytest.raises(BookError, match="not a book"):
        book.replay()
    book.close()
    assert foreign.read_bytes().startswith(b"this is somebody's diary")
