"""The broker's day: when a session ends, and what is kept of it."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import SetupError
from engine.core.identifiers import AccountId
from workstation.day_sessions import DaySession, DaySessions, session_end
from workstation.secrets.master_key import KEY_BYTES, MasterKey
from workstation.secrets.vault import FILE, Vault

INDIA = ZoneInfo("Asia/Kolkata")
ACCOUNT = AccountId("AB1234")
LONGEST = timedelta(days=1)
START = datetime(2020, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    """A moment of Indian time."""
    return datetime.fromisoformat(text).replace(tzinfo=INDIA)


@pytest.mark.parametrize(
    ("login", "end"),
    [
        ("2026-11-19T08:45", "2026-11-20T06:00"),
        ("2026-11-19T23:59", "2026-11-20T06:00"),
        ("2026-11-20T00:30", "2026-11-20T06:00"),
        ("2026-11-20T05:59", "2026-11-20T06:00"),
        ("2026-11-20T06:00", "2026-11-21T06:00"),
    ],
)
def test_a_session_ends_at_six_in_the_morning(login: str, end: str) -> None:
    """Indian time, also for a login after midnight."""
    assert session_end(at(login)) == at(end)


@given(st.integers(min_value=0, max_value=15 * 366 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds)))
def test_a_session_ends_within_a_day_and_always_at_six(login: datetime) -> None:
    """Whenever somebody logs in, wherever this machine stands."""
    end = session_end(login)
    assert timedelta(0) < end - login <= LONGEST
    assert end.astimezone(INDIA).time().isoformat() == "06:00:00"


class Desk:
    """Sessions on a clock of the test's."""

    def __init__(self, folder: Path) -> None:
        self.now = at("2026-11-19T09:00").astimezone(UTC)
        key = MasterKey(secrets.token_bytes(KEY_BYTES), "environment")
        self.vault = Vault(folder / "secrets", lambda: key, random_bytes=secrets.token_bytes)
        self.sessions = DaySessions(self.vault, now=lambda: self.now)

    def session(self, token: str) -> DaySession:
        """A login now."""
        return DaySession(account=ACCOUNT, name="A Trader", api_key="key", access_token=token, login_at=self.now)


def test_a_session_is_good_until_it_ends(tmp_path: Path) -> None:
    """Found while it is good, gone the moment it ends, still known as the last one."""
    desk = Desk(tmp_path)
    session = desk.session(secrets.token_hex(16))
    desk.sessions.keep(session)
    assert desk.sessions.find(ACCOUNT) == session
    desk.now = session.until - timedelta(microseconds=1)
    assert desk.sessions.find(ACCOUNT) == session
    desk.now = session.until
    assert desk.sessions.find(ACCOUNT) is None
    assert desk.sessions.last(ACCOUNT) == session


def test_a_new_login_takes_the_place_of_the_old(tmp_path: Path) -> None:
    """One session for each account, and none for an account that never logged in or has left."""
    desk = Desk(tmp_path)
    desk.sessions.keep(desk.session("first" * 5))
    newer = desk.session("second" * 5)
    desk.sessions.keep(newer)
    assert desk.sessions.find(ACCOUNT) == newer
    assert desk.sessions.find(AccountId("CD5678")) is None
    desk.sessions.forget(ACCOUNT)
    assert desk.sessions.last(ACCOUNT) is None


def test_a_token_is_encrypted_and_never_in_words(tmp_path: Path) -> None:
    """Neither the file nor ``repr`` shows it."""
    desk = Desk(tmp_path)
    session = desk.session(secrets.token_hex(16))
    desk.sessions.keep(session)
    assert session.access_token.encode() not in (tmp_path / "secrets" / FILE).read_bytes()
    assert session.access_token not in repr(session)


def test_a_session_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """In words that say what to do."""
    desk = Desk(tmp_path)
    desk.vault.change({f"session.{ACCOUNT}": "{"})
    with pytest.raises(SetupError, match="log in again"):
        desk.sessions.find(ACCOUNT)
