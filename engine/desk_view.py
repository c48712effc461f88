"""The picture of the desk: made anew when something has changed, at most once per interval."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from engine.core.errors import UnknownInstrument
from engine.core.money import decimal_from_float
from engine.core.orders import OrderRecord, OrderState
from engine.core.views import BudgetGauge, DeskView, StatusView, StripItem
from engine.core.vocabulary import Mark, QuoteState
from engine.engine import Engine
from engine.execution.views import blotter_order

PERCENT = 100.0
NO_BUDGET = BudgetGauge(second_used=0, second_limit=0, minute_used=0, minute_limit=0, day_used=0, day_limit=0)


class DeskBuilder:
    """Makes ``DeskView``s of one engine."""

    def __init__(self, engine: Engine) -> None:
        """Read from ``engine``; nothing is asked of the network."""
        self._engine = engine
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
        portfolio = engine.portfolio
        return DeskView(
            revision=self._revision,
            status=self._status(),
            strip=self._strip(),
            strategies=portfolio.values() if portfolio is not None else (),
            orders=blotter_order(self._todays())[: settings.orders_shown_max],
            events=events,
            positions=engine.positions,
        )

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
        engine = self._engine
        execution = engine.executor.snapshot() if engine.executor is not None else None
        day = engine.portfolio.day_profit if engine.portfolio is not None else None
        unknown = sum(1 for record in engine.orders() if record.state is OrderState.UNKNOWN)
        return StatusView(
            venue=engine.parts.source.venue,
            venue_note=engine.parts.source.note,
            mode=engine.mode,
            account=engine.account,
            account_name=engine.profile.name,
            writer=engine.writer and (execution is None or execution.is_writer),
            session=engine.day.session_view(),
            feed=engine.feed.view(session_open=engine.day.is_open()),
            budget=execution.budget if execution is not None else NO_BUDGET,
            day_profit=dict(day.profit) if day is not None else dict.fromkeys(Mark, Decimal(0)),
            day_profit_partial=dict(day.partial) if day is not None else {},
            day_net=engine.portfolio.net_of_day(day) if engine.portfolio is not None and day is not None else {},
            margin_utilisation=engine.funds.utilisation if engine.funds is not None else None,
            unknown_orders=unknown,
            unread_events=engine.events.unread,
            replay=engine.data.played,
            degraded=engine.degraded,
        )

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
