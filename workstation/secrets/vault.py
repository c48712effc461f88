"""Secrets at rest: one small file, encrypted as a whole with AES-256-GCM, mode 0600, replaced whole or not at all.

Invariants: a fresh random nonce for every write; what was changed by hand, or encrypted with another key, is refused
and left as it is; no secret is part of an error.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from engine.core.errors import SetupError
from engine.server.private_files import PrivateFolder
from workstation.secrets.master_key import HOW, MasterKey

FILE = "secrets.json"
NONCE_BYTES = 12
"""What AES-GCM wants of a random nonce; written far less than 2**32 times under one key."""
FORMAT = 1


class Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file: what may be known of it without the key, and the ciphertext that is bound to it."""

    format: int = FORMAT
    cipher: Literal["AES-256-GCM"] = "AES-256-GCM"
    key: str
    """Fingerprint of the key."""
    nonce: str
    """Base64."""
    sealed: str
    """Base64."""


class Vault:
    """The encrypted secrets of one data folder: name → value.

    Args:
        folder: Where the file lies; made when first written.
        find_key: Gives the key in force; asked only when the file is read or written.
        random_bytes: For nonces.
    """

    def __init__(
        self, folder: Path, find_key: Callable[[], MasterKey], *, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._folder = PrivateFolder(folder)
        self._find_key = find_key
        self._random_bytes = random_bytes

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder.path / FILE

    def is_there(self) -> bool:
        """Whether anything was ever stored."""
        return self._folder.stamp(FILE) is not None

    def fingerprint(self) -> str | None:
        """Which key the file needs; ``None`` when there is no file.

        Raises:
            SetupError: the file is open to others or damaged.
        """
        sealed = self._sealed()
        return None if sealed is None else sealed.key

    def read(self) -> dict[str, str]:
        """Everything; empty when nothing was ever stored.

        Raises:
            SetupError: no key, another key, or a file that is damaged or open to others.
        """
        sealed = self._sealed()
        return {} if sealed is None else self._open(sealed, self._find_key())

    def change(self, values: Mapping[str, str | None]) -> None:
        """Set values; ``None`` removes one. Nothing is lost when it fails.

        Raises:
            SetupError: as ``read``, or the disk did not take it.
        """
        key = self._find_key()
        with self._folder.locked():
            sealed = self._sealed()
            secrets = {} if sealed is None else self._open(sealed, key)
            for name, value in values.items():
                if value is None:
                    secrets.pop(name, None)
                else:
                    secrets[name] = value
            self._write(secrets, key)

    def rotate(self, new_key: MasterKey) -> int:
        """Encrypt everything with another key; the old one opens nothing any more. Returns how many there are.

        Raises:
            SetupError: as ``change``; the file is what it was then.
        """
        old = self._find_key()
        with self._folder.locked():
            sealed = self._sealed()
            secrets = {} if sealed is None else self._open(sealed, old)
            self._write(secrets, new_key)
        return len(secrets)

    def _sealed(self) -> Sealed | None:
        data = self._folder.read(FILE)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=Sealed)
        except msgspec.DecodeError:
            raise SetupError(f"{self.path} is damaged; remove it and log in again.") from None

    def _open(self, sealed: Sealed, key: MasterKey) -> dict[str, str]:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - a tenth of a second, only where a secret is
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        if sealed.key != key.fingerprint:
            raise SetupError(
                f"{self.path} was encrypted with the key {sealed.key}; the one from the {key.origin} is "
                f"{key.fingerprint}. Give the right one, or remove the file and log in again. {HOW}"
            )
        try:
            nonce, text = base64.b64decode(sealed.nonce), base64.b64decode(sealed.sealed)
            plain = AESGCM(key.key).decrypt(nonce, text, _bound(sealed))
            return msgspec.json.decode(plain, type=dict[str, str])
        except (InvalidTag, ValueError):
            raise SetupError(f"{self.path} was changed or is damaged; remove it and log in again.") from None

    def _write(self, secrets: Mapping[str, str], key: MasterKey) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above

        nonce = self._random_bytes(NONCE_BYTES)
        head = Sealed(key=key.fingerprint, nonce=base64.b64encode(nonce).decode("ascii"), sealed="")
        text = AESGCM(key.key).encrypt(nonce, msgspec.json.encode(dict(secrets)), _bound(head))
        whole = msgspec.structs.replace(head, sealed=base64.b64encode(text).decode("ascii"))
        self._folder.write(FILE, msgspec.json.encode(whole))


def _bound(sealed: Sealed) -> bytes:
    """What the ciphertext is bound to."""
    return f"{sealed.format}|{sealed.cipher}|{sealed.key}".encode("ascii")
