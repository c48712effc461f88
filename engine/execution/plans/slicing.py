"""All of a large order at once, in pieces that the exchange takes; the sum is exactly what was asked."""

from __future__ import annotations

from engine.core.identifiers import InstrumentKey
from engine.core.orders import OrderState
from engine.core.plans import PlanRecord, PlanStep, Slice
from engine.execution.plans.algorithm import Advance, Place, PlanPicture
from engine.execution.plans.pieces import PieceWork, piece_steps, stop_pieces, watched_instrument
from engine.execution.words import grouped

QUEUED_MAX = 20
"""Pieces that may wait for the budget at one time: more would grow too old in the queue."""
KEY = "piece"


class SliceAlgorithm:
    """Implements ``Algorithm`` for ``Slice``."""

    def advance(self, picture: PlanPicture) -> Advance:
        """Send what is left, as much as may wait in the queue."""
        work = PieceWork(picture)
        found = work.question() or work.end()
        if found is not None:
            return found
        size = slice_size(work)
        if size <= 0:
            return work.paused(f"One lot of {work.request.instrument} is above the exchange's largest order.")
        index = next_index(picture)
        queued = sum(order.state is OrderState.QUEUED for order in work.working)
        pieces: list[tuple[str, int]] = []
        left = work.left
        while left and queued + len(pieces) < QUEUED_MAX:
            quantity = min(size, left)
            pieces.append((f"{KEY}{index + len(pieces)}", quantity))
            left -= quantity
        refused = work.refusal(key for key, _ in pieces)
        if refused is not None:
            return refused
        moves = tuple(
            Place(
                key=key,
                request=work.piece(quantity),
                words=f"{grouped(quantity)} of {grouped(work.asked)} in pieces of {grouped(size)}",
                quotes=work.quotes(),
            )
            for key, quantity in pieces
        )
        note = f"{work.so_far()}, {grouped(left)} wait for a place in the queue." if left else f"{work.so_far()}."
        return work.running(note, moves)

    def stop(self, picture: PlanPicture) -> Advance:
        """Withdraw what rests."""
        return stop_pieces(picture)

    def watched(self, plan: PlanRecord) -> tuple[InstrumentKey, ...]:
        """The instrument: each piece is judged by its quote."""
        return watched_instrument(plan)

    def steps(self, picture: PlanPicture) -> tuple[PlanStep, ...]:
        """One row a piece."""
        return piece_steps(picture)


def slice_size(work: PieceWork) -> int:
    """Units of a whole piece: as asked for, never above what the exchange takes."""
    manner, most = work.spec.manner, work.piece_max()
    wanted = manner.size if isinstance(manner, Slice) else None
    return most if wanted is None else min(most, wanted)


def next_index(picture: PlanPicture) -> int:
    """The number after the highest of all pieces so far: a number is never used for two orders."""
    used = [int(key.removeprefix(KEY)) for key in picture.orders if key.startswith(KEY)]
    return max(used, default=-1) + 1
