"""The Orders screen: a list of one part at a time, the chosen row in full below it, and the limits beside them.

Small letters cancel or only ask; what would send anything opens a review.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from engine.core.commands import (
    CancelOrders,
    CancelPlan,
    CloseDeadLetter,
    Command,
    DeleteGtt,
    ExplainMismatch,
    Reconcile,
    ReplayDeadLetter,
    SteerPlan,
)
from engine.core.execution import DeadLetter, OrderWhy
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord
from engine.core.plans import PlanState, PlanTurn, PlanView
from engine.core.reconciling import Mismatch
from engine.core.standing_triggers import Gtt
from workstation.actions import Place
from workstation.dialogs.review import ReviewDialog
from workstation.frames import Frame
from workstation.presenters.accounts import accounts_of, column_of, headed, names_rows
from workstation.presenters.execution_page import (
    BOOK,
    DIFFERENCES,
    FIGURES,
    LETTERS,
    PARTS,
    PLANS,
    TRIGGERS,
    ExecutionPicture,
    PageRow,
    difference_rows,
    figure_lines,
    letter_rows,
    part_counts,
    picture_of,
    plan_lines,
    plan_rows,
    tab_line,
    trigger_rows,
)
from workstation.presenters.lines import Line, clean, rule, wrapped
from workstation.presenters.orders import order_details, order_rows
from workstation.presenters.seen import Seen
from workstation.presenters.why import letter_lines, why_lines
from workstation.screens.context import DeskContext
from workstation.screens.contracts import ContractBook
from workstation.screens.ordering import OrderKeys
from workstation.screens.places import ORDERS
from workstation.screens.prompting import PromptingScreen
from workstation.screens.reading import Reading
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import LinePane, ListPane, Row

REFRESH_S = 1.0
REDRAW_S = 0.5
"""Ages are drawn anew so often; keys and answers at once."""
WHY_REFRESH_S = 2.0
SIDE_FROM_WIDTH = 120
SIDE_WIDTH = 46
TEXT_WIDTH = 76
PAGE_SHARE = 2
FAR = 1_000_000
"""More rows than any list has."""


class ExecutionScreen(PromptingScreen):
    """Looks at what the executor does, and steers it."""

    AUTO_FOCUS = "#execution-list"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.EXECUTION)

    def __init__(self, context: DeskContext, subject: str) -> None:
        """``subject`` is the number of an order to begin at; empty begins at the top."""
        super().__init__(context, id=ORDERS, own_places=(Place.EXECUTION, Place.LIST))
        self._tabs = LinePane(id="execution-tabs")
        self._list = ListPane(id="execution-list")
        self._detail = LinePane(id="execution-detail")
        self._side = LinePane(id="execution-side")
        self._part = BOOK
        self._wanted = int(subject) if subject.isdecimal() else None
        self._explaining = ""
        self._basis: tuple[object, ...] = ()
        self._drawn_at = -REDRAW_S
        self._whole: Seen[ExecutionPicture] | None = None
        """The answer about all accounts; frozen, the one that was shown."""
        self._drawn: Seen[ExecutionPicture] | None = None
        """What is shown of it."""
        self._contracts = ContractBook(context.engine, context.clock)
        self._orders = OrderKeys(context, self._contracts, self._open_review)
        self._picture: Reading[str, ExecutionPicture] = Reading(
            "execution", self._ask, self._in_background, context.clock, every_s=REFRESH_S
        )
        self._why: Reading[OrderNumber, OrderWhy] = Reading(
            "why", context.engine.why, self._in_background, context.clock, every_s=WHY_REFRESH_S
        )

    def body(self) -> Iterable[Widget]:
        """Tabs above; list over detail, limits beside them."""
        # Before the first layout: a pane that is only hidden afterwards leaves the others drawn at a width they lose.
        self._side.display = self.app.size.width >= SIDE_FROM_WIDTH
        yield self._tabs
        with Horizontal(id="execution-body"):
            with Vertical(id="execution-left"):
                yield self._list
                yield self._detail
            yield self._side

    def words_of_prefix(self) -> dict[str, str]:
        """The parts of this screen."""
        return {"w": "part: " + "  ".join(f"{number} {name.lower()}" for number, name in self._parts().items())}

    def second_key(self, prefix: str, key: str) -> bool:
        """Parts by digit; everything else as on every screen."""
        if prefix == "w" and key.isdecimal() and int(key) in self._parts():
            self._choose(int(key))
            return True
        return super().second_key(prefix, key)

    def forget(self) -> None:
        """Look anew."""
        self._whole = None
        self._basis = ()

    def paint(self, frame: Frame) -> None:
        """Ask for what is old, draw what is known. A frozen picture keeps what it showed."""
        if self._contracts.is_waiting:
            self._in_background(self._contracts.look_up, "contracts", False)
        if self._shared.state.frozen_since is None or self._whole is None:
            self._picture.want("")
            self._whole = self._picture.seen("")
        self._drawn = replace(self._whole, value=picture_of(self._whole.value, self._shared.state.account))
        wide = self.size.width >= SIDE_FROM_WIDTH
        if self._side.display != wide:
            self._side.display = wide
        if wide and self._part == FIGURES:
            self._part = BOOK
        number = self._list.row_id if self._part == BOOK else None
        if isinstance(number, int):
            self._why.want(OrderNumber(number))
        why = self._why.seen(OrderNumber(number)) if isinstance(number, int) else Seen()
        desk, now = self._shared.picture.desk, frame.monotonic
        basis = (
            desk,
            self._drawn.value,
            self._drawn.trouble,
            why.value,
            self._part,
            self._list.row_id,
            self._list.size,
            self._contracts.version,
            self._shared.state.as_units,
            self.app.theme,
        )
        if basis == self._basis and now - self._drawn_at < REDRAW_S:
            return
        self._basis, self._drawn_at = basis, now
        self._draw(frame, why, wide=wide)

    # --- keys ------------------------------------------------------------------------------------------------------

    def action_next_pane(self) -> None:
        """The part after the chosen one."""
        self._step(1)

    def action_previous_pane(self) -> None:
        """The part before the chosen one."""
        self._step(-1)

    def action_move(self, rows: int) -> None:
        """Rows up or down."""
        self._list.move(rows * self._shared.state.take_count())

    def action_page(self, pages: int) -> None:
        """Half pages."""
        self._list.move(pages * max(1, self._list.page // PAGE_SHARE))

    def action_top(self) -> None:
        """The first row."""
        self._list.move(-FAR)

    def action_bottom(self) -> None:
        """The last row."""
        self._list.move(FAR)

    def action_open_row(self) -> None:
        """The row in full."""
        self.action_why()

    def action_cancel_row(self) -> None:
        """Cancel what the row is about; cancelling is free, in every mode."""
        order, plan, trigger = self._order(), self._plan(), self._trigger()
        if order is not None:
            self._orders.cancel(order)
        elif plan is not None and not plan.record.state.is_over:
            self._send(CancelPlan(number=plan.record.number))
        elif trigger is not None and trigger.trigger_id:
            self._orders.review_command(
                DeleteGtt(trigger_id=trigger.trigger_id, account=trigger.account),
                "take the trigger back",
                lambda _: None,
            )
        else:
            self._shared.notify("There is nothing to cancel on this row.")

    def action_cancel_all(self) -> None:
        """Review the cancelling of every working order."""
        command = self._shared.addressed(CancelOrders(everything=True))
        self._orders.review_command(command, "cancel every working order", lambda _: None)

    def action_resolve(self) -> None:
        """Look the unknown order of the row up; anywhere else compare everything with the broker."""
        order = self._order()
        if order is not None:
            self._orders.resolve(order)
        else:
            self._send(self._shared.addressed(Reconcile()))

    def action_send_again(self) -> None:
        """Review the sending again of a dead letter."""
        letter = self._letter()
        if letter is None:
            self._shared.notify("Only a dead letter is sent again.")
            return
        self._orders.review_command(
            ReplayDeadLetter(numbers=(letter.number,)), f"send o{letter.number} again", lambda _: None
        )

    def action_close_letter(self) -> None:
        """Want nothing more of a dead letter."""
        letter = self._letter()
        if letter is None:
            self._shared.notify("Only a dead letter is closed.")
            return
        self._send(CloseDeadLetter(numbers=(letter.number,)))

    def action_pause(self) -> None:
        """Pause a plan, or let it go on."""
        plan = self._plan()
        if plan is None or plan.record.state.is_over:
            self._shared.notify("There is no plan that runs on this row.")
            return
        turn = PlanTurn.RESUME if plan.record.state is PlanState.PAUSED else PlanTurn.PAUSE
        self._send(SteerPlan(number=plan.record.number, turn=turn))

    def action_steer(self, turn: str) -> None:
        """Hurry a plan, or slow it."""
        plan = self._plan()
        if plan is None or plan.record.state.is_over:
            self._shared.notify("There is no plan that runs on this row.")
            return
        self._send(SteerPlan(number=plan.record.number, turn=PlanTurn(turn)))

    def action_explain(self) -> None:
        """Type why a difference is there."""
        item = self._difference()
        if item is None:
            self._shared.notify("Only a difference is explained.")
            return
        self._explaining = item.mismatch_id
        self.ask_for("explain", item.explanation)

    def take_text(self, text: str) -> bool:
        """Hand the explanation over."""
        if not text:
            self._shared.notify("Write why, or Esc.", "attention")
            return False
        self._send(ExplainMismatch(mismatch=self._explaining, words=text))
        return True

    def after_prompt(self) -> None:
        """Back to the list."""
        self.set_focus(self._list)

    def action_why(self) -> None:
        """In full."""
        row = self._list.row_id
        lines = self._details(TEXT_WIDTH)
        if row is None or not lines:
            self._shared.notify("There is no row here.")
            return
        self.show_text(f"{PARTS[self._part]} {row}", lines)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _parts(self) -> dict[int, str]:
        wide = self.size.width >= SIDE_FROM_WIDTH
        return {part: name for part, name in PARTS.items() if part != FIGURES or not wide}

    def _choose(self, part: int) -> None:
        self._part = part
        self._basis = ()

    def _step(self, by: int) -> None:
        parts = list(self._parts())
        self._choose(parts[(parts.index(self._part) + by) % len(parts)])

    def _draw(self, frame: Frame, why: Seen[OrderWhy], *, wide: bool) -> None:
        context, glyphs, picture = self._shared, self._shared.glyphs, self._drawn.value if self._drawn else None
        width = self.size.width - (SIDE_WIDTH if wide else 0)
        desk = context.picture.desk
        orders = desk.orders if desk is not None else ()
        counts = part_counts(picture, sum(1 for order in orders if order.state.is_working))
        self._tabs.show([tab_line(counts, self._part, self.size.width, with_figures=not wide)])
        head = [rule(self._title(), width, glyphs, simulated=context.simulated)]
        rows = self._rows(frame, orders, picture, width)
        if self._part == FIGURES:
            self._list.show_list([*head, *self._limit_lines(self.size.width)], [])
        else:
            empty: list[Line] = [((f" {glyphs.unknown} {self._empty_words(picture)}", "muted"),)]
            self._list.show_list([*head, *([] if rows else empty)], rows)
        if self._wanted is not None and self._part == BOOK and rows:
            self._list.select(self._wanted)
            self._wanted = None
        detail: list[Line] = [rule([((self._detail_title(), "title"),)], width, glyphs, simulated=context.simulated)]
        self._detail.show([*detail, *self._details(width, why)])
        if wide:
            title = rule(
                [(("Limits", "title"),)], SIDE_WIDTH, glyphs, simulated=context.simulated, start=glyphs.tee_down
            )
            body = [((glyphs.bar, "rule"), *line) for line in self._limit_lines(SIDE_WIDTH - 1)]
            body += [((glyphs.bar, "rule"),)] * max(0, self._side.size.height - 1 - len(body))
            self._side.show([title, *body])

    def _title(self) -> list[Line]:
        parts: list[Line] = [((PARTS[self._part], "title"),)]
        seen = self._drawn
        if seen is not None and seen.trouble:
            parts.append(((clean(seen.trouble), "attention"),))
        elif seen is not None and seen.is_stale:
            parts.append((("old", "attention"),))
        return parts

    def _limit_lines(self, width: int) -> list[Line]:
        seen, desk = self._drawn, self._shared.picture.desk
        locks = desk.locks if desk is not None else ()
        picture = seen.value if seen is not None else None
        return figure_lines(picture, locks, seen.trouble if seen is not None else "", width, self._shared.glyphs)

    def _rows(
        self, frame: Frame, orders: tuple[OrderRecord, ...], picture: ExecutionPicture | None, width: int
    ) -> list[Row]:
        context, glyphs, desk = self._shared, self._shared.glyphs, self._shared.picture.desk
        named = desk is not None and names_rows(desk.status, context.state.account)
        whose = column_of(() if desk is None else accounts_of(desk.status), named=named)
        width -= whose
        if self._part == BOOK:
            found = order_rows(
                orders, width, frame.market_now, glyphs, as_units=context.state.as_units, find=self._contracts.find
            )
            owners = {int(order.number): order.account for order in orders}
            return [Row(row.row_id, headed(row.line, whose, owners[row.row_id])) for row in found]
        if picture is None:
            return []
        rows: list[PageRow] = []
        if self._part == PLANS:
            rows = plan_rows(picture.plans, width, glyphs)
        elif self._part == LETTERS:
            rows = letter_rows(picture.letters, width, glyphs)
        elif self._part == TRIGGERS:
            rows = trigger_rows(picture.triggers, width, glyphs)
        elif self._part == DIFFERENCES:
            rows = difference_rows(picture.differences, frame.market_now, width, glyphs)
        return [Row(row.row_id, headed(row.line, whose, row.account)) for row in rows]

    def _empty_words(self, picture: ExecutionPicture | None) -> str:
        if self._part == BOOK:
            return "no order today"
        if picture is None:
            return "the engine has been asked"
        return {
            PLANS: "no plan today; sentences make them: exit 3, or sell 40L nifty 24400 pe w0 twap 5m",
            LETTERS: "no order was given up",
            TRIGGERS: "no trigger stands at the broker",
            DIFFERENCES: "our books and the broker's say the same",
        }.get(self._part, "")

    def _detail_title(self) -> str:
        row = self._list.row_id
        names = {BOOK: "Why o", PLANS: "Plan p", LETTERS: "Letter o", TRIGGERS: "Trigger "}
        return "" if row is None or self._part == FIGURES else f"{names.get(self._part, '')}{row}"

    def _details(self, width: int, why: Seen[OrderWhy] | None = None) -> list[Line]:
        """The chosen row in full."""
        glyphs = self._shared.glyphs
        order, plan, letter = self._order(), self._plan(), self._letter()
        if order is not None:
            told = (why or self._why.seen(order.number)).value
            words = why_lines(told) if told is not None else order_details(order, glyphs)
        elif plan is not None:
            return plan_lines(plan, width, glyphs)
        elif letter is not None:
            words = letter_lines(letter)
        elif (trigger := self._trigger()) is not None:
            words = [f"{trigger.request.instrument} {trigger.status.value}", trigger.message]
        elif (item := self._difference()) is not None:
            told_by = f"explained by {item.explained_by}: {item.explanation}" if item.explanation else ""
            words = [item.words, f"ours {item.ours}", f"broker {item.theirs}", told_by]
        else:
            return []
        return [((f" {part}", ""),) for line in words if line for part in wrapped(clean(line), max(1, width - 2))]

    def _order(self) -> OrderRecord | None:
        desk, row = self._shared.picture.desk, self._list.row_id
        if self._part != BOOK or desk is None:
            return None
        return next((order for order in desk.orders if order.number == row), None)

    def _plan(self) -> PlanView | None:
        plans = self._known().plans if self._part == PLANS else ()
        return next((view for view in plans if view.record.number == self._list.row_id), None)

    def _letter(self) -> DeadLetter | None:
        letters = self._known().letters if self._part == LETTERS else ()
        return next((letter for letter in letters if letter.number == self._list.row_id), None)

    def _trigger(self) -> Gtt | None:
        triggers = self._known().triggers if self._part == TRIGGERS else ()
        return next((gtt for gtt in triggers if gtt.trigger_id == self._list.row_id), None)

    def _difference(self) -> Mismatch | None:
        items = self._known().differences if self._part == DIFFERENCES else ()
        return next((item for item in items if item.mismatch_id == self._list.row_id), None)

    def _known(self) -> ExecutionPicture:
        picture = self._drawn.value if self._drawn is not None else None
        return picture or ExecutionPicture(health=(), plans=(), letters=(), triggers=(), differences=())

    def _send(self, command: Command) -> None:
        self._shared.submit(command, self._shared.report)

    def _open_review(self, dialog: ReviewDialog, answered: Callable[[Command | None], None]) -> None:
        self.app.push_screen(dialog, answered)

    async def _ask(self, question: str) -> ExecutionPicture:
        del question
        engine = self._shared.engine
        health, plans, letters, triggers, differences = await asyncio.gather(
            engine.execution_health(), engine.plans(), engine.dead_letters(), engine.gtts(), engine.mismatches()
        )
        return ExecutionPicture(health=health, plans=plans, letters=letters, triggers=triggers, differences=differences)

    def _in_background(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        self.run_worker(work, group=group, exclusive=replaces)
