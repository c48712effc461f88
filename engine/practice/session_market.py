"""Every quote of one session as a function of the instant: prices, depth, volume, open interest.

Invariant: ``at(moment)`` depends on (source, seed, moment) alone. Whole blocks of the day's extremes are remembered
only to save time; asking in another order, or in a new process, gives the same numbers. Prices are integers of
paise, quantities units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.practice import activity
from engine.practice.calendar_facts import Session
from engine.practice.noise import BoolArray, FloatArray, IntArray, uniform_at
from engine.practice.paths import Level, SessionPaths
from engine.practice.pricer import black_price
from engine.practice.settings import MarketSettings
from engine.practice.smile import SHORTEST_YEARS, smile_volatility, term_factor
from engine.practice.starting_quotes import StartingQuotes
from engine.practice.universe import PricedTable

_YEAR = 365.0 * 86_400.0
_PAISE = 100.0
_DEPTH = 5
_FLICKER = 0.15
_FLICKER_SECONDS = 2.0
_PURPOSE_FLICKER, _PURPOSE_SIDE, _PURPOSE_TRADE, _PURPOSE_PHASE = 1, 2, 3, 4
_PURPOSE_LAST_SIZE = 5
_CIRCUIT = 0.10
_CIRCUIT_VOLATILITY = 1.5
_CIRCUIT_PAD = 2000
_VIX_YEARS = np.array([30.0 / 365.0])
_VIX_RATIO = 1.04


@dataclass(frozen=True, slots=True)
class Quotes:
    """All quotes of one instant; arrays have one row per priced contract, depth arrays five columns, best first.

    Prices in paise, quantities in units, times in epoch seconds; 0 means that there is none.
    """

    moment: float
    last: IntArray
    last_quantity: IntArray
    last_time: IntArray
    average: IntArray
    volume: IntArray
    total_buy: IntArray
    total_sell: IntArray
    open: IntArray
    high: IntArray
    low: IntArray
    close: IntArray
    open_interest: IntArray
    open_interest_high: IntArray
    open_interest_low: IntArray
    bid_price: IntArray
    bid_quantity: IntArray
    bid_orders: IntArray
    ask_price: IntArray
    ask_quantity: IntArray
    ask_orders: IntArray
    lower_circuit: IntArray
    upper_circuit: IntArray
    fair: IntArray
    index_last: IntArray
    index_open: IntArray
    index_high: IntArray
    index_low: IntArray
    index_close: IntArray


class SessionMarket:
    """The market of one session.

    Args:
        session: The session.
        table: Its priced contracts.
        paths: Index and volatility paths.
        settings: How the market is shaped.
        bases: Index level of each underlying at log price 0.
        starts: Level of each underlying at the previous close.
        previous_close: When the previous session closed, epoch seconds.
        carries: Carry of each expiry group of the table (annual, continuous).
        starting: Quotes of a snapshot that the session begins with, if any.
    """

    def __init__(
        self,
        *,
        session: Session,
        table: PricedTable,
        paths: SessionPaths,
        settings: MarketSettings,
        bases: FloatArray,
        starts: list[Level],
        previous_close: float,
        carries: FloatArray,
        starting: StartingQuotes,
    ) -> None:
        self.session = session
        self.table = table
        self._paths = paths
        self._settings = settings
        self._starting = starting
        # Rows whose first instant is the snapshot itself; in later sessions only its volatilities and spreads live on.
        self._fresh = starting.known & starting.first
        self._carry = carries[table.expiry_group] if len(table) else np.empty(0)
        self._implied = np.array([profile.implied_volatility for profile in settings.profiles])
        self._last_position = np.full(len(table), float(session.seconds))
        today = table.expires <= session.closes
        self._last_position[today] = np.maximum(table.expires[today] - session.opens, 0.0)
        self._spot_close = bases * np.exp([level.log_price for level in starts])
        self._vol_close = np.exp([level.log_volatility for level in starts])
        self.previous_close = previous_close
        first = session.from_snapshot
        self._value_close(session.opens if first else previous_close)
        self._profile = activity.profile(table, session, settings, self._distance, starting)
        self._phase = uniform_at(table.key, _PURPOSE_PHASE, 0)
        self._first_trades()
        self._blocks_done = 0
        self._env_high = np.zeros(0, dtype=np.int64)
        self._env_low = np.zeros(0, dtype=np.int64)
        self._forget_extremes()

    def at(self, moment: float) -> Quotes:
        """Return every quote at an instant (epoch seconds; held within the session)."""
        position = self._paths.position(moment)
        positions = np.minimum(position, self._last_position)
        table, profile, starting = self.table, self._profile, self._starting
        bid, ask, fair = self._quote(positions)
        last, last_position, traded = self._last_trade(positions)
        elapsed = activity.elapsed_share(last_position / self.session.seconds)
        done = activity.elapsed_share(positions / self.session.seconds)
        volume = profile.base_volume + np.floor(profile.day_lots * elapsed * traded).astype(np.int64) * table.lot
        interest = np.maximum(
            np.rint(profile.open_interest_lots * (1.0 + profile.interest_growth * done)).astype(np.int64), 0
        )
        interest *= table.lot
        interest_start = profile.open_interest_lots.astype(np.int64) * table.lot
        day_open = np.where(traded | self._fresh, self._open, 0)
        high, low = self._extremes(position, last, day_open)
        depth = activity.depth(table, profile, bid, ask, positions)
        totals = activity.totals(table, profile, depth, positions)
        last_size = (1 + np.floor(3.0 * uniform_at(table.key, _PURPOSE_LAST_SIZE, last_position.astype(np.int64)))) * (
            table.lot
        )
        average = np.where(day_open > 0, (high + low + 2 * day_open + 2 * last) // 6, 0)
        quotes = Quotes(
            moment=moment,
            last=last,
            last_quantity=np.where(volume > 0, last_size.astype(np.int64), 0),
            last_time=np.where(
                last > 0,
                np.where(
                    traded,
                    self.session.opens + last_position,
                    self.session.opens if self.session.from_snapshot else self.previous_close,
                ),
                0,
            ).astype(np.int64),
            average=average,
            volume=volume,
            total_buy=totals[0],
            total_sell=totals[1],
            open=day_open,
            high=high,
            low=low,
            close=self.close,
            open_interest=interest,
            open_interest_high=np.maximum(interest, interest_start),
            open_interest_low=np.minimum(interest, interest_start),
            bid_price=depth.bid_price,
            bid_quantity=depth.bid_quantity,
            bid_orders=depth.bid_orders,
            ask_price=depth.ask_price,
            ask_quantity=depth.ask_quantity,
            ask_orders=depth.ask_orders,
            lower_circuit=self._lower,
            upper_circuit=self._upper,
            fair=fair,
            **self._index(position),
        )
        if position <= 0.0:
            starting.show(quotes, self._profile.open_interest_lots, table.lot)
        return quotes

    def settlement(self, underlying: int) -> int:
        """Return the published index level (paise) at which contracts that expire today settle."""
        position = float(self.session.expiring_closes - self.session.opens)
        level = self._paths.at(self._paths.shown, self._paths.position(self.session.opens + position))[underlying]
        return round(float(level) * _PAISE)

    def spots(self, moment: float) -> FloatArray:
        """Return the published index levels (points), one per underlying."""
        return self._paths.at(self._paths.shown, self._paths.position(moment))

    def volatilities(self, moment: float) -> FloatArray:
        """Return each priced contract's model volatility now (annual)."""
        positions = np.minimum(self._paths.position(moment), self._last_position)
        spot = self._paths.sample(self._paths.latent, self.table.underlying, positions)
        multiplier = self._paths.sample(self._paths.volatility, self.table.underlying, positions)
        years = np.maximum((self.table.expires - self.session.opens - positions) / _YEAR, 0.0)
        forward = spot * np.exp(self._carry * years)
        return self._volatility(forward, years, multiplier)[0]

    def forwards(self, moment: float) -> FloatArray:
        """Return each priced contract's forward now (index points)."""
        positions = np.minimum(self._paths.position(moment), self._last_position)
        spot = self._paths.sample(self._paths.latent, self.table.underlying, positions)
        years = np.maximum((self.table.expires - self.session.opens - positions) / _YEAR, 0.0)
        return np.asarray(spot * np.exp(self._carry * years))

    def _volatility(
        self, forward: FloatArray, years: FloatArray, multiplier: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        base = self._implied[self.table.underlying] * multiplier
        volatility, distance = smile_volatility(forward, self.table.strike, years, base)
        own = self._starting.known
        return np.where(own, self._starting.volatility * multiplier, volatility), distance

    def _value(
        self, spot: FloatArray, multiplier: FloatArray, years: FloatArray, scale: float = 1.0
    ) -> tuple[FloatArray, FloatArray]:
        """Return (price in rupees, standardised distance) per contract."""
        table = self.table
        forward = spot * np.exp(self._carry * years)
        volatility, distance = self._volatility(forward, years, multiplier)
        option = black_price(
            forward, table.strike, years, volatility * scale, is_call=table.is_call, rate=self._settings.discount_rate
        )
        return np.where(table.is_future, forward, option + self._starting.residual), distance

    def _value_close(self, moment: float) -> None:
        """Work out the previous close, the day's price range and how far each strike is from the money."""
        table = self.table
        years = np.maximum((table.expires - moment) / _YEAR, 0.0)
        spot, multiplier = self._spot_close[table.underlying], self._vol_close[table.underlying]
        value, self._distance = self._value(spot, multiplier, years)
        tick = table.tick
        rounded = np.maximum(np.rint(value * _PAISE / tick).astype(np.int64), 1) * tick
        self.close = np.where(self._fresh, self._starting.close, rounded)
        direction = np.where(table.is_call | table.is_future, 1.0, -1.0)
        best, _ = self._value(spot * (1.0 + _CIRCUIT * direction), multiplier, years, _CIRCUIT_VOLATILITY)
        worst, _ = self._value(spot * (1.0 - _CIRCUIT * direction), multiplier, years)
        pad: IntArray = np.where(table.is_future, 0, _CIRCUIT_PAD).astype(np.int64)
        self._upper = (np.rint(best * _PAISE / tick).astype(np.int64) + pad // tick) * tick
        self._lower = np.maximum(np.rint(worst * _PAISE / tick).astype(np.int64) - pad // tick, 1) * tick

    def _quote(self, positions: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return (best bid, best ask, fair) in paise, each contract at its own position; 0 = no such side."""
        table, starting = self.table, self._starting
        spot = self._paths.sample(self._paths.latent, table.underlying, positions)
        multiplier = self._paths.sample(self._paths.volatility, table.underlying, positions)
        years = np.maximum((table.expires - self.session.opens - positions) / _YEAR, 0.0)
        value, distance = self._value(spot, multiplier, years)
        below, above = self._half_spreads(value, distance, spot)
        bucket = np.floor(positions / _FLICKER_SECONDS).astype(np.int64)
        flicker = (2.0 * uniform_at(table.key, _PURPOSE_FLICKER, bucket) - 1.0) * _FLICKER
        flicker[self._fresh & (bucket == 0)] = 0.0
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

    def _half_spreads(
        self, value: FloatArray, distance: FloatArray, spot: FloatArray, *, widest: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        half = activity.half_spread(self.table, value, distance, spot, widest=widest)
        starting = self._starting
        shrink = np.minimum(np.maximum(value, 0.0) / starting.reference, 1.0)
        below = np.where(starting.known, starting.below * shrink, half)
        above = np.where(starting.known, starting.above * shrink, half)
        return below, above

    def _trade_position(self, bucket: IntArray) -> FloatArray:
        """Return when (seconds from the open) the trade of each contract's bucket happens."""
        drawn = uniform_at(self.table.key, _PURPOSE_TRADE, bucket)
        return np.asarray((bucket + drawn - self._phase) * self._profile.trade_interval)

    def _first_trades(self) -> None:
        bucket = np.zeros(len(self.table), dtype=np.int64)
        first = self._trade_position(bucket)
        first = np.where(first < 0.0, self._trade_position(bucket + 1), first)
        self._first_position = first
        opening, _ = self._trade_price(np.clip(first, 0.0, self._last_position))
        self._open = np.where(self._fresh, self._starting.last, opening)

    def _trade_price(self, positions: FloatArray) -> tuple[IntArray, IntArray]:
        """Return (trade price, fair price) in paise of a trade at each contract's position."""
        bid, ask, fair = self._quote(positions)
        seconds = np.floor(positions).astype(np.int64)
        buyer = uniform_at(self.table.key, _PURPOSE_SIDE, seconds) < 0.5
        price = np.where((buyer & (ask > 0)) | (bid == 0), ask, bid)
        return np.where(price > 0, price, fair), fair

    def _last_trade(self, positions: FloatArray) -> tuple[IntArray, FloatArray, BoolArray]:
        """Return (last price in paise, its position in seconds, whether it is of this session)."""
        bucket = np.floor(positions / self._profile.trade_interval + self._phase).astype(np.int64)
        when = self._trade_position(bucket)
        when = np.where(when > positions, self._trade_position(bucket - 1), when)
        traded = when >= self._first_position - 1e-9
        if self.session.from_snapshot:
            traded &= when > 0.0
        price, _ = self._trade_price(np.clip(when, 0.0, positions))
        before = np.where(self._fresh, self._starting.last, self.close)
        return np.where(traded, price, before), np.where(traded, when, 0.0), traded

    def _forget_extremes(self) -> None:
        self._blocks_done = 0
        self._env_high = np.zeros(len(self.table), dtype=np.int64)
        self._env_low = np.full(len(self.table), np.iinfo(np.int64).max // 4)

    def _extremes(self, position: float, last: IntArray, day_open: IntArray) -> tuple[IntArray, IntArray]:
        whole = int(position) // self._paths.block_seconds
        if whole < self._blocks_done:
            self._forget_extremes()
        for block in range(self._blocks_done, whole):
            high, low = self._envelope(block, self._paths.block(block))
            np.maximum(self._env_high, high, out=self._env_high)
            np.minimum(self._env_low, low, out=self._env_low)
        self._blocks_done = whole
        high, low = self._envelope(whole, self._paths.partial(position))
        high = np.maximum(np.maximum(high, self._env_high), np.maximum(day_open, last))
        low = np.maximum(np.minimum(np.minimum(low, self._env_low), np.minimum(day_open, last)), self.table.tick)
        return np.where(day_open > 0, high, 0), np.where(day_open > 0, low, 0)

    def _envelope(
        self, block: int, extremes: tuple[FloatArray, FloatArray, FloatArray, FloatArray]
    ) -> tuple[IntArray, IntArray]:
        """Return the highest ask and the lowest bid (paise) that levels within the extremes can give in a block.

        The times of the whole block are used even while it is under way: only then do the bounds never narrow.
        """
        table = self.table
        low, high, vol_low, vol_high = (column[table.underlying] for column in extremes)
        rising = table.is_call | table.is_future
        begin = np.minimum(block * self._paths.block_seconds, self._last_position)
        end = np.minimum((block + 1) * self._paths.block_seconds, self._last_position)
        expires = table.expires - self.session.opens
        first, final = np.maximum((expires - begin) / _YEAR, 0.0), np.maximum((expires - end) / _YEAR, 0.0)
        # Time works against the usual direction where interest outweighs time value: puts deep in the money.
        against = (first - final) * (
            np.where(rising, 0.0, self._settings.discount_rate * table.strike) + np.maximum(-self._carry, 0.0) * high
        )
        top, distance = self._value(np.where(rising, high, low), vol_high, first)
        # The spread widens with the distance in the money: largest at the lowest volatility, in the last second.
        shortest = np.maximum(final, SHORTEST_YEARS)
        distance = distance * (vol_high / vol_low) * np.sqrt(np.maximum(first, shortest) / shortest)
        below, above = self._half_spreads(top, distance, high, widest=True)
        top += above + _FLICKER * (below + above) * 0.5 + against
        bottom, distance = self._value(np.where(rising, low, high), vol_low, final)
        below, above = self._half_spreads(bottom, distance, low, widest=True)
        bottom -= below + _FLICKER * (below + above) * 0.5 + against
        return (
            np.ceil(top * _PAISE / table.tick).astype(np.int64) * table.tick,
            np.floor(bottom * _PAISE / table.tick).astype(np.int64) * table.tick,
        )

    def _index(self, position: float) -> dict[str, IntArray]:
        """Return the index columns: one per underlying, then the volatility index (paise)."""
        shown, end = self._paths.shown, int(position) + 1
        now = self._paths.at(shown, position)
        ratio = _VIX_RATIO * float(term_factor(_VIX_YEARS)[0]) * self._implied[0] * _PAISE
        vol = self._paths.volatility[0] * ratio
        vol_now = float(self._paths.at(self._paths.volatility, position)[0]) * ratio
        opened = shown[:, 0]
        high, low = np.maximum(shown[:, :end].max(axis=1), now), np.minimum(shown[:, :end].min(axis=1), now)
        columns = {
            "index_last": np.append(now, vol_now),
            "index_open": np.append(opened, vol[0]),
            "index_high": np.append(high, max(float(vol[:end].max()), vol_now)),
            "index_low": np.append(low, min(float(vol[:end].min()), vol_now)),
            "index_close": np.append(self._spot_close, float(self._vol_close[0]) * ratio),
        }
        return {name: np.rint(column * _PAISE).astype(np.int64) for name, column in columns.items()}
