"""The ghost: what Enter in the command bar would open, or what is wrong with the sentence and where.

Nothing is sent from here, nothing is corrected silently, and the text is never changed except by Tab on request.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.core.commands import (
    AcknowledgeEvent,
    Command,
    CreateStrategy,
    GoTo,
    Interpretation,
    MoveTape,
    Preview,
    ResolveUnknown,
    ScreenWish,
    SentenceError,
    SetMark,
    SetMode,
    ShowAccount,
    ShowChain,
    ShowChart,
)
from workstation.formatting import Glyphs, age
from workstation.presenters.eta import leaves_in
from workstation.presenters.lines import EMPTY, Line, Span, clean, clip, cut

CHOICES_MAX = 8

DIRECT = (SetMode, AcknowledgeEvent, ResolveUnknown, CreateStrategy)
"""Commands that send no order and need no review: arming was typed in full, disarming never asks."""


class Ghost(msgspec.Struct, frozen=True, kw_only=True):
    """The sentence as understood so far."""

    interpretation: Interpretation | None = None
    preview: Preview | None = None
    trouble: str = ""
    """Why the sentence could not be looked at (the engine did not answer)."""


def ghost_lines(ghost: Ghost, width: int, glyphs: Glyphs) -> list[Line]:
    """The ghost line and, below it, what Tab offers."""
    if ghost.trouble:
        return [_lead(clean(ghost.trouble), "attention", width, glyphs), EMPTY]
    interpretation = ghost.interpretation
    if interpretation is None or not interpretation.text.strip():
        return [_lead("a sentence, for example: buy 2L nifty 24000 ce w0 @ 105", "muted", width, glyphs), EMPTY]
    if interpretation.error is not None:
        return _error_lines(interpretation.error, width, glyphs)
    if interpretation.wish is not None:
        return [_lead(wish_words(interpretation.wish), "", width, glyphs), EMPTY]
    if ghost.preview is not None:
        return _preview_lines(ghost.preview, width, glyphs)
    return [_lead("understood; being priced", "muted", width, glyphs), EMPTY]


def caret_line(error: SentenceError, start: int, width: int) -> Line:
    """``^^`` under the wrong place; ``start`` is the column of the sentence's first character."""
    column = min(max(start + error.place, 0), max(0, width - 1))
    length = max(1, min(error.length, width - column))
    return ((" " * column, ""), ("^" * length, "attention"))


def wish_words(wish: ScreenWish) -> str:
    """What a wish of the screen does, in words."""
    if isinstance(wish, ShowChain):
        return f"shows {wish.underlying}{f' {wish.expiry_label}' if wish.expiry_label else ''}"
    if isinstance(wish, ShowChart):
        length = "" if wish.interval is None else f", {wish.interval.minutes} minutes each"
        return f"shows the candles of {wish.instrument.tradingsymbol}{length}"
    if isinstance(wish, ShowAccount):
        return f"shows {'all accounts' if wish.account is None else f'{wish.account} alone'}"
    if isinstance(wish, GoTo):
        return f"goes to {wish.place}"
    if isinstance(wish, SetMark):
        return f"counts money at {wish.mark.value}"
    if isinstance(wish, MoveTape):
        return tape_wish_words(wish)
    return "leaves the terminal"


def tape_wish_words(wish: MoveTape) -> str:
    """What is asked of the tape of a replay."""
    if wish.to is not None:
        return f"moves the tape to {wish.to:%H:%M:%S}"
    if wish.by_s is not None:
        way = "on" if wish.by_s > 0 else "back"
        return f"moves the tape {way} by {age(abs(wish.by_s))}"
    if wish.steps is not None:
        return f"plays {wish.steps} frame{'' if wish.steps == 1 else 's'} of the tape, then pauses"
    at = "" if wish.speed is None else f" at {wish.speed:g}x"
    if wish.play is None:
        return f"plays the tape{at} when it plays"
    return f"plays the tape{at}" if wish.play else "pauses the tape"


def needs_review(command: Command) -> bool:
    """Whether a command opens the review dialog; the others are done at once."""
    return not isinstance(command, DIRECT)


def completed(text: str, error: SentenceError, choice: int) -> str:
    """The text with the word at the error's place replaced by one of its choices.

    An unfinished sentence gets the word at its end. Without choices the text stays as it is.
    """
    if not error.choices:
        return text
    word = error.choices[choice % len(error.choices)]
    place = min(max(error.place, 0), len(text))
    if error.incomplete and place >= len(text.rstrip()):
        return f"{text.rstrip()} {word}".lstrip()
    end = place + error.length
    return f"{text[:place]}{word}{text[end:]}"


def _error_lines(error: SentenceError, width: int, glyphs: Glyphs) -> list[Line]:
    tone = "muted" if error.incomplete else "attention"
    return [_lead(clean(error.message), tone, width, glyphs), _choices(error.choices, width, glyphs)]


def _preview_lines(preview: Preview, width: int, glyphs: Glyphs) -> list[Line]:
    first = _lead(clean(preview.sentence), "", width, glyphs)
    if preview.violations:
        count = len(preview.violations)
        words = f"{count} check{'' if count == 1 else 's'} refuse{'s' if count == 1 else ''}: "
        reasons = "  ".join(clean(violation.message) for violation in preview.violations)
        return [first, (("   ", ""), (clip(words + reasons, width - 3, glyphs), "attention"))]
    notes = "  ".join(clean(note) for note in (leaves_in(preview.eta_s), *preview.notes) if note)
    return [first, (("   ", ""), (clip(notes, width - 3, glyphs), "muted")) if notes else EMPTY]


def _choices(choices: Sequence[str], width: int, glyphs: Glyphs) -> Line:
    if not choices:
        return EMPTY
    spans: list[Span] = [("   ", ""), ("Tab", "key")]
    spans += [(f"  {clean(choice)}", "") for choice in choices[:CHOICES_MAX]]
    if len(choices) > CHOICES_MAX:
        spans.append((f"  {glyphs.ellipsis}", "muted"))
    return cut(spans, width)


def _lead(text: str, tone: str, width: int, glyphs: Glyphs) -> Line:
    lead = f" {glyphs.leads} "
    return ((lead, "muted"), (clip(text, width - len(lead), glyphs), tone))
