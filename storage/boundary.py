"""Checks at the border between the engine's values and the rows that keep them; the same for both implementations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.core.identifiers import AccountId

NO_CHARACTER = "\x00"
"""The one character that PostgreSQL's text cannot hold."""


def aware(moment: datetime) -> datetime:
    """Return ``moment``, which must know its time zone.

    Raises:
        ValueError: it does not: the driver would take it for the machine's local time.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; records are kept in aware UTC")
    return moment


def aware_or_none(moment: datetime | None) -> datetime | None:
    """As ``aware``, for a time that may be missing."""
    return None if moment is None else aware(moment)


def storable(text: str) -> str:
    """``text`` without what a database cannot keep. A broker's odd words must never stop the journal."""
    return text.encode("utf-8", "replace").decode("utf-8").replace(NO_CHARACTER, "")


def one_account(accounts: Iterable[AccountId]) -> AccountId:
    """The account that all rows of one write belong to.

    Raises:
        ValueError: they belong to several, and a writer epoch is of one account.
    """
    found = set(accounts)
    if len(found) != 1:
        raise ValueError(f"one write is for one account, this one names {sorted(found)}")
    return found.pop()
