"""A screen over the Desk with a line to type into, which stands where the message stands while it is open."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from workstation.actions import Place
from workstation.screens.context import DeskContext
from workstation.screens.place import PlaceScreen
from workstation.widgets.prompt import Prompt


class PromptingScreen(PlaceScreen):
    """Subclasses open the prompt with ``ask_for`` and take what was typed in ``take_text``."""

    def __init__(self, context: DeskContext, *, id: str, own_places: tuple[Place, ...]) -> None:  # noqa: A002
        """The prompt is closed."""
        super().__init__(context, id=id, own_places=own_places)
        self._prompt = self.make_prompt()
        self._sign = Static("", id="prompt-sign", markup=False)
        self._prompt_line = Horizontal(self._sign, self._prompt, id="prompt-line")
        self._show_prompt(shown=False)

    def compose(self) -> ComposeResult:
        """The standing lines around the body, the prompt above the keys."""
        yield self._status
        yield from self.body()
        yield self._message
        yield self._prompt_line
        yield self._keys

    def make_prompt(self) -> Prompt:
        """The line to type into; subclasses may give it more keys."""
        return Prompt()

    @property
    def is_asking(self) -> bool:
        """Whether somebody types."""
        return bool(self._prompt_line.display)

    @property
    def typed(self) -> str:
        """The text so far."""
        return self._prompt.value

    def take_text(self, text: str) -> bool:
        """Take what was typed; ``False`` leaves it there to be mended."""
        del text
        return True

    def ask_for(self, what: str, text: str = "") -> None:
        """Open the prompt, with ``text`` in it already."""
        self._shared.state.count = ""
        self._sign.update(f" {what} ")
        self._prompt.value = text
        self._prompt.cursor_position = len(text)
        self._show_prompt(shown=True)
        self.set_focus(self._prompt)

    def shown_places(self) -> tuple[Place, ...]:
        """While somebody types, only those keys mean something."""
        return (Place.PROMPT,) if self.is_asking else super().shown_places()

    def take_key(self, key: str, character: str | None) -> bool:
        """While somebody types each character is text, also one that came before the prompt had focus."""
        if not self.is_asking:
            return super().take_key(key, character)
        if character is None or not character.isprintable():
            return False
        self._prompt.insert_text_at_cursor(character)
        return True

    def action_take_prompt(self) -> None:
        """Take what was typed."""
        if self.take_text(self._prompt.value.strip()):
            self._close()

    def action_close_prompt(self) -> None:
        """Forget what was typed."""
        self._close()

    def _close(self) -> None:
        self._prompt.value = ""
        self.set_focus(None)
        self._show_prompt(shown=False)
        self.after_prompt()

    def after_prompt(self) -> None:
        """The prompt is closed; where keys act next is the subclass's to say."""

    def _show_prompt(self, *, shown: bool) -> None:
        self._prompt_line.display = shown
        # Closed, it is nowhere that Tab or the opening of the screen could lead.
        self._prompt.can_focus = shown
