"""The panel that the panic key opens, over everything. The hold has been asked for before it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import BindingType

from engine.core.commands import Command, KillSwitch, Receipt, ReleaseHold
from engine.core.identifiers import StrategyNumber
from engine.core.ports import Clock
from engine.core.views import DeskView
from workstation.actions import Place
from workstation.dialogs.base import DeskDialog
from workstation.formatting import Glyphs
from workstation.frames import Frame
from workstation.presenters.lines import Line
from workstation.presenters.panic import Carrier, PanicSession, open_strategies, panic_lines, panic_title
from workstation.widgets.bindings import bindings_of

Submit = Callable[[Command, Callable[[Receipt], None]], None]
RunProcess = Callable[[bool], None]
"""Start the kill process; whether it flattens."""


class PanicDialog(DeskDialog[None], inherit_bindings=False):
    """Esc releases; a number, X, K and the panic key itself flatten, once they count."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.PANIC)

    def __init__(
        self,
        *,
        submit: Submit,
        run_process: RunProcess | None,
        picture: Callable[[], DeskView | None],
        venue_words: str,
        clock: Clock,
        glyphs: Glyphs,
        simulated: bool,
    ) -> None:
        """``run_process`` is ``None`` where the kill process cannot reach the engine's broker: elsewhere."""
        super().__init__("HELD", glyphs=glyphs, simulated=simulated, cancel="Release")
        self._submit = submit
        self._run_process = run_process
        self._picture = picture
        self._venue_words = venue_words
        self._clock = clock
        self.session = PanicSession(clock.monotonic(), has_process=run_process is not None)

    def on_mount(self) -> None:
        """Ask for the hold was made already; count from the first paint."""
        super().on_mount()
        self.call_after_refresh(self.session.painted)

    def lines(self) -> list[Line]:
        """What is so now."""
        return panic_lines(self.session, self._picture(), self.text_width, self._glyphs)

    def write(self) -> None:
        """The title says HELD or KILLED as the engine does."""
        for frame in self.query("DeskDialog > Vertical"):
            frame.border_title = panic_title(self._picture(), self._venue_words).replace("[", "\\[")
        super().write()

    def take_frame(self, frame: Frame) -> None:
        """Figures go on; an engine that says nothing is not waited for."""
        del frame
        if self.session.overdue(self._clock.monotonic()):
            self._by_process()
        self.write()

    def press_again(self) -> None:
        """The panic key while the panel is there."""
        if self.session.panic_key(self._clock.monotonic()):
            self._flatten(KillSwitch())
        self.write()

    def on_key(self, event: events.Key) -> None:
        """Digits name a strategy; Enter ends them."""
        if event.character is not None and event.character.isascii() and event.character.isdecimal():
            event.stop()
            self._take(self.session.digit(event.character, self._numbers()))
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            self._take(self.session.typed(self._numbers()))

    def action_flatten_all(self) -> None:
        """Everything."""
        self._flatten_when_counting(KillSwitch())

    def action_lock(self) -> None:
        """Everything, and locked until somebody unlocks."""
        self._flatten_when_counting(KillSwitch(lock=True))

    def action_cancel(self) -> None:
        """Release the hold; when something is being flattened the hold stays."""
        if not self.session.has_flattened and self.session.carrier is Carrier.ENGINE:
            self._submit(ReleaseHold(), lambda _: None)
        self.dismiss(None)

    def held(self, command: Command, receipt: Receipt) -> None:
        """The engine has answered."""
        self.session.answered(command, receipt)
        self.write()

    def heard(self, line: str) -> None:
        """The kill process says something."""
        self.session.heard(line)
        self.write()

    def ended(self, code: int) -> None:
        """The kill process has ended."""
        self.session.ended(code)
        self.write()

    def _numbers(self) -> tuple[StrategyNumber, ...]:
        return tuple(value.strategy.number for value in open_strategies(self._picture()))

    def _take(self, number: StrategyNumber | None) -> None:
        if number is not None:
            self._flatten_when_counting(KillSwitch(strategy=number))
        self.write()

    def _flatten_when_counting(self, command: KillSwitch) -> None:
        if self.session.may_flatten(self._clock.monotonic()):
            self._flatten(command)
        self.write()

    def _flatten(self, command: KillSwitch) -> None:
        if self.session.silent or self.session.carrier is Carrier.PROCESS:
            if command.strategy is None:
                self.session.ask(command, self._clock.monotonic())
                self._by_process()
            else:
                self.session.heard("Without the engine one strategy cannot be flattened: X flattens everything.")
            return
        self.session.ask(command, self._clock.monotonic())
        self._submit(command, lambda receipt: self.held(command, receipt))

    def _by_process(self) -> None:
        if self._run_process is not None:
            self.session.by_process()
            self._run_process(self.session.has_flattened)
