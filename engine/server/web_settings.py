"""Settings of the web door: where it listens, whom it lets in, and its bounds. All refuse what is beyond them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from engine.server.limits import Positive, PositiveNumber, SessionLimits


class WebLimits(SessionLimits, frozen=True, kw_only=True):
    """Bounds of one client at the web door, tighter than at the local one: not all who come from afar are this user."""

    topics_max: Positive = 32
    """Topics one client may follow; one more is refused."""
    tokens_max: Positive = 1000
    """Instruments whose quotes one client may follow; one more is refused."""
    calls_max: Positive = 16
    """Calls under way at once; one more is refused, cancels excepted."""
    calls_per_s: PositiveNumber = 50.0
    """Calls a second in the long run; more are refused, cancels excepted."""
    calls_burst: Positive = 200
    """Calls at once after a pause."""
    items_max: Positive = 1000
    """Items of one list in a call."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The web door of ``workstation serve``: WebSocket and HTTP on one port."""

    host: str = "127.0.0.1"
    """Where it listens. An address that other machines reach needs TLS."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8642
    """0 takes a free one."""
    tls_certificate: str = ""
    """PEM file with the certificate and those that vouch for it; empty: no TLS."""
    tls_key: str = ""
    """PEM file with its key, without a passphrase, readable by this user alone."""
    origins: tuple[str, ...] = ()
    """Web pages that may connect, as a browser names them: ``https://desk.example``. Programs name none."""
    connections_max: Positive = 64
    """Clients at once; one more is answered 503."""
    handshakes_max: Positive = 256
    """Connections that have not been let in; when one more comes the one that has waited longest is dropped."""
    open_timeout_s: PositiveNumber = 5.0
    """A client that has not finished its first request by then is dropped."""
    failed_max: Positive = 20
    """Failed attempts of one address in a window that are told why; later ones are answered 429."""
    failed_window_s: PositiveNumber = 60.0
    failed_addresses_max: Positive = 1024
    """Addresses whose failures are remembered; the longest known is forgotten first."""
    ping_s: PositiveNumber = 10.0
    """How often a client is asked whether it is there."""
    silence_s: PositiveNumber = 15.0
    """A client that does not answer for so long is closed."""
    watch_s: PositiveNumber = 1.0
    """How often the tokens of attached clients are looked at: a revoked one ends within it."""
    drain_s: PositiveNumber = 1.0
    """When told to stop: how long calls under way may take, and then how long orders on the wire are waited for. An
    order without an answer by then is in the journal, and is looked up at the next start."""
    limits: WebLimits = WebLimits()
