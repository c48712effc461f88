"""Commands on desks of the run's one database server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, Headless, new_console
from tests.kit.database import postgres_server

__all__ = ["console", "postgres_server", "shared_console"]


@pytest.fixture
def console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A console of the test's own; no engine runs yet."""
    with new_console(postgres_server, request.node.nodeid) as made:
        yield made


@pytest.fixture(scope="module")
def shared_console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A console with a running engine, for all tests of a module that do not disturb each other."""
    with new_console(postgres_server, request.node.nodeid) as made, made.engine():
        yield made


@pytest.fixture
def headless(console: Console) -> Iterator[Headless]:
    """A headless engine on the test's console."""
    with console.engine() as engine:
        yield engine
