"""The command line: words to calls. Heavy parts are imported only by the command that needs them."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from workstation.cli.arming import add_arm
from workstation.cli.basket_words import add_basket
from workstation.cli.exit_codes import ExitCode
from workstation.cli.gtt_words import add_gtt
from workstation.program import program_version

PRACTICE = "practice"
DIGEST_CHARACTERS = 10
LISTINGS = ("orders", "trades", "positions", "strategies", "funds")
DEFAULT_WAIT_S = 10.0

EXIT_CODES_HELP = "exit codes: " + ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in ExitCode)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="workstation",
        description="The options desk. Without a command it opens the desk, on the practice exchange by default.",
        epilog=EXIT_CODES_HELP,
    )
    parser.add_argument("--version", action="version", version=f"workstation {program_version()}")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: the platform's own place)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file")
    _add_afar(parser)
    _add_venue(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    headless = commands.add_parser(
        "headless", help="the engine without a screen, in the foreground", epilog=EXIT_CODES_HELP
    )
    _add_venue(headless, inherit=True)
    headless.add_argument(
        "--until-idle", action="store_true", help="end when no order works and nobody has been attached for a while"
    )

    serve = commands.add_parser(
        "serve",
        help="the engine without a screen, for terminals and programs over the network",
        epilog=EXIT_CODES_HELP,
    )
    _add_venue(serve, inherit=True)
    serve.add_argument("--host", help="where it listens (default: this machine alone); wider needs TLS")
    serve.add_argument("--port", type=int, metavar="N", help="0 takes a free one")
    serve.add_argument("--tls-certificate", metavar="FILE", help="PEM file with the certificate")
    serve.add_argument("--tls-key", metavar="FILE", help="PEM file with its key, mode 600")

    attach = commands.add_parser(
        "attach", help="the desk on an engine that runs already, here or at a URL", epilog=EXIT_CODES_HELP
    )
    attach.add_argument(
        "url", nargs="?", help="ws://127.0.0.1:PORT or wss://HOST:PORT (default: the one that runs here)"
    )
    _add_afar(attach, inherit=True)

    _add_replay(commands)

    practice = commands.add_parser(PRACTICE, help="the practice exchange alone, for any Kite program")
    practice.add_argument("arguments", nargs=argparse.REMAINDER, help="see: workstation practice --help")

    doctor = commands.add_parser("doctor", help="preflight: one line per check", epilog=EXIT_CODES_HELP)
    _add_json(doctor)

    chain = commands.add_parser("chain", help="print one option chain", epilog=EXIT_CODES_HELP)
    chain.add_argument("underlying")
    chain.add_argument("expiry", nargs="?", help="a label such as w0 or m0, or a date such as 2026-12-29")
    chain.add_argument("--all", action="store_true", help="every strike, not only those around the money")
    chain.add_argument(
        "--convention",
        choices=("forward", "nse", "kite"),
        default="forward",
        help="whose implied volatility is printed: the desk's own on the forward (default), the exchange's website's, "
        "or the broker's screens'",
    )
    chain.add_argument("--wait", type=float, default=DEFAULT_WAIT_S, metavar="S", help="longest wait for quotes")
    _add_json(chain)

    order = commands.add_parser("order", help="send one order, written as a sentence", epilog=EXIT_CODES_HELP)
    order.add_argument("sentence", help='for example: "buy 2L nifty 24000 ce w0 @ 105"')
    order.add_argument("--dry-run", action="store_true", help="check and show, send nothing")
    order.add_argument("--yes", action="store_true", help="send without asking")
    order.add_argument("--account", metavar="ACCOUNT", help="whose order it is (default: the first account's)")
    order.add_argument("--key", help="idempotency key: repeating with the same key never makes a second order")
    order.add_argument("--wait", type=float, default=DEFAULT_WAIT_S, metavar="S", help="longest wait for an answer")
    _add_json(order)

    add_basket(commands)
    _add_exit(commands)
    for name in LISTINGS:
        listing = commands.add_parser(name, help=f"list {name}", epilog=EXIT_CODES_HELP)
        listing.add_argument("--account", metavar="ACCOUNT", help="this one alone (default: every account)")
        _add_json(listing)

    _add_why(commands)
    _add_upkeep(commands)
    database = commands.add_parser("db", help="the database: upgrade, downgrade, status", epilog=EXIT_CODES_HELP)
    steps = database.add_subparsers(dest="step", required=True)
    upgrade = steps.add_parser("upgrade", help="bring the schema to this version")
    upgrade.add_argument("--sql", action="store_true", help="print the statements instead")
    downgrade = steps.add_parser("downgrade", help="take the schema back; rows of dropped tables are lost")
    downgrade.add_argument("target", help="a revision, -1 or base")
    downgrade.add_argument("--sql", action="store_true", help="print the statements, from this version down, instead")
    status = steps.add_parser("status", help="what the schema is and what this version needs")
    _add_json(status)
    _add_token(commands)
    _add_login(commands)
    _add_rules(commands)
    _add_record(commands)
    _add_bars(commands)
    _add_kill(commands)
    add_gtt(commands, EXIT_CODES_HELP)
    add_arm(commands)
    return parser


def _add_exit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    leave = commands.add_parser(
        "exit",
        help="exit to flat: a strategy, a leg or all; waits until it is, and prints time and slippage",
        epilog="exit codes: 0 flat, 1 refused or ended with something left, 2 wrong words, 3 no engine or broker to be "
        "had, 4 set-up, 5 not over yet or outcome unknown (repeat it with the same --key: never twice so)",
    )
    leave.add_argument("target", help="a strategy such as 3, a leg or side such as 3.2 or 3.ce, or all")
    leave.add_argument("percent", nargs="?", help="25, 50 or 100 (default); whole lots, rounded up")
    how = leave.add_mutually_exclusive_group()
    how.add_argument("--now", action="store_true", help="cross the spread at once, protected")
    how.add_argument("--patient", action="store_true", help="rest at the own side first")
    how.add_argument("--by", metavar="HH:MM", help="be flat by that time, beginning early enough")
    leave.add_argument("--slippage", metavar="RUPEES", help="ask before more than this is lost against the mid")
    leave.add_argument("--account", metavar="ACCOUNT", help="with all: this one alone (default: every account)")
    leave.add_argument("--dry-run", action="store_true", help="check and show, send nothing")
    leave.add_argument("--yes", action="store_true", help="send without asking")
    leave.add_argument("--key", help="idempotency key: repeating with the same key never begins a second exit")
    leave.add_argument("--wait", type=float, metavar="S", help="longest wait until flat (default: as long as it takes)")
    _add_json(leave)


def _add_kill(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    kill = commands.add_parser(
        "kill",
        help="the kill switch: block new risk, cancel entries, flatten; needs no engine and no database",
        epilog="exit codes: 0 done and verified by the broker's books, 1 not done in time (what is left is named), "
        "2 wrong words, 3 the broker or its session cannot be had, 4 set-up, 5 done, but an outcome is unknown; the "
        "latch is set in every case but 2 and 4",
    )
    kill.add_argument("account", nargs="?", default="all", help="a client id, or all (default)")
    kill.add_argument(
        "--no-flatten", dest="flatten", action="store_false", help="only cancel entries; positions and stops stay"
    )
    _add_json(kill)
    unlock = commands.add_parser(
        "unlock", help="end a kill switch: a wait, then a typed phrase", epilog=EXIT_CODES_HELP
    )
    unlock.add_argument("account", help="a client id, or all for a switch that was set for every account")


def _add_upkeep(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    mismatches = commands.add_parser(
        "mismatches", help="where our books and the broker's differ: list, compare, explain", epilog=EXIT_CODES_HELP
    )
    what = mismatches.add_mutually_exclusive_group()
    what.add_argument("--now", action="store_true", help="compare with the broker first")
    what.add_argument("--explain", nargs=2, metavar=("ID", "WORDS"), help="say why one is there")
    mismatches.add_argument("--account", metavar="ACCOUNT", help="this one alone (default: every account)")
    _add_json(mismatches)
    handover = commands.add_parser(
        "handover", help="what to read to the broker's dealing desk by telephone", epilog=EXIT_CODES_HELP
    )
    _add_json(handover)
    housekeeping = commands.add_parser(
        "housekeeping", help="leave the orders of a strategy alone, or look after them again", epilog=EXIT_CODES_HELP
    )
    which = housekeeping.add_mutually_exclusive_group(required=True)
    which.add_argument("--off", metavar="STRATEGY", help="such as 3: its stops and targets are left alone")
    which.add_argument("--on", metavar="STRATEGY", help="they shrink and go with its positions again")
    _add_json(housekeeping)


def _add_why(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    why = commands.add_parser(
        "why",
        help="what decided an order and how it went; without one, how the executor stands",
        epilog=EXIT_CODES_HELP,
    )
    why.add_argument("order", nargs="?", help="such as o40")
    _add_json(why)
    plans = commands.add_parser(
        "plans", help="large orders, baskets, exits and what waits: how far they are", epilog=EXIT_CODES_HELP
    )
    plans.add_argument("--all", action="store_true", help="those of the day that are over, too")
    _add_json(plans)
    letters = commands.add_parser(
        "letters", help="orders that were given up: list, send again, close", epilog=EXIT_CODES_HELP
    )
    letters.add_argument("--replay", nargs="+", metavar="ORDER", default=(), help="send these again, as new orders")
    letters.add_argument("--close", nargs="+", metavar="ORDER", default=(), help="want nothing more of these")
    letters.add_argument("--reason", default="", help="with --close: for the record")
    letters.add_argument("--yes", action="store_true", help="with --replay: send without asking")
    _add_json(letters)


def _add_token(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    token = commands.add_parser(
        "token", help="who may attach from outside: create, list, revoke", epilog=EXIT_CODES_HELP
    )
    steps = token.add_subparsers(dest="step", required=True)
    create = steps.add_parser("create", help="make a token; it is printed once and kept nowhere")
    create.add_argument(
        "--scope",
        action="append",
        required=True,
        metavar="S",
        help="read, trade, kill or admin; repeat it, or use commas",
    )
    create.add_argument("--expires", required=True, metavar="TIME", help="8h, 30d or 12w from now; a year at most")
    create.add_argument("--name", help="whose it is, for lists and logs (default: its scopes)")
    create.add_argument(
        "--account",
        action="append",
        metavar="A",
        help="an account it may see and touch; repeat it (default: every one)",
    )
    _add_json(create)
    _add_json(steps.add_parser("list", help="tokens of this venue, without the tokens themselves"))
    revoke = steps.add_parser("revoke", help="let a token open nothing any more, at once")
    revoke.add_argument("id", help="as token list shows it")


def _add_login(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    login = commands.add_parser(
        "login", help="log a broker account in for the day, on the broker's own page", epilog=EXIT_CODES_HELP
    )
    login.add_argument("account", nargs="?", help="its client id; not needed when there is one")
    login.add_argument("--paste", action="store_true", help="do not listen; read the redirected address from here")
    login.add_argument("--open", action="store_true", help="open the page in this machine's browser")
    _add_json(login)
    secrets = commands.add_parser(
        "secrets", help="keys of the broker's interface, encrypted: init, set, list, remove, rotate"
    )
    steps = secrets.add_subparsers(dest="step", required=True)
    for name, words in (("init", "make the key that encrypts them"), ("rotate", "encrypt them with another key")):
        step = steps.add_parser(name, help=words)
        where = step.add_mutually_exclusive_group(required=True)
        where.add_argument("--keyring", action="store_true", help="the key goes into this machine's keyring")
        where.add_argument("--print", action="store_true", help="the key is printed, once")
    for name, words in (("set", "keep one; its value is read from standard input"), ("remove", "forget one")):
        steps.add_parser(name, help=words).add_argument("name", help="for example kite_api_key.AB1234")
    _add_json(steps.add_parser("list", help="names, never values"))


def _add_rules(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    rules = commands.add_parser(
        "rules",
        help="the dated facts of the market in force, why, and where they contradict the dump",
        epilog=EXIT_CODES_HELP,
    )
    rules.add_argument("--on", metavar="DATE", help="a day such as 2026-12-07 (default: today)")
    rules.add_argument(
        "--topic", metavar="T", help="one topic only: session, holiday, lot, freeze, tick, band, charges …"
    )
    files = rules.add_mutually_exclusive_group()
    files.add_argument("--load", type=Path, metavar="FILE", help="lay a file of facts over the shipped ones, for good")
    files.add_argument("--unload", metavar="NAME", help="forget a loaded file")
    _add_json(rules)


def _add_record(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    record = commands.add_parser(
        "record", help="record what the feed brings, to be played again", epilog=EXIT_CODES_HELP
    )
    what = record.add_mutually_exclusive_group()
    what.add_argument("--stop", action="store_true", help="end recording; the tape stays")
    what.add_argument("--list", action="store_true", help="the tapes of this machine, newest first")
    record.add_argument("--check", action="store_true", help="with --list: read every byte for its checksum")
    _add_json(record)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    replay = commands.add_parser(
        "replay", help="the desk on a recorded day: watch it again, and trade against it", epilog=EXIT_CODES_HELP
    )
    replay.add_argument(
        "recording",
        nargs="?",
        type=Path,
        metavar="TAPE",
        help="folder of a tape, see: record --list (with --connect: the engine elsewhere has its own)",
    )
    replay.add_argument("--speed", type=float, metavar="X", default=argparse.SUPPRESS, help="0.25 to 60, default 1")
    replay.add_argument("--from", dest="begin", metavar="TIME", help="go there first: 11:00, 11:00:30, or an ISO time")
    replay.add_argument("--play", action="store_true", help="begin to play at once; it starts paused otherwise")
    replay.add_argument("--headless", action="store_true", help="the engine without a screen, in the foreground")
    replay.add_argument("--fresh", action="store_true", help="throw away what was traded in this replay before")
    replay.add_argument("--yes", action="store_true", help="with --fresh: do not ask")


def _add_bars(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bars = commands.add_parser("bars", help="print the candles of an instrument", epilog=EXIT_CODES_HELP)
    bars.add_argument("words", help='what to search it by: nifty, "banknifty fut", "nifty 24000 ce w0"')
    bars.add_argument("interval", nargs="?", default="5m", help="1m, 3m, 5m (default), 15m or 60m")
    bars.add_argument("--from", dest="since", metavar="TIME", help="a day or a moment, Indian time (default: today)")
    bars.add_argument("--to", dest="until", metavar="TIME", help="the same; a day is meant as a whole (default: now)")
    bars.add_argument("--indicators", default="", metavar="LIST", help="such as ema_20,vwap,supertrend,rsi_14")
    _add_json(bars)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def _add_afar(parser: argparse.ArgumentParser, *, inherit: bool = False) -> None:
    default = argparse.SUPPRESS if inherit else None
    afar = parser.add_argument_group("an engine elsewhere")
    if not inherit:
        afar.add_argument("--connect", metavar="URL", help="use the engine at ws://127.0.0.1:PORT or wss://HOST:PORT")
    afar.add_argument(
        "--token-file", type=Path, metavar="FILE", default=default, help="its token (default: WORKSTATION_TOKEN)"
    )
    afar.add_argument(
        "--trust", type=Path, metavar="FILE", default=default, help="certificate to trust (default: the system's)"
    )


def _add_venue(parser: argparse.ArgumentParser, *, inherit: bool = False) -> None:
    default = argparse.SUPPRESS if inherit else None
    market = parser.add_argument_group("practice market")
    market.add_argument("--seed", type=int, default=default, help="another made-up market")
    market.add_argument("--start", metavar="MOMENT", default=default, help="first market time, ISO, or auto")
    market.add_argument("--speed", type=float, metavar="X", default=default, help="market seconds per second")
    market.add_argument("--instruments", type=Path, metavar="FILE", default=default, help="a Kite instruments dump")
    market.add_argument(
        "--snapshot", type=Path, metavar="FILE", default=default, help="an option-chain JSON to start from"
    )
    market.add_argument("--tape", type=Path, metavar="TAPE", default=default, help="a recorded day, see: replay")
    market.add_argument(
        "--paper",
        action="store_const",
        const=True,
        default=default,
        help="the real market with orders that stay here; needs WORKSTATION_RELAY_KEY and WORKSTATION_RELAY_TOKEN",
    )


def _practice_words(words: list[str]) -> list[str] | None:
    """The command line of ``workstation [--data DIR] practice …``; ``None`` when it is another command."""
    places = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    places.add_argument("--data", type=Path)
    places.add_argument("--config", type=Path)  # of no use to the exchange, and no reason to refuse
    before, rest = places.parse_known_args(words)
    return _with_state(rest[1:], before.data) if rest[:1] == [PRACTICE] else None


def _with_state(words: list[str], data: Path | None) -> list[str]:
    """Give the practice exchange a folder of its own in the data folder when none is named."""
    if any(word == "--state" or word.startswith("--state=") for word in words):
        return words
    from workstation.locations import Locations, data_folder

    folder = Locations(data_folder(data, os.environ)).venue(_alone(words))
    return ["--state", str(folder), *words]


def _alone(words: list[str]) -> str:
    """The venue of a practice exchange that runs alone: a tape and a relay have books of their own."""
    markets = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    markets.add_argument("--tape", type=Path)
    markets.add_argument("--relay", action="store_true")
    given, _ = markets.parse_known_args(words)
    if given.tape is not None:
        digest = hashlib.sha256(str(given.tape.absolute()).encode()).hexdigest()[:DIGEST_CHARACTERS]
        return f"alone-tape-{digest}"
    return "alone-paper" if given.relay else "alone"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    practice = _practice_words(words)
    if practice is not None:
        from engine.practice.__main__ import main as practice_main

        return practice_main(practice)
    parser = _parser()
    options = parser.parse_args(words)
    if options.command == PRACTICE:
        parser.error("options of the practice exchange follow its name: workstation practice --seed 8")
    from engine.core import errors
    from workstation.cli.output import print_words

    try:
        from workstation.cli import running

        return asyncio.run(running.run(options, dict(os.environ)))
    except errors.InvalidInput as error:
        print_words(str(error))
        return ExitCode.USAGE
    except errors.SetupError as error:
        print_words(str(error))
        return ExitCode.SETUP
    except (errors.StorageError, errors.BrokerError, errors.EngineGone) as error:
        print_words(str(error))
        return ExitCode.UNKNOWN_OUTCOME if isinstance(error, errors.OutcomeUnknown) else ExitCode.UNAVAILABLE
    except errors.WorkstationError as error:
        print_words(str(error))
        return ExitCode.REFUSED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (``| head``); say nothing more, not even while closing.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - lives until the process ends
        return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
