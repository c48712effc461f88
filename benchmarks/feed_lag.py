"""How late the event loop is with the Desk open on a whole feed: 3,000 instruments in full mode, once a second or more.

Everything is real: the practice exchange in its process, the ticker, the board, the engine on an embedded database, and
the terminal application at 120×36 on a pseudo-terminal that somebody reads. Lag is how late a timer of 5 ms fires. An
idle loop and a loop of plain Python are measured in the same process, before anything is open: on a busy machine they
are slow too. Run ``python benchmarks/feed_lag.py [--seconds 30] [--speed 10]``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import gc
import json
import os
import pty
import resource
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.client import EngineClient
from engine.core.vocabulary import QuoteState
from workstation.app import WorkstationApp
from workstation.assembly import Host, open_host
from workstation.cli.logs import log_to_file
from workstation.locations import Locations
from workstation.screen_clock import ScreenClock
from workstation.settings import Configuration, DatabaseSettings, VenueSettings

INSTRUMENTS = 3000
UPDATES_PER_S = 1.0
BUDGET_P99_MS = 50.0
COLUMNS, ROWS = 120, 36
TIMER_S = 0.005
IDLE_S = 5.0
WARM_S = 5.0
"""Left out: the first frames of every chain, imports on first use."""
SEED = 7
START = "2026-11-19T11:00:00+05:30"
REFERENCE_TURNS = 2_000_000
REFERENCE_ROUNDS = 5
PATIENCE_S = 60.0
KIB_PER_MIB = 1024


async def lags(seconds: float) -> list[float]:
    """Milliseconds by which each timer was late, the timers that a long block kept from being set among them."""
    loop = asyncio.get_running_loop()
    found = []
    end = loop.time() + seconds
    while (now := loop.time()) < end:
        await asyncio.sleep(TIMER_S)
        late = loop.time() - now - TIMER_S
        found.append(late * 1e3)
        while (late := late - TIMER_S) > 0:
            found.append(late * 1e3)
    return found


def reference_ms() -> float:
    """Milliseconds of a loop of plain Python, best of a few."""
    times = []
    for _ in range(REFERENCE_ROUNDS):
        began = time.perf_counter()
        total = 0
        for number in range(REFERENCE_TURNS):
            total += number & 7
        times.append((time.perf_counter() - began) * 1e3)
    return min(times)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum."""
    return {
        "p50": float(np.percentile(values, 50)),
        "p99": float(np.percentile(values, 99)),
        "max": float(np.max(values)),
    }


