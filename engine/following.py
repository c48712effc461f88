"""Endless sequences of what happens, for scripts: ``async for order in follow_orders(engine): …``."""

from __future__ import annotations

from collections.abc import AsyncIterator

from engine.client import EngineClient
from engine.core.events import EngineEvent
from engine.core.orders import OrderRecord


async def follow_orders(engine: EngineClient) -> AsyncIterator[OrderRecord]:
    """Every order as it stands now, then every change of any, in order and none left out.

    After a lost link that came back all orders are given once more, as they stand then.

    Raises:
        EngineGone: the link to the engine is lost for good.
    """
    place: int | None = None
    while True:
        changes = await engine.next_orders(place)
        place = changes.sequence
        for record in changes.orders:
            yield record


async def follow_events(engine: EngineClient) -> AsyncIterator[EngineEvent]:
    """The events that are kept, then every new one; as ``follow_orders``.

    Raises:
        EngineGone: the link to the engine is lost for good.
    """
    place: int | None = None
    while True:
        changes = await engine.next_events(place)
        place = changes.sequence
        for event in changes.events:
            yield event
