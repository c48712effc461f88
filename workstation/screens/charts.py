"""The Charts screen: candles of one instrument, with studies, as far back as is wished for.

It reads, the newest candles once a second and only while it is in sight, and sends nothing. Which instrument it shows
is remembered for the terminal: it comes back to the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import ClassVar

import msgspec
from textual import events
from textual.binding import BindingType
from textual.widget import Widget

from engine.core.bars import BarInterval
from engine.core.errors import InvalidInput
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.vocabulary import QuoteState
from workstation.actions import Place
from workstation.frames import Frame
from workstation.presenters.chart_choice import INTERVALS, PITCHES, STUDY_WORDS, ChartTarget, is_study_letter
from workstation.presenters.chart_drawing import ChartPicture, chart_room
from workstation.presenters.chart_page import chart_page, label_width, why_sentences
from workstation.presenters.chart_search import search_lines
from workstation.presenters.chart_slots import Sight, SlotKind, is_at_oldest, moved, moved_by_day, window_of
from workstation.presenters.lines import EMPTY, Line, wrapped
from workstation.presenters.names import contract_name
from workstation.presenters.seen import Seen
from workstation.screens.chart_bars import ChartBars
from workstation.screens.chart_targets import chosen, cursor_target, step_from, targets_at_hand
from workstation.screens.context import DeskContext
from workstation.screens.places import CHARTS
from workstation.screens.prompting import PromptingScreen
from workstation.screens.quote_watch import QuoteWatch
from workstation.screens.reading import Reading
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import LinePane
from workstation.widgets.prompt import Prompt

NAMES_REFRESH_S = 30.0
"""How often an instrument that was not found is searched for again."""
SEARCH_LIMIT = 20
REDRAW_S = 0.5
"""Ages and titles are drawn anew so often; keys and answers at once."""
TEXT_WIDTH = 76
FAR = 1_000_000
"""More candles than are ever loaded."""
DEFAULT_TICK = 0.05
"""Of prices whose instrument is not known yet."""
NOTHING_CHOSEN = "No instrument is chosen: / searches for one, n takes the one at hand."


class SearchPrompt(Prompt):
    """A prompt with a list above it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.SEARCH)


