"""A tape as a page: where it stands, how fast it goes, what moves it. What is played is said to be played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.core.events import EngineEvent
from engine.core.orders import OrderRecord
from engine.core.replay import ReplayView
from workstation.formatting import Glyphs, age, clock_time, countdown, expiry_day, india, whole, whole_percent
from workstation.presenters.events import event_rows
from workstation.presenters.lines import EMPTY, Line, Span, clean, clip, filled, rule, width_of, wrapped
from workstation.presenters.replay_words import ENDED, PLAYING, SEEKING, SPEEDS, speed_words
from workstation.presenters.seen import Seen

MARGIN = 3
BAR_MOST = 150
HOUR_LABEL = 5
EVENTS_FROM_HEIGHT = 26
"""From here there is room for what happened."""
OPEN_ONE = "workstation replay TAPE"
LIST_THEM = "workstation record --list"
KEYS = (
    ("Space", "play, pause"),
    ("< >  [ ]", "slower, faster"),
    (".", "one frame on, then pause; 20. is twenty"),
    ("Left Right", "a minute back or on, with Shift ten; 5 then Right is five"),
    ("/  13:05", "type a time, or a distance such as -5m; from every screen :seek 13:05"),
)


@dataclass(frozen=True, slots=True)
class ReplayPicture:
    """Everything the screen draws."""

    venue: str
    """The venue's word, in capitals; empty while it is not known."""
    is_replay: bool
    tape: Seen[ReplayView]
    orders: tuple[OrderRecord, ...] = ()
    events: tuple[EngineEvent, ...] = ()
    unread: int = 0


def replay_page(picture: ReplayPicture, width: int, height: int, glyphs: Glyphs, *, simulated: bool) -> list[Line]:
    """The page in exactly ``height`` lines of ``width`` cells."""

    def ruled(parts: list[Line]) -> Line:
        return rule(parts, width, glyphs, simulated=simulated)

    view = picture.tape.value
    head = ruled(_title(picture, glyphs))
    if not picture.is_replay:
        body = _elsewhere(picture.venue, width)
    elif view is None:
        words = picture.tape.trouble or "the tape has been asked where it stands"
        tone = "attention" if picture.tape.trouble else "muted"
        body = [((f" {part}", tone),) for part in wrapped(f"{glyphs.unknown} {words}", width - 2)]
    else:
        body = _standing(view, picture, width, height, glyphs)
    lines: list[Line] = [head, *body]
    if picture.is_replay and height >= EVENTS_FROM_HEIGHT and len(lines) + 2 < height:
        rows = event_rows(picture.events, picture.unread, width, glyphs)
        lines += [EMPTY, ruled([(("What happened", "title"),)]), *(row.line for row in rows)]
    return [filled(line, width) for line in [*lines, *[EMPTY] * height][:height]]


def position_lines(view: ReplayView, fills: Sequence[datetime], width: int, glyphs: Glyphs) -> list[Line]:
    """Marks above, the bar, and the hours below it."""
    start, end = f"{india(view.start):%H:%M}", f"{india(view.end):%H:%M}"
    room = max(1, min(width - 2 * MARGIN - len(start) - len(end) - 4, BAR_MOST))
    lead = " " * (MARGIN + len(start) + 2)
    here = _place(view, view.now, room)
    marks: list[Span] = [(lead, "")]
    signs = {_place(view, moment, room): ("o", "bold") for moment in fills}
    if view.target is not None:
        signs[_place(view, view.target, room)] = (glyphs.below, "attention")
    marks += [signs.get(place, (" ", "")) for place in range(room)]
    bar: list[Span] = [
        (" " * MARGIN, ""),
        (f"{start} [", "muted"),
        ("=" * here, "key"),
        ("#", "cursor"),
        ("-" * (room - here - 1), "faint"),
        (f"] {end}", "muted"),
    ]
    return [tuple(marks), tuple(bar), ((lead, ""), (_hours(view, room), "muted"))]


def _title(picture: ReplayPicture, glyphs: Glyphs) -> list[Line]:
    parts: list[Line] = [(("Replay", "title"),)]
    view = picture.tape.value
    if not picture.is_replay:
        return [*parts, ((f"this is {picture.venue or 'no venue yet'}, not a replay", "attention"),)]
    if view is not None:
        day = india(view.start)
        parts.append(((clean(view.tape), "bold"),))
        parts.append(((f"{day:%a} {expiry_day(day.date(), spaced=True)} {day:%Y}", ""),))
        parts.append(((f"{clock_time(view.start)} to {clock_time(view.end)} IST", "muted"),))
    if picture.tape.is_stale:
        parts.append(((f"~ {age(picture.tape.age_s, glyphs)} old", "attention"),))
    if picture.tape.trouble and view is not None:
        parts.append(((clean(picture.tape.trouble), "attention"),))
    return parts


