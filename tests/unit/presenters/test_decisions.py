"""Drafts, reviews, the ghost and the cursor: the small decisions that money hangs on."""

from __future__ import annotations

from datetime import time
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from engine.core.commands import (
    CancelOrders,
    CreateStrategy,
    GoTo,
    Interpretation,
    ModifyOrder,
    MoveTape,
    PlaceOrder,
    Preview,
    Quit,
    SentenceError,
    SetMark,
    SetMode,
    ShowChain,
    Violation,
)
from engine.core.identifiers import OrderNumber
from engine.core.instruments import Instrument
from engine.core.quotes import DepthLevel, Quote
from engine.core.views import ChainView
from engine.core.vocabulary import InstrumentKind, Mark, Mode, Product, QuoteState, Side
from tests.kit.fake_engine import FakeEngineClient
from workstation.formatting import UNICODE
from workstation.presenters.desk_state import DeskState
from workstation.presenters.draft import Draft, PricePolicy, adverse_move, modification, new_draft, policy_price
from workstation.presenters.ghost import (
    Ghost,
    caret_line,
    completed,
    ghost_lines,
    needs_review,
    wish_words,
)
from workstation.presenters.lines import text_of, width_of
from workstation.presenters.review import ReviewSession, ReviewSubject, Verdict, review_lines

TICK = Decimal("0.05")


def quote(bid: str | None, ask: str | None, state: QuoteState = QuoteState.LIVE) -> Quote:
    """A book of one level."""
    bids = (DepthLevel(Decimal(bid), 650, 1),) if bid else ()
    asks = (DepthLevel(Decimal(ask), 650, 1),) if ask else ()
    return Quote(token=7, state=state, bids=bids, asks=asks, age_s=0.2)


@pytest.mark.parametrize(
    ("policy", "side", "expected"),
    [
        (PricePolicy.BID, Side.BUY, "100.00"),
        (PricePolicy.ASK, Side.SELL, "100.15"),
        (PricePolicy.TOUCH, Side.BUY, "100.15"),
        (PricePolicy.TOUCH, Side.SELL, "100.00"),
        (PricePolicy.MID, Side.BUY, "100.05"),
        (PricePolicy.MID, Side.SELL, "100.10"),
    ],
)
def test_policies(policy: PricePolicy, side: Side, expected: str) -> None:
    """A buy meets the ask, a sale the bid; a mid between ticks is rounded to the passive one."""
    assert policy_price(policy, quote("100.00", "100.15"), side, TICK) == Decimal(expected)


def test_policies_without_a_book() -> None:
    """An empty side gives no price, never another side's."""
    assert policy_price(PricePolicy.TOUCH, quote("100", None), Side.BUY, TICK) is None
    assert policy_price(PricePolicy.MID, quote(None, "100"), Side.BUY, TICK) is None
    assert policy_price(PricePolicy.TOUCH, None, Side.BUY, TICK) is None
    assert policy_price(PricePolicy.FIXED, quote("1", "2"), Side.BUY, TICK) is None


@pytest.mark.parametrize(
    ("side", "now", "expected"),
    [
        (Side.BUY, quote("101", "102"), "+2"),
        (Side.BUY, quote("98", "99"), "-1"),
        (Side.SELL, quote("97", "102"), "+2"),
        (Side.SELL, quote("101", "99"), "-2"),
    ],
)
def test_adverse_moves(side: Side, now: Quote, expected: str) -> None:
    """A higher ask is against a buyer, a lower bid against a seller."""
    assert adverse_move(quote("99", "100"), now, side) == Decimal(expected)
    assert adverse_move(quote("99", None), now, Side.BUY) is None


@pytest.fixture
def instrument(engine: FakeEngineClient) -> Instrument:
    """The call at the money."""
    return engine.option("NIFTY", 0, 24_400, InstrumentKind.CALL)


@pytest.fixture
def draft(engine: FakeEngineClient, instrument: Instrument) -> Draft:
    """Two lots bought at the touch."""
    return new_draft(instrument, Side.BUY, 2, engine.quote(instrument.token), product=Product.MIS)


def test_a_draft_is_the_order_it_shows(draft: Draft, instrument: Instrument) -> None:
    """Units from lots, the limit price, the product; the key makes it once."""
    command = draft.command("key")
    assert isinstance(command, PlaceOrder)
    assert command.idempotency_key == "key"
    assert command.request.instrument == instrument.key
    assert (command.request.quantity, command.request.price) == (2 * instrument.lot_size, draft.price)
    assert command.request.product is Product.MIS


