"""What looks after one account beside sending: positions against the broker, housekeeping, the handover by voice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from engine.calendar.sessions import UnknownDay
from engine.core.accounts import Profile
from engine.core.commands import ExplainMismatch, Receipt, Violation
from engine.core.errors import BrokerError, StorageError, UnknownStrategy
from engine.core.handover import Handover
from engine.core.identifiers import AccountId, InstrumentKey, StrategyNumber
from engine.core.orders import OrderRecord, OrderRequest
from engine.core.ports import Clock
from engine.core.positions import BrokerPosition
from engine.core.reconciling import Mismatch, MismatchKind, MismatchState
from engine.core.repositories import OrderJournal, UpkeepRepository
from engine.execution.executor import OrderExecutor
from engine.execution.handover import KnownPositions, handover
from engine.execution.housekeeping import PositionKey
from engine.execution.housekeeping_desk import Allocations, HousekeepingDesk
from engine.execution.mismatches import EXPLANATION_LENGTH_MAX
from engine.execution.notices import Notice
from engine.execution.order_roles import OrderRoles
from engine.execution.reconciliation import Comparison
from engine.execution.settings import ExecutionSettings
from engine.execution.trigger_check import COMPARED, TriggerCheck
from engine.market_day import MarketDay
from engine.order_facts import EngineFacts
from engine.portfolio.service import PortfolioService
from engine.position_check import PositionCheck

logger = logging.getLogger(__name__)

PLAN_KEY = "p"
RECONCILE_TRIES = 4
"""Readings of one comparison on demand, at most."""
HANDOVER_READ_S = 2.0
"""How long a handover waits for the broker's own figures before it takes the last ones."""


