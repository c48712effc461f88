"""The three marks: exact, from the right side of the book, and never one in place of another."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from engine.core.quotes import walk_depth
from engine.core.vocabulary import Mark, QuoteState
from engine.market.m2m_marks import QUANTITY_LIMIT, InstrumentMarks, MarkReader
from tests.unit.market.feed_kit import Feed

CALL = 40_000 * 256 + 2
PUT = 40_001 * 256 + 2
INDEX = 256_265
NOW = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)
BIDS = [(100.05, 65), (100.00, 130), (99.50, 650)]
ASKS = [(100.25, 65), (100.30, 195), (101.00, 65)]


@pytest.fixture
def feed() -> Feed:
    """A board with two options and an index."""
    return Feed((CALL, PUT, INDEX), NOW)


def marks_of(feed: Feed, token: int, quantity: int) -> InstrumentMarks:
    """The marks of one holding now."""
    (marks,) = MarkReader(feed.board, feed.states).marks([(token, quantity)], feed.now_ns)
    return marks


def test_long_sells_into_the_bids(feed: Feed) -> None:
    """A long's exit is the size-weighted price of the bids, exactly."""
    feed.full(CALL, bids=BIDS, asks=ASKS, last=100.10)
    marks = marks_of(feed, CALL, 130)
    assert marks.state is QuoteState.LIVE
    assert marks.last == Decimal("100.10")
    assert marks.mid == Decimal("100.15")
    assert marks.exit == (65 * Decimal("100.05") + 65 * Decimal("100.00")) / 130
    assert not marks.reasons


def test_short_buys_from_the_asks(feed: Feed) -> None:
    """A short's exit comes from the asks: above the mid, never below."""
    feed.full(CALL, bids=BIDS, asks=ASKS, last=100.10)
    marks = marks_of(feed, CALL, -195)
    assert marks.exit == (65 * Decimal("100.25") + 130 * Decimal("100.30")) / 195
    assert marks.exit is not None
    assert marks.mid is not None
    assert marks.exit > marks.mid


@pytest.mark.parametrize("quantity", [1, 65, 66, 195, 196, 845, -1, -65, -260, -325])
def test_exit_agrees_with_the_domain_walk(feed: Feed, quantity: int) -> None:
    """The vectorised walk gives the very price of the domain's walk through the quote's levels."""
    feed.full(CALL, bids=BIDS, asks=ASKS, last=100.10)
    quote = feed.board.quote(CALL, now_ns=feed.now_ns, states=feed.states)
    assert quote is not None
    expected = walk_depth(quote.bids if quantity > 0 else quote.asks, abs(quantity))
    assert marks_of(feed, CALL, quantity).exit == expected.average_price


def test_thin_book_gives_no_exit(feed: Feed) -> None:
    """A book that cannot take the whole size gives no price for it, and says how much it could."""
    feed.full(CALL, bids=[(100.05, 30)], asks=ASKS, last=100.10)
    marks = marks_of(feed, CALL, 65)
    assert marks.exit is None
    assert marks.reasons[Mark.EXIT] == "only 30 of 65 units in the bids"
    assert marks.mid is not None
    short = marks_of(feed, CALL, -6_500)
    assert short.reasons[Mark.EXIT] == "only 325 of 6,500 units in the asks"


def test_one_sided_book(feed: Feed) -> None:
    """With bids only a long can leave and a short cannot; neither has a mid."""
    feed.full(CALL, bids=BIDS, last=100.10)
    long, short = marks_of(feed, CALL, 65), marks_of(feed, CALL, -65)
    assert long.state is QuoteState.ONE_SIDED
    assert long.exit == Decimal("100.05")
    assert short.exit is None
    assert short.reasons[Mark.EXIT] == "only 0 of 65 units in the asks"
    assert long.mid is short.mid is None
    assert long.reasons[Mark.MID] == "no ask"


def test_crossed_book_gives_only_the_last(feed: Feed) -> None:
    """Bid above ask is no market: no mid and no exit are taken from it."""
    feed.full(CALL, bids=[(101.0, 65)], asks=[(100.0, 65)], last=100.5)
    marks = marks_of(feed, CALL, 65)
    assert marks.state is QuoteState.CROSSED
    assert marks.last == Decimal("100.5")
    assert (marks.mid, marks.exit) == (None, None)
    assert "crossed" in marks.reasons[Mark.EXIT]


def test_empty_book_without_a_trade(feed: Feed) -> None:
    """Nothing quoted and never traded: three unknowns with reasons, no zero anywhere."""
    feed.full(CALL)
    marks = marks_of(feed, CALL, 65)
    assert (marks.last, marks.mid, marks.exit) == (None, None, None)
    assert marks.reasons[Mark.LAST] == "no last price"
    assert marks.reasons[Mark.MID] == "the book is empty"


def test_stale_quote_keeps_its_last_with_the_state(feed: Feed) -> None:
    """After silence the last price is still told, marked STALE; mid and exit are not."""
    feed.full(CALL, bids=BIDS, asks=ASKS, last=100.10)
    feed.pass_time(6.0, heartbeat=False)
    marks = marks_of(feed, CALL, 65)
    assert marks.state is QuoteState.STALE
    assert marks.last == Decimal("100.10")
    assert (marks.mid, marks.exit) == (None, None)
    assert "stale" in marks.reasons[Mark.EXIT]


