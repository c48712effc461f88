"""The audit log: whole lines, closed to others, bounded, and without anything like a token."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.core.errors import SetupError
from engine.server.access import Grant, Scope
from engine.server.audit import BYTES_MIN, TEXT_MAX, Audit, AuditKind

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)
GRANT = Grant(name="reader", token_id="abcdefgh23456777", scopes=frozenset({Scope.READ}))
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJyZWFkZXIifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from engine.server.audit import Audit, AuditKind
audit = Audit(Path(sys.argv[1]), now=lambda: datetime.now(UTC), bytes_max=16_384, files_kept=400)
for number in range(int(sys.argv[3])):
    audit.note(AuditKind.LIMIT, seat=sys.argv[2], detail=f"{number} " + "x" * 200)
audit.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a log lies, in a folder that is not there yet."""
    return tmp_path / "log" / "audit.jsonl"


def opened(path: Path, *, bytes_max: int = 100_000, files_kept: int = 3, at: datetime = NOW) -> Audit:
    """A log whose clock stands still."""
    return Audit(path, now=lambda: at, bytes_max=bytes_max, files_kept=files_kept)


@pytest.fixture
def audit(path: Path) -> Iterator[Audit]:
    """An open log."""
    log = opened(path)
    yield log
    log.close()


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def all_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of all files, in no order."""
    files = [file for file in path.parent.iterdir() if file.suffix != ".lock"]
    return [line for file in files for line in lines(file)]


def test_a_line_says_who_what_when_and_where_from(audit: Audit, path: Path) -> None:
    """Everything that was given is there, and what is empty is left out."""
    audit.note(AuditKind.FORBIDDEN, seat="web-1", grant=GRANT, address="127.0.0.1:5000", detail="submit needs trade")
    audit.note(AuditKind.DOOR_CLOSED)
    assert lines(path) == [
        {
            "at": "2026-11-19T05:30:00Z",
            "kind": "forbidden",
            "seat": "web-1",
            "name": "reader",
            "token_id": "abcdefgh23456777",
            "address": "127.0.0.1:5000",
            "detail": "submit needs trade",
        },
        {"at": "2026-11-19T05:30:00Z", "kind": "door_closed"},
    ]


@pytest.mark.parametrize("token_id", ["fey7rxt62v5vttt7", "eyj2abcdefghijkl", "eyabcdefghijklmn"])
def test_an_id_like_the_head_of_a_token_is_written_whole(audit: Audit, path: Path, token_id: str) -> None:
    """Whoever revokes a token finds it by the id of the line, whichever letters chance has put into it."""
    audit.note(AuditKind.ARMED, grant=msgspec.structs.replace(GRANT, token_id=token_id), detail=f"by {token_id}")
    (line,) = lines(path)
    assert (line["token_id"], line["detail"]) == (token_id, f"by {token_id}")


def test_times_are_utc_whatever_the_clock_says_them_in(path: Path) -> None:
    """The hours of two machines can be compared."""
    log = opened(path, at=NOW.astimezone(timezone(timedelta(hours=5, minutes=30))))
    log.note(AuditKind.DOOR_OPENED)
    log.close()
    assert lines(path)[0]["at"] == "2026-11-19T05:30:00Z"


def test_the_files_are_closed_to_others(path: Path) -> None:
    """Whatever the mask of the process, the log, the older ones and the lock are of mode 0600."""
    previous = os.umask(0)
    try:
        log = opened(path, bytes_max=BYTES_MIN)
        for _ in range(40):
            log.note(AuditKind.UNAUTHORIZED, detail="x" * 300)
        log.close()
    finally:
        os.umask(previous)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_log_is_bounded_and_keeps_the_newest(path: Path) -> None:
    """A flood fills as many files as were asked for, none longer than its bound; the newest lines are in them."""
    log = opened(path, bytes_max=BYTES_MIN, files_kept=2)
    for number in range(400):
        log.note(AuditKind.UNAUTHORIZED, detail=f"{number} {'x' * 80}")
    log.close()
    names = {file.name for file in path.parent.iterdir()}
    assert names == {"audit.jsonl", "audit.jsonl.1", "audit.jsonl.2", "audit.jsonl.lock"}
    assert all(file.stat().st_size <= BYTES_MIN for file in path.parent.iterdir())
    numbers = [
        int(line["detail"].split()[0]) for name in (".2", ".1", "") for line in lines(path.with_name(path.name + name))
    ]
    assert numbers == list(range(numbers[0], 400))


def test_a_file_that_another_writer_set_aside_is_left(path: Path) -> None:
    """Of two writers one fills the file and sets it aside; the other goes on in the new one too."""
    first, second = opened(path, bytes_max=BYTES_MIN), opened(path, bytes_max=BYTES_MIN)
    while not path.with_name("audit.jsonl.1").exists():
        first.note(AuditKind.UNAUTHORIZED, seat="first", detail="x" * 100)
    second.note(AuditKind.UNAUTHORIZED, seat="second")
    first.close()
    second.close()
    assert [line["seat"] for line in lines(path)] == ["first", "second"]


def test_processes_write_whole_lines_to_one_log(path: Path) -> None:
    """Three processes write and set aside at once: every line is there once and can be read."""
    path.parent.mkdir(mode=0o700)
    words = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*words, name, "300"], cwd=ROOT) for name in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    found = sorted((line["seat"], int(line["detail"].split()[0])) for line in all_lines(path))
    assert found == sorted((name, number) for name in "abc" for number in range(300))
    assert path.with_name("audit.jsonl.1").exists(), "the log was never set aside and the test proves little"


@pytest.mark.parametrize("place", ["seat", "address", "detail"])
@pytest.mark.parametrize(
    "words", [TOKEN, f"token={TOKEN}&x=1", f"Bearer {TOKEN}", "bearer an-opaque-secret", TOKEN[:60]]
)
def test_a_token_is_never_written(audit: Audit, path: Path, place: str, words: str) -> None:
    """Whoever hands a token over by mistake, whole or in part, it is not in the file."""
    fields = {place: f"refused {words} here"}
    audit.note(AuditKind.UNAUTHORIZED, **fields)  # type: ignore[arg-type]
    written = path.read_text(encoding="utf-8")
    assert "[redacted]" in written
    assert "refused" in written
    for secret in (*TOKEN.split("."), "an-opaque-secret", "eyJ"):
        assert secret not in written


def test_a_caller_cannot_forge_a_line_or_drive_a_terminal(audit: Audit, path: Path) -> None:
    """Line ends, escape sequences and broken text stay inside one line of printable signs."""
    audit.note(AuditKind.LIMIT, detail='x\n{"kind":"attached"}\r\x1b[2J\x9b1m\u2028\ud800 end')
    (line,) = path.read_bytes().splitlines()
    assert json.loads(line)["detail"].endswith(" end")
    assert json.loads(line)["detail"].isprintable()


def test_a_text_is_cut_to_its_bound(audit: Audit, path: Path) -> None:
    """A caller's megabyte does not fill the log."""
    audit.note(AuditKind.LIMIT, detail="y" * 1_000_000)
    assert lines(path)[0]["detail"] == "y" * (TEXT_MAX - 1) + "…"


