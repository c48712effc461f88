"""The day's login: where a person goes, the exchange of the request token, and the credentials the program holds.

No password and no one-time code ever passes here: the person logs in on the broker's own page. Invariant: neither the
token nor the secret is part of any text this module makes (``repr``, errors, log lines).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from engine.core.errors import BrokerRejected, BrokerUnavailable, InvalidInput, SessionExpired
from engine.core.identifiers import AccountId

LIVE_ROOT = "https://api.kite.trade"
LIVE_TICKER_ROOT = "wss://ws.kite.trade"
API_VERSION = "3"
_SERVER_ERROR = 500


class KiteCredentials:
    """Key and token of one logged-in account, shared by REST and tickers; a new token reaches all of them at once.

    Args:
        api_key: The application's key.
        access_token: The day's token.
    """

    def __init__(self, api_key: str, access_token: str) -> None:
        if not api_key or not access_token:
            raise InvalidInput("An API key and an access token are needed; log in first.", field="access_token")
        self._api_key = api_key
        self._access_token = access_token

    @property
    def api_key(self) -> str:
        """The application's key."""
        return self._api_key

    @property
    def access_token(self) -> str:
        """The day's token. For the wire only."""
        return self._access_token

    @property
    def authorization(self) -> str:
        """Value of the ``Authorization`` header."""
        return f"token {self._api_key}:{self._access_token}"

    def renew(self, access_token: str) -> None:
        """Take the token of a new login.

        Raises:
            InvalidInput: it is empty.
        """
        if not access_token:
            raise InvalidInput("The new access token is empty; log in again.", field="access_token")
        self._access_token = access_token

    def __repr__(self) -> str:
        return "KiteCredentials(…)"


class KiteSession(msgspec.Struct, frozen=True, kw_only=True):
    """What a login gives."""

    account_id: AccountId
    name: str
    access_token: str

    def __repr__(self) -> str:
        return f"KiteSession(account_id={self.account_id!r}, access_token=…)"


async def exchange_request_token(
    *, api_key: str, api_secret: str, request_token: str, root: str = LIVE_ROOT, timeout_s: float = 10.0
) -> KiteSession:
    """Turn the request token of a login into the day's access token, by the broker's official client.

    The client is loaded here, in a worker thread, because loading it costs half a second and fifty megabytes.

    Raises:
        SessionExpired: the request token is used up, too old or not of this key: log in again.
        BrokerRejected: the broker refused for another reason.
        BrokerUnavailable: the broker could not be reached or did not answer sensibly; the request token may be used up.
    """
    return await asyncio.to_thread(_exchange, api_key, api_secret, request_token, root, timeout_s)


def _exchange(api_key: str, api_secret: str, request_token: str, root: str, timeout_s: float) -> KiteSession:
    import requests  # noqa: PLC0415 - see exchange_request_token
    from kiteconnect import KiteConnect, exceptions  # noqa: PLC0415

    client = KiteConnect(api_key, root=root, timeout=timeout_s)
    try:
        answer: dict[str, Any] = client.generate_session(request_token, api_secret)
        return KiteSession(
            account_id=AccountId(str(answer["user_id"])),
            name=str(answer.get("user_name") or ""),
            access_token=str(answer["access_token"]),
        )
    except exceptions.TokenException as error:
        raise SessionExpired(f"{error} Log in again.", code=error.code, kind="TokenException") from None
    except (exceptions.NetworkException, exceptions.DataException) as error:
        raise BrokerUnavailable(f"The login was not answered: {error}", code=error.code) from None
    except exceptions.KiteException as error:
        if error.code >= _SERVER_ERROR:
            raise BrokerUnavailable(f"The login was not answered: {error}", code=error.code) from None
        kind = type(error).__name__
        raise BrokerRejected(f"The broker refused the login: {error}", code=error.code, kind=kind) from None
    except (requests.RequestException, KeyError, TypeError) as error:
        raise BrokerUnavailable(f"The login was not answered: {type(error).__name__}.") from None
    finally:
        client.reqsession.close()
