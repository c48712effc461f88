"""Positions of the account: what was carried into the day plus the day's fills, with the broker's identities.

``quantity = overnight + day buys - day sells``; ``value = sell_value - buy_value``; ``pnl = value + quantity *
last``; ``m2m`` is the same with carried units taken at the previous close. The multiplier of index derivatives is
1: quantities are units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.practice.book import Carried
from engine.practice.orders import Trade
from engine.practice.wire import BUY

_PAISE = 100.0


@dataclass(slots=True)
class Position:
    """One (exchange, symbol, product): signed units, values in rupees, prices in rupees unless they say paise."""

    exchange: str
    symbol: str
    token: int
    product: str
    overnight: int = 0
    carried_average: float = 0.0
    close_paise: int = 0
    average: float = 0.0
    day_buys: int = 0
    day_buy_value: float = 0.0
    day_sells: int = 0
    day_sell_value: float = 0.0

    @classmethod
    def from_carried(cls, carried: Carried) -> Position:
        """Open a day with a carried position."""
        return cls(
            carried.exchange,
            carried.symbol,
            carried.token,
            carried.product,
            carried.quantity,
            carried.average,
            carried.close,
            carried.average,
        )

    @property
    def quantity(self) -> int:
        """Signed open units."""
        return self.overnight + self.day_buys - self.day_sells

    @property
    def traded_today(self) -> bool:
        """True when the day has fills in it."""
        return bool(self.day_buys or self.day_sells)

    def add(self, trade: Trade) -> None:
        """Book a fill."""
        before, price = self.quantity, trade.price / _PAISE
        signed = trade.quantity if trade.side == BUY else -trade.quantity
        if trade.side == BUY:
            self.day_buys += trade.quantity
            self.day_buy_value += trade.quantity * price
        else:
            self.day_sells += trade.quantity
            self.day_sell_value += trade.quantity * price
        self.reckon(before, signed, price)

    def convertible(self, *, carried: bool) -> int:
        """Return how many of the open units can change their product: those held overnight, or those of the day."""
        if carried:
            same = (self.overnight > 0) == (self.quantity > 0)
            return min(abs(self.overnight), abs(self.quantity)) if same else 0
        return min(self.day_buys if self.quantity > 0 else self.day_sells, abs(self.quantity))

    def convert(self, target: Position, units: int, *, carried: bool) -> None:
        """Hand units over to another product's position: at what they cost, so that both together are worth the same.

        Args:
            target: The position of the new product.
            units: How many; not more than ``convertible`` says.
            carried: Whether they were held overnight.
        """
        sign = 1 if self.quantity > 0 else -1
        before = target.quantity
        price = self.average
        if carried:
            held = abs(target.overnight)
            target.carried_average = (target.carried_average * held + self.carried_average * units) / (held + units)
            target.close_paise = self.close_paise
            self.overnight -= sign * units
            target.overnight += sign * units
        elif sign > 0:
            value = self.day_buy_value / self.day_buys * units
            self.day_buys, self.day_buy_value = self.day_buys - units, self.day_buy_value - value
            target.day_buys, target.day_buy_value = target.day_buys + units, target.day_buy_value + value
        else:
            value = self.day_sell_value / self.day_sells * units
            self.day_sells, self.day_sell_value = self.day_sells - units, self.day_sell_value - value
            target.day_sells, target.day_sell_value = target.day_sells + units, target.day_sell_value + value
        self.average = self.average if self.quantity else 0.0
        target.reckon(before, sign * units, price)

    def reckon(self, before: int, signed: int, price: float) -> None:
        """Bring the average price up to date after units came in (rupees)."""
        after = before + signed
        if after == 0:
            self.average = 0.0
        elif before == 0 or (before > 0) != (after > 0):
            self.average = price
        elif abs(after) > abs(before):
            self.average = (self.average * abs(before) + price * abs(signed)) / abs(after)

    def m2m(self, last: float) -> float:
        """Return the day's gain in rupees at a last price: carried units count from the previous close."""
        carried = self.overnight * self.close_paise / _PAISE
        return self.day_sell_value - self.day_buy_value - carried + self.quantity * last

    def premium_paid(self) -> float:
        """Return the day's net option premium in rupees: positive when paid."""
        return self.day_buy_value - self.day_sell_value

    def to_wire(self, last: float, *, day_only: bool) -> dict[str, Any]:
        """Return the row of ``GET /portfolio/positions`` (net, or the day's activity alone)."""
        overnight = 0 if day_only else self.overnight
        quantity = overnight + self.day_buys - self.day_sells
        close = self.close_paise / _PAISE if overnight else 0.0
        bought, sold = max(overnight, 0), max(-overnight, 0)
        buy_value = self.day_buy_value + bought * self.carried_average
        sell_value = self.day_sell_value + sold * self.carried_average
        buy_m2m, sell_m2m = self.day_buy_value + bought * close, self.day_sell_value + sold * close
        buys, sells = self.day_buys + bought, self.day_sells + sold
        value = sell_value - buy_value
        pnl = value + quantity * last
        return {
            "tradingsymbol": self.symbol,
            "exchange": self.exchange,
            "instrument_token": self.token,
            "product": self.product,
            "quantity": quantity,
            "overnight_quantity": overnight,
            "multiplier": 1,
            "average_price": self._average(quantity, day_only=day_only),
            "close_price": close,
            "last_price": last,
            "value": value,
            "pnl": pnl,
            "m2m": sell_m2m - buy_m2m + quantity * last,
            "unrealised": pnl,
            "realised": 0,
            "buy_quantity": buys,
            "buy_price": _mean(buy_value, buys),
            "buy_value": buy_value,
            "buy_m2m": buy_m2m,
            "sell_quantity": sells,
            "sell_price": _mean(sell_value, sells),
            "sell_value": sell_value,
            "sell_m2m": sell_m2m,
            "day_buy_quantity": self.day_buys,
            "day_buy_price": _mean(self.day_buy_value, self.day_buys),
            "day_buy_value": self.day_buy_value,
            "day_sell_quantity": self.day_sells,
            "day_sell_price": _mean(self.day_sell_value, self.day_sells),
            "day_sell_value": self.day_sell_value,
        }

    def _average(self, quantity: int, *, day_only: bool) -> float:
        if quantity == 0:
            return 0.0
        if not day_only or self.overnight == 0:
            return self.average
        return _mean(self.day_buy_value, self.day_buys) if quantity > 0 else _mean(self.day_sell_value, self.day_sells)


def _mean(value: float, quantity: int) -> float:
    return value / quantity if quantity else 0.0
