"""MD-7: a recorded session through the same engine gives the same history, however it is played, and can be traded."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.bars_settings import BarsSettings
from engine.client import EngineClient
from engine.core.bars import BarSource
from engine.core.errors import Refused
from engine.core.orders import OrderState
from engine.core.replay import ReplayAction
from engine.core.vocabulary import QuoteState, Venue
from storage.embedded import EmbeddedPostgres
from tests.integration.market_data.tapes import (
    FASTEST,
    MONEY_CANDLES,
    PRICE_BARS,
    Rows,
    comes_to_be,
    made_tape,
    narrow_chain,
    played_out,
    replay_desk,
    replaying,
    rows_of,
    sought,
)
from tests.kit.desk_host import (
    TICK,
    Option,
    booked,
    comes_to,
    filled,
    live_chain,
    main_strategy,
    new_desk,
    say,
    seed_of,
    until,
)

SECOND = timedelta(seconds=1)
MINUTES = 3
STRIKES, OTHERS = 6, 5
"""Instruments on a made tape: options, and futures with indices."""
RECORDING_SPEED = 40.0
START, OPEN, LOW, CLOSE, SOURCE = 2, 3, 5, 6, 9
"""Places in a row of candles."""
MINUTE = 60 * SECOND


async def bought(client: EngineClient) -> None:
    """Half a minute into the tape, which stands there, buy a lot of the nearest call."""
    begin = await client.replay()
    await sought(client, begin.start + 30 * SECOND)
    option = Option(await narrow_chain(client), "ce")
    order = await filled(client, f"buy 1L {option.words} @ {option.ask}")
    assert order.average_price == option.ask, "the ask of the tape's book"


def state_of(client: EngineClient, token: int) -> QuoteState | None:
    """State of a quote now."""
    quote = client.quote(token)
    return None if quote is None else quote.state


async def straight(client: EngineClient) -> None:
    """Play what is left in one go."""
    await played_out(client)


async def wandering(client: EngineClient) -> None:
    """Play what is left slowly, in steps, with pauses, forward and back."""
    start = (await client.replay()).start
    await client.replay(ReplayAction(play=True, speed=40.0))
    await until(lambda: client.desk().status.session.market_time > start + 40 * SECOND, "ten seconds of the tape")
    await client.replay(ReplayAction(play=False))
    await client.replay(ReplayAction(step_frames=7))
    await comes_to_be(client, "paused")
    await sought(client, start + 130 * SECOND)
    await sought(client, start + 45 * SECOND)
    await client.replay(ReplayAction(play=True, speed=FASTEST))
    await until(lambda: client.desk().status.session.market_time > start + 75 * SECOND, "half a minute more")
    await sought(client, start + 31 * SECOND)
    await sought(client, start + 150 * SECOND)
    await played_out(client)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some minutes of a made-up market."""
    folder = tmp_path_factory.mktemp("tapes")
    return made_tape(folder, f"minutes {seed_of(str(folder))}", MINUTES * 60)


async def test_md_7_two_plays_give_the_same_candles_bit_for_bit(postgres_server: EmbeddedPostgres, tape: Path) -> None:
    """Played straight, and with pauses, steps and jumps forward and back: the same rows of prices and of money."""
    kept: list[tuple[Rows, Rows]] = []
    for manner in (straight, wandering):
        async with replaying(postgres_server, tape) as (desk, host):
            await bought(host.client)
            await manner(host.client)
            await host.engine.stop()
            kept.append((await rows_of(desk, PRICE_BARS), await rows_of(desk, MONEY_CANDLES)))
    (prices, money), (prices_again, money_again) = kept
    assert len(prices) >= (MINUTES - 1) * 6
    assert {row[SOURCE] for row in prices} == {BarSource.TICKS}, "the tape holds whole minutes"
    assert len(money) == MINUTES
    assert prices_again == prices
    assert money_again == money


async def test_md_7_a_recorded_session_is_played_again(postgres_server: EmbeddedPostgres) -> None:
    """What an engine recorded gives the candles it had stored itself, in a venue and a database of its own."""
    with new_desk(postgres_server, "md 7 recorded", speed=RECORDING_SPEED) as desk:
        desk.changed(engine={"bars": BarsSettings(history=False)})
        async with desk.opened() as host:
            client = host.client
            await live_chain(client)
            await client.record(on=True)
            begin = client.desk().status.session.market_time
            await until(
                lambda: client.desk().status.session.market_time - begin > timedelta(minutes=4, seconds=5),
                "four minutes of the market",
            )
            recorder = (await client.record(on=False)).recorder
            assert recorder is not None
        stored = await rows_of(desk, PRICE_BARS)
        async with replaying(postgres_server, Path(recorder.path)) as (replay, host):
            view = await played_out(host.client)
            status = host.client.desk().status
            assert (status.venue, status.session.extended) == (Venue.REPLAY, False)
            assert replay.database != desk.database
            await host.engine.stop()
            played = await rows_of(replay, PRICE_BARS)
        assert await rows_of(desk, PRICE_BARS) == stored, "a replay writes into its own database alone"
    whole = [row for row in stored if view.start <= row[START] and row[START] + MINUTE <= view.end]
    assert {row[SOURCE] for row in whole} == {BarSource.TICKS}
    assert len({row[START] for row in whole}) >= 3
    assert len(whole) >= 3 * 100
    # Of what is quiet the tape knows nothing before its first packet: that minute may be partial there, and of those
    # before it there is nothing to know but that the price stood.
    begins: dict[Any, datetime] = {}
    for row in played:
        if row[START] >= min(bar[START] for bar in whole):
            begins.setdefault(row[:START], row[START])
    known = {row[: START + 1]: row for row in played if row[START] + MINUTE <= view.end}
    for row in whole:
        begin = begins.get(row[:START], view.end)
        if row[START] < begin:
            assert len(set(row[OPEN : CLOSE + 1])) == 1, "a price that moved is on the tape"
        else:
            mine = known.pop(row[: START + 1])
            assert mine == row or (row[START] == begin and mine[SOURCE] == BarSource.PARTIAL)
    assert {key for key in known if key[:START] in begins and key[START] >= begins[key[:START]]} == set()
    assert sum(begin == min(begins.values()) for begin in begins.values()) >= 100


