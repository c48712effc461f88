"""A small engine behind a web door, and a bystander whom no attack may harm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.plain_engine import PlainEngine
from tests.kit.web_door import Bystander, Site, opened_site, unharmed


@pytest.fixture
async def engine() -> PlainEngine:
    """An engine of this test."""
    return PlainEngine()


@pytest.fixture
async def site(engine: PlainEngine, tmp_path: Path) -> AsyncIterator[Site]:
    """Its web door."""
    async with opened_site(engine, tmp_path) as opened:
        yield opened


@pytest.fixture
async def bystander(site: Site) -> AsyncIterator[Bystander]:
    """An honest client that is served before and after whatever the test does."""
    async with unharmed(site) as attached:
        yield attached
