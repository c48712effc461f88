"""Orders: what was wanted, what became of it, and the table of states.

The table is data, so a test can walk it. In-flight and unknown are states, not flags. A trigger that the table does
not list for a state is recorded as an event and changes nothing. A partial fill is a quantity, not a state.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.decisions import NO_FACTS, EventFacts, LetterState, OrderDecision
from engine.core.identifiers import (
    AccountId,
    BrokerOrderId,
    InstrumentKey,
    IntentId,
    OrderNumber,
    OrderTag,
    StrategyNumber,
    TradeId,
)
from engine.core.money import ZERO
from engine.core.vocabulary import OrderType, Product, Side, Validity, Variety


class OrderState(StrEnum):
    """Where an order is on its way."""

    QUEUED = "QUEUED"
    """Journalled; no byte has left."""
    SENDING = "SENDING"
    """On the wire; the journal says so before the first byte leaves."""
    UNKNOWN = "UNKNOWN"
    """It may rest at the broker. Looked up by tag; never sent again."""
    ACCEPTED = "ACCEPTED"
    """The broker has it and has not said yet that it rests."""
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER_PENDING"
    MODIFYING = "MODIFYING"
    """A modification is on the wire or its outcome is not known."""
    CANCELLING = "CANCELLING"
    """A cancellation is on the wire or its outcome is not known."""
    COMPLETE = "COMPLETE"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    NOT_SENT = "NOT_SENT"
    """Closed by us before any byte left; the reason is on the record."""
    PRESUMED_ABSENT = "PRESUMED_ABSENT"
    """Looked for over the whole window and not found. A late appearance is still adopted, and alarmed."""

    @property
    def is_terminal(self) -> bool:
        """Nothing more is expected."""
        return self in TERMINAL

    @property
    def is_working(self) -> bool:
        """It may still trade."""
        return self not in TERMINAL


TERMINAL = frozenset(
    {
        OrderState.COMPLETE,
        OrderState.REJECTED,
        OrderState.CANCELLED,
        OrderState.NOT_SENT,
        OrderState.PRESUMED_ABSENT,
    }
)


class OrderTrigger(StrEnum):
    """What can happen to an order."""

    SEND = "SEND"
    DROP = "DROP"
    """We closed it before sending: stale, withdrawn, or found unsent after a crash."""
    UNSENT = "UNSENT"
    """The connection could not be made: provably nothing left."""
    ANSWERED = "ANSWERED"
    """The broker gave an order id."""
    REFUSED = "REFUSED"
    """The broker gave a definite no."""
    HELD_BACK = "HELD_BACK"
    """A request came back with nothing done (too fast, or no connection); it waits in its place and is made again."""
    LOST = "LOST"
    """No trustworthy answer."""
    PRESUME_ABSENT = "PRESUME_ABSENT"
    MODIFY_SENT = "MODIFY_SENT"
    MODIFY_SETTLED = "MODIFY_SETTLED"
    """The modification was answered either way; the book says what is true."""
    CANCEL_SENT = "CANCEL_SENT"
    CANCEL_SETTLED = "CANCEL_SETTLED"
    LETTER_CLOSED = "LETTER_CLOSED"
    """A person has read of an order that was given up, and wants nothing more of it."""
    LETTER_REPLAYED = "LETTER_REPLAYED"
    """A person sends it again, as a new order."""
    BOOK_INTERIM = "BOOK_INTERIM"
    BOOK_OPEN = "BOOK_OPEN"
    BOOK_TRIGGER_PENDING = "BOOK_TRIGGER_PENDING"
    BOOK_COMPLETE = "BOOK_COMPLETE"
    BOOK_REJECTED = "BOOK_REJECTED"
    BOOK_CANCELLED = "BOOK_CANCELLED"


def _table() -> dict[tuple[OrderState, OrderTrigger], OrderState]:
    state, trigger = OrderState, OrderTrigger
    table = {
        (state.QUEUED, trigger.SEND): state.SENDING,
        (state.QUEUED, trigger.DROP): state.NOT_SENT,
        (state.SENDING, trigger.UNSENT): state.NOT_SENT,
        (state.SENDING, trigger.ANSWERED): state.ACCEPTED,
        (state.SENDING, trigger.REFUSED): state.REJECTED,
        (state.SENDING, trigger.LOST): state.UNKNOWN,
        (state.UNKNOWN, trigger.ANSWERED): state.ACCEPTED,
        (state.UNKNOWN, trigger.PRESUME_ABSENT): state.PRESUMED_ABSENT,
        # A late appearance: the broker accepted it after we had given it up.
        (state.PRESUMED_ABSENT, trigger.ANSWERED): state.ACCEPTED,
        # The fill raced the cancellation and won.
        (state.CANCELLED, trigger.BOOK_COMPLETE): state.COMPLETE,
        (state.MODIFYING, trigger.MODIFY_SETTLED): state.ACCEPTED,
        (state.CANCELLING, trigger.CANCEL_SETTLED): state.ACCEPTED,
        # While a command is in flight the book's resting states are the past, not an answer to it.
        (state.MODIFYING, trigger.BOOK_OPEN): state.MODIFYING,
        (state.MODIFYING, trigger.BOOK_TRIGGER_PENDING): state.MODIFYING,
        (state.MODIFYING, trigger.BOOK_INTERIM): state.MODIFYING,
        (state.CANCELLING, trigger.BOOK_OPEN): state.CANCELLING,
        (state.CANCELLING, trigger.BOOK_TRIGGER_PENDING): state.CANCELLING,
        (state.CANCELLING, trigger.BOOK_INTERIM): state.CANCELLING,
    }
    for waiting in (state.SENDING, state.MODIFYING, state.CANCELLING):
        table[waiting, trigger.HELD_BACK] = waiting
    for given_up in (state.NOT_SENT, state.PRESUMED_ABSENT):
        table[given_up, trigger.LETTER_CLOSED] = given_up
        table[given_up, trigger.LETTER_REPLAYED] = given_up
    for resting in (state.ACCEPTED, state.OPEN, state.TRIGGER_PENDING):
        table[resting, trigger.MODIFY_SENT] = state.MODIFYING
        table[resting, trigger.CANCEL_SENT] = state.CANCELLING
    # A trader may pull the order while its modification is out.
    table[state.MODIFYING, trigger.CANCEL_SENT] = state.CANCELLING
    at_broker = (
        state.SENDING,
        state.UNKNOWN,
        state.PRESUMED_ABSENT,
        state.ACCEPTED,
        state.OPEN,
        state.TRIGGER_PENDING,
    )
    for source in at_broker:
        table[source, trigger.BOOK_OPEN] = state.OPEN
        table[source, trigger.BOOK_TRIGGER_PENDING] = state.TRIGGER_PENDING
        # An interim word does not take an order that rests back to merely accepted.
        table[source, trigger.BOOK_INTERIM] = (
            source if source in {state.OPEN, state.TRIGGER_PENDING} else state.ACCEPTED
        )
    for source in (*at_broker, state.MODIFYING, state.CANCELLING):
        table[source, trigger.BOOK_COMPLETE] = state.COMPLETE
        table[source, trigger.BOOK_REJECTED] = state.REJECTED
        table[source, trigger.BOOK_CANCELLED] = state.CANCELLED
    return table


TRANSITIONS = _table()
"""(state, trigger) → state. What is not listed is illegal: recorded, not applied."""


def next_state(state: OrderState, trigger: OrderTrigger) -> OrderState | None:
    """The state after ``trigger``, or ``None`` when the table does not allow it."""
    return TRANSITIONS.get((state, trigger))


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants. Quantities are units; prices are multiples of the tick (checked before journalling)."""

    instrument: InstrumentKey
    side: Side
    quantity: int
    order_type: OrderType = OrderType.LIMIT
    product: Product = Product.NRML
    price: Decimal | None = None
    """Needed for LIMIT and SL."""
    trigger_price: Decimal | None = None
    """Needed for SL and SL-M."""
    validity: Validity = Validity.DAY
    variety: Variety = Variety.REGULAR
    market_protection: Decimal | None = None
    """Percent; needed for MARKET and SL-M. ``-1`` leaves the band to the broker."""
    strategy: StrategyNumber | None = None
    """Where its fills belong; ``None`` means the account's default strategy."""
    validity_ttl: int | None = None
    """Minutes an order of validity TTL rests."""
    iceberg_legs: int | None = None
    """Into how many legs the broker divides an order of variety iceberg; the next one comes when one is filled."""
    iceberg_quantity: int | None = None
    """Units of each leg; the last takes what remains."""
    disclosed_quantity: int | None = None
    """Units that are shown; shares only."""
    auction_number: str | None = None
    """Of an order of variety auction."""


