"""The legs of one strategy, its title and its money. The parts shown add up to the totals shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.strategies import LegValue, StrategyValue
from engine.core.vocabulary import Mark, QuoteState
from workstation.formatting import (
    Glyphs,
    age,
    clock_time,
    exact,
    expiry_day,
    full_time,
    india,
    known,
    money,
    money_exact,
    price,
    price_cell,
    quantity,
    round_parts,
    rounded,
    time_to_expiry,
)
from workstation.presenters.lines import Line, Span, clean, clip, filled, left, right, width_of
from workstation.presenters.money_axis import tone_of
from workstation.presenters.names import STATE_MARKS, STATE_WORDS, contract_name

STATE_GAP = 2
QUOTES_FROM_WIDTH = 110
"""From here bid, ask and the state in words have room; below it the state is the mark after the price."""
TOTAL_ROW = 0
"""The row of the sum; legs are numbered from 1."""


class LegColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Widths of the table, in cells."""

    width: int
    leg: int = 6
    lots: int = 7
    contract: int = 24
    price: int = 10
    gross: int = 11
    delta: int = 8
    theta: int = 10
    quotes: bool = True
    """Whether bid, ask and the state in words are there."""


def leg_columns(width: int) -> LegColumns:
    """Choose columns for ``width`` cells."""
    if width >= QUOTES_FROM_WIDTH:
        return LegColumns(width=width)
    return LegColumns(width=width, leg=5, lots=6, contract=22, price=9, delta=7, theta=8, quotes=False)


class LegMarket(msgspec.Struct, frozen=True, kw_only=True):
    """What the market says of a leg's contract now; ``None`` where it says nothing."""

    bid: float | None = None
    ask: float | None = None
    state: QuoteState = QuoteState.UNKNOWN
    age_s: float | None = None
    delta: float | None = None
    """Of one unit."""
    theta: float | None = None
    """Of one unit, per calendar day."""


class LegRow(msgspec.Struct, frozen=True):
    """One line and the number of its leg; ``TOTAL_ROW`` for the sum."""

    row_id: int
    line: Line


def strategy_title(
    value: StrategyValue, underlying: str, seconds_to_expiry: float | None, now: datetime, glyphs: Glyphs
) -> list[Line]:
    """Number and name, what it is on and how long that lasts, since when it is there."""
    strategy = value.strategy
    name = f"Strategy #{strategy.number} {clean(strategy.name)}{' (default)' if strategy.is_default else ''}"
    parts: list[Line] = [((name, "title"),)]
    if underlying:
        left_words = time_to_expiry(seconds_to_expiry, glyphs, short=True) if known(seconds_to_expiry) else ""
        parts.append(((f"{underlying}{f', {left_words}' if left_words else ''}", "bold"),))
    opened = strategy.created_at
    same_day = india(opened).date() == india(now).date()
    words = clock_time(opened) if same_day else full_time(opened).removesuffix(" IST")
    return [*parts, ((f"opened {words}", "muted"),)]


