"""Tapes of a made-up market, for tests of whatever plays or reads recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from engine.practice.calendar_facts import TradingCalendar
from engine.practice.market import Market, MarketDay
from engine.practice.packets import FULL, PacketTable, count_prefix
from engine.practice.settings import DEFAULT_PROFILES, MarketSettings
from engine.tape.records import FORMAT, RecordKind, TapeHeader, TapeRecord
from engine.tape.settings import RecorderSettings
from engine.tape.writer import TapeWriter

START = "2026-11-19T11:00:00+05:30"
SEED = 11
SECOND_NS = 1_000_000_000


class RecordedMarket:
    """A small NIFTY market and the tape of some seconds of it.

    Args:
        start: First instant, ISO with offset.
        strikes: How many options around the money are recorded, of the nearest expiries; the futures all are.
    """

    def __init__(self, start: str = START, strikes: int = 40) -> None:
        calendar = TradingCalendar.load()
        self.start = datetime.fromisoformat(start)
        moment = self.start.timestamp()
        settings = replace(MarketSettings(), profiles=DEFAULT_PROFILES[:1])
        market = Market(calendar, settings, seed=SEED, first=calendar.session_at_or_after(moment))
        self.day: MarketDay = market.day(market.session_at(moment))
        self.index_tokens = market.index_tokens()
        self._packets = PacketTable(self.day.universe, self.index_tokens)
        table = self.day.universe.table
        spot = float(self.day.market.spots(moment)[0])
        distance = np.abs(table.strike - spot) + 1e6 * table.expiry_group
        near = np.argsort(np.where(table.is_future, np.inf, distance), kind="stable")[:strikes]
        self.rows = np.sort(np.concatenate([near, np.flatnonzero(table.is_future)]))
        self.index_rows = np.array([self._packets.row_of[token] for token in self.index_tokens])

    @property
    def tokens(self) -> list[int]:
        """Everything that is recorded: contracts and indices."""
        return [*(int(token) for token in self.day.universe.table.token[self.rows]), *self.index_tokens]

    @property
    def start_ns(self) -> int:
        """The first instant in nanoseconds since the epoch."""
        return int(self.start.timestamp()) * SECOND_NS

    def frame(self, seconds: float, mode: str = FULL) -> bytes:
        """The frame of everything that is recorded, so many seconds after the start."""
        self._packets.update(self.day.market.at(self.start.timestamp() + seconds))
        rows = np.concatenate([self.rows, self.index_rows])
        return count_prefix(rows.size) + b"".join(self._packets.frame(rows, mode))

    def records(self, seconds: int, *, gap: tuple[int, int] = (0, 0), mode: str = FULL) -> Iterator[TapeRecord]:
        """Two frames of the same instant every 500 ms, none within the gap, which a DOWN and an UP enclose."""
        half = SECOND_NS // 2
        yield TapeRecord(RecordKind.UP, 0, self.start_ns, 0, b"")
        for number in range(seconds * 2):
            at = self.start_ns + number * half
            if number == gap[0] * 2 and gap[1]:
                yield TapeRecord(RecordKind.DOWN, 0, at, number * half, b"the connection was lost")
            if gap[0] * 2 <= number < gap[1] * 2:
                continue
            if number == gap[1] * 2 and gap[1]:
                yield TapeRecord(RecordKind.UP, 0, at, number * half, b"")
            for frame in _halves(self.frame(number / 2, mode)):
                yield TapeRecord(RecordKind.FRAME, 0, at, number * half, frame)

    def write(self, folder: Path, records: Sequence[TapeRecord] | Iterator[TapeRecord], name: str = "tape") -> Path:
        """Write a tape with the market's own instruments and return its folder."""
        header = TapeHeader(
            format=FORMAT,
            venue="practice",
            note=f"NIFTY {name}",
            account="",
            market_start=self.start.astimezone(UTC),
            wall_start=self.start.astimezone(UTC),
            program="test",
        )
        writer = TapeWriter.create(folder, name, header, self.day.universe.csv(), RecorderSettings())
        writer.write(list(records))
        writer.close()
        return writer.path


def _halves(frame: bytes) -> tuple[bytes, bytes]:
    """Cut a frame's packets into two frames, as two messages of one instant."""
    count, offset, packets = int.from_bytes(frame[:2], "big"), 2, []
    for _ in range(count):
        end = offset + 2 + int.from_bytes(frame[offset : offset + 2], "big")
        packets.append(frame[offset:end])
        offset = end
    middle = count // 2
    first, second = packets[:middle], packets[middle:]
    return count_prefix(len(first)) + b"".join(first), count_prefix(len(second)) + b"".join(second)
