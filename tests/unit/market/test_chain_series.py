"""Minutes of a chain from its pictures: last living picture, gaps, suspect quotes; and the line before the database."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.core.errors import StorageUnavailable
from engine.core.repositories import ChainSeriesRepository
from engine.core.series import ChainMinute, ChainSeries, DailyVolatility, StrikeSeries, epoch_seconds, minute_of
from engine.core.views import ChainKey, ChainView
from engine.core.vocabulary import QuoteState
from engine.market.chain_series import ChainBacklog, ChainSampler, chain_minute, is_living
from tests.unit.market.chain_kit import MORNING, NIFTY_INDEX, SPOT, Market
from tests.unit.market.feed_kit import NSE_FO

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def sampler(chains_max: int = 16) -> ChainSampler:
    """A sampler that knows the date in India."""
    return ChainSampler(lambda moment: (moment + timedelta(hours=5, minutes=30)).date(), chains_max=chains_max)


def live_market() -> Market:
    """A whole chain and its index, quoted at the start of a minute."""
    made = Market()
    made.feed.index(NIFTY_INDEX, SPOT)
    made.quote_all()
    return made


def with_states(view: ChainView, state: QuoteState, rows: Sequence[int] | None = None) -> ChainView:
    """The same picture with the calls (and, for all rows, the puts) in another state."""

    def changed(side: Any) -> Any:
        states = side.state.copy()
        states[list(rows) if rows is not None else slice(None)] = state
        return msgspec.structs.replace(side, state=states)

    puts = changed(view.puts) if rows is None else view.puts
    return msgspec.structs.replace(view, calls=changed(view.calls), puts=puts)


def later(view: ChainView, sequence: int) -> ChainView:
    """The same figures as another picture."""
    return msgspec.structs.replace(view, sequence=sequence)


def test_a_minute_is_named_by_its_start() -> None:
    """Whole minutes of any zone, in UTC; seconds since the epoch for columns."""
    moment = datetime(2026, 11, 23, 11, 0, 59, 999_999, tzinfo=UTC)
    assert minute_of(moment) == datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
    assert minute_of(datetime(1969, 12, 31, 23, 59, 30, tzinfo=UTC)) == datetime(1969, 12, 31, 23, 59, tzinfo=UTC)
    assert epoch_seconds(moment) == int(moment.timestamp())


def test_the_row_is_the_live_chain() -> None:
    """Header, totals and every strike as the real model shows them, at the minute it belongs to."""
    market = live_market()
    view = market.view()
    series = sampler()
    assert series.take(view, MORNING + 59 * SECOND) == ()
    (row,) = series.ended(MORNING + MINUTE)
    assert (row.key, row.minute, row.day) == (market.key, MORNING, date(2026, 11, 23))
    header = view.header
    assert (row.spot, row.forward, row.atm_strike) == (SPOT, header.forward, header.atm_strike)
    assert (row.atm_volatility, row.straddle) == (header.atm_volatility, header.straddle)
    assert (row.pcr_open_interest, row.pcr_volume, row.max_pain) == (
        header.pcr_open_interest,
        header.pcr_volume,
        header.max_pain,
    )
    assert row.call_open_interest == np.nansum(view.calls.open_interest)
    assert row.put_open_interest == np.nansum(view.puts.open_interest)
    assert row.contracts == np.count_nonzero(view.calls.token) + np.count_nonzero(view.puts.token)
    strikes = row.strikes
    np.testing.assert_array_equal(strikes.strike, view.strikes)
    np.testing.assert_array_equal(strikes.call_price, (view.calls.bid + view.calls.ask) / 2)
    np.testing.assert_array_equal(strikes.put_volatility, view.puts.implied_volatility)
    np.testing.assert_array_equal(strikes.call_open_interest, view.calls.open_interest)
    np.testing.assert_array_equal(strikes.put_volume, view.puts.volume)
    listed = view.calls.token != 0
    assert (strikes.call_input[listed] == 1).all()
    assert np.isfinite(strikes.call_price[listed]).all()
    assert listed.sum() > 10


def test_the_last_picture_of_the_minute_stands() -> None:
    """Of several pictures the newest one is the minute's, and it is given once."""
    market = live_market()
    series = sampler()
    series.take(market.view(), market.feed.market)
    market.feed.pass_time(30)
    market.quote(24_000, "CE", middle=150.0)
    series.take(market.view(), market.feed.market)
    assert series.open_minutes == 1
    assert series.ended(MORNING + 59.9 * SECOND) == ()
    (row,) = series.ended(MORNING + MINUTE)
    assert row.strikes.call_price[row.strikes.strike == 24_000.0][0] == pytest.approx(150.0)
    assert series.ended(MORNING + 10 * MINUTE) == ()
    assert series.open_minutes == 0


