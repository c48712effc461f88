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
from engine.practice.contract_prices import FLICKER, YEAR, ContractPrices
from engine.practice.index_quotes import IndexQuotes
from engine.practice.noise import FloatArray, IntArray, uniform_at
from engine.practice.paths import Level, SessionPaths
from engine.practice.settings import MarketSettings
from engine.practice.smile import SHORTEST_YEARS
from engine.practice.starting_quotes import StartingQuotes
from engine.practice.universe import PricedTable

_PAISE = 100.0
_PURPOSE_LAST_SIZE = 5
_CIRCUIT = 0.10
_CIRCUIT_VOLATILITY = 1.5
_CIRCUIT_PAD = 2000


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
        self.previous_close = previous_close
        spots = bases * np.exp([level.log_price for level in starts])
        multipliers = np.exp([level.log_volatility for level in starts])
        closed = session.opens if session.from_snapshot else previous_close
        self.prices = ContractPrices(
            session=session,
            table=table,
            paths=paths,
            settings=settings,
            carries=carries,
            starting=starting,
            closes=(spots, multipliers),
            closed=closed,
        )
        self.indices = IndexQuotes(paths, settings.profiles[0].implied_volatility, spots, float(multipliers[0]))
        self._value_close(spots[table.underlying], multipliers[table.underlying], closed)
        self._blocks_done = 0
        self._env_high = np.zeros(0, dtype=np.int64)
        self._env_low = np.zeros(0, dtype=np.int64)
        self._forget_extremes()

    def at(self, moment: float) -> Quotes:
        """Return every quote at an instant (epoch seconds; held within the session)."""
        position = self._paths.position(moment)
        prices, table, starting = self.prices, self.table, self._starting
        profile, positions = prices.profile, prices.positions(position)
        bid, ask, fair = prices.quote(positions)
        last, last_position, traded = prices.last_trade(positions)
        last = np.where(traded, last, np.where(prices.fresh, starting.last, self.close))
        volume, interest = prices.volume(last_position, traded), prices.open_interest(positions)
        interest_start = profile.open_interest_lots.astype(np.int64) * table.lot
        day_open = np.where(traded | prices.fresh, prices.opening, 0)
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
            **self.indices.columns(position),
        )
        if position <= 0.0:
            starting.show(quotes, profile.open_interest_lots, table.lot)
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
        return self.prices.volatilities(self.prices.positions(self._paths.position(moment)))

    def forwards(self, moment: float) -> FloatArray:
        """Return each priced contract's forward now (index points)."""
        return self.prices.forwards(self.prices.positions(self._paths.position(moment)))

    def _value_close(self, spot: FloatArray, multiplier: FloatArray, moment: float) -> None:
        """Work out the previous close and the day's price range."""
        table, prices = self.table, self.prices
        years = np.maximum((table.expires - moment) / YEAR, 0.0)
        tick = table.tick
        rounded = np.maximum(np.rint(prices.closing_value * _PAISE / tick).astype(np.int64), 1) * tick
        self.close = np.where(prices.fresh, self._starting.close, rounded)
        direction = np.where(table.is_call | table.is_future, 1.0, -1.0)
        best, _ = prices.value(spot * (1.0 + _CIRCUIT * direction), multiplier, years, _CIRCUIT_VOLATILITY)
        worst, _ = prices.value(spot * (1.0 - _CIRCUIT * direction), multiplier, years)
        pad: IntArray = np.where(table.is_future, 0, _CIRCUIT_PAD).astype(np.int64)
        self._upper = (np.rint(best * _PAISE / tick).astype(np.int64) + pad // tick) * tick
        self._lower = np.maximum(np.rint(worst * _PAISE / tick).astype(np.int64) - pad // tick, 1) * tick

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
        table, carry = self.table, self.prices.carry
        low, high, vol_low, vol_high = (column[table.underlying] for column in extremes)
        rising = table.is_call | table.is_future
        begin = np.minimum(block * self._paths.block_seconds, self.prices.last_position)
        end = np.minimum((block + 1) * self._paths.block_seconds, self.prices.last_position)
        expires = table.expires - self.session.opens
        first, final = np.maximum((expires - begin) / YEAR, 0.0), np.maximum((expires - end) / YEAR, 0.0)
        # Time works against the usual direction where interest outweighs time value: puts deep in the money.
        against = (first - final) * (
            np.where(rising, 0.0, self._settings.discount_rate * table.strike) + np.maximum(-carry, 0.0) * high
        )
        top, distance = self.prices.value(np.where(rising, high, low), vol_high, first)
        # The spread widens with the distance in the money: largest at the lowest volatility, in the last second.
        shortest = np.maximum(final, SHORTEST_YEARS)
        distance = distance * (vol_high / vol_low) * np.sqrt(np.maximum(first, shortest) / shortest)
        below, above = self.prices.half_spreads(top, distance, high, widest=True)
        top += above + FLICKER * (below + above) * 0.5 + against
        bottom, distance = self.prices.value(np.where(rising, low, high), vol_low, final)
        below, above = self.prices.half_spreads(bottom, distance, low, widest=True)
        bottom -= below + FLICKER * (below + above) * 0.5 + against
        return (
            np.ceil(top * _PAISE / table.tick).astype(np.int64) * table.tick,
            np.floor(bottom * _PAISE / table.tick).astype(np.int64) * table.tick,
        )
