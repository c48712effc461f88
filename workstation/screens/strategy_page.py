"""One picture of a strategy onto its panes. Only lines that differ are painted, and only when something changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from textual.containers import Horizontal
from textual.widget import Widget

from engine.core.analysis import AttributionView, PayoffView, ScenarioView
from engine.core.instruments import Instrument
from engine.core.strategies import M2mCandle, StrategyValue
from workstation.formatting import age
from workstation.presenters.attribution import attribution_lines, attribution_title
from workstation.presenters.lines import EMPTY, Line, clean, filled, rule, title, wrapped
from workstation.presenters.m2m_chart import chart_lines, chart_title, extremes_words
from workstation.presenters.payoff import payoff_lines, payoff_title
from workstation.presenters.scenario import scenario_lines, scenario_title
from workstation.presenters.seen import Seen
from workstation.presenters.strategy_layout import StrategyLayout
from workstation.presenters.strategy_legs import (
    LegMarket,
    leg_columns,
    leg_rows,
    legs_heading,
    money_line,
    strategy_title,
    underlying_words,
)
from workstation.screens.context import DeskContext
from workstation.screens.contracts import ContractBook
from workstation.widgets.panes import LinePane, ListPane, Row

LEGS, PAYOFF, SCENARIO, M2M, MOVED = "legs", "payoff", "scenario", "m2m", "moved"
PANES: Final = {LEGS: "Legs", PAYOFF: "Payoff", SCENARIO: "Scenario", M2M: "M2M", MOVED: "Why the money moved"}
"""Ids in the order of Tab, and their names."""
SHORT_NAMES: Final = {PAYOFF: "payoff", SCENARIO: "scenario", M2M: "M2M", MOVED: "why"}
RAIL = 2
"""The rule at the left of a pane that has a neighbour there, and a blank."""


@dataclass(slots=True)
class StrategyPicture:
    """Everything the screen draws. Frozen, it stays what it was."""

    value: StrategyValue | None = None
    missing: str = ""
    """Why there is no strategy to draw."""
    contracts: tuple[Instrument, ...] = ()
    """Of the open legs, as far as they have been looked up."""
    markets: dict[int, LegMarket] = field(default_factory=dict)
    seconds_to_expiry: float | None = None
    at: datetime | None = None
    quotes: str = ""
    """What is wrong with the quotes of the open legs; empty when nothing is."""
    is_open: bool = False
    """Whether the exchange trades."""
    payoff: Seen[PayoffView] = field(default_factory=Seen)
    scenario: Seen[ScenarioView] = field(default_factory=Seen)
    attribution: Seen[AttributionView] = field(default_factory=Seen)
    candles: Seen[tuple[M2mCandle, ...]] = field(default_factory=Seen)


@dataclass(frozen=True, slots=True)
class StrategyPanes:
    """Every widget that draws."""

    head: LinePane
    legs: ListPane
    payoff: LinePane
    scenario: LinePane
    m2m: LinePane
    moved: LinePane
    upper: Horizontal
    lower: Horizontal
    small: LinePane

    @classmethod
    def make(cls) -> StrategyPanes:
        """New widgets."""
        payoff, scenario = LinePane(id=PAYOFF, focusable=True), LinePane(id=SCENARIO, focusable=True)
        m2m, moved = LinePane(id=M2M, focusable=True), LinePane(id=MOVED, focusable=True)
        return cls(
            head=LinePane(id="strategy-head"),
            legs=ListPane(id=LEGS),
            payoff=payoff,
            scenario=scenario,
            m2m=m2m,
            moved=moved,
            upper=Horizontal(payoff, scenario, id="strategy-upper"),
            lower=Horizontal(m2m, moved, id="strategy-lower"),
            small=LinePane(id="strategy-small"),
        )

    @property
    def all(self) -> tuple[Widget, ...]:
        """From the top, as the screen is composed."""
        return (self.head, self.legs, self.upper, self.lower, self.small)

    def place(self, layout: StrategyLayout, alone: str) -> None:
        """Give every pane its place; ``alone`` is the one below the legs where there is room for one."""
        self.legs.styles.height = layout.legs_height
        for pane in (self.head, self.legs):
            pane.display = not layout.small
        self.small.display = layout.small
        for container, left_name, right_name, height in (
            (self.upper, PAYOFF, SCENARIO, layout.upper_height),
            (self.lower, M2M, MOVED, layout.lower_height),
        ):
            container.display = not layout.small and (layout.split or alone in {left_name, right_name})
            container.styles.height = height
            for name in (left_name, right_name):
                self.named(name).display = layout.split or alone == name
            self.named(left_name).styles.width = layout.left_width

    def named(self, name: str) -> LinePane:
        """The pane with an id of ``PANES``."""
        pane: LinePane = getattr(self, name)
        return pane


class StrategyPage:
    """Draws one Strategy screen."""

    def __init__(self, context: DeskContext, panes: StrategyPanes, contracts: ContractBook) -> None:
        """``contracts`` names the legs."""
        self._context = context
        self._panes = panes
        self._contracts = contracts
        self._drawn: dict[str, tuple[object, ...]] = {}

    def forget(self) -> None:
        """Draw everything anew in the next frame."""
        self._drawn.clear()

    def paint(self, picture: StrategyPicture, layout: StrategyLayout, focus: str, minutes: int) -> None:
        """Draw what differs from the frame before."""
        self._paint_head(picture, layout)
        self._paint_legs(picture, layout, focus)
        if picture.value is None:
            for name in (PAYOFF, SCENARIO, M2M, MOVED):
                self._panes.named(name).show([])
            return
        self._paint_payoff(picture, layout, focus)
        self._paint_scenario(picture, layout, focus)
        self._paint_m2m(picture, layout, focus, minutes)
        self._paint_moved(picture, layout, focus)

    def _paint_head(self, picture: StrategyPicture, layout: StrategyLayout) -> None:
        context, value = self._context, picture.value
        if value is None or picture.at is None:
            lines = [self._rule([(("Strategy", "title"),)], layout.width)]
            lines += [((f" {part}", "attention"),) for part in wrapped(picture.missing, layout.width - 2)]
            self._panes.head.show(lines)
            return
        glyphs, mark = context.glyphs, context.state.mark
        extremes = extremes_words(picture.candles.value or (), glyphs)
        parts = strategy_title(
            value, underlying_words(picture.contracts), picture.seconds_to_expiry, picture.at, glyphs
        )
        self._panes.head.show(
            [self._rule(parts, layout.width), money_line(value, mark, extremes, layout.width, glyphs)]
        )

    def _paint_legs(self, picture: StrategyPicture, layout: StrategyLayout, focus: str) -> None:
        context, state, value = self._context, self._context.state, picture.value
        glyphs, width = context.glyphs, layout.width
        if value is None:
            self._panes.legs.show_list([], [])
            return
        basis = (value, picture.markets, layout, state.mark, state.as_units, focus, self._contracts.version)
        if self._same(LEGS, basis):
            return
        columns = leg_columns(width)
        rows = leg_rows(
            value,
            picture.markets,
            state.mark,
            columns,
            glyphs,
            as_units=state.as_units,
            find=self._contracts.find,
        )
        name = title(1, PANES[LEGS], focused=focus == LEGS)
        words = f"{value.open_legs} open of {len(value.legs)}, gross of charges at {state.mark.value}"
        head = [self._rule([name, ((words, "muted"),)], width), legs_heading(state.mark, columns, glyphs)]
        self._panes.legs.show_list(head, [Row(row.row_id, row.line) for row in rows])

    def _paint_payoff(self, picture: StrategyPicture, layout: StrategyLayout, focus: str) -> None:
        seen = picture.payoff
        pane = self._panes.payoff
        if self._same(PAYOFF, (*_basis(seen), layout, pane.size, focus, picture.quotes)):
            return
        glyphs = self._context.glyphs
        head = self._head(PAYOFF, seen, payoff_title(seen.value, glyphs), focus, layout, quotes=picture.quotes)
        body = payoff_lines(seen.value, pane.size.width, pane.size.height - 1, glyphs)
        pane.show([head, *self._waiting(seen, body, pane.size.width)])

    def _paint_scenario(self, picture: StrategyPicture, layout: StrategyLayout, focus: str) -> None:
        seen, pane = picture.scenario, self._panes.scenario
        if self._same(SCENARIO, (*_basis(seen), layout, pane.size, focus, picture.quotes)):
            return
        rail = layout.split
        width = pane.size.width - (RAIL if rail else 0)
        head = self._head(SCENARIO, seen, scenario_title(seen.value), focus, layout, quotes=picture.quotes)
        body = self._waiting(seen, scenario_lines(seen.value, width, pane.size.height - 1, self._context.glyphs), width)
        pane.show([head, *(self._railed(body, pane) if rail else body)])

    def _paint_m2m(self, picture: StrategyPicture, layout: StrategyLayout, focus: str, minutes: int) -> None:
        seen, pane, at = picture.candles, self._panes.m2m, picture.at
        candles = seen.value or ()
        if self._same(M2M, (*_basis(seen), layout, pane.size, focus, minutes)) or at is None:
            return
        end = at if picture.is_open or not candles else candles[-1].minute
        head = self._head(M2M, seen, chart_title(candles, minutes) if candles else [], focus, layout, quotes="")
        size = (pane.size.width, pane.size.height - 1)
        body = chart_lines(candles, minutes, size, self._context.glyphs, end=end) if seen.value is not None else []
        pane.show([head, *self._waiting(seen, body, pane.size.width)])

    def _paint_moved(self, picture: StrategyPicture, layout: StrategyLayout, focus: str) -> None:
        seen, pane = picture.attribution, self._panes.moved
        if self._same(MOVED, (*_basis(seen), layout, pane.size, focus, picture.quotes)):
            return
        glyphs = self._context.glyphs
        rail = layout.split
        width = pane.size.width - (RAIL if rail else 0)
        head = self._head(MOVED, seen, attribution_title(seen.value, glyphs), focus, layout, quotes=picture.quotes)
        body = self._waiting(seen, attribution_lines(seen.value, width, pane.size.height - 1, glyphs), width)
        pane.show([head, *(self._railed(body, pane) if rail else body)])

    def _head(
        self, name: str, seen: Seen[object], parts: list[Line], focus: str, layout: StrategyLayout, *, quotes: str
    ) -> Line:
        """The pane's title: its name, what is wrong with its figures, what they are, and how to see the others."""
        glyphs = self._context.glyphs
        number = list(PANES).index(name) + 1
        everything = [title(number, PANES[name], focused=focus == name), *parts[:1]]
        if seen.value is not None and seen.is_stale:
            words = f"{age(seen.age_s, glyphs)} old"
            everything.append(((f"{words}: {clean(seen.trouble)}" if seen.trouble else words, "attention"),))
        elif seen.value is not None and quotes:
            everything.append(((quotes, "attention"),))
        everything += parts[1:]
        if not layout.split:
            others = [SHORT_NAMES[other] for other in SHORT_NAMES if other != name]
            everything.append((("Tab ", "key"), (" ".join(others), "muted")))
        width = self._panes.named(name).size.width
        rail = layout.split and name in {SCENARIO, MOVED}
        start = "" if not rail else glyphs.tee_down if name == SCENARIO else glyphs.tee_right
        return self._rule(everything, width, start=start)

    def _waiting(self, seen: Seen[object], body: list[Line], width: int) -> list[Line]:
        """What was answered, dim while old; before the first answer, that it is asked for or why it is missing."""
        if seen.value is not None:
            return [tuple((text, "old") for text, _ in line) for line in body] if seen.is_stale else body
        unknown = self._context.glyphs.unknown
        words = clean(seen.trouble) or "asking"
        tone = "attention" if seen.trouble else "muted"
        return [((f"  {unknown}  {part}", tone),) for part in wrapped(words, max(1, width - 6))]

    def _railed(self, lines: list[Line], pane: LinePane) -> list[Line]:
        """As many lines as the pane has below its title, so that the rail goes down to its end."""
        bar = self._context.glyphs.bar
        full = [*lines, *[EMPTY] * (pane.size.height - 1 - len(lines))]
        return [filled(((bar, "rule"), (" ", ""), *line), pane.size.width) for line in full]

    def _rule(self, parts: list[Line], width: int, *, start: str = "") -> Line:
        return rule(parts, width, self._context.glyphs, simulated=self._context.simulated, start=start)

    def _same(self, pane: str, basis: tuple[object, ...]) -> bool:
        """Whether a pane was drawn from the very same objects."""
        before = self._drawn.get(pane)
        self._drawn[pane] = basis
        return before is not None and all(old is new or old == new for old, new in zip(before, basis, strict=True))


def _basis(seen: Seen[object]) -> tuple[object, ...]:
    """What the look of an answer depends on; an age only while it is told."""
    shown_age = int(seen.age_s or 0.0) if seen.is_stale else None
    return (_Same(seen.value), seen.trouble, shown_age)


class _Same:
    """Equal only to a wrapper of the very same object: pictures with arrays have no truth of their own."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)
