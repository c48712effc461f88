"""Secrets by name: the environment's, the keyring's, the encrypted file's, in this order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from engine.core.errors import InvalidInput, SetupError
from workstation.secrets.master_key import Keyring, ask_keyring
from workstation.secrets.vault import Vault

VARIABLE_PREFIX = "WORKSTATION_SECRET_"
API_KEY = "kite_api_key"
API_SECRET = "kite_api_secret"  # noqa: S105 - the name of a secret
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}(?:\.[A-Za-z0-9]{1,32})?", re.ASCII)
SESSION_PREFIX = "session."


def variable_of(name: str) -> str:
    """The environment variable that gives a secret: ``kite_api_key.AB1234`` is ``…_KITE_API_KEY_AB1234``."""
    return VARIABLE_PREFIX + name.replace(".", "_").upper()


def check_name(name: str) -> str:
    """The name itself.

    Raises:
        InvalidInput: it cannot be the name of a secret; says what can.
    """
    if NAME.fullmatch(name) is None or name.startswith(SESSION_PREFIX):
        raise InvalidInput(
            f'"{name[:80]}" cannot name a secret: lower-case letters, digits and _, and after a dot the account, as in '
            f"{API_KEY}.AB1234.",
            field="name",
        )
    return name


class SecretBook:
    """Finds secrets and keeps them.

    Args:
        environment: The process's variables.
        vault: The encrypted file.
        keyring: Loads the operating system's keyring; ``None`` where it is not to be asked.
    """

    def __init__(
        self, environment: Mapping[str, str], vault: Vault, *, keyring: Callable[[], Keyring] | None = None
    ) -> None:
        self._environment = environment
        self._keyring = keyring
        self.vault = vault

    def find(self, name: str) -> str | None:
        """A secret's value; ``None`` when it is nowhere.

        Raises:
            SetupError: the encrypted file cannot be opened.
        """
        if value := self._environment.get(variable_of(name)):
            return value
        if self._keyring is not None and (value := ask_keyring(self._keyring(), name)):
            return value
        return self.vault.read().get(name) if self.vault.is_there() else None

    def need(self, name: str, *, account: str) -> str:
        """A secret of an account: its own, else the one for all accounts.

        Raises:
            SetupError: it is nowhere; says where it can be given.
        """
        own = f"{name}.{account}"
        value = self.find(own) or self.find(name)
        if value is None:
            raise SetupError(
                f"There is no {name} for {account}. Give it with `workstation secrets set {own}` or in the environment "
                f"variable {variable_of(own)}."
            )
        return value

    def names(self) -> tuple[str, ...]:
        """What the encrypted file holds, by name; day sessions are not among them."""
        return tuple(sorted(name for name in self.vault.read() if not name.startswith(SESSION_PREFIX)))
