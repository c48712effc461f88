"""Who may talk to the exchange: the fixed practice credentials of every account, and tokens from the login flow.

Invariant: a request token works once and for a few minutes; an access token works until it is deleted, every token
expires, or the process ends. The fixed tokens work until they expire, and again after the next login.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.practice.changes import ACCOUNT
from engine.practice.settings import ServiceSettings
from engine.practice.wire import ErrorType, KiteError

API_KEY = "practice"
FIXED_TOKEN = "practice"  # noqa: S105 - the public credential of a loopback-only simulation
_TOKEN_BYTES = 16
_USER_PREFIX = "PR"


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account's public credentials; key, fixed token and secret are the same word.

    Attributes:
        seat: Number of the account in its venue, from 0.
        user_id: The broker's user id.
        api_key: Key, fixed access token and secret.
    """

    seat: int
    user_id: str
    api_key: str

    @property
    def name(self) -> str:
        """The account holder."""
        return "Practice Account" if self.seat == 0 else f"Practice Account {self.seat + 1}"


FIRST = AccountRow(0, ACCOUNT, API_KEY)


def account_rows(count: int) -> list[AccountRow]:
    """Return the accounts of a venue: ``practice``, ``practice2``, ``practice3`` and so on."""
    return [account_row(seat) for seat in range(count)]


def account_row(seat: int) -> AccountRow:
    """Return the account of a number."""
    return AccountRow(seat, f"{_USER_PREFIX}{seat + 1:04d}", f"{API_KEY}{seat + 1}") if seat else FIRST


def key_of(user_id: str) -> str:
    """Return the key of a user id of this exchange."""
    return account_row(int(user_id.removeprefix(_USER_PREFIX)) - 1).api_key


def token_error() -> KiteError:
    """Return the refusal of wrong or expired credentials."""
    return KiteError(403, ErrorType.TOKEN, "Incorrect `api_key` or `access_token`.")


class Accounts:
    """Credentials of the venue's accounts.

    Args:
        settings: Lifetimes and bounds.
        wall: Monotonic clock in seconds.
        rows: The accounts.
    """

    def __init__(
        self, settings: ServiceSettings, wall: Callable[[], float], rows: Sequence[AccountRow] = (FIRST,)
    ) -> None:
        self._settings = settings
        self._wall = wall
        self._rows = {row.api_key: row for row in rows}
        self._requests: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._tokens: OrderedDict[str, str] = OrderedDict()
        self._expired: set[str] = set()

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
        """Tell whether a key and a token belong together and the token is alive."""
        if api_key not in self._rows:
            return False
        return (token == api_key and api_key not in self._expired) or self._tokens.get(token) == api_key

    def row(self, api_key: str) -> AccountRow | None:
        """Return the account of a key."""
        return self._rows.get(api_key)

    def claimed(self, header: str | None) -> str:
        """Return the user id that a header claims to be, unchecked; empty when it names no account."""
        api_key, _, _ = (header or "").partition(" ")[2].partition(":")
        row = self._rows.get(api_key)
        return row.user_id if row is not None else ""

    def expire(self, user_id: str = "") -> None:
        """Let every token die (of one account, when it is named)."""
        keys = {row.api_key for row in self._rows.values() if user_id in {"", row.user_id}}
        self._expired |= keys
        for token in [token for token, key in self._tokens.items() if key in keys]:
            del self._tokens[token]

    def revive(self) -> None:
        """Let the fixed tokens work again."""
        self._expired.clear()

    def new_request_token(self, api_key: str = API_KEY) -> str:
        """Return a request token, as the login page hands it to the redirect address."""
        token = secrets.token_hex(_TOKEN_BYTES)
        self._requests[token] = (api_key, self._wall() + self._settings.request_token_seconds)
        while len(self._requests) > self._settings.max_request_tokens:
            self._requests.popitem(last=False)
        return token

    def exchange_token(self, api_key: str, request_token: str, checksum: str) -> str:
        """Turn a request token into an access token.

        Raises:
            KiteError: HTTP 403: wrong key, unknown, used or expired request token, or wrong checksum.
        """
        if api_key not in self._rows:
            raise KiteError(403, ErrorType.TOKEN, "Invalid `api_key`.")
        # An account's secret is its key: public, because nothing but the simulation stands behind it.
        expected = hashlib.sha256(f"{api_key}{request_token}{api_key}".encode()).hexdigest()
        if not hmac.compare_digest(expected, checksum):
            raise KiteError(403, ErrorType.TOKEN, "Invalid `checksum`.")
        owner, until = self._requests.pop(request_token, ("", -1.0))
        if owner != api_key or until < self._wall():
            raise KiteError(403, ErrorType.TOKEN, "Token is invalid or has expired.")
        token = secrets.token_hex(_TOKEN_BYTES)
        self._tokens[token] = api_key
        self._expired.discard(api_key)
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


def profile(row: AccountRow = FIRST) -> dict[str, Any]:
    """Return ``GET /user/profile``."""
    return {
        "user_id": row.user_id,
        "user_type": "individual",
        "email": f"{row.api_key}@localhost",
        "user_name": row.name,
        "user_shortname": "Practice",
        "broker": "ZERODHA",
        "exchanges": ["NSE", "BSE", "NFO", "BFO"],
        "products": ["NRML", "MIS"],
        "order_types": ["MARKET", "LIMIT", "SL"],
        "avatar_url": None,
        "meta": {"demat_consent": "consent"},
    }


def session_data(token: str, login_time: str, row: AccountRow = FIRST) -> dict[str, Any]:
    """Return ``POST /session/token``."""
    data = profile(row)
    data |= {
        "api_key": row.api_key,
        "access_token": token,
        "public_token": "",
        "enctoken": "",
        "refresh_token": "",
        "silo": "",
        "login_time": login_time,
    }
    return data
