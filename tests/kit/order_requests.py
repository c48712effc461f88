"""Orders that tests of the way out give, and what has to be known of the exchange before they are counted."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from engine.core.errors import RateLimited
from engine.core.orders import OrderRequest
from engine.core.vocabulary import Side
from tests.kit.desk_host import Option, live_chain
from workstation.assembly import Host


async def resting_request(host: Host) -> OrderRequest:
    """A buy that rests."""
    option = Option(await live_chain(host.client), "ce")
    instrument = host.engine.day.index.get(option.token)
    assert instrument is not None
    return OrderRequest(instrument=instrument.key, side=Side.BUY, quantity=option.lot, price=option.low)


SETTLED_S = 0.25
"""So far into a second no guard of the one before counts any more."""


async def in_a_fresh_second() -> None:
    """Wait until a second that nothing was sent in is under way; its clock is known."""
    await asyncio.sleep(2.0 - time.time() % 1.0 + SETTLED_S)


async def know_its_clock(host: Host) -> None:
    """Ask until the exchange's clock is known better than the guard: each answer tells its second."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 15
    own = host.engine.parts.accounts[0]
    while (own.server_uncertainty_s() or 1.0) > host.engine.parts.execution.budget.guard_s / 2:
        assert loop.time() < deadline, "the exchange's clock stays uncertain"
        # A refusal for speed tells its second too.
        with suppress(RateLimited):
            await host.client.funds()
        await asyncio.sleep(0.03)
