"""What each contract is worth, quoted at and traded at, as a function of its own instant.

Everything here is vectorised over rows that may stand at different positions (seconds from the open), so that the whole
market at one instant and one contract at many instants are the same arithmetic. Prices on the wire are integers of
paise.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from engine.practice import activity
from engine.practice.calendar_facts import Session
from engine.practice.columns import taken
from engine.practice.noise import BoolArray, FloatArray, IntArray, uniform_at
from engine.practice.paths import SessionPaths
from engine.practice.pricer import black_price
from engine.practice.settings import MarketSettings
from engine.practice.smile import smile_volatility
from engine.practice.starting_quotes import StartingQuotes
from engine.practice.universe import PricedTable

YEAR = 365.0 * 86_400.0
FLICKER = 0.15
"""A quote's middle moves within this share of the spread around the fair value."""
_PAISE = 100.0
_FLICKER_SECONDS = 2.0
_PURPOSE_FLICKER, _PURPOSE_SIDE, _PURPOSE_TRADE, _PURPOSE_PHASE = 1, 2, 3, 4
_SLACK = 1e-9
_ROW_COLUMNS = ("fresh", "carry", "last_position", "opening", "_phase", "_first_position")


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades of one contract, oldest first.

    Attributes:
        moment: When (epoch seconds).
        price: At what price (paise).
        volume: Cumulative volume of the session after each (units).
        open_interest: Open interest after each (units).
    """

    moment: FloatArray
    price: IntArray
    volume: IntArray
    open_interest: IntArray


class ContractPrices:
    """Prices of a session's contracts.

    Args:
        session: The session.
        table: Its priced contracts.
        paths: Index and volatility paths.
        settings: How the market is shaped.
        carries: Carry of each expiry group of the table (annual, continuous).
        starting: Quotes of a snapshot that the session begins with, if any.
        closes: Index level and volatility multiplier of each underlying at the previous close.
        closed: When that was (epoch seconds).
    """

    def __init__(
        self,
        *,
        session: Session,
        table: PricedTable,
        paths: SessionPaths,
        settings: MarketSettings,
        carries: FloatArray,
        starting: StartingQuotes,
        closes: tuple[FloatArray, FloatArray],
        closed: float,
    ) -> None:
        self.session = session
        self.table = table
        self.starting = starting
        self._paths = paths
        self._settings = settings
        # Rows whose first instant is the snapshot itself; in later sessions only its volatilities and spreads live on.
        self.fresh: BoolArray = starting.known & starting.first
        self.carry: FloatArray = carries[table.expiry_group] if len(table) else np.empty(0)
        self._implied = np.array([row.implied_volatility for row in settings.profiles])
        self.last_position = np.full(len(table), float(session.seconds))
        today = table.expires <= session.closes
        self.last_position[today] = np.maximum(table.expires[today] - session.opens, 0.0)
        years = np.maximum((table.expires - closed) / YEAR, 0.0)
        spots, multipliers = (column[table.underlying] for column in closes)
        self.closing_value, distance = self.value(spots, multipliers, years)
        self.profile = activity.profile(table, session, settings, distance, starting)
        self._phase = uniform_at(table.key, _PURPOSE_PHASE, 0)
        self._first_position = self._first_trades()
        opening = self._trade_price(np.clip(self._first_position, 0.0, self.last_position))
        self.opening: IntArray = np.where(self.fresh, starting.last, opening)

    def positions(self, position: float) -> FloatArray:
        """Return where each contract stands at a position: those that stopped trading stay where they stopped."""
        return np.asarray(np.minimum(position, self.last_position))

    def years(self, positions: FloatArray) -> FloatArray:
        """Return each contract's time to expiry at its position."""
        return np.asarray(np.maximum((self.table.expires - self.session.opens - positions) / YEAR, 0.0))

    def forwards(self, positions: FloatArray) -> FloatArray:
        """Return each contract's forward at its position (index points)."""
        spot = self._paths.sample(self._paths.latent, self.table.underlying, positions)
        return np.asarray(spot * np.exp(self.carry * self.years(positions)))

    def volatilities(self, positions: FloatArray) -> FloatArray:
        """Return each contract's model volatility at its position (annual)."""
        multiplier = self._paths.sample(self._paths.volatility, self.table.underlying, positions)
        return self._volatility(self.forwards(positions), self.years(positions), multiplier)[0]

    def value(
        self, spot: FloatArray, multiplier: FloatArray, years: FloatArray, scale: float = 1.0
    ) -> tuple[FloatArray, FloatArray]:
        """Return (worth in rupees, standardised distance from the money) per contract."""
        table = self.table
        forward = spot * np.exp(self.carry * years)
        volatility, distance = self._volatility(forward, years, multiplier)
        option = black_price(
            forward, table.strike, years, volatility * scale, is_call=table.is_call, rate=self._settings.discount_rate
        )
        return np.where(table.is_future, forward, option + self.starting.residual), distance

    def quote(self, positions: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return (best bid, best ask, fair) in paise, each contract at its own position; 0 = no such side."""
        table, starting = self.table, self.starting
        spot = self._paths.sample(self._paths.latent, table.underlying, positions)
        multiplier = self._paths.sample(self._paths.volatility, table.underlying, positions)
        value, distance = self.value(spot, multiplier, self.years(positions))
        below, above = self.half_spreads(value, distance, spot)
        bucket = np.floor(positions / _FLICKER_SECONDS).astype(np.int64)
        flicker = (2.0 * uniform_at(table.key, _PURPOSE_FLICKER, bucket) - 1.0) * FLICKER
        flicker[self.fresh & (bucket == 0)] = 0.0
        value = value + flicker * (below + above) * 0.5
        paise, tick = value * _PAISE, table.tick
        bid = np.floor((paise - below * _PAISE) / tick + 1e-6).astype(np.int64)
        ask = np.ceil((paise + above * _PAISE) / tick - 1e-6).astype(np.int64)
        bid = np.where(starting.known, np.rint((paise - below * _PAISE) / tick).astype(np.int64), bid)
        ask = np.where(starting.known, np.rint((paise + above * _PAISE) / tick).astype(np.int64), ask)
        ask = np.maximum(np.maximum(ask, bid + 1), 1)
        bid = np.where(starting.no_bid, 0, np.maximum(bid, 0))
        ask = np.where(starting.no_ask, 0, ask)
        fair = np.maximum(np.rint(paise / tick).astype(np.int64), 1)
        return bid * tick, ask * tick, fair * tick

    def half_spreads(
        self, value: FloatArray, distance: FloatArray, spot: FloatArray, *, widest: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        """Return how far bid and ask stand from the worth (rupees)."""
        half = activity.half_spread(self.table, value, distance, spot, widest=widest)
        starting = self.starting
        shrink = np.minimum(np.maximum(value, 0.0) / starting.reference, 1.0)
        below = np.where(starting.known, starting.below * shrink, half)
        above = np.where(starting.known, starting.above * shrink, half)
        return below, above

    def last_trade(self, positions: FloatArray) -> tuple[IntArray, FloatArray, BoolArray]:
        """Return (price of the last trade in paise, its position in seconds, whether there was one) per contract."""
        bucket = np.floor(positions / self.profile.trade_interval + self._phase).astype(np.int64)
        when = self._trade_position(bucket)
        when = np.where(when > positions, self._trade_position(bucket - 1), when)
        traded = when >= self._first_position - _SLACK
        if self.session.from_snapshot:
            traded &= when > 0.0
        return self._trade_price(np.clip(when, 0.0, positions)), np.where(traded, when, 0.0), traded

    def volume(self, positions: FloatArray, traded: BoolArray) -> IntArray:
        """Return cumulative volume (units) after a last trade at each contract's position."""
        profile = self.profile
        share = activity.elapsed_share(positions / self.session.seconds)
        lots: IntArray = np.floor(profile.day_lots * share * traded).astype(np.int64)
        return profile.base_volume + lots * self.table.lot

    def open_interest(self, positions: FloatArray) -> IntArray:
        """Return open interest (units) at each contract's position."""
        profile = self.profile
        grown = 1.0 + profile.interest_growth * activity.elapsed_share(positions / self.session.seconds)
        lots: IntArray = np.maximum(np.rint(profile.open_interest_lots * grown).astype(np.int64), 0)
        return lots * self.table.lot

    def trades(self, row: int, begin: float, end: float) -> Trades:
        """Return every trade of one contract that happens at ``begin`` or later and before ``end`` (epoch seconds).

        They are the very trades that the last price, its time and the cumulative volume of the quotes show.
        """
        first, last = begin - self.session.opens, end - self.session.opens
        interval, phase = float(self.profile.trade_interval[row]), float(self._phase[row])
        bucket = np.arange(int(np.floor(first / interval + phase)) - 1, int(np.floor(last / interval + phase)) + 1)
        own = self._repeated(row, bucket.size)
        when = own._trade_position(bucket)
        happened = (when >= max(first, 0.0)) & (when < last) & (when <= own.last_position)
        happened &= when >= own._first_position - _SLACK
        if self.session.from_snapshot:
            happened &= when > 0.0
        price = own._trade_price(np.clip(when, 0.0, own.last_position))
        volume, interest = own.volume(when, happened), own.open_interest(when)
        return Trades(self.session.opens + when[happened], price[happened], volume[happened], interest[happened])

    def _repeated(self, row: int, count: int) -> ContractPrices:
        """Return these prices with one contract in each of ``count`` rows: many instants of it at once."""
        rows = np.full(count, row, dtype=np.int64)
        other = copy.copy(self)
        other.table = taken(self.table, rows)
        other.starting = taken(self.starting, rows)
        other.profile = taken(self.profile, rows)
        for name in _ROW_COLUMNS:
            setattr(other, name, getattr(self, name)[rows])
        return other

    def _volatility(
        self, forward: FloatArray, years: FloatArray, multiplier: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        base = self._implied[self.table.underlying] * multiplier
        volatility, distance = smile_volatility(forward, self.table.strike, years, base)
        return np.where(self.starting.known, self.starting.volatility * multiplier, volatility), distance

    def _trade_position(self, bucket: IntArray) -> FloatArray:
        """Return when (seconds from the open) the trade of each contract's bucket happens."""
        drawn = uniform_at(self.table.key, _PURPOSE_TRADE, bucket)
        return np.asarray((bucket + drawn - self._phase) * self.profile.trade_interval)

    def _first_trades(self) -> FloatArray:
        bucket = np.zeros(len(self.table), dtype=np.int64)
        first = self._trade_position(bucket)
        return np.where(first < 0.0, self._trade_position(bucket + 1), first)

    def _trade_price(self, positions: FloatArray) -> IntArray:
        """Return the price in paise of a trade at each contract's position."""
        bid, ask, fair = self.quote(positions)
        seconds = np.floor(positions).astype(np.int64)
        buyer = uniform_at(self.table.key, _PURPOSE_SIDE, seconds) < 0.5
        price = np.where((buyer & (ask > 0)) | (bid == 0), ask, bid)
        return np.where(price > 0, price, fair)
