"""``workstation serve``: the engine without a screen, for this user's terminals and for those that bring a token."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal

import msgspec

from engine.core.errors import SetupError
from workstation.assembly import Host, open_host
from workstation.cli.exit_codes import ExitCode
from workstation.cli.headless import STOP_SIGNALS, serve
from workstation.cli.logs import log_to_file
from workstation.cli.output import print_json_line, print_words
from workstation.cli.running import market_words
from workstation.locations import Locations
from workstation.settings import Configuration

OPTIONS = ("host", "port", "tls_certificate", "tls_key")
"""Options of the command line, which have the names of the settings that they are for."""
HIGHEST_PORT = 65535


async def run_serve(configuration: Configuration, locations: Locations, options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; a hang-up does not end it. Prints one line of JSON when it is ready."""
    configuration = _as_asked(configuration, options)
    log_to_file(configuration.log, locations, "engine")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    async with open_host(configuration, locations, read_only=False, with_door=True, with_web=True) as host:
        _say_ready(host, _token_words(options))
        await serve(host, stopping, idle_exit_s=None)
    return ExitCode.DONE


def _token_words(options: argparse.Namespace) -> str:
    """The command that makes a token for this engine, which a token of another market would not open."""
    places = [
        word for name in ("data", "config") if (value := getattr(options, name)) for word in (f"--{name}", str(value))
    ]
    return shlex.join(["workstation", *places, *market_words(options), "token", "create"])


def _say_ready(host: Host, token_words: str) -> None:
    if host.door is None or host.web is None:
        raise SetupError("The engine was opened without its doors.")
    print_words(
        f"The engine of {', '.join(host.engine.desks.accounts)} listens at {host.web.url} and at {host.door.path}.\n"
        f"Whoever comes by the first needs a token: {token_words} --scope read --expires 30d\n"
        "To end it: Ctrl-C or SIGTERM; orders that rest at the broker stay there."
    )
    print_json_line(
        {
            "ready": True,
            "pid": os.getpid(),
            "socket": str(host.door.path),
            "url": host.web.url,
            "exchange_root": host.address.root if host.address is not None else None,
            "account": host.engine.account,
            "accounts": host.engine.desks.accounts,
        }
    )


def _as_asked(configuration: Configuration, options: argparse.Namespace) -> Configuration:
    """The settings with what the command line says, and with the time that stopping may take."""
    chosen = {name: value for name in OPTIONS if (value := getattr(options, name, None)) is not None}
    if not 0 <= chosen.get("port", 0) <= HIGHEST_PORT:
        raise SetupError(f"--port: {chosen['port']} is not between 0 and {HIGHEST_PORT}.")
    server = msgspec.structs.replace(configuration.server, **chosen)
    # A supervisor kills what does not stop soon. What is on the wire is journalled, and looked up at the next start.
    orders = msgspec.structs.replace(
        configuration.orders, stop_timeout_s=min(configuration.orders.stop_timeout_s, server.drain_s)
    )
    return msgspec.structs.replace(configuration, server=server, orders=orders)
