"""Pictures of the screens, made by the program itself on whatever engine it is given. Nothing is drafted by hand.

``save_screens`` runs the terminal without a terminal, presses keys, and saves what stands on the screen. It opens a
review and cancels it; no order is ever sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from engine.client import EngineClient
from engine.core.ports import Clock
from workstation.app import WorkstationApp
from workstation.presenters.settings import TerminalSettings

CHAIN_DEADLINE_S = 60.0
LOOK_S = 0.1
SETTLE_S = 0.6
"""Long enough for look-ups and a few frames; pictures are of a living market."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: its file, the size of the screen, the keys before it, and other settings."""

    name: str
    width: int
    height: int
    keys: tuple[str, ...] = ()
    theme: str = "desk-dark"


SHOTS = (
    Shot("desk-120x36", 120, 36),
    Shot("desk-80x24", 80, 24),
    Shot("desk-160x45", 160, 45, ("j", "j", "l", "2", "b")),
    Shot("desk-200x60", 200, 60),
    Shot("desk-light", 120, 36, (), "desk-light"),
    Shot("ticket", 120, 36, ("j", "2", "b")),
    Shot("review", 120, 36, ("j", "2", "b", "enter")),
    Shot("help", 120, 36, ("question_mark",)),
    Shot("strategy", 120, 36, ("2", "g", "s")),
    Shot("volatility", 120, 36, ("g", "v")),
    Shot("charts", 120, 36, ("g", "t", "n", "n", "1", "m", "i", "r")),
    Shot("chain-value", 160, 45, ("3", "c")),
    Shot("engine-room", 120, 36, ("g", "n")),
    Shot("engine-room-80x24", 80, 24, ("g", "n", "w", "2")),
    Shot("doctor", 120, 36, ("g", "h")),
    Shot("rules", 120, 36, ("g", "u")),
)


REPLAY_SHOTS = (
    Shot("replay", 120, 36, ("g", "r")),
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
        TimeoutError: no chain with prices came within ``CHAIN_DEADLINE_S``.
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
        waited = 0.0
        while not app.shows_chain:
            if waited > CHAIN_DEADLINE_S:
                raise TimeoutError(f"{shot.name}: no chain with prices within {CHAIN_DEADLINE_S:.0f} seconds")
            await pilot.pause(LOOK_S)
            waited += LOOK_S
        await pilot.pause(SETTLE_S)
        for key in shot.keys:
            await pilot.press(key)
            await pilot.pause(LOOK_S)
        await pilot.pause(SETTLE_S)
        return app.export_screenshot(title=f"workstation {shot.name}")
