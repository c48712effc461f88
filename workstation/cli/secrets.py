"""``workstation secrets``: the key that encrypts them, and what is kept with it. No secret is ever printed."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
from collections.abc import Mapping

from engine.core.errors import InvalidInput, Refused
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_table, print_text, print_words
from workstation.locations import Locations
from workstation.secrets.book import check_name
from workstation.secrets.master_key import (
    KEY_BYTES,
    KEY_VARIABLE,
    MasterKey,
    keep_in_keyring,
    key_text,
    read_key,
    system_keyring,
)
from workstation.secrets.open import key_sources, open_secrets
from workstation.settings import Configuration

NEW_KEY_VARIABLE = "WORKSTATION_SECRETS_NEW_KEY"
SECRET_LENGTH_MAX = 4096


def run_secrets(
    configuration: Configuration, locations: Locations, options: argparse.Namespace, environment: Mapping[str, str]
) -> ExitCode:
    """Run one step."""
    locations.make()
    match options.step:
        case "init":
            return _init(configuration, locations, options, environment)
        case "rotate":
            return _rotate(configuration, locations, options, environment)
        case "set":
            return _set(configuration, locations, options.name, environment)
        case "remove":
            book = open_secrets(configuration, locations, environment)
            name = check_name(options.name)
            if name not in book.names():
                raise InvalidInput(f"There is no secret {name}; there are {', '.join(book.names()) or 'none'}.")
            book.vault.change({name: None})
            print_words(f"{name} is removed.")
            return ExitCode.DONE
        case _:
            return _list(configuration, locations, environment, as_json=options.json)


def _init(
    configuration: Configuration, locations: Locations, options: argparse.Namespace, environment: Mapping[str, str]
) -> ExitCode:
    sources = key_sources(configuration, environment)
    found = sources.find()
    book = open_secrets(configuration, locations, environment)
    if found is not None:
        raise Refused(
            f"There is a key already, {found.fingerprint} from the {found.origin}; `workstation secrets rotate` "
            "replaces it."
        )
    if book.vault.is_there():
        raise Refused(
            f"{book.vault.path} was encrypted with the key {book.vault.fingerprint()}, which is not here; a new key "
            "would not open it. Bring the key back, or remove the file and log in again."
        )
    _hand_out(secrets.token_bytes(KEY_BYTES), to_keyring=options.keyring)
    return ExitCode.DONE


def _hand_out(key: bytes, *, to_keyring: bool) -> None:
    if to_keyring:
        keep_in_keyring(system_keyring(), key)
        print_words(f"The key {MasterKey(key, 'keyring').fingerprint} is in this machine's keyring.")
        return
    print_text(key_text(key))
    print_words(
        f"This is the key {MasterKey(key, 'environment').fingerprint}. It is shown this once and kept nowhere: give it "
        f"in {KEY_VARIABLE}, or by the program in [secrets] key_command. Whoever has it can read the secrets."
    )


def _rotate(
    configuration: Configuration, locations: Locations, options: argparse.Namespace, environment: Mapping[str, str]
) -> ExitCode:
    book = open_secrets(configuration, locations, environment)
    given = environment.get(NEW_KEY_VARIABLE)
    new = read_key(given, origin="environment") if given else MasterKey(secrets.token_bytes(KEY_BYTES), "environment")
    old = key_sources(configuration, environment).need()
    if options.keyring and old.origin != "keyring":
        raise Refused(
            f"The key in force comes from the {old.origin}, which would still win over the keyring; take it away there "
            "first, or rotate with --print."
        )
    if options.keyring:
        # The old key goes only when the file is already under the new one: a crash between leaves one that can be
        # brought back, because the new key is printed as well.
        print_text(key_text(new.key))
    count = book.vault.rotate(new)
    if options.keyring:
        keep_in_keyring(system_keyring(), new.key)
        print_words(f"{count} secrets are under the key {new.fingerprint} now; it is in the keyring.")
    else:
        if not given:
            print_text(key_text(new.key))
        print_words(
            f"{count} secrets are under the key {new.fingerprint} now; {old.fingerprint} opens nothing any more."
        )
    return ExitCode.DONE


def _set(configuration: Configuration, locations: Locations, name: str, environment: Mapping[str, str]) -> ExitCode:
    name = check_name(name)
    book = open_secrets(configuration, locations, environment)
    # Never on the command line: others on this machine can read that.
    value = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline(SECRET_LENGTH_MAX + 1)
    value = value.strip()
    if not value or len(value) > SECRET_LENGTH_MAX:
        raise InvalidInput(f"A secret has 1 to {SECRET_LENGTH_MAX} characters; nothing was kept.", field="value")
    book.vault.change({name: value})
    print_words(f"{name} is kept, encrypted, in {book.vault.path}.")
    return ExitCode.DONE


def _list(
    configuration: Configuration, locations: Locations, environment: Mapping[str, str], *, as_json: bool
) -> ExitCode:
    book = open_secrets(configuration, locations, environment)
    names = book.names() if book.vault.is_there() else ()
    if as_json:
        print_json({"key": book.vault.fingerprint(), "names": names})
        return ExitCode.DONE
    print_table(["name"], [[name] for name in names])
    print_words(f"{len(names)} secrets in {book.vault.path}; values are never shown.")
    return ExitCode.DONE
