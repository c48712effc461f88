"""What an engine is made of: everything it needs from outside, given by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.arming import ArmingSettings
from engine.brokers.routing import RoutedReads
from engine.calendar.rules import MarketRules
from engine.calendar.sessions import SessionCalendar
from engine.charges.rates import ChargeRates
from engine.clocks import StreamClock
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.ports import BrokerReads, Clock, OrderRoad
from engine.core.replay import ReplayAction, ReplayView
from engine.core.repositories import Repositories
from engine.core.views import Check
from engine.core.vocabulary import Mode
from engine.execution.latch import LatchFolder
from engine.execution.plans.settings import PlanSettings
from engine.execution.settings import ExecutionSettings, LockLimits
from engine.feed_service import MakeTicker
from engine.language.resolver import OrderDefaults
from engine.market.chain_inputs import ChainSettings
from engine.market.feed_pool import FeedKey
from engine.portfolio.settings import PortfolioSettings
from engine.rule_book import RuleBook
from engine.session_watch import StoredSessions
from engine.settings import EngineSettings
from engine.venue import VenueReading, VenueSource


class Playback(Protocol):
    """Plays a tape."""

    async def act(self, action: ReplayAction | None) -> ReplayView:
        """Where it stands after an action, or now.

        Raises:
            Refused, InvalidInput: it cannot be done.
            BrokerUnavailable: the exchange that plays it does not answer.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountParts:
    """What belongs to one account whose orders this engine sends."""

    account: AccountId
    name: str
    """For a person, until the broker has said it."""
    road: OrderRoad
    """Its order endpoints."""
    reads: BrokerReads
    """What belongs to it is read through it alone; what is the same for everybody through any account."""
    server_offset_s: Callable[[], float]
    """Seconds the broker's clock is ahead of this machine's, by the answers to this account."""
    server_uncertainty_s: Callable[[], float]
    """How far that may be off, either way: the broker's stamps are whole seconds, more answers narrow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """Constructor arguments of an engine, by name."""

    clock: Clock
    on_reading: Callable[[VenueReading], None]
    """Keeps the clock to the venue's; does nothing when live."""
    source: VenueSource
    first_reading: VenueReading
    repositories: Repositories
    accounts: tuple[AccountParts, ...]
    """Accounts whose orders are sent, at least one; the first is meant where none is named."""
    reads: RoutedReads
    """Market data and history over all accounts."""
    feed_keys: tuple[FeedKey, ...]
    """Logins whose market data is used, best first."""
    make_ticker: MakeTicker
    """Makes a data connection of a key."""
    sessions: StoredSessions | None
    """Where logins are kept; ``None`` where there is none."""
    session_warning_s: float
    """How long before a session ends it is said."""
    playback: Playback | None
    """Plays the tape of a replay."""
    stream_clock: StreamClock | None
    """``clock`` of a replay, which its stream drives."""
    quote_clock: Clock
    """What the ages of quotes are measured by: ``clock``, but in a replay the recording's time."""
    tapes: Path | None
    """Where tapes of this venue are written; ``None``: none are."""
    spools: Path | None
    """Where exits and cancellations are kept while the database is away, of this venue; ``None``: they wait for it."""
    program: str
    """Name and version, for what is written."""
    rule_book: RuleBook
    """The dated facts; ``calendar`` and ``rules`` are its own."""
    calendar: SessionCalendar
    rules: MarketRules
    charge_rates: ChargeRates
    """What trading costs besides the price."""
    strip: Sequence[tuple[str, InstrumentKey]]
    """Label and instrument of each figure of the index strip."""
    start_mode: Mode
    """Of a seat that nobody has armed or disarmed."""
    arming: ArmingSettings
    read_only: bool
    """Never take the writer lock: nothing can be sent or booked."""
    random_bytes: Callable[[int], bytes]
    environment_checks: Callable[[], Awaitable[Sequence[Check]]]
    """The preflight's checks of what the composition root knows (disk, database, process)."""
    settings: EngineSettings
    execution: ExecutionSettings
    plans: PlanSettings
    """How plans work."""
    locks: LockLimits
    """When the day's locks fall."""
    latches: LatchFolder
    """Kill switches and locks of this venue's accounts, seen by every process that sends orders."""
    portfolio: PortfolioSettings
    chain: ChainSettings
    defaults: OrderDefaults
