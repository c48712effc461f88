"""Secrets at rest: the key, the encrypted file, and what is looked for where."""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from engine.core.errors import InvalidInput, SetupError
from workstation.secrets.book import SecretBook, check_name, variable_of
from workstation.secrets.master_key import (
    KEY_BYTES,
    KEY_VARIABLE,
    KEYRING_SERVICE,
    Keyring,
    KeySources,
    MasterKey,
    keep_in_keyring,
    key_text,
    read_key,
)
from workstation.secrets.vault import FILE, Vault


class Drawer(KeyringBackend):
    """A keyring that keeps what it is given."""

    priority = 1.0

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked("locked")
        self.kept[service, username] = password


def new_key() -> MasterKey:
    """A key nobody else has."""
    return MasterKey(secrets.token_bytes(KEY_BYTES), "environment")


def vault(folder: Path, key: MasterKey) -> Vault:
    """A vault with this key."""
    return Vault(folder / "secrets", lambda: key, random_bytes=secrets.token_bytes)


def sources(
    environment: dict[str, str] | None = None, *, command: str = "", keyring: Callable[[], Keyring] | None = None
) -> KeySources:
    """Key sources with nothing else in them."""
    return KeySources(environment or {}, key_command=command, keyring=keyring, timeout_s=10.0)


def test_what_is_kept_is_read_back_and_cannot_be_seen(tmp_path: Path) -> None:
    """The values come back; the file shows none of them and none of their names, and is ours alone."""
    key, value = new_key(), secrets.token_hex(16)
    vault(tmp_path, key).change({"kite_api_secret.AB1234": value, "kite_api_key": "public"})
    path = tmp_path / "secrets" / FILE
    raw = path.read_bytes()
    assert value.encode() not in raw
    assert b"kite_api" not in raw
    assert key_text(key.key).encode() not in raw
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert vault(tmp_path, key).read() == {"kite_api_secret.AB1234": value, "kite_api_key": "public"}


def test_a_wider_mode_is_refused(tmp_path: Path) -> None:
    """A file others can read is not used, and says what to do."""
    key = new_key()
    vault(tmp_path, key).change({"name": "value"})
    (tmp_path / "secrets" / FILE).chmod(0o640)
    with pytest.raises(SetupError, match="chmod 600"):
        vault(tmp_path, key).read()


def test_another_key_opens_nothing_and_destroys_nothing(tmp_path: Path) -> None:
    """Reading and writing with a wrong key fail in words without a key in them; the file stays as it was."""
    key, wrong = new_key(), new_key()
    vault(tmp_path, key).change({"name": "value"})
    before = (tmp_path / "secrets" / FILE).read_bytes()
    for attempt in (vault(tmp_path, wrong).read, lambda: vault(tmp_path, wrong).change({"name": "other"})):
        with pytest.raises(SetupError, match=key.fingerprint) as caught:
            attempt()
        assert key_text(wrong.key) not in str(caught.value)
    assert (tmp_path / "secrets" / FILE).read_bytes() == before


@pytest.mark.parametrize("field", ["nonce", "sealed", "key", "cipher", "format"])
def test_what_was_changed_by_hand_is_refused(tmp_path: Path, field: str) -> None:
    """Every part of the file is bound to the ciphertext."""
    key = new_key()
    vault(tmp_path, key).change({"name": "value"})
    path = tmp_path / "secrets" / FILE
    document = json.loads(path.read_text())
    if field == "format":
        document[field] = 2
    elif field in {"nonce", "sealed"}:
        raw = bytearray(base64.b64decode(document[field]))
        raw[0] ^= 1
        document[field] = base64.b64encode(bytes(raw)).decode()
    else:
        document[field] = document[field][:-1] + ("0" if document[field][-1] != "0" else "1")
    path.write_text(json.dumps(document))
    with pytest.raises(SetupError):
        vault(tmp_path, key).read()


def test_no_nonce_is_used_twice(tmp_path: Path) -> None:
    """Every write asks for fresh random bytes, and an unchanged value looks different each time."""
    key, asked = new_key(), itertools.count()

    def random_bytes(count: int) -> bytes:
        next(asked)
        return secrets.token_bytes(count)

    kept = Vault(tmp_path / "secrets", lambda: key, random_bytes=random_bytes)
    seen = set()
    for _ in range(5):
        kept.change({"name": "value"})
        seen.add((tmp_path / "secrets" / FILE).read_bytes())
    assert next(asked) == 5
    assert len(seen) == 5


def test_a_removed_value_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    """``None`` removes; removing what is not there changes nothing."""
    key = new_key()
    vault(tmp_path, key).change({"one": "1", "two": "2"})
    vault(tmp_path, key).change({"one": None, "three": None})
    assert vault(tmp_path, key).read() == {"two": "2"}


def test_rotation_leaves_the_old_key_useless(tmp_path: Path) -> None:
    """After it the new key opens everything and the old one nothing."""
    old, new = new_key(), new_key()
    vault(tmp_path, old).change({"one": "1", "two": "2"})
    assert vault(tmp_path, old).rotate(new) == 2
    assert vault(tmp_path, new).read() == {"one": "1", "two": "2"}
    with pytest.raises(SetupError):
        vault(tmp_path, old).read()


