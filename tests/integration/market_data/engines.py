"""Engines in processes of their own, looked at through their doors."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from engine.server.remote_client import RemoteClient
from tests.integration.commands.console import Headless


@contextlib.asynccontextmanager
async def attached_to(engine: Headless) -> AsyncIterator[RemoteClient]:
    """A client at a headless engine's door."""
    client = await RemoteClient.attach(Path(engine.ready["socket"]))
    try:
        yield client
    finally:
        await client.close()
