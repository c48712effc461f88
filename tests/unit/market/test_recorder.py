"""The recorder: what the tap takes is on the tape, what is not is marked and said, and the feed never waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from engine.core.errors import Refused
from engine.core.instruments import Instrument
from engine.market.recorder import BEGUN, NAME, STOPPED, Recorder, TapeFacts
from engine.tape.catalogue import find_tapes
from engine.tape.reader import TapeReader
from engine.tape.records import RECORDER, RecordKind, TapeRecord
from engine.tape.settings import RecorderSettings
from engine.tape.waiting import RECORD_COST
from engine.tape.writer import NO_NOTICE
from tests.kit.tapes import NIFTY, SECOND_NS, START, START_NS, is_subsequence, session
from tests.unit.engine.manual_clock import ManualClock

IST = timezone(timedelta(hours=5, minutes=30))
QUICK = RecorderSettings(flush_s=0.01, sync_s=0, disk_free_min_mb=0)
MB = 1 << 20


class MarketClock(ManualClock):
    """Time by hand; market time is set on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.market = START

    def market_now(self) -> datetime:
        """As the test has set it."""
        return self.market


@dataclass
class Desk:
    """What surrounds a recorder."""

    folder: Path
    settings: RecorderSettings = QUICK
    clock: MarketClock = field(default_factory=MarketClock)
    facts: TapeFacts = field(
        default_factory=lambda: TapeFacts(venue="practice", account="AB1234", day=date(2026, 11, 19))
    )
    instruments: tuple[Instrument, ...] = (NIFTY,)
    declared: list[tuple[str, str]] = field(default_factory=list)

    def recorder(self) -> Recorder:
        """A recorder of this desk."""
        return Recorder(
            self.folder / "practice",
            describe=lambda: self.facts,
            instruments=lambda: self.instruments,
            clock=self.clock,
            zone=IST,
            program="tests 1",
            settings=self.settings,
            declare=lambda name, words: self.declared.append((name, words)),
        )

    def tapes(self) -> list[list[TapeRecord]]:
        """What is on each tape, oldest first, without the recorder's own marks."""
        return [
            [one for one in self.read(path) if one.connection != RECORDER] for path in find_tapes(self.folder)[::-1]
        ]

    def read(self, path: Path) -> list[TapeRecord]:
        """All records of a whole tape."""
        with TapeReader(path) as tape:
            records = list(tape.records())
            assert tape.damage == ""
        return records


