"""What is counted: the text that monitoring reads, and that no client can make it grow."""

from __future__ import annotations

import math

import msgspec
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from engine.core.orders import OrderState
from engine.core.vocabulary import QuoteState
from engine.server.metrics import METHODS_MAX, Departure, Door, RefusalWord, ServerMetrics
from engine.server.topics import TopicKind
from tests.kit.plain_engine import PlainEngine


def figure(meters: ServerMetrics, name: str, **labels: str) -> float | None:
    """One figure as monitoring reads it."""
    for family in text_string_to_metric_families(meters.text().decode()):
        for sample in family.samples:
            if sample.name == f"workstation_{name}" and sample.labels == labels:
                return float(sample.value)
    return None


def series(meters: ServerMetrics, name: str) -> int:
    """How many series a figure has."""
    families = text_string_to_metric_families(meters.text().decode())
    return sum(sample.name == f"workstation_{name}" for family in families for sample in family.samples)


def test_clients_come_and_go() -> None:
    """The gauge follows, the counters remember why."""
    meters = ServerMetrics()
    meters.connected(Door.WEB)
    meters.connected(Door.WEB)
    meters.connected(Door.LOCAL)
    meters.disconnected(Door.WEB, Departure.SLOW)
    assert figure(meters, "clients", door="web") == 1
    assert figure(meters, "clients", door="local") == 1
    assert figure(meters, "connections_total", door="web") == 2
    assert figure(meters, "disconnections_total", door="web", reason="slow") == 1


def test_calls_have_outcomes_and_times() -> None:
    """Each call counts once, under its outcome, and in the histogram."""
    meters = ServerMetrics()
    meters.called("submit", "ok", 0.004)
    meters.called("submit", "refused", 0.2)
    assert figure(meters, "calls_total", method="submit", outcome="ok") == 1
    assert figure(meters, "calls_total", method="submit", outcome="refused") == 1
    assert figure(meters, "call_seconds_count", method="submit") == 2
    assert figure(meters, "call_seconds_bucket", method="submit", le="0.005") == 1
    assert figure(meters, "call_seconds_sum", method="submit") == pytest.approx(0.204)


@pytest.mark.parametrize("kind", [*(kind.value for kind in TopicKind), "answer"])
def test_every_kind_of_message_is_known(kind: str) -> None:
    """What is sent counts under the kind of its topic, in messages and bytes."""
    meters = ServerMetrics()
    meters.sent(kind, 100)
    meters.sent(kind, 50)
    assert figure(meters, "messages_sent_total", kind=kind) == 2
    assert figure(meters, "sent_bytes_total", kind=kind) == 150


def test_unknown_words_share_one_series() -> None:
    """Words from outside cannot make the number of series grow."""
    meters = ServerMetrics()
    for number in range(500):
        meters.connected(f"door {number}")
        meters.disconnected(f"door {number}", f"because {number}")
        meters.refused(f"door {number}", f"because {number}")
        meters.called(f"method {number}", f"outcome {number}", 0.1)
        meters.sent(f"kind {number}", 1)
    assert series(meters, "connections_total") == 1
    assert series(meters, "disconnections_total") == 1
    assert series(meters, "refusals_total") == 1
    assert series(meters, "messages_sent_total") == 1
    assert series(meters, "calls_total") == METHODS_MAX + 1
    assert figure(meters, "calls_total", method="other", outcome="other") == 500 - METHODS_MAX


def test_words_of_refusals_are_known() -> None:
    """Every reason to turn somebody away has a series of its own."""
    meters = ServerMetrics()
    for word in RefusalWord:
        meters.refused(Door.WEB, word)
    assert series(meters, "refusals_total") == len(RefusalWord)


async def test_the_engine_in_figures() -> None:
    """The gauges are those of the desk that was looked at last."""
    meters, engine = ServerMetrics(), PlainEngine()
    desk = engine.desk()
    meters.observe_engine(desk)
    status = desk.status
    assert figure(meters, "writer") == float(status.writer)
    assert figure(meters, "feed_packets") == status.feed.packets
    assert figure(meters, "feed_subscribed_instruments") == status.feed.subscribed
    assert figure(meters, "feed_age_seconds") == status.feed.age_s
    assert figure(meters, "feed_live") == 1
    assert figure(meters, "order_budget_limit", window="minute") == status.budget.minute_limit
    assert figure(meters, "order_budget_used", window="second") == status.budget.second_used
    assert figure(meters, "unknown_orders") == status.unknown_orders
    assert {figure(meters, "orders", state=state.value.lower()) for state in OrderState} == {0.0}


async def test_a_feed_that_is_lost() -> None:
    """An age that is not known is not a number, never nought; a suspect feed is not live."""
    meters, desk = ServerMetrics(), PlainEngine().desk()
    feed = msgspec.structs.replace(desk.status.feed, state=QuoteState.STALE, age_s=None)
    meters.observe_engine(msgspec.structs.replace(desk, status=msgspec.structs.replace(desk.status, feed=feed)))
    age = figure(meters, "feed_age_seconds")
    assert age is not None
    assert math.isnan(age)
    assert figure(meters, "feed_live") == 0


def test_the_loop_is_never_early() -> None:
    """A timer that fires a little early is on time."""
    meters = ServerMetrics()
    meters.loop_was_late(-0.001)
    meters.loop_was_late(0.3)
    assert figure(meters, "loop_lag_seconds_count") == 2
    assert figure(meters, "loop_lag_seconds_sum") == pytest.approx(0.3)


def test_the_registry_is_our_own() -> None:
    """Two engines in one process do not share figures, and nothing of ours is in the library's global registry."""
    first, second = ServerMetrics(), ServerMetrics()
    first.slow_client_closed()
    assert figure(first, "slow_clients_closed_total") == 1
    assert figure(second, "slow_clients_closed_total") == 0
    assert REGISTRY.get_sample_value("workstation_slow_clients_closed_total") is None
