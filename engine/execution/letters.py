"""Dead letters: orders that somebody wanted and that will not come. A person closes them or sends them again.

The machine never does either. Sending again makes a new order, with a new tag and all checks of the moment; its
idempotency key comes from the letter, so that however often it is asked for there is one new order.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.commands import CloseDeadLetter, PlaceOrder, Receipt, ReplayDeadLetter, Violation
from engine.core.decisions import EventFacts, LetterState, Reason, UnsentCause
from engine.core.execution import Attempt, DeadLetter
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderEvent, OrderRecord, OrderTrigger
from engine.core.repositories import OrderJournal
from engine.execution.intake import OrderIntake, refused
from engine.execution.standings import Standing, Standings

REPLAY_KEY_PREFIX = "replay-"
"""Followed by the id of the intent that died: random, so that no key of a caller is ever the same."""
TRIED = frozenset(
    {
        OrderTrigger.SEND,
        OrderTrigger.HELD_BACK,
        OrderTrigger.LOST,
        OrderTrigger.UNSENT,
        OrderTrigger.DROP,
        OrderTrigger.PRESUME_ABSENT,
    }
)
ENDS = frozenset({OrderTrigger.UNSENT, OrderTrigger.DROP, OrderTrigger.PRESUME_ABSENT})
ADVICE = {
    UnsentCause.NONE: "",
    UnsentCause.EXPIRED: "No byte of it left. Its price was meant for another moment: look at the market first.",
    UnsentCause.TOO_FAST: "The broker did nothing. See what else uses the account's orders.",
    UnsentCause.UNREACHED: "No byte of it left. See whether the broker can be reached again.",
    UnsentCause.SESSION: "The broker did nothing. Log in first.",
    UnsentCause.STOPPED: "No byte of it left. Its price was meant for another moment: look at the market first.",
    UnsentCause.ABSENT: "It may still turn up. Look at the broker's own page: sending it again could double it.",
}


def dead_letter(record: OrderRecord, history: Sequence[OrderEvent]) -> DeadLetter:
    """Explain one from its history: a pure function."""
    end = next((event for event in reversed(history) if event.applied and event.trigger in ENDS), None)
    closing = next((event for event in reversed(history) if event.facts.replayed_as or event.facts.seat), None)
    cause = UnsentCause.NONE if end is None else end.facts.cause
    return DeadLetter(
        number=record.number,
        account=record.account,
        order=record,
        state=record.letter,
        cause=cause,
        why=record.message,
        advice=ADVICE[cause],
        died_at=record.updated_at if end is None else end.at,
        attempts=tuple(
            Attempt(at=event.at, words=_words(event)) for event in history if event.applied and event.trigger in TRIED
        ),
        closed_by="" if closing is None else closing.facts.seat,
        replayed_as=None if closing is None else closing.facts.replayed_as,
    )


async def open_dead_letters(journal: OrderJournal, account: AccountId, limit: int) -> tuple[DeadLetter, ...]:
    """The newest that nobody has closed or replayed, explained, newest first.

    Raises:
        StorageError: the journal cannot be read.
    """
    records = await journal.dead_letters(account, limit)
    return tuple([dead_letter(record, await journal.history(record.number)) for record in records])


class DeadLetterDesk:
    """Closes and replays.

    Args:
        intake: Takes the new orders.
        standings: How orders stand.
    """

    def __init__(self, *, intake: OrderIntake, standings: Standings) -> None:
        self._intake = intake
        self._standings = standings

    async def replay(self, command: ReplayDeadLetter, *, seat: str) -> Receipt:
        """Send each again as a new order; those that cannot be are named, the others are sent."""
        found = self._find(command.numbers)
        if isinstance(found, Receipt):
            return found
        return _joined([await self._replay_one(standing, seat) for standing in found])

    async def close(self, command: CloseDeadLetter, *, seat: str) -> Receipt:
        """Want nothing more of them."""
        found = self._find(command.numbers)
        if isinstance(found, Receipt):
            return found
        return _joined([await self._close_one(standing, command.reason, seat) for standing in found])

    async def _replay_one(self, standing: Standing, seat: str) -> Receipt:
        record = standing.record
        if record.letter not in {LetterState.OPEN, LetterState.REPLAYED} or record.intent_id is None:
            return refused("letter", _not_open(record))
        receipt = await self._intake.place(
            PlaceOrder(request=record.request, idempotency_key=f"{REPLAY_KEY_PREFIX}{record.intent_id}"),
            seat=seat,
            reason=Reason(words=f"a replay of o{record.number}, {record.message}"),
            replays=record.number,
        )
        if not receipt.accepted:
            return receipt
        async with standing.lock:
            # It may have turned up while its successor was being journalled; that alarm is the watcher's.
            if standing.record.letter is LetterState.OPEN:
                number = receipt.orders[0].number
                await self._standings.settle(
                    standing,
                    OrderTrigger.LETTER_REPLAYED,
                    f"sent again as o{number}",
                    facts=EventFacts(seat=seat, replayed_as=number),
                    letter=LetterState.REPLAYED,
                )
        return receipt

    async def _close_one(self, standing: Standing, reason: str, seat: str) -> Receipt:
        async with standing.lock:
            record = standing.record
            if record.letter is not LetterState.OPEN:
                return refused("letter", _not_open(record))
            await self._standings.settle(
                standing,
                OrderTrigger.LETTER_CLOSED,
                reason or "closed by a person",
                facts=EventFacts(seat=seat),
                letter=LetterState.CLOSED,
            )
        return Receipt(accepted=True, message=f"o{record.number} is closed.", orders=(standing.record,))

    def _find(self, numbers: Sequence[OrderNumber]) -> list[Standing] | Receipt:
        found = {number: self._standings.by_number(number) for number in numbers}
        missing = [f"o{number}" for number, standing in found.items() if standing is None]
        if missing or not found:
            return refused("letter", f"There is no {', '.join(missing) or 'order named'}; nothing was done.")
        return [standing for standing in found.values() if standing is not None]


def _not_open(record: OrderRecord) -> str:
    number = record.number
    if record.letter is LetterState.NONE:
        return f"o{number} is {record.state} and no dead letter."
    return f"o{number} was {record.letter} already; place a new order if it is still wanted."


def _joined(receipts: Sequence[Receipt]) -> Receipt:
    """One receipt of several: accepted when all were."""
    if len(receipts) == 1:
        return receipts[0]
    violations: list[Violation] = [violation for receipt in receipts for violation in receipt.violations]
    etas = [receipt.eta_s for receipt in receipts if receipt.eta_s is not None]
    return Receipt(
        accepted=all(receipt.accepted for receipt in receipts),
        message=" ".join(receipt.message for receipt in receipts),
        orders=tuple(order for receipt in receipts for order in receipt.orders),
        violations=tuple(violations),
        repeated=all(receipt.repeated for receipt in receipts),
        eta_s=max(etas, default=None),
    )


def _words(event: OrderEvent) -> str:
    if event.trigger is OrderTrigger.SEND:
        return "it was about to be sent"
    if event.trigger is OrderTrigger.HELD_BACK:
        return f"try {event.facts.attempt} came back, nothing was done: {event.detail}"
    return event.detail