async def test_md_7_a_gap_of_the_recording_is_no_live_market(postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    """Where the recorded feed was down, prices are stale, nothing is sampled or filled, and minutes are partial."""
    tape = made_tape(tmp_path, f"gap {seed_of(str(tmp_path))}", 250, gap=(70, 130))
    async with replaying(postgres_server, tape) as (desk, host):
        client = host.client
        start = (await client.replay()).start
        await bought(client)
        (leg,) = (await main_strategy(client)).legs
        token = leg.leg.token
        for _ in range(2):
            await sought(client, start + 69 * SECOND)
            await until(lambda: state_of(client, token) is QuoteState.LIVE, "a price before the gap")
            await sought(client, start + 100 * SECOND)
            await until(lambda: state_of(client, token) is QuoteState.STALE, "a stale price in the gap")
            states = (await client.operations()).states
            assert sum(states.values()) == states["UNKNOWN"] + states["STALE"]
            await until(lambda: client.desk().status.feed.state is QuoteState.STALE, "a path that was lost")
            assert "gap" in client.desk().status.feed.message
            await sought(client, start + 135 * SECOND)
            await until(lambda: state_of(client, token) is QuoteState.LIVE, "a price after the gap")
        await played_out(client)
        await host.engine.stop()
        bars = await rows_of(desk, PRICE_BARS)
        money = {row[1]: row[-1] for row in await rows_of(desk, MONEY_CANDLES)}
    sources = sorted({((row[START] - start) // MINUTE, row[SOURCE]) for row in bars})
    assert sources == [(0, BarSource.TICKS), (1, BarSource.PARTIAL), (2, BarSource.PARTIAL), (3, BarSource.TICKS)]
    assert [money[start + place * MINUTE] for place in range(4)] == [299, 101, 499, 600]


async def test_md_7_every_instrument_of_a_large_dump_is_played(
    postgres_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    """A dump lists far more than a feed carries; what was recorded is on the board whichever it is."""
    tape = made_tape(tmp_path, f"large {seed_of(str(tmp_path))}", 62)
    with replay_desk(postgres_server, tape) as desk:
        desk.changed(engine={"board_slots_max": 50})
        async with desk.opened() as host:
            await played_out(host.client)
            view = await host.client.operations()
            assert view.refused == ()
            assert view.subscribed == view.instruments_rows > 50
            assert sum(view.states.values()) - view.states["UNKNOWN"] == STRIKES + OTHERS
            await host.engine.stop()
            assert len({row[1] for row in await rows_of(desk, PRICE_BARS)}) == STRIKES + OTHERS
            assert not [event for event in await host.client.events() if "gap" in event.text]


async def test_md_7_an_order_rests_in_the_book_of_the_tape_until_it_is_met(
    postgres_server: EmbeddedPostgres, tape: Path
) -> None:
    """A bid below the tape's prices works while the tape stands and is filled when its market comes to it."""
    async with replaying(postgres_server, tape) as (_, host):
        client = host.client
        begin = await client.replay()
        await sought(client, begin.start + 30 * SECOND)
        option = Option(await narrow_chain(client), "ce")
        receipt = await say(client, f"buy 1L {option.words} @ {option.bid - TICK}")
        assert receipt.accepted, receipt.message
        (order,) = receipt.orders
        await comes_to(client, order.number, OrderState.OPEN)
        with pytest.raises(Refused, match="an open order was placed or changed at 11:00:30"):
            await client.replay(ReplayAction(seek=begin.start))
        await client.replay(ReplayAction(play=True))
        met = await comes_to(client, order.number, OrderState.COMPLETE)
        assert met.average_price == option.bid - TICK
        (trade,) = await booked(client, met)
        assert begin.start + 30 * SECOND < trade.filled_at < begin.end
        await comes_to_be(client, "ended")
        await until(lambda: client.desk().status.feed.state is QuoteState.CLOSED, "a market that has closed")
