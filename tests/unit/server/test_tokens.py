"""Tokens: what opens the door, and everything that does not. No refusal tells the outside which check it was."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import stat
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from engine.core.errors import InvalidInput, Refused, SetupError, Unauthorized
from engine.core.identifiers import AccountId
from engine.server.access import Scope
from engine.server.tokens import (
    CLAIMS,
    ENDED_KEPT,
    ENDED_MAX,
    LEEWAY_S,
    LIFETIME_MAX,
    REFUSAL,
    TOKEN_LENGTH_MAX,
    VALID_MAX,
    TokenBook,
    TokenRecord,
    TokenState,
)

START = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)
ACCOUNT = AccountId("AB1234")
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
READ = frozenset({Scope.READ})
BASE64URL = string.ascii_letters + string.digits + "-_"


class Hand:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        """The time it shows."""
        return self.moment


@pytest.fixture
def clock() -> Hand:
    """Half past five."""
    return Hand()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "tokens"


@pytest.fixture
def book(folder: Path, clock: Hand) -> TokenBook:
    """The tokens of the practice venue."""
    return opened(folder, clock)


def opened(folder: Path, clock: Hand, audience: str = "practice") -> TokenBook:
    """A book with its own memory, as another process has it."""
    return TokenBook(folder, audience=audience, now=clock, random_bytes=os.urandom)


def create(
    book: TokenBook,
    *,
    scopes: frozenset[Scope] = READ,
    accounts: tuple[AccountId, ...] | None = None,
    lifetime: timedelta = HOUR,
) -> tuple[str, TokenRecord]:
    """A token for a reader."""
    return book.create(name="reader", scopes=scopes, accounts=accounts, lifetime=lifetime)


def reason_of(book: TokenBook, token: str) -> str:
    """Why a token is refused; the words for the outside are always the same."""
    with pytest.raises(Unauthorized) as caught:
        book.verify(token)
    assert str(caught.value) == REFUSAL
    assert caught.value.__cause__ is None
    assert caught.value.reason
    return caught.value.reason


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the records as a person with an editor would."""
    path = folder / "tokens.json"
    data = change(json.loads(path.read_bytes()))
    fresh = path.with_name("edited")
    fresh.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    fresh.chmod(0o600)
    fresh.replace(path)