def test_a_line_that_cannot_be_written_stops_nobody_and_is_counted(
    audit: Audit, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The door goes on, the program's log has the words, and the next line follows the number of missing ones."""
    audit.note(AuditKind.DOOR_OPENED)
    path.unlink()
    path.mkdir()
    audit.note(AuditKind.UNAUTHORIZED, detail="lost")
    audit.note(AuditKind.UNAUTHORIZED, detail="lost too")
    path.rmdir()
    audit.note(AuditKind.DETACHED)
    assert [(line["kind"], line.get("detail")) for line in lines(path)] == [
        ("gap", "2 events are missing here"),
        ("detached", None),
    ]
    assert caplog.text.count("the audit log misses unauthorized") == 2


def test_a_removed_file_is_made_again(audit: Audit, path: Path) -> None:
    """Nothing is written into a file that has no name any more."""
    audit.note(AuditKind.DOOR_OPENED)
    path.unlink()
    audit.note(AuditKind.DOOR_CLOSED)
    assert [line["kind"] for line in lines(path)] == ["door_closed"]


def test_nothing_is_written_after_the_end(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A late event goes to the program's log; closing twice is harmless."""
    log = opened(path)
    log.close()
    log.close()
    log.note(AuditKind.DETACHED, detail=f"late {TOKEN}")
    assert lines(path) == []
    assert "late [redacted]" in caplog.text


def test_a_log_that_others_may_read_is_refused(path: Path) -> None:
    """It says what to do; a door without its log does not open."""
    path.parent.mkdir()
    path.touch()
    path.chmod(0o644)
    with pytest.raises(SetupError, match="chmod 600"):
        opened(path)


def test_a_link_in_the_place_of_the_log_is_not_followed(path: Path) -> None:
    """Nobody can make us write into a file of theirs."""
    path.parent.mkdir()
    target = path.with_name("target")
    path.symlink_to(target)
    with pytest.raises(SetupError, match="cannot be opened"):
        opened(path)
    assert not target.exists()


@pytest.mark.parametrize(("bytes_max", "files_kept"), [(BYTES_MIN - 1, 3), (BYTES_MIN, 0)])
def test_bounds_that_make_no_sense_are_refused(path: Path, bytes_max: int, files_kept: int) -> None:
    """A log of no size would be one that is never kept."""
    with pytest.raises(SetupError, match="at least"):
        opened(path, bytes_max=bytes_max, files_kept=files_kept)
