"""Limits and intervals of price candles."""

from __future__ import annotations

import msgspec


class BarsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Price candles: how they are kept, filled and read. Seconds are of this machine unless said otherwise."""

    tick_s: float = 0.5
    """How often it is seen whether a minute has ended while nothing comes in."""
    save_s: float = 5.0
    """How often finished minutes are written."""
    batch_max: int = 50_000
    """Most candles in one write."""
    waiting_max: int = 400_000
    """Most candles that wait while the database takes none; beyond it the oldest are lost, which is said."""
    keep_days: int = 60
    """Days for which minutes are kept."""
    retention_check_s: float = 60.0
    """How often it is seen whether a new day has begun, on which old minutes are deleted."""
    span_days_max: int = 60
    """Longest span that one question may ask for, days; what one request of the broker's history may span."""
    indicators_max: int = 16
    """Most indicators in one question."""
    indicator_history_days: int = 5
    """So many days before the asked span are read too, for indicators that remember."""
    history: bool = True
    """Whether gaps are filled from the broker's history."""
    history_days: int = 5
    """Earlier sessions that are filled for watched indices and futures."""
    history_wait_s: float = 4.0
    """How long a question waits for the broker's history before it answers with what is there."""
    look_s: float = 2.0
    """How often it is seen which instruments have gaps."""
    patience_s: float = 10.0
    """How long an instrument that sends nothing is waited for before its history is asked for."""
    look_again_s: float = 300.0
    """How often gaps are looked for again while an instrument has no data path, or after its requests failed."""
    settle_s: float = 10.0
    """So long after its end, in market time, a minute is expected in the broker's history."""
    requests_waiting_max: int = 3_000
    """Most instruments whose history waits to be asked for."""
    requests_at_once: int = 2
    """Requests under way at a time; their pace is the broker's."""
    requests_per_s: float = 2.7
    """What the broker's pace gives, for the estimate of how long filling takes."""
    attempts_max: int = 3
    """Times a request is made before it is given up for a while."""
    rest_s: float = 5.0
    """Pause of all requests after a failure; doubles with each failure of one request."""
