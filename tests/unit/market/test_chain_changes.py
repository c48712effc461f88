"""What is computed anew, what counts as changed, and open interest against the morning."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest

from engine.core.views import ChainColumns
from tests.unit.market.chain_kit import SPOT, Market, row_of
from tests.unit.market.market_kit import W1


def ready(market: Market) -> int:
    """Quote everything, look once, and give the sequence of that look."""
    market.quote_all()
    return market.view().sequence


def test_first_look_changes_every_row() -> None:
    """Without a sequence of ours all rows have to be drawn."""
    market = Market()
    ready(market)
    view = market.view()
    assert view.changed.tolist() == list(range(view.strikes.size))


def test_quiet_market_gives_the_same_picture() -> None:
    """Nothing came and no second passed: the very same object, nothing computed."""
    market = Market()
    since = ready(market)
    view = market.view(since)
    market.feed.pass_time(0.5)
    assert market.view(since) is view
    assert view.changed.size == 0


def test_packets_about_others_compute_nothing() -> None:
    """A board of 3,000 instruments is busy all the time; a chain wakes for its own."""
    market = Market()
    since = ready(market)
    other = market.instruments.option(
        "NIFTY", W1, market.contracts.strikes[1], market.contracts.calls[market.contracts.strikes[1]].kind
    )
    market.feed.board.add([other.token])
    view = market.view(since)
    market.feed.full(other.token, bids=[(10.0, 65)], asks=[(11.0, 65)])
    assert market.view(since) is view


def test_only_the_touched_row_is_changed() -> None:
    """A deep out-of-the-money quote moves its own row and no other; the picture before stays as it was."""
    market = Market()
    since = ready(market)
    before = market.view(since)
    row = row_of(before, 24_450)
    old_bid = float(before.calls.bid[row])
    market.quote(24_450, "CE", middle=market.fair(24_450, "CE") + 1)
    after = market.view(since)
    assert after.changed.tolist() == [row]
    assert after.sequence > since
    assert after.calls.bid[row] != old_bid
    assert before.calls.bid[row] == old_bid


def test_changes_add_up_for_a_slow_reader() -> None:
    """Who looks seldom gets the union; who looks each time gets each change."""
    market = Market()
    start = ready(market)
    market.quote(24_450, "CE", middle=5.0)
    middle = market.view(start)
    market.quote(24_400, "PE", middle=500.0)
    end = market.view(middle.sequence)
    strikes = {24_400.0, 24_450.0}
    assert set(end.strikes[market.view(start).changed].tolist()) == strikes
    assert set(end.strikes[end.changed].tolist()) == {24_400.0}
    assert market.view(end.sequence).changed.size == 0


def test_a_second_moves_time() -> None:
    """Without any packet the chain is computed each second: the clock of the header runs."""
    market = Market()
    since = ready(market)
    before = market.view(since)
    market.feed.pass_time(1.0)
    after = market.view(since)
    assert after is not before
    assert after.header.seconds_to_expiry == before.header.seconds_to_expiry - 1
    assert after.sequence > before.sequence
    # A second of decay shows in no digit of a contract that is far from the money.
    assert after.changed.size < after.strikes.size


def test_silence_reaches_every_row() -> None:
    """When the path goes silent the state of all rows changes within a second, without any packet."""
    market = Market()
    since = ready(market)
    market.feed.pass_time(6.0, heartbeat=False)
    view = market.view(since)
    assert view.changed.size == view.strikes.size


@pytest.mark.parametrize("since", [-1, 0, 10_000])
def test_a_sequence_never_given_out_means_all_rows(since: int) -> None:
    """From a number that was never ours nothing can be told, so everything is drawn."""
    market = Market()
    ready(market)
    assert market.view(since).changed.size == market.view().strikes.size


def test_a_sequence_of_a_former_model_means_all_rows() -> None:
    """After unwatching and watching again an old sequence cannot be taken for one of the new model."""
    market = Market()
    old = ready(market)
    market.quote(24_450, "CE", middle=5.0)
    old = market.view(old).sequence
    market.model = market.builder.build(market.key)
    view = market.view(old)
    assert view.sequence > old
    assert view.changed.size == view.strikes.size


def test_columns_are_read_only() -> None:
    """Nobody who is handed a picture can change it for the others."""
    market = Market()
    ready(market)
    view = market.view()
    for columns in (view.calls, view.puts):
        for name in ChainColumns.__struct_fields__:
            assert not getattr(columns, name).flags.writeable, name
    with pytest.raises(ValueError, match="read-only"):
        view.strikes[0] = 0.0


def test_own_positions_and_orders() -> None:
    """Own units and working orders stand in their rows at once, and only those rows change."""
    market = Market()
    since = ready(market)
    call, put = market.token(24_000, "CE"), market.token(24_100, "PE")
    market.model.set_own({call: -650, 99: 65}, {put: 2})
    view = market.view(since)
    assert view.calls.position[row_of(view, 24_000)] == -650
    assert view.puts.working[row_of(view, 24_100)] == 2
    assert int(np.abs(view.calls.position).sum() + np.abs(view.puts.position).sum()) == 650
    assert set(view.strikes[view.changed].tolist()) == {24_000.0, 24_100.0}
    market.model.set_own({call: -650}, {put: 2})
    assert market.view(since) is view
    market.model.set_own({}, {})
    assert market.view(since).calls.position[row_of(view, 24_000)] == 0


def test_contracts_subscribed_later_are_found() -> None:
    """A model made before its instruments were on the board sees them once they are, also in other slots."""
    market = Market()
    market.feed.board.remove(market.model.tokens)
    assert np.isnan(market.view().calls.bid).all()
    market.feed.board.add([12_345 * 256 + 2, *market.model.tokens])
    market.quote_all()
    view = market.view()
    assert view.calls.bid[row_of(view, 24_000)] > 0
    market.feed.board.remove(market.model.tokens)
    assert np.isnan(market.view().calls.bid).all()
    assert market.view().header.spot is None


def test_open_interest_change_needs_two_readings() -> None:
    """One reading says nothing about change; the second gives percent against the first."""
    market = Market()
    ready(market)
    row = row_of(market.view(), 24_000)
    assert math.isnan(market.view().calls.open_interest_change[row])
    market.quote(24_000, "CE", open_interest=13_000)
    assert market.view().calls.open_interest_change[row] == pytest.approx(100.0)
    market.quote(24_000, "CE", open_interest=3_250)
    assert market.view().calls.open_interest_change[row] == pytest.approx(-50.0)
    market.quote(24_000, "CE", open_interest=6_500)
    assert market.view().calls.open_interest_change[row] == 0.0
    assert math.isnan(market.view().puts.open_interest_change[row])


def test_open_interest_from_nothing_has_no_percentage() -> None:
    """A contract that began the day without open interest has no percentage, not infinity."""
    market = Market()
    market.quote(24_000, "CE", open_interest=0)
    market.view()
    market.quote(24_000, "CE", open_interest=650)
    row = row_of(market.view(), 24_000)
    assert math.isnan(market.view().calls.open_interest_change[row])


def test_given_morning_figures_count_at_once() -> None:
    """Readings from before the start are the base of the first packet."""
    market = Market()
    day = market.calendar.day_of(market.feed.market)
    market.baseline.give(day, {market.token(24_000, "CE"): 5_000})
    ready(market)
    view = market.view()
    assert view.calls.open_interest_change[row_of(view, 24_000)] == pytest.approx(30.0)


def test_base_survives_watching_again_and_ends_with_the_day() -> None:
    """Leaving a chain and coming back keeps the morning's base; the next trading day begins anew."""
    market = Market()
    ready(market)
    market.model = market.builder.build(market.key)
    market.quote(24_000, "CE", open_interest=13_000)
    row = row_of(market.view(), 24_000)
    assert market.view().calls.open_interest_change[row] == pytest.approx(100.0)
    market.feed.market += timedelta(days=2)
    market.feed.pass_time(2.0)
    assert math.isnan(market.view().calls.open_interest_change[row])
    market.quote(24_000, "CE", open_interest=26_000)
    assert market.view().calls.open_interest_change[row] == pytest.approx(100.0)


def test_spot_alone_moves_the_header_only() -> None:
    """An index tick changes the header's figure and no row of a chain marked on parity."""
    market = Market()
    since = ready(market)
    market.feed.index(256_265, SPOT + 1)
    view = market.view(since)
    assert view.header.spot == SPOT + 1
    assert view.sequence > since
    assert view.changed.size == 0
