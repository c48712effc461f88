"""The plans of one account inside an engine: large orders, baskets, exits, and what waits for a time or a price."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec

from engine.core.commands import (
    CancelOrders,
    CancelPlan,
    Command,
    ExitPositions,
    Interpretation,
    MakePlan,
    ModifyOrder,
    PlaceBasket,
    PlaceOrder,
    Preview,
    Receipt,
    SteerPlan,
    Violation,
)
from engine.core.decisions import PERSON, Reason
from engine.core.errors import StorageError
from engine.core.identifiers import AccountId, InstrumentKey, StrategyNumber
from engine.core.instruments import Instrument
from engine.core.money import ZERO
from engine.core.orders import OrderEvent, OrderRecord, Trade
from engine.core.plans import BasketPlan, ExitPlan, LegPreview, LegRole, PlanNumber, PlanRecord, PlanTurn
from engine.core.ports import BrokerReads, Clock
from engine.core.vocabulary import Mode, Product
from engine.execution.executor import OrderExecutor
from engine.execution.intake import PERSONAL, lane_of, refused
from engine.execution.lanes import Lane
from engine.execution.notices import Notice
from engine.execution.plans.basket import BasketAlgorithm
from engine.execution.plans.basket_intake import BasketIntake
from engine.execution.plans.desk import PlanDesk
from engine.execution.plans.exit import ExitAlgorithm
from engine.execution.plans.exit_intake import ExitIntake
from engine.execution.plans.intake import OrderRoadIn, waiting_words
from engine.execution.plans.picture import PictureMaker
from engine.execution.plans.registry import PlanAlgorithms
from engine.execution.plans.timed import TimedPlans
from engine.execution.plans.unwind import pieces
from engine.market_day import MarketDay
from engine.order_facts import EngineFacts
from engine.parts import EngineParts
from engine.plan_arming import steering_refusal, waiting_refusal
from engine.portfolio.book import PortfolioBook
from engine.portfolio.service import PortfolioService
from engine.preview_charges import order_charges

PlanCommand = PlaceBasket | ExitPositions | MakePlan | CancelPlan | SteerPlan
ReadSentence = Callable[[str, AccountId], Awaitable[Interpretation]]
WatchPlans = Callable[[AccountId, tuple[InstrumentKey, ...]], None]
TURNS = {
    PlanTurn.PAUSE: "sends nothing new; what rests, rests",
    PlanTurn.RESUME: "goes on",
    PlanTurn.HURRY: "takes its next step now",
    PlanTurn.PATIENT: "stays a step longer",
}
NO_PLANS = Violation(check="writer", message="This engine can only look: another one is the writer of the account.")


class AccountPlans:
    """Made with its account; ``begin`` once there is an executor, then run ``desk`` as a service.

    Args:
        account: Whose.
        parts: What the engine is made of.
        day: The exchange's day.
        facts: Market, positions and mode.
        portfolio: The ledger; ``None`` while there is none.
        reads: The broker's calculator.
        available: Rupees free at the broker; ``None`` while they are not known.
        notify: For what a person should read.
        read_sentence: What a sentence means for an account now.
        watch: Told which instruments' quotes the account's plans need.
    """

    def __init__(
        self,
        account: AccountId,
        parts: EngineParts,
        *,
        day: MarketDay,
        facts: EngineFacts,
        portfolio: Callable[[], PortfolioService | None],
        reads: BrokerReads,
        available: Callable[[], Decimal | None],
        notify: Callable[[Notice], None],
        read_sentence: ReadSentence,
        watch: WatchPlans,
    ) -> None:
        self._account = account
        self._parts = parts
        self._day = day
        self._facts = facts
        self._portfolio = portfolio
        self._reads = reads
        self._available = available
        self._notify = notify
        self._read_sentence = read_sentence
        self._watch = watch
        self._clock: Clock = parts.clock
        self._executor: OrderExecutor | None = None
        self.desk: PlanDesk | None = None
        """``None`` while nothing is sent for the account."""
        self.way_in: OrderRoadIn | None = None
        self.baskets: BasketIntake | None = None
        self.exits: ExitIntake | None = None

    async def begin(self, executor: OrderExecutor, *, epoch: int) -> PlanDesk:
        """Make the desk of plans and load what is not over. Its orders may be anywhere: it waits for the book.

        Raises:
            StorageError: the plans cannot be read.
        """
        parts, settings = self._parts, self._parts.plans
        desk = PlanDesk(
            self._account,
            repository=parts.repositories.plans,
            journal=parts.repositories.journal,
            epoch=epoch,
            orders=executor,
            pictures=PictureMaker(
                facts=self._facts,
                orders=executor,
                clock=self._clock,
                allocated=self._allocated,
                default_strategy=self._default_strategy,
                price_band=self._price_band,
                fills=lambda order: _fills(executor, order),
            ),
            algorithms=PlanAlgorithms(
                {BasketPlan: BasketAlgorithm(settings.baskets), ExitPlan: ExitAlgorithm(settings.exits)}
            ),
            timed=TimedPlans(
                interpret=lambda text: self._read_sentence(text, self._account), act=self._act, made_plan=self._made
            ),
            clock=self._clock,
            day_of=parts.calendar.day_of,
            random_bytes=parts.random_bytes,
            notify=self._notify,
            watch=lambda keys: self._watch(self._account, keys),
            eta_s=self._eta_s,
            settings=settings,
        )
        await desk.start()
        self._executor, self.desk = executor, desk
        self.way_in = OrderRoadIn(
            self._account,
            orders=executor,
            journal=parts.repositories.journal,
            plans=desk,
            instrument=self._facts.instrument,
            freeze_quantity=self._facts.freeze_quantity,
            clock=self._clock,
        )
        self.baskets = BasketIntake(
            facts=self._facts,
            judge=executor,
            plans=desk,
            margins=self._reads,
            available=self._available,
            clock=self._clock,
        )
        self.exits = ExitIntake(
            book=self._book,
            positions=executor.positions,
            facts=self._facts,
            judge=executor,
            plans=desk,
            clock=self._clock,
            zone=parts.calendar.zone,
            settings=settings.exits,
            coming=executor.unbooked,
        )
        return desk

    @property
    def is_busy(self) -> bool:
        """A plan is not over."""
        return self.desk is not None and self.desk.is_busy

    async def stop(self) -> None:
        """Decide nothing more."""
        if self.desk is not None:
            await self.desk.stop()

    def on_order(self, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        """An order of the account stands differently."""
        if self.desk is not None:
            self.desk.on_order(record, events)

    async def place(self, command: PlaceOrder, *, seat: str, reason: Reason = PERSONAL) -> Receipt:
        """Send an order, by a plan if it needs one."""
        if self.way_in is None:
            return _no_plans()
        return await self.way_in.place(command, seat=seat, reason=reason)

    async def do(self, command: PlanCommand, *, seat: str, by: str = PERSON) -> Receipt:
        """Take a plan in, or steer one."""
        if self.desk is None or self.way_in is None or self.baskets is None or self.exits is None:
            return _no_plans()
        try:
            match command:
                case PlaceBasket():
                    return await self.baskets.submit(command, seat=seat, by=by)
                case ExitPositions():
                    return await self.exits.submit(command, seat=seat, by=by)
                case MakePlan():
                    if self._facts.mode(seat) is Mode.READ:
                        meaning = await self._read_sentence(command.sentence, self._account)
                        if (refusal := waiting_refusal(Mode.READ, _action(meaning))) is not None:
                            return refused(refusal.check, refusal.message)
                    return await self.way_in.make(command, seat=seat, by=by)
                case CancelPlan():
                    return await self.desk.cancel(command.number, seat=seat)
                case SteerPlan(number=number, turn=turn):
                    if (refusal := self._steering_refusal(number, turn, seat)) is not None:
                        return refused(refusal.check, refusal.message)
                    return await self.desk.steer(command.number, command.turn, seat=seat)
        except StorageError as error:
            return refused("journal", f"The journal cannot be asked ({error}); nothing was begun.")

    async def preview(self, command: PlanCommand, *, seat: str) -> Preview:
        """What it would do for a seat; nothing is sent."""
        if self.desk is None or self.way_in is None or self.baskets is None or self.exits is None:
            return Preview(sentence=NO_PLANS.message, violations=(NO_PLANS,))
        match command:
            case PlaceBasket():
                return self._with_costs(await self.baskets.preview(command, seat=seat))
            case ExitPositions():
                return self.exits.preview(command)
            case MakePlan():
                return await self._preview_waiting(command, self.way_in, seat)
            case CancelPlan(number=number):
                return self._preview_turn(number, "nothing new is sent, what rests is cancelled, positions stay")
            case SteerPlan(number=number, turn=turn):
                refusal = self._steering_refusal(number, turn, seat)
                preview = self._preview_turn(number, TURNS[turn])
                if refusal is None:
                    return preview
                return msgspec.structs.replace(preview, violations=(*preview.violations, refusal))

    def _steering_refusal(self, number: PlanNumber, turn: PlanTurn, seat: str) -> Violation | None:
        view = None if self.desk is None else self.desk.view(number)
        return steering_refusal(self._facts.mode(seat), turn, None if view is None else view.record.spec)

    def _with_costs(self, preview: Preview) -> Preview:
        """A basket's preview with the charges of its legs, and when the last of its orders could leave."""
        legs, notes = [], []
        lanes: list[Lane] = []
        for leg in preview.legs:
            price = leg.request.price
            if price is None and leg.quote is not None:
                price = leg.quote.touch(leg.request.side)
            charges = order_charges(self._parts.charge_rates, self._day.today(), leg.request, price)
            legs.append(msgspec.structs.replace(leg, charges=charges.once))
            notes += [f"Leg {leg.index + 1}: {note}" for note in charges.notes]
            lanes += self._lanes(leg)
        known = [leg.charges for leg in legs if leg.charges is not None]
        return msgspec.structs.replace(
            preview,
            legs=tuple(legs),
            charges=sum(known, ZERO) if legs and len(known) == len(legs) else None,
            charge_notes=tuple(notes),
            eta_s=None if self._executor is None or not lanes else self._executor.eta_s(lanes),
        )

    def _lanes(self, leg: LegPreview) -> list[Lane]:
        """The priority of each order that a leg becomes."""
        instrument = self._facts.instrument(leg.request.instrument)
        if self._executor is None or instrument is None:
            return []
        adds_risk = self._executor.check(leg.request)[2]
        asked = Lane.HEDGE if leg.role is LegRole.HEDGE else None
        cut = pieces(leg.request.quantity, instrument.lot_size, self._facts.freeze_quantity(instrument))
        return [lane_of(leg.request, adds_risk=adds_risk, asked=asked)] * len(cut)

    def _preview_turn(self, number: PlanNumber, words: str) -> Preview:
        view = None if self.desk is None else self.desk.view(number)
        if view is None or view.record.state.is_over:
            state = "unknown" if view is None else f"{view.record.state} already"
            said = Violation(check="plan", message=f"p{number} is {state}.")
            return Preview(sentence=said.message, violations=(said,))
        return Preview(sentence=f"{view.record.name} ({view.record.sentence}): {words}.")

    async def _preview_waiting(self, command: MakePlan, road: OrderRoadIn, seat: str) -> Preview:
        """What waits, and what it would do if its moment were now."""
        now = await self._read_sentence(command.sentence, self._account)
        if now.error is not None:
            note = f"Now it would not be possible: {now.error.message}"
        elif isinstance(now.command, PlaceOrder):
            violations, _ = road.check(now.command, seat=seat)
            note = "Now it would be " + (
                f"refused: {' '.join(violation.message for violation in violations)}" if violations else "sent."
            )
        else:
            note = "It is judged when its moment comes."
        refusal = waiting_refusal(self._facts.mode(seat), _action(now))
        return Preview(
            sentence=f"Waits {waiting_words(command)}. This confirmation is the only one.",
            violations=(*road.waiting_faults(command), *(() if refusal is None else (refusal,))),
            notes=(note,),
        )

    async def _act(self, command: Command, seat: str, reason: Reason) -> Receipt:
        """Do what a plan says whose moment has come."""
        if self._executor is None or self.way_in is None:
            return _no_plans()
        match command:
            case PlaceOrder():
                return await self.way_in.place(command, seat=seat, reason=reason, is_own=True)
            case PlaceBasket() | ExitPositions():
                return await self.do(command, seat=seat, by=reason.by)
            case CancelOrders():
                return await self._executor.cancel(command, seat=seat, reason=reason)
            case ModifyOrder():
                return await self._executor.modify(command, seat=seat, reason=reason)
            case _:
                return refused("plan", "A plan places, exits, modifies and cancels; nothing else.")

    async def _made(self, key: str) -> PlanRecord | None:
        return None if self.desk is None else await self.desk.made_by(key)

    def _book(self) -> PortfolioBook | None:
        portfolio = self._portfolio()
        return None if portfolio is None else portfolio.book

    def _allocated(self, strategy: int, key: InstrumentKey, product: Product) -> int | None:
        portfolio = self._portfolio()
        if portfolio is None:
            return None
        legs = portfolio.book.open_legs(StrategyNumber(strategy))
        return sum(leg.holding.signed_quantity for leg in legs if leg.instrument == key and leg.product is product)

    def _default_strategy(self) -> int | None:
        portfolio = self._portfolio()
        return None if portfolio is None else portfolio.book.default.number

    def _price_band(self, instrument: Instrument) -> tuple[Decimal, Decimal] | None:
        found = self._facts.price_range(instrument, self._facts.quote(instrument))
        return None if found is None else (found.low, found.high)

    def _eta_s(self, orders: tuple[OrderRecord, ...]) -> float | None:
        if self._executor is None:
            return None
        numbers = {order.number for order in orders}
        waits = [item.eta_s for item in self._executor.health().queue if item.number in numbers]
        return max(waits, default=None)


def _fills(executor: OrderExecutor, order: OrderRecord) -> tuple[Trade, ...]:
    return tuple(trade for trade in executor.heard_trades() if trade.broker_order_id == order.broker_order_id)


def _no_plans() -> Receipt:
    return Receipt(accepted=False, message=NO_PLANS.message, violations=(NO_PLANS,))


def _action(meaning: Interpretation) -> Command | None:
    """What a sentence would do; ``None`` when it cannot be read now or concerns a screen."""
    return meaning.command if meaning.error is None else None