def money_line(value: StrategyValue, mark: Mark, extremes: Sequence[str], width: int, glyphs: Glyphs) -> Line:
    """Money at the chosen mark, gross and net, and what leaving now would leave; then what it is made of.

    Realised and open add up to gross, gross and charges to net. What does not fit is left out from the right; of the
    ``extremes`` of the day the first form that fits is taken.
    """
    part = "p" if value.partial.get(mark) else ""
    gross = value.profit.get(mark)
    bar: Span = (f" {glyphs.bar} ", "rule")
    charges = None if value.charges_paid is None else -value.charges_paid
    opened: Decimal | None = None
    realised: Decimal | None = value.realised
    shown_gross, shown_net = gross, value.net.get(mark)
    if gross is not None:
        (realised, opened), shown_gross = round_parts([value.realised, gross - value.realised])
        if charges is not None and shown_net is not None:
            shown_net = rounded(shown_net, 0)
            charges = shown_net - shown_gross
    pieces: list[list[Span]] = [
        [(f" Gross {mark.value} ", "bold"), _figure(shown_gross, part, glyphs)],
        [("  net ", "bold"), _figure(shown_net, part, glyphs)],
        [("  exit net ", "muted"), _figure(value.net_at_exit, _mark_of(value, Mark.EXIT), glyphs)],
        [bar, ("realised ", "muted"), _figure(realised, "", glyphs)],
        [("  open ", "muted"), _figure(opened, part, glyphs)],
        [("  charges ", "muted"), _figure(charges, "", glyphs)],
    ]
    spans: list[Span] = []
    for piece in pieces:
        if width_of([*spans, *piece]) > width:
            return filled(spans, width)
        spans += piece
    fitting = (words for words in extremes if width_of([*spans, bar, (words, "")]) <= width)
    words = next(fitting, "")
    return filled([*spans, bar, (words, "muted")] if words else spans, width)


def legs_heading(mark: Mark, columns: LegColumns, glyphs: Glyphs) -> Line:
    """Column headings; the price and the money are those of ``mark``."""
    cells = [
        (" leg".ljust(columns.leg), ""),
        ("lots".rjust(columns.lots), ""),
        ("  contract".ljust(columns.contract), ""),
        ("in".rjust(columns.price), ""),
    ]
    if columns.quotes:
        cells += [("bid".rjust(columns.price), ""), ("ask".rjust(columns.price), "")]
    cells += [
        (f"{mark.value.rjust(columns.price)} ", "bold"),
        (f"{'gross'.rjust(columns.gross - 1)} ", "bold"),
        (f"{glyphs.delta} {glyphs.rupee}/pt".rjust(columns.delta), ""),
        (f"{glyphs.theta} {glyphs.rupee}/d".rjust(columns.theta), ""),
    ]
    if columns.quotes:
        cells.append((" " * STATE_GAP + "state", ""))
    return filled([(text, f"header {tone}".strip()) for text, tone in cells], columns.width, "header")


def leg_rows(
    value: StrategyValue,
    markets: Mapping[int, LegMarket],
    mark: Mark,
    columns: LegColumns,
    glyphs: Glyphs,
    *,
    as_units: bool,
    find: Callable[[InstrumentKey], Instrument | None],
) -> list[LegRow]:
    """A row per leg, closed ones too, and the sum; ``markets`` is by token."""
    legs = value.legs
    gross, total = round_parts([leg.profit.get(mark) or Decimal(0) for leg in legs])
    deltas = _shown([_greek(leg, markets, "delta") for leg in legs], value.delta)
    thetas = _shown([_greek(leg, markets, "theta") for leg in legs], value.theta)
    rows = []
    for place, leg in enumerate(legs):
        shown = gross[place] if leg.profit.get(mark) is not None else None
        market = markets.get(leg.leg.token, LegMarket())
        spans = [
            *_head(leg, columns, as_units=as_units, find=find, glyphs=glyphs),
            *_prices(leg, market, mark, columns, glyphs),
            (right(f"{money(shown, glyphs)} ", columns.gross), tone_of(shown)),
            (right(money(deltas[place], glyphs) if _is_open(leg) else "", columns.delta), ""),
            (right(money(thetas[place], glyphs) if _is_open(leg) else "", columns.theta), ""),
        ]
        if columns.quotes:
            words, tone = leg_state(leg, market, mark, glyphs)
            room = columns.width - width_of(spans) - STATE_GAP
            spans += [(" " * STATE_GAP, ""), (clip(words, room, glyphs), tone)]
        rows.append(LegRow(leg.leg.number, filled(spans, columns.width)))
    rows.append(LegRow(TOTAL_ROW, _total(value, total, mark, columns, glyphs)))
    return rows


