"""The desk's PostgreSQL from outside: locks that stop a write at a moment, and the server's own kill.

A lock held here makes the engine wait with exactly the write that the lock is for, so a kill can be aimed at it
without a hook in the engine. Whatever the dead engine's connection still had under way is let go or ended, by choice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg

PID_FILE = "postmaster.pid"
USER = "workstation"
MAINTENANCE = "postgres"
LOOK_S = 0.004
CONNECT_S = 20.0
STATEMENT_S = 10.0
_BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
_END_WAITERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
_DESKS = "SELECT datname FROM pg_database WHERE datname LIKE 'desk%'"
_WAITING = """
SELECT number, tag FROM orders WHERE account_id = $1 AND state = 'QUEUED' ORDER BY number DESC LIMIT 1
FOR UPDATE SKIP LOCKED
"""
_BY_TAG = "SELECT number, state FROM orders WHERE account_id = $1 AND tag = $2 FOR UPDATE"
_MADE = "SELECT tag FROM orders WHERE intent_id IS NOT NULL"
_IS_BOOKED = "SELECT EXISTS (SELECT FROM trades WHERE account_id = $1 AND broker_order_id = $2 AND trade_id = $3)"
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
"""What talking to a server that is being killed may end in."""


class Server:
    """The private server in a data folder.

    Args:
        folder: The program's data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def process(self) -> tuple[int, str]:
        """Its process id and the folder of its socket.

        Raises:
            OSError: it does not run.
        """
        lines = next(iter(self._folder.glob(f"postgres/*/{PID_FILE}")), self._folder / PID_FILE).read_text().split("\n")
        try:
            return int(lines[0]), lines[4].strip()
        except (ValueError, IndexError) as error:
            raise FileNotFoundError(f"{PID_FILE} is only being written") from error

    def kill(self) -> None:
        """``kill -9`` of the server; its other processes end with it."""
        os.kill(self.process()[0], signal.SIGKILL)

    async def connect(self) -> asyncpg.Connection[Any]:
        """A connection to the desk's database, as soon as the server takes one.

        Raises:
            TimeoutError: it does not.
        """
        deadline = time.monotonic() + CONNECT_S
        while True:
            try:
                _, host = self.process()
                found = await asyncpg.connect(host=host, user=USER, database=MAINTENANCE, timeout=CONNECT_S)
                try:
                    name = await found.fetchval(_DESKS)
                finally:
                    await found.close()
                return await asyncpg.connect(
                    host=host, user=USER, database=name, timeout=CONNECT_S, command_timeout=STATEMENT_S
                )
            except LOST as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no database within {CONNECT_S:g} s: {error}") from error
                await asyncio.sleep(10 * LOOK_S)


class Hold:
    """A transaction that holds a lock: ``async with Hold(server) as hold``; leaving lets go.

    Args:
        server: The server.
        end_waiters: Whether connections that wait for the lock are ended before it is let go; otherwise their
            statements run on, whoever asked for them being dead by then.
    """

    def __init__(self, server: Server, *, end_waiters: bool) -> None:
        self._server = server
        self._end_waiters = end_waiters
        self._connection: asyncpg.Connection[Any]
        self._observer: asyncpg.Connection[Any]
        self._own = 0

    async def __aenter__(self) -> Self:
        self._connection = await self._server.connect()
        self._observer = await self._server.connect()
        self._own = self._connection.get_server_pid()
        await self._connection.execute("BEGIN")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._end_waiters:
                await self._observer.execute(_END_WAITERS, self._own)
            await self._connection.execute("ROLLBACK")
        except LOST:
            pass  # the server has been killed, and the lock with it
        finally:
            self._connection.terminate()
            self._observer.terminate()

    async def waiting_order(self, account: str, seconds: float) -> tuple[int, str] | None:
        """Lock the newest order that is journalled and waits to be sent: its number and tag."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            row = await self._connection.fetchrow(_WAITING, account)
            if row is not None:
                return int(row["number"]), str(row["tag"])
            await asyncio.sleep(LOOK_S)
        return None

    async def order_of(self, account: str, tag: str) -> str | None:
        """Lock the order of a tag: its state."""
        row = await self._connection.fetchrow(_BY_TAG, account, tag)
        return None if row is None else str(row["state"])

    async def orders_made(self) -> set[str]:
        """Tags of all orders that were made here, of all accounts."""
        return {str(row["tag"]) for row in await self._observer.fetch(_MADE)}

    async def new_orders(self) -> None:
        """Let no new order be journalled."""
        await self._connection.execute("LOCK TABLE order_intents IN SHARE MODE")

    async def let_go(self) -> None:
        """End the lock now; what waited for it goes on, whoever asked for it being dead by then."""
        await self._connection.execute("ROLLBACK")

    async def ledger(self) -> None:
        """Let no fill be booked."""
        await self._connection.execute("LOCK TABLE trades IN SHARE MODE")

    async def is_booked(self, account: str, order_id: str, trade_id: str) -> bool:
        """Whether a fill is in the ledger."""
        return bool(await self._connection.fetchval(_IS_BOOKED, account, order_id, trade_id))

    async def is_waited_for(self, seconds: float) -> bool:
        """Wait until somebody's write waits for the lock."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if await self._observer.fetchval(_BLOCKED, self._own):
                return True
            await asyncio.sleep(LOOK_S)
        return False
