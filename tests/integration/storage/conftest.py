"""Fixtures of the storage tests that need a server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.embedded import EmbeddedPostgres
from tests.kit.database import database, database_dsn, empty_database_dsn, postgres_server

__all__ = ["database", "database_dsn", "empty_database_dsn", "postgres_server"]

MakeServer = Callable[..., EmbeddedPostgres]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path that any user may pass through; its content is its own affair."""
    made = Path(tempfile.mkdtemp(prefix="ws-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def cluster_to_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a server has run once; copying it is quicker than making one."""
    root = tmp_path_factory.mktemp("cluster") / "pg"
    with EmbeddedPostgres(root, max_connections=20, test_mode=True, runtime_folder=Path(tempfile.gettempdir())):
        pass
    return root


@pytest.fixture
def make_server(folder: Path) -> Iterator[MakeServer]:
    """Makes clients of servers (by default of one in ``folder / "pg"``) that all have left when the test ends."""
    made: list[EmbeddedPostgres] = []

    def make(root: Path | None = None, **settings: object) -> EmbeddedPostgres:
        values: dict[str, object] = {"max_connections": 20, "test_mode": True, "runtime_folder": folder} | settings
        server = EmbeddedPostgres(root or folder / "pg", **values)  # type: ignore[arg-type]
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def made_folder(folder: Path, cluster_to_copy: Path) -> Path:
    """A data folder with a cluster in it that does not run."""
    root = folder / "pg"
    shutil.copytree(cluster_to_copy, root)
    return root


@pytest.fixture
def as_root() -> None:
    """Skip a test that only the machine's root can carry out."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
