"""Brings one account to nothing without engine and database: the loop of ``workstation kill``.

Every order is written down before it is sent and is sent once; one without an answer is looked for by its tag and
counts as filled until then, never sent again. What is done follows from reading the broker's book and positions anew
each round, so whatever happened in between is taken as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

from engine.core.commands import OrderChange
from engine.core.errors import BrokerError, RateLimited, SessionExpired
from engine.core.identifiers import TAG_RANDOM_BYTES, AccountId, BrokerOrderId, InstrumentKey, OrderTag
from engine.core.orders import BrokerOrder, Trade
from engine.core.ports import BrokerReads, Clock, OrderRoad
from engine.core.positions import BrokerPosition
from engine.core.quotes import Quote
from engine.core.standing_triggers import Gtt, GttStatus
from engine.execution.kill_journal import KillJournal, kill_tag
from engine.execution.kill_report import KillReport, LegReport, end_words, leg_report
from engine.execution.kill_round import (
    RESTING,
    ContractFacts,
    KillPicture,
    KillRound,
    LegKey,
    OwnOrder,
    Placement,
    Reprice,
    fills_of,
    plan_round,
)
from engine.execution.settings import KillSettings
from engine.execution.wire import Answer, Outcome, ask

logger = logging.getLogger(__name__)

AGREE_S = 1.5
"""A difference between a position and its fills that stands so long is no delay (a conversion, say)."""
RETRY_S = 0.5
QUOTE_AGE_S = 1.0
RATE_PAUSE_S = 1.0
Describe = Callable[[Sequence[InstrumentKey]], Awaitable[dict[InstrumentKey, ContractFacts]]]
"""What has to be known of contracts; those it does not know are missing, and asked again."""


class KillRun:
    """One account; ``run`` it once.

    Args:
        account: Whose.
        road: Its order endpoints.
        reads: Its reading endpoints.
        describe: Lots, ticks and freeze quantities.
        journal: Where everything is written down first.
        settings: How fast, how far.
        clock: Durations.
        random_bytes: Source of tags.
        flatten: Whether positions go too, or only entries.
        say: Told of what happens, one line each.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        road: OrderRoad,
        reads: BrokerReads,
        describe: Describe,
        journal: KillJournal,
        settings: KillSettings,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        flatten: bool,
        say: Callable[[str], None],
    ) -> None:
        self._account = account
        self._road = road
        self._reads = reads
        self._describe = describe
        self._journal = journal
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._flatten = flatten
        self._say = say
        self._own: dict[OrderTag, OwnOrder] = {}
        self._facts: dict[InstrumentKey, ContractFacts] = {}
        self._quotes: dict[InstrumentKey, Quote] = {}
        self._quoted_at = float("-inf")
        self._describing: asyncio.Task[None] | None = None
        self._described_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._next_at = 0.0
        self._cancel_asked: dict[BrokerOrderId, float] = {}
        self._cancel_said: set[BrokerOrderId] = set()
        self._differences: dict[LegKey, tuple[int, float]] = {}
        self._found: dict[LegKey, int] = {}
        self._decided: dict[LegKey, Decimal] = {}
        self._flat_at: dict[LegKey, float] = {}
        self._refused_at: dict[LegKey, float] = {}
        self._began = 0.0
        self._trouble = ""
        self._presumed = False
        self._expired: SessionExpired | None = None

    async def run(self) -> KillReport:
        """Work until it is done, or until it is given up.

        Raises:
            SessionExpired: the day's login is over; nothing can be done from here.
        """
        self._began = self._clock.monotonic()
        self._journal.write("begin", "cancel entries and flatten" if self._flatten else "cancel entries")
        orders: tuple[BrokerOrder, ...] = ()
        positions: tuple[BrokerPosition, ...] = ()
        done = False
        try:
            while not done and self._clock.monotonic() - self._began < self._settings.give_up_s:
                reading = await self._read()
                if self._expired is not None:
                    raise self._expired
                if reading is None:
                    await self._clock.sleep(RETRY_S)
                    continue
                orders, positions = reading
                done = await self._round(orders, positions)
                if not done:
                    await self._clock.sleep(self._settings.settle_s)
        finally:
            await self._end_tasks()
        triggers = await self._remove_triggers(done=done)
        report = await self._report(orders, positions, done=done, triggers=triggers)
        self._journal.write("end", end_words(report))
        return report

    # -- one round ---------------------------------------------------------------------------------------------------

    async def _read(self) -> tuple[tuple[BrokerOrder, ...], tuple[BrokerPosition, ...]] | None:
        """Orders first: a fill between the two readings is then counted too often rather than not at all."""
        try:
            orders = await self._reads.orders()
            positions = await self._reads.positions()
        except SessionExpired as error:
            self._expired = error
            return None
        except BrokerError as error:
            if str(error) != self._trouble:
                self._say(f"{self._account}: the broker's books cannot be read: {error}")
            self._trouble = str(error)
            return None
        self._trouble = ""
        return orders, positions

    async def _round(self, orders: tuple[BrokerOrder, ...], positions: tuple[BrokerPosition, ...]) -> bool:
        self._look_up(orders)
        self._watch_legs(positions)
        disagreeing = self._disagreeing(orders, positions)
        held = [position.instrument for position in positions if position.signed_quantity]
        self._want_facts(held)
        await self._want_quotes(held)
        picture = KillPicture(
            now=self._clock.monotonic(),
            orders=orders,
            positions=positions,
            own=self._own,
            facts=self._facts,
            quotes=self._quotes,
            disagreeing=disagreeing,
            flatten=self._flatten,
        )
        found = plan_round(picture, self._settings)
        self._do(found)
        return found.is_done and not self._tasks

    def _do(self, found: KillRound) -> None:
        now = self._clock.monotonic()
        for row in found.cancels:
            asked = self._cancel_asked.get(row.broker_order_id)
            if asked is None or now - asked >= self._settings.cancel_wait_s:
                self._cancel_asked[row.broker_order_id] = now
                self._start(self._cancel(row))
        for placement in found.places:
            if now - self._refused_at.get(placement.leg, float("-inf")) >= RETRY_S:
                self._start(self._place(self._prepare(placement)))
        for change in found.changes:
            change.own.changing = True
            self._start(self._change(change))
        for own in self._own.values():
            self._replace_tired(own, now)

    def _replace_tired(self, own: OwnOrder, now: float) -> None:
        """An order that was given all the prices it may have is cancelled; what is left goes as a new one."""
        if own.order_id is None or own.prices < self._settings.modifications_max:
            return
        if now - own.priced_at >= self._settings.reprice_s and own.order_id not in self._cancel_asked:
            self._cancel_asked[own.order_id] = now
            self._start(self._cancel_own(own))

    def _prepare(self, placement: Placement) -> OwnOrder:
        """Make the order known here before anything can wait: the next round counts it."""
        now = self._clock.monotonic()
        own = OwnOrder(
            tag=kill_tag(self._random_bytes(TAG_RANDOM_BYTES)),
            leg=placement.leg,
            request=placement.request,
            decided=placement.decided,
            sent_at=now,
            priced_at=now,
        )
        if placement.decided is not None:
            self._decided.setdefault(placement.leg, placement.decided)
        self._own[own.tag] = own
        return own

    # -- requests ----------------------------------------------------------------------------------------------------

    async def _place(self, own: OwnOrder) -> None:
        request = own.request
        words = f"{request.side} {request.quantity} {request.instrument} {request.order_type} {request.price or ''}"
        await self._my_turn()
        self._journal.write(
            "place",
            words.strip(),
            tag=str(own.tag),
            instrument=str(request.instrument),
            signed_quantity=own.signed_quantity,
        )
        own.priced_at = self._clock.monotonic()
        outcome = await ask(self._road.place_order(request, own.tag))
        own.is_answered, own.ended_at = True, self._clock.monotonic()
        self._note(outcome)
        match outcome.answer:
            case Answer.TAKEN:
                own.order_id = outcome.order_id
                self._journal.write("answer", tag=str(own.tag), order_id=str(outcome.order_id))
            case Answer.LOST:
                self._journal.write("lost", outcome.words, tag=str(own.tag))
                self._say(f"{self._account}: {words.strip()}: {outcome.words} It is looked for by its tag {own.tag}.")
            case _:
                # Nothing of it rests at the broker, for certain.
                own.is_absent = own.order_id is None
                self._refused_at[own.leg] = self._clock.monotonic()
                self._journal.write("refused", outcome.words, tag=str(own.tag))
                self._say(f"{self._account}: {words.strip()} was not taken: {outcome.words}")

    async def _change(self, change: Reprice) -> None:
        own, order_id = change.own, change.own.order_id
        try:
            if order_id is None:
                return
            await self._my_turn()
            self._journal.write("change", f"price {change.price}", tag=str(own.tag), order_id=str(order_id))
            own.prices += 1
            outcome = await ask(
                self._road.modify_order(order_id, own.request.variety, own.request, OrderChange(price=change.price))
            )
            self._note(outcome)
            own.priced_at = self._clock.monotonic()
        finally:
            own.changing = False

    async def _cancel(self, row: BrokerOrder) -> None:
        await self._my_turn()
        words = f"{row.side} {row.quantity - row.filled_quantity} {row.instrument} {row.order_type}"
        self._journal.write("cancel", words, order_id=str(row.broker_order_id), instrument=str(row.instrument))
        if row.broker_order_id not in self._cancel_said:
            self._cancel_said.add(row.broker_order_id)
            self._say(f"{self._account}: cancels {words}")
        self._note(await ask(self._road.cancel_order(row.broker_order_id, row.variety)))

    async def _cancel_own(self, own: OwnOrder) -> None:
        if own.order_id is not None:
            await self._my_turn()
            self._journal.write("cancel", "to be replaced", order_id=str(own.order_id), tag=str(own.tag))
            self._note(await ask(self._road.cancel_order(own.order_id, own.request.variety)))

    def _note(self, outcome: Outcome) -> None:
        if outcome.answer is Answer.TOO_FAST:
            pause = RATE_PAUSE_S if outcome.retry_after_s is None else outcome.retry_after_s
            self._next_at = max(self._next_at, self._clock.monotonic() + pause)
        elif outcome.answer is Answer.NO_SESSION:
            self._expired = SessionExpired(outcome.words)

    async def _my_turn(self) -> None:
        """Spread requests evenly: the account's second belongs to the engine too."""
        async with self._turn:
            while (wait := self._next_at - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            self._next_at = self._clock.monotonic() + 1.0 / self._settings.per_second

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_tasks(self) -> None:
        if self._describing is not None:
            self._describing.cancel()
            await asyncio.gather(self._describing, return_exceptions=True)
        if self._tasks:
            # What is on the wire is not called back: its answer is waited for, bounded by the road's own deadline.
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what the broker says ----------------------------------------------------------------------------------------

    def _look_up(self, orders: tuple[BrokerOrder, ...]) -> None:
        """Find orders without an answer by their tags; presume the absence of what is not there for long enough."""
        by_tag = {row.tag: row for row in orders if row.tag is not None}
        now = self._clock.monotonic()
        for own in self._own.values():
            row = by_tag.get(own.tag)
            if row is not None:
                if own.order_id is None:
                    own.order_id, own.is_absent = row.broker_order_id, False
                    self._journal.write("answer", "found by its tag", tag=str(own.tag), order_id=row.broker_order_id)
            elif own.is_unknown and own.is_answered:
                own.missing_reads += 1
                is_over = now - own.ended_at >= self._settings.unknown_window_s
                if is_over and own.missing_reads >= self._settings.unknown_reads_min:
                    own.is_absent = self._presumed = True
                    self._journal.write("refused", "presumed absent", tag=str(own.tag))
                    self._say(
                        f"{self._account}: the order with tag {own.tag} is presumed absent: it was not in the book for "
                        f"{self._settings.unknown_window_s:g} s. It is not sent again; what is held decides."
                    )

    def _watch_legs(self, positions: tuple[BrokerPosition, ...]) -> None:
        now = self._clock.monotonic()
        held = {(p.instrument, p.product): p.signed_quantity for p in positions if p.signed_quantity}
        for leg, quantity in held.items():
            self._found.setdefault(leg, quantity)
            self._flat_at.pop(leg, None)
        for leg in self._found:
            if leg not in held and leg not in self._flat_at:
                self._flat_at[leg] = now

    def _disagreeing(self, orders: tuple[BrokerOrder, ...], positions: tuple[BrokerPosition, ...]) -> frozenset[LegKey]:
        """Legs whose position is not what was carried and filled; a difference that stays is taken as it is."""
        now = self._clock.monotonic()
        filled = fills_of(orders)
        rows = {(p.instrument, p.product): p for p in positions}
        found = set()
        for leg in {*filled, *rows}:
            row = rows.get(leg)
            held, carried = (0, 0) if row is None else (row.signed_quantity, row.overnight_quantity)
            difference = held - carried - filled.get(leg, 0)
            if difference == 0:
                self._differences.pop(leg, None)
                continue
            known = self._differences.get(leg)
            if known is None or known[0] != difference:
                self._differences[leg] = known = (difference, now)
            if now - known[1] < AGREE_S:
                found.add(leg)
        return frozenset(found)

    def _want_facts(self, held: Sequence[InstrumentKey]) -> None:
        missing = [key for key in held if key not in self._facts]
        now = self._clock.monotonic()
        if not missing or not self._flatten or self._describing is not None or now - self._described_at < RETRY_S:
            return
        self._describing = asyncio.ensure_future(self._learn(missing))

    async def _learn(self, keys: Sequence[InstrumentKey]) -> None:
        try:
            self._facts.update(await self._describe(keys))
        except BrokerError as error:
            self._say(f"{self._account}: lots and ticks cannot be read yet: {error}")
        finally:
            self._described_at = self._clock.monotonic()
            self._describing = None

    async def _want_quotes(self, held: Sequence[InstrumentKey]) -> None:
        """Quotes no older than a second; without any the market order's own protection has to do."""
        if not held or not self._flatten or self._clock.monotonic() - self._quoted_at < QUOTE_AGE_S:
            return
        try:
            self._quotes = await self._reads.quotes(tuple(dict.fromkeys(held)))
        except BrokerError as error:
            logger.warning("quotes cannot be read: %s", error)
            self._quotes = {}
        self._quoted_at = self._clock.monotonic()

    async def _remove_triggers(self, *, done: bool) -> int:
        """When nothing is held a standing trigger could only open something: it goes, last of all."""
        if not self._flatten:
            return 0
        left = 0
        for gtt in await self._triggers():
            if not done:
                left += 1
                continue
            await self._my_turn()
            self._journal.write("cancel", f"standing trigger {gtt.trigger_id}", instrument=str(gtt.request.instrument))
            try:
                await self._road.delete_gtt(gtt.trigger_id)
            except RateLimited as error:
                left += 1
                self._say(f"{self._account}: the standing trigger {gtt.trigger_id} is still there: {error}")
            except BrokerError as error:
                logger.warning("the trigger %d: %s", gtt.trigger_id, error)
        return len(await self._triggers()) if done else left

    async def _triggers(self) -> tuple[Gtt, ...]:
        try:
            return tuple(gtt for gtt in await self._reads.gtts() if gtt.status is GttStatus.ACTIVE)
        except BrokerError as error:
            self._say(f"{self._account}: standing triggers cannot be read: {error}")
            return ()

    # -- the end -----------------------------------------------------------------------------------------------------

    async def _report(
        self, orders: tuple[BrokerOrder, ...], positions: tuple[BrokerPosition, ...], *, done: bool, triggers: int
    ) -> KillReport:
        trades: tuple[Trade, ...] = ()
        try:
            trades = await self._reads.trades()
        except BrokerError as error:
            self._say(f"{self._account}: fills cannot be read, so slippage is not known: {error}")
        left = {(p.instrument, p.product): p.signed_quantity for p in positions if p.signed_quantity}
        resting = [row for row in orders if row.trigger in RESTING]
        unknown = [own for own in self._own.values() if own.is_unknown]
        words = []
        if not done:
            what = ", ".join(f"{held} {leg[0].tradingsymbol} {leg[1]}" for leg, held in left.items())
            words.append(f"Not done after {self._settings.give_up_s:g} s: {what or 'no position'} is left.")
        if unknown or self._presumed:
            words.append("An order's outcome is not known or was presumed; look at the broker's book.")
        if self._journal.trouble:
            words.append(self._journal.trouble)
        if triggers:
            words.append(f"{triggers} standing triggers are still at the broker.")
        return KillReport(
            account=self._account,
            is_done=done,
            is_sure=not unknown and not self._presumed,
            cancelled=len(self._cancel_said - {row.broker_order_id for row in resting}),
            asked=len(self._cancel_said),
            legs=tuple(self._leg(leg, held, left.get(leg, 0), trades) for leg, held in self._found.items()),
            kept=len(resting),
            triggers=triggers,
            elapsed_s=self._clock.monotonic() - self._began,
            words=" ".join(words),
        )

    def _leg(self, leg: LegKey, held: int, left: int, trades: tuple[Trade, ...]) -> LegReport:
        flat_at = self._flat_at.get(leg)
        return leg_report(
            leg,
            held=held,
            left=left,
            ids=frozenset(own.order_id for own in self._own.values() if own.leg == leg and own.order_id is not None),
            trades=trades,
            decided=self._decided.get(leg),
            flat_s=None if flat_at is None else flat_at - self._began,
        )
