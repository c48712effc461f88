"""The whole adapter against the practice exchange: reads, the stream on the board, an order's life, a broken feed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TypeVar

import numpy as np
import pytest

from engine.brokers.feed import FeedListener
from engine.brokers.kite.feed_messages import FeedTextKind, parse_text
from engine.brokers.kite.rest import KiteOrderRoad, KiteReads
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.ticker import KiteTicker, TickerSettings
from engine.brokers.kite.transport import KiteTransport
from engine.clocks import VenueClock
from engine.core.commands import OrderChange
from engine.core.errors import BrokerRejected, OutcomeUnknown, SessionExpired
from engine.core.identifiers import AccountId, BrokerOrderId, order_tag
from engine.core.instruments import Instrument
from engine.core.orders import BrokerOrder, OrderRequest, OrderTrigger
from engine.core.ports import BrokerReads, OrderRoad
from engine.core.quotes import Quote
from engine.core.vocabulary import Exchange, InstrumentKind, QuoteState, Side, Variety
from engine.market.board_feed import BoardFeed
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth, Staleness
from engine.market.subscriptions import Subscriptions
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, PracticeProcess

NIFTY = 256_265
ACCOUNT = AccountId("PR0001")
DEADLINE_S = 20.0
POLL_S = 0.02
RUN_ON_S = 60.0
_Value = TypeVar("_Value")


async def until(read: Callable[[], Awaitable[_Value | None]]) -> _Value:
    """Ask until there is an answer: the exchange is another process, and tells nobody when it is done."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            found = await read()
            if found is not None:
                return found
            await asyncio.sleep(POLL_S)


