"""MD-2 and MD-3 through the engine: what has no room is said, and no price of a dead path is shown as live."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.client import EngineClient
from engine.core.operations import OperationsView
from engine.core.views import ChainKey
from engine.core.vocabulary import QuoteState
from tests.kit.desk_host import POLL_S, Desk, Exchange, attached, eventually, live_chain, until

ROOM = 60
SILENCE_S = 2.0
"""The exchange beats once a second."""
SILENT_FOR_S = 6.0
HEARD = {QuoteState.LIVE, QuoteState.ONE_SIDED, QuoteState.CROSSED}


def states(client: EngineClient, tokens: Sequence[int]) -> set[QuoteState]:
    """States of quotes now."""
    quotes = (client.quote(token) for token in tokens)
    return {QuoteState.UNKNOWN if quote is None else quote.state for quote in quotes}


async def token_of(client: EngineClient, words: str) -> int:
    """The instrument that words find first."""
    (found, *_) = await client.search(words, 1)
    return found.token


def packets_of(view: OperationsView) -> int:
    """Data packets so far."""
    return sum(item.packets for item in view.connections)


async def refused(client: EngineClient) -> OperationsView:
    """The engine room, once something has no room."""

    async def look() -> OperationsView | None:
        view = await client.operations()
        return view if view.refused else None

    return await eventually(look, "refused instruments")


async def test_md_2_what_has_no_room_is_refused_by_name(desk: Desk) -> None:
    """A chain larger than the feed: what does not fit is listed, the strip stays, and room is used again."""
    desk.changed(engine={"board_slots_max": ROOM})
    async with desk.opened(with_door=True) as host, attached(host) as remote:
        client = host.client
        empty = await client.operations()
        assert (empty.capacity, empty.refused) == (ROOM, ())
        (label, *_) = await client.expiries("NIFTY")
        key = ChainKey("NIFTY", label.expiry)
        await client.watch_chain(key)
        crowded = await refused(client)
        listed = sum(item.count for item in crowded.refused)
        assert {item.consumer for item in crowded.refused} <= {name for name, _ in crowded.consumers}
        assert any("NIFTY" in item.consumer and str(label.expiry) in item.consumer for item in crowded.refused)
        assert crowded.subscribed == ROOM == sum(item.subscribed for item in crowded.connections)
        for item in crowded.refused:
            assert 0 < len(item.instruments) <= item.count
            assert all(name.startswith(("NFO:", "NSE:", "BSE:")) for name in item.instruments)
        assert (await remote.operations()).refused == crowded.refused
        assert any(f"{listed} instruments do not fit" in event.text for event in await client.events())
        index, future = await token_of(client, "NIFTY 50"), await token_of(client, "nifty fut")
        await until(lambda: states(client, [index]) == {QuoteState.LIVE}, "the index beside the crowd")
        await client.unwatch_chain(key)
        await remote.watch([future])
        await until(lambda: states(remote, [future]) <= HEARD, "room for the future")

        async def roomy() -> bool:
            return not (await client.operations()).refused

        await eventually(roomy, "nothing refused")


async def test_md_3_prices_of_a_silent_exchange_are_stale_until_heard_again(desk: Desk) -> None:
    """The socket stays open and says nothing: STALE within the limit, never LIVE meanwhile, replaced, well again."""
    desk.changed(engine={"silence_limit_s": SILENCE_S})
    async with desk.opened(with_door=True) as host, attached(host) as remote:
        client, exchange = host.client, Exchange(host.exchange.root)
        chain = await live_chain(client)
        tokens = [token for side in (chain.calls, chain.puts) for token in side.token.tolist() if token]
        await remote.watch(tokens[:20])
        before = (await client.operations()).connections[0]
        assert (before.state, before.message) == (QuoteState.LIVE, "")
        await exchange.fault("silent_socket", seconds=SILENT_FOR_S)
        loop = host.engine.clock.monotonic
        began = loop()
        await until(lambda: states(client, tokens) == {QuoteState.STALE}, "stale prices", patience_s=SILENCE_S + 2.0)
        assert loop() - began <= SILENCE_S + 1.0
        await until(lambda: client.desk().status.feed.state is QuoteState.STALE, "the stale path on the status line")
        assert {item.state for item in client.desk().strip} <= {QuoteState.STALE, QuoteState.UNKNOWN}
        doctor = {check.name: check for check in (await client.doctor()).checks}
        assert doctor["feed"].outcome == "block"
        await until(lambda: client.desk().status.feed.reconnects >= 1, "another connection")
        looks, packets = 0, packets_of(await client.operations())
        while packets_of(view := await client.operations()) <= packets:
            looks += 1
            counted = view.states
            assert counted["LIVE"] == counted["ONE_SIDED"] == counted["CROSSED"] == 0, "nothing came, and some are live"
            assert {item.state for item in view.connections} == {QuoteState.STALE}, "up again, and mute"
            assert loop() - began < 4 * SILENT_FOR_S
            await asyncio.sleep(POLL_S)
        assert looks > 1
        await until(lambda: states(client, tokens) <= HEARD, "prices again")
        await until(lambda: states(remote, tokens[:20]) <= HEARD, "prices again, over the door")
        after = (await client.operations()).connections[0]
        assert after.silent_replaced > before.silent_replaced
        assert after.reconnects > before.reconnects
        assert after.state is QuoteState.LIVE
        told = " ".join(event.text for event in await client.events())
        assert "nothing was heard" in told
        await exchange.fault("close_sockets")
        await until(lambda: client.desk().status.feed.reconnects > after.reconnects, "another connection")
        await until(lambda: states(client, tokens) <= HEARD, "prices after a loss")
