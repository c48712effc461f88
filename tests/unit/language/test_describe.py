"""Commands in words: exact canonical sentences, also for what no sentence can ask for; and numbers as typed."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import (
    AcknowledgeEvent,
    CloseDeadLetter,
    Command,
    ModifyOrder,
    MoveQuantity,
    OrderChange,
    PlaceOrder,
    ReplayDeadLetter,
    ResolveUnknown,
    SetMode,
)
from engine.core.identifiers import InstrumentKey, OrderNumber, StrategyNumber
from engine.core.orders import OrderRequest
from engine.core.vocabulary import Exchange, Mode, OrderType, Product, Side, Variety
from engine.language.describe import contract_words, describe
from engine.language.numbers import grouped, plain, price_text, read_lots, read_number, read_percent
from engine.language.parser import interpret
from tests.unit.language.world import World


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("buy 2L nifty 24000 ce w0 @ 105", "buy 2L nifty 24000 ce 01dec26 @ 105.00 nrml day"),
        ("sell 650 nifty 24,400 pe @ mid into 3", "sell 10L nifty 24400 pe 01dec26 @ 151.40 nrml day into 3"),
        ("buy 1L nifty atm+50 ce q1 ioc mis", "buy 1L nifty 24450 ce 30mar27 @ 151.60 mis ioc"),
        ("buy 30L bnf fut @ mkt 1%", "buy 30L banknifty fut 29dec26 @ mkt 1% nrml day"),
        ("buy 30L bnf fut @ mkt", "buy 30L banknifty fut 29dec26 @ mkt auto nrml day"),
        (
            "buy 10L nifty 24350 ce w0 stop 222.75 @ 229.4",
            "buy 10L nifty 24350 ce 01dec26 stop 222.75 @ 229.40 nrml day",
        ),
        ("modify o38 260 @ 53", "modify o38 4L @ 53.00"),
        ("move 1.1 65 to fly-0920", "move 1.1 1L to 3"),
        ("account ab1234", "account AB1234"),
        ("account all", "account all"),
        ("move 1.1 to fly-0920 at mark", "move 1.1 to 3 at mid"),
        ("archive fly-exp", "archive 5"),
        ("show nifty 08dec", "show nifty w1"),
        ("disarm", "disarm"),
    ],
)
def test_what_was_resolved_stays_resolved(world: World, text: str, sentence: str) -> None:
    """Dates for labels, numbers for names, prices for quote words, lots where whole."""
    meaning = interpret(text, world)
    asked = meaning.command or meaning.wish
    assert asked is not None
    assert describe(asked, world) == sentence


def unlisted(**changes: object) -> OrderRequest:
    """An order for a share that the F&O grammar has no words for."""
    request = OrderRequest(
        instrument=InstrumentKey(Exchange.NSE, "INFY"),
        side=Side.BUY,
        quantity=10,
        product=Product.CNC,
        price=Decimal("1500.5"),
        variety=Variety.AMO,
    )
    return msgspec.structs.replace(request, **changes)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (PlaceOrder(request=unlisted()), "buy 10 NSE:INFY @ 1500.50 cnc day (amo)"),
        (
            PlaceOrder(request=unlisted(price=None, order_type=OrderType.MARKET, variety=Variety.REGULAR)),
            "buy 10 NSE:INFY @ mkt auto cnc day",
        ),
        (ModifyOrder(number=OrderNumber(99), change=OrderChange(quantity=10)), "modify o99 10"),
        (
            MoveQuantity(strategy=StrategyNumber(9), leg=1, to_strategy=StrategyNumber(1), quantity=10),
            "move 9.1 10 to 1",
        ),
        (ResolveUnknown(number=OrderNumber(40)), "look up o40"),
        (ReplayDeadLetter(numbers=(OrderNumber(40), OrderNumber(41))), "send again o40 o41"),
        (CloseDeadLetter(numbers=(OrderNumber(40),)), "close o40"),
        (AcknowledgeEvent(sequence=17), "acknowledge events up to 17"),
        (SetMode(mode=Mode.HOT, lots=2), "arm hot 2"),
    ],
)
def test_commands_without_a_sentence_are_still_put_in_words(world: World, command: Command, words: str) -> None:
    """A person can read every command, also one that only a key or a script can give."""
    assert describe(command, world) == words


def test_contracts_that_are_no_options_or_futures_keep_their_key(world: World) -> None:
    """A row without expiry or strike is named by exchange and symbol."""
    row = world.rows[0]
    assert contract_words(row) == "nifty 23800 ce 01dec26"
    assert contract_words(msgspec.structs.replace(row, strike=None)) == str(row.key)
    assert contract_words(msgspec.structs.replace(row, expiry=None)) == str(row.key)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("24,500", "24500"),
        ("8k", "8000"),
        ("1.5lakh", "150000"),
        ("2cr", "20000000"),
        ("2,00,000", "200000"),
        ("200,000", "200000"),
        ("1,23,45,678.90", "12345678.90"),
        (".05", "0.05"),
        ("105", "105"),
        ("0.0525K", "52.5"),
    ],
)
def test_numbers_as_traders_write_them(text: str, value: str) -> None:
    """Indian and western grouping, k, lakh and cr; exact."""
    assert read_number(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", ",", ".", "1,2", "2,4500", "1,00,00", "12,34", "1e5", "-5", "+5", "5L", "5%", "1.2.3", "5 k", "१२", "1" * 21,
     "NaN", "inf", "k", "lakh", "1_000", "0x10"],
)  # fmt: skip
def test_what_is_not_a_number(text: str) -> None:
    """Signs, exponents, odd groups, other scripts and endless digits are not numbers here."""
    assert read_number(text) is None


def test_lots_and_percentages() -> None:
    """L is only ever lots; % is only ever a percentage."""
    assert [read_lots(text) for text in ("2L", "10l", "2lakh", "L")] == [Decimal(2), Decimal(10), None, None]
    assert [read_percent(text) for text in ("0.5%", "5", "%")] == [Decimal("0.5"), None, None]


def test_numbers_in_sentences() -> None:
    """Indian grouping with a sign; prices with two places or the tick's; no needless zeros in plain numbers."""
    assert [grouped(value) for value in (0, 999, 1000, 201386, -201386, 12345678)] == [
        "0", "999", "1,000", "2,01,386", "-2,01,386", "1,23,45,678",
    ]  # fmt: skip
    assert price_text(Decimal(105)) == "105.00"
    assert price_text(Decimal("82.5"), Decimal("0.0025")) == "82.5000"
    assert price_text(Decimal("151.425")) == "151.425"
    assert (plain(Decimal("24000.00")), plain(Decimal("1E+3")), plain(Decimal("0.50"))) == ("24000", "1000", "0.5")
