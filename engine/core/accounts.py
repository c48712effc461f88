"""Accounts at the broker, as this program knows them. No secret is ever part of these."""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.core.identifiers import AccountId
from engine.core.vocabulary import Venue


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One broker account."""

    account_id: AccountId
    name: str
    venue: Venue
    created_at: datetime


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker says of the account that is logged in."""

    account_id: AccountId
    name: str
    exchanges: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
