"""Panes drawn line by line. Only lines that differ are painted again; a frame without change costs nothing.

``render_line(y).text`` is what stands on line ``y``: tests read it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from workstation.actions import Place
from workstation.presenters.lines import EMPTY, TONES, Line, filled, merged, toned
from workstation.widgets.bindings import bindings_of

TONE_CLASSES = frozenset(f"tone--{tone}" for tone in TONES)
"""Component classes of every screen that has panes. They are the screen's and not each pane's, because the library
matches all of them against the whole style sheet whenever their owner's style is looked at: at each change of focus."""
FULL_REFRESH_SHARE = 0.6
"""Above this share of changed lines one whole repaint is cheaper than many regions."""


class LinePane(Widget):
    """A widget made of lines of tones. Subclasses override ``line_at``; this one draws the lines it is shown.

    Its screen has ``TONE_CLASSES`` among its component classes.
    """

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, focusable: bool = False) -> None:  # noqa: A002 - the library's word
        """A pane that keys act on when ``focusable``."""
        super().__init__(id=id)
        self.can_focus = focusable
        self._lines: tuple[Line, ...] = ()
        self._strips: dict[int, Strip] = {}
        self._tones: dict[str, Style] = {}

    def show(self, lines: Sequence[Line]) -> None:
        """Draw ``lines`` from the top; only those that differ from before are painted."""
        new = tuple(lines)
        old, self._lines = self._lines, new
        changed = [place for place in range(max(len(old), len(new))) if _at(old, place) != _at(new, place)]
        if len(old) != len(new) and self.styles.height is not None and self.styles.height.is_auto:
            self.refresh(layout=True)
        self.repaint(changed)

    def repaint(self, lines: Iterable[int]) -> None:
        """Paint these lines in the next refresh."""
        height, width = self.size.height, self.size.width
        visible = []
        for y in set(lines):
            self._strips.pop(y, None)
            if 0 <= y < height:
                visible.append(y)
        if len(visible) > height * FULL_REFRESH_SHARE:
            self.refresh()
        elif visible:
            self.refresh(*(Region(0, y, width, 1) for y in sorted(visible)))

    def repaint_all(self) -> None:
        """Forget every painted line."""
        self._strips.clear()
        self.refresh()

    def line_at(self, y: int) -> Line:
        """What stands on line ``y`` of the pane."""
        return self._lines[y] if 0 <= y < len(self._lines) else EMPTY

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as are shown."""
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """Line ``y`` as a strip; painted once, then kept until it changes."""
        width = self.size.width
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != width:
            line = filled(self.line_at(y), width)
            strip = self._strips[y] = Strip([Segment(text, self.tone(tone)) for text, tone in line], width)
        return strip

    def tone(self, words: str) -> Style:
        """The style of one or more tones, as the style sheet says; each adds what it sets, the last one wins."""
        style = self._tones.get(words)
        if style is None:
            style = self.rich_style
            for word in words.split():
                style += self.screen.get_component_rich_style(f"tone--{word}", partial=True)
            self._tones[words] = style
        return style

    def notify_style_update(self) -> None:
        """Forget styles and paint anew when the theme or a style changes."""
        super().notify_style_update()
        self._tones.clear()
        self.repaint_all()

    def on_resize(self, event: events.Resize) -> None:
        """Lines are as wide as the pane."""
        del event
        self._strips.clear()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Cursors show where keys act."""
        super().watch_has_focus(has_focus)
        self.repaint_all()


def _at(lines: Sequence[Line], place: int) -> Line | None:
    return lines[place] if place < len(lines) else None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list and the identity of what it is about."""

    row_id: Hashable
    line: Line


class ListPane(LinePane):
    """A title, headings, and rows with a cursor. The cursor is an identity: it stays on its row when rows move."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.LIST)

    @dataclass
    class Clicked(Message):
        """A row was clicked."""

        pane: ListPane
        row_id: Hashable

    def __init__(self, *, id: str) -> None:  # noqa: A002 - the library's word
        """An empty list."""
        super().__init__(id=id, focusable=True)
        self._head: tuple[Line, ...] = ()
        self._rows: tuple[Row, ...] = ()
        self._filler: Line = EMPTY
        self._cursor: Hashable | None = None
        self._place = 0
        self._first = 0

    @property
    def row_id(self) -> Hashable | None:
        """What the cursor is on."""
        return self._cursor

    @property
    def page(self) -> int:
        """Rows that fit."""
        return max(1, self.size.height - len(self._head))

    def show_list(self, head: Sequence[Line], rows: Sequence[Row], *, filler: Line = EMPTY) -> None:
        """Draw a list, and ``filler`` below it; the cursor stays on its row, or at its place when the row is gone."""
        self._head, self._rows, self._filler = tuple(head), tuple(rows), filler
        places = {row.row_id: place for place, row in enumerate(self._rows)}
        if self._cursor in places:
            self._place = places[self._cursor]
        self._settle()

    def move(self, rows: int) -> None:
        """Move the cursor."""
        self._place += rows
        self._settle()

    def select(self, row_id: Hashable) -> None:
        """Put the cursor on a row, if there is such a row."""
        for place, row in enumerate(self._rows):
            if row.row_id == row_id:
                self._place = place
                self._settle()
                return

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show or hide the cursor."""
        super().watch_has_focus(has_focus)
        self._settle()

    def on_resize(self, event: events.Resize) -> None:
        """Keep the cursor in sight."""
        super().on_resize(event)
        self._settle()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is."""
        place = self._first + event.y - len(self._head)
        if event.y >= len(self._head) and place < len(self._rows):
            self._place = place
            self._settle()
            self.post_message(self.Clicked(self, self._cursor))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll without moving the cursor off its row's identity."""
        event.stop()
        self.move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """See ``on_mouse_scroll_down``."""
        event.stop()
        self.move(-1)

    def _settle(self) -> None:
        """Clamp cursor and window, then draw."""
        self._place = min(max(self._place, 0), max(0, len(self._rows) - 1))
        self._cursor = self._rows[self._place].row_id if self._rows else None
        page = self.page
        self._first = min(self._first, max(0, len(self._rows) - page))
        if self._place < self._first:
            self._first = self._place
        elif self._place >= self._first + page:
            self._first = self._place - page + 1
        width = self.size.width
        body = []
        for place, row in enumerate(self._rows[self._first : self._first + page], start=self._first):
            if self.has_focus and place == self._place:
                body.append(merged(toned(filled(row.line, width), "row")))
            else:
                body.append(row.line)
        body += [self._filler] * (page - len(body))
        self.show((*self._head, *body))
