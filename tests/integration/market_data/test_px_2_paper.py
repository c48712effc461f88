"""PX-2: a paper desk, whose market is another exchange's and whose orders stay here."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.orders import OrderState
from engine.core.vocabulary import Venue
from storage.embedded import EmbeddedPostgres
from tests.kit.desk_host import Exchange, Option, booked, comes_to, live_chain, new_desk, say
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, PracticeProcess


async def test_px_2_paper_orders_meet_the_relayed_market_and_stay_here(
    postgres_server: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk shows the feed's prices as paper; a fill is the feed's ask; the feed's own exchange sees no order."""
    monkeypatch.setenv("WORKSTATION_RELAY_KEY", API_KEY)
    monkeypatch.setenv("WORKSTATION_RELAY_TOKEN", ACCESS_TOKEN)
    async with PracticeProcess(tmp_path / "feed") as feed:
        roots = {"relay_root": feed.root, "relay_stream": feed.websocket}
        with new_desk(postgres_server, "px 2", kind="paper", **roots) as desk:
            async with desk.opened() as host:
                client = host.client
                assert client.desk().status.venue is Venue.PAPER
                option = Option(await live_chain(client), "ce")
                upstream, own = Exchange(feed.root), Exchange(host.exchange.root)
                await upstream.speed(0)
                receipt = await say(client, f"buy 1L {option.words} @ ask+5")
                assert receipt.accepted, receipt.message
                order = await comes_to(client, receipt.orders[0].number, OrderState.COMPLETE)
                (trade,) = await booked(client, order)
                quote = client.quote(option.token)
                assert quote is not None
                assert quote.bid is not None
                assert quote.ask is not None
                assert order.request.price is not None
                assert quote.bid < trade.price <= order.request.price
                assert [row["order_id"] for row in await own.orders()] == [order.broker_order_id]
                assert await upstream.orders() == []
                assert host.client.desk().status.session.market_time.date() == trade.filled_at.date()