def leg_state(leg: LegValue, market: LegMarket, mark: Mark, glyphs: Glyphs) -> tuple[str, str]:
    """How far the leg's figures may be trusted, in a word, and its tone."""
    if not _is_open(leg):
        return "closed", "muted"
    if leg.profit.get(mark) is None:
        return clean(leg.reason) or f"no {mark.value} price", "attention"
    words = STATE_WORDS[market.state]
    if market.age_s is not None and known(market.age_s):
        words = f"{words} {age(market.age_s, glyphs)}"
    return words, "muted" if market.state is QuoteState.LIVE else "attention"


def leg_details(leg: LegValue, market: LegMarket, name: str, glyphs: Glyphs) -> list[str]:
    """Everything known of a leg, in sentences, money with paise."""
    holding = leg.leg.holding
    words = [f"{leg.leg.strategy}.{leg.leg.number} {name} {leg.leg.product.value}"]
    if holding.signed_quantity:
        words.append(f"{holding.signed_quantity:+d} units in at {price(holding.average_price, glyphs)} on average.")
    else:
        words.append("Closed.")
    words.append(
        f"Bought {holding.bought_quantity} for {price(holding.bought_value, glyphs)}, "
        f"sold {holding.sold_quantity} for {price(holding.sold_value, glyphs)}."
    )
    words.append(f"Realised {money_exact(holding.realised, glyphs)}.")
    words += [
        f"At {mark.value} {price(leg.marks.get(mark), glyphs)}: {money_exact(leg.profit.get(mark), glyphs)}."
        for mark in Mark
        if holding.signed_quantity
    ]
    if holding.signed_quantity:
        words.append(
            f"Bid {price(market.bid, glyphs)}, ask {price(market.ask, glyphs)}: "
            f"{STATE_WORDS[market.state]} {age(market.age_s, glyphs)}."
        )
    return [*words, *([clean(leg.reason)] if leg.reason else [])]


def leg_reasons(value: StrategyValue, markets: Mapping[int, LegMarket]) -> list[str]:
    """Which legs have no figure or an old one, and why."""
    reasons = []
    for leg in value.legs:
        if not _is_open(leg):
            continue
        name = f"{leg.leg.strategy}.{leg.leg.number}"
        market = markets.get(leg.leg.token, LegMarket())
        if leg.reason:
            reasons.append(f"{name}: {clean(leg.reason)}")
        if market.state is not QuoteState.LIVE:
            reasons.append(f"{name}: its quote is {STATE_WORDS[market.state]}.")
        elif market.delta is None:
            reasons.append(f"{name}: there is no delta, because its volatility or its forward is not known.")
    return [*reasons, *(clean(note) for note in value.charge_notes)]


def quotes_words(value: StrategyValue, markets: Mapping[int, LegMarket]) -> str:
    """``quotes STALE`` while pictures rest on quotes that are not alive; empty when all are."""
    states = {
        markets.get(leg.leg.token, LegMarket()).state for leg in value.legs if leg.leg.holding.signed_quantity
    } - {QuoteState.LIVE}
    return f"quotes {', '.join(STATE_WORDS[state] for state in sorted(states))}" if states else ""


def underlying_words(contracts: Sequence[Instrument]) -> str:
    """``NIFTY 19 JAN``, with every expiry that is held; empty for none."""
    names = sorted({contract.name for contract in contracts})
    days = sorted({contract.expiry for contract in contracts if contract.expiry is not None})
    if not names:
        return ""
    return " ".join([" ".join(names), *(expiry_day(day, spaced=True) for day in days)])


def _figure(value: Decimal | None, sign: str, glyphs: Glyphs) -> Span:
    return (f"{money(value, glyphs)}{sign if value is not None else ''}", tone_of(value))


def _mark_of(value: StrategyValue, mark: Mark) -> str:
    """``p`` where legs are left out."""
    return "p" if value.partial.get(mark) else ""


