"""Keeps windows of strikes of near expiries subscribed and recorded, whoever looks: minutes and candles need no screen.

It asks for them with the lowest priority: whatever a person or a position needs goes first. What a window leaves is
unsubscribed, unless somebody else wants it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from engine.chain_desk import ChainDesk
from engine.core.errors import InvalidInput
from engine.core.views import ChainKey
from engine.core.vocabulary import QuoteState
from engine.market.instrument_index import ExpiryContracts
from engine.market.strike_window import StrikeWindow, WindowSettings, moved
from engine.market_day import MarketDay

NAME: Final = "strike windows"
_TRUSTED = (QuoteState.LIVE, QuoteState.FROZEN, QuoteState.CROSSED, QuoteState.ONE_SIDED)


class StrikeWindows:
    """The windows of one engine.

    Args:
        day: Today's market.
        chains: Keeps the chains.
        settings: Which windows, and how wide.

    Raises:
        InvalidInput: a setting makes no window.
    """

    def __init__(self, day: MarketDay, chains: ChainDesk, settings: WindowSettings) -> None:
        if not 0 <= settings.recentre_after < settings.strikes_each_side:
            raise InvalidInput(
                f"[engine.window] recentre_after = {settings.recentre_after}: it is 0 or more and less than "
                f"strikes_each_side = {settings.strikes_each_side}.",
                field="recentre_after",
            )
        if settings.expiries < 1 or settings.look_s <= 0:
            raise InvalidInput("[engine.window] expiries is 1 or more and look_s greater than 0.", field="expiries")
        self._day = day
        self._chains = chains
        self._settings = settings
        self._windows: dict[ChainKey, StrikeWindow] = {}

    @property
    def windows(self) -> dict[ChainKey, StrikeWindow]:
        """Where each window stands; a copy. An expiry whose underlying has no price yet has none."""
        return dict(self._windows)

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Underlyings of the settings that today's instruments do not have."""
        return tuple(name for name in self._settings.underlyings if self._day.index.underlying_named(name) is None)

    async def run(self) -> None:
        """Follow the money until cancelled; with no underlyings there is nothing to do, and it ends."""
        if not self._settings.underlyings:
            return
        while True:
            self.look()
            await self._day.clock.sleep(self._settings.look_s)

    def look(self) -> None:
        """See once where the money is, and keep what should be kept."""
        kept: dict[ChainKey, tuple[int, ...]] = {}
        for key in self._near():
            contracts = self._day.index.contracts(key.underlying, key.expiry)
            window = self._windows.get(key)
            price = self._money(key, contracts, window)
            if price is not None:
                self._windows[key] = window = moved(window, contracts.strikes, price, self._settings)
            kept[key] = _tokens(contracts, window)
        self._windows = {key: window for key, window in self._windows.items() if key in kept}
        self._chains.keep(kept)

    def _near(self) -> list[ChainKey]:
        index = self._day.index
        names = dict.fromkeys(filter(None, map(index.underlying_named, self._settings.underlyings)))
        return [
            ChainKey(name, item.expiry) for name in names for item in index.expiries(name)[: self._settings.expiries]
        ]

    def _money(self, key: ChainKey, contracts: ExpiryContracts, window: StrikeWindow | None) -> float | None:
        """Where the money is: at the chain's forward; ``None`` while that is not known well enough to move.

        Without a forward the index, or else the future, says where to begin, and where to go once it has left the
        window. Inside the window they decide nothing: they are off by the carry, which a forward that comes and goes
        would turn into swings.
        """
        strike = self._chains.at_the_money(key)
        if strike is not None:
            return strike
        for instrument in (self._day.index.index_instrument(key.underlying), contracts.future):
            quote = self._day.quote(instrument.token) if instrument is not None else None
            if quote is None or quote.last is None or quote.state not in _TRUSTED:
                continue
            if window is not None and window.strikes[0] <= quote.last <= window.strikes[-1]:
                return None
            return float(quote.last)
        return None


def _tokens(contracts: ExpiryContracts, window: StrikeWindow | None) -> tuple[int, ...]:
    strikes: tuple[Decimal, ...] = window.strikes if window is not None else ()
    sides = (contracts.calls, contracts.puts)
    return tuple(found.token for strike in strikes for side in sides if (found := side.get(strike)) is not None)
