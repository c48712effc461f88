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
from engine.execution.budgets import Lane


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
    """

    __slots__ = ("attempts", "change", "errand", "lane", "number", "prepared", "queued_at", "seat")

    def __init__(
        self,
        errand: Errand,
        number: OrderNumber,
        lane: Lane,
        queued_at: float,
        *,
        change: OrderChange | None = None,
        seat: str = "",
    ) -> None:
        self.errand = errand
        self.number = number
        self.lane = lane
        self.queued_at = queued_at
        self.change = change
        self.seat = seat
        self.prepared = errand is not Errand.PLACE
        """The journal says already that it is on its way."""
        self.attempts = 0

    @property
    def is_placement(self) -> bool:
        """Whether it counts against the minute and the day."""
        return self.errand is Errand.PLACE


class OrderQueue:
    """The waiting errands.

    Args:
        capacity: Places for entries and modifications.
        reserve: Further places for exits and cancels.
    """

    def __init__(self, capacity: int, reserve: int) -> None:
        self._lanes: dict[Lane, deque[QueuedCommand]] = {lane: deque() for lane in Lane}
        self._capacity = capacity
        self._reserve = reserve

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def __iter__(self) -> Iterator[QueuedCommand]:
        """Every waiting errand in the order in which it would leave."""
        for lane in Lane:
            yield from self._lanes[lane]

    def has_room(self, lane: Lane) -> bool:
        """Whether one more of this lane would be taken."""
        limit = self._capacity + (self._reserve if lane.may_use_reserve else 0)
        return len(self) < limit

    def put(self, command: QueuedCommand, *, first: bool = False) -> None:
        """Add at the end of its lane, or at its head when it has waited there before."""
        lane = self._lanes[command.lane]
        if first:
            lane.appendleft(command)
        else:
            lane.append(command)

    def heads(self) -> Iterator[QueuedCommand]:
        """The first of each lane, fastest lane first."""
        for lane in Lane:
            if self._lanes[lane]:
                yield self._lanes[lane][0]

    def remove(self, command: QueuedCommand) -> bool:
        """Take it out; ``False`` when it is not there any more."""
        try:
            self._lanes[command.lane].remove(command)
        except ValueError:
            return False
        return True

    def withdraw(self, number: OrderNumber, errand: Errand) -> QueuedCommand | None:
        """Take out the errand of an order, if it waits."""
        for command in self:
            if command.number == number and command.errand is errand:
                self.remove(command)
                return command
        return None

    def oldest_expiring(self) -> float | None:
        """When the oldest waiting entry or modification was queued."""
        return min((lane[0].queued_at for lane in self._expiring() if lane), default=None)

    def expired(self, before: float) -> tuple[QueuedCommand, ...]:
        """Entries and modifications queued before this monotonic moment."""
        return tuple(command for lane in self._expiring() for command in lane if command.queued_at < before)

    def _expiring(self) -> tuple[deque[QueuedCommand], ...]:
        """Lanes in which waiting makes a command wrong: its price was meant for another moment."""
        return self._lanes[Lane.MODIFY], self._lanes[Lane.ENTRY]
