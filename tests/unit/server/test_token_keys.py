"""The keys that sign tokens: made once, pinned to their algorithm, never shown, refused when the file is not right."""

from __future__ import annotations

import base64
import io
import json
import os
import pprint
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from rich.console import Console
from rich.pretty import Pretty

from engine.core.errors import SetupError
from engine.server.private_files import PrivateFolder
from engine.server.token_keys import KEYS_FILE, SECRET_BYTES, Algorithm, KeyFile, KeySet, SigningKey

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)
PROCESSES = 4
CREATOR = """
import secrets, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from engine.server.access import Scope
from engine.server.tokens import TokenBook
book = TokenBook(
    Path(sys.argv[1]), audience="practice", now=lambda: datetime.now(UTC), random_bytes=secrets.token_bytes
)
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
print(book.create(name="a", scopes=frozenset({Scope.READ}), accounts=None, lifetime=timedelta(hours=1))[0])
"""


@pytest.fixture
def folder(tmp_path: Path) -> PrivateFolder:
    """A folder that is not there yet."""
    return PrivateFolder(tmp_path / "keys")


def opened(folder: PrivateFolder) -> KeyFile:
    """A reader of the keys with its own memory."""
    return KeyFile(folder, now=lambda: NOW, random_bytes=os.urandom)


def made(folder: PrivateFolder) -> SigningKey:
    """The first key."""
    with folder.locked():
        return opened(folder).signer()


def content(folder: PrivateFolder) -> dict[str, Any]:
    """The file as it lies there."""
    found: dict[str, Any] = json.loads((folder.path / KEYS_FILE).read_bytes())
    return found


def rewrite(folder: PrivateFolder, data: object) -> None:
    """Put another file in its place, as a person would."""
    with folder.locked():
        folder.write(KEYS_FILE, data if isinstance(data, bytes) else json.dumps(data).encode())


def test_reading_makes_nothing(folder: PrivateFolder) -> None:
    """Only making a token makes a key: a door that verifies never invents one."""
    assert opened(folder).keys() is None
    assert not folder.path.exists()


def test_the_first_key_is_strong_and_stays(folder: PrivateFolder) -> None:
    """All its bytes come from the given randomness; later users get the same."""
    key = made(folder)
    assert key.algorithm is Algorithm.HS256
    assert len(key.secret) == SECRET_BYTES
    assert len(set(key.secret)) > 16
    assert made(folder) == key
    keys = opened(folder).keys()
    assert keys is not None
    assert keys.signer == key
    assert keys.key(key.kid) == key
    assert keys.key("0" * 16) is None


def test_two_venues_have_different_keys(tmp_path: Path) -> None:
    """Neither the secret nor its id is ever the same."""
    one, two = made(PrivateFolder(tmp_path / "one")), made(PrivateFolder(tmp_path / "two"))
    assert one.secret != two.secret
    assert one.kid != two.kid


def test_the_file_holds_a_set_of_keys(folder: PrivateFolder) -> None:
    """A key of the past still verifies beside the one that signs: keys can be changed and nobody is closed out."""
    old = made(folder)
    data = content(folder)
    fresh = {**data["keys"][0], "kid": "f" * 16, "secret": base64.b64encode(os.urandom(64)).decode()}
    reader = opened(folder)
    assert reader.keys() is not None
    rewrite(folder, {**data, "active": fresh["kid"], "keys": [*data["keys"], fresh]})
    keys = reader.keys()
    assert keys is not None
    assert keys.signer.kid == fresh["kid"]
    assert keys.key(old.kid) == old


def _without(data: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != name}