def encoded(part: object) -> str:
    """A part of a token."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forger:
    """Somebody who has read the key file: the most a token can be attacked with."""

    def __init__(self, folder: Path, token: str) -> None:
        (row,) = json.loads((folder / "keys.json").read_bytes())["keys"]
        self.secret = base64.b64decode(row["secret"])
        self.header: dict[str, Any] = jwt.get_unverified_header(token)
        self.claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})

    def token(
        self,
        *,
        claims: dict[str, Any] | bytes | None = None,
        header: dict[str, Any] | None = None,
        secret: bytes | None = None,
        digest: Callable[..., Any] = hashlib.sha256,
    ) -> str:
        """Any header over any claims with a signature that fits."""
        head = encoded(self.header if header is None else header)
        body = f"{head}.{encoded(self.claims if claims is None else claims)}"
        used = self.secret if secret is None else secret
        return f"{body}.{encoded(hmac.new(used, body.encode(), digest).digest())}"


@pytest.fixture
def good(book: TokenBook) -> str:
    """A good token."""
    return create(book)[0]


@pytest.fixture
def forger(folder: Path, good: str) -> Forger:
    """Who knows the secret and a good token."""
    return Forger(folder, good)


# -- what opens ------------------------------------------------------------------------------------------------------


def test_a_token_opens_what_it_was_made_for(book: TokenBook, folder: Path, clock: Hand) -> None:
    """Name, scopes, accounts and end come back, from this book and from that of another process."""
    token, record = book.create(
        name="night desk 2", scopes=frozenset({Scope.TRADE, Scope.KILL}), accounts=(ACCOUNT,), lifetime=8 * HOUR
    )
    for verifier in (book, opened(folder, clock)):
        grant = verifier.verify(token)
        assert grant == record.grant()
        assert grant.name == "night desk 2"
        assert grant.token_id == record.token_id
        assert grant.scopes == {Scope.TRADE, Scope.KILL}
        assert grant.accounts == (ACCOUNT,)
        assert grant.expires_at == START + 8 * HOUR
        assert not verifier.is_revoked(record.token_id)


def test_no_account_named_means_every_one(book: TokenBook) -> None:
    """And an account named twice is one."""
    assert book.verify(create(book)[0]).accounts is None
    assert book.verify(create(book, accounts=(ACCOUNT, ACCOUNT))[0]).accounts == (ACCOUNT,)


def test_the_token_is_a_standard_one(good: str, forger: Forger) -> None:
    """Any library reads it; it carries exactly the promised claims, and its header names key, type and algorithm."""
    assert set(forger.claims) == set(CLAIMS)
    assert forger.claims["iss"] == "workstation"
    assert forger.claims["aud"] == "practice"
    assert forger.claims["scope"] == "read"
    assert forger.claims["accounts"] == "*"
    assert forger.claims["exp"] - forger.claims["iat"] == HOUR.total_seconds()
    assert set(forger.header) == {"alg", "kid", "typ"}
    assert forger.header["alg"] == "HS256"
    assert forger.token() != "", "the forger forges"
    assert jwt.decode(good, forger.secret, algorithms=["HS256"], audience="practice", options={"verify_exp": False})


def test_the_forger_could_make_a_good_token(book: TokenBook, forger: Forger) -> None:
    """Without this the tests below would prove nothing: his unchanged token is taken."""
    assert book.verify(forger.token()).name == "reader"


def test_the_longest_token_is_within_the_bound(book: TokenBook) -> None:
    """What is made can also be used."""
    accounts = tuple(AccountId(f"{'A' * 16}{number:04d}") for number in range(20))
    token, _ = book.create(name="n" * 64, scopes=frozenset(Scope), accounts=accounts, lifetime=LIFETIME_MAX)
    assert len(token) <= TOKEN_LENGTH_MAX
    assert book.verify(token).accounts == accounts


def test_clocks_may_differ_a_little(book: TokenBook, good: str, clock: Hand) -> None:
    """Within the leeway a token is good at both its ends, and not a second beyond."""
    for moment, is_good in (
        (START - LEEWAY_S * SECOND, True),
        (START - (LEEWAY_S + 1) * SECOND, False),
        (START + HOUR + (LEEWAY_S - 1) * SECOND, True),
        (START + HOUR + LEEWAY_S * SECOND, False),
    ):
        clock.moment = moment
        if is_good:
            book.verify(good)
        else:
            reason_of(book, good)


# -- what does not ---------------------------------------------------------------------------------------------------


def test_expired(book: TokenBook, good: str, clock: Hand) -> None:
    """After its end it opens nothing."""
    clock.moment = START + 2 * HOUR
    assert reason_of(book, good) == "expired"


def test_not_yet_valid(book: TokenBook, good: str, forger: Forger, clock: Hand) -> None:
    """Before it was made it opens nothing, nor before the time it names itself."""
    assert reason_of(book, forger.token(claims={**forger.claims, "nbf": forger.claims["iat"] + 60})) == "not yet valid"
    clock.moment = START - HOUR
    assert reason_of(book, good) == "not yet valid"


def test_another_venue(folder: Path, clock: Hand, good: str) -> None:
    """A practice token never opens a live desk, not even one that shares the keys."""
    assert "Audience" in reason_of(opened(folder, clock, "live"), good)


@pytest.mark.parametrize("audience", [["practice"], ["practice", "live"], "live", "practice2"])
def test_another_audience(book: TokenBook, forger: Forger, audience: object) -> None:
    """It must be this venue as one text: a list of venues that holds it is refused before the records are asked."""
    assert "(strict)" in reason_of(book, forger.token(claims={**forger.claims, "aud": audience}))


@pytest.mark.parametrize("issuer", ["someone else", "Workstation", "", ["workstation"]])
def test_another_issuer(book: TokenBook, forger: Forger, issuer: object) -> None:
    """What another program signed is refused before the records are asked."""
    assert "ssuer" in reason_of(book, forger.token(claims={**forger.claims, "iss": issuer}))


def test_another_venue_with_its_own_keys(tmp_path: Path, clock: Hand, good: str) -> None:
    """And one with its own keys does not even know who signed."""
    live = opened(tmp_path / "live", clock, "live")
    create(live)
    assert reason_of(live, good) == "no such key id"


def test_before_the_first_token_nothing_opens(tmp_path: Path, clock: Hand, good: str) -> None:
    """Verifying makes no keys."""
    nowhere = tmp_path / "nowhere"
    assert reason_of(opened(nowhere, clock), good) == "no such key id"
    assert not nowhere.exists()


@pytest.mark.parametrize(
    "token",
    [
        "",
        " ",
        "garbage",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "...",
        "eyJ.eyJ.sig",
        "é.é.é",
        "\ud800.a.b",
        "\x00.\x00.\x00",
        "Bearer abc",
        "null",
        "%s.%s.%s",
        "ey" * 400,
        f"{encoded([])}.{encoded({})}.{encoded(b'x')}",
        f"{encoded(b'[' * 900)}.{encoded({})}.{encoded(b'x')}",
        f"{encoded(bytes([123, *[255] * 9]))}.{encoded({})}.{encoded(b'x')}",
    ],
)
def test_garbage(book: TokenBook, good: str, token: str) -> None:
    """Text that is no token is refused like any other."""
    book.verify(good)
    reason_of(book, token)


def test_oversized(book: TokenBook, forger: Forger) -> None:
    """A token beyond the bound is not even taken apart, however well it is signed."""
    token = forger.token(claims={**forger.claims, "more": "x" * TOKEN_LENGTH_MAX})
    assert "at most" in reason_of(book, token)
    assert "at most" in reason_of(book, "a" * 10_000_000)


def test_tampered_anywhere(book: TokenBook, good: str) -> None:
    """Whichever character of header, claims or signature is changed: refused."""
    for place, sign in enumerate(good):
        if sign == ".":
            continue
        for other in (BASE64URL[(BASE64URL.index(sign) + 1) % 64], BASE64URL[(BASE64URL.index(sign) + 17) % 64]):
            reason_of(book, good[:place] + other + good[place + 1 :])


@pytest.mark.parametrize("change", [lambda good: good + "=", lambda good: good + "\n", lambda good: " " + good])
def test_there_is_one_spelling(book: TokenBook, good: str, change: Callable[[str], str]) -> None:
    """Padding and white space around a good token make it another one."""
    assert reason_of(book, change(good)) == "not of the shape of a token"


def test_more_rights_under_the_old_signature(book: TokenBook, good: str, forger: Forger) -> None:
    """Claims exchanged, signature kept."""
    head, _, signature = good.split(".")
    token = f"{head}.{encoded({**forger.claims, 'scope': 'admin'})}.{signature}"
    assert reason_of(book, token) == "Signature verification failed"


def test_signature_of_another_token(book: TokenBook, good: str) -> None:
    """A signature is good for its own words only."""
    other, _ = create(book, scopes=frozenset({Scope.ADMIN}))
    head, body, _ = good.split(".")
    assert reason_of(book, f"{head}.{body}.{other.rpartition('.')[2]}") == "Signature verification failed"


@pytest.mark.parametrize("secret", [b"", b"secret", bytes(64), b"practice" * 8])
def test_another_secret(book: TokenBook, forger: Forger, secret: bytes) -> None:
    """Guessed secrets do not sign."""
    assert reason_of(book, forger.token(secret=secret)) == "Signature verification failed"


@pytest.mark.parametrize("word", ["none", "None", "NONE", "nOnE", "", None, 0, ["HS256"], "hs256"])
def test_no_algorithm(book: TokenBook, forger: Forger, word: object) -> None:
    """A token cannot say that it needs no signature, nor the right word in another form."""
    header = {**forger.header, "alg": word}
    unsigned = f"{encoded(header)}.{encoded(forger.claims)}."
    assert reason_of(book, unsigned) == "not of the shape of a token"
    assert reason_of(book, unsigned + "AA") == "the algorithm is not that of the key"
    assert reason_of(book, forger.token(header=header)) == "the algorithm is not that of the key"


@pytest.mark.parametrize(("name", "digest"), [("HS384", hashlib.sha384), ("HS512", hashlib.sha512)])
def test_another_algorithm_with_the_true_secret(
    book: TokenBook, forger: Forger, name: str, digest: Callable[..., Any]
) -> None:
    """A key is used with its own algorithm only, though the signature would fit."""
    token = forger.token(header={**forger.header, "alg": name}, digest=digest)
    assert jwt.decode(token, forger.secret, algorithms=[name], audience="practice", options={"verify_exp": False})
    assert reason_of(book, token) == "the algorithm is not that of the key"


def test_a_key_pair_of_the_attackers(book: TokenBook, forger: Forger) -> None:
    """RS256 by the attacker's own key, and HS256 with its public half as the secret."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = jwt.encode(forger.claims, private, algorithm="RS256", headers={"kid": forger.header["kid"]})
    assert reason_of(book, signed) == "the algorithm is not that of the key"
    assert reason_of(book, forger.token(secret=public)) == "Signature verification failed"


