"""One piece after the other: the next is sent when the one before is wholly filled."""

from __future__ import annotations

from engine.core.identifiers import InstrumentKey
from engine.core.plans import Iceberg, PlanRecord, PlanStep
from engine.execution.plans.algorithm import Advance, Place, PlanPicture
from engine.execution.plans.pieces import PieceWork, piece_steps, stop_pieces, watched_instrument
from engine.execution.plans.slicing import KEY, next_index
from engine.execution.words import grouped


def iceberg_size(quantity: int, lot_size: int, pieces: int) -> int:
    """Units of a piece: equal whole lots, rounded up, so that there are never more pieces than asked for."""
    lots = quantity // lot_size
    return max(1, -(-lots // pieces)) * lot_size


class IcebergAlgorithm:
    """Implements ``Algorithm`` for ``Iceberg``. A piece that is cancelled or rejected pauses the plan."""

    def advance(self, picture: PlanPicture) -> Advance:
        """Send the next piece when nothing works any more."""
        work = PieceWork(picture)
        found = work.question() or work.end()
        if found is not None:
            return found
        if work.working or work.instrument is None:
            waits = ", ".join(f"o{order.number}" for order in work.working)
            return work.running(f"{work.so_far()}; {waits} rests.")
        if not work.left:
            return work.running(f"{work.so_far()}; the last piece is being settled.")
        manner = work.spec.manner
        pieces = manner.pieces if isinstance(manner, Iceberg) else 1
        size = min(iceberg_size(work.asked, work.instrument.lot_size, pieces), work.piece_max())
        if size <= 0:
            return work.paused(f"One lot of {work.request.instrument} is above the exchange's largest order.")
        key, quantity = f"{KEY}{next_index(picture)}", min(size, work.left)
        refused = work.refusal((key,))
        if refused is not None:
            return refused
        move = Place(
            key=key,
            request=work.piece(quantity),
            words=f"the next {grouped(quantity)} of {grouped(work.asked)}, {grouped(work.filled)} are filled",
            quotes=work.quotes(),
        )
        return work.running(f"{work.so_far()}.", (move,))

    def stop(self, picture: PlanPicture) -> Advance:
        """Withdraw what rests."""
        return stop_pieces(picture)

    def watched(self, plan: PlanRecord) -> tuple[InstrumentKey, ...]:
        """The instrument: each piece is judged by its quote."""
        return watched_instrument(plan)

    def steps(self, picture: PlanPicture) -> tuple[PlanStep, ...]:
        """One row a piece."""
        return piece_steps(picture)
