"""``python -m engine.practice``: the practice exchange as a process of its own."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.practice.settings import ExchangeSettings, ServiceSettings


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(
        prog="python -m engine.practice",
        description="A small exchange that speaks Kite Connect v3 on loopback (key and token: practice / practice).",
        epilog="exit codes: 0 ended, 2 unusable input or book, 3 already running on this folder, 4 port in use",
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
