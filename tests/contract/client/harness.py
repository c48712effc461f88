"""What the contract suite needs to know of an engine behind a client.

To run the suite over another implementation, write one more fixture that yields a ``ClientHarness`` and name it in
``IMPLEMENTATIONS`` of ``conftest.py``. An engine may be shared: a test finds nothing watched and nothing under way, but
orders, fills and strategies of others may stand in the lists.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from engine.client import EngineClient
from engine.core.errors import RateLimited
from engine.core.orders import OrderRequest
from engine.core.plans import PlanNumber
from engine.core.views import ChainKey

T = TypeVar("T")
PATIENCE_S = 10.0
PAUSE_S = 0.2


async def within_limits(ask: Callable[[], Awaitable[T]]) -> T:
    """An answer of the broker's, asked for again while it has been asked too often: the engine itself asks as well."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await ask()
            except RateLimited:
                await asyncio.sleep(PAUSE_S)


@dataclass(frozen=True, slots=True)
class ClientHarness:
    """A client under test, and handles to move what is behind it."""

    client: EngineClient
    chain_key: ChainKey
    """A chain that exists and that nobody watches at the beginning."""
    alias: str
    """Another name of its underlying."""
    request: OrderRequest
    """An order that passes all checks and may fill at once."""
    sentence: str
    """A sentence that means an order."""
    change_row: Callable[[int], Awaitable[None]]
    """Let the contracts of one row of the watched chain trade at other prices."""
    change_desk: Callable[[], Awaitable[None]]
    """Let something happen that the desk shows."""
    make_plan: Callable[[], Awaitable[PlanNumber]]
    """Let there be a plan that is not over, and return its number."""
    untouched: Callable[[], Awaitable[ChainKey]]
    """A chain that nobody has ever watched."""
