"""The broker's sessions of the day: when they end, said in time; how a new login reaches what runs.

Invariant: a session that has ended is named until a login has replaced it, and nothing here ever asks for another one
by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from engine.brokers.routing import LOGIN_NEEDED, ReadAccount
from engine.core.errors import Refused
from engine.core.events import EventKind
from engine.core.identifiers import AccountId
from engine.core.ports import Clock
from engine.core.vocabulary import Severity
from engine.event_log import EventLog

NO_LOGIN = "This venue needs no login."


class StoredSessions(Protocol):
    """Where logins are kept; given by the composition root."""

    def take(self, account: AccountId) -> str:
        """Put the newest stored session of an account in force for its calls; returns the token, for its sockets.

        Raises:
            Refused: nothing newer is stored, or what is stored has ended.
            SetupError: the store cannot be opened.
        """
        ...


class SessionWatch:
    """Looks after the sessions of an engine's accounts.

    Args:
        accounts: The accounts that reads go through.
        stored: Where logins are kept; ``None`` where there is no login.
        renew_feed: Gives an account's new token to its sockets.
        clock: This machine's wall clock decides when a session ends.
        events: Where it is said.
        declare: Says a degraded service and why; an empty reason says that it is well.
        warn_before_s: How long before its end a session's end is said.
        every_s: How often it is looked.
    """

    def __init__(
        self,
        accounts: Sequence[ReadAccount],
        *,
        stored: StoredSessions | None,
        renew_feed: Callable[[str, str], None],
        clock: Clock,
        events: EventLog,
        declare: Callable[[str, str], None],
        warn_before_s: float,
        every_s: float,
    ) -> None:
        self._accounts = tuple(accounts)
        self._stored = stored
        self._renew_feed = renew_feed
        self._clock = clock
        self._events = events
        self._declare = declare
        self._warn_before = timedelta(seconds=warn_before_s)
        self._every_s = every_s
        self._warned: dict[AccountId, datetime] = {}
        self._ended: set[AccountId] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(self._every_s)

    def look(self) -> None:
        """Say what has ended, and what will soon."""
        now = self._clock.wall_now()
        for account in self._accounts:
            health = account.health()
            name, until = account.account, health.token_until
            over = until is not None and now >= until
            if over or health.state == LOGIN_NEEDED:
                self._say_ended(name, health.last_error)
            elif name in self._ended:
                self._ended.discard(name)
                self._declare(_service(name), "")
            if until is not None and not over and until - now <= self._warn_before and self._warned.get(name) != until:
                self._warned[name] = until
                minutes = int((until - now) / timedelta(minutes=1))
                text = f"The session of {name} ends in {minutes} minutes; log in again with `workstation login {name}`."
                self._events.add(EventKind.SESSION, text, severity=Severity.ATTENTION, subject="session")

    def renew(self, word: str) -> AccountId:
        """Put a new login in force for calls and sockets, of the named account or the only one.

        Raises:
            Refused: this venue needs no login, the account is not one of ours, or nothing newer is stored.
        """
        if self._stored is None:
            raise Refused(NO_LOGIN)
        names = ", ".join(account.account for account in self._accounts)
        if not word and len(self._accounts) > 1:
            raise Refused(f"There are several accounts: {names}; name one.")
        found = next((item for item in self._accounts if not word or item.account == word), None)
        if found is None:
            raise Refused(f"{word} is no account of this engine; it has {names}.")
        token = self._stored.take(found.account)
        found.renewed()
        self._renew_feed(found.account, token)
        self._ended.discard(found.account)
        self._declare(_service(found.account), "")
        self._events.add(EventKind.SESSION, f"{found.account} is logged in.", subject="session")
        return found.account

    def _say_ended(self, account: AccountId, words: str) -> None:
        text = f"LOGIN NEEDED: the session of {account} is over; run `workstation login {account}`."
        self._declare(_service(account), text)
        if account not in self._ended:
            self._ended.add(account)
            why = f" The broker says: {words}" if words else ""
            self._events.add(EventKind.SESSION, text + why, severity=Severity.DANGER, subject="session")


def _service(account: AccountId) -> str:
    return f"session {account}"
