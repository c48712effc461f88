"""The synchronous half of ``EngineClient``: pictures, and the interest that keeps them coming."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from engine.core.errors import InvalidInput, UnknownInstrument
from engine.core.views import ChainView, StatusView
from engine.core.vocabulary import Mark
from tests.contract.client.harness import ClientHarness, within_limits
from tests.kit.local_door import until


def seen(harness: ClientHarness, since: int = 0) -> ChainView:
    """The watched chain, which must be there."""
    view = harness.client.chain(harness.chain_key, since)
    assert view is not None
    return view


async def newer(harness: ClientHarness, than: int) -> None:
    """Wait until the chain has moved on."""
    await until(lambda: seen(harness).sequence > than, "a newer picture of the chain")


async def test_the_desk_is_the_same_object_while_nothing_changes(harness: ClientHarness) -> None:
    """A screen may compare desks by identity."""
    first = harness.client.desk()
    await within_limits(harness.client.funds)
    assert harness.client.desk() is first or harness.client.desk().revision > first.revision


async def test_a_change_makes_another_desk_with_a_greater_revision(harness: ClientHarness) -> None:
    """What happens reaches the desk, and its revision tells."""
    before = harness.client.desk()
    await harness.change_desk()
    await until(lambda: harness.client.desk().revision > before.revision, "a newer desk")
    assert harness.client.desk() is not before


async def test_the_desk_keeps_its_types(harness: ClientHarness) -> None:
    """Amounts are decimals under enum keys, times are aware, over every road."""
    status = harness.client.desk().status
    assert isinstance(status, StatusView)
    assert [type(mark) for mark in status.day_profit] == [Mark] * len(status.day_profit)
    assert {type(money) for money in status.day_profit.values()} == {Decimal}
    assert status.session.market_time.tzinfo is not None


async def test_a_chain_shows_only_while_it_is_watched(harness: ClientHarness) -> None:
    """Before the first watch and after the last one given up there is no picture."""
    client, key = harness.client, harness.chain_key
    assert client.chain(key) is None
    await client.watch_chain(key)
    assert seen(harness).key == key
    await client.unwatch_chain(key)
    assert client.chain(key) is None


async def test_watches_of_a_chain_are_counted(harness: ClientHarness) -> None:
    """Two watches need two unwatches."""
    client, key = harness.client, harness.chain_key
    await client.watch_chain(key)
    await client.watch_chain(key)
    await client.unwatch_chain(key)
    assert client.chain(key) is not None
    await client.unwatch_chain(key)
    assert client.chain(key) is None


async def test_an_unknown_chain_is_refused_and_not_watched(harness: ClientHarness) -> None:
    """The refusal is the engine's own error, and nothing is left behind."""
    wrong = msgspec.structs.replace(harness.chain_key, underlying="NOSUCH")
    with pytest.raises(UnknownInstrument, match="NOSUCH"):
        await harness.client.watch_chain(wrong)
    assert harness.client.chain(wrong) is None


async def test_all_rows_count_as_changed_for_a_newcomer(harness: ClientHarness) -> None:
    """Without a sequence of its own a reader must draw everything."""
    await harness.client.watch_chain(harness.chain_key)
    view = seen(harness)
    assert view.changed.tolist() == list(range(view.strikes.size))


async def test_no_row_has_changed_since_the_newest_picture(harness: ClientHarness) -> None:
    """A reader that is up to date draws nothing."""
    await harness.client.watch_chain(harness.chain_key)
    newest = seen(harness).sequence
    view = seen(harness, newest)
    assert view.sequence > newest or view.changed.size == 0


async def test_a_change_is_told_by_its_row(harness: ClientHarness) -> None:
    """A reader draws the row that moved."""
    await harness.client.watch_chain(harness.chain_key)
    before = seen(harness).sequence
    await harness.change_row(2)
    await newer(harness, before)
    assert 2 in seen(harness, before).changed


async def test_rows_changed_in_skipped_pictures_are_not_missed(harness: ClientHarness) -> None:
    """A reader that looks rarely learns of every row that changed since it looked, not only of the last ones."""
    await harness.client.watch_chain(harness.chain_key)
    before = seen(harness).sequence
    await harness.change_row(0)
    await newer(harness, before)
    between = seen(harness).sequence
    await harness.change_row(3)
    await newer(harness, between)
    assert {0, 3} <= set(seen(harness, before).changed.tolist())
    assert 3 in seen(harness, between).changed


async def test_two_readers_with_different_pasts_do_not_disturb_each_other(harness: ClientHarness) -> None:
    """Asking with one sequence does not eat the changes of another."""
    await harness.client.watch_chain(harness.chain_key)
    before = seen(harness).sequence
    await harness.change_row(1)
    await newer(harness, before)
    newest = seen(harness).sequence
    seen(harness, newest)
    assert 1 in seen(harness, before).changed


async def test_columns_are_read_only_and_of_the_stated_kinds(harness: ClientHarness) -> None:
    """Nobody can scribble on a shared picture; NaN stays NaN, numbers keep their kind."""
    await harness.client.watch_chain(harness.chain_key)
    view = seen(harness)
    for side in (view.calls, view.puts):
        assert side.token.dtype == np.int64
        assert side.state.dtype == np.uint8
        assert side.bid.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            side.bid[0] = 1.0


async def test_an_unknown_figure_is_nan_and_never_zero(harness: ClientHarness) -> None:
    """What a fresh chain cannot know yet is NaN over every road."""
    key = await harness.untouched()
    await harness.client.watch_chain(key)
    view = harness.client.chain(key)
    assert view is not None
    assert math.isnan(view.calls.open_interest_change[0])
    await harness.client.unwatch_chain(key)


async def test_an_instrument_shows_only_while_it_is_watched(harness: ClientHarness) -> None:
    """A quote is there from watch to unwatch, in decimals."""
    client = harness.client
    await client.watch_chain(harness.chain_key)
    token = int(seen(harness).calls.token[0])
    await client.unwatch_chain(harness.chain_key)
    await client.watch([token])
    await until(lambda: client.quote(token) is not None, "a quote")
    quote = client.quote(token)
    assert quote is not None
    assert quote.token == token
    assert quote.last is None or isinstance(quote.last, Decimal)
    await client.unwatch([token])


async def test_a_token_of_nothing_has_no_quote(harness: ClientHarness) -> None:
    """A number that no instrument carries shows nothing, watched or refused."""
    try:
        await harness.client.watch([4_294_967_290])
    except InvalidInput:
        assert harness.client.quote(4_294_967_290) is None
        return
    assert harness.client.quote(4_294_967_290) is None
    await harness.client.unwatch([4_294_967_290])


async def test_marks_tell_which_quotes_to_read_again(harness: ClientHarness) -> None:
    """The same marks mean the same quotes; a quote that is another one has another mark."""
    client, key = harness.client, harness.chain_key
    await client.watch_chain(key)
    token = next(int(one) for one in seen(harness).calls.token if one)
    await client.watch([token])
    await until(lambda: client.quote(token) is not None, "a quote")
    quote, marks = client.quote(token), client.quote_marks([token, 1])
    assert marks.shape == (2,)
    await harness.change_row(0)
    await until(lambda: (now := client.quote(token)) is not None and now != quote, "another quote")
    after = client.quote(token)
    assert after is not None
    assert quote is not None
    if msgspec.structs.replace(after, age_s=None) != msgspec.structs.replace(quote, age_s=None):
        assert client.quote_marks([token, 1])[0] != marks[0]
    assert client.quote_marks([token, 1])[1] == marks[1]
