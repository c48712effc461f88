"""What every part of the Desk is made of: its panes, its controllers, and how a text or a dialog is shown."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from engine.core.commands import Command, GoTo, MoveTape, Quit, ScreenWish, SetMark, ShowAccount, ShowChain, ShowChart
from workstation.dialogs.base import TextDialog
from workstation.dialogs.review import ReviewDialog
from workstation.presenters.accounts import accounts_of
from workstation.presenters.chain import ChainRows
from workstation.presenters.chart_choice import ChartTarget
from workstation.presenters.layout import DeskLayout
from workstation.presenters.lines import Line, wrapped
from workstation.screens.bar_control import BarControl
from workstation.screens.chain_watch import ChainWatch, ChainWish
from workstation.screens.context import DeskContext
from workstation.screens.contracts import ContractBook
from workstation.screens.everywhere import KeysEverywhere
from workstation.screens.ordering import OrderKeys
from workstation.screens.painter import DeskPainter
from workstation.screens.panes import PANE_OF_NAME, DeskPanes
from workstation.screens.places import CHARTS, PLACE_OF_LETTER, STRATEGY
from workstation.screens.quote_watch import QuoteWatch
from workstation.screens.strokes import Strokes

MILLISECONDS = 1000.0
STRATEGY_SIGN = "#"
"""``#3`` is the strategy with the number 3."""
TEXT_WIDTH = 76
"""Cells of a line in a dialog of text."""


class DeskParts(KeysEverywhere):
    """Composes the Desk; its subclasses say what the keys do."""

    AUTO_FOCUS = "#chain"

    def __init__(self, context: DeskContext) -> None:
        """Draw and steer by ``context``."""
        super().__init__(context, id="desk")
        self._rows = ChainRows(context.glyphs, context.settings.flash_ms / MILLISECONDS)
        self._contracts = ContractBook(context.engine, context.clock)
        self._watch = ChainWatch(context)
        self._quotes = QuoteWatch(context)
        self._panes = DeskPanes.make(self._rows, context.settings.history_size)
        self._orders = OrderKeys(context, self._contracts, self._open_review)
        self._strokes = Strokes(context, self._contracts, self._orders)
        self._bar = BarControl(context, self._panes.bar, review=self._orders.review_command, wish=self.do_wish)
        self._painter = DeskPainter(
            context,
            self._panes,
            self._rows,
            contracts=self._contracts,
            orders=self._orders,
            watch=self._watch,
            bar=self._bar,
        )
        self._layout_now: DeskLayout | None = None
        self._lower = Horizontal(self._panes.orders, self._panes.events, id="lower")

    def compose(self) -> ComposeResult:
        """The panes in their frames."""
        panes = self._panes
        yield panes.status
        yield panes.strip
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                yield panes.head
                yield panes.chain
            with Vertical(id="side"):
                yield panes.ticket
                yield panes.depth
        yield panes.strategies
        yield self._lower
        yield panes.ghost
        with Horizontal(id="bar-line"):
            yield Static(" :", id="bar-sign", markup=False)
            yield panes.bar
        yield panes.keys
        yield panes.small

    def do_wish(self, wish: ScreenWish) -> None:
        """What a sentence asks of the screen alone."""
        if isinstance(wish, ShowChain):
            self._watch.wish(ChainWish(underlying=wish.underlying, label=wish.expiry_label or ""))
        elif isinstance(wish, ShowChart):
            self._show_chart(wish)
        elif isinstance(wish, ShowAccount):
            self._show_account(wish)
        elif isinstance(wish, SetMark):
            self._shared.state.mark = wish.mark
        elif isinstance(wish, GoTo):
            self._go_to(wish.place)
        elif isinstance(wish, MoveTape):
            self._shared.tape.do(wish)
        elif isinstance(wish, Quit):
            self.app.call_later(self.app.run_action, "app.leave")

    def _show_account(self, wish: ShowAccount) -> None:
        desk = self._shared.picture.live_desk
        known = accounts_of(desk.status) if desk is not None else ()
        if wish.account is not None and wish.account not in known:
            there = ", ".join(known) or "not known yet"
            self._shared.notify(f"{wish.account} is no account of this engine; its accounts: {there}.", "attention")
            return
        # A draft was made, and checked, for the account that was looked at then.
        self._orders.clear()
        self._shared.state.account = wish.account if len(known) > 1 else None
        self.forget()

    def _show_chart(self, wish: ShowChart) -> None:
        state = self._shared.state
        state.charted = ChartTarget(key=wish.instrument)
        if wish.interval is not None:
            state.chart = msgspec.structs.replace(state.chart, interval=wish.interval)
        self._shared.open_place(CHARTS, "")

    def _place_cursor(self) -> None:
        view = self._shared.picture.chain
        if view is not None:
            self._panes.chain.place_cursor(self._shared.state.row(view), self._shared.state.kind)

    def _show_words(self, title: str, sentences: list[str]) -> None:
        self._show_text(title, [((part, ""),) for text in sentences for part in wrapped(text, TEXT_WIDTH)])

    def _show_text(self, title: str, lines: list[Line]) -> None:
        words = f"{title} - {self._shared.venue_words}"
        self.app.push_screen(TextDialog(words, lines, glyphs=self._shared.glyphs, simulated=self._shared.simulated))

    def go_to(self, pane: str) -> None:
        """Show a pane, or the command bar, to whoever comes from another screen; without a name nothing moves."""
        if pane == "bar":
            self.app.call_later(self.app.run_action, "screen.open_bar")
        elif pane:
            self._focus_pane(pane)

    def _focus_pane(self, name: str) -> None:
        layout = self._layout_now
        if layout is None or layout.small:
            return
        room = {"ticket": layout.side, "events": layout.side, "depth": layout.depth}
        if room.get(name, True):
            self.set_focus(self.query_one(f"#{name}"))
        else:
            self._shared.notify(f"There is no room for the {name} pane at this size; 120 by 36 has it.")
            self.set_focus(self._panes.chain)

    def _go_to(self, place: str) -> None:
        name = PANE_OF_NAME.get(place.lower())
        if place.startswith(STRATEGY_SIGN):
            self._shared.open_place(STRATEGY, place.removeprefix(STRATEGY_SIGN))
        elif place.lower() in PLACE_OF_LETTER.values():
            self._shared.open_place(place.lower(), "")
        elif name is not None:
            self._focus_pane(name)
        elif place.lower() == "help":
            self.app.call_later(self.app.run_action, "app.help")
        else:
            known = ", ".join([*PANE_OF_NAME, *PLACE_OF_LETTER.values()])
            self._shared.notify(f'There is no place called "{place}". Places: {known}, help.', "attention")

    def _open_review(self, dialog: ReviewDialog, answer: Callable[[Command | None], None]) -> None:
        """Put the dialog on the stack at once: the next key is already the dialog's."""
        self.app.push_screen(dialog, answer)
