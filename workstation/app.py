"""The terminal: one Desk, one frame timer, one registry of actions. It sees an engine only through ``EngineClient``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from textual import events
from textual.app import App
from textual.binding import BindingType
from textual.command import DiscoveryHit, Hit, Hits, Provider

from engine.client import EngineClient
from engine.core.commands import Command, Receipt
from engine.core.orders import OrderRecord
from engine.core.ports import Clock
from workstation.actions import Action, Place, Registry, key_sign
from workstation.dialogs.base import TextDialog
from workstation.dialogs.quit import QuitDialog, farewell_words
from workstation.formatting import glyphs_named
from workstation.frames import FrameSource, TakesFrames
from workstation.presenters.desk_state import DeskState
from workstation.presenters.help import help_lines
from workstation.presenters.settings import TerminalSettings
from workstation.screens.charts import ChartsScreen
from workstation.screens.context import DeskContext
from workstation.screens.desk import DeskScreen
from workstation.screens.doctor import DoctorScreen
from workstation.screens.engine_room import EngineRoomScreen
from workstation.screens.everywhere import KeysEverywhere
from workstation.screens.execution import ExecutionScreen
from workstation.screens.panic import PanicKey
from workstation.screens.place import PlaceScreen
from workstation.screens.places import CHARTS, DOCTOR, ENGINE, ORDERS, REPLAY, RULES, STRATEGY, VOLATILITY
from workstation.screens.presence import Presence
from workstation.screens.replay import ReplayScreen
from workstation.screens.rules import RulesScreen
from workstation.screens.strategy import StrategyScreen
from workstation.screens.submissions import Submissions
from workstation.screens.volatility import VolatilityScreen
from workstation.themes import DEFAULT_THEME, desk_themes, variable_defaults
from workstation.widgets.bindings import bindings_of

STYLES = Path(__file__).parent / "styles" / "desk.tcss"
DRAIN_S = 5.0
"""How long leaving waits for receipts of commands already handed over."""
HELP_WIDTH = 76
PLACES: Mapping[str, Callable[[DeskContext, str], PlaceScreen]] = {
    STRATEGY: StrategyScreen,
    VOLATILITY: VolatilityScreen,
    REPLAY: ReplayScreen,
    ENGINE: EngineRoomScreen,
    DOCTOR: DoctorScreen,
    RULES: RulesScreen,
    CHARTS: ChartsScreen,
    ORDERS: ExecutionScreen,
}
"""The screens that lie over the Desk; the second argument is what to look at."""
AFTER_QUIT = "This terminal ends; what rests at the broker goes on there."


def _random_key() -> str:
    return uuid4().hex


class ActionProvider(Provider):
    """The palette's view of the registry."""

    def _offers(self) -> list[Action]:
        app = self.app
        if not isinstance(app, WorkstationApp):
            return []
        return [action for action in app.registry.actions if action.palette and self._can(action)]

    def _can(self, action: Action) -> bool:
        """Whether the screen below the palette has such an action; what the program itself does is always there."""
        owner, _, call = action.handler.partition(".")
        if owner != "screen":
            return True
        method = call.partition("(")[0]
        return hasattr(self.screen, f"action_{method}") and bool(self.screen.check_action(method, ()))

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for action in self._offers():
            yield DiscoveryHit(_palette_words(action), self._runner(action), help=action.help)

    async def search(self, query: str) -> Hits:
        """What fits the words."""
        matcher = self.matcher(query)
        for action in self._offers():
            words = _palette_words(action)
            score = matcher.match(f"{words} {action.help}")
            if score > 0:
                yield Hit(score, matcher.highlight(words), self._runner(action), help=action.help)

    def _runner(self, action: Action) -> Callable[[], Coroutine[object, object, None]]:
        async def run() -> None:
            await self.app.run_action(action.handler)

        return run


def _palette_words(action: Action) -> str:
    return f"{action.label} ({key_sign(action.keys[0])})"


