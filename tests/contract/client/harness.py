"""What the contract suite needs to know of an engine behind a client.

To run the suite over another implementation, write one more asynchronous context manager that yields a
``ClientHarness`` and name it in ``IMPLEMENTATIONS`` of ``conftest.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from engine.client import EngineClient
from engine.core.orders import OrderRequest
from engine.core.views import ChainKey


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
