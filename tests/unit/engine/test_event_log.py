"""The event list: numbered without holes, bounded, and never in the way of whoever writes to it."""

from __future__ import annotations

import pytest

from engine.core.events import EngineEvent, EventKind
from engine.core.identifiers import AccountId
from engine.core.vocabulary import Severity
from engine.event_log import AccountEvents, EventLog
from tests.unit.engine.manual_clock import ManualClock


@pytest.fixture
def log() -> EventLog:
    """A list of three."""
    return EventLog(ManualClock(), kept_max=3)


def test_numbers_have_no_holes(log: EventLog) -> None:
    """Each event is one more than the one before."""
    assert [log.add(EventKind.SYSTEM, str(number)).sequence for number in range(3)] == [1, 2, 3]
    assert log.sequence == 3


def test_the_oldest_leave_and_their_numbers_stay_used(log: EventLog) -> None:
    """The list is bounded; what is left keeps its numbers."""
    for number in range(5):
        log.add(EventKind.SYSTEM, str(number))
    assert [event.sequence for event in log.after(0)] == [3, 4, 5]


def test_after_gives_only_what_is_newer(log: EventLog) -> None:
    """Oldest first."""
    for number in range(3):
        log.add(EventKind.SYSTEM, str(number))
    assert [event.text for event in log.after(1)] == ["1", "2"]
    assert log.after(3) == ()


def test_only_what_asks_for_attention_is_unread(log: EventLog) -> None:
    """An order that was filled is news, not an alarm."""
    log.add(EventKind.ORDER, "filled")
    shout = log.add(EventKind.ORDER, "unknown", severity=Severity.DANGER)
    assert log.unread == 1
    assert log.is_unread(shout)
    log.acknowledge(shout.sequence)
    assert log.unread == 0


def test_one_account_acknowledges_its_own_and_what_is_nobodys(log: EventLog) -> None:
    """The events of another account stay unread, and each account's are counted by themselves."""
    one, two = AccountId("AA1111"), AccountId("BB2222")
    for account in (one, two, None):
        log.add(EventKind.ORDER, "unknown", severity=Severity.DANGER, account=account)
    assert (log.unread_of(one), log.unread_of(two), log.unread) == (1, 1, 3)
    log.acknowledge(99, (one,))
    assert (log.unread_of(one), log.unread_of(two), log.unread) == (0, 1, 1)
    log.add(EventKind.ORDER, "again", severity=Severity.DANGER, account=one)
    assert log.unread_of(one) == 1
    log.acknowledge(2)
    assert (log.unread_of(one), log.unread_of(two)) == (1, 0)


def test_acknowledging_never_goes_back_or_ahead(log: EventLog) -> None:
    """A number from the future does not hide what has not happened yet."""
    log.add(EventKind.FEED, "silent", severity=Severity.ATTENTION)
    log.acknowledge(1)
    log.acknowledge(0)
    assert log.unread == 0
    log.acknowledge(99)
    log.add(EventKind.FEED, "silent again", severity=Severity.ATTENTION)
    assert log.unread == 1


def test_a_listener_that_fails_stops_nobody(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    """The writer goes on, the other listeners hear it, the log has the story."""
    heard: list[EngineEvent] = []

    def broken(event: EngineEvent) -> None:
        raise RuntimeError(f"cannot draw {event.text}")

    log.listen(broken)
    log.listen(heard.append)
    event = log.add(EventKind.ORDER, "sent")
    assert heard == [event]
    assert "cannot draw sent" in caplog.text


def test_events_are_stamped_with_market_time() -> None:
    """Aware, of the venue's clock."""
    clock = ManualClock()
    assert EventLog(clock, kept_max=1).add(EventKind.SYSTEM, "x").at == clock.market_now()


def test_an_accounts_events_say_whose_they_are(log: EventLog) -> None:
    """Beside others its words name it, once; alone they stay as they are. What concerns everybody has no account."""
    alone = AccountEvents(log, AccountId("AB1"), is_named=False).add(EventKind.TRADE, "a fill")
    beside = AccountEvents(log, AccountId("CD2"), is_named=True)
    assert (alone.account, alone.text) == ("AB1", "a fill")
    assert [beside.add(EventKind.TRADE, words).text for words in ("a fill", "CD2 is late")] == [
        "CD2: a fill",
        "CD2 is late",
    ]
    assert log.add(EventKind.FEED, "connected").account is None
    assert log.sequence == 4
