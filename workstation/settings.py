"""All settings of the program: one section per part, each the part's own settings struct."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.arming import ArmingSettings
from engine.core.default_price import SpreadLimits
from engine.core.vocabulary import Mode, Product
from engine.execution.plans.settings import PlanSettings
from engine.execution.settings import ExecutionSettings, KillSettings, LockLimits
from engine.portfolio.settings import PortfolioSettings
from engine.server.limits import SessionLimits
from engine.server.web_settings import ServerSettings
from engine.settings import EngineSettings
from workstation.presenters.settings import TerminalSettings


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where orders go, and what market the practice exchange shows when it is one of its own."""

    kind: str = "practice"
    """``practice`` is a made-up market, ``replay`` a recorded one, ``paper`` the real one with orders that stay here,
    ``live`` the broker."""
    seed: int = 7
    start: str = "auto"
    """First market time (ISO with offset); ``auto`` is now when the real market is open, else the next opening."""
    speed: float = 1.0
    """Market seconds per second."""
    port: int = 0
    """Port of the exchange on loopback; 0 takes a free one and keeps it."""
    instruments: str = ""
    """A Kite instruments dump to take the contracts from."""
    snapshot: str = ""
    """An option-chain JSON of the exchange's website to start the market from."""
    tape: str = ""
    """The recording that a replay plays: its folder."""
    relay_root: str = "https://api.kite.trade"
    """REST of the feed that paper trading relays. Its key and token: WORKSTATION_RELAY_KEY, WORKSTATION_RELAY_TOKEN."""
    relay_stream: str = "wss://ws.kite.trade"
    """Its ticker."""
    linger_s: float = 15.0
    """How long the exchange waits for another desk after the last one has gone."""
    start_timeout_s: float = 60.0
    keep_up_s: float = 1.0
    """How often the exchange's process is looked after."""
    start_mode: Mode = Mode.CONFIRM
    """Mode every terminal and script starts in; on a live venue it is always READ."""


class PracticeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The practice exchange's accounts, for every kind of venue but ``live``."""

    accounts: int = 1
    """How many, 1 to 20: each with its own book, money, budget and limits, all in one market."""


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where records are kept."""

    url: str = ""
    """``postgresql://USER:PASSWORD@HOST:PORT/DATABASE`` of a server's maintenance database; empty: the embedded one."""
    pool_size: int = 10
    """Connections of one engine, at most 100."""
    acquire_timeout_s: float = 5.0
    statement_timeout_s: float = 10.0
    start_timeout_s: float = 120.0
    """Longest start of the embedded server, crash recovery included."""


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The road to the broker."""

    order_timeout_s: float = 7.0
    """Longest wait for an answer to an order; after it the outcome is unknown and looked up."""
    read_timeout_s: float = 7.0


class LiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The real market (``[venue] kind = "live"``). Keys and secrets never stand here: ``workstation secrets set``."""

    accounts: tuple[str, ...] = ()
    """Client ids with what they are for: ``AB1234`` (orders, data and reads) or ``CD5678:data,reads``. Orders may go to
    each with ``orders``; the first of them is meant where none is named."""
    root: str = "https://api.kite.trade"
    stream_root: str = "wss://ws.kite.trade"
    login_page: str = "https://kite.zerodha.com/connect/login"
    callback_port: int = 8765
    """The registered redirect address is http://127.0.0.1:PORT/ of this port."""
    callback_wait_s: float = 300.0
    """How long a login is waited for."""
    warn_before_end_s: float = 1800.0
    """How long before a session ends it is said."""
    registered_addresses: tuple[str, ...] = ()
    """Internet addresses registered with the broker, from which orders may come; empty: not checked."""
    address_echo_url: str = ""
    """A page that answers with the address a request came from, as text; empty: not checked."""


class SecretSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the key of the encrypted secrets is: in WORKSTATION_SECRETS_KEY, else with this program or the keyring."""

    key_command: str = ""
    """A program with its arguments that prints the key, such as the client of a key management service."""
    key_command_timeout_s: float = 10.0
    keyring: bool = True
    """Ask the operating system's keyring."""


class AnalyticsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How chains are valued."""

    rate: float = 0.065
    """Continuously compounded annual rate, 0.065 is 6.5 %."""
    last_recent_s: float = 60.0
    """A last trade not older than this may stand in for a missing mid."""


class LanguageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an order is when a sentence does not say."""

    product: Product = Product.NRML
    market_protection: Decimal = Decimal(-1)
    """Percent for ``@ mkt``; -1 leaves the band to the broker."""
    narrow_spread: SpreadLimits = SpreadLimits()


class DoorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's Unix socket."""

    connections_max: int = 16
    limits: SessionLimits = SessionLimits()
    idle_exit_s: float = 20.0
    """A headless engine started by a command ends after being idle and alone for this long."""
    hangup_exit_s: float = 3600.0
    """After the terminal hung up, an engine that is idle and alone ends after this long."""
    call_timeout_s: float = 20.0
    """How long a command waits for an engine's answer."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The log file."""

    level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    bytes_max: int = 5_000_000
    """Size at which a file is put aside."""
    files_kept: int = 5


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, with its default."""

    venue: VenueSettings = VenueSettings()
    practice: PracticeSettings = PracticeSettings()
    database: DatabaseSettings = DatabaseSettings()
    live: LiveSettings = LiveSettings()
    secrets: SecretSettings = SecretSettings()
    broker: BrokerSettings = BrokerSettings()
    engine: EngineSettings = EngineSettings()
    orders: ExecutionSettings = ExecutionSettings()
    plans: PlanSettings = PlanSettings()
    arming: ArmingSettings = ArmingSettings()
    locks: LockLimits = LockLimits()
    kill: KillSettings = KillSettings()
    portfolio: PortfolioSettings = PortfolioSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    language: LanguageSettings = LanguageSettings()
    terminal: TerminalSettings = TerminalSettings()
    door: DoorSettings = DoorSettings()
    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()

    def __post_init__(self) -> None:
        """Refuse sections that contradict each other.

        Raises:
            ValueError: a price of an exit, or of a basket that is taken back, may go where the check on prices refuses
                it: what has to go would stay.
        """
        most, floor = self.orders.checks.price_distance_percent, self.orders.checks.price_distance_floor
        reaches = {"plans.exits": self.plans.exits.reach, "plans.baskets.unwinding": self.plans.baskets.unwinding.reach}
        if not (most.is_finite() and floor.is_finite()):
            return  # the loader refuses them by name
        for name, reach in reaches.items():
            if reach.edge_percent >= most or reach.edge_floor >= floor:
                raise ValueError(
                    f"[{name}.reach] edge_percent {reach.edge_percent} and edge_floor {reach.edge_floor} lie below "
                    f"[orders.checks] price_distance_percent {most} and price_distance_floor {floor}: further prices "
                    "are refused"
                )
