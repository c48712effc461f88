"""``python -m engine.practice``: the practice exchange as a process of its own."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.practice.settings import RELAY_KEY, RELAY_TOKEN, ExchangeSettings, ServiceSettings


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(
        prog="python -m engine.practice",
        description="A small exchange that speaks Kite Connect v3 on loopback (key and token: practice / practice).",
        epilog="exit codes: 0 ended, 2 unusable input or book, 3 already running on this folder, 4 port in use, "
        "5 ended by a fault that was asked for",
    )
    line.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="folder of the book; one exchange per folder"
    )
    line.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 for REST and ticker; 0 takes any free one")
    line.add_argument("--seed", type=int, default=7, help="another seed is another market")
    line.add_argument("--speed", type=float, default=1.0, help="market seconds per second; 0 stands still")
    line.add_argument(
        "--start", default="auto", help="first market time (ISO), or auto: now if open, else the next open"
    )
    line.add_argument("--instruments", type=Path, metavar="FILE", help="a Kite instruments dump, plain or gzip")
    line.add_argument("--snapshot", type=Path, metavar="FILE", help="an option-chain JSON of the exchange's website")
    line.add_argument("--tape", type=Path, metavar="FOLDER", help="play a recording; it starts paused")
    line.add_argument("--play", action="store_true", help="with --tape: begin to play at once")
    line.add_argument("--relay", action="store_true", help=f"relay a live feed; {RELAY_KEY} and {RELAY_TOKEN} open it")
    line.add_argument("--relay-root", default="", metavar="URL", help="REST of the feed to relay")
    line.add_argument("--relay-stream", default="", metavar="URL", help="its ticker (ws:// or wss://)")
    line.add_argument("--faults", type=Path, metavar="FILE", help="a JSON plan of faults by chance")
    line.add_argument(
        "--accounts", type=int, default=1, metavar="N", help="practice, practice2, …: each with its own book and limits"
    )
    line.add_argument(
        "--clients-lock",
        "--parent-lock",
        dest="clients_lock",
        type=Path,
        metavar="FILE",
        help="desks hold a shared lock on this file; without a holder for the linger time the exchange ends",
    )
    line.add_argument("--linger", type=float, default=5.0, metavar="SECONDS", help="see --clients-lock")
    line.add_argument("--step", type=float, default=0.5, metavar="SECONDS", help="wall time between market steps")
    line.add_argument("--closed-pause", type=float, default=20.0, metavar="SECONDS", help="pause between two sessions")
    line.add_argument("--no-read-limits", action="store_true", help="do not limit quotes and other reads")
    line.add_argument("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return line


def settings_from(arguments: Sequence[str] | None) -> tuple[ExchangeSettings, str]:
    """Return (settings, log level) of a command line; argparse ends the process with 2 on a wrong one."""
    line = parser()
    given = line.parse_args(arguments)
    if not 0.0 <= given.speed < float("inf"):
        line.error("--speed must be a number of at least 0")
    if not 0.02 <= given.step <= 60.0:
        line.error("--step must lie between 0.02 and 60 seconds")
    if given.closed_pause < 0.0 or given.linger < 0.0:
        line.error("--closed-pause and --linger must be at least 0")
    if not 0 <= given.port <= 65_535:
        line.error("--port must lie between 0 and 65535")
    feeds = [given.tape is not None, given.relay, given.instruments is not None or given.snapshot is not None]
    if sum(feeds) > 1:
        line.error("--tape, --relay and --instruments/--snapshot are different markets; give one")
    if given.relay and not (given.relay_root and given.relay_stream):
        line.error("--relay needs --relay-root and --relay-stream")
    most = ServiceSettings().max_accounts
    if not 1 <= given.accounts <= most:
        line.error(f"--accounts must lie between 1 and {most}")
    if given.play and given.tape is None:
        line.error("--play goes with --tape")
    service = ServiceSettings(
        step_seconds=given.step,
        closed_pause_seconds=given.closed_pause,
        read_limits=not given.no_read_limits,
    )
    settings = ExchangeSettings(
        state=given.state,
        port=given.port,
        seed=given.seed,
        speed=given.speed,
        start=given.start,
        instruments=given.instruments,
        snapshot=given.snapshot,
        tape=given.tape,
        play=given.play,
        faults=given.faults,
        accounts=given.accounts,
        relay_root=given.relay_root if given.relay else "",
        relay_stream=given.relay_stream if given.relay else "",
        clients_lock=given.clients_lock,
        linger=given.linger,
        service=service,
    )
    return settings, given.log_level


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the exchange and return its exit code."""
    settings, level = settings_from(arguments)
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from engine.practice.server import run  # noqa: PLC0415 - a wrong command line is answered without loading it

    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
