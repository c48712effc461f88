"""How orders meet the displayed market.

An incoming order takes displayed levels one by one; what it took comes back only after a while or when the price
moves. A resting order waits behind the size that was displayed at its price when it joined. Three things bring it
forward: trades at its price, trades through its price (nobody before it can be left), and a displayed size smaller
than what was before it (the others have left). Invariant: never a fill worse than the order's limit, never more than
its open quantity, never more than was displayed or traded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.practice.noise import IntArray
from engine.practice.orders import Order
from engine.practice.session_market import Quotes
from engine.practice.wire import BUY, SELL

_DEPTH = 5
_SIDES = 2
"""Traded volume is taken to have hit the two sides of the book alike."""


@dataclass(frozen=True, slots=True)
class Fill:
    """A quantity (units) at a price (paise)."""

    price: int
    quantity: int


@dataclass(slots=True)
class _Taken:
    quantity: int
    until: float


class Matcher:
    """Matches orders of one instrument row against quotes.

    One matcher serves all accounts of a venue: what one of them took is not there for another.

    Args:
        recovery_seconds: Market time after which taken liquidity is displayed again.
    """

    def __init__(self, recovery_seconds: float) -> None:
        self._recovery = recovery_seconds
        self.is_halted = False
        """Trading is halted: nothing is filled."""
        self._taken: dict[tuple[int, str], dict[int, _Taken]] = {}
        self._volume_used: dict[tuple[int, str], int] = {}
        self._line = 0

    def next_line(self) -> int:
        """Return the turn of an order that joins the market now: after everybody who joined before."""
        self._line += 1
        return self._line

    def saw(self, line: int) -> None:
        """Note the turn of an order that was in the market before a restart."""
        self._line = max(self._line, line)

    def forget(self) -> None:
        """Drop everything that is remembered of taken liquidity (a new session)."""
        self._taken.clear()
        self._volume_used.clear()

    def displayed(self, quotes: Quotes, row: int, side: str) -> list[Fill]:
        """Return the levels that an order of a side would meet, best first."""
        prices, quantities = _opposite(quotes, side)
        return [
            Fill(int(price), int(quantity))
            for price, quantity in zip(prices[row], quantities[row], strict=True)
            if price > 0 and quantity > 0
        ]

    def take(self, quotes: Quotes, row: int, order: Order) -> list[Fill]:
        """Fill an order against the displayed levels within its limit, and remember what it took."""
        fills: list[Fill] = []
        if self.is_halted:
            return fills
        wanted = order.open_quantity
        for level in self.displayed(quotes, row, order.side):
            if wanted <= 0 or not within(order, level.price):
                break
            quantity = min(wanted, level.quantity)
            fills.append(Fill(level.price, quantity))
            wanted -= quantity
            self._use(quotes, row, order.side, level.price, quantity)
        return fills

    def queue_ahead(self, quotes: Quotes, row: int, order: Order) -> int | None:
        """Return the size displayed at an order's price on its own side; None when that price is beyond the display."""
        prices, quantities = _opposite(quotes, SELL if order.side == BUY else BUY)
        worst = 0
        for level in range(_DEPTH):
            price = int(prices[row, level])
            if price == order.price:
                return int(quantities[row, level])
            worst = price or worst
        if worst and not _better(order, order.price, worst):
            return None
        return 0

    def wait(self, before: Quotes, quotes: Quotes, row: int, order: Order) -> list[Fill]:
        """Fill a resting order from what happened between two instants.

        The market crossing the order's price fills it at the order's own price for what is displayed there. Else the
        volume traded at its price or through it works off the queue first and then fills.
        """
        if self.is_halted:
            return []
        crossing = [level for level in self.displayed(quotes, row, order.side) if within(order, level.price)]
        if crossing:
            order.ahead = 0
            quantity = min(order.open_quantity, sum(level.quantity for level in crossing))
            left = quantity
            for level in crossing:
                used = min(left, level.quantity)
                self._use(quotes, row, order.side, level.price, used)
                left -= used
            return [Fill(order.price, quantity)]
        last, traded = int(quotes.last[row]), int(quotes.volume[row] - before.volume[row])
        if traded <= 0 or not within(order, last):
            self._advance(quotes, row, order)
            return []
        # What one order got of this instant's volume is not there for the next one.
        key = (row, order.side)
        available = max(traded // _SIDES - self._volume_used.get(key, 0), 0)
        if order.ahead is None:
            order.ahead = self.queue_ahead(before, row, order) or 0
        if last != order.price:
            order.ahead = 0
        worked_off = min(order.ahead, available)
        order.ahead -= worked_off
        quantity = min(order.open_quantity, available - worked_off)
        self._volume_used[key] = self._volume_used.get(key, 0) + quantity
        self._advance(quotes, row, order)
        return [Fill(order.price, quantity)] if quantity > 0 else []

    def _advance(self, quotes: Quotes, row: int, order: Order) -> None:
        """Move an order forward when fewer units are displayed at its price than were before it."""
        shown = self.queue_ahead(quotes, row, order)
        if shown is not None:
            order.ahead = shown if order.ahead is None else min(order.ahead, shown)

    def apply(self, quotes: Quotes) -> None:
        """Take remembered fills off freshly made quotes, in place, and forget what has come back."""
        self._volume_used.clear()
        for key in list(self._taken):
            row, side = key
            prices, _ = _opposite(quotes, side)
            shown = {int(price) for price in prices[row] if price > 0}
            levels = self._taken[key]
            for price in [p for p, used in levels.items() if used.until <= quotes.moment or p not in shown]:
                del levels[price]
            for price, used in levels.items():
                _reduce(quotes, row, side, price, used.quantity)
            if not levels:
                del self._taken[key]

    def _use(self, quotes: Quotes, row: int, side: str, price: int, quantity: int) -> None:
        if quantity <= 0:
            return
        _reduce(quotes, row, side, price, quantity)
        used = self._taken.setdefault((row, side), {}).setdefault(price, _Taken(0, 0.0))
        used.quantity += quantity
        used.until = quotes.moment + self._recovery


def in_turn(orders: Iterable[Order]) -> list[Order]:
    """Return orders as the exchange serves them: the better price first, and at one price whoever came first."""
    return sorted(orders, key=lambda order: (-order.sign * order.price, order.line))


def _reduce(quotes: Quotes, row: int, side: str, price: int, quantity: int) -> None:
    """Lower the size displayed at a price; an emptied level leaves and those behind it move up."""
    if side == BUY:
        prices, quantities, orders = quotes.ask_price[row], quotes.ask_quantity[row], quotes.ask_orders[row]
    else:
        prices, quantities, orders = quotes.bid_price[row], quotes.bid_quantity[row], quotes.bid_orders[row]
    for level in range(_DEPTH):
        if prices[level] != price:
            continue
        quantities[level] -= quantity
        if quantities[level] <= 0:
            for column in (prices, quantities, orders):
                column[level:-1] = column[level + 1 :].copy()
                column[-1] = 0
        return


def within(order: Order, price: int) -> bool:
    """Tell whether a price is as good as an order's limit or better."""
    return price <= order.price if order.side == BUY else price >= order.price


def _better(order: Order, price: int, other: int) -> bool:
    return price > other if order.side == BUY else price < other


def _opposite(quotes: Quotes, side: str) -> tuple[IntArray, IntArray]:
    """Return prices and quantities of the side that an order of ``side`` trades against."""
    if side == BUY:
        return quotes.ask_price, quotes.ask_quantity
    return quotes.bid_price, quotes.bid_quantity
