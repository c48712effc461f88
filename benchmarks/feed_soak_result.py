"""What a run of ``feed_soak`` has shown, what follows from it, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

MEMORY_NOISE_MIB = 4.0
"""One block of the tape is as large: whether it is being made just now is not growth."""
OBJECTS_NOISE = 5_000
"""Free lists fill for some minutes; one object kept for ten frames would be more."""
WORK_NOISE = 0.25
"""Of the work for a packet: caches are warmer when nobody else has the core."""
COMPARED_WINDOWS = 3
SECONDS_PER_HOUR = 3600
BYTES_PER_MIB = 1 << 20
COLUMNS = (
    ("", "", 3),
    ("received", "per s", 8),
    ("sent", "per s", 7),
    ("under", "way", 6),
    ("lag ms", "p50    p99     max", 21),
    ("delay ms", "p50    p99     max", 21),
    ("CPU", "%", 4),
    ("loop", "%", 4),
    ("waited", "%", 6),
    ("heap", "MiB", 6),
    ("RSS", "MiB", 7),
    ("objects", "", 8),
    ("tape", "MiB", 5),
    ("candles", "wait", 7),
    ("chain", "per s", 6),
    ("not", "live", 5),
    ("market", "late ms", 7),
    ("its", "CPU %", 5),
)
"""Two lines of heading and the width of each column."""


class Spread(msgspec.Struct, frozen=True):
    """Milliseconds."""

    p50: float
    p99: float
    max: float


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What a while has shown."""

    seconds: float
    sent: int
    received: int
    in_flight: int
    """Packets sent and not yet on the board, at its end."""
    lag: Spread
    delay: Spread
    cpu_percent: float
    """Of one core: the whole process."""
    loop_cpu_percent: float
    """Its event loop alone."""
    waited_percent: float | None
    """Of the time, the loop's thread was ready and others had the core; ``None`` where the system does not tell."""
    heap_mib: float | None
    """In use, of what the C library gave out; median of its seconds. Python's small objects are not among it."""
    resident_mib: float
    """Median of its seconds. It keeps what the worst moment so far took, whether that is in use or not."""
    objects: int
    """Blocks that Python had allocated, median of its seconds."""
    recorder_waiting_max: int
    """Bytes."""
    candles_waiting_max: int
    chain_reads: int
    not_live: int
    """Looks at a quote that did not read LIVE."""
    market_late_ms: float
    """The furthest that the exchange was behind its timetable."""
    market_cpu_percent: float
    trouble: tuple[str, ...]

    @property
    def work_us(self) -> float:
        """Of processor time for a packet: whatever the desk does beside included."""
        return self.cpu_percent / 100 * self.seconds / max(1, self.received) * 1e6


class Peer(msgspec.Struct, frozen=True):
    """The official client's parser on frames of this run, microseconds a packet."""

    official_us: float
    ours_us: float
    """To the board."""


