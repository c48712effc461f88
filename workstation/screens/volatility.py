"""The Volatility screen: smile, dear and cheap strikes, expiries, history, futures and minutes of the chain in view.

It reads, once a second at most, and sends nothing. What it asks ends with it: its background work is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec
from textual.binding import BindingType
from textual.widget import Widget

from engine.core.analysis import SeriesView, SmileView, VolatilityView
from engine.core.views import ChainKey
from engine.core.vocabulary import QuoteState
from workstation.actions import Place
from workstation.formatting import india
from workstation.frames import Frame
from workstation.presenters.lines import EMPTY, Line, wrapped
from workstation.presenters.series_chart import INDICATORS, SERIES
from workstation.presenters.volatility_page import (
    PANES,
    VolatilityChoice,
    VolatilityPicture,
    volatility_page,
    why_sentences,
)
from workstation.screens.context import DeskContext
from workstation.screens.desk import DeskScreen
from workstation.screens.place import PlaceScreen
from workstation.screens.places import VOLATILITY
from workstation.screens.reading import Reading
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import LinePane

REFRESH_S = 1.0
REDRAW_S = 0.5
"""Ages and titles are drawn anew so often; keys and answers at once."""
MINUTES_REFRESH_S = 5.0
"""Minutes change once a minute; they are asked for again soon after one ends."""
EARLIER_DAYS = 7
"""How far back is looked when today has no minute yet: a holiday week at the most."""
MINUTE = timedelta(minutes=1)
TEXT_WIDTH = 76


class SeriesQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which minutes, and what beside them."""

    key: ChainKey
    indicators: tuple[str, ...]