def test_a_picture_of_the_next_minute_ends_the_one_before() -> None:
    """Nobody has to ask for the end: the first picture of a later minute gives the earlier one."""
    view = live_market().view()
    series = sampler()
    assert series.take(view, MORNING + 10 * SECOND) == ()
    (row,) = series.take(later(view, view.sequence + 1), MORNING + 65 * SECOND)
    assert row.minute == MORNING
    (following,) = series.ended(MORNING + 2 * MINUTE)
    assert following.minute == MORNING + MINUTE


def test_a_minute_without_a_picture_is_a_gap() -> None:
    """After a pause of four minutes there are two rows, not six."""
    view = live_market().view()
    series = sampler()
    rows = list(series.take(view, MORNING))
    rows += series.take(later(view, view.sequence + 1), MORNING + 5 * MINUTE)
    rows += series.ended(MORNING + 9 * MINUTE)
    assert [row.minute for row in rows] == [MORNING, MORNING + 5 * MINUTE]


def test_the_same_picture_never_stands_for_two_minutes() -> None:
    """A picture that was recorded and is shown again, because nothing computes a new one, is no news."""
    view = live_market().view()
    series = sampler()
    series.take(view, MORNING + 50 * SECOND)
    assert len(series.take(view, MORNING + 70 * SECOND)) == 1
    assert series.open_minutes == 0
    assert series.ended(MORNING + 2 * MINUTE) == ()


@pytest.mark.parametrize(
    "state", [QuoteState.STALE, QuoteState.CLOSED, QuoteState.FROZEN, QuoteState.UNKNOWN], ids=lambda state: state.name
)
def test_a_chain_without_a_trusted_quote_is_no_minute(state: QuoteState) -> None:
    """The figures are still on the screen; they are not recorded as if they lived."""
    view = with_states(live_market().view(), state)
    assert not is_living(view)
    series = sampler()
    assert series.take(view, MORNING) == ()
    assert series.ended(MORNING + MINUTE) == ()


def test_a_feed_that_dies_leaves_the_last_living_picture() -> None:
    """Silence in mid-minute: the minute ends with what was last known to live, and the next ones are gaps."""
    market = live_market()
    series = sampler()
    living = market.view()
    series.take(living, market.feed.market)
    market.feed.pass_time(20, heartbeat=False)
    stale = market.view()
    assert set(stale.calls.state) == {QuoteState.STALE, QuoteState.UNKNOWN}
    series.take(stale, market.feed.market)
    market.feed.pass_time(50, heartbeat=False)
    (row,) = series.take(market.view(), market.feed.market)
    assert row.minute == MORNING
    np.testing.assert_array_equal(row.strikes.call_price, (living.calls.bid + living.calls.ask) / 2)
    market.feed.pass_time(60, heartbeat=False)
    assert series.take(market.view(), market.feed.market) == series.ended(market.feed.market) == ()


def test_after_the_close_nothing_is_recorded() -> None:
    """The segment's session is over: its last figures are on the screen and not in the series."""
    market = live_market()
    market.feed.states.set_open_segments(())
    market.feed.pass_time(1)
    view = market.view()
    assert view.calls.state[0] == QuoteState.CLOSED
    series = sampler()
    series.take(view, market.feed.market)
    assert series.ended(MORNING + MINUTE) == ()


def test_an_expired_chain_is_not_recorded() -> None:
    """Contracts that have stopped, while their segment still trades."""
    view = live_market().view()
    over = msgspec.structs.replace(view, header=msgspec.structs.replace(view.header, seconds_to_expiry=0.0))
    assert is_living(view)
    assert not is_living(over)


