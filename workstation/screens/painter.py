"""One frame onto the Desk: pictures go through the presenters into the panes. Panes paint only lines that differ."""

from __future__ import annotations

from engine.core.identifiers import InstrumentKey
from engine.core.views import ChainView, DeskView
from workstation.actions import Place
from workstation.formatting import expiry_day, strike
from workstation.frames import Frame
from workstation.presenters.accounts import (
    HEADING,
    OwnContracts,
    accounts_of,
    chain_of,
    column_of,
    desk_of,
    headed,
    names_rows,
    own_contracts,
)
from workstation.presenters.chain import ChainRows
from workstation.presenters.chain_columns import ColumnSet
from workstation.presenters.chain_header import chain_statistics, chain_title
from workstation.presenters.depth import depth_lines, depth_title
from workstation.presenters.desk_state import Selection
from workstation.presenters.events import event_rows, events_title
from workstation.presenters.ghost import caret_line, ghost_lines
from workstation.presenters.keyline import key_line
from workstation.presenters.layout import DeskLayout
from workstation.presenters.lines import EMPTY, Line, clip, filled, merged, rule, spread, title, wrapped
from workstation.presenters.orders import order_rows, orders_title, sorted_orders
from workstation.presenters.status import small_lines, strip_line
from workstation.presenters.strategies import strategies_heading, strategy_columns, strategy_rows
from workstation.presenters.ticket import TicketSubject, draft_words, ticket_lines, ticket_title
from workstation.screens.bar_control import BarControl
from workstation.screens.chain_watch import ChainWatch
from workstation.screens.context import DeskContext
from workstation.screens.contracts import ContractBook
from workstation.screens.ordering import OrderKeys
from workstation.screens.panes import DeskPanes
from workstation.screens.standing import alarm_lines, answer_line, standing_status
from workstation.widgets.panes import Row

BAR_SIGN_WIDTH = 2


