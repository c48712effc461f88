"""A small engine behind a real door, and ways to reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.server.local_door import LocalDoor
from engine.server.remote_client import RemoteClient
from tests.kit.local_door import RawClient, opened_door, short_folder
from tests.kit.plain_engine import PlainEngine


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for sockets."""
    with short_folder() as made:
        yield made


@pytest.fixture
async def engine() -> PlainEngine:
    """An engine of this test."""
    return PlainEngine()


@pytest.fixture
async def door(engine: PlainEngine, folder: Path) -> AsyncIterator[LocalDoor]:
    """Its door."""
    async with opened_door(engine, folder / "engine.sock") as opened:
        yield opened


@pytest.fixture
async def raw(door: LocalDoor) -> AsyncIterator[RawClient]:
    """A client that speaks by hand."""
    async with await RawClient.attach(door.path) as client:
        yield client


@pytest.fixture
async def remote(door: LocalDoor) -> AsyncIterator[RemoteClient]:
    """The real client."""
    client = await RemoteClient.attach(door.path)
    yield client
    await client.close()
