"""The exchange's day: midnight to midnight IST, as a number."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

IST = timezone(timedelta(hours=5, minutes=30))
"""India has one offset and no summer time."""


def exchange_day(moment: datetime) -> int:
    """The proleptic number of the exchange's day that ``moment`` (aware) lies in."""
    return moment.astimezone(IST).date().toordinal()
