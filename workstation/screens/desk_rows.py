"""What keys do on rows: moving, opening, cancelling, changing."""

from __future__ import annotations

from engine.core.orders import OrderRecord
from workstation.presenters.orders import order_details
from workstation.screens.desk_chain import ChainActions
from workstation.screens.places import STRATEGY
from workstation.widgets.panes import ListPane

FAR = 1_000_000
"""More rows than any list has."""
OF_A_STRATEGY = frozenset({"strategy", "leg", "charges"})
"""Rows of the strategies that belong to one of them."""


class RowActions(ChainActions):
    """Lists, and the chain where the same key moves in it."""

    def action_move(self, rows: int) -> None:
        """Up or down, in the chain or in a list; a count repeats."""
        rows *= self._shared.state.take_count()
        if isinstance(self.focused, ListPane):
            self.focused.move(rows)
        elif self._shared.picture.chain is not None:
            self._shared.state.move(self._shared.picture.chain, rows)
            self._place_cursor()

    def action_page(self, pages: int) -> None:
        """Half a page."""
        pane = self.focused if isinstance(self.focused, ListPane) else self._panes.chain
        self.action_move(pages * max(1, pane.page // 2))

    def action_top(self) -> None:
        """First row."""
        self.action_move(-FAR)

    def action_bottom(self) -> None:
        """Last row."""
        self.action_move(FAR)

    def action_open_row(self) -> None:
        """Open the screen of a strategy, or show what a row is about."""
        pane = self.focused
        if not isinstance(pane, ListPane):
            return
        row = pane.row_id
        if pane is self._panes.strategies:
            if self._look_at_row(row):
                self._shared.open_place(STRATEGY, "")
        elif pane is self._panes.orders and (order := self._order_of_row()) is not None:
            if self._shared.state.draft is not None and self._shared.state.draft.order is not None:
                self._orders.review()
                return
            self._show_words(f"Order o{order.number}", order_details(order, self._shared.glyphs))
        elif pane is self._panes.events:
            self._open_event(row)

    def action_fold(self) -> None:
        """Show the legs of the strategy of the row, or hide them."""
        row = self._panes.strategies.row_id
        if isinstance(row, tuple) and row[0] in OF_A_STRATEGY:
            self._shared.state.expanded ^= {row[1]}

    def _look_at_row(self, row: object) -> bool:
        """Remember the strategy of a row as the one that is looked at; whether the row has one."""
        if not isinstance(row, tuple) or row[0] not in OF_A_STRATEGY:
            return False
        self._shared.state.strategy = row[1]
        return True

    def action_cancel_order(self) -> None:
        """Cancel the order of the row."""
        self._orders.cancel(self._order_of_row())

    def action_cancel_all(self) -> None:
        """Review the cancelling of all."""
        self._orders.cancel_all()

    def action_modify(self) -> None:
        """Draft a change of the order of the row."""
        self._orders.modify(self._order_of_row())

    def action_resolve(self) -> None:
        """Look the unknown order of the row up."""
        self._orders.resolve(self._order_of_row())

    def _order_of_row(self) -> OrderRecord | None:
        desk = self._shared.picture.desk
        row = self._panes.orders.row_id
        found = next((order for order in desk.orders if order.number == row), None) if desk is not None else None
        if found is None:
            self._shared.notify("There is no order here.")
        return found

    def _open_event(self, row: object) -> None:
        desk = self._shared.picture.desk
        event = next((item for item in desk.events if item.sequence == row), None) if desk is not None else None
        if event is not None:
            self._show_words(
                f"Event {event.sequence}", [event.text, f"{event.kind.value} {event.subject} {event.seat}"]
            )
