"""Cash and margins of the account: what is blocked, what is free, what one more order would need.

All amounts in rupees. ``net`` is opening cash, less premium paid today, plus the day's gain of futures, less the
estimated requirement of positions and of open orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.practice.ledger import Ledger
from engine.practice.margins import MarginLeg, Requirement, requirement
from engine.practice.market import MarketDay
from engine.practice.orders import Order
from engine.practice.session_market import Quotes
from engine.practice.wire import BUY

_YEAR = 365.0 * 86_400.0
_PAISE = 100.0


@dataclass(frozen=True, slots=True)
class FundsView:
    """The account's funds at one instant."""

    opening: float
    premium: float
    futures_realised: float
    futures_unrealised: float
    blocked: Requirement
    reserved_premium: float

    @property
    def debits(self) -> float:
        """Everything that lowers what is free."""
        return (
            self.blocked.total + self.reserved_premium + self.premium - self.futures_realised - self.futures_unrealised
        )

    @property
    def net(self) -> float:
        """What is free for new positions."""
        return self.opening - self.debits

    def to_wire(self) -> dict[str, Any]:
        """Return the ``equity`` segment of ``GET /user/margins``."""
        return {
            "enabled": True,
            "net": round(self.net, 2),
            "available": {
                "adhoc_margin": 0,
                "cash": round(self.opening, 2),
                "opening_balance": round(self.opening, 2),
                "live_balance": round(self.net, 2),
                "collateral": 0,
                "intraday_payin": 0,
            },
            "utilised": {
                "debits": round(self.debits, 2),
                "exposure": round(self.blocked.exposure, 2),
                "m2m_realised": round(self.futures_realised, 2),
                "m2m_unrealised": round(self.futures_unrealised, 2),
                "option_premium": round(self.premium + self.reserved_premium, 2),
                "payout": 0,
                "span": round(self.blocked.span, 2),
                "holding_sales": 0,
                "turnover": 0,
                "liquid_collateral": 0,
                "stock_collateral": 0,
                "delivery": 0,
            },
        }


@dataclass(frozen=True, slots=True)
class Pending:
    """What an order would still trade: units, price in paise."""

    token: int
    side: str
    quantity: int
    price: int

    @classmethod
    def of(cls, order: Order) -> Pending:
        """Return the open part of an order."""
        return cls(order.token, order.side, order.open_quantity, order.price)

    @property
    def signed(self) -> int:
        """Units, negative for a sale."""
        return self.quantity if self.side == BUY else -self.quantity


def empty_segment() -> dict[str, Any]:
    """Return a segment that the account does not trade (commodity)."""
    return FundsView(0.0, 0.0, 0.0, 0.0, Requirement(0.0, 0.0), 0.0).to_wire() | {"enabled": False}


class Funds:
    """Works out funds from the ledger and the market of the day.

    Args:
        ledger: Orders and positions.
        rate: Discount rate of the estimator.
    """

    def __init__(self, ledger: Ledger, rate: float) -> None:
        self._ledger = ledger
        self._rate = rate

    def view(self, day: MarketDay, quotes: Quotes) -> FundsView:
        """Return the funds now."""
        premium = realised = unrealised = 0.0
        for position in self._ledger.positions.values():
            contract = day.universe.by_token.get(position.token)
            if contract is None:
                continue
            if contract.is_option:
                premium += position.premium_paid()
            else:
                row = day.universe.row_of.get(position.token)
                last = int(quotes.last[row]) if row is not None else position.close_paise
                gain = position.m2m(last / _PAISE)
                if position.quantity:
                    unrealised += gain
                else:
                    realised += gain
        blocked, reserved = self.blocked(day, quotes, self.open_orders())
        return FundsView(self._ledger.opening_cash, premium, realised, unrealised, blocked, reserved)

    def shortfall(self, day: MarketDay, quotes: Quotes, order: Order) -> tuple[float, float] | None:
        """Return (required, available) when an order needs more than is free, else None."""
        others = self.open_orders(without=order.order_id)
        blocked_before, reserved_before = self.blocked(day, quotes, others)
        blocked_after, reserved_after = self.blocked(day, quotes, [*others, Pending.of(order)])
        required = blocked_after.total + reserved_after - blocked_before.total - reserved_before
        view = self.view(day, quotes)
        own = view.blocked.total + view.reserved_premium - blocked_before.total - reserved_before
        available = view.net + own
        return (required, available) if required > 0.0 and required > available else None

    def open_orders(self, *, without: str = "") -> list[Pending]:
        """Return what the open orders would still trade, those of one id left out."""
        return [Pending.of(order) for order in self._ledger.open_orders() if order.order_id != without]

    def held(self) -> dict[int, int]:
        """Return signed units per token over all products."""
        held: dict[int, int] = {}
        for position in self._ledger.positions.values():
            held[position.token] = held.get(position.token, 0) + position.quantity
        return held

    def blocked(self, day: MarketDay, quotes: Quotes, orders: Iterable[Pending]) -> tuple[Requirement, float]:
        """Return (requirement of positions and of orders that could add risk, premium of buy orders)."""
        held = self.held()
        after = dict(held)
        reserved = 0.0
        closing: dict[int, int] = {}
        for order in orders:
            if order.side == BUY and day.universe.by_token[order.token].is_option:
                # Buying back a short frees more than it costs; only what opens a long is paid in advance.
                free = max(-held.get(order.token, 0) - closing.get(order.token, 0), 0)
                covered = min(free, order.quantity)
                closing[order.token] = closing.get(order.token, 0) + covered
                reserved += (order.quantity - covered) * order.price / _PAISE
            else:
                after[order.token] = after.get(order.token, 0) + order.signed
        legs = self.legs(day, quotes, [token for token, units in after.items() if units])
        return self.requirement(legs, after), reserved

    def requirement(self, legs: Mapping[int, MarginLeg], quantities: Mapping[int, int]) -> Requirement:
        """Return what signed units per token would block; ``legs`` are those of at least these tokens."""
        return requirement([legs[token].of(units) for token, units in quantities.items() if units], self._rate)

    def legs(self, day: MarketDay, quotes: Quotes, tokens: Iterable[int]) -> dict[int, MarginLeg]:
        """Return what each priced contract's margin depends on now, in quantity 0."""
        rows = {token: day.universe.row_of[token] for token in tokens}
        if not rows:
            return {}
        table = day.universe.table
        forwards, volatilities = day.market.forwards(quotes.moment), day.market.volatilities(quotes.moment)
        legs = {}
        for token, row in rows.items():
            contract = day.universe.by_token[token]
            legs[token] = MarginLeg(
                contract.name,
                0,
                float(quotes.index_last[table.underlying[row]]) / _PAISE,
                float(forwards[row]),
                float(table.strike[row]),
                max(float(table.expires[row]) - quotes.moment, 0.0) / _YEAR,
                float(volatilities[row]),
                bool(table.is_call[row]),
                bool(table.is_future[row]),
                float(quotes.last[row]) / _PAISE,
                contract.expiry == day.session.day,
            )
        return legs
