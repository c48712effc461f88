"""What the market says of one strategy's legs: the chains of their expiries are watched while the screen is open."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from engine.core.errors import WorkstationError
from engine.core.instruments import Instrument
from engine.core.views import ChainKey, ChainView
from engine.core.vocabulary import InstrumentKind
from workstation.presenters.names import state_of
from workstation.presenters.strategy_legs import LegMarket
from workstation.screens.context import DeskContext
from workstation.screens.quote_watch import QuoteWatch


class ChainsWatch:
    """Holds watches of chains at the engine and moves them to what is wished for. Each watch is given back once."""

    def __init__(self, context: DeskContext) -> None:
        """Nothing is watched yet."""
        self._context = context
        self._wish: frozenset[ChainKey] = frozenset()
        self._held: frozenset[ChainKey] = frozenset()
        self._running = False
        """Asked for."""
        self._settling = False
        """Begun."""
        self._closed = False
        self.trouble = ""
        """Why a chain could not be watched; empty when all are."""

    @property
    def held(self) -> frozenset[ChainKey]:
        """What is watched now."""
        return self._held

    def wish(self, keys: frozenset[ChainKey]) -> None:
        """Watch these; called again and again, does nothing while nothing changes, nor once given up."""
        if self._closed:
            # A frame may still come while the program takes its screens down: nobody would give that watch back.
            return
        self._wish = keys
        if keys != self._held and not self._running:
            self._running = True
            # In the program's own background, not the screen's: a watch that is cancelled half way would stay counted.
            self._context.run(self._settle, "strategy chains", False)

    async def close(self) -> None:
        """Give every watch up; one that is being taken is given back as soon as it is there."""
        self._closed = True
        self._wish = frozenset()
        # Work that was asked for and never begun, because the program is ending, gives nothing back by itself.
        if not self._settling:
            await self._settle()

    async def _settle(self) -> None:
        engine = self._context.engine
        self._settling = True
        try:
            while self._wish != self._held:
                wish = self._wish
                try:
                    for key in sorted(wish - self._held):
                        await engine.watch_chain(key)
                        self._held |= {key}
                    for key in sorted(self._held - wish):
                        self._held -= {key}
                        await engine.unwatch_chain(key)
                except WorkstationError as error:
                    self.trouble = str(error)
                    if not self._wish:
                        # Leaving: an engine that does not answer keeps no watches that could be given back.
                        return
                    await self._context.clock.sleep(self._context.settings.retry_s)
                else:
                    self.trouble = ""
        finally:
            self._running = self._settling = False


class LegMarkets:
    """Quotes and Greeks of contracts, by token."""

    def __init__(self, context: DeskContext) -> None:
        """Nothing is watched yet."""
        self._context = context
        self._chains = ChainsWatch(context)
        self._quotes = QuoteWatch(context)

    @property
    def trouble(self) -> str:
        """Why something could not be watched."""
        return self._chains.trouble

    @property
    def held(self) -> frozenset[ChainKey]:
        """The chains that are watched now."""
        return self._chains.held

    def watch(self, contracts: Iterable[Instrument]) -> None:
        """Watch the chains of options, and what is no option by itself."""
        keys, tokens = set(), set()
        for contract in contracts:
            if contract.kind.is_option and contract.expiry is not None:
                keys.add(ChainKey(contract.name, contract.expiry))
            else:
                tokens.add(contract.token)
        self._chains.wish(frozenset(keys))
        self._quotes.wish(frozenset(tokens))

    async def close(self) -> None:
        """Give everything back."""
        await self._chains.close()
        await self._quotes.close()

    def look(self, contracts: Iterable[Instrument]) -> tuple[Mapping[int, LegMarket], float | None]:
        """What is known of each contract now, and the seconds to the nearest expiry among them.

        Raises:
            WorkstationError: the engine cannot be looked at.
        """
        found: dict[int, LegMarket] = {}
        views: dict[ChainKey, ChainView | None] = {}
        left: list[float] = []
        for contract in contracts:
            if not contract.kind.is_option or contract.expiry is None or contract.strike is None:
                found[contract.token] = self._quoted(contract)
                continue
            key = ChainKey(contract.name, contract.expiry)
            if key not in views:
                views[key] = self._context.engine.chain(key) if key in self._chains.held else None
            view = views[key]
            if view is not None:
                left.append(view.header.seconds_to_expiry)
                market = _in_chain(view, contract)
                if market is not None:
                    found[contract.token] = market
        return found, min(left, default=None)

    def _quoted(self, contract: Instrument) -> LegMarket:
        """A future or a share moves as its own price does."""
        quote = self._context.engine.quote(contract.token)
        moves = contract.kind in {InstrumentKind.FUTURE, InstrumentKind.EQUITY}
        delta, theta = (1.0, 0.0) if moves else (None, None)
        if quote is None:
            return LegMarket(delta=delta, theta=theta)
        return LegMarket(
            bid=None if quote.bid is None else float(quote.bid),
            ask=None if quote.ask is None else float(quote.ask),
            state=quote.state,
            age_s=quote.age_s,
            delta=delta,
            theta=theta,
        )


def _in_chain(view: ChainView, contract: Instrument) -> LegMarket | None:
    """The row of a contract; ``None`` when the chain does not list the very token."""
    columns = view.calls if contract.kind is InstrumentKind.CALL else view.puts
    rows = (columns.token == contract.token).nonzero()[0]
    if not len(rows):
        return None
    row = int(rows[0])
    return LegMarket(
        bid=_known(columns.bid[row]),
        ask=_known(columns.ask[row]),
        state=state_of(int(columns.state[row])),
        age_s=_known(columns.age_s[row]),
        delta=_known(columns.delta[row]),
        theta=_known(columns.theta[row]),
    )


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
