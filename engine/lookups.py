"""Market data that a sentence needs and nobody watches yet: subscribed, waited for, and kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from engine.brokers.kite.packets import PacketKind
from engine.chain_desk import ChainDesk
from engine.core.errors import UnknownInstrument
from engine.core.ports import Clock
from engine.core.views import ChainKey
from engine.feed_service import FeedService
from engine.market.subscriptions import Subscriptions
from engine.market_day import MarketDay
from engine.settings import EngineSettings

CONSUMER = "lookups"
POLL_S = 0.02


class Lookups:
    """What was looked up lately. Overload policy: the longest unused leave first."""

    def __init__(
        self,
        day: MarketDay,
        chains: ChainDesk,
        subscriptions: Subscriptions,
        feed: FeedService,
        settings: EngineSettings,
        *,
        clock: Clock,
    ) -> None:
        """All belong to one engine; ``clock`` measures the waits."""
        self._day = day
        self._clock = clock
        self._chains = chains
        self._subscriptions = subscriptions
        self._feed = feed
        self._settings = settings
        self._tokens: OrderedDict[int, None] = OrderedDict()
        self._keys: OrderedDict[ChainKey, None] = OrderedDict()

    async def quotes(self, tokens: Iterable[int]) -> None:
        """Make sure that each instrument has been heard of, or that the wait is over."""
        wanted = [token for token in tokens if not self._is_known(token)]
        for token in wanted:
            self._tokens[token] = None
            self._tokens.move_to_end(token)
        while len(self._tokens) > self._settings.lookups_kept_max:
            self._tokens.popitem(last=False)
        if wanted:
            self._subscriptions.want(CONSUMER, list(self._tokens))
            self._feed.sync()
            await self._wait(lambda: all(map(self._is_known, wanted)))

    async def chains(self, keys: Iterable[ChainKey]) -> None:
        """Make sure that each chain has a forward, or that the wait is over."""
        wanted = []
        for key in keys:
            if key not in self._keys:
                try:
                    self._chains.watch(key)
                except UnknownInstrument:
                    continue
            self._keys[key] = None
            self._keys.move_to_end(key)
            wanted.append(key)
        while len(self._keys) > self._settings.chain_lookups_kept_max:
            oldest, _ = self._keys.popitem(last=False)
            self._chains.unwatch(oldest)
        if wanted:
            await self._wait(lambda: all(self._chains.at_the_money(key) is not None for key in wanted))

    def _is_known(self, token: int) -> bool:
        # Without a packet a quote is UNKNOWN, and with one it is anything else: the whole quote need not be made.
        board = self._day.board
        slot = board.slot_of(token)
        return slot is not None and board.kinds.item(slot) != PacketKind.NONE

    async def _wait(self, is_done: Callable[[], bool]) -> None:
        deadline = self._clock.monotonic() + self._settings.first_quote_wait_s
        while not is_done() and self._clock.monotonic() < deadline:
            await self._clock.sleep(POLL_S)
