"""``workstation replay TAPE``: the desk on a recorded day, which plays, pauses, and is traded against."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from datetime import datetime, time

from engine.client import EngineClient
from engine.clocks import SystemClock
from engine.core.errors import InvalidInput, SetupError
from engine.core.replay import SPEED_MAX, SPEED_MIN, ReplayAction, ReplayView
from engine.server.local_door import is_alive
from storage.databases import drop_database
from workstation.assembly import database_name, open_database
from workstation.cli.desk import run_desk
from workstation.cli.exit_codes import ExitCode
from workstation.cli.headless import run_headless
from workstation.cli.output import print_words
from workstation.exchange_process import discard
from workstation.formatting import IST, clock_time, india
from workstation.locations import Locations
from workstation.practice_venue import venue_id
from workstation.settings import Configuration

MAINTENANCE_DATABASE = "postgres"


async def run_replay(
    configuration: Configuration, locations: Locations, options: argparse.Namespace, environment: Mapping[str, str]
) -> int:
    """Open the desk, or an engine without a screen, on a tape.

    Raises:
        InvalidInput: no tape is named, or options that do not go together.
        SetupError: there is no tape at that place.
    """
    if options.tape is None and options.connect is None:
        raise InvalidInput(
            "Name a tape: `workstation replay TAPE`; `workstation record --list` lists those that are here."
        )
    speed = getattr(options, "speed", None)
    if speed is not None and not SPEED_MIN <= speed <= SPEED_MAX:
        raise InvalidInput(f"--speed {speed:g} is not between {SPEED_MIN:g} and {SPEED_MAX:g}.", field="speed")
    if options.fresh and (options.connect is not None or not await _forgotten(configuration, locations, options)):
        return ExitCode.REFUSED

    async def opened(client: EngineClient) -> None:
        await begin(client, options.begin, speed=speed, play=options.play)

    if options.headless and options.connect is None:
        return await run_headless(configuration, locations, until_idle=False, opened=opened)
    return await run_desk(configuration, locations, options, environment, opened=opened)


async def begin(client: EngineClient, moment: str | None, *, speed: float | None, play: bool) -> ReplayView:
    """Bring the tape of an engine to where a person wants it.

    Raises:
        InvalidInput: the moment cannot be read, or is not on the tape.
        Refused: the engine plays no tape, or it cannot go there.
    """
    view = await client.replay()
    seek = read_moment(moment, view) if moment is not None else None
    if seek is None and speed is None and not play:
        return view
    return await client.replay(ReplayAction(seek=seek, speed=speed, play=True if play else None))


def read_moment(text: str, view: ReplayView) -> datetime:
    """Return a moment of a tape: ``11:00`` or ``11:00:30`` (Indian time of its day), or an ISO time.

    Raises:
        InvalidInput: it is neither, or not on the tape.
    """
    try:
        moment = datetime.combine(india(view.start).date(), time.fromisoformat(text), IST)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidInput(f'--from "{text[:40]}" is no time; give 11:00, 11:00:30, or an ISO time.') from None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=IST)
    if not view.start <= moment <= view.end:
        span = f"{india(view.start):%-d %b %Y} {clock_time(view.start)} to {clock_time(view.end)}"
        raise InvalidInput(f"--from {text[:40]} is not on the tape, which goes from {span}.")
    return moment


async def _forgotten(configuration: Configuration, locations: Locations, options: argparse.Namespace) -> bool:
    """Throw away what this replay keeps: the exchange's book and the desk's database; false when that is not wanted.

    Raises:
        SetupError: an engine or an exchange of this replay still runs.
    """
    identity = venue_id(configuration.venue)
    if is_alive(locations.socket(identity)):
        raise SetupError("An engine runs on this replay; end it before --fresh throws its records away.")
    if not options.yes and not await _confirmed(identity):
        return False
    wait_s = configuration.venue.linger_s + configuration.venue.start_timeout_s
    await discard(locations.venue(identity), SystemClock(), wait_s=wait_s)
    async with open_database(configuration, locations, MAINTENANCE_DATABASE) as dsn:
        await drop_database(dsn, database_name(identity))
    print_words("what was traded in this replay before is gone")
    return True


async def _confirmed(identity: str) -> bool:
    if not sys.stdin.isatty():
        print_words("No terminal to confirm on: add --yes to throw the records of this replay away.")
        return False
    print_words(f"Throw away all orders, trades and strategies of {identity}? [y/N] ")
    answer = await asyncio.to_thread(sys.stdin.readline)
    return answer.strip().lower() in {"y", "yes"}
