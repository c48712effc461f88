"""The engine for a script of one's own: ``async with connect() as engine: …``. ``engine`` is an ``EngineClient``.

The engine that runs on the data folder is used, the desk's for example; otherwise one is opened in this process for as
long as the block lasts, with its own database, practice exchange and door. ``connect("wss://…", token=…)`` uses an
engine elsewhere: the same methods, the same types.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from engine.client import EngineClient
from engine.core.errors import InvalidInput, SetupError
from engine.following import follow_events, follow_orders
from engine.server.remote_client import RemoteClient
from workstation.afar import find_token, reach
from workstation.assembly import open_host
from workstation.cli.logs import log_to_file
from workstation.cli.running import running_engine
from workstation.configuration import load_configuration
from workstation.locations import Locations, configuration_file, data_folder
from workstation.settings import Configuration

__all__ = ["connect", "follow_events", "follow_orders"]

LOG_NAME = "script"


@contextlib.asynccontextmanager
async def connect(
    url: str | None = None,
    *,
    token: str | None = None,
    trust: Path | None = None,
    data: Path | None = None,
    config: Path | None = None,
    instruments: Path | None = None,
    snapshot: Path | None = None,
    seed: int | None = None,
    start: str | None = None,
    speed: float | None = None,
) -> AsyncIterator[EngineClient]:
    """Use the engine at a URL, or the one of a data folder, or open one.

    Args:
        url: ``ws://127.0.0.1:PORT`` or ``wss://HOST:PORT`` of an engine elsewhere; the arguments about a market and a
            data folder do not go with it.
        token: Its token; ``None``: the environment's ``WORKSTATION_TOKEN``.
        trust: Certificate file to trust; ``None``: the system's.
        data: Data folder; ``None`` for the one the desk uses.
        config: Configuration file; ``None`` for the desk's.
        instruments: A Kite instruments dump to make the practice market from.
        snapshot: An option-chain JSON of the exchange's website to start it from.
        seed: Another made-up market.
        start: Its first market time, ISO with offset, or ``auto``.
        speed: Market seconds per second; 0 stands still.

    Raises:
        WorkstationError: in words, whatever is in the way.
    """
    environment = dict(os.environ)
    locations = Locations(data_folder(data, environment))
    path, required = configuration_file(config, environment)
    market: dict[str, object] = {"seed": seed, "start": start, "speed": speed}
    market |= {"instruments": _whole(instruments), "snapshot": _whole(snapshot)}
    configuration = _with_market(load_configuration(path, required=required, environment=environment), market)
    options = argparse.Namespace(**market)
    async with contextlib.AsyncExitStack() as stack:
        if url is not None:
            if any(value is not None for value in (data, *market.values())):
                raise InvalidInput("The engine at a URL has its own data and market; give connect() one or the other.")
            remote = await reach(
                url,
                token=find_token(None, environment) if token is None else token,
                authority=trust,
                timeout_s=configuration.door.call_timeout_s,
            )
            stack.push_async_callback(remote.close)
            yield remote
            return
        socket = running_engine(configuration, locations, options)
        if socket is None:
            if not logging.getLogger().handlers:
                log_to_file(configuration.log, locations, LOG_NAME)
            opening = open_host(configuration, locations, read_only=False, with_door=True)
            try:
                host = await stack.enter_async_context(opening)
            except SetupError:
                # Somebody else's engine may have been a little faster.
                socket = running_engine(configuration, locations, options)
                if socket is None:
                    raise
            else:
                yield host.client
                return
        client = await RemoteClient.attach(socket, timeout_s=configuration.door.call_timeout_s)
        stack.push_async_callback(client.close)
        yield client


def _whole(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _with_market(configuration: Configuration, market: Mapping[str, object]) -> Configuration:
    chosen = {name: value for name, value in market.items() if value is not None}
    venue = msgspec.structs.replace(configuration.venue, **chosen)
    return msgspec.structs.replace(configuration, venue=venue)
