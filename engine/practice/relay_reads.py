"""What a relay reads from its upstream over HTTP: instruments, quotes, candles.

Invariant: it only ever sends GET. No order can leave through it, because it has no way to send one. The upstream's
limits are kept by waiting; a request that would wait for long is refused instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from engine.practice.limits import TooMany
from engine.practice.wire import ErrorType, KiteError

_VERSION = {"X-Kite-Version": "3"}
_LONGEST_WAIT_SECONDS = 3.0
_QUOTE_PACE, _CANDLE_PACE, _OTHER_PACE = 1.0, 1.0 / 3.0, 0.1
_FORBIDDEN = 403


class UpstreamError(RuntimeError):
    """The upstream does not answer, or not what was asked for; the message is for people."""


class UpstreamRefused(UpstreamError):
    """The upstream does not take the key or the token."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to pass on."""

    status: int
    body: bytes
    content_type: str


class _Pace:
    """Lets requests through one at a time, so many seconds apart."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._free_at = 0.0

    async def turn(self) -> None:
        loop = asyncio.get_running_loop()
        begin = max(self._free_at, loop.time())
        if begin - loop.time() > _LONGEST_WAIT_SECONDS:
            raise TooMany
        self._free_at = begin + self._seconds
        await asyncio.sleep(begin - loop.time())


class UpstreamReads:
    """Reads over one HTTP session, which is used and not closed.

    Args:
        http: The session.
        root: Root of the upstream's REST interface.
        api_key: API key.
        token: Access token.
    """

    def __init__(self, http: aiohttp.ClientSession, root: str, api_key: str, token: str) -> None:
        self._http = http
        self._root = root.rstrip("/")
        self._headers = {"Authorization": f"token {api_key}:{token}", **_VERSION}
        self._quotes, self._candles, self._others = _Pace(_QUOTE_PACE), _Pace(_CANDLE_PACE), _Pace(_OTHER_PACE)

    async def instruments(self) -> bytes:
        """Return the dump of all exchanges as CSV.

        Raises:
            UpstreamError: It cannot be had.
        """
        await self._others.turn()
        answer = await self._get("/instruments", ())
        if not answer.body.startswith(b"instrument_token,"):
            raise UpstreamError(f"{self._root}/instruments does not serve a list of instruments")
        return answer.body

    async def pass_on(self, path: str, query: Sequence[tuple[str, str]]) -> Answer:
        """Return the upstream's own answer to a read.

        Raises:
            KiteError: HTTP 429 beyond the upstream's limits, 503 when it does not answer.
        """
        pace = self._quotes if path.startswith("/quote") else self._candles
        await pace.turn()
        try:
            return await self._get(path, query)
        except UpstreamError as error:
            raise KiteError(503, ErrorType.NETWORK, str(error)) from error

    async def previous_closes(self, names: Sequence[str]) -> dict[str, float]:
        """Return the previous close (rupees) of instruments named ``EXCHANGE:SYMBOL``; unknown ones are missing.

        Raises:
            UpstreamError: They cannot be had.
        """
        await self._quotes.turn()
        rows = await self._data("/quote/ohlc", [("i", name) for name in names])
        return {name: float(row["ohlc"]["close"]) for name, row in rows.items()}

    async def day_close(self, token: int, day: str) -> float | None:
        """Return what an instrument closed at on a day (rupees), or None.

        Raises:
            UpstreamError: It cannot be had.
        """
        await self._candles.turn()
        query = [("from", f"{day} 00:00:00"), ("to", f"{day} 23:59:59")]
        data = await self._data(f"/instruments/historical/{token}/day", query)
        candles = data.get("candles") or []
        return float(candles[-1][4]) if candles else None

    async def practice_time(self) -> tuple[float, float] | None:
        """Return (market time, speed) when the upstream is a practice exchange, else None."""
        try:
            data = await self._data("/practice/status", ())
            return float(data["market_epoch"]), float(data["speed"])
        except (UpstreamError, KeyError, TypeError, ValueError):
            return None

    async def _data(self, path: str, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        answer = await self._get(path, query)
        try:
            body: Mapping[str, Any] = msgspec.json.decode(answer.body)
            data = body["data"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise UpstreamError(f"{self._root}{path} answers something else than expected") from error
        if not isinstance(data, dict):
            raise UpstreamError(f"{self._root}{path}: {body.get('message', 'no data')}")
        return data

    async def _get(self, path: str, query: Sequence[tuple[str, str]]) -> Answer:
        try:
            async with self._http.get(f"{self._root}{path}", params=list(query), headers=self._headers) as response:
                body = await response.read()
                if response.status == _FORBIDDEN:
                    raise UpstreamRefused(f"{self._root} does not take this key and token; log in anew")
                return Answer(response.status, body, response.content_type)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UpstreamError(f"{self._root} does not answer ({type(error).__name__})") from error
