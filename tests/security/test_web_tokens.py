"""Tokens at the web door: only a good one opens it, and a bad one never learns why it does not."""

from __future__ import annotations

import base64
import json
import logging
import os
from datetime import timedelta
from typing import Any

import jwt
import msgspec
import pytest

from engine.server import protocol
from engine.server.access import Scope
from engine.server.tokens import REFUSAL, TokenBook
from tests.kit.local_door import until
from tests.kit.plain_engine import PlainEngine
from tests.kit.web_door import SETTINGS, Site, ended, opened_site, unharmed

pytestmark = pytest.mark.usefixtures("bystander")


def parts(token: str) -> list[dict[str, Any]]:
    """Header and claims of a token."""
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def encoded(value: dict[str, Any]) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def refused_like_any(site: Site, token: str, reason: str) -> None:
    """Fail unless the token is refused in the words for all, and the audit log alone knows why."""
    response = await site.refusal(token)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="workstation", error="invalid_token"'
    body = json.loads(bytes(response.body))
    assert body == {"status": 401, "title": "Unauthorized", "detail": REFUSAL, "type": "about:blank"}
    line = [line for line in site.audited() if line["kind"] == "unauthorized"][-1]
    assert reason in line["detail"], line
    assert token not in site.audit_file.read_text()


async def test_no_token(site: Site) -> None:
    """Without a token the answer is the standard's challenge, with what to do."""
    response = await site.refusal(None)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="workstation"'
    assert "workstation token create" in bytes(response.body).decode()


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "token abc", ""])
async def test_another_authorization(site: Site, value: str) -> None:
    """Other schemes and an empty token are no token."""
    response = await site.refusal(None, headers={"Authorization": value})
    assert response.status_code == 401


