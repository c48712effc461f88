"""The driver's errors become ours in one place; values are checked where they cross into rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import asyncpg
import pytest

from engine.core.errors import (
    InvalidInput,
    SetupError,
    StorageConflict,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
    UnknownStrategy,
    WriterLost,
)
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.strategies import M2mCandle
from storage.boundary import aware, aware_or_none, one_account, storable
from storage.candles import merge, merged_candles
from storage.errors import RowRefused, ServerProblem, StorageFull, UniqueRefused
from storage.memory import MemoryRepositories, MemoryStore
from storage.pool import connection_settings, setup_errors
from storage.refusals import CONFLICTS, refusals_in_words
from storage.session import translated_errors
from storage.writer_lock import lock_key

FOREIGN = [
    (TimeoutError(), StorageTimeout),
    (asyncpg.QueryCanceledError("canceling statement due to statement timeout"), StorageTimeout),
    (asyncpg.LockNotAvailableError("canceling statement due to lock timeout"), StorageTimeout),
    (asyncpg.DeadlockDetectedError("deadlock detected"), StorageTimeout),
    (asyncpg.ConnectionDoesNotExistError("connection was closed"), StorageUnavailable),
    (asyncpg.CannotConnectNowError("the database system is starting up"), StorageUnavailable),
    (asyncpg.AdminShutdownError("terminating connection"), StorageUnavailable),
    (asyncpg.CrashShutdownError("terminating connection because of crash"), StorageUnavailable),
    (asyncpg.TooManyConnectionsError("too many clients already"), StorageUnavailable),
    (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"), StorageUnavailable),
    (ConnectionRefusedError(111, "Connection refused"), StorageUnavailable),
    (FileNotFoundError(2, "No such file or directory"), StorageUnavailable),
    (asyncpg.DiskFullError("could not extend file"), StorageFull),
    (asyncpg.OutOfMemoryError("out of memory"), StorageFull),
    (asyncpg.UniqueViolationError("duplicate key"), UniqueRefused),
    (asyncpg.CheckViolationError("violates check"), RowRefused),
    (asyncpg.ForeignKeyViolationError("violates foreign key"), RowRefused),
    (asyncpg.UndefinedTableError("relation does not exist"), StorageError),
]


def fail(error: BaseException) -> None:
    """Raise."""
    raise error


@pytest.mark.parametrize(("foreign", "ours"), FOREIGN, ids=[type(foreign).__name__ for foreign, _ in FOREIGN])
def test_a_foreign_error_becomes_ours(foreign: Exception, ours: type[StorageError]) -> None:
    """Sorted by what may be done next; the original stays attached."""
    with pytest.raises(StorageError) as raised, translated_errors():
        fail(foreign)
    assert type(raised.value) is ours
    assert raised.value.__cause__ is foreign


@pytest.mark.parametrize("error", [ValueError("x"), WriterLost("x"), asyncpg.InterfaceError("a bug of ours")])
def test_other_errors_pass(error: Exception) -> None:
    """Ours, and mistakes in the program, are not disguised as a missing database."""
    with pytest.raises(type(error)) as raised, translated_errors():
        fail(error)
    assert raised.value is error


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (asyncpg.InvalidPasswordError('password authentication failed for user "u"'), "user and password"),
        (asyncpg.InvalidCatalogNameError('database "x" does not exist'), '"x" does not exist'),
        (asyncpg.InsufficientPrivilegeError("permission denied to create database"), "permission denied"),
        (ValueError("invalid port"), "postgresql://USER"),
    ],
)
def test_what_waiting_cannot_cure_is_a_matter_of_setup(foreign: Exception, words: str) -> None:
    """A wrong URL is told apart from a server that is down."""
    with pytest.raises(SetupError, match=words), translated_errors(), setup_errors():
        fail(foreign)


@pytest.mark.parametrize("constraint", sorted(CONFLICTS))
def test_a_uniqueness_rule_is_said_in_words(constraint: str) -> None:
    """No name of a constraint reaches a person."""
    with pytest.raises(StorageConflict) as raised, refusals_in_words():
        fail(UniqueRefused("x", constraint))
    assert constraint not in str(raised.value)


def test_a_missing_account_or_strategy_is_said_in_words() -> None:
    """References name what is missing; other rules pass as they are."""
    with pytest.raises(InvalidInput, match="account"), refusals_in_words():
        fail(RowRefused("x", "orders_account_fkey"))
    with pytest.raises(UnknownStrategy), refusals_in_words():
        fail(RowRefused("x", "orders_strategy_fkey"))
    with pytest.raises(RowRefused), refusals_in_words():
        fail(RowRefused("x", "orders_values_check"))


def test_problems_of_the_server_are_matters_of_setup() -> None:
    """The program's start catches one kind."""
    assert issubclass(ServerProblem, SetupError)


