"""The quotes board: slots, writing, the sequence, hooks, and quotes as objects."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from engine.brokers.kite import packets
from engine.brokers.kite.codec import decode_frame
from engine.brokers.kite.packets import PacketKind
from engine.core.vocabulary import QuoteState
from engine.market.quotes_board import Applied, QuotesBoard

NIFTY = 256_265
CALL, PUT = 3_840_002, 3_840_258
RECEIVED_NS = 5_000_000_000
MARKET_NS = 1_787_031_930_500_000_000
STAMP = 1_787_031_930


class Always:
    """A judge that always says the same."""

    def __init__(self, state: QuoteState = QuoteState.LIVE) -> None:
        self._state = state

    def state(self, board: QuotesBoard, slot: int, now_ns: int) -> QuoteState:
        return self._state


def full(token: int, last: int = 12_350, *, bid: int = 12_345, ask: int = 12_355, volume: int = 9_876_500) -> bytes:
    """A full packet: five levels a side, five paise apart, 65 units and more."""
    depth = b""
    for price, step in ((bid, -5), (ask, 5)):
        for level in range(5):
            value = price + step * level if price else 0
            depth += struct.pack(">IIHH", 65 * (level + 1) if price else 0, value, level + 1 if price else 0, 0)
    head = (token, last, 65, 12_010, volume, 4_321_000, 3_987_000, 11_800, 13_000, 11_050, 11_765)
    return struct.pack(">16I", *head, STAMP - 1, 4_567_800, 4_600_000, 4_400_000, STAMP) + depth


def quote(token: int, last: int) -> bytes:
    """A quote packet."""
    return struct.pack(">11I", token, last, 65, 12_010, 9_876_500, 200, 300, 11_800, 13_000, 11_050, 11_765)


def ltp(token: int, last: int) -> bytes:
    """A last-price packet."""
    return struct.pack(">2I", token, last)


def index(token: int, last: int) -> bytes:
    """A full index packet: high, low, open, close."""
    return struct.pack(">8I", token, last, 2_441_000, 2_429_010, 2_433_000, 2_430_550, 0, STAMP)


def frame(*bodies: bytes) -> bytes:
    """A frame of packets."""
    return struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)


def apply(board: QuotesBoard, *bodies: bytes, received_ns: int = RECEIVED_NS, path: int = 0) -> int:
    """Decode and write a frame."""
    return board.apply(decode_frame(frame(*bodies)), received_ns=received_ns, market_ns=MARKET_NS, path=path)


def board_of(*tokens: int, limit: int = 10_000) -> QuotesBoard:
    """A board with slots."""
    board = QuotesBoard(limit=limit)
    assert board.add(tokens) == ()
    return board


def slots(board: QuotesBoard, tokens: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Slots of tokens."""
    return np.asarray(board.slots_of(tokens), np.intp)


def test_a_full_packet_reads_back_as_an_exact_quote() -> None:
    """Every field of a quote equals the packet's, as exact decimals, with both times."""
    board = board_of(CALL)
    apply(board, full(CALL))
    seen = board.quote(CALL, now_ns=RECEIVED_NS + 1_500_000_000, states=Always())
    assert seen is not None
    assert (seen.last, seen.bid, seen.ask) == (Decimal("123.50"), Decimal("123.45"), Decimal("123.55"))
    assert [(level.price, level.quantity, level.orders) for level in seen.bids][:2] == [
        (Decimal("123.45"), 65, 1),
        (Decimal("123.40"), 130, 2),
    ]
    assert [level.price for level in seen.asks][-1] == Decimal("123.75")
    assert (seen.volume, seen.open_interest, seen.previous_close) == (9_876_500, 4_567_800, Decimal("117.65"))
    assert seen.exchange_time == datetime.fromtimestamp(STAMP, UTC)
    assert seen.received_time == datetime.fromtimestamp(STAMP, UTC).replace(microsecond=500_000)
    assert seen.age_s == 1.5
    assert seen.state is QuoteState.LIVE


def test_before_any_packet_nothing_is_known() -> None:
    """A new slot gives a quote of unknowns, an instrument off the board none at all."""
    board = board_of(CALL)
    seen = board.quote(CALL, now_ns=1, states=Always(QuoteState.UNKNOWN))
    assert seen is not None
    assert (seen.last, seen.bids, seen.volume, seen.age_s, seen.received_time) == (None, (), None, None, None)
    assert board.quote(PUT, now_ns=1, states=Always()) is None
    assert np.isnan(board.last(slots(board, [CALL, PUT]))).all()
    assert np.isnan(board.age_s(slots(board, [CALL, PUT]), 1)).all()