class DeskPainter:
    """Draws one Desk."""

    def __init__(
        self,
        context: DeskContext,
        panes: DeskPanes,
        rows: ChainRows,
        *,
        contracts: ContractBook,
        orders: OrderKeys,
        watch: ChainWatch,
        bar: BarControl,
    ) -> None:
        """Everything a frame is made of."""
        self._context = context
        self._panes = panes
        self._rows = rows
        self._contracts = contracts
        self._orders = orders
        self._watch = watch
        self._bar = bar
        self._drawn: dict[str, tuple[object, ...]] = {}
        self._behind = False
        """Whether pictures went by undrawn: what changed in them is not known any more."""
        self._whole: DeskView | None = None
        """The drawn desk of all accounts."""
        self._own: OwnContracts | None = None
        """What the account that is looked at has of contracts; ``None``: the chain says it itself."""
        self._engines_chain: ChainView | None = None
        """The newest picture of the chain as the engine gave it."""

    def paint(self, frame: Frame, layout: DeskLayout, focus: str) -> None:
        """Draw what differs from the frame before."""
        self._take(frame)
        if layout.small:
            lines = small_lines(
                self._context.picture.desk, self._context.state.mark, layout.width, layout.height, self._context.glyphs
            )
            self._panes.small.show(lines)
            return
        self._paint_status(frame, layout)
        self._paint_chain(frame, layout, focus)
        self._paint_side(layout, focus)
        desk = self._context.picture.desk
        if desk is not None:
            self._paint_strategies(desk, layout, focus)
            self._paint_orders(desk, frame, layout, focus)
            self._paint_events(desk, layout, focus)
        self._paint_bottom(frame, layout, focus)

    def forget(self) -> None:
        """Draw everything anew in the next frame (size, theme or glyphs changed)."""
        self._drawn.clear()

    def _take(self, frame: Frame) -> None:
        """Keep the newest pictures; a frozen Desk keeps the drawn ones."""
        picture = self._context.picture
        picture.live_desk = frame.desk
        picture.trouble = frame.trouble
        state = self._context.state
        if state.frozen_since is None or self._whole is None:
            self._whole = frame.desk
        picture.desk = desk_of(self._whole, state.account)
        if picture.chain is not None and picture.chain.key != state.key:
            picture.chain = None
            self._rows.clear()
        grid = self._panes.chain
        faded = self._rows.fade(frame.monotonic)
        if faded:
            grid.update_rows(faded)
        if (self._rows.as_units, self._rows.columns) != (state.as_units, state.columns):
            self._rows.as_units, self._rows.columns = state.as_units, state.columns
            grid.update_rows(None)
        chain = frame.chain
        if chain is not None and chain.key == state.key:
            self._engines_chain = chain
        elif self._engines_chain is not None and self._engines_chain.key != state.key:
            self._engines_chain = None
        own = self._own_contracts()
        if own != self._own:
            self._own, chain = own, self._engines_chain
        if chain is not None and chain.key == state.key:
            self._take_chain(chain if own is None else chain_of(chain, own), frame.monotonic)

    def _own_contracts(self) -> OwnContracts | None:
        """Positions and orders for the chain's own columns, where they are not the first account's."""
        desk, account = self._context.picture.desk, self._context.state.account
        if desk is None or account is None or account == accounts_of(desk.status)[0]:
            return None
        return own_contracts(desk, self._token_of)

    def _token_of(self, key: InstrumentKey) -> int | None:
        instrument = self._contracts.find(key)
        return None if instrument is None else instrument.token

    def _take_chain(self, chain: ChainView, now: float) -> None:
        """Draw what changed in a newer picture of the chain, unless the picture is frozen."""
        picture, state, grid = self._context.picture, self._context.state, self._panes.chain
        if state.frozen_since is not None and picture.chain is not None:
            self._behind = True
            return
        changed = self._rows.accept(chain, now)
        if self._behind:
            changed, self._behind = None, False
        picture.chain = chain
        grid.place_cursor(state.row(chain), state.kind, centre=changed is None and state.strike is None)
        if changed is None or changed:
            grid.update_rows(changed)

    def _paint_status(self, frame: Frame, layout: DeskLayout) -> None:
        context = self._context
        self._panes.status.show(standing_status(context, frame, layout.width))
        if layout.strip and context.picture.desk is not None:
            self._panes.strip.show([strip_line(context.picture.desk.strip, layout.width, context.glyphs)])

    def _paint_chain(self, frame: Frame, layout: DeskLayout, focus: str) -> None:
        context, view = self._context, self._context.picture.chain
        name = title(1, "Chain", focused=focus == "chain")
        width = layout.chain_width
        if view is None or not len(view.strikes):
            self._panes.head.show([self._rule([name], width)])
            self._panes.chain.show_message(self._waiting_lines(frame, width))
            return
        self._panes.chain.show_message(())
        parts = [name, *chain_title(view.header, context.glyphs, short=not layout.statistics)]
        if context.state.columns is not ColumnSet.TRADE:
            parts.insert(1, ((context.state.columns.value, "key"),))
        lines = [self._rule(parts, width)]
        if layout.statistics:
            lines.append(chain_statistics(view, width, context.glyphs))
        self._panes.head.show(lines)
        self._panes.chain.refresh_footer()

    def _waiting_lines(self, frame: Frame, width: int) -> tuple[Line, ...]:
        """Why there is no chain yet, as far as anything is known."""
        context = self._context
        reasons = [reason for reason in (self._watch.trouble, frame.trouble) if reason]
        desk = context.picture.live_desk
        if desk is not None:
            reasons += [*desk.status.degraded, *([desk.status.feed.message] if desk.status.feed.message else [])]
        key = context.state.key
        if context.picture.chain is not None and key is not None:
            head = f"{key.underlying} {expiry_day(key.expiry)} has no strikes."
        elif key is not None:
            head = f"{key.underlying} {expiry_day(key.expiry)}: waiting for the first prices."
        else:
            head = "The first chain is on its way."
        lines: list[Line] = [EMPTY, ((f"  {head}", "bold"),)]
        for reason in dict.fromkeys(reasons):
            lines += [((f"  {part}", "muted"),) for part in wrapped(reason, max(1, width - 4))]
        return tuple(lines)

    def _paint_side(self, layout: DeskLayout, focus: str) -> None:
        if not layout.side:
            return
        context, panes = self._context, self._panes
        glyphs, view = context.glyphs, context.picture.chain
        selection = context.state.selection(view)
        draft = context.state.draft
        live = context.engine.quote(draft.instrument.token) if draft is not None else None
        subject = TicketSubject(draft=draft, preview=self._orders.preview, now=live, selection=selection)
        width = layout.width - layout.chain_width
        inner = width - 2
        name = title(2, "Ticket", focused=focus == "ticket")
        parts = [name, ((ticket_title(subject), "muted"),)]
        body = [self._railed(line, width) for line in ticket_lines(subject, view, inner, glyphs)]
        panes.ticket.show(
            self._full([self._rule(parts, width, start=glyphs.tee_down), *body], layout.ticket_height, width)
        )
        frozen = context.state.frozen_since is not None and "depth" in self._drawn
        if not layout.depth or frozen:
            return
        quote = context.engine.quote(selection.token) if selection is not None and selection.token else None
        words = f"{strike(selection.strike)} {selection.kind.value}" if selection is not None else ""
        name = title(3, "Depth", focused=focus == "depth")
        head = self._rule([name, *depth_title(words, quote, glyphs)], width, start=glyphs.tee_right)
        lines = [head, *(self._railed(line, width) for line in depth_lines(quote, inner, glyphs))]
        self._drawn["depth"] = ()
        panes.depth.show(self._full(lines, panes.depth.size.height, width))

    def _paint_strategies(self, desk: DeskView, layout: DeskLayout, focus: str) -> None:
        context, state = self._context, self._context.state
        focused = focus == "strategies"
        version, whose = self._contracts.version, self._column(desk)
        basis = (desk.strategies, layout, state.mark, state.expanded, state.as_units, focused, version, whose)
        if self._same("strategies", basis):
            return
        columns = strategy_columns(layout.width - whose)
        owners = {int(value.strategy.number): value.strategy.account for value in desk.strategies}
        rows = strategy_rows(
            desk.strategies,
            columns,
            context.glyphs,
            expanded=state.expanded,
            as_units=state.as_units,
            find=self._contracts.find,
            mark=state.mark,
        )
        words = f"M2M gross of charges, day counted at {state.mark.value}"
        joints = {layout.chain_width: context.glyphs.tee_up} if layout.side else None
        name = title(4, "Strategies", focused=focused)
        head = [
            self._rule([name, ((words, "muted"),)], layout.width, joints=joints),
            headed(strategies_heading(state.mark, columns, context.glyphs), whose, HEADING, "header"),
        ]
        self._panes.strategies.show_list(
            head, [Row(row.row_id, headed(row.line, whose, owners.get(row.row_id[1], ""))) for row in rows]
        )

    def _column(self, desk: DeskView) -> int:
        """Cells of the column that says whose rows are; 0 where nobody has to be told."""
        return column_of(accounts_of(desk.status), named=names_rows(desk.status, self._context.state.account))

    def _paint_orders(self, desk: DeskView, frame: Frame, layout: DeskLayout, focus: str) -> None:
        context, state = self._context, self._context.state
        focused = focus == "orders"
        second = frame.market_now.replace(microsecond=0) if desk.status.unknown_orders else None
        whose = self._column(desk)
        basis = (desk.orders, layout, state.as_units, focused, self._contracts.version, second, whose)
        if self._same("orders", basis):
            return
        owners = {int(order.number): order.account for order in desk.orders}
        rows = order_rows(
            sorted_orders(desk.orders),
            layout.orders_width - whose,
            frame.market_now,
            context.glyphs,
            as_units=state.as_units,
            find=self._contracts.find,
        )
        head: list[Line] = []
        if layout.orders_framed:
            joints = None
            name = title(5, "Orders", focused=focused)
            head = [self._rule([name, *orders_title(desk.orders)], layout.orders_width, joints=joints)]
        elif not rows:
            head = [((" no orders today", "muted"),)]
        self._panes.orders.show_list(
            head, [Row(row.row_id, headed(row.line, whose, owners[row.row_id])) for row in rows]
        )

    def _paint_events(self, desk: DeskView, layout: DeskLayout, focus: str) -> None:
        if not layout.side:
            return
        focused = focus == "events"
        unread = desk.status.unread_events
        if self._same("events", (desk.events, layout, unread, focused)):
            return
        width = layout.width - layout.orders_width
        glyphs = self._context.glyphs
        rows = event_rows(desk.events, unread, width - 1, glyphs)
        name = title(6, "Events", focused=focused)
        head = [self._rule([name, *events_title(unread)], width, start=glyphs.tee_down)]
        body = [Row(row.row_id, merged(((glyphs.bar, "rule"), *row.line))) for row in rows]
        self._panes.events.show_list(head, body, filler=((glyphs.bar, "rule"),))

    def _paint_bottom(self, frame: Frame, layout: DeskLayout, focus: str) -> None:
        context = self._context
        glyphs, width = context.glyphs, layout.width
        state = context.state
        in_bar = focus == "bar"
        lines = ghost_lines(self._bar.ghost, width, glyphs) if in_bar else self._message_lines(frame, layout)
        self._panes.ghost.show(lines[: layout.ghost_height])
        error = self._bar.ghost.interpretation.error if self._bar.ghost.interpretation is not None else None
        places = _places(focus)
        if context.is_replay and not in_bar:
            places = (Place.TAPE, *places)
        keys = key_line(places, context.registry, count=state.count, prefix=state.prefix, width=width, glyphs=glyphs)
        if in_bar and error is not None and not error.incomplete:
            keys = filled(caret_line(error, BAR_SIGN_WIDTH + self._panes.bar.text_start, width), width)
        self._panes.keys.show([keys])

    def _message_lines(self, frame: Frame, layout: DeskLayout) -> list[Line]:
        """Outside the bar: the last answer, else the draft where the ticket has no room, else what does not run."""
        context, glyphs, width = self._context, self._context.glyphs, layout.width
        state = context.state
        lines = answer_line(context, frame, width)
        lead = f" {glyphs.leads} "
        if state.draft is not None and not layout.side:
            keys: Line = (("Enter", "key"), (" review ", "muted"), ("Esc", "key"), (" clear ", "muted"))
            words = clip(draft_words(state.draft, glyphs), width - len(lead) - len(" Enter review Esc clear "), glyphs)
            lines.append(spread(((lead, "muted"), (words, "bold")), keys, width))
        return [*lines, *alarm_lines(context, frame, width)]

    def _rule(self, parts: list[Line], width: int, *, start: str = "", joints: dict[int, str] | None = None) -> Line:
        return rule(parts, width, self._context.glyphs, simulated=self._context.simulated, start=start, joints=joints)

    def _railed(self, line: Line, width: int) -> Line:
        return filled(((self._context.glyphs.bar, "rule"), (" ", ""), *line), width)

    def _full(self, lines: list[Line], height: int, width: int) -> list[Line]:
        """As many lines as the pane has, so that the rail goes down to its end."""
        return lines[:height] + [self._railed(EMPTY, width)] * (height - len(lines))

    def _same(self, pane: str, basis: tuple[object, ...]) -> bool:
        """Whether a pane was drawn from the very same objects."""
        before = self._drawn.get(pane)
        self._drawn[pane] = basis
        return before is not None and all(old is new or old == new for old, new in zip(before, basis, strict=True))


def _places(focus: str) -> tuple[Place, ...]:
    """Whose keys the key line shows."""
    return {
        "bar": (Place.BAR,),
        "strategies": (Place.STRATEGIES, Place.LIST, Place.DESK, Place.APP),
        "orders": (Place.ORDERS, Place.LIST, Place.DESK, Place.APP),
        "events": (Place.EVENTS, Place.LIST, Place.DESK, Place.APP),
    }.get(focus, (Place.CHAIN, Place.DESK, Place.APP))


def selection_words(selection: Selection) -> str:
    """The contract under the cursor in short: ``24,400 PE``."""
    return f"{strike(selection.strike)} {selection.kind.value}"
