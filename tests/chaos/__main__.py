"""``python -m tests.chaos --orders N --kills K --seed S``: prints one line of JSON; exit code 0 when nothing is wrong.

Of a run in which something is wrong all evidence is kept, and the story of the plans concerned is told.

Exit codes: 0 no duplicate, none lost, none unexplained, and every kill met its moment; 1 something does not agree;
2 wrong arguments; 3 the run could not be made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.chaos.driver import Driver, say, table
from tests.chaos.evidence import Evidence, Verdict
from tests.chaos.keeping import keep, story
from tests.chaos.plan import Plan, Tally
from tests.chaos.program import Program, ProgramError
from tests.chaos.verdict import judge

CLEAN, WRONG, NOT_RUN = 0, 1, 3
START = "2026-11-19T11:00:00+05:30"
"""A Thursday in session: the run does not depend on the hour it is made at."""
EXAMPLES_SHOWN = 20
SEED_BITS = 31
CONFIGURATION = "chaos.toml"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="chaos", description="Kill the engine, the database and the exchange while orders are out, then count."
    )
    result.add_argument("--orders", type=int, default=200, help="orders to give")
    result.add_argument(
        "--kills",
        type=int,
        default=5,
        help="aimed kills of the engine, shared by five moments; a fifth as many at random and a tenth each of the "
        "database and the exchange come beside them",
    )
    result.add_argument("--seed", type=int, default=None, help="seed of all choices; a new one is drawn and printed")
    result.add_argument("--accounts", type=int, default=4, help="accounts the orders are shared by")
    result.add_argument("--rate", type=float, default=6.0, metavar="N", help="orders a second and account")
    result.add_argument(
        "--fault-rate", type=float, default=0.04, metavar="SHARE", help="share of order requests that meet a fault"
    )
    result.add_argument(
        "--quick",
        action="store_true",
        help="short windows (unknown orders are looked for 4 s instead of 30), and no kills at random",
    )
    result.add_argument(
        "--data", type=Path, default=None, help="data folder, kept afterwards; otherwise a new one, removed"
    )
    result.add_argument(
        "--evidence",
        type=Path,
        default=None,
        help="where the evidence of a run is kept in which something is wrong; otherwise a new folder, named then",
    )
    return result


def plan_from(options: argparse.Namespace) -> Plan:
    """The plan of a command line."""
    plan = Plan(
        orders=options.orders,
        kills=options.kills,
        seed=secrets.randbits(SEED_BITS) if options.seed is None else options.seed,
        accounts=options.accounts,
        rate_per_s=options.rate,
        fault_rate=options.fault_rate,
    )
    if not options.quick:
        return plan
    return replace(
        plan, order_timeout_s=2.0, unknown_window_s=4.0, reconcile_s=4.0, random_kills=False, errand_share=0.3
    )


def configuration(plan: Plan, folder: Path) -> Path:
    """Write the settings of a run."""
    path = folder / CONFIGURATION
    lines = [
        f"[broker]\norder_timeout_s = {plan.order_timeout_s}",
        f"[orders]\nunknown_window_s = {plan.unknown_window_s}\nreconcile_s = {plan.reconcile_s}",
        f"[orders.checks]\nopen_orders_max = {plan.orders}",
        # Nobody answers the plans that ask a person: they stay until the end.
        f"[plans]\nrunning_max = {plan.orders}",
    ]
    if plan.accounts > 1:
        lines.append(f"[practice]\naccounts = {plan.accounts}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


async def run(plan: Plan, folder: Path, evidence_folder: Path | None) -> int:
    """Make one run in a folder and print its result."""
    options = ["--config", str(configuration(plan, folder)), "--start", START, "--seed", str(plan.seed)]
    program = Program(folder, options)
    driver = Driver(program, plan)
    began = time.monotonic()
    say(f"seed {plan.seed}")
    try:
        evidence = await driver.run()
        verdict = judge(evidence)
    finally:
        code = await program.stop_engine()
        if hasattr(driver, "exchange"):
            await driver.stop_exchange()
    report(plan, driver, verdict, code=code, seconds=time.monotonic() - began)
    if not verdict.is_clean or verdict.late:
        tell_story(evidence, verdict, data=folder, folder=evidence_folder)
    met = all(driver.tally.outages[aim] >= wanted for aim, wanted in plan.outages().items())
    return CLEAN if verdict.is_clean and met and not driver.tally.deaths and code == 0 else WRONG


def report(plan: Plan, driver: Driver, verdict: Verdict, *, code: int, seconds: float) -> None:
    """The table and what does not agree in words, the result as JSON."""
    tally = driver.tally
    for line in table(plan, tally):
        say(line)
    say(f"faults that struck: {', '.join(f'{kind} {count}' for kind, count in sorted(tally.faults.items()))}")
    refused = [f"{item.kind}: {item.words}" for item in tally.intents.values() if item.words and not item.is_taken]
    for words, count in Counter(refused).most_common(EXAMPLES_SHOWN):
        say(f"refused {count} times: {words}")
    for name in ("duplicates", "lost", "unexplained", "late"):
        for sentence in getattr(verdict, name)[:EXAMPLES_SHOWN]:
            say(f"{name}: {sentence}")
    say(f"late acceptances beyond the window: {len(verdict.late)}")
    sys.stdout.write(
        json.dumps(
            {
                "seed": plan.seed,
                "orders": driver.given,
                "accounts": plan.accounts,
                "taken": len(tally.promised),
                "refused": len(tally.refused),
                "repeated": tally.repeated,
                "twins": tally.twins,
                "exits": tally.exits,
                "modified": tally.modified,
                "cancelled": tally.cancelled,
                "by_command": tally.commands,
                "beside": beside(tally),
                "changed": tally.changed,
                "taken_back": tally.taken_back,
                "kills": tally.kills,
                "outages": {str(aim): count for aim, count in tally.outages.items()},
                "deaths": tally.deaths,
                "faults": sum(tally.faults.values()),
                "duplicates": len(verdict.duplicates),
                "lost": len(verdict.lost),
                "unexplained": len(verdict.unexplained),
                "late_acceptances": len(verdict.late),
                "stop_code": code,
                "seconds": round(seconds, 1),
            }
        )
        + "\n"
    )


def tell_story(evidence: Evidence, verdict: Verdict, *, data: Path, folder: Path | None) -> None:
    """Keep the evidence, so that what is wrong can be explained; its seed does not make the same moments again."""
    kept = folder or Path(tempfile.mkdtemp(prefix="ws-evidence-"))
    keep(evidence, verdict, data=data, folder=kept)
    for line in story(evidence, verdict.plans):
        say(line)
    say(f"the evidence is kept in {kept}")


def beside(tally: Tally) -> dict[str, int]:
    """What was taken beside the orders, by kind."""
    return dict(Counter(str(intent.kind) for intent in tally.intents.values() if intent.is_taken))


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
    if options.orders < 1 or options.kills < 0 or options.accounts < 1 or options.rate <= 0:
        parser().error("--orders and --accounts are at least 1, --kills at least 0, --rate more than 0")
    if not 0 <= options.fault_rate <= 1:
        parser().error("--fault-rate lies between 0 and 1")
    folder = options.data or Path(tempfile.mkdtemp(prefix="ws-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(run(plan_from(options), folder, options.evidence))
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
