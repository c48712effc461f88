"""Every number of the practice exchange that is a choice rather than a fact.

Facts with a date (sessions, holidays, lots, freeze quantities) come from the calendar's data files. What is here
describes how the made-up market behaves and how the service paces itself. Invariant: values only, frozen, no
behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

RELAY_KEY, RELAY_TOKEN = "WORKSTATION_RELAY_KEY", "WORKSTATION_RELAY_TOKEN"
"""Environment variables with the API key and the access token of the feed to relay."""


@dataclass(frozen=True, slots=True)
class UnderlyingProfile:
    """How one underlying moves and trades in the made-up market.

    Attributes:
        name: Name in the instrument list, such as ``NIFTY``.
        base_level: Index level at the close before the first session (index points).
        realised_volatility: Annualised volatility of the index path (0.11 = 11 %).
        implied_volatility: At-the-money volatility of the shortest expiry.
        market_beta: Sensitivity to the factor that all underlyings share.
        weekly_expiries: How many nearest expiries of any kind are listed.
        monthly_expiries: How many nearest monthly expiries are listed.
        peak_volume_lots: Lots an at-the-money option of the nearest expiry trades in a day.
        peak_open_interest_lots: Open interest of an at-the-money option of the nearest expiry, in lots.
    """

    name: str
    base_level: float
    realised_volatility: float
    implied_volatility: float
    market_beta: float
    weekly_expiries: int
    monthly_expiries: int
    peak_volume_lots: float
    peak_open_interest_lots: float


DEFAULT_PROFILES = (
    UnderlyingProfile("NIFTY", 24_200.0, 0.105, 0.095, 1.0, 4, 3, 5.0e6, 1.3e5),
    UnderlyingProfile("BANKNIFTY", 57_000.0, 0.125, 0.115, 1.08, 3, 3, 1.2e6, 6.0e4),
    UnderlyingProfile("SENSEX", 78_200.0, 0.105, 0.097, 1.0, 4, 2, 3.0e6, 8.0e4),
)


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """How the made-up market is shaped (rates are continuous and annual, distances relative)."""

    profiles: tuple[UnderlyingProfile, ...] = DEFAULT_PROFILES
    ladder_half_width: float = 0.10
    """Strikes are listed to this distance of the index on both sides."""
    discount_rate: float = 0.065
    carry: float = 0.062
    carry_spread: float = 0.006
    """Each expiry's carry lies within ``carry`` plus or minus this."""
    market_correlation: float = 0.9
    overnight_volatility: float = 0.06
    """Annualised volatility of the gap between two sessions."""
    daily_volatility_of_volatility: float = 0.035
    volatility_persistence: float = 0.94
    leverage: float = 6.0
    """Relative rise of implied volatility per relative fall of the index."""
    closing_auction_boost: float = 4.0
    """Volatility multiplier while the frozen index hides the cash market's closing auction."""
    closing_auction_print_seconds: float = 12 * 60.0
    """The frozen index prints once this long after the cash market's continuous session."""
    extreme_block_seconds: int = 600
    """Day highs and lows are envelopes over blocks of this length."""
    extended_session_seconds: int = 22_500
    """Length of a session opened at a snapshot taken at or after the close."""
    dump_weekly_expiries: int = 4
    dump_monthly_expiries: int = 3


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How the service paces itself and what it allows (durations are wall-clock seconds)."""

    step_seconds: float = 0.5
    order_latency_seconds: float = 0.01
    """Between the answer to an order request and the exchange acting on it: the middle of what is drawn."""
    order_latency_spread: float = 0.5
    """Standard deviation of the logarithm of the drawn latency; 0 makes it constant."""
    heartbeat_seconds: float = 1.0
    closed_pause_seconds: float = 20.0
    """Between the close of one session and the opening of the next."""
    clients_poll_seconds: float = 0.5
    request_token_seconds: float = 300.0
    max_request_tokens: int = 64
    max_tokens_per_connection: int = 3000
    max_connections_per_key: int = 3
    text_queue_limit: int = 2000
    """Order updates waiting for one slow socket; beyond it the socket is closed."""
    frame_queue_bytes: int = 4_000_000
    """Data waiting for one socket of a tape or a relay; beyond it a tape waits and a relay skips."""
    stalled_socket_seconds: float = 10.0
    """A socket of a tape or a relay that takes nothing for this long is closed."""
    cut_sockets_kept: int = 16
    upstream_silence_seconds: float = 5.0
    """An upstream ticker that says nothing, not even a heartbeat, for this long is opened anew."""
    upstream_wait_seconds: tuple[float, float] = (0.5, 30.0)
    """First and longest wait between two attempts to reach the upstream."""
    first_packet_seconds: float = 2.0
    """A request of an instrument that was not relayed yet waits at most so long for its first packet."""
    quote_limit: int = 500
    ltp_limit: int = 1000
    orders_per_second: int = 10
    orders_per_minute: int = 400
    orders_per_day: int = 5000
    quotes_per_second: int = 1
    candles_per_second: int = 3
    others_per_second: int = 10
    read_limits: bool = True
    modifications_per_order: int = 25
    active_triggers: int = 250
    alerts: int = 500
    tag_length: int = 20
    longest_ttl_minutes: int = 1440
    most_iceberg_legs: int = 50
    most_slices: int = 10
    opening_cash: float = 5_000_000.0
    liquidity_recovery_seconds: float = 3.0
    """Displayed size taken by an order comes back after this much market time, or when the price moves."""
    max_faults: int = 100
    max_events: int = 20_000
    """Events kept for ``GET /practice/events``; older ones are dropped and counted."""
    max_event_wait_seconds: float = 30.0
    max_gate_seconds: float = 120.0
    """A request that a gate stops goes on by itself after this at the latest."""
    max_accounts: int = 20


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """Everything one process is started with."""

    state: Path
    port: int = 0
    seed: int = 7
    speed: float = 1.0
    start: str = "auto"
    instruments: Path | None = None
    snapshot: Path | None = None
    clients_lock: Path | None = None
    linger: float = 5.0
    tape: Path | None = None
    """A recording to play instead of a made-up market."""
    play: bool = False
    """A tape begins to play at once instead of paused."""
    relay_root: str = ""
    """REST of the feed to relay; empty: no relay."""
    relay_stream: str = ""
    """Its ticker."""
    faults: Path | None = None
    """A JSON file of faults that are drawn by rate and seed."""
    accounts: int = 1
    market: MarketSettings = field(default_factory=MarketSettings)
    service: ServiceSettings = field(default_factory=ServiceSettings)
