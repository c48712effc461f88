"""MD-6: what the feed brings is on a tape; it ends in good order, and after a kill all but the last second is there."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from engine.core.errors import Refused
from engine.core.operations import OperationsView
from engine.tape.reader import TapeReader
from engine.tape.records import RECORDER, RecordKind
from tests.integration.commands.console import Console, wait_for
from tests.integration.market_data.engines import attached_to
from tests.kit.desk_host import Desk, attached, eventually, live_chain
from workstation.cli.exit_codes import ExitCode

NS_PER_S = 1_000_000_000
LOST_S = 1.0
STEP_S = 0.5
"""The exchange sends a frame so often."""
SLACK_S = 0.5
"""A busy machine."""
FRAMES = 12


def test_md_6_recording_is_begun_and_ended_by_commands(console: Console) -> None:
    """``record`` starts an engine that stays while it records, ``--list`` shows the tape, ``--stop`` lets both end."""
    begun = console.run("record", "--json")
    assert begun.code == ExitCode.DONE, begun.words
    assert begun.data["recording"]
    console.desk.note_exchange()
    (engine,) = console.engine_processes()
    (tape,) = console.run("record", "--list", "--json").data
    assert (tape["path"], tape["venue"], tape["is_being_written"]) == (begun.data["path"], "practice", True)
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 2 * console.desk.configuration.door.idle_exit_s, "a while")
    assert console.engine_processes() == [engine], "it records, so it does not end"
    again = console.run("record", "--json")
    assert again.data["path"] == begun.data["path"], "again is no error"
    stopped = console.run("record", "--stop", "--json")
    assert not stopped.data["recording"]
    assert stopped.data["frames"] > 0
    wait_for(lambda: not console.engine_processes(), "the end of the idle engine")
    (tape,) = console.run("record", "--list", "--check", "--json").data
    assert (tape["is_being_written"], tape["damage"]) == (False, "")
    assert tape["records"] == stopped.data["frames"]
    with TapeReader(Path(tape["path"])) as reader:
        kinds = [(record.kind, record.connection) for record in reader.records()]
    assert kinds[0] == (RecordKind.UP, RECORDER)
    assert kinds[-1] == (RecordKind.DOWN, RECORDER)
    nothing = console.run("record", "--stop")
    assert "no engine runs here" in nothing.words


async def test_md_6_a_killed_engine_loses_at_most_the_last_second(console: Console) -> None:
    """``kill -9`` while frames come: the tape is readable to within a second of the kill, and is continued."""
    engine = await asyncio.to_thread(console.headless)
    async with attached_to(engine) as client:
        await live_chain(client)
        await client.record(on=True)

        async def recorded() -> OperationsView | None:
            view = await client.operations()
            return view if view.recorder is not None and view.recorder.frames >= FRAMES else None

        view = await eventually(recorded, f"{FRAMES} records on the tape")
        assert view.recorder is not None
        path = Path(view.recorder.path)
        killed_ns = time.time_ns()
        await asyncio.to_thread(engine.end, signal.SIGKILL)
    with TapeReader(path) as reader:
        records = list(reader.records())
        instruments = reader.instruments_csv()
    assert len(records) >= FRAMES
    assert killed_ns - records[-1].received_ns <= (LOST_S + STEP_S + SLACK_S) * NS_PER_S
    assert sum(len(record.payload) for record in records if record.kind is RecordKind.FRAME) > 0
    assert instruments.count(b"\n") > view.instruments_rows
    again = await asyncio.to_thread(console.headless)
    async with attached_to(again) as client:
        after = (await client.record(on=True)).recorder
        assert after is not None
        assert Path(after.path) == path, "the same market and day: the same tape"
        await client.record(on=False)
    await asyncio.to_thread(again.end)
    with TapeReader(path) as reader:
        continued = list(reader.records())
    assert [record[2:] for record in continued[: len(records)]] == [record[2:] for record in records]
    assert [record.market_ns for record in continued] == sorted(record.market_ns for record in continued)


async def test_md_6_an_engine_that_only_looks_records_nothing(desk: Desk) -> None:
    """It is refused in words, over the door too, and the engine room shows no recorder."""
    async with desk.opened(read_only=True, with_door=True) as host, attached(host) as remote:
        for client in (host.client, remote):
            assert (await client.operations()).recorder is None
            with pytest.raises(Refused, match="keeps no tape"):
                await client.record(on=True)
