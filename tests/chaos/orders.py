"""What is ordered: entries that trade and that rest, exits, stops, market orders, and orders that must be refused."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

from tests.chaos.exchange import TICK, Contract, Row, on_tick

HELD_LOTS_MAX = 6
"""Above this an account reduces rather than adds."""
EXIT_LOTS_MAX = 5
RESTING_KEPT = 400
THROUGH = 0.10
AWAY = 0.15
PROTECTION_PERCENT = "3"
PRODUCTS = ("NRML", "MIS")


@dataclass(frozen=True)
class Resting:
    """An order that was meant to rest."""

    number: int
    price: float


class OrderBook:
    """Draws the orders of one account and remembers which may rest.

    Args:
        account: Whose.
        chance: Source of choices.
        contracts: What is traded.
    """

    def __init__(self, account: str, chance: random.Random, contracts: list[Contract]) -> None:
        self.account = account
        self._random = chance
        self._contracts = contracts
        self._held: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.rows: list[Row] = []
        """The account's net positions, as the exchange said last."""
        self.resting: deque[Resting] = deque(maxlen=RESTING_KEPT)
        self.newest: deque[int] = deque(maxlen=20)

    def take_positions(self, rows: list[Row]) -> None:
        """What the account holds now, as the exchange says."""
        self.rows = [row for row in rows if row["account"] == self.account]
        self._held.clear()
        for row in self.rows:
            self._held[row["tradingsymbol"], row["product"]] += int(row["quantity"])

    def held(self, symbol: str) -> int:
        """Signed units of a contract, all products together."""
        return sum(units for (name, _), units in self._held.items() if name == symbol)

    def draw(self) -> tuple[dict[str, Any], str | None, bool]:
        """An order: the request, its sentence when the language has one for it, and whether it reduces a position."""
        contract = self._random.choice([item for item in self._contracts if item.is_quoted])
        product = max(PRODUCTS, key=lambda name: abs(self._held[contract.symbol, name]))
        held = self._held[contract.symbol, product]
        if abs(held) > HELD_LOTS_MAX * contract.lot:
            side = "SELL" if held > 0 else "BUY"
            lots = min(abs(held) // contract.lot, EXIT_LOTS_MAX)
            self._held[contract.symbol, product] += contract.lot * lots * (1 if side == "BUY" else -1)
            request = self._request(contract, side, lots * contract.lot, "LIMIT", self._through(contract, side))
            return request | {"product": product}, None, True
        side = self._random.choice(["BUY", "SELL"])
        lots = self._random.randint(1, 3)
        quantity = contract.lot * lots
        kind = self._random.choices(["trade", "rest", "market", "stop", "odd"], [46, 36, 8, 6, 4])[0]
        if kind == "market":
            return self._request(contract, side, quantity, "MARKET", None), None, False
        if kind == "stop":
            return self._stop(contract, side, quantity), None, False
        if kind == "odd":
            return self._request(contract, side, quantity + 1, "LIMIT", self._through(contract, side)), None, False
        price = self._through(contract, side) if kind == "trade" else self._away(contract, side)
        words = f"{side.lower()} {lots}L nifty {contract.strike} {contract.kind.lower()} w0 @ {on_tick(price)}"
        return self._request(contract, side, quantity, "LIMIT", price), words, False

    def note(self, number: int, request: dict[str, Any]) -> None:
        """An order was taken."""
        self.newest.append(number)
        if request["order_type"] in {"LIMIT", "SL"}:
            self.resting.append(Resting(number, float(request["price"])))

    def pick_resting(self) -> Resting | None:
        """One that may rest, forgotten from now on."""
        if not self.resting:
            return None
        index = self._random.randrange(len(self.resting))
        found = self.resting[index]
        del self.resting[index]
        return found

    def other_price(self, price: float) -> str:
        """A tick beside a price."""
        return on_tick(price + self._random.choice([-TICK, TICK]))

    def _through(self, contract: Contract, side: str) -> float:
        return contract.ask + THROUGH if side == "BUY" else contract.bid - THROUGH

    def _away(self, contract: Contract, side: str) -> float:
        return contract.ask * (1 - AWAY) if side == "BUY" else contract.bid * (1 + AWAY)

    def _stop(self, contract: Contract, side: str, quantity: int) -> dict[str, Any]:
        trigger = contract.ask * (1 + AWAY) if side == "BUY" else contract.bid * (1 - AWAY)
        limit = trigger + (1 if side == "BUY" else -1) * 10 * TICK
        request = self._request(contract, side, quantity, "SL", limit)
        return request | {"trigger_price": on_tick(trigger)}

    def _request(
        self, contract: Contract, side: str, quantity: int, order_type: str, price: float | None
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "instrument": {"exchange": contract.exchange, "tradingsymbol": contract.symbol},
            "side": side,
            "quantity": quantity,
            "order_type": order_type,
            "product": "NRML",
        }
        if price is None:
            return request | {"market_protection": PROTECTION_PERCENT}
        return request | {"price": on_tick(price)}
