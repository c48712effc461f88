"""What keys do on every main screen: counts, pairs of keys, freezing, marks, units, events, disarming.

All of it acts on the one state that the screens of a terminal share, so a frozen picture stays frozen and a mark stays
chosen when another screen is opened.
"""

from __future__ import annotations

from typing import ClassVar

from textual.screen import Screen

from engine.core.commands import AcknowledgeEvent, SetMode
from engine.core.vocabulary import Mark, Mode
from workstation.actions import When
from workstation.formatting import SECONDS_PER_MINUTE
from workstation.frames import Frame
from workstation.presenters.events import unread_events
from workstation.presenters.keyline import HOT_LOTS
from workstation.screens.context import DeskContext
from workstation.screens.places import PLACE_OF_LETTER, STRATEGY, VOLATILITY
from workstation.widgets.panes import TONE_CLASSES


class KeysEverywhere(Screen[None], inherit_bindings=False):
    """Subclasses say what the second key of ``w`` and ``g`` means there, and draw anew on ``forget``."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)

    def __init__(self, context: DeskContext, *, id: str) -> None:  # noqa: A002 - the library's word
        """Act on what ``context`` shares."""
        super().__init__(id=id)
        self._shared = context
        self._frame: Frame | None = None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of a replay mean nothing where there is none; what else they mean comes next."""
        if self._shared.registry.condition_of(action) is When.REPLAY and not self._shared.is_replay:
            return False
        return super().check_action(action, parameters)

    def forget(self) -> None:
        """Draw everything anew in the next frame."""

    def second_key(self, prefix: str, key: str) -> bool:
        """The second key of a pair; whether it means anything here."""
        state = self._shared.state
        if prefix == "A" and key == "c":
            self._shared.submit(SetMode(mode=Mode.CONFIRM), self._shared.report)
        elif prefix == "A" and key == "h":
            state.prefix, state.count = HOT_LOTS, ""
        elif prefix == HOT_LOTS and key == "enter" and state.count:
            self._shared.submit(SetMode(mode=Mode.HOT, lots=state.take_count()), self._shared.report)
        elif prefix == "g" and key in PLACE_OF_LETTER:
            self.go_over(PLACE_OF_LETTER[key])
        else:
            return False
        return True

    def go_over(self, place: str) -> None:
        """Open a screen that lies over the Desk; a count says what it looks at: ``3gs`` is strategy 3."""
        count = self._shared.state.take_count(0)
        self._shared.open_place(place, str(count) if count else "")

    def take_key(self, key: str, character: str | None) -> bool:
        """A key before any binding sees it: the second key of a pair, a digit of a count. Whether it was taken."""
        state = self._shared.state
        if state.prefix == HOT_LOTS and _is_digit(character):
            state.add_digit(character or "")
            return True
        if state.prefix:
            prefix, state.prefix = state.prefix, ""
            if not self.second_key(prefix, key):
                if prefix == HOT_LOTS:
                    state.count = ""
                if key != "escape":
                    self._shared.notify(f"{prefix} {key} means nothing here; ? lists the keys.")
            return True
        if _is_digit(character):
            state.add_digit(character or "")
            return True
        return False

    def action_prefix(self, key: str) -> None:
        """Wait for the second key of a pair."""
        self._shared.state.prefix = key

    def action_freeze(self) -> None:
        """Freeze the picture, or let it go on."""
        state = self._shared.state
        if state.frozen_since is not None:
            state.frozen_since = None
        elif self._frame is not None:
            state.frozen_since = self._frame.market_now
        self.forget()

    def action_next_mark(self) -> None:
        """The next mark."""
        marks = list(Mark)
        state = self._shared.state
        state.mark = marks[(marks.index(state.mark) + 1) % len(marks)]

    def action_units(self) -> None:
        """Lots or units."""
        self._shared.state.as_units = not self._shared.state.as_units

    def action_acknowledge(self) -> None:
        """Acknowledge the oldest unread event."""
        desk = self._shared.picture.live_desk
        waiting = unread_events(desk.events, desk.status.unread_events) if desk is not None else ()
        if not waiting:
            self._shared.notify("No event waits to be read.")
            return
        event = waiting[0]
        self._shared.notify(event.text)
        self._shared.submit(AcknowledgeEvent(sequence=event.sequence), lambda _: None)

    def action_strategy(self) -> None:
        """The screen of a strategy."""
        self.go_over(STRATEGY)

    def action_volatility(self) -> None:
        """The screen of volatilities."""
        self.go_over(VOLATILITY)

    def action_open(self, place: str) -> None:
        """The screen of this name."""
        self.go_over(place)

    def action_tape_toggle(self) -> None:
        """Play the tape, or pause it."""
        self._shared.tape.toggle()

    def action_tape_speed(self, step: int) -> None:
        """Slower or faster."""
        self._shared.tape.change_speed(step * self._shared.state.take_count())

    def action_tape_step(self) -> None:
        """So many frames on, then pause."""
        self._shared.tape.step(self._shared.state.take_count())

    def action_tape_seek(self, minutes: int) -> None:
        """Back or on by minutes."""
        self._shared.tape.seek_by(minutes * self._shared.state.take_count() * SECONDS_PER_MINUTE)

    def action_disarm(self) -> None:
        """READ at once."""
        self._shared.submit(SetMode(mode=Mode.READ), self._shared.report)

    def action_next_pane(self) -> None:
        """The pane after the one with focus."""
        self.focus_next()

    def action_previous_pane(self) -> None:
        """The pane before the one with focus."""
        self.focus_previous()


def _is_digit(character: str | None) -> bool:
    return character is not None and character.isdecimal() and character.isascii()
