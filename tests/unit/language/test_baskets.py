"""Sentences about baskets: legs, the plan for them, errors with their place, and the sentence back again."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.commands import MakePlan, PlaceBasket
from engine.core.identifiers import StrategyNumber
from engine.core.orders import OrderRequest
from engine.core.plans import LegFailure, LegPlan
from engine.core.vocabulary import OrderType, Product, Side
from engine.language.baskets import AFTER_PLAN
from engine.language.describe import describe
from engine.language.parser import SENTENCE_LENGTH_MAX, interpret
from tests.unit.language.world import World

BUY, SELL = "buy 1L nifty 25000 ce w0 @ ask", "sell 1L nifty 24800 ce w0 @ bid"
PAIR = f"basket {BUY}, {SELL}"


def basket_of(text: str, world: World) -> PlaceBasket:
    """The basket that a whole sentence asks for."""
    meaning = interpret(text, world)
    assert meaning.error is None, meaning.error
    assert isinstance(meaning.command, PlaceBasket)
    return meaning.command


def test_legs_are_orders_in_the_words_of_orders(world: World) -> None:
    """Contracts, prices and quantities read as in a single order, in the order written; the plan is the usual one."""
    command = basket_of("basket sell 650 nifty 24,400 pe @ mid mis, buy 10L nifty atm-600 pe @ mkt 1% mis", world)
    alone = interpret("sell 650 nifty 24,400 pe @ mid mis", world).command
    assert getattr(alone, "request", None) == command.legs[0]
    bought = command.legs[1]
    assert (bought.side, bought.quantity, bought.order_type) == (Side.BUY, 650, OrderType.MARKET)
    assert (bought.market_protection, bought.product) == (Decimal(1), Product.MIS)
    assert command.leg_plan == LegPlan()


@pytest.mark.parametrize(
    ("words", "plan"),
    [
        ("unwind", LegPlan(on_failure=LegFailure.UNWIND)),
        ("hold naked 10s", LegPlan(on_failure=LegFailure.HOLD, naked_s_max=10)),
        ("chase 5 ticks timeout 0.5s", LegPlan(on_failure=LegFailure.CHASE, chase_ticks=5, fill_timeout_s=0.5)),
        ("naked 1,300 1m", LegPlan(naked_quantity_max=1300, naked_s_max=60)),
        ("naked 65", LegPlan(naked_quantity_max=65)),
        (
            "slippage 2.50 timeout 10s, ordered",
            LegPlan(slippage_max=Decimal("2.5"), fill_timeout_s=10, hedge_first=False),
        ),
    ],
)
@pytest.mark.parametrize("comma", [", ", " "])
def test_the_plan_stands_after_the_legs(world: World, words: str, plan: LegPlan, comma: str) -> None:
    """Its words in any order, a comma before it or none; the canonical sentence means the same."""
    command = basket_of(f"{PAIR}{comma}{words}", world)
    assert command.leg_plan == plan
    assert basket_of(describe(command, world), world) == command


def test_the_canonical_sentence(world: World) -> None:
    """Dates, numbers and the whole plan are written out."""
    assert describe(basket_of(PAIR, world), world) == (
        "basket buy 1L nifty 25000 ce 01dec26 @ 151.60 nrml day, sell 1L nifty 24800 ce 01dec26 @ 151.20 nrml day, "
        "unwind naked 5s timeout 2s"
    )


def test_a_strategy_is_said_for_a_leg_or_for_all(world: World) -> None:
    """``into`` inside a leg is that leg's; in the plan it is everybody's."""
    of_one = basket_of(f"basket {BUY} into 3, {SELL} unwind", world)
    assert [leg.strategy for leg in of_one.legs] == [StrategyNumber(3), None]
    of_all = basket_of(f"{PAIR}, into fly-0920 hold", world)
    assert [leg.strategy for leg in of_all.legs] == [StrategyNumber(3)] * 2
    assert of_all.leg_plan.on_failure is LegFailure.HOLD


def test_commas_in_numbers_stay_and_blanks_do_not_matter(world: World) -> None:
    """A comma between digits is part of the number, any other ends the leg."""
    tight = basket_of(f"basket {BUY},sell 1L nifty 24,800 ce w0 @ bid,hold", world)
    assert tight.legs == basket_of(PAIR, world).legs
    assert tight.leg_plan.on_failure is LegFailure.HOLD


def test_twenty_legs_in_canonical_words_fit_one_sentence(world: World) -> None:
    """The longest basket that the executor takes can be written."""
    legs = tuple(
        OrderRequest(
            instrument=command.instrument,
            side=side,
            quantity=6500,
            price=Decimal("10051.60"),
            strategy=StrategyNumber(3),
        )
        for command in (basket_of(PAIR, world).legs[0],)
        for side in (Side.BUY, Side.SELL) * 10
    )
    sentence = describe(PlaceBasket(legs=legs), world)
    assert len(sentence) <= SENTENCE_LENGTH_MAX
    assert basket_of(sentence, world).legs == legs


def test_a_basket_can_wait(world: World) -> None:
    """It is an action of a plan, with the place of an error counted from the whole sentence's first character."""
    meaning = interpret(f"at 09:20 credit 1,000 {PAIR} hold", world)
    assert isinstance(meaning.command, MakePlan)
    assert meaning.command.sentence == f"{PAIR} hold"
    wrong = f"at 09:20 {PAIR} hold unwind"
    error = interpret(wrong, world).error
    assert error is not None
    assert wrong[error.place :] == "unwind"


