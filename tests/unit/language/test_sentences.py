"""The other sentences: strategies, screens, mode; and the parser as a whole."""

from __future__ import annotations

import pytest

from engine.core.commands import (
    ArchiveStrategy,
    Command,
    CreateStrategy,
    GoTo,
    MoveQuantity,
    Quit,
    ScreenWish,
    SetMark,
    SetMode,
    ShowAccount,
    ShowChain,
)
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.vocabulary import Mark, Mode
from engine.language.parser import READERS, UNAVAILABLE, interpret, parse
from engine.language.tokens import tokenize
from tests.unit.language.world import World

THREE, ONE = StrategyNumber(3), StrategyNumber(1)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("new fly-1225", CreateStrategy(name="fly-1225")),
        ("archive 3", ArchiveStrategy(number=THREE)),
        ("archive #3", ArchiveStrategy(number=THREE)),
        ("archive fly-0920", ArchiveStrategy(number=THREE)),
        ("move 1.1 to 3", MoveQuantity(strategy=ONE, leg=1, to_strategy=THREE)),
        ("move #1.1 to fly-0920", MoveQuantity(strategy=ONE, leg=1, to_strategy=THREE)),
        ("move 1.1 1L to 3", MoveQuantity(strategy=ONE, leg=1, to_strategy=THREE, quantity=65)),
        ("move 1.1 to 3 at mark", MoveQuantity(strategy=ONE, leg=1, to_strategy=THREE, mark=Mark.MID)),
        ("move 1.1 1L to 3 at mid", MoveQuantity(strategy=ONE, leg=1, to_strategy=THREE, quantity=65, mark=Mark.MID)),
        ("move 1.1 to 3 at last", MoveQuantity(strategy=ONE, leg=1, to_strategy=THREE, mark=Mark.LAST)),
        ("move 1.1 to 3 at average", MoveQuantity(strategy=ONE, leg=1, to_strategy=THREE)),
        ("move 1.1 65 to 3", MoveQuantity(strategy=ONE, leg=1, to_strategy=THREE, quantity=65)),
        ("arm confirm", SetMode(mode=Mode.CONFIRM)),
        ("arm hot 2", SetMode(mode=Mode.HOT, lots=2)),
        ("Arm HOT 3L", SetMode(mode=Mode.HOT, lots=3)),
        ("DISARM", SetMode(mode=Mode.READ)),
    ],
)
def test_commands(world: World, text: str, command: Command) -> None:
    """Each sentence is exactly one command."""
    meaning = interpret(text, world)
    assert (meaning.command, meaning.wish, meaning.error) == (command, None, None)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("show nifty", ShowChain(underlying="NIFTY")),
        ("show banknifty m0", ShowChain(underlying="BANKNIFTY", expiry_label="m0")),
        ("show nifty 08dec", ShowChain(underlying="NIFTY", expiry_label="w1")),
        ("show #3", GoTo(place="#3")),
        ("go #3", GoTo(place="#3")),
        ("go orders", GoTo(place="orders")),
        ("go DOCTOR", GoTo(place="doctor")),
        ("mark exit", SetMark(mark=Mark.EXIT)),
        ("account ab1234", ShowAccount(account=AccountId("AB1234"))),
        ("account ALL", ShowAccount(account=None)),
        ("mark LAST", SetMark(mark=Mark.LAST)),
        ("  quit  ", Quit()),
    ],
)
def test_wishes_of_the_screen(world: World, text: str, wish: ScreenWish) -> None:
    """They concern one screen and are no command."""
    meaning = interpret(text, world)
    assert (meaning.command, meaning.wish, meaning.error) == (None, wish, None)


def test_no_word_is_available_and_unavailable() -> None:
    """The two lists of first words are apart."""
    assert not UNAVAILABLE & READERS.keys()


@pytest.mark.parametrize("word", sorted(UNAVAILABLE))
def test_words_of_the_grammar_that_are_not_carried_out_are_refused_as_such(world: World, word: str) -> None:
    """They are known, named, and never taken for something else; what there is is listed."""
    error = interpret(f"{word} 3", world).error
    assert error is not None
    assert error.message.startswith(f'"{word}" is not available in this version. Available: buy, sell, cancel')
    assert (error.place, error.length) == (0, len(word))


def test_tokens_know_their_place() -> None:
    """Words, joiners and the at sign are cut; nothing is lost or changed."""
    text = 'cancel o38&&note 3 "a b" ;buy 1L M&M fut @105 & x'
    pieces = [token.text for token in tokenize(text)]
    assert pieces == [
        "cancel", "o38", "&&", "note", "3", '"a b"', ";", "buy", "1L", "M&M", "fut", "@", "105", "&", "x",
    ]  # fmt: skip
    assert all(text[token.start : token.end] == token.text for token in tokenize(text))


def test_the_text_is_handed_back_untouched(world: World) -> None:
    """Also when it is wrong."""
    for text in ("  buy  2L nifty 24000 ce w0 @ 105 ", "bvy", ""):
        assert interpret(text, world).text == text


def test_parse_gives_the_meaning_itself(world: World) -> None:
    """Scripts that want an exception get one."""
    assert parse("quit", world) == Quit()
