"""Plans: how a large order is worked (``chase``, ``twap``, ``iceberg``), what waits (``at``, ``when``), and the turns a
person gives a plan (``pause p1``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.commands import (
    CancelOrders,
    CancelPlan,
    Command,
    ExitPositions,
    MakePlan,
    ModifyOrder,
    PlaceBasket,
    PlaceOrder,
    ScreenWish,
    SteerPlan,
)
from engine.core.instruments import Instrument
from engine.core.plans import (
    AtTime,
    Chase,
    Comparison,
    Floors,
    Iceberg,
    JoinedTest,
    Joint,
    Manner,
    PlanNumber,
    PlanTurn,
    PriceTest,
    Slice,
    Trigger,
    Twap,
    WhenPrice,
)
from engine.language.contracts import read_contract_of, read_underlying
from engine.language.cursor import Cursor, SentenceInvalid
from engine.language.later import LaterResolver
from engine.language.numbers import plain, read_number, read_percent
from engine.language.resolver import Resolver
from engine.language.tokens import Token

MANNERS: Final = ("chase", "twap", "iceberg")
HEADS: Final = ("at", "when")
ACTIONS: Final = (PlaceOrder, PlaceBasket, ExitPositions, CancelOrders, ModifyOrder)
"""What a plan may do by itself."""
JOINTS: Final = tuple(item.value for item in Joint)
COMPARISONS: Final = tuple(item.value for item in Comparison)
SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
INDIA: Final = timezone(timedelta(hours=5, minutes=30))
"""Times of a sentence are Indian clock time."""
COUNT_MAX: Final = 1000
PLAN_PATTERN: Final = re.compile(r"p(?P<number>[1-9]\d{0,14})", re.ASCII)
AFTER_HEAD: Final = "Before the action: within 30s, credit 1,000, spread 2%."

_TIME = re.compile(r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(:(?P<second>[0-5]\d))?", re.ASCII)
_BROKEN_TIME = re.compile(r"(?P<hours>\d{1,2})[.h](?P<minutes>\d{2})", re.ASCII)
_DURATION = re.compile(r"(?P<count>\d{1,5}(\.\d{1,3})?)(?P<unit>[smh])", re.ASCII)
_COUNT = re.compile(r"\d{1,4}", re.ASCII)

ReadAction = Callable[[str, Resolver], Command | ScreenWish]
"""Reads the sentence that waits; raises ``SentenceInvalid``."""


# ---- how a large order is worked


def read_manner(cursor: Cursor) -> Manner:
    """Read ``chase 3 ticks``, ``twap 5m`` or ``iceberg 5``; the next word is one of ``MANNERS``."""
    word = cursor.take("Needs a manner.", MANNERS).word
    if word == "twap":
        return Twap(duration_s=read_duration(cursor, "Needs a time, such as twap 5m."))
    if word == "iceberg":
        return Iceberg(pieces=_count(cursor, "Needs how many pieces, such as iceberg 5."))
    return Chase(ticks=read_ticks(cursor))


def read_ticks(cursor: Cursor) -> int:
    """Read what follows ``chase``: ``3 ticks``."""
    ticks = _count(cursor, "Needs how many ticks, such as chase 3 ticks.")
    unit = cursor.take('After the count: "ticks".', ("ticks",))
    if unit.word not in {"ticks", "tick"}:
        raise cursor.wrong(f'After the count: "ticks", not "{unit.text}".', unit, ("ticks",))
    return ticks


def manner_text(manner: Manner) -> str:
    """The manner as a sentence carries it; the parser reads it back, except for what no sentence asks for."""
    match manner:
        case Slice(size=size):
            return "(in pieces)" if size is None else f"(in pieces of {size})"
        case Iceberg(pieces=pieces):
            return f"iceberg {pieces}"
        case Twap(duration_s=duration_s):
            return f"twap {duration_text(duration_s)}"
        case Chase(ticks=ticks):
            return f"chase {ticks} ticks"


def read_duration(cursor: Cursor, missing: str) -> float:
    """Read ``30s``, ``5m`` or ``1h``; seconds, above zero."""
    token = cursor.take(missing)
    match = _DURATION.fullmatch(token.word)
    if match is None:
        raise cursor.wrong(f'"{token.text}" is not a length of time. Lengths are 30s, 5m or 1h.', token)
    seconds = Decimal(match["count"]) * SECONDS[match["unit"]]
    if not seconds:
        raise cursor.wrong("A length of time is above zero.", token)
    return float(seconds)


def is_duration(token: Token) -> bool:
    """Whether a word is written like a length of time."""
    return _DURATION.fullmatch(token.word) is not None


def duration_text(seconds: float) -> str:
    """``5m`` for 300."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:g}s"


