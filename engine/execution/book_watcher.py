"""Reads the broker's book and lets the orders follow it: on hints, on schedule, and fast while something is open.

Hints (socket frames, postbacks) are never applied; they only make the next read come sooner. Reads are made one after
the other, so that an older book is never merged after a newer one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec

from engine.core.decisions import NO_FACTS, EventFacts, LetterState, UnsentCause
from engine.core.errors import BrokerError, InvalidInput, InvariantBroken, SessionExpired, StorageConflict, StorageError
from engine.core.events import EventKind
from engine.core.identifiers import AccountId, BrokerOrderId
from engine.core.orders import BrokerOrder, OrderRecord, OrderState, OrderTrigger
from engine.core.ports import BrokerReads, Clock
from engine.core.vocabulary import Severity
from engine.execution.adoption import adoption_event, outside_record
from engine.execution.answers import NO_SESSION
from engine.execution.book_merge import (
    IN_FLIGHT,
    SEARCHED,
    describe_change,
    merge_row,
    request_of_row,
    shows_change,
)
from engine.execution.book_notices import BookNotices
from engine.execution.breaker import CircuitBreaker, Reach
from engine.execution.checks import PROTECTED
from engine.execution.days import exchange_day
from engine.execution.notices import Health
from engine.execution.queue import Errand
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import CommandInFlight, Standing, Standings
from engine.execution.transitions import SAYS
from engine.execution.wire import reach_of

BOOK = "book"
ADOPTING = "adopting"
SHRUNK = "book-rows"
ROWS_PER_TURN = 200
"""After so many rows the event loop gets a turn; a full day's book has thousands."""
RESTING = frozenset({OrderTrigger.BOOK_OPEN, OrderTrigger.BOOK_TRIGGER_PENDING})
MINUTE = timedelta(minutes=1)
OUTSIDE = "placed outside this desk"


class BookReading(msgspec.Struct, frozen=True, kw_only=True):
    """One read of the book."""

    rows: dict[BrokerOrderId, BrokerOrder]
    started_at: float
    """Monotonic seconds."""
    is_good: bool
    """All of today's rows seen before are there: what is missing may be judged by it."""