@pytest.mark.parametrize(
    "kid", ["", "0" * 16, "../keys.json", "/dev/null", "' OR 1=1", 7, None, ["a"], {"a": 1}, True, "x" * 900]
)
def test_another_key_id(book: TokenBook, forger: Forger, kid: object) -> None:
    """Only a known key counts, named by a text."""
    assert "key id" in reason_of(book, forger.token(header={**forger.header, "kid": kid})).casefold()


@pytest.mark.parametrize("missing", ["alg", "kid", "typ"])
def test_a_header_with_less(book: TokenBook, forger: Forger, missing: str) -> None:
    """Nothing is guessed."""
    header = {name: value for name, value in forger.header.items() if name != missing}
    assert "header" in reason_of(book, forger.token(header=header))


@pytest.mark.parametrize(
    "more",
    [
        {"jku": "https://attacker.example/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "https://attacker.example/cert"},
        {"x5c": ["AAAA"]},
        {"cty": "JWT"},
        {"b64": True},
        {"zip": "DEF"},
        {"crit": ["exp"], "exp": 1},
        {"b64": False, "crit": ["b64"]},
        {"typ": "at+jwt"},
        {"typ": None},
    ],
)
def test_a_header_with_more(book: TokenBook, forger: Forger, more: dict[str, object]) -> None:
    """No key is fetched or taken from a token, and no extension is honoured, though the signature fits."""
    reason_of(book, forger.token(header={**forger.header, **more}))


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_missing_claim(book: TokenBook, forger: Forger, claim: str) -> None:
    """Each is needed, and null is not there."""
    rest = {name: value for name, value in forger.claims.items() if name != claim}
    assert claim in reason_of(book, forger.token(claims=rest))
    reason_of(book, forger.token(claims={**rest, claim: None}))


WRONG_TYPES: dict[str, tuple[object, ...]] = {
    "iss": (7, ["workstation"], {}, True, "someone else", ""),
    "aud": (7, ["practice"], ["practice", "live"], {}, "live", "", "practice-2", "PRACTICE"),
    "sub": (7, ["reader"], {}, "another", ""),
    "jti": (7, ["x"], {}, "", "unknown0unknown0"),
    "iat": ("0", 1.5, -1, True, [0], 10**30, "1e3"),
    "exp": ("99999999999", 1.5, -1, True, [99999999999], 10**30, 99999999999),
    "nbf": ("0", 1.5, -1, True, [0]),
    "scope": (7, ["read"], {}, "", "admin", "read admin", "read read", " read", "READ"),
    "accounts": (7, {}, "", "AB1234", [], ["AB1234"], [7], ["*"], True),
}


@pytest.mark.parametrize(
    ("claim", "value"), [(claim, value) for claim, values in WRONG_TYPES.items() for value in values], ids=repr
)
def test_a_claim_of_another_type_or_value(book: TokenBook, forger: Forger, claim: str, value: object) -> None:
    """Even somebody who has the secret opens nothing but what the records say."""
    reason_of(book, forger.token(claims={**forger.claims, claim: value}))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"text"', b"7", b"{", b"\xff", b"[" * 1000])
def test_claims_that_are_no_object(book: TokenBook, forger: Forger, body: bytes) -> None:
    """Signed nonsense is nonsense."""
    reason_of(book, forger.token(claims=body))


def test_a_token_made_behind_the_books_back(book: TokenBook, forger: Forger) -> None:
    """A stolen secret alone makes no new token: there is no record of it."""
    claims = {**forger.claims, "jti": "a" * 16, "scope": "admin", "sub": "thief"}
    assert reason_of(book, forger.token(claims=claims)) == "no record of this token"
    longer = {**forger.claims, "exp": forger.claims["exp"] + 86_400}
    assert reason_of(book, forger.token(claims=longer)) == "the claims are not those of its record"


# -- revoking --------------------------------------------------------------------------------------------------------


def test_revoked_by_another_process(book: TokenBook, folder: Path, clock: Hand) -> None:
    """A live session's door sees it at the next look, and the token opens nothing any more; others are untouched."""
    (token, record), (other, other_record) = create(book), create(book)
    book.verify(token)
    assert not book.is_revoked(record.token_id)
    clock.moment += 60 * SECOND
    revoked = opened(folder, clock).revoke(record.token_id)
    assert revoked.revoked_at == START + 60 * SECOND
    assert book.is_revoked(record.token_id)
    assert reason_of(book, token) == "revoked"
    assert not book.is_revoked(other_record.token_id)
    book.verify(other)


def test_revoking_again_changes_nothing(book: TokenBook, clock: Hand) -> None:
    """The first moment stays."""
    _, record = create(book)
    first = book.revoke(record.token_id)
    clock.moment += HOUR
    assert book.revoke(record.token_id) == first


@pytest.mark.parametrize("token_id", ["", "unknown", "x" * 10_000])
def test_an_unknown_id_cannot_be_revoked(book: TokenBook, good: str, token_id: str) -> None:
    """The words say where the ids are; a long one is not repeated whole."""
    book.verify(good)
    with pytest.raises(InvalidInput, match="workstation token list") as caught:
        book.revoke(token_id)
    assert caught.value.field == "token_id"
    assert len(str(caught.value)) < 200


def test_a_token_of_another_venue_cannot_be_revoked_here(book: TokenBook, folder: Path, clock: Hand) -> None:
    """Nor is it listed."""
    _, record = create(book)
    live = opened(folder, clock, "live")
    assert live.records() == ()
    with pytest.raises(InvalidInput):
        live.revoke(record.token_id)
    assert book.records() == (record,)


def test_the_local_socket_has_no_token_to_revoke(book: TokenBook) -> None:
    """Its empty id is never revoked; an id that nobody gave is."""
    assert not book.is_revoked("")
    assert book.is_revoked("unknown")


def test_looking_is_cheap(book: TokenBook, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file is the same it is not read again, however often a door looks."""
    _, record = create(book)
    assert not book.is_revoked(record.token_id)
    opens: list[str] = []
    real = os.open

    def counted(path: Any, *rest: Any, **named: Any) -> int:
        opens.append(str(path))
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", counted)
    for _ in range(100):
        assert not book.is_revoked(record.token_id)
    assert opens == []
    opened(folder, Hand()).revoke(record.token_id)
    assert book.is_revoked(record.token_id)
    assert any(path.endswith("tokens.json") for path in opens)


# -- the records -----------------------------------------------------------------------------------------------------


def test_the_records_hold_no_token(book: TokenBook, folder: Path) -> None:
    """Neither a token nor its signature lies in any file; the secret lies in the key file alone."""
    token, record = create(book, accounts=(ACCOUNT,))
    secret = json.loads((folder / "keys.json").read_bytes())["keys"][0]["secret"]
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not any(part in text for part in token.split("."))
        assert (secret in text) is (path.name == "keys.json")
    (kept,) = json.loads((folder / "tokens.json").read_bytes())["tokens"]
    assert kept == {
        "token_id": record.token_id,
        "name": "reader",
        "scopes": ["read"],
        "accounts": ["AB1234"],
        "audience": "practice",
        "created_at": "2026-11-19T05:30:00Z",
        "expires_at": "2026-11-19T06:30:00Z",
        "revoked_at": None,
    }


def test_modes(book: TokenBook, good: str, folder: Path) -> None:
    """All of it is this user's alone."""
    book.verify(good)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "keys.json": 0o600,
        "tokens.json": 0o600,
        "lock": 0o600,
    }


def test_a_secret_or_a_token_is_in_no_words(
    book: TokenBook, folder: Path, forger: Forger, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in reprs nor in errors nor in what is logged, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    token, record = create(book)
    texts = [repr(book), str(book), repr(record), repr(record.grant()), reason_of(book, token[:-4])]
    texts.append(reason_of(book, forger.token(header={**forger.header, "alg": "none"})))
    texts.append(reason_of(book, forger.token(claims={**forger.claims, "iat": "x"})))
    (folder / "keys.json").chmod(0o644)
    texts.append(reason_of(book, token))
    texts.append(caplog.text)
    secret = base64.b64encode(forger.secret).decode()
    for text in texts:
        assert secret[:16] not in text
        assert repr(forger.secret)[2:18] not in text
        assert not any(part in text for part in token.split("."))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"not json",
        lambda data: b"\xff",
        lambda data: b'{"format":1,"tokens":[{"token_id":"\xff"}]}',
        lambda data: json.dumps(data).encode()[:-9],
        lambda data: [],
        lambda data: {**data, "format": 2},
        lambda data: {**data, "more": 1},
        lambda data: {**data, "tokens": data["tokens"] * 2},
        lambda data: {**data, "tokens": [{**data["tokens"][0], "scopes": ["everything"]}]},
        lambda data: {**data, "tokens": [{**data["tokens"][0], "expires_at": "2036-11-19T06:30:00"}]},
        lambda data: {**data, "tokens": [{**data["tokens"][0], "token_id": ""}]},
        lambda data: {**data, "tokens": [{**data["tokens"][0], "revoked": "yes"}]},
    ],
)
def test_damaged_records_open_nothing(
    book: TokenBook, folder: Path, good: str, clock: Hand, spoil: Callable[[dict[str, Any]], object]
) -> None:
    """Every token is refused and live sessions end; whoever lists, makes or revokes is told what to do."""
    token_id = book.verify(good).token_id
    rewritten(folder, spoil)
    for one in (book, opened(folder, clock), book):
        assert "cannot be used" in reason_of(one, good)
        assert one.is_revoked(token_id)
        words = "Put the true one back; or remove it"
        with pytest.raises(SetupError, match=words):
            one.records()
        with pytest.raises(SetupError, match=words):
            create(one)
        with pytest.raises(SetupError, match=words):
            one.revoke(token_id)