def _elsewhere(venue: str, width: int) -> list[Line]:
    """Where a replay comes from."""
    sentences = (
        f"This desk is on {venue or 'a venue that is not known yet'}: nothing on it comes from a tape.",
        "A recorded day is played again by a program of its own; nothing traded on it reaches the exchange.",
    )
    lines: list[Line] = [EMPTY]
    for sentence in sentences:
        lines += [((f"{' ' * MARGIN}{part}", ""),) for part in wrapped(sentence, max(1, width - 2 * MARGIN))]
    lines.append(EMPTY)
    for command, words in ((OPEN_ONE, "opens one, in another terminal"), (LIST_THEM, "names the tapes there are")):
        lines.append(((f"{' ' * MARGIN}{command:<28}", "key"), (words, "muted")))
    return lines


def _standing(view: ReplayView, picture: ReplayPicture, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    fills = [order.updated_at for order in picture.orders if order.filled_quantity]
    on_tape = [moment for moment in fills if view.start <= moment <= view.end]
    lines: list[Line] = [
        EMPTY,
        _state_line(view, width, glyphs),
        EMPTY,
        *position_lines(view, on_tape, width, glyphs),
        EMPTY,
        _speeds(view),
        _facts(view, width, glyphs),
    ]
    if on_tape:
        words = f"own fills {whole(len(on_tape))} (o), the last {clock_time(max(on_tape))}: a seek before it is refused"
        lines.append(((" " * MARGIN, ""), (clip(words, width - MARGIN, glyphs), "")))
    if view.damage:
        damage = wrapped(f"damaged: {view.damage}", max(1, width - 2 * MARGIN))
        lines += [((" " * MARGIN, ""), (part, "attention")) for part in damage]
    room = height - 1 - len(lines)
    if room > len(KEYS):
        lines.append(EMPTY)
        for sign, words in KEYS:
            lead = f"{' ' * MARGIN}{sign:<12}"
            lines.append(((lead, "key"), (clip(words, max(0, width - len(lead)), glyphs), "muted")))
    return lines


def _state_line(view: ReplayView, width: int, glyphs: Glyphs) -> Line:
    left_s = (view.end - view.now) / timedelta(seconds=1)
    whole_s = (view.end - view.start) / timedelta(seconds=1)
    share = whole_percent(1 - left_s / whole_s if whole_s > 0 else None, glyphs)
    word = view.state.upper()
    if view.state == SEEKING and view.target is not None:
        word += f" {clock_time(view.target)}"
    spans: list[Span] = [
        (" " * MARGIN, ""),
        (f" {word} ", "cursor" if view.state == PLAYING else "attention"),
        (f"  {speed_words(view.speed)}", "simulated"),
        (f"   {clock_time(view.now)} IST", "bold"),
        (f"   {share} of the tape", ""),
    ]
    if view.state != ENDED:
        ends = f"   ends in {countdown(left_s, glyphs)}"
        if view.speed > 0 and view.speed != 1:
            ends += f", {countdown(left_s / view.speed, glyphs)} at this speed"
        if width_of(spans) + len(ends) <= width:
            spans.append((ends, "muted"))
    return tuple(spans)


def _speeds(view: ReplayView) -> Line:
    spans: list[Span] = [(" " * MARGIN, ""), ("speed ", "muted")]
    for speed in SPEEDS:
        chosen = speed == view.speed
        spans.append((f"[{speed:g}]" if chosen else f" {speed:g} ", "bold" if chosen else "muted"))
    if view.speed not in SPEEDS:
        spans.append((f" [{view.speed:g}]", "bold"))
    spans.append(("  market seconds a second", "muted"))
    return tuple(spans)


def _facts(view: ReplayView, width: int, glyphs: Glyphs) -> Line:
    words = f"frames {whole(view.frames, glyphs)} played since the start of the tape"
    return ((" " * MARGIN, ""), (clip(words, width - MARGIN, glyphs), "muted"))


def _place(view: ReplayView, moment: datetime, room: int) -> int:
    """The cell of a moment, from 0 to ``room`` - 1."""
    span = (view.end - view.start) / timedelta(seconds=1)
    if span <= 0:
        return 0
    share = (moment - view.start) / timedelta(seconds=1) / span
    return min(max(int(share * room), 0), room - 1)


def _hours(view: ReplayView, room: int) -> str:
    """Whole hours at their places; those that would touch each other are left out."""
    text = [" "] * room
    moment = india(view.start).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    free = 0
    while moment < view.end:
        place = _place(view, moment, room)
        label = f"{moment:%H:%M}"
        if place >= free and place + len(label) <= room:
            text[place : place + len(label)] = label
            free = place + len(label) + 1
        moment += timedelta(hours=1)
    return "".join(text)
