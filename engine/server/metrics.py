"""What the doors and the engine behind them count, as Prometheus text. One registry of its own, never the global one.

Labels come from closed lists: a word that is not on its list counts as ``other``, so that no client can make the
number of series grow. No label and no figure tells of an account, a client, a price or an order's instrument.
"""

from __future__ import annotations

from collections import Counter as Tally
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from engine.core.orders import OrderState
from engine.core.views import DeskView
from engine.core.vocabulary import QuoteState

CONTENT_TYPE = CONTENT_TYPE_PLAIN_1_0_0
OTHER = "other"
METHODS_MAX = 64
"""Method names that get a series of their own; the engine has fewer."""
CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the histogram of calls, seconds."""
LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper edges of the histogram of the event loop's lateness, seconds."""


class Door(StrEnum):
    """The ways in."""

    LOCAL = "local"
    WEB = "web"


class Departure(StrEnum):
    """Why a client is not attached any more."""

    LEFT = "left"
    """It went by itself, or its link broke."""
    SLOW = "slow"
    """It took nothing for too long."""
    SILENT = "silent"
    """It did not answer pings."""
    EXPIRED = "expired"
    REVOKED = "revoked"
    TOO_BIG = "too_big"
    """It sent a message beyond the limit."""
    PROTOCOL = "protocol"
    """What it sent was not of the protocol."""
    ENDING = "ending"
    """The engine ended."""
    FAILED = "failed"
    """A defect here."""


