"""What keys do on the chain, its ticket and its depth."""

from __future__ import annotations

import numpy as np
from textual import on

from engine.core.vocabulary import InstrumentKind, Side
from workstation.formatting import expiry_day
from workstation.presenters.chain_header import figure_lines
from workstation.presenters.depth import depth_lines
from workstation.screens.desk_parts import TEXT_WIDTH, DeskParts
from workstation.screens.painter import selection_words
from workstation.widgets.chain_grid import ChainGrid


class ChainActions(DeskParts):
    """Drafts, the cursor, expiries and underlyings."""

    def action_draft(self, side: str) -> None:
        """Draft at the cursor."""
        state = self._shared.state
        lots = state.take_count(self._shared.settings.default_lots)
        self._orders.begin(state.selection(self._shared.picture.chain), Side(side), lots)

    def action_stroke(self, side: str) -> None:
        """One stroke at the cursor."""
        state = self._shared.state
        lots = state.take_count(0)
        self._strokes.press(state.selection(self._shared.picture.chain), Side(side), lots)

    def action_review(self) -> None:
        """Open the draft for review."""
        self._shared.state.count = ""
        self._orders.review()

    def action_tick(self, ticks: int) -> None:
        """Move the draft's price by ticks; a count repeats."""
        self._orders.step(ticks * self._shared.state.take_count())

    def action_touch(self) -> None:
        """Back to the touch."""
        self._orders.touch()

    def action_cycle_price(self) -> None:
        """The next price policy."""
        self._orders.cycle()

    def action_expiry(self, step: int) -> None:
        """Another expiry."""
        self._watch.step_expiry(step * self._shared.state.take_count())

    def action_underlying(self, step: int) -> None:
        """Another underlying."""
        self._watch.step_underlying(step * self._shared.state.take_count())

    def action_at_the_money(self) -> None:
        """Cursor to the ATM strike, in the middle of the grid."""
        state, view = self._shared.state, self._shared.picture.chain
        if view is not None:
            state.strike = view.header.atm_strike
            self._panes.chain.place_cursor(state.row(view), state.kind, centre=True)

    def action_side(self, kind: str) -> None:
        """Cursor to calls or puts."""
        self._shared.state.kind = InstrumentKind(kind)
        self._place_cursor()

    def action_own_row(self) -> None:
        """Cursor to the next strike with something of our own, round the chain."""
        state, view = self._shared.state, self._shared.picture.chain
        if view is None:
            return
        own = (
            (view.calls.position != 0) | (view.puts.position != 0) | (view.calls.working > 0) | (view.puts.working > 0)
        )
        rows = [int(row) for row in np.flatnonzero(own)]
        if not rows:
            self._shared.notify("Nothing of your own in this chain.")
            return
        row = state.row(view)
        target = next((place for place in rows if place > row), rows[0])
        state.strike = float(view.strikes[target])
        on_call = view.calls.position[target] or view.calls.working[target]
        state.kind = InstrumentKind.CALL if on_call else InstrumentKind.PUT
        self._place_cursor()

    def action_columns(self) -> None:
        """The next set of columns."""
        state = self._shared.state
        state.columns = state.columns.after(state.take_count())
        self._shared.notify(f"columns: {state.columns.value}")

    def action_figures(self) -> None:
        """Every figure of the chain in words, and why one is missing."""
        view = self._shared.picture.chain
        if view is None:
            self._shared.notify("There is no chain yet.")
            return
        lines = figure_lines(view, TEXT_WIDTH, self._shared.glyphs)
        self._show_text(f"Figures {view.header.underlying} {expiry_day(view.header.expiry, spaced=True)}", lines)

    def action_depth(self) -> None:
        """The book of the contract under the cursor: its pane, or a dialog where there is no room for it."""
        selection = self._shared.state.selection(self._shared.picture.chain)
        if selection is None:
            return
        if self._layout_now is not None and self._layout_now.depth:
            self.set_focus(self._panes.depth)
            return
        quote = self._shared.engine.quote(selection.token) if selection.token else None
        lines = depth_lines(quote, TEXT_WIDTH, self._shared.glyphs)
        self._show_text(f"Depth {selection.underlying} {selection_words(selection)}", lines)

    @on(ChainGrid.Chosen)
    def choose(self, message: ChainGrid.Chosen) -> None:
        """The mouse moves the cursor."""
        view = self._shared.picture.chain
        if view is not None and message.row < len(view.strikes):
            self._shared.state.strike = float(view.strikes[message.row])
            self._shared.state.kind = message.kind
            self._place_cursor()

    @on(ChainGrid.Scrolled)
    def scroll_chain(self, message: ChainGrid.Scrolled) -> None:
        """The wheel moves the cursor."""
        if self._shared.picture.chain is not None:
            self._shared.state.move(self._shared.picture.chain, message.rows)
            self._place_cursor()
