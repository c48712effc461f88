"""The executor's test desk with plans on it: the real plan desk and executor, a broker and a journal that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone

from engine.core.commands import Command, Interpretation, PlaceOrder, Receipt, SentenceError
from engine.core.decisions import Reason
from engine.core.errors import StorageError
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderEvent, OrderRecord
from engine.core.plans import PlanNumber, PlanRecord, PlanSpec, PlanState, PlanView
from engine.core.quotes import Quote
from engine.execution.plans.algorithm import Algorithm
from engine.execution.plans.desk import PlanDesk
from engine.execution.plans.intake import OrderRoadIn
from engine.execution.plans.picture import PictureMaker
from engine.execution.plans.registry import PlanAlgorithms
from engine.execution.plans.settings import PlanSettings
from engine.execution.plans.timed import TimedPlans
from engine.execution.settings import ExecutionSettings
from storage.memory import MemoryRepositories
from storage.memory.plans import MemoryPlans
from tests.unit.execution.desk import ACCOUNT, Desk, Ear, Facts, settle

INDIA = timezone(timedelta(hours=5, minutes=30))


class PlanEar(Ear):
    """Passes changes of orders on to the plans, as an account's desk does."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: PlanDesk | None = None

    def on_order(self, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        super().on_order(record, events)
        if self.plans is not None:
            self.plans.on_order(record, events)


class FaultyPlans:
    """The memory record of plans, with failures on demand."""

    def __init__(self, plans: MemoryPlans) -> None:
        self._plans = plans
        self.down: StorageError | None = None
        self.lie_once: StorageError | None = None
        """The next new plan is written and reported as failed."""
        self.updates = 0

    async def record(self, plan: PlanRecord, *, epoch: int) -> PlanRecord:
        self._check()
        kept = await self._plans.record(plan, epoch=epoch)
        if self.lie_once is not None:
            error, self.lie_once = self.lie_once, None
            raise error
        return kept

    async def update(self, plan: PlanRecord, *, epoch: int) -> None:
        self._check()
        self.updates += 1
        await self._plans.update(plan, epoch=epoch)

    async def unfinished(self, account: AccountId) -> tuple[PlanRecord, ...]:
        self._check()
        return await self._plans.unfinished(account)

    async def since(self, account: AccountId, moment: datetime) -> tuple[PlanRecord, ...]:
        self._check()
        return await self._plans.since(account, moment)

    async def by_number(self, number: PlanNumber) -> PlanRecord | None:
        self._check()
        return await self._plans.by_number(number)

    async def by_idempotency_key(self, account: AccountId, key: str) -> PlanRecord | None:
        self._check()
        return await self._plans.by_idempotency_key(account, key)

    def _check(self) -> None:
        if self.down is not None:
            raise self.down


class MovingFacts(Facts):
    """Facts whose quotes a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.quotes: dict[InstrumentKey, Quote] = {}

    def quote(self, instrument: Instrument) -> Quote | None:
        return self.quotes.get(instrument.key) or super().quote(instrument)


class PlansDesk(Desk):
    """A desk with plans. ``sentences`` says what a sentence means when a plan is due."""

    def __init__(
        self, settings: ExecutionSettings | None = None, *, others: dict[type, Algorithm] | None = None,
        plan_settings: PlanSettings | None = None,
    ) -> None:  # fmt: skip
        super().__init__(settings)
        self.ear: PlanEar = PlanEar()
        self.facts: MovingFacts = MovingFacts()
        self.others = others or {}
        self.plan_settings = plan_settings or PlanSettings()
        self.sentences: dict[str, Command | str] = {}
        self.interpreting: Callable[[], Awaitable[None]] | None = None
        self.acted: list[Command] = []
        self.watched: tuple[InstrumentKey, ...] = ()
        self.plans: PlanDesk
        self.road: OrderRoadIn
        self.records: FaultyPlans
        self._plans_run: asyncio.Task[None] | None = None

    async def open(self, *, settle_second: bool = True) -> None:
        self.ear.plans = None
        await super().open(settle_second=settle_second)
        repositories = MemoryRepositories(self.store)
        self.records = FaultyPlans(repositories.plans)
        self.plans = PlanDesk(
            ACCOUNT,
            repository=self.records,
            journal=self.journal,
            epoch=self.store.epochs[ACCOUNT],
            orders=self.executor,
            pictures=PictureMaker(
                facts=self.facts,
                orders=self.executor,
                clock=self.clock,
                allocated=lambda *_: 0,
                default_strategy=lambda: None,
                price_band=lambda _: None,
            ),
            algorithms=PlanAlgorithms(self.others),
            timed=TimedPlans(interpret=self._interpret, act=self._act, made_plan=self._made),
            clock=self.clock,
            day_of=lambda moment: moment.astimezone(INDIA).date(),
            random_bytes=self.random,
            notify=self.ear.on_notice,
            watch=self._watch,
            eta_s=lambda _: 0.0,
            settings=self.plan_settings,
        )
        await self.plans.start()
        self.ear.plans = self.plans
        self.road = OrderRoadIn(
            ACCOUNT,
            orders=self.executor,
            journal=self.journal,
            plans=self.plans,
            instrument=self.facts.instrument,
            freeze_quantity=self.facts.freeze_quantity,
            clock=self.clock,
        )
        self._plans_run = asyncio.ensure_future(self.plans.run())
        await settle()

    async def close(self) -> None:
        run, self._plans_run = self._plans_run, None
        if run is not None:
            await self.plans.stop()
            await asyncio.gather(run, return_exceptions=True)
        await super().close()

    async def crash(self) -> None:
        self._plans_run = None
        await super().crash()

    async def begin(self, spec: PlanSpec, *, key: str | None = None) -> PlanNumber:
        """Submit a plan and let it look once."""
        receipt = await self.plans.submit(spec, sentence="a plan", key=key)
        assert receipt.accepted, receipt.message
        assert receipt.plan is not None
        await settle()
        return receipt.plan

    def view(self, number: PlanNumber) -> PlanView:
        """A plan as it is shown."""
        view = self.plans.view(number)
        assert view is not None
        return view

    def plan_state(self, number: PlanNumber) -> PlanState:
        """Where a plan stands."""
        return self.view(number).record.state

    def note(self, number: PlanNumber) -> str:
        """What it says of itself."""
        return self.view(number).record.progress.note

    def placed(self) -> int:
        """Units that the broker has accepted orders for."""
        return sum(order.request.quantity for order in self.broker.orders_by_id.values())

    async def _made(self, key: str) -> PlanRecord | None:
        return await self.plans.made_by(key)

    def _watch(self, keys: tuple[InstrumentKey, ...]) -> None:
        self.watched = keys

    async def _interpret(self, text: str) -> Interpretation:
        if self.interpreting is not None:
            await self.interpreting()
        meaning = self.sentences[text]
        if isinstance(meaning, str):
            return Interpretation(text=text, error=SentenceError(message=meaning, place=0))
        return Interpretation(text=text, command=meaning)

    async def _act(self, command: Command, seat: str, reason: Reason) -> Receipt:
        self.acted.append(command)
        assert isinstance(command, PlaceOrder)
        return await self.road.place(command, seat=seat, reason=reason, is_own=True)
