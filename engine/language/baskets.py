"""``basket``: several orders that belong together, and what is to happen if one of them cannot be filled.

A comma stands between legs, and may stand before the plan: the word after it says which of the two follows. Legs may be
written in any order; bought ones are sent first unless ``ordered`` is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from engine.core.commands import PlaceBasket
from engine.core.identifiers import StrategyNumber
from engine.core.orders import OrderRequest
from engine.core.plans import LegFailure, LegPlan
from engine.core.vocabulary import Side
from engine.language.cursor import COMMA, Cursor, ListCursor
from engine.language.numbers import plain, read_number
from engine.language.orders import read_order
from engine.language.plans import duration_text, is_duration, read_duration, read_ticks
from engine.language.resolver import Resolver
from engine.language.targets import read_strategy
from engine.language.tokens import Token

SIDES: Final[Mapping[str, Side]] = {"buy": Side.BUY, "sell": Side.SELL}
FAILURES: Final = {str(failure): failure for failure in LegFailure}
ORDERED: Final = "ordered"
"""The legs are sent in the order in which they are written; a sold one still waits for its cover."""
PLAN_WORDS: Final = (*FAILURES, "naked", "timeout", "slippage", ORDERED, "into")
SINGLE_WORDS: Final[Mapping[str, str]] = {
    "stop": "a leg waits for no price",
    "ioc": "a leg rests as long as timeout says",
    "twap": "a leg is sent at once",
    "iceberg": "a leg is sent at once, in as many pieces as the exchange needs",
}
"""Options of single orders that legs do not take, and why."""
ENDS: Final = frozenset({*SIDES, *SINGLE_WORDS, *(word for word in PLAN_WORDS if word != "into")})
"""Words that end a leg."""
AFTER_LEG: Final = "After a leg: a comma and another one, or the plan: unwind, hold or chase, naked, timeout, slippage."
AFTER_PLAN: Final = "The plan: unwind, hold or chase 3 ticks, naked 5s, timeout 10s, slippage 2.50, ordered, into 3."


def read_basket(cursor: Cursor, resolver: Resolver) -> PlaceBasket:
    """Read what follows ``basket``: ``buy 1L nifty 25000 ce @ ask, sell 1L nifty 24800 ce @ bid, unwind naked 5s``."""
    words = ListCursor(cursor.text, ENDS)
    words.skip()
    legs: list[OrderRequest] = []
    mark = words.mark()
    while mark is not None and (side := SIDES.get(mark.word)) is not None:
        words.skip()
        legs.append(read_order(words, resolver, side).request)
        mark = words.mark()
        if mark is None:
            words.close()
            return PlaceBasket(legs=tuple(legs))
        if mark.text != COMMA:
            if mark.word in SIDES:
                raise words.wrong(f'A comma stands between two legs: ", {mark.word} …".', mark)
            break
        words.skip()
        mark = words.mark()
    if not legs:
        message = "Needs a leg, such as buy 1L nifty 25000 ce @ ask."
        raise words.missing(message, SIDES) if mark is None else words.wrong(message, mark, SIDES)
    if mark is None:
        raise words.missing("After the comma: another leg, or what to do if one cannot be filled.", (*SIDES, *FAILURES))
    return _with_plan(words, resolver, tuple(legs))


def _with_plan(words: ListCursor, resolver: Resolver, legs: tuple[OrderRequest, ...]) -> PlaceBasket:
    """The words of the plan, each at most once and in any order; commas between them change nothing."""
    said: dict[str, Token] = {}
    changes: dict[str, Any] = {}
    strategy: StrategyNumber | None = None
    while (token := words.mark()) is not None:
        words.skip()
        if token.text == COMMA:
            if words.mark() is None:
                raise words.missing(AFTER_PLAN, PLAN_WORDS)
            continue
        _refuse_misplaced(words, token)
        kind = "failure" if token.word in FAILURES else token.word
        if kind in said:
            raise words.wrong(f'"{token.text}" after "{said[kind].text}": it is said already.', token)
        said[kind] = token
        if token.word == "into":
            _refuse_second_strategy(words, token, legs)
            strategy = read_strategy(words, resolver).number
        else:
            changes |= _plan_change(words, token)
    words.close()
    if strategy is not None:
        legs = tuple(msgspec.structs.replace(leg, strategy=strategy) for leg in legs)
    return PlaceBasket(legs=legs, leg_plan=LegPlan(**changes))


def _refuse_misplaced(words: ListCursor, token: Token) -> None:
    """Say why a word does not stand in a plan.

    Raises:
        SentenceInvalid: it does not.
    """
    if token.word in SINGLE_WORDS:
        message = f'"{token.text}" is for single orders: {SINGLE_WORDS[token.word]}.'
        raise words.wrong(message, token, PLAN_WORDS)
    if token.word in SIDES:
        raise words.wrong("Legs are written before the plan.", token)
    if token.word not in PLAN_WORDS:
        raise words.wrong(f'"{token.text}" does not fit here. {AFTER_PLAN}', token, (*SIDES, *PLAN_WORDS))


def _refuse_second_strategy(words: ListCursor, token: Token, legs: Sequence[OrderRequest]) -> None:
    if any(leg.strategy is not None for leg in legs):
        raise words.wrong("A leg says its strategy already; say it for each leg, or once in the plan.", token)


def _plan_change(words: ListCursor, token: Token) -> dict[str, Any]:
    """The fields of the plan that a word sets."""
    match token.word:
        case "chase":
            return {"on_failure": LegFailure.CHASE, "chase_ticks": read_ticks(words)}
        case "naked":
            return _naked(words)
        case "timeout":
            return {"fill_timeout_s": read_duration(words, "Needs how long a leg may rest, such as timeout 10s.")}
        case "slippage":
            return {"slippage_max": _rupees(words)}
        case word if word == ORDERED:
            return {"hedge_first": False}
        case word:
            return {"on_failure": FAILURES[word]}


def _naked(words: ListCursor) -> dict[str, Any]:
    """``naked 5s``, ``naked 65`` or ``naked 65 5s``: units that may stand uncovered, and for how long."""
    missing = "Needs how long, how many units, or both: naked 5s, naked 65 5s."
    found: dict[str, Any] = {}
    token = words.peek()
    if token is None:
        raise words.missing(missing, ("5s",))
    if not is_duration(token):
        words.skip()
        units = read_number(token.text)
        if units is None or units <= 0 or units != units.to_integral_value():
            raise words.wrong(f'"{token.text}" does not fit. {missing}', token)
        found["naked_quantity_max"] = int(units)
        token = words.peek()
    if token is not None and is_duration(token):
        found["naked_s_max"] = read_duration(words, missing)
    return found


def _rupees(words: ListCursor) -> Decimal:
    token = words.take("Needs rupees a unit, such as slippage 2.50.")
    value = read_number(token.text)
    if value is None or value <= 0:
        raise words.wrong(f'"{token.text}" does not fit: rupees a unit above zero, such as 2.50.', token)
    return value


def basket_text(legs: Sequence[str], plan: LegPlan) -> str:
    """The sentence of a basket whose legs are these sentences; the parser reads it back."""
    return f"basket {', '.join([*legs, plan_text(plan)])}"


def plan_text(plan: LegPlan) -> str:
    """``unwind naked 5s timeout 2s``; what is not the usual is added."""
    failure = f"chase {plan.chase_ticks} ticks" if plan.on_failure is LegFailure.CHASE else str(plan.on_failure)
    units = f"{plan.naked_quantity_max} " if plan.naked_quantity_max else ""
    words = [
        failure,
        f"naked {units}{duration_text(plan.naked_s_max)}",
        f"timeout {duration_text(plan.fill_timeout_s)}",
    ]
    if plan.slippage_max is not None:
        words.append(f"slippage {plain(plan.slippage_max)}")
    if not plan.hedge_first:
        words.append(ORDERED)
    return " ".join(words)