class OrderIntent(msgspec.Struct, frozen=True, kw_only=True):
    """One order as journalled, before anything is sent. Never changes afterwards."""

    intent_id: IntentId
    account: AccountId
    tag: OrderTag
    idempotency_key: str
    """Given by the caller, or made once by the executor; the same key never makes a second order."""
    request: OrderRequest
    created_at: datetime
    """Aware UTC, market clock."""
    wall_at: datetime | None = None
    """Aware UTC, this machine's clock: what budgets and durations are counted by."""
    decision: OrderDecision | None = None


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands: the intent, the state, and what the broker has said. Replaced, never mutated."""

    number: OrderNumber
    intent_id: IntentId | None
    """``None`` for an order that came from outside (the phone) and was adopted."""
    account: AccountId
    tag: OrderTag | None
    request: OrderRequest
    """As last known: a modification that the broker has confirmed is reflected here."""
    state: OrderState
    broker_order_id: BrokerOrderId | None = None
    filled_quantity: int = 0
    average_price: Decimal | None = None
    message: str = ""
    """The broker's words, or ours, about its last change."""
    idempotency_key: str | None = None
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None = None
    answered_at: datetime | None = None
    modifications: int = 0
    """Accepted by the broker so far; it allows 25."""
    letter: LetterState = LetterState.NONE
    """Whether it was given up and waits for a person."""

    @property
    def remaining_quantity(self) -> int:
        """Units that may still trade; 0 once terminal."""
        return 0 if self.state.is_terminal else self.request.quantity - self.filled_quantity


class OrderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order's history. ``applied`` is false for a transition that the table does not allow."""

    number: OrderNumber
    account: AccountId
    trigger: OrderTrigger
    from_state: OrderState
    to_state: OrderState
    applied: bool
    at: datetime
    """Aware UTC, market clock."""
    detail: str = ""
    sequence: int = 0
    """Given by the journal; 0 before it is written."""
    wall_at: datetime | None = None
    """Aware UTC, this machine's clock; ``None`` on lines written before it was kept."""
    facts: EventFacts = NO_FACTS


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One fill. Its identity is (account, exchange, broker_order_id, trade_id); applied once."""

    account: AccountId
    instrument: InstrumentKey
    token: int
    broker_order_id: BrokerOrderId
    trade_id: TradeId
    side: Side
    product: Product
    quantity: int
    """Units, > 0."""
    price: Decimal
    filled_at: datetime
    """Aware UTC."""
    strategy: StrategyNumber | None = None
    """Where the ledger put it; ``None`` until it has."""

    @property
    def signed_quantity(self) -> int:
        """+ bought, − sold."""
        return self.side.sign * self.quantity

    @property
    def value(self) -> Decimal:
        """Cash of the fill: − paid, + received."""
        return -self.signed_quantity * self.price


class BrokerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the broker's order book, already in our words."""

    broker_order_id: BrokerOrderId
    instrument: InstrumentKey
    token: int
    side: Side
    order_type: OrderType
    product: Product
    variety: Variety
    validity: Validity
    status: str
    """The broker's own word, for the record."""
    trigger: OrderTrigger
    """What the status means for the state table; unknown words are ``BOOK_INTERIM``."""
    quantity: int
    filled_quantity: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    average_price: Decimal | None = None
    tag: OrderTag | None = None
    message: str = ""
    placed_at: datetime | None = None
    """Aware UTC."""
    part: str = ""
    """``leg 2 of 4`` of an iceberg after the first, ``a slice of 26…``: the broker made it of an order that is larger,
    and it carries that order's tag. Empty for an order that somebody placed."""
    to_come: int = 0
    """Units of the iceberg's legs after this one: they are no orders yet, and come by themselves."""


def average_fill(trades: tuple[Trade, ...]) -> Decimal | None:
    """Quantity-weighted price of fills; ``None`` without any."""
    quantity = sum(trade.quantity for trade in trades)
    if not quantity:
        return None
    return sum((trade.price * trade.quantity for trade in trades), ZERO) / quantity
