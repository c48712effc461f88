"""One line to type into on a screen that lies over the Desk: a time, a filter. Nothing runs without Enter."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from workstation.actions import Place
from workstation.widgets.bindings import bindings_of

PROMPT_MAX = 80
"""Characters; more is a paste gone wrong."""


class Prompt(Input, inherit_bindings=False):
    """An input without history. Keys of a line editor, and those of the registry for a prompt."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings_of(Place.PROMPT),
        Binding("left", "cursor_left", show=False),
        Binding("right", "cursor_right", show=False),
        Binding("ctrl+left", "cursor_left_word", show=False),
        Binding("ctrl+right", "cursor_right_word", show=False),
        Binding("backspace", "delete_left", show=False),
        Binding("delete", "delete_right", show=False),
        Binding("home,ctrl+a", "home", show=False),
        Binding("end,ctrl+e", "end", show=False),
        Binding("ctrl+u", "delete_left_all", show=False),
        # Keys of the screen below would move the tape or the rows while somebody types.
        Binding("up,down,tab,shift+tab,shift+left,shift+right", "nothing", show=False),
    ]

    def __init__(self) -> None:
        """Empty and out of sight."""
        super().__init__(id="prompt", compact=True, select_on_focus=False, max_length=PROMPT_MAX)

    def action_nothing(self) -> None:
        """Such keys mean nothing here."""