class VolatilityScreen(PlaceScreen):
    """Looks at the chain that the Desk looks at; another expiry here is another one there."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.VOLATILITY)

    def __init__(self, context: DeskContext, subject: str) -> None:
        """Look at the chain in view; there is nothing else to choose by ``subject``."""
        del subject
        super().__init__(context, id=VOLATILITY, own_places=(Place.VOLATILITY,))
        self._page = LinePane(id="volatility-page")
        self._choice = VolatilityChoice()
        self._drawn: VolatilityPicture | None = None
        self._basis: tuple[object, ...] = ()
        self._drawn_at = -REDRAW_S
        engine, clock = context.engine, context.clock
        self._smile: Reading[ChainKey, SmileView] = Reading(
            "smile", engine.smile, self._in_background, clock, every_s=REFRESH_S
        )
        self._volatility: Reading[str, VolatilityView] = Reading(
            "volatility", engine.volatility, self._in_background, clock, every_s=REFRESH_S
        )
        self._series: Reading[SeriesQuestion, SeriesView] = Reading(
            "minutes", self._ask_minutes, self._in_background, clock, every_s=MINUTES_REFRESH_S
        )

    def body(self) -> Iterable[Widget]:
        """One pane: the page says itself where everything stands."""
        yield self._page

    def words_of_prefix(self) -> dict[str, str]:
        """The panes of this screen."""
        return {"w": "pane: " + "  ".join(f"{number} {name.lower()}" for number, name in PANES.items())}

    def second_key(self, prefix: str, key: str) -> bool:
        """Panes by digit; everything else as on every screen."""
        if prefix == "w" and key.isdecimal() and int(key) in PANES:
            self._choose(pane=int(key))
            return True
        return super().second_key(prefix, key)

    def forget(self) -> None:
        """Look anew."""
        self._drawn = None
        self._basis = ()

    def paint(self, frame: Frame) -> None:
        """Ask for what is old, draw what is known. A frozen picture keeps what it showed."""
        if self._shared.state.frozen_since is None or self._drawn is None:
            self._drawn = self._look(frame)
        context = self._shared
        if not self._must_redraw(self._drawn, frame.monotonic):
            return
        lines = volatility_page(
            self._drawn,
            self._choice,
            self.size.width,
            self._page.size.height,
            context.glyphs,
            simulated=context.simulated,
        )
        self._page.show(lines)

    # --- keys ------------------------------------------------------------------------------------------------------

    def action_expiry(self, step: int) -> None:
        """Another expiry, here and on the Desk."""
        self._on_desk(lambda desk: desk.action_expiry(step))

    def action_underlying(self, step: int) -> None:
        """Another underlying, here and on the Desk."""
        self._on_desk(lambda desk: desk.action_underlying(step))

    def action_series(self, step: int) -> None:
        """Another series of minutes."""
        chart = self._choice.chart
        place = SERIES.index(chart.series) + step * self._shared.state.take_count()
        self._choose(chart=msgspec.structs.replace(chart, series=SERIES[place % len(SERIES)]))

    def action_indicator(self) -> None:
        """The next indicator, or none."""
        chart = self._choice.chart
        place = INDICATORS.index(chart.indicator) + self._shared.state.take_count()
        self._choose(chart=msgspec.structs.replace(chart, indicator=INDICATORS[place % len(INDICATORS)]))

    def action_zoom(self) -> None:
        """The chosen pane alone, or all of them again."""
        self._choose(zoomed=not self._choice.zoomed)

    def action_next_pane(self) -> None:
        """The pane after the chosen one."""
        self._choose(pane=self._choice.pane % len(PANES) + 1)

    def action_previous_pane(self) -> None:
        """The pane before the chosen one."""
        self._choose(pane=(self._choice.pane - 2) % len(PANES) + 1)

    def action_why(self) -> None:
        """Why figures are missing or old."""
        picture = self._drawn
        if picture is None:
            return
        lines: list[Line] = []
        for sentence in why_sentences(picture):
            lines += [*(((part, ""),) for part in wrapped(sentence, TEXT_WIDTH)), EMPTY]
        self.show_text("Why", lines[:-1])

    # --- inside ----------------------------------------------------------------------------------------------------

    def _choose(self, **changes: object) -> None:
        self._choice = msgspec.structs.replace(self._choice, **changes)

    def _on_desk(self, act: Callable[[DeskScreen], None]) -> None:
        desk = self.app.screen_stack[0]
        if isinstance(desk, DeskScreen):
            act(desk)

    def _must_redraw(self, picture: VolatilityPicture, now: float) -> bool:
        """Whether there is something new to draw; drawing curves costs more than looking."""
        seen = (picture.smile, picture.volatility, picture.series)
        basis = (
            *(item.value for item in seen),
            *(item.trouble for item in seen),
            picture.key,
            picture.header is None,
            picture.feed,
            picture.trouble,
            self._choice,
            self._page.size,
            self.app.theme,
            self._shared.simulated,
        )
        if basis == self._basis and now - self._drawn_at < REDRAW_S:
            return False
        self._basis, self._drawn_at = basis, now
        return True

    def _look(self, frame: Frame) -> VolatilityPicture:
        state = self._shared.state
        key = state.key
        desk = self._shared.picture.live_desk
        question: SeriesQuestion | None = None
        if key is not None:
            chart = self._choice.chart
            question = SeriesQuestion(key=key, indicators=chart.indicator.asked(chart.series))
            self._smile.want(key)
            self._volatility.want(key.underlying)
            self._series.want(question)
        chain = frame.chain if frame.chain is not None and frame.chain.key == key else None
        return VolatilityPicture(
            key=key,
            label=state.label,
            header=chain.header if chain is not None else None,
            feed=desk.status.feed.state if desk is not None else QuoteState.UNKNOWN,
            smile=self._smile.seen(key),
            volatility=self._volatility.seen(key.underlying if key is not None else None),
            series=self._series.seen(question),
            trouble=frame.trouble,
        )

    async def _ask_minutes(self, question: SeriesQuestion) -> SeriesView:
        """Today's minutes; before the first one, those of the days before."""
        now = self._shared.clock.market_now() + MINUTE
        midnight = india(now).replace(hour=0, minute=0, second=0, microsecond=0)
        today = await self._minutes_since(midnight, now, question)
        if today.minute.size:
            return today
        return await self._minutes_since(midnight - timedelta(days=EARLIER_DAYS), now, question)

    async def _minutes_since(self, start: datetime, now: datetime, question: SeriesQuestion) -> SeriesView:
        return await self._shared.engine.series(question.key, start, now, indicators=question.indicators)

    def _in_background(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        self.run_worker(work, group=group, exclusive=replaces)
