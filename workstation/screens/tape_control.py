"""Moves the tape of a replay for one terminal: keys and sentences become actions, sent one after the other.

What is asked while an action is under way is joined to one next action, so a held key queues nothing; a refusal is said
in the engine's own words. Nothing here is known to be done before the engine's answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, time, timedelta

from engine.client import EngineClient
from engine.core.commands import MoveTape
from engine.core.errors import WorkstationError
from engine.core.replay import ReplayAction, ReplayView
from engine.core.views import DeskView
from workstation.formatting import clock_time, india
from workstation.presenters.replay_words import PLAYING, SEEKING, SPEEDS, speed_words

GROUP = "tape"


class TapeControl:
    """The tape as far as this terminal knows it, and what it asks of it.

    Args:
        engine: The door.
        run: Runs the questions in the background of the terminal.
        notify: Says what came of it.
        desk: The newest picture of the engine.
    """

    def __init__(
        self,
        engine: EngineClient,
        run: Callable[[Callable[[], Coroutine[object, object, None]], str, bool], None],
        notify: Callable[[str, str], None],
        desk: Callable[[], DeskView | None],
    ) -> None:
        self._engine = engine
        self._run = run
        self._notify = notify
        self._desk = desk
        self._answer: ReplayView | None = None
        self._seen_then: ReplayView | None = None
        """What the engine's picture said when ``_answer`` came: while it says the same, the answer is newer."""
        self._waiting: ReplayAction | None = None
        self._under_way: ReplayAction | None = None
        self._was_playing = False
        """Whether it played before the seek that is under way."""

    @property
    def view(self) -> ReplayView | None:
        """Where the tape stands, by the newest that was heard."""
        pictured = self._pictured()
        newest = pictured if self._answer is None or pictured is not self._seen_then else self._answer
        if newest is not None and newest.state != SEEKING:
            self._was_playing = newest.state == PLAYING
        return newest

    def heard(self, view: ReplayView) -> None:
        """An answer about the tape, whoever asked."""
        self._answer, self._seen_then = view, self._pictured()

    def toggle(self) -> None:
        """Play, or pause."""
        view = self.view
        plays = view is not None and (view.state == PLAYING or (view.state == SEEKING and self._was_playing))
        plays = next((one.play for one in self._unanswered() if one.play is not None), plays)
        self._ask(ReplayAction(play=not plays))

    def change_speed(self, steps: int) -> None:
        """The next speed of the list, faster or slower; the last one at its end."""
        view = self.view
        if view is None:
            self._unknown()
            return
        speed = next((one.speed for one in self._unanswered() if one.speed is not None), view.speed)
        for _ in range(abs(steps)):
            others = [one for one in SPEEDS if (one > speed if steps > 0 else one < speed)]
            if not others:
                break
            speed = min(others) if steps > 0 else max(others)
        if speed == view.speed and self._waiting is None and self._under_way is None:
            self._notify(f"{speed:g}x is the {'fastest' if steps > 0 else 'slowest'} speed.", "")
            return
        self._ask(ReplayAction(speed=speed))

    def seek_by(self, seconds: float) -> None:
        """Go on or back from where the tape stands or is on its way to, within the tape."""
        view = self.view
        if view is None:
            self._unknown()
            return
        base = view.target if view.state == SEEKING and view.target is not None else view.now
        base = next((one.seek for one in self._unanswered() if one.seek is not None), base)
        wanted = base + timedelta(seconds=seconds)
        self._ask(ReplayAction(seek=min(max(wanted, view.start), view.end)))

    def step(self, frames: int) -> None:
        """So many frames on, then pause."""
        self._ask(ReplayAction(step_frames=frames))

    def do(self, wish: MoveTape) -> None:
        """What a sentence asks."""
        if wish.by_s is not None:
            self.seek_by(wish.by_s)
            return
        seek: datetime | None = None
        if wish.to is not None:
            view = self.view
            if view is None:
                self._unknown()
                return
            seek = moment_on_tape(view, wish.to)
        self._ask(ReplayAction(play=wish.play, speed=wish.speed, seek=seek, step_frames=wish.steps))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _pictured(self) -> ReplayView | None:
        desk = self._desk()
        return None if desk is None else desk.status.replay

    def _unanswered(self) -> tuple[ReplayAction, ...]:
        """What has been asked for and not been answered, newest first."""
        return tuple(one for one in (self._waiting, self._under_way) if one is not None)

    def _unknown(self) -> None:
        """Nothing is known of a tape: the engine says why, or where it stands."""
        self._ask(ReplayAction())

    def _ask(self, action: ReplayAction) -> None:
        idle = self._waiting is None and self._under_way is None
        self._waiting = action if self._waiting is None else joined(self._waiting, action)
        if idle:
            self._run(self._settle, GROUP, False)

    async def _settle(self) -> None:
        while (action := self._waiting) is not None:
            self._waiting, self._under_way = None, action
            try:
                asked = action if action != ReplayAction() else None
                view = await self._engine.replay(asked)
            except WorkstationError as error:
                self._notify(str(error), "attention")
            else:
                self.heard(view)
                self._notify(answer_words(action, view), "")
            finally:
                self._under_way = None


def joined(first: ReplayAction, second: ReplayAction) -> ReplayAction:
    """One action that does what both would do one after the other."""
    seek, steps, play = first.seek, first.step_frames, first.play
    if second.seek is not None:
        # Where a step would have led does not matter any more; that it pauses does.
        play = False if steps else play
        seek, steps = second.seek, None
    if second.step_frames is not None:
        steps, play = (steps or 0) + second.step_frames, None
    if second.play is not None:
        play = second.play
    speed = first.speed if second.speed is None else second.speed
    return ReplayAction(play=play, speed=speed, seek=seek, step_frames=steps)


def moment_on_tape(view: ReplayView, at: time) -> datetime:
    """The first moment of the tape with this Indian clock time; one that is not on it where there is none."""
    start = india(view.start)
    moment = datetime.combine(start.date(), at, tzinfo=start.tzinfo)
    next_day = moment + timedelta(days=1)
    found = next_day if moment < start and next_day <= view.end else moment
    return found.astimezone(UTC)


def answer_words(action: ReplayAction, view: ReplayView) -> str:
    """What came of an action."""
    if action.seek is not None and view.state == SEEKING:
        return f"Seeking {clock_time(action.seek)}."
    return f"The tape is {view.state} at {clock_time(view.now)}, {speed_words(view.speed)}."
