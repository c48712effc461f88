"""The account's strategies and legs in memory: a projection of the ledger, rebuilt by replaying it.

Entries are applied only after they are committed, so that memory never knows more than the database. Leg numbers grow
inside a strategy and are never used again. The sum over strategies of one instrument and product is the account's net.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from engine.core.errors import StorageError, UnknownStrategy
from engine.core.identifiers import AccountId, InstrumentKey, StrategyNumber
from engine.core.ledger import LedgerEntry, LedgerSource, trade_reference
from engine.core.orders import Trade
from engine.core.positions import Holding
from engine.core.strategies import Leg, Strategy, StrategyState
from engine.core.vocabulary import Product


class LegKey(NamedTuple):
    """What makes a leg: one instrument and product inside one strategy."""

    strategy: StrategyNumber
    instrument: InstrumentKey
    product: Product


class NetKey(NamedTuple):
    """What the broker keeps one net position of."""

    instrument: InstrumentKey
    product: Product


class LegStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A leg with what it held when the exchange's day began."""

    leg: Leg
    day_start: Holding = Holding()
    last_entry_at: datetime | None = None


class PortfolioBook:
    """Strategies, legs and holdings of one account."""

    def __init__(self, account: AccountId, *, day: date, zone: ZoneInfo) -> None:
        """Begin empty on ``day``, the exchange's date in ``zone``."""
        self._account = account
        self._zone = zone
        self._day = day
        self._strategies: dict[StrategyNumber, Strategy] = {}
        self._numbers: dict[LegKey, int] = {}
        self._next_number: dict[StrategyNumber, int] = {}
        self._standings: dict[LegKey, LegStanding] = {}
        self._by_strategy: dict[StrategyNumber, dict[int, LegKey]] = {}
        self._sequence = 0
        self._revision = 0

    @property
    def day(self) -> date:
        """The exchange's date that day figures belong to."""
        return self._day

    @property
    def revision(self) -> int:
        """Grows with each change."""
        return self._revision

    @property
    def sequence(self) -> int:
        """Sequence of the newest entry applied; 0 before the first."""
        return self._sequence

    def put_strategy(self, strategy: Strategy) -> None:
        """Add a strategy, or replace what is known of it."""
        self._strategies[strategy.number] = strategy
        self._by_strategy.setdefault(strategy.number, {})
        self._revision += 1

    def strategy(self, number: StrategyNumber) -> Strategy:
        """A strategy, archived ones too.

        Raises:
            UnknownStrategy: the account has none with this number.
        """
        found = self._strategies.get(number)
        if found is None:
            raise UnknownStrategy(f"There is no strategy {number}.", field="strategy")
        return found

    def strategies(self, *, archived: bool = False) -> tuple[Strategy, ...]:
        """Active strategies by number; with ``archived`` all of them."""
        return tuple(
            strategy
            for _, strategy in sorted(self._strategies.items())
            if archived or strategy.state is StrategyState.ACTIVE
        )

    @property
    def default(self) -> Strategy:
        """The strategy that holds what no other claims.

        Raises:
            UnknownStrategy: it has not been made yet.
        """
        for strategy in self._strategies.values():
            if strategy.is_default:
                return strategy
        raise UnknownStrategy(f"Account {self._account} has no default strategy.")

    def home_of(self, trade: Trade) -> Strategy:
        """Where a fill belongs: the strategy it names while that is active, else the default one."""
        named = None if trade.strategy is None else self._strategies.get(trade.strategy)
        return named if named is not None and named.state is StrategyState.ACTIVE else self.default

    def entry_for(self, trade: Trade) -> LedgerEntry:
        """The movement that a fill makes, with its leg found or newly numbered; nothing is applied."""
        return LedgerEntry(
            account=self._account,
            strategy=(home := self.home_of(trade)).number,
            leg=self.leg_number(LegKey(home.number, trade.instrument, trade.product)),
            instrument=trade.instrument,
            token=trade.token,
            product=trade.product,
            signed_quantity=trade.signed_quantity,
            price=trade.price,
            at=trade.filled_at,
            source=LedgerSource.TRADE,
            reference=trade_reference(trade),
        )

    def leg_number(self, key: LegKey) -> int:
        """The leg's number; a new leg gets the next one and keeps it, written or not yet."""
        number = self._numbers.get(key)
        if number is None:
            number = self._next_number.get(key.strategy, 1)
            self._numbers[key] = number
            self._next_number[key.strategy] = number + 1
        return number

    def apply(self, entry: LedgerEntry) -> None:
        """Take in a committed entry.

        Raises:
            StorageError: the ledger contradicts itself: an unknown strategy, or one leg number for two things.
        """
        key = LegKey(entry.strategy, entry.instrument, entry.product)
        legs = self._by_strategy.get(entry.strategy)
        if legs is None:
            raise StorageError(
                f"Ledger entry {entry.sequence} belongs to strategy {entry.strategy}, which account {self._account} "
                "does not have. Restore the database from a backup."
            )
        if legs.get(entry.leg, key) != key or self._numbers.get(key, entry.leg) != entry.leg:
            raise StorageError(
                f"Ledger entry {entry.sequence} calls {entry.instrument} leg {entry.strategy}.{entry.leg}, a number "
                "that stands for something else. Restore the database from a backup."
            )
        entry_day = entry.at.astimezone(self._zone).date()
        if entry_day > self._day:
            self.start_day(entry_day)
        standing = self._standings.get(key)
        if standing is None:
            leg = Leg(
                strategy=entry.strategy,
                number=entry.leg,
                instrument=entry.instrument,
                token=entry.token,
                product=entry.product,
            )
            standing = LegStanding(leg=leg)
        self._numbers[key] = entry.leg
        self._next_number[entry.strategy] = max(self._next_number.get(entry.strategy, 1), entry.leg + 1)
        legs[entry.leg] = key
        day_start = standing.day_start
        if entry_day < self._day:
            day_start = day_start.after_fill(entry.signed_quantity, entry.price)
        holding = standing.leg.holding.after_fill(entry.signed_quantity, entry.price)
        self._standings[key] = LegStanding(
            leg=msgspec.structs.replace(standing.leg, token=entry.token, holding=holding),
            day_start=day_start,
            last_entry_at=entry.at,
        )
        self._sequence = max(self._sequence, entry.sequence)
        self._revision += 1

    def start_day(self, day: date) -> None:
        """Begin the exchange's next date: what is held now is what the day starts with. Earlier dates do nothing."""
        if day <= self._day:
            return
        self._day = day
        for key, standing in self._standings.items():
            if standing.day_start != standing.leg.holding:
                self._standings[key] = msgspec.structs.replace(standing, day_start=standing.leg.holding)
        self._revision += 1

    def standings(self, strategy: StrategyNumber) -> tuple[LegStanding, ...]:
        """Legs of a strategy by number, closed ones too."""
        legs = self._by_strategy.get(strategy, {})
        return tuple(self._standings[legs[number]] for number in sorted(legs))

    def leg(self, strategy: StrategyNumber, number: int) -> Leg | None:
        """A leg by its number; ``None`` when there is none."""
        key = self._by_strategy.get(strategy, {}).get(number)
        return None if key is None else self._standings[key].leg

    def open_legs(self, strategy: StrategyNumber) -> tuple[Leg, ...]:
        """Legs with a quantity, by number."""
        return tuple(standing.leg for standing in self.standings(strategy) if standing.leg.holding.signed_quantity)

    def net(self) -> dict[NetKey, int]:
        """Signed units of the account per instrument and product, summed over strategies; zeros are left out."""
        total: dict[NetKey, int] = {}
        for key, standing in self._standings.items():
            net_key = NetKey(key.instrument, key.product)
            total[net_key] = total.get(net_key, 0) + standing.leg.holding.signed_quantity
        return {key: quantity for key, quantity in total.items() if quantity}

    def net_quantity(self, instrument: InstrumentKey, product: Product) -> int:
        """Signed units of one instrument and product in the account."""
        return sum(
            standing.leg.holding.signed_quantity
            for key, standing in self._standings.items()
            if key.instrument == instrument and key.product is product
        )

    def transfer_entries(
        self, leg: Leg, to_strategy: StrategyNumber, quantity: int, *, price: Decimal, at: datetime, reference: str
    ) -> tuple[LedgerEntry, LedgerEntry]:
        """The two sides of handing ``quantity`` units (> 0) of ``leg`` over at ``price``, rupees per unit."""
        signed = quantity if leg.holding.signed_quantity > 0 else -quantity
        given = LedgerEntry(
            account=self._account,
            strategy=leg.strategy,
            leg=leg.number,
            instrument=leg.instrument,
            token=leg.token,
            product=leg.product,
            signed_quantity=-signed,
            price=price,
            at=at,
            source=LedgerSource.TRANSFER,
            reference=reference,
        )
        taken = msgspec.structs.replace(
            given,
            strategy=to_strategy,
            leg=self.leg_number(LegKey(to_strategy, leg.instrument, leg.product)),
            signed_quantity=signed,
        )
        return given, taken
