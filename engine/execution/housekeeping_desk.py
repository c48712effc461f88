"""Runs housekeeping for one account: looks after each change and now and then, and does what the pure decisions say.

Whatever would change or send an order is decided twice: once on the ledger, and, if anything follows, once more with
the broker's positions read after it. An order that changed meanwhile puts it off to the next look.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from engine.core.commands import CancelOrders, ModifyOrder, OrderChange, PlaceOrder, Receipt
from engine.core.decisions import QuoteSeen, Reason
from engine.core.errors import BrokerError, StorageError
from engine.core.events import EventKind
from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber, StrategyNumber
from engine.core.orders import OrderRecord, OrderRequest, Trade
from engine.core.ports import Clock
from engine.core.positions import BrokerPosition
from engine.core.quotes import Quote
from engine.core.reconciling import MismatchKind, MismatchState
from engine.core.repositories import UpkeepRepository
from engine.core.vocabulary import OrderType, Severity
from engine.execution.executor import OrderExecutor
from engine.execution.facts import MarketFacts
from engine.execution.gate import quote_seen
from engine.execution.housekeeping import (
    HOUSEKEEPING,
    HOUSEKEEPING_VERSION,
    RESTING,
    STAND_IN_PREFIX,
    Action,
    Ask,
    Drop,
    Holdings,
    PositionKey,
    Protection,
    Replace,
    Shrink,
    TidyPicture,
    tidy,
)
from engine.execution.lanes import Lane
from engine.execution.lingering_watch import LingeringWatch
from engine.execution.notices import Notice
from engine.execution.order_roles import OrderRoles
from engine.execution.overshoot import FilledBy, Overshoot, OvershootLimits, Reverse, overshoots, reversals
from engine.execution.settings import ExecutionSettings
from engine.execution.waiting import Wakeup
from engine.execution.words import grouped

logger = logging.getLogger(__name__)

ASKED_WINDOWS = 10
"""An overshoot that is too old to be taken off by itself is asked about for so many of its windows."""
Allocations = Mapping[tuple[StrategyNumber, PositionKey], int]


class HousekeepingDesk:
    """Looks after the orders of one account.

    Args:
        account: Whose.
        executor: Sends, changes and cancels.
        roles: What orders were made for.
        facts: Instruments and quotes.
        read_positions: The broker's net positions, asked now.
        allocations: Signed units by strategy, contract and product; ``None`` while they are not known.
        of_plan: Whether an order belongs to a plan: it is never touched.
        is_flattening: Whether the kill switch is bringing the account to nothing: two would get in each other's way.
        ended_at: A contract's last moment; ``None`` when it is not known.
        square_off_at: When the broker begins to square MIS positions off today; ``None`` on a day without a session.
        order_quantity_max: The most units that one order takes; ``None`` when it is not known.
        repository: Whose orders are left alone.
        epoch: The writer epoch.
        clock: Time.
        settings: What is done, and how often.
        notify: For what a person should read.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        executor: OrderExecutor,
        roles: OrderRoles,
        facts: MarketFacts,
        read_positions: Callable[[], Awaitable[tuple[BrokerPosition, ...]]],
        allocations: Callable[[], Allocations | None],
        of_plan: Callable[[OrderRecord], bool],
        is_flattening: Callable[[], bool],
        ended_at: Callable[[InstrumentKey], datetime | None],
        square_off_at: Callable[[], datetime | None],
        order_quantity_max: Callable[[InstrumentKey], int | None],
        repository: UpkeepRepository,
        epoch: int,
        clock: Clock,
        settings: ExecutionSettings,
        notify: Callable[[Notice], None],
    ) -> None:
        self._account = account
        self._executor = executor
        self._roles = roles
        self._facts = facts
        self._read_positions = read_positions
        self._allocations = allocations
        self._of_plan = of_plan
        self._is_flattening = is_flattening
        self._order_quantity_max = order_quantity_max
        self._repository = repository
        self._epoch = epoch
        self._clock = clock
        self._settings = settings.housekeeping
        self._modifications_max = settings.checks.modifications_max
        self._notify = notify
        self._watch = LingeringWatch(
            executor=executor,
            roles=roles,
            facts=facts,
            ended_at=ended_at,
            square_off_at=square_off_at,
            clock=clock,
            settings=settings.housekeeping,
            notify=notify,
        )
        self._wakeup = Wakeup(clock)
        self._untidied: frozenset[StrategyNumber] = frozenset()
        self._attempts: Counter[tuple[OrderNumber, int]] = Counter()
        self._said: set[str] = set()
        self._refused: Counter[str] = Counter()

    # ---- life

    async def start(self) -> None:
        """Read whose orders are left alone.

        Raises:
            StorageError: it cannot be read.
        """
        self._untidied = frozenset(await self._repository.untidied(self._account))

    def on_change(self) -> None:
        """An order or a position has changed."""
        self._wakeup.set()

    async def run(self) -> None:
        """Look after each change, and now and then, for ever."""
        while True:
            if await self._wakeup.wait(self._settings.look_s):
                await self._clock.sleep(self._settings.settle_s)
            self._wakeup.clear()
            await self.look()

    # ---- who is left alone

    @property
    def untidied(self) -> tuple[StrategyNumber, ...]:
        """Strategies whose orders are left alone."""
        return tuple(sorted(self._untidied))

    async def set_tidied(self, strategy: StrategyNumber, tidied: bool, *, seat: str) -> None:
        """Leave the orders of a strategy alone, or look after them again.

        Raises:
            StorageError: it could not be written; nothing has changed.
            UnknownStrategy: there is no such strategy.
        """
        await self._repository.set_tidied(self._account, strategy, tidied, epoch=self._epoch)
        self._untidied = self._untidied - {strategy} if tidied else self._untidied | {strategy}
        words = "looks after" if tidied else "leaves alone"
        self._tell(Severity.INFO, f"Housekeeping {words} the orders of #{strategy}.", f"#{strategy}", seat=seat)
        self.on_change()

    # ---- one look

    async def look(self) -> None:
        """Look at everything once; what cannot be read now is looked at next time."""
        asks: dict[str, Ask] = {}
        try:
            asks = {ask.key: ask for ask in await self._orders()}
        except (StorageError, BrokerError) as error:
            logger.warning("housekeeping of %s could not look: %s", self._account, error)
            return
        for key, ask in asks.items():
            if key not in self._said:
                subject = "" if ask.number is None else f"o{ask.number}"
                self._tell(Severity.ATTENTION, f"Housekeeping: {ask.words}", subject)
        self._said = set(asks)
        await self._watch.look(self._loose())

    async def _orders(self) -> list[Ask]:
        if not self._settings.enabled or self._is_flattening():
            return []
        executor, revision = self._executor, self._executor.revision
        working = executor.working()
        protections = await self._roles.protections(record for record in working if record.state in RESTING)
        fills = executor.day_trades()
        holdings = self._holdings(None)
        actions = tidy(self._picture(working, protections, holdings))
        asked = [action for action in actions if isinstance(action, Ask) and self._may_say(action)]
        if fills is None or holdings is None:
            return asked
        owners = await self._owners(fills, holdings)
        is_suspect = self._settings.reverse_overshoot and any(whose.takes_away for whose in owners.values())
        if not is_suspect and len(asked) == len(actions):
            return asked
        broker = await self._read_positions()
        holdings = self._holdings(broker)
        if holdings is None or executor.revision != revision or executor.day_trades() is not fills:
            self.on_change()
            return []
        asks: list[Ask] = []
        if is_suspect:
            asks += await self._reverse(broker, fills, holdings, working, owners)
        for action in tidy(self._picture(working, protections, holdings)):
            if isinstance(action, Ask):
                asks.append(action)
            else:
                asks += await self._do(action, working)
        self._forget(working)
        return asks

    def _may_say(self, ask: Ask) -> bool:
        """Whether it may be said without the broker's positions, or has been said with them."""
        return not ask.needs_broker or ask.key in self._said

    def _holdings(self, broker: Sequence[BrokerPosition] | None) -> Holdings | None:
        held, strategies = self._executor.positions(), self._allocations()
        if held is None or strategies is None:
            return None
        ledger: Counter[PositionKey] = Counter()
        for position in held:
            ledger[PositionKey(position.instrument.key, position.product)] += position.signed_quantity
        theirs: Counter[PositionKey] = Counter()
        for row in broker or ():
            theirs[PositionKey(row.instrument, row.product)] += row.signed_quantity
        return Holdings(ledger=ledger, broker=ledger if broker is None else theirs, strategies=strategies)

    def _picture(
        self,
        working: tuple[OrderRecord, ...],
        protections: Mapping[OrderNumber, Protection],
        holdings: Holdings | None,
    ) -> TidyPicture:
        return TidyPicture(
            working=working,
            protections=protections,
            holdings=holdings,
            doubtful=self._doubtful(working),
            untouchable=frozenset(
                record.number
                for record in working
                if self._of_plan(record)
                or (
                    (protection := protections.get(record.number)) is not None and protection.strategy in self._untidied
                )
            ),
            lot_size=self._lot_size,
            modifications_max=self._modifications_max,
            stand_ins=self._stand_ins(),
        )

    def _stand_ins(self) -> dict[OrderNumber, tuple[OrderRecord, ...]]:
        """Orders made in the place of others, by the number of the other; told by their keys, so over restarts too."""
        found: defaultdict[OrderNumber, tuple[OrderRecord, ...]] = defaultdict(tuple)
        for record in self._executor.orders():
            if (record.idempotency_key or "").startswith(STAND_IN_PREFIX):
                number, _, _ = (record.idempotency_key or "").removeprefix(f"{STAND_IN_PREFIX}o").partition("/")
                found[OrderNumber(int(number))] += (record,)
        return found

    def _doubtful(self, working: Iterable[OrderRecord]) -> frozenset[PositionKey]:
        subjects = {
            item.subject
            for item in self._executor.mismatches.items
            if item.kind is MismatchKind.POSITION and item.state is MismatchState.OPEN
        }
        keys = (PositionKey.of(record.request) for record in working)
        return frozenset(key for key in keys if f"{key.instrument} {key.product}" in subjects)

    def _lot_size(self, key: InstrumentKey) -> int | None:
        instrument = self._facts.instrument(key)
        return None if instrument is None else instrument.lot_size

    # ---- overshoots

    async def _owners(self, fills: Sequence[Trade], holdings: Holdings) -> dict[OrderNumber, FilledBy]:
        """Whose the fills are that may have gone too far: those on the side of what is held."""
        since = self._clock.market_now() - timedelta(seconds=ASKED_WINDOWS * self._settings.overshoot_window_s)
        suspect = {
            PositionKey(fill.instrument, fill.product)
            for fill in fills
            if fill.filled_at >= since
            and holdings.ledger.get(PositionKey(fill.instrument, fill.product), 0) * fill.side.sign > 0
        }
        found: dict[OrderNumber, FilledBy] = {}
        for fill in fills:
            if PositionKey(fill.instrument, fill.product) in suspect:
                record = self._executor.order_of(fill.broker_order_id)
                whose = None if record is None else await self._roles.filled_by(record)
                if whose is not None:
                    found[whose.number] = whose
        return found

    async def _reverse(
        self,
        broker: Sequence[BrokerPosition],
        fills: Sequence[Trade],
        holdings: Holdings,
        working: Sequence[OrderRecord],
        owners: Mapping[OrderNumber, FilledBy],
    ) -> list[Ask]:
        def filled_by(fill: Trade) -> FilledBy | None:
            record = self._executor.order_of(fill.broker_order_id)
            return None if record is None else owners.get(record.number)

        earlier = {
            record.idempotency_key: record for record in self._executor.orders() if record.idempotency_key is not None
        }
        limits = OvershootLimits(
            window=timedelta(seconds=self._settings.overshoot_window_s), attempts_max=self._settings.attempts_max
        )
        asks: list[Ask] = []
        for row in broker:
            key = PositionKey(row.instrument, row.product)
            own = [fill for fill in fills if PositionKey(fill.instrument, fill.product) == key]
            found = overshoots(row.overnight_quantity, row.signed_quantity, own, filled_by)
            found = tuple(item for item in found if item.strategy not in self._untidied)
            steps = reversals(
                key,
                found,
                holdings,
                working,
                earlier,
                now=self._clock.market_now(),
                limits=limits,
                quantity_max=self._order_quantity_max(key.instrument),
            )
            for step in steps:
                asks += [step] if isinstance(step, Ask) else await self._send(step, found)
        return asks

    async def _send(self, step: Reverse, found: Sequence[Overshoot]) -> list[Ask]:
        if self._refused[step.idempotency_key] >= self._settings.attempts_max:
            words = f"{step.words}; the order that takes it off was refused: take it off by hand."
            return [Ask(key=f"refused {step.idempotency_key}", words=words, number=found[0].number)]
        self._refused[step.idempotency_key] += 1
        request = OrderRequest(
            instrument=step.key.instrument,
            side=step.side,
            quantity=step.quantity,
            order_type=OrderType.MARKET,
            product=step.key.product,
            market_protection=self._settings.reversal_protection,
            strategy=step.strategy,
        )
        command = PlaceOrder(request=request, idempotency_key=step.idempotency_key)
        receipt = await self._executor.place(command, reason=self._reason(step.words, step.key), lane=Lane.EXIT)
        what = f"{step.side} {grouped(step.quantity)} {step.key}"
        if receipt.repeated:
            return []
        if receipt.accepted:
            self._tell(Severity.DANGER, f"Overshoot taken off: {what}. {step.words}.", _subject(receipt))
        else:
            self._tell(Severity.DANGER, f"Overshoot stays, {what} was refused: {receipt.message} {step.words}.", "")
        return []

    def _loose(self) -> list[OrderRecord]:
        """Orders that are nobody else's to look after."""
        return [
            record
            for record in self._executor.working()
            if not self._of_plan(record) and record.request.strategy not in self._untidied
        ]

    # ---- doing

    async def _do(self, action: Action, working: Sequence[OrderRecord]) -> list[Ask]:
        match action:
            case Ask():
                return [action]
            case Shrink(number=number, quantity=quantity, words=words):
                target = quantity
            case Drop(number=number, words=words):
                target = 0
            case Replace(number=number, quantity=quantity, words=words):
                target = quantity
        if self._attempts[number, target] >= self._settings.attempts_max:
            key = f"attempts o{number} {target}"
            return [Ask(key=key, words=f"{words}; asked for {self._settings.attempts_max} times.", number=number)]
        self._attempts[number, target] += 1
        record = next(record for record in working if record.number == number)
        reason = self._reason(words, PositionKey.of(record.request))
        if isinstance(action, Replace):
            request = msgspec.structs.replace(record.request, quantity=action.quantity)
            command = PlaceOrder(request=request, idempotency_key=action.idempotency_key)
            receipt = await self._executor.place(command, reason=reason, instead_of=number)
            done = f"{_subject(receipt)} goes in the place of o{number}, which is cancelled when it rests"
        elif target:
            change = ModifyOrder(number=number, change=OrderChange(quantity=target))
            receipt = await self._executor.modify(change, reason=reason, lane=Lane.STOP)
            done = f"o{number} shrinks to {grouped(target)} in all"
        else:
            receipt = await self._executor.cancel(CancelOrders(numbers=(number,)), reason=reason)
            done = f"o{number} is cancelled"
        if receipt.accepted:
            self._tell(Severity.INFO, f"Housekeeping: {done}. {words}.", f"o{number}")
        else:
            self._tell(Severity.ATTENTION, f"Housekeeping: {receipt.message} ({words})", f"o{number}")
        return []

    def _reason(self, words: str, key: PositionKey) -> Reason:
        quote = self._quote(key.instrument)
        seen: tuple[QuoteSeen, ...] = () if quote is None else (quote_seen(key.instrument, quote),)
        return Reason(by=HOUSEKEEPING, version=HOUSEKEEPING_VERSION, words=words, quotes=seen)

    def _quote(self, key: InstrumentKey) -> Quote | None:
        instrument = self._facts.instrument(key)
        return None if instrument is None else self._facts.quote(instrument)

    def _forget(self, working: Iterable[OrderRecord]) -> None:
        """Attempts are counted while their order works."""
        numbers = {record.number for record in working}
        for key in [key for key in self._attempts if key[0] not in numbers]:
            del self._attempts[key]

    def _tell(self, severity: Severity, text: str, subject: str, *, seat: str = "") -> None:
        self._notify(Notice(kind=EventKind.ORDER, severity=severity, text=text, subject=subject, seat=seat))


def _subject(receipt: Receipt) -> str:
    return f"o{receipt.orders[0].number}" if receipt.orders else ""
