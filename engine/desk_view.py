"""The picture of the desk: made anew when something has changed, at most once per interval."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from engine.account_desk import AccountDesk
from engine.core.errors import UnknownInstrument
from engine.core.money import decimal_from_float
from engine.core.orders import OrderRecord, OrderState
from engine.core.positions import BrokerPosition
from engine.core.views import AccountView, BudgetGauge, DeskView, StatusView, StripItem
from engine.core.vocabulary import Mark, QuoteState
from engine.engine import Engine
from engine.execution.views import blotter_order

PERCENT = 100.0
NO_BUDGET = BudgetGauge(second_used=0, second_limit=0, minute_used=0, minute_limit=0, day_used=0, day_limit=0)


class DeskBuilder:
    """Makes ``DeskView``s of one engine."""

    def __init__(self, engine: Engine, seat: str) -> None:
        """Read from ``engine`` as ``seat`` sees it; nothing is asked of the network."""
        self._engine = engine
        self._seat = seat
        self._revision = 0
        self._view: DeskView | None = None
        self._made_at = 0.0

    def view(self) -> DeskView:
        """The desk now; the same object within the interval."""
        now = self._engine.clock.monotonic()
        if self._view is not None and now - self._made_at < self._engine.parts.settings.desk_interval_s:
            return self._view
        self._made_at = now
        self._revision += 1
        self._view = self._built()
        return self._view

    def _built(self) -> DeskView:
        engine, settings = self._engine, self._engine.parts.settings
        events = engine.events.after(engine.events.sequence - settings.events_shown_max)
        return DeskView(
            revision=self._revision,
            status=self._status(),
            strip=self._strip(),
            strategies=engine.desks.values(),
            orders=blotter_order(self._todays())[: settings.orders_shown_max],
            events=events,
            positions=self._positions(),
            locks=tuple(view for desk in engine.desks for view in desk.locks.views()),
        )

    def _positions(self) -> tuple[BrokerPosition, ...] | None:
        """Of all accounts that have been read; ``None`` while none has."""
        read = [desk.positions for desk in self._engine.desks if desk.positions is not None]
        return tuple(position for positions in read for position in positions) if read else None

    def _todays(self) -> tuple[OrderRecord, ...]:
        """Orders of the exchange's day, and whatever is not finished."""
        today = self._engine.day.today()
        zone = self._engine.day.calendar.zone
        return tuple(
            record
            for record in self._engine.orders()
            if record.state.is_working or record.created_at.astimezone(zone).date() == today
        )

    def _status(self) -> StatusView:
        """The engine's figures, and those of the account in view: the first one."""
        engine = self._engine
        accounts = tuple(_account_view(desk, engine.events.unread_of(desk.account)) for desk in engine.desks)
        shown = accounts[0]
        seats = engine.arming.views()
        status = StatusView(
            venue=engine.parts.source.venue,
            venue_note=engine.parts.source.note,
            mode=engine.arming.start,
            start_mode=engine.arming.start,
            seats=seats,
            account=shown.account,
            account_name=shown.name,
            accounts=accounts,
            writer=shown.writer,
            session=engine.day.session_view(),
            feed=engine.feed.view(session_open=engine.day.is_open()),
            budget=shown.budget,
            day_profit=shown.day_profit,
            day_profit_partial=shown.day_profit_partial,
            day_net=shown.day_net,
            margin_utilisation=shown.margin_utilisation,
            unknown_orders=sum(account.unknown_orders for account in accounts),
            unread_events=engine.events.unread,
            replay=engine.data.played,
            halts=engine.day.halts(),
            degraded=engine.degraded,
        )
        return status.seen_from(self._seat)

    def _strip(self) -> tuple[StripItem, ...]:
        day = self._engine.day
        items = []
        for label, key in self._engine.parts.strip:
            try:
                token = day.index.by_key(key).token
            except UnknownInstrument:
                items.append(StripItem(label=label, last=None, change_percent=None, state=QuoteState.UNKNOWN))
                continue
            quote = day.quote(token)
            slots = day.board.slots_of([token])
            last, close = float(day.board.last(slots)[0]), float(day.board.previous_close(slots)[0])
            known = not np.isnan(last)
            items.append(
                StripItem(
                    label=label,
                    last=decimal_from_float(last) if known else None,
                    change_percent=(last / close - 1) * PERCENT if known and close > 0 else None,
                    state=quote.state if quote is not None else QuoteState.UNKNOWN,
                )
            )
        return tuple(items)


def _account_view(desk: AccountDesk, unread: int) -> AccountView:
    execution = desk.executor.snapshot() if desk.executor is not None else None
    portfolio = desk.portfolio
    day = portfolio.day_profit if portfolio is not None else None
    orders = desk.orders()
    return AccountView(
        account=desk.account,
        name=desk.profile.name,
        writer=desk.writer and (execution is None or execution.is_writer),
        budget=execution.budget if execution is not None else NO_BUDGET,
        day_profit=dict(day.profit) if day is not None else dict.fromkeys(Mark, Decimal(0)),
        day_profit_partial=dict(day.partial) if day is not None else {},
        day_net=portfolio.net_of_day(day) if portfolio is not None and day is not None else {},
        funds=desk.funds,
        unknown_orders=sum(1 for record in orders if record.state is OrderState.UNKNOWN),
        working_orders=sum(1 for record in orders if record.state.is_working),
        degraded=desk.degraded,
        unread_events=unread,
    )
