"""What a person should read of the broker's book: orders found, filled, refused, changed or placed elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.core.decisions import LetterState
from engine.core.events import EventKind
from engine.core.identifiers import BrokerOrderId
from engine.core.orders import BrokerOrder, OrderRecord, OrderState
from engine.core.vocabulary import Severity
from engine.execution.notices import Notice
from engine.execution.words import grouped

SENT_AGAIN = " A person had sent it again meanwhile: look at both."


class BookNotices:
    """Makes the sentences.

    Args:
        notify: Takes them.
    """

    def __init__(self, notify: Callable[[Notice], None]) -> None:
        self._notify = notify

    def adopted(self, adopted: Sequence[OrderRecord]) -> None:
        """Orders placed elsewhere were taken in by one read of the book."""
        if not adopted:
            return
        first, last = adopted[0].number, adopted[-1].number
        if first == last:
            text = f"o{first} was placed elsewhere and is adopted: {_in_words(adopted[0])}."
        else:
            text = f"{len(adopted)} orders were placed elsewhere and are adopted: o{first} to o{last}."
        self._notify(Notice(kind=EventKind.ORDER, severity=Severity.ATTENTION, text=text, subject=f"o{first}"))

    def older_day(self, order_id: BrokerOrderId) -> None:
        """An order in the book is one that the journal has and that is too old to be followed."""
        words = f"The broker's order {order_id} is in the journal under an older day."
        self._notify(Notice(kind=EventKind.ORDER, severity=Severity.ATTENTION, text=words))

    def found(self, before: OrderRecord, row: BrokerOrder) -> None:
        """An order that was looked for is there."""
        if before.state is OrderState.PRESUMED_ABSENT:
            self.tell(
                before,
                Severity.DANGER,
                f"o{before.number} had been given up and has appeared at the broker, {row.status}: it is adopted."
                + (SENT_AGAIN if before.letter is LetterState.REPLAYED else ""),
            )
        elif before.state is OrderState.UNKNOWN:
            self.tell(before, Severity.INFO, f"o{before.number} was found at the broker, {row.status}.")

    def progress(self, before: OrderRecord, after: OrderRecord, grew_by: int) -> None:
        """An order was refused by the exchange, cancelled, or filled by ``grew_by`` more units."""
        if after.state is OrderState.REJECTED and before.state is not OrderState.REJECTED:
            self.tell(after, Severity.ATTENTION, f"o{after.number} was rejected: {after.message}")
        elif after.state is OrderState.CANCELLED and before.state is not OrderState.CANCELLED:
            asked = before.state is OrderState.CANCELLING
            words = "is cancelled" if asked else "was cancelled at the broker"
            severity = Severity.INFO if asked else Severity.ATTENTION
            filled = f", {grouped(after.filled_quantity)} filled" if after.filled_quantity else ""
            self.tell(after, severity, f"o{after.number} {words}{filled}.")
        elif grew_by:
            done = "complete" if after.state is OrderState.COMPLETE else "filled in part"
            self.tell(
                after,
                Severity.INFO,
                f"o{after.number} {done}: {after.request.side} {grouped(after.filled_quantity)} of "
                f"{grouped(after.request.quantity)} {after.request.instrument.tradingsymbol} at {after.average_price}.",
            )

    def tell(self, record: OrderRecord, severity: Severity, text: str) -> None:
        """Say something of an order."""
        self._notify(Notice(kind=EventKind.ORDER, severity=severity, text=text, subject=f"o{record.number}"))


def _in_words(record: OrderRecord) -> str:
    request = record.request
    price = "" if request.price is None else f" at {request.price}"
    return f"{request.side} {grouped(request.quantity)} {request.instrument.tradingsymbol}{price}, {record.state}"
