"""Limits and intervals of the engine's own services. Parts have their own settings beside their code."""

from __future__ import annotations

from datetime import time

import msgspec

from engine.bars_settings import BarsSettings
from engine.market.feed_pool import FeedSettings
from engine.market.halts import HaltSettings
from engine.market.strike_window import WindowSettings
from engine.tape.settings import RecorderSettings


class SeriesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Option chains by the minute: how they are sampled, kept and read. Seconds are of this machine."""

    sample_s: float = 1.0
    """How often watched and held chains are looked at for their minute; more often while market time runs fast."""
    save_s: float = 5.0
    """How often finished minutes are written."""
    batch_max: int = 32
    """Most minutes of chains in one write."""
    waiting_max: int = 600
    """Most minutes of chains that wait while the database takes none; beyond it the oldest are lost, which is said."""
    chains_max: int = 64
    """Chains whose last recorded picture is remembered, so that no picture stands for two minutes."""
    keep_expiry_days: int = 400
    """Days for which an expiry's minutes are kept; each day's last volatility is kept for good."""
    keep_strike_days: int = 45
    """Days for which the minutes of single strikes are kept."""
    retention_check_s: float = 60.0
    """How often it is seen whether a new day has begun, on which old minutes are deleted."""
    span_days_max: int = 31
    """Longest span of minutes that one question may ask for, days."""
    indicators_max: int = 16
    """Most indicators in one question."""
    indicator_history_days: int = 5
    """So many days before the asked span are read too, for indicators that remember."""


class VolatilitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where volatility stands: against its own history and against what was realised."""

    days_to_expiry_min: int = 2
    """An expiry with fewer days left says nothing about volatility and is passed over for rank and percentile."""
    rank_days: int = 252
    """Stored days that rank and percentile look at, at most."""
    rank_days_min: int = 20
    """Fewer stored days are no history: there is no rank then."""
    realised_sessions: int = 10
    """Sessions of stored minutes that realised volatility looks at, at most."""
    reread_s: float = 20.0
    """What was read from the database is given again for so long; minutes come once a minute."""


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Paces and bounds; durations in seconds of this machine."""

    venue_poll_s: float = 1.0
    """How often a practice venue's clock and session are read."""
    venue_run_on_s: float = 3.0
    """How long market time runs on without a fresh reading of a practice venue's clock."""
    funds_poll_s: float = 5.0
    """How often funds and positions are read from the broker."""
    upkeep_s: float = 0.5
    """How often sessions, held chains and the day's change are looked after."""
    events_kept_max: int = 2000
    """Events kept in memory; the oldest leave first."""
    order_changes_kept_max: int = 4096
    """Changes of orders kept for those who follow them; one that is further behind gets a snapshot."""
    events_shown_max: int = 50
    """Events in one picture of the desk."""
    orders_shown_max: int = 200
    """Orders in one picture of the desk; working ones come first."""
    desk_interval_s: float = 0.1
    """A picture of the desk is made anew when something changed, and at least this old."""
    restart_pauses_s: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 15.0)
    """Pauses before a failed service is started again; the last one repeats."""
    stop_timeout_s: float = 20.0
    """How long an orderly stop may take."""
    first_quote_wait_s: float = 3.0
    """How long a sentence or a preview waits for the first quote of what it names."""
    lookups_kept_max: int = 64
    """Instruments kept subscribed because a sentence named them; the longest unused leave first."""
    chain_lookups_kept_max: int = 4
    """Chains kept watched because a sentence asked for their money; the longest unused leave first."""
    board_slots_max: int = 9000
    """Instruments on the board: three connections of 3,000."""
    silence_limit_s: float = 4.0
    """A connection without a byte for longer is suspect: its quotes read STALE, and it is replaced."""
    clock_offset_max_s: float = 0.5
    """Doctor: largest difference between this machine's and the broker's clock."""
    smile_refit_s: float = 1.0
    """A watched chain's smile is fitted at most this often."""
    series: SeriesSettings = SeriesSettings()
    volatility: VolatilitySettings = VolatilitySettings()
    bars: BarsSettings = BarsSettings()
    feed: FeedSettings = FeedSettings()
    window: WindowSettings = WindowSettings()
    halts: HaltSettings = HaltSettings()
    recorder: RecorderSettings = RecorderSettings()
    instruments_made_at: time = time(8, 30)
    """When the broker has made the day's instrument dump, Indian time: an earlier one is yesterday's."""
    replay_look_s: float = 0.5
    """How often it is asked where a tape stands."""
    session_look_s: float = 5.0
    """How often it is seen whether a broker session has ended, or ends soon."""
    lag_every_s: float = 0.05
    """How often the event loop is looked at."""
    lag_kept_s: float = 10.0
    """The worst delay of the event loop is that of the last seconds, so many."""
    disk_free_min_mb: int = 500
    """Doctor: least free space beside the database."""
