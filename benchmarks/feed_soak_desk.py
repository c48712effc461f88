"""The data path of an engine under load, complete: what ``feed_soak`` measures.

Feed, board, judge of quotes, candles, tape and money are the program's own, joined as the engine joins them; only the
database is left out, because its memory is not the desk's. What would be on screen is stood in for by who reads a long
chain many times a second and who counts the states of all quotes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.feed_soak_market import LOT, STAMP_BITS, Load, instruments, stamp_us
from benchmarks.feed_soak_parts import TIMER_S, CountingBars, CountingMoney, FeedMarks, Meters
from engine.bar_days import BarDays
from engine.bars_service import BarsService
from engine.bars_settings import BarsSettings
from engine.brokers.feed import FeedListener, FeedMode, Ticker
from engine.brokers.kite.packets import SELL_QUANTITY, PacketKind
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.ticker import KiteTicker, TickerSettings
from engine.calendar.session_table import read_sessions
from engine.calendar.sessions import SessionCalendar
from engine.clocks import VenueClock
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, StrategyNumber, TradeId
from engine.core.instruments import Instrument
from engine.core.operations import QueueView
from engine.core.orders import Trade
from engine.core.views import FeedView, Integers
from engine.core.vocabulary import Product, QuoteState, Side
from engine.event_log import EventLog
from engine.feed_service import FeedService, connections_of
from engine.market.feed_pool import FeedKey, FeedSettings
from engine.market.minute_columns import Flags
from engine.market.quotes_board import Applied, QuotesBoard
from engine.market.recorder import Recorder, TapeFacts
from engine.market.staleness import FeedHealth, Staleness
from engine.market.subscriptions import Subscriptions
from engine.portfolio.service import PortfolioService
from engine.portfolio.settings import PortfolioSettings
from engine.settings import EngineSettings
from engine.supervision import Supervisor
from engine.tape.settings import RecorderSettings
from engine.venue import VenueReading

ACCOUNT = AccountId("AB1234")
STRATEGIES = 100
LEGS = 10
CHAIN_ROWS = 200
CHAIN_READS_PER_S = 20
STATES_EVERY_S = 1.0
CONSUMER = "soak"
SEGMENTS = (2,)
RUN_ON_S = 1e6
"""The clock is this machine's own: it runs on."""
SEED = 7
NS_PER_S = 1_000_000_000
NS_PER_US = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SoakDesk:
    """The data path. Make it on the event loop; ``running`` runs it.

    Args:
        load: What will come.
        address: Of the exchange.
        folder: For the tape.
    """

    def __init__(self, load: Load, address: str, folder: Path) -> None:
        settings = EngineSettings()
        self._load = load
        self._address = address
        start = EPOCH + timedelta(seconds=load.market_start)
        elapsed = timedelta(seconds=time.monotonic() - load.monotonic_start)
        self.clock = VenueClock(start + elapsed, speed=1.0, run_on_s=RUN_ON_S)
        self.meters = Meters()
        self.listed = instruments(load.instruments)
        self._by_token = {item.token: item for item in self.listed}
        keys = (FeedKey(account=ACCOUNT, connections_max=load.connections, connection_capacity=load.capacity),)
        self.board = QuotesBoard(limit=max(load.instruments, settings.board_slots_max))
        self.health = FeedHealth(connections_of(keys))
        self.states = Staleness(self.health, silence_limit_s=settings.silence_limit_s)
        self.states.set_open_segments(SEGMENTS)
        self.wishes = Subscriptions(capacity=load.instruments)
        self.events = EventLog(self.clock, kept_max=settings.events_kept_max)
        self.supervisor = Supervisor(self.clock, self.events, pauses_s=settings.restart_pauses_s)
        calendar = SessionCalendar(read_sessions())
        reading = VenueReading(market_time=start)
        self.bars_kept = CountingBars()
        self.money_kept = CountingMoney()
        self.recorder = Recorder(
            folder / "soak",
            describe=lambda: TapeFacts(venue="PRACTICE", account=ACCOUNT, day=calendar.day_of(start)),
            instruments=lambda: self.listed,
            clock=self.clock,
            zone=calendar.zone,
            program="feed_soak",
            settings=RecorderSettings(),
            declare=self.supervisor.declare,
        )
        limit_ns = int(settings.silence_limit_s * NS_PER_S)

        def suspect(paths: Integers) -> Flags:
            return self.health.suspect(paths, time.monotonic_ns(), limit_ns)

        self.bars = BarsService(
            self.board,
            self.bars_kept,
            reads=None,
            clock=self.clock,
            days=BarDays(calendar, lambda: reading),
            instrument_of=self._by_token.get,
            find=self._find,
            wanted=dict,
            may_write=lambda: True,
            declare=self.supervisor.declare,
            suspect=suspect,
            settings=BarsSettings(),
        )
        self.money = PortfolioService(
            ACCOUNT,
            ledger=self.money_kept,
            strategies=self.money_kept,
            candles=self.money_kept,
            clock=self.clock,
            marks=FeedMarks(self.board, self.states),
            on_event=self.events.add,
            settings=PortfolioSettings(waiting_fills_max=STRATEGIES * LEGS),
            epoch=1,
            new_reference=lambda: "unused",
            is_session_open=lambda _: True,
        )
        self.feed = FeedService(
            keys=keys,
            make_ticker=self._make_ticker,
            board=self.board,
            health=self.health,
            subscriptions=self.wishes,
            clock=self.clock,
            events=self.events,
            quote_now_ns=time.monotonic_ns,
            on_text=lambda _account, _text: None,
            on_reconnect=lambda _account: None,
            on_time=self._on_time,
            on_record=self.recorder.on_record,
            is_open=lambda: True,
            silence_limit_s=settings.silence_limit_s,
            settings=FeedSettings(),
        )
        self.board.add_hook(self._arrived)

    def _find(self, key: InstrumentKey) -> Instrument | None:
        return next((item for item in self.listed if item.key == key), None)

    def _make_ticker(
        self,
        key: FeedKey,
        listener: FeedListener,
        desired: Callable[[], Mapping[int, FeedMode]],
        is_open: Callable[[], bool],
    ) -> Ticker:
        return KiteTicker(
            self._address,
            KiteCredentials(key.account, "soak"),
            desired=desired,
            listener=listener,
            is_open=is_open,
            random=Random(SEED),  # noqa: S311 - jitter
            settings=TickerSettings(),
        )

    def _on_time(self, market_ns: int) -> None:
        self.money.sample_to(EPOCH + timedelta(microseconds=market_ns // NS_PER_US))
        self.bars.on_time(market_ns)

    def _arrived(self, applied: Applied) -> None:
        """The last of the hooks: candles have been made of the frame."""
        if applied.kinds[0] == PacketKind.FULL:
            made = applied.words.item(0, SELL_QUANTITY)
            self.meters.delay_us.append(stamp_us() - made & (1 << STAMP_BITS) - 1)

    # -- life ----------------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let everything run; at the end the tape is whole and every finished candle is written."""
        await self._fill_book()
        await self.recorder.switch(on=True)
        self.wishes.want(CONSUMER, [item.token for item in self.listed], FeedMode.FULL)
        self.feed.sync()
        services: tuple[Callable[[], Awaitable[None]], ...] = (
            self.feed.run,
            self.recorder.run,
            self.bars.run,
            self.money.run,
            self._read_chain,
            self._count_states,
            self._measure_lag,
        )
        tasks = [asyncio.ensure_future(service()) for service in services]
        try:
            yield
            broken = [task.exception() for task in tasks if task.done()]
            if broken:
                raise RuntimeError(f"a part of the desk has ended: {broken}")
        finally:
            self.feed.stopping()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self.bars.stop()
        await self.money.stop()

    async def _fill_book(self) -> None:
        """Strategies with open legs."""
        random = np.random.default_rng(SEED)
        await self.money.start()
        trades: list[Trade] = []
        for place in range(STRATEGIES):
            strategy = await self.money.create(f"book-{place}")
            for number in random.choice(self._load.instruments, LEGS, replace=False).tolist():
                name = str(len(trades) + 1)
                trades.append(self._trade(self.listed[number], strategy.number, name, random))
        await self.money.on_trades(trades)

    def _trade(self, instrument: Instrument, strategy: StrategyNumber, name: str, random: np.random.Generator) -> Trade:
        return Trade(
            account=ACCOUNT,
            instrument=instrument.key,
            token=instrument.token,
            broker_order_id=BrokerOrderId(name),
            trade_id=TradeId(name),
            side=Side.BUY if random.random() < 0.5 else Side.SELL,
            product=Product.NRML,
            quantity=LOT * int(random.integers(1, 20)),
            price=Decimal(int(random.integers(200, 10_000))) / 20,
            filled_at=self.clock.market_now(),
            strategy=strategy,
        )

    # -- who looks -----------------------------------------------------------------------------------------------------

    async def _read_chain(self) -> None:
        """Read the columns of a chain, a call and a put in each row, as often as a screen does."""
        board, tokens = self.board, [item.token for item in self.listed[: 2 * CHAIN_ROWS]]
        interval = 1 / CHAIN_READS_PER_S
        due = self.clock.monotonic()
        while True:
            slots, now_ns = board.slots_of(tokens), time.monotonic_ns()
            for column in (board.last, board.bid, board.ask, board.volume, board.open_interest, board.previous_close):
                column(slots)
            board.age_s(slots, now_ns)
            self.states.states(board, slots, now_ns)
            self.meters.chain_reads += 1
            self.meters.waiting(*(queue.waiting for queue in self.queues()))
            due = max(due + interval, self.clock.monotonic())
            await asyncio.sleep(due - self.clock.monotonic())

    async def _count_states(self) -> None:
        while True:
            await asyncio.sleep(STATES_EVERY_S)
            slots = np.arange(len(self.board.tokens))
            counts = np.bincount(self.states.states(self.board, slots, time.monotonic_ns()), minlength=len(QuoteState))
            self.meters.states.update(dict(zip(QuoteState, counts.tolist(), strict=True)))

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            set_at = loop.time()
            await asyncio.sleep(TIMER_S)
            self.meters.late(loop.time() - set_at - TIMER_S)

    # -- what it shows -------------------------------------------------------------------------------------------------

    def feed_view(self) -> FeedView:
        """The data path, as the status line shows it."""
        return self.feed.view(session_open=True)

    def queues(self) -> tuple[QueueView, ...]:
        """All queues of the path that the engine room shows."""
        return self.recorder.queue(), self.bars.queue()

    def trouble(self) -> list[str]:
        """Whatever is not as it should be, in words."""
        view, recorder = self.feed_view(), self.recorder.view()
        found = [view.message, recorder.message, self.money.degraded, *self.supervisor.degraded]
        found += [queue.message for queue in self.queues()[1:]]
        counts = {
            "bad frames": view.bad_frames,
            "reconnections": view.reconnects,
            "packets of unknown instruments": self.board.unknown_packets,
            "packets out of order": self.board.out_of_order,
            "frames left out of the tape": recorder.dropped,
            "things dropped from queues": sum(queue.dropped for queue in self.queues()),
        }
        return [words for words in found if words] + [f"{count} {what}" for what, count in counts.items() if count]
