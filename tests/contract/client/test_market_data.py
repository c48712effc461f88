"""The market-data half of ``EngineClient``: the same shapes, refusals and words over every road."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from engine.core.bars import BarInterval
from engine.core.errors import InvalidInput, Refused, UnknownInstrument
from engine.core.identifiers import InstrumentKey
from engine.core.replay import ReplayAction
from tests.contract.client.harness import ClientHarness

NOTHING = InstrumentKey.parse("NFO:NOTHING99")
FROM = datetime(2026, 11, 19, 5, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def test_bars_are_columns_of_one_length(harness: ClientHarness) -> None:
    """Read-only columns, ascending inside what was asked; an indicator stands beside them."""
    view = await harness.client.bars(
        harness.request.instrument, BarInterval.MINUTE, FROM, FROM + HOUR, indicators=["ema_3"]
    )
    columns = (view.open, view.high, view.low, view.close, view.volume, view.open_interest, view.source)
    assert {column.shape for column in columns} == {view.start.shape}
    assert not any(column.flags.writeable for column in columns)
    assert [column.dtype for column in columns[:6]] == [np.float64] * 6
    assert (np.diff(view.start) > 0).all()
    assert ((view.start >= FROM.timestamp()) & (view.start < (FROM + HOUR).timestamp())).all()
    assert (view.instrument, view.interval) == (harness.request.instrument, BarInterval.MINUTE)
    assert {column.shape for column in view.columns.values()} == {view.start.shape}
    assert view.columns.keys() == {"ema_3"}
    assert all(begin < end for begin, end in view.gaps)


async def test_bars_that_cannot_be_are_refused_in_words(harness: ClientHarness) -> None:
    """An unknown instrument, an unknown indicator, and a time without a zone."""
    bars, own = harness.client.bars, harness.request.instrument
    with pytest.raises(UnknownInstrument, match="NFO:NOTHING99"):
        await bars(NOTHING, BarInterval.MINUTE, FROM, FROM + HOUR)
    with pytest.raises(InvalidInput, match="ema"):
        await bars(own, BarInterval.MINUTE, FROM, FROM + HOUR, indicators=["crystal ball"])
    with pytest.raises(InvalidInput, match="zone"):
        await bars(own, BarInterval.MINUTE, FROM.replace(tzinfo=None), FROM + HOUR)


async def test_rules_are_dated_facts_with_a_source(harness: ClientHarness) -> None:
    """Of today or of another day; the time is aware."""
    view = await harness.client.rules()
    assert view.rows
    assert view.at.tzinfo is not None
    assert all(row.topic and row.value and row.source for row in view.rows)
    assert {row.subject for row in view.rows if row.topic == "lot"} >= {harness.chain_key.underlying}
    assert (await harness.client.rules(date(2026, 8, 3))).on == date(2026, 8, 3)


async def test_the_engine_room_counts_what_is_subscribed(harness: ClientHarness) -> None:
    """Connections, room, queues with a bound and a policy, and the accounts."""
    view = await harness.client.operations()
    assert view.at.tzinfo is not None
    assert view.capacity >= view.subscribed >= 0
    assert [item.number for item in view.connections] == list(range(len(view.connections)))
    assert sum(view.states.values()) <= view.subscribed
    assert all(queue.limit > 0 and queue.policy for queue in view.queues)
    assert view.accounts
    assert view.instruments_rows > 0


async def test_a_tape_is_begun_and_ended_and_again_is_no_error(harness: ClientHarness) -> None:
    """The answer says where the tape is; the engine room says the same."""
    for _ in range(2):
        recorder = (await harness.client.record(on=True)).recorder
        assert recorder is not None
        assert recorder.recording
        assert recorder.path
    for _ in range(2):
        recorder = (await harness.client.record(on=False)).recorder
        assert recorder is not None
        assert not recorder.recording
    seen = (await harness.client.operations()).recorder
    assert seen is not None
    assert not seen.recording


async def test_a_venue_that_plays_no_tape_refuses_to_replay(harness: ClientHarness) -> None:
    """With and without something to do, in words that say what would."""
    for action in (None, ReplayAction(play=True)):
        with pytest.raises(Refused, match="workstation replay TAPE"):
            await harness.client.replay(action)


async def test_a_venue_without_logins_refuses_to_renew_one(harness: ClientHarness) -> None:
    """It says so; an account nobody knows is refused as well."""
    for account in ("", "ZZ9999"):
        with pytest.raises(Refused):
            await harness.client.renew_session(account)
