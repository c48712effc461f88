"""Where an engine can be reached: its Unix socket on this machine, or a WebSocket URL with a token."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import ssl
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from engine.core.errors import EngineGone, Forbidden, InvalidInput, Unauthorized
from engine.server import protocol

logger = logging.getLogger(__name__)

PINGS_PER_SILENCE = 2
PATH = "/v1"
LOCALHOST = "localhost"
UNAUTHORIZED, FORBIDDEN = 401, 403


class Endpoint(Protocol):
    """A place to connect to, again and again."""

    @property
    def name(self) -> str:
        """How a person calls it."""
        ...

    async def connect(self) -> ClientConnection:
        """Open a connection.

        Raises:
            EngineGone: nobody answers there, or it would not let anybody in now.
            Unauthorized: it does not take this token.
            Forbidden: it does not let this program in.
        """
        ...


def _options(timeout_s: float, silence_s: float) -> dict[str, Any]:
    return {
        "max_size": protocol.ANSWER_BYTES_MAX,
        "compression": None,
        "open_timeout": timeout_s,
        "close_timeout": protocol.CLOSE_TIMEOUT_S,
        "ping_interval": silence_s / PINGS_PER_SILENCE,
        # Both waits together are the promise: an old picture must not look alive for longer.
        "ping_timeout": silence_s - silence_s / PINGS_PER_SILENCE,
        "logger": logger.getChild("websockets"),
    }


class SocketEndpoint:
    """A Unix socket.

    Args:
        path: The socket.
        timeout_s: Longest wait for an answer.
        silence_s: An engine that does not even answer a ping for so long is taken as lost.
    """

    def __init__(self, path: Path, *, timeout_s: float, silence_s: float) -> None:
        self._path = path
        self._options = _options(timeout_s, silence_s)

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    async def connect(self) -> ClientConnection:
        """See ``Endpoint``."""
        try:
            return await unix_connect(self.name, **self._options)
        except (OSError, EOFError, InvalidHandshake) as error:
            raise EngineGone(f"No engine answers at {self.name}: {error}.") from error


class UrlEndpoint:
    """A WebSocket URL.

    Args:
        url: ``ws://127.0.0.1:8642`` or ``wss://host:port``; the path may be left out. Without TLS only this machine is
            reached: the token would be readable on the way to another one.
        token: Sent in the header of the handshake, never in the URL.
        tls: Whom to trust; ``None``: the system's certificates.
        timeout_s: Longest wait for an answer.
        silence_s: As for a socket.

    Raises:
        InvalidInput: the URL is not one that can be used, or there is no token.
    """

    def __init__(self, url: str, *, token: str, tls: ssl.SSLContext | None, timeout_s: float, silence_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"ws", "wss"} or not parts.hostname:
            raise InvalidInput(f'"{url}" is not a URL such as ws://127.0.0.1:8642 or wss://host:port.', field="url")
        if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
            raise InvalidInput("The URL takes no query and no password; the token has its own place.", field="url")
        if parts.scheme == "ws" and not _is_this_machine(parts.hostname):
            raise InvalidInput(
                f"ws:// to {parts.hostname} would show the token to everybody on the way; use wss://, or an SSH tunnel "
                "and ws://127.0.0.1.",
                field="url",
            )
        if not token:
            raise InvalidInput(
                "There is no token. `workstation token create` on the engine's machine makes one; give it by "
                "WORKSTATION_TOKEN or --token-file.",
                field="token",
            )
        self._name = parts._replace(path=parts.path.rstrip("/") or PATH).geturl()
        self._token = token
        self._options = _options(timeout_s, silence_s)
        if parts.scheme == "wss":
            self._options["ssl"] = tls or ssl.create_default_context()

    @property
    def name(self) -> str:
        """The URL."""
        return self._name

    async def connect(self) -> ClientConnection:
        """See ``Endpoint``."""
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            # A redirection would carry the token to somebody else.
            return await connect(self._name, additional_headers=headers, proxy=None, **self._options)
        except InvalidStatus as error:
            words = _words(error)
            match error.response.status_code:
                case code if code == UNAUTHORIZED:
                    raise Unauthorized(f"{self._name}: {words}", reason="refused at the handshake") from error
                case code if code == FORBIDDEN:
                    raise Forbidden(f"{self._name}: {words}") from error
            raise EngineGone(f"{self._name}: {words}") from error
        except (OSError, EOFError, InvalidHandshake, InvalidURI) as error:
            raise EngineGone(f"No engine answers at {self._name}: {error}.") from error


def _is_this_machine(host: str) -> bool:
    if host == LOCALHOST:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Refusal(msgspec.Struct):
    """What a door says when it does not let somebody in."""

    detail: str


def _words(error: InvalidStatus) -> str:
    """The door's own sentence, or the status."""
    with contextlib.suppress(msgspec.DecodeError, TypeError):
        return msgspec.json.decode(error.response.body or b"", type=_Refusal).detail
    return f"it answered with status {error.response.status_code}."
