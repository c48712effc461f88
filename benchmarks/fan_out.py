"""Fan-out of 200 quotes to 10, 50 and 100 clients: server CPU, latency and memory, beside encoding for each client.

A delivery is one client receiving one message. Ours is the real web door on loopback TCP with a token; the peer is a
plain ``websockets`` server that, whenever something changes, encodes a fresh message for each client and sends it with
``broadcast``. Each server has a process of its own, all clients share another; the sides take turns, and what is shown
is the median of the rounds. Every instrument changes three times a second, all at once or, as a feed brings them,
twenty in each frame; ours conflates at a pace of 10 Hz, the peer sends every frame at once. So there are two ratios: of
CPU for each delivery, and of CPU for the same changes; where both send the same messages they agree. CPU is what
clients cost: what the market alone takes in the same process, measured before they come, is left out. Latency is from
the stamp of a quote to its arrival and includes the pace. At the end one more client is attached that never reads.

Run: ``python -m benchmarks.fan_out [--rounds 5] [--seconds 4]``.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from benchmarks.fan_out_clients import Received, clients_process
from benchmarks.fan_out_market import INSTRUMENTS, Load
from benchmarks.fan_out_server import OURS, PEER, Address, Reading, server_process

AT_ONCE, IN_FRAMES, FROM_BOARD = "all at once", "in frames", "from the board"
LOADS = (
    Load(name=AT_ONCE, clients=10),
    Load(name=AT_ONCE, clients=50),
    Load(name=AT_ONCE, clients=100),
    Load(name=IN_FRAMES, clients=10, frames_hz=30.0, in_frame=20),
    Load(name=IN_FRAMES, clients=50, frames_hz=30.0, in_frame=20),
    Load(name=IN_FRAMES, clients=100, frames_hz=30.0, in_frame=20),
    Load(name="half each, at once", clients=50, own_sets=True),
    Load(name="half each, frames", clients=50, frames_hz=30.0, in_frame=20, own_sets=True),
    Load(name="2 at 10 Hz", clients=50, frames_hz=10.0, in_frame=2),
    Load(name=FROM_BOARD, clients=10, frames_hz=30.0, in_frame=20, from_board=True),
    Load(name=FROM_BOARD, clients=100, frames_hz=30.0, in_frame=20, from_board=True),
)
FREEZE = Load(name="and one frozen", clients=50, has_frozen=True)
BUDGET_RATIO = 0.5
BUDGET_LOADS = (AT_ONCE, IN_FRAMES)
BUDGET_CLIENTS = (10, 100)
WARM_S = 1.17
"""Left out: the first pictures of everybody. No beat of a load falls on its end."""
FROZEN_MAX_S = 60.0
"""The frozen client must have been closed by then."""
LOOK_S = 0.5
STOP_S = 5.0
REFERENCE_TURNS = 2_000_000
REFERENCE_ROUNDS = 5
BYTES_PER_KB = 1e3


class Worker:
    """A process that is told what to do."""

    def __init__(self, target: Callable[..., None], *arguments: object) -> None:
        """Start it; it imports everything anew."""
        fresh = multiprocessing.get_context("spawn")
        self._pipe, there = fresh.Pipe()
        self._process = fresh.Process(target=target, args=(there, *arguments), daemon=True)
        self._process.start()
        there.close()

    @property
    def pipe(self) -> Connection:
        """The line to it."""
        return self._pipe

    def ask(self, word: str, argument: object = None) -> Any:  # noqa: ANN401 - each word has its own answer
        """Tell it, and wait for its answer."""
        self._pipe.send((word, argument))
        return self._pipe.recv()

    def stop(self) -> None:
        """Let it end; end it when it does not."""
        with contextlib.suppress(OSError):  # it may have died, and has said why
            self._pipe.send(("stop", None))
        self._process.join(STOP_S)
        if self._process.is_alive():
            self._process.terminate()


class Row(msgspec.Struct, frozen=True):
    """One side under one load for a while."""

    cpu_per_s: float
    """Seconds of CPU in a second."""
    deliveries_per_s: float
    delivery_us: float
    received: Received
    resident_mib: float


class Ratios(msgspec.Struct, frozen=True):
    """Ours against the peer: medians of the pairs of rounds."""

    of_delivery: float
    of_changes: float


@contextlib.contextmanager
def running(target: Callable[..., None], *arguments: object) -> Iterator[Worker]:
    """A worker that is stopped at the end."""
    worker = Worker(target, *arguments)
    try:
        yield worker
    finally:
        worker.stop()


def made_row(before: Reading, after: Reading, received: Received, alone: float) -> Row:
    """What happened between two readings; ``alone`` is the CPU per second of the market without clients."""
    elapsed = after.at_s - before.at_s
    cpu = after.cpu_s - before.cpu_s - alone * elapsed
    return Row(
        cpu_per_s=cpu / elapsed,
        deliveries_per_s=received.deliveries / elapsed,
        delivery_us=cpu / max(1, received.deliveries) * 1e6,
        received=received,
        resident_mib=after.resident_mib,
    )


def market_alone(server: Worker, load: Load, seconds: float) -> float:
    """CPU seconds per second of a server that nobody is attached to."""
    server.ask("prepare", load)
    server.ask("move", load)
    before: Reading = server.ask("read")
    time.sleep(seconds)
    after: Reading = server.ask("read")
    server.ask("rest")
    return (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s)


def measured(server: Worker, address: Address, clients: Worker, load: Load, *, seconds: float, alone: float) -> Row:
    """One load on one side."""
    server.ask("prepare", load)
    clients.ask("attach", (address, load))
    server.ask("move", load)
    time.sleep(WARM_S)
    clients.ask("begin")
    before: Reading = server.ask("read")
    time.sleep(seconds)
    after: Reading = server.ask("read")
    received: Received = clients.ask("received")
    server.ask("rest")
    clients.ask("leave")
    return made_row(before, after, received, alone)


def frozen(server: Worker, address: Address, clients: Worker, alone: float) -> tuple[Row, float | None]:
    """The load with one client that never reads, until it has been closed; and how long that took, seconds."""
    server.ask("prepare", FREEZE)
    clients.ask("attach", (address, FREEZE))
    clients.ask("begin")
    before: Reading = server.ask("read")
    server.ask("move", FREEZE)
    closed_after = None
    while closed_after is None:
        time.sleep(LOOK_S)
        after: Reading = server.ask("read")
        if after.slow_closed > before.slow_closed:
            closed_after = after.at_s - before.at_s
        elif after.at_s - before.at_s > FROZEN_MAX_S:
            break
    received: Received = clients.ask("received")
    server.ask("rest")
    clients.ask("leave")
    return made_row(before, after, received, alone), closed_after


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


def compared(ours: Sequence[Row], peer: Sequence[Row]) -> Ratios:
    """Each round against the one beside it."""
    pairs = list(zip(ours, peer, strict=True))
    return Ratios(
        of_delivery=statistics.median(own.delivery_us / other.delivery_us for own, other in pairs),
        of_changes=statistics.median(own.cpu_per_s / other.cpu_per_s for own, other in pairs),
    )


def show(load: Load, side: str, rows: Sequence[Row], ratios: Ratios | None) -> None:
    """Print a line of medians."""

    def median(of: Callable[[Row], float]) -> float:
        return statistics.median(of(row) for row in rows)

    print(
        f"{load.name:<19}{load.clients:>4}  {side:<5}"
        f"{median(lambda row: row.cpu_per_s) * 100:>7.1f}"
        f"{median(lambda row: row.deliveries_per_s):>9.0f}"
        f"{median(lambda row: row.delivery_us):>8.0f}"
        f"{median(lambda row: row.received.message_bytes) / BYTES_PER_KB:>8.1f}"
        f"{median(lambda row: row.received.p50_ms):>8.1f}"
        f"{median(lambda row: row.received.p99_ms):>8.1f}"
        f"{median(lambda row: row.resident_mib):>6.0f}"
        + ("" if ratios is None else f"{ratios.of_delivery:>8.2f}{ratios.of_changes:>9.2f}"),
        flush=True,
    )


def heading() -> None:
    """Print what the columns are."""
    print(f"{INSTRUMENTS} instruments with full depth; CPU in % of one core; us and ratio for each delivery")
    print(
        f"{'load':<18}{'clients':>5}  {'side':<5}{'CPU':>6}{'deliv/s':>9}{'us':>8}{'kB':>8}"
        f"{'p50 ms':>8}{'p99 ms':>8}{'MiB':>6}{'ratio':>8}{'changes':>9}"
    )


def show_frozen(row: Row, closed_after: float | None) -> None:
    """Print what became of the client that never reads, and of the others."""
    show(FREEZE, OURS, [row], None)
    if closed_after is None:
        print(f"the frozen client was NOT closed within {FROZEN_MAX_S:.0f} s")
        return
    print(
        f"the frozen client was closed as too slow after {closed_after:.1f} s; of {FREEZE.clients} others "
        f"{row.received.lost} were lost, and each was sent {row.received.least} messages or more of "
        f"{int(closed_after * FREEZE.frames_hz)}"
    )


def profiled(server: Worker, address: Address, clients: Worker, place: str) -> None:
    """Write a profile of our server under the load of 50 clients."""
    load = LOADS[1]
    server.ask("prepare", load)
    clients.ask("attach", (address, load))
    server.ask("move", load)
    server.ask("profile", place)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when the ratio is kept and the frozen client was closed."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    line.add_argument("--rounds", type=int, default=5)
    line.add_argument("--seconds", type=float, default=4.0)
    line.add_argument("--profile", default="", help="write a profile of our server, with 50 clients, to this file")
    options = line.parse_args(arguments)
    missed = []
    with (
        running(server_process, OURS) as ours,
        running(server_process, PEER) as peer,
        running(clients_process) as crowd,
    ):
        addresses: dict[str, Address] = {OURS: ours.pipe.recv(), PEER: peer.pipe.recv()}
        if options.profile:
            profiled(ours, addresses[OURS], crowd, options.profile)
            return 0
        sides = ((PEER, peer), (OURS, ours))
        alone: dict[tuple[object, str], float] = {}
        heading()
        for load in LOADS:
            rows: dict[str, list[Row]] = {OURS: [], PEER: []}
            for side, server in sides:
                alone[load.shape, side] = alone.get((load.shape, side)) or market_alone(server, load, options.seconds)
            for _ in range(options.rounds):
                for side, server in sides:
                    row = measured(
                        server, addresses[side], crowd, load, seconds=options.seconds, alone=alone[load.shape, side]
                    )
                    rows[side].append(row)
            ratios = compared(rows[OURS], rows[PEER])
            show(load, PEER, rows[PEER], None)
            show(load, OURS, rows[OURS], ratios)
            if load.name in BUDGET_LOADS and load.clients in BUDGET_CLIENTS and ratios.of_changes > BUDGET_RATIO:
                missed.append(f"{load.name} to {load.clients}: {ratios.of_changes:.2f}")
        row, closed_after = frozen(ours, addresses[OURS], crowd, alone[FREEZE.shape, OURS])
        show_frozen(row, closed_after)
        read_us: float = ours.ask("quote")
    print(f"reading one quote of the board: {read_us:.0f} us")
    print(f"reference loop of {REFERENCE_TURNS:,} turns: {reference_ms():.0f} ms")
    print(f"ratio of {BUDGET_RATIO:g} for the same changes {f'MISSED: {missed}' if missed else 'kept'}")
    return 1 if missed or closed_after is None else 0


if __name__ == "__main__":
    raise SystemExit(main())