class Desk:
    """The adapter, a board, and the exchange they live on."""

    def __init__(self, exchange: PracticeProcess, clock: VenueClock) -> None:
        credentials = KiteCredentials(API_KEY, ACCESS_TOKEN)
        self.exchange = exchange
        self.transport = KiteTransport(exchange.root, credentials)
        self.road: OrderRoad = KiteOrderRoad(self.transport)
        self.reads: BrokerReads = KiteReads(self.transport, account=ACCOUNT, clock=clock, random=Random(1))  # noqa: S311
        self.board = QuotesBoard(limit=5000)
        self.health = FeedHealth()
        self.states = Staleness(self.health, silence_limit_s=1.5)
        self.states.set_open_segments([2, 5, 9])
        self.wishes = Subscriptions()
        self.texts: list[str] = []
        self.feed = BoardFeed(self.board, self.health, clock, on_text=self.texts.append)
        listener: FeedListener = self.feed
        self.ticker = KiteTicker(
            exchange.websocket,
            credentials,
            desired=lambda: self.wishes.desired,
            listener=listener,
            is_open=lambda: True,
            random=Random(2),  # noqa: S311 - jitter
            settings=TickerSettings(silence_limit_s=2.5, backoff_initial_s=0.05, close_timeout_s=0.2),
        )

    def quote(self, token: int) -> Quote | None:
        """The board's quote now, once there is one."""
        quote = self.board.quote(token, now_ns=time.monotonic_ns(), states=self.states)
        return quote if quote is not None and quote.state is not QuoteState.UNKNOWN else None

    async def live(self, token: int) -> Quote:
        """The board's quote once it is live with both sides."""

        async def look() -> Quote | None:
            quote = self.quote(token)
            return quote if quote and quote.state is QuoteState.LIVE and quote.bids and quote.asks else None

        return await until(look)

    async def calls(self) -> list[Instrument]:
        """NIFTY calls of the nearest expiry, by strike."""
        listed = await self.reads.instruments(Exchange.NFO)
        calls = [item for item in listed if item.name == "NIFTY" and item.kind is InstrumentKind.CALL]
        nearest = min(item.expiry for item in calls if item.expiry)
        return sorted((item for item in calls if item.expiry == nearest), key=lambda item: item.strike or Decimal(0))

    async def in_book(self, order_id: BrokerOrderId, trigger: OrderTrigger) -> BrokerOrder:
        """The order once the book says so of it."""

        async def look() -> BrokerOrder | None:
            found = [order for order in await self.reads.orders() if order.broker_order_id == order_id]
            return found[0] if found and found[0].trigger is trigger else None

        return await until(look)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk on an exchange of its own, its ticker running."""
    async with PracticeProcess(tmp_path / "exchange") as exchange:
        status = exchange.status()
        reading = datetime.fromisoformat(status["market_time"]).astimezone(UTC)
        desk = Desk(exchange, VenueClock(reading, speed=status["speed"], run_on_s=RUN_ON_S))
        running = asyncio.create_task(desk.ticker.run())
        yield desk
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await desk.transport.aclose()


async def test_the_stream_agrees_with_the_snapshots(desk: Desk) -> None:
    """Profile, dump, quotes; the board shows each contract live and like its snapshot, the index without a book."""
    assert (await desk.reads.profile()).account_id == ACCOUNT
    calls = await desk.calls()
    middle = len(calls) // 2
    chosen = calls[middle - 5 : middle + 5]
    tokens = [item.token for item in chosen]
    desk.board.add([*tokens, NIFTY])
    assert desk.wishes.want("test", [*tokens, NIFTY]) == ()
    desk.ticker.subscriptions_changed()
    quotes = [await desk.live(token) for token in tokens]
    snapshots = await desk.reads.quotes([item.key for item in chosen])
    for item, quote in zip(chosen, quotes, strict=True):
        snapshot = snapshots[item.key]
        assert snapshot.token == item.token
        assert snapshot.last is not None
        assert quote.last is not None
        assert abs(quote.last - snapshot.last) <= snapshot.last / 5
        assert quote.previous_close == snapshot.previous_close
        assert all(level.price % item.tick_size == 0 for level in (*quote.bids, *quote.asks))
        assert len(quote.bids) == len(quote.asks) == 5
    index = desk.quote(NIFTY)
    assert index is not None
    assert index.state is QuoteState.LIVE
    assert index.bids == ()
    assert index.exchange_time is not None
    assert index.received_time is not None
    assert abs((index.exchange_time - index.received_time).total_seconds()) < 5
    assert desk.feed.bad_frames == 0
    slots = np.asarray(desk.board.slots_of(tokens), np.intp)
    assert (np.diff(desk.board.last(slots)) < 0).all(), "calls get cheaper as strikes rise"


async def test_an_orders_life_and_its_money(desk: Desk) -> None:
    """Rest, modify, cancel; buy, fill, position, funds; updates come over the ticker; refusals are definite."""
    calls = await desk.calls()
    item = calls[len(calls) // 2]
    desk.board.add([item.token])
    desk.wishes.want("test", [item.token])
    desk.ticker.subscriptions_changed()
    quote = await desk.live(item.token)
    assert quote.bid is not None
    assert quote.ask is not None
    before = await desk.reads.funds()

    low = item.tick_size * ((quote.bid * Decimal("0.9")) // item.tick_size)
    resting = OrderRequest(instrument=item.key, side=Side.BUY, quantity=item.lot_size, price=low)
    rested = await desk.road.place_order(resting, order_tag(b"0123456789"))
    book = await desk.in_book(rested, OrderTrigger.BOOK_OPEN)
    assert (book.tag, book.price, book.quantity) == (order_tag(b"0123456789"), low, item.lot_size)
    change = OrderChange(price=low + item.tick_size, quantity=2 * item.lot_size)
    assert await desk.road.modify_order(rested, Variety.REGULAR, resting, change) == rested

    async def modified() -> BrokerOrder | None:
        order = await desk.in_book(rested, OrderTrigger.BOOK_OPEN)
        return order if order.price == change.price else None

    assert (await until(modified)).quantity == 2 * item.lot_size
    assert await desk.road.cancel_order(rested, Variety.REGULAR) == rested
    await desk.in_book(rested, OrderTrigger.BOOK_CANCELLED)

    generous = quote.ask + 20 * item.tick_size
    bought = await desk.road.place_order(
        OrderRequest(instrument=item.key, side=Side.BUY, quantity=item.lot_size, price=generous),
        order_tag(b"9876543210"),
    )
    filled = await desk.in_book(bought, OrderTrigger.BOOK_COMPLETE)
    trades = [trade for trade in await desk.reads.trades() if trade.broker_order_id == bought]
    assert sum(trade.quantity for trade in trades) == filled.filled_quantity == item.lot_size
    assert all(trade.price <= generous for trade in trades)
    (position,) = [row for row in await desk.reads.positions() if row.instrument == item.key]
    assert position.signed_quantity == item.lot_size
    assert position.value == sum(trade.value for trade in trades)
    assert (await desk.reads.funds()).net < before.net
    heard = [parse_text(text, datetime.now(UTC)) for text in desk.texts]
    finished = {text.order.broker_order_id for text in heard if text.kind is FeedTextKind.ORDER and text.order}
    assert finished == {rested, bought}

    odd = OrderRequest(instrument=item.key, side=Side.BUY, quantity=item.lot_size + 1, price=low)
    with pytest.raises(BrokerRejected):
        await desk.road.place_order(odd, order_tag(b"aaaaaaaaaa"))
    with pytest.raises(BrokerRejected):
        await desk.road.cancel_order(rested, Variety.REGULAR)
    desk.transport._credentials.renew("expired")
    with pytest.raises(SessionExpired):
        await desk.road.place_order(resting, order_tag(b"bbbbbbbbbb"))
    with pytest.raises(SessionExpired):
        await desk.reads.orders()


async def test_a_feed_that_falls_silent_turns_stale_and_recovers(desk: Desk) -> None:
    """The exchange goes quiet: quotes turn stale, the connection is replaced by itself, and quotes are live again."""
    calls = await desk.calls()
    token = calls[len(calls) // 2].token
    desk.board.add([token])
    desk.wishes.want("test", [token])
    desk.ticker.subscriptions_changed()
    await desk.live(token)
    fault = {"kind": "silent_socket", "seconds": 4}
    await asyncio.to_thread(desk.exchange.request, "POST", "/practice/faults", fault)

    async def stale() -> bool | None:
        quote = desk.quote(token)
        return True if quote and quote.state is QuoteState.STALE else None

    async def replaced() -> bool | None:
        return True if desk.ticker.stats.silent_replaced else None

    await until(stale)
    await until(replaced)
    await desk.live(token)
    assert desk.ticker.stats.reconnects >= 1


@pytest.mark.parametrize("kind", ["drop_answer", "html_502", "error_500", "error_503"])
async def test_an_order_without_a_clear_answer_is_unknown_and_found_by_its_tag(desk: Desk, kind: str) -> None:
    """A lost answer is no refusal, nothing is sent again, and the book tells by the tag what became of it."""
    calls = await desk.calls()
    item = calls[len(calls) // 2]
    fault = {"kind": kind, "method": "POST", "path": "/orders/regular"}
    await asyncio.to_thread(desk.exchange.request, "POST", "/practice/faults", fault)
    tag = order_tag(b"0123456789")
    request = OrderRequest(instrument=item.key, side=Side.BUY, quantity=item.lot_size, price=item.tick_size)
    with pytest.raises(OutcomeUnknown):
        await desk.road.place_order(request, tag)
    log = await asyncio.to_thread(desk.exchange.request, "GET", "/practice/log")
    in_book = [order for order in await desk.reads.orders() if order.tag == tag]
    assert log["order_posts"] == len(in_book) <= 1
    if kind == "drop_answer":
        assert len(in_book) == 1
