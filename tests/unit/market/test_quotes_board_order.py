"""Old news on the board: frames late or twice, stamps that cannot be, and forgetting."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from engine.brokers.kite.codec import decode_frame
from engine.brokers.kite.packets import EXCHANGE_TIME, LAST_TRADE_TIME
from engine.core.vocabulary import QuoteState
from engine.market.packet_order import AHEAD_S, SAME_SECOND_NS
from engine.market.quotes_board import Applied, QuotesBoard

CALL, PUT, NIFTY = 3_840_002, 3_840_258, 256_265
NS = 1_000_000_000
START_S = 1_787_031_930
DAY_S = 86_400
CROWDS = pytest.mark.parametrize("crowd", [0, 20])
"""Few and many packets are written in different ways."""


class Live:
    """A judge that is always content."""

    def state(self, board: QuotesBoard, slot: int, now_ns: int) -> QuoteState:
        return QuoteState.LIVE


class Rig:
    """A board with two options, an index and a crowd of others that come with every frame."""

    def __init__(self, crowd: int = 0) -> None:
        self.crowd = [1_000_002 + 256 * place for place in range(crowd)]
        self.board = QuotesBoard(limit=1_000)
        self.board.add([CALL, PUT, NIFTY, *self.crowd])
        self.now_ns = NS
        self.market_s = START_S
        self.ticks = 0

    def frame(self, *bodies: bytes, path: int = 0) -> int:
        """Write a frame with the crowd around it; returns how many of ``bodies`` were written."""
        self.ticks += 1
        others = [full(token, START_S, volume=self.ticks) for token in self.crowd]
        parts = [*others, *bodies]
        payload = struct.pack(">H", len(parts)) + b"".join(struct.pack(">H", len(part)) + part for part in parts)
        market_ns = self.market_s * NS
        return self.board.apply(decode_frame(payload), received_ns=self.now_ns, market_ns=market_ns, path=path) - len(
            others
        )

    def last(self, token: int = CALL) -> float:
        """The last price on the board."""
        return float(self.board.last(self.board.slots_of([token]))[0])


def full(token: int, stamp: int, *, last: int = 100, volume: int = 0, traded: int = 0) -> bytes:
    """A full packet."""
    return struct.pack(">46I", token, last, 0, 0, volume, *[0] * 6, traded, 0, 0, 0, stamp, *[0] * 30)


def index(stamp: int, last: int) -> bytes:
    """A full packet of the index."""
    return struct.pack(">8I", NIFTY, *[last] * 6, stamp)


def price(token: int, last: int) -> bytes:
    """A last price alone."""
    return struct.pack(">2I", token, last)


def quote(token: int, last: int, volume: int) -> bytes:
    """A quote packet, which has no stamp."""
    return struct.pack(">11I", token, last, 0, 0, volume, *[0] * 6)


@CROWDS
def test_an_older_stamp_neither_overwrites_nor_reaches_a_hook(crowd: int) -> None:
    """A packet of an earlier second is refused and counted; those around it in the frame are written."""
    rig = Rig(crowd)
    heard: list[Applied] = []
    rig.board.add_hook(heard.append)
    rig.frame(full(CALL, START_S, last=200, volume=10), index(START_S, 500))
    sequence = rig.board.sequence
    assert rig.frame(full(CALL, START_S - 1, last=199, volume=9), full(PUT, START_S - 9), index(START_S - 1, 499)) == 1
    assert (rig.last(), rig.last(NIFTY), rig.last(PUT)) == (2.0, 5.0, 1.0)
    assert rig.board.out_of_order == 2
    assert [int(token) for token in heard[-1].words[len(rig.crowd) :, 0]] == [PUT]
    changed = rig.board.tokens[rig.board.changed_since(sequence)].tolist()
    assert sorted(changed) == sorted([PUT, *rig.crowd])


@CROWDS
def test_the_same_second_is_ordered_by_volume(crowd: int) -> None:
    """Equal stamps apply; a smaller volume soon after in the same second is an older packet, an equal one is not."""
    rig = Rig(crowd)
    rig.frame(full(CALL, START_S, last=200, volume=10))
    assert rig.frame(full(CALL, START_S, last=201, volume=10)) == 1
    assert rig.frame(full(CALL, START_S, last=199, volume=9)) == 0
    assert rig.last() == 2.01
    rig.now_ns += SAME_SECOND_NS + 1
    assert rig.frame(full(CALL, START_S, last=198, volume=0)) == 1, "later it is a volume that was set back"
    assert rig.board.out_of_order == 1


@CROWDS
def test_packets_without_a_stamp_are_ordered_by_volume_alone(crowd: int) -> None:
    """Quote packets apply unless their volume shrinks at once; last prices and a change of mode always do."""
    rig = Rig(crowd)
    rig.frame(full(CALL, START_S, volume=10))
    assert rig.frame(quote(CALL, 110, 9)) == 0
    assert rig.frame(quote(CALL, 111, 10)) == 1
    assert rig.frame(quote(CALL, 112, 9)) == 0
    assert rig.frame(price(CALL, 113)) == 1
    assert rig.frame(quote(CALL, 114, 1)) == 1
    assert rig.frame(full(CALL, START_S - 100, last=115)) == 1, "nothing with a stamp was held"
    assert rig.last() == 1.15


@CROWDS
def test_a_new_day_begins_with_a_volume_of_zero(crowd: int) -> None:
    """A later stamp applies whatever its volume."""
    rig = Rig(crowd)
    rig.frame(full(CALL, START_S, volume=10_000))
    rig.market_s += DAY_S
    assert rig.frame(full(CALL, START_S + DAY_S, last=90, volume=0)) == 1
    assert rig.last() == 0.9


@CROWDS
def test_a_stamp_ahead_of_the_clock_keeps_nothing_out(crowd: int) -> None:
    """What follows an absurd stamp, or any stamp while the clock is behind, applies and is counted as such."""
    rig = Rig(crowd)
    rig.frame(full(CALL, 0xFFFF_FFFF, last=100))
    assert rig.frame(full(CALL, START_S, last=101)) == 1
    rig.frame(full(CALL, START_S + AHEAD_S, last=102))
    assert rig.frame(full(CALL, START_S, last=103)) == 0, "as far ahead as it may be"
    assert (rig.last(), rig.board.disowned_stamps, rig.board.out_of_order) == (1.02, 1, 1)


@pytest.mark.parametrize("word", [EXCHANGE_TIME, LAST_TRADE_TIME])
def test_a_time_that_cannot_be_is_not_known(word: int) -> None:
    """A time more than a day after its receipt is unknown to every reader; one up to a day ahead is shown."""
    rig = Rig()
    soon = START_S + DAY_S
    rig.frame(full(CALL, soon, traded=soon), full(PUT, soon + 1, traded=soon + 1))
    values = rig.board.values(word, rig.board.slots_of([CALL, PUT]))
    assert (values[0], bool(np.isnan(values[1]))) == (soon, True)
    called, put = (rig.board.quote(token, now_ns=rig.now_ns, states=Live()) for token in (CALL, PUT))
    assert called is not None
    assert put is not None
    assert (called.exchange_time is None, put.exchange_time is None) == (False, True)


@CROWDS
def test_a_refused_packet_proves_the_path(crowd: int) -> None:
    """The path that brought it is noted although its content is not: what is held is newer than what it has."""
    rig = Rig(crowd)
    rig.frame(full(CALL, START_S, last=200), path=7)
    rig.now_ns += NS
    rig.frame(full(CALL, START_S - 1, last=199), path=8)
    slot = rig.board.slot_of(CALL)
    assert slot is not None
    assert (rig.last(), rig.board.paths[slot], rig.board.received_ns[slot]) == (2.0, 8, NS)


def test_within_a_frame_the_later_packet_is_the_newer() -> None:
    """Whoever sent a frame put its packets in order: repeated instruments are not judged against each other."""
    for crowd in (0, 20):
        rig = Rig(crowd)
        assert rig.frame(full(CALL, START_S, last=200, volume=5), full(CALL, START_S - 1, last=199, volume=4)) == 2
        assert rig.last() == 1.99


def test_forgetting_keeps_slots_and_lets_old_stamps_in() -> None:
    """After a replay went back the same instruments start from nothing, in their places; readers are told."""
    rig = Rig(20)
    rig.frame(full(CALL, START_S, last=200), full(PUT, START_S, last=300))
    slot, layout, seen = rig.board.slot_of(CALL), rig.board.layout, rig.board.sequence
    rig.board.forget([CALL, 999])
    assert rig.board.changed_since(seen).tolist() == [slot]
    assert np.isnan(rig.last())
    assert rig.last(PUT) == 3.0
    rig.board.forget()
    assert np.isnan(rig.last(PUT))
    assert (rig.board.slot_of(CALL), rig.board.layout) == (slot, layout)
    assert rig.frame(full(CALL, START_S - 500, last=150), full(PUT, START_S - 500, last=160)) == 2
    assert (rig.last(), rig.last(PUT), rig.board.out_of_order) == (1.5, 1.6, 0)


def test_a_slot_given_again_knows_nothing_of_the_one_before() -> None:
    """Neither the order of the removed instrument's packets nor the connection it was to come by outlives it."""
    rig = Rig()
    rig.frame(full(CALL, START_S + 3, volume=99))
    rig.board.assign([CALL], 2)
    slot = rig.board.slot_of(CALL)
    rig.board.remove([CALL])
    rig.board.add([1_002])
    assert rig.board.slot_of(1_002) == slot
    assert rig.board.assigned.tolist() == [-1, -1, -1]
    assert rig.frame(full(1_002, START_S)) == 1


def test_growth_keeps_order_and_assignment() -> None:
    """A board that grows still knows what is old and who is to bring what."""
    board = QuotesBoard(limit=5_000)
    tokens = [number << 8 | 2 for number in range(1, 601)]
    board.add(tokens[:400])
    board.assign(tokens[:1], 3)
    frame = struct.pack(">HH", 1, 184) + full(tokens[0], START_S)
    old = struct.pack(">HH", 1, 184) + full(tokens[0], START_S - 1)
    board.apply(decode_frame(frame), received_ns=1, market_ns=START_S * NS)
    board.add(tokens)
    assert board.apply(decode_frame(old), received_ns=1, market_ns=START_S * NS) == 0
    assert board.assigned.tolist() == [3, *[-1] * 599]
