"""Five levels of the book of one contract."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.quotes import DEPTH_LEVELS, DepthLevel, Quote
from workstation.formatting import Glyphs, age, decimal_text, price
from workstation.presenters.lines import Line, Span, right
from workstation.presenters.names import STATE_WORDS

GAPS = 5
"""Blanks between the six figures of a level."""


def depth_title(name: str, quote: Quote | None, glyphs: Glyphs) -> list[Line]:
    """Contract, state and age."""
    if quote is None:
        return [((f"{name} ", ""), ("no quote", "muted"))]
    word = STATE_WORDS[quote.state]
    return [((f"{name} ", ""), (f"{word} {age(quote.age_s, glyphs)}", "" if word == "LIVE" else "attention"))]


def depth_lines(quote: Quote | None, width: int, glyphs: Glyphs) -> list[Line]:
    """One line a level, bids left and asks right: size, orders, price, price, orders, size.

    The counts of orders are left out when ``width`` cells cannot hold them beside whole sizes and prices.
    """
    if quote is None:
        return [(("nothing is known of its book", "muted"),)]
    bids = [_cells(level, glyphs) for level in _padded(quote.bids)]
    asks = [_cells(level, glyphs) for level in _padded(quote.asks)]
    size, orders, figure = (max(len(cells[place]) for cells in (*bids, *asks)) for place in range(3))
    counted = 2 * (size + orders + figure) + GAPS <= width
    lines = []
    for place, (bid, ask) in enumerate(zip(bids, asks, strict=True)):
        tone = "bold" if place == 0 else ""
        count_left = f" {right(bid[1], orders)}" if counted else ""
        count_right = f" {right(ask[1], orders)}" if counted else ""
        spans: list[Span] = [
            (f"{right(bid[0], size)}{count_left} ", "muted"),
            (f"{right(bid[2], figure)} {right(ask[2], figure)}", tone),
            (f"{count_right} {right(ask[0], size)}", "muted"),
        ]
        lines.append(tuple(spans))
    return lines


def _padded(levels: Sequence[DepthLevel]) -> list[DepthLevel | None]:
    shown: list[DepthLevel | None] = list(levels[:DEPTH_LEVELS])
    return shown + [None] * (DEPTH_LEVELS - len(shown))


def _cells(level: DepthLevel | None, glyphs: Glyphs) -> tuple[str, str, str]:
    if level is None:
        return glyphs.unknown, "", glyphs.unknown
    return decimal_text(level.quantity, 0), str(level.orders), price(level.price, glyphs)
