"""The help screen and the marks of the chain, written from the registry."""

from __future__ import annotations

from workstation.actions import PLACE_TITLES, Place, Registry, key_sign
from workstation.formatting import Glyphs
from workstation.presenters.lines import EMPTY, Line, wrapped

KEYS_WIDTH = 14

MARKS = (
    ("~ = x |", "between bid and ask: stale, frozen or closed, crossed, one-sided"),
    ("p", "after a figure: a leg without that mark is left out of the sum"),
    ("*", "before own lots: an order rests on the contract"),
    ("@", "at both edges: the ATM strike"),
    ("< >", "at the strike: where keys act, calls or puts"),
    ("LB SB LU SC N", "long and short build-up, long unwinding, short covering, neither"),
    ("C1 P1", "beside a strike: the largest open interest of calls above, of puts below the forward"),
    ("o", "on the smile: what is quoted at a strike"),
    ("!", "before an event: not acknowledged yet"),
)


def help_lines(registry: Registry, width: int, glyphs: Glyphs) -> list[Line]:
    """Every action by place, then the marks."""
    lines: list[Line] = []
    for place in Place:
        actions = registry.of(place)
        if not actions:
            continue
        lines.append(((PLACE_TITLES[place], "title"),))
        for action in actions:
            signs = "  ".join(key_sign(key) for key in action.keys)
            lines += _entry(signs, action.help, width)
        lines.append(EMPTY)
    lines.append((("Marks", "title"),))
    for sign, words in (*MARKS, (glyphs.unknown, "unknown; the ticket of the contract says why")):
        lines += _entry(sign, words, width)
    return lines


def _entry(signs: str, words: str, width: int) -> list[Line]:
    first, *others = wrapped(words, max(1, width - KEYS_WIDTH - 2))
    blank = " " * (KEYS_WIDTH + 2)
    return [((f"  {signs:<{KEYS_WIDTH}}", "key"), (first, "")), *(((blank, ""), (part, "")) for part in others)]
