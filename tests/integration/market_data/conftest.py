"""Market data from end to end, on desks of the run's one database server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, new_console
from tests.kit.database import postgres_server
from tests.kit.desk_host import desk, shared_host

__all__ = ["console", "desk", "postgres_server", "shared_host"]


@pytest.fixture
def console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A console of the test's own; no engine runs yet."""
    with new_console(postgres_server, request.node.nodeid) as made:
        yield made
