"""Gaps of what is watched: found, filled in order, within bounds, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engine.bars_settings import BarsSettings
from engine.core.bars import BarInterval, BarSource
from engine.core.errors import BrokerUnavailable, RateLimited
from engine.core.instruments import Instrument
from engine.history_filler import HistoryFiller, minute_bars
from engine.history_requests import HistoryRequest, RequestList
from storage.memory import MemoryStore
from tests.unit.engine.bars_kit import DAY, FUTURE, INDEX, OPTION, BarsDesk, History, ist

OPEN = ist(9, 15)
NIGHT = ist(23)
MakeDesk = Callable[..., BarsDesk]


@pytest.fixture
async def make_desk() -> AsyncIterator[MakeDesk]:
    """Makes desks that run, and ends them."""
    made: list[BarsDesk] = []

    def make(now: datetime, **arguments: object) -> BarsDesk:
        desk = BarsDesk(now, **arguments)  # type: ignore[arg-type]
        desk.start()
        made.append(desk)
        return desk

    yield make
    for desk in made:
        await desk.stop()


async def minutes(desk: BarsDesk, instrument: Instrument = OPTION) -> dict[datetime, BarSource]:
    """What is stored of an instrument today."""
    found = await desk.repository.between([instrument.key], ist(0), NIGHT)
    return {
        datetime.fromtimestamp(start, UTC): BarSource(source)
        for start, source in zip(found.start.tolist(), found.source.tolist(), strict=True)
    }


def quote(desk: BarsDesk, instrument: Instrument = OPTION, volume: int = 100) -> None:
    """One packet of something that traded long ago."""
    desk.feed.full(instrument.token, last=70.0, volume=volume, traded_ago_s=3_600.0)


async def test_a_late_start_is_filled_with_one_request(make_desk: MakeDesk) -> None:
    """The day so far and the minute in which the watching began, once that one is over; and never again."""
    desk = make_desk(ist(11, 0, 20))
    desk.history.trade_all(OPTION.token, OPEN, ist(15, 40))
    desk.wanted = {OPTION.token: 1}
    quote(desk)
    await desk.until(lambda: desk.service.gaps().filled > 0)
    assert desk.history.asked == [(OPTION.token, OPEN, ist(11))]
    await desk.advance(60.0, steps=30)
    assert len(desk.history.asked) == 1
    await desk.until(lambda: desk.service.queue().waiting == 0)
    kept = await minutes(desk)
    assert min(kept) == OPEN
    assert max(kept) == ist(11)
    assert len(kept) == 106
    assert set(kept.values()) == {BarSource.HISTORY}


async def test_a_restart_asks_for_the_new_hole_alone(make_desk: MakeDesk) -> None:
    """What is stored is not asked again: the next engine asks from where the last one ended."""
    store = MemoryStore()
    first = make_desk(ist(11, 0, 20), store=store)
    first.history.trade_all(OPTION.token, OPEN, ist(15, 40))
    first.wanted = {OPTION.token: 1}
    quote(first)
    await first.until(lambda: first.service.gaps().filled > 0)
    first.trade(ist(11, 2, 30), 71.0, 200)
    first.at(ist(11, 3))
    await first.service.stop()
    await first.stop()
    second = make_desk(ist(11, 30, 20), store=store)
    second.history.trade_all(OPTION.token, OPEN, ist(15, 40))
    second.wanted = {OPTION.token: 1}
    quote(second)
    await second.until(lambda: second.service.gaps().filled > 0)
    assert second.history.asked == [(OPTION.token, ist(11, 1), ist(11, 30))]
    await second.until(lambda: second.service.queue().waiting == 0)
    kept = await minutes(second)
    assert len(kept) == 136


async def test_a_broken_path_is_filled_when_it_is_sound_again(make_desk: MakeDesk) -> None:
    """The minutes of the break and its two ends, which were partial; a watched minute without a trade stays one."""
    desk = make_desk(ist(9, 14))
    desk.history.trade_all(OPTION.token, OPEN, ist(15, 40), 60.0)
    desk.wanted = {OPTION.token: 1}
    desk.feed.full(OPTION.token, last=70.0, volume=0, traded_ago_s=86_400.0)
    await desk.advance(360.0, steps=360)
    desk.trade(ist(9, 20, 5), 71.0, 10)
    assert desk.history.asked == []
    desk.feed.health.disconnected(0)
    await desk.advance(120.0, steps=120)
    desk.feed.health.connected(0, desk.feed.now_ns)
    desk.trade(desk.feed.market + timedelta(seconds=5), 75.0, 90)
    back = desk.feed.market
    await desk.until(lambda: desk.service.gaps().filled > 0)
    await desk.until(lambda: desk.service.queue().waiting == 0)
    ((_, first, last),) = desk.history.asked
    assert last == back.replace(second=0, microsecond=0)
    assert first <= ist(9, 20)
    kept = await minutes(desk)
    assert kept[ist(9, 20)] is BarSource.HISTORY
    assert kept[back.replace(second=0, microsecond=0)] is BarSource.HISTORY


async def test_what_sends_nothing_is_filled_after_a_while(make_desk: MakeDesk) -> None:
    """An instrument without a path (no room in the feed, or nothing traded) has its history asked now and then."""
    desk = make_desk(ist(11), settings=BarsSettings(history_days=0, look_again_s=120.0))
    desk.history.trade_all(OPTION.token, OPEN, ist(15, 40))
    desk.wanted = {OPTION.token: 1}
    await desk.advance(8.0, steps=8)
    assert desk.history.asked == []
    await desk.until(lambda: len(desk.history.asked) == 1)
    assert desk.history.asked[0][:2] == (OPTION.token, OPEN)
    await desk.until(lambda: len(desk.history.asked) == 2)
    assert desk.history.asked[1][1] == desk.history.asked[0][2] + timedelta(minutes=1)


async def test_indices_and_futures_have_earlier_sessions(make_desk: MakeDesk) -> None:
    """One request over all of them; an option has today alone. An index has neither volume nor open interest."""
    desk = make_desk(ist(9, 30), settings=BarsSettings(history_days=2))
    tuesday = DAY - timedelta(days=2)
    for item in (INDEX, FUTURE, OPTION):
        for day in (tuesday, DAY - timedelta(days=1)):
            desk.history.trade_all(item.token, ist(9, 15, day=day), ist(9, 20, day=day))
        desk.history.trade_all(item.token, OPEN, ist(15, 40))
    desk.wanted = {INDEX.token: 1, FUTURE.token: 1, OPTION.token: 1}
    await desk.until(lambda: len(desk.history.asked) == 3)
    assert {token: start for token, start, _ in desk.history.asked} == {
        INDEX.token: ist(9, 15, day=tuesday),
        FUTURE.token: ist(9, 15, day=tuesday),
        OPTION.token: OPEN,
    }
    await desk.until(lambda: desk.service.gaps().waiting == 0 and desk.service.queue().waiting == 0)
    found = await desk.repository.between([INDEX.key], ist(0, day=tuesday), NIGHT)
    assert len(found.place) == 25
    assert set(found.volume.tolist()) == set(found.open_interest.tolist()) == {-1}
    future = await desk.repository.between([FUTURE.key], ist(0, day=tuesday), NIGHT)
    assert set(future.volume.tolist()) == {10}


async def test_greater_priority_goes_first(make_desk: MakeDesk) -> None:
    """And what somebody waits for goes before all of them."""
    desk = make_desk(ist(11), settings=BarsSettings(history_days=0, requests_at_once=1))
    desk.history.gate = asyncio.Event()
    desk.wanted = {OPTION.token: 1, FUTURE.token: 5}
    for item in (OPTION, FUTURE):
        desk.history.trade_all(item.token, OPEN, ist(11))
    await desk.until(lambda: len(desk.history.asked) == 1)
    asking = asyncio.create_task(desk.service.bars(INDEX, BarInterval.MINUTE, OPEN, ist(11)))
    await asyncio.sleep(0.01)
    desk.history.gate.set()
    await asking
    await desk.until(lambda: len(desk.history.asked) == 3)
    assert [token for token, *_ in desk.history.asked] == [FUTURE.token, INDEX.token, OPTION.token]


async def test_an_instrument_without_history_is_left_alone_for_the_day(make_desk: MakeDesk) -> None:
    """Its token is gone, says the broker: not asked again today, and asked on the next day."""
    desk = make_desk(ist(11), settings=BarsSettings(history_days=0, look_again_s=30.0))
    desk.history.unknown.add(OPTION.token)
    desk.wanted = {OPTION.token: 1}
    await desk.until(lambda: len(desk.history.asked) == 1)
    await desk.advance(120.0, steps=60)
    assert len(desk.history.asked) == 1
    view = await desk.service.bars(OPTION, BarInterval.MINUTE, OPEN, ist(11))
    assert "no history of it today" in view.note
    assert len(desk.history.asked) == 1
    await desk.advance(86_400.0)
    await desk.until(lambda: len(desk.history.asked) == 2)


async def test_a_refusal_for_speed_rests_as_long_as_the_broker_says(make_desk: MakeDesk) -> None:
    """And the request goes on the list again."""
    desk = make_desk(ist(11))
    desk.history.faults.append(RateLimited("too many", retry_after_s=40.0))
    desk.wanted = {OPTION.token: 1}
    await desk.until(lambda: len(desk.history.asked) == 1)
    await desk.advance(38.0, steps=38)
    assert len(desk.history.asked) == 1
    assert "too many" in desk.service.gaps().message
    await desk.until(lambda: len(desk.history.asked) == 2)


async def test_a_request_that_fails_again_and_again_is_given_up_for_a_while(make_desk: MakeDesk) -> None:
    """After the set number of attempts, each after a longer rest; looked for again later."""
    desk = make_desk(ist(11), settings=BarsSettings(history_days=0, attempts_max=2, look_again_s=200.0))
    desk.history.faults += [BrokerUnavailable("down")] * 2
    desk.wanted = {OPTION.token: 1}
    await desk.until(lambda: len(desk.history.asked) == 2)
    await desk.advance(150.0, steps=75)
    assert len(desk.history.asked) == 2
    assert "does not answer" in desk.service.gaps().message
    await desk.until(lambda: len(desk.history.asked) == 3)
    await desk.until(lambda: not desk.service.gaps().message)


async def test_a_reader_does_not_fill(make_desk: MakeDesk) -> None:
    """An engine that only looks spends none of the account's requests by itself."""
    desk = make_desk(ist(11))
    desk.is_writer = False
    desk.wanted = {OPTION.token: 1}
    await desk.advance(60.0, steps=30)
    assert desk.history.asked == []


