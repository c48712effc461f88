"""The secrets that sign tokens: a set of keys by id, each with its one algorithm, and which of them signs.

They are made on first use and lie in a file that only this user may read, never in a configuration. A file that
others may read, that belongs to somebody else, or that cannot be understood is refused: whoever has a secret can make
tokens. A secret shows itself in no text of these objects.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from engine.core.errors import SetupError
from engine.server.private_files import PrivateFolder

KEYS_FILE = "keys.json"
FORMAT = 1
SECRET_BYTES = 64
"""As many as a block of the hash takes."""
SECRET_BYTES_MIN = 32
"""Fewer than the hash gives would weaken it."""
KEY_ID_BYTES = 8
KEYS_MAX = 32


class Algorithm(StrEnum):
    """How a key signs. A key is only ever used with its own, whatever a token says."""

    HS256 = "HS256"


class SigningKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key."""

    kid: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8,64}$")]
    algorithm: Algorithm
    secret: bytes
    """Base 64 in the file."""
    created_at: datetime

    def __repr__(self) -> str:
        """Everything but the secret."""
        return f"SigningKey(kid={self.kid!r}, algorithm={self.algorithm.value!r})"

    def __rich_repr__(self) -> Any:  # noqa: ANN401 - the protocol's own type
        """Everything but the secret, for the printer that asks for fields."""
        yield "kid", self.kid
        yield "algorithm", self.algorithm.value


class KeySet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file holds."""

    format: int = FORMAT
    active: str
    """The key that signs; the others only verify."""
    keys: tuple[SigningKey, ...]

    def key(self, kid: str) -> SigningKey | None:
        """The key of this id."""
        return next((key for key in self.keys if key.kid == kid), None)

    @property
    def signer(self) -> SigningKey:
        """The key that signs new tokens."""
        return next(key for key in self.keys if key.kid == self.active)


class KeyFile:
    """The keys in a private folder. Read again whenever the file has become another one."""

    def __init__(
        self, folder: PrivateFolder, *, now: Callable[[], datetime], random_bytes: Callable[[int], bytes]
    ) -> None:
        """``random_bytes`` must be fit for secrets; nothing is read or made before it is needed."""
        self._folder = folder
        self._now = now
        self._random_bytes = random_bytes
        self._stamp: object = None
        self._keys: KeySet | None = None

    def keys(self) -> KeySet | None:
        """The keys; ``None`` before the first was made.

        Raises:
            SetupError: others may read the file, or it cannot be understood; says what to do.
        """
        stamp = self._folder.stamp(KEYS_FILE)
        if stamp is None:
            return None
        if self._keys is None or stamp != self._stamp:
            data = self._folder.read(KEYS_FILE)
            self._keys = None if data is None else self._understood(data)
            self._stamp = stamp
        return self._keys

    def signer(self) -> SigningKey:
        """The key that signs, made if there is none yet. Only while the folder is locked.

        Raises:
            SetupError: as ``keys``; or the file cannot be written.
        """
        known = self.keys()
        if known is not None:
            return known.signer
        key = SigningKey(
            kid=self._random_bytes(KEY_ID_BYTES).hex(),
            algorithm=Algorithm.HS256,
            secret=self._random_bytes(SECRET_BYTES),
            created_at=self._now(),
        )
        self._folder.write(KEYS_FILE, msgspec.json.encode(KeySet(active=key.kid, keys=(key,))))
        return key

    def _understood(self, data: bytes) -> KeySet:
        try:
            found = msgspec.json.decode(data, type=KeySet)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._broken(str(error)) from None
        if found.format != FORMAT:
            raise self._broken(f"its format is {found.format}, this version knows {FORMAT}")
        kids = [key.kid for key in found.keys]
        if len(set(kids)) != len(kids) or not 1 <= len(kids) <= KEYS_MAX:
            raise self._broken(f"it needs 1 to {KEYS_MAX} keys of different ids")
        if found.active not in kids:
            raise self._broken("the active key is not among its keys")
        if any(len(key.secret) < SECRET_BYTES_MIN for key in found.keys):
            raise self._broken(f"a secret is shorter than {SECRET_BYTES_MIN} bytes")
        return found

    def _broken(self, words: str) -> SetupError:
        return SetupError(
            f"The key file {self._folder.path / KEYS_FILE} cannot be used: {words}. Put the true one back; or "
            "remove it, then every token of this venue is void and new ones are made with new keys."
        )
