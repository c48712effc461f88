"""The board under frames that come twice, late and mixed up, against a plain book kept packet by packet."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.brokers.kite.codec import decode_frame
from engine.market.packet_order import AHEAD_S, SAME_SECOND_NS
from engine.market.quotes_board import Applied, QuotesBoard

START_S = 1_787_031_930
NS = 1_000_000_000
OPTIONS = (3_840_002, 3_840_258, 3_840_514, 3_840_770, 3_841_026, 3_841_282)
INDEX = 256_265
LENGTHS = {"ltp": 8, "quote": 44, "full": 184}


class Packet(NamedTuple):
    """What the rule looks at."""

    token: int
    mode: str
    stamp: int
    """0: the packet has none."""
    volume: int
    price: int

    def body(self) -> bytes:
        """The broker's bytes."""
        if self.token == INDEX:
            head = struct.pack(">7I", self.token, *[self.price] * 6)
            return head if self.mode == "quote" else head + struct.pack(">I", self.stamp)
        words = [self.token, self.price, 0, 0, self.volume, *[0] * 10, self.stamp, *[0] * 30]
        return struct.pack(">46I", *words)[: LENGTHS[self.mode]]


class Held(NamedTuple):
    """What the plain book holds."""

    packet: Packet
    received_ns: int


def plain(packet: Packet) -> Packet:
    """A packet with only what its body carries."""
    if packet.token == INDEX:
        return packet._replace(volume=0, stamp=packet.stamp if packet.mode == "full" else 0)
    return packet._replace(
        volume=0 if packet.mode == "ltp" else packet.volume, stamp=packet.stamp if packet.mode == "full" else 0
    )


def is_late(packet: Packet, held: Held | None, received_ns: int, market_s: int) -> bool:
    """The rule in words: an older stamp, or in the same second (or without a stamp) a smaller volume soon after."""
    if held is None or held.packet.stamp > market_s + AHEAD_S:
        return False
    old = held.packet
    if packet.stamp and packet.stamp < old.stamp:
        return True
    has_volume = packet.token != INDEX and "ltp" not in {packet.mode, old.mode}
    soon = 0 <= received_ns - held.received_ns <= SAME_SECOND_NS
    return has_volume and packet.stamp in {0, old.stamp} and packet.volume < old.volume and soon


def packets() -> st.SearchStrategy[Packet]:
    """Packets whose stamps and volumes are near each other, with an absurd stamp now and then."""
    stamps = st.one_of(st.integers(START_S, START_S + 4), st.sampled_from((0, 2**32 - 1)))
    volumes = st.integers(0, 3)
    option = st.builds(
        Packet, st.sampled_from(OPTIONS), st.sampled_from(("full", "full", "quote", "ltp")), stamps, volumes, PRICES
    )
    index = st.builds(Packet, st.just(INDEX), st.sampled_from(("full", "quote")), stamps, st.just(0), PRICES)
    return st.one_of(option, option, index)


PRICES = st.integers(1, 50)
FRAMES = st.lists(
    st.tuples(
        st.lists(packets(), min_size=1, max_size=7, unique_by=lambda packet: packet.token),
        st.sampled_from((0, 100_000_000, SAME_SECOND_NS, SAME_SECOND_NS + 1)),
    ),
    min_size=1,
    max_size=12,
)


@given(FRAMES)
def test_the_board_holds_what_a_plain_book_holds(frames: list[tuple[list[Packet], int]]) -> None:
    """However frames are ordered, held packets, refusals and what hooks hear are those of the plain rule."""
    board = QuotesBoard(limit=10)
    board.add([*OPTIONS, INDEX])
    heard: list[Applied] = []
    board.add_hook(heard.append)
    book: dict[int, Held] = {}
    refused, received_ns = 0, NS
    for frame, pause_ns in frames:
        received_ns += pause_ns
        market_s = START_S + 2
        taken = []
        for packet in map(plain, frame):
            if is_late(packet, book.get(packet.token), received_ns, market_s):
                refused += 1
            else:
                taken.append(packet)
        for packet in taken:
            book[packet.token] = Held(packet, received_ns)
        bodies = [packet.body() for packet in frame]
        payload = struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)
        heard.clear()
        written = board.apply(decode_frame(payload), received_ns=received_ns, market_ns=market_s * NS)
        assert written == len(taken)
        assert [row[:2] for each in heard for row in each.words.tolist()] == [
            [item.token, item.price] for item in taken
        ]
    assert board.out_of_order == refused
    for token, held in book.items():
        slot = board.slot_of(token)
        assert slot is not None
        words = board.words[slot].tolist()
        assert (words[1], words[4], words[15]) == (held.packet.price, held.packet.volume, held.packet.stamp)
        assert board.received_ns[slot] == held.received_ns


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=6))
def test_shuffled_and_repeated_frames_end_as_the_newest_frame(order: list[int], again: list[int]) -> None:
    """Twelve frames of forty packets in any order, some twice: the board ends with the newest, volume never shrinks."""
    tokens = [(1_000 + place) << 8 | 2 for place in range(40)]
    board = QuotesBoard(limit=40)
    board.add(tokens)
    volumes: list[float] = []
    for place, number in enumerate([*order, *again]):
        # Three frames a second, as far as the stamps tell.
        bodies = [Packet(token, "full", START_S + number // 3, 100 + number, 10 + number).body() for token in tokens]
        payload = struct.pack(">H", 40) + b"".join(b"\x00\xb8" + body for body in bodies)
        board.apply(decode_frame(payload), received_ns=NS + place, market_ns=(START_S + 10) * NS)
        volumes.append(float(board.volume(np.array([7]))[0]))
    assert volumes == sorted(volumes)
    assert board.last(board.slots_of(tokens)).tolist() == [0.21] * 40
