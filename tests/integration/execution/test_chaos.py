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
def test_killing_the_engine_doubles_and_loses_nothing() -> None:
    """Orders in flight, two kills, faults at the exchange: duplicates 0, lost 0, unexplained 0."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--orders", "24", "--kills", "2", "--faults", "2", "--seed", "11"],
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
    assert result["taken"] + result["refused"] == 24