async def test_a_database_that_is_gone_is_looked_at_again(
    make_desk: MakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    """The work goes on when it is back."""
    desk = make_desk(ist(11))
    desk.wanted = {OPTION.token: 1}
    desk.store.stop()
    await desk.advance(30.0, steps=15)
    assert desk.history.asked == []
    assert "could not be read" in caplog.text
    desk.store.start()
    await desk.until(lambda: len(desk.history.asked) == 1)


async def test_progress_is_told(make_desk: MakeDesk) -> None:
    """Instruments, minutes and how long it takes."""
    desk = make_desk(ist(11), settings=BarsSettings(history_days=0, requests_per_s=2.0))
    desk.history.gate = asyncio.Event()
    desk.wanted = {OPTION.token: 1, FUTURE.token: 1}
    await desk.until(lambda: len(desk.history.asked) == 2)
    view = desk.service.gaps()
    assert (view.instruments, view.waiting, view.filled) == (2, 2, 0)
    assert view.minutes >= 2 * 104
    assert view.eta_s == pytest.approx(1.0)
    desk.history.gate.set()
    await desk.until(lambda: desk.service.gaps().waiting == 0)
    assert desk.service.gaps().eta_s == 0.0


async def test_an_ask_that_is_cancelled_gives_its_request_back() -> None:
    """Nothing is lost when the service is restarted in the middle of an answer."""
    desk = BarsDesk(ist(11))
    filler = desk.service._filler
    assert isinstance(filler, HistoryFiller)
    desk.history.gate = asyncio.Event()
    desk.wanted = {OPTION.token: 1}
    desk.start()
    await desk.until(lambda: len(desk.history.asked) == 1)
    await desk.stop()
    assert filler.view().waiting == 1
    desk.history.gate.set()
    desk.start()
    await desk.until(lambda: len(desk.history.asked) == 2)
    await desk.stop()


def request(instrument: Instrument, priority: int, first: int = 0, last: int = 60) -> HistoryRequest:
    """A request for two minutes."""
    return HistoryRequest(instrument, priority, first, last, 2)


async def test_the_list_keeps_its_bound() -> None:
    """Beyond it the least and newest leaves, or does not come in; both are counted."""
    requests = RequestList(2)
    option, future, index = request(OPTION, 1), request(FUTURE, 1), request(INDEX, 1)
    assert requests.add(option) is option
    assert requests.add(future) is future
    assert requests.add(index) is None
    assert requests.left_out == 1
    urgent = request(INDEX, 9)
    assert requests.add(urgent) is urgent
    assert future.done.is_set()
    assert not future.answered
    assert requests.take() is urgent
    assert requests.take() is option
    assert requests.take() is None
    assert requests.waiting == 2


async def test_an_instrument_has_one_request() -> None:
    """One that waits is widened; one under way that asks for all of it answers it too; else it goes out after it."""
    requests = RequestList(9)
    first = request(OPTION, 1, 60, 120)
    requests.add(first)
    assert requests.add(request(OPTION, 3, 0, 60)) is first
    assert (first.priority, first.first, first.last) == (3, 0, 120)
    assert requests.take() is first
    assert requests.add(request(OPTION, 1, 60, 120)) is first
    later = request(OPTION, 1, 60, 600)
    assert requests.add(later) is later
    assert requests.take() is None, "its instrument is being asked for"
    requests.give_back(first)
    assert (later.first, later.last) == (0, 600)
    taken = requests.take()
    assert taken is later
    taken.answered = True
    requests.finish(taken)
    assert first.done.is_set()
    assert first.answered
    assert requests.waiting == 0


async def test_columns_of_the_brokers_minutes_are_sorted_out() -> None:
    """Minutes outside the session are left out, whatever the broker sends."""
    desk = BarsDesk(ist(16))
    history: History = desk.history
    history.trade(OPTION.token, ist(9, 7), 1.0)
    history.trade(OPTION.token, ist(9, 15), 2.0)
    history.trade(OPTION.token, ist(15, 39), 3.0)
    history.trade(OPTION.token, ist(15, 40), 4.0)
    found = await history.history(OPTION.token, BarInterval.MINUTE, ist(9), ist(16))
    sessions = desk.days.between(int(ist(9).timestamp()), int(ist(16).timestamp()))
    batch = minute_bars(OPTION, found.bars, sessions)
    assert batch.close.tolist() == [200, 300]
    assert np.all(batch.source == BarSource.HISTORY)
