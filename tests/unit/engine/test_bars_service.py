"""The candle service: what it makes, keeps, asks for and answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from engine.bars_settings import BarsSettings
from engine.core.bars import BarInterval, BarSource, MinuteBars
from engine.core.errors import BrokerUnavailable, InvalidInput, SessionExpired, UnknownInstrument
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange
from engine.venue import VenueReading
from storage.bar_rows import FIGURES, minute_bars
from tests.unit.engine.bars_kit import DAY, EXPIRED, FUTURE, INDEX, OPTION, BarsDesk, ist

MINUTE = BarInterval.MINUTE
FIRST = ist(9, 15)
NIGHT = ist(23)


@pytest.fixture
async def desk() -> AsyncIterator[BarsDesk]:
    """A desk that is watching before the open."""
    desk = BarsDesk(ist(9, 14))
    yield desk
    await desk.stop()


def closes(view: Any) -> list[tuple[datetime, float]]:
    """Start and close of each candle."""
    return [(datetime.fromtimestamp(start, UTC), close) for start, close in zip(view.start, view.close, strict=True)]


def morning(desk: BarsDesk) -> None:
    """Watched from before the open: trades in the minutes 09:15, 09:16, 09:18 and, running, 09:19."""
    desk.feed.full(OPTION.token, last=99.0, volume=0, traded_ago_s=86_400.0)
    desk.trade(ist(9, 15, 5), 100.0, 10)
    desk.trade(ist(9, 15, 55), 104.0, 40)
    desk.trade(ist(9, 16, 10), 103.0, 45)
    desk.trade(ist(9, 18, 10), 101.5, 55)
    desk.trade(ist(9, 19, 10), 102.0, 60)


async def test_finished_and_running_minutes_are_one_series(desk: BarsDesk) -> None:
    """Stored, unsaved and running ones; a minute without a trade has none, and is no gap where it was watched."""
    morning(desk)
    await desk.service.stop()
    desk.trade(ist(9, 20, 1), 105.0, 70)
    view = await desk.service.bars(OPTION, MINUTE, FIRST, NIGHT)
    assert closes(view) == [
        (FIRST, 104.0),
        (ist(9, 16), 103.0),
        (ist(9, 18), 101.5),
        (ist(9, 19), 102.0),
        (ist(9, 20), 105.0),
    ]
    assert view.volume.tolist() == [40.0, 5.0, 10.0, 5.0, 10.0]
    assert view.open_interest.tolist() == [1_000.0] * 5
    assert (view.open[0], view.high[0], view.low[0]) == (100.0, 104.0, 100.0)
    assert view.source.tolist() == [BarSource.TICKS] * 5
    assert view.running
    assert view.gaps == ()
    assert view.note == ""
    assert desk.history.asked == []


async def test_longer_candles_are_anchored_at_the_open(desk: BarsDesk) -> None:
    """Three minutes from 09:15; the last one runs."""
    morning(desk)
    view = await desk.service.bars(OPTION.key, BarInterval.MINUTES_3, FIRST, NIGHT)
    assert closes(view) == [(FIRST, 103.0), (ist(9, 18), 102.0)]
    assert view.volume.tolist() == [45.0, 15.0]
    assert view.running
    desk.at(ist(9, 21))
    view = await desk.service.bars(OPTION.key, BarInterval.MINUTES_3, FIRST, NIGHT)
    assert not view.running


async def test_a_span_in_the_middle_of_a_longer_candle_gives_whole_candles(desk: BarsDesk) -> None:
    """What begins in the span, made of all of its minutes."""
    morning(desk)
    view = await desk.service.bars(OPTION, BarInterval.MINUTES_3, ist(9, 16), ist(9, 19))
    assert closes(view) == [(ist(9, 18), 102.0)]


async def test_the_sessions_last_candle_may_be_shorter(desk: BarsDesk) -> None:
    """15:15 to 15:40 is the last hour, and finished at the close."""
    morning(desk)
    desk.trade(ist(15, 39, 30), 90.0, 100)
    view = await desk.service.bars(OPTION, BarInterval.MINUTES_60, FIRST, NIGHT)
    assert closes(view)[-1] == (ist(15, 15), 90.0)
    assert view.running
    desk.at(ist(15, 40))
    view = await desk.service.bars(OPTION, BarInterval.MINUTES_60, FIRST, NIGHT)
    assert closes(view)[-1] == (ist(15, 15), 90.0)
    assert not view.running


async def test_indicators_stand_beside_the_candles() -> None:
    """Of candles before the span too; an index has no VWAP, and the note says so."""
    desk = BarsDesk(ist(9, 14), asks=False)
    for number in range(30):
        desk.at(ist(9, 15 + number, 1))
        desk.feed.index(INDEX.token, 24_000.0 + number)
    view = await desk.service.bars(
        INDEX, MINUTE, ist(9, 40), NIGHT, indicators=("ema_3", "vwap", "bollinger_upper", "cpr")
    )
    assert list(view.columns) == ["ema_3", "vwap", "bollinger_upper", "cpr_pivot", "cpr_bottom", "cpr_top"]
    assert view.columns["ema_3"][0] == pytest.approx(24_024.0)
    assert np.isfinite(view.columns["bollinger_upper"]).all()
    assert np.isnan(view.columns["vwap"]).all()
    assert np.isnan(view.volume).all()
    assert "no VWAP" in view.note


async def test_what_cannot_be_asked_is_refused(desk: BarsDesk) -> None:
    """A span without zone, backwards, too long; too many or unknown indicators; an instrument nobody knows."""
    bars = desk.service.bars
    with pytest.raises(InvalidInput, match="no zone"):
        await bars(OPTION, MINUTE, FIRST.replace(tzinfo=None), NIGHT)
    with pytest.raises(InvalidInput, match="before they start"):
        await bars(OPTION, MINUTE, NIGHT, FIRST)
    with pytest.raises(InvalidInput, match="at most 60 days"):
        await bars(OPTION, MINUTE, FIRST - timedelta(days=61), FIRST)
    with pytest.raises(InvalidInput, match="at most 16 indicators"):
        await bars(OPTION, MINUTE, FIRST, NIGHT, ["ema"] * 17)
    with pytest.raises(InvalidInput, match="no indicator"):
        await bars(OPTION, MINUTE, FIRST, NIGHT, ["wisdom"])
    with pytest.raises(UnknownInstrument, match="NOTHING"):
        await bars(InstrumentKey(Exchange.NFO, "NOTHING"), MINUTE, FIRST, NIGHT)


async def test_an_expired_contract_is_read_from_the_store(desk: BarsDesk) -> None:
    """By its lasting name; the hole between two candles is a gap, and nobody is asked."""
    starts = [int(ist(9, minute).timestamp()) for minute in (15, 16, 19)]
    figures = np.array([[start, 500, 510, 490, 505, 65, 100, BarSource.TICKS] for start in starts], np.int64).T
    assert len(FIGURES) == len(figures)
    await desk.repository.save(minute_bars((EXPIRED,), np.array([2], np.uint8), np.zeros(3, np.int64), list(figures)))
    view = await desk.service.bars(EXPIRED, MINUTE, FIRST, NIGHT)
    assert [close for _, close in closes(view)] == [5.05] * 3
    assert view.gaps == ((starts[1] + 60, starts[2]),)
    assert "not listed today" in view.note
    assert desk.history.asked == []
    elsewhere = await desk.service.bars(EXPIRED, MINUTE, ist(9) - timedelta(days=3), ist(10) - timedelta(days=3))
    assert len(elsewhere.start) == 0


async def test_what_is_missing_is_asked_of_the_broker_and_kept(desk: BarsDesk) -> None:
    """A chart opened at eleven has the day since the open; the second look asks nobody."""
    desk.at(ist(11))
    desk.history.trade_all(OPTION.token, FIRST, ist(11), 50.0)
    desk.start()
    await desk.clock.advance(0)
    view = await desk.service.bars(OPTION, MINUTE, FIRST, NIGHT)
    assert len(view.start) == 104  # 10:59 is not expected in the history yet
    assert view.source.tolist() == [BarSource.HISTORY] * 104
    assert view.gaps == ()
    assert view.note == ""
    assert desk.history.asked == [(OPTION.token, FIRST, ist(10, 58))]
    await desk.service.bars(OPTION, BarInterval.MINUTES_15, ist(10), ist(10, 30))
    assert len(desk.history.asked) == 1
    await desk.service.stop()
    assert (await desk.repository.last([OPTION.key]))[OPTION.key] == ist(10, 58)


async def test_an_illiquid_option_is_not_asked_for_again(desk: BarsDesk) -> None:
    """The broker's answer tells of the minutes without a trade as well."""
    desk.at(ist(11))
    desk.history.trade(OPTION.token, ist(10, 2), 5.0)
    desk.start()
    await desk.clock.advance(0)
    for _ in range(3):
        view = await desk.service.bars(OPTION, MINUTE, FIRST, NIGHT)
        assert [close for _, close in closes(view)] == [5.0]
        assert view.gaps == ()
    assert len(desk.history.asked) == 1


