"""Strategies and legs as sentences name them: ``3``, ``#3``, ``fly-0920``, ``3.2``. Numbers are identities for good."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from engine.core.commands import ArchiveStrategy, CreateStrategy, MoveQuantity
from engine.core.identifiers import StrategyNumber
from engine.core.strategies import Leg, Strategy
from engine.core.vocabulary import Mark
from engine.language.contracts import quantity_of, units_of
from engine.language.cursor import Cursor, SentenceInvalid, nearest
from engine.language.resolver import Resolver
from engine.language.tokens import Token

_NUMBER = re.compile(r"#?(?P<strategy>\d{1,15})", re.ASCII)
_LEG = re.compile(r"#?(?P<strategy>\d{1,15})\.(?P<leg>\d{1,9})", re.ASCII)
_PART = re.compile(r"#?(?P<strategy>\d{1,15})\.(?P<part>[a-z]\w*)", re.ASCII)


TRANSFER_PRICES: Final[Mapping[str, Mark | None]] = {
    "mark": Mark.MID,
    "mid": Mark.MID,
    "last": Mark.LAST,
    "average": None,
}
"""What a leg may change hands at. The mark is the mid: neither strategy pays the other's spread."""


class LegTarget(msgspec.Struct, frozen=True):
    """A leg and the word that named it."""

    strategy: Strategy
    leg: Leg
    token: Token


def strategy_words(strategy: Strategy) -> str:
    """``3 (fly-0920)``."""
    return f"{strategy.number} ({strategy.name})"


def read_strategy(cursor: Cursor, resolver: Resolver) -> Strategy:
    """Read an active strategy by number or name."""
    token = cursor.take("Needs a strategy: its number or its name.", _strategy_choices(resolver))
    match = _NUMBER.fullmatch(token.text)
    if match is not None:
        return strategy_by_number(cursor, resolver, token, StrategyNumber(int(match["strategy"])))
    named = [strategy for strategy in resolver.strategies() if strategy.name.casefold() == token.word]
    if len(named) > 1:  # of several accounts: none of them is guessed
        numbers = [str(strategy.number) for strategy in named]
        words = f'{len(named)} strategies are "{token.text}", of different accounts. {" or ".join(numbers)}?'
        raise cursor.wrong(f"{words} Write the number.", token, numbers)
    if named:
        return named[0]
    if _LEG.fullmatch(token.text):
        raise cursor.wrong(
            f'"{token.text}" is a leg. Here a whole strategy is named, such as {token.text.split(".")[0]}.', token
        )
    raise _unknown(cursor, resolver, token)


def _strategy_choices(resolver: Resolver) -> tuple[str, ...]:
    return tuple(str(strategy.number) for strategy in resolver.strategies())


def strategy_by_number(cursor: Cursor, resolver: Resolver, token: Token, number: StrategyNumber) -> Strategy:
    """The active strategy of a number; ``token`` is where it was written."""
    active = resolver.strategies()
    for strategy in active:
        if strategy.number == number:
            return strategy
    listed = ", ".join(strategy_words(strategy) for strategy in active)
    raise cursor.wrong(
        f"No active strategy has the number {number}. Active: {listed}.", token, _strategy_choices(resolver)
    )


def _unknown(cursor: Cursor, resolver: Resolver, token: Token) -> SentenceInvalid:
    active = resolver.strategies()
    names = nearest(token.text, [strategy.name for strategy in active])
    near = [strategy for strategy in active if strategy.name in names]
    if near:
        question = " or ".join(strategy_words(strategy) for strategy in near)
        message = f'No strategy is "{token.text}". {question}? Write the number.'
    else:
        listed = ", ".join(strategy_words(strategy) for strategy in active)
        message = f'No strategy is "{token.text}". Active: {listed}.'
    return cursor.wrong(message, token, [str(strategy.number) for strategy in near or active])


