"""Contracts and quote states in a trader's words."""

from __future__ import annotations

from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.vocabulary import InstrumentKind, QuoteState
from workstation.formatting import Glyphs, expiry_day, strike

STATE_MARKS = {
    QuoteState.UNKNOWN: " ",
    QuoteState.LIVE: " ",
    QuoteState.STALE: "~",
    QuoteState.FROZEN: "=",
    QuoteState.CROSSED: "x",
    QuoteState.ONE_SIDED: "|",
    QuoteState.CLOSED: "=",
}
"""The mark between bid and ask; an unknown quote shows by having no figures."""

HALTED = "HALTED"
"""A market that may stand still by order of the exchange: a state of the market, never of a quote or of the feed."""
STATE_WORDS = {
    QuoteState.UNKNOWN: "NO QUOTE",
    QuoteState.LIVE: "LIVE",
    QuoteState.STALE: "STALE",
    QuoteState.FROZEN: "FROZEN",
    QuoteState.CROSSED: "CROSSED",
    QuoteState.ONE_SIDED: "ONE-SIDED",
    QuoteState.CLOSED: "CLOSED",
}

NEVER_SENDS = frozenset({QuoteState.UNKNOWN, QuoteState.STALE, QuoteState.CLOSED})
"""On these a new order is never sent from a dialog, however often ``y`` is pressed."""

IV_REASONS = (
    "",
    "no price",
    "at or below intrinsic value",
    "above the most it can cost",
    "no time left",
    "impossible input",
    "the price is too old",
    "no forward",
    "not solved",
)
"""Why a volatility is missing, by the code of ``ChainColumns.iv_reason``; a test holds it to the kernel's own list."""


IV_INPUTS = ("", "mid", "last")
"""Which price a volatility was taken from, by the code of ``ChainColumns.iv_input``."""


def iv_input(code: int) -> str:
    """The price behind a volatility, in a word; empty when there is none."""
    return IV_INPUTS[code] if 0 <= code < len(IV_INPUTS) else ""


def state_of(code: int) -> QuoteState:
    """The state of a column's code; a code of no state is UNKNOWN, never LIVE."""
    try:
        return QuoteState(code)
    except ValueError:
        return QuoteState.UNKNOWN


def iv_reason(code: int) -> str:
    """Why a volatility is missing, in words."""
    return IV_REASONS[code] if 0 <= code < len(IV_REASONS) else "unknown reason"


def contract_name(instrument: Instrument | None, key: InstrumentKey) -> str:
    """``NIFTY 01DEC 24400PE``; the broker's symbol until the instrument has been looked up."""
    if instrument is None or instrument.expiry is None:
        return key.tradingsymbol
    day = expiry_day(instrument.expiry)
    if instrument.kind is InstrumentKind.FUTURE or instrument.strike is None:
        return f"{instrument.name} {day} {instrument.kind.value}"
    return f"{instrument.name} {day} {strike(instrument.strike, group=False)}{instrument.kind.value}"


def price_state_mark(state: QuoteState, glyphs: Glyphs) -> str:
    """The mark after a single figure; the unknown sign stands for the figure itself."""
    return glyphs.unknown if state is QuoteState.UNKNOWN else STATE_MARKS[state].strip()
