"""The Orders screen as rows and figures: book, plans, dead letters, triggers and differences, beside the limits.

Each row carries the identity of what it is about. Nothing is judged here: what is amiss the engine has said.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from engine.core.execution import BreakerView, DeadLetter, ExecutionHealth, JournalView, LatencyView
from engine.core.identifiers import AccountId
from engine.core.locks import LockView
from engine.core.plans import PlanState, PlanView
from engine.core.reconciling import Mismatch, MismatchState
from engine.core.standing_triggers import Gtt, GttStatus
from workstation.formatting import Glyphs, age, clock_time, decimal_text, known, money, price, whole
from workstation.presenters.lines import EMPTY, Line, Span, clean, clip, filled, left, right, wrapped
from workstation.presenters.operations_sections import gauge as filled_gauge
from workstation.presenters.why import duration

BOOK, PLANS, LETTERS, TRIGGERS, DIFFERENCES, FIGURES = range(1, 7)
PARTS = {
    BOOK: "Book",
    PLANS: "Plans",
    LETTERS: "Dead letters",
    TRIGGERS: "Triggers",
    DIFFERENCES: "Differences",
    FIGURES: "Limits",
}
"""What the list shows, by digit. ``Limits`` stands beside the others where there is room."""
PLAN_TONES = {
    PlanState.RUNNING: "bold",
    PlanState.WAITING: "",
    PlanState.PAUSED: "attention bold",
    PlanState.CANCELLING: "bold",
    PlanState.FAILED: "attention",
    PlanState.DROPPED: "attention",
}
TRIGGER_TONES = {GttStatus.ACTIVE: "bold", GttStatus.UNKNOWN: "attention bold", GttStatus.REJECTED: "attention"}
NUMBER_WIDTH = 6
STATE_WIDTH = 11
NAME_WIDTH = 14
ERRAND_WIDTH = 7
ENDPOINT_WIDTH = 10
CLOSED = "closed"
"""Of a breaker: all is well."""
QUEUE_SHOWN = 8
"""Errands named; the rest are counted."""


class ExecutionPicture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the screen asks for besides the orders themselves, of one moment."""

    health: tuple[ExecutionHealth, ...]
    """One of each account that can act; none when this engine can only look."""
    plans: tuple[PlanView, ...]
    letters: tuple[DeadLetter, ...]
    triggers: tuple[Gtt, ...]
    differences: tuple[Mismatch, ...]


class PageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row and the identity of what it is about."""

    row_id: int | str
    line: Line
    account: AccountId | str = ""
    """Whose it is."""


def picture_of(picture: ExecutionPicture | None, only: AccountId | None) -> ExecutionPicture | None:
    """What there is of one account; everything for ``None``."""
    if picture is None or only is None:
        return picture
    return ExecutionPicture(
        health=tuple(item for item in picture.health if item.account == only),
        plans=tuple(view for view in picture.plans if view.record.account == only),
        letters=tuple(letter for letter in picture.letters if letter.account == only),
        triggers=tuple(gtt for gtt in picture.triggers if gtt.account == only),
        differences=tuple(item for item in picture.differences if item.account == only),
    )


def part_counts(picture: ExecutionPicture | None, working: int) -> dict[int, tuple[int, bool]]:
    """How many of each part a person may want to see, and whether one of them asks for something."""
    if picture is None:
        return {BOOK: (working, False)}
    live = [view for view in picture.plans if not view.record.state.is_over]
    asking = any(view.record.state is PlanState.PAUSED for view in live)
    standing = [gtt for gtt in picture.triggers if gtt.status in {GttStatus.ACTIVE, GttStatus.UNKNOWN}]
    lost = any(gtt.status is GttStatus.UNKNOWN for gtt in standing)
    open_items = [item for item in picture.differences if item.state is MismatchState.OPEN]
    return {
        BOOK: (working, any(item.unknown for item in picture.health)),
        PLANS: (len(live), asking),
        LETTERS: (len(picture.letters), bool(picture.letters)),
        TRIGGERS: (len(standing), lost),
        DIFFERENCES: (len(open_items), bool(open_items)),
        FIGURES: (0, any(map(_calls, picture.health))),
    }


def _calls(health: ExecutionHealth) -> bool:
    """Whether the limits of an account ask for something."""
    is_behind = health.journal is not None and health.journal.is_behind
    return is_behind or any(breaker.state != CLOSED for breaker in health.breakers)


def tab_line(counts: dict[int, tuple[int, bool]], chosen: int, width: int, *, with_figures: bool) -> Line:
    """The parts by their digits with how many are in each; the chosen one stands out."""
    spans: list[Span] = [(" ", "")]
    for part, name in PARTS.items():
        if part == FIGURES and not with_figures:
            continue
        count, calls = counts.get(part, (0, False))
        tone = "focused" if part == chosen else ("attention" if calls else "muted")
        spans += [(f" {part} {name}{f' {count}' if count else ''} ", tone), (" ", "")]
    return filled(spans, width)


def plan_rows(plans: Sequence[PlanView], width: int, glyphs: Glyphs) -> list[PageRow]:
    """What asks for a person first, then what runs, what waits, and what is over, each newest first."""
    order = [PlanState.PAUSED, PlanState.CANCELLING, PlanState.RUNNING, PlanState.WAITING]
    ranked = sorted(
        plans,
        key=lambda view: (
            order.index(view.record.state) if view.record.state in order else len(order),
            -view.record.number,
        ),
    )
    return [
        PageRow(row_id=int(view.record.number), line=_plan(view, width, glyphs), account=view.record.account)
        for view in ranked
    ]


def plan_lines(view: PlanView, width: int, glyphs: Glyphs) -> list[Line]:
    """One plan in full: what it does, how far it is, what it waits for."""
    record = view.record
    lines: list[Line] = [((f" {part}", "bold"),) for part in wrapped(clean(record.sentence), width - 2)]
    figures = [f"{record.state}", f"since {clock_time(record.created_at)}"]
    if view.elapsed_s is not None:
        figures.append(f"acts for {age(view.elapsed_s, glyphs)}")
    if view.slippage is not None:
        figures.append(f"slippage {money(view.slippage, glyphs)}")
    if view.naked_quantity:
        figures.append(f"uncovered {whole(view.naked_quantity)} for {age(view.naked_s, glyphs)}")
    if view.eta_s is not None:
        figures.append(f"last order leaves in {age(view.eta_s, glyphs)}")
    lines.append(((f" {clip('   '.join(figures), width - 2, glyphs)}", "muted"),))
    for step in view.steps:
        done = f"{whole(step.filled)} of {whole(step.quantity)}"
        at = f" avg {price(step.average_price, glyphs)}" if step.average_price is not None else ""
        decided = f" decided {price(step.decided_price, glyphs)}" if step.decided_price is not None else ""
        named = " ".join(f"o{number}" for number in step.orders[-3:])
        tail = f"{done}{at}{decided} {named}".rstrip()
        words = f"{left(step.state, ERRAND_WIDTH, glyphs)} {clean(step.words)}  {tail}"
        lines.append(((f"  {clip(words, width - 3, glyphs)}", "attention" if step.state == "FAILED" else ""),))
    if record.progress.note:
        tone = "attention" if record.state in {PlanState.PAUSED, PlanState.FAILED, PlanState.DROPPED} else ""
        lines += [((f" {part}", tone),) for part in wrapped(clean(record.progress.note), width - 2)]
    by = record.by if record.by != "person" else f"person at {record.seat}" if record.seat else "person"
    lines.append(((f" by {clip(by, width - 5, glyphs)}", "muted"),))
    return lines


def letter_rows(letters: Sequence[DeadLetter], width: int, glyphs: Glyphs) -> list[PageRow]:
    """Orders that were given up, newest first."""
    rows = []
    for letter in letters:
        order = letter.order.request
        words = (
            f"{clock_time(letter.died_at)} {order.side.value} {whole(order.quantity)} {order.instrument.tradingsymbol} "
            f"{price(order.price, glyphs)}  {clean(letter.why)}"
        )
        spans: list[Span] = [
            (f" {left(f'o{letter.number}', NUMBER_WIDTH, glyphs)} ", "bold"),
            (left(letter.cause.value or letter.order.state.value, STATE_WIDTH, glyphs), "attention"),
        ]
        spans.append((f" {clip(words, max(0, width - NUMBER_WIDTH - STATE_WIDTH - 3), glyphs)}", ""))
        rows.append(PageRow(row_id=int(letter.number), line=filled(spans, width), account=letter.account))
    return rows


def trigger_rows(triggers: Sequence[Gtt], width: int, glyphs: Glyphs) -> list[PageRow]:
    """Triggers at the broker: unknown ones, active ones, the rest."""
    order = (GttStatus.UNKNOWN, GttStatus.ACTIVE)
    ranked = sorted(
        triggers, key=lambda gtt: (order.index(gtt.status) if gtt.status in order else len(order), -gtt.trigger_id)
    )
    rows = []
    for gtt in ranked:
        legs = " / ".join(
            f"T{price(leg.trigger_price, glyphs)} {leg.side.value} {whole(leg.quantity)} at {price(leg.price, glyphs)}"
            for leg in gtt.request.orders
        )
        outside = " outside" if gtt.is_outside else ""
        kind = f"{gtt.request.kind.value}{outside}"
        words = f"{kind} {gtt.request.instrument.tradingsymbol} {legs} {clean(gtt.message)}".rstrip()
        number = str(gtt.trigger_id) if gtt.trigger_id else glyphs.unknown
        spans: list[Span] = [
            (f" {left(number, NUMBER_WIDTH, glyphs)} ", "bold"),
            (left(gtt.status.value, STATE_WIDTH, glyphs), TRIGGER_TONES.get(gtt.status, "muted")),
            (f" {clip(words, max(0, width - NUMBER_WIDTH - STATE_WIDTH - 3), glyphs)}", ""),
        ]
        rows.append(PageRow(row_id=gtt.trigger_id, line=filled(spans, width), account=gtt.account))
    return rows


def difference_rows(items: Sequence[Mismatch], now: datetime, width: int, glyphs: Glyphs) -> list[PageRow]:
    """What our books and the broker's say differently: open ones first, newest first."""
    ranked = sorted(items, key=lambda item: (item.state is not MismatchState.OPEN, -item.first_seen.timestamp()))
    rows = []
    for item in ranked:
        held = age((now - item.first_seen).total_seconds(), glyphs)
        spans: list[Span] = [
            (f" {left(item.kind.value, NAME_WIDTH, glyphs)} ", "bold"),
            (left(item.state.value, STATE_WIDTH, glyphs), "attention" if item.state is MismatchState.OPEN else "muted"),
            (f" {right(held, NUMBER_WIDTH)} ", "muted"),
        ]
        room = width - NAME_WIDTH - STATE_WIDTH - NUMBER_WIDTH - 5
        spans.append((clip(clean(item.words), max(0, room), glyphs), ""))
        rows.append(PageRow(row_id=item.mismatch_id, line=filled(spans, width), account=item.account))
    return rows