async def test_a_broker_that_does_not_answer_leaves_a_named_gap(desk: BarsDesk) -> None:
    """The question waits a little, answers with what is there, and says why."""
    desk.at(ist(9, 30))
    desk.history.gate = asyncio.Event()
    impatient = BarsSettings(history_wait_s=0.01, history_days=0)
    service = BarsDesk(ist(9, 30), history=desk.history, settings=impatient).service
    view = await service.bars(OPTION, MINUTE, FIRST, NIGHT)
    assert view.gaps == ((int(FIRST.timestamp()), int(ist(9, 29).timestamp())),)
    assert "has not answered yet" in view.note


async def test_an_ended_session_is_said(desk: BarsDesk) -> None:
    """Then nobody is asked until there is a new one."""
    desk.at(ist(9, 30))
    desk.history.faults.append(SessionExpired("log in again"))
    desk.history.trade_all(OPTION.token, FIRST, ist(9, 30))
    desk.start()
    desk.wanted = {OPTION.token: 1}
    await desk.until(lambda: bool(desk.history.asked))
    view = await desk.service.bars(OPTION, MINUTE, FIRST, NIGHT)
    assert "needs a login" in view.note
    assert "needs a login" in desk.service.gaps().message
    assert len(desk.history.asked) == 1
    desk.service.session_renewed()
    await desk.until(lambda: desk.service.gaps().waiting == 0)
    assert desk.service.gaps().filled > 0
    assert desk.service.gaps().message == ""


