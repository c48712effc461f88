"""One writer per account: an advisory lock on a connection of its own, and a counter of writers.

The lock keeps a second engine out while the first lives, and falls by itself with the connection. The epoch keeps an
engine harmless that has lost its connection without noticing: every write of its account names the epoch and is
refused once a newer one was given out.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import asyncpg
import msgspec

from engine.core.errors import StorageError, WriterLost
from engine.core.identifiers import AccountId
from storage.intent_completion import COMPLETE_ALL
from storage.pool import connection_settings, setup_errors
from storage.session import Row, translated_errors
from storage.writer_epoch import NEWEST_EPOCH, refuse_writer

KEY_BYTES = 8
TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
# Waits for writes in progress that name the old epoch, and outlaws the next ones.
NEXT_EPOCH = """
INSERT INTO writer_epochs AS kept (account_id, epoch) VALUES ($1, 1)
ON CONFLICT (account_id) DO UPDATE SET epoch = kept.epoch + 1
RETURNING epoch
"""
KEEPALIVE_SETTINGS = {"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""Half a minute after an engine's machine has vanished the server drops its lock. Of no effect on a local socket."""


class _Hold(msgspec.Struct, frozen=True):
    """An account that we are the writer of."""

    connection: Any
    """Of the driver; the lock lives and dies with it."""
    epoch: int


class PostgresWriterLock:
    """Implements ``WriterLock``.

    Args:
        dsn: URL of the database.
        timeout_s: Longest time of a statement or of connecting, seconds.
        application_name: How the server lists the connections.
    """

    def __init__(self, dsn: str, *, timeout_s: float = 10.0, application_name: str = "workstation writer") -> None:
        self._dsn = dsn
        self._timeout_s = timeout_s
        self._application_name = application_name
        self._holds: dict[AccountId, _Hold] = {}
        self._one_at_a_time = asyncio.Lock()

    async def acquire(self, account: AccountId) -> int | None:
        """Become the writer; the new epoch, or ``None`` when another engine is.

        Asked again while the lock is held, it answers with the same epoch. When the connection was lost the lock is
        gone with it; asking again then competes with other engines, and gives a new epoch.

        Raises:
            StorageUnavailable, StorageTimeout: the database could not be asked.
        """
        async with self._one_at_a_time:
            hold = self._holds.get(account)
            if hold is not None:
                if not hold.connection.is_closed():
                    return hold.epoch
                del self._holds[account]
            connection = await self._connect()
            try:
                with translated_errors(connection):
                    if not await connection.fetchval(TRY_LOCK, lock_key(account), timeout=self._timeout_s):
                        await connection.close(timeout=self._timeout_s)
                        return None
                    async with connection.transaction():
                        epoch = int(await connection.fetchval(NEXT_EPOCH, account, timeout=self._timeout_s))
                        # The old writer is outlawed and its last writes are done: what it left unfinished is all there.
                        await connection.execute(COMPLETE_ALL, account, timeout=self._timeout_s)
            except BaseException:
                connection.terminate()  # a lock without an epoch is worth nothing and would keep others out
                raise
            self._holds[account] = _Hold(connection, epoch)
            return epoch

    async def keep(self, account: AccountId, epoch: int) -> bool:
        """Go on being the writer under ``epoch``: hold the lock, or take it again when its connection was lost.

        The epoch stays: while nobody else has counted it up, nobody else has written.

        Returns:
            Whether the lock is held. ``False``: another connection has it (the server has not noticed yet that our old
            one is gone, or another engine is just about to take over), and nobody has become the writer so far.

        Raises:
            WriterLost: another engine has become the writer; what is held of the account here is given up.
            StorageUnavailable, StorageTimeout: the database could not be asked.
        """
        async with self._one_at_a_time:
            hold = self._holds.get(account)
            if hold is not None:
                try:
                    with translated_errors(hold.connection):
                        newest = await hold.connection.fetchval(NEWEST_EPOCH, account, timeout=self._timeout_s)
                except StorageError:
                    hold.connection.terminate()
                    del self._holds[account]
                    raise
                if newest == epoch:
                    return True
                del self._holds[account]
                await self._end(hold)
                refuse_writer(account)
            return await self._take_again(account, epoch)

    async def _take_again(self, account: AccountId, epoch: int) -> bool:
        connection = await self._connect()
        try:
            with translated_errors(connection):
                is_free = bool(await connection.fetchval(TRY_LOCK, lock_key(account), timeout=self._timeout_s))
                # Asked after the lock: whoever had it before has counted up by now.
                newest = await connection.fetchval(NEWEST_EPOCH, account, timeout=self._timeout_s)
            if newest != epoch:
                refuse_writer(account)
        except WriterLost:
            await self._end(_Hold(connection, epoch))
            raise
        except BaseException:
            connection.terminate()  # cut off in the middle: whether it has the lock is not known
            raise
        if is_free:
            self._holds[account] = _Hold(connection, epoch)
        else:
            await self._end(_Hold(connection, epoch))
        return is_free

    async def is_held(self, account: AccountId) -> bool:
        """Whether the lock of ``account`` is held and its connection answers now."""
        async with self._one_at_a_time:
            hold = self._holds.get(account)
            if hold is None:
                return False
            try:
                with translated_errors(hold.connection):
                    await hold.connection.fetchval("SELECT 1", timeout=self._timeout_s)
            except StorageError:
                hold.connection.terminate()
                del self._holds[account]
                return False
            return True

    async def release(self, account: AccountId) -> None:
        """Stop being the writer; does nothing for an account that is not held."""
        async with self._one_at_a_time:
            hold = self._holds.pop(account, None)
            if hold is not None:
                await self._end(hold)

    async def close(self) -> None:
        """Stop being the writer of everything."""
        async with self._one_at_a_time:
            while self._holds:
                _, hold = self._holds.popitem()
                await self._end(hold)

    async def _connect(self) -> asyncpg.Connection[Row]:
        settings = connection_settings(self._application_name, statement_timeout_s=self._timeout_s)
        with translated_errors(), setup_errors():
            return await asyncpg.connect(
                self._dsn, timeout=self._timeout_s, server_settings={**settings, **KEEPALIVE_SETTINGS}
            )

    async def _end(self, hold: _Hold) -> None:
        """Close the connection, and with it the lock."""
        try:
            with translated_errors(hold.connection):
                await hold.connection.close(timeout=self._timeout_s)
        except StorageError:
            hold.connection.terminate()


def lock_key(account: AccountId) -> int:
    """The number of an account's lock: a signed 64-bit hash, so that two accounts practically never share one."""
    digest = hashlib.sha256(f"writer of {account}".encode()).digest()
    return int.from_bytes(digest[:KEY_BYTES], "big", signed=True)
