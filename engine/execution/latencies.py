"""How long the steps of an order take: histograms of fixed size with a fixed relative error.

A value is counted in a bucket of a logarithmic scale: powers of two of a microsecond, each cut into equal parts, as
HdrHistogram does. A percentile is wrong by at most one part, which is 3 % of the value; memory never grows.
"""

from __future__ import annotations

from enum import StrEnum

from engine.core.execution import LatencyView

UNIT_S = 1e-6
PARTS_BITS = 5
PARTS = 1 << PARTS_BITS
"""Buckets of one power of two: a value is known to 1/32."""
POWERS = 33
"""Up to a day and a half; anything longer counts in the last bucket, its maximum is kept exactly."""
BUCKETS = PARTS * POWERS


class LatencyStep(StrEnum):
    """What is measured."""

    QUEUE = "queue"
    """From being queued to being chosen for the wire."""
    SEND = "send"
    """From being chosen to the first byte."""
    ACKNOWLEDGE = "acknowledge"
    """From the first byte to the broker's answer."""
    FILL = "fill"
    """From the broker's answer to the last fill."""


class LatencyHistogram:
    """Counts durations."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._sum = 0.0
        self._max = 0.0
        self.count = 0

    def record(self, seconds: float) -> None:
        """Count one duration; a negative one, from a clock that was set, counts as none."""
        seconds = max(0.0, seconds)
        self._counts[_bucket(int(seconds / UNIT_S))] += 1
        self._sum += seconds
        self._max = max(self._max, seconds)
        self.count += 1

    def percentile(self, percent: float) -> float | None:
        """Seconds that so many percent of the durations did not exceed; ``None`` without any.

        Raises:
            ValueError: ``percent`` is not in (0, 100].
        """
        if not 0 < percent <= 100:
            raise ValueError(f"a percentile lies above 0 and up to 100, not at {percent}")
        if not self.count:
            return None
        needed = self.count * percent / 100
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= needed:
                return min(_upper_edge(bucket) * UNIT_S, self._max)
        return self._max

    def view(self, step: LatencyStep) -> LatencyView:
        """The figures of it."""
        return LatencyView(
            step=step,
            count=self.count,
            mean_s=self._sum / self.count if self.count else None,
            p50_s=self.percentile(50),
            p90_s=self.percentile(90),
            p99_s=self.percentile(99),
            max_s=self._max if self.count else None,
        )


class Latencies:
    """One histogram for each step."""

    def __init__(self) -> None:
        self._histograms = {step: LatencyHistogram() for step in LatencyStep}

    def record(self, step: LatencyStep, seconds: float | None) -> None:
        """Count one duration; nothing is counted for ``None``."""
        if seconds is not None:
            self._histograms[step].record(seconds)

    def views(self) -> tuple[LatencyView, ...]:
        """The figures of all steps."""
        return tuple(histogram.view(step) for step, histogram in self._histograms.items())


def _bucket(units: int) -> int:
    """Below 32 units each has its own bucket; above, the five bits after the leading one tell the part."""
    shift = units.bit_length() - PARTS_BITS - 1
    if shift <= 0:
        return units
    return min(BUCKETS - 1, (shift << PARTS_BITS) + (units >> shift))


def _upper_edge(bucket: int) -> int:
    """The first number of units that lies beyond the bucket."""
    if bucket < 2 * PARTS:
        return bucket + 1
    shift = (bucket >> PARTS_BITS) - 1
    return ((bucket & (PARTS - 1)) + PARTS + 1) << shift