def test_naive_times_are_refused() -> None:
    """Any zone will do; none will not."""
    indian = datetime(2026, 11, 20, 9, 15, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert aware(indian) == datetime(2026, 11, 20, 3, 45, tzinfo=UTC)
    assert aware_or_none(None) is None
    with pytest.raises(ValueError, match="time zone"):
        aware_or_none(datetime(2026, 11, 20))  # noqa: DTZ001


@pytest.mark.parametrize(("text", "kept"), [("plain ₹", "plain ₹"), ("a\x00b\x00", "ab"), ("\ud83d", "?"), ("", "")])
def test_text_is_made_storable(text: str, kept: str) -> None:
    """What PostgreSQL cannot hold goes; everything else stays."""
    assert storable(text) == kept


def test_one_write_is_of_one_account() -> None:
    """Several, or none, are a mistake."""
    assert one_account([AccountId("A"), AccountId("A")]) == "A"
    for accounts in ([], [AccountId("A"), AccountId("B")]):
        with pytest.raises(ValueError, match="one account"):
            one_account(accounts)


def test_merging_keeps_the_open_and_the_newest_close() -> None:
    """Extremes widen; samples add up; the result is sorted by strategy and minute."""
    minute = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)

    def made(strategy: int, at: datetime, prices: tuple[int, int, int, int]) -> M2mCandle:
        first, high, low, close = (Decimal(price) for price in prices)
        number = StrategyNumber(strategy)
        return M2mCandle(strategy=number, minute=at, open=first, high=high, low=low, close=close, samples=1)

    one, two = made(1, minute, (1, 5, 0, 2)), made(1, minute, (3, 4, -1, 4))
    merged = merge(one, two)
    assert [merged.open, merged.high, merged.low, merged.close] == [Decimal(price) for price in (1, 5, -1, 4)]
    assert merged.samples == 2
    other = made(1, minute - timedelta(minutes=1), (0, 0, 0, 0))
    last = made(2, minute - timedelta(minutes=5), (0, 0, 0, 0))
    assert merged_candles([last, one, two, other]) == (other, merged, last)


def test_connections_are_asked_for_durable_commits() -> None:
    """Milliseconds, and the promise that an acknowledged write is on the disk."""
    settings = connection_settings("desk", statement_timeout_s=2.5)
    assert settings["statement_timeout"] == "2500"
    assert settings["synchronous_commit"] == "on"
    assert settings["application_name"] == "desk"


def test_locks_of_accounts_differ() -> None:
    """A signed 64-bit number, the same every time, another one for another account."""
    keys = {lock_key(AccountId(f"AB{number}")) for number in range(1_000)}
    assert len(keys) == 1_000
    assert all(-(2**63) <= key < 2**63 for key in keys)
    assert lock_key(AccountId("AB1")) == lock_key(AccountId("AB1"))


async def test_the_twin_can_be_stopped_and_started() -> None:
    """A stopped store answers as a database that is gone; started again it has all it had."""
    store = MemoryStore()
    repositories = MemoryRepositories(store)
    assert await repositories.writer_lock.acquire(AccountId("A")) == 1
    store.stop("gone for the test")
    for call in (
        repositories.accounts.all(),
        repositories.journal.working(AccountId("A")),
        repositories.ledger.trades(AccountId("A")),
        repositories.writer_lock.acquire(AccountId("A")),
    ):
        with pytest.raises(StorageUnavailable, match="gone for the test"):
            await call
    store.start()
    assert await repositories.writer_lock.acquire(AccountId("A")) == 1
    await repositories.writer_lock.close()
    assert await repositories.writer_lock.is_held(AccountId("A")) is False