class ChartsScreen(PromptingScreen):
    """Looks at the instrument that was chosen before it was opened."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.CHARTS)

    def __init__(self, context: DeskContext, subject: str) -> None:
        """Look at the instrument of the shared state; a number in ``subject`` is the length of a candle."""
        super().__init__(context, id=CHARTS, own_places=(Place.CHARTS,))
        self._page = LinePane(id="charts-page")
        self._sight = Sight()
        self._place = 0
        """Of the match that Enter would take."""
        self._drawn: ChartPicture | None = None
        self._basis: tuple[object, ...] = ()
        self._drawn_at = -REDRAW_S
        self._bars = ChartBars(context, self._in_background)
        self._quotes = QuoteWatch(context)
        self._names: Reading[ChartTarget, Instrument] = Reading(
            "instrument", self._find, self._in_background, context.clock, every_s=NAMES_REFRESH_S
        )
        self._matches: Reading[str, tuple[Instrument, ...]] = Reading(
            "search", self._search, self._in_background, context.clock, every_s=NAMES_REFRESH_S
        )
        if subject:
            self._take_length(subject)

    def body(self) -> Iterable[Widget]:
        """One pane: the page says itself where everything stands."""
        yield self._page

    def make_prompt(self) -> Prompt:
        """With keys that walk through what was found."""
        return SearchPrompt()

    async def on_unmount(self) -> None:
        """Give the subscription back."""
        await self._quotes.close()

    def words_of_prefix(self) -> dict[str, str]:
        """The studies."""
        return {"i": STUDY_WORDS}

    def second_key(self, prefix: str, key: str) -> bool:
        """Studies by letter; everything else as on every screen."""
        if prefix == "i" and is_study_letter(key):
            state = self._shared.state
            state.chart = state.chart.toggled(key)
            return True
        return super().second_key(prefix, key)

    def shown_places(self) -> tuple[Place, ...]:
        """While somebody types, the keys of the list too."""
        return (Place.SEARCH, *super().shown_places()) if self.is_asking else super().shown_places()

    def forget(self) -> None:
        """Look anew."""
        self._drawn = None
        self._basis = ()

    def paint(self, frame: Frame) -> None:
        """Ask for what is old, draw what is known. A frozen picture keeps what it showed."""
        if self.is_asking:
            self._paint_search()
            return
        if self._shared.state.frozen_since is None or self._drawn is None:
            self._drawn = self._look()
        if not self._must_redraw(self._drawn, frame.monotonic):
            return
        context, size = self._shared, (self.size.width, self._page.size.height)
        lines = chart_page(
            self._drawn, context.state.chart, self._sight, size, context.glyphs, simulated=context.simulated
        )
        self._page.show(lines)

    # --- keys ------------------------------------------------------------------------------------------------------

    def action_candle(self, step: int) -> None:
        """So many candles on or back."""
        self._move(step * self._shared.state.take_count())

    def action_page(self, pages: int) -> None:
        """Half a picture."""
        self._move(pages * self._shared.state.take_count() * max(1, self._room() // 2))

    def action_session(self, step: int) -> None:
        """To the open of a day."""
        if self._drawn is not None:
            count = self._shared.state.take_count()
            self._see(moved_by_day(self._drawn.slots, self._room(), self._sight, step * count), back=step < 0)

    def action_top(self) -> None:
        """The oldest candle."""
        self._move(-FAR)

    def action_newest(self) -> None:
        """The newest candle, and go along."""
        self._sight = Sight()

    def action_length(self) -> None:
        """The length of the count, or the next one."""
        state = self._shared.state
        count = state.take_count(0)
        if count:
            self._take_length(str(count))
            return
        place = INTERVALS.index(state.chart.interval) + 1
        state.chart = msgspec.structs.replace(state.chart, interval=INTERVALS[place % len(INTERVALS)])

    def action_widen(self, step: int) -> None:
        """Wider or narrower candles."""
        state = self._shared.state
        place = min(max(PITCHES.index(state.chart.pitch) + step, 0), len(PITCHES) - 1)
        state.chart = msgspec.structs.replace(state.chart, pitch=PITCHES[place])

    def action_instrument(self, step: int) -> None:
        """Another instrument at hand."""
        state, picture = self._shared.state, self._shared.picture
        targets = targets_at_hand(state, picture.chain, picture.live_desk)
        target = step_from(targets, state.charted, step * state.take_count())
        if target is None:
            self._shared.notify("No instrument is at hand; / searches for one.")
        else:
            self._chart(target)

    def action_search(self) -> None:
        """Type words; what answers to them is listed while they are typed."""
        self._place = 0
        self.ask_for("search")

    def action_choose(self, step: int) -> None:
        """Another one of the list."""
        found = self._matches.seen(self.typed.strip()).value or ()
        self._place = min(max(self._place + step, 0), max(0, len(found) - 1))

    def take_text(self, text: str) -> bool:
        """Chart the chosen match."""
        seen = self._matches.seen(text)
        if not text or seen.value is None:
            words = seen.trouble or "Being searched for." if text else "Type a name: nifty 24000 ce w0."
            self._shared.notify(words, "attention" if seen.trouble else "")
            return False
        if not seen.value:
            self._shared.notify(f'No instrument answers to "{text}" today.', "attention")
            return False
        self._chart(ChartTarget(key=seen.value[min(self._place, len(seen.value) - 1)].key))
        return True

    def after_prompt(self) -> None:
        """Draw the candles again."""
        self._basis = ()

    def action_why(self) -> None:
        """Why something is missing or old."""
        if self._drawn is None:
            return
        lines: list[Line] = []
        for sentence in why_sentences(self._drawn, self._shared.state.chart):
            lines += [*(((part, ""),) for part in wrapped(sentence, TEXT_WIDTH)), EMPTY]
        self.show_text("Why", lines[:-1])

    def on_click(self, event: events.Click) -> None:
        """The mouse puts the cursor on a candle."""
        picture = self._drawn
        if picture is None or event.widget is not self._page or self.is_asking:
            return
        pitch = self._shared.state.chart.pitch
        window = window_of(picture.slots, self._room(), self._sight)
        at = window.first + event.x // pitch
        places = [
            place
            for place in range(window.first, min(at + 1, window.end))
            if picture.slots[place].kind is SlotKind.CANDLE
        ]
        if window.cursor >= 0 and places:
            rows = picture.slots[places[-1]].row - picture.slots[window.cursor].row
            self._move(rows)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Later candles."""
        event.stop()
        self._move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Earlier candles."""
        event.stop()
        self._move(-1)

    # --- looking -----------------------------------------------------------------------------------------------------

    def _look(self) -> ChartPicture:
        state, picture = self._shared.state, self._shared.picture
        if state.charted is None:
            state.charted = cursor_target(state, picture.chain)
        target = state.charted
        if target is None:
            return ChartPicture(
                name="",
                tick=DEFAULT_TICK,
                bars=self._bars.look(None, state.chart),
                slots=(),
                feed=QuoteState.UNKNOWN,
                reason=NOTHING_CHOSEN,
            )
        self._names.want(target)
        seen = self._names.seen(target)
        instrument = seen.value
        key = target.key if instrument is None else instrument.key
        self._quotes.wish(frozenset({instrument.token}) if instrument is not None else frozenset())
        reason = ""
        if key is None:
            reason = seen.trouble or f'Searching for "{target.search}".'
        bars = self._bars.look(key, state.chart)
        return ChartPicture(
            name=_name(instrument, key, target),
            tick=float(instrument.tick_size) if instrument is not None else DEFAULT_TICK,
            bars=bars,
            slots=self._bars.slots,
            feed=self._state_of(instrument),
            reason=reason,
        )

    def _state_of(self, instrument: Instrument | None) -> QuoteState:
        """Of the instrument's own prices; of the feed where they are not known."""
        desk = self._shared.picture.live_desk
        feed = desk.status.feed.state if desk is not None else QuoteState.UNKNOWN
        quote = self._shared.engine.quote(instrument.token) if instrument is not None else None
        if quote is None or quote.state is QuoteState.UNKNOWN:
            return feed
        # A candle is made of trades: a book with one side, or a crossed one, says nothing against it.
        return QuoteState.LIVE if quote.state in {QuoteState.ONE_SIDED, QuoteState.CROSSED} else quote.state

    def _must_redraw(self, picture: ChartPicture, now: float) -> bool:
        """Whether there is something new to draw."""
        context = self._shared
        basis = (
            picture.name,
            picture.tick,
            picture.bars.value,
            picture.bars.trouble,
            picture.feed,
            picture.reason,
            context.state.chart,
            self._sight,
            self._page.size,
            self.app.theme,
            context.simulated,
        )
        old = picture.bars.is_stale and now - self._drawn_at >= REDRAW_S
        if basis == self._basis and not old:
            return False
        self._basis, self._drawn_at = basis, now
        return True

    def _paint_search(self) -> None:
        text = self.typed.strip()
        seen: Seen[tuple[Instrument, ...]] = Seen()
        if text:
            self._matches.want(text)
            seen = self._matches.seen(text)
        found = seen.value or ()
        self._place = min(self._place, max(0, len(found) - 1))
        context, size = self._shared, (self.size.width, self._page.size.height)
        self._page.show(
            search_lines(text, seen, self._place, size, context.glyphs, simulated=context.simulated),
        )

    async def _find(self, target: ChartTarget) -> Instrument:
        return chosen(target, await self._shared.engine.search(target.search, SEARCH_LIMIT))

    async def _search(self, text: str) -> tuple[Instrument, ...]:
        return await self._shared.engine.search(text, SEARCH_LIMIT)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _chart(self, target: ChartTarget) -> None:
        self._shared.state.charted = target
        self.forget()

    def _take_length(self, text: str) -> None:
        state = self._shared.state
        try:
            state.chart = msgspec.structs.replace(state.chart, interval=BarInterval.parse(text))
        except InvalidInput as error:
            self._shared.notify(str(error), "attention")

    def _room(self) -> int:
        """Places for candles in the picture as it is now."""
        if self._drawn is None:
            return 0
        return chart_room(self.size.width, label_width(self._drawn), self._shared.state.chart.pitch)

    def _move(self, candles_on: int) -> None:
        if self._drawn is not None:
            sight = moved(self._drawn.slots, self._room(), self._sight, candles_on)
            self._see(sight, back=candles_on < 0)

    def _see(self, sight: Sight, *, back: bool) -> None:
        """Look there; at the oldest candle, ask for older ones."""
        picture, before = self._drawn, self._sight
        if picture is None:
            return
        self._sight = sight
        if not back or not is_at_oldest(picture.slots, self._room(), sight):
            return
        interval = self._shared.state.chart.interval
        if self._bars.go_farther(interval):
            self._shared.notify("Loading earlier candles.")
        elif sight == before:
            days = self._bars.days(interval)
            self._shared.notify(f"Candles of {interval.minutes}m are shown for {days} days back at most.")

    def _in_background(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        self.run_worker(work, group=group, exclusive=replaces)


def _name(instrument: Instrument | None, key: InstrumentKey | None, target: ChartTarget) -> str:
    return contract_name(instrument, key) if key is not None else target.search