async def test_two_tokens(site: Site) -> None:
    """Two Authorization headers are refused even when one of them is good: who would be let in is not guessed."""
    token = site.token()
    answer = await site.raw(
        f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_the_scheme_is_taken_in_any_case(site: Site) -> None:
    """Schemes have no case, says the standard."""
    async with await site.attach(None, headers={"Authorization": f"bearer {site.token()}"}) as client:
        assert (await client.call("hello"))["result"]["venue"] == "plain"


async def test_an_expired_token(site: Site) -> None:
    """After its time a token opens nothing."""
    token = site.token(lifetime=timedelta(minutes=1))
    site.wall.ahead = timedelta(minutes=2)
    await refused_like_any(site, token, "expired")


async def test_a_token_of_another_venue(site: Site) -> None:
    """A token of the practice desk opens no live one, though both were made by one key."""
    folder = site.audit_file.parent / "tokens"
    site.token()
    other = TokenBook(folder, audience="another", now=site.wall, random_bytes=os.urandom)
    token, _ = other.create(name="x", scopes=frozenset({Scope.ADMIN}), accounts=None, lifetime=timedelta(hours=1))
    await refused_like_any(site, token, "udience")


def resigned(site: Site, token: str, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """The token with other claims, signed with the true key: what only a thief of the key could make."""
    keys = json.loads((site.audit_file.parent / "tokens" / "keys.json").read_text())
    secret = base64.b64decode(keys["keys"][0]["secret"])
    old_header, old_claims = parts(token)
    return jwt.encode(old_claims | claims, secret, algorithm="HS256", headers=old_header | (header or {}))


async def test_another_issuer(site: Site) -> None:
    """A token that says it was made by somebody else is refused even when the signature is ours."""
    await refused_like_any(site, resigned(site, site.token(), iss="somebody"), "issuer")


async def test_a_token_behind_the_books_back(site: Site) -> None:
    """More than was granted is refused even when the signature is ours: the record decides."""
    token = resigned(site, site.token(Scope.READ), scope="admin")
    await refused_like_any(site, token, "not those of its record")


async def test_a_token_without_a_record(site: Site) -> None:
    """An id that this book never gave opens nothing."""
    await refused_like_any(site, resigned(site, site.token(), jti="a" * 16), "no record")


async def test_another_key_id(site: Site) -> None:
    """A key that there is not is not looked for elsewhere."""
    await refused_like_any(site, resigned(site, site.token(), header={"kid": "00000000"}), "no such key")


async def test_a_tampered_token(site: Site) -> None:
    """Changed claims under the old signature."""
    head, _, signature = site.token(Scope.READ).split(".")
    claims = parts(site.token(Scope.READ))[1]
    await refused_like_any(site, f"{head}.{encoded(claims | {'scope': 'admin'})}.{signature}", "ignature")


async def test_a_changed_signature(site: Site) -> None:
    """One other character in the signature."""
    token = site.token()
    place = token.rindex(".") + 5
    changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
    await refused_like_any(site, changed, "ignature")


async def test_a_token_without_a_signature(site: Site) -> None:
    """The algorithm "none" is no algorithm."""
    header, claims = parts(site.token(Scope.ADMIN))
    unsigned = f"{encoded(header | {'alg': 'none'})}.{encoded(claims)}."
    response = await site.refusal(unsigned)
    assert response.status_code == 401
    await refused_like_any(site, f"{unsigned}AAAA", "algorithm")


async def test_an_enormous_token(site: Site) -> None:
    """A token longer than any is refused before anything is computed with it."""
    await refused_like_any(site, "a" * 3000, "characters")


async def test_a_revoked_token(site: Site) -> None:
    """A revoked token opens nothing any more."""
    token = site.token(name="lost")
    site.tokens.revoke(site.token_id("lost"))
    await refused_like_any(site, token, "revoked")


async def test_revoking_ends_a_session(site: Site) -> None:
    """An attached client is closed with the reason within a moment of its token's end; the audit log has both."""
    async with await site.attach(site.token(name="lost")) as client:
        assert "result" in await client.call("funds")
        site.tokens.revoke(site.token_id("lost"))
        end = await ended(client)
    assert end.rcvd is not None
    assert (end.rcvd.code, end.rcvd.reason) == (protocol.CLOSE_POLICY, "this token was revoked")
    await until(lambda: site.figure("disconnections_total", door="web", reason="revoked") == 1, "gone")
    lines = [line for line in site.audited() if line.get("name") == "lost"]
    assert [line["kind"] for line in lines] == ["attached", "ended", "detached"]


async def test_expiry_ends_a_session(site: Site) -> None:
    """A token that expires while its client is attached ends the session with the reason."""
    async with await site.attach(site.token(lifetime=timedelta(minutes=1), name="short")) as client:
        assert "result" in await client.call("funds")
        site.wall.ahead = timedelta(minutes=2)
        end = await ended(client)
    assert end.rcvd is not None
    assert (end.rcvd.code, end.rcvd.reason) == (protocol.CLOSE_POLICY, "this token has expired")


async def test_lost_records_end_every_session(engine: PlainEngine, site: Site) -> None:
    """When the records are gone no token is good any more, and nobody who came by one stays."""
    del engine
    async with opened_site(PlainEngine(), site.audit_file.parent / "second") as other:
        async with await other.attach(other.token()) as client:
            assert "result" in await client.call("funds")
            (other.audit_file.parent / "tokens" / "tokens.json").unlink()
            end = await ended(client)
        assert end.rcvd is not None
        assert end.rcvd.code == protocol.CLOSE_POLICY


@pytest.mark.parametrize("path", ["/v1?token={}", "/v1?access_token={}", "/v1?x={}", "/v1?{}", "/metrics?token={}"])
async def test_a_token_in_the_address(site: Site, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A token in the address is refused in words, though it is good, and is found in no log."""
    token = site.token()
    with caplog.at_level(logging.DEBUG):
        answer = await site.get(path.format(token), token=token)
    assert answer.status == 400
    assert "revoke it" in answer.data["detail"]
    assert token not in caplog.text
    audit = site.audit_file.read_text()
    assert token not in audit
    assert "where a token must not be" in audit


async def test_a_token_as_a_path_or_protocol(site: Site) -> None:
    """Other hiding places of a token open nothing either."""
    token = site.token()
    assert (await site.get(f"/v1/{token}")).status == 404
    response = await site.refusal(None, headers={"Sec-WebSocket-Protocol": f"bearer, {token}"})
    assert response.status_code == 401
    assert token not in site.audit_file.read_text()


async def test_no_log_has_a_token(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Even with everything logged, neither a good nor a bad token is in what the server writes."""
    token = site.token()
    forged = token[:-4] + "AAAA"
    with caplog.at_level(logging.DEBUG):
        async with await site.attach(token) as client:
            await client.call("funds")
        await site.refusal(forged)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("engine.")]
    assert not [line for line in ours if token in line or forged in line or "earer" in line]
    assert token not in site.audit_file.read_text()


async def test_many_failed_attempts(engine: PlainEngine, site: Site) -> None:
    """After the limit an address is only told to wait, and the audit log does not grow; a good token still opens."""
    del engine
    settings = msgspec.structs.replace(SETTINGS, failed_max=3)
    async with opened_site(PlainEngine(), site.audit_file.parent / "few", settings) as few, unharmed(few):
        told = [(await few.refusal("bad")).status_code for _ in range(10)]
        assert told == [401] * 3 + [429] * 7
        response = await few.refusal(None)
        assert response.status_code == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        kinds = few.audited_kinds()
        assert kinds.count("unauthorized") == 3
        assert kinds.count("limit") == 1
        assert few.figure("refusals_total", door="web", reason="blocked") == 8
        assert (await few.get("/metrics", token=few.token())).status == 200
