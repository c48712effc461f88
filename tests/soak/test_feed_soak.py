"""A whole feed at full load for ten minutes: what is counted here is packets and bytes, never time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.feed_soak_result import Soak

SECONDS = 600
TIMEOUT_S = 1200
PACKETS_PER_S = 27_000
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.soak
@pytest.mark.timeout(TIMEOUT_S)
def test_nothing_is_lost_and_nothing_grows_in_ten_minutes_at_full_load(tmp_path: Path) -> None:
    """9,000 instruments in full mode three times a second: board, tape and candles whole, no backlog, flat memory."""
    result = tmp_path / "soak.json"
    words = ["-m", "benchmarks.feed_soak", "--seconds", str(SECONDS), "--json", str(result), "--folder", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.exists(), done.stdout + done.stderr

    soak = msgspec.json.decode(result.read_bytes(), type=Soak)

    assert soak.packets_per_s > 0.99 * PACKETS_PER_S, "the load was too small to prove anything"
    assert soak.lost == 0
    assert soak.board_differs == 0
    assert soak.tape_is_identical
    assert not soak.tape_damage
    assert soak.whole_minutes >= SECONDS // 60 - 1
    assert soak.candles_missing == 0
    assert not soak.trouble
    assert sum(window.not_live for window in soak.windows) == 0
    assert all(window.in_flight < PACKETS_PER_S for window in soak.windows[1:])
    assert soak.is_memory_flat, (
        f"in use {soak.heap_growth_mib:+.2f} MiB, {soak.objects_growth:+,.0f} objects, "
        f"resident in the second half {soak.resident_late_growth_mib:+.2f} MiB"
    )
