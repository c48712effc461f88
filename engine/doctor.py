"""The preflight: one line per check, with its number, and what to do where it blocks."""

from __future__ import annotations

from engine.core.errors import BrokerError, RateLimited
from engine.core.views import Check, DoctorView
from engine.core.vocabulary import QuoteState
from engine.engine import Engine

OK, NOTE, BLOCK = "ok", "note", "block"


async def examine(engine: Engine) -> DoctorView:
    """Run all checks now."""
    checks = [await _login(engine), _clock(engine), _instruments(engine), _calendar(engine), _feed(engine)]
    checks += [*engine.parts.environment_checks(), _writer(engine), await _funds(engine), _carried(engine)]
    checks += [Check(name="service", outcome=NOTE, message=sentence) for sentence in engine.degraded]
    return DoctorView(at=engine.clock.market_now(), checks=tuple(checks))


async def _login(engine: Engine) -> Check:
    try:
        profile = await engine.parts.reads.profile()
    except RateLimited as error:
        return Check(name="login", outcome=NOTE, message=f"the broker asks to wait ({error}); look again in a second")
    except BrokerError as error:
        return Check(name="login", outcome=BLOCK, message=f"{error} Log in again.")
    venue = engine.parts.source
    return Check(name="login", outcome=OK, message=f"{profile.account_id} {profile.name}, {venue.venue}: {venue.note}")


def _clock(engine: Engine) -> Check:
    parts = engine.parts
    offset, doubt, limit = parts.server_offset_s(), parts.server_uncertainty_s(), parts.settings.clock_offset_max_s
    message = f"{offset:+.2f}s ±{doubt:.2f}s against the broker, limit {limit:.2f}s"
    if abs(offset) - doubt > limit:
        return Check(name="clock", outcome=BLOCK, message=f"{message}; set this machine's clock by NTP")
    return Check(name="clock", outcome=OK, message=message)


def _instruments(engine: Engine) -> Check:
    loaded, today = engine.day.loaded, engine.day.today()
    message = f"{loaded.rows:,} rows of {loaded.day:%d %b %Y}, {len(loaded.index.names)} underlyings"
    wrong = _lots_that_differ(engine)
    if loaded.day != today or loaded.note:
        return Check(name="instruments", outcome=NOTE, message=f"{message}; {loaded.note or 'not of today'}")
    if wrong:
        return Check(name="instruments", outcome=NOTE, message=f"{message}; the dump wins: {'; '.join(wrong)}")
    return Check(name="instruments", outcome=OK, message=f"{message}; lots agree with the rule pack")


def _lots_that_differ(engine: Engine) -> list[str]:
    """Where the dump's lot of the nearest expiry is not the rule pack's."""
    index, found = engine.day.index, []
    for name in index.names:
        rule, expiries = engine.parts.rules.rule(name), index.expiries(name)
        if rule is None or not expiries:
            continue
        lot = index.contracts(name, expiries[0].expiry).lot_size
        if lot != rule.lot_size:
            found.append(f"{name} lot {lot}, rule pack {rule.lot_size}")
    return found


def _calendar(engine: Engine) -> Check:
    view = engine.day.session_view()
    zone = engine.day.calendar.zone
    at = f" {view.next_event_at.astimezone(zone):%a %H:%M}" if view.next_event_at is not None else ""
    now = view.market_time.astimezone(zone)
    extended = ", extended" if view.extended else ""
    expiring = "; index contracts expire today" if engine.day.index_expires_today() else ""
    message = f"{now:%a %d %b %H:%M:%S} IST, {view.state}{extended}; {view.next_event}{at}{expiring}"
    covered = engine.day.calendar.covers(engine.day.today())
    return Check(name="calendar", outcome=OK if covered else NOTE, message=message)


def _feed(engine: Engine) -> Check:
    view = engine.feed.view(session_open=engine.day.is_open())
    if view.state in {QuoteState.STALE, QuoteState.UNKNOWN}:
        return Check(name="feed", outcome=BLOCK, message=f"no market data: {view.message or 'silent'}")
    age = "—" if view.age_s is None else f"{view.age_s:.1f}s"
    message = f"last byte {age} ago, {view.subscribed} instruments, {view.bad_frames} damaged frames"
    return Check(name="feed", outcome=OK, message=message)


def _writer(engine: Engine) -> Check:
    if engine.writer:
        return Check(name="writer", outcome=OK, message=f"this engine sends the orders of {engine.account}")
    return Check(name="writer", outcome=NOTE, message=f"this engine only looks at {engine.account}")


async def _funds(engine: Engine) -> Check:
    try:
        funds = await engine.parts.reads.funds()
    except RateLimited as error:
        return Check(name="funds", outcome=NOTE, message=f"the broker asks to wait ({error}); look again in a second")
    except BrokerError as error:
        return Check(name="order road", outcome=BLOCK, message=f"funds cannot be read: {error}")
    return Check(name="funds", outcome=OK, message=f"{funds.net:,.2f} free, {funds.used:,.2f} used")


def _carried(engine: Engine) -> Check:
    if engine.portfolio is None:
        return Check(name="positions", outcome=NOTE, message="no strategies yet")
    if engine.positions is None:
        return Check(name="positions", outcome=NOTE, message="the broker's positions have not been read yet")
    mismatches = engine.portfolio.compare(engine.positions)
    if mismatches:
        words = " ".join(mismatch.sentence for mismatch in mismatches)
        return Check(name="positions", outcome=NOTE, message=words)
    return Check(name="positions", outcome=OK, message="the strategies agree with the broker's net")
