"""The life of orders against a second, independent writing of the table of states, over any history of troubles.

The model here knows the table from the specification's words alone (a grid of letters below), follows every line of
history that the executor writes and every record it shows, and holds them against what the broker really has: nothing
is accepted twice, nothing illegal is applied, no line is missing, fills are never more than the broker's, and what may
still trade is never counted for less than the broker has resting.
"""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from engine.core.commands import CloseDeadLetter, ReplayDeadLetter
from engine.core.decisions import LetterState
from engine.core.identifiers import OrderNumber
from engine.core.orders import TRANSITIONS, OrderEvent
from engine.core.vocabulary import OrderType
from tests.kit.fake_broker import FINAL, Call, Fault, option
from tests.properties.execution.test_executor_model import NEVER_AT_BROKER, PICK, PRICES, ExecutorMachine
from tests.unit.execution.desk import buy, sell

LETTERS = {
    "Q": "QUEUED", "S": "SENDING", "U": "UNKNOWN", "A": "ACCEPTED", "O": "OPEN", "T": "TRIGGER_PENDING",
    "M": "MODIFYING", "X": "CANCELLING", "C": "COMPLETE", "R": "REJECTED", "K": "CANCELLED", "N": "NOT_SENT",
    "P": "PRESUMED_ABSENT",
}  # fmt: skip
STATES = "QSUAOTMXCRKNP"
GRID = """
                  Q S U A O T M X C R K N P
SEND              S . . . . . . . . . . . .
DROP              N . . . . . . . . . . . .
UNSENT            . N . . . . . . . . . . .
ANSWERED          . A A . . . . . . . . . A
REFUSED           . R . . . . . . . . . . .
HELD_BACK         . S . . . . M X . . . . .
LOST              . U . . . . . . . . . . .
PRESUME_ABSENT    . . P . . . . . . . . . .
MODIFY_SENT       . . . M M M . . . . . . .
MODIFY_SETTLED    . . . . . . A . . . . . .
CANCEL_SENT       . . . X X X X . . . . . .
CANCEL_SETTLED    . . . . . . . A . . . . .
LETTER_CLOSED     . . . . . . . . . . . N P
LETTER_REPLAYED   . . . . . . . . . . . N P
BOOK_INTERIM      . A A A O T M X . . . . A
BOOK_OPEN         . O O O O O M X . . . . O
BOOK_TRIGGER_PENDING . T T T T T M X . . . . T
BOOK_COMPLETE     . C C C C C C C . . C . C
BOOK_REJECTED     . R R R R R R R . . . . R
BOOK_CANCELLED    . K K K K K K K . . . . K
"""
ENDED = frozenset("CRKNP")
WORKING = frozenset(LETTERS[letter] for letter in STATES if letter not in ENDED)
AFTER_ITS_END = {("CANCELLED", "COMPLETE"), ("PRESUMED_ABSENT", "PRESUMED_ABSENT"), ("NOT_SENT", "NOT_SENT")}
"""Beside an order that was presumed absent and turns up."""
RESTING = frozenset({"ACCEPTED", "OPEN", "TRIGGER_PENDING"})
TROUBLE = st.sampled_from([None, None, *Fault])
ORDER_CALLS = st.sampled_from([Call.PLACE, Call.MODIFY, Call.CANCEL])
MOMENTS = st.sampled_from([0.05, 0.4, 1.0, 2.5])
TAKEN_BACK = "not done, the journal failed"


def reference() -> dict[tuple[str, str], str]:
    """The grid as (state, trigger) → state."""
    _, *lines = GRID.strip().splitlines()
    table = {}
    for line in lines:
        trigger, *targets = line.split()
        for letter, target in zip(STATES, targets, strict=True):
            if target != ".":
                table[LETTERS[letter], trigger] = LETTERS[target]
    return table


TABLE = reference()


