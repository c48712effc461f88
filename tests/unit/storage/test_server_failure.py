"""What PostgreSQL's programs print is recognised, and a person is told what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import DiskFull, FolderUnusable, ServerNotReady, ServerProblem, WrongServerVersion
from storage.server_failure import explain_failure, is_locked, quote_last_lines, read_log_tail, waits_for_orphans

ROOT = Path("/home/trader/database")
LOG = ROOT / "server.log"
OUTPUTS = [
    ('FATAL:  could not write to file "pg_wal/xlogtemp.12": No space left on device', DiskFull, "is full"),
    ('PANIC:  could not fsync file "base/5/1259": Disk quota exceeded', DiskFull, "is full"),
    (
        'FATAL:  could not resize shared memory segment "/PostgreSQL.2718" to 1048576 bytes: No space left on device',
        DiskFull,
        "no shared memory left",
    ),
    (
        "FATAL:  database files are incompatible with server\nDETAIL:  It was initialized by PostgreSQL version 17.",
        WrongServerVersion,
        "another version",
    ),
    ('FATAL:  could not open file "global/pg_control": Permission denied', FolderUnusable, "may not use the files"),
    ('FATAL:  data directory "/home/trader/database/data" has wrong ownership', FolderUnusable, "must belong"),
    ('initdb: error: could not create directory "x": Read-only file system', FolderUnusable, "allow writing"),
    ('FATAL:  unrecognized configuration parameter "x"', ServerNotReady, "unrecognized configuration"),
    ("", ServerNotReady, "printed nothing"),
]


@pytest.mark.parametrize(("output", "kind", "words"), OUTPUTS)
def test_an_output_is_recognised(output: str, kind: type[ServerProblem], words: str) -> None:
    """Each known cause becomes its own error, with words that help, and the last lines of the output."""
    error = explain_failure(output, root=ROOT, doing="starting", log=LOG)
    assert type(error) is kind
    assert words in str(error)
    assert all(line.strip() in str(error) for line in output.splitlines())


def test_a_full_disk_names_the_folder() -> None:
    """The person knows the data folder, not PostgreSQL's files."""
    error = explain_failure("No space left on device", root=ROOT, doing="starting", log=LOG)
    assert str(ROOT) in str(error)
    assert "Everything acknowledged is kept" in str(error)


@pytest.mark.parametrize(
    ("output", "waits"),
    [
        ("FATAL:  pre-existing shared memory block (key 16, ID 3) is still in use", True),
        ('FATAL:  lock file "/tmp/x/.s.PGSQL.5432.lock" already exists', True),
        ('FATAL:  lock file "postmaster.pid" already exists', False),
        ('FATAL:  database "x" already exists', False),
        ("FATAL:  could not write lock file", False),
        ("", False),
    ],
)
def test_orphans_are_waited_for(output: str, waits: bool) -> None:
    """Only a killed server's processes that have not ended yet are a reason to try again."""
    assert waits_for_orphans(output) is waits


def test_a_server_that_holds_the_data_is_named() -> None:
    """Another living server on the data: its process id is in the sentence."""
    output = (
        'FATAL:  lock file "postmaster.pid" already exists\n'
        'HINT:  Is another postmaster (PID 4711) running in data directory "/home/trader/database/data"?'
    )
    assert is_locked(output)
    assert not is_locked('FATAL:  lock file "x" is empty')
    error = explain_failure(output, root=ROOT, doing="starting", log=LOG)
    assert type(error) is ServerNotReady
    assert "Another PostgreSQL server (process 4711) holds the data in /home/trader/database" in str(error)


def test_quoting_takes_the_last_lines() -> None:
    """A long log does not drown the sentence."""
    quoted = quote_last_lines("\n".join(f"line {number}" for number in range(100)))
    assert "line 99" in quoted
    assert "line 93" not in quoted


def test_the_tail_of_a_log_is_bounded(tmp_path: Path) -> None:
    """A huge log is not read whole; one that was cut meanwhile is read from its start; none is empty."""
    log = tmp_path / "server.log"
    assert read_log_tail(log) == ""
    log.write_bytes(b"old\n" + b"x" * 100_000 + b"\nlast words")
    assert read_log_tail(log).endswith("last words")
    assert len(read_log_tail(log)) < 20_000
    assert read_log_tail(log, since=log.stat().st_size - 5) == "words"
    log.write_bytes(b"new")
    assert read_log_tail(log, since=5_000) == "new"