class BookWatcher:
    """Merges the book into the standings.

    Args:
        reads: The broker's reading endpoints.
        standings: How orders stand.
        account: Whose book it is.
        settings: Windows and counts.
        clock: Time.
        health: Where an unreadable book is declared.
        breaker: Of the reading endpoints.
        notices: For what a person should read.
        on_known: Told when a searched order was found.
        on_growth: Told of each order with fills that were not known.
        on_outside: Told how many of today's orders others have placed, and how many of them in the last minute.
    """

    def __init__(
        self,
        *,
        reads: BrokerReads,
        standings: Standings,
        account: AccountId,
        settings: ExecutionSettings,
        clock: Clock,
        health: Health,
        breaker: CircuitBreaker,
        notices: BookNotices,
        on_known: Callable[[Standing], None],
        on_growth: Callable[[BrokerOrderId], None],
        on_outside: Callable[[int, int], None],
    ) -> None:
        self._reads = reads
        self._standings = standings
        self._account = account
        self._settings = settings
        self._clock = clock
        self._health = health
        self._breaker = breaker
        self._notices = notices
        self._on_known = on_known
        self._on_growth = on_growth
        self._on_outside = on_outside
        self._turn = asyncio.Lock()
        self._seen_today: set[BrokerOrderId] = set()
        self._seen_day = 0
        self._not_adoptable: set[BrokerOrderId] = set()
        self._adopted: list[OrderRecord] = []
        self.twins: dict[BrokerOrderId, str] = {}
        """Rows that carry a tag of ours which belongs to another row."""
        self.missing: dict[int, str] = {}
        """Orders that we know to be at the broker and that good reads do not show."""
        self.good_reads = 0

    async def read(self) -> BookReading | None:
        """Read the book once and let every order follow it; ``None`` when it cannot be read."""
        async with self._turn:
            started_at = self._clock.monotonic()
            self._breaker.begin()
            try:
                rows = await self._reads.orders()
            except BrokerError as error:
                self._breaker.end(reach_of(error), str(error))
                self._unreadable(error)
                return None
            self._breaker.end(Reach.ANSWERED, "")
            self._health.clear(BOOK, "The broker's order book is read again.", EventKind.SESSION)
            self._health.clear(NO_SESSION, "The broker's session is alive.", EventKind.SESSION)
            by_id = {row.broker_order_id: row for row in rows}
            reading = BookReading(rows=by_id, started_at=started_at, is_good=self._judge(by_id))
            for count, row in enumerate(rows):
                if count % ROWS_PER_TURN == ROWS_PER_TURN - 1:
                    await asyncio.sleep(0)
                await self._follow(row, reading)
            if reading.is_good:
                self.good_reads += 1
                await self._judge_absence(reading)
            self._notices.adopted(self._take_adopted())
            self._count_outside(rows)
            return reading

    def _unreadable(self, error: BrokerError) -> None:
        if isinstance(error, SessionExpired):
            self._health.declare(
                NO_SESSION, f"The broker's session is over ({error}): log in again; nothing is sent.", EventKind.SESSION
            )
        else:
            self._health.declare(
                BOOK,
                f"The broker's order book cannot be read ({error}); orders stand as last known.",
                EventKind.SESSION,
                Severity.ATTENTION,
            )

    def _take_adopted(self) -> list[OrderRecord]:
        adopted, self._adopted = self._adopted, []
        return adopted

    def _count_outside(self, rows: Iterable[BrokerOrder]) -> None:
        """The broker's limits count what every program of the account has placed, refused orders too."""
        now = self._clock.market_now()
        today = recent = 0
        for row in rows:
            standing = self._standings.by_broker_id(row.broker_order_id)
            is_ours = standing is not None and standing.record.intent_id is not None
            if is_ours or row.placed_at is None or exchange_day(row.placed_at) != exchange_day(now):
                continue
            today += 1
            recent += now - row.placed_at < MINUTE
        self._on_outside(today, recent)

    def _judge(self, rows: dict[BrokerOrderId, BrokerOrder]) -> bool:
        today = exchange_day(self._clock.market_now())
        if today != self._seen_day:
            self._seen_day = today
            self._seen_today.clear()
        lacking = len(self._seen_today - rows.keys())
        self._seen_today.update(
            row.broker_order_id
            for row in rows.values()
            if row.placed_at is not None and exchange_day(row.placed_at) == today
        )
        if lacking:
            self._health.declare(
                SHRUNK,
                f"The broker's book lacks {lacking} of today's orders it had before; nothing is presumed from it.",
                EventKind.ORDER,
                Severity.ATTENTION,
            )
            return False
        self._health.clear(SHRUNK, "The broker's book is whole again.", EventKind.ORDER)
        return True

    async def _follow(self, row: BrokerOrder, reading: BookReading) -> None:
        standing = self._standings.by_broker_id(row.broker_order_id)
        if standing is None and row.tag is not None:
            standing = self._standings.by_tag(row.tag)
            if standing is not None and row.part:
                # Only the whole itself answers for the order; a part may be listed before it.
                if standing.record.broker_order_id is not None:
                    await self._meet_part(standing, row)
                return
            if standing is not None and standing.record.broker_order_id is not None:
                await self._meet_twin(standing, row)
                return
        if standing is None:
            await self._adopt(row, OUTSIDE)
            return
        standing.missing_reads = 0
        state = standing.record.state
        if standing.merged_row == row and (state.is_terminal or state is SAYS[row.trigger]):
            return
        async with standing.lock:
            await self._merge(standing, row, reading)
            standing.merged_row = row

    async def _merge(self, standing: Standing, row: BrokerOrder, reading: BookReading) -> None:
        before = standing.record
        if before.broker_order_id is None and before.state not in SEARCHED:
            await self._meet_ghost(standing, row)
            return
        if before.broker_order_id not in {None, row.broker_order_id}:
            await self._meet_twin(standing, row)  # the answer came while this waited for its turn
            return
        await self._judge_command(standing, row, reading)
        settled = standing.record
        merged = merge_row(settled, row, self._clock.market_now())
        facts = EventFacts(filled=merged.steps[-1].record.filled_quantity) if merged.grew_by else NO_FACTS
        if merged.grew_by:
            # Before the record tells of them: what is judged meanwhile counts them as not booked yet, not as gone.
            self._on_growth(row.broker_order_id)
        await self._standings.settle_steps(standing, merged.steps, facts)
        if merged.illegal is not None:
            detail = f"the book says {row.status}"
            if await self._standings.record_said(standing, merged.illegal, detail):
                self._notices.tell(
                    before,
                    Severity.ATTENTION,
                    f"o{before.number} is {before.state} and the broker's book says {row.status}; it is left as it is.",
                )
        if merged.found:
            standing.lookup = None
            self._notices.found(before, row)
            self._on_known(standing)
        rested = before.state in {OrderState.OPEN, OrderState.TRIGGER_PENDING}
        if merged.changed and rested and before.request.order_type not in PROTECTED:
            text = f"o{before.number} was changed at the broker: {merged.changed}."
            self._notices.tell(before, Severity.ATTENTION, text)
        self._notices.progress(before, standing.record, merged.grew_by)
        if standing.record.state.is_terminal:
            standing.command = None

    async def _judge_command(self, standing: Standing, row: BrokerOrder, reading: BookReading) -> None:
        """Whether the book shows that a modification or cancellation took effect, or has had none for long enough."""
        command, record = standing.command, standing.record
        if command is None or record.state not in IN_FLIGHT or row.trigger not in RESTING:
            return
        if command.lookup is None or not command.lookup.may_judge(reading.started_at):
            return
        is_modify = command.errand is Errand.MODIFY
        trigger = OrderTrigger.MODIFY_SETTLED if is_modify else OrderTrigger.CANCEL_SETTLED
        if is_modify and _change_is_shown(command, record, row):
            standing.command = None
            counted = record.modifications + (0 if command.answered else 1)
            await self._standings.settle(standing, trigger, "the book shows the change", modifications=counted)
        elif reading.is_good and command.lookup.missed(reading.started_at):
            standing.command = None
            what = "cancellation" if command.change is None and not is_modify else "change"
            if command.change is not None:
                what += f" ({describe_change(command.change)})"
            words = f"The {what} did not take effect; the order rests as it was."
            await self._standings.settle(standing, trigger, words, message=words)
            self._notices.tell(record, Severity.ATTENTION, f"o{record.number}: {words}")

    async def _judge_absence(self, reading: BookReading) -> None:
        """Orders the book does not show: presumed absent after the window, lapsed over night, or a mismatch."""
        today = exchange_day(self._clock.market_now())
        for standing in self._standings.active():
            record, lookup = standing.record, standing.lookup
            if record.broker_order_id is None:
                if record.state is OrderState.UNKNOWN and lookup is not None and lookup.missed(reading.started_at):
                    await self._presume_absent(standing)
            elif record.broker_order_id not in reading.rows:
                standing.missing_reads += 1
                if standing.missing_reads < self._settings.missing_reads_max:
                    continue
                if exchange_day(record.created_at) < today:
                    async with standing.lock:
                        words = "A day order of an earlier day; the broker's book no longer lists it."
                        await self._standings.settle(standing, OrderTrigger.BOOK_CANCELLED, words, message=words)
                        standing.command = None
                    self._notices.tell(record, Severity.ATTENTION, f"o{record.number} has lapsed: {words}")
                else:
                    here = f"o{record.number} ({record.broker_order_id}) is {record.state} here"
                    self.missing[record.number] = f"{here} and not in the broker's book"
        for number in [number for number in self.missing if not self._is_missing(number)]:
            del self.missing[number]

    def _is_missing(self, number: int) -> bool:
        return any(
            standing.record.number == number and standing.missing_reads >= self._settings.missing_reads_max
            for standing in self._standings.active()
        )

    async def _presume_absent(self, standing: Standing) -> None:
        async with standing.lock:
            if standing.record.state is not OrderState.UNKNOWN:
                return
            window = f"{self._settings.unknown_window_s:g} s"
            words = f"Not in the broker's book for {window} and presumed absent. It is never sent again by itself."
            await self._standings.settle(
                standing,
                OrderTrigger.PRESUME_ABSENT,
                words,
                facts=EventFacts(cause=UnsentCause.ABSENT),
                message=words,
                letter=LetterState.OPEN,
            )
            standing.lookup = None
        number = standing.record.number
        self._notices.tell(
            standing.record, Severity.DANGER, f"o{number} is PRESUMED ABSENT: look at the broker's own page. {words}"
        )

    async def _meet_ghost(self, standing: Standing, row: BrokerOrder) -> None:
        """The book shows a tag of ours under which nothing should be there."""
        record = standing.record
        if record.state is OrderState.QUEUED:
            raise InvariantBroken(f"o{record.number} has not been sent and the broker's book has its tag: {row}")
        if SAYS[row.trigger].is_terminal and not row.filled_quantity:
            # The broker also lists what it refused at the door.
            await self._standings.amend(standing, broker_order_id=row.broker_order_id)
            return
        self._notices.tell(
            record,
            Severity.DANGER,
            f"o{record.number} is {record.state} here, yet the broker's book has it as {row.broker_order_id}, "
            f"{row.status}. It is adopted as an order of its own.",
        )
        await self._adopt(row, f"carries the tag of o{record.number}, which is {record.state}")

    async def _meet_twin(self, standing: Standing, row: BrokerOrder) -> None:
        number = standing.record.number
        if row.broker_order_id not in self.twins:
            self.twins[row.broker_order_id] = (
                f"{row.broker_order_id} and {standing.record.broker_order_id} carry the tag of o{number}"
            )
            self._notices.tell(
                standing.record,
                Severity.DANGER,
                f"Two orders at the broker carry the tag of o{number}: {self.twins[row.broker_order_id]}. "
                "The second is adopted; look at both.",
            )
        await self._adopt(row, f"a second order with the tag of o{number}")

    async def _meet_part(self, standing: Standing, row: BrokerOrder) -> None:
        """The broker has made a further order of one of ours: its fills are that order's strategy's."""
        whole = standing.record
        await self._adopt(row, f"{row.part} of o{whole.number}, made by the broker", whole=whole)

    async def _adopt(self, row: BrokerOrder, why: str, *, whole: OrderRecord | None = None) -> None:
        if row.broker_order_id in self._not_adoptable:
            return
        now = self._clock.market_now()
        record = outside_record(row, self._account, now, None if whole is None else whole.request.strategy)
        try:
            standing = await self._adopt_or_load(row, record, why, now)
        except (StorageError, InvalidInput) as error:
            self._health.declare(
                ADOPTING,
                f"An order placed elsewhere cannot be written down ({error}); it is tried again.",
                EventKind.STORAGE,
            )
            return
        self._health.clear(ADOPTING, "Orders placed elsewhere are written down again.", EventKind.STORAGE)
        if standing is None:
            self._not_adoptable.add(row.broker_order_id)
            self._notices.older_day(row.broker_order_id)
            return
        if whole is None:
            self._adopted.append(standing.record)
        else:
            self._notices.tell(standing.record, Severity.INFO, f"o{standing.record.number} is {why}.")
        if row.filled_quantity:
            self._on_growth(row.broker_order_id)

    async def _adopt_or_load(self, row: BrokerOrder, record: OrderRecord, why: str, now: datetime) -> Standing | None:
        try:
            return await self._standings.adopt(record, adoption_event(record, row, now, why))
        except StorageConflict:
            # An adoption that was reported as failed may have been made.
            since = now - timedelta(seconds=self._settings.history_s)
            return await self._standings.load_adopted(self._account, row.broker_order_id, since)


def _change_is_shown(command: CommandInFlight, record: OrderRecord, row: BrokerOrder) -> bool:
    if command.change is not None:
        return shows_change(row, command.change)
    # An engine that is gone asked for it: any difference from the last confirmed fields is its effect.
    return request_of_row(record.request, row) != record.request
