"""The tokens of one venue: made, listed, revoked and verified. A token is a JSON Web Token; the file knows no token.

What is kept of a token is who it is for and what it may do. A token is good only while its record says the very same,
so a lost or damaged file opens nothing, and one that was signed behind this book's back opens nothing either. A check
that fails is told to the outside in the same words whichever it was; the true reason is for the audit log.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import jwt
import msgspec
from jwt.types import Options

from engine.core.errors import InvalidInput, Refused, SetupError, Unauthorized
from engine.core.identifiers import AccountId
from engine.server.access import LOCAL_NAME, Grant, Scope
from engine.server.private_files import PrivateFolder
from engine.server.token_keys import KeyFile, SigningKey

logger = logging.getLogger(__name__)

ISSUER = "workstation"
TYPE = "JWT"
HEADER_FIELDS = frozenset({"alg", "kid", "typ"})
"""Nothing else may be in a header: no place to fetch a key from, no extension."""
CLAIMS = ("iss", "aud", "sub", "jti", "iat", "exp", "scope", "accounts")
EVERY_ACCOUNT: Literal["*"] = "*"
TOKEN_LENGTH_MAX = 2048
SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)
ACCOUNT = re.compile(r"[A-Za-z0-9]{1,20}", re.ASCII)
ACCOUNTS_MAX = 20
LEEWAY_S = 5
"""Clocks of one machine are set now and then."""
MOMENT_MAX = 253_402_300_799
"""The last second of the year 9999."""
LIFETIME_MIN = timedelta(minutes=1)
LIFETIME_MAX = timedelta(days=365)
VALID_MAX = 100
"""Valid tokens of one folder; more are refused until one is revoked or has expired."""
ENDED_KEPT = timedelta(days=30)
"""How long the record of an expired or revoked token is kept for a person to see."""
ENDED_MAX = 400
"""Records of ended tokens; the longest ended leave first. Nothing opens by it: what has no record is refused."""
ID_BYTES = 10
RECORDS_FILE = "tokens.json"
FORMAT = 1
REFUSAL = (
    "This engine does not accept the token. Whoever runs the engine can look at its audit log, and make another "
    "token with: workstation token create."
)

Moment = Annotated[int, msgspec.Meta(ge=0, le=MOMENT_MAX)]
"""Seconds since 1970 UTC."""


class TokenState(StrEnum):
    """Whether a token opens anything now."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a token; the token itself is not."""

    token_id: str
    name: str
    scopes: frozenset[Scope]
    accounts: tuple[AccountId, ...] | None
    """``None``: every account of the engine."""
    audience: str
    """The venue it opens."""
    created_at: datetime
    expires_at: datetime
    """Aware UTC, whole seconds, as is ``created_at``."""
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> TokenState:
        """Whether it opens anything at ``now``."""
        if self.revoked_at is not None:
            return TokenState.REVOKED
        return TokenState.EXPIRED if now >= self.expires_at else TokenState.VALID

    def ended_at(self, now: datetime) -> datetime | None:
        """When it stopped opening anything; ``None`` while it does."""
        if self.revoked_at is not None:
            return min(self.revoked_at, self.expires_at)
        return self.expires_at if now >= self.expires_at else None

    def grant(self) -> Grant:
        """What its bearer may do."""
        return Grant(
            name=self.name,
            token_id=self.token_id,
            scopes=self.scopes,
            accounts=self.accounts,
            expires_at=self.expires_at,
        )


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token carries, strictly typed."""

    iss: str
    aud: str
    sub: str
    jti: str
    iat: Moment
    exp: Moment
    nbf: Moment = 0
    scope: str
    accounts: tuple[str, ...] | Literal["*"]


class _Records(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file holds."""

    format: int = FORMAT
    tokens: tuple[TokenRecord, ...] = ()


def token_id_of(random_bytes: bytes) -> str:
    """The public id of a token, made of ``ID_BYTES`` random bytes: 16 small letters and digits.

    Small letters only: a secret in base 64 that the logs must hide is known by a capital, so no id is taken for one.
    """
    return base64.b32encode(random_bytes).decode("ascii").lower()


