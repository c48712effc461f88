"""A line of the screen as data: pieces of text, each with the names of its tones.

A tone is a word such as ``gain`` or ``attention``; several are joined by blanks (``gain atm``). What a tone looks like
is decided by the style sheet alone. Text from outside (names, messages) is cleaned: a control character never reaches
the terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size

from workstation.formatting import Glyphs

Span: TypeAlias = tuple[str, str]
Line: TypeAlias = tuple[Span, ...]

EMPTY: Line = ()
PART_WIDTH_LEAST = 4
"""A part of a title that would get less is left out."""

TONES = frozenset(
    {
        "muted",
        "faint",
        "bold",
        "gain",
        "loss",
        "up",
        "down",
        "attention",
        "danger",
        "title",
        "focused",
        "rule",
        "live",
        "simulated",
        "read",
        "confirm",
        "hot",
        "header",
        "atm",
        "cursor",
        "beside",
        "row",
        "itm",
        "old",
        "key",
    }
)
"""Every word a span may name; a test compares the style sheet with it."""


def clean(text: str) -> str:
    """Text without control, format and line characters; each becomes one blank."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(sign) in {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"} else sign for sign in text)


def width_of(line: Iterable[Span]) -> int:
    """Cells a line takes."""
    return sum(len(text) if text.isascii() else cell_len(text) for text, _ in line)


def text_of(line: Iterable[Span]) -> str:
    """The characters of a line."""
    return "".join(text for text, _ in line)


def clip(text: str, width: int, glyphs: Glyphs) -> str:
    """Text in at most ``width`` cells; what was cut off is marked by an ellipsis."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    room = width - len(glyphs.ellipsis)
    if room < 1:
        return set_cell_size(text, width)
    return set_cell_size(text, room).rstrip() + glyphs.ellipsis


def left(text: str, width: int, glyphs: Glyphs) -> str:
    """Left-aligned in exactly ``width`` cells."""
    return set_cell_size(clip(text, width, glyphs), width)


def right(text: str, width: int) -> str:
    """Right-aligned. A figure too long for its column shows as ``#``: none is better than a wrong one."""
    if len(text) > width:
        return "#" * width
    return text.rjust(width)


def merged(spans: Iterable[Span]) -> Line:
    """Neighbours of one tone joined, empty pieces dropped."""
    result: list[Span] = []
    for text, tone in spans:
        if not text:
            continue
        if result and result[-1][1] == tone:
            result[-1] = (result[-1][0] + text, tone)
        else:
            result.append((text, tone))
    return tuple(result)


def cut(line: Iterable[Span], width: int) -> Line:
    """A line cut to at most ``width`` cells."""
    result: list[Span] = []
    room = width
    for text, tone in line:
        size = len(text) if text.isascii() else cell_len(text)
        if size <= room:
            result.append((text, tone))
            room -= size
            continue
        if room > 0:
            result.append((set_cell_size(text, room), tone))
        break
    return tuple(result)


def filled(line: Iterable[Span], width: int, tone: str = "") -> Line:
    """A line cut or filled with blanks of ``tone`` to exactly ``width`` cells."""
    short = cut(line, width)
    room = width - width_of(short)
    return merged((*short, (" " * room, tone))) if room > 0 else short


def spread(start: Sequence[Span], end: Sequence[Span], width: int) -> Line:
    """``start`` at the left and ``end`` at the right edge; the start gives way."""
    room = width - width_of(end)
    return merged((*filled(start, max(0, room)), *cut(end, width)))


def toned(line: Iterable[Span], tone: str) -> Line:
    """Every piece on one more tone, which lies below its own: a raised row never hides the cursor in it."""
    return tuple((text, f"{tone} {own}" if own else tone) for text, own in line)


def rule(
    parts: Sequence[Line],
    width: int,
    glyphs: Glyphs,
    *,
    simulated: bool,
    start: str = "",
    joints: Mapping[int, str] | None = None,
) -> Line:
    """A title line: ``─ 1 Chain ─ NIFTY ───``. ``joints`` places a glyph of its own at columns of bare rule."""
    stroke = glyphs.dotted if simulated else glyphs.rule
    spans: list[Span] = [(start or stroke, "rule")]
    for part in parts:
        room = width - width_of(spans) - 1
        if room < PART_WIDTH_LEAST:
            break
        spans += [(" ", "rule"), *cut(part, room), (" ", "rule"), (stroke, "rule")]
    used = width_of(spans)
    tail = [stroke] * max(0, width - used)
    for column, joint in (joints or {}).items():
        if used <= column < width:
            tail[column - used] = joint
    return cut(merged((*spans, ("".join(tail), "rule"))), width)


def title(number: int, name: str, *, focused: bool) -> Line:
    """The name of a pane with the digit that goes there."""
    return ((f"{number} {name}", "title focused" if focused else "title"),)


def wrapped(text: str, width: int) -> list[str]:
    """Words broken into lines of at most ``width`` cells; longer words are cut hard. Always at least one line."""
    lines, current = [], ""
    for word in clean(text).split():
        rest = word
        while cell_len(rest) > width > 0:
            if current:
                lines.append(current)
                current = ""
            piece = set_cell_size(rest, width).rstrip() or rest[:1]
            lines.append(piece)
            rest = rest[len(piece) :]
        if not rest:
            continue
        if current and cell_len(current) + 1 + cell_len(rest) > width:
            lines.append(current)
            current = rest
        else:
            current = f"{current} {rest}" if current else rest
    if current or not lines:
        lines.append(current)
    return lines
