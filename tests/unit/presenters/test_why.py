"""Why an order happened, dead letters and the executor's health, as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from engine.core.decisions import EventFacts, LetterState, OrderDecision, QuoteSeen, UnsentCause
from engine.core.execution import (
    Attempt,
    BreakerView,
    DeadLetter,
    ExecutionHealth,
    LatencyView,
    OrderTimings,
    OrderWhy,
    QueuedView,
)
from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest, OrderState, OrderTrigger
from engine.core.views import BudgetGauge
from engine.core.vocabulary import Exchange, QuoteState, Side
from workstation.presenters.why import duration, health_lines, latency_line, letter_lines, why_lines

AT = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
KEY = InstrumentKey(Exchange.NFO, "NIFTY26D0124950CE")
ORDER = OrderRecord(
    number=OrderNumber(40),
    intent_id=None,
    account=AccountId("AB1234"),
    tag=None,
    request=OrderRequest(instrument=KEY, side=Side.SELL, quantity=65, price=Decimal("14.85")),
    state=OrderState.OPEN,
    created_at=AT,
    updated_at=AT,
)


def line(trigger: OrderTrigger, seconds: int, *, applied: bool = True, **facts: object) -> OrderEvent:
    """A line of its history."""
    return OrderEvent(
        number=ORDER.number,
        account=ORDER.account,
        trigger=trigger,
        from_state=OrderState.SENDING,
        to_state=OrderState.OPEN,
        applied=applied,
        at=AT + timedelta(seconds=seconds),
        detail="so it was",
        facts=EventFacts(**facts),  # type: ignore[arg-type]
    )


def test_an_automatic_order_names_rule_version_quotes_and_times() -> None:
    """Everything that ORD-15 asks for stands in the lines."""
    quote = QuoteSeen(
        instrument=KEY, state=QuoteState.ONE_SIDED, bid=Decimal("214.20"), ask=None, last=Decimal("214.22"), age_s=0.25
    )
    decision = OrderDecision(
        by="rule r2",
        version="3",
        words="mid 214.22 >= 214.20",
        quotes=(quote,),
        seat="engine",
        lane="EXIT",
        adds_risk=False,
        checks="1",
        notes=("it will rest",),
    )
    why = OrderWhy(
        order=ORDER,
        decision=decision,
        timings=OrderTimings(queue_s=0.0004, send_s=0.0021, acknowledge_s=1.5),
        history=(
            line(OrderTrigger.ANSWERED, 1, decision=OrderDecision(by="person", seat="tty1")),
            line(OrderTrigger.BOOK_OPEN, 2, applied=False),
        ),
    )
    assert why_lines(why) == [
        "o40 SELL 65 NFO:NIFTY26D0124950CE at 14.85, OPEN",
        "decided  by rule r2 (version 3), at engine, because mid 214.22 >= 214.20",
        "judged   adds no risk, lane EXIT, checks 1",
        "quote    NFO:NIFTY26D0124950CE bid 214.20 ask — last 214.22, ONE_SIDED, 0.2 s old",
        "note     it will rest",
        "09:30:01 ANSWERED         SENDING > OPEN  by person at tty1  so it was",
        "09:30:02 BOOK_OPEN        SENDING, not applied  so it was",
        "took     queue 0.4 ms  send 2.1 ms  acknowledge 1.50 s  first fill —  fill —",
    ]


def test_an_order_from_outside_says_so() -> None:
    """Nothing is invented about who decided it."""
    why = OrderWhy(order=ORDER, decision=None, timings=OrderTimings(), history=())
    assert why_lines(why)[1] == "decided  outside this desk, or before decisions were kept"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "—"), (0.0, "0.0 ms"), (0.0312, "31.2 ms"), (0.9994, "999.4 ms"), (1.0, "1.00 s")]
)
def test_durations_have_a_fitting_unit(seconds: float | None, text: str) -> None:
    """Milliseconds below a second."""
    assert duration(seconds) == text


def test_a_dead_letter_tells_why_what_was_tried_and_what_to_look_at() -> None:
    """One line each."""
    letter = DeadLetter(
        number=ORDER.number,
        account=ORDER.account,
        order=ORDER,
        state=LetterState.OPEN,
        cause=UnsentCause.TOO_FAST,
        why="Not sent: refused for speed.",
        advice="See what else uses the account.",
        died_at=AT,
        attempts=(Attempt(at=AT, words="it was about to be sent"),),
    )
    assert letter_lines(letter) == [
        "o40 SELL 65 NFO:NIFTY26D0124950CE at 14.85: too fast, 09:30:00",
        "  why    Not sent: refused for speed.",
        "  tried  09:30:00 it was about to be sent",
        "  look   See what else uses the account.",
    ]


def test_the_health_of_the_executor_shows_every_figure() -> None:
    """Budgets with where entries end, breakers with their wait, latencies, and what waits."""
    health = ExecutionHealth(
        account=ORDER.account,
        at=AT,
        budget=BudgetGauge(
            second_used=3,
            second_limit=9,
            minute_used=120,
            minute_limit=400,
            day_used=1719,
            day_limit=5000,
            second_entries=7,
            minute_entries=380,
            day_entries=4750,
            paused_s=0.5,
            lowered_by=1,
        ),
        queue=(QueuedView(number=ORDER.number, errand="place", lane="ENTRY", waited_s=1.25, eta_s=2.5),),
        on_wire=2,
        working=5,
        unknown=1,
        rate_limited=4,
        breakers=(
            BreakerView(
                endpoint="orders", state="open", failures=3, retry_in_s=1.2, opened=1, last_error="no connection"
            ),
            BreakerView(endpoint="book", state="closed", failures=0, retry_in_s=None, opened=0, last_error="old"),
        ),
        latencies=(
            LatencyView(step="queue", count=2, mean_s=0.1, p50_s=0.1, p90_s=0.2, p99_s=0.2, max_s=1.5),
            LatencyView(step="fill", count=0, mean_s=None, p50_s=None, p90_s=None, p99_s=None, max_s=None),
        ),
        dead_letters=6,
        is_writer=True,
        is_reconciled=True,
        mismatches=(),
        degraded=(),
    )
    assert health_lines(health) == [
        "budget   second 3/9 (entries 7), minute 120/400 (entries 380), day 1719/5000 (entries 4750)",
        "speed    refused 4 times, 1 a second less, silent 0.5 s",
        "orders   working 5, unknown 1, queued 1, on the wire 2, dead letters 6",
        "breaker  orders open, 3 failures in a row, tried again in 1.2 s: no connection",
        "breaker  book closed, 0 failures in a row",
        "latency  queue       2: half within 100.0 ms, 90 % 200.0 ms, 99 % 200.0 ms, longest 1.50 s",
        "latency  fill        none measured",
        "queued   o40 place ENTRY, waits 1.2 s, leaves in 2.5 s",
    ]
    assert "none measured" in latency_line(health.latencies[1])
