"""``workstation record``: what it lists and prints; nothing here needs an engine but the last line of the road."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.errors import InvalidInput
from engine.core.operations import RecorderView
from tests.kit.tapes import begin, make_tape, session
from workstation.cli.exit_codes import ExitCode
from workstation.cli.main import main
from workstation.cli.record import run_record, show_recorder
from workstation.locations import Locations
from workstation.settings import Configuration


def options(**changes: object) -> argparse.Namespace:
    """A parsed command line."""
    return argparse.Namespace(
        **({"list": False, "check": False, "stop": False, "json": False, "connect": None} | changes)
    )


async def run(data: Path, **changes: object) -> ExitCode:
    """Run the command on a data folder where no engine runs."""
    return await run_record(Configuration(), Locations(data), options(**changes), {})


async def test_tapes_are_listed_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each tape with its market times, size, records and damage; damage inside blocks only with ``--check``."""
    path = make_tape(tmp_path / "tapes" / "practice", session(1, 40))
    segment = path / "000001.tape"
    data = bytearray(segment.read_bytes())
    data[150] ^= 1
    segment.write_bytes(data)
    assert await run(tmp_path, list=True, json=True) is ExitCode.DONE
    (tape,) = json.loads(capsys.readouterr().out)
    assert (tape["path"], tape["venue"], tape["records"], tape["damage"]) == (str(path), "practice", 40, "")
    assert tape["start"] == "2026-11-19T03:45:00Z"
    await run(tmp_path, list=True, json=True, check=True)
    (tape,) = json.loads(capsys.readouterr().out)
    assert "its checksum is wrong" in tape["damage"]


async def test_tapes_are_listed_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row each, with the day in India's time, and a word on the one that is being written."""
    make_tape(tmp_path / "tapes" / "practice", session(1, 40))
    writer = begin(tmp_path / "tapes" / "live", venue="live")
    await run(tmp_path, list=True)
    writer.close()
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["start", "minutes", "venue", "records", "MB", "tape", "remarks"]
    assert sum("practice" in row and "2026-11-19 09:15:00" in row for row in rows) == 1
    assert [row.endswith("Being written.") for row in sorted(rows, key=lambda row: " live " in row)] == [False, True]


async def test_no_tapes_are_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A data folder without tapes lists none."""
    assert await run(tmp_path, list=True, json=True) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == []


async def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """``--check`` checks the list, and the list is of this machine."""
    with pytest.raises(InvalidInput, match="--check goes with --list"):
        await run(tmp_path, check=True)
    with pytest.raises(InvalidInput, match="tapes of this machine"):
        await run(tmp_path, list=True, connect="ws://127.0.0.1:1")


async def test_stopping_without_an_engine_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing runs, so nothing is recorded: no engine is started to be told so."""
    assert await run(tmp_path, stop=True) is ExitCode.DONE
    assert "nothing is being recorded" in capsys.readouterr().err


@pytest.mark.parametrize("recording", [True, False])
def test_the_recorder_is_shown(capsys: pytest.CaptureFixture[str], recording: bool) -> None:
    """State, counts, place and remarks in one row; the same as JSON."""
    view = RecorderView(
        recording=recording,
        path="/data/tapes/x",
        segments=1,
        bytes=3 << 20,
        frames=1234,
        since=datetime(2026, 11, 19, 4, tzinfo=UTC),
        lag_s=0.2,
        dropped=7,
        message="7 frames were left out.",
    )
    assert show_recorder(view, as_json=False) is ExitCode.DONE
    _, row = capsys.readouterr().out.splitlines()
    state = "recording" if recording else "stopped"
    assert row.split() == [state, "1234", "3.0", "7", "/data/tapes/x", "7", "frames", "were", "left", "out."]
    show_recorder(view, as_json=True)
    assert json.loads(capsys.readouterr().out)["frames"] == 1234


def test_the_command_line_knows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program's own parser and dispatch come to the list, and refuse to stop and list at once."""
    make_tape(tmp_path / "tapes" / "practice", session(1, 5))
    assert main(["--data", str(tmp_path), "record", "--list", "--json"]) == ExitCode.DONE
    assert len(json.loads(capsys.readouterr().out)) == 1
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "record", "--list", "--stop"])