def read_leg(cursor: Cursor, resolver: Resolver) -> LegTarget:
    """Read a leg such as ``3.2``."""
    token = cursor.take("Needs a leg, such as 3.2.")
    match = _LEG.fullmatch(token.text)
    if match is None:
        if _PART.fullmatch(token.word):
            raise cursor.wrong(f'"{token.text}" names several legs. This version moves one leg: 3.2.', token)
        if _NUMBER.fullmatch(token.text):
            raise cursor.wrong(f'"{token.text}" is a strategy. Name one of its legs, such as {token.text}.1.', token)
        raise cursor.wrong(f'"{token.text}" is not a leg. Legs are written 3.2: leg 2 of strategy 3.', token)
    strategy = strategy_by_number(cursor, resolver, token, StrategyNumber(int(match["strategy"])))
    leg = resolver.leg(strategy.number, int(match["leg"]))
    if leg is None:
        raise cursor.wrong(f"Strategy {strategy_words(strategy)} has no leg {match['leg']}.", token)
    return LegTarget(strategy, leg, token)


def read_move(cursor: Cursor, resolver: Resolver) -> MoveQuantity:
    """Read what follows ``move``: ``3.2 to 1``, ``3.2 1L to 1`` for a part of the leg, ``3.2 to 1 at mark``."""
    source = read_leg(cursor, resolver)
    quantity: int | None = None
    token = cursor.peek()
    if token is not None and token.word != "to":
        if not token.text[0].isdigit():
            raise cursor.wrong('After the leg: "to" and a strategy, or a quantity first.', token, ("to",))
        cursor.skip()
        instrument = resolver.instrument(source.leg.instrument)
        if instrument is None:
            raise cursor.wrong(
                f"{source.leg.instrument} is not in today's instruments, so its lot is not known.", token
            )
        quantity = units_of(cursor, quantity_of(cursor, token), instrument.lot_size)
    to = cursor.take('After the leg: "to" and a strategy.', ("to",))
    if to.word != "to":
        raise cursor.wrong('After the leg: "to" and a strategy.', to, ("to",))
    place = cursor.peek()
    goal = read_strategy(cursor, resolver)
    if goal.number == source.strategy.number and place is not None:
        raise cursor.wrong(f"{source.token.text} is in strategy {strategy_words(goal)} already.", place)
    mark = _read_transfer_mark(cursor)
    cursor.finish('After the strategy: "at mark", or nothing.')
    return MoveQuantity(
        strategy=source.strategy.number, leg=source.leg.number, to_strategy=goal.number, quantity=quantity, mark=mark
    )


def _read_transfer_mark(cursor: Cursor) -> Mark | None:
    """Read ``at mark``, ``at mid`` or ``at last``; nothing, or ``at average``, is the leg's average price."""
    at = cursor.peek()
    if at is None or at.word != "at":
        return None
    cursor.skip()
    token = cursor.take(f"Needs the price it changes hands at: {' or '.join(TRANSFER_PRICES)}.", tuple(TRANSFER_PRICES))
    if token.word not in TRANSFER_PRICES:
        words = " or ".join(TRANSFER_PRICES)
        raise cursor.wrong(f'"{token.text}" is no price of a move. Write {words}.', token, tuple(TRANSFER_PRICES))
    return TRANSFER_PRICES[token.word]


def read_new(cursor: Cursor, resolver: Resolver) -> CreateStrategy:
    """Read what follows ``new``: the strategy's name, which contains a hyphen so that it is never taken for a word."""
    token = cursor.take("Needs a name with a hyphen, such as fly-0920.")
    if "-" not in token.text.strip("-"):
        raise cursor.wrong(f'"{token.text}" has no hyphen inside. A strategy\'s name has one, such as fly-0920.', token)
    if any(strategy.name.casefold() == token.word for strategy in resolver.strategies()):
        raise cursor.wrong(f'A strategy is called "{token.text}" already. Choose another name.', token)
    cursor.finish("A name is one word.")
    return CreateStrategy(name=token.text)


def read_archive(cursor: Cursor, resolver: Resolver) -> ArchiveStrategy:
    """Read what follows ``archive``: a strategy. Archiving hides it; it never closes a position."""
    strategy = read_strategy(cursor, resolver)
    cursor.finish("Nothing follows the strategy.")
    return ArchiveStrategy(number=strategy.number)