def test_an_index_that_does_not_move_is_no_spot() -> None:
    """Frozen in the closing auction or stale: the spot is unknown, the chain goes on."""
    view = live_market().view()
    for state in (QuoteState.FROZEN, QuoteState.STALE, QuoteState.CLOSED):
        header = msgspec.structs.replace(view.header, spot_state=state)
        row = chain_minute(msgspec.structs.replace(view, header=header), MORNING, MORNING.date())
        assert row.spot is None
        assert row.forward == view.header.forward


def test_a_frozen_index_of_the_real_feed_is_no_spot() -> None:
    """The same, as the judge of quotes says it."""
    market = live_market()
    market.feed.states.set_frozen([NIFTY_INDEX])
    market.feed.pass_time(1)
    view = market.view()
    assert view.header.spot == SPOT
    assert chain_minute(view, MORNING, MORNING.date()).spot is None


def test_a_suspect_quote_is_unknown_and_so_are_the_sums() -> None:
    """One stale call: its figures are unknown, the totals are no totals, its put and the other strikes are recorded."""
    whole = live_market().view()
    view = with_states(whole, QuoteState.STALE, [2])
    row = chain_minute(view, MORNING, MORNING.date())
    strikes = row.strikes
    assert strikes.strike.tolist() == view.strikes.tolist()
    sound = chain_minute(whole, MORNING, MORNING.date()).strikes
    for name in ("call_price", "call_volatility", "call_open_interest", "call_volume"):
        assert math.isfinite(getattr(sound, name)[2])
        assert math.isnan(getattr(strikes, name)[2])
        np.testing.assert_array_equal(np.delete(getattr(strikes, name), 2), np.delete(getattr(sound, name), 2))
    assert strikes.call_input[2] == 0
    np.testing.assert_array_equal(strikes.put_price, sound.put_price)
    assert (row.call_open_interest, row.put_open_interest) == (None, None)
    assert (row.pcr_open_interest, row.pcr_volume, row.max_pain) == (None, None, None)
    assert row.contracts == chain_minute(whole, MORNING, MORNING.date()).contracts - 1
    assert row.forward == view.header.forward


def test_what_was_never_heard_of_is_left_out_and_counted() -> None:
    """An option without any packet: the totals are those of the others, and say of how many."""
    whole = live_market().view()
    view = with_states(whole, QuoteState.UNKNOWN, [0, 1])
    row = chain_minute(view, MORNING, MORNING.date())
    assert row.call_open_interest == np.nansum(whole.calls.open_interest[2:])
    assert row.contracts == chain_minute(whole, MORNING, MORNING.date()).contracts - 2
    assert row.pcr_open_interest == whole.header.pcr_open_interest


def test_a_strike_of_which_nothing_is_known_has_no_row() -> None:
    """Neither call nor put heard of: no row of unknowns is stored for it."""
    view = live_market().view()
    states = view.puts.state.copy()
    states[1] = QuoteState.UNKNOWN
    half = with_states(view, QuoteState.UNKNOWN, [1, 2])
    row = chain_minute(
        msgspec.structs.replace(half, puts=msgspec.structs.replace(half.puts, state=states)), MORNING, MORNING.date()
    )
    assert row.strikes.strike.tolist() == np.delete(view.strikes, 1).tolist()


def test_totals_of_nothing_are_unknown() -> None:
    """No call's open interest is known: the total is unknown, not 0."""
    view = live_market().view()
    nothing = msgspec.structs.replace(view.calls, open_interest=np.full(view.strikes.size, math.nan))
    row = chain_minute(msgspec.structs.replace(view, calls=nothing), MORNING, MORNING.date())
    assert row.call_open_interest is None
    assert row.put_open_interest is not None


def test_a_missing_contract_is_not_a_quote() -> None:
    """A strike that has no call today: whatever stands in its place is nobody's."""
    view = live_market().view()
    tokens = view.calls.token.copy()
    tokens[3] = 0
    row = chain_minute(
        msgspec.structs.replace(view, calls=msgspec.structs.replace(view.calls, token=tokens)), MORNING, MORNING.date()
    )
    assert math.isnan(row.strikes.call_price[3])
    assert row.call_open_interest == np.nansum(np.delete(view.calls.open_interest, 3))