WRONG = [
    ("basket »nifty« 24000 ce", "Needs a leg, such as buy 1L nifty 25000 ce @ ask."),
    (f"basket {BUY}, sell »66« nifty 24800 ce", "66 units is not a multiple of the lot, 65. 1L = 65 or 2L = 130."),
    (f"basket {BUY}, sell 1L nifty »24810« ce w0", "w0 (01DEC) has no strike 24,810. Next: 24,800 and 24,850."),
    (f"basket {BUY} »sell« 1L nifty 24800 ce", 'A comma stands between two legs: ", sell …".'),
    (f"basket {BUY} »stop« 5, {SELL}", '"stop" is for single orders: a leg waits for no price.'),
    (f"basket {BUY} »ioc«, {SELL}", '"ioc" is for single orders: a leg rests as long as timeout says.'),
    (f"{PAIR} »twap« 5m", '"twap" is for single orders: a leg is sent at once.'),
    (
        f"{PAIR} »iceberg« 5",
        '"iceberg" is for single orders: a leg is sent at once, in as many pieces as the exchange needs.',
    ),
    (f"{PAIR} hold »unwind«", '"unwind" after "hold": it is said already.'),
    (f"{PAIR} hold naked 5s »naked« 6s", '"naked" after "naked": it is said already.'),
    (f"{PAIR} hold, »buy« 1L nifty 25000 ce", "Legs are written before the plan."),
    (f"{PAIR} naked »soon«", '"soon" does not fit. Needs how long, how many units, or both: naked 5s, naked 65 5s.'),
    (f"{PAIR} timeout »10«", '"10" is not a length of time. Lengths are 30s, 5m or 1h.'),
    (f"{PAIR} slippage »-1«", '"-1" does not fit: rupees a unit above zero, such as 2.50.'),
    (f"{PAIR} chase 3 »points«", 'After the count: "ticks", not "points".'),
    (
        f"basket {BUY} into 3, {SELL}, »into« 3",
        "A leg says its strategy already; say it for each leg, or once in the plan.",
    ),
    (f"{PAIR} hold »now«", f'"now" does not fit here. {AFTER_PLAN}'),
    (
        f"{PAIR} »;« quit",
        '";" (both now) is not available in this version. Write one sentence at a time.',
    ),
]


@pytest.mark.parametrize(("marked", "message"), WRONG, ids=[marked for marked, _ in WRONG])
def test_wrong_baskets(world: World, marked: str, message: str) -> None:
    """The message, and the very characters it speaks of (between » and «)."""
    place, end = marked.index("»"), marked.index("«")
    error = interpret(marked.replace("»", "").replace("«", ""), world).error
    assert error is not None
    assert error.message == message
    assert (error.place, error.length) == (place, end - place - 1)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("basket", "buy"),
        ("basket buy 1L nifty 25000 ", "ce"),
        (f"basket {BUY},", "sell"),
        (f"basket {BUY},", "unwind"),
        (f"{PAIR} unw", "unwind"),
        (f"{PAIR} hold,", "naked"),
    ],
)
def test_what_may_come_next_is_offered(world: World, text: str, choice: str) -> None:
    """An unfinished basket says so, with words that fit."""
    error = interpret(text, world).error
    assert error is not None
    assert error.incomplete
    assert choice in error.choices


def test_no_price_is_taken_from_a_leg_without_one_it_can_trust(world: World) -> None:
    """The error stands at the end of the leg that lacks it, not at the end of the sentence."""
    world.default_quote = (None, None)
    text = f"basket buy 1L nifty 25000 ce w0, {SELL}"
    error = interpret(text, world).error
    assert error is not None
    assert "Write the price as a number" in error.message
    assert text[error.place] == ","