def test_a_draft_never_goes_to_zero_or_below(draft: Draft) -> None:
    """Steps stop above zero."""
    low = msgspec.structs.replace(draft, price=Decimal("0.10"))
    assert low.stepped(-1).price == Decimal("0.05")
    assert low.stepped(-2).price == Decimal("0.10")
    assert msgspec.structs.replace(draft, price=None).stepped(1).price is None


def test_stepping_and_repricing(draft: Draft, engine: FakeEngineClient) -> None:
    """Steps are remembered as an offset; repricing forgets it and takes the new quote."""
    assert draft.price is not None
    stepped = draft.stepped(3)
    assert stepped.price == draft.price + 3 * TICK
    assert stepped.source == "touch+0.15"
    assert draft.stepped(-1).source == "touch-0.05"
    again = stepped.priced(PricePolicy.BID, engine.quote(draft.instrument.token))
    assert again.offset == 0
    assert again.source == "bid"


def test_a_modification_changes_only_the_price(engine: FakeEngineClient, instrument: Instrument) -> None:
    """The order's number and a new price; an unchanged price is no change."""
    order = engine.order_list[1]
    change = modification(order, instrument, None)
    same, moved = change.command(None), change.stepped(2).command(None)
    assert isinstance(same, ModifyOrder)
    assert isinstance(moved, ModifyOrder)
    assert same.change.price is None
    assert moved.number == order.number
    assert moved.change.price == Decimal("52.10")
    assert moved.change.quantity is None


def session(
    draft: Draft, policy: PricePolicy = PricePolicy.TOUCH, offset: str = "0", violations: tuple[Violation, ...] = ()
) -> ReviewSession:
    """A session priced on 99 / 100 and painted at 10 s."""
    command = draft.command("key")
    subject = ReviewSubject(
        command=command, title="t", venue="LIVE main AB1234", policy=policy, offset=Decimal(offset), tick=TICK
    )
    made = ReviewSession(subject, delay_s=0.25, tolerance_ticks=2)
    assert isinstance(command, PlaceOrder)
    preview = Preview(
        sentence="Buys.", request=command.request, token=7, quote=quote("99", "100"), violations=violations
    )
    made.priced(preview, None)
    made.painted(10.0)
    return made


def test_y_counts_from_the_paint_of_the_answer(draft: Draft) -> None:
    """Not before the answer, not before its paint, not within the delay."""
    command = draft.command("key")
    blank = ReviewSession(ReviewSubject(command=command, title="", venue=""), delay_s=0.25, tolerance_ticks=2)
    blank.painted(1.0)
    assert blank.verdict(100.0, None) is Verdict.NOT_PAINTED
    made = session(draft)
    live = quote("99", "100")
    assert made.verdict(10.2499, live) is Verdict.TOO_EARLY
    assert made.verdict(10.25, live) is Verdict.SEND
    made.painted(10.2)
    assert made.verdict(10.25, live) is Verdict.SEND, "painting again does not restart the delay"


@pytest.mark.parametrize(
    ("cash", "words"),
    [
        ("-13000", "27.35 when it fills wholly: pay 13,027.35 in all"),
        ("13000", "27.35 when it fills wholly: receive 12,972.65 in all"),
        ("20", "27.35 when it fills wholly: pay 7.35 in all"),
        (None, "27.35 when it fills wholly"),
    ],
)
def test_a_review_says_what_it_costs_in_all(draft: Draft, cash: str | None, words: str) -> None:
    """Premium and charges together; what cannot be known is said instead."""
    made = session(draft)
    assert made.preview is not None
    preview = msgspec.structs.replace(
        made.preview, cash=None if cash is None else Decimal(cash), charges=Decimal("27.35")
    )
    made.priced(preview, None)
    (line,) = [text for line in review_lines(made, None, 76, UNICODE) if "charges  " in (text := text_of(line))]
    assert line.split(maxsplit=1)[1] == words
    both = msgspec.structs.replace(preview, round_trip_charges=Decimal("1058.53"))
    made.priced(both, None)
    after = [text_of(line) for line in review_lines(made, None, 76, UNICODE)]
    place = next(row for row, text in enumerate(after) if text.startswith("charges"))
    assert after[place + 1].strip() == "1,058.53 for the round trip, leaving at the touch"
    made.priced(msgspec.structs.replace(preview, round_trip_charges=None), None)
    assert not any("round trip" in text_of(line) for line in review_lines(made, None, 76, UNICODE))
    made.priced(msgspec.structs.replace(preview, charges=None, charge_notes=("No rates of 2031.",)), None)
    texts = [text_of(line) for line in review_lines(made, None, 76, UNICODE)]
    assert any(text.split() == ["charges", "No", "rates", "of", "2031."] for text in texts)


