"""The title of the chain, the figures above it, and all its figures as a text to read."""

from __future__ import annotations

from engine.core.views import ChainHeader, ChainView
from workstation.formatting import (
    Glyphs,
    decimal_text,
    expiry_day,
    money_words,
    price,
    ratio,
    signed_percent,
    strike,
    time_to_expiry,
    volatility,
    volatility_points,
)
from workstation.presenters.lines import EMPTY, Line, Span, clean, cut, filled, width_of, wrapped
from workstation.presenters.names import HALTED, STATE_MARKS

PERCENT = 100.0
NAME_WIDTH = 15
WIDE_FROM = 110
"""From here spot and lot size have room."""
REASON_WIDTH_LEAST = 8
REASON_KEPT = 48
"""Cells of a reason that further figures leave free."""
SOURCES = {"parity": "black-76 on parity forward", "future": "black-76 on the future"}


def chain_title(header: ChainHeader, glyphs: Glyphs, *, short: bool) -> list[Line]:
    """The parts of the chain's title; ``short`` for 80 cells, where the figures have no line of their own."""
    label = f" {header.labels[0]}" if header.labels else ""
    halted: list[Line] = [((HALTED, "attention bold"),)] if header.halt else []
    left = time_to_expiry(header.seconds_to_expiry, glyphs, short=short)
    day = expiry_day(header.expiry, spaced=not short)
    if short:
        return [
            ((f"{header.underlying}{label} {day} {left}", "bold"),),
            *halted,
            ((f"fwd {forward_words(header, glyphs, words=False)}", ""),),
            ((f"IV {volatility(header.atm_volatility, glyphs)}", ""),),
            ((f"PCR oi {ratio(header.pcr_open_interest, glyphs)}", ""),),
        ]
    tail = "" if left == "expired" else " to expiry"
    source = SOURCES.get(header.forward_source, "no forward")
    name: Line = ((f"{header.underlying}{label} {day}", "bold"),)
    return [name, *halted, ((f"{left}{tail}", ""),), ((source, "muted"),)]


