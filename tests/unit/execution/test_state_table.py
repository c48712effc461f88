"""The state table, walked pair by pair against a second writing of it."""

from __future__ import annotations

import itertools

import pytest

from engine.core.orders import TERMINAL, TRANSITIONS, OrderRecord, OrderState, OrderTrigger, next_state
from engine.execution.transitions import SAYS, step
from tests.unit.execution.desk import OPENING
from tests.unit.execution.rows import record

S, T = OrderState, OrderTrigger
ENDS = {T.BOOK_COMPLETE: S.COMPLETE, T.BOOK_REJECTED: S.REJECTED, T.BOOK_CANCELLED: S.CANCELLED}
RESTS = {T.BOOK_OPEN: S.OPEN, T.BOOK_TRIGGER_PENDING: S.TRIGGER_PENDING}
COMMANDS = {T.MODIFY_SENT: S.MODIFYING, T.CANCEL_SENT: S.CANCELLING}
FOUND = {**RESTS, **ENDS, T.BOOK_INTERIM: S.ACCEPTED, T.ANSWERED: S.ACCEPTED}
LETTERS = (T.LETTER_CLOSED, T.LETTER_REPLAYED)
EXPECTED: dict[OrderState, dict[OrderTrigger, OrderState]] = {
    S.QUEUED: {T.SEND: S.SENDING, T.DROP: S.NOT_SENT},
    S.SENDING: {**FOUND, T.UNSENT: S.NOT_SENT, T.REFUSED: S.REJECTED, T.LOST: S.UNKNOWN, T.HELD_BACK: S.SENDING},
    S.UNKNOWN: {**FOUND, T.PRESUME_ABSENT: S.PRESUMED_ABSENT},
    S.PRESUMED_ABSENT: {**FOUND, **dict.fromkeys(LETTERS, S.PRESUMED_ABSENT)},
    S.ACCEPTED: {**RESTS, **ENDS, **COMMANDS, T.BOOK_INTERIM: S.ACCEPTED},
    S.OPEN: {**RESTS, **ENDS, **COMMANDS, T.BOOK_INTERIM: S.OPEN},
    S.TRIGGER_PENDING: {**RESTS, **ENDS, **COMMANDS, T.BOOK_INTERIM: S.TRIGGER_PENDING},
    S.MODIFYING: {
        **ENDS,
        **dict.fromkeys((*RESTS, T.BOOK_INTERIM), S.MODIFYING),
        T.MODIFY_SETTLED: S.ACCEPTED,
        T.CANCEL_SENT: S.CANCELLING,
        T.HELD_BACK: S.MODIFYING,
    },
    S.CANCELLING: {
        **ENDS,
        **dict.fromkeys((*RESTS, T.BOOK_INTERIM), S.CANCELLING),
        T.CANCEL_SETTLED: S.ACCEPTED,
        T.HELD_BACK: S.CANCELLING,
    },
    S.CANCELLED: {T.BOOK_COMPLETE: S.COMPLETE},
    S.COMPLETE: {},
    S.REJECTED: {},
    S.NOT_SENT: dict.fromkeys(LETTERS, S.NOT_SENT),
}


def standing(state: OrderState) -> OrderRecord:
    """A record in this state."""
    return record(state=state)


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(OrderState, OrderTrigger)))
def test_every_pair_is_listed_or_refused(state: OrderState, trigger: OrderTrigger) -> None:
    """Each of the 286 pairs leads where the second writing says, or is recorded and changes nothing."""
    before = standing(state)
    taken = step(before, trigger, OPENING, "why", message="new words")
    expected = EXPECTED[state].get(trigger)
    assert next_state(state, trigger) is expected
    assert taken.event.from_state is state
    assert taken.event.trigger is trigger
    assert taken.event.detail == "why"
    if expected is None:
        assert taken.record is before
        assert not taken.event.applied
        assert taken.event.to_state is state
    else:
        assert taken.event.applied
        assert taken.record.state is taken.event.to_state is expected
        assert taken.record.message == "new words"


def test_the_table_lists_nothing_else() -> None:
    """The table has exactly the pairs of the second writing."""
    assert {
        (state, trigger): target for state, row in EXPECTED.items() for trigger, target in row.items()
    } == TRANSITIONS


def test_nothing_leads_back_before_the_wire() -> None:
    """Nothing leads to QUEUED; to SENDING only sending does, and a request by which provably nothing was done."""
    assert S.QUEUED not in TRANSITIONS.values()
    leading = {pair for pair, target in TRANSITIONS.items() if target is S.SENDING}
    assert leading == {(S.QUEUED, T.SEND), (S.SENDING, T.HELD_BACK)}


def test_every_state_that_is_not_terminal_can_end() -> None:
    """From each working state a terminal one can be reached."""
    for state in OrderState:
        reached, frontier = {state}, {state}
        while frontier:
            frontier = {target for (source, _), target in TRANSITIONS.items() if source in frontier} - reached
            reached |= frontier
        assert reached & TERMINAL, state


def test_the_book_says_a_state_for_each_of_its_words() -> None:
    """Every trigger of the book stands for one state."""
    assert set(SAYS) == {trigger for trigger in OrderTrigger if trigger.startswith("BOOK_")}
