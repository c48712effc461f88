"""The broker's sessions: said before they end, named when they have, and replaced without a restart."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from engine.brokers.routing import ReadAccount
from engine.core.errors import Refused, SessionExpired
from engine.core.events import EventKind
from engine.core.identifiers import AccountId
from engine.core.vocabulary import Severity
from engine.event_log import EventLog
from engine.session_watch import SessionWatch
from engine.supervision import Supervisor
from tests.kit.fake_broker import FakeBroker
from tests.unit.engine.manual_clock import ManualClock

ONE, TWO = AccountId("AB1234"), AccountId("CD5678")


class Drawer:
    """Stored logins of a test."""

    def __init__(self) -> None:
        self.tokens: dict[AccountId, str] = {}

    def take(self, account: AccountId) -> str:
        """The newest; each is given once."""
        if account not in self.tokens:
            raise Refused(f"No newer session of {account} is stored.")
        return self.tokens.pop(account)


class Desk:
    """A watch over two accounts."""

    def __init__(self, *, stored: bool = True) -> None:
        self.clock = ManualClock()
        self.until: dict[AccountId, datetime | None] = dict.fromkeys((ONE, TWO), self.now + timedelta(hours=2))
        self.events = EventLog(self.clock, kept_max=100)
        self.supervisor = Supervisor(self.clock, self.events, pauses_s=(1.0,))
        self.accounts = [self._account(name) for name in (ONE, TWO)]
        self.drawer = Drawer()
        self.fed: list[tuple[str, str]] = []
        self.watch = SessionWatch(
            self.accounts,
            stored=self.drawer if stored else None,
            renew_feed=lambda account, token: self.fed.append((account, token)),
            clock=self.clock,
            events=self.events,
            declare=self.supervisor.declare,
            warn_before_s=1800.0,
            every_s=5.0,
        )

    def _account(self, name: AccountId) -> ReadAccount:
        return ReadAccount(
            name,
            name=name,
            reads=FakeBroker(name, self.clock),
            roles=("reads",),
            token_until=lambda: self.until[name],
            monotonic=self.clock.monotonic,
        )

    @property
    def now(self) -> datetime:
        """Wall time."""
        return self.clock.wall_now()

    def said(self, severity: Severity) -> list[str]:
        """Sentences about sessions."""
        return [
            event.text
            for event in self.events.after(0)
            if event.kind is EventKind.SESSION and event.severity is severity
        ]


async def test_the_end_is_said_in_time_and_once() -> None:
    """Half an hour before, whoever looks how often; not earlier."""
    desk = Desk()
    desk.watch.look()
    assert desk.said(Severity.ATTENTION) == []
    await desk.clock.advance(timedelta(minutes=95).total_seconds())
    for _ in range(3):
        desk.watch.look()
    assert len(desk.said(Severity.ATTENTION)) == 2
    assert "AB1234 ends in 25 minutes" in desk.said(Severity.ATTENTION)[0]


async def test_an_ended_session_is_named_until_a_login() -> None:
    """In the degraded services of every screen, with the command; said loudly once; gone with the login."""
    desk = Desk()
    desk.until[ONE] = desk.now
    for _ in range(3):
        desk.watch.look()
    assert [text for text in desk.supervisor.degraded if "LOGIN NEEDED" in text and "workstation login AB1234" in text]
    assert len(desk.said(Severity.DANGER)) == 1
    desk.drawer.tokens[ONE] = "the-new-one"
    desk.until[ONE] = desk.now + timedelta(hours=20)
    assert desk.watch.renew(ONE) == ONE
    desk.watch.look()
    assert desk.supervisor.degraded == ()
    assert desk.fed == [(ONE, "the-new-one")]


async def test_the_broker_s_word_counts_before_the_clock() -> None:
    """A session ended elsewhere is named at once, with the broker's words, though its time is not over."""
    desk = Desk()
    desk.accounts[1].refused(SessionExpired("Incorrect token."))
    desk.watch.look()
    assert ["CD5678" in text and "Incorrect token." in text for text in desk.said(Severity.DANGER)] == [True]


async def test_what_cannot_be_renewed_is_refused_in_words() -> None:
    """No account named, an unknown one, nothing newer stored, or a venue without logins: nothing changes."""
    desk = Desk()
    for word, sentence in (("", "AB1234, CD5678"), ("XY0000", "no account"), (ONE, "No newer")):
        with pytest.raises(Refused, match=sentence):
            desk.watch.renew(word)
    with pytest.raises(Refused, match="needs no login"):
        Desk(stored=False).watch.renew(ONE)
    assert desk.fed == []


async def test_accounts_without_an_end_are_left_alone() -> None:
    """The practice exchange's session has none."""
    desk = Desk()
    desk.until = dict.fromkeys((ONE, TWO))
    await desk.clock.advance(timedelta(days=3).total_seconds())
    desk.watch.look()
    assert desk.events.after(0) == ()