class RefusalWord(StrEnum):
    """Why somebody was turned away before being let in."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    TOKEN_IN_ADDRESS = "token_in_address"  # noqa: S105 - the name of a refusal
    ORIGIN = "origin"
    HOST = "host"
    FULL = "full"
    """As many clients as there may be are attached."""
    CROWDED = "crowded"
    """Dropped because newer connections came while it had not finished its first request."""
    BLOCKED = "blocked"
    """Too many failed attempts from one address."""
    ENDING = "ending"
    NOT_FOUND = "not_found"
    METHOD = "method"
    NO_UPGRADE = "no_upgrade"
    BAD_REQUEST = "bad_request"
    STRANGER = "stranger"
    """Another user at the local door."""


OUTCOMES = frozenset({"ok", "refused", "invalid", "forbidden", "failed"})
TOPIC_KINDS = frozenset({"desk", "chain", "quotes", "orders", "events", "strategies", "positions", "answer"})
DOORS = frozenset(Door)
DEPARTURES = frozenset(Departure)
REFUSALS = frozenset(RefusalWord)


def _known(word: str, words: frozenset[str]) -> str:
    return str(word) if word in words else OTHER


class ServerMetrics:
    """Counters, gauges and histograms of one engine's doors."""

    def __init__(self) -> None:
        """Everything stands at zero."""
        self.registry = registry = CollectorRegistry(auto_describe=False)
        self._methods: set[str] = set()
        self._sent: dict[str, tuple[Counter, Counter]] = {}
        """Series of topics that were sent, so that a message costs no look-up of labels."""

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"workstation_{name}", words, labels, registry=registry)

        def gauge(name: str, words: str, *labels: str) -> Gauge:
            return Gauge(f"workstation_{name}", words, labels, registry=registry)

        self._clients = gauge("clients", "Clients attached now.", "door")
        self._connected = counter("connections", "Clients that were let in.", "door")
        self._disconnected = counter("disconnections", "Clients that are not attached any more.", "door", "reason")
        self._refused = counter("refusals", "Requests turned away before anybody was let in.", "door", "reason")
        self._slow = counter("slow_clients_closed", "Clients closed because they took nothing for too long.")
        self._calls = counter("calls", "Calls answered.", "method", "outcome")
        self._call_seconds = Histogram(
            "workstation_call_seconds",
            "Time from a call's arrival to its answer, seconds.",
            ("method",),
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._messages = counter("messages_sent", "Messages sent to clients.", "kind")
        self._bytes = counter("sent_bytes", "Bytes sent to clients, before TLS.", "kind")
        self._lag = Histogram(
            "workstation_loop_lag_seconds",
            "How late the event loop came back to a task that asked to be woken, seconds.",
            buckets=LAG_SECONDS,
            registry=registry,
        )
        self._feed_age = gauge("feed_age_seconds", "Seconds since the last byte of market data; NaN before the first.")
        self._feed_live = gauge("feed_live", "1 while market data can be trusted to be current, or the market is shut.")
        self._feed_connections = gauge("feed_connections", "Connections that carry market data.")
        self._feed_subscribed = gauge("feed_subscribed_instruments", "Instruments subscribed.")
        self._feed_packets = gauge("feed_packets", "Packets of market data since the start.")
        self._feed_bad = gauge("feed_bad_frames", "Damaged frames since the start.")
        self._feed_reconnects = gauge("feed_reconnects", "Connections replaced since the start.")
        self._writer = gauge("writer", "1 while this engine may send orders.")
        self._orders = gauge("orders", "Orders of the day and those still working, by state.", "state")
        self._unknown = gauge("unknown_orders", "Orders whose outcome is not known.")
        self._budget_used = gauge("order_budget_used", "Orders used of the broker's budget.", "window")
        self._budget_limit = gauge("order_budget_limit", "The broker's budget of orders.", "window")
        self._degraded = gauge("degraded_services", "Services that do not run as they should.")

    # -- who comes and goes ----------------------------------------------------------------------------------------

    def connected(self, door: str) -> None:
        """A client was let in."""
        door = _known(door, DOORS)
        self._connected.labels(door).inc()
        self._clients.labels(door).inc()

    def disconnected(self, door: str, reason: str) -> None:
        """A client that had been let in is gone; ``reason`` is a ``Departure``."""
        door = _known(door, DOORS)
        self._disconnected.labels(door, _known(reason, DEPARTURES)).inc()
        self._clients.labels(door).dec()

    def refused(self, door: str, reason: str) -> None:
        """Somebody was turned away; ``reason`` is a ``RefusalWord``."""
        self._refused.labels(_known(door, DOORS), _known(reason, REFUSALS)).inc()

    def slow_client_closed(self) -> None:
        """A client was closed because it took nothing for too long."""
        self._slow.inc()

    # -- what is asked and sent ------------------------------------------------------------------------------------

    def called(self, method: str, outcome: str, seconds: float) -> None:
        """A call was answered after ``seconds``; ``outcome`` is one of ``OUTCOMES``."""
        if method not in self._methods:
            if len(self._methods) >= METHODS_MAX:
                method = OTHER
            else:
                self._methods.add(method)
        self._calls.labels(method, _known(outcome, OUTCOMES)).inc()
        self._call_seconds.labels(method).observe(seconds)

    def sent(self, topic_kind: str, size: int) -> None:
        """A message of ``size`` bytes left; ``topic_kind`` is the first word of its topic, or ``answer``."""
        series = self._sent.get(topic_kind)
        if series is None:
            kind = _known(topic_kind, TOPIC_KINDS)
            series = (self._messages.labels(kind), self._bytes.labels(kind))
            if topic_kind == kind:  # an unknown word must not make this table grow
                self._sent[kind] = series
        messages, size_sum = series
        messages.inc()
        size_sum.inc(size)

    # -- how the engine does ---------------------------------------------------------------------------------------

    def loop_was_late(self, seconds: float) -> None:
        """The event loop came back ``seconds`` after the asked moment."""
        self._lag.observe(max(0.0, seconds))

    def observe_engine(self, desk: DeskView) -> None:
        """Take the gauges from a picture of the desk; call it when somebody asks for the text."""
        status = desk.status
        feed, budget = status.feed, status.budget
        self._feed_age.set(float("nan") if feed.age_s is None else feed.age_s)
        self._feed_live.set(feed.state in {QuoteState.LIVE, QuoteState.CLOSED})
        self._feed_connections.set(feed.connections)
        self._feed_subscribed.set(feed.subscribed)
        self._feed_packets.set(feed.packets)
        self._feed_bad.set(feed.bad_frames)
        self._feed_reconnects.set(feed.reconnects)
        self._writer.set(status.writer)
        states = Tally(record.state for record in desk.orders)
        for state in OrderState:
            self._orders.labels(state.value.lower()).set(states[state])
        self._unknown.set(status.unknown_orders)
        for window, used, limit in (
            ("second", budget.second_used, budget.second_limit),
            ("minute", budget.minute_used, budget.minute_limit),
            ("day", budget.day_used, budget.day_limit),
        ):
            self._budget_used.labels(window).set(used)
            self._budget_limit.labels(window).set(limit)
        self._degraded.set(len(status.degraded))

    def text(self) -> bytes:
        """Everything in the text format, version 1.0.0."""
        return generate_latest(self.registry)
