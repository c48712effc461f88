"""The title of the chain and the figures above it."""

from __future__ import annotations

from engine.core.views import ChainHeader, ChainView
from workstation.formatting import (
    Glyphs,
    decimal_text,
    expiry_day,
    price,
    ratio,
    strike,
    time_to_expiry,
    volatility,
)
from workstation.presenters.lines import Line, Span, clean, cut, filled, width_of
from workstation.presenters.names import STATE_MARKS

WIDE_FROM = 110
"""From here spot and lot size have room."""
REASON_WIDTH_LEAST = 8
SOURCES = {"parity": "black-76 on parity forward", "future": "black-76 on the future"}


def chain_title(header: ChainHeader, glyphs: Glyphs, *, short: bool) -> list[Line]:
    """The parts of the chain's title; ``short`` for 80 cells, where the figures have no line of their own."""
    label = f" {header.labels[0]}" if header.labels else ""
    left = time_to_expiry(header.seconds_to_expiry, glyphs, short=short)
    day = expiry_day(header.expiry, spaced=not short)
    if short:
        return [
            ((f"{header.underlying}{label} {day} {left}", "bold"),),
            ((f"fwd {_forward(header, glyphs, words=False)}", ""),),
            ((f"IV {volatility(header.atm_volatility, glyphs)}", ""),),
            ((f"PCR oi {ratio(header.pcr_open_interest, glyphs)}", ""),),
        ]
    tail = "" if left == "expired" else " to expiry"
    source = SOURCES.get(header.forward_source, "no forward")
    return [((f"{header.underlying}{label} {day}", "bold"),), ((f"{left}{tail}", ""),), ((source, "muted"),)]


def chain_statistics(view: ChainView, width: int, glyphs: Glyphs) -> Line:
    """The figures above the chain; those that do not fit are left out from the right."""
    header = view.header
    move = ""
    if header.straddle is not None and header.forward:
        move = f" {glyphs.plus_minus}{decimal_text(header.straddle / header.forward * 100, 2)}%"
    items = [
        ("fwd", _forward(header, glyphs, words=True)),
        ("straddle", f"{price(header.straddle, glyphs)}{move}"),
        ("PCR oi", ratio(header.pcr_open_interest, glyphs)),
        ("pain", strike(header.max_pain, glyphs)),
        ("IV", volatility(header.atm_volatility, glyphs)),
        ("PCR vol", ratio(header.pcr_volume, glyphs)),
    ]
    if width > WIDE_FROM:
        spot = price(header.spot, glyphs) + (STATE_MARKS[header.spot_state].strip() if header.spot is not None else "")
        items.insert(0, ("spot", spot))
        items.append(("lot", str(header.lot_size)))
    spans: list[Span] = []
    for name, value in items:
        piece: list[Span] = [(f" {glyphs.bar} " if spans else " ", "rule"), (f"{name} ", "muted"), (value, "")]
        if width_of([*spans, *piece]) > width:
            break
        spans += piece
    room = width - width_of(spans) - len(" | ")
    if header.reason and room > REASON_WIDTH_LEAST:
        spans += [(f" {glyphs.bar} ", "rule"), *cut(((clean(header.reason), "attention"),), room)]
    return filled(spans, width)


def _forward(header: ChainHeader, glyphs: Glyphs, *, words: bool) -> str:
    if header.forward is None:
        return glyphs.unknown
    source = header.forward_source if words or not header.forward_grade else ""
    return " ".join(part for part in (decimal_text(header.forward, 1), source, header.forward_grade) if part)
