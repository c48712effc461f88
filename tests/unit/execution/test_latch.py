"""The latch: seen by whoever sends, damaged or not, and never lost to a slower writer."""

from __future__ import annotations

import fcntl
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.errors import SetupError, Withheld
from engine.core.identifiers import AccountId
from engine.core.locks import LockKind
from engine.execution.latch import ALL_ACCOUNTS, MUTEX, Latch, LatchFolder, LatchWatch, decode_latch, encode_latch
from engine.execution.locks_book import LockBook
from tests.unit.execution.desk import ManualClock

ACCOUNT = AccountId("AB1234")
OTHER = AccountId("CD5678")


@pytest.fixture
def folder(tmp_path: Path) -> LatchFolder:
    """A venue's latches; the folder is not there yet."""
    return LatchFolder(tmp_path / "latches" / "practice", secrets.token_bytes)


def test_nothing_is_latched_where_nothing_was_ever_written(folder: LatchFolder) -> None:
    """No folder and no file: not latched, and looking makes neither."""
    assert LatchWatch(folder, ACCOUNT).look() is None
    assert not folder.folder.exists()


def test_a_latch_of_another_process_is_seen_at_the_next_look(folder: LatchFolder) -> None:
    """Set by one, seen by the other with who and why; the epoch has grown, once."""
    watch = LatchWatch(folder, ACCOUNT)
    assert watch.look() is None
    folder.set(ACCOUNT, by="workstation kill", words="flattens")
    latch = watch.look()
    assert latch is not None
    assert (latch.kind, latch.by, latch.words) == (LockKind.KILL, "workstation kill", "flattens")
    assert watch.epoch == 1
    watch.look()
    assert watch.epoch == 1


def test_an_own_latch_is_no_new_epoch(folder: LatchFolder) -> None:
    """What this engine set itself does not make it distrust its own decisions."""
    watch = LatchWatch(folder, ACCOUNT)
    watch.set(by="terminal", words="pulled")
    assert watch.look() is not None
    assert watch.epoch == 0
    assert not watch.is_foreign


def test_a_latch_of_another_account_is_not_ours(folder: LatchFolder) -> None:
    """Accounts are latched one by one."""
    folder.set(OTHER, by="workstation kill", words="")
    assert LatchWatch(folder, ACCOUNT).look() is None


def test_the_latch_of_all_is_everybodys(folder: LatchFolder) -> None:
    """Set before anybody knew which accounts there are."""
    folder.set(ALL_ACCOUNTS, by="workstation kill", words="")
    assert LatchWatch(folder, ACCOUNT).look() is not None
    assert LatchWatch(folder, OTHER).look() is not None


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"\xff\xfe", b"x" * 5_000_000], ids=["empty", "object", "bytes", "long"]
)
def test_a_damaged_latch_counts_as_latched(folder: LatchFolder, damage: bytes) -> None:
    """Whatever lies there: it blocks, says why, and can be cleared by whoever has seen it."""
    folder.folder.mkdir(parents=True)
    folder.path(ACCOUNT).write_bytes(damage)
    watch = LatchWatch(folder, ACCOUNT)
    latch = watch.look()
    assert latch is not None
    assert "cannot be read" in latch.words
    assert watch.clear()
    assert watch.look() is None


def test_one_changed_byte_is_noticed() -> None:
    """The checksum is over what is said."""
    data = encode_latch(Latch(kind=LockKind.KILL, since=datetime.now(UTC), by="a", words="flattens", id="1"))
    assert decode_latch(data) is not None
    assert decode_latch(data.replace(b"flattens", b"flattenz")) is None


def test_a_latch_in_the_place_of_a_folder_counts_as_latched(folder: LatchFolder) -> None:
    """A path that cannot be read as a file is no way around it."""
    folder.path(ACCOUNT).mkdir(parents=True)
    assert LatchWatch(folder, ACCOUNT).look() is not None


def test_only_what_was_seen_is_cleared(folder: LatchFolder) -> None:
    """A kill that came meanwhile is a later wish than the unlocking."""
    first = folder.set(ACCOUNT, by="a", words="")
    folder.set(ACCOUNT, by="b", words="")
    assert not folder.clear(ACCOUNT, first)
    latch = folder.read(ACCOUNT)
    assert latch is not None
    assert latch.by == "b"


def test_a_stopped_writer_does_not_keep_a_latch_from_being_set(folder: LatchFolder) -> None:
    """Somebody holds the writers' lock for ever: the kill switch is set all the same."""
    folder.folder.mkdir(parents=True)
    held = os.open(folder.folder / MUTEX, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        folder.set(ACCOUNT, by="workstation kill", words="")
    finally:
        os.close(held)
    assert LatchWatch(folder, ACCOUNT).look() is not None


def test_a_disk_that_does_not_take_it_is_said(tmp_path: Path) -> None:
    """The error names the file; nothing pretends."""
    (tmp_path / "latches").write_text("a file where a folder should be")
    with pytest.raises(SetupError, match="cannot be written"):
        LatchFolder(tmp_path / "latches" / "practice", secrets.token_bytes).set(ACCOUNT, by="a", words="")


def test_accounts_with_strange_names_have_files_of_their_own(folder: LatchFolder) -> None:
    """A name is never a path."""
    strange = AccountId("../../etc/x")
    folder.set(strange, by="a", words="")
    assert folder.path(strange).parent == folder.folder
    assert LatchWatch(folder, strange).look() is not None


def test_locks_outlive_the_engine_and_a_damaged_file_is_a_hold(folder: LatchFolder) -> None:
    """The hold is there after a restart; a file nobody can read holds too."""
    clock = ManualClock()
    LockBook(ACCOUNT, folder, clock).hold("terminal")
    again = LockBook(ACCOUNT, folder, clock)
    assert [view.kind for view in again.views()] == [LockKind.HOLD]
    assert again.release()
    assert LockBook(ACCOUNT, folder, clock).views() == ()
    (folder.folder / "AB1234.locks").write_bytes(b"{")
    damaged = LockBook(ACCOUNT, folder, clock)
    assert [view.kind for view in damaged.views()] == [LockKind.HOLD]
    assert "cannot be read" in damaged.views()[0].words


def test_what_was_decided_before_a_foreign_kill_may_not_leave(folder: LatchFolder) -> None:
    """Exits of an earlier epoch neither; those decided after it may, entries may not."""
    book = LockBook(ACCOUNT, folder, ManualClock())
    before = book.epoch
    assert book.withheld(is_entry=True, epoch=before) == ""
    folder.set(ACCOUNT, by="workstation kill", words="")
    assert "another process" in book.withheld(is_entry=False, epoch=before)
    with pytest.raises(Withheld):
        book.last_look(is_entry=False, epoch=before)()
    assert book.withheld(is_entry=False, epoch=book.epoch) == ""
    assert book.withheld(is_entry=True, epoch=book.epoch) == "kill is on"
