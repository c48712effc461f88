"""A listening socket that bounds how many connections have not shown yet that they belong here.

Overload policy: when one more comes, the one that has waited longest is dropped. An honest handshake takes
milliseconds, so what is dropped is one that was opened to be held. This holds below TLS and HTTP, for connections that
never send a byte too.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from engine.core.errors import SetupError


class WebListener(socket.socket):
    """Bound and listening. ``admitted`` takes a connection out of the count; one that ends leaves it by itself."""

    waiting_max: int
    on_dropped: Callable[[], None] | None
    """Told of each that was dropped."""
    _waiting: dict[int, socket.socket]
    """By descriptor, oldest first."""

    @classmethod
    def bound(
        cls,
        host: str,
        port: int,
        *,
        backlog: int,
        waiting_max: int,
        allow: Callable[[str], None],
    ) -> WebListener:
        """Listen.

        Args:
            host: A name or an address of this machine; the first address of a name is taken.
            port: 0 takes a free one.
            backlog: Connections that the kernel keeps before they are looked at.
            waiting_max: Connections that have not been admitted yet.
            allow: Asked with the address before anything listens there; raises to forbid it.

        Raises:
            SetupError: the port is taken, the host is not one of this machine, or ``allow`` forbids it.
        """
        try:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            raise SetupError(f'[server] host: "{host}" is no address of this machine ({error}).') from error
        family, kind, protocol, _, address = found[0]
        allow(str(address[0]))
        listener = cls(family, kind, protocol)
        listener.waiting_max = waiting_max
        listener.on_dropped = None
        listener._waiting = {}
        try:
            # A port whose last connections are still fading away is free; one that somebody listens at is not.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(backlog)
        except (OSError, OverflowError) as error:
            listener.close()
            why = error.strerror if isinstance(error, OSError) else "ports lie between 0 and 65535"
            raise SetupError(
                f"The web door cannot listen at {host} port {port}: {why}. Another engine may be there; stop it, or "
                "choose another port with --port (0 takes a free one)."
            ) from error
        listener.setblocking(False)
        return listener

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: a number and a port."""
        name = self.getsockname()
        return str(name[0]), int(name[1])

    @property
    def waiting(self) -> int:
        """Connections that have not been admitted and have not ended."""
        self._forget_ended()
        return len(self._waiting)

    def accept(self) -> tuple[socket.socket, Any]:
        """Take a connection, and drop the one that has waited longest when there are too many."""
        connected, address = super().accept()
        self._forget_ended()
        while len(self._waiting) >= self.waiting_max:
            descriptor = next(iter(self._waiting))
            _hang_up(self._waiting.pop(descriptor))
            if self.on_dropped is not None:
                self.on_dropped()
        self._waiting[connected.fileno()] = connected
        return connected, address

    def admitted(self, descriptor: int) -> None:
        """A connection has shown that it belongs here."""
        self._waiting.pop(descriptor, None)

    def drop_waiting(self) -> None:
        """Hang up on all that have not been admitted."""
        for connected in self._waiting.values():
            _hang_up(connected)
        self._waiting.clear()

    def _forget_ended(self) -> None:
        for descriptor in [number for number, connected in self._waiting.items() if connected.fileno() != number]:
            del self._waiting[descriptor]


def _hang_up(connected: socket.socket) -> None:
    """End a connection whose socket the event loop owns: it sees the end and lets go of it."""
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
