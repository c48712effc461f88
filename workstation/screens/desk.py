"""The Desk: chain, ticket, depth, strategies, orders, events, and the command bar.

It composes, lays out, and turns keys into drafts, wishes and commands. Nothing is decided here that a presenter or the
engine could decide.
"""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.widgets import Input

from workstation.actions import Place
from workstation.frames import Frame
from workstation.presenters.accounts import desk_of
from workstation.presenters.chart_choice import ChartTarget
from workstation.presenters.layout import desk_layout
from workstation.presenters.strategies import rows_wanted
from workstation.screens.chain_watch import ChainWish
from workstation.screens.chart_targets import cursor_target
from workstation.screens.context import DeskContext
from workstation.screens.desk_rows import RowActions
from workstation.screens.panes import PANE_OF_DIGIT, PANE_OF_LETTER
from workstation.screens.places import CHARTS
from workstation.widgets.bindings import bindings_of


class DeskScreen(RowActions):
    """The one main screen."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.TAPE, Place.DESK)

    def __init__(self, context: DeskContext) -> None:
        """Draw and steer by ``context``."""
        super().__init__(context)
        self._ready = False
        self._looking_up = False
        self._return_to = "chain"

    def on_mount(self) -> None:
        """Ask for the first chain."""
        self._ready = True
        self._watch.wish(ChainWish())

    async def on_unmount(self) -> None:
        """Give the subscriptions back."""
        await self._watch.close()
        await self._quotes.close()
        await self._orders.close()

    @property
    def focus_name(self) -> str:
        """The id of the pane with focus."""
        return (self.focused.id or "") if self.focused is not None else ""

    def take_frame(self, frame: Frame) -> None:
        """Draw one frame."""
        if not self._ready or not self.size:
            return
        self._frame = frame
        self._orders.settle()
        self._arrange(frame)
        layout = self._layout_now
        if layout is not None:
            self._painter.paint(frame, layout, self.focus_name)
        self._quotes.wish(self._tokens_in_sight())
        self._keep_contract_known()

    def _tokens_in_sight(self) -> frozenset[int]:
        """Instruments whose quote and depth this terminal shows or trades on."""
        state = self._shared.state
        selection, draft = state.selection(self._shared.picture.chain), state.draft
        tokens = {selection.token} if selection is not None and selection.token else set()
        if draft is not None:
            tokens.add(draft.instrument.token)
        return frozenset(tokens)

    def on_resize(self) -> None:
        """Lay out again at once, so that no frame is drawn into the old places."""
        self._painter.forget()
        if self._ready and self._frame is not None:
            self._arrange(self._frame)

    def take_key(self, key: str, character: str | None) -> bool:
        """As on every screen; in the bar each character is text."""
        if self.focus_name == "bar":
            return self._typed_ahead(character)
        return super().take_key(key, character)

    def second_key(self, prefix: str, key: str) -> bool:
        """Panes by digit and letter, and the screens that lie over this one."""
        if prefix == "w" and key in PANE_OF_DIGIT:
            self._focus_pane(PANE_OF_DIGIT[key])
        elif prefix == "g" and key == "g":
            self.action_top()
        elif prefix == "g" and key in PANE_OF_LETTER:
            self._focus_pane(PANE_OF_LETTER[key])
        else:
            return super().second_key(prefix, key)
        return True

    def forget(self) -> None:
        """Draw everything anew in the next frame."""
        self._painter.forget()

    # --- keys ----------------------------------------------------------------------------------------------------

    def go_over(self, place: str) -> None:
        """As on every screen; the strategy under the cursor is the one to look at."""
        if self.focused is self._panes.strategies:
            self._look_at_row(self._panes.strategies.row_id)
        if place == CHARTS:
            self._shared.state.charted = self._target_of_row() or self._shared.state.charted
        super().go_over(place)

    def _target_of_row(self) -> ChartTarget | None:
        """The instrument of the order or leg of the row; on the chain, of its cursor."""
        state, desk = self._shared.state, self._shared.picture.desk
        if self.focused is self._panes.orders and desk is not None:
            number = self._panes.orders.row_id
            found = next((order for order in desk.orders if order.number == number), None)
            return ChartTarget(key=found.request.instrument) if found is not None else None
        if self.focused is self._panes.strategies and desk is not None:
            row = self._panes.strategies.row_id
            legs = [leg.leg for value in desk.strategies for leg in value.legs]
            named = (leg for leg in legs if row == ("leg", int(leg.strategy), leg.number))
            return next((ChartTarget(key=leg.instrument) for leg in named), None)
        return cursor_target(state, self._shared.picture.chain)

    def action_back(self) -> None:
        """One level back: count, notice, draft, then the chain. Never quits, never sends."""
        state = self._shared.state
        if state.count:
            state.count = ""
        elif state.notice is not None:
            state.notice = None
        elif not self._orders.clear():
            self.set_focus(self._panes.chain)

    # --- the command bar -----------------------------------------------------------------------------------------

    def action_open_bar(self) -> None:
        """Type a sentence."""
        if self.focus_name != "bar":
            self._return_to = self.focus_name or "chain"
        self._shared.state.count = ""
        self.set_focus(self._panes.bar)

    def action_close_bar(self) -> None:
        """Back to where the keys were; the text is kept."""
        self._focus_pane(self._return_to)

    def action_run_bar(self) -> None:
        """Act on the sentence."""
        self._bar.enter()

    def action_complete_bar(self) -> None:
        """Take a word that fits."""
        self._bar.complete()

    def action_bar_history(self, step: int) -> None:
        """Walk through the history."""
        self._panes.bar.browse(step)

    @on(Input.Changed, "#bar")
    def look_at_sentence(self, event: Input.Changed) -> None:
        """Look at the text while it is typed."""
        self._bar.changed(event.value)

    # --- inside --------------------------------------------------------------------------------------------------

    def _arrange(self, frame: Frame) -> None:
        """Give every pane its place when the size or the number of strategy rows changed."""
        desk = desk_of(frame.desk, self._shared.state.account)
        expanded = self._shared.state.expanded
        wanted = 0
        if desk is not None:
            wanted = rows_wanted(desk.strategies, expanded)
        layout = desk_layout(self.size.width, self.size.height, wanted)
        if layout == self._layout_now:
            return
        self._layout_now = layout
        self._painter.forget()
        self.set_class(layout.small, "small")
        self.set_class(not layout.side, "narrow")
        self.set_class(not layout.strip, "low")
        panes = self._panes
        panes.head.styles.height = 2 if layout.statistics else 1
        panes.ticket.styles.height = layout.ticket_height
        panes.depth.display = layout.depth
        panes.strategies.styles.height = layout.strategies_height
        self._lower.styles.height = layout.orders_height
        panes.orders.styles.width = layout.orders_width
        panes.ghost.styles.height = layout.ghost_height
        if layout.small:
            self.set_focus(panes.small)
        elif self.focused is None or self.focused is panes.small:
            self.call_after_refresh(panes.chain.focus)

    def _keep_contract_known(self) -> None:
        """Look the contract under the cursor up before a key needs it."""
        selection = self._shared.state.selection(self._shared.picture.chain)
        if selection is not None and selection.token:
            self._contracts.find_token(selection.token, self._orders.words_of(selection))
        if self._contracts.is_waiting and not self._looking_up:
            self._looking_up = True
            self._shared.run(self._look_up, "contracts", False)

    async def _look_up(self) -> None:
        try:
            await self._contracts.look_up()
        finally:
            self._looking_up = False

    def _typed_ahead(self, character: str | None) -> bool:
        """A character typed before the bar had focus still belongs to the bar."""
        if character is None or not character.isprintable():
            return False
        self._panes.bar.insert_text_at_cursor(character)
        return True
