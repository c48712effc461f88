"""The desk: a screen on the engine that runs here already, or on one opened in this process.

Hang-up ends the screen and leaves the engine; quitting while orders work hands them to a headless engine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from engine.client import EngineClient
from engine.core.errors import SetupError
from engine.server.remote_client import RemoteClient
from workstation.app import WorkstationApp
from workstation.assembly import open_host
from workstation.cli.exit_codes import ExitCode
from workstation.cli.headless import is_busy, serve
from workstation.cli.logs import log_to_file
from workstation.cli.output import print_words
from workstation.cli.running import connected, market_words, running_engine, start_headless
from workstation.locations import Locations
from workstation.screen_clock import ScreenClock
from workstation.settings import Configuration

STANDARD_STREAMS = (0, 1, 2)
ENGINE_GOES_ON = "The engine runs on its own and goes on watching."
Opened = Callable[[EngineClient], Awaitable[None]]
ENGINE_IN_THIS_PROCESS = "While orders work, an engine without a screen goes on watching; otherwise it stops too."


async def run_desk(
    configuration: Configuration,
    locations: Locations,
    options: argparse.Namespace,
    environment: Mapping[str, str],
    *,
    opened: Opened | None = None,
) -> int:
    """Show the desk until the person leaves; ``opened`` is called with the engine before it is shown."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        print_words("The desk needs a terminal; commands such as `workstation chain NIFTY` do not.")
        return ExitCode.USAGE
    log_to_file(configuration.log, locations, "desk")
    if options.connect is not None:
        return await _attached(await connected(configuration, options, environment, resume=True), configuration, opened)
    socket = running_engine(configuration, locations, options)
    if socket is None and options.command == "attach":
        raise SetupError("No engine runs here. `workstation` starts one with the desk, `workstation serve` without.")
    if socket is None:
        print_words("Starting: database, practice exchange, engine …")
        try:
            return await _own_engine(configuration, locations, options, opened)
        except SetupError:
            # Somebody else's engine was a little faster: look through that one.
            socket = running_engine(configuration, locations, options)
            if socket is None:
                raise
    client = await RemoteClient.attach(socket, timeout_s=configuration.door.call_timeout_s, resume=True)
    return await _attached(client, configuration, opened, kill_words(locations, options))


def kill_words(locations: Locations, options: argparse.Namespace) -> tuple[str, ...]:
    """The command line of ``workstation kill`` for the engine of this screen."""
    words = [sys.executable, "-m", "workstation.cli.main", "--data", str(locations.data)]
    if options.config is not None:
        words += ["--config", str(options.config)]
    return (*words, *market_words(options), "kill")


async def _attached(
    client: RemoteClient, configuration: Configuration, opened: Opened | None, kill_command: Sequence[str] = ()
) -> int:
    """The desk on an engine of another process."""
    try:
        if opened is not None:
            await opened(client)
        await _Screen(client, configuration, ENGINE_GOES_ON, kill_command).run()
    finally:
        await client.close()
    return ExitCode.DONE


async def _own_engine(
    configuration: Configuration, locations: Locations, options: argparse.Namespace, opened: Opened | None
) -> int:
    """The desk on an engine in this process."""
    hand_over = False
    async with open_host(configuration, locations, read_only=False, with_door=True) as host:
        if opened is not None:
            await opened(host.client)
        screen = _Screen(host.client, configuration, ENGINE_IN_THIS_PROCESS, kill_words(locations, options))
        await screen.run()
        if screen.hung_up:
            stopping = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stopping.set)
            await serve(host, stopping, idle_exit_s=configuration.door.hangup_exit_s)
        else:
            hand_over = is_busy(host)
    if hand_over:
        await start_headless(configuration, locations, options)
        print_words("Orders are working: a headless engine watches them. `workstation` opens the desk on it again.")
    return ExitCode.DONE


class _Screen:
    """One run of the terminal application, ended by the person or by a hang-up."""

    def __init__(
        self, client: EngineClient, configuration: Configuration, after_quit: str, kill_command: Sequence[str] = ()
    ) -> None:
        self._app = WorkstationApp(
            client, configuration.terminal, ScreenClock(client), after_quit=after_quit, kill_command=kill_command
        )
        self.hung_up = False

    async def run(self) -> None:
        """Show until it ends."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGTERM, self._app.exit)
        try:
            await self._app.run_async()
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def _hang_up(self) -> None:
        """The terminal is gone: nothing may be written to it any more, and the engine goes on."""
        self.hung_up = True
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in STANDARD_STREAMS:
            os.dup2(nowhere, stream)
        os.close(nowhere)
        self._app.exit()