async def test_a_reader_makes_candles_and_writes_none(desk: BarsDesk) -> None:
    """A second engine on the same database leaves it alone."""
    desk.is_writer = False
    desk.start()
    morning(desk)
    await desk.advance(30.0, steps=6)
    assert len((await desk.service.bars(OPTION, MINUTE, FIRST, NIGHT)).start) == 4
    await desk.service.stop()
    assert await desk.repository.last([OPTION.key]) == {}


async def test_minutes_are_written_at_their_pace(desk: BarsDesk) -> None:
    """And those that a stopped database refused are written when it is back; meanwhile the screen says so."""
    desk.start()
    morning(desk)
    desk.store.stop()
    await desk.advance(6.0, steps=6)
    assert "wait for the database" in desk.declared["candles"]
    assert desk.service.queue().waiting == 3
    desk.store.start()
    await desk.advance(6.0, steps=6)
    assert desk.declared["candles"] == ""
    assert desk.service.queue().waiting == 0
    assert (await desk.repository.last([OPTION.key]))[OPTION.key] == ist(9, 18)


async def test_a_minute_ends_by_the_clock_when_nothing_comes(desk: BarsDesk) -> None:
    """The last minute before a silence, or of the day, is not held back."""
    desk.start()
    morning(desk)
    await desk.advance(60.0, steps=60)
    assert (await desk.service.bars(OPTION, MINUTE, FIRST, NIGHT)).running is False
    assert (await desk.repository.last([OPTION.key]))[OPTION.key] == ist(9, 19)


async def test_old_minutes_are_deleted_on_a_new_day(desk: BarsDesk) -> None:
    """By the setting, once a day."""
    morning(desk)
    await desk.service.stop()
    later = BarsDesk(ist(10, day=DAY) + timedelta(days=59), store=desk.store)
    later.start()
    try:
        await later.advance(1.0)
        assert len((await later.repository.between([OPTION.key], FIRST, NIGHT)).place) == 3
        await later.advance(86_400.0 * 2)
        await later.advance(120.0)
        assert len((await later.repository.between([OPTION.key], FIRST, NIGHT)).place) == 0
    finally:
        await later.stop()


async def test_the_same_frames_give_the_same_rows() -> None:
    """A replay: nobody is asked, a tape that goes back begins again, and every column is the same to the bit."""
    replay = BarsDesk(ist(9, 14), asks=False)
    morning(replay)
    replay.at(ist(9, 30))
    await replay.service.stop()
    first = await replay.repository.between([OPTION.key], FIRST, NIGHT)
    await replay.service.restart(ist(9, 14))
    assert len((await replay.repository.between([OPTION.key], FIRST, NIGHT)).place) == 0
    again = BarsDesk(ist(9, 14), store=replay.store, asks=False)
    morning(again)
    again.at(ist(9, 20))
    await again.service.stop()
    second = await again.repository.between([OPTION.key], FIRST, NIGHT)
    for name in MinuteBars.__struct_fields__:
        if name != "instruments":
            assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    view = await again.service.bars(FUTURE, MINUTE, FIRST, ist(9, 16))
    assert view.note == "Nobody is asked for what is missing here."
    assert replay.service.gaps().waiting == 0
    assert replay.history.asked == []


async def test_a_session_held_open_by_the_venue_has_candles() -> None:
    """A practice session on a Sunday evening, anchored at the day's start."""
    sunday = ist(20, 0, day=DAY + timedelta(days=3))
    practice = BarsDesk(sunday, asks=False)
    practice.reading = VenueReading(market_time=sunday, is_open=True, extended=True)
    practice.trade(sunday, 10.0, 5)
    practice.trade(sunday + timedelta(seconds=70), 11.0, 9)
    view = await practice.service.bars(OPTION, MINUTE, sunday, sunday + timedelta(hours=1))
    assert closes(view)[-1] == (sunday + timedelta(minutes=1), 11.0)


async def test_a_failing_broker_is_said_and_rested(desk: BarsDesk) -> None:
    """The message names it, and goes when it answers again."""
    desk.history.faults += [BrokerUnavailable("down")] * 2
    desk.history.trade_all(OPTION.token, FIRST, ist(10))
    desk.at(ist(10))
    desk.start()
    desk.wanted = {OPTION.token: 1}
    await desk.until(lambda: bool(desk.history.asked))
    assert "down" in desk.service.gaps().message
    await desk.until(lambda: desk.service.gaps().filled > 0)
    assert desk.service.gaps().message == ""
    assert len(desk.history.asked) == 3
