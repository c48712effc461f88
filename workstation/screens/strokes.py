"""``B`` and ``S``: one stroke for an order at the touch. HOT sends it, CONFIRM reviews it, READ says no.

A stroke is always a limit at the touch of a LIVE quote, so it trades no worse than what is on the screen. A key that is
held down is one stroke, because a terminal cannot tell it from many.
"""

from __future__ import annotations

import msgspec

from engine.core.quotes import Quote
from engine.core.views import StatusView
from engine.core.vocabulary import Mode, QuoteState, Side
from workstation.presenters.desk_state import Selection
from workstation.presenters.draft import new_draft
from workstation.screens.context import DeskContext
from workstation.screens.contracts import ContractBook
from workstation.screens.ordering import OrderKeys

SAME_STROKE_S = 0.4
"""The same key on the same contract counts again only after so long without it."""


class Strokes:
    """The strokes of one Desk."""

    def __init__(self, context: DeskContext, contracts: ContractBook, orders: OrderKeys) -> None:
        """``orders`` drafts and reviews what may not go at once."""
        self._context = context
        self._contracts = contracts
        self._orders = orders
        self._last: tuple[int, Side] | None = None
        self._last_at = 0.0

    def press(self, selection: Selection | None, side: Side, lots: int) -> None:
        """One stroke on the contract under the cursor; ``lots`` is 0 when no count was typed."""
        context = self._context
        if selection is None or not selection.token:
            context.notify("There is no contract under the cursor.", "attention")
            return
        if self._is_held((selection.token, side)):
            return
        desk = context.picture.live_desk
        if desk is None or not desk.status.writer:
            context.notify("This engine can only look: nothing was sent.", "attention")
        elif desk.status.mode is Mode.READ:
            context.notify("Mode is READ: B and S send nothing. A c arms CONFIRM, A h HOT.", "attention")
        elif desk.status.mode is Mode.CONFIRM:
            self._orders.begin(selection, side, lots or context.settings.default_lots)
            if self._orders.draft is not None:
                self._orders.review()
        else:
            self._send(selection, side, lots, desk.status)

    def _is_held(self, stroke: tuple[int, Side]) -> bool:
        """Whether it is the same stroke going on; each repetition makes it last longer."""
        now = self._context.clock.monotonic()
        held = stroke == self._last and now - self._last_at < SAME_STROKE_S
        self._last, self._last_at = stroke, now
        return held

    def _send(self, selection: Selection, side: Side, lots: int, status: StatusView) -> None:
        context = self._context
        most = status.hot_lots or 0
        lots = lots or most
        instrument = self._contracts.find_token(selection.token, self._orders.words_of(selection))
        quote = context.engine.quote(selection.token)
        refusal = ""
        if context.state.frozen_since is not None:
            refusal = "The picture is frozen: Space lets it go on, then press again."
        elif instrument is None:
            refusal = "The contract is being looked up; press again."
        elif lots > most:
            refusal = f"{lots} lots in one stroke, and HOT is armed for {most}."
        else:
            refusal = _why_no_price(quote, side)
        if refusal or instrument is None:
            context.notify(f"Nothing was sent. {refusal}", "attention")
            return
        draft = new_draft(instrument, side, lots, quote, product=context.settings.product)
        command = msgspec.structs.replace(draft.command(context.new_key()), stroke=True)
        context.submit(context.addressed(command), context.report)


def _why_no_price(quote: Quote | None, side: Side) -> str:
    """Why there is no price to send at; empty when there is one."""
    if quote is None or quote.state is not QuoteState.LIVE:
        state = "unknown" if quote is None else quote.state.name
        return f"The quote is {state}, not LIVE."
    return "" if quote.touch(side) is not None else "That side of the book is empty."
