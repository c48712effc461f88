"""A command in words is the same command again, and no text breaks the parser."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.core.bars import BarInterval
from engine.core.commands import (
    ArchiveStrategy,
    CancelOrders,
    Command,
    CreateStrategy,
    GoTo,
    ModifyOrder,
    MoveQuantity,
    OrderChange,
    PlaceOrder,
    Quit,
    ScreenWish,
    SetMark,
    SetMode,
    ShowChain,
    ShowChart,
)
from engine.core.identifiers import OrderNumber, StrategyNumber
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.plans import Chase, Iceberg, Twap
from engine.core.vocabulary import Mark, Mode, OrderType, Product, Side, Validity
from engine.language.describe import describe
from engine.language.numbers import grouped, read_number
from engine.language.parser import interpret
from tests.unit.language.world import NIFTY_INDEX, World

WORLD = World()
prices = st.integers(1, 2_000_000).map(lambda ticks: ticks * Decimal("0.05"))
protections = st.integers(1, 400).map(lambda quarter: Decimal(quarter) / 4) | st.just(Decimal(-1))


manners = st.one_of(
    st.none(),
    st.builds(Iceberg, pieces=st.integers(1, 1000)),
    st.builds(Twap, duration_s=st.integers(1, 36_000).map(float)),
    st.builds(Chase, ticks=st.integers(1, 1000)),
)


@st.composite
def placed(draw: st.DrawFn) -> PlaceOrder:
    """Any order that a sentence can ask for."""
    instrument: Instrument = draw(st.sampled_from(WORLD.rows))
    kind = draw(st.sampled_from(OrderType))
    is_market = kind in {OrderType.MARKET, OrderType.SL_M}
    return PlaceOrder(
        request=OrderRequest(
            instrument=instrument.key,
            side=draw(st.sampled_from(Side)),
            quantity=draw(st.integers(1, 2000)) * instrument.lot_size,
            order_type=kind,
            product=draw(st.sampled_from([Product.MIS, Product.NRML])),
            price=None if is_market else draw(prices),
            trigger_price=draw(prices) if kind in {OrderType.SL, OrderType.SL_M} else None,
            validity=draw(st.sampled_from([Validity.DAY, Validity.IOC])),
            market_protection=draw(protections) if is_market else None,
            strategy=draw(st.sampled_from([None, *(StrategyNumber(number) for number in (1, 3, 5))])),
        ),
        manner=draw(manners),
    )


orders = st.sampled_from([OrderNumber(38), OrderNumber(40)])
lots = st.integers(1, 50).map(lambda count: count * 65)
changes = st.builds(
    OrderChange, quantity=st.none() | lots, price=st.none() | prices, trigger_price=st.none() | prices
).filter(lambda change: change != OrderChange())
commands = st.one_of(
    placed(),
    st.builds(ModifyOrder, number=orders, change=changes),
    st.builds(CancelOrders, numbers=st.lists(orders, min_size=1, unique=True).map(tuple)),
    st.just(CancelOrders(everything=True)),
    st.builds(CreateStrategy, name=st.from_regex(r"\A[a-z0-9]{1,9}-[a-z0-9]{1,9}\Z")).filter(
        lambda command: command.name not in {"fly-0920", "fly-exp"}
    ),
    st.builds(ArchiveStrategy, number=st.sampled_from([StrategyNumber(1), StrategyNumber(3)])),
    st.builds(
        MoveQuantity,
        strategy=st.just(StrategyNumber(1)),
        leg=st.just(1),
        to_strategy=st.sampled_from([StrategyNumber(3), StrategyNumber(5)]),
        quantity=st.none() | lots,
    ),
    st.sampled_from([SetMode(mode=Mode.CONFIRM), SetMode(mode=Mode.READ), SetMode(mode=Mode.HOT, lots=2)]),
)
wishes = st.one_of(
    st.builds(ShowChain, underlying=st.just("NIFTY"), expiry_label=st.sampled_from([None, "w0", "m0", "q1"])),
    st.builds(
        ShowChart,
        instrument=st.sampled_from([NIFTY_INDEX.key, *(row.key for row in WORLD.rows)]),
        interval=st.none() | st.sampled_from(BarInterval),
    ),
    st.builds(GoTo, place=st.sampled_from(WORLD.places())),
    st.builds(SetMark, mark=st.sampled_from(Mark)),
    st.just(Quit()),
)


@given(commands)
def test_a_described_command_is_read_back(command: Command) -> None:
    """parse(describe(command)) == command."""
    meaning = interpret(describe(command, WORLD), WORLD)
    assert meaning.error is None, (describe(command, WORLD), meaning.error)
    assert meaning.command == command


@given(wishes)
def test_a_described_wish_is_read_back(wish: ScreenWish) -> None:
    """parse(describe(wish)) == wish."""
    assert interpret(describe(wish, WORLD), WORLD).wish == wish


@given(commands | wishes)
def test_case_does_not_matter(command: Command | ScreenWish) -> None:
    """Capitals mean the same; only a strategy's new name keeps its letters."""
    sentence = describe(command, WORLD)
    if isinstance(command, CreateStrategy):
        return
    upper, plain = interpret(sentence.upper(), WORLD), interpret(sentence, WORLD)
    assert (upper.command, upper.wish) == (plain.command, plain.wish)


@given(commands, st.data())
def test_a_sentence_cut_short_never_means_another_order(command: Command, data: st.DataObject) -> None:
    """A prefix is an error or a whole sentence of its own; its error lies inside the text."""
    sentence = describe(command, WORLD)
    cut = data.draw(st.integers(0, len(sentence)))
    meaning = interpret(sentence[:cut], WORLD)
    known = [meaning.command, meaning.wish, meaning.error]
    assert sum(part is not None for part in known) == 1
    if meaning.error is not None:
        assert 0 <= meaning.error.place <= cut


VOCABULARY = """
buy sell 2L 130 nifty 24000 ce pe w0 m9 @ mkt 1% bid +0.05 stop into 3 #3 3.1 fly-0920 cancel o38 all modify move
to new show chart 5m go mark arm at 9.20 && ; & atm atm+50 20d fut
"""
words = st.sampled_from(VOCABULARY.split())


@given(st.lists(words | st.text(max_size=6), max_size=12).map(" ".join))
def test_any_text_has_exactly_one_answer(text: str) -> None:
    """A command, a wish or one error with a place inside the text; never an exception."""
    meaning = interpret(text, WORLD)
    assert sum(part is not None for part in (meaning.command, meaning.wish, meaning.error)) == 1
    if meaning.error is not None:
        assert 0 <= meaning.error.place <= len(text)
        assert meaning.error.length >= 1
        assert meaning.error.message.endswith((".", "?"))


@given(st.integers(0, 10**12))
def test_indian_grouping_is_read_back(value: int) -> None:
    """2,01,386 is 201386."""
    assert read_number(grouped(value)) == value
