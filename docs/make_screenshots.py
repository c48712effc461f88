"""Pictures of the screens, made by the program itself on whatever engine it is given. Nothing is drafted by hand.

``save_screens`` runs the terminal without a terminal, presses keys, and saves what stands on the screen. It opens a
review and cancels it; no order is ever sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from textual.pilot import Pilot

from engine.client import EngineClient
from engine.core.ports import Clock
from workstation.app import WorkstationApp
from workstation.presenters.settings import TerminalSettings

CHAIN_DEADLINE_S = 60.0
SHOWN_DEADLINE_S = 60.0
"""Until a picture has on it what it is taken for."""
LOOK_UP_PATIENCE_S = 2.0
"""Look-ups that follow one another do not end in a living market."""
LOOK_S = 0.02
FRAMES = 3
"""Drawn after every key and before the picture, so that each pane has seen what arrived."""
SPACE = "&#160;"
"""As the pictures write it."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: its file, the size of the screen, the keys before it, and other settings.

    ``shows`` are words that stand on the screen once it has everything it asked the engine for; none of them is a
    pane's title. No picture is taken before they do.
    """

    name: str
    width: int
    height: int
    keys: tuple[str, ...] = ()
    theme: str = "desk-dark"
    shows: tuple[str, ...] = ("PCR",)


SHOTS = (
    Shot("desk-120x36", 120, 36),
    Shot("desk-80x24", 80, 24),
    Shot("desk-160x45", 160, 45, ("j", "j", "l", "2", "b")),
    Shot("desk-200x60", 200, 60),
    Shot("desk-light", 120, 36, (), "desk-light"),
    Shot("ticket", 120, 36, ("j", "2", "b"), shows=("BUY", "charges")),
    Shot("review", 120, 36, ("j", "2", "b", "enter"), shows=("all pass",)),
    Shot("help", 120, 36, ("question_mark",), shows=("Everywhere",)),
    Shot("strategy", 120, 36, ("2", "g", "s"), shows=("POP",)),
    Shot("volatility", 120, 36, ("g", "v"), shows=("fitted",)),
    Shot("charts", 120, 36, ("g", "t", "n", "n", "1", "m", "i", "r"), shows=("EMA 20",)),
    Shot("chain-value", 160, 45, ("3", "c")),
    Shot("engine-room", 120, 36, ("g", "n"), shows=("reconnects",)),
    Shot("engine-room-80x24", 80, 24, ("g", "n", "w", "2"), shows=("packet",)),
    Shot("doctor", 120, 36, ("g", "h"), shows=("pass",)),
    Shot("rules", 120, 36, ("g", "u"), shows=("against the dump",)),
)


REPLAY_SHOTS = (
    Shot("replay", 120, 36, ("g", "r"), shows=("of the tape",)),
    Shot("replay-desk", 120, 36),
)
"""Pictures of an engine that plays a tape."""


async def save_screens(
    client: EngineClient,
    folder: Path,
    *,
    clock: Clock,
    settings: TerminalSettings | None = None,
    shots: tuple[Shot, ...] = SHOTS,
) -> list[Path]:
    """Save every shot as ``folder/NAME.svg``.

    Args:
        client: The engine to look at; it is not closed.
        folder: Made if it is missing; pictures of the same name are replaced.
        clock: The clock the terminal is given.
        settings: Looks other than size and theme.
        shots: Which; ``REPLAY_SHOTS`` for an engine that plays a tape.

    Raises:
        TimeoutError: no chain with prices came within ``CHAIN_DEADLINE_S``, or a picture did not show what it is taken
            for within ``SHOWN_DEADLINE_S``.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    saved = []
    for shot in shots:
        path = folder / f"{shot.name}.svg"
        picture = await _picture(client, shot, clock, settings or TerminalSettings())
        await asyncio.to_thread(path.write_text, picture, encoding="utf-8")
        saved.append(path)
    return saved


async def _picture(client: EngineClient, shot: Shot, clock: Clock, settings: TerminalSettings) -> str:
    app = WorkstationApp(client, settings, clock, seat="screenshots")
    app.theme = shot.theme
    app.animation_level = "none"
    async with app.run_test(size=(shot.width, shot.height)) as pilot:
        await _until_chain(app, pilot, shot)
        await _settle(app, pilot)
        for key in shot.keys:
            await pilot.press(key)
            await _settle(app, pilot)
        return await _shown(app, pilot, shot)


async def _until_chain(app: WorkstationApp, pilot: Pilot[None], shot: Shot) -> None:
    deadline = monotonic() + CHAIN_DEADLINE_S
    while not app.shows_chain:
        if monotonic() > deadline:
            raise TimeoutError(f"{shot.name}: no chain with prices within {CHAIN_DEADLINE_S:.0f} seconds")
        await pilot.pause(LOOK_S)


async def _settle(app: WorkstationApp, pilot: Pilot[None]) -> None:
    """Until nothing is being looked up, and frames have been drawn since."""
    deadline = monotonic() + LOOK_UP_PATIENCE_S
    while any(worker.is_running for worker in app.workers) and monotonic() < deadline:
        await pilot.pause(LOOK_S)
    for _ in range(FRAMES):
        app.take_frame()
        await pilot.pause()


async def _shown(app: WorkstationApp, pilot: Pilot[None], shot: Shot) -> str:
    """The picture, as soon as it has on it what it is taken for."""
    deadline = monotonic() + SHOWN_DEADLINE_S
    while True:
        await _settle(app, pilot)
        picture = app.export_screenshot(title=f"workstation {shot.name}")
        missing = [words for words in shot.shows if words.replace(" ", SPACE) not in picture]
        if not missing:
            return picture
        if monotonic() > deadline:
            raise TimeoutError(f"{shot.name}: {missing} did not come onto the screen in {SHOWN_DEADLINE_S:.0f} seconds")
        await pilot.pause(LOOK_S)
