"""Makes tapes for tests: records that look like a feed's, and folders with them written through the real writer."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from engine.core.instruments import Instrument
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.tape.instruments_csv import instruments_csv
from engine.tape.reader import to_ns
from engine.tape.records import FORMAT, RecordKind, TapeHeader, TapeRecord
from engine.tape.settings import RecorderSettings
from engine.tape.writer import TapeWriter

START = datetime(2026, 11, 19, 3, 45, tzinfo=UTC)
START_NS = to_ns(START)
SECOND_NS = 1_000_000_000
FULL_BYTES = 184
INDEX_BYTES = 32
SETTINGS = RecorderSettings(disk_free_min_mb=0)
NIFTY = Instrument(
    token=256265,
    exchange_token=1001,
    tradingsymbol="NIFTY 50",
    exchange=Exchange.NSE,
    name="NIFTY 50",
    kind=InstrumentKind.INDEX,
    segment="INDICES",
    tick_size=Decimal("0.01"),
)


def seeded(seed: int) -> random.Random:
    """Randomness that repeats."""
    return random.Random(seed)  # noqa: S311 - a test's data, not a secret


def frame(randomness: random.Random, packets: int) -> bytes:
    """A frame of ``packets`` packets, most of them full and some of an index, with random contents."""
    body = b""
    for _ in range(packets):
        size = INDEX_BYTES if randomness.random() < 0.1 else FULL_BYTES
        body += size.to_bytes(2, "big") + randomness.randbytes(size)
    return packets.to_bytes(2, "big") + body


def session(seed: int, count: int, *, start_ns: int = START_NS, step_ns: int = SECOND_NS // 10) -> list[TapeRecord]:
    """So many records of two connections, a text among them now and then, ``step_ns`` apart."""
    randomness = seeded(seed)
    records = []
    for number in range(count):
        at = start_ns + number * step_ns
        kind, payload = RecordKind.FRAME, frame(randomness, randomness.randint(0, 12))
        if number % 17 == 3:
            kind, payload = RecordKind.TEXT, f'{{"type":"order","data":{number}}}'.encode()
        records.append(TapeRecord(kind, number % 2, at, at + 5_000, payload))
    return records


def header(**changes: object) -> TapeHeader:
    """A header that begins at ``START``."""
    values: dict[str, object] = {
        "format": FORMAT,
        "venue": "practice",
        "note": "",
        "account": "AB1234",
        "market_start": START,
        "wall_start": START,
        "program": "tests",
    }
    return TapeHeader(**(values | changes))  # type: ignore[arg-type]


def begin(folder: Path, *, name: str = "one", settings: RecorderSettings = SETTINGS, **changes: object) -> TapeWriter:
    """A writer of a new tape with one instrument."""
    return TapeWriter.create(folder, name, header(**changes), instruments_csv([NIFTY]), settings)


def write_blocks(writer: TapeWriter, records: Sequence[TapeRecord], *, each: int = 10) -> None:
    """Write records in blocks of so many."""
    for begin_at in range(0, len(records), each):
        writer.write(records[begin_at : begin_at + each])
        writer.flush()


def make_tape(
    folder: Path, records: Sequence[TapeRecord], *, each: int = 10, settings: RecorderSettings = SETTINGS
) -> Path:
    """A finished tape; returns its folder."""
    writer = begin(folder, settings=settings)
    write_blocks(writer, records, each=each)
    writer.close()
    return writer.path


def is_subsequence(part: Iterable[TapeRecord], whole: Iterable[TapeRecord]) -> bool:
    """Whether ``part`` is ``whole`` with some left out, in the same order."""
    rest = iter(whole)
    return all(any(record == other for other in rest) for record in part)
