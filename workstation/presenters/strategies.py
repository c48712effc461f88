"""Strategies with their money on each mark, gross and net, and their legs and charges when unfolded.

The shown parts add up to the shown total.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.strategies import LegValue, StrategyValue
from engine.core.vocabulary import Mark
from workstation.formatting import Glyphs, money, money_exact, price, quantity, round_parts
from workstation.presenters.lines import Line, Span, clean, filled, left, right
from workstation.presenters.names import contract_name

RowId = tuple[str, int, int]
"""``("strategy", number, 0)``, ``("leg", strategy, leg)``, ``("charges", strategy, 0)`` or ``("total", 0, 0)``:
identities, never places."""

MONEY_WIDTH = 12
GREEK_WIDTH = 9
LEGS_WIDTH = 4
NUMBER_WIDTH = 4
NAME_WIDTH_LEAST = 14
NAME_WIDTH_MOST = 28
NET_FROM_WIDTH = 90
REALISED_FROM_WIDTH = 110
TOTAL: RowId = ("total", 0, 0)


class StrategyRow(msgspec.Struct, frozen=True):
    """One line and what it is about."""

    row_id: RowId
    line: Line


class StrategyColumns(msgspec.Struct, frozen=True):
    """Widths for a pane."""

    width: int
    name: int
    net: bool
    realised: bool
    greeks: bool = True


def strategy_columns(width: int) -> StrategyColumns:
    """Choose columns for ``width`` cells; Greeks leave before a figure would be cut."""
    net, realised = width >= NET_FROM_WIDTH, width >= REALISED_FROM_WIDTH
    used = NUMBER_WIDTH + LEGS_WIDTH + (3 + net + realised) * MONEY_WIDTH
    greeks = used + 2 * GREEK_WIDTH + NAME_WIDTH_LEAST <= width
    used += (2 * GREEK_WIDTH if greeks else 0) + 2
    return StrategyColumns(width, min(max(width - used, NAME_WIDTH_LEAST), NAME_WIDTH_MOST), net, realised, greeks)


def rows_wanted(strategies: Sequence[StrategyValue], expanded: frozenset[int]) -> int:
    """Rows that show everything besides the total: a strategy, and unfolded its legs and its charges."""
    return sum(1 + (len(value.legs) + 1 if value.strategy.number in expanded else 0) for value in strategies)


def strategies_heading(mark: Mark, columns: StrategyColumns, glyphs: Glyphs) -> Line:
    """Column headings; the mark that the status line counts by is bold."""
    spans: list[Span] = [
        (" #".ljust(NUMBER_WIDTH), "header"),
        ("Strategy".ljust(columns.name), "header"),
        ("Legs".rjust(LEGS_WIDTH), "header"),
    ]
    spans += [
        (other.value.capitalize().rjust(MONEY_WIDTH), "header bold" if other is mark else "header") for other in Mark
    ]
    if columns.net:
        spans.append((f"Net {mark.value}".rjust(MONEY_WIDTH), "header bold"))
    if columns.realised:
        spans.append(("Realised".rjust(MONEY_WIDTH), "header"))
    greeks = (f"{glyphs.delta} {glyphs.rupee}/pt", f"{glyphs.theta} {glyphs.rupee}/d")
    spans += [(text.rjust(GREEK_WIDTH), "header") for text in greeks if columns.greeks]
    return filled(spans, columns.width, "header")


def strategy_rows(
    strategies: Sequence[StrategyValue],
    columns: StrategyColumns,
    glyphs: Glyphs,
    *,
    expanded: frozenset[int],
    as_units: bool,
    find: Callable[[InstrumentKey], Instrument | None],
    mark: Mark = Mark.LAST,
) -> list[StrategyRow]:
    """A row per strategy, rows for the legs and charges of those unfolded, and the total; net is shown on ``mark``."""
    shown = {one: round_parts([value.profit.get(one, Decimal(0)) for value in strategies]) for one in Mark}
    realised = round_parts([value.realised for value in strategies])
    net, net_total = _net_parts(strategies, mark)
    rows: list[StrategyRow] = []
    for place, value in enumerate(strategies):
        number = int(value.strategy.number)
        name = clean(value.strategy.name) + (" (default)" if value.strategy.is_default else "")
        money_cells = [(shown[one][0][place], bool(value.partial.get(one))) for one in Mark]
        spans = [
            *_head(f"{'-' if number in expanded else ' '}{number}", name, str(value.open_legs), columns, glyphs),
            *_money(money_cells, glyphs),
            *_net(net[place], bool(value.partial.get(mark)), columns, glyphs),
            *_realised(realised[0][place], columns, glyphs),
            *_greeks(value.delta, value.theta, columns, glyphs),
        ]
        rows.append(StrategyRow(("strategy", number, 0), filled(spans, columns.width)))
        if number in expanded:
            rows += [_leg_row(number, leg, columns, glyphs, as_units=as_units, find=find) for leg in value.legs]
            rows.append(_charges_row(value, columns, glyphs))
    net_cell = (net_total, any(value.partial.get(mark) for value in strategies))
    rows.append(_total_row(strategies, shown, realised[1], columns, glyphs, net=net_cell))
    return rows


def _total_row(
    strategies: Sequence[StrategyValue],
    shown: dict[Mark, tuple[tuple[Decimal, ...], Decimal]],
    realised: Decimal,
    columns: StrategyColumns,
    glyphs: Glyphs,
    *,
    net: tuple[Decimal | None, bool],
) -> StrategyRow:
    legs = sum(value.open_legs for value in strategies)
    partial = {mark: any(value.partial.get(mark) for value in strategies) for mark in Mark}
    spans = [
        *_head("", "all", str(legs), columns, glyphs),
        *_money([(shown[mark][1], partial[mark]) for mark in Mark], glyphs),
        *_net(*net, columns, glyphs),
        *_realised(realised, columns, glyphs),
        *_greeks(
            _sum([value.delta for value in strategies]), _sum([value.theta for value in strategies]), columns, glyphs
        ),
    ]
    return StrategyRow(TOTAL, filled([(text, f"{tone} bold".strip()) for text, tone in spans], columns.width))


def _head(sign: str, name: str, legs: str, columns: StrategyColumns, glyphs: Glyphs) -> list[Span]:
    return [
        (sign.ljust(NUMBER_WIDTH), ""),
        (left(name, columns.name, glyphs), ""),
        (legs.rjust(LEGS_WIDTH), ""),
    ]


def _money(cells: Sequence[tuple[Decimal | None, bool]], glyphs: Glyphs) -> list[Span]:
    spans = []
    for value, partial in cells:
        text = money(value, glyphs) + ("p" if partial and value is not None else " ")
        spans.append((right(text, MONEY_WIDTH), _tone(value)))
    return spans


def _net_parts(strategies: Sequence[StrategyValue], mark: Mark) -> tuple[Sequence[Decimal | None], Decimal | None]:
    """Net money as it is shown, and its sum; one that is not known makes the sum unknown."""
    values = [value.net.get(mark) for value in strategies]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        return round_parts(known)
    return values, None


def _net(value: Decimal | None, partial: bool, columns: StrategyColumns, glyphs: Glyphs) -> list[Span]:
    return _money([(value, partial)], glyphs) if columns.net else []


def _realised(value: Decimal, columns: StrategyColumns, glyphs: Glyphs) -> list[Span]:
    return [(right(money(value, glyphs), MONEY_WIDTH), _tone(value))] if columns.realised else []


def _greeks(delta: float | None, theta: float | None, columns: StrategyColumns, glyphs: Glyphs) -> list[Span]:
    if not columns.greeks:
        return []
    return [(right(money(value, glyphs), GREEK_WIDTH), "") for value in (delta, theta)]


def _leg_row(
    strategy: int,
    value: LegValue,
    columns: StrategyColumns,
    glyphs: Glyphs,
    *,
    as_units: bool,
    find: Callable[[InstrumentKey], Instrument | None],
) -> StrategyRow:
    leg = value.leg
    instrument = find(leg.instrument)
    lot_size = instrument.lot_size if instrument is not None else None
    held = quantity(leg.holding.signed_quantity, lot_size, as_units=as_units, sign=True)
    cells = [(value.profit.get(mark), False) for mark in Mark]
    label = f"   {strategy}.{leg.number}"
    name = f"{held} {contract_name(instrument, leg.instrument)}"
    head_width = NUMBER_WIDTH + columns.name + LEGS_WIDTH
    spans: list[Span] = [(left(f"{label:<8}{name}", head_width, glyphs), "muted"), *_money(cells, glyphs)]
    if columns.net:
        spans.append((" " * MONEY_WIDTH, ""))
    if columns.realised:
        spans.append((right(money(leg.holding.realised, glyphs), MONEY_WIDTH), _tone(leg.holding.realised)))
    average = price(leg.holding.average_price, glyphs) if leg.holding.signed_quantity else "flat"
    tail = f"  avg {average} {leg.product.value}"
    if value.reason:
        tail += f"  {clean(value.reason)}"
    spans.append((tail, "muted"))
    return StrategyRow(("leg", strategy, leg.number), filled(spans, columns.width))


def _charges_row(value: StrategyValue, columns: StrategyColumns, glyphs: Glyphs) -> StrategyRow:
    """What it has paid, what leaving would pay, what would be left; and why something of that is not known."""
    spans: list[Span] = [(f"{'':<{NUMBER_WIDTH + 4}}charges paid ", "muted"), (_paid(value.charges_paid, glyphs), "")]
    spans += [("  to leave now ", "muted"), (_paid(value.exit_charges, glyphs), "")]
    spans += [("  net then ", "muted"), (money_exact(value.net_at_exit, glyphs), _tone(value.net_at_exit))]
    if value.charge_notes:
        spans.append((f"  {clean(' '.join(value.charge_notes))}", "muted"))
    return StrategyRow(("charges", int(value.strategy.number), 0), filled(spans, columns.width))


def _paid(value: Decimal | None, glyphs: Glyphs) -> str:
    return money_exact(value, glyphs).lstrip("+")


def _tone(value: Decimal | None) -> str:
    if value is None or value == 0:
        return ""
    return "gain" if value > 0 else "loss"


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum; unknown when any part is."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