def test_records_that_others_may_write_open_nothing(book: TokenBook, folder: Path, good: str) -> None:
    """Somebody could have taken a revocation back."""
    token_id = book.verify(good).token_id
    (folder / "tokens.json").chmod(0o666)
    assert "chmod 600" in reason_of(book, good)
    assert book.is_revoked(token_id)


def test_lost_records_open_nothing(book: TokenBook, folder: Path, good: str) -> None:
    """A removed file revokes everything and stands in nobody's way of making new tokens."""
    token_id = book.verify(good).token_id
    (folder / "tokens.json").unlink()
    assert reason_of(book, good) == "no record of this token"
    assert book.is_revoked(token_id)
    assert book.records() == ()
    book.verify(create(book)[0])


def test_an_edited_record_gives_nothing_more(book: TokenBook, folder: Path, good: str) -> None:
    """More rights in the file than in the token are no rights."""
    rewritten(folder, lambda data: {**data, "tokens": [{**data["tokens"][0], "scopes": ["admin"]}]})
    assert reason_of(book, good) == "the claims are not those of its record"


def test_states(book: TokenBook, clock: Hand) -> None:
    """Valid, expired, revoked; a revoked token stays revoked after its end. Oldest first."""
    _, short = create(book)
    clock.moment += SECOND
    _, gone = create(book)
    clock.moment += SECOND
    _, long = create(book, lifetime=24 * HOUR)
    book.revoke(gone.token_id)
    clock.moment += 2 * HOUR
    states = [(record.token_id, record.state(clock.moment)) for record in book.records()]
    assert states == [
        (short.token_id, TokenState.EXPIRED),
        (gone.token_id, TokenState.REVOKED),
        (long.token_id, TokenState.VALID),
    ]