class WorkstationApp(App[None], inherit_bindings=False):
    """``await app.run_async()`` runs it; ``app.exit()`` ends it at any time, after the receipts under way."""

    CSS_PATH = STYLES
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.APP)
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {ActionProvider}
    COMMAND_PALETTE_BINDING = "ctrl+g"
    ENABLE_COMMAND_PALETTE = True
    TITLE = "workstation"

    def __init__(
        self,
        engine: EngineClient,
        settings: TerminalSettings,
        clock: Clock,
        *,
        seat: str = "terminal",
        after_quit: str = AFTER_QUIT,
        new_key: Callable[[], str] = _random_key,
        kill_command: Sequence[str] = (),
    ) -> None:
        """One terminal.

        Args:
            engine: The door; it is not closed here.
            settings: Looks and carefulness.
            clock: Market time for what is shown, monotonic time for ages and delays.
            seat: The name of this terminal in the engine's events.
            after_quit: One sentence: who keeps watching when this terminal is gone.
            new_key: Makes idempotency keys that are never repeated, over restarts too.
            kill_command: The words that start ``workstation kill`` for this engine; empty when it is elsewhere.

        Raises:
            InvalidInput: the keymap of the settings names an unknown action or gives one key twice.
        """
        super().__init__()
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._after_quit = after_quit
        self.registry = Registry(keymap=settings.keymap)
        self._glyphs = glyphs_named(settings.glyphs)
        self._source = FrameSource(engine, clock, fps=settings.fps)
        self._state = DeskState(settings.mark)
        self.submissions = Submissions(engine, seat=seat)
        self._shared = DeskContext(
            engine=engine,
            clock=clock,
            settings=settings,
            glyphs=self._glyphs,
            registry=self.registry,
            state=self._state,
            run=self._run,
            submit=self._submit,
            open_place=self._open_place,
            new_key=new_key,
        )
        self._presence = Presence(
            clock,
            self._submit,
            lambda: self._shared.picture.live_desk,
            self._shared.report,
            screen_late_ms=settings.screen_late_ms,
        )
        self._panic = PanicKey(self, self._shared, engine, seat=seat, kill_command=kill_command)
        for theme in desk_themes():
            self.register_theme(theme)
        self.theme = settings.theme if settings.theme in self.available_themes else DEFAULT_THEME
        self.set_keymap(dict(settings.keymap))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our colours, for themes that do not define them."""
        theme = self.available_themes.get(self.theme)
        return variable_defaults(dark=theme is None or theme.dark)

    def get_default_screen(self) -> DeskScreen:
        """The Desk."""
        return DeskScreen(self._shared)

    @property
    def shows_chain(self) -> bool:
        """Whether a chain with prices stands on the Desk."""
        view = self._shared.picture.chain
        return view is not None and view.header.forward is not None

    def on_mount(self) -> None:
        """Start the one frame timer."""
        self.set_interval(1.0 / self._settings.fps, self.take_frame, name="frame")
        self.call_after_refresh(self.take_frame)

    async def on_unmount(self) -> None:
        """Commands handed over get their receipts before the terminal is gone."""
        await self.submissions.drain(DRAIN_S)
        await self._panic.drain(DRAIN_S)

    def take_frame(self) -> None:
        """Pull one frame and give it to every screen that lives."""
        frame = self._source.take(self._state.key)
        for screen in self.screen_stack:
            if isinstance(screen, TakesFrames):
                screen.take_frame(frame)
        self._presence.take_frame(frame)

    async def on_event(self, event: events.Event) -> None:
        """Every key, also one that is typed into an input or a dialog, says that somebody sits here."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._presence.key()
        await super().on_event(event)

    def on_key(self, event: events.Key) -> None:
        """Counts and pairs of keys. Here, and not in a pane, because here keys arrive in the order they were typed."""
        screen = self.screen
        if isinstance(screen, KeysEverywhere) and screen.take_key(event.key, event.character):
            event.prevent_default()

    def _open_place(self, name: str, subject: str) -> None:
        """Put a screen over the Desk, in place of one that lies there; any other name is the Desk itself."""
        make = PLACES.get(name)
        over = isinstance(self.screen, PlaceScreen)
        if make is not None and over:
            self.switch_screen(make(self._shared, subject))
        elif make is not None:
            self.push_screen(make(self._shared, subject))
        else:
            if over:
                self.pop_screen()
            desk = self.screen_stack[0]
            if isinstance(desk, DeskScreen):
                desk.go_to(subject)

    def action_panic(self) -> None:
        """Hold at once; the panel says what one more press would do."""
        self._panic.press()

    def action_help(self) -> None:
        """Every key."""
        lines = help_lines(self.registry, HELP_WIDTH, self._glyphs)
        self.push_screen(TextDialog("Keys", lines, glyphs=self._glyphs, simulated=self._shared.simulated))

    def action_leave(self) -> None:
        """Say who keeps watching, then leave on ``y``."""
        desk = self._shared.picture.live_desk
        orders: tuple[OrderRecord, ...] = desk.orders if desk is not None else ()
        words = farewell_words(orders, self._after_quit)
        dialog = QuitDialog(
            words,
            clock=self._clock,
            glyphs=self._glyphs,
            simulated=self._shared.simulated,
            confirm_delay_ms=self._settings.confirm_delay_ms,
        )

        def answered(leave: bool | None) -> None:
            if leave:
                self.exit(message="\n".join(words))

        self.push_screen(dialog, answered)

    def action_say_how_to_quit(self) -> None:
        """Ctrl-C does nothing else."""
        self._shared.notify(f"{self.registry.keys_of('app.quit')} or :quit leaves. Nothing was interrupted.")

    def action_repaint(self) -> None:
        """Draw everything again."""
        self.refresh(layout=True)
        self.screen.refresh(layout=True)

    def action_next_theme(self) -> None:
        """The next of our themes."""
        names = [theme.name for theme in desk_themes()]
        place = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(place + 1) % len(names)]
        self._shared.notify(f"theme {self.theme}")

    def _run(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        self.run_worker(work, group=group, exclusive=replaces)

    def _submit(self, command: Command, answer: Callable[[Receipt], None]) -> None:
        self.submissions.submit(command, answer)
