"""Regenerates docs/screens from the program itself: ``python3 dev.py shots``.

Opens a desk of its own on the practice exchange at a fixed moment, trades a little so that every pane has something to
show, and takes the pictures. Prices depend on how fast this machine is; nothing on them is made up.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from docs.make_screenshots import REPLAY_SHOTS, save_screens
from engine.client import EngineClient
from engine.core.commands import CreateStrategy, PlaceOrder
from engine.core.replay import ReplayAction
from workstation.assembly import open_host
from workstation.locations import Locations
from workstation.screen_clock import ScreenClock
from workstation.settings import Configuration, VenueSettings

SCREENS = Path(__file__).resolve().parent / "screens"
START = "2026-11-25T11:02:00+05:30"
STRATEGY = "fly-1102"
SENTENCES = (
    "buy 5L nifty atm+300 ce w0 into fly-1102",
    "buy 5L nifty atm-300 pe w0 into fly-1102",
    "sell 5L nifty atm ce w0 into fly-1102",
    "sell 5L nifty atm pe w0 into fly-1102",
    "buy 1L banknifty atm+500 ce m0",
    "buy 2L nifty atm-200 pe w0 @ 45",
)
SETTLE_S = 6.0
REPLAY_SPEED = 5.0
REPLAYED = timedelta(seconds=20)
LOOK_S = 0.2


async def trade(engine: EngineClient) -> None:
    """Place the orders; each must be understood and taken."""
    await engine.submit(CreateStrategy(name=STRATEGY))
    for sentence in SENTENCES:
        found = await engine.interpret(sentence)
        if not isinstance(found.command, PlaceOrder):
            raise SystemExit(f"{sentence}: {found.error.message if found.error else 'no order'}")
        receipt = await engine.submit(found.command)
        if not receipt.accepted:
            raise SystemExit(f"{sentence}: {receipt.message}")
        await asyncio.sleep(1.0)
    await asyncio.sleep(SETTLE_S)


async def take() -> None:
    """Open, record, trade, take the pictures; then play the tape and take those of a replay."""
    configuration = Configuration(venue=VenueSettings(start=START, linger_s=1.0))
    with tempfile.TemporaryDirectory(prefix="ws-shots-", ignore_cleanup_errors=True) as folder:
        locations = Locations(Path(folder))
        async with open_host(configuration, locations, read_only=False, with_door=False) as host:
            await host.client.record(True)
            await trade(host.client)
            for path in await save_screens(host.client, SCREENS, clock=ScreenClock(host.client)):
                sys.stdout.write(f"{path}\n")
            recorder = (await host.client.record(False)).recorder
        if recorder is None:
            raise SystemExit("the desk keeps no tape")
        await _take_replay(VenueSettings(kind="replay", tape=recorder.path, linger_s=1.0), locations)


async def _take_replay(venue: VenueSettings, locations: Locations) -> None:
    async with open_host(Configuration(venue=venue), locations, read_only=False, with_door=False) as host:
        begin = await host.client.replay()
        await host.client.replay(ReplayAction(play=True, speed=REPLAY_SPEED))
        while (await host.client.replay()).now < begin.start + REPLAYED:  # noqa: ASYNC110 - a tape rings no bell
            await asyncio.sleep(LOOK_S)
        await host.client.replay(ReplayAction(play=False))
        for path in await save_screens(host.client, SCREENS, clock=ScreenClock(host.client), shots=REPLAY_SHOTS):
            sys.stdout.write(f"{path}\n")


def main() -> int:
    """Take all pictures."""
    asyncio.run(take())
    return 0


if __name__ == "__main__":
    sys.exit(main())
