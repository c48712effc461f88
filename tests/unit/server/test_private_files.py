"""Private files: replaced whole, closed to others, refused when they are not, and one writer at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine.core.errors import SetupError
from engine.server.private_files import FILE_BYTES_MAX, PrivateFolder

NAME = "some.json"
ANOTHER_USER = 12_345


@pytest.fixture
def folder(tmp_path: Path) -> PrivateFolder:
    """A folder that is not there yet."""
    return PrivateFolder(tmp_path / "private", lock_wait_s=0.05)


def written(folder: PrivateFolder, data: bytes = b"one") -> Path:
    """A file in the folder."""
    with folder.locked():
        folder.write(NAME, data)
    return folder.path / NAME


def test_what_was_written_is_read(folder: PrivateFolder) -> None:
    """Before the first writing there is nothing, and that is no error."""
    assert folder.read(NAME) is None
    assert folder.stamp(NAME) is None
    written(folder)
    assert folder.read(NAME) == b"one"


def test_modes_do_not_depend_on_the_mask_of_the_process(folder: PrivateFolder) -> None:
    """Even where everything is open to everybody, this is not."""
    previous = os.umask(0)
    try:
        written(folder)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.path.iterdir()} == {0o600}


def test_a_replaced_file_has_another_stamp(folder: PrivateFolder) -> None:
    """Even with the same length within the same moment."""
    written(folder)
    before = folder.stamp(NAME)
    assert folder.stamp(NAME) == before
    written(folder, b"two")
    assert folder.stamp(NAME) != before


def test_the_half_written_file_of_a_killed_writer_is_no_harm(folder: PrivateFolder) -> None:
    """Readers never see it, not even when it is a trap, and the next writer takes it away."""
    path = written(folder)
    trap = path.with_name("trap")
    path.with_name(NAME + ".new").symlink_to(trap)
    assert folder.read(NAME) == b"one"
    written(folder, b"two")
    assert folder.read(NAME) == b"two"
    assert not trap.exists()
    assert {file.name for file in folder.path.iterdir()} == {NAME, "lock"}


def test_a_failed_write_leaves_the_file_as_it_was(folder: PrivateFolder) -> None:
    """The name is taken by a folder: the words say so, and no half-written file stays."""
    with folder.locked():
        (folder.path / NAME).mkdir()
        with pytest.raises(SetupError, match="cannot be written"):
            folder.write(NAME, b"one")
    assert {file.name for file in folder.path.iterdir()} == {NAME, "lock"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666, 0o644])
def test_a_file_open_to_others_is_refused(folder: PrivateFolder, mode: int) -> None:
    """The words say what to do; it is not repaired in silence."""
    path = written(folder)
    path.chmod(mode)
    with pytest.raises(SetupError, match=f"Others may use .* \\(mode {mode:o}\\).*chmod 600"):
        folder.read(NAME)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777])
def test_a_folder_open_to_others_is_refused(folder: PrivateFolder, mode: int) -> None:
    """For reading and for writing: who may write there may put another file in its place."""
    written(folder)
    folder.path.chmod(mode)
    with pytest.raises(SetupError, match="chmod 700"):
        folder.read(NAME)
    with pytest.raises(SetupError, match="chmod 700"):
        written(folder)
    folder.path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", [NAME, "."])
def test_a_file_or_folder_of_another_user_is_refused(folder: PrivateFolder, name: str) -> None:
    """Its owner could read and change it at any time."""
    written(folder)
    os.chown(folder.path / name, ANOTHER_USER, -1)
    with pytest.raises(SetupError, match="belongs to another user"):
        folder.read(NAME)


def test_a_link_is_not_followed(folder: PrivateFolder, tmp_path: Path) -> None:
    """Neither for the file nor for its folder."""
    path = written(folder)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SetupError, match="cannot be read"):
        folder.read(NAME)
    link = tmp_path / "link"
    link.symlink_to(folder.path)
    with pytest.raises(SetupError, match="not a folder"):
        PrivateFolder(link).read(NAME)


def test_what_is_no_plain_file_is_refused_at_once(folder: PrivateFolder) -> None:
    """A pipe would let the reader wait for ever."""
    with folder.locked():
        os.mkfifo(folder.path / NAME, 0o600)
    with pytest.raises(SetupError, match="not a plain file"):
        folder.read(NAME)


def test_a_giant_is_refused(folder: PrivateFolder) -> None:
    """It is not read into memory as a whole."""
    path = written(folder)
    with path.open("r+b") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    with pytest.raises(SetupError, match="longer than"):
        folder.read(NAME)


def test_one_writer_at_a_time(folder: PrivateFolder) -> None:
    """A second one waits for its patience and then says who is in the way; afterwards it may."""
    with folder.locked(), pytest.raises(SetupError, match="Another process has held"), folder.locked():
        raise AssertionError("two writers at once")
    with folder.locked():
        folder.write(NAME, b"after")
    assert folder.read(NAME) == b"after"


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    """The words name it."""
    (tmp_path / "private").touch()
    with pytest.raises(SetupError, match="private cannot be used"), PrivateFolder(tmp_path / "private").locked():
        raise AssertionError("a file was used as a folder")
