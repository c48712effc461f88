"""Histograms of latencies: exact counts, percentiles within three percent, memory that never grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.execution.latencies import Latencies, LatencyHistogram, LatencyStep


def test_an_empty_histogram_knows_nothing() -> None:
    """Unknown is None, never zero."""
    view = LatencyHistogram().view(LatencyStep.QUEUE)
    assert (view.count, view.mean_s, view.p50_s, view.p99_s, view.max_s) == (0, None, None, None, None)


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_percentile_lies_between_nothing_and_everything(percent: float) -> None:
    """Anything else is a mistake of the caller."""
    with pytest.raises(ValueError, match="percentile"):
        LatencyHistogram().percentile(percent)


@given(st.lists(st.floats(1e-6, 3600), min_size=1, max_size=200), st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_percentiles_are_right_within_a_bucket(values: list[float], percent: float) -> None:
    """At least the exact one, and above it by a part of 32 and a microsecond at most."""
    histogram = LatencyHistogram()
    for value in values:
        histogram.record(value)
    ordered = sorted(values)
    exact = ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)]
    found = histogram.percentile(percent)
    assert found is not None
    assert exact * (1 - 1e-9) <= found + 1e-12
    assert found <= exact * (1 + 1 / 32) + 2e-6


def test_extremes_are_kept() -> None:
    """A negative duration counts as none, one of days counts in the last bucket with its maximum exact."""
    histogram = LatencyHistogram()
    histogram.record(-3.0)
    histogram.record(1e7)
    view = histogram.view(LatencyStep.FILL)
    assert (view.count, view.max_s, view.mean_s) == (2, 1e7, 5e6)
    assert view.p50_s == pytest.approx(1e-6)


def test_each_step_has_its_own_and_nothing_measured_counts_nothing() -> None:
    """None is no duration."""
    latencies = Latencies()
    latencies.record(LatencyStep.SEND, 0.004)
    latencies.record(LatencyStep.FILL, None)
    counts = {view.step: view.count for view in latencies.views()}
    assert counts == {"queue": 0, "send": 1, "acknowledge": 0, "fill": 0}
