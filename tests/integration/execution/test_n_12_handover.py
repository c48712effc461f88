"""N12 on the practice exchange: with the broker's roads down there is still a sentence for everything that is open."""

from __future__ import annotations

from engine.core.handover import HandoverKind
from engine.core.orders import OrderState
from tests.kit.desk_host import Desk, Exchange, Option, attached, comes_to, filled, live_chain, say


async def test_n_12_the_handover_needs_neither_the_order_road_nor_fresh_positions(desk: Desk) -> None:
    """A short and a resting stop are told to the telephone while every order and every position request fails."""
    async with desk.opened(with_door=True) as host:
        client = host.client
        option = Option(await live_chain(client), "ce", 1)
        short = await filled(client, f"sell 2L {option.words} @ bid-2")
        trigger = option.ask * 5 // 4
        receipt = await say(client, f"buy 2L {option.words} @ {trigger + 2:.0f} stop {trigger:.0f}")
        stop = await comes_to(client, receipt.orders[0].number, OrderState.TRIGGER_PENDING)
        exchange = Exchange(host.exchange.root)
        (before,) = await client.handover()
        for method in ("POST", "PUT", "DELETE"):
            await exchange.fault("error_503", method=method, path="/orders", count=1000)
        await exchange.fault("error_503", method="GET", path="/portfolio/positions", count=1000)
        async with attached(host) as remote:
            (told,) = await remote.handover()
        assert told.account == host.engine.account
        position, order = told.lines
        spelled = " ".join(host.engine.account)
        assert (position.kind, order.kind) == (HandoverKind.POSITION, HandoverKind.ORDER)
        assert position.sentence.startswith(
            f"Client {spelled}. Please buy {2 * option.lot} units, 2 lots of {option.lot}, of NIFTY "
        )
        assert f"({short.request.instrument.tradingsymbol})" in position.sentence
        assert position.sentence.endswith("at market, to close a short position.")
        assert position.age_s is not None
        assert before.lines[0].age_s is not None
        assert position.age_s > before.lines[0].age_s
        assert "legs 1.1 " in position.note
        assert order.sentence.startswith(
            f"Client {spelled}. Please cancel the order with the number {stop.broker_order_id}: buy "
        )
        assert f"trigger {trigger:.0f}".replace(".00", "") in order.sentence.replace(",", "")
