"""What an engine is made of: everything it needs from outside, given by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.brokers.feed import FeedListener, FeedMode
from engine.calendar.rules import MarketRules
from engine.calendar.sessions import SessionCalendar
from engine.charges.rates import ChargeRates
from engine.core.identifiers import InstrumentKey
from engine.core.ports import BrokerReads, Clock, OrderRoad, Repositories
from engine.core.views import Check
from engine.core.vocabulary import Mode
from engine.execution.settings import ExecutionSettings
from engine.feed_service import Ticker
from engine.language.resolver import OrderDefaults
from engine.market.chain_inputs import ChainSettings
from engine.portfolio.settings import PortfolioSettings
from engine.settings import EngineSettings
from engine.venue import VenueReading, VenueSource


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """Constructor arguments of an engine, by name."""

    clock: Clock
    on_reading: Callable[[VenueReading], None]
    """Keeps the clock to the venue's; does nothing when live."""
    source: VenueSource
    first_reading: VenueReading
    repositories: Repositories
    reads: BrokerReads
    road: OrderRoad
    make_ticker: Callable[[FeedListener, Callable[[], Mapping[int, FeedMode]], Callable[[], bool]], Ticker]
    """Makes the feed from its listener, what is desired of it, and whether the session is open."""
    calendar: SessionCalendar
    rules: MarketRules
    charge_rates: ChargeRates
    """What trading costs besides the price."""
    strip: Sequence[tuple[str, InstrumentKey]]
    """Label and instrument of each figure of the index strip."""
    start_mode: Mode
    read_only: bool
    """Never take the writer lock: nothing can be sent or booked."""
    random_bytes: Callable[[int], bytes]
    server_offset_s: Callable[[], float]
    """Seconds the broker's clock is ahead of this machine's."""
    server_uncertainty_s: Callable[[], float]
    """How far that may be off, either way: the broker's stamps are whole seconds, more answers narrow it."""
    environment_checks: Callable[[], Sequence[Check]]
    """The preflight's checks of what the composition root knows (disk, database, process)."""
    settings: EngineSettings
    execution: ExecutionSettings
    portfolio: PortfolioSettings
    chain: ChainSettings
    defaults: OrderDefaults
