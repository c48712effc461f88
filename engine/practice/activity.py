"""How busy each contract is: spreads, depth, volume, open interest. Functions of the table, the instant and the seed.

Shapes follow measured chains: volume and open interest fall with standardised distance from the money, fall
faster in the money, and gather at round strikes; displayed sizes are whole lots, small near the money and large
in the wings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.practice.calendar_facts import Session
from engine.practice.noise import FloatArray, IntArray, uniform_at
from engine.practice.settings import MarketSettings
from engine.practice.starting_quotes import StartingQuotes
from engine.practice.universe import PricedTable

_DAY = 86_400.0
_DEPTH = 5
_U_DEPTH = 1.4
_TICK_RUPEES = 0.05
_WIDEST_WING = 0.08
_PURPOSE_VOLUME, _PURPOSE_INTEREST, _PURPOSE_GROWTH, _PURPOSE_PERIOD = 11, 12, 13, 14
_PURPOSE_TOTAL = 20
_PURPOSE_DEPTH = 30
_PURPOSE_GAP = 50
_SLOWEST_TRADE, _FASTEST_TRADE = 1_800.0, 0.5
_LOTS_PER_PRINT = 20.0
_TOTAL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Profile:
    """A session's activity per contract.

    Attributes:
        day_lots: Lots the contract trades over the session.
        trade_interval: Mean seconds between trades.
        open_interest_lots: Open interest at the session's start.
        interest_growth: Relative change of it over the session.
        base_volume: Units traded before the session began (a snapshot's volume).
        size_lots: Scale of displayed sizes, in lots.
        depth_seconds: How long a displayed size stays.
        total_ratio: Total displayed quantity relative to the five levels, per side.
    """

    day_lots: FloatArray
    trade_interval: FloatArray
    open_interest_lots: FloatArray
    interest_growth: FloatArray
    base_volume: IntArray
    size_lots: FloatArray
    depth_seconds: FloatArray
    total_ratio: FloatArray


@dataclass(frozen=True, slots=True)
class Depth:
    """Five levels per side, best first; prices in paise, 0 = empty level."""

    bid_price: IntArray
    bid_quantity: IntArray
    bid_orders: IntArray
    ask_price: IntArray
    ask_quantity: IntArray
    ask_orders: IntArray


def elapsed_share(position: FloatArray) -> FloatArray:
    """Return the share of a session's volume traded by a position in [0, 1]: U-shaped activity, 0 at 0 and 1 at 1."""
    centred = 2.0 * position - 1.0
    square = centred * centred
    share: FloatArray = (position + _U_DEPTH * (square * square * centred + 1.0) / 10.0) / (1.0 + _U_DEPTH / 5.0)
    return share


def half_spread(
    table: PricedTable, value: FloatArray, distance: FloatArray, spot: FloatArray, *, widest: bool = False
) -> FloatArray:
    """Return half the bid-ask distance in rupees: 0.3–1 % near the money, some ticks in the wings, wide in the money.

    With ``widest`` every option gets the widest wing: a bound that never shrinks as the option comes nearer.
    """
    in_the_money = np.maximum(np.where(table.is_call, -distance, distance), 0.0)
    relative = 0.0016 + 0.0006 * np.minimum(in_the_money, 4.0) ** 1.5
    option = np.maximum(relative * np.maximum(value, 0.0), 0.4 * _TICK_RUPEES)
    wing = np.minimum(np.maximum(np.abs(distance) - 2.0, 0.0) * 0.01, _WIDEST_WING)
    wing = np.where(in_the_money > 0.0, 0.0, wing) if not widest else np.full_like(wing, _WIDEST_WING)
    return np.where(table.is_future, 2.0e-5 * spot, option + wing)


def profile(
    table: PricedTable,
    session: Session,
    settings: MarketSettings,
    distance: FloatArray,
    starting: StartingQuotes,
) -> Profile:
    """Return a session's activity.

    Args:
        table: The priced contracts.
        session: The session.
        settings: Peaks per underlying.
        distance: Standardised distance from the money at the previous close; positive above the forward.
        starting: A snapshot's open interest and volume, if there is one.
    """
    days = np.maximum(table.expires - session.opens, 0.0) / _DAY
    peak_volume = np.array([row.peak_volume_lots for row in settings.profiles])[table.underlying]
    peak_interest = np.array([row.peak_open_interest_lots for row in settings.profiles])[table.underlying]
    near, near_interest = np.exp(-days / 3.2), np.exp(-days / 7.0)
    far, far_interest = 0.6 * np.exp(-days / 9.0), 0.8 * np.exp(-days / 25.0)
    time_volume = np.where(table.monthly, np.maximum(near, far), near) * 3.0
    time_interest = np.where(table.monthly, np.maximum(near_interest, far_interest), near_interest) * 1.6
    out = np.where(table.is_call, distance, -distance)
    inside, width = np.maximum(-out, 0.0), np.abs(distance)
    roundness = _roundness(table)
    drawn_volume = 0.6 + 0.8 * uniform_at(table.key, _PURPOSE_VOLUME, 0)
    drawn_interest = 0.7 + 0.6 * uniform_at(table.key, _PURPOSE_INTEREST, 0)
    volume = peak_volume * time_volume * roundness * drawn_volume
    volume *= np.exp(-1.2 * inside) / (1.0 + (width / 0.65) ** 2)
    interest = peak_interest * time_interest * roundness * drawn_interest
    interest *= np.exp(-1.1 * inside) / (1.0 + (width / 4.0) ** 2)
    volume = np.where(table.is_future, 0.02 * peak_volume * np.exp(-days / 30.0), volume)
    interest = np.where(table.is_future, 2.0 * peak_interest * np.exp(-days / 40.0), interest)
    volume = np.maximum(volume, 1.0)
    base_volume = np.zeros(len(table), dtype=np.int64)
    if starting.first:
        interest = np.where(starting.known, starting.open_interest_lots, interest)
        volume = np.where(starting.known, np.maximum(starting.volume_lots, 1.0), volume)
        base_volume = np.where(starting.known, starting.volume_lots * table.lot, 0)
    seconds = float(session.seconds)
    size = 10.0 + 12.0 * np.maximum(out - 2.0, 0.0)
    size = np.where(inside > 0.0, np.maximum(10.0 * np.exp(-0.5 * inside), 1.5), size)
    return Profile(
        day_lots=volume,
        trade_interval=np.clip(seconds * _LOTS_PER_PRINT / volume, _FASTEST_TRADE, _SLOWEST_TRADE),
        open_interest_lots=np.rint(interest),
        interest_growth=-0.04 + 0.16 * uniform_at(table.key, _PURPOSE_GROWTH, int(session.opens // _DAY)),
        base_volume=base_volume,
        size_lots=np.where(table.is_future, 6.0, size),
        depth_seconds=1.0 + 1.5 * np.minimum(width, 8.0) + 2.0 * uniform_at(table.key, _PURPOSE_PERIOD, 0),
        total_ratio=8.0 + 6.0 * np.maximum(out, 0.0),
    )


def depth(table: PricedTable, profile: Profile, bid: IntArray, ask: IntArray, positions: FloatArray) -> Depth:
    """Return five levels around the best prices (paise; 0 = that side is empty)."""
    bucket = np.floor(positions / profile.depth_seconds).astype(np.int64)
    spread_ticks = np.where((bid > 0) & (ask > 0), (ask - bid) // table.tick, 1)
    widest = np.minimum(spread_ticks // 3, 12).astype(np.float64)
    sides = []
    for number, (best, sign) in enumerate(((bid, -1), (ask, 1))):
        prices = np.zeros((len(table), _DEPTH), dtype=np.int64)
        quantities, orders = np.zeros_like(prices), np.zeros_like(prices)
        price = best.copy()
        for level in range(_DEPTH):
            drawn = uniform_at(table.key, _PURPOSE_DEPTH + number * _DEPTH + level, bucket)
            if level:
                # One draw gives the gap (its low digits) and the size: the two need not be independent to look alive.
                gap = 1 + np.floor(widest * np.modf(drawn * 64.0)[0]).astype(np.int64)
                price = price + sign * gap * table.tick
            live = (best > 0) & (price > 0)
            lots = 1 + np.floor(profile.size_lots * (0.6 + 0.4 * level) * -np.log1p(-drawn)).astype(np.int64)
            prices[:, level] = np.where(live, price, 0)
            quantities[:, level] = np.where(live, lots * table.lot, 0)
            orders[:, level] = np.where(live, 1 + lots // 4, 0)
        sides.append((prices, quantities, np.minimum(orders, 60_000)))
    (bids, bid_sizes, bid_orders), (asks, ask_sizes, ask_orders) = sides
    return Depth(bids, bid_sizes, bid_orders, asks, ask_sizes, ask_orders)


def totals(table: PricedTable, profile: Profile, book: Depth, positions: FloatArray) -> tuple[IntArray, IntArray]:
    """Return total buy and sell quantity (units, whole lots, at least what the five levels show)."""
    bucket = np.floor(positions / _TOTAL_SECONDS).astype(np.int64)
    result = []
    for number, (price, shown) in enumerate(((book.bid_price, book.bid_quantity), (book.ask_price, book.ask_quantity))):
        drawn = uniform_at(table.key, _PURPOSE_TOTAL + number, bucket)
        hidden = np.floor(profile.size_lots * profile.total_ratio * (0.8 + 0.4 * drawn)).astype(np.int64)
        result.append(np.where(price[:, 0] > 0, shown.sum(axis=1) + hidden * table.lot, 0))
    return result[0], result[1]


def _roundness(table: PricedTable) -> FloatArray:
    """Return how much a strike attracts: multiples of 1000 and 500 most, odd fifties least."""
    strike = np.rint(table.strike).astype(np.int64)
    return np.select([strike % 1000 == 0, strike % 500 == 0, strike % 100 == 0], [1.6, 1.2, 1.0], default=0.5)
