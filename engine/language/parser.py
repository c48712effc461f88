"""The one grammar: a sentence becomes a typed command, a wish of the screen, or one error with its place.

Hand-written recursive descent with one word of look-ahead. The text is never changed, a part of a line is never acted
on, and the same sentence gives the same words over every road. Words of the grammar that this version does not carry
out are known and refused as such, never taken for something else.
"""

from __future__ import annotations

import re
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
    ShowChain,
    ShowChart,
)
from engine.core.vocabulary import Side
from engine.language.charts import read_chart
from engine.language.cursor import Cursor, SentenceInvalid, nearest
from engine.language.orders import read_cancel, read_modify, read_order
from engine.language.resolver import Resolver
from engine.language.screens import read_arm, read_disarm, read_go, read_mark, read_quit, read_rules, read_show
from engine.language.tape import read_pause, read_play, read_seek, read_speed, read_step
from engine.language.targets import read_archive, read_move, read_new

SENTENCE_LENGTH_MAX: Final = 500
"""Characters; longer text is a paste, not a sentence."""

Reader = Callable[[Cursor, Resolver], Command | ScreenWish]


def _buy(cursor: Cursor, resolver: Resolver) -> Command:
    return read_order(cursor, resolver, Side.BUY)


def _sell(cursor: Cursor, resolver: Resolver) -> Command:
    return read_order(cursor, resolver, Side.SELL)


READERS: Final[Mapping[str, Reader]] = {
    "buy": _buy,
    "sell": _sell,
    "cancel": read_cancel,
    "modify": read_modify,
    "move": read_move,
    "new": read_new,
    "archive": read_archive,
    "show": read_show,
    "chart": read_chart,
    "go": read_go,
    "rules": read_rules,
    "mark": read_mark,
    "play": read_play,
    "pause": read_pause,
    "speed": read_speed,
    "seek": read_seek,
    "step": read_step,
    "arm": read_arm,
    "disarm": read_disarm,
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
        "exit",
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

_COMPLETE_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?", re.ASCII)
_BROKEN_TIME = re.compile(r"(?P<hours>\d{1,2})[.h](?P<minutes>\d{2})", re.ASCII)


def interpret(text: str, resolver: Resolver) -> Interpretation:
    """What ``text`` means now. Nothing is done and nothing is raised for a wrong sentence."""
    try:
        meaning = parse(text, resolver)
    except SentenceInvalid as wrong:
        return Interpretation(text=text, error=wrong.error)
    if isinstance(meaning, ShowChain | ShowChart | GoTo | SetMark | MoveTape | Quit):
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
    if first.word in {"at", "when"}:
        cursor.skip()
        raise _plan_refused(cursor, first.word)
    if first.word in UNAVAILABLE:
        raise cursor.wrong(
            f'"{first.text}" is not available in this version. Available: {", ".join(READERS)}.', first, READERS
        )
    near = nearest(first.text, [*READERS, *UNAVAILABLE])
    hint = f"Nearest: {near[0]} (Tab takes it)." if near else f"Commands: {', '.join(READERS)}."
    raise cursor.wrong(f'"{first.text}" is not a command. {hint}', first, near or READERS)


def _plan_refused(cursor: Cursor, word: str) -> SentenceInvalid:
    """A plan (``at …``, ``when …``) is not carried out yet; a broken time is said first, as it would be later."""
    token = cursor.take(
        "Needs a time, such as 09:20." if word == "at" else "Needs a condition, such as nifty > 24,500."
    )
    broken = _BROKEN_TIME.fullmatch(token.text)
    if word == "at" and broken is not None:
        hours, minutes = broken["hours"], broken["minutes"]
        padded = f"{int(hours):02d}:{minutes}"
        written = padded if padded == f"{hours}:{minutes}" else f"{hours}:{minutes} or {padded}"
        return cursor.wrong(f"A time has a colon: {written}.", token)
    if word == "at" and not _COMPLETE_TIME.fullmatch(token.text):
        return cursor.wrong(f'"{token.text}" is not a time. Times are 09:20 or 09:20:05.', token)
    return cursor.wrong(
        f'Plans ("{word} …") are not available in this version. Write the sentence when it is due.', token
    )
