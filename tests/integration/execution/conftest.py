"""Whole desks on the run's one database server."""

from __future__ import annotations

from tests.kit.database import postgres_server
from tests.kit.desk_host import desk, shared_host

__all__ = ["desk", "postgres_server", "shared_host"]
