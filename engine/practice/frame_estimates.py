"""Forwards and volatilities that the newest quotes imply, for the exchange's margin estimate.

Nothing here is shown or sent as a price. The forward of an expiry is its future's price, else what put-call parity
says around the money, else the index with the usual carry; a contract's volatility is read off the out-of-the-money
quotes around it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.practice.noise import FloatArray, IntArray
from engine.practice.pricer import implied_volatility
from engine.practice.session_market import Quotes
from engine.practice.settings import MarketSettings
from engine.practice.universe import PricedTable

_YEAR = 365.0 * 86_400.0
_PAISE = 100.0
_PARITY_PAIRS = 3
_SMILE_STRIKES = 24
_ORDINARY_VOLATILITY = 0.15
"""Where neither quotes nor a profile tell one."""
_KEPT_SECONDS = 5.0
"""An estimate serves for this much market time."""


class FrameEstimates:
    """Works out forwards and volatilities of one day's table.

    Args:
        table: The priced contracts.
        settings: Rates, and the usual volatility of the underlyings it knows.
        names: Underlyings, in the order of the index columns.
    """

    def __init__(self, table: PricedTable, settings: MarketSettings, names: Sequence[str]) -> None:
        self._table = table
        self._settings = settings
        usual = {profile.name: profile.implied_volatility for profile in settings.profiles}
        self._usual = [usual.get(name, _ORDINARY_VOLATILITY) for name in names]
        self._members = [np.flatnonzero(table.expiry_group == group) for group in range(len(table.groups))]
        self._made_at = -1.0
        self._made_of: object = None
        self._forwards: FloatArray = np.zeros(len(table))
        self._volatilities: FloatArray = np.zeros(len(table))

    def read(self, quotes: Quotes, moment: float) -> tuple[FloatArray, FloatArray]:
        """Return (forward in index points, annual volatility) of every contract."""
        if self._made_of is None or not 0.0 <= moment - self._made_at < _KEPT_SECONDS:
            self._made_at, self._made_of = moment, quotes
            prices = _prices(quotes)
            for group, rows in enumerate(self._members):
                self._estimate(group, rows, quotes, prices, moment)
        return self._forwards, self._volatilities

    def forget(self) -> None:
        """Drop what was estimated."""
        self._made_of = None

    def _estimate(self, group: int, rows: IntArray, quotes: Quotes, prices: FloatArray, moment: float) -> None:
        table = self._table
        underlying = table.groups[group][0]
        years = max(float(table.expires[rows[0]]) - moment, 0.0) / _YEAR
        spot = float(quotes.index_last[underlying]) / _PAISE
        forward = self._forward(rows, prices, spot, years)
        self._forwards[rows] = forward
        self._volatilities[rows] = self._usual[underlying]
        if forward <= 0.0:
            # Nobody can trade an underlying of which nothing is known; the strike keeps the arithmetic finite.
            self._forwards[rows] = table.strike[rows]
            return
        if years <= 0.0:
            return
        strikes, is_call = table.strike[rows], table.is_call[rows]
        outside = np.where(is_call, strikes >= forward, strikes < forward) & ~table.is_future[rows]
        usable = rows[outside & (prices[rows] > 0.0)]
        usable = usable[np.argsort(np.abs(table.strike[usable] - forward), kind="stable")[:_SMILE_STRIKES]]
        if not usable.size:
            return
        found = implied_volatility(
            prices[usable],
            np.full(usable.size, forward),
            table.strike[usable],
            np.full(usable.size, years),
            is_call=table.is_call[usable],
            rate=self._settings.discount_rate,
        )
        good = np.isfinite(found)
        if good.any():
            order = np.argsort(table.strike[usable][good], kind="stable")
            smile = found[good][order]
            self._volatilities[rows] = np.interp(strikes, table.strike[usable][good][order], smile)

    def _forward(self, rows: IntArray, prices: FloatArray, spot: float, years: float) -> float:
        table = self._table
        futures = rows[table.is_future[rows] & (prices[rows] > 0.0)]
        if futures.size:
            return float(prices[futures[0]])
        priced = rows[prices[rows] > 0.0]
        calls = {float(table.strike[row]): row for row in priced.tolist() if table.is_call[row]}
        puts = {float(table.strike[row]): row for row in priced.tolist() if not table.is_call[row]}
        pairs = sorted(calls.keys() & puts.keys(), key=lambda strike: abs(prices[calls[strike]] - prices[puts[strike]]))
        if pairs:
            growth = float(np.exp(self._settings.discount_rate * years))
            implied = [
                strike + (float(prices[calls[strike]]) - float(prices[puts[strike]])) * growth
                for strike in pairs[:_PARITY_PAIRS]
            ]
            return float(np.median(implied))
        return spot * float(np.exp(self._settings.carry * years))


def _prices(quotes: Quotes) -> FloatArray:
    """Return the middle of two-sided quotes, else the last price, in rupees; 0 where there is neither."""
    bid, ask = quotes.bid_price[:, 0], quotes.ask_price[:, 0]
    middle = (bid + ask) / (2.0 * _PAISE)
    return np.where((bid > 0) & (ask >= bid), middle, quotes.last / _PAISE)
