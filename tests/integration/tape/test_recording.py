"""Recording in a process of its own: killed at any moment, and on a disk that is full."""

from __future__ import annotations

import csv
import io
import json
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.tape.catalogue import find_tapes
from engine.tape.reader import TapeReader
from engine.tape.records import RECORDER, TapeRecord
from tests.integration.tape.recording_program import read_log
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, REPOSITORY, PracticeProcess
from tests.kit.tapes import seeded

PROGRAM = "tests.integration.tape.recording_program"
READY_S = 40.0
LOST_NS_MAX = 1_000_000_000
KILLS = 3
INSTRUMENTS = 150


def start(*words: str) -> subprocess.Popen[bytes]:
    """Start the program."""
    return subprocess.Popen([sys.executable, "-m", PROGRAM, *words], stdout=subprocess.PIPE, cwd=REPOSITORY)


def kill_when_ready(process: subprocess.Popen[bytes], after_s: float) -> None:
    """Let it record for a while, then end it as a crash would."""
    assert process.stdout is not None
    try:
        readable, _, _ = select.select([process.stdout], [], [], READY_S)
        assert readable, "the program did not begin to record"
        assert process.stdout.readline() == b"ready\n"
        # The moment of the kill is the matter of this test; nothing is waited for.
        time.sleep(after_s)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(READY_S)
        process.stdout.close()


def compare(tape_records: Sequence[TapeRecord], logs: Sequence[Path]) -> list[int]:
    """Hold the tape against the logs of its sittings; returns the nanoseconds each kill has cost at the end."""
    costs = []
    rest = [record for record in tape_records if record.connection != RECORDER]
    for log in logs:
        arrived = list(read_log(log))
        kept = 0
        while kept < min(len(rest), len(arrived)) and rest[kept] == arrived[kept]:
            kept += 1
        rest = rest[kept:]
        costs.append(arrived[-1].received_ns - arrived[kept].received_ns if kept < len(arrived) else 0)
    assert rest == [], "something is on the tape that did not arrive, or not in this order"
    return costs


def tokens_of(exchange: PracticeProcess) -> list[str]:
    """Some instruments of the exchange."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{exchange.root}/instruments/NFO",
        headers={"Authorization": f"token {API_KEY}:{ACCESS_TOKEN}", "X-Kite-Version": "3"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        rows = csv.DictReader(io.StringIO(answer.read().decode()))
        return [row["instrument_token"] for row in rows][:INSTRUMENTS]


def sittings(tmp_path: Path, seed: int, *source: str) -> None:
    """Record, kill at random, record again on the same tape; then read everything back."""
    randomness = seeded(seed)
    folder, logs = tmp_path / "tapes" / "test", [tmp_path / f"log{number}" for number in range(KILLS)]
    for log in logs:
        process = start(source[0], str(folder), str(log), *source[1:])
        kill_when_ready(process, randomness.uniform(0.0, 1.6))
    (path,) = find_tapes(folder)
    with TapeReader(path) as tape:
        assert tape.segments >= 1
        costs = compare(list(tape.records()), logs)
        assert "was not closed" in tape.damage
        assert "checksum" not in tape.damage
    assert max(costs) <= LOST_NS_MAX, f"the kills cost {[cost / 1e9 for cost in costs]} s"


def test_a_killed_recorder_of_a_real_feed_loses_a_second_at_most(tmp_path: Path) -> None:
    """Three connections of the exchange through the engine's own ticker and listener: all but the last second is on."""
    with PracticeProcess(tmp_path / "exchange") as exchange:
        sittings(tmp_path, 1, "feed", exchange.websocket, *tokens_of(exchange))


@pytest.mark.parametrize("seed", [2, 3])
def test_a_killed_recorder_of_a_busy_feed_loses_a_second_at_most(tmp_path: Path, seed: int) -> None:
    """The same at some 20,000 packets a second, where a kill often falls into a write."""
    sittings(tmp_path, seed, "flood")


def test_a_full_disk_ends_the_tape_and_not_the_feed(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow: recording ends with words, the tap stays quick, the tape is whole."""
    limit = 8_000_000
    process = start("limit", str(tmp_path / "tapes" / "test"), str(tmp_path / "log"), str(limit))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    said = json.loads(out)
    assert not said["recording"]
    assert "The disk took no more of the tape: File too large" in said["message"]
    assert said["longest_s"] < 0.2
    assert said["waiting"] == 0, "frames that nobody will write are not kept"
    (path,) = find_tapes(tmp_path / "tapes")
    assert (path / "000001.tape").stat().st_size <= limit
    with TapeReader(path) as tape:
        kept = list(tape.records())
        assert 50 < len(kept) < said["offered"]
        assert tape.damage == "000001.tape was not closed: what came in its last second may be missing."
