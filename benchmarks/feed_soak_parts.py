"""What stands in on the desk of ``feed_soak`` for the database, for the chains' Greeks, and for whoever looks on."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from benchmarks.m2m import Store
from engine.board_marks import TRUSTED
from engine.core.bars import BarSource, MinuteBars
from engine.core.identifiers import InstrumentKey
from engine.core.strategies import M2mCandle
from engine.core.views import Integers
from engine.core.vocabulary import QuoteState
from engine.market.m2m_marks import MarkReader
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import Staleness
from engine.portfolio.marks import LegMarks, MarkColumns

TIMER_S = 0.005
US_PER_S = 1e6


class CountingBars:
    """A database of candles that counts and drops them."""

    def __init__(self) -> None:
        self.minutes: Counter[int] = Counter()
        """Candles of each minute, by its epoch second."""
        self.whole: Counter[int] = Counter()
        """Those among them that the whole minute was watched for, with a volume."""

    async def save(self, bars: MinuteBars) -> int:
        """Count them."""
        self.minutes.update(bars.start.tolist())
        self.whole.update(bars.start[(bars.source == BarSource.TICKS) & (bars.volume >= 0)].tolist())
        return len(bars.place)

    async def between(self, instruments: Sequence[InstrumentKey], start: datetime, end: datetime) -> MinuteBars:
        """Nobody asks."""
        raise NotImplementedError(f"{len(instruments)} {start} {end}")

    async def last(self, instruments: Sequence[InstrumentKey]) -> dict[InstrumentKey, datetime]:
        """Nobody asks."""
        raise NotImplementedError(f"{len(instruments)}")

    async def delete_before(self, moment: datetime) -> int:
        """Nothing is kept."""
        del moment
        return 0

    async def delete_from(self, moment: datetime) -> int:
        """Nothing is kept."""
        del moment
        return 0


class CountingMoney(Store):
    """A database of strategies that counts the valuations its candles were made of."""

    def __init__(self) -> None:
        super().__init__()
        self.samples = 0

    async def save(self, candles: Sequence[M2mCandle]) -> None:
        """Count and drop them."""
        self.samples += sum(candle.samples for candle in candles)


class FeedMarks:
    """Prices of legs off the board, without Greeks."""

    def __init__(self, board: QuotesBoard, states: Staleness) -> None:
        self._reader = MarkReader(board, states)

    def marks(self, held: Sequence[tuple[int, int]]) -> tuple[LegMarks, ...]:
        """Exact marks."""
        found = self._reader.marks(held, time.monotonic_ns())
        return tuple(LegMarks(last=one.last, mid=one.mid, exit=one.exit) for one in found)

    def columns(self, tokens: Integers, signed_quantities: Integers) -> MarkColumns:
        """Marks of many legs."""
        found = self._reader.columns(tokens, signed_quantities, time.monotonic_ns())
        trusted = np.isin(found.states, sorted(TRUSTED))
        return MarkColumns(last=found.last, mid=found.mid, exit=found.exit, trusted=trusted)


class Meters:
    """What a window of time has shown; ``take`` begins the next one."""

    def __init__(self) -> None:
        self.lag_us = array("q")
        """How late each timer of ``TIMER_S`` was, microseconds."""
        self.delay_us = array("q")
        """From an exchange's making of a frame to its packets on the board, candles and all, microseconds."""
        self.tape_waiting_max = 0
        """Bytes."""
        self.candles_waiting_max = 0
        self.chain_reads = 0
        self.states: Counter[QuoteState] = Counter()
        """Quotes by state, summed over the looks."""

    def take(self) -> Meters:
        """What has been seen; nothing has from now on."""
        taken = Meters()
        vars(taken).update(vars(self))
        vars(self).update(vars(Meters()))
        return taken

    def waiting(self, tape: int, candles: int) -> None:
        """Note how much waits for the disk (bytes) and for the database."""
        self.tape_waiting_max = max(self.tape_waiting_max, tape)
        self.candles_waiting_max = max(self.candles_waiting_max, candles)

    def late(self, late_s: float) -> None:
        """Note a late timer, and those that were not set because of it."""
        self.lag_us.append(max(0, int(late_s * US_PER_S)))
        while (late_s := late_s - TIMER_S) > 0:
            self.lag_us.append(int(late_s * US_PER_S))
