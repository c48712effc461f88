"""Reading a feed's frames and keeping the newest packet of each instrument."""

from __future__ import annotations

import numpy as np
import pytest

from engine.practice.frame_packets import PacketBoard, cut_frame, read_runs, wanted_bytes
from tests.kit.frame_bytes import INDEX, OTHER, TRADABLE, frame, packet

MIXED = frame(packet(INDEX, 32), packet(TRADABLE, 184), packet(OTHER, 184), packet(TRADABLE, 44), packet(INDEX, 8))


def contents(data: bytes) -> tuple[list[bytes], bool]:
    """What ``read_runs`` finds, packet by packet."""
    runs, is_whole = read_runs(data)
    return [row[2:].tobytes() for run in runs for row in run.rows], is_whole


def test_packets_of_several_lengths_are_found_in_their_order() -> None:
    """Runs of equal length never swallow a packet of another."""
    found, is_whole = contents(MIXED)
    assert is_whole
    assert [len(body) for body in found] == [32, 184, 184, 44, 8]
    assert found[2] == packet(OTHER, 184)


@pytest.mark.parametrize("lost", range(1, 56))
def test_a_torn_frame_gives_what_is_whole(lost: int) -> None:
    """Wherever it is torn, and says that it is."""
    found, is_whole = contents(MIXED[:-lost])
    assert not is_whole
    expected, _ = contents(MIXED)
    assert found == expected[: len(found)]
    assert len(found) >= 3


def test_a_heartbeat_and_an_empty_frame_hold_nothing() -> None:
    """Neither is damage."""
    assert contents(b"\x00") == ([], True)
    assert contents(b"\x00\x00") == ([], True)


def applied(*frames: bytes) -> PacketBoard:
    """A board after some frames."""
    board = PacketBoard()
    for data in frames:
        board.apply(read_runs(data)[0])
    return board


def test_the_newest_packet_of_an_instrument_stays() -> None:
    """Also when a frame has two of the same instrument: the later one counts."""
    board = applied(frame(packet(TRADABLE, 184, 1), packet(TRADABLE, 184, 2)), frame(packet(TRADABLE, 184, 3)))
    rows = board.tradable_rows(board.slots([TRADABLE]))
    assert rows["last"].tolist() == [3]
    assert applied(frame(packet(TRADABLE, 184, 1), packet(TRADABLE, 184, 2))).tradable_rows(np.array([0]))["last"] == [
        2
    ]


def test_a_shorter_packet_takes_the_book_away_and_leaves_the_days_figures() -> None:
    """Nothing is filled against a book that nobody tells any more."""
    board = applied(frame(packet(TRADABLE, 184)), frame(packet(TRADABLE, 8, 7_000)))
    row = board.tradable_rows(board.slots([TRADABLE]))[0]
    assert row["last"] == 7_000
    assert row["volume"] == 3
    assert not row["depth"]["price"].any()
    assert board.newest(board.slots([TRADABLE]), np.array([184])) == frame(packet(TRADABLE, 8, 7_000))


def test_what_nobody_knows_is_counted_and_not_kept() -> None:
    """A packet of an unknown length, of an index with a contract's length, and one too short for a token."""
    board = applied(frame(packet(TRADABLE, 60), packet(INDEX, 44), b"ab"))
    assert board.unreadable == 3
    assert board.newest(board.slots([TRADABLE, INDEX]), np.array([184, 32])) == b""


def test_more_instruments_than_at_first_thought_find_room() -> None:
    """The board grows, and keeps what it had."""
    tokens = [1_000_002 + 256 * number for number in range(5_000)]
    board = applied(*(frame(*(packet(token, 44) for token in tokens[at : at + 500])) for at in range(0, 5_000, 500)))
    slots = board.slots(tokens)
    assert len(board) == 5_000
    assert board.tradable_rows(slots)["token"].tolist() == tokens
    assert board.take_changed().size == 5_000
    assert board.take_changed().size == 0


def test_a_forgotten_board_knows_nothing() -> None:
    """A tape that begins again tells nothing of its end."""
    board = applied(MIXED)
    board.forget()
    assert board.take_changed().size == 0
    assert board.newest(board.slots([TRADABLE, INDEX]), np.array([184, 32])) == b""


def test_a_packet_is_cut_to_what_is_wanted() -> None:
    """Shorter modes are the beginnings of longer ones; nothing is ever made longer."""
    runs, _ = read_runs(frame(packet(TRADABLE, 44), packet(OTHER, 44)))
    cut = cut_frame(runs[0], np.array([0, 1]), np.array([8, 184]))
    assert cut == [b"\x00\x08" + packet(TRADABLE, 8), b"\x00\x2c" + packet(OTHER, 44)]
    assert [wanted_bytes(TRADABLE, mode) for mode in ("ltp", "quote", "full")] == [8, 44, 184]
    assert [wanted_bytes(INDEX, mode) for mode in ("ltp", "quote", "full")] == [8, 28, 32]