def test_a_price_without_two_sides_is_the_recent_last_trade() -> None:
    """One-sided: the last trade stands in while it is recent, and the row says so; without it there is no price."""
    market = live_market()
    for strike, ago in ((24_000, 5.0), (24_050, 3_600.0)):
        market.feed.full(
            market.token(strike, "CE"),
            bids=[(100.0, 65)],
            last=101.5,
            open_interest=650,
            traded_ago_s=ago,
        )
    view = market.view()
    row = chain_minute(view, MORNING, MORNING.date())
    recent, old = (int(np.flatnonzero(view.strikes == strike)[0]) for strike in (24_000.0, 24_050.0))
    assert view.calls.state[recent] == QuoteState.ONE_SIDED
    assert (row.strikes.call_price[recent], row.strikes.call_input[recent]) == (101.5, 2)
    assert math.isnan(row.strikes.call_price[old])
    assert row.strikes.call_input[old] == 0
    assert row.strikes.call_open_interest[old] == 650.0


def test_chains_have_their_own_minutes() -> None:
    """Two chains in one minute are two rows, in the order of their keys."""
    view = live_market().view()
    other = msgspec.structs.replace(view, key=ChainKey("BANKNIFTY", view.key.expiry))
    series = sampler()
    series.take(view, MORNING)
    series.take(other, MORNING + SECOND)
    assert [row.key.underlying for row in series.ended(MORNING + MINUTE)] == ["BANKNIFTY", "NIFTY"]


def test_time_does_not_run_backwards() -> None:
    """Pictures of a minute that was given out, or of one before the running one, change nothing."""
    view = live_market().view()
    series = sampler()
    series.take(view, MORNING + MINUTE)
    assert series.take(later(view, 77), MORNING) == ()
    (row,) = series.ended(MORNING + 2 * MINUTE)
    assert row.minute == MORNING + MINUTE
    assert series.take(later(view, 78), MORNING + MINUTE) == ()
    assert series.take(later(view, 79), MORNING) == ()
    assert series.ended(MORNING + 3 * MINUTE) == ()


def test_the_memory_of_recorded_pictures_is_bounded() -> None:
    """Only so many chains are remembered; of the others an old picture would be taken for a new one."""
    view = live_market().view()
    series = sampler(chains_max=2)
    keys = [ChainKey("NIFTY", view.key.expiry + timedelta(days=7 * number)) for number in range(3)]
    pictures = [msgspec.structs.replace(view, key=key) for key in keys]
    for picture in pictures:
        series.take(picture, MORNING)
    assert len(series.ended(MORNING + MINUTE)) == 3
    for picture in pictures:
        series.take(picture, MORNING + MINUTE)
    assert [row.key for row in series.ended(MORNING + 2 * MINUTE)] == keys[:1]


def test_another_segment_being_open_does_not_revive_a_chain() -> None:
    """Only the chain's own segment counts."""
    market = live_market()
    market.feed.states.set_open_segments([9])
    market.feed.pass_time(1)
    assert not is_living(market.view())
    market.feed.states.set_open_segments([NSE_FO])
    market.feed.pass_time(1)
    assert is_living(market.view())


# -- the line before the database -----------------------------------------------------------------------------------


