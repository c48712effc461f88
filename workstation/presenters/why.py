"""Why an order happened, as lines a person reads from top to bottom; used by the command and by screens."""

from __future__ import annotations

from engine.core.decisions import OrderDecision, QuoteSeen
from engine.core.execution import BreakerView, DeadLetter, ExecutionHealth, LatencyView, OrderWhy
from engine.core.orders import OrderEvent, OrderRecord
from workstation.formatting import clock_time

UNKNOWN = "—"
SECOND_S = 1.0
MILLISECONDS = 1000


def why_lines(why: OrderWhy) -> list[str]:
    """The decision, what happened, and how long it took."""
    lines = [f"{order_words(why.order)}, {why.order.state}"]
    lines += decision_lines(why.decision)
    lines += [event_line(event) for event in why.history]
    took = why.timings
    named = (
        ("queue", took.queue_s),
        ("send", took.send_s),
        ("acknowledge", took.acknowledge_s),
        ("first fill", took.first_fill_s),
        ("fill", took.fill_s),
    )
    lines.append("took     " + "  ".join(f"{name} {duration(value)}" for name, value in named))
    return lines


def order_words(order: OrderRecord) -> str:
    """``o40 SELL 65 NFO:NIFTY… at 14.85``."""
    request = order.request
    price = request.order_type if request.price is None else f"at {request.price}"
    return f"o{order.number} {request.side} {request.quantity} {request.instrument} {price}"


def decision_lines(decision: OrderDecision | None) -> list[str]:
    """Who decided, why, and on which quotes."""
    if decision is None:
        return ["decided  outside this desk, or before decisions were kept"]
    by = decision.by if not decision.version else f"{decision.by} (version {decision.version})"
    parts = [f"decided  by {by}"]
    if decision.seat:
        parts.append(f"at {decision.seat}")
    if decision.words:
        parts.append(f"because {decision.words}")
    lines = [", ".join(parts)]
    risk = {True: "adds risk", False: "adds no risk", None: "risk not asked"}[decision.adds_risk]
    checks = f", checks {decision.checks}" if decision.checks else ""
    lines.append(f"judged   {risk}, lane {decision.lane}{checks}")
    lines += [f"quote    {quote_words(quote)}" for quote in decision.quotes]
    lines += [f"note     {note}" for note in decision.notes]
    return lines


def quote_words(quote: QuoteSeen) -> str:
    """A quote as it was seen."""
    bid, ask, last = (UNKNOWN if value is None else str(value) for value in (quote.bid, quote.ask, quote.last))
    age = "" if quote.age_s is None else f", {quote.age_s:.1f} s old"
    return f"{quote.instrument} bid {bid} ask {ask} last {last}, {quote.state.name}{age}"


def event_line(event: OrderEvent) -> str:
    """One line of history: market time, what happened, where it led."""
    led = f"{event.from_state} > {event.to_state}" if event.applied else f"{event.from_state}, not applied"
    detail = f"  {event.detail}" if event.detail else ""
    decision = event.facts.decision
    by = "" if decision is None else f"  by {decision.by}{f' at {decision.seat}' if decision.seat else ''}"
    return f"{clock_time(event.at)} {event.trigger:<16} {led}{by}{detail}"


def duration(seconds: float | None) -> str:
    """Milliseconds below a second, seconds above; a dash where nobody measured."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds * MILLISECONDS:.1f} ms" if seconds < SECOND_S else f"{seconds:.2f} s"


def letter_lines(letter: DeadLetter) -> list[str]:
    """A dead letter: what it was, why it died, what was tried, and what to look at."""
    lines = [f"{order_words(letter.order)}: {letter.cause or letter.order.state}, {clock_time(letter.died_at)}"]
    lines += [f"  why    {letter.why}"]
    lines += [f"  tried  {clock_time(attempt.at)} {attempt.words}" for attempt in letter.attempts]
    lines += [f"  look   {letter.advice}"] if letter.advice else []
    return lines


def health_lines(health: ExecutionHealth) -> list[str]:
    """Budgets, breakers, queue and latencies."""
    gauge = health.budget
    second = f"second {gauge.second_used}/{gauge.second_limit} (entries {gauge.second_entries})"
    minute = f"minute {gauge.minute_used}/{gauge.minute_limit} (entries {gauge.minute_entries})"
    day = f"day {gauge.day_used}/{gauge.day_limit} (entries {gauge.day_entries})"
    pause = f"{gauge.lowered_by} a second less, silent {gauge.paused_s:.1f} s"
    orders = f"working {health.working}, unknown {health.unknown}, queued {len(health.queue)}"
    lines = [
        f"budget   {second}, {minute}, {day}",
        f"speed    refused {health.rate_limited} times, {pause}",
        f"orders   {orders}, on the wire {health.on_wire}, dead letters {health.dead_letters}",
    ]
    lines += [breaker_line(breaker) for breaker in health.breakers]
    lines += [latency_line(latency) for latency in health.latencies]
    lines += [
        f"queued   o{item.number} {item.errand} {item.lane}, waits {item.waited_s:.1f} s, leaves in {item.eta_s:.1f} s"
        for item in health.queue
    ]
    return lines


def breaker_line(breaker: BreakerView) -> str:
    """The state of a breaker."""
    again = "" if breaker.retry_in_s is None else f", tried again in {breaker.retry_in_s:.1f} s"
    why = f": {breaker.last_error}" if breaker.state != "closed" and breaker.last_error else ""
    return f"breaker  {breaker.endpoint} {breaker.state}, {breaker.failures} failures in a row{again}{why}"


def latency_line(latency: LatencyView) -> str:
    """Percentiles of one step."""
    if not latency.count:
        return f"latency  {latency.step:<11} none measured"
    p50, p90, p99, most = map(duration, (latency.p50_s, latency.p90_s, latency.p99_s, latency.max_s))
    return f"latency  {latency.step:<11} {latency.count}: half within {p50}, 90 % {p90}, 99 % {p99}, longest {most}"
