"""Limits and intervals of the portfolio; all come from the configuration."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec


class PortfolioSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the portfolio keeps, retries and samples."""

    exchange_zone: str = "Asia/Kolkata"
    """Time zone of the exchange's date: day figures start there."""
    name_length_max: int = 40
    """Characters of a strategy's name."""
    waiting_fills_max: int = 10_000
    """Fills kept while the database does not answer. Beyond it new ones are refused: the broker's trade book, read
    again by the reconciliation, still has them."""
    known_fills_max: int = 100_000
    """Identities of booked fills kept in memory. Oldest leave first; one that left costs a question to the database."""
    retry_first_s: float = 0.2
    """First wait before fills are booked again; it doubles up to ``retry_max_s``."""
    retry_max_s: float = 5.0
    grid: timedelta = timedelta(milliseconds=100)
    """Money is sampled at multiples of this of market time."""
    grid_catch_up_max: int = 20
    """Grid points that are caught up at once, when nothing came between; further behind, only the newest is taken."""
    sample_wait_s: float = 0.1
    """Machine time between two looks at the grid."""
    candle_save_interval_s: float = 5.0
    """Machine time between two saves; a kill loses at most this much of the running minute."""
    candle_batch_max: int = 2_000
    """Candles in one save."""
    waiting_candles_max: int = 20_000
    """Candles kept while the database does not answer. Overload policy: the oldest minutes are dropped and counted."""

    @property
    def zone(self) -> ZoneInfo:
        """The exchange's time zone."""
        return ZoneInfo(self.exchange_zone)