def resident_mib() -> float:
    """Memory of this process now."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / KIB_PER_MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def tokens_of(host: Host, count: int) -> list[int]:
    """The tokens of so many instruments: of every underlying, nearest expiries first."""
    index = host.engine.day.index
    found: list[int] = []
    for name in index.names:
        for contracts in index.all_contracts(name):
            for side in (contracts.calls, contracts.puts):
                found += [instrument.token for instrument in side.values()]
    if len(found) < count:
        raise SystemExit(f"the practice market has {len(found)} options, {count} are needed")
    return found[:count]


async def heard_of(client: EngineClient, tokens: Sequence[int]) -> None:
    """Wait until every instrument has been received."""
    async with asyncio.timeout(PATIENCE_S):
        for token in tokens:
            while (quote := client.quote(token)) is None or quote.state is QuoteState.UNKNOWN:  # noqa: ASYNC110 - no event
                await asyncio.sleep(TIMER_S)


async def measured(folder: Path, seconds: float, speed: float) -> dict[str, object]:
    """Open everything, measure, close everything."""
    reference = reference_ms()
    idle = percentiles(await lags(IDLE_S))
    configuration = Configuration(
        venue=VenueSettings(seed=SEED, start=START, speed=speed, linger_s=0.5),
        database=DatabaseSettings(pool_size=5),
    )
    locations = Locations(folder / "data")
    log_to_file(configuration.log, locations, "benchmark")
    async with open_host(configuration, locations, read_only=False, with_door=True) as host:
        client = host.client
        # The strip and the chain on screen are among the instruments the feed carries.
        tokens = tokens_of(host, INSTRUMENTS - len(host.engine.parts.strip))
        await client.watch(tokens)
        await heard_of(client, tokens)
        app = WorkstationApp(client, configuration.terminal, ScreenClock(client))
        screen = asyncio.create_task(app.run_async(), name="desk")
        await asyncio.sleep(WARM_S)
        gc.collect()
        packets, cpu, wall = client.desk().status.feed.packets, time.process_time(), time.perf_counter()
        found = await lags(seconds)
        elapsed = time.perf_counter() - wall
        feed = client.desk().status.feed
        result: dict[str, object] = {
            "reference_ms": reference,
            "idle": idle,
            "lag": percentiles(found),
            "cpu_percent": (time.process_time() - cpu) / elapsed * 100,
            "packets_per_s": (feed.packets - packets) / elapsed,
            "subscribed": feed.subscribed,
            "resident_mib": resident_mib(),
            "bad_frames": feed.bad_frames,
            "seconds": elapsed,
            "screen_ran": not screen.done(),
        }
        app.exit()
        await screen
    return result


def inside(folder: Path, seconds: float, speed: float) -> None:
    """The measured process: its terminal is the pseudo-terminal, its result goes to a file."""
    result = asyncio.run(measured(folder, seconds, speed))
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def drained(master: int) -> tuple[threading.Thread, list[int]]:
    """Read the terminal as a terminal would; counts bytes."""
    count = [0]

    def read() -> None:
        with contextlib.suppress(OSError):  # the other side has closed
            while data := os.read(master, 65_536):
                count[0] += len(data)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, count


def run_on_terminal(seconds: float, speed: float) -> dict[str, object]:
    """Run the measurement on a pseudo-terminal of its own and return its result."""
    with tempfile.TemporaryDirectory(prefix="ws-bench-") as name:
        # The embedded server may run as another user who has to pass through.
        Path(name).chmod(0o711)
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        words = [sys.executable, str(Path(__file__).resolve()), "--inside", name]
        words += ["--seconds", str(seconds), "--speed", str(speed)]
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
        process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        thread, count = drained(master)
        code = process.wait()
        thread.join(1.0)
        os.close(master)
        if code:
            raise SystemExit(f"the measured process ended with {code}")
        result: dict[str, object] = json.loads((Path(name) / "result.json").read_text(encoding="utf-8"))
        result["terminal_bytes"] = count[0]
        return result


def show(result: dict[str, object]) -> bool:
    """Print; whether the budget was kept under the load that was asked for."""

    def line(name: str) -> dict[str, float]:
        values = result[name]
        if not isinstance(values, dict):
            raise TypeError(f"{name} is no line of percentiles")
        return values

    def number(name: str) -> float:
        return float(str(result[name]))

    idle, lag = line("idle"), line("lag")
    print(f"{number('subscribed'):,.0f} instruments in full mode, {number('packets_per_s'):,.0f} packets/s, desk open")
    print(f"event loop lag, ms   p50 {lag['p50']:6.2f}   p99 {lag['p99']:6.2f}   max {lag['max']:7.2f}")
    print(f"idle loop, same run  p50 {idle['p50']:6.2f}   p99 {idle['p99']:6.2f}   max {idle['max']:7.2f}")
    print(f"ratio of p99         {lag['p99'] / max(idle['p99'], 1e-3):.1f}")
    print(f"CPU of the engine's process, terminal included: {number('cpu_percent'):.0f} % of one core")
    print(f"resident memory {number('resident_mib'):.0f} MiB; {number('bad_frames'):.0f} damaged frames")
    print(f"terminal output {number('terminal_bytes') / number('seconds') / 1e3:.0f} kB/s")
    print(f"reference loop of {REFERENCE_TURNS:,} turns: {number('reference_ms'):.0f} ms")
    loaded = number("packets_per_s") >= INSTRUMENTS * UPDATES_PER_S and bool(result["screen_ran"])
    kept = lag["p99"] < BUDGET_P99_MS
    if not loaded:
        print(f"the load was too small: raise --speed until {INSTRUMENTS * UPDATES_PER_S:,.0f} packets/s arrive")
    print(f"budget of {BUDGET_P99_MS:.0f} ms at p99 {'kept' if kept else 'MISSED'}")
    return kept and loaded


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when the budget is kept under the whole load."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    line.add_argument("--seconds", type=float, default=30.0)
    line.add_argument("--speed", type=float, default=10.0, help="market seconds per second: more of them change more")
    line.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = line.parse_args(arguments)
    if options.inside is not None:
        inside(options.inside, options.seconds, options.speed)
        return 0
    return 0 if show(run_on_terminal(options.seconds, options.speed)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
