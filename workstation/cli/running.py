"""Runs one command: finds a running engine or opens one, and says which on standard error."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from engine.client import EngineClient
from engine.core.errors import InvalidInput, SetupError
from engine.core.money import parse_decimal
from engine.server.remote_client import RemoteClient
from engine.server.socket_file import is_alive
from workstation.afar import find_token, reach
from workstation.cli.arming import arm_if_asked
from workstation.cli.exit_codes import ExitCode
from workstation.cli.logs import log_to_file
from workstation.cli.output import print_words
from workstation.configuration import load_configuration
from workstation.locations import Locations, configuration_file, data_folder
from workstation.practice_venue import PAPER, REPLAY, is_default_market, venue_id
from workstation.settings import Configuration

MARKET_OPTIONS = ("seed", "start", "speed", "instruments", "snapshot", "tape", "paper")
HEADLESS_START_S = 90.0
HERE_ONLY = frozenset({"headless", "serve", "db", "token", "login", "secrets", "kill", "unlock"})
"""Commands about this machine's own engine, files and secrets."""


async def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Dispatch one parsed command line."""
    locations = Locations(data_folder(options.data, environment))
    path, required = configuration_file(options.config, environment)
    configuration = load_configuration(path, required=required, environment=environment)
    _settle_tape(options)
    configuration = _with_market(configuration, options)
    _settle_place(options)
    match options.command:
        case None | "attach":
            from workstation.cli.desk import run_desk

            return await run_desk(configuration, locations, options, environment)
        case "replay":
            from workstation.cli.replay import run_replay

            return await run_replay(configuration, locations, options, environment)
        case "headless":
            from workstation.cli.headless import run_headless

            return await run_headless(configuration, locations, until_idle=options.until_idle)
        case "serve":
            from workstation.cli.serve import run_serve

            return await run_serve(configuration, locations, options)
        case "db":
            from workstation.cli.database import run_database

            return await run_database(configuration, locations, options)
        case "login":
            from workstation.cli.login import run_login

            return await run_login(configuration, locations, options, environment)
        case "kill":
            from workstation.cli.kill import run_kill

            return await run_kill(configuration, locations, options, environment)
        case "unlock":
            from workstation.cli.kill import run_unlock

            return await run_unlock(configuration, locations, options)
        case "secrets":
            from workstation.cli.secrets import run_secrets

            return run_secrets(configuration, locations, options, environment)
        case "rules" if options.load is not None or options.unload is not None:
            from workstation.cli.rules import run_rule_files

            return await run_rule_files(configuration, locations, options)
        case "record":
            from workstation.cli.record import run_record

            return await run_record(configuration, locations, options, environment)
        case "token":
            from workstation.cli.tokens import run_token

            return run_token(configuration, locations, options)
        case _:
            return await _with_engine(configuration, locations, options, environment)


def _settle_tape(options: argparse.Namespace) -> None:
    """Let ``replay TAPE`` mean ``--tape TAPE replay``.

    Raises:
        InvalidInput: two tapes.
    """
    named = options.recording if options.command == "replay" else None
    if named is None:
        return
    if options.tape is not None and options.tape != named:
        raise InvalidInput("replay was given two tapes; name one.")
    options.tape = named


def _settle_place(options: argparse.Namespace) -> None:
    """Let ``attach URL`` mean ``--connect URL``, and refuse a URL where only this machine makes sense.

    Raises:
        InvalidInput: two URLs, or one for a command that is about this machine.
    """
    if options.command == "attach" and options.url is not None:
        if options.connect is not None and options.connect != options.url:
            raise InvalidInput("attach was given two URLs; name one.")
        options.connect = options.url
    if options.connect is None:
        return
    if options.command in HERE_ONLY:
        raise InvalidInput(f"`{options.command}` is about this machine; --connect does not go with it.")
    own = set(MARKET_OPTIONS) - ({"speed"} if options.command == "replay" else set())  # a replay's speed is an action
    if any(getattr(options, name, None) is not None for name in own):
        raise InvalidInput("The engine elsewhere has its own market; --connect does not go with market options.")


async def _with_engine(
    configuration: Configuration, locations: Locations, options: argparse.Namespace, environment: Mapping[str, str]
) -> int:
    acting = (options.command == "order" and not options.dry_run) or (
        options.command == "letters" and bool(options.replay or options.close)
    )
    acting |= options.command == "housekeeping" or (options.command in {"exit", "basket"} and not options.dry_run)
    acting |= options.command in {"gtt", "convert"} and not getattr(options, "dry_run", True)
    acting |= options.command == "mismatches" and (options.now or options.explain is not None)
    async with engine_for(configuration, locations, options, environment, acting=acting) as engine:
        if refusal := await arm_if_asked(engine, options):
            print_words(refusal)
            return ExitCode.REFUSED
        match options.command:
            case "order":
                from workstation.cli.order import order

                return await order(
                    engine,
                    options.sentence,
                    account=options.account,
                    dry_run=options.dry_run,
                    yes=options.yes,
                    key=options.key,
                    as_json=options.json,
                    wait_s=options.wait,
                )
            case "basket":
                from workstation.cli.basket import basket_sentence, place_basket

                return await place_basket(
                    engine,
                    basket_sentence(options),
                    account=options.account,
                    dry_run=options.dry_run,
                    yes=options.yes,
                    key=options.key,
                    as_json=options.json,
                    wait_s=options.wait,
                )
            case "exit":
                from workstation.cli.exit import exit_positions, exit_sentence

                words = [options.target, *([options.percent] if options.percent else ())]
                return await exit_positions(
                    engine,
                    exit_sentence(words, now=options.now, patient=options.patient, by=options.by),
                    slippage_max=None
                    if options.slippage is None
                    else parse_decimal(options.slippage, field="slippage"),
                    account=options.account,
                    dry_run=options.dry_run,
                    yes=options.yes,
                    key=options.key,
                    as_json=options.json,
                    wait_s=options.wait,
                )
            case "chain":
                from workstation.cli.chain import chain
                from workstation.cli.chain_convention import Convention

                return await chain(
                    engine,
                    options.underlying,
                    options.expiry,
                    as_json=options.json,
                    everything=options.all,
                    convention=Convention(options.convention),
                    wait_s=options.wait,
                )
            case "bars":
                from workstation.cli.bars import bars

                return await bars(
                    engine,
                    options.words,
                    options.interval,
                    start=options.since,
                    end=options.until,
                    indicators=options.indicators,
                    as_json=options.json,
                )
            case "rules":
                from workstation.cli.rules import rules

                return await rules(engine, on=options.on, topic=options.topic, as_json=options.json)
            case "why":
                from workstation.cli.why import why

                return await why(engine, options.order, as_json=options.json)
            case "plans":
                from workstation.cli.plans import plans

                return await plans(engine, everything=options.all, as_json=options.json)
            case "letters":
                from workstation.cli.why import letters

                return await letters(
                    engine,
                    replay=options.replay,
                    close=options.close,
                    reason=options.reason,
                    yes=options.yes,
                    as_json=options.json,
                )
            case "mismatches":
                from workstation.cli.mismatches import mismatches

                return await mismatches(
                    engine, options.account, explain=options.explain, now=options.now, as_json=options.json
                )
            case "handover":
                from workstation.cli.mismatches import handover

                return await handover(engine, as_json=options.json)
            case "housekeeping":
                from workstation.cli.mismatches import housekeeping

                return await housekeeping(engine, off=options.off, on=options.on, as_json=options.json)
            case "gtt":
                from workstation.cli.gtt import gtt

                return await gtt(engine, options)
            case "convert":
                from workstation.cli.gtt import convert

                return await convert(engine, options)
            case "doctor":
                from workstation.cli.doctor import doctor

                return await doctor(engine, as_json=options.json)
            case _:
                from workstation.cli import listings

                listing = {
                    "orders": listings.orders,
                    "trades": listings.trades,
                    "positions": listings.positions,
                    "strategies": listings.strategies,
                    "funds": listings.funds,
                }[options.command]
                return await listing(engine, options.account, as_json=options.json)


@contextlib.asynccontextmanager
async def engine_for(
    configuration: Configuration,
    locations: Locations,
    options: argparse.Namespace,
    environment: Mapping[str, str],
    *,
    acting: bool,
) -> AsyncIterator[EngineClient]:
    """The engine a command uses.

    The one at ``--connect``; else the one that runs here, a headless one for acting, one of the moment for looking.
    """
    if options.connect is not None:
        remote = await connected(configuration, options, environment, resume=False)
        print_words(f"through the engine at {options.connect}")
        try:
            yield remote
        finally:
            await remote.close()
        return
    socket = running_engine(configuration, locations, options)
    if socket is None and acting:
        socket = await start_headless(configuration, locations, options)
        print_words("started a headless engine; it stays while orders work")
    if socket is not None:
        client = await RemoteClient.attach(socket, timeout_s=configuration.door.call_timeout_s)
        print_words(f"through the engine that runs here ({socket.stem})")
        try:
            yield client
        finally:
            await client.close()
        return
    from workstation.assembly import open_host

    log_to_file(configuration.log, locations, "command")
    async with open_host(configuration, locations, read_only=True, with_door=False) as host:
        print_words("no engine is running; opened one to look, for the moment")
        yield host.client


async def connected(
    configuration: Configuration, options: argparse.Namespace, environment: Mapping[str, str], *, resume: bool
) -> RemoteClient:
    """A client of the engine at ``--connect``."""
    return await reach(
        options.connect,
        token=find_token(options.token_file, environment),
        authority=options.trust,
        timeout_s=configuration.door.call_timeout_s,
        resume=resume,
    )


def running_engine(configuration: Configuration, locations: Locations, options: argparse.Namespace) -> Path | None:
    """The socket of the engine to use.

    A market named on the command line or in the configuration means that one; otherwise it is the only engine that runs
    on this data folder.

    Raises:
        SetupError: several run and none was named, or the configured kind of venue is not known.
    """
    alive = [path for path in locations.running_sockets() if is_alive(path)]
    named = any(getattr(options, name, None) is not None for name in MARKET_OPTIONS)
    if named or not is_default_market(configuration.venue):
        wanted = locations.socket(venue_id(configuration.venue))
        return wanted if wanted in alive else None
    if len(alive) > 1:
        names = ", ".join(path.stem for path in alive)
        raise SetupError(f"Several engines run here ({names}); name the market, for example with --seed or --snapshot.")
    return alive[0] if alive else None


async def start_headless(configuration: Configuration, locations: Locations, options: argparse.Namespace) -> Path:
    """Start an engine of its own process that ends when it is idle; returns its socket.

    When another command was faster, its engine is the one.

    Raises:
        SetupError: it did not start; the sentence carries its own words.
    """
    words = [sys.executable, "-m", "workstation.cli.main", "--data", str(locations.data)]
    if options.config is not None:
        words += ["--config", str(options.config)]
    words += market_words(options)
    words += ["headless", "--until-idle"]
    locations.make()
    log = locations.logs / "headless.err"
    with log.open("ab") as errors:
        begin = errors.tell()
        # Not a child of this event loop, which ends long before it.
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    line = await _first_line(process)
    if line:
        return Path(json.loads(line)["socket"])
    socket = running_engine(configuration, locations, options)
    if socket is not None:
        return socket
    said = log.read_bytes()[begin:].decode("utf-8", errors="replace").strip()
    raise SetupError(f"The headless engine did not start: {said or f'see {log}'}")


async def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """The line a program says that it is ready with; empty when it ended, or was ended for taking too long."""
    if process.stdout is None:
        return b""
    reading = asyncio.ensure_future(asyncio.to_thread(process.stdout.readline))
    done, _ = await asyncio.wait({reading}, timeout=HEADLESS_START_S)
    if not done:
        process.terminate()
    return await reading


def market_words(options: argparse.Namespace) -> list[str]:
    """The market options of this command line, for another process."""
    words = []
    for name in MARKET_OPTIONS:
        value = getattr(options, name, None)
        if value is True:
            words.append(f"--{name}")
        elif value is not None:
            words += [f"--{name}", str(value.absolute() if isinstance(value, Path) else value)]
    return words


def _with_market(configuration: Configuration, options: argparse.Namespace) -> Configuration:
    import msgspec

    chosen = {
        name: str(value.absolute()) if isinstance(value, Path) else value
        for name in MARKET_OPTIONS
        if (value := getattr(options, name, None)) is not None
    }
    if not chosen:
        return configuration
    if chosen.pop("paper", False):
        chosen["kind"] = PAPER
    if "tape" in chosen:
        if "kind" in chosen:
            raise InvalidInput("--tape and --paper are different markets; give one.")
        chosen["kind"] = REPLAY
    venue = msgspec.structs.replace(configuration.venue, **chosen)
    return msgspec.structs.replace(configuration, venue=venue)
