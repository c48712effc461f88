"""Plays a tape: at a speed, paused, frame by frame, or as fast as it goes to a moment that was asked for.

What is sent to those who subscribed is the tape's own sequence of instants, whatever was paused, sought or sped up
meanwhile. Invariant: an instant is written down as played before anybody is sent it, so that after a kill the tape goes
on there and never earlier; orders are matched at an instant once, and never at one that the trader has seen already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from engine.core.replay import SPEED_MAX, SPEED_MIN, ReplayView
from engine.practice.calendar_facts import indian
from engine.practice.frame_exchange import FrameExchange
from engine.practice.frame_packets import read_runs
from engine.practice.frame_stream import FrameHub
from engine.practice.session_clock import FeedClock
from engine.practice.tape_position import Position, PositionFile
from engine.practice.tape_timeline import LOST, SECOND_NS, Instant, instants
from engine.practice.wire import ErrorType, KiteError, input_error
from engine.tape.reader import TapeReader, to_moment

_log = logging.getLogger(__name__)
_BREATH_SECONDS = 0.005
"""Work at one go before others on the loop get their turn."""
_LAG_SECONDS = 1.0
"""A player that is further behind its pace than this goes on from where it is instead of hurrying."""
TIME, RESTART, END = "time", "restart", "end"


@dataclass(frozen=True, slots=True)
class PlaybackRequest:
    """What is asked of the player; the order is pause, seek, step, speed, play."""

    play: bool | None = None
    speed: float | None = None
    seek_ns: int | None = None
    step_frames: int | None = None


class Player:
    """Plays one tape to the ticker's connections and to the exchange.

    Args:
        reader: The tape.
        name: What it is called.
        exchange: The exchange that fills orders against it.
        clock: Market time.
        hub: The ticker.
        position: Where it stands, kept over restarts.
        speed: Market seconds per second.
        play: Begin at once; a tape that was played before comes back paused.
    """

    def __init__(
        self,
        reader: TapeReader,
        name: str,
        *,
        exchange: FrameExchange,
        clock: FeedClock,
        hub: FrameHub,
        position: PositionFile,
        speed: float,
        play: bool,
    ) -> None:
        self._reader = reader
        self._name = name
        self._exchange = exchange
        self._clock = clock
        self._hub = hub
        self._position = position
        self._resume = position.read()
        self._speed = _checked_speed(speed)
        self._is_playing = play and self._resume is None
        self._has_ended = False
        self._steps = 0
        self._target_ns: int | None = None
        self._is_resuming = self._resume is not None
        self._frames = 0
        self._now_ns = reader.start_ns
        self._unmatched_ns = self._resume.unmatched_ns if self._resume else 0
        """Up to here orders have met the tape already, before a seek back or a restart."""
        self._is_rewinding = False
        self._is_lost = False
        """The recorded feed, or a part of it, is down where the tape stands."""
        self._timeline: Iterator[Instant] = instants(reader)
        self._instant: Instant | None = None
        self._done = 0
        """Frames of the present instant that were played."""
        self._changed = asyncio.Event()
        self._feed()
        self._anchor = (0.0, 0)

    @property
    def is_standing(self) -> bool:
        """True when nothing will be sent until somebody asks for it."""
        return not (self._is_resuming or self._target_ns is not None or self._steps or self._is_playing)

    @property
    def is_lost(self) -> bool:
        """True where the recorded feed, or a part of it, was down."""
        return self._is_lost

    def view(self) -> ReplayView:
        """Return where the tape stands."""
        if self._target_ns is not None or self._is_resuming or self._steps:
            state = "seeking"
        elif self._has_ended:
            state = "ended"
        else:
            state = "playing" if self._is_playing else "paused"
        target = self._resume.market_ns if self._is_resuming and self._resume else self._target_ns
        return ReplayView(
            tape=self._name,
            start=to_moment(self._reader.start_ns),
            end=to_moment(self._reader.end_ns),
            now=to_moment(self._now_ns),
            speed=self._speed,
            state=state,
            target=None if target is None else to_moment(target),
            frames=self._frames,
            damage=self._reader.damage,
        )

    def greeting(self) -> str:
        """Return the clock as a new connection is told it."""
        if self._is_lost:
            return _clock_text(self._now_ns, LOST)
        return _clock_text(self._now_ns, END if self._has_ended else TIME)

    def act(self, asked: PlaybackRequest) -> ReplayView:
        """Do what is asked; a seek has begun, and not ended, when this returns.

        Raises:
            KiteError: HTTP 400; nothing of it was done.
        """
        self._check(asked)
        if asked.play is False:
            self._is_playing = False
        if asked.seek_ns is not None:
            self._seek(asked.seek_ns)
        if asked.step_frames:
            self._steps, self._is_playing = asked.step_frames, False
        if asked.speed is not None:
            self._speed = asked.speed
        if asked.play:
            self._is_playing = True
        self._set_pace()
        self._changed.set()
        return self.view()

    async def run(self) -> None:
        """Play until cancelled."""
        loop = asyncio.get_running_loop()
        if not self._is_resuming:
            self._exchange.resume()
        self._set_pace()
        breath = loop.time()
        while True:
            self._changed.clear()
            if self.is_standing or (self._has_ended and self._target_ns is None):
                await self._changed.wait()
                continue
            upcoming = self._peek()
            if self._settle(upcoming):
                continue
            if upcoming is None:
                self._end()
                continue
            if self._is_paced() and await self._waits(upcoming):
                continue
            if not self._is_resuming:
                # What was asked while waiting for a slow socket counts first.
                await self._hub.room()
                if self._changed.is_set():
                    continue
            self._play(upcoming)
            if loop.time() - breath >= _BREATH_SECONDS:
                await asyncio.sleep(0)
                breath = loop.time()

    def _check(self, asked: PlaybackRequest) -> None:
        if self._is_resuming:
            raise _refusal("The tape is being brought to where it stood before; ask again in a moment.")
        if asked.speed is not None:
            _checked_speed(asked.speed)
        if asked.step_frames is not None and asked.step_frames < 1:
            raise input_error(f"`step_frames` must be at least 1, not {asked.step_frames}.")
        seek = asked.seek_ns
        if seek is None:
            if self._has_ended and (asked.play or asked.step_frames):
                raise _refusal("The tape has ended; seek back to play it again.")
            return
        start, end = self._reader.start_ns, self._reader.end_ns
        if not start <= seek <= end:
            span = f"{_indian_words(start)} to {_indian_words(end)}"
            raise input_error(f"`seek` {_indian_words(seek)} is not on the tape, which goes from {span}.")
        if seek < max(self._now_ns, self._unmatched_ns):
            self._check_nothing_lost(seek)

    def _check_nothing_lost(self, seek_ns: int) -> None:
        """Refuse to go back before what the book holds: it cannot be undone."""
        moment = seek_ns / SECOND_NS
        deed = self._exchange.deed_after(moment)
        if deed is not None:
            raise _refusal(
                f"The tape cannot go back to {_indian_words(seek_ns)}: {deed}, and the book of this replay "
                "keeps it. Begin the replay anew to play that time again."
            )

    def _seek(self, seek_ns: int) -> None:
        if seek_ns <= self._now_ns:
            self._restart()
            self._is_rewinding = True
            self._feed()
        self._target_ns = seek_ns
        self._unmatched_ns = min(self._unmatched_ns, seek_ns)

    def _restart(self) -> None:
        """Begin the tape again; orders that stand have lived until now and are not matched a second time."""
        self._unmatched_ns = max(self._unmatched_ns, self._now_ns)
        self._timeline, self._instant, self._done = instants(self._reader), None, 0
        self._now_ns, self._frames, self._has_ended = self._reader.start_ns, 0, False
        self._is_lost = False
        self._exchange.market.forget()
        self._clock.put(self._now_ns / SECOND_NS)
        self._exchange.look_again()
        self._keep_position(self._now_ns, 0)
        self._hub.tell(_clock_text(self._now_ns, RESTART))

    def _peek(self) -> Instant | None:
        if self._instant is None:
            self._instant, self._done = next(self._timeline, None), 0
        return self._instant

    def _settle(self, upcoming: Instant | None) -> bool:
        """End a seek or a resumption that has reached its goal; True when the loop must look again."""
        if self._is_resuming:
            if upcoming is not None and self._was_played(upcoming):
                return False
            self._is_resuming = False
            self._feed()
            self._exchange.look_again()
            self._exchange.resume()
            self._set_pace()
            _log.info("the tape stands where it stood before, at %s", to_moment(self._now_ns).isoformat())
            return True
        if self._target_ns is not None and (upcoming is None or upcoming.market_ns > self._target_ns):
            self._target_ns = None
            if self._is_rewinding:
                self._is_rewinding = False
                self._feed()
                self._exchange.look_again()
            self._set_pace()
            if upcoming is None:
                self._end()
            return True
        return False

    def _was_played(self, upcoming: Instant) -> bool:
        """Tell whether the process before this one played something of an instant."""
        before = self._resume or Position(0, 0, 0)
        return upcoming.market_ns <= before.market_ns and (self._frames < before.frames or not upcoming.frames)

    def _is_paced(self) -> bool:
        return not (self._is_resuming or self._target_ns is not None or self._steps)

    async def _waits(self, upcoming: Instant) -> bool:
        """Wait until an instant is due; True when something was asked meanwhile."""
        loop = asyncio.get_running_loop()
        wall, market_ns = self._anchor
        due = wall + (upcoming.market_ns - market_ns) / SECOND_NS / self._speed
        late = loop.time() - due
        if late > _LAG_SECONDS:
            self._anchor = (loop.time(), upcoming.market_ns)
        if late < 0:
            try:
                async with asyncio.timeout(-late):
                    await self._changed.wait()
            except TimeoutError:
                return False
            return True
        return False

    def _play(self, instant: Instant) -> None:
        """Play an instant, or as much of it as single steps ask for."""
        frames = instant.frames[self._done :]
        if self._is_resuming:
            frames = frames[: max((self._resume.frames if self._resume else 0) - self._frames, 0)]
        elif self._target_ns is None and self._steps:
            frames = frames[: self._steps]
            self._steps -= len(frames)
        if not self._is_resuming:
            self._keep_position(instant.market_ns, self._frames + len(frames))
            if instant.market_ns != self._now_ns or not self._frames:
                self._hub.tell(_clock_text(instant.market_ns, TIME))
        self._now_ns = instant.market_ns
        self._clock.put(instant.market_ns / SECOND_NS)
        if instant.words and not self._done:
            self._break(instant.words)
        board = self._exchange.market.board
        for frame in frames:
            runs, is_whole = read_runs(frame)
            slots = board.apply(runs)
            board.unreadable += not is_whole
            if not self._is_resuming:
                self._hub.frame(frame, runs, slots)
        self._frames += len(frames)
        self._done += len(frames)
        if self._done >= len(instant.frames):
            self._instant = None
        if not self._is_resuming and instant.market_ns > self._unmatched_ns:
            self._exchange.step()

    def _break(self, words: tuple[str, ...]) -> None:
        """The recorded feed was lost, or is back: nothing is traded against quotes of a feed that is not there."""
        self._is_lost = words[-1] == LOST
        self._feed()
        if not self._is_resuming:
            for word in words:
                self._hub.tell(_clock_text(self._now_ns, word))

    def _feed(self) -> None:
        """Say whether the newest packets may be traded against."""
        self._exchange.market.is_fed = not (self._is_resuming or self._is_rewinding or self._is_lost)

    def _keep_position(self, market_ns: int, frames: int) -> None:
        self._position.write(Position(market_ns, frames, max(self._unmatched_ns, market_ns)))

    def _end(self) -> None:
        """The tape is over: the market closes and stays as it is."""
        self._has_ended, self._is_playing, self._steps = True, False, 0
        self._clock.show_speed(0.0)
        self._exchange.end()
        self._hub.tell(_clock_text(self._now_ns, END))

    def _set_pace(self) -> None:
        self._anchor = (asyncio.get_running_loop().time(), self._now_ns)
        moves = self._is_playing and not self._has_ended
        self._clock.show_speed(self._speed if moves else 0.0)


def _clock_text(market_ns: int, event: str) -> str:
    return msgspec.json.encode({"type": "practice_clock", "data": {"ns": market_ns, "event": event}}).decode()


def _checked_speed(speed: float) -> float:
    if not SPEED_MIN <= speed <= SPEED_MAX:
        raise input_error(f"`speed` must lie between {SPEED_MIN:g} and {SPEED_MAX:g}, not {speed:g}.")
    return speed


def _refusal(words: str) -> KiteError:
    return KiteError(400, ErrorType.GENERAL, words)


def _indian_words(ns: int) -> str:
    """A moment as the exchange's people write it."""
    return indian(ns / SECOND_NS).isoformat()
