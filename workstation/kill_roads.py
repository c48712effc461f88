"""The broker of each account for a process that flattens by itself: no engine, no database, the same logins.

A practice exchange is found by the address it left in its folder and asked how many accounts it has; the live venue's
accounts and sessions are those of the settings and the encrypted secrets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import httpx

from engine.brokers.kite.rest import KiteOrderRoad, KiteReads
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.transport import KiteTransport
from engine.calendar.rules import MarketRules
from engine.clocks import SystemClock
from engine.core.errors import BrokerUnavailable, SessionExpired
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.instruments import Instrument
from engine.core.ports import BrokerReads, Clock
from engine.execution.kill_journal import KillJournal
from engine.execution.kill_process import Describe, KillRun
from engine.execution.kill_round import ContractFacts
from engine.execution.settings import KillSettings
from engine.rule_book import read_rule_book
from workstation.day_sessions import DaySessions
from workstation.exchange_process import EXCHANGE_LOCK, is_locked, is_running
from workstation.live import LIVE, live_accounts
from workstation.locations import Locations
from workstation.practice_venue import STATE_FILE, ExchangeAddress
from workstation.secrets.open import open_secrets
from workstation.settings import Configuration
from workstation.venue_parts import NOBODY, PRACTICE_KEY, http_settings

ZONE = ZoneInfo("Asia/Kolkata")
STATUS_PATH = "/practice/status"


class MakeRun(Protocol):
    """Makes the run of one account; its order road is handed to that alone."""

    def __call__(  # noqa: D102 - see ``KillRun``
        self,
        *,
        journal: KillJournal,
        settings: KillSettings,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        flatten: bool,
        say: Callable[[str], None],
    ) -> KillRun: ...


@dataclass(frozen=True, slots=True)
class KillAccount:
    """One account that can be brought to nothing from here."""

    account: AccountId
    make_run: MakeRun


def _account(transport: KiteTransport, account: AccountId, reads: BrokerReads, describe: Describe) -> KillAccount:
    make_run = partial(KillRun, account, road=KiteOrderRoad(transport), reads=reads, describe=describe)
    return KillAccount(account, make_run)


def venues_here(configured: str, locations: Locations, *, is_named: bool) -> tuple[str, ...]:
    """The venues to act on: the named one, else every one whose engine has left its socket here, else the configured.

    Args:
        configured: The venue of the settings in force.
        locations: Where things lie.
        is_named: A person has said which.
    """
    if is_named:
        return (configured,)
    running = tuple(path.stem for path in locations.running_sockets())
    return running or (configured,)


async def open_roads(
    venue: str,
    configuration: Configuration,
    locations: Locations,
    environment: Mapping[str, str],
    stack: contextlib.AsyncExitStack,
) -> tuple[KillAccount, ...]:
    """The accounts of a venue; each road is closed with the stack.

    Raises:
        BrokerUnavailable: the practice exchange does not run.
        SessionExpired: no account has a session today.
        SetupError: the settings or the secrets cannot be used.
    """
    clock = SystemClock()
    rules = await asyncio.to_thread(lambda: read_rule_book().rules)
    if venue == LIVE:
        return _live_roads(configuration, locations, environment, stack, rules=rules, clock=clock)
    return await _practice_roads(locations.venue(venue), configuration, stack, rules=rules, clock=clock)


async def _practice_roads(
    folder: Path,
    configuration: Configuration,
    stack: contextlib.AsyncExitStack,
    *,
    rules: MarketRules,
    clock: Clock,
) -> tuple[KillAccount, ...]:
    address = find_exchange(folder)
    if address is None:
        raise BrokerUnavailable(f"No practice exchange runs in {folder}: there is nobody to cancel orders at.")
    status = await _status(address, configuration.broker.read_timeout_s)
    today = datetime.fromisoformat(status["market_time"]).astimezone(ZONE).date()
    roads = []
    for place in range(int(status["accounts"])):
        key = f"{PRACTICE_KEY}{place + 1}" if place else PRACTICE_KEY
        transport = KiteTransport(address.root, KiteCredentials(key, key), settings=http_settings(configuration))
        stack.push_async_callback(transport.aclose)
        profile = await _reads(transport, NOBODY, clock).profile()
        reads = _reads(transport, profile.account_id, clock)
        describe = contract_facts(reads, rules, lambda: today)
        roads.append(_account(transport, profile.account_id, reads, describe))
    return tuple(roads)


def _live_roads(
    configuration: Configuration,
    locations: Locations,
    environment: Mapping[str, str],
    stack: contextlib.AsyncExitStack,
    *,
    rules: MarketRules,
    clock: Clock,
) -> tuple[KillAccount, ...]:
    book = open_secrets(configuration, locations, environment)
    sessions = DaySessions(book.vault, now=lambda: datetime.now(UTC))
    roads = []
    for item in live_accounts(configuration.live).all:
        session = sessions.find(item.account) if "orders" in item.roles else None
        if session is None:
            continue
        credentials = KiteCredentials(session.api_key, session.access_token)
        transport = KiteTransport(configuration.live.root, credentials, settings=http_settings(configuration))
        stack.push_async_callback(transport.aclose)
        reads = _reads(transport, item.account, clock)
        describe = contract_facts(reads, rules, lambda: datetime.now(ZONE).date())
        roads.append(_account(transport, item.account, reads, describe))
    if not roads:
        raise SessionExpired("LOGIN NEEDED: no account has a session today; run `workstation login`, then this again.")
    return tuple(roads)


def find_exchange(folder: Path) -> ExchangeAddress | None:
    """The practice exchange that has this folder and lives; ``None`` when none does."""
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        address = ExchangeAddress(int(state["port"]), int(state["pid"]))
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return address if is_locked(folder / EXCHANGE_LOCK) and is_running(address.pid) else None


async def _status(address: ExchangeAddress, timeout_s: float) -> dict[str, str]:
    headers = {"Authorization": f"token {PRACTICE_KEY}:{PRACTICE_KEY}"}
    try:
        async with httpx.AsyncClient(base_url=address.root, timeout=timeout_s, trust_env=False) as http:
            answer = await http.get(STATUS_PATH, headers=headers)
            answer.raise_for_status()
            data: dict[str, str] = answer.json()["data"]
            return data
    except (httpx.HTTPError, KeyError, ValueError) as error:
        raise BrokerUnavailable(f"The practice exchange at {address.root} does not answer: {error}") from error


def _reads(transport: KiteTransport, account: AccountId, clock: Clock) -> KiteReads:
    jitter = random.Random(secrets.token_bytes(16))  # noqa: S311 - jitter of waits, not a secret
    return KiteReads(transport, account=account, clock=clock, random=jitter)


def contract_facts(reads: BrokerReads, rules: MarketRules, today: Callable[[], date]) -> Describe:
    """Lots and ticks by the broker's dump of today, freeze quantities by the rules; one reading of each exchange."""
    known: dict[InstrumentKey, Instrument] = {}

    async def describe(keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, ContractFacts]:
        for exchange in {key.exchange for key in keys if key not in known}:
            known.update({row.key: row for row in await reads.instruments(exchange)})
        return {key: _facts(known[key], rules, today()) for key in keys if key in known}

    return describe


def _facts(row: Instrument, rules: MarketRules, on: date) -> ContractFacts:
    freeze = rules.freeze_quantity(row.name, on)
    order_max = None if freeze is None else max(row.lot_size, freeze // row.lot_size * row.lot_size)
    return ContractFacts(underlying=row.name, tick=row.tick_size or Decimal("0.05"), order_max=order_max)
