"""Sentences about candles: what they name, how long a candle is, and what is wrong with the others."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.bars import BarInterval
from engine.core.commands import ShowChart
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.language.describe import describe
from engine.language.parser import interpret
from tests.unit.language.world import DEC_WEEKLIES, MARCH, World

INDEX = InstrumentKey(Exchange.NSE, "NIFTY 50")


def option_key(world: World, strike: int, kind: InstrumentKind) -> InstrumentKey:
    """A NIFTY option of the nearest expiry."""
    found = world.option("NIFTY", DEC_WEEKLIES[0], Decimal(strike), kind)
    assert found is not None
    return found.key


def test_an_underlying_is_its_index(world: World) -> None:
    """Alone, by an alias, and with a length in any spelling."""
    for text, interval in (
        ("chart nifty", None),
        ("CHART nifty50 5M", BarInterval.MINUTES_5),
        ("chart nifty 1h", BarInterval.MINUTES_60),
        ("chart nifty 15min", BarInterval.MINUTES_15),
    ):
        assert interpret(text, world).wish == ShowChart(instrument=INDEX, interval=interval)


def test_a_contract_is_named_as_in_an_order(world: World) -> None:
    """Strike and kind with or without an expiry, futures; the length comes last."""
    call = option_key(world, 24_400, InstrumentKind.CALL)
    assert interpret("chart nifty 24400 ce w0 5m", world).wish == ShowChart(
        instrument=call, interval=BarInterval.MINUTES_5
    )
    assert interpret("chart nifty 24400 ce 3m", world).wish == ShowChart(
        instrument=call, interval=BarInterval.MINUTES_3
    )
    assert interpret("chart nifty atm ce", world).wish == ShowChart(instrument=call)
    future = world.future("BANKNIFTY", MARCH)
    assert future is not None
    wish = ShowChart(instrument=future.key, interval=BarInterval.MINUTE)
    assert interpret("chart banknifty fut m1 1m", world).wish == wish


def test_without_an_index_it_is_the_nearest_future(world: World) -> None:
    """An underlying whose index the dump lacks."""
    future = world.future("BANKNIFTY", DEC_WEEKLIES[-1])
    assert future is not None
    assert interpret("chart banknifty 5m", world).wish == ShowChart(
        instrument=future.key, interval=BarInterval.MINUTES_5
    )


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("chart", "Needs an underlying", 5),
        ("chart gold", "has no options or futures today", 6),
        ("chart sensex", "neither an index nor a future", 12),
        ("chart nifty 7m", "is no candle length", 12),
        ("chart nifty 5m w0", "does not fit here", 15),
        ("chart nifty 24401 ce", "has no strike", 12),
        ("chart nifty 24400 5m", "ce or pe", 18),
    ],
)
def test_wrong_sentences_say_what_is_wrong_and_where(world: World, text: str, words: str, place: int) -> None:
    """One error with its place; nothing is guessed."""
    error = interpret(text, world).error
    assert error is not None
    assert words in error.message
    assert error.place == place


@pytest.mark.parametrize("interval", [None, *BarInterval])
def test_described_it_reads_back(world: World, interval: BarInterval | None) -> None:
    """The canonical sentence of an index, an option and a future means the same."""
    rows = [world.rows[0].key, world.rows[-1].key, INDEX]
    future = world.future("NIFTY", MARCH)
    assert future is not None
    for key in (*rows, future.key):
        wish = ShowChart(instrument=key, interval=interval)
        sentence = describe(wish, world)
        assert interpret(sentence, world).wish == wish, sentence
    gone = ShowChart(instrument=InstrumentKey(Exchange.NFO, "GONE"))
    assert describe(gone, world) == "chart NFO:GONE"
