"""What the parts of the Desk share: the door to the engine, time, settings, and what this terminal is looking at."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import msgspec

from engine.client import EngineClient
from engine.core.commands import CancelOrders, Command, PlaceOrder, Receipt, Reconcile
from engine.core.ports import Clock
from engine.core.views import ChainView, DeskView
from engine.core.vocabulary import Venue
from workstation.actions import Registry
from workstation.formatting import Glyphs
from workstation.presenters.accounts import whose, whose_words
from workstation.presenters.desk_state import DeskState, Notice
from workstation.presenters.settings import TerminalSettings
from workstation.presenters.status import is_simulated
from workstation.screens.tape_control import TapeControl

Run = Callable[[Callable[[], Coroutine[object, object, None]], str, bool], None]
"""Run something in the background: what, its group, and whether a newer one of the group replaces it.

For looking things up only. Commands travel by ``Submit``, which nothing cancels.
"""
Submit = Callable[[Command, Callable[[Receipt], None]], None]
"""Hand a command over; the receipt comes back by the callback."""
OpenPlace = Callable[[str, str], None]
"""Open a screen by its name, with what it should look at: ``("strategy", "3")``; ``("desk", "orders")`` is a pane of
the Desk. An empty subject leaves the choice to the screen."""


@dataclass(slots=True)
class Picture:
    """What was last seen of the engine. Frozen, the drawn ones stay behind the living ones."""

    live_desk: DeskView | None = None
    desk: DeskView | None = None
    """The one that is drawn."""
    chain: ChainView | None = None
    """The one that is drawn."""
    trouble: str = ""


@dataclass(slots=True)
class DeskContext:
    """Handed to each part of one Desk by constructor."""

    engine: EngineClient
    clock: Clock
    settings: TerminalSettings
    glyphs: Glyphs
    registry: Registry
    state: DeskState
    run: Run
    submit: Submit
    open_place: OpenPlace
    new_key: Callable[[], str]
    picture: Picture = field(default_factory=Picture)
    tape: TapeControl = field(init=False)
    """The tape of a replay; where there is none, the engine says so when it is asked to move."""

    def __post_init__(self) -> None:
        """The tape is moved through the same door."""
        self.tape = TapeControl(self.engine, self.run, self.notify, lambda: self.picture.live_desk)

    def notify(self, text: str, tone: str = "") -> None:
        """Put an answer on the message line."""
        self.state.notice = Notice(text, tone, self.clock.monotonic() + self.settings.notice_s)

    @property
    def simulated(self) -> bool:
        """Whether nothing on this venue reaches the exchange; unknown counts as simulated."""
        desk = self.picture.live_desk
        return desk is None or is_simulated(desk.status.venue)

    @property
    def is_replay(self) -> bool:
        """Whether the venue plays a tape."""
        desk = self.picture.live_desk
        return desk is not None and desk.status.venue is Venue.REPLAY

    @property
    def venue_words(self) -> str:
        """``LIVE main AB1234``, for dialogs; the account that is looked at, ``4 accounts`` for all of several."""
        desk = self.picture.live_desk
        if desk is None:
            return ""
        return f"{desk.status.venue.value.upper()} {whose_words(desk.status, self.state.account)}"

    def venue_words_of(self, command: Command) -> str:
        """The same for the account that a command is for."""
        desk = self.picture.live_desk
        if desk is None:
            return ""
        return f"{desk.status.venue.value.upper()} {whose_words(desk.status, whose(command, desk))}"

    def addressed(self, command: Command) -> Command:
        """The same for the account that is looked at alone, where it names none and would be the first's or all's."""
        account = self.state.account
        match command:
            case PlaceOrder(account=None) | Reconcile(account=None) | CancelOrders(everything=True, account=None):
                return msgspec.structs.replace(command, account=account)
        return command

    def report(self, receipt: Receipt) -> None:
        """Say what became of a command."""
        if receipt.accepted:
            self.notify(receipt.message)
            return
        reasons = "  ".join(violation.message for violation in receipt.violations)
        self.notify(f"Refused. {reasons or receipt.message}", "attention")
