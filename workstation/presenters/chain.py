"""The chain as lines: one per strike, painted only when looked at.

The view's arrays are read while painting. What the frame must repaint is said by ``accept`` and ``fade``: rows that
the engine names as changed, rows whose state, position or working orders differ, and rows whose flash has ended.
"""

from __future__ import annotations

import numpy as np

from engine.core.views import ChainColumns, ChainView
from engine.core.vocabulary import InstrumentKind, QuoteState
from workstation.formatting import Glyphs, known, price_cell, price_width, quantity, strike, volatility
from workstation.presenters.chain_columns import IV_WIDTH, ChainLayout, ColumnSet, ColumnWidths, chain_layout
from workstation.presenters.flashes import CALL_ASK, CALL_BID, PUT_ASK, PUT_BID, Flashes
from workstation.presenters.lines import Line, Span, filled, merged, right, spread, toned, width_of
from workstation.presenters.names import STATE_MARKS, state_of

OLD_STATES = frozenset({QuoteState.STALE, QuoteState.FROZEN, QuoteState.CLOSED, QuoteState.CROSSED})
FOOTER_ITEMS_MAX = 12
"""Own contracts outside the window that the last line considers, nearest first."""


class ChainRows:
    """Turns the newest picture of one chain into lines."""

    def __init__(self, glyphs: Glyphs, flash_s: float) -> None:
        """Flashes last ``flash_s`` seconds."""
        self._glyphs = glyphs
        self._flashes = Flashes(flash_s)
        self.view: ChainView | None = None
        self.layout: ChainLayout = chain_layout(0, ColumnWidths(), glyphs)
        self.as_units = False
        self.columns = ColumnSet.TRADE

    def __len__(self) -> int:
        """How many strikes there are."""
        return 0 if self.view is None else len(self.view.strikes)

    def clear(self) -> None:
        """Forget the chain."""
        self.view = None

    def accept(self, view: ChainView, now: float) -> set[int] | None:
        """Take a newer picture; the rows to repaint, or ``None`` for all of them."""
        before = self.view
        self.view = view
        if before is None or before.key != view.key or not np.array_equal(before.strikes, view.strikes):
            self._flashes.reset(view)
            return None
        self._flashes.accept(view, now)
        changed = {int(row) for row in view.changed if 0 <= row < len(view.strikes)}
        for old, new in ((before.calls, view.calls), (before.puts, view.puts)):
            differs = (old.state != new.state) | (old.position != new.position) | (old.working != new.working)
            changed.update(int(row) for row in np.flatnonzero(differs))
        if before.header.atm_strike != view.header.atm_strike or before.header.forward != view.header.forward:
            changed.update(self._moved_past(before, view))
        if self.layout.walls:
            changed.update(self._walls_moved(before, view))
        return changed

    def fade(self, now: float) -> set[int]:
        """Rows whose flash ended."""
        return set() if self.view is None else {int(row) for row in self._flashes.faded(now)}

    @property
    def atm_row(self) -> int | None:
        """The row nearest to the ATM strike; ``None`` while that is unknown."""
        if self.view is None or self.view.header.atm_strike is None or not len(self.view.strikes):
            return None
        return int(abs(self.view.strikes - self.view.header.atm_strike).argmin())

    def arrange(self, width: int, first: int, last: int) -> bool:
        """Choose columns for ``width`` and the rows ``first`` to ``last``; whether the layout changed."""
        layout = chain_layout(width, self._widths(first, last), self._glyphs, self.columns)
        changed = layout != self.layout
        self.layout = layout
        return changed

    def heading(self) -> Line:
        """The column headings."""
        widths, outer = self.layout.widths, self.layout.outer
        call = "".join(f"{right(figure.heading, figure.width)} " for figure in outer)
        put = "".join(f" {right(figure.heading, figure.width)}" for figure in reversed(outer))
        own = "Pos".rjust(widths.position)
        bid, ask, mid = (name.rjust(widths.price) for name in ("Bid", "Ask", "Mid"))
        prices = f"{mid} " if self.layout.mid else f"{bid} {ask}"
        middle = f" {'Strike'.rjust(widths.strike)} {('Wall' if self.layout.walls else 'IV').rjust(IV_WIDTH)} "
        text = f" {call}{prices} {own}{middle}{own} {prices}{put} "
        return filled(((text, "header"),), self.layout.width, "header")

    def row(self, row: int, *, cursor: InstrumentKind | None = None, active: bool = False) -> Line:
        """One strike. ``cursor`` is the side the cursor is on, ``active`` whether keys act here."""
        view = self.view
        if view is None or not 0 <= row < len(view.strikes):
            return filled((), self.layout.width)
        at_money = row == self.atm_row
        edge = "@" if at_money else " "
        on_call, on_put = cursor is InstrumentKind.CALL, cursor is InstrumentKind.PUT
        beside = "beside" if active else ""
        spans: list[Span] = [(edge, "bold")]
        spans += self._side(view, view.calls, row, InstrumentKind.CALL, beside if on_call else "")
        centre = "cursor" if cursor and active else "bold" if cursor or at_money else ""
        spans += [
            ("<" if on_call else " ", "bold"),
            (right(strike(float(view.strikes[row])), self.layout.widths.strike), centre),
            (" ", ""),
            self._centre(view, row),
            (">" if on_put else " ", "bold"),
        ]
        spans += self._side(view, view.puts, row, InstrumentKind.PUT, beside if on_put else "")
        spans.append((edge, "bold"))
        line = filled(spans, self.layout.width)
        return merged(toned(line, "atm") if at_money else line)

    def footer(self, first: int, count: int) -> Line:
        """Own contracts outside the rows shown, and how much of the chain is seen and alive."""
        view, width = self.view, self.layout.width
        if view is None:
            return filled((), width)
        live = int((view.calls.state == QuoteState.LIVE).sum() + (view.puts.state == QuoteState.LIVE).sum())
        shown = max(0, min(count, len(view.strikes) - first))
        end: Line = ((f"{shown} of {len(view.strikes)} strikes, live {live} ", "muted"),)
        start = ""
        room = width - width_of(end) - 1
        for piece in self._own_outside(view, first, first + count):
            longer = f"{start}  {piece}" if start else f" own outside view  {piece}"
            if len(longer) > room:
                break
            start = longer
        return spread(((start, "bold"),), end, width)

    def _own_outside(self, view: ChainView, first: int, after: int) -> list[str]:
        """Own contracts above and below the rows in sight, nearest first."""
        found: list[tuple[int, str]] = []
        for columns, kind in ((view.calls, InstrumentKind.CALL), (view.puts, InstrumentKind.PUT)):
            for row in np.flatnonzero((columns.position != 0) | (columns.working > 0)):
                if first <= row < after:
                    continue
                away = first - row if row < first else row - after + 1
                arrow = self._glyphs.above if row < first else self._glyphs.below
                name = f"{arrow} {strike(float(view.strikes[row]))} {kind.value}"
                found.append((int(away), f"{name} {self._position(view, columns, int(row))}"))
        found.sort(key=lambda item: item[0])
        return [text for _, text in found[:FOOTER_ITEMS_MAX]]

    def _side(self, view: ChainView, columns: ChainColumns, row: int, kind: InstrumentKind, beside: str) -> list[Span]:
        """The cells of one side in screen order; the price cells carry ``beside`` when the cursor is on them."""
        widths, glyphs = self.layout.widths, self._glyphs
        call = kind is InstrumentKind.CALL
        state = state_of(int(columns.state[row]))
        own = bool(columns.position[row])
        forward = view.header.forward
        in_money = forward is not None and (view.strikes[row] < forward if call else view.strikes[row] > forward)
        plain = "old" if state in OLD_STATES else "itm" if in_money else ""
        if own:
            plain = f"{plain} bold".strip()
        bid_cell, ask_cell = (CALL_BID, CALL_ASK) if call else (PUT_BID, PUT_ASK)
        mark = STATE_MARKS[state] if columns.token[row] else " "
        bid, ask = float(columns.bid[row]), float(columns.ask[row])
        tones = self._flashes.tone(row, bid_cell), self._flashes.tone(row, ask_cell)
        if self.layout.mid:
            prices: list[Span] = [
                self._price((bid + ask) / 2, tones[0] or tones[1], plain, beside),
                (mark, _joined("old", beside)),
            ]
        else:
            prices = [
                self._price(bid, tones[0], plain, beside),
                (mark, _joined("old", beside)),
                self._price(ask, tones[1], plain, beside),
            ]
        position: Span = (self._position(view, columns, row).rjust(widths.position), "bold")
        outer: list[Span] = [
            (right(figure.text(columns, row, glyphs).strip(), figure.width), plain) for figure in self.layout.outer
        ]
        spans: list[Span] = []
        if call:
            for cell in outer:
                spans += [cell, (" ", plain)]
            return [*spans, *prices, (" ", ""), position]
        for cell in reversed(outer):
            spans += [(" ", plain), cell]
        return [position, (" ", ""), *prices, *spans]

    def _price(self, value: float, flash: str, plain: str, beside: str) -> Span:
        width = self.layout.widths.price
        return right(price_cell(value, width, self._glyphs), width), _joined(flash or plain, beside)

    def _position(self, view: ChainView, columns: ChainColumns, row: int) -> str:
        units = int(columns.position[row])
        star = "*" if columns.working[row] else ""
        if not units:
            return star
        text = quantity(units, view.header.lot_size, as_units=self.as_units, sign=True)
        return f"{star}{text.removesuffix('L')}"

    def _centre(self, view: ChainView, row: int) -> Span:
        """The cell beside the strike: its volatility, or which walls stand there, the largest as ``C1`` and ``P1``."""
        if not self.layout.walls:
            return right(self._volatility(view, row), IV_WIDTH), ""
        names = [
            f"{letter}{place}"
            for letter, walls in (("C", view.header.call_walls), ("P", view.header.put_walls))
            for place, wall in enumerate(walls, start=1)
            if wall == view.strikes[row]
        ]
        return right("".join(names), IV_WIDTH), "bold"

    def _volatility(self, view: ChainView, row: int) -> str:
        """One figure for both sides: the out-of-the-money one, the other where that is unknown."""
        forward = view.header.forward
        put_first = forward is not None and view.strikes[row] < forward
        pair = (view.puts, view.calls) if put_first else (view.calls, view.puts)
        for columns in pair:
            value = float(columns.implied_volatility[row])
            if known(value):
                return volatility(value, self._glyphs)
        return self._glyphs.unknown

    def _widths(self, first: int, last: int) -> ColumnWidths:
        view = self.view
        if view is None or not len(view.strikes):
            return ColumnWidths()
        rows = slice(max(0, first), max(0, last))
        columns = (view.calls, view.puts)
        figures = np.concatenate(
            [part for side in columns for part in (side.bid[rows], side.ask[rows], side.last[rows])]
        )
        finite = figures[np.isfinite(figures)]
        least = ColumnWidths()
        positions = [
            len(self._position(view, side, int(row)))
            for side in columns
            for row in np.flatnonzero((side.position[rows] != 0) | (side.working[rows] > 0)) + rows.start
        ]
        return ColumnWidths(
            price=price_width(float(finite.max()), least.price) if finite.size else least.price,
            strike=max(least.strike, len(strike(float(view.strikes[-1])))),
            position=max(least.position, *positions) if positions else least.position,
        )

    @staticmethod
    def _walls_moved(before: ChainView, after: ChainView) -> set[int]:
        """Rows where a wall stood or stands, when walls have changed."""
        walls = [(header.call_walls, header.put_walls) for header in (before.header, after.header)]
        if walls[0] == walls[1]:
            return set()
        strikes = [wall for pair in walls for side in pair for wall in side]
        return {int(row) for row in np.flatnonzero(np.isin(after.strikes, strikes))}

    @staticmethod
    def _moved_past(before: ChainView, after: ChainView) -> set[int]:
        """Rows that the forward or the ATM strike has passed: their dimming or raising changes."""
        marks = [
            value
            for header in (before.header, after.header)
            for value in (header.forward, header.atm_strike)
            if value is not None
        ]
        if not marks:
            return set()
        step = float(np.diff(after.strikes).max()) if len(after.strikes) > 1 else 0.0
        inside = (after.strikes >= min(marks) - step) & (after.strikes <= max(marks) + step)
        return {int(row) for row in np.flatnonzero(inside)}


def _joined(*tones: str) -> str:
    return " ".join(tone for tone in tones if tone)
