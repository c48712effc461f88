"""What all dialogs share: Enter and Esc cancel, focus starts on Cancel, ``y`` agrees once the question is painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from workstation.actions import Place
from workstation.formatting import ASCII, Glyphs
from workstation.frames import Frame
from workstation.presenters.lines import Line
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import TONE_CLASSES, LinePane

Answer = TypeVar("Answer")

FRAME_LINES = 3
"""Border above and below, and the line of choices."""
WIDTH_MAX = 80
FRAME_COLUMNS = 4


class Choice(Static, can_focus=True):
    """A word that can be clicked. Enter on any of them cancels: only ``y`` and the mouse agree."""

    @dataclass
    class Pressed(Message):
        """It was clicked."""

        agrees: bool

    def __init__(self, words: str, *, agrees: bool, id: str) -> None:  # noqa: A002 - the library's word
        """``agrees`` tells Send from Cancel."""
        super().__init__(words, id=id, markup=False)
        self._agrees = agrees

    def on_click(self, event: events.Click) -> None:
        """Tell the dialog."""
        event.stop()
        self.post_message(self.Pressed(self._agrees))


class DialogBody(LinePane):
    """Lines that can be scrolled when they do not fit."""

    def __init__(self) -> None:
        """Empty."""
        super().__init__(id="body")
        self._all: tuple[Line, ...] = ()
        self._first = 0

    def show_all(self, lines: Sequence[Line]) -> None:
        """Take the whole text."""
        self._all = tuple(lines)
        self.scroll_lines(0)

    def scroll_lines(self, lines: int) -> None:
        """Move the window."""
        height = max(1, self.size.height)
        self._first = min(max(self._first + lines, 0), max(0, len(self._all) - height))
        self.show(self._all[self._first : self._first + height])

    @property
    def length(self) -> int:
        """Lines of the whole text."""
        return len(self._all)

    def on_resize(self, event: events.Resize) -> None:
        """Show as much as fits."""
        super().on_resize(event)
        self.scroll_lines(0)


class DeskDialog(ModalScreen[Answer | None], Generic[Answer], inherit_bindings=False):
    """A question over the Desk. ``None`` is the answer of every way out but agreeing."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.DIALOG)
    AUTO_FOCUS = "#cancel"

    def __init__(
        self, title: str, *, glyphs: Glyphs, simulated: bool = False, agree: str = "", cancel: str = "Close"
    ) -> None:
        """``agree`` names what ``y`` does; without it there is nothing to agree to."""
        super().__init__()
        self._glyphs = glyphs
        self._title = title
        self._agree = agree
        self._cancel = cancel
        self._ready = False
        self.body = DialogBody()
        """The text. Held, not queried: frames come while the library is taking the dialog apart."""
        self.set_class(simulated, "simulated")
        self.set_class(glyphs is ASCII, "ascii")

    def compose(self) -> ComposeResult:
        """The frame, the text, the choices."""
        with Vertical() as frame:
            frame.border_title = self._title.replace("[", "\\[")
            yield self.body
            with Horizontal(classes="choices"):
                yield Choice(f" {self._cancel}   Esc ", agrees=False, id="cancel")
                if self._agree:
                    yield Choice(f" {self._agree}   y ", agrees=True, id="agree")

    @property
    def text_width(self) -> int:
        """Cells of a line of the text."""
        return max(1, min(self.app.size.width, self.width_max) - FRAME_COLUMNS)

    @property
    def width_max(self) -> int:
        """Cells of the widest form of this dialog."""
        return WIDTH_MAX

    def on_mount(self) -> None:
        """Write the text."""
        self._ready = True
        self.write()

    def on_resize(self) -> None:
        """Write the text for the new width."""
        self.write()

    def write(self) -> None:
        """Draw the text as it is now, in as many lines as fit; nothing before there is something to draw on."""
        if not self._ready:
            return
        lines = self.lines()
        room = max(1, self.app.size.height - FRAME_LINES)
        height = max(1, min(len(lines), room))
        body = self.body
        if body.styles.height is None or body.styles.height.value != height:
            body.styles.height = height
        body.show_all(lines)

    def lines(self) -> list[Line]:
        """The text; subclasses say what it is."""
        return []

    def take_frame(self, frame: Frame) -> None:
        """Most dialogs do not live; those that do override this."""

    def action_cancel(self) -> None:
        """Leave without agreeing."""
        self.dismiss(None)

    def action_agree(self) -> None:
        """Nothing to agree to; subclasses decide."""

    def action_scroll(self, lines: int) -> None:
        """Scroll the text."""
        self.body.scroll_lines(lines)

    def on_choice_pressed(self, message: Choice.Pressed) -> None:
        """The mouse does what ``y`` and Esc do."""
        if message.agrees:
            self.action_agree()
        else:
            self.action_cancel()


class TextDialog(DeskDialog[None]):
    """A text to read: help, an event in full, an order's history."""

    def __init__(self, title: str, lines: Sequence[Line], *, glyphs: Glyphs, simulated: bool = False) -> None:
        """Show ``lines``."""
        super().__init__(title, glyphs=glyphs, simulated=simulated)
        self._text = list(lines)

    def lines(self) -> list[Line]:
        """The given text."""
        return self._text