def test_an_option_that_never_traded_has_no_price_and_a_volume_of_zero() -> None:
    """A price of 0 on the wire is unknown; a volume of 0 is a fact."""
    board = board_of(CALL)
    apply(board, full(CALL, 0, bid=0, ask=0, volume=0))
    seen = board.quote(CALL, now_ns=RECEIVED_NS, states=Always())
    assert seen is not None
    assert (seen.last, seen.bids, seen.asks, seen.volume) == (None, (), (), 0)
    assert np.isnan(board.bid(slots(board, [CALL]))).all()
    assert board.volume(slots(board, [CALL])).tolist() == [0.0]


def test_index_packets_are_put_in_the_common_order() -> None:
    """High, low, open, close of an index land in the columns of their names."""
    board = board_of(NIFTY)
    apply(board, index(NIFTY, 2_435_025))
    at = slots(board, [NIFTY])
    words = (packets.LAST, packets.OPEN, packets.HIGH, packets.LOW, packets.CLOSE)
    assert [board.values(word, at)[0] for word in words] == [24_350.25, 24_330.0, 24_410.0, 24_290.1, 24_305.5]
    assert np.isnan(board.volume(at)).all()
    assert np.isnan(board.bid(at)).all()


@pytest.mark.parametrize("crowd", [0, 20])
def test_a_narrower_packet_leaves_no_old_depth(crowd: int) -> None:
    """After a last-price or quote packet the depth of the full packet before it is gone, on both write paths."""
    tokens = [CALL, PUT, *range(1_000_002, 1_000_002 + 256 * crowd, 256)]
    board = board_of(*tokens)
    others = [full(token) for token in tokens[2:]]
    apply(board, full(CALL), full(PUT), *others)
    apply(board, ltp(CALL, 13_000), quote(PUT, 14_000), *others)
    called, put = (board.quote(token, now_ns=RECEIVED_NS, states=Always()) for token in (CALL, PUT))
    assert called is not None
    assert put is not None
    assert (called.last, called.bids, called.volume, called.open_interest) == (Decimal("130.00"), (), None, None)
    assert (put.last, put.asks, put.volume, put.open_interest) == (Decimal("140.00"), (), 9_876_500, None)
    assert board.kinds[slots(board, [CALL, PUT])].tolist() == [PacketKind.LTP, PacketKind.QUOTE]


def test_currency_prices_use_their_own_divisor() -> None:
    """CDS prices have seven decimals, others two, in columns and in quotes."""
    board = board_of(315_907, CALL)
    apply(board, ltp(315_907, 838_725_000), ltp(CALL, 838_725_000))
    assert board.last(slots(board, [315_907, CALL])).tolist() == [83.8725, 8_387_250.0]
    seen = board.quote(315_907, now_ns=RECEIVED_NS, states=Always())
    assert seen is not None
    assert seen.last == Decimal("83.8725")


@pytest.mark.parametrize("crowd", [2, 40])
def test_only_written_slots_change_after_a_sequence(crowd: int) -> None:
    """A reader that gives back its sequence is told exactly the slots written since, whatever others read."""
    tokens = [CALL, PUT, *range(1_000_002, 1_000_002 + 256 * crowd, 256)]
    board = board_of(*tokens)
    apply(board, *(full(token) for token in tokens))
    seen = board.sequence
    assert board.changed_since(seen).tolist() == []
    apply(board, full(PUT))
    assert board.changed_since(seen).tolist() == [board.slot_of(PUT)]
    later = board.sequence
    apply(board, *(full(token) for token in tokens[2:]))
    assert len(board.changed_since(seen)) == 1 + crowd
    assert len(board.changed_since(later)) == crowd
    assert board.sequence == later + 1


def test_an_empty_frame_changes_nothing() -> None:
    """A frame without packets does not move the sequence."""
    board = board_of(CALL)
    assert apply(board) == 0
    assert board.sequence == 0


@pytest.mark.parametrize("crowd", [0, 20])
def test_packets_about_unknown_tokens_are_dropped_and_counted(crowd: int) -> None:
    """Instruments off the board touch no slot; the same exchange token in another segment is another instrument."""
    tokens = [CALL, *range(1_000_002, 1_000_002 + 256 * crowd, 256)]
    board = board_of(*tokens)
    stranger = CALL ^ 0x3  # segment 1 beside segment 2
    written = apply(board, full(stranger, 1), full(0, 1), *(full(token) for token in tokens))
    assert written == len(tokens)
    assert board.unknown_packets == 2
    assert board.last(slots(board, [CALL])).tolist() == [123.5]


