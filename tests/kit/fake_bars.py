"""Candles of the made-up market: one smooth day after another, with indicators by the engine's own formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from engine.bar_indicators import PriceColumns, indicator_columns, wanted_indicator
from engine.core.bars import BarInterval, BarSource, BarsView
from engine.core.errors import UnknownInstrument, WorkstationError
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import SEGMENT_INDICES, Instrument
from engine.core.views import Floats
from engine.core.vocabulary import Exchange, InstrumentKind
from tests.kit.fake_market import UNDERLYINGS, FixedClock

MINUTE_S = 60
DAY_S = 86_400
OPEN_S = 3 * 3600 + 45 * 60
"""09:15 in India, in seconds of the day of Greenwich."""
DAY_MINUTES = 375
DAYS_KEPT = 70
INDEX_TOKEN = 256_265
TICK = 0.05


class FakeBars:
    """Candles that a test can change: gaps, partial minutes, prices, an engine that fails."""

    def __init__(self, clock: FixedClock) -> None:
        self.bars_clock = clock
        self.bars_asked: list[tuple[InstrumentKey, BarInterval, datetime, datetime, tuple[str, ...]]] = []
        """Every question."""
        self.bars_failing = ""
        """While set, candles raise with this sentence."""
        self.bars_note = ""
        self.bars_known = True
        """While false there is not a single candle."""
        self.missing_candles: tuple[tuple[int, int], ...] = ()
        """Minutes of today, from and to, that are not there although they should be."""
        self.quiet_minutes: tuple[tuple[int, int], ...] = ()
        """Minutes of today in which nobody traded."""
        self.partial_minutes: tuple[int, ...] = ()
        """Minutes of today that were not watched as a whole."""
        self.price_scale: dict[InstrumentKey, tuple[float, float]] = {}
        """Middle and swing of an instrument's prices."""
        self.last_price: float | None = None
        """The price of the running minute."""

    def chart_instruments(self) -> tuple[Instrument, ...]:
        """Indices and futures, which the chains lack."""
        rows = []
        for place, item in enumerate(UNDERLYINGS):
            exchange = Exchange.BSE if item.exchange is Exchange.BFO else Exchange.NSE
            symbol = {"NIFTY": "NIFTY 50", "BANKNIFTY": "NIFTY BANK"}.get(item.name, item.name)
            rows.append(
                Instrument(
                    token=INDEX_TOKEN + place,
                    exchange_token=1,
                    tradingsymbol=symbol,
                    exchange=exchange,
                    name=symbol,
                    kind=InstrumentKind.INDEX,
                    segment=SEGMENT_INDICES,
                )
            )
            rows.append(
                Instrument(
                    token=INDEX_TOKEN + 100 + place,
                    exchange_token=1,
                    tradingsymbol=f"{item.name}27JANFUT",
                    exchange=item.exchange,
                    name=item.name,
                    kind=InstrumentKind.FUTURE,
                    segment=f"{item.exchange}-FUT",
                    expiry=item.expiries[1],
                    lot_size=item.lot_size,
                )
            )
        return tuple(rows)

    def search_charts(self, text: str) -> tuple[Instrument, ...]:
        """By symbol, or by the name of an underlying, the index first."""
        wanted = text.casefold()
        rows = self.chart_instruments()
        exact = tuple(row for row in rows if row.tradingsymbol.casefold() == wanted)
        if exact:
            return exact
        words = wanted.split()
        names = {item.name.casefold(): item.name for item in UNDERLYINGS}
        place = list(names).index(words[0]) if words and words[0] in names else -1
        if place < 0:
            return ()
        index, future = rows[2 * place : 2 * place + 2]
        return (future,) if words[1:] == ["fut"] else (index, future) if len(words) == 1 else ()

    async def bars(
        self,
        instrument: InstrumentKey,
        interval: BarInterval,
        start: datetime,
        end: datetime,
        *,
        indicators: Sequence[str] = (),
    ) -> BarsView:
        """Candles of every weekday's session up to now, the running one included."""
        self.bars_asked.append((instrument, interval, start, end, tuple(indicators)))
        if self.bars_failing:
            raise WorkstationError(self.bars_failing)
        wanted = [wanted_indicator(word) for word in indicators]
        now = int(self.bars_clock.market_now().timestamp())
        minutes = self._minutes(now) if self.bars_known else np.empty(0, np.int64)
        index = next((row for row in self.chart_instruments() if row.key == instrument), None)
        if index is None and instrument.exchange not in {Exchange.NFO, Exchange.BFO}:
            raise UnknownInstrument(f"There is no instrument {instrument} today.")
        has_volume = index is None or index.kind is not InstrumentKind.INDEX
        columns = self._merged(minutes, instrument, interval, has_volume=has_volume)
        found: dict[str, Floats] = {}
        for item in wanted:
            session = columns["start"].astype(np.int64) // DAY_S
            priced = PriceColumns(columns["high"], columns["low"], columns["close"], columns["volume"], session)
            found |= indicator_columns(item, priced)
        shown = (columns["start"] >= start.timestamp()) & (columns["start"] < end.timestamp())
        starts = columns["start"][shown].astype(np.int64)
        gaps = [
            (self._today(now) + MINUTE_S * first, self._today(now) + MINUTE_S * last)
            for first, last in self.missing_candles
        ]
        return BarsView(
            instrument=instrument,
            interval=interval,
            start=starts,
            open=columns["open"][shown],
            high=columns["high"][shown],
            low=columns["low"][shown],
            close=columns["close"][shown],
            volume=columns["volume"][shown],
            open_interest=columns["interest"][shown],
            source=columns["source"][shown].astype(np.int64),
            columns={name: values[shown] for name, values in found.items()},
            gaps=tuple((a, b) for a, b in gaps if a >= start.timestamp() and b <= end.timestamp())
            if self.bars_known
            else (),
            running=bool(len(starts)) and int(starts[-1]) + interval.minutes * MINUTE_S > now,
            note=self.bars_note,
        )

    def _today(self, now: int) -> int:
        return now // DAY_S * DAY_S + OPEN_S

    def _minutes(self, now: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        starts: list[int] = []
        today = now // DAY_S
        for day in range(today - DAYS_KEPT, today + 1):
            if (day + 3) % 7 >= 5:
                continue
            first = day * DAY_S + OPEN_S
            starts += [first + MINUTE_S * step for step in range(DAY_MINUTES) if first + MINUTE_S * step <= now]
        hidden = {
            self._today(now) + MINUTE_S * minute
            for first, last in (*self.missing_candles, *self.quiet_minutes)
            for minute in range(first, last)
        }
        return np.array([start for start in starts if start not in hidden], np.int64)

    def _merged(
        self,
        minutes: np.ndarray[tuple[int], np.dtype[np.int64]],
        key: InstrumentKey,
        interval: BarInterval,
        *,
        has_volume: bool,
    ) -> dict[str, Floats]:
        middle, swing = self.price_scale.get(key, (150.0, 40.0) if has_volume else (24_350.0, 120.0))
        if "FUT" in key.tradingsymbol:
            middle, swing = self.price_scale.get(key, (24_490.0, 120.0))
        length = interval.minutes * MINUTE_S
        opens = minutes // DAY_S * DAY_S + OPEN_S
        groups = opens + (minutes - opens) // length * length
        # A slow wave, a quicker one and a jerky one, so that bodies and wicks of every kind come about.
        step = minutes / MINUTE_S

        def at(when: Floats) -> Floats:
            wave = (
                np.sin(when / 97.0) + 0.35 * np.sin(when / 13.0) + 0.12 * np.sin(when * 2.3) + 0.05 * np.sin(when * 5.1)
            )
            return np.maximum(np.round((middle + swing * wave / 1.5) / TICK), 1.0) * TICK

        opened, closed = at(step), at(step + 1.0)
        if self.last_price is not None and closed.size:
            closed[-1] = self.last_price
        reach = np.round(swing * (0.02 + 0.03 * np.abs(np.sin(step * 1.7))) / TICK) * TICK
        high, low = np.maximum(opened, closed) + reach, np.maximum(np.minimum(opened, closed) - reach, TICK)
        size = np.round(400 + 350 * np.sin(step / 31.0) + 200 * np.abs(np.sin(step * 3.1))) * 65.0
        interest = 65.0 * np.round(90_000 + 9_000 * np.sin(step / 140.0))
        now = int(self.bars_clock.market_now().timestamp())
        partial = {self._today(now) + MINUTE_S * minute for minute in self.partial_minutes}
        source = np.array([BarSource.PARTIAL if int(m) in partial else BarSource.TICKS for m in minutes], np.float64)
        starts, first = np.unique(groups, return_index=True)
        last = np.append(first[1:], len(minutes)) - 1 if len(minutes) else first
        cuts = first if len(minutes) else np.empty(0, np.int64)

        def over(function: np.ufunc, values: Floats) -> Floats:
            return function.reduceat(values, cuts) if len(cuts) else np.empty(0)

        nothing = np.full(len(starts), math.nan)
        return {
            "start": starts.astype(np.float64),
            "open": opened[first],
            "high": over(np.maximum, high),
            "low": over(np.minimum, low),
            "close": closed[last],
            "volume": over(np.add, size) if has_volume else nothing,
            "interest": interest[last] if has_volume else nothing,
            "source": over(np.minimum, source),
        }