def test_ended_tokens_are_forgotten_after_a_while(book: TokenBook, clock: Hand) -> None:
    """Expired and revoked ones are kept for a person to see, and leave when a later token is written."""
    _, expired = create(book)
    _, revoked = create(book, lifetime=LIFETIME_MAX)
    _, living = create(book, lifetime=LIFETIME_MAX)
    book.revoke(revoked.token_id)
    clock.moment = START + HOUR + ENDED_KEPT - SECOND
    _, later = create(book)
    assert {record.token_id for record in book.records()} == {expired.token_id, living.token_id, later.token_id}
    clock.moment += SECOND
    _, last = create(book)
    assert {record.token_id for record in book.records()} == {living.token_id, later.token_id, last.token_id}


def test_valid_tokens_are_bounded(book: TokenBook, clock: Hand) -> None:
    """One more is refused with words, and taken when one was revoked or has expired."""
    first, *_ = [create(book)[1] for _ in range(VALID_MAX)]
    with pytest.raises(Refused, match=f"{VALID_MAX} tokens are valid already"):
        create(book)
    book.revoke(first.token_id)
    create(book)
    with pytest.raises(Refused):
        create(book)
    clock.moment += HOUR
    create(book)


def test_ended_tokens_are_bounded(book: TokenBook, folder: Path, clock: Hand) -> None:
    """However many were made and revoked: the longest ended leave first, and what has left opens nothing."""
    token, record = create(book)

    def crowd(data: dict[str, Any]) -> object:
        first = {**data["tokens"][0], "revoked_at": "2026-11-19T05:29:59Z"}
        later = {**first, "revoked_at": "2026-11-19T05:30:00Z"}
        return {**data, "tokens": [first, *({**later, "token_id": f"z{number:05d}"} for number in range(ENDED_MAX))]}

    rewritten(folder, crowd)
    assert reason_of(book, token) == "revoked"
    clock.moment += SECOND
    _, fresh = create(book)
    ids = {item.token_id for item in book.records()}
    assert len(ids) == ENDED_MAX + 1
    assert fresh.token_id in ids
    assert record.token_id not in ids
    assert reason_of(book, token) == "no record of this token"


