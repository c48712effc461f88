"""Who may talk to the exchange: the fixed practice credentials, and tokens from the login flow.

Invariant: a request token works once and for a few minutes; an access token works until it is deleted or the
process ends, and the fixed one always.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from engine.practice.changes import ACCOUNT
from engine.practice.settings import ServiceSettings
from engine.practice.wire import ErrorType, KiteError

API_KEY = "practice"
FIXED_TOKEN = "practice"  # noqa: S105 - the public credential of a loopback-only simulation
_SECRET = "practice"  # noqa: S105 - as above
_TOKEN_BYTES = 16


def token_error() -> KiteError:
    """Return the refusal of wrong or expired credentials."""
    return KiteError(403, ErrorType.TOKEN, "Incorrect `api_key` or `access_token`.")


class Accounts:
    """Credentials and the profile of the one account.

    Args:
        settings: Lifetimes and bounds.
        wall: Monotonic clock in seconds.
    """

    def __init__(self, settings: ServiceSettings, wall: Callable[[], float]) -> None:
        self._settings = settings
        self._wall = wall
        self._requests: OrderedDict[str, float] = OrderedDict()
        self._tokens: OrderedDict[str, None] = OrderedDict()

    def authorise(self, header: str | None) -> str:
        """Check an ``Authorization`` header and return its key.

        Raises:
            KiteError: HTTP 403, the broker's words.
        """
        scheme, _, credentials = (header or "").partition(" ")
        api_key, _, token = credentials.partition(":")
        if scheme != "token" or not self.is_valid(api_key, token):
            raise token_error()
        return api_key

    def is_valid(self, api_key: str, token: str) -> bool:
        """Tell whether a key and a token belong together."""
        return api_key == API_KEY and (token == FIXED_TOKEN or token in self._tokens)

    def new_request_token(self) -> str:
        """Return a request token, as the login page hands it to the redirect address."""
        token = secrets.token_hex(_TOKEN_BYTES)
        self._requests[token] = self._wall() + self._settings.request_token_seconds
        while len(self._requests) > self._settings.max_request_tokens:
            self._requests.popitem(last=False)
        return token

    def exchange_token(self, api_key: str, request_token: str, checksum: str) -> str:
        """Turn a request token into an access token.

        Raises:
            KiteError: HTTP 403: wrong key, unknown, used or expired request token, or wrong checksum.
        """
        expected = hashlib.sha256(f"{api_key}{request_token}{_SECRET}".encode()).hexdigest()
        if api_key != API_KEY:
            raise KiteError(403, ErrorType.TOKEN, "Invalid `api_key`.")
        if not hmac.compare_digest(expected, checksum):
            raise KiteError(403, ErrorType.TOKEN, "Invalid `checksum`.")
        if self._requests.pop(request_token, -1.0) < self._wall():
            raise KiteError(403, ErrorType.TOKEN, "Token is invalid or has expired.")
        token = secrets.token_hex(_TOKEN_BYTES)
        self._tokens[token] = None
        while len(self._tokens) > self._settings.max_request_tokens:
            self._tokens.popitem(last=False)
        return token

    def delete_token(self, api_key: str, token: str) -> None:
        """End a session (the fixed credentials stay valid).

        Raises:
            KiteError: HTTP 403: no such session.
        """
        if not self.is_valid(api_key, token):
            raise token_error()
        self._tokens.pop(token, None)


def profile() -> dict[str, Any]:
    """Return ``GET /user/profile``."""
    return {
        "user_id": ACCOUNT,
        "user_type": "individual",
        "email": "practice@localhost",
        "user_name": "Practice Account",
        "user_shortname": "Practice",
        "broker": "ZERODHA",
        "exchanges": ["NSE", "BSE", "NFO", "BFO"],
        "products": ["NRML", "MIS"],
        "order_types": ["MARKET", "LIMIT", "SL"],
        "avatar_url": None,
        "meta": {"demat_consent": "consent"},
    }


def session_data(token: str, login_time: str) -> dict[str, Any]:
    """Return ``POST /session/token``."""
    data = profile()
    data |= {
        "api_key": API_KEY,
        "access_token": token,
        "public_token": "",
        "enctoken": "",
        "refresh_token": "",
        "silo": "",
        "login_time": login_time,
    }
    return data
