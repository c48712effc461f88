"""The key that encrypts the secrets at rest: where it is looked for, and how a person makes one.

It is never made silently, never written beside what it encrypts, and never part of a sentence or a log line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import shlex
import subprocess
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from engine.core.errors import SetupError

KEY_VARIABLE = "WORKSTATION_SECRETS_KEY"
KEY_BYTES = 32
KEYRING_SERVICE = "workstation"
KEYRING_USER = "secrets key"
FINGERPRINT_DIGITS = 12
FINGERPRINT_PREFIX = b"workstation secrets key"
HOW = (
    "Make one with `workstation secrets init --keyring`, or with `workstation secrets init --print` and give it in "
    f"{KEY_VARIABLE} or by the program in [secrets] key_command."
)


class Keyring(Protocol):
    """The operating system's store of passwords, as the ``keyring`` package offers it."""

    def get_password(self, service: str, username: str) -> str | None:
        """What is stored, if anything."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store."""
        ...


class MasterKey(msgspec.Struct, frozen=True):
    """A key of 256 bits and where it came from."""

    key: bytes
    origin: str
    """``environment``, ``key_command`` or ``keyring``."""

    @property
    def fingerprint(self) -> str:
        """Tells one key from another without telling anything of either."""
        return hashlib.sha256(FINGERPRINT_PREFIX + self.key).hexdigest()[:FINGERPRINT_DIGITS]

    def __repr__(self) -> str:
        return f"MasterKey({self.fingerprint}, {self.origin})"


def key_text(key: bytes) -> str:
    """A key as people hand it on: base64 for URLs, 44 characters."""
    return base64.urlsafe_b64encode(key).decode("ascii")


def read_key(text: str, *, origin: str) -> MasterKey:
    """Read a key from its text.

    Raises:
        SetupError: it is not 32 bytes in base64; the text itself is not repeated.
    """
    try:
        key = base64.b64decode(text.strip().encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SetupError(f"The secrets key from the {origin} is not {KEY_BYTES} bytes in base64. {HOW}")
    return MasterKey(key, origin)


class KeySources:
    """Looks for the key: the environment first, then a program, then the keyring.

    Args:
        environment: The process's variables.
        key_command: A program and its arguments that prints the key (a key management service); empty for none.
        keyring: Loads the operating system's keyring; called only when the others have nothing. ``None`` where it is
            not to be asked.
        timeout_s: Longest wait for the program.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        key_command: str,
        keyring: Callable[[], Keyring] | None,
        timeout_s: float,
    ) -> None:
        self._environment = environment
        self._key_command = key_command
        self._keyring = keyring
        self._timeout_s = timeout_s

    def find(self) -> MasterKey | None:
        """The key in force; ``None`` when there is none anywhere.

        Raises:
            SetupError: a source answers with something that is no key, or does not answer.
        """
        if text := self._environment.get(KEY_VARIABLE):
            return read_key(text, origin="environment")
        if self._key_command:
            return read_key(self._ask_program(), origin="key_command")
        if self._keyring is not None:
            text = ask_keyring(self._keyring(), KEYRING_USER)
            if text is not None:
                return read_key(text, origin="keyring")
        return None

    def need(self) -> MasterKey:
        """The key in force.

        Raises:
            SetupError: there is none; says how to make one.
        """
        found = self.find()
        if found is None:
            raise SetupError(f"There is no key for the encrypted secrets. {HOW}")
        return found

    def _ask_program(self) -> str:
        words = shlex.split(self._key_command)
        try:
            answer = subprocess.run(words, capture_output=True, timeout=self._timeout_s, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SetupError(f"[secrets] key_command: {words[0]} did not answer ({type(error).__name__}).") from None
        if answer.returncode:
            raise SetupError(f"[secrets] key_command: {words[0]} ended with {answer.returncode}.")
        return answer.stdout.decode("ascii", "replace")


def ask_keyring(keyring: Keyring, name: str) -> str | None:
    """What the keyring holds under a name; ``None`` when it holds nothing, or this machine has no keyring.

    Raises:
        SetupError: there is one, and it does not answer (locked, refused).
    """
    from keyring.errors import KeyringError, NoKeyringError  # noqa: PLC0415 - loads the platform's backends

    try:
        return keyring.get_password(KEYRING_SERVICE, name)
    except NoKeyringError:
        return None
    except KeyringError as error:
        raise SetupError(
            f"The keyring of this machine does not answer ({type(error).__name__}); unlock it, or set [secrets] "
            "keyring = false and use the environment."
        ) from None


def system_keyring() -> Keyring:
    """The operating system's keyring."""
    import keyring  # noqa: PLC0415 - loading its backends takes a tenth of a second

    return keyring.get_keyring()


def keep_in_keyring(keyring: Keyring, key: bytes) -> None:
    """Store a key in the keyring.

    Raises:
        SetupError: this machine has none that takes it.
    """
    from keyring.errors import KeyringError  # noqa: PLC0415 - loads the platform's backends

    try:
        keyring.set_password(KEYRING_SERVICE, KEYRING_USER, key_text(key))
    except KeyringError as error:
        raise SetupError(
            f"This machine has no keyring that takes the key ({type(error).__name__}); use --print and {KEY_VARIABLE}."
        ) from None
