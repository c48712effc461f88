"""The engine's local socket as any other program sees it: JSON-RPC 2.0 in text frames over a Unix socket."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

CALL_S = 30.0
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


class DoorClosed(ConnectionError):
    """The engine is gone; what was asked may have been done."""


class DoorRefused(RuntimeError):
    """The engine answered with an error; ``kind`` names it."""

    def __init__(self, message: str, kind: str) -> None:
        """Keep the kind beside the words."""
        super().__init__(message)
        self.kind = kind


class Door:
    """One connection. ``async with Door(path) as door``.

    Args:
        path: The socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            DoorClosed: nobody listens there.
        """
        try:
            self._connection = await unix_connect(str(self._path), max_size=MESSAGE_BYTES_MAX, compression=None)
        except (OSError, EOFError, InvalidHandshake) as error:
            raise DoorClosed(f"no engine at {self._path}: {error}") from error
        self._reader = asyncio.ensure_future(self._read(self._connection))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()
        if self._reader is not None:
            await self._reader

    @property
    def is_open(self) -> bool:
        """Whether the engine is still there."""
        return self._reader is not None and not self._reader.done()

    async def closed(self) -> None:
        """Wait until the engine has gone."""
        if self._reader is not None:
            await asyncio.shield(self._reader)

    async def call(self, method: str, **parameters: Any) -> Any:
        """Call a method and wait for its result.

        Raises:
            DoorClosed: the connection ended first, or no answer came in time.
            DoorRefused: the engine answered with an error.
        """
        if self._connection is None or not self.is_open:
            raise DoorClosed("the connection is closed")
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._connection.send(
                json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters})
            )
            return await asyncio.wait_for(answer, CALL_S)
        except (ConnectionClosed, TimeoutError) as error:
            raise DoorClosed(f"{method}: {type(error).__name__}") from error
        finally:
            self._waiting.pop(number, None)

    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for message in connection:
                self._take(json.loads(message))
        except ConnectionClosed:
            pass
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(DoorClosed("the engine is gone"))

    def _take(self, message: dict[str, Any]) -> None:
        identifier = message.get("id")
        answer = self._waiting.get(identifier) if isinstance(identifier, int) else None
        if answer is None or answer.done():
            return
        error = message.get("error")
        if error is not None:
            kind = (error.get("data") or {}).get("kind", str(error.get("code")))
            answer.set_exception(DoorRefused(str(error.get("message")), kind))
        else:
            answer.set_result(message.get("result"))
