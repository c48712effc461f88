"""The live venue: which accounts there are, what each is for, and what the venue says of itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from engine.core.errors import InvalidInput, SetupError
from engine.core.identifiers import AccountId
from engine.core.vocabulary import Venue
from engine.venue import VenueReading
from workstation.settings import LiveSettings

LIVE = "live"
ROLES = ("orders", "data", "reads")
ACCOUNT = re.compile(r"([A-Z]{2}[A-Z0-9]{2,10})(?::([a-z,]+))?", re.ASCII)
KINDS_HELP = "for example AB1234 or CD5678:data,reads"


class LiveAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One account of the settings."""

    account: AccountId
    roles: tuple[str, ...]


class LiveAccounts(msgspec.Struct, frozen=True):
    """The accounts of the settings, in their order."""

    all: tuple[LiveAccount, ...]

    @property
    def owner(self) -> LiveAccount:
        """The first that orders may go to: the one that is meant where none is named."""
        return self.senders[0]

    @property
    def senders(self) -> tuple[LiveAccount, ...]:
        """All that orders may go to, at least one."""
        return tuple(account for account in self.all if "orders" in account.roles)

    def choose(self, word: str | None) -> LiveAccount:
        """The account a person named, or the only one.

        Raises:
            InvalidInput: none or an unknown one was named.
        """
        names = ", ".join(account.account for account in self.all)
        if word is None:
            if len(self.all) > 1:
                raise InvalidInput(f"There are several accounts: {names}; name one.", field="account")
            return self.all[0]
        found = next((account for account in self.all if account.account == word.upper()), None)
        if found is None:
            raise InvalidInput(f'"{word[:40]}" is no account of [live] accounts; there are {names}.', field="account")
        return found


def live_accounts(settings: LiveSettings) -> LiveAccounts:
    """Read the accounts of the settings.

    Raises:
        SetupError: there are none, one cannot be read, is named twice, or none may send orders.
    """
    if not settings.accounts:
        raise SetupError(f"[live] accounts: name at least one broker account, {KINDS_HELP}.")
    accounts = []
    for text in settings.accounts:
        found = ACCOUNT.fullmatch(text)
        roles = tuple(found[2].split(",")) if found is not None and found[2] else ROLES
        if found is None or not set(roles) <= set(ROLES):
            raise SetupError(
                f'[live] accounts: "{text[:60]}" is not a client id with roles of {", ".join(ROLES)}; {KINDS_HELP}.'
            )
        accounts.append(LiveAccount(account=AccountId(found[1]), roles=roles))
    names = [account.account for account in accounts]
    if len(set(names)) < len(names):
        raise SetupError("[live] accounts: an account is named twice.")
    if not any("orders" in account.roles for account in accounts):
        raise SetupError("[live] accounts: none of them has the role orders.")
    if not any("data" in account.roles for account in accounts):
        raise SetupError("[live] accounts: none of them has the role data.")
    return LiveAccounts(tuple(accounts))


class LiveVenueSource:
    """Implements ``engine.venue.VenueSource`` for the real market: the wall clock, and the calendar decides."""

    def __init__(self, accounts: Sequence[LiveAccount]) -> None:
        """``accounts`` are named in the note."""
        self._note = "Zerodha, " + ", ".join(account.account for account in accounts)

    @property
    def venue(self) -> Venue:
        """Live."""
        return Venue.LIVE

    @property
    def note(self) -> str:
        """Whose accounts."""
        return self._note

    async def read(self) -> VenueReading:
        """The wall clock; whether it is open says the calendar."""
        return VenueReading(market_time=datetime.now(UTC))
