"""What the account's fills have paid in charges, kept per strategy and per day as they come, and what exits would pay.

A fill adds what it adds to its order, so an order is worked out anew, whole, when a fill of it comes: the figures are
the same whatever the order in which fills are learned, after a restart too.

Invariant: every figure is that of ``engine.charges`` for the same fills; what is not known is named, never left out
quietly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from datetime import date
from decimal import Decimal
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from engine.charges.arithmetic import NO_CHARGES, Charges
from engine.charges.rates import ChargeRates
from engine.charges.strategy_costs import Costs, OpenLeg, OrderKey, exit_charges, order_key, paid_by_strategy
from engine.core.identifiers import InstrumentKey, StrategyNumber
from engine.core.ledger import trade_reference
from engine.core.orders import Trade
from engine.core.strategies import Leg

NO_COSTS: Final = Costs()

Key = TypeVar("Key", bound=Hashable)


class ExitQuestion(msgspec.Struct, frozen=True):
    """What the charges of leaving a leg depend on."""

    signed_quantity: int
    price: Decimal | None
    day: date


class ChargesBook:
    """Charges of one account's fills. Memory grows with its orders, as the ledger does."""

    def __init__(
        self,
        rates: ChargeRates,
        *,
        zone: ZoneInfo,
        order_quantity_max: Callable[[InstrumentKey], int | None],
    ) -> None:
        """``zone`` is the exchange's; ``order_quantity_max`` gives the most units that one order takes, if any."""
        self._rates = rates
        self._zone = zone
        self._order_quantity_max = order_quantity_max
        self._exits: dict[tuple[StrategyNumber, int], tuple[ExitQuestion, Costs]] = {}
        self.restart(())

    def restart(self, trades: Iterable[Trade]) -> None:
        """Forget everything and begin with all fills of the account."""
        self._orders: dict[OrderKey, dict[str, Trade]] = {}
        self._shares: dict[OrderKey, dict[StrategyNumber | None, Costs]] = {}
        self._by_strategy: _Sums[StrategyNumber | None] = _Sums()
        self._by_day: _Sums[date] = _Sums()
        self.add(trades)

    def add(self, trades: Iterable[Trade]) -> None:
        """Take in fills that name the strategy they are booked in, each counted once however often it is given."""
        changed: set[OrderKey] = set()
        for trade in trades:
            key = order_key(trade, self._zone)
            fills = self._orders.setdefault(key, {})
            reference = trade_reference(trade)
            if reference not in fills:
                fills[reference] = trade
                changed.add(key)
        for key in changed:
            self._work_out(key)

    def _work_out(self, key: OrderKey) -> None:
        shares = paid_by_strategy(self._rates, self._orders[key].values(), zone=self._zone)
        before = self._shares.get(key, {})
        for strategy, costs in shares.items():
            old = before.get(strategy, NO_COSTS)
            self._by_strategy.change(strategy, key, old, costs)
            self._by_day.change(key.day, (key, strategy), old, costs)
        self._shares[key] = shares

    def paid(self, strategy: StrategyNumber) -> Costs:
        """What the fills of a strategy have paid since it was opened."""
        return self._by_strategy.of(strategy)

    def paid_on(self, day: date) -> Costs:
        """What the account's fills of one exchange day have paid."""
        return self._by_day.of(day)

    def leaving(self, legs: Iterable[tuple[Leg, Decimal | None]], day: date) -> Costs:
        """What leaving legs at their exit prices would pay on ``day``; ``None`` for a price that cannot be had.

        A leg is worked out anew only when its quantity, its price or the day has changed.
        """
        total, unknown = NO_CHARGES, dict[str, None]()
        for leg, price in legs:
            if not leg.holding.signed_quantity:
                self._exits.pop((leg.strategy, leg.number), None)
                continue
            question = ExitQuestion(leg.holding.signed_quantity, price, day)
            known = self._exits.get((leg.strategy, leg.number))
            if known is None or known[0] != question:
                known = question, exit_charges(self._rates, [self._open_leg(leg, price)], day=day)
                self._exits[leg.strategy, leg.number] = known
            total += known[1].charges
            unknown.update(dict.fromkeys(known[1].unknown))
        return Costs(charges=total, unknown=tuple(unknown))

    def _open_leg(self, leg: Leg, price: Decimal | None) -> OpenLeg:
        return OpenLeg(
            name=f"{leg.strategy}.{leg.number}",
            instrument=leg.instrument,
            signed_quantity=leg.holding.signed_quantity,
            exit_price=price,
            max_order_quantity=self._order_quantity_max(leg.instrument),
        )


class _Sums(Generic[Key]):
    """Sums of costs by key, kept while parts of them change."""

    def __init__(self) -> None:
        self._charges: dict[Key, Charges] = {}
        self._unknown: dict[Key, dict[Hashable, tuple[str, ...]]] = {}

    def change(self, key: Key, part: Hashable, old: Costs, new: Costs) -> None:
        """Replace what ``part`` adds to the sum of ``key``."""
        self._charges[key] = self._charges.get(key, NO_CHARGES) - old.charges + new.charges
        unknown = self._unknown.setdefault(key, {})
        unknown.pop(part, None)
        if new.unknown:
            unknown[part] = new.unknown

    def of(self, key: Key) -> Costs:
        """The sum of a key."""
        sentences = dict.fromkeys(text for texts in self._unknown.get(key, {}).values() for text in texts)
        return Costs(charges=self._charges.get(key, NO_CHARGES), unknown=tuple(sentences))
