"""Tapes played by whole desks, and what such a desk has left in its database."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np

from engine.client import EngineClient
from engine.core.replay import ReplayAction, ReplayView
from engine.core.views import ChainKey, ChainView
from storage.databases import with_database
from storage.embedded import EmbeddedPostgres
from tests.kit.desk_host import Desk, eventually, new_desk, until
from tests.kit.practice_tapes import RecordedMarket
from workstation.assembly import Host

FASTEST = 60.0

PRICE_BARS = """
SELECT named.exchange::text, named.tradingsymbol, bar.start, bar.open, bar.high, bar.low, bar.close, bar.volume,
    bar.open_interest, bar.source
FROM price_bars AS bar JOIN price_instruments AS named USING (instrument_id)
ORDER BY 1, 2, 3
"""
MONEY_CANDLES = """
SELECT strategy, minute, open, high, low, close, samples FROM strategy_candles ORDER BY strategy, minute
"""

Rows = list[tuple[Any, ...]]


def made_tape(folder: Path, name: str, seconds: int, *, strikes: int = 6, **more: Any) -> Path:
    """A tape of a made-up market; ``name`` keeps its venue apart from those of other tests."""
    market = RecordedMarket(strikes=strikes)
    return market.write(folder, market.records(seconds, **more), name=name)


@contextlib.contextmanager
def replay_desk(server: EmbeddedPostgres, tape: Path) -> Iterator[Desk]:
    """A desk on a tape; two of one tape share a venue, so they must follow each other."""
    with new_desk(server, str(tape), kind="replay", tape=str(tape), speed=FASTEST) as desk:
        yield desk


@contextlib.asynccontextmanager
async def replaying(server: EmbeddedPostgres, tape: Path) -> AsyncIterator[tuple[Desk, Host]]:
    """An open desk on a tape that has not been touched yet."""
    with replay_desk(server, tape) as desk:
        async with desk.opened() as host:
            yield desk, host


async def narrow_chain(client: EngineClient) -> ChainView:
    """Watch the nearest chain, of which a tape has the middle alone, until the middle is there."""
    (label, *_) = await client.expiries("NIFTY")
    key = ChainKey("NIFTY", label.expiry)
    await client.watch_chain(key)

    async def look() -> ChainView | None:
        view = client.chain(key)
        if view is None or view.header.atm_strike is None:
            return None
        middle = int(np.argmin(np.abs(view.strikes - view.header.atm_strike)))
        return view if all(side.ask[middle] > side.bid[middle] > 0 for side in (view.calls, view.puts)) else None

    return await eventually(look, "the middle of the chain")


async def comes_to_be(client: EngineClient, *states: str) -> ReplayView:
    """Wait until the tape is in one of some states."""

    async def look() -> ReplayView | None:
        view = await client.replay()
        return view if view.state in states else None

    return await eventually(look, f"the tape {' or '.join(states)}", patience_s=60.0)


async def sought(client: EngineClient, moment: datetime) -> ReplayView:
    """Bring the tape to a moment, where it stands, and wait until the engine stands there too."""
    await client.replay(ReplayAction(play=False, seek=moment))
    view = await comes_to_be(client, "paused", "ended")
    await until(lambda: client.desk().status.session.market_time == view.now, f"the engine at {view.now}")
    return view


async def played_out(client: EngineClient, speed: float = FASTEST) -> ReplayView:
    """Play to the end."""
    await client.replay(ReplayAction(play=True, speed=speed))
    return await comes_to_be(client, "ended")


async def rows_of(desk: Desk, query: str) -> Rows:
    """What a query says of a desk's database."""
    connection = await asyncpg.connect(with_database(desk.server_dsn, desk.database))
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()
