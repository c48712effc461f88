"""The Strategy screen: legs, payoff, scenario, candles of its money, and why the money moved. Nothing here sends.

It reads once a second at most and only what is in sight. What it asks ends with it: its background work is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from engine.core.errors import WorkstationError
from engine.core.identifiers import StrategyNumber
from engine.core.strategies import StrategyValue
from engine.core.views import DeskView
from workstation.actions import Place
from workstation.formatting import SECONDS_PER_DAY, SECONDS_PER_MINUTE
from workstation.frames import Frame
from workstation.presenters.attribution import attribution_reasons
from workstation.presenters.chart_choice import ChartTarget
from workstation.presenters.lines import Line, wrapped
from workstation.presenters.m2m_chart import STEPS
from workstation.presenters.names import contract_name
from workstation.presenters.payoff import payoff_reasons
from workstation.presenters.scenario import grid_moves, grid_shifts, scenario_reasons
from workstation.presenters.status import small_lines
from workstation.presenters.strategy_layout import StrategyLayout, strategy_layout
from workstation.presenters.strategy_legs import LegMarket, leg_details, leg_reasons, quotes_words
from workstation.screens.context import DeskContext
from workstation.screens.contracts import ContractBook
from workstation.screens.place import PlaceScreen
from workstation.screens.places import CHARTS, STRATEGY
from workstation.screens.strategy_market import LegMarkets
from workstation.screens.strategy_page import (
    LEGS,
    M2M,
    MOVED,
    PANES,
    PAYOFF,
    RAIL,
    SCENARIO,
    StrategyPage,
    StrategyPanes,
    StrategyPicture,
)
from workstation.screens.strategy_readings import REFRESH_S, PayoffQuestion, ScenarioQuestion, StrategyReadings
from workstation.widgets.bindings import bindings_of

TEXT_WIDTH = 76
FAR = 1_000_000
"""More rows than any list has."""
SHIFT_STEP = 0.01
SHIFT_MOST = 0.30
"""Volatility points that a payoff may be moved by, either way."""
EXPIRY_MARGIN_S = 60.0
"""The latest moment to look at: this long before the nearest expiry, so that a question under way stays valid."""


class StrategyScreen(PlaceScreen):
    """Looks at one strategy."""

    AUTO_FOCUS = f"#{LEGS}"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.STRATEGY)

    def __init__(self, context: DeskContext, subject: str) -> None:
        """Look at the strategy whose number is ``subject``; empty for the one seen last."""
        super().__init__(context, id=STRATEGY, own_places=(Place.STRATEGY,))
        if subject.isdecimal():
            context.state.strategy = int(subject)
        self._panes = StrategyPanes.make()
        self._contracts = ContractBook(context.engine, context.clock)
        self._markets = LegMarkets(context)
        self._page = StrategyPage(context, self._panes, self._contracts)
        self._picture = StrategyPicture()
        self._layout_now: StrategyLayout | None = None
        self._alone = PAYOFF
        """The pane that is seen where there is room for one."""
        self._days = 0.0
        self._shift = 0.0
        self._minutes = STEPS[0]
        self._looked_at: float | None = None
        self._known: tuple[object, ...] = ()
        """What had been looked up and watched by then: when there is more, it is looked at without waiting."""
        self._looking_up = False
        self._readings = StrategyReadings(context, self._in_background)

    # --- the screen --------------------------------------------------------------------------------------------------

    def body(self) -> Iterable[Widget]:
        """Title, legs, and the four panes."""
        yield from self._panes.all

    async def on_unmount(self) -> None:
        """Give the subscriptions back."""
        await self._markets.close()

    def forget(self) -> None:
        """Draw everything anew in the next frame."""
        self._page.forget()

    def paint(self, frame: Frame) -> None:
        """Ask for what is old, draw what is known. A frozen picture keeps what it showed."""
        state, desk = self._shared.state, self._shared.picture.desk
        if state.frozen_since is None or not self._is_whole():
            self._look(frame, desk)
        self._arrange()
        layout = self._layout_now
        if layout is None or layout.small:
            lines = small_lines(desk, state.mark, self.size.width, self.size.height, self._shared.glyphs)
            self._panes.small.show(lines)
            return
        focus = (self.focused.id or "") if self.focused is not None else ""
        self._page.paint(self._picture, layout, focus, self._minutes)

    def pane_of_digit(self, digit: str) -> Widget | None:
        """The panes of this screen."""
        place = int(digit) - 1 if digit.isdecimal() else -1
        return self._panes.named(list(PANES)[place]) if 0 <= place < len(PANES) else None

    def words_of_prefix(self) -> dict[str, str]:
        """The panes of this screen."""
        return {"w": "pane: " + "  ".join(f"{place} {name.lower()}" for place, name in enumerate(PANES.values(), 1))}

    def show_pane(self, pane: Widget) -> None:
        """Go to a pane; where there is room for one, that one."""
        if pane.id in PANES and pane.id != LEGS:
            self._alone = pane.id
        self._place_panes()
        self.set_focus(pane)

    # --- keys --------------------------------------------------------------------------------------------------------

    def action_next_pane(self) -> None:
        """The pane after the one with focus; also one that is not seen yet."""
        self._step_pane(1)

    def action_previous_pane(self) -> None:
        """The pane before the one with focus."""
        self._step_pane(-1)

    def action_days(self, step: int) -> None:
        """Look at a later or an earlier day."""
        if self._is_frozen():
            return
        latest = self._days_left()
        wanted = self._days + step * self._shared.state.take_count()
        if latest is not None and wanted > latest:
            self._shared.notify("That is the nearest expiry; there is no later day to look at.")
            wanted = latest
        # From the fraction before expiry a step back leads to a whole day again.
        self._days = max(0.0, wanted if step > 0 or wanted == int(wanted) else float(int(wanted) + 1))

    def action_shift(self, step: int) -> None:
        """Look at another volatility."""
        if self._is_frozen():
            return
        wanted = self._shift + step * self._shared.state.take_count() * SHIFT_STEP
        self._shift = round(min(max(wanted, -SHIFT_MOST), SHIFT_MOST), 4)

    def action_present(self) -> None:
        """The present day and volatility."""
        if self._is_frozen():
            return
        self._days = self._shift = 0.0

    def action_candles(self, step: int) -> None:
        """More or fewer minutes in a candle."""
        place = STEPS.index(self._minutes) + step
        self._minutes = STEPS[min(max(place, 0), len(STEPS) - 1)]

    def action_step(self, step: int) -> None:
        """Another strategy, round the list."""
        desk = self._shared.picture.desk
        numbers = [int(value.strategy.number) for value in desk.strategies] if desk is not None else []
        if not numbers or self._is_frozen():
            return
        here = self._shared.state.strategy
        place = numbers.index(here) + step * self._shared.state.take_count() if here in numbers else 0
        self._look_at(numbers[place % len(numbers)])

    def action_strategy(self) -> None:
        """The strategy of the count."""
        self.go_over(STRATEGY)

    def go_over(self, place: str) -> None:
        """Another strategy is looked at on this very screen."""
        if place == CHARTS:
            self._chart_leg()
        if place != STRATEGY:
            super().go_over(place)
        elif self._shared.state.count and not self._is_frozen():
            self._look_at(self._shared.state.take_count())

    def action_move(self, rows: int) -> None:
        """Up or down among the legs; a count repeats."""
        self._panes.legs.move(rows * self._shared.state.take_count())

    def action_page(self, pages: int) -> None:
        """Half a page."""
        self.action_move(pages * max(1, self._panes.legs.page // 2))

    def action_top(self) -> None:
        """First leg."""
        self._panes.legs.move(-FAR)

    def action_bottom(self) -> None:
        """The sum."""
        self._panes.legs.move(FAR)

    def action_open_row(self) -> None:
        """Everything about the leg of the row."""
        value, number = self._picture.value, self._panes.legs.row_id
        leg = next((leg for leg in value.legs if leg.leg.number == number), None) if value is not None else None
        if leg is None:
            return
        instrument = self._contracts.find(leg.leg.instrument)
        market = self._picture.markets.get(leg.leg.token, LegMarket())
        name = contract_name(instrument, leg.leg.instrument)
        self._show(f"Leg {leg.leg.strategy}.{leg.leg.number}", leg_details(leg, market, name, self._shared.glyphs))

    def action_why(self) -> None:
        """Why figures are missing or old."""
        picture = self._picture
        seen = {
            PANES[PAYOFF]: picture.payoff,
            PANES[SCENARIO]: picture.scenario,
            PANES[MOVED]: picture.attribution,
            PANES[M2M]: picture.candles,
        }
        sentences = [picture.missing] if picture.missing else []
        sentences += [f"{name}: {item.trouble}" for name, item in seen.items() if item.trouble]
        sentences += [self._markets.trouble] if self._markets.trouble else []
        if picture.value is not None:
            sentences += leg_reasons(picture.value, picture.markets)
        sentences += payoff_reasons(picture.payoff.value)
        sentences += scenario_reasons(picture.scenario.value)
        sentences += attribution_reasons(picture.attribution.value)
        self._show("Why", list(dict.fromkeys(sentences)) or ["Every figure is known, and none is old."])

    # --- looking -----------------------------------------------------------------------------------------------------

    def _look(self, frame: Frame, desk: DeskView | None) -> None:
        """Take the strategy and its market once a second, and ask for what is in sight."""
        picture = self._picture
        now = frame.monotonic
        value = self._find_strategy(desk, frame)
        other = value is None or picture.value is None or value.strategy.number != picture.value.strategy.number
        known = (self._contracts.version, self._markets.held)
        if other or known != self._known or self._looked_at is None or now - self._looked_at >= REFRESH_S:
            self._known = known
            self._looked_at = now
            picture.value, picture.at = value, frame.market_now
            picture.is_open = desk is not None and desk.status.session.state == "open"
            self._look_at_market(picture)
        if picture.value is not None and self._layout_now is not None:
            self._read(picture, picture.value.strategy.number)

    def _is_whole(self) -> bool:
        """Whether everything in sight has been answered once: a frozen picture is not left half drawn."""
        picture = self._picture
        seen = {PAYOFF: picture.payoff, SCENARIO: picture.scenario, MOVED: picture.attribution, M2M: picture.candles}
        waits = any(self._in_sight(name) and item.value is None and not item.trouble for name, item in seen.items())
        return picture.at is not None and (picture.value is None or not waits)

    def _is_frozen(self) -> bool:
        """Whether another moment or strategy cannot be looked at now; then it is said."""
        if self._shared.state.frozen_since is None:
            return False
        self._shared.state.count = ""
        self._shared.notify("The picture is frozen; Space lets it go on.")
        return True

    def _find_strategy(self, desk: DeskView | None, frame: Frame) -> StrategyValue | None:
        """The strategy looked at; the first that holds something when none was chosen."""
        picture, state = self._picture, self._shared.state
        picture.missing = ""
        if desk is None:
            picture.missing = frame.trouble or "Waiting for the engine's first picture."
            return None
        if state.strategy is None:
            held = [value for value in desk.strategies if value.open_legs] or list(desk.strategies)
            state.strategy = int(held[0].strategy.number) if held else None
        for value in desk.strategies:
            if value.strategy.number == state.strategy:
                return value
        listed = ", ".join(f"#{value.strategy.number}" for value in desk.strategies)
        picture.missing = "There is no strategy yet."
        if state.strategy is not None:
            picture.missing = f"#{state.strategy} is not among the active strategies. There are {listed or 'none'}."
        return None

    def _look_at_market(self, picture: StrategyPicture) -> None:
        """Contracts, quotes and Greeks of the open legs; what fails is told by ``why`` and tried again."""
        value = picture.value
        held = [leg.leg for leg in value.legs if leg.leg.holding.signed_quantity] if value is not None else []
        found = [self._contracts.find(leg.instrument) for leg in held]
        # A closed leg is named as well.
        for leg in value.legs if value is not None else ():
            self._contracts.find(leg.leg.instrument)
        picture.contracts = tuple(contract for contract in found if contract is not None)
        if self._contracts.is_waiting and not self._looking_up:
            self._looking_up = True
            self._in_background(self._look_up, "strategy contracts", False)
        self._markets.watch(picture.contracts)
        try:
            markets, picture.seconds_to_expiry = self._markets.look(picture.contracts)
        except WorkstationError:
            # The frame says why; what was seen last stays, and its age is the desk's.
            return
        picture.markets = dict(markets)
        picture.quotes = quotes_words(value, picture.markets) if value is not None else ""

    async def _look_up(self) -> None:
        try:
            await self._contracts.look_up()
        finally:
            self._looking_up = False

    def _read(self, picture: StrategyPicture, number: StrategyNumber) -> None:
        """Ask for what is in sight; keep what was seen until its successor is there."""
        latest = self._days_left()
        days = self._days if latest is None else min(self._days, latest)
        if self._in_sight(PAYOFF):
            picture.payoff = self._readings.payoff(PayoffQuestion(number, days, self._shift))
        if self._in_sight(SCENARIO):
            size = self._panes.scenario.size
            width = size.width - (RAIL if self._layout_now is not None and self._layout_now.split else 0)
            question = ScenarioQuestion(number, days, grid_moves(width), grid_shifts(size.height - 1))
            picture.scenario = self._readings.scenario(question)
        if self._in_sight(MOVED):
            picture.attribution = self._readings.attribution(number)
        # The head tells the extremes of the day, so candles are always in sight.
        picture.candles = self._readings.candles(number)

    def _in_sight(self, name: str) -> bool:
        layout = self._layout_now
        return layout is not None and not layout.small and (layout.split or self._alone == name)

    def _days_left(self) -> float | None:
        """Days to the latest moment that can be looked at, in whole minutes; ``None`` while unknown."""
        seconds = self._picture.seconds_to_expiry
        if seconds is None:
            return None
        minutes = max(0.0, seconds - EXPIRY_MARGIN_S) // SECONDS_PER_MINUTE
        return minutes * SECONDS_PER_MINUTE / SECONDS_PER_DAY

    def _in_background(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        self.run_worker(work, group=group, exclusive=replaces)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _chart_leg(self) -> None:
        """The leg of the row is the one whose candles are looked at."""
        value, number = self._picture.value, self._panes.legs.row_id
        leg = next((leg.leg for leg in value.legs if leg.leg.number == number), None) if value is not None else None
        if leg is not None:
            self._shared.state.charted = ChartTarget(key=leg.instrument)

    def _look_at(self, number: int) -> None:
        """Another strategy, at the present moment."""
        self._shared.state.strategy = number
        self._picture = StrategyPicture()
        self._looked_at = None
        self._days = self._shift = 0.0
        self._page.forget()

    def _step_pane(self, step: int) -> None:
        names = list(PANES)
        here = (self.focused.id or "") if self.focused is not None else ""
        place = names.index(here) + step if here in names else 0
        self.show_pane(self._panes.named(names[place % len(names)]))

    def _arrange(self) -> None:
        """Give every pane its place when the size or the number of legs changed."""
        value = self._picture.value
        rows = len(value.legs) + 1 if value is not None else 0
        layout = strategy_layout(self.size.width, self.size.height, rows)
        if layout == self._layout_now:
            return
        self._layout_now = layout
        self._page.forget()
        self._place_panes()

    def _place_panes(self) -> None:
        if self._layout_now is not None:
            self._panes.place(self._layout_now, self._alone)

    def _show(self, name: str, sentences: list[str]) -> None:
        lines: list[Line] = []
        for sentence in sentences:
            lines += [((part, ""),) for part in wrapped(sentence, TEXT_WIDTH)]
        self.show_text(name, lines)
