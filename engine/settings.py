"""Limits and intervals of the engine's own services. Parts have their own settings beside their code."""

from __future__ import annotations

import msgspec


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
    feed_capacity: int = 3000
    """Instruments that the feed carries."""
    silence_limit_s: float = 5.0
    """A connection without a byte for longer is suspect: its quotes read STALE, and it is replaced."""
    clock_offset_max_s: float = 0.5
    """Doctor: largest difference between this machine's and the broker's clock."""
    disk_free_min_mb: int = 500
    """Doctor: least free space beside the database."""
