"""The chains that are looked at, held, or kept for their history: one model each, counted and subscribed.

A chain that is watched or held is subscribed whole. One that is only kept has a window of its strikes (see
``engine.strike_windows``), at the lowest priority; what is not subscribed is unknown in its pictures. With a chain the
futures of its underlying are subscribed too: basis and rollover need all of them, and they are few. The desk is also
asked for the Greeks of a contract.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np

from engine.analytics.smile import Smile
from engine.core.views import ChainKey, ChainView
from engine.market.chain import ChainBuilder, ChainModel
from engine.market.chain_changes import OpenInterestBaseline
from engine.market.chain_inputs import ChainSettings
from engine.market.futures_quotes import FuturesModel, FuturesQuotes
from engine.market.subscriptions import Subscriptions
from engine.market_day import NS_PER_S, MarketDay

SCREEN_PRIORITY = 0
PORTFOLIO_PRIORITY = 10
"""Contracts that are held are subscribed before those that are only looked at."""
BACKGROUND_PRIORITY = -10
"""What nobody looks at gives way first."""


class ChainDesk:
    """Watched chains of one engine."""

    def __init__(
        self,
        day: MarketDay,
        subscriptions: Subscriptions,
        settings: ChainSettings,
        *,
        on_wishes: Callable[[], None],
    ) -> None:
        """``on_wishes`` is called after the subscriptions have changed."""
        self._day = day
        self._subscriptions = subscriptions
        self._settings = settings
        self._on_wishes = on_wishes
        self._baseline = OpenInterestBaseline()
        self._sequences = itertools.count(1)
        self._watches: dict[ChainKey, int] = {}
        self._models: dict[ChainKey, ChainModel] = {}
        self._futures: dict[str, FuturesModel] = {}
        self._held: frozenset[ChainKey] = frozenset()
        self._kept: dict[ChainKey, tuple[int, ...]] = {}
        self._positions: Mapping[int, int] = {}
        self._working: Mapping[int, int] = {}
        self._greeks: dict[int, tuple[ChainKey, int, bool]] = {}

    def watch(self, key: ChainKey) -> ChainKey:
        """Count one watch and subscribe; returns the key with the underlying as the dump spells it.

        Raises:
            UnknownInstrument: no such underlying or expiry today.
        """
        key = self._known(key)
        self._watches[key] = self._watches.get(key, 0) + 1
        self._wish(key)
        return key

    def unwatch(self, key: ChainKey) -> None:
        """Give up one watch; the last one unsubscribes."""
        key = self._spelled(key)
        count = self._watches.get(key, 0)
        if count > 1:
            self._watches[key] = count - 1
        elif self._watches.pop(key, None) is not None:
            if key in self._held:
                self._models[key].set_watched(False)
            else:
                self._drop(key)

    def keep(self, windows: Mapping[ChainKey, tuple[int, ...]]) -> None:
        """Keep these chains for their history, each with these of its options, and no others; whoever looks.

        The index and the futures come with them. Chains that are listed no more are left out.
        """
        windows = {self._spelled(key): tokens for key, tokens in windows.items() if self._listed(key)}
        if windows == self._kept:
            return
        gone = [key for key in self._kept if key not in windows]
        changed = [key for key, tokens in windows.items() if self._kept.get(key) != tokens]
        self._kept = windows
        for key in changed:
            self._known(key)
            self._models[key].set_watched(key in self._watches)
            index = self._day.index.index_instrument(key.underlying)
            beside = (*([index.token] if index is not None else []), *self._futures[key.underlying].tokens)
            self._subscriptions.want(_window(key), (*beside, *windows[key]), priority=BACKGROUND_PRIORITY)
        for key in gone:
            self._subscriptions.drop(_window(key))
            if not self._is_wanted(key):
                self._forget(key)
        self._on_wishes()

    def hold(self, keys: frozenset[ChainKey]) -> None:
        """Keep the chains of what is held, whoever looks: their forward gives the legs' Greeks."""
        known = frozenset(key for key in keys if self._listed(key))
        gone, self._held = self._held - known, known
        for key in known:
            self._known(key)
            self._wish(key)
        for key in gone:
            if key not in self._watches:
                self._drop(key)
            else:
                self._wish(key)

    def set_own(self, positions: Mapping[int, int], working: Mapping[int, int]) -> None:
        """Take the account's signed units and count of working orders, by token."""
        self._positions, self._working = positions, working

    def view(self, key: ChainKey, since: int = 0) -> ChainView | None:
        """A chain now; ``None`` when nobody watches it."""
        model = self._models.get(key) or self._models.get(self._spelled(key))
        if model is None:
            return None
        model.set_own(self._positions, self._working)
        model.set_halt(self._day.halt_of(model.option_token))
        return model.refresh(self._day.clock.market_now(), self._day.clock.monotonic(), since)

    def pictures(self) -> tuple[ChainView, ...]:
        """Every chain that is watched, held or kept, now."""
        for underlying in self._futures:
            # The day's first open interest of a future counts from when it was first seen, not first asked for.
            self.futures(underlying)
        views = [self.view(key) for key in self._models]
        return tuple(view for view in views if view is not None)

    def smile(self, key: ChainKey) -> Smile | None:
        """The fitted smile of a watched, held or kept chain; ``None`` of any other."""
        model = self._models.get(key) or self._models.get(self._spelled(key))
        if model is None:
            return None
        return model.smile(self._day.clock.market_now(), self._day.clock.monotonic())

    def futures(self, underlying: str) -> FuturesQuotes | None:
        """The futures of an underlying of which a chain is watched, held or kept; ``None`` of any other."""
        model = self._futures.get(self._day.index.underlying_named(underlying) or underlying)
        if model is None:
            return None
        return model.read(self._day.today(), int(self._day.clock.monotonic() * NS_PER_S))

    def at_the_money(self, key: ChainKey) -> float | None:
        """The strike nearest the live forward of a watched chain."""
        view = self.view(key)
        return view.header.atm_strike if view is not None else None

    def greeks(self, token: int) -> tuple[float | None, float | None]:
        """Delta and theta of one unit of a watched contract; ``None`` where they are not known."""
        place = self._greeks.get(token)
        if place is None:
            return None, None
        key, row, is_call = place
        view = self.view(key)
        if view is None:
            return None, None
        side = view.calls if is_call else view.puts
        delta, theta = float(side.delta[row]), float(side.theta[row])
        return (None if np.isnan(delta) else delta), (None if np.isnan(theta) else theta)

    def roll(self) -> None:
        """Rebuild everything on the instruments of a new day; chains that are listed no more are dropped.

        Windows are of the old day's instruments: they are given up, and kept anew by who asked for them.
        """
        self.keep({})
        self._baseline = OpenInterestBaseline()
        keys, self._models, self._greeks, self._futures = list(self._models), {}, {}, {}
        for key in keys:
            if self._listed(key):
                self._known(key)
                self._wish(key)
            else:
                self._watches.pop(key, None)
                self._drop(key)
        self._held = frozenset(key for key in self._held if key in self._models)

    def _spelled(self, key: ChainKey) -> ChainKey:
        """The key with the underlying as the dump spells it; aliases are understood."""
        return ChainKey(self._day.index.underlying_named(key.underlying) or key.underlying, key.expiry)

    def _listed(self, key: ChainKey) -> bool:
        name = self._day.index.underlying_named(key.underlying)
        return name is not None and any(item.expiry == key.expiry for item in self._day.index.expiries(name))

    def _known(self, key: ChainKey) -> ChainKey:
        key = self._spelled(key)
        if key not in self._models:
            builder = ChainBuilder(
                index=self._day.index,
                board=self._day.board,
                states=self._day.states,
                calendar=self._day.calendar,
                settings=self._settings,
                baseline=self._baseline,
                sequences=self._sequences,
            )
            model = self._models[key] = builder.build(key)
            if key.underlying not in self._futures:
                self._futures[key.underlying] = FuturesModel(
                    key.underlying,
                    index=self._day.index,
                    board=self._day.board,
                    states=self._day.states,
                    baseline=self._baseline,
                    last_recent_s=self._settings.last_recent_s,
                )
            contracts = self._day.index.contracts(key.underlying, key.expiry)
            for row, strike in enumerate(contracts.strikes):
                for is_call, side in ((True, contracts.calls), (False, contracts.puts)):
                    instrument = side.get(strike)
                    if instrument is not None:
                        self._greeks[instrument.token] = (model.key, row, is_call)
        return key

    def _wish(self, key: ChainKey) -> None:
        priority = PORTFOLIO_PRIORITY if key in self._held else SCREEN_PRIORITY
        model = self._models[key]
        model.set_watched(key in self._watches)
        tokens = (*model.tokens, *self._futures[key.underlying].tokens)
        self._subscriptions.want(_consumer(key), tokens, priority=priority)
        self._on_wishes()

    def _is_wanted(self, key: ChainKey) -> bool:
        return key in self._watches or key in self._held or key in self._kept

    def _drop(self, key: ChainKey) -> None:
        """Nobody watches or holds it any more; it may still be kept."""
        if key in self._kept:
            self._models[key].set_watched(False)
        else:
            self._forget(key)
        self._subscriptions.drop(_consumer(key))
        self._on_wishes()

    def _forget(self, key: ChainKey) -> None:
        model = self._models.pop(key, None)
        if model is not None:
            for token in model.tokens:
                self._greeks.pop(token, None)
        if not any(other.underlying == key.underlying for other in self._models):
            self._futures.pop(key.underlying, None)


def _consumer(key: ChainKey) -> str:
    return f"chain {key.underlying} {key.expiry.isoformat()}"


def _window(key: ChainKey) -> str:
    return f"window {key.underlying} {key.expiry.isoformat()}"