class Soak(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has shown."""

    instruments: int
    rate: float
    reference_ms: float
    idle_lag: Spread
    windows: tuple[Window, ...]
    sent: int
    received: int
    on_tape: int
    tape_is_identical: bool
    """The tape holds the very frames that were sent, connection by connection."""
    tape_damage: str
    tape_bytes: int
    board_differs: int
    """Instruments whose words on the board are not the last that were sent."""
    whole_minutes: int
    candles_missing: int
    """Candles of whole minutes that are not there, or not of the whole minute."""
    money_samples: int
    trouble: tuple[str, ...]
    peer: Peer

    @property
    def packets_per_s(self) -> float:
        """Received, over all windows."""
        return sum(window.received for window in self.windows) / sum(window.seconds for window in self.windows)

    @property
    def lost(self) -> int:
        """Packets that were sent and did not arrive."""
        return self.sent - self.received

    def growth(self, values: Sequence[float]) -> float:
        """From the second window to the last: a few windows each way, so that one odd window is no growth."""
        later = values[1:] or values
        few = min(COMPARED_WINDOWS, max(1, len(later) // 2))
        return float(np.median(later[-few:]) - np.median(later[:few]))

    @property
    def heap_growth_mib(self) -> float:
        """Of the memory in use; 0 where the system does not tell."""
        return self.growth([window.heap_mib or 0.0 for window in self.windows])

    @property
    def resident_growth_mib(self) -> float:
        """Of the resident memory, all along."""
        return self.growth([window.resident_mib for window in self.windows])

    @property
    def resident_late_growth_mib(self) -> float:
        """Of the resident memory in the second half, when the worst moments have been met."""
        return self.growth([window.resident_mib for window in self.windows[len(self.windows) // 2 - 1 :]])

    @property
    def objects_growth(self) -> float:
        """Of Python's blocks."""
        return self.growth([window.objects for window in self.windows])

    @property
    def hours(self) -> float:
        """Between the middles of the second window and the last."""
        return sum(window.seconds for window in self.windows[2:]) / SECONDS_PER_HOUR

    @property
    def is_lossless(self) -> bool:
        """Everything that was sent is where it should be."""
        return not (
            self.lost
            or self.board_differs
            or self.candles_missing
            or self.tape_damage
            or not self.tape_is_identical
            or self.trouble
        )

    @property
    def is_lag_flat(self) -> bool:
        """After the first window less than a second's packets are under way, and a packet is no more work at the end.

        The delay itself is not judged: it is also that of a machine whose cores others use.
        """
        work = [window.work_us for window in self.windows]
        early = float(np.median(work[1 : 1 + COMPARED_WINDOWS] or work))
        backlog = max(window.in_flight for window in self.windows[1:] or self.windows)
        return backlog < self.instruments * self.rate and self.growth(work) <= WORK_NOISE * early

    @property
    def is_memory_flat(self) -> bool:
        """What is in use does not grow, and what is resident has stopped growing."""
        mib = max(self.heap_growth_mib, self.resident_late_growth_mib)
        return mib < MEMORY_NOISE_MIB and self.objects_growth < OBJECTS_NOISE

    @property
    def is_sound(self) -> bool:
        """What was promised has been kept."""
        return self.is_lossless and self.is_lag_flat and self.is_memory_flat


def head() -> str:
    """The heading of the table of windows."""
    return "\n".join(" ".join(f"{column[line]:>{column[2]}}" for column in COLUMNS) for line in (0, 1))


def row(number: int, window: Window) -> str:
    """A window as a line under ``head``."""
    cells = (
        f"{number}",
        f"{window.received / window.seconds:,.0f}",
        f"{window.sent / window.seconds:,.0f}",
        f"{window.in_flight:,}",
        *(f"{one.p50:5.1f} {one.p99:7.1f} {one.max:7.1f}" for one in (window.lag, window.delay)),
        f"{window.cpu_percent:.0f}",
        f"{window.loop_cpu_percent:.0f}",
        "?" if window.waited_percent is None else f"{window.waited_percent:.1f}",
        "?" if window.heap_mib is None else f"{window.heap_mib:.2f}",
        f"{window.resident_mib:.2f}",
        f"{window.objects:,}",
        f"{window.recorder_waiting_max / BYTES_PER_MIB:.1f}",
        f"{window.candles_waiting_max:,}",
        f"{window.chain_reads / window.seconds:.1f}",
        f"{window.not_live:,}",
        f"{window.market_late_ms:.0f}",
        f"{window.market_cpu_percent:.0f}",
    )
    words = "; ".join(window.trouble)
    return " ".join(f"{cell:>{column[2]}}" for cell, column in zip(cells, COLUMNS, strict=True)) + f"  {words}".rstrip()


def said(soak: Soak) -> str:
    """The end of the table: what was lost, what grew."""
    hours = soak.hours or 1.0
    idle, peer = soak.idle_lag, soak.peer
    delay = soak.growth([window.delay.p50 for window in soak.windows])
    cpu = float(np.median([window.cpu_percent for window in soak.windows]))
    tape = "every frame, byte for byte" if soak.tape_is_identical else f"DIFFERS: {soak.on_tape:,} packets"
    work = [window.work_us for window in soak.windows]
    memory = f"in use {soak.heap_growth_mib:+.2f} MiB ({soak.heap_growth_mib / hours:+.1f} MiB an hour)"
    resident = f"{soak.resident_growth_mib:+.2f} MiB, in the second half {soak.resident_late_growth_mib:+.2f} MiB"
    lines = [
        f"sent {soak.sent:,} packets, received {soak.received:,}: {soak.lost:,} lost",
        f"board: {soak.board_differs:,} of {soak.instruments:,} instruments differ from what was last sent",
        f"tape: {tape}; {soak.tape_bytes / BYTES_PER_MIB:,.0f} MiB. {soak.tape_damage}".rstrip(". "),
        f"candles: {soak.candles_missing:,} missing in {soak.whole_minutes} whole minutes",
        f"money: {soak.money_samples:,} valuations of strategies kept",
        f"memory, second window to last: {memory}, {soak.objects_growth:+,.0f} objects; resident {resident}: "
        + _word(soak.is_memory_flat),
        f"lag, second window to last: work {soak.growth(work):+.2f} us a packet of {float(np.median(work)):.2f}, delay "
        f"{delay:+.2f} ms, under way at last {soak.windows[-1].in_flight:,}: " + _word(soak.is_lag_flat),
        f"idle loop, same run, ms: p50 {idle.p50:.2f}  p99 {idle.p99:.2f}  max {idle.max:.2f}",
        f"reference loop: {soak.reference_ms:.0f} ms",
        f"official parser: {peer.official_us:.1f} us a packet, {soak.packets_per_s * peer.official_us / 1e6:.2f} cores",
        f"ours, to the board: {peer.ours_us:.3f} us a packet, {peer.official_us / peer.ours_us:.0f} times faster",
        f"the whole desk: {cpu:.0f} % of one core",
        *soak.trouble,
        "nothing lost, nothing grows" if soak.is_sound else "NOT SOUND: see above",
    ]
    return "\n".join(lines)


def _word(is_flat: bool) -> str:
    return "flat" if is_flat else "GROWS"
