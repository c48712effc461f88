"""Routes of a replay: where the tape stands, and what moves it. Times are aware; the answer is a ``ReplayView``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from engine.practice.http_common import answer, json_body
from engine.practice.playback import PlaybackRequest, Player
from engine.practice.wire import input_error
from engine.tape.reader import to_ns

PLAYER: web.AppKey[Player] = web.AppKey("player", Player)
PATH = "/practice/playback"
_NAMES = ("play", "speed", "seek", "step_frames")


async def playback(request: web.Request) -> web.Response:
    """``GET /practice/playback``."""
    return answer(msgspec.to_builtins(request.app[PLAYER].view()))


async def act(request: web.Request) -> web.Response:
    """``POST /practice/playback`` with any of ``play``, ``speed``, ``seek`` and ``step_frames``."""
    asked = read_request(await json_body(request))
    return answer(msgspec.to_builtins(request.app[PLAYER].act(asked)))


def read_request(body: object) -> PlaybackRequest:
    """Check the form of a request.

    Raises:
        KiteError: HTTP 400 with the reason in words.
    """
    if not isinstance(body, dict) or not body:
        raise input_error(f"Give one or more of {_words()}.")
    unknown = ", ".join(f"`{name}`" for name in body if name not in _NAMES)
    if unknown:
        raise input_error(f"Unknown field {unknown}. Allowed are {_words()}.")
    play, steps = body.get("play"), body.get("step_frames")
    if play is not None and not isinstance(play, bool):
        raise input_error(f"`play` must be true or false, not {play!r}.")
    if steps is not None and (not isinstance(steps, int) or isinstance(steps, bool)):
        raise input_error(f"`step_frames` must be a whole number, not {steps!r}.")
    return PlaybackRequest(play=play, speed=_number(body), seek_ns=_moment(body.get("seek")), step_frames=steps)


def _number(body: dict[str, Any]) -> float | None:
    speed = body.get("speed")
    if speed is not None and (not isinstance(speed, int | float) or isinstance(speed, bool)):
        raise input_error(f"`speed` must be a number, not {speed!r}.")
    return None if speed is None else float(speed)


def _moment(text: object) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise input_error(
            f"`seek` must be an ISO time with its offset, such as 2026-11-19T11:00:00+05:30, not {text!r}."
        )
    return to_ns(moment)


def _words() -> str:
    return ", ".join(f"`{name}`" for name in _NAMES)


def add_routes(router: web.UrlDispatcher) -> None:
    """Register this module's routes."""
    router.add_get(PATH, playback)
    router.add_post(PATH, act)