def chain_statistics(view: ChainView, width: int, glyphs: Glyphs) -> Line:
    """The figures above the chain; those that do not fit are left out from the right."""
    header = view.header
    move = ""
    if header.straddle is not None and header.forward:
        move = f" {glyphs.plus_minus}{decimal_text(header.straddle / header.forward * 100, 2)}%"
    items = [
        ("fwd", forward_words(header, glyphs, words=True)),
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
    spans = _joined(items, width, glyphs)
    if width_of(_joined(items, width * 2, glyphs)) <= width:
        # Why something is missing matters more than what else could be said.
        kept = min(len(header.reason), REASON_KEPT) + len(" | ") if header.reason else 0
        spans = _joined([*items, *_more(header, glyphs)], max(width - kept, width_of(spans)), glyphs)
    room = width - width_of(spans) - len(" | ")
    if header.reason and room > REASON_WIDTH_LEAST:
        spans += [(f" {glyphs.bar} ", "rule"), *cut(((clean(header.reason), "attention"),), room)]
    return filled(spans, width)


def figure_lines(view: ChainView, width: int, glyphs: Glyphs) -> list[Line]:
    """Every figure of the header with its name, then the reasons for those that are missing."""
    header = view.header
    share = ""
    if header.expected_move is not None and header.forward:
        share = f" ({decimal_text(header.expected_move / header.forward * PERCENT, 2)}%)"
    spot = price(header.spot, glyphs) if header.spot_source != "none" or header.spot is not None else glyphs.unknown
    exposure = _exposure(header, glyphs)
    if header.gamma_unknown:
        exposure += f", {header.gamma_unknown} options left out: their gamma is unknown"
    rows = [
        ("spot", f"{spot} {header.spot_source}".removesuffix(" none")),
        ("forward", forward_words(header, glyphs)),
        ("carry", signed_percent(_percent(header.carry), glyphs) + (" a year" if header.carry is not None else "")),
        ("ATM strike", strike(header.atm_strike, glyphs)),
        ("ATM IV", volatility(header.atm_volatility, glyphs)),
        ("straddle", price(header.straddle, glyphs)),
        ("expected move", f"{_move(header.expected_move, glyphs)}{share}, the straddle, one side"),
        ("one sigma", f"{_move(header.one_sigma_move, glyphs)}, by the ATM volatility, one side"),
        ("max pain", strike(header.max_pain, glyphs)),
        ("PCR oi, vol", f"{ratio(header.pcr_open_interest, glyphs)}   {ratio(header.pcr_volume, glyphs)}"),
        ("smile", _grade(header, glyphs)),
        ("risk reversal", f"{volatility_points(header.risk_reversal, glyphs)}, 25-delta call less put"),
        ("butterfly", f"{volatility_points(header.butterfly, glyphs)}, 25-delta wings less the middle"),
        ("call walls", _walls(header.call_walls, glyphs)),
        ("put walls", _walls(header.put_walls, glyphs)),
        ("GEX", f"{exposure}, rupees to hedge a move of 1%"),
        ("lot", str(header.lot_size)),
    ]
    lines: list[Line] = []
    for name, words in rows:
        first, *others = wrapped(words, max(1, width - NAME_WIDTH - 1))
        lines.append(((f" {name:<{NAME_WIDTH}}", "muted"), (first, "")))
        lines += [((" " * (NAME_WIDTH + 1), ""), (part, "")) for part in others]
    reasons = [header.halt, header.reason, f"smile: {header.smile_reason}" if header.smile_reason else ""]
    for reason in filter(None, reasons):
        lines += [EMPTY, *(((f" {part}", "attention"),) for part in wrapped(reason, max(1, width - 2)))]
    return lines


def _more(header: ChainHeader, glyphs: Glyphs) -> list[tuple[str, str]]:
    """What a wide line says besides."""
    return [
        ("1sd", _move(header.one_sigma_move, glyphs)),
        ("smile", _grade(header, glyphs)),
        ("RR", volatility_points(header.risk_reversal, glyphs, places=1)),
        ("GEX", _exposure(header, glyphs)),
        ("walls", f"{_first(header.call_walls, glyphs)} {_first(header.put_walls, glyphs)}"),
    ]


def _joined(items: list[tuple[str, str]], width: int, glyphs: Glyphs) -> list[Span]:
    """Names and figures with rules between, as many from the left as fit whole."""
    spans: list[Span] = []
    for name, value in items:
        piece: list[Span] = [(f" {glyphs.bar} " if spans else " ", "rule"), (f"{name} ", "muted"), (value, "")]
        if width_of([*spans, *piece]) > width:
            break
        spans += piece
    return spans


def forward_words(header: ChainHeader, glyphs: Glyphs, *, words: bool = True) -> str:
    """The forward with its grade, and with the name of its source when ``words`` are wanted."""
    if header.forward is None:
        return glyphs.unknown
    source = header.forward_source if words or not header.forward_grade else ""
    return " ".join(part for part in (decimal_text(header.forward, 1), source, header.forward_grade) if part)


def _percent(value: float | None) -> float | None:
    return None if value is None else value * PERCENT


def _move(value: float | None, glyphs: Glyphs) -> str:
    return glyphs.unknown if value is None else f"{glyphs.plus_minus}{decimal_text(value, 0)}"


def _grade(header: ChainHeader, glyphs: Glyphs) -> str:
    return header.smile_grade if header.smile_grade not in {"", "none"} else glyphs.unknown


def _exposure(header: ChainHeader, glyphs: Glyphs) -> str:
    """Gamma exposure in lakh or crore words with its sign; marked when options had to be left out."""
    value = header.gamma_exposure
    if value is None:
        return glyphs.unknown
    sign = "+" if value > 0 else ""
    return f"{sign}{money_words(value, glyphs)}{'p' if header.gamma_unknown else ''}"


def _first(walls: tuple[float, ...], glyphs: Glyphs) -> str:
    return strike(walls[0]) if walls else glyphs.unknown


def _walls(walls: tuple[float, ...], glyphs: Glyphs) -> str:
    return "   ".join(strike(wall) for wall in walls) if walls else glyphs.unknown
