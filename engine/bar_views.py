"""Candles as charts take them: longer ones made of minutes, indicators beside them, gaps named.

Pure. Invariant: a figure that is not known is NaN, and a span in which minutes are missing is listed, not drawn over.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from engine.bar_indicators import PriceColumns, WantedIndicator, indicator_columns, wanted_indicator
from engine.bars_settings import BarsSettings
from engine.core.bars import BarInterval, BarsView, MinuteBars
from engine.core.errors import InvalidInput
from engine.core.identifiers import InstrumentKey
from engine.core.views import Floats, Integers
from engine.market.bar_batches import read_only
from engine.market.bar_gaps import MINUTE_S, spans_of
from engine.market.bar_intervals import Bars, longer_bars
from engine.market.bar_sessions import SessionHours
from engine.market.minute_bars import RunningMinute

_DAY_S = 86_400


class BarsQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, checked."""

    interval: BarInterval
    first: int
    """From here on candles are read, epoch seconds: earlier than ``start`` where indicators need it."""
    start: int
    end: int
    indicators: tuple[WantedIndicator, ...]

    @classmethod
    def asked(
        cls,
        interval: BarInterval,
        start: datetime,
        end: datetime,
        indicators: Sequence[str],
        *,
        settings: BarsSettings,
    ) -> BarsQuestion:
        """Check a question.

        Raises:
            InvalidInput: a time without a zone, an empty or too long span, too many or unknown indicators.
        """
        for name, moment in (("start", start), ("end", end)):
            if moment.tzinfo is None:
                raise InvalidInput(f"{name} {moment} has no zone: give one, for example +05:30.", field=name)
        if not start < end:
            raise InvalidInput(f"The candles end ({end}) before they start ({start}).", field="end")
        if end - start > timedelta(days=settings.span_days_max):
            raise InvalidInput(f"Ask for at most {settings.span_days_max} days of candles at once.", field="start")
        if len(indicators) > settings.indicators_max:
            raise InvalidInput(f"Ask for at most {settings.indicators_max} indicators at once.", field="indicators")
        found = tuple(wanted_indicator(word) for word in indicators)
        begin = int(start.timestamp())
        return cls(
            interval=interval,
            first=begin - settings.indicator_history_days * _DAY_S if found else begin,
            start=begin,
            end=int(np.ceil(end.timestamp())),
            indicators=found,
        )


def bars_view(
    key: InstrumentKey,
    question: BarsQuestion,
    minutes: MinuteBars,
    *,
    running: RunningMinute | None,
    missing: Integers,
    sessions: Sequence[SessionHours],
    now: int,
    is_index: bool,
    note: str,
) -> BarsView:
    """The answer.

    Args:
        key: the instrument.
        question: what was asked.
        minutes: its finished minutes, oldest first, each once.
        running: the minute that is not finished.
        missing: starts of missing minutes, ascending.
        sessions: those that the question touches, oldest first.
        now: market time, epoch seconds.
        is_index: whether it is an index, which has no volume.
        note: why something is missing.
    """
    length = question.interval.minutes * MINUTE_S
    all_minutes, decimals = _with_running(minutes, running)
    opens = _opens(all_minutes.start, sessions)
    bars = longer_bars(all_minutes, opens, question.interval, gaps=spans_of(missing))
    scale = 10.0**decimals
    figures = {
        "open": bars.open / scale,
        "high": bars.high / scale,
        "low": bars.low / scale,
        "close": bars.close / scale,
        "volume": _known(bars.volume),
        "open_interest": _known(bars.open_interest),
    }
    columns: dict[str, Floats] = {}
    if question.indicators:
        priced = PriceColumns(
            figures["high"], figures["low"], figures["close"], figures["volume"], _opens(bars.start, sessions)
        )
        for wanted in question.indicators:
            columns |= indicator_columns(wanted, priced)
        if is_index and any(wanted.name == "vwap" for wanted in question.indicators):
            note = " ".join(filter(None, (note, "An index has no volume, and therefore no VWAP.")))
    shown = (bars.start >= question.start) & (bars.start < question.end)
    closes = [hours.closes(is_index=is_index) for hours in sessions if hours.open_s <= now]
    is_running = bool(
        shown.any() and bars.start[shown][-1] + length > now and (not closes or now < closes[-1])
    )  # a session's last candle may be shorter, and is finished when the session is
    inside = missing[(missing >= question.start) & (missing < question.end)]
    return BarsView(
        instrument=key,
        interval=question.interval,
        start=read_only(bars.start[shown]),
        source=read_only(bars.source[shown].astype(np.int64)),
        columns={name: read_only(values[shown]) for name, values in columns.items()},
        gaps=spans_of(inside),
        running=is_running,
        note=note,
        **{name: read_only(values[shown]) for name, values in figures.items()},
    )


def _with_running(minutes: MinuteBars, running: RunningMinute | None) -> tuple[Bars, int]:
    """All minutes in columns, the running one last, and their decimal places."""
    names = ("start", "open", "high", "low", "close", "volume", "open_interest", "source")
    columns: list[npt.NDArray[np.int64]] = [getattr(minutes, name).astype(np.int64) for name in names]
    decimals = int(minutes.decimals[0]) if len(minutes.decimals) else 0
    if running is not None:
        before = minutes.start < running.start
        columns = [
            np.append(column[before], getattr(running, name)) for name, column in zip(names, columns, strict=True)
        ]
        decimals = running.decimals
    start, opened, high, low, close, volume, interest, source = columns
    return Bars(start, opened, high, low, close, volume, interest, source.astype(np.uint8)), decimals


def _opens(start: Integers, sessions: Sequence[SessionHours]) -> Integers:
    """The open of the session of each candle; of a day that is not known, the same time of day as of the one before."""
    if not sessions:
        return start // _DAY_S * _DAY_S
    opens = np.array([hours.open_s // MINUTE_S * MINUTE_S for hours in sessions], np.int64)
    last = opens[np.maximum(np.searchsorted(opens, start, side="right") - 1, 0)]
    of_day: Integers = last + (start - last) // _DAY_S * _DAY_S
    return of_day


def _known(values: Integers) -> Floats:
    return np.where(values < 0, np.nan, values.astype(np.float64))
