"""The preflight's questions to the broker: the login, its entitlement, the clocks, and the road an order takes."""

from __future__ import annotations

import msgspec

from engine.account_desk import AccountDesk
from engine.brokers.routing import LOGIN_NEEDED
from engine.core.errors import BrokerError, BrokerRejected, RateLimited
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.views import Check
from engine.core.vocabulary import Side
from engine.engine import Engine

OK, NOTE, BLOCK = "ok", "note", "block"
PERMISSION = "PermissionException"
ASKED_TO_WAIT = "the broker asks to wait ({error}); look again in a second"


async def examine_broker(engine: Engine) -> tuple[Check, ...]:
    """Login, entitlement, clocks, funds and the order road, asked now."""
    logins = [_of(desk, await _login(engine, desk)) for desk in engine.desks]
    checks = [*logins, *_sessions(engine), await _entitlement(engine)]
    for desk in engine.desks:
        own = (_clock(engine, desk), await _funds(desk), await _order_road(engine, desk))
        checks += [_of(desk, check) for check in own]
    return tuple(checks)


def _of(desk: AccountDesk, check: Check) -> Check:
    return msgspec.structs.replace(check, account=desk.account)


async def _login(engine: Engine, desk: AccountDesk) -> Check:
    try:
        profile = await desk.parts.reads.profile()
    except RateLimited as error:
        return Check(name="login", outcome=NOTE, message=desk.named(ASKED_TO_WAIT.format(error=error)))
    except BrokerError as error:
        return Check(name="login", outcome=BLOCK, message=desk.named(f"{error} Log in again."))
    if profile.account_id != desk.account:
        message = f"the login stored for {desk.account} is that of {profile.account_id}; log in again"
        return Check(name="login", outcome=BLOCK, message=message)
    venue = engine.parts.source
    return Check(name="login", outcome=OK, message=f"{profile.account_id} {profile.name}, {venue.venue}: {venue.note}")


def _sessions(engine: Engine) -> tuple[Check, ...]:
    """When the sessions end, where they do."""
    zone, now = engine.day.calendar.zone, engine.clock.wall_now()
    checks = []
    for health in engine.parts.reads.health():
        until = health.token_until
        if health.state == LOGIN_NEEDED or (until is not None and until <= now):
            message = f"{health.account}: over; run `workstation login {health.account}`"
            checks.append(Check(name="session", outcome=BLOCK, message=message, account=health.account))
        elif until is not None:
            message = f"{health.account}: good until {until.astimezone(zone):%a %H:%M} IST"
            checks.append(Check(name="session", outcome=OK, message=message, account=health.account))
    return tuple(checks)


async def _entitlement(engine: Engine) -> Check:
    """Whether quotes may be read: an account without the data plan can log in and see nothing."""
    keys = [key for _, key in engine.parts.strip]
    try:
        found = await engine.parts.reads.quotes(keys)
    except RateLimited as error:
        return Check(name="entitlement", outcome=NOTE, message=ASKED_TO_WAIT.format(error=error))
    except BrokerRejected as error:
        what = "no market data for this key: book the data plan" if error.kind == PERMISSION else "quotes are refused"
        return Check(name="entitlement", outcome=BLOCK, message=f"{what} ({error})")
    except BrokerError as error:
        return Check(name="entitlement", outcome=BLOCK, message=f"quotes cannot be read: {error}")
    missing = [str(key) for key in keys if key not in found]
    if missing:
        return Check(name="entitlement", outcome=NOTE, message=f"no quote of {', '.join(missing)}")
    return Check(name="entitlement", outcome=OK, message=f"quotes of {len(found)} indices read")


def _clock(engine: Engine, desk: AccountDesk) -> Check:
    own, limit = desk.parts, engine.parts.settings.clock_offset_max_s
    offset, doubt = own.server_offset_s(), own.server_uncertainty_s()
    message = desk.named(f"{offset:+.2f}s ±{doubt:.2f}s against the broker, limit {limit:.2f}s")
    if abs(offset) - doubt > limit:
        return Check(name="clock", outcome=BLOCK, message=f"{message}; set this machine's clock by NTP")
    return Check(name="clock", outcome=OK, message=message)


async def _funds(desk: AccountDesk) -> Check:
    try:
        funds = await desk.read_funds()
    except RateLimited as error:
        return Check(name="funds", outcome=NOTE, message=ASKED_TO_WAIT.format(error=error))
    except BrokerError as error:
        return Check(name="funds", outcome=BLOCK, message=f"funds cannot be read: {error}")
    message = desk.named(f"{funds.net:,.2f} free, {funds.used:,.2f} used")
    return Check(name="funds", outcome=OK, message=message)


async def _order_road(engine: Engine, desk: AccountDesk) -> Check:
    """A margin call: it goes the way of an order, through the same login and rules, and places nothing."""
    instrument = _an_option(engine)
    if instrument is None:
        return Check(name="order road", outcome=NOTE, message="no option to ask a margin for")
    request = OrderRequest(
        instrument=instrument.key, side=Side.BUY, quantity=instrument.lot_size, price=instrument.tick_size
    )
    began = engine.clock.monotonic()
    try:
        (margin,) = await desk.parts.reads.order_margins((request,))
    except RateLimited as error:
        return Check(name="order road", outcome=NOTE, message=desk.named(ASKED_TO_WAIT.format(error=error)))
    except BrokerError as error:
        return Check(name="order road", outcome=BLOCK, message=desk.named(f"a margin call failed: {error}"))
    took = engine.clock.monotonic() - began
    return Check(
        name="order road",
        outcome=OK,
        message=desk.named(
            f"margin call answered in {took:.2f}s: {margin:,.2f} for a lot of {instrument.tradingsymbol}"
        ),
    )


def _an_option(engine: Engine) -> Instrument | None:
    """A call in the middle of the nearest listed expiry of the best-known underlying."""
    index, today = engine.day.index, engine.day.today()
    for name in index.names:
        for label in index.expiries(name):
            if label.expiry < today:
                continue
            contracts = index.contracts(name, label.expiry)
            calls = [contracts.calls[strike] for strike in contracts.strikes if strike in contracts.calls]
            if calls:
                return calls[len(calls) // 2]
    return None