class AccountUpkeep:
    """Made with its account; ``begin`` once there is an executor, then ``run`` as a service.

    Args:
        account: Whose.
        read: The broker's net positions, asked now.
        portfolio: The ledger; ``None`` while there is none.
        facts: Instruments and quotes.
        day: Sessions and expiries.
        clock: Time.
        settings: The executor's.
        journal: The record of orders.
        repository: What is kept of it.
        notify: For what a person should read.
        is_flattening: Whether the kill switch is bringing the account to nothing.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        read: Callable[[], Awaitable[tuple[BrokerPosition, ...]]],
        portfolio: Callable[[], PortfolioService | None],
        facts: EngineFacts,
        day: MarketDay,
        clock: Clock,
        settings: ExecutionSettings,
        journal: OrderJournal,
        repository: UpkeepRepository,
        notify: Callable[[Notice], None],
        is_flattening: Callable[[], bool],
    ) -> None:
        self._account = account
        self._read = read
        self._portfolio = portfolio
        self._facts = facts
        self._day = day
        self._clock = clock
        self._settings = settings
        self._journal = journal
        self._repository = repository
        self._notify = notify
        self._is_flattening = is_flattening
        self._executor: OrderExecutor | None = None
        self._housekeeping: HousekeepingDesk | None = None
        self._last_read: tuple[tuple[BrokerPosition, ...], float] | None = None
        self._triggers: TriggerCheck | None = None
        self.checks = (PositionCheck(self.positions_now, portfolio).compare, self._compare_triggers)
        """What reconciliations compare."""

    # ---- life

    def meet(self, executor: OrderExecutor) -> None:
        """Compare the triggers of an executor that is about to start."""
        side, items = executor.instructions, executor.mismatches
        if side is not None:
            self._triggers = TriggerCheck(
                side.triggers, side.book, lambda subject: items.explained(MismatchKind.TRIGGER, subject)
            )

    async def begin(self, executor: OrderExecutor, *, epoch: int) -> None:
        """Look after the orders of an executor that has started.

        Raises:
            StorageError: what is kept cannot be read.
        """
        desk = HousekeepingDesk(
            self._account,
            executor=executor,
            roles=OrderRoles(self._journal, self._default_strategy),
            facts=self._facts,
            read_positions=self.positions_now,
            allocations=self.allocations,
            of_plan=of_plan,
            is_flattening=self._is_flattening,
            ended_at=self._ended_at,
            square_off_at=self._square_off_at,
            order_quantity_max=self._facts.order_quantity_max,
            repository=self._repository,
            epoch=epoch,
            clock=self._clock,
            settings=self._settings,
            notify=self._notify,
        )
        await desk.start()
        self._executor, self._housekeeping = executor, desk

    async def run(self) -> None:
        """Keep house for ever; ``begin`` first."""
        if self._housekeeping is not None:
            await self._housekeeping.run()

    async def look(self) -> None:
        """Keep house once, now."""
        if self._housekeeping is not None:
            await self._housekeeping.look()

    def on_change(self) -> None:
        """An order or a position has changed."""
        if self._housekeeping is not None:
            self._housekeeping.on_change()

    # ---- figures

    async def positions_now(self) -> tuple[BrokerPosition, ...]:
        """The broker's net positions, asked now and remembered.

        Raises:
            BrokerError: they cannot be read.
        """
        positions = await self._read()
        self._last_read = positions, self._clock.monotonic()
        return positions

    def allocations(self) -> Allocations | None:
        """Signed units by strategy, contract and product."""
        portfolio = self._portfolio()
        if portfolio is None:
            return None
        return {
            (strategy.number, PositionKey(leg.instrument, leg.product)): leg.holding.signed_quantity
            for strategy in portfolio.book.strategies(archived=True)
            for leg in portfolio.book.open_legs(strategy.number)
        }

    def allocated(self, request: OrderRequest) -> int | None:
        """Signed units that an order's strategy holds of its contract and product, known fills of this moment included.

        An order made between a fill and its booking would otherwise pass for one that protects nothing, and outlive
        its position.
        """
        portfolio, default = self._portfolio(), self._default_strategy()
        strategy = request.strategy or default
        if portfolio is None or strategy is None:
            return None
        booked = sum(
            leg.holding.signed_quantity
            for leg in portfolio.book.open_legs(strategy)
            if leg.instrument == request.instrument and leg.product is request.product
        )
        return booked + sum(
            units
            for order, units in (() if self._executor is None else self._executor.unbooked())
            if (order.request.strategy or default) == strategy
            and order.request.instrument == request.instrument
            and order.request.product is request.product
        )

    async def mismatches(self) -> tuple[Mismatch, ...]:
        """Differences from the broker's books; where this engine only looks, those that its writer has kept.

        Raises:
            StorageError: they cannot be read.
        """
        if self._executor is not None:
            return self._executor.mismatches.items
        return await self._repository.mismatches(self._account)

    # ---- commands

    async def reconcile(self) -> Receipt:
        """Compare everything with the broker now; a difference is read twice before it counts."""
        if self._executor is None:
            return _refused("writer", f"This engine can only look at {self._account}.")
        result = await self._executor.reconcile()
        for _ in range(RECONCILE_TRIES - 1):
            if result.complete and result.is_settled and not result.not_compared:
                break
            # A difference is to be confirmed, or a read was refused for speed.
            await self._clock.sleep(max(self._settings.mismatch_settle_s, self._settings.book_spacing_s))
            result = await self._executor.reconcile()
        if not result.complete:
            return _refused("book", f"The book or the trades of {self._account} cannot be read now.")
        lacking = f" Not compared: {', '.join(result.not_compared)}." if result.not_compared else ""
        found = f"{len(result.mismatches)} open mismatches" if result.mismatches else "no open mismatch"
        words = f"{self._account}: {result.orders} orders and {result.trades} fills compared, {found}.{lacking}"
        return Receipt(accepted=not result.not_compared, message=words)

    async def explain(self, command: ExplainMismatch, *, seat: str) -> Receipt:
        """A person says why a difference is there."""
        words = command.words.strip()
        if not 0 < len(words) <= EXPLANATION_LENGTH_MAX:
            return _refused("words", f"Say why in 1 to {EXPLANATION_LENGTH_MAX} characters.")
        if self._executor is None:
            return _refused("writer", f"This engine can only look at {self._account}.")
        try:
            item = await self._executor.mismatches.explain(command.mismatch, words, seat=seat)
        except StorageError as error:
            return _refused("journal", f"The explanation could not be written ({error}); the item is as it was.")
        if item is None:
            items = self._executor.mismatches.items
            listed = ", ".join(item.mismatch_id for item in items if item.state is not MismatchState.GONE) or "none"
            return _refused("mismatch", f"There is no open mismatch {command.mismatch[:40]}; listed: {listed}.")
        return Receipt(accepted=True, message=f"{item.mismatch_id} is explained: {item.words}.")

    def has_mismatch(self, name: str) -> bool:
        """Whether a difference of this name is this account's."""
        items = () if self._executor is None else self._executor.mismatches.items
        return any(item.mismatch_id == name for item in items)

    async def set_tidied(self, strategy: StrategyNumber, tidied: bool, *, seat: str) -> Receipt:
        """Leave the orders of a strategy alone, or look after them again."""
        desk = self._housekeeping
        if desk is None:
            return _refused("writer", f"This engine can only look at {self._account}.")
        try:
            await desk.set_tidied(strategy, tidied, seat=seat)
        except (StorageError, UnknownStrategy) as error:
            return _refused("strategy", str(error))
        alone = ", ".join(f"#{number}" for number in desk.untidied) or "none"
        what = "looks after" if tidied else "leaves alone"
        return Receipt(
            accepted=True,
            message=f"Housekeeping {what} the orders of #{strategy}; left alone are: {alone}.",
            strategy=strategy,
        )

    # ---- the handover

    async def handover(self, profile: Profile, working: tuple[OrderRecord, ...]) -> Handover:
        """Sentences for the broker's dealing desk; the broker is asked once more, and need not answer."""
        try:
            await asyncio.wait_for(self.positions_now(), HANDOVER_READ_S)
        except (BrokerError, TimeoutError) as error:
            logger.warning("the positions of %s could not be read for the handover: %s", self._account, error)
        broker: dict[PositionKey, int] | None = None
        age_s: float | None = None
        if self._last_read is not None:
            positions, at = self._last_read
            age_s = self._clock.monotonic() - at
            broker = {
                PositionKey(row.instrument, row.product): row.signed_quantity
                for row in positions
                if row.signed_quantity
            }
        known = KnownPositions(ledger=self._ledger(), broker=broker, broker_age_s=age_s, legs=self._legs())
        return handover(profile, known, working, self._day.instrument, self._clock.market_now())

    def _ledger(self) -> dict[PositionKey, int] | None:
        portfolio = self._portfolio()
        if self._executor is not None and (held := self._executor.positions()) is not None:
            units: dict[PositionKey, int] = {}
            for position in held:
                key = PositionKey(position.instrument.key, position.product)
                units[key] = units.get(key, 0) + position.signed_quantity
            return units
        if portfolio is None:
            return None
        return {PositionKey(key.instrument, key.product): units for key, units in portfolio.book.net().items()}

    def _legs(self) -> dict[PositionKey, tuple[str, ...]]:
        portfolio = self._portfolio()
        found: dict[PositionKey, tuple[str, ...]] = {}
        for strategy in () if portfolio is None else portfolio.book.strategies(archived=True):
            for leg in () if portfolio is None else portfolio.book.open_legs(strategy.number):
                key = PositionKey(leg.instrument, leg.product)
                name = f"{strategy.number}.{leg.number} {leg.holding.signed_quantity:+d}"
                found[key] = (*found.get(key, ()), name)
        return found

    # ---- inside

    async def _compare_triggers(self) -> Comparison:
        if self._triggers is None:
            return Comparison(kinds=COMPARED, found=None)
        return await self._triggers.compare()

    def _default_strategy(self) -> StrategyNumber | None:
        portfolio = self._portfolio()
        try:
            return None if portfolio is None else portfolio.book.default.number
        except UnknownStrategy:
            return None

    def _ended_at(self, key: InstrumentKey) -> datetime | None:
        instrument = self._day.instrument(key)
        if instrument is None or instrument.expiry is None or self._day.reading.extended:
            return None
        try:
            return self._day.calendar.expiry_instant(
                instrument.expiry, is_index=self._day.rules.is_index(instrument.name)
            )
        except UnknownDay:
            return None

    def _square_off_at(self) -> datetime | None:
        today = self._day.today()
        session = self._day.calendar.session(today) if self._day.calendar.covers(today) else None
        if session is None:
            return None
        closes = self._day.reading.closes_at or session.close
        return closes - timedelta(seconds=self._settings.housekeeping.square_off_before_close_s)


def of_plan(record: OrderRecord) -> bool:
    """Whether an order belongs to a plan, as its key says."""
    name, slash, _ = (record.idempotency_key or "").partition("/")
    return bool(slash) and name.startswith(PLAN_KEY) and name.removeprefix(PLAN_KEY).isdigit()


def _refused(check: str, message: str) -> Receipt:
    return Receipt(accepted=False, message=message, violations=(Violation(check=check, message=message),))
