"""The review of a basket: its legs in the order in which they are sent, what they block on the way, and whether their
quotes still carry the prices on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from engine.core.margin import MarginPaths
from engine.core.plans import LegPreview
from engine.core.quotes import Quote
from engine.core.vocabulary import QuoteState
from workstation.formatting import Glyphs, age, decimal_text, lots, money_exact, price, signed_price
from workstation.presenters.draft import adverse_move
from workstation.presenters.lines import Line, cut, left, right
from workstation.presenters.names import NEVER_SENDS, STATE_WORDS

QuoteOf = Callable[[int], Quote | None]
"""The living quote of an instrument."""
STEP, SIDE, LOTS, UNITS, PRICE, QUOTE = 8, 5, 5, 7, 9, 14
"""Cells of the columns; the contract takes what is left."""
NAME_WIDTH_LEAST, NAME_WIDTH_MAX = 8, 24


def live_quote(leg: LegPreview, quote_of: QuoteOf) -> Quote | None:
    """The leg's quote of this moment."""
    return None if leg.token is None else quote_of(leg.token)


def legs_objection(
    legs: Sequence[LegPreview],
    quote_of: QuoteOf,
    *,
    tolerance_ticks: int,
    waived: Mapping[int, QuoteState],
) -> str:
    """Why the present quotes do not carry the legs on the screen; empty when they do.

    Args:
        legs: As they were priced.
        quote_of: Quotes of now.
        tolerance_ticks: How far the touch of a leg may move against it.
        waived: States that a person has been asked about, by token.
    """
    for leg in legs:
        words = _objection(leg, live_quote(leg, quote_of), tolerance_ticks, waived)
        if words:
            return f"leg {leg.index + 1}: {words}"
    return ""


def _objection(leg: LegPreview, live: Quote | None, tolerance_ticks: int, waived: Mapping[int, QuoteState]) -> str:
    if live is None:
        return "there is no quote of it any more"
    if live.state is not QuoteState.LIVE and live.state is not waived.get(live.token):
        return f"the quote is {STATE_WORDS[live.state]}, {age(live.age_s)} old"
    if live.state in NEVER_SENDS:
        return f"the quote is {STATE_WORDS[live.state]}"
    if leg.quote is None or leg.tick_size is None:
        return ""
    moved = adverse_move(leg.quote, live, leg.request.side)
    if moved is None:
        return "the other side of the book is empty" if leg.quote.touch(leg.request.side) is not None else ""
    if moved > tolerance_ticks * leg.tick_size:
        return f"the price moved {signed_price(moved)} against you"
    return ""


def leg_lines(legs: Sequence[LegPreview], quote_of: QuoteOf, width: int, glyphs: Glyphs) -> list[Line]:
    """A row a leg, in the order in which they are sent; on a narrow screen the quote is left out first."""
    room = width - STEP - SIDE - LOTS - UNITS - PRICE - QUOTE - 2
    name_width = min(NAME_WIDTH_MAX, max(NAME_WIDTH_LEAST, room))
    heads = (
        left("leg", STEP, glyphs),
        left("side", SIDE, glyphs),
        right("lots", LOTS),
        right("units", UNITS),
        "  ",
        left("contract", name_width, glyphs),
        right("price", PRICE),
        "  quote",
    )
    rows: list[Line] = [cut([("".join(heads), "muted")], width)]
    for leg in legs:
        live = live_quote(leg, quote_of)
        request = leg.request
        at = "market" if request.price is None else price(request.price, glyphs)
        cells = (
            left(f"{leg.index + 1} {leg.role}", STEP, glyphs),
            left(request.side.value, SIDE, glyphs),
            right(lots(request.quantity, leg.lot_size), LOTS),
            right(decimal_text(request.quantity, 0), UNITS),
            "  ",
            left(request.instrument.tradingsymbol, name_width, glyphs),
            right(at, PRICE),
        )
        state = STATE_WORDS[QuoteState.UNKNOWN if live is None else live.state]
        tone = "" if live is not None and live.state is QuoteState.LIVE else "attention"
        quote = (f"  {state}", tone)
        rows.append(cut([("".join(cells), ""), quote, (f" {age(live.age_s, glyphs)}" if live else "", "")], width))
    return rows


def margin_words(paths: MarginPaths, glyphs: Glyphs) -> tuple[str, ...]:
    """What is blocked after each step and at most, beside other ways; as the broker says."""
    chosen = paths.chosen
    walked = " > ".join(_money(step, glyphs) for step in chosen.after)
    words = [f"{walked}, peak {_money(chosen.peak, glyphs)}, as the broker says"]
    if paths.shorts_first is not None and paths.shorts_first.peak > chosen.peak:
        words.append(f"shorts first would peak at {_money(paths.shorts_first.peak, glyphs)}")
    if paths.cheapest is not None:
        order = ", ".join(str(at + 1) for at in paths.cheapest.order)
        words.append(f"in the order {order} it would peak at {_money(paths.cheapest.peak, glyphs)}")
    return tuple(words)


def _money(value: Decimal, glyphs: Glyphs) -> str:
    return money_exact(value, glyphs).lstrip("+")
