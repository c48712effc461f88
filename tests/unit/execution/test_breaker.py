"""The circuit breaker: what opens it, how long, who may try meanwhile, and what closes it."""

from __future__ import annotations

import math

import pytest

from engine.core.errors import (
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    OutcomeUnknown,
    RateLimited,
    SessionExpired,
)
from engine.execution.breaker import BreakerState, CircuitBreaker, Endpoint, Reach
from engine.execution.settings import BreakerLimits
from engine.execution.wire import reach_of


class Bench:
    """A breaker, its clock and the states it has told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[str] = []
        self.breaker = CircuitBreaker(
            Endpoint.ORDERS, BreakerLimits(), lambda: self.now, lambda breaker: self.told.append(breaker.state)
        )

    def request(self, reach: Reach, words: str = "no connection.") -> None:
        """One request that ends so."""
        self.breaker.begin()
        self.breaker.end(reach, words)

    def opened(self) -> None:
        """Three failures in a row."""
        for _ in range(3):
            self.request(Reach.FAILED)


def test_the_third_failure_in_a_row_opens_it_and_the_second_does_not() -> None:
    """Anything answered in between begins the count anew."""
    bench = Bench()
    for reach in (Reach.FAILED, Reach.FAILED, Reach.ANSWERED, Reach.FAILED, Reach.FAILED):
        bench.request(reach)
        assert bench.breaker.state is BreakerState.CLOSED
    bench.request(Reach.FAILED)
    assert bench.breaker.state is BreakerState.OPEN
    assert bench.told == ["open"]
    assert bench.breaker.opened == 1


def test_what_is_unclear_neither_counts_nor_clears() -> None:
    """A sick answer proves nothing about the way."""
    bench = Bench()
    for reach in (Reach.FAILED, Reach.UNCLEAR, Reach.FAILED, Reach.UNCLEAR):
        bench.request(reach)
    assert bench.breaker.failures == 2
    bench.request(Reach.FAILED)
    assert bench.breaker.state is BreakerState.OPEN


def test_it_is_tried_after_its_pause_by_one_at_a_time() -> None:
    """Two seconds to the moment; then one request, and nobody beside it."""
    bench = Bench()
    bench.opened()
    assert bench.breaker.wait(urgent=False) == pytest.approx(2.0)
    assert "tried again in 2.0 s" in bench.breaker.refuses()
    assert "(no connection)" in bench.breaker.refuses()
    states = []
    for step in (1.999, 0.002):
        bench.now += step
        states.append(bench.breaker.state)
    assert states == [BreakerState.OPEN, BreakerState.HALF_OPEN]
    assert bench.breaker.refuses() == ""
    assert bench.breaker.wait(urgent=False) == 0.0
    bench.breaker.begin()
    assert bench.breaker.wait(urgent=False) == math.inf
    assert bench.breaker.wait(urgent=True) == 0.0
    bench.breaker.end(Reach.UNCLEAR, "")
    assert bench.breaker.wait(urgent=False) == 0.0


def test_urgent_requests_are_tried_sooner() -> None:
    """Exits wait one second, entries two."""
    bench = Bench()
    bench.opened()
    assert bench.breaker.wait(urgent=True) == pytest.approx(1.0)
    bench.now += 1.0
    assert bench.breaker.wait(urgent=True) == 0.0
    assert bench.breaker.wait(urgent=False) == pytest.approx(1.0)


def test_a_failed_try_doubles_the_pause_up_to_its_end() -> None:
    """2, 4, 8, 10, 10 seconds; an answer makes it two again."""
    bench = Bench()
    bench.opened()
    pauses = []
    for _ in range(5):
        pauses.append(bench.breaker.wait(urgent=False))
        bench.now += pauses[-1]
        bench.request(Reach.FAILED)
    assert pauses == pytest.approx([2.0, 4.0, 8.0, 10.0, 10.0])
    bench.now += 10
    bench.request(Reach.ANSWERED)
    assert bench.breaker.state is BreakerState.CLOSED
    assert bench.told[-1] == "closed"
    bench.opened()
    assert bench.breaker.wait(urgent=False) == pytest.approx(2.0)
    assert bench.breaker.view().opened == 2


def test_a_failed_urgent_try_begins_the_pause_anew_without_doubling_it() -> None:
    """An exit tried in vain after a second: entries wait their two seconds from then."""
    bench = Bench()
    bench.opened()
    bench.now += 1.0
    bench.request(Reach.FAILED)
    assert bench.breaker.wait(urgent=False) == pytest.approx(2.0)
    assert bench.breaker.wait(urgent=True) == pytest.approx(1.0)


def test_an_answer_that_was_on_its_way_closes_it() -> None:
    """A request that left before it opened, and is answered: the way is there."""
    bench = Bench()
    bench.breaker.begin()
    bench.opened()
    bench.breaker.end(Reach.ANSWERED, "")
    assert bench.breaker.state is BreakerState.CLOSED
    assert bench.breaker.is_closed


def test_the_view_tells_what_the_breaker_does() -> None:
    """State, failures, the wait and the words."""
    bench = Bench()
    assert bench.breaker.view().retry_in_s is None
    bench.opened()
    view = bench.breaker.view()
    assert (view.endpoint, view.state, view.failures, view.last_error) == ("orders", "open", 3, "no connection")
    assert view.retry_in_s == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("error", "reach"),
    [
        (BrokerUnavailable("no connection"), Reach.FAILED),
        (BrokerUnavailable("HTTP 503", code=503), Reach.FAILED),
        (OutcomeUnknown("timed out"), Reach.FAILED),
        (OutcomeUnknown("gateway", code=504), Reach.FAILED),
        (OutcomeUnknown("gateway", code=502), Reach.FAILED),
        (OutcomeUnknown("timeout", code=408), Reach.FAILED),
        (OutcomeUnknown("a sick answer", code=500), Reach.UNCLEAR),
        (OutcomeUnknown("no order id", code=200), Reach.UNCLEAR),
        (OutcomeUnknown("Order request timed out", code=400), Reach.UNCLEAR),
        (BrokerRejected("Insufficient funds.", code=400), Reach.ANSWERED),
        (RateLimited("Too many requests"), Reach.ANSWERED),
        (SessionExpired("log in", code=403), Reach.ANSWERED),
        (BrokerError("odd"), Reach.UNCLEAR),
    ],
)
def test_only_connectivity_is_a_failure(error: BrokerError, reach: Reach) -> None:
    """Refusals of every kind are answers; an answer without sense proves nothing."""
    assert reach_of(error) is reach
