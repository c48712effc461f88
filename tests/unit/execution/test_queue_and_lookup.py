"""The queue's order and bounds, and the patience of a search."""

from __future__ import annotations

from engine.core.identifiers import OrderNumber
from engine.execution.lanes import Lane
from engine.execution.queue import Errand, OrderQueue, QueuedCommand
from engine.execution.resolution import Lookup


def command(number: int, lane: Lane, queued_at: float = 0.0, errand: Errand = Errand.PLACE) -> QueuedCommand:
    """An errand."""
    return QueuedCommand(errand, OrderNumber(number), lane, queued_at)


def test_lanes_go_by_priority_and_within_a_lane_by_age() -> None:
    """Exits, cancels, stops, hedges, modifications, entries; first come first served in each."""
    queue = OrderQueue(10, 10)
    lanes = [Lane.ENTRY, Lane.MODIFY, Lane.EXIT, Lane.ENTRY, Lane.HEDGE, Lane.CANCEL, Lane.STOP, Lane.EXIT]
    for number, lane in enumerate(lanes):
        queue.put(command(number, lane))
    assert [waiting.number for waiting in queue] == [2, 7, 5, 6, 4, 1, 0, 3]


def test_a_command_that_waited_before_goes_back_to_the_head() -> None:
    """A request refused for speed keeps its place."""
    queue = OrderQueue(10, 10)
    queue.put(command(1, Lane.ENTRY))
    queue.put(command(2, Lane.ENTRY), first=True)
    assert [waiting.number for waiting in queue] == [2, 1]


def test_entries_are_bounded_and_exits_have_places_of_their_own() -> None:
    """A full queue takes no entry and still takes an exit, up to its own bound."""
    queue = OrderQueue(2, 1)
    queue.put(command(1, Lane.ENTRY))
    queue.put(command(2, Lane.ENTRY))
    assert not queue.has_room(Lane.ENTRY)
    assert not queue.has_room(Lane.HEDGE)
    assert not queue.has_room(Lane.MODIFY)
    assert queue.has_room(Lane.STOP)
    assert queue.has_room(Lane.EXIT)
    queue.put(command(3, Lane.EXIT))
    assert not queue.has_room(Lane.CANCEL)


def test_only_prices_grow_old() -> None:
    """Entries, hedges and modifications expire; exits, cancels and stops do not."""
    queue = OrderQueue(10, 10)
    for number, lane in enumerate(Lane):
        queue.put(command(number, lane, queued_at=1.0))
    queue.put(command(9, Lane.ENTRY, queued_at=5.0))
    assert {old.lane for old in queue.expired(before=4.0)} == {Lane.HEDGE, Lane.MODIFY, Lane.ENTRY}
    assert queue.oldest_expiring() == 1.0


def test_a_withdrawn_command_is_gone() -> None:
    """It is taken out once."""
    queue = OrderQueue(10, 10)
    queue.put(command(1, Lane.ENTRY))
    assert queue.withdraw(OrderNumber(1), Errand.CANCEL) is None
    assert queue.withdraw(OrderNumber(1), Errand.PLACE) is not None
    assert queue.withdraw(OrderNumber(1), Errand.PLACE) is None
    assert len(queue) == 0


def lookup() -> Lookup:
    """A search that began at second 100, for 30 s and at least 3 reads."""
    return Lookup(ended_at=100.0, window_s=30.0, reads_min=3)


def test_absence_needs_the_whole_window() -> None:
    """Reads every second do not shorten it."""
    search = lookup()
    given_up = [second for second in range(100, 140) if search.missed(float(second))]
    assert given_up[0] == 130


def test_a_burst_of_reads_after_an_outage_is_not_enough() -> None:
    """Three reads in a row after half a minute of silence count as one."""
    search = lookup()
    assert [search.missed(moment) for moment in (131.0, 132.0, 133.0, 141.0)] == [False, False, False, False]
    assert search.missed(151.0)


def test_reads_begun_before_the_end_of_the_request_tell_nothing() -> None:
    """They show the time before."""
    search = lookup()
    assert not search.missed(99.9)
    assert search.counted == 0
    assert not search.may_judge(99.9)
