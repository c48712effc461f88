"""The last line: the keys of what has focus, the count being typed, the second key that is waited for."""

from __future__ import annotations

from collections.abc import Mapping

from workstation.actions import Place, Registry, key_sign
from workstation.formatting import Glyphs
from workstation.presenters.lines import Line, Span, cut, filled, width_of

PREFIX_WORDS = {
    "A": "arm: c CONFIRM   Esc leave it",
    "w": "pane: 1 chain  2 ticket  3 depth  4 strategies  5 orders  6 events",
    "g": "go: g top  d chain  s strategy  v volatility  o orders  e events",
}
"""What a first key waits for."""


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
        words = {**PREFIX_WORDS, **(own_words or {})}.get(prefix, "")
        return filled(((f" {prefix} ", "key"), (f" {words}", "")), width)
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
    spans = start
    for signs, label in groups:
        piece: list[Span] = [(" ".join(signs), "key"), (f" {label}  ", "muted")]
        if width_of([*spans, *piece]) > width:
            break
        spans = [*spans, *piece]
    return filled(cut(spans, width), width)
