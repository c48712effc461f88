"""Commands waiting to be sent: one first-in-first-out lane per priority, bounded.

Overload: entries and modifications beyond the capacity are refused by the caller; exits and cancels have places of
their own. Nothing is ever dropped silently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import StrEnum

from engine.core.commands import OrderChange
from engine.core.identifiers import OrderNumber
from engine.execution.lanes import Lane


class Errand(StrEnum):
    """What is to be asked of the broker."""

    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"


class QueuedCommand:
    """One errand for one order. Mutable only in what happens while it waits.

    Args:
        errand: What to ask.
        number: Of which order.
        lane: Its priority.
        queued_at: Monotonic seconds.
        change: For modifications.
        seat: Who asked.
        orders: What a placement counts for in the broker's day: every leg of an iceberg.
        is_entry: Whether locks keep it from going.
        epoch: That of the kill switch when it was decided; ``None``: when it is queued.
        prepared: The journal says already that it is on its way.
    """

    __slots__ = (
        "attempts", "change", "chosen_at", "epoch", "errand", "is_entry", "lane", "left_at", "number", "orders",
        "prepared", "queued_at", "released", "seat",
    )  # fmt: skip

    def __init__(
        self,
        errand: Errand,
        number: OrderNumber,
        lane: Lane,
        queued_at: float,
        *,
        change: OrderChange | None = None,
        seat: str = "",
        orders: int = 1,
        is_entry: bool = False,
        epoch: int | None = None,
        prepared: bool = False,
    ) -> None:
        self.errand = errand
        self.number = number
        self.lane = lane
        self.queued_at = queued_at
        self.change = change
        self.seat = seat
        self.prepared = prepared or errand is not Errand.PLACE
        """The journal says already that it is on its way."""
        self.attempts = 0
        self.orders = orders
        self.is_entry = is_entry
        self.epoch = epoch
        self.chosen_at: float | None = None
        """Monotonic seconds at which it was first its turn; ``None`` while it waits."""
        self.left_at: float | None = None
        """Monotonic seconds at which its newest request left."""
        self.released: float | None = None
        """What the budget charged its newest request to."""

    @property
    def is_placement(self) -> bool:
        """Whether it counts against the minute and the day."""
        return self.errand is Errand.PLACE


class OrderQueue:
    """The waiting errands.

    Args:
        capacity: Places for entries and modifications.
        reserve: Further places for exits, cancels and stops.
    """

    def __init__(self, capacity: int, reserve: int) -> None:
        self._lanes: dict[Lane, deque[QueuedCommand]] = {lane: deque() for lane in Lane}
        self._appended = dict.fromkeys(Lane, 0)
        self._reordered = dict.fromkeys(Lane, 0)
        self._capacity = capacity
        self._reserve = reserve

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def __iter__(self) -> Iterator[QueuedCommand]:
        """Every waiting errand in the order in which it would leave."""
        for lane in Lane:
            yield from self._lanes[lane]

    def has_room(self, lane: Lane, *, coming: int = 0) -> bool:
        """Whether one more of this lane would be taken, with ``coming`` others that will be put in."""
        limit = self._capacity + (self._reserve if lane.may_use_day_reserve else 0)
        return len(self) + coming < limit

    def put(self, command: QueuedCommand, *, first: bool = False) -> None:
        """Add at the end of its lane, or at its head when it has waited there before."""
        lane = self._lanes[command.lane]
        if first:
            lane.appendleft(command)
            self._reorder(*(slower for slower in Lane if slower >= command.lane))
        else:
            lane.append(command)
            self._appended[command.lane] += 1
            self._reorder(*(slower for slower in Lane if slower > command.lane))

    def appended(self, lane: Lane) -> int:
        """How many errands have ever been put at the end of this lane."""
        return self._appended[lane]

    def reordered(self, lane: Lane) -> int:
        """Changes whenever something comes before the end of this lane, or is gone from there without having left."""
        return self._reordered[lane]

    def weights(self, slowest: Lane = Lane.ENTRY) -> list[tuple[Lane, bool, int]]:
        """What the budget needs to know of every waiting errand down to this lane, in the order in which they would
        leave.
        """
        return [
            (lane, command.is_placement, command.orders)
            for lane in Lane
            if lane <= slowest
            for command in self._lanes[lane]
        ]

    def heads(self) -> Iterator[QueuedCommand]:
        """The first of each lane, fastest lane first."""
        for lane in Lane:
            if self._lanes[lane]:
                yield self._lanes[lane][0]

    def remove(self, command: QueuedCommand, *, leaves: bool = False) -> bool:
        """Take it out; ``False`` when it is not there any more.

        Args:
            command: Which.
            leaves: It goes to the wire, as was to be expected.
        """
        try:
            self._lanes[command.lane].remove(command)
        except ValueError:
            return False
        if not leaves:
            self._reorder(*(slower for slower in Lane if slower >= command.lane))
        return True

    def withdraw(self, number: OrderNumber, errand: Errand) -> QueuedCommand | None:
        """Take out the errand of an order, if it waits."""
        for command in self:
            if command.number == number and command.errand is errand:
                self.remove(command)
                return command
        return None

    def oldest_expiring(self) -> float | None:
        """When the oldest waiting errand that can get too old was queued."""
        return min((lane[0].queued_at for lane in self._expiring() if lane), default=None)

    def expired(self, before: float) -> tuple[QueuedCommand, ...]:
        """Errands that are too old, queued before this monotonic moment."""
        return tuple(command for lane in self._expiring() for command in lane if command.queued_at < before)

    def _reorder(self, *lanes: Lane) -> None:
        for lane in lanes:
            self._reordered[lane] += 1

    def _expiring(self) -> tuple[deque[QueuedCommand], ...]:
        return tuple(self._lanes[lane] for lane in Lane if lane.expires)
