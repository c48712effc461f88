"""The broker's sessions of the day: kept encrypted, dead at six in the morning whatever else is said of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from engine.core.errors import SetupError
from engine.core.identifiers import AccountId
from workstation.secrets.book import SESSION_PREFIX
from workstation.secrets.vault import Vault

ZONE = ZoneInfo("Asia/Kolkata")
FLUSH = time(6, 0)
"""When the broker ends every access token, Indian time."""


class DaySession(msgspec.Struct, frozen=True, kw_only=True):
    """One login."""

    account: AccountId
    name: str
    api_key: str
    access_token: str
    login_at: datetime
    """Aware UTC."""

    @property
    def until(self) -> datetime:
        """When it ends at the latest, aware UTC."""
        return session_end(self.login_at)

    def __repr__(self) -> str:
        return f"DaySession({self.account}, until {self.until:%Y-%m-%d %H:%M} UTC)"


def session_end(login_at: datetime) -> datetime:
    """The next six o'clock in the morning, Indian time, after a login; aware UTC."""
    local = login_at.astimezone(ZONE)
    flush = datetime.combine(local.date(), FLUSH, ZONE)
    return (flush if local < flush else flush + timedelta(days=1)).astimezone(UTC)


class DaySessions:
    """Keeps one session for each account.

    Args:
        vault: Where they are encrypted.
        now: Aware UTC of this machine.
    """

    def __init__(self, vault: Vault, *, now: Callable[[], datetime]) -> None:
        self._vault = vault
        self._now = now

    def keep(self, session: DaySession) -> None:
        """Store a login in place of the account's earlier one.

        Raises:
            SetupError: there is no key, or the disk did not take it.
        """
        self._vault.change({SESSION_PREFIX + session.account: msgspec.json.encode(session).decode()})

    def forget(self, account: AccountId) -> None:
        """Drop an account's session."""
        self._vault.change({SESSION_PREFIX + account: None})

    def find(self, account: AccountId) -> DaySession | None:
        """The account's session if it is still good; ``None`` when there is none or it has ended.

        Raises:
            SetupError: the encrypted file cannot be opened.
        """
        session = self.last(account)
        return session if session is not None and self._now() < session.until else None

    def last(self, account: AccountId) -> DaySession | None:
        """The account's newest session, ended or not."""
        if not self._vault.is_there():
            return None
        text = self._vault.read().get(SESSION_PREFIX + account)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=DaySession)
        except msgspec.DecodeError:
            raise SetupError(f"The stored session of {account} cannot be read; log in again.") from None