def _count(cursor: Cursor, missing: str) -> int:
    token = cursor.take(missing)
    count = int(token.text) if _COUNT.fullmatch(token.text) else 0
    if not 0 < count <= COUNT_MAX:
        raise cursor.wrong(f'"{token.text}" is not a count from 1 to {COUNT_MAX}.', token)
    return count


# ---- what waits


def read_at(cursor: Cursor, resolver: Resolver, action: ReadAction) -> MakePlan:
    """Read what follows ``at``: a time, perhaps a window and floors, and the sentence that waits."""
    moment = read_time(cursor)
    local = datetime.combine(resolver.today(), moment, INDIA)
    limits = _read_limits(cursor)
    return _waiting(cursor, resolver, action, AtTime(at=local.astimezone(UTC)), limits)


def read_when(cursor: Cursor, resolver: Resolver, action: ReadAction) -> MakePlan:
    """Read what follows ``when``: prices and how each is held against a level, ``then``, and the sentence."""
    trigger = WhenPrice(test=_read_test(cursor, resolver), more=tuple(_read_more(cursor, resolver)))
    limits = _read_limits(cursor)
    token = cursor.take('After the condition: "then" and what to do.', ("then", *JOINTS))
    if token.word != "then":
        raise cursor.wrong(
            f'After the condition: "then", not "{token.text}".', token, ("then", "for", *JOINTS, *_LIMITS)
        )
    return _waiting(cursor, resolver, action, trigger, limits)


def _read_more(cursor: Cursor, resolver: Resolver) -> Iterator[JoinedTest]:
    """Further tests, each after ``and`` or ``or``."""
    while (word := cursor.accept(*JOINTS)) is not None:
        yield JoinedTest(joint=Joint(word.word), test=_read_test(cursor, resolver))


def read_time(cursor: Cursor) -> time:
    """Read ``09:20`` or ``09:20:05``."""
    token = cursor.take("Needs a time, such as 09:20.")
    match = _TIME.fullmatch(token.text)
    if match is not None:
        return time(int(match["hour"]), int(match["minute"]), int(match["second"] or 0))
    broken = _BROKEN_TIME.fullmatch(token.text)
    if broken is None:
        raise cursor.wrong(f'"{token.text}" is not a time. Times are 09:20 or 09:20:05.', token)
    hours, minutes = broken["hours"], broken["minutes"]
    padded = f"{int(hours):02d}:{minutes}"
    written = padded if padded == f"{hours}:{minutes}" else f"{hours}:{minutes} or {padded}"
    raise cursor.wrong(f"A time has a colon: {written}.", token)


def _read_test(cursor: Cursor, resolver: Resolver) -> PriceTest:
    first = cursor.peek()
    if first is None:
        raise cursor.missing("Needs a condition, such as nifty > 24,500.", resolver.underlyings())
    if any(sign in first.text for sign in "<>"):
        raise cursor.wrong("Write spaces around the comparison: nifty > 24,500.", first)
    instrument = _read_watched(cursor, resolver)
    comparison = cursor.take("Needs a comparison: <, <=, > or >=.", COMPARISONS)
    if comparison.text not in COMPARISONS:
        raise cursor.wrong(f'"{comparison.text}" is not a comparison: <, <=, > or >=.', comparison, COMPARISONS)
    token = cursor.take("Needs a level, such as 24,500.")
    level = read_number(token.text)
    if level is None or level <= 0:
        raise cursor.wrong(f'"{token.text}" is not a level above zero, such as 24,500.', token)
    for_s = read_duration(cursor, "Needs a length of time, such as for 30s.") if cursor.accept("for") else 0.0
    return PriceTest(instrument=instrument.key, comparison=Comparison(comparison.text), level=level, for_s=for_s)


def _read_watched(cursor: Cursor, resolver: Resolver) -> Instrument:
    """An underlying for its index (or its nearest future where there is none), or a contract."""
    underlying = read_underlying(cursor, resolver)
    token = cursor.peek()
    if token is not None and token.text not in COMPARISONS and (token.word == "fut" or token.text[0].isalnum()):
        return read_contract_of(cursor, resolver, underlying)
    index = resolver.index(underlying)
    if index is not None:
        return index
    futures = (resolver.future(underlying, item.expiry) for item in resolver.expiries(underlying))
    future = next((future for future in futures if future is not None), None)
    if future is None:
        raise cursor.missing(f"{underlying} has neither an index nor a future today. Name a contract: 24000 ce w0.")
    return future


_LIMITS: Final = ("within", "credit", "spread")


