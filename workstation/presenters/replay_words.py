"""The state of a replay in a word or two, for the status line and its screen. A tape is never taken for the market."""

from __future__ import annotations

from engine.core.replay import ReplayView
from workstation.formatting import Glyphs, clock_time
from workstation.presenters.lines import Line

PLAYING, PAUSED, SEEKING, ENDED = "playing", "paused", "seeking", "ended"
SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""What slower and faster walk through; sentences may ask for any speed between the first and the last."""


def speed_words(speed: float) -> str:
    """``10x``, ``0.25x``."""
    return f"{speed:g}x"


def replay_forms(view: ReplayView | None, glyphs: Glyphs) -> tuple[Line, ...]:
    """The tape in the status line, from long to short; none of the forms is empty."""
    if view is None:
        return (((f"tape {glyphs.unknown}", "simulated"),),)
    word = view.state.upper()
    speed = speed_words(view.speed)
    if view.state == SEEKING and view.target is not None:
        return (
            ((f"{word} {clock_time(view.target)}", "simulated"), (f" {speed}", "simulated")),
            ((f"{word} {speed}", "simulated"),),
        )
    return (((f"{word} {speed}", "simulated"),),)
