"""Dead letters: every way an order can die, how it is explained, and that a person closes or replays it once."""

from __future__ import annotations

import pytest

from engine.core.commands import CloseDeadLetter, PlaceOrder, Receipt, ReplayDeadLetter
from engine.core.decisions import LetterState, UnsentCause
from engine.core.errors import StorageError
from engine.core.execution import DeadLetter
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState, OrderTrigger
from engine.core.vocabulary import Mode, Severity
from engine.execution.letters import open_dead_letters
from engine.execution.settings import BudgetLimits, ExecutionSettings
from tests.kit.fake_broker import Call, Fault
from tests.unit.execution.desk import ACCOUNT, Desk, buy, settle

QUICK = ExecutionSettings(unknown_window_s=6.0, rate_limited_attempts=2, queue_expiry_s=5.0)


async def letters(desk: Desk) -> tuple[DeadLetter, ...]:
    """The open ones."""
    return await open_dead_letters(desk.journal, ACCOUNT, 50)


async def replay(desk: Desk, *numbers: int, seat: str = "tty1") -> Receipt:
    """Send again."""
    receipt = await desk.executor.replay(ReplayDeadLetter(numbers=tuple(map(OrderNumber, numbers))), seat=seat)
    await settle()
    return receipt


async def close(desk: Desk, *numbers: int, reason: str = "") -> Receipt:
    """Want no more."""
    return await desk.executor.close_letters(
        CloseDeadLetter(numbers=tuple(map(OrderNumber, numbers)), reason=reason), seat="tty1"
    )


@pytest.mark.parametrize(
    ("faults", "cause", "said"),
    [
        ([Fault.UNAVAILABLE], UnsentCause.UNREACHED, "no connection could be made"),
        ([Fault.NO_SESSION], UnsentCause.SESSION, "Incorrect `api_key`"),
        ([Fault.TOO_FAST] * 2, UnsentCause.TOO_FAST, "refused it for speed 2 times"),
        ([Fault.LOSE_REQUEST], UnsentCause.ABSENT, "presumed absent"),
    ],
)
async def test_every_way_to_die_is_listed_and_explained(faults: list[Fault], cause: UnsentCause, said: str) -> None:
    """Cause, words, what was tried and when, and what to look at."""
    async with Desk(QUICK) as desk:
        desk.broker.arm(Call.PLACE, *faults)
        await desk.place()
        await desk.clock.advance(12)
        (letter,) = await letters(desk)
        assert (letter.number, letter.cause, letter.state) == (1, cause, LetterState.OPEN)
        assert said in letter.why
        assert letter.advice
        assert letter.attempts[0].words == "it was about to be sent"
        assert letter.attempts == tuple(sorted(letter.attempts, key=lambda attempt: attempt.at))
        assert letter.died_at == desk.order(1).updated_at
        assert desk.journalled(1).letter is LetterState.OPEN
        if cause is UnsentCause.TOO_FAST:
            assert letter.attempts[1].words == "try 1 came back, nothing was done: Too many requests"


async def test_an_order_that_waited_too_long_is_a_dead_letter() -> None:
    """The caller was told that it is under way."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0), queue_expiry_s=5.0)
    async with Desk(settings) as desk:
        await desk.place()
        await desk.place()
        await desk.clock.advance(7)
        (letter,) = await letters(desk)
        assert (letter.number, letter.cause) == (2, UnsentCause.EXPIRED)
        assert [attempt.words for attempt in letter.attempts] == [
            "it waited more than 5 s to be sent, its price is too old"
        ]


async def test_an_order_that_a_killed_engine_had_not_sent_is_a_dead_letter() -> None:
    """Nobody else would ever tell."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0), queue_expiry_s=60.0)
    async with Desk(settings) as desk:
        await desk.place()
        await desk.place()
        await desk.restart()
        (letter,) = await letters(desk)
        assert (letter.number, letter.cause) == (2, UnsentCause.STOPPED)
        assert desk.executor.health().dead_letters == 1


async def test_what_was_answered_or_taken_back_is_no_dead_letter() -> None:
    """Filled, refused by the broker, withdrawn by a person, refused by a check: nobody waits for those."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=2, reserve_per_minute=0), queue_expiry_s=60.0)
    async with Desk(settings) as desk:
        await desk.resting()
        desk.broker.arm(Call.PLACE, Fault.REFUSE)
        await desk.place()
        await desk.clock.advance(2)
        waiting = await desk.place()
        await desk.cancel(waiting.orders[0].number)
        assert not (await desk.place(buy(66))).accepted
        assert desk.state(3) is OrderState.NOT_SENT
        assert await letters(desk) == ()
        for number in (1, 2, 3):
            assert not (await close(desk, number)).accepted
            refused = await replay(desk, number)
            assert not refused.accepted
            assert f"o{number} is {desk.state(number)} and no dead letter" in refused.message


async def test_a_replay_is_a_new_order_and_two_replays_are_one() -> None:
    """New number, new tag, a key of the letter's own; the letter says what became of it."""
    async with Desk(QUICK) as desk:
        desk.broker.arm(Call.PLACE, Fault.UNAVAILABLE)
        await desk.place()
        first = await replay(desk, 1)
        again = await replay(desk, 1)
        await desk.clock.advance(2)
        assert first.accepted
        assert (first.repeated, again.repeated) == (False, True)
        assert first.orders[0].number == again.orders[0].number == 2
        assert desk.order(2).tag != desk.order(1).tag
        assert desk.state(2) is OrderState.OPEN
        assert desk.order(1).letter is LetterState.REPLAYED
        assert await letters(desk) == ()
        assert sum(desk.broker.accepted.values()) == 1
        intent = await desk.journal.intent(OrderNumber(2))
        assert intent is not None
        assert intent.decision is not None
        assert intent.decision.replays == 1
        assert "a replay of o1" in intent.decision.words
        (line,) = [event for event in desk.history(1) if event.trigger is OrderTrigger.LETTER_REPLAYED]
        assert (line.facts.seat, line.facts.replayed_as) == ("tty1", 2)