class Shelf:
    """A store of chain minutes that can be closed, or made to wait."""

    def __init__(self) -> None:
        self.batches: list[tuple[ChainMinute, ...]] = []
        self.closed = False
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def save(self, minutes: Sequence[ChainMinute]) -> None:
        """Keep a batch."""
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.closed:
            raise StorageUnavailable("The shelf is closed.")
        self.batches.append(tuple(minutes))

    @property
    def minutes(self) -> list[datetime]:
        """What was kept, in order of writing."""
        return [row.minute for batch in self.batches for row in batch]

    async def between(self, key: ChainKey, start: datetime, end: datetime) -> ChainSeries:
        """Not asked here."""
        raise AssertionError

    async def strikes_between(
        self, key: ChainKey, start: datetime, end: datetime, *, strike: float | None = None
    ) -> StrikeSeries:
        """Not asked here."""
        raise AssertionError

    async def daily_atm_volatility(self, underlying: str, days: int, *, days_to_expiry_min: int = 0) -> DailyVolatility:
        """Not asked here."""
        raise AssertionError

    async def delete_before(self, *, minutes: datetime, strikes: datetime) -> int:
        """Not asked here."""
        raise AssertionError

    async def delete_from(self, moment: datetime) -> int:
        """Drop minutes from a moment on."""
        if self.closed:
            raise StorageUnavailable("The shelf is closed.")
        before = len(self.minutes)
        self.batches = [tuple(row for row in batch if row.minute < moment) for batch in self.batches]
        return before - len(self.minutes)


@pytest.fixture(scope="module")
def row() -> ChainMinute:
    """One sampled minute."""
    return chain_minute(live_market().view(), MORNING, MORNING.date())


def minutes(row: ChainMinute, *numbers: int) -> list[ChainMinute]:
    """The sample at other minutes."""
    return [msgspec.structs.replace(row, minute=MORNING + number * MINUTE) for number in numbers]


async def test_waiting_minutes_are_written_in_batches_oldest_first(row: ChainMinute) -> None:
    """At most so many at once; afterwards nothing waits."""
    shelf = Shelf()
    port: ChainSeriesRepository = shelf
    backlog = ChainBacklog(port, batch_max=2, waiting_max=10)
    backlog.add(minutes(row, 3, 1, 2))
    assert backlog.waiting == 3
    assert await backlog.save() == 3
    assert [len(batch) for batch in shelf.batches] == [2, 1]
    assert shelf.minutes == [item.minute for item in minutes(row, 1, 2, 3)]
    assert backlog.waiting == 0
    assert await backlog.save() == 0


async def test_the_same_minute_waits_once(row: ChainMinute) -> None:
    """A minute given twice is written once, as given last."""
    shelf = Shelf()
    backlog = ChainBacklog(shelf, batch_max=5, waiting_max=10)
    backlog.add([row, msgspec.structs.replace(row, spot=1.0)])
    await backlog.save()
    assert [item.spot for batch in shelf.batches for item in batch] == [1.0]


async def test_what_the_database_did_not_take_waits_on(row: ChainMinute) -> None:
    """A failure is told, nothing is lost, and the next attempt writes all."""
    shelf = Shelf()
    backlog = ChainBacklog(shelf, batch_max=2, waiting_max=10)
    backlog.add(minutes(row, 0, 1, 2))
    shelf.closed = True
    with pytest.raises(StorageUnavailable):
        await backlog.save()
    assert backlog.waiting == 3
    shelf.closed = False
    assert await backlog.save() == 3
    assert backlog.dropped == 0


async def test_the_line_is_bounded_and_drops_the_oldest(row: ChainMinute, caplog: pytest.LogCaptureFixture) -> None:
    """While the database is away the newest minutes are kept, the loss is counted and said."""
    shelf = Shelf()
    backlog = ChainBacklog(shelf, batch_max=5, waiting_max=3)
    with caplog.at_level(logging.ERROR):
        backlog.add(minutes(row, 0, 1, 2, 3, 4))
    assert (backlog.waiting, backlog.dropped) == (3, 2)
    assert "2 unsaved chain minutes dropped" in caplog.text
    await backlog.save()
    assert shelf.minutes == [item.minute for item in minutes(row, 2, 3, 4)]


async def test_a_cancelled_write_loses_nothing(row: ChainMinute) -> None:
    """An engine that stops in the middle of a write still has the minutes, with those that came meanwhile."""
    shelf = Shelf()
    shelf.gate = asyncio.Event()
    backlog = ChainBacklog(shelf, batch_max=5, waiting_max=10)
    backlog.add(minutes(row, 0, 1))
    writing = asyncio.create_task(backlog.save())
    await shelf.reached.wait()
    assert backlog.waiting == 0
    backlog.add(minutes(row, 2))
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert backlog.waiting == 3
    shelf.gate.set()
    assert await backlog.save() == 3
