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
        orders = self._ledger.open_orders()
        blocked, reserved = self._blocked(day, quotes, orders)
        return FundsView(self._ledger.opening_cash, premium, realised, unrealised, blocked, reserved)

    def shortfall(self, day: MarketDay, quotes: Quotes, order: Order) -> tuple[float, float] | None:
        """Return (required, available) when an order needs more than is free, else None."""
        others = [row for row in self._ledger.open_orders() if row.order_id != order.order_id]
        blocked_before, reserved_before = self._blocked(day, quotes, others)
        blocked_after, reserved_after = self._blocked(day, quotes, [*others, order])
        required = blocked_after.total + reserved_after - blocked_before.total - reserved_before
        view = self.view(day, quotes)
        own = view.blocked.total + view.reserved_premium - blocked_before.total - reserved_before
        available = view.net + own
        return (required, available) if required > 0.0 and required > available else None

    def _blocked(self, day: MarketDay, quotes: Quotes, orders: Iterable[Order]) -> tuple[Requirement, float]:
        """Return (requirement of positions and of orders that could add risk, premium of buy orders)."""
        held: dict[int, int] = {}
        for position in self._ledger.positions.values():
            held[position.token] = held.get(position.token, 0) + position.quantity
        after = dict(held)
        reserved = 0.0
        closing: dict[int, int] = {}
        for order in orders:
            contract = day.universe.by_token[order.token]
            signed = order.sign * order.open_quantity
            if order.side == BUY and contract.is_option:
                # Buying back a short frees more than it costs; only what opens a long is paid in advance.
                free = max(-held.get(order.token, 0) - closing.get(order.token, 0), 0)
                covered = min(free, order.open_quantity)
                closing[order.token] = closing.get(order.token, 0) + covered
                reserved += (order.open_quantity - covered) * order.price / _PAISE
            else:
                after[order.token] = after.get(order.token, 0) + signed
        return requirement(self._legs(day, quotes, after), self._rate), reserved

    def _legs(self, day: MarketDay, quotes: Quotes, quantities: Mapping[int, int]) -> list[MarginLeg]:
        rows = {token: day.universe.row_of[token] for token, quantity in quantities.items() if quantity}
        if not rows:
            return []
        table = day.universe.table
        forwards, volatilities = day.market.forwards(quotes.moment), day.market.volatilities(quotes.moment)
        legs = []
        for token, row in rows.items():
            contract = day.universe.by_token[token]
            legs.append(
                MarginLeg(
                    contract.name,
                    quantities[token],
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
            )
        return legs
