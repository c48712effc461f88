"""The last line: the keys of what has focus, the count being typed, the second key that is waited for."""

from __future__ import annotations

from collections.abc import Mapping

from workstation.actions import Place, Registry, key_sign
from workstation.formatting import Glyphs
from workstation.presenters.lines import Line, Span, cut, filled, spread, width_of

PANIC = "app.panic"
"""The action whose key stands at the right edge of every key line, whatever else has to give way."""
HOT_LOTS = "A h"
"""What is waited for between ``A h`` and Enter: a number of lots."""
PREFIX_WORDS = {
    "A": ("arm: c CONFIRM   h HOT   Esc leave it",),
    HOT_LOTS: ("HOT: the most lots of one stroke, then Enter   Esc leave it",),
    "w": ("pane: 1 chain  2 ticket  3 depth  4 strategies  5 orders  6 events",),
    "g": (
        "go: g top  d chain  s strategy  v volatility  t chart  o orders  e events  r replay  n room  h doctor  u rule",
        "go: g top d chain s strat v vol t charts o orders e events r replay n room h doctor u rules",
        "go: d chain s strat v vol t chart o order e event r tape n room h doc u rule",
    ),
}
"""What a first key waits for, from long to short."""


def key_line(
    places: tuple[Place, ...],
    registry: Registry,
    *,
    count: str,
    prefix: str,
    width: int,
    glyphs: Glyphs,
    own_words: Mapping[str, str] | None = None,
) -> Line:
    """Keys of the given places in order, as many as fit; neighbours with one label share it.

    ``own_words`` says what a first key waits for on a screen where it is not what the Desk's would wait for.
    """
    if prefix:
        own = (own_words or {}).get(prefix)
        forms = PREFIX_WORDS.get(prefix, ("",)) if own is None else (own,)
        lead: Span = (f" {prefix} {count}{glyphs.ellipsis} " if count and prefix == HOT_LOTS else f" {prefix} ", "key")
        fitting = (words for words in forms if width_of((lead, (f" {words}", ""))) <= width)
        return filled((lead, (f" {next(fitting, forms[-1])}", "")), width)
    start: list[Span] = [(" ", "")]
    if count:
        start += [(f"{count}{glyphs.ellipsis}", "attention"), ("  ", "")]
    groups: list[tuple[list[str], str]] = []
    for place in places:
        for action in registry.of(place):
            if not action.line:
                continue
            sign = key_sign(action.keys[0])
            if groups and groups[-1][1] == action.label:
                groups[-1][0].append(sign)
            else:
                groups.append(([sign], action.label))
    end: list[Span] = [(registry.keys_of(PANIC), "key"), (" PANIC ", "attention")]
    room = width - width_of(end)
    spans = start
    for signs, label in groups:
        piece: list[Span] = [(" ".join(signs), "key"), (f" {label}  ", "muted")]
        if width_of([*spans, *piece]) > room:
            break
        spans = [*spans, *piece]
    return spread(cut(spans, room), end, width)