def test_a_damaged_file_is_said_and_kept(tmp_path: Path) -> None:
    """Half a file is no empty vault: nothing is overwritten."""
    key = new_key()
    vault(tmp_path, key).change({"one": "1"})
    path = tmp_path / "secrets" / FILE
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(SetupError, match="damaged"):
        vault(tmp_path, key).change({"two": "2"})
    assert len(path.read_bytes()) == 20


def test_the_key_is_looked_for_in_order(tmp_path: Path) -> None:
    """Environment before program before keyring; nothing anywhere is ``None``, and ``need`` says how to make one."""
    drawer, keys = Drawer(), [new_key() for _ in range(3)]
    program = tmp_path / "key.py"
    program.write_text(f"print({key_text(keys[1].key)!r})")
    command = f"{sys.executable} {program}"
    keep_in_keyring(drawer, keys[2].key)
    everywhere = sources({KEY_VARIABLE: key_text(keys[0].key)}, command=command, keyring=lambda: drawer)
    found = [everywhere, sources(command=command, keyring=lambda: drawer), sources(keyring=lambda: drawer)]
    assert [(item.need().key, item.need().origin) for item in found] == [
        (keys[0].key, "environment"),
        (keys[1].key, "key_command"),
        (keys[2].key, "keyring"),
    ]
    assert sources().find() is None
    with pytest.raises(SetupError, match="secrets init"):
        sources(keyring=Drawer).need()


def test_no_key_is_ever_made_by_looking(tmp_path: Path) -> None:
    """Reading without a key and writing without a key fail, and leave neither a key nor a file."""
    drawer = Drawer()
    kept = Vault(tmp_path / "secrets", sources(keyring=lambda: drawer).need, random_bytes=secrets.token_bytes)
    assert kept.read() == {}
    with pytest.raises(SetupError, match="no key"):
        kept.change({"name": "value"})
    assert drawer.kept == {}
    assert not (tmp_path / "secrets" / FILE).exists()


@pytest.mark.parametrize(
    "source",
    [
        {"environment": {KEY_VARIABLE: "short"}},
        {"environment": {KEY_VARIABLE: "é" * 44}},
        {"command": "/nowhere/at/all"},
        {"command": f"{sys.executable} -c 'raise SystemExit(3)'"},
        {"command": f"{sys.executable} -c 'print(1)'"},
    ],
)
def test_a_source_that_gives_no_key_is_named(source: dict[str, object]) -> None:
    """Its own trouble is said; it is not passed over for the next source."""
    with pytest.raises(SetupError):
        sources(**source, keyring=Drawer).find()  # type: ignore[arg-type]  # either keyword


def test_a_locked_keyring_is_said() -> None:
    """It is no missing key."""
    drawer = Drawer()
    drawer.locked = True
    with pytest.raises(SetupError, match="keyring"):
        sources(keyring=lambda: drawer).find()
    with pytest.raises(SetupError, match="keyring"):
        keep_in_keyring(drawer, new_key().key)


@given(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_a_key_survives_its_text(key: bytes) -> None:
    """What is printed is what is read."""
    assert read_key(key_text(key) + "\n", origin="environment").key == key


def test_a_key_is_never_part_of_its_words() -> None:
    """Neither its bytes nor its text are in ``repr``."""
    key = new_key()
    assert key_text(key.key) not in repr(key)
    assert repr(key.key) not in repr(key)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """For one process, without touching what is kept; an account's own secret wins over the common one."""
    key = new_key()
    kept = vault(tmp_path, key)
    kept.change({"kite_api_key": "common", "kite_api_key.AB1234": "own"})
    plain = SecretBook({}, kept)
    assert plain.need("kite_api_key", account="AB1234") == "own"
    assert plain.need("kite_api_key", account="CD5678") == "common"
    given = SecretBook({variable_of("kite_api_key.AB1234"): "given"}, kept)
    assert given.need("kite_api_key", account="AB1234") == "given"
    with pytest.raises(SetupError, match="WORKSTATION_SECRET_KITE_API_SECRET_AB1234"):
        plain.need("kite_api_secret", account="AB1234")


def test_the_keyring_may_hold_secrets_too(tmp_path: Path) -> None:
    """It is asked before the file."""
    drawer = Drawer()
    drawer.set_password(KEYRING_SERVICE, "kite_api_key", "from the keyring")
    book = SecretBook({}, vault(tmp_path, new_key()), keyring=lambda: drawer)
    assert book.find("kite_api_key") == "from the keyring"
    assert book.find("kite_api_secret") is None


@pytest.mark.parametrize("name", ["", "Upper", "a b", "a.", ".b", "a.b.c", "session.AB1234", "a" * 65, "../x"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    """Names of sessions and odd ones; the sentence says what is allowed."""
    with pytest.raises(InvalidInput, match="lower-case"):
        check_name(name)


def test_a_list_shows_names_without_sessions(tmp_path: Path) -> None:
    """Day sessions are not a person's secrets."""
    kept = vault(tmp_path, new_key())
    kept.change({"session.AB1234": "{}", "kite_api_key": "k"})
    assert SecretBook({}, kept).names() == ("kite_api_key",)