def _read_limits(cursor: Cursor) -> tuple[float, Floors]:
    """Read ``within 30s``, ``credit 1,000`` and ``spread 2%``, each at most once, in any order."""
    usual = msgspec.structs.fields(MakePlan)
    window_s = float(next(field.default for field in usual if field.name == "window_s"))
    credit: Decimal | None = None
    spread: Decimal | None = None
    said: set[str] = set()
    while (token := cursor.accept(*_LIMITS)) is not None:
        if token.word in said:
            raise cursor.wrong(f'"{token.text}" is said already.', token)
        said.add(token.word)
        if token.word == "within":
            window_s = read_duration(cursor, "Needs a length of time, such as within 30s.")
            continue
        figure = cursor.take("Needs a figure: credit 1,000 or spread 2%.")
        value = read_number(figure.text) if token.word == "credit" else read_percent(figure.text)
        if value is None or value <= 0:
            wanted = "rupees, such as 1,000" if token.word == "credit" else "percent of the mid, such as 2%"
            raise cursor.wrong(f'"{figure.text}" does not fit: {wanted}.', figure)
        if token.word == "credit":
            credit = value
        else:
            spread = value
    return window_s, Floors(credit_min=credit, spread_percent_max=spread)


def _waiting(
    cursor: Cursor, resolver: Resolver, action: ReadAction, trigger: Trigger, limits: tuple[float, Floors]
) -> MakePlan:
    token = cursor.peek()
    if token is None:
        raise cursor.missing(
            "Needs what to do then, such as buy 2L nifty atm ce.", ("buy", "sell", "basket", "exit", "cancel")
        )
    if token.word in HEADS:
        raise cursor.wrong("One time or condition for one sentence.", token)
    sentence = cursor.text[token.start :]
    try:
        meaning = action(sentence, LaterResolver(resolver))
    except SentenceInvalid as wrong:
        moved = msgspec.structs.replace(wrong.error, place=wrong.error.place + token.start)
        raise SentenceInvalid(moved) from wrong
    if not isinstance(meaning, ACTIONS):
        words = f'"{token.text}" cannot wait. A plan buys, sells, exits, modifies and cancels.'
        raise cursor.wrong(words, token, ("buy", "sell", "exit", "modify", "cancel"))
    return MakePlan(trigger=trigger, sentence=sentence.strip(), window_s=limits[0], floors=limits[1])


def waiting_text(command: MakePlan, instrument_words: Callable[[PriceTest], str]) -> str:
    """The plan as a sentence; the parser reads it back."""
    trigger = command.trigger
    if isinstance(trigger, AtTime):
        words = [f"at {trigger.at.astimezone(INDIA):%H:%M:%S}"]
    else:
        words = ["when"]
        for joint, test in zip(("", *(str(joined.joint) for joined in trigger.more)), trigger.tests, strict=True):
            length = f"for {duration_text(test.for_s)}" if test.for_s else ""
            test_words = f"{instrument_words(test)} {test.comparison} {plain(test.level)}"
            words += [part for part in (joint, test_words, length) if part]
    words.append(f"within {duration_text(command.window_s)}")
    if command.floors.credit_min is not None:
        words.append(f"credit {plain(command.floors.credit_min)}")
    if command.floors.spread_percent_max is not None:
        words.append(f"spread {plain(command.floors.spread_percent_max)}%")
    if not isinstance(trigger, AtTime):
        words.append("then")
    return " ".join([*words, command.sentence])


# ---- turns


def read_turn(cursor: Cursor, turn: PlanTurn) -> SteerPlan:
    """Read what follows ``pause``, ``resume``, ``hurry`` or ``patient``: a plan."""
    number = read_plan_number(cursor)
    cursor.finish("Nothing follows the plan.")
    return SteerPlan(number=number, turn=turn)


def read_plan_number(cursor: Cursor) -> PlanNumber:
    """Read ``p1``."""
    token = cursor.take("Needs a plan, such as p1.")
    return PlanNumber(_number_of(cursor, token))


def _number_of(cursor: Cursor, token: Token) -> int:
    match = PLAN_PATTERN.fullmatch(token.word)
    if match is None:
        raise cursor.wrong(f'"{token.text}" is not a plan. Plans are written p1.', token)
    return int(match["number"])


def read_cancel_plan(cursor: Cursor) -> CancelPlan:
    """Read what follows ``cancel`` when it is a plan."""
    number = read_plan_number(cursor)
    cursor.finish("One plan at a time.")
    return CancelPlan(number=number)


def is_plan(token: Token | None) -> bool:
    """Whether a word is written like a plan."""
    return token is not None and PLAN_PATTERN.fullmatch(token.word) is not None
