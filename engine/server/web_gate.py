"""Who is let in at the web door, decided before anything is accepted. A refusal is what the standards say.

The order is: host (a page that rebinds its name to this machine), path, method, address line (a token has no business
there), origin (a page of somebody else), upgrade, token. The answer never says which check of a token failed, and no
token, address line or header is ever part of an answer or of a log.
"""

from __future__ import annotations

import ipaddress
from http import HTTPStatus
from typing import Protocol

from websockets.datastructures import Headers
from websockets.http11 import Request

from engine.core.errors import Unauthorized
from engine.server.access import Grant
from engine.server.audit import AuditKind
from engine.server.metrics import RefusalWord

RPC_PATH = "/v1"
HEALTH_PATH = "/health"
READY_PATH = "/ready"
METRICS_PATH = "/metrics"
PATHS = frozenset({RPC_PATH, HEALTH_PATH, READY_PATH, METRICS_PATH})
GET = "GET"
LOCALHOST = "localhost"
BEARER = "bearer"
REALM = 'Bearer realm="workstation"'
INVALID_TOKEN = f'{REALM}, error="invalid_token"'
WEBSOCKET = "websocket"
WEBSOCKET_VERSION = "13"
NOTE_LENGTH_MAX = 200
MISSING_WORDS = (
    "A token of this engine is needed in the header: Authorization: Bearer TOKEN. Whoever runs the engine makes one "
    "with: workstation token create."
)


class TurnedAway(Exception):
    """An answer other than being let in."""

    def __init__(
        self,
        status: HTTPStatus,
        word: RefusalWord,
        detail: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        audit: AuditKind | None = None,
        note: str = "",
    ) -> None:
        """Keep what to answer.

        Args:
            status: Of the answer.
            word: What is counted.
            detail: A sentence for whoever asked.
            headers: Of the answer, beside the usual ones.
            audit: The kind of audit line; ``None``: a mistake, nothing that anybody must know about. What is audited
                is a failed attempt.
            note: For the audit log alone.
        """
        super().__init__(detail)
        self.status = status
        self.word = word
        self.detail = detail
        self.headers = headers
        self.audit = audit
        self.note = note


class Tokens(Protocol):
    """What the door needs of the book of tokens."""

    def verify(self, token: str) -> Grant:
        """Whose token this is.

        Raises:
            Unauthorized: it opens nothing; the reason is for the audit log alone.
        """
        ...

    def is_revoked(self, token_id: str) -> bool:
        """Whether a token that was good has been revoked since."""
        ...