class TokenBook:
    """The tokens of one venue, in a folder that several processes may use at once."""

    def __init__(
        self,
        folder: Path,
        *,
        audience: str,
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Nothing is read or made before the first use.

        Args:
            folder: Where keys and records lie; made with mode 0700 when the first token is.
            audience: The venue's id: a token of another venue is refused.
            now: Aware UTC, wall clock.
            random_bytes: Randomness fit for secrets.
        """
        self._folder = PrivateFolder(folder)
        self._keys = KeyFile(self._folder, now=now, random_bytes=random_bytes)
        self._audience = audience
        self._now = now
        self._random_bytes = random_bytes
        self._encoder = msgspec.json.Encoder(order="deterministic")
        self._stamp: object = None
        self._records: Mapping[str, TokenRecord] = {}

    # -- for the owner of the engine -------------------------------------------------------------------------------

    def create(
        self, *, name: str, scopes: frozenset[Scope], accounts: tuple[AccountId, ...] | None, lifetime: timedelta
    ) -> tuple[str, TokenRecord]:
        """Make a token; it is given out here and can never be shown again.

        Raises:
            InvalidInput: names what is wrong and what is allowed.
            Refused: there are as many valid tokens as there may be.
            SetupError: the folder, the keys or the records cannot be used.
        """
        _check_wishes(name, scopes, accounts, lifetime)
        with self._folder.locked():
            now = self._now().astimezone(UTC).replace(microsecond=0)
            known = self._known()
            valid = sum(record.state(now) is TokenState.VALID for record in known.values())
            if valid >= VALID_MAX:
                raise Refused(f"{valid} tokens are valid already, the most there may be; revoke one that nobody uses.")
            token_id = token_id_of(self._random_bytes(ID_BYTES))
            if token_id in known:
                raise SetupError("The randomness of this machine repeats itself; no token can be made.")
            record = TokenRecord(
                token_id=token_id,
                name=name,
                scopes=scopes,
                accounts=None if accounts is None else tuple(dict.fromkeys(accounts)),
                audience=self._audience,
                created_at=now,
                expires_at=(now + lifetime).replace(microsecond=0),
            )
            token = _signed(record, self._keys.signer())
            self._write({**known, token_id: record}, now)
        return token, record

    def records(self) -> tuple[TokenRecord, ...]:
        """The tokens of this venue, oldest first, ended ones too for a while.

        Raises:
            SetupError: the records cannot be read; says what to do.
        """
        found = [record for record in self._known().values() if record.audience == self._audience]
        return tuple(sorted(found, key=lambda record: (record.created_at, record.token_id)))

    def revoke(self, token_id: str) -> TokenRecord:
        """Let a token open nothing any more, from now on and in every process. Harmless when repeated.

        Raises:
            InvalidInput: there is none with this id.
            SetupError: the folder or the records cannot be used.
        """
        with self._folder.locked():
            now = self._now().astimezone(UTC).replace(microsecond=0)
            known = self._known()
            record = known.get(token_id)
            if record is None or record.audience != self._audience:
                shown = token_id[: 2 * ID_BYTES]
                raise InvalidInput(
                    f'There is no token "{shown}" at this venue; workstation token list shows them.', field="token_id"
                )
            if record.revoked_at is None:
                record = msgspec.structs.replace(record, revoked_at=now)
                self._write({**known, token_id: record}, now)
        return record

    # -- for the door ----------------------------------------------------------------------------------------------

    def verify(self, token: str) -> Grant:
        """Whose token this is and what it opens. Reads two small files when they have changed; waits for nobody.

        Raises:
            Unauthorized: with the same words for every reason; ``reason`` says which, for the audit log.
        """
        try:
            return self._verified(token)
        except jwt.PyJWTError as error:
            raise _refused(str(error)) from None
        except SetupError as error:
            logger.error("no token can be verified: %s", error)  # noqa: TRY400 - the words say it all
            raise _refused(str(error)) from None

    def is_revoked(self, token_id: str) -> bool:
        """Whether a token that was good has been revoked since, here or by another process. One look at a file's date.

        Records that are gone or cannot be read revoke everything. The empty id of the local socket is never revoked.
        """
        if not token_id:
            return False
        try:
            record = self._known().get(token_id)
        except SetupError as error:
            logger.error("tokens count as revoked: %s", error)  # noqa: TRY400 - the words say it all
            return True
        return record is None or record.revoked_at is not None

    def _verified(self, token: str) -> Grant:
        if not token:
            raise _refused("no token")
        if len(token) > TOKEN_LENGTH_MAX:
            raise _refused(f"{len(token)} characters, {TOKEN_LENGTH_MAX} at most")
        if SHAPE.fullmatch(token) is None:
            raise _refused("not of the shape of a token")
        key = self._key_for(jwt.get_unverified_header(token))
        options: Options = {
            "require": list(CLAIMS),
            "strict_aud": True,
            "enforce_minimum_key_length": True,
            # Times are held against the clock that was given to this book.
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
        }
        plain = jwt.decode(
            token,
            key.secret,
            algorithms=[key.algorithm.value],
            audience=self._audience,
            issuer=ISSUER,
            options=options,
        )
        try:
            claims = msgspec.convert(plain, _Claims)
        except msgspec.ValidationError as error:
            raise _refused(f"a claim of the wrong type: {error}") from None
        return self._granted(claims)

    def _key_for(self, header: dict[str, Any]) -> SigningKey:
        """The key a header names. The key says how it signs; the header may only agree."""
        if header.keys() != HEADER_FIELDS:
            raise _refused("the header has other fields than alg, kid and typ")
        if header["typ"] != TYPE:
            raise _refused("the header's typ is another one")
        keys = self._keys.keys()
        key = keys.key(header["kid"]) if keys is not None else None
        if key is None:
            raise _refused("no such key id")
        if header["alg"] != key.algorithm.value:
            raise _refused("the algorithm is not that of the key")
        return key

    def _granted(self, claims: _Claims) -> Grant:
        now = self._now().timestamp()
        if now >= claims.exp + LEEWAY_S:
            raise _refused("expired")
        if now < max(claims.iat, claims.nbf) - LEEWAY_S:
            raise _refused("not yet valid")
        record = self._known().get(claims.jti)
        if record is None:
            raise _refused("no record of this token")
        if record.revoked_at is not None:
            raise _refused("revoked")
        if claims != _claims(record, nbf=claims.nbf):
            raise _refused("the claims are not those of its record")
        return record.grant()

    # -- the records -----------------------------------------------------------------------------------------------

    def _known(self) -> Mapping[str, TokenRecord]:
        """Records by id, read again whenever the file has become another one."""
        stamp = self._folder.stamp(RECORDS_FILE)
        if stamp is None:
            self._records, self._stamp = {}, None
        elif stamp != self._stamp:
            data = self._folder.read(RECORDS_FILE)
            self._records = {} if data is None else self._understood(data)
            self._stamp = stamp
        return self._records

    def _understood(self, data: bytes) -> Mapping[str, TokenRecord]:
        try:
            found = msgspec.json.decode(data, type=_Records)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._broken(str(error)) from None
        if found.format != FORMAT:
            raise self._broken(f"its format is {found.format}, this version knows {FORMAT}")
        records = {record.token_id: record for record in found.tokens}
        if len(records) != len(found.tokens) or "" in records:
            raise self._broken("an id is missing or there twice")
        if any(moment.tzinfo is None for record in found.tokens for moment in _moments(record)):
            raise self._broken("a time has no zone")
        return records

    def _broken(self, words: str) -> SetupError:
        return SetupError(
            f"The list of tokens {self._folder.path / RECORDS_FILE} cannot be used: {words}. Until it is put right no "
            "token opens anything. Put the true one back; or remove it, then every token is void and new ones are made."
        )

    def _write(self, records: Mapping[str, TokenRecord], now: datetime) -> None:
        """Replace the file, without records of what ended long ago."""
        ended = [(moment, record) for record in records.values() if (moment := record.ended_at(now)) is not None]
        recent = [item for item in ended if now - item[0] < ENDED_KEPT]
        recent.sort(key=lambda item: (item[0], item[1].token_id))
        kept = {record.token_id for _, record in recent[-ENDED_MAX:]}
        tokens = tuple(record for record in records.values() if record.token_id in kept or record.ended_at(now) is None)
        self._folder.write(RECORDS_FILE, self._encoder.encode(_Records(tokens=tokens)))


def _check_wishes(
    name: str, scopes: frozenset[Scope], accounts: tuple[AccountId, ...] | None, lifetime: timedelta
) -> None:
    if NAME.fullmatch(name) is None or name.casefold() == LOCAL_NAME:
        raise InvalidInput(
            "A token's name has 1 to 64 letters, digits, spaces, dots, hyphens or underscores, begins with a letter or "
            f'digit, and is not "{LOCAL_NAME}".',
            field="name",
        )
    if not scopes:
        raise InvalidInput(f"A token needs a scope: {', '.join(Scope)}.", field="scopes")
    if accounts is not None and not 1 <= len(accounts) <= ACCOUNTS_MAX:
        raise InvalidInput(f"A token names 1 to {ACCOUNTS_MAX} accounts, or none to mean every one.", field="accounts")
    wrong = next((account for account in accounts or () if ACCOUNT.fullmatch(account) is None), None)
    if wrong is not None:
        raise InvalidInput(f'"{wrong[:64]}" is not an account; they have 1 to 20 letters and digits.', field="accounts")
    if not LIFETIME_MIN <= lifetime <= LIFETIME_MAX:
        raise InvalidInput("A token lives for a minute at least and a year (365 days) at most.", field="lifetime")


def _claims(record: TokenRecord, *, nbf: int = 0) -> _Claims:
    """What the token of a record carries."""
    return _Claims(
        iss=ISSUER,
        aud=record.audience,
        sub=record.name,
        jti=record.token_id,
        iat=int(record.created_at.timestamp()),
        exp=int(record.expires_at.timestamp()),
        nbf=nbf,
        scope=" ".join(sorted(record.scopes)),
        accounts=EVERY_ACCOUNT if record.accounts is None else tuple(record.accounts),
    )


def _signed(record: TokenRecord, key: SigningKey) -> str:
    claims = msgspec.structs.asdict(_claims(record))
    payload = {name: claims[name] for name in CLAIMS}
    return jwt.encode(payload, key.secret, algorithm=key.algorithm.value, headers={"kid": key.kid, "typ": TYPE})


def _moments(record: TokenRecord) -> tuple[datetime, ...]:
    found = (record.created_at, record.expires_at, record.revoked_at)
    return tuple(moment for moment in found if moment is not None)


def _refused(reason: str) -> Unauthorized:
    return Unauthorized(REFUSAL, reason=reason)
