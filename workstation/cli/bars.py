"""``workstation bars "nifty 24000 ce w0" 5m``: candles of one instrument, printed once."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta

from engine.client import EngineClient
from engine.core.bars import BarInterval, BarSource, BarsView
from engine.core.errors import InvalidInput, UnknownInstrument
from engine.core.instruments import Instrument
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_table, print_words
from workstation.formatting import IST, decimal_text, india
from workstation.presenters.chart_axis import price_places

UNKNOWN = "—"
SEARCH_LIMIT = 20
MINUTE_S = 60
RUNNING_WORD = "running"
SOURCE_WORDS = {BarSource.TICKS: "", BarSource.PARTIAL: "partial", BarSource.HISTORY: "history"}
GAPS_TOLD = 5
"""Gaps that are named; further ones are counted."""


async def bars(
    engine: EngineClient,
    words: str,
    interval: str,
    *,
    start: str | None,
    end: str | None,
    indicators: str,
    as_json: bool,
) -> ExitCode:
    """Print candles that begin in [start, end), oldest first; what is missing is said on standard error.

    Args:
        engine: Where they are.
        words: What to search the instrument by; the first that answers is taken and named.
        interval: The length of a candle: ``5m``.
        start: A day or a moment, Indian time where it names no zone; ``None`` is the day of market time.
        end: The same; a day is meant as a whole. ``None`` is now, the running candle included.
        indicators: Comma separated, ``ema_20,vwap``.
        as_json: One document instead of columns.

    Raises:
        InvalidInput: a length, a moment or an indicator that is none.
        UnknownInstrument: nothing answers to the words.
    """
    length = BarInterval.parse(interval)
    now = engine.desk().status.session.market_time
    begin = _moment(start, "--from") if start is not None else _midnight(india(now).date())
    finish = _moment(end, "--to", whole_day=True) if end is not None else now + timedelta(minutes=1)
    if not begin < finish:
        raise InvalidInput(f"--from {_when(begin)} is not before --to {_when(finish)}.", field="from")
    instrument = await _instrument(engine, words)
    asked = tuple(name for word in indicators.split(",") if (name := word.strip()))
    view = await engine.bars(instrument.key, length, begin, finish, indicators=asked)
    _tell_what_is_missing(view)
    if as_json:
        print_json(view)
        return ExitCode.DONE
    if not len(view.start):
        print_words(f"No candle of {instrument.key} from {_when(begin)} to {_when(finish)}; --from names another day.")
        return ExitCode.UNAVAILABLE
    _print(view, price_places(float(instrument.tick_size)))
    return ExitCode.DONE


async def _instrument(engine: EngineClient, words: str) -> Instrument:
    found = await engine.search(words, SEARCH_LIMIT)
    if not found:
        raise UnknownInstrument(f'No instrument answers to "{words}" today.', field="instrument")
    exact = next((item for item in found if item.tradingsymbol.casefold() == words.strip().casefold()), found[0])
    others = "" if len(found) == 1 or exact is not found[0] else f" (first of {len(found)}: name more for another)"
    print_words(f"{exact.key}{others}")
    return exact


def _tell_what_is_missing(view: BarsView) -> None:
    if view.note:
        print_words(view.note)
    for begin, finish in view.gaps[:GAPS_TOLD]:
        minutes = (finish - begin) // MINUTE_S
        print_words(f"missing: {minutes} min from {_stamp(begin)} to {_stamp(finish)}")
    if len(view.gaps) > GAPS_TOLD:
        print_words(f"missing: {len(view.gaps) - GAPS_TOLD} further spans")


def _print(view: BarsView, places: int) -> None:
    headings = ["start", "open", "high", "low", "close", "volume", "oi", *view.columns, "remarks"]
    last = len(view.start) - 1
    rows = []
    for row, start in enumerate(view.start.tolist()):
        prices = (view.open, view.high, view.low, view.close)
        counts = (view.volume, view.open_interest)
        remarks = [SOURCE_WORDS[BarSource(int(view.source[row]))]]
        remarks += [RUNNING_WORD] if view.running and row == last else []
        rows.append(
            [
                _stamp(start),
                *(_figure(float(values[row]), places) for values in prices),
                *(_figure(float(values[row]), 0) for values in counts),
                *(_figure(float(values[row]), places) for values in view.columns.values()),
                " ".join(filter(None, remarks)),
            ]
        )
    print_table(headings, rows, left=frozenset({0, len(headings) - 1}))


def _figure(value: float, places: int) -> str:
    return decimal_text(value, places, group=False) if math.isfinite(value) else UNKNOWN


def _moment(text: str, option: str, *, whole_day: bool = False) -> datetime:
    """A day or a moment; a day that is meant as a whole ends at its midnight."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        return _midnight(day + timedelta(days=1) if whole_day else day)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f'{option}: "{text}" is neither a day such as 2026-11-25 nor a moment such as 2026-11-25T09:15.',
            field=option.removeprefix("--"),
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=IST)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), IST)


def _when(moment: datetime) -> str:
    return f"{india(moment):%Y-%m-%d %H:%M}"


def _stamp(second: int) -> str:
    return _when(datetime.fromtimestamp(second, UTC))
