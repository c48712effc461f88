"""Equal pieces at equal distances of market time. What was missed is spread over the rest, never sent in a burst."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from engine.core.identifiers import InstrumentKey
from engine.core.orders import OrderState
from engine.core.plans import PlanRecord, PlanStep, PlanTurn, Twap
from engine.execution.plans.algorithm import Advance, Place, PlanPicture
from engine.execution.plans.pieces import (
    RESUME,
    PieceWork,
    order_quantity_max,
    piece_steps,
    stop_pieces,
    watched_instrument,
)
from engine.execution.words import grouped

START, FIRST, PIECES, GAP = "start", "first", "pieces", "gap_s"
"""Facts: the first slot's moment, its number, how many slots there are, and market seconds between two."""
SLOT_MIN_S = 5.0
"""Least distance between two pieces when nobody says how many there are to be."""
ATTEMPTS_MAX = 5
"""Orders of one slot: those before the last were closed unsent."""


def twap_pieces(manner: Twap, lots: int) -> int:
    """How many slots there are: never more than lots."""
    wanted = int(manner.duration_s // SLOT_MIN_S) if manner.pieces is None else manner.pieces
    return max(1, min(wanted, lots))


class TwapAlgorithm:
    """Implements ``Algorithm`` for ``Twap``."""

    def advance(self, picture: PlanPicture) -> Advance:
        """Send the piece of the slot that it is now, if there is none yet."""
        work = PieceWork(picture)
        found = work.question() or work.end()
        if found is not None:
            return found
        if work.instrument is None or not isinstance(work.spec.manner, Twap):
            return work.paused("This is no schedule.")
        lot = work.instrument.lot_size
        clock = _Schedule(work, work.spec.manner, lot)
        clock.steer(picture.turns)
        if not work.left:
            return work.running(f"{work.so_far()}; all is sent.", step=clock.step)
        slot = clock.slot(picture.now)
        if slot >= clock.pieces:
            if RESUME not in picture.turns:
                words = f"The time is over and {grouped(work.left)} of {grouped(work.asked)} were not sent"
                return work.paused(
                    f"{words}; {work.so_far()}. Resume sends them at the same pace, cancel ends the plan."
                )
            clock.begin_again(picture.now, lot)
            slot = 0
        step = max(clock.step, clock.first + slot)
        due = clock.moment(slot + 1)
        if not work.is_open:
            return work.running(
                "The session is closed; what is missed is spread over the rest.", look_again=due, step=step
            )
        quantity = _share(work, clock.pieces - slot, lot)
        key = self._key(picture, step)
        if key is None or quantity <= 0:
            left = f"{grouped(work.left)} left, next in {clock.gap_s:.0f} s steps"
            return work.running(f"{work.so_far()}; {left}.", look_again=due, step=step)
        refused = work.refusal((key,))
        if refused is not None:
            return refused
        words = f"slot {slot + 1} of {clock.pieces}: {grouped(quantity)} of {grouped(work.left)} left"
        move = Place(key=key, request=work.piece(quantity), words=words, quotes=work.quotes())
        return work.running(f"{work.so_far()}; {words}.", (move,), look_again=due, step=step)

    def stop(self, picture: PlanPicture) -> Advance:
        """Withdraw what rests."""
        return stop_pieces(picture)

    def watched(self, plan: PlanRecord) -> tuple[InstrumentKey, ...]:
        """The instrument: each piece is judged by its quote."""
        return watched_instrument(plan)

    def steps(self, picture: PlanPicture) -> tuple[PlanStep, ...]:
        """One row a piece."""
        return piece_steps(picture)

    @staticmethod
    def _key(picture: PlanPicture, step: int) -> str | None:
        """The key of a slot's order; ``None`` when it has one that was sent, or has been tried too often."""
        for attempt in range(ATTEMPTS_MAX):
            key = f"slot{step}/{attempt}"
            made = picture.orders.get(key)
            if made is None:
                return key
            if made.state is not OrderState.NOT_SENT:
                return None
        return None


class _Schedule:
    """The slots of a plan, kept in its facts. ``step`` is the number of the newest slot that was looked at."""

    def __init__(self, work: PieceWork, manner: Twap, lot: int) -> None:
        self._facts = work.facts
        self._work = work
        self.step = work.picture.plan.progress.step
        if START not in self._facts:
            pieces = twap_pieces(manner, work.asked // lot)
            self._set(work.picture.now, first=0, pieces=pieces, gap_s=manner.duration_s / pieces)

    @property
    def first(self) -> int:
        return int(self._facts[FIRST])

    @property
    def pieces(self) -> int:
        return int(self._facts[PIECES])

    @property
    def gap_s(self) -> float:
        return float(self._facts[GAP])

    def moment(self, slot: int) -> datetime:
        """When a slot begins; that of ``pieces`` is the end of the last one."""
        return datetime.fromisoformat(self._facts[START]) + timedelta(seconds=slot * self.gap_s)

    def slot(self, now: datetime) -> int:
        """The slot that it is, from 0; ``pieces`` when all are over. Never one before the newest that was looked at."""
        elapsed = (now - self.moment(0)).total_seconds()
        by_time = max(0, math.floor(elapsed / self.gap_s))
        return min(self.pieces, max(by_time, self.step - self.first))

    def steer(self, turns: tuple[str, ...]) -> None:
        """Move the schedule: the next slot now, or everything one slot later."""
        now = self._work.picture.now
        for turn in turns:
            slot = self.slot(now)
            if turn == PlanTurn.HURRY and slot + 1 < self.pieces:
                self._shift((now - self.moment(slot + 1)).total_seconds())
            elif turn == PlanTurn.PATIENT:
                self._shift(self.gap_s)

    def begin_again(self, now: datetime, lot: int) -> None:
        """Spread what is left at the pace so far, beginning now."""
        usual = max(1, self._work.asked // lot // self.pieces) * lot
        pieces = max(1, -(-self._work.left // usual))
        self._set(now, first=self.first + self.pieces, pieces=pieces, gap_s=self.gap_s)
        self.step = self.first

    def _shift(self, seconds: float) -> None:
        self._facts[START] = (self.moment(0) + timedelta(seconds=seconds)).isoformat()

    def _set(self, start: datetime, *, first: int, pieces: int, gap_s: float) -> None:
        self._facts[START], self._facts[FIRST] = start.isoformat(), str(first)
        self._facts[PIECES], self._facts[GAP] = str(pieces), repr(gap_s)


def _share(work: PieceWork, slots: int, lot: int) -> int:
    """Units of this slot's piece: an equal share of what is left in whole lots; the last takes all."""
    share = work.left if slots <= 1 else work.left // lot // slots * lot
    most = work.piece_max()
    return min(share, order_quantity_max(most, lot))