def figure_lines(
    picture: ExecutionPicture | None, locks: Sequence[LockView], trouble: str, width: int, glyphs: Glyphs
) -> list[Line]:
    """Limits, queue, breakers and times of every account, and what keeps new risk from being taken."""
    lines: list[Line] = []
    for lock in locks:
        until = f", until {clock_time(lock.until)}" if lock.until is not None else ""
        words = f"{lock.kind.value.upper()} {lock.account}{until}: {clean(lock.words)}"
        lines += [((f" {part}", "attention"),) for part in wrapped(words, max(1, width - 2))]
    if trouble:
        lines += [((f" {part}", "attention"),) for part in wrapped(clean(trouble), max(1, width - 2))]
    if picture is None:
        return lines or [((f" {glyphs.unknown} the engine has been asked", "muted"),)]
    if not picture.health:
        return [*lines, ((" this engine can only look: another one is the writer", "attention"),)]
    for health in picture.health:
        lines += [*_health(health, width, glyphs), EMPTY]
    return lines[:-1]


def _health(health: ExecutionHealth, width: int, glyphs: Glyphs) -> list[Line]:
    gauge = health.budget
    lines: list[Line] = [((f" {health.account}", "bold"), (f"  {_standing(health)}", "muted"))]
    for name, used, limit in (
        ("second", gauge.second_used, gauge.second_limit),
        ("minute", gauge.minute_used, gauge.minute_limit),
        ("day", gauge.day_used, gauge.day_limit),
    ):
        lines.append(filled_gauge(name, used, limit, width, glyphs))
    if gauge.day_entries:
        most = f"{whole(gauge.second_entries)} / {whole(gauge.minute_entries)} / {whole(gauge.day_entries)}"
        lines.append(((clip(f" entries up to {most}, the rest is for exits", width, glyphs), "muted"),))
    if gauge.lowered_by or gauge.paused_s > 0 or health.rate_limited:
        words = f" too fast {health.rate_limited} times; {gauge.lowered_by} a second less, silent {gauge.paused_s:.1f}s"
        lines.append(((clip(words, width, glyphs), "attention"),))
    lines += [_breaker(item, width, glyphs) for item in health.breakers]
    if health.journal is not None:
        lines += journal_lines(health.journal, width)
    waiting = len(health.queue)
    lines.append(((f" queue {waiting}   on the wire {health.on_wire}", "" if waiting else "muted"),))
    lines += [
        (
            (
                clip(
                    f"  o{item.number} {item.errand:<{ERRAND_WIDTH}}{item.lane:<7}waits {age(item.waited_s, glyphs)}, "
                    f"leaves in {age(item.eta_s, glyphs)}",
                    width,
                    glyphs,
                ),
                "",
            ),
        )
        for item in health.queue[:QUEUE_SHOWN]
    ]
    if waiting > QUEUE_SHOWN:
        lines.append(((f"  and {waiting - QUEUE_SHOWN} more", "muted"),))
    measured = [item for item in health.latencies if item.count]
    lines += [_latency(item, width, glyphs) for item in measured]
    if not measured:
        lines.append(((" no order has been timed yet", "muted"),))
    return lines