@pytest.mark.parametrize("crowd", [0, 20])
def test_the_last_of_repeated_packets_wins(crowd: int) -> None:
    """Two packets about one instrument in a frame leave the later one on the board."""
    others = range(1_000_002, 1_000_002 + 256 * crowd, 256)
    board = board_of(CALL, *others)
    apply(board, full(CALL, 100), *(full(token) for token in others), full(CALL, 200))
    assert board.last(slots(board, [CALL])).tolist() == [2.0]


def test_a_hook_sees_every_packet_of_known_instruments() -> None:
    """The lossless branch gets repeated packets too, in order, until it is ended."""
    board = board_of(CALL, PUT)
    heard: list[Applied] = []
    end = board.add_hook(heard.append)
    apply(board, full(CALL, 100), full(PUT, 150), full(CALL, 200))
    apply(board, ltp(CALL, 300), ltp(99 << 8 | 2, 5))
    end()
    apply(board, ltp(CALL, 400))
    assert [applied.words[:, packets.LAST].tolist() for applied in heard] == [[100, 150, 200], [300]]
    assert [applied.slots.tolist() for applied in heard] == [[0, 1, 0], [0]]
    assert heard[0].sequence + 1 == heard[1].sequence
    assert heard[1].kinds.tolist() == [PacketKind.LTP]


def test_a_full_board_refuses_by_name_and_keeps_what_it_has() -> None:
    """Beyond the limit instruments are refused and named; those there stay."""
    board = QuotesBoard(limit=2)
    assert board.add([CALL, PUT, NIFTY, 511]) == (NIFTY, 511)
    assert board.add([CALL]) == ()
    assert (len(board), CALL in board, NIFTY in board) == (2, True, False)


def test_growth_keeps_everything() -> None:
    """Slots given before the columns grew hold what they held."""
    tokens = [index * 256 + 2 for index in range(1, 3001)]
    board = board_of(*tokens[:10])
    apply(board, *(full(token, 100 + place) for place, token in enumerate(tokens[:10])))
    board.add(tokens)
    apply(board, *(full(token, 500) for token in tokens[10:]))
    assert board.last(slots(board, tokens[:10])).tolist() == [1 + place / 100 for place in range(10)]
    assert (board.last(slots(board, tokens[10:])) == 5.0).all()


def test_a_freed_slot_forgets_and_is_given_again() -> None:
    """Removal forgets at once, tells readers, moves the layout; the next instrument starts unknown in its place."""
    board = board_of(CALL, PUT)
    apply(board, full(CALL), full(PUT))
    slot, layout, seen = board.slot_of(CALL), board.layout, board.sequence
    board.remove([CALL, 12_345])
    assert board.slot_of(CALL) is None
    assert board.changed_since(seen).tolist() == [slot]
    assert board.layout > layout
    assert apply(board, full(CALL)) == 0
    board.add([NIFTY])
    assert board.slot_of(NIFTY) == slot
    assert board.generations.tolist() == [1, 0]
    assert np.isnan(board.last(slots(board, [NIFTY]))).all()
    apply(board, index(NIFTY, 100))
    assert board.last(slots(board, [NIFTY, PUT])).tolist() == [1.0, 123.5]


def test_columns_cannot_be_written_from_outside() -> None:
    """Readers get views that refuse to be written."""
    board = board_of(CALL)
    for column in (board.tokens, board.words, board.received_ns, board.sequences):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1


@pytest.mark.parametrize("token", [0, -1, 1 << 32])
def test_a_number_that_is_no_token_is_refused(token: int) -> None:
    """Only 1 to 2**32 - 1 are tokens."""
    with pytest.raises(ValueError, match="not an instrument token"):
        QuotesBoard(limit=1).add([token])


def test_values_outside_the_board_are_unknown() -> None:
    """Slot -1, which stands for a contract that does not exist, is NaN in every column, even on an empty board."""
    nowhere = np.array([-1, -1], np.intp)
    for board in (QuotesBoard(limit=1), board_of(CALL)):
        if len(board):
            apply(board, full(CALL))
        columns = (board.last, board.bid, board.ask, board.volume, board.open_interest, board.previous_close)
        assert all(np.isnan(column(nowhere)).all() for column in columns)
        assert np.isnan(board.age_s(nowhere, RECEIVED_NS)).all()
