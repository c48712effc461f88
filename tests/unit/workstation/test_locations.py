"""Where things lie: one data folder, closed to others, with sockets in a path that the kernel takes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.errors import SetupError
from tests.kit.local_door import short_folder
from workstation.locations import SOCKET_PATH_BYTES_MAX, Locations, configuration_file, data_folder


@pytest.fixture(autouse=True)
def shared() -> Iterator[Path]:
    """A folder of this test in the place of the one that all programs share."""
    with short_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("workstation.locations.SHORT_FOLDER", folder)
        yield folder


@pytest.fixture
def far(tmp_path: Path) -> Locations:
    """A data folder with a path too long for sockets."""
    return Locations(tmp_path / ("x" * 100) / "data")


def mode(folder: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(folder.stat().st_mode)


def test_a_short_data_folder_holds_its_sockets() -> None:
    """They lie beside the rest."""
    assert Locations(Path("/srv/w")).socket("practice") == Path("/srv/w/run/practice.sock")


def test_a_long_path_gives_a_short_folder_for_sockets(far: Locations) -> None:
    """Bound by the kernel, the same at every call, another one for every data folder."""
    path = far.socket("practice-0123456789")
    assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX
    assert path == Locations(far.data).socket("practice-0123456789")
    assert Locations(far.data / "other").run != far.run


def test_the_folder_for_sockets_does_not_depend_on_the_shell(far: Locations, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine started under one environment is found under another."""
    before = far.run
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/4711")
    monkeypatch.setenv("TMPDIR", "/var/tmp")  # noqa: S108 - only named
    assert far.run == before


def test_folders_are_made_closed_to_others(tmp_path: Path, far: Locations) -> None:
    """Under any mask of the process."""
    previous = os.umask(0)
    try:
        for locations in (Locations(tmp_path / "data"), far):
            locations.make()
            for folder in (locations.data, locations.logs, locations.run):
                assert mode(folder) == 0o700
    finally:
        os.umask(previous)


def test_an_open_folder_for_sockets_is_closed(tmp_path: Path) -> None:
    """A folder left open by an earlier life."""
    locations = Locations(tmp_path / "data")
    locations.run.mkdir(parents=True)
    locations.run.chmod(0o777)
    locations.make()
    assert mode(locations.run) == 0o700


def test_a_link_in_the_place_of_the_folder_for_sockets_is_refused(tmp_path: Path) -> None:
    """Sockets are not made where somebody else points us."""
    locations = Locations(tmp_path / "data")
    locations.data.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    locations.run.symlink_to(elsewhere)
    with pytest.raises(SetupError, match="link"):
        locations.make()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """A folder that another user made in a shared place is not trusted."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser can make a folder of another user")
    locations = Locations(tmp_path / "data")
    locations.run.mkdir(parents=True)
    os.chown(locations.run, 65_534, 65_534)
    with pytest.raises(SetupError, match="another user"):
        locations.make()


def test_a_file_in_the_place_of_the_data_folder_is_refused(tmp_path: Path) -> None:
    """In words, whether it is the folder itself or above it."""
    (tmp_path / "data").write_text("", encoding="utf-8")
    for folder in (tmp_path / "data", tmp_path / "data" / "below"):
        with pytest.raises(SetupError, match="not a folder"):
            Locations(folder).make()


def test_making_twice_is_making_once(tmp_path: Path) -> None:
    """Every start does it."""
    locations = Locations(tmp_path / "data")
    locations.make()
    locations.make()
    assert locations.running_sockets() == ()


def test_only_sockets_are_listed(tmp_path: Path) -> None:
    """Their locks are not."""
    locations = Locations(tmp_path / "data")
    locations.make()
    for name in ("practice.sock", "practice.sock.lock", "note.txt"):
        (locations.run / name).touch()
    assert locations.running_sockets() == (locations.run / "practice.sock",)


def test_the_argument_wins_over_the_variable_and_that_over_the_platform(tmp_path: Path) -> None:
    """For the data folder."""
    environment = {"WORKSTATION_DATA": str(tmp_path / "variable")}
    assert data_folder(tmp_path / "argument", environment) == tmp_path / "argument"
    assert data_folder(None, environment) == tmp_path / "variable"
    assert data_folder(None, {}).name == "workstation"
    assert data_folder(Path("relative"), {}).is_absolute()


def test_a_named_configuration_file_must_exist_and_the_platforms_need_not(tmp_path: Path) -> None:
    """Whoever names a file wants it read."""
    named = tmp_path / "mine.toml"
    assert configuration_file(named, {}) == (named, True)
    assert configuration_file(None, {"WORKSTATION_CONFIG": str(named)}) == (named, True)
    path, required = configuration_file(None, {})
    assert (path.name, required) == ("config.toml", False)
