"""Minute candles from packets: the rules one by one, and a whole random feed against a slow reference."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.brokers.kite.codec import decode_frame
from engine.brokers.kite.packets import PacketKind
from engine.core.bars import BarSource
from engine.market.minute_bars import MinuteBarMaker
from engine.market.quotes_board import QuotesBoard
from tests.unit.market.minute_bar_kit import (
    CLOSE_S,
    DAY_S,
    FUTURE,
    INDEX,
    MIDNIGHT_S,
    NS,
    OPEN_S,
    OPTION,
    TOKENS,
    YESTERDAY_S,
    Desk,
    Packet,
    Reference,
    hours,
    key_of,
)


def at(hour: int, minute: int, second: float = 0.0) -> int:
    """Market nanoseconds of the first day."""
    return round((MIDNIGHT_S + hour * 3600 + minute * 60 + second) * NS)


def full(now_ns: int, price: int, counter: int, *, token: int = OPTION, ago_s: int = 0, oi: int = 0) -> Packet:
    """A full packet whose last trade was ``ago_s`` ago."""
    now = now_ns // NS
    return Packet(token, price, counter, traded_s=now - ago_s, stamp_s=now, open_interest=oi)


def trades(desk: Desk, *ticks: tuple[int, int, int]) -> None:
    """Full packets (time, price, counter) of the option."""
    for now, price, counter in ticks:
        desk.frame(now, full(now, price, counter))


def test_a_whole_day_begins_with_the_counter_and_follows_it() -> None:
    """Watched from before the open: open is the first trade, close the last, volumes add up to the counter."""
    desk = Desk()
    before = at(9, 14, 30)
    desk.frame(before, Packet(OPTION, 10_000, 777_000, traded_s=YESTERDAY_S, stamp_s=before // NS))
    trades(desk, (at(9, 15, 1), 10_100, 65), (at(9, 15, 30), 9_900, 130), (at(9, 15, 59.9), 10_050, 200))
    trades(desk, (at(9, 16, 0), 10_060, 210), (at(9, 17, 10), 10_010, 260))
    desk.end(CLOSE_S)
    assert desk.bars(OPTION) == [
        (OPEN_S, 10_100, 10_100, 9_900, 10_050, 200, 0, BarSource.TICKS),
        (OPEN_S + 60, 10_060, 10_060, 10_060, 10_060, 10, 0, BarSource.TICKS),
        (OPEN_S + 120, 10_010, 10_010, 10_010, 10_010, 50, 0, BarSource.TICKS),
    ]


def test_the_auctions_volume_belongs_to_the_opening_minute_whoever_watched_it() -> None:
    """The counter of the pre-open is part of the first candle, seen before the open or not."""
    watched, late = Desk(), Desk()
    for desk in (watched, late):
        if desk is watched:
            trades(desk, (at(9, 8, 0), 10_000, 500))
        trades(desk, (at(9, 15, 2), 10_010, 700))
        desk.end(OPEN_S + 60)
    assert watched.bars(OPTION) == [(OPEN_S, 10_010, 10_010, 10_010, 10_010, 700, 0, BarSource.TICKS)]
    assert late.bars(OPTION) == [(OPEN_S, 10_010, 10_010, 10_010, 10_010, 700, 0, BarSource.PARTIAL)]


def test_a_price_that_is_only_repeated_makes_no_candle() -> None:
    """Quotes move, nothing trades: no candle; a trade at the same price makes one."""
    desk = Desk()
    trades(desk, (at(10, 0, 0), 500, 10), (at(10, 1, 0), 500, 10), (at(10, 2, 0), 500, 10), (at(10, 3, 5), 500, 12))
    desk.end(CLOSE_S)
    starts = [row[0] for row in desk.bars(OPTION)]
    assert starts == [at(10, 0) // NS, at(10, 3) // NS]


def test_the_first_packet_counts_only_when_its_trade_lies_in_the_minute() -> None:
    """An old trade seen at subscription is no trade of this minute, and its volume base is unknown."""
    desk = Desk()
    now = at(11, 2, 30)
    desk.frame(now, full(now, 500, 1_000, ago_s=45))
    desk.frame(now, full(now, 600, 1_000, token=FUTURE, ago_s=5))
    later = at(11, 3, 1)
    desk.frame(later, full(later, 510, 1_100), full(later, 610, 1_200, token=FUTURE))
    desk.end(CLOSE_S)
    assert desk.bars(OPTION) == [(at(11, 3) // NS, 510, 510, 510, 510, 100, 0, BarSource.TICKS)]
    assert desk.bars(FUTURE) == [
        (at(11, 2) // NS, 600, 600, 600, 600, -1, 0, BarSource.PARTIAL),
        (at(11, 3) // NS, 610, 610, 610, 610, 200, 0, BarSource.TICKS),
    ]


def test_nothing_traded_today_is_a_known_base() -> None:
    """An instrument first seen at noon without a trade today begins at 0: its first trade's volume is whole."""
    desk = Desk()
    now = at(12, 0, 10)
    desk.frame(now, Packet(OPTION, 400, 9_000, traded_s=YESTERDAY_S, stamp_s=now // NS))
    trades(desk, (at(12, 0, 40), 410, 65))
    desk.end(CLOSE_S)
    assert desk.bars(OPTION) == [(at(12, 0) // NS, 410, 410, 410, 410, 65, 0, BarSource.PARTIAL)]


def test_an_index_counts_every_packet_until_it_stops_moving() -> None:
    """It has no volume; after its own close it is frozen and makes no candle, while options go on."""
    desk = Desk()
    for now, price in ((at(9, 14, 59), 2_400_000), (at(9, 15, 0), 2_400_000), (at(9, 15, 30), 2_400_000)):
        desk.frame(now, Packet(INDEX, price, kind=PacketKind.INDEX_FULL, stamp_s=now // NS))
    frozen = at(15, 15, 0)
    desk.frame(frozen, Packet(INDEX, 2_410_000, kind=PacketKind.INDEX_FULL, stamp_s=frozen // NS))
    trades(desk, (at(15, 14, 0), 300, 10), (at(15, 16, 0), 310, 20))
    desk.end(CLOSE_S)
    assert desk.bars(INDEX) == [(OPEN_S, 2_400_000, 2_400_000, 2_400_000, 2_400_000, -1, -1, BarSource.TICKS)]
    assert at(15, 16) // NS in [row[0] for row in desk.bars(OPTION)]


def test_before_the_open_and_after_the_close_there_are_no_candles() -> None:
    """What comes then only tells where price and counter stand; a day without session has none at all."""
    desk = Desk()
    trades(desk, (at(9, 7, 0), 100, 5), (at(15, 39, 59), 110, 10), (at(15, 40, 0), 120, 20), (at(15, 41, 0), 130, 30))
    holiday = at(10, 0) + 2 * DAY_S * NS
    trades(desk, (holiday, 140, 40), (holiday + NS, 150, 50))
    desk.end(CLOSE_S + 3 * DAY_S)
    assert [row[0] for row in desk.bars(OPTION)] == [CLOSE_S - 60]


def test_a_new_day_starts_the_counter_anew() -> None:
    """Yesterday's counter is no base of today's, and yesterday's price no price of today's."""
    desk = Desk()
    trades(desk, (at(15, 0, 10), 100, 900_000), (at(15, 0, 30), 101, 900_010))
    day = DAY_S * NS
    trades(desk, (at(9, 15, 10) + day, 99, 65), (at(9, 16, 10) + day, 98, 75))
    desk.end(CLOSE_S + DAY_S)
    assert [row[5] for row in desk.bars(OPTION)] == [-1, 65, 10]
    assert [row[7] for row in desk.bars(OPTION)] == [BarSource.PARTIAL, BarSource.TICKS, BarSource.TICKS]


def test_the_first_packet_of_a_day_is_no_trade_by_its_price() -> None:
    """An option that has not traded today shows yesterday's close: on a path that held all night that is no candle."""
    desk = Desk()
    trades(desk, (at(15, 0, 10), 100, 900))
    now = at(9, 20, 10) + DAY_S * NS
    desk.frame(now, Packet(OPTION, 95, 900, traded_s=now // NS - DAY_S, stamp_s=now // NS))
    trades(desk, (now + 60 * NS, 96, 65))
    desk.end(CLOSE_S + DAY_S)
    assert [(row[1], row[5]) for row in desk.bars(OPTION)] == [(100, -1), (96, 65)]


def test_a_counter_that_runs_backwards_is_counted_and_never_negative() -> None:
    """The minute's volume is unknown, the next one is right again."""
    desk = Desk()
    trades(desk, (at(10, 0, 0), 100, 1_000), (at(10, 1, 0), 101, 1_100), (at(10, 1, 30), 102, 1_050))
    trades(desk, (at(10, 2, 0), 103, 1_090))
    desk.end(CLOSE_S)
    assert [row[5] for row in desk.bars(OPTION)] == [-1, -1, 40]
    assert desk.maker.backwards == 1


def test_a_packet_that_the_exchange_stamped_earlier_is_left_out() -> None:
    """Reordered frames change nothing."""
    desk = Desk()
    now = at(10, 0, 30)
    trades(desk, (at(9, 59, 50), 100, 900))
    older = Packet(OPTION, 50, 950, traded_s=now // NS - 9, stamp_s=now // NS - 9)
    desk.frame(now, full(now, 101, 1_000))
    desk.frame(now, older)
    desk.end(CLOSE_S)
    assert desk.bars(OPTION)[-1] == (at(10, 0) // NS, 101, 101, 101, 101, 100, 0, BarSource.TICKS)
    assert desk.maker.backwards == 0


def test_open_interest_is_that_of_the_last_packet() -> None:
    """Also of one that is no trade; a mode that does not carry it leaves it unknown."""
    desk = Desk()
    start = at(10, 0, 0)
    desk.frame(start, full(start, 100, 10, oi=1_000))
    desk.frame(start + NS, full(start + NS, 101, 20, oi=2_000))
    desk.frame(start + 2 * NS, full(start + 2 * NS, 101, 20, oi=3_000_000_000))
    next_minute = start + 60 * NS
    desk.frame(next_minute, full(next_minute, 102, 30, oi=5))
    desk.frame(next_minute + NS, Packet(OPTION, 103, 40, kind=PacketKind.QUOTE))
    desk.end(CLOSE_S)
    assert [row[6] for row in desk.bars(OPTION)] == [3_000_000_000, -1]


def test_a_counter_beyond_31_bits_is_read_as_it_is() -> None:
    """A NIFTY option passes 2.1 billion units near expiry."""
    desk = Desk()
    trades(desk, (at(10, 0, 0), 100, 3_000_000_000), (at(10, 1, 0), 101, 4_200_000_000))
    desk.end(CLOSE_S)
    assert desk.bars(OPTION)[-1][5] == 1_200_000_000


def test_a_replaced_connection_makes_the_minute_partial() -> None:
    """In one minute its volume is still that of the counter; across the minute's start it is unknown."""
    desk = Desk()
    trades(desk, (at(10, 0, 0), 100, 10), (at(10, 1, 5), 101, 20))
    now = at(10, 1, 20)
    desk.frame(now, full(now, 102, 30), path=2)
    later = at(10, 4, 20)
    desk.frame(later, full(later, 103, 90), path=3)
    after = at(10, 5, 20)
    desk.frame(after, full(after, 104, 100), path=3)
    desk.end(CLOSE_S)
    assert desk.bars(OPTION)[1:] == [
        (at(10, 1) // NS, 101, 102, 101, 102, 20, 0, BarSource.PARTIAL),
        (at(10, 4) // NS, 103, 103, 103, 103, -1, 0, BarSource.PARTIAL),
        (at(10, 5) // NS, 104, 104, 104, 104, 10, 0, BarSource.TICKS),
    ]


def test_a_path_that_is_suspect_at_the_end_makes_the_minute_partial() -> None:
    """And everything after it begins anew with the next packet."""
    desk = Desk()
    trades(desk, (at(10, 0, 0), 100, 10), (at(10, 1, 5), 101, 20))
    desk.suspect_paths = {1}
    desk.end(at(10, 2) // NS)
    assert desk.maker.sound_since(OPTION) is None
    desk.suspect_paths = set()
    trades(desk, (at(10, 2, 30), 102, 30), (at(10, 3, 0), 103, 35))
    assert desk.maker.sound_since(OPTION) == at(10, 2, 30)
    desk.end(CLOSE_S)
    assert [(row[5], row[7]) for row in desk.bars(OPTION)[1:]] == [
        (10, BarSource.PARTIAL),
        (-1, BarSource.PARTIAL),
        (5, BarSource.TICKS),
    ]


def test_a_slot_given_to_another_instrument_never_mixes_the_two() -> None:
    """What ran is given out as partial; the new instrument begins with nothing, its old one too when it comes back."""
    desk = Desk((OPTION,))
    trades(desk, (at(9, 59, 50), 100, 5), (at(10, 0, 5), 101, 10))
    desk.board.remove([OPTION])
    desk.board.add([FUTURE])
    now = at(10, 0, 30)
    desk.frame(now, full(now, 7_000, 50, token=FUTURE))
    desk.board.remove([FUTURE])
    desk.board.add([FUTURE, OPTION])
    later = at(10, 0, 50)
    desk.frame(later, full(later, 6_900, 60, token=FUTURE))
    desk.end(at(10, 1) // NS)
    assert desk.bars(OPTION)[1:] == [(at(10, 0) // NS, 101, 101, 101, 101, 5, 0, BarSource.PARTIAL)]
    assert desk.bars(FUTURE) == [
        (at(10, 0) // NS, 7_000, 7_000, 7_000, 7_000, -1, 0, BarSource.PARTIAL),
        (at(10, 0) // NS, 6_900, 6_900, 6_900, 6_900, -1, 0, BarSource.PARTIAL),
    ]


def test_a_running_minute_can_be_looked_at() -> None:
    """It is the same figures that the finished one will have; none before a packet counted."""
    desk = Desk()
    assert desk.maker.running(OPTION) is None
    trades(desk, (at(10, 0, 0), 100, 10), (at(10, 1, 5), 101, 20), (at(10, 1, 6), 99, 25))
    running = desk.maker.running(OPTION)
    assert running is not None
    desk.end(at(10, 2) // NS)
    assert desk.bars(OPTION)[-1] == running[:-1]
    assert running.decimals == 2
    assert desk.maker.running(OPTION) is None
    assert desk.maker.running(FUTURE) is None
    assert desk.maker.running(1) is None


def test_an_unnamed_token_is_left_out_and_counted() -> None:
    """A token that today's dump does not list has no lasting name to keep a candle under."""
    board = QuotesBoard(limit=4)
    board.add([OPTION, FUTURE])
    maker = MinuteBarMaker(board, hours=hours, key_of=lambda token: None if token == OPTION else key_of(token))
    board.add_hook(maker.apply)
    now = at(10, 0, 0)
    body = full(now, 100, 5).body(), full(now, 200, 5, token=FUTURE).body()
    data = struct.pack(">H", 2) + b"".join(struct.pack(">H", len(part)) + part for part in body)
    board.apply(decode_frame(data), received_ns=0, market_ns=now, path=1)
    maker.close_until(now + 60 * NS)
    bars = maker.take()
    assert bars is not None
    assert bars.instruments == (key_of(FUTURE),)
    assert maker.nameless == 1


def test_a_restart_forgets_everything() -> None:
    """A tape that goes back gives the same candles again."""
    desk = Desk()
    ticks = ((at(10, 0, 0), 100, 10), (at(10, 1, 5), 101, 20), (at(10, 2, 0), 102, 25))
    trades(desk, *ticks)
    first = desk.bars(OPTION)
    desk.taken.clear()
    desk.maker.restart()
    assert desk.maker.minute_s is None
    trades(desk, *ticks)
    assert desk.bars(OPTION) == first


def test_columns_cannot_be_changed() -> None:
    """Batches are shared between the backlog and readers."""
    desk = Desk()
    trades(desk, (at(10, 0, 0), 100, 10))
    desk.end(CLOSE_S)
    with pytest.raises(ValueError, match="read-only"):
        desk.taken[0].open[0] = 1


PACKETS = st.tuples(
    st.integers(0, len(TOKENS) - 1),
    st.sampled_from((PacketKind.FULL, PacketKind.FULL, PacketKind.FULL, PacketKind.QUOTE, PacketKind.LTP)),
    st.integers(-3, 3),  # price step; 0 repeats
    st.sampled_from((0, 0, 1, 65, 130, -40)),  # counter step
    st.sampled_from((0, 0, 0, 3, 70, 40_000)),  # how long ago the last trade was, seconds
    st.sampled_from((0, 0, 0, 0, 2)),  # how much too old the stamp is, seconds
)
Step = tuple[str, int, list[tuple[int, PacketKind, int, int, int, int]]]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(
        st.just("frame"), st.sampled_from((0, 5, 700, 20_000, 61_000)), st.lists(PACKETS, min_size=1, max_size=9)
    ),
    st.tuples(st.just("reconnect"), st.sampled_from((0, 1)), st.just([])),
    st.tuples(st.just("night"), st.sampled_from((0, 40)), st.just([])),
    st.tuples(st.just("silence"), st.sampled_from((1_000, 61_000, 200_000)), st.just([])),
    st.tuples(st.just("leave"), st.integers(0, len(TOKENS) - 1), st.just([])),
    st.tuples(st.just("timer"), st.sampled_from((0, 60_000)), st.just([])),
)


@settings(max_examples=300, deadline=None)
@given(
    start=st.sampled_from((at(9, 7, 0), at(9, 14, 50), at(9, 15, 3), at(11, 2, 30), at(15, 13, 40), at(15, 38, 30))),
    steps=st.lists(STEPS, min_size=1, max_size=40),
)
def test_a_random_feed_gives_the_candles_of_a_slow_reference(start: int, steps: list[Step]) -> None:
    """Repeated instruments in a frame, late starts, gaps, reconnections, slots that change hands: bit for bit."""
    desk = Desk()
    references = {token: Reference(token) for token in TOKENS}
    price = dict.fromkeys(TOKENS, 1_000)
    counter = dict.fromkeys(TOKENS, 5_000)
    now, path, suspect = start, 1, set[int]()

    def roll() -> None:
        for reference in references.values():
            if reference.minute is None or now // (60 * NS) > reference.minute:
                reference.roll(now // (60 * NS), suspect)

    begun = False
    for what, number, packets in steps:
        if what == "reconnect":
            path += 1
            if number:  # else nobody noticed before its first packet
                suspect = set(range(path))
                desk.suspect_paths = suspect
        elif what == "night":
            now = max(now, at(9, 14, number) + ((now - at(0, 0)) // (DAY_S * NS) + 1) * DAY_S * NS)
        elif what == "silence":
            now += number * NS // 1000
            suspect = set(range(path + 1))
            desk.suspect_paths = suspect
            if begun:
                roll()
            desk.end(now // NS)
            suspect = set(range(path))
            desk.suspect_paths = suspect
        elif what == "leave":
            token = TOKENS[number]
            desk.board.remove([token])
            desk.board.add([token])
            if begun:
                references[token].finish(sound=False)
                references[token].forget()
                desk.maker.running(token)  # the maker hears of it now, as with the next packet of any instrument
        elif what == "timer":
            now += number * NS // 1000
            if begun:
                roll()
            desk.end(now // NS)
        else:
            now += number * NS // 1000
            made = []
            for place, wanted, price_step, counter_step, ago_s, too_old_s in packets:
                token = TOKENS[place]
                price[token] = max(price[token] + price_step, 0)
                counter[token] = max(counter[token] + counter_step, 0)
                kind = PacketKind.INDEX_FULL if token == INDEX and wanted is not PacketKind.LTP else wanted
                stamp = now // NS - too_old_s
                made.append(Packet(token, price[token], counter[token], kind, now // NS - ago_s, stamp, counter[token]))
            begun = True
            roll()
            desk.frame(now, *made, path=path)
            for packet in desk.applied:
                references[packet.token].packet(now, packet, path)
    now += 60 * NS
    if begun:
        roll()
    desk.end(now // NS)
    for token, reference in references.items():
        assert desk.bars(token) == reference.rows
    assert desk.maker.backwards == sum(reference.backwards for reference in references.values())


def test_many_packets_between_two_minutes_are_worked_on_in_parts() -> None:
    """More packets than wait together lose nothing and keep their order."""
    desk = Desk()
    trades(desk, (at(9, 59, 0), 100, 0))
    start = at(10, 0, 0)
    for number in range(5_000):
        now = start + number * 10_000_000
        desk.frame(now, full(now, 100 + number % 7 + (number == 4_321) * 50, number + 1))
    desk.end(CLOSE_S)
    assert desk.bars(OPTION)[-1] == (start // NS, 100, 152, 100, 100 + 4_999 % 7, 5_000, 0, BarSource.TICKS)