def _with_key(data: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {**data, "keys": [{**data["keys"][0], **changes}]}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: b"", "cannot be used"),
        (lambda data: b"not json", "malformed"),
        (lambda data: json.dumps(data).encode()[:-5], "truncated"),
        (lambda data: b"\xff\xfe", "cannot be used"),
        (lambda data: b'{"active":"\xff"}', "can't decode byte"),
        (lambda data: b"[" * 100_000, "cannot be used"),
        (lambda data: [], "Expected `object`"),
        (lambda data: {**data, "format": 2}, "its format is 2"),
        (lambda data: _without(data, "active"), "missing required field `active`"),
        (lambda data: {**data, "active": "0" * 16}, "active key is not among"),
        (lambda data: {**data, "keys": []}, "needs 1 to"),
        (lambda data: {**data, "keys": data["keys"] * 2}, "different ids"),
        (lambda data: {**data, "more": 1}, "unknown field"),
        (lambda data: _with_key(data, secret=base64.b64encode(os.urandom(31)).decode()), "shorter than 32 bytes"),
        (lambda data: _with_key(data, secret=""), "shorter than 32 bytes"),
        (lambda data: _with_key(data, secret="***"), "base64"),
        (lambda data: _with_key(data, algorithm="none"), "Invalid enum value"),
        (lambda data: _with_key(data, algorithm="RS256"), "Invalid enum value"),
        (lambda data: _with_key(data, kid="../../etc"), "matching regex"),
        (lambda data: _with_key(data, kid=7), "Expected `str`"),
    ],
)
def test_a_file_that_is_not_right_opens_nothing(
    folder: PrivateFolder, spoil: Callable[[dict[str, Any]], object], words: str
) -> None:
    """The words say what is wrong and what can be done; no key of it is used, not even one that could be read."""
    key = made(folder)
    reader = opened(folder)
    assert reader.keys() is not None
    rewrite(folder, spoil(content(folder)))
    for keys in (reader.keys, opened(folder).keys, reader.keys):
        with pytest.raises(SetupError, match=words) as caught:
            keys()
        assert "remove it" in str(caught.value)
        assert base64.b64encode(key.secret).decode() not in str(caught.value)
    with folder.locked(), pytest.raises(SetupError, match=words):
        reader.signer()


def test_keys_that_others_may_read_sign_and_verify_nothing(folder: PrivateFolder) -> None:
    """Not even by somebody who has read them before the mode was changed."""
    made(folder)
    reader = opened(folder)
    assert reader.keys() is not None
    (folder.path / KEYS_FILE).chmod(0o640)
    with pytest.raises(SetupError, match="chmod 600"):
        reader.keys()
    with folder.locked(), pytest.raises(SetupError, match="chmod 600"):
        reader.signer()


def test_a_secret_shows_itself_nowhere(folder: PrivateFolder) -> None:
    """Not by any way a log line, an error page or a printer makes text of an object."""
    key = made(folder)
    keys = KeySet(active=key.kid, keys=(key,))
    page = io.StringIO()
    Console(file=page, width=500).print(Pretty(keys), Pretty(key, expand_all=True))
    texts = [page.getvalue()]
    for item in (key, keys, opened(folder), folder):
        texts += [repr(item), str(item), f"{item}", pprint.pformat(item)]
    encoded = base64.b64encode(key.secret).decode()
    for text in texts:
        assert repr(key.secret)[2:20] not in text
        assert encoded[:12] not in text
        assert key.secret.hex()[:12] not in text
    assert key.kid in repr(keys)


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    """Each makes a token in the same moment on an empty folder: one key, and every token is good and recorded."""
    path = tmp_path / "keys"
    creators = [
        subprocess.Popen(
            [sys.executable, "-c", CREATOR, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for creator in creators:
        assert creator.stdout is not None
        assert creator.stdout.readline() == "ready\n"
    for creator in creators:
        assert creator.stdin is not None
        creator.stdin.write("\n")
        creator.stdin.flush()
    tokens = [creator.communicate(timeout=60)[0].strip() for creator in creators]
    assert [creator.returncode for creator in creators] == [0] * PROCESSES
    (key,) = content(PrivateFolder(path))["keys"]
    secret = base64.b64decode(key["secret"])
    subjects = {jwt.decode(token, secret, algorithms=["HS256"], audience="practice")["jti"] for token in tokens}
    recorded = json.loads((path / "tokens.json").read_bytes())["tokens"]
    assert {record["token_id"] for record in recorded} == subjects
    assert len(subjects) == PROCESSES
