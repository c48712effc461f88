"""The queue before the disk: bounded in bytes, and what it leaves out is marked."""

from __future__ import annotations

from engine.tape.records import RECORDER, RecordKind, TapeRecord
from engine.tape.waiting import RECORD_COST, NewTape, WaitingRecords
from tests.kit.tapes import NIFTY, header


def record(number: int, size: int = 1000) -> TapeRecord:
    """A frame of a size."""
    return TapeRecord(RecordKind.FRAME, 0, number, number * 10, bytes(size))


def test_what_is_offered_comes_out_in_order() -> None:
    """Below its limit everything is taken, and its memory is free again after release."""
    waiting = WaitingRecords(100_000)
    records = [record(n) for n in range(20)]
    assert all(waiting.offer(one) for one in records)
    assert (len(waiting), waiting.bytes, waiting.oldest_ns) == (20, 20 * (1000 + RECORD_COST), 0)
    taken = waiting.take()
    assert taken == records
    assert waiting.bytes == 20 * (1000 + RECORD_COST), "what is being written still takes memory"
    waiting.release(taken)
    assert (len(waiting), waiting.bytes, waiting.oldest_ns, waiting.dropped) == (0, 0, None, 0)


def test_the_newest_are_left_out_and_the_gap_is_marked() -> None:
    """Beyond the limit nothing is taken until half is free; DOWN and UP stand around the gap and count it."""
    waiting = WaitingRecords(5 * (1000 + RECORD_COST))
    assert [waiting.offer(record(n)) for n in range(8)] == [True] * 5 + [False] * 3
    taken = waiting.take()
    assert [one.market_ns for one in taken if isinstance(one, TapeRecord)] == [0, 1, 2, 3, 4, 5]
    down = taken[-1]
    assert isinstance(down, TapeRecord)
    assert (down.kind, down.connection, down.received_ns) == (RecordKind.DOWN, RECORDER, 50)
    waiting.release(taken[:2])
    assert not waiting.offer(record(8)), "one is free again, but not half"
    waiting.release(taken[2:])
    assert waiting.offer(record(9))
    up, after = waiting.take()
    assert isinstance(up, TapeRecord)
    assert (up.kind, up.connection, up.payload) == (
        RecordKind.UP,
        RECORDER,
        b"The disk keeps up again: 4 records were left out.",
    )
    assert after == record(9)
    assert waiting.dropped == 4


def test_one_frame_larger_than_the_queue_is_left_out() -> None:
    """Memory stays bounded whatever arrives."""
    waiting = WaitingRecords(10_000)
    assert not waiting.offer(record(1, 50_000))
    assert waiting.bytes < 1_000
    assert waiting.dropped == 1


def test_marks_and_tapes_always_fit() -> None:
    """What is put is taken in its order even when the queue is full."""
    waiting = WaitingRecords(1_500)
    waiting.offer(record(1))
    tape = NewTape("x", header(), (NIFTY,))
    waiting.put(tape)
    assert waiting.take() == [record(1), tape]
    assert waiting.oldest_ns is None
