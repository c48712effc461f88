"""A small chaos run from the outside: commands, socket, official client, kill -9."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
RUN_S = 170


@pytest.mark.timeout(RUN_S + 10)
@pytest.mark.parametrize(
    ("orders", "kills", "faults"),
    [
        pytest.param(24, 2, 2, id="short"),
        pytest.param(60, 5, 3, id="a command finds the engine killed and starts its own"),
    ],
)
def test_killing_the_engine_doubles_and_loses_nothing(orders: int, kills: int, faults: int) -> None:
    """Orders in flight, kills, faults at the exchange: duplicates 0, lost 0, unexplained 0."""
    plan = ["--orders", str(orders), "--kills", str(kills), "--faults", str(faults), "--seed", "11"]
    process = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *plan],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    result = json.loads(process.stdout)
    assert (result["duplicates"], result["lost"], result["unexplained"], result["deaths"]) == (0, 0, 0, 0)
    assert result["kills"] >= 1
    assert result["taken"] + result["refused"] == orders
