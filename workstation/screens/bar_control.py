"""The command bar's meaning: each text is looked at while it is typed; Enter acts only on what was understood."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from engine.core.commands import Command, Interpretation, Quit, Receipt, ScreenWish
from engine.core.errors import WorkstationError
from workstation.presenters.eta import leaves_in
from workstation.presenters.ghost import Ghost, completed, needs_review
from workstation.screens.context import DeskContext
from workstation.widgets.command_bar import CommandBar

MILLISECONDS = 1000.0
ASK_AGAIN_S = 1.0
"""A sentence whose orders would have to wait for the broker's limits is looked at again so often."""
LEAVE = "quit"
"""The sentence that must be understood without an engine."""

ReviewCommand = Callable[[Command, str, Callable[[Receipt], None]], None]


class BarControl:
    """Joins the bar with the engine's grammar."""

    def __init__(
        self, context: DeskContext, bar: CommandBar, *, review: ReviewCommand, wish: Callable[[ScreenWish], None]
    ) -> None:
        """``review`` opens a command for review, ``wish`` does what concerns the screen alone."""
        self._context = context
        self._bar = bar
        self._review = review
        self._wish = wish
        self._enter_for: str | None = None
        self._choice = 0
        self._completing: Interpretation | None = None
        self.ghost = Ghost()

    def changed(self, text: str) -> None:
        """A new text: forget what the old one meant, look at this one."""
        if self.ghost.interpretation is not None and self.ghost.interpretation.text == text:
            return
        self.ghost = Ghost()
        self._enter_for = None
        self._context.run(partial(self._look, text), "ghost", True)

    def enter(self) -> None:
        """Act on the text; if its meaning is still on the way, as soon as it is there and the text is the same."""
        text = self._bar.value
        if not text.strip():
            return
        interpretation = self.ghost.interpretation
        if interpretation is not None and interpretation.text == text:
            self._act(interpretation)
            return
        self._enter_for = text
        self._context.run(partial(self._look, text), "ghost", True)

    def complete(self) -> None:
        """Take a word that fits; again for the next one."""
        interpretation = self.ghost.interpretation
        going_on = self._completing is not None and self._bar.value in self._offers(self._completing)
        if going_on:
            self._choice += 1
        elif interpretation is not None and interpretation.error is not None and interpretation.error.choices:
            self._completing, self._choice = interpretation, 0
        else:
            return
        base = self._completing
        if base is not None and base.error is not None:
            self._bar.value = completed(base.text, base.error, self._choice)
            self._bar.cursor_position = len(self._bar.value)

    def _offers(self, interpretation: Interpretation) -> set[str]:
        error = interpretation.error
        if error is None:
            return set()
        return {completed(interpretation.text, error, choice) for choice in range(len(error.choices))}

    async def _look(self, text: str) -> None:
        context = self._context
        try:
            interpretation = await context.engine.interpret(text, context.state.account)
        except WorkstationError as error:
            if self._enter_for == text and text.strip() == LEAVE:
                # Without an engine no sentence is understood; whoever wants to leave is not kept.
                self._done(text)
                self._wish(Quit())
                return
            self.ghost = Ghost(trouble=str(error))
            return
        if self._bar.value != text:
            return
        self.ghost = Ghost(interpretation=interpretation)
        if self._enter_for == text:
            self._enter_for = None
            self._act(interpretation)
        if interpretation.command is None:
            return
        await context.clock.sleep(context.settings.ghost_delay_ms / MILLISECONDS)
        while await self._price(interpretation, interpretation.command):
            await context.clock.sleep(ASK_AGAIN_S)

    async def _price(self, interpretation: Interpretation, command: Command) -> bool:
        """Show what it would do; whether that is to be asked again: others send too, and it would have to wait."""
        try:
            preview = await self._context.engine.preview(command)
        except WorkstationError as error:
            self.ghost = Ghost(interpretation=interpretation, trouble=str(error))
            return False
        if self._bar.value != interpretation.text:
            return False
        self.ghost = Ghost(interpretation=interpretation, preview=preview)
        return bool(leaves_in(preview.eta_s))

    def _act(self, interpretation: Interpretation) -> None:
        if interpretation.error is not None:
            return
        if interpretation.wish is not None:
            self._done(interpretation.text)
            self._wish(interpretation.wish)
            return
        command = interpretation.command
        if command is None:
            return

        def answered(receipt: Receipt) -> None:
            if receipt.accepted:
                self._done(interpretation.text)

        def direct(receipt: Receipt) -> None:
            self._context.report(receipt)
            answered(receipt)

        if needs_review(command):
            self._review(command, interpretation.text.strip(), answered)
        else:
            self._context.submit(command, direct)

    def _done(self, text: str) -> None:
        """The sentence was acted on: keep it in the history, and clear the bar if it still stands there."""
        self._bar.remember(text)
        if self._bar.value == text:
            self._bar.value = ""