def _is_open(leg: LegValue) -> bool:
    return bool(leg.leg.holding.signed_quantity)


def _greek(leg: LegValue, markets: Mapping[int, LegMarket], name: str) -> float | None:
    """Of the whole leg; zero for a closed one."""
    if not _is_open(leg):
        return 0.0
    market = markets.get(leg.leg.token)
    unit: float | None = None if market is None else getattr(market, name)
    if unit is None or not known(unit):
        return None
    return leg.leg.holding.signed_quantity * float(leg.leg.multiplier) * unit


def _shown(parts: Sequence[float | None], total: float | None) -> list[Decimal | None]:
    """Whole rupees of each; where they differ from the shown total by rounding alone, the smallest takes it."""
    shown = [None if part is None else rounded(part, 0) for part in parts]
    figures = [part for part in shown if part is not None]
    if total is None or not known(total) or len(figures) < len(shown) or not shown:
        return shown
    difference = rounded(total, 0) - sum(figures, Decimal(0))
    exact_sum = sum((exact(part) for part in parts if part is not None), Decimal(0))
    if difference and rounded(exact_sum, 0) == rounded(total, 0):
        smallest = min(range(len(parts)), key=lambda place: abs(parts[place] or 0.0))
        shown[smallest] = (shown[smallest] or Decimal(0)) + difference
    return shown


def _head(
    leg: LegValue,
    columns: LegColumns,
    *,
    as_units: bool,
    find: Callable[[InstrumentKey], Instrument | None],
    glyphs: Glyphs,
) -> list[Span]:
    holding = leg.leg.holding
    instrument = find(leg.leg.instrument)
    lot_size = instrument.lot_size if instrument is not None else None
    held = quantity(holding.signed_quantity, lot_size, as_units=as_units, sign=True)
    is_open = _is_open(leg)
    tone = "" if is_open else "muted"
    entry = price_cell(holding.average_price, columns.price, glyphs) if is_open else right("closed", columns.price)
    return [
        (left(f" {leg.leg.strategy}.{leg.leg.number}", columns.leg, glyphs), tone),
        (right(held, columns.lots), "bold" if is_open else tone),
        (f"  {left(contract_name(instrument, leg.leg.instrument), columns.contract - 2, glyphs)}", tone),
        (entry, tone),
    ]


def _prices(leg: LegValue, market: LegMarket, mark: Mark, columns: LegColumns, glyphs: Glyphs) -> list[Span]:
    """Bid and ask where there is room, and the price of the mark, with what is wrong with them."""
    if not _is_open(leg):
        return [(" " * (columns.price * (3 if columns.quotes else 1) + 1), "")]
    tone = "" if market.state is QuoteState.LIVE else "old"
    spans: list[Span] = []
    if columns.quotes:
        spans = [(price_cell(figure, columns.price, glyphs), tone) for figure in (market.bid, market.ask)]
    sign = STATE_MARKS[market.state] if leg.marks.get(mark) is not None else " "
    return [*spans, (price_cell(leg.marks.get(mark), columns.price, glyphs), tone), (sign, tone)]


def _total(value: StrategyValue, total: Decimal, mark: Mark, columns: LegColumns, glyphs: Glyphs) -> Line:
    prices = 4 if columns.quotes else 2
    before = columns.leg + columns.lots + columns.contract + prices * columns.price + 1
    part = _mark_of(value, mark) or " "
    left_out = value.partial.get(mark, ())
    words = f" all without {', '.join(left_out)}" if left_out else " all"
    spans: list[Span] = [
        (left(words, before, glyphs), "attention" if left_out else "bold"),
        (right(f"{money(total, glyphs)}{part}", columns.gross), f"bold {tone_of(total)}".strip()),
        (right(money(value.delta, glyphs), columns.delta), "bold"),
        (right(money(value.theta, glyphs), columns.theta), "bold"),
    ]
    return filled(spans, columns.width)
