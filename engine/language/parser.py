"""The one grammar: a sentence becomes a typed command, a wish of the screen, or one error with its place.

Hand-written recursive descent with one word of look-ahead. The text is never changed, a part of a line is never acted
on, and the same sentence gives the same words over every road. Words of the grammar that this version does not carry
out are known and refused as such, never taken for something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from engine.core.commands import (
    Command,
    GoTo,
    Interpretation,
    MoveTape,
    Quit,
    ScreenWish,
    SentenceError,
    SetMark,
    ShowAccount,
    ShowChain,
    ShowChart,
)
from engine.core.plans import PlanTurn
from engine.core.vocabulary import Side
from engine.language.baskets import read_basket
from engine.language.charts import read_chart
from engine.language.cursor import Cursor, SentenceInvalid, nearest
from engine.language.exits import read_exit
from engine.language.orders import read_cancel, read_modify, read_order
from engine.language.plans import is_plan, read_at, read_turn, read_when
from engine.language.resolver import Resolver
from engine.language.screens import (
    read_account,
    read_arm,
    read_disarm,
    read_go,
    read_mark,
    read_quit,
    read_rules,
    read_show,
)
from engine.language.tape import read_pause, read_play, read_seek, read_speed, read_step
from engine.language.targets import read_archive, read_move, read_new

SENTENCE_LENGTH_MAX: Final = 1500
"""Characters; a basket of twenty legs fits, longer text is a paste, not a sentence."""

Reader = Callable[[Cursor, Resolver], Command | ScreenWish]


def _buy(cursor: Cursor, resolver: Resolver) -> Command:
    return read_order(cursor, resolver, Side.BUY)


def _sell(cursor: Cursor, resolver: Resolver) -> Command:
    return read_order(cursor, resolver, Side.SELL)


def _at(cursor: Cursor, resolver: Resolver) -> Command:
    return read_at(cursor, resolver, parse)


def _when(cursor: Cursor, resolver: Resolver) -> Command:
    return read_when(cursor, resolver, parse)


def _pause(cursor: Cursor, resolver: Resolver) -> Command | ScreenWish:
    """A plan's turn with a plan, the tape's without one."""
    if is_plan(cursor.peek()):
        return read_turn(cursor, PlanTurn.PAUSE)
    return read_pause(cursor, resolver)


def _resume(cursor: Cursor, _resolver: Resolver) -> Command:
    return read_turn(cursor, PlanTurn.RESUME)


def _hurry(cursor: Cursor, _resolver: Resolver) -> Command:
    return read_turn(cursor, PlanTurn.HURRY)


def _patient(cursor: Cursor, _resolver: Resolver) -> Command:
    return read_turn(cursor, PlanTurn.PATIENT)


READERS: Final[Mapping[str, Reader]] = {
    "buy": _buy,
    "sell": _sell,
    "cancel": read_cancel,
    "modify": read_modify,
    "move": read_move,
    "new": read_new,
    "archive": read_archive,
    "exit": read_exit,
    "basket": read_basket,
    "show": read_show,
    "chart": read_chart,
    "go": read_go,
    "rules": read_rules,
    "mark": read_mark,
    "account": read_account,
    "play": read_play,
    "pause": _pause,
    "speed": read_speed,
    "seek": read_seek,
    "step": read_step,
    "arm": read_arm,
    "disarm": read_disarm,
    "at": _at,
    "when": _when,
    "resume": _resume,
    "hurry": _hurry,
    "patient": _patient,
    "quit": read_quit,
}
"""First words that this version carries out."""

UNAVAILABLE: Final = frozenset(
    {
        "ss",
        "sg",
        "ls",
        "lg",
        "ic",
        "ifly",
        "bfly",
        "cal",
        "ratio",
        "roll",
        "shift",
        "scale",
        "convert",
        "hedge",
        "adjust",
        "rule",
        "let",
        "alert",
        "why",
        "hold",
        "kill",
        "unlock",
        "note",
        "login",
        "handover",
        "import",
    }
)
"""First words of the grammar that this version does not carry out."""


def interpret(text: str, resolver: Resolver) -> Interpretation:
    """What ``text`` means now. Nothing is done and nothing is raised for a wrong sentence."""
    try:
        meaning = parse(text, resolver)
    except SentenceInvalid as wrong:
        return Interpretation(text=text, error=wrong.error)
    if isinstance(meaning, ShowChain | ShowChart | ShowAccount | GoTo | SetMark | MoveTape | Quit):
        return Interpretation(text=text, wish=meaning)
    return Interpretation(text=text, command=meaning)


def parse(text: str, resolver: Resolver) -> Command | ScreenWish:
    """Read one sentence.

    Raises:
        SentenceInvalid: it cannot be acted on; the error says why and where.
    """
    if len(text) > SENTENCE_LENGTH_MAX:
        raise SentenceInvalid(
            SentenceError(
                message=f"A sentence has at most {SENTENCE_LENGTH_MAX} characters, this has {len(text)}.",
                place=SENTENCE_LENGTH_MAX,
                length=len(text) - SENTENCE_LENGTH_MAX,
            )
        )
    cursor = Cursor(text)
    first = cursor.peek()
    if first is None:
        cursor.finish("A sentence begins with a command.", READERS)
        raise cursor.missing("Needs a command, such as buy.", READERS)
    reader = READERS.get(first.word)
    if reader is not None:
        cursor.skip()
        return reader(cursor, resolver)
    if first.word in UNAVAILABLE:
        raise cursor.wrong(
            f'"{first.text}" is not available in this version. Available: {", ".join(READERS)}.', first, READERS
        )
    near = nearest(first.text, [*READERS, *UNAVAILABLE])
    hint = f"Nearest: {near[0]} (Tab takes it)." if near else f"Commands: {', '.join(READERS)}."
    raise cursor.wrong(f'"{first.text}" is not a command. {hint}', first, near or READERS)
