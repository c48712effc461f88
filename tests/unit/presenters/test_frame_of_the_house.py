"""Layout, keys, frames, colours and borders: what holds the screens together."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from textual.color import Color

import workstation
from engine.core.errors import InvalidInput
from engine.core.identifiers import InstrumentKey
from engine.core.views import ChainKey
from engine.core.vocabulary import Exchange, InstrumentKind
from tests.kit.fake_engine import FakeEngineClient
from workstation.actions import ACTIONS, Place, Registry, key_sign
from workstation.formatting import ASCII, UNICODE
from workstation.frames import FrameSource
from workstation.presenters.help import help_lines
from workstation.presenters.keyline import key_line
from workstation.presenters.layout import desk_layout
from workstation.presenters.lines import TONES, text_of, width_of
from workstation.presenters.settings import TerminalSettings
from workstation.screens.contracts import ContractBook
from workstation.themes import THEME_NAMES, desk_themes

FOLDER = Path(workstation.__file__).parent


@pytest.mark.parametrize("width", [80, 100, 119, 120, 160, 200, 300])
@pytest.mark.parametrize("height", [24, 29, 30, 36, 43, 44, 60, 100])
@pytest.mark.parametrize("strategies", [0, 3, 50])
def test_the_desk_always_leaves_room_for_strikes(width: int, height: int, strategies: int) -> None:
    """Whatever the size and however many strategies: at least seven strikes are seen."""
    layout = desk_layout(width, height, strategies)
    assert not layout.small
    fixed = 2 + layout.strip + (2 if layout.statistics else 1) + layout.strategies_height + layout.orders_height
    grid = height - fixed - layout.ghost_height - 2
    assert grid - 2 >= 7
    assert layout.chain_width + (33 if layout.side else 0) == width
    if layout.side:
        middle = grid + (2 if layout.statistics else 1)
        assert layout.ticket_height + (6 if layout.depth else 0) <= middle
        assert layout.ticket_height >= 10 or not layout.depth


@pytest.mark.parametrize(("width", "height"), [(79, 24), (80, 23), (40, 10), (1, 1), (0, 0)])
def test_smaller_is_small(width: int, height: int) -> None:
    """Below 80x24 only the essentials are drawn."""
    assert desk_layout(width, height, 3).small


def test_every_action_has_its_words_and_its_method() -> None:
    """Ids are unique, sentences end, and the handler exists where the key acts."""
    from workstation.app import WorkstationApp
    from workstation.dialogs.base import DeskDialog
    from workstation.dialogs.panic import PanicDialog
    from workstation.screens.charts import ChartsScreen
    from workstation.screens.desk import DeskScreen
    from workstation.screens.doctor import DoctorScreen
    from workstation.screens.engine_room import EngineRoomScreen
    from workstation.screens.execution import ExecutionScreen
    from workstation.screens.replay import ReplayScreen
    from workstation.screens.rules import RulesScreen
    from workstation.screens.strategy import StrategyScreen
    from workstation.screens.volatility import VolatilityScreen

    over = (
        StrategyScreen,
        VolatilityScreen,
        EngineRoomScreen,
        DoctorScreen,
        RulesScreen,
        ReplayScreen,
        ChartsScreen,
        ExecutionScreen,
    )
    everywhere = (DeskScreen, *over)
    owners: dict[Place, tuple[type, ...]] = {
        Place.DIALOG: (DeskDialog,),
        Place.STRATEGY: (StrategyScreen,),
        Place.VOLATILITY: (VolatilityScreen,),
        Place.REPLAY: (ReplayScreen,),
        Place.ENGINE: (EngineRoomScreen,),
        Place.DOCTOR: (DoctorScreen,),
        Place.RULES: (RulesScreen,),
        Place.CHARTS: (ChartsScreen,),
        Place.SEARCH: (ChartsScreen,),
        Place.PROMPT: (ReplayScreen, RulesScreen, ChartsScreen, ExecutionScreen),
        Place.LIST: (DeskScreen, RulesScreen, ExecutionScreen),
        Place.EXECUTION: (ExecutionScreen,),
        Place.PANIC: (PanicDialog,),
        Place.TAPE: everywhere,
        Place.DESK: everywhere,
    }
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    for action in ACTIONS:
        assert action.help.endswith(".")
        owner, _, call = action.handler.partition(".")
        method = f"action_{call.split('(')[0]}"
        for target in (WorkstationApp,) if owner == "app" else owners.get(action.place, (DeskScreen,)):
            assert hasattr(target, method), (action.id, target)


def test_a_keymap_is_checked() -> None:
    """Unknown actions, missing keys and keys used twice are refused in words that name them."""
    assert Registry(keymap={"chain.buy": "f, f5"}).keys_of("chain.buy") == "f"
    with pytest.raises(InvalidInput, match=r"chain\.bye"):
        Registry(keymap={"chain.bye": "f"})
    with pytest.raises(InvalidInput, match="without a key"):
        Registry(keymap={"chain.buy": " , "})
    with pytest.raises(InvalidInput, match=r'"s" is given to both'):
        Registry(keymap={"chain.buy": "s"})


@pytest.mark.parametrize(
    ("key", "sign"),
    [("left_square_bracket", "["), ("ctrl+g", "Ctrl-G"), ("f1", "F1"), ("shift+tab", "S-Tab"), ("M", "M"), ("b", "b")],
)
def test_key_signs(key: str, sign: str) -> None:
    """Keys as a person writes them."""
    assert key_sign(key) == sign


def test_key_line_and_help_come_from_the_registry() -> None:
    """A moved key moves in both; what does not fit is left out whole; every action is in the help."""
    registry = Registry(keymap={"chain.buy": "f"})
    places = (Place.CHAIN, Place.DESK, Place.APP)
    line = text_of(key_line(places, registry, count="10", prefix="", width=120, glyphs=UNICODE))
    assert line.startswith(" 10…  s sell  f buy  Enter review  [ ] expiry")
    assert width_of(key_line(places, registry, count="", prefix="", width=30, glyphs=UNICODE)) == 30
    assert "CONFIRM" in text_of(key_line(places, registry, count="", prefix="A", width=80, glyphs=UNICODE))
    lines = help_lines(registry, 76, ASCII)
    text = re.sub(r"\s+", " ", "\n".join(text_of(part) for part in lines))
    assert all(action.help in text for action in registry.actions)
    assert all(width_of(part) <= 76 for part in lines)
    assert text.isascii()


def test_frames_pull_only_the_newest(engine: FakeEngineClient) -> None:
    """The sequence goes back to the engine: the second frame names only what changed; another chain starts anew."""
    key = ChainKey("NIFTY", date(2027, 1, 19))
    source = FrameSource(engine, engine.clock, fps=20)
    first = source.take(key)
    assert first.chain is not None
    assert len(first.chain.changed) == len(first.chain.strikes)
    second = source.take(key)
    assert second.chain is not None
    assert len(second.chain.changed) == 0
    engine.shift(key, 4, 1.0)
    third = source.take(key)
    assert third.chain is not None
    assert list(third.chain.changed) == [4]
    other = ChainKey("NIFTY", date(2027, 1, 26))
    engine.watched[other] = 1
    fourth = source.take(other)
    assert fourth.chain is not None
    assert len(fourth.chain.changed) == len(fourth.chain.strikes)
    assert source.take(None).chain is None


def test_frames_measure_age_and_lag(engine: FakeEngineClient) -> None:
    """An unchanged picture ages; a frame that comes late is lag for one second."""
    source = FrameSource(engine, engine.clock, fps=20)
    assert source.take(None).screen_lag_ms == 0.0
    engine.clock.advance(0.05)
    calm = source.take(None)
    assert calm.screen_lag_ms == pytest.approx(0.0, abs=1e-6)
    assert calm.picture_age_s == pytest.approx(0.05)
    engine.clock.advance(0.35)
    assert source.take(None).screen_lag_ms == pytest.approx(300.0)
    engine.touch()
    for _ in range(21):
        engine.clock.advance(0.05)
        frame = source.take(None)
    assert frame.screen_lag_ms == pytest.approx(0.0, abs=1e-6)
    assert frame.picture_age_s == pytest.approx(1.0)


def test_a_frame_never_raises(engine: FakeEngineClient) -> None:
    """A failing engine is a sentence in the frame, and the last picture is kept."""
    source = FrameSource(engine, engine.clock, fps=20)
    good = source.take(None)
    engine.failing = "the socket is closed"
    bad = source.take(None)
    assert bad.trouble == "the socket is closed"
    assert bad.desk is good.desk


def test_a_frame_before_the_first_picture(engine: FakeEngineClient) -> None:
    """An engine that has never answered gives a frame without a picture."""
    engine.failing = "the socket is closed"
    assert FrameSource(engine, engine.clock, fps=20).take(None).desk is None


async def test_contracts_are_looked_up_once(engine: FakeEngineClient) -> None:
    """A symbol is searched once, kept, and what was not found is not asked for in every frame."""
    book = ContractBook(engine, engine.clock)
    instrument = engine.option("NIFTY", 0, 24_400, InstrumentKind.CALL)
    assert book.find(instrument.key) is None
    assert book.is_waiting
    await book.look_up()
    assert book.find(instrument.key) == instrument
    assert book.find_token(instrument.token, "nifty 24400 ce w0") == instrument
    assert book.find(InstrumentKey(Exchange.NFO, "NONSENSE")) is None
    await book.look_up()
    assert book.find(InstrumentKey(Exchange.NFO, "NONSENSE")) is None
    waiting = [book.is_waiting]
    engine.clock.advance(11.0)
    assert book.find(InstrumentKey(Exchange.NFO, "NONSENSE")) is None
    waiting.append(book.is_waiting)
    assert waiting == [False, True]


async def test_only_the_very_token_is_taken(engine: FakeEngineClient) -> None:
    """Words that lead to another contract never stand in for the one under the cursor."""
    book = ContractBook(engine, engine.clock)
    put = engine.option("NIFTY", 0, 24_400, InstrumentKind.PUT)
    assert book.find_token(put.token, "nifty 24400 ce w0") is None
    await book.look_up()
    assert book.find_token(put.token, "nifty 24400 ce w0") is None


def test_every_tone_has_a_style_and_every_colour_is_a_variable() -> None:
    """The style sheet knows each word a span may name, and no literal colour."""
    sheet = (FOLDER / "styles" / "desk.tcss").read_text(encoding="utf-8")
    styled = set(re.findall(r"\.tone--(\w+) \{", sheet))
    assert styled == set(TONES)
    rules = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?=[^{]*;)", rules)
    for name in re.findall(r"\$(desk-[\w-]+)", sheet):
        assert all(name in theme.variables for theme in desk_themes())


@pytest.mark.parametrize("theme", desk_themes(), ids=lambda theme: theme.name)
def test_text_can_be_read(theme: object) -> None:
    """Contrast of at least 4.5 for everything that carries meaning, on plain, raised and selected rows."""
    variables, background = theme.variables, theme.background  # type: ignore[attr-defined]

    def luminance(colour: str) -> float:
        def linear(part: float) -> float:
            return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

        red, green, blue = (linear(part / 255) for part in Color.parse(colour).rgb)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(first: str, second: str) -> float:
        light, dark = sorted((luminance(first), luminance(second)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    backgrounds = (background, variables["desk-raised"], variables["desk-selected"])
    for word in ("text", "gain", "loss", "attention", "muted"):
        for behind in backgrounds:
            assert contrast(variables[f"desk-{word}"], behind) >= 4.5, (word, behind)
    assert contrast(variables["desk-danger-text"], variables["desk-danger-back"]) >= 4.5
    assert contrast(variables["desk-cursor-text"], variables["desk-cursor-back"]) >= 4.5


def test_the_default_theme_exists() -> None:
    """The setting's default is one of ours."""
    assert TerminalSettings().theme in THEME_NAMES


def test_presenters_need_no_screen_library() -> None:
    """Importing every presenter, the registry and the settings loads no Textual."""
    names = [f"workstation.presenters.{path.stem}" for path in (FOLDER / "presenters").glob("*.py")]
    code = "import sys\n" + "\n".join(
        f"import {name}" for name in [*names, "workstation.actions", "workstation.formatting"]
    )
    code += "\nassert not [name for name in sys.modules if name.split('.')[0] == 'textual'], sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_screens_see_only_the_door_and_the_domain() -> None:
    """Of the engine, screens, widgets, dialogs and presenters import only the client and the core."""
    for folder in ("screens", "widgets", "dialogs", "presenters"):
        for path in (FOLDER / folder).glob("*.py"):
            for name in re.findall(
                r"^(?:from|import) (engine[\w.]*|storage[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE
            ):
                assert name == "engine.client" or name.startswith("engine.core"), (path.name, name)