# -- wishes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 65}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "-rf"}, "name"),
        ({"name": "ém"}, "name"),
        ({"name": "local"}, "name"),
        ({"name": "Local"}, "name"),
        ({"scopes": frozenset()}, "scopes"),
        ({"accounts": ()}, "accounts"),
        ({"accounts": ("",)}, "accounts"),
        ({"accounts": ("*",)}, "accounts"),
        ({"accounts": ("AB 1234",)}, "accounts"),
        ({"accounts": ("A" * 21,)}, "accounts"),
        ({"accounts": tuple(f"A{number}" for number in range(21))}, "accounts"),
        ({"lifetime": timedelta(0)}, "lifetime"),
        ({"lifetime": -HOUR}, "lifetime"),
        ({"lifetime": timedelta(seconds=59)}, "lifetime"),
        ({"lifetime": LIFETIME_MAX + SECOND}, "lifetime"),
        ({"lifetime": timedelta.max}, "lifetime"),
    ],
)
def test_a_wrong_wish_makes_nothing(book: TokenBook, folder: Path, changes: dict[str, Any], field: str) -> None:
    """The field is named, and neither a token nor a key comes of it."""
    wish: dict[str, Any] = {"name": "reader", "scopes": READ, "accounts": None, "lifetime": HOUR}
    with pytest.raises(InvalidInput) as caught:
        book.create(**{**wish, **changes})
    assert caught.value.field == field
    assert not folder.exists()


