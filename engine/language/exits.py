"""``exit``: a strategy, a leg, a side, the wings, or all of it; how much of it, how fast, or by when."""

from __future__ import annotations

import re
from datetime import time
from typing import Final

from engine.core.commands import ExitPositions
from engine.core.identifiers import StrategyNumber
from engine.core.plans import ExitManner, ExitScope, ExitTarget
from engine.core.strategies import Leg, Strategy
from engine.core.vocabulary import InstrumentKind
from engine.language.cursor import Cursor
from engine.language.numbers import read_percent
from engine.language.resolver import Resolver
from engine.language.targets import read_strategy, strategy_by_number, strategy_words
from engine.language.tokens import Token

ALL: Final = "all"
MANNERS: Final = {"now": ExitManner.NOW, "patient": ExitManner.PATIENT}
PARTS: Final = ("ce", "pe", "wings")
PERCENT_MAX: Final = 100
AFTER_TARGET: Final = "After the target: a part such as 50%, and now, patient, or flat by 15:12."

_PART = re.compile(r"#?(?P<strategy>\d{1,15})\.(?P<part>\w+)", re.ASCII)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)


def read_exit(cursor: Cursor, resolver: Resolver) -> ExitPositions:
    """Read what follows ``exit``: ``3``, ``3.2 50%``, ``3.ce now``, ``3 flat by 15:12``, ``all``."""
    choices = (ALL, *(str(strategy.number) for strategy in resolver.strategies()))
    token = cursor.peek()
    if token is None:
        raise cursor.missing("Needs what to leave: a strategy, a leg such as 3.2, or all.", choices)
    everything = token.word == ALL
    if everything:
        cursor.skip()
        target = ExitTarget(scope=ExitScope.ACCOUNT)
    else:
        target = _target(cursor, resolver, token)
    percent = PERCENT_MAX
    token = cursor.peek()
    if token is not None and token.text[0].isdigit():
        percent = _percent(cursor, token)
        cursor.skip()
    manner, flat_by = _manner(cursor)
    cursor.finish(AFTER_TARGET, (*MANNERS, "flat"))
    return ExitPositions(target=target, percent=percent, manner=manner, flat_by=flat_by, everything=everything)


def _target(cursor: Cursor, resolver: Resolver, token: Token) -> ExitTarget:
    match = _PART.fullmatch(token.word)
    if match is None:
        strategy = read_strategy(cursor, resolver)
        return ExitTarget(scope=ExitScope.STRATEGY, strategy=strategy.number)
    strategy = strategy_by_number(cursor, resolver, token, StrategyNumber(int(match["strategy"])))
    part = match["part"]
    if part.isdigit():
        leg = resolver.leg(strategy.number, int(part))
        if leg is None:
            raise cursor.wrong(f"Strategy {strategy_words(strategy)} has no leg {part}.", token)
        cursor.skip()
        return ExitTarget(scope=ExitScope.LEG, strategy=strategy.number, leg=leg.number)
    if part not in PARTS:
        near = [f"{strategy.number}.{name}" for name in PARTS]
        raise cursor.wrong(
            f'"{token.text}" is not a part of a strategy. A leg is {strategy.number}.1, a side {near[0]} or {near[1]}, '
            f"the bought legs {near[2]}.",
            token,
            near,
        )
    legs = _legs(resolver, strategy, part)
    if not legs:
        what = "bought legs" if part == "wings" else f"{part.upper()} legs"
        raise cursor.wrong(f"Strategy {strategy_words(strategy)} holds no {what}.", token)
    cursor.skip()
    return ExitTarget(scope=ExitScope.LEG, strategy=strategy.number, legs=tuple(leg.number for leg in legs))


def _legs(resolver: Resolver, strategy: Strategy, part: str) -> list[Leg]:
    found = []
    for leg in resolver.open_legs(strategy.number):
        instrument = resolver.instrument(leg.instrument)
        if instrument is None:
            continue
        if part == "wings":
            fits = leg.holding.signed_quantity > 0 and instrument.kind.is_option
        else:
            fits = instrument.kind is (InstrumentKind.CALL if part == "ce" else InstrumentKind.PUT)
        if fits:
            found.append(leg)
    return found


def _percent(cursor: Cursor, token: Token) -> int:
    value = read_percent(token.text)
    if value is None:
        raise cursor.wrong(f'"{token.text}" does not fit here. {AFTER_TARGET}', token)
    if value != value.to_integral_value() or not 1 <= value <= PERCENT_MAX:
        raise cursor.wrong(f"A part is 1% to 100%, whole numbers, not {token.text}.", token, ("25%", "50%", "100%"))
    return int(value)


def _manner(cursor: Cursor) -> tuple[ExitManner, time | None]:
    token = cursor.accept(*MANNERS)
    if token is not None:
        return MANNERS[token.word], None
    if cursor.accept("flat") is None:
        return ExitManner.NORMAL, None
    by = cursor.take('After "flat": "by" and a time, such as flat by 15:12.', ("by",))
    if by.word != "by":
        raise cursor.wrong('After "flat": "by" and a time, such as flat by 15:12.', by, ("by",))
    at = cursor.take("Needs a time, such as 15:12.")
    match = _TIME.fullmatch(at.text)
    if match is None:
        raise cursor.wrong(f'"{at.text}" is not a time. Times are 15:12 or 15:12:30.', at)
    hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return ExitManner.NORMAL, time(hours, minutes, seconds)