async def test_a_replay_interrupted_by_a_kill_makes_no_second_order() -> None:
    """The new order is journalled, the letter is not marked yet: asking again finds the order."""
    async with Desk(QUICK) as desk:
        desk.broker.arm(Call.PLACE, Fault.UNAVAILABLE)
        await desk.place()
        key = f"replay-{desk.order(1).intent_id}"
        await desk.executor.place(PlaceOrder(request=buy(), idempotency_key=key))
        await desk.restart()
        again = await replay(desk, 1)
        assert again.repeated
        assert desk.order(1).letter is LetterState.REPLAYED
        assert len(desk.executor.orders()) == 2


async def test_a_replay_that_dies_is_a_letter_of_its_own() -> None:
    """And is replayed under its own key."""
    async with Desk(QUICK) as desk:
        desk.broker.arm(Call.PLACE, *[Fault.UNAVAILABLE] * 2)
        await desk.place()
        await replay(desk, 1)
        await desk.clock.advance(1)
        (letter,) = await letters(desk)
        assert letter.number == 2
        receipt = await replay(desk, 2)
        assert receipt.orders[0].number == 3


async def test_a_replay_passes_all_checks_of_the_moment() -> None:
    """In READ nothing that adds risk is sent, and the letter stays open."""
    async with Desk(QUICK) as desk:
        desk.broker.arm(Call.PLACE, Fault.UNAVAILABLE)
        await desk.place()
        desk.facts.current_mode = Mode.READ
        refused = await replay(desk, 1)
        assert not refused.accepted
        assert [violation.check for violation in refused.violations] == ["mode"]
        assert desk.order(1).letter is LetterState.OPEN


async def test_a_closed_letter_stays_closed() -> None:
    """Its reason is kept; it is neither listed, nor closed again, nor replayed, after a restart neither."""
    async with Desk(QUICK) as desk:
        desk.broker.arm(Call.PLACE, Fault.UNAVAILABLE)
        await desk.place()
        assert (await close(desk, 1, reason="too late")).accepted
        await desk.restart()
        assert await letters(desk) == ()
        for receipt in (await close(desk, 1), await replay(desk, 1)):
            assert not receipt.accepted
            assert "o1 was closed already" in receipt.message
        assert desk.history(1)[-1].detail == "too late"
        assert desk.journalled(1).letter is LetterState.CLOSED


async def test_several_at_once_are_each_their_own() -> None:
    """One that is no letter is named, the other is sent; an unknown number stops everything."""
    async with Desk(QUICK) as desk:
        desk.broker.arm(Call.PLACE, Fault.UNAVAILABLE)
        await desk.place()
        await desk.clock.advance(3)
        await desk.resting()
        mixed = await replay(desk, 1, 2)
        assert not mixed.accepted
        assert [order.number for order in mixed.orders] == [3]
        assert "o2 is OPEN and no dead letter" in mixed.message
        unknown = await close(desk, 1, 77)
        assert "There is no o77; nothing was done" in unknown.message
        assert "no order named" in (await replay(desk)).message


async def test_a_late_appearance_resolves_the_letter_and_alarms_after_a_replay() -> None:
    """Presumed absent, replayed by a person, then it turns up: adopted, and both are named."""
    async with Desk(QUICK) as desk:
        desk.broker.arm(Call.PLACE, Fault.HOLD, Fault.HOLD)
        await desk.place()
        await desk.place(buy(price="104"))
        await desk.clock.advance(12)
        assert {letter.number for letter in await letters(desk)} == {1, 2}
        assert (await replay(desk, 1)).accepted
        desk.broker.release_held()
        await desk.clock.advance(6)
        assert [desk.state(number) for number in (1, 2, 3)] == [OrderState.OPEN] * 3
        assert (desk.order(1).letter, desk.order(2).letter) == (LetterState.REPLAYED, LetterState.NONE)
        assert desk.ear.heard("o1 had been given up", Severity.DANGER)[0].text.endswith(
            "A person had sent it again meanwhile: look at both."
        )
        assert "sent it again" not in desk.ear.heard("o2 had been given up", Severity.DANGER)[0].text
        assert await letters(desk) == ()


async def test_old_letters_are_still_there_after_days() -> None:
    """They are loaded whatever their age."""
    async with Desk(QUICK) as desk:
        desk.broker.arm(Call.PLACE, Fault.UNAVAILABLE)
        await desk.place()
        await desk.crash()
        desk.clock.elapsed += 4 * 86_400
        await desk.open()
        (letter,) = await letters(desk)
        assert letter.number == 1
        assert (await close(desk, 1)).accepted


async def test_a_journal_that_is_gone_cannot_list() -> None:
    """The caller gets the storage error, not an empty list."""
    async with Desk(QUICK) as desk:
        desk.journal.fail()
        with pytest.raises(StorageError):
            await letters(desk)
