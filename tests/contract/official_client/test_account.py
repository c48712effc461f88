"""Login, session, profile, funds."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from typing import Any

import pytest

from tests.contract.official_client.conftest import Build
from tests.contract.official_client.driven import drives
from tests.contract.official_client.shapes import AVAILABLE, PROFILE, SEGMENT, SESSION, UTILISED, has
from tests.kit.practice_process import PracticeProcess

SECRET = "practice"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def request_token(client: Any, exchange: PracticeProcess) -> str:
    """Visit the address that the client gives, at the exchange, and return the token that a browser would bring."""
    query = urllib.parse.urlsplit(client.login_url()).query
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.build_opener(_NoRedirect).open(f"{exchange.root}/connect/login?{query}", timeout=5)
    with answer.value as redirect:
        assert redirect.code == 302
        location = urllib.parse.urlsplit(str(redirect.headers["Location"]))
    fields = urllib.parse.parse_qs(location.query)
    assert fields["status"] == ["success"]
    return fields["request_token"][0]


@drives("login_url", "generate_session", "set_access_token", "set_session_expiry_hook", "invalidate_access_token")
def test_the_life_of_a_session(kite: Any, exchange: PracticeProcess) -> None:
    """Login gives a request token, that a session, once; the ended session raises, and its hook is called."""
    from kiteconnect import exceptions

    ended: list[bool] = []
    kite.set_session_expiry_hook(lambda: ended.append(True))
    kite.set_access_token(None)
    token = request_token(kite, exchange)
    session = kite.generate_session(token, SECRET)
    has(session, SESSION)
    assert isinstance(session["login_time"], datetime)
    assert session["refresh_token"] == ""
    assert kite.profile()["user_id"] == session["user_id"]
    with pytest.raises(exceptions.TokenException):
        kite.generate_session(token, SECRET)
    assert kite.invalidate_access_token() is True
    ended.clear()
    with pytest.raises(exceptions.TokenException) as refused:
        kite.profile()
    assert (refused.value.code, ended) == (403, [True])


@drives("renew_access_token", "invalidate_refresh_token")
def test_an_app_without_refresh_tokens_cannot_renew(kite: Any) -> None:
    """Renewal and the end of a refresh token are refused with 403: a personal app has none."""
    from kiteconnect import exceptions

    refusals = (exceptions.TokenException, exceptions.PermissionException)
    with pytest.raises(refusals) as refused:
        kite.renew_access_token("none", SECRET)
    assert refused.value.code == 403
    with pytest.raises(exceptions.TokenException):
        kite.invalidate_refresh_token("none")
    assert kite.profile()["broker"] == "ZERODHA"


@drives("profile")
def test_profile(kite: Any) -> None:
    """The profile has the protocol's fields and names the exchanges that the instruments are of."""
    profile = kite.profile()
    has(profile, PROFILE)
    assert {row["exchange"] for row in kite.instruments()} <= set(profile["exchanges"])


@drives("margins")
def test_margins(kite: Any) -> None:
    """Both segments and each alone have the protocol's fields; net is cash less debits."""
    from kiteconnect import exceptions

    both = kite.margins()
    assert set(both) == {"equity", "commodity"}
    for name in both:
        segment = kite.margins(name)
        has(segment, SEGMENT)
        has(segment["available"], AVAILABLE)
        has(segment["utilised"], UTILISED)
        free = segment["available"]["cash"] - segment["utilised"]["debits"]
        assert segment["net"] == pytest.approx(free, abs=0.02)
    with pytest.raises(exceptions.InputException, match="segment"):
        kite.margins("currency")


def test_wrong_credentials(exchange: PracticeProcess, official: Build) -> None:
    """A wrong token raises the client's TokenException with the broker's words on every kind of route."""
    from kiteconnect import exceptions

    client = official(exchange, "wrong")
    for call in (
        client.profile,
        client.orders,
        client.get_gtts,
        client.mf_orders,
        lambda: client.quote("NSE:NIFTY 50"),
    ):
        with pytest.raises(exceptions.TokenException, match="Incorrect `api_key` or `access_token`") as refused:
            call()
        assert refused.value.code == 403