def test_violations_never_send(draft: Draft) -> None:
    """Nor does a preview that failed."""
    made = session(draft, violations=(Violation(check="lot", message="no"),))
    assert made.verdict(99.0, quote("99", "100")) is Verdict.REFUSED
    assert not made.can_send
    made = session(draft)
    made.failed("the engine does not answer")
    assert made.verdict(99.0, quote("99", "100")) is Verdict.REFUSED


@pytest.mark.parametrize("state", [QuoteState.STALE, QuoteState.CLOSED, QuoteState.UNKNOWN])
def test_dead_quotes_never_send(draft: Draft, state: QuoteState) -> None:
    """However often it is asked."""
    made = session(draft)
    for _ in range(3):
        assert made.verdict(99.0, quote("99", "100", state)) is Verdict.REPRICE
        made.reprice(quote("99", "100", state))
        made.priced(Preview(sentence="s", quote=quote("99", "100", state)), None)
        made.painted(50.0)


@pytest.mark.parametrize("state", [QuoteState.ONE_SIDED, QuoteState.CROSSED, QuoteState.FROZEN])
def test_odd_quotes_are_asked_once_more(draft: Draft, state: QuoteState) -> None:
    """The first y asks again naming the state, the second one sends; another state asks again."""
    made = session(draft)
    odd = quote("99", "100", state)
    assert made.verdict(99.0, odd) is Verdict.REPRICE
    made.reprice(odd)
    made.priced(Preview(sentence="s", request=None, quote=odd), None)
    made.painted(50.0)
    assert made.verdict(51.0, odd) is Verdict.SEND
    assert made.verdict(51.0, quote("99", "100", QuoteState.STALE)) is Verdict.REPRICE


def test_repricing_follows_the_policy_and_its_offset(draft: Draft) -> None:
    """A touch price moves with the touch, with the ticks added by hand; a fixed one stays."""
    moved = quote("101", "102")
    following = session(draft, offset="0.10")
    assert following.verdict(99.0, moved) is Verdict.REPRICE
    following.reprice(moved)
    assert isinstance(following.command, PlaceOrder)
    assert following.command.request.price == Decimal("102.10")
    assert following.command.idempotency_key == "key", "the same order, asked again"
    assert "moved +2.00 against you" in following.remark
    fixed = session(draft, PricePolicy.FIXED)
    before = fixed.command
    fixed.reprice(moved)
    assert fixed.command == before


def test_moves_within_the_tolerance_and_in_favour_send(draft: Draft) -> None:
    """Two ticks against, or anything for the trader."""
    assert session(draft).verdict(99.0, quote("99", "100.10")) is Verdict.SEND
    assert session(draft).verdict(99.0, quote("99", "100.15")) is Verdict.REPRICE
    assert session(draft).verdict(99.0, quote("89", "90")) is Verdict.SEND


def test_a_side_that_went_away_asks_again(draft: Draft) -> None:
    """The ask is gone, or the quote is."""
    assert session(draft).verdict(99.0, quote("99", None)) is Verdict.REPRICE
    assert session(draft).verdict(99.0, None) is Verdict.REPRICE


def test_commands_without_a_quote_need_only_the_delay(draft: Draft) -> None:
    """A cancel does not wait for a market."""
    made = ReviewSession(
        ReviewSubject(command=CancelOrders(everything=True), title="", venue=""), delay_s=0.25, tolerance_ticks=2
    )
    made.priced(Preview(sentence="Cancels o1."), None)
    made.painted(1.0)
    assert made.verdict(1.3, None) is Verdict.SEND


def test_review_lines_say_everything(draft: Draft, engine: FakeEngineClient) -> None:
    """Sentence first; units and lots; money with paise; each refusal; lines fit."""
    made = session(draft)
    preview = engine._preview(draft.command("key"))
    refusal = Violation(
        check="spread", message="24950CE is 6.10% wide, limit 1.00%; bid 14.00 ask 14.90, one level of 65"
    )
    made.priced(msgspec.structs.replace(preview, violations=(refusal, refusal)), None)
    lines = review_lines(made, engine.quote(draft.instrument.token), 76, UNICODE)
    text = " ".join(" ".join(text_of(line) for line in lines).split())
    assert text_of(lines[0]).startswith("Buys 130")
    for words in (
        "BUY 2L = 130 units",
        "pay 21,073.00 before charges",
        "2 checks refuse",
        "one level of 65",
        "0L > +2L",
    ):
        assert words in text
    assert all(width_of(line) <= 76 for line in lines)