@asynccontextmanager
async def running(recorder: Recorder) -> AsyncIterator[None]:
    """Run the service for the body."""
    task = asyncio.create_task(recorder.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Let the writer's thread come to where the condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - another thread makes it true and has no event to set
            await asyncio.sleep(0.002)


def offer(recorder: Recorder, records: list[TapeRecord]) -> None:
    """Give records to the tap."""
    for record in records:
        recorder.on_record(*record)


async def test_what_the_tap_takes_is_on_the_tape(tmp_path: Path) -> None:
    """Everything between on and off, byte for byte with its times, between the recorder's own marks."""
    desk = Desk(tmp_path)
    recorder = desk.recorder()
    records = session(1, 300)
    offer(recorder, records[:10])
    view = await recorder.switch(on=True)
    assert view.recording
    assert view.path == str(tmp_path / "practice" / "2026-11-19-091500")
    assert view.since == START
    offer(recorder, records[10:250])
    desk.clock.market = START + timedelta(seconds=30)
    view = await recorder.switch(on=False)
    offer(recorder, records[250:])
    assert (view.recording, view.frames, view.dropped, view.message) == (False, 242, 0, "")
    up, *middle, down = desk.read(Path(view.path))
    assert middle == records[10:250]
    assert (up.kind, up.connection, up.market_ns, up.payload) == (RecordKind.UP, RECORDER, START_NS, BEGUN)
    assert (down.kind, down.connection, down.payload) == (RecordKind.DOWN, RECORDER, STOPPED)
    assert down.market_ns == START_NS + 30 * SECOND_NS
    with TapeReader(Path(view.path)) as tape:
        assert (tape.header.venue, tape.header.account, tape.header.program) == ("practice", "AB1234", "tests 1")
        assert b"NIFTY 50" in tape.instruments_csv()


async def test_on_and_off_again_are_no_errors(tmp_path: Path) -> None:
    """Asking twice changes nothing, also when both ask at once."""
    desk = Desk(tmp_path)
    recorder = desk.recorder()
    assert not (await recorder.switch(on=False)).recording
    first, second = await asyncio.gather(recorder.switch(on=True), recorder.switch(on=True))
    assert first.path == second.path
    await asyncio.gather(recorder.stop(), recorder.stop())
    assert len(find_tapes(tmp_path)) == 1
    assert NAME not in {thread.name for thread in threading.enumerate()}


async def test_the_day_is_continued_on_the_same_tape(tmp_path: Path) -> None:
    """Off and on again, and a further engine, go on with the tape in new segments; the gap is marked."""
    desk = Desk(tmp_path)
    recorder = desk.recorder()
    records = session(1, 90)
    for part in range(3):
        desk.clock.market = START + timedelta(seconds=3 * part)
        if part == 2:
            recorder = desk.recorder()
        await recorder.switch(on=True)
        offer(recorder, records[part * 30 : part * 30 + 30])
        desk.clock.market = START + timedelta(seconds=3 * part + 2.9)
        await recorder.switch(on=False)
    (path,) = find_tapes(tmp_path)
    assert len(list(path.glob("*.tape"))) == 3
    assert desk.tapes() == [records]
    marks = [(record.kind, record.market_ns) for record in desk.read(path) if record.connection == RECORDER]
    expected = []
    for part in range(3):
        begun = START_NS + 3 * part * SECOND_NS
        expected += [(RecordKind.UP, begun), (RecordKind.DOWN, begun + SECOND_NS * 29 // 10)]
    assert marks == expected


@pytest.mark.parametrize("change", ["account", "venue", "day", "instruments", "market time"])
async def test_another_market_gets_another_tape(tmp_path: Path, change: str) -> None:
    """Another account, venue, day or dump, or a market time before the tape's end, is never mixed into the old tape."""
    desk = Desk(tmp_path)
    recorder = desk.recorder()
    records = session(1, 20)
    await recorder.switch(on=True)
    offer(recorder, records)
    desk.clock.market = START + timedelta(minutes=5)
    await recorder.switch(on=False)
    match change:
        case "account":
            desk.facts = msgspec.structs.replace(desk.facts, account="CD5678")
        case "venue":
            desk.facts = msgspec.structs.replace(desk.facts, venue="live")
        case "day":
            desk.clock.market = START + timedelta(days=1)
        case "instruments":
            desk.instruments = (NIFTY, msgspec.structs.replace(NIFTY, token=1, tradingsymbol="NIFTY BANK"))
        case _:
            desk.clock.market = START
    await recorder.switch(on=True)
    offer(recorder, records)
    await recorder.switch(on=False)
    assert len(find_tapes(tmp_path)) == 2
    assert [one[-1].payload for one in desk.tapes()] == [records[-1].payload] * 2


async def test_a_new_day_begins_a_new_tape_while_it_runs(tmp_path: Path) -> None:
    """When the engine has another day's instruments, what follows is on a tape with those; nothing is lost between."""
    desk = Desk(tmp_path)
    recorder = desk.recorder()
    today, tomorrow = session(1, 20), session(2, 20, start_ns=START_NS + 86_400 * SECOND_NS)
    async with running(recorder):
        await recorder.switch(on=True)
        offer(recorder, today)
        desk.clock.market = START + timedelta(days=1)
        desk.facts = msgspec.structs.replace(desk.facts, day=date(2026, 11, 20))
        desk.instruments = (msgspec.structs.replace(NIFTY, token=7),)
        await desk.clock.advance(1.0)
        offer(recorder, tomorrow)
    assert desk.tapes() == [today, tomorrow]
    with TapeReader(find_tapes(tmp_path)[0]) as tape:
        assert tape.instruments_csv().splitlines()[1].startswith(b"7,")
        assert tape.path.name == "2026-11-20-091500"


async def test_a_market_that_goes_back_gets_a_new_tape(tmp_path: Path) -> None:
    """Market time that jumps back begins another tape at that record; a step of a moment does not."""
    desk = Desk(tmp_path)
    recorder = desk.recorder()
    records = session(1, 100)
    await recorder.switch(on=True)
    offer(recorder, records[50:])
    offer(recorder, [records[95]])
    offer(recorder, records[:10])
    await recorder.switch(on=False)
    first, second = desk.tapes()
    assert first == [*records[50:], records[95]._replace(market_ns=records[99].market_ns)]
    assert second == records[:10]


async def test_a_disk_that_does_not_keep_up_costs_marked_frames(tmp_path: Path) -> None:
    """Far more than fits before the next turn: what fits is on the tape in order, the rest is counted and marked."""
    desk = Desk(tmp_path, settings=msgspec.structs.replace(QUICK, queue_mb=1, flush_s=0.5))
    recorder = desk.recorder()
    await recorder.switch(on=True)
    payload = bytes(MB // 64 - RECORD_COST)
    frames = [TapeRecord(RecordKind.FRAME, 0, START_NS + n, START_NS + n, payload) for n in range(1000)]
    offer(recorder, frames[:900])
    queue = recorder.queue()
    assert queue.dropped > 0
    assert queue.waiting <= queue.limit + 10 * RECORD_COST
    assert recorder.view().message == f"{queue.dropped} frames were left out because the disk did not keep up."
    await until(lambda: recorder.queue().waiting == 0)
    offer(recorder, frames[900:930])
    view = await recorder.switch(on=False)
    (path,) = find_tapes(tmp_path)
    records = desk.read(path)
    kept = [one for one in records if one.connection == 0]
    assert is_subsequence(kept, frames)
    assert kept[-30:] == frames[900:930]
    assert len(kept) + view.dropped == 930
    marks = [one for one in records if one.connection == RECORDER][1:-1]
    assert [one.kind for one in marks] == [RecordKind.DOWN, RecordKind.UP] * (len(marks) // 2)
    assert sum(int(one.payload.split()[5]) for one in marks[1::2]) == view.dropped
    for down, up in zip(marks[::2], marks[1::2], strict=True):
        assert not [one for one in kept if down.market_ns <= one.market_ns < up.market_ns]


async def test_a_disk_with_no_room_refuses_to_begin(tmp_path: Path) -> None:
    """With less free than the policy leaves to the database no tape is begun, and the sentence says what to do."""
    desk = Desk(tmp_path, settings=msgspec.structs.replace(QUICK, disk_free_min_mb=1 << 40))
    recorder = desk.recorder()
    with pytest.raises(Refused, match="MB free, and recording stops below"):
        await recorder.switch(on=True)
    view = recorder.view()
    assert not view.recording
    assert "disk_free_min_mb" in view.message
    assert desk.declared[-1] == (NAME, view.message)
    offer(recorder, session(1, 5))
    assert recorder.queue().waiting == 0
    desk.settings = QUICK
    again = desk.recorder()
    await again.switch(on=True)
    assert desk.declared[-1] == (NAME, "")
    await again.stop()


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A file in the place of the folder, as any error of the disk, ends in a sentence and not in the feed."""
    (tmp_path / "practice").write_text("in the way")
    desk = Desk(tmp_path)
    with pytest.raises(Refused, match="The disk took no more of the tape"):
        await desk.recorder().switch(on=True)


async def test_a_disk_that_fails_ends_the_tape_and_not_the_feed(tmp_path: Path) -> None:
    """A tape whose folder is taken away ends with a sentence; the tap goes on as if nothing were; on works again."""
    desk = Desk(tmp_path, settings=msgspec.structs.replace(QUICK, segment_minutes=1))
    recorder = desk.recorder()
    records = session(1, 200, step_ns=SECOND_NS)
    await recorder.switch(on=True)
    offer(recorder, records[:10])
    await until(lambda: recorder.view().frames >= 10)
    (path,) = find_tapes(tmp_path)
    path.rename(tmp_path / "away")
    offer(recorder, records[10:20])
    await until(lambda: recorder.view().frames >= 20)
    offer(recorder, records[100:110])  # more than a minute later: a further segment is due, and has no folder
    await until(lambda: not recorder.is_recording)
    offer(recorder, records[110:])
    assert "No such file or directory" in recorder.view().message
    assert recorder.queue().waiting == 0
    assert desk.declared[-1][1] == recorder.view().message
    assert (await recorder.switch(on=True)).message == ""
    await recorder.stop()


async def test_it_begins_with_the_engine_and_ends_with_it(tmp_path: Path) -> None:
    """``at_start`` begins a tape at once; when the service is cancelled the tape is closed in good order."""
    desk = Desk(tmp_path, settings=msgspec.structs.replace(QUICK, at_start=True))
    recorder = desk.recorder()
    records = session(1, 50)
    async with running(recorder):
        await until(lambda: recorder.is_recording and recorder.view().path != "")
        offer(recorder, records)
    assert not recorder.is_recording
    assert desk.tapes() == [records]
    with TapeReader(find_tapes(tmp_path)[0]) as tape:
        assert tape.is_closed


async def test_a_crash_is_marked_by_the_next_sitting(tmp_path: Path) -> None:
    """A tape whose recorder was killed is continued behind a DOWN that says so."""
    desk = Desk(tmp_path)
    recorder = desk.recorder()
    records = session(1, 40)
    await recorder.switch(on=True)
    offer(recorder, records[:20])
    await recorder.switch(on=False)
    (path,) = find_tapes(tmp_path)
    segment = path / "000001.tape"
    segment.write_bytes(segment.read_bytes()[:-48])  # without the mark of a good end
    desk.clock.market = START + timedelta(seconds=2)
    await recorder.switch(on=True)
    offer(recorder, records[20:])
    await recorder.switch(on=False)
    with TapeReader(path) as tape:
        marks = [(one.kind, one.payload) for one in tape.records() if one.connection == RECORDER]
    assert (RecordKind.DOWN, NO_NOTICE) in marks
    assert desk.recorder().view().recording is False


async def test_the_lag_is_the_age_of_what_is_not_safe(tmp_path: Path) -> None:
    """A record waits with its age until it is on the disk, and then there is no lag."""
    desk = Desk(tmp_path, settings=msgspec.structs.replace(QUICK, flush_s=0.5))
    recorder = desk.recorder()
    await recorder.switch(on=True)
    await until(lambda: recorder.queue().waiting == 0)
    offer(recorder, [TapeRecord(RecordKind.TEXT, 0, START_NS, START_NS, b"x")])
    await desk.clock.advance(0.25)
    assert recorder.view().lag_s == pytest.approx(0.25)
    await until(lambda: recorder.view().lag_s == 0)
    await recorder.stop()
