"""``python -m tests.chaos --orders N --kills K --seed S``: prints one line of JSON; exit code 0 when nothing is wrong.

Exit codes: 0 no duplicate, none lost, none unexplained; 1 something does not agree; 2 wrong arguments; 3 the run could
not be made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests.chaos.driver import Driver, Plan, say
from tests.chaos.program import Program, ProgramError
from tests.chaos.verdict import judge

CLEAN, WRONG, NOT_RUN = 0, 1, 3
START = "2026-11-19T11:00:00+05:30"
"""A Thursday in session: the run does not depend on the hour it is made at."""
EXAMPLES_SHOWN = 20


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="chaos", description="Kill the engine while orders are in flight, then count."
    )
    result.add_argument("--orders", type=int, default=200, help="orders to give")
    result.add_argument("--kills", type=int, default=5, help="how often the engine is killed with signal 9")
    result.add_argument(
        "--faults", type=int, default=None, help="faults at the exchange; one per 20 orders if not given"
    )
    result.add_argument("--seed", type=int, default=1, help="seed of all choices")
    result.add_argument(
        "--data", type=Path, default=None, help="data folder, kept afterwards; otherwise a new one, removed"
    )
    return result


async def run(plan: Plan, folder: Path) -> int:
    """Make one run in a folder and print its result."""
    program = Program(folder, ["--start", START, "--seed", str(plan.seed)])
    driver = Driver(program, plan)
    began = time.monotonic()
    try:
        verdict = judge(await driver.run())
    finally:
        code = await program.stop_engine()
        if hasattr(driver, "exchange"):
            await driver.exchange.stop()
    for name, sentences in asdict(verdict).items():
        for sentence in sentences[:EXAMPLES_SHOWN]:
            say(f"{name}: {sentence}")
    tally = driver.tally
    sys.stdout.write(
        json.dumps(
            {
                "orders": plan.orders,
                "taken": len(tally.promised),
                "refused": len(tally.refused),
                "repeated": tally.repeated,
                "kills": tally.kills,
                "deaths": tally.deaths,
                "faults": tally.faults,
                "modified": tally.modified,
                "cancelled": tally.cancelled,
                "by_command": tally.commands,
                "duplicates": len(verdict.duplicates),
                "lost": len(verdict.lost),
                "unexplained": len(verdict.unexplained),
                "stop_code": code,
                "seconds": round(time.monotonic() - began, 1),
            }
        )
        + "\n"
    )
    return CLEAN if verdict.is_clean and not tally.deaths and code == 0 else WRONG


def _leaves(error: Exception) -> Iterator[Exception]:
    """The errors in a group of groups."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def main() -> int:
    """Parse, run, tidy up."""
    options = parser().parse_args()
    if options.orders < 1 or options.kills < 0 or (options.faults is not None and options.faults < 0):
        parser().error("--orders is at least 1, --kills and --faults at least 0")
    faults = options.orders // 20 if options.faults is None else options.faults
    plan = Plan(orders=options.orders, kills=options.kills, faults=faults, seed=options.seed)
    folder = options.data or Path(tempfile.mkdtemp(prefix="ws-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(run(plan, folder))
    except (ProgramError, OSError, ExceptionGroup) as error:
        causes = list(_leaves(error))
        if not all(isinstance(cause, ProgramError | OSError) for cause in causes):
            raise
        for cause in causes:
            say(f"the run could not be made: {cause}")
        return NOT_RUN
    finally:
        if options.data is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
