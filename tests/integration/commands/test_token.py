"""``workstation token``: made, listed and revoked by processes of their own, and seen at once by whoever verifies.

What words are refused, and what is written down, is the same whoever runs the command: that is asked in this process.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from engine.core.errors import Unauthorized
from engine.server.access import Scope
from engine.server.tokens import TokenBook
from tests.integration.commands.console import COMMAND_S, REPOSITORY, Said, environment
from workstation.cli.exit_codes import ExitCode
from workstation.cli.main import main
from workstation.locations import Locations

VENUE = "practice"
MARGIN = timedelta(minutes=2)


class Shell:
    """Runs commands on a data folder of its own; neither an engine nor a database is ever there."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.data = folder / "data"
        self.locations = Locations(self.data)
        self.folder = self.locations.tokens(VENUE)

    def run(self, *words: str) -> Said:
        """Run ``workstation WORDS`` to its end."""
        process = subprocess.run(
            [sys.executable, "-m", "workstation.cli.main", "--data", str(self.data), *words],
            cwd=REPOSITORY,
            env=environment(self.home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert "Traceback" not in process.stderr, process.stderr
        return Said(code=process.returncode, out=process.stdout, words=process.stderr)

    def here(self, *words: str) -> Said:
        """Run ``workstation WORDS`` in this process, in a thread without a loop, with a process's surroundings."""
        out, said = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, environment(self.home), clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(said),
            ThreadPoolExecutor(1) as executor,
        ):
            try:
                code = executor.submit(main, ["--data", str(self.data), *words]).result(COMMAND_S)
            except SystemExit as end:
                code = int(end.code or 0)
        return Said(code=code, out=out.getvalue(), words=said.getvalue())

    def book(self, venue: str = VENUE) -> TokenBook:
        """The tokens as an engine's door sees them."""
        return TokenBook(
            self.locations.tokens(venue), audience=venue, now=lambda: datetime.now(UTC), random_bytes=os.urandom
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A new data folder."""
    return Shell(tmp_path)


def test_a_token_from_its_making_to_its_end(shell: Shell) -> None:
    """Created, accepted, listed, revoked, refused; the book of a running door sees the revocation."""
    before = datetime.now(UTC)
    made = shell.run(
        *("token", "create", "--scope", "read,trade", "--scope", "kill", "--expires", "8h"),
        *("--name", "laptop", "--account", "AB1234", "--account", "CD5678"),
    )
    assert made.code == ExitCode.DONE, made.words
    token = made.out.removesuffix("\n")
    assert token.count(".") == 2
    assert token.split() == [token], "the token stands alone on standard output"
    assert token not in made.words
    assert "WORKSTATION_TOKEN" in made.words
    assert "--token-file" in made.words
    assert "never in a URL" in made.words

    door = shell.book()
    grant = door.verify(token)
    assert grant.name == "laptop"
    assert grant.scopes == {Scope.READ, Scope.TRADE, Scope.KILL}
    assert grant.accounts == ("AB1234", "CD5678")
    assert grant.expires_at is not None
    assert timedelta(hours=8) - MARGIN < grant.expires_at - before < timedelta(hours=8) + MARGIN
    assert grant.token_id in made.words

    listed = shell.run("token", "list", "--json")
    assert listed.code == ExitCode.DONE
    (row,) = listed.data
    assert row["id"] == grant.token_id
    assert row["name"] == "laptop"
    assert row["scopes"] == ["read", "trade", "kill"]
    assert row["accounts"] == ["AB1234", "CD5678"]
    assert row["venue"] == VENUE
    assert row["state"] == "valid"
    assert set(row) == {"id", "name", "scopes", "accounts", "venue", "created_at", "expires_at", "state"}

    revoked = shell.run("token", "revoke", grant.token_id)
    assert revoked.code == ExitCode.DONE, revoked.words
    assert revoked.out == ""
    assert door.is_revoked(grant.token_id)
    with pytest.raises(Unauthorized) as caught:
        door.verify(token)
    assert caught.value.reason == "revoked"
    assert shell.run("token", "list", "--json").data[0]["state"] == "revoked"
    table = shell.run("token", "list").out
    assert grant.token_id in table
    assert "read,trade,kill" in table
    assert "revoked" in table


def test_the_json_of_a_new_token(shell: Shell) -> None:
    """One document with the token and all that is known of it; without a name it is called by its scopes."""
    made = shell.run("token", "create", "--scope", "admin", "--expires", "52w", "--json")
    assert made.code == ExitCode.DONE, made.words
    data = made.data
    grant = shell.book().verify(data["token"])
    assert data["id"] == grant.token_id
    assert data["name"] == grant.name == "admin"
    assert data["scopes"] == ["admin"]
    assert data["accounts"] is None
    assert grant.accounts is None
    lasts = datetime.fromisoformat(data["expires_at"]) - datetime.fromisoformat(data["created_at"])
    assert lasts == timedelta(weeks=52)


def test_a_token_opens_the_venue_it_was_made_for_alone(shell: Shell) -> None:
    """Another practice market is another venue: another folder, other keys, another audience."""
    token = shell.here("--seed", "8", "token", "create", "--scope", "read", "--expires", "1d", "--json").data
    assert token["venue"].startswith("practice-")
    shell.book(token["venue"]).verify(token["token"])
    with pytest.raises(Unauthorized):
        shell.book().verify(token["token"])
    other = TokenBook(
        shell.locations.tokens(token["venue"]),
        audience=VENUE,
        now=lambda: datetime.now(UTC),
        random_bytes=os.urandom,
    )
    with pytest.raises(Unauthorized) as caught:
        other.verify(token["token"])
    assert "Audience" in caught.value.reason
    assert shell.here("token", "list", "--json").data == []
    assert len(shell.here("--seed", "8", "token", "list", "--json").data) == 1
    refused = shell.here("token", "revoke", token["id"])
    assert refused.code == ExitCode.USAGE
    assert "no token" in refused.words


def test_nothing_keeps_the_token_and_everything_is_closed(shell: Shell) -> None:
    """No part of a token lies in any file of the data folder, and what was made is this user's alone."""
    made = shell.run("token", "create", "--scope", "trade", "--expires", "1h", "--name", "bot")
    token = made.out.strip()
    assert shell.run("token", "revoke", shell.book().verify(token).token_id).code == ExitCode.DONE
    secret = json.loads((shell.folder / "keys.json").read_bytes())["keys"][0]["secret"]
    files = [path for path in shell.data.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"keys.json", "tokens.json", f"audit-{VENUE}.jsonl"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not any(part in text for part in token.split(".")), path
        assert (secret in text) is (path.name == "keys.json"), path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for folder in (shell.folder, shell.folder.parent, shell.locations.logs):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_making_and_revoking_are_in_the_audit_log(shell: Shell) -> None:
    """Each with the token's id, name and rights; looking is not, and a refused wish is not."""
    made = shell.here("token", "create", "--scope", "read", "--expires", "30d", "--name", "watcher", "--json").data
    assert shell.here("token", "create", "--scope", "read", "--expires", "0d").code == ExitCode.USAGE
    shell.here("token", "list")
    shell.here("token", "revoke", made["id"])
    lines = [json.loads(line) for line in shell.locations.audit(VENUE).read_text(encoding="utf-8").splitlines()]
    assert [(line["kind"], line["token_id"], line["name"], line["seat"]) for line in lines] == [
        ("token_created", made["id"], "watcher", "command"),
        ("token_revoked", made["id"], "watcher", "command"),
    ]
    assert all("read; every account; until" in line["detail"] for line in lines)


@pytest.mark.parametrize(
    ("words", "say"),
    [
        (("create", "--scope", "write", "--expires", "8h"), '"write" is not one of read, trade, kill, admin'),
        (("create", "--scope", "", "--expires", "8h"), "is not one of"),
        (("create", "--scope", "read,", "--expires", "8h"), "is not one of"),
        (("create", "--scope", "read"), "--expires"),
        (("create", "--expires", "8h"), "--scope"),
        (("create", "--scope", "read", "--expires", "never"), "8h, 30d or 12w"),
        (("create", "--scope", "read", "--expires", "0h"), "8h, 30d or 12w"),
        (("create", "--scope", "read", "--expires", "8"), "8h, 30d or 12w"),
        (("create", "--scope", "read", "--expires", "1.5d"), "8h, 30d or 12w"),
        (("create", "--scope", "read", "--expires", "366d"), "a year"),
        (("create", "--scope", "read", "--expires", "53w"), "a year"),
        (("create", "--scope", "read", "--expires", "99999w"), "a year"),
        (("create", "--scope", "read", "--expires", "8h", "--name", "local"), "name"),
        (("create", "--scope", "read", "--expires", "8h", "--account", "AB 1234"), "not an account"),
        (("revoke", "nobody"), "workstation token list"),
        ((), "step"),
    ],
)
def test_wrong_words_make_nothing(shell: Shell, words: tuple[str, ...], say: str) -> None:
    """The exit code is that of wrong words, the sentence says what is allowed, and there is no token afterwards."""
    said = shell.here("token", *words)
    assert said.code == ExitCode.USAGE
    assert say in said.words
    assert said.out == ""
    assert shell.book().records() == ()
    assert not (shell.folder / "keys.json").exists()


def test_keys_that_others_could_read_are_not_used(shell: Shell) -> None:
    """The command says what to do and ends as one that cannot start; a secret that may be known makes nothing."""
    assert shell.run("token", "create", "--scope", "read", "--expires", "1h").code == ExitCode.DONE
    (shell.folder / "keys.json").chmod(0o644)
    said = shell.run("token", "create", "--scope", "read", "--expires", "1h")
    assert said.code == ExitCode.SETUP
    assert "chmod 600" in said.words
    assert said.out == ""
    assert len(shell.run("token", "list", "--json").data) == 1


def test_without_an_audit_log_no_token_is_made(shell: Shell) -> None:
    """What could not be written down is not done."""
    shell.locations.make()
    shell.locations.audit(VENUE).mkdir()
    said = shell.run("token", "create", "--scope", "read", "--expires", "1h")
    assert said.code == ExitCode.SETUP
    assert "audit log" in said.words
    assert said.out == ""
    assert shell.book().records() == ()
