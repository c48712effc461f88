"""The chain on the screen: headings on line 0, one strike a line, own contracts out of sight on the last line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message

from engine.core.vocabulary import InstrumentKind
from workstation.actions import Place
from workstation.presenters.chain import ChainRows
from workstation.presenters.lines import EMPTY, Line
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import LinePane

HEADINGS = 1
FOOTER_FROM_HEIGHT = 5
"""A lower grid keeps its lines for strikes."""


class ChainGrid(LinePane):
    """Paints a strike when it is looked at; a hundred ticks between two frames cost one paint of each touched row."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.CHAIN)

    @dataclass
    class Chosen(Message):
        """A contract was clicked: the row and the side."""

        row: int
        kind: InstrumentKind

    @dataclass
    class Scrolled(Message):
        """The wheel was turned by so many strikes."""

        rows: int

    def __init__(self, rows: ChainRows, *, id: str = "chain") -> None:  # noqa: A002 - the library's word
        """Draw from ``rows``."""
        super().__init__(id=id, focusable=True)
        self._model = rows
        self._first = 0
        self._cursor_row: int | None = None
        self._kind = InstrumentKind.CALL
        self._message: tuple[Line, ...] = ()

    @property
    def first_row(self) -> int:
        """The first strike in sight."""
        return self._first

    @property
    def page(self) -> int:
        """Strikes that fit."""
        return max(1, self.size.height - HEADINGS - self._footers)

    @property
    def _footers(self) -> int:
        return 1 if self.size.height >= FOOTER_FROM_HEIGHT else 0

    def show_message(self, lines: tuple[Line, ...]) -> None:
        """Draw words in place of strikes, while there is no chain."""
        if lines != self._message:
            self._message = lines
            self.repaint_all()

    def update_rows(self, rows: Iterable[int] | None) -> None:
        """Repaint the named strikes, or everything for ``None``."""
        if self._model.arrange(self.size.width, self._first, self._first + self.page) or rows is None:
            self.repaint_all()
            return
        changed = [HEADINGS + row - self._first for row in rows if self._first <= row < self._first + self.page]
        self.repaint(changed)

    def refresh_footer(self) -> None:
        """Repaint the last line if its words changed."""
        y = self.size.height - 1
        strip = self._strips.get(y)
        if self._footers and (strip is None or strip.text.rstrip() != "".join(t for t, _ in self.line_at(y)).rstrip()):
            self.repaint([y])

    def place_cursor(self, row: int | None, kind: InstrumentKind, *, centre: bool = False) -> None:
        """Put the cursor on a strike and side and keep it in sight; ``centre`` brings it to the middle."""
        before = (self._cursor_row, self._kind, self._first)
        self._kind = kind
        previous, self._cursor_row = self._cursor_row, row
        if row is not None:
            self._bring_into_sight(row, centre=centre)
        if before[2] != self._first:
            self.update_rows(None)
        elif before[:2] != (row, kind):
            self.update_rows([place for place in (previous, row) if place is not None])

    def line_at(self, y: int) -> Line:
        """Headings, strikes, and the last line."""
        if self._message or not len(self._model):
            return self._message[y] if y < len(self._message) else EMPTY
        if y == 0:
            return self._model.heading()
        if self._footers and y == self.size.height - 1:
            return self._model.footer(self._first, self.page)
        row = self._first + y - HEADINGS
        kind = self._kind if row == self._cursor_row else None
        return self._model.row(row, cursor=kind, active=self.has_focus)

    def on_resize(self, event: events.Resize) -> None:
        """Choose columns anew and keep the cursor in sight."""
        super().on_resize(event)
        if self._cursor_row is not None:
            self._bring_into_sight(self._cursor_row, centre=True)
        self._model.arrange(self.size.width, self._first, self._first + self.page)
        self.repaint_all()

    def on_click(self, event: events.Click) -> None:
        """Choose the contract under the mouse."""
        row = self._first + event.y - HEADINGS
        if event.y >= HEADINGS and 0 <= row < len(self._model) and event.y < HEADINGS + self.page:
            middle = self._model.layout.middle_start + self._model.layout.widths.strike // 2
            self.post_message(self.Chosen(row, InstrumentKind.CALL if event.x <= middle else InstrumentKind.PUT))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves the cursor, and the window with it."""
        event.stop()
        self.post_message(self.Scrolled(1))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """See ``on_mouse_scroll_down``."""
        event.stop()
        self.post_message(self.Scrolled(-1))

    def _bring_into_sight(self, row: int, *, centre: bool) -> None:
        page, last = self.page, max(0, len(self._model) - self.page)
        if centre or not self._first <= row < self._first + page:
            near = row - self._first
            if centre or near < -1 or near > page:
                self._first = row - page // 2
            else:
                self._first = row if near < 0 else row - page + 1
        self._first = min(max(self._first, 0), last)
