"""The file of the socket: one owner, closed to others, and only our own leftovers are removed."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.errors import SetupError
from engine.server.socket_file import SocketFile, is_alive, peer_user
from tests.kit.local_door import short_folder


@pytest.fixture
def path() -> Iterator[Path]:
    """A place for a socket."""
    with short_folder() as folder:
        yield folder / "e.sock"


def test_the_owner_keeps_others_out_until_it_lets_go(path: Path) -> None:
    """The claim holds even before anybody listens, and ends with ``remove``."""
    first, second = SocketFile(path), SocketFile(path)
    with first.listen():
        with pytest.raises(SetupError, match="Another engine"):
            second.listen()
        second.remove()
        assert path.exists()
    first.remove()
    assert not path.exists()
    with second.listen():
        pass
    second.remove()


def test_the_mode_does_not_depend_on_the_mask_of_the_process(path: Path) -> None:
    """Even where everything is open to everybody the socket and its lock are not."""
    previous = os.umask(0)
    try:
        with SocketFile(path).listen():
            assert os.umask(0) == 0, "the mask of the process was not put back"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.with_name("e.sock.lock").stat().st_mode) == 0o600
    finally:
        os.umask(previous)


def test_a_link_in_the_place_of_the_lock_is_not_followed(path: Path) -> None:
    """Nobody can make us open a file of theirs."""
    target = path.with_name("target")
    path.with_name("e.sock.lock").symlink_to(target)
    with pytest.raises(SetupError, match="Cannot listen"):
        SocketFile(path).listen()
    assert not target.exists()


def test_a_link_in_the_place_of_the_socket_is_left_alone(path: Path) -> None:
    """A symbolic link is not a socket, whatever it points to."""
    path.symlink_to(path.with_name("target"))
    with pytest.raises(SetupError, match="not a socket"):
        SocketFile(path).listen()
    assert path.is_symlink()


def test_a_full_queue_still_means_that_somebody_is_there(path: Path) -> None:
    """A busy engine is not taken for a dead one, and asking does not wait."""
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = []
        try:
            for _ in range(5):
                client = socket.socket(socket.AF_UNIX)
                client.setblocking(False)
                waiting.append(client)
                client.connect_ex(str(path))
            assert is_alive(path)
        finally:
            for client in waiting:
                client.close()


def test_nothing_and_files_are_not_alive(path: Path) -> None:
    """Only a listener is."""
    assert not is_alive(path)
    path.write_text("x", encoding="utf-8")
    assert not is_alive(path)


def test_the_kernel_names_the_other_side() -> None:
    """A connected socket tells whose process is at its other end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_user(ours) in {os.geteuid(), None}
    assert peer_user(None) is None
