"""What the engine itself wants of the market: the strip, what is watched, what is held, and of a tape everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from engine.chain_desk import ChainDesk
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.orders import OrderRecord
from engine.core.views import ChainKey
from engine.feed_service import FeedService
from engine.market.subscriptions import Subscriptions
from engine.market_day import MarketDay
from engine.portfolio.book import PortfolioBook

STRIP_CONSUMER = "strip"
PLANS_CONSUMER = "plans"
WATCH_CONSUMER = "watch"
HELD_CONSUMER = "held"
TAPE_CONSUMER = "tape"
STRIP_PRIORITY = 30
HELD_PRIORITY = 20
TAPE_PRIORITY = 5


class Interests:
    """The engine's own wishes of the feed.

    Args:
        subscriptions: Where wishes are stated.
        feed: Brought to them.
        chains: Keeps the chains of what is held.
        day: Finds instruments.
        books: The ledgers of all accounts: what any of them holds is kept subscribed.
        book: The ledger of the account in view; ``None`` while there is none.
        orders: Orders in memory of the account in view.
        strip: Label and instrument of each figure of the index strip.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        feed: FeedService,
        chains: ChainDesk,
        day: MarketDay,
        *,
        books: Callable[[], Iterable[PortfolioBook]],
        book: Callable[[], PortfolioBook | None],
        orders: Callable[[], Sequence[OrderRecord]],
        strip: Sequence[tuple[str, InstrumentKey]],
    ) -> None:
        self._subscriptions = subscriptions
        self._feed = feed
        self._chains = chains
        self._day = day
        self._books = books
        self._book = book
        self._orders = orders
        self._strip = strip
        self._of_plans: dict[AccountId, tuple[InstrumentKey, ...]] = {}
        self._watched: dict[int, int] = {}
        self._own_changed = True

    def watch(self, tokens: Iterable[int]) -> None:
        """Count one watch of each instrument and subscribe."""
        for token in tokens:
            self._watched[token] = self._watched.get(token, 0) + 1
        self._wish_watched()

    def unwatch(self, tokens: Iterable[int]) -> None:
        """Give up one watch of each."""
        for token in tokens:
            left = self._watched.get(token, 0) - 1
            if left > 0:
                self._watched[token] = left
            else:
                self._watched.pop(token, None)
        self._wish_watched()

    def want_strip(self) -> None:
        """Subscribe the index strip; again on each new day."""
        tokens = [instrument.token for _, key in self._strip if (instrument := self._day.instrument(key))]
        self._subscriptions.want(STRIP_CONSUMER, tokens, priority=STRIP_PRIORITY)
        self._feed.sync()

    def want_plans(self, account: AccountId, keys: Iterable[InstrumentKey]) -> None:
        """Keep what the plans of an account look at subscribed."""
        self._of_plans[account] = tuple(keys)
        self.renew_plans()

    def renew_plans(self) -> None:
        """Subscribe what plans look at; again on each new day, when tokens may be others."""
        for account, keys in self._of_plans.items():
            tokens = [instrument.token for key in keys if (instrument := self._day.instrument(key))]
            self._subscriptions.want(f"{PLANS_CONSUMER} {account}", tokens, priority=HELD_PRIORITY)
        self._feed.sync()

    def want_tape(self, tokens: Iterable[int]) -> None:
        """Subscribe all that a tape holds, so that what is made of it does not depend on who looks."""
        self._subscriptions.want(TAPE_CONSUMER, tokens, priority=TAPE_PRIORITY)
        self._feed.sync()

    def hold(self) -> None:
        """Keep what is held subscribed, and the chains of held options for their Greeks."""
        self._own_changed = True
        tokens, keys = [], set()
        held = (key.instrument for book in self._books() for key, quantity in book.net().items() if quantity)
        for name in dict.fromkeys(held):
            instrument = self._day.instrument(name)
            if instrument is None:
                continue
            tokens.append(instrument.token)
            if instrument.kind.is_option and instrument.expiry is not None:
                keys.add(ChainKey(instrument.name, instrument.expiry))
        self._subscriptions.want(HELD_CONSUMER, tokens, priority=HELD_PRIORITY)
        self._chains.hold(frozenset(keys))
        self._feed.sync()

    def own_changed(self) -> None:
        """Something that is held or works has changed."""
        self._own_changed = True

    def share_own(self) -> None:
        """Tell the chains what the account in view holds and what works of it, if that has changed."""
        if not self._own_changed:
            return
        self._own_changed = False
        positions: dict[int, int] = {}
        book = self._book()
        if book is not None:
            for key, quantity in book.net().items():
                instrument = self._day.instrument(key.instrument)
                if instrument is not None:
                    positions[instrument.token] = positions.get(instrument.token, 0) + quantity
        working: dict[int, int] = {}
        for record in self._orders():
            if record.state.is_working:
                instrument = self._day.instrument(record.request.instrument)
                if instrument is not None:
                    working[instrument.token] = working.get(instrument.token, 0) + 1
        self._chains.set_own(positions, working)

    def _wish_watched(self) -> None:
        self._subscriptions.want(WATCH_CONSUMER, self._watched)
        self._feed.sync()
