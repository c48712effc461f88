"""N12 on the practice exchange: a halted market reads HALTED, never STALE; entries wait, exits are sent."""

from __future__ import annotations

import asyncio

from engine.client import EngineClient
from engine.core.orders import OrderState
from engine.core.views import ChainKey, ChainView
from engine.core.vocabulary import QuoteState
from engine.market.halts import HaltSettings
from tests.kit.desk_host import Desk, Exchange, Option, attached, comes_to, eventually, filled, live_chain, say, until

QUICK = HaltSettings(look_s=0.3, still_s=4.5, lively_share=0.5, looks=2)
"""A busy machine keeps the exchange from its steps for more than a second, so a stillness is longer than a silence that
makes the feed suspect, and the last change, however long it took, speaks for a lively market."""
TIMES = 3
"""A look before the second change and one after it have seen different prices."""


async def another_look(client: EngineClient, key: ChainKey) -> None:
    """Wait until prices have changed and the market was looked at in the meantime."""

    def prices() -> bytes:
        view = client.chain(key)
        assert view is not None
        return b"".join(column.tobytes() for side in (view.calls, view.puts) for column in (side.bid, side.ask))

    loop = asyncio.get_running_loop()
    seen, from_s = prices(), loop.time()
    await until(lambda: prices() != seen and loop.time() - from_s > 2 * QUICK.look_s, "a market that moves")


async def test_n_12_a_halted_market_is_a_state_of_the_market(desk: Desk) -> None:
    """Said in the status and over the chain, here and at the door, on a living feed; an entry is refused with it, an
    exit rests at the exchange and trades when the halt is over, and then nothing is left of it.
    """
    desk.changed(engine={"halts": QUICK})
    async with desk.opened(with_door=True) as host, attached(host) as remote:
        client, exchange = host.client, Exchange(host.exchange.root)
        view = await live_chain(client)
        option = Option(view, "ce", 1)
        await filled(client, f"buy 1L {option.words} @ ask+2")
        await remote.watch_chain(view.key)
        for _ in range(TIMES):
            await another_look(client, view.key)
        assert client.desk().status.halts == ()
        await exchange.ask("POST", "/practice/halt", {"on": True})

        def chain() -> ChainView:
            shown = client.chain(view.key)
            assert shown is not None
            return shown

        await until(lambda: client.desk().status.halts and chain().header.halt, "the halt")
        status = client.desk().status
        assert "NSE F&O may be HALTED" in status.halts[0]
        assert chain().header.halt == status.halts[0]
        assert status.feed.state is QuoteState.LIVE
        assert set(chain().calls.state.tolist()) <= {QuoteState.LIVE, QuoteState.ONE_SIDED, QuoteState.UNKNOWN}
        await until(lambda: remote.desk().status.halts == status.halts, "the halt at the door")

        def told_afar() -> bool:
            seen = remote.chain(view.key)
            return seen is not None and seen.header.halt == status.halts[0]

        await until(told_afar, "the halt of the chain at the door")
        refused = await say(client, f"buy 1L {option.words} @ ask+2")
        assert {violation.check for violation in refused.violations} == {"halt"}
        leaving = await say(client, f"sell 1L {option.words} @ {option.low}")
        assert leaving.accepted, leaving.message
        (order,) = leaving.orders
        resting = await comes_to(client, order.number, OrderState.OPEN)
        assert resting.filled_quantity == 0
        assert "HALTED" in " ".join(client.desk().status.degraded)
        await exchange.ask("POST", "/practice/halt", {"on": False})
        await comes_to(client, order.number, OrderState.COMPLETE)
        await until(lambda: not client.desk().status.halts and not chain().header.halt, "the end of the halt")

        async def entered() -> bool:
            return (await say(client, f"buy 1L {option.words} @ {option.low}")).accepted

        assert await eventually(entered, "an entry again")
