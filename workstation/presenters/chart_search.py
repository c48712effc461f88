"""What a search for an instrument has found, as lines: the one that Enter takes is marked."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.instruments import Instrument
from workstation.formatting import Glyphs, expiry_day
from workstation.presenters.lines import EMPTY, Line, clean, filled, left, rule, toned
from workstation.presenters.names import contract_name
from workstation.presenters.seen import Seen

NAME_WIDTH = 28
SYMBOL_WIDTH = 26
SEGMENT_WIDTH = 9
CHOSEN = ">"
HINT = "Words in any order: nifty 24000 ce w0, banknifty fut, a symbol, the beginning of a name."


def search_lines(
    text: str,
    seen: Seen[tuple[Instrument, ...]],
    place: int,
    size: tuple[int, int],
    glyphs: Glyphs,
    *,
    simulated: bool,
) -> list[Line]:
    """The list in exactly ``size`` (width, height); the chosen one is always in sight."""
    width, height = size
    title = rule([(("Charts", "title"),), (("search", "key"),)], width, glyphs, simulated=simulated)
    if seen.trouble:
        words = seen.trouble
    elif not text:
        words = HINT
    elif seen.value is None:
        words = "Searching."
    else:
        words = "" if seen.value else f'No instrument answers to "{clean(text)}" today.'
    if words:
        return _whole([title, EMPTY, ((f"  {words}", "muted"),)], width, height)
    rows = list(seen.value or ())
    room = max(1, height - 1)
    first = min(max(0, place - room + 1), max(0, len(rows) - room))
    lines = [_row(item, at == place, width, glyphs) for at, item in enumerate(rows)][first : first + room]
    return _whole([title, *lines], width, height)


def _row(item: Instrument, chosen: bool, width: int, glyphs: Glyphs) -> Line:
    day = expiry_day(item.expiry, spaced=True) if item.expiry is not None else ""
    year = f" {item.expiry.year}" if item.expiry is not None else ""
    line: Line = (
        (f" {CHOSEN if chosen else ' '} ", "key"),
        (left(contract_name(item, item.key), NAME_WIDTH, glyphs), "bold"),
        (left(item.tradingsymbol, SYMBOL_WIDTH, glyphs), ""),
        (left(f"{item.exchange} {item.kind.value}", SEGMENT_WIDTH, glyphs), "muted"),
        (f"  {day}{year}", "muted"),
    )
    return toned(filled(line, width), "row") if chosen else line


def _whole(lines: Sequence[Line], width: int, height: int) -> list[Line]:
    return [filled(line, width) for line in [*lines, *[EMPTY] * height][:height]]