def test_old_quote_on_a_live_path_is_live(feed: Feed) -> None:
    """A minute without a packet but with heartbeats is a quiet market, not a stale quote."""
    feed.full(CALL, bids=BIDS, asks=ASKS, last=100.10)
    feed.pass_time(60.0)
    assert marks_of(feed, CALL, 65).exit == Decimal("100.05")


def test_closed_session_keeps_the_last(feed: Feed) -> None:
    """After the close only the last price remains, flagged CLOSED."""
    feed.full(CALL, bids=BIDS, asks=ASKS, last=100.10)
    feed.states.set_open_segments(())
    marks = marks_of(feed, CALL, 65)
    assert marks.state is QuoteState.CLOSED
    assert marks.last == Decimal("100.10")
    assert marks.exit is None
    assert "over" in marks.reasons[Mark.MID]


def test_packets_without_depth(feed: Feed) -> None:
    """A narrower mode gives a last price and says that depth is not received."""
    feed.price_only(CALL, 100.10)
    feed.index(INDEX, 24_381.05)
    call, index = marks_of(feed, CALL, 65), marks_of(feed, INDEX, 1)
    assert call.last == Decimal("100.10")
    assert index.last == Decimal("24381.05")
    assert call.reasons[Mark.MID] == call.reasons[Mark.EXIT] == "no depth is received"


def test_unknown_instruments_keep_their_place(feed: Feed) -> None:
    """Tokens that are not on the board, or never heard of, are None in their own places."""
    feed.full(CALL, bids=BIDS, asks=ASKS, last=100.10)
    reader = MarkReader(feed.board, feed.states)
    stranger, call, silent = reader.marks([(12_345, 65), (CALL, 65), (PUT, 65)], feed.now_ns)
    assert stranger.reasons[Mark.LAST] == "the instrument is not on the board"
    assert call.exit == Decimal("100.05")
    assert silent.state is QuoteState.UNKNOWN
    assert silent.reasons[Mark.LAST] == "nothing has been received"
    assert reader.marks([], feed.now_ns) == ()


def test_empty_board() -> None:
    """A board without any instrument answers, too."""
    feed = Feed((), NOW)
    assert marks_of(feed, CALL, 65).of(Mark.LAST) is None


def test_flat_holding_has_no_exit(feed: Feed) -> None:
    """Nothing held: nothing to exit, and no price is made up for it."""
    feed.full(CALL, bids=BIDS, asks=ASKS, last=100.10)
    marks = marks_of(feed, CALL, 0)
    assert marks.last is not None
    assert marks.exit is None
    assert marks.reasons == {Mark.EXIT: "nothing is held"}


def test_absurd_quantity_is_refused(feed: Feed) -> None:
    """A size that could overflow the arithmetic is an error, not a wrong price."""
    with pytest.raises(ValueError, match="below"):
        marks_of(feed, CALL, QUANTITY_LIMIT)


def test_levels_with_a_size_but_no_price_give_nothing(feed: Feed) -> None:
    """A level of price 0 is no level: its size must not make the average cheaper."""
    feed.full(CALL, bids=[(100.0, 65), (0.0, 65)], asks=ASKS, last=100.1)
    assert marks_of(feed, CALL, 130).exit is None
    assert marks_of(feed, CALL, 65).exit == Decimal(100)


def test_large_sizes_are_exact(feed: Feed) -> None:
    """Hundreds of millions of units at a high price lose nothing."""
    feed.full(CALL, bids=[(250_000.05, 2_000_000_000)], asks=[(250_000.10, 65)], last=1.0)
    assert marks_of(feed, CALL, 1_999_999_999).exit == Decimal("250000.05")


@pytest.mark.parametrize("quantity", [0, 1, 65, 195, 845, 846, -1, -260, -325, -326])
@pytest.mark.parametrize(
    ("bids", "asks"),
    [(BIDS, ASKS), ([], ASKS), (BIDS, []), ([], []), ([(101.0, 65)], [(100.0, 65)])],
    ids=["whole", "no bid", "no ask", "empty", "crossed"],
)
def test_columns_agree_with_the_objects(
    feed: Feed, quantity: int, bids: list[tuple[float, int]], asks: list[tuple[float, int]]
) -> None:
    """The fast path gives the same marks and states as the exact one, NaN for ``None``, whatever the book."""
    feed.full(CALL, bids=bids, asks=asks, last=100.10)
    tokens, held = np.array([CALL, PUT, INDEX, 77]), np.array([quantity, 65, 1, -5])
    reader = MarkReader(feed.board, feed.states)
    columns = reader.columns(tokens, held, feed.now_ns)
    exact = reader.marks(list(zip(tokens.tolist(), held.tolist(), strict=True)), feed.now_ns)
    assert columns.states.tolist() == [marks.state for marks in exact]
    for mark, column in ((Mark.LAST, columns.last), (Mark.MID, columns.mid), (Mark.EXIT, columns.exit)):
        for marks, value in zip(exact, column.tolist(), strict=True):
            expected = marks.of(mark)
            assert math.isnan(value) if expected is None else value == pytest.approx(float(expected), rel=1e-12)


def test_columns_of_nothing_are_empty(feed: Feed) -> None:
    """No legs, no marks; a quantity no position can have is refused."""
    reader = MarkReader(feed.board, feed.states)
    none = np.array([], np.int64)
    assert reader.columns(none, none, feed.now_ns).last.size == 0
    with pytest.raises(ValueError, match="below"):
        reader.columns(np.array([CALL]), np.array([QUANTITY_LIMIT]), feed.now_ns)
