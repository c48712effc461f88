"""ORD-1: a small chaos run from the outside: aimed kills, two accounts, every fault, the official client, kill -9."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
RUN_S = 170
ORDERS, KILLS = 50, 5
KINDS_MIN = 4
"""Of the eleven that are drawn beside the orders; some are refused, by chance."""
SEED_BITS = 31


@pytest.mark.timeout(RUN_S + 10)
def test_ord_1_killing_anything_at_any_moment_doubles_and_loses_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The engine killed at each named moment, PostgreSQL and the exchange too: nothing doubled, lost, unexplained.

    The seed is new each time; a failure names it, and ``python3 dev.py chaos --seed`` with it makes the same choices.
    It need not meet the same moments, so a failure also tells the story of what is wrong and keeps all evidence.
    """
    seed = secrets.randbits(SEED_BITS)
    plan = ["--orders", str(ORDERS), "--kills", str(KILLS), "--accounts", "2", "--rate", "5", "--seed", str(seed)]
    command, evidence = f"python3 dev.py chaos --quick {' '.join(plan)}", tmp_path / "evidence"
    try:
        process = subprocess.run(
            [sys.executable, "-m", "tests.chaos", "--quick", *plan, "--evidence", str(evidence)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"{command} did not end in {RUN_S} s: {(late.stderr or b'').decode(errors='replace')}")
    with capsys.disabled():
        sys.stdout.write(f"\nchaos of seed {seed}: exit code {process.returncode}\n")
    assert process.returncode == 0, f"{command}\n{process.stdout}{process.stderr}\nevidence: {evidence}"
    result = json.loads(process.stdout)
    assert (result["duplicates"], result["lost"], result["unexplained"], result["deaths"]) == (0, 0, 0, 0)
    assert all(count for aim, count in result["outages"].items() if aim != "random")
    assert result["taken"] + result["refused"] == result["orders"] >= ORDERS
    assert len(result["beside"]) >= KINDS_MIN, f"triggers, conversions and plans were hardly met: {result['beside']}"