def test_the_ghost_names_what_it_knows(engine: FakeEngineClient, draft: Draft) -> None:
    """An example for nothing, the error, the wish, the consequence with every refusal, or the trouble."""
    assert "for example" in text_of(ghost_lines(Ghost(), 80, UNICODE)[0])
    error = SentenceError(message="No strategy is that.", place=5, choices=("1", "3"))
    lines = ghost_lines(Ghost(interpretation=Interpretation(text="exit x", error=error)), 80, UNICODE)
    assert text_of(lines[0]).strip() == "↳ No strategy is that."
    assert text_of(lines[1]).split() == ["Tab", "1", "3"]
    wish = Ghost(interpretation=Interpretation(text="mark exit", wish=SetMark(mark=Mark.EXIT)))
    assert "counts money at exit" in text_of(ghost_lines(wish, 80, UNICODE)[0])
    command = draft.command(None)
    violation = Violation(check="lot", message="not a lot")
    preview = Preview(sentence="Buys 130.", violations=(violation, violation))
    whole = Ghost(interpretation=Interpretation(text="buy", command=command), preview=preview)
    assert "2 checks refuse: not a lot  not a lot" in text_of(ghost_lines(whole, 80, UNICODE)[1])
    assert "no answer" in text_of(ghost_lines(Ghost(trouble="no answer"), 80, UNICODE)[0])


def test_wishes_in_words() -> None:
    """Each wish says what it does."""
    assert wish_words(ShowChain(underlying="NIFTY", expiry_label="w1")) == "shows NIFTY w1"
    assert wish_words(GoTo(place="orders")) == "goes to orders"
    assert wish_words(Quit()) == "leaves the terminal"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (MoveTape(play=True), "plays the tape"),
        (MoveTape(play=True, speed=10), "plays the tape at 10x"),
        (MoveTape(play=False), "pauses the tape"),
        (MoveTape(speed=0.25), "plays the tape at 0.25x when it plays"),
        (MoveTape(to=time(13, 5)), "moves the tape to 13:05:00"),
        (MoveTape(by_s=300), "moves the tape on by 5m"),
        (MoveTape(by_s=-90), "moves the tape back by 90s"),
        (MoveTape(steps=1), "plays 1 frame of the tape, then pauses"),
        (MoveTape(steps=20), "plays 20 frames of the tape, then pauses"),
    ],
)
def test_wishes_of_a_tape_in_words(wish: MoveTape, words: str) -> None:
    """The ghost says what Enter would do."""
    assert wish_words(wish) == words


def test_what_needs_a_review() -> None:
    """Everything that sends or moves; not arming, reading and looking up."""
    assert needs_review(CancelOrders(numbers=(OrderNumber(1),)))
    assert not needs_review(SetMode(mode=Mode.READ))
    assert not needs_review(CreateStrategy(name="a-b"))


def test_the_caret_stays_on_the_screen() -> None:
    """Under the place, as long as the word, never beyond the edge."""
    error = SentenceError(message="m", place=5, length=2)
    assert text_of(caret_line(error, 2, 80)) == " " * 7 + "^^"
    far = SentenceError(message="m", place=500, length=9)
    assert text_of(caret_line(far, 2, 80)) == " " * 79 + "^"


@pytest.mark.parametrize(
    ("text", "place", "length", "incomplete", "expected"),
    [
        ("bvy 2L", 0, 3, False, "buy 2L"),
        ("buy 2L nifty 24000 xx w0", 19, 2, False, "buy 2L nifty 24000 buy w0"),
        ("buy", 3, 1, True, "buy buy"),
        ("", 0, 1, True, "buy"),
    ],
)
def test_completion(text: str, place: int, length: int, incomplete: bool, expected: str) -> None:
    """The wrong word is replaced, the missing one added, the rest kept."""
    error = SentenceError(message="m", place=place, length=length, incomplete=incomplete, choices=("buy",))
    assert completed(text, error, 0) == expected
    assert completed(text, msgspec.structs.replace(error, choices=()), 0) == text


def test_counts_are_bounded() -> None:
    """Four digits at most, no leading zero, used up by the key."""
    state = DeskState(Mark.LAST)
    for digit in "00123456":
        state.add_digit(digit)
    assert state.count == "1234"
    assert state.take_count() == 1234
    assert state.take_count() == 1


def test_the_cursor_is_a_strike(view: ChainView) -> None:
    """It survives other rows, clamps at the ends, and starts at ATM."""
    state = DeskState(Mark.LAST)
    assert state.selection(None) is None
    assert view.strikes[state.row(view)] == view.header.atm_strike
    state.move(view, 3)
    strike = state.strike
    fewer = msgspec.structs.replace(view, strikes=view.strikes[2:])
    assert fewer.strikes[state.row(fewer)] == strike
    state.move(view, 10_000)
    assert state.strike == view.strikes[-1]
    state.move(view, -10_000)
    assert state.strike == view.strikes[0]
    empty = msgspec.structs.replace(view, strikes=np.empty(0))
    assert state.selection(empty) is None
    state.move(empty, 1)