def journal_lines(journal: JournalView, width: int) -> list[Line]:
    """Whether orders can be journalled, since when they cannot, and what the spool holds."""
    held = f"spool {whole(journal.spooled)}"
    if journal.away_since is not None:
        words = f"journal AWAY since {clock_time(journal.away_since)}, {held}: {clean(journal.why)}"
    elif journal.is_behind:
        words = f"journal is back, not compared yet, {held}"
    else:
        return [((f" journal written   {held}", "muted"),)]
    return [((f" {part}", "attention"),) for part in wrapped(words, max(1, width - 2))]


def _standing(health: ExecutionHealth) -> str:
    words = [f"working {health.working}"]
    if health.unknown:
        words.append(f"unknown {health.unknown}")
    if not health.is_writer:
        words.append("READER")
    if not health.is_reconciled:
        words.append("book not read yet")
    return "   ".join(words)


def _breaker(item: BreakerView, width: int, glyphs: Glyphs) -> Line:
    words = f" {item.endpoint:<{ENDPOINT_WIDTH}}{'reached' if item.state == CLOSED else item.state}"
    if item.retry_in_s is not None:
        words += f", tried again in {age(item.retry_in_s, glyphs)}"
    if item.state != CLOSED and item.last_error:
        words += f": {clean(item.last_error)}"
    return ((clip(words, width, glyphs), "muted" if item.state == CLOSED else "attention"),)


def _latency(item: LatencyView, width: int, glyphs: Glyphs) -> Line:
    words = f" {item.step:<12}{whole(item.count)}: half {duration(item.p50_s)}, 99 % {duration(item.p99_s)}"
    return ((clip(words, width, glyphs), ""),)


def _plan(view: PlanView, width: int, glyphs: Glyphs) -> Line:
    record = view.record
    spans: list[Span] = [
        (f" {left(record.name, NUMBER_WIDTH, glyphs)} ", "bold"),
        (left(record.state.value, STATE_WIDTH, glyphs), PLAN_TONES.get(record.state, "muted")),
    ]
    done, asked = sum(step.filled for step in view.steps), sum(step.quantity for step in view.steps)
    tail = f" {whole(done)}/{whole(asked)}" if asked else ""
    if view.slippage is not None and known(view.slippage):
        tail += f" slip {decimal_text(view.slippage, 0, sign=True)}"
    room = width - NUMBER_WIDTH - STATE_WIDTH - len(tail) - 4
    note = f"  {clean(record.progress.note)}" if record.progress.note else ""
    spans.append((f" {left(f'{clean(record.sentence)}{note}', max(0, room), glyphs)}", ""))
    spans.append((tail, "muted"))
    return filled(spans, width)
