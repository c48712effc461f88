"""Sentences about the tape of a replay: ``play``, ``pause``, ``speed``, ``seek``, ``step``."""

from __future__ import annotations

import re
from datetime import time
from decimal import Decimal
from typing import Final

from engine.core.commands import MoveTape
from engine.core.replay import SPEED_MAX, SPEED_MIN
from engine.language.cursor import Cursor, SentenceInvalid
from engine.language.numbers import plain
from engine.language.resolver import Resolver
from engine.language.tokens import Token

STEPS_MAX: Final = 10_000
"""Frames of one step; more is a seek."""
SPEED_CHOICES: Final = ("1", "5", "10", "60")
SEEK_CHOICES: Final = ("09:15", "+5m", "-5m")
SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
DAY_S: Final = 86_400

_TIME = re.compile(r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(:(?P<second>[0-5]\d))?", re.ASCII)
_SHIFT = re.compile(r"(?P<sign>[+-])(?P<count>\d{1,5})(?P<unit>[smh])", re.ASCII | re.IGNORECASE)
_SPEED = re.compile(r"(?P<number>\d{1,4}(\.\d{1,6})?|\.\d{1,6})x?", re.ASCII | re.IGNORECASE)
_COUNT = re.compile(r"\d{1,5}", re.ASCII)
_BROKEN_TIME = re.compile(r"(?P<hours>\d{1,2})[.h](?P<minutes>\d{2})", re.ASCII)


def read_play(cursor: Cursor, _resolver: Resolver | None = None) -> MoveTape:
    """Read what follows ``play``: nothing, or a speed."""
    speed = _speed(cursor) if cursor.peek() is not None else None
    cursor.finish("Nothing follows the speed.")
    return MoveTape(play=True, speed=speed)


def read_pause(cursor: Cursor, _resolver: Resolver | None = None) -> MoveTape:
    """Read what follows ``pause``: nothing."""
    cursor.finish("Nothing follows pause.")
    return MoveTape(play=False)


def read_speed(cursor: Cursor, _resolver: Resolver | None = None) -> MoveTape:
    """Read what follows ``speed``: market seconds per second, ``10`` or ``10x``."""
    speed = _speed(cursor)
    cursor.finish("Nothing follows the speed.")
    return MoveTape(speed=speed)


def read_seek(cursor: Cursor, _resolver: Resolver | None = None) -> MoveTape:
    """Read what follows ``seek``: a clock time, or a distance such as ``+5m``."""
    token = cursor.take("Needs a time, such as 13:05, or a distance, such as -5m.", SEEK_CHOICES)
    match = _TIME.fullmatch(token.text)
    if match is not None:
        cursor.finish("Nothing follows the time.")
        moment = time(int(match["hour"]), int(match["minute"]), int(match["second"] or 0))
        return MoveTape(to=moment)
    shift = _SHIFT.fullmatch(token.text)
    if shift is None:
        raise _no_time(cursor, token)
    cursor.finish("Nothing follows the distance.")
    seconds = int(shift["count"]) * SECONDS[shift["unit"].casefold()]
    if not 0 < seconds <= DAY_S:
        raise cursor.wrong("A distance is at least 1s and at most a day.", token)
    return MoveTape(by_s=seconds if shift["sign"] == "+" else -seconds)


def read_step(cursor: Cursor, _resolver: Resolver | None = None) -> MoveTape:
    """Read what follows ``step``: nothing for one frame, or how many."""
    token = cursor.peek()
    if token is None:
        cursor.finish("Nothing follows step.")
        return MoveTape(steps=1)
    cursor.skip()
    steps = int(token.text) if _COUNT.fullmatch(token.text) else 0
    if not 0 < steps <= STEPS_MAX:
        raise cursor.wrong(f'"{token.text}" is no count of frames from 1 to {STEPS_MAX}.', token)
    cursor.finish("Nothing follows the count.")
    return MoveTape(steps=steps)


def tape_words(wish: MoveTape) -> str:
    """The sentence that asks for it; the parser reads it back."""
    if wish.to is not None:
        return f"seek {wish.to:%H:%M:%S}"
    if wish.by_s is not None:
        return f"seek {wish.by_s:+d}s"
    if wish.steps is not None:
        return f"step {wish.steps}"
    speed = "" if wish.speed is None else plain(Decimal(repr(wish.speed)))
    if wish.play is None:
        return f"speed {speed}"
    return f"play {speed}".rstrip() if wish.play else "pause"


def _speed(cursor: Cursor) -> float:
    token = cursor.take(f"Needs a speed from {SPEED_MIN:g} to {SPEED_MAX:g}, such as 10.", SPEED_CHOICES)
    match = _SPEED.fullmatch(token.text)
    if match is None:
        raise cursor.wrong(
            f'"{token.text}" is not a speed. Speeds are {SPEED_MIN:g} to {SPEED_MAX:g}, such as 10.', token
        )
    speed = float(match["number"])
    if not SPEED_MIN <= speed <= SPEED_MAX:
        raise cursor.wrong(f"A speed is from {SPEED_MIN:g} to {SPEED_MAX:g}, not {token.text}.", token)
    return speed


def _no_time(cursor: Cursor, token: Token) -> SentenceInvalid:
    broken = _BROKEN_TIME.fullmatch(token.text)
    if broken is not None:
        return cursor.wrong(f"A time has a colon: {broken['hours']}:{broken['minutes']}.", token)
    return cursor.wrong(
        f'"{token.text}" is neither a time such as 13:05 nor a distance such as +5m or -90s.', token, SEEK_CHOICES
    )
