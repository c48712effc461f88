"""The rules of the market on a day: what is in force, since when, on whose word, and where the dump says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import date, timedelta
from typing import ClassVar

import msgspec
from textual.binding import BindingType
from textual.widget import Widget

from engine.core.rulebook import RulesView
from workstation.actions import Place
from workstation.frames import Frame
from workstation.presenters.lines import rule
from workstation.presenters.rules_page import (
    RuleLine,
    detail_lines,
    rule_rows,
    rules_heading,
    rules_title,
    waiting_lines,
)
from workstation.screens.context import DeskContext
from workstation.screens.places import RULES
from workstation.screens.prompting import PromptingScreen
from workstation.screens.reading import Reading
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import ListPane, Row

REFRESH_S = 30.0
"""Facts change with a file that is laid over them, not with the market."""
TEXT_WIDTH = 76
PAGE_SHARE = 2


class RulesQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which day; ``None`` is the engine's today."""

    on: date | None = None


class RulesScreen(PromptingScreen):
    """A list with a filter."""

    AUTO_FOCUS = "#rules-list"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.RULES)

    def __init__(self, context: DeskContext, subject: str) -> None:
        """Show everything; there is nothing to choose by ``subject``."""
        del subject
        super().__init__(context, id=RULES, own_places=(Place.RULES, Place.LIST))
        self._list = ListPane(id="rules-list")
        self._question = RulesQuestion()
        self._words = ""
        self._rows: dict[object, RuleLine] = {}
        self._basis: tuple[object, ...] = ()
        self._rules: Reading[RulesQuestion, RulesView] = Reading(
            "rules", self._ask, self._in_background, context.clock, every_s=REFRESH_S
        )

    def body(self) -> Iterable[Widget]:
        """One list."""
        yield self._list

    def forget(self) -> None:
        """Draw anew."""
        self._basis = ()

    def paint(self, frame: Frame) -> None:
        """Ask for what is old; draw what is known, filtered by what stands in the prompt."""
        del frame
        self._rules.want(self._question)
        seen = self._rules.seen(self._question)
        words = self.typed if self.is_asking else self._words
        context, width = self._shared, self.size.width
        basis = (seen.value, seen.trouble, words, self._list.size, self.app.theme, context.simulated)
        if basis == self._basis:
            return
        self._basis = basis
        rows = rule_rows(seen.value, words, width, context.glyphs) if seen.value is not None else []
        self._rows = {row.row_id: row for row in rows}
        title = rule(rules_title(seen, words, len(rows)), width, context.glyphs, simulated=context.simulated)
        head = [title, rules_heading(width), *([] if rows else waiting_lines(seen, width, context.glyphs))]
        self._list.show_list(head, [Row(row.row_id, row.line) for row in self._rows.values()])

    # --- keys ------------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type words; the list follows while they are typed."""
        self.ask_for("filter", self._words)

    def take_text(self, text: str) -> bool:
        """Keep the filter."""
        self._words = text
        return True

    def after_prompt(self) -> None:
        """Back to the list."""
        self.set_focus(self._list)

    def action_back(self) -> None:
        """One level back: the filter first."""
        if self._words and not self._shared.state.count:
            self._words = ""
        else:
            super().action_back()

    def action_day(self, step: int) -> None:
        """In force so many days earlier or later."""
        view = self._rules.seen(self._question).value
        base = self._question.on or (view.on if view is not None else None)
        if base is None:
            self._shared.notify("The engine has not said yet which day is today.", "attention")
            return
        try:
            self._question = RulesQuestion(on=base + timedelta(days=step * self._shared.state.take_count()))
        except OverflowError:
            self._shared.notify("There is no such day.", "attention")

    def action_today(self) -> None:
        """In force today."""
        self._question = RulesQuestion()

    def action_open_row(self) -> None:
        """The row in full."""
        row = self._rows.get(self._list.row_id)
        if row is not None:
            self.show_text(row.title, detail_lines(row, TEXT_WIDTH))

    def action_move(self, rows: int) -> None:
        """Rows up or down."""
        self._list.move(rows * self._shared.state.take_count())

    def action_page(self, pages: int) -> None:
        """Half pages."""
        self._list.move(pages * max(1, self._list.page // PAGE_SHARE))

    def action_top(self) -> None:
        """The first row."""
        self._list.move(-len(self._rows))

    def action_bottom(self) -> None:
        """The last row."""
        self._list.move(len(self._rows))

    async def _ask(self, question: RulesQuestion) -> RulesView:
        return await self._shared.engine.rules(question.on)

    def _in_background(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        self.run_worker(work, group=group, exclusive=replaces)
