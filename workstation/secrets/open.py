"""Opens the secrets of a data folder as the settings say."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from workstation.locations import Locations
from workstation.secrets.book import SecretBook
from workstation.secrets.master_key import KeySources, system_keyring
from workstation.secrets.vault import Vault
from workstation.settings import Configuration


def key_sources(configuration: Configuration, environment: Mapping[str, str]) -> KeySources:
    """Where the key is looked for."""
    settings = configuration.secrets
    return KeySources(
        environment,
        key_command=settings.key_command,
        keyring=system_keyring if settings.keyring else None,
        timeout_s=settings.key_command_timeout_s,
    )


def open_secrets(configuration: Configuration, locations: Locations, environment: Mapping[str, str]) -> SecretBook:
    """The secrets; nothing is read before one is asked for."""
    sources = key_sources(configuration, environment)
    vault = Vault(locations.vault, sources.need, random_bytes=secrets.token_bytes)
    return SecretBook(environment, vault, keyring=system_keyring if configuration.secrets.keyring else None)