class Life:
    """What the model has seen of one order."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.lines: set[tuple[object, ...]] = set()


class OrderStateMachine(ExecutorMachine):
    """The same desk and the same troubles as in the executor's model, and more of both."""

    def __init__(self) -> None:
        super().__init__()
        self.lives: dict[OrderNumber, Life] = {}
        self.lines_read = 0
        self.changes_heard = 0
        self.saw_old_books = False
        self.late: set[str] = set()
        """Broker ids of orders that were accepted after they had been presumed absent."""

    # ---- more of what people do

    @rule(pick=PICK, lots=st.integers(1, 5))
    def change_quantity(self, pick: int, lots: int) -> None:
        """Make an order larger or smaller."""
        records = self.desk.executor.orders()
        if records:
            self.do(self.desk.modify(OrderNumber(records[pick % len(records)].number), quantity=65 * lots))

    @rule(price=PRICES, lots=st.integers(1, 3), held=st.integers(-4, 4))
    def exit_or_stop(self, price: str, lots: int, held: int) -> None:
        """With another position: an order that may be an exit, and a stop."""
        self.desk.facts.held = {option().key: 65 * held}
        self.do(self.desk.place(sell(65 * lots, price) if held > 0 else buy(65 * lots, price)))
        trigger = sell(65, "104", order_type=OrderType.SL, trigger_price=buy(price="104.5").price)
        self.do(self.desk.place(trigger))

    @rule(pick=PICK, replays=st.booleans())
    def answer_letters(self, pick: int, replays: bool) -> None:
        """Send an order that was given up again, or want nothing more of it."""
        open_letters = [row.number for row in self.desk.executor.orders() if row.letter is LetterState.OPEN]
        if open_letters:
            number = open_letters[pick % len(open_letters)]
            executor = self.desk.executor
            if replays:
                self.do(executor.replay(ReplayDeadLetter(numbers=(number,))))
            else:
                self.do(executor.close_letters(CloseDeadLetter(numbers=(number,), reason="not wanted")))

    # ---- more of what goes wrong

    @rule(fault=TROUBLE, price=PRICES, is_buy=st.booleans(), lots=st.integers(1, 3), seconds=MOMENTS)
    def place_in_trouble(self, fault: Fault | None, price: str, is_buy: bool, lots: int, seconds: float) -> None:
        """An order whose request meets a fault, and some time for it to be sent and looked up."""
        if fault is not None:
            self.desk.broker.arm(Call.PLACE, fault)
        self.do(self.desk.place(buy(65 * lots, price) if is_buy else sell(65 * lots, price)))
        self.do(self.desk.clock.advance(seconds))

    @rule(fault=TROUBLE, pick=PICK, lots=st.integers(0, 4), price=PRICES, seconds=MOMENTS)
    def command_in_trouble(self, fault: Fault | None, pick: int, lots: int, price: str, seconds: float) -> None:
        """A resting order is changed (in quantity, or in price) or cancelled, and the request meets a fault."""
        resting = [row.number for row in self.desk.executor.orders() if row.state in RESTING]
        if not resting:
            return
        number = OrderNumber(resting[pick % len(resting)])
        if fault is not None:
            self.desk.broker.arm(Call.CANCEL if lots == 0 else Call.MODIFY, fault)
        if lots == 0:
            self.do(self.desk.cancel(number))
        elif pick % 2:
            self.do(self.desk.modify(number, quantity=65 * lots))
        else:
            self.do(self.desk.modify(number, price=price))
        self.do(self.desk.clock.advance(seconds))

    @rule(pick=PICK, ends=st.booleans(), dies=st.booleans())
    def journal_goes_over_an_order(self, pick: int, ends: bool, dies: bool) -> None:
        """The database goes while an answer is awaited; the order lives on at the broker, and the engine may die."""
        broker, clock = self.desk.broker, self.desk.clock
        broker.close_gate(Call.PLACE, "after")
        self.place_in_trouble(None, "105", True, 2, 0.4)
        self.desk.journal.fail()
        broker.open_gate(Call.PLACE, "after")
        self.do(clock.advance(1.5))
        self.fill(pick, 1)
        self.do(clock.advance(1.5))
        if ends:
            self.end_at_broker(pick, "CANCELLED")
            self.do(clock.advance(1.5))
        self.desk.journal.heal()
        if dies:
            self.crash_and_restart()
        self.do(clock.advance(1.0))

    @rule(call=ORDER_CALLS, point=st.sampled_from(["before", "after"]), pick=PICK, arrives=st.booleans())
    def die_over_a_request(self, call: Call, point: str, pick: int, arrives: bool) -> None:
        """The engine is killed while a request stands before or behind the broker's decision."""
        self.desk.broker.close_gate(call, point)
        if call is Call.PLACE:
            self.place_in_trouble(None, "105", True, 1, 0.4)
        else:
            self.command_in_trouble(None, pick, 0 if call is Call.CANCEL else 2, "105.05", 0.4)
        self.crash_and_restart()
        if arrives:
            self.desk.broker.open_gate(call, point)

    @rule(
        call=ORDER_CALLS,
        fault=st.sampled_from([Fault.UNAVAILABLE, Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.TOO_FAST]),
        times=st.integers(2, 6),
    )
    def fail_in_a_row(self, call: Call, fault: Fault, times: int) -> None:
        """Enough to open a breaker, to use up the attempts of one order, or to lose several answers."""
        self.desk.broker.arm(call, *[fault] * times)

    @rule(times=st.integers(1, 3), backwards=st.booleans())
    def repeat_and_reorder_the_book(self, times: int, backwards: bool) -> None:
        """The next reads show the present rows, the same several times, perhaps in another order."""
        rows = self.desk.broker.book()
        self.saw_old_books = True
        for _ in range(times):
            self.desk.broker.books.append(rows[::-1] if backwards else rows)

    @rule()
    def show_an_old_book(self) -> None:
        """The next read shows the present book, whenever it comes."""
        self.saw_old_books = True
        super().show_an_old_book()

    @rule()
    def release_held(self) -> None:
        """What was held past its window is accepted now; the model notes what nobody looked for any more."""
        given_up = {record.tag for record in self.desk.executor.orders() if record.state not in WORKING}
        for order_id in self.desk.broker.release_held():
            if self.desk.broker.orders_by_id[order_id].tag in given_up:
                self.late.add(order_id)

    # ---- what always holds

    @invariant()
    def history_is_legal_and_whole(self) -> None:
        """Each new line of the journal continues its order's last one as the grid says; sequences have no gap."""
        if not hasattr(self, "desk"):
            return
        lines = self.desk.store.events
        for place in range(self.lines_read, len(lines)):
            line = lines[place]
            assert line.sequence == (lines[place - 1].sequence + 1 if place else line.sequence)
            self.follow(line)
        self.lines_read = len(lines)
        for number, record in self.desk.store.orders.items():
            life = self.lives.get(number)
            assert record.state == ("QUEUED" if life is None else life.state), record

    def follow(self, line: OrderEvent) -> None:
        """Take one line of history."""
        life = self.lives.get(line.number)
        if life is None:
            adopted = self.desk.store.orders[line.number].intent_id is None
            life = self.lives[line.number] = Life(line.from_state if adopted else "QUEUED")
            if adopted:
                life.state = line.to_state
                return
        words = (line.trigger, line.from_state, line.to_state, line.applied, line.at, line.detail)
        if words in life.lines and line.from_state != life.state:
            return  # the same line once more: its first write was made and reported as failed
        life.lines.add(words)
        if not line.applied and line.detail.startswith(TAKEN_BACK):
            # The write before this one was reported as failed and had been made: this line takes it back.
            life.state = line.from_state
        assert line.from_state == life.state, line
        if not line.applied:
            assert line.to_state == life.state, line
            return
        assert TABLE[life.state, line.trigger] == line.to_state, line
        if life.state not in WORKING and life.state != "PRESUMED_ABSENT":
            assert (life.state, line.to_state) in AFTER_ITS_END, line
        life.state = line.to_state

    @invariant()
    def listeners_hear_every_step(self) -> None:
        """What the executor tells is one chain for each order, and its end is what it shows."""
        if not hasattr(self, "desk"):
            return
        told = self.desk.ear.changes
        for record, lines in told[self.changes_heard :]:
            applied = [line for line in lines if line.applied]
            for earlier, later in itertools.pairwise(applied):
                assert earlier.to_state == later.from_state
            if applied:
                assert applied[-1].to_state == record.state
        self.changes_heard = len(told)

    @invariant()
    def fills_are_the_brokers(self) -> None:
        """Never more than the broker has filled, never fewer than before."""
        if not hasattr(self, "desk"):
            return
        for record in self.desk.executor.orders():
            if record.broker_order_id is None:
                assert record.filled_quantity == 0
                continue
            assert record.filled_quantity <= self.desk.broker.orders_by_id[record.broker_order_id].filled

    @invariant()
    def what_may_trade_is_counted(self) -> None:
        """Whatever rests at the broker under a tag of ours counts here, for at least as much as was last agreed."""
        if not hasattr(self, "desk"):
            return
        ours = {record.tag: record for record in self.desk.executor.orders() if record.intent_id is not None}
        for order in self.desk.broker.orders_by_id.values():
            record = ours.get(order.tag)
            if record is None or order.status in FINAL or order.order_id in self.late:
                continue
            assert record.state in WORKING, (record, order.status)
            assert record.remaining_quantity >= min(order.quantity, record.request.quantity) - order.filled, record
            # More rests there than is known here only while a change may be on its way, or an old book was shown.
            grown = order.quantity > record.request.quantity
            assert not grown or self.saw_old_books or record.state in {"MODIFYING", "CANCELLING"}, record

    async def settle_and_compare(self) -> None:
        """After all faults everything agrees, and whatever did not come to the broker says why."""
        self.desk.broker.heal()
        await super().settle_and_compare()
        records = self.desk.executor.orders()
        for record in records:
            assert record.state not in {"QUEUED", "SENDING", "UNKNOWN", "MODIFYING", "CANCELLING"}, record
            if record.broker_order_id is None:
                assert record.state in NEVER_AT_BROKER, record
                assert record.message, record
        filled: Counter[str] = Counter()
        for trade in self.desk.broker.fills:
            filled[trade.broker_order_id] += trade.quantity
        assert {row.broker_order_id: row.filled_quantity for row in records if row.filled_quantity} == filled


OrderStateMachine.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOrderStates = OrderStateMachine.TestCase


def test_the_grid_is_the_executors_table() -> None:
    """Two writings of the table say the same of every pair; what neither lists is illegal in both."""
    assert {(state.value, trigger.value): after.value for (state, trigger), after in TRANSITIONS.items()} == TABLE
