"""The preflight: one line per check, with its number, and what to do where it blocks."""

from __future__ import annotations

import asyncio

import msgspec

from engine.account_desk import AccountDesk
from engine.core.views import Check, DoctorView
from engine.core.vocabulary import QuoteState
from engine.doctor_broker import BLOCK, NOTE, OK, examine_broker
from engine.engine import Engine
from engine.rule_checks import ban_check, calendar_check, expiries_check, instruments_check, rules_check

SERVICE = "service"


async def examine(engine: Engine) -> DoctorView:
    """Run all checks now."""
    checks = [*await examine_broker(engine), *await _market_facts(engine), _feed(engine)]
    checks += await engine.parts.environment_checks()
    for desk in engine.desks:
        own = [_writer(desk), _carried(desk)]
        own += [Check(name=SERVICE, outcome=NOTE, message=sentence) for sentence in desk.degraded]
        checks += [msgspec.structs.replace(check, account=desk.account) for check in own]
    checks += [Check(name=SERVICE, outcome=NOTE, message=sentence) for sentence in engine.supervisor.degraded]
    return DoctorView(at=engine.clock.market_now(), checks=tuple(checks))


async def _market_facts(engine: Engine) -> tuple[Check, ...]:
    """Instruments, calendar, expiries, ban list, and whether the facts agree with the dump."""
    day, book = engine.day, engine.parts.rule_book
    await book.refresh(engine.parts.repositories.rules)
    today = day.today()
    # The first look at a new dump reads all its rows.
    contradictions = await asyncio.to_thread(book.contradictions, day.index, today)
    held = {
        instrument.name
        for desk in engine.desks
        for position in desk.positions or ()
        if position.signed_quantity and (instrument := engine.day.instrument(position.instrument)) is not None
    }
    return (
        instruments_check(day.loaded, today),
        _calendar(engine),
        expiries_check(day.index, day.calendar, today),
        ban_check(book, today, held),
        rules_check(book, contradictions),
    )


def _calendar(engine: Engine) -> Check:
    """What the venue says of its session where it does, else the calendar."""
    view, zone = engine.day.session_view(), engine.day.calendar.zone
    if engine.day.reading.is_open is None:
        return calendar_check(engine.day.calendar, view.market_time)
    at = f" {view.next_event_at.astimezone(zone):%a %H:%M}" if view.next_event_at is not None else ""
    extended = ", extended" if view.extended else ""
    now = view.market_time.astimezone(zone)
    message = f"{now:%a %d %b %H:%M:%S} IST, {view.state}{extended}; {view.next_event}{at}"
    covered = engine.day.calendar.covers(engine.day.today())
    return Check(name="calendar", outcome=OK if covered else NOTE, message=message)


def _feed(engine: Engine) -> Check:
    view = engine.feed.view(session_open=engine.day.is_open())
    if view.state in {QuoteState.STALE, QuoteState.UNKNOWN}:
        return Check(name="feed", outcome=BLOCK, message=f"no market data: {view.message or 'silent'}")
    age = "—" if view.age_s is None else f"{view.age_s:.1f}s"
    message = f"last byte {age} ago, {view.subscribed} instruments, {view.bad_frames} damaged frames"
    return Check(name="feed", outcome=OK, message=message)


def _writer(desk: AccountDesk) -> Check:
    if desk.writer:
        return Check(name="writer", outcome=OK, message=f"this engine sends the orders of {desk.account}")
    return Check(name="writer", outcome=NOTE, message=f"this engine only looks at {desk.account}")


def _carried(desk: AccountDesk) -> Check:
    if desk.portfolio is None:
        return Check(name="positions", outcome=NOTE, message=desk.named("no strategies yet"))
    if desk.positions is None:
        words = desk.named("the broker's positions have not been read yet")
        return Check(name="positions", outcome=NOTE, message=words)
    mismatches = desk.portfolio.compare(desk.positions)
    if mismatches:
        words = " ".join(mismatch.sentence for mismatch in mismatches)
        return Check(name="positions", outcome=NOTE, message=desk.named(words))
    return Check(name="positions", outcome=OK, message=desk.named("the strategies agree with the broker's net"))
