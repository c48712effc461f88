"""What a snapshot says about the contracts it holds, aligned with the rows of the priced table.

Rows that a snapshot does not hold have ``known`` False and neutral values elsewhere. Each known option keeps the
volatility that its own snapshot mid implies, its own distances of bid and ask, and a residual where no volatility
explains the price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.practice.contracts import CALL, Contract
from engine.practice.noise import BoolArray, FloatArray, IntArray
from engine.practice.nse_snapshot import Snapshot, SnapshotQuote
from engine.practice.pricer import black_price, implied_volatility
from engine.practice.universe import PricedTable

if TYPE_CHECKING:
    from engine.practice.session_market import Quotes

_PAISE = 100.0
_YEAR = 365.0 * 86_400.0
_NEAREST = 6
_FALLBACK_VOLATILITY = 0.5
_SMALLEST = 0.05


@dataclass(frozen=True, slots=True)
class StartingQuotes:
    """Columns of a snapshot: prices in paise, spreads and residuals in rupees, sizes in units."""

    known: BoolArray
    first: bool
    volatility: FloatArray
    residual: FloatArray
    reference: FloatArray
    below: FloatArray
    above: FloatArray
    no_bid: BoolArray
    no_ask: BoolArray
    bid: IntArray
    ask: IntArray
    last: IntArray
    close: IntArray
    bid_size: IntArray
    ask_size: IntArray
    total_buy: IntArray
    total_sell: IntArray
    open_interest_lots: IntArray
    volume_lots: IntArray

    def show(self, quotes: Quotes, interest_lots: FloatArray, lot: IntArray) -> None:
        """Write the snapshot's own sizes and totals into the quotes of the session's first instant."""
        if not self.first:
            return
        rows = self.known
        quotes.total_buy[rows] = self.total_buy[rows]
        quotes.total_sell[rows] = self.total_sell[rows]
        quotes.open_interest[rows] = np.rint(interest_lots[rows]).astype(np.int64) * lot[rows]
        for price, quantity, orders, size in (
            (quotes.bid_price, quotes.bid_quantity, quotes.bid_orders, self.bid_size),
            (quotes.ask_price, quotes.ask_quantity, quotes.ask_orders, self.ask_size),
        ):
            live = rows & (price[:, 0] > 0)
            quantity[live, 0] = size[live]
            orders[live, 0] = 1


def nothing_known(rows: int) -> StartingQuotes:
    """Return the columns of a market that no snapshot starts."""
    zeros = np.zeros(rows, dtype=np.int64)
    none = np.zeros(rows, dtype=np.bool_)
    empty = np.zeros(rows)
    return StartingQuotes(
        known=none,
        first=False,
        volatility=empty,
        residual=empty,
        reference=np.ones(rows),
        below=empty,
        above=empty,
        no_bid=none,
        no_ask=none,
        bid=zeros,
        ask=zeros,
        last=zeros,
        close=zeros,
        bid_size=zeros,
        ask_size=zeros,
        total_buy=zeros,
        total_sell=zeros,
        open_interest_lots=zeros,
        volume_lots=zeros,
    )


def snapshot_forwards(snapshot: Snapshot, instants: Mapping[object, float], rate: float) -> dict[object, float]:
    """Return the forward of each expiry by put-call parity near the money (index points); absent where it has none.

    Args:
        snapshot: The chain.
        instants: Expiry instant (epoch seconds) of each expiry date.
        rate: Discount rate, annual and continuous.
    """
    pairs: dict[object, dict[int, dict[str, float]]] = {}
    for quote in snapshot.quotes:
        if quote.bid and quote.ask:
            strikes = pairs.setdefault(quote.expiry, {})
            strikes.setdefault(quote.strike, {})[quote.kind] = (quote.bid + quote.ask) / 2.0 / _PAISE
    forwards: dict[object, float] = {}
    for expiry, strikes in pairs.items():
        both = [strike for strike, sides in strikes.items() if len(sides) == 2]
        both.sort(key=lambda strike: abs(strike / _PAISE - snapshot.spot))
        growth = np.exp(rate * max(instants[expiry] - snapshot.moment, 0.0) / _YEAR)
        implied = []
        for strike in both[:_NEAREST]:
            call, put = (strikes[strike][kind] for kind in sorted(strikes[strike]))
            implied.append(strike / _PAISE + growth * (call - put))
        if implied:
            forwards[expiry] = float(np.median(implied))
    return forwards


def starting_quotes(
    snapshot: Snapshot,
    contracts: tuple[Contract, ...],
    table: PricedTable,
    forwards: FloatArray,
    rate: float,
    *,
    first: bool,
) -> StartingQuotes:
    """Align a snapshot with the priced table.

    Args:
        snapshot: The chain.
        contracts: The contracts of the table's rows.
        table: The priced table.
        forwards: Forward of each row at the snapshot's moment (index points).
        rate: Discount rate.
        first: True for the session that begins with the snapshot; later ones keep only volatilities and spreads.
    """
    columns = nothing_known(len(table))
    by_contract: dict[tuple[object, int, str], SnapshotQuote] = {
        (quote.expiry, quote.strike, quote.kind): quote for quote in snapshot.quotes
    }
    found: list[int] = []
    quotes: list[SnapshotQuote] = []
    for row, contract in enumerate(contracts):
        if contract.name == snapshot.underlying and contract.is_option:
            quote = by_contract.get((contract.expiry, contract.strike, contract.kind))
            if quote is not None:
                found.append(row)
                quotes.append(quote)
    if not found:
        return columns
    rows = np.array(found)
    bid, ask, last, change = (
        np.array([getattr(quote, name) for quote in quotes], dtype=np.int64)
        for name in ("bid", "ask", "last", "change")
    )
    mid = np.where((bid > 0) & (ask > 0), (bid + ask) / 2.0, np.where(last > 0, last, np.maximum(bid, ask)))
    mid = np.maximum(mid / _PAISE, _SMALLEST)
    years = np.maximum((table.expires[rows] - snapshot.moment) / _YEAR, 0.0)
    is_call = np.array([quote.kind == CALL for quote in quotes])
    volatility = implied_volatility(mid, forwards[rows], table.strike[rows], years, is_call=is_call, rate=rate)
    volatility = _repair(volatility, table.strike[rows])
    model = black_price(forwards[rows], table.strike[rows], years, volatility, is_call=is_call, rate=rate)
    values: dict[str, BoolArray | FloatArray | IntArray] = {
        "known": np.ones(rows.size, dtype=np.bool_),
        "volatility": volatility,
        "residual": mid - model,
        "reference": np.maximum(mid, _SMALLEST),
        "below": np.where(bid > 0, mid - bid / _PAISE, 0.0),
        "above": np.where(ask > 0, ask / _PAISE - mid, 0.0),
        "no_bid": bid == 0,
        "no_ask": ask == 0,
        "bid": bid,
        "ask": ask,
        "last": last,
        "close": np.where(last > 0, np.maximum(last - change, 0), 0),
        "bid_size": np.array([quote.bid_size for quote in quotes]),
        "ask_size": np.array([quote.ask_size for quote in quotes]),
        "total_buy": np.array([quote.total_buy for quote in quotes]),
        "total_sell": np.array([quote.total_sell for quote in quotes]),
        "open_interest_lots": np.array([quote.open_interest_lots for quote in quotes]),
        "volume_lots": np.array([quote.volume_lots for quote in quotes]),
    }
    for name, column in values.items():
        target = getattr(columns, name).copy()
        target[rows] = column
        object.__setattr__(columns, name, target)
    object.__setattr__(columns, "first", first)
    return columns


def _repair(volatility: FloatArray, strike: FloatArray) -> FloatArray:
    """Fill options whose price no volatility explains from the nearest strikes that have one."""
    good = np.isfinite(volatility)
    if good.all():
        return volatility
    if not good.any():
        return np.full_like(volatility, _FALLBACK_VOLATILITY)
    order = np.argsort(strike[good])
    filled = np.interp(strike, strike[good][order], volatility[good][order])
    return np.where(good, volatility, filled)
