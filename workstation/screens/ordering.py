"""From keys to commands: drafts, reviews, cancels. Small letters only draft; what sends is ``y`` in the review."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

import msgspec

from engine.core.commands import (
    CancelOrders,
    Command,
    ExitPositions,
    MakePlan,
    PlaceBasket,
    PlaceOrder,
    Preview,
    Receipt,
    ResolveUnknown,
)
from engine.core.errors import WorkstationError
from engine.core.orders import OrderRecord, OrderState
from engine.core.quotes import Quote
from engine.core.vocabulary import Mode, Side
from workstation.dialogs.review import ReviewDialog
from workstation.presenters.desk_state import Selection
from workstation.presenters.draft import Draft, PricePolicy, modification, new_draft
from workstation.presenters.eta import leaves_in
from workstation.presenters.review import ReviewSubject
from workstation.screens.context import DeskContext
from workstation.screens.contracts import ContractBook
from workstation.screens.quote_watch import QuoteWatch

KEYED = PlaceOrder | PlaceBasket | ExitPositions | MakePlan
"""Commands that a key makes once."""
ASK_AGAIN_S = 1.0
"""A draft that would have to wait for the broker's limits is looked at again so often."""
Open = Callable[[ReviewDialog, Callable[[Command | None], None]], None]
"""Put a dialog on the screen, at once."""


class PendingDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A draft whose contract is still being looked up; its quote is already the one of the key."""

    selection: Selection
    side: Side
    lots: int
    quote: Quote | None


class OrderKeys:
    """What the order keys of one Desk do."""

    def __init__(self, context: DeskContext, contracts: ContractBook, open_dialog: Open) -> None:
        """``open_dialog`` shows a review."""
        self._context = context
        self._contracts = contracts
        self._open = open_dialog
        self._reviewed = QuoteWatch(context)
        self._pending: PendingDraft | None = None
        self._asked_at = 0.0
        self.preview: Preview | None = None
        """What the draft would do."""

    async def close(self) -> None:
        """Give the quotes of a review up."""
        await self._reviewed.close()

    @property
    def draft(self) -> Draft | None:
        """The draft in hand."""
        return self._context.state.draft

    def begin(self, selection: Selection | None, side: Side, lots: int) -> None:
        """Draft an order on the contract under the cursor, on the quote of this moment."""
        if selection is None or not selection.token:
            self._context.notify("There is no contract under the cursor.", "attention")
            return
        quote = self._context.engine.quote(selection.token)
        self._pending = PendingDraft(selection=selection, side=side, lots=lots, quote=quote)
        self.settle()
        if self._pending is not None:
            self._context.notify("The contract is being looked up.")

    def settle(self) -> None:
        """Finish a draft whose contract has become known, and keep the wait of a draft true. Called by every frame."""
        self._ask_again()
        pending = self._pending
        if pending is None:
            return
        instrument = self._contracts.find_token(pending.selection.token, self.words_of(pending.selection))
        if instrument is None:
            return
        self._pending = None
        product = self._context.settings.product
        self._take(new_draft(instrument, pending.side, pending.lots, pending.quote, product=product))

    def words_of(self, selection: Selection) -> str:
        """The words to search a contract by: ``nifty 24000 ce w0``."""
        return self._context.state.words_of(selection)

    def clear(self) -> bool:
        """Drop the draft; whether there was one."""
        had = self.draft is not None or self._pending is not None
        self._context.state.draft = None
        self._pending = None
        self.preview = None
        return had

    def step(self, ticks: int) -> None:
        """Move the draft's price."""
        if self.draft is not None:
            self._take(self.draft.stepped(ticks))

    def touch(self) -> None:
        """Price the draft at the touch of now."""
        if self.draft is not None:
            self._take(self.draft.priced(PricePolicy.TOUCH, self._live(self.draft)))

    def cycle(self) -> None:
        """Price the draft by the next policy, on the quote of now."""
        if self.draft is not None:
            self._take(self.draft.cycled(self._live(self.draft)))

    def modify(self, order: OrderRecord | None) -> None:
        """Draft a change of a resting order."""
        if order is None:
            return
        if order.state not in {OrderState.OPEN, OrderState.TRIGGER_PENDING, OrderState.ACCEPTED}:
            self._context.notify(
                f"o{order.number} is {order.state.value}: only a resting order can be changed.", "attention"
            )
            return
        instrument = self._contracts.find(order.request.instrument)
        if instrument is None:
            self._context.notify("The contract is being looked up; press again.")
            return
        self._take(modification(order, instrument, self._context.engine.quote(instrument.token)))

    def cancel(self, order: OrderRecord | None) -> None:
        """Cancel one order: free, in every mode."""
        if order is None:
            return
        if order.state.is_terminal:
            self._context.notify(f"o{order.number} is {order.state.value}; there is nothing to cancel.")
            return
        self._context.submit(CancelOrders(numbers=(order.number,)), self._context.report)

    def cancel_all(self) -> None:
        """Review the cancelling of every working order; HOT cancels at once, because that takes risk away."""
        desk, command = self._context.picture.live_desk, self._context.addressed(CancelOrders(everything=True))
        if desk is not None and desk.status.mode is Mode.HOT:
            self._context.submit(command, self._context.report)
            return
        self.review_command(command, "cancel every working order", lambda _: None)

    def resolve(self, order: OrderRecord | None) -> None:
        """Look an unknown order up now."""
        if order is None:
            return
        if order.state not in {OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT}:
            self._context.notify(f"o{order.number} is {order.state.value}: its outcome is known.")
            return
        self._context.submit(ResolveUnknown(number=order.number), self._context.report)

    def review(self) -> None:
        """Open the draft for review."""
        draft = self.draft
        if draft is None:
            words = (
                "The contract is being looked up."
                if self._pending
                else "There is no draft: b buys, s sells at the cursor."
            )
            self._context.notify(words)
            return
        if draft.price is None:
            self._context.notify(
                "The draft has no price: that side of the book is empty. + - = p choose one.", "attention"
            )
            return
        if draft.order is not None and draft.price == draft.order.request.price:
            self._context.notify("The draft changes nothing yet: + and - move its price.")
            return
        command = self._context.addressed(draft.command(self._context.new_key()))
        subject = self._subject(command, "of a draft", draft)
        self._show(subject, self._draft_sent)

    def review_command(self, command: Command, title: str, done: Callable[[Receipt], None]) -> None:
        """Open any command for review; ``done`` hears of its receipt."""
        self._show(self._subject(_with_key(command, self._context.new_key), title, None), done)

    def _subject(self, command: Command, title: str, draft: Draft | None) -> ReviewSubject:
        venue = self._context.venue_words_of(command)
        if draft is None or draft.order is not None:
            tick = draft.instrument.tick_size if draft is not None else self._tick_of(command)
            return ReviewSubject(command=command, title=title, venue=venue, tick=tick)
        return ReviewSubject(
            command=command,
            title=title,
            venue=venue,
            policy=draft.policy,
            offset=draft.offset,
            tick=draft.instrument.tick_size,
        )

    def _tick_of(self, command: Command) -> Decimal:
        instrument = self._contracts.find(command.request.instrument) if isinstance(command, PlaceOrder) else None
        # A smaller tick asks again sooner: while the contract is unknown, any paisa of movement counts.
        return instrument.tick_size if instrument is not None else Decimal("0.01")

    def _show(self, subject: ReviewSubject, done: Callable[[Receipt], None]) -> None:
        context = self._context

        def answered(command: Command | None) -> None:
            if command is not None:
                context.submit(command, settled)

        def settled(receipt: Receipt) -> None:
            context.report(receipt)
            done(receipt)

        dialog = ReviewDialog(
            subject,
            preview=context.engine.preview,
            quote=context.engine.quote,
            watch=self._reviewed.wish,
            clock=context.clock,
            glyphs=context.glyphs,
            simulated=context.simulated,
            confirm_delay_ms=context.settings.confirm_delay_ms,
            tolerance_ticks=context.settings.move_tolerance_ticks,
        )
        self._open(dialog, answered)

    def _draft_sent(self, receipt: Receipt) -> None:
        if receipt.accepted:
            self.clear()

    def _live(self, draft: Draft) -> Quote | None:
        return self._context.engine.quote(draft.instrument.token)

    def _take(self, draft: Draft) -> None:
        self._context.state.draft = draft
        self._context.state.notice = None
        self.preview = None
        if draft.price is not None:
            self._context.run(partial(self._ask, draft), "draft", True)

    def _ask_again(self) -> None:
        """Others send too: how long a draft would wait is asked anew while it would."""
        draft, now = self.draft, self._context.clock.monotonic()
        if draft is None or self.preview is None or not leaves_in(self.preview.eta_s):
            return
        if now - self._asked_at >= ASK_AGAIN_S:
            self._asked_at = now
            self._context.run(partial(self._ask, draft), "draft", True)

    async def _ask(self, draft: Draft) -> None:
        """Have the draft checked for the ticket; the key of a look is never the key of an order."""
        if draft.order is not None and draft.price == draft.order.request.price:
            return
        try:
            preview = await self._context.engine.preview(self._context.addressed(draft.command(None)))
        except WorkstationError as error:
            self._context.notify(str(error), "attention")
            return
        if self.draft is draft:
            self.preview = preview
            self._asked_at = self._context.clock.monotonic()


def _with_key(command: Command, new_key: Callable[[], str]) -> Command:
    """What is made gets its key when its review is opened, so that one review can make it once only."""
    if isinstance(command, KEYED) and command.idempotency_key is None:
        return msgspec.structs.replace(command, idempotency_key=new_key())
    return command