def test_broken_randomness_is_noticed(folder: Path, clock: Hand) -> None:
    """Two tokens of one id are never made."""
    broken = TokenBook(folder, audience="practice", now=clock, random_bytes=lambda count: b"\x01" * count)
    create(broken)
    with pytest.raises(SetupError, match="randomness"):
        create(broken)
    assert len(broken.records()) == 1


def test_a_token_that_could_not_be_recorded_is_not_given_out(folder: Path, book: TokenBook, good: str) -> None:
    """The disk does not take the records: an error, the old records, no token."""
    before = book.records()
    (folder / "tokens.json.new").mkdir()
    with pytest.raises(SetupError, match="cannot be written"):
        create(book)
    assert book.records() == before
    book.verify(good)


def test_times_are_whole_seconds_of_utc(folder: Path, clock: Hand) -> None:
    """A clock with fractions and another zone gives a token whose record and claims agree to the second."""
    clock.moment = START.replace(microsecond=987_654)
    book = opened(folder, clock)
    token, record = create(book, lifetime=HOUR + timedelta(milliseconds=700))
    assert record.created_at == START
    assert record.expires_at == START + HOUR
    assert book.verify(token).expires_at == record.expires_at
    assert msgspec.json.decode(msgspec.json.encode(record), type=TokenRecord) == record