class Gate:
    """The checks. Keeps nothing of who came."""

    def __init__(self, tokens: Tokens, *, origins: frozenset[str], loopback_host: str | None) -> None:
        """Check against these.

        Args:
            tokens: The book of tokens.
            origins: Web pages that may connect.
            loopback_host: The host that was configured when the door listens on loopback, where a Host header must name
                this machine; ``None`` on a wider bind, where the certificate does that.
        """
        self._tokens = tokens
        self._origins = origins
        self._loopback_host = loopback_host

    def check_host(self, request: Request) -> None:
        """Refuse a Host that is not this machine: a page whose name was pointed here after it was loaded.

        Raises:
            TurnedAway: 400 without exactly one Host, 421 when it is another's.
        """
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1:
            raise TurnedAway(HTTPStatus.BAD_REQUEST, RefusalWord.BAD_REQUEST, "A request names exactly one Host.")
        if self._loopback_host is None or self._is_this_machine(hosts[0]):
            return
        raise TurnedAway(
            HTTPStatus.MISDIRECTED_REQUEST,
            RefusalWord.HOST,
            "This door is for this machine alone; call it localhost or 127.0.0.1.",
            audit=AuditKind.ORIGIN_REFUSED,
            note=f"host {hosts[0][:NOTE_LENGTH_MAX]}",
        )

    def _is_this_machine(self, host: str) -> bool:
        name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        if name.lower() in {LOCALHOST, self._loopback_host}:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def path_of(self, request: Request) -> str:
        """The path that is asked for.

        Raises:
            TurnedAway: 404 for one that there is not, 405 for another method, 400 for words behind the path of one
                that needs a token.
        """
        path, mark, _ = request.path.partition("?")
        if path not in PATHS:
            words = f"There are {RPC_PATH} (WebSocket), {HEALTH_PATH}, {READY_PATH} and {METRICS_PATH}."
            raise TurnedAway(HTTPStatus.NOT_FOUND, RefusalWord.NOT_FOUND, words)
        if request.method != GET:
            raise TurnedAway(HTTPStatus.METHOD_NOT_ALLOWED, RefusalWord.METHOD, "Use GET.", headers=(("Allow", GET),))
        if mark and path in {RPC_PATH, METRICS_PATH}:
            raise TurnedAway(
                HTTPStatus.BAD_REQUEST,
                RefusalWord.TOKEN_IN_ADDRESS,
                "The address takes no parameters. A token never goes into an address, where logs and histories keep "
                "it; if yours was there, revoke it. Send it in the header: Authorization: Bearer TOKEN.",
                audit=AuditKind.UNAUTHORIZED,
                note="parameters in the address, where a token must not be",
            )
        return path

    def check_origin(self, request: Request) -> None:
        """Refuse a browser's page that is not on the white list. A program sends no Origin.

        Raises:
            TurnedAway: 403.
        """
        origins = request.headers.get_all("Origin")
        if not origins or (len(origins) == 1 and origins[0] in self._origins):
            return
        raise TurnedAway(
            HTTPStatus.FORBIDDEN,
            RefusalWord.ORIGIN,
            "Pages of this origin may not connect; the engine's owner lists those that may in [server] origins.",
            audit=AuditKind.ORIGIN_REFUSED,
            note=f"origin {origins[0][:NOTE_LENGTH_MAX]}",
        )

    def check_upgrade(self, request: Request) -> None:
        """Refuse what does not ask for a WebSocket of the version that there is.

        Raises:
            TurnedAway: 426.
        """
        words = [word.strip().lower() for value in request.headers.get_all("Upgrade") for word in value.split(",")]
        versions = request.headers.get_all("Sec-WebSocket-Version")
        if words == [WEBSOCKET] and versions in ([], [WEBSOCKET_VERSION]):
            return
        raise TurnedAway(
            HTTPStatus.UPGRADE_REQUIRED,
            RefusalWord.NO_UPGRADE,
            f"{RPC_PATH} speaks WebSocket version {WEBSOCKET_VERSION}; use a WebSocket client.",
            headers=(("Upgrade", WEBSOCKET), ("Sec-WebSocket-Version", WEBSOCKET_VERSION)),
        )

    def grant_of(self, headers: Headers) -> Grant:
        """Whose token the request carries.

        Raises:
            TurnedAway: 401, in the same words whatever is wrong with a token.
        """
        values = headers.get_all("Authorization")
        if not values:
            raise _unauthorized(MISSING_WORDS, REALM, "no token")
        scheme, _, token = values[0].partition(" ")
        if len(values) != 1 or scheme.lower() != BEARER or not token:
            raise _unauthorized(MISSING_WORDS, REALM, "an Authorization header of another kind")
        try:
            return self._tokens.verify(token.strip(" "))
        except Unauthorized as error:
            raise _unauthorized(str(error), INVALID_TOKEN, error.reason) from None


def _unauthorized(words: str, challenge: str, reason: str) -> TurnedAway:
    return TurnedAway(
        HTTPStatus.UNAUTHORIZED,
        RefusalWord.UNAUTHORIZED,
        words,
        headers=(("WWW-Authenticate", challenge),),
        audit=AuditKind.UNAUTHORIZED,
        note=reason,
    )
