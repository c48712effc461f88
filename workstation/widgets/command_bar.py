"""The command bar: one line of text that is never eaten. Paste only fills it; nothing runs without Enter."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from workstation.actions import Place
from workstation.widgets.bindings import bindings_of

SENTENCE_MAX = 1500
"""Characters of a sentence; more is a paste gone wrong."""


class CommandBar(Input, inherit_bindings=False):
    """An input with history. Keys of a line editor, and those of the registry for the bar."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings_of(Place.BAR),
        Binding("left", "cursor_left", show=False),
        Binding("right", "cursor_right", show=False),
        Binding("ctrl+left", "cursor_left_word", show=False),
        Binding("ctrl+right", "cursor_right_word", show=False),
        Binding("backspace", "delete_left", show=False),
        Binding("delete", "delete_right", show=False),
        Binding("home,ctrl+a", "home", show=False),
        Binding("end,ctrl+e", "end", show=False),
        Binding("ctrl+u", "delete_left_all", show=False),
    ]

    def __init__(self, *, history_size: int, id: str = "bar") -> None:  # noqa: A002 - the library's word
        """Remember ``history_size`` sentences; the oldest are dropped."""
        super().__init__(id=id, compact=True, select_on_focus=False, max_length=SENTENCE_MAX)
        self._history: deque[str] = deque(maxlen=history_size)
        self._place = 0
        self._draft = ""

    def remember(self, sentence: str) -> None:
        """Keep a sentence that was acted on; a repetition is kept once."""
        if sentence.strip() and (not self._history or self._history[-1] != sentence):
            self._history.append(sentence)
        self._place = len(self._history)

    def browse(self, step: int) -> None:
        """Show an older (-1) or newer (+1) sentence; past the newest stands what was being typed."""
        if self._place >= len(self._history):
            self._place, self._draft = len(self._history), self.value
        self._place = min(max(self._place + step, 0), len(self._history))
        self.value = self._history[self._place] if self._place < len(self._history) else self._draft
        self.cursor_position = len(self.value)

    @property
    def text_start(self) -> int:
        """Column, inside the bar, of the first character; negative when the text is scrolled."""
        return -self.scroll_offset.x
